/* Files of io whose methods are their own, so that their behaviour is known. */
#ifndef FASTCOPYREG_LOAD_PLAIN_FILE_H
#define FASTCOPYREG_LOAD_PLAIN_FILE_H

#include "load/reader.h"

/* True if an object is of a type of C with this name, which nobody can change. */
int file_is_exactly(PyObject *object, const char *name);

/* True if an object of a type of C has no more attributes of its own than so many, as far as that
   can be told. */
int file_has_few_attributes(PyObject *object, Py_ssize_t most);

/* The file that is read, if it is of io and all its methods are its own, and those of the object
   it reads from too; borrowed, or NULL.  Runs no Python code. */
PyObject *file_find_plain(const struct reader *reader);

/* True if readinto() writes as many bytes as it returns: io's own, of a file that reads from no
   object of others.  A buffered reader passes the memory to its raw file.  Runs no Python code. */
int file_trusts_readinto(const struct reader *reader);

#endif
