/* Constructors that are run as plans: see make.h. */
#include "make.h"

#include "layout.h"
#include "make_known.h"
#include "make_value.h"
#include "makers.h"
#include "stack.h"
#include "steps_run.h"

#if KNOWN_LAYOUT

/* ---- reading a class or function ---------------------------------------- */

/* Whether type.__call__ does no more for the class than object.__new__ and __init__ (or
   tuple.__new__), and instances are allocated as usual. */
static int
class_is_ordinary(PyTypeObject *type)
{
    return Py_TYPE(type)->tp_call == PyType_Type.tp_call
           && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
           && !PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)
           && type->tp_alloc == PyType_GenericAlloc;
}

/* Whether a store of the name into an instance does no more than to keep the value. */
static int
store_is_ordinary(PyTypeObject *type, PyObject *name)
{
    if (layout_slot_offset(type, name) >= 0) {
        return 1;
    }
    PyObject *descriptor = type_lookup(type, name);
    return (descriptor == NULL || Py_TYPE(descriptor)->tp_descr_set == NULL)
           && (PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) || type->tp_dictoffset > 0);
}

static int
stores_are_ordinary(PyTypeObject *type, const struct steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        const struct step *step = &steps->list[i];
        if (step->kind == STEP_STORE && type->tp_setattro != PyObject_GenericSetAttr) {
            return 0;
        }
        if ((step->kind == STEP_STORE || step->kind == STEP_STORE_GENERIC)
            && !store_is_ordinary(type, PyTuple_GET_ITEM(steps->names, step->a))) {
            return 0;
        }
        if (step->kind == STEP_STORE_ITEM && !PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
            return 0;
        }
    }
    return 1;
}

/* The function that a class of the __mro__ has under a name; borrowed, or NULL. */
static PyObject *
function_at(PyTypeObject *type, uint16_t place, PyObject *name)
{
    if (place >= PyTuple_GET_SIZE(type->tp_mro)) {
        return NULL;
    }
    PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, place);
    PyObject *found = base->tp_dict == NULL ? NULL : PyDict_GetItemWithError(base->tp_dict, name);
    if (found != NULL && Py_IS_TYPE(found, &PyStaticMethod_Type)) {
        /* A __new__; what a staticmethod wraps, it gives without running code. */
        found = Py_TYPE(found)->tp_descr_get(found, NULL, (PyObject *)type);
        Py_XDECREF(found);
    }
    return found != NULL && PyFunction_Check(found) ? found : NULL;
}

/* Finds the functions whose code went into the plan. */
static int
find_functions(struct core_state *state, struct maker *maker, PyTypeObject *type)
{
    const struct steps *steps = maker->steps;
    PyObject *name = steps->of_new ? state->str.new : state->str.init;
    for (size_t i = 0; i < steps->function_count; i++) {
        PyObject *function = function_at(type, steps->function_at[i], name);
        if (function == NULL) {
            return 0;
        }
        maker->functions[i] = function;
        maker->codes[i] = Py_NewRef(PyFunction_GET_CODE(function));
    }
    return 1;
}

/* The index of a name in the keys that instances share; -1. */
static Py_ssize_t
shared_index(PyTypeObject *type, PyObject *name)
{
    struct layout_keys *keys =
        PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) ? layout_shared_keys(type) : NULL;
    for (Py_ssize_t i = 0; keys != NULL && i < keys->count; i++) {
        if (layout_entries(keys)[i].key == name) {
            return i;
        }
    }
    return -1;
}

static int
plan_store(struct maker *maker, PyTypeObject *type, const struct step *step)
{
    const struct step *value = &maker->steps->list[step->b];
    PyObject *name = PyTuple_GET_ITEM(maker->steps->names, step->a);
    if (value->kind != STEP_ARGUMENT || maker->store_count == STORES_MAX) {
        return 0;
    }
    struct store *store = &maker->stores[maker->store_count];
    store->argument = value->a;
    store->parameter = value->b;
    store->name = name;
    store->place = layout_slot_offset(type, name);
    store->is_slot = store->place >= 0;
    if (!store->is_slot) {
        store->place = shared_index(type, name);
    }
    for (int i = 0; i < maker->store_count; i++) {
        /* Classes may have a slot under two names. */
        if (maker->stores[i].is_slot == store->is_slot && maker->stores[i].place == store->place) {
            return 0;
        }
    }
    maker->store_count++;
    return store->place >= 0;
}

/* Whether each of as many arguments as there are stores is stored once. */
static int
stores_each_once(const struct maker *maker)
{
    uint32_t stored = 0;
    for (int i = 0; i < maker->store_count; i++) {
        if (maker->stores[i].argument >= maker->store_count) {
            return 0;
        }
        stored |= UINT32_C(1) << maker->stores[i].argument;
    }
    return stored == (UINT32_C(1) << maker->store_count) - 1;
}

/* Whether the collector looks at all instances, which have neither a __dict__ nor items. */
static int
instance_is_bare(PyTypeObject *type)
{
    const unsigned long more = Py_TPFLAGS_MANAGED_DICT | Py_TPFLAGS_IMMUTABLETYPE;
    return PyType_IS_GC(type) && type->tp_is_gc == NULL && type->tp_itemsize == 0
           && type->tp_dictoffset == 0 && !PyType_HasFeature(type, more);
}

/* Whether the plan is a line of stores of arguments, so that it need not be run by steps. */
static void
find_stores(struct maker *maker, PyTypeObject *type)
{
    const struct steps *steps = maker->steps;
    for (size_t i = 0; i < steps->count; i++) {
        const struct step *step = &steps->list[i];
        int stores = step->kind == STEP_STORE || step->kind == STEP_STORE_GENERIC;
        if ((stores && !plan_store(maker, type, step))
            || (!stores && step->kind != STEP_ARGUMENT && step->kind != STEP_CONSTANT
                && step->kind != STEP_NEW && step->kind != STEP_RETURN_NEW)) {
            return;
        }
    }
    maker->plain = maker->in_slots = 1;
    for (int i = 0; i < maker->store_count; i++) {
        maker->in_slots &= maker->stores[i].is_slot;
    }
    maker->takes = stores_each_once(maker) ? maker->store_count : -1;
    maker->is_bare = HAS_UNTRACKED_NEW && maker->in_slots && instance_is_bare(type);
}

/* Takes a plan of a class that was just read; whether it can be used. */
static int
take_class_plan(struct core_state *state, struct maker *maker, PyTypeObject *type)
{
    PyObject *tuple_new = (PyObject *)&PyTuple_Type;
    if (maker->steps->of_new ? !PyType_IsSubtype(type, (PyTypeObject *)tuple_new)
                             : type->tp_new != PyBaseObject_Type.tp_new) {
        return 0;
    }
    if (!stores_are_ordinary(type, maker->steps) || !find_functions(state, maker, type)) {
        return 0;
    }
    maker->plain = maker->store_count = 0;
    find_stores(maker, type);
    return 1;
}

/* The entry that a callable has: its key, and the version of a class. */
static PyObject *
key_of(struct core_state *state, PyObject *callable, unsigned *version)
{
    *version = 0;
    if (PyFunction_Check(callable)) {
        return PyFunction_GET_CODE(callable);
    }
    *version = type_assign_version((PyTypeObject *)callable, state->str.init);
    return callable;
}

/* Whether there may be a plan: of other metaclasses than `type`, and of a class that is looked at
   for its __setstate__, it is only asked whether the class is known. */
static int
has_constructor_to_read(PyObject *callable)
{
    return !PyType_Check(callable)
           || (PyType_CheckExact(callable) && !known_may_set_state((PyTypeObject *)callable));
}

int
make_read(struct core_state *state, PyObject *callable)
{
    unsigned before, version;
    PyObject *key = Py_NewRef(key_of(state, callable, &before));
    struct steps *steps = NULL;
    int read =
        has_constructor_to_read(callable) ? steps_read_constructor(state, callable, &steps) : 0;
    struct known *known = NULL;
    if (read == 0 && before != 0) {
        read = known_read(state, callable, &known);
    }
    /* Whatever ran meanwhile may have changed the callable, and the table. */
    struct maker *maker =
        key_of(state, callable, &version) == key && version == before && read >= 0
            ? makers_meet(state->makers, key, version)
            : NULL;
    if (maker == NULL || maker->status != STEPS_UNREAD) {
        steps_free(steps);
        known_free(known);
    }
    else {
        maker->readings++;
        maker->steps = steps;
        maker->known = known;
        int usable = steps != NULL
                     && (version == 0 || take_class_plan(state, maker, (PyTypeObject *)callable));
        maker->status = usable || known != NULL ? STEPS_READY : STEPS_REFUSED;
    }
    Py_DECREF(key);
    Py_DECREF(callable);
    return read < 0 ? -1 : 0;
}

/* The entry of a class or function if it has a plan that can be used: MAKE_DONE and *maker;
   else MAKE_CALL, or MAKE_DUE and the callable in *due. */
static enum make_outcome
find_maker(struct core_state *state, PyObject *callable, PyObject *key, unsigned version,
           struct maker **maker, PyObject **due)
{
    *maker = makers_meet(state->makers, key, version);
    if (*maker == NULL || (*maker)->status == STEPS_REFUSED) {
        return MAKE_CALL;
    }
    if ((*maker)->status == STEPS_READY) {
        return steps_observed(state) ? MAKE_CALL : MAKE_DONE;
    }
    if (++(*maker)->met < state->steps_threshold || state->compiler_is_coming
        || steps_observed(state) || thread_near_recursion_limit() || stack_is_short()) {
        return MAKE_CALL;
    }
    *due = Py_NewRef(callable);
    return MAKE_DUE;
}

/* ---- instances --------------------------------------------------------------------------------
 */

ALWAYS_INLINE int
codes_hold(const struct maker *maker)
{
    for (size_t i = 0; i < maker->steps->function_count; i++) {
        if (PyFunction_GET_CODE(maker->functions[i]) != maker->codes[i]
            || code_is_monitored(maker->codes[i])) {
            return 0;
        }
    }
    return 1;
}

/* Stores at places, without references: the values are those of a fresh instance, in the order of
   the stores.  How many it has stored. */
ALWAYS_INLINE int
store_at_places(const struct maker *maker, PyTypeObject *type, PyObject *object, PyObject **values)
{
    struct layout_values *inside = maker->in_slots ? NULL : layout_unmade_values(object, type);
    for (int i = 0; i < maker->store_count; i++) {
        const struct store *store = &maker->stores[i];
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
    return maker->store_count;
}

/* Arguments and defaults for the stores; 0 if a default is missing. */
ALWAYS_INLINE int
gather(const struct maker *maker, PyObject *const *arguments, Py_ssize_t count, PyObject **values)
{
    for (int i = 0; i < maker->store_count; i++) {
        const struct store *store = &maker->stores[i];
        values[i] = store->argument < count ? arguments[store->argument]
                                            : read_default(maker->functions[0], store->parameter);
        if (unlikely(values[i] == NULL)) {
            return 0;
        }
    }
    return 1;
}

/* The arguments are taken if they may be and each is stored once. */
ALWAYS_INLINE enum make_outcome
make_plain(struct core_state *state, const struct maker *maker, PyTypeObject *type,
           PyObject *const *arguments, Py_ssize_t count, int may_take, PyObject **made)
{
    PyObject *values[STORES_MAX];
    if (!gather(maker, arguments, count, values)) {
        return MAKE_CALL;
    }
    PyObject *object = layout_new_instance(type, state->empty_tuple);
    if (object == NULL) {
        return MAKE_RAISED;
    }
    int stored = store_at_places(maker, type, object, values);
    *made = object;
    if (may_take && stored == maker->store_count && count == maker->takes) {
        return MAKE_TAKEN;
    }
    for (int i = 0; i < stored; i++) {
        Py_INCREF(values[i]);
    }
    for (int i = stored; i < maker->store_count; i++) {
        if (PyObject_GenericSetAttr(object, maker->stores[i].name, values[i]) < 0) {
            Py_CLEAR(*made);
            return MAKE_RAISED;
        }
    }
    return MAKE_DONE;
}

enum make_outcome
make_by_stores(struct core_state *state, const struct maker *maker, PyObject *const *arguments,
               Py_ssize_t count, PyObject **made)
{
    return make_plain(state, maker, (PyTypeObject *)maker->keyed.key, arguments, count, 0, made);
}

/* ---- by steps
 * ------------------------------------------------------------------------------------- */

static int
run_store(struct steps_run *run, const struct step *step, PyObject *object)
{
    PyObject *value = run->values[step->b];
    if (step->kind != STEP_STORE_ITEM) {
        return PyObject_GenericSetAttr(object, PyTuple_GET_ITEM(run->steps->names, step->a),
                                       value);
    }
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    int stored =
        dict == NULL
            ? -1
            : PyDict_SetItem(dict, PyTuple_GET_ITEM(run->steps->constants, step->a), value);
    Py_XDECREF(dict);
    return stored;
}

/* The way that a path went, once more. */
static size_t
next_step(struct steps_run *run, size_t number)
{
    const struct step *step = &run->steps->list[number];
    int holds = step->kind == STEP_BRANCH_TRUE ? read_truth(run->values[step->a])
                : step->kind == STEP_BRANCH_IS ? run->values[step->a] == run->values[step->b]
                                               : 1;
    return holds ? number + 1 : step->c;
}

/* A path that ended in RETURN_NEW: the instance, and its stores in order. */
static PyObject *
finish_new(struct steps_run *run)
{
    PyObject *object = layout_new_instance(run->cls, run->state->empty_tuple);
    for (size_t i = 0; object != NULL && i != run->end; i = next_step(run, i)) {
        const struct step *step = &run->steps->list[i];
        if (step->kind >= STEP_STORE && step->kind <= STEP_STORE_ITEM
            && run_store(run, step, object) < 0) {
            Py_CLEAR(object);
        }
    }
    return object;
}

/* A path that ended in RETURN_TUPLE: tuple.__new__(cls, items). */
static PyObject *
finish_tuple(struct steps_run *run)
{
    const struct step *end = &run->steps->list[run->end];
    PyObject *object = tuple_allocate(run->cls, end->b);
    for (size_t i = 0; object != NULL && i < end->b; i++) {
        PyTuple_SET_ITEM(object, (Py_ssize_t)i,
                         Py_NewRef(run->values[run->steps->operands[end->a + i]]));
    }
    return object;
}

/* A path that ended in RETURN_CALL, with positional arguments only. */
static enum make_outcome
finish_call(struct steps_run *run, PyObject **made)
{
    const struct step *end = &run->steps->list[run->end];
    const uint16_t *operands = run->steps->operands + end->b;
    PyObject *callee = run->values[end->a], *arguments[STORES_MAX];
    if (!PyType_CheckExact(callee) || operands[1] != 0 || operands[0] > STORES_MAX) {
        return MAKE_CALL;
    }
    for (size_t i = 0; i < operands[0]; i++) {
        arguments[i] = run->values[operands[2 + i]];
    }
    return make_object(run->state, callee, arguments, operands[0], made);
}

static enum make_outcome
finish(struct steps_run *run, PyObject **made)
{
    switch (run->steps->list[run->end].kind) {
    case STEP_RETURN_NEW: *made = finish_new(run); break;
    case STEP_RETURN_TUPLE: *made = finish_tuple(run); break;
    default: return finish_call(run, made);
    }
    return *made == NULL ? MAKE_RAISED : MAKE_DONE;
}

/* The plan is not changed or freed while it runs: nothing that it does runs Python code. */
static enum make_outcome
make_by_steps(struct core_state *state, struct maker *maker, PyTypeObject *type,
              PyObject *const *functions, PyObject *const *arguments, Py_ssize_t count,
              PyObject **made)
{
    enum { AT_HAND = 64 };
    PyObject *at_hand[AT_HAND], **values = at_hand;
    size_t size = maker->steps->count;
    if (size > AT_HAND && (values = PyMem_New(PyObject *, size)) == NULL) {
        PyErr_NoMemory();
        return MAKE_RAISED;
    }
    memset(values, 0, size * sizeof(PyObject *));
    struct steps_run run = {.state = state,
                            .steps = maker->steps,
                            .functions = functions,
                            .cls = type,
                            .arguments = arguments,
                            .argument_count = count,
                            .values = values};
    enum read_outcome read = steps_run(&run);
    enum make_outcome outcome = read == READ_FOUND  ? finish(&run, made)
                                : read == READ_LEFT ? MAKE_CALL
                                                    : MAKE_RAISED;
    for (size_t i = 0; i < size; i++) {
        Py_XDECREF(values[i]);
    }
    if (values != at_hand) {
        PyMem_Free(values);
    }
    return outcome;
}

/* ---- classes and functions
 * ---------------------------------------------------------------------------- */

/* find_maker() for a class whose plan takes so many arguments. */
static enum make_outcome
find_class_maker(struct core_state *state, PyTypeObject *type, Py_ssize_t count,
                 struct maker **maker, PyObject **due)
{
    unsigned version = class_is_ordinary(type) ? type_assign_version(type, state->str.init) : 0;
    if (version == 0) {
        return MAKE_CALL;
    }
    enum make_outcome found =
        find_maker(state, (PyObject *)type, (PyObject *)type, version, maker, due);
    if (found == MAKE_DONE && (*maker)->known == NULL
        && (count < (*maker)->steps->required || count > (*maker)->steps->accepted
            || !codes_hold(*maker))) {
        return MAKE_CALL;
    }
    return found;
}

static enum make_outcome
make_of_class(struct core_state *state, PyTypeObject *type, PyObject *const *arguments,
              Py_ssize_t count, PyObject **made)
{
    struct maker *maker;
    if (PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE)) {
        return make_value(state, type, arguments, count, made);
    }
    enum make_outcome found = find_class_maker(state, type, count, &maker, made);
    if (found != MAKE_DONE) {
        return found;
    }
    if (maker->known != NULL) {
        return known_make(state, maker->known, type, arguments, count, made);
    }
    return maker->plain
               ? make_by_stores(state, maker, arguments, count, made)
               : make_by_steps(state, maker, type, maker->functions, arguments, count, made);
}

struct maker *
make_find_stores(struct core_state *state, PyObject *callable, Py_ssize_t count)
{
    struct maker *maker;
    PyObject *due = NULL;
    if (state->steps_threshold == 0 || !PyType_CheckExact(callable)
        || !PyType_HasFeature((PyTypeObject *)callable, Py_TPFLAGS_HEAPTYPE)) {
        return NULL;
    }
    enum make_outcome found =
        find_class_maker(state, (PyTypeObject *)callable, count, &maker, &due);
    Py_XDECREF(due);
    return found == MAKE_DONE && maker->plain ? maker : NULL;
}

static enum make_outcome
make_of_function(struct core_state *state, PyObject *function, PyObject *const *arguments,
                 Py_ssize_t count, PyObject **made)
{
    struct maker *maker;
    enum make_outcome found =
        find_maker(state, function, PyFunction_GET_CODE(function), 0, &maker, made);
    if (found != MAKE_DONE) {
        return found;
    }
    if (count < maker->steps->required || count > maker->steps->accepted
        || code_is_monitored(maker->keyed.key)) {
        return MAKE_CALL;
    }
    return make_by_steps(state, maker, NULL, &function, arguments, count, made);
}

enum make_outcome
make_object(struct core_state *state, PyObject *callable, PyObject *const *arguments,
            Py_ssize_t count, PyObject **made)
{
    if (state->steps_threshold == 0) {
        return MAKE_CALL;
    }
    state->makers->busy++;
    enum make_outcome outcome =
        PyType_Check(callable)
            ? make_of_class(state, (PyTypeObject *)callable, arguments, count, made)
        : PyFunction_Check(callable) ? make_of_function(state, callable, arguments, count, made)
                                     : MAKE_CALL;
    state->makers->busy--;
    /* The class that a function calls was counted. */
    state->made_by_plan += outcome == MAKE_DONE && !PyFunction_Check(callable);
    return outcome;
}

int
make_by_setstate(struct core_state *state, PyObject *object, PyObject *object_state)
{
    PyTypeObject *type = Py_TYPE(object);
    struct maker *maker;
    PyObject *due;
    if (!PyDict_CheckExact(object_state) || !known_may_set_state(type)
        || state->steps_threshold == 0) {
        return 0;
    }
    enum make_outcome found = find_class_maker(state, type, 0, &maker, &due);
    if (found == MAKE_DUE) {
        return make_read(state, due);
    }
    int set = found == MAKE_DONE && maker->known != NULL
              && known_setstate(state, maker->known, object, object_state);
    state->made_by_plan += set != 0;
    return set;
}

/* make_plain() that moves the arguments if it can. */
static enum make_outcome
take_plainly(struct core_state *state, const struct maker *maker, PyTypeObject *type,
             PyObject **arguments, Py_ssize_t count, PyObject **made)
{
    enum make_outcome outcome = make_plain(state, maker, type, arguments, count, 1, made);
    for (int i = 0; outcome == MAKE_TAKEN && i < maker->takes; i++) {
        arguments[maker->stores[i].argument] = NULL;
    }
    return outcome;
}

/* The same where every argument is moved into a slot. */
ALWAYS_INLINE enum make_outcome
take_into_slots(struct core_state *state, const struct maker *maker, PyTypeObject *type,
                PyObject **arguments, int untracked, PyObject **made)
{
    PyObject *object =
        untracked ? new_untracked(type) : layout_new_instance(type, state->empty_tuple);
    if (object == NULL) {
        return MAKE_RAISED;
    }
    for (const struct store *store = maker->stores; store < maker->stores + maker->takes;
         store++) {
        *layout_slot(object, store->place) = arguments[store->argument];
        arguments[store->argument] = NULL;
    }
    *made = object;
    return MAKE_TAKEN;
}

void
make_free_dead(struct core_state *state)
{
    if (unlikely(state->makers->table.dead != NULL)) {
        makers_free_dead(state->makers);
    }
}

/* The plan of a class that only stores arguments, in its version of now, if it is to be used. That
   the class is ordinary, its version says since it was read. */
ALWAYS_INLINE struct maker *
find_plain(struct core_state *state, PyObject *callable)
{
    PyTypeObject *type = (PyTypeObject *)callable;
    if (!PyType_CheckExact(callable) || state->steps_threshold == 0) {
        return NULL;
    }
    struct maker *maker = makers_find(state->makers, callable);
    return maker == NULL || maker->version != type_version(type) || maker->status != STEPS_READY
                   || !maker->plain || steps_observed(state) || !codes_hold(maker)
               ? NULL
               : maker;
}

ALWAYS_INLINE int
accepts(const struct maker *maker, Py_ssize_t count)
{
    return count >= maker->steps->required && count <= maker->steps->accepted;
}

struct maker *
make_find_taking(struct core_state *state, PyObject *callable, int *count)
{
    struct maker *maker = find_plain(state, callable);
    if (maker == NULL || maker->takes <= 0 || !accepts(maker, maker->takes)) {
        return NULL;
    }
    *count = maker->takes;
    return maker;
}

/* Of `count` arguments, which are moved if they may be. */
ALWAYS_INLINE enum make_outcome
make_taking_by(struct core_state *state, const struct maker *maker, PyObject **arguments,
               Py_ssize_t count, int *untracked, PyObject **made)
{
    PyTypeObject *type = (PyTypeObject *)maker->keyed.key;
    int into_slots = maker->in_slots && count == maker->takes;
    *untracked = *untracked && into_slots && maker->is_bare;
    state->makers->busy++;
    enum make_outcome outcome =
        into_slots ? take_into_slots(state, maker, type, arguments, *untracked, made)
                   : take_plainly(state, maker, type, arguments, count, made);
    state->makers->busy--;
    state->made_by_plan += outcome != MAKE_CALL;
    return outcome;
}

enum make_outcome
make_by_taking(struct core_state *state, const struct maker *maker, PyObject **arguments,
               PyObject **made)
{
    int untracked = 0;
    return make_taking_by(state, maker, arguments, maker->takes, &untracked, made);
}

/* make_taking_untracked(), in line. */
ALWAYS_INLINE enum make_outcome
take(struct core_state *state, PyObject *callable, PyObject **arguments, Py_ssize_t count,
     int *untracked, PyObject **made)
{
    struct maker *maker = find_plain(state, callable);
    return maker == NULL || !accepts(maker, count)
               ? MAKE_CALL
               : make_taking_by(state, maker, arguments, count, untracked, made);
}

enum make_outcome
make_taking_untracked(struct core_state *state, PyObject *callable, PyObject **arguments,
                      Py_ssize_t count, int *untracked, PyObject **made)
{
    return take(state, callable, arguments, count, untracked, made);
}

enum make_outcome
make_taking(struct core_state *state, PyObject *callable, PyObject **arguments, Py_ssize_t count,
            PyObject **made)
{
    int untracked = 0;
    return take(state, callable, arguments, count, &untracked, made);
}

#else

enum make_outcome
make_object(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(callable),
            PyObject *const *Py_UNUSED(arguments), Py_ssize_t Py_UNUSED(count),
            PyObject **Py_UNUSED(made))
{
    return MAKE_CALL;
}

struct maker *
make_find_stores(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(callable),
                 Py_ssize_t Py_UNUSED(count))
{
    return NULL;
}

void
make_free_dead(struct core_state *Py_UNUSED(state))
{
}

enum make_outcome
make_taking(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(callable),
            PyObject **Py_UNUSED(arguments), Py_ssize_t Py_UNUSED(count),
            PyObject **Py_UNUSED(made))
{
    return MAKE_CALL;
}

int
make_by_setstate(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(object),
                 PyObject *Py_UNUSED(object_state))
{
    return 0;
}

int
make_read(struct core_state *Py_UNUSED(state), PyObject *callable)
{
    Py_DECREF(callable);
    return 0;
}

#endif

enum make_outcome
make_or_read(struct core_state *state, PyObject *callable, PyObject *const *arguments,
             Py_ssize_t count, PyObject **made)
{
    make_free_dead(state);
    enum make_outcome outcome = make_object(state, callable, arguments, count, made);
    if (outcome != MAKE_DUE) {
        return outcome;
    }
    if (make_read(state, *made) < 0) {
        *made = NULL;
        return MAKE_RAISED;
    }
    outcome = make_object(state, callable, arguments, count, made);
    if (outcome == MAKE_DUE) {
        Py_CLEAR(*made);
        outcome = MAKE_CALL;
    }
    return outcome;
}
