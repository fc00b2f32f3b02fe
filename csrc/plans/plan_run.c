/* Running a plan step by step: see plan_run.h. */
#include "plans/plan_run.h"

#include "base/observed.h"
#include "base/layout.h"
#include "base/lookup.h"
#include "plans/plan_filter.h"
#include "plans/room.h"

#include <structmember.h>

/* ---- names -------------------------------------------------------------- */

/* The value of a name in a dict of names; borrowed, or NULL. */
static PyObject *
read_name(PyObject *names, PyObject *name)
{
    if (!PyDict_CheckExact(names) || !layout_has_only_str_keys(names)) {
        return NULL;
    }
    return dict_get_name(names, name);
}

/* A name whose import was put off until it is used (3.15) is not there yet. */
static int
is_lazy_import(struct core_state *state, PyObject *value)
{
    return state->plans->lazy_import_type != NULL
           && (PyObject *)Py_TYPE(value) == state->plans->lazy_import_type;
}

PyObject *
read_global_at(struct core_state *state, PyObject *function, PyObject *name, Py_ssize_t *index)
{
    PyFunctionObject *called = (PyFunctionObject *)function;
    PyObject *value = NULL;
    if (PyDict_CheckExact(called->func_globals)) {
        value = layout_find_name(called->func_globals, name, index);
    }
    if (value == NULL && layout_has_only_str_keys(called->func_globals)) {
        value = read_name(called->func_builtins, name);
    }
    return value != NULL && !is_lazy_import(state, value) ? value : NULL;
}

PyObject *
read_global(struct core_state *state, PyObject *function, PyObject *name)
{
    Py_ssize_t index = 0;
    return read_global_at(state, function, name, &index);
}

/* The default of a keyword-only parameter. */
static PyObject *
read_keyword_default(PyFunctionObject *function, PyCodeObject *code, size_t parameter)
{
    PyObject *defaults = function->func_kwdefaults;
    PyObject *names = defaults == NULL ? NULL : PyCode_GetVarnames(code);
    if (names == NULL) {
        return NULL;
    }
    PyObject *value = read_name(defaults, PyTuple_GET_ITEM(names, (Py_ssize_t)parameter));
    Py_DECREF(names);
    return value;
}

PyObject *
read_default(PyObject *function, size_t parameter)
{
    PyFunctionObject *called = (PyFunctionObject *)function;
    PyCodeObject *code = (PyCodeObject *)called->func_code;
    if (parameter >= (size_t)code->co_argcount) {
        return read_keyword_default(called, code, parameter);
    }
    PyObject *defaults = called->func_defaults;
    Py_ssize_t count = defaults == NULL ? 0 : PyTuple_GET_SIZE(defaults);
    Py_ssize_t index = (Py_ssize_t)parameter - (code->co_argcount - count);
    return index < 0 ? NULL : PyTuple_GET_ITEM(defaults, index);
}

PyObject *
read_cell(PyObject *function, size_t index)
{
    PyObject *closure = ((PyFunctionObject *)function)->func_closure;
    if (closure == NULL || (Py_ssize_t)index >= PyTuple_GET_SIZE(closure)) {
        return NULL;
    }
    return PyCell_GET(PyTuple_GET_ITEM(closure, (Py_ssize_t)index));
}

/* ---- attributes --------------------------------------------------------- */

/* Stores a new reference: OUTCOME_DONE, or for NULL OUTCOME_RAISED. */
static enum outcome
store_result(PyObject *value, PyObject **result)
{
    *result = value;
    return value != NULL ? OUTCOME_DONE : OUTCOME_RAISED;
}

static enum outcome
read_of_module(struct core_state *state, PyObject *module, PyObject *name, PyObject **value)
{
    if (type_lookup(Py_TYPE(module), name) != NULL) {
        return OUTCOME_BAIL;
    }
    *value = Py_XNewRef(read_name(PyModule_GetDict(module), name));
    if (*value == NULL || is_lazy_import(state, *value)) {
        Py_CLEAR(*value);
        return OUTCOME_BAIL;
    }
    return OUTCOME_DONE;
}

/* A class that its metaclass leaves alone: its name, or what its __mro__ holds and gives as it
   is. */
static enum outcome
read_of_class(struct core_state *state, PyObject *cls, PyObject *name, PyObject **value)
{
    if (name == state->str.name && metaclass_leaves_alone(state, (PyTypeObject *)cls)) {
        return store_result(PyType_GetName((PyTypeObject *)cls), value);
    }
    if (!metaclass_gives(state, (PyTypeObject *)cls, name)) {
        return OUTCOME_BAIL;
    }
    PyObject *attribute = type_lookup((PyTypeObject *)cls, name);
    if (attribute == NULL
        || (Py_TYPE(attribute)->tp_descr_get != NULL && !PyFunction_Check(attribute))) {
        return OUTCOME_BAIL;
    }
    return store_result(Py_NewRef(attribute), value);
}

/* True if a descriptor is what gives instances of the type the __dict__ of a class statement; from
   3.15 on all classes share the one that says it is object's. */
static int
gives_dict(struct core_state *state, PyTypeObject *type, PyObject *descriptor)
{
    PyTypeObject *defining = PyDescr_TYPE(descriptor);
    if (PyDescr_NAME(descriptor) != state->str.dict || !PyType_IsSubtype(type, defining)) {
        return 0;
    }
    return defining == &PyBaseObject_Type
               ? PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)
               : PyType_HasFeature(defining, Py_TPFLAGS_HEAPTYPE) && defining->tp_base != NULL
                     && defining->tp_base->tp_dictoffset == 0;
}

/* __class__ and __dict__, if they are object's and the class's own. */
static enum outcome
read_getset(struct core_state *state, PyObject *owner, PyObject *descriptor, PyObject *name,
            PyObject **value)
{
    if (name == state->str.class_ && descriptor == type_lookup(&PyBaseObject_Type, name)) {
        return store_result(Py_NewRef((PyObject *)Py_TYPE(owner)), value);
    }
    return name == state->str.dict && gives_dict(state, Py_TYPE(owner), descriptor)
               ? store_result(PyObject_GenericGetDict(owner, NULL), value)
               : OUTCOME_BAIL;
}

/* A slot, or a member of a built-in type. */
static enum outcome
read_member(PyObject *owner, PyObject *descriptor, PyObject **value)
{
    PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
    if ((member->flags & ~READONLY) != 0
        || !PyType_IsSubtype(Py_TYPE(owner), PyDescr_TYPE(descriptor))) {
        return OUTCOME_BAIL;
    }
    if (member->type == T_OBJECT_EX) {
        *value = Py_XNewRef(*layout_slot(owner, member->offset));
        return *value != NULL ? OUTCOME_DONE : OUTCOME_ABSENT;
    }
    return store_result(PyMember_GetOne((char *)owner, member), value);
}

/* From the instance, or else the class; no descriptor is in the way. */
static enum outcome
read_generic(PyObject *owner, PyObject *name, PyObject **value)
{
    PyObject *dict = layout_find_dict(owner, Py_TYPE(owner));
    if (dict != NULL && (!PyDict_CheckExact(dict) || !layout_has_only_str_keys(dict))) {
        return OUTCOME_BAIL;
    }
    *value = PyObject_GenericGetAttr(owner, name);
    if (*value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        return OUTCOME_ABSENT;
    }
    return *value != NULL ? OUTCOME_DONE : OUTCOME_RAISED;
}

static enum outcome
read_as_found(struct core_state *state, PyObject *owner, PyObject *name, PyObject **value)
{
    PyTypeObject *type = Py_TYPE(owner);
    PyObject *descriptor = type_lookup(type, name);
    if (descriptor != NULL && Py_TYPE(descriptor)->tp_descr_get != NULL) {
        if (Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
            return read_member(owner, descriptor, value);
        }
        if (Py_IS_TYPE(descriptor, &PyGetSetDescr_Type)) {
            return read_getset(state, owner, descriptor, name, value);
        }
        return OUTCOME_BAIL;
    }
    if (descriptor != NULL && Py_TYPE(descriptor)->tp_descr_set != NULL) {
        return OUTCOME_BAIL;
    }
    return read_generic(owner, name, value);
}

/* The same for a class that may have a __getattr__, which is asked for what is absent. */
static enum outcome
read_of_instance(struct core_state *state, PyObject *owner, PyObject *name, PyObject **value)
{
    if (!lookup_is_plain(state, Py_TYPE(owner))) {
        return OUTCOME_BAIL;
    }
    enum outcome outcome = read_as_found(state, owner, name, value);
    return outcome == OUTCOME_ABSENT && Py_TYPE(owner)->tp_getattro != PyObject_GenericGetAttr
               ? OUTCOME_BAIL
               : outcome;
}

enum outcome
read_attribute(struct core_state *state, PyObject *owner, PyObject *name, PyObject **value)
{
    if (PyModule_CheckExact(owner)) {
        return read_of_module(state, owner, name, value);
    }
    if (PyType_Check(owner)) {
        return read_of_class(state, owner, name, value);
    }
    return read_of_instance(state, owner, name, value);
}

/* ---- tests -------------------------------------------------------------- */

/* ---- steps -------------------------------------------------------------- */

static enum outcome
borrowed(PyObject *value, PyObject **result)
{
    *result = Py_XNewRef(value);
    return value != NULL ? OUTCOME_DONE : OUTCOME_BAIL;
}

static enum outcome
run_attribute(struct plan_run *run, const struct step *step, PyObject **value)
{
    PyObject *name = PyTuple_GET_ITEM(run->plan->names, step->b);
    enum outcome outcome = read_attribute(run->state, run->values[step->a], name, value);
    if (outcome != OUTCOME_ABSENT) {
        return outcome;
    }
    return step->kind == STEP_ATTRIBUTE_OR ? borrowed(run->values[step->c], value) : OUTCOME_BAIL;
}

static PyObject *
run_keyword(struct plan_run *run, const struct step *step)
{
    PyObject *name = PyTuple_GET_ITEM(run->plan->names, step->a);
    return run->keywords == NULL ? NULL : PyDict_GetItemWithError(run->keywords, name);
}

static enum outcome
run_fresh(struct plan_run *run, const struct step *step, PyObject **value)
{
    PyObject *made = run->values[step->a];
    if (made == (PyObject *)&PyList_Type) {
        return store_result(PyList_New(0), value);
    }
    if (made == (PyObject *)&PyDict_Type) {
        return store_result(PyDict_New(), value);
    }
    return made == (PyObject *)&PySet_Type ? store_result(PySet_New(NULL), value) : OUTCOME_BAIL;
}

static enum outcome
run_sequence(struct plan_run *run, const struct step *step, PyObject **value)
{
    int is_tuple = step->kind != STEP_LIST;
    PyObject *made = is_tuple ? PyTuple_New(step->b) : PyList_New(step->b);
    for (size_t i = 0; made != NULL && i < step->b; i++) {
        PyObject *item = Py_NewRef(run->values[run->plan->operands[step->a + i]]);
        if (is_tuple) {
            PyTuple_SET_ITEM(made, (Py_ssize_t)i, item);
        }
        else {
            PyList_SET_ITEM(made, (Py_ssize_t)i, item);
        }
    }
    return store_result(made, value);
}

static enum outcome
run_dict(struct plan_run *run, const struct step *step, PyObject **value)
{
    const uint16_t *operands = run->plan->operands + step->a;
    PyObject *made = PyDict_New();
    for (size_t i = 0; made != NULL && i < step->b; i++) {
        if (PyDict_SetItem(made, run->values[operands[2 * i]], run->values[operands[2 * i + 1]])
            < 0) {
            Py_CLEAR(made);
        }
    }
    return store_result(made, value);
}

/* An item under a constant str of a dict whose keys are all such, or at a place in a tuple or
   list; borrowed, or NULL. */
static PyObject *
item_of_step(PyObject *owner, PyObject *key)
{
    if (PyUnicode_Check(key)) {
        return read_name(owner, key);
    }
    Py_ssize_t index = PyLong_AsSsize_t(key);
    if (PyTuple_CheckExact(owner)) {
        return index < PyTuple_GET_SIZE(owner) ? PyTuple_GET_ITEM(owner, index) : NULL;
    }
    return PyList_CheckExact(owner) && index < PyList_GET_SIZE(owner)
               ? PyList_GET_ITEM(owner, index)
               : NULL;
}

static enum outcome
run_item(struct plan_run *run, const struct step *step, PyObject **value)
{
    PyObject *owner = run->values[step->a];
    PyObject *item = item_of_step(owner, PyTuple_GET_ITEM(run->plan->constants, step->b));
    if (item != NULL || step->kind == STEP_ITEM || !PyDict_CheckExact(owner)
        || !layout_has_only_str_keys(owner)) {
        return borrowed(item, value);
    }
    if (step->kind == STEP_ITEM_OR) {
        return borrowed(run->values[step->c], value);
    }
    return store_result(step->c ? PyList_New(0) : PyDict_New(), value);
}

/* True if a value is of so many items, and gives them without running code. */
static int
has_size(PyObject *value, Py_ssize_t size)
{
    return (PyTuple_CheckExact(value) || PyList_CheckExact(value)) && Py_SIZE(value) == size;
}

/* A dict of its own, of which all keys are str. */
static enum outcome
run_dict_copy(PyObject *dict, PyObject **value)
{
    return PyDict_CheckExact(dict) && layout_has_only_str_keys(dict)
               ? store_result(PyDict_Copy(dict), value)
               : OUTCOME_BAIL;
}

/* Takes an item out of such a dict. */
static enum outcome
run_pop(struct plan_run *run, const struct step *step, PyObject **value)
{
    PyObject *dict = run->values[step->a];
    PyObject *key = PyTuple_GET_ITEM(run->plan->constants, step->b);
    PyObject *item = PyDict_GetItemWithError(dict, key);
    if (item == NULL) {
        return step->kind == STEP_POP_OR ? borrowed(run->values[step->c], value) : OUTCOME_BAIL;
    }
    *value = Py_NewRef(item);
    return PyDict_DelItem(dict, key) < 0 ? OUTCOME_RAISED : OUTCOME_DONE;
}

static enum outcome
run_put(struct plan_run *run, const struct step *step)
{
    PyObject *key = PyTuple_GET_ITEM(run->plan->constants, step->b);
    return PyDict_SetItem(run->values[step->a], key, run->values[step->c]) < 0 ? OUTCOME_RAISED
                                                                               : OUTCOME_DONE;
}

static enum outcome
run_argument(struct plan_run *run, const struct step *step, PyObject **value)
{
    if (step->a < run->argument_count) {
        return borrowed(run->arguments[step->a], value);
    }
    return borrowed(read_default(run->functions[0], step->b), value);
}

/* A step that yields a value. */
static enum outcome
run_step(struct plan_run *run, const struct step *step, PyObject **value)
{
    const struct plan *plan = run->plan;
    switch (step->kind) {
    case STEP_OBJECT: return borrowed(run->object, value);
    case STEP_PROTOCOL: return borrowed(run->protocol, value);
    case STEP_BOUND: return borrowed(run->bound[step->a], value);
    case STEP_BOUND_KEYWORD: return borrowed(run_keyword(run, step), value);
    case STEP_DEFAULT: return borrowed(read_default(run->functions[step->b], step->a), value);
    case STEP_CONSTANT: return borrowed(PyTuple_GET_ITEM(plan->constants, step->a), value);
    case STEP_GLOBAL:
        return borrowed(read_global(run->state, run->functions[step->b],
                                    PyTuple_GET_ITEM(plan->names, step->a)),
                        value);
    case STEP_CELL: return borrowed(read_cell(run->functions[step->b], step->a), value);
    case STEP_ATTRIBUTE:
    case STEP_ATTRIBUTE_OR: return run_attribute(run, step, value);
    case STEP_TYPE: return borrowed((PyObject *)Py_TYPE(run->values[step->a]), value);
    case STEP_FRESH: return run_fresh(run, step, value);
    case STEP_ITEM:
    case STEP_ITEM_OR:
    case STEP_ITEM_OR_NEW: return run_item(run, step, value);
    case STEP_TUPLE:
    case STEP_LIST: return run_sequence(run, step, value);
    case STEP_DICT: return run_dict(run, step, value);
    case STEP_DICT_COPY: return run_dict_copy(run->values[step->a], value);
    case STEP_FILTER:
        return plan_filter(run->values[step->a], step->b, run->values[step->c], value);
    case STEP_CONTAINS: return plan_contains(run->values[step->a], run->values[step->b], value);
    case STEP_EQUAL: return plan_equal(run->values[step->a], run->values[step->b], value);
    case STEP_POP:
    case STEP_POP_OR: return run_pop(run, step, value);
    case STEP_CLASS: return borrowed((PyObject *)run->cls, value);
    case STEP_ARGUMENT: return run_argument(run, step, value);
    default:
        return step_is_pure(step) ? plan_make_pure(plan, step, run->values, value) : OUTCOME_BAIL;
    }
}

enum outcome
plan_run_making(struct plan_run *run, const struct step *step, PyObject **value)
{
    return run_step(run, step, value);
}

static int
is_base(const struct plan_run *run, size_t place, PyObject *value)
{
    PyObject *mro = run->cls->tp_mro;
    return place < (size_t)PyTuple_GET_SIZE(mro)
           && value == PyTuple_GET_ITEM(mro, (Py_ssize_t)place);
}

/* A step that yields none, and where to go on: OUTCOME_DONE and *next, or OUTCOME_BAIL or
   OUTCOME_RAISED.  NEW and the stores are for the end of the path. */
static enum outcome
run_test(struct plan_run *run, const struct step *step, size_t *next)
{
    PyObject **values = run->values;
    int holds;
    switch (step->kind) {
    case STEP_EXPECT:
        holds = values[step->a] == PyTuple_GET_ITEM(run->plan->constants, step->b) ? 1 : -1;
        break;
    case STEP_EXPECT_CLASS: holds = is_base(run, step->b, values[step->a]) ? 1 : -1; break;
    case STEP_EXPECT_SIZE: holds = has_size(values[step->a], step->b) ? 1 : -1; break;
    case STEP_BRANCH_TRUE: holds = read_truth(values[step->a]); break;
    case STEP_BRANCH_IS: holds = values[step->a] == values[step->b]; break;
    case STEP_PUT: return run_put(run, step);
    default: return OUTCOME_DONE;
    }
    if (holds == 0) {
        *next = step->c;
    }
    return holds < 0 ? OUTCOME_BAIL : OUTCOME_DONE;
}

static int
yields_value(int kind)
{
    return kind < STEP_EXPECT || kind == STEP_CLASS || kind == STEP_ARGUMENT;
}

static int
ends_path(int kind)
{
    return (kind >= STEP_RETURN && kind <= STEP_LEAVE) || kind >= STEP_RETURN_NEW;
}

/* The value of a step that lies in the object, where that was found out before; OUTCOME_BAIL if it
   is to be looked up. */
ALWAYS_INLINE enum outcome
read_in_place(const struct plan_run *run, size_t number, PyObject **value)
{
    Py_ssize_t place = run->reads == NULL ? READ_ELSEWHERE : run->reads[number];
    if (place == READ_OWN_DICT) {
        return store_result(PyObject_GenericGetDict(run->object, NULL), value);
    }
    return place == READ_ELSEWHERE ? OUTCOME_BAIL
                                   : borrowed(*layout_slot(run->object, place), value);
}

enum outcome
plan_run(struct plan_run *run)
{
    for (size_t i = 0;;) {
        const struct step *step = &run->plan->list[i];
        size_t next = i + 1;
        enum outcome outcome;
        if (ends_path(step->kind)) {
            run->end = i;
            return step->kind == STEP_LEAVE ? OUTCOME_BAIL : OUTCOME_DONE;
        }
        if (yields_value(step->kind)) {
            outcome = read_in_place(run, i, &run->values[i]);
            if (outcome == OUTCOME_BAIL) {
                outcome = run_step(run, step, &run->values[i]);
            }
        }
        else {
            outcome = run_test(run, step, &next);
        }
        if (outcome != OUTCOME_DONE) {
            return outcome;
        }
        i = next;
    }
}

size_t
plan_run_next(struct plan_run *run, size_t number)
{
    const struct step *step = &run->plan->list[number];
    int holds = step->kind == STEP_BRANCH_TRUE ? read_truth(run->values[step->a])
                : step->kind == STEP_BRANCH_IS ? run->values[step->a] == run->values[step->b]
                                               : 1;
    return holds ? number + 1 : step->c;
}

void
plan_run_release(struct plan_run *run)
{
    for (size_t i = 0; i < run->plan->count; i++) {
        Py_XDECREF(run->values[i]);
    }
}

/* ---- reducers ----------------------------------------------------------- */

static enum outcome
take_reduce_value(struct plan_run *run, PyObject **reduce_value)
{
    const struct step *end = &run->plan->list[run->end];
    if (end->kind == STEP_RETURN_VALUE) {
        return borrowed(run->values[end->a], reduce_value);
    }
    return run_sequence(run, end, reduce_value);
}

PyObject *
plan_run_result(struct plan_run *run)
{
    PyObject *result = NULL;
    (void)take_reduce_value(run, &result);
    return result;
}

/* The values of a short plan lie on the stack, which is what a called function takes. */
enum { VALUES_AT_HAND = 48 };

/* Puts arguments before those that are bound already.  0 if they are too many. */
static int
bind_first(struct reducer *reducer, PyObject *const *arguments, Py_ssize_t count)
{
    if (count > REDUCER_BOUND_MAX - reducer->count) {
        return 0;
    }
    memmove(reducer->bound + count, reducer->bound, (size_t)reducer->count * sizeof(PyObject *));
    memcpy(reducer->bound, arguments, (size_t)count * sizeof(PyObject *));
    reducer->count += (int)count;
    return 1;
}

/* Where objects of a type of C have an attribute; 0 if it is none that lies in them. */
static Py_ssize_t
find_member(PyTypeObject *type, const char *text)
{
    PyObject *name = PyUnicode_InternFromString(text);
    PyObject *member = name == NULL ? NULL : type_lookup(type, name);
    Py_XDECREF(name);
    PyErr_Clear();
    if (member == NULL || !Py_IS_TYPE(member, &PyMemberDescr_Type)) {
        return 0;
    }
    const PyMemberDef *definition = ((PyMemberDescrObject *)member)->d_member;
    return definition->type == T_OBJECT || definition->type == T_OBJECT_EX ? definition->offset
                                                                           : 0;
}

void
reducer_setup(struct core_state *state)
{
    if (!layout_is_known()) {
        return;
    }
    PyTypeObject *type = (PyTypeObject *)state->stdlib.partial;
    struct partial_places places = {0};
    if (PyType_Check(type) && PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE)) {
        places.function = find_member(type, "func");
        places.args = find_member(type, "args");
        places.keywords = find_member(type, "keywords");
    }
    state->plans->partial_places = places;
}

/* True if a placeholder (3.14) is among the arguments: others come before them then. */
static int
has_placeholder(struct core_state *state, PyObject *args)
{
    PyObject *placeholder = state->stdlib.placeholder;
    for (Py_ssize_t i = 0; placeholder != NULL && i < PyTuple_GET_SIZE(args); i++) {
        if (PyTuple_GET_ITEM(args, i) == placeholder) {
            return 1;
        }
    }
    return 0;
}

PyObject *
reducer_unwrap_partial(struct core_state *state, PyObject *partial, struct reducer *reducer)
{
    const struct partial_places *places = &state->plans->partial_places;
    if (places->function == 0 || places->args == 0 || places->keywords == 0) {
        return NULL;
    }
    PyObject *args = *layout_slot(partial, places->args);
    PyObject *keywords = *layout_slot(partial, places->keywords);
    if (args == NULL || !PyTuple_CheckExact(args) || has_placeholder(state, args)
        || keywords == NULL || !PyDict_CheckExact(keywords)
        || !layout_has_only_str_keys(keywords)) {
        return NULL;
    }
    if (PyDict_GET_SIZE(keywords) != 0) {
        if (reducer->keywords != NULL) {
            return NULL;
        }
        reducer->keywords = keywords;
    }
    return bind_first(reducer, &PyTuple_GET_ITEM(args, 0), PyTuple_GET_SIZE(args))
               ? *layout_slot(partial, places->function)
               : NULL;
}

/* The function in methods and partials, and what they bind. */
static int
unwrap(struct core_state *state, PyObject *callable, struct reducer *reducer)
{
    reducer->callable = callable;
    reducer->count = 0;
    reducer->keywords = NULL;
    while (callable != NULL && !PyFunction_Check(callable)) {
        if (PyMethod_Check(callable)) {
            PyObject *self = PyMethod_GET_SELF(callable);
            callable = bind_first(reducer, &self, 1) ? PyMethod_GET_FUNCTION(callable) : NULL;
        }
        else if ((PyObject *)Py_TYPE(callable) == state->stdlib.partial) {
            callable = reducer_unwrap_partial(state, callable, reducer);
        }
        else {
            callable = NULL;
        }
    }
    reducer->function = callable;
    return callable != NULL;
}

/* True if a partial binds the keywords of these names and no others. */
static int
keywords_are(PyObject *names, PyObject *keywords)
{
    if (names == NULL || keywords == NULL) {
        return names == NULL && keywords == NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    int same = PyDict_GET_SIZE(keywords) == count;
    for (Py_ssize_t i = 0; same && i < count; i++) {
        same = PyDict_GetItemWithError(keywords, PyTuple_GET_ITEM(names, i)) != NULL;
    }
    return same;
}

/* Meets what reducer->callable, ->protocol and ->is_hook say. */
static enum outcome
meet(struct core_state *state, struct reducer *reducer)
{
    PyObject *callable = reducer->callable, *protocol = reducer->protocol;
    reducer->uncompilable = 0;
    if (state->plans->threshold == 0 || !unwrap(state, callable, reducer)) {
        return OUTCOME_BAIL;
    }
    struct plan_entry *entry = plan_meet(state, PyFunction_GET_CODE(reducer->function));
    if (entry == NULL || entry->status == PLAN_UNCOMPILABLE) {
        reducer->uncompilable = entry != NULL;
        return OUTCOME_BAIL;
    }
    if (entry->status != PLAN_READY) {
        return plan_is_hot(state, entry) ? OUTCOME_HOT : OUTCOME_BAIL;
    }
    reducer->plan = entry->plan;
    return entry->plan->bound == reducer->count && entry->plan->of_hook <= reducer->is_hook
                   && entry->plan->takes_protocol == (protocol != NULL)
                   && !code_is_monitored(entry->weaktable_entry.key)
                   && keywords_are(entry->plan->keywords, reducer->keywords)
                   && !calls_observed(state)
               ? OUTCOME_DONE
               : OUTCOME_BAIL;
}

enum outcome
reducer_meet(struct core_state *state, PyObject *callable, PyObject *protocol,
             struct reducer *reducer)
{
    reducer->callable = callable;
    reducer->protocol = protocol;
    reducer->is_hook = 0;
    return meet(state, reducer);
}

enum outcome
reducer_meet_hook(struct core_state *state, PyObject *callable, struct reducer *reducer)
{
    reducer->callable = callable;
    reducer->protocol = NULL;
    reducer->is_hook = 1;
    return meet(state, reducer);
}

int
reducer_read(struct core_state *state, const struct reducer *reducer)
{
    return plan_read_reducer(state, reducer);
}

enum outcome
reducer_run(struct core_state *state, const struct reducer *reducer, PyObject *object,
            PyObject **reduce_value)
{
    const struct plan *plan = reducer->plan;
    PyObject *at_hand[VALUES_AT_HAND], **values = at_hand;
    if (plan->count > VALUES_AT_HAND) {
        values = PyMem_New(PyObject *, plan->count);
        if (values == NULL) {
            PyErr_NoMemory();
            return OUTCOME_RAISED;
        }
    }
    memset(values, 0, plan->count * sizeof(PyObject *));
    struct plan_run run = {.state = state,
                           .plan = plan,
                           .functions = &reducer->function,
                           .object = object,
                           .protocol = reducer->protocol,
                           .bound = reducer->bound,
                           .keywords = reducer->keywords,
                           .values = values};
    enum outcome outcome = plan_run(&run);
    if (outcome == OUTCOME_DONE) {
        outcome = take_reduce_value(&run, reduce_value);
        state->plans->reduced_by_plan += outcome == OUTCOME_DONE;
    }
    plan_run_release(&run);
    if (values != at_hand) {
        PyMem_Free(values);
    }
    return outcome;
}
