"""Dispatch: which table is asked, when, and what happens when it changes on the way."""

import collections
import copyreg
import io
import types

import pytest

from support import trace
from support.classes import ByClass, Plain, Registered, make_plain
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.labels import by_repr
from support.recording import TABLES, Setup, Sink, compare, describe_error, record

pytestmark = requires_core


class Target(ByClass):
    """The class whose reducer changes."""


class Changer(ByClass):
    """Changes a table when it is reduced."""

    def __init__(self, change):
        self.change = change

    def __reduce__(self):
        self.change()
        return make_plain, ("changed",)


def by(label):
    """A reducer that shows who reduced."""

    def reducer(obj):
        trace.note("by", label)
        return make_plain, (label,)

    return reducer


@pytest.fixture(autouse=True)
def tables_as_before():
    """The shared table is put back after each test."""
    before = dict(copyreg.dispatch_table)
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(before)


def both(scenario):
    """What a scenario returns for each implementation, asserted equal; returns it."""
    results = []
    for implementation in (STANDARD, OURS):
        copyreg.dispatch_table.pop(Target, None)
        trace.take()
        results.append((scenario(implementation), trace.take()))
    assert results[0] == results[1]
    return results[0]


def test_shared_table_changed_between_dumps():
    def scenario(implementation):
        dumped = [implementation.dumps(Target())]
        copyreg.pickle(Target, by("first"))
        dumped.append(implementation.dumps(Target()))
        copyreg.dispatch_table[Target] = by("second")
        dumped.append(implementation.dumps(Target()))
        del copyreg.dispatch_table[Target]
        return [*dumped, implementation.dumps(Target())]

    dumped, events = both(scenario)
    assert dumped[0] == dumped[3] and len(set(dumped)) == 3
    assert events == (("by", "first"), ("by", "second"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_table_changed_by_a_reducer_that_runs(protocol):
    def scenario(implementation):
        table = copyreg.dispatch_table
        items = [
            Target(),
            Changer(lambda: table.__setitem__(Target, by("set"))),
            Target(),
            Changer(lambda: table.__setitem__(Target, by("set again"))),
            Target(),
            Changer(lambda: table.pop(Target)),
            Target(),
        ]
        return implementation.dumps(items, protocol)

    assert both(scenario)[1] == (("by", "set"), ("by", "set again"))


def test_reducer_removes_itself_from_the_table():
    def scenario(implementation):
        def reducer(obj):
            trace.note("reducer")
            del copyreg.dispatch_table[Target]
            return make_plain, ("once",)

        copyreg.dispatch_table[Target] = reducer
        del reducer
        return implementation.dumps([Target(), Target()])

    assert both(scenario)[1] == (("reducer",),)


def test_shared_table_cleared_and_filled_many_times():
    def scenario(implementation):
        dumped = []
        for n in range(300):
            copyreg.dispatch_table[Target] = by(n)
            copyreg.dispatch_table[type(f"Other{n}", (), {})] = by(n)
            dumped.append(implementation.dumps(Target()))
        return dumped

    assert len(set(both(scenario)[0])) == 300


@pytest.mark.parametrize("value", [None, 3, "text", [], NotImplemented])
def test_entry_that_is_not_callable(value):
    def scenario(implementation):
        copyreg.dispatch_table[Target] = value
        return record(implementation, Setup("dumps"), Target).error

    assert both(scenario)[0][0] == "TypeError"


def test_types_that_pickle_saves_by_itself_are_never_dispatched():
    def scenario(implementation):
        own = {
            t: by(t.__name__) for t in (int, str, list, dict, tuple, set, types.FunctionType, type)
        }
        pickler_sink = io.BytesIO()
        pickler = implementation.Pickler(pickler_sink, 4)
        pickler.dispatch_table = own
        pickler.dump([1, "s", {}, (), set(), make_plain, Plain, bytearray(b"x"), 1.5])
        return pickler_sink.getvalue()

    assert both(scenario)[1] == ()


def test_subclass_of_a_registered_class_is_not_dispatched():
    class SubRegistered(Registered):
        __slots__ = ()

    SubRegistered.__qualname__ = "SubRegistered"
    globals()["SubRegistered"] = SubRegistered
    dumped, _ = both(lambda implementation: implementation.dumps(SubRegistered(1, 2, 3)))
    assert b"copyreg" not in OURS.dumps(Registered(1, 2, 3)) and b"SubRegistered" in dumped


class Hashed(type):
    """A metaclass whose hash and equality are seen."""

    def __hash__(cls):
        trace.note("hash", cls.__name__)
        return 1

    def __eq__(cls, other):
        trace.note("eq", cls.__name__)
        return cls is other


def test_hash_and_equality_of_a_metaclass_are_used():
    records = []
    for implementation in (STANDARD, OURS):
        first, second = Hashed("First", (), {}), Hashed("Second", (), {})
        copyreg.dispatch_table[first] = by("first")
        records.append(
            record(implementation, Setup("dumps"), lambda a=first, b=second: [a(), b(), a()])
        )
        del copyreg.dispatch_table[first]
    assert records[0] == records[1]
    assert ("hash", "Second") in records[0].events


def private(implementation, table, items, protocol=4):
    """The bytes, or the error, of dumping items with a private table."""
    sink = Sink()
    pickler = implementation.Pickler(sink, protocol)
    pickler.dispatch_table = table
    try:
        pickler.dump(items)
    except Exception as error:
        return sink.writes, describe_error(error)
    return sink.writes


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_private_table_hides_the_shared_one(name, protocol):
    copyreg.dispatch_table[Plain] = by("shared")
    for where in ("instance", "class"):
        setup = Setup("subclass", protocol, table=name, table_on=where)
        compare(STANDARD, OURS, setup, lambda: [Plain(), 1j, Registered(1, 2, 3)])


class Raising:
    """A table that raises."""

    def __init__(self, error):
        self.error = error

    def __getitem__(self, key):
        trace.note("getitem", key.__name__)
        raise type(self.error)(*self.error.args)


class KeyErrorSubclass(KeyError):
    """Absent by another name."""


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k"),
        KeyErrorSubclass(),
        LookupError("l"),
        IndexError(1),
        ValueError("v"),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_table_that_raises(error):
    both(lambda implementation: private(implementation, Raising(error), [Target(), Target()]))


@pytest.mark.parametrize("table", [None, 3, [], "text", object()], ids=by_repr)
def test_table_that_is_no_mapping(table):
    both(lambda implementation: private(implementation, table, [1, Target()]))


@pytest.mark.parametrize("make", [dict, collections.UserDict, TABLES["chain"]])
def test_private_table_changed_by_a_reducer_that_runs(make):
    def scenario(implementation):
        table = make()
        table[Changer] = lambda obj: (obj.change(), (make_plain, ()))[1]
        change = Changer(lambda: table.__setitem__(Target, by("private")))
        return private(implementation, table, [Target(), change, Target()])

    assert both(scenario)[1] == (("by", "private"),)


def test_chain_map_whose_maps_change():
    def scenario(implementation):
        chain = collections.ChainMap(
            {Changer: copyreg.dispatch_table.get(Changer) or reduce_changer}
        )
        push = Changer(lambda: chain.maps.insert(0, {Target: by("pushed")}))
        replace = Changer(
            lambda: setattr(chain, "maps", [{Target: by("replaced"), **chain.maps[1]}])
        )
        return private(implementation, chain, [Target(), push, Target(), replace, Target()])

    assert both(scenario)[1] == (("by", "pushed"), ("by", "replaced"))


def reduce_changer(obj):
    """Changes, then is like any other object."""
    obj.change()
    return make_plain, ("changed",)


class ChainSubclass(collections.ChainMap):
    """A ChainMap with a `__missing__` of its own."""

    def __missing__(self, key):
        trace.note("missing", key.__name__)
        if key is Target:
            return by("missing")
        raise KeyError(key)


class GetItemDict(dict):
    """A dict subclass whose `__getitem__` is asked, and whose `get` is not."""

    def __getitem__(self, key):
        trace.note("getitem", key.__name__)
        return super().__getitem__(key)

    def get(self, key, default=None):
        trace.note("get", key.__name__)
        return default

    def __contains__(self, key):
        trace.note("contains", key.__name__)
        return False


@pytest.mark.parametrize("make", [ChainSubclass, lambda: ChainSubclass({}), GetItemDict])
def test_mapping_subclasses_are_asked_as_they_are_there(make):
    def scenario(implementation):
        table = make()
        table[Plain] = by("plain")
        return private(implementation, table, [Plain(), Target(), Plain()])

    both(scenario)


def test_chain_map_over_odd_maps():
    def scenario(implementation):
        chain = collections.ChainMap(GetItemDict(), TABLES["missing"](), {Target: by("last")})
        return private(implementation, chain, [Target(), Plain()])

    both(scenario)


def test_proxy_of_a_table_that_changes():
    def scenario(implementation):
        inner = {Changer: reduce_changer}
        change = Changer(lambda: inner.__setitem__(Target, by("inner")))
        return private(implementation, types.MappingProxyType(inner), [Target(), change, Target()])

    assert both(scenario)[1] == (("by", "inner"),)


def test_table_replaced_on_the_pickler_while_it_dumps():
    def scenario(implementation):
        sink = Sink()
        pickler = implementation.Pickler(sink, 4)
        change = Changer(lambda: setattr(pickler, "dispatch_table", {Target: by("new table")}))
        pickler.dispatch_table = {Changer: reduce_changer}
        pickler.dump([Target(), change, Target()])
        return sink.writes

    assert both(scenario)[1] == (("by", "new table"),)


def test_table_deleted_from_the_pickler():
    def scenario(implementation):
        copyreg.dispatch_table[Target] = by("shared")
        sink = Sink()
        pickler = implementation.Pickler(sink, 4)
        pickler.dispatch_table = {}
        pickler.dump(Target())
        del pickler.dispatch_table
        pickler.clear_memo()
        pickler.dump(Target())
        with pytest.raises(AttributeError):
            pickler.dispatch_table  # noqa: B018
        return sink.writes

    assert both(scenario)[1] == (("by", "shared"),)


def test_class_table_is_read_when_the_pickler_is_made():
    def scenario(implementation):
        pickler_class = type(
            "Tabled", (implementation.Pickler,), {"dispatch_table": {Target: by("old")}}
        )
        sink = Sink()
        pickler = pickler_class(sink, 4)
        pickler_class.dispatch_table = {Target: by("new")}
        pickler.dump(Target())
        return sink.writes

    assert both(scenario)[1] == (("by", "old"),)


def test_class_table_that_is_a_property():
    def scenario(implementation):
        def table(self):
            trace.note("property")
            return {Target: by("property")}

        pickler_class = type(
            "Tabled", (implementation.Pickler,), {"dispatch_table": property(table)}
        )
        sink = Sink()
        pickler_class(sink, 4).dump([Target(), Target()])
        return sink.writes

    both(scenario)


def test_class_table_that_raises():
    def scenario(implementation):
        def table(self):
            raise ValueError("no table")

        pickler_class = type(
            "Tabled", (implementation.Pickler,), {"dispatch_table": property(table)}
        )
        with pytest.raises(ValueError, match="no table"):
            pickler_class(Sink(), 4)

    both(scenario)


def test_dispatch_table_is_a_member_descriptor():
    """loky tells the C pickler by this."""
    assert isinstance(OURS.Pickler.dispatch_table, types.MemberDescriptorType)


def test_reducer_override_comes_before_the_table():
    def scenario(implementation):
        def override(self, obj):
            trace.note("override", type(obj).__name__)
            return (make_plain, ("override",)) if isinstance(obj, Target) else NotImplemented

        members = {
            "reducer_override": override,
            "dispatch_table": {Target: by("t"), Plain: by("p")},
        }
        sink = Sink()
        type("Both", (implementation.Pickler,), members)(sink, 4).dump(
            [Target(), Plain(), Plain, len]
        )
        return sink.writes

    assert ("by", "p") in both(scenario)[1]


@pytest.mark.parametrize("callable_kind", ["method", "builtin", "class", "partial", "instance"])
def test_reducers_of_every_callable_kind(callable_kind):
    import functools

    class Instance:
        def __call__(self, obj):
            return make_plain, ("instance",)

        def method(self, obj):
            return make_plain, ("method",)

    kinds = {
        "method": Instance().method,
        "builtin": {}.get,
        "class": type("Made", (tuple,), {"__new__": lambda cls, obj: (make_plain, ("class",))}),
        "partial": functools.partial(lambda label, obj: (make_plain, (label,)), "partial"),
        "instance": Instance(),
    }

    def scenario(implementation):
        copyreg.dispatch_table[Target] = kinds[callable_kind]
        return record(implementation, Setup("dumps"), lambda: [Target()])

    both(scenario)
