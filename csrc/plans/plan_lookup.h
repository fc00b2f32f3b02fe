/* What a name means for an object, told without making an object and without running Python code:
   for plans of hooks, whose values are borrowed.  Each function gives NULL, and no exception,
   where the lookup could run code, would make an object, or fails; what it gives is held by what
   it was found in, until Python code runs. */
#ifndef FASTCOPYREG_PLANS_PLAN_LOOKUP_H
#define FASTCOPYREG_PLANS_PLAN_LOOKUP_H

#include "base/state.h"

/* owner.name of a module, a class (but for its names, see below), an instance, or of a method
   (__func__, __self__). */
PyObject *plan_lookup_attribute(struct core_state *state, PyObject *owner, PyObject *name);

/* The function that owner.name binds to the owner; or, if `is_static`, that a staticmethod of the
   owner's type gives. */
PyObject *plan_lookup_method(struct core_state *state, PyObject *owner, PyObject *name,
                             int is_static);

/* What super(cls, owner).name binds to the owner: a function, or a method in C. */
PyObject *plan_lookup_super(struct core_state *state, PyObject *cls, PyObject *owner,
                            PyObject *name);

/* True if a value is the method persistent_id of our own Pickler, which returns None. */
int plan_lookup_is_own_hook(struct core_state *state, PyObject *value);

/* The __name__, __qualname__ or __module__ of a class, an exact str; strong. */
PyObject *plan_lookup_class_name(struct core_state *state, PyTypeObject *cls, PyObject *name);

#endif
