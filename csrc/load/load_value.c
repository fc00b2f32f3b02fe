/* Opcodes of values without parts: numbers, strings, bytes, buffers. */
#include "base/namecache.h"
#include "load/safe_limits.h"

#include <errno.h>
#include <stdlib.h>

/* A count of `size` bytes: 0, or -1 with an exception for a size that no object can have, or that
   a policy does not grant. */
static int
take_count(struct unpickler *unpickler, int size, const char *what, size_t *count)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, (size_t)size);
    if (bytes == NULL) {
        return -1;
    }
    uint64_t value = read_little_endian(bytes, size);
    if (unpickler->policy != NULL
        && safe_check_string(unpickler, value > SIZE_MAX ? SIZE_MAX : (size_t)value) < 0) {
        return -1;
    }
    if (value > PY_SSIZE_T_MAX) {
        PyErr_Format(PyExc_OverflowError, "%s exceeds system's maximum size of %zd bytes", what,
                     PY_SSIZE_T_MAX);
        return -1;
    }
    *count = (size_t)value;
    return 0;
}

/* ---- integers ----------------------------------------------------------- */

/* A line with at least one character before its newline; its length, or -1. */
static Py_ssize_t
take_nonempty_line(struct unpickler *unpickler, char **line)
{
    Py_ssize_t length = reader_take_line(&unpickler->reader, line);
    return length < 0 ? -1 : length < 2 ? reader_truncated(&unpickler->reader) : length;
}

/* The base in which INT and LONG are written. */
static int
base_of_lines(const struct unpickler *unpickler)
{
    return unpickler->state->load_dialect.guesses_base ? 0 : 10;
}

/* True if a line of INT with this value stands for a bool: "00" or "01". */
static int
is_bool(const struct unpickler *unpickler, const char *line, Py_ssize_t length, long value)
{
    if (length != 3 || (value != 0 && value != 1)) {
        return 0;
    }
    return unpickler->state->load_dialect.reads_bools_by_value
           || (line[0] == '0' && (line[1] == '0' || line[1] == '1'));
}

/* The integer or bool of INT. */
static PyObject *
integer_of_line(const struct unpickler *unpickler, const char *line, Py_ssize_t length)
{
    char *end;
    int base = base_of_lines(unpickler);
    errno = 0;
    long value = strtol(line, &end, base);
    if (errno != 0 || (*end != '\n' && *end != '\0')) {
        PyObject *integer = PyLong_FromString(line, NULL, base);
        if (integer == NULL) {
            PyErr_SetString(PyExc_ValueError, "could not convert string to int");
        }
        return integer;
    }
    return is_bool(unpickler, line, length, value) ? PyBool_FromLong(value)
                                                   : PyLong_FromLong(value);
}

int
load_int(struct unpickler *unpickler)
{
    char *line;
    Py_ssize_t length = take_nonempty_line(unpickler, &line);
    if (length >= 0 && unpickler->policy != NULL
        && safe_check_digits(unpickler, (size_t)length) < 0) {
        return -1;
    }
    return length < 0 ? -1 : load_push(unpickler, integer_of_line(unpickler, line, length));
}

int
load_long(struct unpickler *unpickler)
{
    char *line;
    Py_ssize_t length = take_nonempty_line(unpickler, &line);
    if (length < 0
        || (unpickler->policy != NULL && safe_check_digits(unpickler, (size_t)length) < 0)) {
        return -1;
    }
    if (line[length - 2] == 'L') {
        line[length - 2] = '\0';
    }
    return load_push(unpickler, PyLong_FromString(line, NULL, base_of_lines(unpickler)));
}

/* The integer of `size` bytes in two's complement; strong or NULL. */
static PyObject *
integer_of_bytes(const unsigned char *bytes, size_t size)
{
    if (size == 0 || size > 8) {
        return size == 0 ? PyLong_FromLong(0) : long_from_bytes(bytes, size);
    }
    uint64_t value = read_little_endian(bytes, (int)size);
    uint64_t sign = UINT64_C(1) << (8 * size - 1);
    return PyLong_FromLongLong((long long)((value ^ sign) - sign));
}

static int
push_integer(struct unpickler *unpickler, size_t size)
{
    if (unpickler->policy != NULL && safe_check_integer(unpickler, size) < 0) {
        return -1;
    }
    const unsigned char *bytes = reader_take(&unpickler->reader, size);
    return bytes == NULL ? -1 : load_push(unpickler, integer_of_bytes(bytes, size));
}

int
load_long1(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 1);
    return bytes == NULL ? -1 : push_integer(unpickler, bytes[0]);
}

/* A count of four bytes that is signed; 0, or -1 with UnpicklingError. */
static int
take_signed_count(struct unpickler *unpickler, const char *what, size_t *count)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 4);
    if (bytes == NULL) {
        return -1;
    }
    *count = (size_t)read_little_endian(bytes, 4);
    if (*count > INT32_MAX) {
        PyErr_Format(unpickler->state->stdlib.unpickling_error,
                     "%s pickle has negative byte count", what);
        return -1;
    }
    return unpickler->policy == NULL ? 0 : safe_check_string(unpickler, *count);
}

int
load_long4(struct unpickler *unpickler)
{
    size_t size;
    return take_signed_count(unpickler, "LONG", &size) < 0 ? -1 : push_integer(unpickler, size);
}

int
load_float(struct unpickler *unpickler)
{
    char *line, *end;
    Py_ssize_t length = take_nonempty_line(unpickler, &line);
    if (length < 0
        || (unpickler->policy != NULL && safe_check_string(unpickler, (size_t)length) < 0)) {
        return -1;
    }
    double value = PyOS_string_to_double(line, &end, PyExc_OverflowError);
    if (value == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (*end != '\n' && *end != '\0') {
        PyErr_SetString(PyExc_ValueError, "could not convert string to float");
        return -1;
    }
    return load_push(unpickler, PyFloat_FromDouble(value));
}

/* ---- strings of Python 2 ------------------------------------------------ */

/* True if they are to stay bytes. */
static int
keeps_bytes(struct unpickler *unpickler)
{
    return unpickler->encoding != NULL && PyUnicode_EqualToUTF8(unpickler->encoding, "bytes");
}

/* The text of an argument of the caller's, or its default; its memory is the
   argument's.  NULL with an exception. */
static const char *
option(PyObject *argument, const char *otherwise)
{
    return argument == NULL ? otherwise : PyUnicode_AsUTF8(argument);
}

/* Decodes it as the caller wants it; strong or NULL.  May run Python code (codecs). */
static PyObject *
decode_python2(struct unpickler *unpickler, const char *bytes, Py_ssize_t size)
{
    if (keeps_bytes(unpickler)) {
        return PyBytes_FromStringAndSize(bytes, size);
    }
    const char *encoding = option(unpickler->encoding, "ASCII");
    const char *errors = option(unpickler->errors, "strict");
    if (encoding == NULL || errors == NULL) {
        return NULL;
    }
    return PyUnicode_Decode(bytes, size, encoding, errors);
}

/* The string in a bytes object, which is stolen; strong or NULL. */
static PyObject *
string_of_escaped(struct unpickler *unpickler, PyObject *bytes)
{
    if (bytes == NULL || keeps_bytes(unpickler)) {
        return bytes;
    }
    const char *encoding = option(unpickler->encoding, "ASCII");
    const char *errors = option(unpickler->errors, "strict");
    PyObject *string = NULL;
    if (encoding != NULL && errors != NULL) {
        string = PyUnicode_FromEncodedObject(bytes, encoding, errors);
    }
    Py_DECREF(bytes);
    return string;
}

int
load_string(struct unpickler *unpickler)
{
    char *line;
    Py_ssize_t length = reader_take_line(&unpickler->reader, &line);
    if (length < 0
        || (unpickler->policy != NULL && safe_check_string(unpickler, (size_t)length) < 0)) {
        return -1;
    }
    length--;
    if (length < 2 || line[0] != line[length - 1] || (line[0] != '\'' && line[0] != '"')) {
        PyErr_SetString(unpickler->state->stdlib.unpickling_error,
                        "the STRING opcode argument must be quoted");
        return -1;
    }
    PyObject *bytes = PyBytes_DecodeEscape(line + 1, length - 2, NULL, 0, NULL);
    return load_push(unpickler, string_of_escaped(unpickler, bytes));
}

static int
push_counted_python2(struct unpickler *unpickler, size_t size)
{
    const char *bytes = (const char *)reader_take(&unpickler->reader, size);
    int may_look = unpickler->encoding != NULL || unpickler->errors != NULL;
    if (bytes == NULL || (may_look && reader_put_back(&unpickler->reader) < 0)) {
        return -1;
    }
    return load_push(unpickler, decode_python2(unpickler, bytes, (Py_ssize_t)size));
}

int
load_short_binstring(struct unpickler *unpickler)
{
    const unsigned char *bytes = reader_take(&unpickler->reader, 1);
    return bytes == NULL ? -1 : push_counted_python2(unpickler, bytes[0]);
}

int
load_binstring(struct unpickler *unpickler)
{
    size_t size;
    int result = unpickler->state->load_dialect.binstring_is_signed
                     ? take_signed_count(unpickler, "BINSTRING", &size)
                     : take_count(unpickler, 4, "BINSTRING", &size);
    return result < 0 ? -1 : push_counted_python2(unpickler, size);
}

/* ---- strings ------------------------------------------------------------ */

int
load_unicode(struct unpickler *unpickler)
{
    char *line;
    Py_ssize_t length = reader_take_line(&unpickler->reader, &line);
    if (length < 1) {
        return length < 0 ? -1 : reader_truncated(&unpickler->reader);
    }
    if (unpickler->policy != NULL && safe_check_string(unpickler, (size_t)length) < 0) {
        return -1;
    }
    return load_push(unpickler, PyUnicode_DecodeRawUnicodeEscape(line, length - 1, NULL));
}

static int
push_counted_string(struct unpickler *unpickler, int count_size)
{
    size_t size;
    if (take_count(unpickler, count_size, "BINUNICODE", &size) < 0) {
        return -1;
    }
    const unsigned char *bytes = reader_take(&unpickler->reader, size);
    if (bytes == NULL) {
        return -1;
    }
    if (unlikely(unpickler->reader.is_beyond) && !load_is_ascii(bytes, size)
        && reader_put_back(&unpickler->reader) < 0) { /* errors are handled by a function */
        return -1;
    }
    return load_push_unnoticed(unpickler, load_make_string(unpickler->state, bytes, size));
}

int
load_binunicode(struct unpickler *unpickler)
{
    return push_counted_string(unpickler, 4);
}

int
load_binunicode8(struct unpickler *unpickler)
{
    return push_counted_string(unpickler, 8);
}

/* ---- bytes and buffers -------------------------------------------------- */

/* Has the standard library's allocation of so many bytes fail as it does there, if there is no
   such memory anywhere: 0, or -1 with its exception.  Less is allocated as it arrives. */
static int
check_room(struct unpickler *unpickler, size_t size,
           PyObject *(*allocate)(const char *string, Py_ssize_t size))
{
    const size_t address_space = sizeof(size_t) == 8 ? PY_SSIZE_T_MAX >> 7 : PY_SSIZE_T_MAX - 64;
    if (likely(size <= address_space) || !unpickler->state->load_dialect.allocates_first) {
        return 0;
    }
    PyObject *room = allocate(NULL, (Py_ssize_t)size);
    Py_XDECREF(room);
    return room == NULL ? -1 : 0;
}

static int
push_counted_bytes(struct unpickler *unpickler, int count_size)
{
    size_t size;
    if (take_count(unpickler, count_size, "BINBYTES", &size) < 0
        || check_room(unpickler, size, PyBytes_FromStringAndSize) < 0) {
        return -1;
    }
    return load_push(unpickler, reader_take_bytes(&unpickler->reader, size));
}

int
load_short_binbytes(struct unpickler *unpickler)
{
    return push_counted_bytes(unpickler, 1);
}

int
load_binbytes(struct unpickler *unpickler)
{
    return push_counted_bytes(unpickler, 4);
}

int
load_binbytes8(struct unpickler *unpickler)
{
    return push_counted_bytes(unpickler, 8);
}

int
load_bytearray8(struct unpickler *unpickler)
{
    size_t size;
    if (take_count(unpickler, 8, "BYTEARRAY8", &size) < 0
        || check_room(unpickler, size, PyByteArray_FromStringAndSize) < 0) {
        return -1;
    }
    return load_push(unpickler, reader_take_bytearray(&unpickler->reader, size));
}

int
load_next_buffer(struct unpickler *unpickler)
{
    PyObject *unpickling_error = unpickler->state->stdlib.unpickling_error;
    if (unpickler->buffers == NULL) {
        PyErr_SetString(unpickling_error, "pickle stream refers to out-of-band data "
                                          "but no *buffers* argument was given");
        return -1;
    }
    PyObject *buffer = PyIter_Next(unpickler->buffers);
    if (buffer == NULL && !PyErr_Occurred()) {
        PyErr_SetString(unpickling_error, "not enough out-of-band buffers");
    }
    return load_push(unpickler, buffer);
}

int
load_readonly_buffer(struct unpickler *unpickler)
{
    if (load_reach(unpickler) < 1) {
        return load_underflow(unpickler);
    }
    PyObject *view = PyMemoryView_FromObject(unpickler->top[-1]);
    if (view == NULL) {
        return -1;
    }
    if (PyMemoryView_GET_BUFFER(view)->readonly) {
        Py_DECREF(view);
        return 0;
    }
    PyMemoryView_GET_BUFFER(view)->readonly = 1;
    Py_SETREF(unpickler->top[-1], view);
    return 0;
}
