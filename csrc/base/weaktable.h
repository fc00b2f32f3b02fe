/* Weak table: facts of classes and of code, by their addresses, without those of the dead.

   The key of a class is its address only, so that no class is kept alive; a weak reference tells
   whether it is still the one that was met.  (The base has the same weak reference to its
   subclass, so nobody sees a new one.)  The key of a function is its code, which the entry owns.

   Nothing tells of a death.  When the table is half full, the entries that nothing leads to any
   more (of classes that died, of code that only we hold) are taken out of it, and so the table is
   as large as what lives.  They are not freed there, because work that is under way may be using
   them.  The owner of the table frees them with weaktable_free_dead() when nothing is under way.

   An entry is a struct of the owner's that begins with a struct weaktable_entry; the rest is zero
   at first, and the entry never moves. */
#ifndef FASTCOPYREG_BASE_WEAKTABLE_H
#define FASTCOPYREG_BASE_WEAKTABLE_H

#include "base/idmap.h"

struct weaktable_entry {
    PyObject *key; /* a class, an address only; or code */
    PyObject
        *holder; /* a weak reference to the class; the code; NULL for a type that never dies */
    struct weaktable_entry *next; /* of the dead */
};

struct weaktable {
    struct weaktable_entry **places; /* open addressing */
    size_t mask;
    size_t used;
    size_t most;     /* so many that live are taken in */
    size_t refusals; /* how many are refused before the table is swept again */
    size_t sweeps;   /* how often it was swept */
    struct weaktable_entry *dead;
    size_t entry_size;
    void (*release)(struct weaktable_entry *); /* of the references of the owner's part */
};

/* Makes an empty table.  0, or -1 with MemoryError. */
int weaktable_setup(struct weaktable *table, size_t entry_size, size_t most,
                    void (*release)(struct weaktable_entry *));

/* Frees everything; also a table that was never made. */
void weaktable_teardown(struct weaktable *table);

/* The place of a key, or the free place where it would be. */
ALWAYS_INLINE struct weaktable_entry **
weaktable_place(struct weaktable_entry **places, size_t mask, const void *key)
{
    size_t i = idmap_hash(key) & mask;
    while (places[i] != NULL && (void *)places[i]->key != key) {
        i = (i + 1) & mask;
    }
    return &places[i];
}

/* The entry of a class or code, or NULL; borrowed until weaktable_free_dead(). */
ALWAYS_INLINE struct weaktable_entry *
weaktable_find(const struct weaktable *table, const void *key)
{
    return *weaktable_place(table->places, table->mask, key);
}

/* Adds an entry for a key that has none; NULL without an exception where no more are kept, or
   without memory.  Runs no Python code. */
struct weaktable_entry *weaktable_add(struct weaktable *table, PyObject *key);

/* A new entry in the place of one; NULL as above, and the old one stays.  Runs no Python code. */
struct weaktable_entry *weaktable_replace(struct weaktable *table, struct weaktable_entry *old);

/* True if the entry is of the class at its address, and not of one that is dead. */
int weaktable_is_same_class(const struct weaktable_entry *entry);

/* Frees the entries that were taken out, when none of them is in use.  May run Python code:
   callbacks of weak references to code. */
void weaktable_free_dead(struct weaktable *table);

#endif
