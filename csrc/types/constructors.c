/* Facts of constructors: see constructors.h. */
#include "types/constructors.h"

#include "base/namecache.h"
#include "values/value_classes.h"
#include "types/room.h"

enum {
    /* So many that live. */
    CONSTRUCTORS_MAX = 4096,
    /* A class that changes all the time is not read again. */
    READINGS_MAX = 4
};

static void
release_constructor(struct weaktable_entry *entry)
{
    struct constructor *constructor = (struct constructor *)entry;
    plan_free(constructor->plan);
    value_class_free(constructor->known);
    for (size_t i = 0; i < PLAN_FUNCTIONS_MAX; i++) {
        Py_XDECREF(constructor->codes[i]);
    }
}

PyDoc_STRVAR(constructor_rests_doc,
             "constructor_rests($module, constructor, /)\n"
             "--\n\n"
             "Return whether the plan of a class or function has given up for one object after\n"
             "another, so that it is called for the next ones.");

/* A bool.  Runs no Python code. */
static PyObject *
core_constructor_rests(PyObject *module, PyObject *callable)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *key = PyFunction_Check(callable) ? PyFunction_GET_CODE(callable) : callable;
    const struct constructor *constructor = constructors_find(state->types->constructors, key);
    return PyBool_FromLong(constructor != NULL
                           && trial_is_resting(&constructor->trial, namecache_stamp(state)));
}

static PyMethodDef functions[] = {
    {"constructor_rests", core_constructor_rests, METH_O, constructor_rests_doc},
    {NULL, NULL, 0, NULL},
};

int
constructors_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->types->constructors = PyMem_Calloc(1, sizeof(struct constructors));
    if (state->types->constructors == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyModule_AddFunctions(module, functions) < 0) {
        return -1;
    }
    return weaktable_setup(&state->types->constructors->table, sizeof(struct constructor),
                           CONSTRUCTORS_MAX, release_constructor);
}

void
constructors_teardown(struct core_state *state)
{
    struct constructors *constructors = state->types->constructors;
    if (constructors != NULL) {
        state->types->constructors = NULL;
        weaktable_teardown(&constructors->table);
        PyMem_Free(constructors);
    }
}

void
constructors_free_dead(struct constructors *constructors)
{
    assert(constructors->busy >= 0);
    if (constructors->busy == 0) {
        weaktable_free_dead(&constructors->table);
    }
}

/* An entry in the place of one of another version, or of another class at the same address. */
static struct weaktable_entry *
replace_constructor(struct constructors *constructors, struct constructor *before)
{
    unsigned readings = weaktable_is_same_class(&before->weaktable_entry) ? before->readings : 0;
    struct weaktable_entry *entry =
        weaktable_replace(&constructors->table, &before->weaktable_entry);
    if (entry != NULL) {
        struct constructor *constructor = (struct constructor *)entry;
        constructor->readings = readings;
        constructor->status = readings < READINGS_MAX ? PLAN_UNREAD : PLAN_UNCOMPILABLE;
    }
    return entry;
}

struct constructor *
constructors_meet(struct constructors *constructors, PyObject *key, unsigned version)
{
    struct constructor *constructor = constructors_find(constructors, key);
    if (likely(constructor != NULL && constructor->version == version)) {
        return constructor;
    }
    struct weaktable_entry *entry = constructor == NULL
                                        ? weaktable_add(&constructors->table, key)
                                        : replace_constructor(constructors, constructor);
    if (entry == NULL) {
        return NULL;
    }
    constructor = (struct constructor *)entry;
    constructor->version = version;
    return constructor;
}
