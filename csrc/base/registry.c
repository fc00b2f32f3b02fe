/* copyreg's tables: see registry.h. */
#include "base/observed.h"
#include "base/registry.h"

#include "base/layout.h"

/* The functions that look a key up in a ChainMap, as the class has them now; both borrowed, or
   NULL. */
static void
find_chain_look_up(struct core_state *state, PyTypeObject *type, PyObject *functions[2])
{
    functions[0] = type_lookup(type, state->str.getitem);
    functions[1] = type_lookup(type, state->str.missing);
}

/* True if a look-up in an instance of ChainMap does what it did at first.  The class changes for
   other reasons, too: with its first pickle it gets its __slotnames__. */
static int
chain_looks_up_as_usual(struct core_state *state, PyTypeObject *type)
{
    unsigned version = type_version(type);
    if (likely(version != 0 && version == state->chain_map_version)) {
        return 1;
    }
    PyObject *functions[2];
    version = type_assign_version(type, state->str.maps);
    find_chain_look_up(state, type, functions);
    if (version == 0 || functions[0] != state->chain_look_up[0]
        || functions[1] != state->chain_look_up[1] || type_lookup(type, state->str.maps) != NULL
        || type->tp_getattro != PyObject_GenericGetAttr) {
        return 0;
    }
    state->chain_map_version = version;
    return 1;
}

/* The maps of an unchanged ChainMap, a list; borrowed, or NULL. */
static PyObject *
chain_maps(struct core_state *state, PyObject *table)
{
    PyTypeObject *type = Py_TYPE(table);
    if ((PyObject *)type != state->stdlib.chain_map || !chain_looks_up_as_usual(state, type)
        || calls_observed(state)) {
        return NULL;
    }
    PyObject *maps = PyObject_GenericGetAttr(table, state->str.maps);
    if (maps == NULL) {
        PyErr_Clear();
        return NULL;
    }
    Py_DECREF(maps);
    return PyList_CheckExact(maps) ? maps : NULL;
}

int
registry_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyTypeObject *type = (PyTypeObject *)state->stdlib.chain_map;
    state->chain_map_version = type_assign_version(type, state->str.maps);
    find_chain_look_up(state, type, state->chain_look_up);
    Py_XINCREF(state->chain_look_up[0]);
    Py_XINCREF(state->chain_look_up[1]);
    return 0;
}

int
registry_dicts(struct core_state *state, PyObject *private_table, PyObject *dicts[REGISTRY_DICTS])
{
    PyObject *table = private_table != NULL ? private_table : state->stdlib.dispatch_table;
    if (PyDict_CheckExact(table)) {
        dicts[0] = table;
        return 1;
    }
    PyObject *maps = chain_maps(state, table);
    Py_ssize_t count = maps == NULL ? 0 : PyList_GET_SIZE(maps);
    if (count > REGISTRY_DICTS) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        dicts[i] = PyList_GET_ITEM(maps, i);
        if (!PyDict_CheckExact(dicts[i])) {
            return 0;
        }
    }
    return (int)count;
}

int
registry_find_lasting(struct core_state *state, PyTypeObject *type, PyObject **reducer)
{
    PyObject *table = state->stdlib.dispatch_table, *key = (PyObject *)type;
    return PyDict_CheckExact(table) && metaclass_leaves_alone(state, type)
           && layout_dict_search(table, key, hash_pointer(type), reducer) >= 0;
}

int
registry_find_quietly(struct core_state *state, PyObject *private_table, PyTypeObject *type,
                      PyObject **reducer)
{
    PyObject *key = (PyObject *)type, *dicts[REGISTRY_DICTS];
    if (!metaclass_leaves_alone(state, type)) {
        return REGISTRY_FOREIGN;
    }
    int count = registry_dicts(state, private_table, dicts);
    Py_hash_t hash = hash_pointer(type);
    for (int i = 0; i < count; i++) {
        *reducer = Py_XNewRef(dict_get_hashed(dicts[i], key, hash));
        if (*reducer != NULL) {
            return 1;
        }
        if (PyErr_Occurred()) {
            return -1;
        }
    }
    return count == 0 ? REGISTRY_FOREIGN : 0;
}

int
registry_find_reducer(struct core_state *state, PyObject *private_table, PyTypeObject *type,
                      PyObject **reducer)
{
    PyObject *table = private_table != NULL ? private_table : state->stdlib.dispatch_table;
    return PyMapping_GetOptionalItem(table, (PyObject *)type, reducer);
}

int
registry_lacks(struct core_state *state, PyObject *private_table, PyTypeObject *type,
               Py_hash_t hash)
{
    PyObject *dicts[REGISTRY_DICTS];
    int count = registry_dicts(state, private_table, dicts);
    for (int i = 0; i < count; i++) {
        if (dict_get_hashed(dicts[i], (PyObject *)type, hash) != NULL) {
            return 0;
        }
    }
    return count != 0 && !PyErr_Occurred();
}

int
registry_find_extension(struct core_state *state, PyObject *module_name, PyObject *name,
                        PyObject **code)
{
    *code = NULL;
    if (PyDict_GET_SIZE(state->stdlib.extension_registry) == 0) {
        return 0;
    }
    PyObject *key = PyTuple_Pack(2, module_name, name);
    if (key == NULL) {
        return -1;
    }
    int found = PyDict_GetItemRef(state->stdlib.extension_registry, key, code);
    Py_DECREF(key);
    return found;
}
