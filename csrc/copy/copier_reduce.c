/* Copies by reduction: which way an object is asked for its reduce value, or need not be; see
   copier.h. */
#include "copy/copier.h"

#include "types/bound.h"
#include "types/frozen.h"
#include "types/state_plan.h"
#include "base/reduction.h"
#include "copy/room.h"

/* ---- asking ------------------------------------------------------------- */

/* True if it is sure, without asking it, that the object has no __deepcopy__. */
static int
surely_lacks_deepcopy(struct copier *copier, PyObject *object, unsigned int facts)
{
    const unsigned int plain = TYPE_PLAIN_GETATTR | TYPE_NO_DEEPCOPY;
    if ((facts & plain) != plain) {
        return 0;
    }
    return (facts & TYPE_NO_DICT) != 0
           || ((facts & TYPE_OWN_DICT) != 0
               && layout_lacks_attribute(object, Py_TYPE(object), copier->state->str.deepcopy));
}

/* Calls __deepcopy__(memo).  1 and the copy, 0 if there is none, -1.  After it, no table that was
   read before is good. */
static int
deepcopy_by_hook(struct copier *copier, PyObject *object, PyObject **copy)
{
    PyObject *hook;
    if (copier_before_foreign(copier) < 0) {
        return -1;
    }
    int found = PyObject_GetOptionalAttr(object, copier->state->str.deepcopy, &hook);
    copier_after_foreign(copier);
    if (found > 0 && hook != Py_None) {
        found = -1;
        if (copymemo_show(&copier->memo) == 0 && copier_before_foreign(copier) == 0) {
            *copy = PyObject_CallOneArg(hook, copier->memo.dict);
            copier_after_foreign(copier);
            found = *copy == NULL ? -1 : 1;
        }
    }
    else if (found > 0) {
        found = 0;
    }
    Py_XDECREF(hook);
    return found;
}

/* The type's function in dispatch_table as it is now: 1 and strong, 0 if there is none or if it
   is false, -1. */
static int
find_copy_reducer(struct copier *copier, PyTypeObject *type, PyObject **reducer)
{
    struct core_state *state = copier->state;
    if (state->copy->routes->epoch != copier->epoch) {
        copyroute_refresh(state, copier->epoch);
    }
    PyObject *table = state->copy->routes->reducers;
    if (table == NULL || !PyDict_CheckExact(table)) {
        table = state->stdlib.dispatch_table;
    }
    int found = PyDict_GetItemRef(table, (PyObject *)type, reducer);
    if (found > 0 && !PyFunction_Check(*reducer) && !PyType_Check(*reducer)) {
        found = PyObject_IsTrue(*reducer);
    }
    if (found <= 0) {
        Py_CLEAR(*reducer);
    }
    return found;
}

/* Gets the reduce value; strong or NULL. */
static PyObject *
get_reduce_value(struct copier *copier, PyObject *object, PyTypeObject *type)
{
    PyObject *reducer, *reduce_value = NULL;
    if (copier_before_asking(copier) < 0) {
        return NULL;
    }
    int found = find_copy_reducer(copier, type, &reducer);
    if (found > 0) {
        reduce_value = reducer_call(reducer, object);
        Py_DECREF(reducer);
    }
    else if (found == 0) {
        reduce_value =
            copier_ask_object(copier->state, object, "un(deep)copyable object of type %S");
    }
    copier_after_foreign(copier);
    return reduce_value;
}

/* The reduce value that the plan of a reducer gives, strong: 1 if others hold all that is in
   it, or 2; 0 if there is no plan that can be used, and *callable NULL if it is to be looked
   up again; -1. */
static int
ask_plan(struct copier *copier, PyObject *object, PyObject **callable, enum outcome verdict,
         struct reducer *reducer, PyObject **reduce_value)
{
    if (verdict == OUTCOME_HOT) {
        PyObject *owned = Py_NewRef(*callable);
        int read = copier_before_foreign(copier) < 0 ? -1 : reducer_read(copier->state, reducer);
        Py_DECREF(owned);
        copier_after_foreign(copier);
        *callable = NULL;
        return read;
    }
    if (verdict != OUTCOME_DONE) {
        return 0;
    }
    switch (reducer_run(copier->state, reducer, object, reduce_value)) {
    case OUTCOME_DONE:
        return reducer->plan->leaves_only && PyTuple_CheckExact(*reduce_value) ? 1 : 2;
    case OUTCOME_RAISED: return -1;
    default: return 0;
    }
}

int
copier_ask_deeply(struct copier *copier, PyObject *object, unsigned int facts, PyObject **copy,
                  PyObject **reduce_value)
{
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    int found =
        surely_lacks_deepcopy(copier, object, facts) ? 0 : deepcopy_by_hook(copier, object, copy);
    if (found == 0) {
        *reduce_value = get_reduce_value(copier, object, type);
        found = *reduce_value == NULL ? -1 : 0;
    }
    Py_DECREF(type);
    return found;
}

/* ---- the ways ----------------------------------------------------------- */

/* The copy of an owned object from its parts. */
ALWAYS_INLINE enum outcome
copy_from_parts(struct copier *copier, PyObject *object, int unique, struct bound_parts *parts,
                PyObject **copy)
{
    uint64_t epoch = copier->epoch;
    enum outcome outcome = OUTCOME_BAIL;
    if (copier_are_atoms(copier, parts->values, parts->count)) {
        outcome =
            construct_object(copier->state, parts->callable, parts->values, parts->count, copy);
    }
    if (likely(outcome == OUTCOME_DONE)) {
        if (copier_enter_at_once(copier, object, COPY_OBJECT, *copy, unique) == 0) {
            copier_remember_bound(copier, Py_TYPE(object), parts->count);
            return OUTCOME_CLOSED;
        }
        Py_CLEAR(*copy);
        return OUTCOME_RAISED;
    }
    if (outcome == OUTCOME_RAISED) {
        return OUTCOME_RAISED;
    }
    if (outcome == OUTCOME_HOT) {
        Py_DECREF(*copy);
    }
    copier_open_unentered(copier, unique);
    *copy = copier_construct_from(copier, parts);
    copier_close_unentered(copier);
    if (*copy != NULL && copier_enter(copier, object, *copy, unique, epoch) < 0) {
        Py_CLEAR(*copy);
    }
    return *copy == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

/* deepcopy_by_bound_plan(), with room for so many arguments. */
ALWAYS_INLINE enum outcome
copy_by_parts(struct copier *copier, PyObject *object, int unique, PyObject **values,
              Py_ssize_t count, PyObject **copy)
{
    struct bound_parts parts = {NULL, values, count, 0};
    if (!bound_read(copier->state, copier->epoch, object, &parts)) {
        return OUTCOME_BAIL;
    }
    enum outcome outcome = copy_from_parts(copier, object, unique, &parts, copy);
    bound_release(&parts);
    return outcome;
}

/* Most are short, and what nests keeps the room for them on the C stack. */
enum { FEW_PARTS = 6 };

static NOINLINE enum outcome
copy_by_few_parts(struct copier *copier, PyObject *object, int unique, PyObject **copy)
{
    PyObject *values[FEW_PARTS];
    return copy_by_parts(copier, object, unique, values, FEW_PARTS, copy);
}

static NOINLINE enum outcome
copy_by_many_parts(struct copier *copier, PyObject *object, int unique, PyObject **copy)
{
    PyObject *values[BOUND_PARTS_MAX];
    return copy_by_parts(copier, object, unique, values, BOUND_PARTS_MAX, copy);
}

/* The copy of an owned object that is read by the bound plan of its type, if that is ready. */
static enum outcome
deepcopy_by_bound_plan(struct copier *copier, PyObject *object, int unique, PyObject **copy)
{
    return bound_at(copier->state, Py_TYPE(object))->argument_count <= FEW_PARTS
               ? copy_by_few_parts(copier, object, unique, copy)
               : copy_by_many_parts(copier, object, unique, copy);
}

/* The copy of an owned object from the reduce value that foreign code gave, which is stolen. */
static enum outcome
copy_and_release(struct copier *copier, PyObject *object, PyObject *reduce_value, PyObject **copy)
{
    enum outcome way = copier_from_atoms(copier, object, reduce_value, copy);
    if (way == OUTCOME_CLOSED) {
        /* Nothing dies of it but tuples and atoms. */
        Py_DECREF(reduce_value);
        return way;
    }
    return copier_from_value(copier, object, reduce_value, way, 0, 0, copy);
}

/* The route of an object that is being copied by reduction. */
ALWAYS_INLINE struct copyroute *
known_route_of(struct copier *copier, PyObject *object)
{
    struct copyroute *last = copier->last_route;
    return likely(last != NULL && copyroute_type(last) == Py_TYPE(object))
               ? last
               : copyroute_known(copier->state->copy->routes, Py_TYPE(object));
}

/* True if the reducer of a type is to be called, as its plan has given up for many. */
ALWAYS_INLINE int
reducer_rests(struct copier *copier, struct copyroute *route)
{
    return route != NULL
           && trial_rests(&route->deep_trial, copyroute_guard(copier->state->copy->routes, route));
}

/* Counts how the plan does.  To make the reduce value takes as long as to call the function that
   makes it. */
ALWAYS_INLINE void
count_try(struct copier *copier, struct copyroute *route, int by_bound_plan)
{
    if (route != NULL && by_bound_plan) {
        trial_succeeded(&route->deep_trial);
    }
    else if (route != NULL) {
        trial_failed(&route->deep_trial, copyroute_guard(copier->state->copy->routes, route));
    }
}

/* The copy of an owned object from the reduce value that a plan made, which is stolen. */
static enum outcome
copy_planned(struct copier *copier, PyObject *object, PyObject *reduce_value, int planned,
             int unique, PyObject **copy)
{
    enum outcome way = copier_from_atoms(copier, object, reduce_value, copy);
    if (way == OUTCOME_CLOSED) {
        Py_DECREF(reduce_value);
        return way;
    }
    return copier_from_value(copier, object, reduce_value, way, planned, unique, copy);
}

/* The copy of an owned object by the plan of the callable that reduces it, if there is one.
   NOT_SO if that is to be called, and *callable NULL if it is to be looked up again. */
static enum outcome
deepcopy_by_plan(struct copier *copier, PyObject *object, PyObject **callable, PyObject *protocol,
                 int of_method, struct reducer *reducer, int unique, PyObject **copy)
{
    PyObject *reduce_value = NULL;
    struct copyroute *route = known_route_of(copier, object);
    enum outcome verdict = reducer_meet(copier->state, *callable, protocol, reducer);
    if (verdict == OUTCOME_DONE
        && bound_prepare(copier->state, copier->epoch, reducer, of_method, Py_TYPE(object))) {
        enum outcome way = deepcopy_by_bound_plan(copier, object, unique, copy);
        if (way != OUTCOME_BAIL) {
            count_try(copier, route, 1);
            return way;
        }
    }
    if (verdict == OUTCOME_DONE || reducer->uncompilable) {
        count_try(copier, route, 0);
    }
    if (verdict == OUTCOME_BAIL) {
        return OUTCOME_BAIL;
    }
    int planned = ask_plan(copier, object, callable, verdict, reducer, &reduce_value);
    return planned == 0  ? OUTCOME_BAIL
           : planned < 0 ? OUTCOME_RAISED
                         : copy_planned(copier, object, reduce_value, planned, unique, copy);
}

/* The copy of an owned object by the function that dispatch_table has. */
static enum outcome
deepcopy_by_reducer(struct copier *copier, PyObject *object, PyObject *callable, int unique,
                    PyObject **copy)
{
    struct reducer reducer = {.function = callable, .uncompilable = 1};
    struct copyroute *route = known_route_of(copier, object);
    int rests = reducer_rests(copier, route);
    enum outcome way =
        rests ? OUTCOME_BAIL
              : deepcopy_by_plan(copier, object, &callable, NULL, 0, &reducer, unique, copy);
    if (way != OUTCOME_BAIL) {
        return way;
    }
    copier_remember_asked(copier, route, reducer.uncompilable ? reducer.function : NULL, rests);
    PyObject *reduce_value = callable == NULL ? get_reduce_value(copier, object, Py_TYPE(object))
                                              : copier_ask_function(copier, callable, object);
    return reduce_value == NULL ? OUTCOME_RAISED
                                : copy_and_release(copier, object, reduce_value, copy);
}

/* The copy of an owned object by the plan of its class's own __reduce_ex__ or __reduce__. */
static enum outcome
deepcopy_by_method(struct copier *copier, PyObject *object, int unique, PyObject **copy)
{
    struct core_state *state = copier->state;
    struct reducer reducer;
    int takes_protocol;
    PyObject *method = reducer_rests(copier, known_route_of(copier, object))
                           ? NULL
                           : bound_find_method(state, object, &takes_protocol);
    return method == NULL ? OUTCOME_BAIL
                          : deepcopy_by_plan(copier, object, &method,
                                             takes_protocol ? state->protocols[4] : NULL, 1,
                                             &reducer, unique, copy);
}

/* Fills the fresh copy of an owned object with the state that it gave.  0 or -1. */
static int
take_over_state(struct copier *copier, PyObject *object, PyObject *copy, PyObject *state)
{
    if (copymemo_open(&copier->memo, object, COPY_OBJECT, copy, 0) < 0) {
        return -1;
    }
    if (state == Py_None) {
        return 0;
    }
    PyObject *copied = copier_copy_part(copier, state, is_unique(copier, state));
    int result = copied == NULL ? -1 : copier_set_state(copier, object, copy, copied);
    Py_XDECREF(copied);
    return result;
}

/* The state of an object by its __getstate__, which is an owned function of its type; strong or
   NULL. */
static PyObject *
call_getstate(struct copier *copier, PyObject *object, PyObject *getstate)
{
    PyObject *state = frozen_getstate(copier->state, object);
    if (state != NULL || PyErr_Occurred()) {
        return state;
    }
    enum outcome outcome = state_plan_give(copier->state, object, &state);
    if (outcome == OUTCOME_DONE || outcome == OUTCOME_RAISED
        || copier_before_foreign(copier) < 0) {
        return state;
    }
    int read =
        outcome == OUTCOME_HOT ? state_plan_read_getstate(copier->state, Py_TYPE(object)) : 0;
    state = read < 0 ? NULL : PyObject_CallOneArg(getstate, object);
    if (state != NULL && frozen_check(copier->state, object, state) < 0) {
        Py_CLEAR(state);
    }
    copier_after_foreign(copier);
    return state;
}

/* The state of an owned object that reduces by default, but for what its function __getstate__
   gives, or with its __dict__.  Strong; NULL with an exception, or without one if the object is to
   be asked for its reduce value. */
static PyObject *
find_default_state(struct copier *copier, PyObject *object)
{
    PyObject *getstate = type_lookup(Py_TYPE(object), copier->state->str.getstate);
    if (getstate == NULL || !PyFunction_Check(getstate)) {
        return default_dict_state(copier->state, object);
    }
    Py_INCREF(getstate);
    PyObject *state = call_getstate(copier, object, getstate);
    Py_DECREF(getstate);
    return state;
}

/* The copy of an owned object of such a state, without a reduce value. */
static enum outcome
deepcopy_by_state(struct copier *copier, PyObject *object, PyObject **copy)
{
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    unsigned int version = type_version(type);
    PyObject *state = find_default_state(copier, object);
    enum outcome way = state == NULL && !PyErr_Occurred() ? OUTCOME_BAIL : OUTCOME_RAISED;
    if (state != NULL
        && unlikely(version != type_version(type) || Py_TYPE(object) != type
                    || !copier_keeps_class(copier, type))) {
        PyObject *value = reduction_of_state(copier->state, type, state);
        if (value != NULL) {
            way = copy_and_release(copier, object, value, copy);
        }
    }
    else if (state != NULL) {
        *copy = layout_new_instance(type, copier->state->empty_tuple);
        if (*copy != NULL && take_over_state(copier, object, *copy, state) < 0) {
            Py_CLEAR(*copy);
        }
        way = *copy == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
    }
    if (way == OUTCOME_DONE || way == OUTCOME_RAISED) {
        copier_before_death(copier, copy);
        way = *copy == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
    }
    Py_XDECREF(state);
    Py_DECREF(type);
    if (way != OUTCOME_BAIL) {
        copier_after_foreign(copier);
    }
    return way;
}

/* The copy of an owned object that is asked for its reduce value.  Its type is owned too: a
   __deepcopy__ may change the object's class. */
static enum outcome
copy_asked(struct copier *copier, PyObject *object, int sure, PyObject **copy)
{
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    enum outcome way = OUTCOME_RAISED;
    int found = sure ? 0 : deepcopy_by_hook(copier, object, copy);
    if (found == 0) {
        PyObject *reduce_value = get_reduce_value(copier, object, type);
        if (reduce_value != NULL) {
            way = copy_and_release(copier, object, reduce_value, copy);
        }
    }
    else if (found > 0) {
        way = OUTCOME_DONE;
    }
    Py_DECREF(type);
    return way;
}

PyObject *
copier_by_reduction(struct copier *copier, PyObject *object, PyObject *reducer, unsigned int facts,
                    int unique)
{
    PyObject *copy = NULL;
    enum outcome way = OUTCOME_BAIL;
    int sure = surely_lacks_deepcopy(copier, object, facts);
    int reduces = sure && reducer == NULL && (facts & TYPE_OWN_REDUCE) != 0;
    int gives_state =
        sure && reducer == NULL && (facts & (TYPE_OWN_GETSTATE | TYPE_DICT_STATE)) != 0
        && copier->state->copy->routes->newobj_holds && copier->state->copy->routes->states_hold;
    reducer = sure && reducer != NULL && PyFunction_Check(reducer) ? reducer : NULL;
    Py_INCREF(object);
    if (reducer != NULL || reduces) {
        way = deepcopy_by_bound_plan(copier, object, unique, &copy);
    }
    if (way == OUTCOME_BAIL && reduces) {
        way = deepcopy_by_method(copier, object, unique, &copy);
    }
    if (way == OUTCOME_BAIL && reducer == NULL && gives_state) {
        way = deepcopy_by_state(copier, object, &copy);
    }
    if (way == OUTCOME_BAIL) {
        way = reducer != NULL ? deepcopy_by_reducer(copier, object, reducer, unique, &copy)
                              : copy_asked(copier, object, sure, &copy);
    }
    return copier_finish_copy(copier, object, way, copy);
}
