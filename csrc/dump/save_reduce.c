/* Objects that come apart by a reducer.

   The question "how does this object come apart?" is asked in the order that the protocol
   fixes: reducer_override, the dispatch table, __reduce_ex__, __reduce__.  The answer is a
   reduce value, whose parts are written in the order that a load needs them. */
#include "base/reduction.h"

#include "dump/save_bound.h"
#include "base/errors.h"
#include "base/registry.h"
#include "dump/save.h"
#include "dump/save_part.h"
#include "base/layout.h"
#include "types/state_plan.h"

/* ---- constructor and arguments ------------------------------------------ */

/* True if the arguments cannot be met again: they are held by the reduce value alone, which is
   unique, and nothing is saved from it after them. */
static int
args_are_ours(struct pickler *pickler, PyObject *reduce_value)
{
    PyObject *args = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    return PyTuple_GET_SIZE(reduce_value) == 2 && has_one_reference(args)
           && has_one_reference(reduce_value) && PyTuple_CheckExact(args)
           && PyTuple_GET_SIZE(args) != 0 && !pickler->fast && pickler->protocol >= 4;
}

/* Arguments that are counted and not numbered, if they still can be: they were ours in `epoch`. */
static char *
end_args(struct pickler *pickler, PyObject *reduce_value, uint64_t epoch, char *out)
{
    PyObject *args = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    out = save_room(pickler, out);
    if (out == NULL || (epoch != pickler->epoch && !args_are_ours(pickler, reduce_value))) {
        return out == NULL ? NULL : save_tuple_end(pickler, args, out);
    }
    Py_ssize_t size = PyTuple_GET_SIZE(args);
    out = save_tuple_op(pickler, size, out);
    return save_keep(pickler, &PyTuple_GET_ITEM(args, 0), size) < 0
               ? NULL
               : save_skip(pickler, ABSENT_TUPLE, out);
}

/* The callable, which is mostly the one that was called last, and then still at its place in the
   log. */
ALWAYS_INLINE char *
save_callable(struct pickler *pickler, PyObject *callable, char *out)
{
    struct memo *memo = &pickler->memo;
    size_t last = pickler->callable_position;
    if (likely(last < memo->count && memo->log[last] == (uintptr_t)callable
               && out < pickler->writer.limit && save_id_passes(pickler, Py_TYPE(callable)))) {
        return save_get(pickler, (Py_ssize_t)last, out);
    }
    out = save(pickler, callable, out);
    if (out != NULL && !pickler->fast) {
        Py_ssize_t position = memo_find(memo, callable);
        pickler->callable_position = position < 0 ? 0 : (size_t)position;
    }
    return out;
}

/* callable(*args); `ours`: the arguments are, as was just asked. */
ALWAYS_INLINE char *
save_call(struct pickler *pickler, PyObject *reduce_value, PyObject *object, int ours, char *out)
{
    out = save_callable(pickler, PyTuple_GET_ITEM(reduce_value, PART_CALLABLE), out);
    if (out == NULL) {
        error_note("when serializing %T reconstructor", object);
        return NULL;
    }
    PyObject *args = PyTuple_GET_ITEM(reduce_value, PART_ARGS);
    if (likely(out < pickler->writer.limit && (ours || args_are_ours(pickler, reduce_value)))) {
        uint64_t epoch = pickler->epoch;
        out = save_tuple_mark(pickler, PyTuple_GET_SIZE(args), out);
        out = save_elements_inside(pickler, args, out);
        out = out == NULL ? NULL : end_args(pickler, reduce_value, epoch, out);
    }
    else {
        out = save(pickler, args, out);
    }
    if (out == NULL) {
        error_note("when serializing %T reconstructor arguments", object);
        return NULL;
    }
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_REDUCE);
}

/* ---- copyreg.__newobj__ ------------------------------------------------- */

/* The first argument must be a class, and the object's own.  0 or -1.  Foreign code. */
static int
check_newobj(struct pickler *pickler, PyObject *args, PyObject *object)
{
    struct core_state *state = pickler->state;
    if (PyTuple_GET_SIZE(args) < 1) {
        error_newobj_size(state, PyTuple_GET_SIZE(args));
        return -1;
    }
    PyObject *argument = PyTuple_GET_ITEM(args, 0), *type;
    if (!PyType_Check(argument)) {
        error_newobj_class(state, argument);
        return -1;
    }
    if (object == NULL) {
        return 0;
    }
    int found = PyObject_GetOptionalAttr(object, state->str.class_, &type);
    if (found < 0) {
        return -1;
    }
    if (found == 0) {
        type = Py_NewRef(Py_TYPE(object));
    }
    if (type != argument) {
        error_newobj_wrong_class(state, type, argument);
        Py_DECREF(type);
        return -1;
    }
    Py_DECREF(type);
    return 0;
}

/* The rest of a NEWOBJ when its class is written: two words, returned in registers. */
struct newobj_rest {
    PyObject *arguments; /* strong, or NULL with an exception */
    char *out;
};

/* Writes the class.  The rest of the arguments is a tuple made here, whose elements nest in the
   frame of the caller. */
static NOINLINE struct newobj_rest
begin_newobj(struct pickler *pickler, PyObject *args, PyObject *object, char *out)
{
    struct newobj_rest rest = {NULL, out};
    if (save_foreign(pickler) < 0 || check_newobj(pickler, args, object) < 0) {
        return rest;
    }
    rest.out = save(pickler, PyTuple_GET_ITEM(args, 0), out);
    if (rest.out == NULL) {
        error_note("when serializing %T class", object);
    }
    else if (save_foreign(pickler) == 0) {
        rest.arguments = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    }
    return rest;
}

ALWAYS_INLINE char *
save_newobj(struct pickler *pickler, PyObject *args, PyObject *object, char *out)
{
    struct newobj_rest rest = begin_newobj(pickler, args, object, out);
    if (rest.arguments == NULL) {
        return NULL;
    }
    out = save(pickler, rest.arguments, rest.out);
    if (out == NULL) {
        error_note("when serializing %T __new__ arguments", object);
    }
    out = save_release(pickler, rest.arguments, out);
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_NEWOBJ);
}

/* ---- copyreg.__newobj_ex__ ---------------------------------------------- */

/* Class, tuple and dict.  0 or -1. */
static int
check_newobj_ex(struct core_state *state, PyObject *args)
{
    if (PyTuple_GET_SIZE(args) != 3) {
        error_newobj_ex_size(state, PyTuple_GET_SIZE(args));
        return -1;
    }
    PyObject **items = &PyTuple_GET_ITEM(args, 0);
    int wrong = !PyType_Check(items[0])    ? 0
                : !PyTuple_Check(items[1]) ? 1
                : !PyDict_Check(items[2])  ? 2
                                           : 3;
    if (wrong < 3) {
        error_newobj_ex_argument(state, wrong, items[wrong]);
        return -1;
    }
    return 0;
}

static char *
save_newobj_ex_opcode(struct pickler *pickler, PyObject *args, PyObject *object, char *out)
{
    out = save(pickler, PyTuple_GET_ITEM(args, 0), out);
    if (out == NULL) {
        error_note("when serializing %T class", object);
        return NULL;
    }
    out = save(pickler, PyTuple_GET_ITEM(args, 1), out);
    if (out != NULL) {
        out = save(pickler, PyTuple_GET_ITEM(args, 2), out);
    }
    if (out == NULL) {
        error_note("when serializing %T __new__ arguments", object);
        return NULL;
    }
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_NEWOBJ_EX);
}

/* partial(cls.__new__, cls, *args, **kwargs); strong, or NULL. */
static PyObject *
make_partial(struct core_state *state, PyObject *args)
{
    PyObject *type = PyTuple_GET_ITEM(args, 0), *positional = PyTuple_GET_ITEM(args, 1);
    Py_ssize_t size = PyTuple_GET_SIZE(positional);
    PyObject *new = PyObject_GetAttr(type, state->str.new);
    PyObject *all = new == NULL ? NULL : PyTuple_New(size + 2);
    if (all == NULL) {
        Py_XDECREF(new);
        return NULL;
    }
    PyTuple_SET_ITEM(all, 0, new);
    PyTuple_SET_ITEM(all, 1, Py_NewRef(type));
    for (Py_ssize_t i = 0; i < size; i++) {
        PyTuple_SET_ITEM(all, i + 2, Py_NewRef(PyTuple_GET_ITEM(positional, i)));
    }
    PyObject *partial = PyObject_Call(state->stdlib.partial, all, PyTuple_GET_ITEM(args, 2));
    Py_DECREF(all);
    return partial;
}

/* Protocols 2 and 3 have no NEWOBJ_EX. */
static char *
save_newobj_ex_partial(struct pickler *pickler, PyObject *args, PyObject *object, char *out)
{
    PyObject *partial = save_foreign(pickler) < 0 ? NULL : make_partial(pickler->state, args);
    if (partial == NULL) {
        return NULL;
    }
    out = save(pickler, partial, out);
    if (out != NULL) {
        out = save(pickler, pickler->state->empty_tuple, out);
    }
    if (out == NULL) {
        error_note("when serializing %T reconstructor", object);
    }
    out = save_release(pickler, partial, out);
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_REDUCE);
}

static char *
save_newobj_ex(struct pickler *pickler, PyObject *args, PyObject *object, char *out)
{
    if (check_newobj_ex(pickler->state, args) < 0) {
        return NULL;
    }
    return pickler->protocol >= 4 ? save_newobj_ex_opcode(pickler, args, object, out)
                                  : save_newobj_ex_partial(pickler, args, object, out);
}

/* ---- state and items ---------------------------------------------------- */

/* state_setter(object, state), whose result is discarded. */
static char *
save_setter_call(struct pickler *pickler, PyObject *reduce_value, PyObject *object, char *out)
{
    out = save(pickler, PyTuple_GET_ITEM(reduce_value, PART_STATE_SETTER), out);
    if (out == NULL) {
        error_note("when serializing %T state setter", object);
        return NULL;
    }
    out = save(pickler, object, out);
    if (out == NULL) {
        return NULL;
    }
    out = save(pickler, PyTuple_GET_ITEM(reduce_value, PART_STATE), out);
    if (out == NULL) {
        error_note("when serializing %T state", object);
        return NULL;
    }
    out = save_room(pickler, out);
    if (out == NULL) {
        return NULL;
    }
    return write_op(write_op(write_op(out, OP_TUPLE2), OP_REDUCE), OP_POP);
}

/* The state, for BUILD. */
ALWAYS_INLINE char *
save_state(struct pickler *pickler, PyObject *reduce_value, PyObject *object, char *out)
{
    out = save(pickler, PyTuple_GET_ITEM(reduce_value, PART_STATE), out);
    if (out == NULL) {
        error_note("when serializing %T state", object);
        return NULL;
    }
    out = save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_BUILD);
}

/* The parts after the construction.  Functions of their own, so that the frame of save_reduce() is
   gone when the state nests, and that of the state when the items do. */
static NOINLINE char *
save_given_state(struct pickler *pickler, PyObject *reduce_value, PyObject *object, char *out)
{
    if (reduction_part(reduce_value, PART_STATE) == NULL) {
        return out;
    }
    return reduction_part(reduce_value, PART_STATE_SETTER) != NULL
               ? save_setter_call(pickler, reduce_value, object, out)
               : save_state(pickler, reduce_value, object, out);
}

static NOINLINE char *
save_contents(struct pickler *pickler, PyObject *reduce_value, PyObject *object, char *out)
{
    PyObject *items = reduction_part(reduce_value, PART_LISTITEMS);
    if (items != NULL) {
        out = save_listitems(pickler, items, object, 0, out);
    }
    items = reduction_part(reduce_value, PART_DICTITEMS);
    if (out != NULL && items != NULL) {
        out = save_dictitems(pickler, items, object, 0, out);
    }
    return out == NULL ? NULL : save_given_state(pickler, reduce_value, object, out);
}

/* ---- the reduction ------------------------------------------------------ */

/* Checks the reduce value and finds the opcode that builds the object; there is only REDUCE in
   protocols 0 and 1, and for the reduce values of 2.0.  A reduction_form, or -1 with an exception.
   */
static NOINLINE int
find_reduction_form(struct pickler *pickler, PyObject *reduce_value)
{
    enum reduction_fault fault = reduction_check(pickler->state, reduce_value);
    if (fault != REDUCTION_VALID) {
        error_reduction(pickler->state, fault, reduce_value);
        return -1;
    }
    if (pickler->protocol < 2 || PyTuple_GET_ITEM(reduce_value, PART_ARGS) == Py_None) {
        return FORM_CALL;
    }
    enum reduction_form form;
    PyObject *callable = PyTuple_GET_ITEM(reduce_value, PART_CALLABLE);
    if (reduction_form_is_foreign(pickler->state, callable) && save_foreign(pickler) < 0) {
        return -1;
    }
    return reduction_find_form(pickler->state, callable, &form) < 0 ? -1 : (int)form;
}

char *
save_reduce(struct pickler *pickler, PyObject *reduce_value, PyObject *object, char *out)
{
    int form = FORM_CALL;
    Py_ssize_t known = 0;
    if (save_foreign(pickler) < 0) {
        return NULL;
    }
    if (!reduction_is_short_call(pickler->state, reduce_value)) {
        form = find_reduction_form(pickler, reduce_value);
    }
    /* The object is open and has no number until its arguments are written. */
    pickler->unnumbered++;
    if (likely(form == FORM_CALL)) {
        out = save_call(pickler, reduce_value, object, 0, out);
    }
    else if (form == FORM_NEWOBJ) {
        out = save_newobj(pickler, PyTuple_GET_ITEM(reduce_value, PART_ARGS), object, out);
    }
    else if (form == FORM_NEWOBJ_EX) {
        out = save_newobj_ex(pickler, PyTuple_GET_ITEM(reduce_value, PART_ARGS), object, out);
    }
    else {
        out = NULL;
    }
    pickler->unnumbered--;
    if (out != NULL && object != NULL) {
        struct numbered numbered = save_number(pickler, object, 0, out);
        out = numbered.out;
        known = numbered.known;
    }
    if (out == NULL || known || PyTuple_GET_SIZE(reduce_value) == 2) {
        return out;
    }
    return save_contents(pickler, reduce_value, object, out);
}

char *
save_built(struct pickler *pickler, PyObject *object, PyObject *reduce_value, char *out)
{
    if (reduce_value == NULL) {
        return NULL;
    }
    out = save_reduce(pickler, reduce_value, object, out);
    return save_release(pickler, reduce_value, out);
}

/* ---- finding the reducer ------------------------------------------------ */

/* __reduce_ex__ as a method in C, of a type whose instances have no attributes of their own that
   could shadow it; borrowed, or NULL. */
static PyObject *
find_plain_method(struct core_state *state, PyTypeObject *type)
{
    if (!layout_is_known()) {
        return NULL;
    }
    if (type->tp_getattro != PyObject_GenericGetAttr || type->tp_dictoffset != 0
        || PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
        return NULL;
    }
    PyObject *method = type_lookup(type, state->str.reduce_ex);
    return method != NULL && Py_IS_TYPE(method, &PyMethodDescr_Type) ? method : NULL;
}

/* The object's own __reduce_ex__ or __reduce__; a new reduce value, or NULL. */
static PyObject *
call_own_reducer(struct pickler *pickler, PyObject *object)
{
    struct core_state *state = pickler->state;
    PyObject *reduce_value, *method = find_plain_method(state, Py_TYPE(object));
    if (method != NULL) {
        PyObject *args[] = {object, state->protocols[pickler->protocol]};
        Py_INCREF(method);
        reduce_value = PyObject_Vectorcall(method, args, 2, NULL);
        Py_DECREF(method);
        return reduce_value;
    }
    int found = PyObject_GetOptionalAttr(object, state->str.reduce_ex, &method);
    if (found < 0) {
        return NULL;
    }
    if (found) {
        reduce_value = PyObject_CallOneArg(method, state->protocols[pickler->protocol]);
        Py_DECREF(method);
        return reduce_value;
    }
    found = PyObject_GetOptionalAttr(object, state->str.reduce, &method);
    if (found < 0) {
        return NULL;
    }
    if (!found) {
        error_no_reducer(state, object);
        return NULL;
    }
    reduce_value = PyObject_CallNoArgs(method);
    Py_DECREF(method);
    return reduce_value;
}

/* True if the class has the names of its slots: object.__reduce_ex__ refuses objects that have
   more memory than those account for, and object.__getstate__ does not. */
static int
has_slot_names(const struct typeinfo *info)
{
    return info->slot_count == 0
           || (info->slotnames != NULL && PyList_GET_SIZE(info->slotnames) >= info->slot_count);
}

/* True if objects of the type reduce to a call of the class without arguments, and the state that
   their __getstate__ gives. */
static int
reduces_to_state(const struct typeinfo *info)
{
    return info->gives_state
           || (info->kind == TYPEINFO_DEFAULT && info->arguments == ARGUMENTS_NONE
               && info->items == ITEMS_NONE && !info->frozen && has_slot_names(info));
}

/* True if all of the reduction of an object that no table knows is known but what its __getstate__
   gives.  That is object's own where hooks are shown what cannot be left out then. */
static int
only_state_is_asked(struct pickler *pickler, struct typeinfo *info, PyObject *object)
{
    return reduces_to_state(info) && pickler->protocol >= 2
           && info->version == type_version(Py_TYPE(object))
           && typeinfo_verify_unregistered(pickler->state, info, pickler->epoch)
           && !typeinfo_object_shadows(pickler->state, info, object);
}

/* Its reduce value by a call of its __getstate__, which is read first if that is due; strong or
   NULL. */
static PyObject *
ask_for_state(struct pickler *pickler, PyObject *object, int is_hot)
{
    struct core_state *state = pickler->state;
    if (is_hot) {
        return state_plan_read_getstate(state, Py_TYPE(object)) < 0
                   ? NULL
                   : call_own_reducer(pickler, object);
    }
    PyTypeObject *type = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    PyObject *getstate = Py_NewRef(type_lookup(type, state->str.getstate));
    PyObject *object_state = PyObject_CallOneArg(getstate, object);
    PyObject *value = object_state == NULL ? NULL : reduction_of_state(state, type, object_state);
    Py_XDECREF(object_state);
    Py_DECREF(getstate);
    Py_DECREF(type);
    return value;
}

/* OUTCOME_STATE and the state by a plan of its __getstate__, for which nothing is called, if it
   can be written at `out`; OUTCOME_VALUE and a reduce value; or -1. */
static int
reduce_by_getstate(struct pickler *pickler, struct typeinfo *info, PyObject *object, char *out,
                   PyObject **reduce_value)
{
    PyObject *given;
    enum outcome outcome =
        info->gives_state ? state_plan_give(pickler->state, object, &given) : OUTCOME_BAIL;
    if (outcome == OUTCOME_DONE && save_state_is_planned(pickler, info, out)) {
        *reduce_value = given;
        return OUTCOME_STATE;
    }
    if (outcome == OUTCOME_DONE) {
        *reduce_value = reduction_of_state(pickler->state, Py_TYPE(object), given);
        Py_DECREF(given);
    }
    else if (outcome != OUTCOME_RAISED && save_foreign(pickler) == 0) {
        *reduce_value = ask_for_state(pickler, object, outcome == OUTCOME_HOT);
    }
    return *reduce_value == NULL ? -1 : OUTCOME_VALUE;
}

/* Saves the reduce value, or name, that a reducer returned; steals it. */
static char *
save_reduce_value(struct pickler *pickler, PyObject *object, PyObject *reduce_value, char *out)
{
    if (PyUnicode_Check(reduce_value)) {
        out = save_global(pickler, object, reduce_value, out);
    }
    else {
        out = save_reduce(pickler, reduce_value, object, out);
        if (out == NULL) {
            error_note("when serializing %T object", object);
        }
    }
    return save_release(pickler, reduce_value, out);
}

/* reducer_override(object): 1 and a reduce value, 0 if it does not care, or -1. */
static int
ask_override(struct pickler *pickler, PyObject *object, PyObject **reduce_value)
{
    if (save_foreign(pickler) < 0) {
        return -1;
    }
    PyObject *override = Py_NewRef(pickler->reducer_override);
    if (save_read_hook(pickler, &pickler->override_hook, override) < 0) {
        Py_DECREF(override);
        return -1;
    }
    *reduce_value = save_call_hook(override, object);
    Py_DECREF(override);
    if (*reduce_value == Py_NotImplemented) {
        Py_CLEAR(*reduce_value);
        return 0;
    }
    return *reduce_value == NULL ? -1 : 1;
}

/* The reducer in the dispatch table, own or shared: 1 and strong, 0, or -1. */
static int
find_reducer(struct pickler *pickler, struct typeinfo *info, PyTypeObject *type,
             PyObject **reducer)
{
    PyObject *table = pickler->dispatch_table;
    if (likely(table == NULL && typeinfo_knows_reducer(pickler->state, info))) {
        *reducer = Py_XNewRef(info->reducer);
        return info->reducer != NULL;
    }
    int found = registry_find_quietly(pickler->state, table, type, reducer);
    if (likely(found != REGISTRY_FOREIGN)) {
        return found;
    }
    if (save_foreign(pickler) < 0) {
        return -1;
    }
    Py_XINCREF(table);
    found = registry_find_reducer(pickler->state, table, type, reducer);
    Py_XDECREF(table);
    return found;
}

static void
learn_uncompilable(struct pickler *pickler, struct typeinfo *info, PyObject *reducer)
{
    PyObject *code = PyFunction_Check(reducer) ? PyFunction_GET_CODE(reducer) : NULL;
    if (code != NULL && info->stamp == namecache_stamp(pickler->state) && info->reducer == reducer
        && plan_status(pickler->state, code) == PLAN_UNCOMPILABLE) {
        info->uncompilable = code;
    }
}

/* True if all arguments are written in line.  Runs no Python code. */
static int
are_scalars(PyObject *args)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
        if (!save_is_scalar(PyTuple_GET_ITEM(args, i))) {
            return 0;
        }
    }
    return 1;
}

/* True if the value is (callable, args) with the same callable as the previous object's, and
   arguments that are scalars referenced by this tuple alone.  Runs no Python code. */
static int
is_like_the_last(struct pickler *pickler, PyObject *reduce_value, const char *out)
{
    const struct memo *memo = &pickler->memo;
    size_t last = pickler->callable_position;
    return out < pickler->writer.limit && reduction_is_short_call(pickler->state, reduce_value)
           && last < memo->count
           && memo->log[last] == (uintptr_t)PyTuple_GET_ITEM(reduce_value, PART_CALLABLE)
           && save_id_passes(pickler, Py_TYPE(PyTuple_GET_ITEM(reduce_value, PART_CALLABLE)))
           && args_are_ours(pickler, reduce_value)
           && are_scalars(PyTuple_GET_ITEM(reduce_value, PART_ARGS));
}

/* save_reduce_value() of such a value, in which nothing nests. */
static char *
save_like_the_last(struct pickler *pickler, PyObject *object, PyObject *reduce_value, char *out)
{
    pickler->unnumbered++;
    out = save_call(pickler, reduce_value, object, 1, out);
    pickler->unnumbered--;
    out = out == NULL ? NULL : save_memoize(pickler, object, 0, out);
    if (out == NULL) {
        error_note("when serializing %T object", object);
        return save_release(pickler, reduce_value, NULL);
    }
    /* Nothing dies of it but tuples and scalars, when the memo has what it borrowed. */
    out = memo_flush(&pickler->memo) < 0 ? NULL : out;
    Py_DECREF(reduce_value);
    return out;
}

/* Asks the reducer of the table, which is stolen: by its plan, or by a call. */
static int
ask_reducer(struct pickler *pickler, struct typeinfo *info, PyObject *reducer, PyObject *object,
            int unique, char **out, PyObject **reduce_value)
{
    enum outcome outcome = OUTCOME_BAIL;
    if (!typeinfo_reducer_is_uncompilable(pickler->state, info, reducer)) {
        uint64_t guard = typeinfo_guard(pickler->state, reducer);
        if (!trial_rests(&info->trial, guard)) {
            outcome = save_bound(pickler, &info->trial, guard, reducer, object, OF_TABLE, unique,
                                 out, reduce_value);
            if (outcome == OUTCOME_BAIL) {
                learn_uncompilable(pickler, info, reducer);
            }
        }
    }
    if (outcome == OUTCOME_BAIL && save_foreign(pickler) == 0) {
        *reduce_value = reducer_call(reducer, object);
    }
    *out = save_release(pickler, reducer, *out);
    if (outcome == OUTCOME_DONE) {
        return *out == NULL ? -1 : OUTCOME_DONE;
    }
    if (*reduce_value == NULL || *out == NULL) {
        Py_CLEAR(*reduce_value);
        return -1;
    }
    if (is_like_the_last(pickler, *reduce_value, *out)) {
        *out = save_like_the_last(pickler, object, *reduce_value, *out);
        *reduce_value = NULL;
        return *out == NULL ? -1 : OUTCOME_DONE;
    }
    if (reducer == pickler->state->stdlib.pickle_complex
        && save_check_value(pickler, object, 1, *reduce_value) < 0) {
        Py_CLEAR(*reduce_value);
        return -1;
    }
    return OUTCOME_VALUE;
}

/* The object itself, which no table knows. */
static int
ask_object(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
           char **out, PyObject **reduce_value)
{
    if (only_state_is_asked(pickler, info, object)) {
        return reduce_by_getstate(pickler, info, object, *out, reduce_value);
    }
    uint64_t guard = typeinfo_guard(pickler->state, NULL);
    enum outcome outcome =
        trial_rests(&info->trial, guard)
            ? OUTCOME_BAIL
            : save_bound_method(pickler, &info->trial, guard, object, unique, out, reduce_value);
    if (outcome == OUTCOME_DONE) {
        return *out == NULL ? -1 : OUTCOME_DONE;
    }
    if (outcome == OUTCOME_BAIL && *out != NULL && save_foreign(pickler) == 0) {
        *reduce_value = call_own_reducer(pickler, object);
    }
    if (*reduce_value == NULL || *out == NULL) {
        Py_CLEAR(*reduce_value);
        return -1;
    }
    if (save_check_value(pickler, object, 0, *reduce_value) < 0) {
        Py_CLEAR(*reduce_value);
        return -1;
    }
    return OUTCOME_VALUE;
}

/* Asks how the object comes apart.  OUTCOME_VALUE and a reduce value, OUTCOME_STATE and a state,
   OUTCOME_NAME if it is saved by name, OUTCOME_DONE if it has been saved, up to *out; or -1. */
static int
ask_reduction(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
              char **out, PyObject **reduce_value)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *reducer;
    if (save_asks_override(pickler, type)) {
        int answered = ask_override(pickler, object, reduce_value);
        if (answered != 0) {
            return answered < 0 ? OUTCOME_RAISED : OUTCOME_VALUE;
        }
    }
    if (type == &PyType_Type || type == &PyFunction_Type) {
        return OUTCOME_NAME;
    }
    int found = find_reducer(pickler, info, type, &reducer);
    if (found < 0 || (found == 0 && PyType_IsSubtype(type, &PyType_Type))) {
        return found < 0 ? OUTCOME_RAISED : OUTCOME_NAME;
    }
    if (found) {
        return ask_reducer(pickler, info, reducer, object, unique, out, reduce_value);
    }
    return ask_object(pickler, info, object, unique, out, reduce_value);
}

/* A class by name; those of None and its kind have none. */
static char *
save_named_class(struct pickler *pickler, PyObject *object, char *out)
{
    return Py_IS_TYPE(object, &PyType_Type) ? save_type(pickler, object, out)
                                            : save_global(pickler, object, NULL, out);
}

/* A class by name: without foreign code if its typeinfo has the names under which it is found. */
static char *
save_class(struct pickler *pickler, PyObject *object, char *out)
{
    PyTypeObject *type = (PyTypeObject *)object;
    struct typeinfo *info = typeinfo_find(pickler->state, type);
    if (info->type == type && info->version != 0 && save_dump_is_planned(pickler, info)
        && info->class_dump != pickler->dump && save_find_class(pickler, info, object)
        && save_frame_can_end(pickler)) {
        return save_write_class(pickler, info, object, out);
    }
    return save_named_class(pickler, object, out);
}

/* How an object comes apart: two words, returned in registers, because a result passed by address
   would enlarge the frame, of which every level of nesting has one. */
struct reduced {
    PyObject *reduce_value; /* strong; NULL: the object is saved, or an exception is set */
    char *out;              /* NULL with an exception, or if the value is the state alone */
};

/* Asks how the object comes apart, and saves it if it is saved by name or by its plan. */
static NOINLINE struct reduced
reduce_or_save(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
               char *out)
{
    PyObject *reduce_value = NULL;
    int answer = ask_reduction(pickler, info, object, unique, &out, &reduce_value);
    if (answer == OUTCOME_NAME) {
        out = PyType_Check(object) ? save_class(pickler, object, out)
                                   : save_global(pickler, object, NULL, out);
    }
    return (struct reduced){reduce_value,
                            answer == OUTCOME_RAISED || answer == OUTCOME_STATE ? NULL : out};
}

char *
save_by_reducer(struct pickler *pickler, struct typeinfo *info, PyObject *object, int unique,
                char *out)
{
    if (save_open(pickler, object) < 0) {
        return NULL;
    }
    struct reduced reduced = reduce_or_save(pickler, info, object, unique, out);
    if (reduced.reduce_value != NULL && reduced.out == NULL) {
        out = save_by_state(pickler, info, object, unique, reduced.reduce_value, out);
        return save_close(pickler, object, save_release(pickler, reduced.reduce_value, out));
    }
    out = reduced.out;
    if (reduced.reduce_value != NULL) {
        out = save_reduce_value(pickler, object, reduced.reduce_value, out);
    }
    /* Foreign code has run, and the frame has no room for an epoch; see save_flush(). */
    if (out != NULL && Py_REFCNT(object) == 2 && memo_flush(&pickler->memo) < 0) {
        out = NULL;
    }
    return save_close(pickler, object, out);
}
