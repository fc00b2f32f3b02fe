"""Classes with a __getstate__ of their own, which deepcopy asks without a reduce value."""

import copy as std_copy
import weakref

import pytest

from support import copies, outcomes
from support.implementations import requires_core
from support.labels import by_repr

pytestmark = requires_core

WAYS = {"ours": copies.OURS.deepcopy, "std": std_copy.deepcopy}


class Base:
    def __init__(self, value=None):
        self.value = value
        self.events = []

    def __getstate__(self):
        return {"value": self.value}


class Setting(Base):
    def __setstate__(self, state):
        self.seen = sorted(state)
        self.__dict__.update(state)


class Slotted:
    __slots__ = ("left", "value")

    def __init__(self, value=None):
        self.value = value

    def __getstate__(self):
        return None, {"value": self.value, "left": self}


class Hooked:
    """Is given the memo, by which all that was pending is seen."""

    def __deepcopy__(self, memo):
        kept = memo.get(id(memo), [])
        return [type(value).__name__ for value in memo.values() if value is not kept], len(kept)


class Constant(Base):
    state = None

    def __getstate__(self):
        return self.state


class ListState(Base):
    def __getstate__(self):
        return [self, self.value]

    def __setstate__(self, state):
        self.me, self.value = state


class Changing(Base):
    """Becomes another class, or gets another __new__ or hook, while it is asked."""

    change = staticmethod(lambda obj: None)

    def __getstate__(self):
        type(self).change(self)
        return {"value": self.value}


def describe(obj, depth=0):
    """A graph as text: types, state and where it leads back."""
    if depth > 6:
        return "..."
    names = [*getattr(obj, "__dict__", ()), *getattr(type(obj), "__slots__", ())]
    if names:
        parts = [(name, describe(getattr(obj, name, None), depth + 1)) for name in names]
        return type(obj).__name__, parts
    if isinstance(obj, (list, tuple)):
        return type(obj).__name__, [describe(item, depth + 1) for item in obj]
    return repr(obj) if type(obj).__module__ == "builtins" else type(obj).__name__


def outcome(deepcopy, make):
    return outcomes.outcome(lambda: describe(deepcopy(make())))


def compare(make):
    expected = outcome(WAYS["std"], make)
    for _ in range(3):
        assert outcome(WAYS["ours"], make) == expected


@pytest.mark.parametrize("cls", [Base, Setting, Slotted, ListState])
@pytest.mark.parametrize(
    "value", [1, "text", [1, [2]], {"a": [1]}, (1, [2]), Hooked(), Base([1])], ids=by_repr
)
def test_states(cls, value):
    compare(lambda: cls(value))
    compare(lambda: [cls(value), cls(cls(value)), value, Hooked()])

    def shared():
        obj = cls(value)
        return [obj, (obj,), Hooked(), obj, value]

    compare(shared)
    copied = WAYS["ours"](shared())
    assert copied[0] is copied[1][0] is copied[3]


def test_cycles():
    for cls in (Base, Setting, ListState):
        obj = cls()
        obj.value = [obj]
        copied = WAYS["ours"]([obj, obj])
        assert copied[0] is copied[1] is copied[0].value[0] is not obj


@pytest.mark.parametrize("state", [None, 0, 5, (), {}, (None, None), ({}, {"value": 7}), "text"])
def test_any_state(monkeypatch, state):
    monkeypatch.setattr(Constant, "state", state)
    compare(lambda: [Constant(3), Hooked()])


def test_errors():
    class Raising(Base):
        def __getstate__(self):
            raise ValueError("no state")

    class Refusing(Base):
        def __setstate__(self, state):
            raise ValueError("no thanks")

    class Unpicklable:
        def __reduce_ex__(self, protocol):
            raise TypeError("not me")

    compare(lambda: [Raising()])
    compare(lambda: [Refusing([1])])
    for cls in (Base, Setting):
        compare(lambda cls=cls: [Hooked(), cls([[1], Unpicklable()]), cls(2)])


def test_an_attribute_of_the_instance_overrides():
    for name, value in [
        ("__getstate__", lambda: {"value": "from the instance"}),
        ("__reduce_ex__", lambda protocol: "a name"),
        ("__deepcopy__", lambda memo: "hooked"),
        ("__setstate__", None),
    ]:

        def make(name=name, value=value):
            obj = Base([1])
            obj.__dict__[name] = value
            return obj

        for _ in range(3):
            ours, std = (describe(way(make())) for way in WAYS.values())
            assert ours[0] == std[0]
            assert str(ours)[:60] == str(std)[:60]


def becomes_setting(obj):
    obj.__class__ = Setting


def makes_new(obj):
    def new(cls, *args):
        made = object.__new__(cls)
        made.by_new = len(args)
        return made

    type(obj).__new__ = new


def takes_state(obj):
    type(obj).__setstate__ = lambda self, state: self.__dict__.update(taken=sorted(state))


@pytest.mark.parametrize("change", [becomes_setting, makes_new, takes_state])
def test_a_class_that_changes_when_it_is_asked(change):
    def make():
        cls = type("Changing", (Changing,), {})
        WAYS["ours"](cls([1]))
        cls.change = staticmethod(change)
        return cls([1])

    compare(make)


def test_a_program_that_changes_its_mind():
    class Late(Base):
        pass

    assert "value" in vars(WAYS["ours"](Late([1])))
    Late.__getstate__ = lambda self: {"other": 1}
    assert vars(WAYS["ours"](Late([1]))) == {"other": 1}
    Late.__getstate__ = lambda self: {"other": 2}
    assert vars(WAYS["ours"](Late([1]))) == {"other": 2}
    Late.__reduce__ = lambda self: "a name"
    obj = Late()
    assert WAYS["ours"](obj) is obj


class InstanceState:
    """What an object-relational mapper keeps of an instance, to which it refers weakly."""

    def __init__(self, instance):
        self.instance = weakref.ref(instance)
        self.committed = {"name": instance.name}

    def __getstate__(self):
        return {"instance": self.instance(), "committed": self.committed}

    def __setstate__(self, state):
        self.committed = state["committed"]
        self.instance = weakref.ref(state["instance"])


class Mapped:
    """Has the state of the mapper beside its columns, and rows that refer back to it."""

    def __init__(self, name):
        self.name = name
        self.rows = []
        self._sa_instance_state = InstanceState(self)


@pytest.mark.parametrize("way", WAYS)
def test_instances_with_the_state_of_a_mapper(way):
    parent = Mapped("parent")
    for number in range(50):
        row = Mapped(f"row {number}")
        row.parent = parent
        parent.rows.append(row)
    copied = WAYS[way](parent)
    assert copies.describe(copied)[0] == copies.describe(std_copy.deepcopy(parent))[0]
    for made, source in zip([copied, *copied.rows], [parent, *parent.rows], strict=True):
        state = made._sa_instance_state
        assert state.instance() is made and state.committed == {"name": source.name}
        assert state.committed is not source._sa_instance_state.committed
    assert all(row.parent is copied for row in copied.rows)
