"""Races fastcopyreg against the standard library on every workload and compares with the floors.

    python benchmarks/race.py                        all, a few minutes
    python benchmarks/race.py --short                for a moment each: outcomes equal, none slower
    python benchmarks/race.py --only 'one-*' --operation dumps --json results.json

Each race has a process of its own, in which the contenders take turns: what was raced before it
neither wears the memory that its objects lie in nor warms anything. (Workloads whose objects are
scattered over memory are so by themselves.) With `--together`, and in the short form, all run one
after another in one process, as calls do in a program.

A race that comes out below its floor is run twice more, for longer, and the best of the three
counts: noise only ever slows. Exit status: 0 if all floors are held and all outcomes equal, else
1.
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import multiprocessing
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # Not there under PYTHONSAFEPATH.

import fastcopyreg
import fastcopyreg._compiler.values  # Loaded once a process: no part of what a dump takes.
import fastcopyreg.compiler
import operations
from fastcopyreg.bench import Result, format_ns, peak_memory, race
from floors import LITTLE, Floors, Verdict, judge_memory
from workloads import BY_NAME, NAMES, WORKLOADS, Workload

PEERS = ("copium", "msgspec", "cloudpickle")

SHORT_SCALE = 0.05
"""The short form's inputs: large enough for several batches of a list."""

WARM_SCALE = 0.01


@dataclass
class Outcome:
    """One workload in one operation: its race, or the difference that kept it from racing."""

    name: str
    operation: str
    result: Result | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    difference: str | None = None
    peaks: tuple[int, int] | None = None
    """The most bytes held at one time, by the standard library and by ours."""

    @property
    def workload(self) -> Workload:
        return BY_NAME[self.name]

    @property
    def good(self) -> bool:
        return self.difference is None and all(verdict.held for verdict in self.verdicts)

    @property
    def shortfall(self) -> float:
        """The worst of measured over floor; a tie-breaker between repeats."""
        return min(verdict.measured / verdict.floor for verdict in self.verdicts)

    def line(self, scale: float) -> str:
        name = f"{self.operation:8} {self.name:30}"
        if self.result is None:
            return f"{name} DIFFERENT"
        objects = self.workload.objects(scale)
        times = [timing.median / objects for timing in self.result.timings]
        ratio = self.result.ratio
        verdicts = "; ".join(map(str, self.verdicts))
        return (
            f"{name} {format_ns(times[0]):>10} {format_ns(times[1]):>10} {ratio.median:7.2f}x"
            f"  {ratio.lower:6.2f}-{ratio.upper:<6.2f} {verdicts}"
        )

    def to_dict(self, scale: float) -> dict[str, Any]:
        plain = {
            "workload": self.name,
            "group": self.workload.group,
            "operation": self.operation,
            "objects": self.workload.objects(scale),
            "good": self.good,
            "verdicts": [vars(verdict) for verdict in self.verdicts],
        }
        if self.result is not None:
            plain |= self.result.to_dict()
        if self.peaks is not None:
            plain["peak_bytes"] = dict(
                zip((operations.STDLIB, operations.OURS), self.peaks, strict=True)
            )
        return plain


@dataclass(frozen=True)
class Settings:
    """How long and how large, and against which floors."""

    seconds: float
    rounds: int
    scale: float
    floors: Floors
    peers: bool


def run_one(workload: Workload, operation: str, settings: Settings) -> Outcome:
    """Checks that the outcomes are equal, then races; again, and longer, if below a floor."""
    outcome = Outcome(workload.name, operation)
    try:
        outcome.peaks = peaks(workload, operation, settings)
        memory = memory_verdicts(outcome.peaks, settings)
        contenders = operations.prepare(workload, operation, settings.scale, settings.peers)
    except operations.Different as difference:
        outcome.difference = str(difference)
        return outcome
    for longer in (1, 2, 4):
        result = race(
            f"{operation} {workload.name}",
            *contenders,
            seconds=settings.seconds * longer,
            rounds=settings.rounds,
        )
        verdicts = settings.floors.judge(operation, workload.name, result)
        attempt = Outcome(workload.name, operation, result, verdicts + memory, peaks=outcome.peaks)
        if outcome.result is None or attempt.shortfall > outcome.shortfall:
            outcome = attempt
        if outcome.good:
            break
    return outcome


def run_named(name: str, operation: str, settings: Settings) -> Outcome:
    return run_one(BY_NAME[name], operation, settings)


def run_alone(workload: Workload, operation: str, settings: Settings) -> Outcome:
    """The same in a new process. A workload holds functions, so its name is what is sent there."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(run_named, workload.name, operation, settings).result()


def peaks(workload: Workload, operation: str, settings: Settings) -> tuple[int, int] | None:
    """The peak memory of one call on many objects, the standard library's and ours, as a dump, a
    load or a copy holds it at one time, its result included."""
    if settings.floors.memory is None or workload.count == 1:
        return None
    wanted = operations.OPERATION[operation]
    functions = wanted.functions(workload)
    held, warm = [], max(WARM_SCALE, LITTLE / workload.count)
    for function in functions:
        for _ in range(2):  # What is kept on the classes and functions when they are first met.
            function(wanted.argument(workload, min(settings.scale, warm)))
        held.append(peak_memory(function, wanted.argument(workload, settings.scale))[1])
    return None if None in held else tuple(held)


def memory_verdicts(peaks: tuple[int, int] | None, settings: Settings) -> list[Verdict]:
    """How the peaks compare: the standard library's over ours."""
    wanted = settings.floors.memory
    return [] if wanted is None or peaks is None else judge_memory(*peaks, wanted)


def chosen(patterns: list[str], wanted: list[str]) -> Iterator[tuple[str, Workload]]:
    for operation in wanted:
        for workload in WORKLOADS:
            named = any(fnmatch.fnmatch(workload.name, pattern) for pattern in patterns)
            if named and operation in workload.operations:
                yield operation, workload


def environment() -> dict[str, Any]:
    """Machine and versions, for the record."""
    installed = {}
    for peer in PEERS:
        try:
            installed[peer] = version(peer)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "machine": _processor(),
        "system": platform.platform(),
        "fastcopyreg": fastcopyreg.__version__,
        "backend": fastcopyreg.backend,
        "peers": installed,
        "date": datetime.date.today().isoformat(),
        "command": "python benchmarks/race.py " + " ".join(sys.argv[1:]),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", action="append", metavar="PATTERN", help="workloads, as a glob; repeatable"
    )
    parser.add_argument(
        "--operation", action="append", choices=operations.OPERATIONS, help="repeatable"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a race")
    parser.add_argument("--short", action="store_true", help="a moment each, tolerant floors")
    parser.add_argument("--together", action="store_true", help="all races in one process")
    parser.add_argument("--no-peers", action="store_true", help="only the standard library")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    return parser.parse_args(arguments)


def settings_for(options: argparse.Namespace) -> Settings:
    if options.short:
        floors = Floors({"default": 0.95})
        return Settings(0.02, 5, SHORT_SCALE, floors, peers=False)
    return Settings(options.seconds, 10, 1.0, Floors.read(), peers=not options.no_peers)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    settings = settings_for(options)
    unknown = settings.floors.unknown(set(NAMES))
    if unknown:
        print(f"floors for workloads that do not exist: {', '.join(sorted(unknown))}")
        return 1
    wanted = options.operation or list(operations.OPERATIONS)
    wanted = [name for name in wanted if operations.OPERATION[name].is_ours]
    run = run_one if options.together or options.short else run_alone
    outcomes = []
    for operation, workload in chosen(options.only or ["*"], wanted):
        outcomes.append(run(workload, operation, settings))
        print(outcomes[-1].line(settings.scale), flush=True)
    if options.json:
        results = [outcome.to_dict(settings.scale) for outcome in outcomes]
        record = {"environment": environment(), "results": results}
        options.json.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return summarise(outcomes)


def summarise(outcomes: list[Outcome]) -> int:
    """Prints what is below its floor or different; returns the exit status."""
    if not outcomes:
        print(f"nothing to race: backend {fastcopyreg.backend!r}, or no such workload")
        return 0
    bad = [outcome for outcome in outcomes if not outcome.good]
    print(f"\n{len(outcomes) - len(bad)} of {len(outcomes)} races hold their floors")
    for outcome in bad:
        what = outcome.difference or "; ".join(map(str, outcome.verdicts))
        print(f"  {outcome.operation} {outcome.name}: {what}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
