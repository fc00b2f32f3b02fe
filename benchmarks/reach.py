"""How much of the time that a program and its processes pickle goes through fastcopyreg.

    python benchmarks/reach.py [NAME…]

Each program sends objects of a registered type through a library: multiprocessing's and
concurrent.futures' pools, joblib over loky, a dask cluster, a celery worker, Django's cache.  It
is run three times: with `install()` after its imports, before them, and with FASTCOPYREG_INSTALL=1
in every process.  A monitoring tool in each of them (from 3.12 on) takes the time of every call
from Python into a pickle module written in C, ours or the standard library's; calls within calls
are part of the outer one.  The table shows ours, in percent of both.
"""

import argparse
import contextlib
import importlib.util
import os
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

FOLDER = "FASTCOPYREG_REACH"
MODES = ("after", "before", "variable")

# --- what runs in every process, as its sitecustomize

METER = """
import os, struct, sys, threading, time

def meter(folder):
    import _pickle
    # Where the swap has been, its own notes have the originals.
    notes = sys.modules.get("fastcopyreg._stdlib")
    originals = vars(_pickle) if notes is None else notes.C_PICKLE
    theirs = {originals["Pickler"]: 1, originals["Unpickler"]: 1}
    words = ("dump", "dumps", "load", "loads")
    functions = {originals[word]: 1 for word in words}
    local = threading.local()
    totals = {}

    def ours():
        found = sys.modules.get("fastcopyreg.pickle")
        if getattr(found, "loads", originals["loads"]) not in functions:
            functions.update({getattr(found, word): 0 for word in words})
            theirs.update({found.Pickler: 0, found.Unpickler: 0})

    def side(function, first):
        "0 for ours, 1 for the standard library's, None for what is no pickling."
        try:
            if (known := functions.get(function)) is not None:
                return known
        except TypeError:
            return None
        if getattr(function, "__name__", None) not in words:
            return None
        owner = getattr(function, "__objclass__", None)
        if owner is None:
            owner = type(getattr(function, "__self__", None))
        for cls in owner.__mro__ if isinstance(owner, type) else ():
            if cls in theirs:
                return theirs[cls]
        return None

    def called(code, offset, function, first):
        ours()
        found = side(function, first)
        if found is not None:
            stack = local.__dict__.setdefault("stack", [])
            stack.append((function, found, time.perf_counter_ns()))

    def returned(code, offset, function, first):
        stack = local.__dict__.get("stack")
        if stack and stack[-1][0] == function:
            _, found, begun = stack.pop()
            if not stack:
                spent = totals.setdefault(os.getpid(), [0, 0])
                spent[found] += time.perf_counter_ns() - begun
                # At once and whole: a worker may be killed at any moment.
                place = os.open(os.path.join(folder, str(os.getpid())), os.O_WRONLY | os.O_CREAT)
                os.pwrite(place, struct.pack("2q", *spent), 0)
                os.close(place)

    monitoring = sys.monitoring
    tool = monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, "reach")
    for event, function in (("CALL", called), ("C_RETURN", returned), ("C_RAISE", returned)):
        monitoring.register_callback(tool, getattr(monitoring.events, event), function)
    monitoring.set_events(tool, monitoring.events.CALL)

if folder := os.environ.get("FASTCOPYREG_REACH"):
    meter(folder)
"""

MODELS = """
import copyreg

class Reading:
    def __init__(self, number, value, unit):
        self.number, self.value, self.unit = number, value, unit

def reduce_reading(reading):
    return Reading, (reading.number, reading.value, reading.unit)

copyreg.pickle(Reading, reduce_reading)

def readings(count=1000):
    return [Reading(i, i / 2, "m") for i in range(count)]

def back(readings):
    return readings
"""

# --- the programs: what they import, and what they do in between `install()` and the end

PROGRAMS = {
    "pools": (
        "multiprocessing",
        """
        import multiprocessing.pool, multiprocessing.queues, multiprocessing.managers
        import concurrent.futures.process
        """,
        """
        for method in multiprocessing.get_all_start_methods():
            context = multiprocessing.get_context(method)
            with context.Pool(2) as pool:
                pool.map(models.back, [models.readings() for _ in range(10)])
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                list(pool.map(models.back, [models.readings() for _ in range(10)]))
        """,
    ),
    "joblib": (
        "joblib",
        "import joblib",
        """
        work = joblib.delayed(models.back)
        joblib.Parallel(n_jobs=2)(work(models.readings()) for _ in range(20))
        """,
    ),
    "dask": (
        "distributed",
        "import distributed",
        """
        own = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
        with distributed.LocalCluster(**own) as cluster, distributed.Client(cluster) as client:
            sent = [models.readings(100) for _ in range(100)]
            client.gather(client.map(models.back, sent, pure=False))
        """,
    ),
    "celery": (
        "celery",
        "import celery, tasks",
        """
        import subprocess
        worker = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "celery", "-q", "-A", "tasks", "worker",
             "-c", "1", "-P", "prefork", "--without-gossip", "--without-mingle"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(10):
                tasks.back.delay(models.readings()).get(timeout=120)
        finally:
            worker.terminate()
            worker.wait(60)
        """,
    ),
    "django": (
        "django",
        """
        import django.conf
        django.conf.settings.configure(CACHES={
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                      "LOCATION": os.path.join(os.getcwd(), "cache")}})
        import django.core.cache
        """,
        """
        for cache in django.core.cache.caches["default"], django.core.cache.caches["files"]:
            for i in range(20):
                cache.set("readings", models.readings())
                cache.get("readings")
        """,
    ),
}

# A broker and a store of results that are folders.
TASKS = """
import os
from celery import Celery
import models

folder = os.environ["FASTCOPYREG_REACH_TASKS"]
app = Celery("tasks", broker="filesystem://", backend="file://" + folder)
app.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder,
                              "control_folder": folder},
    task_serializer="pickle", result_serializer="pickle", accept_content=["pickle"])

@app.task(name="tasks.back")
def back(readings):
    return readings
"""


def program(name, mode):
    """Return the program's source; what its processes by spawn import again does nothing."""
    _, imports, work = PROGRAMS[name]
    install = "import fastcopyreg; fastcopyreg.install()\n"
    parts = [
        install * (mode == "before"),
        textwrap.dedent(imports),
        "\nimport models\n",
        install * (mode == "after"),
        textwrap.dedent(work),
    ]
    body = textwrap.indent("".join(parts), "    ")
    return f"import os, sys\nif __name__ == '__main__':\n{body}"


def measure(name, mode):
    """Run the program; return the nanoseconds that went through ours, and through the other."""
    with tempfile.TemporaryDirectory() as folder:
        places = {part: Path(folder, part) for part in ("code", "spent", "tasks")}
        for place in places.values():
            place.mkdir()
        for file, text in (
            ("sitecustomize.py", METER),
            ("models.py", MODELS),
            ("tasks.py", TASKS),
            ("program.py", program(name, mode)),
        ):
            (places["code"] / file).write_text(text)
        searched = [str(places["code"]), os.environ.get("PYTHONPATH", "")]
        told = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, searched)),
            "FASTCOPYREG_INSTALL": "1" if mode == "variable" else "0",
            FOLDER: str(places["spent"]),
            FOLDER + "_TASKS": str(places["tasks"]),
            "C_FORCE_ROOT": "1",
        }
        told.pop("PYTHONSAFEPATH", None)
        run([sys.executable, "-W", "ignore", str(places["code"] / "program.py")], told, folder)
        written = [place.read_bytes() for place in places["spent"].iterdir()]
        spent = [struct.unpack("2q", data) for data in written if data]
    return tuple(map(sum, zip(*spent, strict=True)))


def run(command, environment, folder):
    """Run a program in a session of its own, of which nothing is left when it ends or hangs."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, start_new_session=True, stdout=said, stderr=said
        )
        try:
            status = process.wait(300)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if status:
            said.seek(0)
            sys.exit(f"{said.read()}\n{command[-1]} ended with status {status}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PROGRAMS))
    options = parser.parse_args()
    if unknown := set(options.names) - set(PROGRAMS):
        parser.error(f"there are no programs {', '.join(sorted(unknown))}")
    print(f"{'':10}" + "".join(f"{mode:>10}" for mode in MODES), flush=True)
    for name in options.names or PROGRAMS:
        if importlib.util.find_spec(PROGRAMS[name][0]) is None:
            print(f"{name:10}  {PROGRAMS[name][0]} is missing")
            continue
        shares = [measure(name, mode) for mode in MODES]
        print(f"{name:10}" + "".join(f"{100 * a / (a + b):8.1f} %" for a, b in shares), flush=True)


if __name__ == "__main__":
    main()
