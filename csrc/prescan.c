/* Which memo indices a pickle fetches.

   The simple way is to have no prescan: MEMOIZE stores a reference to everything, as
   one of the next opcodes might fetch it.  In most pickles hardly anything is fetched,
   and the store is the smaller part of the cost: what is in the memo must exist, so an
   argument tuple has to be made although the constructor could be called with the
   arguments as they lie on the stack, and a state dict although its values could go
   straight into the instance.

   A pass over the opcodes, which reads lengths and nothing else, finds the indices that
   are fetched.  It costs some 2 ns an object.  What makes it sound:

   - It reads exact bytes, which nobody can change between the pass and the load, and it
     reads them by the table from which the load loop is made.  So the load meets the
     same opcodes in the same order; should it stop earlier, with an error, nothing
     after that is fetched.
   - It answers only for pickles whose memo it follows exactly: an index is put for the
     first time when it is the number of entries, and fetched only after it was put.
     Anything else (and GET and PUT in text, and what it cannot measure) makes it
     refuse, and the load stores everything.
   - Nobody can look: functions have no `memo` attribute.  Unpickler objects do, and are
     never prescanned.
   - What must live until the end of the load lives: load_memo.h. */
#include "prescan.h"

#include "load_opcodes.h"

/* Counts a memo index; 0 if there is no memory. */
static int
grow(struct prescan *scan)
{
    size_t capacity = scan->capacity == 0 ? 256 : scan->capacity * 2;
    unsigned char *wanted = PyMem_Realloc(scan->wanted, capacity);
    if (wanted == NULL) {
        return 0;
    }
    scan->wanted = wanted;
    scan->capacity = capacity;
    return 1;
}

ALWAYS_INLINE int
count_put(struct prescan *scan, size_t index)
{
    if (index < scan->count) {
        return 1;
    }
    if (index > scan->count || (scan->count == scan->capacity && !grow(scan))) {
        return 0;
    }
    scan->wanted[scan->count++] = 0;
    return 1;
}

ALWAYS_INLINE int
count_get(struct prescan *scan, size_t index)
{
    if (index >= scan->count) {
        return 0;
    }
    scan->wanted[index] = 1;
    return 1;
}

static uint64_t
little_endian(const unsigned char *bytes, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

/* Where the text of so many lines ends, or NULL. */
static const unsigned char *
pass_lines(const unsigned char *at, const unsigned char *end, int lines)
{
    while (lines-- > 0) {
        const unsigned char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (newline == NULL) {
            return NULL;
        }
        at = newline + 1;
    }
    return at;
}

/* Behind a count of `size` bytes and what it counts, or NULL. */
static const unsigned char *
pass_counted(const unsigned char *at, const unsigned char *end, int size)
{
    if (end - at < size) {
        return NULL;
    }
    uint64_t count = little_endian(at, size);
    at += size;
    return count <= (uint64_t)(end - at) ? at + count : NULL;
}

/* Whether the object just made is put into the memo at once. */
static int
is_put_next(const unsigned char *at, const unsigned char *end)
{
    return at < end && (*at == OP_MEMOIZE || *at == OP_BINPUT || *at == OP_LONG_BINPUT);
}

/* Passes the argument of an opcode of this shape, which is a constant where it is
   compiled in.  Where the next opcode is, or NULL if the pickle is refused. */
ALWAYS_INLINE const unsigned char *
pass_shape(struct prescan *scan, enum opcode_shape shape, const unsigned char *at,
           const unsigned char *end)
{
    switch (shape) {
    case SHAPE_PLAIN:
    case SHAPE_ARGUMENT1:
    case SHAPE_ARGUMENT2:
    case SHAPE_ARGUMENT4:
    case SHAPE_ARGUMENT8:
        return at + (shape - 1);
    case SHAPE_MEMOIZE:
        return count_put(scan, scan->count) ? at : NULL;
    case SHAPE_COUNT1:
        return at < end ? at + 1 + *at : NULL;
    case SHAPE_GET1:
        return at < end && count_get(scan, *at) ? at + 1 : NULL;
    case SHAPE_PUT1:
        return at < end && count_put(scan, *at) ? at + 1 : NULL;
    case SHAPE_GET4:
        return end - at >= 4 && count_get(scan, little_endian(at, 4)) ? at + 4 : NULL;
    case SHAPE_PUT4:
        return end - at >= 4 && count_put(scan, little_endian(at, 4)) ? at + 4 : NULL;
    case SHAPE_COUNT4:
        return pass_counted(at, end, 4);
    case SHAPE_COUNT8:
        return pass_counted(at, end, 8);
    case SHAPE_OBJECT:
        scan->keeps_all |= !is_put_next(at, end);
        return at;
    case SHAPE_TWO_LINES_OBJECT:
        at = pass_lines(at, end, 2);
        scan->keeps_all |= at == NULL || !is_put_next(at, end);
        return at;
    case SHAPE_LINE:
        return pass_lines(at, end, 1);
    case SHAPE_TWO_LINES:
        return pass_lines(at, end, 2);
    case SHAPE_REFUSED:
        break;
    }
    return NULL;
}

#define CASE(opcode, function, shape)             \
    case opcode:                                  \
        at = pass_shape(scan, shape, at, end);    \
        break;

/* One case for each opcode, rather than one for each shape by a table: where the next
   opcode is must not wait for two loads. */
static int
scan_opcodes(struct prescan *scan, const unsigned char *at, const unsigned char *end)
{
    while (likely(at != NULL && at < end)) {
        switch (*at++) {
            LOAD_OPCODES(CASE)
        case OP_STOP:
            return 1;
        default:
            return 0;
        }
    }
    return 0;
}

/* Whether it is a pickle without a global, so that nothing in it calls anything and
   there is nothing to be won: globals are STACK_GLOBAL from protocol 4. */
static int
is_plain_data(const unsigned char *at, const unsigned char *end)
{
    return end - at > 2 && at[0] == OP_PROTO && at[1] >= 4
           && memchr(at + 2, OP_STACK_GLOBAL, (size_t)(end - at - 2)) == NULL;
}

int
prescan(struct prescan *scan, const unsigned char *at, const unsigned char *end)
{
    scan->count = 0;
    scan->keeps_all = 0;
    return !is_plain_data(at, end) && scan_opcodes(scan, at, end);
}
