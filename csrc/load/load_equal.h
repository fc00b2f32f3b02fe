/* Keys of many parts that may be equal to others in the same dict or set.

   A dict compares a key with those that have the same hash.  Before it does, an object with that
   hash and an == of its own is looked up there, which finds these, and the parts that comparing
   them could meet are counted: no more than a bound for all keys of a load. */
#ifndef FASTCOPYREG_LOAD_LOAD_EQUAL_H
#define FASTCOPYREG_LOAD_LOAD_EQUAL_H

#include "load/load_keys.h"

/* Whether a key may be looked up in the container: 0, or -1 with UnpicklingError or what hash() or
   == of foreign keys with the same hash raises.  Runs Python code. */
int load_check_equals(struct core_state *state, struct key_bounds *bounds, PyObject *container,
                      PyObject *key);

#if !C_STACK_IS_SEEN
/* How much of the C stack hash() takes for each tuple within a tuple, and ==: measured when first
   asked.  0, or -1 with an exception.  Runs no Python code. */
int load_measure_keys(struct core_state *state);
#endif

/* Adds the type of what is looked up.  0, or -1 with an exception. */
int load_equal_setup(PyObject *module);

#endif
