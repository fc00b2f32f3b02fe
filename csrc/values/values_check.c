/* Comparing what is read of the first object of a type with what its reducer gives: see values.h.
 */
#include "base/helpers.h"
#include "base/layout.h"
#include "base/reduction.h"
#include "values/values.h"

/* True if a real argument is what the row read. */
static int
part_is(const struct value_part *part, PyObject *argument)
{
    int64_t number;
    const char *data = part->is.data;
    switch (part->kind) {
    case VALUE_OBJECT: return argument == part->is.object;
    case VALUE_BYTES:
        return PyBytes_CheckExact(argument) && PyBytes_GET_SIZE(argument) == part->size
               && memcmp(PyBytes_AS_STRING(argument), data, (size_t)part->size) == 0;
    case VALUE_TEXT:
        return PyUnicode_CheckExact(argument) && PyUnicode_IS_COMPACT_ASCII(argument)
               && PyUnicode_GET_LENGTH(argument) == part->size
               && memcmp(PyUnicode_1BYTE_DATA(argument), data, (size_t)part->size) == 0;
    case VALUE_NUMBER:
        return PyLong_CheckExact(argument) && long_as_small(argument, &number)
               && number == part->is.number;
    case VALUE_REAL:
        return PyFloat_CheckExact(argument)
               && memcmp(&((PyFloatObject *)argument)->ob_fval, &part->is.real, sizeof(double))
                      == 0;
    case VALUE_EMPTY: return PyTuple_CheckExact(argument) && PyTuple_GET_SIZE(argument) == 0;
    }
    return 0;
}

static int
arguments_are(const struct value_parts *parts, PyObject *args)
{
    int same = PyTuple_CheckExact(args) && PyTuple_GET_SIZE(args) == parts->count;
    for (int i = 0; same && i < parts->count; i++) {
        same = part_is(&parts->list[i], PyTuple_GET_ITEM(args, i));
    }
    return same;
}

/* True if a reduce value has what the row says behind its arguments, and nothing else. */
static int
contents_are(const struct value *value, PyObject *object, PyObject *reduce_value)
{
    PyObject *state = reduction_part(reduce_value, PART_STATE);
    PyObject *items = reduction_part(reduce_value, PART_LISTITEMS);
    PyObject *pairs = reduction_part(reduce_value, PART_DICTITEMS);
    PyObject *dict = value->contents == CONTENTS_DICT || value->contents == CONTENTS_EXCEPTION
                         ? layout_find_dict(object, Py_TYPE(object))
                         : NULL;
    return state == dict && (items != NULL) == (value->contents == CONTENTS_ITEMS)
           && (pairs != NULL)
                  == (value->contents == CONTENTS_PAIRS || value->contents == CONTENTS_ORDERED)
           && reduction_part(reduce_value, PART_STATE_SETTER) == NULL;
}

/* True if a reduce value is that of copyreg.__newobj__ with the state {'int': number}. */
static int
is_integer_state(struct core_state *state, PyTypeObject *type, const struct value_parts *parts,
                 PyObject *reduce_value)
{
    PyObject *args = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    PyObject *dict = reduction_part(reduce_value, PART_STATE);
    return PyTuple_GET_ITEM(reduce_value, PART_CALLABLE) == state->stdlib.copyreg_newobj
           && PyTuple_CheckExact(args) && PyTuple_GET_SIZE(args) == 1
           && PyTuple_GET_ITEM(args, 0) == (PyObject *)type && dict != NULL
           && PyDict_CheckExact(dict) && PyDict_GET_SIZE(dict) == 1
           && layout_has_only_str_keys(dict)
           && PyDict_GetItemWithError(dict, state->str.int_) == parts->list[0].is.object
           && reduction_part(reduce_value, PART_LISTITEMS) == NULL
           && reduction_part(reduce_value, PART_DICTITEMS) == NULL
           && reduction_part(reduce_value, PART_STATE_SETTER) == NULL;
}

/* True if a reduce value is that of the class and a dict with the items of the object, in the same
   order. */
static int
is_copied(PyObject *object, PyObject *reduce_value)
{
    PyObject *args = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    if (PyTuple_GET_SIZE(reduce_value) != 2 || !PyTuple_CheckExact(args)
        || PyTuple_GET_SIZE(args) != 1
        || PyTuple_GET_ITEM(reduce_value, PART_CALLABLE) != (PyObject *)Py_TYPE(object)) {
        return 0;
    }
    PyObject *copy = PyTuple_GET_ITEM(args, 0), *key, *value, *copied_key, *copied;
    Py_ssize_t i = 0, j = 0;
    if (!PyDict_CheckExact(copy) || PyDict_GET_SIZE(copy) != PyDict_GET_SIZE(object)) {
        return 0;
    }
    while (PyDict_Next(object, &i, &key, &value)) {
        if (!PyDict_Next(copy, &j, &copied_key, &copied) || key != copied_key || value != copied) {
            return 0;
        }
    }
    return 1;
}

static int
reduce_value_is(struct core_state *state, const struct value *value, PyObject *object,
                const struct value_parts *parts, PyObject *reduce_value)
{
    if (value->contents == CONTENTS_INTEGER) {
        return is_integer_state(state, Py_TYPE(object), parts, reduce_value);
    }
    if (value->contents == CONTENTS_COPY) {
        return is_copied(object, reduce_value);
    }
    PyObject *args = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    return PyTuple_GET_ITEM(reduce_value, PART_CALLABLE) == (PyObject *)Py_TYPE(object)
           && (value->contents == CONTENTS_EXCEPTION ? part_is(parts->list, args)
                                                     : arguments_are(parts, args))
           && contents_are(value, object, reduce_value);
}

/* True if the functions of a type of Python may be left out: 1, 0 if that is not asked now, -1
   with what a signal handler raised; 0 and the row is off if they may not. */
static int
functions_are_known(struct core_state *state, const struct value *value, PyTypeObject *type)
{
    if (value->known_as == NULL) {
        return 1;
    }
    if (!helper_may_run(state, HELPER_VALUES)) {
        return 0;
    }
    int known = values_guard_is_known(state, value, type);
    if (known == 0) {
        *values_status(state, value) = VALUE_OFF;
    }
    return known;
}

int
values_check(struct core_state *state, const struct value *value, PyObject *object,
             PyObject *reduce_value)
{
    struct value_parts parts;
    if (!PyTuple_Check(reduce_value) || PyTuple_GET_SIZE(reduce_value) < 2) {
        return 0;
    }
    int known = functions_are_known(state, value, Py_TYPE(object));
    if (known <= 0 || !values_read(state, value, object, &parts)) {
        return known < 0 ? -1 : 0;
    }
    int same = reduce_value_is(state, value, object, &parts, reduce_value);
    values_release(&parts);
    *values_status(state, value) = same ? VALUE_HOLDS : VALUE_OFF;
    return 0;
}
