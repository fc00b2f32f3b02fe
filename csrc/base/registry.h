/* copyreg's tables: reducers and extension codes.

   The tables are the standard library's own objects.  They are read at each use, never
   copied, so that a change takes effect exactly when it does there. */
#ifndef FASTCOPYREG_BASE_REGISTRY_H
#define FASTCOPYREG_BASE_REGISTRY_H

#include "base/metaclass.h"
#include "base/state.h"

/* Looks the reducer of `type` up in copyreg.dispatch_table or, if a pickler has a table of
   its own, in that one alone.  1 and a strong reference, 0 and NULL, or -1 with an
   exception.  May run Python code. */
int registry_find_reducer(struct core_state *state, PyObject *private_table, PyTypeObject *type,
                          PyObject **reducer);

enum { REGISTRY_FOREIGN = 2 };

/* The same without running Python code; REGISTRY_FOREIGN and nothing done if that may take some.
 */
int registry_find_quietly(struct core_state *state, PyObject *private_table, PyTypeObject *type,
                          PyObject **reducer);

/* 1 and what copyreg.dispatch_table gives for the type as long as neither it nor the metaclass
   changes: borrowed, or NULL for nothing; 0 if that cannot be told.  Runs no Python code. */
int registry_find_lasting(struct core_state *state, PyTypeObject *type, PyObject **reducer);

enum { REGISTRY_DICTS = 8 };

/* The dicts in which looking a type up in a table looks, one after the other: the table
   itself, or those of a ChainMap.  Their number; 0 if looking up may run Python code.
   Borrowed, and good until Python code runs. */
int registry_dicts(struct core_state *state, PyObject *private_table,
                   PyObject *dicts[REGISTRY_DICTS]);

/* True if a class whose hash is known is in none of these dicts, nor can be.  Runs no Python code.
 */
int registry_lacks(struct core_state *state, PyObject *private_table, PyTypeObject *type,
                   Py_hash_t hash);

/* True if registry_find_quietly() would say so. */
static inline int
registry_find_is_foreign(struct core_state *state, PyObject *private_table, PyTypeObject *type)
{
    PyObject *dicts[REGISTRY_DICTS];
    return !metaclass_leaves_alone(state, type)
           || registry_dicts(state, private_table, dicts) == 0;
}

/* Remembers what a ChainMap is before anybody changes it.  0 or -1. */
int registry_setup(PyObject *module);

/* The code under which copyreg.add_extension() registered a global: 1 and a strong
   reference to whatever is in the table, 0 and NULL, or -1.  May run Python code if a
   name is of a subclass of str. */
int registry_find_extension(struct core_state *state, PyObject *module_name, PyObject *name,
                            PyObject **code);

#endif
