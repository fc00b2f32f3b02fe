/* Copies by reduction: the object is asked for a reduce value, and rebuilt from it.

   What is usual is done here: an exact tuple, arguments in an exact tuple, states that are
   dicts.  Whatever is not usual is given to the standard library's own _reconstruct, so that
   its errors and their order are its own. */
#include "copier.h"

#include "form.h"
#include "make.h"

/* Two functions that say in Python what C would have to word errors for. */
static const char helpers_source[] = "def reconstruct(function, x, memo, reduce_value):\n"
                                     "    return function(x, memo, *reduce_value)\n"
                                     "def pair(item):\n"
                                     "    key, value = item\n"
                                     "    return key, value\n";

/* Calls a helper; strong or NULL.  Runs Python code. */
static PyObject *
call_helper(struct core_state *state, const char *name, PyObject *const *args, size_t count)
{
    if (state->copy_helpers == NULL) {
        PyObject *helpers = Py_BuildValue("{sO}", "__builtins__", PyEval_GetBuiltins());
        PyObject *none =
            helpers == NULL ? NULL : PyRun_String(helpers_source, Py_file_input, helpers, helpers);
        if (none == NULL) {
            Py_XDECREF(helpers);
            return NULL;
        }
        Py_DECREF(none);
        Py_XSETREF(state->copy_helpers, helpers);
    }
    PyObject *key = PyUnicode_FromString(name), *helper = NULL;
    if (key == NULL || PyDict_GetItemRef(state->copy_helpers, key, &helper) <= 0) {
        Py_XDECREF(key);
        return NULL;
    }
    Py_DECREF(key);
    PyObject *result = PyObject_Vectorcall(helper, args, count, NULL);
    Py_DECREF(helper);
    return result;
}

PyObject *
copier_reconstruct(struct core_state *state, PyObject *object, PyObject *memo,
                   PyObject *reduce_value)
{
    PyObject *args[] = {
        state->stdlib.copy_reconstruct,
        object,
        memo == NULL ? Py_None : memo,
        reduce_value,
    };
    return call_helper(state, "reconstruct", args, Py_ARRAY_LENGTH(args));
}

/* ---- asking ------------------------------------------------------------ */

PyObject *
copier_ask_object(struct core_state *state, PyObject *object, const char *error)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *reducer, *reduce_value = NULL;
    if (PyObject_GetOptionalAttr(object, state->str.reduce_ex, &reducer) < 0) {
        return NULL;
    }
    if (reducer != NULL && reducer != Py_None) {
        reduce_value = PyObject_CallOneArg(reducer, state->protocols[4]);
        Py_DECREF(reducer);
        return reduce_value;
    }
    Py_XDECREF(reducer);
    int found = PyObject_GetOptionalAttr(object, state->str.reduce, &reducer);
    if (found > 0) {
        found = PyObject_IsTrue(reducer);
    }
    if (found > 0) {
        reduce_value = PyObject_CallNoArgs(reducer);
    }
    else if (found == 0) {
        PyErr_Format(state->stdlib.copy_error, error, type);
    }
    Py_XDECREF(reducer);
    return reduce_value;
}

/* ---- states ------------------------------------------------------------ */

/* for key, value in slots.items(): setattr(copy, key, value) */
static int
set_slots(PyObject *copy, PyObject *slots)
{
    Py_ssize_t position = 0, used = PyDict_GET_SIZE(slots), left = used;
    PyObject *key, *value;
    while (PyDict_Next(slots, &position, &key, &value)) {
        if (left-- == 0) {
            PyErr_SetString(PyExc_RuntimeError, "dictionary keys changed during iteration");
            return -1;
        }
        Py_INCREF(key);
        Py_INCREF(value);
        int result = PyObject_SetAttr(copy, key, value);
        Py_DECREF(key);
        Py_DECREF(value);
        if (result < 0) {
            return -1;
        }
        if (PyDict_GET_SIZE(slots) != used) {
            PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
            return -1;
        }
    }
    return 0;
}

#if KNOWN_LAYOUT

/* Whether the instance takes state as instances of ordinary classes do: no __setstate__
   anywhere. */
static int
takes_state_plainly(struct core_state *state, PyObject *copy, unsigned int facts)
{
    const unsigned int plain = CLONE_PLAIN_GETATTR | CLONE_NO_SETSTATE;
    if ((facts & plain) != plain) {
        return 0;
    }
    return (facts & CLONE_NO_DICT) != 0
           || ((facts & CLONE_OWN_DICT) != 0
               && clone_lacks_attribute(copy, Py_TYPE(copy), state->str.setstate));
}

/* y.__setstate__(state), if that is a function of the class.  1 done, 0 not so, -1. */
static int
call_setstate(struct core_state *state, PyObject *copy, PyObject *copied_state, unsigned int facts)
{
    PyObject *function = type_lookup(Py_TYPE(copy), state->str.setstate);
    if (!(facts & CLONE_PLAIN_GETATTR) || function == NULL || !PyFunction_Check(function)) {
        return 0;
    }
    PyObject *none = PyObject_CallMethodOneArg(copy, state->str.setstate, copied_state);
    Py_XDECREF(none);
    return none == NULL ? -1 : 1;
}

/* The state of an ordinary instance.  1 done, 0 not usual and nothing done, -1. */
static int
apply_plain_state(struct core_state *state, PyObject *copy, PyObject *copied_state)
{
    unsigned int facts = copyroute_facts(state, Py_TYPE(copy));
    if (!takes_state_plainly(state, copy, facts)) {
        return call_setstate(state, copy, copied_state, facts);
    }
    PyObject *attributes = copied_state, *slots = Py_None;
    if (PyTuple_CheckExact(copied_state) && PyTuple_GET_SIZE(copied_state) == 2) {
        attributes = PyTuple_GET_ITEM(copied_state, 0);
        slots = PyTuple_GET_ITEM(copied_state, 1);
    }
    if (!(slots == Py_None || PyDict_CheckExact(slots))
        || !(attributes == Py_None
             || (PyDict_CheckExact(attributes) && (facts & CLONE_OWN_DICT) != 0))) {
        return 0;
    }
    if (attributes != Py_None && clone_update(copy, attributes) < 0) {
        return -1;
    }
    return slots != Py_None && set_slots(copy, slots) < 0 ? -1 : 1;
}

#else

static int
apply_plain_state(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(copy),
                  PyObject *Py_UNUSED(copied_state))
{
    return 0;
}

#endif

/* Lets _reconstruct do it: called without a memo, with [copy].pop to make the object, it copies
   nothing and applies the state. */
static int
apply_state_by_reconstruct(struct core_state *state, PyObject *source, PyObject *copy,
                           PyObject *copied_state)
{
    PyObject *list = PyList_New(1);
    if (list == NULL) {
        return -1;
    }
    PyList_SET_ITEM(list, 0, Py_NewRef(copy));
    PyObject *pop = PyObject_GetAttr(list, state->str.pop);
    PyObject *value = pop == NULL ? NULL : PyTuple_Pack(3, pop, state->empty_tuple, copied_state);
    PyObject *same = value == NULL ? NULL : copier_reconstruct(state, source, NULL, value);
    Py_DECREF(list);
    Py_XDECREF(pop);
    Py_XDECREF(value);
    Py_XDECREF(same);
    return same == NULL ? -1 : 0;
}

int
copier_apply_state(struct core_state *state, PyObject *source, PyObject *copy,
                   PyObject *copied_state)
{
    int done = apply_plain_state(state, copy, copied_state);
    return done != 0 ? (done < 0 ? -1 : 0)
                     : apply_state_by_reconstruct(state, source, copy, copied_state);
}

#if KNOWN_LAYOUT

int
copier_set_state(struct copier *copier, PyObject *source, PyObject *copy, PyObject *copied_state)
{
    const unsigned int needed = CLONE_PLAIN_GETATTR | CLONE_NO_SETSTATE | CLONE_OWN_DICT;
    PyTypeObject *type = Py_TYPE(copy);
    struct copyroute *route = copyroute_known(copier->state->copyroutes, type);
    if (PyDict_CheckExact(copied_state) && route != NULL && route->version != 0
        && route->version == type_version(type) && Py_IS_TYPE(type, &PyType_Type)
        && (route->facts & needed) == needed && clone_is_empty(copy)) {
        /* The memo must own the copied state: nothing else will hold it. */
        return copymemo_flush(&copier->memo) < 0 ? -1 : clone_update(copy, copied_state);
    }
    if (copier_before_foreign(copier) < 0) {
        return -1;
    }
    int result = copier_apply_state(copier->state, source, copy, copied_state);
    copier_after_foreign(copier);
    return result;
}

/* ---- items ------------------------------------------------------------- */

/* The next of an iterator: 1 and strong, 0 at the end, -1.  Runs Python code. */
static int
next_of(struct copier *copier, PyObject *iterator, PyObject **item)
{
    *item = NULL;
    if (copier_before_foreign(copier) < 0) {
        return -1;
    }
    *item = PyIter_Next(iterator);
    copier_after_foreign(copier);
    return *item != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* for item in items: copy.append(deepcopy(item, memo)) */
static int
append_items(struct copier *copier, PyObject *items, PyObject *copy)
{
    struct core_state *state = copier->state;
    PyObject *iterator = PyObject_GetIter(items), *item;
    int found = iterator == NULL ? -1 : 1;
    while (found > 0 && (found = next_of(copier, iterator, &item)) > 0) {
        PyObject *copied = copier_copy_part(copier, item, 0);
        if (copied == NULL || copier_before_foreign(copier) < 0) {
            found = -1;
        }
        else {
            PyObject *none = PyObject_CallMethodOneArg(copy, state->str.append, copied);
            Py_XDECREF(none);
            found = none == NULL ? -1 : 1;
            Py_DECREF(item);
            item = NULL;
            copier_after_foreign(copier);
        }
        Py_XDECREF(copied);
        Py_XDECREF(item);
    }
    Py_XDECREF(iterator);
    return found;
}

/* copy[deepcopy(key, memo)] = deepcopy(value, memo), the key first; owns nothing of the item. */
static int
set_item(struct copier *copier, PyObject *item, PyObject *copy)
{
    PyObject *key = copier_copy_part(copier, PyTuple_GET_ITEM(item, 0), 0);
    PyObject *value = key == NULL ? NULL : copier_copy_part(copier, PyTuple_GET_ITEM(item, 1), 0);
    int result = value == NULL || copier_before_foreign(copier) < 0 ? -1 : 0;
    if (result == 0) {
        result = PyObject_SetItem(copy, key, value);
        copier_after_foreign(copier);
    }
    Py_XDECREF(key);
    Py_XDECREF(value);
    return result;
}

/* for key, value in items: copy[deepcopy(key, memo)] = deepcopy(value, memo) */
static int
set_items(struct copier *copier, PyObject *items, PyObject *copy)
{
    PyObject *iterator = PyObject_GetIter(items), *item;
    int found = iterator == NULL ? -1 : 1;
    while (found > 0 && (found = next_of(copier, iterator, &item)) > 0) {
        if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != 2) {
            PyObject *pair = call_helper(copier->state, "pair", &item, 1);
            copier_after_foreign(copier);
            Py_SETREF(item, pair);
        }
        found =
            item == NULL || set_item(copier, item, copy) < 0 || copier_before_foreign(copier) < 0
                ? -1
                : 1;
        Py_XDECREF(item);
        if (found > 0) {
            copier_after_foreign(copier);
        }
    }
    Py_XDECREF(iterator);
    return found;
}

/* ---- rebuilding -------------------------------------------------------- */

/* A StopIteration out of the generator that passes copied arguments on is a RuntimeError. */
static void
leave_generator(struct copier *copier)
{
    if (!copier->state->copyroutes->args_by_generator
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

/* Whether calling it is object.__new__ and a Python function __init__, as far as is known. */
static int
calls_init(struct copier *copier, PyObject *function)
{
    if (!Py_IS_TYPE(function, &PyType_Type)) {
        return 0;
    }
    PyTypeObject *type = (PyTypeObject *)function;
    struct copyroute *route = copyroute_known(copier->state->copyroutes, type);
    return route != NULL && route->version != 0 && route->version == type_version(type)
           && (route->facts & CLONE_CALLS_INIT) != 0;
}

/* function(*args), args[-1] being free; strong or NULL.  Runs Python code. */
static PyObject *
call_constructor(struct copier *copier, PyObject *function, PyObject **args, Py_ssize_t count)
{
    struct core_state *state = copier->state;
    if (calls_init(copier, function)) {
        return clone_construct(state, (PyTypeObject *)function, args, count);
    }
    size_t flags = (size_t)count | PY_VECTORCALL_ARGUMENTS_OFFSET;
    if (function != state->stdlib.copyreg_newobj || count == 0) {
        return PyObject_Vectorcall(function, args, flags, NULL);
    }
    /* cls.__new__(cls, *args), without the frame of copyreg.__newobj__ */
    function = PyObject_GetAttr(args[0], state->str.new);
    PyObject *result = function == NULL ? NULL : PyObject_Vectorcall(function, args, flags, NULL);
    Py_XDECREF(function);
    return result;
}

/* The same by the plan of the function, if it has one. */
static PyObject *
make_or_call(struct copier *copier, PyObject *function, PyObject **args, Py_ssize_t count)
{
    PyObject *made;
    enum make_outcome outcome = make_object(copier->state, function, args, count, &made);
    if (outcome == MAKE_DONE || outcome == MAKE_RAISED) {
        return outcome == MAKE_DONE ? made : NULL;
    }
    PyObject *due = outcome == MAKE_DUE ? made : NULL, *result = NULL;
    if (copier_before_foreign(copier) < 0) {
        Py_XDECREF(due);
        return NULL;
    }
    Py_INCREF(function);
    if (due == NULL || make_read(copier->state, due) == 0) {
        result = call_constructor(copier, function, args, count);
    }
    Py_DECREF(function);
    copier_after_foreign(copier);
    return result;
}

/* Has the memo own copied arguments that were stored nowhere, if it names them: they are about
   to be dropped.  0 or -1. */
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
            leave_generator(copier);
            return i;
        }
    }
    return PyTuple_GET_SIZE(args);
}

enum { SHORT_ARGS = 6 };

/* func(*(deepcopy(arg, memo) for arg in args)); strong or NULL. */
static PyObject *
construct(struct copier *copier, PyObject *function, PyObject *args)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    PyObject *short_args[SHORT_ARGS + 1], **copies = short_args + 1, *result = NULL;
    if (count > SHORT_ARGS) {
        copies = PyMem_Malloc(((size_t)count + 1) * sizeof(PyObject *));
        if (copies == NULL) {
            return PyErr_NoMemory();
        }
        copies++;
    }
    Py_ssize_t ready = copy_arguments(copier, args, copies);
    if (ready == count) {
        result = make_or_call(copier, function, copies, count);
    }
    if (result != NULL && own_arguments(copier, copies, count) < 0) {
        Py_CLEAR(result);
    }
    while (ready > 0) {
        Py_DECREF(copies[--ready]);
    }
    if (count > SHORT_ARGS) {
        PyMem_Free(copies - 1);
    }
    return result;
}

/* Part number `index` of a reduce value, NULL if it is not there or None. */
static PyObject *
part_of(PyObject *reduce_value, Py_ssize_t index)
{
    PyObject *part =
        index < PyTuple_GET_SIZE(reduce_value) ? PyTuple_GET_ITEM(reduce_value, index) : Py_None;
    return part == Py_None ? NULL : part;
}

/* State, list items and dict items into the new object.  0 or -1. */
static int
fill(struct copier *copier, PyObject *object, PyObject *reduce_value, PyObject *copy)
{
    PyObject *state = part_of(reduce_value, 2);
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
    PyObject *items = part_of(reduce_value, 3);
    if (items != NULL && append_items(copier, items, copy) < 0) {
        return -1;
    }
    items = part_of(reduce_value, 4);
    return items != NULL && set_items(copier, items, copy) < 0 ? -1 : 0;
}

/* memo[id(object)] = copy.  Where no foreign code ran since `epoch`, in which the object was read
   and was not in the memo, it is not there now. */
static int
enter(struct copier *copier, PyObject *object, PyObject *copy, int alone, uint64_t epoch)
{
    if (copier->epoch != epoch) {
        return copymemo_put(&copier->memo, object, copy);
    }
    return copymemo_open(&copier->memo, object, COPY_OBJECT, copy, alone);
}

/* _reconstruct(object, memo, *reduce_value) for a usual reduce value; strong or NULL. */
static PyObject *
rebuild(struct copier *copier, PyObject *object, PyObject *reduce_value, int alone)
{
    uint64_t epoch = copier->epoch;
    copier_open_unentered(copier, alone);
    PyObject *copy =
        construct(copier, PyTuple_GET_ITEM(reduce_value, 0), PyTuple_GET_ITEM(reduce_value, 1));
    copier_close_unentered(copier);
    if (copy == NULL) {
        return NULL;
    }
    if (enter(copier, object, copy, alone, epoch) < 0
        || (PyTuple_GET_SIZE(reduce_value) > 2 && fill(copier, object, reduce_value, copy) < 0)) {
        Py_DECREF(copy);
        return NULL;
    }
    return copy;
}

static int
is_usual(PyObject *reduce_value)
{
    return PyTuple_CheckExact(reduce_value) && PyTuple_GET_SIZE(reduce_value) >= 2
           && PyTuple_GET_SIZE(reduce_value) <= 5
           && PyTuple_CheckExact(PyTuple_GET_ITEM(reduce_value, 1));
}

/* What the standard library makes of a reduce value; strong or NULL. */
static PyObject *
copy_from(struct copier *copier, PyObject *object, PyObject *reduce_value, int alone)
{
    if (is_usual(reduce_value)) {
        return rebuild(copier, object, reduce_value, alone);
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

/* Whether it is sure, without asking it, that the object has no __deepcopy__. */
static int
surely_lacks_deepcopy(struct copier *copier, PyObject *object, unsigned int facts)
{
    const unsigned int plain = CLONE_PLAIN_GETATTR | CLONE_NO_DEEPCOPY;
    if ((facts & plain) != plain) {
        return 0;
    }
    return (facts & CLONE_NO_DICT) != 0
           || ((facts & CLONE_OWN_DICT) != 0
               && clone_lacks_attribute(object, Py_TYPE(object), copier->state->str.deepcopy));
}

/* Calls __deepcopy__(memo).  1 and the copy, 0 if there is none, -1.  After it, no table that was
   read before is good. */
static int
copy_by_hook(struct copier *copier, PyObject *object, PyObject **copy)
{
    PyObject *hook;
    if (copier_before_foreign(copier) < 0) {
        return -1;
    }
    int found = PyObject_GetOptionalAttr(object, copier->state->str.deepcopy, &hook);
    copier_after_foreign(copier);
    if (found > 0 && hook != Py_None) {
        found = -1;
        if (copymemo_show(&copier->memo) == 0 && copier_before_foreign(copier) == 0) {
            *copy = PyObject_CallOneArg(hook, copier->memo.dict);
            copier_after_foreign(copier);
            found = *copy == NULL ? -1 : 1;
        }
    }
    else if (found > 0) {
        found = 0;
    }
    Py_XDECREF(hook);
    return found;
}

/* The type's function in dispatch_table as it is now: 1 and strong, 0 if there is none or if it
   is false, -1. */
static int
find_reducer(struct copier *copier, PyTypeObject *type, PyObject **reducer)
{
    struct core_state *state = copier->state;
    if (state->copyroutes->epoch != copier->epoch) {
        copyroute_refresh(state, copier->epoch);
    }
    PyObject *table = state->copyroutes->reducers;
    if (table == NULL || !PyDict_CheckExact(table)) {
        table = state->stdlib.dispatch_table;
    }
    int found = PyDict_GetItemRef(table, (PyObject *)type, reducer);
    if (found > 0 && !PyFunction_Check(*reducer) && !PyType_Check(*reducer)) {
        found = PyObject_IsTrue(*reducer);
    }
    if (found <= 0) {
        Py_CLEAR(*reducer);
    }
    return found;
}

/* Gets the reduce value; strong or NULL. */
static PyObject *
ask(struct copier *copier, PyObject *object, PyTypeObject *type, PyObject *known)
{
    PyObject *reducer = known, *reduce_value = NULL;
    if (copier_before_foreign(copier) < 0) {
        return NULL;
    }
    int found = known != NULL;
    if (!found) {
        found = find_reducer(copier, type, &reducer);
    }
    else {
        Py_INCREF(reducer);
    }
    if (found > 0) {
        reduce_value = PyObject_CallOneArg(reducer, object);
        Py_DECREF(reducer);
    }
    else if (found == 0) {
        reduce_value =
            copier_ask_object(copier->state, object, "un(deep)copyable object of type %S");
    }
    copier_after_foreign(copier);
    return reduce_value;
}

/* The reduce value that the plan of a reducer gives, strong: 1 if others hold all that is in
   it, or 2; 0 if there is no plan that can be used, and *callable NULL if it is to be looked
   up again; -1. */
static int
ask_plan(struct copier *copier, PyObject *object, PyObject **callable,
         enum reducer_verdict verdict, struct reducer *reducer, PyObject **reduce_value)
{
    if (verdict == REDUCER_DUE) {
        PyObject *owned = Py_NewRef(*callable);
        int read = copier_before_foreign(copier) < 0 ? -1 : reducer_read(copier->state, reducer);
        Py_DECREF(owned);
        copier_after_foreign(copier);
        *callable = NULL;
        return read;
    }
    if (verdict != REDUCER_PLAN) {
        return 0;
    }
    switch (reducer_run(copier->state, reducer, object, reduce_value)) {
    case READ_FOUND:
        return reducer->steps->leaves_only && PyTuple_CheckExact(*reduce_value) ? 1 : 2;
    case READ_RAISED: return -1;
    default: return 0;
    }
}

/* Whether dropping our references leaves each object to another holder. */
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

/* constructor(*parts) of copies of what was read from an object; strong or NULL. */
static PyObject *
construct_from(struct copier *copier, struct form_parts *parts)
{
    PyObject *room[FORM_PARTS_MAX + 1], **copies = room + 1, *result = NULL;
    PyObject *callable = Py_NewRef(parts->callable);
    Py_ssize_t count = parts->count, ready = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(parts->values[i]);
    }
    while (ready < count) {
        copies[ready] = copier_copy_part(copier, parts->values[ready], 0);
        if (copies[ready] == NULL) {
            leave_generator(copier);
            break;
        }
        ready++;
    }
    if (ready == count) {
        result = make_or_call(copier, callable, copies, count);
    }
    if (result != NULL && own_arguments(copier, copies, count) < 0) {
        Py_CLEAR(result);
    }
    while (ready > 0) {
        Py_DECREF(copies[--ready]);
    }
    int held = are_held(parts->values, count) && are_held(&callable, 1);
    if (!held && result != NULL && copier_before_foreign(copier) < 0) {
        Py_CLEAR(result);
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

/* Whether objects are their own copies.  Runs no Python code. */
static int
are_usual_atoms(struct copier *copier, PyObject *const *objects, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!is_usual_atom(objects[i])) {
            return 0;
        }
    }
    return copier->atoms_hold || (copier_look(copier) && copier->atoms_hold);
}

/* How far an object was copied: DONE if its end is to be entered in the memo yet, CLOSED if the
   memo is done with it too, NOT_SO if nothing was done. */
enum way { WAY_RAISED = -1, WAY_NOT_SO, WAY_DONE, WAY_CLOSED };

/* The copy of an object that is read by the form of its type, if one is ready. */
static enum way
copy_by_form(struct copier *copier, PyObject *object, int alone, PyObject **copy)
{
    struct form_parts parts;
    uint64_t epoch = copier->epoch;
    if (!form_read(copier->state, epoch, object, &parts)) {
        return WAY_NOT_SO;
    }
    enum make_outcome outcome = MAKE_CALL;
    if (are_usual_atoms(copier, parts.values, parts.count)) {
        outcome = make_object(copier->state, parts.callable, parts.values, parts.count, copy);
    }
    if (likely(outcome == MAKE_DONE)) {
        if (copymemo_whole(&copier->memo, object, COPY_OBJECT, *copy, alone) == 0) {
            return WAY_CLOSED;
        }
        Py_CLEAR(*copy);
        return WAY_RAISED;
    }
    if (outcome == MAKE_RAISED) {
        return WAY_RAISED;
    }
    if (outcome == MAKE_DUE) {
        Py_DECREF(*copy);
    }
    Py_INCREF(object);
    copier_open_unentered(copier, alone);
    *copy = construct_from(copier, &parts);
    copier_close_unentered(copier);
    if (*copy != NULL && enter(copier, object, *copy, alone, epoch) < 0) {
        Py_CLEAR(*copy);
    }
    Py_DECREF(object);
    return *copy == NULL ? WAY_RAISED : WAY_DONE;
}

/* The copy of an owned object from what its reducer gave, if that is a callable with a plan and
   atoms, which are their own copies.  CLOSED, RAISED, or NOT_SO. */
static enum way
copy_from_atoms(struct copier *copier, PyObject *object, PyObject *reduce_value, PyObject **copy)
{
    if (!PyTuple_CheckExact(reduce_value) || PyTuple_GET_SIZE(reduce_value) != 2
        || !PyTuple_CheckExact(PyTuple_GET_ITEM(reduce_value, 1))) {
        return WAY_NOT_SO;
    }
    PyObject *callable = PyTuple_GET_ITEM(reduce_value, 0);
    PyObject *arguments = PyTuple_GET_ITEM(reduce_value, 1);
    PyObject *const *values = &PyTuple_GET_ITEM(arguments, 0);
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (Py_REFCNT(callable) == 1 || !are_usual_atoms(copier, values, count)) {
        return WAY_NOT_SO;
    }
    enum make_outcome outcome = make_object(copier->state, callable, values, count, copy);
    if (outcome == MAKE_DUE) {
        Py_CLEAR(*copy);
    }
    if (outcome != MAKE_DONE) {
        return outcome == MAKE_RAISED ? WAY_RAISED : WAY_NOT_SO;
    }
    if (copymemo_own_whole(&copier->memo, object, *copy) < 0) {
        Py_CLEAR(*copy);
        return WAY_RAISED;
    }
    return WAY_CLOSED;
}

/* The copy of an owned object from a reduce value, which is stolen. */
static enum way
copy_and_drop(struct copier *copier, PyObject *object, PyObject *reduce_value, int planned,
              int alone, PyObject **copy)
{
    uint64_t epoch = copier->epoch;
    enum way way = planned ? WAY_NOT_SO : copy_from_atoms(copier, object, reduce_value, copy);
    if (way == WAY_CLOSED) {
        /* Nothing dies of it but tuples and atoms. */
        Py_DECREF(reduce_value);
        return way;
    }
    if (way == WAY_NOT_SO) {
        *copy = copy_from(copier, object, reduce_value, planned ? alone : 0);
    }
    if (planned == 1 && epoch == copier->epoch && PyTuple_GET_SIZE(reduce_value) == 2) {
        /* The object still holds what the reduce value was made of. */
        Py_DECREF(reduce_value);
        return *copy == NULL ? WAY_RAISED : WAY_DONE;
    }
    if (*copy != NULL && copier_before_foreign(copier) < 0) {
        Py_CLEAR(*copy);
    }
    Py_DECREF(reduce_value);
    copier_after_foreign(copier);
    return *copy == NULL ? WAY_RAISED : WAY_DONE;
}

/* The copy of an owned object by the function that dispatch_table has. */
static enum way
copy_by_reducer(struct copier *copier, PyObject *object, PyObject *callable, int alone,
                PyObject **copy)
{
    struct reducer reducer;
    PyObject *reduce_value = NULL;
    enum reducer_verdict verdict = reducer_meet(copier->state, callable, &reducer);
    if (verdict == REDUCER_PLAN
        && form_prepare(copier->state, copier->epoch, &reducer, Py_TYPE(object))) {
        enum way way = copy_by_form(copier, object, alone, copy);
        if (way != WAY_NOT_SO) {
            return way;
        }
    }
    int planned = 0;
    if (verdict != REDUCER_CALL) {
        planned = ask_plan(copier, object, &callable, verdict, &reducer, &reduce_value);
    }
    if (planned == 0) {
        reduce_value = ask(copier, object, Py_TYPE(object), callable);
    }
    return reduce_value == NULL
               ? WAY_RAISED
               : copy_and_drop(copier, object, reduce_value, planned, alone, copy);
}

/* The copy of an owned object that is asked for its reduce value.  Its type is owned too: it may
   have a __deepcopy__ that changes it. */
static enum way
copy_asked(struct copier *copier, PyObject *object, int sure, PyObject **copy)
{
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    enum way way = WAY_RAISED;
    int found = sure ? 0 : copy_by_hook(copier, object, copy);
    if (found == 0) {
        PyObject *reduce_value = ask(copier, object, type, NULL);
        if (reduce_value != NULL) {
            way = copy_and_drop(copier, object, reduce_value, 0, 0, copy);
        }
    }
    else if (found > 0) {
        way = WAY_DONE;
    }
    Py_DECREF(type);
    return way;
}

PyObject *
copier_by_reduction(struct copier *copier, PyObject *object, PyObject *reducer, unsigned int facts,
                    int alone)
{
    PyObject *copy = NULL;
    enum way way = WAY_NOT_SO;
    int sure = surely_lacks_deepcopy(copier, object, facts);
    reducer = sure && reducer != NULL && PyFunction_Check(reducer) ? reducer : NULL;
    if (reducer != NULL) {
        way = copy_by_form(copier, object, alone, &copy);
        if (way == WAY_CLOSED || way == WAY_RAISED) {
            return copy;
        }
    }
    Py_INCREF(object);
    if (way == WAY_NOT_SO) {
        way = reducer != NULL ? copy_by_reducer(copier, object, reducer, alone, &copy)
                              : copy_asked(copier, object, sure, &copy);
    }
    if (way == WAY_DONE && copy != object
        && copymemo_close(&copier->memo, object, COPY_OBJECT, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(object);
    return way == WAY_RAISED ? NULL : copy;
}

#endif
