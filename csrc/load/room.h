/* The state of the room `load` in each interpreter. */
#ifndef FASTCOPYREG_LOAD_ROOM_H
#define FASTCOPYREG_LOAD_ROOM_H

#include "base/state.h"
struct global_cache;
struct kept_templates;
struct load_shape;
struct load_shapes;
struct unpickler;

struct load_room {
    PyTypeObject *unpickler_type;
    PyTypeObject *unpickler_memo_type;
    PyTypeObject *read_target_type;   /* see reader.c */
    PyTypeObject *key_probe_type;     /* see load_equal.c */
    PyTypeObject *policy_type;        /* see safe_policy.c */
    struct unpickler *idle_unpickler; /* between calls of loads; see unpickler.c */
    struct load_shapes *spare_shapes; /* of a machine that was freed, for the next; or NULL */
    struct load_shape *one_shape;     /* of the last pickle of one instance; see load_state.c */
    struct kept_templates *kept_templates; /* of dicts; see load_template.c */
    struct global_cache *global_cache;     /* names seen before; see load_names.c */
    int hash_goes_deep;                    /* of tuples; see load_keys.h */
    size_t hash_frame, equal_frame;        /* bytes for each tuple; 0: see load_equal.h */
    PyObject *safe_policy;                 /* of safe.loads(data); NULL before it is needed */
    PyObject *safe_constructors;           /* a dict that only grows, or NULL */
    Py_ssize_t safe_registered;            /* how many it had when the policy was made */
    PyObject *safe_learner;                /* does the loads while it is there, or NULL */
    PyObject *safe_choose;                 /* a function that gives the policy for arguments */
};

extern const struct core_room load_core_room;

#endif
