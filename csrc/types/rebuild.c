/* Reduction parts -> object: see rebuild.h. */
#include "types/rebuild.h"

#include "base/lookup.h"
#include "plans/plan_run.h"
#include "types/room.h"
#include "types/default.h"

/* ---- properties of classes ---------------------------------------------- */

enum { FACTS_SIZE = 512 };

struct rebuild_cache {
    unsigned int versions[FACTS_SIZE]; /* 0: nothing here */
    unsigned char facts[FACTS_SIZE];
    initproc python_init; /* tp_init of a class with an __init__ in Python */
};

/* True if __dict__ on the type is what the class statement made of it, and instances have values.
 */
static int
keeps_values(struct core_state *state, PyTypeObject *type)
{
    return default_has_own_dict(state, type) && layout_has_values(type)
           && layout_shared_keys(type) != NULL;
}

static unsigned int
find_facts(struct core_state *state, PyTypeObject *type)
{
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        return 0;
    }
    unsigned int facts = 0;
    if (type->tp_new == PyBaseObject_Type.tp_new && type->tp_alloc == PyType_GenericAlloc
        && !PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)) {
        facts |= REBUILD_PLAIN_NEW;
    }
    PyObject *setstate = type_lookup(type, state->str.setstate);
    if (setstate == NULL) {
        facts |= type->tp_getattro == PyObject_GenericGetAttr ? REBUILD_PLAIN_STATE : 0;
    }
    else if (lookup_is_plain(state, type)
             && PyType_HasFeature(Py_TYPE(setstate), Py_TPFLAGS_METHOD_DESCRIPTOR)) {
        facts |= REBUILD_METHOD_SETSTATE;
    }
    if (type->tp_setattro == PyObject_GenericSetAttr) {
        facts |= REBUILD_PLAIN_SETATTR;
    }
    if (keeps_values(state, type)) {
        facts |= REBUILD_OWN_DICT;
    }
    PyObject *init = type_lookup(type, state->str.init);
    if (init != NULL && PyFunction_Check(init)
        && type->tp_init == state->types->rebuild->python_init) {
        facts |= REBUILD_PYTHON_INIT;
    }
    return facts;
}

unsigned int
rebuild_facts(struct core_state *state, PyTypeObject *type)
{
    struct rebuild_cache *cache = state->types->rebuild;
    unsigned int version = type_version(type), place = version % FACTS_SIZE;
    if (likely(version != 0 && cache->versions[place] == version)) {
        return cache->facts[place];
    }
    version = type_assign_version(type, state->str.setstate);
    if (version == 0) {
        return 0;
    }
    unsigned int facts = find_facts(state, type);
    place = version % FACTS_SIZE;
    cache->versions[place] = version;
    cache->facts[place] = (unsigned char)facts;
    return facts;
}

void
rebuild_note_called(struct core_state *state, PyTypeObject *type)
{
    struct rebuild_cache *cache = state->types->rebuild;
    unsigned int version = type_version(type), place = version % FACTS_SIZE;
    if (version != 0 && cache->versions[place] == version) {
        cache->facts[place] |= REBUILD_CALLED_SETSTATE;
    }
}

/* Learns from a class that the standard library makes by a class statement. */
static int
learn_from_class(struct core_state *state, struct rebuild_cache *cache)
{
    PyTypeObject *plain = (PyTypeObject *)state->stdlib.plain_class;
    if (!PyType_Check(plain)) {
        PyErr_SetString(PyExc_RuntimeError, "pickle._Pickler is not a class");
        return -1;
    }
    cache->python_init = plain->tp_init;
    return 0;
}

/* Learns which tp_call an object has whose class has a __call__ of its own, from such a class. */
static int
learn_python_call(struct core_state *state)
{
    PyObject *cls = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){OO}", "Called",
                                          state->str.call, Py_None);
    if (cls == NULL) {
        return -1;
    }
    state->types->python_call = ((PyTypeObject *)cls)->tp_call;
    Py_DECREF(cls);
    return 0;
}

int
rebuild_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->types->rebuild = PyMem_Calloc(1, sizeof(struct rebuild_cache));
    if (state->types->rebuild == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return learn_from_class(state, state->types->rebuild) < 0 ? -1 : learn_python_call(state);
}

void
rebuild_teardown(struct core_state *state)
{
    PyMem_Free(state->types->rebuild);
    state->types->rebuild = NULL;
}

/* ---- construction ------------------------------------------------------- */

PyObject *
rebuild_allocate(struct core_state *state, PyTypeObject *type)
{
#if VALUES_KIND == VALUES_INLINE
    (void)state;
    return type->tp_alloc(type, 0);
#else
    return PyBaseObject_Type.tp_new(type, state->empty_tuple, NULL);
#endif
}

/* The instance, which is stolen, after its __init__ has returned this, which is too; strong, or
   NULL with an exception. */
static PyObject *
finish_init(PyObject *object, PyObject *returned)
{
    if (returned != Py_None) {
        if (returned != NULL) {
            PyErr_Format(PyExc_TypeError, "__init__() should return None, not '%.200s'",
                         Py_TYPE(returned)->tp_name);
        }
        Py_CLEAR(object);
    }
    Py_XDECREF(returned);
    return object;
}

/* True if calling the class is what type.__call__ does with the facts that it has: a fresh
   instance, and its __init__. */
static int
is_made_by_python_init(struct core_state *state, PyObject *callable)
{
    const unsigned int needed = REBUILD_PLAIN_NEW | REBUILD_PYTHON_INIT;
    return PyType_Check(callable) && Py_TYPE(callable)->tp_call == PyType_Type.tp_call
           && (rebuild_facts(state, (PyTypeObject *)callable) & needed) == needed;
}

/* The call of such a class; `arguments` are behind a place for the instance.  Strong, or NULL with
   an exception.  Runs Python code. */
static PyObject *
call_python_init(struct core_state *state, PyTypeObject *type, PyObject **arguments,
                 Py_ssize_t count, PyObject *names)
{
    PyObject *object = rebuild_allocate(state, type);
    if (object == NULL) {
        return NULL;
    }
    PyObject *init = Py_NewRef(type_lookup(type, state->str.init));
    PyObject *before = arguments[-1];
    arguments[-1] = object;
    PyObject *returned = PyObject_Vectorcall(init, arguments - 1, (size_t)count + 1, names);
    arguments[-1] = before;
    Py_DECREF(init);
    return finish_init(object, returned);
}

/* ---- partials ----------------------------------------------------------- */

/* The general way copies the dict of keywords and makes a tuple of all arguments, which the class
   then hands to its __init__ one by one. */

enum { ARGUMENTS_MAX = 31 };

/* The callable of a functools.partial and its arguments; all owned. */
struct partial_call {
    PyObject *callable;
    PyObject *values[1 + ARGUMENTS_MAX]; /* behind a place for an instance, as yet empty */
    PyObject *names[ARGUMENTS_MAX];      /* of the last values */
    Py_ssize_t positional;
    Py_ssize_t keywords;
};

/* Adds the items of a dict of keywords. */
static void
add_keywords(struct partial_call *call, PyObject *keywords)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (keywords != NULL && layout_dict_next(keywords, &position, &name, &value)) {
        call->names[call->keywords] = Py_NewRef(name);
        call->values[1 + call->positional + call->keywords++] = Py_NewRef(value);
    }
}

/* 1, or 0 if the partial is not one that is known, or has too many arguments. */
static int
gather_call(struct core_state *state, PyObject *partial, PyObject *const *arguments,
            Py_ssize_t count, struct partial_call *call)
{
    struct reducer bound;
    bound.count = 0;
    bound.keywords = NULL;
    PyObject *callable = reducer_unwrap_partial(state, partial, &bound);
    Py_ssize_t named = bound.keywords == NULL ? 0 : PyDict_GET_SIZE(bound.keywords);
    if (callable == NULL || bound.count + count > ARGUMENTS_MAX - named) {
        return 0;
    }
    call->callable = Py_NewRef(callable);
    call->values[0] = NULL;
    call->positional = call->keywords = 0;
    for (int i = 0; i < bound.count; i++) {
        call->values[1 + call->positional++] = Py_NewRef(bound.bound[i]);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        call->values[1 + call->positional++] = Py_NewRef(arguments[i]);
    }
    add_keywords(call, bound.keywords);
    return 1;
}

static void
release_call(struct partial_call *call)
{
    for (Py_ssize_t i = 0; i < call->positional + call->keywords; i++) {
        Py_DECREF(call->values[1 + i]);
    }
    for (Py_ssize_t i = 0; i < call->keywords; i++) {
        Py_DECREF(call->names[i]);
    }
    Py_DECREF(call->callable);
}

/* Where a keyword belongs among the parameters of these names that are still free; -1 if nowhere.
   Mostly keywords are in the order of the parameters. */
static Py_ssize_t
place_of_keyword(PyObject *name, PyObject *const *parameters, PyObject *const *placed,
                 Py_ssize_t first, Py_ssize_t end, Py_ssize_t likely_place)
{
    if (PyUnicode_Compare(parameters[likely_place], name) == 0) {
        return placed[likely_place] == NULL ? likely_place : -1;
    }
    for (Py_ssize_t i = first; i < end; i++) {
        if (PyUnicode_Compare(parameters[i], name) == 0) {
            return placed[i] == NULL ? i : -1;
        }
    }
    return -1;
}

/* Puts all arguments, borrowed, in the order of the function's parameters behind so many others;
   1, or 0 if the keywords are not those that come next. */
static int
place_by_names(const struct partial_call *call, PyObject *function, int others, PyObject **placed)
{
    PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(function);
    Py_ssize_t count = call->positional + call->keywords;
    if (others + count > code->co_argcount
        || others + call->positional < code->co_posonlyargcount) {
        return 0;
    }
    PyObject *names = PyCode_GetVarnames(code);
    PyObject *const *parameters = names == NULL ? NULL : &PyTuple_GET_ITEM(names, others);
    int all = names != NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        placed[i] = i < call->positional ? call->values[1 + i] : NULL;
    }
    for (Py_ssize_t i = 0; all && i < call->keywords; i++) {
        Py_ssize_t place = place_of_keyword(call->names[i], parameters, placed, call->positional,
                                            count, call->positional + i);
        all = place >= 0;
        if (all) {
            placed[place] = call->values[1 + call->positional + i];
        }
    }
    PyErr_Clear();
    Py_XDECREF(names);
    return all;
}

/* By the plan of the class or function in the partial. */
static enum outcome
make_by_plan(struct core_state *state, const struct partial_call *call, PyObject **made)
{
    PyObject *function = call->callable, *placed[ARGUMENTS_MAX];
    int others = 0;
    if (is_made_by_python_init(state, function)) {
        function = type_lookup((PyTypeObject *)function, state->str.init);
        others = 1;
    }
    return PyFunction_Check(function) && place_by_names(call, function, others, placed)
               ? construct_or_read(state, call->callable, placed,
                                   call->positional + call->keywords, made)
               : OUTCOME_BAIL;
}

/* By the __init__ of the class in the partial, without a dict. */
static enum outcome
make_by_init(struct core_state *state, struct partial_call *call, PyObject **made)
{
    if (!is_made_by_python_init(state, call->callable)) {
        return OUTCOME_BAIL;
    }
    PyObject *names = PyTuple_New(call->keywords);
    if (names == NULL) {
        return OUTCOME_RAISED;
    }
    for (Py_ssize_t i = 0; i < call->keywords; i++) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(call->names[i]));
    }
    *made = call_python_init(state, (PyTypeObject *)call->callable, call->values + 1,
                             call->positional, names);
    Py_DECREF(names);
    return *made == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

/* The result of a partial for the arguments, as rebuild_make(). */
static enum outcome
make_by_partial(struct core_state *state, PyObject *partial, PyObject *const *arguments,
                Py_ssize_t count, PyObject **made)
{
    struct partial_call call;
    if (!layout_is_known() || !gather_call(state, partial, arguments, count, &call)) {
        return OUTCOME_BAIL;
    }
    enum outcome outcome = make_by_plan(state, &call, made);
    if (outcome == OUTCOME_BAIL) {
        outcome = make_by_init(state, &call, made);
    }
    release_call(&call);
    return outcome;
}

/* ------------------------------------------------------------------------- */

int
rebuild_has_python_new(struct core_state *state, PyTypeObject *type)
{
    return type->tp_new == ((PyTypeObject *)state->stdlib.namedtuple_class)->tp_new;
}

enum outcome
rebuild_make(struct core_state *state, PyObject *callable, PyObject **arguments, Py_ssize_t count,
             PyObject **made)
{
    if ((PyObject *)Py_TYPE(callable) == state->stdlib.partial) {
        return make_by_partial(state, callable, arguments, count, made);
    }
    enum outcome outcome = construct_or_read(state, callable, arguments, count, made);
    if (outcome != OUTCOME_BAIL || !is_made_by_python_init(state, callable)) {
        return outcome;
    }
    *made = call_python_init(state, (PyTypeObject *)callable, arguments, count, NULL);
    return *made == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}
