/* Keys that are tuples within tuples, or sets.

   Such a key may be deep, and a pickle of a few bytes makes one in which the same tuple is met a
   million times over a million times. hash() goes down to any depth but in the newest versions,
   and up to 3.13 into each tuple as often as it is met; and == of two keys that are equal, and not
   the same object, meets all their parts, in all versions.  Such calls would overflow the C stack,
   or keep the interpreter busy for years.  Before a load hands such a key to a dict or set, the
   key is checked here: the keys that it will be compared with (load_equal.c), and up to 3.13 its
   depth and its parts.  From 3.14 tuples keep their hashes: the innermost are hashed first, and
   hash() need not go down. */
#ifndef FASTCOPYREG_LOAD_LOAD_KEYS_H
#define FASTCOPYREG_LOAD_LOAD_KEYS_H

#include "base/state.h"
#include "base/walk.h"
#include "load/room.h"
#include "load/load_equal.h"

ALWAYS_INLINE void
load_begin_keys(struct core_state *state, struct key_bounds *bounds)
{
    *bounds = (struct key_bounds){.deep = state->load->hash_goes_deep};
}

/* Begins the counts so high that only as much is left as a policy allows. */
ALWAYS_INLINE void
load_bound_keys(struct key_bounds *bounds)
{
    bounds->hashed = LOAD_KEY_PARTS - SAFE_KEY_PARTS;
    bounds->compared = LOAD_KEY_COMPARISONS - SAFE_KEY_COMPARISONS;
}

/* True if no key of this load needs to be looked at. */
ALWAYS_INLINE int
load_keys_are_plain(const struct key_bounds *bounds)
{
    return !bounds->shared && !bounds->deep;
}

/* Takes note of an object that is on the stack for another time. */
ALWAYS_INLINE void
load_note_again(struct key_bounds *bounds, PyObject *object)
{
    const unsigned long without_parts =
        Py_TPFLAGS_UNICODE_SUBCLASS | Py_TPFLAGS_TYPE_SUBCLASS | Py_TPFLAGS_LONG_SUBCLASS;
    if (!PyType_HasFeature(Py_TYPE(object), without_parts) && key_has_parts(object)) {
        bounds->shared = 1;
    }
}

/* Checks that a key with parts may be hashed, and compared with the keys of the container, which
   may be no dict or set, or NULL: 0, or -1 with RecursionError, UnpicklingError, or what hash()
   raises.  Runs Python code (hash and equality). */
int load_check_nested_key(struct core_state *state, struct key_bounds *bounds, PyObject *container,
                          PyObject *key);

/* The same of any key, which for most is no question: no opcode makes more parts than one, but for
   those that take an object again. */
ALWAYS_INLINE int
load_check_key(struct core_state *state, struct key_bounds *bounds, PyObject *container,
               PyObject *key)
{
    if (likely(!bounds->shared && !(bounds->deep && PyTuple_Check(key))) || !key_has_parts(key)) {
        return 0;
    }
    return load_check_nested_key(state, bounds, container, key);
}

/* True if a set of these may be made without asking for each.  Runs no Python code. */
int load_keys_are_few(const struct key_bounds *bounds, PyObject **keys, PyObject **end);

#endif
