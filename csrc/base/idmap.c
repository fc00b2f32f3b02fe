/* Identity map: see idmap.h. */
#include "base/idmap.h"

enum { FIRST_CAPACITY = 32 };

/* Writes the index of a pair into the first free slot behind its hash. */
static void
enter_pair(struct idmap *map, size_t index)
{
    size_t slot = idmap_hash(map->pairs[index].key) & map->mask;
    while (map->table[slot] != 0) {
        slot = (slot + 1) & map->mask;
    }
    map->table[slot] = (uint32_t)(index + 1);
}

/* An empty table for all that is in the log, with twice as many places.  0, or -1. */
static int
make_table(struct idmap *map)
{
    size_t capacity = map->capacity == 0 ? FIRST_CAPACITY : map->capacity;
    while (capacity < map->count) {
        capacity *= capacity < 4096 ? 4 : 2;
    }
    uint32_t *table =
        map->count < UINT32_MAX ? PyMem_Calloc(2 * capacity, sizeof(uint32_t)) : NULL;
    if (table == NULL) {
        return -1;
    }
    PyMem_Free(map->table);
    map->table = table;
    map->capacity = capacity;
    map->mask = 2 * capacity - 1;
    map->entered = 0;
    return 0;
}

int
idmap_catch_up(struct idmap *map)
{
    if (unlikely(map->count > map->capacity) && make_table(map) < 0) {
        return -1;
    }
    while (map->entered < map->count) {
        enter_pair(map, map->entered++);
    }
    return 0;
}

struct idpair *
idmap_find_in_log(struct idmap *map, const void *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (map->pairs[i].key == key) {
            return &map->pairs[i];
        }
    }
    return NULL;
}

int
idmap_grow(struct idmap *map)
{
    size_t room = map->room == 0 ? FIRST_CAPACITY : idmap_next_room(map->room);
    struct idpair *pairs = PyMem_Realloc(map->pairs, room * sizeof(struct idpair));
    if (pairs == NULL) {
        return -1;
    }
    map->pairs = pairs;
    map->room = room;
    return 0;
}

struct idpair *
idmap_meet(struct idmap *map, void *key)
{
    if (idmap_append(map, key, NULL) < 0) {
        return NULL;
    }
    size_t last = map->count - 1;
    if (unlikely(map->count > map->capacity) && make_table(map) < 0) {
        map->count = last;
        return NULL;
    }
    while (map->entered < last) {
        enter_pair(map, map->entered++);
    }
    size_t slot = idmap_hash(key) & map->mask;
    for (; map->table[slot] != 0; slot = (slot + 1) & map->mask) {
        struct idpair *pair = &map->pairs[map->table[slot] - 1];
        if (pair->key == key) {
            map->count = last;
            return pair;
        }
    }
    map->table[slot] = (uint32_t)map->count;
    map->entered = map->count;
    return &map->pairs[last];
}

/* Gives the table back. */
static void
drop_table(struct idmap *map)
{
    PyMem_Free(map->table);
    map->table = NULL;
    map->capacity = map->mask = 0;
}

void
idmap_empty(struct idmap *map)
{
    if (map->room > IDMAP_KEEP_PAIRS) {
        idmap_free(map);
        return;
    }
    if (map->capacity > IDMAP_KEEP_TABLE) {
        drop_table(map);
    }
    else if (map->entered > 0) {
        memset(map->table, 0, (map->mask + 1) * sizeof(uint32_t));
    }
    map->count = map->entered = 0;
}

void
idmap_free(struct idmap *map)
{
    PyMem_Free(map->pairs);
    PyMem_Free(map->table);
    *map = (struct idmap){0};
}
