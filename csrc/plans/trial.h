/* Trials of plans: a plan that bails out for object after object rests for a while.

   A plan that bails out has cost as much as it would have saved.  The objects decide (a branch
   that calls something, a field that is a property), and they tend to be alike.  So failures are
   counted, less successes; after a few of them the function is called at once for the next
   objects, and then the plan is tried again.  The rests double as long as the plan goes on
   failing, so that the trials cost nothing that could be measured, and a plan whose objects have
   become others is run again.  A rest ends at once when its guard changes, a number that the owner
   makes of all that the plan was found by.

   No count makes a result wrong: to call the function is always right. */
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

/* True if the plan is not to be tried for the object at hand, which is counted. */
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

/* The same, of an object that is not at hand: nothing is counted. */
static inline int
trial_is_resting(const struct trial *trial, uint64_t guard)
{
    return trial->left != 0 && trial->guard == guard;
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
