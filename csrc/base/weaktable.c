/* Facts of classes and of code: see weaktable.h. */
#include "base/weaktable.h"

enum { FIRST_SIZE = 64, REFUSALS_AT_ONCE = 512 };

int
weaktable_setup(struct weaktable *table, size_t entry_size, size_t most,
                void (*release)(struct weaktable_entry *))
{
    *table = (struct weaktable){.entry_size = entry_size, .most = most, .release = release};
    table->places = PyMem_Calloc(FIRST_SIZE, sizeof(struct weaktable_entry *));
    if (table->places == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    table->mask = FIRST_SIZE - 1;
    return 0;
}

/* ---- entries ------------------------------------------------------------ */

/* Finds the object that tells whether the key lives: *holder is strong, or NULL if the key lives
   forever.  0, or -1 without memory. */
static int
find_holder(PyObject *key, PyObject **holder)
{
    *holder = NULL;
    if (!PyType_Check(key)) {
        *holder = Py_NewRef(key);
    }
    else if (PyType_HasFeature((PyTypeObject *)key, Py_TPFLAGS_HEAPTYPE)) {
        *holder = PyWeakref_NewRef(key, NULL);
        if (*holder == NULL) {
            PyErr_Clear();
            return -1;
        }
    }
    return 0;
}

static struct weaktable_entry *
new_entry(const struct weaktable *table, PyObject *key)
{
    struct weaktable_entry *entry = PyMem_Calloc(1, table->entry_size);
    if (entry == NULL || find_holder(key, &entry->holder) < 0) {
        PyMem_Free(entry);
        return NULL;
    }
    entry->key = key;
    return entry;
}

static void
free_entry(const struct weaktable *table, struct weaktable_entry *entry)
{
    table->release(entry);
    Py_XDECREF(entry->holder);
    PyMem_Free(entry);
}

void
weaktable_free_dead(struct weaktable *table)
{
    struct weaktable_entry *dead = table->dead;
    table->dead = NULL;
    while (dead != NULL) {
        struct weaktable_entry *next = dead->next;
        free_entry(table, dead);
        dead = next;
    }
}

void
weaktable_teardown(struct weaktable *table)
{
    if (table->places == NULL) {
        return;
    }
    weaktable_free_dead(table);
    for (size_t i = 0; i <= table->mask; i++) {
        if (table->places[i] != NULL) {
            free_entry(table, table->places[i]);
        }
    }
    PyMem_Free(table->places);
    table->places = NULL;
}

/* ---- living owners ------------------------------------------------------ */

int
weaktable_is_same_class(const struct weaktable_entry *entry)
{
    if (entry->holder == NULL) {
        return 1;
    }
    PyObject *alive = PyObject_CallNoArgs(entry->holder);
    int same = alive == entry->key;
    Py_XDECREF(alive);
    PyErr_Clear();
    return same;
}

/* True if nothing leads to the entry any more: its class has died, or only we hold its code. */
static int
is_dead(const struct weaktable_entry *entry)
{
    return entry->holder == entry->key ? has_one_reference(entry->key)
                                       : !weaktable_is_same_class(entry);
}

static size_t
count_alive(const struct weaktable *table)
{
    size_t alive = 0;
    for (size_t i = 0; i <= table->mask; i++) {
        alive += table->places[i] != NULL && !is_dead(table->places[i]);
    }
    return alive;
}

static void
bury(struct weaktable *table, struct weaktable_entry *entry)
{
    entry->next = table->dead;
    table->dead = entry;
}

/* A table of which those that live take a quarter, at most.  0, or -1 if there are too many, or no
   memory. */
static int
make_room(struct weaktable *table)
{
    size_t alive = count_alive(table), mask = FIRST_SIZE - 1;
    if (alive >= table->most) {
        table->refusals = REFUSALS_AT_ONCE;
        return -1;
    }
    while (alive * 4 > mask) {
        mask = mask * 2 + 1;
    }
    struct weaktable_entry **places = PyMem_Calloc(mask + 1, sizeof(struct weaktable_entry *));
    if (places == NULL) {
        return -1;
    }
    table->sweeps++;
    for (size_t i = 0; i <= table->mask; i++) {
        struct weaktable_entry *entry = table->places[i];
        if (entry != NULL && is_dead(entry)) {
            bury(table, entry);
        }
        else if (entry != NULL) {
            *weaktable_place(places, mask, entry->key) = entry;
        }
    }
    PyMem_Free(table->places);
    table->places = places;
    table->mask = mask;
    table->used = alive;
    return 0;
}

/* ---- adding ------------------------------------------------------------- */

/* True if no entry is taken in, because too many live. */
static int
refuses(struct weaktable *table)
{
    if (likely(table->refusals == 0)) {
        return 0;
    }
    table->refusals--;
    return 1;
}

struct weaktable_entry *
weaktable_add(struct weaktable *table, PyObject *key)
{
    if (refuses(table) || (table->used * 2 > table->mask && make_room(table) < 0)) {
        return NULL;
    }
    struct weaktable_entry *entry = new_entry(table, key);
    if (entry != NULL) {
        *weaktable_place(table->places, table->mask, key) = entry;
        table->used++;
    }
    return entry;
}

struct weaktable_entry *
weaktable_replace(struct weaktable *table, struct weaktable_entry *old)
{
    struct weaktable_entry *entry = refuses(table) ? NULL : new_entry(table, old->key);
    if (entry != NULL) {
        *weaktable_place(table->places, table->mask, old->key) = entry;
        bury(table, old);
    }
    return entry;
}
