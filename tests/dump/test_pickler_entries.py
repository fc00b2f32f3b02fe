"""The ways in: arguments, files, attributes of a Pickler, and what each says when it is wrong."""

import inspect
import io
import pickle as std_pickle
import weakref

import pytest

from support import trace
from support.classes import Plain
from support.implementations import OURS, STANDARD, requires_core
from support.labels import by_repr
from support.recording import Sink, mask, outcome

pytestmark = requires_core

NOTHING = object()


class Index:
    """A number by `__index__`."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Falsehood:
    """An object whose truth raises."""

    def __bool__(self):
        raise ValueError("no truth")


class NoWrite:
    """No `write` at all."""


class RaisingWrite:
    """`write` is a property that raises."""

    @property
    def write(self):
        raise ValueError("no write here")


class WriteNotCallable:
    """`write` is a number."""

    write = 3


class GreedyFile:
    """A file that is asked for things as attributes, each of which is noted."""

    def __getattr__(self, name):
        trace.note("file attribute", name)
        if name == "write":
            return lambda data: trace.note("write", bytes(data))
        raise AttributeError(name)


PROTOCOL_ARGUMENTS = [
    None, -1, -2, -(2**31), 0, 1, 2, 3, 4, 5, 6, 7, 255, 256, 2**31, 2**63, 2**100, -(2**100),
    True, False, 2.0, "2", b"2", Index(2), Index(9), [], (),
]  # fmt: skip


def same(scenario):
    """Assert that a scenario gives the same for both implementations; returns what it gives."""
    results = []
    for implementation in (STANDARD, OURS):
        trace.take()
        results.append((scenario(implementation), trace.take()))
    assert results[0] == results[1]
    return results[0][0]


@pytest.mark.parametrize("protocol", PROTOCOL_ARGUMENTS, ids=by_repr)
def test_protocol_arguments(protocol):
    def scenario(implementation):
        sink = Sink()
        return (
            outcome(implementation.dumps, [1, "a"], protocol),
            outcome(implementation.dumps, [1, "a"], protocol=protocol),
            outcome(implementation.dump, [1, "a"], sink, protocol),
            outcome(lambda: implementation.Pickler(sink, protocol).dump([1, "a"])),
            outcome(lambda: implementation.dumps(1, protocol, buffer_callback=print)),
            sink.writes,
        )

    same(scenario)


CALLS = {
    "no arguments": lambda f, sink: f(),
    "three positional": lambda f, sink: f(1, sink, 4, True),
    "four": lambda f, sink: f(1, sink, 4, True, None, 5),
    "unknown keyword": lambda f, sink: f(1, sink, other=3),
    "object by keyword": lambda f, sink: f(obj=1, file=sink, protocol=4),
    "file by keyword": lambda f, sink: f(1, file=sink),
    "twice": lambda f, sink: f(1, sink, 4, protocol=4),
    "keywords only": lambda f, sink: f(
        1, sink, fix_imports=False, buffer_callback=None, protocol=2
    ),
    "fix_imports raises": lambda f, sink: f(1, sink, fix_imports=Falsehood()),
    "fix_imports odd": lambda f, sink: f(1, sink, protocol=2, fix_imports=[]),
    "callback without protocol 5": lambda f, sink: f(1, sink, 4, buffer_callback=print),
    "callback not callable": lambda f, sink: f(1, sink, 5, buffer_callback=3),
    "file none": lambda f, sink: f(1, None),
    "file number": lambda f, sink: f(1, 3),
    "no write": lambda f, sink: f(1, NoWrite()),
    "write raises": lambda f, sink: f(1, RaisingWrite()),
    "write not callable": lambda f, sink: f([1], WriteNotCallable()),
    "asked file": lambda f, sink: f([1], GreedyFile()),
    "text file": lambda f, sink: f([1], io.StringIO()),
    "closed file": lambda f, sink: f([1], closed_file()),
    "file type": lambda f, sink: f([1], Sink),
}


def closed_file():
    """A file that was closed."""
    file = io.BytesIO()
    file.close()
    return file


@pytest.mark.parametrize("name", CALLS)
def test_arguments_of_dump_and_pickler(name):
    def pickler(implementation):
        def make(obj=NOTHING, *args, **kwargs):
            made = implementation.Pickler(*args, **kwargs)
            made.dump(obj)

        return make

    def scenario(implementation):
        sink = Sink()
        call = CALLS[name]
        direct = outcome(call, lambda *a, **k: implementation.dump(*a, **k), sink)
        return direct, outcome(call, pickler(implementation), sink), sink.writes

    same(scenario)


DUMPS_CALLS = {
    "none": ((), {}),
    "three": ((1, 2, 3), {}),
    "unknown": ((1,), {"other": 1}),
    "object by keyword": ((), {"obj": [1]}),
    "fix_imports raises": ((1,), {"fix_imports": Falsehood()}),
    "fix_imports by position": ((1, 2, True), {}),
    "callback": (([b"x"], 5), {"buffer_callback": print}),
    "callback too early": (([b"x"], 4), {"buffer_callback": print}),
    "callback default protocol": (([b"x"],), {"buffer_callback": print}),
    "keyword names not strings": ((1,), {"pro tocol": 3}),
}


@pytest.mark.parametrize("name", DUMPS_CALLS)
def test_arguments_of_dumps(name):
    args, kwargs = DUMPS_CALLS[name]
    same(lambda implementation: outcome(implementation.dumps, *args, **kwargs))


@pytest.mark.parametrize("name", ["Pickler", "dump", "dumps"])
def test_signature_and_documentation(name):
    ours = getattr(OURS, name)
    standard = getattr(STANDARD, name)
    assert inspect.signature(ours) == inspect.signature(standard)
    assert ours.__text_signature__ == standard.__text_signature__
    assert ours.__name__ == standard.__name__ and ours.__qualname__ == standard.__qualname__
    assert ours.__doc__


def test_methods_have_the_same_signatures():
    names = {name for name in vars(STANDARD.Pickler) if callable(getattr(STANDARD.Pickler, name))}
    assert {"dump", "clear_memo"} <= names
    for name in names - {"__new__", "__init__", "__getattr__", "__getattribute__", "__class__"}:
        standard = getattr(STANDARD.Pickler, name)
        ours = getattr(OURS.Pickler, name)
        assert ours.__text_signature__ == standard.__text_signature__, name


def test_same_public_names():
    """Ours says beside that which module it is from."""
    assert set(dir(OURS.Pickler)) - {"__module__"} == set(dir(STANDARD.Pickler)) - {"__module__"}


def test_functions_do_not_bind_as_methods():
    class Holder:
        dumps = OURS.dumps
        dump = OURS.dump

    assert Holder().dumps([1]) == std_pickle.dumps([1])
    sink = io.BytesIO()
    Holder().dump([1], sink)
    assert sink.getvalue() == std_pickle.dumps([1])


def test_functions_return_what_they_should():
    sink = Sink()
    assert OURS.dump(1, sink) is None
    pickler = OURS.Pickler(sink)
    assert pickler.dump(1) is None and pickler.clear_memo() is None
    assert type(OURS.dumps(1)) is bytes


@pytest.mark.parametrize("attribute", ["bin", "fast"])
@pytest.mark.parametrize(
    "value", [0, 1, 2, -1, True, False, 2**31, 2**40, 2**70, "1", None, 1.0, Index(1)], ids=by_repr
)
def test_switches_take_what_they_take_there(attribute, value):
    def scenario(implementation):
        sink = Sink()
        pickler = implementation.Pickler(sink, 2)
        before = getattr(pickler, attribute)
        set_error = outcome(setattr, pickler, attribute, value)
        after = getattr(pickler, attribute)
        outcome(pickler.dump, [1, "a", (2, [3]), {4: 5}])
        return before, set_error, after, type(after).__name__, sink.writes

    same(scenario)


@pytest.mark.parametrize(
    "attribute", ["bin", "fast", "memo", "dispatch_table", "persistent_id", "other"]
)
def test_attributes_deleted(attribute):
    def scenario(implementation):
        pickler = implementation.Pickler(Sink(), 2)
        return outcome(delattr, pickler, attribute), outcome(delattr, pickler, attribute)

    same(scenario)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [0, 1])
def test_bin_changes_the_opcodes_of_what_looks_at_it(protocol, value):
    values = [
        1,
        300,
        70000,
        -5,
        1.5,
        "text",
        "é",
        [1],
        (1, 2),
        {"k": 1},
        None,
        True,
        {1},
        b"b",
        Plain(),
    ]

    def scenario(implementation):
        sink = Sink()
        pickler = implementation.Pickler(sink, protocol)
        pickler.bin = value
        pickler.dump(values + values)
        return sink.writes

    same(scenario)


def test_bin_follows_the_protocol():
    def scenario(implementation):
        return [implementation.Pickler(Sink(), protocol).bin for protocol in range(6)]

    assert same(scenario) == [0, 1, 1, 1, 1, 1]


def test_unknown_attributes():
    def scenario(implementation):
        pickler = implementation.Pickler(Sink(), 2)
        return (
            outcome(setattr, pickler, "other", 3),
            outcome(getattr, pickler, "other"),
            outcome(setattr, pickler, "reducer_override", print),
            outcome(getattr, pickler, "reducer_override"),
            outcome(getattr, pickler, "dispatch_table"),
            outcome(setattr, pickler, "dispatch_table", None),
        )

    same(scenario)


PERSISTENT_IDS = {
    "none": None,
    "number": 3,
    "text": "text",
    "builtin": len,
    "too many arguments": lambda a, b: None,
    "raises": lambda obj: 1 / 0,
    "constant": lambda obj: "always",
    "nothing": lambda obj: None,
}


@pytest.mark.parametrize("name", PERSISTENT_IDS)
@pytest.mark.parametrize("protocol", [0, 1, 4])
def test_persistent_id_as_attribute(name, protocol):
    def scenario(implementation):
        sink = Sink()
        pickler = implementation.Pickler(sink, protocol)
        before = (
            type(pickler.persistent_id).__name__ if hasattr(pickler, "persistent_id") else None
        )
        assigned = outcome(setattr, pickler, "persistent_id", PERSISTENT_IDS[name])
        got = outcome(getattr, pickler, "persistent_id") is PERSISTENT_IDS[name]
        first = outcome(pickler.dump, ["a"])
        removed = outcome(delattr, pickler, "persistent_id")
        second = outcome(pickler.dump, ["a"])
        return before, assigned, got, first, removed, second, sink.writes

    same(scenario)


@pytest.mark.parametrize(
    "pid", [0, 1, "a", "é", "a\nb", b"b", ("t", 1), [1], 1.5, Plain(), True, ""], ids=by_repr
)
@pytest.mark.parametrize("protocol", range(6))
def test_ids_of_every_type(pid, protocol):
    class Ids:
        def persistent_id(self, obj):
            trace.note("asked", type(obj).__name__)
            return pid if obj == "persistent" else None

    def scenario(implementation):
        sink = Sink()
        pickler = type("Pickling", (Ids, implementation.Pickler), {})(sink, protocol)
        return outcome(
            pickler.dump, ["persistent", ("persistent",), {"persistent": 1}]
        ), sink.writes

    same(scenario)


def test_persistent_id_from_every_place():
    """On the class, as a static method, on the instance of a subclass, inherited, by super()."""

    def method(self, obj):
        trace.note("id", type(obj).__name__)
        return "p" if obj == "x" else None

    def by_super(self, obj):
        return super(type(self), self).persistent_id(obj)

    members = [
        {"persistent_id": method},
        {"persistent_id": staticmethod(lambda obj: "s" if obj == "x" else None)},
        {"persistent_id": None},
        {"persistent_id": property(lambda self: trace.note("property") or (lambda obj: None))},
        {"__getattr__": lambda self, name: trace.note("getattr", name)},
        {"persistent_id": by_super},
    ]

    def scenario(implementation):
        found = []
        for namespace in members:
            sink = Sink()
            pickler = type("Sub", (implementation.Pickler,), namespace)(sink, 4)
            found.append((outcome(pickler.dump, ["x", 1]), sink.writes))
        return found

    same(scenario)


def test_pickler_is_what_it_is_there_to_the_interpreter():
    def scenario(implementation):
        pickler = implementation.Pickler(Sink())
        sub = type("Sub", (implementation.Pickler,), {})(Sink())
        return (
            outcome(lambda: weakref.ref(pickler) and True),
            outcome(lambda: weakref.ref(sub) and True),
            outcome(hash, pickler) == hash(pickler),
            outcome(lambda: pickler < pickler),
            mask(outcome(implementation.dumps, pickler)[1]),
            implementation.Pickler.__flags__ & (1 << 10 | 1 << 14 | 1 << 8),
            mask(repr(implementation.Pickler)),
            outcome(setattr, implementation.Pickler, "other", 1),
            hasattr(pickler, "__dict__"),
        )

    same(scenario)


def test_subclass_with_hooks_that_are_odd():
    members = [
        {"reducer_override": None},
        {"reducer_override": 3},
        {"reducer_override": lambda self: None},
        {"reducer_override": staticmethod(lambda obj: NotImplemented)},
        {"reducer_override": lambda self, obj: None},
        {"reducer_override": lambda self, obj: "Plain"},
        {"reducer_override": property(lambda self: 1 / 0)},
        {"persistent_id": 3},
        {"persistent_id": property(lambda self: 1 / 0)},
        {"write": lambda self, data: trace.note("never")},
        {"save": lambda self, obj: trace.note("never")},
        {"memoize": lambda self, obj: trace.note("never")},
        {"dump": lambda self, obj: super(type(self), self).dump([obj])},
    ]

    def scenario(implementation):
        found = []
        for namespace in members:
            sink = Sink()
            cls = type("Sub", (implementation.Pickler,), namespace)
            dumped = outcome(lambda c=cls, s=sink: c(s, 4).dump([Plain, Plain(), "x"]))
            found.append((dumped, sink.writes))
        return found

    same(scenario)


def test_override_is_read_at_each_dump():
    def scenario(implementation):
        sink = Sink()
        cls = type("Sub", (implementation.Pickler,), {})
        pickler = cls(sink, 4)
        pickler.dump(Plain())
        cls.reducer_override = lambda self, obj: (
            (Plain, ()) if type(obj) is Plain else NotImplemented
        )
        pickler.clear_memo()
        pickler.dump(Plain())
        pickler.reducer_override = lambda obj: (list, ()) if type(obj) is Plain else NotImplemented
        pickler.clear_memo()
        pickler.dump(Plain())
        return sink.writes

    assert len({data for _, data in same(scenario)}) == 3
