"""The registry of safe constructors: what was declared fit to be called by a load.

The standard library's ``copyreg`` checks such a declaration and forgets it.  Here it is kept, for
the life of the process, as ``dispatch_table`` keeps its reducers.
"""

from _collections_abc import Callable  # up to 3.12 `collections.abc` is another import
from types import BuiltinFunctionType, MethodType

# Keyed by identity: a constructor need not be hashable, and its ``__eq__`` is never asked.  Each
# entry owns what its key names, so no key is ever reused.  One dict operation a call, each atomic
# with the GIL and without, so there is no lock that a fork or a finalizer could find held.
_constructors: dict[object, Callable[..., object]] = {}


# What `fastcopyreg.safe` lets a load call by it: (object, "constructor"), and the classes of
# `register`, of which a load may find the name and set the state: (object, "class").  It only
# grows, so whoever keeps a policy asks for its length.
allowed: dict[object, tuple[object, str]] = {}


def _identity(constructor: Callable[..., object]) -> object:
    # A bound method is made anew by each access: what it binds is what it is.
    if type(constructor) is MethodType:
        return id(constructor.__func__), id(constructor.__self__)
    # Built-in methods too; their equality and hash compare pointers and run no Python.
    if type(constructor) is BuiltinFunctionType:
        return constructor
    return id(constructor)


def remember(constructor: Callable[..., object]) -> None:
    """Add *constructor*, already known to be callable; one that is there keeps its place."""
    _constructors.setdefault(_identity(constructor), constructor)
    allowed.setdefault(_identity(constructor), (constructor, "constructor"))


def remember_class(cls: type) -> None:
    """Add *cls*, whose objects a load may give a state."""
    allowed.setdefault(("class", id(cls)), (cls, "class"))


def registered_constructors() -> tuple[Callable[..., object], ...]:
    """Return the safe constructors of this process, a tuple in the order of their registration.

    They are those given to ``fastcopyreg.copyreg.constructor``, and as third argument to
    ``fastcopyreg.copyreg.pickle``, since fastcopyreg was imported, after `complex`, which
    ``copyreg`` itself registers so.  The tuple is a snapshot: registering later, in any thread,
    does not change it.  Constructors are held strongly and are never removed.
    """
    return tuple(_constructors.copy().values())


remember(complex)
