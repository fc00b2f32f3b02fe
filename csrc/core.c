/* The extension module: its state, and its setup as a flat list. */
#include "base/lookup.h"
#include "base/namecache.h"
#include "base/places.h"
#include "base/registry.h"
#include "base/state.h"
#include "base/typenames.h"
#include "copy/room.h"
#include "dump/room.h"
#include "load/room.h"
#include "plans/room.h"
#include "types/room.h"
#include "values/room.h"

/* The rooms, each of which uses those before it. */
static const struct core_room *const rooms[] = {
    &plans_core_room, &values_core_room, &types_core_room,
    &dump_core_room,  &load_core_room,   &copy_core_room,
};

#define STRING_ENTRY(field, text) {offsetof(struct core_strings, field), text},
#define STDLIB_ENTRY(field, module, attribute) \
    {offsetof(struct core_stdlib, field), module, attribute},

static const struct {
    size_t offset;
    const char *text;
} string_table[] = {CORE_STRINGS(STRING_ENTRY)};

static const struct {
    size_t offset;
    const char *module;
    const char *attribute;
} stdlib_table[] = {CORE_STDLIB(STDLIB_ENTRY)}, optional_table[] = {CORE_OPTIONAL(STDLIB_ENTRY)};

#define FIELD(base, offset) ((PyObject **)((char *)(base) + (offset)))

static int
setup_strings(struct core_state *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(string_table); i++) {
        PyObject *string = PyUnicode_InternFromString(string_table[i].text);
        if (string == NULL) {
            return -1;
        }
        *FIELD(&state->str, string_table[i].offset) = string;
    }
    return 0;
}

/* Takes the standard library's own objects, which we share and never replace. */
static int
setup_stdlib(struct core_state *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(stdlib_table); i++) {
        PyObject *module = PyImport_ImportModule(stdlib_table[i].module);
        if (module == NULL) {
            return -1;
        }
        PyObject *object = PyObject_GetAttrString(module, stdlib_table[i].attribute);
        Py_DECREF(module);
        if (object == NULL) {
            return -1;
        }
        *FIELD(&state->stdlib, stdlib_table[i].offset) = object;
    }
    return 0;
}

/* Takes what only some versions have. */
static int
setup_optional(struct core_state *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(optional_table); i++) {
        PyObject *module = PyImport_ImportModule(optional_table[i].module);
        PyObject *name = module == NULL ? NULL : PyUnicode_FromString(optional_table[i].attribute);
        PyObject **field = FIELD(&state->stdlib, optional_table[i].offset);
        int found = name == NULL ? -1 : PyObject_GetOptionalAttr(module, name, field);
        Py_XDECREF(module);
        Py_XDECREF(name);
        if (found < 0) {
            return -1;
        }
    }
    return 0;
}

static int
setup_constants(struct core_state *state)
{
    state->empty_tuple = PyTuple_New(0);
    if (state->empty_tuple == NULL) {
        return -1;
    }
    for (int i = 0; i <= HIGHEST_PROTOCOL; i++) {
        state->protocols[i] = PyLong_FromLong(i);
        if (state->protocols[i] == NULL) {
            return -1;
        }
    }
    for (int i = 0; i < 256; i++) {
        state->small_integers[i] = PyLong_FromLong(i);
        if (state->small_integers[i] == NULL) {
            return -1;
        }
    }
    for (int i = 0; i < 128; i++) {
        const char character = (char)i;
        state->ascii_characters[i] = PyUnicode_FromStringAndSize(&character, 1);
        if (state->ascii_characters[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

PyDoc_STRVAR(
    calls_under_way_doc,
    "calls_under_way($module, forget=False, /)\n"
    "--\n\n"
    "Return a number that is 0 if no dump or copy is under way.\n"
    "\n"
    "With forget, which is for the child of a fork, those of threads that are not there any\n"
    "more are no longer counted; but all are if this thread is in the middle of one.");

static PyObject *
core_calls_under_way(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_state *state = core_state_of_module(module);
    int total = 0, forget = count > 0 && args[0] == Py_True && thread_calls == 0;
    for (int i = 0; forget && i < HELPER_COUNT; i++) {
        if (state->helpers[i].status == HELPER_COMES) {
            state->helpers[i].status = HELPER_UNUSED;
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(rooms); i++) {
        total += rooms[i]->under_way == NULL ? 0 : rooms[i]->under_way(state, forget);
    }
    return PyLong_FromLong(forget ? 0 : total);
}

static PyMethodDef functions[] = {
    {"calls_under_way", (PyCFunction)(void (*)(void))core_calls_under_way, METH_FASTCALL,
     calls_under_way_doc},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    if (setup_strings(state) < 0 || setup_stdlib(state) < 0 || setup_optional(state) < 0
        || setup_constants(state) < 0) {
        return -1;
    }
    if (dialect_probe(&state->dialect) < 0 || load_dialect_probe(&state->load_dialect) < 0) {
        return -1;
    }
    if (lookup_setup(module) < 0 || namecache_setup(module) < 0 || registry_setup(module) < 0
        || typenames_setup(module) < 0 || places_setup(module) < 0) {
        return -1;
    }
    int result = PyModule_AddFunctions(module, functions);
    for (size_t i = 0; result == 0 && i < Py_ARRAY_LENGTH(rooms); i++) {
        result = rooms[i]->setup(module);
    }
    return result;
}

#define VISIT_STRING(field, text) Py_VISIT(state->str.field);
#define VISIT_OBJECT(field, module, attribute) Py_VISIT(state->stdlib.field);
#define CLEAR_STRING(field, text) Py_CLEAR(state->str.field);
#define CLEAR_OBJECT(field, module, attribute) Py_CLEAR(state->stdlib.field);

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct core_state *state = core_state_of_module(module);
    CORE_STRINGS(VISIT_STRING)
    CORE_STDLIB(VISIT_OBJECT)
    CORE_OPTIONAL(VISIT_OBJECT)
    Py_VISIT(state->empty_tuple);
    Py_VISIT(state->chain_look_up[0]);
    Py_VISIT(state->chain_look_up[1]);
    for (int i = 0; i < HELPER_COUNT; i++) {
        Py_VISIT(state->helpers[i].module);
    }
    for (int i = 0; i <= HIGHEST_PROTOCOL; i++) {
        Py_VISIT(state->protocols[i]);
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < Py_ARRAY_LENGTH(rooms); i++) {
        result = rooms[i]->traverse(state, visit, arg);
    }
    return result;
}

/* Drops what the state owns. */
static void
release_state(struct core_state *state)
{
    CORE_STRINGS(CLEAR_STRING)
    CORE_STDLIB(CLEAR_OBJECT)
    CORE_OPTIONAL(CLEAR_OBJECT)
    Py_CLEAR(state->empty_tuple);
    Py_CLEAR(state->chain_look_up[0]);
    Py_CLEAR(state->chain_look_up[1]);
    for (int i = 0; i < HELPER_COUNT; i++) {
        state->helpers[i].status = HELPER_OFF;
        Py_CLEAR(state->helpers[i].module);
    }
    for (int i = 0; i <= HIGHEST_PROTOCOL; i++) {
        Py_CLEAR(state->protocols[i]);
    }
    for (int i = 0; i < 256; i++) {
        Py_CLEAR(state->small_integers[i]);
    }
    for (int i = 0; i < 128; i++) {
        Py_CLEAR(state->ascii_characters[i]);
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(rooms); i++) {
        rooms[i]->release(state);
    }
}

/* All of it is done here, and nothing when the module is found to be garbage: a finaliser that is
   run while garbage is cleared may still call us.  No cycle is of the state alone; types, dicts
   and functions are cleared, and so let go of the module. */
static void
module_free(void *module)
{
    struct core_state *state = core_state_of_module((PyObject *)module);
    release_state(state);
    for (size_t i = Py_ARRAY_LENGTH(rooms); i-- > 0;) {
        rooms[i]->teardown(state);
    }
    namecache_teardown(state);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "fastcopyreg._core",
    .m_doc = "The C core of fastcopyreg: pickle and copy at C speed.",
    .m_size = sizeof(struct core_state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
