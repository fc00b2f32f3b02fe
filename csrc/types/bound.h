/* The form of a plan for a type: where each part of what a reducer gives comes from.

   The reducers that people write are nearly all of one shape,

       lambda p: (Point, (p.x, p.y), {"name": p.name})

   a constructor, a display of attributes and of values that are no object's, and perhaps a
   state that is a dict display of the like.  For these, no reduce value is made: the parts
   are read from the object where they lie.

   A form belongs to a plan and a type version.  Once an epoch it is made ready: what the
   function looks up besides attributes (globals, cells, defaults, constants) is looked up.
   While the epoch lasts no foreign code has run, so nothing of that can have changed.
   Picklers and copiers number their epochs differently, and each looks up for itself. */
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

/* Forms for this many types at a time; a place is taken over by the type that needs it. */
enum { FORMS = 128 };

/* Bytes that a small atom may take, with the opcodes around it; and an object besides its atoms,
   with the names of its class. */
enum { ATOM_ROOM = 280, OBJECT_ROOM = 640, ATOM_LENGTH = 255 };

/* Where a part comes from. */
enum part_place {
    PART_SLOT,     /* at an offset in the object */
    PART_INSTANCE, /* in the object's values or __dict__ */
    PART_SHARED    /* a constant, global, cell or default, read once an epoch */
};

struct part {
    uint8_t place;
    uint8_t once;      /* no other part reads the same */
    uint16_t step;     /* that yields it */
    Py_ssize_t offset; /* of a slot, or index of a value; see instance_value() */
    PyObject *name;    /* of an attribute; the plan owns it */
    PyObject *shared;  /* borrowed, in a form that is ready */
};

struct bound_plan {
    PyTypeObject *type; /* an address to compare, with `version` */
    unsigned version;
    const struct plan *plan; /* an address too, until `ready` */
    uint64_t number;         /* of these steps */
    int usable;
    int busy;             /* dumps that are in the middle of an object, and go by the form */
    int instance;         /* whether a part is in the object's __dict__ */
    int of_method;        /* of a method, which an object's attributes can hide */
    Py_ssize_t keys_seen; /* shared keys looked at: none of them hides it */
    int argument_count, state_count; /* state_count: -1 if there is no state */
    int size;                        /* of both together */
    int room;                        /* bytes that a small object takes besides its values */
    uint16_t callable_step;
    uint16_t looks_up;                  /* whether more than the constructor is looked up */
    uint16_t keys_at;                   /* operands of the state's dict */
    Py_ssize_t global_hint;             /* where the global that was looked up last is */
    struct part parts[BOUND_PARTS_MAX]; /* arguments, then the values of the state */
    struct class_values under_parts;    /* what the type has under names in the __dict__ */
    /* Of the time in which copyreg.dispatch_table holds the function: see namecache.h. */
    uint64_t stamp;             /* 0: it is not known to, or another table does */
    unsigned metaclass_version; /* of the type's metaclass, which lets it be looked up purely */
    PyObject *function; /* borrowed from the table; the steps live as long as it has `code` */
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
    struct bound_plan forms[FORMS];
};

ALWAYS_INLINE struct bound_plan *
bound_at(struct core_state *state, PyTypeObject *type)
{
    return &state->types->bound->forms[((uintptr_t)type >> 6) % FORMS];
}

/* Whether there may be a form for the type. */
ALWAYS_INLINE int
bound_is_of(struct core_state *state, PyTypeObject *type)
{
    return bound_at(state, type)->type == type;
}

/* The form of a plan for a type, made if it is another one's; NULL if the plan has none.
   Runs no Python code. */
struct bound_plan *bound_of(struct core_state *state, const struct plan *plan, PyTypeObject *type);

/* Whether the function that was registered when the form was stamped is it still, has the code
   that was read, and would not be watched: no reducer has to be looked up, and no plan.  Runs no
   Python code. */
ALWAYS_INLINE int
bound_is_registered(struct core_state *state, const struct bound_plan *bound, PyTypeObject *type)
{
    return bound->type == type && bound->stamp != 0 && bound->stamp == namecache_stamp(state)
           && bound->version == type_version(type)
           && bound->metaclass_version == type_version(Py_TYPE((PyObject *)type))
           && PyFunction_GET_CODE(bound->function) == bound->code && state->plans->threshold != 0
           && !code_is_monitored(bound->code) && !calls_observed(state);
}

/* Looks up what the function would look up, once an epoch.  Whether all of it is there, and
   is what the plan relies on.  Runs no Python code. */
int bound_look_up(struct core_state *state, struct bound_plan *bound, PyObject *function);

/* What takes the object apart, if its class has it as a function or as a method of C: its
   __reduce_ex__, or its __reduce__ if object.__reduce_ex__ would do nothing but call that for this
   object.  It is called with the object, and with the protocol if *takes_protocol.  Borrowed, or
   NULL if the object is to be asked what it has.  Runs no Python code. */
PyObject *bound_find_reducer(struct core_state *state, PyObject *object, int *takes_protocol);

/* The same if it is a function; borrowed, or NULL. */
PyObject *bound_find_method(struct core_state *state, PyObject *object, int *takes_protocol);

/* Whether an attribute of the object hides the method, or may. */
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

/* A part of an object; borrowed, or NULL. */
ALWAYS_INLINE PyObject *
bound_read_part(struct part *part, PyTypeObject *type, PyObject *object)
{
    if (likely(part->place == PART_SLOT)) {
        return *layout_slot(object, part->offset);
    }
    return part->place == PART_SHARED ? part->shared : instance_value(object, type, part);
}

/* What a reducer gives for an object whose reduce value is a constructor and arguments;
   borrowed, until foreign code runs. */
struct bound_parts {
    PyObject *callable;
    PyObject **values;
    Py_ssize_t count;
};

/* For a copier: reads an object whose type's form is ready in this epoch, if its arguments are no
   more than parts->count, for which there is room.  1 or 0.  Runs no Python code. */
int bound_read(struct core_state *state, uint64_t epoch, PyObject *object,
               struct bound_parts *parts);

/* Makes the form ready for a copier; the reducer may be a method (bound_find_method).  1, or 0 if
   there is none.  Runs no Python code. */
int bound_prepare(struct core_state *state, uint64_t epoch, const struct reducer *reducer,
                  int of_method, PyTypeObject *type);

#endif
