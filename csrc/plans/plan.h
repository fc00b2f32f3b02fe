/* Plans of Python functions: the steps that fastcopyreg/compiler.py read from their bytecode.

   compiler.py opens with the meaning of the steps; these are the steps in C, and the store in
   which they are kept.  A plan belongs to a code object and remembers nothing that the function
   looks up, so it keeps no class, function or module alive: names, constants and the code are all
   that it owns.  When it runs, globals, cells and defaults are read from the function at hand.  A
   plan is complete when it is published, and never changed.

   A function is read when it has been met often enough to pay for the reading, once. */
#ifndef FASTCOPYREG_PLANS_PLAN_H
#define FASTCOPYREG_PLANS_PLAN_H

#include "base/weaktable.h"
#include "base/state.h"

/* In the order of KINDS in fastcopyreg/_compiler/steps.py, which is compared when the
   compiler is first needed. */
#define STEP_KINDS(V) \
    V(OBJECT)         \
    V(PROTOCOL)       \
    V(BOUND)          \
    V(BOUND_KEYWORD)  \
    V(DEFAULT)        \
    V(CONSTANT)       \
    V(GLOBAL)         \
    V(CELL)           \
    V(ATTRIBUTE)      \
    V(ATTRIBUTE_OR)   \
    V(TYPE)           \
    V(FRESH)          \
    V(ITEM)           \
    V(ITEM_OR)        \
    V(ITEM_OR_NEW)    \
    V(TUPLE)          \
    V(LIST)           \
    V(DICT)           \
    V(DICT_COPY)      \
    V(FILTER)         \
    V(POP)            \
    V(POP_OR)         \
    V(TEXT)           \
    V(JOIN)           \
    V(LENGTH)         \
    V(SEQUENCE)       \
    V(CALL)           \
    V(CALL_METHOD)    \
    V(ISINSTANCE)     \
    V(ISSUBCLASS)     \
    V(CONTAINS)       \
    V(EQUAL)          \
    V(FIND)           \
    V(METHOD)         \
    V(SUPER_METHOD)   \
    V(EXPECT)         \
    V(EXPECT_OWN)     \
    V(FOLLOW)         \
    V(BRANCH_TRUE)    \
    V(BRANCH_IS)      \
    V(RETURN)         \
    V(RETURN_VALUE)   \
    V(LEAVE)          \
    V(NEW)            \
    V(CLASS)          \
    V(ARGUMENT)       \
    V(EXPECT_CLASS)   \
    V(EXPECT_SIZE)    \
    V(PUT)            \
    V(STORE)          \
    V(STORE_GENERIC)  \
    V(STORE_ITEM)     \
    V(STORE_DICT)     \
    V(UPDATE)         \
    V(RETURN_NEW)     \
    V(RETURN_TUPLE)   \
    V(RETURN_CALL)

#define STEP_CONSTANT_OF(kind) STEP_##kind,
enum step_kind { STEP_KINDS(STEP_CONSTANT_OF) STEP_KIND_COUNT };
#undef STEP_CONSTANT_OF

struct step {
    uint16_t kind, a, b, c;
};

/* How many functions may go into a plan: an __init__ and those of the bases that it calls. */
enum { PLAN_FUNCTIONS_MAX = 8 };

struct plan {
    uint64_t number; /* of this plan; addresses come again */
    size_t count;
    struct step *list;
    size_t operand_count;
    uint16_t *operands;
    PyObject *names;     /* tuple of interned str */
    PyObject *constants; /* tuple */
    int bound;           /* arguments that are given before the object */
    int takes_protocol;  /* and the protocol behind it */
    PyObject *keywords;  /* a tuple of the names under which others are given; NULL: none */
    int of_hook;         /* no reducer's: only plan_answers() knows all of its steps */
    int leaves_only;     /* displays are of nothing that is made here, but for the arguments */
    /* Of constructors: */
    int required, accepted;
    size_t function_count;
    uint16_t function_at[PLAN_FUNCTIONS_MAX]; /* place in the __mro__ of each function */
    int of_new;                               /* the function is __new__, not __init__ */
};

enum plan_status {
    PLAN_UNREAD,
    PLAN_UNCOMPILABLE,
    PLAN_READY,
    /* Of a __setstate__, which has no steps: all that it does is ... */
    PLAN_UPDATES,  /* self.__dict__.update(state) */
    PLAN_REPLACES, /* self.__dict__ = state */
    /* Or it has steps, which are those of each function with this code: see state_plan.h. */
    PLAN_STORES
};

/* The facts of a code object. */
struct plan_entry {
    struct weaktable_entry weaktable_entry;
    unsigned met;
    enum plan_status status;
    struct plan *plan; /* if ready */
};

/* Entries are added until too many code objects live.  Those of dead code are freed by
   typeinfo_leave(), when nothing is under way. */
struct plan_store {
    struct weaktable table;
    uint64_t read; /* how many plans were made */
};

/* Makes the store, adds plan_counts() and set_plan_threshold() to the module, and reads
   FASTCOPYREG_PLANS_AFTER, the number of times that a function is met before it is read (0:
   never).  0, or -1 with an exception. */
int plan_setup(PyObject *module);

/* Frees the store and all plans. */
void plan_teardown(struct core_state *state);

/* The facts of a code object, which is met once more; borrowed until typeinfo_leave(), or NULL
   without an exception where nothing more can be kept.  Runs no Python code. */
struct plan_entry *plan_meet(struct core_state *state, PyObject *code);

/* The status of a code object, which is not counted as met.  PLAN_UNCOMPILABLE holds as long as
   namecache_stamp() is the same.  Runs no Python code. */
enum plan_status plan_status(struct core_state *state, PyObject *code);

/* True if the entry has been met often enough, and was not read yet. */
int plan_is_hot(struct core_state *state, const struct plan_entry *entry);

struct reducer;

/* Reads a reducer, or the hook of a pickler, with the compiler.  0, or -1 with an exception that
   is not the compiler's.  Runs Python code: the entry is to be met again afterwards. */
int plan_read_reducer(struct core_state *state, const struct reducer *reducer);

/* Reads a constructor, a class or function, with the compiler.  1 and *steps, which the caller
   owns, 0 if the function is uncompilable, or -1 with an exception.  Runs Python code. */
int plan_read_constructor(struct core_state *state, PyObject *constructor, struct plan **plan);

/* Reads a __setstate__, a function, with the compiler.  0, or -1 with an exception.  Runs Python
   code: the entry is to be met again afterwards. */
int plan_read_setstate(struct core_state *state, PyObject *function);

/* The plan of a __getstate__, or of a __setstate__ with PLAN_STORES, as plan_read_constructor().
   Runs Python code. */
int plan_read_getstate(struct core_state *state, PyObject *function, struct plan **plan);
int plan_read_stores(struct core_state *state, PyObject *function, struct plan **plan);

void plan_free(struct plan *plan);

#endif
