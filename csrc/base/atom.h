/* Atoms of which nothing is asked. */
#ifndef FASTCOPYREG_BASE_ATOM_H
#define FASTCOPYREG_BASE_ATOM_H

#include "base/compat.h"

/* True for an exact str, int, float or bool and for None, which are hashed and compared with one
   another without running code. */
ALWAYS_INLINE int
is_atom(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type
           || object == Py_None || type == &PyBool_Type;
}

#endif
