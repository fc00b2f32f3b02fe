/* The entries to a load: load, loads and the Unpickler type.

   The functions take a machine (load.h) that is kept between calls, if nobody has it, and prescan
   their input if nobody can change it. */
#ifndef FASTCOPYREG_LOAD_UNPICKLER_H
#define FASTCOPYREG_LOAD_UNPICKLER_H

#include "base/arguments.h"
#include "load/load.h"

/* Adds the type and the functions to the module.  0, or -1 with an exception. */
int unpickler_setup(PyObject *module);

/* Adds the type alone. */
int unpickler_type_setup(PyObject *module);

/* Frees the machines that are kept between calls. */
void unpickler_teardown(struct core_state *state);

/* The arguments; all but the input are keyword-only. */
struct load_options {
    PyObject *input;
    PyObject *encoding;
    PyObject *errors;
    PyObject *buffers;
    int fix_imports;
};

/* The names of the arguments, of which the first is the input. */
#define OPTION_NAMES(input) {input, "fix_imports", "encoding", "errors", "buffers", NULL}

/* Where they are stored. */
#define OPTION_TARGETS(options)                                                           \
    &(options)->input, &(options)->fix_imports, &(options)->encoding, &(options)->errors, \
        &(options)->buffers

/* Raises TypeError for more positional arguments than the input.  0, or -1 with it. */
int unpickler_check_positional(const char *function, Py_ssize_t count);

/* loads() and load() with a policy, which may be NULL.  Strong, or NULL with an exception.  Runs
   Python code. */
PyObject *unpickler_loads(struct core_state *state, PyObject *policy, PyObject *const *vector,
                          Py_ssize_t count, PyObject *names);
PyObject *unpickler_load(struct core_state *state, PyObject *policy, PyObject *const *vector,
                         Py_ssize_t count, PyObject *names);

/* Gives an Unpickler object a policy.  0, or -1 with an exception. */
int unpickler_set_policy(struct core_state *state, PyObject *unpickler, PyObject *policy);

/* Checks the options that must be text.  0, or -1 with an exception. */
int unpickler_check_options(const char *function, const struct load_options *options);

/* Gives a machine the options but for the input.  0, or -1 with an exception.  Runs
   Python code. */
int unpickler_take_options(struct unpickler *machine, const struct load_options *options);

#endif
