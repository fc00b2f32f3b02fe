"""What is written and when: frames, calls of write(), large objects, out-of-band buffers."""

import array
import io
import pickle as std_pickle
import sys

import pytest

from support import trace
from support.classes import Plain, make_plain
from support.corpus import FRAME
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, Sink, compare, describe_error, joined

pytestmark = requires_core


def payloads(size):
    """One object of each kind that may bypass the frame."""
    return {
        "bytes": lambda: b"b" * size,
        "str": lambda: "s" * size,
        "wide str": lambda: "é" * (size // 2),
        "bytearray": lambda: bytearray(size),
        "buffer": lambda: std_pickle.PickleBuffer(b"p" * size),
        "writable buffer": lambda: std_pickle.PickleBuffer(bytearray(size)),
    }


KINDS = sorted(payloads(0))
SIZES = [FRAME - 10, FRAME - 6, FRAME - 5, FRAME - 2, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME]
AROUND = {
    "alone": lambda make: make(),
    "first": lambda make: [make(), 1, "after"],
    "last": lambda make: ["before", 1, make()],
    "twice": lambda make: [make(), make()],
    "shared": lambda make: [make()] * 2,
    "in reduction": lambda make: Holding(make()),
    "after a full frame": lambda make: ["x" * 60000, "y" * 6000, make(), 1],
    "in dict": lambda make: {"k": make(), "l": 2},
}


class Holding:
    """Holds one object."""

    def __init__(self, held):
        self.held = held

    def __reduce__(self):
        return make_plain, (self.held,), {"again": self.held}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_large_objects_are_written_alike(kind, size):
    for protocol in PROTOCOLS:
        for around in AROUND.values():
            for entry in ("dumps", "dump"):
                setup = Setup(entry, protocol)
                compare(STANDARD, OURS, setup, lambda a=around: a(payloads(size)[kind]))


@pytest.mark.parametrize("protocol", [4, 5])
def test_large_bytes_are_handed_over_unjoined(protocol):
    payload = b"b" * (2 * FRAME)
    handed = []

    class File:
        def write(self, data):
            handed.append(data)

    OURS.dump([1, payload, 2], File(), protocol)
    assert any(data is payload for data in handed)
    assert b"".join(map(bytes, handed)) == std_pickle.dumps([1, payload, 2], protocol)


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 9, 100, 255])
def test_frames_end_at_every_position(protocol, step):
    """Objects of one size, so that a frame's end falls at each offset in an opcode."""
    for shift in range(step + 12):
        compare(
            STANDARD,
            OURS,
            Setup("dump", protocol),
            lambda s=shift: ["p" * (FRAME - 400 + s), *[("i" * step, n) for n in range(200)]],
        )


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: {f"key {n} {i}": [i, float(i)] for i in range(3000)},
        lambda n: [{i, n} for i in range(9000)],
        lambda n: [filled(i) for i in range(3000)],
        lambda n: tuple(str(i) * 3 for i in range(12000)),
        lambda n: frozenset(range(n, 30000)),
        lambda n: [2**70 + i for i in range(9000)],
        lambda n: [[], (), {}] * 40000,
    ],
)
def test_frames_end_inside_containers(protocol, make):
    compare(STANDARD, OURS, Setup("dump", protocol), lambda: make(protocol))


def filled(number):
    """An instance with a `__dict__`."""
    made = Plain()
    made.number, made.text = number, f"text {number}"
    return made


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_one_write_before_frames_existed(protocol):
    found = compare(
        STANDARD, OURS, Setup("dump", protocol), lambda: ["x" * 1000] * 10 + list(range(50000))
    )
    assert len(found.writes) == 1


class Failing:
    """A file whose n-th write raises."""

    def __init__(self, fail_at):
        self.fail_at, self.calls = fail_at, []

    def write(self, data):
        self.calls.append((type(data).__name__, len(data)))
        if len(self.calls) == self.fail_at:
            raise OSError("full")


@pytest.mark.parametrize("fail_at", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_write_that_raises(fail_at, protocol):
    obj = [1, b"b" * FRAME, "t" * FRAME, [2], bytearray(FRAME)]
    results = []
    for implementation in (STANDARD, OURS):
        file = Failing(fail_at)
        pickler = implementation.Pickler(file, protocol)
        outcomes = []
        for _ in range(2):
            try:
                pickler.dump(obj)
            except OSError as error:
                outcomes.append(describe_error(error))
        results.append((file.calls, outcomes, len(pickler.memo.copy())))
    assert results[0] == results[1]


@pytest.mark.parametrize("result", [None, 3, "text", NotImplemented, Ellipsis], ids=repr)
def test_result_of_write_does_not_matter(result):
    class File(Sink):
        def write(self, data):
            super().write(data)
            return result

    file = File()
    OURS.dump([b"b" * FRAME, 1], file)
    assert b"".join(data for _, data in file.writes) == std_pickle.dumps([b"b" * FRAME, 1])


def test_write_is_looked_up_once():
    class File:
        def __getattribute__(self, name):
            trace.note(name)
            return (lambda data: None) if name == "write" else object.__getattribute__(self, name)

    counts = []
    for implementation in (STANDARD, OURS):
        trace.take()
        implementation.dump([1, b"b" * FRAME, "s" * FRAME], File())
        counts.append(trace.take())
    assert counts[0] == counts[1]


@pytest.mark.parametrize("make", [io.BytesIO, lambda: io.BufferedWriter(io.BytesIO())])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_real_files(make, protocol):
    obj = [1, b"b" * FRAME, "s" * FRAME, {"k": Plain()}]
    files = [make(), make()]
    STANDARD.dump(obj, files[0], protocol)
    OURS.dump(obj, files[1], protocol)
    contents = []
    for file in files:
        file.flush()
        contents.append((file if isinstance(file, io.BytesIO) else file.raw).getvalue())
    assert contents[0] == contents[1]


def strided():
    """A view that is not contiguous."""
    return memoryview(bytearray(range(40)))[::2]


def fortran():
    """A contiguous view of two dimensions."""
    return memoryview(bytearray(12)).cast("B", (3, 4))


def released():
    """A buffer that was released."""
    buffer = std_pickle.PickleBuffer(b"gone")
    buffer.release()
    return buffer


class Exporter:
    """Its `__buffer__`, which is asked from 3.12 on, gives memory that another object owns."""

    def __init__(self, memory):
        self.memory = memory

    def __buffer__(self, flags):
        return memoryview(self.memory)


BUFFERS = {
    "bytes": lambda: std_pickle.PickleBuffer(b"bytes"),
    "empty": lambda: std_pickle.PickleBuffer(b""),
    "bytearray": lambda: std_pickle.PickleBuffer(bytearray(b"bytearray")),
    "held bytearray": lambda: std_pickle.PickleBuffer(HELD),
    "array": lambda: std_pickle.PickleBuffer(array.array("d", [1.5, 2.5])),
    "readonly view": lambda: std_pickle.PickleBuffer(memoryview(bytearray(b"x")).toreadonly()),
    "view": lambda: std_pickle.PickleBuffer(memoryview(b"view")[1:3]),
    "two dimensions": lambda: std_pickle.PickleBuffer(fortran()),
    "not contiguous": lambda: std_pickle.PickleBuffer(strided()),
    "released": released,
    "shared": lambda: [std_pickle.PickleBuffer(b"shared")] * 2,
    "two of one object": lambda: [
        std_pickle.PickleBuffer(SHARED),
        std_pickle.PickleBuffer(SHARED),
        SHARED,
    ],
    "large": lambda: [
        std_pickle.PickleBuffer(b"l" * FRAME),
        1,
        std_pickle.PickleBuffer(bytearray(FRAME)),
    ],
    "in reduction": lambda: Holding(std_pickle.PickleBuffer(b"held")),
    "exported": lambda: std_pickle.PickleBuffer(Exporter(bytearray(b"exported"))),
    "exported for reading": lambda: std_pickle.PickleBuffer(Exporter(b"exported")),
    "exported pieces": lambda: std_pickle.PickleBuffer(Exporter(strided())),
    "large exported": lambda: [std_pickle.PickleBuffer(Exporter(bytearray(FRAME))), 1],
}
if sys.version_info < (3, 12):
    BUFFERS = {name: make for name, make in BUFFERS.items() if "exported" not in name}
SHARED = b"one object"
# A callback may release a buffer that is then written: what it was of must still be there.
HELD = bytearray(b"held")


@pytest.mark.parametrize("name", BUFFERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_buffers(name, protocol):
    for kind in ("", "out", "in", "alternate"):
        for entry in ("dumps", "dump", "pickler"):
            compare(STANDARD, OURS, Setup(entry, protocol, buffers=kind), BUFFERS[name])


CALLBACKS = {
    "raises": lambda buffer: 1 / 0,
    "no truth": lambda buffer: NoTruth(),
    "releases": lambda buffer: buffer.release(),
    "releases in-band": lambda buffer: buffer.release() or True,
    "list append": [].append,
    "text": lambda buffer: "in-band",
    "not callable": 3,
}


class NoTruth:
    """An object whose truth raises."""

    def __bool__(self):
        raise ValueError("no truth")


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("buffer", ["bytes", "held bytearray", "shared", "not contiguous"])
def test_buffer_callbacks(name, buffer):
    results = []
    for implementation in (STANDARD, OURS):
        try:
            results.append(
                implementation.dumps(BUFFERS[buffer](), 5, buffer_callback=CALLBACKS[name])
            )
        except Exception as error:
            results.append(describe_error(error))
    assert results[0] == results[1]


def test_buffer_callback_gets_the_buffer_itself():
    buffer = std_pickle.PickleBuffer(b"itself")
    received = []
    data = OURS.dumps([buffer], 5, buffer_callback=received.append)
    assert received == [buffer]
    assert std_pickle.loads(data, buffers=received)[0] is buffer


def test_writes_of_one_pickler_follow_each_other():
    setup = Setup("pickler", 4, dumps=3)
    found = compare(STANDARD, OURS, setup, lambda: ["a", b"b" * FRAME])
    assert joined(found).count(b"\x80\x04") == 3
