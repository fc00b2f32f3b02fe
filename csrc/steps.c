/* Plans of Python functions, and the store in which they are kept: see steps.h. */
#include "steps.h"

#include "found.h"
#include "plan.h"
#include "stack.h"
#include "steps_run.h"

#define STEP_NAME(kind) #kind,
static const char *const kind_names[] = {STEP_KINDS(STEP_NAME)};
#undef STEP_NAME

enum { STORE_MAX_ENTRIES = 4096 };

/* ---- one plan ----------------------------------------------------------- */

void
steps_free(struct steps *steps)
{
    if (steps == NULL) {
        return;
    }
    PyMem_Free(steps->list);
    PyMem_Free(steps->operands);
    Py_XDECREF(steps->keywords);
    Py_XDECREF(steps->names);
    Py_XDECREF(steps->constants);
    PyMem_Free(steps);
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
read_list(struct steps *steps, PyObject *records)
{
    steps->count = (size_t)PyTuple_GET_SIZE(records);
    steps->list = PyMem_Calloc(steps->count + 1, sizeof(struct step));
    if (steps->list == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < steps->count; i++) {
        if (read_step(PyTuple_GET_ITEM(records, (Py_ssize_t)i), &steps->list[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
read_operands(struct steps *steps, PyObject *numbers)
{
    steps->operand_count = (size_t)PyTuple_GET_SIZE(numbers);
    steps->operands = PyMem_Calloc(steps->operand_count + 1, sizeof(uint16_t));
    if (steps->operands == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < steps->operand_count; i++) {
        long value = number_at(numbers, (Py_ssize_t)i);
        if (value < 0) {
            return -1;
        }
        steps->operands[i] = (uint16_t)value;
    }
    return 0;
}

/* The parts in which reducers' and constructors' plans agree: (steps, operands, names,
   constants).  0 or -1. */
static int
read_common(struct steps *steps, PyObject *parts)
{
    for (int i = 0; i < 4; i++) {
        if (!PyTuple_Check(PyTuple_GET_ITEM(parts, i))) {
            PyErr_SetString(PyExc_SystemError, "a plan that is not well formed");
            return -1;
        }
    }
    steps->names = Py_NewRef(PyTuple_GET_ITEM(parts, 2));
    steps->constants = Py_NewRef(PyTuple_GET_ITEM(parts, 3));
    return read_list(steps, PyTuple_GET_ITEM(parts, 0)) < 0
                   || read_operands(steps, PyTuple_GET_ITEM(parts, 1)) < 0
               ? -1
               : 0;
}

/* Where the functions of a class were found: pairs of a place and a name.  0 or -1. */
static int
read_functions(struct core_state *state, struct steps *steps, PyObject *pairs)
{
    Py_ssize_t count = PyTuple_GET_SIZE(pairs);
    if (count > STEPS_FUNCTIONS_MAX) {
        PyErr_SetString(PyExc_SystemError, "a plan of too many functions");
        return -1;
    }
    steps->function_count = (size_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        long place = number_at(pair, 0);
        if (place < 0) {
            return -1;
        }
        steps->function_at[i] = (uint16_t)place;
        steps->of_new = PyTuple_GET_ITEM(pair, 1) == state->str.new;
    }
    return 0;
}

/* Positions in the tuple that compiler.ConstructorPlan is. */
enum { PLAN_REQUIRED = 5, PLAN_ACCEPTED, PLAN_FUNCTIONS, PLAN_SIZE };

static int
read_constructor_parts(struct core_state *state, struct steps *steps, PyObject *parts)
{
    long required = number_at(parts, PLAN_REQUIRED), accepted = number_at(parts, PLAN_ACCEPTED);
    if (required < 0 || accepted < 0) {
        return -1;
    }
    steps->required = (int)required;
    steps->accepted = (int)accepted;
    return read_functions(state, steps, PyTuple_GET_ITEM(parts, PLAN_FUNCTIONS));
}

/* Whether the plan makes at most one display, a tuple: what it holds, others hold. */
static int
has_leaves_only(const struct steps *steps)
{
    int tuples = 0;
    for (size_t i = 0; i < steps->count; i++) {
        int kind = steps->list[i].kind;
        tuples += kind == STEP_TUPLE;
        if (kind == STEP_LIST || kind == STEP_DICT || kind == STEP_FRESH || tuples > 1) {
            return 0;
        }
    }
    return 1;
}

/* A plan from what the compiler returned.  NULL with an exception. */
static struct steps *
steps_from_plan(struct core_state *state, PyObject *parts)
{
    struct steps *steps = PyMem_Calloc(1, sizeof(struct steps));
    if (steps == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (read_common(steps, parts) < 0
        || (PyTuple_GET_SIZE(parts) == PLAN_SIZE
            && read_constructor_parts(state, steps, parts) < 0)) {
        steps_free(steps);
        return NULL;
    }
    steps->leaves_only = has_leaves_only(steps);
    steps->number = ++state->steps->read;
    return steps;
}

/* ---- the compiler ------------------------------------------------------- */

/* Whether the compiler and we mean the same by a number.  0, or -1 with SystemError. */
static int
check_kinds(PyObject *compiler)
{
    PyObject *kinds = PyObject_GetAttrString(compiler, "KINDS");
    int same = kinds != NULL && PyTuple_Check(kinds) && PyTuple_GET_SIZE(kinds) == STEP_KIND_COUNT;
    for (int i = 0; same && i < STEP_KIND_COUNT; i++) {
        same = PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(kinds, i), kind_names[i]);
    }
    Py_XDECREF(kinds);
    if (!same && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_SystemError, "fastcopyreg's compiler and core are not of a kind");
    }
    return same ? 0 : -1;
}

/* fastcopyreg.compiler, imported at the first use; strong, or NULL. */
static PyObject *
get_compiler(struct core_state *state)
{
    if (state->compiler == NULL) {
        /* A signal handler or another thread would find half of it. */
        state->compiler_is_coming = 1;
        PyObject *compiler = PyImport_ImportModule("fastcopyreg.compiler");
        state->compiler_is_coming = 0;
        if (compiler == NULL || check_kinds(compiler) < 0) {
            Py_XDECREF(compiler);
            return NULL;
        }
        Py_XSETREF(state->compiler, compiler);
    }
    return Py_NewRef(state->compiler);
}

/* Compiling fails where the memory or the stack has come to an end, which is not the
   caller's business.  Anything else, a signal handler's exception, is. */
static int
is_own_failure(void)
{
    if (PyErr_ExceptionMatches(PyExc_MemoryError)
        || PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyErr_Clear();
        return 1;
    }
    return 0;
}

/* Calls a function of the compiler about what is called with so many arguments; 0: not said.  1
   and *steps, 0 if refused, -1 with an exception. */
static int
compile_with(struct core_state *state, const char *name, PyObject *object, int arguments,
             struct steps **steps)
{
    PyObject *compiler = get_compiler(state);
    PyObject *plan =
        compiler == NULL
            ? NULL
            : PyObject_CallMethod(compiler, name, arguments == 0 ? "O" : "Oi", object, arguments);
    Py_XDECREF(compiler);
    *steps = NULL;
    /* A Refusal is a pair. */
    if (plan != NULL && PyTuple_GET_SIZE(plan) > 2) {
        *steps = steps_from_plan(state, plan);
    }
    int refused = plan != NULL && PyTuple_GET_SIZE(plan) <= 2;
    Py_XDECREF(plan);
    if (*steps == NULL && !refused && !is_own_failure()) {
        return -1;
    }
    return *steps != NULL;
}

int
steps_read_constructor(struct core_state *state, PyObject *constructor, struct steps **steps)
{
    return compile_with(state, "compile_constructor", constructor, 0, steps);
}

int
steps_read_reducer(struct core_state *state, const struct reducer *reducer)
{
    PyObject *code = Py_NewRef(PyFunction_GET_CODE(reducer->function));
    PyObject *keywords = reducer->keywords;
    int bound = reducer->count, takes_protocol = reducer->protocol != NULL;
    struct steps *steps = NULL;
    PyObject *names = keywords == NULL ? NULL : PySequence_Tuple(keywords);
    int read = keywords != NULL && names == NULL
                   ? -1
                   : compile_with(state, "compile_reducer", reducer->callable, 1 + takes_protocol,
                                  &steps);
    /* The code runs now, so the entry may be another one, or gone. */
    struct steps_entry *entry = read < 0 ? NULL : steps_meet(state, code);
    if (entry == NULL || entry->status != STEPS_UNREAD) {
        steps_free(steps);
    }
    else {
        entry->status = steps != NULL ? STEPS_READY : STEPS_REFUSED;
        if (steps != NULL) {
            steps->bound = bound;
            steps->takes_protocol = takes_protocol;
            steps->keywords = Py_XNewRef(names);
        }
        entry->steps = steps;
    }
    Py_XDECREF(names);
    Py_DECREF(code);
    return read < 0 ? -1 : 0;
}

/* What compile_setstate() said; STEPS_UNREAD with an exception. */
static enum step_status
compile_setstate(struct core_state *state, PyObject *function)
{
    PyObject *compiler = get_compiler(state);
    PyObject *verdict =
        compiler == NULL ? NULL : PyObject_CallMethod(compiler, "compile_setstate", "O", function);
    Py_XDECREF(compiler);
    enum step_status status = verdict == NULL       ? STEPS_UNREAD
                              : verdict == Py_True  ? STEPS_UPDATES
                              : verdict == Py_False ? STEPS_REPLACES
                                                    : STEPS_REFUSED;
    Py_XDECREF(verdict);
    return verdict == NULL && is_own_failure() ? STEPS_REFUSED : status;
}

int
steps_read_setstate(struct core_state *state, PyObject *function)
{
    PyObject *code = Py_NewRef(PyFunction_GET_CODE(function));
    enum step_status status = compile_setstate(state, function);
    /* The code runs now, so the entry may be another one, or gone. */
    struct steps_entry *entry = status == STEPS_UNREAD ? NULL : steps_meet(state, code);
    if (entry != NULL && entry->status == STEPS_UNREAD) {
        entry->status = status;
    }
    Py_DECREF(code);
    return status == STEPS_UNREAD ? -1 : 0;
}

/* ---- the store --------------------------------------------------------------------------------
 */

static void
release_entry(struct keyed *entry)
{
    steps_free(((struct steps_entry *)entry)->steps);
}

/* What is taken out of the table may be what found.h says still holds. */
static struct keyed *
add_entry(struct core_state *state, PyObject *code)
{
    struct keyed_table *table = &state->steps->table;
    size_t sweeps = table->sweeps;
    struct keyed *entry = keyed_add(table, code);
    if (sweeps != table->sweeps) {
        found_forget(state);
    }
    return entry;
}

struct steps_entry *
steps_meet(struct core_state *state, PyObject *code)
{
    struct keyed *found = keyed_find(&state->steps->table, code);
    if (unlikely(found == NULL) && (found = add_entry(state, code)) == NULL) {
        return NULL;
    }
    struct steps_entry *entry = (struct steps_entry *)found;
    if (entry->met < UINT_MAX) {
        entry->met++;
    }
    return entry;
}

enum step_status
steps_status(struct core_state *state, PyObject *code)
{
    const struct keyed *found = keyed_find(&state->steps->table, code);
    return found == NULL ? STEPS_UNREAD : ((const struct steps_entry *)found)->status;
}

int
steps_due(struct core_state *state, const struct steps_entry *entry)
{
    return entry->status == STEPS_UNREAD && state->steps_threshold != 0
           && entry->met >= state->steps_threshold && !state->compiler_is_coming
           && !steps_observed(state) && !thread_near_recursion_limit() && !stack_is_short();
}

/* ---- setup
 * ---------------------------------------------------------------------------------------- */

/* Reading a function of three fields takes as long as some 150 calls of it. */
enum { DEFAULT_THRESHOLD = 150 };

/* The variable as a number; the default if it is not set, or no number. */
static unsigned
find_threshold(void)
{
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
    return Py_BuildValue("KK", (unsigned long long)state->reduced_by_plan,
                         (unsigned long long)state->made_by_plan);
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
    unsigned long before = state->steps_threshold;
    if (count > 1) {
        PyErr_Format(PyExc_TypeError, "plan_threshold() takes at most 1 argument (%zd given)",
                     count);
        return NULL;
    }
    if (count == 1 && args[0] != Py_None) {
        unsigned long threshold = PyLong_AsUnsignedLong(args[0]);
        if (threshold == (unsigned long)-1 && PyErr_Occurred()) {
            return NULL;
        }
        state->steps_threshold = threshold > UINT_MAX ? UINT_MAX : (unsigned)threshold;
    }
    return PyLong_FromUnsignedLong(before);
}

static PyMethodDef functions[] = {
    {"plan_counts", core_plan_counts, METH_NOARGS, plan_counts_doc},
    {"plan_threshold", (PyCFunction)(void (*)(void))core_plan_threshold, METH_FASTCALL,
     plan_threshold_doc},
    {NULL, NULL, 0, NULL},
};

int
steps_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *types = PyImport_ImportModule("types");
    int found = types == NULL ? -1
                              : PyObject_GetOptionalAttr(types, state->str.lazy_import_type,
                                                         &state->lazy_import_type);
    Py_XDECREF(types);
    if (found < 0) {
        return -1;
    }
    state->steps_threshold = find_threshold();
    state->steps = PyMem_Calloc(1, sizeof(struct steps_store));
    if (state->steps == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return keyed_setup(&state->steps->table, sizeof(struct steps_entry), STORE_MAX_ENTRIES,
                       release_entry)
                   < 0
               ? -1
               : PyModule_AddFunctions(module, functions);
}

void
steps_teardown(struct core_state *state)
{
    if (state->steps != NULL) {
        keyed_teardown(&state->steps->table);
        PyMem_Free(state->steps);
        state->steps = NULL;
    }
}

/* ---- who watches
 * ---------------------------------------------------------------------------------- */

/* Whether a tool of sys.monitoring is in use.  An error counts as one. */
static int
has_monitoring_tool(struct core_state *state)
{
    PyObject *monitoring = dict_get_name(state->stdlib.sys_dict, state->str.monitoring);
    int found = 0;
    for (int i = 0; monitoring != NULL && !found && i < 6; i++) {
        PyObject *tool = PyObject_CallMethod(monitoring, "get_tool", "i", i);
        found = tool != Py_None;
        Py_XDECREF(tool);
    }
    PyErr_Clear();
    return found;
}

#if KNOWN_LAYOUT
int
steps_observed(struct core_state *state)
{
    uintptr_t version;
    enum observed observed = thread_observed(&version);
    if (likely(observed != OBSERVED_PERHAPS)) {
        return observed == OBSERVED_YES;
    }
    if (version != state->monitoring_version || version == MONITORING_UNKNOWN) {
        state->monitored = has_monitoring_tool(state);
        state->monitoring_version = version;
    }
    return state->monitored;
}
#else
int
steps_observed(struct core_state *state)
{
    return has_monitoring_tool(state);
}
#endif
