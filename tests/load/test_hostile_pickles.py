"""Hostile pickles and hostile callers: an exception, never a crash, a hang, or much memory.

Where the standard library crashes or runs out of memory, any exception of ours is right.
"""

import io
import resource
import sys
import threading

import pytest

from fastcopyreg.pickle import Unpickler, dumps, loads
from support import classes, loading, sweep
from support.child import Crash, in_child, requires_fork
from support.implementations import requires_core

pytestmark = requires_core


def le8(number):
    return number.to_bytes(8, "little")


HUGE = {
    "binbytes": b"B\xff\xff\xff\x7f" + b"ab",
    "binbytes8": b"\x8e" + le8(1 << 62) + b"ab",
    "binbytes8 beyond": b"\x8e" + le8(1 << 63) + b"ab",
    "bytearray8": b"\x96" + le8(1 << 40) + b"ab",
    "bytearray8 beyond": b"\x96" + le8(2**64 - 1) + b"ab",
    "binunicode": b"X\xff\xff\xff\xff" + b"ab",
    "binunicode8": b"\x8d" + le8(1 << 45) + b"ab",
    "binstring": b"T\xff\xff\xff\x7f" + b"ab",
    "long4": b"\x8b\xff\xff\xff\x7f" + b"ab",
    "negative long4": b"\x8b\xff\xff\xff\xff" + b"ab",
    "frame": b"\x95" + le8(1 << 45) + b"N.",
    "frame beyond": b"\x95" + le8(2**64 - 1) + b"N.",
    "put": b"Np9999999999\n.",
    "far put": b"Np9223372036854775807\n.",
    "farther put": b"Np99999999999999999999999\n.",
    "long binput": b"Nr\xff\xff\xff\xff.",
    "rising puts": b"N"
    + b"".join(b"r" + (1 << n).to_bytes(4, "little") for n in range(32))
    + b".",
    "get": b"g99999999999\n.",
    "negative get": b"g-1\n.",
    "dup": b"N" + b"2" * 100_000 + b".",
    "marks": b"(" * 1_000_000 + b".",
    "pops of marks": b"(" * 100_000 + b"0" * 100_000 + b"N.",
}

TAKES_ALL = {"rising puts"}
"""What the standard library fills all the memory with that it is given."""


class Plain:
    """The least that a file must have; it keeps no notes, whose memory would count as ours."""

    def __init__(self, data):
        file = io.BytesIO(data)
        self.read = file.read
        self.readline = file.readline


def peak(function):
    """What the function gave, and by how much memory grew, in bytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = loading.outcome(function)
    return outcome, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def outcome_in_little_memory(function):
    sweep.limit_memory()
    return loading.outcome(function)


@requires_fork
@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("way", ["loads", "load", "plain"])
def test_lengths_are_not_believed(name, way):
    data = HUGE[name]

    def attempt(module):
        if way == "loads":
            return module.loads(data)
        return module.load(io.BytesIO(data) if way == "load" else Plain(data))

    ours, grown = in_child(peak, lambda: attempt(loading.OURS))
    assert grown < (64 << 20)
    outcome = outcome_in_little_memory if name in TAKES_ALL else loading.outcome
    standard = in_child(outcome, lambda: attempt(loading.STANDARD))
    # On 32 bits there is an OverflowError for a length that no bytes can have; ours looks first at
    # what is there.
    too_large = name == "binbytes" and sys.maxsize < 2**32
    if isinstance(standard, Crash) or standard[1] is MemoryError or too_large:
        assert ours[0] in ("raised", "loaded")
    else:
        assert ours == standard


# Callers that come in between.


def test_load_in_find_class_is_refused():
    class Nested(Unpickler):
        def find_class(self, module_name, name):
            return self.load()

    with pytest.raises(RuntimeError, match="Unpickler object is already used"):
        Nested(io.BytesIO(b"cm\nn\n.N.")).load()


def test_init_in_find_class_is_refused():
    class Again(Unpickler):
        def find_class(self, module_name, name):
            with pytest.raises(RuntimeError, match="already used"):
                self.__init__(io.BytesIO(b"N."))
            return int

    unpickler = Again(io.BytesIO(b"](cm\nn\ncm\nn\ne.N."))
    assert unpickler.load() == [int, int]
    assert unpickler.load() is None


def test_init_in_the_attributes_of_the_file_is_refused():
    unpickler = Unpickler(io.BytesIO(b"K\x01."))

    class File:
        @property
        def peek(self):
            with pytest.raises(RuntimeError):
                unpickler.__init__(io.BytesIO())
            with pytest.raises((RuntimeError, Exception)):
                unpickler.load()
            raise AttributeError

        read = io.BytesIO(b"K\x02.").read
        readline = None

    unpickler.__init__(File())
    assert unpickler.load() == 2


def test_load_in_persistent_load_and_in_read_is_refused():
    class Nested(Unpickler):
        def persistent_load(self, pid):
            return self.load()

    with pytest.raises(RuntimeError, match="already used"):
        Nested(io.BytesIO(b"K\x01Q.N.")).load()

    class File(loading.Reader):
        def read(self, size):
            if self.calls:
                unpickler.load()
            return super().read(size)

    unpickler = Unpickler(File(b"K\x01."))
    with pytest.raises(RuntimeError, match="already used"):
        unpickler.load()


class Reaching:
    """Whatever a load runs of it does something to the unpickler that loads."""

    unpickler: Unpickler
    deed = None
    ends: list

    def __init__(self, *args):
        self.reach()

    def __hash__(self):
        return self.reach()

    def reach(self, *args):
        try:
            type(self).deed(self.unpickler)
        except BaseException as error:  # The load may turn it into another.
            self.ends.append(error)
        else:
            self.ends.append("done")
        return 0

    __setstate__ = append = __setitem__ = __setattr__ = reach


class ReachingNew(Reaching):
    def __new__(cls, *args):
        made = super().__new__(cls)
        made.reach()
        return made


def use_again(unpickler):
    with pytest.raises(RuntimeError, match="already used"):
        unpickler.load()


def initialise_again(unpickler):
    with pytest.raises(RuntimeError, match="already used"):
        unpickler.__init__(io.BytesIO(b"N."))


def replace_memo(unpickler):
    unpickler.memo = {}


def fill_memo(unpickler):
    unpickler.memo = {number: number for number in range(1000)}


DEEDS = [use_again, initialise_again, replace_memo, fill_memo, lambda one: one.memo.clear()]
CALLS = {
    "constructor": b"(K\x01K\x02t\x94R\x94",
    "no arguments": b")R\x94",
    "__new__": b"K\x01\x85\x94\x81\x94",
    "__new__ with keywords": b"K\x01\x85\x94}\x94\x92\x94",
    "__setstate__": b")\x81\x94}\x94X\x01\x00\x00\x00a\x94K\x01sb",
    "slot state": b")\x81\x94N}\x94X\x01\x00\x00\x00a\x94K\x01s\x86\x94b",
    "append": b")\x81\x94(K\x01K\x02e",
    "__setitem__": b")\x81\x94(K\x01K\x02K\x03K\x04u",
    "__hash__ in a dict": b")\x81\x940}\x94(h\x01N\x8c\x01a\x94Nh\x01Nu",
    "__hash__ in a set": b")\x81\x940\x8f\x94(h\x01h\x010K\x01\x90",
    "INST": b"1(K\x01i" + __name__.encode() + b"\nReaching\n",
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_called_cannot_spoil_its_unpickler(monkeypatch, call, deed):
    """The objects that the load has, it keeps, whatever becomes of the memo."""
    cls = ReachingNew if call.startswith("__new__") else Reaching
    name = f"c{__name__}\n{cls.__name__}\n".encode()
    one = b"\x80\x04(" + name + b"\x94" + CALLS[call] + b"\x8c\x04text\x94h\x00h\x01t."
    unpickler = Unpickler(io.BytesIO(one * 4))
    ends = []
    monkeypatch.setattr(Reaching, "unpickler", unpickler, raising=False)
    monkeypatch.setattr(Reaching, "ends", ends, raising=False)
    monkeypatch.setattr(Reaching, "deed", staticmethod(deed))
    for _ in range(4):
        loading.outcome(unpickler.load)
    assert set(ends) == {"done"}
    unpickler.__init__(io.BytesIO(b"\x80\x04]\x94K\x01ah\x00\x86."))
    assert unpickler.load() == ([1], [1])


MEMOS = [{}, {0: "zero"}, {5: "five", 10**9: "far"}, None]


@pytest.mark.parametrize("memo", MEMOS)
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_memo_replaced(memo, when):
    """The standard library corrupts its heap here."""

    class Replacing(Unpickler):
        def replace(self):
            if memo is None:
                self.memo.clear()
            else:
                self.memo = memo

        def find_class(self, module_name, name):
            if when == "during":
                self.replace()
            return int

    data = (
        b"\x80\x04"
        + b"".join(b"K%c\x94" % n for n in range(100))
        + b"cm\nn\n\x94"
        + b"h\x00h\x05h\x63."
    )
    unpickler = Replacing(io.BytesIO(data * 3))
    for _ in range(3):
        if when == "before":
            unpickler.replace()
        loading.outcome(unpickler.load)
        if when == "after":
            unpickler.replace()
        assert all(isinstance(index, int) for index in unpickler.memo.copy())


def test_made_by_new_alone():
    unpickler = Unpickler.__new__(Unpickler)
    for _ in range(2):
        with pytest.raises(Exception, match=r"Unpickler.__init__\(\) was not called by"):
            unpickler.load()
    assert unpickler.memo.copy() == {}
    unpickler.memo = {1: 2}
    unpickler.memo.clear()
    assert unpickler.find_class("math", "pi") > 3
    assert sys.getsizeof(unpickler) > 0


@pytest.mark.parametrize(
    "options", [{"buffers": 3}, {"encoding": 3}, {"errors": None}, {"nonsense": 1}]
)
def test_init_that_fails_half_way(options):
    unpickler = Unpickler.__new__(Unpickler)
    for _ in range(2):
        with pytest.raises(TypeError):
            unpickler.__init__(io.BytesIO(b"N."), **options)
        with pytest.raises(Exception, match="was not called by"):
            unpickler.load()
    unpickler.__init__(io.BytesIO(b"N."))
    assert unpickler.load() is None
    with pytest.raises(TypeError):
        unpickler.__init__(io.BytesIO(b"N."), **options)
    loading.outcome(unpickler.load)


def test_initialised_again_it_starts_anew():
    unpickler = Unpickler(io.BytesIO(b"\x80\x04]\x94K\x01\x94\x86."))
    unpickler.load()
    unpickler.__init__(io.BytesIO(b"\x80\x04K\x07\x94h\x00\x86."))
    assert unpickler.load() == (7, 7)


def test_shared_by_threads():
    data = dumps([classes.Point(number, [number]) for number in range(300)])
    unpickler = Unpickler(io.BytesIO(data * 400))
    outcomes = []

    def work():
        for _ in range(100):
            outcomes.append(loading.outcome(lambda: len(unpickler.load())))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {what[0] for what in outcomes} <= {"loaded", "raised"}
    refused = {what[1] for what in outcomes if what[0] == "raised"}
    assert refused <= {RuntimeError, EOFError}


# Objects that change what is being loaded.


class Growing:
    """Setting an attribute changes the state."""

    states: list = []

    def __setattr__(self, name, value):
        for state in self.states:
            state.clear()
        object.__setattr__(self, name, value)


def keep_state(state):
    Growing.states.append(state)
    return state


def module_line(name):
    return f"c{__name__}\n{name}\n".encode()


def test_state_that_is_cleared_while_it_is_set(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules[keep_state.__module__])
    monkeypatch.setattr(Growing, "states", [])
    data = (
        b"\x80\x02"
        + module_line("Growing")
        + b")\x81N"
        + module_line("keep_state")
        + b"}(X\1\0\0\0aK\1X\1\0\0\0bK\2X\1\0\0\0cK\3u\x85R\x86b."
    )
    for module in (loading.OURS, loading.STANDARD):
        Growing.states.clear()
        outcome = loading.outcome(lambda module=module: vars(module.loads(data)))
        assert outcome[0] == "loaded"


def test_many_nested_loads():
    """Each takes a machine of its own."""

    class Nested:
        def __init__(self, depth):
            self.inner = loads(nested_data(depth - 1)) if depth else None

    sys.modules[__name__].Nested = Nested
    sys.modules.setdefault(__name__, sys.modules[keep_state.__module__])
    loaded = loads(nested_data(40))
    depth = 0
    while loaded.inner is not None:
        loaded, depth = loaded.inner, depth + 1
    assert depth == 40


def nested_data(depth):
    return b"\x80\x02" + module_line("Nested") + b"K%c\x85R." % depth
