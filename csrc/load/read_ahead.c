/* Reading ahead in a file: see read_ahead.h. */
#include "load/read_ahead.h"

#include "load/plain_file.h"

#ifdef HAVE_PREAD
#include <sys/stat.h>
#include <unistd.h>
#endif

enum {
    FIRST_READ = 512,
    GROWTH = 4,
    /* From this size on each reading doubles the size, so that no more than twice the need is
       read. */
    LARGE = 1024 * 1024,
    /* A part of a pickle in one piece that is larger than this is not read twice. */
    LARGEST_PIECE = 1024 * 1024,
    HEAD = 2 + FRAME_HEADER_SIZE /* PROTO, FRAME */
};

/* ---- the file's own methods --------------------------------------------- */

/* Calls a method of the file's type, also if the file has another one under its name: a new
   reference, or NULL with an exception.  The argument may be NULL.  Runs no Python code, as the
   type is one of C. */
static PyObject *
call_own(PyObject *file, PyObject *name, PyObject *argument)
{
    PyObject *method = type_lookup(Py_TYPE(file), name), *arguments[] = {file, argument};
    if (method == NULL) {
        PyErr_SetObject(PyExc_AttributeError, name);
        return NULL;
    }
    return PyObject_Vectorcall(method, arguments, argument == NULL ? 1 : 2, NULL);
}

/* seek(position), which returns nothing where the file is an mmap of 3.12.  0, or -1 with an
   exception. */
static int
seek_to(struct core_state *state, PyObject *file, Py_ssize_t position)
{
    PyObject *argument = PyLong_FromSsize_t(position);
    PyObject *result = argument == NULL ? NULL : call_own(file, state->str.seek, argument);
    Py_XDECREF(argument);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* ---- BytesIO, mmap ------------------------------------------------------- */

/* So many bytes of the file from a position on, which it is behind then; strong, or NULL with an
   exception. */
static PyObject *
read_from(struct core_state *state, PyObject *file, size_t size)
{
    PyObject *argument = PyLong_FromSize_t(size);
    PyObject *bytes = argument == NULL ? NULL : call_own(file, state->str.read, argument);
    Py_XDECREF(argument);
    return bytes;
}

/* True if PROTO and FRAME are there. */
static int
begins_with_frame(const unsigned char *at, size_t size)
{
    return size >= HEAD && at[0] == OP_PROTO && at[1] >= 4 && at[2] == OP_FRAME;
}

/* The size of PROTO, FRAME and the first frame, if they are all there and nothing is wrong with
   them; else 0. */
static size_t
size_of_first_frame(const unsigned char *at, size_t size)
{
    if (!begins_with_frame(at, size) || at[1] > HIGHEST_PROTOCOL) {
        return 0;
    }
    uint64_t frame = read_little_endian(at + 3, 8);
    return frame <= size - HEAD ? (size_t)frame + HEAD : 0;
}

/* True if reading more than was scanned is worthwhile. */
static int
may_read_on(const struct prescan *scan, int is_all)
{
    return !is_all && 0 < scan->missing && scan->missing <= LARGEST_PIECE;
}

/* The size to read next, where this size was not enough. */
static size_t
size_to_see(const struct prescan *scan, size_t size)
{
    return Py_MAX(size * (size < LARGE ? GROWTH : 2), size + scan->missing);
}

/* True if the pickle that was scanned runs nothing and has no frame, so that nobody sees meanwhile
   that the file is behind the bytes taken.  A byte that looks like one of these opcodes is taken
   for it. */
static int
runs_nothing(const struct unpickler *unpickler, const unsigned char *at)
{
    const struct prescan *scan = &unpickler->memo.scan;
    static const unsigned char opcodes[] = {OP_EXT1, OP_EXT2, OP_EXT4, OP_FRAME};
    int nothing = scan->runs_nothing && !ALLOCATION_COLLECTS && unpickler->encoding == NULL
                  && unpickler->errors == NULL;
    for (size_t i = 0; nothing && i < sizeof(opcodes); i++) {
        nothing = memchr(at, opcodes[i], scan->size) == NULL;
    }
    return nothing;
}

/* The bytes at a position, which the file is behind then, with a pickle that was *understood, or
   with its first frame at least; strong, or NULL with or without an exception. */
static PyObject *
scan_by_read(struct unpickler *unpickler, PyObject *file, Py_ssize_t position, int *understood)
{
    struct core_state *state = unpickler->state;
    struct prescan *scan = &unpickler->memo.scan;
    for (size_t wanted = FIRST_READ;;) {
        PyObject *bytes = read_from(state, file, wanted);
        if (bytes == NULL) {
            return NULL;
        }
        const unsigned char *at = (const unsigned char *)PyBytes_AS_STRING(bytes);
        size_t size = (size_t)PyBytes_GET_SIZE(bytes);
        int is_all = size < wanted, framed = begins_with_frame(at, size);
        *understood = prescan(scan, at, at + size, 0) && (framed || runs_nothing(unpickler, at));
        int goes_on = framed && !*understood && may_read_on(scan, is_all);
        if (*understood || (!goes_on && size_of_first_frame(at, size) > 0)) {
            return bytes;
        }
        Py_DECREF(bytes);
        if (!goes_on || seek_to(state, file, position) < 0) {
            return NULL;
        }
        wanted = size_to_see(scan, size);
    }
}

/* Makes so many of the bytes the window, and moves the file behind them.  0, or -1 with an
   exception. */
static int
show_ahead(struct unpickler *unpickler, PyObject *file, Py_ssize_t position, PyObject *bytes,
           size_t shown)
{
    struct reader *reader = &unpickler->reader;
    Py_ssize_t behind = position + (Py_ssize_t)shown;
    if (seek_to(unpickler->state, file, behind) < 0) {
        return -1;
    }
    reader->ahead_offset = reader->before = reader_offset(reader);
    reader_show_bytes(reader, bytes, shown);
    return 0;
}

/* Loads from the bytes at a position, whose pickle was understood or not.  0, or -1 with an
   exception. */
static int
take_ahead(struct unpickler *unpickler, PyObject *file, Py_ssize_t position, PyObject *bytes,
           int understood, struct ahead_of_load *ahead)
{
    struct reader *reader = &unpickler->reader;
    const unsigned char *at = (const unsigned char *)PyBytes_AS_STRING(bytes);
    size_t pickle_size = unpickler->memo.scan.size;
    size_t shown = size_of_first_frame(at, (size_t)PyBytes_GET_SIZE(bytes));
    int framed = shown > 0;
    shown = framed ? shown : pickle_size;
    if (show_ahead(unpickler, file, position, bytes, shown) < 0) {
        return -1;
    }
    if (!understood) {
        return 0;
    }
    if (load_memo_begin_prescanned(&unpickler->memo) < 0) {
        return -1;
    }
    if (!framed) {
        ahead->file = file;
        ahead->position = position;
    }
    if (pickle_size <= shown) {
        ahead->size = pickle_size;
        return 0;
    }
    reader->ahead_bytes = Py_NewRef(bytes);
    reader->ahead = at;
    reader->ahead_size = pickle_size;
    reader->ahead_memo = &unpickler->memo;
    return 0;
}

static int
read_ahead_by_read(struct unpickler *unpickler, PyObject *file, struct ahead_of_load *ahead)
{
    struct core_strings *str = &unpickler->state->str;
    if (unpickler->reader.at < unpickler->reader.end) {
        return 0; /* behind an error */
    }
    PyObject *told = call_own(file, str->tell, NULL);
    Py_ssize_t position = told == NULL ? -1 : PyLong_AsSsize_t(told);
    Py_XDECREF(told);
    if (position < 0) {
        PyErr_Clear(); /* closed: reading it says so */
        return 0;
    }
    int understood;
    PyObject *bytes = scan_by_read(unpickler, file, position, &understood);
    if (bytes == NULL) {
        PyErr_Clear();
        return seek_to(unpickler->state, file, position) < 0 ? -1 : 0;
    }
    int result = take_ahead(unpickler, file, position, bytes, understood, ahead);
    Py_DECREF(bytes);
    return result;
}

void
read_ahead_undo(struct unpickler *unpickler, const struct ahead_of_load *ahead)
{
    if (ahead->file == NULL) {
        return;
    }
    PyObject *exception = PyErr_GetRaisedException();
    struct reader *reader = &unpickler->reader;
    uint64_t taken = reader_offset(reader) - reader->ahead_offset;
    if (seek_to(unpickler->state, ahead->file, ahead->position + (Py_ssize_t)taken) < 0) {
        PyErr_Clear();
    }
    PyErr_SetRaisedException(exception);
}

/* ---- regular files ------------------------------------------------------- */

#ifdef HAVE_PREAD

/* The descriptor of the regular file that a BufferedReader reads, or -1 with or without an
   exception. */
static int
find_descriptor(struct core_state *state, PyObject *file)
{
    struct stat status;
    PyObject *raw = PyObject_GetAttr(file, state->str.raw);
    PyObject *number = raw == NULL ? NULL : call_own(raw, state->str.fileno, NULL);
    int descriptor = number == NULL ? -1 : (int)PyLong_AsLong(number);
    Py_XDECREF(number);
    Py_XDECREF(raw);
    return descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)
               ? descriptor
               : -1;
}

/* Reads into the copy, behind so many bytes, as many as are there up to a size.  Returns the
   number of bytes in the copy.  Lets other threads run. */
static size_t
read_at(struct reader *reader, int descriptor, size_t used, size_t size, off_t position)
{
    ssize_t count = 1;
    Py_BEGIN_ALLOW_THREADS while (used < size && count > 0)
    {
        count = pread(descriptor, reader->copy + used, size - used, position);
        used += count > 0 ? (size_t)count : 0;
        position += count > 0 ? count : 0;
    }
    Py_END_ALLOW_THREADS return used;
}

/* Scans the window and the bytes behind it in the file.  True if the pickle was understood. */
static int
scan_descriptor(struct unpickler *unpickler, int descriptor, off_t position)
{
    struct reader *reader = &unpickler->reader;
    struct prescan *scan = &unpickler->memo.scan;
    size_t used = (size_t)(reader->end - reader->at);
    if (!reader_reserve_copy(reader, used)) {
        return 0;
    }
    memcpy(reader->copy, reader->at, used);
    for (int is_all = 0; may_read_on(scan, is_all);) {
        size_t wanted = size_to_see(scan, used);
        if (!reader_grow_copy(reader, wanted)) {
            return 0;
        }
        size_t there = read_at(reader, descriptor, used, wanted, position);
        position += (off_t)(there - used);
        used = there;
        is_all = used < wanted;
        if (prescan(scan, reader->copy, reader->copy + used, is_all)) {
            return 1;
        }
    }
    return 0;
}

static int
read_ahead_of_window(struct unpickler *unpickler, PyObject *file)
{
    struct reader *reader = &unpickler->reader;
    int descriptor = find_descriptor(unpickler->state, file);
    off_t position = descriptor < 0 ? -1 : lseek(descriptor, 0, SEEK_CUR);
    PyErr_Clear();
    if (position < 0 || !scan_descriptor(unpickler, descriptor, position)) {
        return 0;
    }
    reader->ahead_size = unpickler->memo.scan.size;
    (void)reader_grow_copy(reader, reader->ahead_size);
    reader->ahead = reader->copy;
    reader->ahead_offset = reader_offset(reader);
    reader->ahead_memo = &unpickler->memo;
    return load_memo_begin_prescanned(&unpickler->memo);
}

#else

static int
read_ahead_of_window(struct unpickler *Py_UNUSED(unpickler), PyObject *Py_UNUSED(file))
{
    return 0;
}

#endif

/* Calls peek() first, as the standard library does: its bytes are often the complete pickle.  A
   pickle without frames gains less by the prescan than it costs to read it twice. */
static int
read_ahead_buffered(struct unpickler *unpickler, PyObject *file, struct ahead_of_load *ahead)
{
    struct reader *reader = &unpickler->reader;
    if (reader->at == reader->end && (reader_finish(reader) < 0 || reader_peek(reader, 1) < 0)) {
        return -1;
    }
    struct prescan *scan = &unpickler->memo.scan;
    if (prescan(scan, reader->at, reader->end, 0)) {
        ahead->size = scan->size;
        return load_memo_begin_prescanned(&unpickler->memo);
    }
    return may_read_on(scan, 0)
                   && begins_with_frame(reader->at, (size_t)(reader->end - reader->at))
               ? read_ahead_of_window(unpickler, file)
               : 0;
}

int
read_ahead(struct unpickler *unpickler, struct ahead_of_load *ahead)
{
    PyObject *file = file_find_plain(&unpickler->reader);
    *ahead = (struct ahead_of_load){0};
    if (file == NULL) {
        return 0;
    }
    return unpickler->reader.peek == NULL ? read_ahead_by_read(unpickler, file, ahead)
                                          : read_ahead_buffered(unpickler, file, ahead);
}
