"""Threads: picklers of their own, one shared by many, and dumps that let others run."""

import copyreg
import gc
import io
import itertools
import pickle as std_pickle
import signal
import sys
import threading
import time

import pytest

import fastcopyreg.copy
import fastcopyreg.pickle
from support import classes
from support.child import Crash, in_child, requires_fork
from support.classes import Plain, Registered, make_plain
from support.implementations import OURS, STANDARD, requires_core
from support.recording import Sink

pytestmark = requires_core

THREADS = 6
ROUNDS = 30


@pytest.fixture(autouse=True)
def short_turns():
    """Threads change over as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_threads(*functions, seconds=60):
    """Run the functions at once, from one barrier; re-raise the first error."""
    barrier = threading.Barrier(len(functions))
    errors = []

    def run(function):
        try:
            barrier.wait(seconds)
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), "a thread did not end"
    if errors:
        raise errors[0]


def sample():
    """A graph with everything that has a cache somewhere."""
    made = [
        Plain(),
        Registered(1, "two", [3]),
        classes.DataSlots(1, 2),
        classes.Point(1, 2),
        len,
        {"k": 1.5},
    ]
    made[0].a = made
    return made * 20


def test_threads_with_picklers_of_their_own():
    obj = sample()
    expected = {protocol: STANDARD.dumps(obj, protocol) for protocol in (2, 3, 4, 5)}

    def work():
        for _ in range(ROUNDS):
            for protocol, data in expected.items():
                assert OURS.dumps(obj, protocol) == data
                file = io.BytesIO()
                OURS.Pickler(file, protocol).dump(obj)
                assert file.getvalue() == data

    in_threads(*[work] * THREADS)


def test_threads_that_dump_while_the_table_changes():
    stop = threading.Event()

    def reducer(label):
        return lambda obj: (make_plain, (label,))

    class Changing:
        pass

    allowed = set()
    copyreg.pickle(Changing, reducer(0))
    try:
        for label in range(4):
            copyreg.dispatch_table[Changing] = reducer(label)
            allowed.add(std_pickle.dumps(Changing(), 4))

        def change():
            for label in itertools.cycle(range(4)):
                if stop.is_set():
                    return
                copyreg.dispatch_table[Changing] = reducer(label)

        def work():
            for _ in range(ROUNDS * 50):
                assert OURS.dumps(Changing(), 4) in allowed

        def work_and_stop():
            try:
                work()
            finally:
                stop.set()

        in_threads(change, work, work_and_stop)
    finally:
        del copyreg.dispatch_table[Changing]


def test_threads_that_change_what_is_dumped():
    """Any result or error is right, so long as the process lives and results can be loaded."""

    def scenario():
        shared = {"list": [[n] for n in range(500)], "dict": {str(n): [n] for n in range(500)}}
        instance = Plain()
        instance.kept = shared
        stop = threading.Event()

        def change():
            while not stop.is_set():
                shared["list"].append([1])
                del shared["list"][:3]
                shared["list"].extend([[2]] * 2)
                shared["dict"].pop(next(iter(shared["dict"])), None)
                shared["dict"][str(time.perf_counter_ns())] = [1]
                instance.extra = [shared]
                del instance.extra

        def work():
            for _ in range(ROUNDS):
                try:
                    std_pickle.loads(OURS.dumps([instance, shared], 4))
                except RuntimeError:
                    continue
                except AttributeError:
                    continue

        def work_and_stop():
            try:
                work()
            finally:
                stop.set()

        in_threads(change, work, work_and_stop)
        return "alive"

    assert in_child(scenario) == "alive"


def shared_pickler(implementation):
    """One pickler used by several threads: what came of it must not be a crash."""
    sys.setswitchinterval(1e-5)
    file = io.BytesIO()
    pickler = implementation.Pickler(file, 4)
    outcomes = set()

    class Slow:
        def __reduce__(self):
            time.sleep(0)
            return make_plain, ([1, 2, 3],)

    def work():
        for n in range(ROUNDS):
            try:
                pickler.dump([Slow(), ["x"] * n, Slow(), Plain()])
                outcomes.add("done")
            except (RuntimeError, std_pickle.PicklingError, OSError, AttributeError) as error:
                outcomes.add(type(error).__name__)

    def clear():
        for _ in range(ROUNDS * 5):
            for use in (pickler.clear_memo, pickler.memo.copy, lambda: pickler.memo.clear()):
                try:
                    use()
                except RuntimeError:
                    outcomes.add("RuntimeError")

    def initialise():
        for _ in range(ROUNDS):
            try:
                pickler.__init__(io.BytesIO(), 2)
            except RuntimeError:
                outcomes.add("RuntimeError")
            time.sleep(0)

    in_threads(work, work, clear, initialise)
    return sorted(outcomes)


@requires_fork
def test_pickler_shared_by_threads():
    actual = in_child(shared_pickler, OURS)
    if OURS.name == "stdlib" and isinstance(actual, Crash):
        pytest.skip(f"the standard library: {actual}")
    assert not isinstance(actual, Crash), actual
    assert set(actual) <= {"done", "RuntimeError", "PicklingError"}


def test_subclass_shared_by_threads_with_hooks():
    def work():
        for _ in range(ROUNDS):
            file = io.BytesIO()
            Hooked(file, 4).dump(sample())
            assert len(file.getvalue()) == size

    class Hooked(OURS.Pickler):
        def persistent_id(self, obj):
            return "p" if obj == "two" else None

        def reducer_override(self, obj):
            return NotImplemented

    file = io.BytesIO()
    Hooked(file, 4).dump(sample())
    size = len(file.getvalue())
    in_threads(*[work] * THREADS)


@pytest.mark.parametrize("length", [10, 100000])
def test_greenlet_like_nesting(length):
    """A dump inside a dump inside a dump, of buffers that are kept between calls."""

    class Nested:
        def __init__(self, depth):
            self.depth = depth

        def __reduce__(self):
            inner = OURS.dumps(Nested(self.depth - 1), 4) if self.depth else b"end"
            return make_plain, (inner, "x" * length)

    class Reference(Nested):
        def __reduce__(self):
            inner = STANDARD.dumps(Reference(self.depth - 1), 4) if self.depth else b"end"
            return make_plain, (inner, "x" * length)

    assert OURS.dumps([Nested(20), [1]], 4) == STANDARD.dumps([Reference(20), [1]], 4)


def test_generators_interleave_dumps():
    """Two dumps in turns, each from inside the other's items, ended in the order they began."""

    def items(n):
        for i in range(n):
            yield OURS.dumps([i, "inner" * 50], 4)

    class Items(list):
        def __reduce__(self):
            return list, (), None, items(200)

    class Reference(list):
        def __reduce__(self):
            return list, (), None, iter([STANDARD.dumps([i, "inner" * 50], 4) for i in range(200)])

    assert OURS.dumps([Items(), Items()], 4) == STANDARD.dumps([Reference(), Reference()], 4)


# Long dumps that call no Python. Each must be long enough to be interrupted, short enough to wait
# for.
LONG = {
    "lists": lambda: [[n, [n]] for n in range(400000)],
    "registered": lambda: [Registered(n, "text", 1.5) for n in range(400000)],
    "plain": lambda: [plain(n) for n in range(300000)],
    "ints": lambda: list(range(3000000)),
    "dict": lambda: {n: (n, "v") for n in range(600000)},
    "strings": lambda: [str(n) for n in range(1500000)],
    "set": lambda: set(range(3000000)),
    "tuple": lambda: tuple((n,) for n in range(1000000)),
}


def plain(number):
    """A plain instance."""
    made = Plain()
    made.n, made.t = number, "t"
    return made


class Alarm(Exception):
    """What the signal handler raises."""


def turns_of_another_thread(function, obj):
    """How many turns another thread had during a call, and how long the call took."""
    turns, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            time.sleep(0.0005)
            turns.append(time.perf_counter())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    time.sleep(0.01)
    begin = time.perf_counter()
    function(obj)
    end = time.perf_counter()
    stop.set()
    watcher.join(10)
    return sum(begin < turn < end for turn in turns), end - begin


@pytest.mark.skipif(OURS.name != "ours", reason="the standard library does not do this")
@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("operation", ["dumps", "loads", "deepcopy"])
@pytest.mark.parametrize("name", LONG)
def test_other_threads_run_during_long_work(name, operation):
    sys.setswitchinterval(0.005)
    obj = LONG[name]()
    if operation == "loads":
        obj = STANDARD.dumps(obj)
    room = fastcopyreg.copy if operation == "deepcopy" else fastcopyreg.pickle
    function = getattr(room, operation)
    tries = []
    while len(tries) < 5:
        tries.append(turns_of_another_thread(function, obj))
        if tries[-1][0] >= 3:
            return
    # A thread that waits asks after one switch interval, and has its turn within the next two.
    if max(took for _, took in tries) < 3 * 0.015:
        pytest.skip("the machine is too fast for this length")
    pytest.fail(f"turns in so many seconds: {tries}")


@pytest.mark.skipif(OURS.name != "ours", reason="the standard library does not do this")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_signal_is_handled_during_a_long_dump(name):
    """Protocol 2 is written at once, when all is done: what was interrupted wrote nothing."""
    obj = LONG[name]()
    expected = OURS.dumps(obj, 2)  # What is met often is read, which takes its time, once.
    # The timer goes by ticks, about as long as a dump: each begins at another place between two.
    assert any(interrupted(obj, time_of_dump(obj) / 4, pause * 0.0011) for pause in range(20))
    assert OURS.dumps(obj, 2) == expected


def time_of_dump(obj):
    """How long one takes now: a plan that rested may be tried again meanwhile."""
    begin = time.process_time()
    OURS.dumps(obj, 2)
    return time.process_time() - begin


def interrupted(obj, seconds, pause):
    """Whether a dump, after a pause, ends by the exception of a handler, nothing written.

    The collector is off: a callback that the collector calls (Hypothesis has one) runs handlers,
    and what one raises there is lost.
    """
    sink = Sink()

    def handler(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGPROF, handler)
    gc.collect()
    gc.disable()
    time.sleep(pause)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        OURS.dump(obj, sink, 2)
        signal.setitimer(signal.ITIMER_PROF, 0)
    except Alarm:
        return not sink.writes
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        gc.enable()
    return False


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_signal_handler_that_uses_everything():
    """A handler that runs in the middle of a dump dumps by itself, and leaves the outer one
    whole.
    """
    obj = [Registered(n, ("text", n), [n]) for n in range(60000)]
    expected = STANDARD.dumps(obj, 4)
    runs = []

    def handler(number, frame):
        runs.append(OURS.dumps(sample()))

    before = signal.signal(signal.SIGALRM, handler)
    remaining = signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        for _ in range(10):
            assert OURS.dumps(obj, 4) == expected
    finally:
        signal.setitimer(signal.ITIMER_REAL, *remaining)
        signal.signal(signal.SIGALRM, before)
    assert runs and len(set(runs)) == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_signal_handler_in_the_middle_of_a_copy():
    """Nothing is lost of what is being copied, wherever the signal comes."""
    obj = [{f"{n}": [n], "two": {"a": [n], "b": (n, [n])}, "last": [n]} for n in range(30000)]
    runs = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: runs.append(number))
    remaining = signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(8):
            assert fastcopyreg.copy.deepcopy(obj) == obj
    finally:
        signal.setitimer(signal.ITIMER_REAL, *remaining)
        signal.signal(signal.SIGALRM, before)
    assert runs


def test_signal_handler_that_changes_what_is_dumped():
    """The list grows and shrinks in the middle: an error or a loadable pickle, never a crash."""

    def scenario():
        obj = [[n] for n in range(200000)]

        def handler(number, frame):
            del obj[len(obj) // 2 :]
            obj.extend([n] for n in range(1000))

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(20):
            try:
                data = OURS.dumps(obj, 4)
            except RuntimeError:
                continue
            signal.setitimer(signal.ITIMER_REAL, 0)
            std_pickle.loads(data)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return "alive"

    assert in_child(scenario) == "alive"


def test_backend_is_the_one_tested():
    """The tests of this file look at OURS, which must be what a program gets."""
    assert OURS.name != "ours" or OURS.dumps is fastcopyreg.pickle.dumps
