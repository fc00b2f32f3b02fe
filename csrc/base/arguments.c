/* Arguments of functions called by vectorcall: see arguments.h. */
#include "base/arguments.h"

/* The keyword arguments as a dict; strong, or NULL with an exception. */
static PyObject *
keyword_dict(PyObject *const *values, PyObject *names)
{
    PyObject *dict = PyDict_New();
    Py_ssize_t count = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    for (Py_ssize_t i = 0; dict != NULL && i < count; i++) {
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(names, i), values[i]) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

/* The positional arguments as a tuple; strong, or NULL with an exception. */
static PyObject *
positional_tuple(PyObject *const *args, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    }
    return tuple;
}

int
arguments_parse(PyObject *const *args, Py_ssize_t nargs, PyObject *names, const char *format,
                char *const *keywords, ...)
{
    PyObject *dict = keyword_dict(args + nargs, names);
    PyObject *tuple = dict == NULL ? NULL : positional_tuple(args, nargs);
    int parsed = 0;
    if (tuple != NULL) {
        va_list targets;
        va_start(targets, keywords);
        parsed = PyArg_VaParseTupleAndKeywords(tuple, dict, format, (char **)keywords, targets);
        va_end(targets);
    }
    Py_XDECREF(tuple);
    Py_XDECREF(dict);
    return parsed ? 0 : -1;
}
