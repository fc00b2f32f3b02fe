/* What is known of constructors: see makers.h. */
#include "makers.h"

#include "make_known.h"

#if KNOWN_LAYOUT

enum {
    FIRST_SIZE = 64,
    /* So many that live. */
    MAKERS_MAX = 4096,
    REFUSALS_AT_ONCE = 512,
    /* A class that changes all the time is not read again. */
    READINGS_MAX = 4
};

int
makers_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    struct makers *makers = PyMem_Calloc(1, sizeof(struct makers));
    if (makers != NULL) {
        makers->table = PyMem_Calloc(FIRST_SIZE, sizeof(struct maker *));
        makers->mask = FIRST_SIZE - 1;
    }
    if (makers == NULL || makers->table == NULL) {
        PyMem_Free(makers);
        PyErr_NoMemory();
        return -1;
    }
    state->makers = makers;
    return 0;
}

static void
free_maker(struct maker *maker)
{
    steps_free(maker->steps);
    known_free(maker->known);
    for (size_t i = 0; i < STEPS_FUNCTIONS_MAX; i++) {
        Py_XDECREF(maker->codes[i]);
    }
    if (maker->version == 0) {
        Py_DECREF(maker->key);
    }
    Py_XDECREF(maker->weak);
    PyMem_Free(maker);
}

void
makers_free_dead(struct makers *makers)
{
    assert(makers->busy >= 0);
    while (makers->busy == 0 && makers->dead != NULL) {
        struct maker *dead = makers->dead;
        makers->dead = dead->next;
        free_maker(dead);
    }
}

void
makers_teardown(struct core_state *state)
{
    struct makers *makers = state->makers;
    if (makers == NULL) {
        return;
    }
    state->makers = NULL;
    makers_free_dead(makers);
    for (size_t i = 0; i <= makers->mask; i++) {
        if (makers->table[i] != NULL) {
            free_maker(makers->table[i]);
        }
    }
    PyMem_Free(makers->table);
    PyMem_Free(makers);
}

/* ---- who lives ---------------------------------------------------------- */

/* Whether the entry is of the class at its address, and not of one that is dead. */
static int
is_same_class(const struct maker *maker)
{
    PyObject *alive = maker->weak == NULL ? NULL : PyObject_CallNoArgs(maker->weak);
    int same = alive == maker->key;
    Py_XDECREF(alive);
    PyErr_Clear();
    return same;
}

/* Whether nothing leads to the entry any more: its class has died, or only we hold its code. */
static int
is_dead(const struct maker *maker)
{
    return maker->version == 0 ? has_one_reference(maker->key) : !is_same_class(maker);
}

static size_t
count_alive(const struct makers *makers)
{
    size_t alive = 0;
    for (size_t i = 0; i <= makers->mask; i++) {
        alive += makers->table[i] != NULL && !is_dead(makers->table[i]);
    }
    return alive;
}

static void
bury(struct makers *makers, struct maker *maker)
{
    maker->next = makers->dead;
    makers->dead = maker;
}

/* A table of which those that live take a quarter, at most.  0, or -1 if there are too many, or no
   memory. */
static int
make_room(struct makers *makers)
{
    size_t alive = count_alive(makers), mask = FIRST_SIZE - 1;
    if (alive >= MAKERS_MAX) {
        makers->refusals = REFUSALS_AT_ONCE;
        return -1;
    }
    while (alive * 4 > mask) {
        mask = mask * 2 + 1;
    }
    struct maker **table = PyMem_Calloc(mask + 1, sizeof(struct maker *));
    if (table == NULL) {
        return -1;
    }
    for (size_t i = 0; i <= makers->mask; i++) {
        struct maker *maker = makers->table[i];
        if (maker != NULL && is_dead(maker)) {
            bury(makers, maker);
        }
        else if (maker != NULL) {
            *makers_place(table, mask, maker->key) = maker;
        }
    }
    PyMem_Free(makers->table);
    makers->table = table;
    makers->mask = mask;
    makers->used = alive;
    return 0;
}

/* ---- meeting ------------------------------------------------------------ */

static struct maker *
new_maker(PyObject *key, unsigned version)
{
    struct maker *maker = PyMem_Calloc(1, sizeof(struct maker));
    if (maker == NULL) {
        return NULL;
    }
    maker->key = version == 0 ? Py_NewRef(key) : key;
    maker->version = version;
    if (version != 0) {
        maker->weak = PyWeakref_NewRef(key, NULL);
        PyErr_Clear();
    }
    return maker;
}

static struct maker *
add_maker(struct makers *makers, PyObject *key, unsigned version)
{
    if (makers->used * 2 > makers->mask && make_room(makers) < 0) {
        return NULL;
    }
    struct maker *maker = new_maker(key, version);
    if (maker != NULL) {
        *makers_place(makers->table, makers->mask, key) = maker;
        makers->used++;
    }
    return maker;
}

/* The entry in the place is of another version, or of another class at the same address. */
static struct maker *
replace_maker(struct makers *makers, struct maker **place, unsigned version)
{
    struct maker *before = *place, *maker = new_maker(before->key, version);
    if (maker == NULL) {
        return NULL;
    }
    maker->readings = is_same_class(before) ? before->readings : 0;
    maker->status = maker->readings < READINGS_MAX ? STEPS_UNREAD : STEPS_REFUSED;
    bury(makers, before);
    *place = maker;
    return maker;
}

struct maker *
makers_meet(struct makers *makers, PyObject *key, unsigned version)
{
    struct maker **place = makers_place(makers->table, makers->mask, key);
    if (likely(*place != NULL && (*place)->version == version)) {
        return *place;
    }
    if (unlikely(makers->refusals > 0)) {
        makers->refusals--;
        return NULL;
    }
    return *place == NULL ? add_maker(makers, key, version)
                          : replace_maker(makers, place, version);
}

#else

int
makers_setup(PyObject *Py_UNUSED(module))
{
    return 0;
}

void
makers_teardown(struct core_state *Py_UNUSED(state))
{
}

#endif
