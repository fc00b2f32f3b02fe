"""A fork at any moment, of `install()`, `uninstall()` or a registration in another thread: the
child waits for nobody who is not there, and nothing in it is half done.
"""

import os
import subprocess
import sys
import textwrap

import pytest

import fastcopyreg
from support.folders import TESTS
from support.swapping import KINDS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

requires_core = pytest.mark.skipif(
    fastcopyreg.backend != "c", reason="the Python backend has nothing to install"
)

# What every script begins with.  A child that hangs is ended by its alarm, and seen by its status.
PRELUDE = """
    import copy, os, pickle, random, signal, sys, threading, time, warnings
    import multiprocessing.reduction
    import fastcopyreg
    from fastcopyreg._stdlib import COPY, C_PICKLE, PICKLE
    warnings.simplefilter("ignore", DeprecationWarning)  # A fork beside threads; it is the point.
    sys.setswitchinterval(1e-5)

    OURS = fastcopyreg.pickle.dumps, fastcopyreg.pickle.loads, fastcopyreg.copy.deepcopy
    THEIRS = PICKLE["dumps"], PICKLE["loads"], COPY["deepcopy"]
    STANDARD = (multiprocessing.reduction.ForkingPickler,)  # In a global it would be replaced.
    machinery = sys.modules["fastcopyreg.install"]

    def is_whole():
        "Whether all places, and what `installed` says, are of one mind."
        places = pickle.dumps, pickle.loads, copy.deepcopy
        behind = sys.modules["_pickle"].dumps, sys.modules["_pickle"].loads
        pool = multiprocessing.reduction.ForkingPickler is not STANDARD[0]
        name = fastcopyreg.pickle.Pickler.__module__ == "_pickle"
        if fastcopyreg.installed():
            return places == OURS and behind == OURS[:2] and pool and name
        return places == THEIRS and behind == THEIRS[:2] and not (pool or name)

    def use():
        for _ in range(2):
            fastcopyreg.install()
            assert fastcopyreg.installed() and is_whole()
            assert pickle.loads(pickle.dumps([1, (2,)])) == copy.deepcopy([1, (2,)])
            fastcopyreg.uninstall()
            assert not fastcopyreg.installed() and is_whole()

    def status_of(child, seconds=20):
        "Fork; return the status with which *child*, a function, ended there."
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.alarm(seconds)
                child()
                status = 0
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run(script):
    environment = dict(os.environ, PYTHONPATH=str(TESTS), PYTHONSAFEPATH="1")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@requires_core
@pytest.mark.slow
def test_forks_at_random_moments():
    """Others install, uninstall and register all the time; no child is stuck or half of either."""
    run("""
        stop = threading.Event()

        def change(make):
            while not stop.is_set():
                make()

        class Made:
            pass

        def register_one():
            fastcopyreg.copyreg.pickle(Made, lambda o: (Made, ()), Made)

        steps = [fastcopyreg.install, fastcopyreg.uninstall, register_one]
        threads = [threading.Thread(target=change, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()

        def child():
            assert is_whole(), "half of it is installed"
            use()

        dice = random.Random(19)
        try:
            for _ in range(40):
                time.sleep(dice.random() * 0.004)
                assert status_of(child) == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        use()
    """)


@requires_core
@pytest.mark.parametrize("step", ["enter", "leave"])
def test_a_fork_after_each_place_that_is_set(step):
    """Another thread stops after each of its changes in turn, and a child is forked there."""
    out = run(f"""
        entering = {step == "enter"}
        reached, go_on = threading.Semaphore(0), threading.Semaphore(0)
        watched = None

        def pausing(function):
            def paused(*arguments):
                function(*arguments)
                if threading.get_ident() == watched:
                    reached.release()
                    go_on.acquire()
            return paused

        for holder in (machinery.ModuleHolder, machinery.ClassHolder):
            holder.set = pausing(holder.set)
        machinery.Swap._set_module = pausing(machinery.Swap._set_module)

        if not entering:
            fastcopyreg.install()
        ended = threading.Event()

        def change():
            global watched
            watched = threading.get_ident()
            (fastcopyreg.install if entering else fastcopyreg.uninstall)()
            ended.set()
            reached.release()

        def child():
            assert is_whole(), "half of it is installed"
            use()

        thread = threading.Thread(target=change)
        thread.start()
        moments = 0
        while reached.acquire() and not ended.is_set():
            assert status_of(child) == 0, moments
            moments += 1
            go_on.release()
        thread.join()
        assert fastcopyreg.installed() == entering and is_whole()
        print(moments)
    """)
    assert int(out) > 10


@requires_core
@pytest.mark.parametrize("function", ["install", "uninstall"])
def test_who_forks_while_installing_goes_on_in_both(function):
    """A finaliser or a signal handler forks inside `install()`: both processes end it."""
    run(f"""
        if {function!r} == "uninstall":
            fastcopyreg.install()
        inner = machinery.ModuleHolder.set
        children = []

        def forking(self, name, value):
            inner(self, name, value)
            if not children:
                children.append(os.fork())

        machinery.ModuleHolder.set = forking
        fastcopyreg.{function}()
        machinery.ModuleHolder.set = inner
        try:
            assert children and fastcopyreg.installed() == ({function!r} == "install")
            assert is_whole()
            signal.alarm(20)
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
            status = 0
        except BaseException:
            status = 1
        if children == [0]:
            os._exit(status)
        assert status == 0 and os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    """)


@pytest.mark.parametrize("register", ["copyreg.pickle", "register"])
def test_a_reducer_that_a_child_has_is_registered_wholly(register):
    """What is in the table when a child is forked has its constructor beside it."""
    run(f"""
        import copyreg

        class Made:
            def __init__(self, x):
                self.x = x

        def reduce_made(made):
            return Made, (made.x,)

        seen = []

        class Table(dict):
            "Tells when a reducer arrives."

            def __setitem__(self, key, value):
                super().__setitem__(key, value)
                if key is Made:
                    seen.append(Made in fastcopyreg.registered_constructors())

        copyreg.pickle.__globals__["dispatch_table"] = Table(copyreg.dispatch_table)
        if {register!r} == "register":
            fastcopyreg.register(Made, fields=("x",))
        else:
            fastcopyreg.copyreg.pickle(Made, reduce_made, Made)
        assert seen == [True], seen
    """)


def test_a_registration_that_is_refused_registers_no_constructor():
    script = """
        class Made:
            pass

        for reducer, constructor in ((None, Made), (print, 3)):
            try:
                fastcopyreg.copyreg.pickle(Made, reducer, constructor)
            except TypeError:
                assert constructor not in fastcopyreg.registered_constructors()
            else:
                raise AssertionError("was not refused")
    """
    run(script)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_child_has_what_its_parent_had(kind):
    """Without anybody in between, a fork keeps the swap, and the child can end it."""
    run(f"""
        from support.swapping import KINDS
        swap = KINDS[{kind!r}]()
        swap.install()

        def child():
            assert pickle.dumps is swap.ours.dumps
            swap.uninstall()
            assert pickle.dumps is PICKLE["dumps"]

        assert status_of(child) == 0
        assert pickle.dumps is swap.ours.dumps
    """)


def test_a_twin_is_known_both_ways_or_not_at_all():
    """A fork between two entries would let a child make a third `ForkingPickler`."""
    from fastcopyreg.install import Substitutes, twin_of, twins

    class Base:
        pass

    class Other:
        pass

    class Derived(Base):
        pass

    twin = twin_of(Derived, Substitutes([(Base, Other)]))
    try:
        assert twin_of(twin, Substitutes([(Other, Base)])) is Derived
    finally:
        for key in [key for key in twins if key[0] in (Derived, twin)]:
            del twins[key]


# A thread that is in the middle of a dump, a copy and a plan when another one forks.
IN_THE_MIDDLE = """
    from fastcopyreg import _core

    class Waiting:
        def __reduce__(self):
            reached.set()
            assert go_on.wait(60)
            return str, ("waited",)

        def __deepcopy__(self, memo):
            return self.__reduce__()[1][0]

    def in_thread(function, value):
        "Begin it in a thread, and return that thread in the middle."
        global reached, go_on
        reached, go_on = threading.Event(), threading.Event()
        thread = threading.Thread(target=function, args=(value,))
        thread.start()
        assert reached.wait(60)
        return thread
"""


@requires_core
@pytest.mark.parametrize("call", ["pickle.dumps", "copy.deepcopy", "copy.copy"])
def test_what_other_threads_had_under_way_is_not_counted_in_the_child(call):
    run(
        IN_THE_MIDDLE
        + f"""
    from fastcopyreg import copy, pickle

    def child():
        assert _core.calls_under_way() == 0
        value = [1, (2, {{"a": [3]}})]
        assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
        assert _core.calls_under_way() == 0

    assert _core.calls_under_way() == 0
    thread = in_thread({call}, Waiting())
    assert _core.calls_under_way() > 0
    assert status_of(child) == 0
    go_on.set()
    thread.join()
    assert _core.calls_under_way() == 0
    assert status_of(child) == 0
    """
    )


@requires_core
def test_what_the_forking_thread_has_under_way_goes_on_in_the_child():
    run(
        IN_THE_MIDDLE
        + """
    from fastcopyreg import pickle

    class Forking:
        def __reduce__(self):
            global pid
            pid = os.fork()
            return str, ("forked",)

    for other in (False, True):
        thread = in_thread(pickle.dumps, Waiting()) if other else None
        data = pickle.dumps([Forking(), "after"])
        if pid == 0:
            signal.alarm(20)
            count = _core.calls_under_way()
            whole = pickle.loads(data) == ["forked", "after"]
            os._exit(0 if whole and (count == 0 or other) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        if other:
            go_on.set()
            thread.join()
        assert _core.calls_under_way() == 0
    """
    )
