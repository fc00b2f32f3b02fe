"""copy(): whatever a reduce value holds and whatever takes it, hooks and states of all kinds.

Each case is copied by the standard library and by ours, several times, so that the type is known;
results, exceptions and what is called in which order are the same.
"""

import abc
import array
import collections
import copy as std_copy
import copyreg
import decimal
import functools
import itertools
import re
import types

import pytest

import fastcopyreg.copy
from fastcopyreg import bench
from support import trace
from support.classes import Colour
from support.implementations import PLANS_ARE_ON, requires_core

pytestmark = requires_core

TIMES = 4


class Taker:
    """Takes what a reduce value gives it, and notes that."""

    def __init__(self, *args):
        self.args = args

    def append(self, item):
        trace.note("append", item)

    def __setitem__(self, key, value):
        trace.note("set item", key, value)


class SetsState(Taker):
    def __setstate__(self, state):
        trace.note("set state", str(state))


class FindsSetState(Taker):
    """Gives its __setstate__ when asked, and is asked twice."""

    def __getattr__(self, name):
        trace.note("getattr", name)
        if name == "__setstate__":
            return lambda state: trace.note("found", str(state))
        raise AttributeError(name)


class LosesSetState(Taker):
    """Has a __setstate__ the first time only."""

    asked = 0

    @property
    def __setstate__(self):  # noqa: PLE0302
        vars(self)["asked"] = self.asked + 1
        if self.asked > 1:
            raise AttributeError("gone")
        return lambda state: None


class FailsSetState(Taker):
    @property
    def __setstate__(self):  # noqa: PLE0302
        raise ValueError("no state")


class NoSetState(Taker):
    __setstate__ = None


class OwnUpdate(dict):
    def update(self, *args):
        trace.note("update", str(args))
        super().update(*args)


class OwnDict:
    """Its __dict__ is another's."""

    def __init__(self, *args):
        pass

    @property
    def __dict__(self):
        trace.note("dict")
        return OwnUpdate()


class Slots:
    __slots__ = ("a", "b", "args")

    def __init__(self, *args):
        self.args = args


class SetsAttributes(Taker):
    def __setattr__(self, name, value):
        trace.note("setattr", name)
        super().__setattr__(name, value)


class AppendsOnce(Taker):
    """Another append each time that it is asked for."""

    @property
    def append(self):
        trace.note("append?")
        return functools.partial(trace.note, "append")


class Refuses(Taker):
    append = None

    def __setitem__(self, key, value):
        raise KeyError(key)


class ListTaker(list):
    def __init__(self, *args):
        super().__init__()


class OwnList(ListTaker):
    def append(self, item):
        trace.note("append", item)
        super().append(item)


class DictTaker(dict):
    def __init__(self, *args):
        super().__init__()


class Pair(tuple):
    def __iter__(self):
        trace.note("iter")
        return super().__iter__()


class Stops:
    def __iter__(self):
        yield 1
        raise StopIteration


class Rest(dict):
    def items(self):
        trace.note("items")
        return super().items()


TAKERS = [
    *(Taker, SetsState, FindsSetState, LosesSetState, FailsSetState, NoSetState, OwnDict, Slots),
    *(SetsAttributes, AppendsOnce, Refuses, ListTaker, OwnList, DictTaker, Exception, int),
    *(types.SimpleNamespace, collections.OrderedDict, collections.deque, object),
]
STATES = {
    "none": None,
    "dict": {"a": 1, "b": [2]},
    "empty": {},
    "slots": (None, {"a": 1, "b": 2}),
    "both": ({"c": 1}, {"a": 2}),
    "no slots": ({"a": 1}, None),
    "no dict": (5, None),
    "odd slots": ({"a": 1}, [("a", 3)]),
    "own items": ({"a": 1}, Rest(a=3)),
    "names": (None, {1: 2}),
    "own tuple": Pair(({"a": 1}, {"b": 1})),
    "own dict": OwnUpdate(a=1),
    "three": (1, 2, 3),
    "pairs": [("a", 1), ("b", 2)],
    "number": 5,
    "text": "ab",
    "zero": 0,
}
ITEMS = {
    "none": lambda: None,
    "three": lambda: iter([1, 2, 3]),
    "pairs": lambda: iter([("a", 1), ("b", 2)]),
    "texts": lambda: iter(["ab", "cd"]),
    "own pairs": lambda: iter([Pair(("a", 1))]),
    "too long": lambda: iter([("a", 1, 2)]),
    "list": lambda: [("a", 1), ["b", 2]],
    "generator": lambda: (pair for pair in [("a", 1), ("a", 2)]),
    "stops": Stops,
    "unhashable": lambda: iter([([], 1)]),
    "many": lambda: zip(range(5000), itertools.repeat(0), strict=False),
    "no iterator": lambda: 7,
}


class Given:
    """Comes apart as it is told."""

    def __reduce_ex__(self, protocol):
        return self.value()


class GivenByReduce(Given):
    __reduce_ex__ = object.__reduce_ex__

    def __reduce__(self):
        return self.value()


class GivenByTable(Given):
    """By copyreg."""


copyreg.pickle(GivenByTable, lambda given: given.value())


def described(value):
    """What an object is, as far as it can be seen."""
    if isinstance(value, (list, dict, tuple, Exception, collections.deque)):
        rest = value.args if isinstance(value, Exception) else repr(value)
        return type(value).__name__, rest, getattr(value, "__dict__", None)
    if type(value) is Slots:
        return [getattr(value, name, None) for name in Slots.__slots__]
    return type(value).__name__, re.sub("0x[0-9a-f]+", "…", repr(vars(value)))


def told(copy, obj):
    trace.take()
    try:
        value = copy(obj)
        outcome = "itself" if value is obj else described(value)
    except Exception as error:
        outcome = type(error).__name__, re.sub("0x[0-9a-f]+", "…", str(error))
    return outcome, trace.take()


def assert_same(build):
    for _ in range(TIMES):
        expected = told(std_copy.copy, build())
        assert told(fastcopyreg.copy.copy, build()) == expected


def given(cls, *value):
    obj = cls()
    obj.value = lambda: tuple(
        part() if callable(part) and part in PARTS else part for part in value
    )
    return obj


PARTS = set(ITEMS.values())


@pytest.mark.parametrize("taker", TAKERS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("state", STATES)
def test_states(taker, state):
    for cls in (Given, GivenByReduce, GivenByTable):
        assert_same(lambda cls=cls: given(cls, taker, (), STATES[state]))
        assert_same(lambda cls=cls: given(cls, copyreg.__newobj__, (taker,), STATES[state]))


@pytest.mark.parametrize("taker", TAKERS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("items", ITEMS)
def test_items(taker, items):
    for cls in (Given, GivenByReduce, GivenByTable):
        assert_same(lambda cls=cls: given(cls, taker, (), None, ITEMS[items]))
        assert_same(lambda cls=cls: given(cls, taker, (), {"a": 1}, None, ITEMS[items]))


@pytest.mark.parametrize(
    "value",
    [
        "name", (Taker,), (Taker, ()), [Taker, ()], (Taker, []), (Taker, None), (None, ()),
        (Taker, (), None, None, None, None), (Taker, (), None, None, None), 5, None, (),
        (copyreg.__newobj__, ()), (copyreg.__newobj__, (5,)), (copyreg.__newobj__, (Taker, 1)),
        (copyreg.__newobj_ex__, (Taker, (), {})), (Taker, Pair((1, 2))), (Taker, (1, 2), 0),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-fA-F]+", "", repr(value)),
)  # fmt: skip
def test_reduce_values(value):
    for cls in (Given, GivenByReduce, GivenByTable):

        def build(cls=cls):
            obj = cls()
            obj.value = lambda: value
            return obj

        assert_same(build)


class Attributes:
    """Its instances have attributes that hide what its class has."""

    def __getstate__(self):
        trace.note("getstate")
        return {"a": 1}


class Reducing(Attributes):
    def __reduce__(self):
        trace.note("reduce")
        return Reducing, ()


@pytest.mark.parametrize("cls", [Attributes, Reducing, Taker, Exception, ListTaker, SetsState])
@pytest.mark.parametrize(
    "name",
    ["__reduce_ex__", "__reduce__", "__getstate__", "__setstate__", "__copy__", "__class__"],
)
def test_attributes_of_instances(cls, name):
    """Which of them come before the class's, and that one that is None counts as none."""
    for value in (lambda *args: "name", None):

        def build(value=value):
            obj = cls()
            obj.__dict__[name] = value
            return obj

        assert_same(build)


class ChangesItself:
    """The class gains a hook while its object is asked for its state."""

    def __getstate__(self):
        ChangesItself.__setstate__ = lambda self, state: trace.note("set", str(state))
        return {"a": 1}


class ChangesClass:
    def __getstate__(self):
        self.__class__ = Taker
        return {"a": 1}


def test_what_changes_while_it_is_asked():
    def build():
        vars(ChangesItself).get("__setstate__") and delattr(ChangesItself, "__setstate__")
        return ChangesItself()

    assert_same(build)
    assert_same(ChangesClass)


# None is slower than the standard library's: all kinds of objects and hooks.


class Hooked:
    def __copy__(self):
        return self


class HookedAbstract(Hooked, abc.ABC):
    pass


class Plain:
    def __init__(self, a=1):
        self.a = a


class Abstract(Plain, abc.ABC):
    pass


class Branching(Plain):
    def __reduce__(self):
        if self.a:
            return Branching, (self.a,)
        return "nothing"


class BranchingState(Plain):
    def __reduce_ex__(self, protocol):
        if self.a:
            return Plain, (self.a,), {"b": 2}
        return "nothing"


class GivesState(Plain):
    def __getstate__(self):
        return self.__dict__


class TakesState(GivesState):
    def __setstate__(self, state):
        if state:
            self.a = state["a"]


class Restless(Plain):
    def __getattr__(self, name):
        raise AttributeError(name)


class Error(Exception):
    pass


def error_with_state():
    error = Error("a", 1)
    error.code = 4
    return error


KINDS = {
    "exception": lambda: ValueError("a", 1),
    "exception with state": error_with_state,
    "OSError": lambda: OSError(2, "no"),
    "namespace": lambda: types.SimpleNamespace(a=1, b=2),
    "dict subclass": lambda: DictTaker({"a": 1, "b": 2}),
    "list subclass": lambda: type("L", (list,), {})([1, 2, 3]),
    "set subclass": lambda: type("S", (set,), {})([1, 2, 3]),
    "OrderedDict": lambda: collections.OrderedDict(a=1, b=2),
    "Counter": lambda: collections.Counter(a=1, b=2),
    "defaultdict": lambda: collections.defaultdict(int, a=1),
    "deque": lambda: collections.deque((1, 2)),
    "bytearray": lambda: bytearray(b"abc"),
    "list": lambda: [1, 2, 3],
    "dict": lambda: {"a": 1, "b": 2},
    "array": lambda: array.array("i", [1, 2]),
    "Decimal": lambda: decimal.Decimal(3),
    "partial": lambda: functools.partial(print, 1, end=""),
    "enum": lambda: Colour.RED,
    "class": lambda: Plain,
    "abstract class": lambda: Abstract,
    "function": lambda: error_with_state,
    "instance": Plain,
    "of an abstract base": Abstract,
    "__copy__": Hooked,
    "__copy__ of an abstract base": HookedAbstract,
    "__reduce__": Branching,
    "__reduce_ex__ with a state": BranchingState,
    "__reduce_ex__ of C": lambda: collections.UserDict(a=1).data.items().__iter__(),
    "__getstate__": GivesState,
    "__setstate__": TakesState,
    "__getattr__": Restless,
}


@pytest.mark.alone
@pytest.mark.skipif(not PLANS_ARE_ON, reason="the layout of objects is not known")
@pytest.mark.parametrize("kind", KINDS)
def test_no_copy_is_slower(kind):
    """The better of several short races; what they are compared with is in the benchmarks."""
    obj = KINDS[kind]()
    try:
        std_copy.copy(obj)
    except TypeError:
        pytest.skip("it cannot be copied")
    contenders = (
        bench.Contender("standard", std_copy.copy, (obj,)),
        bench.Contender("ours", fastcopyreg.copy.copy, (obj,)),
    )
    best = 0
    for _ in range(6):
        best = max(best, bench.race(kind, *contenders, seconds=0.03).ratio.best)
        if best >= 1:
            break
    assert best >= 1
