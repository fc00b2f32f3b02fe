/* Opcodes of globals: GLOBAL, STACK_GLOBAL, INST's class, EXT1, EXT2, EXT4; find_class().

   The general way of find_class() is the standard library's: audit, the renamings of
   Python 2, __import__, getattr.  The short way of load_names.h is tried after the audit. */
#include "load/load.h"
#include "load/load_names.h"

/* ---- the general way ---------------------------------------------------- */

static int
bad_mapping(const char *table, const char *wanted, PyObject *object)
{
    PyErr_Format(PyExc_RuntimeError, "_compat_pickle.%s values should be %s, not %.200s", table,
                 wanted, Py_TYPE(object)->tp_name);
    return -1;
}

/* The entry of NAME_MAPPING replaces both names.  1 replaced, 0 not, -1 exception. */
static int
rename_global(struct core_state *state, PyObject **module_name, PyObject **name)
{
    PyObject *pair, *key = PyTuple_Pack(2, *module_name, *name);
    if (key == NULL) {
        return -1;
    }
    int found = PyDict_GetItemRef(state->stdlib.name_mapping, key, &pair);
    Py_DECREF(key);
    if (found <= 0) {
        return found;
    }
    int result = -1;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        bad_mapping("NAME_MAPPING", "2-tuples", pair);
    }
    else if (!PyUnicode_Check(PyTuple_GET_ITEM(pair, 0))
             || !PyUnicode_Check(PyTuple_GET_ITEM(pair, 1))) {
        PyErr_Format(PyExc_RuntimeError,
                     "_compat_pickle.NAME_MAPPING values should be pairs of str, "
                     "not (%.200s, %.200s)",
                     Py_TYPE(PyTuple_GET_ITEM(pair, 0))->tp_name,
                     Py_TYPE(PyTuple_GET_ITEM(pair, 1))->tp_name);
    }
    else {
        Py_SETREF(*module_name, Py_NewRef(PyTuple_GET_ITEM(pair, 0)));
        Py_SETREF(*name, Py_NewRef(PyTuple_GET_ITEM(pair, 1)));
        result = 1;
    }
    Py_DECREF(pair);
    return result;
}

/* The entry of IMPORT_MAPPING replaces the module's name.  0, or -1 with an exception. */
static int
rename_module(struct core_state *state, PyObject **module_name)
{
    PyObject *renamed;
    int found = PyDict_GetItemRef(state->stdlib.import_mapping, *module_name, &renamed);
    if (found <= 0) {
        return found;
    }
    if (!PyUnicode_Check(renamed)) {
        bad_mapping("IMPORT_MAPPING", "strings", renamed);
        Py_DECREF(renamed);
        return -1;
    }
    Py_SETREF(*module_name, renamed);
    return 0;
}

/* From 3.14: an attribute of a module by a path with dots. */
static PyObject *
resolve_path(PyObject *module, PyObject *module_name, PyObject *name, PyObject *path)
{
    PyObject *object = Py_NewRef(module);
    for (Py_ssize_t i = 0; object != NULL && i < PyList_GET_SIZE(path); i++) {
        Py_SETREF(object, PyObject_GetAttr(object, PyList_GET_ITEM(path, i)));
    }
    if (object == NULL && PyList_GET_SIZE(path) > 1) {
        PyObject *cause = PyErr_GetRaisedException();
        PyErr_Format(PyExc_AttributeError, "Can't resolve path %R on module %R", name,
                     module_name);
        PyObject *exception = PyErr_GetRaisedException();
        PyException_SetContext(exception, cause);
        PyErr_SetRaisedException(exception);
    }
    return object;
}

/* Before 3.14: the same, where <locals> has words of its own and every missing
   attribute has the same. */
static PyObject *
resolve_path_as_before(struct core_state *state, PyObject *module, PyObject *name, PyObject *path,
                       int dotted)
{
    for (Py_ssize_t i = 0; dotted && i < PyList_GET_SIZE(path); i++) {
        if (PyUnicode_EqualToUTF8(PyList_GET_ITEM(path, i), "<locals>")) {
            PyErr_Format(PyExc_AttributeError,
                         state->load_dialect.pickles_local_attributes
                             ? "Can't pickle local attribute %R on %R"
                             : "Can't get local attribute %R on %R",
                         name, module);
            return NULL;
        }
    }
    PyObject *object = Py_NewRef(module);
    for (Py_ssize_t i = 0; object != NULL && i < PyList_GET_SIZE(path); i++) {
        PyObject *parent = object;
        (void)PyObject_GetOptionalAttr(parent, PyList_GET_ITEM(path, i), &object);
        Py_DECREF(parent);
    }
    if (object == NULL && !PyErr_Occurred()) {
        PyErr_Format(PyExc_AttributeError, "Can't get attribute %R on %R", name, module);
    }
    return object;
}

/* The attribute of a module under a name, which is a path from protocol 4.  Strong, or
   NULL with an exception.  Runs Python code. */
static PyObject *
find_in_module(struct core_state *state, int protocol, PyObject *module, PyObject *module_name,
               PyObject *name)
{
    PyObject *path;
    if (protocol >= 4) {
        path = PyUnicode_Split(name, state->str.dot, -1);
    }
    else if (!state->load_dialect.rewords_missing_names) {
        return PyObject_GetAttr(module, name);
    }
    else {
        path = Py_BuildValue("[O]", name);
    }
    if (path == NULL) {
        return NULL;
    }
    PyObject *object;
    if (protocol >= 4 && state->load_dialect.resolves_paths) {
        object = resolve_path(module, module_name, name, path);
    }
    else {
        /* Before protocol 4 a name, of whatever type, is looked up as it is. */
        object = resolve_path_as_before(state, module, name, path, protocol >= 4);
    }
    Py_DECREF(path);
    return object;
}

/* The global of names as they are in this version of Python, where the short way did not find
   it.  Strong, or NULL with an exception.  Runs Python code. */
static PyObject *
import_and_find(struct core_state *state, int protocol, PyObject *module_name, PyObject *name)
{
    PyObject *module = PyImport_Import(module_name);
    if (module == NULL) {
        return NULL;
    }
    PyObject *object = find_in_module(state, protocol, module, module_name, name);
    Py_DECREF(module);
    return object;
}

/* The same, by whichever way finds it. */
static PyObject *
find_by_names(struct unpickler *unpickler, PyObject *module_name, PyObject *name)
{
    if (unpickler->policy != NULL) {
        return safe_find(unpickler, module_name, name);
    }
    struct core_state *state = unpickler->state;
    PyObject *object = load_names_find_unseen(state, module_name, name);
    return object != NULL || PyErr_Occurred()
               ? object
               : import_and_find(state, unpickler->protocol, module_name, name);
}

PyObject *
load_find_class(struct unpickler *unpickler, PyObject *module_name, PyObject *name)
{
    if (PySys_Audit("pickle.find_class", "OO", module_name, name) < 0) {
        return NULL;
    }
    if (unpickler->protocol >= 3 || !unpickler->fix_imports) {
        return find_by_names(unpickler, module_name, name);
    }
    PyObject *object = NULL;
    Py_INCREF(module_name);
    Py_INCREF(name);
    int renamed = rename_global(unpickler->state, &module_name, &name);
    if (renamed == 0) {
        renamed = rename_module(unpickler->state, &module_name);
    }
    if (renamed >= 0) {
        object = find_by_names(unpickler, module_name, name);
    }
    Py_DECREF(module_name);
    Py_DECREF(name);
    return object;
}

PyObject *
load_find_seen(struct core_state *state, int protocol, struct global_names *names)
{
    PyObject *object = NULL, *module_name = Py_NewRef(names->module_name),
             *name = Py_NewRef(names->name);
    if (PySys_Audit("pickle.find_class", "OO", module_name, name) == 0) {
        /* The audit may have run code that loaded other pickles. */
        if (names->module_name == module_name && names->name == name) {
            object = load_names_find(state, names);
        }
        if (object == NULL) {
            object = import_and_find(state, protocol, module_name, name);
        }
    }
    Py_DECREF(module_name);
    Py_DECREF(name);
    return object;
}

int
load_global_of_bytes(struct unpickler *unpickler, const unsigned char *bytes, size_t size,
                     size_t module_size, size_t name_size)
{
    struct core_state *state = unpickler->state;
    if (module_size == 0 || name_size == 0 || unpickler->protocol < 3) {
        return 0;
    }
    if (unlikely(unpickler->policy != NULL)) {
        return safe_push_global(unpickler, bytes, size, module_size, name_size);
    }
    struct global_names *names = load_names_seen(state, bytes, size, module_size, name_size);
    if (names == NULL) {
        PyErr_Clear();
        return 0;
    }
    PyObject *object = load_find_seen(state, unpickler->protocol, names);
    unpickler->memo.length += 2;
    unpickler->reader.at = bytes + size + 2;
    return load_push_memoized(unpickler, object) < 0 ? -1 : 1;
}

/* ---- find_class --------------------------------------------------------- */

/* find_class() of the unpickler that was made, overridden or not.  Strong, or NULL with
   an exception.  Runs Python code. */
static PyObject *
find_class(struct unpickler *unpickler, PyObject *module_name, PyObject *name)
{
    if (unpickler->self == NULL || unpickler->policy != NULL) {
        return load_find_class(unpickler, module_name, name);
    }
    return PyObject_CallMethodObjArgs(unpickler->self, unpickler->state->str.find_class,
                                      module_name, name, NULL);
}

/* ---- opcodes ------------------------------------------------------------ */

typedef PyObject *(*decoder)(const char *bytes, Py_ssize_t size, const char *errors);

/* A line as a str, or NULL with an exception. */
static PyObject *
take_name(struct unpickler *unpickler, decoder decode)
{
    char *line;
    Py_ssize_t length = reader_take_line(&unpickler->reader, &line);
    if (length < 2) {
        if (length >= 0) {
            reader_truncated(&unpickler->reader);
        }
        return NULL;
    }
    return decode(line, length - 1, "strict");
}

static PyObject *
class_of_lines(struct unpickler *unpickler, decoder decode)
{
    PyObject *object = NULL, *name = NULL, *module_name = take_name(unpickler, decode);
    if (module_name != NULL) {
        name = take_name(unpickler, decode);
    }
    if (name != NULL) {
        object = find_class(unpickler, module_name, name);
    }
    Py_XDECREF(module_name);
    Py_XDECREF(name);
    return object;
}

PyObject *
load_class_of_lines(struct unpickler *unpickler)
{
    return class_of_lines(unpickler, PyUnicode_DecodeASCII);
}

int
load_global(struct unpickler *unpickler)
{
    return load_push(unpickler, class_of_lines(unpickler, PyUnicode_DecodeUTF8));
}

int
load_stack_global(struct unpickler *unpickler)
{
    PyObject *object = NULL, *module_name = NULL, *name = load_take(unpickler);
    if (name != NULL) {
        module_name = load_take(unpickler);
    }
    if (module_name != NULL) {
        if (PyUnicode_CheckExact(module_name) && PyUnicode_CheckExact(name)) {
            object = find_class(unpickler, module_name, name);
        }
        else {
            PyErr_SetString(unpickler->state->stdlib.unpickling_error,
                            "STACK_GLOBAL requires str");
        }
    }
    Py_XDECREF(module_name);
    Py_XDECREF(name);
    return load_push_memoized(unpickler, object);
}

/* The object of an extension code that is not in the cache, and then is.  Strong, or
   NULL with an exception.  Runs Python code. */
static PyObject *
find_extension(struct unpickler *unpickler, PyObject *code)
{
    struct core_stdlib *stdlib = &unpickler->state->stdlib;
    PyObject *pair;
    int found = PyDict_GetItemRef(stdlib->inverted_registry, code, &pair);
    if (found <= 0) {
        if (found == 0) {
            PyErr_Format(PyExc_ValueError, "unregistered extension code %S", code);
        }
        return NULL;
    }
    PyObject *object = NULL;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2
        || !PyUnicode_Check(PyTuple_GET_ITEM(pair, 0))
        || !PyUnicode_Check(PyTuple_GET_ITEM(pair, 1))) {
        PyErr_Format(PyExc_ValueError, "_inverted_registry[%S] isn't a 2-tuple of strings", code);
    }
    else {
        object = find_class(unpickler, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
    }
    Py_DECREF(pair);
    if (object != NULL && PyDict_SetItem(stdlib->extension_cache, code, object) < 0) {
        Py_CLEAR(object);
    }
    return object;
}

static int
load_extension(struct unpickler *unpickler, int size)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, (size_t)size);
    if (bytes == NULL || reader_put_back(&unpickler->reader) < 0) {
        return -1;
    }
    int32_t number = (int32_t)(uint32_t)read_little_endian(bytes, size);
    if (number <= 0) {
        PyErr_SetString(unpickler->state->stdlib.unpickling_error, "EXT specifies code <= 0");
        return -1;
    }
    PyObject *object, *code = PyLong_FromLong(number);
    if (code == NULL) {
        return -1;
    }
    if (PyDict_GetItemRef(unpickler->state->stdlib.extension_cache, code, &object) == 0) {
        object = find_extension(unpickler, code);
    }
    Py_DECREF(code);
    return load_push(unpickler, object);
}

int
load_ext1(struct unpickler *unpickler)
{
    return load_extension(unpickler, 1);
}

int
load_ext2(struct unpickler *unpickler)
{
    return load_extension(unpickler, 2);
}

int
load_ext4(struct unpickler *unpickler)
{
    return load_extension(unpickler, 4);
}
