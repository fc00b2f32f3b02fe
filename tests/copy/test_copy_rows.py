"""Rows of objects of one type: what was found for one is used for the next, until it changes.

They come apart by a registered reducer that has a plan, by one that is called, or by a method.

In the middle of each row something is changed, by a reducer or by an object between, and the rest
must come out as the standard library makes it.
"""

import copy as std_copy
import copyreg
import itertools
import sys
from operator import abs

import pytest

from support import copies
from support.implementations import requires_core

pytestmark = requires_core

ENOUGH = 400
"""Objects after which reducers and constructors have been read."""

MIDDLE = 6

WAYS = ("planned", "called", "__reduce__", "__reduce_ex__")


class Row:
    """One fresh class with a reducer, and a list of its objects."""

    def __init__(self, way):
        class Item:
            __slots__ = ("first", "second")

            def __init__(self, first, second):
                self.first = first
                self.second = second

        def planned(obj):
            return Item, (obj.first, obj.second)

        def called(obj):
            if abs(obj.first) == MIDDLE and self.action is not None:
                action, self.action = self.action, None
                action(self)
            return Item, (obj.first, abs(obj.second))

        self.cls = Item
        self.action = None
        if way == "__reduce__":
            Item.__reduce__ = planned
        elif way == "__reduce_ex__":
            Item.__reduce_ex__ = lambda obj, protocol: (Item, (obj.first, obj.second))
        else:
            copyreg.pickle(Item, called if way == "called" else planned)
        self.items = [Item(number, number * 0.5) for number in range(2 * MIDDLE)]
        if way != "called":
            self.items.insert(MIDDLE, Between(self))

    def next_item(self):
        return self.items[MIDDLE + 1]

    def warm_up(self, deepcopy):
        deepcopy([self.cls(number, 1.5) for number in range(ENOUGH)])

    def restore(self):
        copyreg.dispatch_table.pop(self.cls, None)
        std_copy._deepcopy_dispatch.pop(self.cls, None)


class Between:
    def __init__(self, row):
        self.row = row

    def __reduce_ex__(self, protocol):
        self.row.action(self.row)
        return str, ()


def swapped(obj):
    return type(obj), (obj.second, obj.first)


def other_init(self, first, second):
    self.first = [first]
    self.second = second


def in_dispatch(obj, memo):
    return "dispatched"


def unset_slot(row):
    del row.next_item().second


def set_list(row):
    row.next_item().second = Negatable([1, [2]])


class Negatable(list):
    def __abs__(self):
        return self


def change_class(row):
    other = type("Other", (), {"__slots__": ("first", "second")})
    row.next_item().__class__ = other


ACTIONS = {
    "nothing": lambda row: None,
    "another reducer": lambda row: copyreg.dispatch_table.__setitem__(row.cls, swapped),
    "no reducer": lambda row: copyreg.dispatch_table.pop(row.cls, None),
    "a false reducer": lambda row: copyreg.dispatch_table.__setitem__(row.cls, None),
    "__reduce__": lambda row: setattr(row.cls, "__reduce__", swapped),
    "__reduce_ex__": lambda row: setattr(row.cls, "__reduce_ex__", lambda obj, _: swapped(obj)),
    "__deepcopy__": lambda row: setattr(row.cls, "__deepcopy__", lambda self, memo: "hook"),
    "__init__": lambda row: setattr(row.cls, "__init__", other_init),
    "code of __init__": lambda row: setattr(row.cls.__init__, "__code__", other_init.__code__),
    "__new__": lambda row: setattr(row.cls, "__new__", lambda cls, *args: (cls.__name__, args)),
    "dispatch": lambda row: std_copy._deepcopy_dispatch.__setitem__(row.cls, in_dispatch),
    "an unset slot": unset_slot,
    "a list in a slot": set_list,
    "another class": change_class,
    "an object again": lambda row: row.items.append(row.next_item()),
    "an object earlier": lambda row: row.items.append(row.items[1]),
    "the end": lambda row: row.items.__delitem__(slice(MIDDLE + 2, None)),
    "nothing left": lambda row: row.items.clear(),
    "an item replaced": lambda row: row.items.__setitem__(MIDDLE + 1, row.cls(-1, (2, [3]))),
    "an error": lambda row: row.items.__setitem__(MIDDLE + 1, row.cls(-1, "no number")),
    "a profiler": lambda row: sys.setprofile(lambda *args: None),
    "a copy within": lambda row: (
        std_copy.deepcopy(row.items[:3]),
        copies.OURS.deepcopy(row.items[:3]),
    ),
}


def outcome(deepcopy, way, action):
    row = Row(way)
    try:
        row.warm_up(deepcopy)
        row.action = ACTIONS[action]
        try:
            made = deepcopy(row.items)
        except Exception as error:
            return type(error), str(error)
        finally:
            sys.setprofile(None)
        places = {id(obj): place for place, obj in reversed(list(enumerate(made)))}
        sources = {id(obj) for obj in row.items}
        return [
            (
                type(obj).__name__,
                places[id(obj)],
                id(obj) in sources,
                *(
                    (repr(getattr(obj, name, "unset")), type(getattr(obj, name, None)))
                    for name in ("first", "second")
                ),
            )
            for obj in made
        ]
    finally:
        row.restore()


@pytest.mark.parametrize(("way", "action"), list(itertools.product(WAYS, ACTIONS)), ids=str)
def test_what_changes_in_the_middle_counts(way, action):
    expected = outcome(std_copy.deepcopy, way, action)
    assert outcome(copies.OURS.deepcopy, way, action) == expected


@pytest.mark.skipif(
    not isinstance(getattr(std_copy, "_atomic_types", None), set), reason="no set to change"
)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", ["add the class", "discard float"])
def test_atoms_that_change_in_the_middle_count(way, change):
    def act(row):
        if change == "discard float":
            std_copy._atomic_types.discard(float)
            std_copy._deepcopy_dispatch[float] = in_dispatch
        else:
            std_copy._atomic_types.add(row.cls)

    ACTIONS["atoms"] = act
    saved = set(std_copy._atomic_types)
    results = []
    try:
        for deepcopy in (std_copy.deepcopy, copies.OURS.deepcopy):
            results.append(outcome(deepcopy, way, "atoms"))
            std_copy._atomic_types.clear()
            std_copy._atomic_types.update(saved)
            std_copy._deepcopy_dispatch.pop(float, None)
    finally:
        del ACTIONS["atoms"]
    assert results[0] == results[1]


class Looks:
    """Notes the memo that it is given."""

    def __init__(self, seen):
        self.seen = seen

    def __deepcopy__(self, memo):
        self.seen.append(copies.describe_memo(memo))
        return self


def memos_of(deepcopy, way, memo, hooks):
    """What is in a memo that is given, or seen by hooks, of rows before and between them."""
    row, seen = Row(way), []
    try:
        row.warm_up(deepcopy)
        first = [row.cls(number, 1.5) for number in range(MIDDLE)]
        second = [row.cls(number, 2.5) for number in range(MIDDLE)]
        looks = [Looks(seen)] if hooks else []
        made = deepcopy([first, *looks, *second, *looks, second[1]], memo)
        seen.append([made[-1] is obj for obj in made])
        if memo is not None:
            seen.append(copies.describe_memo(memo))
        return seen
    finally:
        row.restore()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("hooks", [False, True])
def test_a_memo_that_can_be_seen_has_every_object(way, given, hooks):
    """Of a row, too, of which the second object goes the short way."""
    expected = memos_of(std_copy.deepcopy, way, {} if given else None, hooks)
    assert memos_of(copies.OURS.deepcopy, way, {} if given else None, hooks) == expected
