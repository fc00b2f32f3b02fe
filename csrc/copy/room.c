/* The room `copy`, as core.c sees it. */
#include "copy/room.h"

#include "copy/copier.h"
#include "copy/copyfunction.h"
#include "copy/copymemo.h"
#include "copy/copyroute.h"

static int
setup_copy(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->copy = PyMem_Calloc(1, sizeof(struct copy_room));
    if (state->copy == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return copyroute_setup(module) < 0 || copier_state_setup(module) < 0
                   || copyfunction_setup(module) < 0
               ? -1
               : 0;
}

static int
traverse_copy(struct core_state *state, visitproc visit, void *arg)
{
    if (state->copy == NULL) {
        return 0;
    }
    Py_VISIT(state->copy->copyfunction_type);
    Py_VISIT(state->copy->copy_helpers);
    return 0;
}

static void
release_copy(struct core_state *state)
{
    if (state->copy != NULL) {
        Py_CLEAR(state->copy->copyfunction_type);
        Py_CLEAR(state->copy->copy_helpers);
    }
}

static void
teardown_copy(struct core_state *state)
{
    if (state->copy == NULL) {
        return;
    }
    copymemo_teardown(state);
    copyroute_teardown(state);
    PyMem_Free(state->copy);
    state->copy = NULL;
}

static int
count_of_copies(struct core_state *state, int forget)
{
    int count = (int)state->copy->routes->calls;
    if (forget) {
        state->copy->routes->calls = 0;
    }
    return count;
}

const struct core_room copy_core_room = {setup_copy, traverse_copy, release_copy, teardown_copy,
                                         count_of_copies};
