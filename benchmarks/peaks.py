"""Counts the most memory that each door of pickle and copy holds at one time, beside the
standard library's, for kinds of objects that take memory in different ways.

    python benchmarks/peaks.py                          all, a few minutes
    python benchmarks/peaks.py --only 'load*'           doors by a glob; repeatable
    python benchmarks/peaks.py --json build/3.14.json   adds the table to what race.py wrote there

A count is of the first call of a process on many objects, after a few on small ones, and its
result is part of it: what an earlier call has left to be used again would hide what a call needs.
The table has our bytes over the standard library's. What dumps() holds is counted besides for
lists of pieces of many sizes, about each length at which a buffer grows: there one of the two
could be half as large again as the other. Exit status: 0 if the floor `memory` of
floors.toml is held (the standard library's bytes over ours), else 1.
"""

from __future__ import annotations

import argparse
import copy as std_copy
import copyreg
import fnmatch
import io
import json
import multiprocessing
import pickle as std_pickle
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))  # Not there under PYTHONSAFEPATH.

import doors
import fastcopyreg.compiler  # It is loaded once a process: no part of what a call takes.
import fastcopyreg.copy
import fastcopyreg.pickle
from fastcopyreg.bench import peak_memory
from floors import JUDGED_FROM, LITTLE, Floors, judge_memory


def nest(depth: int) -> list[Any]:
    made: list[Any] = []
    for number in range(depth):
        made = [number, made]
    return made


def chain(depth: int) -> doors.Plain:
    made = doors.Plain(0, "")
    for number in range(depth):
        made = doors.Plain(number, made)
    return made


def of(kind: str, count: int) -> Callable[[], Any]:
    return lambda: [doors.KINDS[kind](number) for number in range(count)]


KINDS: dict[str, Callable[[], Any]] = {
    **{kind: of(kind, 5000) for kind in doors.KINDS},
    "few": lambda: [doors.KINDS["plain"](number) for number in range(300)],
    "bytes": lambda: b"x" * 3_000_000,
    "many bytes": lambda: [bytes([number]) * (70_000 + 97 * number) for number in range(40)],
    "pieces": lambda: [b"x" * 60_000 for _ in range(40)],
    "bytearray": lambda: [bytearray(3_000_000)],
    "text": lambda: "x" * 3_000_000,
    "wide text": lambda: "\u20ac" * 1_000_000,
    "texts": lambda: [str(number) * 9 for number in range(20_000)],
    "integers": lambda: list(range(1000, 200_000)),
    "floats": lambda: [number / 7 for number in range(100_000)],
    "tuples": lambda: [(number, str(number)) for number in range(20_000)],
    "dict": lambda: {str(number): number for number in range(50_000)},
    "few large": lambda: [b"x" * 900_000, bytearray(700_000), "y" * 500_000, b"z" * 100_000],
    "set": lambda: set(range(50_000)),
    "lists": lambda: [[] for _ in range(50_000)],
    "nested": lambda: [nest(60) for _ in range(300)],
    "chain": lambda: [chain(60) for _ in range(100)],
    "shared": lambda: [doors.KINDS["plain"](1)] * 50_000,
}


def little(value: Any) -> Any:
    """What is small of the same kind: by it a process takes what it keeps."""
    if isinstance(value, dict):
        return dict(list(value.items())[:LITTLE])
    return set(list(value)[:LITTLE]) if isinstance(value, set) else value[:LITTLE]


def forking_pickler(module: Any) -> Any:
    """The pickler of multiprocessing, as it is made over a module's."""

    class Forking(module.Pickler):
        _copyreg_dispatch_table = copyreg.dispatch_table
        _extra_reducers: dict[type, Any] = {}

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.dispatch_table = self._copyreg_dispatch_table.copy()
            self.dispatch_table.update(self._extra_reducers)

    return Forking


def writing(module: Any, folder: Path) -> dict[str, Callable[[Any], Any]]:
    forking = forking_pickler(module)

    def by_forking(value: Any) -> Any:
        file = io.BytesIO()
        forking(file, 5).dump(value)
        return file.getbuffer()

    def by_pickler(value: Any) -> Any:
        file = io.BytesIO()
        module.Pickler(file).dump(value)
        return file

    def into_memory(value: Any) -> Any:
        file = io.BytesIO()
        module.dump(value, file)
        return file

    def into_file(value: Any) -> None:
        with (folder / "dumped").open("wb") as file:
            module.dump(value, file)

    def kept(value: Any) -> Any:
        pickler = module.Pickler(io.BytesIO())
        pickler.dump(value)
        return pickler

    return {
        "dumps": module.dumps,
        "dumps(protocol=2)": lambda value: module.dumps(value, 2),
        "dump(BytesIO)": into_memory,
        "dump(file)": into_file,
        "Pickler": by_pickler,
        "Pickler kept": kept,
        "ForkingPickler": by_forking,
    }


def reading(module: Any, folder: Path) -> dict[str, Callable[[Any], Any]]:
    made = doors.subclasses(module)

    def from_file(data: bytes) -> Any:
        with (folder / "loaded").open("rb") as file:
            return module.load(file)

    def kept(data: bytes) -> Any:
        unpickler = module.Unpickler(io.BytesIO(data))
        return unpickler, unpickler.load()

    return {
        "loads": module.loads,
        "loads(bytearray)": lambda data: module.loads(bytearray(data)),
        "load(BytesIO)": lambda data: module.load(io.BytesIO(data)),
        "load(file)": from_file,
        "Unpickler": lambda data: module.Unpickler(io.BytesIO(data)).load(),
        "Unpickler kept": kept,
        "find_class": lambda data: made["Finding"](io.BytesIO(data)).load(),
    }


def copying(module: Any) -> dict[str, Callable[[Any], Any]]:
    def each(value: Any) -> list[Any]:
        return [module.copy(one) for one in value]

    return {"deepcopy": module.deepcopy, "copy": each}


def functions(ours: bool, folder: Path) -> dict[str, Callable[[Any], Any]]:
    """The doors of one side, by name."""
    pickle, copy = (fastcopyreg.pickle, fastcopyreg.copy) if ours else (std_pickle, std_copy)
    return writing(pickle, folder) | reading(pickle, folder) | copying(copy)


NAMES = tuple(functions(False, Path()))
READING = tuple(reading(std_pickle, Path()))
COPYING = tuple(copying(std_copy))


def count(door: str, kind: str, ours: bool, folder: Path) -> int:
    """The peak of one call on much, in a process that has called it on little."""
    function, value, peak = functions(ours, folder)[door], KINDS[kind](), 0
    for given in (little(value), little(value), value):
        argument = given
        if door in READING:
            argument = std_pickle.dumps(given)
            (folder / "loaded").write_bytes(argument)
        elif door in COPYING and not isinstance(given, list):
            argument = [given]
        result, counted = peak_memory(function, argument)
        peak = counted or 0
        del result
    return peak


def both(door: str, kind: str, folder: Path) -> tuple[int, int]:
    """The peaks of the standard library and of ours, each in a process of its own."""
    forks = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if forks else "spawn")
    counted = []
    for ours in (False, True):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            counted.append(pool.submit(count, door, kind, ours, folder).result())
    return counted[0], counted[1]


class Worst(NamedTuple):
    ours: int
    standard: int
    size: int
    count: int


PIECES: dict[str, Callable[[int], Any]] = {
    "bytes": bytes,
    "text": lambda size: "x" * size,
    "wide text": lambda size: "\u20ac" * (size // 3),
    "bytearray": bytearray,
}

PIECE_SIZES = (33, 300, 700, 5_099, 10_098, 25_095, 35_093, 55_089, 60_000, 65_536, 150_001)


def lengths(highest: int) -> Iterator[int]:
    """How long pickles are when the standard library's buffer has grown, and a little about it."""
    size = 4096
    while size < highest:
        size = size // 2 * 3
        if size > JUDGED_FROM // 2:
            yield from (size - 3000, size - 40, size, size + 40, size + 3000)


def held(function: Callable[[Any], Any], value: Any) -> int:
    """As peak_memory(), where nothing is garbage: a collection takes longer than all the rest."""
    import tracemalloc  # PyPy has none.

    tracemalloc.start(1)
    try:
        function(value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def swept(kind: str, sizes: Iterable[int] = PIECE_SIZES, highest: int = 3_000_000) -> Worst:
    """The peaks of both for the list of pieces at which ours is the highest of theirs."""
    worst = Worst(0, 1, 0, 0)
    for size in sizes:
        counts = sorted({length // size for length in lengths(highest)} - {0})
        for count in counts:
            value = [PIECES[kind](size) for _ in range(count)]
            peaks = []
            for module in (std_pickle, fastcopyreg.pickle):
                module.dumps([b"first"] * LITTLE)
                peaks.append(held(module.dumps, value))
            if peaks[0] >= JUDGED_FROM and peaks[1] / peaks[0] > worst.ours / worst.standard:
                worst = Worst(peaks[1], peaks[0], size, count)
    return worst


def exceeds(standard: int, ours: int, floor: float) -> bool:
    """True if ours takes more than it may."""
    return not all(verdict.held for verdict in judge_memory(standard, ours, floor))


def chosen(only: list[str] | None) -> list[str]:
    return [door for door in NAMES if any(fnmatch.fnmatch(door, one) for one in only or ["*"])]


def table(ratios: dict[str, dict[str, float]]) -> str:
    """Kinds by doors, for reading."""
    lines = []
    for door, row in ratios.items():
        if not lines:
            lines.append(f"{'':20}" + "".join(f"{kind:>12}" for kind in row))
        lines.append(f"{door:20}" + "".join(f"{ratio:12.2f}" for ratio in row.values()))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--only", action="append", metavar="PATTERN", help="doors, as a glob")
    parser.add_argument("--kind", action="append", choices=KINDS, help="repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add to the results there")
    options = parser.parse_args(arguments)
    floor, ratios, above = Floors.read().memory or 1.0, {}, []
    with tempfile.TemporaryDirectory() as folder:
        for door in chosen(options.only):
            ratios[door] = {}
            for kind in options.kind or KINDS:
                standard, ours = both(door, kind, Path(folder))
                ratios[door][kind] = round(ours / max(standard, 1), 3)
                if exceeds(standard, ours, floor):
                    above.append(f"{door} of {kind}: {ours:,} bytes ABOVE {standard:,}")
    print(table(ratios))
    for kind in PIECES if "dumps" in ratios and not options.kind else ():
        worst = swept(kind)
        told = f"dumps of {worst.count} pieces of {worst.size} bytes, {kind}"
        print(f"{worst.ours / worst.standard:.2f} at the most: {told}")
        if exceeds(worst.standard, worst.ours, floor):
            above.append(f"{told}: {worst.ours:,} bytes ABOVE {worst.standard:,}")
    if options.json:
        add_to(options.json, ratios)
    print(*above, sep="\n", end="\n" if above else "")
    return 1 if above else 0


def add_to(path: Path, ratios: dict[str, dict[str, float]]) -> None:
    """Puts the table into a file of results."""
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"results": []}
    path.write_text(json.dumps(record | {"peaks": ratios}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
