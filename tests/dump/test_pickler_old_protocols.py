"""Protocols 2 and 3, which torch.save and others write: objects go by their plans there, too."""

import copyreg
import dataclasses
import io

import pytest

from support.implementations import OURS, PLANS_ARE_ON, STANDARD, requires_core
from support.recording import Sink

_core = pytest.importorskip("fastcopyreg._core")

pytestmark = requires_core

PROTOCOLS = (2, 3, 4)
LONG = "n" * 255


class Plain:
    def __init__(self, x):
        self.x, self.y = x, str(x)
        setattr(self, LONG, LONG[: x % 256] if isinstance(x, int) else x)


class Made(Plain):
    """Its `__dict__` is there, and another has it."""

    def __init__(self, x):
        super().__init__(x)
        self.own = vars(self)


class Empty:
    pass


@dataclasses.dataclass(slots=True)
class Slots:
    x: object
    y: object = None


class Both(Slots):
    """Slots and a `__dict__`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: object
    y: object = 1.5


class Registered:
    def __init__(self, x):
        self.x, self.text = x, LONG


class WithState(Registered):
    pass


class ByMethod(Registered):
    def __reduce__(self):
        return ByMethod, (self.x,)


class ByProtocol(Registered):
    def __reduce_ex__(self, protocol):
        return ByProtocol, (protocol,)


copyreg.pickle(Registered, lambda one: (Registered, (one.x,)))
copyreg.pickle(WithState, lambda one: (WithState, (one.x,), {"text": one.text, "x": one.x}))


class Listed(list):
    pass


def both(x):
    one = Both(x, x)
    one.z = x
    return one


KINDS = {
    "plain": Plain,
    "made": Made,
    "empty": lambda x: Empty(),
    "slots": Slots,
    "unset slots": lambda x: Slots.__new__(Slots),
    "both": both,
    "frozen": Frozen,
    "registered": Registered,
    "state": WithState,
    "method": ByMethod,
    "protocol": ByProtocol,
    "list": lambda x: Listed([x, Plain(x)]),
}


def parts(number):
    """What an object may hold: short and long, atoms and others, seen and new."""
    shared = [number, Slots("inner")]
    atoms = [number, -number << 40, "é" * 3, LONG, b"bytes", None, 2.5]
    return [*atoms, {1}, shared, shared, Plain(number)]


def graph(make):
    """More objects than a number of one byte counts; shared ones and cycles among them."""
    objects = [make(part) for number in range(60) for part in parts(number)]
    cycle = make([])
    objects.append(cycle)
    if isinstance(getattr(cycle, "x", None), list):
        cycle.x.append(cycle)
    return [objects, objects[::7], [make(number) for number in range(300)]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_and_memo_are_the_same(kind, protocol):
    before = _core.plan_threshold(3)
    try:
        for _ in range(2):
            objects = graph(KINDS[kind])
            written = []
            for implementation in (STANDARD, OURS):
                sink, file = Sink(), io.BytesIO()
                for output in (sink, file):
                    pickler = implementation.Pickler(output, protocol)
                    pickler.dump(objects)
                    pickler.dump([objects[0][3], objects[2]])
                numbers = {key: number for key, (number, _) in pickler.memo.copy().items()}
                by_id = [numbers.get(id(each)) for part in objects for each in part]
                dumped = implementation.dumps(objects, protocol)
                written.append((sink.writes, file.getvalue(), dumped, len(numbers), by_id))
            assert written[0] == written[1]
    finally:
        _core.plan_threshold(before)


@pytest.mark.skipif(not PLANS_ARE_ON, reason="nothing is read on this build")
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["registered", "state", "method"])
def test_objects_go_by_their_plans(kind, protocol):
    before = _core.plan_threshold(3)
    objects = [KINDS[kind](number) for number in range(300)]
    try:
        for _ in range(3):
            OURS.dumps(objects, protocol)
        count = _core.plan_counts()[0]
        OURS.dumps(objects, protocol)
        assert _core.plan_counts()[0] - count >= 299
    finally:
        _core.plan_threshold(before)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["plain", "slots"])
def test_a_reducer_that_comes_in_the_middle_is_called(kind, protocol):
    """The class has a number by then."""
    cls = KINDS[kind]
    objects = [cls(number) for number in range(100)]

    class Changes:
        def __reduce__(self):
            cls.__reduce_ex__ = lambda self, protocol: (str, ("reduced",))
            return list, ()

    def dumped(implementation):
        try:
            return implementation.dumps([objects[:50], Changes(), objects], protocol)
        finally:
            del cls.__reduce_ex__

    assert dumped(OURS) == dumped(STANDARD)
