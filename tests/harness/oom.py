"""Lets every allocation of an operation fail once, and looks at what is left.

    python tests/harness/oom.py                     every group of operations
    python tests/harness/oom.py -g dumps -k slots   the dumps whose name says slots

For each operation the first allocation fails, then in a new try the second, and so on to the last.
Each time the answer must be a MemoryError, and the operation done again, with memory, must give
what it gives at other times. A sweep over all allocations is done twice, and the second must leave
no references (debug builds), blocks or bytes behind. Each group runs in a process of its own; one
that crashes is reported with the operation and the allocation, and the rest goes on in another
process.

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


def sweep(operation, call, expected, progress):
    """Lets each allocation of the operation fail in turn; returns a Tally."""
    tally = Tally()
    number = 0
    finished = 0
    while (
        finished < 3
    ):  # it may take a few allocations less once, when a cache was filled by the last try
        progress(operation.name, number)
        how, result = attempt(call, number)
        finished = finished + 1 if how == "finished" else 0
        if how == "raised":
            tally.defects.append(f"allocation {number}: {type(result).__name__}: {result}")
        elif how != "refused" and operation.view(result) != expected:
            tally.defects.append(f"allocation {number}: {how} with a wrong result")
        tally.absorbed += how == "absorbed"
        result = None
        if operation.view(call()) != expected:
            tally.defects.append(f"allocation {number}: wrong result when done again with memory")
        number += 1
    tally.allocations = number - finished
    return tally


def leaking_allocations(call, tally):
    """Which allocations leave something behind when they fail, found one by one."""
    for number in range(tally.allocations):
        grown = measure.growth(lambda number=number: attempt(call, number), repeat=TRIES)
        if grown.is_leak(at_least=TRIES):
            yield f"allocation {number}: leaks {grown} in {TRIES} tries"


def examine(operation, progress):
    """Sweeps over one operation; returns a Tally whose defects include what was left behind."""
    call = operation.prepare()
    expected = operation.view(call())
    tally = sweep(operation, call, expected, progress)
    if tally.defects:
        return tally
    for _ in range(REPEATS):
        grown = measure.growth(lambda: sweep(operation, call, expected, progress), repeat=1)
        if not grown.is_leak():
            return tally
    found = list(leaking_allocations(call, tally))
    tally.defects += found or [f"the sweep leaks {grown}"]
    return tally


def wanted(group, subject, pattern):
    return [op for op in operations.GROUPS[group](subject) if pattern in op.name]


def run_group(options):
    """The child: examines one group's operations and writes a line of JSON for each."""
    gc.disable()
    tracemalloc.start()
    operations.register()
    subject = operations.Subject(options.subject)
    done = set(json.loads(options.done))
    mark = os.open(options.mark, os.O_WRONLY)

    def progress(name, number):
        os.pwrite(mark, f"{name}: allocation {number}".ljust(200).encode(), 0)

    for operation in wanted(options.group[0], subject, options.pattern):
        if operation.name not in done:
            tally = examine(operation, progress)
            print(
                json.dumps([operation.name, tally.allocations, tally.absorbed, tally.defects]),
                flush=True,
            )


def start_group(group, options, done, mark):
    """Runs a child for a group; returns (its lines, how it ended or None if well, the end of its
    stderr).
    """
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        __file__,
        "--child",
        "-g",
        group,
        "-k",
        options.pattern,
        "--subject",
        options.subject,
        "--done",
        json.dumps(done),
        "--mark",
        mark,
    ]
    with tempfile.TemporaryFile("w+") as stderr, tempfile.TemporaryFile("w+") as stdout:
        try:
            status = subprocess.run(
                command, stdout=stdout, stderr=stderr, timeout=TIMEOUT
            ).returncode
        except subprocess.TimeoutExpired:
            status = "hung"
        stdout.seek(0)
        stderr.seek(0)
        lines = [json.loads(line) for line in stdout]
        return lines, describe(status), stderr.read()[-3000:]


def describe(status):
    if status == 0:
        return None
    if isinstance(status, int) and status < 0:
        return f"crashed: {signal.Signals(-status).name}"
    return f"ended with {status}"


def examine_group(group, options):
    """Runs a group to its end, past crashes; returns (lines, defects)."""
    lines, defects = [], []
    skipped = []
    with tempfile.NamedTemporaryFile("w+") as mark:
        while True:
            done = [line[0] for line in lines] + skipped
            more, ended, stderr = start_group(group, options, done, mark.name)
            lines += more
            if ended is None:
                break
            where = pathlib.Path(mark.name).read_text().strip()
            defects.append(f"{where}: {ended}\n{stderr}")
            name = where.rpartition(": allocation ")[0]
            if not name or name in done:
                break
            skipped.append(name)
    defects += [f"{name}: {defect}" for name, _, _, found in lines for defect in found]
    return lines, defects


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "-g", "--group", action="append", choices=operations.GROUPS, help="only this group"
    )
    parser.add_argument(
        "-k", "--pattern", default="", help="only operations whose name contains this"
    )
    parser.add_argument(
        "--subject", default="fastcopyreg", help="package to test; stdlib: the harness itself"
    )
    parser.add_argument(
        "--if-possible", action="store_true", help="exit status 0 where it cannot be done"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    for hidden in ("--done", "--mark"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def groups(options):
    if options.group is not None:
        return options.group
    ours = options.subject == "stdlib"
    return [group for group in operations.GROUPS if ours or group not in operations.NOT_OURS_YET]


def main(arguments=None):
    options = parse(arguments)
    if not hasattr(_testcapi, "set_nomemory"):
        print(
            "oom.py: this interpreter has no _testcapi.set_nomemory; "
            "use a debug build (matrix run 3.15d)"
        )
        return 0 if options.if_possible else 2
    if options.child:
        run_group(options)
        return 0
    print(
        f"every allocation fails once: {options.subject} on Python {sys.version.split()[0]}, "
        f"leaks judged by {measure.judged_by()}",
        flush=True,
    )
    failed = 0
    for group in groups(options):
        lines, defects = examine_group(group, options)
        print(
            f"{group:10} {len(lines):4} operations {sum(line[1] for line in lines):7} allocations "
            f"{sum(line[2] for line in lines):5} absorbed {len(defects):4} defects",
            flush=True,
        )
        for defect in defects:
            print(f"  DEFECT {group}: {defect}".rstrip().replace("\n", "\n    "), flush=True)
        failed += len(defects) + (not lines)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
