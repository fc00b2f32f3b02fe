"""What a process has registered, packed for another one.

Each registration is a parcel of its own, so that one which cannot be packed, or cannot be opened
where its module is missing, keeps back no other.  What belongs to ``__main__`` travels by value
where cloudpickle is there to do it.
"""

import sys

from .. import _constructors, _stdlib, copyreg, registration
from .._holders import full_name, module_of

# Whose reducers are in every process of a cluster.  That of tblib is for all exception classes.
_DASKS = ("dask", "distributed", "tblib")


class Parcel:
    """A registration: the function that makes it, and its arguments as bytes.

    ``why_not`` says why there are none, if they could not be pickled.
    """

    __slots__ = ("contents", "label", "why_not")

    def __init__(self, label, function, *arguments):
        self.label = label
        self.contents = self.why_not = None
        try:
            self.contents = _dumps((function, arguments))
        except Exception as error:
            self.why_not = _words(error)

    def open(self):
        """Make the registration in this process; return why it cannot be made, None if it is."""
        if self.contents is None:
            return self.why_not
        try:
            function, arguments = _stdlib.PICKLE["loads"](self.contents)
            function(*arguments)
        except Exception as error:
            return _words(error)
        return None


def _words(error):
    return f"{type(error).__name__}: {error}"


def _dumps(value):
    try:
        from cloudpickle import dumps
    except ImportError:
        dumps = _stdlib.PICKLE["dumps"]
    return dumps(value)


def packed():
    """Return a list of parcels with what was registered here by others than the standard library.

    That is the extension registry, ``dispatch_table`` and the safe constructors.
    """
    return [*_extensions(), *_reducers(), *_safe_constructors()]


def _extensions():
    for (module, name), code in list(copyreg._extension_registry.items()):
        yield Parcel(f"extension code {code}", copyreg.add_extension, module, name, code)


def _reducers():
    for cls, reducer in list(copyreg.dispatch_table.items()):
        if not isinstance(cls, type) or _is_everywhere(cls, reducer):
            continue
        label = f"reducer of {full_name(cls)}"
        declared = registration.registration_of(cls)
        if declared is None:
            yield Parcel(label, register_reducer, cls, reducer)
        else:
            yield Parcel(label, registration.register_again, declared)


def _safe_constructors():
    for constructor in _constructors.registered_constructors():
        if _package_of(constructor) not in sys.stdlib_module_names:
            label = f"constructor {getattr(constructor, '__qualname__', constructor)}"
            yield Parcel(label, copyreg.constructor, constructor)


def _is_everywhere(cls, reducer):
    """Return whether every process of a cluster registers it by itself: what the standard library
    and dask do, and what a package does for a class that nobody else can find by its name.
    """
    packages = {_package_of(cls), _package_of(reducer)}
    if _package_of(reducer) in _DASKS or packages <= sys.stdlib_module_names:
        return True
    return len(packages) == 1 and "__main__" not in packages and not _can_be_found(cls)


def _can_be_found(cls):
    found = sys.modules.get(module_of(cls))
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls or "<locals>" in cls.__qualname__


def _package_of(object):
    """Return the name of the package in which a class or function says it was made, or None."""
    try:
        module = module_of(object) if isinstance(object, type) else object.__module__
    except Exception:
        return None
    return module.partition(".")[0] if type(module) is str else None


def register_reducer(cls, reducer):
    """Register *reducer*, unless the import of what was in the parcel has done so."""
    if copyreg.dispatch_table.get(cls) is not reducer:
        copyreg.pickle(cls, reducer)


def opened(parcels):
    """Make these registrations in this process; return pairs (label, why it cannot be made)."""
    failures = ((parcel.label, parcel.open()) for parcel in parcels)
    return [(label, reason) for label, reason in failures if reason is not None]
