/* Objects of the standard library's types in C: see value_construct.h. */
#include "values/value_construct.h"

#include "base/namecache.h"
#include "base/layout.h"
#include "values/room.h"

/* Declares the C API of datetime without its static pointer to it, which is of a process and not
   of an interpreter. */
#define _PY_DATETIME_IMPL
#include <datetime.h>

/* ---- the C API of datetime ---------------------------------------------- */

/* Most names differ in the first letters: no call. */
ALWAYS_INLINE int
is_of_datetime(PyTypeObject *type)
{
    const char *name = type->tp_name, *prefix = "datetime.";
    while (*prefix != '\0' && *name == *prefix) {
        name++;
        prefix++;
    }
    return *prefix == '\0';
}

/* Keeps the C API of a capsule, which owns it; NULL, without an exception, if it is none. */
static PyDateTime_CAPI *
keep_datetime_api(struct core_state *state, PyObject *capsule)
{
    if (capsule == NULL || !PyCapsule_IsValid(capsule, PyDateTime_CAPSULE_NAME)) {
        return NULL;
    }
    state->values->datetime_api = PyCapsule_GetPointer(capsule, PyDateTime_CAPSULE_NAME);
    Py_XSETREF(state->values->datetime_capsule, Py_NewRef(capsule));
    return state->values->datetime_api;
}

/* The C API if the type may be one of its types, and while sys.modules has the module that made
   them: the types themselves want it.  Else NULL, without an exception.  Imports nothing. */
ALWAYS_INLINE PyDateTime_CAPI *
datetime_api_for(struct core_state *state, PyTypeObject *type)
{
    if (!is_of_datetime(type)) {
        return NULL;
    }
    PyObject *capsule =
        namecache_in_module(state, state->str.datetime_module, state->str.datetime_capsule,
                            &state->namecache->datetime);
    return likely(capsule != NULL && capsule == state->values->datetime_capsule)
               ? state->values->datetime_api
               : keep_datetime_api(state, capsule);
}

/* The outcome of a call of the C API, which refuses fields out of range; a pickle may have them.
 */
static enum outcome
outcome_of(PyObject *object, PyObject **made)
{
    *made = object;
    if (object != NULL) {
        return OUTCOME_DONE;
    }
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) {
        return OUTCOME_RAISED;
    }
    PyErr_Clear();
    return OUTCOME_BAIL;
}

/* The state that a pickle has of a datetime, date or time: its bytes, or NULL if the arguments are
   not that and nothing or a time zone. */
static const unsigned char *
state_of(const PyDateTime_CAPI *api, PyObject *const *arguments, Py_ssize_t count, Py_ssize_t size,
         PyObject **zone)
{
    if (count < 1 || count > 2 || !PyBytes_CheckExact(arguments[0])
        || PyBytes_GET_SIZE(arguments[0]) != size) {
        return NULL;
    }
    *zone = count == 2 ? arguments[1] : Py_None;
    if (*zone != Py_None && !PyObject_TypeCheck(*zone, api->TZInfoType)) {
        return NULL;
    }
    return (const unsigned char *)PyBytes_AS_STRING(arguments[0]);
}

/* The high bit of the first byte that has one to spare is the fold. */
enum { FOLD_SHIFT = 7, BELOW_FOLD = 0x7f };

/* A datetime, or a time, whose state lacks the four bytes of the date. */
ALWAYS_INLINE enum outcome
make_with_time(const PyDateTime_CAPI *api, int has_date, PyObject *const *arguments,
               Py_ssize_t count, PyObject **made)
{
    enum { DATE = 4, TIME = 6 };
    PyObject *zone, *object;
    const unsigned char *date =
        state_of(api, arguments, count, has_date ? DATE + TIME : TIME, &zone);
    if (date == NULL) {
        return OUTCOME_BAIL;
    }
    const unsigned char *time = has_date ? date + DATE : date;
    int microsecond = time[3] << 16 | time[4] << 8 | time[5];
    if (has_date) {
        object = api->DateTime_FromDateAndTimeAndFold(
            date[0] << 8 | date[1], date[2] & BELOW_FOLD, date[3], time[0], time[1], time[2],
            microsecond, zone, date[2] >> FOLD_SHIFT, api->DateTimeType);
    }
    else {
        object = api->Time_FromTimeAndFold(time[0] & BELOW_FOLD, time[1], time[2], microsecond,
                                           zone, time[0] >> FOLD_SHIFT, api->TimeType);
    }
    return outcome_of(object, made);
}

static enum outcome
make_date(const PyDateTime_CAPI *api, PyObject *const *arguments, Py_ssize_t count,
          PyObject **made)
{
    PyObject *zone;
    const unsigned char *bytes = count == 1 ? state_of(api, arguments, 1, 4, &zone) : NULL;
    if (bytes == NULL) {
        return OUTCOME_BAIL;
    }
    PyObject *object =
        api->Date_FromDate(bytes[0] << 8 | bytes[1], bytes[2], bytes[3], api->DateType);
    return outcome_of(object, made);
}

/* An exact int from `least` to `greatest`: 1 and its value, else 0. */
static int
read_int(PyObject *object, long least, long greatest, int *value)
{
    if (!PyLong_CheckExact(object)) {
        return 0;
    }
    int overflow;
    long number = PyLong_AsLongAndOverflow(object, &overflow);
    *value = (int)number;
    return overflow == 0 && least <= number && number <= greatest;
}

static enum outcome
make_timedelta(const PyDateTime_CAPI *api, PyObject *const *arguments, Py_ssize_t count,
               PyObject **made)
{
    enum { DAYS = 999999999, SECONDS = 24 * 3600, MICROSECONDS = 1000000 };
    int days, seconds, fraction;
    if (count != 3 || !read_int(arguments[0], -DAYS, DAYS, &days)
        || !read_int(arguments[1], 0, SECONDS - 1, &seconds)
        || !read_int(arguments[2], 0, MICROSECONDS - 1, &fraction)) {
        return OUTCOME_BAIL;
    }
    return outcome_of(api->Delta_FromDelta(days, seconds, fraction, 0, api->DeltaType), made);
}

static enum outcome
make_timezone(const PyDateTime_CAPI *api, PyObject *const *arguments, Py_ssize_t count,
              PyObject **made)
{
    if (count < 1 || count > 2 || !Py_IS_TYPE(arguments[0], api->DeltaType)
        || (count == 2 && !PyUnicode_CheckExact(arguments[1]))) {
        return OUTCOME_BAIL;
    }
    return outcome_of(api->TimeZone_FromTimeZone(arguments[0], count == 2 ? arguments[1] : NULL),
                      made);
}

/* ---- the types ---------------------------------------------------------- */

static enum outcome
make_slice(PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    if (count != 3) {
        return OUTCOME_BAIL;
    }
    *made = PySlice_New(arguments[0], arguments[1], arguments[2]);
    return *made == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

/* A complex number of two floats, as copyreg and complex.__reduce__ give them. */
static enum outcome
make_complex(PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    if (count != 2 || !PyFloat_CheckExact(arguments[0]) || !PyFloat_CheckExact(arguments[1])) {
        return OUTCOME_BAIL;
    }
    *made =
        PyComplex_FromDoubles(PyFloat_AS_DOUBLE(arguments[0]), PyFloat_AS_DOUBLE(arguments[1]));
    return *made == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

/* The result of type() where __init__ has nothing to do without arguments. */
static enum outcome
make_empty(struct core_state *state, PyTypeObject *type, Py_ssize_t count, PyObject **made)
{
    if (count != 0) {
        return OUTCOME_BAIL;
    }
    *made = type->tp_new(type, state->empty_tuple, NULL);
    return *made == NULL ? OUTCOME_RAISED : OUTCOME_DONE;
}

/* A defaultdict of a factory. */
static enum outcome
make_defaultdict(struct core_state *state, PyTypeObject *type, PyObject *const *arguments,
                 Py_ssize_t count, PyObject **made)
{
    if (count == 1 && arguments[0] != Py_None && !PyCallable_Check(arguments[0])) {
        return OUTCOME_BAIL;
    }
    enum outcome outcome = count > 1 ? OUTCOME_BAIL : make_empty(state, type, 0, made);
    if (outcome == OUTCOME_DONE && count == 1) {
        ((struct layout_defaultdict *)*made)->default_factory = Py_NewRef(arguments[0]);
    }
    return outcome;
}

/* Those of datetime. */
static enum outcome
make_of_datetime(const PyDateTime_CAPI *api, PyTypeObject *type, PyObject *const *arguments,
                 Py_ssize_t count, PyObject **made)
{
    if (type == api->DateTimeType) {
        return make_with_time(api, 1, arguments, count, made);
    }
    if (type == api->DateType) {
        return make_date(api, arguments, count, made);
    }
    if (type == api->TimeType) {
        return make_with_time(api, 0, arguments, count, made);
    }
    if (type == api->DeltaType) {
        return make_timedelta(api, arguments, count, made);
    }
    /* The type of time zones has no name in the C API. */
    return type == Py_TYPE(api->TimeZone_UTC) ? make_timezone(api, arguments, count, made)
                                              : OUTCOME_BAIL;
}

enum outcome
value_construct(struct core_state *state, PyTypeObject *type, PyObject *const *arguments,
                Py_ssize_t count, PyObject **made)
{
    const struct value_types *types = &state->values->builtin;
    if (type == &PySlice_Type) {
        return make_slice(arguments, count, made);
    }
    if (type == &PyComplex_Type) {
        return make_complex(arguments, count, made);
    }
    if (type == &PyODict_Type || type == types->deque || type == types->simple_namespace) {
        return make_empty(state, type, count, made);
    }
    if (type == types->defaultdict) {
        return make_defaultdict(state, type, arguments, count, made);
    }
    const PyDateTime_CAPI *api = datetime_api_for(state, type);
    return api == NULL ? OUTCOME_BAIL : make_of_datetime(api, type, arguments, count, made);
}

/* True if `value_construct` knows the type.  Runs no Python code. */
static int
is_made(struct core_state *state, PyTypeObject *type)
{
    const struct value_types *types = &state->values->builtin;
    if (type == &PySlice_Type || type == &PyComplex_Type || type == &PyODict_Type
        || type == types->deque || type == types->simple_namespace) {
        return 1;
    }
    if (type == types->defaultdict) {
        return layout_is_known();
    }
    const PyDateTime_CAPI *api = datetime_api_for(state, type);
    return api != NULL
           && (type == api->DateTimeType || type == api->DateType || type == api->TimeType
               || type == api->DeltaType || type == Py_TYPE(api->TimeZone_UTC));
}

PyDoc_STRVAR(makes_values_doc,
             "makes_values($module, type, /)\n"
             "--\n\n"
             "Return whether objects of exactly this type, which is one of C, are made of the\n"
             "arguments of a reduction without calling it.");

/* A bool.  Runs no Python code. */
static PyObject *
core_makes_values(PyObject *module, PyObject *type)
{
    return PyBool_FromLong(PyType_Check(type)
                           && is_made(core_state_of_module(module), (PyTypeObject *)type));
}

static PyMethodDef functions[] = {
    {"makes_values", core_makes_values, METH_O, makes_values_doc},
    {NULL, NULL, 0, NULL},
};

/* ---- finding the types -------------------------------------------------- */

/* Finds out whether the object is a type of C with this name, which nobody can change: *result,
   borrowed, or NULL. */
static void
find_type_of_c(PyObject *object, const char *name, PyTypeObject **result)
{
    PyTypeObject *type = (PyTypeObject *)object;
    int is_it = PyType_CheckExact(object) && PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE)
                && strcmp(type->tp_name, name) == 0;
    *result = is_it ? type : NULL;
}

/* The method of one argument that a type of C has under a name; NULL if that is something else. */
static PyCFunction
method_of(PyTypeObject *type, PyObject *name)
{
    PyObject *method = PyDict_GetItemWithError(type->tp_dict, name);
    PyMethodDef *definition = method != NULL && Py_IS_TYPE(method, &PyMethodDescr_Type)
                                  ? ((PyMethodDescrObject *)method)->d_method
                                  : NULL;
    return definition != NULL && definition->ml_flags == METH_O ? definition->ml_meth : NULL;
}

int
value_construct_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    struct value_types *types = &state->values->builtin;
    const struct core_stdlib *stdlib = &state->stdlib;
    find_type_of_c(stdlib->deque, "collections.deque", &types->deque);
    find_type_of_c(stdlib->defaultdict, "collections.defaultdict", &types->defaultdict);
    find_type_of_c(stdlib->simple_namespace, "types.SimpleNamespace", &types->simple_namespace);
    if (types->deque != NULL) {
        types->deque_append = method_of(types->deque, state->str.append);
    }
    if (types->defaultdict != NULL
        && types->defaultdict->tp_basicsize != sizeof(struct layout_defaultdict)) {
        types->defaultdict = NULL;
    }
    return PyModule_AddFunctions(module, functions);
}
