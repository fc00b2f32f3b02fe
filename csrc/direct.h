/* Reducers that are run as plans, and what they give written without being made.

   The reducers that people write are nearly all of one shape,

       lambda p: (Point, (p.x, p.y), {"name": p.name})

   a constructor, a display of attributes and of values that are no object's, and perhaps a
   state that is a dict display of the like.  For these, no reduce value is made: what is to
   be written is read from the object where it lies, all of it before the first byte, and
   written in the order and with the memo numbers that the reduce value would have got.

   Such a *form* belongs to a plan and a type version: it says where each part comes from.
   In each epoch it is made ready once: the reducer that the table holds still has the code
   that was read, nobody watches calls, the type's version is the same, and the globals,
   cells and defaults that the plan names are read.  While the epoch lasts no foreign code
   has run, so nothing of that can have changed.

   The temporaries of the called reducer (the arguments and the state) are counted in the
   memo and not numbered; that is why this way is only for dump and dumps, whose memo nobody
   sees.  All other plans, and other picklers, go the general way (steps_run.h). */
#ifndef FASTCOPYREG_DIRECT_H
#define FASTCOPYREG_DIRECT_H

#include "save.h"
#include "steps_run.h"

/* 0, or -1 with MemoryError. */
int direct_setup(PyObject *module);
void direct_teardown(struct core_state *state);

enum { DIRECT_PARTS_MAX = 32 };

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

/* Runs the plan of `callable`, the reducer that the dispatch table holds for the type of the
   object; the caller owns both.  The function is read if it has been met often enough. */
enum direct_outcome direct_save(struct pickler *pickler, PyObject *callable, PyObject *object,
                                int single, char **out, PyObject **reduce_value);

/* What a reducer gives for an object whose reduce value is a constructor and arguments;
   borrowed, until foreign code runs. */
struct direct_parts {
    PyObject *callable;
    PyObject *values[DIRECT_PARTS_MAX];
    Py_ssize_t count;
};

/* The same for a copier, whose epochs have numbers of their own: reads an object whose type's
   form is ready in this epoch.  1 or 0.  Runs no Python code. */
int direct_read(struct core_state *state, uint64_t epoch, PyObject *object,
                struct direct_parts *parts);

/* Makes the form ready.  1, or 0 if there is none.  Runs no Python code. */
int direct_prepare(struct core_state *state, uint64_t epoch, const struct reducer *reducer,
                   PyTypeObject *type);

#endif
