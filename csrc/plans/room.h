/* The state of the room `plans` in each interpreter. */
#ifndef FASTCOPYREG_PLANS_ROOM_H
#define FASTCOPYREG_PLANS_ROOM_H

#include "base/state.h"
/* Where a functools.partial has what it binds; all 0 where that is not known. */
struct partial_places {
    Py_ssize_t function;
    Py_ssize_t args;
    Py_ssize_t keywords;
};

struct plan_store;

struct plans_room {
    struct plan_store *store;   /* see plan.h */
    unsigned threshold;         /* how often a function is met before it is read; 0: never */
    PyObject *lazy_import_type; /* types.LazyImportType, or NULL */
    struct partial_places partial_places;
    PyTypeObject *pickler_type; /* our Pickler, which the room `dump` holds; or NULL */
    uint64_t reduced_by_plan;   /* how many objects were taken apart by a plan */
    uint64_t made_by_plan;      /* and how many made */
};

extern const struct core_room plans_core_room;

#endif
