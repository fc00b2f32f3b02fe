/* The checks that a load with a policy makes of keys, and of objects that are hashed or shown like
   them. */
#ifndef FASTCOPYREG_LOAD_SAFE_KEYS_H
#define FASTCOPYREG_LOAD_SAFE_KEYS_H

#include "load/safe_policy.h"

struct unpickler;

/* A longer text or bytes object is charged where it is a key, as a pickle can have it compared
   with another that is equal, again and again. */
enum { SAFE_LONG_KEY = 4096 };

/* True if the object is hashed, compared and shown in no time: no slice, nor tuples and sets with
   a slice or with more than a few parts; and if it `fills_nothing`, no lists and dicts with such
   either, and no container of the policy.  Raises nothing; *size grows by the lengths of the texts
   and bytes in it. */
int safe_has_few_parts(const PolicyObject *policy, PyObject *object, int fills_nothing,
                       uint64_t *size);

/* Counts keys that are about to be hashed, every `stride`th object, for the container; NULL: for
   one that is not there yet.  0 or -1. */
int safe_check_keys(struct unpickler *unpickler, const void *container, PyObject *const *keys,
                    PyObject *const *end, Py_ssize_t stride);

#endif
