/* persistent_id and reducer_override, where their answer is known: see save_hooks.h. */
#include "dump/save_hooks.h"

#include "plans/plan_answer.h"

enum {
    /* A renewal costs about as much as is saved for so many objects. */
    OBJECTS_A_RENEWAL = 8,
    RENEWALS_FREE = 2,
    /* A hook that is not known to pass most types is called without a look. */
    MISSES_FREE = 4
};

/* True if the answers of a hook can be known; forgets those of another hook. */
static int
hook_meet(struct pickler *pickler, struct hook *hook, PyObject *callable, struct reducer *reducer)
{
    if (hook->callable != callable) {
        *hook = (struct hook){.callable = callable};
    }
    if (hook->hopeless || reducer_meet(pickler->state, callable, NULL, reducer) != OUTCOME_DONE) {
        hook->hopeless |= !hook->hopeless && reducer->uncompilable;
        return 0;
    }
    return 1;
}

/* True if the hook is known to return `answer` for objects of the type. */
static int
hook_passes(struct pickler *pickler, struct hook *hook, PyObject *callable, PyObject *answer,
            PyTypeObject *type)
{
    struct reducer reducer;
    if (hook->callable == callable && hook->epoch == pickler->epoch
        && (hook->answer == ANSWER_OF_ALL || hook->type == type)) {
        return hook->answer != ANSWER_UNKNOWN;
    }
    if (!hook_meet(pickler, hook, callable, &reducer)) {
        return 0;
    }
    hook->answer = plan_answers(pickler->state, &reducer, type, answer);
    hook->epoch = pickler->epoch;
    hook->type = type;
    hook->looks++;
    hook->misses += hook->answer == ANSWER_UNKNOWN;
    hook->hopeless = hook->misses > MISSES_FREE + hook->looks / 2;
    return hook->answer != ANSWER_UNKNOWN;
}

int
save_read_hook(struct pickler *pickler, struct hook *hook, PyObject *callable)
{
    struct reducer reducer;
    if (save_hook_is_hopeless(hook, callable)) {
        return 0;
    }
    return reducer_meet(pickler->state, callable, NULL, &reducer) == OUTCOME_HOT
               ? reducer_read(pickler->state, &reducer)
               : 0;
}

int
save_override_passes(struct pickler *pickler, PyTypeObject *type)
{
    return hook_passes(pickler, &pickler->override_hook, pickler->reducer_override,
                       Py_NotImplemented, type);
}

/* ---- persistent_id ------------------------------------------------------ */

static int
id_passes(struct pickler *pickler, PyTypeObject *type)
{
    return hook_passes(pickler, &pickler->id_hook, pickler->persistent_id, Py_None, type);
}

/* True if objects of the type are saved without being looked at. */
static int
is_built_in(PyTypeObject *type)
{
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type
           || type == &PyBool_Type || type == Py_TYPE(Py_None) || type == &PyDict_Type
           || type == &PyList_Type || type == &PyTuple_Type || type == &PyBytes_Type
           || type == &PySet_Type || type == &PyFrozenSet_Type || type == &PyByteArray_Type;
}

static int
built_in_types_pass(struct pickler *pickler)
{
    PyTypeObject *const types[] = {&PyUnicode_Type,   &PyLong_Type,      &PyFloat_Type,
                                   &PyBool_Type,      &PyDict_Type,      &PyList_Type,
                                   &PyTuple_Type,     &PyBytes_Type,     &PySet_Type,
                                   &PyFrozenSet_Type, &PyByteArray_Type, Py_TYPE(Py_None)};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        if (!id_passes(pickler, types[i])) {
            return 0;
        }
        if (pickler->id_hook.answer == ANSWER_OF_ALL) {
            return 1;
        }
    }
    return 1;
}

int
save_id_is_quiet(struct pickler *pickler, PyTypeObject *type)
{
    struct hook *hook = &pickler->id_hook;
    struct reducer reducer;
    if (!pickler->writer.every) {
        return 1;
    }
    if (!hook_meet(pickler, hook, pickler->persistent_id, &reducer)) {
        return 0;
    }
    hook->hopeless = hook->renewals++ > RENEWALS_FREE + pickler->memo.count / OBJECTS_A_RENEWAL;
    if (hook->hopeless || (!is_built_in(type) && !id_passes(pickler, type))) {
        return 0;
    }
    hook->hopeless = !built_in_types_pass(pickler);
    if (hook->hopeless) {
        return 0;
    }
    pickler->writer.every = 0;
    pickler->writer.limit = pickler->writer.due;
    return 1;
}

int
save_id_passes_type(struct pickler *pickler, PyTypeObject *type)
{
    return !pickler->writer.every && (is_built_in(type) || id_passes(pickler, type));
}
