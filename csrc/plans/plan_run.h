/* Running a plan step by step, on an array of values.

   Any plan can be run so.  The steps only load, so that any of them can bail out as if nothing had
   been done.  No function here runs Python code; where the collector may run at an allocation
   (3.11), no more is allocated than the called function would allocate. */
#ifndef FASTCOPYREG_PLANS_PLAN_RUN_H
#define FASTCOPYREG_PLANS_PLAN_RUN_H

#include "plans/plan_pure.h"

/* The arguments of a run; all borrowed. */
struct plan_run {
    struct core_state *state;
    const struct plan *plan;
    const Py_ssize_t *reads; /* where steps find their value in the object; NULL: nowhere */
    PyObject *const *functions;
    PyObject *object; /* of reducers */
    PyObject *protocol;
    PyObject *const *bound;
    PyObject *keywords;
    PyTypeObject *cls; /* of constructors */
    PyObject *const *arguments;
    Py_ssize_t argument_count;
    PyObject **values; /* strong, one for each step */
    size_t end;        /* the step that the path ended with */
};

/* What `reads` has for each step: the offset of a slot of the object's class, as it is now, or one
   of these. */
enum { READ_ELSEWHERE = 0, READ_OWN_DICT = -1 };

/* Runs up to the end of a path.  OUTCOME_DONE and run->end, OUTCOME_BAIL or OUTCOME_RAISED.  The
   values are to be released with plan_run_release() in any case. */
enum outcome plan_run(struct plan_run *run);

/* True if the step makes a value of others: a call that runs no code, or a display. */
ALWAYS_INLINE int
step_makes(const struct step *step)
{
    return step_is_pure(step) || step->kind == STEP_TUPLE || step->kind == STEP_LIST
           || step->kind == STEP_DICT;
}

/* The value of such a step, strong: OUTCOME_DONE, OUTCOME_BAIL or OUTCOME_RAISED.  A container may
   be made (3.11: ALLOCATION_COLLECTS). */
enum outcome plan_run_making(struct plan_run *run, const struct step *step, PyObject **value);

/* The value that a path of a reducer ends with; strong, or NULL with an exception. */
PyObject *plan_run_result(struct plan_run *run);

void plan_run_release(struct plan_run *run);

/* The step behind one on the way that a path went, once more. */
size_t plan_run_next(struct plan_run *run, size_t number);

enum { REDUCER_BOUND_MAX = 8 };

/* A reducer as a function, the arguments that methods and partials give it besides the object,
   and its plan; all borrowed, until Python code runs. */
struct reducer {
    PyObject *callable;
    PyObject *function;
    PyObject *bound[REDUCER_BOUND_MAX];
    int count;
    PyObject *keywords; /* a dict that a partial binds, or NULL */
    int uncompilable;   /* the function has no plan, and gets none */
    PyObject *protocol; /* which it is given behind the object, or NULL */
    int is_hook;        /* the hook of a pickler, of which only an answer is wanted */
    const struct plan *plan;
};

/* Finds what is needed to look into partials. */
void reducer_setup(struct core_state *state);

/* Adds what an exact functools.partial binds; the callable in it, or NULL if that is not known. */
PyObject *reducer_unwrap_partial(struct core_state *state, PyObject *partial,
                                 struct reducer *reducer);

/* Meets a reducer, which is given an object and a protocol (NULL: the object alone).
   OUTCOME_DONE if it has a plan that can be run now, OUTCOME_HOT if it is to be read, after
   which it is to be met again.  Runs no Python code. */
enum outcome reducer_meet(struct core_state *state, PyObject *callable, PyObject *protocol,
                          struct reducer *reducer);

/* The same of the hook of a pickler, whose plan is for plan_answers(). */
enum outcome reducer_meet_hook(struct core_state *state, PyObject *callable,
                               struct reducer *reducer);

/* Reads a reducer or hook that is hot.  0, or -1 with an exception.  Runs Python code. */
int reducer_read(struct core_state *state, const struct reducer *reducer);

/* The reduce value of an object by a reducer's plan, strong. */
enum outcome reducer_run(struct core_state *state, const struct reducer *reducer, PyObject *object,
                         PyObject **reduce_value);

/* An attribute that is there to be loaded; strong. */
enum outcome read_attribute(struct core_state *state, PyObject *owner, PyObject *name,
                            PyObject **value);

/* A global of a function, or else a builtin; borrowed. */
PyObject *read_global(struct core_state *state, PyObject *function, PyObject *name);

/* The same; *index remembers where it was (layout_find_name). */
PyObject *read_global_at(struct core_state *state, PyObject *function, PyObject *name,
                         Py_ssize_t *index);

/* A default of a parameter; borrowed, NULL if there is none. */
PyObject *read_default(PyObject *function, size_t parameter);

/* The contents of a closure cell; borrowed, NULL if it is empty. */
PyObject *read_cell(PyObject *function, size_t index);

#endif
