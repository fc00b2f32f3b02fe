/* The table of opcodes that the load loop and the prescan share, in two parts: opcodes that are
   compiled into the loop (load_inline.h), and those whose functions it calls.

   V(opcode, function of load*.c that executes it, shape of what follows it).  The first
   shapes are the length of the opcode with its fixed argument. */
#ifndef FASTCOPYREG_LOAD_LOAD_OPCODES_H
#define FASTCOPYREG_LOAD_LOAD_OPCODES_H

#include "base/opcodes.h"

enum opcode_shape {
    SHAPE_PLAIN = 1,
    SHAPE_ARGUMENT1 = 2,
    SHAPE_ARGUMENT2 = 3,
    SHAPE_ARGUMENT4 = 5,
    SHAPE_ARGUMENT8 = 9,
    SHAPE_MEMOIZED, /* no argument; mostly followed by MEMOIZE */
    SHAPE_COUNT1,   /* a count of one byte, then so many bytes */
    SHAPE_COUNT4,
    SHAPE_COUNT8,
    SHAPE_FRAME, /* a count of eight bytes; all that it counts must be there */
    SHAPE_LINE,
    SHAPE_TWO_LINES_OBJECT,
    SHAPE_OBJECT, /* like the one before, makes or finds an object whose death can be noticed */
    SHAPE_MEMOIZE,
    SHAPE_PUT1,
    SHAPE_PUT4,
    SHAPE_GET1,
    SHAPE_GET4,
    SHAPE_REFUSED /* not worth or not safe to prescan */
};

#define LOAD_OPCODES_INLINE(V)                                  \
    V(OP_MARK, load_mark, SHAPE_PLAIN)                          \
    V(OP_PROTO, load_proto, SHAPE_ARGUMENT1)                    \
    V(OP_NONE, load_none, SHAPE_PLAIN)                          \
    V(OP_TUPLE, load_tuple, SHAPE_MEMOIZED)                     \
    V(OP_EMPTY_TUPLE, load_empty_tuple, SHAPE_PLAIN)            \
    V(OP_BINFLOAT, load_binfloat, SHAPE_ARGUMENT8)              \
    V(OP_BININT, load_binint, SHAPE_ARGUMENT4)                  \
    V(OP_BININT1, load_binint1, SHAPE_ARGUMENT1)                \
    V(OP_BININT2, load_binint2, SHAPE_ARGUMENT2)                \
    V(OP_EMPTY_LIST, load_empty_list, SHAPE_MEMOIZED)           \
    V(OP_BINGET, load_binget, SHAPE_GET1)                       \
    V(OP_LONG_BINGET, load_long_binget, SHAPE_GET4)             \
    V(OP_BINPUT, load_binput, SHAPE_PUT1)                       \
    V(OP_LONG_BINPUT, load_long_binput, SHAPE_PUT4)             \
    V(OP_EMPTY_DICT, load_empty_dict, SHAPE_MEMOIZED)           \
    V(OP_TUPLE1, load_tuple1, SHAPE_MEMOIZED)                   \
    V(OP_TUPLE2, load_tuple2, SHAPE_MEMOIZED)                   \
    V(OP_TUPLE3, load_tuple3, SHAPE_MEMOIZED)                   \
    V(OP_NEWTRUE, load_newtrue, SHAPE_PLAIN)                    \
    V(OP_NEWFALSE, load_newfalse, SHAPE_PLAIN)                  \
    V(OP_SHORT_BINUNICODE, load_short_binunicode, SHAPE_COUNT1) \
    V(OP_MEMOIZE, load_memoize, SHAPE_MEMOIZE)

#define LOAD_OPCODES_CALLED(V)                                 \
    V(OP_POP, load_pop, SHAPE_PLAIN)                           \
    V(OP_POP_MARK, load_pop_mark, SHAPE_PLAIN)                 \
    V(OP_DUP, load_dup, SHAPE_PLAIN)                           \
    V(OP_FLOAT, load_float, SHAPE_LINE)                        \
    V(OP_INT, load_int, SHAPE_LINE)                            \
    V(OP_LONG, load_long, SHAPE_LINE)                          \
    V(OP_PERSID, load_persid, SHAPE_REFUSED)                   \
    V(OP_STRING, load_string, SHAPE_LINE)                      \
    V(OP_UNICODE, load_unicode, SHAPE_LINE)                    \
    V(OP_BUILD, load_build, SHAPE_PLAIN)                       \
    V(OP_GLOBAL, load_global, SHAPE_TWO_LINES_OBJECT)          \
    V(OP_DICT, load_dict, SHAPE_PLAIN)                         \
    V(OP_GET, load_get, SHAPE_REFUSED)                         \
    V(OP_INST, load_inst, SHAPE_TWO_LINES_OBJECT)              \
    V(OP_LIST, load_list, SHAPE_PLAIN)                         \
    V(OP_PUT, load_put, SHAPE_REFUSED)                         \
    V(OP_SETITEM, load_setitem, SHAPE_PLAIN)                   \
    V(OP_BINPERSID, load_binpersid, SHAPE_REFUSED)             \
    V(OP_BINSTRING, load_binstring, SHAPE_COUNT4)              \
    V(OP_SHORT_BINSTRING, load_short_binstring, SHAPE_COUNT1)  \
    V(OP_BINUNICODE, load_binunicode, SHAPE_COUNT4)            \
    V(OP_APPENDS, load_appends, SHAPE_PLAIN)                   \
    V(OP_OBJ, load_obj, SHAPE_OBJECT)                          \
    V(OP_SETITEMS, load_setitems, SHAPE_PLAIN)                 \
    V(OP_NEWOBJ, load_newobj, SHAPE_OBJECT)                    \
    V(OP_EXT1, load_ext1, SHAPE_ARGUMENT1)                     \
    V(OP_EXT2, load_ext2, SHAPE_ARGUMENT2)                     \
    V(OP_EXT4, load_ext4, SHAPE_ARGUMENT4)                     \
    V(OP_LONG1, load_long1, SHAPE_COUNT1)                      \
    V(OP_LONG4, load_long4, SHAPE_COUNT4)                      \
    V(OP_BINBYTES, load_binbytes, SHAPE_COUNT4)                \
    V(OP_SHORT_BINBYTES, load_short_binbytes, SHAPE_COUNT1)    \
    V(OP_BINUNICODE8, load_binunicode8, SHAPE_COUNT8)          \
    V(OP_BINBYTES8, load_binbytes8, SHAPE_COUNT8)              \
    V(OP_EMPTY_SET, load_empty_set, SHAPE_OBJECT)              \
    V(OP_ADDITEMS, load_additems, SHAPE_PLAIN)                 \
    V(OP_FROZENSET, load_frozenset, SHAPE_OBJECT)              \
    V(OP_NEWOBJ_EX, load_newobj_ex, SHAPE_OBJECT)              \
    V(OP_STACK_GLOBAL, load_stack_global, SHAPE_OBJECT)        \
    V(OP_FRAME, load_frame, SHAPE_FRAME)                       \
    V(OP_BYTEARRAY8, load_bytearray8, SHAPE_COUNT8)            \
    V(OP_NEXT_BUFFER, load_next_buffer, SHAPE_REFUSED)         \
    V(OP_READONLY_BUFFER, load_readonly_buffer, SHAPE_REFUSED) \
    V(OP_REDUCE, load_reduce, SHAPE_OBJECT)                    \
    V(OP_APPEND, load_append, SHAPE_PLAIN)

#define LOAD_OPCODES(V) LOAD_OPCODES_INLINE(V) LOAD_OPCODES_CALLED(V)

/* The shape of each opcode, 0 of those that are none: of an array of 256. */
#define LOAD_SHAPE_OF(opcode, function, shape) [opcode] = shape,
#define LOAD_SHAPES {LOAD_OPCODES(LOAD_SHAPE_OF)}

#endif
