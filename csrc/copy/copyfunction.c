/* copy, deepcopy and replace as objects: see copyfunction.h. */
#include "copy/copyfunction.h"

#include "copy/copier.h"
#include "copy/room.h"

#include <structmember.h>

struct copyfunction {
    PyObject_HEAD vectorcallfunc vectorcall;
    struct core_state *state; /* lives as long as the type does */
    PyObject *original;       /* the standard library's function */
    PyObject *module;         /* __module__; install() writes the standard name */
    PyObject *attributes;     /* __dict__ */
    PyObject *weak_references;
};

#define COPYFUNCTION(object) ((struct copyfunction *)(object))

/* ---- calls -------------------------------------------------------------- */

static PyObject *
call_original(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return PyObject_Vectorcall(COPYFUNCTION(self)->original, args, nargsf, kwnames);
}

/* True if the original is to raise what it does in an interpreter that has ended. */
static int
is_over(PyObject *self)
{
    return copyroute_is_over(COPYFUNCTION(self)->state);
}

static PyObject *
call_copy(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL || is_over(self)) {
        return call_original(self, args, nargsf, kwnames);
    }
    return copier_copy(COPYFUNCTION(self)->state, args[0]);
}

/* True if the arguments are (x), (x, memo) or (x, memo=memo). */
static int
are_usual(PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    (void)args;
    if (kwnames == NULL || PyTuple_GET_SIZE(kwnames) == 0) {
        return count == 1 || count == 2;
    }
    return count == 1 && PyTuple_GET_SIZE(kwnames) == 1
           && PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(kwnames, 0), "memo");
}

static PyObject *
call_deepcopy(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    if (!are_usual(args, count, kwnames) || is_over(self)) {
        return call_original(self, args, nargsf, kwnames);
    }
    PyObject *memo = count == 1 && kwnames == NULL ? Py_None : args[1];
    return copier_deepcopy(COPYFUNCTION(self)->state, args[0], memo == Py_None ? NULL : memo);
}

static PyObject *
call_replace(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 1 || is_over(self)) {
        return call_original(self, args, nargsf, kwnames);
    }
    return copier_replace(COPYFUNCTION(self)->state, args, nargsf, kwnames);
}

/* ---- attributes --------------------------------------------------------- */

static int
is_name(PyObject *name, const char *text)
{
    return PyUnicode_Check(name) && PyUnicode_EqualToUTF8(name, text);
}

/* The attributes that describe a function, and are the original's here; not those that only Python
   functions have. */
static const char *const describing[] = {
    "__doc__",        "__name__",        "__qualname__",    "__defaults__",
    "__kwdefaults__", "__annotations__", "__type_params__", "__annotate__",
};

static PyObject *
copyfunction_getattro(PyObject *self, PyObject *name)
{
    struct copyfunction *function = COPYFUNCTION(self);
    if (is_name(name, "__module__")) {
        return Py_NewRef(function->module);
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(describing); i++) {
        if (is_name(name, describing[i])) {
            return PyObject_GetAttr(function->original, name);
        }
    }
    return PyObject_GenericGetAttr(self, name);
}

static int
copyfunction_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    if (value != NULL && is_name(name, "__module__")) {
        Py_SETREF(COPYFUNCTION(self)->module, Py_NewRef(value));
        return 0;
    }
    return PyObject_GenericSetAttr(self, name, value);
}

static PyObject *
copyfunction_descr_get(PyObject *self, PyObject *object, PyObject *Py_UNUSED(type))
{
    return object == NULL || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}

static PyObject *
copyfunction_repr(PyObject *self)
{
    PyObject *name = PyObject_GetAttrString(COPYFUNCTION(self)->original, "__qualname__");
    if (name == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<function %U at %p>", name, self);
    Py_DECREF(name);
    return text;
}

PyDoc_STRVAR(reduce_doc, "__reduce__($self, /)\n--\n\nPickle by name, as functions do.");

static PyObject *
copyfunction_reduce(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return PyObject_GetAttrString(COPYFUNCTION(self)->original, "__qualname__");
}

/* ---- the type ----------------------------------------------------------- */

#define COPYFUNCTION_OWNED(V) V(original) V(module) V(attributes)
#define VISIT_OWNED(field) Py_VISIT(COPYFUNCTION(self)->field);
#define CLEAR_OWNED(field) Py_CLEAR(COPYFUNCTION(self)->field);

static int
copyfunction_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    COPYFUNCTION_OWNED(VISIT_OWNED)
    return 0;
}

static int
copyfunction_clear(PyObject *self)
{
    COPYFUNCTION_OWNED(CLEAR_OWNED)
    return 0;
}

static void
copyfunction_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (COPYFUNCTION(self)->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    (void)copyfunction_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef copyfunction_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct copyfunction, vectorcall), READONLY,
     NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(struct copyfunction, attributes), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct copyfunction, weak_references), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef copyfunction_methods[] = {
    {"__reduce__", copyfunction_reduce, METH_NOARGS, reduce_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef copyfunction_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot copyfunction_slots[] = {
    {Py_tp_doc, "A function of the copy module, in C."},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_getattro, copyfunction_getattro},
    {Py_tp_setattro, copyfunction_setattro},
    {Py_tp_descr_get, copyfunction_descr_get},
    {Py_tp_repr, copyfunction_repr},
    {Py_tp_members, copyfunction_members},
    {Py_tp_methods, copyfunction_methods},
    {Py_tp_getset, copyfunction_getset},
    {Py_tp_traverse, copyfunction_traverse},
    {Py_tp_clear, copyfunction_clear},
    {Py_tp_dealloc, copyfunction_dealloc},
    {0, NULL},
};

static PyType_Spec copyfunction_spec = {
    .name = "fastcopyreg._core.CopyFunction",
    .basicsize = sizeof(struct copyfunction),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL
             | Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = copyfunction_slots,
};

/* ---- setup -------------------------------------------------------------- */

/* Adds one function.  The original is the standard library's also where a core that was imported
   before stands in its place.  0 or -1. */
static int
add_function(PyObject *module, const char *name, vectorcallfunc vectorcall, PyObject **original)
{
    struct core_state *state = core_state_of_module(module);
    if (Py_TYPE(*original)->tp_name == copyfunction_spec.name
        || strcmp(Py_TYPE(*original)->tp_name, copyfunction_spec.name) == 0) {
        Py_SETREF(*original, Py_NewRef(COPYFUNCTION(*original)->original));
    }
    struct copyfunction *function =
        PyObject_GC_New(struct copyfunction, state->copy->copyfunction_type);
    if (function == NULL) {
        return -1;
    }
    function->vectorcall = vectorcall;
    function->state = state;
    function->original = Py_NewRef(*original);
    function->module = PyUnicode_InternFromString("fastcopyreg.copy");
    function->attributes = Py_BuildValue("{sO}", "__wrapped__", *original);
    function->weak_references = NULL;
    PyObject_GC_Track(function);
    int result = function->module == NULL || function->attributes == NULL
                     ? -1
                     : PyModule_AddObjectRef(module, name, (PyObject *)function);
    Py_DECREF(function);
    return result;
}

int
copyfunction_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    state->copy->copies_by_sets =
        PyDict_Contains(state->stdlib.copy_globals, state->str.copy_atomic_types);
    if (state->copy->copies_by_sets < 0
        || core_add_type(module, &copyfunction_spec, &state->copy->copyfunction_type) < 0
        || add_function(module, "copy", call_copy, &state->stdlib.copy_copy) < 0
        || add_function(module, "deepcopy", call_deepcopy, &state->stdlib.copy_deepcopy) < 0) {
        return -1;
    }
    if (state->stdlib.copy_replace == NULL) {
        return 0;
    }
    return add_function(module, "replace", call_replace, &state->stdlib.copy_replace);
}
