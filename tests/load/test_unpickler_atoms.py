"""Anew or shared: which atoms of a load are one object, and the interpreter's own.

What is one object is written once by the next pickle, so this is part of what a load gives. Every
atom, by every opcode that makes it, in every place, loaded in every way; and copied.
"""

import copyreg
import functools
import io
import struct

import pytest

import fastcopyreg.copy
import fastcopyreg.pickle
from fastcopyreg import _stdlib
from support import loading
from support.implementations import PROTOCOLS, requires_core

pytestmark = requires_core

TEXTS = ["", "a", "\x7f", "é", "ÿ", "Ā", "€", "\U0001f600", "\ud800", "ab", "éà", "a€", "id"]
TEXTS += ["abc" * 100, "é" * 300, "a" * 5000]
BYTES = [b"", b"a", b"\0", b"\xff", b"ab", b"x" * 300, b"x" * 70_000]
INTEGERS = [0, 1, -1, -5, -6, 5, 127, 128, 255, 256, 257, 1023, 1024, 1025, 65_535, 65_536]
INTEGERS += [2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**64, 2**200]
FLOATS = [0.0, -0.0, 1.0, float("inf")]
VALUES = [None, True, ..., NotImplemented, 1j, frozenset(), frozenset([1]), (), ((),), int, "a"]
VALUES += [b"", b"a", b"ab", bytearray(), bytearray(b"a"), 1.5, 7, set(), [], {}, type(None)]


def counted(opcode, form, data):
    return opcode + struct.pack(form, len(data)) + data


def of_integers():
    for number in INTEGERS:
        data = number.to_bytes(40, "little", signed=True)
        short = fastcopyreg.pickle.encode_long(number)
        yield from (b"I%d\n" % number, b"L%dL\n" % number, b"L%d\n" % number)
        yield from (counted(b"\x8a", "<B", data), counted(b"\x8a", "<B", short))
        yield from (counted(b"\x8b", "<i", data), counted(b"\x8b", "<i", short))
        for opcode, form in ((b"K", "<B"), (b"M", "<H"), (b"J", "<i")):
            try:
                yield opcode + struct.pack(form, number)
            except struct.error:
                continue


def of_texts():
    for text in TEXTS:
        data = text.encode("utf-8", "surrogatepass")
        yield from (counted(b"X", "<I", data), counted(b"\x8d", "<Q", data))
        yield b"V" + text.encode("raw_unicode_escape") + b"\n"
        if len(data) < 256:
            yield counted(b"\x8c", "<B", data)


def of_bytes():
    for data in BYTES:
        yield from (counted(b"B", "<I", data), counted(b"\x8e", "<Q", data))
        yield counted(b"\x96", "<Q", data)
        if len(data) < 256:
            yield counted(b"C", "<B", data)


def of_old_texts():
    """The strings of Python 2."""
    for data in [*BYTES[:-1], *(text.encode("latin-1", "replace") for text in TEXTS)]:
        yield from (counted(b"T", "<I", data), b"S" + repr(data)[1:].encode() + b"\n")
        if len(data) < 256:
            yield counted(b"U", "<B", data)


def of_values():
    for value in VALUES:
        for protocol in PROTOCOLS:
            data = _stdlib.dumps(value, protocol)[2 if protocol >= 2 else 0 : -1]
            yield data[9:] if data[:1] == b"\x95" else data


def of_the_rest():
    yield from (b"N", b"\x88", b"\x89", b"I00\n", b"I01\n", b")", b"(t", b"(\x91", b"\x8f", b"(l")
    for number in FLOATS:
        yield from (b"G" + struct.pack(">d", number), b"F%a\n" % number)


KINDS = {
    "integers": of_integers,
    "texts": of_texts,
    "bytes": of_bytes,
    "old texts": of_old_texts,
    "values": of_values,
    "the rest": of_the_rest,
}


class Box:
    pass


class Slots:
    __slots__ = ("a", "b")


class Stores:
    def __init__(self, a, b):
        self.a = a
        self.b = b


class Kept:
    def __setstate__(self, state):
        self.state = state


def call(*arguments):
    return arguments


def of_this_module(name):
    return counted(b"\x8c", "<B", __name__.encode()) + b"\x94" + counted(b"\x8c", "<B", name)


def framed(body):
    return b"\x95" + struct.pack("<Q", len(body) + 1) + body


def places(atom):
    """The atom, made twice where there is room for two."""
    two = atom + atom
    named = atom + b"\x94\x8c\x02bb\x94" + atom + b"\x94"
    stores = of_this_module(b"Stores") + b"\x94\x93\x94" + two + b"\x86\x94R\x94"
    box = of_this_module(b"Box") + b"\x94\x93\x94)\x81\x94}\x94(\x8c\x01a\x94"
    slots = of_this_module(b"Slots") + b"\x94\x93)\x81N}(\x8c\x01a"
    yield from (atom, two + b"\x86", b"](" + two + b"e", b"]" + atom + b"a" + atom + b"a")
    yield b"](" + atom + b"\x94" + atom + b"\x94e"
    yield from (b"}(K\x01" + atom + b"K\x02" + atom + b"u", b"}(" + atom + b"NK\x01Nu")
    yield from (b"\x8f(" + two + b"\x90", b"(" + two + b"\x91")
    yield of_this_module(b"call") + b"\x94\x93" + two + b"\x86R"
    yield from (b"](" + stores * 3 + b"e", framed(stores))
    yield from (box + atom + b"\x8c\x02bb" + atom + b"ub", framed(box + named + b"ub"))
    yield of_this_module(b"Box") + b"\x94\x93)\x81}(" + atom + b"Nub"
    yield slots + atom + b"\x8c\x01b" + atom + b"u\x86b"
    yield of_this_module(b"Kept") + b"\x94\x93)\x81" + atom + b"b"
    yield from (
        framed(b"}\x94(\x8c\x01a\x94" + named + b"u"),
        framed(b"}\x94(" + atom + b"\x94Nu"),
    )


OWN = [*range(-6, 1100), *map(chr, range(256)), *(bytes([i]) for i in range(256)), "", b"", ()]
OWN = {id(value): value for value in [*OWN, frozenset(), 0.0, None, True, False, ...]}


def parts(root):
    """All that is in it, in order."""
    yield root
    if isinstance(root, (list, tuple)):
        inner = root
    elif isinstance(root, (set, frozenset)):
        inner = sorted(root, key=repr)
    elif isinstance(root, dict):
        inner = [part for item in root.items() for part in item]
    elif isinstance(root, Slots):
        inner = [root.a, root.b]
    else:
        inner = [vars(root)] if type(root).__module__ == __name__ else []
    for part in inner:
        yield from parts(part)


def identities(load):
    """Which parts of two loads are one object, which the interpreter's; and the next pickle."""
    try:
        first, second = load(), load()
    except Exception as error:
        return type(error), str(error)
    numbers = {}
    found = [
        (type(x), numbers.setdefault(id(x), len(numbers)), id(x) in OWN) for x in parts(first)
    ]
    shared = [a is b for a, b in zip(parts(first), parts(second), strict=True)]
    return found, shared, _stdlib.dumps(first)


WAYS = {
    "bytes": lambda module, data, **options: module.loads(data, **options),
    "bytearray": lambda module, data, **options: module.loads(bytearray(data), **options),
    "memoryview": lambda module, data, **options: module.loads(memoryview(data), **options),
    "bytesio": lambda module, data, **options: module.load(io.BytesIO(data), **options),
    "reader": lambda module, data, **options: module.load(loading.Reader(data), **options),
    "peek": lambda module, data, **options: module.load(
        io.BufferedReader(io.BytesIO(data)), **options
    ),
    "unpickler": lambda module, data, **options: module.Unpickler(
        io.BytesIO(data), **options
    ).load(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_loaded_anew_or_shared(kind, way):
    settings = [{}]
    if kind == "old texts":
        settings += [{"encoding": "bytes"}, {"encoding": "latin-1"}]
    for atom in KINDS[kind]():
        for body in places(atom):
            data = b"\x80\x04" + body + b"."
            for options in settings:
                load = functools.partial(WAYS[way], data=data, **options)
                expected = identities(lambda load=load: load(loading.STANDARD))
                ours = identities(lambda load=load: load(loading.OURS))
                assert ours == expected, data[:200]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", ["copy", "deepcopy"])
def test_copied_anew_or_shared(function, kind):
    standard, ours = getattr(_stdlib, function), getattr(fastcopyreg.copy, function)
    for atom in KINDS[kind]():
        for body in places(atom):
            try:
                value = _stdlib.loads(b"\x80\x04" + body + b".")
            except Exception:
                continue  # Text that is not ASCII, keys that cannot be hashed.

            def identity(copied, value=value):
                before = list(map(id, parts(value)))
                return [
                    (type(part), before.index(id(part)) if id(part) in before else None)
                    for part in parts(copied)
                ]

            assert identity(ours(value)) == identity(standard(value)), body[:200]


def test_extension_codes_are_shared(clean_registry):
    copyreg.add_extension(__name__, "Box", 0x60)
    data = b"\x80\x02\x82\x60\x82\x60\x86."
    ours, standard = loading.OURS.loads(data), loading.STANDARD.loads(data)
    assert ours[0] is ours[1] is standard[0] is Box
