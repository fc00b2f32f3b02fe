/* BUILD: the state that a reduction has, given to an object that is there; the mirror of saving
   it. */
#ifndef FASTCOPYREG_LOAD_LOAD_BUILD_H
#define FASTCOPYREG_LOAD_LOAD_BUILD_H

#include "base/handed.h"
#include "load/load_keys.h"

/* BUILD: __setstate__, or items into __dict__ under interned keys and then attributes by setattr.
   Containers that a function is handed are kept, if `handed` is not NULL.  0, or -1 with an
   exception.  Runs Python code. */
int load_build_state(struct core_state *state, struct key_bounds *bounds, struct handed *handed,
                     PyObject *object, PyObject *object_state);

#endif
