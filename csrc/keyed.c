/* What is known of classes and of code: see keyed.h. */
#include "keyed.h"

enum { FIRST_SIZE = 64, REFUSALS_AT_ONCE = 512 };

int
keyed_setup(struct keyed_table *table, size_t entry_size, size_t most,
            void (*release)(struct keyed *))
{
    *table = (struct keyed_table){.entry_size = entry_size, .most = most, .release = release};
    table->places = PyMem_Calloc(FIRST_SIZE, sizeof(struct keyed *));
    if (table->places == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    table->mask = FIRST_SIZE - 1;
    return 0;
}

/* ---- entries ------------------------------------------------------------ */

/* What tells whether the key lives; *holder is strong, or NULL where it always does.  0, or -1
   without memory. */
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

static struct keyed *
new_entry(const struct keyed_table *table, PyObject *key)
{
    struct keyed *entry = PyMem_Calloc(1, table->entry_size);
    if (entry == NULL || find_holder(key, &entry->holder) < 0) {
        PyMem_Free(entry);
        return NULL;
    }
    entry->key = key;
    return entry;
}

static void
free_entry(const struct keyed_table *table, struct keyed *entry)
{
    table->release(entry);
    Py_XDECREF(entry->holder);
    PyMem_Free(entry);
}

void
keyed_free_dead(struct keyed_table *table)
{
    struct keyed *dead = table->dead;
    table->dead = NULL;
    while (dead != NULL) {
        struct keyed *next = dead->next;
        free_entry(table, dead);
        dead = next;
    }
}

void
keyed_teardown(struct keyed_table *table)
{
    if (table->places == NULL) {
        return;
    }
    keyed_free_dead(table);
    for (size_t i = 0; i <= table->mask; i++) {
        if (table->places[i] != NULL) {
            free_entry(table, table->places[i]);
        }
    }
    PyMem_Free(table->places);
    table->places = NULL;
}

/* ---- who lives ---------------------------------------------------------- */

int
keyed_is_same_class(const struct keyed *entry)
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

/* Whether nothing leads to the entry any more: its class has died, or only we hold its code. */
static int
is_dead(const struct keyed *entry)
{
    return entry->holder == entry->key ? has_one_reference(entry->key)
                                       : !keyed_is_same_class(entry);
}

static size_t
count_alive(const struct keyed_table *table)
{
    size_t alive = 0;
    for (size_t i = 0; i <= table->mask; i++) {
        alive += table->places[i] != NULL && !is_dead(table->places[i]);
    }
    return alive;
}

static void
bury(struct keyed_table *table, struct keyed *entry)
{
    entry->next = table->dead;
    table->dead = entry;
}

/* A table of which those that live take a quarter, at most.  0, or -1 if there are too many, or no
   memory. */
static int
make_room(struct keyed_table *table)
{
    size_t alive = count_alive(table), mask = FIRST_SIZE - 1;
    if (alive >= table->most) {
        table->refusals = REFUSALS_AT_ONCE;
        return -1;
    }
    while (alive * 4 > mask) {
        mask = mask * 2 + 1;
    }
    struct keyed **places = PyMem_Calloc(mask + 1, sizeof(struct keyed *));
    if (places == NULL) {
        return -1;
    }
    table->sweeps++;
    for (size_t i = 0; i <= table->mask; i++) {
        struct keyed *entry = table->places[i];
        if (entry != NULL && is_dead(entry)) {
            bury(table, entry);
        }
        else if (entry != NULL) {
            *keyed_place(places, mask, entry->key) = entry;
        }
    }
    PyMem_Free(table->places);
    table->places = places;
    table->mask = mask;
    table->used = alive;
    return 0;
}

/* ---- adding ------------------------------------------------------------- */

/* Whether none is taken in, as too many live. */
static int
refuses(struct keyed_table *table)
{
    if (likely(table->refusals == 0)) {
        return 0;
    }
    table->refusals--;
    return 1;
}

struct keyed *
keyed_add(struct keyed_table *table, PyObject *key)
{
    if (refuses(table) || (table->used * 2 > table->mask && make_room(table) < 0)) {
        return NULL;
    }
    struct keyed *entry = new_entry(table, key);
    if (entry != NULL) {
        *keyed_place(table->places, table->mask, key) = entry;
        table->used++;
    }
    return entry;
}

struct keyed *
keyed_replace(struct keyed_table *table, struct keyed *old)
{
    struct keyed *entry = refuses(table) ? NULL : new_entry(table, old->key);
    if (entry != NULL) {
        *keyed_place(table->places, table->mask, old->key) = entry;
        bury(table, old);
    }
    return entry;
}
