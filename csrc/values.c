/* Values of the standard library: see values.h. */
#include "values.h"

#include "names.h"
#include "plan.h"
#include "reduce.h"

#if KNOWN_LAYOUT

#define _PY_DATETIME_IMPL
#include <datetime.h>

/* ---- structs that no header shows; their sizes are compared with the types' ------------- */

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

struct defaultdict_object {
    PyDictObject dict;
    PyObject *default_factory;
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

static void
add_object(struct value_parts *parts, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    add_part(parts, VALUE_OBJECT)->is.object = object;
    if (type == &PyLong_Type) {
        parts->plain &= long_is_short(object);
    }
    else if (type == &PyUnicode_Type) {
        parts->plain &=
            PyUnicode_IS_COMPACT_ASCII(object) && PyUnicode_GET_LENGTH(object) <= VALUE_LENGTH;
    }
    else {
        parts->plain &= object == Py_None || type == &PyFloat_Type;
    }
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

/* What str() gives follows the context of the thread, which is asked.  It may have to be made:
   no collection of garbage may happen here. */
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
    PyObject *factory = ((struct defaultdict_object *)object)->default_factory;
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

/* ---- the rows ----------------------------------------------------------- */

static const struct value rows[] = {
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
     .size = sizeof(struct defaultdict_object),
     .read = read_defaultdict,
     .contents = CONTENTS_PAIRS},
    {.type_name = "collections.deque",
     .module = "_collections",
     .name = "deque",
     .read = read_deque,
     .contents = CONTENTS_ITEMS},
};

static_assert(Py_ARRAY_LENGTH(rows) <= (size_t)VALUES, "each row has a status");

int
values_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *function = state->stdlib.pickle_complex;
    if (PyFunction_Check(function)) {
        state->pickle_complex_code = Py_NewRef(PyFunction_GET_CODE(function));
    }
    return 0;
}

/* Whether the module that implements the type has it under its name. */
static int
is_of_module(struct core_state *state, const struct value *value, PyTypeObject *type)
{
    PyObject *module = PyUnicode_FromString(value->module);
    PyObject *name = PyUnicode_FromString(value->name);
    int holds =
        module != NULL && name != NULL && names_hold(state, module, name, (PyObject *)type);
    Py_XDECREF(module);
    Py_XDECREF(name);
    PyErr_Clear();
    return holds;
}

const struct value *
values_find(struct core_state *state, PyTypeObject *type)
{
    if (!PyType_CheckExact((PyObject *)type)
        || !PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE)) {
        return NULL;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(rows); i++) {
        const struct value *value = &rows[i];
        if (strcmp(type->tp_name, value->type_name) == 0) {
            return (value->size == 0 || (size_t)type->tp_basicsize == value->size)
                           && is_of_module(state, value, type)
                       ? value
                       : NULL;
        }
    }
    return NULL;
}

enum value_status *
values_status(struct core_state *state, const struct value *value)
{
    return &state->plans->values[value - rows];
}

/* ---- the first object --------------------------------------------------- */

/* Whether a real argument is what the row read. */
static int
part_is(const struct value_part *part, PyObject *argument)
{
    int64_t number;
    const char *data = part->is.data;
    switch (part->kind) {
    case VALUE_OBJECT: return argument == part->is.object;
    case VALUE_BYTES:
        return PyBytes_CheckExact(argument) && PyBytes_GET_SIZE(argument) == part->size
               && memcmp(PyBytes_AS_STRING(argument), data, (size_t)part->size) == 0;
    case VALUE_TEXT:
        return PyUnicode_CheckExact(argument) && PyUnicode_IS_COMPACT_ASCII(argument)
               && PyUnicode_GET_LENGTH(argument) == part->size
               && memcmp(PyUnicode_1BYTE_DATA(argument), data, (size_t)part->size) == 0;
    case VALUE_NUMBER:
        return PyLong_CheckExact(argument) && long_as_small(argument, &number)
               && number == part->is.number;
    case VALUE_REAL:
        return PyFloat_CheckExact(argument)
               && memcmp(&((PyFloatObject *)argument)->ob_fval, &part->is.real, sizeof(double))
                      == 0;
    case VALUE_EMPTY: return PyTuple_CheckExact(argument) && PyTuple_GET_SIZE(argument) == 0;
    }
    return 0;
}

static int
arguments_are(const struct value_parts *parts, PyObject *args)
{
    int same = PyTuple_CheckExact(args) && PyTuple_GET_SIZE(args) == parts->count;
    for (int i = 0; same && i < parts->count; i++) {
        same = part_is(&parts->list[i], PyTuple_GET_ITEM(args, i));
    }
    return same;
}

/* Whether a reduce value has what the row says behind its arguments, and nothing else. */
static int
contents_are(const struct value *value, PyObject *object, PyObject *reduce_value)
{
    PyObject *state = reduction_part(reduce_value, PART_STATE);
    PyObject *items = reduction_part(reduce_value, PART_LISTITEMS);
    PyObject *pairs = reduction_part(reduce_value, PART_DICTITEMS);
    PyObject *dict =
        value->contents == CONTENTS_DICT ? ((struct namespace_object *)object)->dict : NULL;
    return state == dict && (items != NULL) == (value->contents == CONTENTS_ITEMS)
           && (pairs != NULL)
                  == (value->contents == CONTENTS_PAIRS || value->contents == CONTENTS_ORDERED)
           && reduction_part(reduce_value, PART_STATE_SETTER) == NULL;
}

void
values_check(struct core_state *state, const struct value *value, PyObject *object,
             PyObject *reduce_value)
{
    struct value_parts parts;
    enum value_status *status = values_status(state, value);
    if (!PyTuple_Check(reduce_value) || PyTuple_GET_SIZE(reduce_value) < 2
        || !values_read(state, value, object, &parts)) {
        return;
    }
    int same = PyTuple_GET_ITEM(reduce_value, PART_CALLABLE) == (PyObject *)Py_TYPE(object)
               && arguments_are(&parts, PyTuple_GET_ITEM(reduce_value, PART_ARGS))
               && contents_are(value, object, reduce_value);
    values_release(&parts);
    *status = same ? VALUE_HOLDS : VALUE_OFF;
}

#else

int
values_setup(PyObject *Py_UNUSED(module))
{
    return 0;
}

const struct value *
values_find(struct core_state *Py_UNUSED(state), PyTypeObject *Py_UNUSED(type))
{
    return NULL;
}

#endif
