/* Frozen dataclasses with slots: see frozen.h. */
#include "types/frozen.h"

#include "types/default.h"
#include "base/helpers.h"
#include "plans/plan_run.h"
#include "values/values.h"
#include "base/observed.h"
#include "base/dictwatch.h"
#include "types/room.h"
#include "base/layout.h"

struct frozen {
    enum value_status status;
    PyObject *known; /* strong, or NULL: the codes, names of builtins, and these, as tuples */
    /* The names that the functions find, as long as neither the builtins nor their globals change.
     */
    struct dictwatch watch;
    PyObject *globals; /* only compared: of dataclasses */
    PyObject *fields;  /* borrowed from there: fields(); NULL if anything is not as it should be */
    PyObject *marker;  /* the same: which fields are fields */
    /* Of dataclasses.Field. */
    unsigned field_version;
    Py_ssize_t name_offset, kind_offset;
};

int
frozen_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->types->frozen = PyMem_Calloc(1, sizeof(*state->types->frozen));
    if (state->types->frozen == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    dictwatch_setup(&state->types->frozen->watch);
    return 0;
}

void
frozen_teardown(struct core_state *state)
{
    struct frozen *frozen = state->types->frozen;
    state->types->frozen = NULL;
    if (frozen != NULL) {
        dictwatch_teardown(&frozen->watch);
        Py_XDECREF(frozen->known);
        PyMem_Free(frozen);
    }
}

/* ---- the functions ------------------------------------------------------ */

/* True if these are the globals of dataclasses. */
static int
is_of_dataclasses(struct core_state *state, PyObject *globals)
{
    PyObject *name = PyDict_CheckExact(globals) && layout_has_only_str_keys(globals)
                         ? PyDict_GetItemWithError(globals, state->str.name)
                         : NULL;
    return name != NULL && PyUnicode_CheckExact(name)
           && PyUnicode_EqualToUTF8(name, "dataclasses");
}

/* True if the function finds the builtins that are known, if any are yet. */
static int
frozen_builtins_hold(struct core_state *state, PyObject *function)
{
    PyObject *known = state->types->frozen->known;
    if (((PyFunctionObject *)function)->func_builtins != state->stdlib.builtins_dict) {
        return 0;
    }
    PyObject *names = known == NULL ? state->empty_tuple : PyTuple_GET_ITEM(known, 1);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (read_global(state, function, PyTuple_GET_ITEM(names, i))
            != PyTuple_GET_ITEM(PyTuple_GET_ITEM(known, 2), i)) {
            return 0;
        }
    }
    return 1;
}

/* Looks up the names of a function, unless nothing has changed since.  True if they are there. */
static int
prefetch_around(struct core_state *state, PyObject *function)
{
    struct frozen *frozen = state->types->frozen;
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    if (likely(frozen->globals == globals && dictwatch_is_unchanged(&frozen->watch))) {
        return frozen->fields != NULL;
    }
    if (!is_of_dataclasses(state, globals)) {
        return 0;
    }
    frozen->fields = NULL;
    frozen->globals = globals;
    dictwatch_restart(&frozen->watch);
    dictwatch_add(&frozen->watch, state->stdlib.builtins_dict);
    dictwatch_add(&frozen->watch, globals);
    PyObject *fields = read_global(state, function, state->str.fields);
    PyObject *key = read_global(state, function, state->str.fields_global);
    frozen->marker = read_global(state, function, state->str.field_global);
    if (fields != NULL && PyFunction_Check(fields) && PyFunction_GET_GLOBALS(fields) == globals
        && key != NULL && PyUnicode_CheckExact(key)
        && PyUnicode_Compare(key, state->str.dataclass_fields) == 0 && frozen->marker != NULL
        && frozen_builtins_hold(state, function) && frozen_builtins_hold(state, fields)) {
        frozen->fields = fields;
    }
    return frozen->fields != NULL;
}

/* The type's __getstate__ or __setstate__, if it is a function that finds the same names as those
   of dataclasses; borrowed, or NULL. */
static PyObject *
find_frozen_function(struct core_state *state, PyTypeObject *type, enum frozen_function kind)
{
    const struct core_strings *str = &state->str;
    PyObject *function =
        type_lookup(type, kind == FROZEN_GETSTATE ? str->getstate : str->setstate);
    return function != NULL && PyFunction_Check(function) && prefetch_around(state, function)
               ? function
               : NULL;
}

/* True if a tool monitors the code, or the comprehension in it. */
static int
is_monitored(PyObject *code)
{
    PyObject *constants = ((PyCodeObject *)code)->co_consts;
    int monitored = code_is_monitored(code);
    for (Py_ssize_t i = 0; !monitored && i < PyTuple_GET_SIZE(constants); i++) {
        PyObject *constant = PyTuple_GET_ITEM(constants, i);
        monitored = PyCode_Check(constant) && code_is_monitored(constant);
    }
    return monitored;
}

/* True if the function has the code that is known. */
static int
is_known(struct core_state *state, PyObject *function, enum frozen_function kind)
{
    PyObject *codes = PyTuple_GET_ITEM(state->types->frozen->known, 0);
    PyObject *code = PyFunction_GET_CODE(function);
    return code == PyTuple_GET_ITEM(codes, (Py_ssize_t)kind) && !is_monitored(code);
}

int
frozen_holds(struct core_state *state, PyTypeObject *type, enum frozen_function kind)
{
    PyObject *function = find_frozen_function(state, type, kind);
    return function != NULL && state->types->frozen->status == VALUE_HOLDS
           && is_known(state, function, kind)
           && is_known(state, state->types->frozen->fields, FROZEN_FIELDS)
           && !calls_observed(state);
}

/* ---- the fields --------------------------------------------------------- */

int
frozen_begin(struct core_state *state, PyTypeObject *type, enum frozen_function kind,
             struct frozen_walk *walk)
{
    if (type->tp_getattro != PyObject_GenericGetAttr
        || (type->tp_dictoffset != 0 && !PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT))
        || find_frozen_function(state, type, kind) == NULL) {
        return 0;
    }
    walk->dict = type_lookup(type, state->str.dataclass_fields);
    walk->position = 0;
    walk->failed = 0;
    return walk->dict != NULL && PyDict_CheckExact(walk->dict);
}

/* Finds where a Field has its name and kind.  1, or 0 if it is none. */
static int
read_field_type(struct core_state *state, PyTypeObject *type)
{
    struct frozen *frozen = state->types->frozen;
    frozen->name_offset = layout_slot_offset(type, state->str.field_name);
    frozen->kind_offset = layout_slot_offset(type, state->str.field_kind);
    frozen->field_version = type->tp_getattro == PyObject_GenericGetAttr
                                    && frozen->name_offset >= 0 && frozen->kind_offset >= 0
                                ? type_assign_version(type, state->str.field_name)
                                : 0;
    return frozen->field_version != 0;
}

/* Reads a Field.  1 if it is a field, 0 if it is not, -1 if it cannot be told. */
static int
read_field(struct core_state *state, PyObject *field, PyObject **name)
{
    struct frozen *frozen = state->types->frozen;
    PyTypeObject *type = Py_TYPE(field);
    if (unlikely(frozen->field_version == 0 || type_version(type) != frozen->field_version)
        && !read_field_type(state, type)) {
        return -1;
    }
    PyObject *kind = *layout_slot(field, frozen->kind_offset);
    *name = *layout_slot(field, frozen->name_offset);
    if (kind == NULL || *name == NULL || !PyUnicode_CheckExact(*name)) {
        return -1;
    }
    return kind == frozen->marker;
}

PyObject *
frozen_next(struct core_state *state, struct frozen_walk *walk)
{
    PyObject *key, *field, *name;
    while (PyDict_Next(walk->dict, &walk->position, &key, &field)) {
        int read = read_field(state, field, &name);
        if (likely(read == 1)) {
            return name;
        }
        if (read < 0) {
            walk->failed = 1;
            return NULL;
        }
    }
    return NULL;
}

/* ---- the state ---------------------------------------------------------- */

/* Objects with more fields are asked. */
enum { FROZEN_FIELDS_MAX = 64 };

/* True if nothing in the object shadows the attributes that the functions ask it for. */
static int
shadows_nothing(struct core_state *state, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type->tp_dictoffset == 0
           || layout_lacks_attribute(object, type, state->str.dataclass_fields);
}

Py_ssize_t
frozen_field_offset(PyTypeObject *type, PyObject *name)
{
    PyObject *attribute = type_lookup(type, name);
    if (attribute == NULL
        || (Py_TYPE(attribute)->tp_descr_set == NULL
            && !PyType_HasFeature(Py_TYPE(attribute), Py_TPFLAGS_HEAPTYPE))) {
        return type->tp_dictoffset == 0 ? -1 : FROZEN_IN_DICT;
    }
    return layout_slot_offset(type, name);
}

PyObject *
frozen_dict_field(PyObject *object, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(object);
    struct layout_values *values = layout_unmade_values(object, type);
    if (values != NULL) {
        struct layout_keys *keys = layout_shared_keys(type);
        int i = 0;
        while (i < keys->count && layout_entries(keys)[i].key != name) {
            i++;
        }
        return i < keys->count && layout_values_hold(values, i) ? values->values[i] : NULL;
    }
    PyObject *dict = layout_made_dict(object);
    return dict != NULL && PyDict_CheckExact(dict) && layout_has_only_str_keys(dict)
               ? dict_get_name(dict, name)
               : NULL;
}

/* Where objects of a type have their fields. */
struct frozen_fields {
    Py_ssize_t count;
    Py_ssize_t offsets[FROZEN_FIELDS_MAX];
    PyObject *names[FROZEN_FIELDS_MAX]; /* borrowed */
};

/* Finds all fields, in their order.  1, or 0 if the method is to be called. */
static int
find_fields(struct core_state *state, PyTypeObject *type, enum frozen_function kind,
            struct frozen_fields *fields)
{
    struct frozen_walk walk;
    PyObject *name;
    fields->count = 0;
    if (!frozen_begin(state, type, kind, &walk)) {
        return 0;
    }
    while ((name = frozen_next(state, &walk)) != NULL) {
        Py_ssize_t offset =
            fields->count == FROZEN_FIELDS_MAX ? -1 : frozen_field_offset(type, name);
        if (offset < 0) {
            return 0;
        }
        fields->names[fields->count] = name;
        fields->offsets[fields->count++] = offset;
    }
    return !walk.failed;
}

/* The value that the object has in a field; borrowed, or NULL. */
static PyObject *
field_value(PyObject *object, const struct frozen_fields *fields, Py_ssize_t index)
{
    return frozen_field(object, fields->offsets[index], fields->names[index]);
}

/* Its frame is large, and no part of those of copies within copies. */
NOINLINE PyObject *
frozen_getstate(struct core_state *state, PyObject *object)
{
    if (!layout_is_known()) {
        return NULL;
    }
    struct frozen_fields fields;
    if (!find_fields(state, Py_TYPE(object), FROZEN_GETSTATE, &fields)
        || !shadows_nothing(state, object)
        || !frozen_holds(state, Py_TYPE(object), FROZEN_GETSTATE)) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < fields.count; i++) {
        if (field_value(object, &fields, i) == NULL) {
            return NULL;
        }
    }
    int collects = collector_hold();
    PyObject *list = PyList_New(fields.count);
    collector_resume(collects);
    for (Py_ssize_t i = 0; list != NULL && i < fields.count; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(field_value(object, &fields, i)));
    }
    return list;
}

/* True if object.__setattr__ may be called for objects of the type, which has one in Python or
   none: no base has one in C. */
static int
is_set_plainly(struct core_state *state, PyTypeObject *type)
{
    PyObject *own = type_lookup(type, state->str.setattr);
    int of_python = own != NULL && PyFunction_Check(own);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(type->tp_mro); i++) {
        setattrofunc set = ((PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, i))->tp_setattro;
        if (set != PyObject_GenericSetAttr && (!of_python || set != type->tp_setattro)) {
            return 0;
        }
    }
    return 1;
}

/* Stores a value in a field that was not set before.  0, or -1 with MemoryError. */
static int
set_field(PyObject *object, const struct frozen_fields *fields, Py_ssize_t index, PyObject *value)
{
    if (unlikely(fields->offsets[index] == FROZEN_IN_DICT)) {
        return PyObject_GenericSetAttr(object, fields->names[index], value);
    }
    /* Of a name that comes twice, the list holds what was stored first. */
    Py_XSETREF(*layout_slot(object, fields->offsets[index]), Py_NewRef(value));
    return 0;
}

/* Sets only fields that are not set: nothing is released by it.  Not inline for the same reason.
 */
NOINLINE int
frozen_setstate(struct core_state *state, PyObject *object, PyObject *object_state)
{
    if (!layout_is_known()) {
        return 0;
    }
    PyTypeObject *type = Py_TYPE(object);
    struct frozen_fields fields;
    if (!PyList_CheckExact(object_state) || !find_fields(state, type, FROZEN_SETSTATE, &fields)
        || !shadows_nothing(state, object) || !frozen_holds(state, type, FROZEN_SETSTATE)
        || !is_set_plainly(state, type)) {
        return 0;
    }
    Py_ssize_t size = Py_MIN(fields.count, PyList_GET_SIZE(object_state));
    for (Py_ssize_t i = 0; i < size; i++) {
        if (field_value(object, &fields, i) != NULL) {
            return 0;
        }
    }
    /* A __dict__ may be made, and no finalizer may change the list or the fields meanwhile. */
    int result = 0, collects = collector_hold();
    for (Py_ssize_t i = 0; result == 0 && i < size; i++) {
        result = set_field(object, &fields, i, PyList_GET_ITEM(object_state, i));
    }
    collector_resume(collects);
    return result < 0 ? -1 : 1;
}

/* True if a list of so many holds what the fields do: 1, 0, or -1 if that cannot be told. */
static int
is_state(struct core_state *state, PyObject *object, PyObject *list)
{
    struct frozen_fields fields;
    if (!PyList_CheckExact(list) || !find_fields(state, Py_TYPE(object), FROZEN_GETSTATE, &fields)
        || !shadows_nothing(state, object) || fields.count != PyList_GET_SIZE(list)) {
        return -1;
    }
    int same = 1;
    for (Py_ssize_t i = 0; same == 1 && i < fields.count; i++) {
        same = field_value(object, &fields, i) == PyList_GET_ITEM(list, i);
    }
    return same;
}

/* _values.known() about the functions: 1 and *known, strong, 0 without it, -1 with what a signal
   handler raised.  Runs Python code. */
static int
ask_known(struct core_state *state, PyTypeObject *type, PyObject **known)
{
    PyObject *getstate = find_frozen_function(state, type, FROZEN_GETSTATE);
    PyObject *setstate = find_frozen_function(state, type, FROZEN_SETSTATE);
    PyObject *functions = getstate == NULL || setstate == NULL
                              ? NULL
                              : PyTuple_Pack(3, getstate, setstate, state->types->frozen->fields);
    PyObject *name = functions == NULL ? NULL : PyUnicode_FromString("dataclasses (frozen)");
    PyObject *given[] = {name, functions};
    int asked = 0;
    *known = NULL;
    PyErr_Clear();
    if (name != NULL) {
        asked = helper_ask(state, HELPER_VALUES, "known", given, 2, known);
    }
    Py_XDECREF(name);
    Py_XDECREF(functions);
    return asked;
}

int
frozen_check(struct core_state *state, PyObject *object, PyObject *object_state)
{
    if (!layout_is_known()) {
        return 0;
    }
    struct frozen *frozen = state->types->frozen;
    if (frozen->status != VALUE_UNCHECKED
        || find_frozen_function(state, Py_TYPE(object), FROZEN_SETSTATE) == NULL
        || !helper_may_run(state, HELPER_VALUES)) {
        return 0;
    }
    int same = is_state(state, object, object_state);
    if (same < 0) {
        return 0;
    }
    PyObject *known = NULL;
    if (same && ask_known(state, Py_TYPE(object), &known) < 0) {
        return -1;
    }
    int usable = known != NULL && PyTuple_CheckExact(known) && PyTuple_GET_SIZE(known) == 3;
    frozen->status = usable ? VALUE_HOLDS : VALUE_OFF;
    frozen->globals = NULL; /* to be looked at again: builtins are known now */
    if (usable) {
        Py_XSETREF(frozen->known, Py_NewRef(known));
    }
    Py_XDECREF(known);
    return 0;
}
