/* Facts of types, for dumps: see typeinfo.h. */
#include "types/typeinfo.h"

#include "types/frozen.h"
#include "base/lookup.h"
#include "base/observed.h"
#include "base/registry.h"
#include "plans/room.h"
#include "types/room.h"

/* ---- the cache ---------------------------------------------------------- */

static void
free_plan(struct typeinfo *info)
{
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        Py_DECREF(info->slots[i].name);
    }
    PyMem_Free(info->slots);
    Py_XDECREF(info->slotnames);
    Py_XDECREF(info->module_name);
    Py_XDECREF(info->qualname);
    PyMem_Free(info);
}

static void
free_retired(struct typeinfo_cache *cache)
{
    struct typeinfo *info = cache->retired;
    cache->retired = NULL;
    while (info != NULL) {
        struct typeinfo *next = info->retired;
        free_plan(info);
        info = next;
    }
}

void
typeinfo_free_unused(struct core_state *state)
{
    free_retired(state->types->infos);
    weaktable_free_dead(&state->plans->store->table);
}

void
typeinfo_teardown(struct core_state *state)
{
    struct typeinfo_cache *cache = state->types->infos;
    if (cache == NULL) {
        return;
    }
    free_retired(cache);
    for (size_t i = 0; i < TYPEINFO_TABLE + TYPEINFO_PROBES; i++) {
        if (cache->table[i] != NULL) {
            free_plan(cache->table[i]);
        }
    }
    PyMem_Free(cache);
    state->types->infos = NULL;
}

/* ---- reading a type ----------------------------------------------------- */

/* True if the type has under `name` what object has. */
static int
inherits(PyTypeObject *type, PyObject *name)
{
    return type_lookup(type, name) == type_lookup(&PyBaseObject_Type, name);
}

int
typeinfo_is_namedtuple(struct core_state *state, PyTypeObject *type)
{
    PyObject *method = type_lookup(type, state->str.getnewargs);
    if (method == NULL || !PyFunction_Check(method) || state->types->namedtuple_code == NULL
        || PyFunction_GET_CODE(method) != state->types->namedtuple_code
        || !PyType_IsSubtype(type, &PyTuple_Type)) {
        return 0;
    }
    /* The method calls tuple(self). */
    PyObject *closure = PyFunction_GET_CLOSURE(method);
    return type->tp_iter == PyTuple_Type.tp_iter
           && type->tp_as_sequence->sq_length == PyTuple_Type.tp_as_sequence->sq_length
           && type->tp_as_mapping->mp_length == PyTuple_Type.tp_as_mapping->mp_length
           && closure != NULL && PyTuple_GET_SIZE(closure) == 1
           && PyCell_GET(PyTuple_GET_ITEM(closure, 0)) == (PyObject *)&PyTuple_Type
           && !code_is_monitored(state->types->namedtuple_code) && !calls_observed(state);
}

/* True if the type has under `name` what one of its bases has. */
static int
has_of(PyTypeObject *type, PyTypeObject *base, PyObject *name)
{
    return PyType_IsSubtype(type, base) && type_lookup(type, name) == type_lookup(base, name);
}

/* True if objects of the type come apart by the __reduce__ of sets. */
static int
is_set(struct core_state *state, PyTypeObject *type)
{
    return has_of(type, &PySet_Type, state->str.reduce)
           || has_of(type, &PyFrozenSet_Type, state->str.reduce);
}

/* True if objects of the type are reduced by object.__reduce_ex__ alone, or by the __reduce__ of
   sets, which it calls; with any state. */
static int
is_reduced_by_default(struct core_state *state, PyTypeObject *type)
{
    const struct core_strings *str = &state->str;
    return PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && lookup_is_plain(state, type)
           && type->tp_new != NULL && inherits(type, str->reduce_ex)
           && (inherits(type, str->reduce) || is_set(state, type)) && inherits(type, str->class_)
           && type_lookup(type, str->getnewargs_ex) == NULL
           && !PyType_FastSubclass(type, Py_TPFLAGS_TYPE_SUBCLASS);
}

/* The same with a state that is object's, or dataclasses' own: info->frozen. */
static int
is_default(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    struct frozen_walk walk;
    info->frozen = !inherits(type, state->str.getstate);
    return is_reduced_by_default(state, type)
           && (!info->frozen || frozen_begin(state, type, FROZEN_GETSTATE, &walk));
}

/* The same with a state that a function gives, and nothing else of its own. */
static int
is_default_but_for_state(struct core_state *state, const struct typeinfo *info, PyTypeObject *type)
{
    PyObject *getstate = type_lookup(type, state->str.getstate);
    const unsigned long others = Py_TPFLAGS_LIST_SUBCLASS | Py_TPFLAGS_DICT_SUBCLASS;
    return getstate != NULL && PyFunction_Check(getstate) && is_reduced_by_default(state, type)
           && inherits(type, state->str.reduce) && type_lookup(type, state->str.getnewargs) == NULL
           && !PyType_FastSubclass(type, others) && (info->has_dict || type->tp_dictoffset == 0);
}

/* Notes the arguments that set.__reduce__ gives.  0 if the type has its own way of telling its
   elements. */
static int
read_elements(struct typeinfo *info, PyTypeObject *type)
{
    info->arguments = ARGUMENTS_SET;
    return type->tp_iter == PySet_Type.tp_iter
           && type->tp_as_sequence->sq_length == PySet_Type.tp_as_sequence->sq_length;
}

/* Notes the arguments that __getnewargs__ gives.  0 if it is to be called. */
static int
read_arguments(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    if (is_set(state, type)) {
        return read_elements(info, type);
    }
    const struct {
        PyTypeObject *base;
        enum typeinfo_arguments arguments;
    } known[] = {{&PyTuple_Type, ARGUMENTS_TUPLE},
                 {&PyUnicode_Type, ARGUMENTS_STR},
                 {&PyBytes_Type, ARGUMENTS_BYTES},
                 {&PyLong_Type, ARGUMENTS_INT},
                 {&PyFloat_Type, ARGUMENTS_FLOAT}};
    PyObject *method = type_lookup(type, state->str.getnewargs);
    for (size_t i = 0; method != NULL && i < Py_ARRAY_LENGTH(known); i++) {
        if (has_of(type, known[i].base, state->str.getnewargs)) {
            info->arguments = known[i].arguments;
            return 1;
        }
    }
    if (method != NULL && typeinfo_is_namedtuple(state, type)) {
        info->arguments = ARGUMENTS_ELEMENTS;
        return 1;
    }
    return method == NULL;
}

/* Notes which items follow.  0 if the type has its own way of giving them. */
static int
read_items(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    if (PyType_FastSubclass(type, Py_TPFLAGS_LIST_SUBCLASS)) {
        info->items = ITEMS_OF_LIST;
        return type->tp_iter == PyList_Type.tp_iter;
    }
    if (PyType_FastSubclass(type, Py_TPFLAGS_DICT_SUBCLASS)) {
        info->items = ITEMS_OF_DICT;
        return has_of(type, &PyDict_Type, state->str.items);
    }
    return 1;
}

/* True if instances keep their __dict__ where layout.h knows it, and show that one. */
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

/* True if a name comes again before the place `end`: a dict has it once. */
static int
comes_again(struct typeinfo *info, PyObject *name, Py_ssize_t end)
{
    for (Py_ssize_t i = 0; i < end; i++) {
        if (PyUnicode_Compare(info->slots[i].name, name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Makes room for slots.  0, or -1 without memory. */
static int
allocate_slots(struct typeinfo *info, Py_ssize_t count)
{
    info->slots = PyMem_Calloc((size_t)count, sizeof(*info->slots));
    return info->slots == NULL ? -1 : 0;
}

/* Fills the next slot in, or field in its place.  1, or 0 if it is not a plain slot, or comes
   again. */
static int
fill_slot(struct typeinfo *info, PyTypeObject *type, PyObject *name)
{
    Py_ssize_t offset = !PyUnicode_CheckExact(name) ? -1
                        : info->frozen              ? frozen_field_offset(type, name)
                                                    : layout_slot_offset(type, name);
    if (offset < 0 || comes_again(info, name, info->slot_count)) {
        return 0;
    }
    struct typeinfo_slot *slot = &info->slots[info->slot_count++];
    slot->name = Py_NewRef(name);
    slot->offset = offset;
    return 1;
}

/* Fills the slots in.  1, 0 if one of them is not a plain slot, -1 without memory. */
static int
read_slots(struct typeinfo *info, PyTypeObject *type, PyObject *names)
{
    Py_ssize_t count = PyList_GET_SIZE(names);
    info->slotnames = Py_NewRef(names);
    if (count == 0) {
        return 1;
    }
    if (type->tp_getattro != PyObject_GenericGetAttr) {
        /* Its __getattr__ is asked for slots that are not set. */
        return 0;
    }
    if (allocate_slots(info, count) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!fill_slot(info, type, PyList_GET_ITEM(names, i))) {
            return 0;
        }
    }
    return 1;
}

/* The same of a frozen dataclass, whose slots are in the order of its fields.  Some may be in the
   __dict__ instead. */
static int
read_frozen(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    struct frozen_walk walk;
    PyObject *name;
    if (!frozen_begin(state, type, FROZEN_GETSTATE, &walk)
        || allocate_slots(info, PyDict_GET_SIZE(walk.dict)) < 0) {
        return 0;
    }
    while ((name = frozen_next(state, &walk)) != NULL) {
        if (!fill_slot(info, type, name)) {
            return 0;
        }
        info->flat &= info->slots[info->slot_count - 1].offset != FROZEN_IN_DICT;
    }
    return !walk.failed;
}

/* True if all of the instance is in its __dict__ and slots; else the standard library refuses to
   pickle it. */
static int
is_complete(struct typeinfo *info, PyTypeObject *type)
{
    Py_ssize_t size = PyBaseObject_Type.tp_basicsize;
    size += info->slot_count * (Py_ssize_t)sizeof(PyObject *);
    size += type->tp_weaklistoffset > 0 ? (Py_ssize_t)sizeof(PyObject *) : 0;
    size += type->tp_dictoffset > 0 ? (Py_ssize_t)sizeof(PyObject *) : 0;
    return type->tp_basicsize <= size;
}

/* True if what a default state consists of is known, and can be read. */
static int
read_state(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    info->flat = info->frozen || !info->has_dict;
    if (info->frozen) {
        return read_frozen(state, info, type);
    }
    PyObject *names = find_slotnames(state, type);
    int needs_all = info->arguments == ARGUMENTS_NONE && info->items == ITEMS_NONE;
    return names != NULL && read_slots(info, type, names) == 1
           && (!needs_all || (type->tp_itemsize == 0 && is_complete(info, type)));
}

/* The names of a type that is not made on the heap, as its __module__ and __qualname__ give
   them: the one interned, the other new each time. */
static void
read_static_names(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    const char *dot = strrchr(type->tp_name, '.');
    if (dot == NULL) {
        info->module_name = Py_NewRef(state->str.builtins_module);
    }
    else {
        info->module_name = PyUnicode_FromStringAndSize(type->tp_name, dot - type->tp_name);
        if (info->module_name != NULL) {
            PyUnicode_InternInPlace(&info->module_name);
        }
    }
    info->qualname = PyUnicode_FromString(dot == NULL ? type->tp_name : dot + 1);
    info->name_is_made = 1;
    if (info->module_name == NULL || info->qualname == NULL) {
        PyErr_Clear();
        Py_CLEAR(info->module_name);
        Py_CLEAR(info->qualname);
    }
}

/* The class's own names, if they make it a global of a module without a dot. */
static void
read_names(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        read_static_names(state, info, type);
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
    info->module_name = Py_NewRef(module_name);
    info->qualname = Py_NewRef(qualname);
}

/* True if the class is ordinary, which the typeinfo remembers. */
static int
read_metaclass(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    if (metaclass_leaves_alone(state, type)) {
        info->metaclass_version = type_assign_version(Py_TYPE(type), state->str.name);
    }
    return info->metaclass_version != 0;
}

/* Reads the default reduction of the type, but for slots.  0 if its objects are to be asked. */
static int
read_reduction(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    info->has_dict = has_managed_dict(state, type);
    return is_default(state, info, type) && read_arguments(state, info, type)
           && read_items(state, info, type) && (info->has_dict || type->tp_dictoffset == 0)
           && (!info->frozen || (info->arguments == ARGUMENTS_NONE && info->items == ITEMS_NONE));
}

/* Reads the type, which has a version.  Leaves TYPEINFO_GENERAL if its objects are to be asked, or
   if there is no memory. */
static void
read_type(struct core_state *state, struct typeinfo *info, PyTypeObject *type)
{
    /* The names of any class, as a class may be a constructor. */
    const struct value *value = values_find(state, type);
    if (value != NULL || PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        read_names(state, info, type);
    }
    if (value != NULL) {
        info->kind = TYPEINFO_VALUE;
        info->value = value;
        return;
    }
    if (read_reduction(state, info, type) && read_state(state, info, type)) {
        info->kind = TYPEINFO_DEFAULT;
        info->nests = info->items != ITEMS_NONE || info->arguments == ARGUMENTS_ELEMENTS
                      || info->arguments == ARGUMENTS_TUPLE || info->arguments == ARGUMENTS_SET;
    }
    else {
        info->gives_state = is_default_but_for_state(state, info, type);
    }
}

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
    struct typeinfo info = {0};
    return PyBool_FromLong(PyType_Check(type)
                           && metaclass_leaves_alone(state, (PyTypeObject *)type)
                           && read_reduction(state, &info, (PyTypeObject *)type));
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
    struct typeinfo info = {0};
    return PyBool_FromLong(PyType_Check(type)
                           && metaclass_leaves_alone(state, (PyTypeObject *)type)
                           && !read_reduction(state, &info, (PyTypeObject *)type)
                           && is_default_but_for_state(state, &info, (PyTypeObject *)type));
}

static PyMethodDef functions[] = {
    {"reads_fields", core_reads_fields, METH_O, reads_fields_doc},
    {"asks_for_state", core_asks_for_state, METH_O, asks_for_state_doc},
    {NULL, NULL, 0, NULL},
};

/* ---- meeting a type ----------------------------------------------------- */

static struct typeinfo *
make_plan(PyTypeObject *type)
{
    struct typeinfo *info = PyMem_Calloc(1, sizeof(*info));
    if (info != NULL) {
        info->type = type;
        info->kind = TYPEINFO_SEEN;
        info->class_index = NO_INDEX;
    }
    return info;
}

/* The place where the type is, or one that is free, or the first of its places. */
static struct typeinfo **
find_place(struct typeinfo_cache *cache, PyTypeObject *type)
{
    struct typeinfo **places = &cache->table[typeinfo_place(type)];
    for (int i = 0; i < TYPEINFO_PROBES; i++) {
        if (places[i] == NULL || places[i]->type == type) {
            return &places[i];
        }
    }
    return places;
}

struct typeinfo *
typeinfo_meet(struct core_state *state, PyTypeObject *type)
{
    struct typeinfo_cache *cache = state->types->infos;
    struct typeinfo **place = find_place(cache, type), *old = *place;
    struct typeinfo *info = make_plan(type);
    if (info == NULL) {
        return &cache->none;
    }
    if (old != NULL && old->type == type) {
        info->kind = TYPEINFO_GENERAL;
        info->version = type_assign_version(type, state->str.reduce_ex);
        if (info->version != 0) {
            info->hash = hash_pointer(type);
            if (read_metaclass(state, info, type)) {
                read_type(state, info, type);
            }
        }
    }
    if (old != NULL) {
        old->retired = cache->retired;
        cache->retired = old;
    }
    *place = info;
    return info;
}

/* ---- guards outside of the type ----------------------------------------- */

/* True if copyreg in sys.modules offers the original __newobj__ under its name. */
static int
newobj_is_original(struct core_state *state)
{
    PyObject *newobj = namecache_in_module(state, state->str.copyreg, state->str.newobj,
                                           &state->types->infos->newobj_place);
    return newobj == state->stdlib.copyreg_newobj && PyFunction_Check(newobj)
           && ((PyFunctionObject *)newobj)->func_name == state->str.newobj;
}

int
typeinfo_learn_reducer(struct core_state *state, struct typeinfo *info)
{
    uint64_t stamp = namecache_stamp(state);
    if (stamp == 0 || info->type == NULL
        || !registry_find_lasting(state, info->type, &info->reducer)) {
        info->stamp = 0;
        return 0;
    }
    info->stamp = stamp;
    info->uncompilable = NULL;
    return 1;
}

int
typeinfo_verify(struct core_state *state, struct typeinfo *info, PyObject *private_table,
                uint64_t epoch)
{
    int lacks = private_table == NULL && typeinfo_knows_reducer(state, info)
                    ? info->reducer == NULL
                    : registry_lacks(state, private_table, info->type, info->hash);
    return lacks && typeinfo_verify_unregistered(state, info, epoch);
}

int
typeinfo_verify_unregistered(struct core_state *state, struct typeinfo *info, uint64_t epoch)
{
    if (!typeinfo_metaclass_holds(info)) {
        return 0;
    }
    if (state->types->infos->newobj_epoch != epoch && newobj_is_original(state)) {
        state->types->infos->newobj_epoch = epoch;
    }
    return state->types->infos->newobj_epoch == epoch;
}

int
typeinfo_is_frozen(struct core_state *state, const struct typeinfo *info)
{
    struct frozen_walk walk;
    PyObject *name;
    Py_ssize_t count = 0;
    if (!frozen_begin(state, info->type, FROZEN_GETSTATE, &walk)
        || !frozen_holds(state, info->type, FROZEN_GETSTATE)) {
        return 0;
    }
    while ((name = frozen_next(state, &walk)) != NULL) {
        if (count == info->slot_count || name != info->slots[count++].name) {
            return 0;
        }
    }
    return !walk.failed && count == info->slot_count;
}

/* ---- guards in the instance --------------------------------------------- */

/* True if an attribute of that name in an instance shadows a method. */
static int
name_shadows(struct core_state *state, const struct typeinfo *info, PyObject *name)
{
    return PyUnicode_Compare(name, state->str.reduce_ex) == 0
           || PyUnicode_Compare(name, state->str.getstate) == 0
           || (info->frozen && PyUnicode_Compare(name, state->str.dataclass_fields) == 0)
           || (info->items == ITEMS_OF_DICT && PyUnicode_Compare(name, state->str.items) == 0)
           || (info->arguments == ARGUMENTS_SET
               && PyUnicode_Compare(name, state->str.reduce) == 0);
}

int
typeinfo_check_shared_keys(struct core_state *state, struct typeinfo *info,
                           struct layout_keys *keys)
{
    struct layout_entry *entries = layout_entries(keys);
    for (Py_ssize_t i = info->keys_seen; i < keys->count; i++) {
        if (entries[i].key != NULL && name_shadows(state, info, entries[i].key)) {
            return 1;
        }
    }
    info->keys_seen = keys->count;
    return keys->count > (Py_ssize_t)TYPEINFO_SHARED_KEYS;
}

int
typeinfo_dict_shadows(struct core_state *state, const struct typeinfo *info, PyObject *dict)
{
    if (!layout_has_only_str_keys(dict)) {
        return 1;
    }
    return PyDict_GetItemWithError(dict, state->str.reduce_ex) != NULL
           || PyDict_GetItemWithError(dict, state->str.getstate) != NULL
           || (info->frozen && PyDict_GetItemWithError(dict, state->str.dataclass_fields) != NULL)
           || (info->items == ITEMS_OF_DICT
               && PyDict_GetItemWithError(dict, state->str.items) != NULL)
           || (info->arguments == ARGUMENTS_SET
               && PyDict_GetItemWithError(dict, state->str.reduce) != NULL);
}

int
typeinfo_object_shadows(struct core_state *state, struct typeinfo *info, PyObject *object)
{
    if (!info->has_dict) {
        return 0;
    }
    if (layout_unmade_values(object, info->type) != NULL) {
        struct layout_keys *keys = layout_shared_keys(info->type);
        return keys->count != info->keys_seen && typeinfo_check_shared_keys(state, info, keys);
    }
    PyObject *dict = layout_made_dict(object);
    return dict != NULL && (!PyDict_CheckExact(dict) || typeinfo_dict_shadows(state, info, dict));
}

/* ---- setup -------------------------------------------------------------- */

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
        state->types->namedtuple_code = Py_NewRef(PyFunction_GET_CODE(method));
    }
    Py_XDECREF(given);
    Py_XDECREF(named);
    Py_XDECREF(elements);
    return given == NULL ? -1 : 0;
}

int
typeinfo_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->types->infos = PyMem_Calloc(1, sizeof(*state->types->infos));
    if (state->types->infos == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    state->types->infos->none.kind = TYPEINFO_GENERAL;
    return PyModule_AddFunctions(module, functions) < 0 ? -1 : find_namedtuple_code(state);
}
