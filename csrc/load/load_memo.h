/* The memo of a load: index -> object.

   In full, it is the standard library's: an array for indices that follow one another, a dict for
   indices far beyond them, so that a huge index in a short pickle costs no memory; the index of
   MEMOIZE is the number of entries.

   With a prescan (prescan.h) it stores only objects that are fetched later, and those that must be
   kept all the same: an object whose death a program could notice is alive until the end of the
   load in the standard library, because the memo holds it, so it is here.  No program notices the
   death of an exact str, bytes, number, tuple, list or dict: none of them has a finalizer or a
   weak reference, and their items are in the memo by themselves (or in copyreg's cache of
   extension codes), as is an argument of a call; a pickle in which something is not keeps all.  A
   container that foreign code was handed is kept beside the memo (handed.h).

   The memo of an Unpickler is in full, as a later load() may fetch from it and anybody look at it.
   But a tuple of arguments and a dict of state that nobody else would hold are made when somebody
   asks for them: till then the memo owns the objects that would be in them (struct deferred), as
   they were at that moment, and a word that is no address stands for them among the items. */
#ifndef FASTCOPYREG_LOAD_LOAD_MEMO_H
#define FASTCOPYREG_LOAD_LOAD_MEMO_H

#include "base/handed.h"
#include "load/prescan.h"

/* The items of the tuples and dicts that are not made yet: for each the number of words, then so
   many objects, owned, or other entries that are deferred. */
struct deferred {
    uintptr_t *words;
    size_t count;
    size_t capacity;
};

struct load_memo {
    PyObject **items; /* in full: NULL where absent; prescanned: set where wanted[i] */
    size_t capacity;
    size_t reach;     /* in full: an index not below it may belong into the dict */
    size_t end;       /* in full: behind the last of items that is set */
    size_t length;    /* the index of the next MEMOIZE */
    PyObject *sparse; /* in full: index -> object for the others, or NULL */
    struct prescan scan;
    int prescanned;
    struct handed handed; /* prescanned: containers that are kept beside the memo */
    int defers;           /* in full: entries may be deferred */
    struct deferred deferred;
    PyObject **doubted;   /* of a prescan that did not hold: its items, of which ... */
    size_t doubted_count; /* ... so many, and the containers kept beside them, are still owned */
};

/* In full: takes a reference of its own.  0, or -1 with an exception.  Releasing a value put there
   before may run Python code. */
int load_memo_put_full(struct load_memo *memo, struct core_state *state, size_t index,
                       PyObject *value);

/* In full: the value, strong, or NULL with UnpicklingError. */
PyObject *load_memo_get_full(struct load_memo *memo, struct core_state *state, size_t index);

/* Prepares for a prescanned load.  0, or -1 with an exception. */
int load_memo_begin_prescanned(struct load_memo *memo);

/* The load goes on with other bytes than were scanned: the memo is in full from here, without the
   entries that the prescan had skipped.  0, or -1 with MemoryError. */
int load_memo_doubt(struct load_memo *memo);

/* Releases all entries, from the last to the first.  May run Python code. */
void load_memo_clear(struct load_memo *memo);

/* Frees the memory too. */
void load_memo_free(struct load_memo *memo);

/* A new dict {index: object}, or NULL with an exception. */
PyObject *load_memo_as_dict(struct load_memo *memo);

/* Fills an empty memo from such a dict.  0, or -1 with an exception. */
int load_memo_from_dict(struct load_memo *memo, struct core_state *state, PyObject *dict);

/* A deferred entry is a word with the lowest bit set: of a tuple, or of a dict, and behind which
   word of those deferred it begins; in there, the index of an entry. */
enum { DEFERRED_TUPLE = 1, DEFERRED_DICT = 3, DEFERRED_BITS = 2 };

ALWAYS_INLINE int
load_memo_is_deferred(const void *item)
{
    return ((uintptr_t)item & 1) != 0;
}

/* True if the memo of a load may defer, where it is in full.  The collector must not run while
   tuples and dicts are made. */
int load_memo_may_defer(void);

/* In full: puts at the next index a tuple that is not made, of objects that stay the caller's. The
   last may be an entry that is deferred, `last`, in place of the object there; else it is -1.  0,
   or -1 with MemoryError and nothing put. */
int load_memo_defer_tuple(struct load_memo *memo, PyObject *const *objects, size_t count,
                          Py_ssize_t last);

/* In full: the index of a dict among the newest entries, at most so far back; -1 if it is not
   there. */
Py_ssize_t load_memo_find_newest(const struct load_memo *memo, PyObject *dict, size_t most);

/* In full: makes the entry one of a dict that is not made, of pairs that stay the caller's, and
   releases the empty dict that is there, which others hold too.  0, or -1 with MemoryError and
   nothing done. */
int load_memo_defer_dict(struct load_memo *memo, size_t index, PyObject *const *pairs,
                         size_t count);

/* Visits the objects that are owned, for the collector. */
int load_memo_traverse(const struct load_memo *memo, visitproc visit, void *arg);

/* True if the death of the object goes unnoticed; see above. */
ALWAYS_INLINE int
dies_unnoticed(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        return 0;
    }
    return type == &PyUnicode_Type || type == &PyTuple_Type || type == &PyDict_Type
           || type == &PyList_Type || type == &PyLong_Type || type == &PyFloat_Type
           || type == &PyBytes_Type || type == &PyBool_Type || object == Py_None;
}

/* True if MEMOIZE of a container that is not fetched stores nothing. */
ALWAYS_INLINE int
load_memo_skips(struct load_memo *memo)
{
    return memo->prescanned ? !memo->scan.keeps_all && !memo->scan.wanted[memo->length]
                            : memo->defers && memo->length == memo->end && memo->sparse == NULL;
}

/* Passes the MEMOIZE of a tuple that load_memo_skips(), or that is deferred.  0, or -1 with
   MemoryError. */
ALWAYS_INLINE int
load_memo_pass_tuple(struct load_memo *memo, PyObject *const *objects, size_t count)
{
    if (likely(memo->prescanned)) {
        memo->length++;
        return 0;
    }
    return load_memo_defer_tuple(memo, objects, count, -1);
}

/* Prescanned: keeps a value that nobody fetches; steals it. */
ALWAYS_INLINE void
load_memo_keep(struct load_memo *memo, size_t index, PyObject *value)
{
    memo->items[index] = value;
    memo->scan.wanted[index] = 1;
}

/* Stores, or skips, a value that nobody fetches.  `unnoticed`: its death is known to go unnoticed.
 */
ALWAYS_INLINE void
load_memo_put_unwanted(struct load_memo *memo, size_t index, PyObject *value, int unnoticed)
{
    if (unlikely(memo->scan.keeps_all || !(unnoticed || dies_unnoticed(value)))) {
        load_memo_keep(memo, index, Py_NewRef(value));
    }
}

/* Prescanned: only indices that the prescan has met. */
ALWAYS_INLINE void
load_memo_put_prescanned(struct load_memo *memo, size_t index, PyObject *value, int unnoticed)
{
    assert(index <= memo->length && index < memo->scan.count);
    if (index == memo->length) {
        memo->length++;
    }
    else if (memo->scan.wanted[index]) {
        Py_SETREF(memo->items[index], Py_NewRef(value));
        return;
    }
    if (likely(!memo->scan.wanted[index])) {
        load_memo_put_unwanted(memo, index, value, unnoticed);
    }
    else {
        memo->items[index] = Py_NewRef(value);
    }
}

/* True if a value put at the index replaces none. */
ALWAYS_INLINE int
load_memo_is_new(const struct load_memo *memo, size_t index)
{
    return index == memo->length && index >= memo->end && memo->sparse == NULL;
}

/* 0, or -1 with an exception. */
ALWAYS_INLINE int
load_memo_put_kind(struct load_memo *memo, struct core_state *state, size_t index, PyObject *value,
                   int unnoticed)
{
    if (memo->prescanned) {
        load_memo_put_prescanned(memo, index, value, unnoticed);
        return 0;
    }
    if (likely(index < memo->reach && memo->items[index] == NULL && memo->sparse == NULL)) {
        memo->items[index] = Py_NewRef(value);
        memo->length++;
        if (likely(index >= memo->end)) {
            memo->end = index + 1;
        }
        return 0;
    }
    return load_memo_put_full(memo, state, index, value);
}

ALWAYS_INLINE int
load_memo_put(struct load_memo *memo, struct core_state *state, size_t index, PyObject *value)
{
    return load_memo_put_kind(memo, state, index, value, 0);
}

/* In full: true if an entry is there and not deferred. */
ALWAYS_INLINE int
load_memo_has(const struct load_memo *memo, size_t index)
{
    return index < memo->end && memo->items[index] != NULL
           && !load_memo_is_deferred(memo->items[index]);
}

/* The value, strong, or NULL with UnpicklingError. */
ALWAYS_INLINE PyObject *
load_memo_get(struct load_memo *memo, struct core_state *state, size_t index)
{
    if (memo->prescanned) {
        assert(index < memo->length && memo->scan.wanted[index]);
        return Py_NewRef(memo->items[index]);
    }
    if (likely(load_memo_has(memo, index))) {
        return Py_NewRef(memo->items[index]);
    }
    return load_memo_get_full(memo, state, index);
}

#endif
