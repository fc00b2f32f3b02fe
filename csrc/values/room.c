/* The room `values`, as core.c sees it. */
#include "values/room.h"

static int
setup_values(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->values = PyMem_Calloc(1, sizeof(struct values_room));
    if (state->values == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return values_setup(module) < 0 || value_construct_setup(module) < 0 ? -1 : 0;
}

static int
traverse_values(struct core_state *state, visitproc visit, void *arg)
{
    if (state->values == NULL) {
        return 0;
    }
    Py_VISIT(state->values->pickle_complex_code);
    Py_VISIT(state->values->datetime_capsule);
    return 0;
}

static void
release_values(struct core_state *state)
{
    if (state->values != NULL) {
        Py_CLEAR(state->values->pickle_complex_code);
        Py_CLEAR(state->values->datetime_capsule);
    }
}

static void
teardown_values(struct core_state *state)
{
    if (state->values == NULL) {
        return;
    }
    values_teardown(state);
    PyMem_Free(state->values);
    state->values = NULL;
}

const struct core_room values_core_room = {setup_values, traverse_values, release_values,
                                           teardown_values, NULL};
