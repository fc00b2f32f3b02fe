/* deepcopy of any object, by its route; see copier.h. */
#include "copy/copier.h"

#include "copy/copyfunction.h"
#include "copy/room.h"
#include "types/room.h"

/* ---- signals and threads ------------------------------------------------ */

int
copier_attend(struct copier *copier)
{
    copier->budget = COPIER_BUDGET;
    if (!poll_is_due(&copier->poll)) {
        return 0;
    }
    if (copier_before_asking(copier) < 0) {
        return -1;
    }
    int result = poll_take(copier->state, &copier->poll);
    copier_after_foreign(copier);
    return result;
}

/* ---- any object --------------------------------------------------------- */

PyObject *
copier_hand_over(struct copier *copier, PyObject *object)
{
    if (copymemo_show(&copier->memo) < 0 || copier_before_foreign(copier) < 0) {
        return NULL;
    }
    Py_INCREF(object);
    PyObject *copy = PyObject_CallFunctionObjArgs(copier->state->stdlib.copy_deepcopy, object,
                                                  copier->memo.dict, NULL);
    Py_DECREF(object);
    copier_after_foreign(copier);
    return copy;
}

void
copier_before_death(struct copier *copier, PyObject **copy)
{
    if (*copy != NULL) {
        if (copier_before_foreign(copier) < 0) {
            Py_CLEAR(*copy);
        }
        return;
    }
    /* Pending entries may name copies that are gone by now: they are forgotten when the call ends.
     */
    copier_resume_collector(copier);
}

PyObject *
copier_by_dispatch(struct copier *copier, PyObject *object, PyObject *function)
{
    if (copymemo_show(&copier->memo) < 0 || copier_before_foreign(copier) < 0) {
        return NULL;
    }
    Py_INCREF(object);
    Py_INCREF(function);
    PyObject *copy = PyObject_CallFunctionObjArgs(function, object, copier->memo.dict, NULL);
    Py_DECREF(function);
    copier_after_foreign(copier);
    if (copy != NULL && copy != object && copymemo_keep(&copier->memo, object, copy) < 0) {
        Py_CLEAR(copy);
    }
    Py_DECREF(object);
    return copy;
}

int
copier_memo_lacks(struct copier *copier, PyTypeObject *type)
{
    PyObject *copy = NULL;
    int found = copymemo_find_visible(&copier->memo, (PyObject *)type, &copy);
    Py_XDECREF(copy);
    if (found < 0) {
        PyErr_Clear();
    }
    return found == 0;
}
