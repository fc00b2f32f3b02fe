/* The state of the room `dump` in each interpreter. */
#ifndef FASTCOPYREG_DUMP_ROOM_H
#define FASTCOPYREG_DUMP_ROOM_H

#include "base/state.h"
#include "dump/copied_table.h"
struct pickler;

struct dump_room {
    PyTypeObject *pickler_type;
    PyTypeObject *pickler_memo_type;
    struct pickler *idle_pickler; /* between calls of dumps; see pickler.c */
    PyCFunction bytes_io_write;   /* BytesIO.write, or NULL */
    unsigned hookless_version;    /* of a class that was found to have no hooks; 0: of none */
    struct copied_tables copied_tables;
};

extern const struct core_room dump_core_room;

#endif
