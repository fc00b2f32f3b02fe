/* The dialect of the running standard library's pickler: see dialect.h. */
#include "base/dialect.h"

#include "base/opcodes.h"

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

/* A container of the numbers from 0 on, made by a type from a range, or by dict.fromkeys(); a new
   reference or NULL. */
static PyObject *
numbers(PyObject *make, long count)
{
    PyObject *range = PyObject_CallFunction((PyObject *)&PyRange_Type, "l", count);
    PyObject *container = range == NULL ? NULL : PyObject_CallOneArg(make, range);
    Py_XDECREF(range);
    return container;
}

/* Sets *flag to whether so many numbers in a container are pickled with this ending.  0, or -1
   with an exception; `make` may be NULL with one. */
static int
probe_ending(PyObject *std_dumps, PyObject *make, long count, const char *ending, int *flag)
{
    PyObject *container = make == NULL ? NULL : numbers(make, count);
    PyObject *pickled = container == NULL ? NULL : probe(std_dumps, container, 4);
    Py_XDECREF(container);
    if (pickled == NULL) {
        return -1;
    }
    size_t length = strlen(ending);
    const char *end = PyBytes_AS_STRING(pickled) + PyBytes_GET_SIZE(pickled);
    *flag = memcmp(end - length, ending, length) == 0;
    Py_DECREF(pickled);
    return 0;
}

/* The endings that older versions write for exactly one batch, and for one batch and one item. */
static int
probe_batches(PyObject *std_dumps, struct dialect *dialect)
{
    PyObject *list = (PyObject *)&PyList_Type, *set = (PyObject *)&PySet_Type;
    PyObject *fromkeys = PyObject_GetAttrString((PyObject *)&PyDict_Type, "fromkeys");
    int failed =
        probe_ending(std_dumps, list, BATCH_SIZE + 1, "a.", &dialect->single_last_item) < 0
        || probe_ending(std_dumps, fromkeys, BATCH_SIZE + 1, "s.", &dialect->single_last_pair) < 0
        || probe_ending(std_dumps, fromkeys, BATCH_SIZE, "(u.", &dialect->empty_batch_of_dict) < 0
        || probe_ending(std_dumps, set, BATCH_SIZE, "(\x90.", &dialect->empty_batch_of_set) < 0;
    Py_XDECREF(fromkeys);
    return failed ? -1 : 0;
}

/* A list that grows while it is saved, and an attribute that is assigned: each is refused or not.
   A name that leads back through its module, as a builtin function's __self__ does: all its
   parts are written, or the last one.  And a PickleBuffer whose exporter cannot be asked again:
   what a class in Python exports (from 3.12 on) is held by an object that gives it once. */
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
    "assigning = refuses(lambda: setattr(pickler, 'persistent_id', repr), AttributeError)\n"
    "class Sink:\n"
    "    written = b''\n"
    "    def write(self, data):\n"
    "        self.written += data\n"
    "sink = Sink()\n"
    "pickler = Pickler(sink, 2)\n"
    "path = 'callable.__self__.callable'\n"
    "pickler.dispatch_table = {type(callable): lambda f: path if f is callable else f.__name__}\n"
    "pickler.dump(callable)\n"
    "shortening = b'__self__' not in sink.written\n"
    "class Exporter:\n"
    "    def __buffer__(self, flags):\n"
    "        return memoryview(b'')\n"
    "exports = not refuses(lambda: PickleBuffer(Exporter()), TypeError)\n"
    "holding = not exports or not refuses(lambda: dumps(PickleBuffer(Exporter()), 5), "
    "TypeError)\n";

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
    if (result == 0) {
        result = read_answer(globals, "shortening", &dialect->shortens_way_back);
    }
    if (result == 0) {
        result = read_answer(globals, "holding", &dialect->buffers_are_held);
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
        probe_batches, probe_by_source, probe_dotted_name, probe_default_protocol};
    int result = 0;
    for (size_t i = 0; result == 0 && i < Py_ARRAY_LENGTH(probes); i++) {
        result = probes[i](std_dumps, dialect);
    }
    Py_DECREF(std_dumps);
    return result;
}
