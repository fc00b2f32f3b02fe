/* State stored straight into the instance. */
#ifndef FASTCOPYREG_LOAD_LOAD_STATE_H
#define FASTCOPYREG_LOAD_LOAD_STATE_H

#include "load/load.h"

/* At SETITEMS of the pairs, none of which lacks its value, into the dict below them: stores them
   in the instance that BUILD would, and passes BUILD.  1, 0 if that cannot be done and nothing has
   been, or -1 with MemoryError.  Runs no Python code. */
int load_store_state(struct unpickler *unpickler, PyObject **pairs);

/* A key as it is in a pickle: ASCII. */
struct key_bytes {
    const unsigned char *bytes;
    size_t size;
};

/* Moves values into a fresh instance, as BUILD would after a dict of them was made: in the `pairs`
   each follows its key, which is made only if need be, and released then; else the key is NULL.
   1, 0 if BUILD has to do it and nothing has been done, or -1 with an exception.  Runs no Python
   code. */
int load_store_one(struct core_state *state, PyObject *object, int in_slots,
                   const struct key_bytes *keys, PyObject **pairs, Py_ssize_t count);

/* Frees the shape that load_store_one() remembers. */
void load_forget_one_shape(struct core_state *state);

/* Forgets all types and keys. */
void load_forget_shapes(struct unpickler *unpickler);

/* The same, and frees their memory, or keeps it for the next machine: it is large for a small
   load. */
void load_free_shapes(struct unpickler *unpickler);

#endif
