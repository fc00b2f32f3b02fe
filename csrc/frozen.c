/* Frozen dataclasses with slots: see frozen.h. */
#include "frozen.h"

#include "steps_run.h"
#include "values.h"
#include "watch.h"

struct frozen {
    enum value_status status;
    PyObject *known; /* strong, or NULL: the codes, names of builtins, and these, as tuples */
#if KNOWN_LAYOUT
    /* What the functions find as long as neither the builtins nor their globals change. */
    struct watch watch;
    PyObject *globals; /* only compared: of dataclasses */
    PyObject *fields;  /* borrowed from there: fields(); NULL if anything is not as it should be */
    PyObject *marker;  /* the same: which fields are fields */
    /* Of dataclasses.Field. */
    unsigned field_version;
    Py_ssize_t name_offset, kind_offset;
#endif
};

int
frozen_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->frozen = PyMem_Calloc(1, sizeof(*state->frozen));
    if (state->frozen == NULL) {
        PyErr_NoMemory();
        return -1;
    }
#if KNOWN_LAYOUT
    watch_setup(&state->frozen->watch);
#endif
    return 0;
}

void
frozen_teardown(struct core_state *state)
{
    struct frozen *frozen = state->frozen;
    state->frozen = NULL;
    if (frozen != NULL) {
#if KNOWN_LAYOUT
        watch_teardown(&frozen->watch);
#endif
        Py_XDECREF(frozen->known);
        PyMem_Free(frozen);
    }
}

#if KNOWN_LAYOUT

/* ---- the functions ------------------------------------------------------ */

/* Whether these are the globals of dataclasses. */
static int
is_of_dataclasses(struct core_state *state, PyObject *globals)
{
    PyObject *name = PyDict_CheckExact(globals) && layout_has_only_str_keys(globals)
                         ? PyDict_GetItemWithError(globals, state->str.name)
                         : NULL;
    return name != NULL && PyUnicode_CheckExact(name)
           && PyUnicode_EqualToUTF8(name, "dataclasses");
}

/* Whether the function finds the builtins that are known, if any are yet. */
static int
builtins_hold(struct core_state *state, PyObject *function)
{
    PyObject *known = state->frozen->known;
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

/* Looks for what a function finds, unless nothing has changed since.  Whether all is there. */
static int
look_around(struct core_state *state, PyObject *function)
{
    struct frozen *frozen = state->frozen;
    PyObject *globals = PyFunction_GET_GLOBALS(function);
    if (likely(frozen->globals == globals && watch_is_unchanged(&frozen->watch))) {
        return frozen->fields != NULL;
    }
    frozen->fields = NULL;
    frozen->globals = globals;
    if (!is_of_dataclasses(state, globals)) {
        frozen->globals = NULL;
        return 0;
    }
    watch_restart(&frozen->watch);
    watch_add(&frozen->watch, state->stdlib.builtins_dict);
    watch_add(&frozen->watch, globals);
    PyObject *fields = read_global(state, function, state->str.fields);
    PyObject *key = read_global(state, function, state->str.fields_global);
    frozen->marker = read_global(state, function, state->str.field_global);
    if (fields != NULL && PyFunction_Check(fields) && PyFunction_GET_GLOBALS(fields) == globals
        && key != NULL && PyUnicode_CheckExact(key)
        && PyUnicode_Compare(key, state->str.dataclass_fields) == 0 && frozen->marker != NULL
        && builtins_hold(state, function) && builtins_hold(state, fields)) {
        frozen->fields = fields;
    }
    return frozen->fields != NULL;
}

/* What the type has as __getstate__ or __setstate__, if it is a function that finds what those of
   dataclasses find; borrowed, or NULL. */
static PyObject *
find_function(struct core_state *state, PyTypeObject *type, enum frozen_function kind)
{
    const struct core_strings *str = &state->str;
    PyObject *function =
        type_lookup(type, kind == FROZEN_GETSTATE ? str->getstate : str->setstate);
    return function != NULL && PyFunction_Check(function) && look_around(state, function)
               ? function
               : NULL;
}

/* Whether a tool watches the code, or the comprehension in it. */
static int
is_watched(PyObject *code)
{
    PyObject *constants = ((PyCodeObject *)code)->co_consts;
    int watched = code_is_monitored(code);
    for (Py_ssize_t i = 0; !watched && i < PyTuple_GET_SIZE(constants); i++) {
        PyObject *constant = PyTuple_GET_ITEM(constants, i);
        watched = PyCode_Check(constant) && code_is_monitored(constant);
    }
    return watched;
}

/* Whether the function has the code that is known. */
static int
is_known(struct core_state *state, PyObject *function, enum frozen_function kind)
{
    PyObject *codes = PyTuple_GET_ITEM(state->frozen->known, 0);
    PyObject *code = PyFunction_GET_CODE(function);
    return code == PyTuple_GET_ITEM(codes, (Py_ssize_t)kind) && !is_watched(code);
}

int
frozen_holds(struct core_state *state, PyTypeObject *type, enum frozen_function kind)
{
    PyObject *function = find_function(state, type, kind);
    return function != NULL && state->frozen->status == VALUE_HOLDS
           && is_known(state, function, kind)
           && is_known(state, state->frozen->fields, FROZEN_FIELDS) && !steps_observed(state);
}

/* ---- the fields --------------------------------------------------------- */

int
frozen_begin(struct core_state *state, PyTypeObject *type, enum frozen_function kind,
             struct frozen_walk *walk)
{
    if (type->tp_getattro != PyObject_GenericGetAttr || type->tp_dictoffset != 0
        || find_function(state, type, kind) == NULL) {
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
    struct frozen *frozen = state->frozen;
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
    struct frozen *frozen = state->frozen;
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

/* Whether a list holds what the fields do, which all are slots. */
static int
is_state(struct core_state *state, PyObject *object, PyObject *list)
{
    struct frozen_walk walk;
    PyTypeObject *type = Py_TYPE(object);
    PyObject *name;
    Py_ssize_t count = 0;
    if (!PyList_CheckExact(list) || !frozen_begin(state, type, FROZEN_GETSTATE, &walk)) {
        return 0;
    }
    for (; (name = frozen_next(state, &walk)) != NULL; count++) {
        Py_ssize_t offset = layout_slot_offset(type, name);
        if (offset < 0 || count >= PyList_GET_SIZE(list)
            || *layout_slot(object, offset) != PyList_GET_ITEM(list, count)) {
            return 0;
        }
    }
    return !walk.failed && count == PyList_GET_SIZE(list);
}

/* _values.known() about the functions; strong, or NULL without an exception.  Runs Python code. */
static PyObject *
ask_known(struct core_state *state, PyTypeObject *type)
{
    PyObject *getstate = find_function(state, type, FROZEN_GETSTATE);
    PyObject *setstate = find_function(state, type, FROZEN_SETSTATE);
    PyObject *functions = getstate == NULL || setstate == NULL
                              ? NULL
                              : PyTuple_Pack(3, getstate, setstate, state->frozen->fields);
    PyObject *module = functions == NULL ? NULL : PyImport_ImportModule("fastcopyreg._values");
    PyObject *known = module == NULL ? NULL
                                     : PyObject_CallMethod(module, "known", "sO",
                                                           "dataclasses (frozen)", functions);
    Py_XDECREF(module);
    Py_XDECREF(functions);
    PyErr_Clear();
    return known;
}

void
frozen_check(struct core_state *state, PyObject *object, PyObject *given)
{
    struct frozen *frozen = state->frozen;
    if (frozen->status != VALUE_UNCHECKED
        || find_function(state, Py_TYPE(object), FROZEN_SETSTATE) == NULL) {
        return;
    }
    PyObject *known = is_state(state, object, given) ? ask_known(state, Py_TYPE(object)) : NULL;
    int usable = known != NULL && PyTuple_CheckExact(known) && PyTuple_GET_SIZE(known) == 3;
    frozen->status = usable ? VALUE_HOLDS : VALUE_OFF;
    frozen->globals = NULL; /* to be looked at again: builtins are known now */
    if (usable) {
        Py_XSETREF(frozen->known, Py_NewRef(known));
    }
    Py_XDECREF(known);
}

#endif
