/* The Pickler type and the memo that it shows. */
#include "dump/pickler.h"

#include "base/layout.h"
#include "dump/room.h"

#include <structmember.h>

typedef struct {
    PyObject_HEAD struct pickler pickler;
    PyObject *write;              /* NULL: __init__ was not called */
    PyObject *persistent_id;      /* as it was assigned, or NULL */
    PyObject *persistent_id_self; /* its __self__ if that is this object; borrowed */
    int running;                  /* a dump or __init__ is under way */
} PicklerObject;

/* Owned objects besides the memo: V(field). */
#define PICKLER_FIELDS(V)       \
    V(pickler.fast_memo)        \
    V(pickler.dispatch_table)   \
    V(pickler.persistent_id)    \
    V(pickler.reducer_override) \
    V(pickler.override_types)   \
    V(pickler.buffer_callback)  \
    V(write)                    \
    V(persistent_id)

typedef struct {
    PyObject_HEAD PicklerObject *owner;
} PicklerMemoObject;

/* ---- at most one user at a time ----------------------------------------- */

/* Used again from inside its own callback, or by another thread meanwhile, a pickler
   would write into the middle of an opcode.  0, or -1 with RuntimeError. */
static int
begin_using(PicklerObject *self)
{
    if (self->running) {
        PyErr_SetString(PyExc_RuntimeError, "Pickler object is already used");
        return -1;
    }
    self->running = 1;
    return 0;
}

/* ---- life --------------------------------------------------------------- */

/* A pickler that was made and not initialised is consistent: an empty memo, and no file. */
static PyObject *
pickler_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct core_state *state = core_state_of_type(type);
    if (state == NULL
        || (type != state->dump->pickler_type && type->tp_vectorcall == NULL
            && copied_table_meet(state, type) < 0)) {
        return NULL;
    }
    PicklerObject *self = (PicklerObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (pickler_init(&self->pickler, state) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->pickler.observable = 1;
    return (PyObject *)self;
}

static int
pickler_traverse(PicklerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
#define VISIT(field) Py_VISIT(self->field);
    PICKLER_FIELDS(VISIT)
#undef VISIT
    return memo_visit(&self->pickler.memo, visit, arg);
}

/* Releases everything but memo and buffer. */
static void
drop_fields(PicklerObject *self)
{
#define CLEAR(field) Py_CLEAR(self->field);
    PICKLER_FIELDS(CLEAR)
#undef CLEAR
    self->persistent_id_self = NULL;
}

static int
pickler_clear(PicklerObject *self)
{
    drop_fields(self);
    memo_clear(&self->pickler.memo);
    return 0;
}

static void
pickler_dealloc(PicklerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    drop_fields(self);
    pickler_retire(&self->pickler);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* ---- persistent_id ---------------------------------------------------------------------------
 */

/* True if the object has no attributes in a __dict__. */
static int
has_no_dict(PicklerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *object = (PyObject *)self;
    return layout_is_known() && layout_find_dict(object, type) == NULL
           && !(PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)
                && layout_unmade_values(object, type) != NULL);
}

/* True if attributes are looked up as on a Pickler, and the object has none of its own. */
static int
is_bare(PicklerObject *self)
{
    return Py_TYPE(self)->tp_getattro == self->pickler.state->dump->pickler_type->tp_getattro
           && has_no_dict(self);
}

/* True if attributes are looked up as on a Pickler, and the class has no hook. */
static int
class_is_hookless(struct core_state *state, PyTypeObject *type)
{
    PyTypeObject *base = state->dump->pickler_type;
    unsigned version = type_version(type);
    if (likely(version != 0 && version == state->dump->hookless_version)) {
        return 1;
    }
    PyObject *name = state->str.persistent_id;
    if (type->tp_getattro != base->tp_getattro
        || type_lookup(type, state->str.reducer_override) != NULL
        || type_lookup(type, name) != type_lookup(base, name)) {
        return 0;
    }
    state->dump->hookless_version = type_assign_version(type, name);
    return 1;
}

/* Looks a hook up, one that pickler_getattro() leaves to the generic look-up: 0 and strong, or
   NULL if there is none; -1 with an exception. */
static int
find_hook(PicklerObject *self, PyObject *name, PyObject **hook)
{
    PyTypeObject *type = Py_TYPE(self), *base = self->pickler.state->dump->pickler_type;
    if (is_bare(self) && type_lookup(type, name) == NULL) {
        *hook = NULL;
        return 0;
    }
    if (type->tp_getattro == base->tp_getattro) {
        return object_generic_optional_attr((PyObject *)self, name, hook) < 0 ? -1 : 0;
    }
    return PyObject_GetOptionalAttr((PyObject *)self, name, hook) < 0 ? -1 : 0;
}

#if PERSISTENT_ID_IS_METHOD

static PyObject *
base_persistent_id(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(object))
{
    Py_RETURN_NONE;
}

/* True if the hook is the method above, bound to this very pickler. */
static int
is_base_hook(PicklerObject *self, PyObject *hook)
{
    return PyCFunction_Check(hook) && PyCFunction_GET_SELF(hook) == (PyObject *)self
           && PyCFunction_GET_FUNCTION(hook) == base_persistent_id;
}

/* True if the object has no hook but the method above. */
static int
has_base_hook(PicklerObject *self)
{
    PyTypeObject *type = Py_TYPE(self), *base = self->pickler.state->dump->pickler_type;
    PyObject *name = self->pickler.state->str.persistent_id;
    return self->persistent_id == NULL
           && (type == base
               || (is_bare(self) && type_lookup(type, name) == type_lookup(base, name)));
}

/* Finds the hook for a dump that begins.  0 or -1. */
static int
find_persistent_id(PicklerObject *self)
{
    struct pickler *pickler = &self->pickler;
    PyObject *hook = NULL;
    if (!has_base_hook(self)) {
        hook = PyObject_GetAttr((PyObject *)self, pickler->state->str.persistent_id);
        if (hook == NULL) {
            return -1;
        }
        if (is_base_hook(self, hook)) {
            Py_CLEAR(hook);
        }
    }
    Py_XSETREF(pickler->persistent_id, hook);
    return 0;
}

static int
is_persistent_id(PicklerObject *self, PyObject *name)
{
    PyObject *string = self->pickler.state->str.persistent_id;
    return name == string || (PyUnicode_Check(name) && PyUnicode_Compare(name, string) == 0);
}

static PyObject *
pickler_getattro(PicklerObject *self, PyObject *name)
{
    if (self->persistent_id != NULL && is_persistent_id(self, name)) {
        return Py_NewRef(self->persistent_id);
    }
    return PyObject_GenericGetAttr((PyObject *)self, name);
}

static int
pickler_setattro(PicklerObject *self, PyObject *name, PyObject *value)
{
    if (!is_persistent_id(self, name) || self->pickler.state->dialect.persistent_id_read_only) {
        return PyObject_GenericSetAttr((PyObject *)self, name, value);
    }
    Py_XSETREF(self->persistent_id, Py_XNewRef(value));
    return 0;
}

/* Does nothing where __init__ looks no hook up.  0. */
static int
init_persistent_id(PicklerObject *Py_UNUSED(self))
{
    return 0;
}

#else

/* Takes the hook, which __init__ looked up or a program assigned, for dumps to call.  A
   method bound to this very pickler is kept apart from it, so that no cycle is made.
   Steals it. */
static void
take_persistent_id(PicklerObject *self, PyObject *hook)
{
    PyObject *function = hook;
    self->persistent_id_self = NULL;
    if (PyMethod_Check(hook) && PyMethod_GET_SELF(hook) == (PyObject *)self) {
        self->persistent_id_self = (PyObject *)self;
        function = Py_NewRef(PyMethod_GET_FUNCTION(hook));
        Py_DECREF(hook);
    }
    Py_XSETREF(self->persistent_id, function);
}

/* The hook as it can be called; strong, or NULL. */
static PyObject *
bound_persistent_id(PicklerObject *self)
{
    if (self->persistent_id_self != NULL) {
        return PyMethod_New(self->persistent_id, self->persistent_id_self);
    }
    return Py_XNewRef(self->persistent_id);
}

static int
init_persistent_id(PicklerObject *self)
{
    PyObject *hook;
    if (find_hook(self, self->pickler.state->str.persistent_id, &hook) < 0) {
        return -1;
    }
    if (hook != NULL) {
        take_persistent_id(self, hook);
    }
    return 0;
}

static int
find_persistent_id(PicklerObject *self)
{
    PyObject *hook = bound_persistent_id(self);
    if (hook == NULL && self->persistent_id != NULL) {
        return -1;
    }
    Py_XSETREF(self->pickler.persistent_id, hook);
    return 0;
}

static PyObject *
get_persistent_id(PicklerObject *self, void *Py_UNUSED(closure))
{
    if (self->persistent_id == NULL) {
        PyErr_SetString(PyExc_AttributeError, "persistent_id");
        return NULL;
    }
    return bound_persistent_id(self);
}

static int
set_persistent_id(PicklerObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "attribute deletion is not supported");
        return -1;
    }
    if (!PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "persistent_id must be a callable taking one argument");
        return -1;
    }
    self->persistent_id_self = NULL;
    Py_XSETREF(self->persistent_id, Py_NewRef(value));
    if (self->running) {
        /* The new hook is asked from the next object on. */
        Py_XSETREF(self->pickler.persistent_id, Py_NewRef(value));
        pickler_watch(&self->pickler);
    }
    return 0;
}

#endif

/* ---- __init__ and dump -----------------------------------------------------------------------
 */

/* True if an attribute is the member of Pickler, and nothing on the object shadows it. */
static int
has_own_member(PicklerObject *self, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(self), *base = self->pickler.state->dump->pickler_type;
    PyObject *member = type_lookup(type, name);
    return type->tp_getattro == base->tp_getattro && member != NULL
           && Py_IS_TYPE(member, &PyMemberDescr_Type) && PyDescr_TYPE(member) == base;
}

/* Stores the arguments of __init__ in a pickler that has none.  0 or -1. */
static int
init_fields(PicklerObject *self, PyObject *file, PyObject *protocol, int fix_imports,
            PyObject *buffer_callback)
{
    struct pickler *pickler = &self->pickler;
    if (pickler_set_protocol(pickler, protocol, fix_imports) < 0) {
        return -1;
    }
    PyObject *write = pickler_find_write(pickler->state, file);
    if (write == NULL) {
        return -1;
    }
    Py_XSETREF(self->write, write);
    Py_CLEAR(pickler->buffer_callback);
    if (pickler_set_buffer_callback(pickler, buffer_callback) < 0) {
        return -1;
    }
    Py_XINCREF(pickler->buffer_callback);
    pickler->fast = 0;
    if (init_persistent_id(self) < 0) {
        return -1;
    }
    PyObject *table, *name = pickler->state->str.dispatch_table;
    if (has_own_member(self, name)) {
        return 0;
    }
    if (find_hook(self, name, &table) < 0) {
        return -1;
    }
    Py_XSETREF(pickler->dispatch_table, table);
    return 0;
}

static int
pickler_tp_init(PicklerObject *self, PyObject *args, PyObject *kwargs)
{
    static char *const keywords[] = {"file", "protocol", "fix_imports", "buffer_callback", NULL};
    PyObject *file, *protocol = NULL, *buffer_callback = NULL;
    int fix_imports = 1;
    if (kwargs == NULL && PyTuple_GET_SIZE(args) == 1) {
        file = PyTuple_GET_ITEM(args, 0);
    }
    else if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OpO:Pickler", (char **)keywords, &file,
                                          &protocol, &fix_imports, &buffer_callback)) {
        return -1;
    }
    if (begin_using(self) < 0) {
        return -1;
    }
    if (self->write != NULL) {
        pickler_clear(self);
    }
    int result = init_fields(self, file, protocol, fix_imports, buffer_callback);
    self->running = 0;
    return result;
}

/* A make_pickler. */
static PyObject *
make_with_table(PyTypeObject *type, PyObject *file, PyObject *protocol, PyObject *table)
{
    PicklerObject *self = (PicklerObject *)pickler_new(type, NULL, NULL);
    if (self != NULL && init_fields(self, file, protocol, 1, NULL) < 0) {
        Py_CLEAR(self);
    }
    if (self == NULL) {
        Py_DECREF(table);
        return NULL;
    }
    Py_XSETREF(self->pickler.dispatch_table, table);
    return (PyObject *)self;
}

/* The class attribute reducer_override_types: *types, or NULL if there is none.  Only classes are
   asked, so that no __getattr__ is called.  0 or -1. */
static int
find_override_types(PicklerObject *self, PyObject **types)
{
    PyObject *name = self->pickler.state->str.reducer_override_types;
    PyObject *value = type_lookup(Py_TYPE(self), name);
    int valid = value == NULL || PyTuple_Check(value);
    for (Py_ssize_t i = 0; valid && value != NULL && i < PyTuple_GET_SIZE(value); i++) {
        valid = PyType_Check(PyTuple_GET_ITEM(value, i));
    }
    if (!valid) {
        PyErr_SetString(PyExc_TypeError, "reducer_override_types must be a tuple of types");
        return -1;
    }
    *types = Py_XNewRef(value);
    return 0;
}

/* Finds the hooks for a dump that begins.  0 or -1. */
static int
find_hooks(PicklerObject *self)
{
    struct pickler *pickler = &self->pickler;
    PyObject *override = NULL, *types = NULL;
    if (self->persistent_id == NULL && class_is_hookless(pickler->state, Py_TYPE(self))
        && has_no_dict(self)) {
        assert(pickler->persistent_id == NULL && pickler->reducer_override == NULL);
        return 0;
    }
    if (find_persistent_id(self) < 0) {
        return -1;
    }
    if (!Py_IS_TYPE(self, pickler->state->dump->pickler_type)
        && find_hook(self, pickler->state->str.reducer_override, &override) < 0) {
        return -1;
    }
    if (override != NULL && find_override_types(self, &types) < 0) {
        Py_DECREF(override);
        return -1;
    }
    Py_XSETREF(pickler->override_types, types);
    Py_XSETREF(pickler->reducer_override, override);
    return 0;
}

/* Leaves the memo owned, with the dicts that others could get hold of, replace and present again;
   and the pickler without a cycle through its hooks. */
static void
end_dump(PicklerObject *self)
{
    struct pickler *pickler = &self->pickler;
    PyObject *exception = PyErr_GetRaisedException();
    pickler->epoch = ++pickler->state->epoch;
    memo_own(&pickler->memo);
    if (pickler->memo.unmade != 0 && save_make_dicts(pickler) < 0) {
        /* No memory for the dicts that were not made: the memo is emptied rather than kept with
           holes. */
        PyErr_Clear();
        memo_clear(&pickler->memo);
    }
    writer_trim(&pickler->writer);
    self->running = 0;
    Py_CLEAR(pickler->persistent_id);
    Py_CLEAR(pickler->reducer_override);
    Py_CLEAR(pickler->override_types);
    if (exception != NULL) {
        PyErr_SetRaisedException(exception);
    }
}

PyDoc_STRVAR(
    pickler_dump_doc,
    "dump($self, obj, /)\n"
    "--\n\n"
    "Write the pickle of an object to the open file.\n"
    "\n"
    "What this pickler has pickled before is written as a reference to it.  Returns None.\n"
    "Raises PicklingError for what cannot be pickled, and what a callback raises.");

static PyObject *
pickler_dump(PicklerObject *self, PyObject *object)
{
    struct pickler *pickler = &self->pickler;
    if (self->write == NULL) {
        PyErr_Format(pickler->state->stdlib.pickling_error,
                     "Pickler.__init__() was not called by %s.__init__()", Py_TYPE(self)->tp_name);
        return NULL;
    }
    if (begin_using(self) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (find_hooks(self) == 0) {
        result = pickler_run(pickler, object, self->write);
    }
    end_dump(self);
    return result;
}

PyDoc_STRVAR(clear_memo_doc, "clear_memo($self, /)\n"
                             "--\n\n"
                             "Forget what was pickled, so that it is written in full again.");

static PyObject *
pickler_clear_memo(PicklerObject *self, PyObject *Py_UNUSED(ignored))
{
    memo_clear(&self->pickler.memo);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(sizeof_doc, "__sizeof__($self, /)\n"
                         "--\n\n"
                         "Return the size in memory, in bytes.");

static PyObject *
pickler_sizeof(PicklerObject *self, PyObject *Py_UNUSED(ignored))
{
    struct memo *memo = &self->pickler.memo;
    size_t size = (size_t)Py_TYPE(self)->tp_basicsize;
    size += (memo->mask + 1) * sizeof(*memo->table) + memo->capacity * sizeof(*memo->log);
    size += (size_t)(self->pickler.writer.end - self->pickler.writer.start);
    return PyLong_FromSize_t(size);
}

/* ---- the memo as it is shown
 * -------------------------------------------------------------------- */

static PyObject *
get_memo(PicklerObject *self, void *Py_UNUSED(closure))
{
    PyTypeObject *type = self->pickler.state->dump->pickler_memo_type;
    PicklerMemoObject *shown = PyObject_GC_New(PicklerMemoObject, type);
    if (shown == NULL) {
        return NULL;
    }
    shown->owner = (PicklerObject *)Py_NewRef(self);
    PyObject_GC_Track(shown);
    return (PyObject *)shown;
}

/* An entry of a dict that is assigned: {id: (index, object)}.  0 or -1. */
static int
read_entry(struct memo *memo, PyObject *value)
{
    if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != 2) {
        PyErr_SetString(PyExc_TypeError, "'memo' values must be 2-item tuples");
        return -1;
    }
    Py_ssize_t index = PyLong_AsSsize_t(PyTuple_GET_ITEM(value, 0));
    if (index == -1 && PyErr_Occurred()) {
        return -1;
    }
    return memo_set(memo, PyTuple_GET_ITEM(value, 1), index) < 0 ? -1 : memo_flush(memo);
}

/* Completes the memo as Python sees it.  During a dump, entries that are not flushed cannot be
   looked at yet.  0 or -1. */
static int
show(PicklerObject *self)
{
    struct memo *memo = &self->pickler.memo;
    return !self->running && memo_flush(memo) < 0 ? -1 : memo_show(memo);
}

/* Fills a new memo from a dict.  0 or -1. */
static int
read_entries(struct memo *memo, PyObject *dict)
{
    PyObject *copy = PyDict_Copy(dict), *key, *value;
    if (copy == NULL || memo_init(memo) < 0) {
        Py_XDECREF(copy);
        return -1;
    }
    int result = 0;
    for (Py_ssize_t i = 0; result == 0 && PyDict_Next(copy, &i, &key, &value);) {
        result = read_entry(memo, value);
    }
    if (result < 0) {
        PyObject *exception = PyErr_GetRaisedException();
        memo_destroy(memo);
        PyErr_SetRaisedException(exception);
    }
    Py_DECREF(copy);
    return result;
}

static int
set_memo(PicklerObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    struct pickler *pickler = &self->pickler;
    struct memo memo;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "attribute deletion is not supported");
        return -1;
    }
    if (Py_IS_TYPE(value, pickler->state->dump->pickler_memo_type)) {
        PicklerObject *owner = ((PicklerMemoObject *)value)->owner;
        if (show(owner) < 0 || memo_copy(&memo, &owner->pickler.memo) < 0) {
            return -1;
        }
    }
    else if (PyDict_Check(value)) {
        if (read_entries(&memo, value) < 0) {
            return -1;
        }
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "'memo' attribute must be a PicklerMemoProxy object or dict, not %.200s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    struct memo old = pickler->memo;
    memo.generation = old.generation + 1;
    pickler->memo = memo;
    memo_destroy(&old);
    return 0;
}

PyDoc_STRVAR(memo_clear_doc, "clear($self, /)\n"
                             "--\n\n"
                             "Remove all items from memo.");

static PyObject *
shown_clear(PicklerMemoObject *self, PyObject *Py_UNUSED(ignored))
{
    memo_clear(&self->owner->pickler.memo);
    Py_RETURN_NONE;
}

/* Adds {id: (index, object)} of one entry.  0 or -1. */
static int
show_entry(PyObject *dict, PyObject *object, Py_ssize_t index)
{
    PyObject *key = PyLong_FromVoidPtr(object);
    PyObject *value = key == NULL ? NULL : Py_BuildValue("nO", index, object);
    int result = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return result;
}

PyDoc_STRVAR(memo_copy_doc, "copy($self, /)\n"
                            "--\n\n"
                            "Copy the memo to a new object.");

/* Making the dict may run the collector, and so Python code: the memo is read anew at
   each entry. */
static PyObject *
shown_copy(PicklerMemoObject *self, PyObject *Py_UNUSED(ignored))
{
    struct memo *memo = &self->owner->pickler.memo;
    PyObject *dict = show(self->owner) < 0 ? NULL : PyDict_New();
    for (size_t i = 0; dict != NULL && i < memo->flushed; i++) {
        PyObject *object = Py_XNewRef(memo_object(memo->log[i]));
        if (object != NULL && show_entry(dict, object, memo_index(memo, (Py_ssize_t)i)) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(object);
    }
    return dict;
}

PyDoc_STRVAR(memo_reduce_doc, "__reduce__($self, /)\n"
                              "--\n\n"
                              "Implement pickle support.");

static PyObject *
shown_reduce(PicklerMemoObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *dict = shown_copy(self, NULL);
    return dict == NULL ? NULL : Py_BuildValue("(O(N))", &PyDict_Type, dict);
}

static int
shown_traverse(PicklerMemoObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->owner);
    return 0;
}

static int
shown_tp_clear(PicklerMemoObject *self)
{
    Py_CLEAR(self->owner);
    return 0;
}

static void
shown_dealloc(PicklerMemoObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)shown_tp_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef shown_methods[] = {
    {"clear", (PyCFunction)shown_clear, METH_NOARGS, memo_clear_doc},
    {"copy", (PyCFunction)shown_copy, METH_NOARGS, memo_copy_doc},
    {"__reduce__", (PyCFunction)shown_reduce, METH_NOARGS, memo_reduce_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot shown_slots[] = {
    {Py_tp_dealloc, shown_dealloc},
    {Py_tp_traverse, shown_traverse},
    {Py_tp_clear, shown_tp_clear},
    {Py_tp_methods, shown_methods},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {0, NULL},
};

static PyType_Spec shown_spec = {
    .name = "fastcopyreg._core.PicklerMemoProxy",
    .basicsize = sizeof(PicklerMemoObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = shown_slots,
};

/* ---- the type
 * ------------------------------------------------------------------------------------- */

PyDoc_STRVAR(
    pickler_doc,
    "Pickler(file, protocol=None, fix_imports=True, buffer_callback=None)\n"
    "--\n\n"
    "Write pickles to a file, as the standard library's Pickler does.\n"
    "\n"
    "file has a method write() that takes bytes.  The other arguments are those of dumps().\n"
    "A subclass may define persistent_id(), reducer_override() and dispatch_table, as the\n"
    "library reference describes, and reducer_override_types, a tuple of types: then\n"
    "reducer_override() is only asked about instances of these and of their subclasses.");

static PyMethodDef pickler_methods[] = {
#if PERSISTENT_ID_IS_METHOD
    {"persistent_id", base_persistent_id, METH_O,
     PyDoc_STR("persistent_id($self, obj, /)\n--\n\n")},
#endif
    {"dump", (PyCFunction)pickler_dump, METH_O, pickler_dump_doc},
    {"clear_memo", (PyCFunction)pickler_clear_memo, METH_NOARGS, clear_memo_doc},
    {"__sizeof__", (PyCFunction)pickler_sizeof, METH_NOARGS, sizeof_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef pickler_members[] = {
    {"bin", T_INT, offsetof(PicklerObject, pickler.bin), 0, NULL},
    {"fast", T_INT, offsetof(PicklerObject, pickler.fast), 0, NULL},
    {"dispatch_table", T_OBJECT_EX, offsetof(PicklerObject, pickler.dispatch_table), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef pickler_getset[] = {
    {"memo", (getter)get_memo, (setter)set_memo, NULL, NULL},
#if !PERSISTENT_ID_IS_METHOD
    {"persistent_id", (getter)get_persistent_id, (setter)set_persistent_id, NULL, NULL},
#endif
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot pickler_slots[] = {
    {Py_tp_new, pickler_new},           {Py_tp_init, pickler_tp_init},
    {Py_tp_dealloc, pickler_dealloc},   {Py_tp_traverse, pickler_traverse},
    {Py_tp_clear, pickler_clear},       {Py_tp_methods, pickler_methods},
    {Py_tp_members, pickler_members},   {Py_tp_getset, pickler_getset},
#if PERSISTENT_ID_IS_METHOD
    {Py_tp_getattro, pickler_getattro}, {Py_tp_setattro, pickler_setattro},
#endif
    {Py_tp_doc, (char *)pickler_doc},   {0, NULL},
};

static PyType_Spec pickler_spec = {
    .name = "fastcopyreg.pickle.Pickler",
    .basicsize = sizeof(PicklerObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pickler_slots,
};

/* The slots without the one under which persistent_id is assigned, where the standard
   library has none either. */
static void
drop_setattro(PyType_Slot *slots)
{
    PyType_Slot *kept = slots;
    for (; slots->slot != 0; slots++) {
        if (slots->slot != Py_tp_setattro) {
            *kept++ = *slots;
        }
    }
    *kept = *slots;
}

int
pickler_type_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyType_Slot slots[Py_ARRAY_LENGTH(pickler_slots)];
    PyType_Spec spec = pickler_spec;
    memcpy(slots, pickler_slots, sizeof(slots));
    if (state->dialect.persistent_id_read_only) {
        drop_setattro(slots);
    }
    spec.slots = slots;
    state->dump->copied_tables.make = make_with_table;
    PyObject *type = PyType_FromModuleAndSpec(module, &shown_spec, NULL);
    state->dump->pickler_memo_type = (PyTypeObject *)type;
    return type == NULL ? -1 : core_add_type(module, &spec, &state->dump->pickler_type);
}
