/* Classes that find the attributes of their instances as object does.

   object.__getattribute__ looks into the class and the instance.  A class that has a __getattr__
   too looks there first, and asks that one only for names that it has not found: models and
   proxies are such.  So an attribute that is there is the same with and without it, and the
   absence of one is for the function to tell.

   The version of a class covers which of both it has. */
#ifndef FASTCOPYREG_BASE_LOOKUP_H
#define FASTCOPYREG_BASE_LOOKUP_H

#include "base/state.h"

/* True if all attributes that are there are found by object.__getattribute__.  Runs no Python
   code. */
ALWAYS_INLINE int
lookup_is_plain(struct core_state *state, PyTypeObject *type)
{
    return likely(type->tp_getattro == PyObject_GenericGetAttr)
           || (type->tp_getattro == state->getattr_hook
               && type_lookup(type, state->str.getattribute)
                      == type_lookup(&PyBaseObject_Type, state->str.getattribute));
}

/* Learns which tp_getattro a class with a __getattr__ has, from such a class.  0 or -1. */
int lookup_setup(PyObject *module);

#endif
