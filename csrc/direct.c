/* Reducers that are run as plans: see direct.h. */
#include "direct.h"

#include "errors.h"
#include "layout.h"
#include "reduce.h"
#include "registry.h"

#if KNOWN_LAYOUT

/* Forms for this many types at a time; a place is taken over by the type that needs it. */
enum { FORMS = 128, PARTS_MAX = DIRECT_PARTS_MAX };

/* Bytes that a small atom may take, with the opcodes around it. */
enum { ATOM_ROOM = 280, OBJECT_ROOM = 64, ATOM_LENGTH = 255 };

/* Where a part comes from. */
enum part_place {
    PART_SLOT,     /* at an offset in the object */
    PART_INSTANCE, /* in the object's values or __dict__ */
    PART_SHARED    /* a constant, global, cell or default, read once an epoch */
};

struct part {
    uint8_t place;
    uint8_t once;      /* no other part reads the same */
    uint16_t step;     /* that yields it */
    Py_ssize_t offset; /* of a slot, or index of a value; see instance_value() */
    PyObject *name;    /* of an attribute; the plan owns it */
    PyObject *shared;  /* borrowed, in a form that is ready */
};

struct form {
    PyTypeObject *type; /* an address to compare, with `version` */
    unsigned version;
    const struct steps *steps; /* an address too, until `ready` */
    int usable;
    int busy;     /* dumps that are in the middle of an object, and go by the form */
    int instance; /* whether a part is in the object's __dict__ */
    int argument_count, state_count; /* state_count: -1 if there is no state */
    int size;                        /* of both together */
    int room;                        /* bytes that a small object takes besides its values */
    uint16_t callable_step;
    uint16_t keys_at;             /* operands of the state's dict */
    struct part parts[PARTS_MAX]; /* arguments, then the values of the state */
    /* Of the epoch in which it is ready: */
    uint64_t dump;
    uint64_t epoch;
    uint64_t copy_epoch; /* the same of a copier */
    PyObject *code;      /* borrowed, like the others */
    PyObject *callable;
    Py_ssize_t callable_position;
};

struct direct_forms {
    struct form forms[FORMS];
};

int
direct_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->forms = PyMem_Calloc(1, sizeof(struct direct_forms));
    if (state->forms == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

void
direct_teardown(struct core_state *state)
{
    PyMem_Free(state->forms);
    state->forms = NULL;
}

ALWAYS_INLINE struct form *
form_at(struct core_state *state, PyTypeObject *type)
{
    return &state->forms->forms[((uintptr_t)type >> 6) % FORMS];
}

/* ---- finding the form of a plan ----------------------------------------- */

/* A step whose value is no object's. */
static int
is_shared(const struct step *step)
{
    return step->kind == STEP_CONSTANT || step->kind == STEP_GLOBAL || step->kind == STEP_CELL
           || step->kind == STEP_DEFAULT;
}

/* Where an attribute of an instance of `type` is; 0 if that takes more than a load. */
static int
place_attribute(PyTypeObject *type, struct part *part)
{
    Py_ssize_t offset = layout_slot_offset(type, part->name);
    if (offset >= 0) {
        part->place = PART_SLOT;
        part->offset = offset;
        return 1;
    }
    PyObject *descriptor = type_lookup(type, part->name);
    if (descriptor != NULL && Py_TYPE(descriptor)->tp_descr_set != NULL) {
        return 0;
    }
    part->place = PART_INSTANCE;
    part->offset = 0;
    return PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) || type->tp_dictoffset > 0;
}

static int
place_part(struct form *form, uint16_t number, struct part *part)
{
    const struct step *step = &form->steps->list[number];
    part->step = number;
    if (is_shared(step)) {
        part->place = PART_SHARED;
        return 1;
    }
    if (step->kind != STEP_ATTRIBUTE || form->steps->list[step->a].kind != STEP_OBJECT) {
        return 0;
    }
    part->name = PyTuple_GET_ITEM(form->steps->names, step->b);
    return place_attribute(form->type, part);
}

/* A display of `count` operands, every `stride`th from `first`. */
static int
place_parts(struct form *form, size_t first, int stride, int count, struct part *parts)
{
    for (int i = 0; i < count; i++) {
        if (!place_part(form, form->steps->operands[first + (size_t)(i * stride)], &parts[i])) {
            return 0;
        }
    }
    return 1;
}

static int
place_arguments(struct form *form, const struct step *arguments)
{
    const struct steps *steps = form->steps;
    if (arguments->kind == STEP_CONSTANT) {
        PyObject *constant = PyTuple_GET_ITEM(steps->constants, arguments->a);
        form->argument_count = 0;
        return PyTuple_CheckExact(constant) && PyTuple_GET_SIZE(constant) == 0;
    }
    form->argument_count = arguments->b;
    return arguments->kind == STEP_TUPLE && arguments->b <= PARTS_MAX
           && place_parts(form, arguments->a, 1, arguments->b, form->parts);
}

/* A state that is a dict display, whose keys are constant strings and all different. */
static int
place_state(struct form *form, const struct step *state)
{
    if (state->kind != STEP_DICT || state->b > PARTS_MAX - form->argument_count) {
        return 0;
    }
    const uint16_t *operands = form->steps->operands + state->a;
    for (int i = 0; i < state->b; i++) {
        for (int j = 0; j < i; j++) {
            if (operands[2 * i] == operands[2 * j]) {
                return 0;
            }
        }
    }
    form->state_count = state->b;
    form->keys_at = state->a;
    return place_parts(form, (size_t)state->a + 1, 2, state->b,
                       form->parts + form->argument_count);
}

static void
mark_repeated(struct form *form)
{
    int count = form->size;
    for (int i = 0; i < count; i++) {
        form->instance |= form->parts[i].place == PART_INSTANCE;
        form->parts[i].once = form->parts[i].place != PART_SHARED;
        for (int j = 0; j < count; j++) {
            if (i != j && form->parts[i].step == form->parts[j].step) {
                form->parts[i].once = 0;
            }
        }
    }
}

/* Whether the plan is a line of loads and displays that ends in RETURN, and each step has
   its place in the form or is a test that making it ready can do. */
static int
is_straight(const struct steps *steps)
{
    for (size_t i = 0; i + 1 < steps->count; i++) {
        int kind = steps->list[i].kind;
        if (kind == STEP_BRANCH_TRUE || kind == STEP_BRANCH_IS || kind == STEP_ATTRIBUTE_OR) {
            return 0;
        }
    }
    return steps->count > 1 && steps->list[steps->count - 1].kind == STEP_RETURN;
}

/* Loads that the form leaves out (their values go nowhere) are not allowed to matter: each
   attribute that the function reads must be a part. */
static int
reads_are_parts(const struct form *form)
{
    int parts = form->size;
    for (size_t i = 0; i < form->steps->count; i++) {
        int kind = form->steps->list[i].kind,
            found = kind != STEP_ATTRIBUTE && kind != STEP_FRESH && kind != STEP_LIST
                    && kind != STEP_BOUND && kind != STEP_BOUND_KEYWORD && kind != STEP_PROTOCOL;
        for (int j = 0; j < parts && !found; j++) {
            found = form->parts[j].step == i;
        }
        if (!found && !(kind == STEP_ATTRIBUTE && i == form->callable_step)) {
            return 0;
        }
    }
    return 1;
}

/* The constructor: a value that is no object's, or the object's class. */
static int
place_callable(struct core_state *state, struct form *form, uint16_t number)
{
    const struct step *step = &form->steps->list[number];
    form->callable_step = number;
    if (is_shared(step)) {
        return 1;
    }
    if ((step->kind != STEP_TYPE && step->kind != STEP_ATTRIBUTE)
        || form->steps->list[step->a].kind != STEP_OBJECT) {
        return 0;
    }
    return step->kind == STEP_TYPE
           || (PyTuple_GET_ITEM(form->steps->names, step->b) == state->str.class_
               && type_lookup(form->type, state->str.class_)
                      == type_lookup(&PyBaseObject_Type, state->str.class_));
}

/* The keys of the state, and the opcodes; more than any room if a key is not plain. */
static int
room_besides_values(const struct form *form)
{
    const struct steps *steps = form->steps;
    int room = OBJECT_ROOM;
    for (int i = 0; i < form->state_count; i++) {
        uint16_t key_step = steps->operands[form->keys_at + 2 * i];
        PyObject *key = PyTuple_GET_ITEM(steps->constants, steps->list[key_step].a);
        if (!PyUnicode_IS_COMPACT_ASCII(key) || PyUnicode_GET_LENGTH(key) > ATOM_LENGTH) {
            return INT_MAX / 2;
        }
        room += ATOM_ROOM;
    }
    return room;
}

/* Works the form of a plan for a type out. */
static void
form_make(struct core_state *state, struct form *form, PyTypeObject *type, unsigned version,
          const struct steps *steps)
{
    memset(form, 0, sizeof(*form));
    form->type = type;
    form->version = version;
    form->steps = steps;
    form->state_count = -1;
    if (!is_straight(steps) || type->tp_getattro != PyObject_GenericGetAttr) {
        return;
    }
    const struct step *end = &steps->list[steps->count - 1];
    const uint16_t *operands = steps->operands + end->a;
    if (end->b > 3 || !place_callable(state, form, operands[0])
        || !place_arguments(form, &steps->list[operands[1]])
        || (end->b == 3 && !place_state(form, &steps->list[operands[2]]))) {
        return;
    }
    form->size = form->argument_count + (form->state_count > 0 ? form->state_count : 0);
    form->usable = reads_are_parts(form);
    form->room = room_besides_values(form);
    mark_repeated(form);
}

/* ---- making it ready ---------------------------------------------------- */

/* The value of a step that is no object's, now; borrowed, or NULL. */
static PyObject *
shared_value(struct core_state *state, const struct form *form, PyObject *function,
             const struct step *step)
{
    switch (step->kind) {
    case STEP_CONSTANT: return PyTuple_GET_ITEM(form->steps->constants, step->a);
    case STEP_GLOBAL:
        return read_global(state, function, PyTuple_GET_ITEM(form->steps->names, step->a));
    case STEP_CELL: return read_cell(function, step->a);
    case STEP_DEFAULT: return read_default(function, step->a);
    default: return (PyObject *)form->type;
    }
}

/* Whether the constructor is one that is written by REDUCE, and found by name without
   anything being asked of it. */
static int
callable_is_plain(struct core_state *state, PyObject *callable)
{
    enum reduction_form how;
    return callable != NULL && !reduction_form_is_foreign(callable)
           && reduction_find_form(state, callable, &how) == 0 && how == FORM_CALL;
}

/* Gives a value that was looked up to the parts that it is.  0 if its one holder could be
   saved by itself: see holds_alone(). */
static int
share_value(struct form *form, uint16_t number, PyObject *value)
{
    if (number == form->callable_step) {
        form->callable = value;
    }
    for (int i = 0; i < form->size; i++) {
        if (form->parts[i].step == number) {
            form->parts[i].shared = value;
            if (has_one_reference(value)) {
                return 0;
            }
        }
    }
    return 1;
}

/* Looks up what the function would look up, once an epoch.  Whether all of it is there, and
   is what the plan relies on. */
static int
form_look_up(struct core_state *state, struct form *form, PyObject *function)
{
    const struct steps *steps = form->steps;
    form->callable = (PyObject *)form->type;
    for (size_t i = 0; i < steps->count; i++) {
        const struct step *step = &steps->list[i];
        if (is_shared(step)) {
            PyObject *value = shared_value(state, form, function, step);
            if (value == NULL || !share_value(form, (uint16_t)i, value)) {
                return 0;
            }
        }
        else if (step->kind == STEP_EXPECT
                 && shared_value(state, form, function, &steps->list[step->a])
                        != PyTuple_GET_ITEM(steps->constants, step->b)) {
            return 0;
        }
    }
    form->code = PyFunction_GET_CODE(function);
    return callable_is_plain(state, form->callable);
}

/* Reads what the form needs once an epoch of a pickler.  Whether it can be used now. */
static int
form_make_ready(struct pickler *pickler, struct form *form, PyObject *function)
{
    if (!form_look_up(pickler->state, form, function)) {
        return 0;
    }
    form->callable_position = memo_find(&pickler->memo, form->callable);
    form->dump = pickler->dump;
    form->epoch = pickler->epoch;
    return 1;
}

ALWAYS_INLINE int
form_is_ready(const struct form *form, struct pickler *pickler, PyTypeObject *type)
{
    return form->type == type && form->epoch == pickler->epoch && form->dump == pickler->dump;
}

/* ---- reading an object
 * ---------------------------------------------------------------------------- */

/* An attribute of an instance with a __dict__; borrowed, or NULL. */
static NOINLINE PyObject *
instance_value_slow(PyObject *object, PyTypeObject *type, struct part *part)
{
    struct layout_values *values = layout_unmade_values(object, type);
    if (values == NULL) {
        PyObject *dict = layout_find_dict(object, type);
        if (dict == NULL || !PyDict_CheckExact(dict) || !layout_has_only_str_keys(dict)) {
            return NULL;
        }
        return PyDict_GetItemWithError(dict, part->name);
    }
    struct layout_keys *keys = layout_shared_keys(type);
    struct layout_entry *entries = layout_entries(keys);
    for (Py_ssize_t i = 0; i < keys->count; i++) {
        if (entries[i].key == part->name) {
            part->offset = i;
            return values->values[i];
        }
    }
    return NULL;
}

ALWAYS_INLINE PyObject *
instance_value(PyObject *object, PyTypeObject *type, struct part *part)
{
    if (PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
        struct layout_values *values = layout_unmade_values(object, type);
        struct layout_keys *keys = layout_shared_keys(type);
        if (likely(values != NULL && keys != NULL && part->offset < keys->count
                   && layout_entries(keys)[part->offset].key == part->name)) {
            return values->values[part->offset];
        }
    }
    return instance_value_slow(object, type, part);
}

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
    PyObject *values[PARTS_MAX];
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

/* A part of an object; borrowed, or NULL. */
ALWAYS_INLINE PyObject *
read_part(struct part *part, PyTypeObject *type, PyObject *object)
{
    if (likely(part->place == PART_SLOT)) {
        return *layout_slot(object, part->offset);
    }
    return part->place == PART_SHARED ? part->shared : instance_value(object, type, part);
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
        PyObject *value = read_part(part, form->type, object);
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
    uint64_t epoch; /* in which the snapshot was taken */
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

/* A class that has no number yet, by the way that runs no foreign code.  NULL without an
   exception if that is not open. */
static char *
write_new_class(struct pickler *pickler, PyObject *callable, char *out)
{
    if (!PyType_CheckExact(callable) || pickler->writer.write != NULL) {
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)callable;
    struct plan *plan = plan_find(pickler->state, type);
    if (plan->type != type || plan->version == 0 || plan->class_dump == pickler->dump
        || !save_find_class(pickler, plan, callable)) {
        return NULL;
    }
    return save_write_class(pickler, plan, callable, out);
}

static NOINLINE char *
write_new_callable(struct pickler *pickler, struct direct *direct, char *out)
{
    struct form *form = direct->form;
    PyObject *callable = form->callable;
    char *behind = write_new_class(pickler, callable, out);
    if (behind == NULL && !PyErr_Occurred()) {
        behind = save(pickler, callable, out);
    }
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
fits_in_window(struct pickler *pickler, const struct direct *direct, const char *out)
{
    return direct->snapshot.small && direct->form->callable_position >= 0
           && pickler->writer.limit - out
                  > direct->snapshot.count * (Py_ssize_t)ATOM_ROOM + direct->form->room;
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
    out = save_get(pickler, form->callable_position, out);
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
    pickler->nested_forms--;
    form->busy--;
    for (int i = 0; i < snapshot->count; i++) {
        out = save_release(pickler, snapshot->values[i], out);
    }
    Py_DECREF(code);
    return save_release(pickler, callable, out);
}

/* The snapshot lies on the C stack: where forms are nested more deeply than this, the
   functions are called, so that nothing nests less deeply than in the standard library. */
enum { NESTED_FORMS = 500 };

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
    if (!form_is_ready(form, pickler, type)) {
        return DIRECT_CALL;
    }
    enum direct_outcome outcome = save_by_form(pickler, form, object, single, 0, &out);
    pickler->direct_end = out;
    return outcome;
}

/* ---- for copies
 * ----------------------------------------------------------------------------------- */

/* The form of a plan for a type, made or made again; NULL if there is none. */
static struct form *
form_of(struct core_state *state, const struct steps *steps, PyTypeObject *type)
{
    struct form *form = form_at(state, type);
    unsigned version = type_assign_version(type, state->str.class_);
    if (version == 0) {
        return NULL;
    }
    if (form->type != type || form->version != version || form->steps != steps) {
        if (form->busy) {
            return NULL;
        }
        form_make(state, form, type, version, steps);
    }
    return form->usable ? form : NULL;
}

int
direct_read(struct core_state *state, uint64_t epoch, PyObject *object, struct direct_parts *parts)
{
    struct form *form = form_at(state, Py_TYPE(object));
    if (form->type != Py_TYPE(object) || form->copy_epoch != epoch || form->state_count >= 0) {
        return 0;
    }
    parts->callable = form->callable;
    parts->count = form->argument_count;
    for (int i = 0; i < form->argument_count; i++) {
        parts->values[i] = read_part(&form->parts[i], form->type, object);
        if (parts->values[i] == NULL) {
            return 0;
        }
    }
    state->reduced_by_plan++;
    return 1;
}

int
direct_prepare(struct core_state *state, uint64_t epoch, const struct reducer *reducer,
               PyTypeObject *type)
{
    struct form *form = reducer->count == 0 && reducer->keywords == NULL
                            ? form_of(state, reducer->steps, type)
                            : NULL;
    if (form == NULL || form->state_count >= 0 || !form_look_up(state, form, reducer->function)) {
        return 0;
    }
    form->copy_epoch = epoch;
    return 1;
}

/* ---- whose plan it is
 * -------------------------------------------------------------------------------------- */

/* Whether the temporaries of a reducer can be counted and left out. */
static int
pickler_is_plain(const struct pickler *pickler)
{
    return pickler->protocol >= 4 && pickler->bin && !pickler->fast && !pickler->observable
           && pickler->persistent_id == NULL;
}

/* The form of the plan for the object's type, made ready; NULL if there is none. */
static struct form *
find_form(struct pickler *pickler, const struct steps *steps, PyObject *function,
          PyTypeObject *type)
{
    if (!pickler_is_plain(pickler) || save_asks_override(pickler, type)
        || registry_find_is_foreign(pickler->state, pickler->dispatch_table, type)) {
        return NULL;
    }
    struct form *form = form_of(pickler->state, steps, type);
    return form != NULL && form_make_ready(pickler, form, function) ? form : NULL;
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
direct_save(struct pickler *pickler, PyObject *callable, PyObject *object, int single, char **out,
            PyObject **reduce_value)
{
    struct reducer reducer;
    enum reducer_verdict verdict = reducer_meet(pickler->state, callable, &reducer);
    if (verdict == REDUCER_DUE) {
        if (save_foreign(pickler) < 0 || reducer_read(pickler->state, &reducer) < 0) {
            return DIRECT_RAISED;
        }
        verdict = reducer_meet(pickler->state, callable, &reducer);
    }
    if (verdict != REDUCER_PLAN) {
        return DIRECT_CALL;
    }
    struct form *form = reducer.count == 0 && reducer.keywords == NULL
                            ? find_form(pickler, reducer.steps, reducer.function, Py_TYPE(object))
                            : NULL;
    if (form != NULL) {
        enum direct_outcome outcome = save_by_form(pickler, form, object, single, 1, out);
        if (outcome != DIRECT_CALL) {
            return outcome;
        }
    }
    return make_reduce_value(pickler, &reducer, object, reduce_value);
}

#else

int
direct_setup(PyObject *Py_UNUSED(module))
{
    return 0;
}

void
direct_teardown(struct core_state *Py_UNUSED(state))
{
}

enum direct_outcome
direct_save_ready(struct pickler *Py_UNUSED(pickler), PyObject *Py_UNUSED(object),
                  int Py_UNUSED(single), char *Py_UNUSED(out))
{
    return DIRECT_CALL;
}

enum direct_outcome
direct_save(struct pickler *Py_UNUSED(pickler), PyObject *Py_UNUSED(callable),
            PyObject *Py_UNUSED(object), int Py_UNUSED(single), char **Py_UNUSED(out),
            PyObject **Py_UNUSED(reduce_value))
{
    return DIRECT_CALL;
}

int
direct_read(struct core_state *Py_UNUSED(state), uint64_t Py_UNUSED(epoch),
            PyObject *Py_UNUSED(object), struct direct_parts *Py_UNUSED(parts))
{
    return 0;
}

int
direct_prepare(struct core_state *Py_UNUSED(state), uint64_t Py_UNUSED(epoch),
               const struct reducer *Py_UNUSED(reducer), PyTypeObject *Py_UNUSED(type))
{
    return 0;
}

#endif
