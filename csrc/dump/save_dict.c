/* Dicts and the dict items of a reduction.  The rules for all containers are in save_sequence.c.
 */
#include "base/errors.h"
#include "base/walk.h"
#include "dump/save.h"
#include "dump/save_part.h"

/* ---- dicts -------------------------------------------------------------- */

/* A key that may run foreign code, or a scalar behind one: in a frame of its own, which is gone
   when a value leads deeper. */
static NOINLINE char *
save_beside(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    return save_owned(pickler, object, unique, out);
}

/* A value that may lead deeper. */
ALWAYS_INLINE char *
save_below(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    if (unlikely(out >= pickler->writer.limit)) {
        return save_slow(pickler, object, unique, out);
    }
    return unlikely(save_is_scalar(object)) ? save_beside(pickler, object, unique, out)
                                            : save_object(pickler, object, unique, out);
}

/* Key and value of a dict, both owned by the caller.  A note names the key. */
ALWAYS_INLINE char *
save_owned_key_value(struct pickler *pickler, PyObject *holder, PyObject *key, PyObject *value,
                     int unique, char *out)
{
    uint64_t epoch = pickler->epoch;
    out = save_beside(pickler, key, 0, out);
    if (unlikely(out == NULL)) {
        return NULL;
    }
    out = save_below(pickler, value, unique && epoch == pickler->epoch, out);
    if (unlikely(out == NULL)) {
        error_note("when serializing %T item %R", holder, key);
    }
    return save_flush(pickler, epoch, out);
}

/* Key and value of a dict, owned over the time. */
static char *
save_pair_owned(struct pickler *pickler, PyObject *holder, PyObject *key, PyObject *value,
                char *out)
{
    int unique = save_is_unique(pickler, value);
    Py_INCREF(key);
    Py_INCREF(value);
    out = save_owned_key_value(pickler, holder, key, value, unique, out);
    out = save_release(pickler, key, out);
    return save_release(pickler, value, out);
}

/* True if the key is written in line, and nothing runs foreign code meanwhile. */
ALWAYS_INLINE int
is_plain_key(struct pickler *pickler, PyObject *key, char *out)
{
    PyTypeObject *type = Py_TYPE(key);
    return out < pickler->writer.limit
           && ((type == &PyUnicode_Type && PyUnicode_GET_LENGTH(key) < FRAME_TARGET_SIZE / 4)
               || type == &PyLong_Type);
}

static char *
changed_dict(void)
{
    PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
    return NULL;
}

char *
save_dict_rest(struct pickler *pickler, PyObject *dict, Py_ssize_t position, Py_ssize_t size,
               char *out)
{
    PyObject *key, *value;
    while (position < size || size > 1) {
        if (!layout_dict_next(dict, &position, &key, &value)) {
            break;
        }
        out = save_pair_owned(pickler, dict, key, value, out);
        if (out == NULL) {
            return NULL;
        }
    }
    return size > 1 && PyDict_GET_SIZE(dict) != size ? changed_dict() : out;
}

/* A pair whose value is no scalar, or one at a boundary, behind its key if that is `written`; both
   are owned over the time.  The one place where a dict leads deeper: its frame is in every
   level. */
ALWAYS_INLINE char *
save_nested_pair(struct pickler *pickler, PyObject *dict, PyObject *key, PyObject *value,
                 int written, char *out)
{
    int unique = save_is_unique(pickler, value);
    uint64_t epoch = pickler->epoch;
    Py_INCREF(key);
    Py_INCREF(value);
    if (unlikely(!written)) {
        out = save_beside(pickler, key, 0, out);
    }
    if (likely(out != NULL)) {
        out = save_below(pickler, value, unique && epoch == pickler->epoch, out);
        if (unlikely(out == NULL)) {
            error_note("when serializing %T item %R", dict, key);
        }
    }
    out = save_release(pickler, key, save_flush(pickler, epoch, out));
    return save_release(pickler, value, out);
}

/* A value that can be written in line: 1 and *out, which is NULL with an exception; else 0. */
ALWAYS_INLINE int
save_simple_value(struct pickler *pickler, PyObject *value, char **out)
{
    PyTypeObject *type = Py_TYPE(value);
    if (unlikely(*out >= pickler->writer.limit)) {
        return 0;
    }
    if (type == &PyUnicode_Type) {
        *out = save_str(pickler, value, save_is_unique(pickler, value), *out);
    }
    else if (type == &PyLong_Type) {
        *out = save_long(pickler, value, *out);
    }
    else if (value == Py_None) {
        *out = write_op(*out, OP_NONE);
    }
    else if (type == &PyFloat_Type) {
        *out = save_float(pickler, value, *out);
    }
    else if (type == &PyBool_Type) {
        *out = save_bool(pickler, value, *out);
    }
    else {
        return 0;
    }
    return 1;
}

/* Saves a pair of the walk; see save_pairs(). */
ALWAYS_INLINE char *
save_pair(struct pickler *pickler, PyObject *dict, PyObject *key, PyObject *value, int unique_keys,
          char *out)
{
    int written = is_plain_key(pickler, key, out);
    if (likely(written)) {
        out = likely(PyUnicode_CheckExact(key))
                  ? save_str(pickler, key, unique_keys && save_is_unique(pickler, key), out)
                  : save_long(pickler, key, out);
        if (unlikely(out == NULL) || likely(save_simple_value(pickler, value, &out))) {
            return out;
        }
    }
    return save_nested_pair(pickler, dict, key, value, written, out);
}

/* Behind a batch of pairs: SETITEMS or SETITEM.  *done if it was the last, or an error. */
static char *
end_batch(struct pickler *pickler, PyObject *dict, Py_ssize_t size, Py_ssize_t total, int count,
          int *done, char *out)
{
    int alone = size - total == 1 && (total == 0 || pickler->state->dialect.single_last_pair);
    *done = 1;
    out = save_room(pickler, out);
    if (out == NULL || (alone && count == 1)) {
        return out == NULL ? NULL : write_op(out, OP_SETITEM);
    }
    out = write_op(out, OP_SETITEMS);
    if (PyDict_GET_SIZE(dict) != size) {
        return changed_dict();
    }
    if (!pickler->state->dialect.empty_batch_of_dict) {
        /* Changed and changed back, the walk may end before its time. */
        *done = total + count >= size;
        return count == 0 ? changed_dict() : out;
    }
    *done = count < BATCH_SIZE;
    return out;
}

/* The pairs of a dict that is not empty, in protocols with SETITEMS. */
ALWAYS_INLINE char *
save_pairs(struct pickler *pickler, PyObject *dict, PyObject *walked, char *out)
{
    Py_ssize_t size = PyDict_GET_SIZE(dict), position = 0, total = 0;
    int count, done, single_last = pickler->state->dialect.single_last_pair;
    PyObject *key, *value;
    do {
        Py_ssize_t most = size - total == 1 && (total == 0 || single_last) ? 1 : BATCH_SIZE;
        if (most > 1) {
            out = write_op(out, OP_MARK);
        }
        for (count = 0; count < most && layout_dict_next(walked, &position, &key, &value);
             count++) {
            out = save_pair(pickler, dict, key, value, dict_owns_keys(walked), out);
            if (unlikely(out == NULL)) {
                return NULL;
            }
        }
        out = end_batch(pickler, dict, size, total, count, &done, out);
        total += count;
    } while (out != NULL && !done);
    return out;
}

/* Protocol 0 goes by items(), as for objects that are no dicts. */
static char *
save_by_items(struct pickler *pickler, PyObject *dict, char *out)
{
    if (save_foreign(pickler) < 0) {
        return NULL;
    }
    PyObject *items = PyObject_CallMethodNoArgs(dict, pickler->state->str.items);
    if (items == NULL) {
        return NULL;
    }
    PyObject *iterator = PyObject_GetIter(items);
    Py_DECREF(items);
    if (iterator == NULL) {
        return NULL;
    }
    out = save_dictitems(pickler, iterator, dict, 0, out);
    Py_DECREF(iterator);
    return out;
}

char *
save_dict_contents(struct pickler *pickler, PyObject *dict, char *out)
{
    if (save_open(pickler, dict) < 0) {
        return NULL;
    }
    if (unlikely(pickler->protocol == 0)) {
        return save_close(pickler, dict, save_by_items(pickler, dict, out));
    }
    PyObject *walked = dict_for_walk(dict);
    if (walked == NULL) {
        return save_close(pickler, dict, NULL);
    }
    out = save_pairs(pickler, dict, walked, out);
    Py_DECREF(walked);
    return save_close(pickler, dict, out);
}

ALWAYS_INLINE char *
save_dict_opcodes(struct pickler *pickler, PyObject *dict, int unique, char *out)
{
    if (likely(pickler->bin)) {
        out = write_op(out, OP_EMPTY_DICT);
    }
    else {
        out = write_op(write_op(out, OP_MARK), OP_DICT);
    }
    out = save_memoize(pickler, dict, unique, out);
    if (out == NULL || PyDict_GET_SIZE(dict) == 0) {
        return out;
    }
    return save_dict_contents(pickler, dict, out);
}

static NOINLINE char *
save_dict_fast(struct pickler *pickler, PyObject *dict, char *out)
{
    if (save_fast_enter(pickler, dict) < 0) {
        return NULL;
    }
    return save_fast_leave(pickler, dict, save_dict_opcodes(pickler, dict, 0, out));
}

char *
save_dict(struct pickler *pickler, PyObject *dict, int unique, char *out)
{
    if (unlikely(pickler->fast)) {
        return save_dict_fast(pickler, dict, out);
    }
    return save_dict_opcodes(pickler, dict, unique, out);
}

/* ---- dict items of a reduction ------------------------------------------ */

/* True if an item is a pair; else raises.  A later item of a batch is checked only when it is to
   be saved, as the standard library does. */
static int
is_pair(PyObject *item)
{
    if (PyTuple_Check(item) && PyTuple_GET_SIZE(item) == 2) {
        return 1;
    }
    PyErr_SetString(PyExc_TypeError, "dict items iterator must return 2-tuples");
    return 0;
}

/* An OrderedDict holds a key in its dict and in its order; the pair is one more. */
enum { HOLDERS_OF_ORDERED_KEY = 3 };

/* Saves key and value of a pair that is owned here and releases it. */
ALWAYS_INLINE char *
save_owned_pair(struct pickler *pickler, PyObject *pair, PyObject *holder, uint64_t quiet,
                char *out)
{
    uint64_t epoch = pickler->epoch;
    if (!is_pair(pair)) {
        return save_release(pickler, pair, NULL);
    }
    PyObject *key = PyTuple_GET_ITEM(pair, 0), *value = PyTuple_GET_ITEM(pair, 1);
    int alone = quiet == epoch && pickler->unnumbered == 0;
    int unique = alone && Py_REFCNT(value) == 2;
    out = save_owned(pickler, key, alone && Py_REFCNT(key) == HOLDERS_OF_ORDERED_KEY, out);
    if (out != NULL) {
        out = save_owned(pickler, value, unique && epoch == pickler->epoch, out);
        if (out == NULL) {
            error_note("when serializing %T item %R", holder, PyTuple_GET_ITEM(pair, 0));
        }
    }
    out = save_release(pickler, pair, save_flush(pickler, quiet, out));
    return out == NULL ? NULL : save_room(pickler, out);
}

/* Saves the pairs one at a time, as protocol 0 has them. */
static NOINLINE char *
save_dictitems_singly(struct pickler *pickler, PyObject *iterator, PyObject *holder, char *out)
{
    PyObject *pair;
    while ((pair = save_next_item(pickler, iterator, 0)) != NULL) {
        out = save_owned_pair(pickler, pair, holder, 0, out);
        if (out == NULL) {
            return NULL;
        }
        out = write_op(out, OP_SETITEM);
    }
    return PyErr_Occurred() ? NULL : out;
}

char *
save_dictitems(struct pickler *pickler, PyObject *iterator, PyObject *holder, uint64_t quiet,
               char *out)
{
    if (pickler->protocol == 0) {
        return save_dictitems_singly(pickler, iterator, holder, out);
    }
    Py_ssize_t left = 0;
    PyObject *pair, *next;
    while (left == 0 && (pair = save_next_item(pickler, iterator, quiet)) != NULL) {
        /* The first pair of a batch is looked at before the second is asked for. */
        next = is_pair(pair) ? save_next_item(pickler, iterator, quiet) : NULL;
        if (next == NULL) {
            /* The last one stands alone. */
            if (PyErr_Occurred()) {
                return save_release(pickler, pair, NULL);
            }
            out = save_owned_pair(pickler, pair, holder, quiet, out);
            return out == NULL ? NULL : write_op(out, OP_SETITEM);
        }
        out = save_owned_pair(pickler, pair, holder, quiet, write_op(out, OP_MARK));
        for (left = BATCH_SIZE - 1; out != NULL && next != NULL;) {
            pair = next;
            out = save_owned_pair(pickler, pair, holder, quiet, out);
            next = out == NULL || --left == 0 ? NULL : save_next_item(pickler, iterator, quiet);
        }
        if (out == NULL || PyErr_Occurred()) {
            Py_XDECREF(next);
            return NULL;
        }
        out = write_op(out, OP_SETITEMS);
    }
    return PyErr_Occurred() ? NULL : out;
}

/* ---- a dict's own items, as items --------------------------------------- */

/* The state of an iterator over items(). */
struct walk {
    PyObject *dict;
    Py_ssize_t position;
    Py_ssize_t size; /* that the dict had; -1 once it was found changed */
    Py_ssize_t left;
    int full; /* a batch has all that it may have */
};

/* The next pair, borrowed.  1, 0 at the end, or -1 with an exception. */
static int
walk_next(struct walk *walk, PyObject **key, PyObject **value)
{
    if (unlikely(PyDict_GET_SIZE(walk->dict) != walk->size)) {
        walk->size = -1;
        (void)changed_dict();
        return -1;
    }
    if (!layout_dict_next(walk->dict, &walk->position, key, value)) {
        return 0;
    }
    if (unlikely(walk->left-- == 0)) {
        PyErr_SetString(PyExc_RuntimeError, "dictionary keys changed during iteration");
        return -1;
    }
    return 1;
}

/* Two pairs that are asked for before the first is saved lie on the stack of snapshots, the second
   below the first, each of them key upon value.  Bits say which values nobody else held, and which
   pairs are held. */
enum { FIRST_UNIQUE = 1, SECOND_UNIQUE = 2, FIRST_HELD = 4, SECOND_HELD = 8 };

static int
push_pair(struct pickler *pickler, PyObject *key, PyObject *value)
{
    struct snapshots *stack = &pickler->snapshots;
    if (save_reserve_snapshot(pickler, 2) < 0) {
        return -1;
    }
    stack->values[stack->count++] = Py_NewRef(value);
    stack->values[stack->count++] = Py_NewRef(key);
    return 0;
}

/* The bits of the pairs that are held then; with an exception, none is.  Runs no Python code. */
static NOINLINE int
hold_pairs(struct pickler *pickler, struct walk *walk)
{
    PyObject *key, *value, *next_key, *next_value;
    int held = 0;
    if (walk_next(walk, &key, &value) <= 0) {
        return 0;
    }
    int found = walk_next(walk, &next_key, &next_value);
    if (found > 0) {
        held = SECOND_HELD | (save_is_unique(pickler, next_value) ? SECOND_UNIQUE : 0);
        found = push_pair(pickler, next_key, next_value);
    }
    if (found < 0) {
        return 0;
    }
    held |= FIRST_HELD | (save_is_unique(pickler, value) ? FIRST_UNIQUE : 0);
    if (push_pair(pickler, key, value) == 0) {
        return held;
    }
    if (held & SECOND_HELD) {
        (void)save_drop_snapshot(pickler, 2, NULL);
    }
    return 0;
}

/* Saves and releases the pair that was held last. */
ALWAYS_INLINE char *
save_held_pair(struct pickler *pickler, PyObject *dict, int unique, uint64_t epoch, char *out)
{
    if (out != NULL) {
        PyObject **top = pickler->snapshots.values + pickler->snapshots.count;
        PyObject *key = top[-1], *value = top[-2];
        out = save_beside(pickler, key, 0, out);
        if (out != NULL) {
            out = save_below(pickler, value, unique && epoch == pickler->epoch, out);
        }
        if (unlikely(out == NULL)) {
            error_note("when serializing %T item %R", dict, key);
        }
    }
    out = save_drop_snapshot(pickler, 2, save_flush(pickler, epoch, out));
    return out == NULL ? NULL : save_room(pickler, out);
}

/* The pairs of a batch behind the first two, and its end.  walk->full: there may be another. */
static NOINLINE char *
save_walked(struct pickler *pickler, struct walk *walk, char *out)
{
    PyObject *key, *value;
    int found = 1;
    for (int count = 2; count < BATCH_SIZE; ++count) {
        found = walk_next(walk, &key, &value);
        if (found <= 0) {
            break;
        }
        out = save_pair(pickler, walk->dict, key, value, dict_owns_keys(walk->dict), out);
        if (unlikely(out == NULL)) {
            return NULL;
        }
    }
    walk->full = found > 0;
    out = found < 0 ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_SETITEMS);
}

/* Batches of which the second pair is asked for before the first is saved.  Each level of nesting
   is one C frame, and a small one. */
char *
save_own_items(struct pickler *pickler, PyObject *dict, Py_ssize_t size, char *out)
{
    struct walk walk = {.dict = dict, .size = size, .left = size};
    do {
        uint64_t epoch = pickler->epoch;
        int held = hold_pairs(pickler, &walk);
        if (held == 0) {
            return PyErr_Occurred() ? NULL : out;
        }
        walk.full = 0;
        out = held & SECOND_HELD ? write_op(out, OP_MARK) : out;
        out = save_held_pair(pickler, dict, held & FIRST_UNIQUE, epoch, out);
        if (!(held & SECOND_HELD)) {
            return out == NULL ? NULL : write_op(out, OP_SETITEM);
        }
        out = save_held_pair(pickler, dict, held & SECOND_UNIQUE, epoch, out);
        out = out == NULL ? NULL : save_walked(pickler, &walk, out);
    } while (out != NULL && walk.full);
    return out;
}
