/* persistent_id and reducer_override, where their answer is known: see save_hooks.h. */
#include "dump/save_hooks.h"

#include "plans/plan_answer.h"

enum {
    /* A renewal costs about as much as is saved for so many objects.  Where there are more of
       them, the hook is called for the next objects, and then for twice as many. */
    OBJECTS_A_RENEWAL = 8,
    RENEWALS_FREE = 2,
    FIRST_REST = 256,
    LONGEST_REST = 1 << 16,
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
    if (hook->hopeless || reducer_meet_hook(pickler->state, callable, reducer) != OUTCOME_DONE) {
        hook->hopeless |= !hook->hopeless && reducer->uncompilable;
        return 0;
    }
    return 1;
}

/* The known answer of the hook for objects of the type, if that is `answer`. */
static enum plan_answer
hook_answer(struct pickler *pickler, struct hook *hook, PyObject *callable, PyObject *answer,
            PyTypeObject *type)
{
    struct reducer reducer;
    size_t place = (uintptr_t)type / 64 % HOOK_TYPES;
    if (hook->callable == callable && hook->known[place].epoch == pickler->epoch
        && hook->known[place].type == type) {
        return hook->known[place].answer;
    }
    if (!hook_meet(pickler, hook, callable, &reducer)) {
        return ANSWER_UNKNOWN;
    }
    enum plan_answer known = plan_answers(pickler->state, &reducer, type, answer);
    hook->known[place].answer = known;
    hook->known[place].epoch = pickler->epoch;
    hook->known[place].type = type;
    hook->looks++;
    hook->misses += known == ANSWER_UNKNOWN;
    hook->hopeless = hook->misses > MISSES_FREE + hook->looks / 2;
    return known;
}

int
save_read_hook(struct pickler *pickler, struct hook *hook, PyObject *callable)
{
    struct reducer reducer;
    if (save_hook_rests(pickler, hook, callable)) {
        return 0;
    }
    return reducer_meet_hook(pickler->state, callable, &reducer) == OUTCOME_HOT
               ? reducer_read(pickler->state, &reducer)
               : 0;
}

int
save_override_passes(struct pickler *pickler, PyTypeObject *type)
{
    return hook_answer(pickler, &pickler->override_hook, pickler->reducer_override,
                       Py_NotImplemented, type)
           != ANSWER_UNKNOWN;
}

/* ---- persistent_id ------------------------------------------------------ */

static enum plan_answer
id_answer(struct pickler *pickler, PyTypeObject *type)
{
    return hook_answer(pickler, &pickler->id_hook, pickler->persistent_id, Py_None, type);
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
        enum plan_answer answer = id_answer(pickler, types[i]);
        if (answer != ANSWER_OF_TYPE) {
            return answer == ANSWER_OF_ALL;
        }
    }
    return 1;
}

/* True if it would not pay to find out again; begins a rest then. */
static int
renewals_are_many(struct pickler *pickler, struct hook *hook)
{
    size_t count = pickler->memo.count;
    if (count < hook->counted) {
        return 1;
    }
    if (hook->renewals++ <= RENEWALS_FREE + (count - hook->counted) / OBJECTS_A_RENEWAL) {
        return 0;
    }
    hook->rest = hook->rest == 0             ? FIRST_REST
                 : hook->rest < LONGEST_REST ? hook->rest * 2
                                             : LONGEST_REST;
    hook->counted = count + hook->rest;
    hook->renewals = 0;
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
    if (renewals_are_many(pickler, hook)
        || (!is_built_in(type) && id_answer(pickler, type) == ANSWER_UNKNOWN)) {
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
    return !pickler->writer.every
           && (is_built_in(type) || id_answer(pickler, type) != ANSWER_UNKNOWN);
}
