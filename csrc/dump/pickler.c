/* The functions dump and dumps, and the course of a dump from its header to STOP. */
#include "dump/pickler.h"

#include "base/arguments.h"
#include "base/errors.h"
#include "dump/save_one.h"
#include "dump/room.h"
#include "types/room.h"
#include "dump/save_part.h"

/* ---- a dump ------------------------------------------------------------- */

/* Moves the memory that is kept between two uses. */
static void
move_memory(struct pickler *to, struct pickler *from)
{
    to->memo = from->memo;
    to->writer.bytes = from->writer.bytes;
    to->writer.start = from->writer.start;
    to->writer.end = from->writer.end;
    to->snapshots = from->snapshots;
}

int
pickler_init(struct pickler *pickler, struct core_state *state)
{
    memset(pickler, 0, sizeof(*pickler));
    pickler->state = state;
    struct pickler *idle = exchange_pointer((void **)&state->dump->idle_pickler, NULL);
    if (idle == NULL) {
        return memo_init(&pickler->memo);
    }
    move_memory(pickler, idle);
    PyMem_Free(idle);
    return 0;
}

/* Frees memo and buffer.  May run Python code. */
static void
pickler_free(struct pickler *pickler)
{
    memo_destroy(&pickler->memo);
    writer_destroy(&pickler->writer);
    Py_CLEAR(pickler->fast_memo);
    PyMem_Free(pickler->snapshots.values);
    memset(&pickler->snapshots, 0, sizeof(pickler->snapshots));
}

int
pickler_set_protocol(struct pickler *pickler, PyObject *protocol, int fix_imports)
{
    long number = pickler->state->dialect.default_protocol;
    if (protocol != NULL && protocol != Py_None) {
        number = PyLong_AsLong(protocol);
        if (number == -1 && PyErr_Occurred()) {
            return -1;
        }
        if (number > HIGHEST_PROTOCOL) {
            PyErr_Format(PyExc_ValueError, "pickle protocol must be <= %d", HIGHEST_PROTOCOL);
            return -1;
        }
        number = number < 0 ? HIGHEST_PROTOCOL : number;
    }
    pickler->protocol = (int)number;
    pickler->bin = number > 0;
    pickler->fix_imports = fix_imports && number < 3;
    return 0;
}

int
pickler_set_buffer_callback(struct pickler *pickler, PyObject *callback)
{
    if (callback == Py_None) {
        callback = NULL;
    }
    if (callback != NULL && pickler->protocol < 5) {
        PyErr_SetString(PyExc_ValueError, "buffer_callback needs protocol >= 5");
        return -1;
    }
    pickler->buffer_callback = callback;
    return 0;
}

PyObject *
pickler_find_write(struct core_state *state, PyObject *file)
{
    PyObject *write;
    if (PyObject_GetOptionalAttr(file, state->str.write, &write) == 0) {
        PyErr_SetString(PyExc_TypeError, "file must have a 'write' attribute");
    }
    return write;
}

void
pickler_watch(struct pickler *pickler)
{
    pickler->writer.every = pickler->persistent_id != NULL;
    pickler->writer.limit = pickler->writer.every ? pickler->writer.start : pickler->writer.due;
}

/* True if calling `write` may run Python code.  BytesIO's own method runs none with the objects
   that a dump hands to it; an attribute that shadows it, on the object or in a class derived from
   BytesIO, is not that method. */
static int
write_is_foreign(struct core_state *state, PyObject *write)
{
    return write != NULL
           && !(layout_is_known() && PyCFunction_Check(write)
                && PyCFunction_GET_FUNCTION(write) == state->dump->bytes_io_write);
}

/* The header of protocols 2 and later, and the first frame. */
static char *
write_header(struct pickler *pickler, PyObject *write)
{
    char *out = writer_begin(&pickler->writer, write, write_is_foreign(pickler->state, write));
    if (pickler->protocol >= 2) {
        *write_op(out, OP_PROTO) = (char)(unsigned char)pickler->protocol;
        out += 2;
    }
    return pickler->protocol >= 4 ? writer_open_frame(&pickler->writer, out) : out;
}

/* Begins a dump: nothing is open, and nothing is known of the memo. */
static int
begin(struct pickler *pickler)
{
    char here;
    pickler->stack_floor = stack_begin((uintptr_t)&here, pickler->state->types->infos->busy > 0);
    pickler->unnumbered = pickler->fast_nesting = 0;
    pickler->poll_at_next = pickler->nested_bound = 0;
    pickler->poll = (struct poll){0};
    memset(&pickler->id_hook, 0, offsetof(struct hook, known));
    memset(&pickler->override_hook, 0, offsetof(struct hook, known));
    pickler->epoch = pickler->dump = ++pickler->state->epoch;
    if (memo_flush(&pickler->memo) < 0) {
        return -1;
    }
    pickler->generation = pickler->memo.generation;
    if (unlikely(pickler->fast_memo != NULL)) {
        Py_CLEAR(pickler->fast_memo);
    }
    return writer_init(&pickler->writer);
}

/* The first object, whose reducer was called before the dump began; see save_one.h. */
static NOINLINE char *
save_asked(struct pickler *pickler, PyObject *object, char *out)
{
    PyObject *reduce_value = pickler->asked;
    pickler->asked = NULL;
    if (save_open(pickler, object) < 0) {
        Py_DECREF(reduce_value);
        return NULL;
    }
    if (PyUnicode_Check(reduce_value)) {
        out = save_global(pickler, object, reduce_value, out);
    }
    else if ((out = save_reduce(pickler, reduce_value, object, out)) == NULL) {
        error_note("when serializing %T object", object);
    }
    return save_close(pickler, object, save_release(pickler, reduce_value, out));
}

/* Prepares the memo for the last write, which is foreign code.  Nothing is looked up after it:
   where nobody can look at the memo, its objects only have to live as long as they do in the
   standard library.  0 or -1. */
static int
before_last_write(struct pickler *pickler)
{
    if (pickler->observable) {
        return save_foreign(pickler);
    }
    memo_own(&pickler->memo);
    return 0;
}

/* Writes the complete pickle; the part that is still in the buffer ends at the place returned.  In
   line: stack used below the first object is lost to nesting. */
ALWAYS_INLINE char *
write_pickle(struct pickler *pickler, PyObject *object, PyObject *write)
{
    pickler->writer.every = pickler->persistent_id != NULL;
    char *out = write_header(pickler, write);
    out = unlikely(pickler->asked != NULL) ? save_asked(pickler, object, out)
                                           : save(pickler, object, out);
    out = out == NULL ? NULL : save_room(pickler, out);
    if (out == NULL || (pickler->writer.foreign && before_last_write(pickler) < 0)) {
        return NULL;
    }
    return write_op(out, OP_STOP);
}

PyObject *
pickler_run(struct pickler *pickler, PyObject *object, PyObject *write)
{
    if (begin(pickler) < 0) {
        return NULL;
    }
    typeinfo_enter(pickler->state);
    char *out = write_pickle(pickler, object, write);
    PyObject *result = out == NULL ? NULL : writer_finish(&pickler->writer, out);
    typeinfo_leave(pickler->state);
    return result;
}

/* ---- between calls ------------------------------------------------------ */

/* dump() and dumps() share one idle struct pickler, and with it its memory.  The pickler belongs
   to the call that took it: a nested call, and a call of another thread, finds none and makes its
   own. */
static struct pickler *
take_pickler(struct core_state *state)
{
    struct pickler *pickler = exchange_pointer((void **)&state->dump->idle_pickler, NULL);
    if (pickler != NULL) {
        return pickler;
    }
    pickler = PyMem_Malloc(sizeof(*pickler));
    if (pickler == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (pickler_init(pickler, state) < 0) {
        PyMem_Free(pickler);
        return NULL;
    }
    return pickler;
}

static void
destroy(struct pickler *pickler)
{
    if (pickler != NULL) {
        pickler_free(pickler);
        PyMem_Free(pickler);
    }
}

/* Empties the pickler of all but memory that may be kept.  Releasing the memo's references runs
   Python code, and so nested calls; `pickler` is still taken then. */
static void
empty(struct pickler *pickler)
{
    memo_clear(&pickler->memo);
    writer_trim(&pickler->writer);
    Py_CLEAR(pickler->fast_memo);
    Py_CLEAR(pickler->asked);
    save_trim_snapshots(pickler);
}

void
pickler_retire(struct pickler *pickler)
{
    struct core_state *state = pickler->state;
    struct pickler *idle = NULL;
    if (state != NULL && state->dump != NULL && state->dump->idle_pickler == NULL
        && pickler->memo.table != NULL) {
        idle = PyMem_Calloc(1, sizeof(*idle));
    }
    if (idle == NULL) {
        pickler_free(pickler);
        return;
    }
    empty(pickler);
    idle->state = state;
    move_memory(idle, pickler);
    destroy(exchange_pointer((void **)&state->dump->idle_pickler, idle));
}

static void
give_pickler(struct core_state *state, struct pickler *pickler)
{
    empty(pickler);
    destroy(exchange_pointer((void **)&state->dump->idle_pickler, pickler));
}

void
pickler_teardown(struct core_state *state)
{
    destroy(exchange_pointer((void **)&state->dump->idle_pickler, NULL));
}

/* Dumps one object with arguments that were read; a new object, or NULL.  `asked`, which is
   stolen, is the reduce value that the object's reducer returned, or NULL. */
static PyObject *
dump_once(struct core_state *state, PyObject *object, PyObject *protocol, int fix_imports,
          PyObject *buffer_callback, PyObject *file, PyObject *asked)
{
    struct pickler *pickler = take_pickler(state);
    if (pickler == NULL) {
        Py_XDECREF(asked);
        return NULL;
    }
    pickler->asked = asked;
    PyObject *result = NULL, *write = NULL;
    if (pickler_set_protocol(pickler, protocol, fix_imports) == 0
        && (file == NULL || (write = pickler_find_write(state, file)) != NULL)
        && pickler_set_buffer_callback(pickler, buffer_callback) == 0) {
        result = pickler_run(pickler, object, write);
    }
    PyObject *exception = result == NULL ? PyErr_GetRaisedException() : NULL;
    give_pickler(state, pickler);
    Py_XDECREF(write);
    if (exception != NULL) {
        PyErr_SetRaisedException(exception);
    }
    return result;
}

/* ---- dump and dumps ----------------------------------------------------- */

PyDoc_STRVAR(dumps_doc,
             "dumps($module, /, obj, protocol=None, *, fix_imports=True,\n"
             "      buffer_callback=None)\n"
             "--\n\n"
             "Return the pickle of an object as bytes, as the standard library's dumps() does.\n"
             "\n"
             "protocol is an integer up to 5; None is the running version's default, a negative\n"
             "number the highest.  With fix_imports and a protocol below 3, names of modules are\n"
             "written as Python 2 has them.  buffer_callback is called with each PickleBuffer\n"
             "(PEP 574) and returns whether its data goes into the pickle.\n"
             "\n"
             "Raises PicklingError for what cannot be pickled, and what a reducer raises.");

static PyObject *
core_dumps(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    struct core_state *state = core_state_of_module(module);
    static char *const keywords[] = {"obj", "protocol", "fix_imports", "buffer_callback", NULL};
    PyObject *object, *protocol = NULL, *buffer_callback = NULL, *pickle, *asked = NULL;
    int fix_imports = 1;
    if (likely(names == NULL && (nargs == 1 || nargs == 2))) {
        object = args[0];
        protocol = nargs == 2 ? args[1] : NULL;
    }
    else if (arguments_parse(args, nargs, names, "O|O$pO:dumps", keywords, &object, &protocol,
                             &fix_imports, &buffer_callback)
             < 0) {
        return NULL;
    }
    if (buffer_callback == NULL && save_one_object(state, object, protocol, &pickle, &asked)) {
        return pickle;
    }
    return dump_once(state, object, protocol, fix_imports, buffer_callback, NULL, asked);
}

PyDoc_STRVAR(
    dump_doc,
    "dump($module, /, obj, file, protocol=None, *, fix_imports=True,\n"
    "     buffer_callback=None)\n"
    "--\n\n"
    "Write the pickle of an object to a file, as the standard library's dump() does.\n"
    "\n"
    "file has a method write() that takes bytes.  The other arguments, and what is raised,\n"
    "are those of dumps().");

static PyObject *
core_dump(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static char *const keywords[] = {"obj", "file", "protocol", "fix_imports", "buffer_callback",
                                     NULL};
    PyObject *object, *file, *protocol = NULL, *buffer_callback = NULL;
    int fix_imports = 1;
    if (arguments_parse(args, nargs, names, "OO|O$pO:dump", keywords, &object, &file, &protocol,
                        &fix_imports, &buffer_callback)
        < 0) {
        return NULL;
    }
    return dump_once(core_state_of_module(module), object, protocol, fix_imports, buffer_callback,
                     file, NULL);
}

static PyMethodDef functions[] = {
    {"dumps", (PyCFunction)(void (*)(void))core_dumps, METH_FASTCALL | METH_KEYWORDS, dumps_doc},
    {"dump", (PyCFunction)(void (*)(void))core_dump, METH_FASTCALL | METH_KEYWORDS, dump_doc},
    {NULL, NULL, 0, NULL},
};

int
pickler_setup(PyObject *module)
{
    return core_add_functions(module, functions, "fastcopyreg.pickle");
}
