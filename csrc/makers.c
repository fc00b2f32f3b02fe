/* What is known of constructors: see makers.h. */
#include "makers.h"

#include "make_known.h"

#if KNOWN_LAYOUT

enum {
    /* So many that live. */
    MAKERS_MAX = 4096,
    /* A class that changes all the time is not read again. */
    READINGS_MAX = 4
};

static void
release_maker(struct keyed *entry)
{
    struct maker *maker = (struct maker *)entry;
    steps_free(maker->steps);
    known_free(maker->known);
    for (size_t i = 0; i < STEPS_FUNCTIONS_MAX; i++) {
        Py_XDECREF(maker->codes[i]);
    }
}

int
makers_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->makers = PyMem_Calloc(1, sizeof(struct makers));
    if (state->makers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return keyed_setup(&state->makers->table, sizeof(struct maker), MAKERS_MAX, release_maker);
}

void
makers_teardown(struct core_state *state)
{
    struct makers *makers = state->makers;
    if (makers != NULL) {
        state->makers = NULL;
        keyed_teardown(&makers->table);
        PyMem_Free(makers);
    }
}

void
makers_free_dead(struct makers *makers)
{
    assert(makers->busy >= 0);
    if (makers->busy == 0) {
        keyed_free_dead(&makers->table);
    }
}

/* An entry in the place of one of another version, or of another class at the same address. */
static struct keyed *
replace_maker(struct makers *makers, struct maker *before)
{
    unsigned readings = keyed_is_same_class(&before->keyed) ? before->readings : 0;
    struct keyed *entry = keyed_replace(&makers->table, &before->keyed);
    if (entry != NULL) {
        struct maker *maker = (struct maker *)entry;
        maker->readings = readings;
        maker->status = readings < READINGS_MAX ? STEPS_UNREAD : STEPS_REFUSED;
    }
    return entry;
}

struct maker *
makers_meet(struct makers *makers, PyObject *key, unsigned version)
{
    struct maker *maker = makers_find(makers, key);
    if (likely(maker != NULL && maker->version == version)) {
        return maker;
    }
    struct keyed *entry =
        maker == NULL ? keyed_add(&makers->table, key) : replace_maker(makers, maker);
    if (entry == NULL) {
        return NULL;
    }
    maker = (struct maker *)entry;
    maker->version = version;
    return maker;
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
