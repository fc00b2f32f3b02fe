/* Names, looked up without making an object: see plan_lookup.h. */
#include "plans/plan_lookup.h"

#include "base/layout.h"
#include "base/metaclass.h"
#include "plans/plan_run.h"
#include "plans/room.h"

#include <string.h>

/* ---- instances ---------------------------------------------------------- */

/* True if names are looked up in the type and then in the instance, as object does. */
static int
is_generic(struct core_state *state, PyTypeObject *type, PyObject *name)
{
    const PyTypeObject *pickler_type = state->plans->pickler_type;
    return type->tp_getattro == PyObject_GenericGetAttr
           || (pickler_type != NULL && type->tp_getattro == pickler_type->tp_getattro
               && name != state->str.persistent_id);
}

/* The value of an instance whose __dict__ was not made. */
static PyObject *
find_in_values(struct layout_values *values, PyTypeObject *type, PyObject *name)
{
    struct layout_keys *keys = layout_shared_keys(type);
    struct layout_entry *entries = layout_entries(keys);
    for (int i = 0; i < keys->count && layout_values_hold(values, i); i++) {
        PyObject *key = entries[i].key;
        if (key == name || (key != NULL && PyUnicode_Compare(key, name) == 0)) {
            return values->values[i];
        }
    }
    return NULL;
}

/* What the instance itself has under a name: 1 and borrowed, 0, or -1 if that is not known. */
static int
find_in_instance(PyObject *owner, PyObject *name, PyObject **value)
{
    PyTypeObject *type = Py_TYPE(owner);
    int is_managed = PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT);
    *value = NULL;
    if (!is_managed && type->tp_dictoffset == 0) {
        return 0;
    }
    if (!layout_is_known() || (!is_managed && type->tp_dictoffset < 0)) {
        return -1;
    }
    struct layout_values *values = is_managed ? layout_unmade_values(owner, type) : NULL;
    if (values != NULL) {
        *value = find_in_values(values, type, name);
        return *value != NULL;
    }
    PyObject *dict = layout_find_dict(owner, type);
    if (dict == NULL) {
        return 0;
    }
    if (!PyDict_CheckExact(dict) || !layout_has_only_str_keys(dict)) {
        return -1;
    }
    *value = dict_get_name(dict, name);
    return *value != NULL;
}

static PyObject *
attribute_of_instance(struct core_state *state, PyObject *owner, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(owner);
    PyObject *value;
    if (!is_generic(state, type, name)) {
        return NULL;
    }
    PyObject *found = type_lookup(type, name);
    if (found != NULL && Py_TYPE(found)->tp_descr_set != NULL) {
        Py_ssize_t offset = layout_slot_offset(type, name);
        return offset < 0 ? NULL : *layout_slot(owner, offset);
    }
    int of_instance = find_in_instance(owner, name, &value);
    if (of_instance != 0) {
        return value;
    }
    return found != NULL && Py_TYPE(found)->tp_descr_get == NULL ? found : NULL;
}

/* ---- methods ------------------------------------------------------------ */

static PyObject *
attribute_of_method(struct core_state *state, PyObject *method, PyObject *name)
{
    return name == state->str.func   ? PyMethod_GET_FUNCTION(method)
           : name == state->str.self ? PyMethod_GET_SELF(method)
                                     : NULL;
}

/* The callable in a staticmethod, which holds it. */
static PyObject *
callable_of_static(PyObject *found, PyTypeObject *type)
{
    PyObject *callable = Py_TYPE(found)->tp_descr_get(found, NULL, (PyObject *)type);
    if (callable == NULL) {
        PyErr_Clear();
        return NULL;
    }
    Py_DECREF(callable);
    return callable;
}

PyObject *
plan_lookup_method(struct core_state *state, PyObject *owner, PyObject *name, int is_static)
{
    PyTypeObject *type = Py_TYPE(owner);
    PyObject *value;
    if (!is_generic(state, type, name) || find_in_instance(owner, name, &value) != 0) {
        return NULL;
    }
    PyObject *found = type_lookup(type, name);
    if (found == NULL) {
        return NULL;
    }
    if (is_static) {
        return Py_IS_TYPE(found, &PyStaticMethod_Type) ? callable_of_static(found, type) : NULL;
    }
    return PyFunction_Check(found) ? found : NULL;
}

/* What the classes behind `cls` in an __mro__ have under a name. */
static PyObject *
find_behind(PyObject *mro, PyObject *cls, PyObject *name)
{
    Py_ssize_t i = 0;
    while (i < PyTuple_GET_SIZE(mro) && PyTuple_GET_ITEM(mro, i) != cls) {
        i++;
    }
    for (i++; i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        PyObject *dict = base->tp_dict, *found;
        if (base == &PyBaseObject_Type) {
            return type_lookup(base, name);
        }
        if (dict == NULL || !layout_has_only_str_keys(dict)) {
            return NULL;
        }
        if ((found = dict_get_name(dict, name)) != NULL) {
            return found;
        }
    }
    return NULL;
}

PyObject *
plan_lookup_super(struct core_state *state, PyObject *cls, PyObject *owner, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(owner);
    if (!PyType_Check(cls) || PyType_Check(owner) || name == state->str.class_
        || !layout_is_known() || !PyType_IsSubtype(type, (PyTypeObject *)cls)) {
        return NULL;
    }
    PyObject *found = find_behind(type->tp_mro, cls, name);
    return found != NULL && (PyFunction_Check(found) || Py_IS_TYPE(found, &PyMethodDescr_Type))
               ? found
               : NULL;
}

int
plan_lookup_is_own_hook(struct core_state *state, PyObject *value)
{
    return Py_IS_TYPE(value, &PyMethodDescr_Type)
           && PyDescr_NAME(value) == state->str.persistent_id
           && PyDescr_TYPE(value) == state->plans->pickler_type;
}

/* ---- classes ------------------------------------------------------------ */

/* The __module__ of a class in C, which its name tells; the part before the last dot. */
static PyObject *
module_of_static(PyTypeObject *cls)
{
    const char *dot = strrchr(cls->tp_name, '.');
    return dot == NULL ? PyUnicode_FromString("builtins")
                       : PyUnicode_FromStringAndSize(cls->tp_name, dot - cls->tp_name);
}

static PyObject *
module_of_class(struct core_state *state, PyTypeObject *cls)
{
    if (!PyType_HasFeature(cls, Py_TPFLAGS_HEAPTYPE)) {
        return module_of_static(cls);
    }
    return cls->tp_dict == NULL || !layout_has_only_str_keys(cls->tp_dict)
               ? NULL
               : Py_XNewRef(dict_get_name(cls->tp_dict, state->str.module));
}

PyObject *
plan_lookup_class_name(struct core_state *state, PyTypeObject *cls, PyObject *name)
{
    PyObject *found = NULL;
    if (!metaclass_leaves_alone(state, cls)) {
        return NULL;
    }
    if (name == state->str.name) {
        found = PyType_GetName(cls);
    }
    else if (name == state->str.qualname) {
        found = PyType_GetQualName(cls);
    }
    else if (name == state->str.module) {
        found = module_of_class(state, cls);
    }
    if (found != NULL && !PyUnicode_CheckExact(found)) {
        Py_CLEAR(found);
    }
    PyErr_Clear();
    return found;
}

/* ---- anything ----------------------------------------------------------- */

PyObject *
plan_lookup_attribute(struct core_state *state, PyObject *owner, PyObject *name)
{
    PyObject *value = NULL;
    if (PyMethod_Check(owner)) {
        return attribute_of_method(state, owner, name);
    }
    if (!PyModule_CheckExact(owner) && !PyType_Check(owner)) {
        return attribute_of_instance(state, owner, name);
    }
    if (read_attribute(state, owner, name, &value) != OUTCOME_DONE) {
        return NULL;
    }
    Py_DECREF(value); /* the module or a class holds it */
    return value;
}
