/* Steps that call what only makes a value of other values: `str(o.n)`, f"{o.a} {o.b}", `len(o.s)`.

   The compiler says which functions and methods those are, and each step says of which values they
   are known to run nothing but the interpreter's own C: exact atoms, and for some of them exact
   containers of which nothing is asked but their items.  With any other value, and where the call
   fails, the plan is left, so that the function itself raises. */
#ifndef FASTCOPYREG_PLANS_PLAN_PURE_H
#define FASTCOPYREG_PLANS_PLAN_PURE_H

#include "plans/plan.h"

/* True if the step is one of these. */
ALWAYS_INLINE int
step_is_pure(const struct step *step)
{
    return step->kind >= STEP_TEXT && step->kind <= STEP_CALL_METHOD;
}

/* The numbers of the values that such a step, or a display, takes. */
const uint16_t *step_operands(const struct plan *plan, const struct step *step, size_t *count);

/* The value of such a step, strong, from those of the steps before it: OUTCOME_DONE, or
   OUTCOME_BAIL without an exception.  Runs no Python code. */
enum outcome plan_make_pure(const struct plan *plan, const struct step *step,
                            PyObject *const *values, PyObject **value);

#endif
