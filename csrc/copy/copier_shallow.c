/* copy and replace: see copier.h, and copyroute.h for the order of copy's questions. */
#include "copy/copier.h"

#include "types/bound.h"
#include "types/frozen.h"
#include "types/state_plan.h"
#include "base/reduction.h"
#include "copy/room.h"
#include "base/layout.h"

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

/* ---- builtin types ------------------------------------------------------ */

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

/* ---- reductions --------------------------------------------------------- */

/* constructor(*arguments), all owned by the caller, by its plan or by calling it; strong or NULL.
   `tuple`: the one in which the arguments are, which exceptions keep as it is; or NULL. */
static PyObject *
construct_shallow(struct core_state *state, PyObject *callable, PyObject *const *arguments,
                  Py_ssize_t count, PyObject *tuple)
{
    PyObject *made;
    if (callable == state->stdlib.copyreg_newobj && count > 0) {
        return copier_call_newobj(state, arguments, (size_t)count);
    }
    enum outcome outcome = construct_object(state, callable, arguments, count, &made);
    if (outcome == OUTCOME_DONE || outcome == OUTCOME_RAISED) {
        return outcome == OUTCOME_DONE ? made : NULL;
    }
    if (outcome == OUTCOME_HOT && construct_read(state, made) < 0) {
        return NULL;
    }
    return tuple != NULL ? PyObject_Call(callable, tuple, NULL)
                         : PyObject_Vectorcall(callable, arguments, (size_t)count, NULL);
}

/* Gives a copy its state and items.  0 or -1. */
static int
fill_shallow(struct core_state *state, PyObject *object, PyObject *copy, PyObject *reduce_value)
{
    PyObject *part = reduction_part(reduce_value, PART_STATE);
    if (part != NULL && copier_apply_state(state, object, copy, part) < 0) {
        return -1;
    }
    part = reduction_part(reduce_value, PART_LISTITEMS);
    if (part != NULL && copier_append_all(state, part, copy) < 0) {
        return -1;
    }
    part = reduction_part(reduce_value, PART_DICTITEMS);
    return part == NULL ? 0 : copier_set_all(state, part, copy);
}

static PyObject *
rebuild_shallow(struct core_state *state, PyObject *object, PyObject *reduce_value)
{
    PyObject *arguments = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    PyObject *copy =
        construct_shallow(state, PyTuple_GET_ITEM(reduce_value, PART_CALLABLE),
                          &PyTuple_GET_ITEM(arguments, 0), PyTuple_GET_SIZE(arguments), arguments);
    if (copy != NULL && PyTuple_GET_SIZE(reduce_value) > PART_STATE
        && fill_shallow(state, object, copy, reduce_value) < 0) {
        Py_CLEAR(copy);
    }
    return copy;
}

/* The copy that copy() makes of a reduce value, which is stolen, or NULL; strong or NULL. */
static PyObject *
copy_from(struct core_state *state, PyObject *object, PyObject *reduce_value)
{
    PyObject *copy = NULL;
    if (reduce_value == NULL) {
        return NULL;
    }
    if (reduction_check_for_copy(reduce_value) == REDUCTION_VALID) {
        copy = rebuild_shallow(state, object, reduce_value);
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

/* Copies by what the object itself says; strong or NULL. */
static PyObject *
copy_by_asking(struct core_state *state, PyObject *object)
{
    return copy_from(state, object,
                     copier_ask_object(state, object, "un(shallow)copyable object of type %S"));
}

/* ---- instances ---------------------------------------------------------- */

static void
share_slots(const struct default_reduction *info, PyObject *object, PyObject *copy)
{
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        Py_ssize_t offset = info->slots[i].offset;
        *layout_slot(copy, offset) = Py_XNewRef(*layout_slot(object, offset));
    }
}

static int
share_values(PyObject *object, struct layout_values *values, PyObject *copy)
{
    struct layout_values *target = layout_unmade_values(copy, Py_TYPE(object));
    if (target == NULL) {
        PyObject *dict = PyObject_GenericGetDict(object, NULL);
        int result = dict == NULL ? -1 : default_update(copy, dict);
        Py_XDECREF(dict);
        return result;
    }
    for (int i = 0; i < layout_values_count(values); i++) {
        int index = layout_values_index(values, i);
        layout_values_append(target, index, Py_NewRef(values->values[index]));
    }
    return 0;
}

/* A copy that shares the object's fields; strong or NULL. */
static PyObject *
share_fields(struct core_state *state, struct default_reduction *info, PyObject *object,
             struct default_fields *fields)
{
    int collector = collector_hold();
    PyObject *copy = layout_new_instance(Py_TYPE(object), state->empty_tuple);
    int result = copy == NULL ? -1 : 0;
    if (result == 0 && !info->has_dict) {
        share_slots(info, object, copy);
    }
    else if (result == 0 && fields->values != NULL) {
        result = share_values(object, fields->values, copy);
    }
    else if (result == 0 && fields->dict != NULL) {
        result = default_update(copy, fields->dict);
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
    struct copyroutes *routes = state->copy->routes;
    struct copyroute *route = copyroute_known(routes, type);
    copyroute_refresh(state, ++state->copy->epoch);
    if (route != NULL && likely(copyroute_confirm(routes, route, state->copy->epoch))) {
        return route;
    }
    if (!routes->usable || !copyroute_is_pure(state, type)) {
        return NULL;
    }
    route = copyroute_find(state, type, state->copy->epoch);
    if (route == NULL) {
        PyErr_Clear(); /* a MemoryError, which will come again */
    }
    return route != NULL && route->generation == routes->generation ? route : NULL;
}

/* The copy of an instance from the parts that its bound plan reads, which are owned meanwhile;
   strong or NULL.  Runs Python code. */
static PyObject *
construct_from(struct core_state *state, struct bound_parts *parts)
{
    PyObject *callable = Py_NewRef(parts->callable);
    for (Py_ssize_t i = 0; i < parts->count; i++) {
        Py_INCREF(parts->values[i]);
    }
    PyObject *copy = construct_shallow(state, callable, parts->values, parts->count, NULL);
    for (Py_ssize_t i = 0; i < parts->count; i++) {
        Py_DECREF(parts->values[i]);
    }
    Py_DECREF(callable);
    return copy;
}

/* Copies by the plan of a reducer, which may be a method.  1 and the copy, 0, -1. */
static int
copy_by_bound_plan(struct core_state *state, struct copyroute *route, PyObject *object,
                   PyObject *callable, PyObject *protocol, int of_method, PyObject **copy)
{
    struct reducer reducer;
    PyObject *values[BOUND_PARTS_MAX];
    struct bound_parts parts = {NULL, values, BOUND_PARTS_MAX, 0};
    uint64_t guard = copyroute_guard(state->copy->routes, route);
    if (trial_rests(&route->shallow_trial, guard)) {
        return 0;
    }
    enum outcome verdict = reducer_meet(state, callable, protocol, &reducer);
    if (verdict == OUTCOME_HOT) {
        Py_INCREF(callable);
        int read = reducer_read(state, &reducer);
        Py_DECREF(callable);
        return read;
    }
    if (verdict != OUTCOME_DONE) {
        return 0;
    }
    if (!bound_prepare(state, state->copy->epoch, &reducer, of_method, Py_TYPE(object))
        || !bound_read(state, state->copy->epoch, object, &parts)) {
        trial_failed(&route->shallow_trial, guard);
        return 0;
    }
    trial_succeeded(&route->shallow_trial);
    *copy = construct_from(state, &parts);
    bound_release(&parts);
    return *copy == NULL ? -1 : 1;
}

/* Copies by the plan of the class's own __reduce_ex__ or __reduce__.  1 and the copy, 0, -1. */
static int
copy_by_method(struct core_state *state, struct copyroute *route, PyObject *object,
               PyObject **copy)
{
    int takes_protocol;
    PyObject *method = bound_find_method(state, object, &takes_protocol);
    return method == NULL
               ? 0
               : copy_by_bound_plan(state, route, object, method,
                                    takes_protocol ? state->protocols[4] : NULL, 1, copy);
}

/* Copies an instance as its type's plan says.  1 and the copy, 0, -1. */
static int
copy_by_default(struct core_state *state, struct default_reduction *info, PyObject *object,
                PyObject **copy)
{
    struct default_fields fields = {NULL, NULL};
    if (info->has_dict && !default_find_fields(info, object, &fields)) {
        return 0;
    }
    *copy = share_fields(state, info, object, &fields);
    return *copy == NULL ? -1 : 1;
}

/* The same if there is a plan, after foreign code; 1 and the copy, 0, -1. */
static int
copy_by_plan(struct core_state *state, PyObject *object, PyObject **copy)
{
    if (!layout_is_known()) {
        return 0;
    }
    struct default_reduction *info;
    copyroute_refresh(state, ++state->copy->epoch);
    if (copyroute_analyse(state, Py_TYPE(object), &info) == NULL) {
        return -1;
    }
    return info == NULL ? 0 : copy_by_default(state, info, object, copy);
}

/* Copies an object that was of the type when copy.py asked for that, has no __copy__, and is in
   none of the tables that come before it; strong or NULL. */
static PyObject *
copy_by_reduction(struct core_state *state, PyObject *object, PyTypeObject *type)
{
    PyObject *reducer, *copy = NULL;
    int found = read_table(state, state->str.dispatch_table, type, &reducer);
    if (found > 0 && reducer != Py_None) {
        copy = copy_from(state, object, PyObject_CallOneArg(reducer, object));
    }
    else if (found >= 0) {
        found = copy_by_plan(state, object, &copy);
        copy = found == 0 ? copy_by_asking(state, object) : copy;
    }
    Py_XDECREF(reducer);
    return copy;
}

/* ---- by what is known of the type --------------------------------------- */

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
    else if (PyByteArray_CheckExact(object)) {
        *copy = PyByteArray_FromStringAndSize(PyByteArray_AS_STRING(object),
                                              PyByteArray_GET_SIZE(object));
    }
    else {
        return 0;
    }
    return *copy == NULL ? -1 : 1;
}

/* True if the object's reduction is known but for its state: that of its type is, and no attribute
   of its own is in the way. */
static int
is_asked_only_for_state(struct core_state *state, const struct copyroute *route, PyObject *object)
{
    const unsigned int facts = route->facts;
    return (facts & (TYPE_OWN_GETSTATE | TYPE_DICT_STATE)) != 0
           && state->copy->routes->newobj_holds
           && ((facts & TYPE_NO_DICT) != 0
               || ((facts & TYPE_OWN_DICT) != 0
                   && layout_lacks_attribute(object, Py_TYPE(object), state->str.getstate)));
}

/* The state that such an instance gives; strong, NULL with an exception, or without one if it is
   to be asked for its reduce value.  Runs Python code. */
static PyObject *
find_state(struct core_state *state, PyObject *object)
{
    PyObject *getstate = type_lookup(Py_TYPE(object), state->str.getstate);
    if (getstate == NULL || !PyFunction_Check(getstate)) {
        return default_dict_state(state, object);
    }
    PyObject *object_state = frozen_getstate(state, object);
    if (object_state != NULL || PyErr_Occurred()) {
        return object_state;
    }
    enum outcome outcome = state_plan_give(state, object, &object_state);
    if (outcome == OUTCOME_DONE || outcome == OUTCOME_RAISED) {
        return object_state;
    }
    Py_INCREF(getstate);
    if (outcome == OUTCOME_HOT && state_plan_read_getstate(state, Py_TYPE(object)) < 0) {
        Py_DECREF(getstate);
        return NULL;
    }
    object_state = PyObject_CallOneArg(getstate, object);
    Py_DECREF(getstate);
    if (object_state != NULL && frozen_check(state, object, object_state) < 0) {
        Py_CLEAR(object_state);
    }
    return object_state;
}

/* Copies such an instance.  1 and the copy, 0, -1. */
static int
copy_by_state(struct core_state *state, struct copyroute *route, PyObject *object, PyObject **copy)
{
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    PyObject *object_state = find_state(state, object);
    if (object_state == NULL) {
        Py_DECREF(type);
        return PyErr_Occurred() ? -1 : 0;
    }
    if (unlikely(!copyroute_is_current(route) || Py_TYPE(object) != type)) {
        *copy = copy_from(state, object, reduction_of_state(state, type, object_state));
    }
    else {
        *copy = layout_new_instance(type, state->empty_tuple);
        if (*copy != NULL && object_state != Py_None
            && copier_apply_state(state, object, *copy, object_state) < 0) {
            Py_CLEAR(*copy);
        }
    }
    Py_DECREF(object_state);
    Py_DECREF(type);
    return *copy == NULL ? -1 : 1;
}

/* Copies by what dispatch_table has; strong or NULL. */
static PyObject *
copy_by_reducer(struct core_state *state, struct copyroute *route, PyObject *object)
{
    PyObject *copy = NULL, *reducer = Py_NewRef(route->function);
    int done = PyFunction_Check(reducer)
                   ? copy_by_bound_plan(state, route, object, reducer, NULL, 0, &copy)
                   : 0;
    if (done == 0) {
        copy = copy_from(state, object, PyObject_CallOneArg(reducer, object));
    }
    Py_DECREF(reducer);
    return copy;
}

/* Copies an object that has no __copy__ and is of a type that is known, whose route holds; strong
   or NULL. */
static PyObject *
copy_reduced(struct core_state *state, struct copyroute *route, PyObject *object)
{
    PyObject *copy = NULL;
    int done = 0;
    if (route->kind == ROUTE_DEFAULT) {
        done = copy_by_default(state, route->info, object, &copy);
    }
    else if (route->function != NULL) {
        return copy_by_reducer(state, route, object);
    }
    else if ((route->facts & TYPE_OWN_REDUCE) != 0) {
        done = copy_by_method(state, route, object, &copy);
    }
    else if (is_asked_only_for_state(state, route, object)) {
        done = copy_by_state(state, route, object, &copy);
    }
    return done != 0 ? copy : copy_by_asking(state, object);
}

/* True if the route says what is done with an object that is in no table but dispatch_table. */
static int
is_reduced(const struct copyroute *route)
{
    return route->kind == ROUTE_DEFAULT || route->kind == ROUTE_REDUCE;
}

/* Copies an object of a known type that has a __copy__, or whose metaclass is asked for one;
   strong or NULL.  A search in vain may have changed the type. */
static PyObject *
copy_hooked(struct core_state *state, PyObject *object)
{
    PyObject *copy = NULL;
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    int done = copy_by_hook(state, object, &copy);
    if (done == 0) {
        struct copyroute *route = Py_TYPE(object) == type ? find_route(state, type) : NULL;
        copy = route != NULL && is_reduced(route) ? copy_reduced(state, route, object)
                                                  : copy_by_reduction(state, object, type);
    }
    Py_DECREF(type);
    return copy;
}

/* Copies an object whose type is known.  1 and the copy, 0, -1. */
static int
copy_by_route(struct core_state *state, PyObject *object, PyObject **copy)
{
    if (!layout_is_known()) {
        return 0;
    }
    struct copyroute *route = find_route(state, Py_TYPE(object));
    enum copyroute_shallow shallow =
        route == NULL ? SHALLOW_ASK : copyroute_look_shallowly(state, route);
    switch (shallow) {
    case SHALLOW_ASK: return 0;
    case SHALLOW_CONTAINER: return copy_container(object, copy);
    case SHALLOW_ATOMIC: *copy = Py_NewRef(object); return 1;
    default: break;
    }
    if (route->kind == ROUTE_CLASS) {
        *copy = Py_NewRef(object);
        return 1;
    }
    if (!is_reduced(route)) {
        return 0;
    }
    *copy = (route->facts & TYPE_NO_COPY) != 0 ? copy_reduced(state, route, object)
                                               : copy_hooked(state, object);
    return *copy == NULL ? -1 : 1;
}

/* True if the tables are to be asked by the standard library, as often as it does. */
static int
is_hashed_by_metaclass(PyTypeObject *type)
{
    if (!layout_is_known()) {
        return 0;
    }
    return !copyroute_is_plain_key((PyObject *)type);
}

/* True if it is sure, without asking, that there is no type.__copy__: 1, 0, or -1 with an
   exception. */
static int
surely_lacks_copy(struct core_state *state, PyTypeObject *type)
{
    if (!layout_is_known()) {
        return 0;
    }
    struct default_reduction *info;
    struct copyroute *route = copyroute_analyse(state, type, &info);
    return route == NULL ? -1 : (route->facts & TYPE_NO_COPY) != 0;
}

/* ---- copy and replace --------------------------------------------------- */

/* The copy of an object whose type is owned, and not known well enough; strong or NULL. */
static PyObject *
copy_unknown(struct core_state *state, PyObject *object, PyTypeObject *type)
{
    PyObject *copy = NULL;
    if (is_hashed_by_metaclass(type)) {
        return PyObject_CallOneArg(state->stdlib.copy_copy, object);
    }
    int done = state->copy->copies_by_sets ? copy_by_sets(state, object, &copy)
                                           : copy_by_dispatch(state, object, &copy);
    if (done != 0) {
        return copy;
    }
    if (PyType_IsSubtype(type, &PyType_Type)) {
        return Py_NewRef(object);
    }
    int lacks = surely_lacks_copy(state, type);
    done = lacks == 0 ? copy_by_hook(state, object, &copy) : 0;
    return lacks < 0 || done != 0 ? copy : copy_by_reduction(state, object, type);
}

/* By the first of the ways that is the object's; strong or NULL. */
static PyObject *
copy_object(struct core_state *state, PyObject *object)
{
    PyObject *copy = NULL;
    if (copy_by_route(state, object, &copy) == 0) {
        PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
        copy = copy_unknown(state, object, type);
        Py_DECREF(type);
    }
    return copy;
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
