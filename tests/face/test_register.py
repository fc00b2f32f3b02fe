"""`register`: where fields are found, what travels and how, and every mistake with its remedy."""

import ast
import collections
import copy
import copyreg
import datetime
import dis
import enum
import functools
import inspect
import itertools
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import types
from dataclasses import InitVar, dataclass, field
from importlib.resources import files
from typing import NamedTuple

import pytest

import fastcopyreg
from fastcopyreg import _stdlib, registration
from fastcopyreg.compiler import ReducerPlan, compile_reducer
from fastcopyreg.registration import register, registration_of, restore
from support.classes import local_class
from support.orders import Abstract

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture(autouse=True)
def own_registrations(monkeypatch):
    """Undo what a test registers; the classes below are registered by the tests."""
    table = dict(copyreg.dispatch_table)
    monkeypatch.setattr(registration, "_registrations", {})
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(table)


def everything(obj):
    """Yield what becomes of an object under each protocol, pickler, and kind of copy."""
    for protocol in PROTOCOLS:
        standard = _stdlib.dumps(obj, protocol)
        assert fastcopyreg.pickle.dumps(obj, protocol) == standard
        yield _stdlib.loads(standard)
        yield fastcopyreg.pickle.loads(standard)
    for module in (copy, fastcopyreg.copy):
        yield module.copy(obj)
        yield module.deepcopy(obj)


def source_of(cls):
    """Return what the reducer returns, as source."""
    return registration_of(cls).source.split("return ")[1].strip()


class Plain:
    def __init__(self, x, y=2):
        self.x = x
        self.y = y


class Slotted:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


class SlotsAndDict(Slotted):
    def __init__(self, x):
        self.x = x
        self.lines = [x]


class ByName:
    def __init__(self, *, x, y):
        self.x = x
        self.y = y


class Matched:
    __match_args__ = ("x",)

    def __init__(self, start):
        self.x = start


class MatchedInVain:
    __match_args__ = ("x",)

    def __init__(self, x, y):
        self.x = x
        self.y = y


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


@dataclass
class Data:
    x: int
    y: list = field(default_factory=list)


@dataclass(slots=True)
class SlotsData:
    x: int
    y: str = "y"


@dataclass(frozen=True)
class FrozenData:
    x: int
    y: int = 0


@dataclass(kw_only=True)
class ByNameData:
    x: int
    y: int


@dataclass
class PartlyByName:
    x: int
    y: int = field(kw_only=True)


@dataclass
class Computed:
    x: int
    double: int = field(init=False)
    scale: InitVar[int] = 2

    def __post_init__(self, scale):
        self.double = self.x * scale


@dataclass
class Needy:
    x: int
    scale: InitVar[int]


@dataclass
class Session:
    url: str
    lock: object = field(default_factory=threading.Lock, compare=False)
    retries: int = 3


@dataclass
class Cached:
    url: str
    cache: object = None
    retries: int = 3


class Pair(NamedTuple):
    x: int
    y: int = 0


Triple = collections.namedtuple("Triple", "x y z")


class Named(Triple):
    pass


# --- where fields are found

INFERRED = [
    (Plain, "constructor, (object.x, object.y)", "the parameters of Plain"),
    (Slotted, "constructor, (object.x, object.y)", "the parameters of Slotted"),
    (ByName, "restore, (cls, 0, names, object.x, object.y)", "the parameters of ByName"),
    (Matched, "constructor, (object.x,)", "__match_args__"),
    (MatchedInVain, "constructor, (object.x, object.y)", "the parameters of MatchedInVain"),
    (Failure, "constructor, (object.code, object.text)", "the parameters of Failure"),
    (Data, "constructor, (object.x, object.y)", "the fields of the dataclass"),
    (SlotsData, "constructor, (object.x, object.y)", "the fields of the dataclass"),
    (FrozenData, "constructor, (object.x, object.y)", "the fields of the dataclass"),
    (ByNameData, "restore, (cls, 0, names, object.x, object.y)", "the fields of the dataclass"),
    (PartlyByName, "restore, (cls, 0, names, object.x, object.y)", "the fields of the dataclass"),
    (
        Computed,
        "constructor, (object.x,), {'double': object.double}",
        "the fields of the dataclass",
    ),
    (Pair, "constructor, (object.x, object.y)", "the fields of the named tuple"),
    (Named, "constructor, (object.x, object.y, object.z)", "the fields of the named tuple"),
]
EXAMPLES = {
    Plain: Plain(1, [2]),
    Slotted: Slotted("a", {"b": 1}),
    ByName: ByName(x=1, y=2),
    Matched: Matched(5),
    MatchedInVain: MatchedInVain(1, 2),
    Failure: Failure(404, "gone"),
    Data: Data(1, [2]),
    SlotsData: SlotsData(1),
    FrozenData: FrozenData(1, 2),
    ByNameData: ByNameData(x=1, y=2),
    PartlyByName: PartlyByName(1, y=2),
    Computed: Computed(3, scale=5),
    Pair: Pair(1, 2),
    Named: Named(1, 2, 3),
}


@pytest.mark.parametrize(
    ("cls", "source", "origin"), INFERRED, ids=lambda v: getattr(v, "__name__", "")
)
def test_inference(cls, source, origin):
    register(cls)
    assert source_of(cls) == source
    assert registration_of(cls).shape.origin == origin
    example = EXAMPLES[cls]
    names = [*registration_of(cls).fields, *registration_of(cls).shape.state]
    assert names
    for again in everything(example):
        assert type(again) is cls
        assert [getattr(again, n) for n in names] == [getattr(example, n) for n in names]


@pytest.mark.parametrize("cls", [cls for cls, source, _ in INFERRED if "restore" not in source])
def test_bytes_are_those_of_a_reducer_by_hand(cls):
    register(cls)
    example, fields = EXAMPLES[cls], registration_of(cls).fields
    declared = [_stdlib.dumps(example, p) for p in PROTOCOLS]
    state = {name: getattr(example, name) for name in registration_of(cls).shape.state}
    by_hand = (cls, tuple(getattr(example, name) for name in fields), state or None)
    copyreg.pickle(cls, lambda obj: by_hand)
    assert [_stdlib.dumps(example, p) for p in PROTOCOLS] == declared


def test_attrs():
    attrs = pytest.importorskip("attrs")

    @attrs.define
    class Local:
        x: int
        _y: int = 0
        z: int = attrs.field(init=False, default=7)

    publish(Local)
    register(Local, exclude=("z",))
    assert source_of(Local) == "constructor, (object.x, object._y)"
    assert all(again == Local(1, 2) for again in everything(Local(1, 2)))


def test_attrs_by_keyword_and_without_init():
    attrs = pytest.importorskip("attrs")

    @attrs.define(slots=False)
    class Local:
        x: int = attrs.field(kw_only=True)
        y: int = attrs.field(init=False, default=7)

    publish(Local)
    register(Local)
    assert source_of(Local) == "restore, (cls, 0, names, object.x), {'y': object.y}"
    example = Local(x=1)
    example.y = 8
    assert all(again == example for again in everything(example))


def test_msgspec():
    msgspec = pytest.importorskip("msgspec")

    class Local(msgspec.Struct):
        x: int
        y: str = ""

    publish(Local)
    register(Local)
    assert source_of(Local) == "constructor, (object.x, object.y)"
    assert registration_of(Local).shape.origin == "the fields of the msgspec Struct"
    assert all(again == Local(1, "b") for again in everything(Local(1, "b")))


def test_pydantic():
    pydantic = pytest.importorskip("pydantic")

    class Local(pydantic.BaseModel):
        x: int
        y: str = pydantic.Field("", alias="why")

    publish(Local)
    register(Local)
    assert source_of(Local) == "restore, (cls, 0, names, object.x, object.y)"
    example = Local(x=1, why="because")
    # Copying goes by pydantic's own __copy__ and __deepcopy__; pickle asks the registry.
    for protocol in PROTOCOLS:
        assert _stdlib.loads(fastcopyreg.pickle.dumps(example, protocol)) == example


def publish(cls):
    """Make a class that was made in a test importable, as if it were this module's."""
    cls.__module__, cls.__qualname__ = __name__, cls.__name__
    globals()[cls.__name__] = cls
    return cls


def test_builtin_constructor_without_signature():
    register(datetime.timedelta, ("days", "seconds", "microseconds"))
    delta = datetime.timedelta(1, 2, 3)
    assert all(again == delta for again in everything(delta))


def test_the_exact_class_only():
    register(Plain)

    class Derived(Plain):
        pass

    publish(Derived)
    assert pickle.loads(pickle.dumps(Derived(1))).x == 1
    assert b"Derived" in pickle.dumps(Derived(1))
    assert registration_of(Derived) is None


# --- how it is called


def test_returns_the_class_and_decorates():
    assert register(Plain) is Plain
    assert register(fields=("x",))(Plain) is Plain
    assert source_of(Plain) == "constructor, (object.x,)"
    assert register()(Plain) is Plain
    assert source_of(Plain) == "constructor, (object.x, object.y)"


def test_decorator_in_a_module(tmp_path):
    script = """
        import pickle
        from fastcopyreg.registration import register, registration_of
        from dataclasses import dataclass

        @register
        @dataclass(slots=True)
        class Point:
            x: int
            y: int

        @register(fields=("x",))
        class Other:
            def __init__(self, x):
                self.x = x

            class Inner:
                pass

        assert pickle.loads(pickle.dumps(Point(1, 2))) == Point(1, 2)
        assert pickle.loads(pickle.dumps(Other(3))).x == 3
        old = Point
        del Point

        @register
        @dataclass(slots=True)
        class Point:
            x: int

        assert registration_of(Point).fields == ("x",)
    """
    path = tmp_path / "decorated.py"
    path.write_text(textwrap.dedent(script))
    subprocess.run([sys.executable, "-P", path], check=True, timeout=60)


def test_last_registration_wins_and_others_end_it():
    register(Plain)
    first = registration_of(Plain)
    register(Plain, ("x",))
    assert registration_of(Plain) is not first
    copyreg.pickle(Plain, lambda obj: (Plain, (obj.x,)))
    assert registration_of(Plain) is None


def test_constructor_is_remembered():
    register(Plain)
    assert Plain in fastcopyreg.registered_constructors()
    register(Slotted, constructor=make_slotted, fields=("x",))
    assert make_slotted in fastcopyreg.registered_constructors()
    register(ByName)
    assert restore in fastcopyreg.registered_constructors()


def make_slotted(x):
    return Slotted(x, "made")


class Maker:
    @classmethod
    def make(cls, x):
        return Plain(x, "made")


@pytest.mark.parametrize("constructor", [make_slotted, Maker.make, functools.partial(Plain, y=1)])
def test_constructors_of_other_kinds(constructor):
    register(Plain, ("x",), constructor=constructor)
    expected = vars(constructor(4)) if constructor is not make_slotted else None
    for protocol in range(2, 6):
        again = _stdlib.loads(fastcopyreg.pickle.dumps(Plain(4), protocol))
        assert again.x == 4
        assert expected is None or vars(again) == expected


def test_fields_from_the_parameters_of_a_constructor():
    register(Slotted, constructor=make_slotted)
    assert source_of(Slotted) == "constructor, (object.x,)"
    assert registration_of(Slotted).shape.origin == "the parameters of make_slotted"


def test_fields_by_name_where_only_that_fits():
    register(ByName, ("y", "x"))
    assert source_of(ByName) == "restore, (cls, 0, names, object.y, object.x)"
    assert all((a.x, a.y) == (1, 2) for a in everything(ByName(x=1, y=2)))


# --- state and what is left out


def test_state_of_every_kind():
    register(SlotsAndDict, ("x",), state=("lines", "y"))
    assert source_of(SlotsAndDict) == (
        "constructor, (object.x,), ({'lines': object.lines}, {'y': object.y})"
    )
    example = SlotsAndDict(1)
    example.lines, example.y = [1, 2], "y"
    for again in everything(example):
        assert (again.x, again.lines, again.y) == (1, [1, 2], "y")


def test_state_in_slots_only():
    register(Slotted, ("x",), constructor=make_slotted, state=("y",))
    assert source_of(Slotted) == "constructor, (object.x,), (None, {'y': object.y})"
    assert all((a.x, a.y) == (1, "b") for a in everything(Slotted(1, "b")))


class Thermometer:
    def __init__(self):
        self.raw = 0

    @property
    def degrees(self):
        return self.raw / 10

    @degrees.setter
    def degrees(self, value):
        self.raw = value * 10

    @property
    def label(self):
        return f"{self.degrees} degrees"


def test_state_through_a_property():
    register(Thermometer, (), state=("degrees",))
    assert source_of(Thermometer) == "constructor, (), (None, {'degrees': object.degrees})"
    example = Thermometer()
    example.raw = 215
    assert all(again.raw == 215 for again in everything(example))


class Node:
    def __init__(self, name):
        self.name = name
        self.neighbours = []


def test_state_may_refer_back():
    register(Node, ("name",), state=("neighbours",))
    node = Node("a")
    node.neighbours.append(node)
    for again in everything(node):
        assert again.name == "a"
        assert again.neighbours[0] in (again, node)
    assert copy.deepcopy(node).neighbours[0] is not node


def test_excluded_constants_are_filled_in():
    register(Cached, exclude=("cache",))
    assert source_of(Cached) == "constructor, (object.url, None, object.retries)"
    for again in everything(Cached("u", threading.Lock(), 9)):
        assert again == Cached("u", None, 9)


def test_excluded_factories_make_the_rest_keywords():
    register(Session, exclude=("lock",))
    assert source_of(Session) == "restore, (cls, 0, names, object.url, object.retries)"
    example = Session("u", retries=9)
    for again in everything(example):
        assert again == example
        assert again.lock is not example.lock


def test_excluded_at_the_end_just_goes():
    register(Session, exclude=("lock", "retries"))
    assert source_of(Session) == "constructor, (object.url,)"


def test_excluding_what_is_no_parameter():
    register(SlotsAndDict, exclude=("lines",))
    assert source_of(SlotsAndDict) == "constructor, (object.x,)"


# --- versions


def first_to_second(fields):
    return {**fields, "currency": "EUR"}


def second_to_third(fields):
    return {"total": (fields["amount"], fields["currency"])}


class Price:
    def __init__(self, *arguments):
        (self.total,) = arguments


class OldPrice:
    """The class of the same name at two earlier times."""

    def __init__(self, amount, currency=None):
        self.amount = amount
        self.currency = currency


OldPrice.__name__ = OldPrice.__qualname__ = "Price"


def pickled_long_ago(monkeypatch, obj, **declaration):
    monkeypatch.setitem(globals(), "Price", OldPrice)
    register(OldPrice, **declaration)
    data = [fastcopyreg.pickle.dumps(obj, protocol) for protocol in PROTOCOLS]
    monkeypatch.undo()
    monkeypatch.setattr(registration, "_registrations", {})
    return data


def test_versions_upgrade(monkeypatch):
    first = pickled_long_ago(monkeypatch, OldPrice(5), fields=("amount",), version=1)
    second = pickled_long_ago(monkeypatch, OldPrice(5, "SEK"), version=2, upgrade={})
    upgrade = {1: first_to_second, 2: second_to_third}
    register(Price, ("total",), version=3, upgrade=upgrade)
    for data in first:
        assert fastcopyreg.pickle.loads(data).total == _stdlib.loads(data).total == (5, "EUR")
    for data in second:
        assert fastcopyreg.pickle.loads(data).total == _stdlib.loads(data).total == (5, "SEK")
    assert source_of(Price) == "restore, (cls, 3, names, object.total)"
    assert all(again.total == (1, "x") for again in everything(Price((1, "x"))))


def test_upgrade_from_no_version():
    register(ByName)
    data = pickle.dumps(ByName(x=1, y=2))
    register(ByName, version=1, upgrade={0: lambda fields: {"x": fields["y"], "y": 0}})
    again = pickle.loads(data)
    assert (again.x, again.y) == (2, 0)


REFUSED_LOADS = [
    ({"version": 2}, (1, ("x",), 1), "was not told how to upgrade version 1"),
    ({"version": 2}, (3, ("x",), 1), "holds version 3 of Plain; this process knows those up to 2"),
    ({"version": 2}, (-1, ("x",), 1), "holds version -1 of Plain"),
    ({"version": 1}, (1, ("x",), 1), "differ in the fields y; register a new version"),
    ({"version": 1}, (1, ("x", "y", "z"), 1, 2, 3), "differ in the fields z"),
    ({"version": 2, "upgrade": {1: lambda f: {"x": 1}}}, (1, ("x",), 1), "differ in the fields y"),
]


@pytest.mark.parametrize(("declaration", "arguments", "message"), REFUSED_LOADS)
def test_refused_loads(declaration, arguments, message):
    register(Plain, ("x", "y"), **declaration)
    with pytest.raises(pickle.UnpicklingError, match=message):
        restore(Plain, *arguments)


def test_restore_calls_nothing_that_is_not_registered():
    with pytest.raises(pickle.UnpicklingError, match="is not here; import the module"):
        restore(os.system, 0, ("command",), "true")


# --- the reducer


@pytest.mark.parametrize(
    ("cls", "source", "origin"), INFERRED, ids=lambda v: getattr(v, "__name__", "")
)
def test_reducers_are_recognised(cls, source, origin):
    if sys.implementation.name != "cpython":
        pytest.skip("no bytecode is read here")
    register(cls)
    plan = compile_reducer(copyreg.dispatch_table[cls])
    assert isinstance(plan, ReducerPlan), plan
    assert not plan.leaves


def by_hand(object):
    return constructor, (object.x, object.y)  # noqa: F821, it is read and not run


def test_the_reducer_is_what_one_writes_by_hand():
    register(Plain)
    written = [(i.opname, i.argval) for i in dis.get_instructions(by_hand) if i.opname != "RESUME"]
    made = dis.get_instructions(copyreg.dispatch_table[Plain])
    assert [(i.opname, i.argval) for i in made if i.opname != "RESUME"] == written


SHAPES = """
    class Point:
        __slots__ = ("x", "y", "note", "__dict__")

        def __init__(self, x, y):
            self.x, self.y = x, y

        def remark(self, note, more):
            self.note, self.more = note, more
"""
WRITE = """
    import pickle
    from fastcopyreg.registration import register
    from shapes import Point

    register(Point, state=("note", "more"))
    point = Point(1, 2)
    point.remark("n", "m")
    with open("pickles", "wb") as file:
        pickle.dump([pickle.dumps(point, protocol) for protocol in range(6)], file)
"""
READ = """
    import pickle, sys

    sys.modules["fastcopyreg"] = None
    with open("pickles", "rb") as file:
        for data in pickle.load(file):
            point = pickle.loads(data)
            assert (point.x, point.y, point.note, point.more) == (1, 2, "n", "m")
"""


def test_pickles_load_without_fastcopyreg(tmp_path):
    (tmp_path / "shapes.py").write_text(textwrap.dedent(SHAPES))
    for script in (WRITE, READ):
        command = [sys.executable, "-c", textwrap.dedent(script)]
        environment = dict(os.environ, PYTHONPATH=str(tmp_path))
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=60)


# --- what is known of a class


class SetsAnything:
    def __init__(self, **values):
        for name, value in values.items():
            setattr(self, name, value)


class Elsewhere:
    pass


class Computes:
    def __getattr__(self, name):
        return name.upper()


@pytest.mark.parametrize("cls", [SetsAnything, Elsewhere, Computes])
def test_names_that_cannot_be_known_are_taken(cls):
    register(cls, (), state=("whatever",))
    assert registration_of(cls).shape.state == ("whatever",)


# --- mistakes


class Restoring:
    def __init__(self, x):
        self.x = x
        self.y = 0

    def __setstate__(self, state):
        self.y = state


class Greedy:
    def __init__(self, *values):
        self.values = values


class Unrelated:
    def __init__(self, start):
        self.x = start


Gone = type("Gone", (), {"__module__": __name__})
Shadow = type("Plain", (), {"__module__": "collections"})
NEVER = [dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, bool, type(None)]
NEVER += [type, types.FunctionType, pickle.PickleBuffer]

MISTAKES = {
    "no class": (lambda: register(3), "takes a class, not 3"),
    "an alias": (lambda: register(list[int]), r"takes a class, not list\[int\]"),
    "abstract": (lambda: register(Abstract), "is abstract.*register the classes derived from it"),
    "local": (lambda: register(local_class()), "is local to a function; move it to the top"),
    "not there": (lambda: register(Shadow), "there is no Plain in the module collections"),
    "unknown field": (lambda: register(Plain, ("x", "why")), "has no attribute 'why'"),
    "misspelt field": (lambda: register(FrozenData, ("x", "yy")), "did you mean 'y'"),
    "unknown slot": (lambda: register(Slotted, ("x", "z")), "has no attribute 'z'"),
    "unknown of C": (lambda: register(datetime.date, ("year", "week")), "no attribute 'week'"),
    "unknown state": (lambda: register(Plain, ("x",), state=("z",)), "has no attribute 'z'"),
    "unknown exclude": (lambda: register(Plain, exclude=("z",)), "has no attribute 'z'"),
    "one string": (lambda: register(Plain, "x"), r"fields is a string; write fields=\('x',\)"),
    "no string": (lambda: register(Plain, (1,)), "fields holds 1; it names attributes"),
    "no identifier": (lambda: register(Plain, ("x.y",)), "cannot be the name of an attribute"),
    "a keyword": (lambda: register(Plain, ("class",)), "cannot be the name of an attribute"),
    "twice": (lambda: register(Plain, ("x", "x")), "fields names 'x' twice"),
    "field and state": (
        lambda: register(Plain, ("x",), state=("x",)),
        "a field and also in state",
    ),
    "excluded field": (lambda: register(Plain, ("x",), exclude=("x",)), "is excluded and also"),
    "too many": (lambda: register(Slotted, ("x",)), r"does not take the fields \(x\): missing"),
    "excluded required": (lambda: register(Slotted, exclude=("x",)), "does not take the fields"),
    "not callable": (lambda: register(Plain, constructor=3), "constructor 3 is not callable"),
    "a lambda": (lambda: register(Plain, constructor=lambda x: x), "a lambda has no name"),
    "partial of a lambda": (
        lambda: register(Plain, ("x",), constructor=functools.partial(lambda x, y: x, 1)),
        "cannot be imported by name: pickle refuses it",
    ),
    "init only": (lambda: register(Needy), "is an InitVar, which no object keeps"),
    "variable": (lambda: register(Greedy), r"for the parameter \*values of Greedy"),
    "parameter": (lambda: register(Unrelated), "for the parameter start of Unrelated"),
    "no signature": (lambda: register(itertools.chain), "no field of chain is known|not known"),
    "read-only": (
        lambda: register(Thermometer, (), state=("label",)),
        "property that cannot be set",
    ),
    "setstate": (lambda: register(Restoring, ("x",), state=("y",)), "has a __setstate__"),
    "version 0": (lambda: register(Plain, version=0), "version is 0; it is an int, from 1"),
    "version true": (lambda: register(Plain, version=True), "version is True"),
    "no version": (lambda: register(Plain, upgrade={1: len}), "upgrade needs a version"),
    "too new": (lambda: register(Plain, version=2, upgrade={2: len}), "no version before 2"),
    "no function": (lambda: register(Plain, version=2, upgrade={1: 3}), "upgrade.1. is 3"),
    "a gap": (lambda: register(Plain, version=3, upgrade={1: len}), "give it a function for 2"),
}


@pytest.mark.parametrize(("call", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(call, message):
    before = dict(copyreg.dispatch_table), fastcopyreg.registered_constructors()
    with pytest.raises(TypeError, match=message):
        call()
    assert (dict(copyreg.dispatch_table), fastcopyreg.registered_constructors()) == before


# PyPy's pickle is the one written in Python, which asks reducer_override first and the registry
# about classes of classes.
as_in_c = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="pickle asks in another order here"
)


@as_in_c
@pytest.mark.parametrize("cls", NEVER, ids=lambda cls: cls.__name__)
def test_classes_that_pickle_never_asks_about(cls):
    with pytest.raises(TypeError, match="never asks the registry; (register a|override)"):
        register(cls)


@pytest.mark.parametrize("cls", [type(...), complex, type(iter([])), enum.Enum("E", "A")])
def test_classes_that_pickle_does_ask_about(cls):
    from fastcopyreg._register import rules

    assert cls not in rules.never_dispatched()


@as_in_c
def test_what_to_do_instead():
    with pytest.raises(TypeError, match="override reducer_override"):
        register(types.FunctionType)
    with pytest.raises(TypeError, match="register a subclass of dict, or override persistent_id"):
        register(dict)


def test_the_stub_has_these_parameters():
    text = files("fastcopyreg").joinpath("registration.pyi").read_text(encoding="utf-8")
    public = {"register": register, "restore": restore}
    public.update(explain=fastcopyreg.explain, check=fastcopyreg.check)
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name in public:
            stub = node.args
            names = [a.arg for a in (*stub.args, *([stub.vararg] if stub.vararg else []))]
            names += [a.arg for a in stub.kwonlyargs]
            assert names == list(inspect.signature(public[node.name]).parameters), node.name
