/* Where a reader reads from: memory, or a file. */
#ifndef FASTCOPYREG_LOAD_READER_OPEN_H
#define FASTCOPYREG_LOAD_READER_OPEN_H

#include "load/reader.h"

/* Takes the methods of a file.  0, or -1 with an exception and nothing taken.  Runs
   Python code. */
int reader_open_file(struct reader *reader, PyObject *file);

/* Reads from a bytes-like object, which is held until the reader is closed.  Others than bytes and
   a view of bytes are copied up to a size, so that nobody can change what is read, unless most of
   them is the contents of few objects.  0, or -1 with an exception.  May run Python code. */
int reader_open_memory(struct reader *reader, PyObject *input);

/* Loads what reader_open_memory() has copied from where it lies, since a prescan gains nothing;
   the memory of the copy is free. */
void reader_leave_copy(struct reader *reader);

#endif
