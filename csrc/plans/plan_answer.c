/* Results that a function returns by the type of its argument alone: see plan_answer.h. */
#include "plans/plan_answer.h"

#include "base/layout.h"
#include "base/walk.h"
#include "plans/plan_filter.h"
#include "plans/plan_lookup.h"

/* Plans of hooks are short; a longer one is not followed.  The compiler follows no more calls than
   there is room for here. */
enum { VALUES_MOST = 96, FUNCTIONS_MOST = 12, TUPLES_NEST = 4, TEXTS_MOST = 8, SET_MOST = 64 };

/* The values of the steps so far, all borrowed: no step makes an object but the name of a class,
   which is among `texts`, and no Python code runs.  The object itself is `object`, and a tuple
   that would be made is `display`, which are the addresses of no objects. */
struct attempt {
    struct core_state *state;
    const struct plan *plan;
    const struct reducer *reducer;
    PyTypeObject *type;
    PyObject *object, *display;
    int by_type; /* the type was looked at */
    int text_count;
    PyObject *texts[TEXTS_MOST]; /* strong */
    PyObject *functions[FUNCTIONS_MOST];
    PyObject *values[VALUES_MOST];
};

/* The value of a step, if it is an object that is at hand; or NULL. */
static PyObject *
answer_at_hand(const struct attempt *attempt, size_t number)
{
    PyObject *value = attempt->values[number];
    return value != attempt->object && value != attempt->display ? value : NULL;
}

/* The type of a step's value; NULL if it has none. */
static PyTypeObject *
answer_type(struct attempt *attempt, size_t number)
{
    if (attempt->values[number] == attempt->object) {
        attempt->by_type = 1;
        return attempt->type;
    }
    PyObject *value = answer_at_hand(attempt, number);
    return value == NULL ? NULL : Py_TYPE(value);
}

static PyObject *
answer_bool(int holds)
{
    return holds < 0 ? NULL : holds ? Py_True : Py_False;
}

/* ---- names -------------------------------------------------------------- */

/* True if objects of the type say that their __class__ is their type. */
static int
says_its_class(struct core_state *state, PyTypeObject *type)
{
    return (type->tp_getattro == PyObject_GenericGetAttr
            || type->tp_getattro == PyType_Type.tp_getattro)
           && type_lookup(type, state->str.class_)
                  == type_lookup(&PyBaseObject_Type, state->str.class_);
}

/* A name of a class, which the attempt holds. */
static PyObject *
answer_class_name(struct attempt *attempt, PyObject *cls, PyObject *name)
{
    if (attempt->text_count == TEXTS_MOST) {
        return NULL;
    }
    PyObject *text = plan_lookup_class_name(attempt->state, (PyTypeObject *)cls, name);
    if (text != NULL) {
        attempt->texts[attempt->text_count++] = text;
    }
    return text;
}

/* An attribute of what is at hand, or __class__ of the object; NULL if the lookup could run Python
   code or give a new object. */
static PyObject *
answer_attribute(struct attempt *attempt, const struct step *step)
{
    struct core_state *state = attempt->state;
    PyObject *owner = attempt->values[step->a];
    PyObject *name = PyTuple_GET_ITEM(attempt->plan->names, step->b);
    if (owner == attempt->object) {
        attempt->by_type = 1;
        return name == state->str.class_ && says_its_class(state, attempt->type)
                   ? (PyObject *)attempt->type
                   : NULL;
    }
    if (owner == attempt->display) {
        return NULL;
    }
    if (PyType_Check(owner)
        && (name == state->str.name || name == state->str.qualname || name == state->str.module)) {
        return answer_class_name(attempt, owner, name);
    }
    return plan_lookup_attribute(state, owner, name);
}

static PyObject *
answer_method(struct attempt *attempt, const struct step *step)
{
    PyObject *owner = answer_at_hand(attempt, step->a);
    PyObject *name = PyTuple_GET_ITEM(attempt->plan->names, step->b);
    return owner == NULL ? NULL : plan_lookup_method(attempt->state, owner, name, step->c);
}

static PyObject *
answer_super(struct attempt *attempt, const struct step *step)
{
    PyObject *cls = answer_at_hand(attempt, step->a), *owner = answer_at_hand(attempt, step->b);
    PyObject *name = PyTuple_GET_ITEM(attempt->plan->names, step->c);
    return cls == NULL || owner == NULL ? NULL
                                        : plan_lookup_super(attempt->state, cls, owner, name);
}

/* ---- isinstance, issubclass --------------------------------------------- */

/* True if a class leaves it to `type` to say what is an instance, or a subclass. */
static int
checks_as_type(struct core_state *state, PyObject *cls, int of_instance)
{
    if (!PyType_Check(cls) || Py_IS_TYPE(cls, &PyType_Type)) {
        return PyType_Check(cls);
    }
    PyObject *name = of_instance ? state->str.instancecheck : state->str.subclasscheck;
    return type_lookup(Py_TYPE(cls), name) == type_lookup(&PyType_Type, name);
}

/* isinstance() of an object of the type, or issubclass() of the type itself: 1, 0, or -1. */
static int
is_of(struct core_state *state, PyTypeObject *type, PyObject *cls, int of_instance, int depth)
{
    if (PyTuple_CheckExact(cls) && depth < TUPLES_NEST) {
        int holds = 0;
        for (Py_ssize_t i = 0; holds == 0 && i < PyTuple_GET_SIZE(cls); i++) {
            holds = is_of(state, type, PyTuple_GET_ITEM(cls, i), of_instance, depth + 1);
        }
        return holds;
    }
    if (of_instance && (PyObject *)type == cls) {
        return 1;
    }
    if (!checks_as_type(state, cls, of_instance)) {
        return -1;
    }
    return PyType_IsSubtype(type, (PyTypeObject *)cls)   ? 1
           : !of_instance || says_its_class(state, type) ? 0
                                                         : -1;
}

/* The same of the value of a step, which may be a tuple that would be made. */
static int
is_of_value(struct attempt *attempt, PyTypeObject *type, size_t number, int of_instance)
{
    const struct step *step = &attempt->plan->list[number];
    PyObject *cls = answer_at_hand(attempt, number);
    if (cls != NULL) {
        return is_of(attempt->state, type, cls, of_instance, 0);
    }
    int holds = step->kind == STEP_TUPLE ? 0 : -1;
    for (size_t i = 0; holds == 0 && i < step->b; i++) {
        cls = answer_at_hand(attempt, attempt->plan->operands[step->a + i]);
        holds = cls == NULL ? -1 : is_of(attempt->state, type, cls, of_instance, 0);
    }
    return holds;
}

static PyObject *
answer_isinstance(struct attempt *attempt, const struct step *step)
{
    PyTypeObject *type = answer_type(attempt, step->a);
    return type == NULL ? NULL : answer_bool(is_of_value(attempt, type, step->b, 1));
}

static PyObject *
answer_issubclass(struct attempt *attempt, const struct step *step)
{
    PyObject *cls = answer_at_hand(attempt, step->a);
    return cls == NULL || !PyType_Check(cls)
               ? NULL
               : answer_bool(is_of_value(attempt, (PyTypeObject *)cls, step->b, 0));
}

/* ---- in, ==, get() ------------------------------------------------------ */

/* True if an object is a class that is hashed and compared by its identity. */
static int
is_plain_class(struct core_state *state, PyObject *object)
{
    return object != NULL && PyType_Check(object)
           && (metaclass_facts(state, (PyTypeObject *)object) & METACLASS_PLAIN_KEY) != 0;
}

/* True if an object is compared with others of its kind without running Python code: such a class,
   a text or None. */
static int
is_simple(struct core_state *state, PyObject *object)
{
    return object == Py_None || PyUnicode_CheckExact(object) || is_plain_class(state, object);
}

/* True if something simple equals another object: 1, 0, or -1. */
static int
equals(struct core_state *state, PyObject *simple, PyObject *other)
{
    return simple == other            ? 1
           : !is_simple(state, other) ? -1
           : PyUnicode_CheckExact(simple) && PyUnicode_CheckExact(other)
               ? PyUnicode_Compare(simple, other) == 0
               : 0;
}

static PyObject *
answer_equal(struct attempt *attempt, const struct step *step)
{
    PyObject *left = answer_at_hand(attempt, step->a);
    PyObject *right = answer_at_hand(attempt, step->b);
    return left == NULL || right == NULL || !is_simple(attempt->state, left)
               ? NULL
               : answer_bool(equals(attempt->state, left, right));
}

/* True if a set has a class, whose equals have its hash. */
static int
set_has_class(PyObject *set, PyObject *cls)
{
    PyObject *element;
    Py_hash_t hash = hash_pointer(cls);
    for (Py_ssize_t position = 0; set_next(set, &position, &element);) {
        if (element == cls) {
            return 1;
        }
        if (set_hash_of(set, position, element) == hash) {
            return -1;
        }
    }
    return 0;
}

/* True if a set of simple objects has a text. */
static int
set_has_text(struct core_state *state, PyObject *set, PyObject *text)
{
    PyObject *element;
    int holds = PySet_GET_SIZE(set) > SET_MOST ? -1 : 0;
    for (Py_ssize_t position = 0; holds >= 0 && set_next(set, &position, &element);) {
        int equal = is_simple(state, element) ? equals(state, text, element) : -1;
        holds = equal < 0 ? -1 : holds | equal;
    }
    return holds;
}

/* The value of a dict under a class or a text: 1 and borrowed, 0, or -1. */
static int
dict_find(PyObject *dict, PyObject *key, PyObject **value)
{
    *value = NULL;
    if (!PyUnicode_CheckExact(key)) {
        return layout_dict_search(dict, key, hash_pointer(key), value);
    }
    if (!layout_has_only_str_keys(dict)) {
        return -1;
    }
    *value = dict_get_name(dict, key);
    return *value != NULL;
}

/* True if an object has a class or a text among its items: 1, 0, or -1. */
static int
has_item(struct core_state *state, PyObject *container, PyObject *key)
{
    PyObject *value;
    if (PyAnySet_CheckExact(container)) {
        return !layout_is_known()  ? -1
               : PyType_Check(key) ? set_has_class(container, key)
                                   : set_has_text(state, container, key);
    }
    if (PyDict_CheckExact(container)) {
        return dict_find(container, key, &value);
    }
    if (!PyTuple_CheckExact(container) && !PyList_CheckExact(container)) {
        return -1;
    }
    int holds = 0;
    for (Py_ssize_t i = 0; holds == 0 && i < PySequence_Fast_GET_SIZE(container); i++) {
        holds = equals(state, key, PySequence_Fast_GET_ITEM(container, i));
    }
    return holds;
}

/* True if a tuple or set that would be made has the key.  Each element of a set is hashed. */
static int
display_has_item(struct attempt *attempt, size_t number, PyObject *key)
{
    const struct step *step = &attempt->plan->list[number];
    int holds = step->kind == STEP_TUPLE ? 0 : -1;
    for (size_t i = 0; holds >= 0 && i < step->b; i++) {
        PyObject *item = answer_at_hand(attempt, attempt->plan->operands[step->a + i]);
        int equal = item == NULL || !is_simple(attempt->state, item)
                        ? -1
                        : equals(attempt->state, key, item);
        holds = equal < 0 ? -1 : holds | equal;
    }
    return holds;
}

/* True if a key can be looked for. */
static int
is_key(struct core_state *state, PyObject *key)
{
    return key != NULL && key != Py_None && is_simple(state, key);
}

static PyObject *
answer_contains(struct attempt *attempt, const struct step *step)
{
    PyObject *key = answer_at_hand(attempt, step->a);
    PyObject *container = answer_at_hand(attempt, step->b);
    if (!is_key(attempt->state, key)) {
        return NULL;
    }
    return answer_bool(container == NULL ? display_has_item(attempt, step->b, key)
                                         : has_item(attempt->state, container, key));
}

static PyObject *
answer_find(struct attempt *attempt, const struct step *step)
{
    PyObject *dict = answer_at_hand(attempt, step->a);
    PyObject *key = answer_at_hand(attempt, step->b), *value;
    if (dict == NULL || !PyDict_CheckExact(dict) || !is_key(attempt->state, key)) {
        return NULL;
    }
    int found = dict_find(dict, key, &value);
    return found < 0 ? NULL : found ? value : attempt->values[step->c];
}

/* ---- steps -------------------------------------------------------------- */

/* The value of a step; NULL if the attempt ends here. */
static PyObject *
answer_value(struct attempt *attempt, const struct step *step)
{
    const struct plan *plan = attempt->plan;
    switch (step->kind) {
    case STEP_OBJECT: return attempt->object;
    case STEP_TUPLE: return attempt->display;
    case STEP_BOUND: return attempt->reducer->bound[step->a];
    case STEP_DEFAULT: return read_default(attempt->functions[step->b], step->a);
    case STEP_CONSTANT: return PyTuple_GET_ITEM(plan->constants, step->a);
    case STEP_GLOBAL:
        return read_global(attempt->state, attempt->functions[step->b],
                           PyTuple_GET_ITEM(plan->names, step->a));
    case STEP_CELL: return read_cell(attempt->functions[step->b], step->a);
    case STEP_ATTRIBUTE: return answer_attribute(attempt, step);
    case STEP_TYPE: return (PyObject *)answer_type(attempt, step->a);
    case STEP_ISINSTANCE: return answer_isinstance(attempt, step);
    case STEP_ISSUBCLASS: return answer_issubclass(attempt, step);
    case STEP_CONTAINS: return answer_contains(attempt, step);
    case STEP_EQUAL: return answer_equal(attempt, step);
    case STEP_FIND: return answer_find(attempt, step);
    case STEP_METHOD: return answer_method(attempt, step);
    case STEP_SUPER_METHOD: return answer_super(attempt, step);
    default: return NULL;
    }
}

/* True if two values are the same: 1, 0, or -1 if that is not known. */
static int
answer_is(struct attempt *attempt, PyObject *left, PyObject *right)
{
    if (left == attempt->display || right == attempt->display) {
        return -1;
    }
    if (left == right || (left != attempt->object && right != attempt->object)) {
        return left == right;
    }
    PyObject *other = left == attempt->object ? right : left;
    attempt->by_type = 1;
    return Py_TYPE(other) != attempt->type ? 0 : other == Py_None ? 1 : -1;
}

/* True if a function has the code that a plan has a weak reference to. */
static int
has_code(PyObject *function, PyObject *reference)
{
    PyObject *code = NULL;
    if (PyWeakref_GetRef(reference, &code) <= 0) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(code); /* the function holds it, if it has it */
    return PyFunction_GET_CODE(function) == code;
}

/* The function that is called with what follows: 1, or -1 if it has other code. */
static int
answer_follow(struct attempt *attempt, const struct step *step)
{
    PyObject *function = answer_at_hand(attempt, step->a);
    if (function == NULL || !PyFunction_Check(function) || step->c >= FUNCTIONS_MOST
        || !has_code(function, PyTuple_GET_ITEM(attempt->plan->constants, step->b))
        || code_is_monitored(PyFunction_GET_CODE(function))) {
        return -1;
    }
    attempt->functions[step->c] = function;
    return 1;
}

/* True if a test holds: 1, 0, or -1. */
static int
answer_test(struct attempt *attempt, const struct step *step)
{
    PyObject *const *values = attempt->values;
    PyObject *value = answer_at_hand(attempt, step->a);
    switch (step->kind) {
    case STEP_EXPECT: return value == PyTuple_GET_ITEM(attempt->plan->constants, step->b) ? 1 : -1;
    case STEP_EXPECT_OWN:
        return value != NULL && plan_lookup_is_own_hook(attempt->state, value) ? 1 : -1;
    case STEP_FOLLOW: return answer_follow(attempt, step);
    case STEP_BRANCH_IS: return answer_is(attempt, values[step->a], values[step->b]);
    case STEP_BRANCH_TRUE: return value == NULL ? -1 : read_truth(value);
    default: return -1;
    }
}

/* Nothing but the first function is known; values are written before they are read. */
static void
begin_attempt(struct attempt *attempt, struct core_state *state, const struct reducer *reducer,
              PyTypeObject *type)
{
    attempt->state = state;
    attempt->plan = reducer->plan;
    attempt->reducer = reducer;
    attempt->type = type;
    attempt->object = (PyObject *)&attempt->object;
    attempt->display = (PyObject *)&attempt->display;
    attempt->by_type = 0;
    attempt->text_count = 0;
    attempt->functions[0] = reducer->function;
}

/* Follows the plan to an end. */
static enum plan_answer
attempt_follow(struct attempt *attempt, PyObject *answer)
{
    const struct plan *plan = attempt->plan;
    for (size_t i = 0; i < plan->count && i < VALUES_MOST;) {
        const struct step *step = &plan->list[i];
        if (step->kind == STEP_RETURN_VALUE) {
            return attempt->values[step->a] != answer ? ANSWER_UNKNOWN
                   : attempt->by_type                 ? ANSWER_OF_TYPE
                                                      : ANSWER_OF_ALL;
        }
        int holds;
        if (step->kind < STEP_EXPECT) {
            attempt->values[i] = answer_value(attempt, step);
            holds = attempt->values[i] == NULL ? -1 : 1;
        }
        else {
            holds = answer_test(attempt, step);
        }
        if (holds < 0) {
            return ANSWER_UNKNOWN;
        }
        i = holds ? i + 1 : step->c;
    }
    return ANSWER_UNKNOWN;
}

enum plan_answer
plan_answers(struct core_state *state, const struct reducer *reducer, PyTypeObject *type,
             PyObject *answer)
{
    struct attempt attempt;
    begin_attempt(&attempt, state, reducer, type);
    enum plan_answer known = attempt_follow(&attempt, answer);
    while (attempt.text_count > 0) {
        Py_DECREF(attempt.texts[--attempt.text_count]);
    }
    return known;
}
