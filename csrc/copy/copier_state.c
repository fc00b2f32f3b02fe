/* Asking objects, and putting states and items into copies: see copier.h.

   Usual states are set here: dicts, of instances that take them as ordinary ones do.  Any other is
   given to the standard library's own _reconstruct, so that the errors and their order are the
   same. */
#include "copy/copier.h"

#include "types/bound.h"
#include "types/setstate.h"
#include "copy/room.h"
#include "base/layout.h"

/* Two functions that say in Python what C would have to word errors for. */
static const char helpers_source[] = "def reconstruct(function, x, memo, reduce_value):\n"
                                     "    return function(x, memo, *reduce_value)\n"
                                     "def pair(item):\n"
                                     "    key, value = item\n"
                                     "    return key, value\n";

int
copier_state_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *helpers = Py_BuildValue("{sO}", "__builtins__", state->stdlib.builtins_dict);
    PyObject *none =
        helpers == NULL ? NULL : PyRun_String(helpers_source, Py_file_input, helpers, helpers);
    state->copy->copy_helpers = helpers;
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* Calls a helper; strong or NULL.  Runs Python code. */
static PyObject *
call_copy_helper(struct core_state *state, const char *name, PyObject *const *args, size_t count)
{
    PyObject *key = PyUnicode_FromString(name), *helper = NULL;
    if (key == NULL || PyDict_GetItemRef(state->copy->copy_helpers, key, &helper) <= 0) {
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
    return call_copy_helper(state, "reconstruct", args, Py_ARRAY_LENGTH(args));
}

/* ---- asking ------------------------------------------------------------- */

/* Calls the reducer of the object's class, without looking it up again: 1 and the reduce value,
   strong; 0 if the object is to be asked; -1. */
static int
ask_class(struct core_state *state, PyObject *object, PyObject **reduce_value)
{
    if (!layout_is_known()) {
        return 0;
    }
    int takes_protocol;
    PyObject *method = bound_find_reducer(state, object, &takes_protocol);
    if (method == NULL) {
        return 0;
    }
    PyObject *args[] = {object, state->protocols[4]};
    Py_INCREF(method);
    *reduce_value = PyObject_Vectorcall(method, args, takes_protocol ? 2 : 1, NULL);
    Py_DECREF(method);
    return *reduce_value == NULL ? -1 : 1;
}

PyObject *
copier_ask_object(struct core_state *state, PyObject *object, const char *error)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *reducer, *reduce_value = NULL;
    if (ask_class(state, object, &reduce_value) != 0) {
        return reduce_value;
    }
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

/* ---- states ------------------------------------------------------------- */

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

/* True if the instance takes state as instances of ordinary classes do: no __setstate__ anywhere.
 */
static int
takes_state_plainly(struct core_state *state, PyObject *copy, unsigned int facts)
{
    const unsigned int plain = TYPE_PLAIN_GETATTR | TYPE_NO_SETSTATE;
    if ((facts & plain) != plain) {
        return 0;
    }
    return (facts & TYPE_NO_DICT) != 0
           || ((facts & TYPE_OWN_DICT) != 0
               && layout_lacks_attribute(copy, Py_TYPE(copy), state->str.setstate));
}

/* y.__setstate__(state), if that is a function of the class or a method of C.  1 done, 0 not so,
   -1. */
static int
call_setstate(struct core_state *state, PyObject *copy, PyObject *copied_state, unsigned int facts)
{
    PyObject *method = type_lookup(Py_TYPE(copy), state->str.setstate);
    if (!(facts & TYPE_PLAIN_LOOKUP) || method == NULL
        || !PyType_HasFeature(Py_TYPE(method), Py_TPFLAGS_METHOD_DESCRIPTOR)) {
        return 0;
    }
    int done = setstate_apply(state, NULL, copy, copied_state);
    if (done != 0) {
        return done;
    }
    PyObject *none = PyObject_CallMethodOneArg(copy, state->str.setstate, copied_state);
    Py_XDECREF(none);
    return none == NULL ? -1 : 1;
}

/* The state of an ordinary instance.  1 done, 0 not usual and nothing done, -1. */
static int
apply_plain_state(struct core_state *state, PyObject *copy, PyObject *copied_state)
{
    if (!layout_is_known()) {
        return 0;
    }
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
             || (PyDict_CheckExact(attributes) && (facts & TYPE_OWN_DICT) != 0))) {
        return 0;
    }
    if (attributes != Py_None && default_update(copy, attributes) < 0) {
        return -1;
    }
    return slots != Py_None && set_slots(copy, slots) < 0 ? -1 : 1;
}

/* Splits a state into the part for the __dict__ and the part that is set as attributes; each may
   be None.  0 if that takes Python code. */
static int
split_state(PyObject *copied_state, PyObject **attributes, PyObject **slots)
{
    *attributes = copied_state;
    *slots = Py_None;
    if (PyTuple_CheckExact(copied_state) && PyTuple_GET_SIZE(copied_state) == 2) {
        *attributes = PyTuple_GET_ITEM(copied_state, 0);
        *slots = PyTuple_GET_ITEM(copied_state, 1);
        return *slots == Py_None || PyDict_CheckExact(*slots);
    }
    return PyTuple_CheckExact(copied_state) || PyDict_CheckExact(copied_state)
           || PyList_CheckExact(copied_state);
}

/* copy.__dict__.update(attributes) */
static int
update_dict(struct core_state *state, PyObject *copy, PyObject *attributes)
{
    PyObject *dict = PyObject_GetAttr(copy, state->str.dict), *none;
    int result = -1;
    if (dict != NULL && PyDict_CheckExact(dict) && PyDict_CheckExact(attributes)) {
        result = PyDict_Update(dict, attributes);
    }
    else if (dict != NULL
             && (none = PyObject_CallMethodOneArg(dict, state->str.update, attributes)) != NULL) {
        Py_DECREF(none);
        result = 0;
    }
    Py_XDECREF(dict);
    return result;
}

/* The state of any instance: __setstate__ is looked up twice, as _reconstruct does.  1 done, 0 if
   that is to do it and nothing is done, -1. */
static int
apply_any_state(struct core_state *state, PyObject *copy, PyObject *copied_state)
{
    PyObject *attributes, *slots, *setstate;
    if (!split_state(copied_state, &attributes, &slots)) {
        return 0;
    }
    int found = PyObject_GetOptionalAttr(copy, state->str.setstate, &setstate);
    Py_XDECREF(setstate);
    if (found > 0) {
        PyObject *none = PyObject_CallMethodOneArg(copy, state->str.setstate, copied_state);
        Py_XDECREF(none);
        return none == NULL ? -1 : 1;
    }
    return found < 0 || (attributes != Py_None && update_dict(state, copy, attributes) < 0)
                   || (slots != Py_None && set_slots(copy, slots) < 0)
               ? -1
               : 1;
}

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
    if (done == 0) {
        done = apply_any_state(state, copy, copied_state);
    }
    return done != 0 ? (done < 0 ? -1 : 0)
                     : apply_state_by_reconstruct(state, source, copy, copied_state);
}

/* ---- items of shallow copies -------------------------------------------- */

/* Items between two looks at signals and other threads. */
enum { ITEMS_AT_ONCE = 2048 };

/* copy.append(item).  0 or -1. */
static int
append_one(struct core_state *state, PyObject *copy, PyObject *item)
{
    PyObject *none = PyObject_CallMethodOneArg(copy, state->str.append, item);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* copy[key] = value of an item, which is owned.  0 or -1. */
static int
set_item_shallowly(struct core_state *state, PyObject *copy, PyObject *item)
{
    PyObject *pair = PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2
                         ? Py_NewRef(item)
                         : call_copy_helper(state, "pair", &item, 1);
    int result = pair == NULL ? -1
                              : PyObject_SetItem(copy, PyTuple_GET_ITEM(pair, 0),
                                                 PyTuple_GET_ITEM(pair, 1));
    Py_XDECREF(pair);
    return result;
}

/* for item in items: put(copy, item).  0 or -1. */
ALWAYS_INLINE int
for_each(struct core_state *state, PyObject *items, PyObject *copy,
         int (*put)(struct core_state *, PyObject *, PyObject *))
{
    struct poll poll = {0, 0};
    PyObject *iterator = PyObject_GetIter(items), *item;
    int result = iterator == NULL ? -1 : 0;
    for (size_t i = 1; result == 0 && (item = PyIter_Next(iterator)) != NULL; i++) {
        result = put(state, copy, item);
        Py_DECREF(item);
        if (result == 0 && i % ITEMS_AT_ONCE == 0 && poll_is_due(&poll)) {
            result = poll_take(state, &poll);
        }
    }
    Py_XDECREF(iterator);
    return result == 0 && PyErr_Occurred() ? -1 : result;
}

int
copier_append_all(struct core_state *state, PyObject *items, PyObject *copy)
{
    return for_each(state, items, copy, append_one);
}

int
copier_set_all(struct core_state *state, PyObject *items, PyObject *copy)
{
    return for_each(state, items, copy, set_item_shallowly);
}

int
copier_set_state(struct copier *copier, PyObject *source, PyObject *copy, PyObject *copied_state)
{
    const unsigned int needed = TYPE_PLAIN_GETATTR | TYPE_NO_SETSTATE | TYPE_OWN_DICT;
    PyTypeObject *type = Py_TYPE(copy);
    struct copyroute *route = copyroute_known(copier->state->copy->routes, type);
    if (PyDict_CheckExact(copied_state) && route != NULL && copyroute_is_current(route)
        && (route->facts & needed) == needed && default_is_empty(copy)) {
        /* The memo must own the copied state: nothing else will hold it. */
        return copymemo_flush(&copier->memo) < 0 ? -1 : default_update(copy, copied_state);
    }
    if (copier_before_foreign(copier) < 0) {
        return -1;
    }
    int result = copier_apply_state(copier->state, source, copy, copied_state);
    copier_after_foreign(copier);
    return result;
}

/* ---- items -------------------------------------------------------------- */

int
copier_next_of(struct copier *copier, PyObject *iterator, PyObject **item)
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
int
copier_append_items(struct copier *copier, PyObject *items, PyObject *copy)
{
    struct core_state *state = copier->state;
    PyObject *iterator = PyObject_GetIter(items), *item;
    int found = iterator == NULL ? -1 : 1;
    while (found > 0 && (found = copier_next_of(copier, iterator, &item)) > 0) {
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

PyObject *
copier_pair(struct copier *copier, PyObject *item)
{
    if (PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2) {
        return item;
    }
    PyObject *pair = NULL;
    if (copier_before_foreign(copier) == 0) {
        pair = call_copy_helper(copier->state, "pair", &item, 1);
        Py_DECREF(item);
        copier_after_foreign(copier);
    }
    return pair;
}

/* for key, value in items: copy[deepcopy(key, memo)] = deepcopy(value, memo) */
int
copier_set_items(struct copier *copier, PyObject *items, PyObject *copy)
{
    PyObject *iterator = PyObject_GetIter(items), *item;
    int found = iterator == NULL ? -1 : 1;
    while (found > 0 && (found = copier_next_of(copier, iterator, &item)) > 0) {
        item = copier_pair(copier, item);
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
