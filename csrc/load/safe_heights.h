/* How high deques and defaultdicts are, which the interpreter frees one within another (up to
   3.13): a million of them, each in the next, end the process when they go away.

   The stack of a load bounds that only where nothing is fetched from the memo.  So every one that
   is put into another directly has a height here: 1, or one more than the highest that it holds.
   Other containers between them begin anew, as the interpreter frees those in bounds.

   What is put into a container that is itself in another would have to raise that one too.  That
   growth is counted instead (safe_counts.grown), and added to every height: an upper bound, and a
   growth is rare, as a pickle fills a container before it is put into another, but for cycles. */
#ifndef FASTCOPYREG_LOAD_SAFE_HEIGHTS_H
#define FASTCOPYREG_LOAD_SAFE_HEIGHTS_H

#include "load/safe_limits.h"

/* True if any of every `stride`th object may be freed so.  The policy's own types alone have a
   policy's flag; what cannot hold anything is passed at a glance. */
ALWAYS_INLINE int
safe_may_hold(PyObject *const *first, PyObject *const *end, Py_ssize_t stride)
{
    while (first < end && !PyType_HasFeature(Py_TYPE(*first), Py_TPFLAGS_HAVE_GC)) {
        first += stride;
    }
    return first < end;
}

/* Notes that a container, or NULL for one that is not made yet, takes every `stride`th object
   from `first` up, all of which are owned.  0, or -1 with UnpicklingError or MemoryError.  Runs
   Python code only as allocations do. */
int safe_hold_parts(struct unpickler *unpickler, PyObject *container, PyObject *const *first,
                    PyObject *const *end, Py_ssize_t stride);

/* The same, where mostly there is nothing to note. */
ALWAYS_INLINE int
safe_hold(struct unpickler *unpickler, PyObject *container, PyObject *const *first,
          PyObject *const *end, Py_ssize_t stride)
{
    return likely(!safe_may_hold(first, end, stride))
               ? 0
               : safe_hold_parts(unpickler, container, first, end, stride);
}

#endif
