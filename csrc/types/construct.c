/* Constructors that are run as plans: see construct.h. */
#include "types/construct.h"

#include "base/namecache.h"
#include "base/helpers.h"
#include "base/observed.h"
#include "base/layout.h"
#include "values/enum_members.h"
#include "values/value_classes.h"
#include "values/value_construct.h"
#include "types/constructors.h"
#include "plans/plan_run.h"
#include "plans/room.h"
#include "types/room.h"

/* ---- callables that are called ------------------------------------------ */

/* The guard of a function or class, the same as long as it is the one that was read. */
ALWAYS_INLINE uintptr_t
guard_of(PyObject *callable)
{
    return PyFunction_Check(callable) ? (uintptr_t)PyFunction_GET_CODE(callable)
           : PyType_Check(callable)   ? type_version((PyTypeObject *)callable)
                                      : 0;
}

ALWAYS_INLINE struct called *
place_of_called(struct constructors *constructors, PyObject *callable)
{
    return &constructors->called[((uintptr_t)callable >> 4) % CALLED_COUNT];
}

static void
note_called(struct constructors *constructors, PyObject *callable)
{
    *place_of_called(constructors, callable) = (struct called){callable, guard_of(callable)};
}

/* True if nothing is known of the callable but that it is to be called.  If another is at its
   address by now, with code at the same address too, it is called, which is always right. */
ALWAYS_INLINE int
is_called(struct core_state *state, PyObject *callable)
{
    if (!layout_is_known()) {
        return 1;
    }
    const struct called *called = place_of_called(state->types->constructors, callable);
    uintptr_t guard = called->callable == callable ? guard_of(callable) : 0;
    return guard != 0 && guard == called->guard;
}

/* The entry of a class or function if it has a plan that can be used: OUTCOME_DONE, and
   `constructor` is set; else OUTCOME_BAIL, or OUTCOME_HOT and the callable, strong, in `hot`. */
static enum outcome
find_constructor(struct core_state *state, PyObject *callable, PyObject *key, unsigned version,
                 struct constructor **constructor, PyObject **hot)
{
    *constructor = constructors_meet(state->types->constructors, key, version);
    if (*constructor == NULL || (*constructor)->status == PLAN_UNCOMPILABLE) {
        note_called(state->types->constructors, callable);
        return OUTCOME_BAIL;
    }
    if ((*constructor)->status == PLAN_READY) {
        return calls_observed(state) ? OUTCOME_BAIL : OUTCOME_DONE;
    }
    if (++(*constructor)->met < state->plans->threshold || !helper_may_run(state, HELPER_COMPILER)
        || !helper_may_run(state, HELPER_VALUES)) {
        return OUTCOME_BAIL;
    }
    *hot = Py_NewRef(callable);
    return OUTCOME_HOT;
}

/* ---- instances ---------------------------------------------------------- */

/* True if everything that the version of the class does not cover is as it was when the plan was
   read. */
ALWAYS_INLINE int
constructor_holds(const struct constructor *constructor)
{
    for (size_t i = 0; i < constructor->plan->function_count; i++) {
        if (PyFunction_GET_CODE(constructor->functions[i]) != constructor->codes[i]
            || code_is_monitored(constructor->codes[i])) {
            return 0;
        }
    }
    return class_values_hold(&constructor->under_stores);
}

/* Stores at places, without references: the values are those of a fresh instance, in the order of
   the stores.  How many it has stored. */
ALWAYS_INLINE int
store_at_places(const struct constructor *constructor, PyTypeObject *type, PyObject *object,
                PyObject **values)
{
    struct layout_values *inside =
        constructor->in_slots ? NULL : layout_unmade_values(object, type);
    for (int i = 0; i < constructor->store_count; i++) {
        const struct store *store = &constructor->stores[i];
        if (store->is_slot) {
            *layout_slot(object, store->place) = values[i];
        }
        else if (inside != NULL && layout_values_hold(inside, (int)store->place)) {
            layout_values_append(inside, (int)store->place, values[i]);
        }
        else {
            return i;
        }
    }
    return constructor->store_count;
}

/* Arguments and defaults for the stores; 0 if a default is missing. */
ALWAYS_INLINE int
gather(const struct constructor *constructor, PyObject *const *arguments, Py_ssize_t count,
       PyObject **values)
{
    for (int i = 0; i < constructor->store_count; i++) {
        const struct store *store = &constructor->stores[i];
        values[i] = store->argument < count
                        ? arguments[store->argument]
                        : read_default(constructor->functions[0], store->parameter);
        if (unlikely(values[i] == NULL)) {
            return 0;
        }
    }
    return 1;
}

/* The arguments are taken if they may be and each is stored once. */
ALWAYS_INLINE enum outcome
make_plain(struct core_state *state, const struct constructor *constructor, PyTypeObject *type,
           PyObject *const *arguments, Py_ssize_t count, int may_take, PyObject **made)
{
    PyObject *values[STORES_MAX];
    if (!gather(constructor, arguments, count, values)) {
        return OUTCOME_BAIL;
    }
    PyObject *object = layout_new_instance(type, state->empty_tuple);
    if (object == NULL) {
        return OUTCOME_RAISED;
    }
    int stored = store_at_places(constructor, type, object, values);
    *made = object;
    if (may_take && stored == constructor->store_count && count == constructor->takes) {
        return OUTCOME_TAKEN;
    }
    for (int i = 0; i < stored; i++) {
        Py_INCREF(values[i]);
    }
    for (int i = stored; i < constructor->store_count; i++) {
        if (PyObject_GenericSetAttr(object, constructor->stores[i].name, values[i]) < 0) {
            Py_CLEAR(*made);
            return OUTCOME_RAISED;
        }
    }
    return OUTCOME_DONE;
}

enum outcome
construct_by_stores(struct core_state *state, const struct constructor *constructor,
                    PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    return make_plain(state, constructor, (PyTypeObject *)constructor->weaktable_entry.key,
                      arguments, count, 0, made);
}

/* ---- by steps ----------------------------------------------------------- */

static int
run_store(struct plan_run *run, const struct step *step, PyObject *object)
{
    PyObject *value = run->values[step->b];
    if (step->kind != STEP_STORE_ITEM) {
        return PyObject_GenericSetAttr(object, PyTuple_GET_ITEM(run->plan->names, step->a), value);
    }
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    int stored =
        dict == NULL
            ? -1
            : PyDict_SetItem(dict, PyTuple_GET_ITEM(run->plan->constants, step->a), value);
    Py_XDECREF(dict);
    return stored;
}

/* A path that ended in RETURN_NEW: the instance, and its stores in order. */
static PyObject *
finish_new(struct plan_run *run)
{
    PyObject *object = layout_new_instance(run->cls, run->state->empty_tuple);
    for (size_t i = 0; object != NULL && i != run->end; i = plan_run_next(run, i)) {
        const struct step *step = &run->plan->list[i];
        if (step->kind >= STEP_STORE && step->kind <= STEP_STORE_ITEM
            && run_store(run, step, object) < 0) {
            Py_CLEAR(object);
        }
    }
    return object;
}

/* A path that ended in RETURN_TUPLE: tuple.__new__(cls, items). */
static PyObject *
finish_tuple(struct plan_run *run)
{
    const struct step *end = &run->plan->list[run->end];
    PyObject *object = tuple_allocate(run->cls, end->b);
    for (size_t i = 0; object != NULL && i < end->b; i++) {
        PyTuple_SET_ITEM(object, (Py_ssize_t)i,
                         Py_NewRef(run->values[run->plan->operands[end->a + i]]));
    }
    return object;
}

/* A path that ended in RETURN_CALL, with positional arguments only. */
static enum outcome
finish_call(struct plan_run *run, PyObject **made)
{
    const struct step *end = &run->plan->list[run->end];
    const uint16_t *operands = run->plan->operands + end->b;
    PyObject *callee = run->values[end->a], *arguments[STORES_MAX];
    if (!PyType_Check(callee) || operands[1] != 0 || operands[0] > STORES_MAX) {
        return OUTCOME_BAIL;
    }
    for (size_t i = 0; i < operands[0]; i++) {
        arguments[i] = run->values[operands[2 + i]];
    }
    return construct_object(run->state, callee, arguments, operands[0], made);
}

static enum outcome
finish(struct plan_run *run, PyObject **made)
{
    switch (run->plan->list[run->end].kind) {
    case STEP_RETURN_NEW: *made = finish_new(run); break;
    case STEP_RETURN_TUPLE: *made = finish_tuple(run); break;
    default: return finish_call(run, made);
    }
    return *made == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

/* The plan is not changed or freed while it runs: nothing that it does runs Python code. */
static enum outcome
construct_by_plan(struct core_state *state, struct constructor *constructor, PyTypeObject *type,
                  PyObject *const *functions, PyObject *const *arguments, Py_ssize_t count,
                  PyObject **made)
{
    enum { AT_HAND = 64 };
    PyObject *at_hand[AT_HAND], **values = at_hand;
    size_t size = constructor->plan->count;
    if (size > AT_HAND && (values = PyMem_New(PyObject *, size)) == NULL) {
        PyErr_NoMemory();
        return OUTCOME_RAISED;
    }
    memset(values, 0, size * sizeof(PyObject *));
    struct plan_run run = {.state = state,
                           .plan = constructor->plan,
                           .functions = functions,
                           .cls = type,
                           .arguments = arguments,
                           .argument_count = count,
                           .values = values};
    enum outcome read = plan_run(&run);
    enum outcome outcome = read == OUTCOME_DONE   ? finish(&run, made)
                           : read == OUTCOME_BAIL ? OUTCOME_BAIL
                                                  : OUTCOME_RAISED;
    for (size_t i = 0; i < size; i++) {
        Py_XDECREF(values[i]);
    }
    if (values != at_hand) {
        PyMem_Free(values);
    }
    return outcome;
}

/* The same, as long as it is worth trying. */
static enum outcome
try_plan(struct core_state *state, struct constructor *constructor, PyTypeObject *type,
         PyObject *const *functions, PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    uint64_t guard = namecache_stamp(state);
    if (trial_rests(&constructor->trial, guard)) {
        return OUTCOME_BAIL;
    }
    enum outcome outcome =
        construct_by_plan(state, constructor, type, functions, arguments, count, made);
    if (outcome == OUTCOME_BAIL) {
        trial_failed(&constructor->trial, guard);
    }
    else {
        trial_succeeded(&constructor->trial);
    }
    return outcome;
}

/* ---- classes and functions ---------------------------------------------- */

/* find_constructor() for a class whose plan takes so many arguments. */
static enum outcome
find_class_constructor(struct core_state *state, PyTypeObject *type, Py_ssize_t count,
                       struct constructor **constructor, PyObject **hot)
{
    unsigned version = construct_is_ordinary(type) || enum_members_may_be_of(state, type)
                           ? type_assign_version(type, state->str.init)
                           : 0;
    if (version == 0) {
        return OUTCOME_BAIL;
    }
    enum outcome outcome =
        find_constructor(state, (PyObject *)type, (PyObject *)type, version, constructor, hot);
    if (outcome == OUTCOME_DONE && (*constructor)->known == NULL
        && (count < (*constructor)->plan->required || count > (*constructor)->plan->accepted
            || !constructor_holds(*constructor))) {
        return OUTCOME_BAIL;
    }
    return outcome;
}

static enum outcome
make_of_class(struct core_state *state, PyTypeObject *type, PyObject *const *arguments,
              Py_ssize_t count, PyObject **made)
{
    struct constructor *constructor;
    if (PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE)) {
        return value_construct(state, type, arguments, count, made);
    }
    enum outcome outcome = find_class_constructor(state, type, count, &constructor, made);
    if (outcome != OUTCOME_DONE) {
        return outcome;
    }
    if (constructor->known != NULL) {
        return value_class_construct(state, constructor->known, type, arguments, count, made);
    }
    return constructor->plain ? construct_by_stores(state, constructor, arguments, count, made)
                              : try_plan(state, constructor, type, constructor->functions,
                                         arguments, count, made);
}

struct constructor *
construct_find_stores(struct core_state *state, PyObject *callable, Py_ssize_t count)
{
    struct constructor *constructor;
    PyObject *hot = NULL;
    if (state->plans->threshold == 0 || !PyType_Check(callable)
        || !PyType_HasFeature((PyTypeObject *)callable, Py_TPFLAGS_HEAPTYPE)) {
        return NULL;
    }
    enum outcome outcome =
        find_class_constructor(state, (PyTypeObject *)callable, count, &constructor, &hot);
    Py_XDECREF(hot);
    return outcome == OUTCOME_DONE && constructor->plain ? constructor : NULL;
}

static enum outcome
make_of_function(struct core_state *state, PyObject *function, PyObject *const *arguments,
                 Py_ssize_t count, PyObject **made)
{
    struct constructor *constructor;
    enum outcome outcome =
        find_constructor(state, function, PyFunction_GET_CODE(function), 0, &constructor, made);
    if (outcome != OUTCOME_DONE) {
        return outcome;
    }
    if (count < constructor->plan->required || count > constructor->plan->accepted
        || code_is_monitored(constructor->weaktable_entry.key)) {
        return OUTCOME_BAIL;
    }
    return try_plan(state, constructor, NULL, &function, arguments, count, made);
}

enum outcome
construct_object(struct core_state *state, PyObject *callable, PyObject *const *arguments,
                 Py_ssize_t count, PyObject **made)
{
    if (state->plans->threshold == 0) {
        return OUTCOME_BAIL;
    }
    state->types->constructors->busy++;
    enum outcome outcome =
        PyType_Check(callable)
            ? make_of_class(state, (PyTypeObject *)callable, arguments, count, made)
        : PyFunction_Check(callable) ? make_of_function(state, callable, arguments, count, made)
                                     : OUTCOME_BAIL;
    state->types->constructors->busy--;
    /* The class that a function calls was counted. */
    state->plans->made_by_plan += outcome == OUTCOME_DONE && !PyFunction_Check(callable);
    return outcome;
}

int
construct_may_set_state(struct core_state *state, PyTypeObject *type)
{
    if (!value_class_may_set_state(type)) {
        return 0;
    }
    const struct constructor *constructor =
        constructors_find(state->types->constructors, (PyObject *)type);
    return constructor == NULL || constructor->version != type_version(type)
           || constructor->status == PLAN_UNREAD || constructor->known != NULL;
}

int
construct_by_setstate(struct core_state *state, PyObject *object, PyObject *object_state)
{
    PyTypeObject *type = Py_TYPE(object);
    struct constructor *constructor;
    PyObject *hot;
    if (!PyDict_CheckExact(object_state) || !value_class_may_set_state(type)
        || state->plans->threshold == 0) {
        return 0;
    }
    enum outcome outcome = find_class_constructor(state, type, 0, &constructor, &hot);
    if (outcome == OUTCOME_HOT) {
        return construct_read(state, hot);
    }
    int set = outcome == OUTCOME_DONE && constructor->known != NULL
              && value_class_set_state(state, constructor->known, object, object_state);
    state->plans->made_by_plan += set != 0;
    return set;
}

/* make_plain() that moves the arguments if it can. */
static enum outcome
take_plainly(struct core_state *state, const struct constructor *constructor, PyTypeObject *type,
             PyObject **arguments, Py_ssize_t count, PyObject **made)
{
    enum outcome outcome = make_plain(state, constructor, type, arguments, count, 1, made);
    for (int i = 0; outcome == OUTCOME_TAKEN && i < constructor->takes; i++) {
        arguments[constructor->stores[i].argument] = NULL;
    }
    return outcome;
}

/* The same where every argument is moved into a slot. */
ALWAYS_INLINE enum outcome
take_into_slots(struct core_state *state, const struct constructor *constructor,
                PyTypeObject *type, PyObject **arguments, int untracked, PyObject **made)
{
    PyObject *object =
        untracked ? new_untracked(type) : layout_new_instance(type, state->empty_tuple);
    if (object == NULL) {
        return OUTCOME_RAISED;
    }
    for (const struct store *store = constructor->stores;
         store < constructor->stores + constructor->takes; store++) {
        *layout_slot(object, store->place) = arguments[store->argument];
        arguments[store->argument] = NULL;
    }
    *made = object;
    return OUTCOME_TAKEN;
}

void
construct_free_dead(struct core_state *state)
{
    if (unlikely(state->types->constructors->table.dead != NULL)) {
        constructors_free_dead(state->types->constructors);
    }
}

/* The plan of a class that only stores arguments, in its version of now, if it is to be used. That
   the class is ordinary, its version says since it was read; of its metaclass it says nothing. */
ALWAYS_INLINE struct constructor *
find_plain(struct core_state *state, PyObject *callable)
{
    PyTypeObject *type = (PyTypeObject *)callable;
    if (!PyType_Check(callable) || Py_TYPE(callable)->tp_call != PyType_Type.tp_call
        || state->plans->threshold == 0) {
        return NULL;
    }
    struct constructor *constructor = constructors_find(state->types->constructors, callable);
    return constructor == NULL || constructor->version != type_version(type)
                   || constructor->status != PLAN_READY || !constructor->plain
                   || calls_observed(state) || !constructor_holds(constructor)
               ? NULL
               : constructor;
}

ALWAYS_INLINE int
accepts(const struct constructor *constructor, Py_ssize_t count)
{
    return count >= constructor->plan->required && count <= constructor->plan->accepted;
}

struct constructor *
construct_find_taking(struct core_state *state, PyObject *callable, int *count)
{
    struct constructor *constructor = find_plain(state, callable);
    if (constructor == NULL || constructor->takes <= 0
        || !accepts(constructor, constructor->takes)) {
        return NULL;
    }
    *count = constructor->takes;
    return constructor;
}

/* Of `count` arguments, which are moved if they may be. */
ALWAYS_INLINE enum outcome
make_taking_by(struct core_state *state, const struct constructor *constructor,
               PyObject **arguments, Py_ssize_t count, int *untracked, PyObject **made)
{
    PyTypeObject *type = (PyTypeObject *)constructor->weaktable_entry.key;
    int into_slots = constructor->in_slots && count == constructor->takes;
    *untracked = *untracked && into_slots && constructor->is_bare;
    state->types->constructors->busy++;
    enum outcome outcome =
        into_slots ? take_into_slots(state, constructor, type, arguments, *untracked, made)
                   : take_plainly(state, constructor, type, arguments, count, made);
    state->types->constructors->busy--;
    state->plans->made_by_plan += outcome != OUTCOME_BAIL;
    return outcome;
}

enum outcome
construct_by_taking(struct core_state *state, const struct constructor *constructor,
                    PyObject **arguments, PyObject **made)
{
    int untracked = 0;
    return make_taking_by(state, constructor, arguments, constructor->takes, &untracked, made);
}

/* construct_taking_untracked(), in line. */
ALWAYS_INLINE enum outcome
take(struct core_state *state, PyObject *callable, PyObject **arguments, Py_ssize_t count,
     int *untracked, PyObject **made)
{
    struct constructor *constructor = find_plain(state, callable);
    return constructor == NULL || !accepts(constructor, count)
               ? OUTCOME_BAIL
               : make_taking_by(state, constructor, arguments, count, untracked, made);
}

enum outcome
construct_taking_untracked(struct core_state *state, PyObject *callable, PyObject **arguments,
                           Py_ssize_t count, int *untracked, PyObject **made)
{
    return take(state, callable, arguments, count, untracked, made);
}

enum outcome
construct_taking(struct core_state *state, PyObject *callable, PyObject **arguments,
                 Py_ssize_t count, PyObject **made)
{
    int untracked = 0;
    return take(state, callable, arguments, count, &untracked, made);
}

enum outcome
construct_or_read(struct core_state *state, PyObject *callable, PyObject *const *arguments,
                  Py_ssize_t count, PyObject **made)
{
    if (is_called(state, callable)) {
        return OUTCOME_BAIL;
    }
    construct_free_dead(state);
    enum outcome outcome = construct_object(state, callable, arguments, count, made);
    if (outcome != OUTCOME_HOT) {
        return outcome;
    }
    if (construct_read(state, *made) < 0) {
        *made = NULL;
        return OUTCOME_RAISED;
    }
    outcome = construct_object(state, callable, arguments, count, made);
    if (outcome == OUTCOME_HOT) {
        Py_CLEAR(*made);
        outcome = OUTCOME_BAIL;
    }
    return outcome;
}
