"""Running a function in a child process that may crash, hang, or eat memory.

The standard library still crashes on some of what the tests do to it. A function run here returns
its value, or says what signal ended it.
"""

import faulthandler
import os
import pickle as std_pickle
import resource
import select
import signal
import sys
import time
import traceback
import warnings

import pytest

requires_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

SECONDS = 60
MEMORY = 6 << 30


class Crash:
    """The function's process was ended by a signal, or did not end in time."""

    def __init__(self, reason):
        self.reason = reason

    def __repr__(self):
        return f"<crash: {self.reason}>"


def in_child(function, *args, seconds=SECONDS):
    """Return what `function(*args)` returns, computed in a fork, or a `Crash`.

    The value must be something that pickle can take. An exception that passes out of the function
    is raised here as AssertionError with the child's traceback.
    """
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        os.close(reading)
        run_and_leave(function, args, writing)
    os.close(writing)
    data, in_time = read_all(reading, seconds)
    if not in_time:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not in_time:
        return Crash(f"no answer after {seconds} seconds")
    if os.WIFSIGNALED(status):
        return Crash(signal.Signals(os.WTERMSIG(status)).name)
    kind, value = std_pickle.loads(data)
    if kind == "raised":
        raise AssertionError(f"raised in the child process:\n{value}")
    return value


def each_in_child(function, cases):
    """What `in_child(function, *case)` returns for each of the cases.

    One process runs them all, and only if it comes to grief, each is run by one of its own. If it
    is only together that they do, that is what each is said to do.
    """
    together = in_child(lambda: [function(*case) for case in cases])
    if not isinstance(together, Crash):
        return together
    answers = [in_child(function, *case) for case in cases]
    if any(isinstance(answer, Crash) for answer in answers):
        return answers
    return [together] * len(cases)


def fork():
    """Fork, though other tests may have left threads behind; the child has this one only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def run_and_leave(function, args, writing):
    """In the child: run, write the answer, and end without cleaning up what the parent owns."""
    faulthandler.disable()
    limit_resources()
    try:
        answer = ("value", function(*args))
    except BaseException:
        answer = ("raised", traceback.format_exc())
    with os.fdopen(writing, "wb") as file:
        file.write(std_pickle.dumps(answer))
    os._exit(0)


def limit_resources():
    """No core files; a bound on memory, except under a sanitizer, which reserves address space."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "ASAN_OPTIONS" not in os.environ:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stderr__.fileno())


def read_all(descriptor, seconds):
    """All bytes until the other end closes, and whether it did in time."""
    deadline = time.monotonic() + seconds
    parts = []
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([file], [], [], left)[0]:
                return b"".join(parts), False
            part = file.read(1 << 16)
            if not part:
                return b"".join(parts), True
            parts.append(part)
