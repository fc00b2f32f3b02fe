/* Files whose methods are known: see plain_file.h. */
#include "load/plain_file.h"

int
file_is_exactly(PyObject *object, const char *name)
{
    PyTypeObject *type = Py_TYPE(object);
    return PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE) && strcmp(type->tp_name, name) == 0;
}

int
file_has_few_attributes(PyObject *object, Py_ssize_t most)
{
    Py_ssize_t offset = Py_TYPE(object)->tp_dictoffset;
    if (offset <= 0) {
        return offset == 0;
    }
    PyObject *attributes = *(PyObject **)((char *)object + offset);
    return attributes == NULL || PyDict_GET_SIZE(attributes) <= most;
}

/* True if `method` is this very method of the file, whose type is one of C. */
static int
is_own_method(PyObject *method, PyObject *file, const char *name)
{
    return method != NULL && PyCFunction_CheckExact(method) && PyCFunction_GET_SELF(method) == file
           && strcmp(((PyCFunctionObject *)method)->m_ml->ml_name, name) == 0;
}

/* The file whose methods the reader has, if they are all its own; borrowed, or NULL. */
static PyObject *
find_file(const struct reader *reader)
{
    PyObject *read = reader->read;
    if (reader->file != NULL || read == NULL || !PyCFunction_CheckExact(read)) {
        return reader->file;
    }
    PyObject *file = PyCFunction_GET_SELF(read);
    return file != NULL && is_own_method(read, file, "read")
                   && is_own_method(reader->readinto, file, "readinto")
                   && is_own_method(reader->readline, file, "readline")
                   && (reader->peek == NULL || is_own_method(reader->peek, file, "peek"))
               ? file
               : NULL;
}

/* True if a buffered reader reads from a file of io that has a name and no other attribute of its
   own.  Runs no Python code. */
static int
reads_from_file(struct core_state *state, PyObject *file)
{
    PyObject *raw = PyObject_GetAttr(file, state->str.raw);
    int plain =
        raw != NULL && file_is_exactly(raw, "_io.FileIO") && file_has_few_attributes(raw, 1);
    PyErr_Clear(); /* a ValueError, once it is detached */
    Py_XDECREF(raw);
    return plain;
}

PyObject *
file_find_plain(const struct reader *reader)
{
    PyObject *file = find_file(reader);
    if (!HAS_GIL || file == NULL) {
        return NULL;
    }
    return (reader->peek == NULL
                ? file_is_exactly(file, "_io.BytesIO") || file_is_exactly(file, "mmap.mmap")
                : file_is_exactly(file, "_io.BufferedReader")
                      && reads_from_file(reader->state, file))
               ? file
               : NULL;
}

int
file_trusts_readinto(const struct reader *reader)
{
    PyObject *file = reader->file;
    if (file == NULL) {
        PyObject *readinto = reader->readinto;
        file = PyCFunction_CheckExact(readinto) ? PyCFunction_GET_SELF(readinto) : NULL;
    }
    if (file == NULL || !file_is_exactly(file, "_io.BufferedReader")) {
        return file != NULL
               && (file_is_exactly(file, "_io.BytesIO") || file_is_exactly(file, "_io.FileIO"));
    }
    return reads_from_file(reader->state, file);
}
