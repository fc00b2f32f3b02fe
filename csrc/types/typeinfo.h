/* The typeinfo of a type: how its objects come apart without a call, in dumps.

   The general way is to ask each object: look its reducer up, call it, take the tuple that it
   returns apart.  For most objects the answer is that of object.__reduce_ex__: the class, the
   __dict__, the slots.  A typeinfo has that answer in advance for a type.

   The rule.  A typeinfo is used only while everything that it was read from still holds, and
   everything that the user could see is the same.

     - The attributes of the type and its bases are guarded by the type's version, which is
       never 0 and never that of another type.  A typeinfo that has lost it is made anew.
       The version of its metaclass guards that the type is an ordinary class (metaclass.h).
     - The dispatch tables and copyreg.__newobj__ are looked at by typeinfo_verify().  Nothing
       changes without foreign code, so once an epoch is enough: `verified` is the epoch in
       which that was done.
     - Attributes of the instance that shadow methods of the type are looked for in each
       object, by the users of the typeinfo.

   A type gets a typeinfo when it is met for the second time: the first object of a type goes the
   general way, which also writes __slotnames__ to the class as it should.

   A typeinfo holds no class, function or module: a type is only compared.  A typeinfo is complete
   when it is published, and never edited but for the numbers of the current dump; when it is
   replaced, the old one is freed when no dump is under way. */
#ifndef FASTCOPYREG_TYPES_TYPEINFO_H
#define FASTCOPYREG_TYPES_TYPEINFO_H

#include "base/namecache.h"
#include "base/state.h"
#include "plans/plan.h"
#include "plans/trial.h"
#include "values/values.h"
#include "plans/room.h"
#include "types/room.h"

enum typeinfo_kind {
    TYPEINFO_SEEN,    /* met once; nothing was read yet */
    TYPEINFO_GENERAL, /* to be asked */
    TYPEINFO_DEFAULT, /* object.__reduce_ex__ with object.__getstate__ */
    TYPEINFO_VALUE    /* of the standard library, with a row in values.c */
};

/* The arguments of __new__, besides the class; of a set, those of the class. */
enum typeinfo_arguments {
    ARGUMENTS_NONE,
    ARGUMENTS_ELEMENTS, /* a named tuple's: its elements */
    ARGUMENTS_SET,      /* a new list of the elements, by set's own __reduce__ */
    ARGUMENTS_TUPLE,    /* a copy of the object as what its base is */
    ARGUMENTS_STR,
    ARGUMENTS_BYTES,
    ARGUMENTS_INT,
    ARGUMENTS_FLOAT
};

/* The items that follow the construction, and come before the state. */
enum typeinfo_items { ITEMS_NONE, ITEMS_OF_LIST, ITEMS_OF_DICT };

struct typeinfo_slot {
    PyObject *name; /* interned; strong */
    Py_ssize_t offset;
    uint32_t index; /* in the memo of `names_dump` */
};

enum { TYPEINFO_SHARED_KEYS = 32 };

/* No enumerator, which C11 has as an int. */
#define NO_INDEX UINT32_MAX

struct typeinfo {
    PyTypeObject *type;             /* only compared */
    unsigned int version;           /* 0: its objects are asked */
    unsigned int metaclass_version; /* that of its metaclass; 0: the type is no ordinary class */
    enum typeinfo_kind kind;
    uint64_t verified;      /* the epoch in which the guards were looked at */
    uint64_t stamp;         /* the time (namecache.h) in which `reducer` is what is registered */
    PyObject *reducer;      /* borrowed from copyreg.dispatch_table; NULL: there is none */
    PyObject *uncompilable; /* only compared: the code of the reducer, if that is always called */
    struct trial trial;     /* of the reducer's plan, in dumps */
    Py_hash_t hash;         /* of the type, as a key of dispatch tables */
    /* The class as a global. */
    PyObject *module_name; /* strong; NULL if it is not a plain global */
    PyObject *qualname;
    struct namecache_entry place;
    int name_is_made;    /* the qualified name is a new str whenever it is asked for */
    uint64_t class_dump; /* the dump in which the class has the number class_index */
    uint32_t class_index;
    enum typeinfo_arguments arguments;
    enum typeinfo_items items;
    int nests; /* others may be saved before the state of an object is */
    /* Of TYPEINFO_GENERAL: objects reduce by default, but for the state, which a function
       __getstate__ gives. */
    int gives_state;
    /* Fields. */
    int frozen;           /* the state is a list of the slots, by dataclasses' own __getstate__;
                             some of them may be FROZEN_IN_DICT instead */
    int flat;             /* the state is slots alone */
    int has_dict;         /* instances have a __dict__ of their own kind */
    Py_ssize_t keys_seen; /* shared keys looked at: none of them shadows a method */
    PyObject *slotnames;  /* cls.__slotnames__, a list; strong; NULL if it is not asked for */
    Py_ssize_t slot_count;
    struct typeinfo_slot *slots;
    /* The numbers of the attribute names in the memo of one dump. */
    uint64_t names_dump;
    uint32_t name_index[TYPEINFO_SHARED_KEYS]; /* by place in the shared keys */
    const struct value *value;                 /* the row of a type of values.c */
    struct typeinfo *retired;                  /* the next of those to be freed */
};

enum { TYPEINFO_TABLE = 512, TYPEINFO_PROBES = 4 };

struct typeinfo_cache {
    struct typeinfo *table[TYPEINFO_TABLE + TYPEINFO_PROBES];
    struct typeinfo *retired;
    struct typeinfo none; /* of types for which there is no memory */
    struct namecache_entry newobj_place;
    uint64_t newobj_epoch; /* in which copyreg.__newobj__ was found to be the original */
    int busy;              /* dumps, loads and copies under way */
};

/* Makes the cache.  0 or -1. */
int typeinfo_setup(PyObject *module);

/* Frees everything. */
void typeinfo_teardown(struct core_state *state);

/* Around each dump and copy: a typeinfo in use is not freed. */
static inline void
typeinfo_enter(struct core_state *state)
{
    state->types->infos->busy++;
    thread_calls++;
}

/* Frees what was kept only for what was under way.  May run Python code. */
void typeinfo_free_unused(struct core_state *state);

/* May run Python code. */
static inline void
typeinfo_leave(struct core_state *state)
{
    struct typeinfo_cache *cache = state->types->infos;
    thread_calls--;
    if (--cache->busy == 0
        && unlikely(cache->retired != NULL || state->plans->store->table.dead != NULL)) {
        typeinfo_free_unused(state);
    }
}

/* The slow part of typeinfo_find(): meets a type for the first or second time.  Never NULL: a type
   for which there is no memory has TYPEINFO_GENERAL.  Runs no Python code. */
struct typeinfo *typeinfo_meet(struct core_state *state, PyTypeObject *type);

/* Where a type may be: from here on, TYPEINFO_PROBES places. */
static inline size_t
typeinfo_place(PyTypeObject *type)
{
    uintptr_t address = (uintptr_t)type;
    return ((address >> 4) ^ (address >> 13)) & (TYPEINFO_TABLE - 1);
}

/* The typeinfo of a type that has one already, or NULL; the type is not counted as met. */
ALWAYS_INLINE struct typeinfo *
typeinfo_known(struct core_state *state, PyTypeObject *type)
{
    struct typeinfo **places = &state->types->infos->table[typeinfo_place(type)];
    for (int i = 0; i < TYPEINFO_PROBES && places[i] != NULL; i++) {
        struct typeinfo *info = places[i];
        if (likely(info->type == type && info->kind != TYPEINFO_SEEN
                   && info->version == type_version(type))) {
            return info;
        }
    }
    return NULL;
}

/* The typeinfo of a type; borrowed, valid until typeinfo_leave(). */
ALWAYS_INLINE struct typeinfo *
typeinfo_find(struct core_state *state, PyTypeObject *type)
{
    struct typeinfo *info = typeinfo_known(state, type);
    return likely(info != NULL) ? info : typeinfo_meet(state, type);
}

/* The guard of info->trial; the version of the type is the typeinfo's.  `reducer`: of the table,
   or NULL for one of the type. */
ALWAYS_INLINE uint64_t
typeinfo_guard(struct core_state *state, PyObject *reducer)
{
    return namecache_stamp(state) ^ (uint64_t)(uintptr_t)reducer;
}

/* True if the class still has the metaclass that it had, and that has not changed. */
static inline int
typeinfo_metaclass_holds(const struct typeinfo *info)
{
    return info->metaclass_version != 0
           && type_version(Py_TYPE((PyObject *)info->type)) == info->metaclass_version;
}

/* The slow part of typeinfo_knows_reducer(). */
int typeinfo_learn_reducer(struct core_state *state, struct typeinfo *info);

/* True if info->reducer is the reducer that copyreg.dispatch_table has for the type, now.  Runs no
   Python code. */
ALWAYS_INLINE int
typeinfo_knows_reducer(struct core_state *state, struct typeinfo *info)
{
    uint64_t stamp = namecache_stamp(state);
    return likely(stamp != 0 && info->stamp == stamp && typeinfo_metaclass_holds(info))
           || typeinfo_learn_reducer(state, info);
}

/* True if the reducer, a function, is known to be one that is always called. */
ALWAYS_INLINE int
typeinfo_reducer_is_uncompilable(struct core_state *state, const struct typeinfo *info,
                                 PyObject *reducer)
{
    return info->uncompilable != NULL && info->reducer == reducer && info->stamp != 0
           && info->stamp == namecache_stamp(state)
           && PyFunction_GET_CODE(reducer) == info->uncompilable;
}

/* True if the reducer, which is in the table now, is called for the object at hand because its
   plan rests. */
ALWAYS_INLINE int
typeinfo_rests(struct core_state *state, struct typeinfo *info)
{
    return info->trial.left != 0 && typeinfo_knows_reducer(state, info) && info->reducer != NULL
           && trial_rests(&info->trial, typeinfo_guard(state, info->reducer));
}

/* True if everything outside of the type still is as the typeinfo says: no reducer in the table
   (private or shared), copyreg.__newobj__ the original.  The latter is looked at once in an epoch
   of a pickler.  Runs no Python code. */
int typeinfo_verify(struct core_state *state, struct typeinfo *info, PyObject *private_table,
                    uint64_t epoch);

/* The same where the table has been asked, in this epoch, and has no reducer. */
int typeinfo_verify_unregistered(struct core_state *state, struct typeinfo *info, uint64_t epoch);

/* True if the class would be found again under the names that the typeinfo has, by an import that
   does nothing.  Runs no Python code. */
static inline int
typeinfo_names_hold(struct core_state *state, struct typeinfo *info)
{
    PyObject *type = (PyObject *)info->type;
    return info->module_name != NULL && typeinfo_metaclass_holds(info)
           && (info->name_is_made || ((PyHeapTypeObject *)type)->ht_qualname == info->qualname)
           && PyDict_GET_SIZE(state->stdlib.extension_registry) == 0
           && namecache_in_module(state, info->module_name, info->qualname, &info->place) == type
           && namecache_imports_as_usual(state);
}

/* True if the state of a frozen class is a list of the slots that the typeinfo has, and gets made
   without anybody watching.  Runs no Python code. */
int typeinfo_is_frozen(struct core_state *state, const struct typeinfo *info);

/* True if the type is made by collections.namedtuple(), whose __getnewargs__ gives the elements
   and is monitored by no tool. */
int typeinfo_is_namedtuple(struct core_state *state, PyTypeObject *type);

/* True if the shared keys of the type's instances shadow a method that the reduction asks for, in
   which case its instances are asked one by one. */
int typeinfo_check_shared_keys(struct core_state *state, struct typeinfo *info,
                               struct layout_keys *keys);

/* True if a __dict__ shadows a method; also if that cannot be seen without running Python code. */
int typeinfo_dict_shadows(struct core_state *state, const struct typeinfo *info, PyObject *dict);

/* True if an attribute of an object of the type shadows a method. */
int typeinfo_object_shadows(struct core_state *state, struct typeinfo *info, PyObject *object);

#endif
