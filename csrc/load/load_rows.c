/* Objects of one class, one after another.

   In most lists of objects, the opcodes of each are: fetch the class, some numbers and texts, make
   a tuple of them, call.  The loop executes seven opcodes for each, and the last one finds out
   again how objects of the class are constructed.  Here the opcodes of a row are expected, and
   executed as they are found; the values are put above the top of the stack, where they would be.
   At any other opcode the stack is raised over the values so far, and the load goes on from that
   opcode.

   No foreign code runs from row to row, so that the facts of the class hold.  (On 3.11 the
   collector runs in the middle of allocations, so there are no rows there.)  The class is owned by
   the memo, from which each row fetches it, and not by the stack. */
#include "load/load_rows.h"

#include "load/load_atoms.h"
#include "load/load_inline.h"
#include "load/safe_limits.h"
#include "types/construct.h"
#include "base/layout.h"

enum {
    /* Fewer than the 1,000 of a batch, between which there are too few opcodes to poll for. */
    ROWS_BETWEEN_POLLS = 512,
    /* So many objects of one load are followed by none that can be made here. */
    MOST_MISSES = 16,
    LONGEST_NUMBER = 9, /* with its opcode */
    LEAST_ROW = 7       /* the bytes of one with one argument */
};

/* The row at hand. */
struct row {
    PyObject **values; /* above the top of the stack, behind the place of the class */
    int count;
    int marked; /* behind a MARK */
    const unsigned char *at;
};

/* True if the opcode at hand, of which 5 bytes are there, fetches the class: its size; or 0. */
ALWAYS_INLINE size_t
size_of_fetch(const struct unpickler *unpickler, const unsigned char *at, PyObject *cls)
{
    size_t size, index;
    if (likely(*at == OP_BINGET)) {
        size = 2;
        index = at[1];
    }
    else if (*at == OP_LONG_BINGET) {
        size = 5;
        index = (size_t)read_little_endian(at + 1, 4);
    }
    else {
        return 0;
    }
    const struct load_memo *memo = &unpickler->memo;
    assert(!memo->prescanned || (index < memo->length && memo->scan.wanted[index]));
    return (memo->prescanned || index < memo->end) && memo->items[index] == cls ? size : 0;
}

/* The text at hand behind its count, and its put; 1, 0 if it is not all there, or -1 with an
   exception. */
ALWAYS_INLINE int
make_text(struct unpickler *unpickler, struct row *row, const unsigned char *bytes, size_t size)
{
    const unsigned char *end = unpickler->reader.end;
    size_t put = (size_t)(end - bytes) <= size
                     ? 0
                     : load_size_of_put(unpickler, bytes + size, unpickler->memo.length);
    if (put == 0 || (unlikely(unpickler->reader.is_beyond) && !load_is_ascii(bytes, size))) {
        return 0;
    }
    row->at = bytes + size; /* as far as an error comes */
    PyObject *text = load_make_string(unpickler->state, bytes, size);
    if (text == NULL) {
        return -1;
    }
    row->values[row->count++] = text;
    row->at += put;
    return load_memo_put_kind(&unpickler->memo, unpickler->state, unpickler->memo.length, text, 1)
                   < 0
               ? -1
               : 1;
}

/* The value at hand, of which LONGEST_NUMBER bytes are there: the same. */
ALWAYS_INLINE int
make_row_value(struct unpickler *unpickler, struct row *row)
{
    PyObject *value;
    const unsigned char *at = row->at;
    switch (*at) {
    case OP_SHORT_BINUNICODE: return make_text(unpickler, row, at + 2, at[1]);
    case OP_BINUNICODE:
        return make_text(unpickler, row, at + 5, (size_t)read_little_endian(at + 1, 4));
    case OP_NONE:
    case OP_NEWTRUE:
    case OP_NEWFALSE:
    case OP_BININT1:
    case OP_BININT2:
    case OP_BININT:
    case OP_BINFLOAT: value = load_make_atom(unpickler->state, &row->at); break;
    case OP_BINGET:
        if (!unpickler->memo.prescanned && !load_memo_has(&unpickler->memo, row->at[1])) {
            return 0;
        }
        value = Py_NewRef(unpickler->memo.items[row->at[1]]);
        load_note_again(&unpickler->key_bounds, value);
        row->at += 2;
        break;
    default: return 0;
    }
    if (value == NULL) {
        return -1;
    }
    row->values[row->count++] = value;
    return 1;
}

/* Passes the opcodes that make a tuple of the values and call.  1 if they are there, and nobody
   will see the tuple; 0 if not; -1 with MemoryError. */
ALWAYS_INLINE int
pass_call(struct unpickler *unpickler, struct row *row)
{
    static const unsigned char takers[] = {0, OP_TUPLE1, OP_TUPLE2, OP_TUPLE3};
    const unsigned char *at = row->at, *end = unpickler->reader.end;
    size_t next = unpickler->memo.length;
    if (end - at < 4 || at[0] != (row->marked ? OP_TUPLE : takers[row->count])) {
        return 0;
    }
    size_t put = load_size_of_put(unpickler, at + 1, next);
    at += 1 + put;
    if (put == 0 || at >= end || *at != OP_REDUCE) {
        return 0;
    }
    put = load_size_of_put(unpickler, at + 1, next + 1);
    if (put == 0 || !load_memo_skips(&unpickler->memo)) {
        return 0;
    }
    row->at = at + 1 + put;
    return load_memo_pass_tuple(&unpickler->memo, row->values, (size_t)row->count) < 0 ? -1 : 1;
}

/* Raises the stack over the class and the values.  0, or -1 with an exception. */
static int
leave_row(struct unpickler *unpickler, struct row *row, PyObject *cls)
{
    *unpickler->top++ = Py_NewRef(cls);
    int marked = row->marked ? load_mark(unpickler) : 0;
    unpickler->top += row->count;
    return marked;
}

/* Executes the opcodes of a row from the class to its arguments.  1 if the object is to be made; 0
   if the row was left, or not begun; -1 with an exception. */
ALWAYS_INLINE int
take_row(struct unpickler *unpickler, struct row *row, PyObject *cls, int count)
{
    const unsigned char *end = unpickler->reader.end;
    row->at = unpickler->reader.at;
    size_t size = end - row->at < LEAST_ROW ? 0 : size_of_fetch(unpickler, row->at, cls);
    if (size == 0) {
        return 0;
    }
    row->at += size;
    row->count = 0;
    row->marked = row->at < end && *row->at == OP_MARK;
    row->at += row->marked;
    int made = row->marked == (count > 3);
    while (made > 0 && row->count < count) {
        made = end - row->at < LONGEST_NUMBER ? 0 : make_row_value(unpickler, row);
    }
    if (made > 0) {
        made = pass_call(unpickler, row);
    }
    unpickler->reader.at = row->at;
    if (made <= 0 && leave_row(unpickler, row, cls) < 0) {
        return -1;
    }
    return made;
}

/* Makes the object of a row, and puts it where the class would be.  0, or -1 with an exception. */
ALWAYS_INLINE int
make_row(struct unpickler *unpickler, struct row *row, struct constructor *constructor)
{
    PyObject *object;
    enum outcome outcome =
        construct_by_taking(unpickler->state, constructor, row->values, &object);
    if (unlikely(outcome != OUTCOME_TAKEN)) {
        for (int i = 0; i < row->count; i++) {
            Py_DECREF(row->values[i]);
        }
        if (outcome != OUTCOME_DONE) {
            return -1;
        }
    }
    if (unlikely(unpickler->policy != NULL) && safe_count_row(unpickler, unpickler->top) < 0) {
        Py_DECREF(object);
        return -1;
    }
    *unpickler->top++ = object;
    return load_memo_put(&unpickler->memo, unpickler->state, unpickler->memo.length, object);
}

int
load_rows(struct unpickler *unpickler, PyObject *cls)
{
    if (!layout_is_known() || ALLOCATION_COLLECTS) {
        return 0;
    }
    int count;
    struct constructor *constructor = NULL;
    const struct reader *reader = &unpickler->reader;
    if (!(unpickler->memo.prescanned || unpickler->memo.defers)
        || unpickler->rows_missed >= MOST_MISSES || reader->end - reader->at < LEAST_ROW
        || size_of_fetch(unpickler, reader->at, cls) == 0
        || (constructor = construct_find_taking(unpickler->state, cls, &count)) == NULL) {
        return 0;
    }
    int made = 0, rows = 0;
    for (; rows < ROWS_BETWEEN_POLLS; rows++) {
        if (unpickler->limit - unpickler->top <= count && load_grow_stack(unpickler) < 0) {
            return -1;
        }
        struct row row;
        row.values = unpickler->top + 1;
        made = take_row(unpickler, &row, cls, count);
        if (made <= 0 || (made = make_row(unpickler, &row, constructor)) < 0) {
            break;
        }
    }
    unpickler->rows_missed += rows == 0;
    return made < 0 || rows < ROWS_BETWEEN_POLLS ? made : load_poll(unpickler);
}
