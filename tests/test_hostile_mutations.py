"""Every prefix of small pickles, and every single byte of them changed, ends as in the standard
library: with an equal graph, or the same exception."""

import os
import random

import pytest

from support import classes, loading
from support.implementations import PROTOCOLS, STANDARD, requires_core

pytestmark = requires_core


class Empty:
    """Instances get their attributes from outside."""


class Slotted:
    """Two slots."""

    __slots__ = ("a", "b")


def instance():
    made = Empty()
    made.x, made.me = [1], made
    return made


def slotted():
    made = Slotted()
    made.a, made.b = "a", (1.5, None)
    return made


VALUES = {
    "instance": instance,
    "slotted": slotted,
    "numbers": lambda: [1, -1, 300, 70000, -(2**40), 2**70, 1.5, True, None],
    "texts": lambda: ["", "a", "ab", "\xe9\ud800", b"", b"xy", bytearray(b"z")],
    "containers": lambda: [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"k": {}}, [[]]],
    "sets": lambda: [{1}, frozenset([2]), set()],
    "shared": lambda: (lambda part: [part, part, {"k": part}])(["p"]),
    "registered": lambda: classes.Point(1, [2]),
    "global": lambda: [len, Empty],
}
OLD = {
    "text opcodes": b"(I1\nL5L\nS'abc'\nF1.5\nV\\u1234\nI01\nltp0\n0g0\n.",
    "inst": b"(isupport.classes\nPlain\np0\n(dp1\nS'a'\nI1\nsb.",
    "obj": b"(csupport.classes\nPlain\no.",
    "binstrings": b"(U\x02abT\x02\x00\x00\x00cdt.",
    "extension": b"\x82\x01.",
    "marks": b"(K\x01(K\x021K\x032\x861.",
    "put": b"K\x01q\x05K\x02q\x400h\x05.",
    "frame": b"\x95\x03\x00\x00\x00\x00\x00\x00\x00K\x01.",
    "counted": b"(\x8d\x02"
    + bytes(7)
    + b"ab\x8e\x02"
    + bytes(7)
    + b"cd\x96\x01"
    + bytes(7)
    + b"et.",
    "persistent": b"Pid\n.",
    "binary persistent": b"K\x01Q.",
    "buffers": b"(\x97\x98\x97t.",
    "python 2": b"c__builtin__\nxrange\n(I1\nI7\nI2\ntR.",
}


def corpus():
    for name, make in VALUES.items():
        for protocol in PROTOCOLS:
            try:
                yield f"{name}-{protocol}", STANDARD.dumps(make(), protocol)
            except TypeError:  # Slots need protocol 2.
                continue
    yield from OLD.items()


CORPUS = dict(corpus())


def small(outcome):
    """MemoryError in one of them is as good as any exception in the other."""
    return outcome if outcome[1] is not MemoryError else ("raised",)


MEMORY = ("bytes", "bytearray")
FILES = (("load", "bytesio"), ("unpickler", "peek"), ("subclass", "reader"))


def compare(data, turn):
    """One way by the prescanned path and one by the stream, each in its turn."""
    check(loading.outcome_in_memory, MEMORY[turn % 2], data)
    check(loading.outcome_of_file, *FILES[turn % 3], data)


def check(outcome, *arguments):
    expected = small(outcome(loading.STANDARD, *arguments))
    if expected == ("raised",):
        assert outcome(loading.OURS, *arguments)[0] == "raised"
    else:
        assert small(outcome(loading.OURS, *arguments)) == expected, arguments


@pytest.fixture(autouse=True)
def silence(monkeypatch, tmp_path):
    """What mutated pickles call may print, or look for files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.print", lambda *args, **kwargs: None)


@pytest.mark.parametrize("name", CORPUS)
def test_every_prefix_ends_alike(name):
    data = CORPUS[name]
    for end in range(len(data) + 1):
        compare(data[:end], end)


# The standard library takes gigabytes for some of these: they are for a machine of one's own.
deep = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "deep", reason="takes long: HYPOTHESIS_PROFILE=deep"
)


@deep
@pytest.mark.slow
@pytest.mark.parametrize("name", CORPUS)
def test_every_changed_byte_ends_alike(name):
    data = CORPUS[name]
    for at in range(len(data)):
        for value in range(256):
            compare(data[:at] + bytes([value]) + data[at + 1 :], at + value)


@deep
@pytest.mark.parametrize("name", CORPUS)
def test_some_changed_bytes_end_alike(name):
    data, chance = CORPUS[name], random.Random(name)
    for at in range(len(data)):
        compare(data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :], at)
