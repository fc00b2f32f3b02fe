/* The pickler's numbering of objects: see memo.h. */
#include "dump/memo.h"

enum {
    LEAST_TABLE = 64,
    LEAST_LOG = 64,
    /* Limits of the memory kept between two uses, a megabyte each: no more than a large dump needs
       again.  Emptying a large table costs what was entered, not its size. */
    KEPT_TABLE = 1 << 18,
    KEPT_LOG = 1 << 17
};

static_assert((LEAST_TABLE & (LEAST_TABLE - 1)) == 0, "tables are masked");

int
memo_init(struct memo *memo)
{
    memset(memo, 0, sizeof(*memo));
    memo->table = PyMem_Calloc(LEAST_TABLE, sizeof(*memo->table));
    memo->log = PyMem_Malloc(LEAST_LOG * sizeof(*memo->log));
    if (memo->table == NULL || memo->log == NULL) {
        PyMem_Free(memo->table);
        PyMem_Free(memo->log);
        memset(memo, 0, sizeof(*memo));
        PyErr_NoMemory();
        return -1;
    }
    memo->mask = LEAST_TABLE - 1;
    memo->capacity = LEAST_LOG;
    return 0;
}

/* Enters the entry at `position`, of an object that is not in the table. */
static void
enter_entry(struct memo *memo, size_t position)
{
    size_t mask = memo->mask, i = memo_hash(memo->log[position]) & mask;
    while (memo->table[i] != 0) {
        i = (i + 1) & mask;
    }
    memo->table[i] = (uint32_t)(position + 1);
}

int
memo_grow_table(struct memo *memo)
{
    size_t size = (memo->mask + 1) * 4;
    uint32_t *table = PyMem_Calloc(size, sizeof(*table));
    if (table == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    uint32_t *old = memo->table;
    size_t old_size = memo->mask + 1;
    memo->table = table;
    memo->mask = size - 1;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i] != 0) {
            enter_entry(memo, old[i] - 1);
        }
    }
    PyMem_Free(old);
    return 0;
}

int
memo_grow_log(struct memo *memo)
{
    size_t capacity = memo->capacity == 0 ? LEAST_LOG : memo->capacity * 2;
    if (capacity > UINT32_MAX / 2) {
        /* Positions are 32 bits wide: the log alone would be 16 GiB by then. */
        capacity = UINT32_MAX - 1;
    }
    if (capacity <= memo->capacity) {
        PyErr_NoMemory();
        return -1;
    }
    uintptr_t *log = PyMem_Realloc(memo->log, capacity * sizeof(*log));
    if (log == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memo->log = log;
    if (memo->indices != NULL) {
        Py_ssize_t *indices = PyMem_Realloc(memo->indices, capacity * sizeof(*indices));
        if (indices == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memo->indices = indices;
    }
    memo->capacity = capacity;
    return 0;
}

int
memo_flush_entries(struct memo *memo)
{
    while (memo->flushed < memo->count) {
        uintptr_t entry = memo->log[memo->flushed];
        if ((entry & MEMO_MARKS) == MEMO_DEFERRED) {
            if ((memo->entered + 1) * 2 > memo->mask && memo_grow_table(memo) < 0) {
                return -1;
            }
            entry &= ~MEMO_DEFERRED;
            memo->log[memo->flushed] = entry;
            enter_entry(memo, memo->flushed);
            memo->entered++;
        }
        if (memo->flushed++ >= memo->owned) {
            Py_XINCREF(memo_object(entry));
            memo->owned = memo->flushed;
        }
    }
    return 0;
}

void
memo_own(struct memo *memo)
{
    for (; memo->owned < memo->count; memo->owned++) {
        Py_XINCREF(memo_object(memo->log[memo->owned]));
    }
}

/* Puts an object that is owned into the place of an entry without one, and enters it if the
   entries about it are.  0 or -1. */
static int
replace_entry(struct memo *memo, size_t position, PyObject *object)
{
    assert(position < memo->owned && memo_object(memo->log[position]) == NULL);
    if (position >= memo->flushed) {
        memo->log[position] = (uintptr_t)Py_NewRef(object) | MEMO_DEFERRED;
        return 0;
    }
    if ((memo->entered + 1) * 2 > memo->mask && memo_grow_table(memo) < 0) {
        return -1;
    }
    memo->log[position] = (uintptr_t)Py_NewRef(object);
    enter_entry(memo, position);
    memo->entered++;
    return 0;
}

int
memo_make(struct memo *memo, size_t position, PyObject *dict)
{
    if (replace_entry(memo, position, dict) < 0) {
        return -1;
    }
    memo->unmade--;
    return 0;
}

/* A small new object of the type that is absent; strong, or NULL. */
static PyObject *
make_stand_in(enum memo_absent absent)
{
    switch (absent) {
    case ABSENT_TUPLE: return PyTuple_Pack(1, Py_None);
    case ABSENT_DICT: return PyDict_New();
    case ABSENT_LIST: return PyList_New(0);
    case ABSENT_STR: return PyUnicode_FromString("...");
    default: return PyBytes_FromString("...");
    }
}

int
memo_show(struct memo *memo)
{
    for (size_t i = 0; i < memo->flushed; i++) {
        uintptr_t entry = memo->log[i];
        if ((entry & MEMO_MARKS) != MEMO_MARKS) {
            continue;
        }
        PyObject *object = make_stand_in((enum memo_absent)(entry >> 2));
        int same = i < memo->flushed && memo->log[i] == entry;
        int made = object == NULL ? -1 : same ? replace_entry(memo, i, object) : 0;
        Py_XDECREF(object);
        if (made < 0) {
            return -1;
        }
    }
    return 0;
}

int
memo_keep(struct memo *memo, PyObject *object)
{
    if (memo->kept_count == memo->kept_capacity) {
        size_t capacity = memo->kept_capacity * 2 + 16;
        PyObject **kept = PyMem_Realloc(memo->kept, capacity * sizeof(*kept));
        if (kept == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memo->kept = kept;
        memo->kept_capacity = capacity;
    }
    memo->kept[memo->kept_count++] = Py_NewRef(object);
    return 0;
}

int
memo_visit(const struct memo *memo, visitproc visit, void *arg)
{
    for (size_t i = 0; i < memo->owned; i++) {
        Py_VISIT(memo_object(memo->log[i]));
    }
    for (size_t i = 0; i < memo->kept_count; i++) {
        Py_VISIT(memo->kept[i]);
    }
    return 0;
}

/* Stores the number of every entry beside the log.  0 or -1. */
static int
make_indices(struct memo *memo)
{
    memo->indices = PyMem_Malloc(memo->capacity * sizeof(*memo->indices));
    if (memo->indices == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < memo->count; i++) {
        memo->indices[i] = (Py_ssize_t)i;
    }
    memo->generation++;
    return 0;
}

int
memo_set(struct memo *memo, PyObject *object, Py_ssize_t index)
{
    Py_ssize_t position = memo_find(memo, object);
    Py_ssize_t count = (Py_ssize_t)memo->count;
    if (memo->indices == NULL && (position >= 0 || index != count) && make_indices(memo) < 0) {
        return -1;
    }
    if (position < 0) {
        if (memo_put(memo, object) < 0) {
            return -1;
        }
        position = count;
    }
    if (memo->indices != NULL) {
        memo->indices[position] = index;
    }
    return 0;
}

int
memo_copy(struct memo *copy, const struct memo *memo)
{
    if (memo_init(copy) < 0) {
        return -1;
    }
    for (size_t i = 0; i < memo->count; i++) {
        PyObject *object = memo_object(memo->log[i]);
        if (object != NULL && memo_set(copy, object, memo_index(memo, (Py_ssize_t)i)) < 0) {
            memo_destroy(copy);
            return -1;
        }
    }
    for (size_t i = 0; i < memo->kept_count; i++) {
        if (memo_keep(copy, memo->kept[i]) < 0) {
            memo_destroy(copy);
            return -1;
        }
    }
    return memo_flush(copy);
}

/* Empties the table at the cost of what was entered, or of its size if that is less. */
static void
empty_table(struct memo *memo)
{
    size_t size = memo->mask + 1;
    if (memo->entered == 0) {
        return;
    }
    if (memo->count * 8 >= size) {
        memset(memo->table, 0, size * sizeof(*memo->table));
        return;
    }
    for (size_t position = 0; position < memo->count; position++) {
        uintptr_t entry = memo->log[position];
        if (entry & MEMO_MARKS) {
            continue;
        }
        for (size_t i = memo_hash(entry) & memo->mask; memo->table[i] != 0;
             i = (i + 1) & memo->mask) {
            memo->table[i] = 0;
        }
    }
}

/* Frees a table above the cap.  The memo is empty; if there is no memory for a smaller table, the
   large one stays. */
static void
shrink_table(struct memo *memo)
{
    if (memo->mask < KEPT_TABLE) {
        return;
    }
    uint32_t *table = PyMem_Calloc(LEAST_TABLE, sizeof(*table));
    if (table != NULL) {
        PyMem_Free(memo->table);
        memo->table = table;
        memo->mask = LEAST_TABLE - 1;
    }
}

/* Forgets all entries without touching the objects. */
static void
forget(struct memo *memo)
{
    empty_table(memo);
    PyMem_Free(memo->indices);
    memo->indices = NULL;
    memo->entered = memo->count = memo->flushed = memo->owned = memo->unmade = 0;
    memo->kept = NULL;
    memo->kept_count = memo->kept_capacity = 0;
    memo->generation++;
}

/* Releases the references of a memo whose entries were forgotten, but not the log itself.  May run
   Python code. */
static void
let_go(const struct memo *old)
{
    for (size_t owned = old->owned; owned-- > 0;) {
        Py_XDECREF(memo_object(old->log[owned]));
    }
    for (size_t kept = old->kept_count; kept-- > 0;) {
        Py_DECREF(old->kept[kept]);
    }
    PyMem_Free(old->kept);
}

void
memo_clear(struct memo *memo)
{
    if (memo->count == 0 && memo->indices == NULL) {
        return;
    }
    /* Releasing references runs Python code, which may use the memo: by then the memo is
       consistent and empty, and without a log of its own until one is needed. */
    struct memo old = *memo;
    forget(memo);
    memo->log = NULL;
    memo->capacity = 0;
    shrink_table(memo);
    let_go(&old);
    if (memo->log == NULL && old.capacity <= KEPT_LOG) {
        memo->log = old.log;
        memo->capacity = old.capacity;
    }
    else {
        PyMem_Free(old.log);
    }
}

void
memo_destroy(struct memo *memo)
{
    struct memo old = *memo;
    memset(memo, 0, sizeof(*memo));
    memo->generation = old.generation + 1;
    let_go(&old);
    PyMem_Free(old.log);
    PyMem_Free(old.table);
    PyMem_Free(old.indices);
}
