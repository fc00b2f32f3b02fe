/* Deep copies of what is nested more deeply than the C stack allows for; see copier.h.

   The standard library's functions are Python functions that call one another, for which the
   interpreter needs C stack for some kinds of objects, on some versions, and none for others.  So
   what lies deep is walked here without any: the levels that are open lie on the heap, and each
   says what is to be copied next, or what it has become.  Only what is called in between
   (reducers, __deepcopy__, constructors) takes C stack.  The memo is a real dict, and all is done
   in the standard library's order.

   There is no limit but that of recursion, which is reached where the standard library would have
   come to it long before: its levels take two Python functions and more. */
#include "copy/copier.h"

#include "base/reduction.h"
#include "copy/copier_route.h"

enum level_kind { LEVEL_LIST, LEVEL_TUPLE, LEVEL_DICT, LEVEL_METHOD, LEVEL_REDUCED };

/* Of which part of an object the copy is waited for. */
enum stage {
    AT_BEGIN,
    AT_ARGUMENT,
    AT_STATE,
    AT_ITEM,
    AT_KEY,
    AT_VALUE,
};

/* An object whose parts are being copied; all is strong. */
struct level {
    enum level_kind kind;
    enum stage stage;
    PyObject *object;
    PyObject *copy;         /* as far as it was made; NULL: not yet */
    PyObject *reduce_value; /* LEVEL_REDUCED: of the object */
    PyObject *waiting;      /* of an item, what was copied or read before its other part */
    PyObject *iterator;     /* of list items or dict items */
    PyObject **arguments;   /* copies, behind one free place; `next` of them */
    Py_ssize_t next;        /* the next item of a list, a tuple or the arguments */
    int differs;            /* a part of a tuple is not its own copy */
    struct dict_walk items; /* LEVEL_DICT; borrows from the above */
};

struct levels {
    struct level *at;
    size_t count, room;
};

/* The progress of a level, or of an object: its copy is made, or a part is to be copied first. */
enum progress { RAISED = -1, PART, DONE };

/* copier_before_foreign() where the memo is a dict, and nothing can fail. */
static void
begin_foreign(struct copier *copier)
{
    assert(copier->memo.dict != NULL);
    (void)copier_before_foreign(copier);
}

/* Releases an object, maybe the last reference to it. */
static void
release_level(struct copier *copier, PyObject *object)
{
    if (Py_REFCNT(object) > 1) {
        Py_DECREF(object);
        return;
    }
    begin_foreign(copier);
    Py_DECREF(object);
    copier_after_foreign(copier);
}

/* ---- levels ------------------------------------------------------------- */

/* Opens a level for an object: NULL with an exception.  Steals the copy, and the reduce value. */
static struct level *
open_level(struct levels *levels, enum level_kind kind, PyObject *object, PyObject *copy,
           PyObject *reduce_value)
{
    if (levels->count == levels->room) {
        size_t room = levels->room == 0 ? 32 : 2 * levels->room;
        struct level *grown = room > PY_SSIZE_T_MAX / sizeof(struct level)
                                  ? NULL
                                  : PyMem_Realloc(levels->at, room * sizeof(struct level));
        if (grown == NULL) {
            PyErr_NoMemory();
            goto error;
        }
        levels->at = grown;
        levels->room = room;
    }
    if (levels->count >= (size_t)Py_GetRecursionLimit()) {
        PyErr_SetString(PyExc_RecursionError, "maximum recursion depth exceeded");
        goto error;
    }
    struct level *level = &levels->at[levels->count++];
    *level = (struct level){.kind = kind, .object = Py_NewRef(object), .copy = copy};
    level->reduce_value = reduce_value;
    return level;

error:
    Py_XDECREF(copy);
    Py_XDECREF(reduce_value);
    return NULL;
}

/* Releases the copies of arguments.  May run Python code. */
static void
release_arguments(struct level *level)
{
    if (level->arguments != NULL) {
        while (level->next > 0) {
            Py_DECREF(level->arguments[--level->next]);
        }
        PyMem_Free(level->arguments - 1);
        level->arguments = NULL;
    }
}

/* Closes the innermost level.  Runs Python code. */
static void
close_level(struct levels *levels)
{
    struct level level = levels->at[--levels->count];
    release_arguments(&level);
    Py_XDECREF(level.waiting);
    Py_XDECREF(level.iterator);
    Py_XDECREF(level.reduce_value);
    Py_XDECREF(level.copy);
    Py_DECREF(level.object);
}

/* The end of a level: the object is kept, and entered again.  DONE and the copy, or RAISED. */
static enum progress
finish_level(struct copier *copier, struct level *level, PyObject **next)
{
    if (level->copy != level->object
        && copymemo_keep(&copier->memo, level->object, level->copy) < 0) {
        return RAISED;
    }
    *next = Py_NewRef(level->copy);
    return DONE;
}

static enum progress
copy_first(PyObject *part, PyObject **next)
{
    *next = Py_NewRef(part);
    return PART;
}

/* ---- containers --------------------------------------------------------- */

/* Each of these takes the copy of the part that it asked for, or NULL at first, which is stolen:
   DONE and the copy of the object in *next, PART and what is to be copied, or RAISED. */

static enum progress
advance_list(struct copier *copier, struct level *level, PyObject *copied, PyObject **next)
{
    int result = copied == NULL ? 0 : PyList_Append(level->copy, copied);
    Py_XDECREF(copied);
    if (result < 0) {
        return RAISED;
    }
    if (level->next < PyList_GET_SIZE(level->object)) {
        return copy_first(PyList_GET_ITEM(level->object, level->next++), next);
    }
    return finish_level(copier, level, next);
}

static enum progress
advance_tuple(struct copier *copier, struct level *level, PyObject *copied, PyObject **next)
{
    if (copied != NULL) {
        level->differs |= copied != PyTuple_GET_ITEM(level->object, level->next);
        PyTuple_SET_ITEM(level->copy, level->next++, copied);
    }
    if (level->next < PyTuple_GET_SIZE(level->object)) {
        return copy_first(PyTuple_GET_ITEM(level->object, level->next), next);
    }
    *next = copier_choose_tuple(copier, level->object, level->copy, !level->differs, 0, 1);
    return *next == NULL ? RAISED : DONE;
}

/* The value is copied first, then the key. */
static enum progress
advance_dict(struct copier *copier, struct level *level, PyObject *copied, PyObject **next)
{
    PyObject *key, *value;
    if (level->stage == AT_VALUE) {
        PyObject *source = level->waiting;
        level->stage = AT_KEY;
        level->waiting = copied;
        *next = source;
        return PART;
    }
    if (level->stage == AT_KEY) {
        int result = copier_store_item(copier, level->copy, copied, level->waiting);
        Py_DECREF(copied);
        Py_CLEAR(level->waiting);
        if (result < 0) {
            return RAISED;
        }
    }
    int found = copier_next_item(&level->items, &key, &value);
    if (found < 0) {
        return RAISED;
    }
    if (found == 0) {
        return finish_level(copier, level, next);
    }
    level->stage = AT_VALUE;
    level->waiting = Py_NewRef(key);
    return copy_first(value, next);
}

/* type(x)(x.__func__, deepcopy(x.__self__, memo)) */
static enum progress
advance_method(struct copier *copier, struct level *level, PyObject *copied, PyObject **next)
{
    if (copied == NULL) {
        return copy_first(PyMethod_GET_SELF(level->object), next);
    }
    level->copy = PyObject_CallFunctionObjArgs((PyObject *)&PyMethod_Type,
                                               PyMethod_GET_FUNCTION(level->object), copied, NULL);
    Py_DECREF(copied);
    return level->copy == NULL ? RAISED : finish_level(copier, level, next);
}

/* ---- reduce values ------------------------------------------------------ */

/* The next of the items, 1; 0 at the end, and no iterator; -1. */
static int
find_item(struct copier *copier, struct level *level, PyObject **item)
{
    int found = copier_next_of(copier, level->iterator, item);
    if (found == 0) {
        Py_CLEAR(level->iterator);
    }
    return found;
}

/* Begins with the items of a part, unless it is absent.  0 or -1. */
static int
begin_items(struct copier *copier, struct level *level, enum stage stage, enum reduction_part part)
{
    PyObject *items = reduction_part(level->reduce_value, part);
    level->stage = stage;
    if (items == NULL) {
        return 0;
    }
    begin_foreign(copier);
    level->iterator = PyObject_GetIter(items);
    copier_after_foreign(copier);
    return level->iterator == NULL ? -1 : 0;
}

/* The next dict item's key, or the end. */
static enum progress
go_on_with_dict_items(struct copier *copier, struct level *level, PyObject **next)
{
    PyObject *item;
    int found = level->iterator == NULL ? 0 : find_item(copier, level, &item);
    if (found <= 0) {
        return found < 0 ? RAISED : finish_level(copier, level, next);
    }
    item = copier_pair(copier, item);
    if (item == NULL) {
        return RAISED;
    }
    level->stage = AT_KEY;
    level->waiting = Py_NewRef(PyTuple_GET_ITEM(item, 1));
    *next = Py_NewRef(PyTuple_GET_ITEM(item, 0));
    Py_DECREF(item);
    return PART;
}

/* The next list item, or what comes after them. */
static enum progress
go_on_with_items(struct copier *copier, struct level *level, PyObject **next)
{
    int found = level->iterator == NULL ? 0 : find_item(copier, level, next);
    if (found != 0) {
        return found < 0 ? RAISED : PART;
    }
    return begin_items(copier, level, AT_KEY, PART_DICTITEMS) < 0
               ? RAISED
               : go_on_with_dict_items(copier, level, next);
}

/* Goes on with the parts after the state. */
static enum progress
go_on_after_state(struct copier *copier, struct level *level, PyObject **next)
{
    return begin_items(copier, level, AT_ITEM, PART_LISTITEMS) < 0
               ? RAISED
               : go_on_with_items(copier, level, next);
}

/* The next argument, or what comes after the object is made. */
static enum progress
go_on_with_arguments(struct copier *copier, struct level *level, PyObject **next)
{
    PyObject *arguments = PyTuple_GET_ITEM(level->reduce_value, PART_ARGS);
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (level->next < count) {
        return copy_first(PyTuple_GET_ITEM(arguments, level->next), next);
    }
    PyObject *callable = PyTuple_GET_ITEM(level->reduce_value, PART_CALLABLE);
    level->copy = copier_make_or_call(copier, callable, level->arguments, count);
    level->stage = AT_STATE;
    if (level->copy == NULL) {
        return RAISED;
    }
    begin_foreign(copier);
    release_arguments(level);
    copier_after_foreign(copier);
    if (copymemo_put(&copier->memo, level->object, level->copy) < 0) {
        return RAISED;
    }
    PyObject *state = reduction_part(level->reduce_value, PART_STATE);
    return state != NULL ? copy_first(state, next) : go_on_after_state(copier, level, next);
}

/* copy.append(item), or copy[key] = value; steals `copied`.  0 or -1. */
static int
store_part(struct copier *copier, struct level *level, PyObject *copied)
{
    int result;
    begin_foreign(copier);
    if (level->stage == AT_ITEM) {
        PyObject *none = PyObject_CallMethodOneArg(level->copy, copier->state->str.append, copied);
        result = none == NULL ? -1 : 0;
        Py_XDECREF(none);
    }
    else {
        result = PyObject_SetItem(level->copy, level->waiting, copied);
        Py_CLEAR(level->waiting);
    }
    Py_DECREF(copied);
    copier_after_foreign(copier);
    return result;
}

static enum progress
advance_reduced(struct copier *copier, struct level *level, PyObject *copied, PyObject **next)
{
    int result = 0;
    switch (level->stage) {
    case AT_BEGIN: level->stage = AT_ARGUMENT; return go_on_with_arguments(copier, level, next);
    case AT_ARGUMENT:
        level->arguments[level->next++] = copied;
        return go_on_with_arguments(copier, level, next);
    case AT_STATE:
        result = copier_set_state(copier, level->object, level->copy, copied);
        Py_DECREF(copied);
        return result < 0 ? RAISED : go_on_after_state(copier, level, next);
    case AT_ITEM:
        return store_part(copier, level, copied) < 0 ? RAISED
                                                     : go_on_with_items(copier, level, next);
    case AT_KEY:
        *next = level->waiting;
        level->waiting = copied;
        level->stage = AT_VALUE;
        return PART;
    default:
        return store_part(copier, level, copied) < 0 ? RAISED
                                                     : go_on_with_dict_items(copier, level, next);
    }
}

/* ---- objects ------------------------------------------------------------ */

/* Opens a level for what a reduce value, which is stolen, makes; or the copy at once. */
static enum progress
begin_reduced(struct copier *copier, struct levels *levels, PyObject *object,
              PyObject *reduce_value, PyObject **copy)
{
    if (reduction_check_for_copy(reduce_value) != REDUCTION_VALID) {
        *copy = copier_copy_from(copier, object, reduce_value, 0);
        release_level(copier, reduce_value);
        if (*copy != NULL && *copy != object && copymemo_keep(&copier->memo, object, *copy) < 0) {
            Py_CLEAR(*copy);
        }
        return *copy == NULL ? RAISED : DONE;
    }
    struct level *level = open_level(levels, LEVEL_REDUCED, object, NULL, reduce_value);
    if (level == NULL) {
        return RAISED;
    }
    size_t count = (size_t)PyTuple_GET_SIZE(PyTuple_GET_ITEM(reduce_value, PART_ARGS));
    PyObject **room = PyMem_New(PyObject *, count + 1);
    if (room == NULL) {
        PyErr_NoMemory();
        return RAISED;
    }
    level->arguments = room + 1;
    return PART;
}

/* The copy of an object that is asked for it, or for its reduce value. */
static enum progress
begin_asked(struct copier *copier, struct levels *levels, struct copyroute *route,
            PyObject *object, PyObject **copy)
{
    PyObject *reduce_value;
    int found = copier_ask_deeply(copier, object, route->facts, copy, &reduce_value);
    if (found == 0) {
        return begin_reduced(copier, levels, object, reduce_value, copy);
    }
    if (found > 0 && *copy != object && copymemo_keep(&copier->memo, object, *copy) < 0) {
        Py_CLEAR(*copy);
        found = -1;
    }
    return found < 0 ? RAISED : DONE;
}

/* Opens the level of a container whose copy, which is stolen, is entered before its items. */
static enum progress
begin_container(struct copier *copier, struct levels *levels, enum level_kind kind,
                PyObject *object, PyObject *copy)
{
    if (copy == NULL || copymemo_put(&copier->memo, object, copy) < 0) {
        Py_XDECREF(copy);
        return RAISED;
    }
    struct level *level = open_level(levels, kind, object, copy, NULL);
    if (level != NULL && kind == LEVEL_DICT) {
        Py_ssize_t used = PyDict_GET_SIZE(object);
        level->items = (struct dict_walk){object, copy, 0, used, used};
    }
    return level == NULL ? RAISED : PART;
}

/* Opens the level of a tuple, whose copy is not tracked while it is filled. */
static enum progress
begin_tuple(struct levels *levels, PyObject *tuple)
{
    PyObject *copies = PyTuple_New(PyTuple_GET_SIZE(tuple));
    if (copies == NULL) {
        return RAISED;
    }
    if (PyTuple_GET_SIZE(copies) > 0) {
        PyObject_GC_UnTrack(copies);
    }
    return open_level(levels, LEVEL_TUPLE, tuple, copies, NULL) == NULL ? RAISED : PART;
}

/* Begins with an owned object.  DONE and its copy; PART if a level was opened for it; or RAISED.
 */
static enum progress
begin_object(struct copier *copier, struct levels *levels, PyObject *object, PyObject **copy)
{
    struct copyroute *route;
    *copy = NULL;
    if (count_item(copier) < 0) {
        return RAISED;
    }
    if (!copier_look(copier)) {
        *copy = copier_hand_over(copier, object);
        return *copy == NULL ? RAISED : DONE;
    }
    int found = copier_find_visible(copier, object, &route, copy);
    if (found != 0) {
        return found < 0 ? RAISED : DONE;
    }
    switch (route->kind) {
    case ROUTE_LIST: return begin_container(copier, levels, LEVEL_LIST, object, PyList_New(0));
    case ROUTE_DICT: return begin_container(copier, levels, LEVEL_DICT, object, PyDict_New());
    case ROUTE_TUPLE: return begin_tuple(levels, object);
    case ROUTE_METHOD:
        return open_level(levels, LEVEL_METHOD, object, NULL, NULL) == NULL ? RAISED : PART;
    case ROUTE_DISPATCH:
        *copy = copier_by_dispatch(copier, object, route->function);
        return *copy == NULL ? RAISED : DONE;
    default: return begin_asked(copier, levels, route, object, copy);
    }
}

/* Goes on with the innermost level, which has the copy of its part now, or has just been opened.
   A level that is done is closed. */
static enum progress
advance(struct copier *copier, struct levels *levels, PyObject **at)
{
    struct level *level = &levels->at[levels->count - 1];
    PyObject *copied = *at;
    enum progress progress;
    *at = NULL;
    switch (level->kind) {
    case LEVEL_LIST: progress = advance_list(copier, level, copied, at); break;
    case LEVEL_TUPLE: progress = advance_tuple(copier, level, copied, at); break;
    case LEVEL_DICT: progress = advance_dict(copier, level, copied, at); break;
    case LEVEL_METHOD: progress = advance_method(copier, level, copied, at); break;
    default: progress = advance_reduced(copier, level, copied, at); break;
    }
    if (progress == DONE) {
        begin_foreign(copier);
        close_level(levels);
        copier_after_foreign(copier);
    }
    return progress;
}

/* Closes all open levels after an exception.  Where the standard library copies arguments in a
   generator, an exception becomes here what it becomes there. */
static void
leave_levels(struct copier *copier, struct levels *levels)
{
    while (levels->count > 0) {
        if (levels->at[levels->count - 1].stage == AT_ARGUMENT) {
            copier_leave_generator(copier);
        }
        PyObject *error = PyErr_GetRaisedException();
        close_level(levels);
        PyErr_SetRaisedException(error);
    }
}

PyObject *
copier_copy_on_heap(struct copier *copier, PyObject *object)
{
    struct levels levels = {NULL, 0, 0};
    if (copymemo_show(&copier->memo) < 0) {
        return NULL;
    }
    begin_foreign(copier);
    copier_after_foreign(copier);
    PyObject *at = Py_NewRef(object);
    enum progress progress = PART;
    do {
        if (progress == PART) {
            PyObject *part = at;
            progress = begin_object(copier, &levels, part, &at);
            release_level(copier, part);
        }
        if (progress != RAISED && levels.count > 0) {
            progress = advance(copier, &levels, &at);
        }
    } while (progress == PART || (progress == DONE && levels.count > 0));
    if (progress == RAISED) {
        begin_foreign(copier);
        leave_levels(copier, &levels);
        copier_after_foreign(copier);
        at = NULL;
    }
    PyMem_Free(levels.at);
    return at;
}
