"""How the time grows with the number of objects: ours by no more than the standard library's.

    python benchmarks/growth.py                          all, some two minutes
    python benchmarks/growth.py --door dumps --kind datetime

Whatever has to be called or looked up between instances of plain classes, at each door through
which objects go. The pickle or copy of eight times the objects is to take eight times as long;
where the standard library takes longer than that (memory, other tables), we may too. A door is a
way in: a function, or a pickler that programs subclass.
"""

from __future__ import annotations

import argparse
import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import gc
import io
import ipaddress
import multiprocessing.reduction
import pathlib
import sys
import types
import uuid
from collections.abc import Callable
from operator import abs
from typing import Any, NamedTuple

import fastcopyreg
from fastcopyreg import _stdlib
from fastcopyreg import copy as our_copy
from fastcopyreg import pickle as our_pickle
from fastcopyreg.bench import CPU_CLOCK

try:
    import numpy
except ImportError:
    numpy = None

TIMES = 8
"""How many times as many objects the large input has."""

MOST = 1.25
"""How many times the growth of the standard library's time that of ours may be."""

UNITS = 250
"""Units of the small input; a unit is three objects."""

ROUNDS = 3
"""How often an input is timed; the best time counts."""

SIZES = (1, 1, 2, 2, 4, 4, 8)
"""The small inputs of one attempt after another, in `UNITS`.

What grows with its square fails in each, and the more the larger they are. A step does not, where
what is used leaves a cache or memory has to be asked for.
"""


class Fresh:
    """Its `__dict__` is made by whoever looks at it first, as the standard library does."""

    def __init__(self, number, part):
        self.number = number
        self.part = part


class Called:
    """Its reducer is registered, and cannot be read."""

    def __init__(self, number):
        self.number = number


class Branching(Called):
    pass


class Partly(Called):
    pass


class Planned(Called):
    pass


class OwnReduce(Called):
    def __reduce__(self):
        return OwnReduce, (abs(self.number),)


class OwnReduceEx(Called):
    def __reduce_ex__(self, protocol):
        return OwnReduceEx, (abs(self.number),)


class State(Called):
    def __getstate__(self):
        return {"number": abs(self.number)}

    def __setstate__(self, state):
        self.number = abs(state["number"])


class Items(list):
    def __reduce__(self):
        return Items, (), {"number": len(self)}, iter(self)


class NewArguments(int):
    def __getnewargs__(self):
        return (int(self),)


class Keywords:
    def __new__(cls, *, number):
        self = object.__new__(cls)
        self.number = number
        return self

    def __getnewargs_ex__(self):
        return (), {"number": self.number}


class OwnCopies(Called):
    def __copy__(self):
        return OwnCopies(self.number)

    def __deepcopy__(self, memo):
        return OwnCopies(self.number)


class Named(NamedTuple):
    number: int
    parts: list[int]


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Trouble(Exception):
    def __init__(self, number):
        super().__init__(number)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    number: int
    parts: list[int]


def make_branching(text):
    return Branching(int(text))


def reduce_branching(b):
    if b.number % 2:
        return make_branching, (f"{b.number}",)
    return Branching, (b.number,)


def reduce_partly(cls, p):
    return cls, (abs(p.number),)


copyreg.pickle(Called, lambda c: (Called, (abs(c.number),)))
copyreg.pickle(Branching, reduce_branching)
copyreg.pickle(Partly, functools.partial(reduce_partly, Partly))
copyreg.pickle(Planned, lambda p: (Planned, (p.number,)))

_DAY = datetime.datetime(2026, 1, 1)

KINDS: dict[str, Callable[[int], Any]] = {
    "number": lambda i: i,
    "fresh": lambda i: Fresh(i, None),
    "dict": lambda i: {"number": i},
    "tuple": lambda i: (i, str(i)),
    "set": lambda i: {i, str(i)},
    "bytes": lambda i: i.to_bytes(4, "big"),
    "bytearray": lambda i: bytearray(i.to_bytes(4, "big")),
    "complex": lambda i: complex(i, 1),
    "datetime": lambda i: _DAY + datetime.timedelta(seconds=i),
    "date": lambda i: datetime.date(1970 + i % 100, 1 + i % 12, 1),
    "timedelta": lambda i: datetime.timedelta(i),
    "timezone": lambda i: datetime.timezone(datetime.timedelta(minutes=i % 999)),
    "decimal": lambda i: decimal.Decimal(i),
    "fraction": lambda i: fractions.Fraction(i, i + 1),
    "enum": lambda i: list(Colour)[i % 2],
    "uuid": lambda i: uuid.UUID(int=i),
    "path": lambda i: pathlib.PurePosixPath(f"/srv/{i}"),
    "address": ipaddress.IPv4Address,
    "deque": lambda i: collections.deque((i, i + 1)),
    "ordered-dict": lambda i: collections.OrderedDict(number=i),
    "defaultdict": lambda i: collections.defaultdict(list, number=i),
    "counter": lambda i: collections.Counter(number=i + 1),
    "namespace": lambda i: types.SimpleNamespace(number=i),
    "named-tuple": lambda i: Named(i, [i]),
    "exception": Trouble,
    "frozen": lambda i: Frozen(i, [i]),
    "called": Called,
    "branching": Branching,
    "partial": Partly,
    "planned": Planned,
    "own-reduce": OwnReduce,
    "own-reduce-ex": OwnReduceEx,
    "own-state": State,
    "items": lambda i: Items((i, i + 1)),
    "new-arguments": NewArguments,
    "keywords": lambda i: Keywords(number=i),
    "own-copies": OwnCopies,
    "function": lambda i: make_branching,
    "class": lambda i: (Fresh, Called, Planned)[i % 3],
}
if numpy is not None:
    KINDS["numpy-scalar"] = numpy.float64
    KINDS["numpy-array"] = lambda i: numpy.full(2, i)


class OwnList(list):
    pass


class OwnDict(dict):
    pass


def attributes(made: list[Any]) -> Fresh:
    holder = Fresh(0, None)
    for i, each in enumerate(made):
        setattr(holder, f"part{i}", each)
    return holder


HOLDERS: dict[str, Callable[[list[Any]], Any]] = {
    "in-tuple": tuple,
    "in-dict": lambda made: dict(enumerate(made)),
    "in-keys": dict.fromkeys,
    "in-set": set,
    "in-frozenset": frozenset,
    "in-deque": collections.deque,
    "in-ordered-dict": lambda made: collections.OrderedDict(enumerate(made)),
    "in-own-list": OwnList,
    "in-own-dict": lambda made: OwnDict(enumerate(made)),
    "in-instance": attributes,
    "in-exception": lambda made: Exception(*made),
    "in-arguments": lambda made: types.SimpleNamespace(made=made),
}
"""What may hold very many, between which reducers are called."""


def units(kind: str, count: int) -> list[Any]:
    """An object of the kind between two instances, and one in an instance; or a full holder."""
    if kind in HOLDERS:
        return [HOLDERS[kind]([each(i) for i in range(count) for each in (Called, State)])]
    make, made = KINDS[kind], []
    for i in range(count):
        made += (Fresh(i, make(i)), make(i), Fresh(i, "text"))
    return made


@dataclasses.dataclass(frozen=True)
class Side:
    """The standard library's functions and classes, or ours."""

    pickle: Any
    forking: type
    copy: Callable[[Any], Any]
    deepcopy: Callable[..., Any]


def sides() -> tuple[Side, Side]:
    """The standard library, and ours; multiprocessing's pickler as `install()` makes it."""
    standard = types.SimpleNamespace(
        Pickler=_stdlib.Pickler,
        Unpickler=_stdlib.Unpickler,
        **{name: getattr(_stdlib, name) for name in ("dump", "dumps", "load", "loads")},
    )
    forking = multiprocessing.reduction.ForkingPickler
    fastcopyreg.install()
    try:
        ours = multiprocessing.reduction.ForkingPickler
    finally:
        fastcopyreg.uninstall()
    return (
        Side(standard, forking, _stdlib.copy, _stdlib.deepcopy),
        Side(our_pickle, ours, our_copy.copy, our_copy.deepcopy),
    )


Work = Callable[[], object]
"""What is timed."""


def _dumped(side: Side, made: list[Any], cls: type, *arguments: Any) -> Work:
    return lambda: cls(io.BytesIO(), *arguments).dump(made)


def dumps(side: Side, made: list[Any]) -> Work:
    return lambda: side.pickle.dumps(made)


def dumps_in_text(side: Side, made: list[Any]) -> Work:
    return lambda: side.pickle.dumps(made, 0)


def dumps_protocol_2(side: Side, made: list[Any]) -> Work:
    return lambda: side.pickle.dumps(made, 2)


def pickler(side: Side, made: list[Any]) -> Work:
    return _dumped(side, made, side.pickle.Pickler)


def pickler_of_many(side: Side, made: list[Any]) -> Work:
    """One dump for each object, with the memo of those before."""

    def work():
        dump = side.pickle.Pickler(io.BytesIO()).dump
        for each in made:
            dump(each)

    return work


def pickler_with_ids(side: Side, made: list[Any]) -> Work:
    class WithIds(side.pickle.Pickler):
        def persistent_id(self, obj):
            return str(obj.number) if isinstance(obj, Called) and obj.number % 5 == 0 else None

    return _dumped(side, made, WithIds)


def pickler_with_override(side: Side, made: list[Any]) -> Work:
    class WithOverride(side.pickle.Pickler):
        def reducer_override(self, obj):
            return NotImplemented

    return _dumped(side, made, WithOverride)


def pickler_with_table(side: Side, made: list[Any]) -> Work:
    def work():
        own = side.pickle.Pickler(io.BytesIO())
        own.dispatch_table = copyreg.dispatch_table.copy()
        own.dump(made)

    return work


def forking_pickler(side: Side, made: list[Any]) -> Work:
    return lambda: side.forking.dumps(made)


def loads(side: Side, made: list[Any]) -> Work:
    pickled = _stdlib.dumps(made)
    return lambda: side.pickle.loads(pickled)


def loads_of_text(side: Side, made: list[Any]) -> Work:
    pickled = _stdlib.dumps(made, 0)
    return lambda: side.pickle.loads(pickled)


def load(side: Side, made: list[Any]) -> Work:
    pickled = _stdlib.dumps(made)
    return lambda: side.pickle.load(io.BytesIO(pickled))


def load_of_many(side: Side, made: list[Any]) -> Work:
    """One load for each object, of a file that has all of them."""
    pickled = b"".join(map(_stdlib.dumps, made))

    def work():
        file = io.BytesIO(pickled)
        for _ in range(len(made)):
            side.pickle.load(file)

    return work


def unpickler_of_many(side: Side, made: list[Any]) -> Work:
    """The same, with the memo of those before."""
    stream = io.BytesIO()
    standard = _stdlib.Pickler(stream)
    for each in made:
        standard.dump(each)
    pickled = stream.getvalue()

    def work():
        load_next = side.pickle.Unpickler(io.BytesIO(pickled)).load
        for _ in range(len(made)):
            load_next()

    return work


def unpickler_with_hooks(side: Side, made: list[Any]) -> Work:
    class WithIds(_stdlib.Pickler):
        def persistent_id(self, obj):
            return (1, obj.number) if isinstance(obj, Fresh) and obj.number % 2 else None

    class WithHooks(side.pickle.Unpickler):
        def find_class(self, module, name):
            return super().find_class(module, name)

        def persistent_load(self, pid):
            return pid

    stream = io.BytesIO()
    WithIds(stream, 2).dump(made)
    pickled = stream.getvalue()
    return lambda: WithHooks(io.BytesIO(pickled)).load()


def deepcopy(side: Side, made: list[Any]) -> Work:
    return lambda: side.deepcopy(made)


def deepcopy_with_memo(side: Side, made: list[Any]) -> Work:
    return lambda: side.deepcopy(made, {})


def deepcopy_of_many(side: Side, made: list[Any]) -> Work:
    """One call for each object, with the memo of those before."""

    def work():
        memo: dict[int, Any] = {}
        for each in made:
            side.deepcopy(each, memo)

    return work


def copy_of_many(side: Side, made: list[Any]) -> Work:
    def work():
        for each in made:
            side.copy(each)

    return work


DOORS: dict[str, Callable[[Side, list[Any]], Work]] = {
    "dumps": dumps,
    "dumps-text": dumps_in_text,
    "dumps-2": dumps_protocol_2,
    "Pickler": pickler,
    "Pickler-many": pickler_of_many,
    "Pickler-ids": pickler_with_ids,
    "Pickler-override": pickler_with_override,
    "Pickler-table": pickler_with_table,
    "ForkingPickler": forking_pickler,
    "loads": loads,
    "loads-text": loads_of_text,
    "load": load,
    "load-many": load_of_many,
    "Unpickler-many": unpickler_of_many,
    "Unpickler-hooks": unpickler_with_hooks,
    "deepcopy": deepcopy,
    "deepcopy-memo": deepcopy_with_memo,
    "deepcopy-many": deepcopy_of_many,
    "copy-many": copy_of_many,
}


@dataclasses.dataclass
class Growth:
    """The best times of the standard library and of ours, with few objects and with many."""

    door: str
    kind: str
    times: dict[tuple[int, int], float]

    def of(self, side: int) -> float:
        return self.times[side, 1] / self.times[side, 0]

    @property
    def excess(self) -> float:
        """Our growth over the standard library's, or over the work's where theirs is less: of a
        short call most of their time is the call."""
        return self.of(1) / max(self.of(0), TIMES)

    @property
    def good(self) -> bool:
        return self.excess <= MOST

    def __str__(self) -> str:
        return (
            f"{self.door:18} {self.kind:14} stdlib {self.of(0):5.1f}x, ours {self.of(1):5.1f}x: "
            f"{self.excess:.2f}"
        )


def _time(door: str, side: Side, kind: str, count: int) -> float:
    """The time of one call with objects that nobody has seen, the collector being off."""
    work = DOORS[door](side, units(kind, count))
    gc.disable()
    try:
        start = CPU_CLOCK()
        kept = work()
        elapsed = CPU_CLOCK() - start
    finally:
        gc.enable()
    del kept
    return elapsed


def measure(
    door: str, kind: str, both: tuple[Side, Side], count: int = UNITS, rounds: int = ROUNDS
) -> Growth:
    """Both sides take turns. Noise only ever slows, so what grew too much is timed again."""
    for side in both:  # Classes are met, and reducers are read.
        _time(door, side, kind, 100)
    for size in SIZES:
        growth = Growth(door, kind, {})
        for _ in range(rounds):
            for number, side in enumerate(both):
                for large in (0, 1):
                    took = _time(door, side, kind, count * size * TIMES**large)
                    best = growth.times.get((number, large), took)
                    growth.times[number, large] = min(best, took)
        if growth.good:
            break
        rounds = max(rounds, 3)
    return growth


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--door", action="append", choices=DOORS, help="repeatable")
    parser.add_argument("--kind", action="append", choices=(*KINDS, *HOLDERS), help="repeatable")
    parser.add_argument("--units", type=int, default=UNITS, help="of the smaller input")
    options = parser.parse_args(arguments)
    bad, both = 0, sides()
    for door in options.door or DOORS:
        for kind in options.kind or (*KINDS, *HOLDERS):
            growth = measure(door, kind, both, options.units)
            bad += not growth.good
            print(growth, "" if growth.good else "TOO MUCH", flush=True)
    print(f"{bad} grow too much")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
