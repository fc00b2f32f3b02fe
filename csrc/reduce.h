/* Reduce values: what a reducer returns, checked once for whoever reads it.

   PEP 307 and the library reference (object.__reduce__) say what is valid.  The check
   answers with a struct reduction, or with the fault; the caller words its own error. */
#ifndef FASTCOPYREG_REDUCE_H
#define FASTCOPYREG_REDUCE_H

#include "module.h"

/* The parts of a reduce value that is a tuple; borrowed from it. NULL: absent or None. */
struct reduction {
    PyObject *callable;
    PyObject *args; /* a tuple; NULL: None, the 2.0 form, and callable has __basicnew__ */
    PyObject *state;
    PyObject *listitems;
    PyObject *dictitems;
    PyObject *state_setter;
};

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

/* Reads a reduce value that is not a str as strictly as pickle does: a tuple of two to
   six, arguments a tuple, items iterators.  May run Python code only if the arguments
   are None (looking __basicnew__ up). */
enum reduction_fault reduction_read(struct core_state *state, PyObject *reduce_value,
                                    struct reduction *reduction);

/* Reads a reduce value that is not a str as loosely as copy does, which calls
   _reconstruct(x, memo, *reduce_value): any iterable of two to five parts, whose kinds
   are not looked at.  `parts` receives strong references, of which there are *count.
   REDUCTION_SIZE: *count says how many there were.  May run Python code. */
enum reduction_fault reduction_read_loosely(PyObject *reduce_value, PyObject **parts,
                                            Py_ssize_t *count);

/* Whether the callable's __name__ makes it one of copyreg's two that have opcodes of
   their own. */
enum reduction_form { FORM_CALL, FORM_NEWOBJ, FORM_NEWOBJ_EX };

/* 0 and the form, or -1 with an exception.  May run Python code unless the callable is a
   function or a class whose metaclass is `type`. */
int reduction_find_form(struct core_state *state, PyObject *callable,
                        enum reduction_form *form);

/* Whether finding the form can run Python code. */
static inline int
reduction_form_is_foreign(PyObject *callable)
{
    return !PyType_CheckExact(callable) && !PyFunction_Check(callable);
}

#endif
