/* The dialect of the running standard library's unpickler: see load_dialect.h. */
#include "base/load_dialect.h"

/* The words with which the standard library refuses a pickle, strong; None if it loads.
   NULL with an exception of another kind than is asked for. */
static PyObject *
refusal(PyObject *std_loads, const char *pickled, Py_ssize_t size)
{
    PyObject *loaded = PyObject_CallFunction(std_loads, "y#", pickled, size);
    if (loaded != NULL) {
        Py_DECREF(loaded);
        return Py_NewRef(Py_None);
    }
    PyObject *error = PyErr_GetRaisedException();
    PyObject *words = PyObject_Str(error);
    Py_DECREF(error);
    return words;
}

/* Sets *flag to whether a pickle is refused, with words that contain `part` (NULL: any).
   0, or -1 with an exception. */
static int
probe_refusal(PyObject *std_loads, const char *pickled, Py_ssize_t size, const char *part,
              int *flag)
{
    PyObject *words = refusal(std_loads, pickled, size);
    if (words == NULL) {
        return -1;
    }
    *flag = words != Py_None;
    if (*flag && part != NULL) {
        const char *text = PyUnicode_AsUTF8(words);
        *flag = text == NULL ? -1 : strstr(text, part) != NULL;
    }
    Py_DECREF(words);
    return *flag < 0 ? -1 : 0;
}

static int
probe_all(PyObject *std_loads, struct load_dialect *dialect)
{
    static const struct {
        const char *pickled;
        size_t size;
        const char *part;
        size_t field;
    } probes[] = {
#define PROBE(pickled, part, field) \
    {pickled, sizeof(pickled) - 1, part, offsetof(struct load_dialect, field)}
        PROBE("N(e.", NULL, empty_batch_is_passed),
        PROBE("N(\x90.", NULL, empty_addition_is_passed),
        PROBE("Nr\xe8\x03\x00\x00\x94"
              "0h\x01.",
              NULL, sparse_memo_counts),
        PROBE("\x95\x02\x00\x00\x00\x00\x00\x00\x00M\x01\x01.", NULL, holds_to_frames),
        PROBE("T\xff\xff\xff\xff", "negative", binstring_is_signed),
        PROBE("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "too large", allocates_first),
        PROBE("L010\n.", NULL, guesses_base),
        PROBE("P", "persistent", misses_persistent_load_first),
        PROBE("Pid\n.", "\n", persistent_load_breaks_line),
        PROBE("\x80\x04\x8c\x08"
              "builtins\x8c\x08<locals>\x93.",
              "Can't pickle", pickles_local_attributes),
        PROBE("\x80\x04\x8c\x08"
              "builtins\x8c\x03"
              "0.0\x93.",
              "resolve", resolves_paths),
        PROBE("cbuiltins\n0\n.", "Can't get attribute", rewords_missing_names),
#undef PROBE
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(probes); i++) {
        int *flag = (int *)((char *)dialect + probes[i].field);
        if (probe_refusal(std_loads, probes[i].pickled, (Py_ssize_t)probes[i].size, probes[i].part,
                          flag)
            < 0) {
            return -1;
        }
    }
    dialect->empty_batch_is_passed = !dialect->empty_batch_is_passed;
    dialect->empty_addition_is_passed = !dialect->empty_addition_is_passed;
    dialect->sparse_memo_counts = !dialect->sparse_memo_counts;
    return 0;
}

/* Probes whether " 1" is True to INT.  0, or -1 with an exception. */
static int
probe_bools(PyObject *std_loads, struct load_dialect *dialect)
{
    PyObject *loaded = PyObject_CallFunction(std_loads, "y", "I 1\n.");
    dialect->reads_bools_by_value = loaded == Py_True;
    Py_XDECREF(loaded);
    return loaded == NULL ? -1 : 0;
}

/* An Unpickler of the standard library over the bytes as a file; strong, or NULL. */
static PyObject *
make_unpickler(PyObject *module, const char *pickled, Py_ssize_t size)
{
    PyObject *io = PyImport_ImportModule("_io");
    PyObject *file = io == NULL ? NULL : PyObject_CallMethod(io, "BytesIO", "y#", pickled, size);
    PyObject *unpickler =
        file == NULL ? NULL : PyObject_CallMethod(module, "Unpickler", "O", file);
    Py_XDECREF(io);
    Py_XDECREF(file);
    return unpickler;
}

/* Probes whether bytes that were taken from a file for an untrue length are lost for the next
   load.  0, or -1 with an exception. */
static int
probe_window(PyObject *module, struct load_dialect *dialect)
{
    static const char pickled[] = "X\x01\x00\x10\x00N."; /* of 1 MiB and a byte */
    PyObject *unpickler = make_unpickler(module, pickled, sizeof(pickled) - 1);
    if (unpickler == NULL) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        PyObject *loaded = PyObject_CallMethod(unpickler, "load", NULL);
        dialect->keeps_window = loaded == NULL;
        Py_XDECREF(loaded);
        PyErr_Clear();
    }
    Py_DECREF(unpickler);
    return 0;
}

int
load_dialect_probe(struct load_dialect *dialect)
{
    PyObject *module = PyImport_ImportModule("_pickle");
    PyObject *std_loads = module == NULL ? NULL : PyObject_GetAttrString(module, "loads");
    int result = std_loads == NULL ? -1 : probe_all(std_loads, dialect);
    result = result < 0 ? -1 : probe_bools(std_loads, dialect);
    result = result < 0 ? -1 : probe_window(module, dialect);
    Py_XDECREF(module);
    Py_XDECREF(std_loads);
    return result;
}
