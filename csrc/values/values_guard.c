/* The functions of types of Python that the rows of values.c leave out: see values.h. */
#include "base/helpers.h"
#include "base/observed.h"
#include "values/room.h"
#include "plans/plan_run.h"
#include "values/values.h"

/* The definition of a name along the MRO; borrowed, or NULL. */
static PyObject *
find_definition(PyTypeObject *type, const char *text, int nth)
{
    PyObject *mro = type->tp_mro, *definition = NULL, *name = PyUnicode_InternFromString(text);
    for (Py_ssize_t i = 0; name != NULL && definition == NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyObject *dict = ((PyTypeObject *)PyTuple_GET_ITEM(mro, i))->tp_dict;
        definition = dict == NULL ? NULL : PyDict_GetItemWithError(dict, name);
        if (definition != NULL && nth-- > 0) {
            definition = NULL;
        }
    }
    Py_XDECREF(name);
    PyErr_Clear();
    return definition;
}

/* The __get__ of what describes SafeUUID.unknown, which by its name is what _member_map_ has;
   borrowed, or NULL. */
static PyObject *
find_member_getter(struct core_state *state, PyTypeObject *type)
{
    const struct core_strings *str = &state->str;
    PyObject *getstate = type_lookup(type, str->getstate);
    PyObject *safety = getstate != NULL && PyFunction_Check(getstate)
                           ? read_global(state, getstate, str->safe_uuid)
                           : NULL;
    PyObject *described = safety != NULL && PyType_Check(safety)
                              ? type_lookup((PyTypeObject *)safety, str->unknown)
                              : NULL;
    if (described == NULL || type_lookup(Py_TYPE(safety), str->unknown) != NULL
        || type_lookup(Py_TYPE(safety), str->getattribute)
               != type_lookup(&PyType_Type, str->getattribute)
        || Py_TYPE(described)->tp_getattro != PyObject_GenericGetAttr
        || type_lookup(Py_TYPE(described), str->field_name) != NULL) {
        return NULL;
    }
    PyObject *name = PyObject_GenericGetAttr(described, str->field_name);
    int same =
        name != NULL && PyUnicode_CheckExact(name) && PyUnicode_Compare(name, str->unknown) == 0;
    Py_XDECREF(name);
    PyErr_Clear();
    return same ? type_lookup(Py_TYPE(described), str->get) : NULL;
}

/* The function of a method, class method or property; strong, or NULL. */
static PyObject *
find_function(struct core_state *state, PyTypeObject *type, const struct value_function *sought)
{
    PyObject *definition = sought->nth == MEMBER_GETTER
                               ? find_member_getter(state, type)
                               : find_definition(type, sought->name, sought->nth);
    if (definition == NULL || PyFunction_Check(definition)) {
        return Py_XNewRef(definition);
    }
    PyObject *function = NULL;
    if (Py_IS_TYPE(definition, &PyClassMethod_Type)) {
        function = PyObject_GenericGetAttr(definition, state->str.func);
    }
    else if (Py_IS_TYPE(definition, &PyProperty_Type)) {
        function = PyObject_GenericGetAttr(definition, state->str.fget);
    }
    if (function != NULL && !PyFunction_Check(function)) {
        Py_CLEAR(function);
    }
    PyErr_Clear();
    return function;
}

static Py_ssize_t
count_functions(const struct value *value)
{
    Py_ssize_t count = 0;
    while (count < VALUE_FUNCTIONS && value->functions[count].name != NULL) {
        count++;
    }
    return count;
}

/* The functions in a tuple; strong, or NULL without an exception if one is missing. */
static PyObject *
collect_functions(struct core_state *state, const struct value *value, PyTypeObject *type)
{
    Py_ssize_t count = count_functions(value);
    PyObject *functions = PyTuple_New(count);
    for (Py_ssize_t i = 0; functions != NULL && i < count; i++) {
        PyObject *function = find_function(state, type, &value->functions[i]);
        if (function == NULL) {
            Py_CLEAR(functions);
            break;
        }
        PyTuple_SET_ITEM(functions, i, function);
    }
    PyErr_Clear();
    return functions;
}

/* True if what pickle asks objects of the type leads to the functions of the row. */
static int
asks_functions(struct core_state *state, const struct value *value, PyTypeObject *type)
{
    const struct core_strings *str = &state->str;
    PyTypeObject *object = &PyBaseObject_Type;
    return type_lookup(type, str->reduce_ex) == type_lookup(object, str->reduce_ex)
           && type_lookup(type, str->class_) == type_lookup(object, str->class_)
           && (value->contents != CONTENTS_INTEGER
               || (type_lookup(type, str->reduce) == type_lookup(object, str->reduce)
                   && type_lookup(type, str->getnewargs) == NULL
                   && type_lookup(type, str->getnewargs_ex) == NULL));
}

int
values_guard_is_known(struct core_state *state, const struct value *value, PyTypeObject *type)
{
    unsigned *checked = &state->values->versions[values_number(value)];
    PyObject **guard = &state->values->guards[values_number(value)];
    unsigned version = type_assign_version(type, state->str.class_);
    if (*guard != NULL && version != 0 && version == *checked) {
        return 1;
    }
    if (!asks_functions(state, value, type)) {
        return 0;
    }
    *checked = version;
    PyObject *functions = collect_functions(state, value, type);
    PyObject *name = functions == NULL ? NULL : PyUnicode_FromString(value->known_as);
    if (name == NULL) {
        Py_XDECREF(functions);
        PyErr_Clear();
        return 0;
    }
    PyObject *known, *given[] = {name, functions, (PyObject *)type};
    int asked = helper_ask(state, HELPER_VALUES, "known", given, 3, &known);
    Py_DECREF(name);
    Py_DECREF(functions);
    if (asked > 0 && PyTuple_CheckExact(known) && PyTuple_GET_SIZE(known) == 3) {
        Py_XSETREF(*guard, Py_NewRef(known));
    }
    Py_XDECREF(known);
    return asked < 0 ? -1 : *guard != NULL;
}

/* True if a function finds the builtins that were found at first. */
static int
builtins_hold(struct core_state *state, PyObject *function, PyObject *names, PyObject *objects)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (read_global(state, function, PyTuple_GET_ITEM(names, i))
            != PyTuple_GET_ITEM(objects, i)) {
            return 0;
        }
    }
    return 1;
}

int
values_guard_holds(struct core_state *state, const struct value *value, PyTypeObject *type)
{
    PyObject *guard = state->values->guards[values_number(value)];
    if (guard == NULL || type_version(type) == 0
        || type_version(type) != state->values->versions[values_number(value)]
        || calls_observed(state)) {
        return 0;
    }
    PyObject *codes = PyTuple_GET_ITEM(guard, 0);
    int holds = 1;
    for (Py_ssize_t i = 0; holds && i < PyTuple_GET_SIZE(codes); i++) {
        PyObject *function = find_function(state, type, &value->functions[i]);
        PyObject *code = PyTuple_GET_ITEM(codes, i);
        holds = function != NULL && PyFunction_GET_CODE(function) == code
                && !code_is_monitored(code)
                && builtins_hold(state, function, PyTuple_GET_ITEM(guard, 1),
                                 PyTuple_GET_ITEM(guard, 2));
        Py_XDECREF(function);
    }
    return holds;
}
