/* Picklers that are each given a copy of the same tables: see copied_table.h. */
#include "dump/copied_table.h"

#include "base/helpers.h"
#include "base/layout.h"
#include "base/observed.h"
#include "base/registry.h"
#include "dump/room.h"
#include "plans/plan_run.h"
#include "plans/room.h"

/* ---- copies ------------------------------------------------------------- */

/* A new copy of the tables, strong, which is kept if nothing has changed meanwhile; NULL with an
   exception.  May run Python code, where a class compares or hashes by it. */
static PyObject *
make_copy(struct copied_tables *tables, PyObject *table, PyObject *added)
{
    struct dictwatch *watch = &tables->watch;
    dictwatch_let_go(watch, &tables->kept);
    dictwatch_restart(watch);
    dictwatch_add(watch, table);
    dictwatch_add(watch, added);
    tables->table = table;
    tables->added = added;
    Py_INCREF(added);
    PyObject *copy = PyDict_Copy(table);
    if (copy != NULL && PyDict_Update(copy, added) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(added);
    if (copy != NULL && tables->table == table && tables->added == added
        && dictwatch_is_unchanged(watch)) {
        dictwatch_keep(watch, &tables->kept, copy);
    }
    return copy;
}

/* A copy of the tables that nobody else has; strong, or NULL with an exception. */
static PyObject *
take_copy(struct copied_tables *tables, PyObject *table, PyObject *added)
{
    PyObject *copy = tables->kept.object;
    if (likely(copy != NULL && has_one_reference(copy) && tables->table == table
               && tables->added == added)) {
        return Py_NewRef(copy);
    }
    return make_copy(tables, table, added);
}

int
copied_table_agrees(struct core_state *state, PyObject *table, PyTypeObject *type)
{
    struct copied_tables *tables = &state->dump->copied_tables;
    return table == tables->kept.object && tables->table == state->stdlib.dispatch_table
           && registry_lacks(state, tables->added, type, hash_pointer(type));
}

/* ---- classes ------------------------------------------------------------ */

/* The facts read of a class of this version, or NULL. */
static struct copied_table_class *
find_read_class(struct copied_tables *tables, unsigned version)
{
    for (int i = 0; i < COPIED_TABLE_CLASSES; i++) {
        if (version != 0 && tables->classes[i].version == version) {
            return &tables->classes[i];
        }
    }
    return NULL;
}

static int
has_own_init(struct core_state *state, PyTypeObject *type)
{
    PyObject *dict = PyType_GetDict(type);
    int has = dict == NULL ? -1 : PyDict_Contains(dict, state->str.init);
    Py_XDECREF(dict);
    PyErr_Clear();
    return has != 0;
}

/* True if a call of the class ends in its __init__, whose super() is our Pickler, and instances
   keep a dispatch_table where Pickler does. */
static int
call_is_usual(struct core_state *state, PyTypeObject *type, PyTypeObject *owner)
{
    PyTypeObject *base = state->dump->pickler_type;
    PyObject *mro = type->tp_mro;
    Py_ssize_t i = 0, count = PyTuple_GET_SIZE(mro);
    while (i < count && PyTuple_GET_ITEM(mro, i) != (PyObject *)owner) {
        i++;
    }
    for (i++; i < count && PyTuple_GET_ITEM(mro, i) != (PyObject *)base; i++) {
        if (has_own_init(state, (PyTypeObject *)PyTuple_GET_ITEM(mro, i))) {
            return 0;
        }
    }
    return i < count && Py_IS_TYPE(type, &PyType_Type) && type->tp_new == base->tp_new
           && !PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT);
}

/* True if looking a hook up on an instance, as Pickler.__init__ does, runs no Python code. */
static int
hook_is_plain(PyTypeObject *type, PyTypeObject *base, PyObject *name)
{
    PyObject *hook = type_lookup(type, name);
    return hook == type_lookup(base, name) || PyFunction_Check(hook);
}

/* True if attributes are read and stored on an instance as on one of Pickler. */
static int
attributes_are_usual(struct core_state *state, PyTypeObject *type)
{
    PyTypeObject *base = state->dump->pickler_type;
    PyObject *name = state->str.dispatch_table;
    return type->tp_getattro == base->tp_getattro && type->tp_setattro == base->tp_setattro
           && type_lookup(type, name) == type_lookup(base, name)
           && hook_is_plain(type, base, state->str.persistent_id);
}

/* The exact dict that the class has under a name; borrowed, or NULL. */
static PyObject *
find_table(PyTypeObject *type, PyObject *name)
{
    PyObject *table = PyUnicode_CheckExact(name) ? type_lookup(type, name) : NULL;
    return table != NULL && PyDict_CheckExact(table) ? table : NULL;
}

/* The facts of a class by the names that were read; `version` is 0 if the class is to be called
   as usual. */
static struct copied_table_class
look_at_class(struct core_state *state, PyTypeObject *type, PyObject *init, PyObject *names)
{
    struct copied_table_class found = {
        .init = init,
        .code = PyFunction_GET_CODE(init),
        .owner = read_cell(init, 0),
        .table = find_table(type, PyTuple_GET_ITEM(names, 0)),
        .added = find_table(type, PyTuple_GET_ITEM(names, 1)),
    };
    if (found.table != NULL && found.added != NULL && found.owner != NULL
        && PyType_Check(found.owner) && call_is_usual(state, type, (PyTypeObject *)found.owner)
        && attributes_are_usual(state, type)) {
        found.version = type_assign_version(type, state->str.init);
    }
    return found;
}

/* True if a call of the class, whose version is the one that was read, does what was read.  Runs
   no Python code. */
static int
still_holds(struct core_state *state, const struct copied_table_class *known)
{
    return PyFunction_GET_CODE(known->init) == known->code && !code_is_monitored(known->code)
           && !calls_observed(state) && read_cell(known->init, 0) == known->owner
           && read_global(state, known->init, state->str.super) == (PyObject *)&PySuper_Type;
}

static int
is_protocol(PyObject *value)
{
    return value == Py_None
           || (PyLong_CheckExact(value) && long_is_small(value)
               && PyLong_AsLong(value) <= HIGHEST_PROTOCOL);
}

/* True if Pickler.__init__ runs no Python code with these arguments, and does not fail: the frame
   of ours would be missed in the traceback. */
static int
arguments_are_plain(struct core_state *state, PyObject *const *args, Py_ssize_t count)
{
    return (count == 1 || (count == 2 && is_protocol(args[1])))
           && Py_IS_TYPE(args[0], (PyTypeObject *)state->stdlib.bytes_io);
}

/* ---- calls -------------------------------------------------------------- */

/* The keyword arguments of a vectorcall as a dict; strong, or NULL with an exception. */
static PyObject *
make_keywords(PyObject *const *values, PyObject *names)
{
    PyObject *keywords = PyDict_New();
    for (Py_ssize_t i = 0; keywords != NULL && i < PyTuple_GET_SIZE(names); i++) {
        if (PyDict_SetItem(keywords, PyTuple_GET_ITEM(names, i), values[i]) < 0) {
            Py_CLEAR(keywords);
        }
    }
    return keywords;
}

/* type.__call__ with the arguments of a vectorcall. */
static PyObject *
call_as_usual(PyObject *type, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *keywords = NULL, *result = NULL, *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    }
    if (tuple != NULL && (names == NULL || (keywords = make_keywords(args + count, names)))) {
        result = PyType_Type.tp_call(type, tuple, keywords);
    }
    Py_XDECREF(tuple);
    Py_XDECREF(keywords);
    return result;
}

/* tp_vectorcall of the classes that were read.  May run Python code. */
static PyObject *
copied_table_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *names)
{
    PyTypeObject *type = (PyTypeObject *)callable;
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    struct core_state *state = core_state_of_type(type);
    if (state == NULL) {
        return NULL;
    }
    struct copied_tables *tables = &state->dump->copied_tables;
    struct copied_table_class *known = find_read_class(tables, type_version(type));
    if (known == NULL) {
        type->tp_vectorcall = NULL; /* it has changed, and may be read again */
        return call_as_usual(callable, args, count, names);
    }
    if (names != NULL || !arguments_are_plain(state, args, count) || !still_holds(state, known)) {
        return call_as_usual(callable, args, count, names);
    }
    PyObject *table = take_copy(tables, known->table, known->added);
    return table == NULL ? NULL : tables->make(type, args[0], count == 2 ? args[1] : NULL, table);
}

/* ---- meeting classes ---------------------------------------------------- */

/* Reads an __init__ with the compiler: 1 and *names, strong, 0, or -1 with an exception that is
   meant for the caller.  Runs Python code. */
static int
read_init(struct core_state *state, PyObject *init, PyObject **names)
{
    int asked = helper_ask(state, HELPER_TABLES, "copied_tables", &init, 1, names);
    if (asked > 0 && (!PyTuple_Check(*names) || PyTuple_GET_SIZE(*names) != 2)) {
        Py_CLEAR(*names);
        return 0;
    }
    return asked;
}

/* Keeps what was read of a class, if all of it holds. */
static void
keep_class(struct core_state *state, PyTypeObject *type, PyObject *init, PyObject *names)
{
    struct copied_tables *tables = &state->dump->copied_tables;
    struct copied_table_class found = look_at_class(state, type, init, names);
    if (found.version == 0 || type_lookup(type, state->str.init) != init) {
        return;
    }
    struct copied_table_class *place = &tables->classes[tables->oldest];
    PyObject *old = place->code;
    Py_INCREF(found.code);
    *place = found;
    tables->oldest = (tables->oldest + 1) % COPIED_TABLE_CLASSES;
    type->tp_vectorcall = copied_table_call;
    Py_XDECREF(old);
}

/* Reads the __init__ of a class, which has been met often enough.  0, or -1 with an exception. */
static int
read_class(struct core_state *state, PyTypeObject *type, PyObject *init)
{
    PyObject *names = NULL, *code = Py_NewRef(PyFunction_GET_CODE(init));
    Py_INCREF(init);
    int asked = read_init(state, init, &names);
    if (asked > 0) {
        keep_class(state, type, init, names);
    }
    struct plan_entry *entry = asked < 0 ? NULL : plan_meet(state, code);
    if (entry != NULL) {
        entry->met = 0; /* of the next class, or of this one when it was changed */
        entry->status = asked > 0 ? PLAN_UNREAD : PLAN_UNCOMPILABLE;
    }
    Py_XDECREF(names);
    Py_DECREF(code);
    Py_DECREF(init);
    return asked < 0 ? -1 : 0;
}

int
copied_table_meet(struct core_state *state, PyTypeObject *type)
{
    PyObject *init = layout_is_known() ? type_lookup(type, state->str.init) : NULL;
    if (init == NULL || !PyFunction_Check(init)) {
        return 0;
    }
    struct plan_entry *entry = plan_meet(state, PyFunction_GET_CODE(init));
    if (entry == NULL || entry->status != PLAN_UNREAD || state->plans->threshold == 0
        || entry->met < state->plans->threshold || !helper_may_run(state, HELPER_TABLES)) {
        return 0;
    }
    return read_class(state, type, init);
}

/* ---- life --------------------------------------------------------------- */

void
copied_tables_setup(struct core_state *state)
{
    dictwatch_setup(&state->dump->copied_tables.watch);
}

int
copied_tables_traverse(struct core_state *state, visitproc visit, void *arg)
{
    struct copied_tables *tables = &state->dump->copied_tables;
    Py_VISIT(tables->kept.object);
    for (int i = 0; i < COPIED_TABLE_CLASSES; i++) {
        Py_VISIT(tables->classes[i].code);
    }
    return 0;
}

void
copied_tables_release(struct core_state *state)
{
    struct copied_tables *tables = &state->dump->copied_tables;
    dictwatch_let_go(&tables->watch, &tables->kept);
    for (int i = 0; i < COPIED_TABLE_CLASSES; i++) {
        tables->classes[i].version = 0;
        Py_CLEAR(tables->classes[i].code);
    }
}

void
copied_tables_teardown(struct core_state *state)
{
    copied_tables_release(state);
    dictwatch_teardown(&state->dump->copied_tables.watch);
}
