"""Classes that come and go: what the core knows of them goes too, but not while it is in use."""

import copy as std_copy
import gc

import pytest

from fastcopyreg import copy
from support.implementations import requires_core

tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has none.

pytestmark = requires_core

OFTEN = 3000
"""Classes after which a table that keeps the dead has grown a lot."""


def plain_class(number):
    def init(self):
        self.number = number

    return type("Plain", (), {"__init__": init})


def slots_class(number):
    return type("Slots", (), {"__slots__": ("number",)})


def hooked_class(number):
    def hook(self, memo=None):
        return type(self)()

    return type("Hooked", (), {"number": number, "__deepcopy__": hook, "__copy__": hook})


MAKERS = (plain_class, slots_class, hooked_class)


def copy_of_new_class(function, make, number):
    function(make(number)())


def grown_by(function, make, count):
    """How many bytes stay after `count` classes have come and gone."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(count):
        copy_of_new_class(function, make, number)
        if number % 100 == 0:
            gc.collect()
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("function", [copy.copy, copy.deepcopy])
def test_what_is_known_of_dead_classes_is_freed(function, make):
    tracemalloc.start()
    try:
        grown_by(function, make, 500)
        # What earlier tests made large fills with the dead once; what is kept grows each time.
        grown = min(grown_by(function, make, OFTEN) for _ in range(2))
    finally:
        tracemalloc.stop()
    assert grown < 50 * OFTEN  # a table holds some hundreds of the dead; each takes 200 and more


@pytest.mark.parametrize("make", MAKERS)
def test_classes_that_live_are_all_known(make):
    """As many as there are, each found again."""
    objects = [make(number)() for number in range(OFTEN)]
    for _ in range(3):
        ours, theirs = copy.deepcopy(objects), std_copy.deepcopy(objects)
        for mine, other in zip(ours, theirs, strict=True):
            assert type(mine) is type(other)
            assert getattr(mine, "__dict__", None) == getattr(other, "__dict__", None)


class Row:
    """Objects of one class, among which one has many classes come and go when it is copied."""

    def __init__(self, make):
        self.cls = make(0)
        items = [self.cls() for _ in range(6)]
        self.items = [*items[:3], Passing(make), *items[3:]]


class Passing:
    def __init__(self, make):
        self.make = make

    def __reduce__(self):
        for number in range(200):
            copy_of_new_class(copy.deepcopy, self.make, number)
        gc.collect()
        copy.deepcopy(self.make(0)())
        return Passing, (self.make,)


@pytest.mark.parametrize("make", MAKERS)
def test_classes_that_go_while_others_are_copied(make):
    row = Row(make)
    ours, theirs = copy.deepcopy(row.items), std_copy.deepcopy(row.items)
    assert [type(item) for item in ours] == [type(item) for item in theirs]


def test_a_class_that_dies_while_its_object_is_copied():
    """The object's class is another one behind the call, and nothing holds the first."""

    class Other:
        pass

    def leave(obj):
        obj.__class__ = Other
        gc.collect()
        for number in range(200):
            copy_of_new_class(copy.deepcopy, plain_class, number)
        return Other, ()

    def copied(function):
        cls = type("Leaving", (), {"__reduce__": leave})
        items = [cls(), cls()]
        del cls
        return [type(item) for item in function(items)]

    assert copied(copy.deepcopy) == copied(std_copy.deepcopy)
