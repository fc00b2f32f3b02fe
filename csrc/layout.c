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

/* Notes where the value of the name lies in the dict. */
static void
learn_hint(struct layout_hint *hint, PyObject *dict, PyObject *name, PyObject *value)
{
    enum { SEARCHED = 4096 };
    struct layout_keys *keys = (struct layout_keys *)((PyDictObject *)dict)->ma_keys;
    if (((PyDictObject *)dict)->ma_values != NULL || keys->kind != LAYOUT_KEYS_UNICODE) {
        return;
    }
    struct layout_entry *entries = layout_entries(keys);
    for (Py_ssize_t i = 0; i < keys->count && i < SEARCHED; i++) {
        if (entries[i].value == value && PyUnicode_Compare(entries[i].key, name) == 0) {
            Py_XSETREF(hint->key, Py_NewRef(entries[i].key));
            hint->index = i;
            return;
        }
    }
}

PyObject *
layout_look_up(PyObject *dict, PyObject *name, struct layout_hint *hint)
{
    if (!layout_has_only_str_keys(dict)) {
        return NULL;
    }
    PyObject *value = PyDict_GetItemWithError(dict, name);
    if (value != NULL) {
        learn_hint(hint, dict, name, value);
    }
    return value;
}

#else

Py_ssize_t
layout_slot_offset(PyTypeObject *Py_UNUSED(type), PyObject *Py_UNUSED(name))
{
    return -1;
}

#endif
