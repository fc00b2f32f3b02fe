/* The load loop where there is a policy (load_loop.h), with the checks of safe_opcodes.h before
   the opcodes that matter. */
#include "load/load_inline.h"
#include "load/safe_keys.h"
#include "load/safe_opcodes.h"

/* ---- before an opcode --------------------------------------------------- */

/* Where its argument is, the opcode is known to have been. */
ALWAYS_INLINE void
note_offset(struct unpickler *unpickler)
{
    unpickler->safe.offset = (size_t)reader_offset(&unpickler->reader) - 1;
}

/* A new container without parts.  0 or -1. */
ALWAYS_INLINE int
open_container(struct unpickler *unpickler)
{
    return safe_make(unpickler, unpickler->top, unpickler->top, 0);
}

/* A list, tuple or set of the objects above the newest MARK.  0 or -1. */
ALWAYS_INLINE int
close_marked(struct unpickler *unpickler)
{
    return unpickler->mark_count == 0
               ? 0
               : safe_make(unpickler, unpickler->fence, unpickler->fence, 0);
}

/* A tuple of the objects from `start` up, unless none is made, but they are taken as arguments:
   then load_call() counts them.  0 or -1. */
ALWAYS_INLINE int
close_tuple(struct unpickler *unpickler, PyObject **start)
{
    return load_taker_of_tuple(unpickler, start) == OP_REDUCE
               ? 0
               : safe_make(unpickler, start, start, 0);
}

ALWAYS_INLINE int
close_counted(struct unpickler *unpickler, int size)
{
    return load_reach(unpickler) < size ? 0 : close_tuple(unpickler, unpickler->top - size);
}

/* TUPLE: its items lie above the newest MARK, and the object that takes them would lie below
   that. */
static int
close_marked_tuple(struct unpickler *unpickler)
{
    if (unpickler->mark_count == 0) {
        return 0;
    }
    PyObject **start = unpickler->fence, **fence = start;
    size_t below = unpickler->mark_count < 2 ? 0 : unpickler->marks[unpickler->mark_count - 2];
    unpickler->fence = unpickler->stack + below;
    int result = close_tuple(unpickler, start);
    unpickler->fence = fence;
    return result;
}

/* The same whose parts are hashed, every `stride`th. */
static int
close_hashed(struct unpickler *unpickler, Py_ssize_t stride)
{
    if (unpickler->mark_count == 0 || (unpickler->top - unpickler->fence) % stride != 0) {
        return 0;
    }
    return close_marked(unpickler) < 0
               ? -1
               : safe_check_keys(unpickler, NULL, unpickler->fence, unpickler->top, stride);
}

/* The object that takes the items from `start` up, or NULL if the loader will miss it. */
ALWAYS_INLINE PyObject *
taker_of(struct unpickler *unpickler, PyObject **start)
{
    PyObject **least = unpickler->fence;
    if (unpickler->mark_count > 0 && start == least) {
        least = unpickler->stack
                + (unpickler->mark_count < 2 ? 0 : unpickler->marks[unpickler->mark_count - 2]);
    }
    return start > least ? start[-1] : NULL;
}

ALWAYS_INLINE int
append_safely(struct unpickler *unpickler, PyObject **start)
{
    PyObject *taker = taker_of(unpickler, start);
    if (taker == NULL) {
        return 0;
    }
    if (unlikely(!PyList_CheckExact(taker)) && safe_check_taker(unpickler, taker, start, 1) < 0) {
        return -1;
    }
    return safe_nest_items(unpickler, start, start - 1);
}

/* Keys are short texts, mostly. */
ALWAYS_INLINE int
check_keys(struct unpickler *unpickler, PyObject *taker, PyObject **start, Py_ssize_t stride)
{
    for (PyObject **key = start; key < unpickler->top; key += stride) {
        if (unlikely(!PyUnicode_CheckExact(*key) || PyUnicode_GET_LENGTH(*key) > SAFE_LONG_KEY)) {
            return safe_check_keys(unpickler, taker, key, unpickler->top, stride);
        }
    }
    return 0;
}

ALWAYS_INLINE int
set_items_safely(struct unpickler *unpickler, PyObject **start)
{
    PyObject *taker = taker_of(unpickler, start);
    if (taker == NULL || (unpickler->top - start) % 2 != 0) {
        return 0;
    }
    if (unlikely(!PyDict_CheckExact(taker))
        && safe_check_taker(unpickler, taker, start + 1, 2) < 0) {
        return -1;
    }
    if (safe_nest_items(unpickler, start, start - 1) < 0) {
        return -1;
    }
    return check_keys(unpickler, taker, start, 2);
}

static int
add_items(struct unpickler *unpickler, PyObject **start)
{
    PyObject *taker = taker_of(unpickler, start);
    if (taker == NULL) {
        return 0;
    }
    if (!PySet_CheckExact(taker) && safe_check_taker(unpickler, taker, start, 1) < 0) {
        return -1;
    }
    if (safe_nest_items(unpickler, start, start - 1) < 0) {
        return -1;
    }
    return check_keys(unpickler, taker, start, 1);
}

/* Each MARK is that of a container, and of a pickle that holds together no more are open than
   containers lie in one another. */
ALWAYS_INLINE int
open_mark(struct unpickler *unpickler)
{
    return unlikely(unpickler->mark_count >= unpickler->safe.most_depth)
               ? safe_exceed(unpickler, "depth")
               : 0;
}

static int
pop_one(struct unpickler *unpickler)
{
    if (unpickler->top > unpickler->fence) {
        safe_trim(unpickler, unpickler->top - 1);
    }
    return 0;
}

static int
before_persistent(struct unpickler *unpickler)
{
    note_offset(unpickler);
    return unpickler->persistent_load == NULL ? safe_refuse(unpickler, "persistent", NULL) : 0;
}

static int
before_frame(struct unpickler *unpickler)
{
    note_offset(unpickler);
    return 0;
}

ALWAYS_INLINE int
before(struct unpickler *unpickler, int opcode)
{
    switch (opcode) {
    case OP_EMPTY_LIST:
    case OP_EMPTY_DICT:
    case OP_EMPTY_SET: return open_container(unpickler);
    case OP_TUPLE1: return close_counted(unpickler, 1);
    case OP_TUPLE2: return close_counted(unpickler, 2);
    case OP_TUPLE3: return close_counted(unpickler, 3);
    case OP_TUPLE: return close_marked_tuple(unpickler);
    case OP_LIST: return close_marked(unpickler);
    case OP_DICT: return close_hashed(unpickler, 2);
    case OP_FROZENSET: return close_hashed(unpickler, 1);
    case OP_APPEND:
        return load_reach(unpickler) < 2 ? 0 : append_safely(unpickler, unpickler->top - 1);
    case OP_APPENDS:
        return unpickler->mark_count == 0 ? 0 : append_safely(unpickler, unpickler->fence);
    case OP_SETITEM:
        return load_reach(unpickler) < 3 ? 0 : set_items_safely(unpickler, unpickler->top - 2);
    case OP_SETITEMS:
        return unpickler->mark_count == 0 ? 0 : set_items_safely(unpickler, unpickler->fence);
    case OP_ADDITEMS:
        return unpickler->mark_count == 0 ? 0 : add_items(unpickler, unpickler->fence);
    case OP_REDUCE: return safe_reduce(unpickler);
    case OP_NEWOBJ: return safe_newobj(unpickler, 0);
    case OP_NEWOBJ_EX: return safe_newobj(unpickler, 1);
    case OP_OBJ: return safe_obj(unpickler);
    case OP_BUILD: return safe_build(unpickler);
    case OP_EXT1: return safe_extension(unpickler, 1);
    case OP_EXT2: return safe_extension(unpickler, 2);
    case OP_EXT4: return safe_extension(unpickler, 4);
    case OP_PERSID:
    case OP_BINPERSID: return before_persistent(unpickler);
    case OP_READONLY_BUFFER: return safe_readonly(unpickler);
    case OP_POP: return pop_one(unpickler);
    case OP_MARK: return open_mark(unpickler);
    case OP_POP_MARK: safe_trim(unpickler, unpickler->fence); return 0;
    case OP_GLOBAL:
    case OP_STACK_GLOBAL:
    case OP_INST: return before_frame(unpickler);
    default: return 0;
    }
}

/* ---- behind an opcode --------------------------------------------------- */

ALWAYS_INLINE int
behind(struct unpickler *unpickler, int opcode)
{
    switch (opcode) {
    case OP_BINGET:
    case OP_LONG_BINGET:
    case OP_GET:
    case OP_DUP:
        if (unlikely(unpickler->safe.met_helper)
            && Py_TYPE(unpickler->top[-1]) == ((PolicyObject *)unpickler->policy)->helper_type) {
            safe_note_helper(unpickler);
        }
        return 0;
    case OP_NEXT_BUFFER:
        Py_XSETREF(unpickler->safe.buffer, Py_NewRef(unpickler->top[-1]));
        return 0;
    case OP_BINPERSID: safe_trim(unpickler, unpickler->top - 1); return 0;
    default: return 0;
    }
}

/* ---- the loop ----------------------------------------------------------- */

#define LOOP_EXECUTE(opcode, function)                                                    \
    do {                                                                                  \
        int asked = before(unpickler, opcode);                                            \
        if (unlikely(asked < 0)                                                           \
            || (likely(asked == 0)                                                        \
                && unlikely(function(unpickler) < 0 || behind(unpickler, opcode) < 0))) { \
            return -1;                                                                    \
        }                                                                                 \
    } while (0)

/* Checks the counts that grow with every opcode, now and then and at the end.  0 or -1. */
static int
check_totals(struct unpickler *unpickler)
{
    const struct safe_limits *limits = &((PolicyObject *)unpickler->policy)->limits;
    if (unpickler->memo.length > limits->memo) {
        return safe_exceed(unpickler, "memo");
    }
    return reader_offset(&unpickler->reader) - unpickler->safe.begin > limits->size
               ? safe_exceed(unpickler, "size")
               : 0;
}

static int
poll(struct unpickler *unpickler)
{
    return check_totals(unpickler) < 0 ? -1 : load_poll(unpickler);
}

/* At STOP.  0 or -1. */
static int
stop(struct unpickler *unpickler)
{
    if (unpickler->safe.helpers != 0) {
        note_offset(unpickler);
        return safe_refuse(unpickler, "helper", NULL);
    }
    return check_totals(unpickler);
}

#define LOOP_POLL(unpickler) poll(unpickler)
#define LOOP_STOP(unpickler) stop(unpickler)
#include "load/load_loop.h"

int
safe_opcodes(struct unpickler *unpickler)
{
    struct safe_counts *counts = &unpickler->safe;
    const struct safe_limits *limits = &((PolicyObject *)unpickler->policy)->limits;
    uint64_t begin = reader_offset(&unpickler->reader);
    counts->objects = counts->charged = counts->collisions = counts->sets = 0;
    counts->most_objects = limits->objects;
    counts->most_depth = limits->depth;
    counts->helpers = 0;
    counts->met_helper = unpickler->memo.length != 0;
    if (unpickler->heights == NULL) {
        counts->grown = 0;
    }
    counts->seen = NULL;
    counts->seen_entry = NULL;
    counts->nesting_count = counts->hash_count = counts->hash_room = 0;
    counts->begin = begin;
    counts->loose = -1;
    load_bound_keys(&unpickler->key_bounds);
    unpickler->reader.most = begin + limits->size;
    int result = execute_opcodes(unpickler);
    unpickler->reader.most = UINT64_MAX;
    if (counts->hashes != NULL) {
        PyMem_Free(counts->hashes);
        counts->hashes = NULL;
    }
    Py_CLEAR(counts->buffer);
    return result;
}
