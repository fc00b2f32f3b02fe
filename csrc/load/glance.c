/* What a pickle seems to be: see glance.h. */
#include "load/glance.h"

#include "load/load.h"
#include "load/load_opcodes.h"

/* Opcodes that are looked at. */
enum { GLANCE = 64 };

static const unsigned char shapes[256] = LOAD_SHAPES;

/* The bytes of the opcode and of its argument or count; 0 if that is none of a known size. */
static size_t
size_of_opcode(unsigned char shape)
{
    switch (shape) {
    case SHAPE_PLAIN:
    case SHAPE_ARGUMENT1:
    case SHAPE_ARGUMENT2:
    case SHAPE_ARGUMENT4:
    case SHAPE_ARGUMENT8: return shape;
    case SHAPE_MEMOIZED:
    case SHAPE_MEMOIZE:
    case SHAPE_OBJECT: return 1;
    case SHAPE_COUNT1:
    case SHAPE_GET1:
    case SHAPE_PUT1: return 2;
    case SHAPE_COUNT4:
    case SHAPE_GET4:
    case SHAPE_PUT4: return 5;
    case SHAPE_COUNT8:
    case SHAPE_FRAME: return 9;
    default: return 0;
    }
}

/* Where the lines end that are the arguments of an opcode at `at`; NULL if it is none of these. */
static const unsigned char *
pass_text_lines(const unsigned char *at, const unsigned char *end, unsigned char shape)
{
    int lines = shape == SHAPE_LINE ? 1 : shape == SHAPE_TWO_LINES_OBJECT ? 2 : 0;
    if (lines == 0) {
        return NULL;
    }
    for (; lines > 0 && at != NULL; lines--) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at == NULL ? NULL : at + 1;
    }
    return at;
}

int
glance_is_payload(const unsigned char *at, size_t size)
{
    const unsigned char *end = at + size;
    uint64_t payload = 0;
    for (int i = 0; i < GLANCE && at != NULL && at < end && payload < size / 2; i++) {
        unsigned char shape = shapes[*at];
        size_t taken = size_of_opcode(shape), there = (size_t)(end - at);
        if (taken == 0) {
            at = pass_text_lines(at, end, shape);
            continue;
        }
        if (taken > there) {
            break;
        }
        uint64_t counted = 0;
        if (shape == SHAPE_COUNT1 || shape == SHAPE_COUNT4 || shape == SHAPE_COUNT8) {
            counted = read_little_endian(at + 1, (int)taken - 1);
        }
        if (counted > there - taken) {
            break;
        }
        payload += counted;
        at += taken + counted;
    }
    return payload >= size / 2;
}
