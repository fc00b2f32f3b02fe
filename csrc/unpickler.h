/* The Unpickler type, load and loads. */
#ifndef FASTCOPYREG_UNPICKLER_H
#define FASTCOPYREG_UNPICKLER_H

#include "module.h"

/* Adds the type and the functions to the module.  0, or -1 with an exception. */
int unpickler_setup(PyObject *module);

/* Frees what is kept between calls of loads. */
void unpickler_teardown(struct core_state *state);

#endif
