/* What a pickle seems to be, at a glance. */
#ifndef FASTCOPYREG_LOAD_GLANCE_H
#define FASTCOPYREG_LOAD_GLANCE_H

#include "base/state.h"

/* True if half of these bytes are the contents of strings and bytes objects among the first
   opcodes, so that the pickle has few objects for its size.  The memory may change meanwhile. */
int glance_is_payload(const unsigned char *at, size_t size);

#endif
