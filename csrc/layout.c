/* The fields of an instance where they lie: see layout.h. */
#include "layout.h"

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

/* The index of the entry whose key is that very str, or LAYOUT_NO_ENTRY.  The dict is searched as
   it is by CPython, which leaves free places in every table. */
static Py_ssize_t
search_entry(struct layout_keys *keys, PyObject *name, Py_hash_t hash)
{
    enum { PERTURB_SHIFT = 5 };
    size_t mask = ((size_t)1 << keys->log2_size) - 1, perturb = (size_t)hash;
    for (size_t place = perturb & mask;; place = (place * 5 + perturb + 1) & mask) {
        Py_ssize_t index = layout_index(keys, place);
        if (index == LAYOUT_NO_ENTRY || (index >= 0 && layout_entries(keys)[index].key == name)) {
            return index;
        }
        perturb >>= PERTURB_SHIFT;
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
        Py_ssize_t found = search_entry(keys, name, hash);
        if (found != LAYOUT_NO_ENTRY) {
            *index = found;
            return layout_entries(keys)[found].value;
        }
    }
    return PyDict_GetItemWithError(dict, name);
}

#else

Py_ssize_t
layout_slot_offset(PyTypeObject *Py_UNUSED(type), PyObject *Py_UNUSED(name))
{
    return -1;
}

#endif
