/* What lies ahead in a file, read for the prescan without anybody noticing.

   The prescan (prescan.h) has to see a pickle to its end before the first opcode is executed, and
   a load must not read a file a byte too far.  So what is ahead is read by the side: of a BytesIO
   by its own read(), after which it is put back, with nothing run in between; of a regular file
   at its descriptor, which does not move.  How much is read grows with what the pickle turns out
   to have, so that many small pickles in one file cost time for what they are.

   What is ahead is advice.  The load itself reads the file by its methods, as often, as much and
   in the order in which the standard library does, and its position is at each moment what it is
   there.  Each window that is read so is compared with what was scanned (reader.h), and where they
   differ, because foreign code has moved the file or written to it, the memo is in full from
   there (load_memo_doubt()).  Only the head and the first frame of a BytesIO are not read again:
   nothing can run before all of it is read, so it is moved behind them.

   A small pickle without frames, in which nothing can run, is loaded from what was read; only an
   error can tell where the file stands then, and it is put there.

   Whose methods are hidden by others, whatever could be anything else, and what is not understood
   is loaded without a prescan. */
#ifndef FASTCOPYREG_LOAD_READ_AHEAD_H
#define FASTCOPYREG_LOAD_READ_AHEAD_H

#include "load/load.h"

/* What was found of the pickle that comes next. */
struct ahead_of_load {
    size_t size;    /* the pickle's if all of it is in the window, else 0 */
    PyObject *file; /* a BytesIO that is behind the pickle and should not be, if an error ... */
    Py_ssize_t position; /* ... is met: where the pickle begins; borrowed, or NULL */
};

/* Scans the pickle that comes next in the file of the machine, whose memo is empty, and prepares
   the memo if it was understood.  0, or -1 with an exception.  May run Python code. */
int read_ahead(struct unpickler *unpickler, struct ahead_of_load *found);

/* Behind an error, puts the file where the load has come to.  Keeps the exception. */
void read_ahead_undo(struct unpickler *unpickler, const struct ahead_of_load *found);

#endif
