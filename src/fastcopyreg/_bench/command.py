"""The command: reads what is to be raced, runs it, and writes the report where it is wanted."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from .._names import imported
from . import tell
from .peers import PEERS
from .suite import EVERY_OPERATION, OPERATIONS, Settings, run


class Wrong(Exception):
    """What was asked for cannot be done; the message says why."""


class ProgressLine(Protocol):
    """Where a stage is told, until it is closed."""

    def __call__(self, message: str, /) -> None: ...
    def close(self) -> None: ...


def functions(names: list[str]) -> list[tuple[str, Callable[[], Any]]]:
    """The functions by their names; raises `NotFound` or `Wrong`."""
    found: list[tuple[str, Any]] = [(name, imported(name)) for name in names]
    for name, function in found:
        if not callable(function):
            raise Wrong(f"{name} is no function that returns objects")
    return found


def listed(text: str, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    """A list with commas, of what is known."""
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    for name in names:
        if name not in known:
            raise Wrong(f"no such {what}: {name!r}; there are {', '.join(known)}")
    return names


def settings(options: argparse.Namespace) -> Settings:
    return Settings(
        seconds=options.seconds or 1.0,
        operations=listed(
            options.operations or ",".join(OPERATIONS), EVERY_OPERATION, "operation"
        ),
        peers=listed(options.peers or "", PEERS, "peer"),
        minimum=options.min_ratio,
        most_drop=options.max_drop,
    )


def read_record(path: str | None) -> dict[str, Any] | None:
    """An earlier run's JSON; raises `Wrong` if it is none."""
    if path is None:
        return None
    try:
        record: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
        if record["schema"] != 1:
            raise Wrong(f"{path} has schema {record['schema']}; this reads 1")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Wrong(f"{path} is no record of `bench`: {error!r}") from error
    return record


def bench(options: argparse.Namespace, progress: ProgressLine) -> int:
    """Runs the suite; returns 0 if every race is good, else 1."""
    chosen = settings(options)
    earlier = read_record(options.compare)
    report = run(functions(options.names), chosen, earlier, progress)
    progress.close()
    record = json.dumps(report.to_dict(), indent=1) + "\n"
    if options.json not in (None, "-"):
        Path(options.json).write_text(record, "utf-8")
    if options.summary:
        with open(options.summary, "a", encoding="utf-8") as summary:
            summary.write(tell.markdown(report))
    if options.svg:
        Path(options.svg).write_text(tell.svg(report), "utf-8")
    print(record if options.json == "-" else tell.text(report))
    for race in report.races:
        for fault in race.faults:
            print(f"fastcopyreg bench: {race.operation} {race.name}: {fault}", file=sys.stderr)
    return 0 if report.good else 1
