/* Frozen dataclasses with slots, and the __getstate__ and __setstate__ that dataclasses gives
   them.

   dataclass(frozen=True, slots=True) adds two functions, by which the state is a list of the
   fields' values:

       def _dataclass_getstate(self):
           return [getattr(self, f.name) for f in fields(self)]

       def _dataclass_setstate(self, state):
           for field, value in zip(fields(self), state):
               object.__setattr__(self, field.name, value)

   They are left out only while they and fields() have the very code that this file stands for
   (_compiler/values.py compares it), find the globals and builtins that they are meant to, and no
   tool monitors them; and only for objects whose __dict__, if they have one, shadows no method.
   The fields are those that the class says it has at the moment: each in a slot, or, of a class
   without slots that is derived from one with them, in the __dict__.  The first object of any such
   class is asked, and its state is compared with the fields that are read.

   Nothing here runs Python code, but frozen_check(). */
#ifndef FASTCOPYREG_TYPES_FROZEN_H
#define FASTCOPYREG_TYPES_FROZEN_H

#include "base/layout.h"
#include "base/state.h"

/* Where an object has a field: a slot has an offset above this. */
enum { FROZEN_IN_DICT = 0 };

/* In the order in which _values.known() is asked. */
enum frozen_function { FROZEN_GETSTATE, FROZEN_SETSTATE, FROZEN_FIELDS };

/* A walk over the fields of a class. */
struct frozen_walk {
    PyObject *dict; /* borrowed: __dataclass_fields__ */
    Py_ssize_t position;
    int failed; /* something is no field as dataclasses makes them */
};

/* 0, or -1 with MemoryError. */
int frozen_setup(PyObject *module);
void frozen_teardown(struct core_state *state);

/* Begins a walk if the type has the function from dataclasses, and its objects a __dict__ where
   layout.h knows it, or none.  1 or 0. */
int frozen_begin(struct core_state *state, PyTypeObject *type, enum frozen_function kind,
                 struct frozen_walk *walk);

/* The name of the next field; borrowed.  NULL at the end, or if the walk has failed. */
PyObject *frozen_next(struct core_state *state, struct frozen_walk *walk);

/* Where objects of the type have the field of that name: the offset of a slot, FROZEN_IN_DICT, or
   -1 if only asking them tells. */
Py_ssize_t frozen_field_offset(PyTypeObject *type, PyObject *name);

/* The slow part of frozen_field(). */
PyObject *frozen_dict_field(PyObject *object, PyObject *name);

/* The value that an object has in the field; borrowed, or NULL if it is not set, or cannot be
   found without asking. */
ALWAYS_INLINE PyObject *
frozen_field(PyObject *object, Py_ssize_t offset, PyObject *name)
{
    return likely(offset != FROZEN_IN_DICT) ? *layout_slot(object, offset)
                                            : frozen_dict_field(object, name);
}

/* True if the function may be left out now, for a type with which a walk began. */
int frozen_holds(struct core_state *state, PyTypeObject *type, enum frozen_function kind);

/* The list that __getstate__ would give; strong.  NULL with MemoryError, or without an exception
   if the method is to be called. */
PyObject *frozen_getstate(struct core_state *state, PyObject *object);

/* object.__setstate__(object_state): 1, 0 if it is to be called and nothing has been done, or -1
   with MemoryError. */
int frozen_setstate(struct core_state *state, PyObject *object, PyObject *object_state);

/* Asks whether the functions are known, and compares an object with the state that __getstate__
   has just given, or __setstate__ taken, if it is the first.  0, or -1 with what a signal handler
   raised.  Runs Python code. */
int frozen_check(struct core_state *state, PyObject *object, PyObject *object_state);

#endif
