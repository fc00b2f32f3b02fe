"""dask.distributed: the swap in scheduler, nannies and workers, by the variable before they start
and by plug-ins while they run, and the client's registrations in all of them.
"""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import fastcopyreg

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None, reason="needs distributed"
    ),
]
requires_core = pytest.mark.skipif(
    fastcopyreg.backend != "c", reason="the Python backend has nothing to swap"
)

# What workers can import, and which registers nothing by itself.
MODELS = """
import sys

class Reading:
    def __init__(self, number, unit):
        self.number, self.unit = number, unit

class Sealed:
    "Can be pickled by those who have been told how."

    def __init__(self, value):
        self.value = value

    def __reduce_ex__(self, protocol):
        raise TypeError("nobody has told how")

def reduce_reading(reading):
    return make_reading, (reading.number, reading.unit)

def make_reading(number, unit):
    return Reading(number, unit)

def reduce_sealed(sealed):
    return Sealed, (sealed.value,)

class Declared:
    def __init__(self, x, lock=None):
        self.x, self.lock = x, lock

class Coded:
    pass

def state():
    "What matters of a process."
    import pickle
    from distributed.protocol import pickle as theirs
    ours = sys.modules.get("fastcopyreg")
    return (
        ours is not None and pickle.Pickler is ours.pickle.Pickler,
        ours is not None and ours.pickle.Pickler in theirs._DaskPickler.__mro__,
    )

def restarted():
    "Whether this process began with the swap, so that nothing had to be remade."
    import fastcopyreg
    from fastcopyreg import clusters
    remade = clusters.remake("distributed")
    return (fastcopyreg.install().unreachable, remade.replaced) == ((), ())
"""

PRELUDE = """
import copyreg, faulthandler, os, pickle, sys, threading
faulthandler.dump_traceback_later(150, exit=True)
from distributed import Client, LocalCluster
import fastcopyreg, models
from fastcopyreg import clusters

def everywhere(client, function):
    "The answers of the scheduler, the workers and the nannies."
    return (
        client.run_on_scheduler(function),
        set(client.run(function).values()),
        set(client.run(function, nanny=True).values()),
    )
"""


def end(process):
    """End a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment(folder, **changes):
    (folder / "models.py").write_text(MODELS)
    searched = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    kept = {k: v for k, v in os.environ.items() if k != "FASTCOPYREG_INSTALL"}
    return {**kept, "PYTHONPATH": searched, **changes}


def run(folder, script, *arguments, timeout=180, **changes):
    """Run a script in a session of its own, so that nothing of it is left when it hangs."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + textwrap.dedent(script), *arguments],
        env=environment(folder, **changes),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=timeout)
    finally:
        end(process)
    assert process.returncode == 0, out + errors
    return out


LOCAL = "LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)"


@requires_core
def test_the_variable_reaches_every_process_of_a_local_cluster(tmp_path):
    script = f"""
        with {LOCAL} as cluster, Client(cluster) as client:
            yes = (True, True)
            assert everywhere(client, models.state) == (yes, {{yes}}, {{yes}})
            assert set(client.run(models.restarted).values()) == {{True}}
            copyreg.pickle(models.Reading, models.reduce_reading)
            sent = [models.Reading(i, "m") for i in range(50)]
            back = client.gather(client.map(lambda r: r, sent))
            assert [r.number for r in back] == list(range(50))
    """
    run(tmp_path, script, FASTCOPYREG_INSTALL="1")


@requires_core
def test_plugins_in_a_running_cluster(tmp_path):
    script = f"""
        with {LOCAL} as cluster, Client(cluster) as client:
            others = (False, False)
            assert everywhere(client, models.state)[1:] == ({{others}}, {{others}})
            reports = clusters.install_on(client)
            assert len(reports) == 3 and cluster.scheduler_address in reports
            for report in reports.values():
                assert report.backend == "c" and "pickle.Pickler" in report.replaced
                assert "distributed.protocol.pickle._DaskPickler" in report.replaced
                # A module of the standard library in C keeps `deepcopy` to itself.
                known = ("_elementtree", "a module holds it")
                left = [each for each in report.unreachable if each != known]
                left = [place for place, reason in left if "subclass" not in reason]
                assert left == [], report
            assert everywhere(client, models.state)[:2] == ((True, True), {{(True, True)}})
            assert client.submit(sum, [1, 2]).result(60) == 3
            cluster.scale(3)
            client.wait_for_workers(3, timeout=60)
            assert set(client.run(models.state).values()) == {{(True, True)}}, "a new worker"
            client.restart()
            assert set(client.run(models.restarted).values()) == {{True}}
            clusters.install_on(client)
            clusters.uninstall_from(client)
            assert everywhere(client, models.state)[0] == others
            assert "FASTCOPYREG_INSTALL" not in os.environ
            client.restart()
            assert set(client.run(models.state).values()) == {{others}}
    """
    run(tmp_path, script)


def test_the_clients_registrations_travel(tmp_path):
    """Of what can be imported and of what is the client's own, in each way to register."""
    script = f"""
        class Mine:
            def __init__(self, value):
                self.value = value
            def __reduce_ex__(self, protocol):
                raise TypeError("nobody has told how")

        def reduce_mine(mine):
            return Mine, (mine.value,)

        def facts():
            import copyreg, fastcopyreg
            from fastcopyreg.registration import registration_of
            return (
                copyreg.dispatch_table.get(models.Reading) is models.reduce_reading,
                registration_of(models.Declared) is not None,
                copyreg._extension_registry.get(("models", "Coded")),
                models.make_reading in fastcopyreg.registered_constructors(),
            )

        def use(reading, sealed, declared, coded, mine):
            assert (sealed.value, declared.x, declared.lock, mine.value) == (1, 2, None, 3)
            lock = __import__("threading").Lock()
            made = models.Reading(reading.number + 1, "m"), models.Sealed(4)
            return (*made, models.Declared(5, lock), coded, type(mine)(6))

        with {LOCAL} as cluster, Client(cluster) as client:
            copyreg.pickle(models.Sealed, models.reduce_sealed)
            fastcopyreg.copyreg.pickle(models.Reading, models.reduce_reading, models.make_reading)
            fastcopyreg.register(models.Declared, fields=("x",), exclude=("lock",))
            copyreg.add_extension("models", "Coded", 200)
            copyreg.pickle(Mine, reduce_mine)
            reports = clusters.install_on(client)
            for report in reports.values():
                left = [place for place, _ in report.unreachable if "of models" in place]
                assert left == [], report
            assert set(client.run(facts).values()) == {{(True, True, 200, True)}}
            values = (models.Reading(0, "s"), models.Sealed(1),
                models.Declared(2, threading.Lock()), models.Coded, Mine(3))
            reading, sealed, declared, coded, mine = client.submit(use, *values).result(60)
            assert (reading.number, sealed.value, declared.x, declared.lock) == (1, 4, 5, None)
            assert coded is models.Coded and (type(mine), mine.value) == (Mine, 6)
            client.restart()
            assert set(client.run(facts).values()) == {{(True, True, 200, True)}}, "new workers"
            clusters.uninstall_from(client)
    """
    run(tmp_path, script)


def test_a_registration_that_cannot_travel_is_named(tmp_path):
    """And keeps no other back."""
    script = f"""
        class Locked:
            def __init__(self):
                self.lock = threading.Lock()
            def __call__(self, obj):
                return models.Coded, ()

        def ours():
            return models.Reading in copyreg.dispatch_table, models.Coded in copyreg.dispatch_table

        with {LOCAL} as cluster, Client(cluster) as client:
            copyreg.pickle(models.Coded, Locked())
            copyreg.pickle(models.Reading, models.reduce_reading)
            reports = clusters.install_on(client)
            for report in reports.values():
                left = dict(report.unreachable)
                assert "cannot pickle" in left["reducer of models.Coded"], report
            assert set(client.run(ours).values()) == {{(True, False)}}
            clusters.uninstall_from(client)
            clusters.install_on(client, registrations=False)
            clusters.uninstall_from(client)
    """
    run(tmp_path, script)


def test_an_asynchronous_client(tmp_path):
    script = """
        import asyncio

        async def main():
            own = {"processes": False, "asynchronous": True, "dashboard_address": None}
            async with (LocalCluster(n_workers=1, **own) as cluster,
                        Client(cluster, asynchronous=True) as client):
                reports = await clusters.install_on(client)
                assert len(reports) == 2
                assert fastcopyreg.installed() == (fastcopyreg.backend == "c")
                await clusters.uninstall_from(client)
                assert not fastcopyreg.installed()
                fastcopyreg.install()
                await clusters.install_on(client)
                await clusters.uninstall_from(client)
                assert fastcopyreg.installed() == (fastcopyreg.backend == "c"), "as it was"

        asyncio.run(main())
    """
    run(tmp_path, script)


@requires_core
@pytest.mark.parametrize("by", ["variable", "configuration", "plug-in"])
def test_by_the_command_line(tmp_path, by):
    """`dask scheduler` and `dask worker`, with nannies: by the environment, or from the client."""
    changes = {"variable": {"FASTCOPYREG_INSTALL": "1"}}
    # For the workers alone.  By a variable it cannot be said: dask takes those in small letters.
    (tmp_path / "dask.yaml").write_text(
        'distributed: {nanny: {pre-spawn-environ: {FASTCOPYREG_INSTALL: "1"}}}'
    )
    changes["configuration"] = {"DASK_CONFIG": str(tmp_path / "dask.yaml")}
    told = environment(tmp_path, **changes.get(by, {}))
    where = tmp_path / "scheduler.json"
    shared = ["--host", "127.0.0.1", "--scheduler-file", str(where)]
    commands = [
        [
            "scheduler",
            "--port",
            "0",
            "--no-show",
            "--dashboard-address",
            ":0",
            "--host",
            "127.0.0.1",
            *shared,
        ],
        ["worker", "--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--nanny", *shared]
        + ["--death-timeout", "100", "--host", "127.0.0.1", "--local-directory", str(tmp_path)],
    ]
    processes = []
    script = """
        by, where = sys.argv[1:]
        yes, no = (True, True), (False, False)
        expected = {
            "variable": (yes, {yes}, {yes}),
            "configuration": (no, {yes}, {no}),
            "plug-in": (yes, {yes}, {no}),
        }
        fastcopyreg.install()
        with Client(scheduler_file=where, timeout=100) as client:
            client.wait_for_workers(2, timeout=100)
            copyreg.pickle(models.Sealed, models.reduce_sealed)
            if by == "plug-in":
                clusters.install_on(client)
            assert everywhere(client, models.state) == expected[by]
            if by != "plug-in":
                assert set(client.run(models.restarted).values()) == {True}
                clusters.install_on(client)  # The registrations.
            back = client.submit(lambda s: s, models.Sealed("there")).result(60)
            assert back.value == "there"
    """
    log = tmp_path / "log"
    try:
        with log.open("w") as output:
            for command in commands:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-W", "ignore", "-m", "dask", *command],
                        env=told,
                        cwd=tmp_path,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                    )
                )
        run(tmp_path, script, by, str(where))
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text()}") from None
    finally:
        for process in reversed(processes):
            end(process)
