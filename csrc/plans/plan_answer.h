/* Results that a function returns by the type of its argument alone, as hooks do that pass nearly
   every object.  The plan of such a function is followed with an object of which nothing is known
   but its exact type, and so are those that it calls, whose code the plan knows.  A step that
   would look at the object itself, or ask another, ends the attempt. */
#ifndef FASTCOPYREG_PLANS_PLAN_ANSWER_H
#define FASTCOPYREG_PLANS_PLAN_ANSWER_H

#include "plans/plan_run.h"

enum plan_answer {
    ANSWER_UNKNOWN, /* another result, or not to be told */
    ANSWER_OF_TYPE, /* the answer for every object of this type */
    ANSWER_OF_ALL   /* and of every other type */
};

/* Tells if a function that was met, and has a plan, returns this very answer; valid until Python
   code runs.  Runs no Python code, and cannot be seen. */
enum plan_answer plan_answers(struct core_state *state, const struct reducer *reducer,
                              PyTypeObject *type, PyObject *answer);

#endif
