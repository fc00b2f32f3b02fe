/* The entries to a dump: dump, dumps and the Pickler type. */
#ifndef FASTCOPYREG_DUMP_PICKLER_H
#define FASTCOPYREG_DUMP_PICKLER_H

#include "dump/save.h"

/* Adds the type and the functions to the module.  0, or -1 with an exception. */
int pickler_setup(PyObject *module);

/* Adds the type alone. */
int pickler_type_setup(PyObject *module);

/* Frees the memory that is kept between calls of dump and dumps. */
void pickler_teardown(struct core_state *state);

/* Initialises a pickler without hooks and with an empty memo, which takes over the memory of the
   idle pickler.  0 or -1. */
int pickler_init(struct pickler *pickler, struct core_state *state);

/* Releases the memo's references, and leaves memo and buffer to the next pickler if none is idle.
   May run Python code. */
void pickler_retire(struct pickler *pickler);

/* Reads the arguments of the same names.  0 or -1.  The callback is borrowed. */
int pickler_set_protocol(struct pickler *pickler, PyObject *protocol, int fix_imports);
int pickler_set_buffer_callback(struct pickler *pickler, PyObject *callback);

/* file.write; strong, or NULL with an exception.  May run Python code. */
PyObject *pickler_find_write(struct core_state *state, PyObject *file);

/* Makes every object pass by persistent_id, or none, after it was changed. */
void pickler_watch(struct pickler *pickler);

/* Pickles the object: with `write` to the file, else into bytes.  A new object, or NULL
   with an exception.  May run Python code. */
PyObject *pickler_run(struct pickler *pickler, PyObject *object, PyObject *write);

#endif
