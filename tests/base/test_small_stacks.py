"""Nesting on C stacks of any size: never a crash, and nothing ends earlier than there.

Each case runs in a process of its own, in a thread with so much C stack. It goes deeper and
deeper, and says how far it came; where the standard library crashes, that is how far.
"""

import collections
import contextlib
import copy as std_copy
import ctypes
import functools
import io
import os
import pickle as std_pickle
import resource
import signal
import sys
import sysconfig
import threading
import types
from operator import abs

import pytest

import fastcopyreg.copy as our_copy
import fastcopyreg.pickle as our_pickle
from support.child import fork, limit_resources, requires_fork
from support.classes import SubDict, SubList
from support.implementations import requires_core
from support.nested import Called, Planned

pytestmark = [requires_core, requires_fork]

DEBUG = bool(sysconfig.get_config_var("Py_DEBUG"))
SEEN = sys.version_info >= (3, 14)
"""The interpreter knows the stack's bounds, and lets nothing come close to its end."""

release = pytest.mark.skipif(
    DEBUG, reason="compiled without optimisation, ours takes more than an ordinary build"
)

DEPTHS = [int(20 * 1.2**step) for step in range(30)]
MODULES = {"standard": (std_pickle, std_copy), "ours": (our_pickle, our_copy)}


class Plain:
    """An instance by default reduction."""


class Slots:
    """The same with a slot."""

    __slots__ = ("inside",)


class ByMethod(Planned):
    """It reduces itself, and is called."""

    __slots__ = ()

    def __reduce__(self):
        try:
            return ByMethod, (self.inside,)
        finally:
            abs(-1)


class Getstate:
    """It is asked for its state, and given it."""

    def __getstate__(self):
        try:
            return dict(self.__dict__)
        finally:
            abs(-1)

    def __setstate__(self, state):
        for name, value in state.items():
            self.__dict__[name] = value


def with_attribute(cls):
    def make(inside):
        made = cls()
        made.inside = inside
        return made

    return make


def mixed(inside):
    made = Plain()
    made.inside = (inside,)
    made.other = 1
    return [{"key": made}]


KINDS = {
    "list": lambda inside: [inside],
    "tuple": lambda inside: (inside,),
    "dict": lambda inside: {"key": inside},
    "dict of numbers": lambda inside: {1: inside, 2: None},
    "plain": with_attribute(Plain),
    "slots": with_attribute(Slots),
    "planned": Planned,
    "called": Called,
    "by method": ByMethod,
    "getstate": with_attribute(Getstate),
    "list subclass": lambda inside: SubList([inside]),
    "dict subclass": lambda inside: SubDict(key=inside),
    "deque": lambda inside: collections.deque([inside]),
    "ordered": lambda inside: collections.OrderedDict(key=inside),
    "default": lambda inside: collections.defaultdict(int, {1: inside, 2: None}),
    "namespace": lambda inside: types.SimpleNamespace(inside=inside),
    "partial": lambda inside: functools.partial(print, inside),
    "mixed": mixed,
}


def dump(pickle, copy):
    return lambda obj: pickle.Pickler(io.BytesIO()).dump(obj)


OPERATIONS = {
    "dumps": lambda pickle, copy: pickle.dumps,
    "dump": dump,
    "deepcopy": lambda pickle, copy: copy.deepcopy,
    "deepcopy with a memo": lambda pickle, copy: lambda obj: copy.deepcopy(obj, {}),
}


def in_thread(work, kilobytes):
    threading.stack_size(kilobytes << 10)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def reported(run):
    """The numbers that `run(report)` reported in a process of its own, and how that ended: 0, or
    a signal's number below zero. Nothing dies in there: chains of some kinds are longer than the
    interpreter can take to pieces."""
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        signal.alarm(60)
        limit_resources()
        try:
            run(lambda number: os.write(writing, b"%d\n" % number))
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        numbers = [int(line) for line in file]
    return numbers, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_no_deeper(error):
    return SEEN or str(error).startswith("maximum recursion depth exceeded")


def nested(which, operation, kind, kilobytes, limit):
    """The greatest depth that is done, and whether the process crashed there or deeper."""

    def work(report):
        function = OPERATIONS[operation](*MODULES[which])
        make = KINDS[kind]
        kept = [function(make(1)) for _ in range(160)]
        source, built = 1, 0
        for depth in DEPTHS:
            for _ in range(depth - built):
                source = make(source)
                kept.append(source)
            built = depth
            try:
                kept.append(function(source))
                report(depth)
            except RecursionError as error:
                if which == "standard":
                    break
                if not is_no_deeper(error):
                    os._exit(2)
        os._exit(0)

    def run(report):
        sys.setrecursionlimit(limit)
        in_thread(lambda: work(report), kilobytes)
        os._exit(1)

    done, status = reported(run)
    return max(done, default=0), status


def is_enough(actual, expected):
    """With the few registers of 32 bits frames are larger: docs/compatibility.md says so."""
    return actual >= (expected if sys.maxsize > 2**32 else expected // 2)


def check(operation, kind, sizes, limits):
    worse = []
    for kilobytes in sizes:
        for limit in limits:
            expected, _ = nested("standard", operation, kind, kilobytes, limit)
            actual, status = nested("ours", operation, kind, kilobytes, limit)
            if status != 0 or not is_enough(actual, expected):
                worse.append((kilobytes, limit, expected, actual, status))
    assert not worse


@release
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_nesting_ends_no_earlier_than_there_and_never_crashes(operation, kind):
    check(operation, kind, [64, 128], [1000, 10**6])


@release
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", ["dumps", "deepcopy"])
def test_nesting_on_stacks_of_any_size(operation, kind):
    """Every other size, so that neighbouring kinds are tried with all."""
    sizes = [80, 96, 112, 160, 192, 256, 512, 1024]
    check(operation, kind, sizes[list(KINDS).index(kind) % 2 :: 2], [1000, 10**4])


# ---- calls within calls -------------------------------------------------------------------------


class Hooked:
    """Has what is in it done by a call of its own."""

    __slots__ = ("inside",)
    module = None

    def __init__(self, inside):
        self.inside = inside


class HookedDeepcopy(Hooked):
    __slots__ = ()

    def __deepcopy__(self, memo):
        return type(self)(self.module[1].deepcopy(self.inside, memo))


class HookedAnew(Hooked):
    __slots__ = ()

    def __deepcopy__(self, memo):
        return type(self)(self.module[1].deepcopy(self.inside))


class HookedCopy(Hooked):
    __slots__ = ()

    def __copy__(self):
        return type(self)(self.module[1].copy(self.inside))


class HookedReduce(Hooked):
    __slots__ = ()

    def __reduce__(self):
        return HookedReduce, (self.module[0].dumps(self.inside),)


class HookedState(Hooked):
    __slots__ = ("pickle",)

    def __getstate__(self):
        return self.module[0].dumps(self.inside)

    def __setstate__(self, state):
        self.inside = self.module[0].loads(state)


def load_again(pickle, copy):
    return lambda obj: pickle.loads(pickle.dumps(obj))


CALLS = {
    "deepcopy": (HookedDeepcopy, OPERATIONS["deepcopy"]),
    "deepcopy anew": (HookedAnew, OPERATIONS["deepcopy"]),
    "copy": (HookedCopy, lambda pickle, copy: copy.copy),
    "reduce": (HookedReduce, OPERATIONS["dumps"]),
    "state": (HookedState, load_again),
}


@release
@pytest.mark.parametrize("limit", [1000, 10**6])
@pytest.mark.parametrize("name", CALLS)
def test_calls_within_calls_never_crash(name, limit):
    """They may end earlier than there for copies, which are Python functions in the standard
    library: docs/compatibility.md."""
    cls, operation = CALLS[name]

    def run(report, kilobytes):
        Hooked.module = MODULES["ours"]
        sys.setrecursionlimit(limit)

        def work():
            source, kept = 1, []
            # The pickles of these double: what is in a string is written once more.
            for depth in range(1, 2000 if "copy" in name else 300):
                source = cls(source)
                try:
                    kept.append(operation(*MODULES["ours"])(source))
                except RecursionError:
                    report(0)
                else:
                    report(depth)
                    continue
                break
            os._exit(0)

        in_thread(work, kilobytes)

    for kilobytes in (64, 128, 256, 1024):
        numbers, status = reported(functools.partial(run, kilobytes=kilobytes))
        assert status == 0
        assert len(numbers) > 8, "not even a few calls"


# ---- the main thread's stack, which grows -------------------------------------------------------


def nested_in_main(bytes_of_stack, later, report):
    """Lists nested in the main thread, whose stack may grow so far, and later to another size."""
    sys.setrecursionlimit(10**6)
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    source, kept, done = 1, [], 0
    for size in (bytes_of_stack, later):
        resource.setrlimit(resource.RLIMIT_STACK, (size, most))
        while done < 10**6:
            for _ in range(100):
                source = [source]
                kept.append(source)
            try:
                our_pickle.dumps(source)
            except RecursionError:
                break
            done += 100
        report(done)


def main_stack():
    """Bytes that the main thread's stack has grown to, by whatever ran in this process."""
    with open("/proc/self/status") as file:
        [line] = [line for line in file if line.startswith("VmStk:")]
    return int(line.split()[1]) * 1024


@release
@pytest.mark.skipif(SEEN, reason="the interpreter sees to it")
@pytest.mark.skipif(sys.platform != "linux", reason="as Linux lets stacks grow")
@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="it allows 1,500 calls in C")
def test_the_limit_of_the_stack_is_asked_anew():
    """The first is well beyond what the test's own process has used, arguments and environment
    included, and the core takes for granted between two looks (GROWTH_UNASKED)."""
    size = max(5 << 17, 2 * main_stack())
    numbers, status = reported(functools.partial(nested_in_main, size, 2 * size))
    assert status == 0
    assert numbers[0] > 2000
    assert numbers[1] > 1.5 * numbers[0]


# ---- stacks that are not the thread's own -------------------------------------------------------


def small(pickle, copy):
    """Some of everything that does not nest."""
    source = [Plain(), {"key": (1, [2.5, Slots()])}, Called(3), Planned("x")]
    return len(pickle.loads(pickle.dumps(source))) + len(copy.deepcopy(source))


def in_foreign_thread(kilobytes, which, report):
    """The same in a thread that C code made, with so much C stack."""
    attributes = ctypes.create_string_buffer(256)
    thread = ctypes.c_ulong()
    libc = ctypes.CDLL(None)

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    def begin(_):
        with contextlib.suppress(RecursionError):
            report(small(*MODULES[which]))
        if which == "ours":
            source = [1]
            kept = []
            for _ in range(5000):
                source = [source]
                kept.append(source)
            for function in (our_pickle.dumps, our_copy.deepcopy):
                with contextlib.suppress(RecursionError):
                    kept.append(function(source))
        os._exit(0)

    libc.pthread_attr_init(attributes)
    assert libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(kilobytes << 10)) == 0
    assert libc.pthread_create(ctypes.byref(thread), attributes, begin, None) == 0
    libc.pthread_join(thread, None)


@release
@pytest.mark.skipif(sys.platform != "linux", reason="as the C library of Linux makes threads")
@pytest.mark.parametrize("kilobytes", [24, 32, 40, 48, 64, 128])
def test_threads_that_c_code_made(kilobytes):
    expected, crashed = reported(functools.partial(in_foreign_thread, kilobytes, "standard"))
    actual, status = reported(functools.partial(in_foreign_thread, kilobytes, "ours"))
    if not crashed:
        assert status == 0
        assert actual == expected or actual == [6 + 2]


# ---- keys ---------------------------------------------------------------------------------------


def loads_of_keys(which, kilobytes, equal, report):
    """Pickles of dicts with a key of tuples within tuples; or with two of them that are equal. All
    of them are kept: the interpreter may not be able to take such a tuple to pieces."""

    def work():
        kept = []
        for depth in DEPTHS:
            one = b"N" + b"\x85\x94" * depth + b"N"
            pickled = b"\x80\x04}(" + one + (one if equal else b"") + b"u."
            kept.append(MODULES[which][0].Unpickler(io.BytesIO(pickled)))
            try:
                kept.append(kept[-1].load())
            except RecursionError as error:
                kept.append(error)
                if which == "standard":
                    break
            else:
                report(depth)
        os._exit(0)

    sys.setrecursionlimit(10**6)
    in_thread(work, kilobytes)
    os._exit(1)


@release
@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("kilobytes", [64, 128, 256])
def test_keys_of_any_depth_never_crash(kilobytes, equal):
    expected, _ = reported(functools.partial(loads_of_keys, "standard", kilobytes, equal))
    actual, status = reported(functools.partial(loads_of_keys, "ours", kilobytes, equal))
    assert status == 0
    # The very end of the stack is not for keys.
    assert len(actual) >= len(expected) - 1
