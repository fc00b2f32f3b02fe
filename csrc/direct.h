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
#include "steps.h"

struct direct_forms;

/* NULL with MemoryError. */
struct direct_forms *direct_forms_new(void);
void direct_forms_free(struct direct_forms *forms);

enum direct_outcome { DIRECT_RAISED = -1, DIRECT_CALL, DIRECT_DONE };

/* Saves an object whose type's form is ready in this epoch.  DIRECT_DONE and *out; or
   DIRECT_CALL, having done nothing. */
enum direct_outcome direct_save_ready(struct pickler *pickler, PyObject *object, int single,
                                      char **out);

/* Saves an object by the plan of `reducer`, which the dispatch table holds for its type; to
   be owned by the caller.  The function is read if it has been met often enough. */
enum direct_outcome direct_save(struct pickler *pickler, PyObject *reducer, PyObject *object,
                                int single, char **out);

#endif
