"""After a failure: what a second load of the same Unpickler finds, and where the file is.

Every kind of failure, over every kind of file. Of what a file is asked, a length is compared only
up to 1 MiB, as ours asks for more in parts on every version (docs/compatibility.md), and so are
calls that found the file at its end.
"""

import io
import struct
import sys

import pytest

from support import loading
from support.implementations import requires_core

pytestmark = requires_core

MIB = 1 << 20
REST = b"K\x05.K\x06.K\x07."


def fail(*_):
    raise ValueError("called")


class Failing:
    def __setstate__(self, state):
        raise ValueError("called")


def of_this_module(name):
    return b"c" + __name__.encode() + b"\n" + name + b"\n"


def frame(body, size=None):
    return b"\x95" + struct.pack("<Q", len(body) if size is None else size) + body


COUNTED = {
    "BINUNICODE": (b"X", "<I"),
    "BINUNICODE8": (b"\x8d", "<Q"),
    "BINBYTES": (b"B", "<I"),
    "BINBYTES8": (b"\x8e", "<Q"),
    "BYTEARRAY8": (b"\x96", "<Q"),
    "BINSTRING": (b"T", "<I"),
    "LONG4": (b"\x8b", "<I"),
    "SHORT_BINBYTES": (b"C", "<B"),
    "SHORT_BINUNICODE": (b"\x8c", "<B"),
}
UNTRUE = [3, 200, 5000, 1 << 17, MIB - 1, MIB, MIB + 1, 0x054B0500, 2**63 - 1, 2**63, 2**64 - 1]


def counted(opcode, form):
    """Lengths that are not true, with more or less behind them."""
    for size in UNTRUE:
        if size >= 1 << 8 * struct.calcsize(form):
            continue
        for rest in (b"", b"K", b"K\x05" * 41 + b".", b"K\x05" * 2000):
            if len(rest) < size:
                yield b"\x80\x04" + opcode + struct.pack(form, size) + rest


INPUTS = {name: list(counted(*each)) for name, each in COUNTED.items()}
INPUTS["opcodes"] = [
    lead + each
    for lead in (b"", b"\x80\x04")
    for each in (
        *(b"\xff.", b"0.", b"\x86.", b"t.", b"\x80\x63.", b"h\x05.", b"g5\n.", b"gx\n.", b"Nq."),
        *(b"I5", b"Ix\n.", b"Fx\n.", b"Sx\n.", b"S'x\n.", b"V", b"X\x01\0\0\0\xff.", b"Np-1\n."),
        *(b"cno\nx\n.", b"cno", b"cbuiltins\nno\n.", b"NN\x93.", b"ino\nx\n.", b"(o."),
        *(of_this_module(b"fail") + b")R.", of_this_module(b"Failing") + b")\x81}b."),
        *(b"N)R.", b"N)\x81.", b"}]Ns.", b"Px\n.", b"NQ.", b"\x82\xf0.", b"\x82\0.", b"\x97."),
        *(b"N\x98.", b"", b"NNNs.", b"NNa.", b"(Nd.", b"}(Nu.", b"N(N\x90.", b".", b"(", b"2."),
        *(b"\x8a\x05ab", b"Jab", b"Gabc", b"\x8b\xff\xff\xff\xff"),
    )
]
INPUTS["frames"] = [
    lead + each + b"."
    for lead in (b"", b"\x80\x04")
    for each in (
        *(frame(b"K\x05", 100), frame(b"K\x05K\x05", 1), frame(b"K\x05", 2**21), frame(b"\xff")),
        *(frame(b"K\x05", 2**63), frame(b"\x8c\x05abc"), frame(frame(b"N")), frame(b"I5")),
        *(frame(b"C\x05ab"), frame(b"B\x05\0\0\0ab"), frame(b"\x96\x10" + bytes(7) + b"abc")),
        *(frame(b""), frame(b"\x8d" + b"\xff" * 7 + b"\x7f"), frame(b"\x8e\x05" + bytes(7))),
    )
]


@pytest.fixture(params=[*loading.READERS, "buffered whole", "raw", "real"])
def open_file(request, tmp_path):
    """A function that makes a file of bytes."""

    def on_disk(data, **options):
        path = tmp_path / "input"
        path.write_bytes(data)
        return path.open("rb", **options)

    more = {
        "buffered whole": lambda data: io.BufferedReader(io.BytesIO(data)),
        "raw": lambda data: on_disk(data, buffering=0),
        "real": on_disk,
    }
    return more.get(request.param) or loading.READERS[request.param]


def calls_that_read(file, size):
    """What the file was asked while it had something to give."""
    left = size
    for method, *asked in getattr(file, "calls", ()):
        if left <= 0:
            return
        yield method, [min(number, MIB) for number in asked]
        if method in ("read", "readinto"):
            left -= asked[0]


def loads_in_a_row(module, open_file, data):
    file = open_file(data)
    unpickler = module.Unpickler(file)
    found = [(loading.outcome(unpickler.load), file.tell()) for _ in range(4)]
    asked = list(calls_that_read(file, len(data)))
    if hasattr(file, "close"):
        file.close()
    return found, asked


@pytest.mark.parametrize("kind", INPUTS)
def test_a_failed_load_leaves_the_same(kind, open_file):
    failed = 0
    for data in INPUTS[kind]:
        for rest in (REST, b""):
            expected = loads_in_a_row(loading.STANDARD, open_file, data + rest)
            assert loads_in_a_row(loading.OURS, open_file, data + rest) == expected, data[:40]
            failed += expected[0][0][0][0] == "raised"
    assert failed > len(INPUTS[kind])


@pytest.mark.parametrize("kind", INPUTS)
def test_failures_in_memory_are_the_same(kind):
    for data in INPUTS[kind]:
        loading.compare_in_memory(data)
        loading.compare_in_memory(data + REST)


@pytest.mark.parametrize("index", [0, 1, 255, 256, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1])
@pytest.mark.parametrize("lead", [b"", b"N\x940", b"\x80\x04" + b"K\x01\x940" * 40])
def test_memo_indices_of_four_bytes(index, lead):
    """On 32 bits the larger ones are negative."""
    packed = struct.pack("<I", index)
    looked_up = lead + b"j" + packed + b"."
    stored = (lead + b"]r" + packed + b"0K\x05j" + packed + b"\x86.", lead + b"r" + packed + b".")
    # Up to 3.14 the standard library's memo is an array of 16 bytes and more for each index, which
    # is allocated, or not, as the machine's memory allows; ours takes any index.
    compares_stores = index < 2**16 or index > sys.maxsize or sys.version_info >= (3, 15)
    for data in (looked_up, *(stored if compares_stores else ())):
        loading.compare_in_memory(data)
