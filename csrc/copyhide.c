/* Copies that the collector does not see for a while: see copyhide.h. */
#include "copyhide.h"

#if KNOWN_LAYOUT

/* As the memo keeps no more of a large copy than the next one needs. */
enum { FIRST_HIDDEN = 256, KEEP_HIDDEN = 1 << 16 };

/* Whether the object is of a kind that is made by the copier itself, and is tracked. */
ALWAYS_INLINE int
may_be_hidden(PyObject *copy)
{
    PyTypeObject *type = Py_TYPE(copy);
    int ours = type == &PyList_Type || type == &PyDict_Type
               || (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
                   && !PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE) && PyType_IS_GC(type)
                   && type->tp_is_gc == NULL && type->tp_alloc == PyType_GenericAlloc);
    return ours && collector_tracks(copy);
}

/* 0, or -1 without an exception. */
static int
grow(struct copyhide *hidden)
{
    size_t capacity = hidden->capacity == 0 ? FIRST_HIDDEN : 2 * hidden->capacity;
    PyObject **copies = PyMem_Realloc(hidden->copies, capacity * sizeof(PyObject *));
    if (copies == NULL) {
        return -1;
    }
    hidden->copies = copies;
    hidden->capacity = capacity;
    return 0;
}

void
copyhide_hide(struct copyhide *hidden, PyObject *copy)
{
    if (!may_be_hidden(copy) || (hidden->count == hidden->capacity && grow(hidden) < 0)) {
        return;
    }
    PyObject_GC_UnTrack(copy);
    hidden->copies[hidden->count++] = Py_NewRef(copy);
}

void
copyhide_reveal(struct copyhide *hidden)
{
    /* What dies may copy again. */
    struct copyhide revealed = *hidden;
    *hidden = (struct copyhide){0};
    for (size_t i = 0; i < revealed.count; i++) {
        PyObject *copy = revealed.copies[i];
        /* Up to 3.13 a dict is tracked by itself when something is put into it. */
        if (!collector_tracks(copy)) {
            PyObject_GC_Track(copy);
        }
        Py_DECREF(copy);
    }
    revealed.count = 0;
    if (revealed.capacity > KEEP_HIDDEN || hidden->copies != NULL) {
        copyhide_free(&revealed);
    }
    else {
        *hidden = revealed;
    }
}

void
copyhide_free(struct copyhide *hidden)
{
    PyMem_Free(hidden->copies);
    *hidden = (struct copyhide){0};
}

#endif
