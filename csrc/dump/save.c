/* The work between two objects, and the choice of the function that saves an object. */
#include "dump/save.h"

#include "dump/save_bound.h"
#include "types/bound.h"

/* ---- foreign code ------------------------------------------------------- */

char *
save_release_last(struct pickler *pickler, PyObject *object, char *out)
{
    /* After an exception the dump is over, but a program may look at its memo. */
    PyObject *exception = out == NULL ? PyErr_GetRaisedException() : NULL;
    if (save_foreign(pickler) < 0) {
        if (exception != NULL) {
            PyErr_Clear();
        }
        out = NULL;
    }
    Py_DECREF(object);
    if (exception != NULL) {
        PyErr_SetRaisedException(exception);
    }
    return out;
}

int
save_make_dicts(struct pickler *pickler)
{
    struct memo *memo = &pickler->memo;
    for (size_t i = memo->unmade_from; memo->unmade != 0 && i < memo->count; i++) {
        if ((memo->log[i] & MEMO_MARKS) != MEMO_UNMADE) {
            continue;
        }
        uintptr_t entry = memo->log[i];
        PyObject *dict = PyObject_GenericGetDict((PyObject *)(entry & ~MEMO_MARKS), NULL);
        /* Code that the collector ran may have cleared the memo. */
        int same = i < memo->count && memo->log[i] == entry;
        int made = dict == NULL ? -1 : same ? memo_make(memo, i, dict) : 0;
        Py_XDECREF(dict);
        if (made < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- memo --------------------------------------------------------------- */

/* Writes a number in digits and the end of the line. */
static char *
write_index(char *out, int opcode, Py_ssize_t index)
{
    int size = PyOS_snprintf(out, 32, "%c%zd\n", opcode, index);
    return out + size;
}

char *
save_put_op(struct pickler *pickler, Py_ssize_t index, char *out)
{
    if (!pickler->bin) {
        return write_index(out, OP_PUT, index);
    }
    if (index < 256) {
        *write_op(out, OP_BINPUT) = (char)(unsigned char)index;
        return out + 2;
    }
    if ((size_t)index <= UINT32_MAX) {
        return write_u32(write_op(out, OP_LONG_BINPUT), (uint32_t)index);
    }
    PyErr_SetString(pickler->state->stdlib.pickling_error, "memo id too large for LONG_BINPUT");
    return NULL;
}

char *
save_get_op(struct pickler *pickler, Py_ssize_t index, char *out)
{
    if (!pickler->bin) {
        return write_index(out, OP_GET, index);
    }
    if (index < 256) {
        /* An assigned memo may have negative numbers, of which one byte is written. */
        *write_op(out, OP_BINGET) = (char)(unsigned char)(index & 0xff);
        return out + 2;
    }
    PyErr_SetString(pickler->state->stdlib.pickling_error, "memo id too large for LONG_BINGET");
    return NULL;
}

/* True if an object need not be kept, by its type: the memo has numbered it, unless emptied since,
   or nobody can see its death. */
static int
has_number_by_type(PyTypeObject *type)
{
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type
           || type == Py_TYPE(Py_None) || type == &PyBool_Type || type == &PyDict_Type
           || type == &PyList_Type || type == &PyTuple_Type || type == &PyBytes_Type
           || type == &PySet_Type || type == &PyFrozenSet_Type;
}

int
save_keep_part(struct pickler *pickler, PyObject *part)
{
    if (has_number_by_type(Py_TYPE(part)) || memo_find(&pickler->memo, part) >= 0) {
        return 0;
    }
    return memo_keep(&pickler->memo, part);
}

/* ---- between two objects ------------------------------------------------ */

/* Handles signals and lets other threads run, if any wait.  0, or -1 with the exception of a
   signal handler. */
static int
poll_events(struct pickler *pickler)
{
    if (!poll_is_due(&pickler->poll)) {
        return 0;
    }
    return save_foreign(pickler) < 0 ? -1 : poll_take(pickler->state, &pickler->poll);
}

char *
save_pass_boundary(struct pickler *pickler, char *out)
{
    if (out < pickler->writer.due && !pickler->poll_at_next) {
        return out;
    }
    int called = 0;
    pickler->poll_at_next = 0;
    if (pickler->writer.foreign && save_foreign(pickler) < 0) {
        return NULL;
    }
    out = writer_boundary(&pickler->writer, out, &called);
    return out == NULL || poll_events(pickler) < 0 ? NULL : out;
}

char *
save_end_frame(struct pickler *pickler, char *out)
{
    int called = 0;
    if (out >= pickler->writer.due) {
        out = writer_boundary(&pickler->writer, out, &called);
    }
    /* Sends the next object to the boundary. */
    pickler->poll_at_next = 1;
    return out;
}

/* ---- which kind an object is -----------------------------------------------------------------
 */

/* ---- cycles in fast mode ------------------------------------------------ */

/* Where nothing is memoized, containers nested deeply are remembered by address. */
static int
fast_remember(struct pickler *pickler, PyObject *container)
{
    if (pickler->fast_memo == NULL && (pickler->fast_memo = PyDict_New()) == NULL) {
        return -1;
    }
    PyObject *key = PyLong_FromVoidPtr(container);
    if (key == NULL) {
        return -1;
    }
    int known = PyDict_Contains(pickler->fast_memo, key);
    if (known > 0) {
        PyErr_Format(PyExc_ValueError,
                     "fast mode: can't pickle cyclic objects including object type %.200s at %p",
                     Py_TYPE(container)->tp_name, container);
    }
    else if (known == 0) {
        known = PyDict_SetItem(pickler->fast_memo, key, Py_None);
    }
    Py_DECREF(key);
    return known == 0 ? 0 : -1;
}

int
save_fast_enter(struct pickler *pickler, PyObject *container)
{
    if (++pickler->fast_nesting >= FAST_NESTING_LIMIT) {
        return fast_remember(pickler, container);
    }
    return 0;
}

char *
save_fast_leave(struct pickler *pickler, PyObject *container, char *out)
{
    if (out == NULL || pickler->fast_nesting-- < FAST_NESTING_LIMIT) {
        return out;
    }
    PyObject *key = PyLong_FromVoidPtr(container);
    if (key == NULL || PyDict_DelItem(pickler->fast_memo, key) < 0) {
        out = NULL;
    }
    Py_XDECREF(key);
    return out;
}
