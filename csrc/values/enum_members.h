/* Members of enumerations, found by their values without running EnumType.__call__() and
   Enum.__new__(), whose code must be what was compared with what is here (value_classes.h).

   Calling an enumeration with a value comes to a look-up in a dict of the class.  Where all keys
   of that dict, and the value, are atoms of the interpreter's own, it runs no code.  A value that
   is not there is for the class to say something of. */
#ifndef FASTCOPYREG_VALUES_ENUM_MEMBERS_H
#define FASTCOPYREG_VALUES_ENUM_MEMBERS_H

#include "base/state.h"

/* The objects are borrowed: the class, or its metaclass, holds them in this version. */
struct enum_members {
    unsigned metaclass_version;
    PyObject *by_value; /* the class's dict of members by their values */
    PyObject *by_name;  /* and by their names: an empty one makes the call another */
    PyObject *call;     /* EnumType.__call__() */
    PyObject *names;    /* the default of its argument `names` that says there are none */
    Py_ssize_t credit;  /* keys that may be looked at, so that this costs less than it saves */
};

/* True if the class may be an enumeration, by its looks: its metaclass calls it in its own way,
   and it has members. */
int enum_members_may_be_of(struct core_state *state, PyTypeObject *type);

/* Finds the members of a class; `functions`: those that are left out.  1, or 0 if the class or its
   metaclass has anything that is unusual.  Runs no Python code. */
int enum_members_read(struct core_state *state, struct enum_members *members, PyTypeObject *type,
                      PyObject *functions, PyObject *names);

/* Counts a look-up; true if there is credit to look at all keys. */
int enum_members_afford(struct enum_members *members);

/* True if the keys of the dict are atoms.  It is asked once more after a change, of any dict that
   is watched. */
int enum_members_are_plain(struct enum_members *members);

/* The arguments of one member, strong; NULL if there is none, or with an exception. */
PyObject *enum_members_sample(const struct enum_members *members);

/* The result of the class for the arguments: OUTCOME_DONE and *made, strong, or OUTCOME_BAIL if it
   is to be called.  The class has not changed since it was read.  Runs no Python code. */
enum outcome enum_member_find(const struct enum_members *members, PyTypeObject *type,
                              PyObject *const *arguments, Py_ssize_t count, PyObject **made);

#endif
