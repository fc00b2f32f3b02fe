/* The state of a dump, and the functions that save each kind of object.

   save() writes an object at `out` and returns the place behind it, or NULL with an exception.
   All the save functions do.

   Ownership.  The object is borrowed: somebody holds it at the moment of the call.  A function
   that needs the object after foreign code owns it over that time.  Any save function may run
   Python code, depending on the object.

   Foreign code.  save_foreign() stands before every call that may run Python or release a last
   reference.  This enters and owns what was deferred (memo.h) and starts a new epoch: values read
   from objects before are not relied upon after.

   `unique` says that only its holder has the object, from whom it was just read once, and that the
   same holds for all objects that are open and not numbered; see memo.h. */
#ifndef FASTCOPYREG_DUMP_SAVE_H
#define FASTCOPYREG_DUMP_SAVE_H

#include "base/errors.h"
#include "base/prefetch.h"
#include "dump/memo.h"
#include "plans/plan_answer.h"
#include "types/typeinfo.h"
#include "base/stack.h"
#include "base/poll.h"
#include "dump/writer.h"

/* Values that were read and are to be written: a stack on the heap; see save_snapshot.c. */
struct snapshots {
    PyObject **values; /* strong; NULL: a slot that is not set */
    size_t count;
    size_t capacity;
};

enum { HOOK_TYPES = 8 };

/* The known answers of a hook; see save_hooks.h. */
struct hook {
    PyObject *callable; /* which hook; borrowed, and only compared */
    int hopeless;       /* called for every object of this dump */
    size_t renewals;    /* how often built-in types were found to pass, since ... */
    size_t counted;     /* ... the memo had so many entries; before it has, they are not asked */
    size_t rest;        /* how long it was called without a look, the last time */
    size_t looks;       /* how often an answer was found out ... */
    size_t misses;      /* ... and not known then */
    /* The answers of an epoch by the addresses of types; others are not looked at. */
    struct {
        uint64_t epoch;
        PyTypeObject *type;
        enum plan_answer answer;
    } known[HOOK_TYPES];
};

struct pickler {
    struct core_state *state;
    struct writer writer;
    struct memo memo;
    int protocol;
    int bin;  /* true: binary opcodes are written; users may change it */
    int fast; /* true: nothing is memoized; users may change it */
    int fix_imports;
    int observable;           /* true: the memo can be looked at, and lasts */
    int poll_at_next;         /* signals are to be seen to at the next object */
    int unnumbered;           /* shared objects that are open and have no number yet */
    int fast_nesting;         /* containers open in fast mode */
    uint64_t epoch;           /* another number after each run of foreign code, of any dump */
    uint64_t dump;            /* another number for each dump, and after a change of its memo */
    size_t generation;        /* of the memo, under this number */
    size_t callable_position; /* where in the memo the one lies that a reduction called last */
    struct snapshots snapshots;
    int nested_bound;      /* objects open that are written by bound plans; see save_bound.c */
    uintptr_t stack_floor; /* how far down the C stack it may go without asking; see stack.h */
    struct value_parts value_parts; /* room for those of one object; see save_value.c */
    struct poll poll;
    PyObject
        *asked; /* reduce value of the first object, whose reducer was called; strong, or NULL */
    PyObject *fast_memo;
    PyObject *dispatch_table; /* the pickler's own, or NULL */
    PyObject *persistent_id;  /* the hooks, or NULL */
    PyObject *reducer_override;
    struct hook id_hook, override_hook;
    PyObject *override_types; /* a tuple of the types that it looks at; NULL: all */
    PyObject *buffer_callback;
};

/* ---- foreign code ------------------------------------------------------- */

/* Makes the dicts that are numbered and not made, all of which were numbered since this was done
   last.  0, or -1 with an exception.  May run Python code, on 3.11 by the collector. */
int save_make_dicts(struct pickler *pickler);

/* To be called before foreign code.  0, or -1 with an exception. */
ALWAYS_INLINE int
save_foreign(struct pickler *pickler)
{
    pickler->epoch = ++pickler->state->epoch;
    if (unlikely(pickler->persistent_id != NULL)) {
        /* The hook's known answers end here, so every object is to be shown to it. */
        pickler->writer.every = 1;
        pickler->writer.limit = pickler->writer.start;
    }
    if (unlikely(memo_flush(&pickler->memo) < 0)) {
        return -1;
    }
    return unlikely(pickler->memo.unmade != 0) ? save_make_dicts(pickler) : 0;
}

/* Releases a reference that was held over foreign code, and that may be the last one.  Returns
   `out`, or NULL with an exception. */
char *save_release_last(struct pickler *pickler, PyObject *object, char *out);

ALWAYS_INLINE char *
save_release(struct pickler *pickler, PyObject *object, char *out)
{
    if (unlikely(Py_REFCNT(object) == 1)) {
        return save_release_last(pickler, object, out);
    }
    Py_DECREF(object);
    return out;
}

/* Before an object that was held since `epoch` is released.  If foreign code has run meanwhile, it
   may have taken the object from its holders: the holder that is left need not be the one from
   whom the object was read, and must not look like the only one ever.  So the memo owns what it
   has numbered since.  Returns `out`, or NULL with an exception. */
ALWAYS_INLINE char *
save_flush(struct pickler *pickler, uint64_t epoch, char *out)
{
    if (likely(epoch == pickler->epoch) || out == NULL) {
        return out;
    }
    return memo_flush(&pickler->memo) < 0 ? NULL : out;
}

/* Around a level of nesting: its object is owned, and the depth is limited, by the interpreter's
   count and by the C stack.  0 or -1. */
ALWAYS_INLINE int
save_open(struct pickler *pickler, PyObject *object)
{
    if (unlikely(stack_enter(&pickler->stack_floor, " while pickling an object") < 0)) {
        return -1;
    }
    Py_INCREF(object);
    return 0;
}

ALWAYS_INLINE char *
save_close(struct pickler *pickler, PyObject *object, char *out)
{
    Py_LeaveRecursiveCall();
    return save_release(pickler, object, out);
}

/* ---- memo --------------------------------------------------------------- */

/* Writes the opcode that numbers an object, in protocols before 4. */
char *save_put_op(struct pickler *pickler, Py_ssize_t index, char *out);

/* Writes GET of an object that has the number `index`; in text, or with four bytes. */
char *save_get_op(struct pickler *pickler, Py_ssize_t index, char *out);

/* Writes the opcode for an object that has got the number `index`, the next one. */
ALWAYS_INLINE char *
save_put(struct pickler *pickler, size_t index, char *out)
{
    if (likely(pickler->protocol >= 4)) {
        return write_op(out, OP_MEMOIZE);
    }
    return save_put_op(pickler, (Py_ssize_t)index, out);
}

/* Numbers an object and writes the opcode for that. */
ALWAYS_INLINE char *
save_memoize(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    if (unlikely(pickler->fast)) {
        return out;
    }
    struct memo *memo = &pickler->memo;
    size_t index = memo->count;
    if ((unique ? memo_defer(memo, object) : memo_put(memo, object)) < 0) {
        return NULL;
    }
    return save_put(pickler, index, out);
}

ALWAYS_INLINE char *
save_get(struct pickler *pickler, Py_ssize_t position, char *out)
{
    Py_ssize_t index = memo_index(&pickler->memo, position);
    if (likely(pickler->bin != 0)) {
        if (likely(index < 256)) { /* a negative one too, which a program can assign */
            out[0] = OP_BINGET;
            out[1] = (char)(unsigned char)index;
            return out + 2;
        }
        if (likely((uint64_t)index <= UINT32_MAX)) {
            return write_u32(write_op(out, OP_LONG_BINGET), (uint32_t)index);
        }
    }
    return save_get_op(pickler, index, out);
}

/* The outcome of numbering an object: two words, returned in registers. */
struct numbered {
    char *out;        /* NULL with an exception */
    Py_ssize_t known; /* the object came by among its own arguments, and was numbered there */
};

/* Numbers an object when its arguments are written.  If the object came by among them, it is
   fetched in the place of the one constructed. */
static inline struct numbered
save_number(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    Py_ssize_t position = unique ? -1 : memo_find(&pickler->memo, object);
    if (unlikely(position >= 0)) {
        return (struct numbered){save_get(pickler, position, write_op(out, OP_POP)), 1};
    }
    return (struct numbered){save_memoize(pickler, object, unique, out), 0};
}

/* ---- kinds of objects --------------------------------------------------- */

/* At a boundary: closes frames, sees to signals, asks persistent_id; then saves. */
char *save_slow(struct pickler *pickler, PyObject *object, int unique, char *out);

/* True if a frame can end and be written without foreign code, and without failing but for memory.
 */
ALWAYS_INLINE int
save_frame_can_end(struct pickler *pickler)
{
    struct writer *writer = &pickler->writer;
    return writer->write == NULL || (!writer->foreign && writer_takes(writer));
}

/* Where a part begins: closes a full frame, with a file writes it, and sees to signals. */
char *save_pass_boundary(struct pickler *pickler, char *out);

/* The same without foreign code, where save_frame_can_end().  Signals are seen to at the
   next object. */
char *save_end_frame(struct pickler *pickler, char *out);

/* The pairs of a live dict from a position of PyDict_Next on, of a walk that began when
   it had `size`. */
char *save_dict_rest(struct pickler *pickler, PyObject *dict, Py_ssize_t position, Py_ssize_t size,
                     char *out);

/* Anything but the types that save_inside() knows at once. */
char *save_object(struct pickler *pickler, PyObject *object, int unique, char *out);

char *save_tuple(struct pickler *pickler, PyObject *tuple, int unique, char *out);
char *save_list(struct pickler *pickler, PyObject *list, int unique, char *out);
char *save_dict(struct pickler *pickler, PyObject *dict, int unique, char *out);
/* The items of a dict, or of an object that is one, that is not empty, as dicts are written. */
char *save_dict_contents(struct pickler *pickler, PyObject *dict, char *out);
char *save_set(struct pickler *pickler, PyObject *set, int unique, char *out);
char *save_frozenset(struct pickler *pickler, PyObject *frozenset, int unique, char *out);

/* A tuple in parts: MARK if it has one, the elements (save_elements_inside), the opcode.
   save_tuple_end() numbers the tuple, or gets it if it came by among its elements. */
char *save_tuple_mark(struct pickler *pickler, Py_ssize_t size, char *out);
char *save_tuple_op(struct pickler *pickler, Py_ssize_t size, char *out);
char *save_tuple_end(struct pickler *pickler, PyObject *tuple, char *out);

/* The next of an iterator, which is foreign code; strong.  NULL at the end, or with an
   exception.  `quiet`: the epoch in which the iterator runs none, and the holder holds what it
   yields once more; 0: none. */
PyObject *save_next_item(struct pickler *pickler, PyObject *iterator, uint64_t quiet);

/* Items of a reduction, from an iterator.  A quiet one of pairs is an OrderedDict's. */
char *save_listitems(struct pickler *pickler, PyObject *iterator, PyObject *holder, uint64_t quiet,
                     char *out);
char *save_dictitems(struct pickler *pickler, PyObject *iterator, PyObject *holder, uint64_t quiet,
                     char *out);

/* The elements of a list, as those of an iterator over it. */
char *save_own_elements(struct pickler *pickler, PyObject *list, Py_ssize_t index, char *out);

/* The pairs of a dict that had `size` when the reduction was made, as those of the iterator
   over its items(). */
char *save_own_items(struct pickler *pickler, PyObject *dict, Py_ssize_t size, char *out);

/* Room on the stack of snapshots for `size` more values.  0, or -1 with MemoryError. */
int save_reserve_snapshot(struct pickler *pickler, Py_ssize_t size);

/* The uppermost `size` values as a new list, which nobody else ever sees; they were read in
   `epoch`, each from the one holder that was looked at. */
char *save_snapshot_list(struct pickler *pickler, Py_ssize_t size, uint64_t epoch, char *out);

/* Releases the uppermost values; `out` as it is, or NULL. */
char *save_drop_snapshot(struct pickler *pickler, Py_ssize_t size, char *out);

/* Between two calls: gives memory above a cap back. */
void save_trim_snapshots(struct pickler *pickler);

/* By name; `name` is what a reducer returned, or NULL. */
char *save_global(struct pickler *pickler, PyObject *object, PyObject *name, char *out);
char *save_type(struct pickler *pickler, PyObject *type, char *out);

/* By reduction: looks the reducer up and calls it.  The typeinfo is that of the object's type. */
char *save_by_reducer(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                      char *out);

/* How the __dict__ of an instance is to be written. */
enum fields_dict {
    FIELDS_UNKNOWN, /* the reduction is not the default one, or not to be written here and now */
    FIELDS_NO_DICT, /* there is none, or it is empty */
    FIELDS_UNMADE,  /* by the values of the instance */
    FIELDS_MADE     /* as the dict that it is */
};

/* The __dict__ of an object that is written by the default reduction, without a call; or
   FIELDS_UNKNOWN.  The answer holds for save_by_default() if that is called at once. */
enum fields_dict save_find_fields(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                                  char *out);
char *save_by_default(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                      enum fields_dict kind, char *out);

/* Arguments of __new__, by the typeinfo: true if they can be written here and now; and a tuple of
   one that is short. */
int save_find_arguments(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                        char *out);
char *save_short_argument(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                          char *out);

/* The parts between the class and the state of an object whose default reduction nests: NEWOBJ or
   REDUCE with arguments that are saved, and the number of the object; or NEWOBJ without arguments,
   the number, and items. */
struct numbered save_nested_arguments(struct pickler *pickler, struct typeinfo *info,
                                      PyObject *object, int unique, char *out);
char *save_nested_items(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                        int unique, char *out);

/* True if an object that reduces by default but for its state can be written at `out`, its state
   being there, without foreign code before the state. */
int save_state_is_planned(struct pickler *pickler, struct typeinfo *info, char *out);

/* Writes such an object, at once; the caller owns it and the state. */
char *save_by_state(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                    PyObject *given, char *out);

/* True if objects can be written by their typeinfo in this dump and with this memo; renews the
   number of the dump first if entries were taken out of its memo. */
int save_dump_is_planned(struct pickler *pickler, struct typeinfo *info);

/* True if the object is a value of the standard library that can be written by its row; *parts
   has the parts that were read then, for save_by_value() to take. */
int save_find_value(struct pickler *pickler, struct typeinfo *info, PyObject *object,
                    struct value_parts *parts, char *out);
char *save_by_value(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                    struct value_parts *parts, char *out);

/* Compares the reduce value with the row of such values, if the object is the first of its type in
   a protocol that has rows, and its reducer is the one that the row is for: copyreg's own
   function, registered, or the object's own.  0, or -1 with the exception of a signal handler. */
int save_check_value(struct pickler *pickler, PyObject *object, int registered,
                     PyObject *reduce_value);

/* True if the class can be written here and now, without foreign code: either the class has a
   number, which info->class_index is then, or it is found under its names, from protocol 4 on.
   For dumps without a file, or where no frame can end. */
int save_find_class(struct pickler *pickler, struct typeinfo *info, PyObject *type);

/* Writes such a class, which has no number yet, by name, and numbers it; the typeinfo keeps the
   number. */
char *save_write_class(struct pickler *pickler, struct typeinfo *info, PyObject *type, char *out);

/* A reduce value that is at hand.  `object` NULL: nothing is memoized. */
char *save_reduce(struct pickler *pickler, PyObject *reduce_value, PyObject *object, char *out);

/* A reduce value that was made here, which is how protocols without an opcode for a type
   write it.  Steals it; NULL is an exception. */
char *save_built(struct pickler *pickler, PyObject *object, PyObject *reduce_value, char *out);

/* In fast mode: notices cycles.  0, or -1 with an exception. */
int save_fast_enter(struct pickler *pickler, PyObject *container);
char *save_fast_leave(struct pickler *pickler, PyObject *container, char *out);

/* ---- scalars, in line --------------------------------------------------- */

/* Numbers a temporary that nobody else will ever see. */
ALWAYS_INLINE char *
save_skip(struct pickler *pickler, enum memo_absent absent, char *out)
{
    size_t index = pickler->memo.count;
    return memo_skip(&pickler->memo, absent) < 0 ? NULL : save_put(pickler, index, out);
}

/* Keeps an object that such a temporary would hold, also one without a number of its own, as long
   as the memo; not ints and their kind, whose deaths nobody can see.  0 or -1. */
int save_keep_part(struct pickler *pickler, PyObject *part);

ALWAYS_INLINE int
save_keep(struct pickler *pickler, PyObject *const *parts, Py_ssize_t count)
{
    int result = 0;
    for (Py_ssize_t i = 0; unlikely(pickler->observable) && result == 0 && i < count; i++) {
        result = parts[i] == NULL ? 0 : save_keep_part(pickler, parts[i]);
    }
    return result;
}

/* Room for a few opcodes behind something that was saved. */
ALWAYS_INLINE char *
save_room(struct pickler *pickler, char *out)
{
    return writer_room(&pickler->writer, out);
}

#endif
