/* Where a process keeps the standard library's functions and classes. */
#ifndef FASTCOPYREG_BASE_PLACES_H
#define FASTCOPYREG_BASE_PLACES_H

#include "base/state.h"

/* Adds find_names() and find_holders() to the module; 0, or -1 with an exception set. */
int places_setup(PyObject *module);

#endif
