/* The resources that a load with a policy has used of those that the policy grants, and the
   refusal where they are too many: the ground of safe*.c, which calls nothing of them.

   Functions return 0, or -1 with UnpicklingError, unless they say otherwise. */
#ifndef FASTCOPYREG_LOAD_SAFE_LIMITS_H
#define FASTCOPYREG_LOAD_SAFE_LIMITS_H

#include "load/load.h"

ALWAYS_INLINE PolicyObject *
safe_policy_of(const struct unpickler *unpickler)
{
    return (PolicyObject *)unpickler->policy;
}

/* Frees the memory of the counts. */
void safe_free(struct safe_counts *counts);

/* Raises UnpicklingError for something at the opcode at hand, in words of
   fastcopyreg/_safe/refusals.py; -1.  `subject` may be NULL. */
int safe_refuse(struct unpickler *unpickler, const char *kind, PyObject *subject);

/* The same at the opcode right behind which the input is. */
int safe_refuse_here(struct unpickler *unpickler, const char *kind, PyObject *subject);

/* Raises UnpicklingError for a limit; -1. */
int safe_exceed(struct unpickler *unpickler, const char *limit);

/* Lengths that a pickle announces or has: of a text or bytes, of an integer in bytes, and of one
   in digits. */
int safe_check_string(struct unpickler *unpickler, size_t size);
int safe_check_integer(struct unpickler *unpickler, size_t size);
int safe_check_digits(struct unpickler *unpickler, size_t digits);

/* Takes off the entries from a height up; the depth of the deepest of them. */
ALWAYS_INLINE uint64_t
safe_take_nesting(struct safe_counts *counts, size_t height)
{
    uint64_t deepest = 0;
    size_t count = counts->nesting_count;
    const struct safe_nesting *nesting = counts->nesting;
    while (count > 0 && nesting[count - 1].height >= height) {
        uint64_t depth = nesting[--count].depth;
        deepest = depth > deepest ? depth : deepest;
    }
    counts->nesting_count = count;
    return deepest;
}

/* Makes room for another entry.  0, or -1 with MemoryError. */
int safe_grow_nesting(struct safe_counts *counts);

/* safe_nest() where parts, or what is below them, may have entries. */
int safe_nest_parts(struct unpickler *unpickler, size_t from, size_t height, uint64_t layers);

/* The container at `whole` holds the parts from `parts` up, which is not below it, within `layers`
   containers that are not on the stack.  0 or -1. */
ALWAYS_INLINE int
safe_nest(struct unpickler *unpickler, PyObject **parts, PyObject **whole, uint64_t layers)
{
    struct safe_counts *counts = &unpickler->safe;
    size_t height = (size_t)(whole - unpickler->stack), count = counts->nesting_count;
    if (unlikely(count == counts->nesting_room || layers >= counts->most_depth)
        || (count > 0 && counts->nesting[count - 1].height >= height)) {
        return safe_nest_parts(unpickler, (size_t)(parts - unpickler->stack), height, layers);
    }
    counts->nesting[count] = (struct safe_nesting){height, 1 + layers};
    counts->nesting_count = count + 1;
    return 0;
}

/* safe_nest() of a container that has an entry, where one of its parts has one too. */
ALWAYS_INLINE int
safe_nest_state(struct unpickler *unpickler, PyObject **whole, uint64_t layers)
{
    struct safe_counts *counts = &unpickler->safe;
    size_t height = (size_t)(whole - unpickler->stack), count = counts->nesting_count;
    if (unlikely(count < 2 || counts->nesting[count - 2].height != height)) {
        return safe_nest(unpickler, whole + 1, whole, layers);
    }
    struct safe_nesting *last = &counts->nesting[count - 2];
    uint64_t depth = 1 + layers + last[1].depth;
    last->depth = last->depth > depth ? last->depth : depth;
    counts->nesting_count = count - 1;
    return unlikely(depth > counts->most_depth) ? safe_exceed(unpickler, "depth") : 0;
}

/* The container at `whole` takes the items from `parts` up.  Where none of them has a depth, it
   keeps its own. */
ALWAYS_INLINE int
safe_nest_items(struct unpickler *unpickler, PyObject **parts, PyObject **whole)
{
    struct safe_counts *counts = &unpickler->safe;
    size_t count = counts->nesting_count, from = (size_t)(parts - unpickler->stack);
    return count == 0 || counts->nesting[count - 1].height < from
               ? 0
               : safe_nest(unpickler, parts, whole, 0);
}

/* The same of an object that is made of them, and counted, with so many more. */
ALWAYS_INLINE int
safe_make(struct unpickler *unpickler, PyObject **parts, PyObject **whole, uint64_t layers)
{
    unpickler->safe.objects += 1 + layers;
    if (unlikely(unpickler->safe.objects > unpickler->safe.most_objects)) {
        return safe_exceed(unpickler, "objects");
    }
    return safe_nest(unpickler, parts, whole, layers);
}

/* Checks that the charges are not too much for the bytes that were read. */
int safe_check_charge(struct unpickler *unpickler);

/* The copies of arguments that are free however short the pickle is. */
enum { SAFE_FREE_COPIES = 1000000 };

/* Charges copies of arguments.  0, or -1 with UnpicklingError. */
ALWAYS_INLINE int
safe_charge(struct unpickler *unpickler, uint64_t amount)
{
    unpickler->safe.charged += amount;
    return likely(unpickler->safe.charged <= SAFE_FREE_COPIES) ? 0 : safe_check_charge(unpickler);
}

/* Arguments beyond these are charged: a tuple of many may be fetched for call after call. */
enum { SAFE_FREE_ARGUMENTS = 64 };

ALWAYS_INLINE int
safe_charge_arguments(struct unpickler *unpickler, Py_ssize_t count)
{
    return likely(count <= SAFE_FREE_ARGUMENTS) ? 0 : safe_charge(unpickler, (uint64_t)count);
}

/* Counts BUILD where load_store_state() has done it; the state was at `pairs` - 1. */
ALWAYS_INLINE int
safe_count_stored(struct unpickler *unpickler, PyObject **pairs, int in_slots, Py_ssize_t count)
{
    PyObject **whole = pairs - 2 - in_slots;
    unpickler->safe.objects += (uint64_t)in_slots;
    if (unlikely(unpickler->safe.objects > unpickler->safe.most_objects)) {
        return safe_exceed(unpickler, "objects");
    }
    return safe_nest_state(unpickler, whole, (uint64_t)in_slots) < 0
               ? -1
               : safe_charge(unpickler, (uint64_t)count);
}

/* Forgets the entries from `from` up. */
void safe_trim(struct unpickler *unpickler, PyObject **from);

/* Counts the object that is made of the objects from `parts` up, in the place of `whole`. */
int safe_count_made(struct unpickler *unpickler, PyObject **parts, PyObject **whole);

/* Rows of load_rows.c: the object that was just made. */
int safe_count_row(struct unpickler *unpickler, PyObject **whole);

#endif
