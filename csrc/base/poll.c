/* Polls: see poll.h. */
#include "base/poll.h"

#if HAS_THREAD_EVAL_BREAKER

/* True if the lock is to be given up.  1. */
static int
lock_is_due(struct core_state *Py_UNUSED(state), struct poll *Py_UNUSED(poll))
{
    return 1;
}

#else

#include <time.h>

enum { LOOK_EVERY = 2000000 };

static int64_t
clock_now(void)
{
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* True if so much time has passed since then; also if the clock was set back. */
static int
has_passed(int64_t since, int64_t now, int64_t nanoseconds)
{
    return now < since || now - since >= nanoseconds;
}

int
poll_is_due_by_clock(struct poll *poll)
{
    int64_t now = clock_now();
    if (poll->looked == 0) {
        poll->looked = poll->gave = now;
        return 0;
    }
    if (!has_passed(poll->looked, now, LOOK_EVERY)) {
        return 0;
    }
    poll->looked = now;
    return 1;
}

/* True if a thread that waits for the GIL has requested it by now: a fifth more than the switch
   interval has passed.  -1 with an exception. */
static int
lock_is_due(struct core_state *state, struct poll *poll)
{
    PyObject *interval = PyObject_CallNoArgs(state->stdlib.get_switch_interval);
    double seconds = interval == NULL ? -1 : PyFloat_AsDouble(interval);
    Py_XDECREF(interval);
    if (seconds < 0) {
        return PyErr_Occurred() ? -1 : 1;
    }
    int64_t now = clock_now();
    double wanted = seconds * 1.2e9;
    if (!has_passed(poll->gave, now, wanted < 9e18 ? (int64_t)wanted : INT64_MAX)) {
        return 0;
    }
    poll->gave = now;
    return 1;
}

#endif

int
poll_take(struct core_state *state, struct poll *poll)
{
    if (PyErr_CheckSignals() < 0) {
        return -1;
    }
    int due = lock_is_due(state, poll);
    if (due > 0) {
        Py_BEGIN_ALLOW_THREADS Py_END_ALLOW_THREADS
    }
    return due < 0 ? -1 : 0;
}
