/* What is known of classes and of code, by their addresses.

   The key of a class is its address only, so that no class is kept alive; a weak reference tells
   whether it is still the one that was met.  (It is the one that the base has of its subclass, so
   nobody sees another.)  That of a function is its code, which the entry owns.

   Nothing tells of a death.  When the table is half full, the entries that nothing leads to any
   more (of classes that died, of code that only we hold) are taken out of it, and so the table is
   as large as what lives.  They are not freed there: what is under way may be using them.  Their
   owner does that with weaktable_free_dead() when nothing is.

   An entry is a struct of its owner's that begins with a struct keyed; it is made with all else
   zero, and stays where it is. */
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
    size_t refusals; /* how many more are not, before it is looked again who lives */
    size_t sweeps;   /* how often that was done */
    struct weaktable_entry *dead;
    size_t entry_size;
    void (*release)(struct weaktable_entry *); /* what the owner's part of an entry owns */
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

/* Whether the entry is of the class at its address, and not of one that is dead. */
int weaktable_is_same_class(const struct weaktable_entry *entry);

/* Frees what was taken out, when none of it is in use.  May run Python code: callbacks of weak
   references to code. */
void weaktable_free_dead(struct weaktable *table);

#endif
