/* The functions of fastcopyreg.safe that are in C. */
#ifndef FASTCOPYREG_LOAD_SAFE_FUNCTIONS_H
#define FASTCOPYREG_LOAD_SAFE_FUNCTIONS_H

#include "base/state.h"

/* Adds Policy, safe_loads(), safe_load(), set_policy() and set_safe() to the module.  0, or -1
   with an exception. */
int safe_setup(PyObject *module);

#endif
