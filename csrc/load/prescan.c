/* Which memo indices a pickle fetches.

   The simple way is to have no prescan: MEMOIZE stores a reference to everything, as one of the
   next opcodes might fetch it.  In most pickles hardly anything is fetched, and the store is the
   smaller part of the cost: objects in the memo must exist, so an argument tuple has to be made
   although the constructor could be called with the arguments as they lie on the stack, and a
   state dict although its values could go straight into the instance.

   A pass over the opcodes, which reads lengths and nothing else, finds the indices that are
   fetched, at a cost of some 2 ns an object.  The pass is sound because of these:

   - It reads exact bytes, which nobody can change between the pass and the load, and it reads them
     by the table from which the load loop is made.  So the load meets the same opcodes in the same
     order; should it stop earlier, with an error, nothing after that is fetched.
   - It answers only for pickles whose memo it follows exactly: an index is put for the first time
     when it is the number of entries, and fetched only after it was put.  Anything else (and GET
     and PUT in text, and opcodes that it cannot measure) makes it fail, and the load stores
     everything.
   - Nobody can look: functions have no `memo` attribute.  Unpickler objects do, and are never
     prescanned.
   - Objects that must live until the end of the load are kept: load_memo.h.

   Many pickles are of objects of one class, one after another, whose opcodes are the same and only
   the numbers and texts differ.  Where the stretch from one object to the next is as long as the
   one before, the bytes of the following ones are compared with it, all but those arguments, and
   equal stretches need no second look: each fetches the same indices and puts as many.  The same
   of two stretches, if they alternate: what a state setter returns is an object too. */
#include "load/prescan.h"

#include "load/load_opcodes.h"

/* The scan while it runs, in registers: nothing that is stored through a pointer to bytes
   may be one of these. */
struct scan {
    const unsigned char *at;
    const unsigned char *end;
    unsigned char *wanted;
    size_t capacity;
    size_t count;
    size_t missing;
    int keeps_all;
    int has_objects;
    /* The stretch from object to object: */
    const unsigned char *stretch; /* where it begins */
    Py_ssize_t length;            /* of the one before, */
    Py_ssize_t length2;           /* of the one before that, */
    Py_ssize_t length3;           /* and before that */
    int misses;                   /* how often too few were found that are alike */
};

/* Twice the room, or NULL and nothing done. */
static NOINLINE unsigned char *
grow_counts(unsigned char *wanted, size_t capacity)
{
    return PyMem_Realloc(wanted, capacity);
}

/* Notes that the next part ends too early by so many bytes; 0. */
static NOINLINE int
miss_bytes(struct scan *scan, uint64_t missing)
{
    scan->missing = (size_t)Py_MIN(missing, PY_SSIZE_T_MAX);
    return 0;
}

ALWAYS_INLINE int
count_put(struct scan *scan, size_t index)
{
    if (index < scan->count) {
        scan->keeps_all = 1; /* the entry there may be an argument that nothing else keeps */
        return 1;
    }
    if (index > scan->count) {
        return 0;
    }
    if (unlikely(scan->count == scan->capacity)) {
        size_t capacity = scan->capacity == 0 ? 256 : scan->capacity * 2;
        unsigned char *wanted = grow_counts(scan->wanted, capacity);
        if (wanted == NULL) {
            return 0;
        }
        scan->wanted = wanted;
        scan->capacity = capacity;
    }
    scan->wanted[scan->count++] = 0;
    return 1;
}

/* The next `puts` indices are put. */
static int
count_puts(struct scan *scan, size_t puts)
{
    size_t capacity = scan->capacity;
    while (capacity - scan->count < puts) {
        capacity *= 2;
    }
    if (capacity != scan->capacity) {
        unsigned char *wanted = grow_counts(scan->wanted, capacity);
        if (wanted == NULL) {
            return 0;
        }
        scan->wanted = wanted;
        scan->capacity = capacity;
    }
    memset(scan->wanted + scan->count, 0, puts);
    scan->count += puts;
    return 1;
}

ALWAYS_INLINE int
count_get(struct scan *scan, size_t index)
{
    if (index >= scan->count) {
        return 0;
    }
    scan->wanted[index] = 1;
    return 1;
}

/* Where the text of so many lines ends, or NULL. */
static const unsigned char *
behind_lines(const unsigned char *at, const unsigned char *end, int lines)
{
    while (at != NULL && lines-- > 0) {
        const unsigned char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        at = newline == NULL ? NULL : newline + 1;
    }
    return at;
}

static int
pass_lines(struct scan *scan, int lines)
{
    const unsigned char *behind = behind_lines(scan->at, scan->end, lines);
    scan->at = behind == NULL ? scan->at : behind;
    return behind != NULL || miss_bytes(scan, 1);
}

/* Passes a count of `size` bytes and the bytes counted. */
ALWAYS_INLINE int
pass_counted(struct scan *scan, int size)
{
    if (scan->end - scan->at < size) {
        return miss_bytes(scan, 1);
    }
    uint64_t count = read_little_endian(scan->at, size), there;
    scan->at += size;
    there = (uint64_t)(scan->end - scan->at);
    if (count > there) {
        return miss_bytes(scan, count - there);
    }
    scan->at += count;
    return 1;
}

/* Passes a frame header.  A frame that does not end in the bytes at hand would be read again from
   its start. */
ALWAYS_INLINE int
pass_frame_header(struct scan *scan)
{
    if (scan->end - scan->at < 8) {
        return miss_bytes(scan, 8);
    }
    uint64_t size = read_little_endian(scan->at, 8), there;
    scan->at += 8;
    there = (uint64_t)(scan->end - scan->at);
    return size <= there || miss_bytes(scan, size - there);
}

/* An index of `size` bytes that is put or fetched. */
ALWAYS_INLINE int
pass_index(struct scan *scan, int size, int fetched)
{
    if (scan->end - scan->at < size) {
        return miss_bytes(scan, 1);
    }
    size_t index = (size_t)read_little_endian(scan->at, size);
    scan->at += size;
    return fetched ? count_get(scan, index) : count_put(scan, index);
}

/* Passes a MEMOIZE that comes next, which saves a jump of the loop.  1 if there was one, 0 if not,
   or -1 if the pickle is refused. */
ALWAYS_INLINE int
pass_memoize(struct scan *scan)
{
    if (scan->at >= scan->end || *scan->at != OP_MEMOIZE) {
        return 0;
    }
    scan->at++;
    return count_put(scan, scan->count) ? 1 : -1;
}

/* ---- stretches that are alike ------------------------------------------- */

enum {
    STRETCH_WORDS = 12,
    LONGEST_STRETCH = STRETCH_WORDS * 8,
    /* Measuring stretches stops after so many that had so few alike. */
    MOST_MISSES = 16,
    FEW_ALIKE = 4
};

/* A stretch: its bytes, and which of them must be the same. */
struct stretch {
    uint64_t bytes[STRETCH_WORDS];
    uint64_t mask[STRETCH_WORDS];
    size_t words;
    size_t puts;
};

/* The size of the argument that may differ, behind `fixed` bytes that may not; -1 if the opcode
   is none that a stretch may have. */
ALWAYS_INLINE Py_ssize_t
free_argument(const unsigned char *at, const unsigned char *end, Py_ssize_t *fixed)
{
    static const unsigned char shapes[256] = LOAD_SHAPES;
    unsigned char shape = shapes[*at];
    *fixed = 1;
    switch (shape) {
    case SHAPE_PLAIN:
    case SHAPE_ARGUMENT1:
    case SHAPE_ARGUMENT2:
    case SHAPE_ARGUMENT4:
    case SHAPE_ARGUMENT8: return shape - 1;
    case SHAPE_COUNT1: *fixed = 2; return end - at < 2 ? -1 : at[1];
    case SHAPE_GET1: *fixed = 2; return 0;
    case SHAPE_GET4: *fixed = 5; return 0;
    case SHAPE_MEMOIZED:
    case SHAPE_MEMOIZE:
    case SHAPE_OBJECT: return 0;
    default: return -1;
    }
}

/* Measures the stretch that ends at `end`, which has been passed.  1, or 0. */
static int
measure_stretch(struct stretch *stretch, const unsigned char *end, Py_ssize_t length)
{
    unsigned char mask[LONGEST_STRETCH] = {0}, bytes[LONGEST_STRETCH] = {0};
    memcpy(bytes, end - length, (size_t)length);
    stretch->puts = 0;
    for (Py_ssize_t i = 0, fixed; i < length;) {
        Py_ssize_t differing = free_argument(bytes + i, bytes + length, &fixed);
        if (differing < 0 || fixed + differing > length - i) {
            return 0;
        }
        stretch->puts += bytes[i] == OP_MEMOIZE;
        memset(mask + i, 0xff, (size_t)fixed);
        i += fixed + differing;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        bytes[i] &= mask[i];
    }
    stretch->words = ((size_t)length + 7) / 8;
    memcpy(stretch->bytes, bytes, sizeof(bytes));
    memcpy(stretch->mask, mask, sizeof(mask));
    return 1;
}

ALWAYS_INLINE int
is_alike(const struct stretch *stretch, const unsigned char *at)
{
    uint64_t differs = 0;
    for (size_t i = 0; i < stretch->words; i++) {
        uint64_t word;
        memcpy(&word, at + 8 * i, 8);
        differs |= (word & stretch->mask[i]) ^ stretch->bytes[i];
    }
    return differs == 0;
}

/* How many stretches that begin at `at` are alike the one before it.  Those near the end, behind
   which there are fewer bytes than are compared, are not counted. */
static NOINLINE size_t
count_alike(const unsigned char *at, const unsigned char *end, Py_ssize_t length, size_t *puts)
{
    struct stretch stretch;
    if (!measure_stretch(&stretch, at, length)) {
        return 0;
    }
    size_t count = 0;
    while (end - at >= LONGEST_STRETCH && is_alike(&stretch, at)) {
        at += length;
        count++;
    }
    *puts = stretch.puts * count;
    return count;
}

/* Behind an object: passes the stretches that are alike the one that ends here.  1, or 0 if the
   pickle is refused. */
ALWAYS_INLINE int
pass_alike(struct scan *scan)
{
    Py_ssize_t length = scan->at - scan->stretch, before = scan->length;
    int alternates = length == scan->length2 && before == scan->length3 && length != before;
    scan->length3 = scan->length2;
    scan->length2 = before;
    scan->length = length;
    scan->stretch = scan->at;
    length += alternates ? before : 0;
    if ((!alternates && length != before) || length > LONGEST_STRETCH
        || scan->misses == MOST_MISSES) {
        return 1;
    }
    size_t puts = 0, alike = count_alike(scan->at, scan->end, length, &puts);
    scan->misses += alike < FEW_ALIKE;
    scan->at += (Py_ssize_t)alike * length;
    scan->stretch = scan->at;
    return puts == 0 || count_puts(scan, puts);
}

/* Notes whether the object just made or found is put into the memo at once, so that the memo keeps
   it in any case, or dropped at once, as what a state setter returns. */
ALWAYS_INLINE int
pass_object(struct scan *scan)
{
    int memoized = pass_memoize(scan);
    scan->has_objects = 1;
    if (memoized == 0) {
        unsigned char next = scan->at < scan->end ? *scan->at : 0;
        scan->keeps_all |= next != OP_BINPUT && next != OP_LONG_BINPUT && next != OP_POP;
    }
    return memoized >= 0 && pass_alike(scan);
}

/* Passes the argument of an opcode of this shape, which is a constant where it is
   compiled in.  1, or 0 if the pickle is refused. */
ALWAYS_INLINE int
pass_shape(struct scan *scan, enum opcode_shape shape)
{
    switch (shape) {
    case SHAPE_PLAIN:
    case SHAPE_ARGUMENT1:
    case SHAPE_ARGUMENT2:
    case SHAPE_ARGUMENT4:
    case SHAPE_ARGUMENT8:
        scan->at += shape - 1; /* beyond the end, the loop ends */
        return 1;
    case SHAPE_MEMOIZE: return count_put(scan, scan->count);
    case SHAPE_MEMOIZED: return pass_memoize(scan) >= 0;
    case SHAPE_COUNT1: return pass_counted(scan, 1) && pass_memoize(scan) >= 0;
    case SHAPE_COUNT4: return pass_counted(scan, 4);
    case SHAPE_COUNT8: return pass_counted(scan, 8);
    case SHAPE_FRAME: return pass_frame_header(scan);
    case SHAPE_GET1: return pass_index(scan, 1, 1);
    case SHAPE_GET4: return pass_index(scan, 4, 1);
    case SHAPE_PUT1: return pass_index(scan, 1, 0);
    case SHAPE_PUT4: return pass_index(scan, 4, 0);
    case SHAPE_OBJECT: return pass_object(scan);
    case SHAPE_TWO_LINES_OBJECT: return pass_lines(scan, 2) && pass_object(scan);
    case SHAPE_LINE: return pass_lines(scan, 1);
    case SHAPE_REFUSED: break;
    }
    return 0;
}

ALWAYS_INLINE struct scan
begin_scan(const struct prescan *result, const unsigned char *at, const unsigned char *end)
{
    return (struct scan){.at = at,
                         .end = end,
                         .stretch = at,
                         .wanted = result->wanted,
                         .capacity = result->capacity};
}

ALWAYS_INLINE void
end_scan(struct prescan *result, const struct scan *scan, const unsigned char *start)
{
    result->size = (size_t)(scan->at - start);
    result->missing = scan->missing;
    result->runs_nothing = !scan->has_objects;
    result->wanted = scan->wanted;
    result->capacity = scan->capacity;
    result->count = scan->count;
    result->keeps_all = scan->keeps_all;
}

#if HAS_LABEL_VALUES

/* Jumps from each opcode to the next, as in the load loop. */
#define NEXT()                           \
    if (unlikely(scan.at >= scan.end)) { \
        goto ended;                      \
    }                                    \
    label = labels[*scan.at++];          \
    if (unlikely(label == NULL)) {       \
        goto finished;                   \
    }                                    \
    goto *label;

#define LABEL(opcode, function, shape) [opcode] = &&at_##function,
#define PASS(opcode, function, shape)                        \
    at_##function : if (unlikely(!pass_shape(&scan, shape))) \
    {                                                        \
        goto refused;                                        \
    }                                                        \
    NEXT()

/* Passes the opcodes up to STOP.  1, or 0 if the pickle is refused. */
static int
scan_opcodes(struct prescan *result, const unsigned char *at, const unsigned char *end)
{
    static const void *const labels[256] = {LOAD_OPCODES(LABEL)};
    struct scan scan = begin_scan(result, at, end);
    const void *label;
    int understood = 0;
    NEXT()
    LOAD_OPCODES(PASS)
finished:
    understood = scan.at[-1] == OP_STOP;
    goto refused;
ended:
    miss_bytes(&scan, (uint64_t)(scan.at - scan.end) + 1);
refused:
    end_scan(result, &scan, at);
    return understood;
}

#else

#define CASE(opcode, function, shape)    \
    case opcode:                         \
        if (!pass_shape(&scan, shape)) { \
            break;                       \
        }                                \
        continue;

/* Each opcode has a case, rather than each shape by a table: the place of the next opcode must not
   wait for two loads. */
static int
scan_opcodes(struct prescan *result, const unsigned char *at, const unsigned char *end)
{
    struct scan scan = begin_scan(result, at, end);
    int understood = 0;
    for (;;) {
        if (unlikely(scan.at >= scan.end)) {
            miss_bytes(&scan, (uint64_t)(scan.at - scan.end) + 1);
            break;
        }
        switch (*scan.at++) {
            LOAD_OPCODES(CASE)
        case OP_STOP: understood = 1; break;
        default: break;
        }
        break;
    }
    end_scan(result, &scan, at);
    return understood;
}

#endif

enum {
    /* Where the first global of a pickle that has any mostly is. */
    WHERE_GLOBALS_BEGIN = 4096
};

/* True if the pickle seems to have no global, so that nothing in it calls anything and a prescan
   gains nothing: globals are STACK_GLOBAL from protocol 4. */
static int
seems_plain_data(const unsigned char *at, const unsigned char *end, int is_all)
{
    size_t size = (size_t)(end - at);
    if (size <= 2 || at[0] != OP_PROTO || at[1] < 4 || (!is_all && size < WHERE_GLOBALS_BEGIN)) {
        return 0;
    }
    return memchr(at, OP_STACK_GLOBAL, size < WHERE_GLOBALS_BEGIN ? size : WHERE_GLOBALS_BEGIN)
           == NULL;
}

int
prescan(struct prescan *result, const unsigned char *at, const unsigned char *end, int is_all)
{
    result->missing = 0;
    return !seems_plain_data(at, end, is_all) && scan_opcodes(result, at, end);
}
