/* Plans of Python functions, and the store in which they are kept: see plan.h. */
#include "plans/plan.h"

#include "base/observed.h"
#include "base/namecache.h"
#include "base/helpers.h"
#include "plans/plan_run.h"
#include "plans/room.h"
#include "base/layout.h"

#define STEP_NAME(kind) #kind,
static const char *const kind_names[] = {STEP_KINDS(STEP_NAME)};
#undef STEP_NAME

enum { STORE_MAX_ENTRIES = 4096 };

/* ---- a plan ------------------------------------------------------------- */

void
plan_free(struct plan *plan)
{
    if (plan == NULL) {
        return;
    }
    PyMem_Free(plan->list);
    PyMem_Free(plan->operands);
    Py_XDECREF(plan->keywords);
    Py_XDECREF(plan->names);
    Py_XDECREF(plan->constants);
    PyMem_Free(plan);
}

/* An item of a tuple of numbers; -1 with an exception. */
static long
number_at(PyObject *tuple, Py_ssize_t index)
{
    PyObject *item = PyTuple_Check(tuple) && index < PyTuple_GET_SIZE(tuple)
                         ? PyTuple_GET_ITEM(tuple, index)
                         : NULL;
    long value = item == NULL ? -1 : PyLong_AsLong(item);
    if (value < 0 || value > UINT16_MAX) {
        PyErr_SetString(PyExc_SystemError, "a plan that is not well formed");
        return -1;
    }
    return value;
}

static int
read_step(PyObject *record, struct step *step)
{
    long values[4];
    for (int i = 0; i < 4; i++) {
        values[i] = number_at(record, i);
        if (values[i] < 0) {
            return -1;
        }
    }
    step->kind = (uint16_t)values[0];
    step->a = (uint16_t)values[1];
    step->b = (uint16_t)values[2];
    step->c = (uint16_t)values[3];
    return 0;
}

static int
read_list(struct plan *plan, PyObject *records)
{
    plan->count = (size_t)PyTuple_GET_SIZE(records);
    plan->list = PyMem_Calloc(plan->count + 1, sizeof(struct step));
    if (plan->list == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (read_step(PyTuple_GET_ITEM(records, (Py_ssize_t)i), &plan->list[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
read_operands(struct plan *plan, PyObject *numbers)
{
    plan->operand_count = (size_t)PyTuple_GET_SIZE(numbers);
    plan->operands = PyMem_Calloc(plan->operand_count + 1, sizeof(uint16_t));
    if (plan->operands == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < plan->operand_count; i++) {
        long value = number_at(numbers, (Py_ssize_t)i);
        if (value < 0) {
            return -1;
        }
        plan->operands[i] = (uint16_t)value;
    }
    return 0;
}

/* The parts in which reducers' and constructors' plans agree: (steps, operands, names,
   constants).  0 or -1. */
static int
read_common(struct plan *plan, PyObject *parts)
{
    for (int i = 0; i < 4; i++) {
        if (!PyTuple_Check(PyTuple_GET_ITEM(parts, i))) {
            PyErr_SetString(PyExc_SystemError, "a plan that is not well formed");
            return -1;
        }
    }
    plan->names = Py_NewRef(PyTuple_GET_ITEM(parts, 2));
    plan->constants = Py_NewRef(PyTuple_GET_ITEM(parts, 3));
    return read_list(plan, PyTuple_GET_ITEM(parts, 0)) < 0
                   || read_operands(plan, PyTuple_GET_ITEM(parts, 1)) < 0
               ? -1
               : 0;
}

/* Where the functions of a class were found: pairs of a place and a name.  0 or -1. */
static int
read_functions(struct core_state *state, struct plan *plan, PyObject *pairs)
{
    Py_ssize_t count = PyTuple_GET_SIZE(pairs);
    if (count > PLAN_FUNCTIONS_MAX) {
        PyErr_SetString(PyExc_SystemError, "a plan of too many functions");
        return -1;
    }
    plan->function_count = (size_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        long place = number_at(pair, 0);
        if (place < 0) {
            return -1;
        }
        plan->function_at[i] = (uint16_t)place;
        plan->of_new = PyTuple_GET_ITEM(pair, 1) == state->str.new;
    }
    return 0;
}

/* Positions in the tuple that compiler.ConstructorPlan is. */
enum { PLAN_REQUIRED = 5, PLAN_ACCEPTED, PLAN_FUNCTIONS, PLAN_SIZE };

static int
read_constructor_parts(struct core_state *state, struct plan *plan, PyObject *parts)
{
    long required = number_at(parts, PLAN_REQUIRED), accepted = number_at(parts, PLAN_ACCEPTED);
    if (required < 0 || accepted < 0) {
        return -1;
    }
    plan->required = (int)required;
    plan->accepted = (int)accepted;
    return read_functions(state, plan, PyTuple_GET_ITEM(parts, PLAN_FUNCTIONS));
}

/* True if the plan makes at most one display, a tuple: its elements are held elsewhere, too. */
static int
has_leaves_only(const struct plan *plan)
{
    int tuples = 0;
    for (size_t i = 0; i < plan->count; i++) {
        int kind = plan->list[i].kind;
        tuples += kind == STEP_TUPLE;
        if (kind == STEP_LIST || kind == STEP_DICT || kind == STEP_FRESH || tuples > 1
            || step_is_pure(&plan->list[i])) {
            return 0;
        }
    }
    return 1;
}

/* A plan from what the compiler returned.  NULL with an exception. */
static struct plan *
plan_from_tuple(struct core_state *state, PyObject *parts)
{
    struct plan *plan = PyMem_Calloc(1, sizeof(struct plan));
    if (plan == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (read_common(plan, parts) < 0
        || (PyTuple_GET_SIZE(parts) == PLAN_SIZE
            && read_constructor_parts(state, plan, parts) < 0)) {
        plan_free(plan);
        return NULL;
    }
    plan->leaves_only = has_leaves_only(plan);
    plan->number = ++state->plans->store->read;
    return plan;
}

/* ---- the compiler ------------------------------------------------------- */

/* True if the compiler and we mean the same by a number; if not, it is not asked again.  0 with an
   exception too. */
static int
kinds_agree(struct core_state *state)
{
    struct helper_module *compiler = &state->helpers[HELPER_COMPILER];
    PyObject *kinds = PyObject_GetAttrString(compiler->module, "KINDS");
    int same = kinds != NULL && PyTuple_Check(kinds) && PyTuple_GET_SIZE(kinds) == STEP_KIND_COUNT;
    for (int i = 0; same && i < STEP_KIND_COUNT; i++) {
        same = PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(kinds, i), kind_names[i]);
    }
    Py_XDECREF(kinds);
    if (!same) {
        compiler->status = HELPER_OFF;
    }
    return same;
}

/* The compiler's answer about a function, strong: 1; 0 if there is none; -1 with an exception that
   is meant for the caller. */
static int
ask_compiler(struct core_state *state, const char *name, PyObject *const *arguments, size_t count,
             PyObject **verdict)
{
    int known = state->plans->store->read != 0;
    int asked = helper_ask(state, HELPER_COMPILER, name, arguments, count, verdict);
    if (asked > 0 && !known && !kinds_agree(state)) {
        Py_CLEAR(*verdict);
        return PyErr_Occurred() && !helper_drop_failure(state) ? -1 : 0;
    }
    return asked;
}

/* True if the compiler's answer is a plan; a Refusal is a pair. */
static int
is_plan(PyObject *answer)
{
    return PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) > 4;
}

/* Calls a function of the compiler about what is called with so many arguments; 0: not said.  1
   and *steps, 0 if the function is uncompilable, -1 with an exception for the caller. */
static int
compile_with(struct core_state *state, const char *name, PyObject *object, int arguments,
             struct plan **plan)
{
    PyObject *listed, *given[] = {object, state->protocols[arguments]};
    *plan = NULL;
    int asked = ask_compiler(state, name, given, arguments == 0 ? 1 : 2, &listed);
    if (asked <= 0) {
        return asked;
    }
    if (is_plan(listed)) {
        *plan = plan_from_tuple(state, listed);
        if (*plan == NULL && !helper_drop_failure(state)) {
            asked = -1;
        }
    }
    Py_DECREF(listed);
    return asked < 0 ? -1 : *plan != NULL;
}

int
plan_read_constructor(struct core_state *state, PyObject *constructor, struct plan **plan)
{
    return compile_with(state, "compile_constructor", constructor, 0, plan);
}

int
plan_read_getstate(struct core_state *state, PyObject *function, struct plan **plan)
{
    return compile_with(state, "compile_getstate", function, 0, plan);
}

int
plan_read_stores(struct core_state *state, PyObject *function, struct plan **plan)
{
    return compile_with(state, "compile_setstate", function, 0, plan);
}

int
plan_read_reducer(struct core_state *state, const struct reducer *reducer)
{
    PyObject *code = Py_NewRef(PyFunction_GET_CODE(reducer->function));
    PyObject *keywords = reducer->keywords;
    int bound = reducer->count, takes_protocol = reducer->protocol != NULL;
    int of_hook = reducer->is_hook;
    struct plan *plan = NULL;
    PyObject *names = keywords == NULL ? NULL : PySequence_Tuple(keywords);
    int read =
        keywords != NULL && names == NULL ? -1
        : reducer->is_hook
            ? compile_with(state, "compile_hook", reducer->callable, 0, &plan)
            : compile_with(state, "compile_reducer", reducer->callable, 1 + takes_protocol, &plan);
    /* The code runs now, so the entry may be another one, or gone. */
    struct plan_entry *entry = read < 0 ? NULL : plan_meet(state, code);
    if (entry == NULL || entry->status != PLAN_UNREAD) {
        plan_free(plan);
    }
    else {
        entry->status = plan != NULL ? PLAN_READY : PLAN_UNCOMPILABLE;
        if (plan != NULL) {
            plan->bound = bound;
            plan->takes_protocol = takes_protocol;
            plan->of_hook = of_hook;
            plan->keywords = Py_XNewRef(names);
        }
        entry->plan = plan;
    }
    Py_XDECREF(names);
    Py_DECREF(code);
    return read < 0 ? -1 : 0;
}

/* The status by compile_setstate(); PLAN_UNREAD with an exception. */
static enum plan_status
compile_setstate(struct core_state *state, PyObject *function)
{
    PyObject *verdict;
    int asked = ask_compiler(state, "compile_setstate", &function, 1, &verdict);
    if (asked <= 0) {
        return asked < 0 ? PLAN_UNREAD : PLAN_UNCOMPILABLE;
    }
    enum plan_status status = verdict == Py_True    ? PLAN_UPDATES
                              : verdict == Py_False ? PLAN_REPLACES
                              : is_plan(verdict)    ? PLAN_STORES
                                                    : PLAN_UNCOMPILABLE;
    Py_DECREF(verdict);
    return status;
}

int
plan_read_setstate(struct core_state *state, PyObject *function)
{
    PyObject *code = Py_NewRef(PyFunction_GET_CODE(function));
    enum plan_status status = compile_setstate(state, function);
    /* The code runs now, so the entry may be another one, or gone. */
    struct plan_entry *entry = status == PLAN_UNREAD ? NULL : plan_meet(state, code);
    if (entry != NULL && entry->status == PLAN_UNREAD) {
        entry->status = status;
    }
    Py_DECREF(code);
    return status == PLAN_UNREAD ? -1 : 0;
}

/* ---- the store ---------------------------------------------------------- */

static void
release_entry(struct weaktable_entry *entry)
{
    plan_free(((struct plan_entry *)entry)->plan);
}

/* Adds an entry.  Facts that the name cache says still hold may follow from an entry that is taken
   out meanwhile. */
static struct weaktable_entry *
add_entry(struct core_state *state, PyObject *code)
{
    struct weaktable *table = &state->plans->store->table;
    size_t sweeps = table->sweeps;
    struct weaktable_entry *entry = weaktable_add(table, code);
    if (sweeps != table->sweeps) {
        namecache_forget(state);
    }
    return entry;
}

struct plan_entry *
plan_meet(struct core_state *state, PyObject *code)
{
    struct weaktable_entry *weak = weaktable_find(&state->plans->store->table, code);
    if (unlikely(weak == NULL) && (weak = add_entry(state, code)) == NULL) {
        return NULL;
    }
    struct plan_entry *entry = (struct plan_entry *)weak;
    if (entry->met < UINT_MAX) {
        entry->met++;
    }
    return entry;
}

enum plan_status
plan_status(struct core_state *state, PyObject *code)
{
    const struct weaktable_entry *weak = weaktable_find(&state->plans->store->table, code);
    return weak == NULL ? PLAN_UNREAD : ((const struct plan_entry *)weak)->status;
}

int
plan_is_hot(struct core_state *state, const struct plan_entry *entry)
{
    return entry->status == PLAN_UNREAD && state->plans->threshold != 0
           && entry->met >= state->plans->threshold && helper_may_run(state, HELPER_COMPILER);
}

/* ---- setup -------------------------------------------------------------- */

/* Reading a function of three fields takes as long as some 150 calls of it. */
enum { DEFAULT_THRESHOLD = 150 };

/* The variable as a number; the default if it is not set, or no number. */
static unsigned
find_threshold(void)
{
    if (!layout_is_known()) {
        return 0;
    }
    const char *text = getenv("FASTCOPYREG_PLANS_AFTER");
    char *end;
    unsigned long number = text == NULL || *text == 0 ? 0 : strtoul(text, &end, 10);
    if (text == NULL || *text == 0 || *end != 0 || number > UINT_MAX) {
        return DEFAULT_THRESHOLD;
    }
    return (unsigned)number;
}

PyDoc_STRVAR(
    plan_counts_doc,
    "plan_counts($module, /)\n"
    "--\n\n"
    "Return how many objects were taken apart by a plan so far, and how many made by one.");

static PyObject *
core_plan_counts(PyObject *module, PyObject *Py_UNUSED(unused))
{
    struct core_state *state = core_state_of_module(module);
    return Py_BuildValue("KK", (unsigned long long)state->plans->reduced_by_plan,
                         (unsigned long long)state->plans->made_by_plan);
}

PyDoc_STRVAR(
    plan_threshold_doc,
    "plan_threshold($module, number=None, /)\n"
    "--\n\n"
    "Set how often a reducer or constructor is met before it is read into a plan, 0 for never.\n"
    "\n"
    "Return the number that was in force; None leaves it so.  Raises what int() of another\n"
    "object raises.");

static PyObject *
core_plan_threshold(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct core_state *state = core_state_of_module(module);
    unsigned long before = state->plans->threshold;
    if (count > 1) {
        PyErr_Format(PyExc_TypeError, "plan_threshold() takes at most 1 argument (%zd given)",
                     count);
        return NULL;
    }
    if (count == 1 && args[0] != Py_None && layout_is_known()) {
        unsigned long threshold = PyLong_AsUnsignedLong(args[0]);
        if (threshold == (unsigned long)-1 && PyErr_Occurred()) {
            return NULL;
        }
        state->plans->threshold = threshold > UINT_MAX ? UINT_MAX : (unsigned)threshold;
    }
    return PyLong_FromUnsignedLong(before);
}

PyDoc_STRVAR(function_parts_doc,
             "function_parts($module, function, /)\n"
             "--\n\n"
             "Return a function's code, a tuple of its defaults and a dict of\n"
             "those of its keywords, without an audit event.");

static PyObject *
core_function_parts(PyObject *module, PyObject *function)
{
    if (!PyFunction_Check(function)) {
        PyErr_Format(PyExc_TypeError, "%R is not a function", function);
        return NULL;
    }
    PyObject *code = PyFunction_GET_CODE(function);
    PyObject *defaults = PyFunction_GET_DEFAULTS(function);
    PyObject *of_keywords = PyFunction_GET_KW_DEFAULTS(function);
    if (defaults == NULL) {
        defaults = core_state_of_module(module)->empty_tuple;
    }
    return of_keywords == NULL ? Py_BuildValue("OO{}", code, defaults)
                               : Py_BuildValue("OOO", code, defaults, of_keywords);
}

PyDoc_STRVAR(address_of_doc, "address_of($module, object, /)\n"
                             "--\n\n"
                             "Return what id() of an object returns, without an audit event.");

static PyObject *
core_address_of(PyObject *Py_UNUSED(module), PyObject *object)
{
    return PyLong_FromVoidPtr(object);
}

static PyMethodDef functions[] = {
    {"address_of", core_address_of, METH_O, address_of_doc},
    {"function_parts", core_function_parts, METH_O, function_parts_doc},
    {"plan_counts", core_plan_counts, METH_NOARGS, plan_counts_doc},
    {"plan_threshold", (PyCFunction)(void (*)(void))core_plan_threshold, METH_FASTCALL,
     plan_threshold_doc},
    {NULL, NULL, 0, NULL},
};

int
plan_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *types = PyImport_ImportModule("types");
    int found = types == NULL ? -1
                              : PyObject_GetOptionalAttr(types, state->str.lazy_import_type,
                                                         &state->plans->lazy_import_type);
    Py_XDECREF(types);
    if (found < 0) {
        return -1;
    }
    state->plans->threshold = find_threshold();
    state->plans->store = PyMem_Calloc(1, sizeof(struct plan_store));
    if (state->plans->store == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return weaktable_setup(&state->plans->store->table, sizeof(struct plan_entry),
                           STORE_MAX_ENTRIES, release_entry)
                   < 0
               ? -1
               : PyModule_AddFunctions(module, functions);
}

void
plan_teardown(struct core_state *state)
{
    if (state->plans->store != NULL) {
        weaktable_teardown(&state->plans->store->table);
        PyMem_Free(state->plans->store);
        state->plans->store = NULL;
    }
}
