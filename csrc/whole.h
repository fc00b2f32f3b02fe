/* A pickle that is one object: dumps() of an object that a plan's form (form.h) takes apart into a
   class and atoms.

   The simple way is that of any dump: a pickler is taken, the object is saved, and what it is made
   of is numbered in the memo.  For a pickle of sixty bytes that is most of the work, and the memo
   is never asked: nothing is in the pickle but this object, and nothing in it comes by twice.  So
   neither a pickler nor a memo is needed, and the pickle is written in one pass.

   Nothing is changed before the pickle is whole, and nothing that runs Python code is done.  So
   whatever is not as it has to be is left to the dump, at any point. */
#ifndef FASTCOPYREG_WHOLE_H
#define FASTCOPYREG_WHOLE_H

#include "form.h"

#if KNOWN_LAYOUT

/* The part of whole_dumps() for types that may have a form. */
PyObject *whole_dumps_by_form(struct core_state *state, PyObject *object, PyObject *protocol,
                              int *done);

/* What dumps() returns for the object; strong, or NULL with MemoryError.  NULL and nothing done if
   it is to be dumped as any other; else *done is set.  Runs no Python code. */
ALWAYS_INLINE PyObject *
whole_dumps(struct core_state *state, PyObject *object, PyObject *protocol, int *done)
{
    return form_is_of(state, Py_TYPE(object)) ? whole_dumps_by_form(state, object, protocol, done)
                                              : NULL;
}

#else

static inline PyObject *
whole_dumps(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(object),
            PyObject *Py_UNUSED(protocol), int *Py_UNUSED(done))
{
    return NULL;
}

#endif
#endif
