"""Writes docs/benchmarks.md, its chart, and README's results from what race.py measured.

    python benchmarks/race.py --json build/3.14.json        under each version, on the same machine
    python benchmarks/doors.py --json build/3.14.json       the same
    python benchmarks/peaks.py --json build/3.14.json       the same
    python benchmarks/report.py build/3.14.json build/3.15.json

The document says where, when, with what and how it was measured; the chart, and the short table
between README's marks, show the ratios of `HEADLINES`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # Not there under PYTHONSAFEPATH.

from fastcopyreg.bench import format_ns
from operations import OPERATIONS, OURS, STDLIB
from workloads import WORKLOADS

CHECKOUT = Path(__file__).parent.parent

BEGIN, END = "<!-- results, written by benchmarks/report.py -->", "<!-- end of results -->"

HEADLINES = (
    ("dumps", "registered-slots", "registered objects"),
    ("dumps", "plain", "plain classes"),
    ("dumps", "dataclass-slots", "dataclasses with slots"),
    ("dumps", "values", "standard library values"),
    ("dumps", "records", "records (dicts)"),
    ("dumps", "one-registered", "one registered object a call"),
    ("loads", "registered-slots", "registered objects"),
    ("loads", "plain", "plain classes"),
    ("loads", "dataclass-slots", "dataclasses with slots"),
    ("loads", "records", "records (dicts)"),
    ("deepcopy", "registered-slots", "registered objects"),
    ("deepcopy", "plain", "plain classes"),
    ("deepcopy", "dataclass-slots", "dataclasses with slots"),
    ("deepcopy", "records", "records (dicts)"),
)


class Record:
    """One file of results: the environment, and the races by operation and workload."""

    def __init__(self, plain: dict[str, Any]) -> None:
        self.environment = plain["environment"]
        self.doors = plain.get("doors", {})
        self.peaks = plain.get("peaks", {})
        self.races = {(race["operation"], race["workload"]): race for race in plain["results"]}

    @property
    def version(self) -> str:
        return ".".join(self.environment["python"].split(".")[:2])

    def contender(self, operation: str, workload: str, label: str) -> dict[str, Any] | None:
        race = self.races.get((operation, workload), {})
        found = (c for c in race.get("contenders", ()) if c["label"] == label)
        return next(found, None)

    def ratio(self, operation: str, workload: str) -> float | None:
        ours = self.contender(operation, workload, OURS)
        return None if ours is None else ours["ratio"]["median"]

    def memory(self, operation: str, workload: str) -> str:
        """Our peak memory as a part of the standard library's, where it was counted."""
        peaks = self.races.get((operation, workload), {}).get("peak_bytes")
        return f"{peaks[OURS] / peaks[STDLIB]:.2f}" if peaks and peaks[STDLIB] else ""

    def time(self, operation: str, workload: str, label: str) -> str:
        """Median time for one object, or nothing where the contender did not take part."""
        found = self.contender(operation, workload, label)
        if found is None:
            return ""
        return format_ns(found["median_ns"] / self.races[operation, workload]["objects"])

    def peers(self, operation: str) -> list[str]:
        labels = {
            contender["label"]
            for (raced, _), race in self.races.items()
            if raced == operation
            for contender in race.get("contenders", ())
        }
        return sorted(labels - {STDLIB, OURS})


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["--:"] * (len(header) - 1)
    return "\n".join(_row(cells) for cells in (header, rule, *rows))


def operation_table(records: list[Record], operation: str) -> str:
    """All workloads of an operation; for each version the times, the ratio and its quartiles."""
    header = ["workload"]
    for record in records:
        header += [f"{record.version} {STDLIB}", OURS, "ratio", "quartiles", "memory"]
        header += record.peers(operation)
    rows = []
    for workload in WORKLOADS:
        if any((operation, workload.name) in record.races for record in records):
            cells = [workload.name]
            for record in records:
                cells += _cells(record, operation, workload.name)
            rows.append(cells)
    return _table(header, rows)


def _cells(record: Record, operation: str, workload: str) -> list[str]:
    ours = record.contender(operation, workload, OURS)
    peers = record.peers(operation)
    if ours is None:
        return [""] * (5 + len(peers))
    ratio = ours["ratio"]
    times = [record.time(operation, workload, label) for label in (STDLIB, OURS, *peers)]
    spread = f"{ratio['lower']:.2f}-{ratio['upper']:.2f}"
    memory = record.memory(operation, workload)
    return [*times[:2], f"**{ratio['median']:.2f}**", spread, memory, *times[2:]]


def quote(records: list[Record]) -> str:
    """The headline ratios: a row for each, a column for each version."""
    header = ["", *(f"Python {record.version}" for record in records)]
    rows = []
    for operation, workload, title in HEADLINES:
        ratios = [record.ratio(operation, workload) for record in records]
        if any(ratios):
            cells = [f"{ratio:.1f}x" if ratio else "" for ratio in ratios]
            rows.append([f"`{operation}`, {title}", *cells])
    return _table(header, rows)


def quoted(readme: str, records: list[Record]) -> str:
    """README's text with the headline ratios between its marks. ValueError if it has no marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md has no {BEGIN} … {END}")
    where = " and ".join(sorted({record.environment["machine"] for record in records}))
    dates = " and ".join(sorted({record.environment["date"] for record in records}))
    note = f"Times as fast as the standard library ({where}, {dates}; `make bench`):"
    return f"{before}{BEGIN}\n\n{note}\n\n{quote(records)}\n\n{END}{after}"


def _environments(records: list[Record]) -> str:
    lines = []
    for record in records:
        env = record.environment
        peers = ", ".join(f"{name} {version}" for name, version in env["peers"].items()) or "none"
        lines.append(
            f"- Python {env['python']} ({env['compiler']}), fastcopyreg {env['fastcopyreg']}, "
            f"{env['machine']}, {env['system']}, {env['date']}; peers: {peers}; "
            f"`{env['command'].strip()}`"
        )
    return "\n".join(lines)


INTRODUCTION = """\
# Benchmarks

Written by `python benchmarks/report.py`; do not edit. Times are for one object (for `one-…` and
`pyperformance-…`: for one call), medians; the ratio is the standard library's time over ours, the
median of paired rounds run turn and turn about, each race in a process of its own, with its
quartiles. Memory is our peak over the standard library's, of one call on many objects, its result
included: less than 1 is less. The workloads are in `benchmarks/workloads.py` and `hooks.py`
(`scattered-…`: the objects lie in memory in another order than in the list), how a race is run in
`src/fastcopyreg/bench.py`.

![Times as fast as the standard library](benchmarks.svg)
"""

DOORS = """\
## Doors

Times as fast as the standard library, of 5,000 objects, by the way in which a program comes to
pickle (`benchmarks/doors.py`): functions, classes, subclasses with hooks that answer "not mine",
and where the bytes lie."""


def doors_table(record: Record) -> str:
    """The ratios of a version, a row for each door."""
    kinds = list(next(iter(record.doors.values())))
    rows = [
        [f"`{door}`", *(f"{ratios[kind]:.1f}x" for kind in kinds)]
        for door, ratios in record.doors.items()
    ]
    return _table([f"Python {record.version}", *kinds], rows)


def doors(records: list[Record]) -> list[str]:
    """The section of the doors, if they were raced."""
    tables = [doors_table(record) for record in records if record.doors]
    return [DOORS, *tables] if tables else []


PEAKS = """\
## Memory of the doors

The most bytes that a door holds at one time, its result included, as a part of the standard
library's (`benchmarks/peaks.py`, which says of which objects): the first call on many objects, in
a process that has called it on few."""


def peaks_table(record: Record) -> str:
    """The parts of a version, a row for each kind of object."""
    kinds = list(next(iter(record.peaks.values())))
    rows = [[kind, *(f"{row[kind]:.2f}" for row in record.peaks.values())] for kind in kinds]
    return _table([f"Python {record.version}", *(f"`{door}`" for door in record.peaks)], rows)


def peaks(records: list[Record]) -> list[str]:
    """The section of memory, if it was counted."""
    tables = [peaks_table(record) for record in records if record.peaks]
    return [PEAKS, *tables] if tables else []


def document(records: list[Record]) -> str:
    parts = [INTRODUCTION.rstrip("\n"), *doors(records), *peaks(records)]
    parts += [
        "## Where, when and how\n\n" + _environments(records),
        "## In short\n\n" + quote(records),
    ]
    for operation in OPERATIONS:
        if any(raced == operation for record in records for raced, _ in record.races):
            parts.append(f"## {operation}\n\n{operation_table(records, operation)}")
    return "\n\n".join(parts) + "\n"


def without_scripts(tree: Any) -> Any:
    for parent in list(tree.iter()):
        for child in [child for child in parent if str(child.tag).endswith("script")]:
            parent.remove(child)
    return tree


def chart(records: list[Record]) -> bytes:
    """The headline ratios as an SVG that needs no script and nothing from elsewhere."""
    import pygal
    from pygal.style import CleanStyle

    style = CleanStyle(font_family="sans-serif", label_font_size=12, value_font_size=11)
    bars = pygal.HorizontalBar(
        style=style,
        width=860,
        height=60 + 26 * len(HEADLINES) * max(1, len(records)),
        js=[],
        pretty_print=True,
        print_values=True,
        print_values_position="top",
        legend_at_bottom=True,
        show_x_guides=False,
        show_y_guides=False,
        formatter=lambda value: f"{value:.1f}x",
        title="Times as fast as the standard library",
    )
    # A horizontal chart draws from the bottom up.
    shown = [h for h in reversed(HEADLINES) if any(r.ratio(*h[:2]) for r in records)]
    bars.x_labels = [f"{operation}, {title}" for operation, _, title in shown]
    for record in reversed(records):
        bars.add(f"Python {record.version}", [record.ratio(*line[:2]) for line in shown])
    bars.uuid = "benchmarks"  # Else a random one, and every run would change the file.
    bars.add_xml_filter(without_scripts)
    return bars.render()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="+", help="files that race.py --json wrote")
    parser.add_argument(
        "--checkout", type=Path, default=CHECKOUT, help="folder with docs/ and README.md"
    )
    options = parser.parse_args(arguments)
    records = [Record(json.loads(path.read_text(encoding="utf-8"))) for path in options.results]
    docs, readme = options.checkout / "docs", options.checkout / "README.md"
    (docs / "benchmarks.md").write_text(document(records), encoding="utf-8")
    (docs / "benchmarks.svg").write_bytes(chart(records))
    readme.write_text(quoted(readme.read_text(encoding="utf-8"), records), encoding="utf-8")
    print(quote(records))
    return 0


if __name__ == "__main__":
    sys.exit(main())
