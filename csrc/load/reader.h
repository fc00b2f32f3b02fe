/* The input of a load: bytes in memory, or a file read as little as its methods allow.

   A reader shows a window [at, end) of input.  Input in memory is one window; a file is seen
   window by window: the bytes that peek() shows without moving the file (and that are taken from
   it once consumed), a frame, a line, or exactly the bytes asked for, so that the file stands
   right behind the pickle when the load is over.  The rest of a window that was not consumed when
   the next one is read is discarded, as the standard library does; only a malformed pickle has
   such a rest.

   A BytesIO and an mmap show no bytes without being moved, and a pickle without frames asks for
   few at a time.  Where all methods are theirs, more is read than was asked for, in windows that
   grow with what the pickle uses, and the file is put back to where the load has come to
   (reader_put_back()) before anything runs that could look at it: see load_run.c.

   The bytes that a prescan (prescan.h) was shown of a file are compared with every window that is
   then read: a file that foreign code has moved or written to is not the one that was scanned.

   From 3.14.10 the standard library holds opcodes to their frames: none may lie across
   the end of one.  Where the running one does, the window ends with the frame until the
   frame is used up.

   Lengths come from the input and are never trusted: memory is allocated for bytes that are there,
   and from a file grows with the bytes that arrive. */
#ifndef FASTCOPYREG_LOAD_READER_H
#define FASTCOPYREG_LOAD_READER_H

#include "base/state.h"

struct load_memo;

/* Owned objects, for traverse and clear: V(field). */
#define READER_OBJECTS(V) \
    V(file)               \
    V(read)               \
    V(readinto)           \
    V(readline)           \
    V(peek)               \
    V(seek)               \
    V(ahead_bytes)

struct reader {
    const unsigned char *at;         /* the next byte */
    const unsigned char *end;        /* behind the window, or behind the frame in it */
    const unsigned char *window_end; /* behind the window, while a frame is open */
    int in_frame;
    int is_beyond;      /* the file stands behind the window, and not where the load has come to */
    size_t next_beyond; /* the size of the next window that is read so */
    const unsigned char *skipped; /* the file has left behind the bytes before this */
    const unsigned char *start;   /* of the window */
    uint64_t before;              /* bytes that were taken of other windows */
    uint64_t most;                /* bytes that a policy lets be taken; else UINT64_MAX */
    Py_buffer window;             /* owns the memory of the window; .obj NULL if none */
    int window_is_bytes;          /* then it has nothing but .obj */
    int is_fixed;                 /* all input is in memory, and nobody can change it */
    unsigned char *copy;          /* of input that others may change, or of bytes read ahead */
    size_t copy_capacity;
    PyObject *file; /* these are its type's methods; NULL: they are bound */
    PyObject *read; /* methods of the file; read NULL: all input is in memory */
    PyObject *readinto;
    PyObject *readline;
    PyObject *peek;
    PyObject *seek; /* of the type, if more may be read than was asked for; else NULL */
    /* The pickle as the prescan saw it, in ahead_bytes or the copy; NULL if it was not of a file.
       The place of its first byte in the bytes taken, and the memo that goes by it. */
    const unsigned char *ahead;
    size_t ahead_size;
    uint64_t ahead_offset;
    PyObject *ahead_bytes;
    struct load_memo *ahead_memo;
    char *line; /* the last line read, ended by a NUL */
    size_t line_capacity;
    struct core_state *state;
};

/* Makes room for a copy, in which nothing is kept.  1, or 0 without memory. */
int reader_reserve_copy(struct reader *reader, size_t size);

/* The same, and its contents stay. */
int reader_grow_copy(struct reader *reader, size_t size);

/* Forgets the bytes that the prescan saw. */
void reader_forget_ahead(struct reader *reader);

/* Makes the bytes that peek() shows the window.  1 if it holds `size` bytes, 0 if not, -1 with an
   exception.  Runs Python code. */
int reader_peek(struct reader *reader, size_t size);

/* Makes bytes the window up to `size` of them, which the file has left behind. */
void reader_show_bytes(struct reader *reader, PyObject *bytes, size_t size);

/* Makes a bytes-like object the window, all of which the file has left behind.  Its
   size, or -1 with an exception. */
Py_ssize_t reader_set_window(struct reader *reader, PyObject *input);

/* Releases the window and the file; keeps nothing but memory. */
void reader_close(struct reader *reader);
void reader_free(struct reader *reader);

/* Puts the file to where the load has come to, if it is beyond.  What was taken of the window
   stays valid until the reader is used again.  0, or -1 with an exception. */
int reader_return(struct reader *reader);

ALWAYS_INLINE int
reader_put_back(struct reader *reader)
{
    return likely(!reader->is_beyond) ? 0 : reader_return(reader);
}

/* The next `size` bytes, valid until the reader is used again; NULL with an exception.
   May run Python code. */
const unsigned char *reader_take_beyond(struct reader *reader, size_t size);

ALWAYS_INLINE const unsigned char *
reader_take(struct reader *reader, size_t size)
{
    const unsigned char *bytes = reader->at;
    if (likely(size <= (size_t)(reader->end - bytes))) {
        reader->at = bytes + size;
        return bytes;
    }
    return reader_take_beyond(reader, size);
}

/* The rest of the line with its newline, in *line ended by a NUL; its length, or -1
   with an exception.  The caller may write into it.  May run Python code. */
Py_ssize_t reader_take_line(struct reader *reader, char **line);

/* The next `size` bytes as a new bytes object, or a new bytearray; NULL with an exception.  Bytes
   that the window lacks are read straight into it.  May run Python code. */
PyObject *reader_take_bytes(struct reader *reader, size_t size);
PyObject *reader_take_bytearray(struct reader *reader, size_t size);

/* Raises UnpicklingError for a frame inside another; -1. */
int reader_refuse_frame(struct reader *reader);

/* Forgets an open frame. */
ALWAYS_INLINE void
reader_close_frame(struct reader *reader)
{
    if (reader->in_frame) {
        reader->in_frame = 0;
        reader->end = reader->window_end;
    }
}

/* Checks that an open frame has no rest, which forbids to open another: 0, or -1 with
   UnpicklingError. */
ALWAYS_INLINE int
reader_check_no_frame(struct reader *reader)
{
    if (unlikely(reader->in_frame && reader->at < reader->end)) {
        return reader_refuse_frame(reader);
    }
    reader_close_frame(reader);
    return 0;
}

/* Opens a frame of `size` bytes behind what is taken, all of which are read.  0, or -1 with an
   exception. May run Python code. */
ALWAYS_INLINE int
reader_open_frame(struct reader *reader, size_t size)
{
    const unsigned char *start = reader_take(reader, size);
    if (unlikely(start == NULL || reader_put_back(reader) < 0)) {
        return -1;
    }
    reader->next_beyond = 0; /* the next opcode is a frame again, or STOP */
    if (reader->state->load_dialect.holds_to_frames || reader->most != UINT64_MAX) {
        reader->window_end = reader->end;
        reader->end = reader->at;
        reader->in_frame = 1;
    }
    reader->at = start;
    return 0;
}

/* How many bytes have been taken. */
ALWAYS_INLINE uint64_t
reader_offset(const struct reader *reader)
{
    return reader->before + (uint64_t)(reader->at - reader->start);
}

/* Moves the file behind what was consumed of the window.  0, or -1 with an exception.  Runs Python
   code. */
int reader_move_file(struct reader *reader);

/* The same, if there is anything to pass. */
ALWAYS_INLINE int
reader_finish(struct reader *reader)
{
    return likely(reader->at <= reader->skipped) ? reader_put_back(reader)
                                                 : reader_move_file(reader);
}

/* Raises UnpicklingError "pickle data was truncated"; -1. */
int reader_truncated(struct reader *reader);

#endif
