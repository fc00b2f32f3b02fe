"""The command line: `python -m fastcopyreg info`, `bench`, `explain`, `check`, `run`.

A command is a function that takes its parsed arguments and returns an exit status; it imports what
it needs when it runs, so that `info` also works where something else is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from typing import Any


def describe() -> dict[str, Any]:
    """What `info` tells: version, backend, interpreter, and what the core says of itself."""
    from . import __version__
    from ._backend import backend, core, core_missing

    facts: dict[str, Any] = {
        "fastcopyreg": __version__,
        "backend": backend,
        "interpreter": f"{platform.python_implementation()} {platform.python_version()}",
        "build": " ".join(sys.version.split("\n")),
        "executable": sys.executable,
        "platform": platform.platform(),
    }
    if core_missing is not None:
        facts["core missing"] = core_missing
        facts |= _how_to_compile()
    if backend == "c":
        facts["core"] = core.__file__
        facts["plans"] = _plans(core.plan_threshold())
        if hasattr(core, "info"):
            facts["fast paths"] = core.info()
    return facts


def _how_to_compile() -> dict[str, str]:
    """What to do where the package is CPython's and was installed without a core.

    pip prefers the pure wheel, which is there for everybody, to compiling the core.
    """
    from importlib.util import find_spec

    if sys.implementation.name != "cpython" or find_spec(f"{__package__}._core") is not None:
        return {}
    command = "python -m pip install --force-reinstall --no-binary fastcopyreg fastcopyreg"
    return {"to compile it": command}


def _plans(threshold: int) -> str:
    """Whether functions are read into plans, and when; `docs/plans.md` has the reasons."""
    if threshold:
        return f"for functions met {threshold} times"
    return "off; FASTCOPYREG_PLANS_AFTER=N reads functions that were met N times"


def _print_facts(facts: dict[str, Any], indent: str = "") -> None:
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            _print_facts(value, indent + "  ")
        else:
            print(f"{indent}{name + ':':{width + 1}} {_words(value)}")


def _words(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _info(options: argparse.Namespace) -> int:
    facts = describe()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        _print_facts(facts)
    return 0


class _ProgressLine:
    """Progress on standard error: one line rewritten on a terminal, a line a stage elsewhere."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.terminal = stream.isatty()
        self.shown = ""

    def __call__(self, message: str) -> None:
        counting = any(word[0].isdigit() for word in message.split())
        if self.terminal:
            self._rewrite(message)
        elif not counting:
            print(message, file=self.stream, flush=True)

    def _rewrite(self, message: str) -> None:
        self.stream.write("\r" + message.ljust(len(self.shown)))
        self.stream.flush()
        self.shown = message

    def close(self) -> None:
        if self.shown:
            self._rewrite("")
            self.stream.write("\r")


def _bench(options: argparse.Namespace) -> int:
    return _bench_suite(options) if options.names else _bench_demo(options)


def _bench_suite(options: argparse.Namespace) -> int:
    from ._bench import command
    from ._names import NotFound

    progress = _ProgressLine(sys.stderr)
    try:
        return command.bench(options, progress)
    except (command.Wrong, NotFound) as reason:
        print(f"fastcopyreg bench: {reason}", file=sys.stderr)
        return 2
    finally:
        progress.close()


def _bench_demo(options: argparse.Namespace) -> int:
    from ._demo import sections, syntax

    given = [name for name in _SUITE_OPTIONS if getattr(options, name) is not None]
    if given or options.json not in (None, "-"):
        print("fastcopyreg bench: MODULE:FUNCTION is needed, what to race", file=sys.stderr)
        return 2

    progress = _ProgressLine(sys.stderr)
    try:
        report = sections.run(options.seconds or 3.0, options.objects, progress)
    except syntax.SourcesMissing as missing:
        print(f"fastcopyreg bench: {missing}", file=sys.stderr)
        return 2
    finally:
        progress.close()
    print(json.dumps(report.to_dict(), indent=2) if options.json else sections.render(report))
    return 0 if report.equal else 1


def _explain(options: argparse.Namespace) -> int:
    from . import _names
    from ._diagnosis.explanation import explanation_of, registry

    if options.name is None:
        found = registry()
    else:
        try:
            found = [explanation_of(_names.imported(options.name))]
        except _names.NotFound as missing:
            print(f"fastcopyreg explain: {missing}", file=sys.stderr)
            return 2
    _print_reports(found, options.json)
    return 0


def _check(options: argparse.Namespace) -> int:
    if os.path.isfile(options.name):
        return _check_pickle(options)
    from . import _names
    from ._diagnosis.report import report_of

    try:
        report = report_of(_names.imported(options.name))
    except _names.NotFound as missing:
        print(f"fastcopyreg check: {missing}", file=sys.stderr)
        return 2
    _print_reports([report], options.json)
    return 0 if report else 1


def _run(program: Sequence[str]) -> int:
    from . import _run

    if not program or (program[0] == "-m" and len(program) < 2):
        print("fastcopyreg run: a script, or -m and a module, is needed", file=sys.stderr)
        return 2
    try:
        status: int = _run.run(program)
    except _run.CannotRun as reason:
        print(f"fastcopyreg run: {reason}", file=sys.stderr)
        return 2
    return status


def _check_pickle(options: argparse.Namespace) -> int:
    from ._safe.explain import explained_file, names_in
    from .safe import Policy

    try:
        found = explained_file(options.name, Policy(names_in(options.allow)))
    except (ImportError, AttributeError, OSError, TypeError, ValueError) as error:
        print(f"fastcopyreg check: {error}", file=sys.stderr)
        return 2
    _print_reports(found, options.json)
    return 0 if all(found) else 1


def _print_reports(reports: Sequence[Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps([report.to_dict() for report in reports], indent=2))
    else:
        print(*reports, sep="\n\n")


def _positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        number = kind(text)
        if not number > 0:
            raise ValueError(text)
        return number

    convert.__name__ = f"positive {kind.__name__}"
    return convert


_SUITE_OPTIONS = (
    "operations",
    "min_ratio",
    "max_drop",
    "compare",
    "peers",
    "summary",
    "svg",
)


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench",
        help="time fastcopyreg against the standard library: on what your functions return, or on "
        "objects made from the library's own sources",
        description="Each MODULE:FUNCTION is called once and returns an object, or a container of "
        "objects, which is pickled, loaded and copied by both sides, turn and turn about. Without "
        "one, objects made from the standard library's sources are. Exit status: 0 if all is "
        "well, 1 if an outcome differs or a ratio is missed, 2 if there is nothing to race.",
    )
    add = bench.add_argument
    add("names", nargs="*", metavar="MODULE:FUNCTION")
    add("--seconds", type=_positive(float), help="length of a race (default: 1; without names 3)")
    add("--objects", type=_positive(int), default=30_000, help="without names: about how many")
    add("--operations", metavar="LIST", help="of dumps,loads,deepcopy,copy (default: first three)")
    add("--min-ratio", type=_positive(float), metavar="X", help="fail if a race is below X times")
    add("--compare", metavar="OLD.json", help="show the change since an earlier run's --json")
    add("--max-drop", type=_positive(float), metavar="PERCENT", help="fail if one dropped by more")
    add("--peers", metavar="LIST", help="of cloudpickle,copium,msgspec,marshal")
    add("--json", nargs="?", const="-", metavar="FILE", help="the record; without FILE printed")
    add("--summary", metavar="FILE", help="append a table in Markdown, as for a job's summary")
    add("--svg", metavar="FILE", help="write a chart of the ratios")
    bench.set_defaults(run=_bench)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fastcopyreg", description="copyreg, pickle and copy at C speed"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser("info", help="version, backend, interpreter, fast paths")
    info.set_defaults(run=_info)
    _add_bench(commands)
    explain = commands.add_parser(
        "explain",
        help="how a class or an object is reduced, rebuilt and copied, and why so",
        description="Exit status: 0 if it was explained, 2 if it was not found.",
    )
    explain.add_argument(
        "name", nargs="?", metavar="MODULE:NAME", help="without it, the whole registry"
    )
    explain.set_defaults(run=_explain)
    check = commands.add_parser(
        "check",
        help="whether a class or an object survives pickling, loading and copying; or what a "
        "pickle in a file would need",
        description="Exit status: 0 if it does, or the pickle needs no more than is allowed; 1 if "
        "there are problems, 2 if it was not found. Nothing of a pickle is run.",
    )
    check.add_argument("name", metavar="MODULE:NAME|FILE")
    check.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="what a pickle in a file may find and call; imports it; can be repeated",
    )
    check.set_defaults(run=_check)
    commands.add_parser(
        "run",
        usage="python -m fastcopyreg run [-m MODULE | SCRIPT] ARGS…",
        help="run a program with the swap installed, in it and in all its child processes",
        description="Runs `python SCRIPT ARGS…` or `python -m MODULE ARGS…` with "
        "FASTCOPYREG_INSTALL=1. Exit status: the program's; 2 if it cannot be run so.",
    )
    for command in (info, explain, check):
        command.add_argument("--json", action="store_true", help="machine-readable output")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # The arguments of `run` are the program's, every one of them.
    if arguments[:1] == ["run"] and arguments[1:2] not in (["-h"], ["--help"]):
        return _run(arguments[1:])
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
