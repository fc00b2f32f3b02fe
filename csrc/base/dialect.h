/* The dialect that the running standard library's pickler writes, probed once at import.

   Versions, and micro versions of one minor, differ in the bytes that they write for the same
   object and in the objects that they refuse.  A version test would be wrong for some build sooner
   or later; the running C pickler is asked instead. */
#ifndef FASTCOPYREG_BASE_DIALECT_H
#define FASTCOPYREG_BASE_DIALECT_H

#include "base/compat.h"

struct dialect {
    /* A last batch of one is APPEND, or SETITEM, without MARK (3.15). */
    int single_last_item;
    int single_last_pair;
    /* An empty batch follows a dict, or a set, of exactly 1000 k items (before 3.15). */
    int empty_batch_of_dict;
    int empty_batch_of_set;
    /* A list whose size changed while a batch was saved is a RuntimeError (3.14.10). */
    int list_change_raises;
    /* Protocols 0 to 3 write a dotted name as calls of getattr that are not memoized,
       of a name each; before, as a reduction whose parts are (3.13). */
    int dotted_name_chain;
    /* A dotted name that leads back through the module is written as its last part (before
       3.14). */
    int shortens_way_back;
    /* A PickleBuffer's memory is that of the view that it holds; its exporter is not asked again
       (before 3.14). */
    int buffers_are_held;
    /* persistent_id cannot be assigned to a Pickler (3.13.0 alone). */
    int persistent_id_read_only;
    /* The protocol that None stands for. */
    int default_protocol;
};

/* Fills it in by pickling probes.  0, or -1 with an exception.  Runs Python code. */
int dialect_probe(struct dialect *dialect);

#endif
