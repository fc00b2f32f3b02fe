/* Metaclasses: which of them leave a class as it would be without one.

   A metaclass may give its classes another hash, another equality, other attributes.  Most do
   not: those of abstract classes and of enumerations check or make classes, and leave alone what
   pickle asks of a class.  Such a class is ordinary: hashing and comparing it, and asking it for
   the names below, is what it is for a class of `type`, and runs no Python code. */
#ifndef FASTCOPYREG_METACLASS_H
#define FASTCOPYREG_METACLASS_H

#include "compat.h"

struct core_state;

/* The versions of as many metaclasses that are ordinary are remembered. */
enum { ORDINARY_METACLASSES = 8 };

/* The part of metaclass_leaves_alone() for metaclasses. */
int metaclass_is_ordinary(struct core_state *state, PyTypeObject *metaclass);

/* Whether the class is hashed and compared by identity, and gives its __name__, __qualname__,
   __module__, __reduce__ and __mro__ as classes of `type` do.  A metaclass that is made in
   Python may change: this is to be asked again after foreign code.  Runs no Python code. */
static inline int
metaclass_leaves_alone(struct core_state *state, PyTypeObject *type)
{
    return likely(Py_IS_TYPE((PyObject *)type, &PyType_Type))
           || metaclass_is_ordinary(state, Py_TYPE((PyObject *)type));
}

#endif
