/* Metaclasses: see metaclass.h. */
#include "base/metaclass.h"

#include "base/state.h"
#include "base/layout.h"

/* True if the metaclass has under the name the very object that `type` has. */
static int
inherits_from_type(PyTypeObject *metaclass, PyObject *name)
{
    return type_lookup(metaclass, name) == type_lookup(&PyType_Type, name);
}

/* True if what a class has under the name comes before what the metaclass has: that is nothing, or
   what `type` has, or no data descriptor, of a type that will not make it one. */
static int
goes_by_class(PyTypeObject *metaclass, PyObject *name)
{
    PyObject *own = type_lookup(metaclass, name);
    return own == NULL || own == type_lookup(&PyType_Type, name)
           || (Py_TYPE(own)->tp_descr_set == NULL
               && PyType_HasFeature(Py_TYPE(own), Py_TPFLAGS_IMMUTABLETYPE));
}

/* True if the names of classes are given as by `type`.  A class that has a __getattribute__ in C
   has it as an attribute too, and so has one that has a __getattr__ the one that comes first. */
static int
has_plain_names(struct core_state *state, PyTypeObject *metaclass)
{
    const struct core_strings *str = &state->str;
    return inherits_from_type(metaclass, str->getattribute)
           && inherits_from_type(metaclass, str->name)
           && inherits_from_type(metaclass, str->qualname)
           && inherits_from_type(metaclass, str->mro) && goes_by_class(metaclass, str->module)
           && goes_by_class(metaclass, str->reduce) && goes_by_class(metaclass, str->new);
}

static unsigned
read_facts(struct core_state *state, PyTypeObject *metaclass)
{
    PyTypeObject *type = &PyType_Type;
    unsigned facts = 0;
    if (!Py_IS_TYPE((PyObject *)metaclass, type) || !PyType_IsSubtype(metaclass, type)) {
        return 0;
    }
    if (metaclass->tp_hash == type->tp_hash && metaclass->tp_richcompare == type->tp_richcompare) {
        facts |= METACLASS_PLAIN_KEY;
    }
    if (has_plain_names(state, metaclass)) {
        facts |= METACLASS_PLAIN_NAMES;
    }
    if (metaclass->tp_getattro == type->tp_getattro
        && type_lookup(metaclass, state->str.copy) == NULL) {
        facts |= METACLASS_LACKS_COPY;
    }
    if (metaclass->tp_call == type->tp_call) {
        facts |= METACLASS_PLAIN_CALL;
    }
    return facts;
}

unsigned
metaclass_find_facts(struct core_state *state, PyTypeObject *metaclass)
{
    if (!layout_is_known()) {
        return 0;
    }
    unsigned version = type_version(metaclass);
    struct known_metaclass *known = &state->metaclasses[version % METACLASSES_KNOWN];
    if (likely(version != 0 && version == known->version)) {
        return known->facts;
    }
    version = type_assign_version(metaclass, state->str.name);
    if (version == 0) {
        return 0;
    }
    known = &state->metaclasses[version % METACLASSES_KNOWN];
    known->version = version;
    known->facts = read_facts(state, metaclass);
    return known->facts;
}

int
metaclass_gives(struct core_state *state, PyTypeObject *type, PyObject *name)
{
    return type_lookup(Py_TYPE((PyObject *)type), name) == NULL
           && (metaclass_facts(state, type) & METACLASS_PLAIN_NAMES) != 0;
}
