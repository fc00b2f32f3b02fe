"""The racer: what it times, in which order, and what it makes of the times."""

import gc
import itertools
import pickle as std_pickle
import statistics
import sys
from types import SimpleNamespace

import pytest

from fastcopyreg import _stdlib, bench

pytestmark = [pytest.mark.slow, pytest.mark.once]  # Much of it measures real time.


class Clock:
    """A clock that stands still but for what the contenders take."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now

    def spend(self, nanoseconds):
        """A function that takes that long; each call takes the next of the times, in turn."""
        times = iter(nanoseconds) if hasattr(nanoseconds, "__iter__") else None

        def function(*arguments):
            self.now += nanoseconds if times is None else next(times)

        return function


@pytest.fixture
def clock():
    return Clock()


def race(clock, *contenders, **settings):
    settings = {"seconds": 0, "sample_seconds": 0, **settings}
    return bench.race("a race", *contenders, clock=clock, **settings)


def test_ratio_is_of_the_standard_library_to_ours(clock):
    result = race(
        clock,
        bench.Contender("stdlib", clock.spend(300)),
        bench.Contender("ours", clock.spend(100)),
        bench.Contender("peer", clock.spend(600)),
    )
    assert result.ratio.median == result.ratio.best == 3
    assert result.ratio_of(result.timings[2]).median == 0.5
    assert (result.standard.median, result.ours.best) == (300, 100)
    assert len(result.ours.samples) == bench.MIN_ROUNDS


def test_ratios_are_paired_by_round(clock):
    # The first three times of each are spent on finding out how to time it.
    slow = [1, 1, 1, 100, 200, 300, 400, 1000]
    fast = [1, 1, 1, 100, 100, 100, 100, 100]
    result = race(
        clock,
        bench.Contender("stdlib", clock.spend(slow)),
        bench.Contender("ours", clock.spend(fast)),
    )
    ratio = result.ratio
    assert (ratio.minimum, ratio.lower, ratio.median, ratio.upper, ratio.maximum) == (
        1,
        2,
        3,
        4,
        10,
    )
    assert ratio.best == 1
    assert str(ratio) == "3.00x (2.00-4.00)"


@pytest.mark.parametrize("cold", range(1, 10))
def test_call_that_is_cold_at_first_is_not_timed_singly(cold):
    class SlowClock(Clock):
        def __call__(self):
            self.now += 300
            return self.now

    clock = SlowClock()
    contenders = [
        bench.Contender(label, clock.spend([bench.SINGLY_NS] * cold + [100] * 10_000))
        for label in ("stdlib", "ours")
    ]
    result = race(clock, *contenders, sample_seconds=1e-4)
    assert 100 < result.ours.best < 102


def test_order_turns_from_round_to_round(clock):
    order = []

    def contender(label):
        def function():
            order.append(label)
            clock.now += 10

        return bench.Contender(label, function)

    race(clock, contender("a"), contender("b"), contender("c"), rounds=3)
    assert "".join(order) == "aabbcc" + "abc" + "abc" + "cba" + "abc"


def test_samples_are_as_many_calls_as_fill_them(clock):
    result = race(
        clock,
        bench.Contender("stdlib", clock.spend(1000)),
        bench.Contender("ours", clock.spend(10)),
        sample_seconds=100e-6,
    )
    assert 100 <= result.standard.calls <= 120
    assert 10_000 <= result.ours.calls <= 12_000
    assert result.ratio.median == 100


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2), (1, 2, 3)])
def test_arguments_are_passed_on(clock, arguments):
    seen = []

    def function(*given):
        seen.append(given)
        clock.now += 1

    contender = bench.Contender("either", function, arguments)
    race(clock, contender, contender)
    assert set(seen) == {arguments}


def test_fresh_input_is_made_for_each_call_and_not_timed(clock):
    made = []

    def fresh():
        clock.now += 10_000
        made.append([])
        return (made[-1],)

    def function(given):
        assert given == []
        given.append("used")
        clock.now += 7

    result = race(
        clock,
        bench.Contender("stdlib", function, fresh=fresh),
        bench.Contender("ours", function, fresh=fresh),
        sample_seconds=1,
    )
    assert set(result.ours.samples) == {7}
    assert sum(map(len, made)) == 2 * (2 + bench.MIN_ROUNDS)


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="results are not freed when they are dropped"
)
@pytest.mark.parametrize(
    ("nanoseconds", "freeing_counts"),
    [(bench.SINGLY_NS, False), (bench.SINGLY_NS - 1, True)],
)
def test_freeing_results_is_timed_for_all_or_none(clock, nanoseconds, freeing_counts):
    class Costly:
        def __del__(self):
            clock.now += 10_000_000

    def take(length):
        def function():
            clock.now += length
            return Costly()

        return function

    slow = bench.Contender("slow", take(bench.SINGLY_NS * 10))
    fast = bench.Contender("fast", take(nanoseconds))
    result = race(clock, slow, fast, sample_seconds=0.001)
    assert min(result.standard.calls, result.ours.calls) > 1
    assert (result.standard.best > bench.SINGLY_NS * 10) is freeing_counts
    assert (result.ours.best > nanoseconds) is freeing_counts


def test_each_contender_has_its_own_loop():
    loops = [bench._own_copy(bench._call_1) for _ in range(3)]
    assert len({id(loop.__code__) for loop in loops}) == 3


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_is_left_as_it_was_and_runs_before_each_sample(clock, enabled):
    generations = []

    def function():
        assert gc.isenabled() is enabled
        clock.now += 1

    contender = bench.Contender("either", function)
    (gc.enable if enabled else gc.disable)()
    try:
        collect, gc.collect = gc.collect, lambda *given: generations.append(given)
        try:
            race(clock, contender, contender, rounds=4)
        finally:
            gc.collect = collect
        assert gc.isenabled() is enabled
    finally:
        gc.enable()
    # Once for the race, three times each to find out how to time it, once a sample.
    assert generations == [()] * (1 + 2 * 3 + 2 * 4)


def test_what_a_contender_raises_is_raised(clock):
    def function():
        raise LookupError("of the contender")

    contender = bench.Contender("either", function)
    with pytest.raises(LookupError, match="of the contender"):
        race(clock, contender, contender)


def test_one_round_is_refused(clock):
    contender = bench.Contender("either", clock.spend(1))
    with pytest.raises(ValueError, match="two rounds"):
        race(clock, contender, contender, rounds=1)


def test_race_goes_on_while_there_is_time(clock, monkeypatch):
    ticks = itertools.count(step=0.1)
    monkeypatch.setattr(bench, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    monkeypatch.setattr(bench, "MAX_ROUNDS", 20)
    contender = bench.Contender("either", clock.spend(1))
    short = race(clock, contender, contender, seconds=0, rounds=2)
    long = race(clock, contender, contender, seconds=1, rounds=2)
    endless = race(clock, contender, contender, seconds=1e6, rounds=2)
    assert len(short.ours.samples) == 2
    assert 8 <= len(long.ours.samples) <= 12
    assert len(endless.ours.samples) == 20


@pytest.mark.alone
def test_equal_contenders_are_equally_fast():
    value = [str(i) for i in range(2000)]
    contender = bench.Contender("either", _stdlib.dumps, (value,))
    result = bench.race("equal", contender, contender, seconds=0.3)
    assert 0.5 < result.ratio.median < 2


def test_result_as_plain_data(clock):
    result = race(
        clock,
        bench.Contender("stdlib", clock.spend(30)),
        bench.Contender("ours", clock.spend(10)),
    )
    plain = result.to_dict()
    assert plain["name"] == "a race"
    assert plain["rounds"] == bench.MIN_ROUNDS
    ours = plain["contenders"][1]
    assert ours["label"] == "ours"
    assert ours["median_ns"] == statistics.median(result.ours.samples) == 10
    assert ours["ratio"]["median"] == ours["ratio"]["best"] == 3


def test_originals_stay_while_installed(c_core):
    from fastcopyreg.install import install, uninstall

    install()
    try:
        assert std_pickle.dumps is not _stdlib.dumps
        assert _stdlib.dumps.__module__ == "_pickle"
    finally:
        uninstall()


@pytest.mark.skipif(bench.tracemalloc is None, reason="the interpreter has no tracemalloc")
def test_peak_memory_counts_what_is_held_at_one_time():
    def function(size):
        passing = bytearray(size)
        del passing
        return bytearray(size // 2)

    result, peak = bench.peak_memory(function, 4_000_000)
    assert len(result) == 2_000_000
    assert 4_000_000 <= peak < 4_100_000


@pytest.mark.skipif(bench.tracemalloc is None, reason="the interpreter has no tracemalloc")
def test_peak_memory_stops_tracing_when_the_function_raises():
    with pytest.raises(ZeroDivisionError):
        bench.peak_memory(divmod, 1, 0)
    assert not bench.tracemalloc.is_tracing()


def test_peak_memory_without_tracemalloc(monkeypatch):
    monkeypatch.setattr(bench, "tracemalloc", None)
    assert bench.peak_memory(divmod, 7, 2) == ((3, 1), None)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0.26, "0.3 ns"), (999, "999.0 ns"), (1500, "1.50 us"), (2.5e6, "2.50 ms"), (3e9, "3.00 s")],
)
def test_format_ns(nanoseconds, text):
    assert bench.format_ns(nanoseconds) == text


def test_format_table():
    assert bench.format_table(("name", "n"), [("a", "100"), ("longer", "1")]).splitlines() == [
        "name      n",
        "------  ---",
        "a       100",
        "longer    1",
    ]
