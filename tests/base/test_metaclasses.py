"""Metaclasses that have, gain and lose a name or a slot, before and after their classes are known.

Each story is told twice, by the standard library and by ours, of a metaclass and a class of its
own: objects are dumped, loaded, copied and replaced, then the metaclass gains or loses the member,
they are again, and once more after it was taken back. What comes of each call and what is called
meanwhile, in which order, is the same.
"""

import abc
import collections.abc
import copy as std_copy
import copyreg
import pickle as std_pickle
import re
import sys
import typing

import pytest

import fastcopyreg
import fastcopyreg.copy
import fastcopyreg.pickle
from fastcopyreg import _backend, bench
from support import trace
from support.implementations import PLANS_ARE_ON, PROTOCOLS, requires_core

pytestmark = requires_core

STANDARD = (std_pickle, std_copy)
OURS = (fastcopyreg.pickle, fastcopyreg.copy)

ROUNDS = 3
"""A type is known when it is met for the second time."""

MRO = type.__dict__["__mro__"]
DICT = type.__dict__["__dict__"]


@pytest.fixture(autouse=True)
def plans_at_once():
    """Reducers and constructors are read when they are met for the second time."""
    before = _backend.core.plan_threshold(2)
    yield
    _backend.core.plan_threshold(before)


# Members


def give(cls, name):
    """What the class has under the name, as a class of `type` gives it."""
    for base in MRO.__get__(cls):
        members = DICT.__get__(base)
        if name in members:
            found = members[name]
            return found.__get__(None, cls) if hasattr(type(found), "__get__") else found
    if hasattr(type, name):
        return type.__dict__[name].__get__(cls)
    raise AttributeError(name)


class NonData:
    """What a class has itself, the class gives."""

    def __init__(self, name):
        self.name = name

    def __get__(self, cls, metaclass=None):
        if cls is None:
            return getattr(type, self.name, self)
        trace.note("get", self.name)
        return type.__init__.__get__(cls) if self.name == "__init__" else give(cls, self.name)


class Data(NonData):
    """Comes before what the class has."""

    def __set__(self, cls, value):
        trace.note("set", self.name)


class Changing(NonData):
    """Becomes a data descriptor later, which the version of the metaclass does not tell."""


def function(name):
    """A method that notes that it was called, and does what `type` does, or something."""
    inherited = getattr(type, name, None)

    def member(*args, **keywords):
        trace.note("call", name, len(args), *(arg for arg in args if type(arg) is str))
        return inherited(*args, **keywords) if callable(inherited) else 42

    return member


def falling_back(cls, name):
    trace.note("call", "__getattr__", name)
    raise AttributeError(name)


def finding(cls, name):
    """A `__getattr__` that finds whatever is asked for."""
    trace.note("call", "__getattr__", name)
    return lambda *args: (name, len(args))


def refusing(cls, name, value):
    trace.note("call", "__setattr__", name)
    raise AttributeError(name)


NAMES = [
    *("__copy__", "__deepcopy__", "__replace__", "__reduce_ex__", "__reduce__", "__getstate__"),
    *("__setstate__", "__new__", "__init__", "__getnewargs__", "__getnewargs_ex__"),
    *("__basicnew__", "__getinitargs__", "__name__", "__module__", "__dict__"),
    *("__mro__", "__slots__", "__slotnames__", "__class__", "__newobj__", "__flags__", "a"),
    *("__dictoffset__", "__base__", "items", "append"),
]
SLOTS = [
    *("__hash__", "__getattribute__", "__setattr__", "__delattr__", "__call__", "__repr__"),
    *("__instancecheck__", "__subclasscheck__", "__subclasses__", "mro", "__prepare__"),
    *("__len__", "__bool__", "__iter__", "__contains__", "__getitem__", "__or__", "__dir__"),
]

MEMBERS = {
    **{f"{name} {kind.__name__}": (name, kind) for name in NAMES for kind in (NonData, Data)},
    **{f"{name} function": (name, function) for name in [*NAMES, *SLOTS]},
    "__eq__": ("__eq__", lambda name: note_equality),
    "__getattr__ falls": ("__getattr__", lambda name: falling_back),
    "__getattr__ finds": ("__getattr__", lambda name: finding),
    "__setattr__ refuses": ("__setattr__", lambda name: refusing),
}


CHANGING = {
    f"{name} Changing": (name, Changing) for name in ("__reduce__", "__new__", "__module__")
}


def note_equality(cls, other):
    trace.note("call", "__eq__")
    return cls is other


# Classes


def init(self, a=1, b="x"):
    self.a = a
    self.b = b


def reduce_made(obj):
    return Made, (obj.a, obj.b)


BODIES = {
    "plain": ((), {"__init__": init}),
    "slots": ((), {"__init__": init, "__slots__": ("a", "b")}),
    "reduces": ((), {"__init__": init, "__reduce__": lambda self: (type(self), (self.a,))}),
    "registered": ((), {"__init__": init}),
    "gives its state": ((), {"__init__": init, "__getstate__": lambda self: {"a": self.a}}),
    "has hooks": (
        (),
        {
            "__init__": init,
            "__copy__": lambda self: (self.a,),
            "__deepcopy__": lambda self, memo: [self.a],
            "__replace__": lambda self, **changes: changes,
        },
    ),
    "list": ((list,), {"__init__": lambda self: self.append(3)}),
    "exception": ((Exception,), {}),
}
Made = None


class Without:
    """A base of metaclasses."""


def is_settable(name):
    """Whether a metaclass can gain it by an assignment."""
    try:
        setattr(type("Probe", (type,), {}), name, Data(name))
    except (TypeError, AttributeError):
        return False
    return name != "__slots__"


class Story:
    """A metaclass that gains and loses a member, itself or by way of a base; and its class."""

    def __init__(self, member, body, on_base, at_first):
        self.name, kind = {**MEMBERS, **CHANGING}[member]
        self.member = kind(self.name)
        self.on_base = on_base or not is_settable(self.name)
        self.having = type(
            "With", (), {self.name: self.member} if self.name != "__slots__" else {}
        )
        if self.name == "__slots__":
            self.having.__slots__ = self.member
        if self.name == "__eq__":
            self.having.__hash__ = type.__hash__
        bases = (self.having if at_first and self.on_base else Without, type)
        own = {self.name: self.member} if at_first and not self.on_base else {}
        if self.name == "__eq__":
            own["__hash__"] = type.__hash__
        self.metaclass = type("Metaclass", bases, own)
        self.has = at_first
        bases, members = BODIES[body]
        members = {**members, "__module__": __name__, "__qualname__": "Made"}
        globals()["Made"] = self.cls = self.metaclass("Made", bases, members)
        self.registered = body == "registered"
        if self.registered:
            copyreg.pickle(self.cls, reduce_made)

    def toggle(self):
        self.has = not self.has
        if type(self.member) is Changing:
            if hasattr(Changing, "__set__"):
                del Changing.__set__
            else:
                Changing.__set__ = Data.__set__
        elif self.on_base:
            self.metaclass.__bases__ = (self.having if self.has else Without, type)
        elif self.has:
            setattr(self.metaclass, self.name, self.member)
        elif self.name == "__module__":
            self.metaclass.__module__ = __name__
        else:
            delattr(self.metaclass, self.name)

    def end(self):
        if self.registered:
            del copyreg.dispatch_table[self.cls]
        globals()["Made"] = None
        trace.take()


def has(value, name):
    try:
        object.__getattribute__(value, name)
    except AttributeError:
        return False
    return True


def described(value, cls):
    """What an object is, without asking its class."""
    if type(value) is cls:
        fields = [object.__getattribute__(value, name) for name in "ab" if has(value, name)]
        listed = list.__iter__(value) if isinstance(value, list) else ()
        return ("made", *fields, *listed, *(value.args if isinstance(value, Exception) else ()))
    return "the class" if value is cls else re.sub("0x[0-9a-f]+", "…", repr(value))


def tell(function, cls, *args):
    """What comes of a call, and what was called meanwhile."""
    trace.take()
    try:
        value = function(*args)
    except Exception as error:
        events = trace.take()
        return None, (type(error).__name__, re.sub("0x[0-9a-f]+", "…", str(error)), events)
    events = trace.take()
    return value, (value if type(value) is bytes else described(value, cls), events)


def tell_all(story, implementation):
    """Each operation on an object of the class."""
    pickle, copy = implementation
    cls = story.cls
    for obj in (cls(), cls):
        for protocol in PROTOCOLS:
            data, told = tell(pickle.dumps, cls, obj, protocol)
            yield f"dumps {protocol}", told
            if data is not None:
                yield f"loads {protocol}", tell(pickle.loads, cls, data)[1]
        yield "copy", tell(copy.copy, cls, obj)[1]
        yield "deepcopy", tell(copy.deepcopy, cls, [obj, obj])[1]
        if sys.version_info >= (3, 13):
            yield "replace", tell(copy.replace, cls, obj)[1]


def tell_story(implementation, *args):
    story = Story(*args)
    try:
        for change in range(3):
            if change:
                story.toggle()
            for number in range(ROUNDS):
                for label, told in tell_all(story, implementation):
                    yield change, number, label, told
    finally:
        story.end()


def assert_same(*args):
    expected = list(tell_story(STANDARD, *args))
    found = list(tell_story(OURS, *args))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == theirs, args


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("member", MEMBERS)
def test_a_metaclass_that_changes(member, body):
    for on_base in (False, True):
        for at_first in (False, True):
            assert_same(member, body, on_base, at_first)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("member", CHANGING)
def test_a_member_that_becomes_a_data_descriptor(member, body):
    for on_base in (False, True):
        assert_same(member, body, on_base, True)


# Classes that a metaclass leaves as they are cost what plain ones cost.


class Plain:
    def __init__(self):
        self.a = 1
        self.b = "x"


class Meta(type):
    """Makes classes, and sets their attributes."""

    def __new__(cls, name, bases, namespace):
        return super().__new__(cls, name, bases, namespace)

    def __setattr__(cls, name, value):
        super().__setattr__(name, value)

    def __instancecheck__(cls, obj):
        return type.__instancecheck__(cls, obj)

    def __len__(cls):
        return 3


class OfAbstractBase(Plain, abc.ABC):
    pass


class OfCollection(Plain, collections.abc.Sized):
    def __len__(self):
        return 3


class OfGeneric(Plain, typing.Generic[typing.TypeVar("T")]):
    pass


class Protocol(typing.Protocol):
    a: int


class OfProtocol(Plain, Protocol):
    def __init__(self):
        Plain.__init__(self)


class OfMetaclass(Plain, metaclass=Meta):
    pass


LEFT_ALONE = [OfAbstractBase, OfCollection, OfGeneric, OfProtocol, OfMetaclass]


@pytest.mark.skipif(not PLANS_ARE_ON, reason="the layout of objects is not known")
@pytest.mark.parametrize("cls", [Plain, *LEFT_ALONE])
def test_their_constructors_are_read(cls):
    copyreg.pickle(cls, lambda obj: (type(obj), ()))
    try:
        pickle, copy = OURS
        objects = [cls() for _ in range(8)]
        calls = [(pickle.loads, std_pickle.dumps(objects)), (copy.deepcopy, objects)]
        for function, argument in calls:
            function(argument)
            before = _backend.core.plan_counts()[1]
            function(argument)
            assert _backend.core.plan_counts()[1] - before >= len(objects)
    finally:
        del copyreg.dispatch_table[cls]


@pytest.mark.alone
@pytest.mark.skipif(not PLANS_ARE_ON, reason="the layout of objects is not known")
@pytest.mark.parametrize("operation", ["dumps", "loads", "copy", "deepcopy"])
@pytest.mark.parametrize("cls", LEFT_ALONE)
def test_they_cost_what_plain_ones_cost(cls, operation, monkeypatch):
    """With a name as long: where the text lies in the buffer is a third of so small a dump."""
    name = "P" * len(cls.__name__)
    plain = type(name, (), {"__init__": Plain.__init__, "__module__": __name__})
    monkeypatch.setitem(globals(), name, plain)
    function = getattr(OURS[operation in ("copy", "deepcopy")], operation)
    arguments = [
        (std_pickle.dumps(each()),) if operation == "loads" else (each(),) for each in (plain, cls)
    ]
    contenders = [bench.Contender(operation, function, each) for each in arguments]
    best = 0
    for _ in range(6):
        best = max(best, bench.race(operation, *contenders, seconds=0.03).ratio.best)
        if best >= 0.7:
            break
    assert best >= 0.7
