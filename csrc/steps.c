/* Plans of Python functions, and the store in which they are kept: see steps.h. */
#include "steps.h"

#include "found.h"
#include "plan.h"
#include "steps_run.h"

#define STEP_NAME(kind) #kind,
static const char *const kind_names[] = {STEP_KINDS(STEP_NAME)};
#undef STEP_NAME

/* Code is looked at until there are so many that live.  What is known of dead code goes when the
   table is half full, so a program that makes code all the time does not fill the memory.  When
   too many live, that is looked at again after so many refusals. */
enum { STORE_FIRST_SIZE = 64, STORE_MAX_ENTRIES = 4096, REFUSALS_AT_ONCE = 1024 };

struct steps_store {
    struct steps_entry **table; /* by the address of the code; open addressing */
    size_t mask;
    size_t used;
    unsigned refusals; /* to come before the table is looked through */
    uint64_t read;     /* how many plans were made */
};

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

/* ---- the store --------------------------------------------------------------------------------
 */

static void
free_entry(struct steps_entry *entry)
{
    steps_free(entry->steps);
    Py_DECREF(entry->code);
    PyMem_Free(entry);
}

/* The place of a code, or the free place where it would be. */
static struct steps_entry **
find_place(struct steps_entry **table, size_t mask, PyObject *code)
{
    size_t i = ((uintptr_t)code >> 4) & mask;
    while (table[i] != NULL && table[i]->code != code) {
        i = (i + 1) & mask;
    }
    return &table[i];
}

/* Whether only we hold the code, so that nothing can run it any more. */
static int
is_dead(const struct steps_entry *entry)
{
    return has_one_reference(entry->code);
}

static size_t
count_alive(const struct steps_store *store)
{
    size_t alive = 0;
    for (size_t i = 0; i <= store->mask; i++) {
        alive += store->table[i] != NULL && !is_dead(store->table[i]);
    }
    return alive;
}

/* A table of which those that live take a quarter, at most.  The dead may be in use by what is
   under way, and are freed when it ends.  0, or -1 if there are too many, or no memory. */
static int
make_room(struct core_state *state)
{
    struct steps_store *store = state->steps;
    size_t alive = count_alive(store), mask = STORE_FIRST_SIZE - 1;
    found_forget(state);
    if (alive >= STORE_MAX_ENTRIES) {
        store->refusals = REFUSALS_AT_ONCE;
        return -1;
    }
    while (alive * 4 > mask) {
        mask = mask * 2 + 1;
    }
    struct steps_entry **table = PyMem_Calloc(mask + 1, sizeof(struct steps_entry *));
    if (table == NULL) {
        return -1;
    }
    for (size_t i = 0; i <= store->mask; i++) {
        struct steps_entry *entry = store->table[i];
        if (entry != NULL && is_dead(entry)) {
            entry->next = state->plans->dead_steps;
            state->plans->dead_steps = entry;
        }
        else if (entry != NULL) {
            *find_place(table, mask, entry->code) = entry;
        }
    }
    PyMem_Free(store->table);
    store->table = table;
    store->mask = mask;
    store->used = alive;
    return 0;
}

void
steps_free_dead(struct steps_entry *dead)
{
    while (dead != NULL) {
        struct steps_entry *next = dead->next;
        free_entry(dead);
        dead = next;
    }
}

static struct steps_entry *
add_entry(struct core_state *state, PyObject *code)
{
    struct steps_store *store = state->steps;
    if (unlikely(store->refusals > 0)) {
        store->refusals--;
        return NULL;
    }
    if (store->used * 2 > store->mask && make_room(state) < 0) {
        return NULL;
    }
    struct steps_entry *entry = PyMem_Calloc(1, sizeof(struct steps_entry));
    if (entry == NULL) {
        return NULL;
    }
    entry->code = Py_NewRef(code);
    *find_place(store->table, store->mask, code) = entry;
    store->used++;
    return entry;
}

struct steps_entry *
steps_meet(struct core_state *state, PyObject *code)
{
    struct steps_store *store = state->steps;
    struct steps_entry *entry = *find_place(store->table, store->mask, code);
    if (entry == NULL) {
        entry = add_entry(state, code);
        if (entry == NULL) {
            return NULL;
        }
    }
    if (entry->met < UINT_MAX) {
        entry->met++;
    }
    return entry;
}

int
steps_are_refused(struct core_state *state, PyObject *code)
{
    const struct steps_store *store = state->steps;
    const struct steps_entry *entry = *find_place(store->table, store->mask, code);
    return entry != NULL && entry->status == STEPS_REFUSED;
}

int
steps_due(struct core_state *state, const struct steps_entry *entry)
{
    return entry->status == STEPS_UNREAD && state->steps_threshold != 0
           && entry->met >= state->steps_threshold && !state->compiler_is_coming
           && !steps_observed(state) && !thread_near_recursion_limit();
}

/* ---- setup
 * ---------------------------------------------------------------------------------------- */

static struct steps_store *
store_new(void)
{
    struct steps_store *store = PyMem_Calloc(1, sizeof(struct steps_store));
    if (store != NULL) {
        store->table = PyMem_Calloc(STORE_FIRST_SIZE, sizeof(struct steps_entry *));
        store->mask = STORE_FIRST_SIZE - 1;
    }
    if (store == NULL || store->table == NULL) {
        PyMem_Free(store);
        PyErr_NoMemory();
        return NULL;
    }
    return store;
}

static void
store_free(struct steps_store *store)
{
    for (size_t i = 0; i <= store->mask; i++) {
        if (store->table[i] != NULL) {
            free_entry(store->table[i]);
        }
    }
    PyMem_Free(store->table);
    PyMem_Free(store);
}

/* Reading a function of three fields takes as long as some 150 calls of it.  Where asking
   who watches costs more than the call that is saved, nothing is read unless it is asked for. */
enum { DEFAULT_THRESHOLD = MONITORING_IS_CHEAP ? 150 : 0 };

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
    state->steps = store_new();
    return state->steps == NULL ? -1 : PyModule_AddFunctions(module, functions);
}

void
steps_teardown(struct core_state *state)
{
    if (state->steps != NULL) {
        store_free(state->steps);
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
    if (!MONITORING_IS_CHEAP || version != state->monitoring_version) {
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
