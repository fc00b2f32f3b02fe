/* Reducers that are run as plans: see direct.h. */
#include "direct.h"

#include "errors.h"
#include "form.h"
#include "registry.h"

#if KNOWN_LAYOUT

/* Reads what the form needs once an epoch of a pickler.  Whether it can be used now. */
static int
form_make_ready(struct pickler *pickler, struct form *form, PyObject *function,
                enum direct_origin origin)
{
    if (!form_look_up(pickler->state, form, function)) {
        return 0;
    }
    form->callable_position = memo_find(&pickler->memo, form->callable);
    form->of_method = origin != OF_TABLE;
    form->dump = pickler->dump;
    form->epoch = pickler->epoch;
    return 1;
}

/* Whether the temporaries of a reducer can be counted and left out. */
static int
pickler_is_plain(const struct pickler *pickler)
{
    return pickler->protocol >= 4 && pickler->bin && !pickler->fast && !pickler->observable
           && pickler->persistent_id == NULL;
}

/* Makes a form ready that was so before, if all that led to it then would lead to it now: no
   reducer is looked up, and no plan. */
static NOINLINE int
form_is_made_ready(struct form *form, struct pickler *pickler, PyTypeObject *type)
{
    return form_is_registered(pickler->state, form, type) && pickler_is_plain(pickler)
           && pickler->dispatch_table == NULL && pickler->reducer_override == NULL
           && form_make_ready(pickler, form, form->function, OF_TABLE);
}

ALWAYS_INLINE int
form_is_ready(struct form *form, struct pickler *pickler, PyTypeObject *type)
{
    return form->type == type
           && (likely(form->epoch == pickler->epoch && form->dump == pickler->dump)
               || form_is_made_ready(form, pickler, type));
}

/* ---- reading an object
 * ---------------------------------------------------------------------------- */

/* Whether writing the value takes a few bytes and nothing but them: no room is asked for,
   no foreign code runs. */
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

/* What was read of one object. */
struct snapshot {
    PyObject *values[FORM_PARTS_MAX];
    uint32_t single; /* a bit for each value that only the object holds */
    int count;
    int small; /* all are small atoms */
};

/* Whether the object's attributes can come by only through the object.  If others hold its
   __dict__, that can be saved by itself, and its values look as if they had never been
   seen: only the dict holds them. */
ALWAYS_INLINE int
holds_alone(const struct form *form, PyObject *object)
{
    if (!form->instance) {
        return 1;
    }
    PyObject *dict = layout_find_dict(object, form->type);
    return dict == NULL || has_one_reference(dict);
}

/* Reads all parts.  0 if one is missing, or not to be had this way. */
ALWAYS_INLINE int
take_snapshot(struct form *form, PyObject *object, struct snapshot *snapshot)
{
    if (unlikely(!holds_alone(form, object))) {
        return 0;
    }
    snapshot->count = form->size;
    snapshot->small = 1;
    for (int i = 0; i < snapshot->count; i++) {
        struct part *part = &form->parts[i];
        PyObject *value = form_read_part(part, form->type, object);
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
find_single(const struct form *form, struct snapshot *snapshot)
{
    snapshot->single = 0;
    for (int i = 0; i < snapshot->count; i++) {
        int single = form->parts[i].once && has_one_reference(snapshot->values[i]);
        snapshot->single |= (uint32_t)single << i;
    }
}

/* ---- writing it
 * -------------------------------------------------------------------------------------- */

/* What a dump of one object goes by. */
struct direct {
    struct form *form;
    PyObject *object;
    int single;
    uint64_t epoch;         /* in which the snapshot was taken */
    struct plan *new_class; /* of a small object whose class has no number yet */
    struct snapshot snapshot;
};

ALWAYS_INLINE char *
write_value(struct pickler *pickler, struct direct *direct, int index, char *out)
{
    int single = (direct->snapshot.single >> index & 1) && direct->epoch == pickler->epoch
                 && pickler->unnumbered == 0;
    PyObject *value = direct->snapshot.values[index];
    if (unlikely(out >= pickler->writer.limit)) {
        return save_slow(pickler, value, single, out);
    }
    return save_inside(pickler, value, single, out);
}

/* The plan of a class that has no number yet, if it can be written without foreign code; NULL
   if that way is not open. */
static struct plan *
find_new_class(struct pickler *pickler, PyObject *callable)
{
    if (!PyType_Check(callable) || pickler->writer.write != NULL) {
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)callable;
    struct plan *plan = plan_find(pickler->state, type);
    return plan->type == type && plan->version != 0 && plan->class_dump != pickler->dump
                   && save_find_class(pickler, plan, callable)
               ? plan
               : NULL;
}

static NOINLINE char *
write_new_callable(struct pickler *pickler, struct direct *direct, char *out)
{
    struct form *form = direct->form;
    PyObject *callable = form->callable;
    struct plan *plan = find_new_class(pickler, callable);
    char *behind = plan != NULL ? save_write_class(pickler, plan, callable, out)
                                : save(pickler, callable, out);
    if (behind == NULL) {
        error_note("when serializing %T reconstructor", direct->object);
        return NULL;
    }
    if (form->callable == callable) {
        form->callable_position = memo_find(&pickler->memo, callable);
    }
    return behind;
}

ALWAYS_INLINE char *
write_callable(struct pickler *pickler, struct direct *direct, char *out)
{
    Py_ssize_t position = direct->form->callable_position;
    return likely(position >= 0) ? save_get(pickler, position, out)
                                 : write_new_callable(pickler, direct, out);
}

ALWAYS_INLINE char *
write_arguments(struct pickler *pickler, struct direct *direct, char *out)
{
    int count = direct->form->argument_count;
    out = count > 3 ? write_op(out, OP_MARK) : out;
    for (int i = 0; i < count; i++) {
        out = write_value(pickler, direct, i, out);
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
    return memo_skip(&pickler->memo) < 0 ? NULL : write_op(out, OP_MEMOIZE);
}

ALWAYS_INLINE char *
write_construction(struct pickler *pickler, struct direct *direct, char *out)
{
    out = write_callable(pickler, direct, out);
    if (out != NULL && unlikely(out >= pickler->writer.limit)) {
        out = save_pass_boundary(pickler, out);
    }
    if (unlikely(out == NULL)) {
        return NULL;
    }
    out = write_arguments(pickler, direct, out);
    if (unlikely(out == NULL)) {
        error_note("when serializing %T reconstructor arguments", direct->object);
        return NULL;
    }
    return write_op(out, OP_REDUCE);
}

/* The items of the state's dict. */
static char *
write_items(struct pickler *pickler, struct direct *direct, char *out)
{
    struct form *form = direct->form;
    const struct steps *steps = form->steps;
    int count = form->state_count;
    out = count > 1 ? write_op(out, OP_MARK) : out;
    for (int i = 0; i < count; i++) {
        uint16_t key_step = steps->operands[form->keys_at + 2 * i];
        PyObject *key = PyTuple_GET_ITEM(steps->constants, steps->list[key_step].a);
        out = save(pickler, key, out);
        out = out == NULL ? NULL : write_value(pickler, direct, form->argument_count + i, out);
        if (out == NULL) {
            error_note("when serializing dict item %R", key);
            error_note("when serializing %T state", direct->object);
            return NULL;
        }
    }
    out = save_room(pickler, out);
    return out == NULL || count == 0 ? out : write_op(out, count > 1 ? OP_SETITEMS : OP_SETITEM);
}

static char *
write_state(struct pickler *pickler, struct direct *direct, char *out)
{
    if (unlikely(out >= pickler->writer.limit)) {
        out = save_pass_boundary(pickler, out);
        if (out == NULL) {
            return NULL;
        }
    }
    if (memo_skip(&pickler->memo) < 0) {
        return NULL;
    }
    out = write_op(write_op(out, OP_EMPTY_DICT), OP_MEMOIZE);
    out = write_items(pickler, direct, out);
    return out == NULL ? NULL : write_op(out, OP_BUILD);
}

/* The object has no number until its arguments are written; whoever presents it again
   before that must find its parts. */
static char *
write_object(struct pickler *pickler, struct direct *direct, char *out)
{
    int single = direct->single;
    pickler->unnumbered += !single;
    out = write_construction(pickler, direct, out);
    pickler->unnumbered -= !single;
    if (out == NULL) {
        return NULL;
    }
    single = single && direct->epoch == pickler->epoch;
    if (!single) {
        Py_ssize_t position = memo_find(&pickler->memo, direct->object);
        if (unlikely(position >= 0)) {
            return save_get(pickler, position, write_op(out, OP_POP));
        }
    }
    out = save_memoize(pickler, direct->object, single, out);
    return out == NULL || direct->form->state_count < 0 ? out : write_state(pickler, direct, out);
}

/* Whether nothing that is written of this object can end a frame, ask for room or run
   foreign code, so that its parts need not be owned. */
ALWAYS_INLINE int
fits_in_window(struct pickler *pickler, struct direct *direct, const char *out)
{
    struct form *form = direct->form;
    if (!direct->snapshot.small
        || pickler->writer.limit - out
               <= direct->snapshot.count * (Py_ssize_t)ATOM_ROOM + form->room) {
        return 0;
    }
    direct->new_class = NULL;
    if (likely(form->callable_position >= 0)) {
        return 1;
    }
    direct->new_class = find_new_class(pickler, form->callable);
    return direct->new_class != NULL;
}

/* A class that is met for the first time in this dump. */
static NOINLINE char *
write_small_class(struct pickler *pickler, const struct direct *direct, char *out)
{
    struct form *form = direct->form;
    out = save_write_class(pickler, direct->new_class, form->callable, out);
    if (out == NULL) {
        error_note("when serializing %T reconstructor", direct->object);
    }
    form->callable_position = (Py_ssize_t)direct->new_class->class_index;
    return out;
}

/* A small atom. */
ALWAYS_INLINE char *
write_atom(struct pickler *pickler, PyObject *value, int single, char *out)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyFloat_Type) {
        return save_float(pickler, value, out);
    }
    if (type == &PyLong_Type) {
        return save_long(pickler, value, out);
    }
    if (type == &PyUnicode_Type) {
        return save_str(pickler, value, single && has_one_reference(value), out);
    }
    return value == Py_None ? write_op(out, OP_NONE) : save_bool(pickler, value, out);
}

/* Numbers a temporary that nobody else will ever see. */
ALWAYS_INLINE char *
write_skipped(struct pickler *pickler, char *out)
{
    return memo_skip(&pickler->memo) < 0 ? NULL : write_op(out, OP_MEMOIZE);
}

static char *
write_small_state(struct pickler *pickler, const struct direct *direct, int single, char *out)
{
    const struct form *form = direct->form;
    const struct steps *steps = form->steps;
    out = write_skipped(pickler, write_op(out, OP_EMPTY_DICT));
    if (out != NULL && form->state_count > 1) {
        out = write_op(out, OP_MARK);
    }
    for (int i = 0; out != NULL && i < form->state_count; i++) {
        int part = form->argument_count + i;
        uint16_t key_step = steps->operands[form->keys_at + 2 * i];
        PyObject *key = PyTuple_GET_ITEM(steps->constants, steps->list[key_step].a);
        out = save_str(pickler, key, 0, out);
        out = out == NULL ? NULL
                          : write_atom(pickler, direct->snapshot.values[part],
                                       single && form->parts[part].once, out);
    }
    if (out != NULL && form->state_count > 0) {
        out = write_op(out, form->state_count > 1 ? OP_SETITEMS : OP_SETITEM);
    }
    return out == NULL ? NULL : write_op(out, OP_BUILD);
}

/* The same as write_object() where all is small: nothing but bytes is written, so that the
   object cannot come by meanwhile. */
ALWAYS_INLINE char *
write_small(struct pickler *pickler, const struct direct *direct, char *out)
{
    const struct form *form = direct->form;
    int count = form->argument_count, single = direct->single && pickler->unnumbered == 0;
    if (likely(direct->new_class == NULL)) {
        out = save_get(pickler, form->callable_position, out);
    }
    else if ((out = write_small_class(pickler, direct, out)) == NULL) {
        return NULL;
    }
    out = count > 3 ? write_op(out, OP_MARK) : out;
    for (int i = 0; i < count; i++) {
        out = write_atom(pickler, direct->snapshot.values[i], single && form->parts[i].once, out);
        if (unlikely(out == NULL)) {
            return NULL;
        }
    }
    out = save_tuple_op(pickler, count, out);
    out = count == 0 ? out : write_skipped(pickler, out);
    if (unlikely(out == NULL)) {
        return NULL;
    }
    out = save_memoize(pickler, direct->object, direct->single, write_op(out, OP_REDUCE));
    return out == NULL || form->state_count < 0
               ? out
               : write_small_state(pickler, direct, pickler->unnumbered == 0, out);
}

/* ---- whatever it is ---------------------------------------------------- */

/* The same where anything may run: what the form and the snapshot name is owned, and the
   form is kept for this object. */
static NOINLINE char *
write_owning(struct pickler *pickler, struct direct *direct, char *out)
{
    struct snapshot *snapshot = &direct->snapshot;
    struct form *form = direct->form;
    PyObject *code = Py_NewRef(form->code), *callable = Py_NewRef(form->callable);
    find_single(form, snapshot);
    for (int i = 0; i < snapshot->count; i++) {
        Py_INCREF(snapshot->values[i]);
    }
    form->busy++;
    pickler->nested_forms++;
    out = write_object(pickler, direct, out);
    out = save_settle(pickler, direct->epoch, out);
    pickler->nested_forms--;
    form->busy--;
    for (int i = 0; i < snapshot->count; i++) {
        out = save_release(pickler, snapshot->values[i], out);
    }
    Py_DECREF(code);
    return save_release(pickler, callable, out);
}

/* The snapshot lies on the C stack: where forms are nested more deeply than this, the
   functions are called, so that nothing nests less deeply than in the standard library, whose
   threads may have a stack of 64 KiB. */
enum { NESTED_FORMS = 32 };

/* Reads the object, and writes it: a small one at once, another one as a level of nesting,
   which is open already for whoever was asked in the general way. */
ALWAYS_INLINE enum direct_outcome
save_by_form(struct pickler *pickler, struct form *form, PyObject *object, int single, int open,
             char **out)
{
    struct direct direct;
    direct.form = form;
    direct.object = object;
    direct.single = single;
    direct.epoch = pickler->epoch;
    if (unlikely(!take_snapshot(form, object, &direct.snapshot))) {
        return DIRECT_CALL;
    }
    int small = fits_in_window(pickler, &direct, *out);
    if (!small && pickler->nested_forms >= NESTED_FORMS) {
        return DIRECT_CALL;
    }
    pickler->state->reduced_by_plan++;
    if (small) {
        *out = write_small(pickler, &direct, *out);
    }
    else if (open) {
        *out = write_owning(pickler, &direct, *out);
    }
    else if (save_open(pickler, object) < 0) {
        return DIRECT_RAISED;
    }
    else {
        *out = save_close(pickler, object, write_owning(pickler, &direct, *out));
    }
    if (unlikely(*out == NULL)) {
        error_note("when serializing %T object", object);
        return DIRECT_RAISED;
    }
    return DIRECT_SAVED;
}

enum direct_outcome
direct_save_ready(struct pickler *pickler, PyObject *object, int single, char *out)
{
    PyTypeObject *type = Py_TYPE(object);
    struct form *form = form_at(pickler->state, type);
    if (!form_is_ready(form, pickler, type)
        || (form->of_method && form_method_is_hidden(pickler->state, form, object))) {
        return DIRECT_CALL;
    }
    enum direct_outcome outcome = save_by_form(pickler, form, object, single, 0, &out);
    pickler->direct_end = out;
    return outcome;
}

/* ---- whose plan it is
 * -------------------------------------------------------------------------------------- */

/* Remembers for how long the form can be made ready without asking what its function is. */
static void
stamp_form(struct pickler *pickler, struct form *form, PyObject *callable)
{
    struct core_state *state = pickler->state;
    PyObject *registered;
    int lasts = PyFunction_Check(callable) && pickler->dispatch_table == NULL
                && registry_find_lasting(state, form->type, &registered) && registered == callable;
    form->function = callable;
    form->metaclass_version =
        lasts ? type_assign_version(Py_TYPE((PyObject *)form->type), state->str.name) : 0;
    form->stamp = form->metaclass_version != 0 ? found_stamp(state) : 0;
}

/* The form of the plan for the object's type, made ready; NULL if there is none. */
static struct form *
find_form(struct pickler *pickler, const struct reducer *reducer, PyTypeObject *type,
          enum direct_origin origin)
{
    if (!pickler_is_plain(pickler) || save_asks_override(pickler, type)
        || registry_find_is_foreign(pickler->state, pickler->dispatch_table, type)) {
        return NULL;
    }
    struct form *form = form_of(pickler->state, reducer->steps, type);
    if (form == NULL || !form_make_ready(pickler, form, reducer->function, origin)) {
        return NULL;
    }
    stamp_form(pickler, form, reducer->callable);
    return form;
}

/* Makes the reduce value by the plan. */
static enum direct_outcome
make_reduce_value(struct pickler *pickler, const struct reducer *reducer, PyObject *object,
                  PyObject **reduce_value)
{
    if (save_foreign(pickler) < 0) {
        return DIRECT_RAISED;
    }
    switch (reducer_run(pickler->state, reducer, object, reduce_value)) {
    case READ_FOUND: return DIRECT_VALUE;
    case READ_RAISED: return DIRECT_RAISED;
    default: return DIRECT_CALL;
    }
}

enum direct_outcome
direct_save(struct pickler *pickler, struct trial *trial, uint64_t guard, PyObject *callable,
            PyObject *object, enum direct_origin origin, int single, char **out,
            PyObject **reduce_value)
{
    struct reducer reducer;
    PyObject *protocol =
        origin == OF_METHOD_EX ? pickler->state->protocols[pickler->protocol] : NULL;
    enum reducer_verdict verdict = reducer_meet(pickler->state, callable, protocol, &reducer);
    if (verdict == REDUCER_DUE) {
        if (save_foreign(pickler) < 0 || reducer_read(pickler->state, &reducer) < 0) {
            return DIRECT_RAISED;
        }
        verdict = reducer_meet(pickler->state, callable, protocol, &reducer);
    }
    if (verdict != REDUCER_PLAN) {
        if (reducer.refused) {
            trial_failed(trial, guard);
        }
        return DIRECT_CALL;
    }
    struct form *form = reducer.count == 0 && reducer.keywords == NULL
                            ? find_form(pickler, &reducer, Py_TYPE(object), origin)
                            : NULL;
    if (form != NULL) {
        enum direct_outcome outcome = save_by_form(pickler, form, object, single, 1, out);
        if (outcome != DIRECT_CALL) {
            trial_succeeded(trial);
            return outcome;
        }
    }
    /* To make the reduce value takes as long as to call the function that makes it. */
    trial_failed(trial, guard);
    return make_reduce_value(pickler, &reducer, object, reduce_value);
}

enum direct_outcome
direct_save_method(struct pickler *pickler, struct trial *trial, uint64_t guard, PyObject *object,
                   int single, char **out, PyObject **reduce_value)
{
    int takes_protocol;
    PyObject *method = form_find_method(pickler->state, object, &takes_protocol);
    if (method == NULL) {
        return DIRECT_CALL;
    }
    Py_INCREF(method);
    enum direct_outcome outcome =
        direct_save(pickler, trial, guard, method, object,
                    takes_protocol ? OF_METHOD_EX : OF_METHOD, single, out, reduce_value);
    *out = save_release(pickler, method, *out);
    return outcome;
}

#else

enum direct_outcome
direct_save_method(struct pickler *Py_UNUSED(pickler), struct trial *Py_UNUSED(trial),
                   uint64_t Py_UNUSED(guard), PyObject *Py_UNUSED(object), int Py_UNUSED(single),
                   char **Py_UNUSED(out), PyObject **Py_UNUSED(reduce_value))
{
    return DIRECT_CALL;
}

enum direct_outcome
direct_save_ready(struct pickler *Py_UNUSED(pickler), PyObject *Py_UNUSED(object),
                  int Py_UNUSED(single), char *Py_UNUSED(out))
{
    return DIRECT_CALL;
}

enum direct_outcome
direct_save(struct pickler *Py_UNUSED(pickler), struct trial *Py_UNUSED(trial),
            uint64_t Py_UNUSED(guard), PyObject *Py_UNUSED(callable), PyObject *Py_UNUSED(object),
            enum direct_origin Py_UNUSED(origin), int Py_UNUSED(single), char **Py_UNUSED(out),
            PyObject **Py_UNUSED(reduce_value))
{
    return DIRECT_CALL;
}

#endif
