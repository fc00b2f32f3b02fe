/* The Pickler type, dump and dumps. */
#ifndef FASTCOPYREG_PICKLER_H
#define FASTCOPYREG_PICKLER_H

#include "module.h"

/* Adds the type and the functions to the module.  0, or -1 with an exception. */
int pickler_setup(PyObject *module);

/* Frees what is kept between calls of dumps. */
void pickler_teardown(struct core_state *state);

#endif
