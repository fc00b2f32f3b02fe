/* Dict watches: dicts that others may change, and whether they have changed.

   The names and tables that copy looks up for every object stay the same for hours, and any Python
   code may change them.  To look them up again after each call of foreign code was a fifth of the
   time of copying an object whose reducer is called.  Here the interpreter tells: from 3.12 a
   watcher counts the changes of the dicts, before that each dict has a version.

   The dicts are borrowed: the first is held by the caller, and each other one by the values of
   those before it, so that all live while nothing has changed.  A watcher's event comes just
   before the change, and no Python code runs between.

   An interpreter has few watchers, and a watcher is told nothing but the dict.  So there is
   one for all cores of an interpreter, and its count is where it can be found from there: in
   a capsule in the interpreter's own dict. */
#ifndef FASTCOPYREG_BASE_DICTWATCH_H
#define FASTCOPYREG_BASE_DICTWATCH_H

#include "base/compat.h"

enum { DICTWATCH_DICTS = 7 };

/* A copy of dicts that are watched, which is let go when one of them is about to change, or the
   copy itself.  What it holds is held by them as well until then, so that no Python code runs. */
struct dictwatch_kept {
    PyObject *object; /* strong, or NULL */
    struct dictwatch_kept *next;
};

/* The count that the watcher of an interpreter keeps. */
struct dictwatch_count {
    size_t changes; /* of all dicts that are watched */
    int watcher;
    struct dictwatch_kept *kept; /* all that is to be let go at the next change */
};

struct dictwatch {
    PyObject *capsule; /* strong; owner of the count */
    const struct dictwatch_count *count;
    size_t seen;  /* changes that were counted when the dicts were read */
    int dicts;    /* how many there are */
    int complete; /* all of them are watched */
    PyObject *dict[DICTWATCH_DICTS];
    uint64_t version[DICTWATCH_DICTS];
};

/* Begins to watch, with no dicts yet.  Never fails: without a watcher, everything is always
   said to have changed. */
void dictwatch_setup(struct dictwatch *watch);
void dictwatch_teardown(struct dictwatch *watch);

/* Forgets the dicts; then adds one after the other.  Neither runs Python code. */
void dictwatch_restart(struct dictwatch *watch);
void dictwatch_add(struct dictwatch *watch, PyObject *dict);

/* Keeps an exact dict, which is a copy of the dicts of the watch as they are now.  Without a
   watcher it is not kept. */
void dictwatch_keep(struct dictwatch *watch, struct dictwatch_kept *kept, PyObject *copy);

/* Lets go of what is kept, if anything is.  Runs no Python code. */
void dictwatch_let_go(struct dictwatch *watch, struct dictwatch_kept *kept);

/* True if no dict has changed since dictwatch_restart(). */
ALWAYS_INLINE int
dictwatch_is_unchanged(const struct dictwatch *watch)
{
#if HAS_DICT_WATCHERS
    return watch->complete && watch->seen == watch->count->changes;
#else
    for (int i = 0; i < watch->dicts; i++) {
        if (dict_version(watch->dict[i]) != watch->version[i]) {
            return 0;
        }
    }
    return watch->complete;
#endif
}

#endif
