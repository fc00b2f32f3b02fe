/* Whether a plan is worth trying: one that gives up for object after object rests for a while.

   A plan that is tried and has to be left costs as much as it would have saved.  Whether it comes
   to an end depends on the objects (a branch that calls something, a field that is a property),
   which tend to be alike.  So failures are counted, less successes; with a few of them in hand the
   function is called at once for the next objects, and then the plan is tried again.  The rests
   double as long as it goes on failing, so that trying costs nothing that could be measured, and
   a plan for which the time has come is found.  A rest ends at once when what it was begun under
   has changed: its guard, a number that the owner makes of what the plan was found by.

   Whatever is counted here, what is done is right: to call a function always is. */
#ifndef FASTCOPYREG_PLANS_TRIAL_H
#define FASTCOPYREG_PLANS_TRIAL_H

#include "base/compat.h"

enum {
    /* Failures in hand that begin a rest, and how many of them are forgiven after it. */
    TRIAL_FAILURES = 8,
    TRIAL_FORGIVEN = 2,
    /* Objects that a rest lasts for. */
    TRIAL_FIRST_REST = 32,
    TRIAL_LONGEST_REST = 4096,
};

/* All zero to begin with. */
struct trial {
    uint64_t guard;
    uint16_t failures;
    uint16_t rest; /* how long the last rest was */
    uint16_t left; /* of the one that is on */
};

/* Whether the plan is not to be tried for the object at hand, which is counted. */
ALWAYS_INLINE int
trial_rests(struct trial *trial, uint64_t guard)
{
    if (likely(trial->left == 0)) {
        return 0;
    }
    if (unlikely(trial->guard != guard)) {
        *trial = (struct trial){0};
        return 0;
    }
    trial->left--;
    return 1;
}

ALWAYS_INLINE void
trial_succeeded(struct trial *trial)
{
    if (unlikely(trial->failures != 0) && --trial->failures == 0) {
        trial->rest = 0;
    }
}

static inline void
trial_failed(struct trial *trial, uint64_t guard)
{
    if (++trial->failures < TRIAL_FAILURES) {
        return;
    }
    trial->guard = guard;
    trial->failures = TRIAL_FAILURES - TRIAL_FORGIVEN;
    trial->rest = trial->rest == 0 ? TRIAL_FIRST_REST : (uint16_t)(trial->rest * 2);
    if (trial->rest > TRIAL_LONGEST_REST) {
        trial->rest = TRIAL_LONGEST_REST;
    }
    trial->left = trial->rest;
}

#endif
