"""Races objects that travel, in one process, with the swap against without.

    python benchmarks/race_travel.py [--rounds N]

    celery       a task with 1,000 registered objects as argument, and as result: the time that
                 kombu's pickle serializer takes for both, there and back
    forking      `ForkingPickler.dumps` of one small registered object, with distributed imported
                 if it is there: it registers 200 reducers
    pickler      one small registered object through a fresh Pickler
    pool         `Pool.map` of 100,000 registered objects and back, the pool being there
    dates        the same with rows of dates and Decimals

Both are run turn and turn about.  The first three race by `install()` and `uninstall()` in this
process; pools are made of workers with and without FASTCOPYREG_INSTALL, by spawn.
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


RACES = {
    "celery": lambda: in_process(celery),
    "forking": lambda: in_process(forking),
    "pickler": lambda: in_process(pickler),
    "pool": lambda: pools(readings, 100_000),
    "dates": lambda: pools(rows, 100_000),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RACES))
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for name in options.names or RACES:
        if name == "celery" and importlib.util.find_spec("kombu") is None:
            print(f"{name:10} kombu is missing")
            continue
        run = RACES[name]()
        run(True), run(False)
        ratios = [run(False) / run(True) for _ in range(options.rounds)]
        low, median, high = statistics.quantiles(ratios, n=4)
        print(f"{name:10} {median:.2f} times as fast ({low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
