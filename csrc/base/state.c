/* The state of the module that every room needs: see state.h. */
#include "base/state.h"

THREAD_LOCAL int thread_calls;

int
core_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    PyObject *object = PyType_FromModuleAndSpec(module, spec, NULL);
    if (object == NULL) {
        return -1;
    }
    *type = (PyTypeObject *)object;
    return PyModule_AddType(module, *type);
}

int
core_add_functions(PyObject *module, PyMethodDef *functions, const char *owner)
{
    PyObject *owner_name = PyUnicode_InternFromString(owner);
    int result = owner_name == NULL ? -1 : 0;
    for (; result == 0 && functions->ml_name != NULL; functions++) {
        PyObject *function = PyCFunction_NewEx(functions, module, owner_name);
        result = PyModule_AddObjectRef(module, functions->ml_name, function);
        Py_XDECREF(function);
    }
    Py_XDECREF(owner_name);
    return result;
}
