"""Races every door of pickle, for five kinds of objects, and compares with the floors.

    python benchmarks/doors.py                          all, five minutes
    python benchmarks/doors.py --only 'load*'           doors by a glob; repeatable
    python benchmarks/doors.py --json build/3.14.json   adds the table to what race.py wrote there

A door is a way in which programs come to pickle: a function, a class, a subclass with hooks, and
where the bytes lie. Loads are raced once more by an older protocol, of more than 1 MiB, and of one
object (4 has the opcodes of 5 for these objects). Bytes and objects are compared before anything
is timed. A race below its floor is run again, and longer. Exit status: 0 if all floors are held,
else 1.
"""

from __future__ import annotations

import argparse
import array
import collections
import contextlib
import copyreg
import dataclasses
import datetime
import decimal
import fnmatch
import io
import json
import mmap
import os
import pickle as std_pickle
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping
from multiprocessing import reduction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # Not there under PYTHONSAFEPATH.

import fastcopyreg
import fastcopyreg.pickle
from fastcopyreg.bench import Contender, race
from floors import Floors

OBJECTS = 5000
MORE = 12
"""So many times the objects make more than 1 MiB of each kind."""


@dataclasses.dataclass
class Registered:
    x: int
    y: str


copyreg.pickle(Registered, lambda one: (Registered, (one.x, one.y)))


class Plain:
    def __init__(self, x: int, y: str) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and vars(self) == vars(other)

    __hash__ = None


@dataclasses.dataclass(slots=True)
class Slots:
    x: int
    y: str


def row(number: int) -> Plain:
    one = Plain(number, str(number))
    one.at = datetime.datetime(2020, 1, 1 + number % 28)
    one.price = decimal.Decimal(number) / 100
    one.id = uuid.UUID(int=number)
    return one


class Other:
    """What hooks by type look for, and never find."""


OTHERS = {Other, range, complex}

KINDS: dict[str, Callable[[int], Any]] = {
    "registered": lambda number: Registered(number, str(number)),
    "plain": lambda number: Plain(number, str(number)),
    "slots": lambda number: Slots(number, str(number)),
    "records": lambda number: {"x": number, "y": str(number), "c": [number, number + 1]},
    "values": row,
}


def subclasses(module: Any) -> dict[str, type]:
    """Subclasses of a module's two classes, as programs make them."""

    class Pickler(module.Pickler):
        pass

    class Persistent(module.Pickler):
        def persistent_id(self, obj):
            return None

    class Override(module.Pickler):
        def reducer_override(self, obj):
            return NotImplemented

    def is_other(obj):
        return isinstance(obj, Other) or type(obj) in OTHERS

    class BySuper(Override):
        refused = OTHERS

        def reducer_override(self, obj):
            if type(obj) in self.refused:
                raise ValueError("is not to be pickled")
            return super().reducer_override(obj)

    class PersistentByType(module.Pickler):
        def persistent_id(self, obj):
            return obj.key if is_other(obj) else None

    class OverrideByType(module.Pickler):
        def reducer_override(self, obj):
            return (Other, ()) if is_other(obj) else NotImplemented

    class Called(module.Pickler):
        def persistent_id(self, obj):
            return [None][0]

    class OverrideCalled(module.Pickler):
        def reducer_override(self, obj):
            return [NotImplemented][0]

    class Unpickler(module.Unpickler):
        pass

    class Finding(module.Unpickler):
        def find_class(self, module_name, name):
            return super().find_class(module_name, name)

    class Loading(module.Unpickler):
        def persistent_load(self, pid):
            return pid

    return {name: value for name, value in locals().items() if isinstance(value, type)}


def forking_pickler(module: Any) -> Any:
    """Multiprocessing's pickler, as install() makes it if it is not the standard library's."""
    if module is std_pickle:
        return reduction.ForkingPickler
    fastcopyreg.install()
    try:
        return reduction.ForkingPickler
    finally:
        fastcopyreg.uninstall()


class Table(Mapping):
    """A dispatch table that is no dict."""

    def __init__(self, names: dict[type, Any]) -> None:
        self.names = names

    def __getitem__(self, key: type) -> Any:
        return self.names[key]

    def __iter__(self) -> Any:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


TABLES: dict[str, Callable[[], Any]] = {
    "dispatch_table": copyreg.dispatch_table.copy,
    "ChainMap": lambda: collections.ChainMap({}, copyreg.dispatch_table),
    "mapping": lambda: Table(copyreg.dispatch_table),
}


def by_table(module: Any, objects: Any, make: Callable[[], Any]) -> Callable[[], bytes]:
    """A Pickler with a table of its own."""

    def dump() -> bytes:
        file = io.BytesIO()
        pickler = module.Pickler(file)
        pickler.dispatch_table = make()
        pickler.dump(objects)
        return file.getvalue()

    return dump


def writing(module: Any, objects: Any, opened: Any) -> dict[str, Callable[[], Any]]:
    """The doors of a dump, each a function that gives the bytes, or writes them to the file."""
    made = subclasses(module)
    forking = forking_pickler(module)

    def to_file(pickler: Any, value: Any = objects) -> Callable[[], bytes]:
        def dump() -> bytes:
            file = io.BytesIO()
            pickler(file).dump(value)
            return file.getvalue()

        return dump

    def by_function() -> bytes:
        file = io.BytesIO()
        module.dump(objects, file)
        return file.getvalue()

    def by_file() -> None:
        """The file is there, and not made anew, which takes as long for both."""
        opened.seek(0)
        module.dump(objects, opened)
        opened.flush()

    def with_callback() -> bytes:
        file = io.BytesIO()
        module.Pickler(file, 5, buffer_callback=[].append).dump(objects)
        return file.getvalue()

    return {
        "dumps": lambda: module.dumps(objects),
        "dump(BytesIO)": by_function,
        "dump(file)": by_file,
        "Pickler": to_file(module.Pickler),
        "Pickler, one object": to_file(module.Pickler, objects[:1]),
        "Pickler subclass": to_file(made["Pickler"]),
        "ForkingPickler": lambda: forking.dumps(objects),
        **{name: by_table(module, objects, make) for name, make in TABLES.items()},
        "buffer_callback": with_callback,
        "persistent_id": to_file(made["Persistent"]),
        "reducer_override": to_file(made["Override"]),
        "persistent_id by type": to_file(made["PersistentByType"]),
        "reducer_override by type": to_file(made["OverrideByType"]),
        "reducer_override and super()": to_file(made["BySuper"]),
        "persistent_id called": to_file(made["Called"]),
        "reducer_override called": to_file(made["OverrideCalled"]),
    }


def reading(module: Any, data: bytes, path: Path) -> dict[str, Callable[[], Any]]:
    """The doors of a load, each a function that gives the objects."""
    made = subclasses(module)
    buffer = io.BytesIO()
    buffer.write(data)
    mapped = mmap.mmap(-1, len(data) + 1)
    mapped.write(data)
    changing, view, items = bytearray(data), memoryview(data), array.array("b", data)

    def from_mapped() -> Any:
        mapped.seek(0)
        return module.load(mapped)

    def in_file(load: Callable[[Any], Any]) -> Callable[[], Any]:
        def from_file() -> Any:
            with path.open("rb") as file:
                return load(file)

        return from_file

    def from_pipe() -> Any:
        with piped(data) as file:
            return module.load(file)

    return {
        "loads(bytes)": lambda: module.loads(data),
        "loads(bytearray)": lambda: module.loads(changing),
        "loads(memoryview)": lambda: module.loads(view),
        "loads(getbuffer)": lambda: module.loads(buffer.getbuffer()),
        "loads(array)": lambda: module.loads(items),
        "loads(mmap)": lambda: module.loads(mapped),
        "load(BytesIO)": lambda: module.load(io.BytesIO(data)),
        "load(mmap)": from_mapped,
        "load(file)": in_file(module.load),
        "load(pipe)": from_pipe,
        "Unpickler": lambda: module.Unpickler(io.BytesIO(data)).load(),
        "Unpickler(file)": in_file(lambda file: module.Unpickler(file).load()),
        "Unpickler subclass": lambda: made["Unpickler"](io.BytesIO(data)).load(),
        "find_class": lambda: made["Finding"](io.BytesIO(data)).load(),
        "persistent_load": lambda: made["Loading"](io.BytesIO(data)).load(),
    }


def piped(data: bytes) -> io.BufferedReader:
    """A pipe that holds the data; where it cannot hold so much, a thread fills it."""
    reader, writer = os.pipe()

    def fill() -> None:
        with open(writer, "wb", buffering=0) as file:
            written = 0
            while written < len(data):
                written += file.write(data[written:])

    try:
        import fcntl

        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << (len(data) | 0xFFFF).bit_length())
    except (ImportError, AttributeError, OSError):
        threading.Thread(target=fill).start()
    else:
        fill()
    return open(reader, "rb")


@dataclasses.dataclass(frozen=True)
class Pickle:
    """What is behind a door of a load: how many objects, by which protocol."""

    times: float = 1.0
    protocol: int | None = None


PICKLES = {
    "": Pickle(),
    ", protocol 2": Pickle(protocol=2),
    ", 1 MiB": Pickle(times=MORE),
    ", one object": Pickle(times=0),
}

AROUND = {"load(file)", "load(pipe)", "Unpickler(file)", "load(mmap)", "loads(mmap)"}
"""Doors where the file is nearly all the cost of one object; a pipe does not hold 1 MiB."""


def pickles_of(door: str) -> list[str]:
    """The names that the door is raced under."""
    left = {", one object"} if door in AROUND else set()
    left |= {", 1 MiB"} if door == "load(pipe)" else set()
    return [door + pickle for pickle in PICKLES if pickle not in left]


WRITING = tuple(writing(std_pickle, [], io.BytesIO()))
READING = tuple(name for door in reading(std_pickle, b"", Path()) for name in pickles_of(door))
DOORS = WRITING + READING


def contenders(
    door: str, kind: str, count: int, folder: Path, files: contextlib.ExitStack
) -> list[Contender]:
    """Both sides of a race, whose outcomes are equal; *files* closes what they hold open."""
    name, behind = door, Pickle()
    if door in READING:
        name, comma, pickle = door.partition(", ")
        behind = PICKLES[comma + pickle]
    objects = [KINDS[kind](number) for number in range(int(count * behind.times))]
    objects = objects or KINDS[kind](1)
    data = std_pickle.dumps(objects, behind.protocol)
    path = folder / f"{kind}.pickle"
    path.write_bytes(data)
    sides, expected = [], None if door in WRITING else objects
    for label, module in (("stdlib", std_pickle), ("fastcopyreg", fastcopyreg.pickle)):
        written = folder / f"{label}.pickle"
        if door in WRITING:
            doors = writing(module, objects, files.enter_context(written.open("wb")))
        else:
            doors = reading(module, data, path)
        outcome = doors[name]()
        outcome = written.read_bytes() if outcome is None else outcome
        expected = outcome if expected is None else expected
        if outcome != expected:
            raise SystemExit(f"{door} of {kind}: the outcomes differ")
        sides.append(Contender(label, doors[name]))
    return sides


def floor_of(floors: Floors, door: str, kind: str, gains: dict[str, float] | None = None) -> float:
    """What the door is held to, or the default.

    A `share` is of what dumps gains on objects of the kind, as *gains* has it.
    """
    of_door = floors.table.get("doors", {}).get(door, {})
    default = floors.table["default"]
    value = of_door.get(kind, default)
    value = value.get(floors.version, default) if isinstance(value, dict) else value
    return max(value, of_door.get("share", 0) * (gains or {}).get(kind, 0))


def measure(door: str, kind: str, count: int, seconds: float, floor: float, folder: Path) -> float:
    """The ratio of medians; the best of up to three races, if it is below its floor."""
    best = 0.0
    for longer in (1, 2, 4):
        with contextlib.ExitStack() as files:
            sides = contenders(door, kind, count, folder, files)
            result = race(f"{door} {kind}", *sides, seconds=seconds * longer, rounds=5)
        best = max(best, result.ratio.median)
        if best >= floor:
            break
    return best


def table(ratios: dict[str, dict[str, float]]) -> str:
    """Doors by kinds, for reading."""
    lines = [f"{'':32}" + "".join(f"{kind:>12}" for kind in KINDS)]
    for door, row_of in ratios.items():
        lines.append(f"{door:32}" + "".join(f"{row_of[kind]:11.2f}x" for kind in KINDS))
    return "\n".join(lines)


def add_to(path: Path, ratios: dict[str, dict[str, float]]) -> None:
    """Puts the table into a file of results."""
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"results": []}
    path.write_text(json.dumps(record | {"doors": ratios}, indent=1), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", metavar="PATTERN", help="doors, as a glob")
    parser.add_argument("--objects", type=int, default=OBJECTS)
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a race")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add to the results there")
    options = parser.parse_args(arguments)
    floors, ratios, below = Floors.read(), {}, []
    with tempfile.TemporaryDirectory() as folder:
        for door in DOORS:
            if not any(fnmatch.fnmatch(door, pattern) for pattern in options.only or ["*"]):
                continue
            ratios[door] = {}
            for kind in KINDS:
                floor = floor_of(floors, door, kind, ratios.get("dumps"))
                settings = (options.objects, options.seconds, floor, Path(folder))
                ratios[door][kind] = measured = measure(door, kind, *settings)
                if measured < floor:
                    below.append(f"{door} of {kind}: {measured:.2f} BELOW {floor:g}")
    print(table(ratios))
    if options.json:
        add_to(options.json, ratios)
    print(*below, sep="\n", end="\n" if below else "")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
