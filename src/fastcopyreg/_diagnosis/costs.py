"""What it costs to take one object apart and to put it together, measured; for `explain`."""

import time

from .. import _stdlib
from .. import copy as our_copy
from .. import pickle as our_pickle
from .._register import rules

SECONDS = 0.02
"""How long each cost is measured; what takes longer is called twice."""

_SAMPLES = 8
_MOST_CALLS = 1_000


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
        measured.append(("pickle", f"refused: {rules.words(error)}"))
    try:
        measured.append(("deepcopy", _cost(_stdlib.deepcopy, our_copy.deepcopy, obj)))
    except Exception as error:
        measured.append(("deepcopy", f"refused: {rules.words(error)}"))
    return measured


def _cost(standard, ours, argument):
    cost = {"standard library": _nanoseconds(lambda: standard(argument))}
    if ours is not standard:
        cost["fastcopyreg"] = _nanoseconds(lambda: ours(argument))
    return cost


def _nanoseconds(call):
    """Return what one call takes in the best of the samples for which there is time."""
    deadline = time.perf_counter() + SECONDS
    once = _sample(call, 1)
    calls = max(1, min(_MOST_CALLS, int(SECONDS * 1e9 / _SAMPLES / once)))
    best = _sample(call, calls)
    while time.perf_counter() < deadline:
        best = min(best, _sample(call, calls))
    return best


def _sample(call, calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return max(1, time.perf_counter_ns() - start) / calls
