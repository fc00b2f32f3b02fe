/* The opcodes that make up most of a pickle, compiled into the load loop. */
#ifndef FASTCOPYREG_LOAD_LOAD_INLINE_H
#define FASTCOPYREG_LOAD_LOAD_INLINE_H

#include "load/load.h"

ALWAYS_INLINE int
load_proto(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 1);
    if (bytes == NULL) {
        return -1;
    }
    if (bytes[0] > HIGHEST_PROTOCOL) {
        PyErr_Format(PyExc_ValueError, "unsupported pickle protocol: %d", bytes[0]);
        return -1;
    }
    unpickler->protocol = bytes[0];
    return 0;
}

ALWAYS_INLINE int
load_none(struct unpickler *unpickler)
{
    return load_push(unpickler, Py_NewRef(Py_None));
}

ALWAYS_INLINE int
load_newtrue(struct unpickler *unpickler)
{
    return load_push(unpickler, Py_NewRef(Py_True));
}

ALWAYS_INLINE int
load_newfalse(struct unpickler *unpickler)
{
    return load_push(unpickler, Py_NewRef(Py_False));
}

/* ---- the memo ----------------------------------------------------------- */

ALWAYS_INLINE int
load_put_top(struct unpickler *unpickler, size_t index)
{
    if (unlikely(load_reach(unpickler) < 1)) {
        return load_underflow(unpickler);
    }
    if (unlikely(unpickler->reader.is_beyond) && !load_memo_is_new(&unpickler->memo, index)
        && reader_put_back(&unpickler->reader) < 0) {
        return -1;
    }
    return load_memo_put(&unpickler->memo, unpickler->state, index, unpickler->top[-1]);
}

ALWAYS_INLINE int
load_memoize(struct unpickler *unpickler)
{
    return load_put_top(unpickler, unpickler->memo.length);
}

/* ---- numbers and strings ------------------------------------------------ */

ALWAYS_INLINE int
load_binint1(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 1);
    if (unlikely(bytes == NULL)) {
        return -1;
    }
    return load_push(unpickler, Py_NewRef(unpickler->state->small_integers[bytes[0]]));
}

ALWAYS_INLINE int
load_binint2(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 2);
    if (unlikely(bytes == NULL)) {
        return -1;
    }
    return load_push(unpickler, PyLong_FromLong((long)read_little_endian(bytes, 2)));
}

ALWAYS_INLINE int
load_binint(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 4);
    if (unlikely(bytes == NULL)) {
        return -1;
    }
    int32_t value = (int32_t)(uint32_t)read_little_endian(bytes, 4);
    return load_push(unpickler, PyLong_FromLong(value));
}

ALWAYS_INLINE int
load_binfloat(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 8);
    if (unlikely(bytes == NULL)) {
        return -1;
    }
    return load_push(unpickler, PyFloat_FromDouble(read_big_endian_double(bytes)));
}

/* True if a string is the first name of a STACK_GLOBAL, and nobody will fetch the two names: the
   size of both and what lies between them, else 0. */
ALWAYS_INLINE size_t
load_size_of_names(struct unpickler *unpickler, const unsigned char *bytes, size_t size)
{
    const unsigned char *next = bytes + size, *end = unpickler->reader.end;
    struct load_memo *memo = &unpickler->memo;
    if (!memo->prescanned || end - next < 5 || next[0] != OP_MEMOIZE
        || next[1] != OP_SHORT_BINUNICODE) {
        return 0;
    }
    size_t both = size + 3 + next[2];
    if ((size_t)(end - bytes) < both + 2 || bytes[both] != OP_MEMOIZE
        || bytes[both + 1] != OP_STACK_GLOBAL) {
        return 0;
    }
    const unsigned char *wanted = memo->scan.wanted + memo->length;
    return (wanted[0] | wanted[1]) == 0 ? both : 0;
}

ALWAYS_INLINE int
load_short_binunicode(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 1);
    if (unlikely(bytes == NULL)) {
        return -1;
    }
    size_t size = bytes[0];
    bytes = reader_take(&unpickler->reader, size);
    if (unlikely(bytes == NULL)) {
        return -1;
    }
    size_t both = load_size_of_names(unpickler, bytes, size);
    if (both != 0) {
        int pushed = load_global_of_bytes(unpickler, bytes, both, size, both - size - 3);
        if (pushed != 0) {
            return pushed < 0 ? -1 : 0;
        }
    }
    return load_push_unnoticed(unpickler, load_make_string(unpickler->state, bytes, size));
}

/* ---- the memo by index ------------------------------------------------- */

ALWAYS_INLINE int
load_binput(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 1);
    return unlikely(bytes == NULL) ? -1 : load_put_top(unpickler, bytes[0]);
}

ALWAYS_INLINE int
load_long_binput(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 4);
    if (unlikely(bytes == NULL)) {
        return -1;
    }
    uint64_t index = read_little_endian(bytes, 4);
    if (unlikely(index > PY_SSIZE_T_MAX)) { /* with 32 bits */
        if (load_reach(unpickler) < 1) {
            return load_underflow(unpickler);
        }
        PyErr_SetString(PyExc_ValueError, "negative LONG_BINPUT argument");
        return -1;
    }
    return load_put_top(unpickler, (size_t)index);
}

ALWAYS_INLINE int
load_binget(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 1);
    return unlikely(bytes == NULL) ? -1 : load_fetch(unpickler, bytes[0]);
}

ALWAYS_INLINE int
load_long_binget(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 4);
    if (unlikely(bytes == NULL)) {
        return -1;
    }
    uint64_t index = read_little_endian(bytes, 4);
    return load_fetch(unpickler, index > PY_SSIZE_T_MAX ? SIZE_MAX : (size_t)index);
}

/* ---- containers --------------------------------------------------------- */

ALWAYS_INLINE int
load_empty_list(struct unpickler *unpickler)
{
    return load_push_unnoticed(unpickler, PyList_New(0));
}

ALWAYS_INLINE int
load_empty_dict(struct unpickler *unpickler)
{
    return load_push_unnoticed(unpickler, load_make_dict(unpickler));
}

ALWAYS_INLINE int
load_empty_tuple(struct unpickler *unpickler)
{
    if (load_next_opcode(unpickler) == OP_NEWOBJ && load_reach(unpickler) > 0) {
        int made = load_plain_object(unpickler);
        if (made != 0) {
            return made < 0 ? -1 : 0;
        }
    }
    return load_push(unpickler, Py_NewRef(unpickler->state->empty_tuple));
}

/* The opcode behind a TUPLE whose items begin at `start` if it takes the tuple as its
   arguments and nobody else will see it; else 0. */
ALWAYS_INLINE unsigned char
load_taker_of_tuple(struct unpickler *unpickler, PyObject **start)
{
    struct reader *reader = &unpickler->reader;
    if (start <= unpickler->fence || reader->end - reader->at < 2) {
        return 0;
    }
    size_t put = load_size_of_put(unpickler, reader->at, unpickler->memo.length);
    if (put == 0 || !load_memo_skips(&unpickler->memo)) {
        return reader->at[0];
    }
    return (size_t)(reader->end - reader->at) > put ? reader->at[put] : 0;
}

/* True if the object is one that no cycle can go through, so that the collector need not see it.
 */
ALWAYS_INLINE int
load_is_atom(PyObject *object)
{
    return !load_may_be_collected(object)
           || (PyTuple_CheckExact(object) && !PyObject_GC_IsTracked(object));
}

ALWAYS_INLINE int
load_make_tuple(struct unpickler *unpickler, PyObject **start)
{
    unsigned char taker = load_taker_of_tuple(unpickler, start);
    if (taker == OP_REDUCE) {
        return load_call(unpickler, start);
    }
    if (taker == OP_NEWOBJ) {
        int made = load_call_new(unpickler, start);
        if (made != 0) {
            return made < 0 ? -1 : 0;
        }
    }
    Py_ssize_t size = unpickler->top - start;
    int atoms = 1;
    for (Py_ssize_t i = 0; i < size; i++) {
        atoms &= load_is_atom(start[i]);
    }
    PyObject *tuple = atoms ? tuple_new_untracked(size) : PyTuple_New(size);
    if (unlikely(tuple == NULL)) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        PyTuple_SET_ITEM(tuple, i, start[i]);
    }
    unpickler->top = start;
    return load_push_unnoticed(unpickler, tuple);
}

ALWAYS_INLINE int
load_counted_tuple(struct unpickler *unpickler, int size)
{
    if (unlikely(load_reach(unpickler) < size)) {
        return load_underflow(unpickler);
    }
    return load_make_tuple(unpickler, unpickler->top - size);
}

ALWAYS_INLINE int
load_tuple1(struct unpickler *unpickler)
{
    return load_counted_tuple(unpickler, 1);
}

ALWAYS_INLINE int
load_tuple2(struct unpickler *unpickler)
{
    return load_counted_tuple(unpickler, 2);
}

ALWAYS_INLINE int
load_tuple3(struct unpickler *unpickler)
{
    return load_counted_tuple(unpickler, 3);
}

ALWAYS_INLINE int
load_tuple(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    return unlikely(start == NULL) ? -1 : load_make_tuple(unpickler, start);
}

#endif
