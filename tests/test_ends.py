"""An interpreter that ends is a normal state: finalisers pickle, load and copy as there.

What is asked of the interpreter (`sys.modules`, builtins, codecs, any module) is gone sooner or
later, at each of the moments at which `support.late` has an object die.
"""

import pickle as std_pickle
import subprocess
import sys
from pathlib import Path

import pytest

from support import late

INTERPRETERS = ("main", "shared GIL", "own GIL")

# An object there outlives the interpreter's own dict, without which datetime's module itself
# crashes.
COMPARED = " ".join(holder for holder in late.HOLDERS if holder != "interpreter")

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


def what_is_said(implementation, interpreter, holders, *arguments):
    """Return the lines that a child says while it ends; it is not ended by a signal."""
    here = str(Path(__file__).parent)
    program = f"import sys; sys.path.insert(0, {here!r}); from support import late; "
    program += f"late.main{(implementation, holders, *arguments)!r}"
    if interpreter != "main":
        program = in_subinterpreter(program, interpreter)
    child = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=300
    )
    assert child.returncode == 0, (child.returncode, child.stdout[-300:], child.stderr[-2000:])
    return child.stdout.splitlines()


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
        pytest.param(True, True, id="later calls"),
        pytest.param(True, False, id="while garbage is cleared"),
    ],
)
def test_finalisers_have_the_outcome_of_the_standard_library(interpreter, warm, tracked):
    """Without strings that have surrogates: for these the standard library asks codecs that are
    gone, and crashes."""
    said = {
        implementation: what_is_said(
            implementation, interpreter, COMPARED, warm, tracked, ("surrogate",)
        )
        for implementation in ("std", "ours")
    }
    assert [line for line in said["ours"] if line.endswith(" end")] == [
        line for line in said["std"] if line.endswith(" end")
    ]
    ended = {line.removesuffix(" end") for line in said["ours"] if line.endswith(" end")}
    assert ended >= {"nothing", "module", "builtins", "sys", "fork", "codec"}
    expected, actual = (
        [outcome(line) for line in said[implementation] if " | " in line]
        for implementation in ("std", "ours")
    )
    assert len(actual) == len(expected) > 400 * len(ended)
    assert [pair for pair in zip(expected, actual, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.core
@pytest.mark.slow
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_what_crashes_the_standard_library_does_not_crash_ours(interpreter):
    """Strings with surrogates, when the table of error handlers is gone; and `explain`."""
    holders = "sys fork codec codec_error audit"
    said = what_is_said("ours, explaining", interpreter, holders, False, True)
    outcomes = dict(outcome(line) for line in said if " | " in line)
    for holder in holders.split():
        assert f"{holder} end" in said
        assert outcomes[f"{holder}: surrogate: loads (4)"] == "str"
        pickled = std_pickle.dumps("\udc80", 4).hex()
        assert outcomes[f"{holder}: surrogate: dumps 4 (4)"] == pickled
