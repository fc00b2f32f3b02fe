/* Snapshots: values that were read all at once, and are written one by one.

   A reducer that makes a list or a dict of what an object has reads all of it before any of it is
   saved; changes of the object meanwhile do not reach the pickle.  Here the values lie on a stack
   on the heap, owned until they are released. */
#include "base/errors.h"
#include "dump/save.h"
#include "dump/save_part.h"

/* Room that may be kept between two calls. */
enum { SNAPSHOTS_KEPT = 1024 };

void
save_trim_snapshots(struct pickler *pickler)
{
    if (pickler->snapshots.capacity > SNAPSHOTS_KEPT) {
        PyMem_Free(pickler->snapshots.values);
        memset(&pickler->snapshots, 0, sizeof(pickler->snapshots));
    }
}

int
save_reserve_snapshot(struct pickler *pickler, Py_ssize_t size)
{
    struct snapshots *stack = &pickler->snapshots;
    size_t needed = stack->count + (size_t)size;
    if (likely(needed <= stack->capacity)) {
        return 0;
    }
    size_t capacity = needed * 2 + 16;
    PyObject **values = PyMem_Realloc(stack->values, capacity * sizeof(*values));
    if (values == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    stack->values = values;
    stack->capacity = capacity;
    return 0;
}

char *
save_drop_snapshot(struct pickler *pickler, Py_ssize_t size, char *out)
{
    struct snapshots *stack = &pickler->snapshots;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *value = stack->values[--stack->count];
        if (value != NULL) {
            out = save_release(pickler, value, out);
        }
    }
    return out;
}

/* Up to BATCH_SIZE values of a list of `size`, from `index` on, and their opcode. */
static char *
save_snapshot_batch(struct pickler *pickler, size_t base, Py_ssize_t index, Py_ssize_t size,
                    uint64_t epoch, char *out)
{
    int alone = save_stands_alone(pickler, index, size);
    Py_ssize_t end = size - index > BATCH_SIZE ? index + BATCH_SIZE : size;
    out = alone ? out : write_op(out, OP_MARK);
    for (; index < end; index++) {
        PyObject *value = pickler->snapshots.values[base + (size_t)index];
        out = save_snapshot_value(pickler, value, epoch, out);
        if (unlikely(out == NULL)) {
            error_note("when serializing list item %zd", index);
            return NULL;
        }
    }
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, alone ? OP_APPEND : OP_APPENDS);
}

char *
save_snapshot_list(struct pickler *pickler, Py_ssize_t size, uint64_t epoch, char *out)
{
    size_t base = pickler->snapshots.count - (size_t)size;
    out = save_skip(pickler, ABSENT_LIST, write_op(out, OP_EMPTY_LIST));
    if (save_keep(pickler, pickler->snapshots.values + base, size) < 0) {
        return NULL;
    }
    for (Py_ssize_t index = 0; out != NULL && index < size; index += BATCH_SIZE) {
        out = save_snapshot_batch(pickler, base, index, size, epoch, out);
    }
    return out;
}
