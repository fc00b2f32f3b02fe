/* Bound plans: a reducer's plan, with the place of each part in instances of one type.

   Nearly all reducers that people write look like this:

       lambda p: (Point, (p.x, p.y), {"name": p.name})

   a constructor, a display of attributes and of values that are the same for all objects, and
   perhaps a state that is a dict display of such.  For these, no reduce value is made: the parts
   are read from the object where they lie.

   A bound plan belongs to a plan and a type version.  Once an epoch it is made ready: globals,
   cells, defaults and constants, all that the function reads besides attributes, are looked up.
   While the epoch lasts no foreign code has run, so none of them can have changed.  Picklers and
   copiers number their epochs differently, and each looks up for itself. */
#ifndef FASTCOPYREG_TYPES_BOUND_H
#define FASTCOPYREG_TYPES_BOUND_H

#include "types/class_values.h"
#include "base/observed.h"
#include "base/namecache.h"
#include "plans/plan_run.h"
#include "plans/room.h"
#include "types/room.h"

/* 0, or -1 with MemoryError. */
int bound_setup(PyObject *module);
void bound_teardown(struct core_state *state);

enum { BOUND_PARTS_MAX = 32 };

/* Steps that make values, in plans of no more steps than these. */
enum { BOUND_MAKINGS_MAX = 12, BOUND_STEPS_MAX = 64 };

/* Bound plans for this many types at a time; a place is taken over by the type that needs it. */
enum { BOUND_PLANS = 128 };

/* Bytes that a small atom may take, with the opcodes around it; and an object besides its atoms,
   with the names of its class. */
enum { ATOM_ROOM = 280, OBJECT_ROOM = 640, ATOM_LENGTH = 255 };

/* Where a part comes from. */
enum part_place {
    PART_SLOT,     /* at an offset in the object */
    PART_INSTANCE, /* in the object's values or __dict__ */
    PART_SHARED,   /* a constant, global, cell or default, read once an epoch */
    PART_MADE      /* of others, for each object anew: see step_makes() */
};

struct part {
    uint8_t place;
    uint8_t once;      /* no other part reads the same */
    uint16_t step;     /* that yields it */
    Py_ssize_t offset; /* of a slot, or index of a value; see instance_value() */
    PyObject *name;    /* of an attribute; the plan owns it */
    PyObject *shared;  /* borrowed, in a bound plan that is ready */
};

struct bound_plan {
    PyTypeObject *type; /* an address to compare, with `version` */
    unsigned version;
    const struct plan *plan; /* an address too, until `ready` */
    uint64_t number;         /* of this plan */
    int usable;
    int busy; /* dumps that are in the middle of an object, which they write by the bound plan */
    int instance;                    /* true if a part is in the object's __dict__ */
    int of_method;                   /* of a method, which an object's attributes can shadow */
    Py_ssize_t keys_seen;            /* shared keys looked at: none of them shadows it */
    int argument_count, state_count; /* state_count: -1 if there is no state */
    int size;                        /* of both together */
    int room;                        /* bytes that a small object takes besides its values */
    int hidden;                      /* parts behind the others, of which only others are made */
    int making_count;                /* steps that make values, in the plan's order ... */
    uint16_t makings[BOUND_MAKINGS_MAX];
    uint16_t callable_step;
    uint16_t looks_up;                  /* true if more than the constructor is looked up */
    uint16_t keys_at;                   /* operands of the state's dict */
    Py_ssize_t global_hint;             /* where the global that was looked up last is */
    struct part parts[BOUND_PARTS_MAX]; /* arguments, the values of the state, hidden ones */
    struct class_values under_parts;    /* the type's attributes under names in the __dict__ */
    /* Of the time in which copyreg.dispatch_table holds the function: see namecache.h. */
    uint64_t stamp;             /* 0: not known to hold it, or another table does */
    unsigned metaclass_version; /* of the type's metaclass, which lets it be looked up purely */
    PyObject *function; /* borrowed from the table; the plan lives as long as it has `code` */
    /* Of the epoch in which it is ready: */
    uint64_t dump;
    uint64_t epoch;
    uint64_t copy_epoch; /* the same of a copier */
    PyObject *code;      /* borrowed, like the others */
    PyObject *callable;
    Py_ssize_t callable_position;
    struct constructor *constructor; /* of the callable, for a copier; NULL if it was not found */
};

struct bound_table {
    struct bound_plan plans[BOUND_PLANS];
};

ALWAYS_INLINE struct bound_plan *
bound_at(struct core_state *state, PyTypeObject *type)
{
    return &state->types->bound->plans[((uintptr_t)type >> 6) % BOUND_PLANS];
}

/* True if there may be a bound plan for the type. */
ALWAYS_INLINE int
bound_is_of(struct core_state *state, PyTypeObject *type)
{
    return bound_at(state, type)->type == type;
}

/* How many objects are in the middle of being written by bound plans; with `forget`, which ends
   that, none from then on. */
int bound_count_busy(struct core_state *state, int forget);

/* The plan, bound to a type; made if the place is another type's.  NULL if the plan cannot be
   bound.  Runs no Python code. */
struct bound_plan *bound_of(struct core_state *state, const struct plan *plan, PyTypeObject *type);

/* True if the function that was registered when the bound plan was stamped still is, has the code
   that was read, and would not be monitored: neither the reducer nor its plan has to be looked up.
   Runs no Python code. */
ALWAYS_INLINE int
bound_is_registered(struct core_state *state, const struct bound_plan *bound, PyTypeObject *type)
{
    return bound->type == type && bound->stamp != 0 && bound->stamp == namecache_stamp(state)
           && bound->version == type_version(type)
           && bound->metaclass_version == type_version(Py_TYPE((PyObject *)type))
           && PyFunction_GET_CODE(bound->function) == bound->code && state->plans->threshold != 0
           && !code_is_monitored(bound->code) && !calls_observed(state);
}

/* Looks up the names that the function would look up, once an epoch.  True if they are there, and
   hold the objects that the plan relies on.  Runs no Python code. */
int bound_look_up(struct core_state *state, struct bound_plan *bound, PyObject *function);

/* The reducer of the object, if its class has it as a function or as a method of C: its
   __reduce_ex__, or its __reduce__ if object.__reduce_ex__ would do nothing but call that for this
   object.  To be called with the object, and with the protocol if *takes_protocol.  Borrowed, or
   NULL if the attribute is to be looked up on the object.  Runs no Python code. */
PyObject *bound_find_reducer(struct core_state *state, PyObject *object, int *takes_protocol);

/* The same if it is a function; borrowed, or NULL. */
PyObject *bound_find_method(struct core_state *state, PyObject *object, int *takes_protocol);

/* True if an attribute of the object shadows the method, or may. */
int bound_method_is_shadowed(struct core_state *state, struct bound_plan *bound, PyObject *object);

/* An attribute of an instance with a __dict__, wherever it is; borrowed, or NULL. */
PyObject *bound_instance_value(PyObject *object, PyTypeObject *type, struct part *part);

ALWAYS_INLINE PyObject *
instance_value(PyObject *object, PyTypeObject *type, struct part *part)
{
    if (PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
        struct layout_values *values = layout_unmade_values(object, type);
        struct layout_keys *keys = layout_shared_keys(type);
        if (likely(values != NULL && keys != NULL && part->offset < keys->count
                   && layout_entries(keys)[part->offset].key == part->name)) {
            return values->values[part->offset];
        }
    }
    return bound_instance_value(object, type, part);
}

/* A part of an object that is not made; borrowed, or NULL. */
ALWAYS_INLINE PyObject *
bound_read_part(struct part *part, PyTypeObject *type, PyObject *object)
{
    if (likely(part->place == PART_SLOT)) {
        return *layout_slot(object, part->offset);
    }
    return part->place == PART_SHARED ? part->shared : instance_value(object, type, part);
}

/* Reads all parts of an object but the hidden ones, of a bound plan that makes values: those are
   strong (bound_release_made), the others borrowed.  1, or 0 and nothing.  Runs no Python code. */
int bound_make_parts(struct core_state *state, struct bound_plan *bound, PyObject *object,
                     PyObject **values);

/* Releases the values that were made. */
void bound_release_made(const struct bound_plan *bound, PyObject *const *values);

/* The parts of an object whose reduce value is a constructor and arguments; borrowed, until
   foreign code runs. */
struct bound_parts {
    PyObject *callable;
    PyObject **values;
    Py_ssize_t count;
    uint32_t made; /* a bit for each value that is strong, and an atom */
};

/* Releases the values that were made. */
ALWAYS_INLINE void
bound_release(const struct bound_parts *parts)
{
    uint32_t made = parts->made;
    for (int i = 0; unlikely(made != 0); i++, made >>= 1) {
        if (made & 1) {
            Py_DECREF(parts->values[i]);
        }
    }
}

/* For a copier: reads an object whose type's bound plan is ready in this epoch, if its arguments
   are no more than parts->count, for which there is room.  1, and the caller is to call
   bound_release(), or 0.  Runs no Python code. */
int bound_read(struct core_state *state, uint64_t epoch, PyObject *object,
               struct bound_parts *parts);

/* Makes the bound plan ready for a copier; the reducer may be a method (bound_find_method).  1, or
   0 if there is none.  Runs no Python code. */
int bound_prepare(struct core_state *state, uint64_t epoch, const struct reducer *reducer,
                  int of_method, PyTypeObject *type);

#endif
