/* Reading ahead in a file for the prescan, without anybody noticing.

   The prescan (prescan.h) has to see a pickle to its end before the first opcode is executed, and
   a load must not read a file a byte too far.  So the bytes ahead are read apart from the load: of
   a BytesIO or an mmap by its own read(), after which the file is put back, with nothing run in
   between; of a regular file at its descriptor, which does not move.  The size that is read grows
   with the pickle, so that many small pickles in one file cost no more than their own size.

   The bytes read ahead are advice.  The load itself reads the file by its methods, as often, as
   much and in the order in which the standard library does, and the file's position is at each
   moment the same as there.  Each window that is read so is compared with the bytes that were
   scanned (reader.h), and where they differ, because foreign code has moved the file or written to
   it, the memo is in full from there (load_memo_doubt()).  Only the head and the first frame of a
   BytesIO or mmap are not read again: nothing can run before all of it is read, so it is moved
   behind them.

   A small pickle without frames, in which nothing can run, is loaded from the bytes read ahead;
   only an error can tell where the file stands then, and the file is put there.

   Files whose methods are shadowed, objects that may be no such file, pickles without frames that
   are larger than what is read first, and those that are not understood are loaded without a
   prescan. */
#ifndef FASTCOPYREG_LOAD_READ_AHEAD_H
#define FASTCOPYREG_LOAD_READ_AHEAD_H

#include "load/load.h"

/* The place of the pickle that comes next. */
struct ahead_of_load {
    size_t size;         /* the pickle's if all of it is in the window, else 0 */
    PyObject *file;      /* one that is behind the pickle and should not be, if an error ... */
    Py_ssize_t position; /* ... is met: where the pickle begins; borrowed, or NULL */
};

/* Scans the pickle that comes next in the file of the machine, whose memo is empty, and prepares
   the memo if it was understood.  0, or -1 with an exception.  May run Python code. */
int read_ahead(struct unpickler *unpickler, struct ahead_of_load *ahead);

/* Behind an error, puts the file where the load has come to.  Keeps the exception. */
void read_ahead_undo(struct unpickler *unpickler, const struct ahead_of_load *ahead);

#endif
