/* Constructors that are read: classes and functions that are hot, whose plan the compiler makes.

   Everything else that a plan relies on is found here, once: the functions that the class version
   covers, and the place of each store in instances. */
#ifndef FASTCOPYREG_TYPES_CONSTRUCT_READ_H
#define FASTCOPYREG_TYPES_CONSTRUCT_READ_H

#include "base/state.h"
#include "types/class_values.h"

/* True if type.__call__ does no more for the class than object.__new__ and __init__ (or
   tuple.__new__), and instances are allocated as usual. */
static inline int
construct_is_ordinary(PyTypeObject *type)
{
    return Py_TYPE(type)->tp_call == PyType_Type.tp_call
           && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
           && !PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)
           && type->tp_alloc == PyType_GenericAlloc;
}

/* True if a store of the name into an instance does no more than to keep the value, as long as the
   type has this version and class_values_hold(). */
int construct_stores_plainly(struct class_values *under_stores, PyTypeObject *type,
                             PyObject *name);

/* The index of a name in the keys that instances share; -1. */
Py_ssize_t construct_shared_index(PyTypeObject *type, PyObject *name);

/* Reads a callable that is hot, which is stolen.  0, or -1 with an exception.  Runs Python code.
 */
int construct_read(struct core_state *state, PyObject *callable);

#endif
