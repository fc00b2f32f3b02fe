"""Dataclasses of every kind, above all frozen ones with slots, against the oracle."""

import builtins
import contextlib
import copy as std_copy
import dataclasses
import pickle as std_pickle
import sys
import types
import typing

import hypothesis
import pytest
from hypothesis import strategies

import fastcopyreg
import fastcopyreg.copy
import fastcopyreg.pickle
from support.choices import looks_around
from support.classes import ByClass
from support.dumping import Meddles, dumping_tests
from support.implementations import OURS, STANDARD, requires_core
from support.outcomes import outcome
from support.recording import Setup, compare, compare_every_way
from support.shallow import run_shallow

pytestmark = [requires_core, pytest.mark.timeout(1800)]

frozen = dataclasses.dataclass(frozen=True, slots=True, eq=False)


@frozen
class Frozen(ByClass):
    """The ordinary one."""

    a: object
    b: object = None
    c: object = ()


@frozen
class One(ByClass):
    """A state of one item."""

    a: object


@frozen
class Empty(ByClass):
    """A state of none."""


@frozen
class Derived(Frozen):
    """Slots of its own beside inherited ones."""

    d: object = 4


@frozen
class Pseudo(ByClass):
    """What looks like fields, and is none."""

    a: object
    kind: typing.ClassVar[str] = "kind"
    start: dataclasses.InitVar[int] = 0
    b: object = dataclasses.field(default=7, init=False)


class Loose(ByClass):
    """With a __dict__."""


@frozen
class OnLoose(Loose):
    """Slots beside a __dict__, which is no part of the state."""

    a: object
    b: object = None


class Extended(Frozen):
    """No dataclass itself, and with a __dict__."""


@dataclasses.dataclass(frozen=True, eq=False)
class Mixed(Frozen):
    """Fields in slots, and others in the __dict__."""

    d: object = 4
    e: object = None


@frozen
class Weak(Loose):
    """What a __dict__ and weak references are there for."""

    a: object
    b: object = dataclasses.field(default_factory=list)


class MoreSlots(Frozen):
    """No dataclass itself, with a slot that is no field."""

    __slots__ = ("more",)


@frozen
class OwnState(ByClass):
    """A state of its own."""

    a: object
    b: object = None

    def __getstate__(self):
        return {"a": self.a}

    def __setstate__(self, state):
        object.__setattr__(self, "a", state["a"])


@frozen
class OwnSetState(ByClass):
    """Only the other half."""

    a: object
    b: object = None

    def __setstate__(self, state):
        object.__setattr__(self, "a", tuple(state))


@frozen
class Watched(ByClass):
    """Attributes are asked for in Python."""

    a: object
    b: object = None

    def __getattribute__(self, name):
        return object.__getattribute__(self, name)


@frozen
class Reduced(ByClass):
    """With a reducer."""

    a: object
    b: object = None

    def __reduce__(self):
        return Reduced, (self.b, self.a)


@dataclasses.dataclass(frozen=True, eq=False)
class FrozenDict(ByClass):
    """Frozen, with a __dict__."""

    a: object
    b: object = None


@dataclasses.dataclass(slots=True, eq=False)
class Slots(ByClass):
    """Slots, and not frozen."""

    a: object
    b: object = None


@frozen
class Many(ByClass):
    """More fields than go into a frame's reserve."""

    __annotations__ = {f"field{i}": object for i in range(130)}


CLASSES = [
    Frozen, One, Empty, Derived, Pseudo, OnLoose, Extended, Mixed, Weak, MoreSlots, OwnState,
    OwnSetState, Watched, Reduced, FrozenDict, Slots,
]  # fmt: skip

DEEDS = {
    "itself": lambda made, before: object.__setattr__(made, "a", [made]),
    "unset": lambda made, before: object.__delattr__(made, "a"),
    "unset later": lambda made, before: object.__delattr__(made, "e"),
    "attribute": lambda made, before: object.__setattr__(made, "more", 1),
    "dict": lambda made, before: vars(made).update(a=1, d=before, more=[before]),
    "dict of numbers": lambda made, before: vars(made).update({5: 6}),
    "dict taken": lambda made, before: object.__setattr__(made, "__dict__", {"d": 5, "e": before}),
    "fields hidden": lambda made, before: object.__setattr__(made, "__dataclass_fields__", {}),
    "getstate hidden": lambda made, before: object.__setattr__(made, "__getstate__", list),
    "setstate hidden": lambda made, before: object.__setattr__(made, "__setstate__", list),
    "reducer hidden": lambda made, before: vars(made).update(__reduce_ex__=lambda _: (int, ())),
    "again": lambda made, before: object.__setattr__(made, "a", before),
}

values = strategies.deferred(
    lambda: (
        strategies.none()
        | strategies.integers(0, 70_000)
        | strategies.text(max_size=3)
        | strategies.sampled_from(["shared", "a" * 300, 2.5, b"bytes", 1 << 70, True])
        | strategies.lists(values, max_size=3)
        | strategies.tuples(values, values)
        | objects
    )
)
objects = strategies.tuples(
    strategies.just("object"),
    strategies.sampled_from(CLASSES),
    strategies.lists(values, max_size=4),
    strategies.sampled_from(["", "", "", *DEEDS]),
)


def make(described, made):
    """The value that was described; the last one made may come again."""
    if isinstance(described, list):
        return [make(each, made) for each in described]
    if not isinstance(described, tuple):
        return described
    if described[:1] != ("object",):
        return tuple(make(each, made) for each in described)
    _, cls, fields, deed = described
    fields = [make(each, made) for each in fields]
    if issubclass(cls, Empty):
        fields = []
    result = (
        cls(*(fields or [None])[:1])
        if issubclass(cls, (One, Pseudo))
        else cls(*fields[:2] or [1][: not issubclass(cls, Empty)])
    )
    with contextlib.suppress(AttributeError, TypeError):
        if deed:
            DEEDS[deed](result, made[-1] if made else None)
    made.append(result)
    return result


(
    test_dataclasses_are_dumped_alike,
    test_dataclasses_are_dumped_alike_by_the_default_way,
    test_dataclasses_at_the_end_of_a_frame,
) = dumping_tests(objects, make)


def assert_same(build, fast=False):
    compare_every_way(STANDARD, OURS, build, fast)


def fresh(base):
    """A class with a __dict__ whose objects have not had any attribute yet."""
    global Fresh
    Fresh = type("Fresh", (base,), {"__module__": __name__})
    return Fresh


@pytest.mark.parametrize("base", CLASSES)
@pytest.mark.parametrize("deed", DEEDS)
def test_each_deed_with_each_class(base, deed):
    for cls in (base, fresh(base)):
        fields = [1, [2]][: base is not Empty]
        described = [("object", cls, fields, each) for each in ("", "", deed)]
        for protocol in (4, 5):
            for _ in range(3):
                setup = Setup(protocol=protocol)
                compare(STANDARD, OURS, setup, lambda given=described: make(given, []))


@pytest.mark.parametrize("cls", [OnLoose, Extended, Mixed])
def test_dict_that_is_no_part_of_the_state_is_not_held(cls):
    value = [cls(i, i) for i in range(100)]
    for each in value:
        object.__setattr__(each, "more", "more")
    dicts = [vars(each) for each in value]
    before = [sys.getrefcount(each) for each in dicts]
    OURS.dumps(value, 4)
    assert [sys.getrefcount(each) for each in dicts] == before


def test_many_fields():
    one, other = Many(*range(130)), Many(*[[i] for i in range(130)])
    assert_same(lambda: [one, other, one], fast=True)


def rows(cls):
    return dict(dict(fastcopyreg.explain(cls).sections)["reduce"])


def test_explain_says_how_frozen_classes_go():
    for cls in (
        Frozen, One, Empty, Derived, Pseudo, OnLoose, Extended, Mixed, MoreSlots, OwnSetState,
    ):  # fmt: skip
        assert rows(cls)["runs"] == "in the C core, without a call"
    assert rows(OwnState)["runs"].startswith("by plan of __getstate__")
    assert rows(Watched)["runs"].startswith("by call")


class Counted:
    """How often the standard library's functions run."""

    def __init__(self):
        self.calls = 0

    def __call__(self, frame, event, argument):
        self.calls += frame.f_code.co_name in ("_dataclass_getstate", "fields")


@pytest.mark.parametrize("cls", [Frozen, OnLoose, Extended, Mixed])
def test_nothing_is_called_but_for_who_watches(cls):
    value = [cls(i, [i]) for i in range(100)]
    assert_same(lambda: value)
    calls = []
    original = dataclasses.fields

    def fields(cls):
        calls.append(cls)
        return original(cls)

    OURS.dumps(value, 4)
    watcher = Counted()
    sys.setprofile(watcher)
    try:
        OURS.dumps(value, 4)
    finally:
        sys.setprofile(None)
    assert watcher.calls >= 100
    dataclasses.fields = fields
    try:
        OURS.dumps(value, 4)
    finally:
        dataclasses.fields = original
    assert len(calls) == 100
    OURS.dumps(value, 4)
    assert len(calls) == 100


GETSTATE, SETSTATE = Frozen.__getstate__, Frozen.__setstate__
FIELDS = dataclasses.fields


def other_code(function, code):
    """Give the function other code; how to take it back."""
    original = function.__code__
    function.__code__ = code.__code__
    return lambda: setattr(function, "__code__", original)


def other_global(holder, name, value):
    """Give a module, or a class, another attribute; how to take it back."""
    missing = object()
    original = vars(holder).get(name, missing)
    setattr(holder, name, value)

    def undo():
        if original is missing:
            delattr(holder, name)
        else:
            setattr(holder, name, original)

    return undo


def changed_fields(change):
    """Change the fields of a class in place; how to take it back."""
    fields = Frozen.__dataclass_fields__
    original = dict(fields)
    before = {each: (each.name, each._field_type) for each in fields.values()}
    change(fields)

    def undo():
        fields.clear()
        fields.update(original)
        for each, (name, kind) in before.items():
            each.name, each._field_type = name, kind

    return undo


class StrangeField:
    """Is like a field."""

    name = "c"
    _field_type = dataclasses._FIELD


def constant(*arguments):
    return ["constant"]


def no_fields(*arguments):
    return ()


TAMPERING = {
    "code of getstate": lambda: other_code(GETSTATE, constant),
    "code of fields": lambda: other_code(FIELDS, no_fields),
    "getstate": lambda: other_global(Frozen, "__getstate__", lambda self: [1]),
    "global fields": lambda: other_global(dataclasses, "fields", lambda _: []),
    "global _FIELD": lambda: other_global(dataclasses, "_FIELD", dataclasses._FIELD_CLASSVAR),
    "global _FIELDS": lambda: other_global(dataclasses, "_FIELDS", "__other_fields__"),
    "global getattr": lambda: other_global(
        dataclasses,
        "getattr",
        lambda *_: Pseudo.__dataclass_fields__,
    ),
    "global tuple": lambda: other_global(dataclasses, "tuple", lambda _: ()),
    "builtin getattr": lambda: other_global(builtins, "getattr", lambda *a: CAUGHT(*a)),
    "attribute of the class": lambda: other_global(Frozen, "a", 5),
    "fields of the class": lambda: other_global(Frozen, "__dataclass_fields__", {}),
    "fields of another kind": lambda: other_global(Frozen, "__dataclass_fields__", dataclasses),
    "field taken": lambda: changed_fields(lambda fields: fields.pop("b")),
    "field moved": lambda: changed_fields(lambda fields: fields.update(a=fields.pop("a"))),
    "fields cleared": lambda: changed_fields(dict.clear),
    "field renamed": lambda: changed_fields(lambda fields: setattr(fields["a"], "name", "c")),
    "field misnamed": lambda: changed_fields(lambda fields: setattr(fields["a"], "name", "no")),
    "field of a number": lambda: changed_fields(lambda fields: setattr(fields["a"], "name", 3)),
    "field by a method": lambda: changed_fields(
        lambda fields: setattr(fields["a"], "name", "__reduce__")
    ),
    "field no more": lambda: changed_fields(
        lambda fields: setattr(fields["a"], "_field_type", None)
    ),
    "field added": lambda: changed_fields(lambda fields: fields.update(z=StrangeField())),
    "field twice": lambda: changed_fields(lambda fields: fields.update(z=fields["a"])),
}

plain_getattr = getattr


def CAUGHT(obj, name, *default):
    return plain_getattr(obj, "b" if name == "a" else name, *default)


@pytest.mark.parametrize("name", TAMPERING)
def test_what_is_tampered_with_is_honoured(name):
    value = [Frozen(1, [2], "c"), Frozen("a", (3,)), Frozen([], 5)]
    assert_same(lambda: value)
    for protocol in (4, 5):
        undo = TAMPERING[name]()
        try:
            outcomes = [outcome(each.dumps, value, protocol) for each in (OURS, OURS, STANDARD)]
        finally:
            undo()
        assert outcomes[0] == outcomes[1] == outcomes[2]
    assert_same(lambda: value)


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_under_the_dump_is_honoured(name):
    undo = []

    def build():
        meddler = Meddles(lambda: undo.append(TAMPERING[name]()))
        return [Frozen(1, [2]), Frozen([3], meddler, "c"), Frozen(4, [5]), Frozen([6], 7)]

    for _ in range(3):
        outcomes = []
        for implementation in (STANDARD, OURS):
            try:
                outcomes.append(outcome(implementation.dumps, build(), 4))
            finally:
                while undo:
                    undo.pop()()
        assert outcomes[0] == outcomes[1]


CHANGES = {
    "another value": lambda made: object.__setattr__(made, "c", [9]),
    "no value": lambda made: object.__delattr__(made, "c"),
    "class": lambda made: object.__setattr__(made, "__class__", MoreSlots),
}


@pytest.mark.parametrize("name", CHANGES)
def test_objects_that_change_under_the_dump(name):
    def build():
        holder, shared = [], [1]
        meddler = Meddles(lambda: CHANGES[name](holder[0]))
        made = Frozen(shared, meddler, shared)
        holder.append(made)
        return [made, made, [shared]]

    for protocol in (4, 5):
        for _ in range(3):
            records = []
            for implementation in (STANDARD, OURS):
                try:
                    records.append(implementation.dumps(build(), protocol))
                except TypeError as error:
                    records.append(str(error))
            assert records[0] == records[1]


def test_what_cannot_be_dumped_is_noted():
    for value in (Frozen(lambda: 0), Frozen(1, [lambda: 0]), Frozen(1, 2, One(lambda: 0))):
        for _ in range(3):
            compare(STANDARD, OURS, Setup(protocol=4), lambda value=value: [value])


# Loads and copies, which leave the functions out as well.

REBUILD_STANDARD, REBUILD_OURS = (
    types.SimpleNamespace(loads=pickle.loads, deepcopy=copy.deepcopy, copy=copy.copy)
    for pickle, copy in ((std_pickle, std_copy), (fastcopyreg.pickle, fastcopyreg.copy))
)


def with_dicts(value):
    """With what is no part of the state."""
    values = value if isinstance(value, list) else [value]
    return value, [getattr(each, "__dict__", None) for each in values]


def loaded(implementation, data):
    """What is loaded, as the standard library pickles it again; or the error."""
    return outcome(lambda: STANDARD.dumps(with_dicts(implementation.loads(data)), 4))


def copied(implementation, value):
    """What is copied, both ways, as the standard library pickles it; or the error."""
    return [
        outcome(lambda copy=copy: STANDARD.dumps(with_dicts(copy(value)), 4))
        for copy in (implementation.deepcopy, implementation.copy)
    ]


def assert_rebuilt_alike(value):
    for protocol in (2, 4, 5):
        try:
            data = STANDARD.dumps(value, protocol)
        except AttributeError:
            return
        for _ in range(2):
            assert loaded(REBUILD_OURS, data) == loaded(REBUILD_STANDARD, data)
    for _ in range(2):
        assert copied(REBUILD_OURS, value) == copied(REBUILD_STANDARD, value)


@looks_around
@hypothesis.given(strategies.lists(objects, max_size=4))
def test_dataclasses_are_rebuilt_alike(described):
    run_shallow(assert_rebuilt_alike, make(described * 2, []))


@pytest.mark.parametrize("name", TAMPERING)
def test_what_is_tampered_with_is_honoured_by_loads_and_copies(name):
    value = [Frozen(1, [2], "c"), Frozen("a", (3,)), Frozen([], 5)]
    data = STANDARD.dumps(value, 4)
    assert_rebuilt_alike(value)
    undo = TAMPERING[name]()
    try:
        outcomes = [
            (
                rebuilt(each.loads, data),
                rebuilt(each.deepcopy, value),
                rebuilt(each.copy, value[1]),
            )
            for each in (REBUILD_OURS, REBUILD_STANDARD)
        ]
    finally:
        undo()
    assert outcomes[0] == outcomes[1]
    assert_rebuilt_alike(value)


def rebuilt(function, argument):
    """What came out, told without the functions that are tampered with."""
    return outcome(lambda: told(function(argument)))


def told(value):
    if isinstance(value, list):
        return [told(each) for each in value]
    if type(value) is not Frozen:
        return repr(value)
    slots = [vars(Frozen).get(name) for name in ("a", "b", "c")]
    return [
        told(slot.__get__(value)) if hasattr(slot, "__set__") and is_set(slot, value) else None
        for slot in slots
    ]


def is_set(slot, value):
    try:
        slot.__get__(value)
    except AttributeError:
        return False
    return True


class SetsAttributes(Frozen):
    """An odd way of setting attributes, which nobody asks."""

    __slots__ = ()

    def __setattr__(self, name, value):
        raise ValueError("not asked")


STATES = {
    "list": [1, [2], "c"],
    "short": [1],
    "long": [1, 2, 3, 4, 5],
    "empty": [],
    "tuple": (1, 2, 3),
    "str": "abc",
    "dict": {"a": 1, "b": 2, "c": 3},
    "number": 5,
}


class HidesFields(OnLoose):
    """Made with fields of its own."""

    def __new__(cls):
        made = object.__new__(cls)
        object.__setattr__(made, "__dataclass_fields__", {})
        return made


class HidesSetState(OnLoose):
    """Made with a method of its own."""

    def __new__(cls):
        made = object.__new__(cls)
        object.__setattr__(made, "__setstate__", lambda state: vars(made).update(state=state))
        return made


class Prefilled(Mixed):
    """Made with a field in the __dict__."""

    def __new__(cls):
        made = object.__new__(cls)
        vars(made).update(d=ByClass())
        return made


@pytest.mark.parametrize(
    "cls",
    [
        Frozen, Derived, MoreSlots, SetsAttributes, OnLoose, Extended, Mixed, HidesFields,
        HidesSetState, Prefilled,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", STATES)
def test_states_of_any_kind(cls, name):
    class Builder:
        def __reduce__(self):
            return cls.__new__, (cls,), STATES[name]

    class Twice:
        def __reduce__(self):
            return same, (Builder(),), ["again", None]

    for value in (Builder(), Twice(), [Builder(), Twice()]):
        data = STANDARD.dumps(value, 4)
        for _ in range(3):
            assert loaded(REBUILD_OURS, data) == loaded(REBUILD_STANDARD, data)


def same(value):
    return value
