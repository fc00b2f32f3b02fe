/* Tuples, lists and the list items of a reduction.

   The rules for all containers:

   Lists, dicts and sets are numbered before their elements and walked while they are live: a
   reducer may change them under our hands.  After each element the container is read again, and
   the standard library's error for a changed one is raised at the places where that looks.  Tuples
   and frozen sets are numbered after their elements; a tuple that came by again meanwhile has a
   number by then, and its elements are popped.

   A level of nesting is one C frame, and a small one: nothing nests less deeply here than in the
   standard library.  So the functions that recurse keep little, and their callers end in a tail
   call. */
#include "base/errors.h"
#include "base/walk.h"
#include "dump/save.h"
#include "dump/save_part.h"

/* The note that an element of a container could not be saved. */
static char *
failed_at(PyObject *holder, Py_ssize_t index)
{
    error_note("when serializing %T item %zd", holder, index);
    return NULL;
}

/* ---- tuples ------------------------------------------------------------- */

static char *
save_empty_tuple(struct pickler *pickler, char *out)
{
    if (pickler->protocol > 0) {
        return write_op(out, OP_EMPTY_TUPLE);
    }
    return write_op(write_op(out, OP_MARK), OP_TUPLE);
}

/* Pops the elements that were written, and gets the tuple, which came by among them. */
static char *
get_recursive_tuple(struct pickler *pickler, Py_ssize_t size, int marked, Py_ssize_t position,
                    char *out)
{
    if (marked && pickler->bin) {
        return save_get(pickler, position, write_op(out, OP_POP_MARK));
    }
    for (Py_ssize_t pops = size + marked; pops > 0; pops--) {
        out = save_room(pickler, out);
        if (out == NULL) {
            return NULL;
        }
        out = write_op(out, OP_POP);
    }
    return save_get(pickler, position, out);
}

/* True if the elements stand behind a MARK. */
static int
tuple_is_marked(struct pickler *pickler, Py_ssize_t size)
{
    return size > 3 || pickler->protocol < 2;
}

char *
save_tuple_mark(struct pickler *pickler, Py_ssize_t size, char *out)
{
    return tuple_is_marked(pickler, size) ? write_op(out, OP_MARK) : out;
}

char *
save_tuple_op(struct pickler *pickler, Py_ssize_t size, char *out)
{
    return write_op(out, tuple_is_marked(pickler, size) ? OP_TUPLE : tuple_opcode(size));
}

char *
save_tuple_end(struct pickler *pickler, PyObject *tuple, char *out)
{
    Py_ssize_t size = PyTuple_GET_SIZE(tuple), position = memo_find(&pickler->memo, tuple);
    if (unlikely(position >= 0)) {
        int marked = tuple_is_marked(pickler, size);
        return get_recursive_tuple(pickler, size, marked, position, out);
    }
    return save_memoize(pickler, tuple, 0, save_tuple_op(pickler, size, out));
}

/* A tuple that is not empty.  While one that others hold is open, it is shared and has no
   number. */
static char *
save_tuple_items(struct pickler *pickler, PyObject *tuple, int unique, char *out)
{
    uint64_t epoch = pickler->epoch;
    if (save_open(pickler, tuple) < 0) {
        return NULL;
    }
    pickler->unnumbered += !unique;
    out = save_tuple_mark(pickler, PyTuple_GET_SIZE(tuple), out);
    out = save_elements_inside(pickler, tuple, out);
    pickler->unnumbered -= !unique;
    out = out == NULL ? NULL : save_room(pickler, out);
    if (out != NULL && unique && epoch == pickler->epoch) {
        out =
            save_memoize(pickler, tuple, 1, save_tuple_op(pickler, PyTuple_GET_SIZE(tuple), out));
    }
    else if (out != NULL) {
        out = save_flush(pickler, epoch, save_tuple_end(pickler, tuple, out));
    }
    return save_close(pickler, tuple, out);
}

char *
save_tuple(struct pickler *pickler, PyObject *tuple, int unique, char *out)
{
    if (PyTuple_GET_SIZE(tuple) == 0) {
        return save_empty_tuple(pickler, out);
    }
    return save_tuple_items(pickler, tuple, unique, out);
}

/* ---- lists -------------------------------------------------------------- */

/* True if a list that was walked must not have changed its size, and has. */
static int
list_changed(struct pickler *pickler, PyObject *list, Py_ssize_t size)
{
    if (PyList_GET_SIZE(list) == size || !pickler->state->dialect.list_change_raises) {
        return 0;
    }
    PyErr_SetString(PyExc_RuntimeError, "list changed size during iteration");
    return 1;
}

/* The items of a list that is not empty, in protocols with APPENDS. */
static char *
save_batches(struct pickler *pickler, PyObject *list, char *out)
{
    Py_ssize_t index = 0, size = PyList_GET_SIZE(list);
    if (save_open(pickler, list) < 0) {
        return NULL;
    }
    while (!save_stands_alone(pickler, index, PyList_GET_SIZE(list))) {
        Py_ssize_t end = index + BATCH_SIZE;
        PyObject *item;
        out = write_op(out, OP_MARK);
        for (; index < end && (item = list_item(list, index)) != NULL; index++) {
            out = save_item(pickler, list, index, item, out);
            list_item_done(item);
            if (unlikely(out == NULL)) {
                failed_at(list, index);
                return save_close(pickler, list, NULL);
            }
        }
        out = save_room(pickler, out);
        out = out == NULL ? NULL : write_op(out, OP_APPENDS);
        if (out == NULL || list_changed(pickler, list, size)) {
            return save_close(pickler, list, NULL);
        }
        if (index >= PyList_GET_SIZE(list)) {
            return save_close(pickler, list, out);
        }
    }
    PyObject *last = list_item(list, index);
    out = save_child(pickler, last, out);
    list_item_done(last);
    if (out == NULL) {
        failed_at(list, index);
    }
    else if ((out = save_room(pickler, out)) != NULL) {
        out = write_op(out, OP_APPEND);
    }
    return save_close(pickler, list, out);
}

/* Protocol 0 goes by the iterator, as for objects that are no lists. */
static char *
save_by_iterator(struct pickler *pickler, PyObject *list, char *out)
{
    if (save_open(pickler, list) < 0) {
        return NULL;
    }
    PyObject *iterator = save_foreign(pickler) < 0 ? NULL : PyObject_GetIter(list);
    if (iterator == NULL) {
        return save_close(pickler, list, NULL);
    }
    out = save_listitems(pickler, iterator, list, 0, out);
    Py_DECREF(iterator);
    return save_close(pickler, list, out);
}

/* The opcodes of a list in the order in which they come. */
ALWAYS_INLINE char *
save_list_opcodes(struct pickler *pickler, PyObject *list, int unique, char *out)
{
    Py_ssize_t size = PyList_GET_SIZE(list);
    if (likely(pickler->bin)) {
        out = write_op(out, OP_EMPTY_LIST);
    }
    else {
        out = write_op(write_op(out, OP_MARK), OP_LIST);
    }
    out = save_memoize(pickler, list, unique, out);
    if (out == NULL || size == 0) {
        return out;
    }
    return pickler->protocol > 0 ? save_batches(pickler, list, out)
                                 : save_by_iterator(pickler, list, out);
}

static NOINLINE char *
save_list_fast(struct pickler *pickler, PyObject *list, char *out)
{
    if (save_fast_enter(pickler, list) < 0) {
        return NULL;
    }
    return save_fast_leave(pickler, list, save_list_opcodes(pickler, list, 0, out));
}

char *
save_list(struct pickler *pickler, PyObject *list, int unique, char *out)
{
    if (unlikely(pickler->fast)) {
        return save_list_fast(pickler, list, out);
    }
    return save_list_opcodes(pickler, list, unique, out);
}

/* ---- items of a reduction ----------------------------------------------- */

PyObject *
save_next_item(struct pickler *pickler, PyObject *iterator, uint64_t quiet)
{
    if (quiet != pickler->epoch && save_foreign(pickler) < 0) {
        return NULL;
    }
    return PyIter_Next(iterator);
}

/* Saves an item that is owned here and releases it. */
ALWAYS_INLINE char *
save_owned_item(struct pickler *pickler, PyObject *item, PyObject *holder, Py_ssize_t index,
                uint64_t quiet, char *out)
{
    int unique = quiet == pickler->epoch && Py_REFCNT(item) == 2 && pickler->unnumbered == 0;
    out = save_owned(pickler, item, unique, out);
    if (out == NULL) {
        failed_at(holder, index);
    }
    out = save_release(pickler, item, save_flush(pickler, quiet, out));
    return out == NULL ? NULL : save_room(pickler, out);
}

/* Saves the items one at a time, as protocol 0 has them. */
static NOINLINE char *
save_listitems_singly(struct pickler *pickler, PyObject *iterator, PyObject *holder, char *out)
{
    PyObject *item;
    for (Py_ssize_t index = 0; (item = save_next_item(pickler, iterator, 0)) != NULL; index++) {
        out = save_owned_item(pickler, item, holder, index, 0, out);
        if (out == NULL) {
            return NULL;
        }
        out = write_op(out, OP_APPEND);
    }
    return PyErr_Occurred() ? NULL : out;
}

char *
save_listitems(struct pickler *pickler, PyObject *iterator, PyObject *holder, uint64_t quiet,
               char *out)
{
    if (pickler->protocol == 0) {
        return save_listitems_singly(pickler, iterator, holder, out);
    }
    Py_ssize_t index = 0, end = 0;
    PyObject *item, *next;
    while (index == end && (item = save_next_item(pickler, iterator, quiet)) != NULL) {
        next = save_next_item(pickler, iterator, quiet);
        if (next == NULL) {
            /* The last one stands alone. */
            if (PyErr_Occurred()) {
                return save_release(pickler, item, NULL);
            }
            out = save_owned_item(pickler, item, holder, index, quiet, out);
            return out == NULL ? NULL : write_op(out, OP_APPEND);
        }
        out = save_owned_item(pickler, item, holder, index++, quiet, write_op(out, OP_MARK));
        for (end = index - 1 + BATCH_SIZE; out != NULL && next != NULL;) {
            item = next;
            out = save_owned_item(pickler, item, holder, index++, quiet, out);
            next = out == NULL || index == end ? NULL : save_next_item(pickler, iterator, quiet);
        }
        if (out == NULL || PyErr_Occurred()) {
            Py_XDECREF(next);
            return NULL;
        }
        out = write_op(out, OP_APPENDS);
    }
    return PyErr_Occurred() ? NULL : out;
}

/* ---- a list's own elements, as items ------------------------------------ */

/* An element that is owned here since `epoch`. */
ALWAYS_INLINE char *
save_held_item(struct pickler *pickler, PyObject *list, Py_ssize_t index, PyObject *item,
               uint64_t epoch, int unique, char *out)
{
    out = save_owned(pickler, item, unique, out);
    if (unlikely(out == NULL)) {
        failed_at(list, index);
    }
    out = save_release(pickler, item, save_flush(pickler, epoch, out));
    return out == NULL ? NULL : save_room(pickler, out);
}

/* Another one than the first of a batch, or the last, which stands alone. */
static char *
save_list_element(struct pickler *pickler, PyObject *list, Py_ssize_t index, PyObject *item,
                  char *out)
{
    int unique = save_is_unique(pickler, item);
    return save_held_item(pickler, list, index, Py_NewRef(item), pickler->epoch, unique, out);
}

/* The first of a batch, while the second is held, which was asked for before it is saved. */
static NOINLINE char *
save_before(struct pickler *pickler, PyObject *list, Py_ssize_t index, PyObject *second, char *out)
{
    uint64_t epoch = pickler->epoch;
    out = save_list_element(pickler, list, index, PyList_GET_ITEM(list, index),
                            write_op(out, OP_MARK));
    if (unlikely(out == NULL)) {
        return save_release(pickler, second, NULL);
    }
    int unique = epoch == pickler->epoch && Py_REFCNT(second) == 2 && pickler->unnumbered == 0;
    return save_held_item(pickler, list, index + 1, second, epoch, unique, out);
}

/* A batch of two or more from `index` on. */
static NOINLINE char *
save_list_batch(struct pickler *pickler, PyObject *list, Py_ssize_t index, char *out)
{
    Py_ssize_t end = index + BATCH_SIZE;
    out = save_before(pickler, list, index, Py_NewRef(PyList_GET_ITEM(list, index + 1)), out);
    for (index += 2; out != NULL && index < end && index < PyList_GET_SIZE(list); index++) {
        out = save_child(pickler, PyList_GET_ITEM(list, index), out);
        if (unlikely(out == NULL)) {
            return failed_at(list, index);
        }
    }
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_APPENDS);
}

/* The last element, which stands alone. */
static NOINLINE char *
save_last(struct pickler *pickler, PyObject *list, Py_ssize_t index, char *out)
{
    out = save_list_element(pickler, list, index, PyList_GET_ITEM(list, index), out);
    return out == NULL ? NULL : write_op(out, OP_APPEND);
}

char *
save_own_elements(struct pickler *pickler, PyObject *list, Py_ssize_t index, char *out)
{
    for (; out != NULL && index < PyList_GET_SIZE(list); index += BATCH_SIZE) {
        if (index + 1 == PyList_GET_SIZE(list)) {
            return save_last(pickler, list, index, out);
        }
        out = save_list_batch(pickler, list, index, out);
    }
    return out;
}
