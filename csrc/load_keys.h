/* Keys that are tuples within tuples.

   Up to 3.13 hash() of a tuple calls itself for each tuple in it, however deep, and for one that
   is in it a million times over a million times: a pickle of a few bytes can overflow the C stack,
   or keep the interpreter busy for years.  Before a load hashes such a key, it is walked here,
   with bounds to both.  From 3.14 a tuple keeps its hash, and the interpreter bounds the depth
   itself. */
#ifndef FASTCOPYREG_LOAD_KEYS_H
#define FASTCOPYREG_LOAD_KEYS_H

#include "load.h"

/* Whether a key with tuples in it may be hashed: 0, or -1 with RecursionError or
   UnpicklingError.  Runs no Python code. */
int load_check_nested_key(struct unpickler *unpickler, PyObject *key);

/* The same of any key, which for most is no question. */
ALWAYS_INLINE int
load_check_key(struct unpickler *unpickler, PyObject *key)
{
    if (TUPLES_ARE_HASHED_ANYHOW && unlikely(PyTuple_Check(key))) {
        return load_check_nested_key(unpickler, key);
    }
    return 0;
}

#endif
