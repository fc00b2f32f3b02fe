/* safe.loads() and safe.load(): see safe_functions.h.

   loads(data) is asked for most, and has its policy from the last call, as long as no constructor
   was registered meanwhile.  Every other call asks safe_choose, a function of fastcopyreg.safe,
   for the policy of its keyword arguments. */
#include "load/safe_functions.h"

#include "load/load_one.h"
#include "load/safe.h"
#include "load/unpickler.h"
#include "load/room.h"

/* ---- the policy --------------------------------------------------------- */

/* Asks for the policy of these arguments, which a tuple and dict hold.  Strong, or NULL with an
   exception.  Runs Python code. */
static PyObject *
choose_policy(struct core_state *state, PyObject *keywords)
{
    if (state->load->safe_choose == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "fastcopyreg.safe is not imported");
        return NULL;
    }
    PyObject *choose = Py_NewRef(state->load->safe_choose);
    PyObject *policy = PyObject_VectorcallDict(choose, NULL, 0, keywords);
    Py_DECREF(choose);
    if (policy != NULL && !Py_IS_TYPE(policy, state->load->policy_type)) {
        Py_CLEAR(policy);
        PyErr_SetString(PyExc_TypeError, "no policy was chosen");
    }
    return policy;
}

/* The policy of loads(data); strong, or NULL with an exception.  Runs Python code. */
ALWAYS_INLINE PyObject *
usual_policy(struct core_state *state)
{
    PyObject *constructors = state->load->safe_constructors;
    Py_ssize_t registered = constructors == NULL ? 0 : PyDict_GET_SIZE(constructors);
    if (HAS_GIL
        && likely(state->load->safe_policy != NULL
                  && state->load->safe_registered == registered)) {
        return Py_NewRef(state->load->safe_policy);
    }
    PyObject *policy = choose_policy(state, NULL);
    if (policy != NULL && HAS_GIL) {
        state->load->safe_registered = registered;
        Py_XSETREF(state->load->safe_policy, Py_NewRef(policy));
    }
    return policy;
}

/* ---- loads and load ----------------------------------------------------- */

typedef PyObject *(*loader)(struct core_state *state, PyObject *policy, PyObject *const *vector,
                            Py_ssize_t count, PyObject *names);

/* True if a keyword is one of pickle's. */
static int
is_of_pickle(PyObject *name)
{
    static const char *const names[] = {"fix_imports", "encoding", "errors", "buffers", "file"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (PyUnicode_EqualToUTF8(name, names[i])) {
            return 1;
        }
    }
    return 0;
}

/* Moves the keywords that are not pickle's into a dict, and the others into `kept` with their
   names in a tuple: strong, or NULL with an exception. */
static PyObject *
split_keywords(PyObject *const *vector, Py_ssize_t count, PyObject *names, PyObject **kept,
               PyObject *keywords)
{
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i), *value = vector[count + i];
        int result;
        if (is_of_pickle(name)) {
            kept[count + PyList_GET_SIZE(list)] = value;
            result = PyList_Append(list, name);
        }
        else {
            result = PyDict_SetItem(keywords, name, value);
        }
        if (result < 0) {
            Py_CLEAR(list);
        }
    }
    PyObject *tuple = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

/* A call with keyword arguments.  Strong, or NULL with an exception.  Runs Python code. */
static PyObject *
load_with_keywords(struct core_state *state, loader load, PyObject *const *vector,
                   Py_ssize_t count, PyObject *names)
{
    Py_ssize_t all = count + PyTuple_GET_SIZE(names);
    PyObject **kept = PyMem_New(PyObject *, (size_t)all);
    if (kept == NULL) {
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        kept[i] = vector[i];
    }
    PyObject *object = NULL, *policy = NULL, *of_pickle = NULL, *keywords = PyDict_New();
    if (keywords != NULL) {
        of_pickle = split_keywords(vector, count, names, kept, keywords);
    }
    if (of_pickle != NULL) {
        policy =
            PyDict_GET_SIZE(keywords) == 0 ? usual_policy(state) : choose_policy(state, keywords);
    }
    if (policy != NULL) {
        PyObject *others = PyTuple_GET_SIZE(of_pickle) == 0 ? NULL : of_pickle;
        object = load(state, policy, kept, count, others);
    }
    Py_XDECREF(policy);
    Py_XDECREF(of_pickle);
    Py_XDECREF(keywords);
    PyMem_Free(kept);
    return object;
}

/* Has the load done by the learner, under the name of its method.  Strong or NULL. */
static PyObject *
load_by_learner(struct core_state *state, loader load, PyObject *const *vector, Py_ssize_t count,
                PyObject *names)
{
    PyObject *learner = Py_NewRef(state->load->safe_learner), *object = NULL;
    PyObject *method = PyObject_GetAttrString(learner, load == unpickler_loads ? "loads" : "load");
    if (method != NULL) {
        object = PyObject_Vectorcall(method, vector, (size_t)count, names);
        Py_DECREF(method);
    }
    Py_DECREF(learner);
    return object;
}

ALWAYS_INLINE PyObject *
load_safely(PyObject *module, loader load, PyObject *const *vector, Py_ssize_t count,
            PyObject *names)
{
    struct core_state *state = core_state_of_module(module);
    if (unlikely(state->load->safe_learner != NULL)) {
        return load_by_learner(state, load, vector, count, names);
    }
    if (unlikely(names != NULL)) {
        return load_with_keywords(state, load, vector, count, names);
    }
    PyObject *policy = usual_policy(state), *object = NULL;
    if (policy == NULL) {
        return NULL;
    }
    if (load != unpickler_loads || count != 1 || !PyBytes_CheckExact(vector[0])
        || !((PolicyObject *)policy)->allows_small || !load_atom(state, vector[0], &object)) {
        object = load(state, policy, vector, count, names);
    }
    Py_DECREF(policy);
    return object;
}

#define SAFE_KEYWORDS                                   \
    "*, allow=(), classes='registered', limits=None,\n" \
    "    fix_imports=True, encoding='ASCII', errors='strict', buffers=()"

PyDoc_STRVAR(
    safe_loads_doc,
    "loads($module, data, /, " SAFE_KEYWORDS ")\n"
    "--\n"
    "\n"
    "Returns the object that a pickle in memory describes, calling only what is allowed.\n"
    "\n"
    "Allowed are built-in data, STANDARD, the constructors registered in this process, and\n"
    "what allow names; see Policy for allow, classes and limits, which is also what to make\n"
    "once where many pickles are loaded with these.  The other arguments are those of\n"
    "pickle.loads.  Raises UnpicklingError for what is not allowed.");

PyDoc_STRVAR(safe_load_doc,
             "load($module, /, file, " SAFE_KEYWORDS ")\n"
             "--\n"
             "\n"
             "Reads one pickle from a file, calling only what is allowed; see loads.");

static PyObject *
core_safe_loads(PyObject *module, PyObject *const *vector, Py_ssize_t count, PyObject *names)
{
    return load_safely(module, unpickler_loads, vector, count, names);
}

static PyObject *
core_safe_load(PyObject *module, PyObject *const *vector, Py_ssize_t count, PyObject *names)
{
    return load_safely(module, unpickler_load, vector, count, names);
}

/* ---- setup -------------------------------------------------------------- */

PyDoc_STRVAR(set_safe_doc,
             "set_safe($module, choose, constructors, /)\n"
             "--\n"
             "\n"
             "Tells loads who chooses policies, and the dict of registered constructors.");

static PyObject *
core_set_safe(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    struct core_state *state = core_state_of_module(module);
    if (count != 2 || !PyDict_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "set_safe() takes a function and a dict");
        return NULL;
    }
    Py_XSETREF(state->load->safe_choose, Py_NewRef(arguments[0]));
    Py_XSETREF(state->load->safe_constructors, Py_NewRef(arguments[1]));
    Py_CLEAR(state->load->safe_policy);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_policy_doc, "set_policy($module, unpickler, policy, /)\n"
                             "--\n"
                             "\n"
                             "Gives an Unpickler a policy, which it asks from now on.");

static PyObject *
core_set_policy(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    struct core_state *state = core_state_of_module(module);
    if (count != 2 || !Py_IS_TYPE(arguments[1], state->load->policy_type)) {
        PyErr_SetString(PyExc_TypeError, "set_policy() takes an Unpickler and a Policy");
        return NULL;
    }
    if (unpickler_set_policy(state, arguments[0], arguments[1]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* These are called so in fastcopyreg.safe, under which they are pickled. */
static PyMethodDef public_functions[] = {
    {"loads", (PyCFunction)(void (*)(void))core_safe_loads, METH_FASTCALL | METH_KEYWORDS,
     safe_loads_doc},
    {"load", (PyCFunction)(void (*)(void))core_safe_load, METH_FASTCALL | METH_KEYWORDS,
     safe_load_doc},
};

/* policy_loads(policy, data, **options), and policy_load. */
static PyObject *
load_by_policy(PyObject *module, loader load, PyObject *const *vector, Py_ssize_t count,
               PyObject *names)
{
    struct core_state *state = core_state_of_module(module);
    if (count < 1 || !Py_IS_TYPE(vector[0], state->load->policy_type)) {
        PyErr_SetString(PyExc_TypeError, "the first argument must be a Policy");
        return NULL;
    }
    if (unlikely(state->load->safe_learner != NULL)) {
        return load_by_learner(state, load, vector + 1, count - 1, names);
    }
    return load(state, vector[0], vector + 1, count - 1, names);
}

PyDoc_STRVAR(policy_loads_doc, "policy_loads($module, policy, data, /, **options)\n"
                               "--\n"
                               "\n"
                               "loads() by a policy.");

static PyObject *
core_policy_loads(PyObject *module, PyObject *const *vector, Py_ssize_t count, PyObject *names)
{
    return load_by_policy(module, unpickler_loads, vector, count, names);
}

PyDoc_STRVAR(policy_load_doc, "policy_load($module, policy, file, /, **options)\n"
                              "--\n"
                              "\n"
                              "load() by a policy.");

static PyObject *
core_policy_load(PyObject *module, PyObject *const *vector, Py_ssize_t count, PyObject *names)
{
    return load_by_policy(module, unpickler_load, vector, count, names);
}

PyDoc_STRVAR(set_learner_doc, "set_learner($module, learner, /)\n"
                              "--\n"
                              "\n"
                              "Has loads done by learner.loads and learner.load; None: as usual.");

static PyObject *
core_set_learner(PyObject *module, PyObject *learner)
{
    struct core_state *state = core_state_of_module(module);
    Py_XSETREF(state->load->safe_learner, learner == Py_None ? NULL : Py_NewRef(learner));
    Py_RETURN_NONE;
}

static PyMethodDef private_functions[] = {
    {"set_learner", core_set_learner, METH_O, set_learner_doc},
    {"policy_loads", (PyCFunction)(void (*)(void))core_policy_loads, METH_FASTCALL | METH_KEYWORDS,
     policy_loads_doc},
    {"policy_load", (PyCFunction)(void (*)(void))core_policy_load, METH_FASTCALL | METH_KEYWORDS,
     policy_load_doc},
    {"set_safe", (PyCFunction)(void (*)(void))core_set_safe, METH_FASTCALL, set_safe_doc},
    {"set_policy", (PyCFunction)(void (*)(void))core_set_policy, METH_FASTCALL, set_policy_doc},
    {NULL, NULL, 0, NULL},
};

int
safe_setup(PyObject *module)
{
    static const char *const names[] = {"safe_loads", "safe_load"};
    if (policy_setup(module) < 0
        || core_add_functions(module, private_functions, "fastcopyreg.safe") < 0) {
        return -1;
    }
    PyObject *owner = PyUnicode_InternFromString("fastcopyreg.safe");
    int result = owner == NULL ? -1 : 0;
    for (size_t i = 0; result == 0 && i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *function = PyCFunction_NewEx(&public_functions[i], module, owner);
        result = PyModule_AddObjectRef(module, names[i], function);
        Py_XDECREF(function);
    }
    Py_XDECREF(owner);
    return result;
}
