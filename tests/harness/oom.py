"""Lets every allocation of an operation fail once, and looks at what is left.

    python tests/harness/oom.py                     every group of operations
    python tests/harness/oom.py -g dumps -k slots   the dumps whose name says slots

For each operation the first allocation fails, then in a new try the second, and so on to the last.
Each time the answer must be a MemoryError, and the operation done again, with memory, must give
what it gives at other times. A sweep over all allocations is done twice, and the second must leave
no references (debug builds), blocks or bytes behind. Each group runs in a process of its own; one
that crashes is reported with the operation and the allocation, and the rest goes on in another
process.

An exception other than MemoryError, or a crash, that the standard library answers with in the same
operation too is the interpreter's own (3.13.0's generators, say); such are shown and no failure.
A leak always is one.

An operation that gives the right answer although an allocation failed did without it (a cache, a
buffer that could not shrink): such are counted as "absorbed", shown, and no failure. Exit status:
0 all well, 1 a defect, 2 the interpreter has no `_testcapi.set_nomemory` (or 0 with
--if-possible).
"""

import argparse
import gc
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import tracemalloc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

import measure

import operations

try:
    import _testcapi
except ImportError:
    _testcapi = None

ADDRESS = re.compile("0x[0-9a-f]+")
TIMEOUT = 1800  # seconds for one group
PROBES = 100  # allocations made after an operation to see whether the failure is still to come
TRIES = 20  # failures of one allocation, to find the one that leaks: noise does not grow with them
REPEATS = 3  # sweeps that must all leave something behind before it is called a leak


class Tally:
    """What a sweep over the allocations of one operation met."""

    def __init__(self):
        self.allocations = 0
        self.absorbed = 0
        self.defects = []

    def note(self, kind, number, text):
        """Remembers a defect: what kind, at which allocation (None: all together), in words."""
        self.defects.append((kind, number, text))


def still_to_come():
    """Whether the next allocations fail: whether the failure that was ordered has not happened
    yet.
    """
    try:
        for _ in range(PROBES):
            bytearray(1)
    except MemoryError:
        return True
    return False


def attempt(call, number):
    """Does the operation with allocation *number* failing; returns (how, result or exception).

    How it ended: "refused" by MemoryError, "raised" something else, "finished" without having got
    as far as that allocation, "absorbed" its failure.
    """
    operations.make_ready(call)
    _testcapi.set_nomemory(number, number + 1)
    try:
        result = call()
    except MemoryError:
        _testcapi.remove_mem_hooks()
        return "refused", None
    except (
        BaseException
    ) as error:  # a SystemError or a PicklingError in place of the MemoryError, say
        _testcapi.remove_mem_hooks()
        return "raised", error
    finished = still_to_come()
    _testcapi.remove_mem_hooks()
    return "finished" if finished else "absorbed", result


def done_again(operation, call, expected):
    """What is wrong with the operation now that it has memory, or None."""
    try:
        return None if operation.view(operations.once(call)) == expected else "wrong result"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def sweep(operation, call, expected, progress):
    """Lets each allocation of the operation fail in turn; returns a Tally."""
    tally = Tally()
    number = 0
    finished = 0
    # It may take a few allocations less once, when the last try filled a cache.
    while finished < 3:
        progress(operation.name, number)
        how, result = attempt(call, number)
        finished = finished + 1 if how == "finished" else 0
        if how == "raised":
            tally.note("raised", number, ADDRESS.sub("0x…", f"{type(result).__name__}: {result}"))
        elif how != "refused" and operation.view(result) != expected:
            tally.note("wrong", number, f"{how} with a wrong result")
        tally.absorbed += how == "absorbed"
        result = None
        wrong = done_again(operation, call, expected)
        if wrong is not None:
            tally.note("wrong", number, f"{wrong} when done again with memory")
        number += 1
    tally.allocations = number - finished
    return tally


def leaking_allocations(call, tally):
    """Which allocations leave something behind when they fail, found one by one."""
    for number in range(tally.allocations):
        grown = measure.growth(lambda number=number: attempt(call, number), repeat=TRIES)
        if grown.is_leak(at_least=TRIES):
            yield number, grown


def examine(operation, progress):
    """Sweeps over one operation; returns a Tally whose defects include what was left behind."""
    call = operation.prepare()
    expected = operation.view(operations.once(call))
    tally = sweep(operation, call, expected, progress)
    if tally.defects or operation.fills:  # leaks.py tells leaks from tables that fill
        return tally
    for _ in range(REPEATS):
        grown = measure.growth(lambda: sweep(operation, call, expected, progress), repeat=1)
        if not grown.is_leak():
            return tally
    for number, grown_there in leaking_allocations(call, tally):
        tally.note("leak", number, f"leaks {grown_there} in {TRIES} tries")
    if not tally.defects:
        tally.note("leak", None, f"the sweep leaks {grown}")
    return tally


def run_child(job):
    """The child: examines the operations asked for and writes a line of JSON for each."""
    gc.disable()
    tracemalloc.start()
    operations.register()
    subject = operations.Subject(job["subject"])
    mark = os.open(job["mark"], os.O_WRONLY)

    def progress(name, number):
        os.pwrite(mark, json.dumps([name, number]).ljust(200).encode(), 0)

    for operation in operations.GROUPS[job["group"]](subject):
        asked_for = job["pattern"] in operation.name and job["only"] in (None, operation.name)
        if operation.spared is None and asked_for and operation.name not in job["done"]:
            tally = examine(operation, progress)
            found = [operation.name, tally.allocations, tally.absorbed, tally.defects]
            print(json.dumps(found), flush=True)


def start_child(job):
    """Runs a child to its end; returns (its lines, how it ended or None if well, its stderr)."""
    command = [sys.executable, "-X", "faulthandler", __file__, "--child", json.dumps(job)]
    with tempfile.TemporaryFile("w+") as stderr, tempfile.TemporaryFile("w+") as stdout:
        try:
            child = subprocess.run(command, stdout=stdout, stderr=stderr, timeout=TIMEOUT)
            status = child.returncode
        except subprocess.TimeoutExpired:
            status = "hung"
        stdout.seek(0)
        stderr.seek(0)
        return [json.loads(line) for line in stdout], describe(status), stderr.read()[-3000:]


def describe(status):
    """How a child ended, in words; None if it ended well."""
    if status == 0:
        return None
    if isinstance(status, int) and status < 0:
        return f"crashed: {signal.Signals(-status).name}"
    return f"ended with {status}"


def examine_group(group, subject, pattern="", only=None):
    """Runs a group past crashes; returns lines of (name, allocations, absorbed, defects)."""
    lines = []
    job = {"group": group, "subject": subject, "pattern": pattern, "only": only}
    with tempfile.NamedTemporaryFile("w+") as mark:
        while True:
            job.update(mark=mark.name, done=[line[0] for line in lines])
            found, ended, stderr = start_child(job)
            lines += found
            if ended is None:
                return lines
            where = pathlib.Path(mark.name).read_text()
            name, number = json.loads(where) if where else ("the beginning", None)
            lines.append([name, 0, 0, [("crash", number, f"{ended}\n{stderr}")]])
            if name in job["done"] or not where:
                return lines


def is_interpreters(defect):
    """Whether a Python function ended without result and exception, as they may up to 3.13.

    On a debug build an assertion tells whose fault it is, so there it is never excused.
    """
    return not measure.HAS_REFERENCES and defect[2].startswith("SystemError: <function ")


def inherited(name, group, defects):
    """The defects of an operation that the standard library shows in the same operation as well.

    A crash is one if it crashes there too, an exception if it is the same; leaks and wrong results
    never are.
    """
    kinds = {kind for kind, _, _ in defects}
    if kinds.isdisjoint(("crash", "raised")):
        return []
    there = [defect for line in examine_group(group, "stdlib", only=name) for defect in line[3]]
    crashes = any(kind == "crash" for kind, _, _ in there)
    raised = {text for kind, _, text in there if kind == "raised"}
    return [
        defect
        for defect in defects
        if (defect[0] == "crash" and crashes)
        or (defect[0] == "raised" and (defect[2] in raised or is_interpreters(defect)))
    ]


def report_group(group, options):
    """Examines and prints a group; returns the numbers of its operations and defects."""
    lines = examine_group(group, options.subject, options.pattern)
    excused = {
        line[0]: inherited(line[0], group, line[3]) if options.subject != "stdlib" else []
        for line in lines
    }
    count = sum(len(line[3]) - len(excused[line[0]]) for line in lines)
    print(
        f"{group:10} {len(lines):4} operations {sum(line[1] for line in lines):7} allocations "
        f"{sum(line[2] for line in lines):5} absorbed {count:4} defects",
        flush=True,
    )
    for operation in operations.GROUPS[group](operations.Subject(options.subject)):
        if operation.spared is not None:
            print(f"  spared {group}: {operation.name}: {operation.spared}")
    for name, _, _, defects in lines:
        for defect in defects:
            kind, number, text = defect
            word = "there too" if defect in excused[name] else "DEFECT"
            where = "" if number is None else f"allocation {number}: "
            print(f"  {word} {group}: {name}: {where}{text}".rstrip().replace("\n", "\n    "))
    return len(lines), count


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    add = parser.add_argument
    add("-g", "--group", action="append", choices=operations.GROUPS, help="only this group")
    add("-k", "--pattern", default="", help="only operations whose name contains this")
    add("--subject", default="fastcopyreg", help="package to test; stdlib: the harness itself")
    add("--if-possible", action="store_true", help="exit status 0 where it cannot be done")
    add("--child", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    if not hasattr(_testcapi, "set_nomemory"):
        print("oom.py: no _testcapi.set_nomemory here; use a debug build (matrix run 3.15d)")
        return 0 if options.if_possible else 2
    if options.child:
        run_child(options.child)
        return 0
    print(
        f"every allocation fails once: {options.subject} on Python {sys.version.split()[0]}, "
        f"leaks judged by {measure.judged_by()}",
        flush=True,
    )
    groups = options.group or operations.GROUPS
    counts = [report_group(group, options) for group in groups]
    examined, defects = (sum(column) for column in zip(*counts, strict=True))
    return 1 if defects or not examined else 0


if __name__ == "__main__":
    sys.exit(main())
