"""Running a function on a small stack, where that ends endless recursion sooner."""

import sys
import threading

STACK = 1 << 20


def run_shallow(function, *args):
    """Return what `function(*args)` returns, or raise what it raises, from a thread of its own.

    From 3.14 the interpreter measures the stack, and on a large one a recursion without end takes
    tens of thousands of levels. Before, it counts levels and needs the large one.
    """
    if sys.version_info < (3, 14):
        return function(*args)
    answers, errors = [], []

    def run():
        try:
            answers.append(function(*args))
        except BaseException as error:
            errors.append(error)

    before = threading.stack_size(STACK)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]
