/* Constructors that are read: see construct_read.h. */
#include "types/construct_read.h"

#include "base/layout.h"
#include "base/metaclass.h"
#include "plans/plan.h"
#include "types/constructors.h"
#include "types/room.h"
#include "values/enum_members.h"
#include "values/value_classes.h"

int
construct_stores_plainly(struct class_values *under_stores, PyTypeObject *type, PyObject *name)
{
    return layout_slot_offset(type, name) >= 0
           || (class_values_take(under_stores, type_lookup(type, name))
               && (PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) || type->tp_dictoffset > 0));
}

static int
stores_are_ordinary(struct constructor *constructor, PyTypeObject *type)
{
    const struct plan *plan = constructor->plan;
    for (size_t i = 0; i < plan->count; i++) {
        const struct step *step = &plan->list[i];
        if (step->kind == STEP_STORE && type->tp_setattro != PyObject_GenericSetAttr) {
            return 0;
        }
        if ((step->kind == STEP_STORE || step->kind == STEP_STORE_GENERIC)
            && !construct_stores_plainly(&constructor->under_stores, type,
                                         PyTuple_GET_ITEM(plan->names, step->a))) {
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
    PyObject *value = base->tp_dict == NULL ? NULL : PyDict_GetItemWithError(base->tp_dict, name);
    if (value != NULL && Py_IS_TYPE(value, &PyStaticMethod_Type)) {
        /* A __new__: to unwrap a staticmethod runs no code. */
        value = Py_TYPE(value)->tp_descr_get(value, NULL, (PyObject *)type);
        Py_XDECREF(value);
    }
    return value != NULL && PyFunction_Check(value) ? value : NULL;
}

/* Finds the functions whose code went into the plan. */
static int
find_functions(struct core_state *state, struct constructor *constructor, PyTypeObject *type)
{
    const struct plan *plan = constructor->plan;
    PyObject *name = plan->of_new ? state->str.new : state->str.init;
    for (size_t i = 0; i < plan->function_count; i++) {
        PyObject *function = function_at(type, plan->function_at[i], name);
        if (function == NULL) {
            return 0;
        }
        constructor->functions[i] = function;
        constructor->codes[i] = Py_NewRef(PyFunction_GET_CODE(function));
    }
    return 1;
}

Py_ssize_t
construct_shared_index(PyTypeObject *type, PyObject *name)
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
place_store(struct constructor *constructor, PyTypeObject *type, const struct step *step)
{
    const struct step *value = &constructor->plan->list[step->b];
    PyObject *name = PyTuple_GET_ITEM(constructor->plan->names, step->a);
    if (value->kind != STEP_ARGUMENT || constructor->store_count == STORES_MAX) {
        return 0;
    }
    struct store *store = &constructor->stores[constructor->store_count];
    store->argument = value->a;
    store->parameter = value->b;
    store->name = name;
    store->place = layout_slot_offset(type, name);
    store->is_slot = store->place >= 0;
    if (!store->is_slot) {
        store->place = construct_shared_index(type, name);
    }
    for (int i = 0; i < constructor->store_count; i++) {
        /* Classes may have a slot under two names. */
        if (constructor->stores[i].is_slot == store->is_slot
            && constructor->stores[i].place == store->place) {
            return 0;
        }
    }
    constructor->store_count++;
    return store->place >= 0;
}

/* True if each of as many arguments as there are stores is stored once. */
static int
stores_each_once(const struct constructor *constructor)
{
    uint32_t stored = 0;
    for (int i = 0; i < constructor->store_count; i++) {
        if (constructor->stores[i].argument >= constructor->store_count) {
            return 0;
        }
        stored |= UINT32_C(1) << constructor->stores[i].argument;
    }
    return stored == (UINT32_C(1) << constructor->store_count) - 1;
}

/* True if the collector looks at all instances, which have neither a __dict__ nor items. */
static int
instance_is_bare(PyTypeObject *type)
{
    const unsigned long more = Py_TPFLAGS_MANAGED_DICT | Py_TPFLAGS_IMMUTABLETYPE;
    return PyType_IS_GC(type) && type->tp_is_gc == NULL && type->tp_itemsize == 0
           && type->tp_dictoffset == 0 && !PyType_HasFeature(type, more);
}

/* True if a default may be missed that nothing is stored of: a call without it is an error. */
static int
leaves_default_out(const struct constructor *constructor)
{
    const struct plan *plan = constructor->plan;
    for (size_t i = 0; i < plan->count; i++) {
        const struct step *step = &plan->list[i];
        int stored = step->kind != STEP_ARGUMENT || step->a < plan->required;
        for (int j = 0; j < constructor->store_count && !stored; j++) {
            stored = constructor->stores[j].argument == step->a;
        }
        if (!stored) {
            return 1;
        }
    }
    return 0;
}

/* True if the plan is a line of stores of arguments, so that it need not be run step by step. */
static void
find_stores(struct constructor *constructor, PyTypeObject *type)
{
    const struct plan *plan = constructor->plan;
    for (size_t i = 0; i < plan->count; i++) {
        const struct step *step = &plan->list[i];
        int stores = step->kind == STEP_STORE || step->kind == STEP_STORE_GENERIC;
        if ((stores && !place_store(constructor, type, step))
            || (!stores && step->kind != STEP_ARGUMENT && step->kind != STEP_CONSTANT
                && step->kind != STEP_NEW && step->kind != STEP_RETURN_NEW)) {
            return;
        }
    }
    if (leaves_default_out(constructor)) {
        return;
    }
    constructor->plain = constructor->in_slots = 1;
    for (int i = 0; i < constructor->store_count; i++) {
        constructor->in_slots &= constructor->stores[i].is_slot;
    }
    constructor->takes = stores_each_once(constructor) ? constructor->store_count : -1;
    constructor->is_bare = HAS_UNTRACKED_NEW && constructor->in_slots && instance_is_bare(type);
}

/* Takes a plan of a class that was just read; true if the plan can be used. */
static int
take_class_plan(struct core_state *state, struct constructor *constructor, PyTypeObject *type)
{
    PyObject *tuple_new = (PyObject *)&PyTuple_Type;
    if (constructor->plan->of_new ? !PyType_IsSubtype(type, (PyTypeObject *)tuple_new)
                                  : type->tp_new != PyBaseObject_Type.tp_new) {
        return 0;
    }
    if (!stores_are_ordinary(constructor, type) || !find_functions(state, constructor, type)) {
        return 0;
    }
    constructor->plain = constructor->store_count = 0;
    find_stores(constructor, type);
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

/* True if the compiler can look at the callable without asking a metaclass. */
static int
is_readable(struct core_state *state, PyObject *callable)
{
    return !PyType_Check(callable) || metaclass_leaves_alone(state, (PyTypeObject *)callable);
}

/* True if there may be a plan.  A class whose __setstate__ may be known is read for that alone,
   and an enumeration for its members. */
static int
has_constructor_to_read(struct core_state *state, PyObject *callable)
{
    PyTypeObject *type = (PyTypeObject *)callable;
    return !PyType_Check(callable)
           || !(value_class_may_set_state(type) || enum_members_may_be_of(state, type));
}

int
construct_read(struct core_state *state, PyObject *callable)
{
    unsigned before, version;
    PyObject *key = Py_NewRef(key_of(state, callable, &before));
    struct plan *plan = NULL;
    int readable = is_readable(state, callable);
    int read = readable && has_constructor_to_read(state, callable)
                   ? plan_read_constructor(state, callable, &plan)
                   : 0;
    struct value_class *known = NULL;
    if (read == 0 && readable && before != 0) {
        read = value_class_read(state, callable, &known);
    }
    /* The code that ran meanwhile may have changed the callable, and the table. */
    struct constructor *constructor =
        key_of(state, callable, &version) == key && version == before && read >= 0
            ? constructors_meet(state->types->constructors, key, version)
            : NULL;
    if (constructor == NULL || constructor->status != PLAN_UNREAD) {
        plan_free(plan);
        value_class_free(known);
    }
    else {
        constructor->readings++;
        constructor->plan = plan;
        constructor->known = known;
        int usable =
            plan != NULL
            && (version == 0 || take_class_plan(state, constructor, (PyTypeObject *)callable));
        constructor->status = usable || known != NULL ? PLAN_READY : PLAN_UNCOMPILABLE;
    }
    Py_DECREF(key);
    Py_DECREF(callable);
    return read < 0 ? -1 : 0;
}
