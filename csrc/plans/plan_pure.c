/* Steps that make values of values: see plan_pure.h. */
#include "plans/plan_pure.h"

#include "base/layout.h"

/* Characters of a str that is given to a function: what int() reads without asking others. */
enum { TEXT_MAX = 1024, ARGUMENTS_MAX = 8 };

/* What a call made, which is stolen; a failure is the function's own to raise. */
static enum outcome
made(PyObject *result, PyObject **value)
{
    *value = result;
    if (result == NULL) {
        PyErr_Clear();
        return OUTCOME_BAIL;
    }
    return OUTCOME_DONE;
}

/* True if nothing that is asked of the value runs code.  Conversions of long numbers import a
   module, and let signals be handled on the way; of bytes, there may be warnings. */
static int
is_safe_atom(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    int64_t number;
    return type == &PyUnicode_Type ? PyUnicode_GET_LENGTH(value) <= TEXT_MAX
           : type == &PyLong_Type
               ? long_as_small(value, &number)
               : type == &PyFloat_Type || value == Py_None || type == &PyBool_Type;
}

/* True if the value's items can be counted and gone through without code. */
static int
is_plain_container(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    return type == &PyTuple_Type || type == &PyList_Type || type == &PyDict_Type
           || type == &PySet_Type || type == &PyFrozenSet_Type;
}

/* str(value), or what an f-string has of it. */
static enum outcome
make_str(const struct step *step, PyObject *of, PyObject **value)
{
    PyTypeObject *type = Py_TYPE(of);
    if (type == &PyUnicode_Type) {
        *value = Py_NewRef(of);
        return OUTCOME_DONE;
    }
    if (!is_safe_atom(of)) {
        return OUTCOME_BAIL;
    }
    return made(step->b && type != &PyLong_Type ? PyObject_Format(of, NULL) : PyObject_Str(of),
                value);
}

/* The pieces of an f-string, of which at least one is not ASCII or nothing is left. */
static PyObject *
join_any(PyObject *const *values, const uint16_t *operands, size_t count)
{
    PyObject *pieces = PyTuple_New((Py_ssize_t)count), *empty = PyUnicode_New(0, 127);
    for (size_t i = 0; pieces != NULL && i < count; i++) {
        PyTuple_SET_ITEM(pieces, (Py_ssize_t)i, Py_NewRef(values[operands[i]]));
    }
    PyObject *joined = pieces == NULL || empty == NULL ? NULL : PyUnicode_Join(empty, pieces);
    Py_XDECREF(pieces);
    Py_XDECREF(empty);
    return joined;
}

/* An f-string: its pieces one behind the other. */
static enum outcome
make_joined(const struct plan *plan, const struct step *step, PyObject *const *values,
            PyObject **value)
{
    const uint16_t *operands = plan->operands + step->a;
    Py_ssize_t size = 0;
    int ascii = 1;
    for (size_t i = 0; i < step->b; i++) {
        PyObject *piece = values[operands[i]];
        if (!PyUnicode_CheckExact(piece) || PyUnicode_GET_LENGTH(piece) > INT_MAX) {
            return OUTCOME_BAIL;
        }
        size += PyUnicode_GET_LENGTH(piece);
        ascii &= PyUnicode_IS_COMPACT_ASCII(piece);
    }
    if (!ascii || size < 2) {
        return made(join_any(values, operands, step->b), value);
    }
    PyObject *joined = PyUnicode_New(size, 127);
    char *out = joined == NULL ? NULL : (char *)PyUnicode_1BYTE_DATA(joined);
    for (size_t i = 0; joined != NULL && i < step->b; i++) {
        PyObject *piece = values[operands[i]];
        size_t length = (size_t)PyUnicode_GET_LENGTH(piece);
        memcpy(out, PyUnicode_1BYTE_DATA(piece), length);
        out += length;
    }
    return made(joined, value);
}

static enum outcome
make_length(PyObject *of, PyObject **value)
{
    if (!is_plain_container(of) && !PyUnicode_CheckExact(of) && !PyBytes_CheckExact(of)
        && !PyByteArray_CheckExact(of)) {
        return OUTCOME_BAIL;
    }
    return made(PyLong_FromSsize_t(PyObject_Size(of)), value);
}

/* tuple(value), or list(value). */
static enum outcome
make_sequence(const struct step *step, PyObject *of, PyObject **value)
{
    if (!is_plain_container(of)) {
        return OUTCOME_BAIL;
    }
    return made(step->b ? PySequence_Tuple(of) : PySequence_List(of), value);
}

/* Copies the operands, which are borrowed.  0 if they are too many. */
static int
take_operands(const struct plan *plan, const struct step *step, PyObject *const *values,
              PyObject **arguments)
{
    for (size_t i = 0; i < step->c && i < ARGUMENTS_MAX; i++) {
        arguments[i] = values[plan->operands[step->b + i]];
    }
    return step->c <= ARGUMENTS_MAX;
}

static int
are_exact_atoms(PyObject *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_safe_atom(values[i])) {
            return 0;
        }
    }
    return 1;
}

/* A function of atoms.  round() of an int may make a power of ten of its second argument. */
static enum outcome
make_call(const struct plan *plan, const struct step *step, PyObject *const *values,
          PyObject **value)
{
    PyObject *arguments[ARGUMENTS_MAX], *function = PyTuple_GET_ITEM(plan->constants, step->a);
    if (!take_operands(plan, step, values, arguments) || !are_exact_atoms(arguments, step->c)
        || (step->c == 2 && PyLong_Check(arguments[0]) && PyLong_Check(arguments[1]))) {
        return OUTCOME_BAIL;
    }
    return made(PyObject_Vectorcall(function, arguments, step->c, NULL), value);
}

/* True if a method of bytes is given nothing but such, and numbers. */
static int
are_bytes(PyObject *const *values, size_t count)
{
    int64_t number;
    for (size_t i = 0; i < count; i++) {
        if (!PyBytes_CheckExact(values[i])
            && (!PyLong_CheckExact(values[i]) || !long_as_small(values[i], &number))) {
            return 0;
        }
    }
    return PyBytes_CheckExact(values[0]);
}

/* A method of an atom or bytes, which come first. */
static enum outcome
make_method_call(const struct plan *plan, const struct step *step, PyObject *const *values,
                 PyObject **value)
{
    PyObject *arguments[ARGUMENTS_MAX], *name = PyTuple_GET_ITEM(plan->names, step->a);
    if (!take_operands(plan, step, values, arguments)
        || (!are_exact_atoms(arguments, step->c) && !are_bytes(arguments, step->c))) {
        return OUTCOME_BAIL;
    }
    return made(PyObject_VectorcallMethod(name, arguments, step->c, NULL), value);
}

const uint16_t *
step_operands(const struct plan *plan, const struct step *step, size_t *count)
{
    switch (step->kind) {
    case STEP_DICT: *count = (size_t)step->b * 2; return plan->operands + step->a;
    case STEP_TUPLE:
    case STEP_LIST:
    case STEP_JOIN: *count = step->b; return plan->operands + step->a;
    case STEP_CALL:
    case STEP_CALL_METHOD: *count = step->c; return plan->operands + step->b;
    default: *count = 1; return &step->a;
    }
}

enum outcome
plan_make_pure(const struct plan *plan, const struct step *step, PyObject *const *values,
               PyObject **value)
{
    switch (step->kind) {
    case STEP_TEXT: return make_str(step, values[step->a], value);
    case STEP_JOIN: return make_joined(plan, step, values, value);
    case STEP_LENGTH: return make_length(values[step->a], value);
    case STEP_SEQUENCE: return make_sequence(step, values[step->a], value);
    case STEP_CALL: return make_call(plan, step, values, value);
    default: return make_method_call(plan, step, values, value);
    }
}
