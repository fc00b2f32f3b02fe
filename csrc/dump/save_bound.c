/* Reducers that are run as plans: see save_bound.h. */
#include "dump/save_bound.h"

#include "base/errors.h"
#include "types/bound.h"
#include "base/registry.h"
#include "plans/room.h"
#include "dump/copied_table.h"
#include "dump/save_part.h"

/* Makes the bound plan ready, once an epoch of a pickler.  True if it can be used now. */
static int
bound_make_ready(struct pickler *pickler, struct bound_plan *bound, PyObject *function,
                 enum bound_origin origin)
{
    if (!bound_look_up(pickler->state, bound, function) || !save_id_passes(pickler, bound->type)
        || !save_id_passes(pickler, Py_TYPE(bound->callable))) {
        return 0;
    }
    bound->callable_position = memo_find(&pickler->memo, bound->callable);
    bound->of_method = origin != OF_TABLE;
    bound->dump = pickler->dump;
    bound->epoch = pickler->epoch;
    return 1;
}

/* True if the temporaries of a reducer can be counted and not made. */
static int
pickler_is_plain(const struct pickler *pickler)
{
    return pickler->protocol >= 2 && pickler->bin && !pickler->fast
           && (pickler->persistent_id == NULL || !pickler->writer.every);
}

/* True if the pickler finds for the type what copyreg.dispatch_table has. */
static int
has_copyregs_reducer(struct pickler *pickler, PyTypeObject *type)
{
    return pickler->dispatch_table == NULL
           || copied_table_agrees(pickler->state, pickler->dispatch_table, type);
}

/* Makes a bound plan ready again, if a lookup for the type would find the same plan: neither the
   reducer nor its plan is looked up. */
static NOINLINE int
bound_is_made_ready(struct bound_plan *bound, struct pickler *pickler, PyTypeObject *type)
{
    return bound_is_registered(pickler->state, bound, type) && pickler_is_plain(pickler)
           && has_copyregs_reducer(pickler, type) && !save_asks_override(pickler, type)
           && bound_make_ready(pickler, bound, bound->function, OF_TABLE);
}

ALWAYS_INLINE int
bound_is_ready(struct bound_plan *bound, struct pickler *pickler, PyTypeObject *type)
{
    return bound->type == type
           && (likely(bound->epoch == pickler->epoch && bound->dump == pickler->dump)
               || bound_is_made_ready(bound, pickler, type));
}

/* ---- reading an object -------------------------------------------------- */

/* True if writing the value takes a few bytes and nothing but them: no room is asked for, no
   foreign code runs. */
ALWAYS_INLINE int
is_small_atom(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    int64_t number;
    if (type == &PyUnicode_Type) {
        return PyUnicode_IS_COMPACT_ASCII(value) && PyUnicode_GET_LENGTH(value) <= ATOM_LENGTH;
    }
    if (type == &PyLong_Type) {
        return long_as_small(value, &number);
    }
    return type == &PyFloat_Type || value == Py_None || type == &PyBool_Type;
}

/* The parts that were read of one object. */
struct snapshot {
    PyObject *values[BOUND_PARTS_MAX];
    uint32_t unique; /* a bit for each value that only the object holds */
    int count;
    int small; /* all are small atoms */
};

/* True if the object's attributes can come by only through the object.  If others hold its
   __dict__, that can be saved by itself, and its values look as if they had never been seen: only
   the dict holds them. */
ALWAYS_INLINE int
attributes_are_unique(const struct bound_plan *bound, PyObject *object)
{
    if (!bound->instance) {
        return 1;
    }
    PyObject *dict = layout_find_dict(object, bound->type);
    return dict == NULL || has_one_reference(dict);
}

/* The same where some are made, which the snapshot owns: release_made(). */
static NOINLINE int
snapshot_made(struct core_state *state, struct bound_plan *bound, PyObject *object,
              struct snapshot *snapshot)
{
    if (!bound_make_parts(state, bound, object, snapshot->values)) {
        return 0;
    }
    for (int i = 0; i < snapshot->count; i++) {
        snapshot->small &= is_small_atom(snapshot->values[i]);
    }
    return 1;
}

/* Releases what was made, which no memo borrows. */
ALWAYS_INLINE void
release_made(const struct bound_plan *bound, const struct snapshot *snapshot)
{
    if (unlikely(bound->making_count != 0)) {
        bound_release_made(bound, snapshot->values);
    }
}

/* Reads all parts.  0 if a part is missing, or cannot be read where it lies. */
ALWAYS_INLINE int
snapshot_parts(struct core_state *state, struct bound_plan *bound, PyObject *object,
               struct snapshot *snapshot)
{
    if (unlikely(!attributes_are_unique(bound, object))) {
        return 0;
    }
    snapshot->count = bound->size;
    snapshot->small = 1;
    if (unlikely(bound->making_count != 0)) {
        return snapshot_made(state, bound, object, snapshot);
    }
    for (int i = 0; i < snapshot->count; i++) {
        struct part *part = &bound->parts[i];
        PyObject *value = bound_read_part(part, bound->type, object);
        if (unlikely(value == NULL)) {
            return 0;
        }
        snapshot->values[i] = value;
        snapshot->small &= is_small_atom(value);
    }
    return 1;
}

/* Notes which values only the object holds, before others are held here. */
static void
find_unique(const struct bound_plan *bound, struct snapshot *snapshot)
{
    snapshot->unique = 0;
    for (int i = 0; i < snapshot->count; i++) {
        int unique = bound->parts[i].once && has_one_reference(snapshot->values[i]);
        snapshot->unique |= (uint32_t)unique << i;
    }
}

/* ---- writing an object -------------------------------------------------- */

/* An object that is saved by a bound plan. */
struct bound_save {
    struct bound_plan *bound;
    PyObject *object;
    int unique;
    uint64_t epoch;             /* in which the snapshot was taken */
    struct typeinfo *new_class; /* of a small object whose class has no number yet */
    struct snapshot snapshot;
};

ALWAYS_INLINE char *
write_value(struct pickler *pickler, struct bound_save *bound_save, int index, char *out)
{
    int unique = (bound_save->snapshot.unique >> index & 1) && bound_save->epoch == pickler->epoch
                 && pickler->unnumbered == 0;
    PyObject *value = bound_save->snapshot.values[index];
    if (unlikely(out >= pickler->writer.limit)) {
        return save_slow(pickler, value, unique, out);
    }
    return save_inside(pickler, value, unique, out);
}

/* The typeinfo of a class that has no number yet, if the class can be written without foreign
   code; else NULL. */
static struct typeinfo *
find_new_class(struct pickler *pickler, PyObject *callable)
{
    if (!PyType_Check(callable) || !save_frame_can_end(pickler)) {
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)callable;
    struct typeinfo *info = typeinfo_find(pickler->state, type);
    return info->type == type && info->version != 0 && info->class_dump != pickler->dump
                   && save_find_class(pickler, info, callable)
               ? info
               : NULL;
}

static NOINLINE char *
write_new_callable(struct pickler *pickler, struct bound_save *bound_save, char *out)
{
    struct bound_plan *bound = bound_save->bound;
    PyObject *callable = bound->callable;
    struct typeinfo *info = find_new_class(pickler, callable);
    char *behind = info != NULL ? save_write_class(pickler, info, callable, out)
                                : save(pickler, callable, out);
    if (behind == NULL) {
        error_note("when serializing %T reconstructor", bound_save->object);
        return NULL;
    }
    if (bound->callable == callable) {
        bound->callable_position = memo_find(&pickler->memo, callable);
    }
    return behind;
}

ALWAYS_INLINE char *
write_callable(struct pickler *pickler, struct bound_save *bound_save, char *out)
{
    Py_ssize_t position = bound_save->bound->callable_position;
    return likely(position >= 0) ? save_get(pickler, position, out)
                                 : write_new_callable(pickler, bound_save, out);
}

ALWAYS_INLINE char *
write_arguments(struct pickler *pickler, struct bound_save *bound_save, char *out)
{
    int count = bound_save->bound->argument_count;
    out = count > 3 ? write_op(out, OP_MARK) : out;
    for (int i = 0; i < count; i++) {
        out = write_value(pickler, bound_save, i, out);
        if (unlikely(out == NULL)) {
            error_note("when serializing tuple item %d", i);
            return NULL;
        }
    }
    out = save_room(pickler, out);
    if (out == NULL) {
        return NULL;
    }
    out = save_tuple_op(pickler, count, out);
    if (count == 0) {
        return out;
    }
    return save_keep(pickler, bound_save->snapshot.values, count) < 0
               ? NULL
               : save_skip(pickler, ABSENT_TUPLE, out);
}

ALWAYS_INLINE char *
write_construction(struct pickler *pickler, struct bound_save *bound_save, char *out)
{
    out = write_callable(pickler, bound_save, out);
    if (unlikely(out == NULL)) {
        return NULL;
    }
    if (unlikely(out >= pickler->writer.limit)) {
        out = save_pass_boundary(pickler, out);
    }
    out = unlikely(out == NULL) ? NULL : write_arguments(pickler, bound_save, out);
    if (unlikely(out == NULL)) {
        error_note("when serializing %T reconstructor arguments", bound_save->object);
        return NULL;
    }
    return write_op(out, OP_REDUCE);
}

/* Writes the items of the state's dict. */
static char *
write_items(struct pickler *pickler, struct bound_save *bound_save, char *out)
{
    struct bound_plan *bound = bound_save->bound;
    const struct plan *plan = bound->plan;
    int count = bound->state_count;
    out = count > 1 ? write_op(out, OP_MARK) : out;
    for (int i = 0; i < count; i++) {
        uint16_t key_step = plan->operands[bound->keys_at + 2 * i];
        PyObject *key = PyTuple_GET_ITEM(plan->constants, plan->list[key_step].a);
        out = save(pickler, key, out);
        if (out == NULL) {
            return NULL;
        }
        out = write_value(pickler, bound_save, bound->argument_count + i, out);
        if (out == NULL) {
            error_note("when serializing dict item %R", key);
            return NULL;
        }
    }
    out = save_room(pickler, out);
    return out == NULL || count == 0 ? out : write_op(out, count > 1 ? OP_SETITEMS : OP_SETITEM);
}

static char *
write_state(struct pickler *pickler, struct bound_save *bound_save, char *out)
{
    if (unlikely(out >= pickler->writer.limit)) {
        out = save_pass_boundary(pickler, out);
        if (out == NULL) {
            return NULL;
        }
    }
    out = save_skip(pickler, ABSENT_DICT, write_op(out, OP_EMPTY_DICT));
    struct bound_plan *bound = bound_save->bound;
    if (out == NULL
        || save_keep(pickler, bound_save->snapshot.values + bound->argument_count,
                     bound->state_count)
               < 0) {
        return NULL;
    }
    out = write_items(pickler, bound_save, out);
    return out == NULL ? NULL : write_op(out, OP_BUILD);
}

/* Writes an object that has no number until its arguments are written; if the object comes by
   again before that, its parts must be found in the memo. */
static char *
write_object(struct pickler *pickler, struct bound_save *bound_save, char *out)
{
    int unique = bound_save->unique;
    pickler->unnumbered += !unique;
    out = write_construction(pickler, bound_save, out);
    pickler->unnumbered -= !unique;
    if (out == NULL) {
        return NULL;
    }
    unique = unique && bound_save->epoch == pickler->epoch;
    if (!unique) {
        Py_ssize_t position = memo_find(&pickler->memo, bound_save->object);
        if (unlikely(position >= 0)) {
            return save_get(pickler, position, write_op(out, OP_POP));
        }
    }
    out = save_memoize(pickler, bound_save->object, unique, out);
    if (out == NULL || bound_save->bound->state_count < 0) {
        return out;
    }
    out = write_state(pickler, bound_save, out);
    if (out == NULL) {
        error_note("when serializing %T state", bound_save->object);
    }
    return out;
}

/* True if nothing that is written of this object can end a frame, ask for room or run foreign
   code, so that its parts need not be owned. */
ALWAYS_INLINE int
fits_in_window(struct pickler *pickler, struct bound_save *bound_save, const char *out)
{
    struct bound_plan *bound = bound_save->bound;
    if (!bound_save->snapshot.small
        || pickler->writer.limit - out
               <= bound_save->snapshot.count * (Py_ssize_t)ATOM_ROOM + bound->room) {
        return 0;
    }
    bound_save->new_class = NULL;
    if (likely(bound->callable_position >= 0)) {
        return 1;
    }
    bound_save->new_class = find_new_class(pickler, bound->callable);
    return bound_save->new_class != NULL;
}

/* Writes a class that is met for the first time in this dump. */
static NOINLINE char *
write_small_class(struct pickler *pickler, const struct bound_save *bound_save, char *out)
{
    struct bound_plan *bound = bound_save->bound;
    out = save_write_class(pickler, bound_save->new_class, bound->callable, out);
    if (out == NULL) {
        error_note("when serializing %T reconstructor", bound_save->object);
    }
    bound->callable_position = (Py_ssize_t)bound_save->new_class->class_index;
    return out;
}

/* Writes a small atom. */
ALWAYS_INLINE char *
write_atom(struct pickler *pickler, PyObject *value, int unique, char *out)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyFloat_Type) {
        return save_float(pickler, value, out);
    }
    if (type == &PyLong_Type) {
        return save_long(pickler, value, out);
    }
    if (type == &PyUnicode_Type) {
        return save_str(pickler, value, unique && has_one_reference(value), out);
    }
    return value == Py_None ? write_op(out, OP_NONE) : save_bool(pickler, value, out);
}

/* Writes a small str that was made for this, and that nobody can present again: it is counted, and
   dies.  Any other value as the part of an object that it may be. */
static NOINLINE char *
write_made(struct pickler *pickler, PyObject *value, char *out)
{
    if (!PyUnicode_CheckExact(value) || !has_one_reference(value)) {
        return write_atom(pickler, value, 0, out);
    }
    out = save_str_data(pickler, value, (size_t)PyUnicode_GET_LENGTH(value), out);
    return save_skip(pickler, ABSENT_STR, out);
}

/* Writes a part of a small object. */
ALWAYS_INLINE char *
write_small_part(struct pickler *pickler, const struct bound_save *bound_save, int index,
                 int unique, char *out)
{
    const struct part *part = &bound_save->bound->parts[index];
    PyObject *value = bound_save->snapshot.values[index];
    return unlikely(part->place == PART_MADE)
               ? write_made(pickler, value, out)
               : write_atom(pickler, value, unique && part->once, out);
}

static char *
write_small_state(struct pickler *pickler, const struct bound_save *bound_save, int unique,
                  char *out)
{
    const struct bound_plan *bound = bound_save->bound;
    const struct plan *plan = bound->plan;
    out = save_skip(pickler, ABSENT_DICT, write_op(out, OP_EMPTY_DICT));
    if (out != NULL && bound->state_count > 1) {
        out = write_op(out, OP_MARK);
    }
    for (int i = 0; out != NULL && i < bound->state_count; i++) {
        int part = bound->argument_count + i;
        uint16_t key_step = plan->operands[bound->keys_at + 2 * i];
        PyObject *key = PyTuple_GET_ITEM(plan->constants, plan->list[key_step].a);
        out = save_str(pickler, key, 0, out);
        out = out == NULL ? NULL : write_small_part(pickler, bound_save, part, unique, out);
    }
    if (out != NULL && bound->state_count > 0) {
        out = write_op(out, bound->state_count > 1 ? OP_SETITEMS : OP_SETITEM);
    }
    return out == NULL ? NULL : write_op(out, OP_BUILD);
}

/* The same as write_object() where all is small: nothing but bytes is written, so that the
   object cannot come by meanwhile. */
ALWAYS_INLINE char *
write_small(struct pickler *pickler, const struct bound_save *bound_save, char *out)
{
    const struct bound_plan *bound = bound_save->bound;
    int count = bound->argument_count, unique = bound_save->unique && pickler->unnumbered == 0;
    if (likely(bound_save->new_class == NULL)) {
        out = save_get(pickler, bound->callable_position, out);
    }
    else if ((out = write_small_class(pickler, bound_save, out)) == NULL) {
        return NULL;
    }
    out = count > 3 ? write_op(out, OP_MARK) : out;
    for (int i = 0; i < count; i++) {
        out = write_small_part(pickler, bound_save, i, unique, out);
        if (unlikely(out == NULL)) {
            return NULL;
        }
    }
    out = save_tuple_op(pickler, count, out);
    out = count == 0 ? out : save_skip(pickler, ABSENT_TUPLE, out);
    if (unlikely(out == NULL)) {
        return NULL;
    }
    out = save_memoize(pickler, bound_save->object, bound_save->unique, write_op(out, OP_REDUCE));
    return out == NULL || bound->state_count < 0
               ? out
               : write_small_state(pickler, bound_save, pickler->unnumbered == 0, out);
}

/* ---- objects of any size ------------------------------------------------ */

/* The same where foreign code may run: all objects of the bound plan and the snapshot are owned,
   and the bound plan stays this object's until it is written. */
static NOINLINE char *
write_owning(struct pickler *pickler, struct bound_save *bound_save, char *out)
{
    struct snapshot *snapshot = &bound_save->snapshot;
    struct bound_plan *bound = bound_save->bound;
    PyObject *code = Py_NewRef(bound->code), *callable = Py_NewRef(bound->callable);
    find_unique(bound, snapshot);
    for (int i = 0; i < snapshot->count; i++) {
        if (bound->parts[i].place != PART_MADE) {
            Py_INCREF(snapshot->values[i]);
        }
    }
    bound->busy++;
    pickler->nested_bound++;
    out = write_object(pickler, bound_save, out);
    out = save_flush(pickler, bound_save->epoch, out);
    if (bound->making_count != 0 && memo_flush(&pickler->memo) < 0) {
        out = NULL;
    }
    pickler->nested_bound--;
    bound->busy--;
    for (int i = 0; i < snapshot->count; i++) {
        out = save_release(pickler, snapshot->values[i], out);
    }
    Py_DECREF(code);
    return save_release(pickler, callable, out);
}

/* The snapshot lies on the C stack: where bound plans are nested more deeply than this, the
   functions are called, so that nothing nests less deeply than in the standard library, whose
   threads may have a stack of 64 KiB. */
enum { NESTED_BOUND = 32 };

/* Reads the object and writes it: a small object at once, any other as a level of nesting, which
   `open` says is open already. */
ALWAYS_INLINE enum outcome
save_by_bound_plan(struct pickler *pickler, struct bound_plan *bound, PyObject *object, int unique,
                   int open, char **out)
{
    struct bound_save bound_save;
    bound_save.bound = bound;
    bound_save.object = object;
    bound_save.unique = unique;
    bound_save.epoch = pickler->epoch;
    if (unlikely(!snapshot_parts(pickler->state, bound, object, &bound_save.snapshot))) {
        return OUTCOME_BAIL;
    }
    int small = fits_in_window(pickler, &bound_save, *out);
    if (!small && pickler->nested_bound >= NESTED_BOUND) {
        release_made(bound, &bound_save.snapshot);
        return OUTCOME_BAIL;
    }
    pickler->state->plans->reduced_by_plan++;
    if (small) {
        *out = write_small(pickler, &bound_save, *out);
        release_made(bound, &bound_save.snapshot);
    }
    else if (open) {
        *out = write_owning(pickler, &bound_save, *out);
    }
    else if (save_open(pickler, object) < 0) {
        release_made(bound, &bound_save.snapshot);
        return OUTCOME_RAISED;
    }
    else {
        *out = save_close(pickler, object, write_owning(pickler, &bound_save, *out));
    }
    if (unlikely(*out == NULL)) {
        error_note("when serializing %T object", object);
        return OUTCOME_RAISED;
    }
    return OUTCOME_DONE;
}

struct saved
save_bound_ready(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    PyTypeObject *type = Py_TYPE(object);
    struct bound_plan *bound = bound_at(pickler->state, type);
    if (!bound_is_ready(bound, pickler, type)
        || (bound->of_method && bound_method_is_shadowed(pickler->state, bound, object))) {
        return (struct saved){OUTCOME_BAIL, out};
    }
    enum outcome outcome = save_by_bound_plan(pickler, bound, object, unique, 0, &out);
    return (struct saved){outcome, outcome == OUTCOME_RAISED ? NULL : out};
}

/* ---- finding the plan --------------------------------------------------- */

/* Stamps the bound plan: as long as the stamp holds, it can be made ready again without finding
   its function. */
static void
stamp_bound_plan(struct pickler *pickler, struct bound_plan *bound, PyObject *callable)
{
    struct core_state *state = pickler->state;
    PyObject *registered;
    int lasts = PyFunction_Check(callable)
                && registry_find_lasting(state, bound->type, &registered) && registered == callable
                && has_copyregs_reducer(pickler, bound->type);
    bound->function = callable;
    bound->metaclass_version =
        lasts ? type_assign_version(Py_TYPE((PyObject *)bound->type), state->str.name) : 0;
    bound->stamp = bound->metaclass_version != 0 ? namecache_stamp(state) : 0;
}

/* The bound plan for the object's type, made ready; NULL if there is none. */
static struct bound_plan *
find_bound_plan(struct pickler *pickler, const struct reducer *reducer, PyTypeObject *type,
                enum bound_origin origin)
{
    if (!pickler_is_plain(pickler) || save_asks_override(pickler, type)
        || registry_find_is_foreign(pickler->state, pickler->dispatch_table, type)) {
        return NULL;
    }
    struct bound_plan *bound = bound_of(pickler->state, reducer->plan, type);
    if (bound == NULL || !bound_make_ready(pickler, bound, reducer->function, origin)) {
        return NULL;
    }
    stamp_bound_plan(pickler, bound, reducer->callable);
    return bound;
}

/* Makes the reduce value by the plan. */
static enum outcome
make_reduce_value(struct pickler *pickler, const struct reducer *reducer, PyObject *object,
                  PyObject **reduce_value)
{
    if (save_foreign(pickler) < 0) {
        return OUTCOME_RAISED;
    }
    switch (reducer_run(pickler->state, reducer, object, reduce_value)) {
    case OUTCOME_DONE: return OUTCOME_VALUE;
    case OUTCOME_RAISED: return OUTCOME_RAISED;
    default: return OUTCOME_BAIL;
    }
}

enum outcome
save_bound(struct pickler *pickler, struct trial *trial, uint64_t guard, PyObject *callable,
           PyObject *object, enum bound_origin origin, int unique, char **out,
           PyObject **reduce_value)
{
    struct reducer reducer;
    int every = pickler->persistent_id != NULL && pickler->writer.every;
    if (every && save_hook_is_hopeless(&pickler->id_hook, pickler->persistent_id)) {
        return OUTCOME_BAIL;
    }
    PyObject *protocol =
        origin == OF_METHOD_EX ? pickler->state->protocols[pickler->protocol] : NULL;
    enum outcome verdict = reducer_meet(pickler->state, callable, protocol, &reducer);
    if (verdict == OUTCOME_HOT) {
        if (save_foreign(pickler) < 0 || reducer_read(pickler->state, &reducer) < 0) {
            return OUTCOME_RAISED;
        }
        verdict = reducer_meet(pickler->state, callable, protocol, &reducer);
    }
    if (every) {
        /* persistent_id is to see every part, which says nothing of the plan. */
        return OUTCOME_BAIL;
    }
    if (verdict != OUTCOME_DONE) {
        if (reducer.uncompilable) {
            trial_failed(trial, guard);
        }
        return OUTCOME_BAIL;
    }
    struct bound_plan *bound = reducer.count == 0 && reducer.keywords == NULL
                                   ? find_bound_plan(pickler, &reducer, Py_TYPE(object), origin)
                                   : NULL;
    if (bound != NULL) {
        enum outcome outcome = save_by_bound_plan(pickler, bound, object, unique, 1, out);
        if (outcome != OUTCOME_BAIL) {
            trial_succeeded(trial);
            return outcome;
        }
    }
    /* Making the reduce value takes as long as calling the function that makes it. */
    trial_failed(trial, guard);
    return make_reduce_value(pickler, &reducer, object, reduce_value);
}

enum outcome
save_bound_method(struct pickler *pickler, struct trial *trial, uint64_t guard, PyObject *object,
                  int unique, char **out, PyObject **reduce_value)
{
    int takes_protocol;
    PyObject *method = bound_find_method(pickler->state, object, &takes_protocol);
    if (method == NULL) {
        return OUTCOME_BAIL;
    }
    Py_INCREF(method);
    enum outcome outcome =
        save_bound(pickler, trial, guard, method, object,
                   takes_protocol ? OF_METHOD_EX : OF_METHOD, unique, out, reduce_value);
    *out = save_release(pickler, method, *out);
    return outcome;
}
