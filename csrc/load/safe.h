/* Loads that can only call what was allowed: the questions of the loader before it finds, calls,
   fills or changes anything, where it has a policy (safe_policy.h).

   A load with a policy has a loop of its own (safe_loop.c), which asks before the opcodes that
   matter; so the loop of other loads asks nothing.  The places where the loader does several
   opcodes at once ask for themselves: each says `unpickler->policy != NULL`.  The invariants:

   - A global comes from the policy's table by its exact names, or from nowhere.  Nothing is
     imported and no attribute is read for it; extension codes are names too.
   - A callable is called only if the table has the very object, with arguments of its forms.
   - State goes into instances of allowed classes only, items into exact built-in containers and
     instances of allowed classes.
   - Every refusal is an UnpicklingError that says where; limits (struct safe_limits) too.

   Functions return 0 for "go on", 1 for "done", -1 with an exception, unless they say otherwise.
   They run no Python code but to word a refusal, and to hash keys.

   In the order of calls, from the ground up: safe_forms.h, safe_policy.h, safe_limits.h,
   safe_keys.h, safe_heights.h, safe_match.h, this and safe_opcodes.h, the opcodes of load_*.c,
   safe_loop.c. */
#ifndef FASTCOPYREG_LOAD_SAFE_H
#define FASTCOPYREG_LOAD_SAFE_H

#include "load/safe_policy.h"

struct unpickler;

/* How deep a container on the stack is; containers without an entry were fetched from the memo.
   Heights grow from entry to entry. */
struct safe_nesting {
    size_t height;
    uint64_t depth;
};

/* A hash of a key within one container, and how many keys had it. */
struct safe_hash {
    uint64_t print;
    uint64_t count;
};

/* The resources that one load has used. */
struct safe_counts {
    uint64_t objects;
    uint64_t most_objects;
    uint64_t most_depth;
    uint64_t charged;
    uint64_t collisions;
    uint64_t sets;      /* that were made by a call */
    uint64_t grown;     /* see safe_heights.h; for as long as the memo */
    size_t offset;      /* of the opcode at hand, where it has read its argument since */
    uint64_t begin;     /* of the pickle in the input */
    Py_ssize_t loose;   /* arguments on top of the stack that no tuple holds; -1: none */
    Py_ssize_t helpers; /* on the stack, or wherever else they went */
    int met_helper;     /* in this pickle, or one whose memo this load may use */
    PyObject *seen;     /* its entry was looked up last: compared by address, and never used */
    const struct safe_entry *seen_entry;
    PyObject *buffer; /* the last of the caller's; strong, or NULL */
    struct safe_nesting *nesting;
    size_t nesting_count;
    size_t nesting_room;
    struct safe_hash *hashes;
    size_t hash_count;
    size_t hash_room;
};

/* The loop of a load with a policy. */
int safe_opcodes(struct unpickler *unpickler);

/* The global of these names, which are as in this version of Python; strong, or NULL with an
   exception. */
PyObject *safe_find(struct unpickler *unpickler, PyObject *module_name, PyObject *name);

/* load_global_of_bytes(). */
int safe_push_global(struct unpickler *unpickler, const unsigned char *bytes, size_t size,
                     size_t module_size, size_t name_size);

/* For load_call(): the way in which callable(*arguments) may be called, with the arguments on top
   of the stack.  Counts the call. */
enum safe_way {
    SAFE_REFUSED = -1,
    SAFE_AS_USUAL, /* by a plan, if there is one */
    SAFE_MADE,     /* *made, strong, is what the call would return */
    SAFE_BY_CALL   /* there is no plan */
};

enum safe_way safe_call_loose(struct unpickler *unpickler, PyObject **arguments, PyObject **made);

/* Checks that callable(*arguments) may be called: 0; or 1 and *made, strong, if that was done
   here. */
int safe_call(struct unpickler *unpickler, PyObject *callable, PyObject *const *arguments,
              Py_ssize_t count, PyObject **made);

/* True if instances of the class may be made by __new__ without arguments. */
int safe_makes_plainly(struct unpickler *unpickler, PyObject *cls);

/* True if instances of the class may be made by __new__ with any arguments. */
int safe_makes_freely(struct unpickler *unpickler, PyObject *cls);

/* True if the callable may be called with any arguments, and no helper was met. */
int safe_calls_freely(struct unpickler *unpickler, PyObject *callable);

/* True if state under these keys, which are every second of `pairs`, may be stored in the instance
   as it lies on the stack.  Raises nothing. */
int safe_stores(struct unpickler *unpickler, PyObject *object, PyObject **pairs, Py_ssize_t count);

/* The method that the class of an object has under the name, bound to it: *method, strong, or NULL
   if it has none.  0 or -1.  Runs Python code. */
int safe_get_method(PyObject *object, PyObject *name, PyObject **method);

/* For load_one.c, which has no machine.  The callable of these names if the pickle may be read
   there: borrowed, or NULL. */
const struct safe_entry *safe_find_one(const PolicyObject *policy, const unsigned char *bytes,
                                       size_t size, size_t module_size, size_t name_size);
int safe_matches_one(const PolicyObject *policy, PyObject *callable, PyObject *const *arguments,
                     Py_ssize_t count);

#endif
