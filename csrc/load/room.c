/* The room `load`, as core.c sees it. */
#include "load/room.h"

#include "load/load_equal.h"
#include "load/read_target.h"
#include "load/safe_functions.h"
#include "load/unpickler.h"

static int
setup_load(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->load = PyMem_Calloc(1, sizeof(struct load_room));
    if (state->load == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return read_target_setup(module) < 0 || load_equal_setup(module) < 0
                   || unpickler_type_setup(module) < 0 || unpickler_setup(module) < 0
                   || safe_setup(module) < 0
               ? -1
               : 0;
}

static int
traverse_load(struct core_state *state, visitproc visit, void *arg)
{
    if (state->load == NULL) {
        return 0;
    }
    Py_VISIT(state->load->unpickler_type);
    Py_VISIT(state->load->unpickler_memo_type);
    Py_VISIT(state->load->read_target_type);
    Py_VISIT(state->load->key_probe_type);
    Py_VISIT(state->load->policy_type);
    Py_VISIT(state->load->safe_policy);
    Py_VISIT(state->load->safe_constructors);
    Py_VISIT(state->load->safe_learner);
    Py_VISIT(state->load->safe_choose);
    return 0;
}

static void
release_load(struct core_state *state)
{
    if (state->load != NULL) {
        Py_CLEAR(state->load->unpickler_type);
        Py_CLEAR(state->load->unpickler_memo_type);
        Py_CLEAR(state->load->read_target_type);
        Py_CLEAR(state->load->key_probe_type);
        Py_CLEAR(state->load->policy_type);
        Py_CLEAR(state->load->safe_policy);
        Py_CLEAR(state->load->safe_constructors);
        Py_CLEAR(state->load->safe_learner);
        Py_CLEAR(state->load->safe_choose);
    }
}

static void
teardown_load(struct core_state *state)
{
    if (state->load == NULL) {
        return;
    }
    unpickler_teardown(state);
    PyMem_Free(state->load);
    state->load = NULL;
}

const struct core_room load_core_room = {setup_load, traverse_load, release_load, teardown_load,
                                         NULL};
