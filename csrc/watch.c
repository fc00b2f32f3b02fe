/* Whether dicts that others may change have changed: see watch.h. */
#include "watch.h"

#if KNOWN_LAYOUT

#if HAS_DICT_WATCHERS

#define COUNT_NAME "fastcopyreg._core.watch_count"

/* The capsule of this interpreter, borrowed, or NULL.  Allocates nothing: it serves the watcher
   too, which must not fail. */
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

static int
count_change(PyDict_WatchEvent Py_UNUSED(event), PyObject *Py_UNUSED(dict),
             PyObject *Py_UNUSED(key), PyObject *Py_UNUSED(value))
{
    PyObject *capsule = find_capsule();
    if (capsule != NULL) {
        struct watch_count *count = PyCapsule_GetPointer(capsule, COUNT_NAME);
        count->changes++;
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
    struct watch_count *count = PyMem_Calloc(1, sizeof(struct watch_count));
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
watch_setup(struct watch *watch)
{
    *watch = (struct watch){.capsule = find_capsule()};
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
watch_teardown(struct watch *watch)
{
    watch->complete = 0;
    Py_CLEAR(watch->capsule);
}

void
watch_restart(struct watch *watch)
{
    watch->dicts = 0;
    watch->complete = watch->capsule != NULL && watch->count->watcher >= 0;
    watch->seen = watch->complete ? watch->count->changes : 0;
}

void
watch_add(struct watch *watch, PyObject *dict)
{
    if (watch->complete && PyDict_Watch(watch->count->watcher, dict) < 0) {
        PyErr_Clear();
        watch->complete = 0;
    }
}

#else

void
watch_setup(struct watch *watch)
{
    *watch = (struct watch){0};
}

void
watch_teardown(struct watch *Py_UNUSED(watch))
{
}

void
watch_restart(struct watch *watch)
{
    watch->dicts = 0;
    watch->complete = 1;
}

void
watch_add(struct watch *watch, PyObject *dict)
{
    if (watch->dicts == WATCH_DICTS) {
        watch->complete = 0;
        return;
    }
    watch->dict[watch->dicts] = dict;
    watch->version[watch->dicts++] = dict_version(dict);
}

#endif
#endif
