/* The memory that readinto() fills.

   readinto() is handed a memoryview, which the file may keep.  The view therefore belongs to an
   object of its own, which owns the memory: a kept view stays valid, and as its use is counted
   there, no holder of one can change the bytes that were read. */
#ifndef FASTCOPYREG_LOAD_READ_TARGET_H
#define FASTCOPYREG_LOAD_READ_TARGET_H

#include "base/state.h"

/* A new target over `size` bytes inside `owner`, a bytes object or bytearray; strong, or NULL with
   MemoryError. */
PyObject *read_target_new(struct core_state *state, PyObject *owner, char *memory, size_t size);

/* True if somebody else has the target, or a view of it. */
int read_target_is_kept(PyObject *target);

/* Makes the type.  0, or -1 with an exception. */
int read_target_setup(PyObject *module);

#endif
