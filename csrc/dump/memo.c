/* The pickler's numbering of objects: see memo.h. */
#include "dump/memo.h"

enum {
    LEAST_TABLE = 64,
    LEAST_LOG = 64,
    /* What is kept between two uses, a megabyte each: no more than a large dump needs again.
       Emptying a large table costs what was entered, not its size. */
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
        if (entry & MEMO_UNMADE) {
            memo->flushed++;
            continue;
        }
        if (entry & MEMO_DEFERRED) {
            if ((memo->entered + 1) * 2 > memo->mask && memo_grow_table(memo) < 0) {
                return -1;
            }
            entry &= ~MEMO_DEFERRED;
            memo->log[memo->flushed] = entry;
            enter_entry(memo, memo->flushed);
            memo->entered++;
        }
        Py_XINCREF((PyObject *)entry);
        memo->flushed++;
    }
    return 0;
}

int
memo_make(struct memo *memo, size_t position, PyObject *dict)
{
    if ((memo->entered + 1) * 2 > memo->mask && memo_grow_table(memo) < 0) {
        return -1;
    }
    memo->log[position] = (uintptr_t)Py_NewRef(dict);
    enter_entry(memo, position);
    memo->entered++;
    memo->unmade--;
    return 0;
}

/* Gives every entry a number of its own beside the log.  0 or -1. */
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
        PyObject *object = (PyObject *)(memo->log[i] & ~MEMO_MARKS);
        if (object != NULL && memo_set(copy, object, memo_index(memo, (Py_ssize_t)i)) < 0) {
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
        if (entry == 0 || (entry & MEMO_MARKS)) {
            continue;
        }
        for (size_t i = memo_hash(entry) & memo->mask; memo->table[i] != 0;
             i = (i + 1) & memo->mask) {
            memo->table[i] = 0;
        }
    }
}

/* Gives a table above the cap back.  The memo is empty; if there is no memory for a
   smaller table, the large one stays. */
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
    memo->entered = memo->count = memo->flushed = memo->unmade = 0;
    memo->generation++;
}

/* Drops the references of the first entries of a log.  May run Python code. */
static void
let_go(uintptr_t *log, size_t owned)
{
    while (owned-- > 0) {
        if ((log[owned] & MEMO_MARKS) == 0) {
            Py_XDECREF((PyObject *)log[owned]);
        }
    }
}

void
memo_clear(struct memo *memo)
{
    if (memo->count == 0 && memo->indices == NULL) {
        return;
    }
    /* Dropping references runs Python code, which may use the memo: it is whole and
       empty by then, and without a log of its own until it needs one. */
    uintptr_t *log = memo->log;
    size_t capacity = memo->capacity, owned = memo->flushed;
    forget(memo);
    memo->log = NULL;
    memo->capacity = 0;
    shrink_table(memo);
    let_go(log, owned);
    if (memo->log == NULL && capacity <= KEPT_LOG) {
        memo->log = log;
        memo->capacity = capacity;
    }
    else {
        PyMem_Free(log);
    }
}

void
memo_destroy(struct memo *memo)
{
    struct memo old = *memo;
    memset(memo, 0, sizeof(*memo));
    memo->generation = old.generation + 1;
    let_go(old.log, old.flushed);
    PyMem_Free(old.log);
    PyMem_Free(old.table);
    PyMem_Free(old.indices);
}
