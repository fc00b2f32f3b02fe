/* The input of a load: see reader.h. */
#include "load/reader.h"

#include "load/load_memo.h"
#include "load/plain_file.h"
#include "load/read_target.h"

enum {
    /* The size that peek() is asked for. */
    PREFETCH_SIZE = 128 * 1024,
    /* No more than this is allocated at once on the word of the pickle; after that, as
       much again as has arrived. */
    FIRST_CHUNK_SIZE = 1024 * 1024,
    /* From this size on, bytes read ahead are given back when they have been read again. */
    LEAST_TRIM = 1 << 15,
    /* Of windows that are read beyond what was asked for. */
    LEAST_BEYOND = 128,
    LARGEST_BEYOND = 1 << 16
};

static size_t
smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- the file ----------------------------------------------------------- */

int
reader_truncated(struct reader *reader)
{
    PyErr_SetString(reader->state->stdlib.unpickling_error, "pickle data was truncated");
    return -1;
}

static void
reader_drop_window(struct reader *reader)
{
    reader->before = reader_offset(reader);
    reader->at = reader->end = reader->skipped = reader->start = NULL;
    reader->in_frame = reader->is_beyond = 0;
    if (reader->window_is_bytes) {
        reader->window_is_bytes = 0;
        Py_CLEAR(reader->window.obj);
    }
    else if (reader->window.obj != NULL) {
        PyBuffer_Release(&reader->window);
    }
}

/* ---- frames ------------------------------------------------------------- */

/* Called where a read does not fit before the end.  1 if that was the end of a frame, which is
   closed; 0 if it is the end of the window; -1 with UnpicklingError if the read would cross the
   end of a frame. */
static int
reader_pass_frame(struct reader *reader)
{
    if (!reader->in_frame) {
        return 0;
    }
    if (reader->at < reader->end) {
        PyErr_SetString(reader->state->stdlib.unpickling_error,
                        "pickle exhausted before end of frame");
        return -1;
    }
    reader_close_frame(reader);
    return 1;
}

int
reader_refuse_frame(struct reader *reader)
{
    PyErr_SetString(reader->state->stdlib.unpickling_error,
                    "beginning of a new frame before end of current frame");
    return -1;
}

/* ---- the window --------------------------------------------------------- */

void
reader_show_bytes(struct reader *reader, PyObject *bytes, size_t size)
{
    reader->window.obj = Py_NewRef(bytes);
    reader->window_is_bytes = 1;
    reader->at = reader->start = (const unsigned char *)PyBytes_AS_STRING(bytes);
    reader->end = reader->skipped = reader->at + size;
}

Py_ssize_t
reader_set_window(struct reader *reader, PyObject *input)
{
    if (likely(PyBytes_CheckExact(input))) {
        reader_drop_window(reader);
        reader_show_bytes(reader, input, (size_t)PyBytes_GET_SIZE(input));
        return PyBytes_GET_SIZE(input);
    }
    Py_buffer window;
    if (PyObject_GetBuffer(input, &window, PyBUF_CONTIG_RO) < 0) {
        return -1;
    }
    reader_drop_window(reader);
    reader->window = window;
    reader->at = reader->start = window.buf;
    reader->end = reader->skipped = reader->at + window.len;
    return window.len;
}

int
reader_reserve_copy(struct reader *reader, size_t size)
{
    if (size > reader->copy_capacity) {
        PyMem_Free(reader->copy);
        reader->copy = PyMem_Malloc(size);
        reader->copy_capacity = reader->copy == NULL ? 0 : size;
    }
    return reader->copy != NULL;
}

int
reader_grow_copy(struct reader *reader, size_t size)
{
    unsigned char *copy = PyMem_Realloc(reader->copy, size);
    if (copy != NULL) {
        reader->copy = copy;
        reader->copy_capacity = size;
    }
    return copy != NULL;
}

void
reader_forget_ahead(struct reader *reader)
{
    reader->ahead = NULL;
    Py_CLEAR(reader->ahead_bytes);
}

void
reader_close(struct reader *reader)
{
    reader_drop_window(reader);
    reader->is_fixed = 0;
    reader->ahead = NULL;
#define CLEAR_FIELD(field) Py_CLEAR(reader->field);
    READER_OBJECTS(CLEAR_FIELD)
#undef CLEAR_FIELD
}

void
reader_free(struct reader *reader)
{
    reader_close(reader);
    PyMem_Free(reader->line);
    PyMem_Free(reader->copy);
    reader->line = NULL;
    reader->copy = NULL;
    reader->line_capacity = reader->copy_capacity = 0;
}

/* method(argument), which may be NULL for none: a new reference, or NULL with an exception.  Runs
   Python code. */
static PyObject *
call_method(struct reader *reader, PyObject *method, PyObject *argument)
{
    PyObject *arguments[] = {reader->file, argument};
    size_t count = argument != NULL;
    return reader->file != NULL
               ? PyObject_Vectorcall(method, arguments, count + 1, NULL)
               : PyObject_Vectorcall(method, arguments + 1, count | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                     NULL);
}

enum { SMALL_READ = 256 };

/* method(size): the same. */
static PyObject *
call_with_size(struct reader *reader, PyObject *method, size_t size)
{
    if (likely(size < SMALL_READ)) {
        return call_method(reader, method, reader->state->small_integers[size]);
    }
    PyObject *argument = PyLong_FromSize_t(size);
    if (argument == NULL) {
        return NULL;
    }
    PyObject *result = call_method(reader, method, argument);
    Py_DECREF(argument);
    return result;
}

int
reader_move_file(struct reader *reader)
{
    PyObject *passed =
        call_with_size(reader, reader->read, (size_t)(reader->at - reader->skipped));
    if (passed == NULL) {
        return -1;
    }
    Py_DECREF(passed);
    reader->skipped = reader->at;
    return 0;
}

/* seek(offset, 1).  0, or -1 with an exception. */
static int
seek_from_here(struct reader *reader, Py_ssize_t offset)
{
    PyObject *number = PyLong_FromSsize_t(offset);
    if (number == NULL) {
        return -1;
    }
    PyObject *arguments[] = {reader->file, number, reader->state->small_integers[1]};
    PyObject *position = PyObject_Vectorcall(reader->seek, arguments, 3, NULL);
    Py_DECREF(number);
    Py_XDECREF(position);
    return position == NULL ? -1 : 0;
}

int
reader_return(struct reader *reader)
{
    Py_ssize_t rest = reader->end - reader->at;
    if (rest > 0 && seek_from_here(reader, -rest) < 0) {
        return -1;
    }
    reader->is_beyond = 0;
    reader->end = reader->skipped = reader->at;
    reader->next_beyond = 2 * (size_t)(reader->at - reader->start);
    return 0;
}

/* Holds the pickle to the limit of its size, `size` more bytes included: 0, or -1 with
   UnpicklingError. */
static int
reader_check_most(struct reader *reader, size_t size)
{
    uint64_t taken = reader_offset(reader);
    if (likely(size <= reader->most && taken <= reader->most - size)) {
        return 0;
    }
    PyErr_SetString(reader->state->stdlib.unpickling_error,
                    "the pickle is longer than the limit 'size'");
    return -1;
}

/* Gives back the memory of bytes read ahead that no window will show again, those before the one
   at `offset`, once they are half of it. */
static void
trim_ahead(struct reader *reader, size_t offset)
{
    if (offset < LEAST_TRIM || offset < reader->ahead_size / 2 || reader->ahead != reader->copy) {
        return;
    }
    reader->ahead_size -= offset;
    reader->ahead_offset += offset;
    memmove(reader->copy, reader->copy + offset, reader->ahead_size);
    (void)reader_grow_copy(reader, Py_MAX(reader->ahead_size, 1));
    reader->ahead = reader->copy;
}

/* Compares the window that was just read with what the prescan saw.  0, or -1 with MemoryError. */
static int
reader_compare_ahead(struct reader *reader)
{
    if (likely(reader->ahead == NULL)) {
        return 0;
    }
    uint64_t offset = reader_offset(reader) - reader->ahead_offset;
    if (offset <= reader->ahead_size) {
        size_t size =
            smaller((size_t)(reader->end - reader->at), reader->ahead_size - (size_t)offset);
        if (memcmp(reader->at, reader->ahead + offset, size) == 0) {
            trim_ahead(reader, (size_t)offset);
            return 0;
        }
    }
    reader_forget_ahead(reader);
    return load_memo_doubt(reader->ahead_memo);
}

int
reader_peek(struct reader *reader, size_t size)
{
    PyObject *data = call_with_size(reader, reader->peek, PREFETCH_SIZE);
    if (data == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
            return -1;
        }
        PyErr_Clear();
        Py_CLEAR(reader->peek);
        return 0;
    }
    Py_ssize_t shown = reader_set_window(reader, data);
    Py_DECREF(data);
    if (shown < 0 || reader_compare_ahead(reader) < 0) {
        return -1;
    }
    reader->skipped = reader->at;
    return size <= (size_t)shown;
}

/* read(size) into memory.  0, or -1 with an exception.  Runs Python code. */
static int
fill_by_read(struct reader *reader, char *memory, size_t size)
{
    PyObject *data = call_with_size(reader, reader->read, size);
    if (data == NULL) {
        return -1;
    }
    int result = -1;
    if (!PyBytes_Check(data)) {
        PyErr_Format(PyExc_ValueError, "read() returned non-bytes object (%R)", Py_TYPE(data));
    }
    else if ((size_t)PyBytes_GET_SIZE(data) < size) {
        reader_truncated(reader);
    }
    else {
        memcpy(memory, PyBytes_AS_STRING(data), size);
        result = 0;
    }
    Py_DECREF(data);
    return result;
}

/* readinto(view); the size that the file says it read, or -1 with an exception.  Runs Python
   code. */
static Py_ssize_t
call_readinto(struct reader *reader, PyObject *target)
{
    PyObject *view = PyMemoryView_FromObject(target);
    if (view == NULL) {
        return -1;
    }
    PyObject *count = call_method(reader, reader->readinto, view);
    Py_DECREF(view);
    if (count == NULL) {
        return -1;
    }
    Py_ssize_t size = PyLong_AsSsize_t(count);
    Py_DECREF(count);
    if (size < 0 && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "readinto() returned negative size");
    }
    return size;
}

/* Fills `size` bytes at `memory`, inside *owner, from the file.  If the file kept a view
   of them, *kept is set: the owner must not be used then, but copied.  0, or -1 with an
   exception.  Runs Python code. */
static int
fill_from_file(struct reader *reader, PyObject *owner, char *memory, size_t size, int *kept)
{
    if (reader_finish(reader) < 0) {
        return -1;
    }
    if (reader->readinto == NULL) {
        return fill_by_read(reader, memory, size);
    }
    if (!file_trusts_readinto(reader)) {
        memset(memory, 0, size); /* old contents are shown to no caller, whatever the file says */
    }
    PyObject *target = read_target_new(reader->state, owner, memory, size);
    if (target == NULL) {
        return -1;
    }
    Py_ssize_t count = call_readinto(reader, target);
    *kept |= read_target_is_kept(target);
    Py_DECREF(target);
    if (count < 0) {
        return -1;
    }
    return (size_t)count < size ? reader_truncated(reader) : 0;
}

/* ---- bytes of any size -------------------------------------------------- */

/* PyBytes_FromStringAndSize or PyByteArray_FromStringAndSize: which of the two is read. */
typedef PyObject *(*bytes_maker)(const char *, Py_ssize_t);

/* The memory of what such a function made. */
static char *
memory_of(PyObject *made)
{
    return PyBytes_CheckExact(made) ? PyBytes_AS_STRING(made) : PyByteArray_AS_STRING(made);
}

/* Gives *bytes another size.  0, or -1 with an exception and *bytes NULL. */
static int
resize_bytes(PyObject **bytes, size_t size)
{
    if (PyBytes_CheckExact(*bytes)) {
        return _PyBytes_Resize(bytes, (Py_ssize_t)size);
    }
    if (PyByteArray_Resize(*bytes, (Py_ssize_t)size) < 0) {
        Py_CLEAR(*bytes);
        return -1;
    }
    return 0;
}

/* Gives *bytes a copy of its own of the first `used` bytes, with room for `size`.  0, or
   -1 with an exception and *bytes NULL. */
static int
replace_bytes(PyObject **bytes, size_t used, size_t size)
{
    bytes_maker make =
        PyBytes_CheckExact(*bytes) ? PyBytes_FromStringAndSize : PyByteArray_FromStringAndSize;
    PyObject *copy = make(NULL, (Py_ssize_t)size);
    if (copy != NULL) {
        memcpy(memory_of(copy), memory_of(*bytes), used);
    }
    Py_SETREF(*bytes, copy);
    return copy == NULL ? -1 : 0;
}

/* Fills a bytes object or bytearray from `filled` to `size`, growing it as data arrives; returns
   it complete, strong, or NULL with an exception.  Steals bytes, of `room` bytes.  Runs Python
   code. */
static PyObject *
grow_from_file(struct reader *reader, PyObject *bytes, size_t filled, size_t room, size_t size)
{
    for (;;) {
        int kept = 0;
        char *memory = memory_of(bytes) + filled;
        if (fill_from_file(reader, bytes, memory, room - filled, &kept) < 0) {
            Py_DECREF(bytes);
            return NULL;
        }
        reader->before += room - filled;
        filled = room;
        room += smaller(room, size - room);
        if (kept) {
            if (replace_bytes(&bytes, filled, room) < 0) {
                return NULL;
            }
        }
        else if (room > filled && resize_bytes(&bytes, room) < 0) {
            return NULL;
        }
        if (filled == size) {
            return bytes;
        }
    }
}

/* The rest of the window, which is less, and the beginning of the file. */
static PyObject *
take_bytes_beyond(struct reader *reader, size_t size, bytes_maker make)
{
    size_t there = (size_t)(reader->end - reader->at);
    size_t room = smaller(size, there >= FIRST_CHUNK_SIZE ? there * 2 : FIRST_CHUNK_SIZE);
    PyObject *bytes = make(NULL, (Py_ssize_t)room);
    if (bytes == NULL) {
        return NULL;
    }
    if (there > 0) {
        memcpy(memory_of(bytes), reader->at, there);
        reader->at = reader->end;
    }
    /* The file is where the load is.  That so much of the window was used says nothing of the
       next: it was payload, and much of another would be held beside what is made of it. */
    reader->is_beyond = 0;
    reader->next_beyond = 0;
    return grow_from_file(reader, bytes, there, room, size);
}

/* The next `size` bytes as what `make` makes; NULL with an exception.  Runs Python code. */
static PyObject *
take_as(struct reader *reader, size_t size, bytes_maker make)
{
    size_t there = (size_t)(reader->end - reader->at);
    if (likely(size <= there && there > 0)) {
        PyObject *bytes = make(NULL, (Py_ssize_t)size);
        if (bytes != NULL) {
            memcpy(memory_of(bytes), reader->at, size);
            reader->at += size;
        }
        return bytes;
    }
    int passed = reader_pass_frame(reader);
    if (passed < 0) {
        reader->at = reader->end; /* they are taken all the same */
        return NULL;
    }
    if (passed > 0) {
        return take_as(reader, size, make);
    }
    if (reader->read == NULL) {
        reader_truncated(reader);
        return NULL;
    }
    if (reader_check_most(reader, size) < 0) {
        return NULL;
    }
    return take_bytes_beyond(reader, size, make);
}

/* Even no bytes are asked of the file, or missed, at the end of the window, as in the
   standard library.  One byte is an object of its own, not the interpreter's. */
PyObject *
reader_take_bytes(struct reader *reader, size_t size)
{
    return take_as(reader, size, PyBytes_FromStringAndSize);
}

PyObject *
reader_take_bytearray(struct reader *reader, size_t size)
{
    return take_as(reader, size, PyByteArray_FromStringAndSize);
}

/* ---- windows ------------------------------------------------------------ */

/* Makes `size` bytes the window, of which the first chunk is read; stolen.  The window that is
   there stays if it fails.  Their size, 0 if they are not all there, or -1 with an exception.
   Runs Python code. */
static Py_ssize_t
reader_replace_window(struct reader *reader, PyObject *chunk, size_t size)
{
    PyObject *whole = NULL;
    if (PyBytes_GET_SIZE(chunk) < FIRST_CHUNK_SIZE) {
        Py_DECREF(chunk);
        return 0;
    }
    size_t room = smaller(size, 2 * FIRST_CHUNK_SIZE);
    if (replace_bytes(&chunk, FIRST_CHUNK_SIZE, room) == 0) {
        whole = grow_from_file(reader, chunk, FIRST_CHUNK_SIZE, room, size);
    }
    Py_ssize_t shown = whole == NULL ? -1 : reader_set_window(reader, whole);
    Py_XDECREF(whole);
    return shown;
}

/* Reads a window of `size` bytes (or the size that read() gives).  Its size, or -1 with an
   exception.  Runs Python code. */
static Py_ssize_t
reader_read_window(struct reader *reader, size_t size)
{
    PyObject *data = call_with_size(reader, reader->read, smaller(size, FIRST_CHUNK_SIZE));
    if (data == NULL) {
        return -1;
    }
    if (size > FIRST_CHUNK_SIZE && PyBytes_Check(data)
        && reader->state->load_dialect.keeps_window) {
        return reader_replace_window(reader, data, size);
    }
    Py_ssize_t shown = reader_set_window(reader, data);
    Py_DECREF(data);
    if (shown < FIRST_CHUNK_SIZE || (size_t)shown >= size) {
        return shown;
    }
    PyObject *whole = reader_take_bytes(reader, size);
    if (whole == NULL) {
        return -1;
    }
    shown = reader_set_window(reader, whole);
    Py_DECREF(whole);
    reader->before -= size; /* they are in the window, and yet to be taken */
    return shown;
}

/* Makes the result of read(size) the window and takes `size` bytes of it, without ado if the
   result is an exact bytes object of that size.  The bytes, or NULL, with or without an exception.
   Runs Python code. */
static const unsigned char *
take_few_bytes(struct reader *reader, size_t size)
{
    PyObject *data = call_with_size(reader, reader->read, size);
    if (data == NULL) {
        return NULL;
    }
    if (unlikely(!PyBytes_CheckExact(data) || (size_t)PyBytes_GET_SIZE(data) != size)) {
        Py_ssize_t shown = reader_set_window(reader, data);
        Py_DECREF(data);
        if (shown < 0) {
            return NULL;
        }
        if ((size_t)shown < size) {
            reader_truncated(reader);
            return NULL;
        }
        const unsigned char *bytes = reader->at;
        reader->at += size;
        return bytes;
    }
    reader->before = reader_offset(reader);
    Py_XSETREF(reader->window.obj, data);
    reader->start = (const unsigned char *)PyBytes_AS_STRING(data);
    reader->at = reader->end = reader->skipped = reader->start + size;
    return reader->start;
}

/* True if nothing has to be done before or after `size` bytes are read, which are few. */
ALWAYS_INLINE int
reads_plainly(const struct reader *reader, size_t size)
{
    return size < SMALL_READ && reader->peek == NULL && reader->read != NULL && !reader->in_frame
           && reader->ahead == NULL && reader->most == UINT64_MAX && reader->at <= reader->skipped
           && (reader->window_is_bytes || reader->window.obj == NULL);
}

/* True if more than so many bytes may be read of the file. */
ALWAYS_INLINE int
may_read_beyond(const struct reader *reader, size_t size)
{
    return reader->seek != NULL && size <= LARGEST_BEYOND && !reader->in_frame
           && reader->ahead == NULL && reader->most == UINT64_MAX;
}

/* Takes `size` bytes of a window that begins where the load has come to, and of which the file is
   behind more than was asked for.  The bytes, or NULL with an exception.  Runs no Python code. */
static const unsigned char *
take_of_more(struct reader *reader, size_t size)
{
    size_t wanted =
        reader->is_beyond ? 2 * (size_t)(reader->end - reader->start) : reader->next_beyond;
    wanted = Py_MAX(size, Py_MIN(Py_MAX(wanted, LEAST_BEYOND), LARGEST_BEYOND));
    if (reader_put_back(reader) < 0) {
        return NULL;
    }
    PyObject *data = call_with_size(reader, reader->read, wanted);
    Py_ssize_t shown = data == NULL ? -1 : reader_set_window(reader, data);
    Py_XDECREF(data);
    if (shown < 0) {
        return NULL;
    }
    const unsigned char *bytes = reader->at;
    if ((size_t)shown < size) {
        reader_truncated(reader);
        return NULL;
    }
    reader->at += size;
    reader->is_beyond = 1;
    return bytes;
}

const unsigned char *
reader_take_beyond(struct reader *reader, size_t size)
{
    if (may_read_beyond(reader, size)) {
        return take_of_more(reader, size);
    }
    if (reads_plainly(reader, size)) {
        reader->window_is_bytes = 1;
        return take_few_bytes(reader, size);
    }
    if (size > PY_SSIZE_T_MAX - (size_t)(reader->at - reader->start)) {
        PyErr_SetString(reader->state->stdlib.unpickling_error,
                        "read would overflow (invalid bytecode)");
        return NULL;
    }
    int passed = reader_pass_frame(reader);
    if (passed != 0) {
        return passed < 0 ? NULL : reader_take(reader, size);
    }
    if (reader->read == NULL) {
        reader_truncated(reader);
        return NULL;
    }
    if (reader_check_most(reader, size) < 0 || reader_finish(reader) < 0) {
        return NULL;
    }
    int enough = 0;
    if (reader->peek != NULL && size < PREFETCH_SIZE) {
        enough = reader_peek(reader, size);
    }
    if (enough == 0) {
        Py_ssize_t shown = reader_read_window(reader, size);
        enough = shown < 0 || reader_compare_ahead(reader) < 0 ? -1 : (size_t)shown >= size;
        if (enough == 0) {
            reader_truncated(reader);
        }
    }
    if (enough <= 0) {
        return NULL;
    }
    const unsigned char *bytes = reader->at;
    reader->at += size;
    return bytes;
}

/* Copies a line to where it is ended by a NUL.  Its length, or -1 with an exception. */
static Py_ssize_t
reader_keep_line(struct reader *reader, const unsigned char *start, size_t size, char **line)
{
    if (size >= reader->line_capacity) {
        char *grown = PyMem_Realloc(reader->line, size + 1);
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        reader->line = grown;
        reader->line_capacity = size + 1;
    }
    memcpy(reader->line, start, size);
    reader->line[size] = '\0';
    *line = reader->line;
    return (Py_ssize_t)size;
}

Py_ssize_t
reader_take_line(struct reader *reader, char **line)
{
    const unsigned char *start = reader->at;
    size_t there = (size_t)(reader->end - start);
    const unsigned char *newline = there == 0 ? NULL : memchr(start, '\n', there);
    if (newline != NULL) {
        reader->at = newline + 1;
        return reader_keep_line(reader, start, (size_t)(newline + 1 - start), line);
    }
    int passed = reader_pass_frame(reader);
    if (passed != 0) {
        return passed < 0 ? -1 : reader_take_line(reader, line);
    }
    if (reader->read == NULL) {
        return reader_truncated(reader);
    }
    if (reader_finish(reader) < 0) {
        return -1;
    }
    PyObject *data = call_method(reader, reader->readline, NULL);
    if (data == NULL) {
        return -1;
    }
    Py_ssize_t size = reader_set_window(reader, data);
    Py_DECREF(data);
    if (size < 0 || reader_compare_ahead(reader) < 0) {
        return -1;
    }
    if (size == 0 || reader->end[-1] != '\n') {
        return reader_truncated(reader);
    }
    start = reader->at;
    reader->at = reader->end;
    return reader_keep_line(reader, start, (size_t)size, line);
}
