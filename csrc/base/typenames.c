/* The name by which a pickle says where one of our types is.

   Our types are immutable, as the standard library's are, so Python code cannot set their
   __module__.  install() has to: while our Pickler is what `_pickle.Pickler` means, it is
   pickled under that name.  Functions have a __module__ that can be set. */
#include "base/typenames.h"

PyDoc_STRVAR(set_type_module_doc, "set_type_module(type, name, /)\n"
                                  "--\n\n"
                                  "Set the __module__ of one of this module's own types.");

/* None; TypeError if the argument is no type of ours.  Runs no Python code but what a dict of
   strings runs. */
static PyObject *
set_type_module(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyType_Check(args[0]) || !PyUnicode_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "set_type_module() takes a type and a str");
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)args[0];
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
        || ((PyHeapTypeObject *)type)->ht_module != module) {
        PyErr_Format(PyExc_TypeError, "%R is not one of this module's types", type);
        return NULL;
    }
    if (PyDict_SetItemString(type->tp_dict, "__module__", args[1]) < 0) {
        return NULL;
    }
    PyType_Modified(type);
    Py_RETURN_NONE;
}

static PyMethodDef typenames_functions[] = {
    {"set_type_module", (PyCFunction)(void (*)(void))set_type_module, METH_FASTCALL,
     set_type_module_doc},
    {NULL, NULL, 0, NULL},
};

int
typenames_setup(PyObject *module)
{
    return PyModule_AddFunctions(module, typenames_functions);
}
