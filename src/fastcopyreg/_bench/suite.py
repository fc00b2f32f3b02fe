"""The races of a user's objects: each function's result, in each operation.

Outcomes are compared first, and peak memory is counted; then the standard library, ours and the
peers race, twice: with their results kept until the clock stands, and with them dropped while it
runs, as a program does that needs them no longer. What misses its ratio is raced twice more, for
longer, and the best of the three counts: noise only ever slows.
"""

from __future__ import annotations

import datetime
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__, _stdlib, backend, copy, pickle
from .._backend import core_missing
from ..bench import Contender, Result, peak_memory, race
from . import peers as other_libraries

STDLIB = "stdlib"
OURS = "fastcopyreg"
OPERATIONS = ("dumps", "loads", "deepcopy")
EVERY_OPERATION = (*OPERATIONS, "copy")
LONGER = (1, 2, 4)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is raced, for how long, and what is asked of it."""

    seconds: float = 1.0
    operations: tuple[str, ...] = OPERATIONS
    peers: tuple[str, ...] = ()
    minimum: float | None = None
    most_drop: float | None = None
    """By how many percent a ratio may be less than that of the record it is compared with."""


@dataclass
class Race:
    """One operation on what one function returned."""

    name: str
    operation: str
    objects: int
    equal: bool
    peaks: tuple[int, int] | None
    kept: Result | None = None
    dropped: Result | None = None
    before: float | None = None
    """The ratio in the record that this is compared with."""
    faults: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The standard library's time over ours, results kept; what is judged."""
        return self.kept.ratio.median if self.kept else 0.0

    @property
    def change(self) -> float | None:
        """By how many percent the ratio is more than before."""
        return (self.ratio / self.before - 1) * 100 if self.before else None

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "workload": self.name,
            "operation": self.operation,
            "objects": self.objects,
            "equal": self.equal,
            "good": not self.faults,
            "faults": self.faults,
            "ratio": self.ratio,
        }
        if self.peaks:
            plain["peak_bytes"] = dict(zip((STDLIB, OURS), self.peaks, strict=True))
        if self.kept and self.dropped:
            plain |= self.kept.to_dict() | {"dropped": self.dropped.to_dict()}
        if self.before:
            plain["ratio_before"] = self.before
        return plain


@dataclass
class Report:
    """All races, and who took no part."""

    races: list[Race] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)

    @property
    def good(self) -> bool:
        return not any(race.faults for race in self.races)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "environment": environment(),
            "min_ratio": self.settings.minimum,
            "results": [race.to_dict() for race in self.races],
            "left_out": self.left_out,
            "good": self.good,
        }


def environment() -> dict[str, Any]:
    """Machine and versions, for the record."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "machine": _processor(),
        "system": platform.platform(),
        "fastcopyreg": __version__,
        "backend": backend,
        "core_missing": core_missing,
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python -m fastcopyreg", *sys.argv[1:]]),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def count(made: Any) -> int:
    """How many objects a time is divided by: the items of a container, or the one object."""
    if isinstance(made, (list, tuple, set, frozenset, dict)):
        return max(len(made), 1)
    return 1


def sides(operation: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The standard library's function and ours."""
    ours = pickle if operation in ("dumps", "loads") else copy
    return getattr(_stdlib, operation), getattr(ours, operation)


def _same(operation: str, one: Any, other: Any) -> bool:
    """Equal bytes, or equal objects in equal graphs, of which the same bytes are written."""
    return one == other if operation == "dumps" else _stdlib.dumps(one) == _stdlib.dumps(other)


def _drop(function: Callable[[Any], Any], argument: Any) -> None:
    function(argument)


def run(
    functions: Sequence[tuple[str, Callable[[], Any]]],
    settings: Settings,
    earlier: dict[str, Any] | None,
    progress: Progress,
) -> Report:
    """Calls each function once, and races every operation on what it returned."""
    report = Report(settings=settings)
    before = earlier_ratios(earlier)
    for name, function in functions:
        progress(f"{name}: making the objects")
        made = function()
        for operation in settings.operations:
            progress(f"{name}: {operation}")
            found = race_one(name, operation, made, settings, report.left_out, before)
            report.races.append(found)
    return report


def earlier_ratios(earlier: dict[str, Any] | None) -> dict[tuple[str, str], float]:
    """The ratios of a record, by workload and operation."""
    results = earlier["results"] if earlier else ()
    return {(r["workload"], r["operation"]): r["ratio"] for r in results if r["ratio"]}


def race_one(
    name: str,
    operation: str,
    made: Any,
    settings: Settings,
    left_out: list[str],
    before: dict[tuple[str, str], float],
) -> Race:
    """One operation: compared, measured, raced, and judged."""
    standard, ours = sides(operation)
    argument = _stdlib.dumps(made) if operation == "loads" else made
    # Ours goes first: the buffers that it keeps between calls are then still to be allocated.
    our_outcome, our_peak = peak_memory(ours, argument)
    outcome, peak = peak_memory(standard, argument)
    found = Race(
        name,
        operation,
        count(made),
        _same(operation, our_outcome, outcome),
        None if our_peak is None or peak is None else (peak, our_peak),
        before=before.get((name, operation)),
    )
    del our_outcome, outcome
    if not found.equal:
        found.faults.append("the outcomes differ")
        return found
    calls = [(STDLIB, (standard, argument)), (OURS, (ours, argument))]
    calls += other_libraries.contenders(settings.peers, operation, made, left_out)
    _race_until_good(found, calls, settings)
    return found


def _race_until_good(found: Race, calls: list[tuple[str, Any]], settings: Settings) -> None:
    name = f"{found.operation} {found.name}"
    kept = [Contender(label, function, (given,)) for label, (function, given) in calls]
    dropped = [Contender(label, _drop, call) for label, call in calls]
    for longer in LONGER:
        result = race(name, *kept, seconds=settings.seconds * longer)
        if found.kept is None or result.ratio.median > found.ratio:
            found.kept = result
        found.faults = faults(found, settings)
        if not found.faults:
            break
    found.dropped = race(name, *dropped, seconds=settings.seconds)


def faults(found: Race, settings: Settings) -> list[str]:
    """What is wrong with a ratio, in sentences."""
    wrong = []
    if settings.minimum is not None and found.ratio < settings.minimum:
        wrong.append(f"{found.ratio:.2f}x is below {settings.minimum:g}x")
    change = found.change
    if settings.most_drop is not None and change is not None and -change > settings.most_drop:
        wrong.append(f"{-change:.0f} % less than before ({found.before:.2f}x)")
    return wrong
