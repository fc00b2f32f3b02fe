/* Names found in modules, and how long what was found holds.

   Whoever pickles a class finds it again first: the class is what a module of sys.modules has
   under its name.  The simple way is four look-ups for each call of dumps, and for a small object
   they are most of the call.  But sys.modules, the builtins and copyreg.dispatch_table hardly ever
   change, so they are watched (watch.h): a stamp is the number of a time in which none of them
   did.

   A module's own dict changes all the time where a program keeps counters in globals.  It is not
   watched: a name is looked for at the place where it was, and what the place holds is what a
   look-up would give, since the key is that very str.

   What is found is borrowed.  A module is held by sys.modules while the stamp is the same, and its
   dict by the module.  No function here runs Python code.

   An interpreter that ends gives up sys.modules, and runs finalisers after that: nothing is found
   then, and nothing holds.  (It empties the builtins before, which ends the last stamp.) */
#ifndef FASTCOPYREG_FOUND_H
#define FASTCOPYREG_FOUND_H

#include "layout.h"
#include "module.h"
#include "watch.h"

/* 0, or -1 with MemoryError. */
int found_setup(PyObject *module);
void found_teardown(struct core_state *state);

/* Where a name was found.  All zero: nowhere. */
struct found_name {
    uint64_t stamp;   /* under which module and dict are good */
    PyObject *module; /* of sys.modules; exact when it was found */
    PyObject *dict;   /* the module's */
    Py_ssize_t index; /* of the name in it */
};

struct found {
#if KNOWN_LAYOUT
    struct watch watch;
#endif
    uint64_t stamp;       /* counts the times that something has changed; 0: nothing is watched */
    int imports_as_usual; /* the builtins have the original __import__ */
    Py_ssize_t builtins_at;     /* where the caller's globals have their builtins */
    struct found_name datetime; /* the capsule of datetime's C API */
};

#if KNOWN_LAYOUT

/* The slow part of found_stamp(). */
uint64_t found_renew(struct core_state *state);

/* The number of the time since sys.modules, the builtins and copyreg.dispatch_table last changed;
   0 if that cannot be told. */
ALWAYS_INLINE uint64_t
found_stamp(struct core_state *state)
{
    struct found *found = state->found;
    return likely(watch_is_unchanged(&found->watch)) ? found->stamp : found_renew(state);
}

/* Whether an interpreter that ends has emptied its builtins already, which it does first. */
int found_builtins_are_gone(struct core_state *state);

/* Ends that time: something else is gone that was taken to last as long. */
void found_forget(struct core_state *state);

#else

static inline uint64_t
found_stamp(struct core_state *Py_UNUSED(state))
{
    return 0;
}

static inline void
found_forget(struct core_state *Py_UNUSED(state))
{
}

#endif

/* The dict of all modules, which is what sys.modules was at first; borrowed, NULL without an
   exception where the interpreter has none any more. */
PyObject *found_modules(struct core_state *state);

/* Whether the interpreter has ended so far that there are no modules any more: soon there are no
   codecs either, and who asks for one then ends the process. */
static inline int
found_is_over(struct core_state *state)
{
    return unlikely(found_stamp(state) == 0) && found_modules(state) == NULL;
}

/* The dict of the exact module that sys.modules has under the name, which is an exact str; NULL
   without an exception if there is none. */
PyObject *found_look_for_module(struct core_state *state, PyObject *module_name,
                                struct found_name *place);

ALWAYS_INLINE PyObject *
found_module_dict(struct core_state *state, PyObject *module_name, struct found_name *place)
{
    uint64_t stamp = found_stamp(state);
    return likely(stamp != 0 && place->stamp == stamp && PyModule_CheckExact(place->module))
               ? place->dict
               : found_look_for_module(state, module_name, place);
}

/* What that module holds under the name, an exact str; NULL without an exception. */
ALWAYS_INLINE PyObject *
found_in_module(struct core_state *state, PyObject *module_name, PyObject *name,
                struct found_name *place)
{
    PyObject *dict = found_module_dict(state, module_name, place);
    return dict == NULL ? NULL : layout_find_name(dict, name, &place->index);
}

/* Whether PyImport_Import() would call the original __import__. */
int found_imports_as_usual(struct core_state *state);

#endif
