"""`explain` and `check` answer for every object, and never raise what the object raised."""

import collections
import dataclasses
import functools
import json
import sys
import types
import typing
import unittest.mock
import weakref

import pytest

import fastcopyreg
from fastcopyreg._diagnosis import report as checking
from support.values import Ordered


class Fault(Exception):
    pass


class Wordless(Exception):
    def __str__(self):
        raise Fault

    __repr__ = __str__


def fail(*arguments, **keywords):
    raise Fault


class Plain:
    """It has no equality of its own."""

    def __init__(self, x=1):
        self.x = x

    def method(self):
        pass


def faulty(name, value=fail):
    """An object whose class has the fault under this name."""
    return type("Faulty", (), {name: value, "__module__": __name__})()


def faulty_class(name, value=fail):
    """A class whose metaclass has it."""
    return type("FaultyMeta", (type,), {name: value})("Faulty", (), {})


class OnlyClass(type):
    """It hides all special names but one from those who ask."""

    def __getattribute__(cls, name):
        if name.startswith("__") and name != "__class__":
            raise Fault
        return type.__getattribute__(cls, name)


def dead_proxy():
    return weakref.proxy(Plain())


FAULTS = (
    "__eq__",
    "__hash__",
    "__bool__",
    "__len__",
    "__repr__",
    "__str__",
    "__getattr__",
    "__getattribute__",
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__copy__",
    "__deepcopy__",
    "__iter__",
    "__call__",
)

OBJECTS = {
    "a mock of a class": unittest.mock.Mock(spec=type),
    "a mock of one class": unittest.mock.Mock(spec=Plain),
    "a magic mock": unittest.mock.MagicMock(),
    "a call": unittest.mock.call,
    "a sentinel": unittest.mock.sentinel.name,
    "a proxy of a class": weakref.proxy(Plain),
    "a proxy": weakref.proxy(fastcopyreg),
    "a dead proxy": dead_proxy(),
    "what says it is a class": faulty("__class__", type),
    "what says nothing of its class": faulty("__class__", property(fail)),
    "what has no dict to show": faulty("__dict__", property(fail)),
    "an exception without words": Wordless(),
    "a reducer without words": faulty("__reduce_ex__", lambda *arguments: Wordless().__str__()),
    "a reducer that raises one": faulty(
        "__reduce_ex__", lambda *arguments: (_ for _ in ()).throw(Wordless())
    ),
    "an odd callable": faulty("__reduce__", lambda self: (faulty("__repr__"), ())),
    "odd arguments": faulty("__reduce__", lambda self: (Plain, (faulty("__repr__"),))),
    **{f"{name} of an object": faulty(name) for name in FAULTS},
    **{f"{name} of a class": faulty_class(name) for name in FAULTS if name != "__call__"},
    "a class that hides": OnlyClass("Hiding", (), {}),
    "an object of a class that hides": OnlyClass("Hiding", (), {})(),
    "Any": typing.Any,
    "Generic": typing.Generic,
    "an alias": list[int],
    "a union": int | str,
    "a module": sys,
    "a generator": (i for i in ()),
    "a frame": sys._getframe(),
    "code": fail.__code__,
    "a function": lambda: None,
    "None": None,
    "a cell": types.CellType(1),
    "type": type,
    "object": object,
    "an object": object(),
    "a proxy of a mapping": vars(int),
    "a property": property(len),
    "NotImplemented": NotImplemented,
}


@pytest.fixture
def no_processes(monkeypatch):
    """A fresh interpreter has no say in what is asked here."""
    monkeypatch.setattr(checking, "_fresh_problems", lambda *arguments: ())


@pytest.mark.parametrize("what", OBJECTS)
def test_explain_answers(what):
    explanation = fastcopyreg.explain(OBJECTS[what])
    assert explanation.sections
    assert str(explanation)
    assert repr(explanation)
    assert explanation._repr_html_()
    json.dumps(explanation.to_dict())


@pytest.mark.parametrize("what", OBJECTS)
def test_check_answers(what, no_processes):
    report = fastcopyreg.check(OBJECTS[what])
    assert str(report)
    assert repr(report)
    json.dumps(report.to_dict())


def test_who_wants_the_program_to_end_is_not_answered(no_processes):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    interrupted = faulty("__reduce_ex__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fastcopyreg.explain(interrupted)
    with pytest.raises(KeyboardInterrupt):
        fastcopyreg.check(interrupted)


def test_a_mock_is_explained_as_an_object():
    assert "an object of" in fastcopyreg.explain(OBJECTS["a mock of a class"]).name
    assert "an object of" in fastcopyreg.explain(OBJECTS["a proxy of a class"]).name


# --- what is the same


class Members(set):
    pass


class Elements(list):
    pass


class Names(collections.namedtuple("Names", "x y")):
    __slots__ = ()


@dataclasses.dataclass
class Data:
    x: object
    y: object = None


SAME = {
    "OrderedDict": lambda: collections.OrderedDict(a=Plain()),
    "a subclass of OrderedDict": lambda: Ordered(a=Plain()),
    "deque": lambda: collections.deque([Plain()], 3),
    "defaultdict": lambda: collections.defaultdict(list, a=Plain()),
    "Counter": lambda: collections.Counter({"a": Plain()}),
    "set": lambda: {Plain(i) for i in range(20)},
    "frozenset": lambda: frozenset(Plain(i) for i in range(20)),
    "a subclass of set": lambda: Members([Plain(1), Plain(2)]),
    "a set of tuples": lambda: {("a", Plain()), ("b", Plain())},
    "a subclass of list": lambda: Elements([Plain()]),
    "list": lambda: [Plain()],
    "tuple": lambda: (Plain(),),
    "dict": lambda: {"a": Plain()},
    "keys of a dict": lambda: {Plain(): 1},
    "namespace": lambda: types.SimpleNamespace(a=Plain()),
    "UserDict": lambda: collections.UserDict(a=Plain()),
    "UserList": lambda: collections.UserList([Plain()]),
    "ChainMap": lambda: collections.ChainMap({"a": Plain()}, {"b": Plain()}),
    "bound method": lambda: Plain().method,
    "bound method in C": lambda: {"a": [Plain()].append}["a"],
    "partial": lambda: functools.partial(Plain, Plain(), x=Plain()),
    "exception": lambda: ValueError(Plain(), 1),
    "dataclass": lambda: Data(Plain(), [Plain()]),
    "named tuple": lambda: Names(Plain(), {Plain()}),
}
SAME["nested"] = lambda: [{"a": SAME["OrderedDict"](), "b": (SAME["set"](), SAME["deque"]())}]
SAME["all"] = lambda: {what: make() for what, make in SAME.items() if what != "all"}


@pytest.mark.parametrize("what", SAME)
def test_containers_of_objects_without_equality_are_the_same_afterwards(what, no_processes):
    value = SAME[what]()
    protocols = (5,) if "bound method in C" in what or what == "all" else None
    assert str(fastcopyreg.check(value, protocols)).endswith("deepcopy, a fresh interpreter)")


class Loses:
    """Its state lacks what its equality looks at."""

    def __init__(self, kept, lost):
        self.kept = kept
        self.lost = lost

    def __eq__(self, other):
        return (self.kept, self.lost) == (other.kept, getattr(other, "lost", None))

    __hash__ = None

    def __getstate__(self):
        return {"kept": self.kept}


class Changing(collections.OrderedDict):
    """What it holds is not what it held."""

    def __reduce__(self):
        return Changing, (), None, None, iter([("a", Plain(2))])


DIFFERENT = {
    "lost state": lambda: Loses(1, 2),
    "lost state in a container": lambda: collections.OrderedDict(a=Loses(Plain(), 2)),
    "lost state in a set": lambda: collections.deque([Plain(), Loses(1, 2)]),
    "other contents": lambda: Changing(a=Plain(1)),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_is_different_is_still_found(what, no_processes):
    report = fastcopyreg.check(DIFFERENT[what](), protocols=(5,))
    assert "is different afterwards" in str(report)
