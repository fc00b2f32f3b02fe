/* Scalars: written in line where they are small, and else by functions. */
#ifndef FASTCOPYREG_DUMP_SAVE_SCALARS_H
#define FASTCOPYREG_DUMP_SAVE_SCALARS_H

#include "base/atom.h"
#include "dump/save.h"

char *save_long_large(struct pickler *pickler, PyObject *integer, char *out);
char *save_float_text(struct pickler *pickler, PyObject *real, char *out);
char *save_bool_text(struct pickler *pickler, PyObject *object, char *out);
char *save_str_large(struct pickler *pickler, PyObject *string, int unique, char *out);
char *save_bytes(struct pickler *pickler, PyObject *bytes, int unique, char *out);
char *save_bytearray(struct pickler *pickler, PyObject *bytearray, int unique, char *out);
char *save_picklebuffer(struct pickler *pickler, PyObject *buffer, char *out);

/* LONG1 with as few bytes of two's complement as do; up to 8. */
ALWAYS_INLINE char *
write_long1(char *out, int64_t value)
{
    uint64_t magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
    int size = 5;
    while (size < 8 && (magnitude >> (8 * size - 1)) != 0) {
        size++;
    }
    out[0] = (char)OP_LONG1;
    out[1] = (char)size;
    write_u64(out + 2, (uint64_t)value);
    return out + 2 + size;
}

/* An integer as protocols 2 and later have it. */
ALWAYS_INLINE char *
write_integer(char *out, int64_t value)
{
    if ((uint64_t)value < 256) {
        out[0] = OP_BININT1;
        out[1] = (char)(unsigned char)value;
        return out + 2;
    }
    if ((uint64_t)value < 65536) {
        return write_u16(write_op(out, OP_BININT2), (uint16_t)value);
    }
    if (value >= INT32_MIN && value <= INT32_MAX) {
        return write_u32(write_op(out, OP_BININT), (uint32_t)(int32_t)value);
    }
    return write_long1(out, value);
}

ALWAYS_INLINE char *
save_long(struct pickler *pickler, PyObject *integer, char *out)
{
    int64_t value;
    if (unlikely(!pickler->bin || !long_as_small(integer, &value))) {
        return save_long_large(pickler, integer, out);
    }
    if (unlikely(pickler->protocol < 2 && (value < INT32_MIN || value > INT32_MAX))) {
        return save_long_large(pickler, integer, out);
    }
    return write_integer(out, value);
}

ALWAYS_INLINE char *
write_real(char *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    *out++ = OP_BINFLOAT;
    for (int i = 0; i < 8; i++) {
        out[i] = (char)(unsigned char)(bits >> (56 - 8 * i));
    }
    return out + 8;
}

ALWAYS_INLINE char *
save_float(struct pickler *pickler, PyObject *real, char *out)
{
    if (unlikely(!pickler->bin)) {
        return save_float_text(pickler, real, out);
    }
    return write_real(out, PyFloat_AS_DOUBLE(real));
}

/* The opcode that makes a tuple, in protocols 2 and later. */
ALWAYS_INLINE int
tuple_opcode(Py_ssize_t size)
{
    return size > 3    ? OP_TUPLE
           : size == 3 ? OP_TUPLE3
           : size == 2 ? OP_TUPLE2
           : size == 1 ? OP_TUPLE1
                       : OP_EMPTY_TUPLE;
}

ALWAYS_INLINE char *
save_bool(struct pickler *pickler, PyObject *object, char *out)
{
    if (unlikely(pickler->protocol < 2)) {
        return save_bool_text(pickler, object, out);
    }
    return write_op(out, object == Py_True ? OP_NEWTRUE : OP_NEWFALSE);
}

/* The opcode and the text of an ASCII str of fewer than 256 characters, in a binary protocol. */
ALWAYS_INLINE char *
save_str_data(struct pickler *pickler, PyObject *string, size_t size, char *out)
{
    if (likely(pickler->protocol >= 4)) {
        out[0] = (char)OP_SHORT_BINUNICODE;
        out[1] = (char)(unsigned char)size;
        out += 2;
    }
    else {
        out = write_u32(write_op(out, OP_BINUNICODE), (uint32_t)size);
    }
    return write_bytes(out, (const char *)PyUnicode_1BYTE_DATA(string), size);
}

/* A str, which is looked up in the memo here. */
ALWAYS_INLINE char *
save_str(struct pickler *pickler, PyObject *string, int unique, char *out)
{
    if (!unique) {
        Py_ssize_t position = memo_find(&pickler->memo, string);
        if (position >= 0) {
            return save_get(pickler, position, out);
        }
    }
    if (likely(PyUnicode_IS_COMPACT_ASCII(string) && pickler->bin)) {
        size_t size = (size_t)PyUnicode_GET_LENGTH(string);
        if (likely(size < 256)) {
            out = save_str_data(pickler, string, size, out);
            return save_memoize(pickler, string, unique, out);
        }
    }
    return save_str_large(pickler, string, unique, out);
}

/* True if nobody but the one who was asked holds the object. */
ALWAYS_INLINE int
save_is_unique(struct pickler *pickler, PyObject *object)
{
    return has_one_reference(object) && pickler->unnumbered == 0;
}

/* True if the object is written in line, and that runs no foreign code but at a boundary or if it
   is large and there is a file. */
ALWAYS_INLINE int
save_is_scalar(PyObject *object)
{
    return is_atom(object);
}

#endif
