/* Polls: signals are handled, and other threads get the GIL, in the middle of long work.

   The interpreter does both between two bytecodes, of which a dump, a load or a copy may run none
   for seconds.  Each therefore stops now and then, every so many bytes or objects, and asks
   poll_is_due(), which costs next to nothing; if that is true, state that must not be seen half
   done is put in order, and poll_take() is called.

   To give up the GIL at each stop starves the others on 3.11 and 3.12.  A thread that waits
   requests the GIL only after it was not handed over for one switch interval; a GIL that is given
   up without a request, and taken again at once, begins that interval anew.  From 3.13 on a
   request shows in the thread's eval breaker.  Before, signals are looked at every 2 ms, and the
   GIL is given up only when the switch interval has passed since the last time, by when a thread
   that waits has made its request. */
#ifndef FASTCOPYREG_BASE_POLL_H
#define FASTCOPYREG_BASE_POLL_H

#include "base/state.h"

/* The polls of a dump, load or copy: nanoseconds of the clock, 0: never. */
struct poll {
    int64_t looked; /* when poll_is_due() was last true, or first asked */
    int64_t gave;   /* when the lock was last given up, or could first have been */
};

#if !HAS_THREAD_EVAL_BREAKER
/* True if 2 ms have passed. */
int poll_is_due_by_clock(struct poll *poll);
#endif

/* True if a signal or another thread waits, or may wait.  Runs no Python code. */
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
