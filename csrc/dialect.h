/* What the running standard library writes, asked of it once at import.

   Versions, and micro versions of one minor, differ in what bytes they write for the
   same object and in when they refuse one.  A version test would be wrong for some
   build sooner or later; the running C pickler is asked instead. */
#ifndef FASTCOPYREG_DIALECT_H
#define FASTCOPYREG_DIALECT_H

#include "compat.h"

struct dialect {
    /* A last batch of one item is APPEND or SETITEM without MARK, and no empty batch
       follows a dict of exactly 1000 k items (3.15). */
    int single_last_item;
    /* What protocol None is. */
    int default_protocol;
};

/* Fills it in by pickling probes.  0, or -1 with an exception.  Runs Python code. */
int dialect_probe(struct dialect *dialect);

#endif
