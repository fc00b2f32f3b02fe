"""Values of the standard library, described by what hypothesis can shrink, and made from that.

A recipe is a pair of a maker's name and its arguments, some of which are recipes themselves;
`make(recipe)` makes the value anew.
"""

import collections
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import types
import typing
import uuid

from hypothesis import strategies


class Zone(datetime.tzinfo):
    """A time zone of a class of its own, with a reducer in Python."""

    def __init__(self, name):
        self.name = name

    def utcoffset(self, moment):
        return datetime.timedelta(hours=1)

    def __reduce__(self):
        return Zone, (self.name,)


class LaterDate(datetime.date):
    """A subclass of a type that has a row."""


class NamedDateTime(datetime.datetime):
    """One whose objects have a __dict__."""


class Money(decimal.Decimal):
    """The same."""


class Queue(collections.deque):
    """The same."""


class Ordered(collections.OrderedDict):
    """The same."""


class Grouped(collections.defaultdict):
    """The same."""


class Tally(collections.Counter):
    """The same."""


class Numbers(list):
    """A list with a __dict__."""


class SlotNumbers(list):
    """A list with a slot."""

    __slots__ = ("note",)


class Settings(dict):
    """A dict with a __dict__."""


class Triple(tuple):
    """A tuple with a __dict__."""


class Text(str):
    """A str with a __dict__."""


class Count(int):
    """An int with a __dict__."""


class Ratio(float):
    """A float with a __dict__."""


class Raw(bytes):
    """Bytes with a __dict__."""


Pair = collections.namedtuple("Pair", "left right")
Nothing = collections.namedtuple("Nothing", "")


class Row(typing.NamedTuple):
    """Four fields, behind a MARK."""

    a: object
    b: object
    c: object
    d: object


class Labelled(Pair):
    """A named tuple with a __dict__."""


class Bare(Pair):
    """One without."""

    __slots__ = ()


class Refused(Exception):
    """An exception with arguments and attributes."""


class Missing(OSError):
    """One whose arguments go through __new__."""


class Colour(enum.Enum):
    """Members by value."""

    RED = 1
    PAIR = (1, 2)


class Access(enum.Flag):
    """Flags by value."""

    READ = 1
    WRITE = 2


def with_attributes(value, attributes):
    """The value itself, with attributes."""
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


def moved(items, key):
    """An OrderedDict whose order is not its dict's."""
    ordered = collections.OrderedDict(items)
    if key in ordered:
        ordered.move_to_end(key, last=False)
    return ordered


def looped(container, how):
    """A container that holds itself."""
    if how == "append":
        container.append([container])
    elif how == "item":
        container["self"] = (container,)
    else:
        container.me = {"self": container}
    return container


MAKERS = {
    "datetime": lambda zone, fold, seconds: (
        datetime.datetime(2026, 1, 2, 3, 4, 5, 6, zone, fold=fold)
        + datetime.timedelta(seconds=seconds)
    ),
    "date": datetime.date.fromordinal,
    "time": lambda zone, fold: datetime.time(1, 2, 3, 4, zone, fold=fold),
    "timedelta": lambda days, parts: datetime.timedelta(days, parts, parts),
    "timezone": lambda minutes, name: datetime.timezone(
        datetime.timedelta(minutes=minutes), *([] if name is None else [name])
    ),
    "utc": lambda: datetime.UTC,
    "zone": Zone,
    "decimal": decimal.Decimal,
    "uuid": lambda number, safe: uuid.UUID(
        int=number, is_safe=uuid.SafeUUID.safe if safe else uuid.SafeUUID.unknown
    ),
    "fraction": fractions.Fraction,
    "complex": complex,
    "range": range,
    "slice": slice,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "scoped": lambda number: ipaddress.IPv6Address(f"{ipaddress.IPv6Address(number)}%eth0"),
    "network": lambda number: ipaddress.IPv4Network((number, 32)),
    "path": lambda parts: pathlib.PurePosixPath(*parts),
    "windows path": lambda parts: pathlib.PureWindowsPath(*parts),
    "namespace": lambda fields: types.SimpleNamespace(**fields),
    "ordered": moved,
    "default": lambda factory, items: collections.defaultdict(factory, items),
    "deque": collections.deque,
    "counter": collections.Counter,
    "late date": LaterDate.fromordinal,
    "named datetime": lambda zone, x: with_attributes(
        NamedDateTime(2026, 1, 2, tzinfo=zone), {"x": x}
    ),
    "money": lambda number, x: with_attributes(Money(number), {"x": x}),
    "queue": lambda items, x: with_attributes(Queue(items), x),
    "own ordered": lambda items, x: with_attributes(Ordered(items), x),
    "own default": lambda items, x: with_attributes(Grouped(list, items), x),
    "tally": lambda items, x: with_attributes(Tally(items), x),
    "list": list,
    "tuple": tuple,
    "numbers": lambda items, x: with_attributes(Numbers(items), x),
    "slot numbers": lambda items, x: with_attributes(SlotNumbers(items), {"note": x}),
    "settings": lambda items, x: with_attributes(Settings(items), x),
    "triple": lambda items, x: with_attributes(Triple(items), x),
    "text": lambda text, x: with_attributes(Text(text), x),
    "count": lambda number, x: with_attributes(Count(number), x),
    "ratio": lambda number, x: with_attributes(Ratio(number), x),
    "raw": lambda data, x: with_attributes(Raw(data), x),
    "pair": Pair,
    "nothing": Nothing,
    "row": Row,
    "labelled": lambda left, right, x: with_attributes(Labelled(left, right), x),
    "bare": Bare,
    "refused": lambda args, x: with_attributes(Refused(*args), x),
    "missing": lambda args: Missing(*args),
    "member": lambda: Colour.PAIR,
    "flags": lambda number: Access(number),
    "loop deque": lambda items: looped(collections.deque(items), "append"),
    "loop numbers": lambda items: looped(Numbers(items), "append"),
    "loop default": lambda items: looped(collections.defaultdict(list, items), "item"),
    "loop ordered": lambda items: looped(collections.OrderedDict(items), "item"),
    "loop namespace": lambda fields: looped(types.SimpleNamespace(**fields), "attribute"),
}


class Recipe(tuple):
    """A maker's name and its arguments."""


def recipe(name, *arguments):
    """A strategy for the recipes of one maker."""
    return strategies.tuples(strategies.just(name), *arguments).map(Recipe)


def make(described):
    """Make what a recipe, a list or dict of recipes, or an atom describes."""
    if type(described) is Recipe:
        name, *arguments = described
        return MAKERS[name](*map(make, arguments))
    if type(described) is list:
        return [make(each) for each in described]
    if type(described) is dict:
        return {key: make(each) for key, each in described.items()}
    return described


words = strategies.sampled_from(["", "a", "name", "x" * 255, "x" * 256, "é", "東"])
identifiers = strategies.sampled_from(["a", "note", "state"])
whole = strategies.one_of(
    strategies.integers(-300, 300), strategies.integers(-(2**70), 2**70), strategies.booleans()
)
atoms = strategies.one_of(
    strategies.none(), whole, strategies.floats(allow_nan=False), words, strategies.binary()
)
keys = strategies.one_of(words, strategies.integers(0, 300), strategies.just((1, "t")))
addresses = strategies.one_of(
    strategies.integers(0, 2**128 - 1),
    strategies.integers(0, 2**48 - 1),
    strategies.integers(0, 2**32 - 1).map(lambda number: number | 0xFFFF << 32),
    strategies.lists(strategies.sampled_from([0, 0, 1, 0xFFFF]), min_size=8, max_size=8).map(
        lambda groups: sum(group << 16 * i for i, group in enumerate(groups))
    ),
)
zones = strategies.one_of(
    strategies.none(),
    recipe("utc"),
    recipe("timezone", strategies.integers(-600, 600), strategies.none() | words),
    recipe("zone", words),
)
decimals = strategies.one_of(
    strategies.integers(-9, 9),
    strategies.decimals().map(str),
    strategies.sampled_from(["NaN", "sNaN", "-Infinity", "1E+10", "1" * 300]),
)
folds = strategies.integers(0, 1)

plain_values = strategies.one_of(
    recipe("datetime", zones, folds, strategies.integers(0, 10**8)),
    recipe("date", strategies.integers(1, 3_000_000)),
    recipe("time", zones, folds),
    recipe("timedelta", strategies.integers(-(10**6), 10**6), strategies.integers(0, 80_000)),
    zones,
    recipe("decimal", decimals),
    recipe("uuid", strategies.integers(0, 2**128 - 1), strategies.booleans()),
    recipe("fraction", strategies.integers(), strategies.integers(1, 10**30)),
    recipe("complex", strategies.floats(), strategies.floats()),
    recipe("range", strategies.integers(), strategies.integers(), strategies.integers(1, 2**70)),
    recipe("ipv4", strategies.integers(0, 2**32 - 1)),
    recipe("ipv6", addresses),
    recipe("scoped", addresses),
    recipe("network", strategies.integers(0, 2**32 - 1)),
    recipe("path", strategies.lists(words, max_size=10)),
    recipe("windows path", strategies.lists(words, max_size=3)),
    recipe("late date", strategies.integers(1, 3_000_000)),
    recipe("text", words, strategies.just({})),
    recipe("member"),
    recipe("flags", strategies.integers(0, 3)),
    recipe("nothing"),
)


def nesting(inner):
    """Values that hold others."""
    items = strategies.lists(inner, max_size=4)
    pairs = strategies.dictionaries(keys, inner, max_size=4)
    attributes = strategies.dictionaries(identifiers, inner, max_size=2)
    return strategies.one_of(
        recipe("slice", inner, inner, inner),
        recipe("namespace", attributes),
        recipe("ordered", pairs, keys),
        recipe("default", strategies.sampled_from([None, list, len, Zone]), pairs),
        recipe("deque", items, strategies.none() | strategies.integers(4, 2**40)),
        recipe("counter", pairs),
        recipe("named datetime", zones, inner),
        recipe("money", decimals, inner),
        recipe("queue", items, attributes),
        recipe("own ordered", pairs, attributes),
        recipe("own default", pairs, attributes),
        recipe("tally", pairs, attributes),
        recipe("numbers", items, attributes),
        recipe("slot numbers", items, inner),
        recipe("settings", pairs, attributes),
        recipe("triple", items, attributes),
        recipe("text", words, attributes),
        recipe("count", whole, attributes),
        recipe("ratio", strategies.floats(allow_nan=False), attributes),
        recipe("raw", strategies.binary(), attributes),
        recipe("pair", inner, inner),
        recipe("row", inner, inner, inner, inner),
        recipe("labelled", inner, inner, attributes),
        recipe("bare", inner, inner),
        recipe("refused", items, attributes),
        recipe("missing", items),
        recipe("loop deque", items),
        recipe("loop numbers", items),
        recipe("loop default", pairs),
        recipe("loop ordered", pairs),
        recipe("loop namespace", attributes),
        recipe("list", items),
        recipe("tuple", items),
    )


recipes = strategies.recursive(plain_values | atoms, nesting, max_leaves=12)
