/* Our own Python code, which the core asks: fastcopyreg.compiler and fastcopyreg._compiler.values.

   Importing them takes longer than the core itself, and many programs never need them, so each is
   imported when it is first asked.  That may fail, and so may the asking: audit hooks that forbid
   it, a root that was changed, sys.modules emptied, no memory.  What the core does for itself is
   not the caller's business, so nothing of it is ever raised: a helper that cannot be imported is
   not asked again, and what could not be answered counts as refused.

   But a signal handler may run meanwhile, as in any Python code, and what it raises is meant for
   whoever called us.  It passes, and costs nothing but the asking, which is done again. */
#ifndef FASTCOPYREG_BASE_HELPERS_H
#define FASTCOPYREG_BASE_HELPERS_H

#include "base/state.h"

/* Whether one may be asked here and now: nobody watches, the limit of recursion is not near, and
   it is not being imported, by another thread or by whom a signal handler has interrupted. */
int helper_may_run(struct core_state *state, enum helper helper);

/* Calls a function of a helper.  1 and *answer, strong; 0, without an exception, if it has none;
   -1 with what a signal handler has raised.  Runs Python code. */
int helper_ask(struct core_state *state, enum helper helper, const char *function,
               PyObject *const *arguments, size_t count, PyObject **answer);

/* Whether the exception is our own failure, which is dropped then: 1; or 0. */
int helper_drop_failure(struct core_state *state);

#endif
