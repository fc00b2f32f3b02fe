/* Growing output, frames, and the way to a file.

   A function that writes keeps the place of the next byte in a local variable, `out`, and returns
   it; NULL is an exception.  Room is not asked for byte by byte: between two calls of
   writer_boundary() up to WRITER_ROOM bytes may be written without asking, and a longer write asks
   with writer_reserve().  So an object of a few fields costs one comparison for the end of the
   buffer, the end of the frame and anything else that `limit` was lowered for.

   A frame (PEP 3154) is opened by leaving nine bytes for its header, and closed between two
   objects once it holds FRAME_TARGET_SIZE.  With a file, a closed frame is written out at once,
   and large payloads are handed to file.write() as they are, unjoined. */
#ifndef FASTCOPYREG_DUMP_WRITER_H
#define FASTCOPYREG_DUMP_WRITER_H

#include "base/state.h"

enum {
    WRITER_ROOM = 1024,
    /* Buffers up to this size are kept between calls, and what is in them is copied; a larger one
       becomes the result, or what the file is handed, so that a large pickle is never held
       twice. */
    WRITER_KEPT = 1 << 16
};

struct writer {
    char *start;     /* of the buffer */
    char *end;       /* behind the buffer */
    char *due;       /* an object that begins here or behind calls writer_boundary() */
    char *limit;     /* where objects leave the fast path: as `due`, or everywhere */
    int every;       /* limit is everywhere, because each object is to be shown */
    size_t standard; /* how large the standard library's buffer is by now */
    size_t frame;    /* where the header of the open frame lies */
    int framing;     /* true: a frame is open */
    PyObject *bytes; /* the object the buffer lies in, which nobody else has; owned */
    PyObject *write; /* file.write, or NULL; borrowed */
    int foreign;     /* calling it may run Python code: not BytesIO's own method */
};

/* Allocates a buffer, unless there is one.  0, or -1 with MemoryError. */
int writer_init(struct writer *writer);

/* Frees the buffer. */
void writer_destroy(struct writer *writer);

/* Frees a buffer that is not to be kept until the next dump. */
void writer_trim(struct writer *writer);

/* Starts a pickle: nothing is written, no frame is open.  `foreign`: calling `write` may run
   Python code.  Returns `out`. */
char *writer_begin(struct writer *writer, PyObject *write, int foreign);

/* True if the file takes data now and its write() runs no Python code: a BytesIO may be closed, or
   have its buffer exported.  The answer holds until foreign code runs. */
int writer_takes(struct writer *writer);

/* Opens a frame at `out`. */
char *writer_open_frame(struct writer *writer, char *out);

/* Between two objects: closes a full frame, writes it to the file and opens the next,
   and makes room.  *called is set if file.write was called.  May run Python code. */
char *writer_boundary(struct writer *writer, char *out, int *called);

/* Makes room for `size` bytes, and WRITER_ROOM behind them. */
char *writer_reserve(struct writer *writer, char *out, size_t size);

/* Writes a header and a payload.  A payload of FRAME_TARGET_SIZE or more stands outside of
   frames, and is handed to the file by itself: `object` if there is one, else a copy.
   *called is set if file.write was called.  May run Python code. */
char *writer_payload(struct writer *writer, char *out, const char *header, size_t header_size,
                     const char *payload, size_t size, PyObject *object, int *called);

/* Ends the pickle: closes the frame.  With a file, writes the rest to it and returns None,
   else returns the pickle; strong.  NULL with an exception.  May run Python code. */
PyObject *writer_finish(struct writer *writer, char *out);

/* Room for the opcodes that close a container: unlike writer_boundary(), never called between two
   objects, so no frame ends here. */
ALWAYS_INLINE char *
writer_room(struct writer *writer, char *out)
{
    return unlikely(writer->end - out < WRITER_ROOM) ? writer_reserve(writer, out, 0) : out;
}

ALWAYS_INLINE char *
write_u16(char *out, uint16_t value)
{
    unsigned char *bytes = (unsigned char *)out;
    bytes[0] = (unsigned char)(value & 0xff);
    bytes[1] = (unsigned char)(value >> 8);
    return out + 2;
}

ALWAYS_INLINE char *
write_u32(char *out, uint32_t value)
{
#if PY_LITTLE_ENDIAN
    memcpy(out, &value, 4);
#else
    for (int i = 0; i < 4; i++) {
        out[i] = (char)(unsigned char)(value >> (8 * i));
    }
#endif
    return out + 4;
}

ALWAYS_INLINE char *
write_u64(char *out, uint64_t value)
{
#if PY_LITTLE_ENDIAN
    memcpy(out, &value, 8);
#else
    for (int i = 0; i < 8; i++) {
        out[i] = (char)(unsigned char)(value >> (8 * i));
    }
#endif
    return out + 8;
}

/* Writes an opcode. */
ALWAYS_INLINE char *
write_op(char *out, int opcode)
{
    *out = (char)(unsigned char)opcode;
    return out + 1;
}

/* Copies a few bytes without a call; up to 16. */
ALWAYS_INLINE char *
write_short(char *out, const char *data, size_t size)
{
    if (size >= 8) {
        memcpy(out, data, 8);
        memcpy(out + size - 8, data + size - 8, 8);
    }
    else if (size >= 4) {
        memcpy(out, data, 4);
        memcpy(out + size - 4, data + size - 4, 4);
    }
    else {
        for (size_t i = 0; i < size; i++) {
            out[i] = data[i];
        }
    }
    return out + size;
}

ALWAYS_INLINE char *
write_bytes(char *out, const char *data, size_t size)
{
    if (size <= 16) {
        return write_short(out, data, size);
    }
    memcpy(out, data, size);
    return out + size;
}

#endif
