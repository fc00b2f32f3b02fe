/* Containers that foreign code was handed during a load: see handed.h. */
#include "base/handed.h"

#include "base/layout.h"

enum { FIRST_ROOM = 32, KEPT_ROOM = 4096, NEAR_BY = 16 };

/* Makes room for one more.  0, or -1 with MemoryError. */
static int
grow_handed(struct handed *handed)
{
    size_t room = handed->room == 0 ? FIRST_ROOM : handed->room + handed->room / 4;
    PyObject **kept = PyMem_Resize(handed->kept, PyObject *, room);
    if (kept != NULL) {
        handed->kept = kept;
        uint32_t *marks = PyMem_Resize(handed->marks, uint32_t, room);
        if (marks != NULL) {
            handed->marks = marks;
            handed->room = room;
            return 0;
        }
    }
    PyErr_NoMemory();
    return -1;
}

/* Keeps it, to be looked through.  0, or -1 with MemoryError. */
static int
append_handed(struct handed *handed, PyObject *container)
{
    if (handed->count == handed->room && grow_handed(handed) < 0) {
        return -1;
    }
    handed->kept[handed->count] = handed->last = Py_NewRef(container);
    handed->marks[handed->count++] = (uint32_t)Py_MIN(handed->mark, UINT32_MAX);
    return 0;
}

/* Keeps the container in the memo; true if there was a place. */
static int
keep_in_memo(struct handed *handed, PyObject *container)
{
    size_t least = handed->mark < NEAR_BY ? 0 : handed->mark - NEAR_BY;
    for (size_t i = handed->mark; i-- > least;) {
        if (!handed->used[i]) {
            handed->used[i] = HANDED_HERE;
            handed->items[i] = Py_NewRef(container);
            return 1;
        }
    }
    return 0;
}

/* True if a container with more than one reference was not met before: 1, 0, or -1 with
   MemoryError. */
static int
is_new(struct handed *handed, PyObject *container)
{
    struct idpair *pair = idmap_meet(&handed->shared, container);
    if (pair == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int new = pair->value == NULL;
    if (new) {
        pair->value = container;
    }
    return new;
}

/* Keeps an object if it is a container that was not kept.  0, or -1 with MemoryError. */
static int
keep_one(struct handed *handed, PyObject *object)
{
    if (!handed_may_be_filled(object)) {
        return 0;
    }
    int new = has_one_reference(object) ? 1 : is_new(handed, object);
    return new <= 0 ? new : append_handed(handed, object);
}

/* Keeps the containers that lie in a container. */
static int
keep_items(struct handed *handed, PyObject *container)
{
    int result = 0;
    if (PyDict_CheckExact(container)) {
        PyObject *key, *value;
        Py_ssize_t position = 0;
        while (result == 0 && layout_dict_next(container, &position, &key, &value)) {
            result = keep_one(handed, value);
        }
        return result;
    }
    PyObject **items = PySequence_Fast_ITEMS(container);
    Py_ssize_t size = PySequence_Fast_GET_SIZE(container);
    for (Py_ssize_t i = 0; result == 0 && i < size; i++) {
        result = keep_one(handed, items[i]);
    }
    return result;
}

/* A tuple cannot be filled, so only what lies in it is kept. */
int
handed_keep_container(struct handed *handed, PyObject *container)
{
    size_t before = handed->count;
    int unique = has_one_reference(container);
    int result = unique && (PyTuple_CheckExact(container) || keep_in_memo(handed, container))
                     ? keep_items(handed, container)
                     : keep_one(handed, container);
    for (size_t i = before; result == 0 && i < handed->count; i++) {
        result = keep_items(handed, handed->kept[i]);
    }
    if (result == 0 && unique && !PyTuple_CheckExact(container)) {
        handed->last = container;
    }
    return result;
}

void
handed_drop(struct handed *handed, size_t mark)
{
    handed->last = NULL;
    while (handed->count > 0 && handed->marks[handed->count - 1] >= mark) {
        Py_DECREF(handed->kept[--handed->count]);
    }
    if (handed->count == 0) {
        idmap_empty(&handed->shared);
        if (handed->room > KEPT_ROOM) {
            handed_free(handed);
        }
    }
}

void
handed_free(struct handed *handed)
{
    PyMem_Free(handed->kept);
    PyMem_Free(handed->marks);
    idmap_free(&handed->shared);
    *handed = (struct handed){0};
}
