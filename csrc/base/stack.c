/* The bounds of a thread's C stack; see stack.h.

   Of most threads the system knows them.  The main thread's stack grows when it is used, up to a
   limit that the process can change at any time (setrlimit), from an address that the kernel tells
   the process: where it wrote the name of the program, at the very beginning.  glibc finds the
   same by reading /proc/self/maps, which takes long, and is not there after chroot; musl says what
   the stack has grown to so far. */
#include "base/stack.h"

#if defined(_WIN32)
#include <windows.h>
#elif defined(__APPLE__) || defined(__linux__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum {
    /* Of a stack this part is left for what is called, but not less and no more than ... */
    CALLS_PART = 16,
    CALLS_LEAST = 2048,
    CALLS_MOST = 16 * 1024,
    /* And this part more for what nests in other ways. */
    OTHERS_PART = 4,
    OTHERS_MOST = 128 * 1024,
    /* The interpreter's own reserve, where it sees the stack: nothing is called below that. */
    INTERPRETER_LEAVES = C_STACK_IS_SEEN ? 4096 * (int)sizeof(void *) : 0,
    /* The stack that importing a module and reading a function takes. */
    IMPORTS_TAKE = 48 * 1024,
    /* How far down the limit of a stack that grows is taken for unchanged. */
    GROWTH_UNASKED = 256 * 1024,
};

struct stack_bounds {
    uintptr_t low;  /* the lowest address */
    uintptr_t high; /* the first above the stack; 0: nothing is known */
    uintptr_t sure; /* `low` holds for frames not below this address */
    int asked;      /* 1 once that was done */
    int grows;      /* the stack is the main thread's */
};

static THREAD_LOCAL struct stack_bounds thread_bounds;

static int
lies_within(const struct stack_bounds *bounds, uintptr_t here)
{
    return here >= bounds->low && here < bounds->high;
}

/* ---- asking the system -------------------------------------------------- */

#if defined(_WIN32)

static void
ask_system(struct stack_bounds *bounds)
{
    ULONG_PTR low, high;
    GetCurrentThreadStackLimits(&low, &high);
    bounds->low = (uintptr_t)low;
    bounds->high = (uintptr_t)high;
}

#elif defined(__APPLE__)

static void
ask_system(struct stack_bounds *bounds)
{
    pthread_t thread = pthread_self();
    bounds->high = (uintptr_t)pthread_get_stackaddr_np(thread);
    bounds->low = bounds->high - pthread_get_stacksize_np(thread);
}

#elif defined(__linux__)

/* Asks the library that made the thread for the bounds of its stack. */
static void
ask_system(struct stack_bounds *bounds)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0, guard = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return;
    }
    if (pthread_attr_getstack(&attributes, &low, &size) == 0
        && pthread_attr_getguardsize(&attributes, &guard) == 0 && low != NULL) {
        bounds->low = (uintptr_t)low;
        bounds->high = (uintptr_t)low + size;
    }
    pthread_attr_destroy(&attributes);
}

/* The limit of a stack that grows, as it is now.  Without a limit it may take any size that a
   program needs. */
static void
ask_limit(struct stack_bounds *bounds, uintptr_t here)
{
    const uintptr_t most = sizeof(void *) > 4 ? (uintptr_t)1 << 30 : (uintptr_t)1 << 27;
    struct rlimit limit;
    uintptr_t size = most;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < most) {
        size = (uintptr_t)limit.rlim_cur;
    }
    bounds->low = bounds->high - size;
    bounds->sure = here - bounds->low > GROWTH_UNASKED ? here - GROWTH_UNASKED : bounds->low;
}

/* True if this is the main thread, on the stack that the process began with. */
static int
ask_main(struct stack_bounds *bounds, uintptr_t here)
{
    uintptr_t name = (uintptr_t)getauxval(AT_EXECFN), page = (uintptr_t)getpagesize();
    if (name == 0 || syscall(SYS_gettid) != getpid()) {
        return 0;
    }
    bounds->high = (name / page + 1) * page;
    ask_limit(bounds, here);
    bounds->grows = lies_within(bounds, here);
    return bounds->grows;
}

#else

static void
ask_system(struct stack_bounds *Py_UNUSED(bounds))
{
}

#endif

#if !defined(__linux__)
#define ask_main(bounds, here) 0
#define ask_limit(bounds, here) ((void)0)
#endif

/* The bounds of this thread's stack. */
static struct stack_bounds *
find_bounds(uintptr_t here)
{
    struct stack_bounds *bounds = &thread_bounds;
    if (!bounds->asked) {
        *bounds = (struct stack_bounds){.asked = 1};
        if (!ask_main(bounds, here)) {
            *bounds = (struct stack_bounds){.asked = 1};
            ask_system(bounds);
            bounds->sure = bounds->low;
        }
    }
    else if (bounds->grows && here < bounds->sure && here < bounds->high) {
        ask_limit(bounds, here);
    }
    return bounds;
}

/* ---- how far down ------------------------------------------------------- */

static uintptr_t
part_of(uintptr_t size, uintptr_t part, uintptr_t most)
{
    return size / part < most ? size / part : most;
}

/* The lowest address that leaves the reserve. */
static uintptr_t
lowest(const struct stack_bounds *bounds, enum stack_reserve reserve)
{
    uintptr_t size = bounds->high - bounds->low;
    uintptr_t left = part_of(size, CALLS_PART, CALLS_MOST);
    left = left < CALLS_LEAST ? CALLS_LEAST : left;
    if (reserve == STACK_FOR_OTHERS) {
        left += INTERPRETER_LEAVES + part_of(size, OTHERS_PART, OTHERS_MOST);
    }
    return bounds->low + left;
}

int
stack_look(uintptr_t here, enum stack_reserve reserve, uintptr_t *floor)
{
    struct stack_bounds *bounds = find_bounds(here);
    if (!lies_within(bounds, here)) {
        *floor = 0;
        return 1;
    }
    uintptr_t end = lowest(bounds, reserve);
    if (here < end && bounds->grows) {
        ask_limit(bounds, here);
        end = lowest(bounds, reserve);
    }
    if (here < end) {
        return 0;
    }
    *floor = end < bounds->sure ? bounds->sure : end;
    return 1;
}

int
stack_is_short(void)
{
    char here;
    struct stack_bounds *bounds = find_bounds((uintptr_t)&here);
    return lies_within(bounds, (uintptr_t)&here)
           && (uintptr_t)&here - bounds->low < IMPORTS_TAKE + INTERPRETER_LEAVES;
}

/* 0, or -1 with RecursionError. */
static int
look_or_raise(uintptr_t here, uintptr_t *floor, const char *where)
{
    if (stack_look(here, STACK_FOR_CALLS, floor)) {
        return 0;
    }
    PyErr_Format(PyExc_RecursionError, "maximum recursion depth exceeded%s", where);
    return -1;
}

#if !C_STACK_IS_SEEN
int
stack_check(void)
{
    uintptr_t floor = UINTPTR_MAX;
    return look_or_raise((uintptr_t)&floor, &floor, LEVEL_WHERE);
}

size_t
stack_levels(size_t size, size_t most)
{
    uintptr_t floor = UINTPTR_MAX, here = (uintptr_t)&floor;
    if (!stack_look(here, STACK_FOR_CALLS, &floor)) {
        return 0;
    }
    if (floor == 0 || size == 0) {
        return most;
    }
    size_t left = (here - lowest(&thread_bounds, STACK_FOR_CALLS)) / size;
    return left < most ? left : most;
}
#endif

int
stack_enter_below(uintptr_t here, uintptr_t *floor, const char *where)
{
    if (look_or_raise(here, floor, where) < 0) {
        Py_LeaveRecursiveCall();
        return -1;
    }
    return 0;
}
