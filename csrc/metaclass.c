/* Metaclasses: see metaclass.h. */
#include "metaclass.h"

#include "module.h"

#if KNOWN_LAYOUT

/* Whether the name is to be looked up in a class first: the metaclass has nothing under it that
   goes before, or what `type` has. */
static int
goes_by_class(PyTypeObject *metaclass, PyObject *name)
{
    PyObject *own = type_lookup(metaclass, name);
    return own == type_lookup(&PyType_Type, name) || own == NULL
           || Py_TYPE(own)->tp_descr_set == NULL;
}

/* Whether it is so, found out. */
static int
is_ordinary(struct core_state *state, PyTypeObject *metaclass)
{
    const struct core_strings *str = &state->str;
    PyTypeObject *type = &PyType_Type;
    return Py_IS_TYPE((PyObject *)metaclass, type) && PyType_IsSubtype(metaclass, type)
           && metaclass->tp_hash == type->tp_hash
           && metaclass->tp_richcompare == type->tp_richcompare
           && metaclass->tp_getattro == type->tp_getattro
           && type_lookup(metaclass, str->name) == type_lookup(type, str->name)
           && type_lookup(metaclass, str->qualname) == type_lookup(type, str->qualname)
           && type_lookup(metaclass, str->mro) == type_lookup(type, str->mro)
           && goes_by_class(metaclass, str->module) && goes_by_class(metaclass, str->reduce);
}

int
metaclass_is_ordinary(struct core_state *state, PyTypeObject *metaclass)
{
    unsigned version = type_version(metaclass), *known = state->ordinary_metaclasses;
    if (likely(version != 0 && version == known[version % ORDINARY_METACLASSES])) {
        return 1;
    }
    if (!is_ordinary(state, metaclass)) {
        return 0;
    }
    version = type_assign_version(metaclass, state->str.name);
    known[version % ORDINARY_METACLASSES] = version;
    return 1;
}

#else

int
metaclass_is_ordinary(struct core_state *Py_UNUSED(state), PyTypeObject *Py_UNUSED(metaclass))
{
    return 0;
}

#endif
