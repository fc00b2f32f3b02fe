"""Races objects that travel, in one process, with the swap against without.

    python benchmarks/race_travel.py [--rounds N]

    celery       a task with 1,000 registered objects as argument, and as result: the time that
                 kombu's pickle serializer takes for both, there and back
    forking      `ForkingPickler.dumps` of one small registered object, with distributed imported
                 if it is there: it registers 200 reducers
    pickler      one small registered object through a fresh Pickler
    pool         `Pool.map` of 100,000 registered objects and back, the pool being there
    dates        the same with rows of dates and Decimals
    joblib       100,000 registered objects through joblib's loky and back, in 20 tasks
    dask         a graph of 10,000 tasks with ten registered objects each, there and back, in a
                 `LocalCluster` of two processes

Both are run turn and turn about.  The first three race by `install()` and `uninstall()` in
this process; pools are made of workers with and without FASTCOPYREG_INSTALL, by spawn.  joblib
and dask are two programs, with FASTCOPYREG_INSTALL and without, in all their processes.
"""

import argparse
import contextlib
import copyreg
import datetime
import decimal
import importlib.util
import io
import multiprocessing
import os
import pickle
import statistics
import subprocess
import sys
import time
from multiprocessing.reduction import ForkingPickler  # noqa: F401  So that it is loaded.

import fastcopyreg


class Reading:
    def __init__(self, number, value, unit):
        self.number, self.value, self.unit = number, value, unit


def reduce_reading(reading):
    return Reading, (reading.number, reading.value, reading.unit)


copyreg.pickle(Reading, reduce_reading)


def readings(count):
    return [Reading(i, i / 2, "m") for i in range(count)]


def rows(count):
    begin = datetime.datetime(2026, 1, 1)
    second = datetime.timedelta(seconds=1)
    return [(i, begin + i * second, decimal.Decimal(i) / 100) for i in range(count)]


def back(objects):
    return objects


def celery():
    """Return what a task's message and its result take of kombu."""
    from kombu.serialization import registry

    arguments, result = (
        ((readings(1000),), {}, {}),
        {"status": "SUCCESS", "result": readings(1000)},
    )

    def there_and_back():
        for value in (arguments, result):
            kind, encoding, data = registry.dumps(value, "pickle")
            registry.loads(data, kind, encoding, accept={kind})

    return there_and_back


def forking():
    """Return what pickles one object for another process."""
    from multiprocessing import reduction

    with contextlib.suppress(ImportError):
        import distributed  # noqa: F401
    value = readings(1)[0]

    def dump_many():
        dumps = reduction.ForkingPickler.dumps
        for _ in range(10_000):
            dumps(value)

    return dump_many


def pickler():
    """Return what makes a Pickler for each object."""
    value = readings(1)[0]

    def dump_many():
        make, file = pickle.Pickler, io.BytesIO
        for _ in range(10_000):
            make(file()).dump(value)

    return dump_many


def seconds(function, swapped):
    """Return how long *function* takes, with the swap or without."""
    if swapped:
        fastcopyreg.install()
    try:
        begun = time.process_time()
        function()
        return time.process_time() - begun
    finally:
        fastcopyreg.uninstall()


def in_process(make):
    function = make()
    return lambda swapped: seconds(function, swapped)


def pools(make, count):
    """Return what sends *count* objects through a pool, of workers that begin as this process."""
    values = make(count)
    workers = {}
    for swapped in (False, True):
        os.environ["FASTCOPYREG_INSTALL"] = "01"[swapped]
        workers[swapped] = multiprocessing.get_context("spawn").Pool(2)

    def wall(swapped):
        if swapped:
            fastcopyreg.install()
        try:
            begun = time.perf_counter()
            workers[swapped].map(back, values)
            return time.perf_counter() - begun
        finally:
            fastcopyreg.uninstall()

    return wall


def joblib_program():
    """Return what sends objects through loky's workers."""
    import joblib

    values = readings(100_000)
    parts = [values[i : i + 5000] for i in range(0, len(values), 5000)]
    pool = joblib.Parallel(n_jobs=2, backend="loky")

    def there_and_back():
        begun = time.perf_counter()
        pool(joblib.delayed(back)(part) for part in parts)
        return time.perf_counter() - begun

    return there_and_back


def dask_program():
    """Return what sends a graph through a cluster of two workers."""
    import distributed

    own = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    client = distributed.Client(distributed.LocalCluster(**own))
    parts = [readings(10) for _ in range(10_000)]

    def there_and_back():
        begun = time.perf_counter()
        client.gather(client.map(back, parts, pure=False))
        return time.perf_counter() - begun

    return there_and_back


PROGRAMS = {"joblib": joblib_program, "dask": dask_program}


def serve(name):
    """Be a program that says how long a round took, for each line that it is told."""
    there_and_back = PROGRAMS[name]()
    for _ in sys.stdin:
        print(there_and_back(), flush=True)


def programs(name):
    """Return what lets one of two programs run a round."""
    folder = os.path.dirname(os.path.abspath(__file__))
    path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    # Imported, so that the objects' class has a name for the workers.
    command = f"if __name__ == '__main__': import race_travel; race_travel.serve({name!r})"
    made = {
        swapped: subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", command],
            env={**os.environ, "PYTHONPATH": path, "FASTCOPYREG_INSTALL": "01"[swapped]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for swapped in (False, True)
    }

    def wall(swapped):
        made[swapped].stdin.write("\n")
        made[swapped].stdin.flush()
        return float(made[swapped].stdout.readline())

    return wall


RACES = {
    "celery": lambda: in_process(celery),
    "forking": lambda: in_process(forking),
    "pickler": lambda: in_process(pickler),
    "pool": lambda: pools(readings, 100_000),
    "dates": lambda: pools(rows, 100_000),
    "joblib": lambda: programs("joblib"),
    "dask": lambda: programs("dask"),
}
NEEDS = {"celery": "kombu", "joblib": "joblib", "dask": "distributed"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RACES))
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for name in options.names or RACES:
        if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
            print(f"{name:10} {NEEDS[name]} is missing")
            continue
        run = RACES[name]()
        run(True), run(False)
        ratios = [run(False) / run(True) for _ in range(options.rounds)]
        low, median, high = statistics.quantiles(ratios, n=4)
        print(f"{name:10} {median:.2f} times as fast ({low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
