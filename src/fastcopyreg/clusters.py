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

from ._clusters.remaking import LIBRARIES, remake, restore

__all__ = ("LIBRARIES", "install_on", "remake", "restore", "uninstall_from")


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
