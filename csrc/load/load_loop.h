/* The loop that executes opcodes, written once for loads with a policy and without.

   Before it includes this, a file defines

     LOOP_EXECUTE(opcode, function)   a statement that executes the opcode, or returns -1
     LOOP_POLL(unpickler)             0 or -1, every so many opcodes
     LOOP_STOP(unpickler)             0 or -1, at STOP

   and its static execute_opcodes() is the loop.  The opcode is a constant where the statement is
   compiled, so a policy costs nothing for the opcodes that it does not check. */
#include "load/load_opcodes.h"

/* Opcodes between two polls.  A fraction of a millisecond, as none of them that runs no Python
   code is slow without having as much input. */
enum { OPCODES_BETWEEN_POLLS = 8192 };

#if HAS_LABEL_VALUES

/* Each opcode jumps to the next by itself, so that the processor learns which opcode mostly
   follows which; a jump shared by all would be mispredicted several times an object. */
#define NEXT()                                                                     \
    if (unlikely(--until_poll == 0)) {                                             \
        goto poll;                                                                 \
    }                                                                              \
    if (unlikely((opcode = load_take_opcode(unpickler)) < 0)) {                    \
        return -1;                                                                 \
    }                                                                              \
    if (unlikely(labels[opcode] == NULL)) {                                        \
        return opcode == OP_STOP ? LOOP_STOP(unpickler)                            \
                                 : load_unknown(unpickler, (unsigned char)opcode); \
    }                                                                              \
    goto *labels[opcode];

#define LABEL(opcode, function, shape) [opcode] = &&at_##function,
#define EXECUTE(opcode, function, shape)            \
    at_##function : LOOP_EXECUTE(opcode, function); \
    NEXT()

/* Executes opcodes up to STOP.  0, or -1 with an exception. */
static int
execute_opcodes(struct unpickler *unpickler)
{
    static const void *const labels[256] = {LOAD_OPCODES(LABEL)};
    int opcode, until_poll = OPCODES_BETWEEN_POLLS;
    NEXT()
    LOAD_OPCODES(EXECUTE)
poll:
    until_poll = OPCODES_BETWEEN_POLLS;
    if (LOOP_POLL(unpickler) < 0) {
        return -1;
    }
    NEXT()
}

#else

#define CASE(opcode, function, shape) \
    case opcode: LOOP_EXECUTE(opcode, function); break;

/* Executes opcodes up to STOP.  0, or -1 with an exception. */
static int
execute_opcodes(struct unpickler *unpickler)
{
    int until_poll = OPCODES_BETWEEN_POLLS;
    for (;;) {
        int opcode = load_take_opcode(unpickler);
        switch (opcode) {
            LOAD_OPCODES(CASE)
        case -1: return -1;
        case OP_STOP: return LOOP_STOP(unpickler);
        default: return load_unknown(unpickler, (unsigned char)opcode);
        }
        if (unlikely(--until_poll == 0)) {
            until_poll = OPCODES_BETWEEN_POLLS;
            if (LOOP_POLL(unpickler) < 0) {
                return -1;
            }
        }
    }
}

#endif
