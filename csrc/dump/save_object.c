/* The choice of the function that saves an object, and the work before that: the boundary of a
   frame, and persistent_id.  */
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

/* Asks persistent_id; *saved if there was one.  The object is owned by the caller.  `rests`: see
   save_hook_rests(). */
static char *
ask_persistent_id(struct pickler *pickler, PyObject *object, int rests, int *saved, char *out)
{
    if (save_foreign(pickler) < 0) {
        return NULL;
    }
    PyObject *persistent_id = Py_NewRef(pickler->persistent_id);
    if (!rests && save_read_hook(pickler, &pickler->id_hook, persistent_id) < 0) {
        Py_DECREF(persistent_id);
        return NULL;
    }
    PyObject *pid = save_call_hook(persistent_id, object);
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

/* The events before an object: two words, returned in registers. */
struct before {
    char *out; /* where writing goes on; NULL with an exception */
    enum {
        BEFORE_NOTHING,
        BEFORE_EPOCH, /* foreign code ran at the boundary */
        BEFORE_SAVED  /* persistent_id answered, and its answer is written */
    } event;
};

/* Passes the boundary before an object that is owned, and asks persistent_id about it.  Foreign
   code. */
static NOINLINE struct before
before_object(struct pickler *pickler, PyObject *object, char *out)
{
    int saved = 0;
    uint64_t epoch = pickler->epoch;
    if (out >= pickler->writer.due || pickler->poll_at_next) {
        out = save_pass_boundary(pickler, out);
    }
    int passed = epoch != pickler->epoch;
    if (out != NULL && pickler->persistent_id != NULL) {
        int rests = save_hook_rests(pickler, &pickler->id_hook, pickler->persistent_id);
        if (rests || !save_id_is_quiet(pickler, Py_TYPE(object))
            || !save_id_passes_type(pickler, Py_TYPE(object))) {
            out = ask_persistent_id(pickler, object, rests, &saved, out);
        }
    }
    return (struct before){out, saved ? BEFORE_SAVED : passed ? BEFORE_EPOCH : BEFORE_NOTHING};
}

/* save_inside() as a function of its own, which ends in a tail call. */
static NOINLINE char *
save_any(struct pickler *pickler, PyObject *object, char *out)
{
    return save_inside(pickler, object, 0, out);
}

/* save_any() of an object that may have lost holders already; see save_flush(). */
static NOINLINE char *
save_any_and_flush(struct pickler *pickler, PyObject *object, char *out)
{
    out = save_any(pickler, object, out);
    return out == NULL || memo_flush(&pickler->memo) < 0 ? NULL : out;
}

/* With hooks this is one more frame for each level of nesting, and so a small one. */
char *
save_slow(struct pickler *pickler, PyObject *object, int Py_UNUSED(unique), char *out)
{
    Py_INCREF(object);
    struct before before = before_object(pickler, object, out);
    out = before.out;
    if (out != NULL && before.event != BEFORE_SAVED) {
        out = before.event == BEFORE_EPOCH ? save_any_and_flush(pickler, object, out)
                                           : save_any(pickler, object, out);
    }
    return save_release(pickler, object, out);
}

/* Bytes, a bytearray or a PickleBuffer, as a level of nesting. */
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
        struct saved saved = save_bound_ready(pickler, object, unique, out);
        if (saved.outcome != OUTCOME_BAIL) {
            return saved.out;
        }
    }
    struct typeinfo *info = typeinfo_find(pickler->state, Py_TYPE(object));
    if (info->kind == TYPEINFO_DEFAULT) {
        enum fields_dict dict = save_find_fields(pickler, info, object, out);
        if (dict != FIELDS_UNKNOWN) {
            return save_by_default(pickler, info, object, unique, dict, out);
        }
    }
    if (info->kind == TYPEINFO_VALUE) {
        struct value_parts *parts = &pickler->value_parts;
        if (save_find_value(pickler, info, object, parts, out)) {
            return save_by_value(pickler, info, object, unique, parts, out);
        }
    }
    return save_by_reducer(pickler, info, object, unique, out);
}

/* Ends in tail calls, and so has no frame of its own in a nesting. */
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

/* An object of another type than those that persistent_id is known to pass. */
static NOINLINE char *
save_shown(struct pickler *pickler, PyObject *object, char *out)
{
    int saved = 0;
    Py_INCREF(object);
    int rests = save_hook_rests(pickler, &pickler->id_hook, pickler->persistent_id);
    out = ask_persistent_id(pickler, object, rests, &saved, out);
    if (out != NULL && !saved) {
        out = save_any(pickler, object, out);
    }
    return save_release(pickler, object, out);
}

char *
save_object(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    if (unlikely(pickler->persistent_id != NULL) && !pickler->writer.every
        && !save_id_passes_type(pickler, Py_TYPE(object))) {
        return save_shown(pickler, object, out);
    }
    if (!unique) {
        Py_ssize_t position = memo_find(&pickler->memo, object);
        if (position >= 0) {
            return save_get(pickler, position, out);
        }
    }
    return save_by_type(pickler, object, unique, out);
}
