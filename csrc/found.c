/* Names found in modules: see found.h. */
#include "found.h"

int
found_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->found = PyMem_Calloc(1, sizeof(struct found));
    if (state->found == NULL) {
        PyErr_NoMemory();
        return -1;
    }
#if KNOWN_LAYOUT
    watch_setup(&state->found->watch);
#endif
    return 0;
}

void
found_teardown(struct core_state *state)
{
    if (state->found != NULL) {
#if KNOWN_LAYOUT
        watch_teardown(&state->found->watch);
#endif
        PyMem_Free(state->found);
        state->found = NULL;
    }
}

/* PyImport_GetModuleDict() ends the process where there is none; PyImport_GetModule() says so. */
PyObject *
found_modules(struct core_state *state)
{
    PyObject *module = PyImport_GetModule(state->str.dot);
    if (module == NULL && PyErr_Occurred()) {
        PyErr_Clear();
        return NULL;
    }
    Py_XDECREF(module);
    return PyImport_GetModuleDict();
}

#if KNOWN_LAYOUT

int
found_builtins_are_gone(struct core_state *state)
{
    PyObject *builtins = state->stdlib.builtins_dict;
    if (!PyDict_CheckExact(builtins) || !layout_has_only_str_keys(builtins)) {
        return 0;
    }
    PyObject *import = dict_get_name(builtins, state->str.import);
    return import == NULL || import == Py_None;
}

uint64_t
found_renew(struct core_state *state)
{
    struct found *found = state->found;
    PyObject *builtins = state->stdlib.builtins_dict, *modules = found_modules(state);
    watch_restart(&found->watch);
    if (modules == NULL || modules != state->stdlib.sys_modules || !PyDict_CheckExact(modules)
        || !PyDict_CheckExact(builtins) || found_builtins_are_gone(state)) {
        found->watch.complete = 0;
        return 0;
    }
    watch_add(&found->watch, modules);
    watch_add(&found->watch, builtins);
    watch_add(&found->watch, state->stdlib.dispatch_table);
    found->imports_as_usual =
        layout_has_only_str_keys(builtins)
        && dict_get_name(builtins, state->str.import) == state->stdlib.builtins_import;
    return watch_is_unchanged(&found->watch) ? ++found->stamp : 0;
}

void
found_forget(struct core_state *state)
{
    watch_restart(&state->found->watch);
    state->found->watch.complete = 0;
}

#endif

PyObject *
found_look_for_module(struct core_state *state, PyObject *module_name, struct found_name *place)
{
    PyObject *modules = found_modules(state);
    PyObject *module =
        modules != NULL && PyDict_CheckExact(modules) ? dict_get_name(modules, module_name) : NULL;
    if (module == NULL || !PyModule_CheckExact(module)) {
        place->stamp = 0;
        return NULL;
    }
    place->stamp = modules == state->stdlib.sys_modules ? found_stamp(state) : 0;
    place->module = module;
    place->dict = PyModule_GetDict(module);
    return place->dict;
}

int
found_imports_as_usual(struct core_state *state)
{
    PyObject *globals = PyEval_GetGlobals(), *import = state->stdlib.builtins_import;
    Py_ssize_t anywhere = 0, *at = &state->found->builtins_at;
    if (globals == NULL || !PyDict_CheckExact(globals) || !Py_IS_TYPE(import, &PyCFunction_Type)) {
        return 0;
    }
    PyObject *builtins = layout_find_name(globals, state->str.builtins, at);
    if (builtins != NULL && PyModule_CheckExact(builtins)) {
        builtins = PyModule_GetDict(builtins);
    }
    if (likely(builtins == state->stdlib.builtins_dict && found_stamp(state) != 0)) {
        return state->found->imports_as_usual;
    }
    return builtins != NULL && PyDict_CheckExact(builtins)
           && layout_find_name(builtins, state->str.import, &anywhere) == import;
}
