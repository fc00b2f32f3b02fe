/* Numbers, strings and bytes, where save.h does not write them in line. */
#include "dump/save.h"
#include "dump/save_scalars.h"

char *
save_bool_text(struct pickler *Py_UNUSED(pickler), PyObject *object, char *out)
{
    memcpy(out, object == Py_True ? "I01\n" : "I00\n", 4);
    return out + 4;
}

/* A number in digits: opcode, text, end.  Steals the text. */
static char *
write_text(struct pickler *pickler, char *out, int opcode, PyObject *text, const char *end)
{
    Py_ssize_t size;
    const char *data = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, &size);
    if (data != NULL) {
        out = writer_reserve(&pickler->writer, out, (size_t)size + 8);
        if (out != NULL) {
            out = write_op(out, opcode);
            memcpy(out, data, (size_t)size);
            out += size;
            memcpy(out, end, strlen(end));
            out += strlen(end);
        }
    }
    Py_XDECREF(text);
    return data == NULL ? NULL : out;
}

/* LONG1 or LONG4: as few bytes of two's complement as do. */
static char *
write_long_bytes(struct pickler *pickler, PyObject *integer, char *out)
{
    Py_ssize_t size = long_byte_count(integer);
    if (size < 0) {
        return NULL;
    }
    if (size > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "int too large to pickle");
        return NULL;
    }
    out = writer_reserve(&pickler->writer, out, (size_t)size + 8);
    if (out == NULL) {
        return NULL;
    }
    unsigned char *digits = (unsigned char *)out + 5;
    if (long_to_bytes(integer, digits, size) < 0) {
        return NULL;
    }
    while (size > 1
           && ((digits[size - 1] == 0xff && digits[size - 2] >= 0x80)
               || (digits[size - 1] == 0 && digits[size - 2] < 0x80))) {
        size--;
    }
    if (size < 256) {
        out[0] = (char)OP_LONG1;
        out[1] = (char)(unsigned char)size;
        memmove(out + 2, digits, (size_t)size);
        return out + 2 + size;
    }
    return write_u32(write_op(out, OP_LONG4), (uint32_t)size) + size;
}

/* Integers of more than 32 bits, and all in protocol 0. */
char *
save_long_large(struct pickler *pickler, PyObject *integer, char *out)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(integer, &overflow);
    if (!overflow && value >= INT32_MIN && value <= INT32_MAX) {
        if (pickler->bin) {
            return save_long(pickler, integer, out);
        }
        return write_text(pickler, out, OP_INT, PyObject_Repr(integer), "\n");
    }
    if (pickler->protocol >= 2) {
        return write_long_bytes(pickler, integer, out);
    }
    return write_text(pickler, out, OP_LONG, PyObject_Repr(integer), "L\n");
}

char *
save_float_text(struct pickler *pickler, PyObject *real, char *out)
{
    double value = PyFloat_AS_DOUBLE(real);
    char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    out = write_text(pickler, out, OP_FLOAT, PyUnicode_FromString(text), "\n");
    PyMem_Free(text);
    return out;
}

/* The header of a payload whose size is written in one, four or eight bytes.  Returns its
   length, or 0 with an exception. */
static size_t
payload_header(struct pickler *pickler, char *header, size_t size, int one, int four, int eight,
               const char *too_large)
{
    if (size < 256 && one != 0) {
        write_op(header, one)[0] = (char)(unsigned char)size;
        return 2;
    }
    if (size <= UINT32_MAX) {
        write_u32(write_op(header, four), (uint32_t)size);
        return 5;
    }
    if (pickler->protocol >= 4) {
        write_u64(write_op(header, eight), size);
        return 9;
    }
    PyErr_SetString(PyExc_OverflowError, too_large);
    return 0;
}

/* True if a payload of this size is handed to a file and that is foreign code: the file's write(),
   or the buffer of an object that a BytesIO reads. */
static int
goes_to_file(struct pickler *pickler, size_t size, PyObject *object)
{
    return pickler->writer.write != NULL && size >= FRAME_TARGET_SIZE
           && (pickler->writer.foreign
               || (object != NULL && !PyBytes_CheckExact(object)
                   && !PyByteArray_CheckExact(object)));
}

/* Writes a payload.  `object`, which the caller owns, is handed to the file; NULL: a copy is. */
static char *
write_payload(struct pickler *pickler, char *out, const char *header, size_t header_size,
              const char *data, size_t size, PyObject *object)
{
    if (goes_to_file(pickler, size, object) && save_foreign(pickler) < 0) {
        return NULL;
    }
    int called = 0;
    return writer_payload(&pickler->writer, out, header, header_size, data, size, object, &called);
}

static char *
write_utf8(struct pickler *pickler, const char *data, size_t size, PyObject *encoded, char *out)
{
    char header[9];
    size_t header_size = payload_header(
        pickler, header, size, pickler->protocol >= 4 ? OP_SHORT_BINUNICODE : 0, OP_BINUNICODE,
        OP_BINUNICODE8,
        "serializing a string larger than 4 GiB requires pickle protocol 4 or higher");
    if (header_size == 0) {
        return NULL;
    }
    return write_payload(pickler, out, header, header_size, data, size, encoded);
}

static int
has_surrogates(PyObject *string)
{
    int kind = PyUnicode_KIND(string);
    const void *data = PyUnicode_DATA(string);
    Py_ssize_t length = kind == PyUnicode_1BYTE_KIND ? 0 : PyUnicode_GET_LENGTH(string);
    for (Py_ssize_t i = 0; i < length; i++) {
        if (Py_UNICODE_IS_SURROGATE(PyUnicode_READ(kind, data, i))) {
            return 1;
        }
    }
    return 0;
}

/* A str in UTF-8, lone surrogates and all, which are not tried without that: the interpreter
   would look its error handlers up, and may have none any more. */
static char *
write_str_binary(struct pickler *pickler, PyObject *string, char *out)
{
    Py_ssize_t size;
    if (likely(!has_surrogates(string))) {
        const char *data = PyUnicode_AsUTF8AndSize(string, &size);
        return data == NULL ? NULL : write_utf8(pickler, data, (size_t)size, NULL, out);
    }
    PyObject *encoded = PyUnicode_AsEncodedString(string, "utf-8", "surrogatepass");
    if (encoded == NULL) {
        return NULL;
    }
    out = write_utf8(pickler, PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded),
                     encoded, out);
    Py_DECREF(encoded);
    return out;
}

static char *
write_hex(char *out, Py_UCS4 character, int digits)
{
    static const char hex[] = "0123456789abcdef";
    *out++ = '\\';
    *out++ = digits == 8 ? 'U' : 'u';
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        *out++ = hex[(character >> shift) & 15];
    }
    return out;
}

/* A character in protocol 0: Latin-1, and escapes for characters outside it, for the backslash,
   and for those that end a line or a text. */
static char *
write_escaped(char *out, Py_UCS4 character)
{
    if (character >= 0x10000) {
        return write_hex(out, character, 8);
    }
    if (character >= 256 || character == '\\' || character == 0 || character == '\n'
        || character == '\r' || character == 0x1a) {
        return write_hex(out, character, 4);
    }
    *out = (char)(unsigned char)character;
    return out + 1;
}

static char *
write_str_text(struct pickler *pickler, PyObject *string, char *out)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(string);
    int kind = PyUnicode_KIND(string);
    const void *data = PyUnicode_DATA(string);
    out = writer_reserve(&pickler->writer, out, 16);
    if (out == NULL) {
        return NULL;
    }
    out = write_op(out, OP_UNICODE);
    for (Py_ssize_t i = 0; i < length; i++) {
        out = save_room(pickler, out);
        if (out == NULL) {
            return NULL;
        }
        out = write_escaped(out, PyUnicode_READ(kind, data, i));
    }
    return write_op(out, '\n');
}

/* Strings that save_str() leaves: long, not ASCII, or of an old protocol. */
char *
save_str_large(struct pickler *pickler, PyObject *string, int unique, char *out)
{
    Py_INCREF(string);
    uint64_t epoch = pickler->epoch;
    out = pickler->bin ? write_str_binary(pickler, string, out)
                       : write_str_text(pickler, string, out);
    if (out != NULL) {
        out = save_memoize(pickler, string, unique && epoch == pickler->epoch, out);
    }
    if (epoch == pickler->epoch) {
        Py_DECREF(string);
        return out;
    }
    return save_release(pickler, string, save_flush(pickler, epoch, out));
}

/* Bytes, and objects that are written as bytes.  `object` is numbered. */
static char *
write_bytes_payload(struct pickler *pickler, PyObject *object, const char *data, size_t size,
                    int unique, char *out)
{
    char header[9];
    size_t header_size = payload_header(
        pickler, header, size, OP_SHORT_BINBYTES, OP_BINBYTES, OP_BINBYTES8,
        "serializing a bytes object larger than 4 GiB requires pickle protocol 4 or higher");
    if (header_size == 0) {
        return NULL;
    }
    unique = unique && !goes_to_file(pickler, size, object);
    out = write_payload(pickler, out, header, header_size, data, size, object);
    return out == NULL ? NULL : save_memoize(pickler, object, unique, out);
}

static char *
write_bytearray_payload(struct pickler *pickler, PyObject *object, const char *data, size_t size,
                        int unique, char *out)
{
    char header[9];
    write_u64(write_op(header, OP_BYTEARRAY8), size);
    unique = unique && !goes_to_file(pickler, size, object);
    out = write_payload(pickler, out, header, sizeof(header), data, size, object);
    return out == NULL ? NULL : save_memoize(pickler, object, unique, out);
}

/* Protocols before 3 have no bytes: codecs.encode(str, "latin1") makes them, in
   Python 2 a str. */
static char *
save_bytes_as_call(struct pickler *pickler, PyObject *bytes, char *out)
{
    if (PyBytes_GET_SIZE(bytes) == 0) {
        return save_built(pickler, bytes, Py_BuildValue("(O())", &PyBytes_Type), out);
    }
    if (save_foreign(pickler) < 0) {
        return NULL;
    }
    PyObject *latin1 =
        PyUnicode_DecodeLatin1(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), "strict");
    if (latin1 == NULL) {
        return NULL;
    }
    struct core_state *state = pickler->state;
    PyObject *built =
        Py_BuildValue("(O(NO))", state->stdlib.codecs_encode, latin1, state->str.latin1);
    return save_built(pickler, bytes, built, out);
}

char *
save_bytes(struct pickler *pickler, PyObject *bytes, int unique, char *out)
{
    if (pickler->protocol < 3) {
        return save_bytes_as_call(pickler, bytes, out);
    }
    return write_bytes_payload(pickler, bytes, PyBytes_AS_STRING(bytes),
                               (size_t)PyBytes_GET_SIZE(bytes), unique, out);
}

char *
save_bytearray(struct pickler *pickler, PyObject *bytearray, int unique, char *out)
{
    if (pickler->protocol >= 5) {
        return write_bytearray_payload(pickler, bytearray, PyByteArray_AS_STRING(bytearray),
                                       (size_t)PyByteArray_GET_SIZE(bytearray), unique, out);
    }
    if (PyByteArray_GET_SIZE(bytearray) == 0) {
        return save_built(pickler, bytearray, Py_BuildValue("(O())", &PyByteArray_Type), out);
    }
    PyObject *bytes = PyBytes_FromObject(bytearray);
    if (bytes == NULL) {
        return NULL;
    }
    return save_built(pickler, bytearray, Py_BuildValue("(O(N))", &PyByteArray_Type, bytes), out);
}

/* Asks buffer_callback: 1 to write the data here, 0 to leave it out, -1. */
static int
ask_in_band(struct pickler *pickler, PyObject *buffer)
{
    if (pickler->buffer_callback == NULL) {
        return 1;
    }
    if (save_foreign(pickler) < 0) {
        return -1;
    }
    PyObject *callback = Py_NewRef(pickler->buffer_callback);
    PyObject *answer = PyObject_CallOneArg(callback, buffer);
    Py_DECREF(callback);
    if (answer == NULL) {
        return -1;
    }
    int in_band = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return in_band;
}

/* Writes what a PickleBuffer is of, as the callback wants it. */
static char *
write_view(struct pickler *pickler, PyObject *buffer, const char *data, size_t size, int readonly,
           int in_band, char *out)
{
    if (!in_band) {
        out = write_op(out, OP_NEXT_BUFFER);
        return readonly ? write_op(out, OP_READONLY_BUFFER) : out;
    }
    if (readonly) {
        return write_bytes_payload(pickler, buffer, data, size, 0, out);
    }
    return write_bytearray_payload(pickler, buffer, data, size, 0, out);
}

/* 0, or -1 with the exception that the view is not of one piece. */
static int
check_one_piece(struct pickler *pickler, const Py_buffer *view)
{
    if (view->suboffsets == NULL && PyBuffer_IsContiguous(view, 'A')) {
        return 0;
    }
    PyErr_SetString(pickler->state->stdlib.pickling_error,
                    "PickleBuffer can not be pickled when pointing to a non-contiguous buffer");
    return -1;
}

/* The view that a buffer holds, if its exporter cannot be asked for another and need not:
   borrowed, and gone once foreign code releases the buffer.  NULL without an exception if it is
   not so. */
static const Py_buffer *
view_held_alone(struct pickler *pickler, PyObject *buffer)
{
    if (!pickler->state->dialect.buffers_are_held) {
        return NULL;
    }
    const Py_buffer *view = PyPickleBuffer_GetBuffer(buffer);
    if (view == NULL) {
        PyErr_Clear(); /* It was released, which whoever asks for its memory is told. */
        return NULL;
    }
    return PyObject_CheckBuffer(view->obj) ? NULL : view;
}

/* The callback may release the buffer, and so may a file that is written to: what is written is
   read from a copy that is made between the two. */
static char *
save_held_view(struct pickler *pickler, PyObject *buffer, const Py_buffer *view, char *out)
{
    if (check_one_piece(pickler, view) < 0) {
        return NULL;
    }
    int readonly = view->readonly, in_band = ask_in_band(pickler, buffer);
    if (in_band <= 0) {
        return in_band < 0 ? NULL : write_view(pickler, buffer, NULL, 0, readonly, 0, out);
    }
    view = PyPickleBuffer_GetBuffer(buffer);
    PyObject *bytes = view == NULL ? NULL : PyBytes_FromStringAndSize(view->buf, view->len);
    if (bytes == NULL) {
        return NULL;
    }
    out = write_view(pickler, buffer, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes),
                     readonly, 1, out);
    Py_DECREF(bytes);
    return out;
}

char *
save_picklebuffer(struct pickler *pickler, PyObject *buffer, char *out)
{
    if (pickler->protocol < 5) {
        PyErr_SetString(pickler->state->stdlib.pickling_error, PICKLE_BUFFER_ERROR);
        return NULL;
    }
    if (save_foreign(pickler) < 0) {
        return NULL;
    }
    const Py_buffer *held = view_held_alone(pickler, buffer);
    if (held != NULL) {
        return save_held_view(pickler, buffer, held, out);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_FULL_RO) != 0) {
        return NULL;
    }
    int in_band = check_one_piece(pickler, &view) < 0 ? -1 : ask_in_band(pickler, buffer);
    out = in_band < 0 ? NULL
                      : write_view(pickler, buffer, view.buf, (size_t)view.len, view.readonly,
                                   in_band, out);
    PyBuffer_Release(&view);
    return out;
}
