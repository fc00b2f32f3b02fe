"""Calls that a load makes without the tuples and dicts in between, against the oracle.

Partials, classes whose __new__ takes keywords, state setters, and instances that have more
attributes than their class has places for.
"""

import functools
import io
import pickle
import sys

import pytest

from fastcopyreg import _stdlib
from fastcopyreg import pickle as ours
from support.implementations import requires_core

pytestmark = requires_core

EVENTS = []


class Stores:
    def __init__(self, x, y=2, z=3):
        self.x = x
        self.y = y
        self.z = z


class Runs:
    def __init__(self, x, /, y, *rest, z=3, **more):
        EVENTS.append(("init", x, y, rest, z, more))
        self.x, self.y, self.z = x, y, z


class Returns:
    def __init__(self, x, y):
        return x if x == 5 else None  # noqa: PLE0101


class News:
    def __new__(cls, x, /, y=2, *rest, z=3):
        EVENTS.append(("new", x, y, rest, z))
        self = object.__new__(cls)
        self.x, self.y, self.z = x, y, z
        return self


class NewsAndInits(News):
    def __init__(self, x, *, z):
        self.w = z


class Lists(list):
    pass


class Metaclass(type):
    def __call__(cls, *arguments, **keywords):
        EVENTS.append(("call", arguments, keywords))
        return super().__call__(*arguments, **keywords)


class Called(metaclass=Metaclass):
    def __init__(self, x, y=2, z=3):
        self.x, self.y, self.z = x, y, z


def function(x, y, z=3):
    EVENTS.append(("function", x, y, z))
    return [x, y, z]


def calls(x, y, z=3):
    return Stores(x, y, z)


class Partial(functools.partial):
    def __call__(self, *arguments, **keywords):
        EVENTS.append("partial")
        return super().__call__(*arguments, **keywords)


class Call:
    """Pickled as a call."""

    def __init__(self, callable, *arguments):
        self.reduced = callable, arguments

    def __reduce__(self):
        return self.reduced


def outcome(load, data):
    """What comes of a load, as a text: attributes in order; or the error; and what was called."""
    EVENTS.clear()
    try:
        loaded = [(type(each), getattr(each, "__dict__", each)) for each in load(data)]
    except Exception as error:
        loaded = type(error), str(error)
    return repr((loaded, EVENTS))


def by_unpickler(module):
    return lambda data: module.Unpickler(io.BytesIO(data)).load()


def assert_same(data):
    for _ in range(3):
        assert outcome(ours.loads, data) == outcome(_stdlib.loads, data)
    assert outcome(by_unpickler(ours), data) == outcome(by_unpickler(_stdlib), data)


CALLABLES = [Stores, Runs, Returns, News, NewsAndInits, Lists, Called, function, calls, dict]

BOUND = [
    ((), {}),
    ((1,), {}),
    ((), {"y": 5}),
    ((), {"z": 5, "y": 6}),
    ((), {"x": 5}),
    ((1,), {"z": 5}),
    ((1, 2, 3, 4), {"z": 5}),
    ((), {"w": 1}),
    ((), {"self": 1}),
    ((), {"cls": 1, "z": 2}),
    ((), {f"k{i}": i for i in range(40)}),
]


@pytest.mark.parametrize("make", [functools.partial, Partial], ids=["partial", "subclass"])
@pytest.mark.parametrize("called", CALLABLES, ids=lambda called: called.__name__)
def test_partials_call_what_they_bind(called, make, read_at_once):
    for arguments, keywords in BOUND:
        bound = make(called, *arguments, **keywords)
        for given in ((), (1,), (5, 6), ([1], 2, 3)):
            assert_same(pickle.dumps([Call(bound, *given)] * 3 + [Call(bound, *given)]))


@pytest.mark.skipif(sys.version_info < (3, 14), reason="without placeholders")
@pytest.mark.parametrize("called", CALLABLES, ids=lambda called: called.__name__)
def test_partials_with_placeholders_are_called(called, read_at_once):
    bound = functools.partial(called, functools.Placeholder, 2, z=3)
    assert_same(pickle.dumps([Call(bound, 1), Call(bound, 1), Call(bound, 1)]))


def test_a_class_in_a_partial_may_change(read_at_once, monkeypatch):
    data = pickle.dumps([Call(functools.partial(Stores, y=5), 1) for _ in range(4)])
    assert_same(data)
    monkeypatch.setattr(Stores.__init__, "__code__", (lambda self, y, x=1, z=2: None).__code__)
    assert_same(data)
    monkeypatch.setattr(Stores, "__init__", lambda self, w, **more: EVENTS.append((w, more)))
    assert_same(data)
    monkeypatch.undo()
    assert_same(data)


class NewByNames:
    """Pickled with keywords for its __new__."""

    arguments = (1,), {"z": 5}

    def __new__(cls, x, /, y=2, *rest, z=3):
        EVENTS.append(("new", x, y, rest, z))
        return object.__new__(cls)

    def __getnewargs_ex__(self):
        return self.arguments


@pytest.mark.parametrize("arguments", BOUND, ids=str)
def test_new_takes_keywords(arguments, monkeypatch):
    made = [NewByNames(1) for _ in range(3)]
    monkeypatch.setattr(NewByNames, "arguments", arguments)
    assert_same(pickle.dumps(made))


# More attributes than places.


def attributes(number, names):
    """An object of a class whose objects had fewer attributes for long."""
    made = Few(number)
    for name in names:
        setattr(made, name, number)
    return made


class Few:
    def __init__(self, number):
        self.first = number
        self.items = [number]


OFTEN = [Few(number) for number in range(100)]

MORE = ("a", "b", "c", "an\u00e9", "an attribute")


@pytest.mark.parametrize("load", [lambda m: m.loads, by_unpickler], ids=["loads", "Unpickler"])
@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_attributes_without_a_place_are_stored_alike(load, count):
    made = [attributes(number, MORE) for number in range(count)]
    data = pickle.dumps(made + [attributes(1, MORE[:3]), attributes(2, reversed(MORE)), *made])
    here, there = load(ours)(data), load(_stdlib)(data)
    assert [vars(each) for each in here] == [vars(each) for each in there]
    assert [list(vars(each)) for each in here] == [list(vars(each)) for each in there]
    for each in here[: count + 2]:
        assert all(sys.intern(name) is name for name in vars(each))
        each.later = each.first = 5
        del each.a
        assert (each.first, hasattr(each, "a"), each.c) == (5, False, vars(each)["c"])
    assert pickle.dumps(load(ours)(data)) == pickle.dumps(load(_stdlib)(data))


def test_the_memo_has_states_without_a_place():
    data = pickle.dumps([attributes(number, MORE) for number in range(9)])
    memos = []
    for module in (ours, _stdlib):
        unpickler = module.Unpickler(io.BytesIO(data))
        unpickler.load()
        entries = unpickler.memo.copy().items()
        memos.append([(key, vars(each)) for key, each in entries if type(each) is Few])
        memos[-1] += [(key, each) for key, each in entries if type(each) is dict]
    assert memos[0] == memos[1] != []


# State setters, whose results are dropped.


class Mortal:
    def __del__(self):
        EVENTS.append("died")


def fill(made, state):
    """Puts something into the state that nothing else holds."""
    EVENTS.append("set")
    made.value = state.get("value")
    state["more"] = Mortal()
    return state if made.value == 3 else None


class Set:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return object.__new__, (Set,), {"value": self.value}, None, None, fill


@pytest.mark.parametrize("load", [lambda m: m.loads, by_unpickler], ids=["loads", "Unpickler"])
def test_states_given_to_setters_live_as_long(load):
    data = pickle.dumps([Set(number) for number in range(6)] * 2)
    assert outcome(load(ours), data) == outcome(load(_stdlib), data)


class Sets:
    def __setstate__(self, state):
        self.state = state
        state["own"] = Mortal()
        state["self"] = state if len(state) % 2 else self

    def __getstate__(self):
        return {"a": 1, "b": [2]}


def test_states_that_hold_themselves_are_collected():
    """The collector looks at a state again that somebody has kept."""
    import gc

    data = pickle.dumps([Sets() for _ in range(6)])
    deaths = []
    for loads in (ours.loads, _stdlib.loads):
        EVENTS.clear()
        loaded = loads(data)
        assert all(gc.is_tracked(each.state) for each in loaded)
        del loaded
        gc.collect()
        deaths.append(list(EVENTS))
    assert deaths[0] == deaths[1] == ["died"] * 6
