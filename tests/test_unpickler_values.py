"""Standard values that are made without calling their types: the same for any arguments."""

import abc
import builtins
import collections
import contextlib
import datetime
import ipaddress
import os
import pathlib
import pickle
import sys
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import loading
from support.child import in_child, requires_fork
from support.implementations import requires_core

pytestmark = requires_core

PLANS_ARE_ON = sys.version_info < (3, 16) and getattr(sys, "_is_gil_enabled", lambda: True)()

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


def parts_seen(data):
    """What both make of it, in every detail that can be told."""

    def seen_of(module):
        try:
            value = module.loads(data)
        except Exception as error:
            return type(error), str(error)
        if isinstance(value, pathlib.PurePath):
            return type(value), getattr(value, "_raw_paths", None), str(value)
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
}


@pytest.mark.parametrize("name", KNOWN_CALLS)
def test_known_constructors_make_what_they_would(name, read_at_once):
    module, cls, *arguments = KNOWN_CALLS[name]
    usual = {"IPv6Address": ("1::",), "Counter": ({},)}.get(cls, ("a",))
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


BREAKS = {
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
        assert count == (3 if sys.version_info >= (3, 12) else 2)


def _outcome_of(module, data):
    """Told without any function that may be replaced."""
    try:
        value = module.loads(data)
    except Exception as error:
        return type(error).__name__, str(error)
    found = {}
    for slot in ("_ip", "_scope_id", "_raw_paths"):
        with contextlib.suppress(AttributeError):
            found[slot] = getattr(value, slot)
    return type(value).__name__, found, dict(value) if type(value) is collections.Counter else None


@pytest.mark.skipif(not PLANS_ARE_ON, reason="constructors are called")
@pytest.mark.parametrize(
    "name", ["address '1::8'", "counter", *(["path"] if sys.version_info >= (3, 12) else [])]
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
