/* A pickle that is one call with atoms as arguments: see load_one.h. */
#include "load_one.h"

#include "load.h"
#include "load_names.h"
#include "rebuild.h"

enum {
    LONGEST = 1024, /* bytes of such a pickle */
    ARGUMENTS = 16,
    HEAD = 2 + FRAME_HEADER_SIZE, /* PROTO, FRAME */
    LEAST_REST = 7                /* behind the names: what ends a global, and a call of nothing */
};

/* Where the parts of the pickle are. */
struct one_call {
    const unsigned char *module_name; /* up to the end of the name */
    size_t size, module_size, name_size;
    const unsigned char *arguments;
    int count;
};

/* The size of the atom at hand with its MEMOIZE, if it has one; 0 if it is none, or not all there,
   or one that is not made in a moment. */
ALWAYS_INLINE size_t
atom_size(const unsigned char *at, const unsigned char *end)
{
    size_t size;
    switch (*at) {
    case OP_NONE:
    case OP_NEWTRUE:
    case OP_NEWFALSE: return 1;
    case OP_BININT1: return 2;
    case OP_BININT2: return 3;
    case OP_BININT: return 5;
    case OP_BINFLOAT: return 9;
    case OP_SHORT_BINUNICODE:
        size = at[1];
        return (size_t)(end - at) > size + 2 && at[size + 2] == OP_MEMOIZE
                       && load_is_ascii(at + 2, size)
                   ? size + 3
                   : 0;
    default: return 0;
    }
}

/* Whether the pickle ends as a call of so many arguments does; `at` is behind them, and four bytes
   or more are left. */
ALWAYS_INLINE int
ends_call(const unsigned char *at, const unsigned char *end, int marked, int count)
{
    static const unsigned char takers[] = {OP_EMPTY_TUPLE, OP_TUPLE1, OP_TUPLE2, OP_TUPLE3};
    if (marked ? *at != OP_TUPLE : count > 3 || *at != takers[count]) {
        return 0;
    }
    if (*at++ != OP_EMPTY_TUPLE && *at++ != OP_MEMOIZE) {
        return 0;
    }
    return end - at == 3 && at[0] == OP_REDUCE && at[1] == OP_MEMOIZE && at[2] == OP_STOP;
}

/* Passes the arguments.  Whether nothing but the end of the call follows. */
static int
find_arguments(struct one_call *call, const unsigned char *at, const unsigned char *end)
{
    int marked = *at == OP_MARK;
    at += marked;
    call->arguments = at;
    for (call->count = 0; call->count < ARGUMENTS && end - at > 4; call->count++) {
        size_t size = atom_size(at, end);
        if (size == 0 || (size_t)(end - at) < size) {
            break;
        }
        at += size;
    }
    return end - at >= 4 && ends_call(at, end, marked, call->count);
}

/* Passes PROTO, FRAME and the global. */
static int
find_parts(struct one_call *call, const unsigned char *at, size_t size)
{
    const unsigned char *end = at + size;
    if (size > LONGEST || size < HEAD + 2 + LEAST_REST || at[0] != OP_PROTO || at[1] < 4
        || at[1] > HIGHEST_PROTOCOL || at[2] != OP_FRAME
        || read_little_endian(at + 3, 8) != size - HEAD || at[HEAD] != OP_SHORT_BINUNICODE) {
        return 0;
    }
    call->module_name = at + HEAD + 2;
    call->module_size = at[HEAD + 1];
    if ((size_t)(end - call->module_name) < call->module_size + LEAST_REST) {
        return 0;
    }
    at = call->module_name + call->module_size;
    call->name_size = at[2];
    call->size = call->module_size + 3 + call->name_size;
    if (at[0] != OP_MEMOIZE || at[1] != OP_SHORT_BINUNICODE
        || (size_t)(end - call->module_name) < call->size + LEAST_REST || call->module_size == 0
        || call->name_size == 0) {
        return 0;
    }
    at = call->module_name + call->size;
    return at[0] == OP_MEMOIZE && at[1] == OP_STACK_GLOBAL && at[2] == OP_MEMOIZE
           && find_arguments(call, at + 3, end);
}

/* The atom at *at, which it passes; strong, or NULL with an exception. */
ALWAYS_INLINE PyObject *
make_atom(struct core_state *state, const unsigned char **at)
{
    const unsigned char *bytes = *at + 1;
    switch (bytes[-1]) {
    case OP_NONE: *at = bytes; return Py_NewRef(Py_None);
    case OP_NEWTRUE: *at = bytes; return Py_NewRef(Py_True);
    case OP_NEWFALSE: *at = bytes; return Py_NewRef(Py_False);
    case OP_BININT1: *at = bytes + 1; return Py_NewRef(state->small_integers[bytes[0]]);
    case OP_BININT2: *at = bytes + 2; return PyLong_FromLong((long)read_little_endian(bytes, 2));
    case OP_BININT:
        *at = bytes + 4;
        return PyLong_FromLong((int32_t)(uint32_t)read_little_endian(bytes, 4));
    case OP_BINFLOAT: *at = bytes + 8; return PyFloat_FromDouble(read_big_endian_double(bytes));
    default: *at = bytes + 2 + bytes[0]; return load_make_string(state, bytes + 1, bytes[0]);
    }
}

/* callable(*arguments); strong, or NULL with an exception.  Runs Python code. */
static PyObject *
call_with_atoms(struct core_state *state, const struct one_call *call, PyObject *callable)
{
    PyObject *values[1 + ARGUMENTS] = {callable}, **arguments = values + 1, *object = NULL;
    const unsigned char *at = call->arguments;
    int made = 0;
    while (made < call->count && (arguments[made] = make_atom(state, &at)) != NULL) {
        made++;
    }
    if (made == call->count
        && rebuild_make(state, callable, arguments, made, &object) == MAKE_CALL) {
        object = PyObject_Vectorcall(callable, arguments,
                                     (size_t)made | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    while (made-- > 0) {
        Py_DECREF(arguments[made]);
    }
    return object;
}

int
load_one(struct core_state *state, PyObject *bytes, PyObject **object)
{
    struct one_call call;
    if (!find_parts(&call, (const unsigned char *)PyBytes_AS_STRING(bytes),
                    (size_t)PyBytes_GET_SIZE(bytes))) {
        return 0;
    }
    struct global_names *names =
        load_names_seen(state, call.module_name, call.size, call.module_size, call.name_size);
    if (names == NULL) {
        PyErr_Clear();
        return 0;
    }
    PyObject *callable = load_find_seen(state, HIGHEST_PROTOCOL, names);
    *object = callable == NULL ? NULL : call_with_atoms(state, &call, callable);
    Py_XDECREF(callable);
    return 1;
}
