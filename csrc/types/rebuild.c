/* Reduction parts -> object: see rebuild.h. */
#include "types/rebuild.h"

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
    if (type->tp_getattro == PyObject_GenericGetAttr) {
        PyObject *setstate = type_lookup(type, state->str.setstate);
        facts |= setstate == NULL ? REBUILD_PLAIN_STATE
                 : PyType_HasFeature(Py_TYPE(setstate), Py_TPFLAGS_METHOD_DESCRIPTOR)
                     ? REBUILD_METHOD_SETSTATE
                     : 0;
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

/* type(*arguments) for a type with the facts that make this what type.__call__ does: a
   fresh instance, and its __init__.  Runs Python code. */
static PyObject *
call_python_init(struct core_state *state, PyTypeObject *type, PyObject **arguments,
                 Py_ssize_t count)
{
    PyObject *object = rebuild_allocate(state, type);
    if (object == NULL) {
        return NULL;
    }
    PyObject *init = Py_NewRef(type_lookup(type, state->str.init));
    PyObject *callable = arguments[-1];
    arguments[-1] = object;
    PyObject *returned = PyObject_Vectorcall(init, arguments - 1, (size_t)count + 1, NULL);
    arguments[-1] = callable;
    Py_DECREF(init);
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

int
rebuild_has_python_new(struct core_state *state, PyTypeObject *type)
{
    return type->tp_new == ((PyTypeObject *)state->stdlib.namedtuple_class)->tp_new;
}

enum outcome
rebuild_make(struct core_state *state, PyObject *callable, PyObject **arguments, Py_ssize_t count,
             PyObject **made)
{
    enum outcome outcome = construct_or_read(state, callable, arguments, count, made);
    if (outcome != OUTCOME_BAIL || !PyType_Check(callable)
        || Py_TYPE(callable)->tp_call != PyType_Type.tp_call) {
        return outcome;
    }
    const unsigned int needed = REBUILD_PLAIN_NEW | REBUILD_PYTHON_INIT;
    if ((rebuild_facts(state, (PyTypeObject *)callable) & needed) != needed) {
        return OUTCOME_BAIL;
    }
    *made = call_python_init(state, (PyTypeObject *)callable, arguments, count);
    return *made == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}
