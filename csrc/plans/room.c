/* The room `plans`, as core.c sees it. */
#include "plans/room.h"

#include "plans/plan.h"
#include "plans/plan_run.h"

static int
setup_plans(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->plans = PyMem_Calloc(1, sizeof(struct plans_room));
    if (state->plans == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    reducer_setup(state);
    return plan_setup(module) < 0 ? -1 : 0;
}

static int
traverse_plans(struct core_state *state, visitproc visit, void *arg)
{
    if (state->plans == NULL) {
        return 0;
    }
    Py_VISIT(state->plans->lazy_import_type);
    return 0;
}

static void
release_plans(struct core_state *state)
{
    if (state->plans != NULL) {
        Py_CLEAR(state->plans->lazy_import_type);
    }
}

static void
teardown_plans(struct core_state *state)
{
    if (state->plans == NULL) {
        return;
    }
    plan_teardown(state);
    PyMem_Free(state->plans);
    state->plans = NULL;
}

const struct core_room plans_core_room = {setup_plans, traverse_plans, release_plans,
                                          teardown_plans, NULL};
