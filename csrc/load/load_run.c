/* A load without a policy: see load_loop.h.  Each opcode is executed by a function of its own. */
#include "load/load_inline.h"
#include "load/load_state.h"
#include "load/load_template.h"
#include "load/safe_limits.h"

void
load_free(struct unpickler *unpickler)
{
    load_clear_stack(unpickler);
    load_forget_shapes(unpickler);
    load_forget_templates(unpickler);
    PyMem_Free(unpickler->shapes);
    PyMem_Free(unpickler->templates);
    unpickler->shapes = NULL;
    unpickler->templates = NULL;
    load_memo_free(&unpickler->memo);
    reader_free(&unpickler->reader);
    safe_free(&unpickler->safe);
    PyMem_Free(unpickler->stack);
    PyMem_Free(unpickler->marks);
    unpickler->stack = unpickler->top = unpickler->fence = unpickler->limit = NULL;
    unpickler->marks = NULL;
    unpickler->mark_capacity = 0;
#define CLEAR_FIELD(field) Py_CLEAR(unpickler->field);
    UNPICKLER_OBJECTS(CLEAR_FIELD)
#undef CLEAR_FIELD
}

int
load_frame(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 8);
    if (bytes == NULL) {
        return -1;
    }
    uint64_t size = read_little_endian(bytes, 8);
    if (reader_check_no_frame(&unpickler->reader) < 0) {
        return -1;
    }
    if (size > PY_SSIZE_T_MAX && unpickler->policy != NULL) {
        return safe_exceed(unpickler, "size");
    }
    if (size > PY_SSIZE_T_MAX) {
        PyErr_Format(PyExc_OverflowError, "FRAME length exceeds system's maximum of %zd bytes",
                     PY_SSIZE_T_MAX);
        return -1;
    }
    return reader_open_frame(&unpickler->reader, (size_t)size);
}

#define LOOP_EXECUTE(opcode, function)           \
    do {                                         \
        if (unlikely(function(unpickler) < 0)) { \
            return -1;                           \
        }                                        \
    } while (0)
#define LOOP_POLL(unpickler) load_poll(unpickler)
#define LOOP_STOP(unpickler) 0
#include "load/load_loop.h"

PyObject *
load_run(struct unpickler *unpickler)
{
    load_clear_stack(unpickler);
    reader_close_frame(&unpickler->reader);
    unpickler->protocol = 0;
    unpickler->poll = (struct poll){0};
    unpickler->rows_missed = 0;
    load_begin_keys(unpickler->state, &unpickler->key_bounds);
    if (unpickler->stack == NULL && load_grow_stack(unpickler) < 0) {
        return NULL;
    }
    int result = unpickler->policy == NULL ? execute_opcodes(unpickler) : safe_opcodes(unpickler);
    load_forget_shapes(unpickler);
    load_forget_templates(unpickler);
    Py_CLEAR(unpickler->spare_dict);
    if (result < 0 || reader_finish(&unpickler->reader) < 0) {
        return NULL;
    }
    return load_take(unpickler);
}
