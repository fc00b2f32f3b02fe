"""A differential fuzzer: random programs of opcodes loaded by the standard library and by
fastcopyreg, for hours.

    python tests/harness/fuzz_loads.py [--seed N] [--seconds N]

A program is drawn with an eye on what its stack would hold, so that most end well, and some of
it is spoilt afterwards. Rows of objects of one class, which ours loads quickly, are drawn often.
The cases run in children (tests/support/sweep.py); `--seed N --seconds 0` runs one batch again.
Exit status 1 if anything was found.
"""

import random
import struct
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import loading, sweep
from support.child import Crash

BATCH = 400

# Where each is, how many arguments it takes, whether only numbers, and what may follow.
CLASSES = [
    (b"support.classes", b"Plain", (0,), False, "state"),
    (b"support.classes", b"Point", (2,), False, ""),
    (b"harness.fuzz_loads", b"Slots", (3,), False, "slots"),
    (b"harness.fuzz_loads", b"Slots", (3,), False, "slots"),
    (b"harness.fuzz_loads", b"Stores", (3,), False, "state"),
    (b"harness.fuzz_loads", b"Stores", (3,), False, ""),
    (b"harness.fuzz_loads", b"Defaults", (0, 1, 2), False, ""),
    (b"harness.fuzz_loads", b"Noisy", (0, 1, 2, 3), False, "state"),
    (b"collections", b"OrderedDict", (0,), False, "items"),
    (b"collections", b"deque", (0,), False, "list"),
    (b"collections", b"Counter", (0,), False, "items"),
    (b"collections", b"defaultdict", (0, 1), False, "items"),
    (b"types", b"SimpleNamespace", (0,), False, "state"),
    (b"uuid", b"UUID", (0,), False, "state"),
    (b"ipaddress", b"IPv4Address", (1,), True, ""),
    (b"datetime", b"timedelta", (0, 1, 2, 3), True, ""),
    (b"fractions", b"Fraction", (0, 1, 2), True, ""),
    (b"decimal", b"Decimal", (0, 1), True, ""),
    (b"builtins", b"complex", (0, 1, 2), True, ""),
    (b"builtins", b"list", (0,), False, "list"),
    (b"builtins", b"dict", (0,), False, "items"),
    (b"builtins", b"bytearray", (0, 1), True, ""),
    (b"builtins", b"object", (0,), False, ""),
    (b"copyreg", b"_reconstructor", (3,), False, ""),
]
TEXTS = [b"x", b"y", b"z", b"int", b"text", b"key 1", b"a longer text, of more than sixteen", b""]
ANY_TEXT = [*TEXTS, "é".encode(), "\u1234".encode(), b"\xed\xa0\x80"]

# The first load that has a name interned keeps the very string, and later ones find that one: here
# all find these.
INTERNED = [sys.intern(text.decode("utf-8", "surrogatepass")) for text in ANY_TEXT]


class Slots:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class Stores:
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class Defaults:
    __slots__ = ("x", "y", "__weakref__")

    def __init__(self, x=1, y="default"):
        self.y = y
        self.x = x


class Noisy:
    """Each call, and each state, is told to whoever asks; drops an older one now and then."""

    kept = []

    def __init__(self, *args):
        self.args = args
        self.kept.append(len(args))
        del self.kept[10:]

    def __setstate__(self, state):
        self.state = state


class Program:
    """The opcodes so far, and what they leave: kinds on the stack, and how many memo entries."""

    def __init__(self, dice):
        self.dice = dice
        self.out = bytearray()
        self.memo = []
        self.depth = 0

    def emit(self, *parts):
        for part in parts:
            self.out += part

    def memoize(self, kind, likely=0.8):
        if self.dice.random() < likely:
            if self.dice.random() < 0.97:
                self.emit(b"\x94")
            else:
                self.emit(
                    b"q",
                    bytes([self.dice.choice([len(self.memo), self.dice.randrange(256)]) & 255]),
                )
            self.memo.append(kind)

    def fetch(self, kind=None):
        places = [i for i, one in enumerate(self.memo) if kind is None or one == kind]
        if not places:
            return False
        place = self.dice.choice(places)
        self.emit(b"h" + bytes([place]) if place < 256 else b"j" + struct.pack("<I", place))
        return True

    def text(self, texts=TEXTS):
        text = self.dice.choice(texts)
        self.emit(b"\x8c", bytes([len(text)]), text)
        self.memoize("text", 0.95)

    def atom(self):
        dice = self.dice
        match dice.randrange(10):
            case 0:
                self.emit(dice.choice([b"N", b"\x88", b"\x89"]))
            case 1 | 2:
                self.emit(b"K", dice.randbytes(1))
            case 3:
                self.emit(b"M", dice.randbytes(2))
            case 4:
                self.emit(b"J", dice.randbytes(4))
            case 5:
                self.emit(b"G", struct.pack(">d", dice.random()))
            case 6:
                size = dice.randrange(12)
                self.emit(b"\x8a", bytes([size]), dice.randbytes(size))
            case 7:
                size = dice.randrange(6)
                self.emit(b"C", bytes([size]), dice.randbytes(size))
                self.memoize("bytes")
            case 8:
                self.text(ANY_TEXT if dice.random() < 0.02 else TEXTS)
            case _:
                if not self.fetch("text"):
                    self.text()

    def value(self):
        self.depth += 1
        if self.depth > 4:
            self.atom()
        else:
            weights = [20, 4, 3, 3, 5, 1, 5, 1]
            makers = [
                self.atom, self.tuple, self.list, self.dict, self.object, self.set, self.fetched,
                self.oddity,
            ]  # fmt: skip
            self.dice.choices(makers, weights)[0]()
        self.depth -= 1

    def fetched(self):
        if not self.fetch():
            self.atom()

    def values(self, most):
        count = self.dice.randrange(most + 1)
        for _ in range(count):
            self.value()
        return count

    def tuple(self, make=None, count=None):
        make = make or self.value
        count = self.dice.randrange(5) if count is None else count
        marked = count > 3 or self.dice.random() < 0.1
        if marked:
            self.emit(b"(")
        for _ in range(count):
            make()
        self.emit(b"t" if marked else [b")", b"\x85", b"\x86", b"\x87"][count])
        if count or marked:
            self.memoize("tuple")

    def list(self):
        self.emit(b"]")
        self.memoize("list")
        if self.dice.random() < 0.2:
            self.value()
            self.emit(b"a")
        elif self.dice.random() < 0.9:
            self.emit(b"(")
            self.values(5)
            self.emit(b"e")

    def items(self, count):
        start = self.dice.randrange(3)
        for i in range(count):
            key = TEXTS[(start + i) % len(TEXTS)] if self.dice.random() < 0.9 else None
            if key is None:
                self.atom()
            else:
                self.emit(b"\x8c", bytes([len(key)]), key)
                self.memoize("text", 0.95)
            self.value()

    def dict(self):
        self.emit(b"}")
        self.memoize("dict")
        if self.dice.random() < 0.2:
            self.items(1)
            self.emit(b"s")
        elif self.dice.random() < 0.9:
            self.emit(b"(")
            self.items(self.dice.randrange(8))
            self.emit(b"u")

    def set(self):
        """Of one atom: a set's order is its own."""
        if self.dice.random() < 0.5:
            self.emit(b"\x8f")
            self.memoize("set")
            self.emit(b"(")
            self.atom()
            self.emit(b"\x90")
        else:
            self.emit(b"(")
            self.atom()
            self.emit(b"\x91")
            self.memoize("set")

    def cls(self):
        """Puts a class there; what fits it."""
        if self.dice.random() < 0.5:
            known = [(i, kind) for i, kind in enumerate(self.memo) if type(kind) is not str]
            if known:
                place, kind = self.dice.choice(known)
                self.emit(
                    b"h" + bytes([place]) if place < 256 else b"j" + struct.pack("<I", place)
                )
                return kind
        module, name, *fits = self.dice.choice(CLASSES)
        if self.dice.random() < 0.1:
            self.emit(b"c", module, b"\n", name, b"\n")
        else:
            for text in (module, name):
                self.emit(b"\x8c", bytes([len(text)]), text)
                self.memoize("text", 0.97)
            self.emit(b"\x93")
        self.memoize(fits, 0.95)
        return fits

    def number(self):
        self.emit(b"K", self.dice.randbytes(1))

    def object(self):
        dice = self.dice
        counts, numbers, follows = self.cls()
        if dice.random() < 0.03:
            counts, numbers, follows = (0, 1, 2, 3), False, dice.choice(["state", "list", "items"])
        make = self.number if numbers else dice.choice([self.atom, self.value])
        if follows in ("state", "slots") and dice.random() < 0.5:
            self.emit(b")\x81")
        elif dice.random() < 0.05:
            self.tuple(make, dice.choice(counts))
            self.emit(b"}")
            self.memoize("dict")
            self.emit(b"\x92")
        else:
            self.tuple(make, dice.choice(counts))
            self.emit(b"R" if dice.random() < 0.9 else b"\x81")
        self.memoize("object", 0.97)
        if dice.random() < 0.6:
            self.follow(follows)

    def follow(self, follows):
        match follows:
            case "state":
                self.dict()
                self.emit(b"b")
            case "slots":
                self.emit(b"N")
                self.dict()
                self.emit(b"\x86")
                self.memoize("tuple")
                self.emit(b"b")
            case "list":
                self.emit(b"(")
                self.values(3)
                self.emit(b"e")
            case "items":
                self.emit(b"(")
                self.items(2)
                self.emit(b"u")

    def oddity(self):
        """Opcodes that picklers do not write, or not there."""
        dice = self.dice
        match dice.randrange(8):
            case 0:
                self.value()
                self.emit(b"0")
                self.value()
            case 1:
                self.value()
                self.emit(b"2", dice.choice([b"0", b"\x86"]))
            case 2:
                self.emit(b"(")
                self.values(3)
                self.emit(b"1")
                self.value()
            case 3:
                self.emit(b"I", str(dice.randrange(99)).encode(), b"\n")
            case 4:
                self.emit(b"(")
                self.items(2)
                self.emit(b"d")
            case 5:
                self.value()
                self.emit(b"q", bytes([dice.randrange(256)]))
            case 6:
                self.emit(b"g", str(dice.randrange(5)).encode(), b"\n")
            case _:
                self.emit(b"(")
                self.cls()
                self.values(2)
                self.emit(b"o")

    def row(self, shape):
        """An object whose opcodes follow from the shape, a seed; mostly."""
        dice, self.dice = self.dice, random.Random(shape)
        start = len(self.out)
        self.object()
        self.dice = dice
        return start

    def rows(self):
        """A list of objects of one class: pickled alike, then changed a little here and there."""
        self.cls()
        self.emit(b"0")
        shape = self.dice.random()
        self.emit(b"]")
        self.memoize("list")
        self.emit(b"(")
        for _ in range(self.dice.choice([3, 8, 30])):
            start = self.row(shape)
            if self.dice.random() < 0.3:  # What may differ in a row: a byte, mostly an argument's.
                at = self.dice.randrange(start, len(self.out))
                if self.out[at] not in b"h\x94R\x81\x85\x86\x87(tb":
                    self.out[at] = self.dice.randrange(256)
            if self.dice.random() < 0.1:
                self.fetched()
        self.emit(b"e")
        if self.dice.random() < 0.5:
            self.fetch()
            self.fetch()
            self.emit(b"\x87")


def program(seed):
    dice = random.Random(seed)
    made = Program(dice)
    dice.choices([made.value, made.rows, made.dict, made.object], [1, 3, 1, 1])[0]()
    made.emit(b".")
    body = made.out
    if dice.random() < 0.25:
        for _ in range(dice.choice([1, 1, 2, 5])):
            at = dice.randrange(len(body))
            match dice.randrange(3):
                case 0:
                    body[at] = dice.randrange(256)
                case 1:
                    del body[at : at + dice.randrange(3)]
                case _:
                    body[at:at] = dice.choice(
                        [b"\x94", b"0", b"(", b"N", b"h\x00", b"\x86", b"R", b"b"]
                    )
            if not body:
                body += b"."
    head = b"\x80\x04"
    if dice.random() < 0.5:
        head += b"\x95" + struct.pack("<Q", len(body))
    return bytes(head + body)


WAYS = (
    (loading.outcome_in_memory, "bytes"),
    (loading.outcome_in_memory, "bytearray"),
    (loading.outcome_of_file, "load", "bytesio"),
    (loading.outcome_of_file, "unpickler", "peek"),
)


def run(module, case):
    """Twice: the second time, ours may know the classes and keys."""
    seed, way = case
    outcome, *how = WAYS[way]
    data = program(seed)
    return [outcome(module, *how, data) for _ in range(3)]


def agree(expected, actual):
    if isinstance(expected, Crash) or expected[0][1] is MemoryError:
        return True
    if isinstance(actual, Crash):
        return False
    # The memory limit is the fuzzer's own: what was loaded may be too large to be written down.
    too_large = ("cannot be described", MemoryError)
    if any(outcome[1] == too_large for outcome in expected + actual):
        return True
    return expected == actual


def differences_from(seed):
    batch = [(seed + i, way) for i in range(BATCH) for way in (0, 1 + i % 3)]
    standard, ours = partial(run, loading.STANDARD), partial(run, loading.OURS)
    return sweep.differences(batch, standard, ours, agree), len(batch)


def main(arguments=None):
    found, cases, seed = sweep.hunt(__doc__, arguments, BATCH, differences_from)
    for (of, way), expected, actual in found:
        print(f"--seed {of}, by {WAYS[way][1:]}: {program(of)!r}\n  {expected}\n  {actual}")
    print(f"{cases} loads by either, {len(found)} differences, seeds up to {seed}")
    return 1 if found else 0


if __name__ == "__main__":
    from harness import fuzz_loads

    sys.exit(fuzz_loads.main())
