"""Every prefix of small pickles, and every single byte of them changed, ends as in the standard
library: with an equal graph, or the same exception."""

import functools
import pickletools
import random

import pytest

from support import classes, loading, sweep
from support.child import Crash, requires_fork
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


def made(cls, **attributes):
    """What is loaded without a machine, if all attributes are atoms."""
    instance = cls()
    for name, value in attributes.items():
        setattr(instance, name, value)
    return instance


VALUES = {
    "one call": lambda: classes.Point(1, "text"),
    "one instance": lambda: made(Empty, x=1, text="text", last=None),
    "one slotted": lambda: made(Slotted, a=1.5, b="x"),
    "one dict": lambda: {"a": 1, "text": "x", "float": 1.5, "c": None},
    "one item": lambda: {"key": 300},
    "six keys": lambda: {f"key {i}": "text" if i % 2 else i for i in range(6)},
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
    "binbytes": b"B\x02\0\0\0ab.",
    "long integer": b"\x8b\x02\0\0\0\x01\x02.",
    "truths": b"\x88\x89\x86.",
    "far get": b"K\x01q\x05j\x05\0\0\0\x86.",
    "longer extensions": b"\x83\x01\0\x84\x01\0\0\0\x86.",
    "keywords": b"\x80\x04csupport.classes\nPoint\n(K\x01t}\x8c\x01yNs\x92.",
    "python 2": b"c__builtin__\nxrange\n(I1\nI7\nI2\ntR.",
}


def corpus():
    """By name; what protocols write alike, but for the number of the protocol, is there once."""
    known = set()
    for name, make in VALUES.items():
        for protocol in PROTOCOLS:
            try:
                data = STANDARD.dumps(make(), protocol)
            except TypeError:  # Slots need protocol 2.
                continue
            told = data[2:] if protocol >= 2 else data
            if told not in known:
                known.add(told)
                yield f"{name}-{protocol}", data
    yield from OLD.items()


CORPUS = dict(corpus())
# A byte of its index changed, the standard library takes gigabytes; see test_hostile_pickles.
WITHOUT = {"LONG_BINPUT"}


def test_every_opcode_is_there():
    met = set()
    for data in CORPUS.values():
        met.update(opcode.name for opcode, _, _ in pickletools.genops(data))
    assert {opcode.name for opcode in pickletools.opcodes} - met == WITHOUT


WAYS = (
    (loading.outcome_in_memory, "bytes"),
    (loading.outcome_in_memory, "bytearray"),
    (loading.outcome_of_file, "load", "bytesio"),
    (loading.outcome_of_file, "unpickler", "peek"),
    (loading.outcome_of_file, "subclass", "reader"),
)
IN_MEMORY, BY_FILE = WAYS[:2], WAYS[2:]


def path_in_turn(data, turn):
    """One of all ways, so that neighbours go different ones."""
    return WAYS[turn % len(WAYS)], data


def both_paths(data, turn):
    """One way by the prescanned path and one by the stream, each in its turn."""
    return [(IN_MEMORY[turn % 2], data), (BY_FILE[turn % 3], data)]


def load_by(module, case):
    (outcome, *way), data = case
    return outcome(module, *way, data)


def agree(expected, actual):
    """Where the standard library crashes or has not the memory, any end but a crash is right."""
    if isinstance(expected, Crash) or expected[1] is MemoryError:
        return True
    return expected == actual


def assert_alike(cases):
    found = sweep.differences(
        cases,
        functools.partial(load_by, loading.STANDARD),
        functools.partial(load_by, loading.OURS),
        agree,
    )
    assert not found, found


@pytest.fixture(autouse=True)
def silence(monkeypatch, tmp_path):
    """What mutated pickles call may print, or look for files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.print", lambda *args, **kwargs: None)


@requires_fork
@pytest.mark.parametrize("name", CORPUS)
def test_every_prefix_ends_alike(name):
    data = CORPUS[name]
    assert_alike([(way, data[:end]) for end in range(len(data) + 1) for way in WAYS])


def changed(data, at, value):
    return data[:at] + bytes([value]) + data[at + 1 :]


NEWEST = {name.rpartition("-")[0]: name for name in CORPUS if "-" in name}
"""By the name of the value, the pickle by the newest protocol that writes it in its own way."""
OPCODES = {ord(opcode.code) for opcode in pickletools.opcodes}


def values_at(name, at):
    """All values in the newest pickle of each value, and in those of no protocol; the others have
    the same parts, in which an opcode may stand for any other, and every eighth value of the rest.
    """
    if "-" not in name or name in NEWEST.values():
        return range(256)
    return sorted(OPCODES | set(range(at % 8, 256, 8)))


@requires_fork
@pytest.mark.slow
@pytest.mark.parametrize("name", CORPUS)
def test_every_changed_byte_ends_alike(name):
    """Each change by one way; all ways meet each value in hundreds of pickles and places."""
    data = CORPUS[name]
    cases = []
    for at in range(len(data)):
        for value in values_at(name, at):
            cases.append(path_in_turn(changed(data, at, value), at + value))
    assert_alike(cases)


@requires_fork
@pytest.mark.parametrize("name", CORPUS)
def test_some_changed_bytes_end_alike(name):
    data, chance = CORPUS[name], random.Random(name)
    cases = []
    for at in range(len(data)):
        cases += both_paths(changed(data, at, chance.randrange(256)), at)
    assert_alike(cases)
