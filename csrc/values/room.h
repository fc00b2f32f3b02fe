/* The state of the room `values` in each interpreter. */
#ifndef FASTCOPYREG_VALUES_ROOM_H
#define FASTCOPYREG_VALUES_ROOM_H

#include "base/state.h"
#include "values/value_construct.h"
#include "values/values.h"

struct values_room {
    PyObject *pickle_complex_code; /* of copyreg.pickle_complex() as it was at first */
    PyObject *datetime_capsule;    /* strong, or NULL; the owner of ... */
    void *datetime_api;            /* the C API of datetime; see value_construct.c */
    struct value_types builtin;    /* see value_construct.h */
    enum value_status status[VALUES];
    unsigned versions[VALUES]; /* of types of Python, when they were checked */
    PyObject *guards[VALUES];  /* the result of _values.known(), or NULL */
};

extern const struct core_room values_core_room;

#endif
