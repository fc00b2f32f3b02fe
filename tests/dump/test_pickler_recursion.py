"""Depth: never a crash, and never a RecursionError where the standard library has none."""

import contextlib
import io
import sys
import threading

import pytest

from support import classes, corpus
from support.child import Crash, in_child, requires_fork
from support.classes import ByClass, Plain, make_plain
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core

pytestmark = [requires_core, requires_fork]


class Chain(ByClass):
    """Reduced to the next one."""

    def __init__(self, held):
        self.held = held

    def __reduce__(self):
        return make_plain, (self.held,)


class StateChain(Chain):
    """Holds the next one in its state."""

    def __reduce__(self):
        return Plain, (), {"held": self.held}


def plain(held):
    """An instance that holds the next one."""
    made = Plain()
    made.held = held
    return made


def slots(held):
    """The same in a slot."""
    made = classes.Slots()
    made.a = held
    return made


NESTED = {
    "list": lambda held: [held],
    "tuple": lambda held: (held,),
    "long tuple": lambda held: (1, 2, 3, 4, held),
    "dict": lambda held: {"k": held},
    "set": lambda held: {held} if isinstance(held, ByClass) else Chain(held),
    "frozenset": lambda held: frozenset([held]),
    "plain": plain,
    "slots": slots,
    "reduce": Chain,
    "state": StateChain,
    "registered": lambda held: classes.Registered(1, held, 2),
    "namedtuple": lambda held: classes.Point(held, 1),
    "sublist": lambda held: classes.SubList([held]),
    "subfrozenset": lambda held: classes.SubFrozenset([held]),
    "data": lambda held: classes.Data(1, held),
    "slots data": lambda held: classes.DataSlots(1, held),
    "frozen data": lambda held: classes.DataFrozenSlots(1, held),
    "mixed": lambda held: [({"k": plain(classes.Registered(held))},)],
}


def unpickled(implementation, name, depth, protocol, hook):
    """Whether a value that deep is dumped; its length, or the name of the error."""
    obj = corpus.nested(depth, NESTED[name])
    pickler = implementation.dumps
    if hook:
        pickler = hooked(implementation)
    try:
        return len(pickler(obj, protocol))
    except RecursionError:
        return "RecursionError"


def hooked(implementation):
    """A `dumps` through a subclass with hooks written in Python."""

    class Hooked(implementation.Pickler):
        def persistent_id(self, obj):
            return None

        def reducer_override(self, obj):
            return NotImplemented

    def dumps(obj, protocol):
        file = io.BytesIO()
        Hooked(file, protocol).dump(obj)
        return file.getvalue()

    return dumps


# Frames of code that is not optimized are larger than the standard library's.
optimized = pytest.mark.skipif(
    hasattr(sys, "gettotalrefcount"), reason="a debug build is not optimized"
)


@optimized
@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("depth", [200, 320, 480, 900, 3000, 20000])
def test_deep_values_fail_no_earlier_than_there(name, depth):
    protocol = 4
    for hook in (False, True):
        expected = in_child(unpickled, STANDARD, name, depth, protocol, hook)
        actual = in_child(unpickled, OURS, name, depth, protocol, hook)
        assert not isinstance(actual, Crash), f"{actual} (stdlib: {expected})"
        if isinstance(expected, int):
            assert actual == expected


# From 3.14 the stack is measured, and a limit on calls does not matter.
MEASURED = sys.version_info >= (3, 14)


def deepest(implementation, name, protocol, limit, hook):
    """The greatest depth that is dumped, with that recursion limit or on a stack that large."""
    found = []

    def search():
        dumps = hooked(implementation) if hook else implementation.dumps
        obj = [None]

        def is_dumped(depth):
            while len(obj) <= depth:
                obj.append(NESTED[name](obj[-1]))
            try:
                dumps(obj[depth], protocol)
            except RecursionError:
                return False
            return True

        good, bad, most = 1, 64, 60000 if MEASURED else 4000
        while bad < most and is_dumped(bad):
            good, bad = bad, 2 * bad
        bad = min(bad, most)
        while bad - good > 1:
            middle = (good + bad) // 2
            if is_dumped(middle):
                good = middle
            else:
                bad = middle
        found.append(good)

    if MEASURED:
        threading.stack_size(limit << 10)
    else:
        sys.setrecursionlimit(limit)
    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("limit", [300, 1000])
@pytest.mark.parametrize("protocol", [2, max(PROTOCOLS)])
@pytest.mark.parametrize("hook", [False, True])
def test_greatest_depth_is_no_smaller(name, limit, protocol, hook):
    expected = in_child(deepest, STANDARD, name, protocol, limit, hook)
    actual = in_child(deepest, OURS, name, protocol, limit, hook)
    assert not isinstance(actual, Crash), actual
    assert isinstance(expected, Crash) or actual >= expected, f"{actual} < {expected}"


@pytest.mark.parametrize("name", NESTED)
def test_pickler_is_usable_after_a_recursion_error(name):
    def scenario(implementation):
        file = io.BytesIO()
        pickler = implementation.Pickler(file, 4)
        with contextlib.suppress(RecursionError):
            pickler.dump(corpus.nested(200000, NESTED[name]))
        pickler.clear_memo()
        file.seek(0)
        file.truncate()
        pickler.dump([1, "after"])
        return file.getvalue()

    actual = in_child(scenario, OURS)
    assert actual == STANDARD.dumps([1, "after"], 4)


class Endless(ByClass):
    """Reduced to a new object of its own class, for ever."""

    def __reduce__(self):
        return make_plain, (Endless(),)


class EndlessState(ByClass):
    """The same in its state."""

    def __getstate__(self):
        return {"more": EndlessState()}


class EndlessItems(ByClass):
    """The same as an item."""

    def __reduce__(self):
        return make_plain, (), None, iter([EndlessItems()])


@pytest.mark.parametrize("cls", [Endless, EndlessState, EndlessItems])
@pytest.mark.parametrize("limit", [1000, 10**6])
def test_endless_reduction_is_a_recursion_error(cls, limit):
    def scenario(implementation):
        sys.setrecursionlimit(limit)
        try:
            implementation.dumps(cls())
        except (RecursionError, MemoryError) as error:
            return type(error).__name__
        return "no error"

    expected, actual = in_child(scenario, STANDARD), in_child(scenario, OURS)
    if limit > 1000 and isinstance(actual, Crash):
        # With the limit raised, the C stack of 3.11 is anyone's to overflow.
        assert isinstance(expected, Crash) or sys.version_info < (3, 12)
    else:
        assert actual in ("RecursionError", "MemoryError")


class Unfound(list):
    """Reduced to a name that is nowhere; the error shows the object."""

    def __reduce__(self):
        return "nowhere"


def test_deep_repr_in_an_error_ends_as_there():
    def scenario(implementation):
        try:
            implementation.dumps(Unfound([corpus.nested(100000, lambda held: [held])]))
        except Exception as error:
            return type(error).__name__
        return "no error"

    expected, actual = in_child(scenario, STANDARD), in_child(scenario, OURS)
    assert isinstance(expected, Crash) or actual == expected
    assert not isinstance(actual, Crash)
