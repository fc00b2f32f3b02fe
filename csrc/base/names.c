/* Globals: from an object to the module and qualified name: see names.h. */
#include "base/names.h"

#include "base/errors.h"
#include "base/walk.h"

void
names_release(struct global_name *global)
{
    Py_CLEAR(global->module_name);
    Py_CLEAR(global->name);
    Py_CLEAR(global->path);
    Py_CLEAR(global->parent);
}

/* The qualified name of an object that is saved by name; strong, or NULL. */
static PyObject *
qualified_name(struct core_state *state, PyObject *object)
{
    PyObject *name;
    int found = PyObject_GetOptionalAttr(object, state->str.qualname, &name);
    if (found < 0 || name != NULL) {
        return name;
    }
    return PyObject_GetAttr(object, state->str.name);
}

/* True if a part of the path says that the object is local to a function. */
static int
is_local(PyObject *path)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(path); i++) {
        PyObject *part = PyList_GET_ITEM(path, i);
        if (PyUnicode_GET_LENGTH(part) == 8 && PyUnicode_EqualToUTF8(part, "<locals>")) {
            return 1;
        }
    }
    return 0;
}

/* Follows the path from the module.  The object and what its last part was found on, both
   strong; NULL without an exception if a part is missing and `raise` is 0. */
static PyObject *
follow(PyObject *module, PyObject *path, int raise, PyObject **parent)
{
    PyObject *object = Py_NewRef(module), *holder = NULL;
    for (Py_ssize_t i = 0; object != NULL && i < PyList_GET_SIZE(path); i++) {
        PyObject *part = PyList_GET_ITEM(path, i);
        Py_XSETREF(holder, object);
        if (raise) {
            object = PyObject_GetAttr(holder, part);
        }
        else {
            (void)PyObject_GetOptionalAttr(holder, part, &object);
        }
    }
    if (parent != NULL && object != NULL) {
        *parent = Py_XNewRef(holder);
    }
    Py_XDECREF(holder);
    return object;
}

/* Modules under whose names nothing is looked for. */
static int
is_main(PyObject *module_name)
{
    return PyUnicode_Check(module_name)
           && (PyUnicode_EqualToUTF8(module_name, "__main__")
               || (SKIPS_MP_MAIN && PyUnicode_EqualToUTF8(module_name, "__mp_main__")));
}

/* 1 if the module holds the object under the path, 0 if not, -1 with an exception. */
static int
module_holds(PyObject *module_name, PyObject *module, PyObject *object, PyObject *path)
{
    if (module == Py_None || is_main(module_name)) {
        return 0;
    }
    PyObject *candidate = follow(module, path, 0, NULL);
    if (candidate == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_DECREF(candidate);
    return candidate == object;
}

/* sys.modules is a dict: walks it.  1 and *module_name strong, 0, or -1. */
static int
search_dict(PyObject *modules, PyObject *object, PyObject *path, PyObject **module_name)
{
    PyObject *dict = dict_for_walk(modules);
    if (dict == NULL) {
        return -1;
    }
    int found = 0;
    PyObject *name, *module;
    for (Py_ssize_t i = 0; found == 0 && PyDict_Next(dict, &i, &name, &module);) {
        Py_INCREF(name);
        Py_INCREF(module);
        found = module_holds(name, module, object, path);
        Py_DECREF(module);
        if (found == 1) {
            *module_name = name;
        }
        else {
            Py_DECREF(name);
        }
    }
    Py_DECREF(dict);
    return found;
}

/* sys.modules is any mapping. */
static int
search_mapping(PyObject *modules, PyObject *object, PyObject *path, PyObject **module_name)
{
    PyObject *iterator = PyObject_GetIter(modules);
    if (iterator == NULL) {
        return -1;
    }
    int found = 0;
    PyObject *name;
    while (found == 0 && (name = PyIter_Next(iterator)) != NULL) {
        PyObject *module = PyObject_GetItem(modules, name);
        found = module == NULL ? -1 : module_holds(name, module, object, path);
        Py_XDECREF(module);
        if (found == 1) {
            *module_name = name;
        }
        else {
            Py_DECREF(name);
        }
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : found;
}

/* The name of a module that holds the object; strong, or NULL. */
static PyObject *
search_modules(struct core_state *state, PyObject *object, PyObject *path)
{
    PyObject *modules;
    int got = PyDict_GetItemRef(state->stdlib.sys_dict, state->str.modules, &modules);
    if (got < 0) {
        return NULL;
    }
    if (got == 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        MODERN_ERRORS ? "lost sys.modules" : "unable to get sys.modules");
        return NULL;
    }
    PyObject *module_name = NULL;
    int found = PyDict_CheckExact(modules) ? search_dict(modules, object, path, &module_name)
                                           : search_mapping(modules, object, path, &module_name);
    Py_DECREF(modules);
    if (found == 0) {
        return Py_NewRef(state->str.main);
    }
    return module_name;
}

/* The object's __module__, or where it is found; strong, or NULL. */
static PyObject *
find_module_name(struct core_state *state, PyObject *object, PyObject *path)
{
    PyObject *module_name;
    if (PyObject_GetOptionalAttr(object, state->str.module, &module_name) < 0) {
        return NULL;
    }
    if (module_name != NULL && module_name != Py_None) {
        return module_name;
    }
    Py_XDECREF(module_name);
    return search_modules(state, object, path);
}

/* Imports the module and follows the path to the very object.  0 or -1. */
static int
verify_global(struct core_state *state, PyObject *object, struct global_name *global)
{
    PyObject *module = PyImport_Import(global->module_name);
    if (module == NULL) {
        error_import_failed(state, object, global->module_name);
        return -1;
    }
    PyObject *attribute = follow(module, global->path, MODERN_ERRORS, &global->parent);
    if (attribute != NULL && global->parent == module) {
        Py_CLEAR(global->parent);
    }
    Py_DECREF(module);
    if (attribute == NULL) {
        error_not_found(state, object, global->module_name, global->name);
        return -1;
    }
    Py_DECREF(attribute);
    if (attribute != object) {
        error_not_same(state, object, global->module_name, global->name);
        return -1;
    }
    return 0;
}

#if MANGLES_DOTTED_NAMES

/* True if a part of a path is a private name, which the compiler mangles. */
static int
is_private(PyObject *part)
{
    Py_ssize_t size = PyUnicode_GET_LENGTH(part);
    return size > 2 && PyUnicode_READ_CHAR(part, 0) == '_' && PyUnicode_READ_CHAR(part, 1) == '_'
           && !(PyUnicode_READ_CHAR(part, size - 1) == '_'
                && PyUnicode_READ_CHAR(part, size - 2) == '_');
}

/* The part as mangled in the class `parent`: strong, the part itself if the class's name
   is all underscores; NULL with an exception. */
static PyObject *
mangle(PyObject *parent, PyObject *part)
{
    Py_ssize_t size = PyUnicode_GET_LENGTH(parent), first = 0;
    while (first < size && PyUnicode_READ_CHAR(parent, first) == '_') {
        first++;
    }
    if (first == size) {
        return Py_NewRef(part);
    }
    PyObject *stripped = PyUnicode_Substring(parent, first, size);
    if (stripped == NULL) {
        return NULL;
    }
    PyObject *mangled = PyUnicode_FromFormat("_%U%U", stripped, part);
    Py_DECREF(stripped);
    return mangled;
}

/* Mangles the private parts; global->name follows.  0 or -1. */
static int
mangle_path(struct core_state *state, struct global_name *global)
{
    int changed = 0;
    for (Py_ssize_t i = PyList_GET_SIZE(global->path) - 1; i > 0; i--) {
        PyObject *part = PyList_GET_ITEM(global->path, i);
        if (!is_private(part)) {
            continue;
        }
        PyObject *mangled = mangle(PyList_GET_ITEM(global->path, i - 1), part);
        if (mangled == NULL || PyList_SetItem(global->path, i, mangled) < 0) {
            return -1;
        }
        changed |= mangled != part;
    }
    if (changed) {
        Py_SETREF(global->name, PyUnicode_Join(state->str.dot, global->path));
    }
    return global->name == NULL ? -1 : 0;
}

#else

static int
mangle_path(struct core_state *Py_UNUSED(state), struct global_name *Py_UNUSED(global))
{
    return 0;
}

#endif

int
names_find(struct core_state *state, PyObject *object, PyObject *name, struct global_name *global)
{
    memset(global, 0, sizeof(*global));
    global->name = name != NULL ? Py_NewRef(name) : qualified_name(state, object);
    if (global->name == NULL) {
        return -1;
    }
    global->path = PyUnicode_Split(global->name, state->str.dot, -1);
    if (global->path == NULL || mangle_path(state, global) < 0) {
        return -1;
    }
    if (is_local(global->path)) {
        error_local_object(state, object, global->name);
        return -1;
    }
    global->module_name = find_module_name(state, object, global->path);
    if (global->module_name == NULL) {
        return -1;
    }
    return verify_global(state, object, global);
}

/* Checks a value of REVERSE_NAME_MAPPING: a pair of str.  0 or -1. */
static int
check_pair(PyObject *pair)
{
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_RuntimeError,
                     "_compat_pickle.REVERSE_NAME_MAPPING values "
                     "should be 2-tuples, not %.200s",
                     Py_TYPE(pair)->tp_name);
        return -1;
    }
    PyObject *module_name = PyTuple_GET_ITEM(pair, 0), *name = PyTuple_GET_ITEM(pair, 1);
    if (!PyUnicode_Check(module_name) || !PyUnicode_Check(name)) {
        PyErr_Format(PyExc_RuntimeError,
                     "_compat_pickle.REVERSE_NAME_MAPPING values "
                     "should be pairs of str, not (%.200s, %.200s)",
                     Py_TYPE(module_name)->tp_name, Py_TYPE(name)->tp_name);
        return -1;
    }
    return 0;
}

/* Looks the pair of names up.  1 if it was mapped, 0 if not, or -1. */
static int
map_pair(struct core_state *state, PyObject **module_name, PyObject **name)
{
    PyObject *key = PyTuple_Pack(2, *module_name, *name), *pair;
    if (key == NULL) {
        return -1;
    }
    int found = PyDict_GetItemRef(state->stdlib.reverse_name_mapping, key, &pair);
    Py_DECREF(key);
    if (found == 1) {
        found = check_pair(pair) < 0 ? -1 : 1;
    }
    if (found == 1) {
        Py_SETREF(*module_name, Py_NewRef(PyTuple_GET_ITEM(pair, 0)));
        Py_SETREF(*name, Py_NewRef(PyTuple_GET_ITEM(pair, 1)));
    }
    Py_XDECREF(pair);
    return found;
}

int
names_map_to_python2(struct core_state *state, PyObject **module_name, PyObject **name)
{
    int found = map_pair(state, module_name, name);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    PyObject *mapped;
    found = PyDict_GetItemRef(state->stdlib.reverse_import_mapping, *module_name, &mapped);
    if (found <= 0) {
        return found;
    }
    if (!PyUnicode_Check(mapped)) {
        PyErr_Format(PyExc_RuntimeError,
                     "_compat_pickle.REVERSE_IMPORT_MAPPING values "
                     "should be strings, not %.200s",
                     Py_TYPE(mapped)->tp_name);
        Py_DECREF(mapped);
        return -1;
    }
    Py_SETREF(*module_name, mapped);
    return 0;
}
