/* Arguments of functions called by vectorcall, read in the way of the tuple and dict.

   Only calls that are not the plain ones come here, so that their errors are worded as
   Python words them. */
#ifndef FASTCOPYREG_BASE_ARGUMENTS_H
#define FASTCOPYREG_BASE_ARGUMENTS_H

#include "base/compat.h"

/* PyArg_ParseTupleAndKeywords for a vectorcall.  The values stored are borrowed from the caller's
   arguments.  0, or -1 with an exception. */
int arguments_parse(PyObject *const *args, Py_ssize_t nargs, PyObject *names, const char *format,
                    char *const *keywords, ...);

#endif
