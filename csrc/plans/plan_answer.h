/* What a function answers by the type of its argument alone: hooks say "not mine" so for nearly
   every object.  The plan of such a function is followed with an object of which nothing is known
   but its exact type; a step that would look at the object itself ends the attempt. */
#ifndef FASTCOPYREG_PLANS_PLAN_ANSWER_H
#define FASTCOPYREG_PLANS_PLAN_ANSWER_H

#include "plans/plan_run.h"

enum plan_answer {
    ANSWER_UNKNOWN, /* another one, or it cannot be told */
    ANSWER_OF_TYPE, /* it is the answer for every object of this type */
    ANSWER_OF_ALL   /* and of every other type */
};

/* Whether a function that was met, and has a plan, returns this very answer.  It is so until
   Python code runs.  Runs none, and can not be seen. */
enum plan_answer plan_answers(struct core_state *state, const struct reducer *reducer,
                              PyTypeObject *type, PyObject *answer);

#endif
