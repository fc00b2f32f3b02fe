/* Dicts with the same keys, filled by copying one of them.

   Records are dicts with the same keys, which in a pickle are the same objects; so are small
   integers.  The
   simple way sets every item: a look-up each, and the table grows on the way.  Here the
   second such dict leaves a template behind, a dict with these keys and None for values;
   the table of every further one is a copy of the template's, into which the values are
   put.  Keys are compared by identity, or by text and then put too, so the dict has the very
   keys that it would have had.

   Loads of small pickles meet such dicts in one call after another.  Templates of them are kept
   between calls: they have short texts in ASCII for keys, strings of their own, which nobody else
   sees, and whose hashes the new keys take over.  They are found by a print of the keys, and
   made when it is met once more. */
#include "load/load_template.h"

#include "base/layout.h"
#include "load/room.h"

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

enum {
    KEPT_BITS = 4,
    KEPT_COUNT = 1 << KEPT_BITS,
    /* The most that a template that is kept may have. */
    KEPT_ITEMS = 128,
    KEPT_TEXT = 64,
    /* From so many on the table would have grown on the way; below, what is saved is to hash the
       keys, if that was not done. */
    KEPT_GROWN = 6,
    KEPT_LEAST = 4,
    /* The print is met so often before one is made. */
    KEPT_AFTER = 2
};

struct kept_template {
    PyObject *dict; /* NULL: none yet; untracked */
    uint64_t print; /* of the keys of the dict that was here last; 0: none was */
    int met;
};

struct kept_templates {
    struct kept_template entries[KEPT_COUNT];
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

/* True if hashing and comparing it runs no code and cannot fail. */
static int
is_harmless_key(PyObject *key)
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
        if (!is_harmless_key(pairs[2 * i]) || PyDict_SetItem(dict, pairs[2 * i], Py_None) < 0) {
            Py_CLEAR(dict);
        }
    }
    if (dict != NULL && items_of(dict, count).first == NULL) {
        Py_CLEAR(dict);
    }
    PyErr_Clear();
    return dict;
}

/* True if the template has the very keys of the pairs. */
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

/* The template of these keys, borrowed, or NULL if there is none.  A template is made when two
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
    if (is_harmless_key(pairs[0])) {
        unpickler->templates_used |= UINT32_C(1) << place;
        Py_XSETREF(template->first_key, Py_NewRef(pairs[0]));
        template->count = count;
        template->misses = 0;
    }
    return NULL;
}

/* True if what is left in the window may have another dict of so many items, of which each key and
   value takes an opcode and an argument. */
static int
is_room_for_another(struct unpickler *unpickler, Py_ssize_t count)
{
    return unpickler->reader.end - unpickler->reader.at >= 4 * count;
}

/* ---- templates that are kept -------------------------------------------- */

void
load_drop_kept_templates(struct core_state *state)
{
    for (int i = 0; state->load->kept_templates != NULL && i < KEPT_COUNT; i++) {
        Py_CLEAR(state->load->kept_templates->entries[i].dict);
    }
    PyMem_Free(state->load->kept_templates);
    state->load->kept_templates = NULL;
}

/* True if the object is a text as a template that is kept may have. */
ALWAYS_INLINE int
is_kept_text(PyObject *key)
{
    return PyUnicode_CheckExact(key) && PyUnicode_IS_COMPACT_ASCII(key)
           && PyUnicode_GET_LENGTH(key) <= KEPT_TEXT;
}

/* The first and the last bytes of a text. */
ALWAYS_INLINE uint64_t
print_text(PyObject *key)
{
    struct load_ends ends = load_ends(PyUnicode_DATA(key), (size_t)PyUnicode_GET_LENGTH(key));
    return ends.first + 31 * ends.last;
}

/* Tells the keys of most dicts apart; 0 if no template of them can be kept. */
ALWAYS_INLINE uint64_t
print_keys(PyObject **pairs, Py_ssize_t count)
{
    PyObject *first = pairs[0], *last = pairs[2 * count - 2];
    if (count < KEPT_LEAST || count > KEPT_ITEMS || !is_kept_text(first) || !is_kept_text(last)
        || (count < KEPT_GROWN && ((PyASCIIObject *)first)->hash != -1)) {
        return 0;
    }
    uint64_t print = print_text(first) * UINT64_C(0x9e3779b97f4a7c15) + print_text(last);
    return (print + (uint64_t)count) * UINT64_C(0xbf58476d1ce4e5b9);
}

ALWAYS_INLINE int
is_same_text(PyObject *key, PyObject *text)
{
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    if (!PyUnicode_CheckExact(key) || !PyUnicode_IS_COMPACT_ASCII(key)
        || PyUnicode_GET_LENGTH(key) != size) {
        return 0;
    }
    const void *data = PyUnicode_DATA(key), *other = PyUnicode_DATA(text);
    if (size > 16) {
        return memcmp(data, other, (size_t)size) == 0;
    }
    struct load_ends ends = load_ends(data, (size_t)size), others = load_ends(other, (size_t)size);
    return ends.first == others.first && ends.last == others.last;
}

static int
has_same_texts(PyObject *template, PyObject **pairs, Py_ssize_t count)
{
    struct table_items items = items_of(template, count);
    if (items.first == NULL) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!is_same_text(pairs[2 * i], items.first[i * items.stride])) {
            return 0;
        }
    }
    return 1;
}

/* A template with copies of the texts; strong or NULL, without an exception.  The collector may
   run, and so Python code. */
static PyObject *
make_kept_template(PyObject **pairs, Py_ssize_t count)
{
    PyObject *copies[2 * KEPT_ITEMS], *dict = NULL;
    Py_ssize_t made = 0;
    while (made < count && is_kept_text(pairs[2 * made])) {
        Py_ssize_t size = PyUnicode_GET_LENGTH(pairs[2 * made]);
        PyObject *copy = PyUnicode_New(size, 127);
        if (copy == NULL) {
            break;
        }
        memcpy(PyUnicode_1BYTE_DATA(copy), PyUnicode_1BYTE_DATA(pairs[2 * made]), (size_t)size);
        copies[2 * made++] = copy;
    }
    if (made == count) {
        dict = make_template(copies, count);
    }
    while (made > 0) {
        Py_DECREF(copies[2 * --made]);
    }
    if (dict != NULL) {
        PyObject_GC_UnTrack(dict);
    }
    PyErr_Clear();
    return dict;
}

/* The template that is kept of the keys with this print; strong, or NULL if there is none.
   The same. */
static PyObject *
find_kept_template(struct core_state *state, uint64_t print, PyObject **pairs, Py_ssize_t count)
{
    if (unlikely(state->load->kept_templates == NULL)) {
        state->load->kept_templates = PyMem_Calloc(1, sizeof(struct kept_templates));
        if (state->load->kept_templates == NULL) {
            return NULL;
        }
    }
    struct kept_template *kept = &state->load->kept_templates->entries[print >> (64 - KEPT_BITS)];
    if (kept->print != print) {
        kept->print = print;
        kept->met = 0;
        Py_CLEAR(kept->dict);
        return NULL;
    }
    if (kept->dict != NULL && has_same_texts(kept->dict, pairs, count)) {
        return Py_NewRef(kept->dict);
    }
    if (++kept->met < KEPT_AFTER || kept->met > KEPT_AFTER + MOST_MISSES) {
        return NULL;
    }
    PyObject *dict = make_kept_template(pairs, count);
    if (dict != NULL) {
        Py_XSETREF(kept->dict, Py_NewRef(dict));
    }
    return dict;
}

/* ---- filling ------------------------------------------------------------ */

/* Fills an empty dict from a template whose keys are those of the pairs, or have the same texts.
   As load_fill_dict(). */
static int
fill_from(PyObject *dict, PyObject *template, PyObject **pairs, Py_ssize_t count)
{
    if (PyDict_Update(dict, template) < 0) {
        return -1;
    }
    struct table_items items = items_of(dict, count);
    if (items.first == NULL) {
        return 0;
    }
    int collected = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject **item = items.first + i * items.stride, *key = item[0],
                 *value = pairs[2 * i + 1];
        if (key != pairs[2 * i]) {
            ((PyASCIIObject *)pairs[2 * i])->hash = ((PyASCIIObject *)key)->hash;
            item[0] = pairs[2 * i];
        }
        collected |= load_may_be_collected(value);
        Py_SETREF(item[1], value);
        Py_DECREF(key);
    }
    if (collected && !PyObject_GC_IsTracked(dict)) {
        PyObject_GC_Track(dict);
    }
    return 1;
}

PyObject *
load_make_names_template(PyObject **pairs, Py_ssize_t count)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < count; i++) {
        PyObject *name = Py_NewRef(pairs[2 * i]);
        PyUnicode_InternInPlace(&name);
        if (PyDict_SetItem(dict, name, Py_None) < 0) {
            Py_CLEAR(dict);
        }
        Py_DECREF(name);
    }
    if (dict != NULL && items_of(dict, count).first == NULL) {
        Py_CLEAR(dict);
    }
    PyErr_Clear();
    return dict;
}

int
load_copy_template(PyObject *template, PyObject **pairs, Py_ssize_t count, PyObject **made)
{
    PyObject *dict = PyDict_Copy(template);
    if (dict == NULL) {
        return -1;
    }
    struct table_items items = items_of(dict, count);
    if (items.first == NULL) {
        Py_DECREF(dict);
        return 0;
    }
    int collected = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject **value = items.first + i * items.stride + 1;
        collected |= load_may_be_collected(pairs[2 * i + 1]);
        Py_SETREF(*value, pairs[2 * i + 1]);
    }
    if (collected && !PyObject_GC_IsTracked(dict)) {
        PyObject_GC_Track(dict);
    }
    *made = dict;
    return 1;
}

/* By a template of this load. */
ALWAYS_INLINE int
fill_by_own(struct unpickler *unpickler, PyObject *dict, PyObject **pairs, Py_ssize_t count)
{
    if (unpickler->templates_used == 0 && !is_room_for_another(unpickler, count)) {
        return 0;
    }
    PyObject *template = find_template(unpickler, pairs, count);
    return template == NULL ? 0 : fill_from(dict, template, pairs, count);
}

int
load_fill_by_kept(struct core_state *state, PyObject *dict, PyObject **pairs, Py_ssize_t count)
{
    if (!layout_is_known()) {
        return 0;
    }
    uint64_t print = print_keys(pairs, count);
    PyObject *template = print == 0 ? NULL : find_kept_template(state, print, pairs, count);
    int filled = template == NULL ? 0 : fill_from(dict, template, pairs, count);
    Py_XDECREF(template);
    return filled;
}

int
load_fill_dict(struct unpickler *unpickler, PyObject *dict, PyObject **pairs)
{
    if (!layout_is_known()) {
        return 0;
    }
    Py_ssize_t count = (unpickler->top - pairs) / 2;
    if (count < LEAST_ITEMS || PyDict_GET_SIZE(dict) != 0) {
        return 0;
    }
    int filled = fill_by_own(unpickler, dict, pairs, count);
    if (filled == 0) {
        filled = load_fill_by_kept(unpickler->state, dict, pairs, count);
    }
    if (filled > 0) {
        unpickler->top = pairs;
    }
    return filled;
}
