/* Signals, and the turns of other threads, in the middle of long work.

   The interpreter sees to both between two bytecodes, of which a dump, a load or a copy may
   run none for seconds.  Each therefore stops now and then, every so many bytes or objects,
   and asks poll_is_due(), which costs next to nothing; if it says so, whatever must not be seen
   half done is put in order, and poll_take() is called.

   The simple way, to give up the lock at each stop, starves the others on 3.11 and 3.12.  A
   thread that waits asks for the lock only after it saw no change of hands for a whole switch
   interval; a lock that is given up unasked, and taken again at once, begins that interval
   anew.  The versions from 3.13 on show in the thread's eval breaker whether somebody asks.
   Before, signals are looked at every 2 ms, and the lock is given up only when the switch
   interval has passed since the last time, so that whoever waits has asked by then. */
#ifndef FASTCOPYREG_BASE_POLL_H
#define FASTCOPYREG_BASE_POLL_H

#include "base/state.h"

/* What one piece of work remembers: nanoseconds of the clock, 0: never. */
struct poll {
    int64_t looked; /* when poll_is_due() last said yes, or was first asked */
    int64_t gave;   /* when the lock was last given up, or could first have been */
};

#if !HAS_THREAD_EVAL_BREAKER
/* Whether 2 ms have passed. */
int poll_is_due_by_clock(struct poll *poll);
#endif

/* Whether a signal or another thread waits, or may wait.  Runs no Python code. */
static inline int
poll_is_due(struct poll *poll)
{
#if HAS_THREAD_EVAL_BREAKER
    (void)poll;
    return thread_is_interrupted();
#else
    return poll_is_due_by_clock(poll);
#endif
}

/* Lets signals be handled and other threads run.  0, or -1 with what a signal handler raised.
   Runs Python code. */
int poll_take(struct core_state *state, struct poll *poll);

#endif
