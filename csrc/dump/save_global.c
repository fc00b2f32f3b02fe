/* Classes, functions, and objects that a reducer gives by name. */
#include "base/errors.h"
#include "base/names.h"
#include "base/registry.h"
#include "dump/save.h"
#include "dump/save_part.h"

/* EXT1, EXT2 or EXT4, for an object that copyreg.add_extension() gave a code. */
static char *
write_extension(struct pickler *pickler, PyObject *object, PyObject *code, char *out)
{
    long value = PyLong_Check(code) || EXTENSION_CODE_RUNTIME_ERROR ? PyLong_AsLong(code) : -1;
    if (value <= 0 || value > INT32_MAX) {
        error_extension_code(pickler->state, object, code);
        return NULL;
    }
    if (value <= 0xff) {
        *write_op(out, OP_EXT1) = (char)(unsigned char)value;
        return out + 2;
    }
    if (value <= 0xffff) {
        return write_u16(write_op(out, OP_EXT2), (uint16_t)value);
    }
    return write_u32(write_op(out, OP_EXT4), (uint32_t)value);
}

/* A line of text: an identifier in ASCII, in protocol 3 in UTF-8. */
static char *
write_identifier(struct pickler *pickler, PyObject *identifier, const char *kind, char *out)
{
    PyObject *encoded = pickler->protocol == 3 ? PyUnicode_AsUTF8String(identifier)
                                               : PyUnicode_AsASCIIString(identifier);
    if (encoded == NULL) {
        error_identifier(pickler->state, kind, identifier, pickler->protocol);
        return NULL;
    }
    size_t size = (size_t)PyBytes_GET_SIZE(encoded);
    out = writer_reserve(&pickler->writer, out, size + 1);
    if (out != NULL) {
        memcpy(out, PyBytes_AS_STRING(encoded), size);
        out = write_op(out + size, '\n');
    }
    Py_DECREF(encoded);
    return out;
}

/* GLOBAL: module and name in two lines, mapped to Python 2's if that was asked for. */
static char *
write_global(struct pickler *pickler, PyObject *module_name, PyObject *name, char *out)
{
    Py_INCREF(module_name);
    Py_INCREF(name);
    out = write_op(out, OP_GLOBAL);
    if (pickler->protocol < 3 && pickler->fix_imports
        && names_map_to_python2(pickler->state, &module_name, &name) < 0) {
        out = NULL;
    }
    if (out != NULL) {
        out = write_identifier(pickler, module_name, "module", out);
    }
    if (out != NULL) {
        out = write_identifier(pickler, name, "global", out);
    }
    Py_DECREF(module_name);
    Py_DECREF(name);
    return out;
}

/* STACK_GLOBAL takes module and name from the stack, where they are in the memo. */
static char *
write_stack_global(struct pickler *pickler, struct global_name *global, char *out)
{
    out = save(pickler, global->module_name, out);
    if (out != NULL) {
        out = save(pickler, global->name, out);
    }
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : write_op(out, OP_STACK_GLOBAL);
}

/* A dotted name in protocols 0 to 3: getattr(getattr(first, second), third). */
static char *
write_getattr_chain(struct pickler *pickler, struct global_name *global, char *out)
{
    Py_ssize_t parts = PyList_GET_SIZE(global->path);
    for (Py_ssize_t i = 1; out != NULL && i < parts; i++) {
        out = save(pickler, pickler->state->stdlib.getattr, out);
        if (out != NULL && pickler->protocol < 2) {
            out = write_op(out, OP_MARK);
        }
    }
    if (out == NULL) {
        return NULL;
    }
    out = write_global(pickler, global->module_name, PyList_GET_ITEM(global->path, 0), out);
    for (Py_ssize_t i = 1; out != NULL && i < parts; i++) {
        out = save(pickler, PyList_GET_ITEM(global->path, i), out);
        out = out == NULL ? NULL : save_room(pickler, out);
        if (out != NULL) {
            out = write_op(out, pickler->protocol < 2 ? OP_TUPLE : OP_TUPLE2);
            out = write_op(out, OP_REDUCE);
        }
    }
    return out;
}

/* The same in the way of older versions: the reduction (getattr, (parent, last)). */
static char *
save_getattr_reduction(struct pickler *pickler, struct global_name *global, char *out)
{
    Py_ssize_t parts = PyList_GET_SIZE(global->path);
    PyObject *built = Py_BuildValue("(O(OO))", pickler->state->stdlib.getattr, global->parent,
                                    PyList_GET_ITEM(global->path, parts - 1));
    return save_built(pickler, NULL, built, out);
}

/* In older versions, a path that leads back to the module is as good as its last part, and
   a name without dots is written as the part it was split into.  0 or -1. */
static int
shorten(struct core_state *state, struct global_name *global)
{
    Py_ssize_t parts = PyList_GET_SIZE(global->path);
    if (parts > 1 ? !state->dialect.shortens_way_back || global->parent != NULL : MODERN_ERRORS) {
        return 0;
    }
    Py_SETREF(global->name, Py_NewRef(PyList_GET_ITEM(global->path, parts - 1)));
    return PyList_SetSlice(global->path, 0, parts - 1, NULL);
}

static char *
write_name(struct pickler *pickler, struct global_name *global, char *out)
{
    if (shorten(pickler->state, global) < 0) {
        return NULL;
    }
    if (pickler->protocol >= 4) {
        return write_stack_global(pickler, global, out);
    }
    if (PyList_GET_SIZE(global->path) == 1 || pickler->state->dialect.dotted_name_chain) {
        return write_getattr_chain(pickler, global, out);
    }
    return save_getattr_reduction(pickler, global, out);
}

/* An object whose names were found. */
static char *
save_named(struct pickler *pickler, PyObject *object, struct global_name *global, char *out)
{
    PyObject *code = NULL;
    if (pickler->protocol >= 2) {
        int found =
            registry_find_extension(pickler->state, global->module_name, global->name, &code);
        if (found != 0) {
            out = found < 0 ? NULL : write_extension(pickler, object, code, out);
            Py_XDECREF(code);
            return out;
        }
    }
    out = write_name(pickler, global, out);
    out = out == NULL ? NULL : save_room(pickler, out);
    return out == NULL ? NULL : save_memoize(pickler, object, 0, out);
}

char *
save_global(struct pickler *pickler, PyObject *object, PyObject *name, char *out)
{
    struct global_name global = {0};
    if (save_foreign(pickler) < 0) {
        return NULL;
    }
    if (names_find(pickler->state, object, name, &global) < 0) {
        out = NULL;
    }
    else {
        out = save_named(pickler, object, &global, out);
    }
    /* The names may have been made for this call, and are numbered by now. */
    if (out != NULL && save_foreign(pickler) < 0) {
        out = NULL;
    }
    names_release(&global);
    return out;
}

/* The types of the singletons have no names: type(None) finds them. */
char *
save_type(struct pickler *pickler, PyObject *type, char *out)
{
    PyObject *const singletons[] = {Py_None, Py_Ellipsis, Py_NotImplemented};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(singletons); i++) {
        if (type == (PyObject *)Py_TYPE(singletons[i])) {
            PyObject *built = Py_BuildValue("(O(O))", &PyType_Type, singletons[i]);
            return save_built(pickler, type, built, out);
        }
    }
    return save_global(pickler, type, NULL, out);
}
