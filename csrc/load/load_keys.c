/* Keys that are tuples within tuples, or sets; see load_keys.h. */
#include "load/load_keys.h"

#include "load/load_equal.h"
#include "base/stack.h"
#include "load/room.h"

enum {
    /* Levels of tuples in a key, if the C stack has room for them: hash() needs less than a
       megabyte of it, and no pickler of these versions writes so many before its recursion limit
       is raised.
     */
    KEY_DEPTH = 10000,
    /* Parts of the tuples within the keys of one pickle, each counted as often as it is met: some
       seconds. */
    KEY_PARTS = LOAD_KEY_PARTS,
    /* A key with no more parts, counted so, is hashed and compared in no time. */
    FEW_PARTS = 128
};

/* A tuple or set that is being walked. */
struct level {
    PyObject *walked;
    Py_ssize_t next;
};

/* True if the object is hashed as tuples are: a subclass may do otherwise. */
static int
is_hashed_as_tuple(PyObject *object)
{
    return PyTuple_Check(object) && Py_TYPE(object)->tp_hash == PyTuple_Type.tp_hash;
}

/* ---- keys of few parts -------------------------------------------------- */

/* The next part, borrowed, or NULL. */
static PyObject *
next_part(struct level *level)
{
    PyObject *part = NULL;
    if (PyTuple_Check(level->walked)) {
        return level->next < PyTuple_GET_SIZE(level->walked)
                   ? PyTuple_GET_ITEM(level->walked, level->next++)
                   : NULL;
    }
    return set_next(level->walked, &level->next, &part) ? part : NULL;
}

/* True if a key has no more than a few parts. */
static int
has_few_parts(PyObject *key)
{
    struct level levels[FEW_PARTS];
    int depth = 0;
    levels[0] = (struct level){key, 0};
    for (int parts = 0; depth >= 0;) {
        PyObject *walked = levels[depth].walked;
        if (!SETS_ARE_WALKED_IN_PLACE && !PyTuple_Check(walked)) {
            return 0;
        }
        PyObject *part = next_part(&levels[depth]);
        if (part == NULL) {
            depth--;
            continue;
        }
        if (++parts == FEW_PARTS) {
            return 0;
        }
        if (key_has_parts(part)) {
            levels[++depth] = (struct level){part, 0};
        }
    }
    return 1;
}

int
load_keys_are_few(const struct key_bounds *bounds, PyObject **keys, PyObject **end)
{
    int few = 1;
    if (load_keys_are_plain(bounds)) {
        return 1;
    }
    for (PyObject **key = keys; few && key < end; key++) {
        few = !key_has_parts(*key) || has_few_parts(*key);
    }
    return few;
}

/* ---- hashing ------------------------------------------------------------ */

/* The tuples that lead to the one that is walked, outermost first. */
struct walk {
    struct level *levels;
    size_t room;
    size_t depth;   /* of the last */
    size_t deepest; /* for which the C stack is known to have room */
    size_t reached;
};

/* Goes into a tuple: 0, or -1 with MemoryError. */
static int
walk_into(struct walk *walk, PyObject *tuple)
{
    if (walk->depth + 1 == walk->room) {
        struct level *grown = walk->room > PY_SSIZE_T_MAX / (2 * sizeof(struct level))
                                  ? NULL
                                  : PyMem_Realloc(walk->levels, 2 * walk->room * sizeof(*grown));
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        walk->levels = grown;
        walk->room *= 2;
    }
    walk->levels[++walk->depth] = (struct level){tuple, 0};
    walk->reached = walk->depth > walk->reached ? walk->depth : walk->reached;
    return 0;
}

/* The next tuple in the innermost that hash() goes into; borrowed, or NULL.  *elsewhere is set if
   something is passed that has parts, and is hashed in another way. */
static PyObject *
find_tuple(struct walk *walk, int *elsewhere)
{
    struct level *level = &walk->levels[walk->depth];
    while (level->next < PyTuple_GET_SIZE(level->walked)) {
        PyObject *item = PyTuple_GET_ITEM(level->walked, level->next++);
        if (is_hashed_as_tuple(item)) {
            return item;
        }
        *elsewhere |= key_has_parts(item);
    }
    return NULL;
}

/* Adds to the parts of keys that are hashed: 0, or -1 with UnpicklingError. */
static int
add_parts(struct core_state *state, struct key_bounds *bounds, PyObject *tuple)
{
    bounds->hashed += (uint64_t)PyTuple_GET_SIZE(tuple) + 1;
    if (bounds->hashed <= KEY_PARTS) {
        return 0;
    }
    PyErr_SetString(state->stdlib.unpickling_error, "too many tuples in the tuples that are keys");
    return -1;
}

/* Checks that hash() may go into a tuple on one more level: 0, or -1 with an exception. */
static int
check_depth(struct core_state *state, struct walk *walk)
{
    if (walk->depth < walk->deepest) {
        return 0;
    }
    size_t levels = KEY_DEPTH;
#if !C_STACK_IS_SEEN
    if (load_measure_keys(state) < 0) {
        return -1;
    }
    levels = stack_levels(state->load->hash_frame, KEY_DEPTH);
#else
    (void)state;
#endif
    walk->deepest = levels < 2 ? 0 : levels - 2;
    if (walk->depth < walk->deepest) {
        return 0;
    }
    PyErr_SetString(PyExc_RecursionError,
                    "maximum recursion depth exceeded while hashing a tuple");
    return -1;
}

/* True if == may go down so many levels unchecked; their stack was measured before hash() went
   there. */
static int
may_compare(struct core_state *state, size_t depth)
{
#if !C_STACK_IS_SEEN
    return depth < FEW_PARTS || depth < stack_levels(state->load->equal_frame, SIZE_MAX);
#else
    (void)state;
    (void)depth;
    return 1;
#endif
}

/* Walks what hash() of a tuple walks where it keeps no hash.  0, or -1 with an exception. */
static int
walk_anyhow(struct core_state *state, struct key_bounds *bounds, struct walk *walk, int *elsewhere)
{
    for (;;) {
        PyObject *inner = find_tuple(walk, elsewhere);
        if (inner == NULL) {
            if (walk->depth-- == 0) {
                return 0;
            }
            continue;
        }
        if (check_depth(state, walk) < 0) {
            return -1;
        }
        if (add_parts(state, bounds, inner) < 0 || walk_into(walk, inner) < 0) {
            return -1;
        }
    }
}

/* Handles the exception of hash() for a tuple.  The dict or set would word a TypeError for a key
   that cannot be hashed, but must not go down to one that lies deep. */
static int
fail_to_hash(size_t depth)
{
    if (depth > FEW_PARTS || !PyErr_ExceptionMatches(PyExc_TypeError)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

/* Hashes a tuple, which keeps its hash, and all in it that have none yet, the innermost first, so
   that hash() need not go down.  0, or -1 with an exception.  Runs Python code. */
static int
hash_inner_first(struct walk *walk)
{
    int elsewhere;
    for (;;) {
        PyObject *inner = find_tuple(walk, &elsewhere);
        if (inner != NULL) {
            if (!tuple_has_hash(inner) && walk_into(walk, inner) < 0) {
                return -1;
            }
            continue;
        }
        if (PyObject_Hash(walk->levels[walk->depth].walked) == -1) {
            return fail_to_hash(walk->depth);
        }
        if (walk->depth-- == 0) {
            return 0;
        }
    }
}

/* Checks that a tuple may be hashed: 0, or -1 with an exception.  *elsewhere is cleared if
   comparing it is bounded, too.  Runs Python code. */
static int
check_hashing(struct core_state *state, struct key_bounds *bounds, PyObject *key, int *elsewhere)
{
    struct walk walk = {PyMem_New(struct level, FEW_PARTS), FEW_PARTS, 0, FEW_PARTS, 0};
    if (walk.levels == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int result;
    walk.levels[0] = (struct level){key, 0};
    if (TUPLES_ARE_HASHED_ANYHOW) {
        *elsewhere = 0;
        result =
            add_parts(state, bounds, key) < 0 ? -1 : walk_anyhow(state, bounds, &walk, elsewhere);
        *elsewhere |= result == 0 && !may_compare(state, walk.reached);
    }
    else {
        result = hash_inner_first(&walk);
    }
    PyMem_Free(walk.levels);
    return result;
}

int
load_check_nested_key(struct core_state *state, struct key_bounds *bounds, PyObject *container,
                      PyObject *key)
{
    int elsewhere = 1;
    if (has_few_parts(key)) {
        return 0;
    }
    if (is_hashed_as_tuple(key) && !tuple_has_hash(key)
        && check_hashing(state, bounds, key, &elsewhere) < 0) {
        return -1;
    }
    return elsewhere ? load_check_equals(state, bounds, container, key) : 0;
}
