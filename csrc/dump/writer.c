/* Growing output, frames, and the way to a file: see writer.h. */
#include "dump/writer.h"

enum {
    LEAST_BUFFER = 1 << 14,
    /* The standard library's buffer to begin with, and the first size above WRITER_KEPT that it
       has where all that is written is small. */
    LEAST_STANDARD = 4096,
    LEAST_LARGE = 69984,
    FEW_BYTES = 64,
    ROOM_BEHIND = 2 * WRITER_ROOM
};

static_assert(LEAST_BUFFER > ROOM_BEHIND, "a new buffer has room");

/* Notes how large the standard library's buffer is by now, when so many bytes are used and the
   next piece is of `wanted`.  It grows by half of what is needed; the pieces between two calls are
   small, and which of them did not fit is known where there were few. */
static void
follow_standard(struct writer *writer, size_t used, size_t wanted)
{
    size_t standard = writer->standard;
    while (used > standard) {
        standard = (used - standard < FEW_BYTES ? used : standard) / 2 * 3;
    }
    writer->standard = used + wanted > standard ? (used + wanted) / 2 * 3 : standard;
}

/* The size after this one, for so many bytes that are used and wanted.  A large buffer has what
   the standard library's has, and the room; but where small pieces fill it, which may happen a
   little before or behind that, a little more comes first, lest one of the two be half as large
   again. */
static size_t
next_size(struct writer *writer, size_t capacity, size_t used, size_t wanted)
{
    size_t needed = used + wanted, standard = writer->standard;
    size_t more = standard + standard / 64 + 2 * ROOM_BEHIND;
    follow_standard(writer, used, wanted);
    while (capacity < WRITER_KEPT) {
        capacity *= 2;
        if (needed <= capacity - ROOM_BEHIND) {
            return capacity;
        }
    }
    if (needed > standard && needed <= more - ROOM_BEHIND && capacity < more) {
        return more;
    }
    return writer->standard + ROOM_BEHIND;
}

/* Makes the object the buffer.  0, or -1 where it is NULL, and there is none. */
static int
use_bytes(struct writer *writer, PyObject *bytes)
{
    writer->bytes = bytes;
    writer->start = bytes == NULL ? NULL : PyBytes_AS_STRING(bytes);
    writer->end = bytes == NULL ? NULL : writer->start + PyBytes_GET_SIZE(bytes);
    return bytes == NULL ? -1 : 0;
}

int
writer_init(struct writer *writer)
{
    if (writer->bytes != NULL) {
        return 0;
    }
    return use_bytes(writer, PyBytes_FromStringAndSize(NULL, LEAST_BUFFER));
}

/* Releases the buffer. */
void
writer_destroy(struct writer *writer)
{
    Py_CLEAR(writer->bytes);
    writer->start = writer->end = writer->limit = NULL;
}

void
writer_trim(struct writer *writer)
{
    if (writer->end - writer->start > WRITER_KEPT) {
        writer_destroy(writer);
    }
}

/* Sets the next boundary at which something is to be done, because the frame or the buffer is
   full; without frames, every so many bytes, since boundaries are where signals are seen. */
static void
set_limit(struct writer *writer, const char *out)
{
    char *room = writer->end - WRITER_ROOM;
    char *due = (char *)out + FRAME_TARGET_SIZE;
    if (writer->framing) {
        due = writer->start + writer->frame + FRAME_HEADER_SIZE + FRAME_TARGET_SIZE;
    }
    writer->due = due < room ? due : room;
    writer->limit = writer->every ? writer->start : writer->due;
}

char *
writer_begin(struct writer *writer, PyObject *write, int foreign)
{
    writer->write = write;
    writer->foreign = foreign;
    writer->framing = 0;
    writer->standard = LEAST_STANDARD;
    set_limit(writer, writer->start);
    return writer->start;
}

char *
writer_open_frame(struct writer *writer, char *out)
{
    writer->frame = (size_t)(out - writer->start);
    writer->framing = 1;
    set_limit(writer, out);
    return out + FRAME_HEADER_SIZE;
}

/* Fills in the header of the open frame; a frame of too few bytes gets none. */
static char *
close_frame(struct writer *writer, char *out)
{
    if (!writer->framing) {
        return out;
    }
    writer->framing = 0;
    char *header = writer->start + writer->frame;
    size_t size = (size_t)(out - header) - FRAME_HEADER_SIZE;
    if (size < FRAME_LEAST_SIZE) {
        memmove(header, header + FRAME_HEADER_SIZE, size);
        return header + size;
    }
    write_u64(write_op(header, OP_FRAME), size);
    return out;
}

char *
writer_reserve(struct writer *writer, char *out, size_t size)
{
    size_t used = (size_t)(out - writer->start);
    size_t capacity = (size_t)(writer->end - writer->start);
    size_t room = size < FRAME_TARGET_SIZE ? WRITER_ROOM : ROOM_BEHIND;
    if (size <= PY_SSIZE_T_MAX / 4 && capacity - used >= size + room) {
        if (size != 0) {
            follow_standard(writer, used, size);
        }
        return out;
    }
    if (size > PY_SSIZE_T_MAX / 4 || used > PY_SSIZE_T_MAX / 4) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *bytes = writer->bytes;
    int resized = _PyBytes_Resize(&bytes, (Py_ssize_t)next_size(writer, capacity, used, size));
    if (use_bytes(writer, bytes) < 0 || resized < 0) {
        writer->limit = NULL;
        return NULL;
    }
    out = writer->start + used;
    set_limit(writer, out);
    return out;
}

/* Hands an object to the file; steals it.  0 or -1.  May run Python code. */
static int
call_write(struct writer *writer, PyObject *object)
{
    if (object == NULL) {
        return -1;
    }
    PyObject *result = PyObject_CallOneArg(writer->write, object);
    Py_DECREF(object);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
writer_takes(struct writer *writer)
{
    if (call_write(writer, PyBytes_FromStringAndSize(NULL, 0)) < 0) {
        PyErr_Clear();
        return 0;
    }
    return 1;
}

/* The contents of the buffer as a bytes object of its own; strong, or NULL with an exception.  A
   large one, and one that half fills a buffer that has grown, is the buffer, and there is none
   then. */
static PyObject *
take_bytes(struct writer *writer, const char *out)
{
    Py_ssize_t size = out - writer->start, capacity = writer->end - writer->start;
    if (capacity <= LEAST_BUFFER || (capacity <= WRITER_KEPT && size < capacity / 2)) {
        return PyBytes_FromStringAndSize(writer->start, size);
    }
    PyObject *bytes = writer->bytes;
    (void)use_bytes(writer, NULL);
    writer->limit = NULL;
    (void)_PyBytes_Resize(&bytes, size);
    return bytes;
}

/* Hands the contents of the buffer to the file and empties it; where it was handed over, the next
   one is as large as a frame needs. */
static char *
flush(struct writer *writer, const char *out)
{
    if (call_write(writer, take_bytes(writer, out)) < 0) {
        return NULL;
    }
    if (writer->bytes == NULL) {
        PyObject *next = PyBytes_FromStringAndSize(NULL, LEAST_LARGE + ROOM_BEHIND);
        if (use_bytes(writer, next) < 0) {
            return NULL;
        }
        writer->standard = LEAST_LARGE;
        set_limit(writer, writer->start);
    }
    return writer->start;
}

char *
writer_boundary(struct writer *writer, char *out, int *called)
{
    if (writer->framing
        && (size_t)(out - writer->start) - writer->frame
               >= FRAME_TARGET_SIZE + FRAME_HEADER_SIZE) {
        out = close_frame(writer, out);
        if (writer->write != NULL) {
            *called = 1;
            out = flush(writer, out);
            if (out == NULL) {
                return NULL;
            }
        }
        out = writer_reserve(writer, out, FRAME_HEADER_SIZE);
        return out == NULL ? NULL : writer_open_frame(writer, out);
    }
    out = writer_reserve(writer, out, 0);
    if (out != NULL) {
        set_limit(writer, out);
    }
    return out;
}

/* The payload goes into the buffer. */
static char *
payload_inside(struct writer *writer, char *out, const char *header, size_t header_size,
               const char *payload, size_t size)
{
    follow_standard(writer, (size_t)(out - writer->start), header_size);
    out = writer_reserve(writer, out, size + header_size);
    if (out == NULL) {
        return NULL;
    }
    out = write_short(out, header, header_size);
    memcpy(out, payload, size);
    return out + size;
}

/* The buffer goes to the file, then the payload by itself. */
static char *
payload_to_file(struct writer *writer, char *out, const char *header, size_t header_size,
                const char *payload, size_t size, PyObject *object)
{
    out = writer_reserve(writer, out, header_size);
    if (out == NULL) {
        return NULL;
    }
    out = flush(writer, write_short(out, header, header_size));
    if (out == NULL) {
        return NULL;
    }
    PyObject *written =
        object != NULL ? Py_NewRef(object) : PyBytes_FromStringAndSize(payload, (Py_ssize_t)size);
    return call_write(writer, written) < 0 ? NULL : writer->start;
}

char *
writer_payload(struct writer *writer, char *out, const char *header, size_t header_size,
               const char *payload, size_t size, PyObject *object, int *called)
{
    if (size < FRAME_TARGET_SIZE) {
        return payload_inside(writer, out, header, header_size, payload, size);
    }
    int framing = writer->framing;
    follow_standard(writer, (size_t)(out - writer->start), 0);
    out = close_frame(writer, out);
    if (writer->write != NULL) {
        *called = 1;
        out = payload_to_file(writer, out, header, header_size, payload, size, object);
    }
    else {
        out = payload_inside(writer, out, header, header_size, payload, size);
    }
    if (out == NULL || !framing) {
        return out;
    }
    out = writer_reserve(writer, out, FRAME_HEADER_SIZE);
    return out == NULL ? NULL : writer_open_frame(writer, out);
}

PyObject *
writer_finish(struct writer *writer, char *out)
{
    out = close_frame(writer, out);
    if (writer->write == NULL) {
        return take_bytes(writer, out);
    }
    if (call_write(writer, take_bytes(writer, out)) < 0) {
        return NULL;
    }
    return Py_NewRef(Py_None);
}
