/* Tuples, lists, dicts and sets.

   Lists, dicts and sets are numbered before their elements and walked while they are
   live: a reducer may change them under our hands.  After each element the container is
   read again, and what the standard library raises for a changed one is raised at the
   places where it looks.  Tuples and frozen sets are numbered after their elements; if
   one came by again meanwhile, it has a number by then and what was written is dropped. */
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

char *
save_elements(struct pickler *pickler, PyObject *tuple, Py_ssize_t size, char *out)
{
    for (Py_ssize_t i = 0; i < size; i++) {
        out = save_child(pickler, PyTuple_GET_ITEM(tuple, i), out);
        if (unlikely(out == NULL)) {
            return failed_at(tuple, i);
        }
    }
    return out;
}

/* The same for a tuple that others hold: it is open and not numbered meanwhile. */
static char *
save_shared_elements(struct pickler *pickler, PyObject *tuple, Py_ssize_t size, char *out)
{
    pickler->unnumbered++;
    out = save_elements(pickler, tuple, size, out);
    pickler->unnumbered--;
    return out;
}

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

char *
save_tuple(struct pickler *pickler, PyObject *tuple, int single, char *out)
{
    Py_ssize_t size = PyTuple_GET_SIZE(tuple);
    if (size == 0) {
        return save_empty_tuple(pickler, out);
    }
    size_t epoch = pickler->epoch;
    out = save_tuple_mark(pickler, size, out);
    out = single ? save_elements(pickler, tuple, size, out)
                 : save_shared_elements(pickler, tuple, size, out);
    if (out == NULL || (out = save_room(pickler, out)) == NULL) {
        return NULL;
    }
    if (single && epoch == pickler->epoch) {
        return save_memoize(pickler, tuple, 1, save_tuple_op(pickler, size, out));
    }
    return save_tuple_end(pickler, tuple, out);
}

/* ---- lists ------------------------------------------------------------------------- */

/* One item and APPEND. */
static char *
save_one_item(struct pickler *pickler, PyObject *list, Py_ssize_t index, char *out)
{
    PyObject *item = list_item(list, index);
    if (item == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "list changed size during iteration");
        return NULL;
    }
    out = save_child(pickler, item, out);
    list_item_done(item);
    if (out == NULL) {
        return failed_at(list, index);
    }
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_APPEND);
}

/* Up to BATCH_SIZE items from *index on, between MARK and APPENDS. */
static char *
save_batch(struct pickler *pickler, PyObject *list, Py_ssize_t *index, char *out)
{
    Py_ssize_t i = *index, end = i + BATCH_SIZE;
    PyObject *item;
    out = write_op(out, OP_MARK);
    for (; i < end && (item = list_item(list, i)) != NULL; i++) {
        out = save_child(pickler, item, out);
        list_item_done(item);
        if (unlikely(out == NULL)) {
            return failed_at(list, i);
        }
    }
    *index = i;
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_APPENDS);
}

/* The items of a list that is not empty, in protocols with APPENDS. */
static char *
save_batches(struct pickler *pickler, PyObject *list, char *out)
{
    const struct dialect *dialect = &pickler->state->dialect;
    Py_ssize_t index = 0, size = PyList_GET_SIZE(list);
    if (size == 1) {
        return save_one_item(pickler, list, 0, out);
    }
    do {
        if (dialect->single_last_item && PyList_GET_SIZE(list) - index == 1) {
            return save_one_item(pickler, list, index, out);
        }
        out = save_batch(pickler, list, &index, out);
        if (out == NULL) {
            return NULL;
        }
        if (dialect->list_change_raises && PyList_GET_SIZE(list) != size) {
            PyErr_SetString(PyExc_RuntimeError, "list changed size during iteration");
            return NULL;
        }
    } while (index < PyList_GET_SIZE(list));
    return out;
}

/* Protocol 0 goes by the iterator, as for what is not a list. */
static char *
save_by_iterator(struct pickler *pickler, PyObject *list, char *out)
{
    PyObject *iterator = save_foreign(pickler) < 0 ? NULL : PyObject_GetIter(list);
    if (iterator == NULL) {
        return NULL;
    }
    out = save_listitems(pickler, iterator, list, out);
    Py_DECREF(iterator);
    return out;
}

char *
save_list(struct pickler *pickler, PyObject *list, int single, char *out)
{
    int fast = pickler->fast;
    if (unlikely(fast) && save_fast_enter(pickler, list) < 0) {
        return NULL;
    }
    if (pickler->bin) {
        out = write_op(out, OP_EMPTY_LIST);
    }
    else {
        out = write_op(write_op(out, OP_MARK), OP_LIST);
    }
    Py_ssize_t size = PyList_GET_SIZE(list);
    out = save_memoize(pickler, list, single, out);
    if (out != NULL && size != 0) {
        out = pickler->protocol > 0 ? save_batches(pickler, list, out)
                                    : save_by_iterator(pickler, list, out);
    }
    return unlikely(fast) ? save_fast_leave(pickler, list, out) : out;
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
static char *
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
static char *
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
static char *
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

/* Key and value of a dict, owned over the time, since the key may run foreign code. */
static NOINLINE char *
save_pair_owned(struct pickler *pickler, PyObject *holder, PyObject *key, PyObject *value,
                int single_key, char *out)
{
    int single = save_is_single(pickler, value);
    size_t epoch = pickler->epoch;
    (void)holder;
    Py_INCREF(key);
    Py_INCREF(value);
    out = out >= pickler->writer.limit ? save_slow(pickler, key, single_key, out)
                                       : save_inside(pickler, key, single_key, out);
    if (out != NULL) {
        single = single && epoch == pickler->epoch;
        out = out >= pickler->writer.limit ? save_slow(pickler, value, single, out)
                                           : save_inside(pickler, value, single, out);
        if (out == NULL) {
            error_note("when serializing %T item %R", holder, key);
        }
    }
    if (epoch == pickler->epoch) {
        Py_DECREF(key);
        Py_DECREF(value);
        return out;
    }
    out = save_release(pickler, key, out);
    return save_release(pickler, value, out);
}

/* Whether saving it runs no foreign code unless it is at a boundary. */
ALWAYS_INLINE int
is_scalar(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type
           || object == Py_None || type == &PyBool_Type;
}

ALWAYS_INLINE char *
save_pair(struct pickler *pickler, PyObject *dict, PyObject *key, PyObject *value,
          int single_keys, char *out)
{
    int single_key = single_keys && save_is_single(pickler, key);
    if (unlikely(!PyUnicode_CheckExact(key) || !is_scalar(value)
                 || out >= pickler->writer.limit
                 || PyUnicode_GET_LENGTH(key) >= FRAME_TARGET_SIZE / 4)) {
        return save_pair_owned(pickler, dict, key, value, single_key, out);
    }
    out = save_str(pickler, key, single_key, out);
    return unlikely(out == NULL) ? NULL : save_child(pickler, value, out);
}

static char *
changed_dict(void)
{
    PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
    return NULL;
}

/* One key and value and SETITEM. */
static char *
save_one_pair(struct pickler *pickler, PyObject *dict, PyObject *walked, Py_ssize_t *position,
              char *out)
{
    PyObject *key, *value;
    if (!PyDict_Next(walked, position, &key, &value)) {
        return changed_dict();
    }
    out = save_pair_owned(pickler, dict, key, value, 0, out);
    if (out == NULL || (out = save_room(pickler, out)) == NULL) {
        return NULL;
    }
    return write_op(out, OP_SETITEM);
}

/* Up to BATCH_SIZE pairs between MARK and SETITEMS.  *count: how many. */
static char *
save_pair_batch(struct pickler *pickler, PyObject *dict, PyObject *walked,
                Py_ssize_t *position, int *count, char *out)
{
    PyObject *key, *value;
    int single_keys = dict_owns_keys(walked);
    out = write_op(out, OP_MARK);
    for (*count = 0; PyDict_Next(walked, position, &key, &value);) {
        out = save_pair(pickler, dict, key, value, single_keys, out);
        if (unlikely(out == NULL)) {
            return NULL;
        }
        if (++*count == BATCH_SIZE) {
            break;
        }
    }
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_SETITEMS);
}

/* The pairs of a dict that is not empty, in protocols with SETITEMS. */
static char *
save_pair_batches(struct pickler *pickler, PyObject *dict, PyObject *walked, char *out)
{
    int to_the_last = pickler->state->dialect.single_last_item;
    Py_ssize_t size = PyDict_GET_SIZE(dict), position = 0, total = 0;
    if (size == 1) {
        return save_one_pair(pickler, dict, walked, &position, out);
    }
    int count;
    do {
        if (to_the_last && size - total == 1) {
            return save_one_pair(pickler, dict, walked, &position, out);
        }
        out = save_pair_batch(pickler, dict, walked, &position, &count, out);
        if (out == NULL) {
            return NULL;
        }
        total += count;
        if (PyDict_GET_SIZE(dict) != size) {
            return changed_dict();
        }
        if (to_the_last && count == 0) {
            /* Changed and changed back: the walk is at its end before its time. */
            return changed_dict();
        }
    } while (to_the_last ? total < size : count == BATCH_SIZE);
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

static char *
save_pairs(struct pickler *pickler, PyObject *dict, char *out)
{
    if (pickler->protocol == 0) {
        return save_by_items(pickler, dict, out);
    }
    PyObject *walked = dict_for_walk(dict);
    if (walked == NULL) {
        return NULL;
    }
    out = save_pair_batches(pickler, dict, walked, out);
    Py_DECREF(walked);
    return out;
}

char *
save_dict(struct pickler *pickler, PyObject *dict, int single, char *out)
{
    int fast = pickler->fast;
    if (unlikely(fast) && save_fast_enter(pickler, dict) < 0) {
        return NULL;
    }
    if (pickler->bin) {
        out = write_op(out, OP_EMPTY_DICT);
    }
    else {
        out = write_op(write_op(out, OP_MARK), OP_DICT);
    }
    out = save_memoize(pickler, dict, single, out);
    if (out != NULL && PyDict_GET_SIZE(dict) != 0) {
        out = save_pairs(pickler, dict, out);
    }
    return unlikely(fast) ? save_fast_leave(pickler, dict, out) : out;
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
static char *
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

static char *
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

static char *
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
static char *
save_set_as_call(struct pickler *pickler, PyObject *set, char *out)
{
    PyObject *items = save_foreign(pickler) < 0 ? NULL : PySequence_List(set);
    return items == NULL ? NULL : save_built(pickler, set, out, "(O(N))", Py_TYPE(set), items);
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
    PyObject *walked = set_for_walk(set);
    if (walked == NULL) {
        return NULL;
    }
    out = save_set_batches(pickler, set, walked, out);
    Py_DECREF(walked);
    return out;
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
save_frozenset_opcodes(struct pickler *pickler, PyObject *frozenset, int single, char *out)
{
    size_t epoch = pickler->epoch;
    pickler->unnumbered += !single;
    out = save_frozenset_elements(pickler, frozenset, write_op(out, OP_MARK));
    pickler->unnumbered -= !single;
    if (out == NULL || (out = save_room(pickler, out)) == NULL) {
        return NULL;
    }
    if (!single || epoch != pickler->epoch) {
        single = 0;
        Py_ssize_t position = memo_find(&pickler->memo, frozenset);
        if (position >= 0) {
            return save_get(pickler, position, write_op(out, OP_POP_MARK));
        }
    }
    return save_memoize(pickler, frozenset, single, write_op(out, OP_FROZENSET));
}

char *
save_frozenset(struct pickler *pickler, PyObject *frozenset, int single, char *out)
{
    int fast = pickler->fast;
    if (unlikely(fast) && save_fast_enter(pickler, frozenset) < 0) {
        return NULL;
    }
    out = pickler->protocol < 4
              ? save_set_as_call(pickler, frozenset, out)
              : save_frozenset_opcodes(pickler, frozenset, single, out);
    return unlikely(fast) ? save_fast_leave(pickler, frozenset, out) : out;
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
