"""Files: what is asked of them, where they are left, and several pickles in one."""

import io
import random

import pytest

from fastcopyreg.pickle import Unpickler, dumps, load
from support import loading
from support.child import in_child, requires_fork
from support.implementations import PROTOCOLS, requires_core

pytestmark = requires_core

VALUES = {
    "small": lambda: [1, "two", (3.0,)],
    "many frames": lambda: [str(number) * 3 for number in range(12_000)],
    "large parts": lambda: [
        b"x" * 70_000,
        "y" * 70_000,
        bytearray(b"z") * 200_000,
        [b"w" * 70_000],
    ],
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", VALUES)
def test_files_are_asked_the_same(name, protocol):
    """1 and 3 are read by counts and without frames, as 2."""
    loading.compare_by_files(dumps(VALUES[name](), protocol) + b"rest")


@pytest.mark.parametrize("reader", loading.READERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_several_pickles_in_one_file(reader, protocol):
    values = [[number, "x" * number] for number in (1, 300, 70_000)]
    pickles = [dumps(value, protocol) for value in values]
    file = loading.READERS[reader](b"".join(pickles) + b"rest")
    end = 0
    for value, data in zip(values, pickles, strict=True):
        assert load(file) == value
        end += len(data)
        assert file.tell() == end
    assert file.read(4) == b"rest"


def one_unpickler(module, reader, data):
    file = loading.READERS[reader](data)
    unpickler = module.Unpickler(file)
    outcomes = [(loading.outcome(unpickler.load), file.tell()) for _ in range(4)]
    return outcomes, getattr(file, "calls", None)


FRAME = b"\x95%c\0\0\0\0\0\0\0"


@pytest.mark.parametrize("reader", loading.READERS)
@pytest.mark.parametrize(
    "data",
    [
        dumps([1], 4) + dumps(["two"], 5) + dumps((3,), 0),
        dumps([1], 4) * 2 + b"\x80\x09",
        b"N." + b"h\x00." + b"K\x01.",
        FRAME % 5 + b"N.K\x01C" + b"\x01a.K\x09.",
        FRAME % 4 + b"N.NN" + FRAME % 1 + b"N.K\x09.",
        FRAME % 12 + b"N" + FRAME % 0 + b"NN.",
        FRAME % 10 + b"N" + FRAME % 0 + b"N.",
        FRAME % 6 + b"X\x0a\0\0\0helloworld.N.",
        FRAME % 6 + b"Vhelloworld\n.N.",
        FRAME % 9 + b"cbuiltins\nlen\n.N.",
        FRAME % 2 + b"C\0.",
        FRAME % 50 + b"NN.",
    ],
)
def test_one_unpickler_goes_on_alike(reader, data):
    expected = one_unpickler(loading.STANDARD, reader, data)
    assert one_unpickler(loading.OURS, reader, data) == expected


class Misbehaving(loading.IntoReader):
    """A file whose methods return what they should not."""

    def __init__(self, data, method, result):
        super().__init__(data)
        self.method, self.result = method, result

    def answer(self, method, *args):
        if method != self.method:
            return getattr(super(), method)(*args)
        if isinstance(self.result, type) and issubclass(self.result, BaseException):
            raise self.result("from the file")
        return self.result

    def read(self, size):
        return self.answer("read", size)

    def readline(self):
        return self.answer("readline")

    def readinto(self, view):
        return self.answer("readinto", view)


@pytest.mark.parametrize("method", ["read", "readline", "readinto"])
@pytest.mark.parametrize(
    "result", [None, "text", b"", b"x", bytearray(b"N."), -1, 0, 10**30, 3.5, OSError, EOFError]
)
@pytest.mark.parametrize(
    "data",
    [b"N.", b"X\x03\0\0\0abc.", b"B\x03\0\0\0abc.", b"I1\n.", b"\x8e\x02" + bytes(7) + b"ab."],
)
def test_misbehaving_files_end_alike(method, result, data):
    def outcome(module):
        return loading.outcome(lambda: module.load(Misbehaving(data, method, result)))

    assert outcome(loading.OURS) == outcome(loading.STANDARD)


@pytest.mark.parametrize(
    "attributes", [(), ("read",), ("readline",), ("read", "readline"), ("peek", "readinto")]
)
def test_files_must_have_methods(attributes):
    def outcome(module):
        file = type("File", (), dict.fromkeys(attributes))()
        return loading.outcome(lambda: module.load(file))

    assert outcome(loading.OURS) == outcome(loading.STANDARD)


class Keeping(loading.IntoReader):
    """Keeps the views that readinto() is given, and writes into them later."""

    def __init__(self, data):
        super().__init__(data)
        self.views = []

    def readinto(self, view):
        self.views.append(view[:])
        return self.file.readinto(view)


@pytest.mark.parametrize(
    "opcode", [b"B%c\0\0\0", b"C%c", b"\x8e%c" + bytes(7), b"\x96%c" + bytes(7)]
)
def test_kept_views_reach_nothing(opcode):
    file = Keeping(opcode % 60 + b"a" * 60 + b".")
    loaded = load(file)
    assert loaded == b"a" * 60
    for view in file.views:
        view[:] = b"z" * len(view)
    assert file.views and loaded == b"a" * 60
    if isinstance(loaded, bytearray):
        loaded.extend(b"free to grow")


class Boasting(io.RawIOBase):
    """A file whose readinto() writes one byte and says that it wrote all, of `rest` bytes."""

    def __init__(self, opcode, rest):
        self.part, self.rest = opcode, rest

    def readable(self):
        return True

    def read(self, size=-1):
        if not self.part and self.rest == 0:
            self.part = b"."
        part, self.part = self.part[:size], self.part[size:]
        return part

    def readinto(self, view):
        if self.part or self.rest == 0:
            part = self.read(len(view))
            view[: len(part)] = part
            return len(part)
        self.rest -= len(view)
        view[:1] = b"y"
        return len(view)


@pytest.mark.parametrize("opcode", [b"B", b"\x96"])
@pytest.mark.parametrize(
    ("size", "wrap"),
    # The buffered reader passes the memory on only for as much as its own buffer has room for.
    [(size, lambda file: file) for size in (40, 300, 9000, 70_000)]
    + [(3 << 20, io.BufferedReader)],
)
def test_memory_that_is_not_written_is_not_shown(opcode, size, wrap):
    header = opcode + size.to_bytes(4 if opcode == b"B" else 8, "little")
    junk = [b"x" * (size - 10 + n) for n in range(20)]
    del junk
    loaded = load(wrap(Boasting(header, size)))
    assert len(loaded) == size
    assert loaded.count(b"y") + loaded.count(b"\0") == size


class Lying:
    """A file that says now and then what is not so, and keeps the views that it is given."""

    def __init__(self, data, chance, methods):
        self.file, self.chance, self.views = io.BytesIO(data), chance, []
        for name in methods:
            setattr(self, name, getattr(self, f"lying_{name}"))

    def lie(self, truth, *lies):
        return truth if self.chance.random() < 0.8 else self.chance.choice(lies)

    def read(self, size):
        data = self.file.read(size)
        return self.lie(data, b"", data[:-1], data + b"more", bytearray(data), None, "text")

    def readline(self):
        line = self.file.readline()
        return self.lie(line, b"", line[:-1], line + b"more\nand more\n", b"\0" * 50, None)

    def lying_peek(self, size):
        at = self.file.tell()
        data = self.file.read(size)
        self.file.seek(at)
        return self.lie(data, b"", data[:1], data + b"nothing" * 9, bytearray(data), None, 5)

    def lying_readinto(self, view):
        self.views.append(view)
        count = self.file.readinto(view)
        told = self.lie(count, -5, count + 1, len(view) + 9, 10**30, None, 0, "all")
        return self.fill() if told == "all" else told

    def fill(self):
        for view in self.views:
            view[:] = b"\xff" * len(view)
        return len(self.views[-1])


LIED_TO = [
    lambda: [1, "two", (3.0,), {"key": b"x" * 300}],
    lambda: ["y" * 70_000, bytearray(b"z" * 70_000), b"w" * 70_000],
    lambda: [{str(number): number} for number in range(100)],
]


def load_from_liars(seed):
    """How many loads gave an object, and how many an exception."""
    chance, ends = random.Random(seed), []
    for _ in range(100):
        data = dumps(chance.choice(LIED_TO)(), chance.choice(PROTOCOLS)) * 2
        methods = chance.sample(["peek", "readinto"], chance.randrange(3))
        file = Lying(data, chance, methods)
        unpickler = Unpickler(file)
        for _ in range(3):
            ends.append(load_unspoilt(unpickler, file))
    return ends.count("loaded"), ends.count("raised"), len(ends)


def load_unspoilt(unpickler, file):
    """How a load ends; what it gave is out of reach of the views that the file was given."""
    try:
        loaded = unpickler.load()
    except Exception:
        return "raised"
    described = repr(loaded)
    if file.views:
        file.fill()
    assert repr(loaded) == described
    return "loaded"


@requires_fork
@pytest.mark.parametrize("seed", range(10))
def test_files_that_lie_are_survived(seed):
    loaded, raised, attempts = in_child(load_from_liars, seed)
    assert loaded + raised == attempts and loaded > 20 and raised > 20


def test_large_parts_arrive_in_growing_chunks():
    file = loading.IntoReader(b"B" + (5 << 20).to_bytes(4, "little") + b"x" * (5 << 20) + b".")
    assert load(file) == b"x" * (5 << 20)
    sizes = [call[1] for call in file.calls if call[0] == "readinto"]
    assert sum(sizes) == 5 << 20 and max(sizes) <= 5 << 20 and sizes[0] <= 1 << 20


def test_an_unpickler_reads_what_is_appended():
    file = io.BytesIO()
    unpickler = Unpickler(file)
    for value in ([1], "two", {3: 4}):
        at = file.tell()
        file.write(dumps(value))
        file.seek(at)
        assert unpickler.load() == value
