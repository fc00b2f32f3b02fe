"""Guards of the plans that make objects, in loads and deep copies, beside the standard library.

As in `test_guards.py`, but of constructors: each case has one read into a plan, breaks something
that the plan was read from, between two loads or in the middle of one, and compares what comes
out with what the standard library makes of the same pickle.
"""

import contextlib
import copy as std_copy
import copyreg
import fractions
import functools
import gc
import pickle as std_pickle
import signal
import sys
import types

import pytest

import fastcopyreg
from fastcopyreg import copy, pickle

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend calls every function", allow_module_level=True)

from fastcopyreg import _core
from fastcopyreg._compiler import values as _values
from support import outcomes
from support.child import in_child, requires_fork
from support.implementations import PLANS_ARE_ON

SOURCE = """
import collections
import dataclasses

LOG = []
DEFAULT = ["default"]

class Slots:
    __slots__ = ("x", "y")
    def __init__(self, x, y=DEFAULT):
        self.x = x
        self.y = y

class Plain:
    def __init__(self, x, y=DEFAULT, *, z=7):
        self.x = x
        self.y = y
        self.z = z

class Child(Plain):
    def __init__(self, x, y):
        super().__init__(x, y)
        self.w = y

class Direct(Plain):
    def __init__(self, x, y):
        Plain.__init__(self, x, y)

class Branching:
    def __init__(self, x=None, y=None):
        self.x = [] if x is None else x
        self.y = y or {}

@dataclasses.dataclass(frozen=True)
class Frozen:
    x: object
    y: list = dataclasses.field(default_factory=list)

Pair = collections.namedtuple("Pair", "x y", defaults=[5])

def factory(x, y=3):
    return Slots(x, y)

def class_factory(cls, x, y):
    return cls(x, y)

class Other:
    def __init__(self, *args):
        self.args = args

def reduce_slots(o):
    return Slots, (o.x, o.y)

def reduce_plain(o):
    return Plain, (o.x, o.y)

def reduce_child(o):
    return Child, (o.x, o.y)

def reduce_direct(o):
    return Direct, (o.x, o.y)

def reduce_branching(o):
    return Branching, (o.x, o.y)

def reduce_frozen(o):
    return Frozen, (o.x, o.y)

def reduce_pair(o):
    return Pair, (o[0], o[1])

def reduce_factory(o):
    return factory, (o.x, o.y)

def reduce_class_factory(o):
    return class_factory, (Slots, o.x, o.y)

class Trigger:
    pass

def trigger():
    for function in LOG:
        function()
    return "triggered"

def reduce_trigger(o):
    return trigger, ()
"""

CLASSES = {
    "slots": "Slots",
    "plain": "Plain",
    "child": "Child",
    "direct": "Direct",
    "branching": "Branching",
    "frozen": "Frozen",
    "pair": "Pair",
    "factory": "Slots",
    "class_factory": "Slots",
}


class Case:
    def __init__(self, name):
        self.name = name
        self.module = types.ModuleType("made")
        sys.modules["made"] = self.module
        exec(SOURCE, vars(self.module))
        self.cls = getattr(self.module, CLASSES[name])
        copyreg.pickle(self.cls, getattr(self.module, f"reduce_{name}"))
        copyreg.pickle(self.module.Trigger, self.module.reduce_trigger)

    def objects(self, count=4):
        return [self.cls(f"x{i}", [i]) for i in range(count)]

    def close(self):
        for name in {*CLASSES.values(), "Trigger"}:
            copyreg.dispatch_table.pop(getattr(self.module, name), None)
        copyreg.dispatch_table.pop(self.cls, None)
        del sys.modules["made"]


pytestmark = pytest.mark.usefixtures("read_at_once")


@contextlib.contextmanager
def case_of(name):
    case = Case(name)
    try:
        yield case
    finally:
        case.close()


def described(made):
    """An object as something that can be compared, with its attributes in order."""
    if isinstance(made, list):
        return [described(item) for item in made]
    if isinstance(made, tuple):
        return type(made).__name__, [described(item) for item in made]
    if type(made).__module__ != "made":
        return repr(made)
    slots = [name for name in ("x", "y") if hasattr(type(made), "__slots__")]
    found = [(name, described(getattr(made, name, "unset"))) for name in slots]
    return type(made).__name__, found, described(list(getattr(made, "__dict__", {}).items()))


def outcome(function, value):
    return outcomes.outcome(lambda: described(function(value)))


def warm_up(case):
    data = std_pickle.dumps(case.objects(), 4)
    for _ in range(4):
        before = _core.plan_counts()[1]
        made = outcome(pickle.loads, data)
    assert made == outcome(std_pickle.loads, data)
    if PLANS_ARE_ON:
        assert _core.plan_counts()[1] - before == len(case.objects())
    for _ in range(4):
        before = _core.plan_counts()[1]
        made = outcome(copy.deepcopy, case.objects())
    assert made == outcome(std_copy.deepcopy, case.objects())
    if PLANS_ARE_ON:
        assert _core.plan_counts()[1] - before == len(case.objects())


def put(path, name, value):
    def breaks(case):
        holder = case.module
        for part in path.split("."):
            holder = getattr(holder, part)
        setattr(holder, name, value(case) if callable(value) else value)

    return breaks


def code_of(source):
    def value(case):
        namespace = {}
        exec(source, namespace)
        return namespace["f"].__code__

    return value


def function_of(source):
    def value(case):
        namespace = {}
        exec(source, namespace)
        return namespace["f"]

    return value


def add_property(name):
    def breaks(case):
        setattr(case.cls, name, property(lambda self: "got", lambda self, value: None))

    return breaks


def add_setattr(case):
    def setattr_(self, name, value):
        object.__setattr__(self, name, f"set {value}")

    case.cls.__setattr__ = setattr_


def add_new(case):
    case.cls.__new__ = lambda cls, *args: "made by __new__"


def make_abstract(case):
    case.cls.__abstractmethods__ = frozenset({"method"})


def other_cell(case):
    case.module.Child.__init__.__closure__[0].cell_contents = case.module.Direct


def other_tuple_new(case):
    vars_ = case.module.Pair.__new__.__globals__
    vars_["_tuple_new"] = lambda cls, items: tuple.__new__(cls, items[::-1])


def shadow(name):
    return lambda case: vars(case.module).__setitem__(name, lambda *args: case.module.Other(*args))


def lose_default(case):
    case.module.Plain.__init__.__kwdefaults__ = None


def other_bases(case):
    case.module.Child.__bases__ = (case.module.Direct,)


def data_descriptor(case):
    class Descriptor:
        def __set__(self, instance, value):
            raise AttributeError("refused")

        def __get__(self, instance, owner=None):
            return "described"

    case.cls.y = Descriptor()


SAME = "def f(self, x, y=5):\n    self.y = x\n    self.x = y\n"

BREAKS = {
    "code": ("slots", put("Slots.__init__", "__code__", code_of(SAME))),
    "init": ("slots", put("Slots", "__init__", function_of(SAME))),
    "init of a dict class": ("plain", put("Plain", "__init__", function_of(SAME))),
    "init no function": (
        "slots",
        put("Slots", "__init__", lambda c: functools.partialmethod(lambda self, *args: None)),
    ),
    "init removed": ("slots", lambda case: delattr(case.module.Slots, "__init__")),
    "defaults": ("factory", put("factory", "__defaults__", (8,))),
    "keyword default": ("plain", put("Plain.__init__", "__kwdefaults__", {"z": 8})),
    "keyword default removed": ("plain", lose_default),
    "base's init": ("child", put("Plain", "__init__", function_of(SAME))),
    "base's code": ("direct", put("Plain.__init__", "__code__", code_of(SAME))),
    "base's keyword default": ("child", put("Plain.__init__", "__kwdefaults__", {"z": 9})),
    "base's name rebound": ("direct", shadow("Plain")),
    "bases": ("child", other_bases),
    "cell of the class": ("child", other_cell),
    "super overshadowed": ("child", shadow("super")),
    "object overshadowed": ("frozen", shadow("object")),
    "property in slots": ("slots", add_property("x")),
    "property in a dict class": ("plain", add_property("y")),
    "data descriptor": ("plain", data_descriptor),
    "setattr": ("plain", add_setattr),
    "setattr with slots": ("slots", add_setattr),
    "new": ("plain", add_new),
    "abstract": ("slots", make_abstract),
    "slot deleted": ("slots", lambda case: delattr(case.module.Slots, "y")),
    "factory's code": (
        "factory",
        put("factory", "__code__", code_of("def f(x, y=1): return (x,)")),
    ),
    "factory's global": ("factory", shadow("Slots")),
    "class of a factory": ("class_factory", put("Slots", "__init__", function_of(SAME))),
    "tuple new": ("pair", other_tuple_new),
    "init of a named tuple": ("pair", put("Pair", "__init__", lambda c: lambda self, *args: None)),
    "new of a named tuple": (
        "pair",
        put("Pair", "__new__", lambda c: lambda cls, *args: tuple.__new__(cls, (1, 2))),
    ),
    "branching code": ("branching", put("Branching.__init__", "__code__", code_of(SAME))),
}


@pytest.mark.parametrize("name", BREAKS)
def test_between_loads(name):
    constructor, breaks = BREAKS[name]
    with case_of(constructor) as case:
        warm_up(case)
        data = std_pickle.dumps(case.objects(), 4)
        breaks(case)
        expected = outcome(std_pickle.loads, data)
        for _ in range(4):
            assert outcome(pickle.loads, data) == expected


@pytest.mark.parametrize("name", BREAKS)
def test_between_copies(name):
    constructor, breaks = BREAKS[name]
    with case_of(constructor) as case:
        warm_up(case)
        objects = case.objects()
        breaks(case)
        expected = outcome(std_copy.deepcopy, objects)
        for _ in range(4):
            assert outcome(copy.deepcopy, objects) == expected


@pytest.mark.parametrize("operation", ("loads", "deepcopy"))
@pytest.mark.parametrize("name", BREAKS)
def test_in_the_middle(name, operation):
    """The constructor of an object in the middle of a list breaks the guard."""
    constructor, breaks = BREAKS[name]
    answers = []
    for which in (0, 1):
        with case_of(constructor) as case:
            warm_up(case)
            value = [*case.objects(), case.module.Trigger(), *case.objects()]
            data = std_pickle.dumps(value, 4)
            case.module.LOG.append(lambda case=case: breaks(case))
            if operation == "loads":
                answers.append(outcome((std_pickle, pickle)[which].loads, data))
            else:
                answers.append(outcome((std_copy, copy)[which].deepcopy, value))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("operation", ("loads", "deepcopy"))
@pytest.mark.parametrize("name", BREAKS)
def test_by_an_argument(name, operation):
    """The guard is broken while the arguments of the very object are being made."""
    constructor, breaks = BREAKS[name]
    answers = []
    for which in (0, 1):
        with case_of(constructor) as case:
            warm_up(case)
            value = [*case.objects(2), case.cls("first", case.module.Trigger()), *case.objects(2)]
            data = std_pickle.dumps(value, 4)
            case.module.LOG.append(lambda case=case: breaks(case))
            if operation == "loads":
                answers.append(outcome((std_pickle, pickle)[which].loads, data))
            else:
                answers.append(outcome((std_copy, copy)[which].deepcopy, value))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("count", range(5))
def test_numbers_of_arguments(name, count):
    """Too few and too many are errors, in the words of the constructor."""

    class Calls:
        def __init__(self, callable, arguments):
            self.reduction = callable, arguments

        def __reduce__(self):
            return self.reduction

    with case_of(name) as case:
        warm_up(case)
        constructor = {"factory": case.module.factory, "class_factory": case.module.class_factory}
        arguments = (case.module.Slots, 1, 2, 3, 4)[:count]
        data = std_pickle.dumps(Calls(constructor.get(name, case.cls), arguments), 4)
        assert outcome(pickle.loads, data) == outcome(std_pickle.loads, data)


def test_identity_of_parts():
    """Shared arguments stay shared, defaults are the class's own, cycles close."""
    with case_of("plain") as case:
        warm_up(case)
        shared = ["shared"]
        objects = [case.cls(shared, shared), case.cls(1), case.cls(shared)]
        for made in (
            pickle.loads(std_pickle.dumps(objects, 5)),
            copy.deepcopy(objects),
        ):
            assert made[0].x is made[0].y is made[2].x
            assert made[0].x is not shared
            assert [item.z for item in made] == [7] * 3


def test_fresh_defaults():
    """Containers that a constructor makes are made anew for each object."""
    with case_of("branching") as case:
        warm_up(case)
        for _ in range(4):
            made = pickle.loads(b"\x80\x04](cmade\nBranching\n)Rcmade\nBranching\n)Re.")
            assert made[0].x is not made[1].x
            assert [item.x for item in made] == [[], []]
            assert [item.y for item in made] == [{}, {}]


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer is at work")
def test_whoever_watches_sees_every_constructor():
    with case_of("child") as case:
        warm_up(case)
        data = std_pickle.dumps(case.objects(6), 4)
        calls = []

        def profile(frame, event, argument):
            if event == "call" and frame.f_code.co_name == "__init__":
                calls.append(frame.f_code.co_qualname)

        sys.setprofile(profile)
        try:
            pickle.loads(data)
        finally:
            sys.setprofile(None)
        assert calls == ["Child.__init__", "Plain.__init__"] * 6


def test_weak_references_and_finalizers():
    """What a plan makes can be referred to weakly, and is finalized."""
    import weakref

    with case_of("plain") as case:
        finalized = []
        case.cls.__del__ = lambda self: finalized.append(self.x)
        warm_up(case)
        finalized.clear()
        made = pickle.loads(std_pickle.dumps(case.objects(3), 4))
        assert [weakref.ref(item)() for item in made] == made
        made.clear()
        assert sorted(finalized)[:1] == ["x0"]


def load_of_class(number, alive=None, times=3):
    """Loads of an object of a class made for it, which then goes unless it is kept alive; how
    many were made by its plan."""
    namespace = {}
    exec(f"def __init__(self, x):\n    self.x = x\n    {number}", namespace)
    made = types.ModuleType("made")
    made.Short = type(
        "Short", (), {"__init__": namespace["__init__"], "__module__": "made", "number": number}
    )
    sys.modules["made"] = made
    try:
        before = _core.plan_counts()[1]
        for _ in range(times):
            loaded = pickle.loads(b"\x80\x04cmade\nShort\nK\x05\x85R.")
            assert type(loaded) is made.Short and loaded.x == 5
        if alive is not None:
            alive.append(made.Short)
        return _core.plan_counts()[1] - before
    finally:
        del sys.modules["made"]


@pytest.mark.skipif(not PLANS_ARE_ON, reason="there are no plans")
def test_classes_that_come_and_go():
    """What is known of classes goes with them, so that the next ones are read."""
    load_of_class(0)  # The compiler is imported.
    assert {load_of_class(number) for number in range(200)} == {2}
    alive = []
    for thousand in range(20):
        _core.plan_threshold(100)  # They are met, and not read: that takes long.
        for number in range(1000):
            load_of_class(1000 * thousand + number, alive, 1)
        _core.plan_threshold(2)
        if load_of_class(0) == 0:
            break  # There are too many: what is kept is bounded, soon behind 4096.
    else:
        pytest.fail("as many are kept as live")
    alive.clear()
    gc.collect()
    for number in range(300):
        load_of_class(number, alive, 4)  # Nobody counts at each who lives.
    assert {load_of_class(number, alive) for number in range(100)} == {2}


@pytest.mark.skipif(not PLANS_ARE_ON, reason="there are no plans")
def test_code_that_goes_may_be_noticed():
    """A callback for the code of a constructor may load, which meets classes."""
    import weakref

    noticed = []
    with case_of("plain") as case:
        warm_up(case)
        data = std_pickle.dumps(case.objects(3), 4)

        def notice(reference):
            noticed.append(outcome(pickle.loads, data) == outcome(std_pickle.loads, data))

        reference = weakref.ref(case.cls.__init__.__code__, notice)
        for number in range(6):
            namespace = {}
            exec(
                f"def __init__(self, x, y, z=7):\n    self.x = self.y = self.z = {number}",
                namespace,
            )
            case.cls.__init__ = namespace["__init__"]
            for _ in range(3):
                assert outcome(pickle.loads, data) == outcome(std_pickle.loads, data)
            gc.collect()
        del reference
    assert noticed == [True]


@requires_fork
@pytest.mark.skipif(not PLANS_ARE_ON, reason="No class is read.")
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, TimeoutError, TypeError])
@pytest.mark.parametrize("by_handler", [False, True], ids=["raised", "by a signal handler"])
def test_what_is_raised_while_a_class_is_read(error, by_handler):
    """A signal handler's exception is not ours to swallow; our own failures are."""
    data = pickle.dumps([fractions.Fraction(n, 7) for n in range(1, 100)])

    def handle(*arguments):
        raise error

    def attempt():
        def constructor(cls):
            if by_handler:
                signal.raise_signal(signal.SIGUSR1)
            raise error

        signal.signal(signal.SIGUSR1, handle)
        _values.constructor = constructor
        fractions.Fraction.changed = None  # So it is read again.
        try:
            return len(pickle.loads(data))
        except BaseException as raised:
            return type(raised)

    passes = by_handler or error is KeyboardInterrupt
    assert in_child(attempt) == (error if passes else 99)
