/* The checks before the opcodes of a load with a policy, called by the loop (safe_loop.c).  Each
   returns 0 if the opcode is to be executed, 1 if that has been done, -1 with an exception. */
#ifndef FASTCOPYREG_LOAD_SAFE_OPCODES_H
#define FASTCOPYREG_LOAD_SAFE_OPCODES_H

#include "load/safe_limits.h"

int safe_reduce(struct unpickler *unpickler);
int safe_newobj(struct unpickler *unpickler, int has_keywords);
int safe_obj(struct unpickler *unpickler);
int safe_build(struct unpickler *unpickler);
int safe_extension(struct unpickler *unpickler, int size);
int safe_readonly(struct unpickler *unpickler);

/* Checks that an object that is no exact list, dict or set takes items, which are every
   `stride`th object from `first` up to the top of the stack: 0 or -1. */
int safe_check_taker(struct unpickler *unpickler, PyObject *object, PyObject **first,
                     Py_ssize_t stride);

/* INST, once its class is known: 0 or -1. */
int safe_inst(struct unpickler *unpickler, PyObject *cls, PyObject **start);

/* policy_entry(), which for most objects is asked several times in a row.  The objects of a policy
   live as long as it does, so that no other object ever has the address of one. */
ALWAYS_INLINE const struct safe_entry *
safe_entry_of(struct unpickler *unpickler, void *object)
{
    struct safe_counts *counts = &unpickler->safe;
    if (counts->seen != object) {
        counts->seen = object;
        counts->seen_entry = policy_entry((PolicyObject *)unpickler->policy, object);
    }
    return counts->seen_entry;
}

/* Notes that a helper is on the stack for another time. */
void safe_note_helper(struct unpickler *unpickler);

#endif
