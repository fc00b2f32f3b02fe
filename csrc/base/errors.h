/* The pickler's errors, worded as the running standard library words them.

   Each function raises and returns nothing; those that translate an exception do so with
   the one that is set.  Notes are added where the version adds them. */
#ifndef FASTCOPYREG_BASE_ERRORS_H
#define FASTCOPYREG_BASE_ERRORS_H

#include "base/state.h"
#include "base/reduction.h"

void error_local_object(struct core_state *state, PyObject *object, PyObject *name);
void error_import_failed(struct core_state *state, PyObject *object, PyObject *module_name);
void error_not_found(struct core_state *state, PyObject *object, PyObject *module_name,
                     PyObject *name);
void error_not_same(struct core_state *state, PyObject *object, PyObject *module_name,
                    PyObject *name);
void error_identifier(struct core_state *state, const char *kind, PyObject *identifier,
                      int protocol);
void error_extension_code(struct core_state *state, PyObject *object, PyObject *code);
void error_no_reducer(struct core_state *state, PyObject *object);
void error_reduction(struct core_state *state, enum reduction_fault fault, PyObject *reduce_value);
void error_newobj_size(struct core_state *state, Py_ssize_t size);
void error_newobj_class(struct core_state *state, PyObject *argument);
void error_newobj_wrong_class(struct core_state *state, PyObject *expected, PyObject *argument);
void error_newobj_ex_size(struct core_state *state, Py_ssize_t size);
/* Argument 0, 1 or 2 is not a class, tuple or dict. */
void error_newobj_ex_argument(struct core_state *state, int index, PyObject *argument);

/* Adds a note to the exception that is set, in the manner of PyErr_Format.  Where there are no
   notes, the arguments are named and not evaluated. */
#if MODERN_ERRORS
void error_note(const char *format, ...);
#else
int error_without_note(const char *format, ...);
#define error_note(...) ((void)sizeof(error_without_note(__VA_ARGS__)))
#endif

#endif
