"""multiprocessing and concurrent.futures under every start method, with the swap in all processes:
the outcome, failures too, is that of the standard library.
"""

import multiprocessing
import os
import subprocess
import sys

import pytest

import fastcopyreg
from fastcopyreg.install import VARIABLE
from support.folders import TESTS

PROGRAM = TESTS / "support" / "pools.py"
METHODS = sorted(multiprocessing.get_all_start_methods())

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(fastcopyreg.backend != "c", reason="there is nothing to install"),
]


def run(method, variable):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM), method],
        env={**os.environ, VARIABLE: variable},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("method", METHODS)
def test_what_travels_and_what_cannot(method):
    """Also a worker that dies, and objects that cannot be pickled or loaded: nothing hangs."""
    with_swap, errors = run(method, "1")
    without, expected_errors = run(method, "0")
    assert with_swap == without
    assert "example [1, 2, 3, 4]\nmany True\n" in with_swap
    for name in ("executor", "died", "queue", "pipe"):
        assert f"\n{name} True\n" in with_swap
    # The feeder thread of the queue says what it could not pickle.
    assert "ValueError: refuses to be pickled" in errors
    assert "ValueError: refuses to be pickled" in expected_errors
