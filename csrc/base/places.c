/* Where a process keeps the standard library's functions and classes: for install().

   Thousands of modules have a hundred thousand names, and a process a million objects; Python code
   takes ten times as long to look at each.  The wanted objects are a table of addresses.  The
   objects that are searched are owned by the caller, and nothing of theirs is called: values are
   compared by identity, and read where they lie.  Making an answer can run the collector, so each
   find is owned before, and the walk of a dict goes on from a position, which the dict itself
   checks. */
#include "base/places.h"

enum { WANTED_BITS = 7, WANTED_SLOTS = 1 << WANTED_BITS, WANTED_MAX = WANTED_SLOTS / 2 };

/* The objects looked for, by their addresses: open addressing, never more than half full. */
struct wanted {
    PyObject *slots[WANTED_SLOTS];
};

static inline size_t
wanted_slot(PyObject *object)
{
    uintptr_t address = (uintptr_t)object >> 4;
    return (size_t)(address ^ (address >> WANTED_BITS)) & (WANTED_SLOTS - 1);
}

/* True if the object is one of the wanted.  Runs nothing. */
static inline int
is_wanted(const struct wanted *wanted, PyObject *object)
{
    size_t slot = wanted_slot(object);
    while (wanted->slots[slot] != NULL) {
        if (wanted->slots[slot] == object) {
            return 1;
        }
        slot = (slot + 1) & (WANTED_SLOTS - 1);
    }
    return 0;
}

/* Fills the table with the items of a tuple, which must live as long.  0, or -1 with TypeError. */
static int
fill_wanted(struct wanted *wanted, PyObject *originals)
{
    memset(wanted, 0, sizeof *wanted);
    if (!PyTuple_CheckExact(originals) || PyTuple_GET_SIZE(originals) > WANTED_MAX) {
        PyErr_Format(PyExc_TypeError, "a tuple of up to %d objects is looked for", WANTED_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(originals); i++) {
        PyObject *object = PyTuple_GET_ITEM(originals, i);
        size_t slot = wanted_slot(object);
        while (wanted->slots[slot] != NULL) {
            slot = (slot + 1) & (WANTED_SLOTS - 1);
        }
        wanted->slots[slot] = object;
    }
    return 0;
}

/* ---- names -------------------------------------------------------------- */

/* Appends (index, key, value).  0 or -1.  May run the collector. */
static int
append_name(PyObject *list, Py_ssize_t index, PyObject *key, PyObject *value)
{
    PyObject *entry = Py_BuildValue("(nOO)", index, key, value);
    int result = entry == NULL ? -1 : PyList_Append(list, entry);
    Py_XDECREF(entry);
    return result;
}

/* Appends what a dict has of what is wanted.  0 or -1.  May run the collector. */
static int
names_in(PyObject *list, Py_ssize_t index, PyObject *dict, const struct wanted *wanted)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int result = 0;
    Py_BEGIN_CRITICAL_SECTION(dict);
    while (result == 0 && PyDict_Next(dict, &position, &key, &value)) {
        if (unlikely(is_wanted(wanted, value))) {
            Py_INCREF(key);
            result = append_name(list, index, key, value);
            Py_DECREF(key);
        }
    }
    Py_END_CRITICAL_SECTION();
    return result;
}

PyDoc_STRVAR(find_names_doc,
             "find_names(dicts, objects, /)\n"
             "--\n\n"
             "Return (index, key, value) for each value in a list of dicts and modules\n"
             "that is one of a tuple of objects.  What has no exact dict has none.");

/* The dict itself, or that of a module, which is not asked for it; borrowed, or NULL. */
static PyObject *
exact_dict_of(PyObject *object)
{
    PyObject *dict = PyModule_Check(object) ? PyModule_GetDict(object) : object;
    return PyDict_CheckExact(dict) ? dict : NULL;
}

/* A list; NULL with an exception.  May run the collector. */
static PyObject *
find_names(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    struct wanted wanted;
    if (count != 2 || !PyList_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "find_names() takes a list and a tuple");
        return NULL;
    }
    PyObject *list = fill_wanted(&wanted, args[1]) < 0 ? NULL : PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *dict = Py_XNewRef(exact_dict_of(PyList_GET_ITEM(args[0], i)));
        if (dict != NULL && names_in(list, i, dict, &wanted) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(dict);
    }
    return list;
}

/* ---- holders ------------------------------------------------------------ */

/* True if a tuple or dict that may be NULL, or None, has one of those.  Runs nothing. */
static int
has_wanted(PyObject *holder, const struct wanted *wanted)
{
    if (holder != NULL && PyTuple_CheckExact(holder)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(holder); i++) {
            if (is_wanted(wanted, PyTuple_GET_ITEM(holder, i))) {
                return 1;
            }
        }
    }
    else if (holder != NULL && PyDict_CheckExact(holder)) {
        PyObject *value;
        Py_ssize_t position = 0;
        while (PyDict_Next(holder, &position, NULL, &value)) {
            if (is_wanted(wanted, value)) {
                return 1;
            }
        }
    }
    return 0;
}

/* True if a wanted object is a default argument of a function, or a variable of its closure. */
static int
function_holds(PyObject *function, const struct wanted *wanted)
{
    PyObject *defaults = PyFunction_GET_DEFAULTS(function);
    PyObject *keywords = PyFunction_GET_KW_DEFAULTS(function);
    if ((defaults != NULL && has_wanted(defaults, wanted))
        || (keywords != NULL && has_wanted(keywords, wanted))) {
        return 1;
    }
    PyObject *closure = PyFunction_GET_CLOSURE(function);
    for (Py_ssize_t i = 0; closure != NULL && i < PyTuple_GET_SIZE(closure); i++) {
        PyObject *cell = PyTuple_GET_ITEM(closure, i);
        PyObject *contents = PyCell_Check(cell) ? PyCell_GET(cell) : NULL;
        if (contents != NULL && is_wanted(wanted, contents)) {
            return 1;
        }
    }
    return 0;
}

/* A visitor for tp_traverse: 1, which ends the traversal, if the object is one of the wanted. */
static int
visit_shallow(PyObject *object, void *wanted)
{
    return is_wanted(wanted, object);
}

/* A visitor: the same, also of the items of a tuple or dict. */
static int
visit_deep(PyObject *object, void *wanted)
{
    return is_wanted(wanted, object) || has_wanted(object, wanted);
}

/* True if a class has one of those under a name.  Runs nothing. */
static int
class_holds(PyObject *cls, const struct wanted *wanted)
{
    PyObject *dict = PyType_GetDict((PyTypeObject *)cls);
    int result = has_wanted(dict, wanted);
    Py_XDECREF(dict);
    return result;
}

PyDoc_STRVAR(
    find_holders_doc,
    "find_holders(candidates, objects, /)\n"
    "--\n\n"
    "Return those of a list of objects that have one of a tuple of objects: functions as\n"
    "a default argument or in their closure, classes as an attribute, static and class\n"
    "methods as their function, functools.partial objects as what they call or pass.  None\n"
    "stands for all objects that the collector knows, from 3.12 on.");

/* True if a candidate refers to a wanted object, and is returned.  Runs nothing.

   Of most objects of a process nothing but the type is read: each other place is a cache miss.
   So a class is not asked what its attributes wrap: those wrappers are candidates themselves. */
static int
holds_wanted(struct core_state *state, PyObject *candidate, const struct wanted *wanted)
{
    PyTypeObject *type = Py_TYPE(candidate);
    if (type == &PyFunction_Type) {
        return function_holds(candidate, wanted);
    }
    if (type->tp_call == NULL && type != &PyClassMethod_Type) {
        return 0; /* neither a class nor a partial, nor a static method */
    }
    if (PyType_Check(candidate)) {
        return class_holds(candidate, wanted);
    }
    if (type == &PyStaticMethod_Type || type == &PyClassMethod_Type) {
        return type->tp_traverse(candidate, visit_shallow, (void *)wanted);
    }
    PyTypeObject *partial = (PyTypeObject *)state->stdlib.partial;
    if (PyObject_TypeCheck(candidate, partial) && partial->tp_traverse != NULL) {
        return partial->tp_traverse(candidate, visit_deep, (void *)wanted);
    }
    return 0;
}

struct search {
    struct core_state *state;
    struct wanted wanted;
    PyObject *found; /* a list */
    int failed;      /* with an exception */
};

/* Looks at one object; 1, or 0 to end the search.  The collector does not run meanwhile. */
static int
search_object(PyObject *object, void *argument)
{
    struct search *search = argument;
    search->failed = holds_wanted(search->state, object, &search->wanted)
                     && PyList_Append(search->found, object) < 0;
    return !search->failed;
}

/* Looks at the items of a list, or with None at all objects.  Runs no Python code. */
static void
search_all(struct search *search, PyObject *candidates)
{
    if (candidates == Py_None) {
        /* A list of all objects would cost more than the search. */
        gc_visit_objects(search_object, search);
        return;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(candidates); i++) {
        if (!search_object(PyList_GET_ITEM(candidates, i), search)) {
            return;
        }
    }
}

/* A list; NULL with an exception.  May run the collector. */
static PyObject *
find_holders(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct search search = {.state = core_state_of_module(module)};
    if (count != 2 || !(args[0] == Py_None ? CAN_VISIT_OBJECTS : PyList_CheckExact(args[0]))) {
        PyErr_SetString(PyExc_TypeError, "find_holders() takes a list and a tuple");
        return NULL;
    }
    if (fill_wanted(&search.wanted, args[1]) < 0 || (search.found = PyList_New(0)) == NULL) {
        return NULL;
    }
    search_all(&search, args[0]);
    if (search.failed) {
        Py_CLEAR(search.found);
    }
    return search.found;
}

/* ---- setup -------------------------------------------------------------- */

static PyMethodDef places_functions[] = {
    {"find_names", (PyCFunction)(void (*)(void))find_names, METH_FASTCALL, find_names_doc},
    {"find_holders", (PyCFunction)(void (*)(void))find_holders, METH_FASTCALL, find_holders_doc},
    {NULL, NULL, 0, NULL},
};

int
places_setup(PyObject *module)
{
    return PyModule_AddFunctions(module, places_functions);
}
