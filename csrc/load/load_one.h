/* A pickle that is one call with atoms as arguments, one instance with a state of atoms, or one
   dict of atoms, as programs load them that pickle each object by itself.

   The machine would be set up, the pickle scanned for fetches from its memo, and the opcodes
   executed one by one, for an object that takes less time to make.  Here all opcodes are compared
   with those that pickling such an object gives; nothing has happened yet when that fails, and the
   machine (load.h) does everything.  Else the object is made at once: nothing in such a pickle is
   fetched from the memo, and the state dict is seen by nobody where its values can go straight
   into the instance (load_state.h). */
#ifndef FASTCOPYREG_LOAD_LOAD_ONE_H
#define FASTCOPYREG_LOAD_LOAD_ONE_H

#include "base/state.h"

/* 1 and the object, strong, or NULL with an exception; 0 and nothing done if the opcodes are
   others, or the policy, which may be NULL, does not allow them.  The bytes cannot change
   meanwhile.  Runs Python code. */
int load_one(struct core_state *state, PyObject *policy, const unsigned char *at, size_t size,
             PyObject **object);

/* The object of a pickle that is one number, text, None or bool: 1 and the object, strong, or NULL
   with an exception; 0 if it is none.  Runs no Python code. */
int load_atom(struct core_state *state, PyObject *bytes, PyObject **object);

#endif
