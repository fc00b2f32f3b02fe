/* Growing output, frames, and the way to a file: see writer.h. */
#include "dump/writer.h"

enum {
    LEAST_BUFFER = 1 << 14,
    /* The first size above WRITER_KEPT of the standard library's buffer, whose 4096 bytes grow by
       half each time.  Ours has the same sizes from there on, and takes no more, but while the
       kept buffer moves into it. */
    LEAST_BYTES = 69984
};

static_assert(LEAST_BUFFER > 2 * WRITER_ROOM, "a new buffer has room");
static_assert(LEAST_BYTES > WRITER_KEPT + 2 * WRITER_ROOM, "and so has what follows it");

/* The size after this one. */
static size_t
next_size(size_t capacity)
{
    return capacity < WRITER_KEPT   ? capacity * 2
           : capacity < LEAST_BYTES ? LEAST_BYTES
                                    : capacity / 2 * 3;
}

int
writer_init(struct writer *writer)
{
    if (writer->start != NULL) {
        return 0;
    }
    writer->start = PyMem_Malloc(LEAST_BUFFER);
    if (writer->start == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    writer->end = writer->start + LEAST_BUFFER;
    return 0;
}

/* Releases the buffer. */
void
writer_destroy(struct writer *writer)
{
    if (writer->bytes != NULL) {
        Py_CLEAR(writer->bytes);
    }
    else {
        PyMem_Free(writer->start);
    }
    writer->start = writer->end = writer->limit = NULL;
}

void
writer_trim(struct writer *writer)
{
    if (writer->bytes != NULL || writer->end - writer->start > WRITER_KEPT_FRAME) {
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

/* Moves the buffer into a bytes object of `size`.  0 or -1. */
static int
move_to_bytes(struct writer *writer, size_t used, size_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (bytes == NULL) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(bytes), writer->start, used);
    PyMem_Free(writer->start);
    writer->bytes = bytes;
    return 0;
}

/* Makes the block of memory or the bytes object larger.  0 or -1; on failure the buffer is
   as it was or gone. */
static int
resize(struct writer *writer, size_t used, size_t size)
{
    if (writer->bytes == NULL && (size <= WRITER_KEPT || writer->write != NULL)) {
        char *start = PyMem_Realloc(writer->start, size);
        if (start == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        writer->start = start;
        writer->end = start + size;
        return 0;
    }
    if (writer->bytes == NULL) {
        if (move_to_bytes(writer, used, size) < 0) {
            return -1;
        }
    }
    else if (_PyBytes_Resize(&writer->bytes, (Py_ssize_t)size) < 0) {
        writer->start = writer->end = writer->limit = NULL;
        return -1;
    }
    writer->start = PyBytes_AS_STRING(writer->bytes);
    writer->end = writer->start + size;
    return 0;
}

char *
writer_reserve(struct writer *writer, char *out, size_t size)
{
    size_t used = (size_t)(out - writer->start);
    size_t capacity = (size_t)(writer->end - writer->start);
    if (size <= PY_SSIZE_T_MAX / 4 && capacity - used >= size + WRITER_ROOM) {
        return out;
    }
    if (size > PY_SSIZE_T_MAX / 4 || used > PY_SSIZE_T_MAX / 4) {
        PyErr_NoMemory();
        return NULL;
    }
    size_t needed = used + size + 2 * WRITER_ROOM, grown = next_size(capacity);
    if (resize(writer, used, grown > needed ? grown : needed) < 0) {
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

/* Hands the contents of the buffer to the file and empties it. */
static char *
flush(struct writer *writer, char *out)
{
    PyObject *output = PyBytes_FromStringAndSize(writer->start, (Py_ssize_t)(out - writer->start));
    return call_write(writer, output) < 0 ? NULL : writer->start;
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

/* The pickle as bytes; strong, or NULL.  A buffer that is a bytes object becomes it. */
static PyObject *
take_bytes(struct writer *writer, Py_ssize_t size)
{
    if (writer->bytes == NULL) {
        return PyBytes_FromStringAndSize(writer->start, size);
    }
    PyObject *bytes = writer->bytes;
    writer->bytes = NULL;
    writer->start = writer->end = writer->limit = NULL;
    (void)_PyBytes_Resize(&bytes, size);
    return bytes;
}

PyObject *
writer_finish(struct writer *writer, char *out)
{
    out = close_frame(writer, out);
    if (writer->write == NULL) {
        return take_bytes(writer, out - writer->start);
    }
    if (flush(writer, out) == NULL) {
        return NULL;
    }
    return Py_NewRef(Py_None);
}
