/* What is known of a type: see plan.h. */
#include "plan.h"

#include "frozen.h"
#include "registry.h"

/* ---- the cache ---------------------------------------------------------- */

static void
free_plan(struct plan *plan)
{
    for (Py_ssize_t i = 0; i < plan->slot_count; i++) {
        Py_DECREF(plan->slots[i].name);
    }
    PyMem_Free(plan->slots);
    Py_XDECREF(plan->slotnames);
    Py_XDECREF(plan->module_name);
    Py_XDECREF(plan->qualname);
    PyMem_Free(plan);
}

static void
free_retired(struct plan_cache *cache)
{
    struct plan *plan = cache->retired;
    cache->retired = NULL;
    while (plan != NULL) {
        struct plan *next = plan->retired;
        free_plan(plan);
        plan = next;
    }
}

void
plan_free_unused(struct core_state *state)
{
    free_retired(state->plans);
    keyed_free_dead(&state->steps->table);
}

void
plan_teardown(struct core_state *state)
{
    struct plan_cache *cache = state->plans;
    if (cache == NULL) {
        return;
    }
    free_retired(cache);
    for (size_t i = 0; i < PLAN_TABLE + PLAN_PROBES; i++) {
        if (cache->table[i] != NULL) {
            free_plan(cache->table[i]);
        }
    }
    for (size_t i = 0; i < VALUES; i++) {
        Py_XDECREF(cache->value_guards[i]);
    }
    PyMem_Free(cache);
    state->plans = NULL;
}

/* ---- reading a type ----------------------------------------------------- */

#if KNOWN_LAYOUT

/* Whether the type has under `name` what object has. */
static int
inherits(PyTypeObject *type, PyObject *name)
{
    return type_lookup(type, name) == type_lookup(&PyBaseObject_Type, name);
}

int
plan_is_namedtuple(struct core_state *state, PyTypeObject *type)
{
    PyObject *method = type_lookup(type, state->str.getnewargs);
    if (method == NULL || !PyFunction_Check(method) || state->namedtuple_code == NULL
        || PyFunction_GET_CODE(method) != state->namedtuple_code
        || !PyType_IsSubtype(type, &PyTuple_Type)) {
        return 0;
    }
    /* It calls tuple(self). */
    PyObject *closure = PyFunction_GET_CLOSURE(method);
    return type->tp_iter == PyTuple_Type.tp_iter
           && type->tp_as_sequence->sq_length == PyTuple_Type.tp_as_sequence->sq_length
           && type->tp_as_mapping->mp_length == PyTuple_Type.tp_as_mapping->mp_length
           && closure != NULL && PyTuple_GET_SIZE(closure) == 1
           && PyCell_GET(PyTuple_GET_ITEM(closure, 0)) == (PyObject *)&PyTuple_Type
           && !code_is_monitored(state->namedtuple_code) && !steps_observed(state);
}

/* Whether the type has under `name` what one of its bases has. */
static int
has_of(PyTypeObject *type, PyTypeObject *base, PyObject *name)
{
    return PyType_IsSubtype(type, base) && type_lookup(type, name) == type_lookup(base, name);
}

/* Whether objects of the type come apart by the __reduce__ of sets. */
static int
is_set(struct core_state *state, PyTypeObject *type)
{
    return has_of(type, &PySet_Type, state->str.reduce)
           || has_of(type, &PyFrozenSet_Type, state->str.reduce);
}

/* Whether objects of the type come apart by object.__reduce_ex__ alone, or by the __reduce__ of
   sets, which it calls; whatever their state is. */
static int
is_reduced_by_default(struct core_state *state, PyTypeObject *type)
{
    const struct core_strings *str = &state->str;
    return PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
           && type->tp_getattro == PyObject_GenericGetAttr && type->tp_new != NULL
           && inherits(type, str->reduce_ex)
           && (inherits(type, str->reduce) || is_set(state, type)) && inherits(type, str->class_)
           && type_lookup(type, str->getnewargs_ex) == NULL
           && !PyType_FastSubclass(type, Py_TPFLAGS_TYPE_SUBCLASS);
}

/* The same with a state that is object's, or dataclasses' own: plan->frozen. */
static int
is_default(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    struct frozen_walk walk;
    plan->frozen = !inherits(type, state->str.getstate);
    return is_reduced_by_default(state, type)
           && (!plan->frozen || frozen_begin(state, type, FROZEN_GETSTATE, &walk));
}

/* The same with a state that a function gives, and nothing else of its own. */
static int
is_default_but_for_state(struct core_state *state, const struct plan *plan, PyTypeObject *type)
{
    PyObject *getstate = type_lookup(type, state->str.getstate);
    const unsigned long others = Py_TPFLAGS_LIST_SUBCLASS | Py_TPFLAGS_DICT_SUBCLASS;
    return getstate != NULL && PyFunction_Check(getstate) && is_reduced_by_default(state, type)
           && inherits(type, state->str.reduce) && type_lookup(type, state->str.getnewargs) == NULL
           && !PyType_FastSubclass(type, others) && (plan->has_dict || type->tp_dictoffset == 0);
}

/* What set.__reduce__ gives.  0 if the type has its own way of telling its elements. */
static int
read_elements(struct plan *plan, PyTypeObject *type)
{
    plan->arguments = ARGUMENTS_SET;
    return type->tp_iter == PySet_Type.tp_iter
           && type->tp_as_sequence->sq_length == PySet_Type.tp_as_sequence->sq_length;
}

/* What __getnewargs__ gives.  0 if it is one that is to be called. */
static int
read_arguments(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    if (is_set(state, type)) {
        return read_elements(plan, type);
    }
    const struct {
        PyTypeObject *base;
        enum plan_arguments arguments;
    } known[] = {{&PyTuple_Type, ARGUMENTS_TUPLE},
                 {&PyUnicode_Type, ARGUMENTS_STR},
                 {&PyBytes_Type, ARGUMENTS_BYTES},
                 {&PyLong_Type, ARGUMENTS_INT},
                 {&PyFloat_Type, ARGUMENTS_FLOAT}};
    PyObject *method = type_lookup(type, state->str.getnewargs);
    for (size_t i = 0; method != NULL && i < Py_ARRAY_LENGTH(known); i++) {
        if (has_of(type, known[i].base, state->str.getnewargs)) {
            plan->arguments = known[i].arguments;
            return 1;
        }
    }
    if (method != NULL && plan_is_namedtuple(state, type)) {
        plan->arguments = ARGUMENTS_ELEMENTS;
        return 1;
    }
    return method == NULL;
}

/* What follows.  0 if the type has its own way of giving it. */
static int
read_items(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    if (PyType_FastSubclass(type, Py_TPFLAGS_LIST_SUBCLASS)) {
        plan->items = ITEMS_OF_LIST;
        return type->tp_iter == PyList_Type.tp_iter;
    }
    if (PyType_FastSubclass(type, Py_TPFLAGS_DICT_SUBCLASS)) {
        plan->items = ITEMS_OF_DICT;
        return has_of(type, &PyDict_Type, state->str.items);
    }
    return 1;
}

/* Whether instances keep their __dict__ where layout.h knows it, and show that one. */
static int
has_managed_dict(struct core_state *state, PyTypeObject *type)
{
    PyObject *descriptor = type_lookup(type, state->str.dict);
    return PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) && descriptor != NULL
           && Py_IS_TYPE(descriptor, &PyGetSetDescr_Type);
}

/* cls.__slotnames__ as it lies in the class; borrowed, or NULL if it is not a list. */
static PyObject *
find_slotnames(struct core_state *state, PyTypeObject *type)
{
    PyObject *dict = type->tp_dict;
    PyObject *names = dict == NULL ? NULL : PyDict_GetItemWithError(dict, state->str.slotnames);
    return names != NULL && PyList_CheckExact(names) ? names : NULL;
}

/* Whether a name comes again before the place `end`: a dict has it once. */
static int
comes_again(struct plan *plan, PyObject *name, Py_ssize_t end)
{
    for (Py_ssize_t i = 0; i < end; i++) {
        if (PyUnicode_Compare(plan->slots[i].name, name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Makes room for slots.  0, or -1 without memory. */
static int
allocate_slots(struct plan *plan, Py_ssize_t count)
{
    plan->slots = PyMem_Calloc((size_t)count, sizeof(*plan->slots));
    return plan->slots == NULL ? -1 : 0;
}

/* Fills the next slot in, or field in its place.  1, or 0 if it is not a plain slot, or comes
   again. */
static int
read_slot(struct plan *plan, PyTypeObject *type, PyObject *name)
{
    Py_ssize_t offset = !PyUnicode_CheckExact(name) ? -1
                        : plan->frozen              ? frozen_field_offset(type, name)
                                                    : layout_slot_offset(type, name);
    if (offset < 0 || comes_again(plan, name, plan->slot_count)) {
        return 0;
    }
    struct plan_slot *slot = &plan->slots[plan->slot_count++];
    slot->name = Py_NewRef(name);
    slot->offset = offset;
    return 1;
}

/* Fills the slots in.  1, 0 if one of them is not a plain slot, -1 without memory. */
static int
read_slots(struct plan *plan, PyTypeObject *type, PyObject *names)
{
    Py_ssize_t count = PyList_GET_SIZE(names);
    plan->slotnames = Py_NewRef(names);
    if (count == 0) {
        return 1;
    }
    if (allocate_slots(plan, count) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!read_slot(plan, type, PyList_GET_ITEM(names, i))) {
            return 0;
        }
    }
    return 1;
}

/* The same of a frozen dataclass, whose slots are in the order of its fields.  Some may be in the
   __dict__ instead. */
static int
read_frozen(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    struct frozen_walk walk;
    PyObject *name;
    if (!frozen_begin(state, type, FROZEN_GETSTATE, &walk)
        || allocate_slots(plan, PyDict_GET_SIZE(walk.dict)) < 0) {
        return 0;
    }
    while ((name = frozen_next(state, &walk)) != NULL) {
        if (!read_slot(plan, type, name)) {
            return 0;
        }
        plan->flat &= plan->slots[plan->slot_count - 1].offset != FROZEN_IN_DICT;
    }
    return !walk.failed;
}

/* Whether all of the instance is in its __dict__ and slots; else the standard library
   refuses to pickle it. */
static int
is_complete(struct plan *plan, PyTypeObject *type)
{
    Py_ssize_t size = PyBaseObject_Type.tp_basicsize;
    size += plan->slot_count * (Py_ssize_t)sizeof(PyObject *);
    size += type->tp_weaklistoffset > 0 ? (Py_ssize_t)sizeof(PyObject *) : 0;
    size += type->tp_dictoffset > 0 ? (Py_ssize_t)sizeof(PyObject *) : 0;
    return type->tp_basicsize <= size;
}

/* Whether what a default state consists of is known, and can be read. */
static int
read_state(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    plan->flat = plan->frozen || !plan->has_dict;
    if (plan->frozen) {
        return read_frozen(state, plan, type);
    }
    PyObject *names = find_slotnames(state, type);
    int needs_all = plan->arguments == ARGUMENTS_NONE && plan->items == ITEMS_NONE;
    return names != NULL && read_slots(plan, type, names) == 1
           && (!needs_all || (type->tp_itemsize == 0 && is_complete(plan, type)));
}

/* The names of a type that is not made on the heap, as its __module__ and __qualname__ give
   them: the one interned, the other new each time. */
static void
read_static_names(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    const char *dot = strrchr(type->tp_name, '.');
    if (dot == NULL) {
        plan->module_name = Py_NewRef(state->str.builtins_module);
    }
    else {
        plan->module_name = PyUnicode_FromStringAndSize(type->tp_name, dot - type->tp_name);
        if (plan->module_name != NULL) {
            PyUnicode_InternInPlace(&plan->module_name);
        }
    }
    plan->qualname = PyUnicode_FromString(dot == NULL ? type->tp_name : dot + 1);
    plan->name_is_made = 1;
    if (plan->module_name == NULL || plan->qualname == NULL) {
        PyErr_Clear();
        Py_CLEAR(plan->module_name);
        Py_CLEAR(plan->qualname);
    }
}

/* The class's own names, if they make it a global of a module without a dot. */
static void
read_names(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        read_static_names(state, plan, type);
        return;
    }
    PyObject *qualname = ((PyHeapTypeObject *)type)->ht_qualname;
    PyObject *module_name =
        type->tp_dict == NULL ? NULL : PyDict_GetItemWithError(type->tp_dict, state->str.module);
    if (module_name == NULL || !PyUnicode_CheckExact(module_name)
        || !PyUnicode_CheckExact(qualname) || !PyUnicode_IS_COMPACT_ASCII(qualname)
        || !PyUnicode_IS_COMPACT_ASCII(module_name) || PyUnicode_GET_LENGTH(qualname) > 255
        || PyUnicode_GET_LENGTH(module_name) > 255
        || PyUnicode_FindChar(qualname, '.', 0, PyUnicode_GET_LENGTH(qualname), 1) != -1) {
        return;
    }
    plan->module_name = Py_NewRef(module_name);
    plan->qualname = Py_NewRef(qualname);
}

/* Whether the class is ordinary, which the plan remembers. */
static int
read_metaclass(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    if (metaclass_leaves_alone(state, type)) {
        plan->metaclass_version = type_assign_version(Py_TYPE(type), state->str.name);
    }
    return plan->metaclass_version != 0;
}

/* What the objects of the type come apart into, but for slots.  0 if they are to be asked. */
static int
read_reduction(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    plan->has_dict = has_managed_dict(state, type);
    return is_default(state, plan, type) && read_arguments(state, plan, type)
           && read_items(state, plan, type) && (plan->has_dict || type->tp_dictoffset == 0)
           && (!plan->frozen || (plan->arguments == ARGUMENTS_NONE && plan->items == ITEMS_NONE));
}

/* Reads the type, which has a version.  Leaves the plan general if it is not to be
   planned, or if there is no memory. */
static void
read_type(struct core_state *state, struct plan *plan, PyTypeObject *type)
{
    /* Also of a class whose objects come apart otherwise: it may be a constructor. */
    const struct value *value = values_find(state, type);
    if (value != NULL || PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        read_names(state, plan, type);
    }
    if (value != NULL) {
        plan->kind = PLAN_VALUE;
        plan->value = value;
        return;
    }
    if (read_reduction(state, plan, type) && read_state(state, plan, type)) {
        plan->kind = PLAN_DEFAULT;
        plan->nests = plan->items != ITEMS_NONE || plan->arguments == ARGUMENTS_ELEMENTS
                      || plan->arguments == ARGUMENTS_TUPLE || plan->arguments == ARGUMENTS_SET;
    }
    else {
        plan->gives_state = is_default_but_for_state(state, plan, type);
    }
}

#else

static int
read_reduction(struct core_state *Py_UNUSED(state), struct plan *Py_UNUSED(plan),
               PyTypeObject *Py_UNUSED(type))
{
    return 0;
}

static int
is_default_but_for_state(struct core_state *Py_UNUSED(state), const struct plan *Py_UNUSED(plan),
                         PyTypeObject *Py_UNUSED(type))
{
    return 0;
}

static int
read_metaclass(struct core_state *Py_UNUSED(state), struct plan *Py_UNUSED(plan),
               PyTypeObject *Py_UNUSED(type))
{
    return 0;
}

static void
read_type(struct core_state *Py_UNUSED(state), struct plan *Py_UNUSED(plan),
          PyTypeObject *Py_UNUSED(type))
{
}

#endif

PyDoc_STRVAR(reads_fields_doc,
             "reads_fields($module, type, /)\n"
             "--\n\n"
             "Return whether objects of exactly this type are taken apart in C, by a default\n"
             "reduction that is known, as far as the type decides that.");

/* A bool.  Runs no Python code. */
static PyObject *
core_reads_fields(PyObject *module, PyObject *type)
{
    struct core_state *state = core_state_of_module(module);
    struct plan plan = {0};
    return PyBool_FromLong(PyType_Check(type)
                           && metaclass_leaves_alone(state, (PyTypeObject *)type)
                           && read_reduction(state, &plan, (PyTypeObject *)type));
}

PyDoc_STRVAR(asks_for_state_doc,
             "asks_for_state($module, type, /)\n"
             "--\n\n"
             "Return whether objects of exactly this type are taken apart in C, but for their\n"
             "state, which a function __getstate__ is called for.");

/* A bool.  Runs no Python code. */
static PyObject *
core_asks_for_state(PyObject *module, PyObject *type)
{
    struct core_state *state = core_state_of_module(module);
    struct plan plan = {0};
    return PyBool_FromLong(PyType_Check(type)
                           && metaclass_leaves_alone(state, (PyTypeObject *)type)
                           && !read_reduction(state, &plan, (PyTypeObject *)type)
                           && is_default_but_for_state(state, &plan, (PyTypeObject *)type));
}

static PyMethodDef functions[] = {
    {"reads_fields", core_reads_fields, METH_O, reads_fields_doc},
    {"asks_for_state", core_asks_for_state, METH_O, asks_for_state_doc},
    {NULL, NULL, 0, NULL},
};

/* ---- meeting a type --------------------------------------------------------------------------
 */

static struct plan *
make_plan(PyTypeObject *type)
{
    struct plan *plan = PyMem_Calloc(1, sizeof(*plan));
    if (plan != NULL) {
        plan->type = type;
        plan->kind = PLAN_SEEN;
        plan->class_index = NO_INDEX;
    }
    return plan;
}

/* The place where the type is, or one that is free, or the first of its places. */
static struct plan **
find_place(struct plan_cache *cache, PyTypeObject *type)
{
    struct plan **places = &cache->table[plan_place(type)];
    for (int i = 0; i < PLAN_PROBES; i++) {
        if (places[i] == NULL || places[i]->type == type) {
            return &places[i];
        }
    }
    return places;
}

struct plan *
plan_meet(struct core_state *state, PyTypeObject *type)
{
    struct plan_cache *cache = state->plans;
    struct plan **place = find_place(cache, type), *old = *place;
    struct plan *plan = make_plan(type);
    if (plan == NULL) {
        return &cache->none;
    }
    if (old != NULL && old->type == type) {
        plan->kind = PLAN_GENERAL;
        plan->version = type_assign_version(type, state->str.reduce_ex);
        if (plan->version != 0) {
            plan->hash = hash_pointer(type);
            if (read_metaclass(state, plan, type)) {
                read_type(state, plan, type);
            }
        }
    }
    if (old != NULL) {
        old->retired = cache->retired;
        cache->retired = old;
    }
    *place = plan;
    return plan;
}

/* ---- guards outside of the type
 * ------------------------------------------------------------------ */

/* Whether copyreg in sys.modules offers the original __newobj__ under its name. */
static int
newobj_is_original(struct core_state *state)
{
    PyObject *newobj =
        found_in_module(state, state->str.copyreg, state->str.newobj, &state->plans->newobj_place);
    return newobj == state->stdlib.copyreg_newobj && PyFunction_Check(newobj)
           && ((PyFunctionObject *)newobj)->func_name == state->str.newobj;
}

int
plan_learn_reducer(struct core_state *state, struct plan *plan)
{
    uint64_t stamp = found_stamp(state);
    if (stamp == 0 || plan->type == NULL
        || !registry_find_lasting(state, plan->type, &plan->reducer)) {
        plan->stamp = 0;
        return 0;
    }
    plan->stamp = stamp;
    plan->refused = NULL;
    return 1;
}

int
plan_verify(struct core_state *state, struct plan *plan, PyObject *private_table, uint64_t epoch)
{
    int lacks = private_table == NULL && plan_knows_reducer(state, plan)
                    ? plan->reducer == NULL
                    : registry_lacks(state, private_table, plan->type, plan->hash);
    if (!lacks || !plan_metaclass_holds(plan)) {
        return 0;
    }
    if (state->plans->newobj_epoch != epoch && newobj_is_original(state)) {
        state->plans->newobj_epoch = epoch;
    }
    return state->plans->newobj_epoch == epoch;
}

#if KNOWN_LAYOUT

int
plan_is_frozen(struct core_state *state, const struct plan *plan)
{
    struct frozen_walk walk;
    PyObject *name;
    Py_ssize_t count = 0;
    if (!frozen_begin(state, plan->type, FROZEN_GETSTATE, &walk)
        || !frozen_holds(state, plan->type, FROZEN_GETSTATE)) {
        return 0;
    }
    while ((name = frozen_next(state, &walk)) != NULL) {
        if (count == plan->slot_count || name != plan->slots[count++].name) {
            return 0;
        }
    }
    return !walk.failed && count == plan->slot_count;
}

#endif

/* ---- guards in the instance
 * -------------------------------------------------------------------------- */

#if KNOWN_LAYOUT

/* Names that hide a method if an instance has them. */
static int
hides(struct core_state *state, const struct plan *plan, PyObject *name)
{
    return PyUnicode_Compare(name, state->str.reduce_ex) == 0
           || PyUnicode_Compare(name, state->str.getstate) == 0
           || (plan->frozen && PyUnicode_Compare(name, state->str.dataclass_fields) == 0)
           || (plan->items == ITEMS_OF_DICT && PyUnicode_Compare(name, state->str.items) == 0)
           || (plan->arguments == ARGUMENTS_SET
               && PyUnicode_Compare(name, state->str.reduce) == 0);
}

int
plan_check_shared_keys(struct core_state *state, struct plan *plan, struct layout_keys *keys)
{
    struct layout_entry *entries = layout_entries(keys);
    for (Py_ssize_t i = plan->keys_seen; i < keys->count; i++) {
        if (entries[i].key != NULL && hides(state, plan, entries[i].key)) {
            return 1;
        }
    }
    plan->keys_seen = keys->count;
    return keys->count > (Py_ssize_t)PLAN_SHARED_KEYS;
}

int
plan_dict_hides(struct core_state *state, const struct plan *plan, PyObject *dict)
{
    if (!layout_has_only_str_keys(dict)) {
        return 1;
    }
    return PyDict_GetItemWithError(dict, state->str.reduce_ex) != NULL
           || PyDict_GetItemWithError(dict, state->str.getstate) != NULL
           || (plan->frozen && PyDict_GetItemWithError(dict, state->str.dataclass_fields) != NULL)
           || (plan->items == ITEMS_OF_DICT
               && PyDict_GetItemWithError(dict, state->str.items) != NULL)
           || (plan->arguments == ARGUMENTS_SET
               && PyDict_GetItemWithError(dict, state->str.reduce) != NULL);
}

int
plan_object_hides(struct core_state *state, struct plan *plan, PyObject *object)
{
    if (!plan->has_dict) {
        return 0;
    }
    if (layout_unmade_values(object, plan->type) != NULL) {
        struct layout_keys *keys = layout_shared_keys(plan->type);
        return keys->count != plan->keys_seen && plan_check_shared_keys(state, plan, keys);
    }
    PyObject *dict = layout_made_dict(object);
    return dict != NULL && (!PyDict_CheckExact(dict) || plan_dict_hides(state, plan, dict));
}

#endif

/* ---- setup --------------------------------------------------------------------------------- */

/* Finds the code that all named tuples share, if it gives the elements and nothing else.
   0 or -1.  Runs Python code. */
static int
find_namedtuple_code(struct core_state *state)
{
    PyObject *elements = PyTuple_Pack(4, Py_None, Py_True, Py_False, Py_Ellipsis);
    PyObject *named =
        elements == NULL ? NULL : PyObject_CallObject(state->stdlib.namedtuple_class, elements);
    PyObject *given =
        named == NULL ? NULL : PyObject_CallMethodNoArgs(named, state->str.getnewargs);
    int same = given != NULL && PyTuple_CheckExact(given)
                   ? PyObject_RichCompareBool(given, elements, Py_EQ)
                   : -1;
    PyObject *method = named == NULL ? NULL : type_lookup(Py_TYPE(named), state->str.getnewargs);
    if (same == 1 && method != NULL && PyFunction_Check(method)) {
        state->namedtuple_code = Py_NewRef(PyFunction_GET_CODE(method));
    }
    Py_XDECREF(given);
    Py_XDECREF(named);
    Py_XDECREF(elements);
    return given == NULL ? -1 : 0;
}

int
plan_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->plans = PyMem_Calloc(1, sizeof(*state->plans));
    if (state->plans == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    state->plans->none.kind = PLAN_GENERAL;
    return PyModule_AddFunctions(module, functions) < 0 ? -1 : find_namedtuple_code(state);
}
