/* Keys of a load with a policy: see safe_keys.h.

   No pickle shall be able to say many keys that the interpreter compares with one another.  Keys
   of one hash are counted; texts and bytes are hashed with a secret, so that only equal ones have
   the same, and the cost of finding that out is charged. */
#include "load/safe_keys.h"

#include "base/walk.h"
#include "load/safe_limits.h"

enum {
    FIRST_HASHES = 64,
    FEW_PARTS = 128,
    MOST_PARTS = 1024 /* of two keys with the same hash */
};

/* ---- parts -------------------------------------------------------------- */

/* A walk through an object: the parts that are still to be looked at, and their number so far. */
struct parts {
    PyObject *waiting[MOST_PARTS]; /* borrowed: the whole has them */
    Py_ssize_t depth;
    Py_ssize_t seen;
    Py_ssize_t most;
    uint64_t size; /* of texts and bytes */
};

/* 1, or 0 if there are too many. */
static int
add_key_part(struct parts *parts, PyObject *part)
{
    if (parts->seen == parts->most) {
        return 0;
    }
    parts->seen++;
    parts->waiting[parts->depth++] = part;
    return 1;
}

static int
add_items_of_set(struct parts *parts, PyObject *set)
{
    PyObject *element, *walked = set_for_walk(set);
    Py_ssize_t position = 0;
    int few = walked != NULL;
    while (few && set_next(walked, &position, &element)) {
        few = add_key_part(parts, element);
    }
    Py_XDECREF(walked);
    PyErr_Clear();
    return few;
}

static int
add_items_of_dict(struct parts *parts, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int few = 1;
    while (few && PyDict_Next(dict, &position, &key, &value)) {
        few = add_key_part(parts, key) && add_key_part(parts, value);
    }
    return few;
}

static int
add_items_of_array(struct parts *parts, PyObject *const *items, Py_ssize_t count)
{
    int few = count <= parts->most;
    for (Py_ssize_t i = 0; few && i < count; i++) {
        few = add_key_part(parts, items[i]);
    }
    return few;
}

/* Adds the parts of an object that its hash is made of: 1, or 0 if there are too many. */
static int
add_key_parts(struct parts *parts, PyObject *whole)
{
    if (PyUnicode_Check(whole)) {
        parts->size += (uint64_t)PyUnicode_GET_LENGTH(whole);
    }
    else if (PyBytes_Check(whole)) {
        parts->size += (uint64_t)PyBytes_GET_SIZE(whole);
    }
    else if (PyTuple_Check(whole)) {
        return add_items_of_array(parts, &PyTuple_GET_ITEM(whole, 0), PyTuple_GET_SIZE(whole));
    }
    else if (PyAnySet_Check(whole)) {
        return add_items_of_set(parts, whole);
    }
    return 1;
}

/* The same of a list or dict. */
static int
add_container_parts(struct parts *parts, PyObject *whole)
{
    if (PyList_Check(whole)) {
        return add_items_of_array(parts, ((PyListObject *)whole)->ob_item, PyList_GET_SIZE(whole));
    }
    return PyDict_Check(whole) ? add_items_of_dict(parts, whole) : 1;
}

int
safe_has_few_parts(const PolicyObject *policy, PyObject *object, int fills_nothing, uint64_t *size)
{
    struct parts parts;
    parts.waiting[0] = object;
    parts.depth = 1;
    parts.seen = 0;
    parts.most = FEW_PARTS;
    parts.size = 0;
    int few = 1;
    while (few && parts.depth > 0) {
        PyObject *part = parts.waiting[--parts.depth];
        few = !PySlice_Check(part) && add_key_parts(&parts, part);
        if (few && fills_nothing) {
            const struct safe_entry *entry = policy_entry(policy, Py_TYPE(part));
            few = (entry == NULL || (entry->flags & (SAFE_TAKES_ITEMS | SAFE_TAKES_STATE)) == 0)
                  && add_container_parts(&parts, part);
        }
    }
    *size += parts.size;
    return few;
}

/* Charges the cost of comparing a key with another of the same hash.  0 or -1. */
static int
charge_comparison(struct unpickler *unpickler, PyObject *key)
{
    struct parts parts;
    parts.waiting[0] = key;
    parts.depth = 1;
    parts.seen = 0;
    parts.most = MOST_PARTS;
    parts.size = 0;
    int few = 1;
    while (few && parts.depth > 0) {
        PyObject *part = parts.waiting[--parts.depth];
        if (PySlice_Check(part)) {
            PySliceObject *slice = (PySliceObject *)part;
            few = add_key_part(&parts, slice->start) && add_key_part(&parts, slice->stop)
                  && add_key_part(&parts, slice->step);
        }
        else {
            few = add_key_parts(&parts, part);
        }
    }
    return few ? safe_charge(unpickler, parts.size) : safe_exceed(unpickler, "collisions");
}

/* ---- hashes ------------------------------------------------------------- */

/* The place of a print, which is not 0. */
static struct safe_hash *
find_hash(struct safe_counts *counts, uint64_t print)
{
    size_t mask = counts->hash_room - 1, place = (size_t)(print >> 20) & mask;
    while (counts->hashes[place].print != 0 && counts->hashes[place].print != print) {
        place = (place + 1) & mask;
    }
    return &counts->hashes[place];
}

/* Doubles the places.  0, or -1 with MemoryError. */
static int
grow_hashes(struct safe_counts *counts)
{
    struct safe_hash *before = counts->hashes;
    size_t room = counts->hash_room;
    struct safe_hash *grown =
        PyMem_Calloc(room == 0 ? FIRST_HASHES : 2 * room, sizeof(struct safe_hash));
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    counts->hashes = grown;
    counts->hash_room = room == 0 ? FIRST_HASHES : 2 * room;
    for (size_t i = 0; i < room; i++) {
        if (before[i].print != 0) {
            *find_hash(counts, before[i].print) = before[i];
        }
    }
    PyMem_Free(before);
    return 0;
}

/* Counts the hash of a key within a container, and how many there were before.  0 or -1. */
static int
count_hash(struct unpickler *unpickler, uint64_t container, PyObject *key, Py_hash_t hash)
{
    const PolicyObject *policy = (PolicyObject *)unpickler->policy;
    struct safe_counts *counts = &unpickler->safe;
    if (counts->hash_count * 2 >= counts->hash_room && grow_hashes(counts) < 0) {
        return -1;
    }
    uint64_t print = ((uint64_t)hash ^ policy->secret) + container;
    print *= UINT64_C(0x9e3779b97f4a7c15);
    print ^= print >> 29;
    print = print * UINT64_C(0xbf58476d1ce4e5b9) | 1;
    struct safe_hash *entry = find_hash(counts, print);
    uint64_t before = entry->count;
    counts->hash_count += entry->print == 0;
    counts->collisions += before;
    *entry = (struct safe_hash){print, before + 1};
    if (counts->collisions > policy->limits.collisions) {
        return safe_exceed(unpickler, "collisions");
    }
    return before == 0 ? 0 : charge_comparison(unpickler, key);
}

/* True if a pickle can have many keys like this with the same hash: integers of more than 61 bits,
   and objects that are hashed by their parts, also where a subclass has the hash of its base. */
static int
may_collide(const PolicyObject *policy, PyObject *key)
{
    hashfunc hash = Py_TYPE(key)->tp_hash;
    if (hash == PyLong_Type.tp_hash && PyLong_Check(key)) {
        if (long_is_small(key)) {
            return 0;
        }
        const long long modulus = (1LL << (sizeof(void *) == 8 ? 61 : 31)) - 1;
        int overflow;
        long long value = PyLong_AsLongLongAndOverflow(key, &overflow);
        return overflow != 0 || value >= modulus || value <= -modulus;
    }
    if (hash == PyTuple_Type.tp_hash || hash == PyComplex_Type.tp_hash
        || hash == PyFrozenSet_Type.tp_hash || PyRange_Check(key) || PySlice_Check(key)) {
        return 1;
    }
    const struct safe_entry *entry = policy_entry(policy, Py_TYPE(key));
    return entry != NULL && (entry->flags & SAFE_IS_VALUE) != 0;
}

/* ---- keys --------------------------------------------------------------- */

/* A key that could not be looked at: -1, with UnpicklingError if it is too deep. */
static int
fail_to_check(struct unpickler *unpickler)
{
    if (PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyErr_Clear();
        return safe_exceed(unpickler, "depth");
    }
    return -1;
}

/* Counts one.  0 or -1. */
static int
check_key(struct unpickler *unpickler, uint64_t container, PyObject *key)
{
    if (PyUnicode_CheckExact(key) || PyBytes_CheckExact(key)) {
        Py_ssize_t length =
            PyUnicode_CheckExact(key) ? PyUnicode_GET_LENGTH(key) : PyBytes_GET_SIZE(key);
        return length <= SAFE_LONG_KEY ? 0 : safe_charge(unpickler, (uint64_t)length);
    }
    if (PyMemoryView_Check(key)) { /* each is hashed anew, of the same memory */
        return safe_charge(unpickler, (uint64_t)PyMemoryView_GET_BUFFER(key)->len);
    }
    if (!may_collide((PolicyObject *)unpickler->policy, key)) {
        return 0;
    }
    if (load_check_key(unpickler->state, &unpickler->key_bounds, NULL, key) < 0) {
        return fail_to_check(unpickler);
    }
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1 && PyErr_ExceptionMatches(PyExc_RecursionError)) {
        return fail_to_check(unpickler);
    }
    if (hash == -1) {
        PyErr_Clear(); /* the dict or set words it */
        return 0;
    }
    return count_hash(unpickler, container, key, hash);
}

int
safe_check_keys(struct unpickler *unpickler, const void *container, PyObject *const *keys,
                PyObject *const *end, Py_ssize_t stride)
{
    uint64_t print = (uint64_t)(uintptr_t)container;
    if (container == NULL) {
        print = ++unpickler->safe.sets;
    }
    for (; keys < end; keys += stride) {
        if (check_key(unpickler, print, *keys) < 0) {
            return -1;
        }
    }
    return 0;
}
