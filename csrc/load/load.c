/* The load loop, the stack and the marks: see load.h. */
#include "load/load_inline.h"
#include "load/load_state.h"
#include "load/load_template.h"

enum {
    FIRST_STACK_SIZE = 64,
    FIRST_MARKS_SIZE = 16,
    /* Opcodes between two moments at which signals are handled and other threads run.
       A fraction of a millisecond, as none of them that runs no Python code is slow
       without having as much input. */
    OPCODES_BETWEEN_POLLS = 8192
};

/* ---- the stack and the marks -------------------------------------------- */

int
load_grow_stack(struct unpickler *unpickler)
{
    size_t used = (size_t)(unpickler->top - unpickler->stack);
    size_t fence = (size_t)(unpickler->fence - unpickler->stack);
    size_t size = used == 0 ? FIRST_STACK_SIZE : used * 2;
    PyObject **stack = PyMem_Realloc(unpickler->stack, size * sizeof(PyObject *));
    if (stack == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    unpickler->stack = stack;
    unpickler->top = stack + used;
    unpickler->fence = stack + fence;
    unpickler->limit = stack + size;
    return 0;
}

int
load_grow_marks(struct unpickler *unpickler)
{
    size_t capacity =
        unpickler->mark_capacity == 0 ? FIRST_MARKS_SIZE : unpickler->mark_capacity * 2;
    size_t *marks = PyMem_Realloc(unpickler->marks, capacity * sizeof(size_t));
    if (marks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    unpickler->marks = marks;
    unpickler->mark_capacity = capacity;
    return 0;
}

int
load_underflow(struct unpickler *unpickler)
{
    PyErr_SetString(unpickler->state->stdlib.unpickling_error, unpickler->mark_count > 0
                                                                   ? "unexpected MARK found"
                                                                   : "unpickling stack underflow");
    return -1;
}

PyObject **
load_pop_to_mark(struct unpickler *unpickler)
{
    if (unlikely(unpickler->mark_count == 0)) {
        PyErr_SetString(unpickler->state->stdlib.unpickling_error, "could not find MARK");
        return NULL;
    }
    PyObject **start = unpickler->stack + unpickler->marks[--unpickler->mark_count];
    size_t below = unpickler->mark_count == 0 ? 0 : unpickler->marks[unpickler->mark_count - 1];
    unpickler->fence = unpickler->stack + below;
    return start;
}

void
load_clear_stack(struct unpickler *unpickler)
{
    load_drop_to(unpickler, unpickler->stack);
    unpickler->fence = unpickler->stack;
    unpickler->mark_count = 0;
}

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

/* ---- opcodes of the stream itself --------------------------------------- */

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

int
load_unknown(struct unpickler *unpickler, unsigned char opcode)
{
    PyObject *error = unpickler->state->stdlib.unpickling_error;
    if (0x20 <= opcode && opcode <= 0x7e && opcode != '\'' && opcode != '\\') {
        PyErr_Format(error, "invalid load key, '%c'.", opcode);
    }
    else {
        PyErr_Format(error, "invalid load key, '\\x%02x'.", opcode);
    }
    return -1;
}

int
load_poll(struct unpickler *unpickler)
{
    return poll_is_due(&unpickler->poll) ? poll_take(unpickler->state, &unpickler->poll) : 0;
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

int
load_out_of_input(struct unpickler *unpickler)
{
    if (PyErr_ExceptionMatches(unpickler->state->stdlib.unpickling_error)
        && reader_offset(&unpickler->reader) < unpickler->reader.most) {
        PyErr_SetString(PyExc_EOFError, "Ran out of input");
    }
    return -1;
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
