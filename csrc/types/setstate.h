/* A __setstate__ in Python that need not be called: that of frozen dataclasses (frozen.h), the
   standard library's (value_classes.h), functions that do nothing but

       self.__dict__.update(state)    or    self.__dict__ = state

   as many do, and other lines of stores (state_plan.h).

   The compiler reads the last ones, each code object once, when it was met often enough (plan.h).
   The function is looked up on the type at each use, and no tool may monitor its code; where the
   object, its __dict__ or the state are not as usual, it is called. */
#ifndef FASTCOPYREG_TYPES_SETSTATE_H
#define FASTCOPYREG_TYPES_SETSTATE_H

#include "base/handed.h"
#include "base/state.h"

/* The type's __setstate__ if it is a function that updates the __dict__, and no tool monitors it:
   borrowed, or NULL.  Runs no Python code. */
PyObject *setstate_find_update(struct core_state *state, PyTypeObject *type);

/* True if the same function still does that.  Runs no Python code. */
int setstate_updates(struct core_state *state, PyObject *function);

/* object.__setstate__(object_state), called where it is not known and the type has it as a method:
   1, 0 if it is to be looked for and nothing has been done, or -1 with an exception.  Runs Python
   code; the caller owns both.  Containers that a function is handed are kept, if `handed` is not
   NULL. */
int setstate_apply(struct core_state *state, struct handed *handed, PyObject *object,
                   PyObject *object_state);

/* The same, but 0 and nothing done where __setstate__ would be called.  Never asks the object
   itself for the method. */
int setstate_apply_known(struct core_state *state, PyObject *object, PyObject *object_state);

#endif
