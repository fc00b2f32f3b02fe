/* How classes find attributes: see lookup.h. */
#include "base/lookup.h"

int
lookup_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *cls = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){sO}", "Asked",
                                          "__getattr__", Py_None);
    if (cls == NULL) {
        return -1;
    }
    state->getattr_hook = ((PyTypeObject *)cls)->tp_getattro;
    Py_DECREF(cls);
    return 0;
}
