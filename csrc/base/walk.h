/* Walking containers while other code runs.

   With the GIL a container is walked where it is: only the code that is run between two steps can
   change it.  Without the GIL another thread can, so a copy is walked; of
   sets also where their layout is not known. */
#ifndef FASTCOPYREG_BASE_WALK_H
#define FASTCOPYREG_BASE_WALK_H

#include "base/compat.h"

/* A dict to be walked with PyDict_Next(); strong, or NULL. */
static inline PyObject *
dict_for_walk(PyObject *dict)
{
#if HAS_GIL
    return Py_NewRef(dict);
#else
    return PyDict_Copy(dict);
#endif
}

/* The item of a list that is walked; NULL without an exception behind the last.  Borrowed with the
   GIL, strong without; list_item_done() releases it. */
static inline PyObject *
list_item(PyObject *list, Py_ssize_t index)
{
#if HAS_GIL
    return index < PyList_GET_SIZE(list) ? PyList_GET_ITEM(list, index) : NULL;
#else
    PyObject *item = PyList_GetItemRef(list, index);
    if (item == NULL) {
        PyErr_Clear();
    }
    return item;
#endif
}

static inline void
list_item_done(PyObject *item)
{
#if HAS_GIL
    (void)item;
#else
    Py_DECREF(item);
#endif
}

/* A set to be walked with set_next(): the set itself, or a tuple of its elements; strong, or
   NULL. */
static inline PyObject *
set_for_walk(PyObject *set)
{
#if SETS_ARE_WALKED_IN_PLACE
    return Py_NewRef(set);
#else
    return PySequence_Tuple(set);
#endif
}

/* The next element; 1 and borrowed, or 0 behind the last. */
static inline int
set_next(PyObject *walked, Py_ssize_t *position, PyObject **element)
{
#if SETS_ARE_WALKED_IN_PLACE
    PySetObject *set = (PySetObject *)walked;
    while (*position <= set->mask) {
        setentry *entry = &set->table[(*position)++];
        /* Removed elements leave a dummy whose hash is -1, which no object has. */
        if (entry->key != NULL && entry->hash != -1) {
            *element = entry->key;
            return 1;
        }
    }
    return 0;
#else
    if (*position >= PyTuple_GET_SIZE(walked)) {
        return 0;
    }
    *element = PyTuple_GET_ITEM(walked, (*position)++);
    return 1;
#endif
}

/* The hash of the element that set_next() has just given, or -1 with an exception.  May run Python
   code where the set is not walked in place. */
static inline Py_hash_t
set_hash_of(PyObject *walked, Py_ssize_t position, PyObject *element)
{
#if SETS_ARE_WALKED_IN_PLACE
    (void)element;
    return ((PySetObject *)walked)->table[position - 1].hash;
#else
    (void)walked;
    (void)position;
    return PyObject_Hash(element);
#endif
}

#endif
