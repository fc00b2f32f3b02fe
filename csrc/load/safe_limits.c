/* The resources that a load with a policy has used, and its end where they are too many: see
   safe_limits.h. */
#include "load/safe_limits.h"

enum { FIRST_ROOM = 64 };

/* ---- refusals ----------------------------------------------------------- */

/* The objects on the stack as a tuple, and where its MARKs are; strong, or NULL. */
static PyObject *
show_stack(struct unpickler *unpickler)
{
    Py_ssize_t loose = unpickler->safe.loose, size = unpickler->top - unpickler->stack;
    PyObject *objects = PyTuple_New(loose < 0 ? size : size - loose + 1);
    PyObject *marks = PyTuple_New((Py_ssize_t)unpickler->mark_count);
    for (Py_ssize_t i = 0; objects != NULL && i < PyTuple_GET_SIZE(objects); i++) {
        int stands_for_tuple = loose >= 0 && i == size - loose;
        PyTuple_SET_ITEM(objects, i, Py_NewRef(stands_for_tuple ? Py_None : unpickler->stack[i]));
    }
    for (Py_ssize_t i = 0; marks != NULL && i < PyTuple_GET_SIZE(marks); i++) {
        PyObject *height = PyLong_FromSize_t(unpickler->marks[i]);
        if (height == NULL) {
            Py_CLEAR(marks);
            break;
        }
        PyTuple_SET_ITEM(marks, i, height);
    }
    PyObject *both = objects == NULL || marks == NULL ? NULL : PyTuple_Pack(2, objects, marks);
    Py_XDECREF(objects);
    Py_XDECREF(marks);
    return both;
}

int
safe_refuse(struct unpickler *unpickler, const char *kind, PyObject *subject)
{
    PyObject *stack = show_stack(unpickler);
    if (stack != NULL) {
        PyObject *returned = PyObject_CallFunction(
            safe_policy_of(unpickler)->refuse, "sOnO", kind, subject == NULL ? Py_None : subject,
            (Py_ssize_t)(unpickler->safe.offset - unpickler->safe.begin), stack);
        Py_DECREF(stack);
        Py_XDECREF(returned);
    }
    if (!PyErr_Occurred()) {
        PyErr_SetString(unpickler->state->stdlib.unpickling_error, kind);
    }
    return -1;
}

int
safe_refuse_here(struct unpickler *unpickler, const char *kind, PyObject *subject)
{
    unpickler->safe.offset = (size_t)reader_offset(&unpickler->reader) - 1;
    return safe_refuse(unpickler, kind, subject);
}

int
safe_exceed(struct unpickler *unpickler, const char *limit)
{
    PyObject *name = PyUnicode_FromString(limit);
    if (name != NULL) {
        safe_refuse_here(unpickler, "limit", name);
        Py_DECREF(name);
    }
    return -1;
}

/* ---- limits ------------------------------------------------------------- */

int
safe_check_string(struct unpickler *unpickler, size_t size)
{
    return size > safe_policy_of(unpickler)->limits.string ? safe_exceed(unpickler, "string") : 0;
}

int
safe_check_integer(struct unpickler *unpickler, size_t size)
{
    return size > safe_policy_of(unpickler)->integer_bytes
               ? safe_exceed(unpickler, "integer_digits")
               : 0;
}

int
safe_check_digits(struct unpickler *unpickler, size_t digits)
{
    return digits > safe_policy_of(unpickler)->limits.integer_digits + 3 /* sign, L, newline */
               ? safe_exceed(unpickler, "integer_digits")
               : 0;
}

int
safe_check_charge(struct unpickler *unpickler)
{
    struct safe_counts *counts = &unpickler->safe;
    uint64_t read = reader_offset(&unpickler->reader) - counts->begin;
    uint64_t copies = safe_policy_of(unpickler)->limits.copies;
    return (counts->charged - SAFE_FREE_COPIES) / (copies + 1) > read
               ? safe_exceed(unpickler, "copies")
               : 0;
}

/* ---- how deep ----------------------------------------------------------- */

void
safe_free(struct safe_counts *counts)
{
    PyMem_Free(counts->nesting);
    PyMem_Free(counts->hashes);
    Py_CLEAR(counts->buffer);
    counts->nesting = NULL;
    counts->hashes = NULL;
    counts->nesting_room = counts->hash_room = 0;
}

int
safe_grow_nesting(struct safe_counts *counts)
{
    size_t room = counts->nesting_room == 0 ? FIRST_ROOM : 2 * counts->nesting_room;
    struct safe_nesting *grown = PyMem_Realloc(counts->nesting, room * sizeof(*grown));
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    counts->nesting = grown;
    counts->nesting_room = room;
    return 0;
}

int
safe_nest_parts(struct unpickler *unpickler, size_t from, size_t height, uint64_t layers)
{
    struct safe_counts *counts = &unpickler->safe;
    uint64_t depth = 1 + layers + safe_take_nesting(counts, from);
    size_t count = counts->nesting_count;
    if (count > 0 && counts->nesting[count - 1].height == height) {
        uint64_t *last = &counts->nesting[count - 1].depth;
        *last = *last > depth ? *last : depth;
    }
    else {
        if (unlikely(count == counts->nesting_room) && safe_grow_nesting(counts) < 0) {
            return -1;
        }
        counts->nesting[count] = (struct safe_nesting){height, depth};
        counts->nesting_count = count + 1;
    }
    return unlikely(depth > counts->most_depth) ? safe_exceed(unpickler, "depth") : 0;
}

void
safe_trim(struct unpickler *unpickler, PyObject **from)
{
    (void)safe_take_nesting(&unpickler->safe, (size_t)(from - unpickler->stack));
}

int
safe_count_made(struct unpickler *unpickler, PyObject **parts, PyObject **whole)
{
    return safe_charge_arguments(unpickler, unpickler->top - parts) < 0
               ? -1
               : safe_make(unpickler, parts, whole, 0);
}

int
safe_count_row(struct unpickler *unpickler, PyObject **whole)
{
    return safe_make(unpickler, whole + 1, whole, 1);
}
