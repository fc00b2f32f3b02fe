/* Names found in modules: see namecache.h. */
#include "base/namecache.h"
#include "base/layout.h"

int
namecache_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->namecache = PyMem_Calloc(1, sizeof(struct namecache));
    if (state->namecache == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    dictwatch_setup(&state->namecache->watch);
    return 0;
}

void
namecache_teardown(struct core_state *state)
{
    if (state->namecache != NULL) {
        dictwatch_teardown(&state->namecache->watch);
        PyMem_Free(state->namecache);
        state->namecache = NULL;
    }
}

/* PyImport_GetModuleDict() ends the process where there is none; PyImport_GetModule() says so. */
PyObject *
namecache_modules(struct core_state *state)
{
    PyObject *module = PyImport_GetModule(state->str.dot);
    if (module == NULL && PyErr_Occurred()) {
        PyErr_Clear();
        return NULL;
    }
    Py_XDECREF(module);
    return PyImport_GetModuleDict();
}

int
namecache_builtins_are_gone(struct core_state *state)
{
    PyObject *builtins = state->stdlib.builtins_dict;
    if (!PyDict_CheckExact(builtins) || !layout_has_only_str_keys(builtins)) {
        return 0;
    }
    PyObject *import = dict_get_name(builtins, state->str.import);
    return import == NULL || import == Py_None;
}

uint64_t
namecache_renew(struct core_state *state)
{
    if (!layout_is_known()) {
        return 0;
    }
    struct namecache *cache = state->namecache;
    PyObject *builtins = state->stdlib.builtins_dict, *modules = namecache_modules(state);
    dictwatch_restart(&cache->watch);
    if (modules == NULL || modules != state->stdlib.sys_modules || !PyDict_CheckExact(modules)
        || !PyDict_CheckExact(builtins) || namecache_builtins_are_gone(state)) {
        cache->watch.complete = 0;
        return 0;
    }
    dictwatch_add(&cache->watch, modules);
    dictwatch_add(&cache->watch, builtins);
    dictwatch_add(&cache->watch, state->stdlib.dispatch_table);
    cache->imports_as_usual =
        layout_has_only_str_keys(builtins)
        && dict_get_name(builtins, state->str.import) == state->stdlib.builtins_import;
    return dictwatch_is_unchanged(&cache->watch) ? ++cache->stamp : 0;
}

void
namecache_forget(struct core_state *state)
{
    dictwatch_restart(&state->namecache->watch);
    state->namecache->watch.complete = 0;
}

PyObject *
namecache_look_for_module(struct core_state *state, PyObject *module_name,
                          struct namecache_entry *place)
{
    PyObject *modules = namecache_modules(state);
    PyObject *module =
        modules != NULL && PyDict_CheckExact(modules) ? dict_get_name(modules, module_name) : NULL;
    if (module == NULL || !PyModule_CheckExact(module)) {
        place->stamp = 0;
        return NULL;
    }
    place->stamp = modules == state->stdlib.sys_modules ? namecache_stamp(state) : 0;
    place->module = module;
    place->dict = PyModule_GetDict(module);
    return place->dict;
}

int
namecache_imports_as_usual(struct core_state *state)
{
    PyObject *globals = PyEval_GetGlobals(), *import = state->stdlib.builtins_import;
    Py_ssize_t anywhere = 0, *at = &state->namecache->builtins_at;
    if (globals == NULL || !PyDict_CheckExact(globals) || !Py_IS_TYPE(import, &PyCFunction_Type)) {
        return 0;
    }
    PyObject *builtins = layout_find_name(globals, state->str.builtins, at);
    if (builtins != NULL && PyModule_CheckExact(builtins)) {
        builtins = PyModule_GetDict(builtins);
    }
    if (likely(builtins == state->stdlib.builtins_dict && namecache_stamp(state) != 0)) {
        return state->namecache->imports_as_usual;
    }
    return builtins != NULL && PyDict_CheckExact(builtins)
           && layout_find_name(builtins, state->str.import, &anywhere) == import;
}
