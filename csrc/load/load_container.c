/* Opcodes of lists, dicts and sets, and those that move objects about. */
#include "base/layout.h"
#include "load/load_state.h"
#include "load/safe_limits.h"
#include "load/load_template.h"
#include "values/room.h"

/* ---- the stack ---------------------------------------------------------- */

/* POP may take off a MARK. */
int
load_pop(struct unpickler *unpickler)
{
    if (unpickler->mark_count > 0 && unpickler->top == unpickler->fence) {
        load_pop_to_mark(unpickler);
        return 0;
    }
    PyObject *object = load_take(unpickler);
    if (object == NULL) {
        return -1;
    }
    Py_DECREF(object);
    return 0;
}

int
load_pop_mark(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    if (start == NULL) {
        return -1;
    }
    load_drop_to(unpickler, start);
    return 0;
}

int
load_dup(struct unpickler *unpickler)
{
    if (load_reach(unpickler) < 1) {
        return load_underflow(unpickler);
    }
    load_note_again(&unpickler->key_bounds, unpickler->top[-1]);
    return load_push(unpickler, Py_NewRef(unpickler->top[-1]));
}

/* The index that a line of text says: 0, or -1 with an exception. */
static int
index_of_line(const char *line, Py_ssize_t *index)
{
    PyObject *number = PyLong_FromString(line, NULL, 10);
    if (number == NULL) {
        return -1;
    }
    *index = PyLong_AsSsize_t(number);
    Py_DECREF(number);
    return *index == -1 && PyErr_Occurred() ? -1 : 0;
}

int
load_get(struct unpickler *unpickler)
{
    char *line;
    Py_ssize_t index, length = reader_take_line(&unpickler->reader, &line);
    if (length < 2) {
        return length < 0 ? -1 : reader_truncated(&unpickler->reader);
    }
    if (index_of_line(line, &index) < 0) {
        return -1;
    }
    return load_fetch(unpickler, (size_t)index);
}

int
load_put(struct unpickler *unpickler)
{
    char *line;
    Py_ssize_t index, length = reader_take_line(&unpickler->reader, &line);
    if (length < 2) {
        return length < 0 ? -1 : reader_truncated(&unpickler->reader);
    }
    if (load_reach(unpickler) < 1) {
        return load_underflow(unpickler);
    }
    if (index_of_line(line, &index) < 0) {
        return -1;
    }
    if (index < 0) {
        PyErr_SetString(PyExc_ValueError, "negative PUT argument");
        return -1;
    }
    return load_memo_put(&unpickler->memo, unpickler->state, (size_t)index, unpickler->top[-1]);
}

/* ---- lists -------------------------------------------------------------- */

/* Moves the objects from `start` up into a new list; strong, or NULL and nothing moved. */
static PyObject *
take_list(struct unpickler *unpickler, PyObject **start)
{
    PyObject *list = PyList_New(unpickler->top - start);
    if (list != NULL) {
        load_move_to(unpickler, start, ((PyListObject *)list)->ob_item);
    }
    return list;
}

int
load_list(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    return start == NULL ? -1 : load_push(unpickler, take_list(unpickler, start));
}

/* list.append() of a list that has no extend(), one by one.  Runs Python code. */
static int
append_each(struct unpickler *unpickler, PyObject **start, PyObject *method)
{
    if (method == NULL) {
        return -1;
    }
    int result = 0;
    for (PyObject **item = start; result == 0 && item < unpickler->top; item++) {
        PyObject *returned = PyObject_CallOneArg(method, *item);
        result = returned == NULL ? -1 : 0;
        Py_XDECREF(returned);
    }
    Py_DECREF(method);
    load_drop_to(unpickler, start);
    return result;
}

/* deque.extend() of an exact deque, one by one.  Runs Python code: items that no longer fit are
   released. */
static int
extend_deque(struct unpickler *unpickler, PyObject *deque, PyObject **start)
{
    PyCFunction append = unpickler->state->values->builtin.deque_append;
    int result = 0;
    for (PyObject **item = start; result == 0 && item < unpickler->top; item++) {
        PyObject *returned = append(deque, *item);
        result = returned == NULL ? -1 : 0;
        Py_XDECREF(returned);
    }
    load_drop_to(unpickler, start);
    return result;
}

/* True if objects of the type find the method in the usual way, as a function or a method of C. */
static int
has_method(PyTypeObject *type, PyObject *name)
{
    PyObject *found =
        type->tp_getattro == PyObject_GenericGetAttr ? type_lookup(type, name) : NULL;
    return found != NULL && PyType_HasFeature(Py_TYPE(found), Py_TPFLAGS_METHOD_DESCRIPTOR);
}

/* object.extend(items), without the bound method; in a load with a policy, that of its class.
   Runs Python code. */
static int
extend_by_method(struct unpickler *unpickler, PyObject *object, PyObject **start)
{
    PyObject *name = unpickler->state->str.extend, *returned;
    PyObject *arguments[] = {object, take_list(unpickler, start)};
    if (arguments[1] == NULL) {
        return -1;
    }
    if (unpickler->policy == NULL) {
        returned = PyObject_VectorcallMethod(name, arguments, 2, NULL);
    }
    else {
        PyObject *method = Py_NewRef(type_lookup(Py_TYPE(object), name));
        returned = PyObject_Vectorcall(method, arguments, 2, NULL);
        Py_DECREF(method);
    }
    Py_DECREF(arguments[1]);
    Py_XDECREF(returned);
    return returned == NULL ? -1 : 0;
}

/* The method of an object: *method, strong, or NULL if it has none.  In a load with a policy it is
   its class's, whatever the pickle has put into the object.  0 or -1.  Runs Python code. */
static int
get_optional_method(struct unpickler *unpickler, PyObject *object, PyObject *name,
                    PyObject **method)
{
    if (unpickler->policy != NULL) {
        return safe_get_method(object, name, method);
    }
    return PyObject_GetOptionalAttr(object, name, method) < 0 ? -1 : 0;
}

/* The same; strong, or NULL with an exception. */
static PyObject *
get_method(struct unpickler *unpickler, PyObject *object, PyObject *name)
{
    PyObject *method;
    if (unpickler->policy == NULL) {
        return PyObject_GetAttr(object, name);
    }
    if (get_optional_method(unpickler, object, name, &method) == 0 && method == NULL) {
        safe_refuse_here(unpickler, "method", object);
    }
    return method;
}

/* APPENDS onto an object that is not an exact list.  Runs Python code. */
static int
extend_object(struct unpickler *unpickler, PyObject *object, PyObject **start)
{
    struct core_strings *str = &unpickler->state->str;
    PyObject *extend;
    if (Py_TYPE(object) == unpickler->state->values->builtin.deque
        && unpickler->state->values->builtin.deque_append != NULL) {
        return extend_deque(unpickler, object, start);
    }
    if (load_hand_over(unpickler, start, unpickler->top - start) < 0) {
        return -1;
    }
    if (has_method(Py_TYPE(object), str->extend)) {
        return extend_by_method(unpickler, object, start);
    }
    if (get_optional_method(unpickler, object, str->extend, &extend) < 0) {
        return -1;
    }
    if (extend == NULL) {
        return append_each(unpickler, start, get_method(unpickler, object, str->append));
    }
    PyObject *items = take_list(unpickler, start);
    PyObject *returned = items == NULL ? NULL : PyObject_CallOneArg(extend, items);
    Py_DECREF(extend);
    Py_XDECREF(items);
    Py_XDECREF(returned);
    return returned == NULL ? -1 : 0;
}

/* Appends the objects from `start` up to an exact list. */
static int
extend_list(struct unpickler *unpickler, PyObject *list, PyObject **start)
{
    Py_ssize_t count = unpickler->top - start;
    if (list_take_items(list, start, count)) {
        unpickler->top = start;
        return 0;
    }
    Py_ssize_t size = PyList_GET_SIZE(list);
    PyObject *items = take_list(unpickler, start);
    if (items == NULL) {
        return -1;
    }
    int result = PyList_SetSlice(list, size, size, items);
    Py_DECREF(items);
    return result;
}

/* The object that the items from `start` up belong to, borrowed, or NULL with an
   exception if there is none in reach. */
static PyObject *
container_below(struct unpickler *unpickler, PyObject **start)
{
    if (start <= unpickler->fence) {
        load_underflow(unpickler);
        return NULL;
    }
    return start[-1];
}

static int
append_from(struct unpickler *unpickler, PyObject **start)
{
    PyObject *container = container_below(unpickler, start);
    if (container == NULL) {
        return -1;
    }
    if (start == unpickler->top && unpickler->state->load_dialect.empty_batch_is_passed) {
        return 0;
    }
    if (likely(PyList_CheckExact(container))) {
        return extend_list(unpickler, container, start);
    }
    return extend_object(unpickler, container, start);
}

int
load_append(struct unpickler *unpickler)
{
    if (unlikely(load_reach(unpickler) < 2)) {
        return load_underflow(unpickler);
    }
    PyObject *list = unpickler->top[-2];
    if (!PyList_CheckExact(list)) {
        return append_from(unpickler, unpickler->top - 1);
    }
    int result = PyList_Append(list, unpickler->top[-1]);
    load_drop_to(unpickler, unpickler->top - 1);
    return result;
}

int
load_appends(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    return start == NULL ? -1 : append_from(unpickler, start);
}

/* ---- dicts -------------------------------------------------------------- */

/* True if items are set in the object as in an exact dict. */
static int
is_plain_dict(const struct unpickler *unpickler, PyObject *container)
{
    return PyDict_CheckExact(container)
           || Py_TYPE(container) == unpickler->state->values->builtin.defaultdict;
}

/* Sets the pairs from `start` up.  0, or -1 with an exception.  May run Python code (hash
   and equality of keys, or any __setitem__). */
static int
set_items(struct unpickler *unpickler, PyObject *container, PyObject **start)
{
    int (*set)(PyObject *, PyObject *, PyObject *) =
        is_plain_dict(unpickler, container) ? PyDict_SetItem
        : PyODict_CheckExact(container)     ? PyODict_SetItem
                                            : PyObject_SetItem;
    int result = 0;
    for (PyObject **pair = start; result == 0 && pair < unpickler->top; pair += 2) {
        if (load_check_key(unpickler->state, &unpickler->key_bounds, container, pair[0]) < 0) {
            return -1;
        }
        result = set(container, pair[0], pair[1]);
    }
    return result;
}

static int
odd_number(struct unpickler *unpickler, const char *opcode)
{
    PyErr_Format(unpickler->state->stdlib.unpickling_error, "odd number of items for %s", opcode);
    return -1;
}

int
load_dict(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    if (start == NULL) {
        return -1;
    }
    PyObject *dict = PyDict_New();
    if (dict == NULL) {
        return -1;
    }
    if ((unpickler->top - start) % 2 != 0) {
        Py_DECREF(dict);
        return odd_number(unpickler, "DICT");
    }
    if (set_items(unpickler, dict, start) < 0) {
        Py_DECREF(dict);
        return -1;
    }
    load_drop_to(unpickler, start);
    return load_push(unpickler, dict);
}

static int
set_items_from(struct unpickler *unpickler, PyObject **start)
{
    PyObject *container = container_below(unpickler, start);
    if (container == NULL) {
        return -1;
    }
    if ((unpickler->top - start) % 2 != 0) {
        return odd_number(unpickler, "SETITEMS");
    }
    int stored = load_store_state(unpickler, start);
    if (stored != 0) {
        return stored < 0 ? -1 : 0;
    }
    int filled =
        is_plain_dict(unpickler, container) ? load_fill_dict(unpickler, container, start) : 0;
    if (filled != 0) {
        return filled < 0 ? -1 : 0;
    }
    int result = PyDict_CheckExact(container)
                     ? 0
                     : load_hand_over(unpickler, start, unpickler->top - start);
    if (result == 0) {
        result = set_items(unpickler, container, start);
    }
    load_drop_to(unpickler, start);
    return result;
}

int
load_setitem(struct unpickler *unpickler)
{
    if (unlikely(load_reach(unpickler) < 3)) {
        return load_underflow(unpickler);
    }
    return set_items_from(unpickler, unpickler->top - 2);
}

int
load_setitems(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    return start == NULL ? -1 : set_items_from(unpickler, start);
}

/* ---- sets --------------------------------------------------------------- */

int
load_empty_set(struct unpickler *unpickler)
{
    return load_push(unpickler, PySet_New(NULL));
}

/* Adds keys to a set, or to a frozenset that nobody else has, as their update() does.  0, or -1
   with an exception.  May run Python code (hash, equality). */
static int
add_keys(struct unpickler *unpickler, PyObject *set, PyObject *const *keys, Py_ssize_t count)
{
    int result = 0;
    for (Py_ssize_t i = 0; result == 0 && i < count; i++) {
        result = load_check_key(unpickler->state, &unpickler->key_bounds, set, keys[i]);
        result = result == 0 ? PySet_Add(set, keys[i]) : -1;
    }
    return result;
}

/* The same of the objects from `start` up, which are released. */
static int
update_set(struct unpickler *unpickler, PyObject *set, PyObject **start)
{
    int result = add_keys(unpickler, set, start, unpickler->top - start);
    load_drop_to(unpickler, start);
    return result;
}

enum outcome
load_make_set(struct unpickler *unpickler, PyObject *callable, PyObject *const *arguments,
              Py_ssize_t count, PyObject **made)
{
    if ((callable != (PyObject *)&PySet_Type && callable != (PyObject *)&PyFrozenSet_Type)
        || count != 1 || !(PyList_CheckExact(arguments[0]) || PyTuple_CheckExact(arguments[0]))
        || load_keys_are_plain(&unpickler->key_bounds)) {
        return OUTCOME_BAIL;
    }
    PyObject *keys = PySequence_Tuple(arguments[0]);
    if (keys == NULL) {
        return OUTCOME_RAISED;
    }
    PyObject **first = &PyTuple_GET_ITEM(keys, 0);
    Py_ssize_t size = PyTuple_GET_SIZE(keys);
    enum outcome outcome = OUTCOME_BAIL;
    if (!load_keys_are_few(&unpickler->key_bounds, first, first + size)) {
        *made = callable == (PyObject *)&PySet_Type ? PySet_New(NULL) : PyFrozenSet_New(NULL);
        outcome = OUTCOME_DONE;
        if (*made == NULL || add_keys(unpickler, *made, first, size) < 0) {
            Py_CLEAR(*made);
            outcome = OUTCOME_RAISED;
        }
    }
    Py_DECREF(keys);
    return outcome;
}

int
load_additems(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    PyObject *container = start == NULL ? NULL : container_below(unpickler, start);
    if (container == NULL) {
        return -1;
    }
    if (start == unpickler->top && unpickler->state->load_dialect.empty_addition_is_passed) {
        return 0;
    }
    if (PySet_Check(container)) {
        return update_set(unpickler, container, start);
    }
    if (load_hand_over(unpickler, start, unpickler->top - start) < 0) {
        return -1;
    }
    return append_each(unpickler, start,
                       get_method(unpickler, container, unpickler->state->str.add));
}

int
load_frozenset(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    if (start == NULL) {
        return -1;
    }
    int few = load_keys_are_few(&unpickler->key_bounds, start, unpickler->top);
    PyObject *items = few ? take_list(unpickler, start) : NULL;
    if (few && items == NULL) {
        return -1;
    }
    PyObject *set = PyFrozenSet_New(items);
    Py_XDECREF(items);
    if (!few && set != NULL && update_set(unpickler, set, start) < 0) {
        Py_CLEAR(set);
    }
    return load_push(unpickler, set);
}
