/* Results that a function returns by the type of its argument alone: see plan_answer.h. */
#include "plans/plan_answer.h"

/* Plans of hooks are short; a longer one is not followed. */
enum { VALUES_MOST = 48 };

/* The values of the steps so far, all borrowed: no step makes an object, and no Python code runs.
   The object itself is `object`, which is the address of no object. */
struct attempt {
    struct core_state *state;
    const struct reducer *reducer;
    PyTypeObject *type;
    PyObject *object;
    int by_type; /* the type was looked at */
    PyObject *values[VALUES_MOST];
};

/* The value of a name in a module; NULL if the lookup could run Python code or give a new object.
 */
static PyObject *
answer_attribute(struct attempt *attempt, const struct step *step)
{
    PyObject *owner = attempt->values[step->a], *value = NULL;
    PyObject *name = PyTuple_GET_ITEM(attempt->reducer->plan->names, step->b);
    if (owner == attempt->object || !PyModule_CheckExact(owner)
        || read_attribute(attempt->state, owner, name, &value) != OUTCOME_DONE) {
        return NULL;
    }
    Py_DECREF(value); /* the module holds it */
    return value;
}

/* The value of a step; NULL if the attempt ends here. */
static PyObject *
answer_value(struct attempt *attempt, const struct step *step)
{
    const struct reducer *reducer = attempt->reducer;
    switch (step->kind) {
    case STEP_OBJECT: return attempt->object;
    case STEP_BOUND: return reducer->bound[step->a];
    case STEP_DEFAULT: return read_default(reducer->function, step->a);
    case STEP_CONSTANT: return PyTuple_GET_ITEM(reducer->plan->constants, step->a);
    case STEP_GLOBAL:
        return read_global(attempt->state, reducer->function,
                           PyTuple_GET_ITEM(reducer->plan->names, step->a));
    case STEP_CELL: return read_cell(reducer->function, step->a);
    case STEP_ATTRIBUTE: return answer_attribute(attempt, step);
    case STEP_TYPE:
        if (attempt->values[step->a] != attempt->object) {
            return (PyObject *)Py_TYPE(attempt->values[step->a]);
        }
        attempt->by_type = 1;
        return (PyObject *)attempt->type;
    default: return NULL;
    }
}

/* True if two values are the same: 1, 0, or -1 if that is not known. */
static int
answer_is(struct attempt *attempt, PyObject *left, PyObject *right)
{
    if (left == right || (left != attempt->object && right != attempt->object)) {
        return left == right;
    }
    PyObject *other = left == attempt->object ? right : left;
    attempt->by_type = 1;
    return Py_TYPE(other) == attempt->type ? -1 : 0;
}

/* True if a test holds: 1, 0, or -1. */
static int
answer_test(struct attempt *attempt, const struct step *step)
{
    PyObject *const *values = attempt->values;
    PyObject *value = values[step->a];
    switch (step->kind) {
    case STEP_EXPECT:
        return value == PyTuple_GET_ITEM(attempt->reducer->plan->constants, step->b) ? 1 : -1;
    case STEP_BRANCH_IS: return answer_is(attempt, value, values[step->b]);
    case STEP_BRANCH_TRUE: return value == attempt->object ? -1 : read_truth(value);
    default: return -1;
    }
}

enum plan_answer
plan_answers(struct core_state *state, const struct reducer *reducer, PyTypeObject *type,
             PyObject *answer)
{
    struct attempt attempt = {.state = state, .reducer = reducer, .type = type};
    attempt.object = (PyObject *)&attempt;
    for (size_t i = 0; i < reducer->plan->count && i < VALUES_MOST;) {
        const struct step *step = &reducer->plan->list[i];
        if (step->kind == STEP_RETURN_VALUE) {
            return attempt.values[step->a] != answer ? ANSWER_UNKNOWN
                   : attempt.by_type                 ? ANSWER_OF_TYPE
                                                     : ANSWER_OF_ALL;
        }
        if (step->kind < STEP_EXPECT) {
            attempt.values[i] = answer_value(&attempt, step);
            if (attempt.values[i] == NULL) {
                return ANSWER_UNKNOWN;
            }
            i++;
            continue;
        }
        int holds = answer_test(&attempt, step);
        if (holds < 0) {
            return ANSWER_UNKNOWN;
        }
        i = holds ? i + 1 : step->c;
    }
    return ANSWER_UNKNOWN;
}
