/* load and loads: see unpickler.h. */
#include "load/unpickler.h"
#include "load/reader_open.h"

#include "load/load_names.h"
#include "load/load_one.h"
#include "load/load_state.h"
#include "load/load_template.h"
#include "load/read_ahead.h"
#include "base/stack.h"
#include "load/room.h"

enum {
    /* Limits of the memory that a machine keeps between calls, so that one huge load does not take
       memory for good. */
    KEPT_STACK = 4096,
    KEPT_MARKS = 4096,
    KEPT_MEMO = 65536
};

/* ---- arguments ---------------------------------------------------------- */

/* Checks that an optional argument is a str that C can read. */
static int
check_text(const char *function, const char *name, PyObject *text)
{
    if (text == NULL) {
        return 0;
    }
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "%s() argument '%s' must be str, not %.50s", function, name,
                     text == Py_None ? "None" : Py_TYPE(text)->tp_name);
        return -1;
    }
    Py_ssize_t size;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    if (utf8 == NULL) {
        return -1;
    }
    if (strlen(utf8) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return -1;
    }
    return 0;
}

int
unpickler_check_positional(const char *function, Py_ssize_t count)
{
    if (count > 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes exactly 1 positional argument (%zd given)",
                     function, count);
        return -1;
    }
    return 0;
}

int
unpickler_check_options(const char *function, const struct load_options *options)
{
    if (check_text(function, "encoding", options->encoding) < 0) {
        return -1;
    }
    return check_text(function, "errors", options->errors);
}

int
unpickler_take_options(struct unpickler *machine, const struct load_options *options)
{
    machine->fix_imports = options->fix_imports;
    Py_XSETREF(machine->encoding, Py_XNewRef(options->encoding));
    Py_XSETREF(machine->errors, Py_XNewRef(options->errors));
    if (options->buffers == NULL || options->buffers == Py_None) {
        return 0;
    }
    PyObject *buffers = PyObject_GetIter(options->buffers);
    Py_XSETREF(machine->buffers, buffers);
    return buffers == NULL ? -1 : 0;
}

/* ---- the machines of the functions -----------------------------------------------------------
 */

/* A machine for one call, or NULL with an exception. */
static struct unpickler *
claim_machine(struct core_state *state)
{
    struct unpickler *machine = state->load->idle_unpickler;
    state->load->idle_unpickler = NULL;
    if (machine == NULL) {
        if (stack_check() < 0) {
            return NULL; /* the others may be in use, by calls around this one */
        }
        machine = PyMem_Calloc(1, sizeof(struct unpickler));
        if (machine == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        machine->state = machine->reader.state = state;
        machine->memo.defers = load_memo_may_defer();
    }
    return machine;
}

static void
free_machine(struct unpickler *machine)
{
    load_free(machine);
    PyMem_Free(machine);
}

/* True if a machine holds no more memory than may be kept. */
static int
is_small(const struct unpickler *machine)
{
    return machine->limit - machine->stack <= KEPT_STACK && machine->mark_capacity <= KEPT_MARKS
           && machine->memo.capacity <= KEPT_MEMO && machine->memo.scan.capacity <= KEPT_MEMO
           && machine->reader.line_capacity <= KEPT_MEMO
           && machine->reader.copy_capacity <= KEPT_MEMO
           && machine->safe.nesting_room <= KEPT_STACK;
}

/* Releases all objects that remain of the load and keeps the machine for the next call.  The order
   is that of the standard library: stack, memo.  May run Python code. */
static void
release_machine(struct unpickler *machine)
{
    struct core_state *state = machine->state;
    reader_close(&machine->reader);
    load_clear_stack(machine);
#define CLEAR_FIELD(field) Py_CLEAR(machine->field);
    UNPICKLER_OBJECTS(CLEAR_FIELD)
#undef CLEAR_FIELD
    load_memo_clear(&machine->memo);
    if (HAS_GIL && state->load->idle_unpickler == NULL && is_small(machine)) {
        state->load->idle_unpickler = machine;
    }
    else {
        free_machine(machine);
    }
}

void
unpickler_teardown(struct core_state *state)
{
    if (state->load->idle_unpickler != NULL) {
        free_machine(state->load->idle_unpickler);
        state->load->idle_unpickler = NULL;
    }
    PyMem_Free(state->load->spare_shapes);
    state->load->spare_shapes = NULL;
    load_names_teardown(state);
    load_forget_one_shape(state);
    load_drop_kept_templates(state);
}

enum {
    /* From this size on a copy, which is memory that the standard library does not need, is kept
       only if a prescan gains more: ... */
    LARGE_COPY = 1 << 15,
    /* ... so much for each memo number that may be left out. */
    GAIN = 16
};

/* True if the prescan of the copy that is loaded lets the load make fewer objects. */
static int
copy_pays(const struct prescan *scan, size_t size)
{
    return size < LARGE_COPY || (!scan->runs_nothing && scan->count >= size / GAIN);
}

/* Scans memory that was opened and that nobody can change.  1 if its pickle was understood, else
   0. */
static int
scan_memory(struct unpickler *machine)
{
    struct reader *reader = &machine->reader;
    struct prescan *scan = &machine->memo.scan;
    int understood = prescan(scan, reader->at, reader->end, 1);
    size_t size = (size_t)(reader->end - reader->at);
    int is_copy = reader->copy != NULL && reader->at == reader->copy;
    if (is_copy && !(understood ? copy_pays(scan, size) : size < LARGE_COPY)) {
        reader_leave_copy(reader);
        return 0;
    }
    return understood;
}

/* Reads all from memory that was opened, and scans it if nobody can change it.  An object, strong,
   or NULL with an exception.  Runs Python code. */
static PyObject *
run_in_memory(struct unpickler *machine)
{
    return machine->reader.is_fixed && scan_memory(machine)
                   && load_memo_begin_prescanned(&machine->memo) < 0
               ? NULL
               : load_run(machine);
}

/* loads() of other memory than that of bytes, which may be one object's.  Strong, or NULL with an
   exception.  Runs Python code. */
static PyObject *
loads_of_memory(struct unpickler *machine, PyObject *policy, PyObject *data)
{
    PyObject *object;
    struct reader *reader = &machine->reader;
    if (reader_open_memory(reader, data) < 0) {
        return NULL;
    }
    size_t size = (size_t)(reader->end - reader->at);
    return reader->is_fixed && !PyBytes_CheckExact(data)
                   && load_one(machine->state, policy, reader->at, size, &object)
               ? object
               : run_in_memory(machine);
}

/* True if the arguments are one object and nothing else, which needs no parsing. */
static int
is_one_object(Py_ssize_t count, PyObject *names)
{
    return count == 1 && names == NULL;
}

/* Loads from a file that was opened, after the prescan has read ahead in it.  Strong, or NULL with
   an exception.  Runs Python code. */
static PyObject *
run_file(struct unpickler *machine)
{
    PyObject *object;
    struct reader *reader = &machine->reader;
    struct ahead_of_load ahead = {0};
    if (machine->policy == NULL && read_ahead(machine, &ahead) < 0) {
        return NULL;
    }
    if (ahead.size == 0 || !load_one(machine->state, NULL, reader->at, ahead.size, &object)) {
        object = load_run(machine);
        if (object == NULL) {
            read_ahead_undo(machine, &ahead);
        }
        return object;
    }
    reader->at += ahead.size;
    if (object != NULL && reader_finish(reader) < 0) {
        Py_CLEAR(object);
    }
    return object;
}

PyDoc_STRVAR(
    load_doc,
    "load($module, /, file, *, fix_imports=True, encoding='ASCII',\n"
    "     errors='strict', buffers=())\n"
    "--\n"
    "\n"
    "Reads one pickle from a file and returns the object that it describes.\n"
    "\n"
    "file has read(size) and readline() that return bytes; readinto() and peek() are used\n"
    "if it has them.  It is left right behind the pickle.  fix_imports maps the names of\n"
    "Python 2 in pickles of protocol 2 and below; encoding and errors decode the strings of\n"
    "Python 2 (encoding 'bytes' leaves them as they are); buffers gives the out-of-band\n"
    "buffers of protocol 5.  Raises what pickle.load raises, and imports and calls what the\n"
    "pickle says: never load what you do not trust.");

PyObject *
unpickler_load(struct core_state *state, PyObject *policy, PyObject *const *vector,
               Py_ssize_t count, PyObject *names)
{
    struct unpickler *machine = claim_machine(state);
    if (machine == NULL) {
        return NULL;
    }
    machine->policy = Py_XNewRef(policy);
    static char *const option_names[] = OPTION_NAMES("file");
    struct load_options options = {.fix_imports = 1};
    PyObject *object = NULL;
    if (unpickler_check_positional("load", count) == 0
        && arguments_parse(vector, count, names, "O|$pOOO:load", option_names,
                           OPTION_TARGETS(&options))
               == 0
        && unpickler_check_options("load", &options) == 0
        && reader_open_file(&machine->reader, options.input) == 0
        && unpickler_take_options(machine, &options) == 0) {
        object = run_file(machine);
    }
    release_machine(machine);
    return object;
}

static PyObject *
core_load(PyObject *module, PyObject *const *vector, Py_ssize_t count, PyObject *names)
{
    return unpickler_load(core_state_of_module(module), NULL, vector, count, names);
}

PyDoc_STRVAR(
    loads_doc,
    "loads($module, data, /, *, fix_imports=True, encoding='ASCII',\n"
    "      errors='strict', buffers=())\n"
    "--\n"
    "\n"
    "Returns the object that a pickle in memory describes.\n"
    "\n"
    "data is any bytes-like object; what follows the pickle in it is ignored.  The other\n"
    "arguments are those of load.");

/* The general way to read the arguments of loads. */
static int
parse_loads(PyObject *const *vector, Py_ssize_t count, PyObject *names,
            struct load_options *options)
{
    static char *const option_names[] = OPTION_NAMES("");
    if (unpickler_check_positional("loads", count) < 0
        || arguments_parse(vector, count, names, "O|$pOOO:loads", option_names,
                           OPTION_TARGETS(options))
               < 0) {
        return -1;
    }
    return unpickler_check_options("loads", options);
}

ALWAYS_INLINE PyObject *
loads(struct core_state *state, PyObject *policy, PyObject *const *vector, Py_ssize_t count,
      PyObject *names)
{
    PyObject *object;
    if (is_one_object(count, names) && PyBytes_CheckExact(vector[0])
        && load_one(state, policy, (const unsigned char *)PyBytes_AS_STRING(vector[0]),
                    (size_t)PyBytes_GET_SIZE(vector[0]), &object)) {
        return object;
    }
    struct unpickler *machine = claim_machine(state);
    if (machine == NULL) {
        return NULL;
    }
    machine->policy = Py_XNewRef(policy);
    object = NULL;
    if (likely(is_one_object(count, names))) {
        machine->fix_imports = 1;
        object = loads_of_memory(machine, policy, vector[0]);
    }
    else {
        struct load_options options = {.fix_imports = 1};
        if (parse_loads(vector, count, names, &options) == 0
            && reader_open_memory(&machine->reader, options.input) == 0
            && unpickler_take_options(machine, &options) == 0) {
            object = run_in_memory(machine);
        }
    }
    release_machine(machine);
    return object;
}

PyObject *
unpickler_loads(struct core_state *state, PyObject *policy, PyObject *const *vector,
                Py_ssize_t count, PyObject *names)
{
    return loads(state, policy, vector, count, names);
}

static PyObject *
core_loads(PyObject *module, PyObject *const *vector, Py_ssize_t count, PyObject *names)
{
    return loads(core_state_of_module(module), NULL, vector, count, names);
}

/* ---- setup
 * ----------------------------------------------------------------------
 */

static PyMethodDef functions[] = {
    {"load", (PyCFunction)(void (*)(void))core_load, METH_FASTCALL | METH_KEYWORDS, load_doc},
    {"loads", (PyCFunction)(void (*)(void))core_loads, METH_FASTCALL | METH_KEYWORDS, loads_doc},
    {NULL, NULL, 0, NULL},
};

int
unpickler_setup(PyObject *module)
{
    return core_add_functions(module, functions, "fastcopyreg.pickle");
}
