/* A __setstate__ that need not be called: see setstate.h. */
#include "base/lookup.h"
#include "base/observed.h"
#include "types/setstate.h"

#include "types/default.h"
#include "types/frozen.h"
#include "types/construct.h"
#include "types/state_plan.h"
#include "values/value_classes.h"
#include "types/rebuild.h"
#include "plans/plan.h"
#include "plans/room.h"
#include "base/layout.h"

/* The type's own __setstate__, if it is a function; borrowed, or NULL. */
static PyObject *
find_own_setstate(struct core_state *state, PyTypeObject *type)
{
    PyObject *function = type_lookup(type, state->str.setstate);
    return function != NULL && PyFunction_Check(function) ? function : NULL;
}

/* True if instances find __setstate__ and __dict__ as usual, on the type. */
static int
type_is_usual(struct core_state *state, PyTypeObject *type)
{
    return lookup_is_plain(state, type) && (rebuild_facts(state, type) & REBUILD_OWN_DICT) != 0;
}

/* True if no tool monitors functions of this code. */
static int
is_unmonitored(struct core_state *state, PyObject *code)
{
    return state->plans->threshold != 0 && !code_is_monitored(code) && !calls_observed(state);
}

int
setstate_updates(struct core_state *state, PyObject *function)
{
    if (!layout_is_known()) {
        return 0;
    }
    PyObject *code = PyFunction_GET_CODE(function);
    return plan_status(state, code) == PLAN_UPDATES && is_unmonitored(state, code)
           && state_plan_takes_state_alone(function);
}

PyObject *
setstate_find_update(struct core_state *state, PyTypeObject *type)
{
    if (!layout_is_known()) {
        return NULL;
    }
    PyObject *function = type_is_usual(state, type) ? find_own_setstate(state, type) : NULL;
    return function != NULL && setstate_updates(state, function) ? function : NULL;
}

/* Reads the function, which is called this time.  0 or -1. */
static int
read_function(struct core_state *state, PyObject *function)
{
    Py_INCREF(function);
    int read = plan_read_setstate(state, function);
    Py_DECREF(function);
    return read;
}

/* Notes that the class's __setstate__ is called, unless more may be known of it yet. */
static void
note_that_it_is_called(struct core_state *state, PyTypeObject *type)
{
    if (!construct_may_set_state(state, type)) {
        rebuild_note_called(state, type);
    }
}

/* Does the same as a function that only stores, as setstate_apply(). */
static int
store_line(struct core_state *state, PyObject *object, PyObject *object_state)
{
    PyTypeObject *type = Py_TYPE(object);
    enum outcome outcome = state_plan_apply(state, object, object_state);
    if (outcome == OUTCOME_HOT) {
        return state_plan_read(state, type);
    }
    if (outcome == OUTCOME_BAIL && state_plan_status(state, type) == PLAN_UNCOMPILABLE) {
        note_that_it_is_called(state, type);
    }
    return outcome == OUTCOME_BAIL ? 0 : outcome == OUTCOME_DONE ? 1 : -1;
}

/* Does the same as a function whose one statement the compiler has read, as setstate_apply(). */
static int
store_whole(struct core_state *state, PyObject *object, PyObject *object_state,
            const struct plan_entry *entry, PyObject *function)
{
    PyTypeObject *type = Py_TYPE(object);
    int updates = entry->status == PLAN_UPDATES;
    if (!is_unmonitored(state, entry->weaktable_entry.key)
        || !state_plan_takes_state_alone(function)
        || !layout_lacks_attribute(object, type, state->str.setstate)
        || !PyDict_CheckExact(object_state) || !layout_has_only_str_keys(object_state)
        || (!updates && type->tp_setattro != PyObject_GenericSetAttr)) {
        return 0;
    }
    state->plans->made_by_plan++;
    int set = updates ? default_update(object, object_state)
                      : PyObject_SetAttr(object, state->str.dict, object_state);
    return set < 0 ? -1 : 1;
}

/* Does the same as a function that the compiler has read, as setstate_apply(). */
static int
store_by_plan(struct core_state *state, PyObject *object, PyObject *object_state)
{
    PyTypeObject *type = Py_TYPE(object);
    if (state->plans->threshold == 0) {
        return 0;
    }
    if (state_plan_status(state, type) == PLAN_READY) {
        return store_line(state, object, object_state);
    }
    PyObject *function = find_own_setstate(state, type);
    struct plan_entry *entry =
        function == NULL ? NULL : plan_meet(state, PyFunction_GET_CODE(function));
    if (entry == NULL) {
        return 0;
    }
    switch (entry->status) {
    case PLAN_STORES: return store_line(state, object, object_state);
    case PLAN_UPDATES:
    case PLAN_REPLACES:
        if (type_is_usual(state, type)) {
            return store_whole(state, object, object_state, entry, function);
        }
        /* fall through */
    case PLAN_UNCOMPILABLE: note_that_it_is_called(state, type); return 0;
    default: return plan_is_hot(state, entry) ? read_function(state, function) : 0;
    }
}

/* Does the same as a known function, without a call, as setstate_apply(). */
static int
apply_known(struct core_state *state, PyObject *object, PyObject *object_state, unsigned int facts)
{
    if (PyList_CheckExact(object_state)) {
        return frozen_setstate(state, object, object_state);
    }
    if ((facts & REBUILD_CALLED_SETSTATE) != 0
        || (!PyDict_CheckExact(object_state) && !PyTuple_CheckExact(object_state))) {
        return 0;
    }
    int done = construct_by_setstate(state, object, object_state);
    return done != 0 ? done : store_by_plan(state, object, object_state);
}

/* The type's own __setstate__ is called without asking the object, where that has none.  Strong,
   or NULL with an exception. */
static PyObject *
call_own_setstate(struct core_state *state, PyObject *object, PyObject *object_state)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *arguments[] = {object, object_state}, *function = find_own_setstate(state, type);
    int lacks =
        type->tp_dictoffset == 0
        || (layout_has_values(type) && layout_lacks_attribute(object, type, state->str.setstate));
    if (function == NULL || !lacks) {
        return PyObject_VectorcallMethod(state->str.setstate, arguments, 2, NULL);
    }
    Py_INCREF(function);
    PyObject *returned = PyObject_Vectorcall(function, arguments, 2, NULL);
    Py_DECREF(function);
    return returned;
}

/* object.__setstate__(object_state), as setstate_apply(). */
static int
call(struct core_state *state, struct handed *handed, PyObject *object, PyObject *object_state)
{
    if (handed_keep(handed, object_state) < 0) {
        return -1;
    }
    PyObject *returned = call_own_setstate(state, object, object_state);
    if (returned == NULL) {
        return -1;
    }
    Py_DECREF(returned);
    if (PyList_CheckExact(object_state) && frozen_check(state, object, object_state) < 0) {
        return -1;
    }
    return 1;
}

int
setstate_apply_known(struct core_state *state, PyObject *object, PyObject *object_state)
{
    if (!layout_is_known()) {
        return 0;
    }
    unsigned int facts = rebuild_facts(state, Py_TYPE(object));
    return (facts & REBUILD_METHOD_SETSTATE) == 0
               ? 0
               : apply_known(state, object, object_state, facts);
}

int
setstate_apply(struct core_state *state, struct handed *handed, PyObject *object,
               PyObject *object_state)
{
    if (!layout_is_known()) {
        return 0;
    }
    unsigned int facts = rebuild_facts(state, Py_TYPE(object));
    if ((facts & REBUILD_METHOD_SETSTATE) == 0) {
        return 0;
    }
    int done = apply_known(state, object, object_state, facts);
    if (done != 0) {
        return done;
    }
    /* The code that read the function may have changed the type. */
    facts = rebuild_facts(state, Py_TYPE(object));
    return (facts & REBUILD_METHOD_SETSTATE) == 0 ? 0 : call(state, handed, object, object_state);
}
