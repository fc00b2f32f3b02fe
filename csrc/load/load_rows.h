/* Objects of one class, one after another. */
#ifndef FASTCOPYREG_LOAD_LOAD_ROWS_H
#define FASTCOPYREG_LOAD_LOAD_ROWS_H

#include "load/load.h"

/* Behind an object that construct_taking() has made of this class, with its arguments taken: makes
   the objects that follow it in the same way.  The class may be dead: only a row that fetches it
   proves that it lives.  0, and the load goes on with the next opcode, wherever in a row that is;
   or -1 with an exception.  May run Python code. */
int load_rows(struct unpickler *unpickler, PyObject *cls);

#endif
