"""Pickles that are one object: by plan, or what its reducer, which is called first, has given."""

import copyreg
import pickle as std_pickle
import sys

import pytest

import fastcopyreg
from fastcopyreg import pickle

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend has no way of its own", allow_module_level=True)

from support import named
from support.named import NAME
from support.outcomes import outcome


@pytest.fixture
def module(monkeypatch):
    with named.made(monkeypatch) as made:
        yield made


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
        assert dump(pickle.dumps, does, protocol) == dump(std_pickle.dumps, does, protocol)

    called = module.Called
    module.reduce_answer = reduce_answer
    code = reduce_answer.__code__
    copyreg.pickle(called, reduce_answer)
    for _ in range(8):
        same(MEANWHILE["nothing"], 4)
    for protocol in (4, 5, 2, -1, 9):
        same(MEANWHILE[meanwhile], protocol if protocol != -1 else 5)
        same(MEANWHILE["nothing"], 4)


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
