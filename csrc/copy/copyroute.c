/* Which way copy.py goes with an object: see copyroute.h. */
#include "copy/copyroute.h"
#include "copy/room.h"

#include "base/namecache.h"

/* ---- sets of types ------------------------------------------------------ */

/* True if a set has a type, without comparing anything: 1, 0, or -1 if another key with the same
   hash is in the way. */
ALWAYS_INLINE int
is_member(PyObject *set, PyTypeObject *type, Py_hash_t hash)
{
    enum { LINEAR_PROBES = 9, PERTURB_SHIFT = 5 }; /* as in CPython's setobject.c */
    const PySetObject *members = (PySetObject *)set;
    size_t mask = (size_t)members->mask, perturb = (size_t)hash, start = (size_t)hash & mask;
    for (;;) {
        size_t last = start + LINEAR_PROBES <= mask ? start + LINEAR_PROBES : start;
        for (size_t i = start; i <= last; i++) {
            const setentry *entry = &members->table[i];
            if (entry->key == NULL && entry->hash == 0) {
                return 0;
            }
            if (entry->key == (PyObject *)type) {
                return 1;
            }
            if (entry->hash == hash) {
                return -1;
            }
        }
        perturb >>= PERTURB_SHIFT;
        start = (start * 5 + 1 + perturb) & mask;
    }
}

/* ---- purity ------------------------------------------------------------- */

static int
dict_is_plain(PyObject *dict)
{
    Py_ssize_t position = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (!copyroute_is_plain_key(key)) {
            return 0;
        }
    }
    return 1;
}

static int
set_is_plain(PyObject *set)
{
    PySetObject *members = (PySetObject *)set;
    for (Py_ssize_t i = 0; i <= members->mask; i++) {
        setentry *entry = &members->table[i];
        if (entry->key != NULL && entry->hash != -1 && !copyroute_is_plain_key(entry->key)) {
            return 0;
        }
    }
    return 1;
}

/* True if looking a type, which is hashed purely, up in the atoms runs no Python code. */
static int
atoms_are_plain(const struct copyroutes *routes, PyTypeObject *type, Py_hash_t hash)
{
    return routes->atoms == NULL || is_member(routes->atoms, type, hash) >= 0
           || set_is_plain(routes->atoms);
}

enum copyroute_shallow
copyroute_look_shallowly(struct core_state *state, const struct copyroute *route)
{
    struct copyroutes *routes = state->copy->routes;
    if (!state->copy->copies_by_sets) {
        return route->dispatched;
    }
    if (routes->copy_atoms == NULL || routes->copy_containers == NULL) {
        return SHALLOW_ASK;
    }
    int atomic = is_member(routes->copy_atoms, copyroute_type(route), route->hash);
    if (atomic != 0) {
        return atomic > 0 ? SHALLOW_ATOMIC : SHALLOW_ASK;
    }
    int container = is_member(routes->copy_containers, copyroute_type(route), route->hash);
    return container > 0 ? SHALLOW_CONTAINER : container == 0 ? SHALLOW_LACKS : SHALLOW_ASK;
}

int
copyroute_is_pure(struct core_state *state, PyTypeObject *type)
{
    struct copyroutes *routes = state->copy->routes;
    struct copyroute *route = copyroute_known(routes, type);
    int analysed = !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
                   || (route != NULL && copyroute_is_current(route));
    return analysed && copyroute_is_plain_key((PyObject *)type) && routes->are_plain
           && atoms_are_plain(routes, type, PyObject_Hash((PyObject *)type));
}

/* ---- a new epoch -------------------------------------------------------- */

/* A value of the copy module, borrowed; NULL. */
static PyObject *
value_in_copy(struct core_state *state, PyObject *name)
{
    PyObject *value = PyDict_GetItemWithError(state->stdlib.copy_globals, name);
    if (value == NULL) {
        PyErr_Clear();
    }
    return value;
}

static PyObject *
exact_set(PyObject *value)
{
    return value != NULL && PyAnySet_CheckExact(value) ? value : NULL;
}

/* The entry of the dispatch for a type, borrowed; or NULL. */
static PyObject *
in_dispatch(const struct copyroutes *routes, PyTypeObject *type)
{
    PyObject *function = PyDict_GetItemWithError(routes->dispatch, (PyObject *)type);
    if (function == NULL) {
        PyErr_Clear();
    }
    return function;
}

/* Finds out whether the callable that a default reduction gives is copyreg's own. */
static void
look_at_newobj(struct core_state *state, struct copyroutes *routes)
{
    PyObject *module = PyDict_GetItemWithError(state->stdlib.sys_modules, state->str.copyreg);
    routes->newobj_holds = 0;
    if (module != NULL && PyModule_CheckExact(module)) {
        PyObject *globals = PyModule_GetDict(module);
        dictwatch_add(&routes->watch, globals);
        routes->newobj_holds =
            PyDict_GetItemWithError(globals, state->str.newobj) == state->stdlib.copyreg_newobj;
    }
    PyErr_Clear();
}

/* Finds the usual atoms in a set, for look_at_atoms(). */
static void
find_atoms(struct copyroutes *routes)
{
    PySetObject *set = (PySetObject *)routes->atoms;
    routes->atoms_mask = -1;
    for (size_t i = 0; i < USUAL_ATOMS; i++) {
        for (Py_ssize_t j = 0; j <= set->mask; j++) {
            if (set->table[j].key == (PyObject *)routes->usual_atoms[i]) {
                routes->atom_places[i] = j;
            }
        }
    }
    routes->atoms_mask = set->mask;
}

/* Looks whether the atoms are what they are usually: nothing watches a set.  This is done in
   each epoch, and made to be quick. */
static void
look_at_atoms(struct copyroutes *routes)
{
    PySetObject *set = (PySetObject *)routes->atoms;
    if (unlikely(set->mask != routes->atoms_mask)) {
        find_atoms(routes);
    }
    const setentry *table = set->table;
    uintptr_t difference = 0;
    for (size_t i = 0; i < USUAL_ATOMS; i++) {
        difference |=
            (uintptr_t)table[routes->atom_places[i]].key ^ (uintptr_t)routes->usual_atoms[i];
    }
    routes->atoms_hold = difference == 0;
    routes->states_hold = difference == 0 && routes->dispatch_holds
                          && is_member(routes->atoms, &PyDict_Type, routes->dict_hash) == 0
                          && is_member(routes->atoms, &PyTuple_Type, routes->tuple_hash) == 0;
}

/* The same where the dispatch holds the atoms. */
static void
look_at_dispatch(struct core_state *state, struct copyroutes *routes)
{
    PyObject *for_classes = in_dispatch(routes, &PyType_Type);
    routes->dispatch_holds = (for_classes == NULL || for_classes == state->stdlib.deepcopy_atomic)
                             && in_dispatch(routes, &PyDict_Type) == state->stdlib.deepcopy_dict
                             && in_dispatch(routes, &PyTuple_Type) == state->stdlib.deepcopy_tuple;
    if (routes->atoms != NULL) {
        find_atoms(routes);
        look_at_atoms(routes);
        return;
    }
    routes->atoms_hold = 1;
    for (size_t i = 0; i < USUAL_ATOMS && routes->atoms_hold; i++) {
        PyObject *function = in_dispatch(routes, routes->usual_atoms[i]);
        routes->atoms_hold = function == state->stdlib.deepcopy_atomic;
    }
    routes->states_hold = routes->atoms_hold && routes->dispatch_holds;
}

/* Reads everything that is watched. */
static NOINLINE void
read_tables(struct core_state *state, struct copyroutes *routes)
{
    struct dictwatch *watch = &routes->watch;
    routes->generation++;
    dictwatch_restart(watch);
    dictwatch_add(watch, state->stdlib.copy_globals);
    dictwatch_add(watch, state->stdlib.sys_modules);
    dictwatch_add(watch, state->stdlib.builtins_dict);
    routes->ended = namecache_builtins_are_gone(state);
    watch->complete &= !routes->ended;
    routes->dispatch = value_in_copy(state, state->str.deepcopy_dispatch);
    routes->reducers = value_in_copy(state, state->str.dispatch_table);
    routes->atoms = routes->atoms_first ? value_in_copy(state, state->str.atomic_types) : NULL;
    routes->copy_dispatch = value_in_copy(state, state->str.copy_dispatch);
    routes->copy_atoms = exact_set(value_in_copy(state, state->str.copy_atomic_types));
    routes->copy_containers = exact_set(value_in_copy(state, state->str.copy_builtin_containers));
    routes->usable =
        routes->dispatch != NULL && PyDict_CheckExact(routes->dispatch) && routes->reducers != NULL
        && PyDict_CheckExact(routes->reducers)
        && (!routes->atoms_first || (routes->atoms != NULL && PyAnySet_CheckExact(routes->atoms)));
    routes->atoms_hold = routes->states_hold = routes->atoms_vary = routes->are_plain = 0;
    if (!routes->usable) {
        return;
    }
    dictwatch_add(watch, routes->dispatch);
    dictwatch_add(watch, routes->reducers);
    if (routes->copy_dispatch != NULL && PyDict_CheckExact(routes->copy_dispatch)
        && dict_is_plain(routes->copy_dispatch)) {
        dictwatch_add(watch, routes->copy_dispatch);
    }
    else {
        routes->copy_dispatch = NULL;
    }
    look_at_newobj(state, routes);
    look_at_dispatch(state, routes);
    routes->are_plain = dict_is_plain(routes->dispatch) && dict_is_plain(routes->reducers);
    routes->atoms_vary = routes->atoms != NULL && !PyFrozenSet_CheckExact(routes->atoms);
}

void
copyroute_read_again(struct core_state *state)
{
    struct copyroutes *routes = state->copy->routes;
    if (!dictwatch_is_unchanged(&routes->watch)) {
        read_tables(state, routes);
    }
    else if (routes->atoms_vary) {
        look_at_atoms(routes);
    }
}

/* ---- routes ------------------------------------------------------------- */

/* True if the route is of the type at its address, and not of one that is dead. */
static int
is_of_same_type(const struct copyroute *route)
{
    return (route->version != 0 && route->version == type_version(copyroute_type(route)))
           || weaktable_is_same_class(&route->weaktable_entry);
}

/* The entry of a type, new if need be; NULL with an exception. */
static struct copyroute *
get_route(struct copyroutes *routes, PyTypeObject *type)
{
    struct copyroute *route = copyroute_known(routes, type);
    if (route != NULL && likely(is_of_same_type(route))) {
        return route;
    }
    struct weaktable_entry *entry =
        route == NULL ? weaktable_add(&routes->by_type, (PyObject *)type)
                      : weaktable_replace(&routes->by_type, &route->weaktable_entry);
    if (entry == NULL) {
        PyErr_NoMemory();
    }
    return (struct copyroute *)entry;
}

/* The facts of a type whose versions are used up (each change of a class with a thousand members
   takes one).  They are found for every call and no look-up on the type is cached, so nothing else
   is asked where a __deepcopy__ decides. */
static unsigned int
facts_without_version(struct core_state *state, PyTypeObject *type)
{
    return type_lookup(type, state->str.deepcopy) != NULL ? 0 : default_facts(state, type);
}

/* Finds facts and plan again if the type or its metaclass has changed: of the way nothing holds
   then.  0 or -1. */
static int
analyse(struct core_state *state, struct copyroute *route)
{
    PyTypeObject *type = copyroute_type(route);
    unsigned int version = type_assign_version(type, state->str.deepcopy);
    if (version != 0 && copyroute_is_current(route)) {
        return 0;
    }
    default_reduction_release(route->info);
    route->info = NULL;
    route->generation = route->epoch = 0;
    route->version = version;
    if (version == 0) {
        route->facts = facts_without_version(state, type);
        route->metaclass_version = 0;
        return 0;
    }
    route->facts = default_facts(state, type);
    route->metaclass_version = type_assign_version(Py_TYPE((PyObject *)type), state->str.name);
    return default_reduction_make(state, type, route->facts, &route->info) < 0 ? -1 : 0;
}

static int
route_has_default(struct core_state *state, struct copyroute *route)
{
    return route->info != NULL && state->copy->routes->newobj_holds
           && default_reduction_holds(route->info, copyroute_type(route), state->str.slotnames);
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

/* Asks the tables and the type, in copy.py's order.  0 or -1. */
static int
classify(struct core_state *state, struct copyroute *route)
{
    struct copyroutes *routes = state->copy->routes;
    PyTypeObject *type = copyroute_type(route);
    int found = routes->atoms == NULL ? 0 : PySet_Contains(routes->atoms, (PyObject *)type);
    if (found != 0) {
        route->kind = ROUTE_ATOMIC;
        return found < 0 ? -1 : 0;
    }
    found = in_table(routes->dispatch, type, &route->function);
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
    if (!copyroute_is_plain_key((PyObject *)type)) {
        /* The table is asked after the object is, and once: the metaclass may notice. */
        route->function = NULL;
        route->kind = ROUTE_REDUCE;
        return 0;
    }
    found = in_table(routes->reducers, type, &route->function);
    if (found < 0) {
        return -1;
    }
    if (found == 0) {
        route->function = NULL;
    }
    route->kind = found == 0 && routes->states_hold && route_has_default(state, route)
                      ? ROUTE_DEFAULT
                      : ROUTE_REDUCE;
    return 0;
}

int
copyroute_holds_besides(const struct copyroutes *routes, const struct copyroute *route)
{
    PyTypeObject *type = copyroute_type(route);
    if (routes->atoms_vary
        && is_member(routes->atoms, type, route->hash) != (route->kind == ROUTE_ATOMIC)) {
        return 0;
    }
    return route->kind != ROUTE_DEFAULT
           || (routes->states_hold && default_reduction_names_hold(route->info, type));
}

/* The entry of _copy_dispatch for a type that is hashed purely. */
static enum copyroute_shallow
look_into_dispatch(struct core_state *state, PyTypeObject *type)
{
    PyObject *dispatch = state->copy->routes->copy_dispatch;
    if (dispatch == NULL) {
        return SHALLOW_ASK;
    }
    PyObject *function = PyDict_GetItemWithError(dispatch, (PyObject *)type);
    if (function != NULL && function == type_lookup(type, state->str.copy_method)) {
        return SHALLOW_CONTAINER;
    }
    return function == NULL                           ? SHALLOW_LACKS
           : function == state->stdlib.copy_immutable ? SHALLOW_ATOMIC
                                                      : SHALLOW_ASK;
}

struct copyroute *
copyroute_find(struct core_state *state, PyTypeObject *type, uint64_t epoch)
{
    struct copyroutes *routes = state->copy->routes;
    struct copyroute *route = get_route(routes, type);
    if (route == NULL || route->epoch == epoch) {
        return route;
    }
    uint64_t generation = routes->generation;
    route->generation = 0;
    if (analyse(state, route) < 0 || classify(state, route) < 0) {
        return NULL;
    }
    route->epoch = epoch;
    if (copyroute_is_current(route) && routes->are_plain
        && copyroute_is_plain_key((PyObject *)type)) {
        route->hash = PyObject_Hash((PyObject *)type);
        route->generation = atoms_are_plain(routes, type, route->hash) ? generation : 0;
        route->dispatched = look_into_dispatch(state, type);
    }
    return route;
}

struct default_reduction *
copyroute_known_default(struct core_state *state, PyObject *object)
{
    struct copyroute *route = copyroute_known(state->copy->routes, Py_TYPE(object));
    assert(route != NULL && route->info != NULL);
    return route->info;
}

unsigned int
copyroute_facts(struct core_state *state, PyTypeObject *type)
{
    struct copyroute *route = copyroute_known(state->copy->routes, type);
    return route != NULL && copyroute_is_current(route) ? route->facts
                                                        : default_facts(state, type);
}

struct copyroute *
copyroute_analyse(struct core_state *state, PyTypeObject *type, struct default_reduction **info)
{
    struct copyroute *route = get_route(state->copy->routes, type);
    *info = NULL;
    if (route == NULL || analyse(state, route) < 0) {
        return NULL;
    }
    if (route_has_default(state, route)) {
        *info = route->info;
    }
    return route;
}

/* ---- setup -------------------------------------------------------------- */

/* True if a function's code holds a generator expression: copied arguments are passed on by one up
   to 3.14. */
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

static void
release_route(struct weaktable_entry *entry)
{
    default_reduction_release(((struct copyroute *)entry)->info);
}

int
copyroute_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    struct copyroutes *routes = PyMem_Calloc(1, sizeof(struct copyroutes));
    if (routes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    state->copy->routes = routes;
    dictwatch_setup(&routes->watch);
    PyTypeObject *const usual_atoms[] = {
        &PyUnicode_Type,  &PyLong_Type, &PyFloat_Type,
        Py_TYPE(Py_None), &PyBool_Type, &PyBytes_Type,
    };
    memcpy(routes->usual_atoms, usual_atoms, sizeof(usual_atoms));
    routes->dict_hash = PyObject_Hash((PyObject *)&PyDict_Type);
    routes->tuple_hash = PyObject_Hash((PyObject *)&PyTuple_Type);
    routes->atoms_first = PyDict_Contains(state->stdlib.copy_globals, state->str.atomic_types);
    routes->args_by_generator = has_generator_expression(state->stdlib.copy_reconstruct);
    return routes->atoms_first < 0 || routes->args_by_generator < 0
                   || weaktable_setup(&routes->by_type, sizeof(struct copyroute), SIZE_MAX,
                                      release_route)
                          < 0
               ? -1
               : 0;
}

void
copyroute_teardown(struct core_state *state)
{
    if (state->copy->routes != NULL) {
        weaktable_teardown(&state->copy->routes->by_type);
        dictwatch_teardown(&state->copy->routes->watch);
        PyMem_Free(state->copy->routes);
        state->copy->routes = NULL;
    }
}
