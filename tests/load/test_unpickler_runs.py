"""Runs of objects whose opcodes are the same: passed over quickly before a load, and made quickly.

Numbers and texts of such objects differ in value, and now and then in size; each load is compared
with the standard library's, memory and stream alike, and what is one object there is one here.
"""

import dataclasses
import gc
import pickle
import sys
from typing import ClassVar

import pytest

from support import loading
from support.implementations import requires_core
from support.labels import by_repr

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


@pytest.fixture
def classes_put_back():
    """A wrong pickle may give its state to the class, in place of a slot."""
    before = {cls: dict(vars(cls)) for cls in CLASSES}
    yield
    for cls, members in before.items():
        for name in vars(cls).keys() - members.keys():
            delattr(cls, name)
        for name, member in members.items():
            if vars(cls)[name] is not member:
                setattr(cls, name, member)


@pytest.mark.parametrize("cls", CLASSES)
def test_runs_that_are_wrong_somewhere(classes_put_back, cls):
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


class Wide:
    """More arguments than a tuple has an opcode for."""

    __slots__ = ("a", "b", "c", "d", "e")

    def __init__(self, a, b, c, d, e="last"):
        self.a = a
        self.b = b
        self.c = c
        self.d = d
        self.e = e

    def __reduce__(self):
        return type(self), (self.a, self.b, self.c, self.d, self.e)


class One:
    __slots__ = ("x", "__weakref__")

    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return type(self), (self.x,)


ODD_VALUES = [
    None,
    True,
    5,
    300,
    70000,
    1.5,
    "text",
    "ä",
    "x",
    "",
    1 << 40,
    b"b",
    (1,),
    [1],
    One(1),
]
SHARED_TEXT = "a text that is fetched"


@pytest.mark.parametrize("value", ODD_VALUES, ids=by_repr)
@pytest.mark.parametrize("place", range(5))
def test_a_row_may_be_left_at_any_argument(place, value):
    """What is no number or text ends the row; what was made of it is on the stack then."""
    for cls, width in ((Wide, 5), (Slots, 3), (One, 1)):
        rows = [cls(*(i + j for j in range(width))) for i in range(12)]
        for at in (4, 5, 9):
            arguments = [i * 0.5 for i in range(width)]
            arguments[place % width] = value
            rows[at] = cls(*arguments)
        rows += [cls(*[SHARED_TEXT] * width), cls(*[SHARED_TEXT] * width), SHARED_TEXT, rows[5]]
        for protocol in (2, 4, 5):
            data = pickle.dumps(rows, protocol)
            for _ in range(2):
                loading.compare_in_memory(data)


@pytest.mark.parametrize("cls", [Wide, One, Slots, Dict])
def test_rows_that_end_anywhere(cls):
    """Too short, and with frames that end in the middle of a row."""
    width = {Wide: 5, One: 1}.get(cls, 3)
    data = pickle.dumps([cls(*[i + 0.5] * width) for i in range(5)], 4)
    loading.OURS.loads(data)
    body = data[11:]
    for at in range(1, len(body)):
        loading.compare_in_memory(data[:at])
        frames = [body[:at], body[at:]]
        framed = b"".join(b"\x95" + len(part).to_bytes(8, "little") + part for part in frames)
        loading.compare_in_memory(b"\x80\x04" + framed)


def test_rows_of_a_class_far_down_the_memo():
    """Its index takes four bytes."""
    data = pickle.dumps(
        [[f"text {i}" for i in range(300)], [Slots(i, 1.5, None) for i in range(9)]]
    )
    for _ in range(3):
        loading.compare_in_memory(data)


def test_tuples_of_rows_that_are_fetched():
    """By opcodes that no pickler writes, as the tuple of a call is nobody else's."""
    data = pickle.dumps([Slots(i, i + 0.5, None) for i in range(6)], 4)
    tuples = [at for at in range(len(data)) if data[at : at + 4] == b"\x87\x94R\x94"]
    assert len(tuples) == 6
    for number in range(6, 30):
        fetching = data[:2] + data[11:-2] + b"h" + bytes([number]) + b"e."
        loading.compare_in_memory(fetching)


class Changing:
    """Changes, while it is made, how the class of the rows is made."""

    def __init__(self, number):
        self.number = number
        Victim.__init__ = (Victim.first, Victim.second)[number % 2]

    def __reduce__(self):
        return type(self), (self.number,)


class Victim:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def second(self, x, y):
        self.x = y
        self.y = x

    first = __init__

    def __reduce__(self):
        return type(self), (self.x, self.y)


def test_a_class_that_changes_between_rows():
    rows = []
    for number in range(12):
        rows += [Victim(i, f"text {i}") for i in range(5)]
        rows.append(Changing(number))
    data = pickle.dumps(rows)
    for _ in range(4):
        expected = [vars(one) for one in pickle.loads(data)]
        assert [vars(one) for one in loading.OURS.loads(data)] == expected


def test_rows_let_signals_be_handled():
    """Of those that come during a load, all but the last can only be handled in its middle."""
    signal = pytest.importorskip("signal")
    if not hasattr(signal, "setitimer"):
        pytest.skip("there are no timers")
    data = pickle.dumps([Slots(i + 0.5, i, None) for i in range(300_000)])
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(None))
    try:
        for _ in range(10):
            seen.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            assert len(loading.OURS.loads(data)) == 300_000
            signal.setitimer(signal.ITIMER_REAL, 0)
            if len(seen) > 1:
                return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    pytest.fail("no signal was handled before the end")


@dataclasses.dataclass(frozen=True)
class Frozen:
    number: int
    text: str


class Noting:
    """Notes whatever is set as an attribute; the items of its __dict__ are none."""

    set_there: ClassVar[list] = []

    def __init__(self, number, text):
        self.__dict__["number"] = number
        self.__dict__["text"] = text

    def __setattr__(self, name, value):
        self.set_there.append((name, value))


class NotingSlots(Noting):
    """Its slots are attributes, and are set."""

    __slots__ = ("kept",)

    def __init__(self, number, text):
        Noting.__init__(self, number, text)
        object.__setattr__(self, "kept", text)


class Finding(Noting):
    """Finds its __dict__ in its own way, and how to set its state."""

    def __getattribute__(self, name):
        Noting.set_there.append(name)
        return object.__getattribute__(self, name)


@pytest.mark.parametrize("count", [1, 2, 50])
@pytest.mark.parametrize("cls", [Frozen, Noting, NotingSlots, Finding])
def test_classes_that_set_attributes_in_their_own_way(cls, count):
    made = [cls(i, f"text {i}") for i in range(count)]
    for protocol in (2, 4):
        data = pickle.dumps(made[0] if count == 1 else made, protocol)
        noted = []
        for loads in (pickle.loads, loading.OURS.loads, loading.OURS.loads):
            Noting.set_there.clear()
            loaded = loads(data)
            asked = list(Noting.set_there)
            noted.append((asked, [vars(one) for one in (loaded if count > 1 else [loaded])]))
        loading.compare_in_memory(data)
        assert repr(noted[0]) == repr(noted[1]) == repr(noted[2])
