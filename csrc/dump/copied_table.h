/* Picklers that are each given a copy of the same tables.

   The __init__ of multiprocessing's ForkingPickler, of which there is one for each message, says

       super().__init__(*args)
       self.dispatch_table = self._copyreg_dispatch_table.copy()
       self.dispatch_table.update(self._extra_reducers)

   With many reducers registered the copy takes longer than all else.  So a class with such an
   __init__ (the compiler reads it, once the class has been called often enough) is called by
   copied_table_call(), its tp_vectorcall, and the copy is handed on: when a pickler has died, and
   nobody else has its dict, the next one gets that dict.  Each pickler that lives has a dict of
   its own, then, with what the tables had when it was made.

   A copy that waits is let go at once when one of the tables changes, or the copy itself, of which
   the interpreter tells (dictwatch.h); so it never is the last to hold anything.  A class that was
   changed has another version, and is called as usual, until it was read again. */
#ifndef FASTCOPYREG_DUMP_COPIED_TABLE_H
#define FASTCOPYREG_DUMP_COPIED_TABLE_H

#include "base/dictwatch.h"
#include "base/state.h"

/* The facts read of a class.  All is borrowed but the code: the class has it while its version is
   the same. */
struct copied_table_class {
    unsigned version; /* 0: nothing was read */
    PyObject *init;   /* __init__, a function ... */
    PyObject *code;   /* ... which had this code; strong */
    PyObject *owner;  /* the class that super() stands for there */
    PyObject *table;  /* exact dicts: the one that is copied ... */
    PyObject *added;  /* ... and the one that the copy is updated with */
};

enum { COPIED_TABLE_CLASSES = 2 };

/* Makes a pickler of a class derived from Pickler, with a file and a protocol (NULL: the default)
   that run no Python code, and with a dispatch_table of its own, which is stolen.  Strong, or NULL
   with an exception. */
typedef PyObject *make_pickler(PyTypeObject *type, PyObject *file, PyObject *protocol,
                               PyObject *table);

struct copied_tables {
    make_pickler *make;
    struct copied_table_class classes[COPIED_TABLE_CLASSES];
    int oldest; /* of the classes */
    struct dictwatch watch;
    struct dictwatch_kept kept; /* the copy that is handed on */
    PyObject *table, *added;    /* of which it is one; only compared, while there is one */
};

/* As parts of the room `dump`. */
void copied_tables_setup(struct core_state *state);
int copied_tables_traverse(struct core_state *state, visitproc visit, void *arg);
void copied_tables_release(struct core_state *state);
void copied_tables_teardown(struct core_state *state);

/* True if a pickler's table has for a type what copyreg.dispatch_table has, whose metaclass leaves
   alone how classes are hashed and compared.  Runs no Python code. */
int copied_table_agrees(struct core_state *state, PyObject *table, PyTypeObject *type);

/* Meets a class derived from Pickler of which an instance is about to be made.  0, or -1 with an
   exception.  May run Python code. */
int copied_table_meet(struct core_state *state, PyTypeObject *type);

#endif
