/* Keys of many parts that may be equal to others in the same dict or set.

   A dict compares a key with those that have the same hash.  Before it does, an object with that
   hash and an == of its own is looked up there, which finds these, and the parts that comparing
   them could meet are counted: no more than a bound for all keys of a load. */
#ifndef FASTCOPYREG_LOAD_LOAD_EQUAL_H
#define FASTCOPYREG_LOAD_LOAD_EQUAL_H

#include "base/state.h"

struct key_bounds;

/* The most of what is counted in struct key_bounds: of every load, and of one with a policy. */
enum {
    LOAD_KEY_PARTS = 1 << 29,
    LOAD_KEY_COMPARISONS = 1 << 25,
    SAFE_KEY_PARTS = 1 << 20,
    SAFE_KEY_COMPARISONS = 1 << 20
};

/* Checks that a key may be looked up in the container: 0, or -1 with UnpicklingError or what
   hash() or == of foreign keys with the same hash raises.  Runs Python code. */
int load_check_equals(struct core_state *state, struct key_bounds *bounds, PyObject *container,
                      PyObject *key);

#if !C_STACK_IS_SEEN
/* How much of the C stack hash() takes for each tuple within a tuple, and ==: measured when first
   asked.  0, or -1 with an exception.  Runs no Python code. */
int load_measure_keys(struct core_state *state);
#endif

/* Adds the type of what is looked up.  0, or -1 with an exception. */
int load_equal_setup(PyObject *module);

/* The counts and bounds for the keys of a load. */
struct key_bounds {
    uint64_t hashed;   /* parts of tuples, each counted as often as it is met */
    uint32_t compared; /* the same of keys that may be equal */
    int deep;          /* hash() of a tuple goes down to any depth */
    int shared;        /* something with parts was taken from the memo, or duplicated */
};

/* True if its parts are compared as those of sets. */
ALWAYS_INLINE int
key_is_set(PyObject *key)
{
    return Py_TYPE(key)->tp_richcompare == PyFrozenSet_Type.tp_richcompare;
}

ALWAYS_INLINE int
key_has_parts(PyObject *key)
{
    return PyTuple_Check(key) || key_is_set(key);
}

#endif
