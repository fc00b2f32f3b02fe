/* Objects of the standard library's classes in Python that are made without running their
   constructors: IPv4Address of a number, IPv6Address of a text, Fraction of two numbers, Counter
   of a dict, PurePath of texts; members of enumerations, found by their values; and a UUID given
   its state without running its __setstate__.

   As with the rows of values.h, the functions that are left out must have the very code that was
   compared with what is here (_compiler/values.py), and find the builtins and globals that they
   found at first; and an object made here is compared with one that the class made when it is
   read. Arguments that are unlike those of a reduction, the class is called with. */
#ifndef FASTCOPYREG_VALUES_VALUE_CLASSES_H
#define FASTCOPYREG_VALUES_VALUE_CLASSES_H

#include "base/state.h"

struct value_class;

/* Sets *known to the guards of a class, which are to be checked before its objects are made;
   owned, or NULL if the class is none of these.  0, or -1 with an exception of others: a signal
   handler's, or MemoryError.  Runs Python code. */
int value_class_read(struct core_state *state, PyObject *cls, struct value_class **known);
void value_class_free(struct value_class *known);

/* Makes what the class, which has not changed since, would return: OUTCOME_DONE, OUTCOME_RAISED,
   or OUTCOME_BAIL if it is to be called.  Runs no Python code. */
enum outcome value_class_construct(struct core_state *state, struct value_class *known,
                                   PyTypeObject *type, PyObject *const *arguments,
                                   Py_ssize_t count, PyObject **made);

/* True if a class may be one of those whose __setstate__ is known, by its looks. */
int value_class_may_set_state(PyTypeObject *type);

/* object.__setstate__(object_state), which is an exact dict, for an object of the class: 1, or 0
   if it is to be called and nothing has been done.  Runs no Python code. */
int value_class_set_state(struct core_state *state, struct value_class *known, PyObject *object,
                          PyObject *object_state);

#endif
