/* Dicts with the same keys, filled by copying one of them. */
#ifndef FASTCOPYREG_LOAD_LOAD_TEMPLATE_H
#define FASTCOPYREG_LOAD_LOAD_TEMPLATE_H

#include "load/load.h"

/* SETITEMS of the pairs into an exact dict: 1 if that is done and the pairs are off the
   stack, 0 if the items have to be set one by one, -1 with an exception.  Runs no Python
   code. */
int load_fill_dict(struct unpickler *unpickler, PyObject *dict, PyObject **pairs);

/* The same for an empty dict, at least one pair, and only by templates that are kept between
   loads; 1: the references of the pairs are the dict's now. */
int load_fill_by_kept(struct core_state *state, PyObject *dict, PyObject **pairs,
                      Py_ssize_t count);

/* A dict with the keys of the pairs, exact strings, interned; strong, or NULL without an exception
   if two are equal, or without memory. */
PyObject *load_make_names_template(PyObject **pairs, Py_ssize_t count);

/* Sets *made to a new dict with the keys of such a template and the values of the pairs, whose
   references are the dict's then: 1, 0 if that is not possible, or -1 with MemoryError. */
int load_copy_template(PyObject *template, PyObject **pairs, Py_ssize_t count, PyObject **made);

/* Forgets the templates of a load. */
void load_forget_templates(struct unpickler *unpickler);

/* Releases those that are kept between loads. */
void load_drop_kept_templates(struct core_state *state);

#endif
