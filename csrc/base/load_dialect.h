/* The dialect that the running standard library's unpickler reads, and the words of its errors,
   probed once at import: the mirror of dialect.h for loads. */
#ifndef FASTCOPYREG_BASE_LOAD_DIALECT_H
#define FASTCOPYREG_BASE_LOAD_DIALECT_H

#include "base/compat.h"

struct load_dialect {
    /* A batch of no items, or of none for a set, leaves its container alone, whatever that is
       (before 3.15). */
    int empty_batch_is_passed;
    int empty_addition_is_passed;
    /* An entry far beyond the others counts for the index of the next MEMOIZE (before
       3.15). */
    int sparse_memo_counts;
    /* An opcode must not lie across the end of a frame (3.14.10, 3.15.2). */
    int holds_to_frames;
    /* Where a length of more than 1 MiB is not true, what was read before is still there for the
       next load of the same file (from 3.15). */
    int keeps_window;
    /* The memory of bytes and bytearrays is asked for before they are read (before 3.15). */
    int allocates_first;
    /* The count of BINSTRING has a sign (from 3.12). */
    int binstring_is_signed;
    /* The base of INT and LONG is read off the number: 010 is 8, or refused (before 3.14). */
    int guesses_base;
    /* Any two characters with the value 0 or 1 are a bool to INT (before 3.15). */
    int reads_bools_by_value;
    /* A persistent id is refused for want of persistent_load before it is read (before
       3.13). */
    int misses_persistent_load_first;
    /* The words for a persistent id without persistent_load (3.11), for a name below
       <locals> (3.11 and 3.12), for a name of several parts that is not there (from 3.14), for
       one that is not split, below protocol 4 (before 3.14). */
    int persistent_load_breaks_line;
    int pickles_local_attributes;
    int resolves_paths;
    int rewords_missing_names;
};

/* Fills it in by loading probes.  0, or -1 with an exception.  Runs Python code. */
int load_dialect_probe(struct load_dialect *dialect);

#endif
