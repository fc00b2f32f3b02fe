/* How far down the C stack a call may go.

   Up to 3.13 the interpreter counts calls and does not see the end of the stack: threads may have
   64 KiB of it (128 on musl), and a call too many ends the process.  So a function that nests asks
   here.  The bounds of a thread's stack are asked of the system once a thread, and only where a
   call has gone down some way: of most threads never.  A call keeps how far down it may go without
   asking again (`floor`), which is one comparison for each level.

   Nothing is known, and nothing fails, where the stack pointer lies outside the thread's stack, as
   in a coroutine that has one of its own, and on systems that do not say. */
#ifndef FASTCOPYREG_BASE_STACK_H
#define FASTCOPYREG_BASE_STACK_H

#include "base/compat.h"

/* The part of the stack that remains for the functions called from there. */
enum stack_reserve {
    STACK_FOR_CALLS,  /* for what is called from there: functions that do not nest */
    STACK_FOR_OTHERS, /* for calls that may nest again, too: the work goes on elsewhere than on the
                         stack */
};

/* How far a call goes down before it asks, in bytes: some twenty levels. */
enum { STACK_UNASKED = 4096 };

/* The floor of a call that begins here; of one within another call of ours, which may be the last
   that there is room for, the highest address. */
ALWAYS_INLINE uintptr_t
stack_begin(uintptr_t here, int nested)
{
    return nested || here < STACK_UNASKED ? UINTPTR_MAX : here - STACK_UNASKED;
}

/* True if there is more than the reserve of the stack left below an address, which is in the frame
   of a caller, and the floor for what comes next: 0 if nothing is known.  Runs no Python code. */
int stack_look(uintptr_t here, enum stack_reserve reserve, uintptr_t *floor);

/* True if less of the C stack is left than an import or a compilation takes.  Runs no Python code.
 */
int stack_is_short(void);

/* Checks that there is C stack for a call that may be within others without end, where the
   interpreter does not check it: 0, or -1 with the RecursionError of a Python function.  Runs no
   Python code. */
#if C_STACK_IS_SEEN
#define stack_check() 0
#else
int stack_check(void);
#endif

/* How many levels of so many bytes each there is C stack for below the caller, where the
   interpreter does not see to it: no more than `most`, and that many if nothing is known. */
#if !C_STACK_IS_SEEN
size_t stack_levels(size_t size, size_t most);
#endif

/* The rest of stack_enter() below the floor: the level is entered, and left again with -1. */
int stack_enter_below(uintptr_t here, uintptr_t *floor, const char *where);

/* A level of nesting, which the interpreter counts: 0, or -1 with RecursionError, the end of whose
   text is `where`, if they are too many, or the C stack ends.  Py_LeaveRecursiveCall() leaves it.
   Runs no Python code. */
ALWAYS_INLINE int
stack_enter(uintptr_t *floor, const char *where)
{
    if (unlikely(Py_EnterRecursiveCall(where))) {
        return -1;
    }
#if C_STACK_IS_SEEN
    (void)floor;
#else
    char here;
    if (unlikely((uintptr_t)&here < *floor)) {
        return stack_enter_below((uintptr_t)&here, floor, where);
    }
#endif
    return 0;
}

#endif
