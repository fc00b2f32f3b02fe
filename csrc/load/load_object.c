/* Opcodes that call something: REDUCE, NEWOBJ, OBJ, INST, BUILD, persistent ids. */
#include "load/load.h"

#include "base/layout.h"
#include "load/load_rows.h"
#include "types/rebuild.h"
#include "load/safe_opcodes.h"
#include "load/room.h"
#include "load/load_build.h"
#include "types/room.h"

/* Moves the objects from `start` up into a new tuple; strong, or NULL. */
static PyObject *
take_tuple(struct unpickler *unpickler, PyObject **start)
{
    PyObject *tuple = PyTuple_New(unpickler->top - start);
    if (tuple != NULL) {
        load_move_to(unpickler, start, &PyTuple_GET_ITEM(tuple, 0));
    }
    return tuple;
}

/* ---- REDUCE ------------------------------------------------------------- */

/* Arguments None: the object that the callable's __basicnew__() makes, if it is a class that has
   one (Python 2.0), else the TypeError for arguments that are no tuple.  Runs Python code. */
static PyObject *
call_without_arguments(struct core_state *state, PyObject *callable)
{
    PyObject *basicnew = NULL;
    if (PyType_Check(callable)
        && PyObject_GetOptionalAttr(callable, state->str.basicnew, &basicnew) < 0) {
        return NULL;
    }
    if (basicnew == NULL) {
        return PyObject_CallObject(callable, Py_None);
    }
    PyObject *object = PyObject_CallNoArgs(basicnew);
    Py_DECREF(basicnew);
    return object;
}

/* Hands the arguments of a call over.  A type of C fills none of its arguments. */
ALWAYS_INLINE int
hand_arguments(struct unpickler *unpickler, PyObject *callable, PyObject *const *arguments,
               Py_ssize_t count)
{
    return PyType_Check(callable)
                   && PyType_HasFeature((PyTypeObject *)callable, Py_TPFLAGS_IMMUTABLETYPE)
               ? 0
               : load_hand_over(unpickler, arguments, count);
}

/* The same for those in a tuple, or the keywords in a dict; NULL: none. */
static int
hand_container(struct unpickler *unpickler, PyObject *callable, PyObject *container)
{
    return container == NULL ? 0 : hand_arguments(unpickler, callable, &container, 1);
}

/* callable(*arguments), by its plan if it has one.  Strong, or NULL with an exception.  Runs
   Python code. */
static PyObject *
call_with_tuple(struct unpickler *unpickler, PyObject *callable, PyObject *arguments)
{
    enum outcome outcome = OUTCOME_BAIL;
    PyObject *object;
    if (hand_container(unpickler, callable, arguments) < 0) {
        return NULL;
    }
    if (PyTuple_CheckExact(arguments)) {
        PyObject *const *items = &PyTuple_GET_ITEM(arguments, 0);
        Py_ssize_t count = PyTuple_GET_SIZE(arguments);
        outcome = construct_or_read(unpickler->state, callable, items, count, &object);
        if (outcome == OUTCOME_BAIL) {
            outcome = load_make_set(unpickler, callable, items, count, &object);
        }
    }
    if (outcome == OUTCOME_BAIL) {
        return PyObject_CallObject(callable, arguments);
    }
    return outcome == OUTCOME_DONE ? object : NULL;
}

int
load_reduce(struct unpickler *unpickler)
{
    PyObject *arguments = load_take(unpickler);
    if (arguments == NULL) {
        return -1;
    }
    PyObject *object = NULL, *callable = load_take(unpickler);
    if (callable != NULL) {
        object = arguments == Py_None ? call_without_arguments(unpickler->state, callable)
                                      : call_with_tuple(unpickler, callable, arguments);
        Py_DECREF(callable);
    }
    Py_DECREF(arguments);
    return load_push_memoized(unpickler, object);
}

/* Passes a put, if it is there, and the opcode that takes the arguments, which are from
   `arguments` to the top of the stack.  The tuple counts as an entry of the memo, but keeps
   nothing alive that its items' own entries do not: see load_memo.h.  0, or -1 with MemoryError.
 */
ALWAYS_INLINE int
pass_taker(struct unpickler *unpickler, PyObject **arguments)
{
    struct reader *reader = &unpickler->reader;
    size_t put = load_size_of_put(unpickler, reader->at, unpickler->memo.length);
    reader->at += 1 + put;
    return put > 0 ? load_memo_pass_tuple(&unpickler->memo, arguments,
                                          (size_t)(unpickler->top - arguments))
                   : 0;
}

/* True if calling the callable is what type's __call__ makes of it. */
static int
is_called_by_type(PyObject *callable)
{
    return PyType_Check(callable) && Py_TYPE(callable)->tp_call == PyType_Type.tp_call
           && callable != (PyObject *)&PyType_Type && ((PyTypeObject *)callable)->tp_new != NULL;
}

/* True if the __init__ does nothing behind the __new__: object's behind another one, and that of
   exceptions, which sets the args that are set. */
static int
is_done_by_new(PyTypeObject *type)
{
    PyTypeObject *base = (PyTypeObject *)PyExc_BaseException;
    return (type->tp_init == base->tp_init && type->tp_new == base->tp_new)
           || (type->tp_init == PyBaseObject_Type.tp_init
               && type->tp_new != PyBaseObject_Type.tp_new);
}

/* What type's __call__ does with a class; strong or NULL.  Runs Python code. */
static PyObject *
call_by_type(PyTypeObject *type, PyObject *arguments)
{
    PyObject *object = type->tp_new(type, arguments, NULL);
    if (object == NULL || !PyObject_TypeCheck(object, type)) {
        return object;
    }
    initproc init = Py_TYPE(object)->tp_init;
    if (init != NULL && !is_done_by_new(Py_TYPE(object)) && init(object, arguments, NULL) < 0) {
        Py_CLEAR(object);
    }
    return object;
}

/* The function of Python that its type has for a call; borrowed, or NULL. */
static PyObject *
find_python_call(struct core_state *state, PyObject *callable)
{
    PyTypeObject *type = Py_TYPE(callable);
    if (type->tp_call != state->types->python_call || type->tp_call == NULL) {
        return NULL;
    }
    PyObject *function = type_lookup(type, state->str.call);
    return function != NULL && PyFunction_Check(function) ? function : NULL;
}

/* callable(*arguments) for the arguments from `arguments` to the top of the stack, with the
   callable right below them.  Strong, or NULL with an exception; the stack may or may not have
   them still.  Runs Python code. */
static PyObject *
call_off_stack(struct unpickler *unpickler, PyObject *callable, PyObject **arguments)
{
    size_t count = (size_t)(unpickler->top - arguments);
    if (PyVectorcall_Function(callable) != NULL) {
        return PyObject_Vectorcall(callable, arguments, count | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                   NULL);
    }
    PyObject *function = find_python_call(unpickler->state, callable);
    if (function != NULL) {
        Py_INCREF(function);
        PyObject *returned = PyObject_Vectorcall(function, arguments - 1, count + 1, NULL);
        Py_DECREF(function);
        return returned;
    }
    PyObject *object = NULL, *tuple = take_tuple(unpickler, arguments);
    if (tuple != NULL) {
        object = is_called_by_type(callable) ? call_by_type((PyTypeObject *)callable, tuple)
                                             : PyObject_Call(callable, tuple, NULL);
    }
    Py_XDECREF(tuple);
    return object;
}

int
load_call(struct unpickler *unpickler, PyObject **arguments)
{
    if (unlikely(pass_taker(unpickler, arguments) < 0)) {
        return -1;
    }
    PyObject *object = NULL, *callable = arguments[-1];
    Py_ssize_t count = unpickler->top - arguments;
    if (unlikely(unpickler->policy != NULL)) {
        enum safe_way way = safe_call_loose(unpickler, arguments, &object);
        if (way == SAFE_BY_CALL) {
            object = call_off_stack(unpickler, callable, arguments);
        }
        if (way != SAFE_AS_USUAL) {
            load_drop_to(unpickler, arguments - 1);
            return load_push_memoized(unpickler, object);
        }
    }
    enum outcome outcome = construct_taking(unpickler->state, callable, arguments, count, &object);
    if (likely(outcome == OUTCOME_TAKEN)) {
        unpickler->top = arguments;
    }
    else if (reader_put_back(&unpickler->reader) == 0 && outcome == OUTCOME_BAIL
             && hand_arguments(unpickler, callable, arguments, count) == 0
             && rebuild_make(unpickler->state, callable, arguments, count, &object) == OUTCOME_BAIL
             && load_make_set(unpickler, callable, arguments, count, &object) == OUTCOME_BAIL) {
        object = call_off_stack(unpickler, callable, arguments);
    }
    load_drop_to(unpickler, arguments - 1);
    handed_return(&unpickler->memo.handed);
    if (load_push_memoized(unpickler, object) < 0) {
        return -1;
    }
    return outcome == OUTCOME_TAKEN
                   && (likely(unpickler->policy == NULL) || safe_calls_freely(unpickler, callable))
               ? load_rows(unpickler, callable)
               : 0;
}

/* cls.__new__(cls, *arguments) for the arguments from `arguments` to the top of the stack, which
   the class lies below.  Strong, or NULL with an exception.  Runs Python code. */
static PyObject *
call_python_new(struct unpickler *unpickler, PyObject **arguments)
{
    PyObject *new = PyObject_GetAttr(arguments[-1], unpickler->state->str.new);
    if (new == NULL) {
        return NULL;
    }
    size_t count = (size_t)(unpickler->top - arguments) + 1;
    PyObject *object = PyObject_Vectorcall(new, arguments - 1, count, NULL);
    Py_DECREF(new);
    return object;
}

int
load_call_new(struct unpickler *unpickler, PyObject **arguments)
{
    PyTypeObject *type = (PyTypeObject *)arguments[-1];
    if (!PyType_Check(type) || !rebuild_has_python_new(unpickler->state, type)) {
        return 0;
    }
    if (unlikely(unpickler->policy != NULL)) {
        if (!safe_makes_freely(unpickler, (PyObject *)type)) {
            return 0;
        }
        if (safe_count_made(unpickler, arguments, arguments - 1) < 0) {
            return -1;
        }
    }
    if (pass_taker(unpickler, arguments) < 0) {
        return -1;
    }
    /* A class with a __new__ in Python has a plan only if calling the class does nothing more. */
    PyObject *object = NULL;
    Py_ssize_t count = unpickler->top - arguments;
    if (reader_put_back(&unpickler->reader) == 0
        && load_hand_over(unpickler, arguments, count) == 0
        && construct_or_read(unpickler->state, (PyObject *)type, arguments, count, &object)
               == OUTCOME_BAIL) {
        object = call_python_new(unpickler, arguments);
    }
    load_drop_to(unpickler, arguments - 1);
    return load_push_memoized(unpickler, object) < 0 ? -1 : 1;
}

/* ---- NEWOBJ ------------------------------------------------------------- */

int
load_plain_object(struct unpickler *unpickler)
{
    PyTypeObject *type = (PyTypeObject *)unpickler->top[-1];
    if (!PyType_Check(type) || type->tp_new != PyBaseObject_Type.tp_new
        || PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)) {
        return 0;
    }
    if (unlikely(unpickler->policy != NULL)) {
        if (!safe_makes_plainly(unpickler, (PyObject *)type)) {
            return 0;
        }
        if (safe_make(unpickler, unpickler->top, unpickler->top - 1, 0) < 0) {
            return -1;
        }
    }
    PyObject *object = rebuild_allocate(unpickler->state, type);
    if (object == NULL) {
        return -1;
    }
    unpickler->reader.at++;
    unpickler->top--;
    Py_DECREF(type);
    return load_push_memoized(unpickler, object) < 0 ? -1 : 1;
}

/* The same with keywords, as NEWOBJ_EX has them, without a tuple and a dict in between: strong, or
   NULL with an exception; *made is 0, and nothing done, if that is not what the class would do. */
static PyObject *
call_new_by_names(struct unpickler *unpickler, PyObject *cls, PyObject *arguments,
                  PyObject *keywords, int *made)
{
    enum { MOST = 32 };
    PyObject *vector[MOST], *name, *value;
    Py_ssize_t count = 1, position = 0;
    *made = PyType_Check(cls) && PyTuple_CheckExact(arguments) && PyDict_CheckExact(keywords)
            && PyTuple_GET_SIZE(arguments) + PyDict_GET_SIZE(keywords) < MOST
            && layout_has_only_str_keys(keywords)
            && rebuild_has_python_new(unpickler->state, (PyTypeObject *)cls);
    PyObject *new = *made ? PyObject_GetAttr(cls, unpickler->state->str.new) : NULL;
    PyObject *names = new == NULL ? NULL : PyTuple_New(PyDict_GET_SIZE(keywords));
    if (names == NULL) {
        Py_XDECREF(new);
        return NULL;
    }
    vector[0] = cls;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments); i++) {
        vector[count++] = PyTuple_GET_ITEM(arguments, i);
    }
    for (Py_ssize_t i = 0; layout_dict_next(keywords, &position, &name, &value); i++) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(name));
        vector[count++] = Py_NewRef(value);
    }
    Py_ssize_t positional = 1 + PyTuple_GET_SIZE(arguments);
    PyObject *object = PyObject_Vectorcall(new, vector, (size_t)positional, names);
    while (count > positional) {
        Py_DECREF(vector[--count]);
    }
    Py_DECREF(names);
    Py_DECREF(new);
    return object;
}

/* Stack: class, arguments; the keywords, which are stolen, have been taken off. */
static int
push_new(struct unpickler *unpickler, PyObject *keywords)
{
    PyObject *cls = NULL, *object = NULL, *arguments = load_take(unpickler);
    if (arguments != NULL) {
        cls = load_take(unpickler);
    }
    if (cls != NULL && hand_container(unpickler, cls, arguments) == 0
        && hand_container(unpickler, cls, keywords) == 0) {
        int made = 0;
        object = keywords == NULL ? NULL
                                  : call_new_by_names(unpickler, cls, arguments, keywords, &made);
        if (!made) {
            object = load_make_new(unpickler->state, cls, arguments, keywords);
        }
    }
    Py_XDECREF(keywords);
    Py_XDECREF(arguments);
    Py_XDECREF(cls);
    return load_push_memoized(unpickler, object);
}

int
load_newobj(struct unpickler *unpickler)
{
    return push_new(unpickler, NULL);
}

int
load_newobj_ex(struct unpickler *unpickler)
{
    PyObject *keywords = load_take(unpickler);
    return keywords == NULL ? -1 : push_new(unpickler, keywords);
}

/* ---- instances of protocols 0 and 1 ------------------------------------- */

/* An instance: without arguments and __getinitargs__, __init__ is not called.  Strong,
   or NULL with an exception.  Runs Python code. */
static PyObject *
instantiate(struct core_state *state, PyObject *cls, PyObject *arguments)
{
    if (PyTuple_GET_SIZE(arguments) == 0 && PyType_Check(cls)) {
        PyObject *getinitargs;
        int found = PyObject_GetOptionalAttr(cls, state->str.getinitargs, &getinitargs);
        if (found < 0) {
            return NULL;
        }
        if (!found) {
            return PyObject_CallMethodOneArg(cls, state->str.new, cls);
        }
        Py_DECREF(getinitargs);
    }
    return PyObject_CallObject(cls, arguments);
}

int
load_obj(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    if (start == NULL) {
        return -1;
    }
    if (start == unpickler->top) {
        return load_underflow(unpickler);
    }
    PyObject *arguments = take_tuple(unpickler, start + 1);
    if (arguments == NULL) {
        return -1;
    }
    PyObject *object = NULL, *cls = load_take(unpickler);
    if (cls != NULL) {
        if (hand_container(unpickler, cls, arguments) == 0) {
            object = instantiate(unpickler->state, cls, arguments);
        }
        Py_DECREF(cls);
    }
    Py_DECREF(arguments);
    return load_push(unpickler, object);
}

int
load_inst(struct unpickler *unpickler)
{
    PyObject **start = load_pop_to_mark(unpickler);
    PyObject *cls = start == NULL ? NULL : load_class_of_lines(unpickler);
    if (cls == NULL) {
        return -1;
    }
    if (unpickler->policy != NULL && safe_inst(unpickler, cls, start) < 0) {
        Py_DECREF(cls);
        return -1;
    }
    PyObject *object = NULL, *arguments = take_tuple(unpickler, start);
    if (arguments != NULL) {
        if (hand_container(unpickler, cls, arguments) == 0) {
            object = instantiate(unpickler->state, cls, arguments);
        }
        Py_DECREF(arguments);
    }
    Py_DECREF(cls);
    return load_push(unpickler, object);
}

/* ---- BUILD -------------------------------------------------------------- */

int
load_build(struct unpickler *unpickler)
{
    if (load_reach(unpickler) < 2) {
        return load_underflow(unpickler);
    }
    PyObject *object_state = *--unpickler->top;
    int result = load_build_state(unpickler->state, &unpickler->key_bounds, load_handed(unpickler),
                                  unpickler->top[-1], object_state);
    Py_DECREF(object_state);
    handed_return(&unpickler->memo.handed);
    return result;
}

/* ---- persistent ids ----------------------------------------------------- */

/* Raises UnpicklingError for want of persistent_load(); -1. */
static int
miss_persistent_load(struct core_state *state)
{
    PyErr_SetString(state->stdlib.unpickling_error,
                    state->load_dialect.persistent_load_breaks_line
                        ? "A load persistent id instruction was encountered,\n"
                          "but no persistent_load function was specified."
                        : "A load persistent id instruction was encountered, "
                          "but no persistent_load function was specified.");
    return -1;
}

/* Before the id is read: 0, or -1 with an exception where that is missed first. */
static int
check_persistent_load(struct unpickler *unpickler)
{
    if (unpickler->persistent_load == NULL
        && unpickler->state->load_dialect.misses_persistent_load_first) {
        return miss_persistent_load(unpickler->state);
    }
    return 0;
}

/* Pushes the result of persistent_load() for the id, which is stolen. */
static int
push_persistent(struct unpickler *unpickler, PyObject *id)
{
    if (unpickler->persistent_load == NULL) {
        Py_DECREF(id);
        return miss_persistent_load(unpickler->state);
    }
    PyObject *method = Py_NewRef(unpickler->persistent_load), *function = method;
    PyObject *arguments[] = {NULL, unpickler->persistent_self, id};
    if (arguments[1] == NULL && PyMethod_Check(method)) {
        function = PyMethod_GET_FUNCTION(method);
        arguments[1] = PyMethod_GET_SELF(method);
    }
    size_t own = arguments[1] != NULL;
    PyObject *object = PyObject_Vectorcall(function, arguments + 2 - own, 1 + own, NULL);
    Py_DECREF(method);
    Py_DECREF(id);
    return load_push(unpickler, object);
}

int
load_persid(struct unpickler *unpickler)
{
    if (check_persistent_load(unpickler) < 0) {
        return -1;
    }
    char *line;
    Py_ssize_t length = reader_take_line(&unpickler->reader, &line);
    if (length < 1) {
        return length < 0 ? -1 : reader_truncated(&unpickler->reader);
    }
    PyObject *id = PyUnicode_DecodeASCII(line, length - 1, "strict");
    if (id == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
            PyErr_SetString(unpickler->state->stdlib.unpickling_error,
                            "persistent IDs in protocol 0 must be ASCII strings");
        }
        return -1;
    }
    return push_persistent(unpickler, id);
}

int
load_binpersid(struct unpickler *unpickler)
{
    if (check_persistent_load(unpickler) < 0) {
        return -1;
    }
    PyObject *id = load_take(unpickler);
    return id == NULL ? -1 : push_persistent(unpickler, id);
}
