/* Tracers, profilers and tools of sys.monitoring: see observed.h. */
#include "base/observed.h"

#include "base/layout.h"

/* True if a tool of sys.monitoring is in use.  An error counts as one. */
static int
has_monitoring_tool(struct core_state *state)
{
    PyObject *monitoring = dict_get_name(state->stdlib.sys_dict, state->str.monitoring);
    int found = 0;
    for (int i = 0; monitoring != NULL && !found && i < 6; i++) {
        PyObject *tool = PyObject_CallMethod(monitoring, "get_tool", "i", i);
        found = tool != Py_None;
        Py_XDECREF(tool);
    }
    PyErr_Clear();
    return found;
}

int
calls_observed(struct core_state *state)
{
    uintptr_t version;
    enum observed observed = thread_observed(&version);
    if (likely(observed != OBSERVED_PERHAPS)) {
        return observed == OBSERVED_YES;
    }
    if (version != state->monitoring_version || version == MONITORING_UNKNOWN) {
        state->monitored = has_monitoring_tool(state);
        state->monitoring_version = version;
    }
    return state->monitored;
}
