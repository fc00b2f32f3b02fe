/* The state of the room `types` in each interpreter. */
#ifndef FASTCOPYREG_TYPES_ROOM_H
#define FASTCOPYREG_TYPES_ROOM_H

#include "base/state.h"
struct bound_table;
struct constructors;
struct frozen;
struct rebuild_cache;
struct state_plans;
struct typeinfo_cache;

struct types_room {
    struct typeinfo_cache *infos;      /* see typeinfo.h */
    struct bound_table *bound;         /* see bound.h */
    struct constructors *constructors; /* see construct.h */
    struct frozen *frozen;             /* see frozen.h */
    struct rebuild_cache *rebuild;     /* see rebuild.c */
    struct state_plans *state_plans;   /* see state_plan.c */
    getter own_dict_getter;            /* of __dict__ in ordinary classes; see default.c */
    ternaryfunc python_call;           /* tp_call of a class with a __call__ in Python */
    PyObject *namedtuple_code;         /* of __getnewargs__ of all named tuples, or NULL */
};

extern const struct core_room types_core_room;

#endif
