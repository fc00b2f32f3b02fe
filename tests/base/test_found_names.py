"""What is remembered of names and tables between calls, broken between two calls.

Each case pickles an object of a class of its own until everything that is remembered is, breaks
one thing on which that stands, and compares with the standard library: while it is broken, and
when it is as it was again.
"""

import builtins
import contextlib
import copyreg
import pickle as std_pickle
import sys
import types

import pytest

import fastcopyreg
from fastcopyreg import pickle

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend remembers nothing", allow_module_level=True)

from fastcopyreg import _core
from support import named
from support.named import NAME, SOURCE
from support.outcomes import outcome


@pytest.fixture
def module(monkeypatch):
    with named.made(monkeypatch) as made:
        yield made


def contents(result):
    if not hasattr(result, "__reduce_ex__") or isinstance(result, (tuple, bytes)):
        return result
    return type(result), [getattr(result, name, None) for name in ("x", "y", "args")]


def compare(objects, pickles):
    for obj in objects:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            wanted = outcome(std_pickle.dumps, obj, protocol)
            assert outcome(pickle.dumps, obj, protocol) == wanted
            assert outcome(pickle.dumps, [obj, obj], protocol) == outcome(
                std_pickle.dumps, [obj, obj], protocol
            )
    for data in pickles:
        wanted = contents(outcome(std_pickle.loads, data))
        assert contents(outcome(pickle.loads, data)) == wanted


class OddModule(types.ModuleType):
    def __getattribute__(self, name):
        if name == "Point":
            raise AttributeError("not today")
        return super().__getattribute__(name)


@contextlib.contextmanager
def table_entry(cls, reducer):
    before = copyreg.dispatch_table.pop(cls, None)
    if reducer is not None:
        copyreg.dispatch_table[cls] = reducer
    yield
    copyreg.dispatch_table.pop(cls, None)
    if before is not None:
        copyreg.dispatch_table[cls] = before


@contextlib.contextmanager
def attribute(holder, name, value):
    before = getattr(holder, name)
    setattr(holder, name, value)
    yield
    setattr(holder, name, before)


@contextlib.contextmanager
def without(holder, name):
    before = getattr(holder, name)
    delattr(holder, name)
    yield
    setattr(holder, name, before)


@contextlib.contextmanager
def entry(mapping, key, value):
    before = mapping[key]
    mapping[key] = value
    yield
    mapping[key] = before


@contextlib.contextmanager
def replaced_module(module):
    twin = types.ModuleType(NAME)
    exec(SOURCE, twin.__dict__)
    with entry(sys.modules, NAME, twin):
        yield


@contextlib.contextmanager
def missing_module(module):
    del sys.modules[NAME]
    yield
    sys.modules[NAME] = module


@contextlib.contextmanager
def initializing(module):
    spec = sys.__spec__
    before = module.__spec__
    module.__spec__ = types.SimpleNamespace(_initializing=False, name=NAME, loader=spec.loader)
    yield
    module.__spec__ = before


@contextlib.contextmanager
def counted_imports(module):
    seen = []
    original = builtins.__import__

    def counting(name, *arguments, **keywords):
        seen.append(name)
        return original(name, *arguments, **keywords)

    with attribute(builtins, "__import__", counting):
        yield
    assert seen.count(NAME) >= 2
    assert seen.count(NAME) % 2 == 0


@contextlib.contextmanager
def profiled(module):
    seen = []
    sys.setprofile(lambda frame, event, argument: seen.append(frame.f_code.co_name))
    try:
        yield
    finally:
        sys.setprofile(None)
    assert seen.count("reduce_point") % 2 == 0
    assert "reduce_point" in seen


@contextlib.contextmanager
def extension(module):
    copyreg.add_extension(NAME, "Point", 240)
    yield
    copyreg.remove_extension(NAME, "Point", 240)


@contextlib.contextmanager
def filler(module):
    for number in range(300):
        setattr(module, f"filler_{number}", number)
    yield
    for number in range(300):
        delattr(module, f"filler_{number}")


BREAKS = {
    "another reducer": lambda m: table_entry(m.Point, m.reduce_otherwise),
    "no reducer": lambda m: table_entry(m.Point, None),
    "a reducer of a plain class": lambda m: table_entry(m.Plain, m.reduce_otherwise),
    "another reducer that is called": lambda m: table_entry(m.Called, m.reduce_point),
    "other code": lambda m: attribute(
        m.reduce_point, "__code__", m.reduce_otherwise.__code__.replace()
    ),
    "other code that is called": lambda m: attribute(
        m.reduce_called, "__code__", m.reduce_otherwise.__code__.replace()
    ),
    "another global": lambda m: attribute(m, "Point", m.Other),
    "no global": lambda m: without(m, "Point"),
    "no plain class": lambda m: without(m, "Plain"),
    "a factory": lambda m: attribute(m, "Point", m.make),
    "another module": replaced_module,
    "no module": missing_module,
    "a module of another kind": lambda m: entry(sys.modules, NAME, object()),
    "a namespace": lambda m: entry(
        sys.modules, NAME, types.SimpleNamespace(Point=m.Point, Plain=3)
    ),
    "a class of the module": lambda m: attribute(m, "__class__", OddModule),
    "another spec": initializing,
    "another name": lambda m: attribute(m.Point, "__qualname__", "Plain"),
    "another module name": lambda m: attribute(m.Point, "__module__", "sys"),
    "an opcode of its own": lambda m: attribute(m.Point, "__name__", "__newobj__"),
    "imports that are seen": counted_imports,
    "a profiler": profiled,
    "an extension": extension,
    "a larger module": filler,
    "builtins of the module": lambda m: entry(m.__dict__, "__builtins__", {}),
    "another __newobj__": lambda m: attribute(copyreg, "__newobj__", m.make),
    "no copyreg": lambda m: entry(sys.modules, "copyreg", m),
}


@pytest.mark.parametrize("name", BREAKS)
def test_broken_between_calls(name, module):
    objects = [
        module.Point(1, 2.5),
        module.Point("a", "a"),
        module.Plain(1, 2),
        module.Called(1, -2),
    ]
    pickles = [std_pickle.dumps(obj, protocol) for obj in objects for protocol in (2, 4)]
    for _ in range(5):
        compare(objects, pickles)
    with BREAKS[name](module):
        compare(objects, pickles)
        compare(objects, pickles)
    compare(objects, pickles)


def test_builtins_of_the_caller(module):
    objects = [module.Point(1, 2.5), module.Plain(1, 2)]
    seen = []

    def counting(name, *arguments, **keywords):
        seen.append(name)
        return __import__(name, *arguments, **keywords)

    names = {"__builtins__": {"__import__": counting}}
    for obj in objects:
        data = pickle.dumps(obj)
        for function, argument in ((std_pickle.dumps, obj), (std_pickle.loads, data)):
            ours = getattr(pickle, function.__name__)
            expected = []
            for called in (function, ours, function, ours):
                seen.clear()
                exec("called(argument)", names | {"called": called, "argument": argument})
                expected.append(list(seen))
            assert expected[0] == expected[1] == expected[2] == expected[3]
            assert NAME in expected[0]


def test_code_that_comes_and_goes(module):
    """The code of a reducer may lie where another one's was."""
    obj = module.Point(1, 2)
    for number in range(300):
        names = {"Point": module.Point, "Other": module.Other}
        exec(f"def reduce(p): return Other, (p.x, {number}, p.y)", names)
        module.reduce_point.__code__ = names["reduce"].__code__
        for _ in range(3):
            assert pickle.dumps(obj) == std_pickle.dumps(obj)


def test_the_threshold_is_obeyed_at_once(module):
    obj = module.Point(1, 2)
    for _ in range(5):
        pickle.dumps(obj)
    _core.plan_threshold(0)
    before = _core.plan_counts()
    pickle.dumps(obj)
    assert _core.plan_counts() == before
