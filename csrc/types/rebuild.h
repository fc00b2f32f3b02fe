/* Reduction parts -> object: the mirror of reduction.h, for the unpickler and the copier.

   The facts of a type are found once for each version of it and kept without a reference to it; a
   type that changes gets another version, and no other type ever has it (compat.h). */
#ifndef FASTCOPYREG_TYPES_REBUILD_H
#define FASTCOPYREG_TYPES_REBUILD_H

#include "base/handed.h"
#include "base/layout.h"
#include "types/construct.h"

enum rebuild_fact {
    /* __new__ is object's, memory is allocated the usual way, and the class is not abstract:
       rebuild_allocate() is object.__new__(). */
    REBUILD_PLAIN_NEW = 1,
    /* Attributes are found in the usual way, and there is no __setstate__. */
    REBUILD_PLAIN_STATE = 2,
    /* __dict__ is what the class statement makes of it, with values in the instance. */
    REBUILD_OWN_DICT = 4,
    /* __init__ is a Python function, called as the class statement arranges it. */
    REBUILD_PYTHON_INIT = 8,
    /* Attributes are set in the usual way.  The items of __dict__ are not attributes there: a
       class that refuses to be changed, as a frozen dataclass, takes them all the same. */
    REBUILD_PLAIN_SETATTR = 16,
    /* Attributes that are there are found in the usual way, and __setstate__ is a function or a
       method of C. */
    REBUILD_METHOD_SETSTATE = 32,
    /* Nothing is known of this __setstate__ but that it is called: rebuild_note_called(). */
    REBUILD_CALLED_SETSTATE = 64
};

/* The facts about a type; 0 if nothing can be known.  Runs no Python code. */
unsigned int rebuild_facts(struct core_state *state, PyTypeObject *type);

/* Notes that the type's __setstate__ was read, and is one to be called, until the type changes. */
void rebuild_note_called(struct core_state *state, PyTypeObject *type);

/* A fresh instance of a REBUILD_PLAIN_NEW type; strong, or NULL with an exception. */
PyObject *rebuild_allocate(struct core_state *state, PyTypeObject *type);

/* True if tp_new of the type looks up __new__ as an attribute and calls it with the type, because
   a class statement has defined it. */
int rebuild_has_python_new(struct core_state *state, PyTypeObject *type);

/* Makes what callable(*arguments) would return, where arguments[-1] may be written to and is given
   back as it was: OUTCOME_DONE and *made, strong, OUTCOME_RAISED with an exception, or
   OUTCOME_BAIL if the callable is to be called.  Runs Python code. */
enum outcome rebuild_make(struct core_state *state, PyObject *callable, PyObject **arguments,
                          Py_ssize_t count, PyObject **made);

/* Makes the cache of facts.  0, or -1 with an exception. */
int rebuild_setup(PyObject *module);
void rebuild_teardown(struct core_state *state);

#endif
