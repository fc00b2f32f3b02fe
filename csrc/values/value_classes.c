/* Objects of the standard library's classes in Python: see value_classes.h. */
#include "values/value_classes.h"

#include "base/helpers.h"
#include "base/layout.h"
#include "base/metaclass.h"
#include "values/enum_members.h"
#include "plans/plan_run.h"
#include "base/dictwatch.h"

/* In the order of CONSTRUCTORS in fastcopyreg/_compiler/values.py. */
enum value_class_kind {
    KNOWN_IPV6,
    KNOWN_COUNTER,
    KNOWN_PATH,
    KNOWN_IPV4,
    KNOWN_FRACTION,
    KNOWN_UUID, /* its __setstate__ */
    KNOWN_ENUM, /* any class of members; behind CONSTRUCTORS */
    KNOWN_KINDS
};

enum { SLOTS_MAX = 2 };

/* The names of the slots that are set. */
static const char *const slot_names[KNOWN_KINDS][SLOTS_MAX] = {
    [KNOWN_IPV6] = {"_scope_id", "_ip"},
    [KNOWN_PATH] = {"_raw_paths"},
    [KNOWN_IPV4] = {"_ip"},
    [KNOWN_FRACTION] = {"_numerator", "_denominator"},
    [KNOWN_UUID] = {"int", "is_safe"},
};

struct value_class {
    enum value_class_kind kind;
    /* The answer of _values.constructor(); strong: */
    PyObject *functions; /* which have the same globals and builtins */
    PyObject *codes;
    PyObject *names; /* of builtins */
    PyObject *builtins;
    PyObject
        *globals; /* triples: a name, the object, None or a pair of an attribute and its value */
    unsigned versions;           /* of the types among the values, all taken together */
    PyObject *member;            /* of UUIDs: SafeUUID.unknown, which SafeUUID holds */
    struct enum_members members; /* of enumerations */
    Py_ssize_t slots[SLOTS_MAX];
    struct dictwatch watch; /* of the dicts in which the names were found */
};

/* ---- guards ------------------------------------------------------------- */

/* The object that a global leads to: itself, or the attribute of a module; borrowed. */
static PyObject *
value_of(PyObject *global)
{
    PyObject *pair = PyTuple_GET_ITEM(global, 2);
    return pair == Py_None ? PyTuple_GET_ITEM(global, 1) : PyTuple_GET_ITEM(pair, 1);
}

/* Takes the versions of the types among the values, and of the types of these, together.  They
   only grow.  1, or 0 if one has none. */
static int
add_versions(struct core_state *state, const struct value_class *known, unsigned *versions)
{
    *versions = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(known->globals); i++) {
        PyObject *value = value_of(PyTuple_GET_ITEM(known->globals, i));
        if (PyType_Check(value)) {
            unsigned own = type_assign_version((PyTypeObject *)value, state->str.class_);
            unsigned of_type = type_assign_version(Py_TYPE(value), state->str.class_);
            if (own == 0 || of_type == 0) {
                return 0;
            }
            *versions = (*versions * 31 + own) * 31 + of_type;
        }
    }
    return 1;
}

/* True if the name still leads to the object, and the object's attribute to its value.  The dict
   in which that is, is watched. */
static int
global_holds(struct core_state *state, struct value_class *known, PyObject *global)
{
    PyObject *function = PyTuple_GET_ITEM(known->functions, 0);
    PyObject *object = PyTuple_GET_ITEM(global, 1), *pair = PyTuple_GET_ITEM(global, 2);
    if (read_global(state, function, PyTuple_GET_ITEM(global, 0)) != object) {
        return 0;
    }
    if (pair == Py_None) {
        return 1;
    }
    if (!PyModule_CheckExact(object)) {
        return 0;
    }
    PyObject *dict = PyModule_GetDict(object);
    dictwatch_add(&known->watch, dict);
    PyObject *value = dict_get_name(dict, PyTuple_GET_ITEM(pair, 0));
    PyErr_Clear();
    return value == PyTuple_GET_ITEM(pair, 1);
}

/* True if all names lead where they did, looked up.  The answer holds while the dicts are
   unchanged. */
static int
names_hold(struct core_state *state, struct value_class *known)
{
    PyObject *function = PyTuple_GET_ITEM(known->functions, 0);
    dictwatch_restart(&known->watch);
    dictwatch_add(&known->watch, ((PyFunctionObject *)function)->func_builtins);
    dictwatch_add(&known->watch, PyFunction_GET_GLOBALS(function));
    int hold = 1;
    for (Py_ssize_t i = 0; hold && i < PyTuple_GET_SIZE(known->names); i++) {
        hold = read_global(state, function, PyTuple_GET_ITEM(known->names, i))
               == PyTuple_GET_ITEM(known->builtins, i);
    }
    for (Py_ssize_t i = 0; hold && i < PyTuple_GET_SIZE(known->globals); i++) {
        hold = global_holds(state, known, PyTuple_GET_ITEM(known->globals, i));
    }
    if (hold && known->kind == KNOWN_ENUM) {
        dictwatch_add(&known->watch, known->members.by_value);
        hold = enum_members_are_plain(&known->members);
    }
    known->watch.complete &= hold;
    return hold;
}

static int
value_class_holds(struct core_state *state, struct value_class *known)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(known->functions); i++) {
        PyObject *code = PyTuple_GET_ITEM(known->codes, i);
        if (PyFunction_GET_CODE(PyTuple_GET_ITEM(known->functions, i)) != code
            || code_is_monitored(code)) {
            return 0;
        }
    }
    unsigned versions;
    if (known->kind == KNOWN_ENUM && !enum_members_afford(&known->members)
        && !dictwatch_is_unchanged(&known->watch)) {
        return 0;
    }
    return (likely(dictwatch_is_unchanged(&known->watch)) || names_hold(state, known))
           && add_versions(state, known, &versions) && versions == known->versions;
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

static enum outcome
make_ipv6(struct core_state *state, const struct value_class *known, PyTypeObject *type,
          PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    uint16_t groups[GROUPS];
    if (count != 1 || !PyUnicode_CheckExact(arguments[0])
        || !PyUnicode_IS_COMPACT_ASCII(arguments[0])) {
        return OUTCOME_BAIL;
    }
    const unsigned char *text = PyUnicode_1BYTE_DATA(arguments[0]);
    Py_ssize_t length = PyUnicode_GET_LENGTH(arguments[0]);
    if (length < 2 || length > LONGEST_ADDRESS || !read_address(text, text + length, groups)) {
        return OUTCOME_BAIL;
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
        return OUTCOME_RAISED;
    }
    *layout_slot(object, known->slots[0]) = Py_NewRef(Py_None);
    *layout_slot(object, known->slots[1]) = integer;
    *made = object;
    return OUTCOME_DONE;
}

/* ---- Counter and PurePath ----------------------------------------------- */

static enum outcome
make_counter(struct core_state *state, PyTypeObject *type, PyObject *const *arguments,
             Py_ssize_t count, PyObject **made)
{
    if (count != 1 || !PyDict_CheckExact(arguments[0])
        || !layout_has_only_str_keys(arguments[0])) {
        return OUTCOME_BAIL;
    }
    *made = PyDict_Type.tp_new(type, state->empty_tuple, NULL);
    if (*made == NULL || PyDict_Update(*made, arguments[0]) < 0) {
        Py_CLEAR(*made);
        return OUTCOME_RAISED;
    }
    return OUTCOME_DONE;
}

static enum outcome
make_path(struct core_state *state, const struct value_class *known, PyTypeObject *type,
          PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyUnicode_CheckExact(arguments[i])) {
            return OUTCOME_BAIL;
        }
    }
    PyObject *paths = PyList_New(count);
    PyObject *object = paths == NULL ? NULL : layout_new_instance(type, state->empty_tuple);
    if (object == NULL) {
        Py_XDECREF(paths);
        return OUTCOME_RAISED;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyList_SET_ITEM(paths, i, Py_NewRef(arguments[i]));
    }
    *layout_slot(object, known->slots[0]) = paths;
    *made = object;
    return OUTCOME_DONE;
}

/* ---- IPv4Address and Fraction ------------------------------------------- */

static enum outcome
make_ipv4(struct core_state *state, const struct value_class *known, PyTypeObject *type,
          PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    int64_t number;
    if (count != 1 || !PyLong_CheckExact(arguments[0]) || !long_as_small(arguments[0], &number)
        || number < 0 || number > UINT32_MAX) {
        return OUTCOME_BAIL;
    }
    *made = layout_new_instance(type, state->empty_tuple);
    if (*made == NULL) {
        return OUTCOME_RAISED;
    }
    *layout_slot(*made, known->slots[0]) = Py_NewRef(arguments[0]);
    return OUTCOME_DONE;
}

/* Of numbers that are not 0. */
static uint64_t
greatest_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* True if nobody has turned off that a Fraction is brought to lowest terms (up to 3.11). */
static int
normalizes(const struct value_class *known)
{
    PyObject *defaults = PyFunction_GET_KW_DEFAULTS(PyTuple_GET_ITEM(known->functions, 0));
    PyObject *key, *value;
    Py_ssize_t position = 0;
    if (((PyCodeObject *)PyTuple_GET_ITEM(known->codes, 0))->co_kwonlyargcount == 0) {
        return 1;
    }
    return defaults != NULL && PyDict_CheckExact(defaults) && PyDict_GET_SIZE(defaults) == 1
           && PyDict_Next(defaults, &position, &key, &value) && value == Py_True
           && PyUnicode_CheckExact(key) && PyUnicode_EqualToUTF8(key, "_normalize");
}

/* Both are divided, and so are ints of their own. */
static enum outcome
make_fraction(struct core_state *state, const struct value_class *known, PyTypeObject *type,
              PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    int64_t numerator, denominator;
    if (count != 2 || !PyLong_CheckExact(arguments[0]) || !PyLong_CheckExact(arguments[1])
        || !long_as_small(arguments[0], &numerator) || !long_as_small(arguments[1], &denominator)
        || denominator <= 0 || numerator == INT64_MIN || !normalizes(known)) {
        return OUTCOME_BAIL;
    }
    uint64_t size = (uint64_t)(numerator < 0 ? -numerator : numerator);
    int64_t divisor = (int64_t)greatest_divisor((uint64_t)denominator, size);
    PyObject *above = PyLong_FromLongLong(numerator / divisor);
    PyObject *below = PyLong_FromLongLong(denominator / divisor);
    PyObject *object =
        above == NULL || below == NULL ? NULL : layout_new_instance(type, state->empty_tuple);
    if (object == NULL) {
        Py_XDECREF(above);
        Py_XDECREF(below);
        return OUTCOME_RAISED;
    }
    *layout_slot(object, known->slots[0]) = above;
    *layout_slot(object, known->slots[1]) = below;
    *made = object;
    return OUTCOME_DONE;
}

/* ---- UUID --------------------------------------------------------------- */

int
value_class_may_set_state(PyTypeObject *type)
{
    return type->tp_dictoffset == 0 && strcmp(type->tp_name, "UUID") == 0;
}

/* Sets the state as __setstate__ does: 1, or 0 with nothing done. */
static int
set_uuid(struct core_state *state, const struct value_class *known, PyObject *object,
         PyObject *object_state)
{
    if (!layout_has_only_str_keys(object_state)) {
        return 0;
    }
    PyObject *number = PyDict_GetItemWithError(object_state, state->str.int_);
    PyObject **slot = layout_slot(object, known->slots[0]);
    PyObject **safety = layout_slot(object, known->slots[1]);
    if (number == NULL || PyDict_GET_SIZE(object_state) != 1 || *slot != NULL || *safety != NULL) {
        PyErr_Clear();
        return 0;
    }
    *slot = Py_NewRef(number);
    *safety = Py_NewRef(known->member);
    return 1;
}

static enum outcome
make_of_kind(struct core_state *state, const struct value_class *known, PyTypeObject *type,
             PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    switch (known->kind) {
    case KNOWN_IPV6: return make_ipv6(state, known, type, arguments, count, made);
    case KNOWN_COUNTER: return make_counter(state, type, arguments, count, made);
    case KNOWN_PATH: return make_path(state, known, type, arguments, count, made);
    case KNOWN_IPV4: return make_ipv4(state, known, type, arguments, count, made);
    case KNOWN_FRACTION: return make_fraction(state, known, type, arguments, count, made);
    case KNOWN_ENUM: return enum_member_find(&known->members, type, arguments, count, made);
    default: return OUTCOME_BAIL;
    }
}

/* ---- the first object --------------------------------------------------- */

/* Arguments, or a state, as a reduction gives them; strong, or NULL. */
static PyObject *
sample(const struct value_class *known)
{
    switch (known->kind) {
    case KNOWN_ENUM: return enum_members_sample(&known->members);
    case KNOWN_IPV6: return Py_BuildValue("(s)", "1:20:300::abcd");
    case KNOWN_COUNTER: return Py_BuildValue("({s:i})", "a", 2);
    case KNOWN_PATH: return Py_BuildValue("(ss)", "a", "b");
    case KNOWN_IPV4: return Py_BuildValue("(I)", 0x7f000001);
    case KNOWN_FRACTION: return Py_BuildValue("(ii)", -6, 4);
    default: return Py_BuildValue("{s:i}", "int", 5);
    }
}

/* Makes an object of the sample as is done here, and another by the class's own code.  1, or 0 if
   one of them is not made. */
static int
make_both(struct core_state *state, const struct value_class *known, PyTypeObject *type,
          PyObject *given, PyObject **ours, PyObject **theirs)
{
    if (known->kind != KNOWN_UUID) {
        *theirs = PyObject_Call((PyObject *)type, given, NULL);
        return *theirs != NULL
               && make_of_kind(state, known, type, &PyTuple_GET_ITEM(given, 0),
                               PyTuple_GET_SIZE(given), ours)
                      == OUTCOME_DONE;
    }
    *ours = layout_new_instance(type, state->empty_tuple);
    *theirs = layout_new_instance(type, state->empty_tuple);
    PyObject *none = *ours != NULL && *theirs != NULL && set_uuid(state, known, *ours, given)
                         ? PyObject_CallMethodOneArg(*theirs, state->str.setstate, given)
                         : NULL;
    Py_XDECREF(none);
    return none != NULL;
}

/* True if two objects hold the same: 1, 0, or -1 with an exception. */
static int
are_alike(const struct value_class *known, PyObject *ours, PyObject *theirs)
{
    int alike = known->kind == KNOWN_ENUM ? ours == theirs : Py_TYPE(ours) == Py_TYPE(theirs);
    if (alike && known->kind == KNOWN_COUNTER) {
        PyObject *same = PyDict_Type.tp_richcompare(ours, theirs, Py_EQ);
        alike = same == Py_True;
        Py_XDECREF(same);
    }
    for (int i = 0; alike > 0 && i < SLOTS_MAX && slot_names[known->kind][i] != NULL; i++) {
        PyObject *our = *layout_slot(ours, known->slots[i]);
        PyObject *their = *layout_slot(theirs, known->slots[i]);
        alike = their != NULL && Py_TYPE(our) == Py_TYPE(their)
                    ? PyObject_RichCompareBool(our, their, Py_EQ)
                    : 0;
    }
    return alike;
}

/* True if what is made here is what the class makes.  Runs Python code, and may leave an
   exception. */
static int
first_is_alike(struct core_state *state, const struct value_class *known, PyTypeObject *type)
{
    PyObject *given = sample(known), *ours = NULL, *theirs = NULL;
    int alike = given != NULL && make_both(state, known, type, given, &ours, &theirs)
                && are_alike(known, ours, theirs) == 1;
    Py_XDECREF(given);
    Py_XDECREF(ours);
    Py_XDECREF(theirs);
    return alike;
}

/* ---- reading ------------------------------------------------------------ */

void
value_class_free(struct value_class *known)
{
    if (known != NULL) {
        Py_XDECREF(known->functions);
        Py_XDECREF(known->codes);
        Py_XDECREF(known->names);
        Py_XDECREF(known->builtins);
        Py_XDECREF(known->globals);
        dictwatch_teardown(&known->watch);
        PyMem_Free(known);
    }
}

/* Finds the slots: 1, or 0 if one is missing. */
static int
find_value_slots(struct value_class *known, PyTypeObject *type)
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

/* True if no class behind the first one of the __mro__ has a __new__ but object. */
static int
is_made_by_object(struct core_state *state, PyTypeObject *type)
{
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(type->tp_mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, i);
        if (base != &PyBaseObject_Type
            && (base->tp_dict == NULL || dict_get_name(base->tp_dict, state->str.new) != NULL)) {
            return 0;
        }
    }
    return type->tp_init == PyBaseObject_Type.tp_init;
}

/* SafeUUID.unknown if it is read without running code, and object.__setattr__ may be called for a
   UUID, whose own one refuses. */
static int
find_slot_member(struct core_state *state, struct value_class *known, PyTypeObject *type)
{
    PyObject *safety = PyTuple_GET_SIZE(known->globals) == 1
                           ? value_of(PyTuple_GET_ITEM(known->globals, 0))
                           : NULL;
    if (safety == NULL || !PyType_Check(safety)
        || !metaclass_leaves_alone(state, (PyTypeObject *)safety)
        || type_lookup(Py_TYPE(safety), state->str.unknown) != NULL
        || PyTuple_GET_SIZE(type->tp_mro) != 2) {
        return 0;
    }
    known->member = type_lookup((PyTypeObject *)safety, state->str.unknown);
    return known->member != NULL && Py_TYPE(known->member)->tp_descr_get == NULL;
}

/* True if calling the class does no more than its __new__, if it has one in Python, and __init__,
   and these get at attributes in the usual way. */
static int
is_called_as_usual(struct core_state *state, struct value_class *known, PyTypeObject *type)
{
    if (known->kind == KNOWN_ENUM) {
        PyObject *default_names = PyTuple_GET_SIZE(known->globals) == 0
                                      ? Py_None
                                      : value_of(PyTuple_GET_ITEM(known->globals, 0));
        return enum_members_read(state, &known->members, type, known->functions, default_names);
    }
    if (type->tp_getattro != PyObject_GenericGetAttr) {
        return 0;
    }
    if (known->kind == KNOWN_UUID) {
        return find_slot_member(state, known, type);
    }
    if (type->tp_setattro != PyObject_GenericSetAttr) {
        return 0;
    }
    switch (known->kind) {
    case KNOWN_PATH: return 1;
    case KNOWN_FRACTION: return is_made_by_object(state, type);
    case KNOWN_COUNTER: return type->tp_new == PyDict_Type.tp_new;
    default: return type->tp_new == PyBaseObject_Type.tp_new;
    }
}

/* Takes what _values.constructor() returned; NULL if it is of no use. */
static struct value_class *
take_answer(struct core_state *state, PyTypeObject *type, PyObject *answer)
{
    struct value_class *known = PyMem_Calloc(1, sizeof(struct value_class));
    int kind;
    if (known != NULL
        && PyArg_ParseTuple(answer, "iO!O!O!O!O!", &kind, &PyTuple_Type, &known->functions,
                            &PyTuple_Type, &known->codes, &PyTuple_Type, &known->names,
                            &PyTuple_Type, &known->builtins, &PyTuple_Type, &known->globals)
        && kind >= 0 && kind < KNOWN_KINDS) {
        known->kind = (enum value_class_kind)kind;
        Py_INCREF(known->functions);
        Py_INCREF(known->codes);
        Py_INCREF(known->names);
        Py_INCREF(known->builtins);
        Py_INCREF(known->globals);
        dictwatch_setup(&known->watch);
        if (is_called_as_usual(state, known, type) && find_value_slots(known, type)
            && names_hold(state, known) && add_versions(state, known, &known->versions)
            && first_is_alike(state, known, type)) {
            return known;
        }
        value_class_free(known);
        return NULL;
    }
    PyMem_Free(known);
    return NULL;
}

int
value_class_read(struct core_state *state, PyObject *cls, struct value_class **known)
{
    PyObject *answer;
    int asked = helper_ask(state, HELPER_VALUES, "constructor", &cls, 1, &answer);
    *known = asked > 0 && PyTuple_Check(answer) ? take_answer(state, (PyTypeObject *)cls, answer)
                                                : NULL;
    Py_XDECREF(answer);
    if (asked > 0 && PyErr_Occurred()) {
        asked = helper_drop_failure(state) ? 0 : -1;
    }
    if (asked < 0) {
        value_class_free(*known);
        *known = NULL;
        return -1;
    }
    return 0;
}

/* ------------------------------------------------------------------------- */

enum outcome
value_class_construct(struct core_state *state, struct value_class *known, PyTypeObject *type,
                      PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    return value_class_holds(state, known)
               ? make_of_kind(state, known, type, arguments, count, made)
               : OUTCOME_BAIL;
}

int
value_class_set_state(struct core_state *state, struct value_class *known, PyObject *object,
                      PyObject *object_state)
{
    return known->kind == KNOWN_UUID && value_class_holds(state, known)
           && set_uuid(state, known, object, object_state);
}
