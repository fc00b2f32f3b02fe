/* BUILD in a load with a policy: the objects that may be changed, and by which state.

   State goes into an instance of a class that the policy has, under names that are exact strings
   and not the interpreter's.  __setstate__ is looked up on the class and nowhere else: attributes
   that the pickle has put into the instance are not asked.  Where the class has none, the rest is
   done as rebuild.c does it. */
#include "load/safe.h"

#include "types/rebuild.h"
#include "load/safe_keys.h"
#include "load/safe_opcodes.h"
#include "types/frozen.h"
#include "types/setstate.h"

/* ---- objects that take state -------------------------------------------- */

/* How an object takes state, of SAFE_TAKES_STATE and SAFE_TAKES_UUID. */
ALWAYS_INLINE unsigned int
ways_of(struct unpickler *unpickler, PyObject *object)
{
    if (likely(!safe_policy_of(unpickler)->any_class)) {
        const struct safe_entry *entry = safe_entry_of(unpickler, Py_TYPE(object));
        return entry == NULL ? 0 : entry->ways;
    }
    return PyType_Check(object) || PyModule_Check(object) || PyFunction_Check(object)
                   || PyCFunction_Check(object) || PyMethod_Check(object)
               ? 0
               : SAFE_TAKES_STATE;
}

/* True if the object is a text in ASCII that does not begin with "_". */
ALWAYS_INLINE int
begins_plainly(PyObject *name)
{
    return PyUnicode_CheckExact(name) && PyUnicode_IS_COMPACT_ASCII(name)
           && *(const char *)((PyASCIIObject *)name + 1) != '_';
}

/* True if the name is that of an attribute of the program's. */
static int
is_plain_name(PyObject *name)
{
    if (!PyUnicode_CheckExact(name)) {
        return 0;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    return begins_plainly(name) || length < 4 || PyUnicode_READ_CHAR(name, 0) != '_'
           || PyUnicode_READ_CHAR(name, 1) != '_' || PyUnicode_READ_CHAR(name, length - 1) != '_'
           || PyUnicode_READ_CHAR(name, length - 2) != '_';
}

int
safe_stores(struct unpickler *unpickler, PyObject *object, PyObject **pairs, Py_ssize_t count)
{
    if ((ways_of(unpickler, object) & SAFE_TAKES_STATE) == 0) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = pairs[2 * i];
        if (!(likely(begins_plainly(name)) || is_plain_name(name))
            || PyUnicode_GET_LENGTH(name) > SAFE_LONG_KEY) {
            return 0;
        }
    }
    return 1;
}

/* Checks that all names of half a state are plain: 0, or -1 with UnpicklingError. */
static int
check_half(struct unpickler *unpickler, PyObject *half)
{
    if (half == Py_None) {
        return 0;
    }
    if (!PyDict_CheckExact(half)) {
        return safe_refuse_here(unpickler, "state", half);
    }
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (layout_dict_next(half, &position, &name, &value)) {
        if (!is_plain_name(name)) {
            return safe_refuse_here(unpickler, "name", name);
        }
        Py_ssize_t length = PyUnicode_GET_LENGTH(name);
        if (length > SAFE_LONG_KEY && safe_charge(unpickler, (uint64_t)length) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Checks a state that no __setstate__ takes: None, a dict, or two of these.  0 or -1. */
static int
check_state(struct unpickler *unpickler, PyObject *object_state)
{
    if (!PyTuple_CheckExact(object_state)) {
        return check_half(unpickler, object_state);
    }
    if (PyTuple_GET_SIZE(object_state) != 2) {
        return safe_refuse_here(unpickler, "state", object_state);
    }
    return check_half(unpickler, PyTuple_GET_ITEM(object_state, 0)) < 0
                   || check_half(unpickler, PyTuple_GET_ITEM(object_state, 1)) < 0
               ? -1
               : 0;
}

/* True if the number is an exact int from 0 to below 2**128. */
static int
is_of_128_bits(const PolicyObject *policy, PyObject *number)
{
    if (!PyLong_CheckExact(number)) {
        return 0;
    }
    if (long_is_positive_of(number, 128)) {
        return 1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow <= 0) {
        return overflow == 0 && value >= 0;
    }
    PyObject *less = PyLong_Type.tp_richcompare(number, policy->uuid_end, Py_LT);
    Py_XDECREF(less); /* True or False, which the interpreter holds */
    return less == Py_True;
}

/* True if the value is that of a member of SafeUUID: 0, -1 or None. */
static int
is_safety(PyObject *value)
{
    if (value == Py_None) {
        return 1;
    }
    int overflow = 0;
    long long number =
        PyLong_CheckExact(value) ? PyLong_AsLongLongAndOverflow(value, &overflow) : 1;
    return number == 0 || (number == -1 && overflow == 0);
}

/* True if the object is the text, in ASCII. */
static int
is_text(PyObject *object, PyObject *text)
{
    if (likely(object == text)) {
        return 1;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    if (!PyUnicode_CheckExact(object) || PyUnicode_GET_LENGTH(object) != length
        || !PyUnicode_IS_COMPACT_ASCII(object)) {
        return 0;
    }
    const char *bytes = (const char *)((PyASCIIObject *)object + 1);
    const char *other = (const char *)((PyASCIIObject *)text + 1);
    while (length > 0 && bytes[length - 1] == other[length - 1]) {
        length--;
    }
    return length == 0;
}

/* The state of a UUID: {'int': ..., 'is_safe': ...}, of which the last may be missing. */
static int
is_uuid_state(const PolicyObject *policy, PyObject *object_state)
{
    const struct core_strings *str = &policy->state->str;
    PyObject *name, *value;
    Py_ssize_t position = 0;
    int has_int = 0;
    if (!PyDict_CheckExact(object_state)) {
        return 0;
    }
    while (layout_dict_next(object_state, &position, &name, &value)) {
        int is_int = is_text(name, str->int_);
        has_int |= is_int;
        if (is_int ? !is_of_128_bits(policy, value)
                   : !is_text(name, str->is_safe) || !is_safety(value)) {
            return 0;
        }
    }
    return has_int;
}

/* ---- BUILD -------------------------------------------------------------- */

int
safe_get_method(PyObject *object, PyObject *name, PyObject **method)
{
    PyObject *found = type_lookup(Py_TYPE(object), name);
    *method = NULL;
    if (found == NULL) {
        return 0;
    }
    Py_INCREF(found);
    descrgetfunc bind = Py_TYPE(found)->tp_descr_get;
    *method = bind == NULL ? Py_NewRef(found) : bind(found, object, (PyObject *)Py_TYPE(object));
    Py_DECREF(found);
    return *method == NULL ? -1 : 0;
}

/* type.__setstate__(object, object_state).  0 or -1.  Runs Python code. */
static int
call_allowed_setstate(struct unpickler *unpickler, PyObject *setstate, PyObject *object,
                      PyObject *object_state)
{
    if (load_hand_over(unpickler, &object_state, 1) < 0) {
        return -1;
    }
    PyTypeObject *type = Py_TYPE(object);
    descrgetfunc bind = Py_TYPE(setstate)->tp_descr_get;
    PyObject *returned, *bound = NULL;
    if (PyFunction_Check(setstate)) {
        PyObject *arguments[] = {NULL, object, object_state};
        returned =
            PyObject_Vectorcall(setstate, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    else {
        bound = bind == NULL ? Py_NewRef(setstate) : bind(setstate, object, (PyObject *)type);
        returned = bound == NULL ? NULL : PyObject_CallOneArg(bound, object_state);
    }
    Py_XDECREF(bound);
    Py_XDECREF(returned);
    if (returned == NULL) {
        return -1;
    }
    return PyList_CheckExact(object_state) ? frozen_check(unpickler->state, object, object_state)
                                           : 0;
}

/* Sets items in the __dict__ of an instance under interned names.  0 or -1.  Runs Python code. */
static int
set_state_items(struct unpickler *unpickler, PyObject *object, PyObject *half)
{
    PyObject *name, *value, *dict = PyObject_GetAttr(object, unpickler->state->str.dict);
    if (dict == NULL) {
        return -1;
    }
    int result = 0;
    if (!PyDict_CheckExact(dict)) {
        result = safe_refuse_here(unpickler, "items", dict);
    }
    Py_ssize_t position = 0;
    while (result == 0 && PyDict_Next(half, &position, &name, &value)) {
        Py_INCREF(name);
        Py_INCREF(value);
        PyUnicode_InternInPlace(&name);
        result = PyDict_SetItem(dict, name, value);
        Py_DECREF(name);
        Py_DECREF(value);
    }
    Py_DECREF(dict);
    return result;
}

/* Sets attributes of an instance.  0 or -1.  Runs Python code. */
static int
set_attributes(PyObject *object, PyObject *half)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;
    int result = 0;
    while (result == 0 && PyDict_Next(half, &position, &name, &value)) {
        Py_INCREF(name);
        Py_INCREF(value);
        result = PyObject_SetAttr(object, name, value);
        Py_DECREF(name);
        Py_DECREF(value);
    }
    return result;
}

/* Stores a state that has been checked, where the class has no __setstate__.  0 or -1. */
static int
store_state(struct unpickler *unpickler, PyObject *object, PyObject *object_state)
{
    PyObject *dict_half = object_state, *slot_half = Py_None;
    if (PyTuple_CheckExact(object_state)) {
        dict_half = PyTuple_GET_ITEM(object_state, 0);
        slot_half = PyTuple_GET_ITEM(object_state, 1);
    }
    if (dict_half != Py_None && set_state_items(unpickler, object, dict_half) < 0) {
        return -1;
    }
    return slot_half == Py_None ? 0 : set_attributes(object, slot_half);
}

/* BUILD of an object that takes state.  __setstate__ is read from the class without being
   bound.  0 or -1.  Runs Python code. */
static int
build(struct unpickler *unpickler, PyObject *object, PyObject *object_state)
{
    /* A __setstate__ of the class that need not be called. */
    int done = setstate_apply_known(unpickler->state, object, object_state);
    if (done != 0) {
        return done < 0 ? -1 : 0;
    }
    PyObject *setstate = type_lookup(Py_TYPE(object), unpickler->state->str.setstate);
    if (setstate == NULL) {
        return check_state(unpickler, object_state) < 0
                   ? -1
                   : store_state(unpickler, object, object_state);
    }
    Py_INCREF(setstate);
    done = call_allowed_setstate(unpickler, setstate, object, object_state);
    Py_DECREF(setstate);
    return done;
}

/* Charges the items that are copied of a state: 0, or -1 with UnpicklingError. */
static int
charge_state(struct unpickler *unpickler, PyObject *object_state)
{
    uint64_t amount = 0;
    if (PyDict_CheckExact(object_state)) {
        amount = (uint64_t)PyDict_GET_SIZE(object_state);
    }
    else if (PyTuple_CheckExact(object_state) && PyTuple_GET_SIZE(object_state) == 2) {
        for (int i = 0; i < 2; i++) {
            PyObject *half = PyTuple_GET_ITEM(object_state, i);
            amount += PyDict_CheckExact(half) ? (uint64_t)PyDict_GET_SIZE(half) : 0;
        }
    }
    return safe_charge(unpickler, amount);
}

int
safe_build(struct unpickler *unpickler)
{
    if (load_reach(unpickler) < 2) {
        return 0;
    }
    PyObject *object_state = unpickler->top[-1], *object = unpickler->top[-2];
    unsigned int ways = ways_of(unpickler, object);
    if (ways == 0) {
        return safe_refuse_here(unpickler, "build", object);
    }
    if (ways == SAFE_TAKES_UUID && !is_uuid_state(safe_policy_of(unpickler), object_state)) {
        return safe_refuse_here(unpickler, "state", object_state);
    }
    if (safe_nest_state(unpickler, unpickler->top - 2, 0) < 0) {
        return -1;
    }
    if (charge_state(unpickler, object_state) < 0) {
        return -1;
    }
    unpickler->top--;
    int result = build(unpickler, object, object_state);
    Py_DECREF(object_state);
    return result < 0 ? -1 : 1;
}
