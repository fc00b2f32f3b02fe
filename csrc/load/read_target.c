/* The memory that readinto() fills: see read_target.h. */
#include "load/read_target.h"

#include "load/room.h"

typedef struct {
    PyObject_HEAD PyObject *owner; /* a bytes or bytearray object */
    char *memory;
    Py_ssize_t size;
    Py_ssize_t views;
} ReadTargetObject;

static int
target_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    ReadTargetObject *target = (ReadTargetObject *)self;
    if (PyBuffer_FillInfo(view, self, target->memory, target->size, 0, flags) < 0) {
        return -1;
    }
    target->views++;
    return 0;
}

static void
target_releasebuffer(PyObject *self, Py_buffer *Py_UNUSED(view))
{
    ((ReadTargetObject *)self)->views--;
}

static void
target_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_DECREF(((ReadTargetObject *)self)->owner);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot target_slots[] = {
    {Py_tp_dealloc, target_dealloc},
    {Py_bf_getbuffer, target_getbuffer},
    {Py_bf_releasebuffer, target_releasebuffer},
    {0, NULL},
};

static PyType_Spec target_spec = {
    .name = "fastcopyreg._core.ReadTarget",
    .basicsize = sizeof(ReadTargetObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = target_slots,
};

int
read_target_setup(PyObject *module)
{
    struct core_state *state = core_state_of_module(module);
    PyObject *type = PyType_FromModuleAndSpec(module, &target_spec, NULL);
    state->load->read_target_type = (PyTypeObject *)type;
    return type == NULL ? -1 : 0;
}

PyObject *
read_target_new(struct core_state *state, PyObject *owner, char *memory, size_t size)
{
    PyTypeObject *type = state->load->read_target_type;
    ReadTargetObject *target = (ReadTargetObject *)type->tp_alloc(type, 0);
    if (target != NULL) {
        target->owner = Py_NewRef(owner);
        target->memory = memory;
        target->size = (Py_ssize_t)size;
    }
    return (PyObject *)target;
}

int
read_target_is_kept(PyObject *target)
{
    return ((ReadTargetObject *)target)->views > 0 || Py_REFCNT(target) > 1;
}
