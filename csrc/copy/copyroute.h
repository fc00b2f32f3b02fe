/* Routes: the way of copy.py with an object, by its type.

   The order in which each supported version's copy.py asks its questions; "x" is the
   object, "cls" its type, "memo" what id(x) is found in.

   copy(x)                            3.11  3.12  3.13   3.14   3.15
     _copy_dispatch[cls](x)             1     1     1      -      -
     cls in _copy_atomic_types: x       -     -     -      1      1   (3.14 set, 3.15 frozenset)
     cls in _copy_builtin_containers:
        cls.copy(x)                     -     -     -      2      2
     issubclass(cls, type): x           2     2     2      3      3
     cls.__copy__(x)                    3     3     3      4      4
     dispatch_table[cls](x)             4     4     4      5      5   (asked: is it not None)
     x.__reduce_ex__(4)                 5     5     5      6      6
     x.__reduce__()                     6     6     6      7      7
     Error                              7     7     7      8      8
   A str as reduce value: x itself.  Atomic there and not in deepcopy: tuple, frozenset, slice,
   super (3.14), frozendict (3.15).

   deepcopy(x, memo)                  3.11  3.12  3.13   3.14   3.15
     memo                               1     1     1*     2*     2*
     cls in _atomic_types: x            -     -     -      1      1   (3.14 set, 3.15 frozenset)
     _deepcopy_dispatch[cls](x, memo)   2     2     2      3      3   (holds the atoms up to 3.13)
     issubclass(cls, type): x           3     3     3      4      4
     x.__deepcopy__(memo)               4     4     4      5      5
     dispatch_table[cls](x)             5     5     5      6      6   (asked: is it true)
     x.__reduce_ex__(4)                 6     6     6      7      7
     x.__reduce__()                     7     7     7      8      8
     Error                              8     8     8      9      9
   * Not asked where no memo was given.  Asked by memo.get(id(x), []) up to 3.14, by
   id(x) in memo, then memo[id(x)], from 3.15.
   Copied arguments reach the constructor out of a generator up to 3.14 (a StopIteration in
   there becomes a RuntimeError), out of a list from 3.15.  In a dict the value is copied
   before the key; in the dict items of a reduction the key before the value.  frozendict
   is in the dispatch from 3.15.  replace(x) exists from 3.13.

   Such differences are probed in the running copy module when the core is imported, and not
   derived from the version.  Its tables are read at each use: nothing learned from them outlives
   an *epoch*, which ends when foreign code may have run.  Facts of a type last while the type has
   the same version. */
#ifndef FASTCOPYREG_COPY_COPYROUTE_H
#define FASTCOPYREG_COPY_COPYROUTE_H

#include "types/default.h"
#include "base/weaktable.h"
#include "base/state.h"
#include "plans/trial.h"
#include "base/dictwatch.h"
#include "copy/room.h"

enum copyroute_kind {
    ROUTE_ATOMIC, /* the object is its own copy */
    ROUTE_CLASS,  /* atomic too, being a class; asked only after the memo */
    ROUTE_LIST,   /* the standard library's own functions in the dispatch, for their types: */
    ROUTE_TUPLE,  /* done here */
    ROUTE_DICT,
    ROUTE_METHOD,
    ROUTE_DISPATCH, /* `function` from the dispatch is called with the object and the memo */
    ROUTE_DEFAULT,  /* by the default reduction `info`, if the instance is as usual */
    ROUTE_REDUCE,   /* asked: __deepcopy__, `function` from dispatch_table, __reduce_ex__ ... */
};

/* The entry for a type in copy's own tables, other than those that deepcopy has, too. */
enum copyroute_shallow {
    SHALLOW_ASK, /* the object must be asked */
    SHALLOW_LACKS,
    SHALLOW_ATOMIC,
    SHALLOW_CONTAINER, /* type.copy is called */
};

struct copyroute {
    struct weaktable_entry weaktable_entry;
    unsigned int version;           /* of the type when facts and plan were found; 0: none */
    unsigned int metaclass_version; /* of the type's type then; 0: none */
    unsigned int facts;             /* see default.h */
    struct default_reduction *info; /* owned; NULL if there is none */
    uint64_t epoch;                 /* in which the kind is known to hold */
    uint64_t generation; /* of the tables that gave the kind; 0: the kind must be found again */
    Py_hash_t hash;      /* of the type, where that is not foreign */
    enum copyroute_kind kind;
    enum copyroute_shallow dispatched; /* the entry of copy._copy_dispatch, up to 3.13 */
    PyObject *function;                /* borrowed from the table, in this generation */
    struct trial deep_trial;           /* of the plan of its reducer in deep copies, ... */
    struct trial shallow_trial;        /* ... and of the bound plan in shallow ones */
};

enum { USUAL_ATOMS = 6 };

struct copyroutes {
    struct weaktable by_type; /* of struct copyroute */
    Py_ssize_t calls;         /* that are in progress: nothing is freed */
    uint64_t epoch;           /* for which all below was read */
    uint64_t generation;      /* counts the changes of the dicts that are watched */
    struct dictwatch watch;
    PyObject *dispatch;        /* borrowed: copy._deepcopy_dispatch */
    PyObject *reducers;        /* borrowed: copy.dispatch_table */
    PyObject *atoms;           /* borrowed: copy._atomic_types, or NULL */
    PyObject *copy_dispatch;   /* borrowed: copy._copy_dispatch, if it is an exact dict */
    PyObject *copy_atoms;      /* borrowed: copy._copy_atomic_types and ... */
    PyObject *copy_containers; /* ... _copy_builtin_containers, if they are exact sets */
    int ended;                 /* the builtins that copy.py calls are gone */
    int usable;                /* they are what they should be: exact dicts, a set */
    int are_plain;      /* hashing and comparing the keys of the dicts runs no Python code */
    int newobj_holds;   /* copyreg.__newobj__ is the original */
    int dispatch_holds; /* the dispatch has the standard functions for states */
    int atoms_hold;     /* the usual atoms are atomic */
    int states_hold;    /* and states, dicts and tuples, are copied by the standard functions */
    PyTypeObject *usual_atoms[USUAL_ATOMS]; /* see is_usual_atom() in copier.h */
    Py_ssize_t atom_places[USUAL_ATOMS];    /* where in a set of this mask they were */
    Py_ssize_t atoms_mask;
    Py_hash_t dict_hash, tuple_hash;
    int atoms_vary;        /* _atomic_types is a set that may change: not watched */
    int atoms_first;       /* the version has _atomic_types */
    int args_by_generator; /* how arguments are copied */
};

/* The guard of the route's trials: the version of the type, and of the tables. */
ALWAYS_INLINE uint64_t
copyroute_guard(const struct copyroutes *routes, const struct copyroute *route)
{
    return routes->generation << 32 ^ route->version;
}

/* The route of a type as far as it is known, maybe from another epoch; NULL if it was never
   met. */
ALWAYS_INLINE struct copyroute *
copyroute_known(struct copyroutes *routes, PyTypeObject *type)
{
    return (struct copyroute *)weaktable_find(&routes->by_type, type);
}

ALWAYS_INLINE PyTypeObject *
copyroute_type(const struct copyroute *route)
{
    return (PyTypeObject *)route->weaktable_entry.key;
}

/* True if the facts and the plan of a route hold: neither the type nor its metaclass has changed.
 */
ALWAYS_INLINE int
copyroute_is_current(const struct copyroute *route)
{
    PyTypeObject *type = copyroute_type(route);
    return route->version != 0 && route->version == type_version(type)
           && route->metaclass_version != 0
           && route->metaclass_version == type_version(Py_TYPE((PyObject *)type));
}

/* Reads what may have changed of the copy module's tables.  Runs no Python code. */
void copyroute_read_again(struct core_state *state);

/* True if the interpreter has ended so far that copy.py has no builtins to call any more, and
   raises what it raises then.  Runs no Python code. */
ALWAYS_INLINE int
copyroute_is_over(struct core_state *state)
{
    if (likely(dictwatch_is_unchanged(&state->copy->routes->watch))) {
        return 0;
    }
    copyroute_read_again(state);
    return state->copy->routes->ended;
}

/* The tables are those of a new epoch.  Runs no Python code. */
ALWAYS_INLINE void
copyroute_refresh(struct core_state *state, uint64_t epoch)
{
    struct copyroutes *routes = state->copy->routes;
    routes->epoch = epoch;
    if (unlikely(!dictwatch_is_unchanged(&routes->watch) || routes->atoms_vary)) {
        copyroute_read_again(state);
    }
}

/* True if hashing and comparing a key is what it is for all ordinary classes. */
ALWAYS_INLINE int
copyroute_is_plain_key(PyObject *key)
{
    PyTypeObject *metaclass = Py_TYPE(key);
    return metaclass == &PyType_Type
           || (PyType_IsSubtype(metaclass, &PyType_Type)
               && metaclass->tp_hash == PyType_Type.tp_hash
               && metaclass->tp_richcompare == PyType_Type.tp_richcompare);
}

/* True if a look-up of a type in the tables runs no Python code. */
int copyroute_is_pure(struct core_state *state, PyTypeObject *type);

/* The questions of copyroute_confirm() that few routes need. */
int copyroute_holds_besides(const struct copyroutes *routes, const struct copyroute *route);

/* True if a route of another epoch holds in this one too, after a refresh, as nothing that decided
   its kind has changed; no table is asked.  Runs no Python code. */
ALWAYS_INLINE int
copyroute_confirm(struct copyroutes *routes, struct copyroute *route, uint64_t epoch)
{
    if (route->generation != routes->generation || !copyroute_is_current(route)) {
        return 0;
    }
    if ((routes->atoms_vary || route->kind == ROUTE_DEFAULT)
        && !copyroute_holds_besides(routes, route)) {
        return 0;
    }
    route->epoch = epoch;
    return 1;
}

/* The route of a type in this epoch, found again; NULL with an exception.  Runs no Python code
   if copyroute_is_pure says so, and if the type was met before. */
struct copyroute *copyroute_find(struct core_state *state, PyTypeObject *type, uint64_t epoch);

/* The entry in copy's own tables for a type whose route holds.  Runs no Python code. */
enum copyroute_shallow copyroute_look_shallowly(struct core_state *state,
                                                const struct copyroute *route);

/* The default_reduction of an instance that was copied by it in this epoch; borrowed. */
struct default_reduction *copyroute_known_default(struct core_state *state, PyObject *object);

/* Facts about a type, from its route if that is up to date. */
unsigned int copyroute_facts(struct core_state *state, PyTypeObject *type);

/* The facts and the plan of a type that is in no table, for a shallow copy after a refresh: the
   route, or NULL with an exception.  *plan is NULL if its instances must be asked. */
struct copyroute *copyroute_analyse(struct core_state *state, PyTypeObject *type,
                                    struct default_reduction **info);

int copyroute_setup(PyObject *module);
void copyroute_teardown(struct core_state *state);

#endif
