/* Class attributes under names that the instances store or read in their __dict__.

   A data descriptor there comes before the instance's own value.  The type of the class attribute
   decides whether it is one; and that may change while the class does not: the type is given a
   __set__ or __delete__, or the attribute another __class__.  So a plan remembers each such
   attribute whose type can change, and looks at it again in each epoch.  Most classes have none: a
   default is a number or an enumeration's member. */
#ifndef FASTCOPYREG_TYPES_CLASS_VALUES_H
#define FASTCOPYREG_TYPES_CLASS_VALUES_H

#include "base/compat.h"

/* A class with more of them is asked. */
enum { CLASS_VALUES = 8 };

struct class_values {
    int count;
    PyObject *list[CLASS_VALUES]; /* borrowed, as long as the class has the same version */
};

static inline int
is_data_descriptor(PyObject *value)
{
    return Py_TYPE(value)->tp_descr_set != NULL;
}

static inline int
class_values_have(const struct class_values *values, PyObject *value)
{
    for (int i = 0; i < values->count; i++) {
        if (values->list[i] == value) {
            return 1;
        }
    }
    return 0;
}

/* Takes what was found in a class, or NULL.  True if the value is no data descriptor, and there is
   room if its type may make it one later. */
static inline int
class_values_take(struct class_values *values, PyObject *value)
{
    if (value == NULL) {
        return 1;
    }
    if (is_data_descriptor(value)) {
        return 0;
    }
    if (PyType_HasFeature(Py_TYPE(value), Py_TPFLAGS_IMMUTABLETYPE)
        || class_values_have(values, value)) {
        return 1;
    }
    if (values->count == CLASS_VALUES) {
        return 0;
    }
    values->list[values->count++] = value;
    return 1;
}

/* True if none has become a data descriptor. */
static inline int
class_values_hold(const struct class_values *values)
{
    for (int i = 0; i < values->count; i++) {
        if (unlikely(is_data_descriptor(values->list[i]))) {
            return 0;
        }
    }
    return 1;
}

#endif
