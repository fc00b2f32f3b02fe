"""A short run of harness/fuzz_safe.py, and that it would notice."""

import subprocess
import sys

from support.folders import TESTS

RUN = """
import sys
sys.path.insert(0, {tests!r})
from harness import fuzz_safe
{change}
sys.exit(fuzz_safe.main(["--count", "{count}", "--seed", "{seed}"]))
"""


def fuzz(change="", count=2000, seed=7):
    code = RUN.format(tests=str(TESTS), change=change, count=count, seed=seed)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=280
    )


def test_nothing_outside_the_allowed_set_is_called():
    done = fuzz()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was called" in done.stdout


def test_a_canary_that_is_allowed_is_noticed():
    done = fuzz("fuzz_safe.ALLOWED = (*fuzz_safe.ALLOWED, fuzz_safe.forbidden)")
    assert done.returncode == 1
    assert "called: " in done.stdout


def test_a_backend_that_differs_is_noticed():
    change = "from fastcopyreg._safe import machine\n"
    change += "machine.Machine.check_half = lambda machine, half: None"
    done = fuzz(change, 20_000)
    if "backend c" in done.stdout:
        assert done.returncode == 1
        assert "the backends differ" in done.stdout
