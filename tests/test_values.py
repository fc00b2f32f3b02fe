"""Values of the standard library, and subclasses of built-in types, against the oracle."""

import collections
import copyreg
import datetime
import decimal
import io
import types

import hypothesis
import pytest
from hypothesis import strategies

from support.choices import any_setup, looks_around
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, compare
from support.shallow import run_shallow
from support.values import make, plain_values, recipes

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


def test_a_registered_reducer_is_asked():
    assert_same([DAY, DAY])
    copyreg.pickle(datetime.date, lambda day: (datetime.date.fromordinal, (day.toordinal(),)))
    try:
        assert_same([DAY, DAY])
    finally:
        del copyreg.dispatch_table[datetime.date]
    assert_same([DAY, DAY])


def test_another_reducer_of_complex_is_asked():
    original = copyreg.dispatch_table[complex]
    assert_same([1j, 2j])
    copyreg.pickle(complex, lambda number: (complex, (str(number),)))
    try:
        assert_same([1j, 2j])
        del copyreg.dispatch_table[complex]
        assert_same([1j, 2j])
    finally:
        copyreg.dispatch_table[complex] = original
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
