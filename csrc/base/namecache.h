/* The name cache: globals where they were found, and for how long they are still there.

   A class is pickled by name only if a module of sys.modules has that very class under the name.
   To make sure takes four look-ups for each call of dumps, which are most of the call for a small
   object.  But sys.modules, the builtins and copyreg.dispatch_table hardly ever change, so they
   are watched (dictwatch.h): a stamp is the number of a time in which none of them did.

   A module's own dict changes all the time where a program keeps counters in globals.  Such a dict
   is not watched: a name is looked for at the place where it was, and the value there is the one
   that a look-up would give, since the key is that very str.

   Everything found is borrowed.  A module is held by sys.modules while the stamp is the same, and
   its dict by the module.  No function here runs Python code.

   An interpreter that ends gives up sys.modules, and runs finalisers after that: nothing is found
   then, and nothing holds.  (It empties the builtins before, which ends the last stamp.) */
#ifndef FASTCOPYREG_BASE_NAMECACHE_H
#define FASTCOPYREG_BASE_NAMECACHE_H

#include "base/layout.h"
#include "base/state.h"
#include "base/dictwatch.h"

/* 0, or -1 with MemoryError. */
int namecache_setup(PyObject *module);
void namecache_teardown(struct core_state *state);

/* Where a name was found.  All zero: nowhere. */
struct namecache_entry {
    uint64_t stamp;   /* under which module and dict are good */
    PyObject *module; /* of sys.modules; exact when it was found */
    PyObject *dict;   /* the module's */
    Py_ssize_t index; /* of the name in it */
};

struct namecache {
    struct dictwatch watch;
    uint64_t stamp;       /* counts the times that something has changed; 0: nothing is watched */
    int imports_as_usual; /* the builtins have the original __import__ */
    Py_ssize_t builtins_at;          /* where the caller's globals have their builtins */
    struct namecache_entry datetime; /* the capsule of datetime's C API */
};

/* The slow part of namecache_stamp(). */
uint64_t namecache_renew(struct core_state *state);

/* The number of the time since sys.modules, the builtins and copyreg.dispatch_table last changed;
   0 if that cannot be told. */
ALWAYS_INLINE uint64_t
namecache_stamp(struct core_state *state)
{
    struct namecache *cache = state->namecache;
    return likely(dictwatch_is_unchanged(&cache->watch)) ? cache->stamp : namecache_renew(state);
}

/* True if an interpreter that ends has emptied its builtins already, which it does first. */
int namecache_builtins_are_gone(struct core_state *state);

/* Ends that time: something else is gone that was taken to last as long. */
void namecache_forget(struct core_state *state);

/* The dict of all modules, which is what sys.modules was at first; borrowed, NULL without an
   exception where the interpreter has none any more. */
PyObject *namecache_modules(struct core_state *state);

/* True if the interpreter has ended so far that there are no modules any more: soon there are no
   codecs either, and who asks for one then ends the process. */
static inline int
namecache_is_over(struct core_state *state)
{
    return unlikely(namecache_stamp(state) == 0) && namecache_modules(state) == NULL;
}

/* The dict of the exact module that sys.modules has under the name, which is an exact str; NULL
   without an exception if there is none. */
PyObject *namecache_look_for_module(struct core_state *state, PyObject *module_name,
                                    struct namecache_entry *place);

ALWAYS_INLINE PyObject *
namecache_module_dict(struct core_state *state, PyObject *module_name,
                      struct namecache_entry *place)
{
    uint64_t stamp = namecache_stamp(state);
    return likely(stamp != 0 && place->stamp == stamp && PyModule_CheckExact(place->module))
               ? place->dict
               : namecache_look_for_module(state, module_name, place);
}

/* The value that the module has under the name, an exact str; NULL without an exception. */
ALWAYS_INLINE PyObject *
namecache_in_module(struct core_state *state, PyObject *module_name, PyObject *name,
                    struct namecache_entry *place)
{
    PyObject *dict = namecache_module_dict(state, module_name, place);
    return dict == NULL ? NULL : layout_find_name(dict, name, &place->index);
}

/* True if PyImport_Import() would call the original __import__. */
int namecache_imports_as_usual(struct core_state *state);

#endif
