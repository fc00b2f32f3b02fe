"""Objects that lose a holder while they are dumped, and come by again through the one left.

Who is left looks like the only holder that there ever was, whose objects need no look at the memo.
"""

import collections
import sys

import pytest

from support import classes
from support.classes import Failure, Plain
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, compare

pytestmark = requires_core


class Meddler:
    """Does something while it is dumped."""

    def __init__(self, meddle):
        self.meddle = meddle

    def __reduce__(self):
        self.meddle()
        return int, (7,)


class Slots:
    """Read at once, and written one by one."""

    __slots__ = ("a", "b")


class ByMethod:
    """Taken apart by a method that only loads."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return ByMethod, (self.parts,)


class TwoParts(ByMethod):
    """The same, with two parts."""

    def __reduce__(self):
        return TwoParts, (self.a, self.b)


class Tuple(tuple):
    """A tuple with a class."""


class List(list):
    """A list with a class."""


Named = collections.namedtuple("Named", "a b")
Named.__qualname__ = "Named"


class Pairs:
    """Gives a pair that its state has, too."""

    def __init__(self):
        self.pairs = [(1, [3])]

    def __reduce__(self):
        return Pairs, (), {"pairs": self.pairs}, None, iter(self.pairs)

    def __setitem__(self, key, value):
        pass


class Items:
    """Gives an item that its state has, too."""

    def __init__(self):
        self.items = [[3]]

    def __reduce__(self):
        return Items, (), {"items": self.items}, iter(self.items)

    def append(self, item):
        pass


def opened(make):
    """What is open when its list lets it go, and is in another list."""

    def build():
        first = []
        first.append(make(Meddler(lambda: first.__setitem__(0, None))))
        return [first, [first[0]]]

    return build


def held(make, store):
    """A part that is let go by its holder while the one before it is dumped."""

    def build():
        part = [1]
        holder = make(Meddler(lambda: store(holder)), part)
        return [holder, [part], part]

    return build


def filled(cls):
    """An object of the class with two attributes."""

    def make(a, b):
        holder = cls()
        holder.a, holder.b = a, b
        return holder

    return make


def store_b(holder):
    holder.b = None


def store_item(holder):
    holder[1] = None


def a_key():
    table = {}
    value = [1]
    key = ByMethod(Meddler(lambda: table.__setitem__(key, None)))
    table[key] = value
    return [table, [value]]


BUILDS = {
    "tuple": opened(lambda part: (part, [2])),
    "frozenset": opened(lambda part: frozenset([part])),
    "tuple with a class": opened(lambda part: Tuple([part, [2]])),
    "named tuple": opened(lambda part: Named(part, [2])),
    "by method": opened(lambda part: ByMethod(part, [2])),
    "exception": opened(lambda part: Failure(part, [2])),
    "range": opened(lambda part: slice(part, 2)),
    "slot": held(filled(Slots), store_b),
    "attribute": held(filled(Plain), store_b),
    "part": held(filled(TwoParts), store_b),
    "item": held(lambda a, b: [a, b], store_item),
    "item of a class": held(lambda a, b: List([a, b]), store_item),
    "item of a deque": held(lambda a, b: collections.deque([a, b]), store_item),
    "value": held(lambda a, b: {0: a, 1: b}, store_item),
    "value of an ordered dict": held(
        lambda a, b: collections.OrderedDict({0: a, 1: b}), store_item
    ),
    "value of an odd key": a_key,
    "given pairs": lambda: [Pairs()],
    "given items": lambda: [Items()],
}


@pytest.mark.parametrize("entry", ["dumps", "dump", "pickler"])
@pytest.mark.parametrize("name", BUILDS)
def test_what_is_left_is_not_taken_for_the_only_holder(name, entry):
    for protocol in PROTOCOLS:
        for _ in range(12):
            compare(STANDARD, OURS, Setup(entry, protocol), BUILDS[name])


class Taker:
    """A file that takes something from a list with the first large write."""

    def __init__(self, taken_from):
        self.taken_from = taken_from
        self.written = []

    def write(self, data):
        self.written.append(bytes(data))
        self.taken_from[1] = None


@pytest.mark.parametrize("make", [lambda: [1], lambda: "a" + str(1), lambda: bytes(70_000), tuple])
def test_what_a_file_takes_away(make):
    written = []
    for implementation in (STANDARD, OURS):
        part = make() or ([1],)
        holder = ["x" * 70_000, part]
        file = Taker(holder)
        root = [holder, [part]]
        del part
        implementation.dump(root, file, 4)
        written.append(file.written)
    assert written[0] == written[1]


OF_BUILT_IN_TYPES = {
    "str": (classes.SubStr, ["short", "long" * 100, "\u00e9", ""]),
    "bytes": (classes.SubBytes, [b"short", b"long" * 100, b""]),
    "int": (classes.SubInt, [1, 1 << 5000]),
    "float": (classes.SubFloat, [0.5]),
    "tuple": (classes.SubTuple, [(), (1, "2"), tuple(range(300))]),
    "list": (classes.SubList, [[], [1, 2]]),
    "dict": (classes.SubDict, [{}, {1: 2}]),
    "set": (classes.SubSet, [set(), {1, 2}]),
    "frozenset": (classes.SubFrozenset, [frozenset((1, 2))]),
}


@pytest.mark.parametrize("name", OF_BUILT_IN_TYPES)
def test_dict_of_a_subclass_is_let_go(name):
    cls, values = OF_BUILT_IN_TYPES[name]
    value = [cls(each) for each in values]
    for each in value:
        each.attribute = name
    dicts = [vars(each) for each in value]
    for protocol in PROTOCOLS:
        OURS.dumps(value, protocol)
        before = [sys.getrefcount(each) for each in dicts]
        for _ in range(5):
            OURS.dumps(value, protocol)
        assert [sys.getrefcount(each) for each in dicts] == before, protocol
