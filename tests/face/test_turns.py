"""Tests side by side: one that measures has the machine to itself."""

import os
import shutil
import subprocess
import sys

import pytest

from support import folders

pytest.importorskip("xdist")
pytest.importorskip("fcntl")

pytestmark = pytest.mark.once

PLUGINS = ["-p", "no:benchmark", "-p", "no:hypothesispytest"]

CONFTEST = """
from support.turns import pytest_configure_node, pytest_runtest_protocol

def pytest_configure(config):
    config.addinivalue_line("markers", "alone: ")
"""

TESTS = """
import time
from pathlib import Path
import pytest

def note(kind):
    begin = time.monotonic()
    time.sleep(0.02)
    Path(f"{kind} {begin} {time.monotonic()}").touch()

@pytest.mark.alone
@pytest.mark.parametrize("number", range(8))
def test_measures(number):
    note("alone")

@pytest.mark.parametrize("number", range(24))
def test_others(number):
    note("shared")
"""


def side_by_side(folder):
    """Run the tests above in two processes; return when each of them ran."""
    shutil.copytree(
        folders.TESTS / "support", folder / "support", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_turns.py").write_text(TESTS)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", *PLUGINS],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert " passed" in finished.stdout, finished.stdout
    turns = [path.name.split() for path in folder.iterdir() if path.name.count(" ") == 2]
    return [(kind, float(begin), float(end)) for kind, begin, end in turns]


def met(turns, kinds):
    """How many pairs of such turns were there at the same time."""
    return sum(
        (kind, other_kind) == kinds and begin < other_end and other_begin < end
        for number, (kind, begin, end) in enumerate(sorted(turns))
        for other_kind, other_begin, other_end in sorted(turns)[number + 1 :]
    )


def test_who_is_alone_meets_nobody(tmp_path):
    turns = side_by_side(tmp_path)
    assert len(turns) == 32
    assert met(turns, ("alone", "alone")) == met(turns, ("alone", "shared")) == 0
    assert met(turns, ("shared", "shared")) > 0
