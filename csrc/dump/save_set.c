/* Sets and frozen sets.  The rules for all containers are in save_sequence.c. */
#include "base/errors.h"
#include "base/walk.h"
#include "dump/save.h"
#include "dump/save_part.h"

/* ---- sets --------------------------------------------------------------- */

/* Protocols before 4 have no sets: set([...]). */
static NOINLINE char *
save_set_as_call(struct pickler *pickler, PyObject *set, char *out)
{
    if (save_open(pickler, set) < 0) {
        return NULL;
    }
    PyObject *items = save_foreign(pickler) < 0 ? NULL : PySequence_List(set);
    PyObject *built = items == NULL ? NULL : Py_BuildValue("(O(N))", Py_TYPE(set), items);
    out = save_built(pickler, set, built, out);
    return save_close(pickler, set, out);
}

/* An element, with a note if it could not be saved. */
ALWAYS_INLINE char *
save_set_element(struct pickler *pickler, PyObject *set, PyObject *element, char *out)
{
    out = save_child(pickler, element, out);
    if (unlikely(out == NULL)) {
        error_note("when serializing %T element", set);
    }
    return out;
}

/* Up to BATCH_SIZE elements between MARK and ADDITEMS.  *count: how many. */
static char *
save_set_batch(struct pickler *pickler, PyObject *set, PyObject *walked, Py_ssize_t *position,
               int *count, char *out)
{
    PyObject *element;
    out = write_op(out, OP_MARK);
    for (*count = 0; *count < BATCH_SIZE && set_next(walked, position, &element); ++*count) {
        out = save_set_element(pickler, set, element, out);
        if (out == NULL) {
            return NULL;
        }
    }
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_ADDITEMS);
}

static char *
changed_set(void)
{
    PyErr_SetString(PyExc_RuntimeError, "set changed size during iteration");
    return NULL;
}

static char *
save_set_batches(struct pickler *pickler, PyObject *set, PyObject *walked, char *out)
{
    int to_the_last = !pickler->state->dialect.empty_batch_of_set;
    Py_ssize_t size = PySet_GET_SIZE(set), position = 0, total = 0;
    int count;
    do {
        out = save_set_batch(pickler, set, walked, &position, &count, out);
        if (out == NULL) {
            return NULL;
        }
        total += count;
        if (PySet_GET_SIZE(set) != size || (to_the_last && count == 0)) {
            return changed_set();
        }
    } while (to_the_last ? total < size : count == BATCH_SIZE);
    return out;
}

/* The elements of a set that is not empty. */
static char *
save_set_contents(struct pickler *pickler, PyObject *set, char *out)
{
    if (save_open(pickler, set) < 0) {
        return NULL;
    }
    PyObject *walked = set_for_walk(set);
    if (walked == NULL) {
        return save_close(pickler, set, NULL);
    }
    out = save_set_batches(pickler, set, walked, out);
    Py_DECREF(walked);
    return save_close(pickler, set, out);
}

char *
save_set(struct pickler *pickler, PyObject *set, int unique, char *out)
{
    if (pickler->protocol < 4) {
        return save_set_as_call(pickler, set, out);
    }
    out = save_memoize(pickler, set, unique, write_op(out, OP_EMPTY_SET));
    if (out == NULL || PySet_GET_SIZE(set) == 0) {
        return out;
    }
    return save_set_contents(pickler, set, out);
}

ALWAYS_INLINE char *
save_frozenset_elements(struct pickler *pickler, PyObject *frozenset, char *out)
{
    PyObject *walked = set_for_walk(frozenset), *element;
    Py_ssize_t position = 0;
    if (walked == NULL) {
        return NULL;
    }
    while (out != NULL && set_next(walked, &position, &element)) {
        out = save_set_element(pickler, frozenset, element, out);
    }
    Py_DECREF(walked);
    return out;
}

static char *
save_frozenset_end(struct pickler *pickler, PyObject *frozenset, int unique, char *out)
{
    out = save_room(pickler, out);
    if (out == NULL) {
        return NULL;
    }
    Py_ssize_t position = unique ? -1 : memo_find(&pickler->memo, frozenset);
    if (position >= 0) {
        return save_get(pickler, position, write_op(out, OP_POP_MARK));
    }
    return save_memoize(pickler, frozenset, unique, write_op(out, OP_FROZENSET));
}

static char *
save_frozenset_opcodes(struct pickler *pickler, PyObject *frozenset, int unique, char *out)
{
    uint64_t epoch = pickler->epoch;
    if (save_open(pickler, frozenset) < 0) {
        return NULL;
    }
    pickler->unnumbered += !unique;
    out = save_frozenset_elements(pickler, frozenset, write_op(out, OP_MARK));
    pickler->unnumbered -= !unique;
    if (out != NULL) {
        unique = unique && epoch == pickler->epoch;
        out = save_flush(pickler, epoch, save_frozenset_end(pickler, frozenset, unique, out));
    }
    return save_close(pickler, frozenset, out);
}

static NOINLINE char *
save_frozenset_fast(struct pickler *pickler, PyObject *frozenset, char *out)
{
    if (save_fast_enter(pickler, frozenset) < 0) {
        return NULL;
    }
    out = pickler->protocol < 4 ? save_set_as_call(pickler, frozenset, out)
                                : save_frozenset_opcodes(pickler, frozenset, 0, out);
    return save_fast_leave(pickler, frozenset, out);
}

char *
save_frozenset(struct pickler *pickler, PyObject *frozenset, int unique, char *out)
{
    if (unlikely(pickler->fast)) {
        return save_frozenset_fast(pickler, frozenset, out);
    }
    return pickler->protocol < 4 ? save_set_as_call(pickler, frozenset, out)
                                 : save_frozenset_opcodes(pickler, frozenset, unique, out);
}
