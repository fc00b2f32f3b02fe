/* The stack, the marks and the work that several opcodes share: see load.h. */
#include "load/load_inline.h"
#include "load/load_state.h"
#include "load/load_template.h"
#include "base/namecache.h"

enum { FIRST_STACK_SIZE = 64, FIRST_MARKS_SIZE = 16 };

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

/* ---- opcodes of the stream itself --------------------------------------- */

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
    if (!poll_is_due(&unpickler->poll)) {
        return 0;
    }
    return reader_put_back(&unpickler->reader) < 0 ? -1
                                                   : poll_take(unpickler->state, &unpickler->poll);
}

/* ---- the loop ----------------------------------------------------------- */

int
load_out_of_input(struct unpickler *unpickler)
{
    if (PyErr_ExceptionMatches(unpickler->state->stdlib.unpickling_error)
        && reader_offset(&unpickler->reader) < unpickler->reader.most) {
        PyErr_SetString(PyExc_EOFError, "Ran out of input");
    }
    return -1;
}

/* The surrogate in UTF-8 that "surrogateescape" has made these three characters of; 0: none. */
static Py_UCS4
escaped_surrogate(const Py_UCS4 *escaped)
{
    enum { LEAD = 0xdced, FIRST = 0xdca0, LAST = 0xdcbf, NEXT = 0xdc80 };
    return escaped[0] == LEAD && FIRST <= escaped[1] && escaped[1] <= LAST && NEXT <= escaped[2]
                   && escaped[2] <= LAST
               ? 0xd000 | (escaped[1] & 0x3f) << 6 | (escaped[2] & 0x3f)
               : 0;
}

/* A str without the interpreter's table of error handlers: "surrogateescape" is known to the
   decoder itself, and escapes each byte of a surrogate. */
static PyObject *
decode_without_handlers(const char *bytes, Py_ssize_t size)
{
    PyObject *escaped = PyUnicode_DecodeUTF8(bytes, size, "surrogateescape"), *string = NULL;
    /* With two zeros behind it, where a surrogate is looked for as everywhere. */
    Py_ssize_t length = escaped == NULL ? 0 : PyUnicode_GET_LENGTH(escaped), count = 0, at = 0;
    Py_UCS4 *text = escaped == NULL ? NULL : PyMem_Calloc((size_t)length + 3, sizeof(Py_UCS4));
    if (text == NULL || PyUnicode_AsUCS4(escaped, text, length + 1, 1) == NULL) {
        if (escaped != NULL && !PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        length = -1;
    }
    while (at < length) {
        Py_UCS4 surrogate = escaped_surrogate(text + at);
        if (surrogate == 0 && Py_UNICODE_IS_SURROGATE(text[at])) {
            break;
        }
        text[count++] = surrogate == 0 ? text[at] : surrogate;
        at += surrogate == 0 ? 1 : 3;
    }
    if (at == length) {
        string = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, text, count);
    }
    else if (length >= 0) {
        PyErr_SetString(PyExc_ValueError, "invalid UTF-8");
    }
    PyMem_Free(text);
    Py_XDECREF(escaped);
    return string;
}

PyObject *
load_decode_string(struct core_state *state, const unsigned char *bytes, size_t size)
{
    return namecache_is_over(state)
               ? decode_without_handlers((const char *)bytes, (Py_ssize_t)size)
               : PyUnicode_DecodeUTF8((const char *)bytes, (Py_ssize_t)size, "surrogatepass");
}

/* ---- __new__ ------------------------------------------------------------ */

/* Raises UnpicklingError; NULL. */
static PyObject *
bad_new(struct core_state *state, const char *format, PyObject *keywords, PyObject *object)
{
    PyErr_Format(state->stdlib.unpickling_error, format, keywords != NULL ? "NEWOBJ_EX" : "NEWOBJ",
                 Py_TYPE(object)->tp_name);
    return NULL;
}

PyObject *
load_make_new(struct core_state *state, PyObject *cls, PyObject *arguments, PyObject *keywords)
{
    if (!PyType_Check(cls)) {
        return bad_new(state, "%s class argument must be a type, not %.200s", keywords, cls);
    }
    PyTypeObject *type = (PyTypeObject *)cls;
    if (type->tp_new == NULL) {
        return bad_new(state, "%s class argument '%.200s' doesn't have __new__", keywords, cls);
    }
    if (!PyTuple_Check(arguments)) {
        return bad_new(state, "%s args argument must be a tuple, not %.200s", keywords, arguments);
    }
    if (keywords != NULL && !PyDict_Check(keywords)) {
        return bad_new(state, "%s kwargs argument must be a dict, not %.200s", keywords, keywords);
    }
    return type->tp_new(type, arguments, keywords);
}
