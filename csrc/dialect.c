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

/* A list that grows while it is saved, and an attribute that is assigned: each is refused
   or not. */
static const char source_of_probes[] =
    "class Grower:\n"
    "    def __reduce__(self):\n"
    "        items.append(None)\n"
    "        return int, ()\n"
    "    def write(self, data):\n"
    "        pass\n"
    "items = [Grower(), None]\n"
    "def refuses(call, error):\n"
    "    try:\n"
    "        call()\n"
    "    except error:\n"
    "        return True\n"
    "    return False\n"
    "growth = refuses(lambda: dumps(items, 2), RuntimeError)\n"
    "pickler = Pickler(Grower())\n"
    "assigning = refuses(lambda: setattr(pickler, 'persistent_id', repr), AttributeError)\n";

/* Runs the source with `dumps` and `Pickler` at hand; a new dict of its globals, or NULL. */
static PyObject *
run(const char *source)
{
    PyObject *pickle = PyImport_ImportModule("_pickle");
    if (pickle == NULL) {
        return NULL;
    }
    PyObject *globals = PyDict_Copy(PyModule_GetDict(pickle));
    Py_DECREF(pickle);
    if (globals == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) == 0) {
        result = PyRun_String(source, Py_file_input, globals, globals);
    }
    if (result == NULL) {
        Py_CLEAR(globals);
    }
    Py_XDECREF(result);
    return globals;
}

/* A name that the source has set to True or False.  0 or -1. */
static int
read_answer(PyObject *globals, const char *name, int *answer)
{
    PyObject *key = PyUnicode_FromString(name);
    PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError(globals, key);
    Py_XDECREF(key);
    *answer = value == Py_True;
    return value == NULL ? -1 : 0;
}

static int
probe_by_source(PyObject *Py_UNUSED(std_dumps), struct dialect *dialect)
{
    PyObject *globals = run(source_of_probes);
    if (globals == NULL) {
        return -1;
    }
    int result = read_answer(globals, "growth", &dialect->list_change_raises);
    if (result == 0) {
        result = read_answer(globals, "assigning", &dialect->persistent_id_read_only);
    }
    /* The class and its methods hold the globals, which hold the class. */
    PyDict_Clear(globals);
    Py_DECREF(globals);
    return result;
}

/* The function pickle._Pickler.dump is at hand everywhere, and found by a dotted name. */
static int
probe_dotted_name(PyObject *std_dumps, struct dialect *dialect)
{
    PyObject *pickle = PyImport_ImportModule("pickle");
    PyObject *type = pickle ? PyObject_GetAttrString(pickle, "_Pickler") : NULL;
    PyObject *function = type ? PyObject_GetAttrString(type, "dump") : NULL;
    PyObject *pickled = function ? probe(std_dumps, function, 2) : NULL;
    Py_XDECREF(pickle);
    Py_XDECREF(type);
    Py_XDECREF(function);
    if (pickled == NULL) {
        return -1;
    }
    /* Behind TUPLE2 comes REDUCE, or else the memo's number of the tuple. */
    const char *tuple2 =
        memchr(PyBytes_AS_STRING(pickled), OP_TUPLE2, (size_t)PyBytes_GET_SIZE(pickled));
    dialect->dotted_name_chain = tuple2 != NULL && tuple2[1] == OP_REDUCE;
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
    static int (*const probes[])(PyObject *, struct dialect *) = {
        probe_last_item, probe_by_source, probe_dotted_name, probe_default_protocol};
    int result = 0;
    for (size_t i = 0; result == 0 && i < Py_ARRAY_LENGTH(probes); i++) {
        result = probes[i](std_dumps, dialect);
    }
    Py_DECREF(std_dumps);
    return result;
}
