"""Objects of a registered type, to the workers of a pool and back, under every start method."""

import multiprocessing
import threading
from typing import Any

from fastcopyreg import copyreg


class Counter:
    """Something that the default reduction refuses: it holds a lock, which cannot travel."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.lock = threading.Lock()

    def double(self) -> "Counter":
        with self.lock:
            self.count *= 2
        return self


def reduce_counter(counter: Counter) -> tuple[Any, ...]:
    return Counter, (counter.count,)


# At the top of the module, so that a worker that starts anew registers it too.
copyreg.pickle(Counter, reduce_counter)


def main() -> None:
    for method in sorted(multiprocessing.get_all_start_methods()):
        with multiprocessing.get_context(method).Pool(2) as pool:
            doubled = pool.map(Counter.double, map(Counter, range(4)))
        print(method, [counter.count for counter in doubled])


if __name__ == "__main__":
    main()
