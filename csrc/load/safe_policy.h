/* A policy: the objects that a load may find and call, and its limits (fastcopyreg.safe).

   A policy is a table of objects, each under the very names by which a pickle may ask for it, and
   with the forms of arguments with which it may be called.  A policy is made whole by
   fastcopyreg/_safe/policy.py and never changes, so that an object that was allowed once in a
   load is allowed until its end, in any thread.

       by_name    module name, qualified name -> entry
       by_object  address -> entry

   Names come from the pickle, but nothing that a pickle says gets into the tables, so that no
   pickle can make looking up in them slow. */
#ifndef FASTCOPYREG_LOAD_SAFE_POLICY_H
#define FASTCOPYREG_LOAD_SAFE_POLICY_H

#include "load/safe_forms.h"

/* The helpers of the standard library, which are themselves never handed out nor called:
   in the order of HELPERS in fastcopyreg/_safe/rows.py. */
enum safe_helper {
    HELPER_NONE,
    HELPER_RECONSTRUCTOR, /* copyreg._reconstructor(cls, object, None) */
    HELPER_NEWOBJ,        /* copyreg.__newobj__(cls, *arguments) */
    HELPER_ENCODE,        /* _codecs.encode(text, 'latin1') */
    HELPER_GETATTR,       /* getattr(cls, name): a member, or a method that is registered */
    HELPER_TYPE,          /* type(None), type(...), type(NotImplemented) */
    HELPERS
};

enum safe_flag {
    SAFE_TAKES_ITEMS = 1,  /* APPEND(S), SETITEM(S), ADDITEMS */
    SAFE_TAKES_STATE = 2,  /* BUILD, with any state */
    SAFE_TAKES_UUID = 4,   /* BUILD, with the state of a UUID */
    SAFE_IS_VALUE = 8,     /* one of safe.STANDARD: objects with its hash can collide */
    SAFE_IS_FACTORY = 16,  /* may be the factory of a defaultdict */
    SAFE_IS_MADE = 32,     /* arguments with which construct_object() makes it are of its forms */
    SAFE_IS_CALLED = 64,   /* construct_object() never makes it */
    SAFE_IS_UNNAMED = 128, /* no names lead to it */
    SAFE_IS_FREED_WITHIN = 256 /* its objects are freed one within another */
};

struct safe_entry {
    PyObject *object;
    PyObject *module_name;
    PyObject *name;
    const char *module_bytes; /* of module_name, as UTF-8 */
    const char *name_bytes;
    size_t module_size;
    size_t name_size;
    enum safe_helper helper;
    unsigned int flags;
    unsigned int ways;      /* of flags: how objects of the class take state */
    int makes_plain;        /* __new__ may be called without arguments */
    int calls_plain;        /* so may the object */
    struct safe_forms call; /* object(*arguments) */
    struct safe_forms make; /* object.__new__(object, *arguments) */
};

struct safe_limits {
    uint64_t size;
    uint64_t depth;
    uint64_t objects;
    uint64_t memo;
    uint64_t string;
    uint64_t integer_digits;
    uint64_t collisions;
    uint64_t copies;
};

typedef struct {
    PyObject_HEAD struct safe_entry *entries;
    Py_ssize_t count;
    uint32_t *by_name;   /* the number of an entry; 0: none */
    uint32_t *by_object; /* the same */
    size_t mask;         /* the places of each table, less one */
    struct safe_limits limits;
    uint64_t integer_bytes; /* the most that integer_digits take */
    uint64_t secret;
    int any_class;
    int allows_small;     /* no limit can stop a pickle of a kilobyte */
    PyObject *refuse;     /* a function that raises UnpicklingError */
    PyObject *attributes; /* {id(cls): {name: object}} for HELPER_GETATTR */
    PyTypeObject *helper_type;
    PyObject *uuid_end; /* 2**128 */
    struct core_state *state;
} PolicyObject;

/* The entry of these names, or NULL. */
const struct safe_entry *policy_find(const PolicyObject *policy, const char *module,
                                     size_t module_size, const char *name, size_t name_size);

/* The entry of the very object, or NULL. */
static inline const struct safe_entry *
policy_entry(const PolicyObject *policy, const void *object)
{
    uint64_t hash = (uint64_t)(uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t place = (size_t)(hash >> 32);; place++) {
        uint32_t number = policy->by_object[place & policy->mask];
        if (number == 0) {
            return NULL;
        }
        if (policy->entries[number - 1].object == object) {
            return &policy->entries[number - 1];
        }
    }
}

/* Adds the type to the module.  0, or -1 with an exception. */
int policy_setup(PyObject *module);

#endif
