/* The table of the objects that a load may find and call: see safe_policy.h. */
#include "load/room.h"
#include "load/safe_policy.h"

enum { LEAST_PLACES = 64, PLACES_PER_ENTRY = 4 };

/* ---- the tables --------------------------------------------------------- */

/* Where the search for two names begins: names differ in these bytes, mostly. */
static size_t
place_of_names(const char *module, size_t module_size, const char *name, size_t name_size)
{
    size_t place = module_size * 31 + name_size * 17;
    if (module_size > 0) {
        place += (unsigned char)module[module_size - 1] * (size_t)7;
        place += (unsigned char)module[0] * (size_t)3;
    }
    if (name_size > 0) {
        place += (unsigned char)name[0] * (size_t)13;
        place += (unsigned char)name[name_size / 2] * (size_t)5;
        place += (unsigned char)name[name_size - 1] * (size_t)11;
    }
    return place;
}

const struct safe_entry *
policy_find(const PolicyObject *policy, const char *module, size_t module_size, const char *name,
            size_t name_size)
{
    size_t place = place_of_names(module, module_size, name, name_size);
    for (;; place++) {
        uint32_t number = policy->by_name[place & policy->mask];
        if (number == 0) {
            return NULL;
        }
        const struct safe_entry *entry = &policy->entries[number - 1];
        if (entry->module_size == module_size && entry->name_size == name_size
            && memcmp(entry->module_bytes, module, module_size) == 0
            && memcmp(entry->name_bytes, name, name_size) == 0) {
            return entry;
        }
    }
}

/* Puts the entry into both tables; the first of an object, or of two names, is the one found. */
static void
index_entry(PolicyObject *policy, uint32_t number)
{
    const struct safe_entry *entry = &policy->entries[number - 1];
    if ((entry->flags & SAFE_IS_UNNAMED) == 0
        && policy_find(policy, entry->module_bytes, entry->module_size, entry->name_bytes,
                       entry->name_size)
               == NULL) {
        size_t place = place_of_names(entry->module_bytes, entry->module_size, entry->name_bytes,
                                      entry->name_size);
        while (policy->by_name[place & policy->mask] != 0) {
            place++;
        }
        policy->by_name[place & policy->mask] = number;
    }
    if (policy_entry(policy, entry->object) == NULL) {
        uint64_t hash = (uint64_t)(uintptr_t)entry->object * UINT64_C(0x9e3779b97f4a7c15);
        size_t place = (size_t)(hash >> 32);
        while (policy->by_object[place & policy->mask] != 0) {
            place++;
        }
        policy->by_object[place & policy->mask] = number;
    }
}

/* ---- making ------------------------------------------------------------- */

/* How objects of a class take state: if they are classes, modules or functions, not at all. */
static unsigned int
ways_to_state(const struct safe_entry *entry)
{
    PyTypeObject *const others[] = {&PyType_Type, &PyModule_Type, &PyFunction_Type,
                                    &PyCFunction_Type, &PyMethod_Type};
    unsigned int ways = entry->flags & (SAFE_TAKES_STATE | SAFE_TAKES_UUID);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(others) && PyType_Check(entry->object); i++) {
        if (PyType_IsSubtype((PyTypeObject *)entry->object, others[i])) {
            ways = 0;
        }
    }
    return ways;
}

/* Reads (module name, name, object, helper, flags, call, make) into the next entry. */
static int
read_row(PolicyObject *policy, PyObject *row)
{
    struct safe_entry *entry = &policy->entries[policy->count];
    PyObject *module_name, *name, *object, *call, *make;
    int helper;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(row, "UUOiIOO", &module_name, &name, &object, &helper, &entry->flags,
                          &call, &make)) {
        return -1;
    }
    entry->module_bytes = PyUnicode_AsUTF8AndSize(module_name, &size);
    if (entry->module_bytes == NULL) {
        return -1;
    }
    entry->module_size = (size_t)size;
    entry->name_bytes = PyUnicode_AsUTF8AndSize(name, &size);
    if (entry->name_bytes == NULL) {
        return -1;
    }
    entry->name_size = (size_t)size;
    entry->module_name = Py_NewRef(module_name);
    entry->name = Py_NewRef(name);
    entry->object = Py_NewRef(object);
    entry->helper = (enum safe_helper)helper;
    entry->ways = ways_to_state(entry);
    policy->count++;
    if (forms_read(&entry->call, call) < 0 || forms_read(&entry->make, make) < 0) {
        return -1;
    }
    entry->makes_plain = forms_take_nothing(&entry->make);
    entry->calls_plain = forms_take_nothing(&entry->call);
    index_entry(policy, (uint32_t)policy->count);
    return 0;
}

/* Makes the tables.  0, or -1 with an exception. */
static int
read_rows(PolicyObject *policy, PyObject *rows)
{
    size_t places = LEAST_PLACES;
    while (places < (size_t)PyTuple_GET_SIZE(rows) * PLACES_PER_ENTRY) {
        places *= 2;
    }
    policy->mask = places - 1;
    policy->entries = PyMem_Calloc((size_t)PyTuple_GET_SIZE(rows) + 1, sizeof(struct safe_entry));
    policy->by_name = PyMem_Calloc(places, sizeof(uint32_t));
    policy->by_object = PyMem_Calloc(places, sizeof(uint32_t));
    if (policy->entries == NULL || policy->by_name == NULL || policy->by_object == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rows); i++) {
        PyObject *row = PyTuple_GET_ITEM(rows, i);
        if (!PyTuple_Check(row) || read_row(policy, row) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
read_limits(PolicyObject *policy, PyObject *numbers)
{
    struct safe_limits *limits = &policy->limits;
    unsigned long long values[8];
    if (!PyArg_ParseTuple(numbers, "KKKKKKKK", &values[0], &values[1], &values[2], &values[3],
                          &values[4], &values[5], &values[6], &values[7])) {
        return -1;
    }
    *limits = (struct safe_limits){values[0], values[1], values[2], values[3],
                                   values[4], values[5], values[6], values[7]};
    /* A decimal digit is 0.4152 bytes.  All limits are below 2**56. */
    policy->integer_bytes = limits->integer_digits * 5 / 12 + 1;
    policy->allows_small = limits->size >= 1024 && limits->depth >= 4 && limits->objects >= 64
                           && limits->memo >= 256 && limits->string >= 255;
    return 0;
}

/* Policy(rows, limits, any_class, refuse, attributes, helper_type, secret) */
static PyObject *
policy_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *const names[] = {"rows",       "limits",      "any_class", "refuse",
                                  "attributes", "helper_type", "secret",    NULL};
    PyObject *rows, *limits, *refuse, *attributes, *helper_type;
    int any_class;
    unsigned long long secret;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!O!pOO!O!K:Policy", (char **)names,
                                     &PyTuple_Type, &rows, &PyTuple_Type, &limits, &any_class,
                                     &refuse, &PyDict_Type, &attributes, &PyType_Type,
                                     &helper_type, &secret)) {
        return NULL;
    }
    PolicyObject *policy = (PolicyObject *)type->tp_alloc(type, 0);
    if (policy == NULL) {
        return NULL;
    }
    policy->state = core_state_of_type(type);
    policy->any_class = any_class;
    policy->secret = secret;
    policy->refuse = Py_NewRef(refuse);
    policy->attributes = Py_NewRef(attributes);
    policy->helper_type = (PyTypeObject *)Py_NewRef(helper_type);
    policy->uuid_end = PyLong_FromString("100000000000000000000000000000000", NULL, 16);
    if (policy->uuid_end == NULL || read_limits(policy, limits) < 0
        || read_rows(policy, rows) < 0) {
        Py_CLEAR(policy);
    }
    return (PyObject *)policy;
}

/* ---- the type ----------------------------------------------------------- */

static int
policy_traverse(PyObject *self, visitproc visit, void *arg)
{
    PolicyObject *policy = (PolicyObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(policy->refuse);
    Py_VISIT(policy->attributes);
    Py_VISIT(policy->helper_type);
    for (Py_ssize_t i = 0; i < policy->count; i++) {
        Py_VISIT(policy->entries[i].object);
        int visited = forms_traverse(&policy->entries[i].call, visit, arg);
        visited = visited != 0 ? visited : forms_traverse(&policy->entries[i].make, visit, arg);
        if (visited != 0) {
            return visited;
        }
    }
    return 0;
}

/* Entries are freed with the policy and not before, so that a load never sees half of one; a cycle
   through a policy, which holds classes and functions, is broken at one of these. */
static int
policy_clear(PyObject *self)
{
    PolicyObject *policy = (PolicyObject *)self;
    Py_CLEAR(policy->attributes);
    return 0;
}

static void
free_entries(PolicyObject *policy)
{
    for (Py_ssize_t i = 0; i < policy->count; i++) {
        struct safe_entry *entry = &policy->entries[i];
        forms_free(&entry->call);
        forms_free(&entry->make);
        Py_CLEAR(entry->object);
        Py_CLEAR(entry->module_name);
        Py_CLEAR(entry->name);
    }
    PyMem_Free(policy->entries);
    PyMem_Free(policy->by_name);
    PyMem_Free(policy->by_object);
}

static void
policy_dealloc(PyObject *self)
{
    PolicyObject *policy = (PolicyObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)policy_clear(self);
    free_entries(policy);
    Py_CLEAR(policy->uuid_end);
    Py_CLEAR(policy->refuse);
    Py_CLEAR(policy->helper_type);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(policy_doc,
             "Policy(rows, limits, any_class, refuse, attributes, helper_type, secret)\n"
             "--\n"
             "\n"
             "What a load may find and call, as fastcopyreg.safe says it.");

static PyType_Slot policy_slots[] = {
    {Py_tp_doc, (void *)policy_doc}, {Py_tp_new, policy_new},
    {Py_tp_dealloc, policy_dealloc}, {Py_tp_traverse, policy_traverse},
    {Py_tp_clear, policy_clear},     {0, NULL},
};

static PyType_Spec policy_spec = {
    .name = "fastcopyreg._core.Policy",
    .basicsize = sizeof(PolicyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = policy_slots,
};

int
policy_setup(PyObject *module)
{
    return core_add_type(module, &policy_spec, &core_state_of_module(module)->load->policy_type);
}
