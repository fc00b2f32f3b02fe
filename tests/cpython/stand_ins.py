"""Puts a package's drop-ins where CPython's own tests look for pickle, _pickle, copyreg and
copy.

Two ways: `put_in_place` sets modules of that name before the tests import them, so that only the
tests see ours; `install` asks the package to swap the whole process, as a program would. Either
way `strays` finds what a test module still holds of the standard library's where it ought to hold
ours: a run that tests the wrong thing must fail.
"""

import importlib
import os
import sys
import types

#: What must come from the C core, by module.
OURS = {
    "pickle": ("Pickler", "Unpickler", "dump", "dumps", "load", "loads"),
    "copy": ("copy", "deepcopy") + (("replace",) if sys.version_info >= (3, 13) else ()),
}

#: The modules that tests import, the standard library's C module included.
REPLACED = ("pickle", "_pickle", "copyreg", "copy")

#: Class attributes through which pickletester's classes name what they test.
SUBJECTS = (
    "pickler",
    "unpickler",
    "pickler_class",
    "unpickler_class",
    "Pickler",
    "Unpickler",
    "dump",
    "dumps",
    "load",
    "loads",
)


class WiringError(Exception):
    """What is about to be tested is not what was asked for."""


class StandIns:
    """The drop-ins of one package, and the standard library's originals that they stand in for."""

    def __init__(self, package):
        self.package = package
        self.std_modules = {name: importlib.import_module(name) for name in REPLACED}
        self.core = importlib.import_module(package + "._core")
        self.originals = self._names_ours(self.std_modules)
        self.ours = {name: getattr(self.core, name) for name in self.originals}

    @staticmethod
    def _names_ours(modules):
        return {
            name: getattr(modules[module], name)
            for module, names in OURS.items()
            for name in names
        }

    def put_in_place(self):
        """Makes `import pickle` (and the other three) give the package's drop-in from now on."""
        drop_ins = {
            name: importlib.import_module(f"{self.package}.{name}")
            for name in ("pickle", "copyreg", "copy")
        }
        drop_ins["_pickle"] = self._c_module(drop_ins["pickle"])
        self._check_offered(drop_ins)
        sys.modules.update(drop_ins)

    def _c_module(self, pickle):
        """A module that has `_pickle`'s names: from our `pickle` those that are ours, the others
        its own.
        """
        module = types.ModuleType("_pickle")
        vars(module).update(vars(self.std_modules["_pickle"]))
        for name in OURS["pickle"]:
            setattr(module, name, getattr(pickle, name))
        return module

    def install(self):
        """Swaps the whole process by the package's own `install()`."""
        importlib.import_module(self.package).install()
        self._check_offered(self.std_modules)

    def _check_offered(self, modules):
        for name, offered in self._names_ours(modules).items():
            if offered is not self.ours[name]:
                raise WiringError(f"{name} is {offered!r}, not {self.package}._core's")

    def strays(self, module, whole_modules):
        """Names in a test module, and in its classes, that still are the standard library's.

        *whole_modules*: the standard library's module objects count as strays too (where drop-ins
        stand beside them, not after `install()`, which changes them in place).
        """
        wrong = list(self.originals.values())
        if whole_modules:
            wrong += self.std_modules.values()
        for where, value in self._held(module):
            if any(self._is_or_inherits(value, original) for original in wrong):
                yield where

    def uses(self, module):
        """How many names in a test module, and in its classes, are ours."""
        ours = [*self.ours.values(), *(sys.modules[name] for name in REPLACED)]
        return sum(
            any(self._is_or_inherits(value, mine) for mine in ours)
            for _, value in self._held(module)
        )

    @staticmethod
    def _is_or_inherits(value, original):
        return value is original or (
            isinstance(value, type) and isinstance(original, type) and original in value.__mro__
        )

    @staticmethod
    def _held(module):
        for name, value in vars(module).items():
            yield f"{module.__name__}.{name}", value
            if isinstance(value, type):
                for attribute in SUBJECTS:
                    subject = getattr(value, attribute, None)
                    yield f"{module.__name__}.{name}.{attribute}", subject


def preamble(package):
    """Source that does in a child interpreter, started by a test with -c, what `put_in_place` did
    here.
    """
    folder = os.path.dirname(os.path.abspath(__file__))
    return (
        f"import sys; sys.path.insert(0, {folder!r}); import stand_ins; del sys.path[0]\n"
        f"stand_ins.StandIns({package!r}).put_in_place()\n"
    )
