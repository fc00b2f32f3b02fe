/* A pickle that is one object: dumps() of an object that its reducer takes apart into a class and
   atoms.

   For any dump a pickler is taken, the object is saved, and its parts are numbered in the memo.
   For a pickle of sixty bytes that is most of the work, and the memo is never asked: nothing is in
   the pickle but this object, and nothing in it comes by twice.  So neither a pickler nor a memo
   is needed, and the pickle is written in one pass.

   The parts are read by a bound plan (bound.h), or the reducer is called if it always has to be.
   Writing them runs no Python code and changes nothing.  So any other object can be left to the
   dump, at any point. */
#ifndef FASTCOPYREG_DUMP_SAVE_ONE_H
#define FASTCOPYREG_DUMP_SAVE_ONE_H

#include "types/bound.h"
#include "base/layout.h"

/* The parts of save_one_object() for types that may have a bound plan, and for other classes. */
int dump_by_bound_plan(struct core_state *state, PyObject *object, PyObject *protocol,
                       PyObject **pickle);
int dump_by_call(struct core_state *state, PyObject *object, PyObject *protocol, PyObject **pickle,
                 PyObject **reduce_value);

/* 1 and what dumps() returns for the object: strong, or NULL with an exception.  0 if it is to be
   dumped as any other; then *reduce_value is what its reducer returned if it was called already,
   strong.  May run Python code. */
ALWAYS_INLINE int
save_one_object(struct core_state *state, PyObject *object, PyObject *protocol, PyObject **pickle,
                PyObject **reduce_value)
{
    if (!layout_is_known()) {
        return 0;
    }
    PyTypeObject *type = Py_TYPE(object);
    if (bound_is_of(state, type)) {
        return dump_by_bound_plan(state, object, protocol, pickle);
    }
    return PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
           && dump_by_call(state, object, protocol, pickle, reduce_value);
}

#endif
