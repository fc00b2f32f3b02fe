/* Keys that are tuples within tuples, or sets.

   Such a key may be deep, and a pickle of a few bytes makes one in which the same tuple is met a
   million times over a million times.  hash() goes down to any depth, up to 3.13 also into each
   tuple as often as it is met; and == of two equal keys, which need not be identical, meets all
   their parts, in all versions.  It would overflow the C stack, or keep the interpreter busy for
   years.  Before a load hands such a key to a dict or set, it is looked at here: its depth, and
   how often its tuples are met, up to 3.13, and what it will be compared with (load_equal.c).
   From 3.14 tuples keep their hashes, so they are hashed here, the innermost first. */
#ifndef FASTCOPYREG_LOAD_KEYS_H
#define FASTCOPYREG_LOAD_KEYS_H

#include "module.h"

/* What the keys of one load have cost so far; all 0 at its start. */
struct key_bounds {
    uint64_t hashed;   /* parts of tuples, each counted as often as it is met */
    uint32_t compared; /* the same of keys that may be equal */
};

/* Whether its parts are compared as those of sets. */
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

/* Whether a key with parts may be hashed, and compared with the keys of the container, which may
   be no dict or set, or NULL: 0, or -1 with RecursionError, UnpicklingError, or what hash()
   raises.  Runs Python code (hash and equality). */
int load_check_nested_key(struct core_state *state, struct key_bounds *bounds, PyObject *container,
                          PyObject *key);

/* The same of any key, which for most is no question. */
ALWAYS_INLINE int
load_check_key(struct core_state *state, struct key_bounds *bounds, PyObject *container,
               PyObject *key)
{
    return likely(!key_has_parts(key)) ? 0 : load_check_nested_key(state, bounds, container, key);
}

/* Whether a set of these may be made without asking for each.  Runs no Python code. */
int load_keys_are_few(PyObject **keys, PyObject **end);

#endif
