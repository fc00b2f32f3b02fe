/* Steps that look into containers: see plan_filter.h. */
#include "plans/plan_filter.h"

#include "base/atom.h"
#include "base/layout.h"
#include "base/walk.h"

/* What a call gave, which is stolen. */
static enum outcome
given(PyObject *result, PyObject **value)
{
    *value = result;
    return result == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

int
read_truth(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (value == Py_None || type == &PyBool_Type) {
        return value == Py_True;
    }
    if (type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type
        || type == &PyTuple_Type || type == &PyList_Type || type == &PyDict_Type
        || type == &PySet_Type || type == &PyFrozenSet_Type || type == &PyBytes_Type) {
        return PyObject_IsTrue(value);
    }
    int has_truth = (type->tp_as_number != NULL && type->tp_as_number->nb_bool != NULL)
                    || (type->tp_as_mapping != NULL && type->tp_as_mapping->mp_length != NULL)
                    || (type->tp_as_sequence != NULL && type->tp_as_sequence->sq_length != NULL);
    return has_truth ? -1 : 1;
}

/* The tests of FILTER, in the order of FILTER_TESTS in fastcopyreg/_compiler/steps.py. */
enum filter_test {
    TEST_VALUE_IS,
    TEST_VALUE_TRUE,
    TEST_KEY_EQUAL,
    TEST_KEY_IN,
    TEST_KEY_STARTS,
    TEST_KEY_ENDS
};

static int
set_has_only_str(PyObject *set)
{
    Py_ssize_t position = 0;
    PyObject *item, *walked = set_for_walk(set);
    int only = walked != NULL;
    while (only && set_next(walked, &position, &item)) {
        only = PyUnicode_CheckExact(item);
    }
    Py_XDECREF(walked);
    PyErr_Clear();
    return only;
}

/* True if all items of a container are exact str, so that looking for one runs no code. */
static int
has_only_str(PyObject *container)
{
    if (PyDict_CheckExact(container)) {
        return layout_has_only_str_keys(container);
    }
    if (PyAnySet_CheckExact(container)) {
        return set_has_only_str(container);
    }
    if (!PyTuple_CheckExact(container) && !PyList_CheckExact(container)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(container); i++) {
        if (!PyUnicode_CheckExact(PySequence_Fast_GET_ITEM(container, i))) {
            return 0;
        }
    }
    return 1;
}

/* True if the test against the operand runs no code, whatever the pair. */
static int
can_filter(enum filter_test test, PyObject *operand)
{
    switch (test) {
    case TEST_VALUE_IS:
    case TEST_VALUE_TRUE: return 1;
    case TEST_KEY_IN: return has_only_str(operand);
    default: return PyUnicode_CheckExact(operand);
    }
}

/* Whether a pair passes: 1, 0, or -1 if telling would run code or has raised. */
static int
pair_passes(enum filter_test test, PyObject *operand, PyObject *key, PyObject *value)
{
    switch (test) {
    case TEST_VALUE_IS: return value == operand;
    case TEST_VALUE_TRUE: return read_truth(value);
    case TEST_KEY_EQUAL: return PyUnicode_Compare(key, operand) == 0;
    case TEST_KEY_IN: return PySequence_Contains(operand, key);
    default:
        return (int)PyUnicode_Tailmatch(key, operand, 0, PY_SSIZE_T_MAX,
                                        test == TEST_KEY_STARTS ? -1 : 1);
    }
}

enum outcome
plan_filter(PyObject *dict, unsigned int test_and_result, PyObject *operand, PyObject **value)
{
    PyObject *key, *item;
    enum filter_test test = (enum filter_test)(test_and_result >> 1);
    int dropped = test_and_result & 1;
    if (!PyDict_CheckExact(dict) || !layout_has_only_str_keys(dict)
        || !can_filter(test, operand)) {
        return OUTCOME_BAIL;
    }
    int collects = collector_hold(), passes = 0;
    Py_ssize_t position = 0;
    *value = PyDict_New();
    while (*value != NULL && passes >= 0 && PyDict_Next(dict, &position, &key, &item)) {
        passes = pair_passes(test, operand, key, item);
        if (passes >= 0 && passes != dropped && PyDict_SetItem(*value, key, item) < 0) {
            passes = -1;
        }
    }
    collector_resume(collects);
    if (*value == NULL || PyErr_Occurred()) {
        return OUTCOME_RAISED;
    }
    return passes < 0 ? OUTCOME_BAIL : OUTCOME_DONE;
}

enum outcome
plan_contains(PyObject *key, PyObject *container, PyObject **value)
{
    if (!PyUnicode_CheckExact(key) || !has_only_str(container)) {
        return OUTCOME_BAIL;
    }
    int found = PySequence_Contains(container, key);
    return given(found < 0 ? NULL : PyBool_FromLong(found), value);
}

enum outcome
plan_equal(PyObject *value, PyObject *other, PyObject **equal)
{
    return is_atom(value) && is_atom(other)
               ? given(PyObject_RichCompare(value, other, Py_EQ), equal)
               : OUTCOME_BAIL;
}
