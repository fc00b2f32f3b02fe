/* What the running standard library writes: see dialect.h. */
#include "dialect.h"

#include "opcodes.h"

/* The standard library's C dumps(object, protocol); a new bytes object or NULL. */
static PyObject *
probe(PyObject *std_dumps, PyObject *object, int protocol)
{
    PyObject *pickled = PyObject_CallFunction(std_dumps, "Oi", object, protocol);
    if (pickled != NULL && !PyBytes_CheckExact(pickled)) {
        Py_CLEAR(pickled);
        PyErr_SetString(PyExc_RuntimeError, "pickle.dumps did not return bytes");
    }
    return pickled;
}

/* {0: None, ... 999: None}, one whole batch; a new dict or NULL. */
static PyObject *
one_batch(void)
{
    PyObject *dict = PyDict_New();
    for (long i = 0; dict != NULL && i < BATCH_SIZE; i++) {
        PyObject *key = PyLong_FromLong(i);
        if (key == NULL || PyDict_SetItem(dict, key, Py_None) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(key);
    }
    return dict;
}

/* Older versions write an empty second batch behind one whole batch, 3.15 does not. */
static int
probe_last_item(PyObject *std_dumps, struct dialect *dialect)
{
    PyObject *dict = one_batch();
    if (dict == NULL) {
        return -1;
    }
    PyObject *pickled = probe(std_dumps, dict, 2);
    Py_DECREF(dict);
    if (pickled == NULL) {
        return -1;
    }
    const char *end = PyBytes_AS_STRING(pickled) + PyBytes_GET_SIZE(pickled);
    dialect->single_last_item = memcmp(end - 3, "(u.", 3) != 0;
    Py_DECREF(pickled);
    return 0;
}

/* Protocol None is written in the second byte. */
static int
probe_default_protocol(PyObject *std_dumps, struct dialect *dialect)
{
    PyObject *pickled = PyObject_CallOneArg(std_dumps, Py_None);
    if (pickled == NULL) {
        return -1;
    }
    dialect->default_protocol = PyBytes_AS_STRING(pickled)[1];
    Py_DECREF(pickled);
    return 0;
}

int
dialect_probe(struct dialect *dialect)
{
    PyObject *module = PyImport_ImportModule("_pickle");
    if (module == NULL) {
        return -1;
    }
    PyObject *std_dumps = PyObject_GetAttrString(module, "dumps");
    Py_DECREF(module);
    if (std_dumps == NULL) {
        return -1;
    }
    int result = -1;
    if (probe_last_item(std_dumps, dialect) == 0) {
        result = probe_default_protocol(std_dumps, dialect);
    }
    Py_DECREF(std_dumps);
    return result;
}
