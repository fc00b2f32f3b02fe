"""The short form of `make oom`, on debug builds: a few operations of every group."""

import importlib.util
import subprocess
import sys

import pytest

from support.folders import TESTS

OOM = TESTS / "harness" / "oom.py"

pytestmark = [
    pytest.mark.core,
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(sys, "gettotalrefcount") or importlib.util.find_spec("_testcapi") is None,
        reason="release builds answer other ills of the interpreter's own as well",
    ),
]


@pytest.mark.parametrize(
    "pattern",
    ["recursive object", "registered state", "frames", "Pickler", "memo", "refused", "safe"],
)
def test_every_failed_allocation_is_a_memory_error(pattern):
    command = [sys.executable, str(OOM), "-k", pattern]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
