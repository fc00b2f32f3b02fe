/* Values of the standard library: see values.h. */
#include "values/values.h"

#include "base/namecache.h"
#include "base/metaclass.h"
#include "values/room.h"
#include "plans/plan_run.h"
#include "base/layout.h"

PyDoc_STRVAR(reads_values_doc,
             "reads_values($module, type, /)\n"
             "--\n\n"
             "Return whether objects of exactly this type are read where they lie, by a row for\n"
             "values of the standard library that was not found to differ from their reducer.");

/* A bool.  Runs no Python code. */
static PyObject *
core_reads_values(PyObject *module, PyObject *type)
{
    struct core_state *state = core_state_of_module(module);
    const struct value *value =
        PyType_Check(type) ? values_find(state, (PyTypeObject *)type) : NULL;
    return PyBool_FromLong(value != NULL && *values_status(state, value) != VALUE_OFF);
}

static PyMethodDef functions[] = {
    {"reads_values", core_reads_values, METH_O, reads_values_doc},
    {NULL, NULL, 0, NULL},
};

#define _PY_DATETIME_IMPL
#include <datetime.h>

/* ---- structs that no header shows; their sizes are compared with the types' --- */

struct timezone_object {
    PyObject_HEAD PyObject *offset;
    PyObject *name;
};

struct range_object {
    PyObject_HEAD PyObject *start;
    PyObject *stop;
    PyObject *step;
    PyObject *length;
};

struct namespace_object {
    PyObject_HEAD PyObject *dict;
};

/* ---- parts -------------------------------------------------------------- */

static struct value_part *
add_part(struct value_parts *parts, enum value_kind kind)
{
    struct value_part *part = &parts->list[parts->count++];
    part->kind = kind;
    return part;
}

/* True if writing it takes a few bytes, and nothing but them. */
static int
is_plain(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyLong_Type) {
        return long_is_short(object);
    }
    if (type == &PyUnicode_Type) {
        return PyUnicode_IS_COMPACT_ASCII(object) && PyUnicode_GET_LENGTH(object) <= VALUE_LENGTH;
    }
    return object == Py_None || type == &PyFloat_Type;
}

static void
add_object(struct value_parts *parts, PyObject *object)
{
    add_part(parts, VALUE_OBJECT)->is.object = object;
    parts->plain &= is_plain(object);
}

static void
add_data(struct value_parts *parts, enum value_kind kind, const char *data, Py_ssize_t size)
{
    struct value_part *part = add_part(parts, kind);
    part->is.data = data;
    part->size = size;
}

static void
add_number(struct value_parts *parts, int64_t number)
{
    add_part(parts, VALUE_NUMBER)->is.number = number;
}

/* ---- datetime ----------------------------------------------------------- */

/* From protocol 4 on, the first bit of a byte says fold=1. */
enum { FOLD = 0x80, FOLD_OF_DATETIME = 2, FOLD_OF_TIME = 0 };

static void
add_packed(struct value_parts *parts, const unsigned char *data, size_t size, int fold_at)
{
    memcpy(parts->text, data, size);
    if (fold_at >= 0) {
        parts->text[fold_at] = (char)(unsigned char)(data[fold_at] | FOLD);
    }
    add_data(parts, VALUE_BYTES, parts->text, (Py_ssize_t)size);
}

static int
read_datetime(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    PyDateTime_DateTime *datetime = (PyDateTime_DateTime *)object;
    add_packed(parts, datetime->data, sizeof(datetime->data),
               datetime->fold ? FOLD_OF_DATETIME : -1);
    if (datetime->hastzinfo && datetime->tzinfo != Py_None) {
        add_object(parts, datetime->tzinfo);
    }
    return 1;
}

static int
read_date(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    PyDateTime_Date *date = (PyDateTime_Date *)object;
    add_packed(parts, date->data, sizeof(date->data), -1);
    return 1;
}

static int
read_time(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    PyDateTime_Time *time = (PyDateTime_Time *)object;
    add_packed(parts, time->data, sizeof(time->data), time->fold ? FOLD_OF_TIME : -1);
    if (time->hastzinfo && time->tzinfo != Py_None) {
        add_object(parts, time->tzinfo);
    }
    return 1;
}

static int
read_timedelta(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    PyDateTime_Delta *delta = (PyDateTime_Delta *)object;
    add_number(parts, delta->days);
    add_number(parts, delta->seconds);
    add_number(parts, delta->microseconds);
    return 1;
}

static int
read_timezone(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    struct timezone_object *timezone = (struct timezone_object *)object;
    add_object(parts, timezone->offset);
    if (timezone->name != NULL) {
        add_object(parts, timezone->name);
    }
    return 1;
}

/* ---- numbers ------------------------------------------------------------ */

/* The result of str() depends on the context of the thread, which is asked for it.  The context
   may have to be made: no collection of garbage may happen here. */
static int
read_decimal(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    int collects = collector_hold();
    PyObject *text = Py_TYPE(object)->tp_str(object);
    collector_resume(collects);
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    parts->made = text;
    if (!PyUnicode_IS_COMPACT_ASCII(text) || size > VALUE_LENGTH) {
        values_release(parts);
        return 0;
    }
    if (size > 1) {
        add_data(parts, VALUE_TEXT, (const char *)PyUnicode_1BYTE_DATA(text), size);
        return 1;
    }
    /* There is one object for each character, which outlives this reference. */
    add_object(parts, text);
    return Py_REFCNT(text) > 1;
}

static void
add_real(struct value_parts *parts, double real)
{
    add_part(parts, VALUE_REAL)->is.real = real;
}

static int
read_complex(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    Py_complex number = ((PyComplexObject *)object)->cval;
    add_real(parts, number.real);
    add_real(parts, number.imag);
    return 1;
}

static int
read_range(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    struct range_object *range = (struct range_object *)object;
    add_object(parts, range->start);
    add_object(parts, range->stop);
    add_object(parts, range->step);
    return 1;
}

static int
read_slice(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    PySliceObject *slice = (PySliceObject *)object;
    add_object(parts, slice->start);
    add_object(parts, slice->stop);
    add_object(parts, slice->step);
    return 1;
}

/* ---- containers --------------------------------------------------------- */

static int
read_namespace(struct core_state *Py_UNUSED(state), PyObject *object,
               struct value_parts *Py_UNUSED(parts))
{
    return ((struct namespace_object *)object)->dict != NULL;
}

/* An attribute of an OrderedDict is a part of its state, or a method. */
static int
read_ordered_dict(struct core_state *Py_UNUSED(state), PyObject *object,
                  struct value_parts *Py_UNUSED(parts))
{
    PyObject *dict = layout_find_dict(object, Py_TYPE(object));
    return dict == NULL || (PyDict_CheckExact(dict) && PyDict_GET_SIZE(dict) == 0);
}

static int
read_defaultdict(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    PyObject *factory = ((struct layout_defaultdict *)object)->default_factory;
    if (factory != NULL && factory != Py_None) {
        add_object(parts, factory);
    }
    return 1;
}

/* The attribute is None or the number. */
static int
read_deque(struct core_state *state, PyObject *object, struct value_parts *parts)
{
    PyObject *length = PyObject_GenericGetAttr(object, state->str.maxlen);
    if (length == NULL) {
        PyErr_Clear();
        return 0;
    }
    int64_t number = -1;
    int known = length == Py_None || long_as_small(length, &number);
    if (length != Py_None) {
        add_part(parts, VALUE_EMPTY);
        add_number(parts, number);
    }
    Py_DECREF(length);
    return known;
}

/* ---- exceptions --------------------------------------------------------- */

/* True if objects of the type come apart by BaseException.__reduce__, by way of object's
   __reduce_ex__. */
static int
is_plain_exception(struct core_state *state, PyTypeObject *type)
{
    PyTypeObject *base = (PyTypeObject *)PyExc_BaseException;
    PyObject *reduce_ex = state->str.reduce_ex, *reduce = state->str.reduce;
    return PyType_HasFeature(type, Py_TPFLAGS_BASE_EXC_SUBCLASS)
           && metaclass_leaves_alone(state, type) && type->tp_getattro == PyObject_GenericGetAttr
           && type->tp_dictoffset == base->tp_dictoffset
           && type_lookup(type, reduce_ex) == type_lookup(&PyBaseObject_Type, reduce_ex)
           && type_lookup(type, reduce) == type_lookup(base, reduce);
}

/* The arguments are the object's own tuple.  No attribute may shadow a method. */
static int
read_exception(struct core_state *state, PyObject *object, struct value_parts *parts)
{
    PyBaseExceptionObject *exception = (PyBaseExceptionObject *)object;
    PyObject *args = exception->args, *dict = exception->dict;
    if (args == NULL || !PyTuple_CheckExact(args)) {
        return 0;
    }
    add_object(parts, args);
    return dict == NULL
           || (PyDict_CheckExact(dict) && layout_has_only_str_keys(dict)
               && PyDict_GetItemWithError(dict, state->str.reduce_ex) == NULL
               && PyDict_GetItemWithError(dict, state->str.reduce) == NULL);
}

/* ---- types of Python ---------------------------------------------------- */

/* A slot of the object; borrowed, or NULL. */
static PyObject *
read_slot(PyObject *object, PyObject *name)
{
    Py_ssize_t offset = layout_slot_offset(Py_TYPE(object), name);
    return offset < 0 ? NULL : *layout_slot(object, offset);
}

/* The member of an enumeration; borrowed, or NULL. */
static PyObject *
read_enum_member(struct core_state *state, PyTypeObject *type, PyObject *name)
{
    if (!DESCRIBES_MEMBERS) {
        return type_lookup(type, name);
    }
    PyObject *map = type_lookup(type, state->str.member_map);
    return map != NULL && PyDict_CheckExact(map) && layout_has_only_str_keys(map)
               ? PyDict_GetItemWithError(map, name)
               : NULL;
}

/* Nothing is said of whether it is safe if that is not known. */
static int
read_uuid(struct core_state *state, PyObject *object, struct value_parts *parts)
{
    PyObject *number = read_slot(object, state->str.int_);
    PyObject *safe = read_slot(object, state->str.is_safe);
    PyObject *method = type_lookup(Py_TYPE(object), state->str.getstate);
    if (number == NULL || safe == NULL || !PyLong_CheckExact(number) || method == NULL
        || !PyFunction_Check(method)) {
        return 0;
    }
    PyObject *safety = read_global(state, method, state->str.safe_uuid);
    /* Members are compared. */
    if (safety == NULL || !PyType_Check(safety)
        || ((PyTypeObject *)safety)->tp_richcompare != PyBaseObject_Type.tp_richcompare
        || read_enum_member(state, (PyTypeObject *)safety, state->str.unknown) != safe) {
        return 0;
    }
    add_object(parts, number);
    return 1;
}

/* The parts from which the path was made, which its list alone holds. */
static int
read_path(struct core_state *state, PyObject *object, struct value_parts *parts)
{
    PyObject *list = read_slot(object, state->str.raw_paths);
    if (list == NULL || !PyList_CheckExact(list) || !has_one_reference(list)
        || PyList_GET_SIZE(list) > VALUE_PARTS) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        add_object(parts, PyList_GET_ITEM(list, i));
    }
    return parts->plain;
}

/* The most items of a copy, which is written where no frame can end. */
enum { COPIED_ITEMS = 64 };

/* A small Counter of plain things, without attributes, which could shadow a method. */
static int
read_counter(struct core_state *Py_UNUSED(state), PyObject *object, struct value_parts *parts)
{
    PyTypeObject *type = Py_TYPE(object);
    struct layout_values *values = layout_unmade_values(object, type);
    PyObject *dict = layout_find_dict(object, type), *key, *value;
    if ((values != NULL && layout_values_count(values) != 0)
        || (dict != NULL && (!PyDict_CheckExact(dict) || PyDict_GET_SIZE(dict) != 0))
        || PyDict_GET_SIZE(object) > COPIED_ITEMS) {
        return 0;
    }
    parts->items = 2 * (int)PyDict_GET_SIZE(object);
    for (Py_ssize_t i = 0; PyDict_Next(object, &i, &key, &value);) {
        if (!is_plain(key) || !is_plain(value)) {
            return 0;
        }
    }
    return 1;
}

enum { IPV6_BYTES = 16, IPV6_GROUPS = 8 };

/* The longest run of zeros, the first of them: its end, and its beginning in *begin. */
static int
find_zeros(const unsigned *groups, int *begin)
{
    int best = 0, run = 0;
    *begin = 0;
    for (int i = 0; i < IPV6_GROUPS; i++) {
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            *begin = i + 1 - run;
        }
    }
    return *begin + best;
}

/* A group without leading zeros.  The place behind it. */
static char *
format_group(unsigned group, char *text)
{
    static const char digits[] = "0123456789abcdef";
    int shift = group > 0xFFF ? 12 : group > 0xFF ? 8 : group > 0xF ? 4 : 0;
    for (; shift >= 0; shift -= 4) {
        *text++ = digits[group >> shift & 0xF];
    }
    return text;
}

/* Groups in hexadecimal, the longest run of two or more zeros left out.  The size. */
static Py_ssize_t
format_ipv6(const unsigned *groups, char *text)
{
    char *out = text;
    int begin, end = find_zeros(groups, &begin);
    if (end - begin < 2) {
        begin = end = -1;
    }
    for (int i = 0; i < IPV6_GROUPS; i++) {
        if (i == begin) {
            *out++ = ':';
            *out++ = ':';
            i = end - 1;
            continue;
        }
        if (i != 0 && i != end) {
            *out++ = ':';
        }
        out = format_group(groups[i], out);
    }
    return out - text;
}

/* An address that is no IPv4 address in disguise and has no scope. */
static int
read_ipv6(struct core_state *state, PyObject *object, struct value_parts *parts)
{
    PyObject *number = read_slot(object, state->str.ip);
    PyObject *scope = read_slot(object, state->str.scope_id);
    unsigned char bytes[IPV6_BYTES + 1];
    unsigned groups[IPV6_GROUPS], high = 0;
    if (number == NULL || scope != Py_None || !PyLong_CheckExact(number)
        || long_byte_count(number) > (Py_ssize_t)sizeof(bytes)
        || long_to_bytes(number, bytes, sizeof(bytes)) < 0 || bytes[IPV6_BYTES] != 0) {
        PyErr_Clear();
        return 0;
    }
    for (int i = 0; i < IPV6_GROUPS; i++) {
        const unsigned char *group = bytes + IPV6_BYTES - 2 - 2 * i;
        groups[i] = group[0] | (unsigned)group[1] << 8;
        high |= i < 5 ? groups[i] : 0;
    }
    if (high == 0 && groups[5] == 0xFFFF) {
        return 0;
    }
    add_data(parts, VALUE_TEXT, parts->text, format_ipv6(groups, parts->text));
    return 1;
}

/* ---- the rows ----------------------------------------------------------- */

enum { ROW_OF_EXCEPTIONS };

static const struct value rows[] = {
    {.type_name = "BaseException",
     .module = "builtins",
     .name = "BaseException",
     .size = sizeof(PyBaseExceptionObject),
     .read = read_exception,
     .contents = CONTENTS_EXCEPTION},
    {.type_name = "datetime.datetime",
     .module = "_datetime",
     .name = "datetime",
     .size = sizeof(PyDateTime_DateTime),
     .read = read_datetime},
    {.type_name = "datetime.date",
     .module = "_datetime",
     .name = "date",
     .size = sizeof(PyDateTime_Date),
     .read = read_date},
    {.type_name = "datetime.time",
     .module = "_datetime",
     .name = "time",
     .size = sizeof(PyDateTime_Time),
     .read = read_time},
    {.type_name = "datetime.timedelta",
     .module = "_datetime",
     .name = "timedelta",
     .size = sizeof(PyDateTime_Delta),
     .read = read_timedelta},
    {.type_name = "datetime.timezone",
     .module = "_datetime",
     .name = "timezone",
     .size = sizeof(struct timezone_object),
     .read = read_timezone},
    {.type_name = "decimal.Decimal",
     .module = "_decimal",
     .name = "Decimal",
     .read = read_decimal},
    {.type_name = "complex",
     .module = "builtins",
     .name = "complex",
     .size = sizeof(PyComplexObject),
     .read = read_complex,
     .registered = 1},
    {.type_name = "range",
     .module = "builtins",
     .name = "range",
     .size = sizeof(struct range_object),
     .read = read_range},
    {.type_name = "slice",
     .module = "builtins",
     .name = "slice",
     .size = sizeof(PySliceObject),
     .read = read_slice},
    {.type_name = "types.SimpleNamespace",
     .module = "types",
     .name = "SimpleNamespace",
     .size = sizeof(struct namespace_object),
     .read = read_namespace,
     .contents = CONTENTS_DICT},
    {.type_name = "collections.OrderedDict",
     .module = "_collections",
     .name = "OrderedDict",
     .read = read_ordered_dict,
     .contents = CONTENTS_ORDERED},
    {.type_name = "collections.defaultdict",
     .module = "_collections",
     .name = "defaultdict",
     .size = sizeof(struct layout_defaultdict),
     .read = read_defaultdict,
     .contents = CONTENTS_PAIRS},
    {.type_name = "collections.deque",
     .module = "_collections",
     .name = "deque",
     .read = read_deque,
     .contents = CONTENTS_ITEMS},
    {.type_name = "UUID",
     .module = "uuid",
     .name = "UUID",
     .read = read_uuid,
     .contents = CONTENTS_INTEGER,
     .known_as = "uuid.UUID",
#if DESCRIBES_MEMBERS
     .functions = {{"__getstate__", 0}, {"__get__", MEMBER_GETTER}}},
#else
     .functions = {{"__getstate__", 0}}},
#endif
    {.type_name = "Counter",
     .module = "collections",
     .name = "Counter",
     .read = read_counter,
     .contents = CONTENTS_COPY,
     .known_as = "collections.Counter",
     .functions = {{"__reduce__", 0}}},
    {.type_name = "IPv6Address",
     .module = "ipaddress",
     .name = "IPv6Address",
     .read = read_ipv6,
     .known_as = "ipaddress.IPv6Address",
     .functions = {{"__reduce__", 0},
                   {"__str__", 0},
                   {"__str__", 1},
                   {"ipv4_mapped", 0},
                   {"_string_from_ip_int", 0},
                   {"_compress_hextets", 0}}},
    {.type_name = "PurePosixPath",
     .module = "pathlib",
     .name = "PurePosixPath",
     .read = read_path,
     .known_as = "pathlib.PurePath",
     .functions = {{"__reduce__", 0}}},
    {.type_name = "PureWindowsPath",
     .module = "pathlib",
     .name = "PureWindowsPath",
     .read = read_path,
     .known_as = "pathlib.PurePath",
     .functions = {{"__reduce__", 0}}},
    {.type_name = "PosixPath",
     .module = "pathlib",
     .name = "PosixPath",
     .read = read_path,
     .known_as = "pathlib.PurePath",
     .functions = {{"__reduce__", 0}}},
    {.type_name = "WindowsPath",
     .module = "pathlib",
     .name = "WindowsPath",
     .read = read_path,
     .known_as = "pathlib.PurePath",
     .functions = {{"__reduce__", 0}}},
};

static_assert(Py_ARRAY_LENGTH(rows) <= (size_t)VALUES, "each row has a status");

int
values_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *function = state->stdlib.pickle_complex;
    if (PyFunction_Check(function)) {
        state->values->pickle_complex_code = Py_NewRef(PyFunction_GET_CODE(function));
    }
    return PyModule_AddFunctions(module, functions);
}

void
values_teardown(struct core_state *state)
{
    for (size_t i = 0; i < VALUES; i++) {
        Py_CLEAR(state->values->guards[i]);
    }
}

/* True if the module that implements the type has it under its name. */
static int
is_of_module(struct core_state *state, const struct value *value, PyTypeObject *type)
{
    PyObject *module = PyUnicode_FromString(value->module);
    PyObject *name = PyUnicode_FromString(value->name);
    struct namecache_entry place = {0};
    int holds = module != NULL && name != NULL
                && namecache_in_module(state, module, name, &place) == (PyObject *)type;
    Py_XDECREF(module);
    Py_XDECREF(name);
    PyErr_Clear();
    return holds;
}

const struct value *
values_find(struct core_state *state, PyTypeObject *type)
{
    if (!layout_is_known()) {
        return NULL;
    }
    if (PyType_HasFeature(type, Py_TPFLAGS_BASE_EXC_SUBCLASS)) {
        return is_plain_exception(state, type) ? &rows[ROW_OF_EXCEPTIONS] : NULL;
    }
    if (!PyType_CheckExact((PyObject *)type)) {
        return NULL;
    }
    int of_python = !PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE);
    if (of_python && type->tp_getattro != PyObject_GenericGetAttr) {
        return NULL;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(rows); i++) {
        const struct value *value = &rows[i];
        if (of_python == (value->known_as != NULL)
            && strcmp(type->tp_name, value->type_name) == 0) {
            return (value->size == 0 || (size_t)type->tp_basicsize == value->size)
                           && is_of_module(state, value, type)
                       ? value
                       : NULL;
        }
    }
    return NULL;
}

size_t
values_number(const struct value *value)
{
    return (size_t)(value - rows);
}

enum value_status *
values_status(struct core_state *state, const struct value *value)
{
    return &state->values->status[values_number(value)];
}
