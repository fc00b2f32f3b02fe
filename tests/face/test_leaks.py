"""The short form of `make leaks`: fewer operations and repetitions, in a process of their own."""

import subprocess
import sys

import pytest

from support.folders import TESTS

LEAKS = TESTS / "harness" / "leaks.py"
SHORT = ["--phase", "8"]


def leaks(*arguments):
    command = [sys.executable, str(LEAKS), *SHORT, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.core
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts CPython's blocks")
@pytest.mark.parametrize("pattern", ["protocol 2", "protocol 5", "memo", "deepcopy", "safe"])
def test_nothing_leaks(pattern):
    done = leaks("-k", pattern)
    assert done.returncode == 0, done.stdout + done.stderr
