/* Plans of __setstate__, functions that are a line of stores of what they take from the state; and
   of __getstate__, functions that only load, and change none but the dict that they give.

   Such a plan is of one function, whose closure cells may hold the names that it goes through, and
   so it is kept by class: the version of the class covers the function found, and every descriptor
   under the names that are stored.  Its code is compared at each use; what it looks up is read by
   the plan's steps each time.

   Of a __setstate__, all values are there before the first is stored, and an instance that has
   attributes already is left to the function: so nothing dies, and nothing runs, between two
   stores. */
#ifndef FASTCOPYREG_TYPES_STATE_PLAN_H
#define FASTCOPYREG_TYPES_STATE_PLAN_H

#include "base/state.h"
#include "plans/plan.h"

/* object.__setstate__(object_state) by the plan of the object's class: OUTCOME_DONE,
   OUTCOME_RAISED, or OUTCOME_BAIL if it is to be called and nothing has been done; OUTCOME_HOT if
   the class is to be read first, by state_plan_read().  Runs no Python code. */
enum outcome state_plan_apply(struct core_state *state, PyObject *object, PyObject *object_state);

/* The status of the class in its present version: PLAN_READY if it has a plan. */
enum plan_status state_plan_status(struct core_state *state, PyTypeObject *type);

/* Reads the __setstate__ of a class.  0, or -1 with an exception.  Runs Python code. */
int state_plan_read(struct core_state *state, PyTypeObject *type);

/* object.__getstate__() by the plan of the object's class, to whose instances no attribute of that
   name is: OUTCOME_DONE and *object_state, strong; else as state_plan_apply(), and
   state_plan_read_getstate() reads it. */
enum outcome state_plan_give(struct core_state *state, PyObject *object, PyObject **object_state);

/* Reads the __getstate__ of a class.  0, or -1 with an exception.  Runs Python code. */
int state_plan_read_getstate(struct core_state *state, PyTypeObject *type);

/* True if the function still has a default for each parameter behind the state. */
int state_plan_takes_state_alone(PyObject *function);

/* How many plans are in the middle of a run; with `forget` none from then on. */
int state_plan_count_busy(struct core_state *state, int forget);

/* 0, or -1 with MemoryError. */
int state_plan_setup(PyObject *module);
void state_plan_teardown(struct core_state *state);

#endif
