/* The memo of a deepcopy.

   The standard library's memo is a dict: id(x) -> copy, and under id(memo) a list that
   keeps every copied x alive.  That is most of the time of copying a small object.  Here
   the memo is native until somebody can see it:

   - `pending`: the objects copied since the last foreign code, as a log of borrowed pairs.
     Nothing is looked up in it.  Objects that only their container holds are nowhere else:
     no one can present them again before foreign code runs.
   - `shared`: those of the pending that several hold, by address, borrowed too.
   - `entries`, `kept`: copymemo_flush() makes them of the pending just before foreign code runs
     (anything that may run Python code or drop a last reference): the memo's items and its
     keep-alive list, in the standard library's order, owned.  Their copies may be hidden from the
     collector for a while: see copyhide.h.
   - `dict`: a real memo, once a caller gave one or a foreign __deepcopy__ must be given one.
     Everything above is empty then, and stays so.

   Borrowing is sound because nothing dies before foreign code runs: sources are held by
   what is being copied, copies by the objects that they were stored in or by the copier.  An
   object may be left out of `shared` only if it was read once from a container, has one reference,
   and every open ancestor is in the memo or is itself held once: the copier says so
   (`unique`).  States that were copied without being made (see default.h) are made by the
   flush and get their entries, in their places. */
#ifndef FASTCOPYREG_COPY_COPYMEMO_H
#define FASTCOPYREG_COPY_COPYMEMO_H

#include "types/default.h"
#include "copy/copyhide.h"
#include "copy/copyroute.h"
#include "base/idmap.h"

/* The kind of a source, in the low bits of its address. */
enum {
    COPY_OBJECT = 0,  /* one entry */
    COPY_DEFAULT = 1, /* an instance with a default reduction: its state has entries too */
};

/* The event, in the low bits of the copy's address. */
enum {
    COPY_OPENED = 0,  /* entered; its parts come next */
    COPY_CLOSED = 1,  /* its parts are done */
    COPY_AT_ONCE = 2, /* entered and closed at once */
    COPY_HIDDEN = 4,  /* the copy is hidden, and owned */
};

/* In the low bits of the copy's address in an entry: the copy is hidden. */
enum { ENTRY_HIDDEN = 1 };

struct copyevent {
    uintptr_t source;
    uintptr_t copy;
};

/* The memory of a native memo, kept between calls while it is small. */
struct copybuffers {
    struct copyevent *pending;
    size_t pending_count, pending_capacity;
    struct idmap shared;
    int entered_again; /* an object that is pending was copied within itself, and so twice */
    struct idmap entries;
    PyObject **kept; /* borrowed: the entries own them */
    size_t kept_count, kept_capacity;
    size_t first_kept;  /* how many entries there were when the first was kept */
    size_t passed;      /* entries whose copies are hidden, or are not to be */
    size_t hidden_from; /* where `hiding`: the first entry whose copy may be hidden */
    int hiding;         /* copies are hidden as soon as they are made */
    int pending_hidden; /* some of the pending are */
};

struct copymemo {
    struct core_state *state;
    PyObject *dict;     /* strong; NULL while native */
    PyObject *dict_key; /* strong: id(dict) */
    struct copybuffers *buffers;
    struct open_instance *innermost;       /* instances being filled */
    struct open_instance *not_rolled_back; /* the outermost of them that was not rolled back */
};

/* Makes an empty native memo, or one that is a caller's dict.  0 or -1. */
int copymemo_start(struct core_state *state, struct copymemo *memo, PyObject *dict);

/* Releases all that the memo owns, which may run Python code.  Errors are kept. */
void copymemo_finish(struct copymemo *memo);

/* Owns, enters and makes everything that is pending.  0 or -1.  Runs no Python code. */
int copymemo_flush_pending(struct copymemo *memo);

ALWAYS_INLINE int
copymemo_flush(struct copymemo *memo)
{
    if (memo->buffers->pending_count == 0 && memo->not_rolled_back == NULL) {
        return 0;
    }
    return copymemo_flush_pending(memo);
}

/* Hides the copies that are pending from the collector, and owns them.  Runs no Python code. */
void copymemo_hide_pending(struct copymemo *memo);

ALWAYS_INLINE PyObject *
entry_copy(const struct idpair *entry)
{
    return (PyObject *)((uintptr_t)entry->value & ~(uintptr_t)ENTRY_HIDDEN);
}

ALWAYS_INLINE int
entry_is_hidden(const struct idpair *entry)
{
    return ((uintptr_t)entry->value & ENTRY_HIDDEN) != 0;
}

ALWAYS_INLINE void
mark_hidden(struct idpair *entry)
{
    entry->value = (void *)((uintptr_t)entry->value | ENTRY_HIDDEN);
}

/* True if copies that are made now may be made hidden. */
ALWAYS_INLINE int
copymemo_is_hiding(const struct copymemo *memo)
{
    return memo->buffers->hiding;
}

/* Hides the copies of the entries that were made since foreign code was handed a copy, if they are
   many.  Runs no Python code. */
ALWAYS_INLINE void
copymemo_hide_entries(struct copymemo *memo)
{
    struct copybuffers *buffers = memo->buffers;
    if (!buffers->hiding) {
        if (buffers->entries.count - buffers->passed < COPYHIDE_FROM) {
            return;
        }
        buffers->hiding = 1;
        buffers->hidden_from = buffers->passed;
    }
    for (; buffers->passed < buffers->entries.count; buffers->passed++) {
        struct idpair *entry = &buffers->entries.pairs[buffers->passed];
        if (!entry_is_hidden(entry) && copyhide_hide(entry->value)) {
            mark_hidden(entry);
        }
    }
}

/* Lets the collector see the copies of all entries, for good those that are there.  Runs no Python
   code. */
void copymemo_reveal_entries(struct copybuffers *buffers);

ALWAYS_INLINE void
copymemo_reveal(struct copymemo *memo)
{
    struct copybuffers *buffers = memo->buffers;
    buffers->passed = buffers->entries.count;
    if (unlikely(buffers->hiding)) {
        copymemo_reveal_entries(buffers);
    }
}

/* Turns it into a real dict if it is not one yet.  0 or -1.  Runs no Python code. */
int copymemo_show(struct copymemo *memo);

int copymemo_grow_pending(struct copybuffers *buffers);

ALWAYS_INLINE int
copymemo_log(struct copymemo *memo, PyObject *source, unsigned kind, PyObject *copy,
             unsigned phase)
{
    struct copybuffers *buffers = memo->buffers;
    if (unlikely(buffers->pending_count == buffers->pending_capacity)
        && copymemo_grow_pending(buffers) < 0) {
        return -1;
    }
    buffers->pending[buffers->pending_count++] =
        (struct copyevent){(uintptr_t)source | kind, (uintptr_t)copy | phase};
    return 0;
}

/* The copy of an object in a native memo; borrowed, or NULL. */
ALWAYS_INLINE PyObject *
copymemo_find(struct copymemo *memo, PyObject *source)
{
    struct idpair *pair = idmap_find(&memo->buffers->shared, source);
    if (pair != NULL) {
        return pair->value;
    }
    pair = idmap_find(&memo->buffers->entries, source);
    return pair == NULL ? NULL : entry_copy(pair);
}

/* The copy of an object in a real memo; 1 and strong, 0, or -1.  May run Python code. */
int copymemo_find_visible(struct copymemo *memo, PyObject *source, PyObject **copy);

/* memo[id(source)] = copy, of an object that has no entry in a native memo before what is pending.
 */
int copymemo_enter_slowly(struct copymemo *memo, PyObject *source, PyObject *copy);
int copymemo_keep_visible(struct copymemo *memo, PyObject *source, PyObject *copy);

/* The copy was made, its parts come next.  0 or -1.  With a real memo it may run Python code;
   so may those below. */
ALWAYS_INLINE int
copymemo_open(struct copymemo *memo, PyObject *source, unsigned kind, PyObject *copy, int unique)
{
    if (unlikely(memo->dict != NULL) || !unique) {
        if (copymemo_enter_slowly(memo, source, copy) < 0) {
            return -1;
        }
    }
    if (unlikely(memo->dict != NULL)) {
        return 0;
    }
    return copymemo_log(memo, source, kind, copy, COPY_OPENED);
}

/* Its parts are done: memo[id(source)] = copy again, and the source is kept. */
ALWAYS_INLINE int
copymemo_close(struct copymemo *memo, PyObject *source, unsigned kind, PyObject *copy)
{
    if (unlikely(memo->dict != NULL)) {
        return copymemo_keep_visible(memo, source, copy);
    }
    return copymemo_log(memo, source, kind, copy, COPY_CLOSED);
}

/* Both at once. */
ALWAYS_INLINE int
copymemo_enter_at_once(struct copymemo *memo, PyObject *source, unsigned kind, PyObject *copy,
                       int unique)
{
    if (unlikely(memo->dict != NULL)) {
        return copymemo_keep_visible(memo, source, copy);
    }
    if (!unique && copymemo_enter_slowly(memo, source, copy) < 0) {
        return -1;
    }
    return copymemo_log(memo, source, kind, copy, COPY_AT_ONCE);
}

/* Both at once, of an object that foreign code just had, and that is not in a native memo; the
   memo owns it from now on.  `hidden`: while the memo was hiding, the copy was made without the
   collector's seeing it.  0 or -1. */
int copymemo_own_at_once(struct copymemo *memo, PyObject *source, PyObject *copy, int hidden);

/* memo[id(source)] = copy after foreign code made the copy; an entry that is there already
   is replaced.  Native: owned at once. */
int copymemo_put(struct copymemo *memo, PyObject *source, PyObject *copy);

/* The source is kept (and entered again, where that can be seen). */
int copymemo_keep(struct copymemo *memo, PyObject *source, PyObject *copy);

/* Links an instance that is being filled, and unlinks it. */
ALWAYS_INLINE void
copymemo_link(struct copymemo *memo, struct open_instance *open)
{
    open->outer = memo->innermost;
    open->inner = NULL;
    if (open->outer != NULL) {
        open->outer->inner = open;
    }
    memo->innermost = open;
    if (memo->not_rolled_back == NULL) {
        memo->not_rolled_back = open;
    }
}

ALWAYS_INLINE void
copymemo_unlink(struct copymemo *memo, struct open_instance *open)
{
    memo->innermost = open->outer;
    if (open->outer != NULL) {
        open->outer->inner = NULL;
    }
    if (memo->not_rolled_back == open) {
        memo->not_rolled_back = NULL;
    }
}

/* Frees what is kept between calls. */
void copymemo_teardown(struct core_state *state);

#endif
