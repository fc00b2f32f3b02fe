/* Dict watches: see dictwatch.h. */
#include "base/dictwatch.h"

#if HAS_DICT_WATCHERS

#define COUNT_NAME "fastcopyreg._core.watch_count"

/* The capsule of this interpreter, borrowed, or NULL.  Allocates nothing: the watcher calls this,
   and must not fail. */
static PyObject *
find_capsule(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get()), *key, *value;
    Py_ssize_t position = 0;
    while (dict != NULL && PyDict_Next(dict, &position, &key, &value)) {
        if (PyCapsule_IsValid(value, COUNT_NAME)) {
            return value;
        }
    }
    return NULL;
}

/* Lets go of all that is kept. */
static void
let_all_go(struct dictwatch_count *count)
{
    while (count->kept != NULL) {
        struct dictwatch_kept *kept = count->kept;
        PyObject *copy = kept->object;
        count->kept = kept->next;
        kept->object = NULL;
        (void)PyDict_Unwatch(count->watcher, copy);
        Py_DECREF(copy);
    }
}

static int
count_change(PyDict_WatchEvent Py_UNUSED(event), PyObject *Py_UNUSED(dict),
             PyObject *Py_UNUSED(key), PyObject *Py_UNUSED(value))
{
    PyObject *capsule = find_capsule();
    if (capsule != NULL) {
        struct dictwatch_count *count = PyCapsule_GetPointer(capsule, COUNT_NAME);
        count->changes++;
        let_all_go(count);
    }
    return 0;
}

static void
free_count(PyObject *capsule)
{
    PyMem_Free(PyCapsule_GetPointer(capsule, COUNT_NAME));
}

/* A new capsule in the interpreter's dict, borrowed; NULL with an exception. */
static PyObject *
add_capsule(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    struct dictwatch_count *count = PyMem_Calloc(1, sizeof(struct dictwatch_count));
    if (dict == NULL || count == NULL) {
        PyMem_Free(count);
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(count, COUNT_NAME, free_count);
    if (capsule == NULL) {
        PyMem_Free(count);
        return NULL;
    }
    int added = PyDict_SetItemString(dict, COUNT_NAME, capsule);
    Py_DECREF(capsule);
    if (added < 0) {
        return NULL;
    }
    count->watcher = PyDict_AddWatcher(count_change);
    return capsule;
}

void
dictwatch_setup(struct dictwatch *watch)
{
    *watch = (struct dictwatch){.capsule = find_capsule()};
    if (watch->capsule == NULL) {
        watch->capsule = add_capsule();
    }
    PyErr_Clear();
    Py_XINCREF(watch->capsule);
    if (watch->capsule != NULL) {
        watch->count = PyCapsule_GetPointer(watch->capsule, COUNT_NAME);
    }
}

/* The watcher stays with the interpreter. */
void
dictwatch_teardown(struct dictwatch *watch)
{
    watch->complete = 0;
    Py_CLEAR(watch->capsule);
}

void
dictwatch_restart(struct dictwatch *watch)
{
    watch->dicts = 0;
    watch->complete = watch->capsule != NULL && watch->count->watcher >= 0;
    watch->seen = watch->complete ? watch->count->changes : 0;
}

void
dictwatch_add(struct dictwatch *watch, PyObject *dict)
{
    if (watch->complete && PyDict_Watch(watch->count->watcher, dict) < 0) {
        PyErr_Clear();
        watch->complete = 0;
    }
}

void
dictwatch_keep(struct dictwatch *watch, struct dictwatch_kept *kept, PyObject *copy)
{
    assert(kept->object == NULL);
    dictwatch_add(watch, copy);
    if (watch->complete) {
        struct dictwatch_count *count = PyCapsule_GetPointer(watch->capsule, COUNT_NAME);
        kept->object = Py_NewRef(copy);
        kept->next = count->kept;
        count->kept = kept;
    }
}

void
dictwatch_let_go(struct dictwatch *watch, struct dictwatch_kept *kept)
{
    if (kept->object == NULL) {
        return;
    }
    struct dictwatch_count *count = PyCapsule_GetPointer(watch->capsule, COUNT_NAME);
    struct dictwatch_kept **link = &count->kept;
    while (*link != kept) {
        link = &(*link)->next;
    }
    *link = kept->next;
    PyObject *copy = kept->object;
    kept->object = NULL;
    (void)PyDict_Unwatch(count->watcher, copy);
    Py_DECREF(copy);
}

#else

void
dictwatch_setup(struct dictwatch *watch)
{
    *watch = (struct dictwatch){0};
}

void
dictwatch_teardown(struct dictwatch *Py_UNUSED(watch))
{
}

void
dictwatch_restart(struct dictwatch *watch)
{
    watch->dicts = 0;
    watch->complete = 1;
}

void
dictwatch_add(struct dictwatch *watch, PyObject *dict)
{
    if (watch->dicts == DICTWATCH_DICTS) {
        watch->complete = 0;
        return;
    }
    watch->dict[watch->dicts] = dict;
    watch->version[watch->dicts++] = dict_version(dict);
}

void
dictwatch_keep(struct dictwatch *Py_UNUSED(watch), struct dictwatch_kept *Py_UNUSED(kept),
               PyObject *Py_UNUSED(copy))
{
}

void
dictwatch_let_go(struct dictwatch *Py_UNUSED(watch), struct dictwatch_kept *Py_UNUSED(kept))
{
}

#endif
