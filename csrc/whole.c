/* A pickle that is one object: see whole.h. */
#include "whole.h"

#include "plan.h"
#include "save.h"

#if KNOWN_LAYOUT

enum {
    /* Of a pickle that is written here; what is longer is dumped. */
    ROOM = 2048,
    /* Of its head, with the two names of a class, and of its end. */
    HEAD_ROOM = 2 * (ATOM_LENGTH + 3) + 24,
    END_ROOM = 8,
    /* Different strings in one pickle, the two names among them. */
    STRINGS = 8
};

static_assert(HEAD_ROOM + ATOM_ROOM + END_ROOM < ROOM, "there is room for a value");

/* What is written, and the strings that are in it. */
struct whole {
    int count;
    PyObject *strings[STRINGS];
    char pickle[ROOM];
};

/* A short ASCII str that has not come by yet, and the opcode that numbers it; else NULL. */
ALWAYS_INLINE char *
write_only_str(struct whole *whole, PyObject *string, char *out)
{
    size_t size = (size_t)PyUnicode_GET_LENGTH(string);
    if (!PyUnicode_IS_COMPACT_ASCII(string) || size > ATOM_LENGTH || whole->count == STRINGS) {
        return NULL;
    }
    for (int i = 0; i < whole->count; i++) {
        if (whole->strings[i] == string) {
            return NULL;
        }
    }
    whole->strings[whole->count++] = string;
    out = write_op(write_op(out, OP_SHORT_BINUNICODE), (int)size);
    out = write_bytes(out, (const char *)PyUnicode_1BYTE_DATA(string), size);
    return write_op(out, OP_MEMOIZE);
}

/* A small atom; NULL if it is none. */
ALWAYS_INLINE char *
write_only_atom(struct whole *whole, PyObject *value, char *out)
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
        return write_only_str(whole, value, out);
    }
    if (value == Py_None) {
        return write_op(out, OP_NONE);
    }
    return type == &PyBool_Type ? write_op(out, value == Py_True ? OP_NEWTRUE : OP_NEWFALSE)
                                : NULL;
}

/* The plan of a class that is found by name, without anybody being asked; else NULL. */
ALWAYS_INLINE struct plan *
find_named(struct core_state *state, PyObject *callable)
{
    if (!Py_IS_TYPE(callable, &PyType_Type)) {
        return NULL;
    }
    struct plan *plan = plan_find(state, (PyTypeObject *)callable);
    return (PyObject *)plan->type == callable && plan->version != 0 && plan_names_hold(state, plan)
               ? plan
               : NULL;
}

/* The opcodes before the arguments; the size of the frame is not known yet. */
ALWAYS_INLINE char *
write_head(struct whole *whole, const struct plan *plan, int protocol)
{
    char *out = write_op(write_op(whole->pickle, OP_PROTO), protocol) + FRAME_HEADER_SIZE;
    out = write_only_str(whole, plan->module_name, out);
    out = out == NULL ? NULL : write_only_str(whole, plan->qualname, out);
    return out == NULL ? NULL : write_op(write_op(out, OP_STACK_GLOBAL), OP_MEMOIZE);
}

/* The arguments, in a tuple. */
ALWAYS_INLINE char *
write_arguments(struct whole *whole, struct form *form, PyObject *object, char *out)
{
    int count = form->argument_count;
    out = count > 3 ? write_op(out, OP_MARK) : out;
    for (int i = 0; i < count; i++) {
        PyObject *value = form_read_part(&form->parts[i], form->type, object);
        if (unlikely(value == NULL || out > whole->pickle + ROOM - ATOM_ROOM - END_ROOM)
            || unlikely((out = write_only_atom(whole, value, out)) == NULL)) {
            return NULL;
        }
    }
    out = write_op(out, tuple_opcode(count));
    return count == 0 ? out : write_op(out, OP_MEMOIZE);
}

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

PyObject *
whole_dumps_by_form(struct core_state *state, PyObject *object, PyObject *protocol, int *done)
{
    struct form *form = form_at(state, Py_TYPE(object));
    struct whole whole;
    int number = read_protocol(state, protocol);
    if (number < 0 || form->state_count >= 0 || !form_is_registered(state, form, Py_TYPE(object))
        || !form_look_up(state, form, form->function)) {
        return NULL;
    }
    struct plan *plan = find_named(state, form->callable);
    if (plan == NULL) {
        return NULL;
    }
    whole.count = 0;
    char *out = write_head(&whole, plan, number);
    out = out == NULL ? NULL : write_arguments(&whole, form, object, out);
    if (out == NULL) {
        return NULL;
    }
    out = write_op(write_op(write_op(out, OP_REDUCE), OP_MEMOIZE), OP_STOP);
    write_u64(write_op(whole.pickle + 2, OP_FRAME),
              (uint64_t)(out - whole.pickle) - 2 - FRAME_HEADER_SIZE);
    state->reduced_by_plan++;
    *done = 1;
    return PyBytes_FromStringAndSize(whole.pickle, out - whole.pickle);
}

#endif
