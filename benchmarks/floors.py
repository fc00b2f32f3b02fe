"""The floors: the ratios below which an operation on a workload may not fall.

floors.toml has a table for each operation; a floor is a number for all versions or a table of
numbers by Python version, and is compared with the median ratio. Whatever has no floor is held to
`default`, in ratios of best samples. `memory` is the floor of the standard library's peak memory
over ours, in dumps of many objects. `[peers]` has, by peer and operation, how many times as fast
as the peer ours must be. `[doors]` has, by door and kind, the floors of doors.py.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastcopyreg.bench import Result

FLOORS_FILE = Path(__file__).with_name("floors.toml")
THIS_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True)
class Verdict:
    """A floor, what was measured against it, and of which figure."""

    floor: float
    measured: float
    figure: str

    @property
    def held(self) -> bool:
        return self.measured >= self.floor

    def __str__(self) -> str:
        sign = ">=" if self.held else "BELOW"
        return f"{self.figure} {self.measured:.2f} {sign} {self.floor:g}"


JUDGED_FROM = 100_000
"""Peaks of memory are judged where the standard library's is of so many bytes or more: what a
small one takes is kept for the next."""

SLACK, SHARE = 4096, 0.02
"""What may be above: the objects of a call, and a share of the whole, since a prescan has a byte
for each number of the memo, and the last part of what was read ahead is held to the end."""

LITTLE = 200
"""Objects that a process meets before memory is counted: enough for plans to be read."""


def judge_memory(standard: int, ours: int, floor: float) -> list[Verdict]:
    """A verdict on peaks of memory that are large enough: the standard library's, with what may be
    above it, over ours."""
    if standard < JUDGED_FROM:
        return []
    return [Verdict(floor, (standard + SLACK + standard * SHARE) / max(ours, 1), "memory")]


class Floors:
    """The file's contents, for one Python version."""

    def __init__(self, table: dict[str, Any], version: str = THIS_VERSION) -> None:
        self.table = table
        self.version = version

    @classmethod
    def read(cls, path: Path = FLOORS_FILE) -> Floors:
        return cls(tomllib.loads(path.read_text(encoding="utf-8")))

    def unknown(self, names: set[str]) -> set[str]:
        """Floors of workloads that do not exist, so that a renamed one does not lose its floor."""
        operations = self.table.keys() - {"default", "memory", "peers", "doors"}
        return {name for operation in operations for name in self.table[operation]} - names

    @property
    def memory(self) -> float | None:
        """The floor of the standard library's peak memory over ours, if there is one."""
        return self.table.get("memory")

    def floor(self, operation: str, workload: str) -> float | None:
        value = self.table.get(operation, {}).get(workload)
        return value.get(self.version) if isinstance(value, dict) else value

    def judge(self, operation: str, workload: str, result: Result) -> list[Verdict]:
        """All verdicts on a race; the first is on the ratio to the standard library."""
        floor = self.floor(operation, workload)
        if floor is None:
            verdicts = [Verdict(self.table["default"], result.ratio.best, "best")]
        else:
            verdicts = [Verdict(floor, result.ratio.median, "median")]
        return verdicts + self._judge_peers(operation, workload, result)

    def _judge_peers(self, operation: str, workload: str, result: Result) -> list[Verdict]:
        verdicts = []
        for timing in result.timings[2:]:
            wanted = self.table.get("peers", {}).get(timing.label, {}).get(operation, {})
            if workload in wanted:
                measured = timing.median / result.ours.median
                verdicts.append(Verdict(wanted[workload], measured, timing.label))
        return verdicts
