/* Metaclasses: which of them leave a class as it would be without one.

   A metaclass may give its classes another hash, another equality, other attributes.  Most do not:
   those of abstract classes, of enumerations and of models check, make and register classes, and
   leave alone what pickle and copy ask of a class.  The questions, and who answers them:

     - they look classes up in tables: tp_hash and tp_richcompare of the metaclass;
     - they ask a class for names that each class has (__module__, __qualname__, __name__,
       __reduce__, __new__).  The class answers, unless the metaclass has a data descriptor under
       the name, or a __getattribute__ of its own.  Its __getattr__ is not reached;
     - copy asks for __copy__, which most classes lack: then a metaclass answers that has one, or
       a __getattr__;
     - they call classes: tp_call;
     - they ask issubclass(cls, type), which is `type`'s own affair;
     - the first object of a class is always asked for its reduce value by the standard library's
       functions, which set __slotnames__: a __setattr__ is called as it is there.

   So the slots and names of a metaclass are looked at, and not its identity.  The facts found are
   kept here, by the version of the metaclass: they last until the metaclass or one of its bases
   changes.  The version of a class does not cover its metaclass: a guard on anything that follows
   from these facts has the version of the metaclass too.

   A metaclass that has a metaclass of its own is not looked into. */
#ifndef FASTCOPYREG_BASE_METACLASS_H
#define FASTCOPYREG_BASE_METACLASS_H

#include "base/compat.h"

struct core_state;

enum metaclass_fact {
    /* Classes are hashed and compared by identity. */
    METACLASS_PLAIN_KEY = 1,
    /* The names above, and all that the metaclass lacks, are looked up in the class itself; its
       __name__ and __qualname__ are those that `type` gives. */
    METACLASS_PLAIN_NAMES = 2,
    /* Where a class has no __copy__ there is none, and nobody is asked. */
    METACLASS_LACKS_COPY = 4,
    /* Calling a class is type.__call__(). */
    METACLASS_PLAIN_CALL = 8,
    METACLASS_ORDINARY = METACLASS_PLAIN_KEY | METACLASS_PLAIN_NAMES,
    METACLASS_IS_TYPE = METACLASS_ORDINARY | METACLASS_LACKS_COPY | METACLASS_PLAIN_CALL
};

/* The facts of one version of a metaclass; METACLASSES_KNOWN of them are kept. */
struct known_metaclass {
    unsigned version; /* 0: nothing */
    unsigned facts;
};

enum { METACLASSES_KNOWN = 32 };

/* The part of metaclass_facts() for others than `type`. */
unsigned metaclass_find_facts(struct core_state *state, PyTypeObject *metaclass);

/* The facts about the metaclass of a class; 0 if nothing can be known.  They hold as long as
   type_version(Py_TYPE(type)) is the same; a metaclass that has facts has a version.  Runs no
   Python code. */
ALWAYS_INLINE unsigned
metaclass_facts(struct core_state *state, PyTypeObject *type)
{
    PyTypeObject *metaclass = Py_TYPE((PyObject *)type);
    return likely(metaclass == &PyType_Type) ? METACLASS_IS_TYPE
                                             : metaclass_find_facts(state, metaclass);
}

/* True if the class is hashed and compared by identity, and gives the names above as classes of
   `type` do.  To be asked again after foreign code.  Runs no Python code. */
ALWAYS_INLINE int
metaclass_leaves_alone(struct core_state *state, PyTypeObject *type)
{
    return (metaclass_facts(state, type) & METACLASS_ORDINARY) == METACLASS_ORDINARY;
}

/* True if an attribute that the class has under the name, which need not be one of those above, is
   found as in a class of `type`; says nothing of a name that the class lacks.  Runs no Python
   code. */
int metaclass_gives(struct core_state *state, PyTypeObject *type, PyObject *name);

#endif
