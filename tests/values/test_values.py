"""Values of the standard library, and subclasses of built-in types, against the oracle."""

import collections
import copyreg
import datetime
import decimal
import io
import ipaddress
import pathlib
import subprocess
import sys
import types
import uuid

import hypothesis
import pytest
from hypothesis import strategies

import fastcopyreg
from support.choices import any_setup, looks_around
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, compare
from support.shallow import run_shallow
from support.values import Pair, Recipe, Settings, make, plain_values, recipes

pytestmark = [requires_core, pytest.mark.timeout(1800)]

DAY = datetime.date(2026, 1, 2)


def outcome(implementation, value, protocol):
    """The pickle, or the error: not every value can be pickled by every protocol."""
    try:
        return implementation.dumps(value, protocol)
    except RecursionError:
        raise
    except Exception as error:
        return repr(error)


def assert_same(value):
    """By dumps, twice, since the first object of a type is asked."""
    for protocol in PROTOCOLS:
        for _ in range(2):
            assert outcome(OURS, value, protocol) == outcome(STANDARD, value, protocol)


@looks_around
@hypothesis.given(recipes, any_setup())
def test_values_are_dumped_alike(recipe, setup):
    run_shallow(compare, STANDARD, OURS, setup, lambda: make([recipe, recipe]))


@looks_around
@hypothesis.given(strategies.lists(recipes, max_size=8))
def test_values_are_dumped_alike_by_the_default_way(described):
    run_shallow(compare, STANDARD, OURS, Setup(), lambda: make([described, described]))


@hypothesis.given(plain_values, strategies.integers(65_000, 66_000))
def test_values_at_the_end_of_a_frame(recipe, size):
    run_shallow(compare, STANDARD, OURS, Setup(), lambda: [bytes(size), *make([recipe] * 20)])
    run_shallow(
        compare, STANDARD, OURS, Setup("dump"), lambda: [bytes(size), *make([recipe] * 20)]
    )


@hypothesis.given(recipes)
def test_shared_values_are_numbered_once(recipe):
    value = make(recipe)
    compare(STANDARD, OURS, Setup(protocol=5), lambda: [value, [value], {"k": value}])
    compare(STANDARD, OURS, Setup(protocol=2), lambda: [value, [value], {"k": value}])


@pytest.mark.parametrize("size", [0, 1, 2, 999, 1000, 1001, 2000, 2001])
@pytest.mark.parametrize(
    "make_container",
    [
        lambda items: collections.deque(items),
        lambda items: collections.OrderedDict(items),
        lambda items: collections.defaultdict(list, items),
        lambda items: collections.Counter(dict(items)),
        lambda items: types.SimpleNamespace(**{f"a{key}": value for key, value in items}),
    ],
)
def test_batches(make_container, size):
    assert_same(make_container([(i, [i]) for i in range(size)]))


def test_texts_of_decimals_follow_the_context():
    value = [decimal.Decimal("1E+10"), decimal.Decimal("7"), decimal.Decimal("7")]
    for capitals in (0, 1):
        with decimal.localcontext() as context:
            context.capitals = capitals
            assert_same(value)


OLDER_FIRST = """
import datetime, uuid
from fastcopyreg import _core
values = [datetime.datetime(2026, 1, 1, fold=1), datetime.time(fold=1), uuid.UUID(int=5)]
read = [_core.reads_values(type(each)) for each in values]
for protocol in range(4):
    _core.dumps(values * 3, protocol)
assert read == [_core.reads_values(type(each)) for each in values]
"""


def test_rows_are_not_judged_by_what_older_protocols_give():
    subprocess.run([sys.executable, "-P", "-c", OLDER_FIRST], check=True, timeout=60)


ITS_OWN_FIRST = """
import io
from fastcopyreg import _core
read = _core.reads_values(complex)
pickler = _core.Pickler(io.BytesIO())
pickler.dispatch_table = {}
pickler.dump([1j, 2j])
assert read == _core.reads_values(complex)
"""


def test_complex_is_not_judged_by_its_own_reducer():
    """A table of a pickler's may hide copyreg's function, by which complex is read."""
    subprocess.run([sys.executable, "-P", "-c", ITS_OWN_FIRST], check=True, timeout=60)


def test_a_registered_reducer_is_asked():
    assert_same([DAY, DAY])
    copyreg.pickle(datetime.date, lambda day: (datetime.date.fromordinal, (day.toordinal(),)))
    try:
        assert_same([DAY, DAY])
    finally:
        del copyreg.dispatch_table[datetime.date]
    assert_same([DAY, DAY])


def test_another_reducer_of_complex_is_asked():
    before = dict(copyreg.dispatch_table)
    assert_same([1j, 2j])
    copyreg.pickle(complex, lambda number: (complex, (str(number),)))
    try:
        assert_same([1j, 2j])
        del copyreg.dispatch_table[complex]
        assert_same([1j, 2j])
    finally:
        # In the order that it had, which explain() shows.
        copyreg.dispatch_table.clear()
        copyreg.dispatch_table.update(before)
    assert_same([1j, 2j])


def test_other_code_of_the_reducer_of_complex_is_called():
    function = copyreg.dispatch_table[complex]
    original = function.__code__
    assert_same([1j, 2j])
    function.__code__ = (lambda number: (complex, (number.imag,))).__code__
    try:
        assert_same([1j, 2j])
    finally:
        function.__code__ = original


def test_a_table_of_a_pickler_is_asked():
    for implementation in (STANDARD, OURS):
        for _ in range(2):
            pickler = implementation.Pickler(io.BytesIO(), 4)
            pickler.dispatch_table = {datetime.date: lambda day: (str, ("a day",))}
            pickler.dump([DAY, DAY])
    assert_same([DAY, DAY])


class Meddler:
    """Changes a container while it is dumped."""

    def __init__(self, change):
        self.change = change

    def __reduce__(self):
        self.change()
        return int, (7,)


def meddled(make_container, change, place):
    container = make_container([0, 1, 2, 3])
    holder = []
    meddler = Meddler(lambda: change(holder[0]))
    holder.append(container)
    if isinstance(container, dict):
        container[place] = meddler
    elif isinstance(container, types.SimpleNamespace):
        setattr(container, f"a{place}", meddler)
    else:
        container[place] = meddler
    return container


def pairs(cls, *args):
    return lambda items: cls(*args, {item: [item] for item in items})


CHANGES = {
    "grow deque": (collections.deque, lambda deque: deque.append(9)),
    "shrink deque": (collections.deque, lambda deque: deque.pop()),
    "store into deque": (collections.deque, lambda deque: deque.__setitem__(3, [8])),
    "clear deque": (collections.deque, lambda deque: deque.clear()),
    "grow ordered": (pairs(collections.OrderedDict), lambda each: each.update(z=1)),
    "shrink ordered": (pairs(collections.OrderedDict), lambda each: each.popitem()),
    "move ordered": (pairs(collections.OrderedDict), lambda each: each.move_to_end(0)),
    "store into ordered": (pairs(collections.OrderedDict), lambda each: each.update({3: [8]})),
    "grow default": (pairs(collections.defaultdict, list), lambda each: each.update(z=1)),
    "shrink default": (pairs(collections.defaultdict, list), lambda each: each.popitem()),
    "exchange default": (
        pairs(collections.defaultdict, list),
        lambda each: (each.pop(3), each.update(z=1)),
    ),
    "store into default": (
        pairs(collections.defaultdict, list),
        lambda each: each.update({1: [8], 3: [8]}),
    ),
    "factory": (
        pairs(collections.defaultdict, list),
        lambda each: setattr(each, "default_factory", None),
    ),
    "namespace": (
        lambda items: types.SimpleNamespace(**{f"a{item}": [item] for item in items}),
        lambda each: vars(each).clear(),
    ),
}


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("entry", ["dumps", "dump"])
def test_containers_that_change_under_the_dump(name, place, entry):
    make_container, change = CHANGES[name]
    compare(
        STANDARD,
        OURS,
        Setup(entry, protocol=4),
        lambda: [meddled(make_container, change, place) for _ in range(3)],
    )


def test_items_of_errors_are_noted():
    for value in (
        collections.deque([1, lambda: 0]),
        collections.OrderedDict(a=lambda: 0),
        collections.defaultdict(list, a=1, b=lambda: 0),
        collections.defaultdict(lambda: 0),
        types.SimpleNamespace(a=lambda: 0),
        slice(0, lambda: 0, 1),
        datetime.datetime(2026, 1, 1, tzinfo=LocalZone()),
    ):
        for _ in range(3):
            compare(STANDARD, OURS, Setup(protocol=4), lambda value=value: [value])


class LocalZone(datetime.tzinfo):
    """A zone that cannot be pickled."""

    def __reduce__(self):
        return (lambda: 0), ()


def replaced_globals():
    """Changes to the functions of types of Python, as (holder, name, replacement)."""
    return [
        # First those after which the type is as it was before.
        (uuid.UUID.__getstate__, "__code__", (lambda self: {"int": 2}).__code__),
        (ipaddress, "str", lambda address: "::7"),
        (ipaddress, "len", lambda hextets: 3),
        (vars(ipaddress._BaseAddress)["__str__"], "__code__", (lambda self: "::9").__code__),
        (collections, "dict", lambda counter: [4]),
        (pathlib.PurePath.__reduce__, "__code__", (lambda self: (int, (6,))).__code__),
        (uuid.SafeUUID, "unknown", uuid.SafeUUID.safe),
        (uuid.UUID, "__getstate__", lambda self: {"int": 1}),
        (uuid.UUID, "__reduce_ex__", lambda self, protocol: (int, (1,))),
        (ipaddress.IPv6Address, "__str__", lambda self: "::5"),
        (ipaddress.IPv6Address, "_compress_hextets", classmethod(lambda cls, parts: parts)),
        (collections.Counter, "__reduce__", lambda self: (int, (3,))),
        (pathlib.PurePath, "__reduce__", lambda self: (int, (5,))),
    ]


def replaced_describers():
    """The same, where a member of SafeUUID is found through an object that describes it (3.11)."""
    described = vars(uuid.SafeUUID)["unknown"]
    if type(described) is uuid.SafeUUID:
        return []

    def safe(self, instance, ownerclass=None):
        return ownerclass._member_map_["safe"]

    return [
        (described, "name", "safe"),
        (type(described).__get__, "__code__", safe.__code__),
        (type(described), "__get__", safe),
    ]


MISSING = object()


@pytest.mark.parametrize("number", range(len(replaced_globals() + replaced_describers())))
def test_changed_types_of_python_are_called(number):
    value = [
        make(recipe)
        for recipe in (
            Recipe(("uuid", 5, False)),
            Recipe(("ipv6", 5 << 64)),
            Recipe(("counter", {"a": 1})),
            Recipe(("path", ["a", "b"])),
        )
    ] * 2
    assert_same(value)
    holder, name, replacement = (replaced_globals() + replaced_describers())[number]
    before = vars(holder).get(name, MISSING) if name != "__code__" else holder.__code__
    try:
        if holder is uuid.SafeUUID:
            type.__setattr__(holder, name, replacement)
        else:
            setattr(holder, name, replacement)
        assert_same(value)
    finally:
        if holder is uuid.SafeUUID:
            type.__setattr__(holder, name, before)
        elif before is MISSING:
            delattr(holder, name)
        else:
            setattr(holder, name, before)
    assert_same(value)


class ByMethod:
    """Taken apart by a method that only loads."""

    def __init__(self, a, b):
        self.a = a
        self.b = b

    def __reduce__(self):
        return ByMethod, (self.a, self.b)


class ByMethodOfSlots:
    """The same with slots, and the class asked of the object."""

    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a = a
        self.b = b

    def __reduce__(self):
        return self.__class__, (self.a, self.b), {"b": self.b}

    def __setstate__(self, state):
        self.b = state["b"]


class Inherits(ByMethodOfSlots):
    """The method is a base's."""


def met_often(value):
    for _ in range(40):
        OURS.dumps(value)


@pytest.mark.parametrize("cls", [ByMethod, ByMethodOfSlots, Inherits])
def test_methods_are_read_like_registered_reducers(cls):
    value = [cls(i, [i]) for i in range(3)]
    value[1].b.append(value[0])
    met_often(value)
    assert_same(value)
    before = fastcopyreg.pickle.loads(OURS.dumps(value))
    assert [each.a for each in before] == [0, 1, 2]


@pytest.mark.parametrize("name", ["__reduce__", "__reduce_ex__"])
@pytest.mark.parametrize("cls", [ByMethod, Inherits])
def test_attributes_hide_methods(cls, name):
    value = [cls(i, [i]) for i in range(4)]
    met_often(value)
    setattr(value[2], name, Answer())
    assert_same(value)
    vars(value[2])
    assert_same(value)


class Answer:
    """Called as either method of an object."""

    def __call__(self, *protocol):
        return int, (8,)

    def __reduce__(self):
        return Answer, ()


def test_a_method_that_is_replaced_is_called():
    value = [ByMethod(i, i) for i in range(4)]
    met_often(value)
    original = ByMethod.__reduce__
    code = original.__code__
    try:
        ByMethod.__reduce__ = lambda self: (int, (9,))
        assert_same(value)
        ByMethod.__reduce__ = original
        original.__code__ = (lambda self: (int, (10,))).__code__
        assert_same(value)
    finally:
        ByMethod.__reduce__ = original
        original.__code__ = code
    assert_same(value)


def test_changed_methods_of_named_tuples_are_called():
    value = [Pair(1, 2), Pair(3, 4)]
    assert_same(value)
    original = Pair.__getnewargs__
    try:
        Pair.__getnewargs__ = lambda self: (5, 6)
        assert_same(value)
    finally:
        Pair.__getnewargs__ = original
    assert_same(value)


def test_overrides_in_subclasses_of_builtin_types_are_honoured():
    class Reversed(list):
        def __iter__(self):
            return reversed(list(super().__iter__()))

    class Renamed(dict):
        def items(self):
            return [("other", 1)]

    globals().update(Reversed=Reversed, Renamed=Renamed)
    for cls in (Reversed, Renamed):
        cls.__qualname__ = cls.__name__
    hidden = Settings(a=1)
    hidden.items = {"b": 2}.items
    assert_same([Reversed([1, 2, 3]), Reversed([4]), Renamed(a=1), Renamed(b=1), hidden, hidden])
    met_often([Settings(a=1), Settings(b=1)])
    compare(STANDARD, OURS, Setup(protocol=4), lambda: [Settings(a=1), hidden])
