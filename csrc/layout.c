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

#else

Py_ssize_t
layout_slot_offset(PyTypeObject *Py_UNUSED(type), PyObject *Py_UNUSED(name))
{
    return -1;
}

#endif
