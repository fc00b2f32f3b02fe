/* Copies that the collector does not see for a while.

   The simple way is to let the collector do as it pleases.  Then a quarter to a third of the time
   of a large deepcopy goes into collections that visit what was just copied, and can find nothing:
   what a call owns until its end is no garbage before.  (Hidden, copies of 20,000 objects that
   were dropped took 15 % to 35 % less time, on 3.14 and 3.15; of those that were kept, as much or
   up to 4 % more: what is alive is visited by a later collection, when it has left the processor's
   caches.)  So copies leave the collector's lists

   - as soon as they are many, and then each when it is made, where a reducer is called for each
     object, and with each call the collector may run; until the end, or until foreign code is
     handed anything but a source;
   - at the end of a copy that ran no foreign code, if a collection is due by then: it runs while
     they are hidden, instead of right after.

   Nobody is to find a difference but who asks the collector for its objects in a reducer, a
   finalizer or a signal handler that runs meanwhile.  What always holds:

   - A hidden copy was tracked when it was hidden, is owned here, and is tracked again before it is
     let go, however the call ends.
   - A reference that the collector does not see counts as one from outside: hiding keeps what
     is reachable from a copy alive, and frees nothing.
   - No tuple is hidden but as an instance of a class of its own: the collector stops
     tracking a tuple for good whose items it finds untracked, if these are tuples. */
#ifndef FASTCOPYREG_COPYHIDE_H
#define FASTCOPYREG_COPYHIDE_H

#include "compat.h"

#if KNOWN_LAYOUT

/* The hidden copies, owned.  The memory is kept between uses while it is small. */
struct copyhide {
    PyObject **copies;
    size_t count, capacity;
};

/* With fewer copies than these there is nothing to be gained: the collector is due every 2,000. */
enum { COPYHIDE_FROM = 256 };

/* Hides an object that the copier made, if it may be hidden and there is memory.  Runs no Python
   code. */
void copyhide_hide(struct copyhide *hidden, PyObject *copy);

/* Has all of them tracked again, and lets them go.  Where others hold them it runs no Python
   code. */
void copyhide_reveal(struct copyhide *hidden);

/* Gives the memory back; nothing is hidden. */
void copyhide_free(struct copyhide *hidden);

#endif
#endif
