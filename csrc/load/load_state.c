/* State stored straight into the instance, without the dict that SETITEMS would fill for
   BUILD to empty again.

   The general way makes the state dict, and BUILD looks up __setstate__ and __dict__, makes the
   instance's dict and copies every item into it.  Where the difference cannot be seen, the values
   go from the stack to the places of the attributes: the values of an instance whose __dict__ was
   never made, or its slots.  No program can see it if

   - the state dict is empty, and only the stack holds it, or a memo that defers the making of it
     (load_memo.h);
   - the type finds attributes in the usual way and has no __setstate__, or one that does as
   BUILD would (setstate.h); an instance without attributes cannot have one either; the type sets
   slots in the usual way;
   - the instance has no __dict__ yet and no attribute in it, or none of the slots set;
   - the keys are exact strings that name different attributes, all of which the type's
     instances have shared keys or slots for.

   A SimpleNamespace without attributes has an empty dict of its own, which is filled in the place
   of the state.

   A class whose shared keys are full, because many of its instances had fewer attributes, has no
   places for the others; the interpreter then gives the instance a dict of its own.  So does a
   shape, by a copy of one that has the names as keys.

   The answers that depend on the type and the keys are found once and remembered for the load as a
   shape: the type's version, the very keys, and the place of each.  The keys are the same objects
   in the pickle of every further instance. */
#include "load/load_state.h"

#include "load/load_template.h"
#include "types/rebuild.h"
#include "load/safe_limits.h"
#include "types/setstate.h"
#include "plans/room.h"
#include "values/room.h"
#include "load/room.h"
#include "base/layout.h"

enum {
    SHAPE_COUNT = 16,
    /* The shared keys of a type have at most 30 names. */
    SHAPE_KEYS = 30
};

static_assert(SHAPE_COUNT <= 32, "shapes_used has 32 bits");

struct load_shape {
    unsigned int version; /* of the type; 0: no shape */
    int count;
    int in_slots;
    int greatest;            /* of the places in the values */
    PyObject *setstate;      /* of the type, which updates the __dict__; borrowed, or NULL */
    PyObject *template;      /* of the __dict__, if the keys have no places; owned, or NULL */
    unsigned int missed;     /* the version of a type whose keys had no places lately, ... */
    Py_ssize_t missed_count; /* ... so many */
    PyObject *keys[SHAPE_KEYS];
    Py_ssize_t places[SHAPE_KEYS];
};

struct load_shapes {
    struct load_shape shapes[SHAPE_COUNT];
};

static void
forget_shape(struct load_shape *shape)
{
    shape->version = 0;
    Py_CLEAR(shape->template);
    while (shape->count > 0) {
        Py_DECREF(shape->keys[--shape->count]);
    }
}

void
load_forget_shapes(struct unpickler *unpickler)
{
    for (int i = 0; unpickler->shapes_used != 0; i++, unpickler->shapes_used >>= 1) {
        if ((unpickler->shapes_used & 1) != 0) {
            forget_shape(&unpickler->shapes->shapes[i]);
        }
    }
}

void
load_free_shapes(struct unpickler *unpickler)
{
    load_forget_shapes(unpickler);
    struct load_room *room = unpickler->state->load;
    if (HAS_GIL && room != NULL && room->spare_shapes == NULL) {
        room->spare_shapes = unpickler->shapes;
    }
    else {
        PyMem_Free(unpickler->shapes);
    }
    unpickler->shapes = NULL;
}

/* The shape's place for a version and number of keys, or NULL without memory. */
static struct load_shape *
find_shape(struct unpickler *unpickler, unsigned int version)
{
    if (unlikely(unpickler->shapes == NULL)) {
        struct load_room *room = unpickler->state->load;
        unpickler->shapes = room->spare_shapes;
        room->spare_shapes = NULL;
        if (unpickler->shapes == NULL) {
            unpickler->shapes = PyMem_Calloc(1, sizeof(struct load_shapes));
        }
        if (unpickler->shapes == NULL) {
            return NULL;
        }
    }
    return &unpickler->shapes->shapes[version % SHAPE_COUNT];
}

ALWAYS_INLINE int
fits_shape(const struct load_shape *shape, unsigned int version, int in_slots, PyObject **pairs,
           Py_ssize_t count)
{
    if (unlikely(shape->version != version || shape->count != count
                 || shape->in_slots != in_slots)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (unlikely(shape->keys[i] != pairs[2 * i])) {
            return 0;
        }
    }
    return 1;
}

/* True if two exact strings are equal; such have the same kind. */
ALWAYS_INLINE int
same_string(PyObject *a, PyObject *b)
{
    return a == b
           || (PyUnicode_GET_LENGTH(a) == PyUnicode_GET_LENGTH(b)
               && PyUnicode_KIND(a) == PyUnicode_KIND(b)
               && memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b),
                         (size_t)PyUnicode_GET_LENGTH(a) * PyUnicode_KIND(a))
                      == 0);
}

/* The places of the keys in the values of an instance: those of the shared keys, which are
   interned already, as BUILD would do.  1, or 0 if not all have a place of their own. */
static int
find_values(struct load_shape *shape, PyTypeObject *type)
{
    struct layout_keys *keys = layout_shared_keys(type);
    uint32_t met = 0;
    if (keys == NULL || keys->count > 32) {
        return 0;
    }
    struct layout_entry *entries = layout_entries(keys);
    shape->greatest = 0;
    for (int i = 0; i < shape->count; i++) {
        /* Mostly they are in the order in which they were first set. */
        int place = i < keys->count && same_string(entries[i].key, shape->keys[i]) ? i : 0;
        while (place < keys->count && !same_string(entries[place].key, shape->keys[i])) {
            place++;
        }
        if (place == keys->count || (met >> place & 1) != 0) {
            return 0;
        }
        met |= UINT32_C(1) << place;
        shape->places[i] = place;
        shape->greatest = place > shape->greatest ? place : shape->greatest;
    }
    return 1;
}

/* Which slots the keys name.  1, or 0 if not all have a slot of their own. */
static int
find_named_slots(struct load_shape *shape, PyTypeObject *type)
{
    for (int i = 0; i < shape->count; i++) {
        PyObject *name = Py_NewRef(shape->keys[i]);
        PyUnicode_InternInPlace(&name); /* as setattr does */
        shape->places[i] = layout_slot_offset(type, name);
        Py_DECREF(name);
        for (int j = 0; j < i; j++) {
            if (shape->places[j] == shape->places[i]) {
                return 0;
            }
        }
        if (shape->places[i] < 0) {
            return 0;
        }
    }
    return 1;
}

/* Makes a template for keys that have no places.  BUILD gives them places if it can, so that is
   left to it the first time.  1, or 0. */
static int
learn_template(struct load_shape *shape, unsigned int version, PyObject **pairs, Py_ssize_t count)
{
    if (shape->missed == version && shape->missed_count == count) {
        shape->template = load_make_names_template(pairs, count);
        return shape->template != NULL;
    }
    shape->missed = version;
    shape->missed_count = count;
    return 0;
}

/* Works out the shape of a type and keys; `builds`: the state is stored as BUILD does.  1, or 0 if
   it has none. */
static int
learn_shape(struct load_shape *shape, PyTypeObject *type, unsigned int version, int in_slots,
            int builds, PyObject **pairs, Py_ssize_t count)
{
    forget_shape(shape);
    if (count > SHAPE_KEYS) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyUnicode_CheckExact(pairs[2 * i])) {
            return 0;
        }
    }
    shape->in_slots = in_slots;
    for (; shape->count < count; shape->count++) {
        shape->keys[shape->count] = Py_NewRef(pairs[2 * shape->count]);
    }
    if (!(in_slots ? find_named_slots(shape, type)
                   : find_values(shape, type)
                         || (builds && learn_template(shape, version, pairs, count)))) {
        forget_shape(shape);
        return 0;
    }
    shape->version = version;
    return 1;
}

/* True if the type's instances take their state in the usual way, or have a __setstate__ that does
   so: `setstate`, or NULL. */
static int
takes_state(struct core_state *state, PyTypeObject *type, int in_slots, PyObject **setstate)
{
    unsigned int needed =
        REBUILD_PLAIN_STATE | (in_slots ? REBUILD_PLAIN_SETATTR : REBUILD_OWN_DICT);
    unsigned int facts = rebuild_facts(state, type);
    *setstate = NULL;
    if ((facts & needed) == needed) {
        return 1;
    }
    *setstate = in_slots || (facts & REBUILD_CALLED_SETSTATE) != 0
                    ? NULL
                    : setstate_find_update(state, type);
    return *setstate != NULL;
}

/* True if a shape that fits still is one: its __setstate__ may do something else by now. */
ALWAYS_INLINE int
shape_holds(struct core_state *state, const struct load_shape *shape)
{
    return likely(shape->setstate == NULL) || setstate_updates(state, shape->setstate);
}

/* The shape of the instance's type and these keys, or NULL. */
static struct load_shape *
shape_of(struct unpickler *unpickler, PyObject *object, int in_slots, PyObject **pairs,
         Py_ssize_t count)
{
    PyTypeObject *type = Py_TYPE(object);
    unsigned int version = type_version(type);
    struct load_shape *shape = find_shape(unpickler, version);
    if (unlikely(shape == NULL)) {
        return NULL;
    }
    if (likely(version != 0 && fits_shape(shape, version, in_slots, pairs, count))) {
        return shape_holds(unpickler->state, shape) ? shape : NULL;
    }
    PyObject *setstate;
    if (!takes_state(unpickler->state, type, in_slots, &setstate)) {
        return NULL;
    }
    if (unpickler->policy != NULL && !safe_stores(unpickler, object, pairs, count)) {
        return NULL;
    }
    version = type_version(type);
    shape = find_shape(unpickler, version);
    unpickler->shapes_used |= UINT32_C(1) << (version % SHAPE_COUNT);
    if (!learn_shape(shape, type, version, in_slots, setstate == NULL, pairs, count)) {
        return NULL;
    }
    shape->setstate = setstate;
    return shape;
}

/* Moves values into the instance's own.  1, or 0 if it has attributes already. */
ALWAYS_INLINE int
store_values(PyObject *object, const struct load_shape *shape, PyObject **pairs)
{
    struct layout_values *values = layout_unmade_values(object, Py_TYPE(object));
    if (unlikely(values == NULL || layout_values_count(values) != 0
                 || !layout_values_hold(values, shape->greatest))) {
        return 0;
    }
    for (int i = 0; i < shape->count; i++) {
        layout_values_append(values, (int)shape->places[i], pairs[2 * i + 1]);
    }
    return 1;
}

/* Moves values into a new dict, which becomes the instance's.  1, 0 if it has attributes already,
   or -1 with MemoryError.  Runs no Python code. */
static NOINLINE int
store_dict(PyObject *object, const struct load_shape *shape, PyObject **pairs)
{
    struct layout_values *values = layout_unmade_values(object, Py_TYPE(object));
    PyObject *dict;
    int made = values == NULL || layout_values_count(values) != 0
                   ? 0
                   : load_copy_template(shape->template, pairs, shape->count, &dict);
    if (made <= 0) {
        return made;
    }
    int set = PyObject_GenericSetDict(object, dict, NULL);
    if (set == 0) {
        layout_values_end(values);
    }
    for (int i = 0; set < 0 && i < shape->count; i++) {
        pairs[2 * i + 1] = Py_NewRef(Py_None); /* the stack's were moved */
    }
    Py_DECREF(dict);
    return set < 0 ? -1 : 1;
}

/* Moves values into slots.  1, or 0 if one of them is set already. */
ALWAYS_INLINE int
store_slots(PyObject *object, const struct load_shape *shape, PyObject **pairs)
{
    for (int i = 0; i < shape->count; i++) {
        if (unlikely(*layout_slot(object, shape->places[i]) != NULL)) {
            return 0;
        }
    }
    for (int i = 0; i < shape->count; i++) {
        *layout_slot(object, shape->places[i]) = pairs[2 * i + 1];
    }
    return 1;
}

/* ---- one object -------------------------------------------------------- */

ALWAYS_INLINE int
fits_bytes(const struct load_shape *shape, const struct key_bytes *keys)
{
    for (int i = 0; i < shape->count; i++) {
        PyObject *key = shape->keys[i];
        if ((size_t)PyUnicode_GET_LENGTH(key) != keys[i].size
            || memcmp(PyUnicode_DATA(key), keys[i].bytes, keys[i].size) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Learns the shape of a type and keys, which are made for it.  1, 0 if it has none, or -1. */
static int
learn_one_shape(struct core_state *state, PyTypeObject *type, int in_slots,
                const struct key_bytes *keys, PyObject **pairs, Py_ssize_t count)
{
    PyObject *setstate;
    if (!takes_state(state, type, in_slots, &setstate)) {
        return 0;
    }
    Py_ssize_t made = 0;
    while (made < count
           && (pairs[2 * made] = load_make_string(state, keys[made].bytes, keys[made].size))
                  != NULL) {
        made++;
    }
    int learnt = made < count ? -1
                              : learn_shape(state->load->one_shape, type, type_version(type),
                                            in_slots, 0, pairs, count);
    while (made-- > 0) {
        Py_CLEAR(pairs[2 * made]);
    }
    state->load->one_shape->setstate = setstate;
    return learnt;
}

int
load_store_one(struct core_state *state, PyObject *object, int in_slots,
               const struct key_bytes *keys, PyObject **pairs, Py_ssize_t count)
{
    if (!layout_is_known()) {
        return 0;
    }
    PyTypeObject *type = Py_TYPE(object);
    if (unlikely(state->load->one_shape == NULL)) {
        state->load->one_shape = PyMem_Calloc(1, sizeof(struct load_shape));
        if (state->load->one_shape == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    struct load_shape *shape = state->load->one_shape;
    unsigned int version = type_version(type);
    if (unlikely(version == 0 || shape->version != version || shape->count != count
                 || shape->in_slots != in_slots || !fits_bytes(shape, keys))) {
        int learnt = learn_one_shape(state, type, in_slots, keys, pairs, count);
        if (learnt <= 0) {
            return learnt;
        }
    }
    if (unlikely(!shape_holds(state, shape))) {
        return 0;
    }
    return in_slots ? store_slots(object, shape, pairs) : store_values(object, shape, pairs);
}

void
load_forget_one_shape(struct core_state *state)
{
    if (state->load->one_shape != NULL) {
        forget_shape(state->load->one_shape);
        PyMem_Free(state->load->one_shape);
        state->load->one_shape = NULL;
    }
}

/* ---- many -------------------------------------------------------------- */

/* The opcodes that follow SETITEMS: 1 if BUILD with the dict as state, 2 if TUPLE2 and BUILD with
   the dict as slot state of a tuple that nobody will see, else 0.  *put is the size of the opcode
   that puts that tuple, 0 if there is none. */
ALWAYS_INLINE int
state_that_follows(struct unpickler *unpickler, size_t *put)
{
    *put = 0;
    const unsigned char *at = unpickler->reader.at;
    Py_ssize_t there = unpickler->reader.end - at;
    if (there > 0 && at[0] == OP_BUILD) {
        return 1;
    }
    if (there < 2 || at[0] != OP_TUPLE2) {
        return 0;
    }
    *put = load_size_of_put(unpickler, at + 1, unpickler->memo.length);
    return (size_t)there > 1 + *put && at[1 + *put] == OP_BUILD
                   && (*put == 0 || load_memo_skips(&unpickler->memo))
               ? 2
               : 0;
}

/* True if the state dict is held by the stack alone; or by the memo too, which can do without it:
   then *index is its index there, else -1. */
ALWAYS_INLINE int
is_held_by_us(const struct unpickler *unpickler, PyObject *dict, Py_ssize_t count,
              Py_ssize_t *index)
{
    const struct load_memo *memo = &unpickler->memo;
    *index = -1;
    if (has_one_reference(dict)) {
        return 1;
    }
    if (!memo->defers || !has_two_references(dict)) {
        return 0;
    }
    /* Its keys and values have come since, each of which may have several entries. */
    *index = load_memo_find_newest(memo, dict, (size_t)count * 6 + 8);
    return *index >= 0;
}

/* True if the tuple that a dict of slots is in is put into no memo, or deferred with the dict. */
ALWAYS_INLINE int
can_pass_tuple(const struct unpickler *unpickler, size_t put, Py_ssize_t index)
{
    return unpickler->memo.prescanned || put == 0 || index >= 0;
}

/* Gives the memo the items of the deferred dict, and the tuple that the dict is in.  0, or -1 with
   MemoryError and nothing done. */
static int
defer_state(struct unpickler *unpickler, PyObject **pairs, size_t put, Py_ssize_t index)
{
    struct load_memo *memo = &unpickler->memo;
    size_t count = (size_t)(unpickler->top - pairs);
    if (load_memo_defer_dict(memo, (size_t)index, pairs, count) < 0) {
        return -1;
    }
    return put > 0 ? load_memo_defer_tuple(memo, pairs - 2, 2, index) : 0;
}

/* Drops the keys and the state from the stack, and passes the opcodes that made of it. */
static void
finish_store(struct unpickler *unpickler, PyObject **pairs, int follows, size_t put)
{
    for (PyObject **key = pairs; key < unpickler->top; key += 2) {
        Py_DECREF(*key);
    }
    unpickler->top = pairs - 1;
    load_keep_spare_dict(unpickler, *unpickler->top);
    if (follows == 1) {
        unpickler->reader.at++;
        return;
    }
    load_drop_to(unpickler, unpickler->top - 1); /* None */
    if (unpickler->memo.prescanned) {
        unpickler->memo.length += put > 0;
    }
    unpickler->reader.at += 2 + put;
}

/* The dict of a SimpleNamespace if that is empty, as BUILD would fill it; borrowed, or NULL. */
static PyObject *
find_empty_namespace(struct unpickler *unpickler, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type != unpickler->state->values->builtin.simple_namespace) {
        return NULL;
    }
    PyObject *dict = layout_find_dict(object, type);
    return dict != NULL && PyDict_CheckExact(dict) && PyDict_GET_SIZE(dict) == 0 ? dict : NULL;
}

/* Fills the dict of a SimpleNamespace from the pairs, whose keys are interned first as BUILD does.
   1, 0 if BUILD has to do it, or -1 with an exception.  The pairs are there still unless the
   result is 1. */
static int
fill_namespace(struct unpickler *unpickler, PyObject *dict, PyObject **pairs)
{
    for (PyObject **key = pairs; key < unpickler->top; key += 2) {
        if (!PyUnicode_CheckExact(*key)) {
            return 0;
        }
    }
    for (PyObject **key = pairs; key < unpickler->top; key += 2) {
        PyUnicode_InternInPlace(key);
    }
    int filled = load_fill_dict(unpickler, dict, pairs);
    for (PyObject **pair = pairs; filled == 0 && pair < unpickler->top; pair += 2) {
        if (PyDict_SetItem(dict, pair[0], pair[1]) < 0) {
            return -1;
        }
    }
    if (filled >= 0) {
        load_drop_to(unpickler, pairs);
    }
    return filled < 0 ? -1 : 1;
}

/* load_store_state() where it would have a dict made for the state of a SimpleNamespace. */
static int
store_namespace(struct unpickler *unpickler, PyObject *dict, PyObject **pairs)
{
    int filled = fill_namespace(unpickler, dict, pairs);
    if (filled > 0) {
        finish_store(unpickler, pairs, 1, 0);
    }
    return filled;
}

int
load_store_state(struct unpickler *unpickler, PyObject **pairs)
{
    if (!layout_is_known()) {
        return 0;
    }
    size_t put;
    int follows = state_that_follows(unpickler, &put);
    if (follows == 0) {
        return 0;
    }
    PyObject *dict = pairs[-1], **below = pairs - 1 - follows;
    Py_ssize_t index, count = (unpickler->top - pairs) / 2;
    if (below < unpickler->fence || !PyDict_CheckExact(dict) || PyDict_GET_SIZE(dict) != 0
        || !is_held_by_us(unpickler, dict, count, &index)
        || (follows == 2 && (pairs[-2] != Py_None || !can_pass_tuple(unpickler, put, index)))) {
        return 0;
    }
    PyObject *namespace = follows == 1 ? find_empty_namespace(unpickler, *below) : NULL;
    if (namespace != NULL && index >= 0) {
        return 0;
    }
    if (namespace != NULL) {
        if (unpickler->policy != NULL
            && (!safe_stores(unpickler, *below, pairs, count)
                || safe_count_stored(unpickler, pairs, 0, count) < 0)) {
            return PyErr_Occurred() ? -1 : 0;
        }
        return store_namespace(unpickler, namespace, pairs);
    }
    struct load_shape *shape = shape_of(unpickler, *below, follows == 2, pairs, count);
    int stored = shape == NULL             ? 0
                 : follows == 2            ? store_slots(*below, shape, pairs)
                 : shape->template == NULL ? store_values(*below, shape, pairs)
                                           : store_dict(*below, shape, pairs);
    if (stored <= 0) {
        return stored;
    }
    unpickler->state->plans->made_by_plan += shape->setstate != NULL;
    int deferred = index < 0 ? 0 : defer_state(unpickler, pairs, put, index);
    finish_store(unpickler, pairs, follows, put);
    if (unlikely(deferred < 0)) {
        return -1;
    }
    if (unlikely(unpickler->policy != NULL)
        && safe_count_stored(unpickler, pairs, follows == 2, count) < 0) {
        return -1;
    }
    return 1;
}
