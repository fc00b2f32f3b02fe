/* Copies from reduce values: the parts are copied, and made into an object; see copier.h.

   Usual ones are done here: an exact tuple, with arguments in an exact tuple.  Any other is given
   to the standard library's own _reconstruct. */
#include "copy/copier.h"

#include "types/bound.h"
#include "base/reduction.h"
#include "copy/room.h"

/* ---- rebuilding --------------------------------------------------------- */

void
copier_leave_generator(struct copier *copier)
{
    if (!copier->state->copy->routes->args_by_generator
        || !PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return;
    }
    PyObject *cause = PyErr_GetRaisedException();
    PyErr_SetString(PyExc_RuntimeError, "generator raised StopIteration");
    PyObject *error = PyErr_GetRaisedException();
    PyException_SetCause(error, Py_NewRef(cause));
    PyException_SetContext(error, cause);
    PyErr_SetRaisedException(error);
}

/* True if calling it is object.__new__ and a Python function __init__, as far as is known. */
static int
calls_init(struct copier *copier, PyObject *function)
{
    struct copyroute *route = PyType_Check(function) ? copyroute_known(copier->state->copy->routes,
                                                                       (PyTypeObject *)function)
                                                     : NULL;
    return route != NULL && copyroute_is_current(route) && (route->facts & TYPE_CALLS_INIT) != 0;
}

/* function(*args), args[-1] being free; strong or NULL.  Runs Python code. */
static PyObject *
call_constructor(struct copier *copier, PyObject *function, PyObject **args, Py_ssize_t count)
{
    struct core_state *state = copier->state;
    if (calls_init(copier, function)) {
        return default_construct(state, (PyTypeObject *)function, args, count);
    }
    size_t flags = (size_t)count | PY_VECTORCALL_ARGUMENTS_OFFSET;
    if (function != state->stdlib.copyreg_newobj || count == 0) {
        return PyObject_Vectorcall(function, args, flags, NULL);
    }
    return copier_call_newobj(state, args, flags);
}

PyObject *
copier_make_or_call(struct copier *copier, PyObject *function, PyObject **args, Py_ssize_t count)
{
    PyObject *made;
    enum outcome outcome = construct_object(copier->state, function, args, count, &made);
    if (outcome == OUTCOME_DONE || outcome == OUTCOME_RAISED) {
        return outcome == OUTCOME_DONE ? made : NULL;
    }
    PyObject *hot = outcome == OUTCOME_HOT ? made : NULL, *result = NULL;
    if (copier_before_foreign(copier) < 0) {
        Py_XDECREF(hot);
        return NULL;
    }
    Py_INCREF(function);
    if (hot == NULL || construct_read(copier->state, hot) == 0) {
        result = call_constructor(copier, function, args, count);
    }
    Py_DECREF(function);
    copier_after_foreign(copier);
    return result;
}

/* Has the memo own copied arguments that were stored nowhere, if it names them: they are about to
   be released.  0 or -1. */
static int
own_arguments(struct copier *copier, PyObject *const *copies, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (Py_REFCNT(copies[i]) == 1 && !is_usual_atom(copies[i])) {
            return copymemo_flush(&copier->memo);
        }
    }
    return 0;
}

/* Copies arguments until one fails; the number that did not. */
static Py_ssize_t
copy_arguments(struct copier *copier, PyObject *args, PyObject **copies)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
        copies[i] = copier_copy_part(copier, PyTuple_GET_ITEM(args, i), 0);
        if (copies[i] == NULL) {
            copier_leave_generator(copier);
            return i;
        }
    }
    return PyTuple_GET_SIZE(args);
}

/* Room for copied arguments, and one before them: on the C stack, which holds those of each level,
   or where they are more, elsewhere; NULL with an exception.  free_copies() frees it. */
enum { SHORT_ARGS = 6 };

static PyObject **
room_for_copies(PyObject **short_args, Py_ssize_t count)
{
    PyObject **room = short_args;
    if (count > SHORT_ARGS) {
        room = PyMem_Malloc(((size_t)count + 1) * sizeof(PyObject *));
        if (room == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    return room + 1;
}

static void
free_copies(PyObject **copies, Py_ssize_t count)
{
    if (count > SHORT_ARGS) {
        PyMem_Free(copies - 1);
    }
}

/* func(*(deepcopy(arg, memo) for arg in args)); strong or NULL. */
static PyObject *
construct_deep(struct copier *copier, PyObject *function, PyObject *args)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    PyObject *short_args[SHORT_ARGS + 1], *result = NULL;
    PyObject **copies = room_for_copies(short_args, count);
    if (copies == NULL) {
        return NULL;
    }
    Py_ssize_t ready = copy_arguments(copier, args, copies);
    if (ready == count) {
        result = copier_make_or_call(copier, function, copies, count);
    }
    if (result != NULL && own_arguments(copier, copies, count) < 0) {
        Py_CLEAR(result);
    }
    while (ready > 0) {
        Py_DECREF(copies[--ready]);
    }
    free_copies(copies, count);
    return result;
}

/* State, list items and dict items into the new object.  0 or -1. */
static int
fill_deep(struct copier *copier, PyObject *object, PyObject *reduce_value, PyObject *copy)
{
    PyObject *state = reduction_part(reduce_value, PART_STATE);
    if (state != NULL) {
        PyObject *copied = copier_copy_part(copier, state, 0);
        if (copied == NULL) {
            return -1;
        }
        int result = copier_set_state(copier, object, copy, copied);
        Py_DECREF(copied);
        if (result < 0) {
            return -1;
        }
    }
    PyObject *items = reduction_part(reduce_value, PART_LISTITEMS);
    if (items != NULL && copier_append_items(copier, items, copy) < 0) {
        return -1;
    }
    items = reduction_part(reduce_value, PART_DICTITEMS);
    return items != NULL && copier_set_items(copier, items, copy) < 0 ? -1 : 0;
}

int
copier_enter(struct copier *copier, PyObject *object, PyObject *copy, int unique, uint64_t epoch)
{
    if (copier->epoch != epoch) {
        return copymemo_put(&copier->memo, object, copy);
    }
    return copymemo_open(&copier->memo, object, COPY_OBJECT, copy, unique);
}

/* _reconstruct(object, memo, *reduce_value) for a usual reduce value; strong or NULL. */
static PyObject *
rebuild_deep(struct copier *copier, PyObject *object, PyObject *reduce_value, int unique)
{
    uint64_t epoch = copier->epoch;
    copier_open_unentered(copier, unique);
    PyObject *copy = construct_deep(copier, PyTuple_GET_ITEM(reduce_value, PART_CALLABLE),
                                    PyTuple_GET_ITEM(reduce_value, PART_ARGS));
    copier_close_unentered(copier);
    if (copy == NULL) {
        return NULL;
    }
    if (copier_enter(copier, object, copy, unique, epoch) < 0
        || (PyTuple_GET_SIZE(reduce_value) > 2
            && fill_deep(copier, object, reduce_value, copy) < 0)) {
        Py_DECREF(copy);
        return NULL;
    }
    return copy;
}

PyObject *
copier_copy_from(struct copier *copier, PyObject *object, PyObject *reduce_value, int unique)
{
    if (reduction_check_for_copy(reduce_value) == REDUCTION_VALID) {
        return rebuild_deep(copier, object, reduce_value, unique);
    }
    if (copymemo_show(&copier->memo) < 0 || copier_before_foreign(copier) < 0) {
        return NULL;
    }
    PyObject *copy = NULL;
    int is_name = PyObject_IsInstance(reduce_value, (PyObject *)&PyUnicode_Type);
    if (is_name > 0) {
        copy = Py_NewRef(object);
    }
    else if (is_name == 0) {
        copy = copier_reconstruct(copier->state, object, copier->memo.dict, reduce_value);
    }
    copier_after_foreign(copier);
    return copy;
}

/* True if dropping our references leaves each object to another holder. */
static int
are_held(PyObject *const *objects, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (Py_REFCNT(objects[i]) == 1) {
            return 0;
        }
    }
    return 1;
}

PyObject *
copier_construct_from(struct copier *copier, struct bound_parts *parts)
{
    PyObject *short_args[SHORT_ARGS + 1], *result = NULL;
    Py_ssize_t count = parts->count, ready = 0;
    PyObject **copies = room_for_copies(short_args, count);
    if (copies == NULL) {
        return NULL;
    }
    PyObject *callable = Py_NewRef(parts->callable);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(parts->values[i]);
    }
    while (ready < count) {
        copies[ready] = copier_copy_part(copier, parts->values[ready], 0);
        if (copies[ready] == NULL) {
            copier_leave_generator(copier);
            break;
        }
        ready++;
    }
    if (ready == count) {
        result = copier_make_or_call(copier, callable, copies, count);
    }
    if (result != NULL && own_arguments(copier, copies, count) < 0) {
        Py_CLEAR(result);
    }
    while (ready > 0) {
        Py_DECREF(copies[--ready]);
    }
    free_copies(copies, count);
    int held = are_held(parts->values, count) && are_held(&callable, 1);
    if (!held) {
        copier_before_death(copier, &result);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_DECREF(parts->values[i]);
    }
    Py_DECREF(callable);
    if (!held) {
        copier_after_foreign(copier);
    }
    return result;
}

enum outcome
copier_from_value(struct copier *copier, PyObject *object, PyObject *reduce_value,
                  enum outcome way, int planned, int unique, PyObject **copy)
{
    uint64_t epoch = copier->epoch;
    if (way == OUTCOME_BAIL) {
        *copy = copier_copy_from(copier, object, reduce_value, planned ? unique : 0);
    }
    if (planned == 1 && epoch == copier->epoch && PyTuple_GET_SIZE(reduce_value) == 2) {
        /* The object still holds what the reduce value was made of. */
        Py_DECREF(reduce_value);
        return *copy == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
    }
    copier_before_death(copier, copy);
    Py_DECREF(reduce_value);
    copier_after_foreign(copier);
    return *copy == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

PyObject *
copier_finish_copy(struct copier *copier, PyObject *object, enum outcome way, PyObject *copy)
{
    if (way == OUTCOME_DONE && copy != object
        && copymemo_close(&copier->memo, object, COPY_OBJECT, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(object);
    return way == OUTCOME_RAISED ? NULL : copy;
}
