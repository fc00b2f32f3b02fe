/* Keys that are tuples within tuples; see load_keys.h. */
#include "load_keys.h"

enum {
    /* Levels of tuples in a key; hash() needs less than a megabyte of C stack for them, and no
       pickler of these versions writes so many before its recursion limit is raised. */
    KEY_DEPTH = 10000,
    /* Tuples within the keys of one pickle, each counted as often as it is met: some seconds. */
    KEY_TUPLES = 1 << 28,
    /* Levels for which no memory is asked. */
    LEVELS_AT_HAND = 16
};

/* A tuple that is being walked. */
struct level {
    PyObject *tuple;
    Py_ssize_t next;
};

/* Whether it is hashed as tuples are: a subclass may do otherwise. */
static int
is_hashed_as_tuple(PyObject *object)
{
    return PyTuple_Check(object) && Py_TYPE(object)->tp_hash == PyTuple_Type.tp_hash;
}

/* The next tuple in one, from `*next` on, which is moved behind it; borrowed, or NULL. */
static PyObject *
find_tuple(PyObject *tuple, Py_ssize_t *next)
{
    while (*next < PyTuple_GET_SIZE(tuple)) {
        PyObject *item = PyTuple_GET_ITEM(tuple, *next);
        ++*next;
        if (is_hashed_as_tuple(item)) {
            return item;
        }
    }
    return NULL;
}

/* Walks the tuples in the one at the first of `room` levels: 0, -1 with an exception, or 1 if
   there are more levels. */
static int
walk_tuples(struct unpickler *unpickler, struct level *levels, int room)
{
    int depth = 0;
    while (depth >= 0) {
        PyObject *inner = find_tuple(levels[depth].tuple, &levels[depth].next);
        if (inner == NULL) {
            depth--;
            continue;
        }
        if (++depth == room) {
            return 1;
        }
        if (++unpickler->tuples_in_keys > KEY_TUPLES) {
            PyErr_SetString(unpickler->state->stdlib.unpickling_error,
                            "too many tuples in the tuples that are keys");
            return -1;
        }
        levels[depth] = (struct level){inner, 0};
    }
    return 0;
}

/* The same for more levels than are at hand. */
static int
walk_deep_tuples(struct unpickler *unpickler, PyObject *key)
{
    struct level *levels = PyMem_New(struct level, KEY_DEPTH);
    if (levels == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    levels[0] = (struct level){key, 0};
    int result = walk_tuples(unpickler, levels, KEY_DEPTH);
    PyMem_Free(levels);
    if (result > 0) {
        PyErr_SetString(PyExc_RecursionError,
                        "maximum recursion depth exceeded while hashing a tuple");
        return -1;
    }
    return result;
}

int
load_check_nested_key(struct unpickler *unpickler, PyObject *key)
{
    struct level at_hand[LEVELS_AT_HAND] = {{key, 0}};
    if (!is_hashed_as_tuple(key)) {
        return 0;
    }
    int result = walk_tuples(unpickler, at_hand, LEVELS_AT_HAND);
    return result > 0 ? walk_deep_tuples(unpickler, key) : result;
}
