"""For users' tests: a race that must be won, and a round trip that must hold.

Both are functions that raise `AssertionError`; under pytest they are fixtures, too, without an
import (`fastcopyreg_pytest`):

    def test_fast(race):
        race(objects, op="dumps", at_least=3)

    def test_travels(assert_roundtrip):
        assert_roundtrip(Point(1, 2))
"""

from . import _stdlib, backend, copy, pickle
from . import bench as _bench
from ._backend import core_missing

__all__ = ("CoreMissing", "assert_roundtrip", "race")

_LONGER = (1, 2, 4)


class CoreMissing(RuntimeError):
    """There is nothing to race: both sides are the standard library. The fixture skips then."""


def race(objects, op="dumps", at_least=None, *, seconds=0.5):
    """Race *op* on *objects* against the standard library's, and return the result.

    *op* is ``dumps``, ``loads``, ``deepcopy`` or ``copy``; *objects* is whatever it is done with,
    for ``loads`` the object that is pickled first.  The outcomes must be the same.  If *at_least*
    is given, the standard library must take that many times as long, in the best of three races
    the later of which are longer: what a machine does meanwhile only ever slows.  `CoreMissing` is
    raised where the C core is not in use.  The result is a `fastcopyreg.bench.Result`.
    """
    __tracebackhide__ = True
    if op not in ("dumps", "loads", "deepcopy", "copy"):
        raise ValueError(f"no such operation: {op!r}")
    if backend != "c":
        raise CoreMissing(f"both sides would be the standard library: {core_missing}")
    ours = getattr(pickle if op in ("dumps", "loads") else copy, op)
    standard = getattr(_stdlib, op)
    argument = _stdlib.dumps(objects) if op == "loads" else objects
    if not _same(op, ours(argument), standard(argument)):
        raise AssertionError(f"{op}: the outcome is not the standard library's")
    contenders = (
        _bench.Contender("stdlib", standard, (argument,)),
        _bench.Contender("fastcopyreg", ours, (argument,)),
    )
    best = None
    for longer in _LONGER:
        result = _bench.race(op, *contenders, seconds=seconds * longer)
        if best is None or result.ratio.median > best.ratio.median:
            best = result
        if at_least is None or best.ratio.median >= at_least:
            return best
    raise AssertionError(f"{op}: {best.ratio}, and not {at_least:g}x as fast")


def _same(op, one, other):
    return one == other if op == "dumps" else _stdlib.dumps(one) == _stdlib.dumps(other)


def assert_roundtrip(obj, *, protocols=None):
    """Check that *obj* is pickled, loaded and copied, and comes back equal.

    In each of *protocols* (all from 2 on) the bytes are the standard library's, each side loads
    the other's, and what comes back has the state that went in; so has a copy.  See
    `fastcopyreg.check`, whose report the error shows.
    """
    __tracebackhide__ = True
    from . import check

    report = check(obj, protocols)
    if not report:
        raise AssertionError(str(report))
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1) if protocols is None else protocols:
        ours, standard = pickle.dumps(obj, protocol), _stdlib.dumps(obj, protocol)
        if ours != standard:
            raise AssertionError(f"protocol {protocol}: the bytes are not the standard library's")
