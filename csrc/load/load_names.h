/* Globals found by their names the short way: from sys.modules to the module's dict.

   This way is gone only where the general one (load_global.c) would do nothing else: __import__ is
   the original, the module is exact and initialised, and the value is a class or function, so
   neither a descriptor nor imported lazily.

   All of that is checked each time.  Only names are kept between calls, by their bytes in the
   pickle, and the place where a name was (namecache.h): mostly the name is there again. */
#ifndef FASTCOPYREG_LOAD_LOAD_NAMES_H
#define FASTCOPYREG_LOAD_LOAD_NAMES_H

#include "base/namecache.h"

/* Where a module's dict was found, and what says that its import is over. */
struct module_place {
    struct namecache_entry entry;
    Py_ssize_t spec;         /* in the module's dict */
    Py_ssize_t initializing; /* among the attributes of the spec */
};

/* The two names of a global.  A dotted module's package is imported with it. */
struct global_names {
    PyObject *module_name;
    PyObject *name;
    PyObject *package; /* NULL if the module's name has no dot */
    int simple;        /* the short way may be tried */
    struct module_place module_place;
    struct module_place package_place;
};

/* The names that these bytes say, of which the first `module_size` are the module's and the last
   `name_size` the global's; kept until others take their place.  NULL, with an exception or not,
   without memory or if the bytes are too many. */
struct global_names *load_names_seen(struct core_state *state, const unsigned char *bytes,
                                     size_t size, size_t module_size, size_t name_size);

/* The global by the short way; strong, or NULL without an exception.  Runs no Python code. */
PyObject *load_names_find(struct core_state *state, struct global_names *names);

/* The same for names that are not kept, with MemoryError or without an exception. */
PyObject *load_names_find_unseen(struct core_state *state, PyObject *module_name, PyObject *name);

/* find_class() of names that load_names_seen() gave, in a pickle of protocol 3 or later; strong,
   or NULL with an exception.  Runs Python code. */
PyObject *load_find_seen(struct core_state *state, int protocol, struct global_names *names);

/* Frees the names kept. */
void load_names_teardown(struct core_state *state);

#endif
