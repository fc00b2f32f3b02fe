/* The loop that executes opcodes; each of them is executed by a function of its own. */
#include "load/load_inline.h"
#include "load/load_state.h"
#include "load/load_template.h"

/* Opcodes between two moments at which signals are handled and other threads run.
   A fraction of a millisecond, as none of them that runs no Python code is slow
   without having as much input. */
enum { OPCODES_BETWEEN_POLLS = 8192 };

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
load_proto(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 1);
    if (bytes == NULL) {
        return -1;
    }
    if (bytes[0] > HIGHEST_PROTOCOL) {
        PyErr_Format(PyExc_ValueError, "unsupported pickle protocol: %d", bytes[0]);
        return -1;
    }
    unpickler->protocol = bytes[0];
    return 0;
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
    if (size > PY_SSIZE_T_MAX) {
        PyErr_Format(PyExc_OverflowError, "FRAME length exceeds system's maximum of %zd bytes",
                     PY_SSIZE_T_MAX);
        return -1;
    }
    return reader_open_frame(&unpickler->reader, (size_t)size);
}

#if HAS_LABEL_VALUES

/* Each opcode jumps to the next by itself, so that the processor learns which opcode mostly
   follows which; one jump for all is mispredicted several times an object. */
#define NEXT()                                                                         \
    if (unlikely(--until_poll == 0)) {                                                 \
        goto poll;                                                                     \
    }                                                                                  \
    if (unlikely((opcode = load_take_opcode(unpickler)) < 0)) {                        \
        return -1;                                                                     \
    }                                                                                  \
    if (unlikely(labels[opcode] == NULL)) {                                            \
        return opcode == OP_STOP ? 0 : load_unknown(unpickler, (unsigned char)opcode); \
    }                                                                                  \
    goto *labels[opcode];

#define LABEL(opcode, function, shape) [opcode] = &&at_##function,
#define EXECUTE(opcode, function, shape)                   \
    at_##function : if (unlikely(function(unpickler) < 0)) \
    {                                                      \
        return -1;                                         \
    }                                                      \
    NEXT()

/* Executes opcodes up to STOP.  0, or -1 with an exception. */
static int
load_opcodes(struct unpickler *unpickler)
{
    static const void *const labels[256] = {LOAD_OPCODES(LABEL)};
    int opcode, until_poll = OPCODES_BETWEEN_POLLS;
    NEXT()
    LOAD_OPCODES(EXECUTE)
poll:
    until_poll = OPCODES_BETWEEN_POLLS;
    if (load_poll(unpickler) < 0) {
        return -1;
    }
    NEXT()
}

#else

#define CASE(opcode, function, shape) \
    case opcode: result = function(unpickler); break;

/* Executes opcodes up to STOP.  0, or -1 with an exception. */
static int
load_opcodes(struct unpickler *unpickler)
{
    int until_poll = OPCODES_BETWEEN_POLLS;
    for (;;) {
        int result, opcode = load_take_opcode(unpickler);
        switch (opcode) {
            LOAD_OPCODES(CASE)
        case -1: return -1;
        case OP_STOP: return 0;
        default: result = load_unknown(unpickler, (unsigned char)opcode);
        }
        if (unlikely(result < 0)) {
            return -1;
        }
        if (unlikely(--until_poll == 0)) {
            until_poll = OPCODES_BETWEEN_POLLS;
            if (load_poll(unpickler) < 0) {
                return -1;
            }
        }
    }
}

#endif

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
    int result = unpickler->policy == NULL ? load_opcodes(unpickler) : safe_opcodes(unpickler);
    load_forget_shapes(unpickler);
    load_forget_templates(unpickler);
    Py_CLEAR(unpickler->spare_dict);
    if (result < 0 || reader_finish(&unpickler->reader) < 0) {
        return NULL;
    }
    return load_take(unpickler);
}
