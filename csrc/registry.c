/* copyreg's tables: see registry.h. */
#include "registry.h"

int
registry_find_reducer(struct core_state *state, PyObject *private_table, PyTypeObject *type,
                      PyObject **reducer)
{
    PyObject *key = (PyObject *)type;
    if (private_table == NULL) {
        return PyDict_GetItemRef(state->stdlib.dispatch_table, key, reducer);
    }
    if (PyDict_CheckExact(private_table)) {
        return PyDict_GetItemRef(private_table, key, reducer);
    }
    return PyMapping_GetOptionalItem(private_table, key, reducer);
}

int
registry_find_extension(struct core_state *state, PyObject *module_name, PyObject *name,
                        PyObject **code)
{
    *code = NULL;
    if (PyDict_GET_SIZE(state->stdlib.extension_registry) == 0) {
        return 0;
    }
    PyObject *key = PyTuple_Pack(2, module_name, name);
    if (key == NULL) {
        return -1;
    }
    int found = PyDict_GetItemRef(state->stdlib.extension_registry, key, code);
    Py_DECREF(key);
    return found;
}
