"""The tests' own tools: a pickler with a fault must be told from the oracle."""

import pickle as std_pickle
import sys
import types

import hypothesis
import pytest

from support import corpus, trace
from support.choices import any_setup
from support.classes import Plain, Registered, make_plain
from support.graphs import build, graphs
from support.implementations import PROTOCOLS, STANDARD, namespace
from support.recording import Setup, compare, record, setups

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="the oracle is CPython's C pickler"
)


def faulty(pickler, change=lambda data: data):
    """An implementation around a pickler class, with the bytes of its functions changed."""

    def dumps(obj, protocol=None, **keywords):
        return change(std_pickle.dumps(obj, protocol, **keywords))

    def dump(obj, file, protocol=None, **keywords):
        pickler(file, protocol, **keywords).dump(obj)

    return namespace("faulty", types.SimpleNamespace(Pickler=pickler, dump=dump, dumps=dumps))


class ForgetsTemporaries(std_pickle.Pickler):
    """Its memo shows one entry too few."""

    @property
    def memo(self):
        entries = super().memo.copy()
        if len(entries) > 1:
            entries.popitem()
        return entries


class AsksTwice(std_pickle.Pickler):
    """Runs the reducers of what it dumps once more."""

    def dump(self, obj):
        std_pickle.dumps(obj)
        super().dump(obj)


class OtherMessage(std_pickle.Pickler):
    """Says something else when a dump fails."""

    def dump(self, obj):
        try:
            super().dump(obj)
        except Exception as error:
            error.args = ("something else",)
            raise


class OtherCause(std_pickle.Pickler):
    """Chains an exception that was not there."""

    def dump(self, obj):
        try:
            super().dump(obj)
        except Exception as error:
            raise error from ValueError("chained")


class WritesInTwo(std_pickle.Pickler):
    """Writes the same bytes in other pieces."""

    def __init__(self, file, *args, **kwargs):
        super().__init__(InTwo(file), *args, **kwargs)


class InTwo:
    """A file that splits what is written."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        self.file.write(data[:1])
        self.file.write(data[1:])


FAULTS = {
    "a bit": (
        faulty(std_pickle.Pickler, lambda data: data[:-1] + b"/"),
        Setup("dumps", 4),
        [1, "a"],
    ),
    "a type": (faulty(std_pickle.Pickler, bytearray), Setup("dumps", 4), 1),
    "the memo": (faulty(ForgetsTemporaries), Setup("pickler", 4), [1, ["a"]]),
    "the message": (faulty(OtherMessage), Setup("pickler", 4), [lambda: None]),
    "the cause": (faulty(OtherCause), Setup("pickler", 4), [lambda: None]),
    "the writes": (faulty(WritesInTwo), Setup("pickler", 4), ["a", "b"]),
    "the events": (faulty(AsksTwice), Setup("pickler", 4), None),
}


class Noted:
    """Its reducer leaves a trace."""

    def __reduce__(self):
        trace.note("reduced")
        return make_plain, ()


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_noticed(name):
    implementation, setup, value = FAULTS[name]
    if name == "the events":
        value = Noted()
    compare(STANDARD, STANDARD, setup, lambda: value)
    with pytest.raises(AssertionError, match="differ"):
        compare(STANDARD, implementation, setup, lambda: value)


def test_python_pickler_is_told_from_the_c_one():
    """It writes the same bytes, but its errors, memo and writes are its own."""
    python = namespace("python", types.SimpleNamespace(
        Pickler=std_pickle._Pickler, dump=std_pickle._dump, dumps=std_pickle._dumps
    ))  # fmt: skip
    noticed = 0
    for make in corpus.EVIL.values():
        try:
            compare(STANDARD, python, Setup("pickler", 4), make)
        except AssertionError:
            noticed += 1
    assert noticed > len(corpus.EVIL) // 4


def test_error_that_is_earlier_is_noticed():
    class Shallow(std_pickle.Pickler):
        def dump(self, obj):
            raise RecursionError("too early")

    with pytest.raises(AssertionError, match="differ"):
        compare(STANDARD, faulty(Shallow), Setup("pickler", 4), lambda: [1])


@pytest.mark.parametrize("name", sorted(corpus.VALUES.keys() - corpus.HEAVY))
def test_values_are_built_alike_each_time(name):
    """Otherwise two records of one pickler could differ, and a fault be taken for chance."""
    for protocol in PROTOCOLS:
        compare(STANDARD, STANDARD, Setup("dumps", protocol), corpus.VALUES[name])


def test_most_values_can_be_dumped():
    failed = [
        n for n, make in corpus.VALUES.items() if record(STANDARD, Setup("dumps", 5), make).error
    ]
    assert len(failed) < len(corpus.VALUES) // 10, failed


def test_setups_cover_every_protocol_and_entry():
    made = list(setups())
    assert {s.protocol for s in made} == set(PROTOCOLS)
    assert {s.entry for s in made} == {"dumps", "dump", "pickler", "subclass"}
    assert len(set(made)) == len(made) > 100


def test_builder_holds_nothing_it_built():
    """Reference counts must be a program's: one for what is held once."""
    nodes = (("list", 0, (1, 2)), ("instance", 0, (2,)), ("list", 0, ()))
    root = build(nodes)
    alone = [Plain()]
    once = sys.getrefcount(alone[0])
    counts = sys.getrefcount(root[0]), sys.getrefcount(root[1])
    assert counts == (once, once + 1)


def test_graphs_have_cycles_aliases_and_every_kind():
    kinds = set()

    @hypothesis.settings(max_examples=300, derandomize=True, deadline=None, database=None,
                         suppress_health_check=list(hypothesis.HealthCheck))  # fmt: skip
    @hypothesis.given(graphs(evil=True), any_setup())
    def look(nodes, setup):
        kinds.update(node[0] for node in nodes)
        assert isinstance(setup, Setup)

    look()
    assert {"list", "tuple", "dict", "instance", "evil", "str", "int"} <= kinds
    assert len(kinds) > 20


def test_cycle_through_a_tuple_is_built():
    root = build((("tuple", 0, (1,)), ("list", 0, (0,))))
    assert type(root) is tuple and root[0][0] is root


def test_registered_reducers_are_in_use():
    assert b"Registered" in std_pickle.dumps(Registered(1, 2, 3))
