/* The forms of arguments with which an allowed object may be called: a small table for each, made
   from the rows of fastcopyreg/_safe/rows.py, which say the use of each kind.

   Matching (safe_match.h) looks at exact built-in objects and addresses only: it runs no Python
   code.  The copies that a call makes of its arguments are charged (safe_limits.h), as an argument
   may be fetched from the memo again and again. */
#ifndef FASTCOPYREG_LOAD_SAFE_FORMS_H
#define FASTCOPYREG_LOAD_SAFE_FORMS_H

#include "base/state.h"

/* In the order of KINDS in fastcopyreg/_safe/rows.py. */
enum safe_kind {
    SPEC_ANY,
    SPEC_NONE,
    SPEC_INT, /* from low to high, without bounds where these are the greatest */
    SPEC_FLOAT,
    SPEC_STR,     /* of at most high characters, all of `characters` */
    SPEC_BYTES,   /* from low to high bytes */
    SPEC_LIST,    /* or a tuple; low: of atoms */
    SPEC_DICT,    /* low: of atoms */
    SPEC_KEYS,    /* the same that is to be hashed */
    SPEC_EXACT,   /* an instance of exactly the type `object` */
    SPEC_SUBTYPE, /* or of a subtype */
    SPEC_IS,      /* the very object */
    SPEC_FACTORY, /* a factory of a defaultdict */
    SPEC_WORD,    /* a str equal to `object` */
    SPEC_PARTS    /* hashed and shown in no time; low: it fills no container */
};

struct safe_spec {
    enum safe_kind kind;
    long long low;
    long long high;
    PyObject *object;              /* NULL of SPEC_STR */
    unsigned char characters[128]; /* of ASCII: those that a text may have */
    int any_character;
};

struct safe_form {
    Py_ssize_t count;
    int repeats;     /* the last stands for any number of arguments */
    int are_numbers; /* exact ints and None fit, whatever else does */
    struct safe_spec *specs;
};

enum { FORMS_ANY = -1 };

struct safe_forms {
    Py_ssize_t count; /* FORMS_ANY: any arguments will do */
    struct safe_form *forms;
};

/* Reads forms as Python says them: None for any, or a tuple of (specs, repeats).  0, or -1 with an
   exception; the forms that were read are freed by forms_free(). */
int forms_read(struct safe_forms *forms, PyObject *object);
void forms_free(struct safe_forms *forms);
int forms_traverse(const struct safe_forms *forms, visitproc visit, void *arg);

/* True if a form has no arguments. */
int forms_take_nothing(const struct safe_forms *forms);

#endif
