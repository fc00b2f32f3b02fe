/* Globals: from an object to the module and qualified name under which it is found.

   An object saved by name is found again by importing its module and following the dotted name.
   The pickler makes sure of that first, in the order, with the errors and with the imports of the
   running standard library, which changed both in 3.14. */
#ifndef FASTCOPYREG_BASE_NAMES_H
#define FASTCOPYREG_BASE_NAMES_H

#include "base/state.h"

struct global_name {
    PyObject *module_name;
    PyObject *name;   /* dotted, as it is saved in one string */
    PyObject *path;   /* list of the parts of the name */
    PyObject *parent; /* the object the last part was found on; NULL if the module (or 3.14) */
};

/* Finds it for `object`; `name` was returned by a reducer, or is NULL.  The fields are strong
   references, to be released with names_release() also after an error.  0 or -1.  May run Python
   code. */
int names_find(struct core_state *state, PyObject *object, PyObject *name,
               struct global_name *global);

void names_release(struct global_name *global);

/* Maps the names to those of Python 2, through the tables of _compat_pickle; exchanges the
   strong references.  0 or -1. */
int names_map_to_python2(struct core_state *state, PyObject **module_name, PyObject **name);

#endif
