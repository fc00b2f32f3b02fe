/* Which kind an object is, and what comes before it: the boundary of a frame, and persistent_id.
 */
#include "dump/save.h"
#include "dump/save_bound.h"
#include "types/bound.h"
#include "dump/save_part.h"

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
