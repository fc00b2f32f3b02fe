/* Default reductions: see default.h. */
#include "types/default.h"
#include "base/lookup.h"
#include "types/room.h"

#include <structmember.h>

/* ---- names -------------------------------------------------------------- */

/* True if a key is a name that no question of a default reduction asks for, or __dict__, which is
   found on the type whatever an instance has. */
ALWAYS_INLINE int
is_harmless(PyObject *key)
{
    if (!PyUnicode_CheckExact(key)) {
        return 0;
    }
    return PyUnicode_GET_LENGTH(key) < 2 || PyUnicode_READ_CHAR(key, 0) != '_'
           || PyUnicode_READ_CHAR(key, 1) != '_'
           || PyUnicode_CompareWithASCIIString(key, "__dict__") == 0;
}

/* True if all names of the shared keys are harmless.  They only ever grow. */
ALWAYS_INLINE int
shared_keys_are_harmless(struct default_reduction *info, struct layout_keys *keys)
{
    if (likely(info->keys == keys && info->keys_checked == keys->count)) {
        return 1;
    }
    for (Py_ssize_t i = info->keys == keys ? info->keys_checked : 0; i < keys->count; i++) {
        if (!is_harmless(layout_entries(keys)[i].key)) {
            return 0;
        }
    }
    info->keys = keys;
    info->keys_checked = keys->count;
    return 1;
}

static int
dict_keys_are_harmless(PyObject *dict)
{
    Py_ssize_t position = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (!is_harmless(key)) {
            return 0;
        }
    }
    return 1;
}

/* ---- the __dict__ of an instance ---------------------------------------- */

/* The __dict__ of an instance of a type with a managed dict if it was made, borrowed. */
ALWAYS_INLINE PyObject *
made_dict_of(PyObject *object)
{
#if VALUES_KIND == VALUES_TAGGED
    uintptr_t word = ((uintptr_t *)object)[-3];
    return (word & 1) != 0 ? NULL : (PyObject *)word;
#else
    return ((PyObject **)object)[-3];
#endif
}

int
default_find_fields(struct default_reduction *info, PyObject *object,
                    struct default_fields *fields)
{
    PyTypeObject *type = Py_TYPE(object);
    fields->dict = NULL;
    fields->values = layout_unmade_values(object, type);
    if (likely(fields->values != NULL)) {
        return shared_keys_are_harmless(info, layout_shared_keys(type));
    }
    fields->dict = made_dict_of(object);
    if (fields->dict == NULL) {
        return 1;
    }
    return PyDict_CheckExact(fields->dict) && dict_keys_are_harmless(fields->dict);
}

int
layout_lacks_attribute(PyObject *object, PyTypeObject *type, PyObject *name)
{
    struct layout_values *values = layout_unmade_values(object, type);
    if (values != NULL) {
        if (layout_values_count(values) == 0) {
            return 1;
        }
        struct layout_keys *keys = layout_shared_keys(type);
        for (Py_ssize_t i = 0; i < keys->count; i++) {
            if (layout_entries(keys)[i].key == name || !is_harmless(layout_entries(keys)[i].key)) {
                return 0;
            }
        }
        return 1;
    }
    PyObject *dict = made_dict_of(object);
    return dict == NULL || (PyDict_CheckExact(dict) && dict_keys_are_harmless(dict));
}

/* ---- storing fields ----------------------------------------------------- */

/* Stores a value into a fresh instance if the type's shared keys have the name where the next
   attribute usually is; steals the value then.  1 stored, 0 not. */
ALWAYS_INLINE int
append_to_values(PyObject *object, PyObject *name, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(object);
    struct layout_values *values = layout_unmade_values(object, type);
    if (values == NULL) {
        return 0;
    }
    struct layout_keys *keys = layout_shared_keys(type);
    int index = layout_values_count(values);
    if (index >= keys->count || layout_entries(keys)[index].key != name
        || values->values[index] != NULL) {
        return 0;
    }
    layout_values_append(values, index, value);
    return 1;
}

int
default_append(PyObject *object, PyObject *name, PyObject *value)
{
    if (append_to_values(object, name, value)) {
        return 0;
    }
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    int result = dict == NULL ? -1 : PyDict_SetItem(dict, name, value);
    Py_XDECREF(dict);
    Py_DECREF(value);
    return result;
}

int
default_is_empty(PyObject *object)
{
    struct layout_values *values = layout_unmade_values(object, Py_TYPE(object));
    return values != NULL ? layout_values_count(values) == 0 : made_dict_of(object) == NULL;
}

int
default_update(PyObject *object, PyObject *fields)
{
    PyTypeObject *type = Py_TYPE(object);
    struct layout_values *values = layout_unmade_values(object, type);
    Py_ssize_t position = 0;
    if (values != NULL && layout_values_count(values) == 0) {
        PyObject *name, *value;
        Py_ssize_t stored = 0;
        while (PyDict_Next(fields, &position, &name, &value)
               && append_to_values(object, name, value)) {
            Py_INCREF(value);
            stored++;
        }
        if (stored == PyDict_GET_SIZE(fields)) {
            return 0;
        }
    }
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    int result = dict == NULL ? -1 : PyDict_Update(dict, fields);
    Py_XDECREF(dict);
    return result;
}

/* ---- properties of classes ---------------------------------------------- */

/* True if the type inherits the very attribute that object has. */
static int
inherits_from_object(PyTypeObject *type, PyObject *name)
{
    return type_lookup(type, name) == type_lookup(&PyBaseObject_Type, name);
}

int
default_has_own_dict(struct core_state *state, PyTypeObject *type)
{
    PyObject *descriptor = type_lookup(type, state->str.dict);
    return PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) && descriptor != NULL
           && Py_IS_TYPE(descriptor, &PyGetSetDescr_Type)
           && ((PyGetSetDescrObject *)descriptor)->d_getset->get == state->types->own_dict_getter;
}

/* True if object's own reduction serves, but for the state, and object.__new__ makes the instance
   again. */
static int
is_made_by_default(struct core_state *state, PyTypeObject *type)
{
    const struct core_strings *str = &state->str;
    return PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && metaclass_leaves_alone(state, type)
           && !PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)
           && type->tp_new == PyBaseObject_Type.tp_new && type->tp_alloc == PyType_GenericAlloc
           && type->tp_itemsize == 0 && inherits_from_object(type, str->new)
           && inherits_from_object(type, str->reduce) && inherits_from_object(type, str->reduce_ex)
           && inherits_from_object(type, str->class_) && type_lookup(type, str->getnewargs) == NULL
           && type_lookup(type, str->getnewargs_ex) == NULL;
}

static int
has_own_reduce(struct core_state *state, PyTypeObject *type)
{
    PyObject *method = type_lookup(type, state->str.reduce_ex);
    if (inherits_from_object(type, state->str.reduce_ex) && metaclass_leaves_alone(state, type)) {
        method = type_lookup(type, state->str.reduce);
    }
    return method != NULL && PyFunction_Check(method);
}

/* The list in the type's own __slotnames__, borrowed; NULL if there is none yet.  The standard
   library writes it when it first reduces an instance. */
static PyObject *
own_slotnames(PyTypeObject *type, PyObject *slotnames_name)
{
    PyObject *names = NULL;
    if (type->tp_dict != NULL) {
        names = PyDict_GetItemWithError(type->tp_dict, slotnames_name);
    }
    return names != NULL && PyList_CheckExact(names) ? names : NULL;
}

/* True if the type has neither slots nor anything else that is no attribute in the __dict__. */
static int
is_all_dict(struct core_state *state, PyTypeObject *type)
{
    PyObject *names = own_slotnames(type, state->str.slotnames);
    Py_ssize_t pointers = type->tp_weaklistoffset > 0;
    return names != NULL && PyList_GET_SIZE(names) == 0
           && type->tp_basicsize
                  <= PyBaseObject_Type.tp_basicsize + pointers * (Py_ssize_t)sizeof(PyObject *);
}

unsigned int
default_facts(struct core_state *state, PyTypeObject *type)
{
    unsigned int metaclass = metaclass_facts(state, type), facts = 0;
    if ((metaclass & METACLASS_LACKS_COPY) != 0 && type_lookup(type, state->str.copy) == NULL) {
        facts |= TYPE_NO_COPY;
    }
    if (!lookup_is_plain(state, type)) {
        return facts;
    }
    facts |= TYPE_PLAIN_LOOKUP;
    if (type->tp_getattro == PyObject_GenericGetAttr) {
        facts |= TYPE_PLAIN_GETATTR;
    }
    if (type_lookup(type, state->str.deepcopy) == NULL) {
        facts |= TYPE_NO_DEEPCOPY;
    }
    if (type_lookup(type, state->str.setstate) == NULL) {
        facts |= TYPE_NO_SETSTATE;
    }
    if (default_has_own_dict(state, type)) {
        facts |= TYPE_OWN_DICT;
    }
    else if (type->tp_dictoffset == 0 && !PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
        facts |= TYPE_NO_DICT;
    }
    PyObject *init = type_lookup(type, state->str.init);
    if (type->tp_new == PyBaseObject_Type.tp_new && init != NULL && PyFunction_Check(init)
        && (metaclass & METACLASS_PLAIN_CALL) != 0) {
        facts |= TYPE_CALLS_INIT;
    }
    if (has_own_reduce(state, type)) {
        facts |= TYPE_OWN_REDUCE;
    }
    PyObject *getstate = type_lookup(type, state->str.getstate);
    if (getstate != NULL && PyFunction_Check(getstate) && is_made_by_default(state, type)) {
        facts |= TYPE_OWN_GETSTATE;
    }
    if ((facts & (TYPE_OWN_DICT | TYPE_NO_SETSTATE)) == TYPE_OWN_DICT
        && inherits_from_object(type, state->str.getstate) && is_made_by_default(state, type)
        && is_all_dict(state, type)) {
        facts |= TYPE_DICT_STATE;
    }
    return facts;
}

PyObject *
default_construct(struct core_state *state, PyTypeObject *type, PyObject **args, Py_ssize_t count)
{
    PyObject *object = type->tp_new(type, state->empty_tuple, NULL);
    if (object == NULL) {
        return NULL;
    }
    PyObject *init = type_lookup(type, state->str.init);
    if (init == NULL) {
        return object;
    }
    args[-1] = object;
    Py_INCREF(init);
    PyObject *none = PyObject_Vectorcall(init, args - 1, (size_t)count + 1, NULL);
    Py_DECREF(init);
    if (none == Py_None) {
        Py_DECREF(none);
        return object;
    }
    if (none != NULL) {
        PyErr_Format(PyExc_TypeError, "__init__() should return None, not '%.200s'",
                     Py_TYPE(none)->tp_name);
        Py_DECREF(none);
    }
    Py_DECREF(object);
    return NULL;
}

/* The same with its state, which the instance takes plainly. */
static int
reduces_by_default(struct core_state *state, PyTypeObject *type, unsigned int facts)
{
    const unsigned int needed = TYPE_PLAIN_GETATTR | TYPE_NO_DEEPCOPY | TYPE_NO_SETSTATE;
    return (facts & needed) == needed && (facts & (TYPE_OWN_DICT | TYPE_NO_DICT)) != 0
           && type->tp_setattro == PyObject_GenericSetAttr
           && inherits_from_object(type, state->str.getstate) && is_made_by_default(state, type);
}

/* True if one of the slots before lies there too: subclasses may repeat a name, and classes may
   have a slot under two. */
static int
is_met_again(const struct default_reduction *info, Py_ssize_t end, Py_ssize_t offset)
{
    for (Py_ssize_t i = 0; i < end; i++) {
        if (info->slots[i].offset == offset) {
            return 1;
        }
    }
    return 0;
}

/* Fills in the slots.  1, or 0 if one is not a plain slot of this type, and its only one. */
static int
fill_slots(struct default_reduction *info, PyTypeObject *type)
{
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        PyObject *name = PyList_GET_ITEM(info->slotnames, i);
        if (!PyUnicode_CheckExact(name)) {
            return 0;
        }
        info->slots[i].offset = layout_slot_offset(type, name);
        if (info->slots[i].offset < 0 || is_met_again(info, i, info->slots[i].offset)) {
            return 0;
        }
        info->slots[i].name = Py_NewRef(name);
    }
    return 1;
}

int
default_reduction_make(struct core_state *state, PyTypeObject *type, unsigned int facts,
                       struct default_reduction **result)
{
    *result = NULL;
    if (!reduces_by_default(state, type, facts)) {
        return 0;
    }
    PyObject *names = own_slotnames(type, state->str.slotnames);
    if (names == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_ssize_t count = PyList_GET_SIZE(names);
    int has_dict = (facts & TYPE_OWN_DICT) != 0;
    Py_ssize_t pointers = count + (type->tp_weaklistoffset > 0);
    if ((has_dict && count > 0) || count > 64
        || type->tp_basicsize
               > PyBaseObject_Type.tp_basicsize + pointers * (Py_ssize_t)sizeof(PyObject *)) {
        return 0;
    }
    size_t size = sizeof(struct default_reduction) + (size_t)count * sizeof(struct default_slot);
    struct default_reduction *info = PyMem_Calloc(1, size);
    if (info == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    info->holders = 1;
    info->has_dict = has_dict;
    info->slotnames = names;
    info->slot_count = count;
    if (!fill_slots(info, type)) {
        default_reduction_release(info);
        return 0;
    }
    *result = info;
    return 1;
}

void
default_reduction_release(struct default_reduction *info)
{
    if (info == NULL || --info->holders > 0) {
        return;
    }
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        Py_XDECREF(info->slots[i].name);
    }
    PyMem_Free(info);
}

int
default_reduction_holds(const struct default_reduction *info, PyTypeObject *type,
                        PyObject *slotnames_name)
{
    return own_slotnames(type, slotnames_name) == info->slotnames
           && default_reduction_names_hold(info, type);
}

int
default_reduction_names_hold(const struct default_reduction *info, PyTypeObject *type)
{
    PyObject *names = info->slotnames;
    if (PyList_GET_SIZE(names) != info->slot_count) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        if (PyList_GET_ITEM(names, i) != info->slots[i].name) {
            return 0;
        }
    }
    return !PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT);
}

/* ---- states, as the standard library would have them -------------------- */

static PyObject *
slots_as_dict(struct default_reduction *info, PyObject *object)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < info->slot_count; i++) {
        PyObject *value = *layout_slot(object, info->slots[i].offset);
        if (value != NULL && PyDict_SetItem(dict, info->slots[i].name, value) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

int
default_state(struct default_reduction *info, PyObject *object, PyObject **state,
              PyObject **fields)
{
    *state = *fields = NULL;
    PyObject *dict =
        info->has_dict ? PyObject_GenericGetDict(object, NULL) : slots_as_dict(info, object);
    if (dict == NULL) {
        return -1;
    }
    if (PyDict_GET_SIZE(dict) == 0) {
        Py_DECREF(dict);
        return 0;
    }
    *state = info->has_dict ? Py_NewRef(dict) : PyTuple_Pack(2, Py_None, dict);
    if (*state == NULL) {
        Py_DECREF(dict);
        return -1;
    }
    *fields = dict;
    return 1;
}

PyObject *
default_dict_state(struct core_state *state, PyObject *object)
{
    PyObject *dict =
        is_all_dict(state, Py_TYPE(object)) ? PyObject_GenericGetDict(object, NULL) : NULL;
    if (dict != NULL && PyDict_GET_SIZE(dict) == 0) {
        Py_SETREF(dict, Py_NewRef(Py_None));
    }
    return dict;
}

PyObject *
default_copied_fields(struct default_reduction *info, PyObject *copy)
{
    if (!info->has_dict) {
        return slots_as_dict(info, copy);
    }
    struct layout_values *values = layout_unmade_values(copy, Py_TYPE(copy));
    if (values == NULL) {
        PyObject *made = made_dict_of(copy);
        return made == NULL ? PyDict_New() : PyDict_Copy(made);
    }
    struct layout_entry *entries = layout_entries(layout_shared_keys(Py_TYPE(copy)));
    PyObject *dict = PyDict_New();
    for (int i = 0; dict != NULL && i < layout_values_count(values); i++) {
        int index = layout_values_index(values, i);
        if (PyDict_SetItem(dict, entries[index].key, values->values[index]) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

/* Empties an instance whose fields are held elsewhere, so that nothing dies of it. */
static void
take_fields_out(struct default_reduction *info, PyObject *copy)
{
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        Py_CLEAR(*layout_slot(copy, info->slots[i].offset));
    }
    if (!info->has_dict) {
        return;
    }
    struct layout_values *values = layout_unmade_values(copy, Py_TYPE(copy));
    if (values != NULL) {
        while (layout_values_count(values) > 0) {
            Py_DECREF(layout_values_take_last(values));
        }
    }
    else if (made_dict_of(copy) != NULL) {
        PyDict_Clear(made_dict_of(copy));
    }
}

/* Leaves only the items of a copied dict whose values are copies.  0 or -1. */
static int
roll_back_dict(struct open_instance *open)
{
    PyObject *ready = PyDict_New(), *key, *value;
    Py_ssize_t position = 0;
    int result = ready == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; i < open->done && result == 0; i++) {
        PyDict_Next(open->copy, &position, &key, &value);
        result = PyDict_SetItem(ready, key, value);
    }
    if (result == 0) {
        PyDict_Clear(open->copy);
        result = PyDict_Update(open->copy, ready);
    }
    Py_XDECREF(ready);
    open->used = PyDict_GET_SIZE(open->source);
    open->copied = Py_NewRef(open->copy);
    return result;
}

int
default_roll_back(struct open_instance *open)
{
    if (open->info == NULL) {
        return roll_back_dict(open);
    }
    if (default_state(open->info, open->source, &open->state, &open->fields) < 0) {
        return -1;
    }
    open->copied = default_copied_fields(open->info, open->copy);
    if (open->copied == NULL) {
        return -1;
    }
    open->used = open->fields == NULL ? 0 : PyDict_GET_SIZE(open->fields);
    take_fields_out(open->info, open->copy);
    return 0;
}

int
default_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *probe = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){}", "probe");
    if (probe == NULL) {
        return -1;
    }
    PyObject *descriptor = type_lookup((PyTypeObject *)probe, state->str.dict);
    if (descriptor != NULL && Py_IS_TYPE(descriptor, &PyGetSetDescr_Type)) {
        state->types->own_dict_getter = ((PyGetSetDescrObject *)descriptor)->d_getset->get;
    }
    Py_DECREF(probe);
    return 0;
}
