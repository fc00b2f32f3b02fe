/* The parts of a subclass of a built-in type that are written besides its fields: arguments for
   __new__ of the base, and items.

   object.__reduce_ex__ gets the arguments from __getnewargs__, of which those of the built-in
   types and of named tuples are known, and has sets give a list of their elements, with which the
   class is called.  These arguments are new objects with each call: counted in the memo and not
   numbered. */
#include "base/errors.h"
#include "base/walk.h"
#include "dump/save.h"
#include "dump/save_part.h"

/* The class by name, and arguments that are short. */
enum { ARGUMENTS_ROOM = 2 * 260 + 300, SHORT_LENGTH = 255 };

/* True if the argument that is no tuple is a few bytes, and no object that may come again. */
static int
is_short(const struct typeinfo *info, PyObject *object)
{
    switch (info->arguments) {
    case ARGUMENTS_STR:
        return PyUnicode_IS_ASCII(object) && PyUnicode_GET_LENGTH(object) <= SHORT_LENGTH
               && PyUnicode_GET_LENGTH(object) > 0;
    case ARGUMENTS_BYTES:
        return PyBytes_GET_SIZE(object) <= SHORT_LENGTH && PyBytes_GET_SIZE(object) > 1;
    case ARGUMENTS_INT: return long_is_short(object);
    default: return 1;
    }
}

int
save_find_arguments(struct pickler *pickler, struct typeinfo *info, PyObject *object, char *out)
{
    return pickler->writer.limit - out > ARGUMENTS_ROOM && is_short(info, object);
}

static char *
write_data(struct pickler *pickler, int opcode, const void *data, Py_ssize_t size, char *out)
{
    out[0] = (char)(unsigned char)opcode;
    out[1] = (char)(unsigned char)size;
    enum memo_absent absent = opcode == OP_SHORT_BINBYTES ? ABSENT_BYTES : ABSENT_STR;
    return save_skip(pickler, absent, write_bytes(out + 2, data, (size_t)size));
}

/* The elements as a tuple of their own. */
static char *
save_elements(struct pickler *pickler, PyObject *object, char *out)
{
    Py_ssize_t size = PyTuple_GET_SIZE(object);
    if (size == 0) {
        return write_op(out, OP_EMPTY_TUPLE);
    }
    out = save_tuple_mark(pickler, size, out);
    for (Py_ssize_t i = 0; i < size; i++) {
        out = save_child(pickler, PyTuple_GET_ITEM(object, i), out);
        if (unlikely(out == NULL)) {
            error_note("when serializing tuple item %zd", i);
            return NULL;
        }
    }
    out = save_keep(pickler, &PyTuple_GET_ITEM(object, 0), size) < 0 ? NULL
                                                                     : save_room(pickler, out);
    return out == NULL ? NULL
                       : save_skip(pickler, ABSENT_TUPLE, save_tuple_op(pickler, size, out));
}

char *
save_short_argument(struct pickler *pickler, struct typeinfo *info, PyObject *object, char *out)
{
    switch (info->arguments) {
    case ARGUMENTS_STR:
        out = write_data(pickler, OP_SHORT_BINUNICODE, PyUnicode_DATA(object),
                         PyUnicode_GET_LENGTH(object), out);
        break;
    case ARGUMENTS_BYTES:
        out = write_data(pickler, OP_SHORT_BINBYTES, PyBytes_AS_STRING(object),
                         PyBytes_GET_SIZE(object), out);
        break;
    case ARGUMENTS_INT: out = save_long(pickler, object, out); break;
    default: out = write_real(out, PyFloat_AS_DOUBLE(object)); break;
    }
    return out == NULL ? NULL : save_skip(pickler, ABSENT_TUPLE, write_op(out, OP_TUPLE1));
}

/* The elements of a tuple as the arguments, or as the one argument. */
static char *
save_tuple_arguments(struct pickler *pickler, struct typeinfo *info, PyObject *object, char *out)
{
    out = save_elements(pickler, object, out);
    if (out != NULL && info->arguments == ARGUMENTS_TUPLE) {
        out = save_skip(pickler, ABSENT_TUPLE, write_op(out, OP_TUPLE1));
    }
    if (unlikely(out == NULL)) {
        if (info->arguments == ARGUMENTS_TUPLE) {
            error_note("when serializing tuple item 0");
        }
        error_note("when serializing %T __new__ arguments", object);
    }
    return out;
}

/* Reads all elements of a set, which has `size`.  0, or -1 with MemoryError. */
static int
take_elements(struct pickler *pickler, PyObject *set, Py_ssize_t size)
{
    struct snapshots *stack = &pickler->snapshots;
    Py_ssize_t position = 0;
    PyObject *element;
    if (save_reserve_snapshot(pickler, size) < 0) {
        return -1;
    }
    while (set_next(set, &position, &element)) {
        stack->values[stack->count++] = Py_NewRef(element);
    }
    return 0;
}

/* A list of the elements of a set, which is the one argument. */
static char *
save_set_arguments(struct pickler *pickler, PyObject *set, char *out)
{
    uint64_t epoch = pickler->epoch;
    Py_ssize_t size = PySet_GET_SIZE(set);
    if (take_elements(pickler, set, size) < 0) {
        return NULL;
    }
    out = save_snapshot_list(pickler, size, epoch, out);
    if (unlikely(out == NULL)) {
        error_note("when serializing tuple item 0");
        error_note("when serializing %T reconstructor arguments", set);
    }
    out = save_drop_snapshot(pickler, size, save_flush(pickler, epoch, out));
    return out == NULL ? NULL : save_skip(pickler, ABSENT_TUPLE, write_op(out, OP_TUPLE1));
}

/* While its parts are saved, an object that others hold is open and has no number. */
struct numbered
save_nested_arguments(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                      char *out)
{
    uint64_t epoch = pickler->epoch;
    int is_set = info->arguments == ARGUMENTS_SET;
    pickler->unnumbered += !unique;
    out = is_set ? save_set_arguments(pickler, object, out)
                 : save_tuple_arguments(pickler, info, object, out);
    pickler->unnumbered -= !unique;
    if (unlikely(out == NULL)) {
        return (struct numbered){NULL, 0};
    }
    unique = unique && epoch == pickler->epoch;
    return save_number(pickler, object, unique, write_op(out, is_set ? OP_REDUCE : OP_NEWOBJ));
}

char *
save_nested_items(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                  char *out)
{
    Py_ssize_t size = info->items == ITEMS_OF_DICT ? PyDict_GET_SIZE(object) : 0;
    out =
        save_memoize(pickler, object, unique, write_op(write_op(out, OP_EMPTY_TUPLE), OP_NEWOBJ));
    if (out == NULL) {
        return NULL;
    }
    return info->items == ITEMS_OF_LIST ? save_own_elements(pickler, object, 0, out)
                                        : save_own_items(pickler, object, size, out);
}
