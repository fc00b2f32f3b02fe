/* Our own Python code, which the core asks: fastcopyreg.compiler, fastcopyreg._compiler.values and
   fastcopyreg._compiler.tables.

   Importing them takes longer than the core itself, and many programs never need them, so each is
   imported when it is first asked.  That may fail, and so may the asking: audit hooks that forbid
   it, a root that was changed, sys.modules emptied, no memory.  The caller did not ask for any of
   it, so no such failure is ever raised: a helper that cannot be imported is not asked again, and
   a question without an answer counts as a no.

   But a signal handler may run meanwhile, as in any Python code, and its exception is meant for
   our caller.  That exception passes, and the question is asked again the next time. */
#ifndef FASTCOPYREG_BASE_HELPERS_H
#define FASTCOPYREG_BASE_HELPERS_H

#include "base/state.h"

/* True if the helper may be asked here and now: no tool observes calls, the limit of recursion is
   not near, and it is not being imported, by another thread or by code that a signal handler has
   interrupted. */
int helper_may_run(struct core_state *state, enum helper helper);

/* Calls a function of a helper.  1 and *answer, strong; 0, without an exception, if it has none;
   -1 with what a signal handler has raised.  Runs Python code. */
int helper_ask(struct core_state *state, enum helper helper, const char *function,
               PyObject *const *arguments, size_t count, PyObject **answer);

/* True if the exception was our own failure, and is cleared; 0 if it is the caller's, and still
   set. */
int helper_drop_failure(struct core_state *state);

#endif
