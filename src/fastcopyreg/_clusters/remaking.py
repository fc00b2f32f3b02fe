"""Subclasses of the standard library's picklers, made again over ours: what `clusters` says."""

from .._backend import backend
from ..install import (
    InstallReport,
    Substitutes,
    Swap,
    module_of,
    standard_pairs,
    subclasses_of,
    twin_of,
)

# For each name, the packages whose classes are remade.
LIBRARIES = {
    "celery": ("billiard", "kombu"),
    "cloudpickle": ("cloudpickle",),
    "distributed": ("cloudpickle", "distributed"),
    "joblib": ("cloudpickle", "joblib", "loky"),
    "loky": ("cloudpickle", "loky"),
    "torch": ("torch",),
}

_in_force = []
"""The swaps that were made, the last one last."""


def remake(*names):
    """Make the picklers of these libraries again over ours; return an `InstallReport`.

    Names are those of `LIBRARIES`; ValueError, having done nothing, for another.  What is not
    imported has nothing to remake.  A class that cannot be made again (its metaclass or
    ``__init_subclass__`` refuses) is named in ``unreachable``.  On the Python backend nothing is
    done.
    """
    for name in names:
        if name not in LIBRARIES:
            known = ", ".join(map(repr, LIBRARIES))
            raise ValueError(f"there is no library {name!r} (there are {known})")
    if backend != "c":
        return InstallReport(backend)
    packages = {package for name in names for package in LIBRARIES[name]}
    pairs, failures = _remade(packages)
    swap = Swap(pairs, type.__setattr__)
    unreachable = swap.enter()
    _in_force.append(swap)
    return InstallReport(backend, swap.replaced(), [*failures, *unreachable])


def _remade(packages):
    """Return pairs (class, the same over ours), bases first, and (place, reason) of failures."""
    standard = standard_pairs()
    bases = [old for old, _ in standard if isinstance(old, type)]
    substitutes = Substitutes(standard)
    pairs, failures = [], []
    for cls in sorted(subclasses_of(bases), key=lambda cls: len(cls.__mro__)):
        if module_of(cls).partition(".")[0] not in packages:
            continue
        try:
            twin = twin_of(cls, substitutes)
        except Exception as error:
            failures.append((f"{module_of(cls)}.{cls.__qualname__}", f"{error}"))
            continue
        substitutes.add(cls, twin)
        pairs.append((cls, twin))
    return pairs, failures


def restore():
    """Undo every `remake`: each place gets back what it had, unless it was changed meanwhile."""
    while _in_force:
        _in_force.pop().leave()


def any_in_force():
    """Return whether something is remade."""
    return bool(_in_force)
