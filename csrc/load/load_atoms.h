/* Atoms, where the opcodes of one are known to be there. */
#ifndef FASTCOPYREG_LOAD_LOAD_ATOMS_H
#define FASTCOPYREG_LOAD_LOAD_ATOMS_H

#include "load/load.h"

/* The atom at *at, which it passes: a number, None, a bool, or else a short text with its MEMOIZE;
   strong, or NULL with an exception. */
ALWAYS_INLINE PyObject *
load_make_atom(struct core_state *state, const unsigned char **at)
{
    const unsigned char *bytes = *at + 1;
    switch (bytes[-1]) {
    case OP_NONE: *at = bytes; return Py_NewRef(Py_None);
    case OP_NEWTRUE: *at = bytes; return Py_NewRef(Py_True);
    case OP_NEWFALSE: *at = bytes; return Py_NewRef(Py_False);
    case OP_BININT1: *at = bytes + 1; return Py_NewRef(state->small_integers[bytes[0]]);
    case OP_BININT2: *at = bytes + 2; return PyLong_FromLong((long)read_little_endian(bytes, 2));
    case OP_BININT:
        *at = bytes + 4;
        return PyLong_FromLong((int32_t)(uint32_t)read_little_endian(bytes, 4));
    case OP_BINFLOAT: *at = bytes + 8; return PyFloat_FromDouble(read_big_endian_double(bytes));
    default: *at = bytes + 2 + bytes[0]; return load_make_string(state, bytes + 1, bytes[0]);
    }
}

#endif
