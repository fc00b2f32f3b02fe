/* The functions copy, deepcopy and replace as objects.

   The standard library's are Python functions: they bind when a class holds them, have
   a signature, take attributes, and pickle by name.  Builtin functions do not bind.  So
   these are of a type of their own, which has name, doc and signature of the function that
   it stands for (its __wrapped__).  Calls with arguments that are not the
   usual ones go to that function too, for its results and its errors. */
#ifndef FASTCOPYREG_COPY_COPYFUNCTION_H
#define FASTCOPYREG_COPY_COPYFUNCTION_H

#include "base/state.h"

/* Adds the type and the functions to the module.  0, or -1 with an exception. */
int copyfunction_setup(PyObject *module);

#endif
