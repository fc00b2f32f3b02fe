/* Objects with a default reduction, known by their typeinfo, which are read without a call.

   The reduction written is that of object.__reduce_ex__(2 or more): the class, no arguments, and
   as state the live __dict__, the slots that are set, or both.  Whenever anything is not as the
   typeinfo has it, nothing is done and the object's reducer is called.

   Frames end where they do there, between two parts (at_part).  Without a file, or with a
   BytesIO, that runs no foreign code; with another one, an object in which a frame may end is
   asked. */
#include "base/errors.h"
#include "types/frozen.h"
#include "base/reduction.h"
#include "base/registry.h"
#include "dump/save.h"
#include "dump/save_part.h"

/* The fields of an instance, which are to be written. */
struct fields {
    struct layout_values *values; /* of a __dict__ that is not made, and not empty */
    PyObject *dict;               /* strong; a __dict__ that is made, and not empty */
    int unique_dict;              /* true if `dict` is unique */
    Py_ssize_t set;               /* slots that are set */
    int in_place;                 /* they are read where they lie, not from a snapshot */
};

/* The longest head: two names of a global, and the opcodes up to the first field. */
enum { HEAD_ROOM = 2 * 260 + 32 };

static_assert((int)HEAD_ROOM < (int)WRITER_ROOM, "a head is written without asking for room");

/* Where another part of an object begins, a full frame ends. */
ALWAYS_INLINE char *
at_part(struct pickler *pickler, char *out)
{
    return unlikely(out >= pickler->writer.limit) ? save_end_frame(pickler, out) : out;
}

/* ---- the class ---------------------------------------------------------- */

/* True if somebody is to be asked how classes of the metaclass are saved, if not by name. */
static int
class_is_asked(struct pickler *pickler, PyTypeObject *metaclass)
{
    return save_asks_override(pickler, metaclass)
           || (metaclass != &PyType_Type
               && !registry_lacks(pickler->state, pickler->dispatch_table, metaclass,
                                  hash_pointer(metaclass)));
}

/* Writes a name that is a new str with each lookup: numbered, and never met again. */
static char *
write_made_name(struct pickler *pickler, PyObject *name, char *out)
{
    size_t size = (size_t)PyUnicode_GET_LENGTH(name);
    out = write_op(out, OP_SHORT_BINUNICODE);
    out = write_bytes(write_op(out, (int)size), (const char *)PyUnicode_1BYTE_DATA(name), size);
    return save_skip(pickler, ABSENT_STR, out);
}

char *
save_write_class(struct pickler *pickler, struct typeinfo *info, PyObject *type, char *out)
{
    out = at_part(pickler, out);
    out = out == NULL ? NULL : save_str(pickler, info->module_name, 0, out);
    out = out == NULL ? NULL : at_part(pickler, out);
    if (out != NULL) {
        out = info->name_is_made ? write_made_name(pickler, info->qualname, out)
                                 : save_str(pickler, info->qualname, 0, out);
    }
    if (out == NULL) {
        return NULL;
    }
    info->class_index = (uint32_t)pickler->memo.count;
    info->class_dump = pickler->dump;
    return save_memoize(pickler, type, 0, write_op(out, OP_STACK_GLOBAL));
}

int
save_find_class(struct pickler *pickler, struct typeinfo *info, PyObject *type)
{
    if (likely(info->class_dump == pickler->dump)) {
        return 1;
    }
    Py_ssize_t position = memo_find(&pickler->memo, type);
    if (position >= 0) {
        info->class_index = (uint32_t)position;
        info->class_dump = pickler->dump;
        return 1;
    }
    return pickler->protocol >= 4 && !class_is_asked(pickler, Py_TYPE(type))
           && typeinfo_names_hold(pickler->state, info);
}

/* The class, and where its arguments begin. */
static char *
write_class(struct pickler *pickler, struct typeinfo *info, char *out)
{
    out = at_part(pickler, out);
    if (out == NULL) {
        return NULL;
    }
    if (likely(info->class_dump == pickler->dump)) {
        out = save_get(pickler, (Py_ssize_t)info->class_index, out);
    }
    else {
        out = save_write_class(pickler, info, (PyObject *)info->type, out);
    }
    return out == NULL ? NULL : at_part(pickler, out);
}

/* The class, no arguments or short ones, NEWOBJ, and the number of the object. */
static char *
write_head(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique, char *out)
{
    out = write_class(pickler, info, out);
    if (out != NULL) {
        out = info->arguments == ARGUMENTS_NONE ? write_op(out, OP_EMPTY_TUPLE)
                                                : save_short_argument(pickler, info, object, out);
    }
    return out == NULL ? NULL : save_memoize(pickler, object, unique, write_op(out, OP_NEWOBJ));
}

/* ---- attribute names ---------------------------------------------------- */

/* A name that is held by the type.  *index remembers its number. */
ALWAYS_INLINE char *
write_attribute_name(struct pickler *pickler, PyObject *name, uint32_t *index, char *out)
{
    if (likely(*index != NO_INDEX)) {
        return save_get(pickler, (Py_ssize_t)*index, out);
    }
    out = save_str(pickler, name, 0, out);
    *index = (uint32_t)memo_find(&pickler->memo, name);
    return out;
}

/* The numbers of names are those of this dump. */
ALWAYS_INLINE void
begin_names(struct pickler *pickler, struct typeinfo *info)
{
    if (likely(info->names_dump == pickler->dump)) {
        return;
    }
    info->names_dump = pickler->dump;
    for (size_t i = 0; i < TYPEINFO_SHARED_KEYS; i++) {
        info->name_index[i] = NO_INDEX;
    }
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        info->slots[i].index = NO_INDEX;
    }
}

/* Notes on the part that could not be saved; NULL. */
static char *
failed_value(PyObject *name)
{
    error_note("when serializing dict item %R", name);
    return NULL;
}

static char *
failed_state(PyObject *object)
{
    error_note("when serializing %T state", object);
    error_note("when serializing %T object", object);
    return NULL;
}

static char *
failed_part(int index)
{
    error_note("when serializing tuple item %d", index);
    return NULL;
}

/* ---- the __dict__ ------------------------------------------------------- */

/* The dict that was numbered at a place in the memo before it was made, and is made by now;
   strong, or NULL.  A program that took the memo away gets the instance's own dict. */
static PyObject *
numbered_dict(struct pickler *pickler, PyObject *object, size_t numbered)
{
    struct memo *memo = &pickler->memo;
    PyObject *dict = numbered < memo->flushed && !(memo->log[numbered] & MEMO_MARKS)
                         ? (PyObject *)memo->log[numbered]
                         : NULL;
    if (dict != NULL && pickler->generation == memo->generation && PyDict_CheckExact(dict)) {
        return Py_NewRef(dict);
    }
    return PyObject_GenericGetDict(object, NULL);
}

/* The pairs of a __dict__ from `position` on, foreign code having run since the walk
   began, or being about to. */
static NOINLINE char *
save_rest(struct pickler *pickler, PyObject *object, size_t numbered, Py_ssize_t position,
          Py_ssize_t size, char *out)
{
    PyObject *dict = save_foreign(pickler) < 0 ? NULL : numbered_dict(pickler, object, numbered);
    if (dict == NULL) {
        return NULL;
    }
    out = save_dict_rest(pickler, dict, position, size, out);
    return save_release(pickler, dict, out);
}

/* The values of an instance whose __dict__ is not made, as the pairs of that dict, which is
   numbered already. */
static char *
save_values(struct pickler *pickler, struct typeinfo *info, PyObject *object, size_t numbered,
            struct layout_values *values, char *out)
{
    struct layout_entry *entries = layout_entries(layout_shared_keys(info->type));
    int count = layout_values_count(values);
    uint64_t epoch = pickler->epoch;
    for (int i = 0; i < count; i++) {
        int place = layout_values_index(values, i);
        PyObject *name = entries[place].key, *value = values->values[place];
        if (unlikely(out >= pickler->writer.limit)) {
            if (!save_frame_can_end(pickler)) {
                return save_rest(pickler, object, numbered, i, count, out);
            }
            out = save_end_frame(pickler, out);
        }
        out = unlikely(out == NULL)
                  ? NULL
                  : write_attribute_name(pickler, name, &info->name_index[place], out);
        if (unlikely(out == NULL)) {
            return NULL;
        }
        out = save_child(pickler, value, out);
        if (unlikely(out == NULL)) {
            return failed_value(name);
        }
        if (unlikely(epoch != pickler->epoch)) {
            return save_rest(pickler, object, numbered, i + 1, count, out);
        }
    }
    return out;
}

/* The state of an instance whose __dict__ is not made and not empty.  The dict is numbered
   all the same. */
static char *
save_unmade_dict(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                 struct layout_values *values, char *out)
{
    int count = layout_values_count(values);
    size_t numbered = pickler->memo.count;
    if (memo_put_unmade(&pickler->memo, object) < 0) {
        return NULL;
    }
    out = save_put(pickler, numbered, write_op(out, OP_EMPTY_DICT));
    if (out != NULL && count > 1) {
        out = write_op(out, OP_MARK);
    }
    out = out == NULL ? NULL : save_values(pickler, info, object, numbered, values, out);
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, count > 1 ? OP_SETITEMS : OP_SETITEM);
}

/* ---- slots -------------------------------------------------------------- */

/* Reads all slots at once, as the reducer would.  The values are owned until they are
   written.  The number of those that are set, or -1. */
static Py_ssize_t
snapshot_slots(struct pickler *pickler, struct typeinfo *info, PyObject *object)
{
    struct snapshots *stack = &pickler->snapshots;
    if (save_reserve_snapshot(pickler, info->slot_count) < 0) {
        return -1;
    }
    Py_ssize_t set = 0;
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        PyObject *value = frozen_field(object, info->slots[i].offset, info->slots[i].name);
        stack->values[stack->count++] = Py_XNewRef(value);
        set += value != NULL;
    }
    return set;
}

/* The pair of a slot that is set. */
ALWAYS_INLINE char *
save_slot_pair(struct pickler *pickler, struct typeinfo_slot *slot, PyObject *value,
               uint64_t epoch, char *out)
{
    if (unlikely(out >= pickler->writer.limit || epoch != pickler->epoch)) {
        out = save(pickler, slot->name, out);
    }
    else {
        out = write_attribute_name(pickler, slot->name, &slot->index, out);
    }
    if (unlikely(out == NULL)) {
        return NULL;
    }
    out = save_snapshot_value(pickler, value, epoch, out);
    return unlikely(out == NULL) ? failed_value(slot->name) : out;
}

/* The longest pair of a slot that is written without a snapshot. */
enum { PAIR_ROOM = 2 * 270 };

/* True if the value is written in line, as a few bytes. */
ALWAYS_INLINE int
is_short_scalar(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type) {
        return long_is_short(value);
    }
    if (type == &PyUnicode_Type) {
        return PyUnicode_IS_COMPACT_ASCII(value) && PyUnicode_GET_LENGTH(value) <= 255;
    }
    return save_is_scalar(value);
}

/* How many slots are set, if all are scalars of which none is long, so that they can be
   written from where they lie; else -1. */
static Py_ssize_t
count_short_scalars(struct typeinfo *info, PyObject *object)
{
    Py_ssize_t set = 0;
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        PyObject *value = *layout_slot(object, info->slots[i].offset);
        if (value != NULL && !is_short_scalar(value)) {
            return -1;
        }
        set += value != NULL;
    }
    return set;
}

/* The pairs of such slots.  No frame ends among them. */
static char *
save_short_scalars(struct pickler *pickler, struct typeinfo *info, PyObject *object, char *out)
{
    for (Py_ssize_t i = 0; out != NULL && i < info->slot_count; i++) {
        PyObject *value = *layout_slot(object, info->slots[i].offset);
        if (value == NULL) {
            continue;
        }
        out = write_attribute_name(pickler, info->slots[i].name, &info->slots[i].index, out);
        if (likely(out != NULL)) {
            out = save_inside(pickler, value, save_is_unique(pickler, value), out);
        }
    }
    return out;
}

static char *
save_slot_pairs(struct pickler *pickler, struct typeinfo *info, uint64_t epoch, char *out)
{
    size_t base = pickler->snapshots.count - (size_t)info->slot_count;
    for (Py_ssize_t i = 0; out != NULL && i < info->slot_count; i++) {
        PyObject *value = pickler->snapshots.values[base + (size_t)i];
        if (value != NULL) {
            out = save_slot_pair(pickler, &info->slots[i], value, epoch, out);
        }
    }
    return out;
}

/* Keeps the values that the dict of the slots in the snapshot would hold.  0 or -1. */
static int
keep_slots(struct pickler *pickler, struct typeinfo *info, const struct fields *fields)
{
    struct snapshots *stack = &pickler->snapshots;
    return fields->in_place ? 0
                            : save_keep(pickler, stack->values + stack->count - info->slot_count,
                                        info->slot_count);
}

/* {name: value} of the slots in the snapshot, a dict that nobody else ever sees. */
static char *
save_slots(struct pickler *pickler, struct typeinfo *info, PyObject *object, struct fields *fields,
           uint64_t epoch, char *out)
{
    Py_ssize_t set = fields->set;
    out = save_skip(pickler, ABSENT_DICT, write_op(out, OP_EMPTY_DICT));
    if (out == NULL || keep_slots(pickler, info, fields) < 0) {
        return NULL;
    }
    if (set > 1) {
        out = write_op(out, OP_MARK);
    }
    out = fields->in_place ? save_short_scalars(pickler, info, object, out)
                           : save_slot_pairs(pickler, info, epoch, out);
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, set > 1 ? OP_SETITEMS : OP_SETITEM);
}

/* True if cls.__slotnames__, from which the typeinfo was made, is as it was. */
static int
slotnames_hold(struct typeinfo *info)
{
    if (PyList_GET_SIZE(info->slotnames) != info->slot_count) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        if (PyList_GET_ITEM(info->slotnames, i) != info->slots[i].name) {
            return 0;
        }
    }
    return 1;
}

/* True if a frozen object has all attributes that its __getstate__ asks for. */
static int
has_all_slots(struct typeinfo *info, PyObject *object)
{
    for (Py_ssize_t i = 0; i < info->slot_count; i++) {
        if (frozen_field(object, info->slots[i].offset, info->slots[i].name) == NULL) {
            return 0;
        }
    }
    return 1;
}

/* A list of slots that are short scalars, and all set, read where they lie. */
static char *
save_short_list(struct pickler *pickler, struct typeinfo *info, PyObject *object, char *out)
{
    out = save_skip(pickler, ABSENT_LIST, write_op(out, OP_EMPTY_LIST));
    out = out != NULL && info->slot_count > 1 ? write_op(out, OP_MARK) : out;
    for (Py_ssize_t i = 0; out != NULL && i < info->slot_count; i++) {
        PyObject *value = *layout_slot(object, info->slots[i].offset);
        out = save_inside(pickler, value, save_is_unique(pickler, value), out);
    }
    return out == NULL ? NULL : write_op(out, info->slot_count > 1 ? OP_APPENDS : OP_APPEND);
}

/* The state of a frozen object: a new list of the slots. */
static char *
save_list_state(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                struct fields *fields, uint64_t epoch, char *out)
{
    if (fields->in_place) {
        return save_short_list(pickler, info, object, out);
    }
    out = at_part(pickler, out);
    return out == NULL ? NULL : save_snapshot_list(pickler, info->slot_count, epoch, out);
}

/* ---- the object --------------------------------------------------------- */

/* The instance's own __dict__; FIELDS_UNKNOWN if something in it shadows a method of the type. */
static enum fields_dict
find_dict(struct pickler *pickler, struct typeinfo *info, PyObject *object)
{
    struct layout_values *values = layout_unmade_values(object, info->type);
    if (likely(values != NULL)) {
        struct layout_keys *keys = layout_shared_keys(info->type);
        if (unlikely(keys->count != info->keys_seen)
            && typeinfo_check_shared_keys(pickler->state, info, keys)) {
            return FIELDS_UNKNOWN;
        }
        return layout_values_count(values) != 0 ? FIELDS_UNMADE : FIELDS_NO_DICT;
    }
    PyObject *dict = layout_made_dict(object);
    if (dict == NULL) {
        return FIELDS_NO_DICT;
    }
    if (!PyDict_CheckExact(dict) || typeinfo_dict_shadows(pickler->state, info, dict)) {
        return FIELDS_UNKNOWN;
    }
    return PyDict_GET_SIZE(dict) != 0 && !info->frozen ? FIELDS_MADE : FIELDS_NO_DICT;
}

/* The __dict__ that find_dict() found, nothing having run since. */
ALWAYS_INLINE struct fields
take_dict(struct pickler *pickler, struct typeinfo *info, PyObject *object, enum fields_dict kind)
{
    struct fields fields = {.set = 0};
    if (kind == FIELDS_UNMADE) {
        fields.values = layout_unmade_values(object, info->type);
    }
    else if (kind == FIELDS_MADE) {
        PyObject *dict = layout_made_dict(object);
        fields.unique_dict = save_is_unique(pickler, dict);
        fields.dict = Py_NewRef(dict);
    }
    return fields;
}

/* A __dict__ that is made. */
static char *
save_made_dict(struct pickler *pickler, struct fields *fields, char *out)
{
    int unique = fields->unique_dict;
    return out >= pickler->writer.limit ? save_slow(pickler, fields->dict, 0, out)
                                        : save_object(pickler, fields->dict, unique, out);
}

/* The __dict__ as the state, or as the first of two. */
static char *
save_dict_state(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                struct fields *fields, char *out)
{
    if (fields->dict != NULL) {
        return save_made_dict(pickler, fields, out);
    }
    out = at_part(pickler, out);
    if (out == NULL || fields->values == NULL) {
        return out == NULL ? NULL : write_op(out, OP_NONE);
    }
    return save_unmade_dict(pickler, info, object, fields->values, out);
}

/* (dict, {slots}), which nobody else ever sees. */
static char *
save_pair_state(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                struct fields *fields, uint64_t epoch, char *out)
{
    out = at_part(pickler, out);
    out = out == NULL ? NULL : save_dict_state(pickler, info, object, fields, out);
    if (out == NULL) {
        return failed_part(0);
    }
    out = save_room(pickler, out);
    out = out == NULL ? NULL : save_pass_boundary(pickler, out);
    out = out == NULL ? NULL : save_slots(pickler, info, object, fields, epoch, out);
    if (out == NULL) {
        return failed_part(1);
    }
    return save_skip(pickler, ABSENT_TUPLE, write_op(out, OP_TUPLE2));
}

/* The object with the fields that were found. */
static char *
save_fields(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
            struct fields *fields, char *out)
{
    uint64_t epoch = pickler->epoch;
    out = write_head(pickler, info, object, unique, out);
    int has_state =
        fields->values != NULL || fields->dict != NULL || fields->set != 0 || info->frozen;
    if (out == NULL || !has_state) {
        return out;
    }
    out = info->frozen       ? save_list_state(pickler, info, object, fields, epoch, out)
          : fields->set != 0 ? save_pair_state(pickler, info, object, fields, epoch, out)
                             : save_dict_state(pickler, info, object, fields, out);
    out = out == NULL ? NULL : save_room(pickler, save_flush(pickler, epoch, out));
    return out == NULL ? failed_state(object) : write_op(out, OP_BUILD);
}

/* The object with a state that was made for it, which is given to the caller. */
char *
save_by_state(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
              PyObject *given, char *out)
{
    uint64_t epoch = pickler->epoch;
    int alone = save_is_unique(pickler, given);
    /* The state itself may hold the object, which the caller owns. */
    unique = unique && has_two_references(object);
    /* Nobody holds what was made for this dump: so the memo does, which borrows what it numbers
       until it is flushed. */
    if (has_one_reference(given) && memo_keep(&pickler->memo, given) < 0) {
        return NULL;
    }
    out = write_head(pickler, info, object, unique, out);
    if (out == NULL || given == Py_None) {
        return out;
    }
    out = save_owned(pickler, given, alone, out);
    out = out == NULL ? NULL : save_room(pickler, save_flush(pickler, epoch, out));
    if (unlikely(pickler->poll_at_next)) {
        pickler->writer.limit = pickler->writer.start;
    }
    return out == NULL ? failed_state(object) : write_op(out, OP_BUILD);
}

int
save_state_is_planned(struct pickler *pickler, struct typeinfo *info, char *out)
{
    return save_dump_is_planned(pickler, info)
           && (likely(out + HEAD_ROOM < pickler->writer.limit) || save_frame_can_end(pickler))
           && save_find_class(pickler, info, (PyObject *)info->type);
}

/* True if nothing but the class and fields is written of the type's objects. */
static int
is_simple_default(const struct typeinfo *info)
{
    return info->kind == TYPEINFO_DEFAULT && info->arguments == ARGUMENTS_NONE
           && info->items == ITEMS_NONE && !info->nests;
}

int
save_dump_is_planned(struct pickler *pickler, struct typeinfo *info)
{
    if (pickler->generation != pickler->memo.generation) {
        pickler->generation = pickler->memo.generation;
        pickler->dump = ++pickler->state->epoch;
    }
    return pickler->protocol >= (is_simple_default(info) ? 2 : 4) && pickler->bin && !pickler->fast
           && save_id_passes(pickler, info->type)
           && save_id_passes(pickler, Py_TYPE((PyObject *)info->type))
           && !save_asks_override(pickler, info->type) && pickler->memo.indices == NULL;
}

/* True if cls.__slotnames__, which had no names, still has none; that of a class with slots is
   compared for each object. */
static int
still_has_no_slots(const struct typeinfo *info)
{
    return info->slotnames == NULL || info->slot_count != 0
           || PyList_GET_SIZE(info->slotnames) == 0;
}

/* Looks at the guards, in an epoch in which that was not done yet. */
static NOINLINE int
verify_default(struct pickler *pickler, struct typeinfo *info)
{
    if (!save_dump_is_planned(pickler, info)
        || !typeinfo_verify(pickler->state, info, pickler->dispatch_table, pickler->epoch)
        || !still_has_no_slots(info)
        || (info->arguments == ARGUMENTS_ELEMENTS
            && !typeinfo_is_namedtuple(pickler->state, info->type))
        || (info->frozen && !typeinfo_is_frozen(pickler->state, info))
        || (info->arguments == ARGUMENTS_SET && !reduction_is_call(pickler->state, info->type))) {
        return 0;
    }
    info->verified = pickler->epoch;
    return 1;
}

enum fields_dict
save_find_fields(struct pickler *pickler, struct typeinfo *info, PyObject *object, char *out)
{
    if (unlikely(info->verified != pickler->epoch) && !verify_default(pickler, info)) {
        return FIELDS_UNKNOWN;
    }
    if (unlikely(out + HEAD_ROOM >= pickler->writer.limit) && !save_frame_can_end(pickler)) {
        return FIELDS_UNKNOWN;
    }
    if (!save_find_class(pickler, info, (PyObject *)info->type)
        || (info->slot_count != 0
            && !(info->frozen ? has_all_slots(info, object) : slotnames_hold(info)))
        || (info->arguments != ARGUMENTS_NONE
            && !save_find_arguments(pickler, info, object, out))) {
        return FIELDS_UNKNOWN;
    }
    return info->has_dict ? find_dict(pickler, info, object) : FIELDS_NO_DICT;
}

/* True if slots of short scalars, and nothing else, can be written before a frame ends. */
ALWAYS_INLINE int
has_room_for_slots(struct pickler *pickler, struct typeinfo *info, char *out)
{
    return info->flat && pickler->writer.limit - out > HEAD_ROOM + info->slot_count * PAIR_ROOM;
}

/* The slots: to be read in place, or in the snapshot.  (In an object of nothing but slots they are
   not short scalars: save_by_default() has looked.)  0 or -1. */
ALWAYS_INLINE int
find_slots(struct pickler *pickler, struct typeinfo *info, PyObject *object, struct fields *fields,
           char *out)
{
    if (info->arguments != ARGUMENTS_NONE && has_room_for_slots(pickler, info, out)) {
        fields->set = count_short_scalars(info, object);
        if (fields->set >= 0) {
            fields->in_place = 1;
            return 0;
        }
    }
    fields->set = snapshot_slots(pickler, info, object);
    return fields->set < 0 ? -1 : 0;
}

/* ---- objects that others are saved in before their state ---------------- */

/* The __dict__ that stays the state even if others change the object meanwhile: made if it was
   not.  Strong, or NULL with an exception. */
static PyObject *
own_dict(PyObject *object, enum fields_dict kind)
{
    if (kind == FIELDS_MADE) {
        return Py_NewRef(layout_made_dict(object));
    }
    int collects = collector_hold();
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    collector_resume(collects);
    return dict;
}

/* The slots that are set, each as far as it was; no number of a name is known any more. */
static char *
save_late_slots(struct pickler *pickler, struct typeinfo *info, PyObject *object, Py_ssize_t set,
                char *out)
{
    struct fields fields = {.set = set};
    return out == NULL ? NULL : save_slots(pickler, info, object, &fields, 0, out);
}

/* The state: a __dict__, or slots, or both. */
static NOINLINE char *
save_late_state(struct pickler *pickler, struct typeinfo *info, PyObject *object, PyObject *dict,
                Py_ssize_t set, char *out)
{
    out = save_pass_boundary(pickler, out);
    if (set == 0) {
        out = out == NULL ? NULL : save_owned(pickler, dict, 0, out);
    }
    else if (out != NULL) {
        /* The pair is a new tuple, whose first part is saved as any object. */
        out = save_owned(pickler, dict == NULL ? Py_None : dict, 0, out);
        out = out == NULL ? failed_part(0) : save_room(pickler, out);
        out = out == NULL ? NULL : save_pass_boundary(pickler, out);
        if (out != NULL) {
            out = save_late_slots(pickler, info, object, set, out);
            out = out == NULL ? failed_part(1) : out;
        }
        if (out != NULL) {
            out = save_skip(pickler, ABSENT_TUPLE, write_op(out, OP_TUPLE2));
        }
    }
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? failed_state(object) : write_op(out, OP_BUILD);
}

/* A frame of its own for each level of nesting: a small one. */
static NOINLINE char *
save_nesting(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
             enum fields_dict kind, char *out)
{
    Py_ssize_t known = 0;
    uint64_t epoch = pickler->epoch;
    PyObject *dict = NULL;
    if (unlikely(kind != FIELDS_NO_DICT) && (dict = own_dict(object, kind)) == NULL) {
        return NULL;
    }
    if (save_open(pickler, object) < 0) {
        Py_XDECREF(dict);
        return NULL;
    }
    Py_ssize_t slots = info->slot_count,
               set = slots == 0 ? 0 : snapshot_slots(pickler, info, object);
    out = set < 0 ? NULL : write_class(pickler, info, out);
    if (out != NULL && info->items != ITEMS_NONE) {
        out = save_nested_items(pickler, info, object, unique, out);
    }
    else if (out != NULL) {
        struct numbered numbered = save_nested_arguments(pickler, info, object, unique, out);
        out = numbered.out;
        known = numbered.known;
    }
    if (out == NULL) {
        error_note("when serializing %T object", object);
    }
    else if ((dict != NULL || set != 0) && !known) {
        out = save_late_state(pickler, info, object, dict, set, out);
    }
    out = save_flush(pickler, epoch, out);
    if (slots != 0 && set >= 0) {
        out = save_drop_snapshot(pickler, slots, out);
    }
    if (dict != NULL) {
        out = save_release(pickler, dict, out);
    }
    return save_close(pickler, object, out);
}

static NOINLINE char *
save_simply(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
            enum fields_dict kind, char *out)
{
    if (save_open(pickler, object) < 0) {
        return NULL;
    }
    struct fields fields = take_dict(pickler, info, object, kind);
    begin_names(pickler, info);
    if (info->slot_count != 0 && find_slots(pickler, info, object, &fields, out) < 0) {
        out = NULL;
    }
    if (out != NULL) {
        out = save_fields(pickler, info, object, unique, &fields, out);
    }
    if (info->slot_count != 0 && !fields.in_place && fields.set >= 0) {
        out = save_drop_snapshot(pickler, info->slot_count, out);
    }
    if (unlikely(pickler->poll_at_next)) {
        pickler->writer.limit = pickler->writer.start;
    }
    if (fields.dict != NULL) {
        out = save_release(pickler, fields.dict, out);
    }
    return save_close(pickler, object, out);
}

/* Slots that are to be read in place, of an object of nothing else: no foreign code can run before
   its end, so it need not be owned, and is no level. */
static NOINLINE char *
save_flatly(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
            Py_ssize_t set, char *out)
{
    struct fields fields = {.set = set, .in_place = 1};
    begin_names(pickler, info);
    out = save_fields(pickler, info, object, unique, &fields, out);
    if (unlikely(pickler->poll_at_next)) {
        pickler->writer.limit = pickler->writer.start;
    }
    return out;
}

/* Ends in tail calls. */
char *
save_by_default(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                enum fields_dict kind, char *out)
{
    if (info->slot_count != 0 && info->arguments == ARGUMENTS_NONE && !info->nests
        && has_room_for_slots(pickler, info, out)) {
        Py_ssize_t set = count_short_scalars(info, object);
        if (set >= 0) {
            return save_flatly(pickler, info, object, unique, set, out);
        }
    }
    return unlikely(info->nests) ? save_nesting(pickler, info, object, unique, kind, out)
                                 : save_simply(pickler, info, object, unique, kind, out);
}
