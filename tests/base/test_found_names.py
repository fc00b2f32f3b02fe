"""What is remembered of names and tables between calls, broken between two calls.

Each case pickles an object of a class of its own until everything that is remembered is, breaks
one thing on which that stands, and compares with the standard library: while it is broken, and
when it is as it was again.
"""

import builtins
import contextlib
import copyreg
import pickle as std_pickle
import re
import sys
import types

import pytest

import fastcopyreg
from fastcopyreg import pickle

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend remembers nothing", allow_module_level=True)

from fastcopyreg import _core

SOURCE = """
class Point:
    __slots__ = ("x", "y")
    def __init__(self, x, y):
        self.x = x
        self.y = y

class Plain:
    def __init__(self, x, y):
        self.x = x
        self.y = y

class Called(Plain):
    pass

class Other:
    def __init__(self, *args):
        self.args = args

def make(*args):
    return Other(*args)

def reduce_point(p):
    return Point, (p.x, p.y)

def reduce_called(c):
    return Called, (c.x, abs(c.y))

def reduce_otherwise(o):
    return Other, (o.x, "otherwise")
"""

NAME = "found_names_module"


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType(NAME)
    exec(SOURCE, made.__dict__)
    monkeypatch.setitem(sys.modules, NAME, made)
    copyreg.pickle(made.Point, made.reduce_point)
    copyreg.pickle(made.Called, made.reduce_called)
    before = _core.plan_threshold(1)
    yield made
    _core.plan_threshold(before)
    copyreg.dispatch_table.pop(made.Point, None)
    copyreg.dispatch_table.pop(made.Called, None)


def outcome(function, *arguments):
    try:
        result = function(*arguments)
    except Exception as error:
        return type(error), str(error), getattr(error, "__notes__", None)
    return result


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


def test_objects_that_are_the_whole_pickle(module):
    text, again = "some text", "".join(["some", " text"])
    values = [
        (text, text),
        (text, again),
        (NAME, "Point"),
        (sys.intern("Point"), sys.intern(NAME)),
        (module.Point.__qualname__, module.Point.__module__),
        (None, True),
        (2**31, -(2**70)),
        ("x" * 255, "x" * 256),
        ("\u20ac", b"bytes"),
        (1.5, 255),
        ((), []),
        (text, module.Point),
    ]
    for x, y in values:
        obj = module.Point(x, y)
        for protocol in (4, 5):
            for wrapped in (obj, (obj,), [obj, obj], (obj, x, y)):
                for _ in range(3):
                    assert pickle.dumps(wrapped, protocol) == std_pickle.dumps(wrapped, protocol)


def remove_reducer(module, value):
    copyreg.dispatch_table.pop(module.Called, None)
    return value


def replace_reducer(module, value):
    copyreg.dispatch_table[module.Called] = module.reduce_otherwise
    return value


def remove_class(module, value):
    del module.Called
    return value


def remove_module(module, value):
    del sys.modules[NAME]
    return value


def change_code(module, value):
    module.reduce_answer.__code__ = module.reduce_otherwise.__code__
    return value


def dump_another(module, value):
    other = module.Called(5, 6)
    other.answer = lambda: (module.Called, (5, 6))
    for dumps in (pickle.dumps, std_pickle.dumps):
        assert b"found_names_module" in dumps(other)
        assert dumps([other, other]) == std_pickle.dumps([other, other])
    return value


def change_class(module, value):
    module.changed.__class__ = module.Plain
    return value


def fail(module, value):
    raise ValueError("not today")


MEANWHILE = {
    "nothing": lambda module, value: value,
    "no reducer": remove_reducer,
    "another reducer": replace_reducer,
    "no class": remove_class,
    "no module": remove_module,
    "other code": change_code,
    "another dump": dump_another,
    "another class": change_class,
    "a failure": fail,
}

ANSWERS = {
    "atoms": lambda m, o: (m.Called, (1, 2.5, "text", None, True, -(2**40))),
    "no arguments": lambda m, o: (m.Called, ()),
    "many": lambda m, o: (m.Called, tuple(range(1000))),
    "texts": lambda m, o: (m.Called, ("text " * 40,) * 9),
    "different texts": lambda m, o: (m.Called, tuple(f"{i} text" for i in range(20))),
    "itself": lambda m, o: (m.Called, (1,), {"itself": o}),
    "containers": lambda m, o: (m.Called, ([o.x], {"x": o.x}, (o.x,))),
    "a class": lambda m, o: (m.Called, (m.Called, m.Other)),
    "a registered object": lambda m, o: (m.Called, (m.Point(1, 2), m.Point(1, 2))),
    "a function": lambda m, o: (m.make, (1, 2)),
    "a name": lambda m, o: "make",
    "no such name": lambda m, o: "absent",
    "a state": lambda m, o: (m.Called, (1, 2), {"x": o.x}),
    "items": lambda m, o: (m.Called, (1, 2), None, iter([1]), iter([(1, 2)])),
    "a list": lambda m, o: [m.Called, (1, 2)],
    "one part": lambda m, o: (m.Called,),
    "arguments in a list": lambda m, o: (m.Called, [1, 2]),
    "no callable": lambda m, o: (3, (1, 2)),
    "nothing": lambda m, o: None,
    "what cannot be pickled": lambda m, o: (m.Called, (1, lambda: 0)),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("answer", ANSWERS)
def test_whole_pickles_of_called_reducers(answer, meanwhile, module):
    """The reducer is called first; whatever it gave, and did, is then seen to."""

    def reduce_answer(o):
        try:
            return o.answer()
        finally:
            o.calls += 1

    def dump(dumps, does, protocol):
        obj = module.changed = module.Called(1, 2)
        obj.calls = 0
        obj.answer = lambda: does(module, ANSWERS[answer](module, obj))
        result = outcome(dumps, obj, protocol)
        assert obj.calls == (protocol in range(6))
        module.Called = type(obj) if type(obj) is not module.Plain else called
        module.reduce_answer.__code__ = code
        sys.modules[NAME] = module
        copyreg.dispatch_table[module.Called] = reduce_answer
        return result

    def same(does, protocol):
        ours, wanted = (dump(dumps, does, protocol) for dumps in (pickle.dumps, std_pickle.dumps))
        assert clean(ours) == clean(wanted)

    called = module.Called
    module.reduce_answer = reduce_answer
    code = reduce_answer.__code__
    copyreg.pickle(called, reduce_answer)
    for _ in range(8):
        same(MEANWHILE["nothing"], 4)
    for protocol in (4, 5, 2, -1, 9):
        same(MEANWHILE[meanwhile], protocol if protocol != -1 else 5)
        same(MEANWHILE["nothing"], 4)


def clean(result):
    if isinstance(result, bytes):
        return result
    kind, text, notes = result
    return kind, re.sub("0x[0-9a-f]+", "0x", text), notes


def test_recursion_of_called_reducers(module):
    """A reducer that dumps its own object again comes to an end as it does there."""

    def recurse(dumps, obj):
        def reduce_again(o):
            return dumps(o)

        copyreg.pickle(module.Called, reduce_again)
        kind, text, _ = outcome(dumps, obj)
        assert kind is RecursionError
        return text.partition(" while ")[0].partition(" (used")[0]

    obj = module.Called(1, 2)
    for _ in range(6):
        assert recurse(pickle.dumps, obj) == recurse(std_pickle.dumps, obj)


SHAPES = {
    "nothing": ("lambda o: (Shape, ())", 0),
    "one": ("lambda o: (Shape, (o.a0,))", 1),
    "three": ("lambda o: (Shape, (o.a0, o.a1, o.a2))", 3),
    "four": ("lambda o: (Shape, (o.a0, o.a1, o.a2, o.a3))", 4),
    "many": ("lambda o: (Shape, (" + "".join(f"o.a{i}, " for i in range(12)) + "))", 12),
    "twice": ("lambda o: (Shape, (o.a0, o.a0))", 1),
    "constants": ("lambda o: (Shape, (o.a0, 'constant', 300, None))", 1),
    "a default": ("lambda o, extra='extra': (Shape, (o.a0, extra))", 1),
    "a cell": ("(lambda extra: lambda o: (Shape, (o.a0, extra)))('extra')", 1),
    "a class in a cell": ("(lambda made: lambda o: (made, (o.a0,)))(Shape)", 1),
    "its own class": ("lambda o: (o.__class__, (o.a0, o.a1))", 2),
    "its type": ("lambda o: (type(o), (o.a0, o.a1))", 2),
    "a function": ("lambda o: (make, (o.a0, o.a1))", 2),
    "a built-in type": ("lambda o: (range, (o.a0, o.a1))", 2),
    "a state": ("lambda o: (Shape, (o.a0,), {'a1': o.a1})", 2),
}


@pytest.mark.parametrize("slots", [True, False], ids=["slots", "dict"])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_whole_pickles(name, slots, module):
    source, size = SHAPES[name]
    names = tuple(f"a{i}" for i in range(size))
    shape = type("Shape", (), {"__module__": NAME} | ({"__slots__": names} if slots else {}))
    module.Shape = shape
    reducer = eval(source, module.__dict__)
    copyreg.pickle(shape, reducer)
    texts = [f"{i} " * 20 for i in range(20)]
    rows = [range(20), texts, [text * 4 for text in texts], [1.5, None, True, False] * 5]
    rows += [[*texts[:2], texts[0]] * 7, [2**31, -1, 2**64] * 7, ["\u20ac", b"x", ()] * 7]
    rows += [[7] * 20, ["Shape", NAME] * 10, [shape] * 20]
    for row in rows:
        obj = shape()
        for place, value in zip(names, row, strict=False):
            setattr(obj, place, value)
        for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):
            for _ in range(3):
                assert pickle.dumps(obj, protocol) == std_pickle.dumps(obj, protocol)
    if size:
        del obj.a0
        for protocol in (4, 5):
            ours = outcome(pickle.dumps, obj, protocol)
            assert ours == outcome(std_pickle.dumps, obj, protocol)
            assert ours[0] is AttributeError
    copyreg.dispatch_table.pop(shape)


def test_arguments_of_whole_pickles(module):
    obj = module.Point(1, "text")
    calls = [
        ((), {"protocol": protocol})
        for protocol in (None, -1, -(2**70), 0, 2, 4, 5, 6, 2**70, True, 4.0, "4")
    ]
    calls += [((*positional.values(),), {}) for _, positional in calls]
    calls += [((4,), {"buffer_callback": list}), ((5,), {"buffer_callback": list})]
    calls += [((4,), {"buffer_callback": None}), ((), {"fix_imports": False}), ((4, 5), {})]
    for arguments, keywords in calls:
        for _ in range(3):
            ours = outcome(lambda a, k: pickle.dumps(obj, *a, **k), arguments, keywords)
            theirs = outcome(lambda a, k: std_pickle.dumps(obj, *a, **k), arguments, keywords)
            assert ours == theirs
    assert pickle.dumps(obj) == std_pickle.dumps(obj)


def test_the_threshold_is_obeyed_at_once(module):
    obj = module.Point(1, 2)
    for _ in range(5):
        pickle.dumps(obj)
    _core.plan_threshold(0)
    before = _core.plan_counts()
    pickle.dumps(obj)
    assert _core.plan_counts() == before


def test_loads_of_one_call(module):
    """Pickles of one call, whole and with each byte changed, are read as by the machine."""
    module.Other.__eq__ = lambda self, other: self.args == other.args
    rows = [
        (),
        (1,),
        (1.5, -3),
        (None, True, False),
        ("a", "longer text", 255, 256, 65536, -1),
        tuple(range(16)),
        tuple(range(17)),
        ("text",) * 2,
        ("\u20ac",),
        (2**40,),
        (b"x",),
        ((),),
    ]
    for row in rows:
        for called in (module.Other, module.make, len, repr)[: 2 if len(row) > 1 else 4]:
            data = reduced(called, row, 4 + len(row) % 2)
            compare_loads(data)
            compare_loads(data + b"more")
            begin = data.index(called.__name__.encode()) + len(called.__name__)
            for place in (*range(12), *range(begin, len(data))):
                compare_loads(data[:place])
                for byte in (0, 40, 41, 46, 78, 82, 116, 133, 140, 148):
                    compare_loads(data[:place] + bytes([byte]) + data[place + 1 :])


class Reduced:
    def __init__(self, reduction):
        self.reduction = reduction

    def __reduce_ex__(self, protocol):
        return self.reduction


def reduced(called, row, protocol):
    return std_pickle.dumps(Reduced((called, row)), protocol)


def compare_loads(data):
    wanted, ours = outcome(std_pickle.loads, data), outcome(pickle.loads, data)
    if isinstance(wanted, tuple) and wanted and isinstance(wanted[0], type):
        assert ours[0] is wanted[0], data
    elif type(wanted).__name__ == "Other":
        assert (type(ours), ours.args) == (type(wanted), wanted.args), data
    else:
        assert type(ours) is type(wanted), data


INSTANCES = """
import dataclasses

class Dict:
    pass

class Slots:
    __slots__ = ("a", "b", "name")

class Both(Slots):
    pass

class Setter:
    __slots__ = ("_a",)
    a = property(lambda self: self._a, lambda self, value: setattr(self, "_a", [value]))

class Takes:
    def __setstate__(self, state):
        self.taken = state

class New:
    def __new__(cls, *args):
        self = object.__new__(cls)
        self.args = args
        return self

class Sets:
    def __setattr__(self, name, value):
        object.__setattr__(self, name, (name, value))

class Other(Dict):
    def __new__(cls):
        return Dict()

class List(list):
    pass

@dataclasses.dataclass
class Data:
    a: int = 0
    b: int = 0

@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int = 0
    b: int = 0

def function():
    pass
"""

STATES = [
    {"a": 1},
    {"a": 1.5, "b": -70000},
    {"b": None, "a": True, "name": "text"},
    {"a": "a text", "name": 300},
    {"unheard of": 1, "a": 2},
    {f"a{i}": i for i in range(16)},
    {f"a{i}": i for i in range(17)},
    {"\u20ac": 1},
    {"a": "\u20ac"},
    {"a": (1, 2)},
    {1: 2},
    {"": 1},
]


def fields(obj):
    """An instance's class and all of its attributes, in order."""
    slots = ("a", "b", "name", "_a", "args", "taken")
    return (
        type(obj).__name__,
        [(name, getattr(obj, name, "unset")) for name in slots],
        (
            [(key, value, type(key)) for key, value in vars(obj).items()]
            if hasattr(obj, "__dict__")
            else None
        ),
    )


def compare_instances(data):
    results = []
    for loads in (std_pickle.loads, pickle.loads, pickle.loads):
        try:
            made = loads(data)
            results.append(fields(made) if not isinstance(made, type) else made)
        except Exception as error:
            results.append(type(error))
    assert results[1:] == results[:1] * 2, data


def instance(cls, state, protocol=5):
    """A pickle of NEWOBJ and BUILD, whatever the class itself would have made of it."""
    module = cls.__module__.encode()
    name = cls.__name__.encode()
    body = std_pickle.dumps([state], protocol)
    at = body.index(b"]\x94") + 2
    head = b"\x8c" + bytes([len(module)]) + module + b"\x94"
    head += b"\x8c" + bytes([len(name)]) + name + b"\x94\x93\x94)\x81\x94"
    data = head + body[at:-2] + b"b."
    return b"\x80" + bytes([protocol]) + b"\x95" + len(data).to_bytes(8, "little") + data


@pytest.fixture
def instances(module):
    exec(INSTANCES, vars(module))
    for name in ("a", "b", "name", "args", "taken"):
        setattr(module.Dict(), name, None)  # In the keys that instances share.
    return module


def test_loads_of_one_instance(instances):
    """Pickles of one instance, whole and with each byte changed, are read as by the machine."""
    classes = [value for value in vars(instances).values() if isinstance(value, type)]
    for cls in [*classes, instances.function]:
        for number, state in enumerate(STATES):
            for wrapped in (state, (None, state), ({}, state)):
                compare_instances(instance(cls, wrapped, 4 + number % 2))


@pytest.mark.parametrize("name", ["Dict", "Slots", "Both", "Takes", "New"])
def test_loads_of_one_instance_that_is_broken(instances, name):
    for state in ({"a": 1, "b": "text"}, {"name": 2.5}):
        for wrapped in (state, (None, state)):
            data = instance(getattr(instances, name), wrapped)
            assert data == data[:3] + (len(data) - 11).to_bytes(8, "little") + data[11:]
            begin = data.index(name.encode())
            for place in range(begin, len(data)):
                compare_instances(data[:place])
                for byte in (0, 1, 40, 41, 46, 78, 81, 97, 98, 115, 117, 125, 129, 134, 140, 148):
                    compare_instances(data[:place] + bytes([byte]) + data[place + 1 :])


def test_a_class_that_changes_between_loads_of_its_instances(instances):
    def set_state(self, state):
        self.name = state

    rows = [("Dict", {"a": 1, "b": 2}), ("Slots", (None, {"a": 1, "b": 2}))]
    changes = {
        "__setstate__": set_state,
        "__setattr__": lambda self, name, value: None,
        "__new__": lambda cls: object.__new__(instances.Data),
        "__getattribute__": lambda self, name: object.__getattribute__(self, name),
        "a": property(lambda self: 5),
    }
    for name, state in rows:
        cls = getattr(instances, name)
        data = instance(cls, state)
        for attribute, value in changes.items():
            compare_instances(data)
            before = cls.__dict__.get(attribute)
            setattr(cls, attribute, value)
            compare_instances(data)
            if before is None:
                delattr(cls, attribute)
            else:
                setattr(cls, attribute, before)
            compare_instances(data)


def test_audits_of_one_call(module):
    seen = []
    state = {"on": True}

    def hook(event, arguments):
        if state["on"] and event == "pickle.find_class":
            seen.append(arguments)

    sys.addaudithook(hook)
    data = reduced(module.Other, (1, "x"), 5)
    for function in (std_pickle.loads, pickle.loads, pickle.loads):
        function(data)
    state["on"] = False
    assert seen == [(NAME, "Other")] * 3
