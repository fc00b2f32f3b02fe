/* The name by which a pickle says where one of our types is. */
#ifndef FASTCOPYREG_NAMING_H
#define FASTCOPYREG_NAMING_H

#include "module.h"

/* Adds set_type_module() to the module; 0, or -1 with an exception set. */
int naming_setup(PyObject *module);

#endif
