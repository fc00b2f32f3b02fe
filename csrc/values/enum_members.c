/* Members of enumerations: see enum_members.h. */
#include "values/enum_members.h"

#include "base/atom.h"
#include "base/layout.h"
#include "base/metaclass.h"

enum {
    /* Keys that may be looked at to begin with, and more for each look-up. */
    FIRST_CREDIT = 4096,
    CREDIT = 4,
    MOST_CREDIT = 1 << 20
};

int
enum_members_may_be_of(struct core_state *state, PyTypeObject *type)
{
    return unlikely(Py_TYPE((PyObject *)type)->tp_call != PyType_Type.tp_call)
           && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
           && type_lookup(type, state->str.value2member_map) != NULL;
}

/* A dict that the class, and not its metaclass, has under a name; borrowed, or NULL. */
static PyObject *
find_class_dict(struct core_state *state, PyTypeObject *type, PyObject *name)
{
    PyObject *dict = type_lookup(type, name);
    return dict != NULL && PyDict_CheckExact(dict) && metaclass_gives(state, type, name) ? dict
                                                                                         : NULL;
}

/* The function that the class gives as its __new__; borrowed, or NULL. */
static PyObject *
find_new(struct core_state *state, PyTypeObject *type)
{
    PyObject *new = type_lookup(type, state->str.new);
    if (new != NULL &&Py_IS_TYPE(new, &PyStaticMethod_Type)) {
        /* To unwrap it runs no code. */
        new = Py_TYPE(new)->tp_descr_get(new, NULL, (PyObject *)type);
        Py_XDECREF(new);
    }
    return new;
}

int
enum_members_read(struct core_state *state, struct enum_members *members, PyTypeObject *type,
                  PyObject *functions, PyObject *names)
{
    PyTypeObject *metaclass = Py_TYPE((PyObject *)type);
    *members = (struct enum_members){
        .metaclass_version = type_assign_version(metaclass, state->str.call),
        .by_value = find_class_dict(state, type, state->str.value2member_map),
        .by_name = find_class_dict(state, type, state->str.member_map),
        .call = PyTuple_GET_ITEM(functions, 0),
        .names = names,
        .credit = FIRST_CREDIT,
    };
    return members->metaclass_version != 0 && members->by_value != NULL && members->by_name != NULL
           && metaclass_leaves_alone(state, type)
           && type_lookup(metaclass, state->str.call) == members->call
           && find_new(state, type) == PyTuple_GET_ITEM(functions, 1);
}

int
enum_members_afford(struct enum_members *members)
{
    if (members->credit < MOST_CREDIT) {
        members->credit += CREDIT;
    }
    return PyDict_GET_SIZE(members->by_value) <= members->credit;
}

int
enum_members_are_plain(struct enum_members *members)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    members->credit -= PyDict_GET_SIZE(members->by_value);
    while (PyDict_Next(members->by_value, &position, &key, &value)) {
        if (!is_atom(key)) {
            return 0;
        }
    }
    return 1;
}

PyObject *
enum_members_sample(const struct enum_members *members)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    return PyDict_Next(members->by_value, &position, &key, &value) ? PyTuple_Pack(1, key) : NULL;
}

/* True if a call with one argument is one for a member. */
static int
finds_by_value(const struct enum_members *members, PyTypeObject *type)
{
    PyObject *defaults = PyFunction_GET_DEFAULTS(members->call);
    return type_version(Py_TYPE((PyObject *)type)) == members->metaclass_version
           && PyDict_GET_SIZE(members->by_name) > 0 && defaults != NULL
           && PyTuple_GET_SIZE(defaults) == 1 && PyTuple_GET_ITEM(defaults, 0) == members->names;
}

enum outcome
enum_member_find(const struct enum_members *members, PyTypeObject *type,
                 PyObject *const *arguments, Py_ssize_t count, PyObject **made)
{
    if (count != 1 || !is_atom(arguments[0]) || !finds_by_value(members, type)) {
        return OUTCOME_BAIL;
    }
    PyObject *member = PyDict_GetItemWithError(members->by_value, arguments[0]);
    if (member == NULL) {
        PyErr_Clear();
        return OUTCOME_BAIL;
    }
    *made = Py_NewRef(member);
    return OUTCOME_DONE;
}
