"""An interpreter that ends is a normal state: finalisers pickle, load and copy as there.

What is asked of the interpreter (`sys.modules`, builtins, codecs, any module) is gone sooner or
later, at each of the moments at which `support.late` has an object die.
"""

import pickle as std_pickle
import subprocess
import sys

import pytest

from support import late
from support.folders import TESTS

INTERPRETERS = ("main", "shared GIL", "own GIL")

CRASH = "crash"


def holders_in(interpreter):
    """Return what holds objects; with the interpreter's dict datetime's module itself crashes."""
    holders = set(late.HOLDERS) - {"interpreter"}
    if interpreter == "main" or sys.version_info < (3, 14):
        holders.remove("thread")  # It is not cleared, or threads end the process.
    return sorted(holders)


IN_A_SUBINTERPRETER = """
import {module} as interpreters
interpreter = interpreters.create({config})
interpreters.run_string(interpreter, {program!r})
interpreters.destroy(interpreter)
"""


def in_subinterpreter(program, interpreter):
    """Return a program that runs another in a subinterpreter, which it then closes."""
    isolated = interpreter == "own GIL"
    if sys.version_info < (3, 12):
        if isolated:
            pytest.skip("3.12 is the first version with a GIL for each interpreter")
        names = {"module": "_xxsubinterpreters", "config": ""}
    elif sys.version_info < (3, 13):
        names = {"module": "_xxsubinterpreters", "config": f"isolated={isolated}"}
    else:
        names = {"module": "_interpreters", "config": repr("isolated" if isolated else "legacy")}
    return IN_A_SUBINTERPRETER.format(program=program, **names)


def run(implementation, interpreter, holders, *arguments):
    """Return the lines that a child says while it ends, and its exit status."""
    here = str(TESTS)
    program = f"import sys; sys.path.insert(0, {here!r}); from support import late; "
    program += f"late.main{(implementation, ' '.join(holders), *arguments)!r}"
    if interpreter != "main":
        program = in_subinterpreter(program, interpreter)
    child = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=300
    )
    assert child.returncode <= 0, child.stderr
    return child.stdout.splitlines(), child.returncode


def said_by_each(implementation, interpreter, *arguments):
    """Return what each holder's object says; where it crashes, the others have a child without."""
    said, left = {}, holders_in(interpreter)
    while True:
        lines, status = run(implementation, interpreter, left, *arguments)
        begun = []  # One may die while another does all this.
        for line in lines:
            holder, _, rest = line.partition(" ")
            if rest == "begins":
                begun.append(holder)
                said[holder] = []
            elif rest == "ends":
                begun.remove(holder)
            else:
                said[holder.removesuffix(":")].append(outcome(line))
        if status == 0:
            return said
        assert begun, (implementation, status, lines[-1:])
        said[begun[-1]].append(CRASH)
        left.remove(begun[-1])


def outcome(line):
    """The result, or the type of the exception; what it says may name an address."""
    label, said = line.split(" | ")[:2]
    return label, said


@pytest.mark.core
@pytest.mark.slow
@pytest.mark.parametrize("interpreter", INTERPRETERS)
@pytest.mark.parametrize(
    ("warm", "tracked"),
    [
        pytest.param(False, True, id="first calls"),
        pytest.param(True, False, id="later calls, while garbage is cleared"),
    ],
)
def test_finalisers_have_the_outcome_of_the_standard_library(interpreter, warm, tracked):
    """The standard library crashes now and then; ours may do so where that does, as datetime's
    types crash where 3.13.0 has let go of their module."""
    theirs = said_by_each("std", interpreter, warm, tracked)
    ours = said_by_each("ours", interpreter, warm, tracked)
    assert ours.keys() == theirs.keys() >= {"nothing", "builtins", "sys", "fork"}
    for holder, expected in theirs.items():
        actual = ours[holder]
        if expected[-1] == CRASH:
            del expected[-1]
            assert len(actual) >= len(expected) + (actual[-1] == CRASH)
            actual = actual[: len(expected)]
        assert [pair for pair in zip(expected, actual, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.core
@pytest.mark.slow
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_what_crashes_the_standard_library_does_not_crash_ours(interpreter):
    """Strings with surrogates, when the table of error handlers is gone; and `explain`."""
    holders = ["fork", "codec", "codec_error", "audit"]
    lines, status = run("ours, explaining", interpreter, holders, False, True)
    assert status == 0
    outcomes = dict(outcome(line) for line in lines if " | " in line)
    for holder in holders:
        assert f"{holder} ends" in lines
        assert outcomes[f"{holder}: surrogate: loads (4)"] == "str"
        pickled = std_pickle.dumps("\udc80", 4).hex()
        assert outcomes[f"{holder}: surrogate: dumps 4 (4)"] == pickled
