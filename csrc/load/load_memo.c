/* The memo of a load: see load_memo.h. */
#include "load/load_memo.h"

enum {
    /* The standard library's first array has this many entries. */
    FIRST_REACH = 32
};

/* Whether the index belongs into the dict: too far beyond what has been put. */
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

/* Puts it into the dict.  Versions differ in whether it then counts as an entry. */
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

/* Whether a value put at the index, which the array reaches, is a new entry: 1, 0, or -1
   with an exception. */
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
    Py_XSETREF(memo->items[index], Py_NewRef(value));
    return 0;
}

PyObject *
load_memo_get_full(struct load_memo *memo, struct core_state *state, size_t index)
{
    PyObject *value = index < memo->reach ? Py_XNewRef(memo->items[index]) : NULL;
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

/* Drops so many entries of a prescanned memo, at which nobody but the load can look. */
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

/* Gives the memo its memory back, for as many entries as a new one has.  Those are empty. */
static void
reuse_items(struct load_memo *memo, PyObject **items, size_t capacity, size_t end)
{
    memo->items = items;
    memo->capacity = capacity;
    if (end <= FIRST_REACH && capacity >= FIRST_REACH) {
        memo->reach = FIRST_REACH;
    }
}

/* Empties the memo before anything is dropped, as that may run code that looks at it. */
static void
clear_full(struct load_memo *memo)
{
    PyObject **items = memo->items, *sparse = memo->sparse;
    size_t capacity = memo->capacity, end = memo->end;
    memo->items = NULL;
    memo->sparse = NULL;
    memo->capacity = memo->reach = memo->end = memo->length = 0;
    for (size_t i = end; i-- > 0;) {
        Py_CLEAR(items[i]);
    }
    Py_XDECREF(sparse);
    if (memo->items == NULL) {
        reuse_items(memo, items, capacity, end);
    }
    else { /* filled again by what ran meanwhile */
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
        memo->items = NULL;
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
        PyObject *value = Py_NewRef(memo->items[i]);
        PyObject *key = PyLong_FromSize_t(i);
        if (key == NULL || PyDict_SetItem(dict, key, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(key);
        Py_DECREF(value);
    }
    if (dict != NULL && memo->sparse != NULL && PyDict_Update(dict, memo->sparse) < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

/* One entry of a dict assigned to `memo`.  The checks and words of the standard library. */
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
