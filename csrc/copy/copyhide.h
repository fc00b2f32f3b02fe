/* Copies that the collector does not see for a while.

   If nothing is done, a quarter to a third of the time of a large deepcopy goes into collections
   that visit the new copies, and can find nothing: objects that a call owns until its end are no
   garbage before.  (Hidden, copies of 20,000 objects that were released took 15 % to 35 % less
   time, on 3.14 and 3.15; of those that were kept, as much or up to 4 % more: live objects are
   visited by a later collection, when they have left the processor's caches.)  So copies leave the
   collector's lists

   - as soon as they are many, and then each when it is made, where a reducer is called for each
     object, and with each call the collector may run; until the end, or until foreign code is
     handed anything but a source;
   - at the end of a copy that ran no foreign code, if a collection is due by then: it runs while
     they are hidden, instead of right after.

   The difference can be seen only by asking the collector for its objects in a reducer, a
   finalizer or a signal handler that runs meanwhile.  The invariants:

   - A hidden copy was tracked when it was hidden, or was made without being tracked; the memo owns
     it, and has it tracked again before it lets it go, however the call ends.
   - A reference that the collector does not see counts as one from outside: hiding keeps what
     is reachable from a copy alive, and frees nothing.
   - No tuple is hidden but as an instance of a class of its own: the collector stops
     tracking a tuple for good whose items it finds untracked, if these are tuples. */
#ifndef FASTCOPYREG_COPY_COPYHIDE_H
#define FASTCOPYREG_COPY_COPYHIDE_H

#include "base/compat.h"

/* With fewer copies than these nothing is gained: the collector runs every 2,000. */
enum { COPYHIDE_FROM = 256 };

/* True if the object is of a kind that the copier makes itself, and is tracked. */
ALWAYS_INLINE int
may_be_hidden(PyObject *copy)
{
    PyTypeObject *type = Py_TYPE(copy);
    int ours = type == &PyList_Type || type == &PyDict_Type
               || (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
                   && !PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE) && PyType_IS_GC(type)
                   && type->tp_is_gc == NULL && type->tp_alloc == PyType_GenericAlloc);
    return ours && collector_tracks(copy);
}

/* Hides an object, if it may be hidden: 1 or 0.  The caller owns it until it is revealed.  Runs no
   Python code. */
ALWAYS_INLINE int
copyhide_hide(PyObject *copy)
{
    if (!may_be_hidden(copy)) {
        return 0;
    }
    PyObject_GC_UnTrack(copy);
    return 1;
}

/* Has a hidden object tracked again.  Runs no Python code. */
ALWAYS_INLINE void
copyhide_reveal(PyObject *copy)
{
    /* Up to 3.13 a dict is tracked by itself when something is put into it. */
    if (!collector_tracks(copy)) {
        PyObject_GC_Track(copy);
    }
}

#endif
