/* Where a reader reads from: see reader_open.h. */
#include "load/reader_open.h"

#include "load/glance.h"
#include "load/plain_file.h"

enum {
    /* Memory that others may change is copied up to this size, and from the other one on only if
       that saves more than it costs. */
    LARGEST_COPY = 1024 * 1024,
    LEAST_GLANCE = 4096
};

/* True if the memory of the window is a bytes object's. */
static int
shows_bytes(const Py_buffer *window)
{
    PyObject *owner = window->obj;
    if (owner != NULL && PyMemoryView_Check(owner)) {
        owner = PyMemoryView_GET_BASE(owner);
    }
    return owner != NULL && PyBytes_CheckExact(owner);
}

void
reader_leave_copy(struct reader *reader)
{
    reader->at = reader->start = reader->window.buf;
    reader->end = reader->skipped = reader->at + reader->window.len;
    reader->is_fixed = 0;
    PyMem_Free(reader->copy);
    reader->copy = NULL;
    reader->copy_capacity = 0;
}

int
reader_open_memory(struct reader *reader, PyObject *input)
{
    reader->most = UINT64_MAX;
    if (PyBytes_CheckExact(input)) {
        reader_show_bytes(reader, input, (size_t)PyBytes_GET_SIZE(input));
        reader->is_fixed = 1;
        return 0;
    }
    Py_ssize_t size = reader_set_window(reader, input);
    if (size < 0) {
        return -1;
    }
    reader->is_fixed = shows_bytes(&reader->window);
    if (!reader->is_fixed && 0 < size && size <= LARGEST_COPY
        && (size < LEAST_GLANCE || !glance_is_payload(reader->at, (size_t)size))
        && reader_reserve_copy(reader, (size_t)size)) {
        reader->at = reader->start = memcpy(reader->copy, reader->at, (size_t)size);
        reader->end = reader->skipped = reader->at + size;
        reader->is_fixed = 1;
    }
    return 0;
}

/* Takes the methods of the file's type where the file is of io and has no attributes that could
   hide them, so that none has to be bound.  1, or 0 and nothing taken.  Runs no Python code. */
static int
open_plain_file(struct reader *reader, PyObject *file)
{
    struct core_strings *str = &reader->state->str;
    PyTypeObject *type = Py_TYPE(file);
    int buffered = file_is_exactly(file, "_io.BufferedReader");
    int mapped = file_is_exactly(file, "mmap.mmap");
    if (!HAS_GIL || !(buffered || mapped || file_is_exactly(file, "_io.BytesIO"))
        || !file_has_few_attributes(file, 0)) {
        return 0;
    }
    reader->file = Py_NewRef(file);
    reader->read = Py_XNewRef(type_lookup(type, str->read));
    reader->readinto = Py_XNewRef(type_lookup(type, str->readinto));
    reader->readline = Py_XNewRef(type_lookup(type, str->readline));
    reader->peek = buffered ? Py_XNewRef(type_lookup(type, str->peek)) : NULL;
    reader->seek =
        buffered || ALLOCATION_COLLECTS ? NULL : Py_XNewRef(type_lookup(type, str->seek));
    reader->next_beyond = 0;
    if (reader->read != NULL && (mapped || reader->readinto != NULL) && reader->readline != NULL) {
        return 1;
    }
    reader_close(reader);
    return 0;
}

int
reader_open_file(struct reader *reader, PyObject *file)
{
    struct core_strings *str = &reader->state->str;
    reader->most = UINT64_MAX;
    if (open_plain_file(reader, file)) {
        return 0;
    }
    if (PyObject_GetOptionalAttr(file, str->peek, &reader->peek) < 0
        || PyObject_GetOptionalAttr(file, str->readinto, &reader->readinto) < 0
        || PyObject_GetOptionalAttr(file, str->read, &reader->read) < 0
        || PyObject_GetOptionalAttr(file, str->readline, &reader->readline) < 0) {
        reader_close(reader);
        return -1;
    }
    if (reader->readline == NULL || reader->read == NULL) {
        PyErr_SetString(PyExc_TypeError, "file must have 'read' and 'readline' attributes");
        reader_close(reader);
        return -1;
    }
    return 0;
}
