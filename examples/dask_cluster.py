"""Registered objects in a dask cluster whose processes all begin with the swap.

    pip install distributed
    python examples/dask_cluster.py

Objects of a registered type go to the workers as arguments, and others come back: once in a
cluster without the swap, and once with FASTCOPYREG_INSTALL=1, which the nannies hand on to their
workers.
"""

import copyreg
import os
import subprocess
import sys
import time
from typing import Any

BATCHES, OBJECTS = 100, 500


class Reading:
    def __init__(self, number: int, value: float, unit: str) -> None:
        self.number, self.value, self.unit = number, value, unit


def reduce_reading(reading: Reading) -> tuple[Any, ...]:
    return Reading, (reading.number, reading.value, reading.unit)


# At the top of the module, so that each worker that imports it registers it too.
copyreg.pickle(Reading, reduce_reading)


def doubled(readings: list[Reading]) -> list[Reading]:
    return [Reading(each.number, 2 * each.value, each.unit) for each in readings]


def is_swapped() -> bool:
    import pickle

    swap = sys.modules.get("fastcopyreg")
    return swap is not None and pickle.Pickler is swap.pickle.Pickler


def measure() -> None:
    """Print how long the objects take, and whether every process has the swap."""
    from distributed import Client, LocalCluster

    batches = [[Reading(i, float(i), "m") for i in range(OBJECTS)] for _ in range(BATCHES)]
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        client.gather(client.map(doubled, batches[:2], pure=False))
        begun = time.perf_counter()
        results = client.gather(client.map(doubled, batches, pure=False))
        seconds = time.perf_counter() - begun
        swapped = {is_swapped(), *client.run(is_swapped).values()}
    assert all(result[3].value == 6.0 for result in results)
    assert len(swapped) == 1, "some processes have the swap, and some have not"
    print(seconds, *swapped)


def run(variable: str) -> tuple[float, bool]:
    """Measure in an interpreter of its own, by which workers find this module under its name."""
    folder = os.path.dirname(os.path.abspath(__file__))
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "FASTCOPYREG_INSTALL": variable}
    command = [sys.executable, "-c", "import dask_cluster; dask_cluster.measure()"]
    seconds, swapped = subprocess.check_output(command, env=environment, text=True).split()
    return float(seconds), swapped == "True"


def main() -> None:
    without, swapped = run("0")
    assert not swapped
    swap, swapped = run("1")
    print(f"with the swap in every process: {swapped}")
    print(f"{BATCHES * OBJECTS} objects there and back: {without / swap:.1f} times as fast")


if __name__ == "__main__":
    main()
