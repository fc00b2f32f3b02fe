"""Turns of the tests that pytest-xdist runs side by side: one that measures runs alone.

Every test holds the machine while it runs, one that is marked `alone` for itself, the others with
each other. Who wants it waits at a gate that one can hold, so that those who share it cannot keep
one out who does not. Both are record locks, which no child inherits and which end with a process.
"""

import contextlib
import os
import tempfile
from functools import partial
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:
    fcntl = None

FOLDER = pytest.StashKey()
LOCKS = pytest.StashKey()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """In the process that distributes the tests: tell a worker where the locks are."""
    if fcntl is None:
        raise pytest.UsageError("nothing keeps apart what measures: run the tests without -n")
    stash = node.config.stash
    if FOLDER not in stash:
        folder = tempfile.TemporaryDirectory(prefix="fastcopyreg-tests-")
        node.config.add_cleanup(folder.cleanup)
        stash[FOLDER] = folder.name
    node.workerinput["turns"] = stash[FOLDER]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Run a test when it has its turn, for which no timeout counts."""
    config = item.config
    if not hasattr(config, "workerinput"):
        return (yield)
    if LOCKS not in config.stash:
        config.stash[LOCKS] = opened(config, Path(config.workerinput["turns"]))
    with turn(*config.stash[LOCKS], alone=item.get_closest_marker("alone") is not None):
        return (yield)


def opened(config, folder):
    """The files that are locked, the gate first."""
    files = [os.open(folder / name, os.O_RDWR | os.O_CREAT) for name in ("gate", "machine")]
    for file in files:
        config.add_cleanup(partial(os.close, file))
    return files


@contextlib.contextmanager
def turn(gate, machine, alone):
    fcntl.lockf(gate, fcntl.LOCK_EX)
    fcntl.lockf(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    fcntl.lockf(gate, fcntl.LOCK_UN)
    try:
        yield
    finally:
        fcntl.lockf(machine, fcntl.LOCK_UN)
