/* Which way an object is copied, and deepcopy() itself: see copier.h. */
#include "copy/copier_route.h"
#include "copy/copier.h"
#include "copy/copyfunction.h"
#include "copy/room.h"
#include "types/room.h"
#include "base/layout.h"

/* True if below the floor the C stack has room for more levels.  Where its bounds are not known,
   a call takes as much as any stack has. */
static NOINLINE int
may_descend_further(struct copier *copier, uintptr_t here)
{
    uintptr_t begin = (uintptr_t)copier;
    if (copier->depth >= COPIER_DEPTH
        || !stack_look(here, STACK_FOR_OTHERS, &copier->stack_floor)) {
        return 0;
    }
    if (copier->stack_floor != 0) {
        return 1;
    }
    if (begin < here || begin - here > COPIER_STACK || Py_EnterRecursiveCall("")) {
        if (PyErr_Occurred()) {
            PyErr_Clear();
        }
        return 0;
    }
    Py_LeaveRecursiveCall();
    copier->stack_floor = here < COPIER_STEP ? 0 : here - COPIER_STEP;
    return 1;
}

/* True if the C stack has room for more levels. */
ALWAYS_INLINE int
may_descend(struct copier *copier)
{
    char here;
    return likely((uintptr_t)&here >= copier->stack_floor)
           || may_descend_further(copier, (uintptr_t)&here);
}

static PyObject *
deepcopy_by_route(struct copier *copier, struct copyroute *route, PyObject *object, int unique)
{
    PyObject *copy;
    if (unlikely(!may_descend(copier))) {
        return copier_copy_on_heap(copier, object);
    }
    copier->depth++;
    switch (route->kind) {
    case ROUTE_LIST: copy = copier_copy_list(copier, object, unique); break;
    case ROUTE_TUPLE: copy = copier_copy_tuple(copier, object, unique); break;
    case ROUTE_DICT: copy = copier_copy_dict(copier, object, unique); break;
    case ROUTE_DEFAULT: copy = copier_copy_default(copier, route, object, unique); break;
    case ROUTE_METHOD: copy = copier_copy_method(copier, object); break;
    case ROUTE_DISPATCH: copy = copier_by_dispatch(copier, object, route->function); break;
    default:
        copy = copier_by_reduction(copier, object, route->function, route->facts, unique);
        break;
    }
    copier->depth--;
    return copy;
}

/* With a memo that can be seen, the object is owned all the way. */
static NOINLINE PyObject *
copy_visibly(struct copier *copier, PyObject *object)
{
    struct copyroute *route;
    PyObject *copy;
    Py_INCREF(object);
    if (copier_find_visible(copier, object, &route, &copy) == 0) {
        copy = deepcopy_by_route(copier, route, object, 0);
    }
    Py_DECREF(object);
    return copy;
}

PyObject *
copier_copy_object(struct copier *copier, PyObject *object, int unique)
{
    if (unlikely(!copier->atoms_hold)) {
        if (!copier_look(copier)) {
            return copier_hand_over(copier, object);
        }
        if (copier->atoms_hold && is_usual_atom(object)) {
            return Py_NewRef(object);
        }
    }
    if (unlikely(copier->memo.dict != NULL)) {
        return copy_visibly(copier, object);
    }
    PyObject *copy = unique ? NULL : copymemo_find(&copier->memo, object);
    if (copy != NULL && !copier->state->copy->routes->atoms_first) {
        return Py_NewRef(copy);
    }
    struct copyroute *route = copier_route_of(copier, object);
    if (unlikely(route == NULL)) {
        return PyErr_Occurred() ? NULL : copier_hand_over(copier, object);
    }
    if (copy != NULL && route->kind != ROUTE_ATOMIC) {
        return Py_NewRef(copy);
    }
    return route->kind <= ROUTE_CLASS ? Py_NewRef(object)
                                      : deepcopy_by_route(copier, route, object, unique);
}

/* Runs a collection that is due now, while the copies are hidden from it, and not as soon as the
   copy is handed out.  0, or -1 with what a signal handler raised.  Runs Python code. */
static int
let_collector_run(struct copier *copier)
{
    if (copier->memo.buffers->pending_count < COPYHIDE_FROM || !collector_is_due()) {
        return 0;
    }
    copymemo_hide_pending(&copier->memo);
    return PyErr_CheckSignals();
}

static PyObject *
deepcopy(struct core_state *state, PyObject *object, PyObject *memo)
{
    struct copier copier = {.state = state, .budget = COPIER_BUDGET};
    PyObject *copy = NULL;
    if (copier_may_begin(state) < 0) {
        return NULL;
    }
    copier.stack_floor = stack_begin((uintptr_t)&copier, state->types->infos->busy > 0);
    copier_begin(state);
    copier_after_foreign(&copier);
    if (copymemo_start(state, &copier.memo, memo) == 0) {
        copy = copier_copy_object(&copier, object, 0);
        if (copy != NULL && let_collector_run(&copier) < 0) {
            Py_CLEAR(copy);
        }
    }
    copier_resume_collector(&copier);
    copymemo_finish(&copier.memo);
    copier_end(state);
    return copy;
}

/* A call that has a memo is mostly one of a __deepcopy__ within a copy, and so a level of nesting
   on the C stack, which the interpreter may not count. */
PyObject *
copier_deepcopy(struct core_state *state, PyObject *object, PyObject *memo)
{
    if (!layout_is_known()) {
        return PyObject_CallFunctionObjArgs(state->stdlib.copy_deepcopy, object,
                                            memo == NULL ? Py_None : memo, NULL);
    }
    int is_plain = copyroute_is_plain_key((PyObject *)Py_TYPE(object));
    if (memo == NULL && likely(is_plain)) {
        return deepcopy(state, object, NULL);
    }
    if (memo == NULL) {
        return PyObject_CallOneArg(state->stdlib.copy_deepcopy, object);
    }
    if (!is_plain || !PyDict_CheckExact(memo)) {
        return PyObject_CallFunctionObjArgs(state->stdlib.copy_deepcopy, object, memo, NULL);
    }
    if (thread_enter_level() != 0) {
        return NULL;
    }
    PyObject *copy = deepcopy(state, object, memo);
    thread_leave_level();
    return copy;
}
