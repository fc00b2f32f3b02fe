/* Objects of the standard library's classes in Python: see make_known.h. */
#include "make_known.h"

#include "layout.h"
#include "steps_run.h"

#if KNOWN_LAYOUT

/* In the order of CONSTRUCTORS in fastcopyreg/_values.py. */
enum known_kind { KNOWN_IPV6, KNOWN_COUNTER, KNOWN_PATH, KNOWN_KINDS };

enum { SLOTS_MAX = 2 };

/* The names of the slots that are set. */
static const char *const slot_names[KNOWN_KINDS][SLOTS_MAX] = {
    [KNOWN_IPV6] = {"_scope_id", "_ip"},
    [KNOWN_PATH] = {"_raw_paths"},
};

struct known {
    enum known_kind kind;
    /* What _values.constructor() returned; strong: */
    PyObject *functions; /* which have the same globals and builtins */
    PyObject *codes;
    PyObject *names; /* of builtins */
    PyObject *builtins;
    PyObject
        *globals; /* triples: a name, the object, None or a pair of an attribute and its value */
    unsigned versions; /* of the types among the values, all taken together */
    Py_ssize_t slots[SLOTS_MAX];
};

/* ---- what must not change ----------------------------------------------- */

/* Adds the versions of the object, if it is a type, and of its type.  1, or 0 if these have none.
 */
static int
add_versions(struct core_state *state, PyObject *object, unsigned *versions)
{
    if (!PyType_Check(object)) {
        return 1;
    }
    unsigned own = type_assign_version((PyTypeObject *)object, state->str.class_);
    unsigned of_type = type_assign_version(Py_TYPE(object), state->str.class_);
    *versions = (*versions * 31 + own) * 31 + of_type;
    return own != 0 && of_type != 0;
}

/* Whether the name still leads to the object, and the object's attribute to its value. */
static int
global_holds(struct core_state *state, PyObject *function, PyObject *global, unsigned *versions)
{
    PyObject *object = PyTuple_GET_ITEM(global, 1), *pair = PyTuple_GET_ITEM(global, 2);
    if (read_global(state, function, PyTuple_GET_ITEM(global, 0)) != object) {
        return 0;
    }
    if (pair != Py_None) {
        PyObject *name = PyTuple_GET_ITEM(pair, 0), *value = PyTuple_GET_ITEM(pair, 1);
        if (!PyModule_CheckExact(object)
            || dict_get_name(PyModule_GetDict(object), name) != value) {
            PyErr_Clear();
            return 0;
        }
        object = value;
    }
    return add_versions(state, object, versions);
}

static int
globals_hold(struct core_state *state, const struct known *known, unsigned *versions)
{
    PyObject *function = PyTuple_GET_ITEM(known->functions, 0);
    *versions = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(known->names); i++) {
        if (read_global(state, function, PyTuple_GET_ITEM(known->names, i))
            != PyTuple_GET_ITEM(known->builtins, i)) {
            return 0;
        }
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(known->globals); i++) {
        if (!global_holds(state, function, PyTuple_GET_ITEM(known->globals, i), versions)) {
            return 0;
        }
    }
    return 1;
}

static int
known_holds(struct core_state *state, const struct known *known)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(known->functions); i++) {
        PyObject *code = PyTuple_GET_ITEM(known->codes, i);
        if (PyFunction_GET_CODE(PyTuple_GET_ITEM(known->functions, i)) != code
            || code_is_monitored(code)) {
            return 0;
        }
    }
    unsigned versions;
    return globals_hold(state, known, &versions) && versions == known->versions;
}

/* ---- reading ------------------------------------------------------------ */

void
known_free(struct known *known)
{
    if (known != NULL) {
        Py_XDECREF(known->functions);
        Py_XDECREF(known->codes);
        Py_XDECREF(known->names);
        Py_XDECREF(known->builtins);
        Py_XDECREF(known->globals);
        PyMem_Free(known);
    }
}

/* Finds the slots: 1, or 0 if one is missing. */
static int
find_slots(struct known *known, PyTypeObject *type)
{
    for (int i = 0; i < SLOTS_MAX && slot_names[known->kind][i] != NULL; i++) {
        PyObject *name = PyUnicode_InternFromString(slot_names[known->kind][i]);
        known->slots[i] = name == NULL ? -1 : layout_slot_offset(type, name);
        Py_XDECREF(name);
        if (known->slots[i] < 0) {
            return 0;
        }
    }
    return 1;
}

/* Whether calling the class does no more than its __new__, if it has one in Python, and __init__,
   and these get at attributes in the usual way. */
static int
is_called_as_usual(enum known_kind kind, PyTypeObject *type)
{
    return type->tp_getattro == PyObject_GenericGetAttr
           && type->tp_setattro == PyObject_GenericSetAttr
           && (kind == KNOWN_PATH
               || type->tp_new
                      == (kind == KNOWN_COUNTER ? PyDict_Type.tp_new : PyBaseObject_Type.tp_new));
}

/* Takes what _values.constructor() returned; NULL if it is of no use. */
static struct known *
take_answer(struct core_state *state, PyTypeObject *type, PyObject *answer)
{
    struct known *known = PyMem_Calloc(1, sizeof(struct known));
    int kind;
    if (known != NULL
        && PyArg_ParseTuple(answer, "iO!O!O!O!O!", &kind, &PyTuple_Type, &known->functions,
                            &PyTuple_Type, &known->codes, &PyTuple_Type, &known->names,
                            &PyTuple_Type, &known->builtins, &PyTuple_Type, &known->globals)
        && kind >= 0 && kind < KNOWN_KINDS) {
        known->kind = (enum known_kind)kind;
        Py_INCREF(known->functions);
        Py_INCREF(known->codes);
        Py_INCREF(known->names);
        Py_INCREF(known->builtins);
        Py_INCREF(known->globals);
        if (is_called_as_usual(known->kind, type) && find_slots(known, type)
            && globals_hold(state, known, &known->versions)) {
            return known;
        }
        known_free(known);
        return NULL;
    }
    PyMem_Free(known);
    return NULL;
}

struct known *
known_read(struct core_state *state, PyObject *cls)
{
    PyObject *module = PyImport_ImportModule("fastcopyreg._values");
    PyObject *answer =
        module == NULL ? NULL : PyObject_CallMethod(module, "constructor", "O", cls);
    struct known *known = answer != NULL && PyTuple_Check(answer)
                              ? take_answer(state, (PyTypeObject *)cls, answer)
                              : NULL;
    Py_XDECREF(module);
    Py_XDECREF(answer);
    PyErr_Clear();
    return known;
}

/* ---- IPv6Address -------------------------------------------------------- */

enum { GROUPS = 8, LONGEST_ADDRESS = GROUPS * 5 - 1 };

static int
hex_digit(unsigned char character)
{
    unsigned char lower = character | 0x20;
    return character >= '0' && character <= '9' ? character - '0'
           : lower >= 'a' && lower <= 'f'       ? lower - 'a' + 10
                                                : -1;
}

/* The groups up to the end or a "::"; how many there are, or -1 if it is no such text. */
static int
read_groups(const unsigned char **at, const unsigned char *end, uint16_t *groups, int most)
{
    int count = 0;
    while (*at < end) {
        int digits = 0, value = 0, digit;
        while (*at < end && (digit = hex_digit(**at)) >= 0 && digits++ < 4) {
            value = value * 16 + digit;
            ++*at;
        }
        if (digits == 0 || digits > 4 || count == most) {
            return -1;
        }
        groups[count++] = (uint16_t)value;
        if (*at == end) {
            return count;
        }
        if (**at != ':' || end - *at < 2) {
            return -1;
        }
        ++*at;
        if (**at == ':') {
            ++*at;
            return count;
        }
    }
    return count;
}

/* Reads the text of an address without scope and without dots: 1 and its groups, else 0. */
static int
read_address(const unsigned char *at, const unsigned char *end, uint16_t *groups)
{
    uint16_t low[GROUPS];
    memset(groups, 0, GROUPS * sizeof(*groups));
    int skips = end - at >= 2 && at[0] == ':' && at[1] == ':', high = 0;
    if (skips) {
        at += 2;
    }
    else {
        high = read_groups(&at, end, groups, GROUPS);
        skips = high >= 0 && at[-1] == ':';
    }
    if (high < 0 || !skips) {
        return high == GROUPS;
    }
    const unsigned char *from = at;
    int count = read_groups(&at, end, low, GROUPS);
    if (count < 0 || at != end || (at > from && at[-1] == ':') || high + count >= GROUPS) {
        return 0;
    }
    memcpy(groups + GROUPS - count, low, (size_t)count * sizeof(*low));
    return 1;
}

static enum make_outcome
make_ipv6(struct core_state *state, const struct known *known, PyTypeObject *type,
          PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    uint16_t groups[GROUPS];
    if (count != 1 || !PyUnicode_CheckExact(arguments[0])
        || !PyUnicode_IS_COMPACT_ASCII(arguments[0])) {
        return MAKE_CALL;
    }
    const unsigned char *text = PyUnicode_1BYTE_DATA(arguments[0]);
    Py_ssize_t length = PyUnicode_GET_LENGTH(arguments[0]);
    if (length < 2 || length > LONGEST_ADDRESS || !read_address(text, text + length, groups)) {
        return MAKE_CALL;
    }
    unsigned char bytes[2 * GROUPS + 1] = {0}; /* the last one is the sign */
    for (int i = 0; i < GROUPS; i++) {
        bytes[2 * i] = (unsigned char)groups[GROUPS - 1 - i];
        bytes[2 * i + 1] = (unsigned char)(groups[GROUPS - 1 - i] >> 8);
    }
    PyObject *integer = long_from_bytes(bytes, sizeof(bytes));
    PyObject *object = integer == NULL ? NULL : layout_new_instance(type, state->empty_tuple);
    if (object == NULL) {
        Py_XDECREF(integer);
        return MAKE_RAISED;
    }
    *layout_slot(object, known->slots[0]) = Py_NewRef(Py_None);
    *layout_slot(object, known->slots[1]) = integer;
    *made = object;
    return MAKE_DONE;
}

/* ---- Counter and PurePath ----------------------------------------------- */

static enum make_outcome
make_counter(struct core_state *state, PyTypeObject *type, PyObject *const *arguments,
             Py_ssize_t count, PyObject **made)
{
    if (count != 1 || !PyDict_CheckExact(arguments[0])
        || !layout_has_only_str_keys(arguments[0])) {
        return MAKE_CALL;
    }
    *made = PyDict_Type.tp_new(type, state->empty_tuple, NULL);
    if (*made == NULL || PyDict_Update(*made, arguments[0]) < 0) {
        Py_CLEAR(*made);
        return MAKE_RAISED;
    }
    return MAKE_DONE;
}

static enum make_outcome
make_path(struct core_state *state, const struct known *known, PyTypeObject *type,
          PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyUnicode_CheckExact(arguments[i])) {
            return MAKE_CALL;
        }
    }
    PyObject *paths = PyList_New(count);
    PyObject *object = paths == NULL ? NULL : layout_new_instance(type, state->empty_tuple);
    if (object == NULL) {
        Py_XDECREF(paths);
        return MAKE_RAISED;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyList_SET_ITEM(paths, i, Py_NewRef(arguments[i]));
    }
    *layout_slot(object, known->slots[0]) = paths;
    *made = object;
    return MAKE_DONE;
}

enum make_outcome
known_make(struct core_state *state, const struct known *known, PyTypeObject *type,
           PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    if (!known_holds(state, known)) {
        return MAKE_CALL;
    }
    switch (known->kind) {
    case KNOWN_IPV6: return make_ipv6(state, known, type, arguments, count, made);
    case KNOWN_COUNTER: return make_counter(state, type, arguments, count, made);
    case KNOWN_PATH: return make_path(state, known, type, arguments, count, made);
    default: return MAKE_CALL;
    }
}

#else

struct known *
known_read(struct core_state *Py_UNUSED(state), PyObject *Py_UNUSED(cls))
{
    return NULL;
}

#endif
