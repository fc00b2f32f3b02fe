/* Which way copy.py goes with an object: see copyroute.h. */
#include "copyroute.h"

#if KNOWN_LAYOUT

enum {
    NAME_DISPATCH, /* in name_hints */
    NAME_REDUCERS,
    NAME_ATOMS,
    KEEP_ROUTES = 1024, /* more are forgotten between calls */
};

/* ---- look-ups with a hint ---------------------------------------------- */

/* An entry of a dict whose keys are not all str. */
struct general_entry {
    Py_hash_t hash;
    PyObject *key;
    PyObject *value;
};

/* The value of entry number `index` of a combined dict if its key is `key`, else NULL.  What is
   read is the dict as it is now, so no hint can be wrong; at worst it does not help. */
ALWAYS_INLINE PyObject *
value_at(PyObject *dict, Py_ssize_t index, PyObject *key)
{
    struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)dict)->ma_keys;
    if (((PyDictObject *)dict)->ma_values != NULL || index >= keys->count) {
        return NULL;
    }
    struct layout_entry *entries = layout_entries(keys);
    if (keys->kind == 0) {
        struct general_entry *entry = (struct general_entry *)entries + index;
        return entry->key == key ? entry->value : NULL;
    }
    return entries[index].key == key ? entries[index].value : NULL;
}

/* The same by looking at all entries; *hint is where it was found. */
static NOINLINE PyObject *
search_value(PyObject *dict, PyObject *key, Py_ssize_t *hint)
{
    struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)dict)->ma_keys;
    for (Py_ssize_t index = 0; index < keys->count; index++) {
        PyObject *value = value_at(dict, index, key);
        if (value != NULL) {
            *hint = index;
            return value;
        }
    }
    return NULL;
}

/* The value of a key that is usually there, borrowed, or NULL without an exception. */
ALWAYS_INLINE PyObject *
hinted_value(PyObject *dict, PyObject *key, Py_ssize_t *hint)
{
    PyObject *value = value_at(dict, *hint, key);
    return likely(value != NULL) ? value : search_value(dict, key, hint);
}

/* Whether an exact set or frozenset has a type; only by identity. */
static int
hinted_member(PyObject *set, PyTypeObject *type, Py_ssize_t *hint)
{
    PySetObject *members = (PySetObject *)set;
    if (likely(*hint <= members->mask && members->table[*hint].key == (PyObject *)type)) {
        return 1;
    }
    for (Py_ssize_t index = 0; index <= members->mask; index++) {
        if (members->table[index].key == (PyObject *)type) {
            *hint = index;
            return 1;
        }
    }
    return 0;
}

/* ---- a new epoch ------------------------------------------------------- */

/* Whether the types that the copier takes for atoms are atoms now: is_usual_atom in copier.h. */
static int
usual_atoms_hold(struct core_state *state, struct copyroutes *routes)
{
    PyTypeObject *const types[] = {
        &PyUnicode_Type,  &PyLong_Type, &PyFloat_Type,
        Py_TYPE(Py_None), &PyBool_Type, &PyBytes_Type,
    };
    if (routes->atoms != NULL && routes->atoms == routes->fixed_atoms) {
        return 1;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        Py_ssize_t *hint = &routes->atom_hints[i];
        int holds = routes->atoms != NULL
                        ? hinted_member(routes->atoms, types[i], hint)
                        : hinted_value(routes->dispatch, (PyObject *)types[i], hint)
                              == state->stdlib.deepcopy_atomic;
        if (!holds) {
            return 0;
        }
    }
    return 1;
}

void
copyroute_refresh(struct core_state *state, uint64_t epoch)
{
    struct copyroutes *routes = state->copyroutes;
    PyObject *globals = state->stdlib.copy_globals;
    Py_ssize_t *hints = routes->name_hints;
    routes->epoch = epoch;
    routes->newobj_holds = routes->states_hold = -1;
    routes->dispatch = hinted_value(globals, state->str.deepcopy_dispatch, &hints[NAME_DISPATCH]);
    routes->reducers = hinted_value(globals, state->str.dispatch_table, &hints[NAME_REDUCERS]);
    routes->atoms = NULL;
    routes->usable = routes->dispatch != NULL && PyDict_CheckExact(routes->dispatch)
                     && routes->reducers != NULL && PyDict_CheckExact(routes->reducers);
    if (routes->atoms_first) {
        routes->atoms = hinted_value(globals, state->str.atomic_types, &hints[NAME_ATOMS]);
        routes->usable =
            routes->usable && routes->atoms != NULL && PyAnySet_CheckExact(routes->atoms);
    }
    routes->atoms_hold = routes->usable && usual_atoms_hold(state, routes);
}

int
copyroute_states_hold(struct core_state *state)
{
    struct copyroutes *routes = state->copyroutes;
    if (routes->states_hold < 0) {
        const struct core_stdlib *stdlib = &state->stdlib;
        Py_ssize_t *hints = routes->state_hints;
        routes->states_hold =
            routes->atoms_hold
            && (routes->atoms == NULL || PySet_GET_SIZE(routes->atoms) == routes->atoms_used)
            && hinted_value(routes->dispatch, (PyObject *)&PyDict_Type, &hints[0])
                   == stdlib->deepcopy_dict
            && hinted_value(routes->dispatch, (PyObject *)&PyTuple_Type, &hints[1])
                   == stdlib->deepcopy_tuple;
    }
    return routes->states_hold;
}

/* Whether what a default reduction offers as callable is copyreg's own. */
static int
newobj_holds(struct core_state *state)
{
    struct copyroutes *routes = state->copyroutes;
    if (routes->newobj_holds < 0) {
        PyObject *modules = state->stdlib.sys_modules;
        PyObject *module = PyDict_GetItemWithError(modules, state->str.copyreg);
        PyObject *globals =
            module != NULL && PyModule_CheckExact(module) ? PyModule_GetDict(module) : NULL;
        PyObject *newobj =
            globals == NULL ? NULL : PyDict_GetItemWithError(globals, state->str.newobj);
        routes->newobj_holds = newobj == state->stdlib.copyreg_newobj;
    }
    return routes->newobj_holds;
}

/* ---- purity ------------------------------------------------------------ */

/* Whether hashing and comparing a class is what it is for all ordinary classes. */
static int
is_plain_key(PyObject *key)
{
    PyTypeObject *metaclass = Py_TYPE(key);
    return metaclass == &PyType_Type
           || (PyType_IsSubtype(metaclass, &PyType_Type)
               && metaclass->tp_hash == PyType_Type.tp_hash
               && metaclass->tp_richcompare == PyType_Type.tp_richcompare);
}

static int
dict_is_plain(PyObject *dict, struct table_look *look)
{
    PyDictObject *table = (PyDictObject *)dict;
    struct layout_keys *keys = (struct layout_keys *)table->ma_keys;
    if (likely(look->keys == keys && look->used == table->ma_used && look->count == keys->count)) {
        return look->plain;
    }
    *look = (struct table_look){keys, table->ma_used, keys->count, 1};
    Py_ssize_t position = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &position, &key, &value) && look->plain) {
        look->plain = is_plain_key(key);
    }
    return look->plain;
}

static int
set_is_plain(PyObject *set, struct table_look *look)
{
    PySetObject *members = (PySetObject *)set;
    if (likely(look->keys == members->table && look->used == members->used
               && look->count == members->fill)) {
        return look->plain;
    }
    *look = (struct table_look){members->table, members->used, members->fill, 1};
    for (Py_ssize_t i = 0; i <= members->mask && look->plain; i++) {
        PyObject *key = members->table[i].key;
        look->plain = key == NULL || members->table[i].hash == -1 || is_plain_key(key);
    }
    return look->plain;
}

int
copyroute_is_pure(struct core_state *state, PyTypeObject *type)
{
    struct copyroutes *routes = state->copyroutes;
    struct copyroute *route = copyroute_known(routes, type);
    int analysed =
        !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
        || (route != NULL && route->version != 0 && route->version == type_version(type));
    return analysed && is_plain_key((PyObject *)type)
           && dict_is_plain(routes->dispatch, &routes->dispatch_look)
           && dict_is_plain(routes->reducers, &routes->reducers_look)
           && (routes->atoms == NULL || set_is_plain(routes->atoms, &routes->atoms_look));
}

/* ---- routes ------------------------------------------------------------ */

/* The entry of a type, new if need be; NULL with an exception. */
static struct copyroute *
get_route(struct copyroutes *routes, PyTypeObject *type)
{
    struct copyroute *route = copyroute_known(routes, type);
    if (route != NULL) {
        return route;
    }
    route = PyMem_Calloc(1, sizeof(struct copyroute));
    if (route == NULL || ptrmap_put(&routes->by_type, type, route) < 0) {
        PyMem_Free(route);
        PyErr_NoMemory();
        return NULL;
    }
    route->type = type;
    return route;
}

/* Finds facts and plan again if the type has changed.  0 or -1. */
static int
analyse(struct core_state *state, struct copyroute *route)
{
    PyTypeObject *type = route->type;
    unsigned int version = type_assign_version(type, state->str.deepcopy);
    if (version != 0 && route->version == version) {
        return 0;
    }
    clone_plan_release(route->plan);
    route->plan = NULL;
    route->version = version;
    route->facts = clone_facts(state, type);
    return version == 0                                                   ? 0
           : clone_plan_make(state, type, route->facts, &route->plan) < 0 ? -1
                                                                          : 0;
}

static int
clones(struct core_state *state, struct copyroute *route)
{
    return route->plan != NULL && Py_IS_TYPE(route->type, &PyType_Type) && newobj_holds(state)
           && clone_plan_holds(route->plan, route->type, state->str.slotnames);
}

/* The kind for what the dispatch has. */
static enum copyroute_kind
kind_of_function(struct core_state *state, PyTypeObject *type, PyObject *function)
{
    const struct core_stdlib *stdlib = &state->stdlib;
    if (function == stdlib->deepcopy_atomic) {
        return ROUTE_ATOMIC;
    }
    if (function == stdlib->deepcopy_list && type == &PyList_Type) {
        return ROUTE_LIST;
    }
    if (function == stdlib->deepcopy_tuple && type == &PyTuple_Type) {
        return ROUTE_TUPLE;
    }
    if (function == stdlib->deepcopy_dict && type == &PyDict_Type) {
        return ROUTE_DICT;
    }
    if (function == stdlib->deepcopy_method && type == &PyMethod_Type) {
        return ROUTE_METHOD;
    }
    return ROUTE_DISPATCH;
}

/* Looks a type up in a table: 1 found, borrowed; 0 absent or None; -1. */
static int
in_table(PyObject *table, PyTypeObject *type, PyObject **function)
{
    *function = PyDict_GetItemWithError(table, (PyObject *)type);
    if (*function == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    return *function != Py_None;
}

/* The type's function in dispatch_table, and where it is: as in_table. */
static int
find_reducer(PyObject *reducers, struct copyroute *route)
{
    int found = in_table(reducers, route->type, &route->function);
    if (found > 0) {
        search_value(reducers, (PyObject *)route->type, &route->reducer_hint);
    }
    return found;
}

/* Asks the tables and the type, in copy.py's order.  0 or -1. */
static int
classify(struct core_state *state, struct copyroute *route)
{
    struct copyroutes *routes = state->copyroutes;
    PyTypeObject *type = route->type;
    if (routes->atoms != NULL
        && !(routes->atoms == routes->fixed_atoms && route->seen_by_fixed_atoms)) {
        int atomic = PySet_Contains(routes->atoms, (PyObject *)type);
        if (atomic != 0) {
            route->kind = ROUTE_ATOMIC;
            return atomic < 0 ? -1 : 0;
        }
        route->seen_by_fixed_atoms = routes->atoms == routes->fixed_atoms;
    }
    int found = in_table(routes->dispatch, type, &route->function);
    if (found != 0) {
        if (found > 0) {
            route->kind = kind_of_function(state, type, route->function);
        }
        return found < 0 ? -1 : 0;
    }
    if (PyType_IsSubtype(type, &PyType_Type)) {
        route->kind = ROUTE_CLASS;
        return 0;
    }
    route->function = value_at(routes->reducers, route->reducer_hint, (PyObject *)type);
    found = route->function != NULL && route->function != Py_None
                ? 1
                : find_reducer(routes->reducers, route);
    if (found < 0 || analyse(state, route) < 0) {
        return -1;
    }
    if (found == 0) {
        route->function = NULL;
    }
    route->kind = found == 0 && copyroute_states_hold(state) && clones(state, route)
                      ? ROUTE_CLONE
                      : ROUTE_REDUCE;
    return 0;
}

struct copyroute *
copyroute_find(struct core_state *state, PyTypeObject *type, uint64_t epoch)
{
    struct copyroute *route = get_route(state->copyroutes, type);
    if (route != NULL && route->epoch != epoch) {
        if (classify(state, route) < 0) {
            return NULL;
        }
        route->epoch = epoch;
    }
    return route;
}

struct clone_plan *
copyroute_known_plan(struct core_state *state, PyObject *object)
{
    struct copyroute *route = copyroute_known(state->copyroutes, Py_TYPE(object));
    assert(route != NULL && route->plan != NULL);
    return route->plan;
}

unsigned int
copyroute_facts(struct core_state *state, PyTypeObject *type)
{
    struct copyroute *route = copyroute_known(state->copyroutes, type);
    if (route != NULL && route->version != 0 && route->version == type_version(type)
        && Py_IS_TYPE(type, &PyType_Type)) {
        return route->facts;
    }
    return clone_facts(state, type);
}

struct copyroute *
copyroute_analyse(struct core_state *state, PyTypeObject *type, struct clone_plan **plan)
{
    struct copyroute *route = get_route(state->copyroutes, type);
    *plan = NULL;
    state->copyroutes->newobj_holds = -1;
    if (route == NULL || analyse(state, route) < 0) {
        return NULL;
    }
    if (clones(state, route)) {
        *plan = route->plan;
    }
    return route;
}

/* ---- setup ------------------------------------------------------------- */

/* Whether a function's code holds a generator expression: copied arguments are passed on by one up
 * to 3.14. */
static int
has_generator_expression(PyObject *function)
{
    PyObject *constants = PyFunction_Check(function)
                              ? PyObject_GetAttrString(PyFunction_GET_CODE(function), "co_consts")
                              : PyTuple_New(0);
    if (constants == NULL) {
        return -1;
    }
    int found = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(constants) && !found; i++) {
        PyObject *constant = PyTuple_GET_ITEM(constants, i);
        found = PyCode_Check(constant)
                && PyUnicode_EqualToUTF8(((PyCodeObject *)constant)->co_name, "<genexpr>");
    }
    Py_DECREF(constants);
    return found;
}

int
copyroute_setup(struct core_state *state)
{
    struct copyroutes *routes = PyMem_Calloc(1, sizeof(struct copyroutes));
    if (routes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    state->copyroutes = routes;
    PyObject *globals = state->stdlib.copy_globals;
    routes->atoms_first = PyDict_Contains(globals, state->str.atomic_types);
    routes->args_by_generator = has_generator_expression(state->stdlib.copy_reconstruct);
    PyObject *atoms = PyDict_GetItemWithError(globals, state->str.atomic_types);
    routes->atoms_used = atoms != NULL && PyAnySet_Check(atoms) ? PySet_GET_SIZE(atoms) : 0;
    if (atoms != NULL && PyFrozenSet_CheckExact(atoms)) {
        routes->atoms = atoms;
        if (usual_atoms_hold(state, routes)) {
            routes->fixed_atoms = Py_NewRef(atoms);
        }
    }
    return routes->atoms_first < 0 || routes->args_by_generator < 0 ? -1 : 0;
}

static void
forget_routes(struct copyroutes *routes)
{
    for (size_t i = 0; i < routes->by_type.count; i++) {
        struct copyroute *route = routes->by_type.pairs[i].value;
        clone_plan_release(route->plan);
        PyMem_Free(route);
    }
    ptrmap_free(&routes->by_type);
}

void
copyroute_enter(struct copyroutes *routes)
{
    if (unlikely(routes->calls == 0 && routes->by_type.count > KEEP_ROUTES)) {
        forget_routes(routes);
    }
    routes->calls++;
}

void
copyroute_teardown(struct core_state *state)
{
    if (state->copyroutes != NULL) {
        forget_routes(state->copyroutes);
        Py_XDECREF(state->copyroutes->fixed_atoms);
        PyMem_Free(state->copyroutes);
        state->copyroutes = NULL;
    }
}

#endif
