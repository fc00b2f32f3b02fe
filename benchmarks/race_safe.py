"""Races `safe.loads` against our `loads` on the pickle of every workload.

    python benchmarks/race_safe.py                          all
    python benchmarks/race_safe.py --only 'one-*' --seconds 1

What the pickles name is registered first, as a program would. Exit status: 1 if `safe.loads` takes
over `--most` times as long anywhere (1.10 unless given), 0 if not.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # Not there under PYTHONSAFEPATH.

from allowed import register_globals
from fastcopyreg import pickle, safe
from fastcopyreg.bench import Contender, race
from workloads import WORKLOADS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="*", help="workloads, as fnmatch takes them")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each race")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--most", type=float, default=1.10)
    options = parser.parse_args()
    over = []
    for workload in WORKLOADS:
        if not fnmatch.fnmatch(workload.name, options.only) or "loads" not in workload.operations:
            continue
        data = pickle.dumps(workload.build(options.scale))
        try:
            register_globals(data)
            safe.loads(data)
        except Exception as error:
            print(f"{workload.name:30} {type(error).__name__}: {str(error)[:150]}")
            continue
        result = race(
            workload.name,
            Contender("loads", pickle.loads, (data,)),
            Contender("safe", safe.loads, (data,)),
            seconds=options.seconds,
        )
        loads, safely = (timing.median for timing in result.timings)
        ratio = safely / loads
        over += [workload.name] * (ratio > options.most)
        print(f"{workload.name:30} {ratio:5.2f} times as long", flush=True)
    print(f"over {options.most}: {', '.join(over) or 'none'}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
