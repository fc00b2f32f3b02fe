/* Everything that depends on the version of Python or on the compiler.

   The rest of the C code has no PY_VERSION_HEX and no compiler test.  A function that only newer
   versions have is defined here under the newer name; a use of what is private to CPython is
   behind a switch that is on only where it was checked. */
#ifndef FASTCOPYREG_BASE_COMPAT_H
#define FASTCOPYREG_BASE_COMPAT_H

#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static_assert(sizeof(void *) == sizeof(size_t), "pointers and sizes must be of one width");
static_assert(sizeof(double) == 8, "BINFLOAT is an IEEE 754 double");
static_assert(sizeof(long long) == 8, "long long must have 64 bits");

/* ---- compilers ---------------------------------------------------------- */

#if defined(__GNUC__) || defined(__clang__)
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#define NOINLINE __attribute__((noinline))
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define PREFETCH(address) __builtin_prefetch(address)
#define HAS_LABEL_VALUES 1 /* &&label, and goto *pointer */
#define THREAD_LOCAL _Thread_local
#elif defined(_MSC_VER)
#define likely(condition) (condition)
#define unlikely(condition) (condition)
#define NOINLINE __declspec(noinline)
#define ALWAYS_INLINE static __forceinline
#define PREFETCH(address) ((void)(address))
#define HAS_LABEL_VALUES 0
#define THREAD_LOCAL __declspec(thread)
#else
#define likely(condition) (condition)
#define unlikely(condition) (condition)
#define NOINLINE
#define ALWAYS_INLINE static inline
#define PREFETCH(address) ((void)(address))
#define HAS_LABEL_VALUES 0
#define THREAD_LOCAL _Thread_local
#endif

/* ---- numbers in bytes --------------------------------------------------- */

/* An unsigned integer of `size` bytes, little endian; read by one load where the size is a
   constant.  */
ALWAYS_INLINE uint64_t
read_little_endian(const unsigned char *bytes, int size)
{
    uint64_t value = 0;
#if PY_LITTLE_ENDIAN
    memcpy(&value, bytes, (size_t)size);
#else
    for (int i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
#endif
    return value;
}

/* The IEEE 754 double of eight bytes, big endian. */
ALWAYS_INLINE double
read_big_endian_double(const unsigned char *bytes)
{
    uint64_t bits = (uint64_t)bytes[0] << 56 | (uint64_t)bytes[1] << 48 | (uint64_t)bytes[2] << 40
                    | (uint64_t)bytes[3] << 32 | (uint64_t)bytes[4] << 24
                    | (uint64_t)bytes[5] << 16 | (uint64_t)bytes[6] << 8 | (uint64_t)bytes[7];
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* ---- atomic exchange ---------------------------------------------------- */

/* Stores `value` and returns what was there.  Atomic where threads run in parallel. */
static inline void *
exchange_pointer(void **place, void *value)
{
#if defined(Py_GIL_DISABLED) && (defined(__GNUC__) || defined(__clang__))
    return __atomic_exchange_n(place, value, __ATOMIC_ACQ_REL);
#elif defined(Py_GIL_DISABLED)
    return _InterlockedExchangePointer(place, value);
#else
    void *old = *place;
    *place = value;
    return old;
#endif
}

/* ---- changes of a dict -------------------------------------------------- */

/* Watchers tell of changes from 3.12 on; before that a dict has a version. */
#if PY_VERSION_HEX >= 0x030C0000
#define HAS_DICT_WATCHERS 1
#else
#define HAS_DICT_WATCHERS 0
#if !defined(PYPY_VERSION)
static inline uint64_t
dict_version(PyObject *dict)
{
    return ((PyDictObject *)dict)->ma_version_tag;
}
#endif
#endif

/* ---- all objects that the collector knows ------------------------------- */

#if PY_VERSION_HEX >= 0x030C0000 && !defined(PYPY_VERSION)
#define CAN_VISIT_OBJECTS 1
#define gc_visit_objects(visit, argument) PyUnstable_GC_VisitObjects(visit, argument)
#else
#define CAN_VISIT_OBJECTS 0
#define gc_visit_objects(visit, argument) ((void)(visit), (void)(argument))
#endif

/* ---- parts private to CPython, and where they were checked -------------- */

/* Instance values, dict entries, the digits of an integer, type versions and
   reference counts are read directly only on builds with the GIL of the minor
   versions 3.11 to 3.15, on which their layout was checked.  Elsewhere, and where
   FASTCOPYREG_PUBLIC_API is defined to try that, the public API serves. */
#if !defined(Py_GIL_DISABLED) && !defined(PYPY_VERSION) && !defined(FASTCOPYREG_PUBLIC_API) \
    && PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x03100000
#define KNOWN_LAYOUT 1
#else
#define KNOWN_LAYOUT 0
#endif

/* Where the values of an instance without a materialised __dict__ are. */
#define VALUES_POINTER 0 /* 3.11: a pointer four words before the object */
#define VALUES_TAGGED 1  /* 3.12: a tagged pointer three words before */
#define VALUES_INLINE 2  /* 3.13 and later: behind the object, with a valid byte */
#if PY_VERSION_HEX >= 0x030D0000
#define VALUES_KIND VALUES_INLINE
#elif PY_VERSION_HEX >= 0x030C0000
#define VALUES_KIND VALUES_TAGGED
#else
#define VALUES_KIND VALUES_POINTER
#endif

/* Integers: the sign and number of digits are in lv_tag from 3.12, in ob_size before. */
#if PY_VERSION_HEX >= 0x030C0000
#define LONG_HAS_TAG 1
#else
#define LONG_HAS_TAG 0
#endif

/* True if a pending signal, GIL request or other event shows in the thread state. */
#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x03100000
#define HAS_THREAD_EVAL_BREAKER 1
#else
#define HAS_THREAD_EVAL_BREAKER 0
#endif

/* How the standard library's pickler words its errors.  From 3.14 they name types by %T,
   chain the cause, and carry notes ("when serializing ..."). */
#if PY_VERSION_HEX >= 0x030E0000
#define MODERN_ERRORS 1
#else
#define MODERN_ERRORS 0
#endif

#if PY_VERSION_HEX >= 0x030D0000
#define LOCAL_OBJECT_ERROR "Can't get local object %R"
#define PICKLE_BUFFER_ERROR "PickleBuffer can only be pickled with protocol >= 5"
#define EXTENSION_CODE_RUNTIME_ERROR 1
#else
#define LOCAL_OBJECT_ERROR "Can't pickle local object %R"
#define PICKLE_BUFFER_ERROR "PickleBuffer can only pickled with protocol >= 5"
#define EXTENSION_CODE_RUNTIME_ERROR 0
#endif

/* persistent_id: from 3.13 a method of Pickler, looked up when a dump begins; before, an
   attribute of the instance, looked up by __init__. */
#if PY_VERSION_HEX >= 0x030D0000
#define PERSISTENT_ID_IS_METHOD 1
#else
#define PERSISTENT_ID_IS_METHOD 0
#endif

/* From 3.15 a dotted name is searched by its mangled parts (A.__B as A._A__B), and
   __mp_main__ is never the answer. */
#if PY_VERSION_HEX >= 0x030F0000
#define MANGLES_DOTTED_NAMES 1
#define SKIPS_MP_MAIN 1
#else
#define MANGLES_DOTTED_NAMES 0
#define SKIPS_MP_MAIN 0
#endif

/* On 3.11 a member of an enumeration is found through an object that describes it. */
#if PY_VERSION_HEX < 0x030C0000
#define DESCRIBES_MEMBERS 1
#else
#define DESCRIBES_MEMBERS 0
#endif

/* True with the GIL: state that is kept between calls needs no lock. */
#ifdef Py_GIL_DISABLED
#define HAS_GIL 0
#else
#define HAS_GIL 1
#endif

/* ---- critical sections (nothing on builds with the GIL) ----------------- */

#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* ---- names that newer versions have ------------------------------------- */

#if PY_VERSION_HEX < 0x030C0000
/* The attributes of a class itself; strong, or NULL without an exception. */
static inline PyObject *
PyType_GetDict(PyTypeObject *type)
{
    return Py_XNewRef(type->tp_dict);
}

/* Takes the exception being raised out of the thread state; strong, or NULL. */
static inline PyObject *
PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value != NULL && traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* Raises the exception again; steals it. */
static inline void
PyErr_SetRaisedException(PyObject *exception)
{
    PyObject *type = Py_XNewRef((PyObject *)Py_TYPE(exception));
    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}
#endif

#if PY_VERSION_HEX < 0x030D0000
/* 1 and a strong reference if found, 0 and NULL if absent, -1 and NULL with an
   exception.  May run Python code (__eq__ and __hash__ of keys). */
static inline int
PyDict_GetItemRef(PyObject *dict, PyObject *key, PyObject **result)
{
    *result = Py_XNewRef(PyDict_GetItemWithError(dict, key));
    return *result != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* The same for an attribute: an AttributeError is "absent".  May run Python code. */
static inline int
PyObject_GetOptionalAttr(PyObject *object, PyObject *name, PyObject **result)
{
    return _PyObject_LookupAttr(object, name, result);
}

/* The same for any mapping: a KeyError is "absent".  May run Python code. */
static inline int
PyMapping_GetOptionalItem(PyObject *mapping, PyObject *key, PyObject **result)
{
    *result = PyObject_GetItem(mapping, key);
    if (*result != NULL) {
        return 1;
    }
    if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

/* A strong reference to an item of a list, or NULL with IndexError. */
static inline PyObject *
PyList_GetItemRef(PyObject *list, Py_ssize_t index)
{
    return Py_XNewRef(PyList_GetItem(list, index));
}

/* The referent of a weak reference: 1 and a strong reference, or 0 and NULL if it is dead. */
static inline int
PyWeakref_GetRef(PyObject *reference, PyObject **object)
{
    PyObject *referent = PyWeakref_GET_OBJECT(reference);
    *object = referent == Py_None ? NULL : Py_NewRef(referent);
    return *object != NULL;
}

static inline int
PyUnicode_EqualToUTF8(PyObject *unicode, const char *utf8)
{
    return PyUnicode_CompareWithASCIIString(unicode, utf8) == 0;
}
#endif

/* True if a set is walked where its entries lie; see walk.h. */
#define SETS_ARE_WALKED_IN_PLACE KNOWN_LAYOUT

/* True if the keys of a dict are its own, not shared with other instances of a class. */
static inline int
dict_owns_keys(PyObject *dict)
{
#if KNOWN_LAYOUT
    return ((PyDictObject *)dict)->ma_values == NULL;
#else
    (void)dict;
    return 0;
#endif
}

/* True if an int is of one digit, or none: not every small one need be. */
static inline int
long_is_small(PyObject *integer)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_IsCompact((PyLongObject *)integer);
#else
    return -1 <= Py_SIZE(integer) && Py_SIZE(integer) <= 1;
#endif
}

/* The value of such an int. */
static inline long long
long_small_value(PyObject *integer)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_CompactValue((PyLongObject *)integer);
#else
    return Py_SIZE(integer) == 0
               ? 0
               : Py_SIZE(integer) * (long long)((PyLongObject *)integer)->ob_digit[0];
#endif
}

/* The hash of an object that is hashed by its address, as types are. */
static inline Py_hash_t
hash_pointer(void *object)
{
#if PY_VERSION_HEX >= 0x030D0000
    return Py_HashPointer(object);
#else
    return _Py_HashPointer(object);
#endif
}

/* Looks a key up whose hash is known and whose comparison is by address; borrowed, or
   NULL, with an exception only if the dict has odd keys. */
static inline PyObject *
dict_get_by_hash(PyObject *dict, PyObject *key, Py_hash_t hash)
{
#if KNOWN_LAYOUT
    return _PyDict_GetItem_KnownHash(dict, key, hash);
#else
    (void)hash;
    return PyDict_GetItemWithError(dict, key);
#endif
}

/* PyObject_GenericGetAttr(), where an AttributeError is "absent": 1 and strong, 0 and NULL, or -1.
   May run Python code. */
static inline int
object_generic_optional_attr(PyObject *object, PyObject *name, PyObject **value)
{
#if KNOWN_LAYOUT
    *value = _PyObject_GenericGetAttrWithDict(object, name, NULL, 1);
#else
    *value = PyObject_GenericGetAttr(object, name);
    if (*value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
#endif
    return *value != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* Looks a name up along the MRO; borrowed, or NULL without an exception.  Runs no
   Python code for str names and ordinary types.  No exception may be set: the interpreter
   clears it where the name is not found. */
static inline PyObject *
type_lookup(PyTypeObject *type, PyObject *name)
{
    assert(!PyErr_Occurred());
    return _PyType_Lookup(type, name);
}

/* True if the collector has an object in its lists whose type has it look at all instances: the
   first of the two words before the object. */
static inline int
collector_tracks(PyObject *object)
{
#if KNOWN_LAYOUT
    return ((uintptr_t *)object)[-2] != 0;
#else
    return PyObject_GC_IsTracked(object);
#endif
}

/* A new instance, all zeros, of a type without a __dict__ and items; the collector does not see it
   before it is tracked, where HAS_UNTRACKED_NEW.  Strong or NULL. */
#if KNOWN_LAYOUT && PY_VERSION_HEX >= 0x030C0000
#define HAS_UNTRACKED_NEW 1
#define new_untracked(type) PyUnstable_Object_GC_NewWithExtraData(type, 0)
#else
#define HAS_UNTRACKED_NEW 0
#define new_untracked(type) PyType_GenericAlloc(type, 0)
#endif

/* ---- signals and other threads ------------------------------------------ */

#if HAS_THREAD_EVAL_BREAKER
/* True if a signal, a pending call or another thread waits for this one: bits of the thread's eval
   breaker.  The bit 0x10 is not among them; the collector can wait. */
static inline int
thread_is_interrupted(void)
{
    uintptr_t events = _Py_atomic_load_uintptr_relaxed(&PyThreadState_Get()->eval_breaker);
    return (events & 0x2f) != 0;
}

/* True if a collection is due; PyErr_CheckSignals() runs it. */
static inline int
collector_is_due(void)
{
    uintptr_t events = _Py_atomic_load_uintptr_relaxed(&PyThreadState_Get()->eval_breaker);
    return (events & 0x10) != 0;
}
#else
#define collector_is_due() 0
#endif

/* ---- tuples ------------------------------------------------------------- */

/* True if hash() of a tuple goes into each tuple in it as often as it is met.  From 3.14 tuples
   keep their hashes. */
#if PY_VERSION_HEX < 0x030E0000
#define TUPLES_ARE_HASHED_ANYHOW 1
#else
#define TUPLES_ARE_HASHED_ANYHOW 0
#endif

/* True if hash() of a tuple raises RecursionError instead of going down to any depth, as since
   3.14.10 and 3.15.2 (gh-154318).  The library that runs may be another micro version than the
   headers. */
static inline int
tuple_hash_is_bounded(void)
{
    return Py_Version >= 0x030F02F0 || (Py_Version >= 0x030E0AF0 && Py_Version < 0x030F0000);
}

/* True if a tuple keeps its hash already. */
static inline int
tuple_has_hash(PyObject *tuple)
{
#if PY_VERSION_HEX >= 0x030E0000
    return ((PyTupleObject *)tuple)->ob_hash != -1;
#else
    (void)tuple;
    return 0;
#endif
}

/* An instance of a subclass of tuple that allocates the usual way, with `size` items yet to be
   set, as tuple.__new__() makes it.  Strong, or NULL with an exception. */
static inline PyObject *
tuple_allocate(PyTypeObject *type, Py_ssize_t size)
{
    PyObject *tuple = PyType_GenericAlloc(type, size);
#if PY_VERSION_HEX >= 0x030E0000
    if (tuple != NULL) {
        ((PyTupleObject *)tuple)->ob_hash = -1; /* not hashed yet */
    }
#endif
    return tuple;
}

/* An exact tuple that the collector does not follow, with `size` items yet to be set, which must
   not be part of a cycle.  Strong, or NULL with an exception. */
static inline PyObject *
tuple_new_untracked(Py_ssize_t size)
{
#if KNOWN_LAYOUT
    if (size > 0) {
        PyTupleObject *tuple = PyObject_GC_NewVar(PyTupleObject, &PyTuple_Type, size);
#if PY_VERSION_HEX >= 0x030E0000
        if (tuple != NULL) {
            tuple->ob_hash = -1; /* not hashed yet */
        }
#endif
        return (PyObject *)tuple;
    }
#endif
    PyObject *tuple = PyTuple_New(size);
    if (tuple != NULL) {
        PyObject_GC_UnTrack(tuple);
    }
    return tuple;
}

/* ---- integers ----------------------------------------------------------- */

/* How many bytes surely hold the integer in two's complement; a byte more than needed
   now and then.  -1 with an exception. */
static inline Py_ssize_t
long_byte_count(PyObject *integer)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_AsNativeBytes(integer, NULL, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
#else
    size_t bits = _PyLong_NumBits(integer);
    return bits == (size_t)-1 ? -1 : (Py_ssize_t)(bits >> 3) + 1;
#endif
}

/* Writes it as two's complement, little endian, into `size` bytes that are enough. */
static inline int
long_to_bytes(PyObject *integer, unsigned char *bytes, Py_ssize_t size)
{
#if PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t needed = PyLong_AsNativeBytes(integer, bytes, size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    return needed < 0 ? -1 : 0;
#else
    return _PyLong_AsByteArray((PyLongObject *)integer, bytes, (size_t)size, 1, 1);
#endif
}

/* The integer that `size` bytes of little-endian two's complement say; strong. */
static inline PyObject *
long_from_bytes(const unsigned char *bytes, size_t size)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_FromNativeBytes(bytes, size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
#else
    return _PyLong_FromByteArray(bytes, size, 1, 1);
#endif
}

#if KNOWN_LAYOUT
/* True if the integer surely is from 0 to below 2**bits. */
ALWAYS_INLINE int
long_is_positive_of(PyObject *object, size_t bits)
{
    PyLongObject *integer = (PyLongObject *)object;
#if LONG_HAS_TAG
    const digit *digits = integer->long_value.ob_digit;
    size_t count = integer->long_value.lv_tag >> 3;
    int is_negative = (integer->long_value.lv_tag & 3) == 2;
#else
    const digit *digits = integer->ob_digit;
    size_t count = (size_t)Py_SIZE(integer);
    int is_negative = Py_SIZE(integer) < 0;
#endif
    size_t whole = bits / PyLong_SHIFT;
    return !is_negative
           && (count <= whole
               || (count == whole + 1 && digits[whole] >> bits % PyLong_SHIFT == 0));
}

/* 1 and the value if it has at most two digits (60 bits), else 0.  The fast path of
   every integer that is written. */
ALWAYS_INLINE int
long_as_small(PyObject *object, int64_t *value)
{
    PyLongObject *integer = (PyLongObject *)object;
#if LONG_HAS_TAG
    const digit *digits = integer->long_value.ob_digit;
    uintptr_t tag = integer->long_value.lv_tag;
    int64_t sign = 1 - (int64_t)(tag & 3);
    size_t count = tag >> 3;
#else
    const digit *digits = integer->ob_digit;
    Py_ssize_t signed_count = Py_SIZE(integer);
    int64_t sign = signed_count < 0 ? -1 : 1;
    size_t count = (size_t)(signed_count < 0 ? -signed_count : signed_count);
#endif
    if (likely(count <= 1)) {
        *value = count == 0 ? 0 : sign * (int64_t)digits[0];
        return 1;
    }
    if (count == 2) {
        *value = sign * ((int64_t)digits[0] | ((int64_t)digits[1] << PyLong_SHIFT));
        return 1;
    }
    return 0;
}
#else
ALWAYS_INLINE int
long_is_positive_of(PyObject *object, size_t bits)
{
    (void)object;
    (void)bits;
    return 0;
}

ALWAYS_INLINE int
long_as_small(PyObject *object, int64_t *value)
{
    int overflow;
    *value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow;
}
#endif

/* True if the integer surely has few digits. */
ALWAYS_INLINE int
long_is_short(PyObject *integer)
{
    int64_t value;
    return long_as_small(integer, &value);
}

/* ---- reference counts --------------------------------------------------- */

/* True if only the one holder that the caller knows of holds the object.  Never true where
   reference counts say nothing (builds without the GIL). */
#if KNOWN_LAYOUT
#define has_one_reference(object) (Py_REFCNT(object) == 1)
#define has_two_references(object) (Py_REFCNT(object) == 2)
#else
#define has_one_reference(object) ((void)(object), 0)
#define has_two_references(object) ((void)(object), 0)
#endif

/* ---- type versions ------------------------------------------------------ */

/* A number that changes whenever an attribute of the type or of one of its bases does,
   and that no other type ever has; 0 if the type has none (any more). */
#if KNOWN_LAYOUT
static inline unsigned int
type_version(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030C0000
    return type->tp_version_tag;
#else
    return PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG) ? type->tp_version_tag : 0;
#endif
}

/* The same, after the type was given a version if it can have one. */
static inline unsigned int
type_assign_version(PyTypeObject *type, PyObject *any_name)
{
#if PY_VERSION_HEX >= 0x030C0000
    (void)any_name;
    if (type->tp_version_tag == 0) {
        PyUnstable_Type_AssignVersionTag(type);
    }
#else
    (void)type_lookup(type, any_name);
#endif
    return type_version(type);
}
#else
static inline unsigned int
type_version(PyTypeObject *Py_UNUSED(type))
{
    return 0;
}

static inline unsigned int
type_assign_version(PyTypeObject *Py_UNUSED(type), PyObject *Py_UNUSED(any_name))
{
    return 0;
}
#endif

/* ---- observers of calls, and the depth of calls ------------------------- */

/* OBSERVED_YES if a tracer or profiler is set for this thread; OBSERVED_PERHAPS if a tool of
   sys.monitoring may have asked for events of all code.  Each such request changes the version of
   the instrumentation: in the eval breaker from 3.13 on; in 3.12 in all code that runs, of which
   the innermost Python frame's is read.  Without a frame the version is not known. */
enum observed { OBSERVED_NO, OBSERVED_YES, OBSERVED_PERHAPS };
#define MONITORING_UNKNOWN UINTPTR_MAX

#if KNOWN_LAYOUT
#if PY_VERSION_HEX >= 0x030D0000
static inline uintptr_t
thread_monitoring_version(PyThreadState *thread)
{
    return thread->eval_breaker >> 8;
}
#elif PY_VERSION_HEX >= 0x030C0000
static inline uintptr_t
thread_monitoring_version(PyThreadState *thread)
{
    /* A frame begins with its code. */
    PyCodeObject **frame = (PyCodeObject **)thread->cframe->current_frame;
    return frame == NULL ? MONITORING_UNKNOWN : (uintptr_t)(*frame)->_co_instrumentation_version;
}
#else
static inline uintptr_t
thread_monitoring_version(PyThreadState *Py_UNUSED(thread))
{
    return 0;
}
#endif

#endif

/* An answer that was found for OBSERVED_PERHAPS holds as long as *version is the same. */
static inline enum observed
thread_observed(uintptr_t *version)
{
#if KNOWN_LAYOUT
    PyThreadState *thread = PyThreadState_Get();
    *version = thread_monitoring_version(thread);
    if (thread->c_tracefunc != NULL || thread->c_profilefunc != NULL) {
        return OBSERVED_YES;
    }
    return *version != 0 ? OBSERVED_PERHAPS : OBSERVED_NO;
#else
    *version = MONITORING_UNKNOWN;
    return OBSERVED_PERHAPS;
#endif
}

/* True if a tool has asked for events of this code only.  The monitoring data beside the code
   begin with the tools for each event, a byte each. */
#if PY_VERSION_HEX >= 0x030F0000
enum { MONITORED_EVENTS = 16 };
#elif PY_VERSION_HEX >= 0x030E0000
enum { MONITORED_EVENTS = 11 };
#elif PY_VERSION_HEX >= 0x030C0000
enum { MONITORED_EVENTS = sizeof(_Py_LocalMonitors) };
#endif

static inline int
code_is_monitored(PyObject *code)
{
#if KNOWN_LAYOUT && PY_VERSION_HEX >= 0x030C0000
    const uint8_t *tools = (const uint8_t *)((PyCodeObject *)code)->_co_monitoring;
    for (int i = 0; tools != NULL && i < MONITORED_EVENTS; i++) {
        if (tools[i] != 0) {
            return 1;
        }
    }
#else
    (void)code;
#endif
    return 0;
}

/* Counts a level of recursion as the call of a Python function does, in place of which this is
   done.  In 3.12 and 3.13 calls in C are counted apart, up to far more of them than small stacks
   bear.  0, or -1 with RecursionError. */
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030E0000
#define LEVEL_WHERE ""
#else
#define LEVEL_WHERE " while calling a Python object"
#endif
#if KNOWN_LAYOUT && PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030E0000
static inline int
thread_enter_level(void)
{
    PyThreadState *thread = PyThreadState_Get();
    if (thread->py_recursion_remaining <= 0) {
        PyErr_SetString(PyExc_RecursionError, "maximum recursion depth exceeded" LEVEL_WHERE);
        return -1;
    }
    thread->py_recursion_remaining--;
    return 0;
}

static inline void
thread_leave_level(void)
{
    PyThreadState_Get()->py_recursion_remaining++;
}
#else
#define thread_enter_level() Py_EnterRecursiveCall(LEVEL_WHERE)
#define thread_leave_level() Py_LeaveRecursiveCall()
#endif

/* True if Py_EnterRecursiveCall() looks at the C stack itself, of whatever size it is. */
#define C_STACK_IS_SEEN (PY_VERSION_HEX >= 0x030E0000)

/* True if fewer levels of recursion are left than a Python program of some depth takes. */
static inline int
thread_near_recursion_limit(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyThreadState_Get()->py_recursion_remaining < 200;
#else
    return PyThreadState_Get()->recursion_remaining < 200;
#endif
}

/* ---- the collector ------------------------------------------------------ */

/* On 3.11 any allocation of a container can run the collector, and with it finalizers; from
   3.12 only the evaluation loop does.  Code that borrows holds the collector off, and lets it
   on again before it runs foreign code. */
#if PY_VERSION_HEX < 0x030C0000
#define ALLOCATION_COLLECTS 1

static inline int
collector_hold(void)
{
    return PyGC_Disable();
}

static inline void
collector_resume(int was_on)
{
    if (was_on) {
        PyGC_Enable();
    }
}
#else
#define ALLOCATION_COLLECTS 0
#define collector_hold() 0
#define collector_resume(was_on) ((void)(was_on))
#endif

#endif
