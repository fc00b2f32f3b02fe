/* The Unpickler type and the memo that it shows.

   An Unpickler holds a machine (load.h), whose memo and file it keeps between loads, and lets only
   one call at a time use it: a call that comes in between, from a find_class() or another thread,
   gets RuntimeError. */
#include "load/unpickler.h"
#include "load/reader_open.h"
#include "load/room.h"

typedef struct {
    PyObject_HEAD struct unpickler machine;
    PyObject *persistent_load_attribute; /* set on the instance; NULL if not */
    int running;
} UnpicklerObject;

typedef struct {
    PyObject_HEAD UnpicklerObject *unpickler;
} UnpicklerMemoObject;

/* ---- at most one user at a time ----------------------------------------- */

/* Claims the machine for one call.  0, or -1 with RuntimeError if another call has it. */
static int
begin_use(UnpicklerObject *self)
{
    int running;
    Py_BEGIN_CRITICAL_SECTION(self);
    running = self->running;
    self->running = 1;
    Py_END_CRITICAL_SECTION();
    if (running) {
        PyErr_SetString(PyExc_RuntimeError, "Unpickler object is already used");
        return -1;
    }
    return 0;
}

static void
end_use(UnpicklerObject *self)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    self->running = 0;
    Py_END_CRITICAL_SECTION();
}

/* Without the GIL a memo can be looked at only between loads. */
static int
check_memo_use(UnpicklerObject *self)
{
    if (!HAS_GIL && self->running) {
        PyErr_SetString(PyExc_RuntimeError, "Unpickler object is already used");
        return -1;
    }
    return 0;
}

/* ---- persistent_load
 * ------------------------------------------------------------------------------ */

#if PERSISTENT_ID_IS_METHOD

/* persistent_load() is looked up when a load begins. */
static int
persistent_load_at_init(UnpicklerObject *Py_UNUSED(self))
{
    return 0;
}

/* 0, or -1 with an exception.  Runs Python code. */
static int
persistent_load_at_load(UnpicklerObject *self)
{
    if (self->machine.self == NULL && self->persistent_load_attribute == NULL) {
        Py_CLEAR(self->machine.persistent_load);
        return 0;
    }
    PyObject *method =
        PyObject_GetAttr((PyObject *)self, self->machine.state->str.persistent_load);
    if (method == NULL) {
        return -1;
    }
    Py_XSETREF(self->machine.persistent_load, method);
    return 0;
}

static void
persistent_load_after_load(UnpicklerObject *self)
{
    Py_CLEAR(self->machine.persistent_load);
}

static int
is_persistent_load(PyObject *name)
{
    return PyUnicode_Check(name) && PyUnicode_EqualToUTF8(name, "persistent_load");
}

static PyObject *
Unpickler_getattro(PyObject *self, PyObject *name)
{
    PyObject *attribute = ((UnpicklerObject *)self)->persistent_load_attribute;
    if (attribute != NULL && is_persistent_load(name)) {
        return Py_NewRef(attribute);
    }
    return PyObject_GenericGetAttr(self, name);
}

static int
Unpickler_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    if (is_persistent_load(name)) {
        Py_XSETREF(((UnpicklerObject *)self)->persistent_load_attribute, Py_XNewRef(value));
        return 0;
    }
    return PyObject_GenericSetAttr(self, name, value);
}

PyDoc_STRVAR(persistent_load_doc,
             "persistent_load($self, pid, /)\n"
             "--\n"
             "\n"
             "Returns the object of a persistent id; to be overridden.  Raises UnpicklingError.");

static PyObject *
Unpickler_persistent_load(PyObject *self, PyObject *Py_UNUSED(id))
{
    struct core_state *state = ((UnpicklerObject *)self)->machine.state;
    PyErr_SetString(state->stdlib.unpickling_error,
                    "A load persistent id instruction was encountered, "
                    "but no persistent_load function was specified.");
    return NULL;
}

#else

/* persistent_load() is looked up when the object is initialised.  A method of the object itself is
   kept as its function, because a bound method would hold the object. */
static int
persistent_load_at_init(UnpicklerObject *self)
{
    struct unpickler *machine = &self->machine;
    PyObject *method;
    if (PyObject_GetOptionalAttr((PyObject *)self, machine->state->str.persistent_load, &method)
        < 0) {
        return -1;
    }
    machine->persistent_self = NULL;
    if (method != NULL && PyMethod_Check(method)
        && PyMethod_GET_SELF(method) == (PyObject *)self) {
        machine->persistent_self = (PyObject *)self;
        Py_SETREF(method, Py_NewRef(PyMethod_GET_FUNCTION(method)));
    }
    Py_XSETREF(machine->persistent_load, method);
    return 0;
}

static int
persistent_load_at_load(UnpicklerObject *Py_UNUSED(self))
{
    return 0;
}

static void
persistent_load_after_load(UnpicklerObject *Py_UNUSED(self))
{
}

static PyObject *
Unpickler_get_persistent_load(PyObject *self, void *Py_UNUSED(closure))
{
    struct unpickler *machine = &((UnpicklerObject *)self)->machine;
    if (machine->persistent_load == NULL) {
        PyErr_SetString(PyExc_AttributeError, "persistent_load");
        return NULL;
    }
    if (machine->persistent_self != NULL) {
        return PyMethod_New(machine->persistent_load, machine->persistent_self);
    }
    return Py_NewRef(machine->persistent_load);
}

static int
Unpickler_set_persistent_load(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    struct unpickler *machine = &((UnpicklerObject *)self)->machine;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "attribute deletion is not supported");
        return -1;
    }
    if (!PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "persistent_load must be a callable taking one argument");
        return -1;
    }
    machine->persistent_self = NULL;
    Py_XSETREF(machine->persistent_load, Py_NewRef(value));
    return 0;
}

#endif

/* ---- life
 * ----------------------------------------------------------------------
 */

static PyObject *
Unpickler_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    struct core_state *state = core_state_of_type(type);
    if (state == NULL) {
        return NULL;
    }
    UnpicklerObject *self = (UnpicklerObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->machine.state = self->machine.reader.state = state;
        self->machine.memo.defers = load_memo_may_defer();
        self->machine.self = type == state->load->unpickler_type ? NULL : (PyObject *)self;
    }
    return (PyObject *)self;
}

static int
Unpickler_clear(PyObject *op)
{
    UnpicklerObject *self = (UnpicklerObject *)op;
    load_free(&self->machine);
    Py_CLEAR(self->persistent_load_attribute);
    return 0;
}

static int
Unpickler_traverse(PyObject *op, visitproc visit, void *arg)
{
    UnpicklerObject *self = (UnpicklerObject *)op;
    struct unpickler *machine = &self->machine;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->persistent_load_attribute);
#define VISIT_FIELD(field) Py_VISIT(machine->field);
    UNPICKLER_OBJECTS(VISIT_FIELD)
#undef VISIT_FIELD
#define VISIT_FIELD(field) Py_VISIT(machine->reader.field);
    READER_OBJECTS(VISIT_FIELD)
#undef VISIT_FIELD
    return load_memo_traverse(&machine->memo, visit, arg);
}

static void
Unpickler_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Unpickler_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Initialises a machine that has been cleared.  0, or -1 with an exception. */
static int
initialise(UnpicklerObject *self, const struct load_options *options)
{
    struct unpickler *machine = &self->machine;
    if (machine->reader.read != NULL) {
        (void)Unpickler_clear((PyObject *)self);
    }
    load_memo_clear(&machine->memo);
    if (reader_open_file(&machine->reader, options->input) < 0) {
        return -1;
    }
    if (unpickler_take_options(machine, options) < 0 || persistent_load_at_init(self) < 0) {
        reader_close(&machine->reader);
        return -1;
    }
    return 0;
}

/* Gives the object its file and options.  0, or -1 with an exception.  Runs Python code. */
static int
take_arguments(UnpicklerObject *self, const struct load_options *options)
{
    if (begin_use(self) < 0) {
        return -1;
    }
    int result = initialise(self, options);
    end_use(self);
    return result;
}

static int
Unpickler_init(PyObject *op, PyObject *arguments, PyObject *keywords)
{
    UnpicklerObject *self = (UnpicklerObject *)op;
    static char *const option_names[] = OPTION_NAMES("file");
    struct load_options options = {.fix_imports = 1};
    if (likely(keywords == NULL && PyTuple_GET_SIZE(arguments) == 1)) {
        options.input = PyTuple_GET_ITEM(arguments, 0);
        return take_arguments(self, &options);
    }
    if (unpickler_check_positional("Unpickler", PyTuple_GET_SIZE(arguments)) < 0
        || !PyArg_ParseTupleAndKeywords(arguments, keywords, "O|$pOOO:Unpickler",
                                        (char **)option_names, OPTION_TARGETS(&options))
        || unpickler_check_options("Unpickler", &options) < 0) {
        return -1;
    }
    return take_arguments(self, &options);
}

/* A call of the type itself, without a tuple of arguments. */
static PyObject *
Unpickler_vectorcall(PyObject *type, PyObject *const *vector, size_t flags, PyObject *names)
{
    static char *const option_names[] = OPTION_NAMES("file");
    struct load_options options = {.fix_imports = 1};
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    if (likely(count == 1 && names == NULL)) {
        options.input = vector[0];
    }
    else if (unpickler_check_positional("Unpickler", count) < 0
             || arguments_parse(vector, count, names, "O|$pOOO:Unpickler", option_names,
                                OPTION_TARGETS(&options))
                    < 0
             || unpickler_check_options("Unpickler", &options) < 0) {
        return NULL;
    }
    PyObject *self = Unpickler_new((PyTypeObject *)type, NULL, NULL);
    if (self != NULL && take_arguments((UnpicklerObject *)self, &options) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

/* ---- the policy --------------------------------------------------------- */

int
unpickler_set_policy(struct core_state *state, PyObject *unpickler, PyObject *policy)
{
    if (!PyObject_TypeCheck(unpickler, state->load->unpickler_type)) {
        PyErr_SetString(PyExc_TypeError, "set_policy() wants an Unpickler");
        return -1;
    }
    UnpicklerObject *self = (UnpicklerObject *)unpickler;
    if (begin_use(self) < 0) {
        return -1;
    }
    Py_XSETREF(self->machine.policy, Py_NewRef(policy));
    end_use(self);
    return 0;
}

/* ---- methods
 * -------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(Unpickler_load_doc,
             "load($self, /)\n"
             "--\n"
             "\n"
             "Reads one pickle and returns the object that it describes.\n"
             "\n"
             "The memo is kept for the next pickle of the same file.  Raises RuntimeError while\n"
             "another call uses the object.");

static PyObject *
Unpickler_load(PyObject *op, PyObject *Py_UNUSED(unused))
{
    UnpicklerObject *self = (UnpicklerObject *)op;
    struct unpickler *machine = &self->machine;
    if (machine->reader.read == NULL) {
        PyErr_Format(machine->state->stdlib.unpickling_error,
                     "Unpickler.__init__() was not called by %s.__init__()",
                     Py_TYPE(self)->tp_name);
        return NULL;
    }
    if (begin_use(self) < 0) {
        return NULL;
    }
    PyObject *object = NULL;
    if (persistent_load_at_load(self) == 0) {
        object = load_run(machine);
        persistent_load_after_load(self);
    }
    end_use(self);
    return object;
}

PyDoc_STRVAR(
    Unpickler_find_class_doc,
    "find_class($self, module_name, global_name, /)\n"
    "--\n"
    "\n"
    "Returns the global of a module, which is imported if need be.\n"
    "\n"
    "It is called for whatever a pickle names, classes and functions; subclasses override\n"
    "it to restrict what is loaded.");

static PyObject *
Unpickler_find_class(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_Format(PyExc_TypeError,
                     "find_class() takes exactly 2 positional arguments (%zd given)", count);
        return NULL;
    }
    return load_find_class(&((UnpicklerObject *)self)->machine, arguments[0], arguments[1]);
}

PyDoc_STRVAR(Unpickler_sizeof_doc, "__sizeof__($self, /)\n"
                                   "--\n"
                                   "\n"
                                   "The size in memory, in bytes.");

static PyObject *
Unpickler_sizeof(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct unpickler *machine = &((UnpicklerObject *)self)->machine;
    size_t size = (size_t)Py_TYPE(self)->tp_basicsize;
    size += (size_t)(machine->limit - machine->stack) * sizeof(PyObject *);
    size += machine->mark_capacity * sizeof(size_t);
    size += machine->memo.capacity * sizeof(PyObject *);
    size += machine->memo.deferred.capacity * sizeof(uintptr_t);
    size += machine->reader.line_capacity;
    return PyLong_FromSize_t(size);
}

static PyMethodDef Unpickler_methods[] = {
    {"load", Unpickler_load, METH_NOARGS, Unpickler_load_doc},
    {"find_class", (PyCFunction)(void (*)(void))Unpickler_find_class, METH_FASTCALL,
     Unpickler_find_class_doc},
#if PERSISTENT_ID_IS_METHOD
    {"persistent_load", Unpickler_persistent_load, METH_O, persistent_load_doc},
#endif
    {"__sizeof__", Unpickler_sizeof, METH_NOARGS, Unpickler_sizeof_doc},
    {NULL, NULL, 0, NULL},
};

/* ---- the memo, as Python sees it
 * ---------------------------------------------------------------------------- */

PyDoc_STRVAR(memo_clear_doc, "clear($self, /)\n"
                             "--\n"
                             "\n"
                             "Removes all entries.");

static PyObject *
shown_memo_clear(PyObject *self, PyObject *Py_UNUSED(unused))
{
    UnpicklerObject *unpickler = ((UnpicklerMemoObject *)self)->unpickler;
    if (check_memo_use(unpickler) < 0) {
        return NULL;
    }
    load_memo_clear(&unpickler->machine.memo);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(memo_copy_doc, "copy($self, /)\n"
                            "--\n"
                            "\n"
                            "Returns a new dict of index and object.");

static PyObject *
shown_memo_copy(PyObject *self, PyObject *Py_UNUSED(unused))
{
    UnpicklerObject *unpickler = ((UnpicklerMemoObject *)self)->unpickler;
    if (check_memo_use(unpickler) < 0) {
        return NULL;
    }
    return load_memo_as_dict(&unpickler->machine.memo);
}

PyDoc_STRVAR(memo_reduce_doc, "__reduce__($self, /)\n"
                              "--\n"
                              "\n"
                              "Pickles as a dict.");

static PyObject *
memo_reduce(PyObject *self, PyObject *unused)
{
    PyObject *contents = shown_memo_copy(self, unused);
    return contents == NULL ? NULL : Py_BuildValue("O(N)", &PyDict_Type, contents);
}

static PyMethodDef memo_methods[] = {
    {"clear", shown_memo_clear, METH_NOARGS, memo_clear_doc},
    {"copy", shown_memo_copy, METH_NOARGS, memo_copy_doc},
    {"__reduce__", memo_reduce, METH_NOARGS, memo_reduce_doc},
    {NULL, NULL, 0, NULL},
};

static int
memo_tp_clear(PyObject *self)
{
    Py_CLEAR(((UnpicklerMemoObject *)self)->unpickler);
    return 0;
}

static int
memo_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((UnpicklerMemoObject *)self)->unpickler);
    return 0;
}

static void
memo_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)memo_tp_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot memo_slots[] = {
    {Py_tp_dealloc, memo_dealloc},
    {Py_tp_traverse, memo_traverse},
    {Py_tp_clear, memo_tp_clear},
    {Py_tp_methods, memo_methods},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {0, NULL},
};

static PyType_Spec memo_spec = {
    .name = "fastcopyreg._core.UnpicklerMemoProxy",
    .basicsize = sizeof(UnpicklerMemoObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = memo_slots,
};

static PyObject *
Unpickler_get_memo(PyObject *self, void *Py_UNUSED(closure))
{
    PyTypeObject *type = ((UnpicklerObject *)self)->machine.state->load->unpickler_memo_type;
    UnpicklerMemoObject *memo = (UnpicklerMemoObject *)type->tp_alloc(type, 0);
    if (memo != NULL) {
        memo->unpickler = (UnpicklerObject *)Py_NewRef(self);
    }
    return (PyObject *)memo;
}

/* Fills an empty memo from a value assigned to `memo`.  0, or -1 with an exception. */
static int
fill_memo(struct load_memo *memo, struct core_state *state, PyObject *value)
{
    if (!Py_IS_TYPE(value, state->load->unpickler_memo_type)) {
        return load_memo_from_dict(memo, state, value);
    }
    PyObject *contents = shown_memo_copy(value, NULL);
    int result = contents == NULL ? -1 : load_memo_from_dict(memo, state, contents);
    Py_XDECREF(contents);
    return result;
}

static int
Unpickler_set_memo(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    UnpicklerObject *self = (UnpicklerObject *)op;
    struct core_state *state = self->machine.state;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "attribute deletion is not supported");
        return -1;
    }
    if (!Py_IS_TYPE(value, state->load->unpickler_memo_type) && !PyDict_Check(value)) {
        PyErr_Format(PyExc_TypeError,
                     "'memo' attribute must be an UnpicklerMemoProxy object or dict, not %.200s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    if (check_memo_use(self) < 0) {
        return -1;
    }
    struct load_memo memo = {.defers = load_memo_may_defer()};
    int result = fill_memo(&memo, state, value);
    if (result == 0) {
        struct load_memo old = self->machine.memo;
        self->machine.memo = memo;
        memo = old;
    }
    load_memo_free(&memo);
    return result;
}

static PyGetSetDef Unpickler_getsets[] = {
    {"memo", Unpickler_get_memo, Unpickler_set_memo, NULL, NULL},
#if !PERSISTENT_ID_IS_METHOD
    {"persistent_load", Unpickler_get_persistent_load, Unpickler_set_persistent_load, NULL, NULL},
#endif
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Unpickler_doc,
             "Unpickler(file, *, fix_imports=True, encoding='ASCII', errors='strict',\n"
             "          buffers=())\n"
             "--\n"
             "\n"
             "Reads pickles from a file, one for each load().\n"
             "\n"
             "The arguments are those of load.  Subclasses override find_class() and\n"
             "persistent_load(); memo is what the pickles have put into the memo.");

static PyType_Slot Unpickler_slots[] = {
    {Py_tp_doc, (char *)Unpickler_doc},
    {Py_tp_new, Unpickler_new},
    {Py_tp_init, Unpickler_init},
    {Py_tp_dealloc, Unpickler_dealloc},
    {Py_tp_traverse, Unpickler_traverse},
    {Py_tp_clear, Unpickler_clear},
    {Py_tp_methods, Unpickler_methods},
    {Py_tp_getset, Unpickler_getsets},
#if PERSISTENT_ID_IS_METHOD
    {Py_tp_getattro, Unpickler_getattro},
    {Py_tp_setattro, Unpickler_setattro},
#endif
    {0, NULL},
};

static PyType_Spec Unpickler_spec = {
    .name = "fastcopyreg.pickle.Unpickler",
    .basicsize = sizeof(UnpicklerObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Unpickler_slots,
};

/* ---- setup ---------------------------------------------------------------- */

int
unpickler_type_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *memo_type = PyType_FromModuleAndSpec(module, &memo_spec, NULL);
    if (memo_type == NULL) {
        return -1;
    }
    state->load->unpickler_memo_type = (PyTypeObject *)memo_type;
    if (core_add_type(module, &Unpickler_spec, &state->load->unpickler_type) < 0) {
        return -1;
    }
    state->load->unpickler_type->tp_vectorcall = Unpickler_vectorcall;
    return 0;
}
