/* What happens between two objects, and which kind an object is. */
#include "dump/save.h"

#include "dump/save_bound.h"
#include "types/bound.h"

/* ---- foreign code ------------------------------------------------------- */

char *
save_release_last(struct pickler *pickler, PyObject *object, char *out)
{
    /* With an exception set the dump is over, but its memo may be looked at. */
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
        if (!(memo->log[i] & MEMO_UNMADE)) {
            continue;
        }
        PyObject *instance = (PyObject *)(memo->log[i] & ~MEMO_MARKS);
        PyObject *dict = PyObject_GenericGetDict(instance, NULL);
        int made = dict == NULL ? -1 : memo_make(memo, i, dict);
        Py_XDECREF(dict);
        if (made < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- memo --------------------------------------------------------------- */

/* A number in digits and the end of the line. */
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

/* ---- between two objects ------------------------------------------------ */

/* Lets signals be handled and other threads run, if they ask for it.  0, or -1 with what
   a signal handler raised. */
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
    if (pickler->writer.write != NULL && save_foreign(pickler) < 0) {
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
    /* Every object comes by the boundary from now on, until one has. */
    pickler->poll_at_next = 1;
    return out;
}

/* Without asking persistent_id. */
static char *
save_unhooked(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    uint64_t epoch = pickler->epoch;
    out = save_pass_boundary(pickler, out);
    unique = unique && epoch == pickler->epoch;
    return out == NULL ? NULL : save_inside(pickler, object, unique, out);
}

/* PERSID: a line of text. */
static char *
write_persid_text(struct pickler *pickler, PyObject *pid, char *out)
{
    PyObject *text = save_foreign(pickler) < 0 ? NULL : PyObject_Str(pid);
    if (text == NULL) {
        return NULL;
    }
    if (!PyUnicode_IS_ASCII(text)) {
        PyErr_SetString(pickler->state->stdlib.pickling_error,
                        "persistent IDs in protocol 0 must be ASCII strings");
        out = NULL;
    }
    else {
        size_t size = (size_t)PyUnicode_GET_LENGTH(text);
        out = writer_reserve(&pickler->writer, out, size + 2);
        if (out != NULL) {
            out = write_op(out, OP_PERSID);
            memcpy(out, PyUnicode_DATA(text), size);
            out = write_op(out + size, '\n');
        }
    }
    return save_release(pickler, text, out);
}

static char *
write_persid(struct pickler *pickler, PyObject *pid, char *out)
{
    if (!pickler->bin) {
        return write_persid_text(pickler, pid, out);
    }
    out = save_unhooked(pickler, pid, 0, out);
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_BINPERSID);
}

/* Asks persistent_id; *saved if there was one.  The object is owned by the caller. */
static char *
ask_persistent_id(struct pickler *pickler, PyObject *object, int *saved, char *out)
{
    if (save_foreign(pickler) < 0) {
        return NULL;
    }
    PyObject *persistent_id = Py_NewRef(pickler->persistent_id);
    PyObject *pid = PyObject_CallOneArg(persistent_id, object);
    Py_DECREF(persistent_id);
    if (pid == NULL) {
        return NULL;
    }
    *saved = pid != Py_None;
    if (*saved) {
        out = write_persid(pickler, pid, out);
    }
    return save_release(pickler, pid, out);
}

/* What comes before an object that is owned: the boundary, and the question to
   persistent_id.  pickler->saved_by_id if that has answered; pickler->unsettled if foreign code
   has run at the boundary.  (Who asks persistent_id asks it before each object.) */
static NOINLINE char *
before_object(struct pickler *pickler, PyObject *object, char *out)
{
    int saved = 0;
    uint64_t epoch = pickler->epoch;
    out = save_pass_boundary(pickler, out);
    pickler->unsettled = epoch != pickler->epoch;
    if (out != NULL && pickler->persistent_id != NULL) {
        out = ask_persistent_id(pickler, object, &saved, out);
    }
    pickler->saved_by_id = saved;
    return out;
}

/* save_inside() as a function of its own, which ends in a tail call. */
static NOINLINE char *
save_any(struct pickler *pickler, PyObject *object, char *out)
{
    return save_inside(pickler, object, 0, out);
}

/* The same for one that may have lost holders already; see save_flush(). */
static NOINLINE char *
save_unsettled(struct pickler *pickler, PyObject *object, char *out)
{
    out = save_any(pickler, object, out);
    return out == NULL || memo_flush(&pickler->memo) < 0 ? NULL : out;
}

/* With hooks this is one more frame for each level of nesting, and so a small one. */
char *
save_slow(struct pickler *pickler, PyObject *object, int Py_UNUSED(unique), char *out)
{
    Py_INCREF(object);
    out = before_object(pickler, object, out);
    if (out != NULL && !pickler->saved_by_id) {
        out = pickler->unsettled ? save_unsettled(pickler, object, out)
                                 : save_any(pickler, object, out);
    }
    return save_release(pickler, object, out);
}

/* ---- which kind an object is -----------------------------------------------------------------
 */

/* An object of a kind that has a file of its own, or comes apart by a plan or a reducer. */
static NOINLINE char *
save_rare(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    PyTypeObject *type = Py_TYPE(object);
    uint64_t epoch = pickler->epoch;
    if (save_open(pickler, object) < 0) {
        return NULL;
    }
    if (type == &PyBytes_Type) {
        out = save_bytes(pickler, object, unique, out);
    }
    else if (type == &PyByteArray_Type) {
        out = save_bytearray(pickler, object, unique, out);
    }
    else {
        out = save_picklebuffer(pickler, object, out);
    }
    return save_close(pickler, object, save_flush(pickler, epoch, out));
}

static char *
save_instance(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    if (bound_is_of(pickler->state, Py_TYPE(object))) {
        enum outcome outcome = save_bound_ready(pickler, object, unique, out);
        if (outcome != OUTCOME_BAIL) {
            return outcome == OUTCOME_DONE ? pickler->bound_end : NULL;
        }
    }
    struct typeinfo *info = typeinfo_find(pickler->state, Py_TYPE(object));
    if (info->kind == TYPEINFO_DEFAULT && save_find_fields(pickler, info, object, out)) {
        return save_by_default(pickler, info, object, unique, out);
    }
    if (info->kind == TYPEINFO_VALUE && save_find_value(pickler, info, object, out)) {
        return save_by_value(pickler, info, object, unique, out);
    }
    return save_by_reducer(pickler, info, object, unique, out);
}

/* Ends in tail calls: it has no frame of its own in a nesting. */
static char *
save_by_type(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyDict_Type) {
        return save_dict(pickler, object, unique, out);
    }
    if (type == &PyList_Type) {
        return save_list(pickler, object, unique, out);
    }
    if (type == &PyTuple_Type) {
        return save_tuple(pickler, object, unique, out);
    }
    if (type == &PySet_Type) {
        return save_set(pickler, object, unique, out);
    }
    if (type == &PyFrozenSet_Type) {
        return save_frozenset(pickler, object, unique, out);
    }
    if (type == &PyBytes_Type || type == &PyByteArray_Type || type == &PyPickleBuffer_Type) {
        return save_rare(pickler, object, unique, out);
    }
    return save_instance(pickler, object, unique, out);
}

char *
save_object(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    if (!unique) {
        Py_ssize_t position = memo_find(&pickler->memo, object);
        if (position >= 0) {
            return save_get(pickler, position, out);
        }
    }
    return save_by_type(pickler, object, unique, out);
}

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
