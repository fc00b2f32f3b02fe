"""Hooks that are read instead of called: nobody can tell, whatever changes meanwhile."""

import collections
import copyreg
import dataclasses
import decimal
import enum
import functools
import io
import sys
import types

import pytest

from support.implementations import OURS, PLANS_ARE_ON, STANDARD, requires_core
from support.recording import Sink
from support.recording import shallow_outcome as outcome

_core = pytest.importorskip("fastcopyreg._core")

pytestmark = requires_core

ANSWER = None
DICT = dict


class Registered:
    def __init__(self, x, y=None):
        self.x, self.y = x, y


copyreg.pickle(Registered, lambda obj: (Registered, (obj.x, obj.y)))


class Called:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return functools.partial(tuple, [Called, (self.x,)])()


class Plain:
    def __init__(self, x):
        self.x = x


@dataclasses.dataclass(slots=True)
class Slots:
    x: object
    y: object = "y"


class Meta(type):
    pass


class WithMeta(metaclass=Meta):
    def __init__(self, x):
        self.x = x


class Colour(enum.Enum):
    RED = 1


def function():
    pass


def graph():
    """Objects of many kinds, each more than once."""
    objects = [
        make(part)
        for part in range(25)
        for make in (Registered, Called, Plain, Slots, WithMeta, collections.deque_of)
    ]
    return [
        *objects,
        [decimal.Decimal(n) for n in range(5)],
        [Plain, WithMeta, Registered, Slots, Meta, function, len, Colour.RED, type(None)],
        {"k": (1, 2.5, None, True), ("t",): {1}, b"b": frozenset([2])},
        objects,
        [Plain([Registered(Slots(WithMeta(1)))])] * 3,
        bytearray(b"x"),
        "text",
    ]


collections.deque_of = lambda part: collections.deque([part], 3)


# The methods that a pickler may have, each made anew from its source text: a hook belongs to its
# code.  `SAYS` is what the hook says for what it passes.
HOOKS = {
    "constant": "return SAYS",
    "global": "return ANSWER if ANSWER is not None else SAYS",
    "type is": "return KEY if type(obj) is Plain else SAYS",
    "type is a built-in": "return KEY if type(obj) is DICT else SAYS",
    "type is a class": "return KEY if type(obj) is type else SAYS",
    "type is a metaclass": "return KEY if type(obj) is Meta else SAYS",
    "type is a value's": "return KEY if type(obj) is decimal.Decimal else SAYS",
    "is the function": "return KEY if obj is function else SAYS",
    "is none": "return KEY if obj is None else SAYS",
    "a chain": (
        "t = type(obj)\n        if t is Called: return KEY\n        if t is str: return SAYS\n"
        "        if t is WithMeta: return KEY\n        return SAYS"
    ),
    "an attribute": "return KEY if getattr(obj, 'x', 0) == 3 else SAYS",
    "truth": "return SAYS if obj else SAYS",
    "default": "return said",
    "keyword default": "return said_by_name",
    "of self": "return self.answer",
    "counted": "self.seen.append(type(obj).__name__); return SAYS",
}


def hooked(implementation, kind, source, file, asked=()):
    """A pickler of a class with such a hook."""
    says, key = (
        ("None", "'key'") if kind == "persistent_id" else ("NotImplemented", "(len, ('a',))")
    )
    source = source.replace("SAYS", says).replace("KEY", key)
    text = f"def {kind}(self, obj, said={says}, *, said_by_name={says}):\n        {source}\n"
    names = globals()
    made = {}
    exec(text, names, made)
    body = {kind: made[kind], "answer": None if kind == "persistent_id" else NotImplemented}
    cls = type("Hooked", (implementation.Pickler,), body)
    pickler = cls(file)
    pickler.seen = []
    return pickler


KINDS = ["persistent_id", "reducer_override"]


def both(scenario):
    """Asserts that a scenario gives the same for both, often: hooks are read in between."""
    expected = scenario(STANDARD)
    for _ in range(3):
        assert scenario(OURS) == expected
    return expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_heard(name, kind):
    objects = graph()

    def scenario(implementation):
        sink = Sink()
        pickler = hooked(implementation, kind, HOOKS[name], sink)
        outcomes = [outcome(pickler.dump, obj) for obj in (objects, objects, objects[3])]
        return outcomes, sink.writes, pickler.seen

    both(scenario)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_heard_where_a_frame_ends(name, kind):
    objects = [["x" * 65_530], graph()] * 2

    def scenario(implementation):
        file = io.BytesIO()
        pickler = hooked(implementation, kind, HOOKS[name], file)
        return outcome(pickler.dump, objects), file.getvalue(), pickler.seen

    both(scenario)


class Changes:
    """Its reducer changes something, and so do its kind."""

    def __init__(self, change):
        self.change = change

    def __reduce__(self):
        self.change()
        return list, ()


def other(kind):
    """Another answer: an identifier, or the name of a global, which only one object has."""
    return "other" if kind == "persistent_id" else "function"


def change_global(kind, pickler):
    globals()["ANSWER"] = other(kind)


def change_name(kind, pickler):
    globals()["DICT"] = list


def change_code(kind, pickler):
    function = getattr(type(pickler), kind)
    code = (lambda self, obj, said=None, *, said_by_name=None: "answer").__code__
    consts = tuple(other(kind) if const == "answer" else const for const in code.co_consts)
    function.__code__ = code.replace(co_consts=consts)


def change_defaults(kind, pickler):
    function = getattr(type(pickler), kind)
    function.__defaults__ = (other(kind),)
    function.__kwdefaults__ = {"said_by_name": other(kind)}


def change_self(kind, pickler):
    pickler.answer = other(kind)


def change_builtin(kind, pickler):
    globals()["type"] = lambda obj: Plain


CHANGES = {
    "global": change_global,
    "name": change_name,
    "code": change_code,
    "defaults": change_defaults,
    "self": change_self,
    "builtin": change_builtin,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", HOOKS)
def test_what_a_hook_is_made_of_changes_in_the_middle(name, change, kind):
    def scenario(implementation):
        sink = Sink()
        pickler = hooked(implementation, kind, HOOKS[name], sink)
        change_it = Changes(lambda: CHANGES[change](kind, pickler))
        objects = graph()
        try:
            first = outcome(pickler.dump, [objects, change_it, objects, graph(), "text", {1: 2}])
            return first, outcome(pickler.dump, objects), sink.writes, pickler.seen
        finally:
            globals().update(ANSWER=None, DICT=dict)
            globals().pop("type", None)

    both(scenario)


@pytest.mark.parametrize("name", ["constant", "type is", "a chain"])
def test_a_hook_of_a_method_bound_elsewhere(name):
    """A function in the instance's dict, and a method of another object."""

    class Asked:
        def persistent_id(self, obj):
            return "key" if type(obj) is Slots else None

    def scenario(implementation):
        sink = Sink()

        class Hooked(implementation.Pickler):
            def persistent_id(self, obj):
                return None

        pickler = Hooked(sink)
        objects = graph()
        outcomes = [outcome(pickler.dump, objects)]
        outcomes.append(outcome(setattr, pickler, "persistent_id", Asked().persistent_id))
        outcomes.append(outcome(pickler.dump, graph()))
        return outcomes, sink.writes

    both(scenario)


@pytest.mark.parametrize("name", HOOKS)
def test_both_hooks_at_once(name):
    objects = graph()

    def scenario(implementation):
        sink = Sink()
        first = hooked(implementation, "persistent_id", HOOKS[name], sink)
        second = hooked(implementation, "reducer_override", HOOKS["type is"], sink)
        body = {
            "persistent_id": type(first).persistent_id,
            "reducer_override": type(second).reducer_override,
        }
        pickler = type("Both", (implementation.Pickler,), {**body, "answer": None})(sink)
        pickler.seen = []
        return outcome(pickler.dump, objects), sink.writes, pickler.seen

    both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_a_profiler_sees_every_call(kind):
    def scenario(implementation):
        pickler = hooked(implementation, kind, HOOKS["constant"], Sink())
        calls = []

        def profile(frame, event, argument):
            if event == "call" and frame.f_code.co_name == kind:
                calls.append(type(frame.f_locals["obj"]).__name__)

        objects = graph()
        previous = sys.getprofile()
        sys.setprofile(profile)
        try:
            pickler.dump(objects)
        finally:
            sys.setprofile(previous)
        return calls

    both(scenario)


@pytest.mark.skipif(not PLANS_ARE_ON, reason="nothing is read on this build")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["constant", "type is a value's", "a chain", "is the function"])
def test_such_hooks_are_no_hindrance(name, kind):
    """Registered objects are reduced by their plan, as without a hook."""
    objects = [Registered(n, str(n)) for n in range(400)]
    cls = type(hooked(OURS, kind, HOOKS[name], Sink()))
    for _ in range(3):
        cls(Sink()).dump(objects)
    before = _core.plan_counts()[0]
    cls(Sink()).dump(objects)
    assert _core.plan_counts()[0] - before >= 390


def test_a_graph_has_what_it_says():
    assert types.FunctionType in {type(obj) for obj in graph()[151]}
