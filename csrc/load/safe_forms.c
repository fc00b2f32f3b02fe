/* Forms of arguments: see safe_forms.h. */
#include "load/safe_forms.h"

/* Takes the characters that a text may have: None for any.  0, or -1 with an exception. */
static int
read_characters(struct safe_spec *spec, PyObject *characters)
{
    spec->any_character = characters == Py_None;
    if (spec->any_character) {
        return 0;
    }
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(characters, &size);
    for (Py_ssize_t i = 0; bytes != NULL && i < size; i++) {
        unsigned int character = (unsigned char)bytes[i] & 127;
        spec->characters[character] = 1;
    }
    return bytes == NULL ? -1 : 0;
}

/* Reads (kind, low, high, object). */
static int
read_spec(struct safe_spec *spec, PyObject *object)
{
    int kind;
    PyObject *about;
    if (!PyArg_ParseTuple(object, "iLLO", &kind, &spec->low, &spec->high, &about)) {
        return -1;
    }
    spec->kind = (enum safe_kind)kind;
    if (kind == SPEC_STR) {
        return read_characters(spec, about);
    }
    spec->object = Py_NewRef(about);
    return 0;
}

/* Reads (specs, repeats). */
static int
read_form(struct safe_form *bound, PyObject *object)
{
    PyObject *specs;
    if (!PyArg_ParseTuple(object, "O!p", &PyTuple_Type, &specs, &bound->repeats)) {
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(specs);
    bound->are_numbers = count > 0;
    bound->specs = PyMem_Calloc((size_t)count + 1, sizeof(struct safe_spec));
    if (bound->specs == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (; bound->count < count; bound->count++) {
        struct safe_spec *spec = &bound->specs[bound->count];
        if (read_spec(spec, PyTuple_GET_ITEM(specs, bound->count)) < 0) {
            return -1;
        }
        bound->are_numbers &= spec->kind == SPEC_PARTS && spec->object == Py_None;
    }
    return 0;
}

int
forms_read(struct safe_forms *forms, PyObject *object)
{
    *forms = (struct safe_forms){0};
    if (object == Py_None) {
        forms->count = FORMS_ANY;
        return 0;
    }
    if (!PyTuple_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "forms are a tuple, or None");
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(object);
    forms->forms = PyMem_Calloc((size_t)count + 1, sizeof(struct safe_form));
    if (forms->forms == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        forms->count = i + 1;
        if (read_form(&forms->forms[i], PyTuple_GET_ITEM(object, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

void
forms_free(struct safe_forms *forms)
{
    for (Py_ssize_t i = 0; i < forms->count; i++) {
        struct safe_form *bound = &forms->forms[i];
        for (Py_ssize_t j = 0; j < bound->count; j++) {
            Py_CLEAR(bound->specs[j].object);
        }
        PyMem_Free(bound->specs);
    }
    PyMem_Free(forms->forms);
    *forms = (struct safe_forms){0};
}

int
forms_traverse(const struct safe_forms *forms, visitproc visit, void *arg)
{
    for (Py_ssize_t i = 0; i < forms->count; i++) {
        for (Py_ssize_t j = 0; j < forms->forms[i].count; j++) {
            Py_VISIT(forms->forms[i].specs[j].object);
        }
    }
    return 0;
}

int
forms_take_nothing(const struct safe_forms *forms)
{
    int found = forms->count == FORMS_ANY;
    for (Py_ssize_t i = 0; i < forms->count; i++) {
        found |= forms->forms[i].count == 0;
    }
    return found;
}
