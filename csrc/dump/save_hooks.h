/* persistent_id and reducer_override, where their answer is known without a call.

   Both return None or NotImplemented for nearly every object, and many look at its type alone.
   Such a function is read like a reducer, when it has been called often enough, and its plan is
   run then (plan_answer.h): an answer holds until foreign code runs.

   persistent_id is asked about every object there is, so that each has to be shown to it
   (writer.every), and nothing goes the short ways.  As long as it is known to pass the built-in
   types that are written in line, only objects of other types are looked at, before the memo is.
   save_foreign() ends that. */
#ifndef FASTCOPYREG_DUMP_SAVE_HOOKS_H
#define FASTCOPYREG_DUMP_SAVE_HOOKS_H

#include "dump/save.h"

/* True if reducer_override is known to return NotImplemented for every object of the type. */
int save_override_passes(struct pickler *pickler, PyTypeObject *type);

/* True if persistent_id, if there is one, is known to return None for every object of the type,
   and for names and containers, which come with them. */
int save_id_passes_type(struct pickler *pickler, PyTypeObject *type);

ALWAYS_INLINE int
save_id_passes(struct pickler *pickler, PyTypeObject *type)
{
    return likely(pickler->persistent_id == NULL) || save_id_passes_type(pickler, type);
}

/* True if the hook is called for every object that this dump still has. */
ALWAYS_INLINE int
save_hook_is_hopeless(const struct hook *hook, PyObject *callable)
{
    return hook->hopeless && hook->callable == callable;
}

/* True if the hook is called without a look at what is known of it, for that reason or until so
   many objects are numbered that it pays to look again. */
ALWAYS_INLINE int
save_hook_rests(const struct pickler *pickler, const struct hook *hook, PyObject *callable)
{
    return (hook->hopeless || pickler->memo.count < hook->counted) && hook->callable == callable;
}

/* True if persistent_id is known to pass the built-in types, so that not every object has to be
   shown; finds out if necessary, and if it passes the type at hand. */
int save_id_is_quiet(struct pickler *pickler, PyTypeObject *type);

/* Reads a hook that has been called often enough; to be called before it is.  0, or -1 with an
   exception.  Foreign code. */
int save_read_hook(struct pickler *pickler, struct hook *hook, PyObject *callable);

/* Calls a hook, which the caller owns: a method by its function.  Strong, or NULL with an
   exception. Foreign code. */
static inline PyObject *
save_call_hook(PyObject *hook, PyObject *object)
{
    if (!PyMethod_Check(hook)) {
        return PyObject_CallOneArg(hook, object);
    }
    PyObject *args[] = {PyMethod_GET_SELF(hook), object};
    return PyObject_Vectorcall(PyMethod_GET_FUNCTION(hook), args, 2, NULL);
}

#endif
