/* Steps that look for what is in a container, or compare: each runs no Python code, and is left
   with OUTCOME_BAIL where that would be needed.  OUTCOME_DONE and *value, strong, or
   OUTCOME_RAISED. */
#ifndef FASTCOPYREG_PLANS_PLAN_FILTER_H
#define FASTCOPYREG_PLANS_PLAN_FILTER_H

#include "plans/plan.h"

/* True if the value is true: 1, 0, or -1 if telling would run code. */
int read_truth(PyObject *value);

/* A new dict of those pairs of a dict, whose keys are all str, that pass a test against the
   operand; or, if the number of the test, doubled, has one more, of those that do not. */
enum outcome plan_filter(PyObject *dict, unsigned int test_and_result, PyObject *operand,
                         PyObject **value);

/* Whether a str is in a container of such. */
enum outcome plan_contains(PyObject *key, PyObject *container, PyObject **value);

/* Whether two atoms are equal. */
enum outcome plan_equal(PyObject *value, PyObject *other, PyObject **equal);

#endif
