/* The room `dump`, as core.c sees it. */
#include "dump/room.h"

#include "dump/pickler.h"
#include "plans/room.h"

static int
setup_dump(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->dump = PyMem_Calloc(1, sizeof(struct dump_room));
    if (state->dump == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    copied_tables_setup(state);
    PyObject *write = type_lookup((PyTypeObject *)state->stdlib.bytes_io, state->str.write);
    if (write != NULL && Py_IS_TYPE(write, &PyMethodDescr_Type)) {
        state->dump->bytes_io_write = ((PyMethodDescrObject *)write)->d_method->ml_meth;
    }
    if (pickler_type_setup(module) < 0 || pickler_setup(module) < 0) {
        return -1;
    }
    state->plans->pickler_type = state->dump->pickler_type;
    return 0;
}

static int
traverse_dump(struct core_state *state, visitproc visit, void *arg)
{
    if (state->dump == NULL) {
        return 0;
    }
    Py_VISIT(state->dump->pickler_type);
    Py_VISIT(state->dump->pickler_memo_type);
    return copied_tables_traverse(state, visit, arg);
}

static void
release_dump(struct core_state *state)
{
    if (state->dump != NULL) {
        copied_tables_release(state);
        if (state->plans != NULL) {
            state->plans->pickler_type = NULL;
        }
        Py_CLEAR(state->dump->pickler_type);
        Py_CLEAR(state->dump->pickler_memo_type);
    }
}

static void
teardown_dump(struct core_state *state)
{
    if (state->dump == NULL) {
        return;
    }
    pickler_teardown(state);
    copied_tables_teardown(state);
    PyMem_Free(state->dump);
    state->dump = NULL;
}

const struct core_room dump_core_room = {setup_dump, traverse_dump, release_dump, teardown_dump,
                                         NULL};
