/* Globals found by their names the short way: see load_names.h. */
#include "load/load_names.h"

#include "load/load.h"
#include "load/room.h"
#include "base/layout.h"

enum { NAMES_COUNT = 128, NAMES_SIZE = 120 };

/* The names that STACK_GLOBAL was given lately, by their bytes in the pickle, so that a pickle of
   one object makes no strings.  The cache holds nothing but strings. */
struct global_cache {
    struct {
        struct global_names names;
        size_t size;
        unsigned char bytes[NAMES_SIZE];
    } entries[NAMES_COUNT];
};

/* ---- the short way ------------------------------------------------------ */

/* spec._initializing where it lies in the spec; borrowed, or NULL if it is not found. */
static PyObject *
initializing_of(struct core_state *state, PyObject *spec, struct module_place *place)
{
    PyTypeObject *type = Py_TYPE(spec);
    struct layout_keys *keys = layout_has_values(type) ? layout_shared_keys(type) : NULL;
    struct layout_values *values = keys == NULL ? NULL : layout_unmade_values(spec, type);
    if (values == NULL) {
        return NULL;
    }
    struct layout_entry *entries = layout_entries(keys);
    Py_ssize_t i = place->initializing;
    if (i >= keys->count || entries[i].key != state->str.initializing) {
        i = 0;
    }
    while (i < keys->count && entries[i].key != state->str.initializing) {
        i++;
    }
    place->initializing = i;
    return i < keys->count && layout_values_hold(values, (int)i) ? values->values[i] : NULL;
}

/* True if the module's import is over, read from its spec as the import system does.  No is also
   the answer where that cannot be told.  Runs no Python code. */
static int
is_initialised(struct core_state *state, PyObject *module_dict, struct module_place *place)
{
    PyObject *spec = layout_find_name(module_dict, state->str.spec, &place->spec);
    if (spec == NULL || spec == Py_None) {
        return spec != NULL;
    }
    return Py_IS_TYPE(spec, (PyTypeObject *)state->stdlib.module_spec)
           && initializing_of(state, spec, place) == Py_False;
}

/* The dict of a module that is there and initialised, borrowed from the module that
   sys.modules holds; NULL if it is not, without an exception.  Runs no Python code. */
static PyObject *
module_dict_if_there(struct core_state *state, PyObject *module_name, struct module_place *place)
{
    PyObject *dict = namecache_module_dict(state, module_name, &place->entry);
    return dict != NULL && is_initialised(state, dict, place) ? dict : NULL;
}

/* True if getattr() hands the object out as it is. */
static int
is_class_or_function(PyObject *object)
{
    return PyType_Check(object) || PyFunction_Check(object) || PyCFunction_Check(object);
}

PyObject *
load_names_find(struct core_state *state, struct global_names *names)
{
    if (!layout_is_known()) {
        return NULL;
    }
    if (!names->simple || !namecache_imports_as_usual(state)) {
        return NULL;
    }
    PyObject *object = NULL,
             *dict = module_dict_if_there(state, names->module_name, &names->module_place);
    if (dict != NULL
        && (names->package == NULL
            || module_dict_if_there(state, names->package, &names->package_place) != NULL)) {
        object = layout_find_name(dict, names->name, &names->module_place.entry.index);
    }
    return object != NULL && is_class_or_function(object) ? Py_NewRef(object) : NULL;
}

/* ---- names -------------------------------------------------------------- */

/* True if a module's attribute of this name is what its dict holds, at any protocol. */
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

/* Learns what the short way wants to know of two names, of which it keeps references.
   0, or -1 with an exception and nothing kept. */
static int
names_learn(struct global_names *names, PyObject *module_name, PyObject *name)
{
    *names = (struct global_names){.module_name = module_name, .name = name};
    if (PyUnicode_CheckExact(module_name) && PyUnicode_CheckExact(name)) {
        Py_ssize_t length = PyUnicode_GET_LENGTH(module_name);
        Py_ssize_t dot = PyUnicode_FindChar(module_name, '.', 0, length, 1);
        names->simple = layout_is_known() && is_simple_name(name);
        if (dot >= 0) {
            names->package = PyUnicode_Substring(module_name, 0, dot);
            if (names->package == NULL) {
                *names = (struct global_names){0};
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

PyObject *
load_names_find_unseen(struct core_state *state, PyObject *module_name, PyObject *name)
{
    struct global_names names;
    if (names_learn(&names, module_name, name) < 0) {
        return NULL;
    }
    PyObject *object = load_names_find(state, &names);
    names_forget(&names);
    return object;
}

struct global_names *
load_names_seen(struct core_state *state, const unsigned char *bytes, size_t size,
                size_t module_size, size_t name_size)
{
    if (size > NAMES_SIZE) {
        return NULL;
    }
    if (state->load->global_cache == NULL) {
        state->load->global_cache = PyMem_Calloc(1, sizeof(struct global_cache));
        if (state->load->global_cache == NULL) {
            return NULL;
        }
    }
    const unsigned char *name = bytes + size - name_size;
    size_t place = (size * 31 + bytes[module_size - 1] * 7u + name[0] * 5u
                    + name[name_size / 2] * 3u + name[name_size - 1])
                   % NAMES_COUNT;
    struct global_names *names = &state->load->global_cache->entries[place].names;
    if (likely(state->load->global_cache->entries[place].size == size
               && memcmp(state->load->global_cache->entries[place].bytes, bytes, size) == 0)) {
        return names;
    }
    names_forget(names);
    state->load->global_cache->entries[place].size = 0;
    /* Interned, they are the very keys of the dicts they are looked for in. */
    PyObject *module_string = load_make_string(state, bytes, module_size);
    PyObject *string = module_string == NULL ? NULL : load_make_string(state, name, name_size);
    if (string != NULL) {
        PyUnicode_InternInPlace(&module_string);
        PyUnicode_InternInPlace(&string);
    }
    int result = string == NULL ? -1 : names_learn(names, module_string, string);
    Py_XDECREF(module_string);
    Py_XDECREF(string);
    if (result < 0) {
        return NULL;
    }
    state->load->global_cache->entries[place].size = size;
    memcpy(state->load->global_cache->entries[place].bytes, bytes, size);
    return names;
}

void
load_names_teardown(struct core_state *state)
{
    for (size_t i = 0; state->load->global_cache != NULL && i < NAMES_COUNT; i++) {
        names_forget(&state->load->global_cache->entries[i].names);
    }
    PyMem_Free(state->load->global_cache);
    state->load->global_cache = NULL;
}
