"""Runs what the core is to be made fast for, once setup.py has compiled it so that it counts.

Every workload of the races, in each of its operations, for about as many objects, by ours alone;
and what no race is about: other protocols, and files.
"""

import contextlib
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # Not there under PYTHONSAFEPATH.

from allowed import register_globals
from fastcopyreg import copy, pickle, safe
from workloads import WORKLOADS

SCALE = 0.02
OBJECTS = 12_000
"""For each workload and operation: enough for every reducer to have been read."""


def repeats(workload, share=1):
    """A range of as many calls as take so many objects, or a share of them."""
    calls = OBJECTS // workload.objects(SCALE) // share if workload.count < 10**6 else 1
    return range(max(1, calls))


def inputs(workload, share=1):
    """The input of each call: a new one where a call makes another case of it."""
    built = workload.build(SCALE)
    for _ in repeats(workload, share):
        yield workload.build(SCALE) if workload.fresh else built


def train_pickling(workload):
    if workload.through is not None:
        train_picklers(workload)
        return
    for protocol, share in ((None, 1), (4, 8), (2, 16), (0, 64)):
        for built in inputs(workload, share):
            data = pickle.dumps(built, protocol)
        for _ in repeats(workload, share):
            pickle.dumps(built, protocol)
        for _ in repeats(workload, share):
            pickle.loads(data)
    train_safe(workload, pickle.dumps(built))


def train_safe(workload, data):
    register_globals(data)
    with contextlib.suppress(pickle.UnpicklingError):  # Some need more than registered classes.
        for _ in repeats(workload, 2):
            safe.loads(data)


def train_picklers(workload):
    dumps, loads = workload.through(pickle)
    for built in inputs(workload):
        loads(dumps(built))


def train_files(workload):
    if workload.through is not None:
        return
    for built in inputs(workload, 16):
        file = io.BytesIO()
        pickle.dump(built, file)
        file.seek(0)
        pickle.load(file)


def train_copying(workload, function):
    for built in inputs(workload):
        function(built)


def main():
    for workload in WORKLOADS:
        with contextlib.suppress(TypeError):  # A slice cannot be pickled everywhere.
            if "dumps" in workload.operations:
                train_pickling(workload)
                train_files(workload)
        for function in (copy.deepcopy, copy.copy):
            if function.__name__ in workload.operations:
                train_copying(workload, function)


if __name__ == "__main__":
    main()
