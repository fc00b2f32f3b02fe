/* Constructors that are run as plans: classes whose __init__ only stores its arguments, named
   tuples, and functions that only call such a class.

   The plan of a class holds as long as its type version does: the version covers the __init__
   found, those of the bases that it calls, and every descriptor under the names that are stored.
   The code of these functions is not covered, and is compared at each use; the names that they
   look up are read by the plan's steps each time.

   All values are there before the instance is made, so that a plan can bail out as if nothing had
   been done. */
#ifndef FASTCOPYREG_TYPES_CONSTRUCT_H
#define FASTCOPYREG_TYPES_CONSTRUCT_H

#include "types/construct_read.h"

/* Frees plans that were given up while one ran, if none does now.  May run Python code. */
void construct_free_dead(struct core_state *state);

/* Makes what callable(*arguments) would return.  The arguments are borrowed, and somebody
   holds them.  Runs no Python code. */
enum outcome construct_object(struct core_state *state, PyObject *callable,
                              PyObject *const *arguments, Py_ssize_t count, PyObject **made);

struct constructor;

/* The plan of a class for so many arguments, if it is a line of stores of them; to be used until
   foreign code runs; borrowed, or NULL.  Runs no Python code. */
struct constructor *construct_find_stores(struct core_state *state, PyObject *callable,
                                          Py_ssize_t count);

/* Makes an instance by it: OUTCOME_DONE, OUTCOME_RAISED, or OUTCOME_BAIL if an argument is left to
   a default that is not there.  Runs no Python code. */
enum outcome construct_by_stores(struct core_state *state, const struct constructor *constructor,
                                 PyObject *const *arguments, Py_ssize_t count, PyObject **made);

/* The same for classes whose plan is known and only stores arguments, which are moved into the
   instance where each is stored once: OUTCOME_TAKEN, else OUTCOME_DONE.  OUTCOME_BAIL: nothing was
   done, and it is to be tried by construct_object().  Runs no Python code. */
enum outcome construct_taking(struct core_state *state, PyObject *callable, PyObject **arguments,
                              Py_ssize_t count, PyObject **made);

/* The same; where *untracked is set, an instance that can be is made without the collector's
   seeing it, and *untracked says whether it was. */
enum outcome construct_taking_untracked(struct core_state *state, PyObject *callable,
                                        PyObject **arguments, Py_ssize_t count, int *untracked,
                                        PyObject **made);

/* The plan of a class that stores each of its *count arguments once, if there are any; to be used
   until foreign code runs; borrowed, or NULL.  Runs no Python code. */
struct constructor *construct_find_taking(struct core_state *state, PyObject *callable,
                                          int *count);

/* Makes an instance by it of so many arguments: OUTCOME_TAKEN, OUTCOME_DONE or OUTCOME_RAISED.
   Runs no Python code. */
enum outcome construct_by_taking(struct core_state *state, const struct constructor *constructor,
                                 PyObject **arguments, PyObject **made);

/* True if an object of the class may be given its state so: 0 once the class was read, and is none
   of those whose __setstate__ is known. */
int construct_may_set_state(struct core_state *state, PyTypeObject *type);

/* object.__setstate__(object_state) for an object of a class whose method is known: 1, 0 if it is
   to be called and nothing has been done, or -1 with an exception.  May run Python code. */
int construct_by_setstate(struct core_state *state, PyObject *object, PyObject *object_state);

/* Both in one, for callers to whom every call is foreign code. */
enum outcome construct_or_read(struct core_state *state, PyObject *callable,
                               PyObject *const *arguments, Py_ssize_t count, PyObject **made);

#endif
