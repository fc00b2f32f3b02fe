/* A __setstate__ that need not be called: see setstate.h. */
#include "setstate.h"

#include "clone.h"
#include "frozen.h"
#include "make.h"
#include "make_known.h"
#include "rebuild.h"
#include "steps.h"

#if KNOWN_LAYOUT

/* The type's own __setstate__, if it is a function; borrowed, or NULL. */
static PyObject *
find_function(struct core_state *state, PyTypeObject *type)
{
    PyObject *function = type_lookup(type, state->str.setstate);
    return function != NULL && PyFunction_Check(function) ? function : NULL;
}

/* Whether instances find __setstate__ and __dict__ as usual, on the type. */
static int
type_is_usual(struct core_state *state, PyTypeObject *type)
{
    return type->tp_getattro == PyObject_GenericGetAttr
           && (rebuild_facts(state, type) & REBUILD_OWN_DICT) != 0;
}

/* Whether the function still has a default for each parameter behind the state. */
static int
takes_state_alone(PyObject *function)
{
    PyObject *defaults = PyFunction_GET_DEFAULTS(function);
    Py_ssize_t count = defaults == NULL ? 0 : PyTuple_GET_SIZE(defaults);
    return ((PyCodeObject *)PyFunction_GET_CODE(function))->co_argcount - count <= 2;
}

/* Whether nobody watches what a function of this code does. */
static int
is_unwatched(struct core_state *state, PyObject *code)
{
    return state->steps_threshold != 0 && !code_is_monitored(code) && !steps_observed(state);
}

int
setstate_updates(struct core_state *state, PyObject *function)
{
    PyObject *code = PyFunction_GET_CODE(function);
    return steps_status(state, code) == STEPS_UPDATES && is_unwatched(state, code)
           && takes_state_alone(function);
}

PyObject *
setstate_find_update(struct core_state *state, PyTypeObject *type)
{
    PyObject *function = type_is_usual(state, type) ? find_function(state, type) : NULL;
    return function != NULL && setstate_updates(state, function) ? function : NULL;
}

/* Reads the function, which is called this time.  0 or -1. */
static int
read_function(struct core_state *state, PyObject *function)
{
    Py_INCREF(function);
    int read = steps_read_setstate(state, function);
    Py_DECREF(function);
    return read;
}

/* What the function that the compiler has read does, as setstate_apply(). */
static int
store_state(struct core_state *state, PyObject *object, PyObject *object_state)
{
    PyTypeObject *type = Py_TYPE(object);
    if (state->steps_threshold == 0 || !type_is_usual(state, type)) {
        return 0;
    }
    PyObject *function = find_function(state, type);
    struct steps_entry *entry =
        function == NULL ? NULL : steps_meet(state, PyFunction_GET_CODE(function));
    if (entry == NULL || (entry->status != STEPS_UPDATES && entry->status != STEPS_REPLACES)) {
        if (entry != NULL && entry->status == STEPS_REFUSED && !known_may_set_state(type)) {
            rebuild_note_called(state, type);
        }
        return entry != NULL && steps_due(state, entry) ? read_function(state, function) : 0;
    }
    int updates = entry->status == STEPS_UPDATES;
    if (!is_unwatched(state, entry->keyed.key) || !takes_state_alone(function)
        || !clone_lacks_attribute(object, type, state->str.setstate)
        || !layout_has_only_str_keys(object_state)
        || (!updates && type->tp_setattro != PyObject_GenericSetAttr)) {
        return 0;
    }
    state->made_by_plan++;
    int set = updates ? clone_update(object, object_state)
                      : PyObject_SetAttr(object, state->str.dict, object_state);
    return set < 0 ? -1 : 1;
}

/* What need not be called, as setstate_apply(). */
static int
apply_known(struct core_state *state, PyObject *object, PyObject *object_state, unsigned int facts)
{
    if (PyList_CheckExact(object_state)) {
        return frozen_setstate(state, object, object_state);
    }
    if (!PyDict_CheckExact(object_state) || (facts & REBUILD_CALLED_SETSTATE) != 0) {
        return 0;
    }
    int done = make_by_setstate(state, object, object_state);
    return done != 0 ? done : store_state(state, object, object_state);
}

/* object.__setstate__(object_state), as setstate_apply(). */
static int
call(struct core_state *state, struct handed *handed, PyObject *object, PyObject *object_state)
{
    if (handed_keep(handed, object_state) < 0) {
        return -1;
    }
    PyObject *arguments[] = {object, object_state};
    PyObject *returned = PyObject_VectorcallMethod(state->str.setstate, arguments, 2, NULL);
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
setstate_apply(struct core_state *state, struct handed *handed, PyObject *object,
               PyObject *object_state)
{
    unsigned int facts = rebuild_facts(state, Py_TYPE(object));
    if ((facts & REBUILD_METHOD_SETSTATE) == 0) {
        return 0;
    }
    int done = apply_known(state, object, object_state, facts);
    if (done != 0) {
        return done;
    }
    /* Whatever read the function may have changed the type. */
    facts = rebuild_facts(state, Py_TYPE(object));
    return (facts & REBUILD_METHOD_SETSTATE) == 0 ? 0 : call(state, handed, object, object_state);
}

#else

PyObject *
setstate_find_update(struct core_state *Py_UNUSED(state), PyTypeObject *Py_UNUSED(type))
{
    return NULL;
}

int
setstate_updates(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(function))
{
    return 0;
}

int
setstate_apply(struct core_state *Py_UNUSED(state), struct handed *Py_UNUSED(handed),
               PyObject *Py_UNUSED(object), PyObject *Py_UNUSED(object_state))
{
    return 0;
}

#endif
