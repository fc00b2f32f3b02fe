"""What a change does to the races: the base's and the change's, measured in the same job.

    python benchmarks/compare.py BASE-PYTHON [--summary FILE] [--json FILE] [--svg FILE]

BASE-PYTHON is an interpreter that has the base's package; the one that runs this has the change's.
Both run race.py, this checkout's, so that the workloads are the same. What is compared are ratios
to the standard library, each of one process, never times. A race fails below its floor (race.py
judges so), and where its ratio dropped by more than MOST percent, three times one after another.
Exit status: 1 if one fails, else 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # Not there under PYTHONSAFEPATH.

from fastcopyreg.bench import format_ns
from floors import Verdict
from report import without_scripts

HERE = Path(__file__).parent
MOST = 10
TURNS = 3

Key = tuple[str, str]
"""An operation and a workload."""


@dataclass
class Compared:
    """One race of the change, and the ratios of the base's and its own, a pair for each turn."""

    race: dict[str, Any]
    turns: list[tuple[float, float]] = field(default_factory=list)

    @property
    def changes(self) -> list[float]:
        """By how many percent the ratio is more than the base's, in each turn."""
        return [(ours / base - 1) * 100 for base, ours in self.turns]

    @property
    def dropped(self) -> bool:
        """Whether the change is worse than it may be, in every turn so far."""
        return bool(self.turns) and all(change < -MOST for change in self.changes)

    @property
    def verdict(self) -> str:
        if "contenders" not in self.race:
            return "outcomes DIFFER"
        below = [verdict for verdict in map(floor_verdict, self.race["verdicts"]) if verdict]
        if self.dropped:
            below.append(f"dropped {len(self.turns)} times")
        return "; ".join(below) or "good"

    @property
    def good(self) -> bool:
        return self.race["good"] and not self.dropped


def floor_verdict(plain: dict[str, Any]) -> str | None:
    """What is said of a floor that is missed."""
    verdict = Verdict(**plain)
    return None if verdict.held else str(verdict)


def run_races(python: str, arguments: list[str]) -> dict[Key, dict[str, Any]]:
    """Run race.py with an interpreter; return its races, whatever they miss."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "races.json")
        command = [python, str(HERE / "race.py"), *arguments, "--json", str(file)]
        finished = subprocess.run(command, check=False)
        if not file.exists():
            raise SystemExit(f"{' '.join(command)} ended with {finished.returncode}")
        results = json.loads(file.read_text("utf-8"))["results"]
    return {(race["operation"], race["workload"]): race for race in results}


def ratio(race: dict[str, Any] | None) -> float | None:
    """The ratio of ours in a race, if there was one."""
    if race is None or "contenders" not in race:
        return None
    return race["contenders"][1]["ratio"]["median"]


def compare(base_python: str, arguments: list[str]) -> list[Compared]:
    """Race both; then again, both, what has dropped, as long as it does."""
    base, ours = run_races(base_python, arguments), run_races(sys.executable, arguments)
    compared = {key: Compared(race) for key, race in ours.items()}
    note(compared, base, ours)
    for _ in range(TURNS - 1):
        for key in [key for key, found in compared.items() if found.dropped]:
            again = [*arguments, "--operation", key[0], "--only", key[1]]
            note(compared, run_races(base_python, again), run_races(sys.executable, again))
    return list(compared.values())


def note(
    compared: dict[Key, Compared], base: dict[Key, dict[str, Any]], ours: dict[Key, dict[str, Any]]
) -> None:
    for key, race in ours.items():
        pair = ratio(base.get(key)), ratio(race)
        if pair[0] is not None and pair[1] is not None:
            compared[key].turns.append(pair)


def row(found: Compared) -> list[str]:
    race = found.race
    cells = [race["operation"], race["workload"]]
    if "contenders" not in race:
        return [*cells, "", "", "", "", found.verdict]
    cells += [format_ns(c["median_ns"] / race["objects"]) for c in race["contenders"][:2]]
    changes = ", ".join(f"{change:+.1f} %" for change in found.changes) or "new"
    return [*cells, f"{ratio(race):.2f}x", changes, found.verdict]


def markdown(compared: list[Compared]) -> str:
    """The table for the summary of a job; what is not good comes first."""
    header = ["operation", "workload", "stdlib", "fastcopyreg", "ratio", "since the base", ""]
    rows = [header, ["---", "---", "--:", "--:", "--:", "--:", "---"]]
    rows += [row(found) for found in sorted(compared, key=lambda found: found.good)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
    bad = sum(not found.good for found in compared)
    return (
        f"### Benchmarks: {bad or 'none'} of {len(compared)} races below what is asked\n\n"
        f"{table}\n\n"
        "Times are for one object. A ratio is the standard library's time over ours, taken turn "
        "and turn about in one process; the base was raced in this job, on this machine.\n"
    )


def svg(compared: list[Compared]) -> bytes:
    """A chart of the ratios, the base's beside the change's."""
    import pygal

    chart = pygal.HorizontalBar(
        title="Times as fast as the standard library",
        height=22 * len(compared) + 80,
        width=860,
        js=[],
        legend_at_bottom=True,
    )
    raced = [found for found in reversed(compared) if found.turns]
    chart.x_labels = [f"{f.race['operation']} {f.race['workload']}" for f in raced]
    chart.add("base", [f.turns[-1][0] for f in raced])
    chart.add("this change", [f.turns[-1][1] for f in raced])
    chart.add_xml_filter(without_scripts)
    return chart.render()


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("base", metavar="BASE-PYTHON")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="add a table in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    return parser.parse_known_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options, for_races = parse(arguments)
    compared = compare(options.base, for_races)
    if options.json:
        plain = [found.race | {"turns": found.turns, "good": found.good} for found in compared]
        options.json.write_text(json.dumps(plain, indent=1), "utf-8")
    if options.svg:
        options.svg.write_bytes(svg(compared))
    told = markdown(compared)
    if options.summary:
        with options.summary.open("a", encoding="utf-8") as summary:
            summary.write(told)
    print(told)
    return 0 if all(found.good for found in compared) else 1


if __name__ == "__main__":
    sys.exit(main())
