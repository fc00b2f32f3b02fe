"""Two things that can be installed: the package itself, and stand-ins for a C core.

The stand-ins are pure Python and replace the same names, so that the machinery of `install` is
tested where the core is missing, and apart from it.
"""

import copy as std_copy
import pickle as std_pickle
import sys
from types import SimpleNamespace

import fastcopyreg
from fastcopyreg import _stdlib
from fastcopyreg.install import InstallReport, Swap, install, uninstall

HAS_REPLACE = hasattr(std_copy, "replace")


class Pickler(std_pickle._Pickler):
    """Stands in for the core's Pickler."""


class Unpickler(std_pickle._Unpickler):
    """Stands in for the core's Unpickler."""


def dump(obj, file, protocol=None, *, fix_imports=True, buffer_callback=None):
    """Stands in for the core's dump."""
    Pickler(file, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback).dump(obj)


def dumps(obj, protocol=None, *, fix_imports=True, buffer_callback=None):
    """Stands in for the core's dumps."""
    return std_pickle._dumps(
        obj, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback
    )


def load(file, **options):
    """Stands in for the core's load."""
    return std_pickle._load(file, **options)


def loads(data, /, **options):
    """Stands in for the core's loads."""
    return std_pickle._loads(data, **options)


def copy(x):
    """Stands in for the core's copy."""
    return _stdlib.copy(x)


def deepcopy(x, memo=None):
    """Stands in for the core's deepcopy."""
    return _stdlib.deepcopy(x, memo)


def replace(obj, /, **changes):
    """Stands in for the core's replace."""
    return _stdlib.replace(obj, **changes)


_PICKLE_NAMES = ("Pickler", "Unpickler", "dump", "dumps", "load", "loads")
_COPY_NAMES = ("copy", "deepcopy", "replace") if HAS_REPLACE else ("copy", "deepcopy")


def set_module(cls, name):
    """Stands in for the core's set_type_module."""
    cls.__module__ = name


def _stand_in_pairs():
    pairs = [(_stdlib.PICKLE[name], globals()[name]) for name in _PICKLE_NAMES]
    pairs += [(_stdlib.COPY[name], globals()[name]) for name in _COPY_NAMES]
    return [*pairs, (_stdlib.register_reducer, fastcopyreg.copyreg.pickle)]


class StandIns:
    """`install` and `uninstall` of the stand-ins, as if they were the core."""

    kind = "stand-ins"
    ours = SimpleNamespace(**{name: globals()[name] for name in _PICKLE_NAMES + _COPY_NAMES})

    def __init__(self, set_type_module=set_module):
        self.swap = Swap(_stand_in_pairs(), set_type_module)
        self.replaced = self.unreachable = ()

    def held_elsewhere(self):
        return self.swap.held_elsewhere()

    def install(self):
        self.unreachable = self.swap.enter()
        self.replaced = self.swap.replaced()

    def uninstall(self):
        self.swap.leave()


class Core:
    """`install` and `uninstall` of the package on its C backend."""

    kind = "c"
    ours = SimpleNamespace(
        **{name: getattr(fastcopyreg.pickle, name) for name in _PICKLE_NAMES},
        **{name: getattr(fastcopyreg.copy, name) for name in _COPY_NAMES},
    )

    def __init__(self):
        self.report = InstallReport("c")

    @property
    def replaced(self):
        return self.report.replaced

    @property
    def unreachable(self):
        return self.report.unreachable

    def held_elsewhere(self):
        return self.report.unreachable

    def install(self):
        self.report = install()

    def uninstall(self):
        uninstall()


KINDS = {}
if sys.implementation.name == "cpython":  # PyPy pickles functions and classes in other ways.
    KINDS["stand-ins"] = StandIns
if fastcopyreg.backend == "c":
    KINDS["c"] = Core


def every_global():
    """Return each global of each loaded module as (module, name, object), in order.

    The module that does the installing is left out: its own state changes. So does Hypothesis's,
    which counts the time that the collector takes.
    """
    return [
        (key, name, value)
        for key, module in list(sys.modules.items())
        if type(module) is type(sys) and key != Swap.__module__
        if not key.startswith("hypothesis")
        for name, value in list(vars(module).items())
    ]
