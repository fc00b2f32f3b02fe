/* deepcopy: the walk over containers and instances; see copier.h. */
#include "copier.h"

#include "copyfunction.h"

#if KNOWN_LAYOUT

/* ---- signals and threads ----------------------------------------------- */

/* Lets signals be handled and other threads run, if they wait.  0, or -1 with what a handler
   raised.  Runs Python code. */
static NOINLINE int
attend(struct copier *copier)
{
    copier->budget = COPIER_BUDGET;
    if (!turns_due(&copier->turns)) {
        return 0;
    }
    if (copier_before_foreign(copier) < 0) {
        return -1;
    }
    int result = turns_take(copier->state, &copier->turns);
    copier_after_foreign(copier);
    return result;
}

/* Counts an item of a container. */
ALWAYS_INLINE int
count_item(struct copier *copier)
{
    return likely(--copier->budget >= 0) ? 0 : attend(copier);
}

/* A part that was just read from a container: whether nothing can present it again.  A tuple
   enters the memo only at its end.  If it is met again within itself, so are its parts: so
   while a tuple is open, parts are alone only if the tuple is, and no foreign code ran. */
ALWAYS_INLINE int
is_alone(const struct copier *copier, PyObject *object)
{
    return has_one_reference(object) && copier->exclusive;
}

/* ---- copies that are filled before the standard library fills them ----- */

/* Opens the memo's entry of one that has parts to be copied. */
static int
open_part(struct copier *copier, struct open_clone *open, unsigned kind, int alone)
{
    open->state = open->fields = open->copied = NULL;
    Py_INCREF(open->source);
    if (open->plan != NULL) {
        open->plan->holders++;
    }
    copymemo_link(&copier->memo, open);
    open->event = copier->memo.buffers->pending_count;
    return copymemo_open(&copier->memo, open->source, kind, open->copy, alone);
}

static void
close_part(struct copier *copier, struct open_clone *open)
{
    copymemo_unlink(&copier->memo, open);
    Py_XDECREF(open->state);
    Py_XDECREF(open->fields);
    Py_XDECREF(open->copied);
    Py_DECREF(open->source);
    clone_plan_release(open->plan);
}

/* ---- lists ------------------------------------------------------------- */

/* An empty list with room for `size` items; strong or NULL. */
ALWAYS_INLINE PyObject *
list_with_room(Py_ssize_t size)
{
    PyObject *list = PyList_New(size);
    if (list != NULL) {
        Py_SET_SIZE(list, 0);
    }
    return list;
}

/* Appends; steals the item.  0 or -1. */
ALWAYS_INLINE int
append_item(PyObject *list, PyObject *item)
{
    Py_ssize_t size = PyList_GET_SIZE(list);
    if (likely(size < ((PyListObject *)list)->allocated)) {
        PyList_SET_ITEM(list, size, item);
        Py_SET_SIZE(list, size + 1);
        return 0;
    }
    int result = PyList_Append(list, item);
    Py_DECREF(item);
    return result;
}

/* Whether an item is a short tuple of atoms, which is its own copy and enters no memo. */
ALWAYS_INLINE int
is_tuple_of_atoms(struct copier *copier, PyObject *item)
{
    if (!PyTuple_CheckExact(item) || !copier->tuples_hold || PyTuple_GET_SIZE(item) > 8) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(item); i++) {
        if (!is_usual_atom(PyTuple_GET_ITEM(item, i))) {
            return 0;
        }
    }
    return 1;
}

static int
copy_items_of_list(struct copier *copier, PyObject *list, PyObject *copy)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        PyObject *copied = is_tuple_of_atoms(copier, item)
                               ? Py_NewRef(item)
                               : copier_copy_part(copier, item, is_alone(copier, item));
        if (copied == NULL || append_item(copy, copied) < 0 || count_item(copier) < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *
copy_list(struct copier *copier, PyObject *list, int alone)
{
    PyObject *copy = list_with_room(PyList_GET_SIZE(list));
    if (copy == NULL) {
        return NULL;
    }
    Py_INCREF(list);
    if (copymemo_open(&copier->memo, list, COPY_OBJECT, copy, alone) < 0
        || copy_items_of_list(copier, list, copy) < 0
        || copymemo_close(&copier->memo, list, COPY_OBJECT, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(list);
    return copy;
}

/* ---- tuples ------------------------------------------------------------ */

/* Fills `copies` with copies of the items from number `first` on.  1 if all are the items
   themselves, 0 if not, -1. */
static int
copy_items_of_tuple(struct copier *copier, PyObject *tuple, Py_ssize_t first, PyObject *copies)
{
    int same = 1;
    for (Py_ssize_t i = 0; i < first; i++) {
        PyTuple_SET_ITEM(copies, i, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
    }
    for (Py_ssize_t i = first; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        PyObject *copied = copier_copy_part(copier, item, is_alone(copier, item));
        if (copied == NULL || count_item(copier) < 0) {
            Py_XDECREF(copied);
            return -1;
        }
        PyTuple_SET_ITEM(copies, i, copied);
        same &= copied == item;
    }
    return same;
}

/* What a copied tuple is in the end: the memo's, where an item led back to the tuple; the tuple
   itself, where all parts are the same; or the copies, which are entered then.  Strong. */
static PyObject *
choose_tuple(struct copier *copier, PyObject *tuple, PyObject *copies, int same, int alone)
{
    PyObject *copy = NULL;
    if (copier->memo.dict != NULL) {
        if (copymemo_find_visible(&copier->memo, tuple, &copy) < 0) {
            return NULL;
        }
    }
    else if (!alone) {
        copy = Py_XNewRef(copymemo_find(&copier->memo, tuple));
    }
    if (copy != NULL || same) {
        /* The standard library enters what it found a second time. */
        if (copy != NULL && copy != tuple && copymemo_put(&copier->memo, tuple, copy) == 0
            && copymemo_keep(&copier->memo, tuple, copy) == 0) {
            return copy;
        }
        if (copy != NULL && copy != tuple) {
            Py_DECREF(copy);
            return NULL;
        }
        return copy != NULL ? copy : Py_NewRef(tuple);
    }
    if (copymemo_whole(&copier->memo, tuple, COPY_OBJECT, copies, alone) < 0) {
        return NULL;
    }
    PyObject_GC_Track(copies);
    return Py_NewRef(copies);
}

static PyObject *
copy_tuple(struct copier *copier, PyObject *tuple, int alone)
{
    Py_ssize_t size = PyTuple_GET_SIZE(tuple), atoms = 0;
    if (likely(copier->atoms_hold)) {
        while (atoms < size && is_usual_atom(PyTuple_GET_ITEM(tuple, atoms))) {
            atoms++;
        }
    }
    if (atoms == size) {
        copier->budget -= size < COPIER_BUDGET ? (int)size : COPIER_BUDGET;
        return Py_NewRef(tuple);
    }
    /* Not tracked while it is filled, so that nobody finds it unfinished. */
    PyObject *copies = PyTuple_New(size);
    if (copies == NULL) {
        return NULL;
    }
    PyObject_GC_UnTrack(copies);
    Py_INCREF(tuple);
    uint64_t epoch = copier->epoch;
    copier_open_unentered(copier, alone);
    int same = copy_items_of_tuple(copier, tuple, atoms, copies);
    copier_close_unentered(copier);
    alone = alone && copier->epoch == epoch;
    PyObject *copy = NULL;
    if (same >= 0) {
        copy = choose_tuple(copier, tuple, copies, same, alone);
    }
    Py_DECREF(copies);
    Py_DECREF(tuple);
    return copy;
}

/* ---- dicts ------------------------------------------------------------- */

/* A dict in the middle of being copied, as the standard library's iterator sees it. */
struct dict_walk {
    PyObject *dict;
    PyObject *copy;
    Py_ssize_t position;
    Py_ssize_t used; /* items at the start */
    Py_ssize_t left; /* items not seen yet */
};

/* The next item, borrowed: 1, 0 at the end, -1 with the RuntimeError of a changed dict. */
ALWAYS_INLINE int
next_item(struct dict_walk *walk, PyObject **key, PyObject **value)
{
    if (unlikely(PyDict_GET_SIZE(walk->dict) != walk->used)) {
        PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
        return -1;
    }
    if (!PyDict_Next(walk->dict, &walk->position, key, value)) {
        return 0;
    }
    if (unlikely(walk->left == 0)) {
        PyErr_SetString(PyExc_RuntimeError, "dictionary keys changed during iteration");
        return -1;
    }
    walk->left--;
    return 1;
}

/* Whether storing under the key compares nothing but str. */
ALWAYS_INLINE int
stores_purely(PyObject *dict, PyObject *key)
{
    return PyUnicode_CheckExact(key)
           && ((struct layout_keys *)((PyDictObject *)dict)->ma_keys)->kind != 0;
}

/* copy[key] = value.  Runs Python code unless keys are str. */
ALWAYS_INLINE int
store_item(struct copier *copier, PyObject *dict, PyObject *key, PyObject *value)
{
    if (likely(stores_purely(dict, key))) {
        return PyDict_SetItem(dict, key, value);
    }
    if (copier_before_foreign(copier) < 0) {
        return -1;
    }
    int result = PyDict_SetItem(dict, key, value);
    copier_after_foreign(copier);
    return result;
}

/* Copies one item, the value first. */
static int
copy_item(struct copier *copier, PyObject *dict, PyObject *key, PyObject *value)
{
    int key_alone = is_alone(copier, key);
    uint64_t epoch = copier->epoch;
    Py_INCREF(key);
    PyObject *copied_value = copier_copy_part(copier, value, is_alone(copier, value));
    PyObject *copied_key = NULL;
    int result = -1;
    if (copied_value != NULL) {
        copied_key = copier_copy_part(copier, key, key_alone && copier->epoch == epoch);
        if (copied_key != NULL) {
            result = store_item(copier, dict, copied_key, copied_value);
        }
    }
    Py_XDECREF(copied_key);
    Py_XDECREF(copied_value);
    Py_DECREF(key);
    return result;
}

static int
copy_items_of_dict(struct copier *copier, struct dict_walk *walk)
{
    PyObject *key, *value;
    int found;
    while ((found = next_item(walk, &key, &value)) > 0) {
        if (copy_item(copier, walk->copy, key, value) < 0 || count_item(copier) < 0) {
            return -1;
        }
    }
    return found;
}

/* Goes on with a dict whose copy was pulled back while `copied`, the value of `key`, was made. */
static NOINLINE int
finish_pulled_dict(struct copier *copier, struct open_clone *open, PyObject *key,
                   Py_ssize_t position, PyObject *copied)
{
    struct dict_walk walk = {open->source, open->copy, position, open->used,
                             open->used - open->done - 1};
    return store_item(copier, open->copy, key, copied) < 0 ? -1
                                                           : copy_items_of_dict(copier, &walk);
}

/* Copies a value that is no atom into the place of the shared one.  1 to go on, 0 if all is
   done, -1. */
static int
replace_value(struct copier *copier, struct open_clone *open, PyObject *key, PyObject *value,
              Py_ssize_t position)
{
    int result = -1;
    Py_INCREF(key);
    PyObject *copied = copier_copy_object(copier, value, is_alone(copier, value));
    if (copied != NULL && open->copied != NULL) {
        result = finish_pulled_dict(copier, open, key, position, copied);
    }
    else if (copied != NULL) {
        result = PyDict_SetItem(open->copy, key, copied) < 0 || count_item(copier) < 0 ? -1 : 1;
    }
    Py_XDECREF(copied);
    Py_DECREF(key);
    return result;
}

/* Copies the values that are no atoms of a dict that was copied whole. */
static int
replace_values(struct copier *copier, struct open_clone *open, int alone)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int opened = 0, result = 1;
    for (open->done = 0; result > 0 && PyDict_Next(open->source, &position, &key, &value);
         open->done++) {
        if (is_usual_atom(value) && copier->atoms_hold) {
            continue;
        }
        if (!opened) {
            opened = 1;
            if (open_part(copier, open, COPY_OBJECT, alone) < 0) {
                result = -1;
                break;
            }
        }
        result = replace_value(copier, open, key, value, position);
    }
    copier->budget -= open->done < COPIER_BUDGET ? (int)open->done : COPIER_BUDGET;
    if (!opened) {
        return copymemo_whole(&copier->memo, open->source, COPY_OBJECT, open->copy, alone);
    }
    if (result >= 0) {
        result = copymemo_close(&copier->memo, open->source, COPY_OBJECT, open->copy);
    }
    close_part(copier, open);
    return result;
}

/* Copies a dict with str keys: as a whole first, sharing the values, which is much less work than
   to store one by one.  Should foreign code run before all values are replaced, the copy
   is pulled back to what the standard library's would hold. */
static PyObject *
copy_str_dict(struct copier *copier, PyObject *dict, int alone)
{
    struct open_clone open = {.source = dict, .copy = PyDict_Copy(dict)};
    if (open.copy != NULL && replace_values(copier, &open, alone) < 0) {
        Py_CLEAR(open.copy);
    }
    return open.copy;
}

static PyObject *
copy_dict(struct copier *copier, PyObject *dict, int alone)
{
    if (copier->atoms_hold && copier->memo.dict == NULL && PyDict_GET_SIZE(dict) > 1
        && layout_has_only_str_keys(dict)) {
        return copy_str_dict(copier, dict, alone);
    }
    PyObject *copy = PyDict_New();
    if (copy == NULL) {
        return NULL;
    }
    Py_ssize_t used = PyDict_GET_SIZE(dict);
    struct dict_walk walk = {dict, copy, 0, used, used};
    Py_INCREF(dict);
    if (copymemo_open(&copier->memo, dict, COPY_OBJECT, copy, alone) < 0
        || copy_items_of_dict(copier, &walk) < 0
        || copymemo_close(&copier->memo, dict, COPY_OBJECT, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(dict);
    return copy;
}

/* ---- methods ----------------------------------------------------------- */

/* type(x)(x.__func__, deepcopy(x.__self__, memo)) */
static PyObject *
copy_method(struct copier *copier, PyObject *method)
{
    PyObject *copy = NULL;
    Py_INCREF(method);
    copier_open_unentered(copier, 0);
    PyObject *self = copier_copy_part(copier, PyMethod_GET_SELF(method), 0);
    copier_close_unentered(copier);
    if (self != NULL) {
        copy = PyObject_CallFunctionObjArgs((PyObject *)&PyMethod_Type,
                                            PyMethod_GET_FUNCTION(method), self, NULL);
        Py_DECREF(self);
    }
    if (copy != NULL
        && (copymemo_put(&copier->memo, method, copy) < 0
            || copymemo_keep(&copier->memo, method, copy) < 0)) {
        Py_CLEAR(copy);
    }
    Py_DECREF(method);
    return copy;
}

/* ---- instances --------------------------------------------------------- */

enum field_kind { IN_SLOTS, IN_VALUES, IN_DICT };

/* Where the next field of an instance is read. */
struct field_cursor {
    const struct clone_plan *plan;
    struct clone_fields fields;
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
        while (cursor->position < cursor->plan->slot_count) {
            const struct clone_slot *slot = &cursor->plan->slots[cursor->position++];
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
    return clone_append(copy, cursor->name, value);
}

/* Ends the state of a clone that was pulled back, as the standard library does.  The state as
   copied; strong or NULL. */
static PyObject *
end_state(struct copier *copier, struct open_clone *open)
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

/* Foreign code ran while `part` was copied: goes on as the standard library does, whose state
   was made by the pull-back.  0 or -1. */
static NOINLINE int
finish_pulled_clone(struct copier *copier, struct open_clone *open, PyObject *name,
                    Py_ssize_t position, Py_ssize_t done, PyObject *part)
{
    struct dict_walk walk = {open->fields, open->copied, position, open->used, open->used - done};
    if (store_item(copier, open->copied, name, part) < 0
        || copy_items_of_dict(copier, &walk) < 0) {
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
copy_field(struct copier *copier, struct field_cursor *cursor, struct open_clone *open,
           PyObject *value, enum field_kind kind)
{
    PyObject *name = cursor->name;
    if (kind == IN_VALUES) {
        struct layout_keys *keys = layout_shared_keys(Py_TYPE(open->source));
        name = layout_entries(keys)[cursor->place].key;
    }
    Py_INCREF(name);
    Py_ssize_t done = kind == IN_SLOTS ? cursor->done : cursor->position;
    PyObject *part = copier_copy_object(copier, value, is_alone(copier, value));
    int result = -1;
    if (part != NULL && unlikely(open->copied != NULL)) {
        Py_ssize_t position = kind == IN_SLOTS ? cursor->done : cursor->position;
        done = kind == IN_DICT ? cursor->done : done;
        result = finish_pulled_clone(copier, open, name, position, done, part);
        Py_DECREF(part);
    }
    else if (part != NULL) {
        result = store_field(cursor, open->copy, part, kind) < 0 ? -1 : 1;
    }
    Py_DECREF(name);
    return result;
}

/* Copies all fields into the clone and enters it in the memo.  0 or -1. */
ALWAYS_INLINE int
copy_fields(struct copier *copier, struct field_cursor *cursor, struct open_clone *open, int alone,
            enum field_kind kind)
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
            if (open_part(copier, open, COPY_CLONE, alone) < 0) {
                result = -1;
                break;
            }
        }
        result = copy_field(copier, cursor, open, value, kind);
    }
    if (!opened) {
        return result < 0
                   ? -1
                   : copymemo_whole(&copier->memo, open->source, COPY_CLONE, open->copy, alone);
    }
    if (result > 0) {
        result = copymemo_close(&copier->memo, open->source, COPY_CLONE, open->copy);
    }
    close_part(copier, open);
    return result;
}

static int
copy_slots(struct copier *copier, struct field_cursor *cursor, struct open_clone *open, int alone)
{
    return copy_fields(copier, cursor, open, alone, IN_SLOTS);
}

static int
copy_values(struct copier *copier, struct field_cursor *cursor, struct open_clone *open, int alone)
{
    return copy_fields(copier, cursor, open, alone, IN_VALUES);
}

static int
copy_dict_fields(struct copier *copier, struct field_cursor *cursor, struct open_clone *open,
                 int alone)
{
    return copy_fields(copier, cursor, open, alone, IN_DICT);
}

/* Copies an instance whose __dict__ others hold too, or whose memo is seen: the __dict__ is
   copied by itself, as any dict, and is the state.  Strong or NULL. */
static NOINLINE PyObject *
copy_with_state(struct copier *copier, PyObject *object, int alone)
{
    PyObject *state = PyObject_GenericGetDict(object, NULL);
    PyObject *copy = state == NULL ? NULL : clone_allocate(copier->state, Py_TYPE(object));
    if (copy == NULL) {
        Py_XDECREF(state);
        return NULL;
    }
    Py_INCREF(object);
    int result = copymemo_open(&copier->memo, object, COPY_OBJECT, copy, alone);
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

/* Copies an instance as its type's plan says; strong or NULL. */
static PyObject *
copy_clone(struct copier *copier, struct copyroute *route, PyObject *object, int alone)
{
    struct clone_plan *plan = route->plan;
    struct field_cursor cursor = {.plan = plan};
    int usual = plan->has_dict ? clone_find_fields(plan, object, &cursor.fields)
                               : copier->memo.dict == NULL;
    if (!usual) {
        return copier_by_reduction(copier, object, NULL, route->facts, alone);
    }
    if (copier->memo.dict != NULL
        || (cursor.fields.dict != NULL && !has_one_reference(cursor.fields.dict))) {
        return copy_with_state(copier, object, alone);
    }
    struct open_clone open = {.plan = plan, .source = object};
    open.copy = clone_allocate(copier->state, Py_TYPE(object));
    if (open.copy == NULL) {
        return NULL;
    }
    int result;
    if (!plan->has_dict) {
        result = copy_slots(copier, &cursor, &open, alone);
    }
    else if (cursor.fields.values != NULL
             && (cursor.target = layout_unmade_values(open.copy, Py_TYPE(object))) != NULL) {
        result = copy_values(copier, &cursor, &open, alone);
    }
    else if (cursor.fields.dict != NULL) {
        result = copy_dict_fields(copier, &cursor, &open, alone);
    }
    else if (cursor.fields.values != NULL) {
        Py_DECREF(open.copy);
        return copy_with_state(copier, object, alone);
    }
    else {
        result = copymemo_whole(&copier->memo, object, COPY_CLONE, open.copy, alone);
    }
    if (result < 0) {
        Py_CLEAR(open.copy);
    }
    return open.copy;
}

/* ---- any object -------------------------------------------------------- */

PyObject *
copier_hand_over(struct copier *copier, PyObject *object)
{
    if (copymemo_show(&copier->memo) < 0 || copier_before_foreign(copier) < 0) {
        return NULL;
    }
    Py_INCREF(object);
    PyObject *copy = PyObject_CallFunctionObjArgs(copier->state->stdlib.copy_deepcopy, object,
                                                  copier->memo.dict, NULL);
    Py_DECREF(object);
    copier_after_foreign(copier);
    return copy;
}

/* Calls what the program put into the dispatch. */
static PyObject *
copy_by_dispatch(struct copier *copier, PyObject *object, PyObject *function)
{
    if (copymemo_show(&copier->memo) < 0 || copier_before_foreign(copier) < 0) {
        return NULL;
    }
    Py_INCREF(object);
    Py_INCREF(function);
    PyObject *copy = PyObject_CallFunctionObjArgs(function, object, copier->memo.dict, NULL);
    Py_DECREF(function);
    copier_after_foreign(copier);
    if (copy != NULL && copy != object && copymemo_keep(&copier->memo, object, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(object);
    return copy;
}

/* Whether the C stack has room for more levels; asked now and then. */
ALWAYS_INLINE int
may_descend(struct copier *copier)
{
    if (likely((copier->depth & 31) != 31)) {
        return 1;
    }
    if (copier->depth >= COPIER_DEPTH || Py_EnterRecursiveCall("")) {
        if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_RecursionError)) {
            PyErr_Clear();
        }
        return 0;
    }
    Py_LeaveRecursiveCall();
    return 1;
}

static PyObject *
copy_by_route(struct copier *copier, struct copyroute *route, PyObject *object, int alone)
{
    PyObject *copy;
    if (unlikely(!may_descend(copier))) {
        return copier_hand_over(copier, object);
    }
    copier->depth++;
    switch (route->kind) {
    case ROUTE_LIST: copy = copy_list(copier, object, alone); break;
    case ROUTE_TUPLE: copy = copy_tuple(copier, object, alone); break;
    case ROUTE_DICT: copy = copy_dict(copier, object, alone); break;
    case ROUTE_CLONE: copy = copy_clone(copier, route, object, alone); break;
    case ROUTE_METHOD: copy = copy_method(copier, object); break;
    case ROUTE_DISPATCH: copy = copy_by_dispatch(copier, object, route->function); break;
    default:
        copy = copier_by_reduction(copier, object, route->function, route->facts, alone);
        break;
    }
    copier->depth--;
    return copy;
}

/* The route of a type that was not found in this epoch yet. */
static NOINLINE struct copyroute *
find_new_route(struct copier *copier, PyObject *object)
{
    struct core_state *state = copier->state;
    PyTypeObject *type = Py_TYPE(object);
    if (copyroute_is_pure(state, type)) {
        return copyroute_find(state, type, copier->epoch);
    }
    if (copier_before_foreign(copier) < 0) {
        return NULL;
    }
    Py_INCREF(object);
    struct copyroute *route = copyroute_find(state, type, copier->epoch);
    Py_DECREF(object);
    copier->collector = collector_hold();
    return route;
}

ALWAYS_INLINE struct copyroute *
find_route(struct copier *copier, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    struct copyroutes *routes = copier->state->copyroutes;
    struct copyroute *route = copier->last_route;
    if (unlikely(route == NULL || route->type != type)) {
        route = copyroute_known(routes, type);
    }
    if (route == NULL
        || (route->epoch != copier->epoch && !copyroute_confirm(routes, route, copier->epoch))) {
        route = find_new_route(copier, object);
    }
    copier->last_route = route;
    return route;
}

/* With a memo that can be seen, the object is owned all the way. */
static NOINLINE PyObject *
copy_visibly(struct copier *copier, PyObject *object)
{
    struct copyroutes *routes = copier->state->copyroutes;
    PyObject *copy = NULL;
    Py_INCREF(object);
    struct copyroute *route = routes->atoms_first ? find_route(copier, object) : NULL;
    if (route == NULL && PyErr_Occurred()) {
        goto done;
    }
    if (route != NULL && route->kind == ROUTE_ATOMIC) {
        copy = Py_NewRef(object);
        goto done;
    }
    int found = copymemo_find_visible(&copier->memo, object, &copy);
    if (found != 0) {
        goto done;
    }
    if (route == NULL) {
        route = find_route(copier, object);
    }
    if (route != NULL) {
        copy = route->kind <= ROUTE_CLASS ? Py_NewRef(object)
                                          : copy_by_route(copier, route, object, 0);
    }
done:
    Py_DECREF(object);
    return copy;
}

int
copier_look(struct copier *copier)
{
    struct copyroutes *routes = copier->state->copyroutes;
    copyroute_refresh(copier->state, copier->epoch);
    copier->atoms_hold = routes->atoms_hold && (copier->memo.dict == NULL || routes->atoms_first);
    copier->tuples_hold = routes->states_hold && copier->memo.dict == NULL;
    return routes->usable;
}

PyObject *
copier_copy_object(struct copier *copier, PyObject *object, int alone)
{
    if (unlikely(!copier->atoms_hold)) {
        if (!copier_look(copier)) {
            return copier_hand_over(copier, object);
        }
        if (copier->atoms_hold && is_usual_atom(object)) {
            return Py_NewRef(object);
        }
    }
    if (unlikely(copier->memo.dict != NULL)) {
        return copy_visibly(copier, object);
    }
    PyObject *copy = alone ? NULL : copymemo_find(&copier->memo, object);
    if (copy != NULL && !copier->state->copyroutes->atoms_first) {
        return Py_NewRef(copy);
    }
    struct copyroute *route = find_route(copier, object);
    if (unlikely(route == NULL)) {
        return NULL;
    }
    if (copy != NULL && route->kind != ROUTE_ATOMIC) {
        return Py_NewRef(copy);
    }
    return route->kind <= ROUTE_CLASS ? Py_NewRef(object)
                                      : copy_by_route(copier, route, object, alone);
}

PyObject *
copier_deepcopy(struct core_state *state, PyObject *object, PyObject *memo)
{
    if (memo != NULL && !PyDict_CheckExact(memo)) {
        return PyObject_CallFunctionObjArgs(state->stdlib.copy_deepcopy, object, memo, NULL);
    }
    struct copier copier = {.state = state, .budget = COPIER_BUDGET};
    PyObject *copy = NULL;
    copyroute_enter(state->copyroutes);
    copier_after_foreign(&copier);
    if (copymemo_start(state, &copier.memo, memo) == 0) {
        copy = copier_copy_object(&copier, object, 0);
    }
    collector_resume(copier.collector);
    copymemo_finish(&copier.memo);
    state->copyroutes->calls--;
    return copy;
}

int
copier_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    return clone_setup(state) < 0 || copyroute_setup(state) < 0 ? -1 : copyfunction_setup(module);
}

void
copier_teardown(struct core_state *state)
{
    copymemo_teardown(state);
    copyroute_teardown(state);
}

#else

PyObject *
copier_deepcopy(struct core_state *state, PyObject *object, PyObject *memo)
{
    return PyObject_CallFunctionObjArgs(state->stdlib.copy_deepcopy, object,
                                        memo == NULL ? Py_None : memo, NULL);
}

int
copier_setup(PyObject *module)
{
    return copyfunction_setup(module);
}

void
copier_teardown(struct core_state *Py_UNUSED(state))
{
}

#endif
