"""A `__getstate__` that only loads, and changes none but the dict that it gives: run as a plan.

Each class is made anew for each test and read into its plan first; then bytes, copies, errors and
calls are compared with the standard library's.
"""

import copy as std_copy
import functools
import pickle as std_pickle
import sys
import types

import pytest

import fastcopyreg
from fastcopyreg import compiler, copy, pickle
from support.implementations import PLANS_ARE_ON, requires_core
from support.outcomes import outcome as told
from support.shapes import outcome_of, parts_in

pytestmark = requires_core

MODULE = types.ModuleType("states")

# What a __getstate__ does, of classes with a __dict__ and of classes with slots.
OF_DICT = {
    "itself": "return self.__dict__",
    "copy": "return self.__dict__.copy()",
    "copy and pop": "state = self.__dict__.copy(); state.pop('a'); return state",
    "pop of a default": "state = self.__dict__.copy(); state.pop('x', None); return state",
    "delete": "state = dict(self.__dict__); del state['b']; return state",
    "store": "state = {**self.__dict__}; state['a'] = None; state['z'] = SHARED; return state",
    "display": "return {**self.__dict__, 'a': None, 'z': 1}",
    "pair": "return self.__dict__.copy(), {}",
    "of vars": "return vars(self).copy()",
    "filtered": "return {k: v for k, v in vars(self).items() if k != 'a'}",
    "filtered by a beginning": "return {k: v for k, v in self.__dict__.items()"
    " if not k.startswith('_')}",
    "filtered by an end": "return {k: v for k, v in vars(self).items() if k.endswith('')}",
    "filtered twice": "return {k: v for k, v in vars(self).items()"
    " if k not in ('_lock', 'c') and v is not SHARED}",
    "filtered by a set": "return {k: v for k, v in vars(self).items() if k not in {'b', 'c'}}",
    "filtered by a global": "return {k: v for k, v in vars(self).items() if k in NAMES}",
    "filtered by one": "return {k: v for k, v in vars(self).items() if k == 'b'}",
    "filtered by None": "return {k: v for k, v in vars(self).items() if v is not None}",
    "filtered by truth": "return {k: v for k, v in vars(self).items() if not v}",
    "a key that is there": "state = self.__dict__.copy()\n"
    "        if 'a' in state: del state['a']\n        if 'a' not in state: state['a'] = 1\n"
    "        return state",
    "all pairs": "return {k: v for k, v in self.__dict__.items()}",
    "a loop": "state = {}\n        for k, v in vars(self).items():\n"
    "            if k != '_lock': state[k] = v\n        return state",
    "a loop that goes on": "state = {}\n        for k, v in self.__dict__.items():\n"
    "            if k == 'a' or v is SHARED: continue\n            state[k] = v\n"
    "        state['z'] = 1\n        return state",
    "test": "state = dict(self.__dict__)\n        if state: state.pop('a')\n"
    "        if state: state['z'] = 1\n        return state",
}
OF_ATTRIBUTES = {
    "dict": "return {'a': self.a, 'b': self.b}",
    "tuple": "return self.a, self.b, SHARED",
    "list": "return [self.a, {'b': self.b}]",
    "loop": "return {name: getattr(self, name) for name in NAMES}",
    "statement": "state = {}\n        for name in ('b', 'a'): state[name] = getattr(self, name)\n"
    "        return state",
    "the object": "return {'me': self, 'a': [self, self.a]}",
    "nothing": "return None",
    "a constant": "return 5",
    "falsy": "inner = self.a\n        if inner: inner = {'a': inner}\n"
    "        return {'a': inner, 'b': self.b}",
    "equal": "return {'a': self.a, 'b': SHARED if self.b == 2 else None}",
    "or": "return {'a': self.a or SHARED, 'c': getattr(self, 'c', 0)}",
    "nested": "return {'a': {'a': self.a}, 'b': (self.b, self.b)}",
    "default": "return {'a': self.a, 'd': more}",
    "long": "return {" + ", ".join(f"'k{i}': self.a" for i in range(40)) + "}",
}
CALLED = {
    "filtered by two": "return {k: v for k, v in vars(self).items() if k == 'a' or v is None}",
    "filtered by a call": "return {k: v for k, v in vars(self).items() if callable(v)}",
    "other pairs": "return {k: (v,) for k, v in vars(self).items() if k != 'a'}",
    "other keys": "return {k + '_': v for k, v in vars(self).items()}",
    "turned": "return {str(v): k for k, v in vars(self).items()}",
    "a loop that ends": "state = {}\n        for k, v in vars(self).items():\n"
    "            state[k] = v\n            if k == 'a': break\n        return state",
    "a loop that returns": "state = {}\n        for k, v in vars(self).items():\n"
    "            if k == 'b': return state\n            state[k] = v\n        return state",
    "a loop that is held": "state = {}\n        both = state, self.b\n"
    "        for k, v in vars(self).items():\n            state[k] = v\n        return both",
    "a loop that changes": "state = {}; more = {}\n        for k, v in vars(self).items():\n"
    "            state[k] = v\n            more['a'] = 1\n        return state",
    "what a loop leaves": "state = {}\n        for k, v in vars(self).items(): state[k] = v\n"
    "        return k, v",
    "changes itself": "self.__dict__.pop('a', None); return self.__dict__",
    "changes a value": "state = self.a; state['x'] = 1; return state",
    "changes what it has not made": "state = self.__dict__; state['x'] = 1; return state",
    "a tuple of one": "return (self.a,)",
    "updates": "state = self.__dict__.copy(); state.update(a=1); return state",
    "calls": "return {'a': sorted(self.a)}",
}
# On 3.11 a comprehension is a function of its own.
IS_CALLED_ON_311 = ("loop", "all pairs", *(name for name in OF_DICT if "filtered" in name))

SOURCE = """
SHARED, NAMES = ["shared"], ("a", "b")
class Base:
    __slots__ = ()
    def __repr__(self):
        return type(self).__name__
    def __setstate__(self, state):
        if not isinstance(state, dict):
            state = {"a": state, "b": None}
        for name in state:
            if name in ("a", "b", "c"):
                setattr(self, name, state[name])
class Dict(Base):
    def __getstate__(self, more=SHARED):
        {body}
class Slots(Base):
    __slots__ = "b", "a", "c", "__weakref__"
    def __getstate__(self, more=SHARED):
        {body}
class Child(Dict):
    pass
class Shut(Dict):
    b = property(lambda self: 5, lambda self, value: None)
class Asked(Base):
    __slots__ = "b", "__dict__"
    def __getattr__(self, name):
        raise AttributeError(f"asked for {name}")
    def __getstate__(self, more=SHARED):
        {body}
"""
CLASSES = ["Dict", "Slots", "Child", "Shut", "Asked"]


@pytest.fixture(autouse=True)
def few():
    """Classes are read when three of their objects have been met."""
    sys.modules["states"] = MODULE
    threshold = fastcopyreg._core.plan_threshold(3) if fastcopyreg.backend == "c" else None
    yield
    if threshold is not None:
        fastcopyreg._core.plan_threshold(threshold)
    del sys.modules["states"]


def make_classes(body):
    vars(MODULE).clear()
    vars(MODULE).update(__name__="states", __builtins__=__builtins__, seen=[])
    exec(SOURCE.replace("{body}", body), vars(MODULE))


def made(name, **fields):
    obj = object.__new__(getattr(MODULE, name))
    for field, value in fields.items():
        object.__setattr__(obj, field, value)
    return obj


def rows(name):
    """Objects of each kind, with parts that they share."""
    shared = [["shared"], {}, "text " * 20]
    found = [made(name, a=each, b=shared) for each in (*shared, MODULE.SHARED, 0, 2.5, None)]
    found += [made(name, a=1), made(name), made(name, b=2, a=1), found[0]]
    found.append(made(name, a=found, b=found[0]))
    for key in "_lock", "__getstate__x", 1:
        if hasattr(found[-1], "__dict__"):
            found.append(made(name, a=1, b=shared[0]))
            vars(found[-1])[key] = "other"
    return found


def read(name):
    for _ in range(2):
        pickle.dumps([made(name, a=[1], b=2) for _ in range(6)])


outcome = functools.partial(outcome_of, "__getstate__", parts_in(MODULE), numbers_strings=False)


def assert_same(name):
    """The same of all objects in a list, and of each; made anew, as a function may change them."""
    count = len(rows(name))
    for at in range(-1, count):
        for protocol in range(std_pickle.HIGHEST_PROTOCOL + 1):
            expected = outcome(std_pickle.dumps, pick(name, at), protocol)
            assert outcome(pickle.dumps, pick(name, at), protocol) == expected
        for ours, theirs in (copy.deepcopy, std_copy.deepcopy), (copy.copy, std_copy.copy):
            assert outcome(ours, pick(name, at)) == outcome(theirs, pick(name, at))


def pick(name, at):
    found = rows(name)
    return found if at < 0 else found[at]


BODIES = {**OF_DICT, **OF_ATTRIBUTES, **CALLED}


@pytest.mark.parametrize("body", BODIES)
def test_states(body):
    make_classes(BODIES[body])
    for name in CLASSES:
        if name == "Slots" and ("__dict__" in BODIES[body] or "vars" in BODIES[body]):
            continue
        outcome(read, name)
        assert_same(name)


@pytest.mark.parametrize("body", [*OF_DICT, *OF_ATTRIBUTES])
def test_they_are_run_as_plans(body):
    if not compiler._CAN_READ:
        pytest.skip("this interpreter's bytecode is not read")
    if body in IS_CALLED_ON_311 and sys.version_info < (3, 12):
        pytest.skip("a comprehension is a function of its own")
    make_classes(BODIES[body])
    for name in ("Dict", "Child") if body in OF_DICT else ("Dict", "Slots", "Child", "Asked"):
        verdict = compiler.compile_getstate(getattr(MODULE, name).__getstate__)
        assert isinstance(verdict, compiler.ReducerPlan), verdict
        if name == "Asked" and body == "or":
            continue  # It asks for what is missing.
        read(name)
        if fastcopyreg.backend != "c":
            continue
        found = [made(name, a=[1], b=2), made(name, a=[1], b=2)]
        functions = pickle.dumps, copy_each, copy.deepcopy
        # A __getattr__ is asked for __deepcopy__ first, and so may do anything.
        for function in functions[: 2 if name == "Asked" else 3]:
            function(found)
            before = fastcopyreg._core.plan_counts()[0]
            function(found)
            assert fastcopyreg._core.plan_counts()[0] - before == 2 * PLANS_ARE_ON


def copy_each(objects):
    return [copy.copy(each) for each in objects]


@pytest.mark.parametrize("body", CALLED)
def test_others_are_called(body):
    make_classes(BODIES[body])
    verdict = compiler.compile_getstate(MODULE.Dict.__getstate__)
    assert type(verdict) is compiler.Refusal
    assert verdict.reason


# What changes after a class was read.


def change_code(cls):
    cls.__getstate__.__code__ = (lambda self, more=1: {"a": "code"}).__code__


def change_method(cls):
    cls.__getstate__ = lambda self: {"a": "method"}


def remove_method(cls):
    del cls.__getstate__


def remove_default(cls):
    cls.__getstate__.__defaults__ = None


def add_property(cls):
    cls.a = property(lambda self: MODULE.seen.append("a"), lambda self, value: None)


def add_getattribute(cls):
    def find(self, name):
        MODULE.seen.append(name)
        return object.__getattribute__(self, name)

    cls.__getattribute__ = find


def add_getattr(cls):
    cls.__getattr__ = lambda self, name: MODULE.seen.append(name)


def add_reduce(cls):
    cls.__reduce__ = lambda self: (list, ())


def add_reducer(cls):
    cls.__reduce_ex__ = lambda self, protocol: (list, (), None, iter([1]))


def rebind_globals(cls):
    MODULE.NAMES, MODULE.SHARED = ("b", "b", "a"), {"new": 1}


def shadow_builtins(cls):
    MODULE.getattr = lambda obj, name, *default: MODULE.seen.append(name)
    MODULE.dict = list


CHANGES = [
    change_code,
    change_method,
    remove_method,
    remove_default,
    add_property,
    add_getattribute,
    add_getattr,
    add_reduce,
    add_reducer,
    rebind_globals,
    shadow_builtins,
]
CHANGED = ["copy and pop", "delete", "dict", "loop", "statement", "tuple", "default"]


class Trigger:
    """Changes a class while it is taken apart."""

    def __init__(self, name, what):
        self.change = lambda: what(getattr(MODULE, name))

    def __reduce__(self):
        self.change()
        return "TRIGGER"

    def __deepcopy__(self, memo):
        self.change()
        return "triggered"


TRIGGER = "triggered"


def after_change(function, body, name, what, within):
    make_classes(BODIES[body])
    read(name)
    found = [made(name, a=each, b=SHARED) for each in ([1], SHARED, 2, [3])]
    if within:
        found[2:2] = [Trigger(name, what)]
    else:
        what(getattr(MODULE, name))
    return outcome(function, found), MODULE.seen


SHARED = ["shared"]


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("within", [False, True], ids=["between", "within"])
def test_changes(what, within):
    for body in CHANGED:
        for name in ("Dict",) if body in OF_DICT else ("Dict", "Slots"):
            for ours, theirs in (copy.deepcopy, std_copy.deepcopy), (dumps, std_dumps):
                expected = after_change(theirs, body, name, what, within)
                assert after_change(ours, body, name, what, within) == expected, (body, name)


def dumps(obj):
    return without_trigger(pickle.dumps, obj)


def std_dumps(obj):
    return without_trigger(std_pickle.dumps, obj)


def without_trigger(function, obj):
    """The name that a trigger is saved by has to be found in its module, and be it."""
    global TRIGGER
    TRIGGER = next((each for each in obj if isinstance(each, Trigger)), None)
    try:
        return function(obj)
    finally:
        TRIGGER = "triggered"


def closure(names):
    """Functions with the same code, and cells of their own."""

    def __getstate__(self):
        state = {}
        for name in names:
            state[name] = getattr(self, name)
        return state

    return __getstate__


def test_cells_are_those_of_each_class():
    make_classes("return 5")
    for at, names in enumerate([("a", "b"), ("b",), ("a",)]):
        members = {"__getstate__": closure(names), "__module__": "states"}
        setattr(MODULE, f"Of{at}", type(f"Of{at}", (MODULE.Base,), members))
        read(f"Of{at}")
    cell = MODULE.Of0.__getstate__.__closure__[0]
    for contents in ("a", "b"), ("b", "a"), ("c",), [], ["a"]:
        for at in range(3):
            assert_same(f"Of{at}")
        cell.cell_contents = contents
    del cell.cell_contents
    assert_same("Of0")


def test_the_profiler_sees_the_calls():
    make_classes(BODIES["dict"])
    read("Dict")
    found, seen = [made("Dict", a=1, b=2) for _ in range(5)], []
    sys.setprofile(lambda frame, event, argument: seen.append(frame.f_code.co_name))
    try:
        pickle.dumps(found)
    finally:
        sys.setprofile(None)
    assert seen.count("__getstate__") >= 5


@pytest.mark.parametrize("body", ["dict", "tuple", "nested", "copy and pop", "filtered"])
def test_notes_on_errors(body):
    """What cannot be pickled, at the first place and at others."""
    make_classes(BODIES[body])
    for name in ("Dict",) if body in OF_DICT else ("Dict", "Slots", "Asked"):
        read(name)
        for fields in {"a": sys}, {"b": sys}, {"a": 1, "b": [1, (sys,)]}:
            found = [made(name, **{"a": 0, "b": 0, **fields}) for _ in range(2)]
            for protocol in range(2, std_pickle.HIGHEST_PROTOCOL + 1):
                expected = told(std_pickle.dumps, found, protocol)
                assert told(pickle.dumps, found, protocol) == expected


def test_nesting():
    """A chain of objects is as deep as it can be there, and no deeper end is a crash."""
    make_classes(BODIES["dict"])
    read("Dict")
    for depth in 300, 30_000:
        found = None
        for _ in range(depth):
            found = made("Dict", a=found, b=1)
        expected, ours = told(std_pickle.dumps, found), told(pickle.dumps, found)
        assert ours == expected or (depth > 300 and ours[0] is RecursionError)
        while found is not None:
            found = vars(found).pop("a")


def test_attrs():
    attrs = pytest.importorskip("attrs")
    make_classes("return 5")

    @attrs.define
    class Define:
        a: int
        b: object = 5

    @attrs.frozen(cache_hash=True)
    class Cached:
        a: int

    @attrs.define
    class Child(Define):
        c: list = attrs.Factory(list)

    for cls in Define, Cached, Child:
        cls.__module__, cls.__qualname__ = "states", cls.__name__
        setattr(MODULE, cls.__name__, cls)
        found = [cls(each) for each in (1, [2], SHARED, SHARED)] * 3
        read_plans = 2 * PLANS_ARE_ON * (sys.version_info >= (3, 12))
        for _ in range(3):
            for protocol in range(2, std_pickle.HIGHEST_PROTOCOL + 1):
                assert pickle.dumps(found, protocol) == std_pickle.dumps(found, protocol)
            assert copy.deepcopy(found) == found
        if fastcopyreg.backend == "c":
            before = fastcopyreg._core.plan_counts()[0]
            pickle.dumps(found[:2])
            assert fastcopyreg._core.plan_counts()[0] - before == read_plans
        object.__delattr__(found[1], "a")
        assert outcome(pickle.dumps, found) == outcome(std_pickle.dumps, found)


class Contains:
    def __contains__(self, key):
        return key == "a"


class Text(str):
    __slots__ = ()


class Truth:
    def __bool__(self):
        raise ZeroDivisionError


OPERANDS = {
    "tuple": ("a",),
    "list": ["b", "x"],
    "set": {"a", "_lock"},
    "frozenset": frozenset("b"),
    "dict": {"a": 1},
    "text": "abc",
    "other items": ("a", 1, None),
    "other elements": {"a", 1},
    "subclass of str": [Text("a")],
    "asked": Contains(),
    "no container": 5,
    "none": None,
}


@pytest.mark.parametrize("operand", OPERANDS)
def test_what_pairs_are_tested_against(operand):
    for test in "k in NAMES", "k not in NAMES", "k == NAMES", "v is not NAMES":
        body = f"return {{k: v for k, v in self.__dict__.items() if {test}}}"
        make_classes(body)
        read("Dict")
        MODULE.NAMES = OPERANDS[operand]
        assert_same("Dict")
    del MODULE.NAMES
    assert_same("Dict")


def test_a_value_whose_truth_runs_code():
    for body in "if v", "if not v", "if v is not None and v":
        make_classes(f"return {{k: v for k, v in self.__dict__.items() {body}}}")
        read("Dict")
        found = [made("Dict", a=each, b=0) for each in (1, "", [], Truth(), MODULE, 2)]
        for obj in found:
            expected = outcome(std_copy.copy, obj)
            assert outcome(copy.copy, obj) == expected
            assert outcome(copy.deepcopy, obj) == outcome(std_copy.deepcopy, obj)
            assert outcome(pickle.dumps, obj) == outcome(std_pickle.dumps, obj)
