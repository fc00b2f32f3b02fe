"""Classes with a `__getattr__`: it is asked for what is missing, and for nothing else.

What such an object has is found without asking, so it comes apart and takes its state by what is
known of its class. What is asked, and in which order, is compared with the standard library.
"""

import copy as std_copy
import copyreg
import pickle as std_pickle
import sys
import types

import pytest

import fastcopyreg
from fastcopyreg import copy, pickle
from support.implementations import PLANS_ARE_ON, requires_core
from support.shapes import outcome_of, parts_in

pytestmark = requires_core

MODULE = types.ModuleType("asking")

SOURCE = '''
seen = []
SETATTR = object.__setattr__
class Base:
    __slots__ = ()
class Asking(Base):
    __slots__ = ()
    def __getattr__(self, name):
        seen.append(name)
        raise AttributeError(f"asked for {name}")
class Plain(Asking):
    pass
class Slots(Asking):
    __slots__ = "a", "b"
class Both(Asking):
    __slots__ = "b", "__dict__"
class List(Asking, list):
    pass
class Dict(Asking, dict):
    pass
class Number(Asking, int):
    pass
class Answers(Base):
    """Has everything, by its __getattr__."""
    def __getattr__(self, name):
        seen.append(name)
        if name in ("a", "b"):
            return "made up"
        raise AttributeError(f"asked for {name}")
class Given(Answers):
    def __getstate__(self):
        return {"a": self.a, "b": self.b}
class Stored(Answers):
    def __getstate__(self):
        return {"a": self.a, "d": self.__dict__}
    def __setstate__(self, state):
        SETATTR(self, "a", state.get("a", {}))
        SETATTR(self, "__dict__", state.get("d", {}))
class StoredBoth(Asking):
    __slots__ = "a", "b", "__dict__"
    def __setattr__(self, name, value):
        raise AttributeError(f"{name} is shut")
    def __getstate__(self):
        b = self.b
        if b:
            b = {k: v for k, v in b.items() if v is not None}
        return {"a": self.a, "b": b, "d": self.__dict__}
    def __setstate__(self, state):
        SETATTR(self, "a", state.get("a", {}))
        SETATTR(self, "b", state.get("b", {}))
        SETATTR(self, "__dict__", state.get("d", {}))
class Updated(Asking):
    def __setstate__(self, state):
        self.__dict__.update(state)
class Replaced(Asking):
    def __setstate__(self, state):
        self.__dict__ = state
class Reduced(Answers):
    def __reduce__(self):
        return Reduced, (), {"a": self.a, "b": self.b}
class Registered(Answers):
    pass
class Copied(Answers):
    def __deepcopy__(self, memo):
        memo[id(self)] = self
        return self
class Property(Answers):
    a = property(lambda self: self.b)
    def __getstate__(self):
        return {"a": self.a}
class Found(Answers):
    def __getattribute__(self, name):
        seen.append("." + name)
        return object.__getattribute__(self, name)
class Called(Answers):
    """Is no longer asked by the slot of classes with both."""
    __getattr__ = None
def reduce_registered(obj):
    return Registered, (), {"a": obj.a, "b": obj.b}
'''
NAMES = [
    "Plain", "Slots", "Both", "List", "Dict", "Number", "Answers", "Given", "Stored",
    "StoredBoth", "Updated", "Replaced", "Reduced", "Registered", "Copied", "Property", "Found",
    "Called",
]  # fmt: skip
SHARED = ["shared"]


@pytest.fixture(autouse=True)
def classes():
    """Made anew, and read when three of their objects have been met."""
    sys.modules["asking"] = MODULE
    threshold = fastcopyreg._core.plan_threshold(3) if fastcopyreg.backend == "c" else None
    make_classes()
    yield
    forget()
    if threshold is not None:
        fastcopyreg._core.plan_threshold(threshold)
    del sys.modules["asking"]


def forget():
    copyreg.dispatch_table.pop(vars(MODULE).get("Registered"), None)


def make_classes():
    forget()
    vars(MODULE).clear()
    vars(MODULE).update(__name__="asking", __builtins__=__builtins__)
    exec(SOURCE, vars(MODULE))
    copyreg.pickle(MODULE.Registered, MODULE.reduce_registered)


def made(name, **fields):
    cls = getattr(MODULE, name)
    obj = next(base for base in (list, dict, int, object) if issubclass(cls, base)).__new__(cls)
    for field, value in fields.items():
        try:
            object.__setattr__(obj, field, value)
        except AttributeError:
            if not hasattr(obj, "__dict__"):
                continue
            vars(obj)[field] = value
    return obj


def rows(name):
    """Objects that have all, some, or nothing, and what hides a method."""
    found = [made(name, a=each, b={"x": 1, "y": None}) for each in (1, [2], SHARED, SHARED)]
    found += [made(name), made(name, a=1), made(name, b=SHARED), made(name, a=SHARED, b={})]
    for hides in "__getstate__", "__setstate__", "__reduce_ex__", "__deepcopy__", "__class__":
        found.append(made(name, a=1, b={}))
        if isinstance(getattr(found[-1], "__dict__", None), dict):
            vars(found[-1])[hides] = hide
    return found


def hide(*arguments):
    MODULE.seen.append("hidden")
    return str, ("hidden",)


hide.__deepcopy__ = None


def taken_apart(function, found, *arguments):
    del MODULE.seen[:]
    told = outcome_of(
        "__getstate__", parts_of(), function, found, *arguments, numbers_strings=False
    )
    return told, [*MODULE.seen]


def parts_of():
    """What an object has, and not what its class makes up."""
    find = parts_in(MODULE)

    def parts(obj):
        seen, MODULE.seen = MODULE.seen, []
        vars(MODULE)["seen"] = []
        try:
            return None if not isinstance(obj, MODULE.Base) else find(obj)
        finally:
            vars(MODULE)["seen"] = seen

    return parts


def read(name):
    for _ in range(4):
        found = [made(name, a=[1], b={}) for _ in range(4)]
        for function in pickle.dumps, copy.deepcopy, lambda all: [copy.copy(x) for x in all]:
            taken_apart(function, found)
        taken_apart(pickle.loads, std_pickle.dumps(found) if picklable(found) else b"N.")


def picklable(found):
    return not isinstance(taken_apart(std_pickle.dumps, found)[0], tuple)


@pytest.mark.parametrize("name", NAMES)
def test_who_is_asked(name):
    read(name)
    for at in range(len(rows(name))):
        for protocol in range(std_pickle.HIGHEST_PROTOCOL + 1):
            expected = taken_apart(std_pickle.dumps, rows(name)[at], protocol)
            assert taken_apart(pickle.dumps, rows(name)[at], protocol) == expected, at
            if not isinstance(expected[0], tuple):
                data = expected[0][1]
                assert taken_apart(pickle.loads, data) == taken_apart(std_pickle.loads, data)
        for ours, theirs in (copy.deepcopy, std_copy.deepcopy), (copy.copy, std_copy.copy):
            expected = taken_apart(theirs, rows(name)[at])
            assert taken_apart(ours, rows(name)[at]) == expected, (at, ours)


@pytest.mark.parametrize("name", ["Plain", "Given", "Stored", "StoredBoth", "Reduced"])
def test_what_is_there_is_not_looked_up(name):
    if fastcopyreg.backend != "c":
        pytest.skip("there are no plans")
    read(name)
    if name == "Plain":
        assert fastcopyreg._core.reads_fields(MODULE.Plain) is bool(PLANS_ARE_ON)
        return
    found = [made(name, a=[1], b={}) for _ in range(2)]
    before = fastcopyreg._core.plan_counts()
    data = pickle.dumps(found)
    between = fastcopyreg._core.plan_counts()
    assert between[0] - before[0] == 2 * PLANS_ARE_ON
    # On 3.13 instances that have slots have no values for what is in their __dict__.
    if name == "Stored" or (name == "StoredBoth" and sys.version_info[:2] != (3, 13)):
        pickle.loads(data)
        assert fastcopyreg._core.plan_counts()[1] - between[1] == 2 * PLANS_ARE_ON


# What changes after a class was read.


def add_getattr(cls):
    cls.__getattr__ = lambda self, name: MODULE.seen.append(name)


def add_getattribute(cls):
    def find(self, name):
        MODULE.seen.append("." + name)
        return object.__getattribute__(self, name)

    cls.__getattribute__ = find


def remove_getattr(cls):
    for base in MODULE.Asking, MODULE.Answers:
        del base.__getattr__


def rebind_setattr(cls):
    MODULE.SETATTR = lambda obj, name, value: MODULE.seen.append(name)


def rebind_to_another(cls):
    MODULE.SETATTR = MODULE.Base.__init__


def add_slot(cls):
    cls.a = property(lambda self: "property", lambda self, value: MODULE.seen.append(value))


def remove_slot(cls):
    if "a" in vars(cls):
        del cls.a


CHANGES = [
    add_getattr,
    add_getattribute,
    remove_getattr,
    rebind_setattr,
    rebind_to_another,
    add_slot,
    remove_slot,
]


class Trigger:
    """Changes a class while objects of it are taken apart, or made."""

    def __init__(self, change):
        self.change = change

    def __reduce__(self):
        self.change()
        return list, ()

    def __deepcopy__(self, memo):
        self.change()
        return []


def after_change(function, name, change, within):
    make_classes()
    read(name)
    cls = getattr(MODULE, name)
    found = [made(name, a=each, b={}) for each in ([1], SHARED, 2)]
    found = [found[0], Trigger(lambda: change(cls)) if within else 0, *found[1:]]
    if not within:
        change(cls)
    return taken_apart(function, found)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("within", [False, True], ids=["between", "within"])
def test_changes(change, within):
    for name in "Plain", "Given", "Stored", "StoredBoth", "Reduced":
        for ours, theirs in (copy.deepcopy, std_copy.deepcopy), (pickle.dumps, std_pickle.dumps):
            expected = after_change(theirs, name, change, within)
            assert after_change(ours, name, change, within) == expected, name


def change_here():
    MODULE.change()
    return 0


class Changes:
    """Changes a class when it is loaded."""

    def __reduce__(self):
        return change_here, ()


def load_after_change(loads, name, change, within):
    make_classes()
    read(name)
    found = [made(name, a=each, b={}) for each in ([1], SHARED, 2)]
    data = std_pickle.dumps([found[0], Changes() if within else 0, *found[1:]])
    MODULE.change = lambda: change(getattr(MODULE, name))
    if not within:
        MODULE.change()
    return taken_apart(loads, data)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("within", [False, True], ids=["between", "within"])
def test_changes_of_loads(change, within):
    for name in "Stored", "StoredBoth", "Updated", "Replaced":
        expected = load_after_change(std_pickle.loads, name, change, within)
        assert load_after_change(pickle.loads, name, change, within) == expected, name


def test_models_of_pydantic():
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        a: int
        b: list
        c: str = "c"
        _private: int = pydantic.PrivateAttr(default=3)

    class Open(pydantic.BaseModel, extra="allow", frozen=True):
        a: object

    for cls in Model, Open:
        cls.__module__, cls.__qualname__ = "asking", cls.__name__
        setattr(MODULE, cls.__name__, cls)
        found = [cls(a=each, b=[each], z=1) for each in (1, 2, 3, 3)] * 2
        for _ in range(3):
            for protocol in range(2, std_pickle.HIGHEST_PROTOCOL + 1):
                data = std_pickle.dumps(found, protocol)
                assert pickle.dumps(found, protocol) == data
                loaded = pickle.loads(data)
                assert loaded == std_pickle.loads(data)
                assert loaded[0].__pydantic_fields_set__ == found[0].__pydantic_fields_set__
                assert loaded[0].__pydantic_private__ == found[0].__pydantic_private__
            assert copy.deepcopy(found) == found
            assert copy.copy(found[0]) == found[0]
