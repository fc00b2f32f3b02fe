/* Which memo indices a pickle fetches. */
#ifndef FASTCOPYREG_LOAD_PRESCAN_H
#define FASTCOPYREG_LOAD_PRESCAN_H

#include "base/state.h"

struct prescan {
    unsigned char *wanted; /* by memo index: true if a GET names it */
    size_t capacity;
    size_t count; /* memo indices that the pickle puts: 0 to count - 1 */
    /* An object is made and not put into the memo at once, so containers may be all
       that keeps it: they are stored too. */
    int keeps_all;
    int runs_nothing; /* nothing in it finds, makes or calls objects that could be foreign */
    size_t size;      /* of the part that was understood: to behind STOP, if that was found */
    size_t missing;   /* if it was not understood because it ended too early: how much at least */
};

/* Reads the pickle that starts at `at`, in memory that nobody can change.  1 if the result holds
   for the load of these bytes, 0 if they are not understood and everything must be stored.
   `is_all`: no more bytes can follow.  Raises nothing and runs no Python code. */
int prescan(struct prescan *result, const unsigned char *at, const unsigned char *end, int is_all);

#endif
