/* The pickler's numbering of objects: a log, a table, and the rule that lets them differ.

   The simple memo is one hash table from object to number, in which every object that is saved is
   looked up and entered, and which owns them all.  Most of the time of a dump goes into that: each
   entry is a cache miss in a table of 16-byte entries.

   Here the numbering is a log, an array of pointers in the order of their numbers, and the
   table beside it holds only positions of the log (4 bytes each).  An object is entered
   into the table, and owned, only when somebody could present it a second time:

     An entry may stay out of the table ("deferred") while nobody but the one holder from whom the
     pickler has just read it holds the object, while every object that was opened before it and is
     not numbered yet is held by one holder too, and while no foreign code has run since.  Foreign
     code is code that may run Python or release a last reference.  Before any of it runs,
     memo_flush() enters and owns all entries.

   The second condition is for cycles through objects that are numbered after their
   children (tuples, frozen sets, arguments of a reduction): such an object, if shared, may
   come by again before it has a number, and its children with it.

   An entry may also be counted only (memo_skip): a container or a string that the standard library
   would have made for this dump and nobody else could get hold of: the arguments tuple of a
   reduction, the state of slots.  The memo as Python sees it has a stand-in for each, made when
   the memo is asked for (memo_show): a new object of the same type.  Objects that only such a
   container would have held, and that have no number, are kept (memo_keep).

   Between two dumps with one memo everything is owned (memo_own), and deferred entries are entered
   into the table when the memo is needed again, by the next dump or by a program that looks at it,
   which few do.

   A memo that was assigned may have any numbers; then, and only then, `indices` lies beside the
   log.  The next number is always the count of entries.

   The __dict__ of an instance may be numbered before it is made (memo_put_unmade): the log has the
   instance then.  The pickler finds such entries by MEMO_UNMADE, and makes the dicts that others
   could get hold of before foreign code runs.

   Where reference counts do not tell who holds an object (builds without the GIL), nothing is
   deferred. */
#ifndef FASTCOPYREG_DUMP_MEMO_H
#define FASTCOPYREG_DUMP_MEMO_H

#include "base/compat.h"

struct memo {
    uintptr_t *log;      /* objects by position, with marks */
    uint32_t *table;     /* position + 1 of an object, 0: free; open addressing */
    size_t mask;         /* of the table; its size is a power of two */
    size_t entered;      /* objects in the table */
    size_t count;        /* entries in the log */
    size_t capacity;     /* of the log */
    size_t flushed;      /* of the entries before this one none is deferred */
    size_t owned;        /* entries before this one are owned; not less than `flushed` */
    Py_ssize_t *indices; /* NULL: the number of an entry is its position */
    size_t unmade;       /* entries of dicts that are not made yet ... */
    size_t unmade_from;  /* ... none of which lies before this one */
    size_t generation;   /* changes whenever entries are taken away or renumbered */
    PyObject **kept;     /* owned besides */
    size_t kept_count;
    size_t kept_capacity;
};

#define MEMO_DEFERRED ((uintptr_t)1) /* not in the table */
#define MEMO_UNMADE ((uintptr_t)2)   /* stands for the __dict__ of the object */
#define MEMO_MARKS (MEMO_DEFERRED | MEMO_UNMADE)

/* The type of an entry that is counted only: both marks, and this in place of an object. */
enum memo_absent { ABSENT_TUPLE, ABSENT_DICT, ABSENT_LIST, ABSENT_STR, ABSENT_BYTES };

/* The object of an entry that owns one; else NULL. */
ALWAYS_INLINE PyObject *
memo_object(uintptr_t entry)
{
    return entry & MEMO_UNMADE ? NULL : (PyObject *)(entry & ~MEMO_MARKS);
}

/* Initialises an empty memo.  0, or -1 with MemoryError. */
int memo_init(struct memo *memo);

/* Releases all entries, keeping up to a cap of memory.  May run Python code. */
void memo_clear(struct memo *memo);

/* Releases all entries and frees all memory.  May run Python code. */
void memo_destroy(struct memo *memo);

/* Enters and owns every entry.  To be called before any foreign code.  0 or -1. */
int memo_flush_entries(struct memo *memo);

/* Owns every entry, and enters none. */
void memo_own(struct memo *memo);

/* Makes a stand-in for each entry that is counted only, up to the one that was flushed last.  0
   or -1.  May run Python code, which may change the memo. */
int memo_show(struct memo *memo);

/* Owns an object that has no number.  0 or -1. */
int memo_keep(struct memo *memo, PyObject *object);

/* Visits the objects that are owned. */
int memo_visit(const struct memo *memo, visitproc visit, void *arg);

/* Enters an object that is at hand under any number.  For memos that are assigned, and
   for objects that are numbered a second time.  0 or -1. */
int memo_set(struct memo *memo, PyObject *object, Py_ssize_t index);

/* Makes *copy a memo with the same entries.  The source was shown.  0 or -1. */
int memo_copy(struct memo *copy, const struct memo *memo);

/* Makes room for one more entry in log, table and indices.  0 or -1. */
int memo_grow_log(struct memo *memo);
int memo_grow_table(struct memo *memo);

ALWAYS_INLINE size_t
memo_hash(uintptr_t object)
{
    return object >> 4;
}

/* The position of the object in the log, or -1. */
ALWAYS_INLINE Py_ssize_t
memo_find(const struct memo *memo, PyObject *object)
{
    size_t mask = memo->mask;
    for (size_t i = memo_hash((uintptr_t)object) & mask;; i = (i + 1) & mask) {
        uint32_t entry = memo->table[i];
        if (entry == 0) {
            return -1;
        }
        if (memo->log[entry - 1] == (uintptr_t)object) {
            return (Py_ssize_t)entry - 1;
        }
    }
}

/* The number of the entry at a position. */
ALWAYS_INLINE Py_ssize_t
memo_index(const struct memo *memo, Py_ssize_t position)
{
    return likely(memo->indices == NULL) ? position : memo->indices[position];
}

/* Enters and owns every deferred entry: 0 or -1.  Dicts that are not made are not touched. */
ALWAYS_INLINE int
memo_flush(struct memo *memo)
{
    return memo->flushed == memo->count ? 0 : memo_flush_entries(memo);
}

ALWAYS_INLINE int
memo_reserve(struct memo *memo)
{
    return unlikely(memo->count == memo->capacity) ? memo_grow_log(memo) : 0;
}

/* Numbers an object that may be presented again, and borrows it until the next flush.  0 or -1. */
ALWAYS_INLINE int
memo_put(struct memo *memo, PyObject *object)
{
    if (memo_reserve(memo) < 0) {
        return -1;
    }
    if (unlikely((memo->entered + 1) * 2 > memo->mask) && memo_grow_table(memo) < 0) {
        return -1;
    }
    size_t mask = memo->mask, i = memo_hash((uintptr_t)object) & mask;
    for (; memo->table[i] != 0; i = (i + 1) & mask) {
        if (unlikely(memo->log[memo->table[i] - 1] == (uintptr_t)object)) {
            return memo_set(memo, object, (Py_ssize_t)memo->count);
        }
    }
    memo->log[memo->count] = (uintptr_t)object;
    if (unlikely(memo->indices != NULL)) {
        memo->indices[memo->count] = (Py_ssize_t)memo->count;
    }
    memo->table[i] = (uint32_t)++memo->count;
    memo->entered++;
    return 0;
}

/* Numbers an object under the rule above.  0 or -1. */
ALWAYS_INLINE int
memo_defer(struct memo *memo, PyObject *object)
{
    if (memo_reserve(memo) < 0) {
        return -1;
    }
    if (unlikely(memo->indices != NULL)) {
        memo->indices[memo->count] = (Py_ssize_t)memo->count;
    }
    memo->log[memo->count++] = (uintptr_t)object | MEMO_DEFERRED;
    return 0;
}

/* Numbers the __dict__ of an instance, which is numbered itself, before it is made. */
ALWAYS_INLINE int
memo_put_unmade(struct memo *memo, PyObject *instance)
{
    if (memo_reserve(memo) < 0) {
        return -1;
    }
    if (unlikely(memo->indices != NULL)) {
        memo->indices[memo->count] = (Py_ssize_t)memo->count;
    }
    if (memo->unmade++ == 0) {
        memo->unmade_from = memo->count;
    }
    memo->log[memo->count++] = (uintptr_t)instance | MEMO_UNMADE;
    return 0;
}

/* Replaces the instance that stood for its __dict__ by the dict, and owns it.  0 or -1. */
int memo_make(struct memo *memo, size_t position, PyObject *dict);

/* Counts an entry that nobody can fetch.  0 or -1. */
ALWAYS_INLINE int
memo_skip(struct memo *memo, enum memo_absent absent)
{
    if (memo_reserve(memo) < 0) {
        return -1;
    }
    if (unlikely(memo->indices != NULL)) {
        memo->indices[memo->count] = (Py_ssize_t)memo->count;
    }
    memo->log[memo->count++] = (uintptr_t)absent << 2 | MEMO_MARKS;
    return 0;
}

#endif
