"""Runs CPython's own tests for pickle, copy and copyreg, and suites that live off them, against
fastcopyreg.

    python tests/cpython/run.py                  everything in suites.toml
    python tests/cpython/run.py -s test_pickle   one module
    python tests/cpython/run.py --excluded       what exclusions.toml leaves out: must it still?

Each module runs twice on the running interpreter, each time in a process of its own: as it is, and
against us. What counts is the difference: a test that passes there must pass here. A test that
fails or is skipped in the standard library as well is counted apart. A process that crashes or
hangs costs only the test that did it; the others go on in another one. Exit status: 0 all well, 1
a difference, 2 nothing could be tested and --require was given.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
MODES = ("drop-in", "installed")
JOB = {
    "patterns": ["*"],
    "with": [],
}  # what suites.toml may say of a module, and what holds if not
TIMEOUT = 900  # seconds for one module; the slowest takes a tenth of it on a slow machine
OWN_WARNINGS = "ignore::DeprecationWarning"
# Started by -c and not as a script, which multiprocessing's children would import again.
START = """
import sys
sys.path.insert(0, sys.argv[1])
import child
del sys.path[0]
child.main(sys.argv[2])
"""


class Run:
    """What one module did in one mode: outcomes by test id, and why it stopped if it did."""

    def __init__(self):
        self.outcomes = {}
        self.details = {}
        self.left_out = []
        self.stopped = None
        self.seconds = 0.0
        self.wiring = None

    def read(self, path):
        """Takes in a child's events; returns the test that began and did not end, or None."""
        running = None
        for line in path.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            kind = event.pop("event")
            if kind == "start":
                running = event["test"]
            elif kind == "end":
                running = None
                self._record(**event)
            elif kind == "loaded":
                self.left_out = event["left_out"]
            elif kind == "wiring":
                self.wiring = event
            elif kind == "stopped":
                self.stopped = event
        return running

    def _record(self, test, outcome, detail, seconds=0.0):
        self.outcomes[test] = outcome
        self.details[test] = detail

    def stopped_as(self, kind):
        """What the child said if it stopped for this kind of reason, or None."""
        return (
            self.stopped["detail"]
            if self.stopped is not None and self.stopped["kind"] == kind
            else None
        )

    def died(self, test, how, stderr):
        """Records the test that took its process along."""
        self._record(test, "failed", f"{how}\n{stderr}")


def start_child(job, folder):
    """Runs one child to its end; returns (returncode, None if it hung, end of its stderr)."""
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    command = [
        sys.executable,
        "-P",
        "-X",
        "faulthandler",
        "-W",
        OWN_WARNINGS,
        "-c",
        START,
        str(HERE),
        str(path),
    ]
    environment = dict(os.environ, PYTHONHASHSEED="0")
    with open(folder / "stderr", "w+", encoding="utf-8", errors="replace") as stderr:
        try:
            returncode = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                timeout=TIMEOUT,
            ).returncode
        except subprocess.TimeoutExpired:
            returncode = None
        stderr.seek(0)
        return returncode, stderr.read()[-4000:]


def describe_exit(returncode):
    if returncode is None:
        return f"hung for {TIMEOUT} s"
    if returncode < 0:
        return f"crashed: {signal.Signals(-returncode).name}"
    return f"left with exit status {returncode}"


def run_past_crashes(run, job, folder):
    """Runs what the job has left to do, in another process after each crash."""
    events = folder / "events"
    while True:
        events.write_text("", encoding="utf-8")
        job.update(events=str(events), done=list(run.outcomes))
        returncode, stderr = start_child(job, folder)
        running = run.read(events)
        if running is None:
            if returncode != 0:
                how = describe_exit(returncode)
                run.stopped = {"kind": "died", "detail": f"{how}\n{stderr}"}
            return
        run.died(running, describe_exit(returncode), stderr)


def run_module(suite, mode, package, left_out):
    """Runs one module in one mode and returns its Run."""
    run = Run()
    began = time.monotonic()
    job = {key: suite.get(key, default) for key, default in JOB.items()}
    job.update(module=suite["module"], mode=mode, package=package, left_out=left_out)
    with tempfile.TemporaryDirectory(prefix="fastcopyreg-suite-") as name:
        folder = pathlib.Path(name)
        run_past_crashes(run, job, folder)
        failed = [test for test, outcome in run.outcomes.items() if outcome == "failed"]
        if suite.get("timing") and failed:
            for test in failed:
                del run.outcomes[test]
            run_past_crashes(run, job, folder)
    run.seconds = time.monotonic() - began
    return run


class Verdict:
    """The difference between a module's run against the standard library and against us."""

    def __init__(self, suite, mode, plain, ours, patterns):
        self.name = f"{suite['module'].removeprefix('test.')} ({mode})"
        self.module = suite["module"]
        self.mode = mode
        self.ours = ours
        self.left_out = {
            test
            for test in [*plain.outcomes, *ours.left_out]
            if any(fnmatch.fnmatchcase(test, pattern) for pattern in patterns)
        }
        self.absent = plain.stopped_as("absent")
        self.skipped = plain.stopped_as("skipped")
        self.failures = {} if self.absent or self.skipped else dict(self._differences(plain))
        self.failing_there = [
            test for test, outcome in plain.outcomes.items() if outcome == "failed"
        ]

    def _differences(self, plain):
        ours = self.ours
        for run, whose in ((plain, "the standard library"), (ours, "ours")):
            if run.stopped is not None:
                yield f"the run against {whose}", run.stopped["detail"]
        if ours.stopped is not None and not ours.outcomes:
            return  # no test began: that one line says it all
        for test, expected in plain.outcomes.items():
            if test in self.left_out:
                continue
            outcome = ours.outcomes.get(test, "did not run")
            if outcome != expected and expected != "failed":
                yield (
                    test,
                    f"{expected} in the standard library, here {outcome}\n"
                    + ours.details.get(test, ""),
                )
        for test, outcome in ours.outcomes.items():
            if outcome == "failed" and test not in plain.outcomes:
                yield (
                    test,
                    f"is not in the standard library's run, here failed\n{ours.details[test]}",
                )

    def line(self):
        if self.absent:
            return f"{self.name:48} not in this version's test package"
        if self.skipped:
            return f"{self.name:48} skipped by itself: {self.skipped}"
        count = collections.Counter(self.ours.outcomes.values())
        ran = sum(count.values()) - count["skipped"]
        return (
            f"{self.name:48} {ran:5} run {len(self.failures):4} failed "
            f"{count['skipped']:4} skipped {len(self.left_out):4} left out "
            f"{self.ours.seconds:7.1f} s"
        )


def load_tables():
    """The suites, and the exclusions of this version as (pattern, modes, reason)."""
    suites = tomllib.loads((HERE / "suites.toml").read_text(encoding="utf-8"))["suite"]
    entries = tomllib.loads((HERE / "exclusions.toml").read_text(encoding="utf-8"))["exclusion"]
    exclusions = [
        (pattern, entry.get("modes", MODES), entry["reason"])
        for entry in entries
        if VERSION in entry.get("versions", [VERSION])
        for pattern in entry["tests"]
    ]
    return suites, exclusions


def nothing_to_test(package):
    """Why there is nothing that could be tested, or None."""
    try:
        if importlib.util.find_spec("test.test_pickle") is None:
            return "this interpreter has no test package (Debian: libpython3.x-testsuite)"
    except ModuleNotFoundError:
        return "this interpreter has no test package (Debian: libpython3.x-testsuite)"
    try:
        importlib.import_module(package + "._core")
    except ImportError as error:
        return (
            f"{package}._core is missing ({error}): the API then is the standard library's own, "
            "which this suite would compare with itself"
        )
    return None


def run_all(suites, modes, package, left_out, jobs):
    """Yields a Verdict for each module and mode, in turn; *left_out*: patterns by mode."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        pending = []
        for suite in suites:
            chosen = [mode for mode in suite["modes"] if mode in modes]
            if chosen:
                plain = pool.submit(run_module, suite, "plain", package, [])
            for mode in chosen:
                ours = pool.submit(run_module, suite, mode, package, left_out[mode])
                pending.append((suite, mode, plain, ours))
        for suite, mode, plain, ours in pending:
            yield Verdict(suite, mode, plain.result(), ours.result(), left_out[mode])


def stale_exclusions(exclusions, verdicts):
    """Patterns of modules that ran here and whose tests they did not find."""
    ran = [verdict.module for verdict in verdicts if not verdict.absent]
    left_out = {test for verdict in verdicts for test in verdict.left_out}
    modes = {verdict.mode for verdict in verdicts}
    return [
        pattern
        for pattern, where, _ in exclusions
        if not modes.isdisjoint(where)
        and any(pattern.startswith(module + ".") for module in ran)
        and not any(fnmatch.fnmatchcase(test, pattern) for test in left_out)
    ]


def print_left_out(exclusions, verdicts):
    left_out = {test for verdict in verdicts for test in verdict.left_out}
    counts = collections.Counter()
    for test in left_out:
        counts[
            next(reason for pattern, _, reason in exclusions if fnmatch.fnmatchcase(test, pattern))
        ] += 1
    if counts:
        print("\nleft out:")
    for reason, count in counts.most_common():
        print(f"  {count:4}  {reason}")


def print_skipped(verdicts):
    """Reasons for which tests skipped themselves, in the standard library as well as here."""
    reasons = collections.Counter(
        verdict.ours.details[test].partition("\n")[0]
        for verdict in verdicts
        for test, outcome in verdict.ours.outcomes.items()
        if outcome == "skipped"
    )
    if reasons:
        print("\nskipped, there and here:")
    for reason, count in reasons.most_common():
        print(f"  {count:4}  {reason}")


def report(verdicts, exclusions):
    """Prints what was found; returns the exit status."""
    print_left_out(exclusions, verdicts)
    print_skipped(verdicts)
    failing_there = sorted({test for verdict in verdicts for test in verdict.failing_there})
    if failing_there:
        print("\nfailing in the standard library itself, on this interpreter and machine:")
        print(*(f"  {test}" for test in failing_there), sep="\n")
    for verdict in verdicts:
        for test, detail in verdict.failures.items():
            print(f"\nFAILED {verdict.name}: {test}\n  " + detail.strip().replace("\n", "\n  "))
    stale = stale_exclusions(exclusions, verdicts)
    for pattern in stale:
        print(f"\nSTALE exclusion: {pattern} leaves out nothing on {VERSION}")
    run = sum(len(verdict.ours.outcomes) for verdict in verdicts)
    failed = sum(len(verdict.failures) for verdict in verdicts)
    print(
        f"\nPython {VERSION}: {len(verdicts)} suites, {run} tests, {failed} failed, "
        f"{len(stale)} stale exclusions"
    )
    return 1 if failed or stale or not run else 0


def report_excluded(verdicts):
    """Prints which of the tests that are left out would pass; returns the exit status."""
    for verdict in verdicts:
        for test, outcome in verdict.ours.outcomes.items():
            print(f"{outcome:10} {verdict.mode:10} {test}")
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "-s",
        "--suite",
        action="append",
        help="only this module, e.g. test_pickle; may be repeated",
    )
    parser.add_argument("-m", "--mode", action="append", choices=MODES, help="only this mode")
    parser.add_argument(
        "-j", "--jobs", type=int, default=os.cpu_count(), help="processes at a time"
    )
    parser.add_argument(
        "--excluded",
        action="store_true",
        help="run what exclusions.toml leaves out, and nothing else",
    )
    parser.add_argument(
        "--require", action="store_true", help="exit status 2 if nothing can be tested"
    )
    parser.add_argument("--package", default="fastcopyreg", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def select(suites, names):
    if names is None:
        return suites
    chosen = [suite for suite in suites if suite["module"].removeprefix("test.") in names]
    if len(chosen) < len(names):
        sys.exit(f"run.py: not all of {', '.join(names)} are in suites.toml")
    return chosen


def main(arguments=None):
    options = parse(arguments)
    sys.stdout.reconfigure(
        errors="backslashreplace"
    )  # messages of pickle's tests hold lone surrogates
    reason = nothing_to_test(options.package)
    if reason is not None:
        print(f"run.py: nothing to test: {reason}")
        return 2 if options.require else 0
    suites, exclusions = load_tables()
    suites = select(suites, options.suite)
    modes = options.mode or MODES
    left_out = {
        mode: [pattern for pattern, where, _ in exclusions if mode in where] for mode in modes
    }
    if options.excluded:
        suites = [
            dict(suite, patterns=[pattern for pattern, _, _ in exclusions]) for suite in suites
        ]
        left_out = dict.fromkeys(modes, ())
    print(
        f"CPython {VERSION}'s own tests against {options.package} ({sys.executable})", flush=True
    )
    verdicts = []
    for verdict in run_all(suites, modes, options.package, left_out, options.jobs):
        verdicts.append(verdict)
        print(verdict.line(), flush=True)
    if options.excluded:
        return report_excluded(verdicts)
    return report(verdicts, exclusions)


if __name__ == "__main__":
    sys.exit(main())
