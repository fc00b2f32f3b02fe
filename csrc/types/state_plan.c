/* Plans of __setstate__ and __getstate__: see state_plan.h. */
#include "types/state_plan.h"

#include "base/helpers.h"
#include "base/layout.h"
#include "base/lookup.h"
#include "base/namecache.h"
#include "base/observed.h"
#include "base/weaktable.h"
#include "plans/plan_run.h"
#include "plans/room.h"
#include "plans/trial.h"
#include "types/construct_read.h"
#include "types/default.h"
#include "types/rebuild.h"
#include "types/room.h"

enum {
    /* Classes that live. */
    STATE_PLANS_MAX = 4096,
    /* A class that changes all the time is not read again. */
    READINGS_MAX = 4
};

/* Where a step stores: at the offset of a slot, or at an index among the instance's values. */
struct state_place {
    Py_ssize_t slot;  /* -1: none */
    Py_ssize_t index; /* -1: not known */
};

/* A function of the class, of the two. */
struct method_plan {
    unsigned met;
    enum plan_status status;
    struct plan *plan;  /* if ready, like all that follows */
    PyObject *function; /* borrowed while the version holds */
    PyObject *code;     /* strong */
    Py_ssize_t *reads;  /* where its steps find their values: see plan_run.h */
    struct trial trial;
};

/* The facts of a class. */
struct state_plan {
    struct weaktable_entry weaktable_entry;
    unsigned version; /* of the class */
    unsigned readings;
    struct method_plan get, set;
    /* Of `set`, if that is ready: */
    int has_dict;               /* instances may have a __dict__ */
    struct state_place *places; /* of each step */
    uint16_t *stores;           /* the steps that store, if there is one path; or NULL */
    size_t store_count;
    struct class_values under_stores; /* the class's attributes under the names stored */
};

struct state_plans {
    struct weaktable table;
    int busy; /* plans that run: nothing is freed */
};

/* ---- the facts of classes ----------------------------------------------- */

static void
release_plan(struct weaktable_entry *entry)
{
    struct state_plan *known = (struct state_plan *)entry;
    plan_free(known->get.plan);
    plan_free(known->set.plan);
    PyMem_Free(known->get.reads);
    PyMem_Free(known->places);
    PyMem_Free(known->stores);
    Py_XDECREF(known->get.code);
    Py_XDECREF(known->set.code);
}

int
state_plan_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->types->state_plans = PyMem_Calloc(1, sizeof(struct state_plans));
    if (state->types->state_plans == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return weaktable_setup(&state->types->state_plans->table, sizeof(struct state_plan),
                           STATE_PLANS_MAX, release_plan);
}

void
state_plan_teardown(struct core_state *state)
{
    struct state_plans *plans = state->types->state_plans;
    if (plans != NULL) {
        state->types->state_plans = NULL;
        weaktable_teardown(&plans->table);
        PyMem_Free(plans);
    }
}

int
state_plan_count_busy(struct core_state *state, int forget)
{
    struct state_plans *plans = state->types->state_plans;
    int count = plans->busy;
    plans->busy = forget ? 0 : count;
    return count;
}

/* The entry of a class in its version of now, or NULL; borrowed until Python code runs. */
ALWAYS_INLINE struct state_plan *
find_plan(struct core_state *state, PyTypeObject *type)
{
    struct state_plan *known =
        (struct state_plan *)weaktable_find(&state->types->state_plans->table, type);
    return known != NULL && known->version != 0 && known->version == type_version(type) ? known
                                                                                        : NULL;
}

/* The same, made anew where there is none; NULL where no more are kept. */
static struct state_plan *
meet_plan(struct core_state *state, PyTypeObject *type)
{
    struct weaktable *table = &state->types->state_plans->table;
    unsigned version = type_assign_version(type, state->str.setstate);
    struct weaktable_entry *before = weaktable_find(table, type), *entry;
    if (version == 0) {
        return NULL;
    }
    if (before == NULL) {
        entry = weaktable_add(table, (PyObject *)type);
    }
    else if (((struct state_plan *)before)->version == version) {
        return (struct state_plan *)before;
    }
    else {
        unsigned readings =
            weaktable_is_same_class(before) ? ((struct state_plan *)before)->readings : 0;
        entry = weaktable_replace(table, before);
        if (entry != NULL) {
            ((struct state_plan *)entry)->readings = readings;
        }
    }
    if (entry != NULL) {
        ((struct state_plan *)entry)->version = version;
    }
    return (struct state_plan *)entry;
}

enum plan_status
state_plan_status(struct core_state *state, PyTypeObject *type)
{
    const struct state_plan *known = find_plan(state, type);
    return known == NULL ? PLAN_UNREAD : known->set.status;
}

/* ---- reading ------------------------------------------------------------ */

/* True if instances have a __dict__ as a class statement makes it, with values; 0 if they have
   none; -1 if it is another one. */
static int
kind_of_dict(struct core_state *state, PyTypeObject *type)
{
    if (type->tp_dictoffset == 0 && !PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
        return 0;
    }
    return (rebuild_facts(state, type) & REBUILD_OWN_DICT) != 0 ? 1 : -1;
}

/* Finds the place of a store.  0 if the class does more there than to keep the value. */
static int
place_state_store(struct state_plan *known, PyTypeObject *type, size_t number)
{
    const struct step *step = &known->set.plan->list[number];
    struct state_place *place = &known->places[number];
    *place = (struct state_place){-1, -1};
    switch (step->kind) {
    case STEP_STORE:
        if (type->tp_setattro != PyObject_GenericSetAttr) {
            return 0;
        }
        /* fall through */
    case STEP_STORE_GENERIC: {
        PyObject *name = PyTuple_GET_ITEM(known->set.plan->names, step->a);
        place->slot = layout_slot_offset(type, name);
        if (place->slot < 0 && known->has_dict) {
            place->index = construct_shared_index(type, name);
        }
        return place->slot >= 0
               || (known->has_dict && construct_stores_plainly(&known->under_stores, type, name));
    }
    case STEP_STORE_DICT:
        return known->has_dict && (!step->b || type->tp_setattro == PyObject_GenericSetAttr);
    case STEP_STORE_ITEM:
    case STEP_UPDATE: return known->has_dict;
    default: return 1;
    }
}

static int
is_store(const struct step *step)
{
    return step->kind >= STEP_STORE && step->kind <= STEP_UPDATE;
}

/* Notes which steps store, if all ways through the plan are one and there is memory for it. */
static void
line_up_stores(struct state_plan *known)
{
    const struct plan *plan = known->set.plan;
    uint16_t *stores = PyMem_Calloc(plan->count, sizeof(uint16_t));
    size_t count = 0;
    for (size_t i = 0; stores != NULL && i < plan->count; i++) {
        int kind = plan->list[i].kind;
        if (kind == STEP_BRANCH_TRUE || kind == STEP_BRANCH_IS) {
            PyMem_Free(stores);
            stores = NULL;
        }
        else if (is_store(&plan->list[i])) {
            stores[count++] = (uint16_t)i;
        }
    }
    known->stores = stores;
    known->store_count = count;
}

/* Takes the stores of the plan that was just read; true if it can be used. */
static int
place_stores(struct core_state *state, struct state_plan *known, PyTypeObject *type)
{
    int dict = kind_of_dict(state, type);
    known->places = PyMem_Calloc(known->set.plan->count + 1, sizeof(struct state_place));
    if (known->places == NULL || dict < 0 || !lookup_is_plain(state, type)) {
        return 0;
    }
    known->has_dict = dict;
    for (size_t i = 0; i < known->set.plan->count; i++) {
        if (!place_state_store(known, type, i)) {
            return 0;
        }
    }
    line_up_stores(known);
    return 1;
}

/* Where a step finds its value in an object of the type. */
static Py_ssize_t
place_of_read(struct core_state *state, PyTypeObject *type, const struct plan *plan,
              const struct step *step)
{
    if ((step->kind != STEP_ATTRIBUTE && step->kind != STEP_ATTRIBUTE_OR)
        || plan->list[step->a].kind != STEP_OBJECT) {
        return READ_ELSEWHERE;
    }
    PyObject *name = PyTuple_GET_ITEM(plan->names, step->b);
    if (name == state->str.dict) {
        return default_has_own_dict(state, type) ? READ_OWN_DICT : READ_ELSEWHERE;
    }
    Py_ssize_t offset = layout_slot_offset(type, name);
    return offset > 0 ? offset : READ_ELSEWHERE;
}

/* Notes where the steps of the plan that was just read find their values; nowhere, if there is no
   memory for it. */
static void
place_reads(struct core_state *state, struct method_plan *method, PyTypeObject *type)
{
    const struct plan *plan = method->plan;
    method->reads =
        lookup_is_plain(state, type) ? PyMem_Calloc(plan->count, sizeof(Py_ssize_t)) : NULL;
    for (size_t i = 0; method->reads != NULL && i < plan->count; i++) {
        method->reads[i] = place_of_read(state, type, plan, &plan->list[i]);
    }
}

/* Takes a plan of a class's function that was just read, or NULL. */
static void
take_plan(struct core_state *state, struct state_plan *known, int gets, PyObject *function,
          struct plan *plan)
{
    struct method_plan *method = gets ? &known->get : &known->set;
    known->readings++;
    method->status = PLAN_UNCOMPILABLE;
    if (plan == NULL) {
        return;
    }
    method->plan = plan;
    method->function = function;
    method->code = Py_NewRef(PyFunction_GET_CODE(function));
    PyTypeObject *type = (PyTypeObject *)known->weaktable_entry.key;
    if (gets) {
        place_reads(state, method, type);
    }
    if (gets || place_stores(state, known, type)) {
        method->status = PLAN_READY;
    }
}

/* Reads one of a class's functions.  0, or -1 with an exception.  Runs Python code. */
static int
read_method(struct core_state *state, PyTypeObject *type, int gets)
{
    PyObject *function = type_lookup(type, gets ? state->str.getstate : state->str.setstate);
    struct state_plan *known = meet_plan(state, type);
    struct plan *plan = NULL;
    if (known == NULL || function == NULL || !PyFunction_Check(function)) {
        return 0;
    }
    unsigned version = known->version;
    Py_INCREF(function);
    Py_INCREF(type);
    PyObject *code = Py_NewRef(PyFunction_GET_CODE(function));
    int read = known->readings >= READINGS_MAX ? 0
               : gets                          ? plan_read_getstate(state, function, &plan)
                                               : plan_read_stores(state, function, &plan);
    /* The code that ran meanwhile may have changed the class, and the table. */
    known = read < 0 ? NULL : meet_plan(state, type);
    if (known == NULL || known->version != version || PyFunction_GET_CODE(function) != code
        || (gets ? known->get.status : known->set.status) != PLAN_UNREAD) {
        plan_free(plan);
    }
    else {
        take_plan(state, known, gets, function, plan);
    }
    Py_DECREF(code);
    Py_DECREF(type);
    Py_DECREF(function);
    return read < 0 ? -1 : 0;
}

int
state_plan_read(struct core_state *state, PyTypeObject *type)
{
    return read_method(state, type, 0);
}

int
state_plan_read_getstate(struct core_state *state, PyTypeObject *type)
{
    return read_method(state, type, 1);
}

/* ---- storing ------------------------------------------------------------ */

static int
is_state_dict(PyObject *value)
{
    return PyDict_CheckExact(value) && layout_has_only_str_keys(value);
}

/* The next step of the path, of those that store at least, from *position on, which goes on behind
   it; run->end where there is none. */
ALWAYS_INLINE size_t
next_store(const struct state_plan *known, struct plan_run *run, size_t *position)
{
    if (known->stores != NULL) {
        return *position < known->store_count ? known->stores[(*position)++] : run->end;
    }
    size_t number = *position;
    *position = number == run->end ? number : plan_run_next(run, number);
    return number;
}

/* True if nothing that the path stores replaces anything, or is not as it has to be. */
static int
can_store(const struct state_plan *known, struct plan_run *run, PyObject *object)
{
    if (known->has_dict && !default_is_empty(object)) {
        return 0;
    }
    for (size_t at = 0, i; (i = next_store(known, run, &at)) != run->end;) {
        const struct step *step = &run->plan->list[i];
        if (step->kind == STEP_STORE || step->kind == STEP_STORE_GENERIC) {
            Py_ssize_t slot = known->places[i].slot;
            if (slot >= 0 && *layout_slot(object, slot) != NULL) {
                return 0;
            }
        }
        else if ((step->kind == STEP_STORE_DICT || step->kind == STEP_UPDATE)
                 && !is_state_dict(run->values[step->a])) {
            return 0;
        }
    }
    return 1;
}

/* Stores an attribute; what it replaces was stored by this plan, which still holds it.  0 or -1.
 */
static int
store_attribute(struct state_place place, PyObject *object, PyObject *name, PyObject *value)
{
    if (place.slot >= 0) {
        Py_XSETREF(*layout_slot(object, place.slot), Py_NewRef(value));
        return 0;
    }
    PyTypeObject *type = Py_TYPE(object);
    struct layout_values *values = place.index < 0 ? NULL : layout_unmade_values(object, type);
    if (values != NULL && layout_values_hold(values, (int)place.index)
        && values->values[place.index] == NULL) {
        layout_values_append(values, (int)place.index, Py_NewRef(value));
        return 0;
    }
    return PyObject_GenericSetAttr(object, name, value);
}

static int
store_in_dict(PyObject *object, PyObject *key, PyObject *value)
{
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    int stored = dict == NULL ? -1 : PyDict_SetItem(dict, key, value);
    Py_XDECREF(dict);
    return stored;
}

/* Does what a step says that stores, and nothing for another one.  0 or -1. */
static int
store(const struct state_plan *known, struct plan_run *run, size_t number, PyObject *object)
{
    const struct plan *plan = run->plan;
    const struct step *step = &plan->list[number];
    switch (step->kind) {
    case STEP_STORE:
    case STEP_STORE_GENERIC:
        return store_attribute(known->places[number], object,
                               PyTuple_GET_ITEM(plan->names, step->a), run->values[step->b]);
    case STEP_STORE_ITEM:
        return store_in_dict(object, PyTuple_GET_ITEM(plan->constants, step->a),
                             run->values[step->b]);
    case STEP_STORE_DICT:
        return PyObject_GenericSetAttr(object, run->state->str.dict, run->values[step->a]);
    case STEP_UPDATE: return default_update(object, run->values[step->a]);
    default: return 0;
    }
}

static enum outcome
store_all(const struct state_plan *known, struct plan_run *run, PyObject *object)
{
    if (!can_store(known, run, object)) {
        return OUTCOME_BAIL;
    }
    for (size_t at = 0, i; (i = next_store(known, run, &at)) != run->end;) {
        if (store(known, run, i, object) < 0) {
            return OUTCOME_RAISED;
        }
    }
    return OUTCOME_DONE;
}

/* ---- running ------------------------------------------------------------ */

/* A run of a plan: what it is of, an object, and the state that it is given or gives. */
struct state_run {
    struct state_plan *known;
    PyObject *object;
    PyObject *taken;
    PyObject **given; /* NULL: the state is taken */
};

/* The value at the end of the path of a __getstate__; strong. */
static enum outcome
give_planned_state(struct plan_run *run, PyObject **given)
{
    *given = plan_run_result(run);
    return *given == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

/* Loads, then stores, or gives what was loaded. */
static enum outcome
run_plan(struct core_state *state, const struct method_plan *method, struct state_run *of)
{
    enum { AT_HAND = 64 };
    PyObject *at_hand[AT_HAND], **values = at_hand;
    size_t size = method->plan->count;
    if (size > AT_HAND && (values = PyMem_New(PyObject *, size)) == NULL) {
        PyErr_NoMemory();
        return OUTCOME_RAISED;
    }
    memset(values, 0, size * sizeof(PyObject *));
    struct plan_run run = {.state = state,
                           .plan = method->plan,
                           .reads = method->reads,
                           .functions = &method->function,
                           .object = of->object,
                           .cls = Py_TYPE(of->object),
                           .arguments = &of->taken,
                           .argument_count = 1,
                           .values = values};
    enum outcome outcome = plan_run(&run);
    if (outcome == OUTCOME_DONE) {
        outcome = of->given != NULL ? give_planned_state(&run, of->given)
                                    : store_all(of->known, &run, of->object);
    }
    plan_run_release(&run);
    if (values != at_hand) {
        PyMem_Free(values);
    }
    return outcome == OUTCOME_ABSENT ? OUTCOME_BAIL : outcome;
}

int
state_plan_takes_state_alone(PyObject *function)
{
    PyObject *defaults = PyFunction_GET_DEFAULTS(function);
    Py_ssize_t count = defaults == NULL ? 0 : PyTuple_GET_SIZE(defaults);
    return ((PyCodeObject *)PyFunction_GET_CODE(function))->co_argcount - count <= 2;
}

/* True if everything that the version of the class does not cover is as it was. */
static int
method_holds(struct core_state *state, const struct method_plan *method)
{
    return PyFunction_GET_CODE(method->function) == method->code
           && !code_is_monitored(method->code) && !calls_observed(state);
}

/* By a plan that can be used, as long as it is worth trying. */
static enum outcome
try_state_plan(struct core_state *state, struct method_plan *method, struct state_run *run)
{
    uint64_t guard = namecache_stamp(state);
    if (trial_rests(&method->trial, guard)) {
        return OUTCOME_BAIL;
    }
    state->types->state_plans->busy++;
    enum outcome outcome = run_plan(state, method, run);
    state->types->state_plans->busy--;
    if (outcome == OUTCOME_BAIL) {
        trial_failed(&method->trial, guard);
    }
    else {
        trial_succeeded(&method->trial);
    }
    return outcome;
}

/* The facts of the class; NULL where none are kept. */
static struct state_plan *
known_of(struct core_state *state, PyTypeObject *type)
{
    struct state_plans *plans = state->types->state_plans;
    if (unlikely(plans->table.dead != NULL) && plans->busy == 0) {
        weaktable_free_dead(&plans->table);
    }
    struct state_plan *known = find_plan(state, type);
    return known != NULL ? known : meet_plan(state, type);
}

/* OUTCOME_HOT if a function without a plan is to be read, else OUTCOME_BAIL. */
static enum outcome
meet_method(struct core_state *state, struct method_plan *method)
{
    return method->status == PLAN_UNREAD && ++method->met >= state->plans->threshold
                   && helper_may_run(state, HELPER_COMPILER)
               ? OUTCOME_HOT
               : OUTCOME_BAIL;
}

enum outcome
state_plan_apply(struct core_state *state, PyObject *object, PyObject *object_state)
{
    struct state_plan *known = known_of(state, Py_TYPE(object));
    if (known == NULL || known->set.status != PLAN_READY) {
        return known == NULL ? OUTCOME_BAIL : meet_method(state, &known->set);
    }
    if (!method_holds(state, &known->set) || !state_plan_takes_state_alone(known->set.function)
        || !class_values_hold(&known->under_stores)) {
        return OUTCOME_BAIL;
    }
    struct state_run run = {.known = known, .object = object, .taken = object_state};
    enum outcome outcome = try_state_plan(state, &known->set, &run);
    state->plans->made_by_plan += outcome == OUTCOME_DONE;
    return outcome;
}

enum outcome
state_plan_give(struct core_state *state, PyObject *object, PyObject **object_state)
{
    *object_state = NULL;
    if (!layout_is_known() || state->plans->threshold == 0) {
        return OUTCOME_BAIL;
    }
    struct state_plan *known = known_of(state, Py_TYPE(object));
    if (known == NULL || known->get.status != PLAN_READY) {
        return known == NULL ? OUTCOME_BAIL : meet_method(state, &known->get);
    }
    if (!method_holds(state, &known->get)) {
        return OUTCOME_BAIL;
    }
    struct state_run run = {.known = known, .object = object, .given = object_state};
    enum outcome outcome = try_state_plan(state, &known->get, &run);
    state->plans->reduced_by_plan += outcome == OUTCOME_DONE;
    return outcome;
}
