/* Prefetches: the next objects of a list are fetched from memory while the object at hand is
   written or copied.

   The objects of a list are mostly not next to one another in a process that has run for a while,
   and neither is what they hold: each costs several accesses to memory, one behind the other,
   unless it was asked for some objects before.  A list of scattered objects is dumped in a
   quarter less time by it, one of scattered dicts in a third.

   These are hints, in which nothing is owned and nothing decided: an object may be gone by the
   time that it would be needed. */
#ifndef FASTCOPYREG_BASE_PREFETCH_H
#define FASTCOPYREG_BASE_PREFETCH_H

#include "base/layout.h"

enum {
    FAR_AHEAD = 8,   /* the object itself is asked for */
    NEAR_AHEAD = 4,  /* the object is there, and its contents are asked for */
    NEXT_AHEAD = 2,  /* the same of a dict, whose entries are there only now */
    PARTS_AHEAD = 4, /* of that, so many */
    VALUES_AHEAD = 8 /* and so many of a dict */
};

/* Asks for the first of `count` objects. */
ALWAYS_INLINE void
prefetch_all(PyObject *const *objects, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < PARTS_AHEAD && i < count; i++) {
        PREFETCH(objects[i]);
    }
}

/* Asks for what an object of a class made in Python holds: its values, its __dict__ or its slots.
 */
ALWAYS_INLINE void
prefetch_fields(PyObject *object, PyTypeObject *type)
{
    if (!PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
        Py_ssize_t size = type->tp_basicsize - (Py_ssize_t)sizeof(PyObject);
        prefetch_all((PyObject **)(object + 1), size / (Py_ssize_t)sizeof(PyObject *));
        return;
    }
    struct layout_values *values = layout_unmade_values(object, type);
    if (values != NULL) {
        prefetch_all(values->values, layout_values_count(values));
    }
    else {
        PREFETCH(layout_made_dict(object));
    }
}

ALWAYS_INLINE void
prefetch_parts(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (PyType_HasFeature(type, Py_TPFLAGS_TUPLE_SUBCLASS)) {
        prefetch_all(&PyTuple_GET_ITEM(object, 0), PyTuple_GET_SIZE(object));
    }
    else if (type == &PyDict_Type) {
        char *keys = (char *)((PyDictObject *)object)->ma_keys;
        PREFETCH(keys);
        PREFETCH(keys + 64);
    }
    else if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && type->tp_itemsize == 0) {
        prefetch_fields(object, type);
    }
}

/* Asks for an object, which often lies in two lines. */
ALWAYS_INLINE void
prefetch_object(PyObject *object)
{
    PREFETCH(object);
    PREFETCH((char *)object + 40);
}

/* Asks for the values of a dict with str keys, the keys of which are there. */
ALWAYS_INLINE void
prefetch_entries(PyObject *object)
{
    if (Py_TYPE(object) == &PyDict_Type) {
        struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)object)->ma_keys;
        if (keys->kind == LAYOUT_KEYS_UNICODE) {
            for (Py_ssize_t i = 0; i < keys->count && i < VALUES_AHEAD; i++) {
                PREFETCH(layout_entries(keys)[i].value);
            }
        }
    }
}

/* Before `item`, number `index` of an exact list, is used: if it is of a kind whose objects lie
   anywhere, and nobody else has just used it. */
ALWAYS_INLINE void
prefetch_next(PyObject *list, Py_ssize_t index, PyObject *item)
{
    if (!layout_is_known()) {
        return;
    }
    const unsigned long kinds =
        Py_TPFLAGS_HEAPTYPE | Py_TPFLAGS_TUPLE_SUBCLASS | Py_TPFLAGS_DICT_SUBCLASS;
    if (has_one_reference(item) && PyType_HasFeature(Py_TYPE(item), kinds)
        && index + FAR_AHEAD < PyList_GET_SIZE(list)) {
        prefetch_object(PyList_GET_ITEM(list, index + FAR_AHEAD));
        prefetch_entries(PyList_GET_ITEM(list, index + NEXT_AHEAD));
        prefetch_parts(PyList_GET_ITEM(list, index + NEAR_AHEAD));
    }
}

#endif
