/* copy and replace: see copier.h, and copyroute.h for the order of copy's questions. */
#include "copier.h"

#include "form.h"
#include "reduce.h"

/* A value of the copy module as it is now: 1 and strong, 0, -1. */
static int
read_copy_global(struct core_state *state, PyObject *name, PyObject **value)
{
    return PyDict_GetItemRef(state->stdlib.copy_globals, name, value);
}

/* Looks a type up in a table of the copy module: 1 and strong, 0, -1.  Runs Python code only
   for classes and tables that do. */
static int
read_table(struct core_state *state, PyObject *table_name, PyTypeObject *type, PyObject **value)
{
    PyObject *table;
    *value = NULL;
    int found = read_copy_global(state, table_name, &table);
    if (found > 0) {
        found = PyDict_CheckExact(table)
                    ? PyDict_GetItemRef(table, (PyObject *)type, value)
                    : PyMapping_GetOptionalItem(table, (PyObject *)type, value);
        Py_DECREF(table);
    }
    return found;
}

/* type in a set of the copy module: 1, 0, -1. */
static int
is_in(struct core_state *state, PyObject *set_name, PyTypeObject *type)
{
    PyObject *set;
    int found = read_copy_global(state, set_name, &set);
    if (found > 0) {
        found = PySequence_Contains(set, (PyObject *)type);
        Py_DECREF(set);
    }
    return found;
}

/* ---- builtin types ----------------------------------------------------- */

/* Up to 3.13: _copy_dispatch[cls](x).  1 and the copy, 0, -1. */
static int
copy_by_dispatch(struct core_state *state, PyObject *object, PyObject **copy)
{
    PyObject *function;
    int found = read_table(state, state->str.copy_dispatch, Py_TYPE(object), &function);
    if (found > 0) {
        found = PyObject_IsTrue(function);
    }
    if (found > 0) {
        *copy = function == state->stdlib.copy_immutable ? Py_NewRef(object)
                                                         : PyObject_CallOneArg(function, object);
        found = *copy == NULL ? -1 : 1;
    }
    Py_XDECREF(function);
    return found;
}

/* From 3.14: atomic types are their own copies, builtin containers have a method. */
static int
copy_by_sets(struct core_state *state, PyObject *object, PyObject **copy)
{
    PyTypeObject *type = Py_TYPE(object);
    int found = is_in(state, state->str.copy_atomic_types, type);
    if (found != 0) {
        *copy = found > 0 ? Py_NewRef(object) : NULL;
        return found;
    }
    found = is_in(state, state->str.copy_builtin_containers, type);
    if (found > 0) {
        PyObject *method = PyObject_GetAttr((PyObject *)type, state->str.copy_method);
        *copy = method == NULL ? NULL : PyObject_CallOneArg(method, object);
        Py_XDECREF(method);
        found = *copy == NULL ? -1 : 1;
    }
    return found;
}

/* ---- reductions -------------------------------------------------------- */

/* Whether a reduce value is a callable, arguments and at most a state. */
static int
has_no_items(PyObject *reduce_value)
{
    return reduction_check_for_copy(reduce_value) == REDUCTION_VALID
           && reduction_part(reduce_value, PART_LISTITEMS) == NULL
           && reduction_part(reduce_value, PART_DICTITEMS) == NULL;
}

/* constructor(*arguments), all owned by the caller, by its plan or by calling it; strong or NULL.
   `tuple`: what the arguments are in, which exceptions keep as it is; NULL: nothing. */
static PyObject *
construct(struct core_state *state, PyObject *callable, PyObject *const *arguments,
          Py_ssize_t count, PyObject *tuple)
{
    PyObject *made;
    enum make_outcome outcome = make_object(state, callable, arguments, count, &made);
    if (outcome == MAKE_DONE || outcome == MAKE_RAISED) {
        return outcome == MAKE_DONE ? made : NULL;
    }
    if (outcome == MAKE_DUE && make_read(state, made) < 0) {
        return NULL;
    }
    return tuple != NULL ? PyObject_Call(callable, tuple, NULL)
                         : PyObject_Vectorcall(callable, arguments, (size_t)count, NULL);
}

static PyObject *
rebuild(struct core_state *state, PyObject *object, PyObject *reduce_value)
{
    PyObject *arguments = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    PyObject *copy =
        construct(state, PyTuple_GET_ITEM(reduce_value, PART_CALLABLE),
                  &PyTuple_GET_ITEM(arguments, 0), PyTuple_GET_SIZE(arguments), arguments);
    PyObject *object_state = reduction_part(reduce_value, PART_STATE);
    if (copy != NULL && object_state != NULL
        && copier_apply_state(state, object, copy, object_state) < 0) {
        Py_CLEAR(copy);
    }
    return copy;
}

/* What copy makes of a reduce value, which is stolen, or NULL; strong or NULL. */
static PyObject *
copy_from(struct core_state *state, PyObject *object, PyObject *reduce_value)
{
    PyObject *copy = NULL;
    if (reduce_value == NULL) {
        return NULL;
    }
    if (has_no_items(reduce_value)) {
        copy = rebuild(state, object, reduce_value);
    }
    else {
        int is_name = PyObject_IsInstance(reduce_value, (PyObject *)&PyUnicode_Type);
        if (is_name >= 0) {
            copy = is_name ? Py_NewRef(object)
                           : copier_reconstruct(state, object, NULL, reduce_value);
        }
    }
    Py_DECREF(reduce_value);
    return copy;
}

/* ---- instances --------------------------------------------------------- */

#if KNOWN_LAYOUT

static void
share_slots(const struct clone_plan *plan, PyObject *object, PyObject *copy)
{
    for (Py_ssize_t i = 0; i < plan->slot_count; i++) {
        Py_ssize_t offset = plan->slots[i].offset;
        *layout_slot(copy, offset) = Py_XNewRef(*layout_slot(object, offset));
    }
}

static int
share_values(PyObject *object, struct layout_values *values, PyObject *copy)
{
    struct layout_values *target = layout_unmade_values(copy, Py_TYPE(object));
    if (target == NULL) {
        PyObject *dict = PyObject_GenericGetDict(object, NULL);
        int result = dict == NULL ? -1 : clone_update(copy, dict);
        Py_XDECREF(dict);
        return result;
    }
    for (int i = 0; i < layout_values_count(values); i++) {
        int index = layout_values_index(values, i);
        layout_values_append(target, index, Py_NewRef(values->values[index]));
    }
    return 0;
}

/* A clone that shares the object's fields; strong or NULL. */
static PyObject *
share_fields(struct core_state *state, struct clone_plan *plan, PyObject *object,
             struct clone_fields *fields)
{
    int collector = collector_hold();
    PyObject *copy = layout_new_instance(Py_TYPE(object), state->empty_tuple);
    int result = copy == NULL ? -1 : 0;
    if (result == 0 && !plan->has_dict) {
        share_slots(plan, object, copy);
    }
    else if (result == 0 && fields->values != NULL) {
        result = share_values(object, fields->values, copy);
    }
    else if (result == 0 && fields->dict != NULL) {
        result = clone_update(copy, fields->dict);
    }
    collector_resume(collector);
    if (result < 0) {
        Py_CLEAR(copy);
    }
    return copy;
}

/* The route of a type if it can be found without asking anybody; NULL without an exception. */
static struct copyroute *
find_route(struct core_state *state, PyTypeObject *type)
{
    struct copyroutes *routes = state->copyroutes;
    struct copyroute *route = copyroute_known(routes, type);
    copyroute_refresh(state, ++state->copy_epoch);
    if (route != NULL && likely(copyroute_confirm(routes, route, state->copy_epoch))) {
        return route;
    }
    if (!routes->usable || !copyroute_is_pure(state, type)) {
        return NULL;
    }
    route = copyroute_find(state, type, state->copy_epoch);
    if (route == NULL) {
        PyErr_Clear(); /* a MemoryError; it will come again */
    }
    return route != NULL && route->generation == routes->generation ? route : NULL;
}

/* The copy of an instance from what its form reads, which is owned meanwhile; strong or NULL. Runs
   Python code. */
static PyObject *
construct_from(struct core_state *state, struct form_parts *parts)
{
    PyObject *callable = Py_NewRef(parts->callable);
    for (Py_ssize_t i = 0; i < parts->count; i++) {
        Py_INCREF(parts->values[i]);
    }
    PyObject *copy = construct(state, callable, parts->values, parts->count, NULL);
    for (Py_ssize_t i = 0; i < parts->count; i++) {
        Py_DECREF(parts->values[i]);
    }
    Py_DECREF(callable);
    return copy;
}

/* Copies by the plan of a reducer, which may be a method.  1 and the copy, 0, -1. */
static int
copy_by_form(struct core_state *state, struct copyroute *route, PyObject *object,
             PyObject *callable, PyObject *protocol, int of_method, PyObject **copy)
{
    struct reducer reducer;
    PyObject *values[FORM_PARTS_MAX];
    struct form_parts parts = {NULL, values, FORM_PARTS_MAX};
    uint64_t guard = copyroute_guard(state->copyroutes, route);
    if (trial_rests(&route->shallow_trial, guard)) {
        return 0;
    }
    enum reducer_verdict verdict = reducer_meet(state, callable, protocol, &reducer);
    if (verdict == REDUCER_DUE) {
        Py_INCREF(callable);
        int read = reducer_read(state, &reducer);
        Py_DECREF(callable);
        return read;
    }
    if (verdict != REDUCER_PLAN) {
        return 0;
    }
    if (!form_prepare(state, state->copy_epoch, &reducer, of_method, Py_TYPE(object))
        || !form_read(state, state->copy_epoch, object, &parts)) {
        trial_failed(&route->shallow_trial, guard);
        return 0;
    }
    trial_succeeded(&route->shallow_trial);
    *copy = construct_from(state, &parts);
    return *copy == NULL ? -1 : 1;
}

/* Copies by the plan of the class's own __reduce_ex__ or __reduce__.  1 and the copy, 0, -1. */
static int
copy_by_method(struct core_state *state, struct copyroute *route, PyObject *object,
               PyObject **copy)
{
    int takes_protocol;
    PyObject *method = form_find_method(state, object, &takes_protocol);
    return method == NULL ? 0
                          : copy_by_form(state, route, object, method,
                                         takes_protocol ? state->protocols[4] : NULL, 1, copy);
}

/* Copies an instance as its type's plan says.  1 and the copy, 0, -1. */
static int
copy_clone(struct core_state *state, struct clone_plan *plan, PyObject *object, PyObject **copy)
{
    struct clone_fields fields = {NULL, NULL};
    if (plan->has_dict && !clone_find_fields(plan, object, &fields)) {
        return 0;
    }
    *copy = share_fields(state, plan, object, &fields);
    return *copy == NULL ? -1 : 1;
}

/* type.copy(x) of a builtin container.  1 and the copy, 0, -1. */
static int
copy_container(PyObject *object, PyObject **copy)
{
    if (PyList_CheckExact(object)) {
        *copy = PyList_GetSlice(object, 0, PyList_GET_SIZE(object));
    }
    else if (PyDict_CheckExact(object)) {
        *copy = PyDict_Copy(object);
    }
    else if (PyAnySet_CheckExact(object) && !PyFrozenSet_CheckExact(object)) {
        *copy = PySet_New(object);
    }
    else {
        return 0;
    }
    return *copy == NULL ? -1 : 1;
}

/* Copies an object whose type is known.  1 and the copy, 0, -1. */
static int
copy_by_route(struct core_state *state, PyObject *object, PyObject **copy)
{
    const unsigned int hookless = CLONE_PLAIN_GETATTR | CLONE_NO_COPY;
    struct copyroute *route = find_route(state, Py_TYPE(object));
    enum copyroute_shallow found =
        route == NULL ? SHALLOW_ASK : copyroute_look_shallowly(state, route);
    if (found == SHALLOW_ATOMIC) {
        *copy = Py_NewRef(object);
        return 1;
    }
    if (found == SHALLOW_CONTAINER) {
        return copy_container(object, copy);
    }
    if (found == SHALLOW_ASK || (route->facts & hookless) != hookless) {
        return 0;
    }
    if (route->kind == ROUTE_CLONE) {
        return copy_clone(state, route->plan, object, copy);
    }
    if (route->kind != ROUTE_REDUCE) {
        return 0;
    }
    if (route->function == NULL) {
        return (route->facts & CLONE_OWN_REDUCE) != 0 ? copy_by_method(state, route, object, copy)
                                                      : 0;
    }
    if (!PyFunction_Check(route->function)) {
        return 0;
    }
    PyObject *reducer = Py_NewRef(route->function);
    int done = copy_by_form(state, route, object, reducer, NULL, 0, copy);
    if (done == 0) {
        *copy = copy_from(state, object, PyObject_CallOneArg(reducer, object));
        done = *copy == NULL ? -1 : 1;
    }
    Py_DECREF(reducer);
    return done;
}

/* Copies an instance whose default reduction is known, after its type was in none of the tables
   that come first.  1 and the copy, 0, -1. */
static int
copy_by_plan(struct core_state *state, PyObject *object, PyObject **copy, int *may_have_hook)
{
    struct clone_plan *plan;
    struct copyroute *route = copyroute_analyse(state, Py_TYPE(object), &plan);
    if (route == NULL) {
        return -1;
    }
    const unsigned int hookless = CLONE_PLAIN_GETATTR | CLONE_NO_COPY;
    *may_have_hook = (route->facts & hookless) != hookless;
    if (*may_have_hook) {
        return 0;
    }
    PyObject *reducer;
    int found = read_table(state, state->str.dispatch_table, Py_TYPE(object), &reducer);
    if (found != 0) {
        Py_XDECREF(reducer);
        return found < 0 ? -1 : 0;
    }
    /* The table's keys may have changed the type when they were compared. */
    if (copyroute_analyse(state, Py_TYPE(object), &plan) == NULL) {
        return -1;
    }
    return plan == NULL ? 0 : copy_clone(state, plan, object, copy);
}

#else

static int
copy_by_route(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(object),
              PyObject **Py_UNUSED(copy))
{
    return 0;
}

static int
copy_by_plan(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(object),
             PyObject **Py_UNUSED(copy), int *may_have_hook)
{
    *may_have_hook = 1;
    return 0;
}

#endif

/* type(x).__copy__(x): 1 and the copy, 0, -1. */
static int
copy_by_hook(struct core_state *state, PyObject *object, PyObject **copy)
{
    PyObject *hook;
    int found = PyObject_GetOptionalAttr((PyObject *)Py_TYPE(object), state->str.copy, &hook);
    if (found > 0 && hook != Py_None) {
        *copy = PyObject_CallOneArg(hook, object);
        found = *copy == NULL ? -1 : 1;
    }
    else if (found > 0) {
        found = 0;
    }
    Py_XDECREF(hook);
    return found;
}

/* Copies an object that is asked for its reduce value; strong or NULL. */
static PyObject *
copy_by_reduction(struct core_state *state, PyObject *object)
{
    PyObject *reducer, *reduce_value = NULL;
    int found = read_table(state, state->str.dispatch_table, Py_TYPE(object), &reducer);
    if (found > 0 && reducer != Py_None) {
        reduce_value = PyObject_CallOneArg(reducer, object);
    }
    else if (found >= 0) {
        reduce_value = copier_ask_object(state, object, "un(shallow)copyable object of type %S");
    }
    Py_XDECREF(reducer);
    return copy_from(state, object, reduce_value);
}

/* ---- copy and replace -------------------------------------------------- */

/* By the first of the ways that is the object's; strong or NULL. */
static PyObject *
copy_object(struct core_state *state, PyObject *object)
{
    PyObject *copy = NULL;
    int may_have_hook;
    int done = copy_by_route(state, object, &copy);
    if (done == 0) {
        done = state->copies_by_sets ? copy_by_sets(state, object, &copy)
                                     : copy_by_dispatch(state, object, &copy);
    }
    if (done != 0) {
        return copy;
    }
    if (PyType_Check(object)) {
        return Py_NewRef(object);
    }
    done = copy_by_plan(state, object, &copy, &may_have_hook);
    if (done == 0 && may_have_hook) {
        done = copy_by_hook(state, object, &copy);
    }
    return done != 0 ? copy : copy_by_reduction(state, object);
}

PyObject *
copier_copy(struct core_state *state, PyObject *object)
{
    if (copier_may_begin(state) < 0) {
        return NULL;
    }
    copier_begin(state);
    PyObject *copy = copy_object(state, object);
    copier_end(state);
    return copy;
}

PyObject *
copier_replace(struct core_state *state, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *type = PyObject_GetAttr(args[0], state->str.class_);
    if (type == NULL) {
        return NULL;
    }
    PyObject *function, *result = NULL;
    int found = PyObject_GetOptionalAttr(type, state->str.replace, &function);
    if (found > 0 && function != Py_None) {
        result = PyObject_Vectorcall(function, args, nargsf, kwnames);
    }
    else if (found >= 0) {
        PyObject *name = PyObject_GetAttr(type, state->str.name);
        PyObject *text = name == NULL ? NULL : PyObject_Format(name, NULL);
        if (text != NULL) {
            PyErr_Format(PyExc_TypeError, "replace() does not support %U objects", text);
        }
        Py_XDECREF(name);
        Py_XDECREF(text);
    }
    Py_XDECREF(function);
    Py_DECREF(type);
    return result;
}
