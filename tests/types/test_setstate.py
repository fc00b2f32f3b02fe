"""A `__setstate__` that only stores the state in the `__dict__`: left out, and nobody can tell.

Each test reads it into a plan first, by loading or copying more objects than that takes; then the
results are compared with the standard library's, as graphs and as errors.
"""

import contextlib
import copy as std_copy
import functools
import gc
import io
import pickle as std_pickle
import sys
import types

import pytest

import fastcopyreg
from fastcopyreg import compiler, copy, pickle
from support.implementations import PLANS_ARE_ON, requires_core
from support.shapes import outcome_of

pytestmark = requires_core

MODULE = types.ModuleType("stateful")
SOURCE = '''
class Base:
    def __init__(self, **fields):
        vars(self).update(fields)
    def __repr__(self):
        return type(self).__name__

class Update(Base):
    def __setstate__(self, state):
        self.__dict__.update(state)

class Documented(Base):
    def __setstate__(self, state, unused=None):
        """Take the state."""
        return self.__dict__.update(state)

class ByName(Base):
    def __setstate__(self, state):
        own = self.__dict__
        own.update(state)

class Replace(Base):
    def __setstate__(self, state):
        self.__dict__ = state

class Inherits(Update):
    pass

class Gives(Update):
    def __getstate__(self):
        return self.__dict__.copy()

class Slotted(Update):
    __slots__ = ("slot",)

class Cut(Replace):
    pass

class Borg(Base):
    def __init__(self, **fields):
        self.__dict__ = fields
'''
TAKING = ["Update", "Documented", "ByName", "Replace", "Inherits", "Gives", "Slotted", "Cut"]

OTHERWISE = {
    "keywords": "self.__dict__.update(state, x=1)",
    "stars": "self.__dict__.update(**state)",
    "nothing": "pass",
    "another dict": "self.other.update(state)",
    "itself": "self.__dict__.update(self)",
    "another method": "self.__dict__.clear()",
    "of the state": "state.__dict__ = self",
}


def make_classes():
    """Make all classes anew, of which nothing is known yet."""
    vars(MODULE).clear()
    vars(MODULE).update(__name__="stateful", __builtins__=__builtins__)
    exec(SOURCE, vars(MODULE))


@pytest.fixture(autouse=True)
def classes():
    sys.modules["stateful"] = MODULE
    make_classes()
    yield MODULE
    del sys.modules["stateful"]


def made(name, **fields):
    return getattr(MODULE, name)(**(fields or {"x": 1, "y": [2]}))


def read(name):
    """Have the `__setstate__` of a class read, where that is done."""
    rows = [made(name) for _ in range(500)]
    pickle.loads(std_pickle.dumps(rows))
    copy.deepcopy(rows)
    if name != "Slotted":  # Beside slots an instance has no room for values on 3.13.
        assert_left_out(name, PLANS_ARE_ON)


def assert_left_out(name, expected):
    if fastcopyreg.backend != "c":
        return
    from fastcopyreg import _core

    before = _core.plan_counts()[1]
    pickle.loads(std_pickle.dumps([made(name), made(name)]))
    assert (_core.plan_counts()[1] - before == 2) is expected
    before = _core.plan_counts()[1]
    copy.deepcopy([made(name), made(name)])
    assert (_core.plan_counts()[1] - before == 2) is expected


def parts_of(obj):
    return [vars(obj), getattr(obj, "slot", None)] if isinstance(obj, MODULE.Base) else None


outcome = functools.partial(outcome_of, "__setstate__", parts_of)


class Text(str):
    __slots__ = ()


class Unequal:
    """A key that says what it is compared with."""

    def __eq__(self, other):
        raise RuntimeError("compared")

    def __hash__(self):
        return hash("x")


STATES = {
    "dict": {"x": 1, "y": [2], "z": 3},
    "other order": {"y": 1, "x": 2},
    "many": {f"a{i}": i for i in range(50)},
    "numbers": {1: 2},
    "texts": {Text("x"): 1},
    "unequal": {Unequal(): 1},
    "dunder": {"__setstate__": 1, "x": 2},
    "class": {"__class__": 1, "__dict__": 2},
    "empty": {},
    "dict of dicts": {"x": {"x": {}}},
    "subclass": __import__("collections").OrderedDict(x=1),
    "list of pairs": [("x", 1)],
    "list": [1],
    "number": 5,
    "tuple": ({"x": 1}, {"slot": 2}),
    "None": None,
    "text": "ab",
}


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.parametrize("state", STATES)
def test_states(name, state):
    class Reduced:
        def __init__(self, *before):
            self.before = before

        def __reduce__(self):
            return make_with, (name, *self.before), STATES[state]

    read(name)
    for before in (), ("x",), ("z", "x"), ("__setstate__",):
        obj = [Reduced(*before), Reduced(*before), STATES[state]]
        assert outcome(copy.deepcopy, obj) == outcome(std_copy.deepcopy, obj)
        assert outcome(copy.copy, obj[0]) == outcome(std_copy.copy, obj[0])
        if state == "unequal":
            continue
        for protocol in range(std_pickle.HIGHEST_PROTOCOL + 1):
            data = std_pickle.dumps(obj, protocol)
            expected = outcome(std_pickle.loads, data)
            assert outcome(pickle.loads, data) == expected
            assert outcome(pickle.load, io.BytesIO(data)) == expected
            data = std_pickle.dumps(obj[0], protocol)
            assert outcome(pickle.loads, data) == outcome(std_pickle.loads, data)


def make_with(name, *attributes):
    return getattr(MODULE, name)(**dict.fromkeys(attributes, "before"))


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.parametrize("fields", [("x",), ("x", "y"), ("y", "x"), ("x", "y", "z"), ("w",), ()])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_objects(name, fields, protocol):
    if name == "Slotted" and protocol < 2:
        pytest.skip("the standard library refuses it")
    read(name)
    shared = ["shared"]
    rows = [made(name, **dict.fromkeys(fields, shared)) for _ in range(20)]
    rows[3].itself, rows[4].next, rows[5].x = rows[3], rows[5], "longer " * 50
    for obj in rows, rows[0], rows[3], {"a": rows[1]}:
        data = std_pickle.dumps(obj, protocol)
        assert outcome(pickle.loads, data) == outcome(std_pickle.loads, data)
        assert outcome(copy.deepcopy, obj) == outcome(std_copy.deepcopy, obj)
        if obj is not rows:
            assert outcome(copy.copy, obj) == outcome(std_copy.copy, obj)


@pytest.mark.parametrize("name", TAKING)
def test_the_dict_is_a_part_as_any_other(name):
    """The state of a copied object is its `__dict__`, which others may hold."""
    read(name)
    obj = made(name)
    obj.itself, obj.own = obj, vars(obj)
    for each in obj, [obj, vars(obj)], [vars(obj), obj], [obj.own], {"a": [obj], "b": obj.own}:
        assert outcome(copy.deepcopy, each) == outcome(std_copy.deepcopy, each)
    bare = made(name)
    vars(bare).clear()
    kept = [bare, vars(bare), bare]
    assert outcome(copy.deepcopy, kept) == outcome(std_copy.deepcopy, kept)
    memos = {}, {}
    kept.append(obj)
    copy.deepcopy(kept, memos[0])
    std_copy.deepcopy(kept, memos[1])
    assert len(memos[0]) == len(memos[1])
    if name != "Gives":  # A state that is made anew has another id.
        assert set(memos[0]) - {id(memos[0])} == set(memos[1]) - {id(memos[1])}


def test_a_class_that_assigns_the_dict():
    """From 3.13 on its instances have a place for `__dict__` among their attributes."""
    rows = [made("Borg") for _ in range(300)]
    rows.append(made("Borg", __dict__=1, x=2))
    rows[0].itself, rows[1].own, rows[2].__class__ = rows[0], vars(rows[1]), MODULE.Base
    for each in rows, rows[0], rows[1], rows[-1], [vars(rows[3]), rows[3]]:
        assert outcome(copy.deepcopy, each) == outcome(std_copy.deepcopy, each)
        data = std_pickle.dumps(each)
        assert pickle.dumps(each) == data
        assert outcome(pickle.loads, data) == outcome(std_pickle.loads, data)
    for each in rows[0], rows[-1]:
        assert outcome(copy.copy, each) == outcome(std_copy.copy, each)


@pytest.mark.parametrize("name", ["Update", "Replace", "Inherits"])
def test_slot_names_may_change(name):
    """They are a list in the class, which is there when an object was reduced."""
    for names in ["x"], ["absent"], ["x", "y"], [1], ():
        outcomes = []
        for module in copy, std_copy:
            make_classes()
            read(name)
            cls = getattr(MODULE, name)
            rows = [made(name), made(name)]
            std_copy.deepcopy(rows)
            if names == ():
                cls.__slotnames__ = names
            else:
                cls.__slotnames__[:] = names
            outcomes.append(outcome(module.deepcopy, rows))
        assert outcomes[0] == outcomes[1]


def test_a_replaced_dict_is_the_state_itself():
    read("Replace")
    state = {"x": 1}

    class Both:
        def __reduce__(self):
            return list, (), None, iter([obj, state])

    obj = made("Replace")
    vars(obj).clear()
    obj.__dict__ = state
    for loads in pickle.loads, std_pickle.loads:
        loaded, of_loaded = loads(std_pickle.dumps(Both()))
        assert vars(loaded) is of_loaded
        of_loaded["y"] = 2
        assert loaded.y == 2


# What is broken between two loads, or while one is under way.


def replace_code(cls):
    def called(self, state):
        self.__dict__.update(state)
        self.called = True

    cls.__mro__[owner(cls)].__setstate__.__code__ = called.__code__


def replace_method(cls):
    def called(self, state):
        self.called = state

    cls.__setstate__ = called


def remove_method(cls):
    del cls.__mro__[owner(cls)].__setstate__


def add_getattribute(cls):
    def called(self, name):
        if name == "__dict__":
            MODULE.seen = True
        return object.__getattribute__(self, name)

    cls.__getattribute__ = called


def add_getattr(cls):
    cls.__getattr__ = lambda self, name: setattr(MODULE, "asked", name)


def add_setattr(cls):
    cls.__setattr__ = lambda self, name, value: setattr(MODULE, "stored", name)


def hide_dict(cls):
    own = vars(MODULE).setdefault("own", {})
    vars(MODULE)[cls.__name__] = type(
        cls.__name__, (cls,), {"__dict__": property(lambda self: own)}
    )
    vars(MODULE)[cls.__name__].__module__ = "stateful"


def make_static(cls):
    cls.__setstate__ = staticmethod(lambda state: setattr(MODULE, "static", len(state)))


def make_partial(cls):
    cls.__setstate__ = cls.__mro__[owner(cls)].__setstate__.__get__(made(cls.__name__))


def owner(cls):
    return next(i for i, base in enumerate(cls.__mro__) if "__setstate__" in vars(base))


BREAKS = [
    replace_code,
    replace_method,
    remove_method,
    add_getattribute,
    add_getattr,
    add_setattr,
    hide_dict,
    make_static,
    make_partial,
]


def after_breaking(function, name, breaking, argument):
    """The outcome, and what the broken class has left in its module."""
    make_classes()
    read(name)
    breaking(getattr(MODULE, name))
    left = {"seen", "asked", "stored", "own", "static"} & set(vars(MODULE))
    return outcome(function, argument), sorted(left)


@pytest.mark.parametrize("breaking", BREAKS)
@pytest.mark.parametrize("name", ["Update", "Replace", "Inherits"])
def test_broken_between(name, breaking):
    for fields in {"x": 1, "y": 2}, {"x": 1}:
        data = std_pickle.dumps([made(name, **fields) for _ in range(3)])
        ours = after_breaking(pickle.loads, name, breaking, data)
        assert ours == after_breaking(std_pickle.loads, name, breaking, data)


@pytest.mark.parametrize("breaking", BREAKS)
@pytest.mark.parametrize("name", ["Update", "Replace", "Inherits"])
@pytest.mark.parametrize("where", ["loads", "deepcopy"])
def test_broken_in_the_middle(name, breaking, where):
    class Trigger:
        def __reduce__(self):
            return trigger, (name, breaking.__name__)

        def __deepcopy__(self, memo):
            return trigger(name, breaking.__name__)

    def between(module):
        source = [made(name), made(name), Trigger(), made(name), made(name)]
        if module in (copy, std_copy):
            return module.deepcopy(source)
        return module.loads(std_pickle.dumps(source))

    modules = (pickle, std_pickle) if where == "loads" else (copy, std_copy)
    ours, theirs = (after_breaking(between, name, lambda cls: None, module) for module in modules)
    assert ours == theirs


def trigger(name, breaking):
    globals()[breaking](getattr(MODULE, name))
    return "triggered"


@pytest.mark.parametrize("name", TAKING)
def test_an_instance_may_hide_it(name):
    read(name)
    obj = made(name, x=1)
    vars(obj)["__setstate__"] = print
    for each in obj, [obj, obj]:
        data = std_pickle.dumps(each)
        assert outcome(pickle.loads, data) == outcome(std_pickle.loads, data)
        assert outcome(copy.deepcopy, each) == outcome(std_copy.deepcopy, each)


@contextlib.contextmanager
def tracing(seen):
    sys.settrace(lambda frame, *rest: seen.append(frame.f_code.co_name))
    try:
        yield
    finally:
        sys.settrace(None)


@contextlib.contextmanager
def profiling(seen):
    sys.setprofile(lambda frame, event, argument: seen.append(frame.f_code.co_name))
    try:
        yield
    finally:
        sys.setprofile(None)


@contextlib.contextmanager
def monitoring(seen):
    tool, events = 3, sys.monitoring.events
    sys.monitoring.use_tool_id(tool, "test")
    sys.monitoring.register_callback(
        tool, events.PY_START, lambda code, offset: seen.append(code.co_name)
    )
    sys.monitoring.set_events(tool, events.PY_START)
    try:
        yield
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)


WATCHERS = [tracing, profiling] + ([monitoring] if sys.version_info >= (3, 12) else [])


@pytest.mark.parametrize("watching", WATCHERS)
@pytest.mark.parametrize("name", ["Update", "Replace", "Inherits"])
def test_who_watches_sees_the_calls(name, watching):
    read(name)
    data = std_pickle.dumps([made(name) for _ in range(5)])
    for function, argument in (pickle.loads, data), (copy.deepcopy, pickle.loads(data)):
        seen = []
        with watching(seen):
            function(argument)
        assert seen.count("__setstate__") >= 5


def test_what_the_state_replaces_dies_at_once():
    class Mortal:
        def __del__(self):
            died.append(1)

    read("Update")
    died = []
    MODULE.Mortal = Mortal

    class Reduced:
        def __reduce__(self):
            return make_mortal, (), {"x": 1, "y": 2}

    data = std_pickle.dumps([Reduced(), Reduced()])
    for loads in pickle.loads, std_pickle.loads:
        died.clear()
        loaded = loads(data)
        gc.collect()
        assert died == [1, 1]
        assert [each.y for each in loaded] == [2, 2]


def make_mortal():
    return MODULE.Update(x=MODULE.Mortal(), w=0)


@pytest.mark.parametrize("name", TAKING)
def test_verdicts(name):
    function = getattr(MODULE, name).__setstate__
    if not compiler._CAN_READ:
        pytest.skip("this interpreter's bytecode is not read")
    assert compiler.compile_setstate(function) is (name not in ("Replace", "Cut"))


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_does_otherwise_is_called(name):
    exec(f"class Other(Base):\n    def __setstate__(self, state): {OTHERWISE[name]}", vars(MODULE))
    verdict = compiler.compile_setstate(MODULE.Other.__setstate__)
    assert type(verdict) is compiler.Refusal
    assert verdict.reason
    rows = [made("Other") for _ in range(400)]
    data = std_pickle.dumps(rows)
    assert outcome(pickle.loads, data) == outcome(std_pickle.loads, data)
    assert outcome(copy.deepcopy, rows) == outcome(std_copy.deepcopy, rows)
    exec(
        "class Other(Base):\n    def __setstate__(self): self.__dict__.update(state)", vars(MODULE)
    )
    assert type(compiler.compile_setstate(MODULE.Other.__setstate__)) is compiler.Refusal
    assert type(compiler.compile_setstate(len)) is compiler.Refusal
