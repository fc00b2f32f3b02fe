/* The heights of deques and defaultdicts: see safe_heights.h.

   `heights` is a dict: address -> (object, height).  It owns the objects, so that no other comes
   to lie at their address, as long as the memo from which they may be fetched again. */
#include "load/safe_heights.h"

static int
is_freed_within(const PolicyObject *policy, PyObject *object)
{
    const struct safe_entry *entry = policy_entry(policy, Py_TYPE(object));
    return entry != NULL && (entry->flags & SAFE_IS_FREED_WITHIN) != 0;
}

/* Notes a height.  0, or -1 with MemoryError. */
static int
set_height(struct unpickler *unpickler, PyObject *object, uint64_t height)
{
    PyObject *key = PyLong_FromVoidPtr(object);
    PyObject *pair = Py_BuildValue("OK", object, (unsigned long long)height);
    int result = key == NULL || pair == NULL ? -1 : PyDict_SetItem(unpickler->heights, key, pair);
    Py_XDECREF(key);
    Py_XDECREF(pair);
    return result;
}

/* The height that was noted: 1 and *height, 0 if there is none, -1 with MemoryError. */
static int
find_height(struct unpickler *unpickler, PyObject *object, uint64_t *height)
{
    PyObject *key = PyLong_FromVoidPtr(object);
    PyObject *pair = key == NULL ? NULL : PyDict_GetItemWithError(unpickler->heights, key);
    Py_XDECREF(key);
    if (pair == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    *height = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(pair, 1));
    return 1;
}

/* Raises *height to one more than that of an object in it, if that has one.  0 or -1. */
static int
raise_height(struct unpickler *unpickler, PyObject *part, uint64_t *height)
{
    uint64_t of_part;
    if (!is_freed_within(safe_policy_of(unpickler), part)) {
        return 0;
    }
    int found = find_height(unpickler, part, &of_part);
    if (found > 0 && of_part >= *height) {
        *height = of_part + 1;
    }
    return found < 0 ? -1 : 0;
}

/* What an object holds raises its height, which was 1.  0 or -1. */
static int
measure(struct unpickler *unpickler, PyObject *object, uint64_t *height)
{
    PyObject *part, *key;
    Py_ssize_t position = 0;
    if (PyDict_Check(object)) {
        while (PyDict_Next(object, &position, &key, &part)) {
            if (raise_height(unpickler, part, height) < 0) {
                return -1;
            }
        }
        return 0;
    }
    PyObject *parts = PyObject_GetIter(object);
    int result = parts == NULL ? -1 : 0;
    while (result == 0 && (part = PyIter_Next(parts)) != NULL) {
        result = raise_height(unpickler, part, height);
        Py_DECREF(part);
    }
    Py_XDECREF(parts);
    return result < 0 || PyErr_Occurred() ? -1 : 0;
}

/* The height of an object that is put into another, which is noted from now on.  0 or -1. */
static int
height_of(struct unpickler *unpickler, PyObject *object, uint64_t *height)
{
    int found = find_height(unpickler, object, height);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    *height = 1;
    return measure(unpickler, object, height) < 0 ? -1 : set_height(unpickler, object, *height);
}

/* The container is as high as that at least.  0, or -1 with UnpicklingError. */
static int
grow(struct unpickler *unpickler, PyObject *container, uint64_t height)
{
    uint64_t before;
    int found = container == NULL ? 0 : find_height(unpickler, container, &before);
    if (found > 0 && height > before) {
        unpickler->safe.grown += height - before;
        found = set_height(unpickler, container, height);
    }
    if (found < 0) {
        return -1;
    }
    return height + unpickler->safe.grown > unpickler->safe.most_depth
               ? safe_exceed(unpickler, "depth")
               : 0;
}

int
safe_hold_parts(struct unpickler *unpickler, PyObject *container, PyObject *const *first,
                PyObject *const *end, Py_ssize_t stride)
{
    uint64_t height = 0, highest = 0;
    for (; first < end; first += stride) {
        if (*first == container || !is_freed_within(safe_policy_of(unpickler), *first)) {
            continue;
        }
        if (unpickler->heights == NULL && (unpickler->heights = PyDict_New()) == NULL) {
            return -1;
        }
        if (height_of(unpickler, *first, &height) < 0) {
            return -1;
        }
        highest = height > highest ? height : highest;
    }
    return highest == 0 ? 0 : grow(unpickler, container, highest + 1);
}
