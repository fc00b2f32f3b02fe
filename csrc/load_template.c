/* Dicts with the same keys, filled by copying one of them.

   Records are dicts with the same keys, which in a pickle are the same objects; so are small
   integers.  The
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
    LEAST_ITEMS = 3,
    /* So many templates are made in vain of dicts that begin with the same key and go on
       with others. */
    MOST_MISSES = 4
};

static_assert(TEMPLATE_COUNT <= 32, "templates_used has 32 bits");

struct template
{
    PyObject *dict;      /* NULL: none yet */
    PyObject *first_key; /* of the dict that was here last; strong */
    Py_ssize_t count;
    int misses;
};

struct load_templates {
    struct template entries[TEMPLATE_COUNT];
};

/* The items of a dict as they lie in its table, whose entries may begin with a hash. */
struct table_items {
    PyObject **first; /* the key of the first, before its value; NULL if that is not known */
    Py_ssize_t stride;
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

/* The items of a dict whose table has `count` of them, and has never had others. */
ALWAYS_INLINE struct table_items
items_of(PyObject *dict, Py_ssize_t count)
{
    PyDictObject *object = (PyDictObject *)dict;
    struct layout_keys *keys = (struct layout_keys *)object->ma_keys;
    if (object->ma_values != NULL || keys->count != count || object->ma_used != count
        || keys->kind > LAYOUT_KEYS_UNICODE) {
        return (struct table_items){NULL, 0};
    }
    Py_ssize_t words = keys->kind == LAYOUT_KEYS_UNICODE ? 2 : 3;
    return (struct table_items){(PyObject **)layout_entries(keys) + words - 2, words};
}

/* Whether hashing and comparing it runs no code and cannot fail. */
static int
is_plain_key(PyObject *key)
{
    return PyUnicode_CheckExact(key) || PyLong_CheckExact(key);
}

/* A dict with the keys of the pairs, if they are different strings and integers; strong or NULL,
   without an exception. */
static PyObject *
make_template(PyObject **pairs, Py_ssize_t count)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < count; i++) {
        if (!is_plain_key(pairs[2 * i]) || PyDict_SetItem(dict, pairs[2 * i], Py_None) < 0) {
            Py_CLEAR(dict);
        }
    }
    if (dict != NULL && items_of(dict, count).first == NULL) {
        Py_CLEAR(dict);
    }
    PyErr_Clear();
    return dict;
}

/* Whether the template has the very keys of the pairs. */
ALWAYS_INLINE int
has_keys(PyObject *template, PyObject **pairs, Py_ssize_t count)
{
    struct table_items items = items_of(template, count);
    if (items.first == NULL) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (items.first[i * items.stride] != pairs[2 * i]) {
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
    struct template *template = &unpickler->templates->entries[place];
    if (template->first_key == pairs[0] && template->count == count) {
        if (template->dict != NULL && has_keys(template->dict, pairs, count)) {
            return template->dict;
        }
        if (template->misses++ < MOST_MISSES) {
            Py_XSETREF(template->dict, make_template(pairs, count));
            return template->dict;
        }
        return NULL;
    }
    if (is_plain_key(pairs[0])) {
        unpickler->templates_used |= UINT32_C(1) << place;
        Py_XSETREF(template->first_key, Py_NewRef(pairs[0]));
        template->count = count;
        template->misses = 0;
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
    struct table_items items = items_of(dict, count);
    if (items.first == NULL) {
        return 0;
    }
    int collected = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = pairs[2 * i + 1];
        collected |= load_may_be_collected(value);
        Py_SETREF(items.first[i * items.stride + 1], value);
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
