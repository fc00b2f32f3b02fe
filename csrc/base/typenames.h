/* The name by which a pickle says where one of our types is. */
#ifndef FASTCOPYREG_BASE_TYPENAMES_H
#define FASTCOPYREG_BASE_TYPENAMES_H

#include "base/state.h"

/* Adds set_type_module() to the module; 0, or -1 with an exception set. */
int typenames_setup(PyObject *module);

#endif
