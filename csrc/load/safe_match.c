/* Arguments against the forms that they may have: see safe_match.h and safe_forms.h. */
#include "load/safe_match.h"

#include "load/safe_heights.h"
#include "load/safe_keys.h"
#include "load/safe_limits.h"

/* Charges an argument; 1, or -1 with UnpicklingError.  Without a machine 1, if it is little. */
static int
charged(struct unpickler *unpickler, uint64_t amount)
{
    enum { LITTLE = 1024 };
    if (unpickler == NULL) {
        return amount <= LITTLE;
    }
    return safe_charge(unpickler, amount) < 0 ? -1 : 1;
}

/* The bits of an integer that no machine word holds; -1 with an exception. */
static long
bits_of(PyObject *integer)
{
    PyObject *bits = PyObject_CallMethod(integer, "bit_length", NULL);
    long number = bits == NULL ? -1 : PyLong_AsLong(bits);
    Py_XDECREF(bits);
    return number;
}

static int
matches_int(struct unpickler *unpickler, const struct safe_spec *spec, PyObject *object)
{
    if (!PyLong_CheckExact(object)) {
        return 0;
    }
    int overflow = 0;
    long long value = long_is_small(object) ? long_small_value(object)
                                            : PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) {
        return spec->low <= value && value <= spec->high;
    }
    if (overflow > 0 ? spec->high != LLONG_MAX : spec->low != LLONG_MIN) {
        return 0;
    }
    long bits = bits_of(object);
    if (bits < 0) {
        return -1;
    }
    uint64_t words = (uint64_t)bits / 32 + 1; /* the work done with it may take their square */
    return charged(unpickler, words * words);
}

/* True if the object is a text that the spec allows. */
ALWAYS_INLINE int
is_text_of(const struct safe_spec *spec, PyObject *object)
{
    if (!PyUnicode_CheckExact(object) || PyUnicode_GET_LENGTH(object) > spec->high) {
        return 0;
    }
    if (spec->any_character) {
        return 1;
    }
    if (!PyUnicode_IS_ASCII(object)) {
        return 0;
    }
    const unsigned char *text = PyUnicode_1BYTE_DATA(object);
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(object); i++) {
        if (!spec->characters[text[i]]) {
            return 0;
        }
    }
    return 1;
}

static int
matches_text(struct unpickler *unpickler, const struct safe_spec *spec, PyObject *object)
{
    return is_text_of(spec, object) ? charged(unpickler, (uint64_t)PyUnicode_GET_LENGTH(object))
                                    : 0;
}

static int
matches_bytes(struct unpickler *unpickler, const struct safe_spec *spec, PyObject *object)
{
    if (!PyBytes_CheckExact(object) || PyBytes_GET_SIZE(object) < spec->low
        || PyBytes_GET_SIZE(object) > spec->high) {
        return 0;
    }
    return charged(unpickler, (uint64_t)PyBytes_GET_SIZE(object));
}

static int
is_number_or_text(PyObject *object)
{
    return object == Py_None || PyLong_Check(object) || PyFloat_CheckExact(object)
           || PyUnicode_CheckExact(object);
}

static int
are_atoms(PyObject *const *items, Py_ssize_t count)
{
    while (count > 0 && is_number_or_text(items[count - 1])) {
        count--;
    }
    return count == 0;
}

/* A dict. */
static int
matches_dict(struct unpickler *unpickler, const struct safe_spec *spec, PyObject *object)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    if (!PyDict_CheckExact(object)) {
        return 0;
    }
    while (spec->low > 0 && PyDict_Next(object, &position, &key, &value)) {
        if (!is_number_or_text(value)) {
            return 0;
        }
    }
    return charged(unpickler, (uint64_t)PyDict_GET_SIZE(object));
}

/* A list or tuple, which is hashed if it is SPEC_KEYS, and else put into what is called. */
static int
matches_list(struct unpickler *unpickler, const struct safe_spec *spec, PyObject *object)
{
    if (!PyList_CheckExact(object) && !PyTuple_CheckExact(object)) {
        return 0;
    }
    int result = charged(unpickler, (uint64_t)Py_SIZE(object));
    PyObject **parts = PySequence_Fast_ITEMS(object);
    if (result <= 0 || spec->low > 0) {
        return result <= 0 ? result : are_atoms(parts, Py_SIZE(object));
    }
    if (spec->kind == SPEC_LIST && !safe_may_hold(parts, parts + Py_SIZE(object), 1)) {
        return 1;
    }
    PyObject *items = PySequence_Tuple(object); /* owns them while they are hashed or noted */
    if (items == NULL) {
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    PyObject *const *first = &PyTuple_GET_ITEM(items, 0);
    if (spec->kind == SPEC_KEYS) {
        result = safe_check_keys(unpickler, NULL, first, first + count, 1) < 0 ? -1 : 1;
    }
    else {
        result = safe_hold(unpickler, NULL, first, first + count, 1) < 0 ? -1 : 1;
    }
    Py_DECREF(items);
    return result;
}

static int
matches_factory(const PolicyObject *policy, PyObject *object)
{
    const struct safe_entry *entry = policy_entry(policy, object);
    return entry != NULL ? (entry->flags & SAFE_IS_FACTORY) != 0
                         : policy->any_class && PyType_Check(object);
}

/* Of the type `object`, if it is not None.  A text in it is charged, as it may be shown or
   compared. */
static int
matches_parts(struct unpickler *unpickler, const PolicyObject *policy,
              const struct safe_spec *spec, PyObject *object)
{
    uint64_t size = 0;
    if (object == Py_None || PyLong_CheckExact(object)) {
        return spec->object == Py_None;
    }
    if (spec->object != Py_None && (PyObject *)Py_TYPE(object) != spec->object) {
        return 0;
    }
    return safe_has_few_parts(policy, object, spec->low > 0, &size) ? charged(unpickler, size) : 0;
}

/* True if an argument has the form at a glance; what it costs is added. */
ALWAYS_INLINE int
fits(const struct safe_spec *spec, PyObject *object, uint64_t *cost)
{
    switch (spec->kind) {
    case SPEC_NONE: return object == Py_None;
    case SPEC_INT:
        return PyLong_CheckExact(object) && long_is_small(object)
               && spec->low <= long_small_value(object) && long_small_value(object) <= spec->high;
    case SPEC_FLOAT: return PyFloat_CheckExact(object);
    case SPEC_STR:
        if (!is_text_of(spec, object)) {
            return 0;
        }
        *cost += (uint64_t)PyUnicode_GET_LENGTH(object);
        return 1;
    case SPEC_EXACT: return (PyObject *)Py_TYPE(object) == spec->object;
    case SPEC_LIST: return PyTuple_CheckExact(object) && PyTuple_GET_SIZE(object) == 0;
    case SPEC_PARTS:
        return spec->object == Py_None && (object == Py_None || PyLong_CheckExact(object));
    default: return 0;
    }
}

/* True if all arguments have the form so. */
ALWAYS_INLINE int
all_fit(const struct safe_form *bound, PyObject *const *arguments, Py_ssize_t count,
        uint64_t *cost)
{
    Py_ssize_t fitting = 0;
    if (count != bound->count || bound->repeats) {
        return 0;
    }
    if (bound->are_numbers) {
        while (fitting < count
               && (PyLong_CheckExact(arguments[fitting]) || arguments[fitting] == Py_None)) {
            fitting++;
        }
        return fitting == count;
    }
    while (fitting < count && fits(&bound->specs[fitting], arguments[fitting], cost)) {
        fitting++;
    }
    return fitting == count;
}

/* 1, 0, or -1 with an exception. */
static int
matches_spec(struct unpickler *unpickler, const PolicyObject *policy, const struct safe_spec *spec,
             PyObject *object)
{
    switch (spec->kind) {
    case SPEC_ANY: return 1;
    case SPEC_NONE: return object == Py_None;
    case SPEC_INT: return matches_int(unpickler, spec, object);
    case SPEC_FLOAT: return PyFloat_CheckExact(object);
    case SPEC_STR: return matches_text(unpickler, spec, object);
    case SPEC_BYTES: return matches_bytes(unpickler, spec, object);
    case SPEC_DICT: return unpickler == NULL ? 0 : matches_dict(unpickler, spec, object);
    case SPEC_LIST:
    case SPEC_KEYS: return unpickler == NULL ? 0 : matches_list(unpickler, spec, object);
    case SPEC_EXACT: return (PyObject *)Py_TYPE(object) == spec->object;
    case SPEC_SUBTYPE: return PyObject_TypeCheck(object, (PyTypeObject *)spec->object);
    case SPEC_IS: return object == spec->object;
    case SPEC_FACTORY: return matches_factory(policy, object);
    case SPEC_WORD:
        return PyUnicode_CheckExact(object) && PyUnicode_Compare(object, spec->object) == 0;
    case SPEC_PARTS: return matches_parts(unpickler, policy, spec, object);
    }
    return 0;
}

static int
matches_form(struct unpickler *unpickler, const PolicyObject *policy,
             const struct safe_form *bound, PyObject *const *arguments, Py_ssize_t count)
{
    Py_ssize_t least = bound->count - bound->repeats;
    if (bound->repeats ? count < least : count != least) {
        return 0;
    }
    int result = count > bound->count ? charged(unpickler, (uint64_t)count) : 1;
    for (Py_ssize_t i = 0; result > 0 && i < count; i++) {
        const struct safe_spec *spec = &bound->specs[i < bound->count ? i : bound->count - 1];
        result = matches_spec(unpickler, policy, spec, arguments[i]);
    }
    return result;
}

int
safe_match(struct unpickler *unpickler, const PolicyObject *policy, const struct safe_forms *forms,
           PyObject *const *arguments, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < forms->count; i++) {
        uint64_t cost = 0;
        if (all_fit(&forms->forms[i], arguments, count, &cost)) {
            return likely(cost == 0) ? 1 : charged(unpickler, cost);
        }
    }
    int result = forms->count == FORMS_ANY;
    for (Py_ssize_t i = 0; result == 0 && i < forms->count; i++) {
        result = matches_form(unpickler, policy, &forms->forms[i], arguments, count);
    }
    return result;
}
