/* What is asked before the opcodes of a load with a policy, by the loop (safe_loop.c).  Each
   returns 0 if the opcode is to be executed, 1 if that has been done, -1 with an exception. */
#ifndef FASTCOPYREG_SAFE_OPCODES_H
#define FASTCOPYREG_SAFE_OPCODES_H

#include "load.h"

int safe_reduce(struct unpickler *unpickler);
int safe_newobj(struct unpickler *unpickler, int has_keywords);
int safe_obj(struct unpickler *unpickler);
int safe_build(struct unpickler *unpickler);
int safe_extension(struct unpickler *unpickler, int size);
int safe_append(struct unpickler *unpickler, PyObject **start);
int safe_set_items(struct unpickler *unpickler, PyObject **start);
int safe_add_items(struct unpickler *unpickler, PyObject **start);
int safe_readonly(struct unpickler *unpickler);

/* INST, once its class is known: 0 or -1. */
int safe_inst(struct unpickler *unpickler, PyObject *cls, PyObject **start);

/* The container at `whole` holds what lies from `parts` up, and something `least` deep.  0 or -1.
 */
int safe_nest(struct unpickler *unpickler, PyObject **parts, PyObject **whole, uint64_t least);

/* What lies from `from` up goes away. */
void safe_trim(struct unpickler *unpickler, PyObject **from);

/* Notes that a helper is on the stack for another time. */
void safe_note_helper(struct unpickler *unpickler);

#endif
