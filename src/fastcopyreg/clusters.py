"""The picklers that other libraries have subclassed, made again over ours.

    from fastcopyreg import clusters

    fastcopyreg.install()
    clusters.remake("cloudpickle", "joblib")

The base of a class in C cannot be exchanged.  Where such a library was imported before `install`,
its subclasses of ``pickle.Pickler`` and ``Unpickler`` go the standard library's way, and
``report.unreachable`` names them.  `remake` makes each of them again, over ours, puts it into all
places where the first is held, and `restore` undoes that.  With FASTCOPYREG_INSTALL=1 nothing has
to be remade: the libraries are imported later than the swap, in every worker too.
"""

from ._backend import backend
from .install import (
    InstallReport,
    Substitutes,
    Swap,
    module_of,
    standard_pairs,
    subclasses_of,
    twin_of,
)

__all__ = ("install_on", "remake", "restore", "uninstall_from")

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


def install_on(client, *, registrations=True):
    """Swap in the scheduler and the workers of the dask cluster that *client* is connected to.

    Plug-ins are registered for those that run and for those to come: the scheduler and the workers
    call `install` and remake distributed's picklers, and what nannies start from now on (after
    ``client.restart()``, all workers) begins with the swap.  The process of the client itself is
    left to its program.  With *registrations*, what this process has registered by now (reducers,
    declarations by `register`, extension codes, safe constructors) is registered there too; call
    it again for what is registered later.

    Returns a dict with the `InstallReport` of each process by its address, whose ``unreachable``
    also names the registrations that could not be made there; of an asynchronous client, an
    awaitable.  fastcopyreg must be installed in all of them.
    """
    from ._clusters import dask

    return client.sync(dask.install_on, client, registrations)


def uninstall_from(client):
    """Undo `install_on` in the whole cluster.  What was registered stays so."""
    from ._clusters import dask

    return client.sync(dask.uninstall_from, client)
