"""What `python -m fastcopyreg bench` does: the demo's objects through each operation, raced.

A section is one operation on the whole of what `syntax` read: first both sides do it once, which
shows that the outcome is the same (and, for dumps, what memory it takes), then they race. A
section exists for every operation that the backend in use does by itself.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .. import _stdlib, backend, copy, install, installed, pickle, uninstall
from .._backend import core, core_missing
from .._diagnosis import verdicts
from ..bench import Contender, Result, format_ns, format_table, peak_memory, race
from . import syntax

STDLIB = "stdlib"
OURS = "fastcopyreg"

Progress = Callable[[str], None]


@dataclass
class Section:
    """One operation: the race, whether the outcomes were the same, and peak memory if taken."""

    name: str
    compared: str
    equal: bool
    result: Result
    peaks: tuple[int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        plain = self.result.to_dict() | {"compared": self.compared, "equal": self.equal}
        if self.peaks:
            plain["peak_bytes"] = {STDLIB: self.peaks[0], OURS: self.peaks[1]}
        return plain


@dataclass
class Report:
    """Everything that the command prints."""

    library: syntax.Library
    pickled_bytes: int = 0
    reducers: dict[str, str] = field(default_factory=dict)
    reduced_by_plan: int = 0
    sections: list[Section] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        return all(section.equal for section in self.sections)

    def to_dict(self) -> dict[str, Any]:
        return {
            "python": sys.version,
            "backend": backend,
            "core_missing": core_missing,
            "objects": self.library.objects,
            "types": self.library.counts,
            "reducers": self.reducers,
            "reduced_by_plan": self.reduced_by_plan,
            "modules": len(self.library.modules),
            "unparsed": self.library.unparsed,
            "pickled_bytes": self.pickled_bytes,
            "equal": self.equal,
            "sections": [section.to_dict() for section in self.sections],
            "left_out": self.left_out,
        }


def run(seconds: float, wanted: int, progress: Progress) -> Report:
    """Reads the objects and runs every section that there is; each race lasts about `seconds`."""
    progress("reading the standard library")
    library = syntax.read_standard_library(
        wanted, lambda objects: progress(f"reading the standard library: {objects:,} objects")
    )
    report = Report(library)
    _dumps_section(report, seconds, progress)
    _loads_section(report, seconds, progress)
    _deepcopy_section(report, seconds, progress)
    _pool_section(report, seconds, progress)
    return report


def _dumps_section(report: Report, seconds: float, progress: Progress) -> None:
    modules = report.library.modules
    progress("dumps: comparing bytes and memory")
    # Ours goes first: the buffers that it keeps between calls are then still to be allocated.
    ours, our_peak = peak_memory(pickle.dumps, modules)
    standard, standard_peak = peak_memory(_stdlib.dumps, modules)
    report.pickled_bytes = len(standard)
    progress("dumps: racing")
    result = race(
        "dumps",
        Contender(STDLIB, _stdlib.dumps, (modules,)),
        Contender(OURS, pickle.dumps, (modules,)),
        seconds=seconds,
    )
    report.reducers = {cls.__name__: _how_it_runs(cls) for cls in syntax.TYPES}
    report.reduced_by_plan = _reduced_by_plan(modules)
    peaks = None if our_peak is None or standard_peak is None else (standard_peak, our_peak)
    report.sections.append(Section("dumps", "bytes", ours == standard, result, peaks))


def _how_it_runs(cls: type) -> str:
    """By plan or by call: the verdict on the type's reducer."""
    rows = dict(verdicts.reducer_rows(cls, _stdlib.dispatch_table[cls], 1))
    return "plan" if rows["runs"].startswith("by plan") else "call"


def _reduced_by_plan(modules: list[syntax.Module]) -> int:
    """How many objects of one dump were taken apart without calling their reducer."""
    if backend != "c":
        return 0
    before: int = core.plan_counts()[0]
    pickle.dumps(modules)
    after: int = core.plan_counts()[0]
    return after - before


def _loads_section(report: Report, seconds: float, progress: Progress) -> None:
    if backend == "c" and pickle.loads is _stdlib.loads:
        report.left_out["loads"] = "the standard library's own in this version"
        return
    pickled = _stdlib.dumps(report.library.modules)
    progress("loads: comparing objects")
    equal = _same(pickle.loads(pickled), _stdlib.loads(pickled))
    progress("loads: racing")
    result = race(
        "loads",
        Contender(STDLIB, _stdlib.loads, (pickled,)),
        Contender(OURS, pickle.loads, (pickled,)),
        seconds=seconds,
    )
    report.sections.append(Section("loads", "objects", equal, result))


def _deepcopy_section(report: Report, seconds: float, progress: Progress) -> None:
    if backend == "c" and copy.deepcopy is _stdlib.deepcopy:
        report.left_out["deepcopy"] = "the standard library's own in this version"
        return
    modules = report.library.modules
    progress("deepcopy: comparing objects")
    equal = _same(copy.deepcopy(modules), _stdlib.deepcopy(modules))
    progress("deepcopy: racing")
    result = race(
        "deepcopy",
        Contender(STDLIB, _stdlib.deepcopy, (modules,)),
        Contender(OURS, copy.deepcopy, (modules,)),
        seconds=seconds,
    )
    report.sections.append(Section("deepcopy", "objects", equal, result))


def _same(one: Any, other: Any) -> bool:
    """Equal objects in equal graphs: the standard library writes the same bytes for both."""
    return _stdlib.dumps(one) == _stdlib.dumps(other)


def _pool_section(report: Report, seconds: float, progress: Progress) -> None:
    """A worker of a process pool gets all objects and sends them back.

    Both sides run the standard library's pool; ours has `install()` in force, in the worker from
    its start and here before each of its turns.
    """
    modules = report.library.modules
    progress("process pool: starting workers")
    with _installation_kept(), _pool(uninstall) as plain, _pool(install) as swapped:

        def plain_turn() -> tuple[Any, ...]:
            uninstall()
            return plain, modules

        def swapped_turn() -> tuple[Any, ...]:
            install()
            return swapped, modules

        progress("process pool: comparing objects")
        equal = _same(_round_trip(*plain_turn()), _round_trip(*swapped_turn()))
        progress("process pool: racing")
        result = race(
            "process pool round trip",
            Contender(STDLIB, _round_trip, fresh=plain_turn),
            Contender(OURS, _round_trip, fresh=swapped_turn),
            seconds=seconds,
            clock=time.perf_counter_ns,
        )
    report.sections.append(Section("process pool round trip", "objects", equal, result))


@contextmanager
def _installation_kept() -> Iterator[None]:
    """Leaves the process as it was found, installed or not."""
    was_installed = installed()
    try:
        yield
    finally:
        (install if was_installed else uninstall)()


def _pool(initializer: Callable[[], Any]) -> ProcessPoolExecutor:
    """A pool of one worker that inherits nothing: the start method that exists everywhere."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=initializer)


def _round_trip(pool: ProcessPoolExecutor, modules: list[syntax.Module]) -> Any:
    return pool.submit(_send_and_return, modules).result()


def _send_and_return(modules: list[syntax.Module]) -> list[syntax.Module]:
    """Runs in the worker, whose import of this module registered the reducers there too."""
    return modules


def render(report: Report) -> str:
    """The report as plain text."""
    parts = [
        _render_library(report),
        _render_sections(report),
        _render_memory(report),
        *(f"{name}: not raced, {why}" for name, why in report.left_out.items()),
    ]
    if backend != "c":
        parts.append(f"Both sides are the standard library: {core_missing}.")
    if not report.equal:
        different = ", ".join(s.name for s in report.sections if not s.equal)
        parts.append(f"DIFFERENT OUTCOME: {different}")
    return "\n\n".join(parts)


def _render_library(report: Report) -> str:
    library = report.library
    rows = [(name, f"{n:,}", report.reducers[name]) for name, n in library.counts.items()]
    by_plan = (
        f"{report.reduced_by_plan:,} of {library.objects:,} objects reduced by plan in a dump"
    )
    text = (
        f"Python {sys.version.split()[0]}, fastcopyreg backend {backend!r}\n"
        f"{library.objects:,} objects from {len(library.modules):,} modules of the standard "
        f"library, {report.pickled_bytes:,} bytes pickled\n\n"
        + format_table(("type", "objects", "reducer by"), rows)
        + f"\n{by_plan}"
    )
    if library.unparsed:
        text += f"\nnot read, they do not parse: {', '.join(library.unparsed)}"
    return text


def _render_sections(report: Report) -> str:
    rows = []
    for section in report.sections:
        result, ratio = section.result, section.result.ratio
        rows.append(
            (
                section.name,
                format_ns(result.standard.median),
                format_ns(result.ours.median),
                f"{ratio.median:.2f}x",
                f"{ratio.lower:.2f}-{ratio.upper:.2f}",
                f"{ratio.minimum:.2f}-{ratio.maximum:.2f}",
                str(len(result.ours.samples)),
                f"{section.compared} {'equal' if section.equal else 'DIFFER'}",
            )
        )
    header = ("operation", STDLIB, OURS, "ratio", "quartiles", "extremes", "rounds", "outcome")
    return format_table(header, rows)


def _render_memory(report: Report) -> str:
    if not any(section.peaks for section in report.sections):
        return "peak memory: not counted on this interpreter"
    rows = []
    for section in report.sections:
        if section.peaks:
            megabytes = [f"{peak / 1e6:.2f} MB" for peak in section.peaks]
            rows.append((section.name, *megabytes, f"{section.peaks[1] / section.peaks[0]:.2f}"))
    return format_table(("peak memory", STDLIB, OURS, "ours / stdlib"), rows)
