/* Dicts with the same keys, filled by copying one of them.

   Records are dicts with the same keys, which in a pickle are the same objects.  The
   simple way sets every item: a look-up each, and the table grows on the way.  Here the
   second such dict leaves a template behind, a dict with these keys and None for values;
   the table of every further one is a copy of the template's, into which the values are
   put.  Keys are compared by identity only, so the dict has the very keys that it would
   have had. */
#include "load_template.h"

#include "layout.h"

#if KNOWN_LAYOUT

enum {
    TEMPLATE_COUNT = 32,
    /* Fewer items are set as quickly. */
    LEAST_ITEMS = 3
};

static_assert(TEMPLATE_COUNT <= 32, "templates_used has 32 bits");

struct load_templates {
    struct {
        PyObject *dict;      /* NULL: none yet */
        PyObject *first_key; /* of the dict that was here last; strong */
        Py_ssize_t count;
    } entries[TEMPLATE_COUNT];
};

void
load_forget_templates(struct unpickler *unpickler)
{
    for (int i = 0; unpickler->templates_used != 0; i++, unpickler->templates_used >>= 1) {
        if ((unpickler->templates_used & 1) != 0) {
            Py_CLEAR(unpickler->templates->entries[i].dict);
            Py_CLEAR(unpickler->templates->entries[i].first_key);
        }
    }
}

/* The entries of a dict whose table is all strings and nothing else, or NULL. */
static struct layout_entry *
plain_entries(PyObject *dict, Py_ssize_t count)
{
    PyDictObject *object = (PyDictObject *)dict;
    struct layout_keys *keys = (struct layout_keys *)object->ma_keys;
    if (object->ma_values != NULL || keys->kind != LAYOUT_KEYS_UNICODE || keys->count != count
        || object->ma_used != count) {
        return NULL;
    }
    return layout_entries(keys);
}

/* A dict with the keys of the pairs, if they are different strings; strong or NULL,
   without an exception. */
static PyObject *
make_template(PyObject **pairs, Py_ssize_t count)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < count; i++) {
        if (!PyUnicode_CheckExact(pairs[2 * i])
            || PyDict_SetItem(dict, pairs[2 * i], Py_None) < 0) {
            Py_CLEAR(dict);
        }
    }
    if (dict != NULL && plain_entries(dict, count) == NULL) {
        Py_CLEAR(dict);
    }
    PyErr_Clear();
    return dict;
}

/* Whether the template has the very keys of the pairs. */
ALWAYS_INLINE int
has_keys(PyObject *template, PyObject **pairs, Py_ssize_t count)
{
    struct layout_entry *entries = plain_entries(template, count);
    if (entries == NULL) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (entries[i].key != pairs[2 * i]) {
            return 0;
        }
    }
    return 1;
}

/* The template of these keys, borrowed, or NULL if there is none.  One is made when two
   dicts in a row with so many items begin with the same key. */
static PyObject *
find_template(struct unpickler *unpickler, PyObject **pairs, Py_ssize_t count)
{
    if (unpickler->templates == NULL) {
        unpickler->templates = PyMem_Calloc(1, sizeof(struct load_templates));
        if (unpickler->templates == NULL) {
            return NULL;
        }
    }
    size_t place = (((uintptr_t)pairs[0] >> 4) + (size_t)count) % TEMPLATE_COUNT;
    PyObject **dict = &unpickler->templates->entries[place].dict;
    PyObject **first_key = &unpickler->templates->entries[place].first_key;
    Py_ssize_t *old_count = &unpickler->templates->entries[place].count;
    if (*dict != NULL && *old_count == count && has_keys(*dict, pairs, count)) {
        return *dict;
    }
    if (*first_key == pairs[0] && *old_count == count) {
        Py_XSETREF(*dict, make_template(pairs, count));
        return *dict;
    }
    if (PyUnicode_CheckExact(pairs[0])) {
        unpickler->templates_used |= UINT32_C(1) << place;
        Py_XSETREF(*first_key, Py_NewRef(pairs[0]));
        *old_count = count;
    }
    return NULL;
}

/* Whether what is left in the window may have another dict of so many items, of which each key and
   value takes an opcode and an argument. */
static int
is_room_for_another(struct unpickler *unpickler, Py_ssize_t count)
{
    return unpickler->reader.end - unpickler->reader.at >= 4 * count;
}

int
load_fill_dict(struct unpickler *unpickler, PyObject *dict, PyObject **pairs)
{
    Py_ssize_t count = (unpickler->top - pairs) / 2;
    if (count < LEAST_ITEMS || PyDict_GET_SIZE(dict) != 0) {
        return 0;
    }
    if (unpickler->templates_used == 0 && !is_room_for_another(unpickler, count)) {
        return 0;
    }
    PyObject *template = find_template(unpickler, pairs, count);
    if (template == NULL) {
        return 0;
    }
    if (PyDict_Update(dict, template) < 0) {
        return -1;
    }
    struct layout_entry *entries = plain_entries(dict, count);
    if (entries == NULL) {
        return 0;
    }
    int collected = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = pairs[2 * i + 1];
        collected |= PyObject_IS_GC(value);
        Py_SETREF(entries[i].value, value);
        Py_DECREF(pairs[2 * i]);
    }
    unpickler->top = pairs;
    if (collected && !PyObject_GC_IsTracked(dict)) {
        PyObject_GC_Track(dict);
    }
    return 1;
}

#else

void
load_forget_templates(struct unpickler *Py_UNUSED(unpickler))
{
}

int
load_fill_dict(struct unpickler *Py_UNUSED(unpickler), PyObject *Py_UNUSED(dict),
               PyObject **Py_UNUSED(pairs))
{
    return 0;
}

#endif
