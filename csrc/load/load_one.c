/* A pickle that is one call with atoms, one instance with a state of atoms, or one dict of atoms:
   see load_one.h. */
#include "load/load_one.h"

#include "load/load_atoms.h"
#include "load/load_names.h"
#include "load/load_state.h"
#include "load/load_template.h"
#include "types/rebuild.h"
#include "load/safe.h"
#include "load/load_build.h"

enum {
    LONGEST = 1024, /* bytes of such a pickle */
    ARGUMENTS = 16,
    HEAD = 2 + FRAME_HEADER_SIZE, /* PROTO, FRAME */
    LONGEST_NUMBER = HEAD + 10,   /* a pickle of one, with STOP */
    LEAST_REST = 7,               /* behind the names: ends of a global and a call of nothing */
    ATTRIBUTES = 16
};

/* Where the parts of the pickle are. */
struct one_call {
    const unsigned char *module_name; /* up to the end of the name */
    size_t size, module_size, name_size;
    const unsigned char *arguments;
    int count;
    /* Of an instance: its state is a dict, or of slots; the keys, and where each value is. */
    int is_instance, in_slots;
    struct key_bytes keys[ATTRIBUTES];
    const unsigned char *values[ATTRIBUTES];
};

/* The size of the atom at hand with its MEMOIZE, if it has one; 0 if it is none, or not all there,
   or one that is not made in a moment. */
ALWAYS_INLINE size_t
atom_size(const unsigned char *at, const unsigned char *end)
{
    size_t size;
    switch (*at) {
    case OP_NONE:
    case OP_NEWTRUE:
    case OP_NEWFALSE: return 1;
    case OP_BININT1: return 2;
    case OP_BININT2: return 3;
    case OP_BININT: return 5;
    case OP_BINFLOAT: return 9;
    case OP_SHORT_BINUNICODE:
        size = at[1];
        return (size_t)(end - at) > size + 2 && at[size + 2] == OP_MEMOIZE
                       && load_is_ascii(at + 2, size)
                   ? size + 3
                   : 0;
    default: return 0;
    }
}

/* True if the pickle ends as a call of so many arguments does; `at` is behind them, with four
   bytes or more behind it. */
ALWAYS_INLINE int
ends_call(const unsigned char *at, const unsigned char *end, int marked, int count)
{
    static const unsigned char takers[] = {OP_EMPTY_TUPLE, OP_TUPLE1, OP_TUPLE2, OP_TUPLE3};
    if (marked ? *at != OP_TUPLE : count > 3 || *at != takers[count]) {
        return 0;
    }
    if (*at++ != OP_EMPTY_TUPLE && *at++ != OP_MEMOIZE) {
        return 0;
    }
    return end - at == 3 && at[0] == OP_REDUCE && at[1] == OP_MEMOIZE && at[2] == OP_STOP;
}

/* Passes the arguments.  True if nothing but the end of the call follows. */
static int
find_arguments(struct one_call *call, const unsigned char *at, const unsigned char *end)
{
    int marked = *at == OP_MARK;
    at += marked;
    call->arguments = at;
    for (call->count = 0; call->count < ARGUMENTS && end - at > 4; call->count++) {
        size_t size = atom_size(at, end);
        if (size == 0 || (size_t)(end - at) < size) {
            break;
        }
        at += size;
    }
    return end - at >= 4 && ends_call(at, end, marked, call->count);
}

/* Passes a key, which is followed by its value; or NULL. */
ALWAYS_INLINE const unsigned char *
pass_key(struct key_bytes *key, const unsigned char *at, const unsigned char *end)
{
    size_t size = *at == OP_SHORT_BINUNICODE ? atom_size(at, end) : 0;
    if (size < 4 || (size_t)(end - at) < size + 3) {
        return NULL;
    }
    *key = (struct key_bytes){at + 2, size - 3};
    return at + size;
}

/* Passes the items of a dict of atoms, behind the EMPTY_DICT at hand, with 8 bytes or more behind
   it, and SETITEMS.  The place behind them, or NULL. */
static const unsigned char *
find_items(struct one_call *call, const unsigned char *at, const unsigned char *end)
{
    if (at[0] != OP_EMPTY_DICT || at[1] != OP_MEMOIZE) {
        return NULL;
    }
    int marked = at[2] == OP_MARK;
    at += 2 + marked;
    for (call->count = 0; call->count < ATTRIBUTES && end - at > 6; call->count++) {
        const unsigned char *value = pass_key(&call->keys[call->count], at, end);
        size_t size = value == NULL ? 0 : atom_size(value, end);
        if (size == 0 || (size_t)(end - value) < size + 2) {
            break;
        }
        call->values[call->count] = value;
        at = value + size;
    }
    if (call->count == 0 || (marked ? *at != OP_SETITEMS : call->count > 1 || *at != OP_SETITEM)) {
        return NULL;
    }
    return at + 1;
}

/* Passes the state of an instance.  True if nothing but the opcodes that store it follow. */
static int
pass_state(struct one_call *call, const unsigned char *at, const unsigned char *end)
{
    static const unsigned char head[] = {OP_EMPTY_TUPLE, OP_NEWOBJ, OP_MEMOIZE};
    static const unsigned char stores[] = {OP_BUILD, OP_STOP},
                               stores_slots[] = {OP_TUPLE2, OP_MEMOIZE, OP_BUILD, OP_STOP};
    if (end - at < 16 || memcmp(at, head, sizeof(head)) != 0) {
        return 0;
    }
    at += sizeof(head);
    call->is_instance = 1;
    call->in_slots = *at == OP_NONE;
    at = find_items(call, at + call->in_slots, end);
    if (at == NULL) {
        return 0;
    }
    return call->in_slots ? end - at == sizeof(stores_slots)
                                && memcmp(at, stores_slots, sizeof(stores_slots)) == 0
                          : end - at == sizeof(stores) && memcmp(at, stores, sizeof(stores)) == 0;
}

/* True if the pickle begins with PROTO and FRAME. */
ALWAYS_INLINE int
has_head(const unsigned char *at, size_t size)
{
    return size <= LONGEST && size >= HEAD + 2 + LEAST_REST && at[0] == OP_PROTO && at[1] >= 4
           && at[1] <= HIGHEST_PROTOCOL && at[2] == OP_FRAME
           && read_little_endian(at + 3, 8) == size - HEAD;
}

/* Passes the global and the parts behind it. */
static int
find_parts(struct one_call *call, const unsigned char *at, size_t size)
{
    const unsigned char *end = at + size;
    if (at[HEAD] != OP_SHORT_BINUNICODE) {
        return 0;
    }
    call->module_name = at + HEAD + 2;
    call->module_size = at[HEAD + 1];
    if ((size_t)(end - call->module_name) < call->module_size + LEAST_REST) {
        return 0;
    }
    at = call->module_name + call->module_size;
    call->name_size = at[2];
    call->size = call->module_size + 3 + call->name_size;
    if (at[0] != OP_MEMOIZE || at[1] != OP_SHORT_BINUNICODE
        || (size_t)(end - call->module_name) < call->size + LEAST_REST || call->module_size == 0
        || call->name_size == 0) {
        return 0;
    }
    at = call->module_name + call->size;
    return at[0] == OP_MEMOIZE && at[1] == OP_STACK_GLOBAL && at[2] == OP_MEMOIZE
           && (find_arguments(call, at + 3, end) || pass_state(call, at + 3, end));
}

static void
drop_call_arguments(PyObject **arguments, int count)
{
    while (count-- > 0) {
        Py_DECREF(arguments[count]);
    }
}

/* callable(*arguments); strong, or NULL with an exception.  Runs Python code. */
static PyObject *
call_with_atoms(struct core_state *state, PyObject *policy, const struct one_call *call,
                PyObject *callable)
{
    PyObject *values[1 + ARGUMENTS] = {callable}, **arguments = values + 1, *object = NULL;
    const unsigned char *at = call->arguments;
    int made = 0;
    while (made < call->count && (arguments[made] = load_make_atom(state, &at)) != NULL) {
        made++;
    }
    if (policy != NULL && made == call->count
        && !safe_matches_one((PolicyObject *)policy, callable, arguments, made)) {
        drop_call_arguments(arguments, made);
        return NULL;
    }
    enum outcome outcome = made < call->count
                               ? OUTCOME_RAISED
                               : construct_taking(state, callable, arguments, made, &object);
    if (likely(outcome == OUTCOME_TAKEN)) {
        return object;
    }
    if (outcome == OUTCOME_BAIL
        && rebuild_make(state, callable, arguments, made, &object) == OUTCOME_BAIL) {
        object = PyObject_Vectorcall(callable, arguments,
                                     (size_t)made | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    drop_call_arguments(arguments, made);
    return object;
}

/* The state as BUILD takes it; strong, or NULL with an exception. */
static PyObject *
make_state(struct core_state *state, const struct one_call *call, PyObject **pairs)
{
    PyObject *dict = PyDict_New();
    for (int i = 0; dict != NULL && i < call->count; i++) {
        PyObject *key = load_make_string(state, call->keys[i].bytes, call->keys[i].size);
        if (key == NULL || PyDict_SetItem(dict, key, pairs[2 * i + 1]) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(key);
    }
    if (dict != NULL && call->in_slots) {
        Py_SETREF(dict, PyTuple_Pack(2, Py_None, dict));
    }
    return dict;
}

/* Calls BUILD with the values, which are released.  0 or -1.  Runs Python code. */
static int
build_slowly(struct core_state *state, const struct one_call *call, PyObject *object,
             PyObject **pairs)
{
    PyObject *object_state = make_state(state, call, pairs);
    for (int i = 0; i < call->count; i++) {
        Py_DECREF(pairs[2 * i + 1]);
    }
    struct key_bounds bounds = {0};
    int result =
        object_state == NULL ? -1 : load_build_state(state, &bounds, NULL, object, object_state);
    Py_XDECREF(object_state);
    return result;
}

/* Gives a fresh instance its state.  0 or -1.  Runs Python code. */
static int
give_state(struct core_state *state, const struct one_call *call, PyObject *object)
{
    PyObject *pairs[2 * ATTRIBUTES];
    int made = 0, stored = -1;
    while (made < call->count) {
        const unsigned char *at = call->values[made];
        pairs[2 * made] = NULL;
        pairs[2 * made + 1] = load_make_atom(state, &at);
        if (pairs[2 * made + 1] == NULL) {
            break;
        }
        made++;
    }
    if (made == call->count) {
        stored = load_store_one(state, object, call->in_slots, call->keys, pairs, made);
    }
    if (stored == 0) {
        return build_slowly(state, call, object, pairs);
    }
    while (stored < 0 && made-- > 0) {
        Py_DECREF(pairs[2 * made + 1]);
    }
    return stored < 0 ? -1 : 0;
}

/* An instance of the class with the state; strong, or NULL with an exception.  Runs Python code.
 */
static PyObject *
make_instance(struct core_state *state, const struct one_call *call, PyObject *cls)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    PyObject *object = PyType_Check(cls) && type->tp_new == PyBaseObject_Type.tp_new
                               && !PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)
                           ? rebuild_allocate(state, type)
                           : load_make_new(state, cls, state->empty_tuple, NULL);
    if (object != NULL && give_state(state, call, object) < 0) {
        Py_CLEAR(object);
    }
    return object;
}

/* Releases the keys and values that were made. */
static void
drop_pairs(PyObject **pairs, int count)
{
    while (count-- > 0) {
        Py_DECREF(pairs[2 * count]);
        Py_DECREF(pairs[2 * count + 1]);
    }
}

/* Makes all keys and values.  0, or -1 with an exception and nothing made. */
static int
make_pairs(struct core_state *state, const struct one_call *call, PyObject **pairs)
{
    for (int i = 0; i < call->count; i++) {
        const unsigned char *at = call->values[i];
        pairs[2 * i] = load_make_string(state, call->keys[i].bytes, call->keys[i].size);
        if (pairs[2 * i] == NULL) {
            drop_pairs(pairs, i);
            return -1;
        }
        pairs[2 * i + 1] = load_make_atom(state, &at);
        if (pairs[2 * i + 1] == NULL) {
            Py_DECREF(pairs[2 * i]);
            drop_pairs(pairs, i);
            return -1;
        }
    }
    return 0;
}

/* A dict of the items; strong, or NULL with an exception. */
static PyObject *
make_dict(struct core_state *state, const struct one_call *call)
{
    PyObject *pairs[2 * ATTRIBUTES], *dict = PyDict_New();
    if (dict == NULL || make_pairs(state, call, pairs) < 0) {
        Py_XDECREF(dict);
        return NULL;
    }
    int filled = load_fill_by_kept(state, dict, pairs, call->count);
    if (filled > 0) {
        return dict;
    }
    for (int i = 0; filled == 0 && i < call->count; i++) {
        filled = PyDict_SetItem(dict, pairs[2 * i], pairs[2 * i + 1]);
    }
    drop_pairs(pairs, call->count);
    if (filled < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

/* True if this is a class whose instances find attributes where they lie. */
static int
finds_attributes_as_usual(PyObject *cls)
{
    return PyType_Check(cls) && ((PyTypeObject *)cls)->tp_getattro == PyObject_GenericGetAttr;
}

/* The callable as a policy has it, if the policy allows all that the pickle wants but for the
   arguments; strong, or NULL, with an exception or because the machine is to refuse it.  Runs
   Python code. */
static PyObject *
find_allowed(PyObject *policy, const struct one_call *call)
{
    const struct safe_entry *entry = safe_find_one((PolicyObject *)policy, call->module_name,
                                                   call->size, call->module_size, call->name_size);
    if (entry == NULL
        || (call->is_instance
            && (entry->make.count != FORMS_ANY || (entry->flags & SAFE_TAKES_STATE) == 0
                || !finds_attributes_as_usual(entry->object)))) {
        return NULL;
    }
    for (int i = 0; call->is_instance && i < call->count; i++) {
        const struct key_bytes *key = &call->keys[i];
        if (key->size >= 4 && memcmp(key->bytes, "__", 2) == 0) {
            return NULL;
        }
    }
    return PySys_Audit("pickle.find_class", "OO", entry->module_name, entry->name) < 0
               ? NULL
               : Py_NewRef(entry->object);
}

/* The same as load_one(), where there is a policy. */
static int
load_allowed(struct core_state *state, PyObject *policy, const struct one_call *call,
             PyObject **object)
{
    PyObject *callable = find_allowed(policy, call);
    *object = NULL;
    if (callable != NULL) {
        *object = call->is_instance ? make_instance(state, call, callable)
                                    : call_with_atoms(state, policy, call, callable);
        Py_DECREF(callable);
    }
    return *object != NULL || PyErr_Occurred();
}

int
load_atom(struct core_state *state, PyObject *bytes, PyObject **object)
{
    const unsigned char *begin = (const unsigned char *)PyBytes_AS_STRING(bytes);
    size_t size = (size_t)PyBytes_GET_SIZE(bytes);
    if (size < 4 || size > LONGEST || (size > LONGEST_NUMBER && begin[size - 2] != OP_MEMOIZE)) {
        return 0;
    }
    const unsigned char *at = begin + (begin[2] == OP_FRAME && size > HEAD ? HEAD : 2);
    size_t atom = atom_size(at, begin + size), head = (size_t)(at - begin);
    if (likely(atom == 0) || size - head != atom + 1 || begin[size - 1] != OP_STOP
        || begin[0] != OP_PROTO || begin[1] > HIGHEST_PROTOCOL
        || (head == HEAD && read_little_endian(begin + 3, 8) != size - HEAD)) {
        return 0;
    }
    *object = load_make_atom(state, &at);
    return 1;
}

int
load_one(struct core_state *state, PyObject *policy, const unsigned char *at, size_t size,
         PyObject **object)
{
    struct one_call call;
    call.is_instance = 0;
    if (!has_head(at, size)) {
        return 0;
    }
    if (at[HEAD] == OP_EMPTY_DICT) {
        const unsigned char *end = at + size, *rest = find_items(&call, at + HEAD, end);
        if (rest == NULL || end - rest != 1 || *rest != OP_STOP
            || (policy != NULL && !((PolicyObject *)policy)->allows_small)) {
            return 0;
        }
        *object = make_dict(state, &call);
        return 1;
    }
    if (!find_parts(&call, at, size)) {
        return 0;
    }
    if (unlikely(policy != NULL)) {
        return load_allowed(state, policy, &call, object);
    }
    struct global_names *names =
        load_names_seen(state, call.module_name, call.size, call.module_size, call.name_size);
    if (names == NULL) {
        PyErr_Clear();
        return 0;
    }
    PyObject *callable = load_find_seen(state, HIGHEST_PROTOCOL, names);
    *object = callable == NULL   ? NULL
              : call.is_instance ? make_instance(state, &call, callable)
                                 : call_with_atoms(state, NULL, &call, callable);
    Py_XDECREF(callable);
    return 1;
}
