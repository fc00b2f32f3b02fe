/* Reduce values, which reducers return: checked once, for all readers.

   PEP 307 and the library reference (object.__reduce__) say what is valid.  The check
   answers with the fault, of which each caller words its own error. */
#ifndef FASTCOPYREG_BASE_REDUCTION_H
#define FASTCOPYREG_BASE_REDUCTION_H

#include "base/metaclass.h"
#include "base/state.h"

/* The parts of a reduce value, by their places. */
enum reduction_part {
    PART_CALLABLE,
    PART_ARGS, /* a tuple; None, the 2.0 form, if the callable has __basicnew__ */
    PART_STATE,
    PART_LISTITEMS,
    PART_DICTITEMS,
    PART_STATE_SETTER
};

/* A part of a valid reduce value; borrowed from it.  NULL: absent, or None. */
static inline PyObject *
reduction_part(PyObject *reduce_value, enum reduction_part part)
{
    if ((Py_ssize_t)part >= PyTuple_GET_SIZE(reduce_value)) {
        return NULL;
    }
    PyObject *object = PyTuple_GET_ITEM(reduce_value, part);
    return object == Py_None ? NULL : object;
}

enum reduction_fault {
    REDUCTION_VALID,
    REDUCTION_RAISED, /* an exception is set */
    REDUCTION_NOT_TUPLE,
    REDUCTION_SIZE,
    REDUCTION_CALLABLE,
    REDUCTION_ARGS,
    REDUCTION_LISTITEMS,
    REDUCTION_DICTITEMS,
    REDUCTION_STATE_SETTER
};

/* Checks a reduce value that is not a str as strictly as pickle does: a tuple of two to
   six, arguments a tuple, items iterators.  May run Python code only if the arguments
   are None (looking __basicnew__ up). */
enum reduction_fault reduction_check(struct core_state *state, PyObject *reduce_value);

/* Checks a reduce value for copy, which calls _reconstruct(x, memo, *reduce_value): that takes any
   iterable of two to five parts, of any kind, so a fault says no more than that this is not an
   exact tuple of them with an exact tuple of arguments.  A value with a fault is given to that
   function itself, which also words the errors.  Runs no Python code. */
enum reduction_fault reduction_check_for_copy(PyObject *reduce_value);

/* True if the callable's __name__ makes it one of copyreg's two that have opcodes of their own. */
enum reduction_form { FORM_CALL, FORM_NEWOBJ, FORM_NEWOBJ_EX };

/* 0 and the form, or -1 with an exception.  May run Python code unless the callable is a
   function or an ordinary class. */
int reduction_find_form(struct core_state *state, PyObject *callable, enum reduction_form *form);

/* True if a class, which is ordinary, is one that REDUCE calls, whatever its name.  Runs no Python
   code. */
int reduction_is_call(struct core_state *state, PyTypeObject *type);

/* True if the callable is an ordinary class whose __name__ surely is none of those two: REDUCE
   calls it.  Runs no Python code; 0 says nothing. */
ALWAYS_INLINE int
reduction_is_by_class(struct core_state *state, PyObject *callable)
{
    if (!PyType_Check(callable) || !metaclass_leaves_alone(state, (PyTypeObject *)callable)
        || !PyType_HasFeature((PyTypeObject *)callable, Py_TPFLAGS_HEAPTYPE)) {
        return 0;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(((PyHeapTypeObject *)callable)->ht_name);
    return length != PyUnicode_GET_LENGTH(state->str.newobj)
           && length != PyUnicode_GET_LENGTH(state->str.newobj_ex);
}

/* True if an object of any kind is a reduce value as most reducers return it, a class and its
   arguments, and REDUCE builds it.  Runs no Python code; 0 says nothing. */
ALWAYS_INLINE int
reduction_is_short(struct core_state *state, PyObject *reduce_value)
{
    return PyTuple_CheckExact(reduce_value) && PyTuple_GET_SIZE(reduce_value) == 2
           && PyTuple_CheckExact(PyTuple_GET_ITEM(reduce_value, PART_ARGS))
           && reduction_is_by_class(state, PyTuple_GET_ITEM(reduce_value, PART_CALLABLE));
}

/* The same of a class or a Python function: its name, which is its own, is none of those that have
   opcodes. */
ALWAYS_INLINE int
reduction_is_short_call(struct core_state *state, PyObject *reduce_value)
{
    if (!PyTuple_CheckExact(reduce_value) || PyTuple_GET_SIZE(reduce_value) != 2
        || !PyTuple_CheckExact(PyTuple_GET_ITEM(reduce_value, PART_ARGS))) {
        return 0;
    }
    PyObject *callable = PyTuple_GET_ITEM(reduce_value, PART_CALLABLE);
    if (!PyFunction_Check(callable)) {
        return reduction_is_by_class(state, callable);
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(((PyFunctionObject *)callable)->func_name);
    return length != PyUnicode_GET_LENGTH(state->str.newobj)
           && length != PyUnicode_GET_LENGTH(state->str.newobj_ex);
}

/* reducer(object); strong or NULL.  A Python function is entered where any call would enter it in
   the end, after it was found out what it is.  The reducer is owned by the caller.  Runs Python
   code. */
ALWAYS_INLINE PyObject *
reducer_call(PyObject *reducer, PyObject *object)
{
    if (likely(PyFunction_Check(reducer))) {
        PyObject *arguments[] = {NULL, object};
        return ((PyFunctionObject *)reducer)
            ->vectorcall(reducer, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    return PyObject_CallOneArg(reducer, object);
}

/* True if finding the form can run Python code. */
static inline int
reduction_form_is_foreign(struct core_state *state, PyObject *callable)
{
    return PyType_Check(callable) ? !metaclass_leaves_alone(state, (PyTypeObject *)callable)
                                  : !PyFunction_Check(callable);
}

/* The reduce value of object.__reduce_ex__(2 or more) for a type and a state: (copyreg.__newobj__,
   (type,), state, None, None), with the original function.  Strong, or NULL with MemoryError. */
PyObject *reduction_of_state(struct core_state *state, PyTypeObject *type, PyObject *object_state);

#endif
