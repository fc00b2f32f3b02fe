/* Our own Python code: see helpers.h. */
#include "base/observed.h"
#include "base/helpers.h"

#include "base/layout.h"
#include "base/stack.h"

#include <signal.h>

#ifndef NSIG
#define NSIG 65
#endif

static const char *const module_names[] = {"fastcopyreg.compiler", "fastcopyreg._compiler.values",
                                           "fastcopyreg._compiler.tables"};

/* ---- the caller's exceptions -------------------------------------------- */

enum { WRAPPERS_MAX = 8 };

/* The code that runs first when a handler is called, borrowed; NULL if it is none of Python.  Runs
   no Python code: the attributes of a partial are those of a type of C. */
static PyObject *
code_of_handler(struct core_state *state, PyObject *handler)
{
    for (int i = 0; i < WRAPPERS_MAX; i++) {
        if (PyFunction_Check(handler)) {
            return PyFunction_GET_CODE(handler);
        }
        if (PyMethod_Check(handler)) {
            handler = PyMethod_GET_FUNCTION(handler);
        }
        else if (Py_IS_TYPE(handler, (PyTypeObject *)state->stdlib.partial)) {
            PyObject *function = PyObject_GetAttrString(handler, "func");
            if (function == NULL) {
                PyErr_Clear();
                return NULL;
            }
            Py_DECREF(function); /* the partial holds it */
            handler = function;
        }
        else {
            handler = type_lookup(Py_TYPE(handler), state->str.call);
            if (handler == NULL) {
                return NULL;
            }
        }
    }
    return NULL;
}

/* True if this code has a frame in the traceback. */
static int
has_frame_of(PyObject *traceback, PyObject *code)
{
    PyObject *entry = traceback;
    for (; entry != NULL; entry = (PyObject *)((PyTracebackObject *)entry)->tb_next) {
        PyCodeObject *run = PyFrame_GetCode(((PyTracebackObject *)entry)->tb_frame);
        Py_DECREF(run);
        if ((PyObject *)run == code) {
            return 1;
        }
    }
    return 0;
}

/* True if a handler may have raised the exception with this traceback; a handler in C leaves no
   frame in it. */
static int
may_have_raised(struct core_state *state, PyObject *handler, PyObject *traceback)
{
    if (!PyCallable_Check(handler) || handler == state->stdlib.default_handler) {
        return 0; /* the default one raises KeyboardInterrupt */
    }
    PyObject *code = code_of_handler(state, handler);
    return code == NULL || has_frame_of(traceback, code);
}

/* True if a signal handler has raised it, or somebody who wants to end the program or its task. */
static int
is_meant_for_caller(struct core_state *state, PyObject *exception)
{
    if (!PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception)) {
        return 1;
    }
    PyObject *traceback = PyException_GetTraceback(exception);
    int is_meant = 0;
    for (int i = 1; traceback != NULL && !is_meant && i < NSIG; i++) {
        PyObject *handler = PyObject_CallFunction(state->stdlib.get_signal, "i", i);
        is_meant = handler != NULL && may_have_raised(state, handler, traceback);
        Py_XDECREF(handler);
        PyErr_Clear();
    }
    Py_XDECREF(traceback);
    return is_meant;
}

int
helper_drop_failure(struct core_state *state)
{
    PyObject *exception = PyErr_GetRaisedException();
    if (is_meant_for_caller(state, exception)) {
        PyErr_SetRaisedException(exception);
        return 0;
    }
    Py_DECREF(exception);
    return 1;
}

/* ---- importing ---------------------------------------------------------- */

/* True if sys.modules has this very core: if not, our package would be imported anew, with all
   that goes with it.  -1 with an exception. */
static int
package_is_there(struct core_state *state)
{
    PyObject *name = PyUnicode_FromString(core_module.m_name);
    PyObject *module = name == NULL ? NULL : PyImport_GetModule(name);
    Py_XDECREF(name);
    int is_there = module != NULL && PyModule_Check(module)
                   && PyModule_GetDef(module) == &core_module
                   && core_state_of_module(module) == state;
    Py_XDECREF(module);
    return PyErr_Occurred() ? -1 : is_there;
}

/* Imports a helper, while no other thread does: half a module would look broken.  0, -1 without an
   exception if that failed, or with one that is meant for the caller. */
static int
import_helper(struct core_state *state, enum helper helper)
{
    struct helper_module *entry = &state->helpers[helper];
    entry->status = HELPER_COMES;
    PyObject *module =
        package_is_there(state) > 0 ? PyImport_ImportModule(module_names[helper]) : NULL;
    if (module == NULL && PyErr_Occurred() && !helper_drop_failure(state)) {
        entry->status = HELPER_UNUSED;
        return -1;
    }
    Py_XSETREF(entry->module, module);
    entry->status = module == NULL ? HELPER_OFF : HELPER_READY;
    return module == NULL ? -1 : 0;
}

int
helper_may_run(struct core_state *state, enum helper helper)
{
    return state->helpers[helper].status != HELPER_COMES && !calls_observed(state)
           && !thread_near_recursion_limit() && !stack_is_short();
}

int
helper_ask(struct core_state *state, enum helper helper, const char *function,
           PyObject *const *arguments, size_t count, PyObject **answer)
{
    struct helper_module *entry = &state->helpers[helper];
    *answer = NULL;
    if (entry->status == HELPER_OFF || entry->status == HELPER_COMES) {
        return 0;
    }
    if (entry->status == HELPER_UNUSED && import_helper(state, helper) < 0) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *callable = PyObject_GetAttrString(entry->module, function);
    if (callable != NULL) {
        *answer = PyObject_Vectorcall(callable, arguments, count, NULL);
        Py_DECREF(callable);
    }
    if (*answer != NULL) {
        return 1;
    }
    return helper_drop_failure(state) ? 0 : -1;
}
