/* The pickler's errors: see errors.h. */
#include "base/errors.h"

#if MODERN_ERRORS

/* Raises `type` with the exception that was set before as its context. */
static void
raise_in_context(PyObject *type, const char *format, ...)
{
    PyObject *context = PyErr_GetRaisedException();
    va_list arguments;
    va_start(arguments, format);
    PyErr_FormatV(type, format, arguments);
    va_end(arguments);
    PyObject *exception = PyErr_GetRaisedException();
    if (exception != NULL && context != NULL && exception != context) {
        PyException_SetContext(exception, context);
    }
    else {
        Py_XDECREF(context);
    }
    PyErr_SetRaisedException(exception);
}

void
error_note(const char *format, ...)
{
    PyObject *exception = PyErr_GetRaisedException();
    va_list arguments;
    va_start(arguments, format);
    PyObject *note = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    /* BaseException's own method, whatever a subclass has under that name. */
    PyObject *added = NULL;
    if (note != NULL) {
        PyObject *add_note = PyObject_GetAttrString(PyExc_BaseException, "add_note");
        if (add_note != NULL) {
            added = PyObject_CallFunctionObjArgs(add_note, exception, note, NULL);
            Py_DECREF(add_note);
        }
        Py_DECREF(note);
    }
    if (added == NULL) {
        PyObject *failure = PyErr_GetRaisedException();
        PyException_SetContext(failure, exception);
        PyErr_SetRaisedException(failure);
        return;
    }
    Py_DECREF(added);
    PyErr_SetRaisedException(exception);
}

void
error_local_object(struct core_state *state, PyObject *object, PyObject *Py_UNUSED(name))
{
    PyErr_Format(state->stdlib.pickling_error, "Can't pickle local object %R", object);
}

void
error_import_failed(struct core_state *state, PyObject *object, PyObject *Py_UNUSED(module_name))
{
    if (!PyErr_ExceptionMatches(PyExc_ImportError) && !PyErr_ExceptionMatches(PyExc_ValueError)) {
        return;
    }
    PyObject *cause = PyErr_GetRaisedException();
    PyErr_SetRaisedException(Py_NewRef(cause));
    raise_in_context(state->stdlib.pickling_error, "Can't pickle %R: %S", object, cause);
    Py_DECREF(cause);
}

void
error_not_found(struct core_state *state, PyObject *object, PyObject *module_name, PyObject *name)
{
    if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        raise_in_context(state->stdlib.pickling_error, "Can't pickle %R: it's not found as %S.%S",
                         object, module_name, name);
    }
}

void
error_identifier(struct core_state *state, const char *kind, PyObject *identifier, int protocol)
{
    if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        raise_in_context(state->stdlib.pickling_error,
                         "can't pickle %s identifier %R using pickle protocol %i", kind,
                         identifier, protocol);
    }
}

void
error_no_reducer(struct core_state *state, PyObject *object)
{
    PyErr_Format(state->stdlib.pickling_error, "Can't pickle %T object", object);
}

/* A message for each fault, and the part of the reduce value that is meant. */
static const struct {
    int index;
    const char *format;
} reduction_errors[] = {
    [REDUCTION_NOT_TUPLE] = {-1, "__reduce__ must return a string or tuple, not %T"},
    [REDUCTION_SIZE] = {-1, "tuple returned by __reduce__ must contain 2 through 6 elements"},
    [REDUCTION_CALLABLE] =
        {0, "first item of the tuple returned by __reduce__ must be callable, not %T"},
    [REDUCTION_ARGS] = {1,
                        "second item of the tuple returned by __reduce__ must be a tuple, not %T"},
    [REDUCTION_LISTITEMS] =
        {3, "fourth item of the tuple returned by __reduce__ must be an iterator, not %T"},
    [REDUCTION_DICTITEMS] =
        {4, "fifth item of the tuple returned by __reduce__ must be an iterator, not %T"},
    [REDUCTION_STATE_SETTER] =
        {5, "sixth item of the tuple returned by __reduce__ must be callable, not %T"},
};

void
error_reduction(struct core_state *state, enum reduction_fault fault, PyObject *reduce_value)
{
    if (fault == REDUCTION_RAISED) {
        return;
    }
    int index = reduction_errors[fault].index;
    PyObject *part = index < 0 ? reduce_value : PyTuple_GET_ITEM(reduce_value, index);
    PyErr_Format(state->stdlib.pickling_error, reduction_errors[fault].format, part);
}

void
error_newobj_size(struct core_state *state, Py_ssize_t size)
{
    PyErr_Format(state->stdlib.pickling_error, "__newobj__ expected at least 1 argument, got %zd",
                 size);
}

void
error_newobj_class(struct core_state *state, PyObject *argument)
{
    PyErr_Format(state->stdlib.pickling_error,
                 "first argument to __newobj__() must be a class, not %T", argument);
}

void
error_newobj_wrong_class(struct core_state *state, PyObject *expected, PyObject *argument)
{
    PyErr_Format(state->stdlib.pickling_error, "first argument to __newobj__() must be %R, not %R",
                 expected, argument);
}

void
error_newobj_ex_size(struct core_state *state, Py_ssize_t size)
{
    PyErr_Format(state->stdlib.pickling_error, "__newobj_ex__ expected 3 arguments, got %zd",
                 size);
}

void
error_newobj_ex_argument(struct core_state *state, int index, PyObject *argument)
{
    static const char *const formats[] = {
        "first argument to __newobj_ex__() must be a class, not %T",
        "second argument to __newobj_ex__() must be a tuple, not %T",
        "third argument to __newobj_ex__() must be a dict, not %T",
    };
    PyErr_Format(state->stdlib.pickling_error, formats[index], argument);
}

#else

void
error_local_object(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(object),
                   PyObject *name)
{
    PyErr_Format(PyExc_AttributeError, LOCAL_OBJECT_ERROR, name);
}

void
error_import_failed(struct core_state *state, PyObject *object, PyObject *module_name)
{
    PyErr_Format(state->stdlib.pickling_error, "Can't pickle %R: import of module %R failed",
                 object, module_name);
}

void
error_not_found(struct core_state *state, PyObject *object, PyObject *module_name, PyObject *name)
{
    PyErr_Format(state->stdlib.pickling_error, "Can't pickle %R: attribute lookup %S on %S failed",
                 object, name, module_name);
}

void
error_identifier(struct core_state *state, const char *kind, PyObject *identifier, int protocol)
{
    if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Format(state->stdlib.pickling_error,
                     "can't pickle %s identifier '%S' using pickle protocol %i", kind, identifier,
                     protocol);
    }
}

void
error_no_reducer(struct core_state *state, PyObject *object)
{
    PyErr_Format(state->stdlib.pickling_error, "can't pickle '%.200s' object: %R",
                 Py_TYPE(object)->tp_name, object);
}

static const struct {
    int index;
    const char *format;
} reduction_errors[] = {
    [REDUCTION_NOT_TUPLE] = {0, "__reduce__ must return a string or tuple"},
    [REDUCTION_SIZE] = {0, "tuple returned by __reduce__ must contain 2 through 6 elements"},
    [REDUCTION_CALLABLE] = {0, "first item of the tuple returned by __reduce__ must be callable"},
    [REDUCTION_ARGS] = {0, "second item of the tuple returned by __reduce__ must be a tuple"},
    [REDUCTION_LISTITEMS] =
        {3, "fourth element of the tuple returned by __reduce__ must be an iterator, not %s"},
    [REDUCTION_DICTITEMS] =
        {4, "fifth element of the tuple returned by __reduce__ must be an iterator, not %s"},
    [REDUCTION_STATE_SETTER] =
        {5, "sixth element of the tuple returned by __reduce__ must be a function, not %s"},
};

void
error_reduction(struct core_state *state, enum reduction_fault fault, PyObject *reduce_value)
{
    if (fault == REDUCTION_RAISED) {
        return;
    }
    int index = reduction_errors[fault].index;
    if (index == 0) {
        PyErr_SetString(state->stdlib.pickling_error, reduction_errors[fault].format);
        return;
    }
    PyObject *part = PyTuple_GET_ITEM(reduce_value, index);
    PyErr_Format(state->stdlib.pickling_error, reduction_errors[fault].format,
                 Py_TYPE(part)->tp_name);
}

void
error_newobj_size(struct core_state *state, Py_ssize_t Py_UNUSED(size))
{
    PyErr_SetString(state->stdlib.pickling_error, "__newobj__ arglist is empty");
}

void
error_newobj_class(struct core_state *state, PyObject *Py_UNUSED(argument))
{
    PyErr_SetString(state->stdlib.pickling_error, "args[0] from __newobj__ args is not a type");
}

void
error_newobj_wrong_class(struct core_state *state, PyObject *Py_UNUSED(expected),
                         PyObject *Py_UNUSED(argument))
{
    PyErr_SetString(state->stdlib.pickling_error,
                    "args[0] from __newobj__ args has the wrong class");
}

void
error_newobj_ex_size(struct core_state *state, Py_ssize_t size)
{
    PyErr_Format(state->stdlib.pickling_error,
                 "length of the NEWOBJ_EX argument tuple must be exactly 3, not %zd", size);
}

void
error_newobj_ex_argument(struct core_state *state, int index, PyObject *argument)
{
    static const char *const formats[] = {
        "first item from NEWOBJ_EX argument tuple must be a class, not %.200s",
        "second item from NEWOBJ_EX argument tuple must be a tuple, not %.200s",
        "third item from NEWOBJ_EX argument tuple must be a dict, not %.200s",
    };
    PyErr_Format(state->stdlib.pickling_error, formats[index], Py_TYPE(argument)->tp_name);
}

#endif

void
error_not_same(struct core_state *state, PyObject *object, PyObject *module_name, PyObject *name)
{
    PyErr_Format(state->stdlib.pickling_error,
                 "Can't pickle %R: it's not the same object as %S.%S", object, module_name, name);
}

void
error_extension_code(struct core_state *state, PyObject *object, PyObject *code)
{
    if (EXTENSION_CODE_RUNTIME_ERROR) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_RuntimeError, "extension code %S is out of range", code);
        }
        return;
    }
    if (!PyLong_Check(code)) {
        PyErr_Format(state->stdlib.pickling_error,
                     "Can't pickle %R: extension code %R isn't an integer", object, code);
    }
    else if (!PyErr_Occurred()) {
        PyErr_Format(state->stdlib.pickling_error,
                     "Can't pickle %R: extension code %S is out of range", object, code);
    }
}
