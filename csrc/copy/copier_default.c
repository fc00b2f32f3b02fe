/* Deep copies of instances of default reduction, field by field: see default.h. */
#include "copy/copier.h"

/* ---- instances ---------------------------------------------------------- */

enum field_kind { IN_SLOTS, IN_VALUES, IN_DICT };

/* Where the next field of an instance is read. */
struct field_cursor {
    const struct default_reduction *info;
    struct default_fields fields;
    Py_ssize_t position;          /* of slots, values or dict */
    Py_ssize_t done;              /* fields that were set */
    PyObject *name;               /* of the field just read; borrowed */
    Py_ssize_t place;             /* its offset or index */
    struct layout_values *target; /* of the copy, for IN_VALUES */
};

/* The value of the next field that is set, borrowed; NULL at the end. */
ALWAYS_INLINE PyObject *
next_field(struct field_cursor *cursor, PyObject *object, enum field_kind kind)
{
    if (kind == IN_SLOTS) {
        while (cursor->position < cursor->info->slot_count) {
            const struct default_slot *slot = &cursor->info->slots[cursor->position++];
            PyObject *value = *layout_slot(object, slot->offset);
            if (value != NULL) {
                cursor->name = slot->name;
                cursor->place = slot->offset;
                cursor->done++;
                return value;
            }
        }
        return NULL;
    }
    if (kind == IN_VALUES) {
        struct layout_values *values = cursor->fields.values;
        if (cursor->position >= layout_values_count(values)) {
            return NULL;
        }
        int index = layout_values_index(values, (int)cursor->position++);
        cursor->place = index;
        return values->values[index];
    }
    PyObject *value;
    return PyDict_Next(cursor->fields.dict, &cursor->position, &cursor->name, &value) ? value
                                                                                      : NULL;
}

/* Stores the copy of the field just read; steals it. */
ALWAYS_INLINE int
store_field(const struct field_cursor *cursor, PyObject *copy, PyObject *value,
            enum field_kind kind)
{
    if (kind == IN_SLOTS) {
        *layout_slot(copy, cursor->place) = value;
        return 0;
    }
    if (kind == IN_VALUES) {
        layout_values_append(cursor->target, (int)cursor->place, value);
        return 0;
    }
    return default_append(copy, cursor->name, value);
}

/* Ends the state of an instance that was rolled back, as the standard library does.  The state as
   copied; strong or NULL. */
static PyObject *
end_state(struct copier *copier, struct open_instance *open)
{
    if (copymemo_keep(&copier->memo, open->fields, open->copied) < 0) {
        return NULL;
    }
    if (open->state == open->fields) {
        return Py_NewRef(open->copied);
    }
    PyObject *pair = PyTuple_Pack(2, Py_None, open->copied);
    if (pair != NULL
        && (copymemo_put(&copier->memo, open->state, pair) < 0
            || copymemo_keep(&copier->memo, open->state, pair) < 0)) {
        Py_CLEAR(pair);
    }
    return pair;
}

/* Foreign code ran while `part` was copied: goes on as the standard library does, whose state was
   made by rolling back.  0 or -1. */
static NOINLINE int
finish_rolled_back(struct copier *copier, struct open_instance *open, PyObject *name,
                   Py_ssize_t position, Py_ssize_t done, PyObject *part)
{
    struct dict_walk walk = {open->fields, open->copied, position, open->used, open->used - done};
    if (copier_finish_dict(copier, &walk, name, part) < 0) {
        return -1;
    }
    PyObject *state = end_state(copier, open);
    if (state == NULL) {
        return -1;
    }
    int result = copier_set_state(copier, open->source, open->copy, state);
    Py_DECREF(state);
    return result < 0 ? -1 : copymemo_keep(&copier->memo, open->source, open->copy);
}

/* Copies the field just read, which is no atom, and stores it.  1 to go on, 0 if all is done,
   -1. */
ALWAYS_INLINE int
copy_field(struct copier *copier, struct field_cursor *cursor, struct open_instance *open,
           PyObject *value, enum field_kind kind)
{
    PyObject *name = cursor->name;
    if (kind == IN_VALUES) {
        struct layout_keys *keys = layout_shared_keys(Py_TYPE(open->source));
        name = layout_entries(keys)[cursor->place].key;
    }
    Py_INCREF(name);
    Py_ssize_t done = kind == IN_SLOTS ? cursor->done : cursor->position;
    PyObject *part = copier_copy_object(copier, value, is_unique(copier, value));
    int result = -1;
    if (part != NULL && unlikely(open->copied != NULL)) {
        Py_ssize_t position = kind == IN_SLOTS ? cursor->done : cursor->position;
        done = kind == IN_DICT ? cursor->done : done;
        result = finish_rolled_back(copier, open, name, position, done, part);
        Py_DECREF(part);
    }
    else if (part != NULL) {
        result = store_field(cursor, open->copy, part, kind) < 0 ? -1 : 1;
    }
    Py_DECREF(name);
    return result;
}

/* Copies all fields into the copy and enters it in the memo.  0 or -1. */
ALWAYS_INLINE int
copy_fields(struct copier *copier, struct field_cursor *cursor, struct open_instance *open,
            int unique, enum field_kind kind)
{
    int opened = 0, result = 1;
    PyObject *value;
    while (result > 0 && (value = next_field(cursor, open->source, kind)) != NULL) {
        cursor->done += kind == IN_DICT;
        if (likely(is_usual_atom(value)) && likely(copier->atoms_hold)) {
            result = store_field(cursor, open->copy, Py_NewRef(value), kind) < 0 ? -1 : 1;
            continue;
        }
        if (!opened) {
            opened = 1;
            if (copier_open_part(copier, open, COPY_DEFAULT, unique) < 0) {
                result = -1;
                break;
            }
        }
        result = copy_field(copier, cursor, open, value, kind);
    }
    if (!opened) {
        return result < 0
                   ? -1
                   : copier_enter_at_once(copier, open->source, COPY_DEFAULT, open->copy, unique);
    }
    if (result > 0) {
        result = copymemo_close(&copier->memo, open->source, COPY_DEFAULT, open->copy);
    }
    copier_close_part(copier, open);
    return result;
}

static int
copy_slots(struct copier *copier, struct field_cursor *cursor, struct open_instance *open,
           int unique)
{
    return copy_fields(copier, cursor, open, unique, IN_SLOTS);
}

static int
copy_values(struct copier *copier, struct field_cursor *cursor, struct open_instance *open,
            int unique)
{
    return copy_fields(copier, cursor, open, unique, IN_VALUES);
}

static int
copy_dict_fields(struct copier *copier, struct field_cursor *cursor, struct open_instance *open,
                 int unique)
{
    return copy_fields(copier, cursor, open, unique, IN_DICT);
}

/* Copies an instance whose __dict__ others hold too, or whose memo is seen: the __dict__ is
   copied by itself, as any dict, and is the state.  Strong or NULL. */
static NOINLINE PyObject *
copy_with_state(struct copier *copier, PyObject *object, int unique)
{
    PyObject *state = PyObject_GenericGetDict(object, NULL);
    PyObject *copy =
        state == NULL ? NULL : layout_new_instance(Py_TYPE(object), copier->state->empty_tuple);
    if (copy == NULL) {
        Py_XDECREF(state);
        return NULL;
    }
    Py_INCREF(object);
    int result = copymemo_open(&copier->memo, object, COPY_OBJECT, copy, unique);
    if (result == 0 && PyDict_GET_SIZE(state) > 0) {
        PyObject *copied = copier_copy_object(copier, state, 0);
        result = copied == NULL ? -1 : copier_set_state(copier, object, copy, copied);
        Py_XDECREF(copied);
    }
    if (result < 0 || copymemo_close(&copier->memo, object, COPY_OBJECT, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(state);
    Py_DECREF(object);
    return copy;
}

PyObject *
copier_copy_default(struct copier *copier, struct copyroute *route, PyObject *object, int unique)
{
    struct default_reduction *info = route->info;
    struct field_cursor cursor = {.info = info};
    int usual = copier_keeps_class(copier, Py_TYPE(object))
                && (info->has_dict ? default_find_fields(info, object, &cursor.fields)
                                   : copier->memo.dict == NULL);
    if (!usual) {
        return copier_by_reduction(copier, object, NULL, route->facts, unique);
    }
    if (copier->memo.dict != NULL
        || (cursor.fields.dict != NULL && !has_one_reference(cursor.fields.dict))) {
        return copy_with_state(copier, object, unique);
    }
    struct open_instance open = {.info = info, .source = object};
    open.copy = layout_new_instance(Py_TYPE(object), copier->state->empty_tuple);
    if (open.copy == NULL) {
        return NULL;
    }
    int result;
    if (!info->has_dict) {
        result = copy_slots(copier, &cursor, &open, unique);
    }
    else if (cursor.fields.values != NULL
             && (cursor.target = layout_unmade_values(open.copy, Py_TYPE(object))) != NULL) {
        result = copy_values(copier, &cursor, &open, unique);
    }
    else if (cursor.fields.dict != NULL) {
        result = copy_dict_fields(copier, &cursor, &open, unique);
    }
    else if (cursor.fields.values != NULL) {
        Py_DECREF(open.copy);
        return copy_with_state(copier, object, unique);
    }
    else {
        result = copier_enter_at_once(copier, object, COPY_DEFAULT, open.copy, unique);
    }
    if (result < 0) {
        Py_CLEAR(open.copy);
    }
    return open.copy;
}
