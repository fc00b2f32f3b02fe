"""The named inputs of every benchmark: what programs pickle and copy, one path of the code each.

`WORKLOADS` lists one object a call, then the pipeline's order: reducers that users registered,
default reductions, the standard library's values, containers, atoms, and then very many objects.
All are deterministic. A workload's `build(scale)` makes its input anew; at scale 1 a list of it
has `count` objects, and a smaller scale makes fewer, at least three.
"""

from __future__ import annotations

import abc
import array
import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import json
import pathlib
import random
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from operator import abs
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import hooks
import models

MANY = 20_000
SOME = 5_000
FEW = 4_000
MILLION = 1_000_000

EVERY_OPERATION = ("dumps", "loads", "deepcopy")


@dataclasses.dataclass(frozen=True)
class Workload:
    """A named input.

    `make(n)` returns an input of n objects. `fresh` says that a call changes the input so that the
    next call is another case (the standard library makes the `__dict__` of each instance): then
    every sample gets a new one. `operations` are those that it is raced in. `through(module)`
    gives a module's dumps and loads for it, where they are other than its functions of that name.
    """

    name: str
    group: str
    make: Callable[[int], Any]
    count: int = MANY
    fresh: bool = False
    operations: tuple[str, ...] = EVERY_OPERATION
    through: Callable[[Any], tuple[Callable[..., Any], Callable[..., Any]]] | None = None

    def build(self, scale: float = 1.0) -> Any:
        return self.make(self.objects(scale))

    def objects(self, scale: float = 1.0) -> int:
        """How many objects the input has at this scale."""
        return self.count if self.count == 1 else max(3, int(self.count * scale))


# Registered types: a reducer in copyreg.dispatch_table, as users write them.


class Point:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class CalledPoint:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class Account:
    __slots__ = ("balance", "city", "flags", "name", "number", "rate")

    def __init__(self, balance, rate, number, name, city, flags):
        self.balance = balance
        self.rate = rate
        self.number = number
        self.name = name
        self.city = city
        self.flags = flags


class Sample:
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class Segment:
    __slots__ = ("end", "start")

    def __init__(self, start, end):
        self.start = start
        self.end = end


class Reading:
    __slots__ = ("sensor", "unit", "value")

    def __init__(self, sensor, value, unit=None):
        self.sensor = sensor
        self.value = value
        self.unit = unit


class Amount:
    """Its reducer has a branch that calls something, which nearly all objects take."""

    __slots__ = ("unit", "value")

    def __init__(self, value, unit):
        self.value = value
        self.unit = unit


class Size:
    """Its reducer is an expression with a call in it."""

    __slots__ = ("high", "wide")

    def __init__(self, high, wide):
        self.high = high
        self.wide = wide


class Step:
    """Its reducer is a partial."""

    __slots__ = ("label", "number")

    def __init__(self, number, label):
        self.number = number
        self.label = label


class Job:
    def __init__(self, name):
        self.name = name
        self.attempts = 0
        self.done = False


def reduce_called_point(p):
    """Short, but it calls something, so no compiler of reducers may read through it."""
    return CalledPoint, (p.x, p.y, abs(p.z))


def parse_reading(text, unit):
    sensor, _, value = text.partition("=")
    return Reading(sensor, float(value), unit)


def reduce_reading(r):
    text = f"{r.sensor}={r.value:.3f}"
    if r.unit is None:
        return parse_reading, (text, "K")
    return parse_reading, (text, r.unit)


def parse_amount(text):
    value, _, unit = text.partition(" ")
    return Amount(int(value), unit)


def reduce_amount(a):
    if a.unit:
        return parse_amount, (f"{a.value} {a.unit}",)
    return Amount, (a.value, "")


def reduce_step(cls, s):
    return cls, (s.number, s.label)


copyreg.pickle(Point, lambda p: (Point, (p.x, p.y, p.z)))
copyreg.pickle(CalledPoint, reduce_called_point)
copyreg.pickle(
    Account, lambda a: (Account, (a.balance, a.rate, a.number, a.name, a.city, a.flags))
)
copyreg.pickle(Sample, lambda s: (Sample, (s.x, s.y, s.z)))
copyreg.pickle(Segment, lambda s: (Segment, (s.start, s.end)))
copyreg.pickle(Reading, reduce_reading)
copyreg.pickle(Amount, reduce_amount)
copyreg.pickle(Size, lambda s: (Size, (abs(s.high), s.wide)))
copyreg.pickle(Step, functools.partial(reduce_step, Step))
copyreg.pickle(Job, lambda j: (Job, (j.name,), {"attempts": j.attempts, "done": j.done}))


def three_fields(cls: Callable[..., Any]) -> Callable[[int], list[Any]]:
    return lambda n: [cls(i * 0.5, i * 0.25, i) for i in range(n)]


def make_accounts(n):
    return [Account(i * 0.5, i * 0.25, i, f"name{i}", f"city{i * 7}", i * 3) for i in range(n)]


def make_segments(n):
    return [Segment(Point(i * 0.5, 0.25, i), Point(i * 1.5, 1.25, -i)) for i in range(n)]


def make_readings(n):
    return [Reading(f"sensor{i % 97}", i * 0.5, None if i % 3 else "C") for i in range(n)]


def make_amounts(n):
    return [Amount(i, f"unit{i % 7}" if i % 20 else "") for i in range(n)]


def make_sizes(n):
    return [Size(i, "wide") for i in range(n)]


def make_steps(n):
    return [Step(i, "step") for i in range(n)]


def make_jobs(n):
    jobs = [Job(f"job{i}") for i in range(n)]
    for i, job in enumerate(jobs):
        job.attempts = i % 5
        job.done = i % 2 == 0
    return jobs


# Default reductions.


class Plain:
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class OwnState:
    """With the two methods that are written most often."""

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z

    def __getstate__(self):
        return {"x": self.x, "y": self.y, "z": self.z}

    def __setstate__(self, state):
        self.__dict__.update(state)


class PlainSlots:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class Locked:
    """What holds something that cannot be pickled, and leaves it out."""

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z
        self._lock = None

    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("_lock")
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._lock = None


@dataclasses.dataclass
class Data:
    x: float
    y: float
    z: int


@dataclasses.dataclass(slots=True)
class SlotsData:
    x: float
    y: float
    z: int


@dataclasses.dataclass(frozen=True)
class FrozenData:
    x: float
    y: float
    z: int


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlotsData:
    x: float
    y: float
    z: int


class Named(NamedTuple):
    x: float
    y: float
    z: int


class Colour(enum.Enum):
    RED = 1
    GREEN = 2
    BLUE = 3


class RefusedOrder(Exception):
    def __init__(self, message, number):
        super().__init__(message, number)
        self.number = number


class Settings(dict):
    pass


class Track(list):
    pass


class Tags(set):
    pass


class Roles(frozenset):
    __slots__ = ("since",)


def with_dicts(make: Callable[[int], list[Any]]) -> Callable[[int], list[Any]]:
    """The same objects after somebody has looked at each one's `__dict__`."""

    def make_with_dicts(n):
        objects = make(n)
        for each in objects:
            vars(each)
        return objects

    return make_with_dicts


def make_exceptions(n):
    return [RefusedOrder("refused", i) if i % 2 else ValueError("bad value", i) for i in range(n)]


def make_settings(n):
    return [Settings(host=f"host{i}", port=i, debug=False) for i in range(n)]


def make_tracks(n):
    return [Track((i, i + 1, i * 0.5)) for i in range(n)]


def make_tags(n):
    """Sets with a `__dict__` that is empty, and frozen ones with a slot."""
    made = [Roles((i, "reader")) if i % 2 else Tags((i, i + 1, f"tag{i}")) for i in range(n)]
    for each in made[1::2]:
        each.since = 2026
    return made


def make_colours(n):
    return [list(Colour)[i % 3] for i in range(n)]


# The standard library's values, each type by itself and all of them mixed.

_EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

VALUES: dict[str, Callable[[int], Any]] = {
    "datetime": lambda i: _EPOCH.replace(tzinfo=None) + datetime.timedelta(seconds=i * 61),
    "datetime-utc": lambda i: _EPOCH + datetime.timedelta(seconds=i * 61),
    "date": lambda i: datetime.date(1970 + i % 100, 1 + i % 12, 1 + i % 28),
    "time": lambda i: datetime.time(i % 24, i % 60, i % 59),
    "timedelta": lambda i: datetime.timedelta(days=i, seconds=i % 86_400),
    "timezone": lambda i: datetime.timezone(datetime.timedelta(minutes=i % 1000)),
    "decimal": lambda i: decimal.Decimal(i) / 100,
    "uuid": lambda i: uuid.UUID(int=i * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128),
    "fraction": lambda i: fractions.Fraction(i, i + 1),
    "ordered-dict": lambda i: collections.OrderedDict(number=i, name="a"),
    "defaultdict": lambda i: collections.defaultdict(list, number=i, name="a"),
    "deque": lambda i: collections.deque((i, i + 1, i + 2), maxlen=8),
    "counter": lambda i: collections.Counter(a=i, b=i + 1),
    "path": lambda i: pathlib.PurePosixPath(f"/srv/data/{i}.txt"),
    "complex": lambda i: complex(i, -i),
    "slice": lambda i: slice(i, i * 2 + 1),
    "range": lambda i: range(i, i * 2 + 1),
    "ipv4": ipaddress.IPv4Address,
    "ipv6": lambda i: ipaddress.IPv6Address(i << 64),
    "namespace": lambda i: types.SimpleNamespace(number=i, name="a"),
}


def one_value(name: str) -> Callable[[int], list[Any]]:
    return lambda n: [VALUES[name](i) for i in range(n)]


def make_values(n):
    """A list with as many of each type."""
    makers = list(VALUES.values())
    return [makers[i % len(makers)](i) for i in range(n)]


# Classes that a metaclass makes, and which it leaves as they are.

T = TypeVar("T")


class Meta(type):
    def __new__(cls, name, bases, namespace):
        return super().__new__(cls, name, bases, {**namespace, "made": True})


class FallingMeta(type):
    def __getattr__(cls, name):
        raise AttributeError(name)


class Abstract(Plain, abc.ABC):
    pass


class AbstractSlots(abc.ABC):  # noqa: B024
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class Parametrized(Plain, Generic[T]):
    pass


class HasFields(Protocol):
    x: float


class Implementation(HasFields):
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class OfMeta(Plain, metaclass=Meta):
    pass


class OfFallingMeta(Plain, metaclass=FallingMeta):
    pass


class RegisteredAbstract(Plain, abc.ABC):
    pass


copyreg.pickle(RegisteredAbstract, lambda p: (RegisteredAbstract, (p.x, p.y, p.z)))

METACLASSES: dict[str, type] = {
    "abc": Abstract,
    "abc-slots": AbstractSlots,
    "abc-registered": RegisteredAbstract,
    "generic": Parametrized,
    "protocol": Implementation,
    "metaclass": OfMeta,
    "metaclass-getattr": OfFallingMeta,
}


def model(name: str) -> Callable[[int], list[Any]]:
    return lambda n: [models.MAKERS[name](i) for i in range(n)]


# What copy() asks in each of its ways.


class Hooked:
    def __copy__(self):
        return self


class HookedAbstract(Hooked, abc.ABC):
    pass


class OwnStateOnly:
    def __init__(self):
        self.x = 1

    def __getstate__(self):
        return self.__dict__


class OwnStates(OwnStateOnly):
    def __setstate__(self, state):
        if state:
            self.x = state["x"]


class CalledReduce(Plain):
    def __reduce__(self):
        if self.x:
            return CalledReduce, (self.x, self.y, self.z), None
        return "nothing"


class CalledReduceEx(Plain):
    def __reduce_ex__(self, protocol):
        if protocol > 1:
            return CalledReduceEx, (self.x, self.y, self.z), {"z": 3}
        return "nothing"


class Restless(Plain):
    def __getattr__(self, name):
        raise AttributeError(name)


COPIED: dict[str, Callable[[], Any]] = {
    "exception": lambda: ValueError("bad value", 3),
    "exception-state": lambda: RefusedOrder("refused", 3),
    "namespace": lambda: types.SimpleNamespace(number=3, name="a"),
    "dict-subclass": lambda: make_settings(3)[2],
    "list-subclass": lambda: make_tracks(3)[2],
    "set-subclass": lambda: make_tags(3)[2],
    "ordered-dict": lambda: collections.OrderedDict(number=3, name="a"),
    "counter": lambda: collections.Counter(a=3, b=4),
    "defaultdict": lambda: collections.defaultdict(list, number=3),
    "deque": lambda: collections.deque((3, 4), maxlen=8),
    "bytearray": lambda: bytearray(b"abc"),
    "set": lambda: {3, 4},
    "array": lambda: array.array("i", (3, 4)),
    "hook": Hooked,
    "hook-abc": HookedAbstract,
    "enum": lambda: Colour.GREEN,
    "getstate": OwnStateOnly,
    "setstate": OwnStates,
    "reduce": lambda: CalledReduce(1, 2, 3),
    "reduce-ex": lambda: CalledReduceEx(1, 2, 3),
    "getattr": lambda: Restless(1, 2, 3),
    "partial": lambda: functools.partial(print, 3, end=""),
}


# Containers and atoms.


def make_records(n):
    return [
        {
            "id": i,
            "name": f"user{i}",
            "email": f"u{i}@example.com",
            "score": i * 0.5,
            "active": i % 2 == 0,
            "parent": None,
            "tags": [f"a{i}", "b", "c"],
            "n": i * 1000,
        }
        for i in range(n)
    ]


def make_parsed_records(n):
    return json.loads(json.dumps(make_records(n)))


def make_sets(n):
    return [{i, i + 1, i + 2} if i % 2 else frozenset((i, i + 1)) for i in range(n)]


def make_numbers(n):
    chosen = random.Random(1)
    widths = (4, 7, 8, 15, 16, 31, 63, 100)
    whole = [chosen.getrandbits(widths[i % 8]) - (i % 3) for i in range(n // 2)]
    return whole + [chosen.uniform(-1e6, 1e6) for _ in range(n - n // 2)]


def make_strings(n):
    words = ("order", "Straße", "東京", "a longer piece of text that somebody typed in", "x")
    return [f"{words[i % 5]} {i}" for i in range(n)]


def make_large_bytes(n):
    return random.Random(2).randbytes(n)


def make_large_text(n):
    return "large text, " * (n // 12)


# The shapes of pyperformance's pickle, pickle_dict, pickle_list and deepcopy benchmarks.


def _profile(seed: int) -> dict[str, Any]:
    """A user's profile of 33 keys: small and large numbers, short strings, a list, a date."""
    chosen = random.Random(seed)
    profile: dict[str, Any] = {f"count_{i}": chosen.randrange(10) for i in range(10)}
    profile |= {f"identifier_{i}": chosen.randrange(sys.maxsize) for i in range(8)}
    profile |= {f"text_{i}": f"{chosen.getrandbits(40 + i):x}" for i in range(12)}
    profile["empty"] = ""
    profile["tags"] = list("abcdefg")
    profile["born"] = datetime.date(1980, 5, 1 + seed % 28)
    return profile


def make_profiles(n):
    """What pyperformance's pickle dumps in one turn: a dict, a tuple, a group of three dicts."""
    chosen = random.Random(3)
    numbers = [chosen.randrange(10**9) for _ in range(20)]
    return [_profile(0), (numbers, 60), [_profile(i) for i in (1, 2, 3)]]


def make_dict_of_dicts(n):
    return {key: dict.fromkeys(range(10)) for key in range(100)}


def make_list_of_lists(n):
    return [[list(range(10)), list(range(10))] for _ in range(10)]


@dataclasses.dataclass
class Bundle:
    numbers: list[int]
    text: str
    flag: bool


class Stateful:
    def __init__(self):
        self.numbers = [1, 2, 3]
        self.text = "text"

    def __getstate__(self):
        return {"numbers": self.numbers, "text": self.text}

    def __setstate__(self, state):
        self.__dict__.update(state)


def make_bundle(n):
    return {
        "list": [1, 2, 3, 43],
        "tuple": (1, 2, 3),
        "text": "hello",
        "inner": {"a": True},
        "bundles": [Bundle([1, 2, 3], "text", bool(i % 2)) for i in range(3)],
    }


def make_shared(n):
    shared = [1, 2, 3]
    return {"first": [shared] * 50, "second": [shared] * 50}


def scattered(make: Callable[[int], list[Any]]) -> Callable[[int], list[Any]]:
    """The objects in another order than they lie in memory, as in a process that has run long."""

    def make_scattered(n: int) -> list[Any]:
        made = make(n)
        random.Random(4).shuffle(made)
        return made

    return make_scattered


def one(make: Callable[[int], list[Any]]) -> Callable[[int], Any]:
    """The last object of a list of three."""
    return lambda n: make(3)[2]


SINGLE_OPERATIONS = ("dumps", "loads", "deepcopy", "copy")
PICKLE_OPERATIONS = ("dumps", "loads")


def _registered() -> Iterator[Workload]:
    group = "registered"
    yield Workload("registered-slots", group, three_fields(Point))
    yield Workload("registered-called", group, three_fields(CalledPoint))
    yield Workload("registered-six-fields", group, make_accounts)
    yield Workload("registered-dict", group, three_fields(Sample))
    yield Workload("registered-nested", group, make_segments)
    yield Workload("registered-branching", group, make_readings)
    yield Workload("registered-giving-up", group, make_amounts, FEW)
    yield Workload("registered-expression", group, make_sizes, FEW)
    yield Workload("registered-partial", group, make_steps, FEW)
    yield Workload("registered-state", group, make_jobs)


def _default_reductions() -> Iterator[Workload]:
    group = "default reduction"
    yield Workload("plain", group, three_fields(Plain), fresh=True)
    yield Workload("plain-with-dicts", group, with_dicts(three_fields(Plain)))
    yield Workload("plain-slots", group, three_fields(PlainSlots))
    yield Workload("own-state", group, three_fields(OwnState))
    yield Workload("own-state-locked", group, three_fields(Locked), fresh=True)
    yield Workload("dataclass", group, three_fields(Data), fresh=True)
    yield Workload("dataclass-with-dicts", group, with_dicts(three_fields(Data)))
    yield Workload("dataclass-slots", group, three_fields(SlotsData))
    yield Workload("dataclass-frozen", group, three_fields(FrozenData), fresh=True)
    yield Workload("dataclass-frozen-slots", group, three_fields(FrozenSlotsData))
    yield Workload("namedtuple", group, three_fields(Named))
    yield Workload("exceptions", group, make_exceptions)
    yield Workload("enum", group, make_colours)
    yield Workload("dict-subclass", group, make_settings)
    yield Workload("list-subclass", group, make_tracks)
    yield Workload("set-subclass", group, make_tags)


def _values() -> Iterator[Workload]:
    yield Workload("values", "standard values", make_values)
    for name in VALUES:
        yield Workload(f"value-{name}", "standard values", one_value(name), SOME)


def _containers() -> Iterator[Workload]:
    yield Workload("records", "containers", make_records, SOME)
    yield Workload("records-parsed", "containers", make_parsed_records, SOME)
    yield Workload("tuples", "containers", lambda n: [(i * 0.5, i * 0.25, i) for i in range(n)])
    yield Workload("sets", "containers", make_sets, SOME)
    yield Workload("pyperformance-pickle", "pyperformance", make_profiles, 1)
    yield Workload("pyperformance-dict", "pyperformance", lambda n: _profile(0), 1)
    yield Workload("pyperformance-pickle-dict", "pyperformance", make_dict_of_dicts, 1)
    yield Workload("pyperformance-pickle-list", "pyperformance", make_list_of_lists, 1)
    yield Workload("pyperformance-deepcopy", "pyperformance", make_bundle, 1)
    yield Workload("pyperformance-deepcopy-reduce", "pyperformance", lambda n: Stateful(), 1)
    yield Workload("pyperformance-deepcopy-memo", "pyperformance", make_shared, 1)


def _atoms() -> Iterator[Workload]:
    yield Workload("numbers", "atoms", make_numbers)
    yield Workload("strings", "atoms", make_strings)
    yield Workload("large-bytes", "atoms", make_large_bytes, 8_000_000)
    yield Workload("large-text", "atoms", make_large_text, 8_000_000)


def _singles() -> Iterator[Workload]:
    inputs: dict[str, Callable[[int], Any]] = {
        "registered": one(three_fields(Point)),
        "registered-called": one(three_fields(CalledPoint)),
        "plain": one(with_dicts(three_fields(Plain))),
        "slots": one(three_fields(PlainSlots)),
        "dataclass-slots": one(three_fields(SlotsData)),
        "int": lambda n: 12_345,
        "string": lambda n: "hello",
        "dict": lambda n: {"a": 1, "b": "x", "c": None},
        "list": lambda n: [1, 2, 3],
        "datetime": one(one_value("datetime")),
    }
    for name, make in inputs.items():
        yield Workload(f"one-{name}", "one object a call", make, 1, operations=SINGLE_OPERATIONS)


def _metaclasses() -> Iterator[Workload]:
    group = "metaclasses"
    for name, cls in METACLASSES.items():
        yield Workload(name, group, three_fields(cls), SOME, fresh="abc-" not in name)
        make = one(with_dicts(three_fields(cls)) if name != "abc-slots" else three_fields(cls))
        yield Workload(f"one-{name}", group, make, 1, operations=SINGLE_OPERATIONS)
    for name in models.MAKERS:
        yield Workload(f"model-{name}", group, model(name), SOME // 10)
        yield Workload(f"one-{name}", group, one(model(name)), 1, operations=SINGLE_OPERATIONS)


def _copies() -> Iterator[Workload]:
    for name, make in COPIED.items():
        yield Workload(
            f"copy-{name}", "copy", lambda n, make=make: make(), 1, operations=("copy",)
        )


def _hooks() -> Iterator[Workload]:
    """Lists for what takes an object apart or together; one object for what copies only that."""
    group = "hooks"
    for name, (make, wanted) in hooks.HOOKS.items():
        many = tuple(operation for operation in wanted if operation in EVERY_OPERATION)
        if many:
            yield Workload(f"hook-{name}", group, make, SOME, operations=many)
        yield Workload(f"one-hook-{name}", group, one(make), 1, operations=wanted)
    for name, (make, through) in hooks.THROUGH.items():
        yield Workload(
            f"hook-{name}", group, make, SOME, operations=PICKLE_OPERATIONS, through=through
        )


def _scattered() -> Iterator[Workload]:
    inputs: dict[str, Callable[[int], list[Any]]] = {
        "registered-slots": three_fields(Point),
        "registered-called": three_fields(CalledPoint),
        "plain": three_fields(Plain),
        "dataclass-slots": three_fields(SlotsData),
        "records": make_records,
    }
    for name, make in inputs.items():
        yield Workload(
            f"scattered-{name}",
            "scattered over memory",
            scattered(make),
            SOME if name == "records" else MANY,
            fresh=name == "plain",
            operations=("dumps", "deepcopy"),
        )


def _millions() -> Iterator[Workload]:
    yield Workload(
        "million", "one million", three_fields(Point), MILLION, operations=PICKLE_OPERATIONS
    )


WORKLOADS: tuple[Workload, ...] = (
    # First, since a library may keep memory of large calls that slows small ones after them.
    *_singles(),
    *_copies(),
    *_metaclasses(),
    *_registered(),
    *_default_reductions(),
    *_values(),
    *_containers(),
    *_atoms(),
    *_hooks(),
    *_scattered(),
    *_millions(),
)

BY_NAME: dict[str, Workload] = {workload.name: workload for workload in WORKLOADS}
NAMES: frozenset[str] = frozenset(
    {*BY_NAME, *(f"{many}-{name}" for name in models.NAMES for many in ("one", "model"))}
)
"""Of all there are, also of those for libraries that are not installed."""
