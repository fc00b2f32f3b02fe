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
    for (size_t index = 0; index < map->count; index++) {
        enter(map, index);
    }
    return 0;
}

int
ptrmap_put(struct ptrmap *map, void *key, void *value)
{
    if (map->count == map->capacity) {
        size_t capacity = map->capacity == 0 ? FIRST_CAPACITY : 4 * map->capacity;
        if (resize(map, capacity) < 0) {
            return -1;
        }
    }
    map->pairs[map->count] = (struct ptrpair){key, value};
    enter(map, map->count++);
    return 0;
}

void
ptrmap_empty(struct ptrmap *map)
{
    if (map->capacity > PTRMAP_KEEP) {
        ptrmap_free(map);
    }
    else if (map->count > 0) {
        memset(map->table, 0, (map->mask + 1) * sizeof(uint32_t));
        map->count = 0;
    }
}

void
ptrmap_free(struct ptrmap *map)
{
    PyMem_Free(map->pairs);
    PyMem_Free(map->table);
    *map = (struct ptrmap){0};
}
