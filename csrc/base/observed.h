/* Tracers, profilers and tools of sys.monitoring: where they listen, functions are called and no
   plan is run. */
#ifndef FASTCOPYREG_BASE_OBSERVED_H
#define FASTCOPYREG_BASE_OBSERVED_H

#include "base/state.h"

/* True if functions are to be called because somebody observes calls: a tracer, a profiler, a tool
   of sys.monitoring.  Runs no Python code. */
int calls_observed(struct core_state *state);

#endif
