/* The fields of an instance where they lie: see layout.h. */
#include "base/layout.h"

#include <structmember.h>

#if KNOWN_LAYOUT

static_assert(sizeof(void *) != 8 || offsetof(struct layout_keys, indices) == 32,
              "the header of dict keys has 32 bytes on 64-bit machines");

Py_ssize_t
layout_slot_offset(PyTypeObject *type, PyObject *name)
{
    PyObject *descriptor = type_lookup(type, name);
    if (descriptor == NULL || !Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
        return -1;
    }
    PyMemberDescrObject *member = (PyMemberDescrObject *)descriptor;
    if (member->d_member->type != T_OBJECT_EX || member->d_member->flags != 0
        || !PyType_IsSubtype(type, PyDescr_TYPE(member))) {
        return -1;
    }
    return member->d_member->offset;
}

/* The next place where CPython would look for a key. */
ALWAYS_INLINE size_t
next_place(size_t place, size_t *perturb, size_t mask)
{
    enum { PERTURB_SHIFT = 5 };
    *perturb >>= PERTURB_SHIFT;
    return (place * 5 + *perturb + 1) & mask;
}

/* The index of the entry whose key is that very str, or LAYOUT_NO_ENTRY.  Every table has places
   that were never taken. */
static Py_ssize_t
search_name(struct layout_keys *keys, PyObject *name, Py_hash_t hash)
{
    size_t mask = ((size_t)1 << keys->log2_size) - 1, perturb = (size_t)hash;
    for (size_t place = perturb & mask;; place = next_place(place, &perturb, mask)) {
        Py_ssize_t index = layout_index(keys, place);
        if (index == LAYOUT_NO_ENTRY || (index >= 0 && layout_entries(keys)[index].key == name)) {
            return index;
        }
    }
}

PyObject *
layout_search_name(PyObject *dict, PyObject *name, Py_ssize_t *index)
{
    struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)dict)->ma_keys;
    Py_hash_t hash = ((PyASCIIObject *)name)->hash;
    if (!layout_has_only_str_keys(dict)) {
        return NULL;
    }
    if (keys->kind == LAYOUT_KEYS_UNICODE && hash != -1) {
        Py_ssize_t place = search_name(keys, name, hash);
        if (place != LAYOUT_NO_ENTRY) {
            *index = place;
            return layout_entries(keys)[place].value;
        }
    }
    return PyDict_GetItemWithError(dict, name);
}

/* An entry of keys that are not all str. */
struct hashed_entry {
    Py_hash_t hash;
    PyObject *key;
    PyObject *value;
};

int
layout_dict_search(PyObject *dict, PyObject *key, Py_hash_t hash, PyObject **value)
{
    struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)dict)->ma_keys;
    if (keys->kind != 0) {
        return -1;
    }
    struct hashed_entry *entries = (struct hashed_entry *)layout_entries(keys);
    size_t mask = ((size_t)1 << keys->log2_size) - 1, perturb = (size_t)hash;
    for (size_t place = perturb & mask;; place = next_place(place, &perturb, mask)) {
        Py_ssize_t index = layout_index(keys, place);
        if (index == LAYOUT_NO_ENTRY) {
            *value = NULL;
            return 0;
        }
        if (index >= 0 && (entries[index].key == key || entries[index].hash == hash)) {
            *value = entries[index].value;
            return entries[index].key == key ? 1 : -1;
        }
    }
}

#else

Py_ssize_t
layout_slot_offset(PyTypeObject *Py_UNUSED(type), PyObject *Py_UNUSED(name))
{
    return -1;
}

int
layout_dict_search(PyObject *Py_UNUSED(dict), PyObject *Py_UNUSED(key), Py_hash_t Py_UNUSED(hash),
                   PyObject **Py_UNUSED(value))
{
    return -1;
}

#endif
