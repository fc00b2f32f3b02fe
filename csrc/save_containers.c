/* Tuples, lists, dicts and sets.

   Lists, dicts and sets are numbered before their elements and walked while they are
   live: a reducer may change them under our hands.  After each element the container is
   read again, and what the standard library raises for a changed one is raised at the
   places where it looks.  Tuples and frozen sets are numbered after their elements; if
   one came by again meanwhile, it has a number by then and what was written is dropped.

   A level of nesting is one C frame, and a small one: nothing nests less deeply here than
   in the standard library.  So the functions that recurse keep little, and what leads to
   them ends in a tail call. */
#include "errors.h"
#include "save.h"

/* The note that an element of a container could not be saved. */
static char *
failed_at(PyObject *holder, Py_ssize_t index)
{
    (void)holder;
    (void)index;
    error_note("when serializing %T item %zd", holder, index);
    return NULL;
}

/* ---- tuples ---------------------------------------------------------------------- */

static char *
save_empty_tuple(struct pickler *pickler, char *out)
{
    if (pickler->protocol > 0) {
        return write_op(out, OP_EMPTY_TUPLE);
    }
    return write_op(write_op(out, OP_MARK), OP_TUPLE);
}

/* Drops the elements that were written, and gets the tuple, which came by among them. */
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

/* Whether the elements stand behind a MARK. */
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
    static const unsigned char short_tuples[] = {OP_EMPTY_TUPLE, OP_TUPLE1, OP_TUPLE2, OP_TUPLE3};
    return write_op(out, tuple_is_marked(pickler, size) ? OP_TUPLE : short_tuples[size]);
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
save_tuple_items(struct pickler *pickler, PyObject *tuple, int single, char *out)
{
    uint64_t epoch = pickler->epoch;
    if (save_open(pickler, tuple) < 0) {
        return NULL;
    }
    pickler->unnumbered += !single;
    out = save_tuple_mark(pickler, PyTuple_GET_SIZE(tuple), out);
    out = save_elements_inside(pickler, tuple, out);
    pickler->unnumbered -= !single;
    out = out == NULL ? NULL : save_room(pickler, out);
    if (out != NULL && single && epoch == pickler->epoch) {
        out = save_memoize(pickler, tuple, 1,
                           save_tuple_op(pickler, PyTuple_GET_SIZE(tuple), out));
    }
    else if (out != NULL) {
        out = save_tuple_end(pickler, tuple, out);
    }
    return save_close(pickler, tuple, out);
}

char *
save_tuple(struct pickler *pickler, PyObject *tuple, int single, char *out)
{
    if (PyTuple_GET_SIZE(tuple) == 0) {
        return save_empty_tuple(pickler, out);
    }
    return save_tuple_items(pickler, tuple, single, out);
}

/* ---- lists ------------------------------------------------------------------------- */

/* Whether what begins at `index` is one item without MARK. */
static int
stands_alone(struct pickler *pickler, Py_ssize_t index, Py_ssize_t size)
{
    return size - index == 1 && (index == 0 || pickler->state->dialect.single_last_item);
}

/* Whether a list that was walked must not have changed its size, and has. */
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
    while (!stands_alone(pickler, index, PyList_GET_SIZE(list))) {
        Py_ssize_t end = index + BATCH_SIZE;
        PyObject *item;
        out = write_op(out, OP_MARK);
        for (; index < end && (item = list_item(list, index)) != NULL; index++) {
            out = save_child(pickler, item, out);
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

/* Protocol 0 goes by the iterator, as for what is not a list. */
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
    out = save_listitems(pickler, iterator, list, out);
    Py_DECREF(iterator);
    return save_close(pickler, list, out);
}

/* The opcodes of a list in the order in which they come. */
ALWAYS_INLINE char *
save_list_opcodes(struct pickler *pickler, PyObject *list, int single, char *out)
{
    Py_ssize_t size = PyList_GET_SIZE(list);
    if (likely(pickler->bin)) {
        out = write_op(out, OP_EMPTY_LIST);
    }
    else {
        out = write_op(write_op(out, OP_MARK), OP_LIST);
    }
    out = save_memoize(pickler, list, single, out);
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
save_list(struct pickler *pickler, PyObject *list, int single, char *out)
{
    if (unlikely(pickler->fast)) {
        return save_list_fast(pickler, list, out);
    }
    return save_list_opcodes(pickler, list, single, out);
}

/* ---- items of a reduction ------------------------------------------------------------ */

/* The next of an iterator, which is foreign code: 1 and strong, 0 at the end, -1. */
static int
next_item(struct pickler *pickler, PyObject *iterator, PyObject **item)
{
    *item = NULL;
    if (save_foreign(pickler) < 0) {
        return -1;
    }
    *item = PyIter_Next(iterator);
    return *item != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* Saves an item that is owned here and drops it. */
ALWAYS_INLINE char *
save_owned_item(struct pickler *pickler, PyObject *item, PyObject *holder, Py_ssize_t index,
                char *out)
{
    out = save(pickler, item, out);
    if (out == NULL) {
        failed_at(holder, index);
    }
    out = save_release(pickler, item, out);
    return out == NULL ? NULL : save_room(pickler, out);
}

/* Protocol 0: one item at a time. */
static NOINLINE char *
save_listitems_singly(struct pickler *pickler, PyObject *iterator, PyObject *holder, char *out)
{
    PyObject *item;
    int more;
    for (Py_ssize_t index = 0; (more = next_item(pickler, iterator, &item)) == 1; index++) {
        out = save_owned_item(pickler, item, holder, index, out);
        if (out == NULL) {
            return NULL;
        }
        out = write_op(out, OP_APPEND);
    }
    return more < 0 ? NULL : out;
}

/* A batch that begins with `first` and `item`, both of which are dropped.  *count: how
   many items it had. */
ALWAYS_INLINE char *
save_item_batch(struct pickler *pickler, PyObject *iterator, PyObject *holder,
                Py_ssize_t *index, PyObject *first, PyObject *item, int *count, char *out)
{
    out = save_owned_item(pickler, first, holder, (*index)++, write_op(out, OP_MARK));
    for (*count = 1; out != NULL; ) {
        out = save_owned_item(pickler, item, holder, (*index)++, out);
        item = NULL;
        int more = 0;
        if (out == NULL || ++*count == BATCH_SIZE
            || (more = next_item(pickler, iterator, &item)) != 1) {
            return out == NULL || more < 0 ? NULL : write_op(out, OP_APPENDS);
        }
    }
    Py_XDECREF(item);
    return NULL;
}

char *
save_listitems(struct pickler *pickler, PyObject *iterator, PyObject *holder, char *out)
{
    if (pickler->protocol == 0) {
        return save_listitems_singly(pickler, iterator, holder, out);
    }
    Py_ssize_t index = 0;
    int count;
    do {
        PyObject *first, *second;
        int more = next_item(pickler, iterator, &first);
        if (more != 1) {
            return more < 0 ? NULL : out;
        }
        more = next_item(pickler, iterator, &second);
        if (more < 0) {
            Py_DECREF(first);
            return NULL;
        }
        if (more == 0) {
            out = save_owned_item(pickler, first, holder, index, out);
            return out == NULL ? NULL : write_op(out, OP_APPEND);
        }
        out = save_item_batch(pickler, iterator, holder, &index, first, second, &count, out);
    } while (out != NULL && count == BATCH_SIZE);
    return out;
}

/* ---- dicts ----------------------------------------------------------------------------- */

/* An object that is owned here, and may be at a boundary. */
ALWAYS_INLINE char *
save_owned_child(struct pickler *pickler, PyObject *object, int single, char *out)
{
    if (unlikely(out >= pickler->writer.limit)) {
        return save_slow(pickler, object, single, out);
    }
    return save_inside(pickler, object, single, out);
}

/* A key that may run foreign code, under which the value must live on. */
static NOINLINE char *
save_odd_key(struct pickler *pickler, PyObject *key, PyObject *value, char *out)
{
    (void)value;
    return save_owned_child(pickler, key, 0, out);
}

/* Key and value of a dict, both owned by the caller.  A note names the key. */
ALWAYS_INLINE char *
save_owned_key_value(struct pickler *pickler, PyObject *holder, PyObject *key, PyObject *value,
                     int single, char *out)
{
    uint64_t epoch = pickler->epoch;
    (void)holder;
    out = save_odd_key(pickler, key, value, out);
    if (unlikely(out == NULL)) {
        return NULL;
    }
    out = save_owned_child(pickler, value, single && epoch == pickler->epoch, out);
    if (unlikely(out == NULL)) {
        error_note("when serializing %T item %R", holder, key);
    }
    return out;
}

/* Key and value of a dict, owned over the time. */
static char *
save_pair_owned(struct pickler *pickler, PyObject *holder, PyObject *key, PyObject *value,
                char *out)
{
    int single = save_is_single(pickler, value);
    Py_INCREF(key);
    Py_INCREF(value);
    out = save_owned_key_value(pickler, holder, key, value, single, out);
    out = save_release(pickler, key, out);
    return save_release(pickler, value, out);
}

/* A pair of which nothing runs foreign code but at a boundary. */
ALWAYS_INLINE int
is_plain_pair(struct pickler *pickler, PyObject *key, PyObject *value, char *out)
{
    return save_is_scalar(key) && save_is_scalar(value) && out < pickler->writer.limit
           && (!PyUnicode_CheckExact(key)
               || PyUnicode_GET_LENGTH(key) < FRAME_TARGET_SIZE / 4);
}

static char *
changed_dict(void)
{
    PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
    return NULL;
}

char *
save_dict_rest(struct pickler *pickler, PyObject *dict, Py_ssize_t position, Py_ssize_t size,
               char *out)
{
    PyObject *key, *value;
    while (position < size || size > 1) {
        if (!PyDict_Next(dict, &position, &key, &value)) {
            break;
        }
        out = save_pair_owned(pickler, dict, key, value, out);
        if (out == NULL) {
            return NULL;
        }
    }
    return size > 1 && PyDict_GET_SIZE(dict) != size ? changed_dict() : out;
}

/* One pair of the walk; see save_pairs(). */
ALWAYS_INLINE char *
save_pair(struct pickler *pickler, PyObject *dict, PyObject *key, PyObject *value,
          int single_keys, char *out)
{
    if (likely(is_plain_pair(pickler, key, value, out))) {
        int single_key = single_keys && save_is_single(pickler, key);
        out = save_inside(pickler, key, single_key, out);
        return unlikely(out == NULL) ? NULL : save_child(pickler, value, out);
    }
    int single = save_is_single(pickler, value);
    Py_INCREF(key);
    Py_INCREF(value);
    out = save_owned_key_value(pickler, dict, key, value, single, out);
    out = save_release(pickler, key, out);
    return save_release(pickler, value, out);
}

/* Behind a batch of pairs: SETITEMS or SETITEM.  *done if it was the last, or an error. */
static char *
end_batch(struct pickler *pickler, PyObject *dict, Py_ssize_t size, Py_ssize_t total, int count,
          int *done, char *out)
{
    int alone = size - total == 1 && (total == 0 || pickler->state->dialect.single_last_item);
    *done = 1;
    out = save_room(pickler, out);
    if (out == NULL || (alone && count == 1)) {
        return out == NULL ? NULL : write_op(out, OP_SETITEM);
    }
    out = write_op(out, OP_SETITEMS);
    if (PyDict_GET_SIZE(dict) != size) {
        return changed_dict();
    }
    if (pickler->state->dialect.single_last_item) {
        /* Changed and changed back, the walk may end before its time. */
        *done = total + count >= size;
        return count == 0 ? changed_dict() : out;
    }
    *done = count < BATCH_SIZE;
    return out;
}

/* The pairs of a dict that is not empty, in protocols with SETITEMS. */
static char *
save_pairs(struct pickler *pickler, PyObject *dict, PyObject *walked, char *out)
{
    Py_ssize_t size = PyDict_GET_SIZE(dict), position = 0, total = 0;
    int count, done, single_last = pickler->state->dialect.single_last_item;
    PyObject *key, *value;
    do {
        Py_ssize_t most = size - total == 1 && (total == 0 || single_last) ? 1 : BATCH_SIZE;
        if (most > 1) {
            out = write_op(out, OP_MARK);
        }
        for (count = 0; count < most && PyDict_Next(walked, &position, &key, &value); count++) {
            out = save_pair(pickler, dict, key, value, dict_owns_keys(walked), out);
            if (unlikely(out == NULL)) {
                return NULL;
            }
        }
        out = end_batch(pickler, dict, size, total, count, &done, out);
        total += count;
    } while (out != NULL && !done);
    return out;
}

/* Protocol 0 goes by items(), as for what is not a dict. */
static char *
save_by_items(struct pickler *pickler, PyObject *dict, char *out)
{
    if (save_foreign(pickler) < 0) {
        return NULL;
    }
    PyObject *items = PyObject_CallMethodNoArgs(dict, pickler->state->str.items);
    if (items == NULL) {
        return NULL;
    }
    PyObject *iterator = PyObject_GetIter(items);
    Py_DECREF(items);
    if (iterator == NULL) {
        return NULL;
    }
    out = save_dictitems(pickler, iterator, dict, out);
    Py_DECREF(iterator);
    return out;
}

/* What is in a dict that is not empty. */
static char *
save_dict_contents(struct pickler *pickler, PyObject *dict, char *out)
{
    if (save_open(pickler, dict) < 0) {
        return NULL;
    }
    if (unlikely(pickler->protocol == 0)) {
        return save_close(pickler, dict, save_by_items(pickler, dict, out));
    }
    PyObject *walked = dict_for_walk(dict);
    if (walked == NULL) {
        return save_close(pickler, dict, NULL);
    }
    out = save_pairs(pickler, dict, walked, out);
    Py_DECREF(walked);
    return save_close(pickler, dict, out);
}

ALWAYS_INLINE char *
save_dict_opcodes(struct pickler *pickler, PyObject *dict, int single, char *out)
{
    if (likely(pickler->bin)) {
        out = write_op(out, OP_EMPTY_DICT);
    }
    else {
        out = write_op(write_op(out, OP_MARK), OP_DICT);
    }
    out = save_memoize(pickler, dict, single, out);
    if (out == NULL || PyDict_GET_SIZE(dict) == 0) {
        return out;
    }
    return save_dict_contents(pickler, dict, out);
}

static NOINLINE char *
save_dict_fast(struct pickler *pickler, PyObject *dict, char *out)
{
    if (save_fast_enter(pickler, dict) < 0) {
        return NULL;
    }
    return save_fast_leave(pickler, dict, save_dict_opcodes(pickler, dict, 0, out));
}

char *
save_dict(struct pickler *pickler, PyObject *dict, int single, char *out)
{
    if (unlikely(pickler->fast)) {
        return save_dict_fast(pickler, dict, out);
    }
    return save_dict_opcodes(pickler, dict, single, out);
}

/* ---- dict items of a reduction ------------------------------------------------------------ */

/* A pair from an iterator: 1 and strong, 0 at the end, -1. */
static int
next_pair(struct pickler *pickler, PyObject *iterator, PyObject **pair)
{
    int more = next_item(pickler, iterator, pair);
    if (more == 1 && (!PyTuple_Check(*pair) || PyTuple_GET_SIZE(*pair) != 2)) {
        PyErr_SetString(PyExc_TypeError, "dict items iterator must return 2-tuples");
        Py_CLEAR(*pair);
        return -1;
    }
    return more;
}

/* Saves key and value of a pair that is owned here and drops it. */
ALWAYS_INLINE char *
save_owned_pair(struct pickler *pickler, PyObject *pair, PyObject *holder, char *out)
{
    (void)holder;
    out = save(pickler, PyTuple_GET_ITEM(pair, 0), out);
    if (out != NULL) {
        out = save(pickler, PyTuple_GET_ITEM(pair, 1), out);
        if (out == NULL) {
            error_note("when serializing %T item %R", holder, PyTuple_GET_ITEM(pair, 0));
        }
    }
    out = save_release(pickler, pair, out);
    return out == NULL ? NULL : save_room(pickler, out);
}

static NOINLINE char *
save_dictitems_singly(struct pickler *pickler, PyObject *iterator, PyObject *holder, char *out)
{
    PyObject *pair;
    int more;
    while ((more = next_pair(pickler, iterator, &pair)) == 1) {
        out = save_owned_pair(pickler, pair, holder, out);
        if (out == NULL) {
            return NULL;
        }
        out = write_op(out, OP_SETITEM);
    }
    return more < 0 ? NULL : out;
}

/* As the standard library, this looks at a later pair only when it comes to save it. */
static int
check_pair(PyObject *pair)
{
    if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2) {
        return 0;
    }
    PyErr_SetString(PyExc_TypeError, "dict items iterator must return 2-tuples");
    return -1;
}

ALWAYS_INLINE char *
save_dictitem_batch(struct pickler *pickler, PyObject *iterator, PyObject *holder,
                    PyObject *first, PyObject *pair, int *count, char *out)
{
    out = save_owned_pair(pickler, first, holder, write_op(out, OP_MARK));
    for (*count = 1; out != NULL && check_pair(pair) == 0; ) {
        out = save_owned_pair(pickler, pair, holder, out);
        pair = NULL;
        int more = 0;
        if (out == NULL || ++*count == BATCH_SIZE
            || (more = next_item(pickler, iterator, &pair)) != 1) {
            return out == NULL || more < 0 ? NULL : write_op(out, OP_SETITEMS);
        }
    }
    Py_XDECREF(pair);
    return NULL;
}

char *
save_dictitems(struct pickler *pickler, PyObject *iterator, PyObject *holder, char *out)
{
    if (pickler->protocol == 0) {
        return save_dictitems_singly(pickler, iterator, holder, out);
    }
    int count;
    do {
        PyObject *first, *second;
        int more = next_pair(pickler, iterator, &first);
        if (more != 1) {
            return more < 0 ? NULL : out;
        }
        more = next_item(pickler, iterator, &second);
        if (more < 0) {
            Py_DECREF(first);
            return NULL;
        }
        if (more == 0) {
            out = save_owned_pair(pickler, first, holder, out);
            return out == NULL ? NULL : write_op(out, OP_SETITEM);
        }
        out = save_dictitem_batch(pickler, iterator, holder, first, second, &count, out);
    } while (out != NULL && count == BATCH_SIZE);
    return out;
}

/* ---- sets ------------------------------------------------------------------------------------ */

/* Protocols before 4 have no sets: set([...]). */
static NOINLINE char *
save_set_as_call(struct pickler *pickler, PyObject *set, char *out)
{
    if (save_open(pickler, set) < 0) {
        return NULL;
    }
    PyObject *items = save_foreign(pickler) < 0 ? NULL : PySequence_List(set);
    PyObject *built = items == NULL ? NULL : Py_BuildValue("(O(N))", Py_TYPE(set), items);
    out = save_built(pickler, set, built, out);
    return save_close(pickler, set, out);
}

/* An element; it is owned over the time. */
static char *
save_element(struct pickler *pickler, PyObject *set, PyObject *element, char *out)
{
    int single = save_is_single(pickler, element);
    (void)set;
    Py_INCREF(element);
    out = out >= pickler->writer.limit ? save_slow(pickler, element, single, out)
                                       : save_inside(pickler, element, single, out);
    if (out == NULL) {
        error_note("when serializing %T element", set);
    }
    return save_release(pickler, element, out);
}

/* Up to BATCH_SIZE elements between MARK and ADDITEMS.  *count: how many. */
static char *
save_set_batch(struct pickler *pickler, PyObject *set, PyObject *walked, Py_ssize_t *position,
               int *count, char *out)
{
    PyObject *element;
    out = write_op(out, OP_MARK);
    for (*count = 0; *count < BATCH_SIZE && set_next(walked, position, &element); ++*count) {
        out = save_element(pickler, set, element, out);
        if (out == NULL) {
            return NULL;
        }
    }
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_ADDITEMS);
}

static char *
changed_set(void)
{
    PyErr_SetString(PyExc_RuntimeError, "set changed size during iteration");
    return NULL;
}

static char *
save_set_batches(struct pickler *pickler, PyObject *set, PyObject *walked, char *out)
{
    int to_the_last = pickler->state->dialect.single_last_item;
    Py_ssize_t size = PySet_GET_SIZE(set), position = 0, total = 0;
    int count;
    do {
        out = save_set_batch(pickler, set, walked, &position, &count, out);
        if (out == NULL) {
            return NULL;
        }
        total += count;
        if (PySet_GET_SIZE(set) != size || (to_the_last && count == 0)) {
            return changed_set();
        }
    } while (to_the_last ? total < size : count == BATCH_SIZE);
    return out;
}

/* What is in a set that is not empty. */
static char *
save_set_contents(struct pickler *pickler, PyObject *set, char *out)
{
    if (save_open(pickler, set) < 0) {
        return NULL;
    }
    PyObject *walked = set_for_walk(set);
    if (walked == NULL) {
        return save_close(pickler, set, NULL);
    }
    out = save_set_batches(pickler, set, walked, out);
    Py_DECREF(walked);
    return save_close(pickler, set, out);
}

char *
save_set(struct pickler *pickler, PyObject *set, int single, char *out)
{
    if (pickler->protocol < 4) {
        return save_set_as_call(pickler, set, out);
    }
    out = save_memoize(pickler, set, single, write_op(out, OP_EMPTY_SET));
    if (out == NULL || PySet_GET_SIZE(set) == 0) {
        return out;
    }
    return save_set_contents(pickler, set, out);
}

static char *
save_frozenset_elements(struct pickler *pickler, PyObject *frozenset, char *out)
{
    PyObject *walked = set_for_walk(frozenset), *element;
    Py_ssize_t position = 0;
    if (walked == NULL) {
        return NULL;
    }
    while (out != NULL && set_next(walked, &position, &element)) {
        out = save_element(pickler, frozenset, element, out);
    }
    Py_DECREF(walked);
    return out;
}

static char *
save_frozenset_end(struct pickler *pickler, PyObject *frozenset, int single, char *out)
{
    out = save_room(pickler, out);
    if (out == NULL) {
        return NULL;
    }
    Py_ssize_t position = single ? -1 : memo_find(&pickler->memo, frozenset);
    if (position >= 0) {
        return save_get(pickler, position, write_op(out, OP_POP_MARK));
    }
    return save_memoize(pickler, frozenset, single, write_op(out, OP_FROZENSET));
}

static char *
save_frozenset_opcodes(struct pickler *pickler, PyObject *frozenset, int single, char *out)
{
    uint64_t epoch = pickler->epoch;
    if (save_open(pickler, frozenset) < 0) {
        return NULL;
    }
    pickler->unnumbered += !single;
    out = save_frozenset_elements(pickler, frozenset, write_op(out, OP_MARK));
    pickler->unnumbered -= !single;
    if (out != NULL) {
        single = single && epoch == pickler->epoch;
        out = save_frozenset_end(pickler, frozenset, single, out);
    }
    return save_close(pickler, frozenset, out);
}

static NOINLINE char *
save_frozenset_fast(struct pickler *pickler, PyObject *frozenset, char *out)
{
    if (save_fast_enter(pickler, frozenset) < 0) {
        return NULL;
    }
    out = pickler->protocol < 4 ? save_set_as_call(pickler, frozenset, out)
                                : save_frozenset_opcodes(pickler, frozenset, 0, out);
    return save_fast_leave(pickler, frozenset, out);
}

char *
save_frozenset(struct pickler *pickler, PyObject *frozenset, int single, char *out)
{
    if (unlikely(pickler->fast)) {
        return save_frozenset_fast(pickler, frozenset, out);
    }
    return pickler->protocol < 4 ? save_set_as_call(pickler, frozenset, out)
                                 : save_frozenset_opcodes(pickler, frozenset, single, out);
}

/* ---- cycles in fast mode ----------------------------------------------------------------------- */

/* Where nothing is memoized, containers nested deeply are remembered by address. */
static int
fast_remember(struct pickler *pickler, PyObject *container)
{
    if (pickler->fast_memo == NULL && (pickler->fast_memo = PyDict_New()) == NULL) {
        return -1;
    }
    PyObject *key = PyLong_FromVoidPtr(container);
    if (key == NULL) {
        return -1;
    }
    int known = PyDict_Contains(pickler->fast_memo, key);
    if (known > 0) {
        PyErr_Format(PyExc_ValueError,
                     "fast mode: can't pickle cyclic objects including object type %.200s at %p",
                     Py_TYPE(container)->tp_name, container);
    }
    else if (known == 0) {
        known = PyDict_SetItem(pickler->fast_memo, key, Py_None);
    }
    Py_DECREF(key);
    return known == 0 ? 0 : -1;
}

int
save_fast_enter(struct pickler *pickler, PyObject *container)
{
    if (++pickler->fast_nesting >= FAST_NESTING_LIMIT) {
        return fast_remember(pickler, container);
    }
    return 0;
}

char *
save_fast_leave(struct pickler *pickler, PyObject *container, char *out)
{
    if (out == NULL || pickler->fast_nesting-- < FAST_NESTING_LIMIT) {
        return out;
    }
    PyObject *key = PyLong_FromVoidPtr(container);
    if (key == NULL || PyDict_DelItem(pickler->fast_memo, key) < 0) {
        out = NULL;
    }
    Py_XDECREF(key);
    return out;
}
