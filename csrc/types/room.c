/* The room `types`, as core.c sees it. */
#include "types/room.h"

#include "types/bound.h"
#include "types/constructors.h"
#include "types/default.h"
#include "types/frozen.h"
#include "types/rebuild.h"
#include "types/state_plan.h"
#include "types/typeinfo.h"

static int
setup_types(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->types = PyMem_Calloc(1, sizeof(struct types_room));
    if (state->types == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return frozen_setup(module) < 0 || typeinfo_setup(module) < 0 || bound_setup(module) < 0
                   || constructors_setup(module) < 0 || default_setup(module) < 0
                   || rebuild_setup(module) < 0 || state_plan_setup(module) < 0
               ? -1
               : 0;
}

static int
traverse_types(struct core_state *state, visitproc visit, void *arg)
{
    if (state->types == NULL) {
        return 0;
    }
    Py_VISIT(state->types->namedtuple_code);
    return 0;
}

static void
release_types(struct core_state *state)
{
    if (state->types != NULL) {
        Py_CLEAR(state->types->namedtuple_code);
    }
}

static void
teardown_types(struct core_state *state)
{
    if (state->types == NULL) {
        return;
    }
    constructors_teardown(state);
    bound_teardown(state);
    rebuild_teardown(state);
    state_plan_teardown(state);
    typeinfo_teardown(state);
    frozen_teardown(state);
    PyMem_Free(state->types);
    state->types = NULL;
}

static int
count_of_types(struct core_state *state, int forget)
{
    struct typeinfo_cache *infos = state->types->infos;
    struct constructors *constructors = state->types->constructors;
    int count = infos->busy + constructors->busy + bound_count_busy(state, forget)
                + state_plan_count_busy(state, forget);
    if (forget) {
        infos->busy = constructors->busy = 0;
    }
    return count;
}

const struct core_room types_core_room = {setup_types, traverse_types, release_types,
                                          teardown_types, count_of_types};
