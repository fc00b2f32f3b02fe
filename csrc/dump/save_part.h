/* A part of what is being saved: scalars are written at once, all else is for save_object(). */
#ifndef FASTCOPYREG_DUMP_SAVE_PART_H
#define FASTCOPYREG_DUMP_SAVE_PART_H

#include "base/prefetch.h"
#include "dump/save_hooks.h"
#include "dump/save_scalars.h"

/* The types that are written at once; everything else is for save_object().  `list`: where the
   object is number `index`, or NULL. */
ALWAYS_INLINE char *
save_inside_list(struct pickler *pickler, PyObject *list, Py_ssize_t index, PyObject *object,
                 int unique, char *out)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyUnicode_Type) {
        return save_str(pickler, object, unique, out);
    }
    if (type == &PyLong_Type) {
        return save_long(pickler, object, out);
    }
    if (type == &PyFloat_Type) {
        return save_float(pickler, object, out);
    }
    if (object == Py_None) {
        return write_op(out, OP_NONE);
    }
    if (type == &PyBool_Type) {
        return save_bool(pickler, object, out);
    }
    if (list != NULL) {
        prefetch_next(list, index, object);
    }
    return save_object(pickler, object, unique, out);
}

ALWAYS_INLINE char *
save_inside(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    return save_inside_list(pickler, NULL, 0, object, unique, out);
}

/* Any object that may come by again: the root, names, parts of reductions. */
ALWAYS_INLINE char *
save(struct pickler *pickler, PyObject *object, char *out)
{
    if (unlikely(out >= pickler->writer.limit)) {
        return save_slow(pickler, object, 0, out);
    }
    return save_inside(pickler, object, 0, out);
}

/* True if reducer_override() is to be asked about the objects of a type. */
static inline int
save_asks_override(struct pickler *pickler, PyTypeObject *type)
{
    if (likely(pickler->reducer_override == NULL)) {
        return 0;
    }
    PyObject *types = pickler->override_types;
    int asks = types == NULL;
    for (Py_ssize_t i = 0; !asks && i < PyTuple_GET_SIZE(types); i++) {
        asks = PyType_IsSubtype(type, (PyTypeObject *)PyTuple_GET_ITEM(types, i));
    }
    return asks && !save_override_passes(pickler, type);
}

/* An object that is owned by the caller, who knows whether its holder was the only one. */
ALWAYS_INLINE char *
save_owned(struct pickler *pickler, PyObject *object, int unique, char *out)
{
    if (unlikely(out >= pickler->writer.limit)) {
        return save_slow(pickler, object, unique, out);
    }
    return save_inside(pickler, object, unique, out);
}

/* A part that was read, once, from a container or instance that holds it. */
ALWAYS_INLINE char *
save_child(struct pickler *pickler, PyObject *object, char *out)
{
    int unique = save_is_unique(pickler, object);
    if (unlikely(out >= pickler->writer.limit)) {
        return save_slow(pickler, object, unique, out);
    }
    return save_inside(pickler, object, unique, out);
}

/* A value that is held by the one from whom it was read in `epoch`, and by a snapshot. */
ALWAYS_INLINE char *
save_snapshot_value(struct pickler *pickler, PyObject *value, uint64_t epoch, char *out)
{
    int unique = has_two_references(value) && pickler->unnumbered == 0 && epoch == pickler->epoch;
    return save_owned(pickler, value, unique, out);
}

/* True if what begins at `index` of a list is one item without MARK. */
static inline int
save_stands_alone(const struct pickler *pickler, Py_ssize_t index, Py_ssize_t size)
{
    return size - index == 1 && (index == 0 || pickler->state->dialect.single_last_item);
}

/* The same of what was read from a list, as number `index`. */
ALWAYS_INLINE char *
save_item(struct pickler *pickler, PyObject *list, Py_ssize_t index, PyObject *item, char *out)
{
    int unique = save_is_unique(pickler, item);
    if (unlikely(out >= pickler->writer.limit)) {
        return save_slow(pickler, item, unique, out);
    }
    return save_inside_list(pickler, list, index, item, unique, out);
}

/* The elements of a tuple, with a note on one that could not be saved. */
ALWAYS_INLINE char *
save_elements_inside(struct pickler *pickler, PyObject *tuple, char *out)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        out = save_child(pickler, PyTuple_GET_ITEM(tuple, i), out);
        if (unlikely(out == NULL)) {
            error_note("when serializing %T item %zd", tuple, i);
            return NULL;
        }
    }
    return out;
}

#endif
