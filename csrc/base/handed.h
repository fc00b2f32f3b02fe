/* Containers that foreign code was handed during a load, and that the standard library's memo
   would hold until its end.

   The memo of a load leaves out objects whose death nobody notices (load_memo.h).  That of a list
   or dict that was given to a function may be noticed: objects that nothing else holds may have
   been put into it.  Such containers, with those that lie in them, live until the load ends, and
   die in the order in which the memo would release them: each knows how many entries there were.

   A container with one reference was not handed before.  A container with more may be in the memo,
   or be kept already, and is looked through once.  All this must not take more memory than a memo
   that holds everything: a container that is handed goes into an unused place of the memo near by,
   of which each has one; the containers in it, and those without such a place, into an array.

   When the function has returned, and nobody but the load holds the container, no cycle can go
   through it: the collector need not look at it any more. */
#ifndef FASTCOPYREG_BASE_HANDED_H
#define FASTCOPYREG_BASE_HANDED_H

#include "base/idmap.h"

/* The value of `used` for a place with a container that is not the entry of that number. */
enum { HANDED_HERE = 2 };

struct handed {
    PyObject **items; /* of the memo, and whether each is used; borrowed */
    unsigned char *used;
    PyObject **kept; /* owned, in the order in which they were handed */
    uint32_t *marks; /* the entries of the memo when each was */
    size_t count;
    size_t room;
    struct idmap shared; /* those with more references that were looked through, kept too */
    size_t mark;         /* the entries of the memo at this moment */
    PyObject *last;      /* that was kept, of those that the collector sees; borrowed, or NULL */
};

/* True for a container that can be filled, or in which such a container may lie. */
ALWAYS_INLINE int
handed_may_be_filled(PyObject *object)
{
    return PyList_CheckExact(object) || PyDict_CheckExact(object)
           || (PyTuple_CheckExact(object) && PyObject_GC_IsTracked(object));
}

/* Keeps a container that may be filled.  0, or -1 with MemoryError.  Runs no Python code. */
int handed_keep_container(struct handed *handed, PyObject *container);

/* Keeps an object if it is one; `handed` may be NULL, for nobody to keep it. */
ALWAYS_INLINE int
handed_keep(struct handed *handed, PyObject *object)
{
    return handed == NULL || !handed_may_be_filled(object) ? 0
                                                           : handed_keep_container(handed, object);
}

/* After a call, and when its arguments were released: hides the container last kept from the
   collector if nobody else has it by now.  Runs no Python code. */
ALWAYS_INLINE void
handed_return(struct handed *handed)
{
    PyObject *last = handed->last;
    handed->last = NULL;
    if (last != NULL && has_one_reference(last)) {
        PyObject_GC_UnTrack(last);
    }
}

/* Releases those that were handed when the memo had as many entries as `mark` or more, the last
   first.  May run Python code. */
void handed_drop(struct handed *handed, size_t mark);

/* Gives all memory back; nothing is kept. */
void handed_free(struct handed *handed);

#endif
