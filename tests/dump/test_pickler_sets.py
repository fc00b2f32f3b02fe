"""Subclasses of set and frozenset, whose own __reduce__ is known or not, against the oracle."""

import abc
import copyreg

import pytest
from hypothesis import strategies

import fastcopyreg
from support.classes import ByClass
from support.dumping import Hiding, Meddles, dumping_tests
from support.implementations import OURS, STANDARD, requires_core
from support.recording import Setup, compare, compare_every_way

pytestmark = [requires_core, pytest.mark.timeout(1800)]


class ByName:
    """Hashes by class, so that sets of sets have the same order each time."""

    def __hash__(self):
        return hash(type(self).__name__)

    def __eq__(self, other):
        return self is other


class Set(ByName, set):
    """With a __dict__."""


class Frozen(ByName, frozenset):
    """With a __dict__."""


class BareSet(ByName, set):
    """With nothing of its own."""

    __slots__ = ()


ByName.__slots__ = ()


class BareFrozen(frozenset):
    """With nothing of its own."""

    __slots__ = ()


class SlotsSet(set):
    """With slots."""

    __slots__ = ("first", "other")


class SlotsFrozen(Frozen):
    """With a slot and a __dict__."""

    __slots__ = ("first",)


class Abstract(set, metaclass=abc.ABCMeta):
    """With a metaclass."""


class Iterates(Set):
    """Gives its elements in its own way."""

    def __iter__(self):
        return iter(sorted(map(repr, super().__iter__())))


class Measures(Set):
    """Is asked for its size when a list is made of it."""

    def __len__(self):
        return 1


class Refuses(Set):
    """Has no size for whom a list is made."""

    def __len__(self):
        raise ValueError("no size")


class Hints(Set):
    """Is never asked how many there may be, as it has a size."""

    def __length_hint__(self):
        raise ValueError("no hint")


class Contains(Set):
    """Tells in its own way what it has, which nobody asks."""

    def __contains__(self, element):
        raise ValueError("not asked")


class State(Set):
    """Gives a state of its own."""

    def __getstate__(self):
        return {"state": len(self)}


class NewArguments(Frozen):
    """Is not asked for these."""

    def __getnewargs__(self):
        raise ValueError("not asked")


class Reduces(Set):
    """With a reducer in Python."""

    def __reduce__(self):
        return Reduces, ([1],)


class ReducesEx(Frozen):
    """With the other one."""

    def __reduce_ex__(self, protocol):
        return ReducesEx, ([protocol],)


class AsObject(Set):
    """With the reducer of object, which sets are too large for."""

    __reduce__ = object.__reduce__


class Watched(Set):
    """Attributes are asked for in Python."""

    def __getattribute__(self, name):
        return super().__getattribute__(name)


CLASSES = [
    Set, Frozen, BareSet, BareFrozen, SlotsSet, SlotsFrozen, Abstract, Iterates, Measures, Refuses,
    Hints, Contains, State, NewArguments, Reduces, ReducesEx, AsObject, Watched,
]  # fmt: skip

atoms = (
    strategies.none()
    | strategies.integers(0, 70_000)
    | strategies.text(max_size=3)
    | strategies.sampled_from(["shared", "a" * 300, ("a", "shared"), 2.5, b"bytes", (), 1 << 70])
)
values = strategies.deferred(lambda: atoms | strategies.lists(values, max_size=3) | sets)
sets = strategies.tuples(
    strategies.just("set"),
    strategies.sampled_from(CLASSES),
    strategies.lists(atoms | strategies.deferred(lambda: sets), max_size=6),
    strategies.dictionaries(strategies.sampled_from(["first", "note"]), values, max_size=2),
    strategies.sampled_from(["", "", "", "itself", "dict", "hide", "hide ex", "hide state"]),
)


DEEDS = {
    "hide": lambda made: setattr(made, "__reduce__", Hiding((int, (8,)))),
    "hide ex": lambda made: setattr(made, "__reduce_ex__", Hiding((int, (9,)))),
    "hide state": lambda made: setattr(made, "__getstate__", Hiding({"hidden": 1})),
    "itself": lambda made: setattr(made, "first", [made]),
    "dict": vars,
}


def make(described, made):
    """The value that was described; those made before may come again as elements."""
    if isinstance(described, list):
        return [make(each, made) for each in described]
    if not isinstance(described, tuple) or described[:1] != ("set",):
        return described
    _, cls, elements, attributes, deed = described
    elements = [make(each, made) for each in elements]
    hashable = [each for each in elements if getattr(type(each), "__hash__", None) is not None]
    result = cls(hashable)
    try:
        for name, value in attributes.items():
            setattr(result, name, make(value, made))
        if deed:
            DEEDS[deed](result)
    except (AttributeError, TypeError):
        pass
    made.append(result)
    return result


(
    test_sets_are_dumped_alike,
    test_sets_are_dumped_alike_by_the_default_way,
    test_sets_at_the_end_of_a_frame,
) = dumping_tests(sets, make)


def assert_same(build, fast=False):
    compare_every_way(STANDARD, OURS, build, fast)


@pytest.mark.parametrize("size", [0, 1, 2, 999, 1000, 1001, 2000, 2001, 40_000])
def test_sizes(size):
    made = [[cls(range(size)) for _ in range(2)] for cls in (BareSet, SlotsFrozen)]
    assert_same(lambda: made, fast=True)


class Node(ByClass):
    """May lead back to the set that it is in."""


@pytest.mark.parametrize("cls", [Set, Frozen, BareFrozen, SlotsFrozen])
def test_a_set_that_is_found_in_its_own_elements(cls):
    def build():
        node = Node()
        made = cls([node, 1])
        if cls is not BareFrozen:
            made.first = [made]
        node.held = [made]
        return [made, made, node]

    assert_same(build)


CHANGES = {
    "no elements": lambda made: made.clear(),
    "other elements": lambda made: made.update(range(100)),
    "another attribute": lambda made: setattr(made, "late", 1),
    "no attributes": lambda made: vars(made).clear(),
    "another dict": lambda made: setattr(made, "__dict__", {"other": 1}),
    "class": lambda made: setattr(made, "__class__", Contains),
    "reducer": lambda made: setattr(made, "__reduce__", Hiding((int, (8,)))),
}


@pytest.mark.parametrize("place", ["element", "attribute"])
@pytest.mark.parametrize("name", CHANGES)
def test_sets_that_change_under_the_dump(name, place):
    def build():
        holder = []
        meddler = Meddles(lambda: CHANGES[name](holder[0]))
        made = Set([("a", 1), ("b", 2), *([meddler] if place == "element" else [])])
        made.first = meddler if place == "attribute" else [1]
        made.last = [made.first]
        holder.append(made)
        return [made, made, made.last, sorted(map(repr, made))[0]]

    assert_same(build)


def test_a_registered_reducer_is_asked():
    value = [Set([1]), Set([2])]
    assert_same(lambda: value)
    copyreg.pickle(Set, lambda each: (list, (sorted(each),)))
    try:
        assert_same(lambda: value)
    finally:
        del copyreg.dispatch_table[Set]
    assert_same(lambda: value)


class Changing(set):
    """Given methods by a test."""


REPLACEMENTS = {
    "__reduce__": lambda self: (int, (5,)),
    "__reduce_ex__": lambda self, protocol: (int, (6,)),
    "__getstate__": lambda self: [1],
    "__iter__": lambda self: iter([1]),
    "__len__": lambda self: 1,
    "__getattribute__": lambda self, name: Hiding((int, (7,))),
    "__name__": "__newobj__",
    "__qualname__": "__newobj__",
}


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_changed_classes_are_honoured(name):
    value = [Changing([1]), Changing([2, 3])]
    assert_same(lambda: value)
    setattr(Changing, name, REPLACEMENTS[name])
    try:
        assert_same(lambda: value)
    finally:
        if name in ("__name__", "__qualname__"):
            setattr(Changing, name, "Changing")
        else:
            delattr(Changing, name)
    assert_same(lambda: value)


def test_what_cannot_be_dumped_is_noted():
    attribute = Set([1])
    attribute.bad = lambda: 0
    slot = SlotsSet()
    slot.first = lambda: 0
    for value in (attribute, slot, Set([1, lambda: 0]), Frozen([Frozen([lambda: 0])])):
        for _ in range(3):
            compare(STANDARD, OURS, Setup(protocol=4), lambda value=value: [value])


def test_explain_says_how_sets_go():
    ours = [Set, Frozen, BareSet, SlotsFrozen, Abstract, Contains, NewArguments]
    for cls in (*ours, Iterates, Measures, State, Reduces, ReducesEx, Watched):
        rows = dict(dict(fastcopyreg.explain(cls).sections)["reduce"])
        assert rows.get("runs", "").startswith("in the C core") is (cls in ours)
