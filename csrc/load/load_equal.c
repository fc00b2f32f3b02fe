/* Keys of many parts that may be equal to others; see load_equal.h. */
#include "load/load_equal.h"
#include "load/room.h"

#include "base/stack.h"
#include "base/walk.h"

/* Parts of the keys of one load that are compared, each counted as often as it is met: a second.
 */
enum { KEY_COMPARISONS = LOAD_KEY_COMPARISONS, FIRST_PAIRS = 16, PAIRS_UNASKED = 64 };

/* Two tuples, or sets, that == would compare. */
struct pair {
    PyObject *left; /* strong; a set is as set_for_walk() returns it */
    PyObject *right;
    Py_ssize_t next; /* part of `left` */
    int of_sets;
};

/* The pairs that lead to the one that is being compared, outermost first, and others that are to
   be compared yet. */
struct comparison {
    struct key_bounds *bounds;
    struct pair *pairs;
    size_t count;
    size_t room;
    size_t deepest; /* so many may be open before the C stack is looked at */
};

/* The object that is looked up instead of a key. */
typedef struct {
    PyObject_HEAD struct comparison *comparison; /* NULL: the comparison is over */
    PyObject *key;                               /* borrowed while it is not */
    Py_hash_t hash;
    unsigned long thread; /* that runs the comparison */
    uintptr_t asked_at;   /* where on the C stack it was asked last */
} KeyProbeObject;

/* ---- pairs -------------------------------------------------------------- */

static int
is_compared_as_tuple(PyObject *object)
{
    return Py_TYPE(object)->tp_richcompare == PyTuple_Type.tp_richcompare;
}

/* Makes room for a pair: 0, or -1 with MemoryError. */
static int
reserve_pair(struct comparison *comparison)
{
    if (comparison->count < comparison->room) {
        return 0;
    }
    size_t room = comparison->room == 0 ? FIRST_PAIRS : 2 * comparison->room;
    struct pair *grown = room > PY_SSIZE_T_MAX / sizeof(struct pair)
                             ? NULL
                             : PyMem_Realloc(comparison->pairs, room * sizeof(struct pair));
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    comparison->pairs = grown;
    comparison->room = room;
    return 0;
}

/* Adds two objects if == goes into them: 0, or -1 with MemoryError. */
static int
add_pair(struct comparison *comparison, PyObject *left, PyObject *right)
{
    int of_sets =
        key_is_set(left) && key_is_set(right) && PySet_GET_SIZE(left) == PySet_GET_SIZE(right);
    if (left == right
        || (!of_sets && !(is_compared_as_tuple(left) && is_compared_as_tuple(right)))) {
        return 0;
    }
    PyObject *walked = reserve_pair(comparison) < 0 ? NULL
                       : of_sets                    ? set_for_walk(left)
                                                    : Py_NewRef(left);
    if (walked == NULL) {
        return -1;
    }
    comparison->pairs[comparison->count++] = (struct pair){walked, Py_NewRef(right), 0, of_sets};
    return 0;
}

/* Releases the last pair.  May run Python code. */
static void
drop_pair(struct comparison *comparison)
{
    struct pair pair = comparison->pairs[--comparison->count];
    Py_DECREF(pair.left);
    Py_DECREF(pair.right);
}

/* Counts a part: 0, or -1 with UnpicklingError. */
static int
count_part(struct core_state *state, struct comparison *comparison)
{
    if (++comparison->bounds->compared <= KEY_COMPARISONS) {
        return 0;
    }
    PyErr_SetString(state->stdlib.unpickling_error, "too many parts in keys that may be equal");
    return -1;
}

/* ---- the probe ---------------------------------------------------------- */

static Py_hash_t
probe_hash(PyObject *self)
{
    KeyProbeObject *probe = (KeyProbeObject *)self;
    char here;
    probe->asked_at = (uintptr_t)&here;
    return probe->hash;
}

/* Takes note of a key with the same hash, and is equal to none. */
static PyObject *
probe_richcompare(PyObject *self, PyObject *other, int operation)
{
    KeyProbeObject *probe = (KeyProbeObject *)self;
    char here;
    probe->asked_at = (uintptr_t)&here;
    if (operation == Py_EQ && probe->comparison != NULL
        && probe->thread == PyThread_get_thread_ident()
        && add_pair(probe->comparison, other, probe->key) < 0) {
        return NULL;
    }
    return Py_NewRef(operation == Py_NE ? Py_True : Py_False);
}

static void
probe_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot probe_slots[] = {
    {Py_tp_dealloc, probe_dealloc},
    {Py_tp_hash, probe_hash},
    {Py_tp_richcompare, probe_richcompare},
    {0, NULL},
};

static PyType_Spec probe_spec = {
    .name = "fastcopyreg._core.KeyProbe",
    .basicsize = sizeof(KeyProbeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = probe_slots,
};

int
load_equal_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *type = PyType_FromModuleAndSpec(module, &probe_spec, NULL);
    state->load->key_probe_type = (PyTypeObject *)type;
    state->load->hash_goes_deep = !tuple_hash_is_bounded();
    return type == NULL ? -1 : 0;
}

/* ---- the C stack that keys take ------------------------------------------- */

#if !C_STACK_IS_SEEN

/* A probe in a tuple, in a tuple, if so many; strong or NULL. */
static PyObject *
probe_within(PyTypeObject *type, int tuples, KeyProbeObject **probe)
{
    PyObject *outer = type->tp_alloc(type, 0);
    *probe = (KeyProbeObject *)outer;
    for (int i = 0; outer != NULL && i < tuples; i++) {
        PyObject *inner = outer;
        outer = PyTuple_Pack(1, inner);
        Py_DECREF(inner);
    }
    return outer;
}

/* The places where a probe within tuples is asked for its hash, and for equality with another. */
static int
ask_within(struct core_state *state, int tuples, uintptr_t places[2])
{
    KeyProbeObject *probe, *other;
    PyObject *left = probe_within(state->load->key_probe_type, tuples, &probe);
    PyObject *right = probe_within(state->load->key_probe_type, tuples, &other);
    int result = left == NULL || right == NULL || PyObject_Hash(left) == -1 ? -1 : 0;
    if (result == 0) {
        places[0] = probe->asked_at;
        result = PyObject_RichCompareBool(left, right, Py_EQ) < 0 ? -1 : 0;
        places[1] = probe->asked_at;
    }
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

int
load_measure_keys(struct core_state *state)
{
    uintptr_t shallow[2], deep[2];
    if (state->load->hash_frame != 0) {
        return 0;
    }
    if (ask_within(state, 1, shallow) < 0 || ask_within(state, 2, deep) < 0) {
        return -1;
    }
    state->load->equal_frame = shallow[1] - deep[1];
    state->load->hash_frame = shallow[0] - deep[0];
    return 0;
}

/* Checks that the C stack has room for ==, with so many pairs open: 0, or -1 with an exception. */
static int
check_depth_of_equals(struct core_state *state, struct comparison *comparison)
{
    if (comparison->count < comparison->deepest) {
        return 0;
    }
    if (load_measure_keys(state) < 0) {
        return -1;
    }
    comparison->deepest = stack_levels(state->load->equal_frame, SIZE_MAX);
    if (comparison->count < comparison->deepest) {
        return 0;
    }
    PyErr_SetString(PyExc_RecursionError, "maximum recursion depth exceeded in comparison");
    return -1;
}

#else
#define check_depth_of_equals(state, comparison) 0
#endif

/* ---- finding equals -------------------------------------------------------- */

/* Adds the pairs of a key, whose hash is known, and those of a container that it may be equal to.
   0, or -1 with an exception.  Runs Python code. */
static int
add_equals(struct core_state *state, struct comparison *comparison, PyObject *container,
           PyObject *key, Py_hash_t hash)
{
    PyTypeObject *type = state->load->key_probe_type;
    KeyProbeObject *probe = (KeyProbeObject *)type->tp_alloc(type, 0);
    if (probe == NULL) {
        return -1;
    }
    probe->comparison = comparison;
    probe->key = key;
    probe->hash = hash;
    probe->thread = PyThread_get_thread_ident();
    int found = PyDict_Check(container) ? PyDict_Contains(container, (PyObject *)probe)
                                        : PySet_Contains(container, (PyObject *)probe);
    probe->comparison = NULL;
    Py_DECREF(probe);
    return found < 0 ? -1 : 0;
}

/* ---- comparing ---------------------------------------------------------- */

/* Goes on with the last pair, of tuples, up to parts that == would go into.  0, or -1 with an
   exception.  May run Python code. */
static int
compare_tuples(struct core_state *state, struct comparison *comparison)
{
    struct pair *pair = &comparison->pairs[comparison->count - 1];
    PyObject *left = pair->left, *right = pair->right;
    size_t count = comparison->count;
    while (pair->next < PyTuple_GET_SIZE(left) && pair->next < PyTuple_GET_SIZE(right)) {
        Py_ssize_t at = pair->next++;
        if (count_part(state, comparison) < 0
            || add_pair(comparison, PyTuple_GET_ITEM(left, at), PyTuple_GET_ITEM(right, at)) < 0) {
            return -1;
        }
        if (comparison->count > count) {
            return 0;
        }
    }
    drop_pair(comparison);
    return 0;
}

/* The same of sets, by one element of the left one. */
static int
compare_sets(struct core_state *state, struct comparison *comparison)
{
    struct pair *pair = &comparison->pairs[comparison->count - 1];
    PyObject *left = pair->left, *right = pair->right, *element;
    if (!set_next(left, &pair->next, &element)) {
        drop_pair(comparison);
        return 0;
    }
    if (count_part(state, comparison) < 0) {
        return -1;
    }
    if (!key_has_parts(element)) {
        return 0;
    }
    Py_INCREF(element);
    Py_hash_t hash = set_hash_of(left, pair->next, element);
    int result = hash == -1 ? -1 : add_equals(state, comparison, right, element, hash);
    Py_DECREF(element);
    return result;
}

int
load_check_equals(struct core_state *state, struct key_bounds *bounds, PyObject *container,
                  PyObject *key)
{
    if (container == NULL || !(PyDict_Check(container) || PyAnySet_Check(container))) {
        return 0;
    }
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
            return -1;
        }
        PyErr_Clear(); /* the container words it */
        return 0;
    }
    struct comparison comparison = {.bounds = bounds, .deepest = PAIRS_UNASKED};
    int result = add_equals(state, &comparison, container, key, hash);
    while (result == 0 && comparison.count > 0) {
        result = check_depth_of_equals(state, &comparison) < 0 ? -1
                 : comparison.pairs[comparison.count - 1].of_sets
                     ? compare_sets(state, &comparison)
                     : compare_tuples(state, &comparison);
    }
    while (comparison.count > 0) {
        drop_pair(&comparison);
    }
    PyMem_Free(comparison.pairs);
    return result;
}
