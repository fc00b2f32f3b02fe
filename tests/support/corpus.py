"""Named values: for each a function that builds it anew.

`VALUES` are ordinary; `EVIL` misbehave but cannot crash a standard library that is up to date.
Sizes sit at the borders where opcodes, batches and frames change.
"""

import array
import collections
import datetime
import decimal
import fractions
import functools
import io
import ipaddress
import math
import operator
import pathlib
import pickle as std_pickle
import types
import uuid
import weakref

from support import classes, evil
from support.classes import (
    Plain,
    Registered,
    Slots,
)

FRAME = 64 * 1024
BATCH = 1000
INT_BORDERS = [0, 1, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63]
LONG_BITS = [64, 127, 128, 255 * 8 - 1, 255 * 8, 256 * 8, 5000]
STRING_SIZES = [0, 1, 2, 254, 255, 256, 257, 65535, 65536, FRAME + 1]
COUNTS = [0, 1, 2, 3, 4, 999, 1000, 1001, 1999, 2000, 2001, 3000]


def filled(obj, **fields):
    """The object, with those attributes set."""
    for name, value in fields.items():
        setattr(obj, name, value)
    return obj


def integers():
    """Both sides of each border, both signs."""
    around = [n + d for n in INT_BORDERS for d in (-1, 0, 1)]
    around += [2**bits + d for bits in LONG_BITS for d in (-1, 0, 1)]
    return [sign * n for n in around for sign in (1, -1)]


def floats():
    """Signs, infinities, a NaN, subnormals, and values whose repr is long or short."""
    return [
        0.0,
        -0.0,
        1.5,
        1e300,
        5e-324,
        0.1,
        1 / 3,
        math.inf,
        -math.inf,
        math.nan,
        1e16,
        123456.0,
    ]


def texts():
    """Text that is ASCII, Latin-1, wider, surrogates, and what protocol 0 must escape."""
    plain = [
        "",
        "a",
        "two",
        "line\nfeed\r\0\x1a\\u0041",
        "é",
        "\x80",
        "ÿ" * 128,
        "\u1234",
        "𝒳" * 64,
    ]
    return plain + ["\ud800", "a\udfff\udc80b", "\ud83d\ude00", "\\", "\\n", "\u2028", "\x7f"]


def sized_texts():
    """Strings whose UTF-8 is around each size at which an opcode or a frame changes."""
    ascii_ = ["x" * n for n in STRING_SIZES]
    return ascii_ + ["é" * (n // 2) + "y" * (n % 2) for n in STRING_SIZES] + ["\udc80" * 86]


def sized_bytes(make):
    """Bytes of one kind around each size at which an opcode or a frame changes."""
    return [make(b"z" * n) for n in STRING_SIZES]


def nested(depth, wrap):
    """A value wrapped `depth` times."""
    value = None
    for _ in range(depth):
        value = wrap(value)
    return value


def self_containing_list():
    """A list that holds itself, directly and through others."""
    made = [1]
    made += [made, (made,), {"k": made}, [made]]
    return made


def self_containing_tuples():
    """Tuples of each length that are reached again through a list before they are complete."""
    made = []
    for length in (1, 2, 3, 4, 5):
        inner = []
        loop = (inner, *range(length - 1))
        inner.append(loop)
        made.append(loop)
    return made


def self_containing_frozenset():
    """A frozenset that is reached again through one of its members."""
    member = Plain()
    member.set = frozenset([member, 1])
    return member.set


def self_containing_set():
    """A set that is reached again through one of its members."""
    member = Plain()
    member.set = {member}
    return member.set


def unmemoized_sharing():
    """Children that are shared before their parent has a number."""
    shared = ["shared"]
    inner = (shared, [shared])
    return (shared, inner, (inner, shared), [inner, inner])


def frame_fillers():
    """Items whose opcodes end just before, at and after a frame's target size."""
    return [["x" * (FRAME - gap), "y", b"z" * 300, 1.5] for gap in range(1, 24)]


def frame_walks():
    """Many small objects, so that frames end inside batches."""
    return [{"key": n, "text": f"item {n}", "more": (n, [n])} for n in range(4000)]


def large_payloads():
    """Large objects between small ones: they bypass the frame."""
    return [
        1,
        b"a" * (FRAME - 1),
        2,
        b"b" * FRAME,
        "c" * FRAME,
        bytearray(FRAME + 1),
        [3],
        b"d" * FRAME,
    ]


def instances(make):
    """One empty, one filled, two that share, one that holds itself."""
    shared = [1, "two"]
    empty, full, other, loop = make(), make(), make(), make()
    filled(full, a=shared, b=(shared, 2.5), c={"k": None})
    filled(other, a=full, b=shared, c=[other])
    through = [loop]
    filled(loop, a=through, b=loop if make not in BY_ARGUMENTS else through, c=(1, through))
    return [empty, full, other, loop, full]


def untouched(make):
    """Instances whose `__dict__` nobody has asked for yet, with one that was asked for."""
    made = [filled(make(), a=n, b=f"b{n}") for n in range(5)]
    vars(made[2])
    return made


def subclassed(make):
    """An empty one and a filled one, with and without attributes."""
    with_attributes = make()
    with_attributes.extra = ["extra", with_attributes]
    return [make(), with_attributes, with_attributes]


def dict_of(count, make_key=str):
    """A dict of that many entries."""
    return {make_key(n): n for n in range(count)}


def globals_of_all_kinds():
    """What is written by name."""
    outer = classes.Outer
    return [
        len, int, print, list.append, dict.fromkeys, "".join, [].append, operator.add,
        classes.make_plain, Plain, outer, outer.Inner, outer.Inner.Innermost, outer.function,
        outer.Inner.method, outer.Inner().method, type(None), type(...), type(NotImplemented),
        None, ..., NotImplemented, functools.reduce, range, map, KeyError, BlockingIOError,
        std_pickle.PicklingError, collections.OrderedDict, types.SimpleNamespace, classes.Meta,
        classes.WithMeta, classes.WithMeta(), classes.Described, classes.Described(),
    ]  # fmt: skip


def standard_values():
    """Values of the standard library's own types."""
    moment = datetime.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=datetime.UTC, fold=1)
    return [
        moment, moment.date(), moment.time(), moment.timetz(), datetime.timedelta(-1, 2, 3),
        datetime.timezone(datetime.timedelta(hours=5), "five"), decimal.Decimal("-1.50E+7"),
        uuid.UUID(int=7), fractions.Fraction(-3, 4), collections.OrderedDict(b=1, a=[2]),
        collections.defaultdict(list, {"k": [1]}), collections.deque([1, 2], maxlen=5),
        collections.Counter("hello"), pathlib.PurePosixPath("/a/b.c"), 1.5 - 2j, range(1, 9, 2),
        ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("2001:db8::/32"),
        types.SimpleNamespace(x=[1], y=None), array.array("d", [1.5, 2.5]), functools.partial(int,
        base=2), operator.itemgetter(1, "k"), operator.attrgetter("a.b"),
        operator.methodcaller("f", 1, k=2), collections.UserDict(a=1), collections.UserList([1]),
        collections.ChainMap({"a": 1}), iter([1, 2]), iter((1,)), iter(range(3)), enumerate("ab"),
        bytearray(b"mutable"), reversed([1, 2]), zip("ab", "cd", strict=False), map(len, ["a"]),
        iter({}.keys()), iter({1: 2}.items()),
    ]  # fmt: skip


def exceptions():
    """Built-in and user exceptions, with causes, notes and attributes."""
    own = classes.Failure("text", [1])
    own.detail = {"k": own}
    noted = ValueError("noted")
    noted.__notes__ = ["a note"]
    init = classes.FailureWithInit("a", b=[2])
    plain = [
        KeyError("k"),
        OSError(2, "gone", "file"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
    ]
    return plain + [own, noted, init, StopIteration(3), ImportError("no", name="n", path="p")]


def enums():
    """Members, aliases by identity, flags combined."""
    both = classes.Flags.A | classes.Flags.B
    return [*classes.Colour, *classes.Level, classes.Flags.A, both, both, classes.Colour]


def unpicklable():
    """What every pickler refuses, one at a time."""
    return {
        "lambda": lambda: lambda: None,
        "local class": classes.local_class,
        "local instance": lambda: classes.local_class()(),
        "generator": lambda: (n for n in ()),
        "module": lambda: types,
        "frame": lambda: (lambda: __import__("sys")._getframe())(),
        "code": lambda: unpicklable.__code__,
        "weakref": lambda: weakref.ref(Plain),
        "memoryview": lambda: memoryview(b"abc"),
        "file": lambda: io.TextIOWrapper(io.BytesIO()),
        "dict view": lambda: {"a": 1}.keys(),
        "property": lambda: property(),
        "slot descriptor": lambda: Slots.a,
        "mapping proxy": lambda: types.MappingProxyType({}),
    }


def plain_values():
    """Builders of atoms and containers."""
    values = {
        "integers": integers,
        "floats": floats,
        "atoms": lambda: [None, True, False, [True, False], (None,)],
        "texts": texts,
        "sized texts": sized_texts,
        "repeated texts": lambda: [word for word in ("".join(["k", "ey"]),) for _ in range(3)],
        "bytes": lambda: sized_bytes(bytes),
        "non-ascii bytes": lambda: [bytes(range(256)), b"\x80", b"\xff" * 300, b""],
        "bytearrays": lambda: sized_bytes(bytearray),
        "self list": self_containing_list,
        "self tuples": self_containing_tuples,
        "self frozenset": self_containing_frozenset,
        "self set": self_containing_set,
        "unmemoized sharing": unmemoized_sharing,
        "many memo entries": lambda: [[n, str(n)] for n in range(300)] * 2,
        "more memo entries": lambda: [(n, str(n)) for n in range(40000)],
        "frame fillers": frame_fillers,
        "frame walks": frame_walks,
        "large payloads": large_payloads,
        "tuples": lambda: [tuple(range(n)) for n in (0, 1, 2, 3, 4, 5, 300)],
        "shared empty": lambda: [(), (), [], [], {}, set(), frozenset(), frozenset()],
        "nested lists": lambda: nested(60, lambda value: [value]),
        "nested tuples": lambda: nested(60, lambda value: (value, value)[:1]),
        "nested dicts": lambda: nested(60, lambda value: {"k": value}),
        "frozensets": lambda: [frozenset(range(n)) for n in (0, 1, 2, 1001)],
    }
    for count in COUNTS:
        values[f"list of {count}"] = lambda n=count: list(range(n))
        values[f"dict of {count}"] = lambda n=count: dict_of(n)
        values[f"set of {count}"] = lambda n=count: set(range(n))
    return values


def object_values():
    """Builders of instances."""
    values = {
        "globals": globals_of_all_kinds,
        "exceptions": exceptions,
        "enums": enums,
        "private slots": lambda: filled_private(),
        "singleton": lambda: [classes.SINGLETON, classes.SINGLETON, classes.REGISTERED_NAME],
        "nested classes": lambda: [classes.Outer.Inner(), classes.Outer.Inner.Innermost()],
        "registered items": lambda: [classes.RegisteredItems([1, [2]]), classes.RegisteredItems()],
        "registered pairs": lambda: [classes.RegisteredPairs(a=[1]), classes.RegisteredPairs()],
        "points": lambda: [classes.Point(1, [2]), classes.Pair("l", "r"), classes.Pair(None, ())],
        "persistent": lambda: persistents(),
        "overridden": lambda: [filled(classes.Overridden(), a=[1]), classes.Overridden()],
        "tabled": lambda: [filled(classes.Tabled(), a=[1]), classes.Tabled(), Registered(1, 2, 3)],
    }
    for cls in INSTANCE_CLASSES:
        values[f"instances of {cls.__name__}"] = lambda c=cls: instances(c)
    for cls in (Plain, classes.SubPlain, classes.Data, classes.RegisteredDict):
        values[f"untouched {cls.__name__}"] = lambda c=cls: untouched(c)
    for name, make in SUBCLASSED.items():
        values[f"subclass {name}"] = lambda m=make: subclassed(m)
    for n, _ in enumerate(standard_values()):
        values[f"standard value {n}"] = lambda i=n: [standard_values()[i]] * 2
    return values


INSTANCE_CLASSES = [
    Plain, classes.SubPlain, Slots, classes.SubSlots, classes.SlotsAndDict, classes.WithState,
    classes.FalseState, classes.NoneState, classes.NewArguments, classes.NewArgumentsEx,
    classes.NewKeywords, classes.Reduces, classes.ReducesEx, classes.FullReduction,
    classes.SharedArguments, classes.Temporaries, classes.Peeks, classes.Recursive,
    classes.RecursiveOnce, Registered, classes.RegisteredDict, classes.RegisteredSetter,
    classes.RegisteredNew, classes.Data, classes.WithMeta, classes.Outer.Inner,
]  # fmt: skip

# Their fields are arguments, so that one that holds itself directly cannot be dumped.
BY_ARGUMENTS = {
    classes.NewArguments,
    classes.NewArgumentsEx,
    classes.NewKeywords,
    classes.Reduces,
    classes.ReducesEx,
    classes.SharedArguments,
    classes.Recursive,
    classes.RecursiveOnce,
    classes.Peeks,
    Registered,
}

SUBCLASSED = {
    "list": lambda: classes.SubList([1, "a", [2]]),
    "empty list": classes.SubList,
    "dict": lambda: classes.SubDict(a=1, b=[2]),
    "set": lambda: classes.SubSet([1, 2]),
    "frozenset": lambda: classes.SubFrozenset([1, 2]),
    "tuple": lambda: classes.SubTuple((1, [2])),
    "str": lambda: classes.SubStr("text"),
    "int": lambda: classes.SubInt(70000),
    "float": lambda: classes.SubFloat(1.5),
    "bytes": lambda: classes.SubBytes(b"bytes"),
    "bytearray": lambda: classes.SubByteArray(b"bytes"),
    "complex": lambda: classes.SubComplex(1j),
    "ordered dict": lambda: classes.SubOrderedDict(b=1, a=2),
}


def filled_private():
    """Private slots, set from inside the class."""
    made = [classes.PrivateSlots(), classes.PrivateSlots()]
    made[0].hide([1])
    made[1]._PrivateSlots__shown = "shown"
    made[1].__both__ = 3
    return made + made


def persistents():
    """Persistent objects with ids of several types, some twice."""
    ids = ["text", 7, None, ("tuple", 1), 2.5, "line\nfeed"]
    made = [filled(classes.Persistent(), pid=pid) for pid in ids]
    return made + [made[0], [made[3]]]


def evil_values():
    """Builders of graphs in which a callback raises, mutates or drops."""
    values = {}
    for cls in ALTERING:
        for name, around in AROUND.items():
            values[f"{cls.__name__} in {name}"] = lambda c=cls, f=around: f(c())
    for cls in RAISING:
        values[cls.__name__] = lambda c=cls: [1, {"k": filled(c(), a=1)}]
    for name, make in unpicklable().items():
        values[name] = make
        values[f"{name} inside"] = lambda m=make: [{"k": (1, filled(Plain(), a=m()))}]
    return values


ALTERING = [
    evil.Alters, evil.AltersShrink, evil.AltersClear, evil.AltersReplace, evil.AltersInState,
    evil.AltersWhileIterated, evil.DropsItself, evil.DropsDictInState, evil.LateDict,
    classes.Peeks,
]  # fmt: skip

RAISING = [
    evil.RaisesInReduce, evil.RaisesInState, evil.RaisesInItems, evil.RaisesInPairs,
    evil.RaisesStop, evil.RaisesMissing, evil.RaisesLookup, evil.Irreducible, evil.Spoofed,
    evil.SpoofedMissing, evil.Watched, evil.WatchedInstance, evil.FallbackLookups, evil.FakeDict,
    evil.SlotNames, evil.BadSlotNames,
]  # fmt: skip


def in_list(obj, length=5):
    """The object in the middle of a list that it is given."""
    made = [[n] for n in range(length)]
    made.insert(length // 2, obj)
    obj.a = made
    return made


def in_dict(obj, length=5):
    """The object in the middle of a dict that it is given."""
    made = {f"k{n}": [n] if n != length // 2 else obj for n in range(length)}
    obj.a = made
    return made


def in_set(obj):
    """The object in a set that it is given."""
    made = {1, obj, "text"}
    obj.a = made
    return made


def in_instance(obj):
    """The object in the `__dict__` of an instance that it is given."""
    made = filled(Plain(), x=[1], y=obj, z=[2])
    obj.a = made
    return made


def beside_instance(obj):
    """After an instance that is already written, and before others."""
    made = filled(Plain(), x=[1], y="y")
    obj.a = made
    return [made, obj, made.__class__, filled(Plain(), x=1)]


def in_registered(obj):
    """Among the arguments of a registered object, whose list it is given."""
    items = [1, obj, ["two"]]
    obj.a = items
    return Registered(items, ["fresh"], obj)


def in_tuple(obj):
    """In a tuple beside the list it is given."""
    items = [["one"], ["two"]]
    obj.a = items
    return (items, obj, items, ["three"])


AROUND = {
    "list": in_list,
    "list of one": lambda obj: in_list(obj, 0),
    "long list": lambda obj: in_list(obj, 1999),
    "dict": in_dict,
    "dict of one": lambda obj: in_dict(obj, 1),
    "long dict": lambda obj: in_dict(obj, 2000),
    "set": in_set,
    "instance": in_instance,
    "beside instance": beside_instance,
    "registered": in_registered,
    "tuple": in_tuple,
}

VALUES = plain_values() | object_values()
EVIL = evil_values()
HEAVY = {"more memo entries", "frame walks", "frame fillers", "large payloads"}
