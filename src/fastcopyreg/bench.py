"""The racer: how many times as fast as the standard library, measured turn and turn about.

Every ratio of this project is taken here. The contenders of a race run in one process, one after
the other within a round and in the opposite order in the next, so that what the machine does
meanwhile (other work, clock changes) falls on all of them and mostly cancels in the ratio of one
round. What is reported is the median of those paired ratios, with their quartiles and extremes.

What is fair, and how it is kept:

* Every contender gets a copy of the timing loop of its own, so that the interpreter specialises
  each loop for the one function that it calls.
* The number of calls in a sample is found for each contender, so that a sample lasts long enough
  for the clock; times are per call.
* The collector stays on, as it is in programs, and every sample begins right after a full
  collection, so that none pays for what another left behind.
* Long calls (by every contender) are timed one by one, and their results freed while the clock
  stands. Short ones are timed many at once, their results' freeing included, for all alike.
* The contenders are given, not looked up: pass the originals from `fastcopyreg._stdlib`, which
  stay the standard library's also while `install()` is in force.
"""

from __future__ import annotations

import gc
import statistics
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

try:
    import tracemalloc
except ImportError:  # PyPy has none.
    tracemalloc = None  # type: ignore[assignment]

SAMPLE_SECONDS = 0.004
"""A sample repeats the call until it lasts about this long."""

CPU_CLOCK: Callable[[], int] = time.thread_time_ns
"""The clock of a race within one thread: what other processes and threads take is not counted."""

if time.get_clock_info("thread_time").resolution > 1e-6:  # Windows counts in ticks of 15 ms.
    CPU_CLOCK = time.perf_counter_ns

SINGLY_NS = 20_000
"""From this length on a call is timed by itself; reading the clock takes some 300 ns."""

WARM_CALLS = 8
"""How many calls more are timed before a call is taken for a long one."""

MIN_ROUNDS = 5
MAX_ROUNDS = 400
MAX_CALLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Contender:
    """One side of a race: `function(*arguments)` is what is timed.

    With `fresh`, each sample is one call on `fresh()`, made before the clock starts: for inputs
    that a call changes (the standard library's first dump of a plain instance makes its
    `__dict__`). All calls of that race are then timed one by one. At most three arguments.
    """

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    fresh: Callable[[], tuple[Any, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """What one contender took: nanoseconds per call, one number for each round."""

    label: str
    calls: int
    samples: tuple[float, ...]

    @property
    def best(self) -> float:
        return min(self.samples)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as the first contender: the paired ratios of all rounds.

    `best` is the first contender's best sample over this one's best, the figure that noise touches
    least; the others are of the ratios taken round by round.
    """

    median: float
    lower: float
    upper: float
    minimum: float
    maximum: float
    best: float

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.lower:.2f}-{self.upper:.2f})"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a race. The first timing is the standard library's."""

    name: str
    timings: tuple[Timing, ...]

    @property
    def standard(self) -> Timing:
        return self.timings[0]

    @property
    def ours(self) -> Timing:
        return self.timings[1]

    @property
    def ratio(self) -> Ratio:
        """Of the second contender, ours, to the first."""
        return self.ratio_of(self.ours)

    def ratio_of(self, timing: Timing) -> Ratio:
        paired = [a / b for a, b in zip(self.standard.samples, timing.samples, strict=True)]
        lower, _, upper = statistics.quantiles(paired, n=4, method="inclusive")
        return Ratio(
            median=statistics.median(paired),
            lower=lower,
            upper=upper,
            minimum=min(paired),
            maximum=max(paired),
            best=self.standard.best / timing.best,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: of each contender the times (ns a call) and the ratio with
        spread."""
        return {
            "name": self.name,
            "rounds": len(self.standard.samples),
            "contenders": [self._contender_dict(timing) for timing in self.timings],
        }

    def _contender_dict(self, timing: Timing) -> dict[str, Any]:
        ratio = self.ratio_of(timing)
        return {
            "label": timing.label,
            "calls": timing.calls,
            "median_ns": timing.median,
            "best_ns": timing.best,
            "ratio": {name: getattr(ratio, name) for name in Ratio.__slots__},
        }


def _call_0(clock: Any, rounds: Any, function: Any) -> tuple[int, Any]:
    kept = None
    start = clock()
    for _ in rounds:
        kept = function()
    return clock() - start, kept


def _call_1(clock: Any, rounds: Any, function: Any, a: Any) -> tuple[int, Any]:
    kept = None
    start = clock()
    for _ in rounds:
        kept = function(a)
    return clock() - start, kept


def _call_2(clock: Any, rounds: Any, function: Any, a: Any, b: Any) -> tuple[int, Any]:
    kept = None
    start = clock()
    for _ in rounds:
        kept = function(a, b)
    return clock() - start, kept


def _call_3(clock: Any, rounds: Any, function: Any, a: Any, b: Any, c: Any) -> tuple[int, Any]:
    kept = None
    start = clock()
    for _ in rounds:
        kept = function(a, b, c)
    return clock() - start, kept


_LOOPS = (_call_0, _call_1, _call_2, _call_3)


def _call_singly(clock: Any, rounds: Any, function: Any, *arguments: Any) -> tuple[int, Any]:
    """Each call timed by itself, so that no result is freed while the clock runs."""
    elapsed, kept = 0, None
    for _ in rounds:
        kept = None
        start = clock()
        kept = function(*arguments)
        elapsed += clock() - start
    return elapsed, kept


def _own_copy(loop: Callable[..., Any]) -> Callable[..., tuple[int, Any]]:
    """A loop whose code object, and with it the interpreter's inline caches, nobody else uses."""
    return types.FunctionType(loop.__code__.replace(), loop.__globals__)


class _Runner:
    """A contender at the start: its own loop, and the number of calls that fills a sample."""

    def __init__(self, contender: Contender, clock: Callable[[], int]) -> None:
        self.contender = contender
        self.clock = clock
        self.loop = _own_copy(_call_singly)
        self.calls = 1
        self.samples: list[float] = []

    def _time(self, calls: int) -> int:
        contender = self.contender
        arguments = contender.fresh() if contender.fresh else contender.arguments
        gc.collect()
        elapsed, kept = self.loop(self.clock, repeat(None, calls), contender.function, *arguments)
        del kept
        return max(elapsed, 1)

    def time_one_call(self) -> int:
        """Of the second call, as the first one warms up; if that is long, of the shortest of more.

        A call can be interrupted, or still be cold the second time. One that is longer by far than
        those cost is not repeated.
        """
        self._time(1)
        shortest = self._time(1)
        for _ in range(WARM_CALLS):
            if SINGLY_NS <= shortest < 100 * SINGLY_NS:
                shortest = min(shortest, self._time(1))
        return shortest

    def settle(self, singly: bool, sample_seconds: float) -> None:
        """Chooses the loop and the number of calls."""
        if not singly:
            self.loop = _own_copy(_LOOPS[len(self.contender.arguments)])
        if self.contender.fresh is None:
            self.calls = self._calls_for(sample_seconds)

    def _calls_for(self, seconds: float) -> int:
        calls = 1
        while True:
            elapsed = self._time(calls) * 1e-9
            if elapsed >= seconds or calls >= MAX_CALLS:
                return calls
            # Grow to the estimate, but at most tenfold: the first calls pay for warming up.
            wanted = int(calls * seconds * 1.1 / elapsed) + 1
            calls = min(max(wanted, calls + 1), calls * 10, MAX_CALLS)

    def sample(self) -> None:
        self.samples.append(self._time(self.calls) / self.calls)

    def timing(self) -> Timing:
        return Timing(self.contender.label, self.calls, tuple(self.samples))


def _rounds(seconds: float, minimum: int) -> Iterator[int]:
    """Numbers the rounds until the time is spent, but not before there are enough of them."""
    deadline = time.perf_counter() + seconds
    number = 0
    while number < MAX_ROUNDS and (number < minimum or time.perf_counter() < deadline):
        yield number
        number += 1


def race(
    name: str,
    standard: Contender,
    ours: Contender,
    *others: Contender,
    seconds: float = 1.0,
    rounds: int = MIN_ROUNDS,
    sample_seconds: float = SAMPLE_SECONDS,
    clock: Callable[[], int] = CPU_CLOCK,
) -> Result:
    """Runs the contenders turn and turn about and returns their times.

    `seconds` is how long the race goes on, `rounds` (two or more) the fewest rounds that it runs
    even if they take longer. `clock` counts nanoseconds; pass `time.perf_counter_ns` where
    contenders wait for other threads or processes. What a contender raises is raised.
    """
    if rounds < 2:
        raise ValueError("a race needs at least two rounds")
    gc.collect()
    runners = [_Runner(contender, clock) for contender in (standard, ours, *others)]
    shortest = min(runner.time_one_call() for runner in runners)
    singly = shortest >= SINGLY_NS or any(runner.contender.fresh for runner in runners)
    for runner in runners:
        runner.settle(singly, sample_seconds)
    for number in _rounds(seconds, rounds):
        for runner in runners if number % 2 == 0 else reversed(runners):
            runner.sample()
    return Result(name, tuple(runner.timing() for runner in runners))


def peak_memory(function: Callable[..., Any], *arguments: Any) -> tuple[Any, int | None]:
    """Calls the function once; returns its result and the most bytes it held at one time.

    The bytes are those of Python's allocators as `tracemalloc` counts them, the result included. A
    buffer that the callee keeps from an earlier call is not counted, so measure the first call.
    Where the interpreter cannot count, None takes the place of the bytes.
    """
    if tracemalloc is None:
        return function(*arguments), None
    gc.collect()
    tracemalloc.start(1)
    try:
        result = function(*arguments)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def format_ns(nanoseconds: float) -> str:
    """A time for people, with its unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.2f} {unit}"
    return f"{nanoseconds:.1f} ns"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines up plain text columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, ["-" * width for width in widths], *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
