/* Reducers that are run as plans, whose reduce values are written without being made.

   Where a plan is bound to the type (bound.h), the parts are read from the object where they lie,
   all of them before the first byte, and written in the order and with the memo numbers that the
   reduce value would have got.  The bound plan is ready in an epoch if the reducer that the table
   holds still has the code that was read, no tool observes calls, and the type's version is the
   same.

   The temporaries of the called reducer (the arguments and the state) are counted in the
   memo and not numbered.  All other plans go the general way (plan_run.h). */
#ifndef FASTCOPYREG_DUMP_SAVE_BOUND_H
#define FASTCOPYREG_DUMP_SAVE_BOUND_H

#include "dump/save.h"
#include "plans/plan_run.h"

/* The outcome of saving an object: two words, returned in registers. */
struct saved {
    enum outcome outcome;
    char *out; /* the place behind the object; NULL with an exception */
};

/* Saves an object whose type's bound plan is ready in this epoch: OUTCOME_DONE, OUTCOME_RAISED,
   or OUTCOME_BAIL if the object is to be asked in the general way. */
struct saved save_bound_ready(struct pickler *pickler, PyObject *object, int unique, char *out);

/* Where a reducer was found. */
enum bound_origin { OF_TABLE, OF_METHOD, OF_METHOD_EX };

/* Runs the plan of `callable`, the reducer that the dispatch table holds for the type of the
   object, or its __reduce__ or __reduce_ex__; the caller owns both.  The function is read if it
   has been met often enough.  `trial`, with this guard, counts how that goes. */
enum outcome save_bound(struct pickler *pickler, struct trial *trial, uint64_t guard,
                        PyObject *callable, PyObject *object, enum bound_origin origin, int unique,
                        char **out, PyObject **reduce_value);

/* The same for an object that has its __reduce_ex__ in Python, or its __reduce__ if
   object.__reduce_ex__ would call that; else OUTCOME_BAIL. */
enum outcome save_bound_method(struct pickler *pickler, struct trial *trial, uint64_t guard,
                               PyObject *object, int unique, char **out, PyObject **reduce_value);

#endif
