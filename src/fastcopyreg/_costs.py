"""What it costs to take one object apart and to put it together, measured; for `explain`."""

import time

from . import _stdlib
from . import copy as our_copy
from . import pickle as our_pickle
from ._backend import backend
from .bench import Contender, race

SECONDS = 0.03
"""How long each cost is measured."""

_CALLS = 64


def rows(obj, reduce):
    """Return pairs (what, cost); *reduce* is the call that takes *obj* apart, None if none does.

    A cost is a dict of nanoseconds by whose code it is, or the words of a refusal.
    """
    measured = [] if reduce is None else [("reduce", {"called": _nanoseconds(reduce)})]
    try:
        data = _stdlib.dumps(obj)
        measured += [
            ("dumps", _cost(_stdlib.dumps, our_pickle.dumps, obj)),
            ("loads", _cost(_stdlib.loads, our_pickle.loads, data)),
        ]
    except Exception as error:
        measured.append(("pickle", f"refused: {error}"))
    try:
        measured.append(("deepcopy", _cost(_stdlib.deepcopy, our_copy.deepcopy, obj)))
    except Exception as error:
        measured.append(("deepcopy", f"refused: {error}"))
    return measured


def _cost(standard, ours, argument):
    if backend != "c":
        return {"standard library": _nanoseconds(lambda: standard(argument))}
    contenders = (Contender("", standard, (argument,)), Contender("", ours, (argument,)))
    result = race("", *contenders, seconds=SECONDS, sample_seconds=SECONDS / 20)
    return {"standard library": result.standard.median, "fastcopyreg": result.ours.median}


def _nanoseconds(call):
    """Return what one call takes in the best of the samples that `SECONDS` have room for."""
    best, deadline = float("inf"), time.perf_counter() + SECONDS
    while True:
        start = time.perf_counter_ns()
        for _ in range(_CALLS):
            call()
        best = min(best, (time.perf_counter_ns() - start) / _CALLS)
        if time.perf_counter() > deadline:
            return best
