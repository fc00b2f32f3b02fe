"""Copies of deep nesting on small C stacks, each in a process of its own: they are no crash, and
an exception only where it is one in the standard library."""

import copy as std_copy
import sys
import sysconfig
import threading

import pytest

import fastcopyreg.copy as ours
from support.child import Crash, in_child, requires_fork
from support.implementations import requires_core
from support.nested import Called, Planned

pytestmark = [requires_core, requires_fork]

DEBUG = bool(sysconfig.get_config_var("Py_DEBUG"))
"""Frames of C are several times as large there."""

MODULES = {"standard": std_copy, "ours": ours}


class Hooked:
    """Has the copy of what is in it made by the same module."""

    module = ours

    def __init__(self, inside):
        self.inside = inside

    def __deepcopy__(self, memo):
        return Hooked(self.module.deepcopy(self.inside, memo))


WRAPS = {"planned": Planned, "called": Called, "hooked": Hooked}


def copied(module, kind, depth, kilobytes, limit):
    """What came of a copy of so many levels in a thread with such a stack."""
    Hooked.module = MODULES[module]
    sys.setrecursionlimit(limit)
    found = []

    def work():
        for _ in range(200):
            MODULES[module].deepcopy(WRAPS[kind](1))
        source = 1
        for _ in range(depth):
            source = WRAPS[kind](source)
        try:
            MODULES[module].deepcopy(source)
            found.append("copied")
        except RecursionError:
            found.append("RecursionError")

    threading.stack_size(kilobytes << 10)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("depth", [400, 900, 3000])
def test_hooks_that_copy_on(depth):
    expected = in_child(copied, "standard", "hooked", depth, 1024, 1000)
    actual = in_child(copied, "ours", "hooked", depth, 1024, 1000)
    assert not isinstance(actual, Crash)
    assert actual == expected or actual == ("RecursionError" if DEBUG else "copied")


@pytest.mark.skipif(
    DEBUG, reason="compiled without optimisation, we need more than ordinary builds"
)
@pytest.mark.parametrize("depth", [200, 230, 290] if sys.version_info >= (3, 12) else [200, 230])
@pytest.mark.parametrize("kind", ["planned", "called"])
def test_reducers_nest_no_less_deeply(kind, depth):
    if in_child(copied, "standard", kind, depth, 256, 3000) == "copied":
        assert in_child(copied, "ours", kind, depth, 256, 3000) == "copied"
