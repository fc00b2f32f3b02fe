/* Reduce values: see reduction.h. */
#include "base/reduction.h"

/* Arguments None are valid for a class that defines __basicnew__ (Python 2.0). */
static enum reduction_fault
check_basicnew(struct core_state *state, PyObject *callable)
{
    if (!PyType_Check(callable)) {
        return REDUCTION_ARGS;
    }
    PyObject *basicnew;
    int found = PyObject_GetOptionalAttr(callable, state->str.basicnew, &basicnew);
    Py_XDECREF(basicnew);
    return found < 0 ? REDUCTION_RAISED : found ? REDUCTION_VALID : REDUCTION_ARGS;
}

/* Callable and arguments. */
static enum reduction_fault
check_construction(struct core_state *state, PyObject *reduce_value)
{
    PyObject *callable = PyTuple_GET_ITEM(reduce_value, PART_CALLABLE);
    PyObject *args = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    if (!PyCallable_Check(callable)) {
        return REDUCTION_CALLABLE;
    }
    if (likely(PyTuple_Check(args))) {
        return REDUCTION_VALID;
    }
    return args == Py_None ? check_basicnew(state, callable) : REDUCTION_ARGS;
}

/* List items, dict items and the state setter. */
static enum reduction_fault
check_contents(PyObject *reduce_value)
{
    PyObject *part = reduction_part(reduce_value, PART_LISTITEMS);
    if (part != NULL && !PyIter_Check(part)) {
        return REDUCTION_LISTITEMS;
    }
    part = reduction_part(reduce_value, PART_DICTITEMS);
    if (part != NULL && !PyIter_Check(part)) {
        return REDUCTION_DICTITEMS;
    }
    part = reduction_part(reduce_value, PART_STATE_SETTER);
    return part != NULL && !PyCallable_Check(part) ? REDUCTION_STATE_SETTER : REDUCTION_VALID;
}

enum reduction_fault
reduction_check(struct core_state *state, PyObject *reduce_value)
{
    if (!PyTuple_Check(reduce_value)) {
        return REDUCTION_NOT_TUPLE;
    }
    Py_ssize_t size = PyTuple_GET_SIZE(reduce_value);
    if (size < 2 || size > 6) {
        return REDUCTION_SIZE;
    }
    enum reduction_fault fault = check_construction(state, reduce_value);
    return fault != REDUCTION_VALID || size <= PART_LISTITEMS ? fault
                                                              : check_contents(reduce_value);
}

enum reduction_fault
reduction_check_for_copy(PyObject *reduce_value)
{
    if (!PyTuple_CheckExact(reduce_value)) {
        return REDUCTION_NOT_TUPLE;
    }
    Py_ssize_t size = PyTuple_GET_SIZE(reduce_value);
    if (size < 2 || size > 5) {
        return REDUCTION_SIZE;
    }
    return PyTuple_CheckExact(PyTuple_GET_ITEM(reduce_value, PART_ARGS)) ? REDUCTION_VALID
                                                                         : REDUCTION_ARGS;
}

static enum reduction_form
reduction_form_of_name(struct core_state *state, PyObject *name)
{
    if (name == state->str.newobj || name == state->str.newobj_ex) {
        return name == state->str.newobj ? FORM_NEWOBJ : FORM_NEWOBJ_EX;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    if (length == PyUnicode_GET_LENGTH(state->str.newobj_ex)
        && PyUnicode_Compare(name, state->str.newobj_ex) == 0) {
        return FORM_NEWOBJ_EX;
    }
    return length == PyUnicode_GET_LENGTH(state->str.newobj)
                   && PyUnicode_Compare(name, state->str.newobj) == 0
               ? FORM_NEWOBJ
               : FORM_CALL;
}

/* The __name__ of a class or function where no Python code can answer for it; borrowed or NULL. */
static PyObject *
name_at_hand(struct core_state *state, PyObject *callable)
{
    if (PyFunction_Check(callable)) {
        return ((PyFunctionObject *)callable)->func_name;
    }
    if (PyType_Check(callable) && metaclass_leaves_alone(state, (PyTypeObject *)callable)
        && PyType_HasFeature((PyTypeObject *)callable, Py_TPFLAGS_HEAPTYPE)) {
        return ((PyHeapTypeObject *)callable)->ht_name;
    }
    return NULL;
}

int
reduction_find_form(struct core_state *state, PyObject *callable, enum reduction_form *form)
{
    PyObject *name = name_at_hand(state, callable);
    if (name != NULL) {
        *form = reduction_form_of_name(state, name);
        return 0;
    }
    if (PyObject_GetOptionalAttr(callable, state->str.name, &name) < 0) {
        return -1;
    }
    *form = FORM_CALL;
    if (name != NULL && PyUnicode_Check(name)) {
        *form = reduction_form_of_name(state, name);
    }
    Py_XDECREF(name);
    return 0;
}

int
reduction_is_call(struct core_state *state, PyTypeObject *type)
{
    enum reduction_form form;
    return !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
           || (reduction_find_form(state, (PyObject *)type, &form) == 0 && form == FORM_CALL);
}

PyObject *
reduction_of_state(struct core_state *state, PyTypeObject *type, PyObject *object_state)
{
    PyObject *arguments = PyTuple_Pack(1, type);
    PyObject *value = arguments == NULL ? NULL
                                        : PyTuple_Pack(5, state->stdlib.copyreg_newobj, arguments,
                                                       object_state, Py_None, Py_None);
    Py_XDECREF(arguments);
    return value;
}
