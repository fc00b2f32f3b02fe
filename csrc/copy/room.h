/* The state of the room `copy` in each interpreter. */
#ifndef FASTCOPYREG_COPY_ROOM_H
#define FASTCOPYREG_COPY_ROOM_H

#include "base/state.h"
struct copybuffers;
struct copyroutes;

struct copy_room {
    PyTypeObject *copyfunction_type;
    struct copybuffers *idle_copybuffers; /* between calls of deepcopy; see copymemo.c */
    struct copyroutes *routes;            /* routes of copy.py for each type; see copyroute.c */
    uint64_t epoch;         /* ends whenever foreign code may have run; see copier.h */
    int copies_by_sets;     /* copy has _copy_atomic_types, not _copy_dispatch */
    PyObject *copy_helpers; /* a dict of Python functions; see copier_state.c */
};

extern const struct core_room copy_core_room;

#endif
