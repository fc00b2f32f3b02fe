/* The memo of a load: see load_memo.h. */
#include "load/load_memo.h"

#include "base/layout.h"

enum {
    /* The standard library's first array has this many entries. */
    FIRST_REACH = 32
};

/* True if the index belongs into the dict: too far beyond the indices that were put. */
static int
is_sparse(const struct load_memo *memo, size_t index)
{
    return index >= memo->reach && index > memo->length * 2;
}

/* Makes the array reach beyond the index. */
static int
memo_reach(struct load_memo *memo, size_t index)
{
    size_t reach = memo->reach == 0 ? FIRST_REACH : memo->reach;
    if (index >= reach) {
        reach = index * 2;
    }
    if (reach > memo->capacity) {
        if (reach > PY_SSIZE_T_MAX / sizeof(PyObject *)) {
            PyErr_NoMemory();
            return -1;
        }
        PyObject **items = PyMem_Realloc(memo->items, reach * sizeof(PyObject *));
        if (items == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memo->items = items;
        memo->capacity = reach;
    }
    memset(memo->items + memo->reach, 0, (reach - memo->reach) * sizeof(PyObject *));
    memo->reach = reach;
    return 0;
}

/* Puts the value into the dict.  Versions differ in whether such a value counts as an entry. */
static int
put_sparse(struct load_memo *memo, struct core_state *state, size_t index, PyObject *value)
{
    if (memo->sparse == NULL) {
        memo->sparse = PyDict_New();
        if (memo->sparse == NULL) {
            return -1;
        }
    }
    PyObject *key = PyLong_FromSize_t(index);
    if (key == NULL) {
        return -1;
    }
    Py_ssize_t before = PyDict_GET_SIZE(memo->sparse);
    int result = PyDict_SetItem(memo->sparse, key, value);
    Py_DECREF(key);
    if (result == 0 && state->load_dialect.sparse_memo_counts) {
        memo->length += (size_t)(PyDict_GET_SIZE(memo->sparse) - before);
    }
    return result;
}

/* The value in the dict: 1 and strong, 0 and NULL if absent, -1 with an exception. */
static int
get_sparse(struct load_memo *memo, size_t index, PyObject **value)
{
    *value = NULL;
    if (memo->sparse == NULL) {
        return 0;
    }
    PyObject *key = PyLong_FromSize_t(index);
    if (key == NULL) {
        return -1;
    }
    int found = PyDict_GetItemRef(memo->sparse, key, value);
    Py_DECREF(key);
    return found;
}

/* True if a value put at the index, which the array reaches, is a new entry: 1, 0, or -1 with an
   exception. */
static int
is_new_entry(struct load_memo *memo, struct core_state *state, size_t index)
{
    if (memo->items[index] != NULL) {
        return 0;
    }
    PyObject *older;
    int found = get_sparse(memo, index, &older);
    Py_XDECREF(older);
    return found < 0 ? -1 : !found || !state->load_dialect.sparse_memo_counts;
}

/* ---- entries that are made when somebody asks ------------------------------- */

int
load_memo_may_defer(void)
{
    return HAS_GIL && layout_is_known() && !ALLOCATION_COLLECTS;
}

/* Room for a number and so many words.  0, or -1 with MemoryError. */
static int
reserve_words(struct deferred *deferred, size_t count)
{
    if (deferred->capacity - deferred->count > count) {
        return 0;
    }
    size_t capacity = 2 * deferred->capacity + count + 64;
    uintptr_t *words = PyMem_Resize(deferred->words, uintptr_t, capacity);
    if (words == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    deferred->words = words;
    deferred->capacity = capacity;
    return 0;
}

/* Appends so many objects behind their number, and takes references.  The item that stands for
   them. */
static PyObject *
append_words(struct deferred *deferred, PyObject *const *objects, size_t count, uintptr_t kind)
{
    uintptr_t *words = deferred->words + deferred->count;
    uintptr_t item = (uintptr_t)deferred->count << DEFERRED_BITS | kind;
    words[0] = count;
    for (size_t i = 0; i < count; i++) {
        words[i + 1] = (uintptr_t)Py_XNewRef(objects[i]);
    }
    deferred->count += count + 1;
    return (PyObject *)item;
}

/* The number of words of an item, behind which they are. */
static uintptr_t *
words_of(const struct deferred *deferred, PyObject *item)
{
    return deferred->words + ((uintptr_t)item >> DEFERRED_BITS);
}

int
load_memo_defer_tuple(struct load_memo *memo, PyObject *const *objects, size_t count,
                      Py_ssize_t last)
{
    size_t index = memo->length;
    if (reserve_words(&memo->deferred, count) < 0
        || (index >= memo->reach && memo_reach(memo, index) < 0)) {
        return -1;
    }
    size_t own = last < 0 ? count : count - 1;
    PyObject *item = append_words(&memo->deferred, objects, own, DEFERRED_TUPLE);
    if (last >= 0) {
        words_of(&memo->deferred, item)[0] = count;
        memo->deferred.words[memo->deferred.count++] = (uintptr_t)last << DEFERRED_BITS | 1;
    }
    memo->items[index] = item;
    memo->length = memo->end = index + 1;
    return 0;
}

Py_ssize_t
load_memo_find_newest(const struct load_memo *memo, PyObject *dict, size_t most)
{
    size_t least = memo->end < most ? 0 : memo->end - most;
    for (size_t i = memo->end; i-- > least;) {
        if (memo->items[i] == dict) {
            return (Py_ssize_t)i;
        }
    }
    return -1;
}

int
load_memo_defer_dict(struct load_memo *memo, size_t index, PyObject *const *pairs, size_t count)
{
    if (reserve_words(&memo->deferred, count) < 0) {
        return -1;
    }
    PyObject *dict = memo->items[index];
    memo->items[index] = append_words(&memo->deferred, pairs, count, DEFERRED_DICT);
    Py_DECREF(dict);
    return 0;
}

/* Releases the objects deferred for an item.  May run Python code, which finds the item empty. */
static void
drop_words(struct deferred *deferred, PyObject *item)
{
    uintptr_t *words = words_of(deferred, item);
    for (size_t i = words[0]; i > 0; i--) {
        uintptr_t word = words[i];
        words[0] = i - 1;
        if (!load_memo_is_deferred((void *)word)) {
            Py_XDECREF((PyObject *)word);
        }
    }
}

/* Releases an item of a memo, in full. */
static void
drop_item(struct deferred *deferred, PyObject *item)
{
    if (load_memo_is_deferred(item)) {
        drop_words(deferred, item);
    }
    else {
        Py_XDECREF(item);
    }
}

static PyObject *make_deferred(struct load_memo *memo, size_t index);

/* The tuple of an item, which takes the references; strong, or NULL with an exception. */
static PyObject *
make_deferred_tuple(struct load_memo *memo, PyObject *item)
{
    size_t count = words_of(&memo->deferred, item)[0];
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        uintptr_t word = words_of(&memo->deferred, item)[i + 1];
        PyObject *object = (PyObject *)word;
        if (load_memo_is_deferred(object)) {
            object = Py_XNewRef(make_deferred(memo, word >> DEFERRED_BITS));
            if (object == NULL) {
                Py_CLEAR(tuple);
                break;
            }
        }
        else {
            Py_INCREF(object);
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, object);
    }
    return tuple;
}

/* The same of a dict.  Its keys are exact strings. */
static PyObject *
make_deferred_dict(struct load_memo *memo, PyObject *item)
{
    PyObject *dict = PyDict_New();
    uintptr_t *words = words_of(&memo->deferred, item);
    for (size_t i = 1; dict != NULL && i + 1 <= words[0]; i += 2) {
        if (PyDict_SetItem(dict, (PyObject *)words[i], (PyObject *)words[i + 1]) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

/* Makes the entry if it is deferred: borrowed, or NULL with MemoryError.  Runs no Python code:
   every object released has another reference. */
static PyObject *
make_deferred(struct load_memo *memo, size_t index)
{
    PyObject *item = memo->items[index];
    if (!load_memo_is_deferred(item)) {
        return item;
    }
    PyObject *object = ((uintptr_t)item & DEFERRED_DICT) == DEFERRED_DICT
                           ? make_deferred_dict(memo, item)
                           : make_deferred_tuple(memo, item);
    if (object != NULL) {
        memo->items[index] = object;
        drop_words(&memo->deferred, item);
    }
    return object;
}

int
load_memo_traverse(const struct load_memo *memo, visitproc visit, void *arg)
{
    Py_VISIT(memo->sparse);
    for (size_t i = 0; i < memo->end; i++) {
        PyObject *item = memo->items[i];
        if (!load_memo_is_deferred(item)) {
            Py_VISIT(item);
            continue;
        }
        uintptr_t *words = words_of(&memo->deferred, item);
        for (size_t j = 1; j <= words[0]; j++) {
            if (!load_memo_is_deferred((void *)words[j])) {
                Py_VISIT((PyObject *)words[j]);
            }
        }
    }
    return 0;
}

/* ---- in full ---------------------------------------------------------------- */

int
load_memo_put_full(struct load_memo *memo, struct core_state *state, size_t index, PyObject *value)
{
    if (memo->reach == 0 && memo_reach(memo, 0) < 0) {
        return -1;
    }
    if (is_sparse(memo, index)) {
        return put_sparse(memo, state, index, value);
    }
    if (index >= memo->reach && memo_reach(memo, index) < 0) {
        return -1;
    }
    int is_new = is_new_entry(memo, state, index);
    if (is_new < 0) {
        return -1;
    }
    memo->length += (size_t)is_new;
    if (index >= memo->end) {
        memo->end = index + 1;
    }
    if (load_memo_is_deferred(memo->items[index]) && make_deferred(memo, index) == NULL) {
        return -1;
    }
    Py_XSETREF(memo->items[index], Py_NewRef(value));
    return 0;
}

PyObject *
load_memo_get_full(struct load_memo *memo, struct core_state *state, size_t index)
{
    PyObject *value = index < memo->reach ? memo->items[index] : NULL;
    if (load_memo_is_deferred(value)) {
        value = make_deferred(memo, index);
        if (value == NULL) {
            return NULL;
        }
    }
    Py_XINCREF(value);
    if (value == NULL && get_sparse(memo, index, &value) == 0) {
        PyErr_Format(state->stdlib.unpickling_error, "Memo value not found at index %zd",
                     (Py_ssize_t)index);
    }
    return value;
}

int
load_memo_begin_prescanned(struct load_memo *memo)
{
    size_t count = memo->scan.count;
    if (count > memo->capacity) {
        PyMem_Free(memo->items);
        memo->capacity = 0;
        memo->items = PyMem_New(PyObject *, count);
        if (memo->items == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memo->capacity = count;
    }
    memo->reach = 0;
    memo->prescanned = 1;
    return 0;
}

int
load_memo_doubt(struct load_memo *memo)
{
    size_t reach = memo->length < FIRST_REACH ? FIRST_REACH : memo->length;
    PyObject **items = PyMem_Calloc(reach, sizeof(PyObject *));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < memo->length; i++) {
        if (memo->scan.wanted[i] != 0 && memo->scan.wanted[i] != HANDED_HERE) {
            items[i] = Py_NewRef(memo->items[i]);
        }
    }
    memo->doubted = memo->items;
    memo->doubted_count = memo->end = memo->length;
    memo->items = items;
    memo->reach = memo->capacity = reach;
    memo->prescanned = 0;
    return 0;
}

/* Releases so many entries of a prescanned memo, at which nobody but the load can look. */
static void
drop_prescanned(struct load_memo *memo, PyObject **items, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        if (unlikely(memo->handed.count > 0)) {
            handed_drop(&memo->handed, i + 1);
        }
        if (memo->scan.wanted[i]) {
            Py_DECREF(items[i]);
        }
    }
    handed_drop(&memo->handed, 0);
}

static void
clear_prescanned(struct load_memo *memo)
{
    drop_prescanned(memo, memo->items, memo->length);
    memo->length = 0;
    memo->prescanned = 0;
}

static void
clear_doubted(struct load_memo *memo)
{
    PyObject **items = memo->doubted;
    memo->doubted = NULL;
    drop_prescanned(memo, items, memo->doubted_count);
    PyMem_Free(items);
}

/* Lets the memo use its memory again, for as many entries as a new memo has, all empty. */
static void
reuse_items(struct load_memo *memo, PyObject **items, size_t capacity, size_t end)
{
    memo->items = items;
    memo->capacity = capacity;
    if (end <= FIRST_REACH && capacity >= FIRST_REACH) {
        memo->reach = FIRST_REACH;
    }
}

/* Empties the memo before anything is released, as that may run code that looks at it. */
static void
clear_full(struct load_memo *memo)
{
    PyObject **items = memo->items, *sparse = memo->sparse;
    struct deferred deferred = memo->deferred;
    size_t capacity = memo->capacity, end = memo->end;
    memo->items = NULL;
    memo->sparse = NULL;
    memo->deferred = (struct deferred){0};
    memo->capacity = memo->reach = memo->end = memo->length = 0;
    for (size_t i = end; i-- > 0;) {
        PyObject *item = items[i];
        items[i] = NULL;
        drop_item(&deferred, item);
    }
    PyMem_Free(deferred.words);
    Py_XDECREF(sparse);
    if (memo->items == NULL) {
        reuse_items(memo, items, capacity, end);
    }
    else { /* filled again by code that ran meanwhile */
        PyMem_Free(items);
    }
}

void
load_memo_clear(struct load_memo *memo)
{
    if (memo->prescanned) {
        clear_prescanned(memo);
    }
    else if (memo->end > 0 || memo->sparse != NULL) {
        clear_full(memo);
    }
    if (unlikely(memo->doubted != NULL)) {
        clear_doubted(memo);
    }
}

void
load_memo_free(struct load_memo *memo)
{
    load_memo_clear(memo);
    if (memo->end == 0) { /* not filled again */
        PyMem_Free(memo->items);
        PyMem_Free(memo->deferred.words);
        memo->items = NULL;
        memo->deferred = (struct deferred){0};
        memo->capacity = memo->reach = 0;
    }
    handed_free(&memo->handed);
    PyMem_Free(memo->scan.wanted);
    memo->scan.wanted = NULL;
    memo->scan.capacity = 0;
}

PyObject *
load_memo_as_dict(struct load_memo *memo)
{
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < memo->end; i++) {
        if (memo->items[i] == NULL) {
            continue;
        }
        PyObject *value = Py_XNewRef(make_deferred(memo, i));
        PyObject *key = value == NULL ? NULL : PyLong_FromSize_t(i);
        if (key == NULL || PyDict_SetItem(dict, key, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    if (dict != NULL && memo->sparse != NULL && PyDict_Update(dict, memo->sparse) < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

/* Puts an entry of a dict assigned to `memo`, with the checks and messages of the standard
   library. */
static int
put_assigned(struct load_memo *memo, struct core_state *state, PyObject *key, PyObject *value)
{
    if (!PyLong_Check(key)) {
        PyErr_SetString(PyExc_TypeError, "memo key must be integers");
        return -1;
    }
    Py_ssize_t index = PyLong_AsSsize_t(key);
    if (index == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (index < 0) {
        PyErr_SetString(PyExc_ValueError, "memo key must be positive integers.");
        return -1;
    }
    size_t before = memo->length;
    if (load_memo_put_full(memo, state, (size_t)index, value) < 0) {
        return -1;
    }
    memo->length = before + 1;
    return 0;
}

int
load_memo_from_dict(struct load_memo *memo, struct core_state *state, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, &value)) {
        Py_INCREF(value);
        int result = put_assigned(memo, state, key, value);
        Py_DECREF(value);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}
