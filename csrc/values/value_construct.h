/* Objects of the standard library's types in C, made without the tuple of arguments that their
   constructors are called with: datetime, date, time, timedelta, timezone, slice, complex, deque,
   OrderedDict, defaultdict and SimpleNamespace.

   Others are called because little more than the call would be saved: Decimal, which parses a
   text, range, which takes its arguments off the stack, and a deque of a greatest length, which is
   known to its __init__ alone.  Of an OrderedDict most of the time goes into its items.

   Such a type cannot be changed by a program, so what it makes depends on the arguments alone.
   Only arguments that its constructor takes without an error are taken here, and those of a
   reduction; with any others the type is called. */
#ifndef FASTCOPYREG_VALUES_VALUE_CONSTRUCT_H
#define FASTCOPYREG_VALUES_VALUE_CONSTRUCT_H

#include "base/state.h"

/* Types of C that cannot be changed; borrowed from the standard library's own objects, or NULL
   where these are not what they are known as. */
struct value_types {
    PyTypeObject *deque;
    PyTypeObject *defaultdict;
    PyTypeObject *simple_namespace;
    PyCFunction deque_append; /* deque.append; NULL if there is no deque */
};

/* Makes what type(*arguments) would return: OUTCOME_DONE and *made, strong, OUTCOME_BAIL if it is
   to be called, OUTCOME_RAISED with an exception.  Runs no Python code. */
enum outcome value_construct(struct core_state *state, PyTypeObject *type,
                             PyObject *const *arguments, Py_ssize_t count, PyObject **made);

/* Finds the types that have no name in the C API, and adds what `explain` asks to the module: 0,
   or -1 with an exception. */
int value_construct_setup(PyObject *module);

#endif
