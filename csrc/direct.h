/* Reducers that are run as plans, and what they give written without being made.

   Where a plan has a form (form.h), what is to be written is read from the object where it
   lies, all of it before the first byte, and written in the order and with the memo numbers
   that the reduce value would have got.  The form is ready in an epoch if the reducer that
   the table holds still has the code that was read, nobody watches calls, and the type's
   version is the same.

   The temporaries of the called reducer (the arguments and the state) are counted in the
   memo and not numbered; that is why this way is only for dump and dumps, whose memo nobody
   sees.  All other plans, and other picklers, go the general way (steps_run.h). */
#ifndef FASTCOPYREG_DIRECT_H
#define FASTCOPYREG_DIRECT_H

#include "save.h"
#include "steps_run.h"

enum direct_outcome {
    DIRECT_RAISED = -1,
    DIRECT_CALL,  /* nothing was done: the function is to be called */
    DIRECT_SAVED, /* and *out is the place behind it */
    DIRECT_VALUE  /* *reduce_value is what the function would return; strong */
};

/* Saves an object whose type's form is ready in this epoch: DIRECT_SAVED, and
   pickler->direct_end is the place behind it; DIRECT_RAISED; or DIRECT_CALL if the object
   is to be asked in the general way. */
enum direct_outcome direct_save_ready(struct pickler *pickler, PyObject *object, int single,
                                      char *out);

/* Where a reducer was found. */
enum direct_origin { OF_TABLE, OF_METHOD, OF_METHOD_EX };

/* Runs the plan of `callable`, the reducer that the dispatch table holds for the type of the
   object, or its __reduce__ or __reduce_ex__; the caller owns both.  The function is read if it
   has been met often enough.  `trial`, with this guard, counts how that goes. */
enum direct_outcome direct_save(struct pickler *pickler, struct trial *trial, uint64_t guard,
                                PyObject *callable, PyObject *object, enum direct_origin origin,
                                int single, char **out, PyObject **reduce_value);

/* The same for an object that has its __reduce_ex__ in Python, or its __reduce__ if
   object.__reduce_ex__ would call that; else DIRECT_CALL. */
enum direct_outcome direct_save_method(struct pickler *pickler, struct trial *trial,
                                       uint64_t guard, PyObject *object, int single, char **out,
                                       PyObject **reduce_value);

#endif
