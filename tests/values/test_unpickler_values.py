"""Standard values that are made without calling their types: the same for any arguments."""

import abc
import builtins
import collections
import contextlib
import copy
import datetime
import decimal
import enum
import fractions
import io
import ipaddress
import math
import numbers
import os
import pathlib
import pickle
import sys
import types
import uuid
from collections import namedtuple
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcopyreg
from support import loading
from support.child import in_child, requires_fork
from support.implementations import PLANS_ARE_ON, requires_core

pytestmark = requires_core

HOUR = datetime.timedelta(hours=1)
ZONE = datetime.timezone(HOUR)


class Call:
    """Pickled as a call of a type with arguments."""

    def __init__(self, type_, *arguments):
        self.reduction = type_, arguments

    def __reduce__(self):
        return self.reduction


DATE = b"\x07\xea\x0b\x15"
TIME = b"\x17\x3b\x3b\x0f\x42\x3f"

CALLS = {
    "datetime": (datetime.datetime, DATE + TIME),
    "datetime folded": (datetime.datetime, b"\x07\xea\x8b\x15" + TIME, ZONE),
    "datetime of no zone": (datetime.datetime, DATE + TIME, None),
    "datetime of a bad zone": (datetime.datetime, DATE + TIME, 1),
    "datetime of a bad day": (datetime.datetime, b"\x07\xea\x0b\xc8" + TIME),
    "datetime of a bad month": (datetime.datetime, b"\x07\xea\x0d\x15" + TIME),
    "datetime of year 0": (datetime.datetime, b"\x00\x00\x0b\x15" + TIME),
    "datetime of bad minutes": (datetime.datetime, DATE + b"\x17\xff\x3b\x0f\x42\x3f"),
    "datetime of few bytes": (datetime.datetime, DATE),
    "datetime of numbers": (datetime.datetime, 2026, 11, 21),
    "date": (datetime.date, DATE),
    "date of a bad day": (datetime.date, b"\x07\xea\x02\x1f"),
    "date with a zone": (datetime.date, DATE, ZONE),
    "time": (datetime.time, TIME, ZONE),
    "time folded": (datetime.time, b"\x97\x3b\x3b\x0f\x42\x3f"),
    "time of hour 24": (datetime.time, b"\x18\x3b\x3b\x0f\x42\x3f"),
    "time of bad seconds": (datetime.time, b"\x17\x3b\xff\x0f\x42\x3f"),
    "timedelta": (datetime.timedelta, -999999999, 86399, 999999),
    "timedelta to be carried": (datetime.timedelta, 1, 86400, 1000000),
    "timedelta too great": (datetime.timedelta, 10**9, 0, 0),
    "timedelta of huge numbers": (datetime.timedelta, 0, 2**70, 0),
    "timedelta of floats": (datetime.timedelta, 1.5, 0, 0),
    "timedelta of bools": (datetime.timedelta, True, False, True),
    "timezone": (datetime.timezone, HOUR),
    "timezone with a name": (datetime.timezone, HOUR, "CET"),
    "timezone of nothing": (datetime.timezone, datetime.timedelta(0)),
    "timezone of a day": (datetime.timezone, datetime.timedelta(1)),
    "timezone of a number": (datetime.timezone, 1),
    "timezone with a bad name": (datetime.timezone, HOUR, b"CET"),
    "slice": (slice, 1, None, [2]),
    "slice of one": (slice, 1),
    "slice of none": (slice,),
    "complex": (complex, 1.5, -0.0),
    "complex of numbers": (complex, 1, 2),
    "complex of one": (complex, 1.5),
    "complex of none": (complex,),
    "complex of text": (complex, "1+2j"),
    "complex of a complex": (complex, 1j, 2.0),
    "complex of truth": (complex, True, 1.0),
    "complex of no number": (complex, 1.0, None),
    "deque": (collections.deque,),
    "deque of at most": (collections.deque, (), 3),
    "deque of items": (collections.deque, (1, 2)),
    "deque of a number": (collections.deque, 1),
    "deque of less than nothing": (collections.deque, (), -1),
    "ordered": (collections.OrderedDict,),
    "ordered of items": (collections.OrderedDict, {"a": 1}),
    "ordered of a number": (collections.OrderedDict, 1),
    "defaultdict": (collections.defaultdict,),
    "defaultdict of a factory": (collections.defaultdict, list),
    "defaultdict of None": (collections.defaultdict, None),
    "defaultdict of a number": (collections.defaultdict, 5),
    "defaultdict of items": (collections.defaultdict, list, {"a": 1}),
    "namespace": (types.SimpleNamespace,),
    "namespace of items": (types.SimpleNamespace, {"a": 1}),
    "namespace of a number": (types.SimpleNamespace, 1),
    "decimal": (decimal.Decimal, "1.50"),
    "decimal of no number": (decimal.Decimal, "one"),
    "decimal of bytes": (decimal.Decimal, b"1"),
    "decimal of none": (decimal.Decimal,),
    "decimal of three": (decimal.Decimal, "1", None, 3),
    "frozen set of a number": (frozenset, 1),
    "bytes of text": (bytes, "text"),
    "text of bytes": (str, b"text", "ascii"),
    "text of bad bytes": (str, b"\xff", "ascii"),
    "number of text": (int, "12x"),
    "real of text": (float, "1.5"),
    "object with arguments": (object, 1),
    "None with arguments": (type(None), 1),
    "None": (type(None),),
    "type of a number": (type, 1),
    "a new type": (type, "New", (), {}),
    "a view": (memoryview, 1),
    "a property of a number": (property, 1),
    "a bound method": (staticmethod, 1, 2),
}


def seen(outcome):
    """What can be told of an outcome whose object may be unequal to its like."""
    if outcome[0] == "raised":
        return outcome
    value = outcome[1]
    return type(value), repr(value), getattr(value, "fold", None)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_arguments_make_what_the_call_makes(name, protocol):
    data = pickle.dumps(Call(*CALLS[name]), protocol)
    ours = loading.outcome(lambda: loading.OURS.loads(data))
    standard = loading.outcome(lambda: loading.STANDARD.loads(data))
    assert seen(ours) == seen(standard)


# -- What is put into containers --


class Deque(collections.deque):
    def extend(self, items):
        super().extend([*items, "extended"])


class DequeWithAppend(collections.deque):
    def append(self, item):
        super().append([item])


class Ordered(collections.OrderedDict):
    def __setitem__(self, key, value):
        super().__setitem__(key, [value])


class Default(collections.defaultdict):
    def __setitem__(self, key, value):
        super().__setitem__(key, [value])


class Namespace(types.SimpleNamespace):
    def __setstate__(self, state):
        self.state = state


class Text(str):
    pass


class Loud:
    """Says when it is dropped."""

    dropped = []

    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return type(other) is Loud and other.number == self.number

    __hash__ = None

    def __repr__(self):
        return f"Loud({self.number})"

    def __reduce__(self):
        return Loud, (self.number,)

    def __del__(self):
        self.dropped.append(self.number)


for _cls in (Deque, DequeWithAppend, Ordered, Default, Namespace, Text, Loud):
    _cls.__module__ = __name__

SHARED = ["shared"]


def filled(value, **attributes):
    """The value with attributes; a deque with attributes has a state behind its items."""
    vars(value).update(attributes)
    return value


CONTAINERS = {
    "deque": [collections.deque(range(n)) for n in (0, 1, 2, 70, 1001)],
    "deque of at most": [collections.deque(range(n), 5) for n in (0, 1, 5)],
    "deque of nothing": [collections.deque((), 0)],
    "deques": [Deque((1, 2)), DequeWithAppend((1, 2, 3), 2), filled(Deque((1, 2)), x=1)],
    "ordered": [
        collections.OrderedDict((str(i), i) for i in range(n)) for n in (0, 1, 3, 3, 1001)
    ],
    "ordered others": [Ordered(b=1, a=2), filled(collections.OrderedDict(x=1), y=2)],
    "default": [
        collections.defaultdict(list, {str(i): i for i in range(n)}) for n in (0, 1, 3, 3)
    ],
    "default of others": [
        collections.defaultdict(None, {1: 2, None: 3, (4,): SHARED, 5.0: SHARED})
    ],
    "defaults": [Default(int, a=1, b=2, c=3), Default(int, a=1, b=2, c=3)],
    "namespace": [
        types.SimpleNamespace(**{f"name{i}": i for i in range(n)}) for n in (0, 1, 3, 3)
    ],
    "namespaces": [
        Namespace(a=1),
        filled(types.SimpleNamespace(), **{"two words": SHARED, "é": 1}),
    ],
    "complex": [complex(i, -i) for i in range(5)],
}


def all_parts(value):
    """The value as something that is equal only to what is the same in every detail."""
    if isinstance(value, types.SimpleNamespace):
        return type(value), all_parts(vars(value))
    if isinstance(value, dict):
        own = vars(value) if hasattr(value, "__dict__") else None
        factory = getattr(value, "default_factory", None)
        return type(value), factory, own, [all_parts(each) for each in value.items()]
    if isinstance(value, (collections.deque, list, tuple)):
        own = vars(value) if hasattr(value, "__dict__") else None
        limit = getattr(value, "maxlen", None)
        return type(value), limit, own, [all_parts(each) for each in value]
    return type(value), repr(value)


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kept", [False, True])
def test_containers_are_filled_the_same(name, protocol, kept):
    """From bytes and from a file; alone and several times."""
    data = pickle.dumps([*CONTAINERS[name], CONTAINERS[name], SHARED], protocol)
    theirs = all_parts(loading.STANDARD.loads(data))
    for _ in range(5):
        if kept:
            assert all_parts(loading.OURS.Unpickler(io.BytesIO(data)).load()) == theirs
        else:
            assert all_parts(loading.OURS.loads(data)) == theirs
    for value in CONTAINERS[name]:
        data = pickle.dumps(value, protocol)
        assert all_parts(loading.OURS.loads(data)) == all_parts(loading.STANDARD.loads(data))


def dropped(module, data):
    Loud.dropped.clear()
    value = module.loads(data)
    before = list(Loud.dropped)
    return before, repr(value)


@pytest.mark.parametrize("limit", [None, 0, 1, 2, 4])
def test_what_a_deque_has_no_room_for_is_dropped_in_order(limit):
    """More items than fit, in two batches, which only a pickle made by hand has."""
    items = b"".join(b"c%s\nLoud\nK%c\x85R" % (__name__.encode(), i) for i in range(3))
    room = b"N" if limit is None else b"K%c" % limit
    data = b"\x80\x04ccollections\ndeque\n)%s\x86R(%se(%se." % (room, items, items)
    assert dropped(loading.OURS, data) == dropped(loading.STANDARD, data)


def build(*parts, before=b""):
    """A pickle of a SimpleNamespace and states for it, each as opcodes."""
    return b"\x80\x04ctypes\nSimpleNamespace\n)R" + before + b"".join(parts) + b"."


A = b"\x8c\x01a"
STATES_OF_NAMESPACES = {
    "one": build(b"}" + A + b"K\x01sb"),
    "none": build(b"}b"),
    "two": build(b"}(" + A + b"K\x01\x8c\x02xyK\x02ub"),
    "the same key": build(b"}(" + A + b"K\x01" + A + b"K\x02ub"),
    "in two parts": build(b"}" + A + b"K\x01s\x8c\x02xyK\x02sb"),
    "two states": build(b"}" + A + b"K\x01sb", b"}" + A + b"K\x02sb"),
    "a number as key": build(b"}(" + A + b"K\x01K\x02K\x03ub"),
    "a list as key": build(b"}(" + A + b"K\x01]K\x03ub"),
    "bytes as key": build(b"}C\x01aK\x01sb"),
    "setstate as key": build(b"}\x8c\x0c__setstate__K\x01sb", b"}" + A + b"K\x02sb"),
    "dict as key": build(b"}\x8c\x08__dict__K\x01sb"),
    "a state that is kept": build(b"}\x94" + A + b"K\x01sbh\x00\x86"),
    "slots too": build(b"N}" + A + b"K\x01s\x86b"),
    "odd": build(b"}(" + A + b"ub"),
    "a long text": build(b"}\x8c\x05" + "naïv".encode() + b"K\x01sb"),
    "cut off": build(b"}" + A + b"K\x01s")[:-1],
    "itself": build(b"\x94}" + A + b"h\x00sb"),
}


@pytest.mark.parametrize("name", STATES_OF_NAMESPACES)
@pytest.mark.parametrize("by_file", [False, True])
def test_namespaces_take_any_state(name, by_file):
    data = STATES_OF_NAMESPACES[name]

    def made_by(module):
        load = module.Unpickler(io.BytesIO(data)).load if by_file else partial(module.loads, data)
        return loading.outcome(lambda: repr(load()))

    assert made_by(loading.OURS) == made_by(loading.STANDARD)


def test_names_in_a_namespace_are_interned():
    name = "".join(["a name", " of its own"])
    made = loading.OURS.loads(pickle.dumps(filled(types.SimpleNamespace(), **{name: 1})))
    (key,) = vars(made)
    assert key is sys.intern("a name of its own")


def test_zone_of_nothing_is_utc():
    data = pickle.dumps(Call(datetime.timezone, datetime.timedelta(0)))
    assert loading.OURS.loads(data) is datetime.UTC


Pair = namedtuple("Pair", "first second")
Pair.__module__ = __name__


def test_named_tuples_made_by_a_plan_are_as_made_by_a_call():
    pairs = [Pair(i, str(i)) for i in range(1000)]
    loaded = loading.OURS.loads(pickle.dumps(pairs))
    assert loaded == pairs
    assert {type(pair) for pair in loaded} == {Pair}
    assert [hash(pair) for pair in loaded] == [hash(pair) for pair in pairs]
    assert {sys.getsizeof(pair) for pair in loaded} == {sys.getsizeof(pair) for pair in pairs}


# -- Classes in Python whose constructors are left out --


@pytest.fixture
def read_at_once():
    """Constructors are read when they are met for the second time."""
    from fastcopyreg import _core

    before = _core.plan_threshold(2)
    yield lambda: _core.plan_counts()[1]
    _core.plan_threshold(before)


def reduced_to(module, name, *arguments):
    """A pickle of a call of a global, which need not be importable here."""
    return b"\x80\x04c%s\n%s\n" % (module.encode(), name.encode()) + (
        pickle.dumps(arguments, 4)[2:-1] + b"R."
    )


def warm_up(data):
    for _ in range(4):
        loading.OURS.loads(data)


SLOTS = ("_ip", "_scope_id", "_raw_paths", "_numerator", "_denominator", "int", "is_safe")


def parts_seen(data):
    """What both make of it, in every detail that can be told."""

    def seen_of(module):
        try:
            value = module.loads(data)
        except Exception as error:
            return type(error), str(error)
        if isinstance(value, pathlib.PurePath):
            return type(value), getattr(value, "_raw_paths", None), str(value)
        if isinstance(value, (fractions.Fraction, uuid.UUID, ipaddress.IPv4Address)):
            found = [getattr(value, name, None) for name in SLOTS]
            return type(value), found, [type(each) for each in found]
        if isinstance(value, ipaddress.IPv6Address):
            return type(value), type(value._ip), value._ip, value._scope_id, value._ip is int("1")
        return type(value), repr(value), vars(value), list(value.items())

    return seen_of(loading.OURS), seen_of(loading.STANDARD)


ADDRESSES = [
    *("::", "::1", "1::", "::ffff:1:2", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8"),
    *("1::8", "FFFF:abcd::0", "0:0:0:0:0:0:0:0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    *("", ":", ":::", "1", "1:", ":1", "1:2", "1::2::3", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7"),
    *("::1:", ":1::", "1:2:3:4::5:6:7:8", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::"),
    *("g::", "::g", "::1.2.3.4", "::ffff:1.2.3.4", "fe80::1%eth0", "fe80::1%", "::1/64", " ::1"),
    *("::1 ", "::\u0661", "1::2:", "1:::2", "::00001", "::0001", "-1::", "+1::", "::1_0", "0x1::"),
    *("::\n", "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7:", "1:2:3:4:5:6::8:9"),
]  # fmt: skip

KNOWN_CALLS = {
    **{f"address {text!r}": ("ipaddress", "IPv6Address", text) for text in ADDRESSES},
    "address of a number": ("ipaddress", "IPv6Address", 1),
    "address of bytes": ("ipaddress", "IPv6Address", bytes(16)),
    "address of nothing": ("ipaddress", "IPv6Address"),
    "counter": ("collections", "Counter", {"a": 1, "b": None}),
    "counter of nothing": ("collections", "Counter"),
    "counter of none": ("collections", "Counter", {}),
    "counter of numbers": ("collections", "Counter", {1: 2, 1.5: 3, None: 4}),
    "counter of letters": ("collections", "Counter", "hello"),
    "counter of pairs": ("collections", "Counter", [("a", 1)]),
    "counter of two": ("collections", "Counter", {}, {}),
    "counter of a number": ("collections", "Counter", 1),
    "path": ("pathlib", "PurePosixPath", "/a", "b.c"),
    "path of nothing": ("pathlib", "PurePosixPath"),
    "path of an empty text": ("pathlib", "PurePosixPath", ""),
    "path of a number": ("pathlib", "PurePosixPath", 1),
    "path of bytes": ("pathlib", "PurePosixPath", b"a"),
    "path of paths": ("pathlib", "PurePosixPath", pathlib.PurePosixPath("a"), "b"),
    "path of windows": ("pathlib", "PureWindowsPath", "c:\\a", "b"),
    "ipv4": ("ipaddress", "IPv4Address", 0x7F000001),
    "ipv4 of nothing": ("ipaddress", "IPv4Address", 0),
    "ipv4 of all": ("ipaddress", "IPv4Address", 2**32 - 1),
    "ipv4 of more": ("ipaddress", "IPv4Address", 2**32),
    "ipv4 of much more": ("ipaddress", "IPv4Address", 2**80),
    "ipv4 below": ("ipaddress", "IPv4Address", -1),
    "ipv4 of truth": ("ipaddress", "IPv4Address", True),
    "ipv4 of text": ("ipaddress", "IPv4Address", "127.0.0.1"),
    "ipv4 of bytes": ("ipaddress", "IPv4Address", bytes(4)),
    "ipv4 of no arguments": ("ipaddress", "IPv4Address"),
    "ipv4 of two": ("ipaddress", "IPv4Address", 1, 2),
    "fraction": ("fractions", "Fraction", 3, 4),
    "fraction below": ("fractions", "Fraction", -3, 4),
    "fraction of nothing": ("fractions", "Fraction", 0, 7),
    "fraction to be reduced": ("fractions", "Fraction", 600, 1000),
    "fraction to be reduced to one": ("fractions", "Fraction", -600, 600),
    "fraction of a sign": ("fractions", "Fraction", 3, -4),
    "fraction over nothing": ("fractions", "Fraction", 3, 0),
    "fraction of nothing over nothing": ("fractions", "Fraction", 0, 0),
    "fraction of sixty bits": ("fractions", "Fraction", 2**59 + 1, 2**60 - 1),
    "fraction of words": ("fractions", "Fraction", 2**63 - 1, -(2**63)),
    "fraction of large numbers": ("fractions", "Fraction", 6**50, 10**50),
    "fraction of truth": ("fractions", "Fraction", True, 2),
    "fraction of one": ("fractions", "Fraction", 3),
    "fraction of none": ("fractions", "Fraction"),
    "fraction of three": ("fractions", "Fraction", 1, 2, 3),
    "fraction of text": ("fractions", "Fraction", "3/4"),
    "fraction of texts": ("fractions", "Fraction", "3", "4"),
    "fraction of reals": ("fractions", "Fraction", 1.5, 2.5),
    "fraction of fractions": ("fractions", "Fraction", fractions.Fraction(1, 2), 3),
    "fraction of a decimal": ("fractions", "Fraction", decimal.Decimal("1.5")),
    "fraction over None": ("fractions", "Fraction", 3, None),
}


@pytest.mark.parametrize("name", KNOWN_CALLS)
def test_known_constructors_make_what_they_would(name, read_at_once):
    module, cls, *arguments = KNOWN_CALLS[name]
    usual = {
        "IPv6Address": ("1::",),
        "IPv4Address": (1,),
        "Counter": ({},),
        "Fraction": (1, 2),
    }.get(cls, ("a",))
    warm_up(reduced_to(module, cls, *usual))
    for _ in range(2):
        ours, theirs = parts_seen(reduced_to(module, cls, *arguments))
        assert ours == theirs


@given(st.text("0123456789abcdefABCDEF:::::.%", max_size=24))
def test_addresses_of_any_text(text):
    from fastcopyreg import _core

    before = _core.plan_threshold(2)
    try:
        warm_up(reduced_to("ipaddress", "IPv6Address", "1::"))
        ours, theirs = parts_seen(reduced_to("ipaddress", "IPv6Address", text))
    finally:
        _core.plan_threshold(before)
    assert ours == theirs


@pytest.mark.parametrize(
    "arguments",
    [
        ("CodeType", 1),
        ("GeneratorType",),
        ("CellType", 1),
        ("CellType", 1, 2),
        ("MethodType", 1, 2),
    ],
)
def test_types_of_c_are_called_with_any_arguments(arguments):
    """Also those of which there are no instances but the interpreter's."""
    data = reduced_to("types", *arguments)
    ours, theirs = (
        loading.outcome(partial(module.loads, data)) for module in (loading.OURS, loading.STANDARD)
    )
    assert ours == theirs


@given(st.integers(-(2**66), 2**66), st.integers(-(2**66), 2**66), st.integers(1, 2**20))
def test_fractions_of_any_numbers(numerator, denominator, divisor):
    from fastcopyreg import _core

    before = _core.plan_threshold(2)
    try:
        warm_up(reduced_to("fractions", "Fraction", 1, 2))
        arguments = numerator // divisor * divisor, denominator // divisor * divisor
        ours, theirs = parts_seen(reduced_to("fractions", "Fraction", *arguments))
    finally:
        _core.plan_threshold(before)
    assert ours == theirs


# -- UUIDs, whose __setstate__ is left out --


def uuid_with(state, times=1):
    """A pickle of a UUID that is given a state so many times."""
    return b"\x80\x04cuuid\nUUID\n)\x81" + (pickle.dumps(state, 4)[2:-1] + b"b") * times + b"."


STATES = {
    "number": {"int": 5},
    "large number": {"int": 2**128 - 1},
    "text": {"int": "text"},
    "list": {"int": [1]},
    "safe": {"int": 5, "is_safe": 0},
    "unknown": {"int": 5, "is_safe": None},
    "of no such safety": {"int": 5, "is_safe": 7},
    "more": {"int": 5, "other": 1},
    "nothing": {},
    "other": {"other": 5},
    "subclass of str": {Text("int"): 5},
    "number as key": {1: 5},
    "no dict": [("int", 5)],
    "ordered": collections.OrderedDict(int=5),
    "pair": ({"int": 5}, None),
}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("name", STATES)
def test_uuids_take_any_state(name, times, read_at_once):
    warm_up(uuid_with({"int": 1}))
    ours, theirs = parts_seen(uuid_with(STATES[name], times))
    assert ours == theirs


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("by_file", [False, True])
def test_known_values_of_every_protocol(protocol, by_file, read_at_once):
    """Also subclasses, and values that come again."""
    values = [
        *(uuid.UUID(int=2**n + n) for n in range(0, 128, 9)),
        uuid.UUID(int=7, is_safe=uuid.SafeUUID.safe),
        *(fractions.Fraction(n * 6, 7**n) for n in range(30)),
        *(ipaddress.IPv4Address(n * 12345) for n in range(9)),
        *(ipaddress.IPv6Address(n * 12345) for n in range(9)),
        *(pathlib.PurePosixPath("a", str(n)) for n in range(9)),
        *(collections.Counter(str(n) * n) for n in range(9)),
        *(cls for cls in (OwnUUID(int=9), OwnFraction(3, 9), OwnAddress(5))),
    ]
    data = pickle.dumps([*values, *values], protocol)
    for _ in range(3):
        if by_file:
            loaded = loading.OURS.Unpickler(io.BytesIO(data)).load()
        else:
            loaded = loading.OURS.loads(data)
        assert loaded == [*values, *values]
        assert [type(each) for each in loaded] == [type(each) for each in [*values, *values]]
        assert all(a is b for a, b in zip(loaded, loaded[len(values) :], strict=False))
        assert [getattr(each, "is_safe", None) for each in loaded[: len(values)]] == [
            getattr(each, "is_safe", None) for each in values
        ]


class OwnUUID(uuid.UUID):
    pass


class OwnFraction(fractions.Fraction):
    pass


class OwnAddress(ipaddress.IPv4Address):
    pass


def _refuse(*args):
    raise RuntimeError("refused")


def _getattribute(self, name):
    return (
        _noisy_setstate.__get__(self)
        if name == "__setstate__"
        else object.__getattribute__(self, name)
    )


def _noisy_setstate(self, state):
    object.__setattr__(self, "int", 77)


def _set_other(owner, name, value):
    object.__setattr__(owner, name, 78)


# A global that stands for another.
ANY = types.SimpleNamespace(unknown="of another", gcd=lambda a, b: 1, __setattr__=_set_other)

FIVE = property(lambda self: 5, lambda self, value: None)


def _call(cls, *args):
    return 5 if cls is fractions.Fraction else type.__call__(cls, *args)


BREAKS = {
    "ipv4's __init__": (ipaddress.IPv4Address, "__init__", lambda self, address: None),
    "ipv4's check": (ipaddress._IPAddressBase, "_check_int_address", _refuse),
    "ipv4's greatest": (ipaddress._BaseV4, "_ALL_ONES", 5),
    "ipv4's setattr": (ipaddress.IPv4Address, "__setattr__", lambda self, name, value: None),
    "fraction's __new__": (fractions.Fraction, "__new__", lambda cls, *args: 5),
    "fraction's __init__": (fractions.Fraction, "__init__", lambda self, *args: _refuse()),
    "base's __new__": (numbers.Rational, "__new__", lambda cls: 5),
    "fraction's setattr": (fractions.Fraction, "__setattr__", _refuse),
    "fraction's slot": (fractions.Fraction, "_numerator", FIVE),
    "gcd": (math, "gcd", lambda a, b: 3),
    "math": (fractions, "math", ANY),
    "Fraction": (fractions, "Fraction", int),
    "fraction's type": (fractions, "type", _refuse),
    "call": (abc.ABCMeta, "__call__", _call),
    "setstate": (uuid.UUID, "__setstate__", _noisy_setstate),
    "getattribute": (uuid.UUID, "__getattribute__", _getattribute),
    "safety": (uuid, "SafeUUID", ANY),
    "object": (uuid, "object", ANY),
    "uuid's slot": (uuid.UUID, "is_safe", FIVE),
    "unknown": (enum.EnumType, "unknown", property(lambda cls: "unknown of a metaclass")),
    "__init__": (ipaddress.IPv6Address, "__init__", lambda self, address: None),
    "parse": (ipaddress.IPv6Address, "_parse_hextet", staticmethod(lambda text: 3)),
    "digits": (ipaddress.IPv6Address, "_HEX_DIGITS", frozenset("1")),
    "setattr": (ipaddress.IPv6Address, "__setattr__", lambda self, name, value: None),
    "new": (ipaddress.IPv6Address, "__new__", staticmethod(lambda cls, *args: 5)),
    "counter's new": (collections.Counter, "__new__", staticmethod(lambda cls, *args: 5)),
    "global": (ipaddress, "int", lambda *args: 7),
    "counter": (collections.Counter, "update", lambda self, items: None),
    "mapping": (sys.modules["_collections_abc"], "Mapping", int),
    "hook": (abc.ABCMeta, "__instancecheck__", lambda cls, value: False),
    "fspath": (os, "fspath", lambda path: "other"),
    "builtin": (builtins, "isinstance", lambda value, cls: False),
    "path": (pathlib.PurePath, "__init__", lambda self, *args: None),
}  # fmt: skip
if sys.version_info < (3, 12):  # Paths are parsed when they are made.
    del BREAKS["fspath"], BREAKS["path"]


def _made_after_a_break(name):
    """What both make before and after a change, and how many ours makes by itself before it."""
    from fastcopyreg import _core

    pickles = [
        reduced_to("ipaddress", "IPv6Address", "1::ff"),
        reduced_to("collections", "Counter", {"a": 5}),
        reduced_to("pathlib", "PurePosixPath", "a", "b"),
        reduced_to("ipaddress", "IPv4Address", 9),
        reduced_to("fractions", "Fraction", 6, 4),
        uuid_with({"int": 5}),
    ]
    for data in pickles:
        warm_up(data)
    before = _core.plan_counts()[1]
    made = [[_outcome_of(loading.OURS, data) for data in pickles]]
    count = _core.plan_counts()[1] - before
    owner, attribute, value = BREAKS[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, attribute, value, raising=False)
        # More often than it takes to read the class again.
        for module in [loading.OURS] * 4 + [loading.STANDARD]:
            made.append([_outcome_of(module, data) for data in pickles])
    return count, made


@requires_fork
@pytest.mark.parametrize("name", BREAKS)
def test_known_constructors_that_are_changed_are_called(name, read_at_once):
    count, (unchanged, *changed, standard) = in_child(_made_after_a_break, name)
    assert changed == [standard] * 4
    assert unchanged != standard
    if PLANS_ARE_ON:
        # Paths since 3.12; what SafeUUID.unknown is, code of enum says up to 3.12.
        assert count == 4 + (sys.version_info >= (3, 12)) + (sys.version_info >= (3, 13))


PATCH = pytest.MonkeyPatch()


def _break(name):
    owner, attribute, value = BREAKS[name]
    PATCH.setattr(owner, attribute, value, raising=False)


def _made_around_a_break(name, module):
    calls = [
        ("collections", "Counter", {"a": 5}),
        ("pathlib", "PurePosixPath", "a", "b"),
        ("ipaddress", "IPv6Address", "1::ff"),
        ("ipaddress", "IPv4Address", 9),
        ("fractions", "Fraction", 6, 4),
    ]
    bodies = [*(reduced_to(*call)[2:-1] for call in calls), uuid_with({"int": 5})[2:-1]]
    outcomes = []
    for body in bodies:
        for _ in range(4):
            # A class whose __new__ was taken away again raises.
            _outcome_of(module, b"\x80\x04" + body + b".")
        around = (body, reduced_to(__name__, "_break", name)[2:-1], body, body)
        try:
            made = module.loads(b"\x80\x04](" + b"".join(around) + b"e.")
        except Exception as error:
            made = [error]
        PATCH.undo()
        outcomes.append([_description(value) for value in made])
    return outcomes


@requires_fork
@pytest.mark.parametrize("name", BREAKS)
def test_known_constructors_that_are_changed_in_the_middle_are_called(name, read_at_once):
    """By what the load itself calls, between two objects."""
    ours, standard = (
        in_child(_made_around_a_break, name, module) for module in (loading.OURS, loading.STANDARD)
    )
    assert ours == standard


def _copied_after_a_break(name, deepcopy):
    values = [
        uuid.UUID(int=5),
        ipaddress.IPv4Address(9),
        ipaddress.IPv6Address(9),
        pathlib.PurePosixPath("a", "b"),
    ]
    for _ in range(4):
        made = [_description(deepcopy(value)) for value in values]
        assert made == [_description(value) for value in values]
    _break(name)
    outcomes = []
    for value in [*values, *values]:
        try:
            outcomes.append(deepcopy(value))
        except Exception as error:
            outcomes.append(error)
    PATCH.undo()
    return [_description(outcome) for outcome in outcomes]


@requires_fork
@pytest.mark.parametrize("name", BREAKS)
def test_known_constructors_that_are_changed_are_called_by_copies(name, read_at_once):
    ours, standard = (
        in_child(_copied_after_a_break, name, function)
        for function in (fastcopyreg.copy.deepcopy, copy.deepcopy)
    )
    assert ours == standard


@pytest.mark.skipif(not PLANS_ARE_ON, reason="constructors are called")
def test_uuids_are_copied_without_their_setstate(read_at_once):
    values = [uuid.UUID(int=n) for n in range(9)]
    for _ in range(3):
        before = read_at_once()
        assert fastcopyreg.copy.deepcopy(values) == values
    # Up to 3.12 code of enum says what SafeUUID.unknown is.
    assert read_at_once() - before == (9 if sys.version_info >= (3, 13) else 0)


def _outcome_of(module, data):
    """Told without any function that may be replaced."""
    try:
        value = module.loads(data)
    except Exception as error:
        value = error
    return _description(value)


def _description(value):
    if isinstance(value, Exception):
        return type(value).__name__, str(value)
    found = {}
    for slot in SLOTS:
        with contextlib.suppress(AttributeError):
            found[slot] = getattr(value, slot)
    return type(value).__name__, found, dict(value) if type(value) is collections.Counter else None


@pytest.mark.skipif(not PLANS_ARE_ON, reason="constructors are called")
@pytest.mark.parametrize(
    "name",
    [
        "address '1::8'",
        "counter",
        "ipv4",
        "fraction to be reduced",
        *(["path"] if sys.version_info >= (3, 12) else []),
    ],
)
def test_known_constructors_are_left_out(name, read_at_once):
    data = reduced_to(*KNOWN_CALLS[name])
    warm_up(data)
    before = read_at_once()
    loading.OURS.loads(data)
    assert read_at_once() == before + 1
    calls = []
    sys.setprofile(lambda frame, event, argument: event == "call" and calls.append(frame))
    try:
        loading.OURS.loads(data)
    finally:
        sys.setprofile(None)
    assert calls  # Whoever watches sees them.


def new_ratio(cls, numerator=0, denominator=None):
    """What Fraction's does."""
    self = object.__new__(cls)
    divisor = math.gcd(numerator, denominator)
    self._numerator = numerator // divisor
    self._denominator = denominator // divisor
    return self


def new_inverse(cls, numerator=0, denominator=None):
    """Something else."""
    self = object.__new__(cls)
    self._numerator, self._denominator = denominator // 2, numerator // 2
    return self


def new_refusing(cls, numerator=0, denominator=None):
    """Not for all numbers."""
    if numerator < 0:
        raise KeyError(numerator)
    return new_ratio(cls, numerator, denominator)


@pytest.mark.skipif(not PLANS_ARE_ON, reason="constructors are called")
@pytest.mark.parametrize("new", [new_ratio, new_inverse, new_refusing])
def test_one_object_is_compared_with_what_the_class_makes(new, read_at_once, monkeypatch):
    from fastcopyreg._compiler import values

    kind = [names for _, names, *_ in values.CONSTRUCTORS].index(("Fraction",))
    contents = {"__slots__": ("_denominator", "_numerator"), "__new__": new}
    cls = type("Ratio", (), contents | {"__module__": __name__})
    monkeypatch.setitem(globals(), "Ratio", cls)

    # As for fractions, but of a class of which nobody knows the code.
    def constructor(of):
        return (kind, (new,), (new.__code__,), (), (), ()) if of is cls else None

    monkeypatch.setattr(values, "constructor", constructor)
    data = pickle.dumps([Call(cls, 6, 4), Call(cls, 10, 4)])
    warm_up(data)
    before = read_at_once()
    made = loading.OURS.loads(data)
    assert read_at_once() == before + (2 if new is new_ratio else 0)
    assert [_description(each) for each in made] == [
        _description(each) for each in (cls(6, 4), cls(10, 4))
    ]
