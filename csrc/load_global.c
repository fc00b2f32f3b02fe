/* Opcodes of globals: GLOBAL, STACK_GLOBAL, INST's class, EXT1, EXT2, EXT4; find_class().

   The general way of find_class() is the standard library's: audit, the renamings of
   Python 2, __import__, getattr.  The short way goes from sys.modules to the module's
   dict, and is taken only where the general way would do nothing else: __import__ is
   the original, the module is exact and initialised, and what is found is a class or
   function, so neither a descriptor nor something imported lazily. */
#include "layout.h"
#include "load.h"

/* ---- the short way ------------------------------------------------------ */

/* Whether PyImport_Import() would call the original __import__. */
static int
imports_as_usual(struct core_state *state)
{
    PyObject *globals = PyEval_GetGlobals();
    if (globals == NULL || !PyDict_CheckExact(globals)
        || !Py_IS_TYPE(state->stdlib.builtins_import, &PyCFunction_Type)) {
        return 0;
    }
    PyObject *import = NULL, *builtins = PyDict_GetItemWithError(globals, state->str.builtins);
    if (builtins != NULL && PyModule_CheckExact(builtins)) {
        builtins = PyModule_GetDict(builtins);
    }
    if (builtins != NULL && PyDict_CheckExact(builtins)) {
        import = PyDict_GetItemWithError(builtins, state->str.import);
    }
    return import != NULL && import == state->stdlib.builtins_import;
}

#if KNOWN_LAYOUT
/* spec._initializing where it lies in the spec; borrowed, or NULL if it is not found. */
static PyObject *
initializing_of(struct core_state *state, PyObject *spec)
{
    PyTypeObject *type = Py_TYPE(spec);
    struct layout_keys *keys = layout_has_values(type) ? layout_shared_keys(type) : NULL;
    struct layout_values *values = keys == NULL ? NULL : layout_unmade_values(spec, type);
    if (values == NULL) {
        return NULL;
    }
    struct layout_entry *entries = layout_entries(keys);
    for (Py_ssize_t i = 0; i < keys->count && layout_values_hold(values, (int)i); i++) {
        if (entries[i].key == state->str.initializing) {
            return values->values[i];
        }
    }
    return NULL;
}
#else
static PyObject *
initializing_of(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(spec))
{
    return NULL;
}
#endif

/* Whether the module's import is over, read from its spec as the import system does.  No
   is also the answer where that cannot be told.  Runs no Python code. */
static int
is_initialised(struct core_state *state, PyObject *module_dict)
{
    PyObject *spec = PyDict_GetItemWithError(module_dict, state->str.spec);
    if (spec == NULL || spec == Py_None) {
        return spec != NULL || !PyErr_Occurred();
    }
    return Py_IS_TYPE(spec, (PyTypeObject *)state->stdlib.module_spec)
           && initializing_of(state, spec) == Py_False;
}

/* The dict of a module that is there and initialised, borrowed from the module that
   sys.modules holds; NULL if it is not, without an exception. */
static PyObject *
module_dict_if_there(struct core_state *state, PyObject *module_name)
{
    PyObject *modules = PyImport_GetModuleDict();
    if (!PyDict_CheckExact(modules)) {
        return NULL;
    }
    PyObject *module = PyDict_GetItemWithError(modules, module_name);
    if (module == NULL || !PyModule_CheckExact(module)) {
        return NULL;
    }
    PyObject *dict = PyModule_GetDict(module);
    return is_initialised(state, dict) ? dict : NULL;
}

/* Whether a module's attribute of this name is what its dict holds, at any protocol. */
static int
is_simple_name(PyObject *name)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    if (length == 0 || PyUnicode_FindChar(name, '.', 0, length, 1) != -1) {
        return 0;
    }
    return length < 2 || PyUnicode_READ_CHAR(name, 0) != '_'
           || PyUnicode_READ_CHAR(name, 1) != '_';
}

/* Whether it is an object that getattr() hands out as it is. */
static int
is_class_or_function(PyObject *object)
{
    return PyType_Check(object) || PyFunction_Check(object) || PyCFunction_Check(object);
}

/* The two names of a global.  A dotted module's package is imported with it. */
struct global_names {
    PyObject *module_name;
    PyObject *name;
    PyObject *package; /* NULL if the module's name has no dot */
    int simple;        /* the short way may be tried */
};

/* Learns what the short way wants to know of two names, of which it keeps references.
   0, or -1 with an exception. */
static int
names_learn(struct global_names *names, PyObject *module_name, PyObject *name)
{
    *names = (struct global_names){.module_name = module_name, .name = name};
    if (PyUnicode_CheckExact(module_name) && PyUnicode_CheckExact(name)) {
        Py_ssize_t length = PyUnicode_GET_LENGTH(module_name);
        Py_ssize_t dot = PyUnicode_FindChar(module_name, '.', 0, length, 1);
        names->simple = KNOWN_LAYOUT && is_simple_name(name);
        if (dot >= 0) {
            names->package = PyUnicode_Substring(module_name, 0, dot);
            if (names->package == NULL) {
                return -1;
            }
        }
    }
    Py_INCREF(module_name);
    Py_INCREF(name);
    return 0;
}

static void
names_forget(struct global_names *names)
{
    Py_CLEAR(names->module_name);
    Py_CLEAR(names->name);
    Py_CLEAR(names->package);
}

/* The global by the short way; strong, or NULL without an exception.  Runs no Python
   code. */
static PyObject *
find_class_there(struct core_state *state, const struct global_names *names)
{
    if (!names->simple || !imports_as_usual(state)) {
        return NULL;
    }
    PyObject *object = NULL, *dict = module_dict_if_there(state, names->module_name);
    if (dict != NULL
        && (names->package == NULL || module_dict_if_there(state, names->package) != NULL)) {
        object = PyDict_GetItemWithError(dict, names->name);
    }
    return object != NULL && is_class_or_function(object) ? Py_NewRef(object) : NULL;
}

/* ---- the general way ---------------------------------------------------------------------------
 */

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
find_in_module(struct unpickler *unpickler, PyObject *module, PyObject *module_name,
               PyObject *name)
{
    struct core_state *state = unpickler->state;
    PyObject *path;
    if (unpickler->protocol >= 4) {
        path = PyUnicode_Split(name, state->str.dot, -1);
    }
    else if (state->load_dialect.resolves_paths) {
        return PyObject_GetAttr(module, name);
    }
    else {
        path = Py_BuildValue("[O]", name);
    }
    if (path == NULL) {
        return NULL;
    }
    PyObject *object;
    if (state->load_dialect.resolves_paths) {
        object = resolve_path(module, module_name, name, path);
    }
    else {
        /* Before protocol 4 a name, of whatever type, is looked up as it is. */
        object = resolve_path_as_before(state, module, name, path, unpickler->protocol >= 4);
    }
    Py_DECREF(path);
    return object;
}

/* The global whose names are as they are in this version of Python.  Strong, or NULL
   with an exception.  Runs Python code. */
static PyObject *
find_by_names(struct unpickler *unpickler, const struct global_names *names)
{
    PyObject *object = find_class_there(unpickler->state, names);
    if (object != NULL) {
        return object;
    }
    PyObject *module = PyImport_Import(names->module_name);
    if (module == NULL) {
        return NULL;
    }
    object = find_in_module(unpickler, module, names->module_name, names->name);
    Py_DECREF(module);
    return object;
}

static PyObject *
import_and_find(struct unpickler *unpickler, PyObject *module_name, PyObject *name)
{
    struct global_names names;
    if (names_learn(&names, module_name, name) < 0) {
        return NULL;
    }
    PyObject *object = find_by_names(unpickler, &names);
    names_forget(&names);
    return object;
}

PyObject *
load_find_class(struct unpickler *unpickler, PyObject *module_name, PyObject *name)
{
    if (PySys_Audit("pickle.find_class", "OO", module_name, name) < 0) {
        return NULL;
    }
    if (unpickler->protocol >= 3 || !unpickler->fix_imports) {
        return import_and_find(unpickler, module_name, name);
    }
    PyObject *object = NULL;
    Py_INCREF(module_name);
    Py_INCREF(name);
    int renamed = rename_global(unpickler->state, &module_name, &name);
    if (renamed == 0) {
        renamed = rename_module(unpickler->state, &module_name);
    }
    if (renamed >= 0) {
        object = import_and_find(unpickler, module_name, name);
    }
    Py_DECREF(module_name);
    Py_DECREF(name);
    return object;
}

/* ---- names seen before
 * ----------------------------------------------------------------------------- */

enum { NAMES_COUNT = 128, NAMES_SIZE = 120 };

/* The names that STACK_GLOBAL was given lately, by the bytes that said them, so that a
   pickle of one object makes no strings.  They hold nothing but strings. */
struct global_cache {
    struct {
        struct global_names names;
        size_t size;
        unsigned char bytes[NAMES_SIZE];
    } entries[NAMES_COUNT];
};

/* The entry of these bytes, of which the first `module_size` are the module's name and
   the last `name_size` the name; NULL, with an exception or not, if there is none. */
static struct global_names *
cached_names(struct core_state *state, const unsigned char *bytes, size_t size, size_t module_size,
             size_t name_size)
{
    if (size > NAMES_SIZE) {
        return NULL;
    }
    if (state->globals == NULL) {
        state->globals = PyMem_Calloc(1, sizeof(struct global_cache));
        if (state->globals == NULL) {
            return NULL;
        }
    }
    const unsigned char *name = bytes + size - name_size;
    size_t place = (size * 31 + bytes[module_size - 1] * 7u + name[0] * 5u
                    + name[name_size / 2] * 3u + name[name_size - 1])
                   % NAMES_COUNT;
    struct global_names *names = &state->globals->entries[place].names;
    if (likely(state->globals->entries[place].size == size
               && memcmp(state->globals->entries[place].bytes, bytes, size) == 0)) {
        return names;
    }
    names_forget(names);
    state->globals->entries[place].size = 0;
    PyObject *module_string = load_make_string(state, bytes, module_size);
    PyObject *string = module_string == NULL ? NULL : load_make_string(state, name, name_size);
    int result = string == NULL ? -1 : names_learn(names, module_string, string);
    Py_XDECREF(module_string);
    Py_XDECREF(string);
    if (result < 0) {
        return NULL;
    }
    state->globals->entries[place].size = size;
    memcpy(state->globals->entries[place].bytes, bytes, size);
    return names;
}

int
load_global_of_bytes(struct unpickler *unpickler, const unsigned char *bytes, size_t size,
                     size_t module_size, size_t name_size)
{
    if (module_size == 0 || name_size == 0 || unpickler->protocol < 3) {
        return 0;
    }
    struct global_names *cached =
        cached_names(unpickler->state, bytes, size, module_size, name_size);
    if (cached == NULL) {
        PyErr_Clear();
        return 0;
    }
    struct global_names names = {
        .module_name = Py_NewRef(cached->module_name),
        .name = Py_NewRef(cached->name),
        .package = Py_XNewRef(cached->package),
        .simple = cached->simple,
    };
    PyObject *object = NULL;
    if (PySys_Audit("pickle.find_class", "OO", names.module_name, names.name) == 0) {
        object = find_by_names(unpickler, &names);
    }
    names_forget(&names);
    unpickler->memo.length += 2;
    unpickler->reader.at = bytes + size + 2;
    return load_push(unpickler, object) < 0 ? -1 : 1;
}

void
load_free_globals(struct core_state *state)
{
    for (size_t i = 0; state->globals != NULL && i < NAMES_COUNT; i++) {
        names_forget(&state->globals->entries[i].names);
    }
    PyMem_Free(state->globals);
    state->globals = NULL;
}

/* ---- find_class
 * ------------------------------------------------------------------------------------------ */

/* find_class() of the unpickler that was made, overridden or not.  Strong, or NULL with
   an exception.  Runs Python code. */
static PyObject *
find_class(struct unpickler *unpickler, PyObject *module_name, PyObject *name)
{
    if (unpickler->self == NULL) {
        return load_find_class(unpickler, module_name, name);
    }
    return PyObject_CallMethodObjArgs(unpickler->self, unpickler->state->str.find_class,
                                      module_name, name, NULL);
}

/* ---- opcodes
 * -------------------------------------------------------------------------------------- */

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
    return load_push(unpickler, object);
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
    if (bytes == NULL) {
        return -1;
    }
    int32_t number = (int32_t)(uint32_t)load_little_endian(bytes, size);
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
