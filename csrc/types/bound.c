/* Bound plans: see bound.h. */
#include "types/bound.h"

#include "base/atom.h"
#include "base/lookup.h"
#include "base/reduction.h"
#include "plans/room.h"
#include "types/room.h"

int
bound_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->types->bound = PyMem_Calloc(1, sizeof(struct bound_table));
    if (state->types->bound == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

void
bound_teardown(struct core_state *state)
{
    PyMem_Free(state->types->bound);
    state->types->bound = NULL;
}

/* ---- binding a plan ----------------------------------------------------- */

/* A step whose value is no object's. */
static int
is_shared(const struct step *step)
{
    return step->kind == STEP_CONSTANT || step->kind == STEP_GLOBAL || step->kind == STEP_CELL
           || step->kind == STEP_DEFAULT;
}

/* Where an attribute of an instance is; 0 if that takes more than a load. */
static int
place_attribute(struct bound_plan *bound, struct part *part)
{
    PyTypeObject *type = bound->type;
    Py_ssize_t offset = layout_slot_offset(type, part->name);
    if (offset >= 0) {
        part->place = PART_SLOT;
        part->offset = offset;
        return 1;
    }
    if (!class_values_take(&bound->under_parts, type_lookup(type, part->name))) {
        return 0;
    }
    part->place = PART_INSTANCE;
    part->offset = 0;
    return PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT) || type->tp_dictoffset > 0;
}

static int
place_part(struct bound_plan *bound, uint16_t number, struct part *part)
{
    const struct step *step = &bound->plan->list[number];
    part->step = number;
    if (is_shared(step)) {
        part->place = PART_SHARED;
        return 1;
    }
    if (step_makes(step)) {
        part->place = PART_MADE;
        return 1;
    }
    if (step->kind != STEP_ATTRIBUTE || bound->plan->list[step->a].kind != STEP_OBJECT) {
        return 0;
    }
    part->name = PyTuple_GET_ITEM(bound->plan->names, step->b);
    return place_attribute(bound, part);
}

/* A display of `count` operands, every `stride`th from `first`. */
static int
place_parts(struct bound_plan *bound, size_t first, int stride, int count, struct part *parts)
{
    for (int i = 0; i < count; i++) {
        if (!place_part(bound, bound->plan->operands[first + (size_t)(i * stride)], &parts[i])) {
            return 0;
        }
    }
    return 1;
}

static int
place_arguments(struct bound_plan *bound, const struct step *arguments)
{
    const struct plan *plan = bound->plan;
    if (arguments->kind == STEP_CONSTANT) {
        PyObject *constant = PyTuple_GET_ITEM(plan->constants, arguments->a);
        bound->argument_count = 0;
        return PyTuple_CheckExact(constant) && PyTuple_GET_SIZE(constant) == 0;
    }
    bound->argument_count = arguments->b;
    return arguments->kind == STEP_TUPLE && arguments->b <= BOUND_PARTS_MAX
           && place_parts(bound, arguments->a, 1, arguments->b, bound->parts);
}

/* A state that is a dict display, whose keys are constant strings and all different. */
static int
place_state(struct bound_plan *bound, const struct step *state)
{
    if (state->kind != STEP_DICT || state->b > BOUND_PARTS_MAX - bound->argument_count) {
        return 0;
    }
    const uint16_t *operands = bound->plan->operands + state->a;
    for (int i = 0; i < state->b; i++) {
        for (int j = 0; j < i; j++) {
            if (operands[2 * i] == operands[2 * j]) {
                return 0;
            }
        }
    }
    bound->state_count = state->b;
    bound->keys_at = state->a;
    return place_parts(bound, (size_t)state->a + 1, 2, state->b,
                       bound->parts + bound->argument_count);
}

/* 0 if a value that is made is there twice: it would be numbered, and met again. */
static int
mark_repeated(struct bound_plan *bound)
{
    int count = bound->size;
    for (int i = 0; i < count; i++) {
        bound->instance |= bound->parts[i].place == PART_INSTANCE;
        bound->parts[i].once = bound->parts[i].place != PART_SHARED;
        for (int j = 0; j < count; j++) {
            if (i != j && bound->parts[i].step == bound->parts[j].step) {
                bound->parts[i].once = 0;
                if (bound->parts[i].place == PART_MADE) {
                    return 0;
                }
            }
        }
    }
    return 1;
}

/* Finds a place for what another value is made of, unless it is a part or made itself. */
static int
place_hidden(struct bound_plan *bound, uint16_t number)
{
    int count = bound->size + bound->hidden;
    if (step_makes(&bound->plan->list[number])) {
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (bound->parts[i].step == number) {
            return 1;
        }
    }
    if (count == BOUND_PARTS_MAX || !place_part(bound, number, &bound->parts[count])) {
        return 0;
    }
    bound->hidden++;
    return 1;
}

/* Lists the steps that make values, and finds places for what those are made of. */
static int
place_makings(struct bound_plan *bound)
{
    const struct plan *plan = bound->plan;
    const struct step *end = &plan->list[plan->count - 1];
    const uint16_t *wholes = plan->operands + end->a;
    for (size_t i = 0; i + 1 < plan->count; i++) {
        const struct step *step = &plan->list[i];
        if (!step_makes(step) || i == wholes[1] || (end->b == 3 && i == wholes[2])) {
            continue;
        }
        if (bound->making_count == BOUND_MAKINGS_MAX || plan->count > BOUND_STEPS_MAX) {
            return 0;
        }
        bound->makings[bound->making_count++] = (uint16_t)i;
        size_t count;
        const uint16_t *operands = step_operands(plan, step, &count);
        for (size_t j = 0; j < count; j++) {
            if (!place_hidden(bound, operands[j])) {
                return 0;
            }
        }
    }
    return 1;
}

/* True if the plan is a line of loads and displays that ends in RETURN, and each step has its
   place in the bound plan or is a test that can be done when that is made ready. */
static int
is_straight(const struct plan *plan)
{
    for (size_t i = 0; i + 1 < plan->count; i++) {
        int kind = plan->list[i].kind;
        if (kind == STEP_BRANCH_TRUE || kind == STEP_BRANCH_IS || kind == STEP_ATTRIBUTE_OR) {
            return 0;
        }
    }
    return plan->count > 1 && plan->list[plan->count - 1].kind == STEP_RETURN;
}

/* True if each attribute that the function reads is a part: loads that the bound plan leaves out,
   because their values go nowhere, must not matter. */
static int
reads_are_parts(const struct bound_plan *bound)
{
    int parts = bound->size + bound->hidden;
    for (size_t i = 0; i < bound->plan->count; i++) {
        int kind = bound->plan->list[i].kind,
            found = kind != STEP_ATTRIBUTE && kind != STEP_FRESH && kind != STEP_LIST
                    && kind != STEP_BOUND && kind != STEP_BOUND_KEYWORD && kind != STEP_PROTOCOL;
        for (int j = 0; j < parts && !found; j++) {
            found = bound->parts[j].step == i;
        }
        for (int j = 0; j < bound->making_count && !found; j++) {
            found = bound->makings[j] == i;
        }
        if (!found && !(kind == STEP_ATTRIBUTE && i == bound->callable_step)) {
            return 0;
        }
    }
    return 1;
}

/* True if the function looks more up than the constructor. */
static uint16_t
looks_more_up(const struct bound_plan *bound)
{
    for (size_t i = 0; i < bound->plan->count; i++) {
        const struct step *step = &bound->plan->list[i];
        if (i != bound->callable_step && (is_shared(step) || step->kind == STEP_EXPECT)) {
            return 1;
        }
    }
    for (int i = 0; i < bound->size + bound->hidden; i++) {
        if (bound->parts[i].step == bound->callable_step) {
            return 1;
        }
    }
    return 0;
}

/* The constructor: a value that is no object's, or the object's class. */
static int
place_callable(struct core_state *state, struct bound_plan *bound, uint16_t number)
{
    const struct step *step = &bound->plan->list[number];
    bound->callable_step = number;
    if (is_shared(step)) {
        return 1;
    }
    if ((step->kind != STEP_TYPE && step->kind != STEP_ATTRIBUTE)
        || bound->plan->list[step->a].kind != STEP_OBJECT) {
        return 0;
    }
    return step->kind == STEP_TYPE
           || (PyTuple_GET_ITEM(bound->plan->names, step->b) == state->str.class_
               && type_lookup(bound->type, state->str.class_)
                      == type_lookup(&PyBaseObject_Type, state->str.class_));
}

/* The keys of the state, and the opcodes; more than any room if a key is not plain. */
static int
room_besides_values(const struct bound_plan *bound)
{
    const struct plan *plan = bound->plan;
    int room = OBJECT_ROOM;
    for (int i = 0; i < bound->state_count; i++) {
        uint16_t key_step = plan->operands[bound->keys_at + 2 * i];
        PyObject *key = PyTuple_GET_ITEM(plan->constants, plan->list[key_step].a);
        if (!PyUnicode_IS_COMPACT_ASCII(key) || PyUnicode_GET_LENGTH(key) > ATOM_LENGTH) {
            return INT_MAX / 2;
        }
        room += ATOM_ROOM;
    }
    return room;
}

/* Binds a plan to a type. */
static void
bound_make(struct core_state *state, struct bound_plan *bound, PyTypeObject *type,
           unsigned version, const struct plan *plan)
{
    memset(bound, 0, sizeof(*bound));
    bound->type = type;
    bound->version = version;
    bound->plan = plan;
    bound->number = plan->number;
    bound->state_count = -1;
    if (!is_straight(plan) || !lookup_is_plain(state, type)) {
        return;
    }
    const struct step *end = &plan->list[plan->count - 1];
    const uint16_t *operands = plan->operands + end->a;
    if (end->b > 3 || !place_callable(state, bound, operands[0])
        || !place_arguments(bound, &plan->list[operands[1]])
        || (end->b == 3 && !place_state(bound, &plan->list[operands[2]]))) {
        return;
    }
    bound->size = bound->argument_count + (bound->state_count > 0 ? bound->state_count : 0);
    bound->usable = place_makings(bound) && mark_repeated(bound) && reads_are_parts(bound);
    bound->room = room_besides_values(bound);
    bound->looks_up = looks_more_up(bound);
}

/* ---- making it ready ---------------------------------------------------- */

/* The value of a step that is no object's, now; borrowed, or NULL. */
static PyObject *
shared_value(struct core_state *state, struct bound_plan *bound, PyObject *function,
             const struct step *step)
{
    switch (step->kind) {
    case STEP_CONSTANT: return PyTuple_GET_ITEM(bound->plan->constants, step->a);
    case STEP_GLOBAL:
        return read_global_at(state, function, PyTuple_GET_ITEM(bound->plan->names, step->a),
                              &bound->global_hint);
    case STEP_CELL: return read_cell(function, step->a);
    case STEP_DEFAULT: return read_default(function, step->a);
    default: return (PyObject *)bound->type;
    }
}

/* True if the constructor is one that is written by REDUCE, and found by name without anything
   being asked of it. */
static int
callable_is_plain(struct core_state *state, PyObject *callable)
{
    enum reduction_form how;
    if (likely(callable != NULL && reduction_is_by_class(state, callable))) {
        return 1;
    }
    return callable != NULL && !reduction_form_is_foreign(state, callable)
           && reduction_find_form(state, callable, &how) == 0 && how == FORM_CALL;
}

/* Gives a value that was looked up to the parts that it is.  0 if its one holder could be
   saved by itself: see holds_alone(). */
static int
share_value(struct bound_plan *bound, uint16_t number, PyObject *value)
{
    if (number == bound->callable_step) {
        bound->callable = value;
    }
    for (int i = 0; i < bound->size + bound->hidden; i++) {
        if (bound->parts[i].step == number) {
            bound->parts[i].shared = value;
            if (has_one_reference(value)) {
                return 0;
            }
        }
    }
    return 1;
}

/* Looks all names up.  True if they are there, and hold the objects that the plan relies on. */
static NOINLINE int
look_all_up(struct core_state *state, struct bound_plan *bound, PyObject *function)
{
    const struct plan *plan = bound->plan;
    bound->callable = (PyObject *)bound->type;
    for (size_t i = 0; i < plan->count; i++) {
        const struct step *step = &plan->list[i];
        if (is_shared(step)) {
            PyObject *value = shared_value(state, bound, function, step);
            if (value == NULL || !share_value(bound, (uint16_t)i, value)) {
                return 0;
            }
        }
        else if (step->kind == STEP_EXPECT
                 && shared_value(state, bound, function, &plan->list[step->a])
                        != PyTuple_GET_ITEM(plan->constants, step->b)) {
            return 0;
        }
    }
    return 1;
}

int
bound_look_up(struct core_state *state, struct bound_plan *bound, PyObject *function)
{
    if (unlikely(bound->looks_up)) {
        if (!look_all_up(state, bound, function)) {
            return 0;
        }
    }
    else {
        const struct step *step = &bound->plan->list[bound->callable_step];
        bound->callable = shared_value(state, bound, function, step);
    }
    bound->code = PyFunction_GET_CODE(function);
    return class_values_hold(&bound->under_parts) && callable_is_plain(state, bound->callable);
}

/* ---- reducers that are methods in Python -------------------------------- */

static int
is_hiding_name(struct core_state *state, PyObject *name)
{
    return PyUnicode_Compare(name, state->str.reduce_ex) == 0
           || PyUnicode_Compare(name, state->str.reduce) == 0;
}

/* True if one of the shared keys from *seen on is such a name; looked at once. */
static int
shared_keys_shadow(struct core_state *state, struct layout_keys *keys, Py_ssize_t *seen)
{
    struct layout_entry *entries = layout_entries(keys);
    for (; *seen < keys->count; ++*seen) {
        if (entries[*seen].key != NULL && is_hiding_name(state, entries[*seen].key)) {
            return 1;
        }
    }
    return 0;
}

/* True if an attribute of the object shadows __reduce__ or __reduce_ex__, or may. */
static int
attributes_shadow(struct core_state *state, PyObject *object, Py_ssize_t *seen)
{
    PyTypeObject *type = Py_TYPE(object);
    if (PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
        if (layout_unmade_values(object, type) != NULL) {
            return shared_keys_shadow(state, layout_shared_keys(type), seen);
        }
    }
    else if (type->tp_dictoffset == 0) {
        return 0;
    }
    else if (type->tp_dictoffset < 0) {
        return 1;
    }
    PyObject *dict = layout_find_dict(object, type);
    return dict != NULL
           && (!PyDict_CheckExact(dict) || !layout_has_only_str_keys(dict)
               || PyDict_GetItemWithError(dict, state->str.reduce_ex) != NULL
               || PyDict_GetItemWithError(dict, state->str.reduce) != NULL);
}

int
bound_method_is_shadowed(struct core_state *state, struct bound_plan *bound, PyObject *object)
{
    return attributes_shadow(state, object, &bound->keys_seen);
}

PyObject *
bound_find_reducer(struct core_state *state, PyObject *object, int *takes_protocol)
{
    PyTypeObject *type = Py_TYPE(object), *base = &PyBaseObject_Type;
    Py_ssize_t seen = 0;
    if (!lookup_is_plain(state, type)) {
        return NULL;
    }
    PyObject *method = type_lookup(type, state->str.reduce_ex);
    *takes_protocol = 1;
    if (method == type_lookup(base, state->str.reduce_ex) && metaclass_leaves_alone(state, type)) {
        /* That looks __reduce__ up in the class, too. */
        PyObject *reduce = type_lookup(type, state->str.reduce);
        if (reduce != type_lookup(base, state->str.reduce)) {
            method = reduce;
            *takes_protocol = 0;
        }
    }
    return method != NULL && PyType_HasFeature(Py_TYPE(method), Py_TPFLAGS_METHOD_DESCRIPTOR)
                   && !attributes_shadow(state, object, &seen)
               ? method
               : NULL;
}

PyObject *
bound_find_method(struct core_state *state, PyObject *object, int *takes_protocol)
{
    PyObject *method = bound_find_reducer(state, object, takes_protocol);
    return method != NULL && PyFunction_Check(method) ? method : NULL;
}

PyObject *
bound_instance_value(PyObject *object, PyTypeObject *type, struct part *part)
{
    struct layout_values *values = PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)
                                       ? layout_unmade_values(object, type)
                                       : NULL;
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

int
bound_count_busy(struct core_state *state, int forget)
{
    int count = 0;
    for (size_t i = 0; i < BOUND_PLANS; i++) {
        struct bound_plan *bound = &state->types->bound->plans[i];
        count += bound->busy;
        bound->busy = forget ? 0 : bound->busy;
    }
    return count;
}

/* ---- values that are made ----------------------------------------------- */

/* Makes the values of the steps that make one, each from those before it.  How many were made. */
static int
run_makings(struct core_state *state, const struct bound_plan *bound, PyObject **by_step)
{
    struct plan_run run = {.state = state, .plan = bound->plan, .values = by_step};
    int made = 0, collects = collector_hold();
    for (; made < bound->making_count; made++) {
        uint16_t number = bound->makings[made];
        if (plan_run_making(&run, &bound->plan->list[number], &by_step[number]) != OUTCOME_DONE) {
            PyErr_Clear();
            break;
        }
    }
    collector_resume(collects);
    return made;
}

int
bound_make_parts(struct core_state *state, struct bound_plan *bound, PyObject *object,
                 PyObject **values)
{
    PyObject *by_step[BOUND_STEPS_MAX];
    int count = bound->size + bound->hidden;
    for (int i = 0; i < count; i++) {
        struct part *part = &bound->parts[i];
        if (part->place != PART_MADE) {
            by_step[part->step] = bound_read_part(part, bound->type, object);
            if (by_step[part->step] == NULL) {
                return 0;
            }
        }
    }
    int made = run_makings(state, bound, by_step), done = made == bound->making_count;
    for (int i = 0; done && i < bound->size; i++) {
        values[i] = by_step[bound->parts[i].step];
        if (bound->parts[i].place == PART_MADE) {
            Py_INCREF(values[i]);
        }
    }
    while (made > 0) {
        Py_DECREF(by_step[bound->makings[--made]]);
    }
    return done;
}

void
bound_release_made(const struct bound_plan *bound, PyObject *const *values)
{
    for (int i = 0; i < bound->size; i++) {
        if (bound->parts[i].place == PART_MADE) {
            Py_DECREF(values[i]);
        }
    }
}

/* ---- for copies --------------------------------------------------------- */

/* The same for a copier, which is given nothing but atoms of what is made. */
static int
make_atoms(struct core_state *state, struct bound_plan *bound, PyObject *object,
           struct bound_parts *parts)
{
    int are_atoms = 1;
    if (!bound_make_parts(state, bound, object, parts->values)) {
        return 0;
    }
    for (int i = 0; i < bound->size; i++) {
        if (bound->parts[i].place == PART_MADE) {
            parts->made |= (uint32_t)1 << i;
            are_atoms &= is_atom(parts->values[i]);
        }
    }
    if (!are_atoms) {
        bound_release(parts);
        parts->made = 0;
    }
    return are_atoms;
}

struct bound_plan *
bound_of(struct core_state *state, const struct plan *plan, PyTypeObject *type)
{
    struct bound_plan *bound = bound_at(state, type);
    unsigned version = type_assign_version(type, state->str.class_);
    if (version == 0) {
        return NULL;
    }
    if (bound->type != type || bound->version != version || bound->number != plan->number) {
        if (bound->busy) {
            return NULL;
        }
        bound_make(state, bound, type, version, plan);
    }
    return bound->usable ? bound : NULL;
}

int
bound_read(struct core_state *state, uint64_t epoch, PyObject *object, struct bound_parts *parts)
{
    struct bound_plan *bound = bound_at(state, Py_TYPE(object));
    if (bound->type != Py_TYPE(object) || bound->copy_epoch != epoch || bound->state_count >= 0
        || bound->argument_count > parts->count
        || (bound->of_method && bound_method_is_shadowed(state, bound, object))) {
        return 0;
    }
    parts->callable = bound->callable;
    parts->count = bound->argument_count;
    parts->made = 0;
    if (unlikely(bound->making_count != 0)) {
        return make_atoms(state, bound, object, parts) && ++state->plans->reduced_by_plan != 0;
    }
    for (int i = 0; i < bound->argument_count; i++) {
        parts->values[i] = bound_read_part(&bound->parts[i], bound->type, object);
        if (parts->values[i] == NULL) {
            return 0;
        }
    }
    state->plans->reduced_by_plan++;
    return 1;
}

int
bound_prepare(struct core_state *state, uint64_t epoch, const struct reducer *reducer,
              int of_method, PyTypeObject *type)
{
    struct bound_plan *bound = reducer->count == 0 && reducer->keywords == NULL
                                   ? bound_of(state, reducer->plan, type)
                                   : NULL;
    if (bound == NULL || bound->state_count >= 0
        || !bound_look_up(state, bound, reducer->function)) {
        return 0;
    }
    bound->copy_epoch = epoch;
    bound->of_method |= of_method; /* a pickler may hold it for a method's */
    bound->constructor = NULL;
    return 1;
}
