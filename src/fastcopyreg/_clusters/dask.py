"""The swap in a dask cluster that runs already: plug-ins for its scheduler, nannies and workers.

Workers and the scheduler swap where they are.  Nannies put FASTCOPYREG_INSTALL into what they
give the processes that they start, so that a worker that is restarted begins with it.
"""

import os
from weakref import WeakSet

from distributed import NannyPlugin, SchedulerPlugin, WorkerPlugin

from .._backend import backend
from ..install import VARIABLE, InstallReport, install, installed, uninstall
from . import registrations, remaking

NAME = "fastcopyreg"

# --- a process

_asked = WeakSet()
"""The scheduler and the workers in this process for which it has the swap."""
_report = []
"""The `InstallReport` of this process, while somebody in it has asked."""
_undo = []
"""What puts this process back as it was."""


def enter(server, parcels):
    """Swap in this process on behalf of *server*, and make the registrations."""
    if not _asked:
        _undo[:] = [] if installed() else [uninstall]
        report = install()
        if not remaking.any_in_force():
            _undo.insert(0, remaking.restore)
        remade = remaking.remake("distributed")
        # What was remade since is no longer a subclass that was made earlier.
        places = set(remade.replaced)
        left = [pair for pair in report.unreachable if pair[0] not in places]
        unreachable = [*left, *(pair for pair in remade.unreachable if pair not in left)]
        _report[:] = [InstallReport(backend, report.replaced + remade.replaced, unreachable)]
    _asked.add(server)
    for label, reason in registrations.opened(parcels):
        _report[0].add_unreachable(label, reason)


def leave(server):
    """Undo `enter` when the last server in this process has left; registrations stay."""
    _asked.discard(server)
    if not _asked:
        for step in _undo:
            step()
        _undo.clear()
        _report.clear()


def report():
    """Return the `InstallReport` of this process, None if nobody has asked."""
    return _report[0] if _report else None


# --- the plug-ins


class SchedulerSwap(SchedulerPlugin):
    """Swaps in the scheduler's process: it loads the graphs, and pickles tasks and results."""

    name = NAME

    def __init__(self, parcels=()):
        self.parcels = parcels

    async def start(self, scheduler):
        """Called when the plug-in is registered."""
        enter(scheduler, self.parcels)


class WorkerSwap(WorkerPlugin):
    """Swaps in a worker's process, before it takes its first task if it is new."""

    name = NAME

    def __init__(self, parcels=()):
        self.parcels = parcels

    def setup(self, worker):
        """Called when the plug-in is registered, or the worker is new."""
        enter(worker, self.parcels)

    def teardown(self, worker):
        """Called when the plug-in is unregistered, and when the worker ends."""
        leave(worker)


_changed = WeakSet()
"""The nannies of this process that were told to set the variable."""
_before = []
"""What it was in this process, None if it was not set; else nothing."""


class NannySwap(NannyPlugin):
    """Has the workers that a nanny starts begin with the swap."""

    name = NAME

    def setup(self, nanny):
        """Called when the plug-in is registered, or the nanny is new."""
        if nanny.pre_spawn_env.get(VARIABLE, "0") in ("", "0"):
            # The nanny copies it into its own environment whenever it starts a worker.
            if not _changed:
                _before[:] = [os.environ.get(VARIABLE)]
            nanny.pre_spawn_env[VARIABLE] = "1"
            _changed.add(nanny)

    def teardown(self, nanny):
        """Called when the plug-in is unregistered, and when the nanny ends."""
        if nanny in _changed:
            _changed.discard(nanny)
            nanny.pre_spawn_env.pop(VARIABLE, None)
            if not _changed:
                _restore_variable(_before.pop())


def _restore_variable(before):
    if before is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = before


# --- a cluster


async def install_on(client, with_registrations):
    """Register the plug-ins; return the report of each process by its address."""
    parcels = registrations.packed() if with_registrations else []
    await client.register_plugin(SchedulerSwap(parcels))
    await client.register_plugin(NannySwap())
    await client.register_plugin(WorkerSwap(parcels))
    reports = await client.run(report)
    reports[client.scheduler.address] = await client.run_on_scheduler(report)
    return reports


async def uninstall_from(client):
    """Unregister the plug-ins, which put the processes back as they were."""
    await client.unregister_worker_plugin(NAME)
    await client.unregister_worker_plugin(NAME, nanny=True)
    await client.run_on_scheduler(_leave_scheduler)
    await client.unregister_scheduler_plugin(NAME)


def _leave_scheduler(dask_scheduler):
    leave(dask_scheduler)
