/* Identity map: see ptrmap.h. */
#include "ptrmap.h"

enum { FIRST_CAPACITY = 32 };

/* Writes the index of a pair into the first free slot behind its hash. */
static void
enter(struct ptrmap *map, size_t index)
{
    size_t slot = ptrmap_hash(map->pairs[index].key) & map->mask;
    while (map->table[slot] != 0) {
        slot = (slot + 1) & map->mask;
    }
    map->table[slot] = (uint32_t)(index + 1);
}

/* Makes room for `capacity` pairs (a power of two) in a table twice that size. */
static int
resize(struct ptrmap *map, size_t capacity)
{
    if (capacity >= UINT32_MAX / 2) {
        return -1;
    }
    struct ptrpair *pairs = PyMem_Realloc(map->pairs, capacity * sizeof(struct ptrpair));
    if (pairs == NULL) {
        return -1;
    }
    map->pairs = pairs;
    uint32_t *table = PyMem_Calloc(2 * capacity, sizeof(uint32_t));
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

void
ptrmap_catch_up(struct ptrmap *map)
{
    while (map->entered < map->count) {
        enter(map, map->entered++);
    }
}

int
ptrmap_grow(struct ptrmap *map)
{
    return resize(map, map->capacity == 0 ? FIRST_CAPACITY : 4 * map->capacity);
}

int
ptrmap_put(struct ptrmap *map, void *key, void *value)
{
    if (ptrmap_append(map, key, value) < 0) {
        return -1;
    }
    ptrmap_catch_up(map);
    return 0;
}

void
ptrmap_empty(struct ptrmap *map)
{
    if (map->capacity > PTRMAP_KEEP) {
        ptrmap_free(map);
    }
    else if (map->count > 0) {
        if (map->entered > 0) {
            memset(map->table, 0, (map->mask + 1) * sizeof(uint32_t));
        }
        map->count = map->entered = 0;
    }
}

void
ptrmap_free(struct ptrmap *map)
{
    PyMem_Free(map->pairs);
    PyMem_Free(map->table);
    *map = (struct ptrmap){0};
}
