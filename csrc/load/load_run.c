/* A load without a policy: see load_loop.h.  Each opcode is executed by a function of its own.

   A file may be read beyond what the load has come to (reader.h).  It is put back before an opcode
   that may run foreign code, which are those below; where the opcodes and objects at hand show
   that none will run, that is spared.  Opcodes that are executed with one before them, those that
   have an argument which is no line, and those that poll or replace an entry of the memo, put it
   back by themselves. */
#include "load/load_inline.h"
#include "load/load_state.h"
#include "load/load_template.h"
#include "load/safe_limits.h"

void
load_free(struct unpickler *unpickler)
{
    load_clear_stack(unpickler);
    load_free_shapes(unpickler);
    load_forget_templates(unpickler);
    PyMem_Free(unpickler->templates);
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

/* ---- files that are read too far ---------------------------------------- */

/* True if the opcode may run foreign code, as far as it alone can tell. */
ALWAYS_INLINE int
may_run_code(unsigned char opcode)
{
    switch (opcode) {
    case OP_POP:
    case OP_POP_MARK:
    case OP_PERSID:
    case OP_BINPERSID:
    case OP_STRING:
    case OP_BUILD:
    case OP_GLOBAL:
    case OP_STACK_GLOBAL:
    case OP_INST:
    case OP_OBJ:
    case OP_DICT:
    case OP_PUT:
    case OP_SETITEM:
    case OP_SETITEMS:
    case OP_APPEND:
    case OP_APPENDS:
    case OP_ADDITEMS:
    case OP_FROZENSET:
    case OP_NEWOBJ:
    case OP_NEWOBJ_EX:
    case OP_REDUCE:
    case OP_NEXT_BUFFER:
    case OP_READONLY_BUFFER: return 1;
    default: return 0;
    }
}

/* The container that the items of an opcode belong to, and where they begin; NULL if something is
   missing. */
static PyObject *
find_container(const struct unpickler *unpickler, int marked, Py_ssize_t items, PyObject ***start)
{
    *start = !marked                     ? unpickler->top - items
             : unpickler->mark_count > 0 ? unpickler->fence
                                         : unpickler->stack;
    return *start > unpickler->stack ? (*start)[-1] : NULL;
}

/* True if pairs go into an empty dict without a call: their keys are exact strings and integers,
   and whatever replaces a value, it is held by others or dies unnoticed. */
static int
sets_plainly(const struct unpickler *unpickler, PyObject *container, PyObject **pairs)
{
    if (container == NULL || !PyDict_CheckExact(container) || PyDict_GET_SIZE(container) != 0) {
        return 0;
    }
    for (PyObject **pair = pairs; pair + 1 < unpickler->top; pair += 2) {
        if (!(PyUnicode_CheckExact(pair[0]) || PyLong_CheckExact(pair[0]))
            || !(dies_unnoticed(pair[1]) || Py_REFCNT(pair[1]) > 1)) {
            return 0;
        }
    }
    return 1;
}

/* True if the opcode will run foreign code, or may. */
static int
will_run_code(const struct unpickler *unpickler, unsigned char opcode)
{
    PyObject **start, *container;
    switch (opcode) {
    case OP_STRING: return unpickler->encoding != NULL || unpickler->errors != NULL;
    case OP_APPEND:
    case OP_APPENDS:
        container = find_container(unpickler, opcode == OP_APPENDS, 1, &start);
        return container == NULL || !PyList_CheckExact(container);
    case OP_SETITEM:
    case OP_SETITEMS:
        container = find_container(unpickler, opcode == OP_SETITEMS, 2, &start);
        return !sets_plainly(unpickler, container, start);
    default: return 1;
    }
}

/* Puts the file back before the opcode, if need be.  0, or -1 with an exception. */
static NOINLINE int
return_before(struct unpickler *unpickler, unsigned char opcode)
{
    return will_run_code(unpickler, opcode) ? reader_put_back(&unpickler->reader) : 0;
}

/* Puts the file back behind an error, which is kept. */
static void
return_behind_error(struct unpickler *unpickler)
{
    if (!unpickler->reader.is_beyond) {
        return;
    }
    PyObject *exception = PyErr_GetRaisedException();
    if (reader_put_back(&unpickler->reader) < 0) {
        PyErr_Clear();
    }
    PyErr_SetRaisedException(exception);
}

/* ---- the loop ----------------------------------------------------------- */

#define LOOP_EXECUTE(opcode, function)                                    \
    do {                                                                  \
        if (may_run_code(opcode) && unlikely(unpickler->reader.is_beyond) \
            && unlikely(return_before(unpickler, opcode) < 0)) {          \
            return -1;                                                    \
        }                                                                 \
        if (unlikely(function(unpickler) < 0)) {                          \
            return -1;                                                    \
        }                                                                 \
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
    if (result < 0) {
        return_behind_error(unpickler);
        return NULL;
    }
    if (reader_finish(&unpickler->reader) < 0) {
        return NULL;
    }
    return load_take(unpickler);
}
