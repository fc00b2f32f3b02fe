/* Facts of constructors: an entry for each class and function that was met, and the plan of those
   that were read.

   An entry (weaktable.h) stays as it is but for the plan that it gets: a class of another version
   gets another entry.  Entries of the dead are freed when no plan runs. */
#ifndef FASTCOPYREG_TYPES_CONSTRUCTORS_H
#define FASTCOPYREG_TYPES_CONSTRUCTORS_H

#include "types/class_values.h"
#include "base/weaktable.h"
#include "plans/plan.h"
#include "plans/trial.h"

enum { STORES_MAX = 31 };

/* A store of a plain constructor: a slot, or a value of the instance. */
struct store {
    uint8_t is_slot;
    uint16_t argument;  /* the positional argument that is stored */
    uint16_t parameter; /* that has the default if there are fewer arguments */
    Py_ssize_t place;   /* offset of the slot, or index of the value */
    PyObject *name;     /* the plan owns it */
};

/* The facts of a class or function. */
struct constructor {
    struct weaktable_entry weaktable_entry; /* of a class, or of the code of a function */
    unsigned version;                       /* of the class; 0 for functions */
    unsigned met;
    unsigned readings; /* of this very class, which changes now and then */
    enum plan_status status;
    struct plan *plan;                       /* of those that are ready and not known */
    struct value_class *known;               /* owned; see value_classes.h */
    struct trial trial;                      /* of the plan */
    PyObject *functions[PLAN_FUNCTIONS_MAX]; /* borrowed while the version holds */
    PyObject *codes[PLAN_FUNCTIONS_MAX];     /* strong */
    struct class_values under_stores;        /* the class's attributes under the names stored */
    /* Where every store is of an argument, and all names have their places: */
    int plain;
    int takes;    /* so many arguments, each of which is stored once; -1: not so */
    int in_slots; /* all of them */
    int is_bare;  /* and the instance is nothing else, so that it can be made untracked */
    int store_count;
    struct store stores[STORES_MAX];
};

enum { CALLED_COUNT = 64 };

/* A callable that was read, and is to be called: while its code, or its version, is this. */
struct called {
    PyObject *callable; /* not owned: only compared */
    uintptr_t guard;
};

struct constructors {
    struct weaktable table;
    int busy; /* plans that run: nothing is freed */
    struct called called[CALLED_COUNT];
};

/* The entry of a class or code, NULL if it was not met; borrowed until Python code runs. */
static inline struct constructor *
constructors_find(struct constructors *constructors, PyObject *key)
{
    return (struct constructor *)weaktable_find(&constructors->table, key);
}

/* The same, and a new one if it was not met, or not in this version; NULL, without an exception,
   where no more are kept.  Runs no Python code. */
struct constructor *constructors_meet(struct constructors *constructors, PyObject *key,
                                      unsigned version);

/* Frees what is dead, if no plan runs.  May run Python code. */
void constructors_free_dead(struct constructors *constructors);

/* 0, or -1 with MemoryError. */
int constructors_setup(PyObject *module);
void constructors_teardown(struct core_state *state);

#endif
