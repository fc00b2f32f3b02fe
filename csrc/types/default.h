/* Default reductions, known without asking for them, in copies.

   For most classes the answer of object.__reduce_ex__ is the same for every instance:
   copyreg.__newobj__, the class, and as state either the __dict__ or (None, slots).  A struct
   default_reduction says so for a type, and where the fields lie; the copier then makes a fresh
   instance and stores copies of the fields in it.

   Its soundness: a default reduction holds for one version of the type (the caller compares),
   which overrides nothing that object.__reduce_ex__ or the rebuilding asks for, and for one of its
   metaclass, which leaves the class alone (metaclass.h); instances that carry a dunder name of
   their own are refused one by one.  The standard library fills the instance only when all parts
   are copied, from a state that its memo holds.  The difference cannot be seen before foreign code
   runs; just before that, default_roll_back() takes the fields out of each unfinished instance and
   makes the state that the standard library would have.

   Nothing here runs Python code unless it says so. */
#ifndef FASTCOPYREG_TYPES_DEFAULT_H
#define FASTCOPYREG_TYPES_DEFAULT_H

#include "base/layout.h"
#include "base/state.h"

struct default_slot {
    PyObject *name; /* strong */
    Py_ssize_t offset;
};

struct default_reduction {
    Py_ssize_t holders;       /* the cache, and each copy in progress */
    int has_dict;             /* the state is the __dict__; else the slots, if there are any */
    struct layout_keys *keys; /* the type's shared keys ... */
    Py_ssize_t keys_checked;  /* ... of which so many names are known to be no dunders */
    PyObject *slotnames;      /* borrowed, only compared: the list in __slotnames__ */
    Py_ssize_t slot_count;
    struct default_slot slots[];
};

/* Other facts of a type: bits, valid while its version and that of its metaclass are the same. */
enum {
    TYPE_PLAIN_GETATTR = 1,  /* tp_getattro generic: attributes are looked up purely, but for what
                                 the descriptors found do */
    TYPE_NO_DEEPCOPY = 2,    /* no __deepcopy__ on the type */
    TYPE_NO_COPY = 4,        /* no __copy__ on the type, nor does its metaclass give it one */
    TYPE_NO_SETSTATE = 8,    /* no __setstate__ on the type */
    TYPE_OWN_DICT = 16,      /* __dict__ is what a class statement gives: a managed dict */
    TYPE_NO_DICT = 32,       /* instances have no __dict__ at all */
    TYPE_CALLS_INIT = 64,    /* type(...) is object.__new__ and a function __init__ */
    TYPE_OWN_GETSTATE = 128, /* reduces by default, with the state that a function __getstate__
                                 gives */
    TYPE_OWN_REDUCE = 256,   /* __reduce_ex__ is a function, or object's and __reduce__ is one */
    TYPE_DICT_STATE = 512,   /* reduces by default, with the __dict__ as the state, for which there
                                 is a __setstate__ */
    TYPE_PLAIN_LOOKUP = 1024 /* the same for attributes that are there; a __getattr__ is asked for
                                 others */
};
unsigned int default_facts(struct core_state *state, PyTypeObject *type);

/* True if __dict__ on the type is what a class statement makes of it: a managed dict. */
int default_has_own_dict(struct core_state *state, PyTypeObject *type);

/* 1 and a new default_reduction if instances of the type, whose facts these are, reduce by
   default; 0 if not or if it cannot be told yet; -1 with an exception. */
int default_reduction_make(struct core_state *state, PyTypeObject *type, unsigned int facts,
                           struct default_reduction **info);
void default_reduction_release(struct default_reduction *info);

/* True if the slot names, which have no version, are still those that the default_reduction was
   made of. */
int default_reduction_holds(const struct default_reduction *info, PyTypeObject *type,
                            PyObject *slotnames_name);

/* The same for a type whose version is that of the default_reduction, so that the list still is in
   its __slotnames__. */
int default_reduction_names_hold(const struct default_reduction *info, PyTypeObject *type);

/* Where the fields of an instance are. */
struct default_fields {
    struct layout_values *values; /* of an instance whose __dict__ was never made */
    PyObject *dict;               /* borrowed: the __dict__ that was made; both NULL: empty */
};

/* 1 if an instance of a type with has_dict is as the default_reduction says, 0 if it must be
   asked. */
int default_find_fields(struct default_reduction *info, PyObject *object,
                        struct default_fields *fields);

/* True if the instance has no attribute in its __dict__ under the name (exact str); 0 also if that
   cannot be told without running Python code. */
int layout_lacks_attribute(PyObject *object, PyTypeObject *type, PyObject *name);

/* The state of an object of a type with TYPE_DICT_STATE: its __dict__, or None if that is empty.
   Strong; NULL with an exception, or without one if the type has slots by now. */
PyObject *default_dict_state(struct core_state *state, PyObject *object);

/* type(*args) for a type with TYPE_CALLS_INIT; args[-1] may be written to.  Strong or NULL.
   Runs Python code. */
PyObject *default_construct(struct core_state *state, PyTypeObject *type, PyObject **args,
                            Py_ssize_t count);

/* True if an instance of a type with TYPE_OWN_DICT has no attribute in its __dict__, which was
   never made. */
int default_is_empty(PyObject *object);

/* y.__dict__.update(fields) for a type with TYPE_OWN_DICT and an exact dict.  0 or -1.
   Dropping what it replaces may run Python code. */
int default_update(PyObject *object, PyObject *fields);

/* Stores a field under a name into the __dict__ of a fresh instance, as its newest; steals the
   value.  0 or -1. */
int default_append(PyObject *object, PyObject *name, PyObject *value);

/* An instance that is being filled, or the copy of a dict that was made with all its items and has
   values replaced.  They are linked from the outermost to the innermost. */
struct open_instance {
    struct open_instance *outer, *inner;
    struct default_reduction *info; /* NULL for a dict */
    Py_ssize_t done;                /* items of a dict that are ready */
    PyObject *source, *copy;        /* borrowed: the memo owns them once it is flushed */
    size_t event;                   /* where in the memo's pending events it was opened */
    /* Once rolled back, strong; NULL before that. */
    PyObject *state;  /* the __dict__, or (None, slots) */
    PyObject *fields; /* the dict in it */
    PyObject *copied; /* the copies that are ready, by name; for a dict, the copy */
    Py_ssize_t used;  /* the size of the dict that is copied */
};

/* The state that the default reduction gives for an instance: *state is what would be
   the state, *fields the dict in it (the same if it is the __dict__, which is made if it
   never was).  Both strong.  1, 0 if it is None, or -1 with an exception. */
int default_state(struct default_reduction *info, PyObject *object, PyObject **state,
                  PyObject **fields);

/* Takes the fields out of an unfinished instance, or the items that are not copied yet out of an
   unfinished dict.  0 or -1. */
int default_roll_back(struct open_instance *open);

/* A new dict of the fields that a copy has. */
PyObject *default_copied_fields(struct default_reduction *info, PyObject *copy);

/* The type's own getter of __dict__, to know it again.  0 or -1. */
int default_setup(PyObject *module);

#endif
