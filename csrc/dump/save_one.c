/* A pickle that is one object: see save_one.h. */
#include "dump/save_one.h"

#include "types/typeinfo.h"
#include "base/reduction.h"
#include "base/registry.h"
#include "dump/save.h"
#include "plans/room.h"
#include "dump/save_scalars.h"

enum {
    /* Of a pickle that is written here; a longer one is dumped. */
    ROOM = 2048,
    /* Of its head, with the two names of a class, and of its end. */
    HEAD_ROOM = 2 * (ATOM_LENGTH + 3) + 24,
    END_ROOM = 8,
    /* Different strings in one pickle, the two names among them. */
    STRINGS = 8
};

static_assert(HEAD_ROOM + ATOM_ROOM + END_ROOM < ROOM, "there is room for a value");

/* The pickle, and the strings that are in it. */
struct one_object {
    int count;
    PyObject *strings[STRINGS];
    char pickle[ROOM];
};

/* A short ASCII str that has not come by yet, and the opcode that numbers it; else NULL. */
ALWAYS_INLINE char *
write_only_str(struct one_object *one, PyObject *string, char *out)
{
    size_t size = (size_t)PyUnicode_GET_LENGTH(string);
    if (!PyUnicode_IS_COMPACT_ASCII(string) || size > ATOM_LENGTH || one->count == STRINGS) {
        return NULL;
    }
    for (int i = 0; i < one->count; i++) {
        if (one->strings[i] == string) {
            return NULL;
        }
    }
    one->strings[one->count++] = string;
    out = write_op(write_op(out, OP_SHORT_BINUNICODE), (int)size);
    out = write_bytes(out, (const char *)PyUnicode_1BYTE_DATA(string), size);
    return write_op(out, OP_MEMOIZE);
}

/* A small atom; NULL if it is none. */
ALWAYS_INLINE char *
write_only_atom(struct one_object *one, PyObject *value, char *out)
{
    PyTypeObject *type = Py_TYPE(value);
    int64_t number;
    if (type == &PyFloat_Type) {
        return write_real(out, PyFloat_AS_DOUBLE(value));
    }
    if (type == &PyLong_Type) {
        return long_as_small(value, &number) ? write_integer(out, number) : NULL;
    }
    if (type == &PyUnicode_Type) {
        return write_only_str(one, value, out);
    }
    if (value == Py_None) {
        return write_op(out, OP_NONE);
    }
    return type == &PyBool_Type ? write_op(out, value == Py_True ? OP_NEWTRUE : OP_NEWFALSE)
                                : NULL;
}

/* The typeinfo of a class that is found by name, without anybody being asked; else NULL. */
ALWAYS_INLINE struct typeinfo *
find_named(struct core_state *state, PyObject *callable)
{
    PyTypeObject *metaclass = Py_TYPE(callable);
    if (!PyType_Check(callable)
        || (metaclass != &PyType_Type
            && !registry_lacks(state, NULL, metaclass, hash_pointer(metaclass)))) {
        return NULL;
    }
    struct typeinfo *info = typeinfo_known(state, (PyTypeObject *)callable);
    return info != NULL && info->version != 0 && typeinfo_names_hold(state, info) ? info : NULL;
}

/* The opcodes before the arguments; the size of the frame is not known yet. */
ALWAYS_INLINE char *
write_one_head(struct one_object *one, const struct typeinfo *info, int protocol)
{
    char *out = write_op(write_op(one->pickle, OP_PROTO), protocol) + FRAME_HEADER_SIZE;
    out = write_only_str(one, info->module_name, out);
    out = out == NULL ? NULL : write_only_str(one, info->qualname, out);
    return out == NULL ? NULL : write_op(write_op(out, OP_STACK_GLOBAL), OP_MEMOIZE);
}

/* The arguments, in a tuple. */
ALWAYS_INLINE char *
write_one_arguments(struct one_object *one, PyObject *const *values, Py_ssize_t count, char *out)
{
    out = count > 3 ? write_op(out, OP_MARK) : out;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (unlikely(out > one->pickle + ROOM - ATOM_ROOM - END_ROOM)
            || unlikely((out = write_only_atom(one, values[i], out)) == NULL)) {
            return NULL;
        }
    }
    out = write_op(out, tuple_opcode(count));
    return count == 0 ? out : write_op(out, OP_MEMOIZE);
}

/* The pickle of an instance of a class that REDUCE calls with the values.  As save_one_object().
   Runs no Python code. */
static NOINLINE int
write_one(struct core_state *state, PyObject *callable, PyObject *const *values, Py_ssize_t count,
          int protocol, PyObject **pickle)
{
    struct typeinfo *info = find_named(state, callable);
    struct one_object one;
    if (info == NULL) {
        return 0;
    }
    one.count = 0;
    char *out = write_one_head(&one, info, protocol);
    out = out == NULL ? NULL : write_one_arguments(&one, values, count, out);
    if (out == NULL) {
        return 0;
    }
    out = write_op(write_op(write_op(out, OP_REDUCE), OP_MEMOIZE), OP_STOP);
    write_u64(write_op(one.pickle + 2, OP_FRAME),
              (uint64_t)(out - one.pickle) - 2 - FRAME_HEADER_SIZE);
    *pickle = PyBytes_FromStringAndSize(one.pickle, out - one.pickle);
    return 1;
}

/* ---- finding the reducer ------------------------------------------------ */

/* The number of the protocol, or -1 if the dump is to read it; only those that have frames are
   written here. */
ALWAYS_INLINE int
read_protocol(struct core_state *state, PyObject *protocol)
{
    int64_t number = state->dialect.default_protocol;
    if (protocol != NULL && protocol != Py_None
        && (!PyLong_CheckExact(protocol) || !long_as_small(protocol, &number))) {
        return -1;
    }
    number = number < 0 ? HIGHEST_PROTOCOL : number;
    return number < 4 || number > HIGHEST_PROTOCOL ? -1 : (int)number;
}

/* Never in line: their values would lie below all that is nested. */
NOINLINE int
dump_by_bound_plan(struct core_state *state, PyObject *object, PyObject *protocol,
                   PyObject **pickle)
{
    struct bound_plan *bound = bound_at(state, Py_TYPE(object));
    PyObject *values[BOUND_PARTS_MAX];
    int number = read_protocol(state, protocol);
    if (number < 0 || bound->state_count >= 0
        || !bound_is_registered(state, bound, Py_TYPE(object))
        || !bound_look_up(state, bound, bound->function)) {
        return 0;
    }
    if (unlikely(bound->making_count != 0)) {
        if (!bound_make_parts(state, bound, object, values)) {
            return 0;
        }
        int written =
            write_one(state, bound->callable, values, bound->argument_count, number, pickle);
        bound_release_made(bound, values);
        state->plans->reduced_by_plan += (uint64_t)written;
        return written;
    }
    for (int i = 0; i < bound->argument_count; i++) {
        values[i] = bound_read_part(&bound->parts[i], bound->type, object);
        if (unlikely(values[i] == NULL)) {
            return 0;
        }
    }
    if (!write_one(state, bound->callable, values, bound->argument_count, number, pickle)) {
        return 0;
    }
    state->plans->reduced_by_plan++;
    return 1;
}

/* Calls the reducer as a level of nesting; strong, or NULL.  Runs Python code. */
static PyObject *
call_reducer(PyObject *reducer, PyObject *object)
{
    uintptr_t floor = UINTPTR_MAX;
    if (stack_enter(&floor, " while pickling an object") < 0) {
        return NULL;
    }
    Py_INCREF(reducer);
    PyObject *reduce_value = PyObject_CallOneArg(reducer, object);
    Py_DECREF(reducer);
    Py_LeaveRecursiveCall();
    return reduce_value;
}

NOINLINE int
dump_by_call(struct core_state *state, PyObject *object, PyObject *protocol, PyObject **pickle,
             PyObject **reduce_value)
{
    struct typeinfo *info = typeinfo_known(state, Py_TYPE(object));
    int number = read_protocol(state, protocol);
    if (info == NULL || info->reducer == NULL || number < 0
        || !(typeinfo_reducer_is_uncompilable(state, info, info->reducer)
             || typeinfo_rests(state, info))
        || info->reducer == state->stdlib.pickle_complex) {
        return 0;
    }
    PyObject *value = call_reducer(info->reducer, object);
    if (value == NULL) {
        *pickle = NULL;
        return 1;
    }
    if (reduction_is_short(state, value)) {
        PyObject *arguments = PyTuple_GET_ITEM(value, PART_ARGS);
        if (write_one(state, PyTuple_GET_ITEM(value, PART_CALLABLE),
                      &PyTuple_GET_ITEM(arguments, 0), PyTuple_GET_SIZE(arguments), number,
                      pickle)) {
            Py_DECREF(value);
            return 1;
        }
    }
    *reduce_value = value;
    return 0;
}
