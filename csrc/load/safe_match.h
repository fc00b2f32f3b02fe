/* Matching arguments with the forms with which an allowed object may be called. */
#ifndef FASTCOPYREG_LOAD_SAFE_MATCH_H
#define FASTCOPYREG_LOAD_SAFE_MATCH_H

#include "load/safe_policy.h"

struct unpickler;

/* 1 if the arguments have one of the forms, 0 if not, -1 with an exception.  `unpickler` may be
   NULL: then what costs more than its arguments has no form.  Runs Python code for SPEC_KEYS. */
int safe_match(struct unpickler *unpickler, const PolicyObject *policy,
               const struct safe_forms *forms, PyObject *const *arguments, Py_ssize_t count);

#endif
