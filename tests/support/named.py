"""A module of a few classes and functions, two of them registered, in which names are found."""

import contextlib
import copyreg
import sys
import types

from fastcopyreg import _core

SOURCE = """
from operator import abs

class Point:
    __slots__ = ("x", "y")
    def __init__(self, x, y):
        self.x = x
        self.y = y

class Plain:
    def __init__(self, x, y):
        self.x = x
        self.y = y

class Called(Plain):
    pass

class Other:
    def __init__(self, *args):
        self.args = args

def make(*args):
    return Other(*args)

def reduce_point(p):
    return Point, (p.x, p.y)

def reduce_called(c):
    return Called, (c.x, abs(c.y))

def reduce_otherwise(o):
    return Other, (o.x, "otherwise")
"""

NAME = "found_names_module"


@contextlib.contextmanager
def made(monkeypatch):
    """The module, in place, and a compiler that reads at once; all is as it was afterwards."""
    module = types.ModuleType(NAME)
    exec(SOURCE, module.__dict__)
    monkeypatch.setitem(sys.modules, NAME, module)
    copyreg.pickle(module.Point, module.reduce_point)
    copyreg.pickle(module.Called, module.reduce_called)
    before = _core.plan_threshold(1)
    yield module
    _core.plan_threshold(before)
    copyreg.dispatch_table.pop(module.Point, None)
    copyreg.dispatch_table.pop(module.Called, None)
