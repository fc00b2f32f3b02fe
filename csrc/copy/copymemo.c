/* The memo of a deepcopy: see copymemo.h. */
#include "copy/copymemo.h"
#include "copy/room.h"

enum {
    FIRST_PENDING = 64,
    /* The most that is kept between calls, half a megabyte each. */
    KEEP_PENDING = 1 << 15,
    KEEP_KEPT = 1 << 16,
    /* Entries that are fetched from memory before they are released. */
    RELEASE_AHEAD = 8,
};

/* The bits of an event that are not the address. */
static const uintptr_t TAGS = 7;

/* ---- memory ------------------------------------------------------------- */

static void
free_buffers(struct copybuffers *buffers)
{
    if (buffers != NULL) {
        PyMem_Free(buffers->pending);
        PyMem_Free(buffers->kept);
        idmap_free(&buffers->shared);
        idmap_free(&buffers->entries);
        PyMem_Free(buffers);
    }
}

/* The state's idle buffers, which are this call's now, or new ones. */
static struct copybuffers *
claim_buffers(struct core_state *state)
{
    struct copybuffers *buffers = state->copy->idle_copybuffers;
    state->copy->idle_copybuffers = NULL;
    if (buffers == NULL) {
        buffers = PyMem_Calloc(1, sizeof(struct copybuffers));
        if (buffers == NULL) {
            PyErr_NoMemory();
        }
    }
    return buffers;
}

/* Gives the buffers, which are empty, back to the state, less what is too big to keep. */
static void
return_buffers(struct core_state *state, struct copybuffers *buffers)
{
    if (state->copy->idle_copybuffers != NULL) {
        free_buffers(buffers);
        return;
    }
    if (buffers->pending_capacity > KEEP_PENDING) {
        PyMem_Free(buffers->pending);
        buffers->pending = NULL;
        buffers->pending_capacity = 0;
    }
    if (buffers->kept_capacity > KEEP_KEPT) {
        PyMem_Free(buffers->kept);
        buffers->kept = NULL;
        buffers->kept_capacity = 0;
    }
    state->copy->idle_copybuffers = buffers;
}

int
copymemo_grow_pending(struct copybuffers *buffers)
{
    size_t capacity = buffers->pending_capacity == 0 ? FIRST_PENDING
                                                     : idmap_next_room(buffers->pending_capacity);
    void *pending = PyMem_Realloc(buffers->pending, capacity * sizeof(struct copyevent));
    if (pending == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    buffers->pending = pending;
    buffers->pending_capacity = capacity;
    return 0;
}

int
copymemo_start(struct core_state *state, struct copymemo *memo, PyObject *dict)
{
    memo->dict = memo->dict_key = NULL;
    memo->innermost = memo->not_rolled_back = NULL;
    memo->state = state;
    memo->buffers = NULL;
    if (dict != NULL) {
        memo->dict_key = PyLong_FromVoidPtr(dict);
        if (memo->dict_key == NULL) {
            return -1;
        }
        memo->dict = Py_NewRef(dict);
    }
    memo->buffers = claim_buffers(state);
    return memo->buffers == NULL ? -1 : 0;
}

void
copymemo_reveal_entries(struct copybuffers *buffers)
{
    for (size_t i = buffers->hidden_from; i < buffers->entries.count; i++) {
        struct idpair *entry = &buffers->entries.pairs[i];
        if (entry_is_hidden(entry)) {
            entry->value = entry_copy(entry);
            copyhide_reveal(entry->value);
        }
    }
    buffers->hiding = 0;
}

/* Empties the maps first, then releases the references: a finalizer may copy again. */
static void
release_entries(struct copybuffers *buffers)
{
    struct idmap entries = buffers->entries;
    buffers->entries = (struct idmap){0};
    buffers->kept_count = buffers->passed = 0;
    buffers->hiding = 0;
    for (size_t i = 0; i < entries.count; i++) {
        const struct idpair *entry = &entries.pairs[i];
        const struct idpair *ahead =
            i + RELEASE_AHEAD < entries.count ? entry + RELEASE_AHEAD : entry;
        PyObject *copy = entry_copy(entry);
        PREFETCH(entry_copy(ahead));
        PREFETCH(ahead->key);
        if (entry_is_hidden(entry)) {
            copyhide_reveal(copy);
        }
        Py_DECREF(copy);
        Py_DECREF((PyObject *)entry->key);
    }
    idmap_empty(&entries);
    buffers->entries = entries;
}

/* Forgets the pending entries, and releases the copies of them that are hidden. */
static void
release_pending(struct copybuffers *buffers)
{
    size_t count = buffers->pending_hidden ? buffers->pending_count : 0;
    for (size_t event = 0; event < count; event++) {
        uintptr_t copy = buffers->pending[event].copy;
        if ((copy & COPY_HIDDEN) != 0) {
            copyhide_reveal((PyObject *)(copy & ~TAGS));
            Py_DECREF((PyObject *)(copy & ~TAGS));
        }
    }
    buffers->pending_hidden = 0;
    buffers->pending_count = 0;
    buffers->entered_again = 0;
}

void
copymemo_finish(struct copymemo *memo)
{
    struct copybuffers *buffers = memo->buffers;
    if (buffers != NULL) {
        release_pending(buffers);
        idmap_empty(&buffers->shared);
        if (buffers->entries.count > 0) {
            release_entries(buffers);
        }
        return_buffers(memo->state, buffers);
    }
    Py_XDECREF(memo->dict);
    Py_XDECREF(memo->dict_key);
}

void
copymemo_teardown(struct core_state *state)
{
    free_buffers(state->copy->idle_copybuffers);
    state->copy->idle_copybuffers = NULL;
}

/* ---- entries and kept --------------------------------------------------- */

/* memo[id(source)] = copy in the owned entries, of a source that is not there yet. */
ALWAYS_INLINE int
own_new_entry(struct copybuffers *buffers, PyObject *source, PyObject *copy)
{
    if (idmap_append(&buffers->entries, source, copy) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    Py_INCREF(source);
    Py_INCREF(copy);
    return 0;
}

/* The same of one that may be there. */
static int
own_entry(struct copybuffers *buffers, PyObject *source, PyObject *copy)
{
    struct idpair *pair = idmap_find(&buffers->entries, source);
    if (pair == NULL) {
        return own_new_entry(buffers, source, copy);
    }
    PyObject *replaced = entry_copy(pair);
    if (entry_is_hidden(pair)) {
        copyhide_reveal(replaced);
    }
    pair->value = Py_NewRef(copy);
    Py_DECREF(replaced);
    return 0;
}

static int
grow_kept(struct copybuffers *buffers)
{
    size_t capacity =
        buffers->kept_capacity == 0 ? FIRST_PENDING : idmap_next_room(buffers->kept_capacity);
    void *kept = PyMem_Realloc(buffers->kept, capacity * sizeof(PyObject *));
    if (kept == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    buffers->kept = kept;
    buffers->kept_capacity = capacity;
    return 0;
}

ALWAYS_INLINE int
keep_owned(struct copybuffers *buffers, PyObject *source)
{
    if (unlikely(buffers->kept_count == buffers->kept_capacity) && grow_kept(buffers) < 0) {
        return -1;
    }
    if (buffers->kept_count == 0) {
        buffers->first_kept = buffers->entries.count;
    }
    buffers->kept[buffers->kept_count++] = source;
    return 0;
}

/* ---- the flush ---------------------------------------------------------- */

/* The states of instances that were opened and are not closed yet, innermost last. */
struct flush {
    struct copymemo *memo;
    struct open_instance *open; /* the next instance that will be met unfinished */
    PyObject *states;           /* a list, made when it is needed: state, then the dict in it */
};

/* Enters the state of an unfinished instance, which was rolled back. */
static int
flush_unfinished(struct flush *flush)
{
    struct open_instance *open = flush->open;
    flush->open = open->inner;
    if (open->fields == NULL) {
        return 0; /* a dict */
    }
    return own_new_entry(flush->memo->buffers, open->fields, open->copied);
}

/* Enters the state of a finished instance, made again from it, and remembers it for its end. */
static int
flush_state(struct flush *flush, PyObject *source, PyObject *copy)
{
    struct default_reduction *info = copyroute_known_default(flush->memo->state, source);
    PyObject *state, *fields;
    int found = default_state(info, source, &state, &fields);
    if (found < 0) {
        return -1;
    }
    if (found == 0) {
        state = Py_NewRef(Py_None);
        fields = Py_NewRef(Py_None);
    }
    PyObject *copied = found == 0 ? Py_NewRef(Py_None) : default_copied_fields(info, copy);
    int result = -1;
    if (copied != NULL
        && (found == 0 || own_new_entry(flush->memo->buffers, fields, copied) == 0)) {
        if (flush->states == NULL) {
            flush->states = PyList_New(0);
        }
        if (flush->states != NULL && PyList_Append(flush->states, state) == 0
            && PyList_Append(flush->states, fields) == 0
            && PyList_Append(flush->states, copied) == 0) {
            result = 0;
        }
    }
    Py_DECREF(state);
    Py_DECREF(fields);
    Py_XDECREF(copied);
    return result;
}

/* Keeps a state; (None, slots) is entered only now, as tuples are. */
static int
flush_state_end(struct flush *flush)
{
    Py_ssize_t last = PyList_GET_SIZE(flush->states);
    PyObject *state = PyList_GET_ITEM(flush->states, last - 3);
    PyObject *fields = PyList_GET_ITEM(flush->states, last - 2);
    PyObject *copied = PyList_GET_ITEM(flush->states, last - 1);
    struct copybuffers *buffers = flush->memo->buffers;
    int result = 0;
    if (state != Py_None) {
        result = keep_owned(buffers, fields);
    }
    if (result == 0 && state != fields) {
        PyObject *pair = PyTuple_Pack(2, Py_None, copied);
        result = pair == NULL ? -1 : own_new_entry(buffers, state, pair);
        Py_XDECREF(pair);
        if (result == 0) {
            result = keep_owned(buffers, state);
        }
    }
    return result < 0 ? -1 : PyList_SetSlice(flush->states, last - 3, last, NULL);
}

static int
flush_opened(struct flush *flush, size_t event, PyObject *source, int is_default, PyObject *copy)
{
    struct copybuffers *buffers = flush->memo->buffers;
    int owned = unlikely(buffers->entered_again) ? own_entry(buffers, source, copy)
                                                 : own_new_entry(buffers, source, copy);
    if (owned < 0) {
        return -1;
    }
    if (flush->open != NULL && flush->open->event == event) {
        return flush_unfinished(flush);
    }
    return is_default ? flush_state(flush, source, copy) : 0;
}

static int
flush_event(struct flush *flush, size_t event)
{
    struct copyevent logged = flush->memo->buffers->pending[event];
    PyObject *source = (PyObject *)(logged.source & ~TAGS);
    PyObject *copy = (PyObject *)(logged.copy & ~TAGS);
    int is_default = (logged.source & TAGS) == COPY_DEFAULT;
    uintptr_t phase = logged.copy & TAGS;
    if (phase != COPY_CLOSED && flush_opened(flush, event, source, is_default, copy) < 0) {
        return -1;
    }
    if (phase == COPY_OPENED) {
        return 0;
    }
    if (is_default && flush_state_end(flush) < 0) {
        return -1;
    }
    return keep_owned(flush->memo->buffers, source);
}

int
copymemo_flush_pending(struct copymemo *memo)
{
    struct copybuffers *buffers = memo->buffers;
    struct flush flush = {memo, memo->not_rolled_back, NULL};
    int result = 0;
    for (struct open_instance *open = memo->not_rolled_back; open != NULL && result == 0;
         open = open->inner) {
        result = default_roll_back(open);
    }
    memo->not_rolled_back = NULL;
    for (size_t event = 0; event < buffers->pending_count && result == 0; event++) {
        result = flush_event(&flush, event);
    }
    buffers->pending_count = 0;
    buffers->entered_again = 0;
    if (buffers->shared.count > 0) {
        idmap_empty(&buffers->shared);
    }
    Py_XDECREF(flush.states);
    return result;
}

void
copymemo_hide_pending(struct copymemo *memo)
{
    struct copybuffers *buffers = memo->buffers;
    for (size_t event = 0; event < buffers->pending_count; event++) {
        uintptr_t *copy = &buffers->pending[event].copy;
        PyObject *object = (PyObject *)(*copy & ~TAGS);
        if ((*copy & TAGS) != COPY_CLOSED && copyhide_hide(object)) {
            *copy |= COPY_HIDDEN;
            Py_INCREF(object);
        }
    }
    buffers->pending_hidden = 1;
}

/* ---- the real memo ------------------------------------------------------ */

/* memo[id(source)] = copy. */
static int
set_by_id(PyObject *dict, PyObject *source, PyObject *copy)
{
    PyObject *key = PyLong_FromVoidPtr(source);
    int result = key == NULL ? -1 : PyDict_SetItem(dict, key, copy);
    Py_XDECREF(key);
    return result;
}

/* The keep-alive list; a new list or NULL. */
static PyObject *
kept_as_list(struct copybuffers *buffers)
{
    PyObject *list = PyList_New((Py_ssize_t)buffers->kept_count);
    for (size_t i = 0; list != NULL && i < buffers->kept_count; i++) {
        PyList_SET_ITEM(list, (Py_ssize_t)i, Py_NewRef(buffers->kept[i]));
    }
    return list;
}

static int
fill_visible(struct copybuffers *buffers, PyObject *dict, PyObject *dict_key)
{
    PyObject *list = kept_as_list(buffers);
    int result = list == NULL ? -1 : 0;
    for (size_t i = 0; i <= buffers->entries.count && result == 0; i++) {
        if (buffers->kept_count > 0 && i == buffers->first_kept) {
            result = PyDict_SetItem(dict, dict_key, list);
        }
        if (i < buffers->entries.count && result == 0) {
            struct idpair pair = buffers->entries.pairs[i];
            result = set_by_id(dict, pair.key, entry_copy(&pair));
        }
    }
    Py_XDECREF(list);
    return result;
}

int
copymemo_show(struct copymemo *memo)
{
    if (memo->dict != NULL) {
        return 0;
    }
    if (copymemo_flush(memo) < 0) {
        return -1;
    }
    PyObject *dict = PyDict_New();
    PyObject *key = dict == NULL ? NULL : PyLong_FromVoidPtr(dict);
    if (key == NULL || fill_visible(memo->buffers, dict, key) < 0) {
        Py_XDECREF(dict);
        Py_XDECREF(key);
        return -1;
    }
    memo->dict = dict;
    memo->dict_key = key;
    release_entries(memo->buffers);
    return 0;
}

int
copymemo_find_visible(struct copymemo *memo, PyObject *source, PyObject **copy)
{
    PyObject *key = PyLong_FromVoidPtr(source);
    *copy = NULL;
    int found = key == NULL ? -1 : PyDict_GetItemRef(memo->dict, key, copy);
    Py_XDECREF(key);
    return found;
}

/* memo[id(memo)].append(source), or memo[id(memo)] = [source] where that raises KeyError. */
static int
keep_in_dict(struct copymemo *memo, PyObject *source)
{
    PyObject *list;
    int found = PyDict_GetItemRef(memo->dict, memo->dict_key, &list);
    if (found > 0) {
        int result;
        if (PyList_CheckExact(list)) {
            result = PyList_Append(list, source);
        }
        else {
            PyObject *nothing = PyObject_CallMethodOneArg(list, memo->state->str.append, source);
            result = nothing == NULL ? -1 : 0;
            Py_XDECREF(nothing);
        }
        Py_DECREF(list);
        if (result == 0) {
            return 0;
        }
        found = -1;
    }
    if (found < 0) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
            return -1;
        }
        PyErr_Clear();
    }
    list = PyList_New(1);
    if (list == NULL) {
        return -1;
    }
    PyList_SET_ITEM(list, 0, Py_NewRef(source));
    int result = PyDict_SetItem(memo->dict, memo->dict_key, list);
    Py_DECREF(list);
    return result;
}

int
copymemo_keep_visible(struct copymemo *memo, PyObject *source, PyObject *copy)
{
    if (set_by_id(memo->dict, source, copy) < 0) {
        return -1;
    }
    return keep_in_dict(memo, source);
}

int
copymemo_enter_slowly(struct copymemo *memo, PyObject *source, PyObject *copy)
{
    if (memo->dict != NULL) {
        return set_by_id(memo->dict, source, copy);
    }
    struct idpair *pair = idmap_meet(&memo->buffers->shared, source);
    if (pair == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memo->buffers->entered_again |= pair->value != NULL;
    pair->value = copy;
    return 0;
}

int
copymemo_own_at_once(struct copymemo *memo, PyObject *source, PyObject *copy, int hidden)
{
    if (memo->dict != NULL) {
        return copymemo_keep_visible(memo, source, copy);
    }
    struct copybuffers *buffers = memo->buffers;
    if (copymemo_flush(memo) < 0 || own_new_entry(buffers, source, copy) < 0) {
        return -1;
    }
    if (hidden) {
        mark_hidden(&buffers->entries.pairs[buffers->entries.count - 1]);
    }
    return keep_owned(buffers, source);
}

int
copymemo_put(struct copymemo *memo, PyObject *source, PyObject *copy)
{
    if (memo->dict != NULL) {
        return set_by_id(memo->dict, source, copy);
    }
    if (copymemo_flush(memo) < 0) {
        return -1;
    }
    int owned = own_entry(memo->buffers, source, copy);
    memo->buffers->passed = memo->buffers->entries.count;
    return owned;
}

int
copymemo_keep(struct copymemo *memo, PyObject *source, PyObject *copy)
{
    if (memo->dict != NULL) {
        return copymemo_keep_visible(memo, source, copy);
    }
    if (copymemo_flush(memo) < 0) {
        return -1;
    }
    return keep_owned(memo->buffers, source);
}
