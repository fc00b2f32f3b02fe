/* Objects of the standard library's classes in Python that are made without running their
   constructors: IPv4Address of a number, IPv6Address of a text, Fraction of two numbers, Counter
   of a dict, PurePath of texts; and a UUID given its state without running its __setstate__.

   As with the rows of values.h, the functions that are left out must have the very code that was
   compared with what is here (_values.py), and find the builtins and globals that they found at
   first; and an object made here is compared with one that the class made when it is read.
   Arguments that are unlike those of a reduction, the class is called with. */
#ifndef FASTCOPYREG_MAKE_KNOWN_H
#define FASTCOPYREG_MAKE_KNOWN_H

#include "make.h"

struct known;

/* What is to be checked for a class before its objects are made, or NULL if it is none of these,
   in *known, owned.  0, or -1 with an exception of others: a signal handler's, or MemoryError.
   Runs Python code. */
int known_read(struct core_state *state, PyObject *cls, struct known **known);
void known_free(struct known *known);

/* Makes what the class, which has not changed since, would return: MAKE_DONE, MAKE_RAISED, or
   MAKE_CALL if it is to be called.  Runs no Python code. */
enum make_outcome known_make(struct core_state *state, struct known *known, PyTypeObject *type,
                             PyObject *const *arguments, Py_ssize_t count, PyObject **made);

/* Whether a class may be one of those whose __setstate__ is known, by its looks. */
int known_may_set_state(PyTypeObject *type);

/* object.__setstate__(object_state), which is an exact dict, for an object of the class: 1, or 0
   if it is to be called and nothing has been done.  Runs no Python code. */
int known_setstate(struct core_state *state, struct known *known, PyObject *object,
                   PyObject *object_state);

#endif
