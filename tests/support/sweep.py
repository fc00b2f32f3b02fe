"""Many small cases, each by the standard library and by ours, where either may crash.

The cases run in a child process under a memory limit. A child that is ended by a signal has left
its place in shared memory, from where the next one goes on.
"""

import argparse
import mmap
import os
import random
import resource
import struct
import time

from support.child import Crash, in_child

MEMORY_BEYOND = 512 << 20
"""What cases may take beyond what the process has: for a loop's worth of small pickles, a lot."""

PLACE = struct.Struct("qq")
MOST_SHOWN = 5


def limit_memory():
    """Except under a sanitizer, which reserves address space, and where there is no /proc."""
    if "ASAN_OPTIONS" not in os.environ and os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * mmap.PAGESIZE
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BEYOND, hard))


def differences(cases, expected_of, actual_of, agree, seconds=300):
    """The first few cases `(case, expected, actual)` for which `agree(expected, actual)` is false.

    `expected_of(case)` may crash, and the outcome is then a `Crash`; so may `actual_of(case)`.
    """
    with mmap.mmap(-1, PLACE.size) as place:
        found, start = [], 0
        while start < len(cases) and len(found) < MOST_SHOWN:
            arguments = (place, cases, start, expected_of, actual_of, agree)
            answer = in_child(run_from, *arguments, seconds=seconds)
            if not isinstance(answer, Crash):
                return found + answer
            at, in_ours = PLACE.unpack(place[:])
            found += after_crash(cases[at], bool(in_ours), answer, actual_of, agree)
            start = at + 1
        return found


def hunt(description, arguments, step, differences_from):
    """A fuzzer's program: what was found, how many cases were tried, and the seed behind them.

    `differences_from(seed)` tries a batch, for `step` seeds: its differences, and how many cases
    it has. Batches follow until the time that the command line gives is over, or one has any.
    """
    parser = argparse.ArgumentParser(description=description.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 40))
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args(arguments)
    end, seed, cases = time.monotonic() + options.seconds, options.seed, 0
    while True:
        found, tried = differences_from(seed)
        cases += tried
        seed += step
        if found or time.monotonic() > end:
            return found, cases, seed


def run_from(place, cases, start, expected_of, actual_of, agree):
    limit_memory()
    found = []
    for at in range(start, len(cases)):
        place[:] = PLACE.pack(at, 0)
        expected = expected_of(cases[at])
        place[:] = PLACE.pack(at, 1)
        actual = actual_of(cases[at])
        if not agree(expected, actual):
            found.append((cases[at], repr(expected), repr(actual)))
            if len(found) == MOST_SHOWN:
                break
    return found


def after_crash(case, in_ours, crash, actual_of, agree):
    """What is to be said of a case that ended a child; if it was the standard library's turn,
    ours has not had its own.
    """
    if in_ours:
        return [(case, "", repr(crash))]
    actual = in_child(alone, actual_of, case)
    if not isinstance(actual, Crash) and agree(crash, actual):
        return []
    return [(case, repr(crash), repr(actual))]


def alone(actual_of, case):
    limit_memory()
    return actual_of(case)
