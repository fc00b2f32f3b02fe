/* The checks of a load with a policy: see safe.h. */
#include "load/safe.h"

#include "load/safe_heights.h"
#include "load/safe_match.h"
#include "load/safe_opcodes.h"

/* ---- globals ------------------------------------------------------------ */

/* Pickle's event for a global that was found.  0, or -1 with an exception.  Runs Python code. */
static int
audit_find(const struct safe_entry *entry)
{
    return PySys_Audit("pickle.find_class", "OO", entry->module_name, entry->name);
}

/* True if the object is a function that says that it is safe; runs Python code if its answer is
   odd. */
static int
says_it_is_safe(PyObject *object)
{
    PyObject *dict = PyFunction_Check(object) ? ((PyFunctionObject *)object)->func_dict : NULL;
    PyObject *answer = dict == NULL ? NULL : PyDict_GetItemString(dict, "__safe_for_unpickling__");
    int safe = 0;
    if (answer != NULL) {
        Py_INCREF(answer);
        safe = PyObject_IsTrue(answer);
        Py_DECREF(answer);
    }
    PyErr_Clear();
    return safe > 0;
}

/* classes="any": a class, or a function that says that it is safe, as it lies in the dict of a
   module that is there.  Borrowed, or NULL without an exception. */
static PyObject *
find_any(struct core_state *state, PyObject *module_name, PyObject *name)
{
    PyObject *modules = state->stdlib.sys_modules;
    PyObject *module =
        PyDict_CheckExact(modules) ? PyDict_GetItemWithError(modules, module_name) : NULL;
    if (module == NULL || !PyModule_Check(module)) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *object = PyDict_GetItemWithError(PyModule_GetDict(module), name);
    PyErr_Clear();
    return object != NULL && (PyType_Check(object) || says_it_is_safe(object)) ? object : NULL;
}

/* Notes that a helper is on the stack for another time. */
void
safe_note_helper(struct unpickler *unpickler)
{
    unpickler->safe.helpers++;
    unpickler->safe.met_helper = 1;
}

PyObject *
safe_find(struct unpickler *unpickler, PyObject *module_name, PyObject *name)
{
    const PolicyObject *policy = safe_policy_of(unpickler);
    Py_ssize_t module_size, size;
    const struct safe_entry *entry = NULL;
    const char *module_bytes = PyUnicode_AsUTF8AndSize(module_name, &module_size);
    const char *bytes = module_bytes == NULL ? NULL : PyUnicode_AsUTF8AndSize(name, &size);
    if (bytes == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeError)) {
            return NULL;
        }
        PyErr_Clear(); /* surrogates: the name of nothing */
    }
    else {
        entry = policy_find(policy, module_bytes, (size_t)module_size, bytes, (size_t)size);
    }
    if (entry != NULL) {
        if (entry->helper != HELPER_NONE) {
            safe_note_helper(unpickler);
        }
        return Py_NewRef(entry->object);
    }
    PyObject *object = policy->any_class ? find_any(unpickler->state, module_name, name) : NULL;
    if (object != NULL) {
        return Py_NewRef(object);
    }
    PyObject *names = PyTuple_Pack(2, module_name, name);
    if (names != NULL) {
        safe_refuse(unpickler, "global", names);
        Py_DECREF(names);
    }
    return NULL;
}

/* The entry of two names in the bytes of a pickle, between which there are three more. */
static const struct safe_entry *
find_bytes(const PolicyObject *policy, const unsigned char *bytes, size_t size, size_t module_size,
           size_t name_size)
{
    return policy_find(policy, (const char *)bytes, module_size,
                       (const char *)bytes + size - name_size, name_size);
}

int
safe_push_global(struct unpickler *unpickler, const unsigned char *bytes, size_t size,
                 size_t module_size, size_t name_size)
{
    const struct safe_entry *entry =
        find_bytes(safe_policy_of(unpickler), bytes, size, module_size, name_size);
    if (entry == NULL || entry->helper != HELPER_NONE) {
        return 0;
    }
    if (audit_find(entry) < 0) {
        return -1;
    }
    unpickler->memo.length += 2;
    unpickler->reader.at = bytes + size + 2;
    return load_push_memoized(unpickler, Py_NewRef(entry->object)) < 0 ? -1 : 1;
}

const struct safe_entry *
safe_find_one(const PolicyObject *policy, const unsigned char *bytes, size_t size,
              size_t module_size, size_t name_size)
{
    const struct safe_entry *entry =
        policy->allows_small ? find_bytes(policy, bytes, size, module_size, name_size) : NULL;
    return entry == NULL || entry->helper != HELPER_NONE ? NULL : entry;
}

/* ---- calls -------------------------------------------------------------- */

/* True if classes="any" allows the callable to be called. */
static int
is_any(const PolicyObject *policy, PyObject *callable)
{
    return policy->any_class && (PyType_Check(callable) || says_it_is_safe(callable));
}

/* Words a refusal of arguments; -1. */
static int
refuse_form(struct unpickler *unpickler, PyObject *callable, PyObject *const *arguments,
            Py_ssize_t count)
{
    PyObject *subject = PyTuple_New(count + 1);
    if (subject == NULL) {
        return -1;
    }
    PyTuple_SET_ITEM(subject, 0, Py_NewRef(callable));
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(subject, i + 1, Py_NewRef(arguments[i]));
    }
    safe_refuse_here(unpickler, "arguments", subject);
    Py_DECREF(subject);
    return -1;
}

/* Checks that cls.__new__(cls, *arguments, **keywords) may be called: 0 or -1. */
static int
check_new(struct unpickler *unpickler, PyObject *cls, PyObject *const *arguments, Py_ssize_t count,
          int has_keywords)
{
    const PolicyObject *policy = safe_policy_of(unpickler);
    const struct safe_entry *entry = safe_entry_of(unpickler, cls);
    if (!PyType_Check(cls)) {
        return safe_refuse_here(unpickler, "call", cls);
    }
    if (policy->any_class || (entry != NULL && entry->make.count == FORMS_ANY)) {
        return 0;
    }
    if (entry == NULL || entry->helper != HELPER_NONE) {
        return safe_refuse_here(unpickler, "call", cls);
    }
    int matched = has_keywords ? 0 : safe_match(unpickler, policy, &entry->make, arguments, count);
    return matched == 0 ? refuse_form(unpickler, cls, arguments, count) : matched < 0 ? -1 : 0;
}

/* copyreg._reconstructor(cls, object, None): object.__new__(cls).  Strong or NULL. */
static PyObject *
reconstruct(struct unpickler *unpickler, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 3 || arguments[1] != (PyObject *)&PyBaseObject_Type || arguments[2] != Py_None) {
        safe_refuse_here(unpickler, "reconstructor", NULL);
        return NULL;
    }
    if (check_new(unpickler, arguments[0], NULL, 0, 0) < 0) {
        return NULL;
    }
    return PyObject_CallMethodOneArg((PyObject *)&PyBaseObject_Type, unpickler->state->str.new,
                                     arguments[0]);
}

/* copyreg.__newobj__(cls, *arguments).  Strong or NULL. */
static PyObject *
call_newobj(struct unpickler *unpickler, PyObject *const *arguments, Py_ssize_t count)
{
    if (count < 1) {
        safe_refuse_here(unpickler, "newobj", NULL);
        return NULL;
    }
    if (check_new(unpickler, arguments[0], arguments + 1, count - 1, 0) < 0) {
        return NULL;
    }
    PyObject *rest = PyTuple_New(count - 1), *object = NULL;
    for (Py_ssize_t i = 1; rest != NULL && i < count; i++) {
        PyTuple_SET_ITEM(rest, i - 1, Py_NewRef(arguments[i]));
    }
    if (rest != NULL) {
        object = load_make_new(unpickler->state, arguments[0], rest, NULL);
        Py_DECREF(rest);
    }
    return object;
}

/* _codecs.encode(text, 'latin1'), which bytes are in protocols 0 to 2.  Strong or NULL. */
static PyObject *
encode(struct unpickler *unpickler, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyUnicode_CheckExact(arguments[0]) || !PyUnicode_CheckExact(arguments[1])
        || !PyUnicode_EqualToUTF8(arguments[1], "latin1")) {
        safe_refuse_here(unpickler, "encode", NULL);
        return NULL;
    }
    if (safe_charge(unpickler, (uint64_t)PyUnicode_GET_LENGTH(arguments[0])) < 0) {
        return NULL;
    }
    return PyUnicode_AsLatin1String(arguments[0]);
}

/* getattr(cls, name) of an attribute that the policy has; strong or NULL. */
static PyObject *
get_attribute(struct unpickler *unpickler, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *attributes = safe_policy_of(unpickler)->attributes, *found = NULL;
    if (count == 2 && PyUnicode_CheckExact(arguments[1]) && attributes != NULL) {
        PyObject *key = PyLong_FromVoidPtr(arguments[0]);
        PyObject *of_class = key == NULL ? NULL : PyDict_GetItemWithError(attributes, key);
        Py_XDECREF(key);
        found = of_class != NULL && PyDict_CheckExact(of_class)
                    ? PyDict_GetItemWithError(of_class, arguments[1])
                    : NULL;
    }
    if (found == NULL && !PyErr_Occurred()) {
        safe_refuse_here(unpickler, "getattr", NULL);
    }
    return Py_XNewRef(found);
}

/* type(None) and the like; strong or NULL. */
static PyObject *
type_of(struct unpickler *unpickler, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 1
        || (arguments[0] != Py_None && arguments[0] != Py_Ellipsis
            && arguments[0] != Py_NotImplemented)) {
        safe_refuse_here(unpickler, "type", NULL);
        return NULL;
    }
    return Py_NewRef(Py_TYPE(arguments[0]));
}

static PyObject *
call_safe_helper(struct unpickler *unpickler, enum safe_helper helper, PyObject *const *arguments,
                 Py_ssize_t count)
{
    unpickler->safe.helpers--;
    switch (helper) {
    case HELPER_RECONSTRUCTOR: return reconstruct(unpickler, arguments, count);
    case HELPER_NEWOBJ: return call_newobj(unpickler, arguments, count);
    case HELPER_ENCODE: return encode(unpickler, arguments, count);
    case HELPER_GETATTR: return get_attribute(unpickler, arguments, count);
    default: return type_of(unpickler, arguments, count);
    }
}

/* True if any `count` arguments are allowed. */
ALWAYS_INLINE int
takes_any(const struct safe_entry *entry, Py_ssize_t count)
{
    return entry->call.count == FORMS_ANY || (count == 0 && entry->calls_plain);
}

int
safe_call(struct unpickler *unpickler, PyObject *callable, PyObject *const *arguments,
          Py_ssize_t count, PyObject **made)
{
    const PolicyObject *policy = safe_policy_of(unpickler);
    const struct safe_entry *entry = safe_entry_of(unpickler, callable);
    if (likely(entry != NULL && takes_any(entry, count))) {
        return 0;
    }
    if (is_any(policy, callable)) {
        return 0;
    }
    if (entry == NULL) {
        return safe_refuse_here(unpickler, "call", callable);
    }
    if (entry->helper != HELPER_NONE) {
        *made = call_safe_helper(unpickler, entry->helper, arguments, count);
        return *made == NULL ? -1 : 1;
    }
    int matched = safe_match(unpickler, policy, &entry->call, arguments, count);
    if (matched == 0) {
        return refuse_form(unpickler, callable, arguments, count);
    }
    return matched < 0 ? -1 : 0;
}

/* Makes the object that a call allowed by the entry would return, without the call if the core
   can.  Runs Python code. */
static enum safe_way
make_loose(struct unpickler *unpickler, const struct safe_entry *entry, PyObject **arguments,
           PyObject **made)
{
    Py_ssize_t count = unpickler->top - arguments;
    switch (construct_or_read(unpickler->state, entry->object, arguments, count, made)) {
    case OUTCOME_DONE: return SAFE_MADE;
    case OUTCOME_RAISED: return SAFE_REFUSED;
    default: return SAFE_BY_CALL;
    }
}

/* safe_call_loose() without counting. */
static enum safe_way
ask_loose(struct unpickler *unpickler, PyObject **arguments, PyObject **made)
{
    const struct safe_entry *entry = safe_entry_of(unpickler, arguments[-1]);
    if (likely(entry != NULL && entry->call.count == FORMS_ANY)) {
        return SAFE_AS_USUAL;
    }
    if (entry != NULL && (entry->flags & SAFE_IS_MADE) != 0) {
        enum safe_way way = make_loose(unpickler, entry, arguments, made);
        if (way != SAFE_BY_CALL) {
            return way;
        }
    }
    Py_ssize_t count = unpickler->top - arguments;
    if (entry != NULL && (entry->flags & SAFE_IS_VALUE) != 0
        && !safe_policy_of(unpickler)->any_class) {
        int matched =
            safe_match(unpickler, safe_policy_of(unpickler), &entry->call, arguments, count);
        if (matched > 0) {
            return make_loose(unpickler, entry, arguments, made);
        }
        if (matched == 0) {
            refuse_form(unpickler, arguments[-1], arguments, count);
        }
        return SAFE_REFUSED;
    }
    int done = safe_call(unpickler, arguments[-1], arguments, count, made);
    if (done != 0) {
        return done < 0 ? SAFE_REFUSED : SAFE_MADE;
    }
    if (entry == NULL || (entry->flags & SAFE_IS_VALUE) == 0) {
        return entry != NULL && (entry->flags & SAFE_IS_CALLED) != 0 ? SAFE_BY_CALL
                                                                     : SAFE_AS_USUAL;
    }
    return make_loose(unpickler, entry, arguments, made);
}

enum safe_way
safe_call_loose(struct unpickler *unpickler, PyObject **arguments, PyObject **made)
{
    unpickler->safe.loose = unpickler->top - arguments;
    enum safe_way way = ask_loose(unpickler, arguments, made);
    if (way != SAFE_REFUSED
        && (safe_charge_arguments(unpickler, unpickler->top - arguments) < 0
            || safe_make(unpickler, arguments, arguments - 1, 1) < 0)) {
        Py_CLEAR(*made);
        way = SAFE_REFUSED;
    }
    unpickler->safe.loose = -1;
    return way;
}

int
safe_matches_one(const PolicyObject *policy, PyObject *callable, PyObject *const *arguments,
                 Py_ssize_t count)
{
    const struct safe_entry *entry = policy_entry(policy, callable);
    int matched = safe_match(NULL, policy, &entry->call, arguments, count);
    PyErr_Clear();
    return matched > 0;
}

int
safe_makes_freely(struct unpickler *unpickler, PyObject *cls)
{
    const struct safe_entry *entry = safe_entry_of(unpickler, cls);
    return safe_policy_of(unpickler)->any_class
           || (entry != NULL && entry->make.count == FORMS_ANY);
}

int
safe_makes_plainly(struct unpickler *unpickler, PyObject *cls)
{
    const struct safe_entry *entry = safe_entry_of(unpickler, cls);
    return safe_policy_of(unpickler)->any_class || (entry != NULL && entry->makes_plain);
}

int
safe_calls_freely(struct unpickler *unpickler, PyObject *callable)
{
    const struct safe_entry *entry = safe_entry_of(unpickler, callable);
    return entry != NULL && entry->call.count == FORMS_ANY && !unpickler->safe.met_helper;
}

/* ---- opcodes ------------------------------------------------------------ */

/* Puts the object that was made in the place of `whole` and above, and passes MEMOIZE.  1 or
   -1. */
static int
replace(struct unpickler *unpickler, PyObject **whole, PyObject *made)
{
    load_drop_to(unpickler, whole);
    return load_push_memoized(unpickler, made) < 0 ? -1 : 1;
}

int
safe_reduce(struct unpickler *unpickler)
{
    if (load_reach(unpickler) < 2) {
        return 0;
    }
    PyObject *arguments = unpickler->top[-1], *callable = unpickler->top[-2], *made;
    if (!PyTuple_CheckExact(arguments)) {
        return safe_refuse_here(unpickler, "no tuple", callable);
    }
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    const struct safe_entry *entry = safe_entry_of(unpickler, callable);
    int done = 0;
    if (entry == NULL || !takes_any(entry, count)) {
        done = safe_call(unpickler, callable, &PyTuple_GET_ITEM(arguments, 0), count, &made);
        if (done < 0) {
            return -1;
        }
    }
    if (safe_charge_arguments(unpickler, count) < 0
        || safe_make(unpickler, unpickler->top - 1, unpickler->top - 2, 0) < 0) {
        if (done > 0) {
            Py_DECREF(made);
        }
        return -1;
    }
    return done == 0 ? 0 : replace(unpickler, unpickler->top - 2, made);
}

int
safe_newobj(struct unpickler *unpickler, int has_keywords)
{
    PyObject **top = unpickler->top - has_keywords;
    if (load_reach(unpickler) < 2 + has_keywords) {
        return 0;
    }
    PyObject *arguments = top[-1], *cls = top[-2];
    if (!PyTuple_CheckExact(arguments) || (has_keywords && !PyDict_CheckExact(top[0]))) {
        return safe_refuse_here(unpickler, "no tuple", cls);
    }
    if (check_new(unpickler, cls, &PyTuple_GET_ITEM(arguments, 0), PyTuple_GET_SIZE(arguments),
                  has_keywords)
        < 0) {
        return -1;
    }
    return safe_charge_arguments(unpickler, PyTuple_GET_SIZE(arguments)) < 0
               ? -1
               : safe_make(unpickler, top - 1, top - 2, 0);
}

/* Checks that OBJ or INST may make an instance of a class: with arguments by a call, without by
   __new__ if the class has no __getinitargs__, which the loader looks up.  0 or -1. */
static int
check_instance(struct unpickler *unpickler, PyObject *cls, PyObject *const *arguments,
               Py_ssize_t count)
{
    PyObject *made = NULL;
    if (count == 0 && PyType_Check(cls)
        && type_lookup((PyTypeObject *)cls, unpickler->state->str.getinitargs) == NULL) {
        return check_new(unpickler, cls, NULL, 0, 0);
    }
    const struct safe_entry *entry = safe_entry_of(unpickler, cls);
    if (entry != NULL && entry->helper != HELPER_NONE) {
        return safe_refuse_here(unpickler, "call", cls);
    }
    return safe_call(unpickler, cls, arguments, count, &made);
}

int
safe_obj(struct unpickler *unpickler)
{
    if (unpickler->mark_count == 0 || unpickler->top == unpickler->fence) {
        return 0;
    }
    PyObject **cls = unpickler->fence;
    if (check_instance(unpickler, *cls, cls + 1, unpickler->top - cls - 1) < 0) {
        return -1;
    }
    return safe_count_made(unpickler, cls + 1, cls);
}

int
safe_inst(struct unpickler *unpickler, PyObject *cls, PyObject **start)
{
    if (check_instance(unpickler, cls, start, unpickler->top - start) < 0) {
        return -1;
    }
    return safe_count_made(unpickler, start, start);
}

int
safe_extension(struct unpickler *unpickler, int size)
{
    struct core_stdlib *stdlib = &unpickler->state->stdlib;
    unpickler->safe.offset = (size_t)reader_offset(&unpickler->reader) - 1;
    const unsigned char *bytes = reader_take(&unpickler->reader, (size_t)size);
    if (bytes == NULL) {
        return -1;
    }
    int32_t number = (int32_t)(uint32_t)read_little_endian(bytes, size);
    PyObject *object = NULL, *code = PyLong_FromLong(number);
    if (code == NULL) {
        return -1;
    }
    PyObject *pair = PyDict_CheckExact(stdlib->inverted_registry)
                         ? PyDict_GetItemWithError(stdlib->inverted_registry, code)
                         : NULL;
    if (pair != NULL && PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2
        && PyUnicode_CheckExact(PyTuple_GET_ITEM(pair, 0))
        && PyUnicode_CheckExact(PyTuple_GET_ITEM(pair, 1))) {
        Py_INCREF(pair);
        if (PySys_Audit("pickle.find_class", "OO", PyTuple_GET_ITEM(pair, 0),
                        PyTuple_GET_ITEM(pair, 1))
            == 0) {
            object = safe_find(unpickler, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
        }
        Py_DECREF(pair);
    }
    else if (!PyErr_Occurred()) {
        safe_refuse(unpickler, "extension", code);
    }
    Py_DECREF(code);
    return load_push(unpickler, object) < 0 ? -1 : 1;
}

/* ---- items -------------------------------------------------------------- */

int
safe_check_taker(struct unpickler *unpickler, PyObject *object, PyObject **first,
                 Py_ssize_t stride)
{
    const PolicyObject *policy = safe_policy_of(unpickler);
    const struct safe_entry *entry = safe_entry_of(unpickler, Py_TYPE(object));
    int is_any_object = policy->any_class && !PyType_Check(object) && !PyModule_Check(object);
    if (entry == NULL || (!is_any_object && (entry->flags & SAFE_TAKES_ITEMS) == 0)) {
        return is_any_object ? 0 : safe_refuse_here(unpickler, "items", object);
    }
    return (entry->flags & SAFE_IS_FREED_WITHIN) == 0
               ? 0
               : safe_hold(unpickler, object, first, unpickler->top, stride);
}

int
safe_readonly(struct unpickler *unpickler)
{
    if (load_reach(unpickler) < 1) {
        return 0;
    }
    PyObject *buffer = unpickler->top[-1];
    if (PyBytes_CheckExact(buffer) || PyByteArray_CheckExact(buffer) || PyMemoryView_Check(buffer)
        || PyPickleBuffer_Check(buffer) || buffer == unpickler->safe.buffer) {
        return 0;
    }
    return safe_refuse_here(unpickler, "buffer", buffer);
}
