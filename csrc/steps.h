/* Plans of Python functions: the steps that fastcopyreg/compiler.py read from their bytecode.

   compiler.py opens with what the steps mean; this is their form in C, and the store in
   which they are kept.  A plan belongs to a code object and remembers nothing that the
   function looks up, so it keeps no class, function or module alive: names, constants and
   the code are all that it owns.  Whoever runs it reads globals, cells and defaults from
   the function at hand.  Plans are made whole, and never changed.

   A function is read when it has been met often enough to pay for the reading, once. */
#ifndef FASTCOPYREG_STEPS_H
#define FASTCOPYREG_STEPS_H

#include "keyed.h"
#include "module.h"

/* In the order of KINDS in fastcopyreg/_steps.py, which is compared when the compiler is
   first needed. */
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
    V(TUPLE)          \
    V(LIST)           \
    V(DICT)           \
    V(EXPECT)         \
    V(BRANCH_TRUE)    \
    V(BRANCH_IS)      \
    V(RETURN)         \
    V(RETURN_VALUE)   \
    V(LEAVE)          \
    V(NEW)            \
    V(CLASS)          \
    V(ARGUMENT)       \
    V(EXPECT_CLASS)   \
    V(STORE)          \
    V(STORE_GENERIC)  \
    V(STORE_ITEM)     \
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
enum { STEPS_FUNCTIONS_MAX = 8 };

struct steps {
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
    int leaves_only;     /* displays are of nothing that is made here, but for the arguments */
    /* Of constructors: */
    int required, accepted;
    size_t function_count;
    uint16_t function_at[STEPS_FUNCTIONS_MAX]; /* place in the __mro__ of each function */
    int of_new;                                /* the function is __new__, not __init__ */
};

enum step_status {
    STEPS_UNREAD,
    STEPS_REFUSED,
    STEPS_READY,
    /* Of a __setstate__, which has no steps: all that it does is ... */
    STEPS_UPDATES, /* self.__dict__.update(state) */
    STEPS_REPLACES /* self.__dict__ = state */
};

/* What is known of a code object. */
struct steps_entry {
    struct keyed keyed;
    unsigned met;
    enum step_status status;
    struct steps *steps; /* if ready */
};

/* Code is looked at until there are too many that live.  What is known of dead code is freed by
   plan_leave(), when nothing is under way. */
struct steps_store {
    struct keyed_table table;
    uint64_t read; /* how many plans were made */
};

/* Makes the store, adds plan_counts() and plan_threshold() to the module, and reads
   FASTCOPYREG_PLANS_AFTER, the number of times that a function is met before it is read (0:
   never).  0, or -1 with an exception. */
int steps_setup(PyObject *module);

/* Frees the store and all plans. */
void steps_teardown(struct core_state *state);

/* What is known of a code object, meeting it once more; borrowed until plan_leave(), or NULL
   without an exception where nothing more can be kept. Runs no Python code. */
struct steps_entry *steps_meet(struct core_state *state, PyObject *code);

/* What is known of a code object, without meeting it.  That it is refused is so until
   found_stamp() is another.  Runs no Python code. */
enum step_status steps_status(struct core_state *state, PyObject *code);

/* Whether the entry has been met often enough, and was not read yet. */
int steps_due(struct core_state *state, const struct steps_entry *entry);

struct reducer;

/* Reads a reducer with the compiler.  0, or -1 with an exception that is not the compiler's.
   Runs Python code: the entry is to be met again afterwards. */
int steps_read_reducer(struct core_state *state, const struct reducer *reducer);

/* Reads a constructor, a class or function, with the compiler.  1 and *steps, which the
   caller owns, 0 if it is refused, or -1 with an exception.  Runs Python code. */
int steps_read_constructor(struct core_state *state, PyObject *constructor, struct steps **steps);

/* Reads a __setstate__, a function, with the compiler.  0, or -1 with an exception.  Runs Python
   code: the entry is to be met again afterwards. */
int steps_read_setstate(struct core_state *state, PyObject *function);

void steps_free(struct steps *steps);

/* Whether functions are to be called because somebody watches calls: a tracer, a profiler,
   a tool of sys.monitoring.  Runs no Python code. */
int steps_observed(struct core_state *state);

#endif
