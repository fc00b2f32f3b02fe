/* Identity map: from addresses to addresses, in the order in which they were put.

   In a table of pairs, at twice the room that they need, every look-up in a big one is a cache
   miss on 16 or more bytes.  Here the pairs lie in a log, without gaps, and the table beside it
   holds four bytes an entry: a search for an address that is not there, the common case in a copy,
   mostly touches the small table alone.

       table  [ . 3 . . 1 . 2 . ]      0 is free, else 1 + index into the log
       pairs  [ (key, value) (key, value) (key, value) ]

   Pairs may be appended to the log alone; the next look-up makes the table and enters them.  A map
   that is never searched never has a table.

   The map knows nothing of Python objects, and owns nothing but its memory. */
#ifndef FASTCOPYREG_BASE_IDMAP_H
#define FASTCOPYREG_BASE_IDMAP_H

#include "base/compat.h"

struct idpair {
    void *key;
    void *value;
};

struct idmap {
    struct idpair *pairs;
    uint32_t *table; /* mask + 1 of them; NULL: none was needed */
    size_t count;
    size_t entered;  /* how many of them are in the table */
    size_t room;     /* for pairs */
    size_t capacity; /* of the table: so many pairs */
    size_t mask;
};

/* The most that is kept between uses.  A bigger table is freed when the map is emptied, so that a
   huge call does not slow down the clearing after every small one; the log needs no clearing. */
enum { IDMAP_KEEP_TABLE = 256, IDMAP_KEEP_PAIRS = 1 << 15 };

/* The room that follows one that is full.  What is large grows by a half, so that a third of it is
   unused at the most: the standard library's memo must not be the smaller one. */
ALWAYS_INLINE size_t
idmap_next_room(size_t room)
{
    return room < 4096 ? 4 * room : room + room / 2;
}

ALWAYS_INLINE size_t
idmap_hash(const void *key)
{
    uintptr_t address = (uintptr_t)key;
    return (size_t)((address >> 4) ^ (address >> 13));
}

/* Enters the pairs that were appended.  0, or -1 if there is no memory (no exception). */
int idmap_catch_up(struct idmap *map);

/* The pair of a key by the log alone, where there is no memory for a table. */
struct idpair *idmap_find_in_log(struct idmap *map, const void *key);

/* The pair of a key, good until the next put; NULL if it is not there. */
ALWAYS_INLINE struct idpair *
idmap_find(struct idmap *map, const void *key)
{
    if (map->count == 0) {
        return NULL;
    }
    if (unlikely(map->entered != map->count) && idmap_catch_up(map) < 0) {
        return idmap_find_in_log(map, key);
    }
    for (size_t slot = idmap_hash(key) & map->mask;; slot = (slot + 1) & map->mask) {
        uint32_t entry = map->table[slot];
        if (entry == 0) {
            return NULL;
        }
        if (map->pairs[entry - 1].key == key) {
            return &map->pairs[entry - 1];
        }
    }
}

/* Makes room for a pair.  0, or -1 if there is no memory (no exception). */
int idmap_grow(struct idmap *map);

/* The pair of a key, good until the next put.  If it was not there, its value is NULL, for the
   caller to set.  NULL if there is no memory (no exception). */
struct idpair *idmap_meet(struct idmap *map, void *key);

/* Puts a pair whose key is not there; the table is written by the next look-up.  0, or -1 if there
   is no memory (no exception). */
ALWAYS_INLINE int
idmap_append(struct idmap *map, void *key, void *value)
{
    if (unlikely(map->count == map->room) && idmap_grow(map) < 0) {
        return -1;
    }
    map->pairs[map->count++] = (struct idpair){key, value};
    return 0;
}

/* Forgets all pairs, and gives memory back if it is much. */
void idmap_empty(struct idmap *map);

/* Gives all memory back. */
void idmap_free(struct idmap *map);

#endif
