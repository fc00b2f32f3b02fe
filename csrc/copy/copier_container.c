/* Deep copies of lists, tuples, dicts and bound methods: see copier.h. */
#include "copy/copier.h"

#include "base/prefetch.h"

/* ---- copies that are filled before the standard library fills them ------ */

int
copier_open_part(struct copier *copier, struct open_instance *open, unsigned kind, int unique)
{
    open->state = open->fields = open->copied = NULL;
    Py_INCREF(open->source);
    if (open->info != NULL) {
        open->info->holders++;
    }
    copymemo_link(&copier->memo, open);
    open->event = copier->memo.buffers->pending_count;
    return copymemo_open(&copier->memo, open->source, kind, open->copy, unique);
}

void
copier_close_part(struct copier *copier, struct open_instance *open)
{
    copymemo_unlink(&copier->memo, open);
    Py_XDECREF(open->state);
    Py_XDECREF(open->fields);
    Py_XDECREF(open->copied);
    Py_DECREF(open->source);
    default_reduction_release(open->info);
}

/* ---- lists -------------------------------------------------------------- */

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

/* True if an item is a short tuple of atoms, which is its own copy and enters no memo. */
ALWAYS_INLINE int
is_tuple_of_atoms(struct copier *copier, PyObject *item)
{
    return PyTuple_CheckExact(item) && copier->tuples_hold && PyTuple_GET_SIZE(item) <= 8
           && copier_are_usual_atoms(copier, ((PyTupleObject *)item)->ob_item,
                                     PyTuple_GET_SIZE(item));
}

ALWAYS_INLINE PyObject *
copy_item_of_list(struct copier *copier, PyObject *item)
{
    int unique = is_unique(copier, item);
    PyObject *copy;
    if (unique && copier->last_bound != NULL) {
        int copied = copier_copy_again(copier, item, &copy);
        if (copied != 0) {
            return copied < 0 ? NULL : copy;
        }
    }
    if (unique && copier->asked_route != NULL
        && copyroute_type(copier->asked_route) == Py_TYPE(item)) {
        int copied = copier_ask_again(copier, item, &copy);
        if (copied != 0) {
            return copied < 0 ? NULL : copy;
        }
    }
    return is_tuple_of_atoms(copier, item) ? Py_NewRef(item)
                                           : copier_copy_part(copier, item, unique);
}

static int
copy_items_of_list(struct copier *copier, PyObject *list, PyObject *copy)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        prefetch_next(list, i, item);
        PyObject *copied = copy_item_of_list(copier, item);
        if (copied == NULL || append_item(copy, copied) < 0 || count_item(copier) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
copier_copy_list(struct copier *copier, PyObject *list, int unique)
{
    PyObject *copy = list_with_room(PyList_GET_SIZE(list));
    if (copy == NULL) {
        return NULL;
    }
    Py_INCREF(list);
    if (copymemo_open(&copier->memo, list, COPY_OBJECT, copy, unique) < 0
        || copy_items_of_list(copier, list, copy) < 0
        || copymemo_close(&copier->memo, list, COPY_OBJECT, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(list);
    return copy;
}

/* ---- tuples ------------------------------------------------------------- */

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
        PyObject *copied = copier_copy_part(copier, item, is_unique(copier, item));
        if (copied == NULL || count_item(copier) < 0) {
            Py_XDECREF(copied);
            return -1;
        }
        PyTuple_SET_ITEM(copies, i, copied);
        same &= copied == item;
    }
    return same;
}

PyObject *
copier_choose_tuple(struct copier *copier, PyObject *tuple, PyObject *copies, int same, int unique,
                    int foreign)
{
    PyObject *copy = NULL;
    if (copier->memo.dict != NULL) {
        if (copymemo_find_visible(&copier->memo, tuple, &copy) < 0) {
            return NULL;
        }
    }
    else if (!unique) {
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
    int entered = foreign ? copymemo_own_at_once(&copier->memo, tuple, copies, 0)
                          : copier_enter_at_once(copier, tuple, COPY_OBJECT, copies, unique);
    if (entered < 0) {
        return NULL;
    }
    PyObject_GC_Track(copies);
    return Py_NewRef(copies);
}

PyObject *
copier_copy_tuple(struct copier *copier, PyObject *tuple, int unique)
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
    copier_open_unentered(copier, unique);
    int same = copy_items_of_tuple(copier, tuple, atoms, copies);
    copier_close_unentered(copier);
    int foreign = copier->epoch != epoch;
    PyObject *copy = NULL;
    if (same >= 0) {
        copy = copier_choose_tuple(copier, tuple, copies, same, unique && !foreign, foreign);
    }
    Py_DECREF(copies);
    Py_DECREF(tuple);
    return copy;
}

/* ---- dicts -------------------------------------------------------------- */

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

/* True if storing under the key compares nothing but str. */
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

int
copier_next_item(struct dict_walk *walk, PyObject **key, PyObject **value)
{
    return next_item(walk, key, value);
}

int
copier_store_item(struct copier *copier, PyObject *dict, PyObject *key, PyObject *value)
{
    return store_item(copier, dict, key, value);
}

/* Copies one item, the value first. */
static int
copy_item(struct copier *copier, PyObject *dict, PyObject *key, PyObject *value)
{
    int key_unique = is_unique(copier, key);
    uint64_t epoch = copier->epoch;
    Py_INCREF(key);
    PyObject *copied_value = copier_copy_part(copier, value, is_unique(copier, value));
    PyObject *copied_key = NULL;
    int result = -1;
    if (copied_value != NULL) {
        copied_key = copier_copy_part(copier, key, key_unique && copier->epoch == epoch);
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

int
copier_finish_dict(struct copier *copier, struct dict_walk *walk, PyObject *key, PyObject *value)
{
    return store_item(copier, walk->copy, key, value) < 0 ? -1 : copy_items_of_dict(copier, walk);
}

/* Copies a value that is no atom into the place of the shared one.  1 to go on, 0 if all is
   done, -1. */
static int
replace_value(struct copier *copier, struct open_instance *open, PyObject *key, PyObject *value,
              Py_ssize_t position)
{
    int result = -1;
    Py_INCREF(key);
    PyObject *copied = copier_copy_object(copier, value, is_unique(copier, value));
    if (copied != NULL && open->copied != NULL) {
        struct dict_walk walk = {open->source, open->copy, position, open->used,
                                 open->used - open->done - 1};
        result = copier_finish_dict(copier, &walk, key, copied);
    }
    else if (copied != NULL) {
        result = PyDict_SetItem(open->copy, key, copied) < 0 ? -1 : 1;
        open->done++;
    }
    Py_XDECREF(copied);
    Py_DECREF(key);
    return result;
}

/* Polls after a value was replaced.  1 to go on, 0 if all is done, -1. */
static int
attend_between_values(struct copier *copier, struct open_instance *open, Py_ssize_t position)
{
    if (count_item(copier) < 0) {
        return -1;
    }
    if (likely(open->copied == NULL)) {
        return 1;
    }
    struct dict_walk walk = {open->source, open->copy, position, open->used,
                             open->used - open->done};
    return copy_items_of_dict(copier, &walk);
}

/* Copies the values that are no atoms, of a dict that was copied with all its items. */
static int
replace_values(struct copier *copier, struct open_instance *open, int unique)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int opened = 0, result = 1;
    open->done = 0;
    while (result > 0 && PyDict_Next(open->source, &position, &key, &value)) {
        if (is_usual_atom(value) && copier->atoms_hold) {
            open->done++;
            continue;
        }
        if (!opened) {
            opened = 1;
            if (copier_open_part(copier, open, COPY_OBJECT, unique) < 0) {
                result = -1;
                break;
            }
        }
        result = replace_value(copier, open, key, value, position);
        if (result > 0) {
            result = attend_between_values(copier, open, position);
        }
    }
    copier->budget -= open->done < COPIER_BUDGET ? (int)open->done : COPIER_BUDGET;
    if (!opened) {
        return copier_enter_at_once(copier, open->source, COPY_OBJECT, open->copy, unique);
    }
    if (result >= 0) {
        result = copymemo_close(&copier->memo, open->source, COPY_OBJECT, open->copy);
    }
    copier_close_part(copier, open);
    return result;
}

/* Copies a dict with str keys: all items at once, sharing the values, which is much less work than
   to store one by one; then the values are replaced.  Should foreign code run before that is done,
   the copy is rolled back to the items that the standard library's would hold. */
static PyObject *
copy_str_dict(struct copier *copier, PyObject *dict, int unique)
{
    struct open_instance open = {.source = dict, .copy = PyDict_Copy(dict)};
    if (open.copy != NULL && replace_values(copier, &open, unique) < 0) {
        Py_CLEAR(open.copy);
    }
    return open.copy;
}

PyObject *
copier_copy_dict(struct copier *copier, PyObject *dict, int unique)
{
    if (copier->atoms_hold && copier->memo.dict == NULL && PyDict_GET_SIZE(dict) > 1
        && layout_has_only_str_keys(dict)) {
        return copy_str_dict(copier, dict, unique);
    }
    PyObject *copy = PyDict_New();
    if (copy == NULL) {
        return NULL;
    }
    Py_INCREF(dict);
    int result = copymemo_open(&copier->memo, dict, COPY_OBJECT, copy, unique);
    if (result == 0) {
        /* Counted now: the dict may be the memo itself, which has one item more. */
        Py_ssize_t used = PyDict_GET_SIZE(dict);
        struct dict_walk walk = {dict, copy, 0, used, used};
        result = copy_items_of_dict(copier, &walk);
    }
    if (result < 0 || copymemo_close(&copier->memo, dict, COPY_OBJECT, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(dict);
    return copy;
}

/* ---- methods ------------------------------------------------------------ */

/* type(x)(x.__func__, deepcopy(x.__self__, memo)) */
PyObject *
copier_copy_method(struct copier *copier, PyObject *method)
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
