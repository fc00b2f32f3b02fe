/* Values of the standard library: datetimes, decimals, ranges, deques and their kind.

   Each type has a row that says how its objects are read where they lie: the arguments that
   its reducer would give, of which most are new with every call, and what comes after them.
   Nothing is called, and no reduce value is made.

   A row is for one type, found by its names and by the module that implements it, and only while
   that type's reducer is the one that the row was written for: the types of C cannot be changed,
   those of Python have a guard on the code of each function that is left out.  All exceptions that
   have inherited BaseException's reducer, also those of Python, share a row.  The first object of
   a type that is met by a process is asked, and its reduce value is compared with the parts that
   the row reads; a difference turns the row off for good.

   Nothing here runs Python code, but values_check(). */
#ifndef FASTCOPYREG_VALUES_VALUES_H
#define FASTCOPYREG_VALUES_VALUES_H

#include "base/compat.h"

struct core_state;

enum value_status { VALUE_UNCHECKED, VALUE_HOLDS, VALUE_OFF };

/* The number of rows. */
enum { VALUES = 24 };

enum value_kind {
    VALUE_OBJECT, /* an object that the value holds */
    VALUE_BYTES,  /* new bytes */
    VALUE_TEXT,   /* a new str, ASCII, of more than one character */
    VALUE_NUMBER, /* an int */
    VALUE_REAL,   /* a new float */
    VALUE_EMPTY   /* the empty tuple */
};

struct value_part {
    enum value_kind kind;
    Py_ssize_t size;
    union {
        PyObject *object; /* borrowed */
        const char *data;
        int64_t number;
        double real;
    } is;
};

/* The longest text or bytes, and the most arguments. */
enum { VALUE_LENGTH = 255, VALUE_TEXT_ROOM = 48, VALUE_PARTS = 8 };

/* The arguments of a reducer. */
struct value_parts {
    int count;
    int plain; /* all of them are written without foreign code, if there is room */
    int items; /* other plain parts: keys and values of a copy */
    struct value_part list[VALUE_PARTS];
    PyObject *made;             /* strong, or NULL: the object in which a part's data lies */
    char text[VALUE_TEXT_ROOM]; /* or here */
};

/* The parts of a reduce value behind the arguments. */
enum value_contents {
    CONTENTS_NONE,
    CONTENTS_DICT,      /* the __dict__ as the state, also an empty one */
    CONTENTS_ITEMS,     /* an iterator over the object itself */
    CONTENTS_PAIRS,     /* an iterator over the items of an object that is a dict */
    CONTENTS_ORDERED,   /* the same, in an order of the object's own */
    CONTENTS_COPY,      /* no argument that was read: the one is a dict with the same items */
    CONTENTS_EXCEPTION, /* the __dict__ as the state if there is one; the part that was read is the
                           object's own tuple of arguments */
    CONTENTS_INTEGER    /* no arguments: the part that was read is the state {'int': part}, and
                           the constructor is __newobj__ */
};

/* A function that a row leaves out, found along the MRO. */
struct value_function {
    const char *name;
    int nth; /* definition, from 0 on; or MEMBER_GETTER */
};

/* Not of the type: of what describes SafeUUID.unknown. */
enum { MEMBER_GETTER = -1 };

enum { VALUE_FUNCTIONS = 8 };

struct value {
    const char *type_name; /* tp_name */
    const char *module;    /* which implements it */
    const char *name;      /* under which the module has it */
    size_t size;           /* of an object; 0: not looked at */
    /* Reads an object: 1, or 0 if it is to be asked.  May fill `made`. */
    int (*read)(struct core_state *state, PyObject *object, struct value_parts *parts);
    enum value_contents contents;
    int registered; /* by copyreg itself, with a function that the core knows */
    /* Of types of Python: the name under which _compiler/values.py knows the functions. */
    const char *known_as;
    struct value_function functions[VALUE_FUNCTIONS]; /* as many as have names */
};

/* Remembers what copyreg registers by itself.  0 or -1. */
int values_setup(PyObject *module);

/* Lets go of what is known of the rows. */
void values_teardown(struct core_state *state);

/* The row of a type; NULL if it has none. */
const struct value *values_find(struct core_state *state, PyTypeObject *type);

/* The row's status, which is the same for all types of that row. */
enum value_status *values_status(struct core_state *state, const struct value *value);

/* Reads the object.  1, or 0 if it is to be asked.  The parts are to be released with
   values_release() if it was read. */
static inline int
values_read(struct core_state *state, const struct value *value, PyObject *object,
            struct value_parts *parts)
{
    parts->count = 0;
    parts->plain = 1;
    parts->items = 0;
    parts->made = NULL;
    return value->read(state, object, parts);
}

static inline void
values_release(struct value_parts *parts)
{
    Py_CLEAR(parts->made);
}

/* The number of the row. */
size_t values_number(const struct value *value);

/* Asks _values.known() about the functions that the row leaves out, and remembers what the type
   was then.  A bool, or -1 with what a signal handler raised.  Runs Python code. */
int values_guard_is_known(struct core_state *state, const struct value *value, PyTypeObject *type);

/* True if nothing of the type has changed since it was checked, and the functions that the row
   leaves out have the code that they had, use the same builtins, and are monitored by no tool. */
int values_guard_holds(struct core_state *state, const struct value *value, PyTypeObject *type);

/* Compares what the reducer of the first object gave with what the row reads; before, asks
   whether the functions are known.  0, or -1 with what a signal handler raised.  Runs Python code
   for types of Python. */
int values_check(struct core_state *state, const struct value *value, PyObject *object,
                 PyObject *reduce_value);

#endif
