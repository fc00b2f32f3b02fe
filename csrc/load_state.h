/* State stored straight into the instance. */
#ifndef FASTCOPYREG_LOAD_STATE_H
#define FASTCOPYREG_LOAD_STATE_H

#include "load.h"

/* At SETITEMS of the pairs, which are whole, into the dict below them: stores them in the
   instance that BUILD would, and passes BUILD.  1, or 0 if that cannot be done and
   nothing has been.  Runs no Python code. */
int load_store_state(struct unpickler *unpickler, PyObject **pairs);

/* Drops what is remembered of types and keys. */
void load_forget_shapes(struct unpickler *unpickler);

#endif
