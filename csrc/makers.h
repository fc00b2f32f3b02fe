/* What is known of constructors: an entry for each class and function that was met, and the plan
   of those that were read.

   The key of a class is its address only, so that no class is kept alive; a weak reference tells
   whether it is still the one that was met.  That of a function is its code, which the entry owns.

   An entry stays as it is but for the plan that it gets: a class of another version gets another
   entry.  Entries that nothing leads to any more (of dead classes and code, and of other versions)
   are taken out when the table is half full, and freed when no plan runs, as freeing them may run
   Python code: callbacks of weak references to the code, of which the compiler has one. */
#ifndef FASTCOPYREG_MAKERS_H
#define FASTCOPYREG_MAKERS_H

#include "steps.h"

#if KNOWN_LAYOUT

enum { STORES_MAX = 31 };

/* A store of a plain maker: a slot, or a value of the instance. */
struct store {
    uint8_t is_slot;
    uint16_t argument;  /* the positional argument that is stored */
    uint16_t parameter; /* whose default it is if there are fewer */
    Py_ssize_t place;   /* offset of the slot, or index of the value */
    PyObject *name;     /* the plan owns it */
};

/* What is known of a class or function. */
struct maker {
    PyObject *key;    /* a class, an address only; or the code of a function, strong */
    PyObject *weak;   /* a weak reference to the class */
    unsigned version; /* of the class; 0 for functions */
    unsigned met;
    unsigned readings; /* of this very class, which changes now and then */
    enum step_status status;
    struct steps *steps;                      /* of those that are ready and not known */
    struct known *known;                      /* owned; see make_known.h */
    PyObject *functions[STEPS_FUNCTIONS_MAX]; /* borrowed while the version holds */
    PyObject *codes[STEPS_FUNCTIONS_MAX];     /* strong */
    /* Where every store is of an argument, and all names have their places: */
    int plain;
    int takes;    /* so many arguments, each of which is stored once; -1: not so */
    int in_slots; /* all of them */
    int store_count;
    struct store stores[STORES_MAX];
    struct maker *next; /* of the dead */
};

struct makers {
    struct maker **table; /* by the address of the key; open addressing */
    size_t mask;
    size_t used;
    size_t refusals; /* how many more are not taken up, before it is counted again who lives */
    int busy;        /* plans that run: nothing is freed */
    struct maker *dead;
};

/* The place of a key, or the free place where it would be. */
static inline struct maker **
makers_place(struct maker **table, size_t mask, PyObject *key)
{
    size_t i = ((uintptr_t)key >> 5) & mask;
    while (table[i] != NULL && table[i]->key != key) {
        i = (i + 1) & mask;
    }
    return &table[i];
}

/* The entry of a class or code, NULL if it was not met; borrowed until Python code runs. */
static inline struct maker *
makers_find(struct makers *makers, PyObject *key)
{
    return *makers_place(makers->table, makers->mask, key);
}

/* The same, and a new one if it was not met, or not in this version; NULL, without an exception,
   where no more are kept.  Runs no Python code. */
struct maker *makers_meet(struct makers *makers, PyObject *key, unsigned version);

/* Frees what is dead, if no plan runs.  May run Python code. */
void makers_free_dead(struct makers *makers);

#endif

/* 0, or -1 with MemoryError. */
int makers_setup(PyObject *module);
void makers_teardown(struct core_state *state);

#endif
