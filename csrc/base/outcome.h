/* The outcome of an attempt to do something by a short way, in the same words everywhere. */
#ifndef FASTCOPYREG_BASE_OUTCOME_H
#define FASTCOPYREG_BASE_OUTCOME_H

enum outcome {
    OUTCOME_RAISED = -1, /* an exception is set */
    OUTCOME_BAIL,        /* nothing was done: go the general way */
    OUTCOME_DONE,        /* the result is there */
    OUTCOME_TAKEN,       /* the result is there, and the arguments were moved into it */
    OUTCOME_HOT,         /* a function is to be read by the compiler before this is tried again */
    OUTCOME_ABSENT,      /* the thing looked for is surely not there */
    OUTCOME_VALUE,       /* a reduce value is there, still to be used */
    OUTCOME_STATE,       /* the state of an object is there, which else is reduced by default */
    OUTCOME_NAME,        /* the object is to be saved by name */
    OUTCOME_CLOSED       /* the result is there, and has been entered in the memo */
};

#endif
