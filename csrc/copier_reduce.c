/* Copies by reduction: which way an object is asked for its reduce value, or need not be; see
   copier.h. */
#include "copier.h"

#include "form.h"
#include "frozen.h"
#include "reduce.h"

#if KNOWN_LAYOUT

/* ---- asking ------------------------------------------------------------ */

/* Whether it is sure, without asking it, that the object has no __deepcopy__. */
static int
surely_lacks_deepcopy(struct copier *copier, PyObject *object, unsigned int facts)
{
    const unsigned int plain = CLONE_PLAIN_GETATTR | CLONE_NO_DEEPCOPY;
    if ((facts & plain) != plain) {
        return 0;
    }
    return (facts & CLONE_NO_DICT) != 0
           || ((facts & CLONE_OWN_DICT) != 0
               && clone_lacks_attribute(object, Py_TYPE(object), copier->state->str.deepcopy));
}

/* Calls __deepcopy__(memo).  1 and the copy, 0 if there is none, -1.  After it, no table that was
   read before is good. */
static int
copy_by_hook(struct copier *copier, PyObject *object, PyObject **copy)
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
find_reducer(struct copier *copier, PyTypeObject *type, PyObject **reducer)
{
    struct core_state *state = copier->state;
    if (state->copyroutes->epoch != copier->epoch) {
        copyroute_refresh(state, copier->epoch);
    }
    PyObject *table = state->copyroutes->reducers;
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

/* reducer(object); strong or NULL.  A Python function is entered where any call would enter it in
   the end, after it was found out what it is. */
ALWAYS_INLINE PyObject *
call_reducer(PyObject *reducer, PyObject *object)
{
    if (PyFunction_Check(reducer)) {
        PyObject *arguments[] = {NULL, object};
        return ((PyFunctionObject *)reducer)
            ->vectorcall(reducer, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    return PyObject_CallOneArg(reducer, object);
}

/* Gets the reduce value; strong or NULL. */
static PyObject *
ask(struct copier *copier, PyObject *object, PyTypeObject *type, PyObject *known)
{
    PyObject *reducer = known, *reduce_value = NULL;
    if (copier_before_asking(copier) < 0) {
        return NULL;
    }
    int found = known != NULL;
    if (!found) {
        found = find_reducer(copier, type, &reducer);
    }
    else {
        Py_INCREF(reducer);
    }
    if (found > 0) {
        reduce_value = call_reducer(reducer, object);
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
ask_plan(struct copier *copier, PyObject *object, PyObject **callable,
         enum reducer_verdict verdict, struct reducer *reducer, PyObject **reduce_value)
{
    if (verdict == REDUCER_DUE) {
        PyObject *owned = Py_NewRef(*callable);
        int read = copier_before_foreign(copier) < 0 ? -1 : reducer_read(copier->state, reducer);
        Py_DECREF(owned);
        copier_after_foreign(copier);
        *callable = NULL;
        return read;
    }
    if (verdict != REDUCER_PLAN) {
        return 0;
    }
    switch (reducer_run(copier->state, reducer, object, reduce_value)) {
    case READ_FOUND:
        return reducer->steps->leaves_only && PyTuple_CheckExact(*reduce_value) ? 1 : 2;
    case READ_RAISED: return -1;
    default: return 0;
    }
}

/* ---- the ways ---------------------------------------------------------- */

/* Whether objects are their own copies.  Runs no Python code. */
static int
are_usual_atoms(struct copier *copier, PyObject *const *objects, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!is_usual_atom(objects[i])) {
            return 0;
        }
    }
    return copier->atoms_hold || (copier_look(copier) && copier->atoms_hold);
}

/* How far an object was copied: DONE if its end is to be entered in the memo yet, CLOSED if the
   memo is done with it too, NOT_SO if nothing was done. */
enum way { WAY_RAISED = -1, WAY_NOT_SO, WAY_DONE, WAY_CLOSED };

/* What the form of a type's next object can rely on, after one was made by it. */
static void
remember_form(struct copier *copier, PyTypeObject *type, Py_ssize_t count)
{
    if (copier->depth == 1 || copier->memo.dict != NULL) {
        return; /* there is no next object, or it goes into a memo that can be seen */
    }
    struct form *form = form_at(copier->state, type);
    if (form->maker == NULL && (copyroute_facts(copier->state, type) & CLONE_NO_DICT) != 0) {
        form->maker = make_find_stores(copier->state, form->callable, count);
    }
    copier->last_form = form->maker != NULL ? form : NULL;
}

int
copier_copy_again(struct copier *copier, PyObject *object, PyObject **copy)
{
    struct form *form = copier->last_form;
    PyTypeObject *type = Py_TYPE(object);
    PyObject *values[FORM_PARTS_MAX];
    if (form->type != type || form->copy_epoch != copier->epoch || form->maker == NULL
        || copier->memo.dict != NULL) {
        return 0;
    }
    for (int i = 0; i < form->argument_count; i++) {
        values[i] = form_read_part(&form->parts[i], type, object);
        if (values[i] == NULL || !is_usual_atom(values[i])) {
            return 0;
        }
    }
    enum make_outcome outcome =
        make_by_stores(copier->state, form->maker, values, form->argument_count, copy);
    if (outcome == MAKE_DONE
        && copymemo_log(&copier->memo, object, COPY_OBJECT, *copy, COPY_WHOLE) < 0) {
        Py_CLEAR(*copy);
        return -1;
    }
    copier->state->reduced_by_plan += outcome == MAKE_DONE;
    copier->state->made_by_plan += outcome == MAKE_DONE;
    return outcome == MAKE_CALL ? 0 : outcome;
}

/* The copy of an owned object that is read by the form of its type, if one is ready. */
static enum way
copy_by_form(struct copier *copier, PyObject *object, int alone, PyObject **copy)
{
    struct form_parts parts;
    uint64_t epoch = copier->epoch;
    if (!form_read(copier->state, epoch, object, &parts)) {
        return WAY_NOT_SO;
    }
    enum make_outcome outcome = MAKE_CALL;
    if (are_usual_atoms(copier, parts.values, parts.count)) {
        outcome = make_object(copier->state, parts.callable, parts.values, parts.count, copy);
    }
    if (likely(outcome == MAKE_DONE)) {
        if (copier_enter_whole(copier, object, COPY_OBJECT, *copy, alone) == 0) {
            remember_form(copier, Py_TYPE(object), parts.count);
            return WAY_CLOSED;
        }
        Py_CLEAR(*copy);
        return WAY_RAISED;
    }
    if (outcome == MAKE_RAISED) {
        return WAY_RAISED;
    }
    if (outcome == MAKE_DUE) {
        Py_DECREF(*copy);
    }
    copier_open_unentered(copier, alone);
    *copy = copier_construct_from(copier, &parts);
    copier_close_unentered(copier);
    if (*copy != NULL && copier_enter(copier, object, *copy, alone, epoch) < 0) {
        Py_CLEAR(*copy);
    }
    return *copy == NULL ? WAY_RAISED : WAY_DONE;
}

/* What a callable with a plan makes of atoms in a tuple, which are moved out of it if only the
   reduce value holds it.  DONE, RAISED, or CALL and nothing was done. */
static enum make_outcome
make_of_atoms(struct core_state *state, PyObject *reduce_value, PyObject **made)
{
    PyObject *callable = PyTuple_GET_ITEM(reduce_value, PART_CALLABLE);
    PyObject *arguments = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    PyObject **values = &PyTuple_GET_ITEM(arguments, 0);
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (has_one_reference(reduce_value) && has_one_reference(arguments)) {
        enum make_outcome outcome = make_taking(state, callable, values, count, made);
        if (outcome != MAKE_CALL) {
            return outcome == MAKE_TAKEN ? MAKE_DONE : outcome;
        }
    }
    enum make_outcome outcome = make_object(state, callable, values, count, made);
    if (outcome == MAKE_DUE) {
        Py_CLEAR(*made);
    }
    return outcome == MAKE_DUE ? MAKE_CALL : outcome;
}

/* The copy of an owned object from what its reducer gave, if that is a callable with a plan and
   atoms, which are their own copies.  CLOSED, RAISED, or NOT_SO. */
static enum way
copy_from_atoms(struct copier *copier, PyObject *object, PyObject *reduce_value, PyObject **copy)
{
    if (reduction_check_for_copy(reduce_value) != REDUCTION_VALID
        || PyTuple_GET_SIZE(reduce_value) != 2) {
        return WAY_NOT_SO;
    }
    PyObject *callable = PyTuple_GET_ITEM(reduce_value, PART_CALLABLE);
    PyObject *arguments = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    PyObject *const *values = &PyTuple_GET_ITEM(arguments, 0);
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (Py_REFCNT(callable) == 1 || !are_usual_atoms(copier, values, count)) {
        return WAY_NOT_SO;
    }
    enum make_outcome outcome = make_of_atoms(copier->state, reduce_value, copy);
    if (outcome != MAKE_DONE) {
        return outcome == MAKE_RAISED ? WAY_RAISED : WAY_NOT_SO;
    }
    if (copymemo_own_whole(&copier->memo, object, *copy) < 0) {
        Py_CLEAR(*copy);
        return WAY_RAISED;
    }
    copymemo_hide_entries(&copier->memo);
    return WAY_CLOSED;
}

/* The copy of an owned object from a reduce value, which is stolen. */
static enum way
copy_and_drop(struct copier *copier, PyObject *object, PyObject *reduce_value, int planned,
              int alone, PyObject **copy)
{
    uint64_t epoch = copier->epoch;
    enum way way = planned ? WAY_NOT_SO : copy_from_atoms(copier, object, reduce_value, copy);
    if (way == WAY_CLOSED) {
        /* Nothing dies of it but tuples and atoms. */
        Py_DECREF(reduce_value);
        return way;
    }
    if (way == WAY_NOT_SO) {
        *copy = copier_copy_from(copier, object, reduce_value, planned ? alone : 0);
    }
    if (planned == 1 && epoch == copier->epoch && PyTuple_GET_SIZE(reduce_value) == 2) {
        /* The object still holds what the reduce value was made of. */
        Py_DECREF(reduce_value);
        return *copy == NULL ? WAY_RAISED : WAY_DONE;
    }
    if (*copy != NULL && copier_before_foreign(copier) < 0) {
        Py_CLEAR(*copy);
    }
    Py_DECREF(reduce_value);
    copier_after_foreign(copier);
    return *copy == NULL ? WAY_RAISED : WAY_DONE;
}

/* Whether the next object of the type need not be looked at, but for what may have changed. */
static void
remember_asked(struct copier *copier, PyTypeObject *type, const struct reducer *reducer)
{
    int settled = reducer->refused && copier->memo.dict == NULL
                  && (copyroute_facts(copier->state, type) & CLONE_NO_DICT) != 0;
    copier->asked_route = settled ? copyroute_known(copier->state->copyroutes, type) : NULL;
    copier->asked_code = settled ? PyFunction_GET_CODE(reducer->function) : NULL;
}

/* Whether the type's reducer is the one that was called last. */
static int
is_asked_again(struct copier *copier, struct copyroute *route)
{
    if ((!copier->atoms_hold && (!copier_look(copier) || !copier->atoms_hold))
        || copier->memo.dict != NULL
        || (route->epoch != copier->epoch
            && !copyroute_confirm(copier->state->copyroutes, route, copier->epoch))) {
        return 0;
    }
    return route->kind == ROUTE_REDUCE && route->function != NULL
           && PyFunction_Check(route->function)
           && PyFunction_GET_CODE(route->function) == copier->asked_code;
}

/* The copy of an owned object by the plan of the callable that reduces it, if there is one.
   NOT_SO if that is to be called, and *callable NULL if it is to be looked up again. */
static enum way
copy_by_plan(struct copier *copier, PyObject *object, PyObject **callable, PyObject *protocol,
             int of_method, struct reducer *reducer, int alone, PyObject **copy)
{
    PyObject *reduce_value = NULL;
    enum reducer_verdict verdict = reducer_meet(copier->state, *callable, protocol, reducer);
    if (verdict == REDUCER_PLAN
        && form_prepare(copier->state, copier->epoch, reducer, of_method, Py_TYPE(object))) {
        enum way way = copy_by_form(copier, object, alone, copy);
        if (way != WAY_NOT_SO) {
            return way;
        }
    }
    if (verdict == REDUCER_CALL) {
        return WAY_NOT_SO;
    }
    int planned = ask_plan(copier, object, callable, verdict, reducer, &reduce_value);
    return planned == 0  ? WAY_NOT_SO
           : planned < 0 ? WAY_RAISED
                         : copy_and_drop(copier, object, reduce_value, planned, alone, copy);
}

/* The copy of an owned object by the function that dispatch_table has. */
static enum way
copy_by_reducer(struct copier *copier, PyObject *object, PyObject *callable, int alone,
                PyObject **copy)
{
    struct reducer reducer;
    enum way way = copy_by_plan(copier, object, &callable, NULL, 0, &reducer, alone, copy);
    if (way != WAY_NOT_SO) {
        return way;
    }
    remember_asked(copier, Py_TYPE(object), &reducer);
    PyObject *reduce_value = ask(copier, object, Py_TYPE(object), callable);
    return reduce_value == NULL ? WAY_RAISED
                                : copy_and_drop(copier, object, reduce_value, 0, alone, copy);
}

/* The copy of an owned object by the plan of its class's own __reduce_ex__ or __reduce__. */
static enum way
copy_by_method(struct copier *copier, PyObject *object, int alone, PyObject **copy)
{
    struct core_state *state = copier->state;
    struct reducer reducer;
    int takes_protocol;
    PyObject *method = form_find_method(state, object, &takes_protocol);
    return method == NULL
               ? WAY_NOT_SO
               : copy_by_plan(copier, object, &method, takes_protocol ? state->protocols[4] : NULL,
                              1, &reducer, alone, copy);
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
    PyObject *copied = copier_copy_part(copier, state, is_alone(copier, state));
    int result = copied == NULL ? -1 : copier_set_state(copier, object, copy, copied);
    Py_XDECREF(copied);
    return result;
}

/* What an object's __getstate__ gives, which is an owned function of its type; strong or NULL. */
static PyObject *
ask_for_state(struct copier *copier, PyObject *object, PyObject *getstate)
{
    PyObject *state = frozen_getstate(copier->state, object);
    if (state != NULL || PyErr_Occurred() || copier_before_foreign(copier) < 0) {
        return state;
    }
    state = PyObject_CallOneArg(getstate, object);
    if (state != NULL) {
        frozen_check(copier->state, object, state);
    }
    copier_after_foreign(copier);
    return state;
}

/* The state of an owned object that reduces by default, but for what its function __getstate__
   gives, or with its __dict__.  Strong; NULL with an exception, or without one if the object is to
   be asked for its reduce value. */
static PyObject *
find_state(struct copier *copier, PyObject *object)
{
    PyObject *getstate = type_lookup(Py_TYPE(object), copier->state->str.getstate);
    if (getstate == NULL || !PyFunction_Check(getstate)) {
        return clone_dict_state(copier->state, object);
    }
    Py_INCREF(getstate);
    PyObject *state = ask_for_state(copier, object, getstate);
    Py_DECREF(getstate);
    return state;
}

/* The copy of an owned object of such a state, without a reduce value. */
static enum way
copy_by_state(struct copier *copier, PyObject *object, PyObject **copy)
{
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    unsigned int version = type_version(type);
    PyObject *state = find_state(copier, object);
    enum way way = state == NULL && !PyErr_Occurred() ? WAY_NOT_SO : WAY_RAISED;
    if (state != NULL && unlikely(version != type_version(type) || Py_TYPE(object) != type)) {
        PyObject *value = reduction_of_state(copier->state, type, state);
        if (value != NULL) {
            way = copy_and_drop(copier, object, value, 0, 0, copy);
        }
    }
    else if (state != NULL) {
        *copy = layout_new_instance(type, copier->state->empty_tuple);
        if (*copy != NULL && take_over_state(copier, object, *copy, state) < 0) {
            Py_CLEAR(*copy);
        }
        way = *copy == NULL ? WAY_RAISED : WAY_DONE;
    }
    if (way == WAY_DONE && copier_before_foreign(copier) < 0) {
        Py_CLEAR(*copy);
        way = WAY_RAISED;
    }
    Py_XDECREF(state);
    Py_DECREF(type);
    if (way != WAY_NOT_SO) {
        copier_after_foreign(copier);
    }
    return way;
}

/* The copy of an owned object that is asked for its reduce value.  Its type is owned too: it may
   have a __deepcopy__ that changes it. */
static enum way
copy_asked(struct copier *copier, PyObject *object, int sure, PyObject **copy)
{
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    enum way way = WAY_RAISED;
    int found = sure ? 0 : copy_by_hook(copier, object, copy);
    if (found == 0) {
        PyObject *reduce_value = ask(copier, object, type, NULL);
        if (reduce_value != NULL) {
            way = copy_and_drop(copier, object, reduce_value, 0, 0, copy);
        }
    }
    else if (found > 0) {
        way = WAY_DONE;
    }
    Py_DECREF(type);
    return way;
}

/* The copy in the end, of an object that is owned no longer. */
static PyObject *
finish_copy(struct copier *copier, PyObject *object, enum way way, PyObject *copy)
{
    if (way == WAY_DONE && copy != object
        && copymemo_close(&copier->memo, object, COPY_OBJECT, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(object);
    return way == WAY_RAISED ? NULL : copy;
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
    PyObject *reduce_value = ask(copier, object, copyroute_type(route), route->function);
    enum way way = reduce_value == NULL ? WAY_RAISED
                                        : copy_and_drop(copier, object, reduce_value, 0, 0, copy);
    copier->depth--;
    *copy = finish_copy(copier, object, way, *copy);
    return *copy == NULL ? -1 : 1;
}

PyObject *
copier_by_reduction(struct copier *copier, PyObject *object, PyObject *reducer, unsigned int facts,
                    int alone)
{
    PyObject *copy = NULL;
    enum way way = WAY_NOT_SO;
    int sure = surely_lacks_deepcopy(copier, object, facts);
    int reduces = sure && reducer == NULL && (facts & CLONE_OWN_REDUCE) != 0;
    int gives_state =
        sure && reducer == NULL && (facts & (CLONE_OWN_GETSTATE | CLONE_DICT_STATE)) != 0
        && copier->state->copyroutes->newobj_holds && copier->state->copyroutes->states_hold;
    reducer = sure && reducer != NULL && PyFunction_Check(reducer) ? reducer : NULL;
    Py_INCREF(object);
    if (reducer != NULL || reduces) {
        way = copy_by_form(copier, object, alone, &copy);
    }
    if (way == WAY_NOT_SO && reduces) {
        way = copy_by_method(copier, object, alone, &copy);
    }
    if (way == WAY_NOT_SO && reducer == NULL && gives_state) {
        way = copy_by_state(copier, object, &copy);
    }
    if (way == WAY_NOT_SO) {
        way = reducer != NULL ? copy_by_reducer(copier, object, reducer, alone, &copy)
                              : copy_asked(copier, object, sure, &copy);
    }
    return finish_copy(copier, object, way, copy);
}

#endif
