"""Fuzzes the loads of `fastcopyreg.safe`: nothing outside the allowed set is ever called.

    python tests/harness/fuzz_safe.py --count 10000000 --seed 1
    python tests/harness/fuzz_safe.py --seconds 60

Programs of opcodes are made at random, so that they mostly hold together, and changed at random.
What judges: canaries, classes and functions that no policy allows, each of which tells if it is
called, made, subclassed or asked for an attribute it does not have; an audit hook, for imports,
files, processes and code; and the machine of the Python backend, which must load the same or
refuse as well.  On a core built with sanitizers, they judge too.  Exit status: 0, or 1 with the
first pickle that is wrong.
"""

from __future__ import annotations

import argparse
import collections
import copyreg
import datetime
import encodings.ascii  # Debug builds import it to check the name of an encoding.
import encodings.latin_1  # noqa: F401 - a pickle may name it
import enum
import faulthandler
import os
import pickle
import random
import struct
import sys
import time
import types

from fastcopyreg import _backend, safe
from fastcopyreg._safe import machine, policy

CALLED = []
HARMFUL = (
    "import",
    "open",
    "exec",
    "compile",
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "shutil.",
)
WATCHING = False
CHANGES = 4  # pickles of one program


def watch(event, arguments):
    if WATCHING and event.startswith(HARMFUL):
        CALLED.append((event, repr(arguments)[:200]))


class Meta(type):
    def __call__(cls, *arguments, **keywords):
        CALLED.append(("call", cls.__name__))
        return super().__call__(*arguments, **keywords)

    def __getattr__(cls, name):
        CALLED.append(("attribute", name))
        raise AttributeError(name)


class Forbidden(metaclass=Meta):
    """A class that nobody allowed."""

    def __new__(cls, *arguments, **keywords):
        CALLED.append(("new", cls.__name__))
        return super().__new__(cls)

    def __setstate__(self, state):
        CALLED.append(("setstate", state))

    append = extend = add = __setitem__ = __setstate__


def forbidden(*arguments, **keywords):
    CALLED.append(("function", arguments))


class Plain:
    """Allowed, with a __dict__."""

    def inner(self):
        CALLED.append(("method", self))


class Slots:
    """Allowed, with slots."""

    __slots__ = ("a", "b")


class Stating:
    """Allowed, with a __setstate__."""

    def __setstate__(self, state):
        self.state = state


class Listing(list):
    """Allowed, and takes items."""


class Color(enum.Enum):
    RED = 1
    GREEN = 2


def made(*arguments):
    """Allowed: an instance with any arguments."""
    value = Plain()
    value.arguments = arguments
    return value


def module_of_canaries():
    name = "canaries"
    module = types.ModuleType(name)
    for value in (Forbidden, forbidden, Plain, Slots, Stating, Listing, Color, made):
        value.__module__ = name
        setattr(module, value.__name__, value)
    module.nested = types.SimpleNamespace(forbidden=forbidden)
    sys.modules[name] = module
    return module


ALLOWED = (Plain, Slots, Stating, Listing, Color, made)
GLOBALS = [
    *(("canaries", value.__name__) for value in ALLOWED),
    *((row.module, row.name) for row in policy.Table().rows),
    ("canaries", "Forbidden"),
    ("canaries", "forbidden"),
    ("canaries", "nested.forbidden"),
    ("canaries", "Plain.inner"),
    ("canaries", "Plain.__init__.__globals__"),
    ("os", "system"),
    ("builtins", "eval"),
    ("subprocess", "Popen"),
    ("__builtin__", "set"),
    ("copy_reg", "_reconstructor"),
    ("not.imported", "x"),
]
KEYS = [b"a", b"b", b"x", b"int", b"__class__", b"__setstate__", b"__dict__", b"RED", b"latin1"]


def short(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"\x8c" + bytes([len(data)]) + data


ATOMS = (
    b"N",
    b"\x88",
    b"\x89",
    *(b"K" + bytes([number]) for number in (0, 1, 2, 7, 255)),
    *(b"J" + struct.pack("<i", number) for number in (-1, 0, 7, 2**31 - 1, -(2**31))),
    *(b"G" + struct.pack(">d", number) for number in (0.5, float("inf"), 1e300)),
    *(b"I%d\n" % number for number in (0, 1, 5, 10**30)),
    *(b"L%dL\n" % number for number in (0, 3, 10**40)),
    b"\x8a\x09" + bytes(8) + b"\x01",
    b"C\x04\x07\xd0\x01\x01",
    b"C\x04\x01\x02\x03\x04",
    b"C\x0a\x07\xd0\x01\x01" + bytes(6),
    b"S'text'\n",
    b"Vtext\n",
    b"U\x03abc",
    b"X\x01\x00\x00\x00a",
    b"\x96" + struct.pack("<Q", 2) + b"xy",
    b")",
    *map(short, KEYS),
)
# Each is a function of the maker and of how deep it is.
CONTAINERS = (
    lambda m, d: b"](" + m.several(d) + b"e",
    lambda m, d: b"]" + m.value(d) + b"a",
    lambda m, d: b"(" + m.several(d) + b"l",
    lambda m, d: b"(" + m.several(d) + b"t",
    lambda m, d: m.value(d) + b"\x85",
    lambda m, d: m.value(d) + m.value(d) + b"\x86",
    lambda m, d: m.value(d) + m.value(d) + m.value(d) + b"\x87",
    lambda m, d: b"}(" + m.pairs(d) + b"u",
    lambda m, d: b"}" + m.atom() + m.value(d) + b"s",
    lambda m, d: b"(" + m.pairs(d) + b"d",
    lambda m, d: b"\x8f(" + m.atom() + m.atom() + b"\x90",
    lambda m, d: b"(" + m.atom() + m.atom() + b"\x91",
)
STATES = (
    lambda m, d: b"}(" + m.pairs(d) + b"u",
    lambda m, d: b"}" + m.key() + m.value(d) + b"s",
    lambda m, d: b"N}(" + m.pairs(d) + b"u\x86",
    lambda m, d: b"}\x94(" + m.key() + b"\x94K\x01u",
    lambda m, d: m.value(d),
)
INSTANCES = (
    lambda m, d: m.named() + b")\x81",
    lambda m, d: m.named() + b")\x94\x81\x94",
    lambda m, d: m.named() + b"(" + m.several(d) + b"t\x81",
    lambda m, d: m.named() + b"(" + m.several(d) + b"tR",
    lambda m, d: m.named() + m.value(d) + b"\x85R",
    lambda m, d: m.named() + m.value(d) + b"\x85\x94R\x94",
    lambda m, d: m.named() + m.atom() + m.atom() + b"\x86R",
    lambda m, d: m.named() + m.named() + m.atom() + b"\x86R",
    lambda m, d: m.named() + m.named() + b"cbuiltins\nobject\nN\x87R",
    lambda m, d: m.named() + b")R",
    lambda m, d: m.named() + b"]" + m.value(d) + b"a\x85R",
    lambda m, d: b"(" + m.named() + m.several(d) + b"o",
    lambda m, d: b"(" + m.several(d) + b"icanaries\nPlain\n",
    lambda m, d: m.named() + b")}\x92",
)
ITEMS = (
    lambda m, d: b"(" + m.several(d) + b"e",
    lambda m, d: b"(" + m.pairs(d) + b"u",
    lambda m, d: m.value(d) + b"a",
    lambda m, d: b"(" + m.several(d) + b"\x90",
)
ODD = (
    lambda m, d: m.value(d) + b"2\x86",
    lambda m, d: m.value(d) + b"N0",
    lambda m, d: b"(" + m.several(d) + b"1N",
    lambda m, d: m.named(),
    lambda m, d: m.named() + m.state(d) + b"b",
    lambda m, d: m.value(d) + m.value(d) + b"R",
    lambda m, d: m.value(d) + m.value(d) + b"\x81",
    lambda m, d: m.value(d) + m.value(d) + b"b",
    lambda m, d: m.value(d) + b"Q",
    lambda m, d: b"Pid\n",
    lambda m, d: b"\x97\x98",
    lambda m, d: m.value(d) + b"\x98",
    lambda m, d: b"\x95" + struct.pack("<Q", m.below(40)) + m.value(d),
)
NAMES = tuple(
    (
        f"c{module}\n{name}\n".encode(),
        short(module) + short(name) + b"\x93",
        short(module) + b"\x94" + short(name) + b"\x94\x93\x94",
    )
    for module, name in GLOBALS
)
EXTENSIONS = (b"\x82\xf0", b"\x82\xf1", b"\x83\xf0\x00", b"\x84\xf2\x00\x00\x00")
OPCODES = b"()0012abdeluosRQit\x81\x85\x86\x87\x90\x91\x92\x93\x94"


class Maker:
    """Makes programs at random that mostly hold together."""

    def __init__(self, source):
        self.random = source.random
        self.memo = 0

    def below(self, count):
        return int(self.random() * count)

    def choose(self, among):
        return among[int(self.random() * len(among))]

    def program(self):
        self.memo = 0
        return b"\x80" + bytes([self.choose((0, 1, 2, 2, 3, 4, 4, 5))]) + self.value(0)

    def pickles(self, source, count):
        """Yield pickles: of allowed objects or a program, then that changed again and again."""
        body = benign(source)[:-1] if self.random() < 0.1 else self.program()
        yield body + b"."
        for _ in range(count - 1):
            yield self.changed(body) + b"."

    def value(self, depth):
        way = self.random()
        if depth > 5 or way < 0.3:
            made = self.atom()
        elif way < 0.55:
            made = self.choose(CONTAINERS)(self, depth + 1)
        elif way < 0.9:
            made = self.instance(depth + 1)
        else:
            made = self.choose(ODD)(self, depth + 1)
        if self.random() < 0.4:
            self.memo += 1
            made += b"\x94" if self.random() < 0.5 else b"q" + bytes([(self.memo - 1) % 256])
        return made

    def atom(self):
        if self.random() < 0.1:
            return b"h" + bytes([self.below(self.memo + 1) % 256])
        return self.choose(ATOMS)

    def key(self):
        return short(self.choose(KEYS))

    def several(self, depth, most=4):
        return b"".join([self.value(depth) for _ in range(self.below(most))])

    def pairs(self, depth):
        return b"".join([self.key() + self.value(depth) for _ in range(self.below(4))])

    def named(self):
        if self.random() < 0.25:
            return self.choose(EXTENSIONS)
        return self.choose(self.choose(NAMES if self.random() < 0.6 else NAMES[:6]))

    def state(self, depth):
        return self.choose(STATES)(self, depth)

    def instance(self, depth):
        made = self.choose(INSTANCES)(self, depth)
        if self.random() < 0.5:
            made += self.state(depth) + b"b"
        if self.random() < 0.2:
            made += self.choose(ITEMS)(self, depth)
        return made

    def changed(self, body):
        data = bytearray(body)
        for _ in range(1 + self.below(3)):
            at = self.below(len(data))
            way = self.below(4)
            if way == 0:
                data[at] = self.below(256)
            elif way == 1:
                del data[at : at + 1 + self.below(3)]
            elif way == 2:
                data[at:at] = data[self.below(len(data)) :][: 1 + self.below(11)]
            else:
                data.insert(at, self.choose(OPCODES))
            if not data:
                break
        return bytes(data)


def described(value, seen=None, depth=0):
    """Return what a loaded value is, by structure, running nothing of it."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return "again", seen[id(value)]
    kind = type(value)
    if kind is float:
        return "float", struct.pack(">d", value)
    if kind in (int, str, bytes, bool, type(None)):
        return kind.__name__, value
    if isinstance(value, type) or kind is types.FunctionType:
        return "global", value.__qualname__
    seen[id(value)] = len(seen)
    inner = lambda part: described(part, seen, depth + 1)  # noqa: E731
    if depth > 60:
        return ("deep",)
    parts = [kind.__name__]
    if kind is bytearray or kind is memoryview:
        parts.append(bytes(value))
    elif isinstance(value, tuple | list | collections.deque):
        parts += [inner(part) for part in value]
    elif isinstance(value, dict):
        parts += [(inner(k), inner(v)) for k, v in dict.items(value)]
    elif isinstance(value, set | frozenset):
        parts.append(len(value))
    elif isinstance(value, datetime.datetime | datetime.time):
        parts.append(value.replace(tzinfo=None))
    attributes = getattr(value, "__dict__", None) if kind in ALLOWED else None
    if type(attributes) is dict:
        parts += [(inner(k), inner(v)) for k, v in attributes.items()]
    if kind is Slots:
        parts += [inner(getattr(value, name, "unset")) for name in Slots.__slots__]
    return tuple(parts)


def outcome(load, data):
    """Return what a load gave: a value's description, or the type and words of an error."""
    global WATCHING
    WATCHING = True
    try:
        value = load(data)
    except Exception as error:
        return "error", type(error).__name__, str(error)
    finally:
        WATCHING = False
    return "value", described(value)


TIGHT = {"size": 60, "depth": 4, "objects": 6, "memo": 8, "integer_digits": 9, "collisions": 0}


class Judge:
    """Loads by both backends, and says what is wrong, if anything is."""

    def __init__(self, every=1, **limits):
        self.every, self.count = every, 0
        limits = safe.Limits(**limits)
        self.policy = safe.Policy(ALLOWED, limits=limits)
        self.machine = machine.Policy(policy.Table(ALLOWED, limits=limits))

    def by_machine(self, data):
        return machine.Machine(self.machine, data, {}).load()

    def fault(self, data):
        CALLED.clear()
        self.count += 1
        first = outcome(self.policy.loads, data)
        if CALLED:
            return f"called: {CALLED}"
        if _backend.backend != "c" or self.count % self.every:
            return None
        second = outcome(self.by_machine, data)
        if CALLED:
            return f"called by the Python backend: {CALLED}"
        if not agree(first, second):
            return f"the backends differ:\n  c      {first}\n  python {second}"
        return None


def extensions():
    for code, pair in ((240, ("canaries", "Plain")), (241, ("canaries", "forbidden"))):
        copyreg.add_extension(*pair, code)
    copyreg._extension_cache[241] = copyreg._extension_cache[242] = forbidden


def agree(first, second):
    if first[0] != second[0]:
        return False
    if first[0] == "value":
        return first == second
    # The core takes opcodes together, and looks at some limits now and then: it may meet another
    # error before it.
    if "exceeds the limit" in first[2] or "exceeds the limit" in second[2]:
        return True
    # What pickle itself raises for nonsense is worded as it likes; refusals are the same.
    if "is not allowed" in first[2] or "is not allowed" in second[2]:
        return first == second
    return True


def benign(source):
    """A pickle of allowed objects, for changes."""
    one = Plain()
    one.__dict__.update(a=1, b=[one, Color.RED], x=datetime.date(2000, 1, 1))
    two = Slots()
    two.a = {"x": (1, 2.5), "y": datetime.timedelta(3)}
    values = [one, two, Listing([1, 2]), collections.deque([1, 2], 5), {one: 1}, 1j, {1, 2}]
    return pickle.dumps(source.sample(values, 3), source.randrange(2, 6))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=None, help="how many pickles")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long, without --count")
    parser.add_argument("--every", type=int, default=1, help="compare each so manieth")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "big")
    faulthandler.enable()
    module_of_canaries()
    sys.addaudithook(watch)
    print(f"backend {_backend.backend}, seed {seed}", flush=True)
    extensions()
    judges = [Judge(options.every)] * 7 + [Judge(options.every, **TIGHT)]
    source = random.Random(seed)
    maker, begun, count, loaded = Maker(source), time.monotonic(), 0, 0

    def is_over():
        if options.count is not None:
            return count >= options.count
        return time.monotonic() - begun > options.seconds

    while not is_over():
        judge = judges[count // CHANGES % len(judges)]
        for data in maker.pickles(source, CHANGES):
            count += 1
            fault = judge.fault(data)
            if fault is not None:
                print(f"seed {seed}, pickle {count}: {data!r}\n{fault}")
                return 1
            loaded += outcome_is_value(judge, data) if count % 61 == 0 else 0
            if count % 100_000 == 0:
                print(f"{count} pickles in {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{count} pickles, seed {seed}: nothing was called; about {loaded * 61} were loaded")
    return 0


def outcome_is_value(judge, data):
    return outcome(judge.policy.loads, data)[0] == "value"


if __name__ == "__main__":
    sys.exit(main())
