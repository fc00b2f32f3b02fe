"""Runs some of CPython's own tests in this process, and writes what happens as JSON lines.

Not for use by hand: run.py starts it, one process for each module and mode. Each event is written
before the next test begins, so that whoever reads the file after a crash knows the test that did
it. Started by -c and not as a script, so that the children of multiprocessing's tests have no main
module to import.
"""

import fnmatch
import importlib
import json
import sys
import textwrap
import time
import traceback
import unittest

import stand_ins


class EventResult(unittest.TestResult):
    """A result that writes the beginning and the outcome of each test to a stream of events."""

    def __init__(self, emit):
        super().__init__()
        self._emit = emit
        self._outcome = None
        self._began = 0.0

    def startTest(self, test):
        super().startTest(test)
        self._outcome = ("passed", "")
        self._began = time.perf_counter()
        self._emit(event="start", test=test.id())

    def stopTest(self, test):
        super().stopTest(test)
        if self._outcome is not None:  # 3.12.1 stops skipped tests that it did not start
            self._end(test, *self._outcome)
        self._outcome = None

    def _end(self, test, outcome, detail):
        self._emit(
            event="end",
            test=test.id(),
            outcome=outcome,
            detail=detail,
            seconds=time.perf_counter() - self._began,
        )

    def _note(self, test, outcome, detail=""):
        """Remembers the outcome; a failure stays one, and failures of subtests add up."""
        if self._outcome is None:  # a fixture of a class or module: no startTest came before
            self._end(test, outcome, detail)
        elif self._outcome[0] == outcome == "failed":
            self._outcome = (outcome, f"{self._outcome[1]}\n{detail}")
        elif self._outcome[0] != "failed":
            self._outcome = (outcome, detail)

    def addFailure(self, test, err):
        self._note(test, "failed", "".join(traceback.format_exception(*err)))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            trace = "".join(traceback.format_exception(*err))
            self._note(test, "failed", f"{subtest}\n{trace}")

    def addSkip(self, test, reason):
        self._note(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self._note(test, "failed as expected")

    def addUnexpectedSuccess(self, test):
        self._note(test, "failed", "succeeded against expectation")


def flatten(suite):
    """The test cases of a suite, in order."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def matches(test, patterns):
    return any(fnmatch.fnmatchcase(test.id(), pattern) for pattern in patterns)


def load(job):
    """Imports the job's test module and returns it with the tests wanted and the ids left out."""
    module = importlib.import_module(job["module"])
    tests = list(flatten(unittest.defaultTestLoader.loadTestsFromModule(module)))
    tests = [test for test in tests if matches(test, job["patterns"])]
    left_out = [test.id() for test in tests if matches(test, job["left_out"])]
    known = {*left_out, *job["done"]}
    return module, [test for test in tests if test.id() not in known], left_out


def check_wiring(stands, job, module, emit):
    """Raises WiringError if a module of the test package holds what should have been ours."""
    modules = [module, *(sys.modules[name] for name in job["with"] if name in sys.modules)]
    whole = job["mode"] == "drop-in"
    strays = [where for each in modules for where in stands.strays(each, whole)]
    if strays:
        raise stand_ins.WiringError("still the standard library's: " + ", ".join(strays))
    uses = sum(map(stands.uses, modules))
    if whole and not uses:
        raise stand_ins.WiringError(f"{module.__name__} uses nothing of {job['package']}")
    emit(event="wiring", core=stands.core.__file__, uses=uses)


def lead_children(job, module):
    """Lets interpreters that the tests start with -c begin as this one did."""
    start = getattr(module, "assert_python_ok", None)
    if start is None:
        return

    def assert_python_ok(option, code, *rest, **environment):
        prefix = stand_ins.preamble(job["package"])
        return start(option, prefix + textwrap.dedent(code), *rest, **environment)

    module.assert_python_ok = assert_python_ok


def run(job, emit):
    stands = None
    if job["mode"] != "plain":
        stands = stand_ins.StandIns(job["package"])
        if job["mode"] == "drop-in":
            stands.put_in_place()
        else:
            stands.install()
    module, tests, left_out = load(job)
    if stands is not None:
        check_wiring(stands, job, module, emit)
        if job["mode"] == "drop-in":
            lead_children(job, module)
    emit(event="loaded", left_out=left_out)
    unittest.TestSuite(tests).run(EventResult(emit))
    emit(event="finished")


def main(path):
    """Does the job described in the file at *path*."""
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    with open(job["events"], "a", encoding="utf-8") as events:

        def emit(**event):
            events.write(json.dumps(event) + "\n")
            events.flush()

        try:
            run(job, emit)
        except ModuleNotFoundError as error:
            absent = f"{job['module']}.".startswith(f"{error.name}.")
            emit(event="stopped", kind="absent" if absent else "failed", detail=str(error))
        except unittest.SkipTest as error:
            emit(event="stopped", kind="skipped", detail=str(error))
        except (stand_ins.WiringError, ImportError) as error:
            emit(event="stopped", kind="failed", detail=f"{type(error).__name__}: {error}")
