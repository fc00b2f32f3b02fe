"""Loads by either implementation, in every way there is, written down.

An outcome is the description of the graph that was loaded (types, values, and which parts are
the same object), or the exception, and where the file was left.
"""

import io
import pickle as std_pickle
import types

import fastcopyreg.pickle
from support import copies
from support.implementations import TESTED
from support.outcomes import without_addresses

STANDARD = types.SimpleNamespace(
    name="stdlib", Unpickler=std_pickle.Unpickler, load=std_pickle.load, loads=std_pickle.loads
)


def tested():
    """The implementation under test, as FASTCOPYREG_TESTED chooses it."""
    if TESTED == "stdlib":
        return STANDARD
    if TESTED == "faulty":
        return types.SimpleNamespace(
            name="faulty",
            Unpickler=std_pickle._Unpickler,
            load=std_pickle._load,
            loads=std_pickle._loads,
        )
    return types.SimpleNamespace(
        name="ours",
        Unpickler=fastcopyreg.pickle.Unpickler,
        load=fastcopyreg.pickle.load,
        loads=fastcopyreg.pickle.loads,
    )


OURS = tested()


class Reader:
    """The least that a file must have; it notes what it is asked."""

    def __init__(self, data):
        self.file = io.BytesIO(data)
        self.calls = []

    def read(self, size):
        self.calls.append(("read", size))
        return self.file.read(size)

    def readline(self):
        self.calls.append(("readline",))
        return self.file.readline()

    def tell(self):
        return self.file.tell()


class IntoReader(Reader):
    """A file with readinto()."""

    def readinto(self, view):
        self.calls.append(("readinto", len(view)))
        return self.file.readinto(view)


class PeekReader(Reader):
    """A file with peek() that shows all there is."""

    def peek(self, size):
        self.calls.append(("peek", size))
        at = self.file.tell()
        data = self.file.read(size)
        self.file.seek(at)
        return data


class ShortPeekReader(PeekReader):
    """A file with a peek() that shows a few bytes, or none."""

    def peek(self, size):
        return super().peek(size)[: self.file.tell() % 4]


class NoPeekReader(Reader):
    """A file whose peek() is not implemented."""

    def peek(self, size):
        self.calls.append(("peek", size))
        raise NotImplementedError


READERS = {
    "reader": Reader,
    "into": IntoReader,
    "peek": PeekReader,
    "short peek": ShortPeekReader,
    "no peek": NoPeekReader,
    "bytesio": io.BytesIO,
    "buffered": lambda data: io.BufferedReader(io.BytesIO(data), 16),
}


def by_loads(module, data, **options):
    return module.loads(data, **options)


def by_subclass(module, file, **options):
    class Subclass(module.Unpickler):
        pass

    return Subclass(file, **options).load()


MEMORY = {
    "bytes": by_loads,
    "bytearray": lambda module, data, **options: module.loads(bytearray(data), **options),
    "memoryview": lambda module, data, **options: module.loads(memoryview(data), **options),
}
FILES = {
    "load": lambda module, file, **options: module.load(file, **options),
    "unpickler": lambda module, file, **options: module.Unpickler(file, **options).load(),
    "subclass": by_subclass,
}


def outcome(load):
    """What a load gave: a description of the graph, or of the exception."""
    try:
        loaded = load()
    except BaseException as error:  # A mutated pickle may call sys.exit.
        return ("raised", type(error), without_addresses(str(error)))
    return ("loaded", describe(loaded))


def describe(loaded):
    try:
        return without_addresses(repr(rows_of(loaded)))
    except Exception as error:
        return ("cannot be described", type(error))


def rows_of(root):
    """The graph as a list. Unlike in that of a copy, it matters which strings are one object."""
    return copies.describe(root, tells_texts=True)[0]


def outcome_in_memory(module, way, data, **options):
    return outcome(lambda: MEMORY[way](module, data, **options))


HUGE = 1 << 16


def pieces_as_one(calls, refused):
    """The calls, with what asked for the pieces of a huge part, up to where one was missed, as
    one call.
    """
    joined = []
    for call in calls:
        if call[0] not in ("read", "readinto") or call[1] < HUGE:
            joined.append(call)
        elif not joined or joined[-1] != "pieces":
            joined.append("pieces")
    return joined[: joined.index("pieces") + 1] if refused and "pieces" in joined else joined


def outcome_of_file(module, way, reader, data, **options):
    """Also where the file is then, and what was asked of it.

    For a part that is said to be huge, ours asks in pieces on every version, the standard
    library from 3.15 on.
    """
    file = READERS[reader](data)
    what = outcome(lambda: FILES[way](module, file, **options))
    calls = getattr(file, "calls", None)
    if calls is not None:
        calls = pieces_as_one(calls, refused=what[0] == "raised")
    return (*what, file.tell(), calls)


def compare_in_memory(data, **options):
    for way in MEMORY:
        expected = outcome_in_memory(STANDARD, way, data, **options)
        assert outcome_in_memory(OURS, way, data, **options) == expected, way


def compare_by_files(data, readers=READERS, ways=FILES, **options):
    for reader in readers:
        for way in ways:
            expected = outcome_of_file(STANDARD, way, reader, data, **options)
            assert outcome_of_file(OURS, way, reader, data, **options) == expected, (reader, way)


def compare(data, **options):
    """Both implementations end alike on this pickle, in every way to load it."""
    compare_in_memory(data, **options)
    compare_by_files(data, **options)
