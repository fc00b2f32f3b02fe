"""Runs of objects whose opcodes are the same: passed over quickly before a load, and made quickly.

Numbers and texts of such objects differ in value, and now and then in size; each load is compared
with the standard library's, memory and stream alike, and what is one object there is one here.
"""

import gc
import pickle
import sys

import pytest

from support import loading
from support.implementations import requires_core

pytestmark = requires_core


@pytest.fixture(autouse=True)
def read_at_once():
    """Constructors are read when they are met for the first time."""
    from fastcopyreg import _core

    before = _core.plan_threshold(1)
    yield
    _core.plan_threshold(before)


class Slots:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z=None):
        self.x = x
        self.y = y
        self.z = z

    def __reduce__(self):
        return type(self), (self.x, self.y, self.z)


class Swapped(Slots):
    """Stores in another order than the arguments come."""

    __slots__ = ()

    def __init__(self, x, y, z):
        self.z = z
        self.x = x
        self.y = y


class Twice(Slots):
    """Stores one argument twice, and another one never."""

    __slots__ = ()

    def __init__(self, x, y, z):
        self.x = x
        self.y = x
        self.z = z


class Dict:
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z

    def __reduce__(self):
        return type(self), (self.x, self.y, self.z)


class Partly(Dict):
    """Some in slots, some in the dict."""

    __slots__ = ("x",)


class Default:
    """Its state is stored by BUILD."""

    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


CLASSES = Slots, Swapped, Twice, Dict, Partly, Default

SHARED = ["shared"]

PARTS = {
    "numbers": lambda i: (i * 0.5, i + 1000, -i),
    "sizes that change": lambda i: (i, i * i, i**5),
    "texts": lambda i: (f"text {i + 1000}", f"text {i % 7}", None),
    "texts that come again": lambda i: ("again", f"t{i % 10}", "again"),
    "bytes": lambda i: (b"%04d" % i, i, True),
    "a shared list": lambda i: (SHARED if i % 20 == 19 else i + 300, SHARED, i + 300),
    "lists": lambda i: ([i], i, {i: i}),
    "nested": lambda i: (Slots(i, i, i), i, None),
    "huge numbers": lambda i: (i + (1 << 80), i, i),
    "long texts": lambda i: ("long" * 30 + str(i % 10), i, i),
}


def made_of(cls, parts, count=120):
    objects = [cls(*PARTS[parts](i)) for i in range(count)]
    # What is fetched again lies in the middle of the run, too.
    return [objects, objects[7], objects[count // 2], objects[-1]]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("cls", CLASSES)
def test_runs_are_loaded_as_the_standard_library_loads_them(cls, parts, protocol):
    if protocol < 2 and cls is Default:
        pytest.skip("slots have no state before protocol 2")
    data = pickle.dumps(made_of(cls, parts), protocol)
    for _ in range(3):
        loading.compare_in_memory(data)
    loading.compare_by_files(data, ["bytesio", "peek"], ["load", "unpickler"])


@pytest.mark.parametrize("cls", CLASSES)
def test_runs_that_are_wrong_somewhere(cls):
    data = pickle.dumps(made_of(cls, "numbers", 12), 4)
    loading.OURS.loads(data)
    for at in range(len(data)):
        loading.compare_in_memory(data[:at])
        for byte in {0x94, ord("h"), ord("R"), ord("0"), ord("."), data[at] ^ 1}:
            loading.compare_in_memory(data[:at] + bytes([byte]) + data[at + 1 :])


def test_moved_arguments_are_held_as_often():
    data = pickle.dumps([Slots(i + 0.5, [i], i + 1000) for i in range(50)], 4)
    for _ in range(3):
        made = loading.OURS.loads(data)
    held, held_there = (
        [sys.getrefcount(getattr(each, name)) for each in loaded for name in Slots.__slots__]
        for loaded in (made, loading.STANDARD.loads(data))
    )
    assert held == held_there


def test_tuples_of_atoms_are_as_their_like():
    data = pickle.dumps(
        [(i, i * 0.5, (i, "text")) for i in range(3000)] + [([i],) for i in (1, 2)]
    )
    made, standard = loading.OURS.loads(data), loading.STANDARD.loads(data)
    assert made == standard
    assert [hash(each) for each in made[:3000]] == [hash(each) for each in standard[:3000]]
    assert [sys.getsizeof(each) for each in made] == [sys.getsizeof(each) for each in standard]
    assert all(gc.is_tracked(each) for each in made[3000:])
