/* The state of an object, given to it as BUILD does: see load_build.h. */
#include "load/load_build.h"

#include "types/setstate.h"
#include "types/frozen.h"

/* Sets the items of a state dict in the instance's __dict__; keys are interned, as the
   names of attributes are.  Items are owned while Python code runs, which may change
   the state.  0, or -1 with an exception. */
static int
set_dict_state(struct core_state *state, struct key_bounds *bounds, PyObject *object,
               PyObject *dict_state)
{
    if (!PyDict_Check(dict_state)) {
        PyErr_SetString(state->stdlib.unpickling_error, "state is not a dictionary");
        return -1;
    }
    PyObject *dict = PyObject_GetAttr(object, state->str.dict);
    if (dict == NULL) {
        return -1;
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int result = 0;
    while (result == 0 && PyDict_Next(dict_state, &position, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        if (PyUnicode_CheckExact(key)) {
            PyUnicode_InternInPlace(&key);
        }
        result = load_check_key(state, bounds, dict, key);
        result = result == 0 ? PyObject_SetItem(dict, key, value) : -1;
        Py_DECREF(key);
        Py_DECREF(value);
    }
    Py_DECREF(dict);
    return result;
}

/* Sets the items of a slot state as attributes.  0, or -1 with an exception. */
static int
set_slot_state(struct core_state *state, PyObject *object, PyObject *slot_state)
{
    if (!PyDict_Check(slot_state)) {
        PyErr_SetString(state->stdlib.unpickling_error, "slot state is not a dictionary");
        return -1;
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int result = 0;
    while (result == 0 && PyDict_Next(slot_state, &position, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        result = PyObject_SetAttr(object, key, value);
        Py_DECREF(key);
        Py_DECREF(value);
    }
    return result;
}

int
load_build_state(struct core_state *state, struct key_bounds *bounds, struct handed *handed,
                 PyObject *object, PyObject *object_state)
{
    PyObject *setstate;
    int done = setstate_apply(state, handed, object, object_state);
    if (done != 0) {
        return done < 0 ? -1 : 0;
    }
    if (PyObject_GetOptionalAttr(object, state->str.setstate, &setstate) < 0) {
        return -1;
    }
    if (setstate != NULL) {
        PyObject *returned = handed_keep(handed, object_state) < 0
                                 ? NULL
                                 : PyObject_CallOneArg(setstate, object_state);
        Py_DECREF(setstate);
        if (returned == NULL) {
            return -1;
        }
        Py_DECREF(returned);
        return 0;
    }
    PyObject *dict_state = object_state, *slot_state = NULL;
    if (PyTuple_Check(object_state) && PyTuple_GET_SIZE(object_state) == 2) {
        dict_state = PyTuple_GET_ITEM(object_state, 0);
        slot_state = PyTuple_GET_ITEM(object_state, 1);
    }
    if (dict_state != Py_None && set_dict_state(state, bounds, object, dict_state) < 0) {
        return -1;
    }
    if (slot_state == NULL) {
        return 0;
    }
    if (Py_TYPE(object)->tp_setattro != PyObject_GenericSetAttr
        && handed_keep(handed, slot_state) < 0) {
        return -1;
    }
    return set_slot_state(state, object, slot_state);
}
