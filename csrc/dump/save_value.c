/* Values of the standard library: see values.h.

   The reduction written is that of the type's own reducer: the class, the arguments, REDUCE, and
   the contents.  The arguments tuple and the new objects in it are counted in the memo and not
   numbered.

   An object of which no part needs more than a few bytes is written only where no frame can
   end among them; near the end of one it is asked. */
#include "base/errors.h"
#include "types/frozen.h"
#include "base/observed.h"
#include "base/reduction.h"
#include "base/registry.h"
#include "dump/save.h"
#include "plans/plan_run.h"
#include "values/room.h"
#include "dump/save_part.h"

/* The class by name, the opcodes, and so much for each part. */
enum { VALUE_ROOM = 2 * 260 + 64, VALUE_PART_ROOM = VALUE_LENGTH + 8, NESTED_PARTS = 3 };

/* ---- guards ------------------------------------------------------------- */

/* True if copyreg's own function is registered for the type, as it was at first, and no tool
   observes its calls. */
static int
registered_holds(struct core_state *state, struct typeinfo *info, PyObject *private_table)
{
    PyObject *dicts[REGISTRY_DICTS], *reducer = NULL;
    PyObject *function = state->stdlib.pickle_complex;
    int count = registry_dicts(state, private_table, dicts);
    for (int i = 0; reducer == NULL && i < count; i++) {
        reducer = dict_get_by_hash(dicts[i], (PyObject *)info->type, info->hash);
    }
    return reducer == function && PyFunction_Check(function)
           && PyFunction_GET_CODE(function) == state->values->pickle_complex_code
           && !code_is_monitored(state->values->pickle_complex_code) && !calls_observed(state)
           && read_global(state, function, state->str.complex) == (PyObject *)&PyComplex_Type;
}

/* Looks at the guards, in an epoch in which that was not done yet. */
static NOINLINE int
verify_value(struct pickler *pickler, struct typeinfo *info)
{
    struct core_state *state = pickler->state;
    if (!save_dump_is_planned(pickler, info)
        || *values_status(state, info->value) != VALUE_HOLDS) {
        return 0;
    }
    if (info->value->registered
            ? !registered_holds(state, info, pickler->dispatch_table)
            : !typeinfo_verify(state, info, pickler->dispatch_table, pickler->epoch)) {
        return 0;
    }
    if (!reduction_is_call(state, info->type)
        || (info->value->known_as != NULL
            && !values_guard_holds(state, info->value, info->type))) {
        return 0;
    }
    info->verified = pickler->epoch;
    return 1;
}

int
save_find_value(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                struct value_parts *parts, char *out)
{
    if (unlikely(info->verified != pickler->epoch) && !verify_value(pickler, info)) {
        return 0;
    }
    if (!save_find_class(pickler, info, (PyObject *)info->type)
        || !values_read(pickler->state, info->value, object, parts)) {
        return 0;
    }
    int plain = parts->count + parts->items;
    if (likely(pickler->writer.limit - out > VALUE_ROOM + plain * VALUE_PART_ROOM
               && (parts->plain || parts->count <= NESTED_PARTS))) {
        return 1;
    }
    values_release(parts);
    return 0;
}

/* ---- arguments ---------------------------------------------------------- */

ALWAYS_INLINE char *
write_part(struct pickler *pickler, const struct value_part *part, char *out)
{
    switch (part->kind) {
    case VALUE_BYTES:
    case VALUE_TEXT:
        out[0] = (char)(part->kind == VALUE_BYTES ? OP_SHORT_BINBYTES : OP_SHORT_BINUNICODE);
        out[1] = (char)(unsigned char)part->size;
        out = write_bytes(out + 2, part->is.data, (size_t)part->size);
        return save_skip(pickler, part->kind == VALUE_BYTES ? ABSENT_BYTES : ABSENT_STR, out);
    case VALUE_NUMBER: return write_integer(out, part->is.number);
    case VALUE_REAL: return write_real(out, part->is.real);
    case VALUE_EMPTY: return write_op(out, OP_EMPTY_TUPLE);
    default: return save_child(pickler, part->is.object, out);
    }
}

/* Arguments among which no frame ends and no foreign code runs. */
static char *
write_plain_parts(struct pickler *pickler, struct value_parts *parts, char *out)
{
    for (int i = 0; out != NULL && i < parts->count; i++) {
        out = write_part(pickler, &parts->list[i], out);
    }
    values_release(parts);
    return out;
}

/* Others.  Those that are objects are owned over the time, and the buffer of the parts is
   another object's as soon as one is saved: data come first. */
static NOINLINE char *
save_parts(struct pickler *pickler, const struct value_parts *parts, char *out)
{
    struct value_part list[NESTED_PARTS];
    int count = parts->count, unique[NESTED_PARTS];
    uint64_t epoch = pickler->epoch;
    memcpy(list, parts->list, (size_t)count * sizeof(*list));
    for (int i = 0; i < count; i++) {
        unique[i] = list[i].kind == VALUE_OBJECT && save_is_unique(pickler, list[i].is.object);
    }
    for (int i = 0; i < count; i++) {
        if (list[i].kind == VALUE_OBJECT) {
            Py_INCREF(list[i].is.object);
        }
    }
    for (int i = 0; i < count; i++) {
        if (out != NULL && list[i].kind != VALUE_OBJECT) {
            out = write_part(pickler, &list[i], out);
        }
        else if (out != NULL) {
            out =
                save_owned(pickler, list[i].is.object, unique[i] && epoch == pickler->epoch, out);
            if (out == NULL) {
                error_note("when serializing tuple item %d", i);
            }
        }
    }
    out = save_flush(pickler, epoch, out);
    for (int i = 0; i < count; i++) {
        if (list[i].kind == VALUE_OBJECT) {
            out = save_keep(pickler, &list[i].is.object, 1) < 0 ? NULL : out;
            out = save_release(pickler, list[i].is.object, out);
        }
    }
    return out == NULL ? NULL : save_room(pickler, out);
}

ALWAYS_INLINE char *
write_value_class(struct pickler *pickler, struct typeinfo *info, char *out)
{
    return likely(info->class_dump == pickler->dump)
               ? save_get(pickler, (Py_ssize_t)info->class_index, out)
               : save_write_class(pickler, info, (PyObject *)info->type, out);
}

/* The class, the arguments and REDUCE. */
static char *
save_construction(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                  struct value_parts *parts, char *out)
{
    int count = parts->count;
    out = write_value_class(pickler, info, out);
    if (unlikely(out == NULL)) {
        return NULL;
    }
    out = count > 3 ? write_op(out, OP_MARK) : out;
    out = likely(parts->plain) ? write_plain_parts(pickler, parts, out)
                               : save_parts(pickler, parts, out);
    if (unlikely(out == NULL)) {
        error_note("when serializing %T reconstructor arguments", object);
        return NULL;
    }
    out = save_tuple_op(pickler, count, out);
    out = count == 0 ? out : save_skip(pickler, ABSENT_TUPLE, out);
    return out == NULL ? NULL : write_op(out, OP_REDUCE);
}

/* ---- contents ----------------------------------------------------------- */

/* A __dict__ as the state; the caller owns it. */
static char *
save_value_state(struct pickler *pickler, PyObject *object, PyObject *dict, int unique, char *out)
{
    out = save_owned(pickler, dict, unique, out);
    if (out == NULL) {
        error_note("when serializing %T state", object);
    }
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_BUILD);
}

/* The state of a SimpleNamespace, which is its __dict__. */
static char *
save_namespace(struct pickler *pickler, PyObject *object, char *out)
{
    PyObject *dict = layout_find_dict(object, Py_TYPE(object));
    int unique = save_is_unique(pickler, dict);
    Py_INCREF(dict);
    out = save_value_state(pickler, object, dict, unique, out);
    return save_release(pickler, dict, out);
}

/* How the contents are walked; set up before anything is written, as the reducer does it. */
struct walk {
    enum value_contents contents;
    PyObject *iterator; /* strong, or NULL */
    Py_ssize_t size;    /* of a dict */
    uint64_t epoch;
};

/* 0 or -1.  The iterators run no foreign code as long as nobody else does. */
static int
walk_begin(struct pickler *pickler, struct walk *walk, PyObject *object)
{
    walk->iterator = NULL;
    walk->epoch = pickler->epoch;
    if (walk->contents == CONTENTS_PAIRS) {
        walk->size = PyDict_GET_SIZE(object);
    }
    else if (walk->contents == CONTENTS_ITEMS) {
        walk->iterator = PyObject_GetIter(object);
        return walk->iterator == NULL ? -1 : 0;
    }
    else if (walk->contents == CONTENTS_ORDERED) {
        PyObject *items = PyObject_CallMethodNoArgs(object, pickler->state->str.items);
        walk->iterator = items == NULL ? NULL : PyObject_GetIter(items);
        Py_XDECREF(items);
        return walk->iterator == NULL ? -1 : 0;
    }
    return 0;
}

static char *
save_value_contents(struct pickler *pickler, PyObject *object, const struct walk *walk, char *out)
{
    switch (walk->contents) {
    case CONTENTS_DICT: return save_namespace(pickler, object, out);
    case CONTENTS_ITEMS: return save_listitems(pickler, walk->iterator, object, walk->epoch, out);
    case CONTENTS_ORDERED:
        return save_dictitems(pickler, walk->iterator, object, walk->epoch, out);
    case CONTENTS_PAIRS: return save_own_items(pickler, object, walk->size, out);
    default: return out;
    }
}

/* ---- the object --------------------------------------------------------- */

static char *
failed_object(PyObject *object)
{
    error_note("when serializing %T object", object);
    return NULL;
}

/* An object that nests others, or has contents: the one frame for each level of nesting. */
static NOINLINE char *
save_nesting_value(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                   struct value_parts *parts, char *out)
{
    struct walk walk = {.contents = info->value->contents};
    Py_ssize_t known = 0;
    if (save_open(pickler, object) < 0) {
        values_release(parts);
        return failed_object(object);
    }
    if (walk_begin(pickler, &walk, object) < 0) {
        values_release(parts);
        return save_close(pickler, object, failed_object(object));
    }
    pickler->unnumbered += !unique;
    out = save_construction(pickler, info, object, parts, out);
    pickler->unnumbered -= !unique;
    if (out != NULL) {
        struct numbered numbered =
            save_number(pickler, object, unique && walk.epoch == pickler->epoch, out);
        out = numbered.out;
        known = numbered.known;
    }
    if (out != NULL && !known) {
        out = save_value_contents(pickler, object, &walk, out);
    }
    out = save_flush(pickler, walk.epoch, out);
    if (walk.iterator != NULL) {
        out = save_release(pickler, walk.iterator, out);
    }
    return save_close(pickler, object, out == NULL ? failed_object(object) : out);
}

/* The parts of an exception's reduction.  They are owned; the flags hold as long as no foreign
   code has run. */
struct exception_parts {
    PyObject *args;
    PyObject *dict; /* or NULL */
    int unique_args, unique_dict;
    uint64_t epoch;
};

static struct exception_parts
take_exception(struct pickler *pickler, PyObject *object, PyObject *args)
{
    struct exception_parts parts = {
        .args = args, .dict = layout_find_dict(object, Py_TYPE(object)), .epoch = pickler->epoch};
    parts.unique_args = has_one_reference(parts.args);
    parts.unique_dict = parts.dict != NULL && has_one_reference(parts.dict);
    Py_INCREF(parts.args);
    Py_XINCREF(parts.dict);
    return parts;
}

/* The class, the tuple of arguments, and REDUCE. */
static char *
save_exception_call(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                    const struct exception_parts *parts, char *out)
{
    out = write_value_class(pickler, info, out);
    if (out == NULL) {
        return NULL;
    }
    int unique = parts->unique_args && pickler->unnumbered == 0;
    out = save_owned(pickler, parts->args, unique, out);
    if (out == NULL) {
        error_note("when serializing %T reconstructor arguments", object);
    }
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_REDUCE);
}

/* An exception, whose arguments and __dict__ are its own and may come by otherwise. */
static NOINLINE char *
save_exception(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
               PyObject *args, char *out)
{
    Py_ssize_t known = 0;
    if (save_open(pickler, object) < 0) {
        return NULL;
    }
    struct exception_parts parts = take_exception(pickler, object, args);
    pickler->unnumbered += !unique;
    out = save_exception_call(pickler, info, object, &parts, out);
    pickler->unnumbered -= !unique;
    if (out != NULL) {
        struct numbered numbered =
            save_number(pickler, object, unique && parts.epoch == pickler->epoch, out);
        out = numbered.out;
        known = numbered.known;
    }
    if (out != NULL && !known && parts.dict != NULL) {
        unique = parts.unique_dict && pickler->unnumbered == 0 && parts.epoch == pickler->epoch;
        out = save_value_state(pickler, object, parts.dict, unique, out);
    }
    out = save_flush(pickler, parts.epoch, out);
    if (parts.dict != NULL) {
        out = save_release(pickler, parts.dict, out);
    }
    out = save_release(pickler, parts.args, out);
    if (out == NULL) {
        error_note("when serializing %T object", object);
    }
    return save_close(pickler, object, out);
}

/* The class, no arguments, NEWOBJ, and the state of one integer. */
static char *
save_integer_state(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                   PyObject *number, char *out)
{
    out = write_value_class(pickler, info, out);
    if (out != NULL) {
        out = write_op(write_op(out, OP_EMPTY_TUPLE), OP_NEWOBJ);
        out = save_memoize(pickler, object, unique, out);
    }
    out = out == NULL ? NULL : save_skip(pickler, ABSENT_DICT, write_op(out, OP_EMPTY_DICT));
    out = out == NULL ? NULL : save_str(pickler, pickler->state->str.int_, 0, out);
    out = out == NULL ? NULL : save_long(pickler, number, out);
    return out == NULL ? NULL : write_op(write_op(out, OP_SETITEM), OP_BUILD);
}

/* The class, and a dict with the object's items, which are plain. */
static char *
save_copied(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
            char *out)
{
    out = write_value_class(pickler, info, out);
    out = out == NULL ? NULL : save_skip(pickler, ABSENT_DICT, write_op(out, OP_EMPTY_DICT));
    if (out != NULL && PyDict_GET_SIZE(object) != 0) {
        out = save_dict_contents(pickler, object, out);
    }
    out = out == NULL ? NULL : save_skip(pickler, ABSENT_TUPLE, write_op(out, OP_TUPLE1));
    return out == NULL ? NULL : save_memoize(pickler, object, unique, write_op(out, OP_REDUCE));
}

/* Ends in tail calls. */
char *
save_by_value(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
              struct value_parts *parts, char *out)
{
    if (info->value->contents == CONTENTS_COPY) {
        return save_copied(pickler, info, object, unique, out);
    }
    if (info->value->contents == CONTENTS_EXCEPTION) {
        return save_exception(pickler, info, object, unique, parts->list[0].is.object, out);
    }
    if (info->value->contents == CONTENTS_INTEGER) {
        return save_integer_state(pickler, info, object, unique, parts->list[0].is.object, out);
    }
    if (likely(parts->plain && info->value->contents == CONTENTS_NONE)) {
        out = save_construction(pickler, info, object, parts, out);
        return out == NULL ? NULL : save_memoize(pickler, object, unique, out);
    }
    return save_nesting_value(pickler, info, object, unique, parts, out);
}

int
save_check_value(struct pickler *pickler, PyObject *object, int registered, PyObject *reduce_value)
{
    struct typeinfo *info = typeinfo_find(pickler->state, Py_TYPE(object));
    if (info->kind == TYPEINFO_VALUE && info->value->registered == registered
        && pickler->protocol >= 4
        && *values_status(pickler->state, info->value) == VALUE_UNCHECKED) {
        return values_check(pickler->state, info->value, object, reduce_value);
    }
    if (info->kind == TYPEINFO_DEFAULT && info->frozen && PyTuple_Check(reduce_value)) {
        PyObject *given = reduction_part(reduce_value, PART_STATE);
        return given == NULL ? 0 : frozen_check(pickler->state, object, given);
    }
    return 0;
}
