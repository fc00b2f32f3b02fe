"""Repeats ordinary and failing operations in two equal phases, and judges what the second leaves
behind.

    python tests/harness/leaks.py                     every group of operations
    python tests/harness/leaks.py -g dumps -k slots   the dumps whose name says slots

The first phase warms up whatever is kept between calls (buffers, caches, interned names); the
second must add no references (debug builds), no blocks and no bytes. A growth is believed if it
comes again each time that an operation is measured. Exit status: 0 nothing leaks, 1 something
does.
"""

import argparse
import functools
import gc
import pathlib
import sys
import tracemalloc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

import measure

import operations

PHASE = 25  # repetitions in a phase; a leak of one block in each is told from noise
REPEATS = 5  # measurements that must all show a growth before it is called a leak
REPEATS_OF_FILLING = 24  # the same where tables fill: they must have been swept once


def leak_of(operation, phase=PHASE):
    """What the second phase of an operation leaves behind, or None if nothing does."""
    call = operation.prepare()
    operation.view(operations.once(call))
    phase = max(phase, operation.fills)
    for _ in range(phase):
        operations.once(call)
    for _ in range(REPEATS_OF_FILLING if operation.fills else REPEATS):
        grown = measure.growth(functools.partial(operations.once, call), phase)
        if not grown.is_leak() or (operation.fills and grown.blocks < phase // 4):
            return None
    return grown


def results_agree(operation):
    """Whether an operation gives the same twice: one that does not is not the operation it claims
    to be.
    """
    call = operation.prepare()
    return operation.view(operations.once(call)) == operation.view(operations.once(call))


def examine(group, subject, pattern, phase):
    """Measures a group's operations; returns (their number, lines about those that leak)."""
    chosen = [op for op in operations.GROUPS[group](subject) if pattern in op.name]
    defects = []
    for operation in chosen:
        if not results_agree(operation):
            defects.append(f"{operation.name}: two results differ")
        grown = leak_of(operation, phase)
        if grown is not None:
            repetitions = max(phase, operation.fills)
            defects.append(f"{operation.name}: {grown} in {repetitions} repetitions")
    return len(chosen), defects


def start():
    """Makes this process fit for measuring."""
    gc.disable()
    tracemalloc.start()
    operations.register()


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "-g", "--group", action="append", choices=operations.GROUPS, help="only this group"
    )
    parser.add_argument(
        "-k", "--pattern", default="", help="only operations whose name contains this"
    )
    parser.add_argument("--phase", type=int, default=PHASE, help="repetitions in a phase")
    parser.add_argument(
        "--subject", default="fastcopyreg", help="package to test; stdlib: the harness itself"
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    start()
    subject = operations.Subject(options.subject)
    say = functools.partial(print, flush=True)
    say(
        f"two equal phases: {options.subject} on Python {sys.version.split()[0]}, "
        f"judged by {measure.judged_by()}"
    )
    examined = failed = 0
    for group in options.group or operations.GROUPS:
        count, defects = examine(group, subject, options.pattern, options.phase)
        say(f"{group:10} {count:4} operations {len(defects):4} leak")
        for defect in defects:
            say(f"  LEAK {group}: {defect}")
        examined += count
        failed += len(defects)
    return 1 if failed or not examined else 0


if __name__ == "__main__":
    sys.exit(main())
