/* Whether somebody watches calls: then the functions that plans stand for are called. */
#ifndef FASTCOPYREG_BASE_OBSERVED_H
#define FASTCOPYREG_BASE_OBSERVED_H

#include "base/state.h"

/* Whether functions are to be called because somebody watches calls: a tracer, a profiler,
   a tool of sys.monitoring.  Runs no Python code. */
int calls_observed(struct core_state *state);

#endif
