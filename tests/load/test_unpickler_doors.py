"""Every door to a load: the same objects, exceptions, positions and calls as there.

A load that may look ahead (prescan.h) must not be told from one that does not: not by where the
file stands, in the middle and behind an error, not by what a file that changes in the middle
gives, and not by what a buffer shows.
"""

import array
import bz2
import codecs
import copyreg
import functools
import gc
import gzip
import io
import lzma
import mmap
import os
import socket
import sys
import tempfile
import zipfile

import pytest

from fastcopyreg import bench
from fastcopyreg.pickle import UnpicklingError, dumps, loads
from support import loading
from support.implementations import PROTOCOLS, requires_core

pytestmark = requires_core


class Plain:
    def __init__(self, x, y):
        self.x, self.y = x, y


class Registered(Plain):
    pass


class Slotted:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y


class Stated(Plain):
    def __getstate__(self):
        return (self.x, self.y)

    def __setstate__(self, state):
        self.x, self.y = state


class Acting:
    """Does, when it is made again, what `act` is at the time."""

    act = staticmethod(lambda: None)

    def __init__(self, text, shared):
        self.text, self.shared = text, shared
        Acting.act()

    def __reduce__(self):
        return Acting, (self.text, self.shared)


@pytest.fixture(autouse=True)
def registered():
    copyreg.pickle(Registered, lambda one: (Registered, (one.x, one.y)))
    yield
    del copyreg.dispatch_table[Registered]
    Acting.act = staticmethod(lambda: None)


def shared(make):
    """Objects with parts that several have, and that are fetched from the memo much later."""
    pair, text, state = ("p", ["q"]), "t" * 300, {"k": 1}
    return [make((pair, number), (text, state)) for number in range(40)] + [pair, text, state]


KINDS = {
    "atom": lambda: 5,
    "text": lambda: "x" * 300,
    "small": lambda: Plain(1, "a"),
    "small call": lambda: Registered(1, "a"),
    "small dict": lambda: {"x": 1, "y": None},
    "plain": lambda: [Plain(number, str(number)) for number in range(300)],
    "registered": lambda: [Registered(number, str(number)) for number in range(300)],
    "slotted": lambda: [Slotted(number, str(number)) for number in range(300)],
    "stated": lambda: [Stated(number, str(number)) for number in range(30)],
    "records": lambda: [{"x": number, "c": [number, number + 1]} for number in range(300)],
    "frames": lambda: [Registered(str(number) * 9, "x" * 90) for number in range(1200)],
    "large": lambda: [Plain(b"x" * 70_000, "y" * 70_000), Plain(bytearray(9), [b"z" * 99_000])],
    "shared plain": lambda: shared(Plain),
    "shared registered": lambda: shared(Registered),
    "shared slotted": lambda: shared(Slotted),
    "acting": lambda: [Acting("x" * 900, [number]) for number in range(200)],
}


def kinds(protocol):
    """Those that can be pickled by the protocol."""
    return {name: make for name, make in KINDS.items() if protocol > 1 or "slotted" not in name}


class InFile:
    """Opens bytes as a file on disk."""

    def __init__(self, buffering):
        self.buffering = buffering

    def __call__(self, data, tmp_path):
        path = tmp_path / "pickle"
        path.write_bytes(data)
        return open(path, "r+b" if self.buffering is None else "rb", self.buffering or -1)


def in_mmap(data, tmp_path):
    mapped = mmap.mmap(-1, len(data))
    mapped.write(data)
    mapped.seek(0)
    return mapped


def written(data, tmp_path):
    file = io.BytesIO()
    file.write(data)
    file.seek(0)
    return file


FILES = {
    "BytesIO": lambda data, tmp_path: io.BytesIO(data),
    "written BytesIO": written,
    "file": InFile(-1),
    "file with a small buffer": InFile(32),
    "file with 8 KiB": InFile(8192),
    "raw file": InFile(0),
    "file to be written": InFile(None),
    "mmap": in_mmap,
}


def by_subclass(module, file):
    class Subclass(module.Unpickler):
        pass

    return Subclass(file).load


def by_hooks(module, file):
    class Hooked(module.Unpickler):
        def find_class(self, module_name, name):
            seen.append((module_name, name, file.tell()))
            return super().find_class(module_name, name)

        def persistent_load(self, pid):
            seen.append((pid, file.tell()))
            return pid

    seen = []
    unpickler = Hooked(file)
    return lambda: [unpickler.load(), seen]


WAYS = {
    "load": lambda module, file: lambda: module.load(file),
    "Unpickler each time": lambda module, file: lambda: module.Unpickler(file).load(),
    "one Unpickler": lambda module, file: module.Unpickler(file).load,
    "subclass": by_subclass,
    "hooks": by_hooks,
}
ANEW = ("load", "Unpickler each time")


def both(walk):
    """What `walk` gives for the standard library and for ours; they are to be alike."""
    expected = walk(loading.STANDARD)
    assert walk(loading.OURS) == expected
    return expected


def from_file(way, opened, data, tmp_path, count, prepare=lambda file: None):
    def walk(module):
        with FILES[opened](data, tmp_path) as file:
            prepare(file)
            load = WAYS[way](module, file)
            steps = []
            for _ in range(count):
                steps.append((loading.outcome(load), where(file)))
            return steps, rest(file)

    return walk


def where(file):
    try:
        return file.tell()
    except (ValueError, OSError) as error:
        return str(error)


def rest(file):
    try:
        return file.read(9), file.tell()
    except ValueError as error:
        return str(error)


@functools.cache
def all_pickles(protocol):
    """A pickle of each kind, of which there are many opcodes; they are made once."""
    return [dumps(make(), protocol) for make in kinds(protocol).values()]


DISTINCT = (0, 1, 2, 4, 5)
"""Protocols that are read in different ways: 3 has one opcode more than 2, for bytes, which the
corpus of the unpickler has in every way."""


@pytest.mark.parametrize("protocol", DISTINCT)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opened", FILES)
def test_every_kind_in_one_file(opened, way, protocol, tmp_path):
    pickles = all_pickles(protocol)
    count = len(pickles)
    steps, _ = both(from_file(way, opened, b"".join(pickles) + b"rest", tmp_path, count + 2))
    if way in ANEW:  # with a memo for each, as each pickle expects
        assert [outcome[0] for outcome, _ in steps[:count]] == ["loaded"] * count
    assert [outcome[0] for outcome, _ in steps[count:]] == ["raised"] * 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opened", FILES)
@pytest.mark.parametrize("protocol", [2, 5])
def test_positions_are_seen_in_the_middle(protocol, opened, way, tmp_path):
    data = b"".join(dumps(value, protocol) for value in (5, KINDS["acting"](), 6))

    def walk(module):
        positions = []
        with FILES[opened](data, tmp_path) as file:
            Acting.act = staticmethod(lambda: positions.append(file.tell()))
            load = WAYS[way](module, file)
            outcomes = [loading.outcome(load) for _ in range(3)]
            return outcomes, positions, file.tell()

    _, positions, _ = both(walk)
    assert len(positions) == 200


FRAME_OF_TWO = b"\x95\x02" + bytes(7)

BROKEN = {
    "cut": lambda data: data[:-20],
    "cut in the frame": lambda data: data[: len(data) // 2],
    "frame too large": lambda data: data[:3] + b"\xff\xff\xff\0\0\0\0\0" + data[11:],
    "frame too small": lambda data: data[:3] + b"\x09\0\0\0\0\0\0\0" + data[11:],
    "frame of all memory": lambda data: data[:3] + b"\xff" * 8 + data[11:],
    "protocol": lambda data: b"\x80\x09" + data[2:],
    "no opcode": lambda data: data[:400] + b"\xff" + data[401:],
    "no such class": lambda data: data.replace(b"Plain", b"Plein"),
    "no such module": lambda data: data.replace(__name__.encode(), b"x" * len(__name__)),
    "memo": lambda data: data.replace(b"h", b"j", 3),
    "stop": lambda data: b"." + data,
    "two frames": lambda data: data[:11] + b"\x95\x02\0\0\0\0\0\0\0NN" + data[11:],
}

PASSED_BY_SOME = {"frame too small", "two frames"}
"""Versions that do not hold to frames load these."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opened", FILES)
def test_errors_leave_the_same_positions(opened, way, tmp_path):
    whole = dumps(KINDS["plain"](), 5)
    for name, spoil in BROKEN.items():
        data = dumps(1) + spoil(whole) + dumps(2)
        steps, _ = both(from_file(way, opened, data, tmp_path, 3))
        assert steps[1][0][0] == "raised" or name in PASSED_BY_SOME, name


WITHOUT_FRAMES = [
    *(b"K\x05.", b"\x80\x05K\x05.", b"\x80\x02]q\0(K\x01K\x02e.", b"}(U\x01aK\x01u.", b"(K\x01l."),
    *(
        b"X\x02\0\0\0\xff\xff.",
        b"\x8c\x01\xffN.",
        b"I1\nIx\n0.",
        b"0.",
        b"K\x010.",
        b"u.",
        b"(K\x01u.",
    ),
    *(
        b"]K\x01s.",
        b"\x80\x09N.",
        b"N\x85\x85b.",
        b"K\x01K\x02b.",
        b"}]K\x01s.",
        b"F1.5x\n.",
        b"S'a\n.",
    ),
    *(
        b"\x82\x01.",
        b"\x83\x01\0.",
        b"U\x01\x80.",
        b"S'\\x80'\n.",
        b"Vab\\u12\n.",
        b"h\x05.",
        b"P1\n.",
    ),
    *(b"N" + FRAME_OF_TWO + b"N0.", b"N" + FRAME_OF_TWO + b"\xff..", b"N" + FRAME_OF_TWO + b"N"),
    *(
        b"\x8a\x02\x01\x02.",
        b"B\x05\0\0\0ab.",
        b"",
        b"K",
        b"\xff.",
        b"(K\x01.",
        b"]K\x01a.",
        b"NK\x01a.",
    ),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opened", FILES)
def test_pickles_without_frames_leave_the_same_positions(opened, way, tmp_path):
    for data in WITHOUT_FRAMES:
        for around in (b"%b", b"K\x07.%bK\x08.rest"):
            if around % data:  # An empty file cannot be mapped.
                both(from_file(way, opened, around % data, tmp_path, 3))


def change_tail(file):
    at = file.tell()
    file.seek(-60_000, 2)
    file.write(b"\xff" * 9)
    file.seek(at)


def change_text(file):
    at = file.tell()
    file.seek(-60_000, 2)
    text = file.read(2000).index(b"xxxxxxxx")
    file.seek(-60_000 + text, 2)
    file.write(b"yyyyyyyy")
    file.seek(at)


ACTIONS = {
    "read": lambda file: file.read(3),
    "readline": lambda file: file.readline(),
    "back": lambda file: file.seek(0),
    "forth": lambda file: file.seek(7, 1),
    "close": lambda file: file.close(),
    "truncate": lambda file: file.truncate(90_000),
    "grow": lambda file: (file.seek(0, 2), file.write(b"x" * 9000), file.seek(90_000)),
    "spoil": change_tail,
    "change": change_text,
    "show": lambda file: file.getbuffer().release(),
    "value": lambda file: len(file.getvalue()),
    "hide": lambda file: setattr(file, "read", lambda size: b""),
    "load": lambda file: loading.STANDARD.load(file),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opened", ["BytesIO", "written BytesIO", "file", "file with 8 KiB"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("turn", "protocol"), [(0, 5), (70, 5), (70, 2)])
def test_what_is_done_to_the_file_in_the_middle(action, opened, way, turn, protocol, tmp_path):
    if protocol == 2 and not ("BytesIO" in opened and way in ("load", "hooks")):
        pytest.skip("frames make no difference")
    data = dumps(KINDS["acting"](), protocol) + dumps(6) + dumps("rest")

    def walk(module):
        with FILES[opened](data, tmp_path) as file:
            turns, results = [], []

            def act():
                turns.append(1)
                if len(turns) == turn + 1:
                    try:
                        results.append(ACTIONS[action](file))
                    except Exception as error:
                        results.append((type(error), str(error)))

            Acting.act = staticmethod(act)
            load = WAYS[way](module, file)
            outcomes = [(loading.outcome(load), where(file)) for _ in range(3)]
            return outcomes, len(turns), str(results[0]).split(" at ")[0], rest(file)

    both(walk)


def in_frame(opcodes):
    return b"\x95" + len(opcodes).to_bytes(8, "little") + opcodes


def test_what_was_left_out_is_missed_where_the_file_was_changed():
    """A pair that the scanned pickle does not fetch, and what is written over it does."""
    acting = dumps(Acting("x", 1))[11:-1]
    head = b"\x80\x05" + in_frame(b"(K\x01K\x02\x86\x940" + acting)
    data, changed = (head + in_frame(end + b"l.") for end in (b"K\x05", b"h\x00"))

    def outcome(load):
        file = io.BytesIO(data)

        def act():
            at = file.tell()
            file.seek(0)
            file.write(changed)
            file.seek(at)

        Acting.act = staticmethod(act)
        return loading.outcome(lambda: load(file))

    found = outcome(loading.STANDARD.load)
    assert found[0] == "loaded"
    assert outcome(lambda file: loading.OURS.Unpickler(file).load()) == found
    if loading.OURS.name == "ours":
        missed = outcome(loading.OURS.load)
        assert missed[:2] == ("raised", UnpicklingError)
        assert missed[2] == "Memo value not found at index 0"


UNFRAMED = ["plain", "registered", "slotted", "stated", "records", "shared registered"]


@functools.cache
def small_pickle(protocol):
    """Two objects of many kinds, without frames."""
    values = [KINDS[kind]()[-2:] for kind in UNFRAMED if kind in kinds(protocol)]
    return dumps([*values, {1, 2}, b"b" * 9, (1.5, 2**70, True), {"k": [Plain(1, 2)]}], protocol)


def cut(data):
    return [data[:size] for size in range(len(data))]


def spoilt(data):
    """Each byte another one: no opcode, a mark, a fetch, the end, a larger count."""
    return [
        data[:at] + other + data[at + 1 :]
        for other in (b"\xff", b"(", b"h", b".")
        for at in range(len(data))
    ]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
@pytest.mark.parametrize("spoil", [cut, spoilt])
@pytest.mark.parametrize("opened", ["BytesIO", "mmap"])
def test_a_pickle_without_frames_fails_where_it_does_there(opened, spoil, protocol, tmp_path):
    def walk(module):
        found = []
        given = spoil(small_pickle(protocol))[:: 1 if opened == "BytesIO" else 7]
        for number, spoilt_data in enumerate(given):
            with FILES[opened](b"N." + spoilt_data + b"rest", tmp_path) as file:
                file.seek(2)
                load = WAYS[("load", "one Unpickler")[number % 2]](module, file)
                outcome = loading.outcome(load)
                found.append(
                    (outcome[:2], str(outcome[-1]) if outcome[0] == "raised" else outcome)
                )
                found.append((where(file), file.read(2)))
        return found

    both(walk)


class Looking:
    """Whatever is done with one, or with its class, looks at where the file stands."""

    look = staticmethod(lambda what: None)

    def __new__(cls, *arguments, **keywords):
        Looking.look("new")
        return super().__new__(cls)

    def __init__(self, *arguments):
        Looking.look("init")

    def __setstate__(self, state):
        Looking.look("state")

    def __setitem__(self, key, value):
        Looking.look("item")

    def append(self, value):
        Looking.look("append")

    def add(self, value):
        Looking.look("add")

    def __hash__(self):
        Looking.look("hash")
        return 1

    def __eq__(self, other):
        Looking.look("equal")
        return True

    def __del__(self):
        Looking.look("del")


class Keeping(Looking):
    """The same, made without a call."""

    __new__ = object.__new__
    __init__ = object.__init__


def named(cls):
    return f"c{__name__}\n{cls.__name__}\n".encode()


LOOK, KEEP = named(Looking) + b"q\0", named(Keeping) + b"q\0)\x81"
FILL = b"K\1K\2"
"what lies behind the opcodes, which nobody may have passed when they are executed"
LOOKS = {
    "REDUCE": LOOK + b"K\1\x85q\1Rq\2.",
    "REDUCE of a fetched tuple": LOOK + b"K\1\x85q\1h\1R.",
    "REDUCE without puts": named(Looking) + b")R.",
    "NEWOBJ": LOOK + b"K\1\x85q\1\x81q\2.",
    "NEWOBJ_EX": LOOK + b")}\x92.",
    "OBJ": b"(" + LOOK + b"K\1o.",
    "INST": b"(K\1i" + named(Looking)[1:] + b"q\1.",
    "BUILD": KEEP + b"K\1b.",
    "BUILD of a dict": KEEP + b"}X\1\0\0\0aK\1sb.",
    "SETITEM": KEEP + b"K\1K\2s.",
    "SETITEMS": KEEP + b"(K\1K\2K\3K\4u.",
    "SETITEMS of keys that look": b"}(" + KEEP + b"q\1K\1h\1K\2u.",
    "SETITEM of a key that looks": b"}" + KEEP + b"q\1K\1s.",
    "SETITEMS that drop a value": b"}(K\1" + KEEP + b"K\1K\2K\3K\4u.",
    "SETITEM that drops a value": b"}K\1" + KEEP + b"sK\1K\2s.",
    "DICT": b"(" + KEEP + b"q\1K\1h\1K\2d.",
    "APPEND": KEEP + b"K\1a.",
    "APPENDS": KEEP + b"(K\1K\2e.",
    "ADDITEMS": KEEP + b"(K\1K\2\x90.",
    "ADDITEMS to a set": b"\x8f(" + KEEP + b"q\1h\1\x90.",
    "FROZENSET": b"(" + KEEP + b"q\1h\1\x91.",
    "POP": KEEP + b"0K\1.",
    "POP_MARK": b"(" + KEEP + b"1K\1.",
    "BINPUT that replaces": KEEP + b"q\1" + b"0K\1q\1.",
    "LONG_BINPUT that replaces": KEEP + b"q\1" + b"0K\1r\1\0\0\0.",
    "PUT that replaces": KEEP + b"q\1" + b"0K\1p1\n.",
    "PERSID": b"P1\n.",
    "BINPERSID": b"K\1Q.",
    "GLOBAL": LOOK + b".",
    "STACK_GLOBAL": b"\x8c" + bytes([len(__name__)]) + __name__.encode() + b"\x8c\x07Looking\x93.",
    "EXT1": b"\x82\xf0.",
    "EXT2": b"\x83\xf0\0.",
    "EXT4": b"\x84\xf0\0\0\0.",
    "stop": KEEP + b"q\1.",
}


def look_at(data, module, opened, tmp_path, repeated):
    """The outcomes of some pickles in one file, and all that was seen meanwhile."""
    seen = []
    with FILES[opened]((data[:-1] + b"0N.") * repeated + b"rest", tmp_path) as file:

        class Hooked(module.Unpickler):
            def find_class(self, module_name, name):
                seen.append((name, file.tell()))
                return super().find_class(module_name, name)

            def persistent_load(self, pid):
                seen.append((pid, file.tell()))

        Looking.look = staticmethod(lambda what: seen.append((what, file.tell())))
        for make in (lambda: module.load(file), lambda: Hooked(file).load()):
            file.seek(0)
            for _ in range(repeated):
                copyreg.clear_extension_cache()
                outcome = loading.outcome(make)
                seen.append((outcome[0], str(outcome[-1]), file.tell()))
        Looking.look = staticmethod(lambda what: None)
    return seen


@pytest.mark.parametrize("opened", ["BytesIO", "written BytesIO", "mmap"])
@pytest.mark.parametrize("opcode", LOOKS)
def test_each_opcode_shows_the_position_of_there(opcode, opened, tmp_path):
    def walk(module):
        seen = look_at(LOOKS[opcode], module, opened, tmp_path, 3)
        # The standard library of 3.11 keeps the container for ever.
        return seen if opcode != "ADDITEMS" else [one for one in seen if one[0] != "del"]

    copyreg.add_extension(__name__, "Looking", 240)
    try:
        seen = both(walk)
    finally:
        copyreg.remove_extension(__name__, "Looking", 240)
    assert len(seen) > 6


def test_codecs_and_buffers_see_the_position_of_there():
    def decode(data, errors="strict"):
        seen.append(file.tell())
        return str(bytes(data), "latin-1"), len(data)

    def search(name):
        return codecs.CodecInfo(None, decode, name=name) if name == "looking" else None

    def give():
        for number in range(9):
            seen.append(file.tell())
            yield bytearray(str(number), "ascii")

    codecs.register(search)
    try:
        data = b"](U\x02abT\2\0\0\0cdS'ef'\n\x97\x97\x98K\1e." * 2 + b"rest"
        results = []
        for module in (loading.STANDARD, loading.OURS):
            seen, file = [], io.BytesIO(data)
            for _ in range(2):
                seen.append(module.load(file, encoding="looking", buffers=give()))
                seen.append(file.tell())
            results.append(loading.describe(seen))
    finally:
        codecs.unregister(search)
    assert results[0] == results[1]


def in_pipe(data, tmp_path):
    reader, writer = os.pipe()
    assert os.write(writer, data) == len(data)
    os.close(writer)
    return open(reader, "rb")


def in_socket(data, tmp_path):
    near, far = socket.socketpair()
    with near, far:
        near.sendall(data)
        near.shutdown(socket.SHUT_WR)
        return far.makefile("rb")


def in_zip(data, tmp_path):
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("pickle", data)
    with zipfile.ZipFile(tmp_path / "zip") as archive:
        return archive.open("pickle")


def in_temporary(make):
    def opened(data, tmp_path):
        file = make()
        file.write(data)
        file.seek(0)
        return file

    return opened


def compressed(module):
    return lambda data, tmp_path: module.open(io.BytesIO(module.compress(data)))


OTHERS = {
    **({} if sys.platform == "win32" else {"pipe": in_pipe, "socket": in_socket}),
    "gzip": compressed(gzip),
    "bz2": compressed(bz2),
    "lzma": compressed(lzma),
    "zip": in_zip,
    "temporary file": in_temporary(tempfile.TemporaryFile),
    "named temporary file": in_temporary(tempfile.NamedTemporaryFile),
    "spooled file": in_temporary(functools.partial(tempfile.SpooledTemporaryFile, 1 << 20)),
    "spooled to disk": in_temporary(functools.partial(tempfile.SpooledTemporaryFile, 1)),
    "reader of a BytesIO": lambda data, tmp_path: io.BufferedReader(io.BytesIO(data)),
    "random of a BytesIO": lambda data, tmp_path: io.BufferedRandom(io.BytesIO(data)),
    "subclass of BytesIO": lambda data, tmp_path: type("Sub", (io.BytesIO,), {})(data),
}
"""Files that are read as there, never a byte too far."""


@functools.cache
def some_pickles(protocol):
    names = ["atom", "small", "plain", "registered", "slotted", "stated", "records"]
    values = [
        KINDS[name]()[:60] if name not in ("atom", "small") else KINDS[name]() for name in names
    ]
    kept = [value for name, value in zip(names, values, strict=True) if name in kinds(protocol)]
    return [*(dumps(value, protocol) for value in kept), dumps(shared(Plain), protocol)]


@pytest.mark.parametrize("protocol", DISTINCT)
@pytest.mark.parametrize("opened", OTHERS)
def test_other_files_are_read_to_the_same_byte(opened, protocol, tmp_path):
    pickles = some_pickles(protocol)
    for way in WAYS:
        for behind in (b"rest", pickles[2][:-9]):

            def walk(module):
                with OTHERS[opened](b"".join(pickles) + behind, tmp_path) as file:  # noqa: B023
                    load = WAYS[way](module, file)  # noqa: B023
                    steps = [(loading.outcome(load), where(file)) for _ in range(len(pickles) + 1)]
                    return steps, file.read(9), where(file)

            steps, _, _ = both(walk)
            if way in ANEW:
                assert [outcome[0] for outcome, _ in steps] == ["loaded"] * len(pickles) + [
                    "raised"
                ]


MEMORY = {
    "bytes": bytes,
    "subclass of bytes": type("Bytes", (bytes,), {}),
    "bytearray": bytearray,
    "memoryview": memoryview,
    "part of a memoryview": lambda data: memoryview(b"xx" + data)[2:],
    "view of a bytearray": lambda data: memoryview(bytearray(data)),
    "getbuffer": lambda data: written(data, None).getbuffer(),
    "array": lambda data: array.array("b", data),
    "mmap": lambda data: in_mmap(data, None),
    "PickleBuffer": lambda data: __import__("pickle").PickleBuffer(data),
    "wide view": lambda data: memoryview(data + bytes(-len(data) % 4)).cast("i"),
}


def by_memory(name, data, **options):
    given = MEMORY[name](data)
    return lambda module: loading.outcome(lambda: module.loads(given, **options))


@pytest.mark.parametrize("protocol", DISTINCT)
@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_loaded_alike(name, protocol):
    for kind, data in zip(kinds(protocol), all_pickles(protocol), strict=True):
        for given in (data, data + b"rest", data[:-1], data[: len(data) // 2 + 1]):
            outcome = both(by_memory(name, given))
            assert outcome[0] == ("loaded" if given.startswith(data) else "raised"), kind


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", ["bytearray", "mmap"])
def test_large_memory_is_loaded_alike(name, protocol):
    for kind, data in zip(kinds(protocol), all_pickles(protocol), strict=True):
        for given in (data, data[:-1] + b"\xff"):
            outcome = both(by_memory(name, given + bytes(1 << 20)))
            assert outcome[0] == ("loaded" if given is data else "raised"), kind


PAYLOADS = {
    "bytes": bytes(200_000),
    "bytearray": bytearray(200_000),
    "text": "t" * 200_000,
    "latin": "\xe9" * 100_000,
    "pieces": [bytes([number]) * 20_000 for number in range(10)],
    "in an object": Plain(1, bytes(200_000)),
    "in an array": array.array("d", bytes(200_000)),
}


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["bytes", "bytearray", "text", "pieces", "in an object"])
def test_a_payload_is_not_copied(kind):
    """What others may write to is copied only where that saves more than it costs."""
    data = bytearray(dumps(PAYLOADS[kind]))
    modules = ("standard", loading.STANDARD), ("ours", loading.OURS)
    contenders = [bench.Contender(name, module.loads, (data,)) for name, module in modules]
    best = 0
    for _ in range(8):
        best = max(best, bench.race("loads", *contenders, seconds=0.05).ratio.best)
        if best >= 0.85:
            break
    assert best >= 0.85


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_payload_in_memory_is_loaded_alike(kind, protocol):
    data = dumps(PAYLOADS[kind], protocol)
    for given in (data, data[:-1], data[:5000], data[:-1] + b"\xff", data + data):
        both(by_memory("bytearray", given))


@pytest.mark.parametrize("name", ["released", "strided", "text", "number"])
def test_what_is_no_memory_is_refused_alike(name):
    view = memoryview(b"N." * 9)
    view.release()
    given = {"released": view, "strided": memoryview(b"N." * 9)[::2], "text": "N.", "number": 5}
    both(lambda module: loading.outcome(lambda: module.loads(given[name])))


@pytest.mark.parametrize("size", [1, 70_000, 2 << 20])
def test_memory_is_held_to_the_end(size):
    data = dumps([Acting("x" * size, 1), Acting("y", 2)])

    def walk(module):
        given, results = bytearray(data), []

        def act():
            try:
                given.append(1)
            except BufferError as error:
                results.append(str(error))

        Acting.act = staticmethod(act)
        outcome = loading.outcome(lambda: module.loads(given))
        given.append(1)
        return outcome, results

    assert len(both(walk)[1]) == 2


@pytest.mark.parametrize("size", [0, 2 << 20])
def test_memory_that_changes_in_the_middle_is_harmless(size):
    """Up to 1 MiB a copy is loaded, above that what is there; never anything else."""
    data = dumps([Acting("x" * 9, [number]) for number in range(50)] + ["z" * size])
    given = bytearray(data)
    made = []

    def act():
        made.append(1)
        if len(made) == 20:
            given[-400 - size : -size or None] = b"\xff" * 400

    Acting.act = staticmethod(act)
    if size == 0:
        assert len(loads(given)) == 51
        assert given != data
        return
    outcome = loading.outcome(lambda: loads(given))
    assert outcome[0] in ("loaded", "raised")


class Counting(io.BytesIO):
    """A file that is not exactly a BytesIO is read as there, never a byte too far."""

    def __init__(self, data):
        super().__init__(data)
        self.calls = []

    def read(self, size=-1):
        self.calls.append(("read", size))
        return super().read(size)

    def readline(self):
        self.calls.append(("readline",))
        return super().readline()

    def readinto(self, view):
        self.calls.append(("readinto", len(view)))
        return super().readinto(view)

    def tell(self):
        raise AssertionError("nobody asked")

    seek = tell


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_files_are_asked_the_same(protocol):
    for make in kinds(protocol).values():
        data = dumps(make(), protocol) + b"rest"

        def walk(module):
            file = Counting(data)  # noqa: B023
            return loading.outcome(lambda: module.load(file)), file.calls, io.BytesIO.tell(file)

        both(walk)


@pytest.mark.parametrize("name", ["read", "readline", "readinto", "peek", "tell", "seek"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opened", ["BytesIO", "file"])
def test_methods_of_the_object_itself_are_called(opened, way, name, tmp_path):
    data = dumps(KINDS["plain"]()) + dumps(5)

    def walk(module):
        calls = []
        with FILES[opened](data, tmp_path) as file:
            method = getattr(file, name, lambda size: b"")
            file.other = 1

            def noted(*arguments):
                calls.append(len(arguments))
                return method(*arguments)

            setattr(file, name, noted)
            load = WAYS[way](module, file)
            outcomes = [loading.outcome(load) for _ in range(2)]
            delattr(file, name)
            return outcomes, calls, file.tell()

    both(walk)


def test_a_method_that_is_another_files_is_called():
    data, other = dumps(KINDS["plain"]()), dumps(KINDS["registered"]())

    def walk(module):
        file, second = io.BytesIO(data), io.BytesIO(other)
        file.read, file.readinto = second.read, second.readinto
        return loading.outcome(lambda: module.load(file)), file.tell(), second.tell()

    both(walk)


def test_options_are_taken_with_every_kind_of_memory():
    data = dumps([b"x" * 9], 2)
    for name in MEMORY:
        both(by_memory(name, data, encoding="bytes", fix_imports=False))


def fetching(data, indices):
    """The pickle, and one for each index that fetches what is there."""
    return data + b"".join(b"j" + index.to_bytes(4, "little") + b"." for index in indices)


@pytest.mark.parametrize("protocol", DISTINCT)
@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_memo_of_an_unpickler_is_whole(kind, hooked, protocol):
    """Whoever asks for what was never made finds it, with the very objects that are in it."""
    if kind not in kinds(protocol):
        return
    data = dumps(KINDS[kind](), protocol)

    def walk(module):
        class Hooked(module.Unpickler):
            def find_class(self, module_name, name):
                looks.append(loading.describe(self.memo.copy()))
                return super().find_class(module_name, name)

        looks = []
        for ask in (lambda memo: memo.copy(), lambda memo: memo.__reduce__()[1]):
            unpickler = (Hooked if hooked else module.Unpickler)(io.BytesIO(data))
            loaded = unpickler.load()
            looks.append(loading.describe([loaded, ask(unpickler.memo), ask(unpickler.memo)]))
        other = module.Unpickler(io.BytesIO(fetching(b"", range(9))))
        other.memo = unpickler.memo
        unpickler.memo.clear()
        looks += [unpickler.memo.copy(), [loading.outcome(other.load) for _ in range(9)]]
        return looks

    both(walk)


@pytest.mark.parametrize("kind", ["plain", "registered", "slotted", "stated", "acting", "small"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_later_pickles_fetch_what_was_never_made(kind, protocol):
    data = dumps(KINDS[kind](), protocol)
    indices = [*range(40), 1, 2, 3, 99, 2**31]

    def walk(module):
        unpickler = module.Unpickler(io.BytesIO(fetching(data, indices)))
        loaded = [unpickler.load()]
        outcomes = []
        for _ in indices:
            try:
                loaded.append(unpickler.load())
            except Exception as error:
                outcomes.append((type(error), str(error)))
        return outcomes, loading.describe(loaded)

    both(walk)


def test_the_memo_in_the_middle():
    data = dumps([Acting("x" * 9, [number]) for number in range(9)])

    def walk(module):
        looks = []
        unpickler = module.Unpickler(io.BytesIO(data))
        Acting.act = staticmethod(lambda: looks.append(loading.describe(unpickler.memo.copy())))
        return loading.outcome(unpickler.load), looks

    assert len(both(walk)[1]) == 9


@pytest.mark.parametrize("kind", ["plain", "registered", "slotted", "shared plain"])
@pytest.mark.parametrize("change", ["clear", "assign its own"])
def test_the_memo_is_changed_in_the_middle(kind, change):
    if change == "clear" and sys.version_info < (3, 14):
        pytest.skip("the count of a memo that is cleared goes on there: compatibility.md")
    data = dumps([KINDS[kind](), Acting("x", 1), KINDS[kind]()])

    def walk(module):
        unpickler = module.Unpickler(io.BytesIO(data))

        def act():
            if change == "clear":
                unpickler.memo.clear()
            else:
                unpickler.memo = unpickler.memo

        Acting.act = staticmethod(act)
        return loading.outcome(unpickler.load), loading.describe(unpickler.memo.copy())

    both(walk)


@pytest.mark.parametrize("kind", ["plain", "registered", "slotted"])
def test_what_was_never_made_keeps_its_values(kind):
    """The values of that moment, whatever becomes of the object."""
    data = dumps(KINDS[kind]())
    unpickler = loading.OURS.Unpickler(io.BytesIO(data))
    loaded = unpickler.load()
    texts = [weak.y for weak in loaded]
    for one in loaded:
        one.y = None
    gc.collect()
    memo = list(unpickler.memo.copy().values())
    assert all(any(value is text for value in memo) for text in texts[:9])
    whole = [value for value in memo if isinstance(value, (tuple, dict))]
    assert len(whole) >= 300
    del loaded, memo, whole
    unpickler.memo.clear()
    assert unpickler.memo.copy() == {}


class Dying:
    """Notes its death."""

    deaths = []

    def __init__(self, name=None):
        self.name = name

    def __reduce__(self):
        return Dying, (self.name,)

    def __del__(self):
        Dying.deaths.append(self.name)


class Forgetting:
    def __init__(self, *arguments):
        pass

    def __reduce__(self):
        return Forgetting, (Dying(1), (Dying(2),), [Dying(3)])


@pytest.mark.parametrize("way", WAYS)
def test_deaths_are_those_of_there(way):
    data = dumps([Forgetting(), Plain(Forgetting(), Dying(4)), Acting(1, 2)])

    def walk(module):
        Dying.deaths.clear()
        Acting.act = staticmethod(lambda: Dying.deaths.append("act"))
        load = WAYS[way](module, io.BytesIO(data))
        loaded = load()
        Dying.deaths.append("loaded")
        del load
        Dying.deaths.append("gone")
        del loaded
        return list(Dying.deaths)

    both(walk)
