/* The opcodes of the pickle protocols 0 to 5 and the limits that the formats set.

   Documented in the standard library's pickletools and in PEPs 307, 3154 and 574. */
#ifndef FASTCOPYREG_BASE_OPCODES_H
#define FASTCOPYREG_BASE_OPCODES_H

enum opcode {
    /* Protocol 0. */
    OP_MARK = '(',
    OP_STOP = '.',
    OP_POP = '0',
    OP_POP_MARK = '1',
    OP_DUP = '2',
    OP_FLOAT = 'F',
    OP_INT = 'I',
    OP_LONG = 'L',
    OP_NONE = 'N',
    OP_PERSID = 'P',
    OP_REDUCE = 'R',
    OP_STRING = 'S',
    OP_UNICODE = 'V',
    OP_APPEND = 'a',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_DICT = 'd',
    OP_GET = 'g',
    OP_INST = 'i',
    OP_LIST = 'l',
    OP_PUT = 'p',
    OP_SETITEM = 's',
    OP_TUPLE = 't',
    /* Protocol 1. */
    OP_EMPTY_TUPLE = ')',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_BINPERSID = 'Q',
    OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_OBJ = 'o',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEMS = 'u',
    OP_EMPTY_DICT = '}',
    /* Protocol 2. */
    OP_PROTO = 0x80,
    OP_NEWOBJ = 0x81,
    OP_EXT1 = 0x82,
    OP_EXT2 = 0x83,
    OP_EXT4 = 0x84,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_LONG4 = 0x8b,
    /* Protocol 3. */
    OP_BINBYTES = 'B',
    OP_SHORT_BINBYTES = 'C',
    /* Protocol 4. */
    OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE8 = 0x8d,
    OP_BINBYTES8 = 0x8e,
    OP_EMPTY_SET = 0x8f,
    OP_ADDITEMS = 0x90,
    OP_FROZENSET = 0x91,
    OP_NEWOBJ_EX = 0x92,
    OP_STACK_GLOBAL = 0x93,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95,
    /* Protocol 5. */
    OP_BYTEARRAY8 = 0x96,
    OP_NEXT_BUFFER = 0x97,
    OP_READONLY_BUFFER = 0x98
};

enum {
    HIGHEST_PROTOCOL = 5,
    /* Items between two APPENDS, SETITEMS or ADDITEMS. */
    BATCH_SIZE = 1000,
    /* PEP 3154: a frame is closed once it holds this much; fewer bytes than the least are written
       without a frame. */
    FRAME_TARGET_SIZE = 64 * 1024,
    FRAME_LEAST_SIZE = 4,
    FRAME_HEADER_SIZE = 9,
    /* Containers nested in fast mode before cycles are looked for. */
    FAST_NESTING_LIMIT = 50
};

#endif
