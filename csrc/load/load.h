/* The machine that a pickle is a program for: a stack, marks, a memo and an input.

   The loop (load_run.c) executes the program, for input in memory and from files alike; each
   opcode has a function in load_value.c, load_container.c, load_object.c or load_global.c.
   Functions of opcodes return 0, or -1 with an exception set; the stack then still owns what lies
   on it.  They may run Python code wherever an object is called, looked up or released, and
   whenever input is read; the machine is used by one call at a time (unpickler*.c sees to it), so
   only the memo can change while Python code runs. */
#ifndef FASTCOPYREG_LOAD_LOAD_H
#define FASTCOPYREG_LOAD_LOAD_H

#include "load/load_keys.h"
#include "load/load_memo.h"
#include "load/load_opcodes.h"
#include "types/construct.h"
#include "load/reader.h"
#include "load/safe.h"
#include "base/poll.h"

/* Owned objects, for traverse and clear: V(field). */
#define UNPICKLER_OBJECTS(V) \
    V(persistent_load)       \
    V(buffers)               \
    V(encoding)              \
    V(errors)                \
    V(policy)                \
    V(heights)

struct unpickler {
    /*  stack ............ fence ............ top ............ limit
        objects below the  above the newest   free             behind the memory
        newest MARK        MARK: in reach                                          */
    PyObject **top;
    PyObject **fence;
    PyObject **limit;
    PyObject **stack;
    size_t *marks; /* the heights of the stack at each MARK */
    size_t mark_count;
    size_t mark_capacity;
    struct load_memo memo;
    struct reader reader;
    struct core_state *state;
    PyObject *self; /* the object whose find_class() is asked; borrowed, NULL if it is ours */
    PyObject *persistent_load;
    PyObject *persistent_self; /* its first argument; borrowed, mostly NULL */
    PyObject *buffers;         /* an iterator, or NULL */
    PyObject *encoding;        /* NULL: ASCII */
    PyObject *errors;          /* NULL: strict */
    PyObject *policy;          /* of fastcopyreg.safe; NULL: anything may be called */
    PyObject *heights;         /* see safe_heights.c; NULL: of nothing */
    struct safe_counts safe;   /* where there is a policy */
    int protocol;
    int fix_imports;
    struct poll poll;
    int rows_missed; /* see load_rows.c */
    struct key_bounds key_bounds;
    PyObject *spare_dict;             /* empty, for EMPTY_DICT; NULL if there is none */
    struct load_shapes *shapes;       /* types with their keys, remembered; see load_state.c */
    struct load_templates *templates; /* of dicts; see load_template.c */
    uint32_t shapes_used;             /* a bit for each that holds objects */
    uint32_t templates_used;
};

/* Reads one pickle.  A new reference, or NULL with an exception.  Runs Python code. */
PyObject *load_run(struct unpickler *unpickler);

/* Lets signals be handled and other threads run, if they ask for it.  0, or -1 with the exception
   that a signal handler raised.  Runs Python code. */
int load_poll(struct unpickler *unpickler);

/* Releases the objects on the stack. */
void load_clear_stack(struct unpickler *unpickler);

/* Releases and frees everything that the machine owns. */
void load_free(struct unpickler *unpickler);

/* Raises UnpicklingError for a byte that is no opcode; -1. */
int load_unknown(struct unpickler *unpickler, unsigned char opcode);

/* Raises EOFError where the input ends between opcodes; -1. */
int load_out_of_input(struct unpickler *unpickler);

/* Doubles the marks.  0, or -1 with an exception. */
int load_grow_marks(struct unpickler *unpickler);

/* Doubles the stack.  0, or -1 with an exception. */
int load_grow_stack(struct unpickler *unpickler);

/* Raises UnpicklingError for a stack without enough objects above the MARK; -1. */
int load_underflow(struct unpickler *unpickler);

/* Takes the newest MARK off; where its objects begin, or NULL with an exception. */
PyObject **load_pop_to_mark(struct unpickler *unpickler);

/* Pushes a new reference, stealing it; NULL is passed on as the error that it is. */
ALWAYS_INLINE int
load_push(struct unpickler *unpickler, PyObject *object)
{
    if (unlikely(object == NULL)) {
        return -1;
    }
    if (unlikely(unpickler->top == unpickler->limit) && load_grow_stack(unpickler) < 0) {
        Py_DECREF(object);
        return -1;
    }
    *unpickler->top++ = object;
    return 0;
}

/* Pushes the memo's object of an index. */
ALWAYS_INLINE int
load_fetch(struct unpickler *unpickler, size_t index)
{
    PyObject *object = load_memo_get(&unpickler->memo, unpickler->state, index);
    if (likely(object != NULL)) {
        load_note_again(&unpickler->key_bounds, object);
    }
    return load_push(unpickler, object);
}

/* The place for objects that foreign code is handed; NULL if the memo has them anyway. */
ALWAYS_INLINE struct handed *
load_handed(struct unpickler *unpickler)
{
    struct load_memo *memo = &unpickler->memo;
    if (!memo->prescanned || memo->scan.keeps_all) {
        return NULL;
    }
    memo->handed.items = memo->items;
    memo->handed.used = memo->scan.wanted;
    memo->handed.mark = memo->length;
    return &memo->handed;
}

/* Keeps those of the objects handed to foreign code that may be filled.  0, or -1 with
   MemoryError. */
ALWAYS_INLINE int
load_hand_over(struct unpickler *unpickler, PyObject *const *objects, Py_ssize_t count)
{
    struct handed *handed = load_handed(unpickler);
    for (Py_ssize_t i = 0; handed != NULL && i < count; i++) {
        if (unlikely(handed_keep(handed, objects[i]) < 0)) {
            return -1;
        }
    }
    return 0;
}

/* Takes the topmost object off; strong, or NULL with an exception. */
ALWAYS_INLINE PyObject *
load_take(struct unpickler *unpickler)
{
    if (unlikely(unpickler->top <= unpickler->fence)) {
        load_underflow(unpickler);
        return NULL;
    }
    return *--unpickler->top;
}

/* The next opcode, or -1 with an exception.  May run Python code. */
ALWAYS_INLINE int
load_take_opcode(struct unpickler *unpickler)
{
    const unsigned char *opcode = reader_take(&unpickler->reader, 1);
    return unlikely(opcode == NULL) ? load_out_of_input(unpickler) : *opcode;
}

/* The number of objects in reach. */
ALWAYS_INLINE Py_ssize_t
load_reach(struct unpickler *unpickler)
{
    return unpickler->top - unpickler->fence;
}

/* Moves everything from `start` up to other memory, which takes the references. */
ALWAYS_INLINE void
load_move_to(struct unpickler *unpickler, PyObject **start, PyObject **items)
{
    Py_ssize_t count = unpickler->top - start;
    for (Py_ssize_t i = 0; i < count; i++) {
        items[i] = start[i];
    }
    unpickler->top = start;
}

/* Releases all objects from `start` up, from the top down. */
ALWAYS_INLINE void
load_drop_to(struct unpickler *unpickler, PyObject **start)
{
    while (unpickler->top > start) {
        Py_DECREF(*--unpickler->top);
    }
}

/* True if the collector follows the object; without a call for most that it does not. */
ALWAYS_INLINE int
load_may_be_collected(PyObject *object)
{
    return PyType_HasFeature(Py_TYPE(object), Py_TPFLAGS_HAVE_GC) && PyObject_IS_GC(object);
}

/* Takes a dict off our hands that is empty, for the next EMPTY_DICT. */
ALWAYS_INLINE void
load_keep_spare_dict(struct unpickler *unpickler, PyObject *dict)
{
    if (unpickler->spare_dict == NULL) {
        unpickler->spare_dict = dict;
    }
    else {
        Py_DECREF(dict);
    }
}

/* An empty dict: the spare one, if it has not been found meanwhile (the collector shows all
   objects), or a new one.  Strong, or NULL with an exception. */
ALWAYS_INLINE PyObject *
load_make_dict(struct unpickler *unpickler)
{
    PyObject *dict = unpickler->spare_dict;
    if (dict == NULL) {
        return PyDict_New();
    }
    unpickler->spare_dict = NULL;
    if (likely(has_one_reference(dict) && PyDict_GET_SIZE(dict) == 0)) {
        return dict;
    }
    Py_DECREF(dict);
    return PyDict_New();
}

/* The opcode that comes next if it is in the window, or 0, which is no opcode. */
ALWAYS_INLINE unsigned char
load_next_opcode(struct unpickler *unpickler)
{
    struct reader *reader = &unpickler->reader;
    return reader->at < reader->end ? *reader->at : 0;
}

/* The size of the opcode at `at`, if it is there and puts what is on top of the stack into the
   memo at an index that is the next then; else 0.  While the file is beyond, an entry that would
   be replaced is left to the opcode itself. */
ALWAYS_INLINE size_t
load_size_of_put(const struct unpickler *unpickler, const unsigned char *at, size_t index)
{
    const unsigned char *end = unpickler->reader.end;
    if (at >= end
        || (unlikely(unpickler->reader.is_beyond)
            && !load_memo_is_new(&unpickler->memo, unpickler->memo.length))) {
        return 0;
    }
    if (likely(*at == OP_MEMOIZE)) {
        return 1;
    }
    if (*at == OP_BINPUT) {
        return end - at > 1 && at[1] == index ? 2 : 0;
    }
    return *at == OP_LONG_BINPUT && end - at > 4 && read_little_endian(at + 1, 4) == index ? 5 : 0;
}

/* Pushes a new reference, stealing it, and executes a put that follows, which saves a round of the
   loop.  `unnoticed`: nobody can notice the object's death (load_memo.h). */
ALWAYS_INLINE int
load_push_kind(struct unpickler *unpickler, PyObject *object, int unnoticed)
{
    if (unlikely(load_push(unpickler, object) < 0)) {
        return -1;
    }
    size_t put = load_size_of_put(unpickler, unpickler->reader.at, unpickler->memo.length);
    if (put == 0) {
        return 0;
    }
    unpickler->reader.at += put;
    return load_memo_put_kind(&unpickler->memo, unpickler->state, unpickler->memo.length, object,
                              unnoticed);
}

ALWAYS_INLINE int
load_push_memoized(struct unpickler *unpickler, PyObject *object)
{
    return load_push_kind(unpickler, object, 0);
}

ALWAYS_INLINE int
load_push_unnoticed(struct unpickler *unpickler, PyObject *object)
{
    return load_push_kind(unpickler, object, 1);
}

/* A str of well-formed UTF-8, in which surrogates pass; strong, or NULL with an exception. */
PyObject *load_decode_string(struct core_state *state, const unsigned char *bytes, size_t size);

/* A text of at most sixteen bytes as two words, which overlap where it is shorter; of a longer
   one, its ends.  A loop over the bytes behind the last full word is mispredicted in nearly every
   text. */
struct load_ends {
    uint64_t first;
    uint64_t last;
};

ALWAYS_INLINE struct load_ends
load_ends(const unsigned char *bytes, size_t size)
{
    struct load_ends ends = {0, 0};
    uint32_t half;
    if (size >= 8) {
        memcpy(&ends.first, bytes, 8);
        memcpy(&ends.last, bytes + size - 8, 8);
    }
    else if (size >= 4) {
        memcpy(&half, bytes, 4);
        ends.first = half;
        memcpy(&half, bytes + size - 4, 4);
        ends.last = half;
    }
    else if (size > 0) {
        ends.first = (uint64_t)bytes[0] << 8 | bytes[size / 2];
        ends.last = bytes[size - 1];
    }
    return ends;
}

ALWAYS_INLINE int
load_is_ascii(const unsigned char *bytes, size_t size)
{
    struct load_ends ends = load_ends(bytes, size);
    uint64_t seen = ends.first | ends.last, word;
    for (size_t at = 8; at + 8 < size; at += 8) {
        memcpy(&word, bytes + at, 8);
        seen |= word;
    }
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

/* memcpy() of a text, which mostly is short. */
ALWAYS_INLINE void
load_copy_text(unsigned char *to, const unsigned char *bytes, size_t size)
{
    if (size > 16 || size < 4) {
        memcpy(to, bytes, size);
        return;
    }
    struct load_ends ends = load_ends(bytes, size);
    if (size >= 8) {
        memcpy(to, &ends.first, 8);
        memcpy(to + size - 8, &ends.last, 8);
        return;
    }
    uint32_t half = (uint32_t)ends.first;
    memcpy(to, &half, 4);
    half = (uint32_t)ends.last;
    memcpy(to + size - 4, &half, 4);
}

/* A text that is longer goes by the interpreter's decoder, which looks at each byte once. */
enum { LOAD_LONG_TEXT = 4096 };

/* The same, quickly for short texts in ASCII. */
ALWAYS_INLINE PyObject *
load_make_string(struct core_state *state, const unsigned char *bytes, size_t size)
{
    if (size < 2) {
        return size == 1 && bytes[0] < 128 ? Py_NewRef(state->ascii_characters[bytes[0]])
                                           : load_decode_string(state, bytes, size);
    }
    if (size > LOAD_LONG_TEXT || !load_is_ascii(bytes, size)) {
        return load_decode_string(state, bytes, size);
    }
    PyObject *string = PyUnicode_New((Py_ssize_t)size, 127);
    if (likely(string != NULL)) {
        load_copy_text(PyUnicode_1BYTE_DATA(string), bytes, size);
    }
    return string;
}

/* The object that EMPTY_TUPLE NEWOBJ makes of the class on top of the stack, if that is
   a class whose __new__ is object's: 1 and it has replaced the class, 0 if it is not
   such a class, -1 with an exception. */
int load_plain_object(struct unpickler *unpickler);

/* cls.__new__(cls, *arguments, **keywords); keywords may be NULL.  Strong, or NULL with an
   exception.  Runs Python code. */
PyObject *load_make_new(struct core_state *state, PyObject *cls, PyObject *arguments,
                        PyObject *keywords);

/* set(list) or frozenset(list), which pickles of protocol 3 and less have, where the keys are to
   be looked at one by one (load_keys.h): OUTCOME_DONE, OUTCOME_RAISED, or OUTCOME_BAIL for all
   else.  Runs Python code. */
enum outcome load_make_set(struct unpickler *unpickler, PyObject *callable,
                           PyObject *const *arguments, Py_ssize_t count, PyObject **made);

/* The class that two lines of ASCII name, as INST wants it; strong, or NULL with an
   exception.  Runs Python code. */
PyObject *load_class_of_lines(struct unpickler *unpickler);

/* MEMOIZE, SHORT_BINUNICODE, MEMOIZE and STACK_GLOBAL behind a string, as one: `bytes` are
   the module's name up to the end of the name.  1 and the global is pushed, 0 and nothing
   done, -1 with an exception.  Runs Python code. */
int load_global_of_bytes(struct unpickler *unpickler, const unsigned char *bytes, size_t size,
                         size_t module_size, size_t name_size);

/* Unpickler.find_class() as it is where nobody overrides it; strong, or NULL with an
   exception.  Runs Python code. */
PyObject *load_find_class(struct unpickler *unpickler, PyObject *module_name, PyObject *name);

/* cls.__new__(cls, *arguments) in the same way, at NEWOBJ.  1 and done, 0 and nothing
   done if that takes a tuple, -1 with an exception.  Runs Python code. */
int load_call_new(struct unpickler *unpickler, PyObject **arguments);

/* callable(*arguments) for the arguments from `arguments` to the top of the stack, with
   the callable right below them; replaces all by the result.  Runs Python code. */
int load_call(struct unpickler *unpickler, PyObject **arguments);

#define DECLARE_OPCODE(opcode, function, shape) int function(struct unpickler *unpickler);
LOAD_OPCODES_CALLED(DECLARE_OPCODE)
#undef DECLARE_OPCODE

ALWAYS_INLINE int
load_mark(struct unpickler *unpickler)
{
    if (unlikely(unpickler->mark_count == unpickler->mark_capacity)
        && load_grow_marks(unpickler) < 0) {
        return -1;
    }
    unpickler->marks[unpickler->mark_count++] = (size_t)(unpickler->top - unpickler->stack);
    unpickler->fence = unpickler->top;
    return 0;
}

#endif
