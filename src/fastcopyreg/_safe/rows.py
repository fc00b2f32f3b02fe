"""The rows of `STANDARD`: the standard library's value types, and the arguments of their pickles.

A row names an object, and the forms of arguments with which it may be called or made: what its own
pickles have on some supported version of Python, and of a size that exhausts nobody.  A form is a
tuple of specs, and whether the last of them repeats; both backends read the same rows.  `None` in
place of the forms stands for any arguments, an empty tuple for none at all.
"""

import collections
import datetime
import decimal
import fractions
import ipaddress
import pathlib
import time
import types
import uuid
from typing import NamedTuple

KINDS = (
    "ANY",
    "NONE",
    "INT",
    "FLOAT",
    "STR",
    "BYTES",
    "LIST",
    "DICT",
    "KEYS",
    "EXACT",
    "SUBTYPE",
    "IS",
    "FACTORY",
    "WORD",
    "PARTS",
)
"""In the order of enum safe_kind in csrc/load/safe_forms.h."""

HELPERS = ("", "reconstructor", "newobj", "encode", "getattr", "type")
"""In the order of enum safe_helper in csrc/load/safe_policy.h."""

TAKES_ITEMS, TAKES_STATE, TAKES_UUID, IS_VALUE, IS_FACTORY, IS_MADE, IS_CALLED = (
    1,
    2,
    4,
    8,
    16,
    32,
    64,
)
IS_UNNAMED, IS_FREED_WITHIN = 128, 256
"""As enum safe_flag in csrc/load/safe_policy.h."""

LEAST, GREATEST = -(2**63), 2**63 - 1


class Spec(NamedTuple):
    """What one argument may be."""

    kind: int
    low: int = LEAST
    high: int = GREATEST
    about: object = None


class Row(NamedTuple):
    """An object, the names under which a pickle may ask for it, and what may be done with it."""

    module: str
    name: str
    object: object
    helper: int = 0
    flags: int = 0
    call: tuple | None = ()
    make: tuple | None = ()


class Helper:
    """Stands for a function of the standard library that pickles call, and that is not called.

    It does nothing: whoever finds one in what was loaded can do nothing with it.
    """

    __slots__ = ("code", "name")

    def __init__(self, code, name):
        self.code, self.name = code, name

    def __repr__(self):
        return f"<stands for {self.name} in pickles>"


def _kind(name):
    return KINDS.index(name)


ANY, NONE, FLOAT = Spec(_kind("ANY")), Spec(_kind("NONE")), Spec(_kind("FLOAT"))
LIST, DICT, KEYS = Spec(_kind("LIST")), Spec(_kind("DICT")), Spec(_kind("KEYS"))
ATOMS, NAMED_ATOMS = Spec(_kind("LIST"), 1), Spec(_kind("DICT"), 1)
FACTORY = Spec(_kind("FACTORY"))


def whole(low=LEAST, high=GREATEST):
    """An int from *low* to *high*; of any size where these are left out."""
    return Spec(_kind("INT"), low, high)


def text(high, characters=None):
    """A str of at most *high* characters, all of them among *characters*."""
    return Spec(_kind("STR"), 0, high, characters)


def raw(low, high):
    """Bytes, from *low* to *high* of them."""
    return Spec(_kind("BYTES"), low, high)


def exact(cls):
    """An instance of exactly this class."""
    return Spec(_kind("EXACT"), about=cls)


def subtype(cls):
    """An instance of this class or one derived from it."""
    return Spec(_kind("SUBTYPE"), about=cls)


FLAT = Spec(_kind("PARTS"), 0)
"""What is hashed and compared in no time: no slice, nor a tuple or set of many parts."""


def small(cls):
    """An instance of exactly this class that is shown in no time too: it has no list or dict of
    many parts, and nothing that takes items."""
    return Spec(_kind("PARTS"), 1, about=cls)


def form(*specs):
    return specs, False


def repeated(*specs):
    return specs, True


NOTHING = form()
ZONE = subtype(datetime.tzinfo)
DAYS, SECONDS, MICROSECONDS = 999_999_999, 24 * 3600 - 1, 999_999
LONGEST_BYTES = 2**56
LATIN1 = Spec(_kind("WORD"), about="latin-1")  # Any other would have a codec looked for.

HELPER_OBJECTS = tuple(
    Helper(HELPERS.index(helper), f"{module}.{name}")
    for helper, module, name in (
        ("reconstructor", "copyreg", "_reconstructor"),
        ("newobj", "copyreg", "__newobj__"),
        ("encode", "_codecs", "encode"),
        ("getattr", "builtins", "getattr"),
        ("type", "builtins", "type"),
    )
)

_PLAIN = (bool, dict, float, int, list, str, tuple)
_CONTAINERS = (
    (bytes, (NOTHING,)),  # What b"" is up to protocol 2.
    (bytearray, (NOTHING, form(raw(0, LONGEST_BYTES)), form(text(LONGEST_BYTES), LATIN1))),
    (set, (form(KEYS),)),
    (frozenset, (form(KEYS),)),
    (complex, (form(FLOAT, FLOAT),)),
    (range, (form(whole(), whole(), whole()),)),
    (slice, (form(FLAT, FLAT, FLAT),)),
)
_ADDRESSES = (
    ipaddress.IPv4Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Address,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
)
_MADE = (
    complex,
    datetime.date,
    datetime.time,
    datetime.datetime,
    datetime.timedelta,
)
"""The core makes them without a call, of arguments that have their forms (value_construct.c)."""
_WAYS = {complex: IS_MADE, slice: IS_VALUE, range: IS_CALLED}
_PATHS = (pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath)


def _helpers():
    for helper in HELPER_OBJECTS:
        module, _, name = helper.name.rpartition(".")
        yield Row(module, name, helper, helper.code)


def _builtins():
    for cls in _PLAIN:
        yield Row("builtins", cls.__name__, cls, flags=IS_FACTORY)
    for cls, forms in _CONTAINERS:
        way = _WAYS.get(cls, 0)
        yield Row("builtins", cls.__name__, cls, flags=IS_FACTORY | way, call=forms)
    once = (NOTHING,)
    yield Row("builtins", "object", object, flags=IS_FACTORY, call=once, make=once)
    yield Row("builtins", "NotImplemented", NotImplemented)
    yield Row("builtins", "Ellipsis", ...)


def _values(digits):
    """The rows of value types; *digits* is how many a number may have."""

    def with_zone(size):
        state = raw(size, size)
        return form(state), form(state, NONE), form(state, ZONE)

    number = text(digits + 64, "0123456789+-.EInfitysNa")
    yield datetime.date, (form(raw(4, 4)),)
    yield datetime.time, with_zone(6)
    yield datetime.datetime, with_zone(10)
    yield (
        datetime.timedelta,
        (form(whole(-DAYS, DAYS), whole(0, SECONDS), whole(0, MICROSECONDS)),),
    )
    delta = exact(datetime.timedelta)
    yield datetime.timezone, (form(delta), form(delta, text(100)))
    yield decimal.Decimal, (form(number),)
    yield fractions.Fraction, (form(whole(), whole(1)),)
    yield time.struct_time, (form(ATOMS, NAMED_ATOMS),)
    for cls in _ADDRESSES:
        yield cls, (form(text(128)), form(whole(0)))
    for cls in _PATHS:
        yield cls, (repeated(text(4096)),)


def _collections():
    items = TAKES_ITEMS | IS_FACTORY | IS_VALUE
    freed_within = collections.defaultdict, collections.deque
    length = whole(0)
    for cls, forms in (
        (collections.OrderedDict, (NOTHING,)),
        (collections.defaultdict, (NOTHING, form(FACTORY))),
        (collections.Counter, (NOTHING, form(DICT))),
        (
            collections.deque,
            (NOTHING, form(LIST), form(LIST, NONE), form(LIST, length)),
        ),
    ):
        flags = items | IS_FREED_WITHIN * (cls in freed_within)
        yield Row("collections", cls.__name__, cls, flags=flags, call=forms)


def standard(digits):
    """Return all rows of `STANDARD`, of which helpers come first."""
    found = [*_helpers(), *_builtins(), *_collections()]
    for cls, forms in _values(digits):
        flags = IS_VALUE | IS_MADE * (cls in _MADE)
        row = Row(cls.__module__, cls.__name__, cls, flags=flags, call=forms)
        found.append(row)
        if cls in _PATHS:  # Where they were in 3.13, and are elsewhere.
            other = {"pathlib": "pathlib._local"}.get(cls.__module__, "pathlib")
            found.append(row._replace(module=other))
    once = (NOTHING,)
    found.append(Row("uuid", "UUID", uuid.UUID, flags=IS_VALUE | TAKES_UUID, make=once))
    namespace = types.SimpleNamespace  # PyPy's are made by NEWOBJ.
    found.append(
        Row("types", "SimpleNamespace", namespace, flags=TAKES_STATE, call=once, make=once)
    )
    return found
