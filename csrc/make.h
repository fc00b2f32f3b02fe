/* Constructors that are run as plans: classes whose __init__ only stores its arguments, named
   tuples, and functions that only call such a class.

   What is known of a class holds as long as its type version does: the version covers the
   __init__ found, those of the bases that it calls, and every descriptor under the names
   that are stored.  It does not cover the code of these functions, which is compared at
   each use; what they look up by name, the steps read each time.

   All values are there before the instance is made, so that a plan can be left as if
   nothing had been done. */
#ifndef FASTCOPYREG_MAKE_H
#define FASTCOPYREG_MAKE_H

#include "module.h"

/* 0, or -1 with MemoryError. */
int make_setup(PyObject *module);
void make_teardown(struct core_state *state);

enum make_outcome { MAKE_RAISED = -1, MAKE_CALL, MAKE_DONE };

/* Makes what callable(*arguments) would return.  MAKE_DONE and *made, strong; MAKE_CALL, if
   it is to be called; MAKE_RAISED with an exception.  The arguments are borrowed, and
   somebody holds them.  Runs Python code only where the callable has been met often enough
   to be read now. */
enum make_outcome make_object(struct core_state *state, PyObject *callable,
                              PyObject *const *arguments, Py_ssize_t count, PyObject **made);

#endif
