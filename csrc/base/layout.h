/* The fields of an instance where they lie: slots, inline values.

   The simple way to read a field is PyObject_GetAttr: a type look-up, a descriptor,
   a dict.  That is half the time of pickling a small object.  Where the layout of
   instances is known (KNOWN_LAYOUT), a field is read and stored at its place: a slot
   at its offset, an attribute of an instance whose __dict__ was never made in the
   instance's values, whose names are the type's shared keys.

   Nothing here runs Python code.  All of it is sound only under guards that the
   callers keep: the type's version is the one under which the offsets were found, and
   the instance's __dict__ is the type's own. */
#ifndef FASTCOPYREG_BASE_LAYOUT_H
#define FASTCOPYREG_BASE_LAYOUT_H

#include "base/compat.h"

/* The offset of the slot that `type` has under `name` if reading it is no more than
   loading a pointer: a writable member descriptor of __slots__.  -1 if not. */
Py_ssize_t layout_slot_offset(PyTypeObject *type, PyObject *name);

/* The value in a slot; borrowed, NULL if the slot is not set. */
ALWAYS_INLINE PyObject **
layout_slot(PyObject *object, Py_ssize_t offset)
{
    return (PyObject **)((char *)object + offset);
}

struct layout_keys;

/* A defaultdict: no header shows it, so its size is compared with the type's. */
struct layout_defaultdict {
    PyDictObject dict;
    PyObject *default_factory;
};

/* True if instances and dicts are read where they lie.  Where they are not, the functions below
   say of everything that it is not there. */
ALWAYS_INLINE int
layout_is_known(void)
{
    return KNOWN_LAYOUT;
}

/* The kind of keys that are all exact strings, and whose entries have no hash. */
#define LAYOUT_KEYS_UNICODE 1

/* The keys of a dict, as in CPython's pycore_dict.h; the same on 3.11 to 3.15. */
struct layout_keys {
    Py_ssize_t reference_count;
    uint8_t log2_size;
    uint8_t log2_index_bytes;
    uint8_t kind;
    uint32_t version;
    Py_ssize_t usable;
    Py_ssize_t count;
    char indices[];
};

/* An entry of the keys that a type shares with its instances. */
struct layout_entry {
    PyObject *key;
    PyObject *value;
};

/* The values of an instance.  Before 3.13 the size and the order lie before them. */
struct layout_values {
#if VALUES_KIND == VALUES_INLINE
    uint8_t capacity;
    uint8_t size;
    uint8_t embedded;
    uint8_t valid;
#endif
    PyObject *values[1];
};

ALWAYS_INLINE struct layout_entry *
layout_entries(struct layout_keys *keys)
{
    return (struct layout_entry *)(keys->indices + ((size_t)1 << keys->log2_index_bytes));
}

/* The index of a place that was never taken. */
enum { LAYOUT_NO_ENTRY = -1 };

/* The index of an entry, from the table that is searched by hash; below 0: none. */
ALWAYS_INLINE Py_ssize_t
layout_index(struct layout_keys *keys, size_t place)
{
    switch (keys->log2_index_bytes - keys->log2_size) {
    case 0: return ((int8_t *)keys->indices)[place];
    case 1: return ((int16_t *)keys->indices)[place];
    case 2: return ((int32_t *)keys->indices)[place];
    default: return (Py_ssize_t)((int64_t *)keys->indices)[place];
    }
}

#if KNOWN_LAYOUT

/* Moves `count` items to the end of an exact list, with the room to spare that
   list.extend() leaves.  1, or 0 and nothing done if there is no memory. */
ALWAYS_INLINE int
list_take_items(PyObject *object, PyObject **items, Py_ssize_t count)
{
    PyListObject *list = (PyListObject *)object;
    size_t size = (size_t)PyList_GET_SIZE(object), needed = size + (size_t)count;
    if (needed > (size_t)list->allocated) {
        size_t room = (needed + (needed >> 3) + 6) & ~(size_t)3;
        if ((size_t)count > room - needed) {
            room = (needed + 3) & ~(size_t)3;
        }
        if (room > PY_SSIZE_T_MAX / sizeof(PyObject *)) {
            return 0;
        }
        PyObject **memory = PyMem_Realloc(list->ob_item, room * sizeof(PyObject *));
        if (memory == NULL) {
            return 0;
        }
        list->ob_item = memory;
        list->allocated = (Py_ssize_t)room;
    }
    memcpy(list->ob_item + size, items, (size_t)count * sizeof(PyObject *));
    Py_SET_SIZE(list, (Py_ssize_t)needed);
    return 1;
}

/* The keys that instances of a heap type share; NULL if it has none. */
ALWAYS_INLINE struct layout_keys *
layout_shared_keys(PyTypeObject *type)
{
    return (struct layout_keys *)((PyHeapTypeObject *)type)->ht_cached_keys;
}

/* True if all keys of a dict are exact strings, so that looking a name up runs no Python code. */
ALWAYS_INLINE int
layout_has_only_str_keys(PyObject *dict)
{
    return ((struct layout_keys *)((PyDictObject *)dict)->ma_keys)->kind != 0;
}

/* Looks where a search for a key would look first.  1 and the value, borrowed, if this very key
   is there; 0 if nothing is; -1 if only a search can tell. */
ALWAYS_INLINE int
layout_dict_glance(PyObject *dict, PyObject *key, Py_hash_t hash, PyObject **value)
{
    struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)dict)->ma_keys;
    if (((PyDictObject *)dict)->ma_values != NULL) {
        return -1;
    }
    size_t place = (size_t)hash & (((size_t)1 << keys->log2_size) - 1);
    Py_ssize_t index = layout_index(keys, place);
    if (index < 0) {
        *value = NULL;
        return index == LAYOUT_NO_ENTRY ? 0 : -1;
    }
    /* Keys that are not all str have entries that begin with the hash. */
    size_t words = keys->kind == 0 ? 3 : 2;
    PyObject **entry = (PyObject **)layout_entries(keys) + (size_t)index * words + (words - 2);
    *value = entry[1];
    return entry[0] == key ? 1 : -1;
}

/* The next pair of a dict, both borrowed, as PyDict_Next() gives it; the positions are the same.
 */
ALWAYS_INLINE int
layout_dict_next(PyObject *dict, Py_ssize_t *position, PyObject **key, PyObject **value)
{
    struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)dict)->ma_keys;
    if (unlikely(((PyDictObject *)dict)->ma_values != NULL)) {
        return PyDict_Next(dict, position, key, value);
    }
    size_t words = keys->kind == 0 ? 3 : 2;
    PyObject **entries = (PyObject **)layout_entries(keys) + (words - 2);
    for (Py_ssize_t index = *position; index < keys->count; index++) {
        PyObject **entry = entries + (size_t)index * words;
        if (likely(entry[1] != NULL)) {
            *key = entry[0];
            *value = entry[1];
            *position = index + 1;
            return 1;
        }
    }
    return 0;
}

/* The slow part of layout_find_name(). */
PyObject *layout_search_name(PyObject *dict, PyObject *name, Py_ssize_t *index);

/* The value of a name, an exact str, in an exact dict; borrowed, or NULL without an exception if
   it is not there, or if other keys than exact strings are.  The place where it was the last time
   is looked at first: if the key there is that very str, a search would find the same entry,
   whatever has happened to the dict.  Interned names, as those in dicts of modules mostly are, are
   found this way. */
ALWAYS_INLINE PyObject *
layout_find_name(PyObject *dict, PyObject *name, Py_ssize_t *index)
{
    struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)dict)->ma_keys;
    if (likely(keys->kind == LAYOUT_KEYS_UNICODE && *index < keys->count)) {
        struct layout_entry *entry = &layout_entries(keys)[*index];
        if (likely(entry->key == name && entry->value != NULL)) {
            return entry->value;
        }
    }
    return layout_search_name(dict, name, index);
}

/* The values of an instance of a type with a managed dict whose __dict__ was not made;
   NULL if it was made or if the instance never had values. */
ALWAYS_INLINE struct layout_values *
layout_unmade_values(PyObject *object, PyTypeObject *type)
{
#if VALUES_KIND == VALUES_INLINE
    if (!PyType_HasFeature(type, Py_TPFLAGS_INLINE_VALUES) || ((PyObject **)object)[-3] != NULL) {
        return NULL;
    }
    struct layout_values *values = (struct layout_values *)((char *)object + type->tp_basicsize);
    return values->valid ? values : NULL;
#elif VALUES_KIND == VALUES_TAGGED
    uintptr_t word = ((uintptr_t *)object)[-3];
    (void)type;
    return (word & 1) != 0 ? (struct layout_values *)(word + 1) : NULL;
#else
    (void)type;
    return ((struct layout_values **)object)[-4];
#endif
}

/* Says that the values, of which none is there, are not the instance's any more, as it has got a
   dict: from 3.13 on attributes are looked for in values that are valid before any dict, and
   PyObject_GenericSetDict() of 3.13.0 leaves them so. */
ALWAYS_INLINE void
layout_values_end(struct layout_values *values)
{
#if VALUES_KIND == VALUES_INLINE
    values->valid = 0;
#else
    (void)values;
#endif
}

/* The __dict__ of an instance of a type with a managed dict if it was made; borrowed, or
   NULL.  For instances that have no unmade values. */
ALWAYS_INLINE PyObject *
layout_made_dict(PyObject *object)
{
    return ((PyObject **)object)[-3];
}

/* object.__new__(type) for a type that is not abstract and is allocated as usual; strong or
   NULL. */
ALWAYS_INLINE PyObject *
layout_new_instance(PyTypeObject *type, PyObject *empty_tuple)
{
#if VALUES_KIND == VALUES_INLINE
    /* The values are made by the allocation. */
    (void)empty_tuple;
    return PyType_GenericAlloc(type, 0);
#else
    return PyBaseObject_Type.tp_new(type, empty_tuple, NULL);
#endif
}

/* True if instances of a type that keeps its attributes in a __dict__ have values. */
ALWAYS_INLINE int
layout_has_values(PyTypeObject *type)
{
#if VALUES_KIND == VALUES_INLINE
    return PyType_HasFeature(type, Py_TPFLAGS_INLINE_VALUES);
#else
    return PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT);
#endif
}

/* True if the values have room for the attribute at the index, which is in the shared keys.
   Before 3.13 they have room for all that ever get into these. */
ALWAYS_INLINE int
layout_values_hold(struct layout_values *values, int index)
{
#if VALUES_KIND == VALUES_INLINE
    return index < values->capacity;
#else
    (void)values;
    (void)index;
    return 1;
#endif
}

/* The number of values set. */
ALWAYS_INLINE int
layout_values_count(struct layout_values *values)
{
#if VALUES_KIND == VALUES_INLINE
    return values->size;
#else
    return ((uint8_t *)values)[-2];
#endif
}

/* The index, in keys and values, of the attribute that was set as number `position`. */
ALWAYS_INLINE int
layout_values_index(struct layout_values *values, int position)
{
#if VALUES_KIND == VALUES_INLINE
    return ((uint8_t *)&values->values[values->capacity])[position];
#else
    return ((uint8_t *)values)[-3 - position];
#endif
}

/* Stores a value that is not set yet as the newest; steals it.  Only into values
   whose capacity holds the index. */
ALWAYS_INLINE void
layout_values_append(struct layout_values *values, int index, PyObject *value)
{
    assert(values->values[index] == NULL);
    values->values[index] = value;
#if VALUES_KIND == VALUES_INLINE
    ((uint8_t *)&values->values[values->capacity])[values->size++] = (uint8_t)index;
#else
    uint8_t *size = (uint8_t *)values - 2;
    (*size)++;
    size[-(int)*size] = (uint8_t)index;
#endif
}

/* The __dict__ of an instance of any type if it has one that was made; borrowed, or NULL. */
ALWAYS_INLINE PyObject *
layout_find_dict(PyObject *object, PyTypeObject *type)
{
    if (PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
        return layout_unmade_values(object, type) != NULL ? NULL : layout_made_dict(object);
    }
    return type->tp_dictoffset > 0 ? *layout_slot(object, type->tp_dictoffset) : NULL;
}

/* Takes the newest value out again; strong. */
ALWAYS_INLINE PyObject *
layout_values_take_last(struct layout_values *values)
{
    int index = layout_values_index(values, layout_values_count(values) - 1);
    PyObject *value = values->values[index];
    values->values[index] = NULL;
#if VALUES_KIND == VALUES_INLINE
    values->size--;
#else
    ((uint8_t *)values)[-2]--;
#endif
    return value;
}

#else

ALWAYS_INLINE int
list_take_items(PyObject *Py_UNUSED(object), PyObject **Py_UNUSED(items),
                Py_ssize_t Py_UNUSED(count))
{
    return 0;
}

ALWAYS_INLINE struct layout_keys *
layout_shared_keys(PyTypeObject *Py_UNUSED(type))
{
    return NULL;
}

ALWAYS_INLINE int
layout_has_only_str_keys(PyObject *Py_UNUSED(dict))
{
    return 0;
}

ALWAYS_INLINE int
layout_dict_glance(PyObject *Py_UNUSED(dict), PyObject *Py_UNUSED(key), Py_hash_t Py_UNUSED(hash),
                   PyObject **Py_UNUSED(value))
{
    return -1;
}

ALWAYS_INLINE int
layout_dict_next(PyObject *dict, Py_ssize_t *position, PyObject **key, PyObject **value)
{
    return PyDict_Next(dict, position, key, value);
}

static inline PyObject *
layout_find_name(PyObject *dict, PyObject *name, Py_ssize_t *Py_UNUSED(index))
{
    PyObject *value = PyDict_GetItemWithError(dict, name);
    PyErr_Clear();
    return value;
}

ALWAYS_INLINE struct layout_values *
layout_unmade_values(PyObject *Py_UNUSED(object), PyTypeObject *Py_UNUSED(type))
{
    return NULL;
}

ALWAYS_INLINE void
layout_values_end(struct layout_values *Py_UNUSED(values))
{
}

ALWAYS_INLINE PyObject *
layout_made_dict(PyObject *Py_UNUSED(object))
{
    return NULL;
}

ALWAYS_INLINE PyObject *
layout_new_instance(PyTypeObject *type, PyObject *empty_tuple)
{
    return PyBaseObject_Type.tp_new(type, empty_tuple, NULL);
}

ALWAYS_INLINE int
layout_has_values(PyTypeObject *Py_UNUSED(type))
{
    return 0;
}

ALWAYS_INLINE int
layout_values_hold(struct layout_values *Py_UNUSED(values), int Py_UNUSED(index))
{
    return 0;
}

ALWAYS_INLINE int
layout_values_count(struct layout_values *Py_UNUSED(values))
{
    return 0;
}

ALWAYS_INLINE int
layout_values_index(struct layout_values *Py_UNUSED(values), int Py_UNUSED(position))
{
    return 0;
}

ALWAYS_INLINE void
layout_values_append(struct layout_values *Py_UNUSED(values), int Py_UNUSED(index),
                     PyObject *value)
{
    Py_DECREF(value);
}

ALWAYS_INLINE PyObject *
layout_find_dict(PyObject *Py_UNUSED(object), PyTypeObject *Py_UNUSED(type))
{
    return NULL;
}

ALWAYS_INLINE PyObject *
layout_values_take_last(struct layout_values *Py_UNUSED(values))
{
    return NULL;
}

#endif

/* Searches for a key whose hash is known without comparing it with another: 1 and the value,
   borrowed; 0 if it is not there; -1 if the key would have to be compared. */
int layout_dict_search(PyObject *dict, PyObject *key, Py_hash_t hash, PyObject **value);

/* The value of a dict under a key whose hash is known; borrowed.  NULL: there is none, and an
   exception only if the dict has odd keys, which may run Python code. */
ALWAYS_INLINE PyObject *
dict_get_hashed(PyObject *dict, PyObject *key, Py_hash_t hash)
{
    PyObject *value;
    return likely(layout_dict_glance(dict, key, hash, &value) >= 0)
                   || layout_dict_search(dict, key, hash, &value) >= 0
               ? value
               : dict_get_by_hash(dict, key, hash);
}

/* The same for a name, which is an exact str. */
ALWAYS_INLINE PyObject *
dict_get_name(PyObject *dict, PyObject *name)
{
    Py_hash_t hash = ((PyASCIIObject *)name)->hash;
    PyObject *value;
    return likely(hash != -1 && layout_dict_glance(dict, name, hash, &value) >= 0)
               ? value
               : PyDict_GetItemWithError(dict, name);
}

#endif
