/* The next object of a type that is read by a bound plan, or whose reducer is called: only those
   questions are asked whose answers may have changed since the last one was copied; see copier.h.

   Most objects that are copied are of the type of the one before them, and of those whose reducer
   is called, half of the time is the call.  So little else is done for them: the copy module's
   tables are guarded by a dict watch, and the class by its version. */
#include "copy/copier.h"

#include "types/bound.h"
#include "base/reduction.h"
#include "plans/room.h"
#include "copy/room.h"

/* ---- by a bound plan ---------------------------------------------------- */

void
copier_remember_bound(struct copier *copier, PyTypeObject *type, Py_ssize_t count)
{
    if (copier->depth == 1 || copier->memo.dict != NULL) {
        return; /* there is no next object, or it goes into a memo that can be seen */
    }
    struct bound_plan *bound = bound_at(copier->state, type);
    if (bound->making_count == 0 && bound->constructor == NULL
        && (copyroute_facts(copier->state, type) & TYPE_NO_DICT) != 0) {
        bound->constructor = construct_find_stores(copier->state, bound->callable, count);
    }
    copier->last_bound = bound->constructor != NULL ? bound : NULL;
}

int
copier_copy_again(struct copier *copier, PyObject *object, PyObject **copy)
{
    struct bound_plan *bound = copier->last_bound;
    PyTypeObject *type = Py_TYPE(object);
    PyObject *values[BOUND_PARTS_MAX];
    if (bound->type != type || bound->copy_epoch != copier->epoch || bound->constructor == NULL
        || copier->memo.dict != NULL) {
        return 0;
    }
    for (int i = 0; i < bound->argument_count; i++) {
        values[i] = bound_read_part(&bound->parts[i], type, object);
        if (values[i] == NULL || !is_usual_atom(values[i])) {
            return 0;
        }
    }
    enum outcome outcome = construct_by_stores(copier->state, bound->constructor, values,
                                               bound->argument_count, copy);
    if (outcome == OUTCOME_DONE
        && copymemo_log(&copier->memo, object, COPY_OBJECT, *copy, COPY_AT_ONCE) < 0) {
        Py_CLEAR(*copy);
        return -1;
    }
    copier->state->plans->reduced_by_plan += outcome == OUTCOME_DONE;
    copier->state->plans->made_by_plan += outcome == OUTCOME_DONE;
    return outcome == OUTCOME_BAIL ? 0 : outcome;
}

/* ---- from a reduce value of atoms --------------------------------------- */

/* The object that a callable with a plan constructs of atoms in a tuple, which are moved out of it
   if only the reduce value holds it.  OUTCOME_DONE, OUTCOME_RAISED, or OUTCOME_BAIL. */
ALWAYS_INLINE enum outcome
make_of_atoms(struct core_state *state, PyObject *reduce_value, int *untracked, PyObject **made)
{
    PyObject *callable = PyTuple_GET_ITEM(reduce_value, PART_CALLABLE);
    PyObject *arguments = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    PyObject **values = &PyTuple_GET_ITEM(arguments, 0);
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (has_one_reference(reduce_value) && has_one_reference(arguments)) {
        enum outcome outcome =
            construct_taking_untracked(state, callable, values, count, untracked, made);
        if (outcome != OUTCOME_BAIL) {
            return outcome == OUTCOME_TAKEN ? OUTCOME_DONE : outcome;
        }
    }
    *untracked = 0;
    enum outcome outcome = construct_object(state, callable, values, count, made);
    if (outcome == OUTCOME_HOT) {
        Py_CLEAR(*made);
    }
    return outcome == OUTCOME_HOT ? OUTCOME_BAIL : outcome;
}

ALWAYS_INLINE enum outcome
copy_from_atoms(struct copier *copier, PyObject *object, PyObject *reduce_value, PyObject **copy)
{
    if (reduction_check_for_copy(reduce_value) != REDUCTION_VALID
        || PyTuple_GET_SIZE(reduce_value) != 2) {
        return OUTCOME_BAIL;
    }
    PyObject *callable = PyTuple_GET_ITEM(reduce_value, PART_CALLABLE);
    PyObject *arguments = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    PyObject *const *values = &PyTuple_GET_ITEM(arguments, 0);
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (Py_REFCNT(callable) == 1 || !copier_are_atoms(copier, values, count)) {
        return OUTCOME_BAIL;
    }
    int untracked = copymemo_is_hiding(&copier->memo);
    enum outcome outcome = make_of_atoms(copier->state, reduce_value, &untracked, copy);
    if (outcome != OUTCOME_DONE) {
        return outcome == OUTCOME_RAISED ? OUTCOME_RAISED : OUTCOME_BAIL;
    }
    if (copymemo_own_at_once(&copier->memo, object, *copy, untracked) < 0) {
        Py_CLEAR(*copy);
        return OUTCOME_RAISED;
    }
    copymemo_hide_entries(&copier->memo);
    return OUTCOME_CLOSED;
}

enum outcome
copier_from_atoms(struct copier *copier, PyObject *object, PyObject *reduce_value, PyObject **copy)
{
    return copy_from_atoms(copier, object, reduce_value, copy);
}

/* ---- by a function that is called --------------------------------------- */

/* function(object); strong or NULL. */
ALWAYS_INLINE PyObject *
ask_function(struct copier *copier, PyObject *function, PyObject *object)
{
    if (copier_before_asking(copier) < 0) {
        return NULL;
    }
    Py_INCREF(function);
    PyObject *reduce_value = reducer_call(function, object);
    Py_DECREF(function);
    copier_after_foreign(copier);
    return reduce_value;
}

PyObject *
copier_ask_function(struct copier *copier, PyObject *function, PyObject *object)
{
    return ask_function(copier, function, object);
}

void
copier_remember_asked(struct copier *copier, struct copyroute *route, PyObject *function,
                      int rests)
{
    int lasting = function != NULL && route != NULL && copier->memo.dict == NULL
                  && (route->facts & TYPE_NO_DICT) != 0;
    copier->asked_route = lasting ? route : NULL;
    copier->asked_code = lasting ? PyFunction_GET_CODE(function) : NULL;
    copier->asked_rests = rests;
}

/* True if the type's reducer is the one that was called last. */
ALWAYS_INLINE int
is_asked_again(struct copier *copier, struct copyroute *route)
{
    if ((!copier->atoms_hold && (!copier_look(copier) || !copier->atoms_hold))
        || copier->memo.dict != NULL
        || (route->epoch != copier->epoch
            && !copyroute_confirm(copier->state->copy->routes, route, copier->epoch))) {
        return 0;
    }
    return route->kind == ROUTE_REDUCE && route->function != NULL
           && PyFunction_Check(route->function)
           && PyFunction_GET_CODE(route->function) == copier->asked_code
           && (!copier->asked_rests
               || trial_rests(&route->deep_trial,
                              copyroute_guard(copier->state->copy->routes, route)));
}

int
copier_ask_again(struct copier *copier, PyObject *object, PyObject **copy)
{
    struct copyroute *route = copier->asked_route;
    if (!is_asked_again(copier, route)) {
        return 0;
    }
    *copy = NULL;
    Py_INCREF(object);
    copier->depth++;
    PyObject *reduce_value = ask_function(copier, route->function, object);
    enum outcome way = reduce_value == NULL ? OUTCOME_RAISED
                                            : copy_from_atoms(copier, object, reduce_value, copy);
    if (likely(way == OUTCOME_CLOSED)) {
        /* Nothing dies of it but tuples and atoms. */
        Py_DECREF(reduce_value);
    }
    else if (reduce_value != NULL) {
        way = copier_from_value(copier, object, reduce_value, way, 0, 0, copy);
    }
    copier->depth--;
    *copy = copier_finish_copy(copier, object, way, *copy);
    return *copy == NULL ? -1 : 1;
}
