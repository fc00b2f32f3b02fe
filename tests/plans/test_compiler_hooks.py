"""Hooks of picklers read into plans: what they return by the type of an object, and no more."""

import gc
import io
import random
import sys
import types
import weakref

import pytest

if sys.implementation.name != "cpython":
    pytest.skip("plans are for CPython", allow_module_level=True)

from fastcopyreg.compiler import KINDS, ReducerPlan, Refusal, compile_hook, compile_reducer

LEFT = object()


class First:
    pass


class Second(First):
    pass


class Third:
    pass


class Base:
    found = Third

    def asks(self, obj):
        return isinstance(obj, self.found)


class Holder(Base):
    __slots__ = ("kept",)
    classes = (First,)

    def __init__(self):
        self.kept = {Second: "kept"}
        self.own = First
        self.method = Other().asks

    def asks(self, obj):
        return helper(obj)

    @staticmethod
    def is_class(obj):
        return isinstance(obj, type)

    def by_super(self, obj):
        return super().asks(obj)

    def by_super_with_arguments(self, obj):
        cls = Holder
        return super(cls, self).asks(obj)

    def by_base(self, obj):
        return Base.asks(self, obj)

    def by_method(self, obj):
        return "key" if self.asks(obj) or self.is_class(obj) else None

    def by_attribute(self, obj):
        if type(obj) is self.own or type(obj) in self.classes:
            return "key"
        return self.kept.get(type(obj))

    def by_bound_method(self, obj):
        return self.method(obj=obj)


class Other:
    def asks(self, obj):
        return isinstance(obj, (First, int))


METHODS = [name for name in vars(Holder) if name.startswith("by_")]


PAIR = (First, Third)
CLASSES = {First, Third}
BY_CLASS = {First: 1}
LISTED = [None, "text", Third]
module = types.ModuleType("module")
module.First, module.PAIR = First, PAIR


def helper(obj, cls=First, *, other=Third):
    return type(obj) is cls or isinstance(obj, other)


def deep(obj):
    return module.helper(obj=obj)


module.helper = helper

CONDITIONS = (
    "isinstance(obj, First)",
    "isinstance(obj, PAIR)",
    "isinstance(obj, (module.First, (int, Third)))",
    "issubclass(type(obj), First)",
    "issubclass(t, PAIR)",
    "type(obj) in CLASSES",
    "t in BY_CLASS",
    "t in LISTED",
    "type(obj) in {First, Third}",
    "t not in (First, Third)",
    "t == First",
    "t != Second",
    "obj.__class__ is Third",
    "obj is None",
    "helper(obj)",
    "helper(obj, Third)",
    "helper(other=First, obj=obj)",
    "module.helper(obj)",
    "deep(obj)",
    "BY_CLASS.get(type(obj))",
    "BY_CLASS.get(t, False) is False",
    "t.__name__ == 'First'",
    "t.__qualname__ != 'Second'",
    "t.__module__ in ('a', __name__)",
    "t.__module__ in {'a', 'builtins'}",
    "'Third' == t.__name__",
    "True",
    "None",
)
ENDS = ("None", "NotImplemented", "'key'", "obj", "(First, ())", "obj.name", "helper(obj)")
OBJECTS = (First(), Second(), Third(), 3, True, "text", None, [], First, helper, type)


def made(source, name="hook"):
    names = {}
    exec(source, globals(), names)
    return names[name]


def hook_of(condition):
    return made(f"def hook(obj):\n t = type(obj)\n return 'key' if {condition} else None\n")


def answer(plan, hook, obj):
    """What the plan says of an object: a model of plan_answer.c that has the object."""
    values, functions, number = {}, {0: getattr(hook, "__func__", hook)}, 0
    ends = {"RETURN_VALUE", "RETURN", "LEAVE"}
    while KINDS[plan.steps[number][0]] not in ends:
        kind, a, b, c = plan.steps[number]
        kind, goes_to = KINDS[kind], number + 1
        if kind == "EXPECT":
            assert values[a] is plan.constants[b]
        elif kind == "EXPECT_OWN":
            assert values[a].__name__ == "persistent_id"
        elif kind == "FOLLOW":
            assert values[a].__code__ is plan.constants[b]()
            functions[c] = values[a]
        elif kind.startswith("BRANCH"):
            holds = values[a] is values[b] if kind == "BRANCH_IS" else values[a]
            goes_to = goes_to if holds else c
        else:
            fields = (a, b, c) if kind in NAMED or kind == "FIND" else (a, b)
            values[number] = value_of(plan, kind, fields, values, functions, obj, hook)
        number = goes_to
    kind, a, *_ = plan.steps[number]
    return values[a] if KINDS[kind] == "RETURN_VALUE" else LEFT


NAMED = {
    "METHOD": lambda plan, values, a, b, c: method_of(values[a], plan.names[b], c),
    "SUPER_METHOD": lambda plan, values, a, b, c: next(
        vars(cls)[plan.names[c]]
        for cls in type(values[b]).__mro__[type(values[b]).__mro__.index(values[a]) + 1 :]
        if plan.names[c] in vars(cls)
    ),
}


def method_of(owner, name, is_static):
    found = next(vars(cls)[name] for cls in type(owner).__mro__ if name in vars(cls))
    assert type(found) is (staticmethod if is_static else types.FunctionType)
    return found.__func__ if is_static else found


def value_of(plan, kind, fields, values, functions, obj, hook):
    a, b, *more = fields
    if kind in NAMED:
        return NAMED[kind](plan, values, *fields)
    if kind == "FIND":
        return values[a].get(values[b], values[more[0]])
    if kind == "BOUND":
        assert a == 0
        return hook.__self__
    if kind == "OBJECT":
        return obj
    if kind == "CONSTANT":
        return plan.constants[a]
    if kind == "GLOBAL":
        name, names = plan.names[a], functions[b].__globals__
        return names[name] if name in names else functions[b].__builtins__[name]
    if kind == "DEFAULT":
        return default_of(functions[b], a)
    if kind == "CELL":
        return functions[b].__closure__[a].cell_contents
    if kind == "TUPLE":
        return tuple(values[each] for each in plan.operands[a : a + b])
    if kind == "ATTRIBUTE":
        return getattr(values[a], plan.names[b])
    if kind == "TYPE":
        return type(values[a])
    return {
        "ISINSTANCE": isinstance,
        "ISSUBCLASS": issubclass,
        "CONTAINS": lambda value, container: value in container,
        "EQUAL": lambda value, other: value == other,
    }[kind](values[a], values[b])


def default_of(function, parameter):
    code = function.__code__
    if parameter < code.co_argcount:
        return function.__defaults__[parameter - code.co_argcount]
    return function.__kwdefaults__[code.co_varnames[parameter]]


def check_form(plan):
    """Operands are earlier steps, targets later ones, and no path is followed to LEAVE in vain."""
    for number, (kind, a, b, c) in enumerate(plan.steps):
        kind = KINDS[kind]
        if kind in ("ATTRIBUTE", "TYPE", "EXPECT", "FOLLOW", "BRANCH_TRUE", "RETURN_VALUE"):
            assert a < number
        if kind in ("ISINSTANCE", "ISSUBCLASS", "CONTAINS", "EQUAL", "BRANCH_IS"):
            assert a < number
            assert b < number
        if kind.startswith("BRANCH"):
            assert number + 1 < c < len(plan.steps)
            ends = KINDS[plan.steps[number + 1][0]], KINDS[plan.steps[c][0]]
            assert ends != ("LEAVE", "LEAVE")
        elif kind not in ("RETURN_VALUE", "LEAVE"):
            assert KINDS[plan.steps[number + 1][0]] != "LEAVE"
        assert kind in ("RETURN_VALUE", "LEAVE") or number + 1 < len(plan.steps)


def check(hook):
    """The plan says what the hook says, or nothing; how often it says something."""
    plan = compile_hook(hook)
    assert isinstance(plan, ReducerPlan), plan
    check_form(plan)
    said = 0
    for obj in OBJECTS:
        found = answer(plan, hook, obj)
        if found is not LEFT:
            assert found is hook(obj)
            said += 1
    return said


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_read(condition):
    assert check(hook_of(condition)) == len(OBJECTS)


@pytest.mark.parametrize("seed", range(8))
def test_conditions_of_conditions(seed):
    """Functions put together by chance, with returns that are understood and others."""
    chance = random.Random(seed)

    def condition(depth):
        if depth == 0 or chance.random() < 0.3:
            return chance.choice(CONDITIONS)
        if chance.random() < 0.3:
            return f"not ({condition(depth - 1)})"
        return f"({condition(depth - 1)}) {chance.choice(['and', 'or'])} ({condition(depth - 1)})"

    said = 0
    for _ in range(12):
        lines = ["def hook(obj):", " t = type(obj)"]
        for _ in range(chance.randrange(1, 4)):
            lines += [f" if {condition(2)}:", f"  return {chance.choice(ENDS)}"]
        hook = made("\n".join([*lines, " return None\n"]))
        if isinstance(compile_hook(hook), ReducerPlan):
            said += check(hook)
    assert said > 20


REFUSED = {
    "an attribute": ("return obj.name", "looks at the object"),
    "an attribute, or not": ("return getattr(obj, 'name', None)", "does more than"),
    "truth": ("return 1 if obj else None", "looks at the object"),
    "equality": ("return 1 if obj == 3 else None", "looks at the object"),
    "membership": ("return 1 if obj in LISTED else None", "looks at the object"),
    "of the object": ("return 1 if isinstance(3, obj) else None", "looks at the object"),
    "a tuple": ("return First, ()", "made for the object"),
    "a list": ("return [First]", "does more than"),
    "less": ("return 1 if type(obj) < First else None", "a comparison"),
    "a set": ("return {First}", "makes a set"),
    "a method": ("return obj.name()", "calls"),
    "itself": ("return hook(obj)", "calls itself"),
    "too many arguments": ("return helper(obj, 1, 2)", "too many arguments"),
    "another keyword": ("return helper(obj, more=1)", "does not take it"),
    "no argument": ("return helper()", "does not pass obj"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_looks_at_the_object_is_refused(name):
    body, reason = REFUSED[name]
    hook = made(f"def hook(obj):\n {body}\n")
    globals()["hook"] = hook
    try:
        verdict = compile_hook(hook)
    finally:
        del globals()["hook"]
    assert isinstance(verdict, Refusal), verdict
    assert reason in verdict.reason


@pytest.mark.parametrize("condition", CONDITIONS[:4] + CONDITIONS[5:12])
def test_a_reducer_has_no_such_plan(condition):
    verdict = compile_reducer(hook_of(condition))
    assert isinstance(verdict, Refusal), verdict


def test_a_plan_is_as_long_as_what_is_understood():
    """Of a call that cannot be followed to an end nothing is left, however long it is."""
    names = ("int", "str", "First", "Second", "Third", "list", "dict", "set", "bytes")
    body = "".join(f" if type(obj) is {name}: return obj.x\n" for name in names)
    globals()["long"] = made(f"def long(obj):\n{body} return obj.y\n", "long")
    hook = made("def hook(obj):\n return long(obj) if isinstance(obj, First) else None\n")
    try:
        plan = compile_hook(hook)
    finally:
        del globals()["long"]
    assert len(plan.steps) == 9
    assert [KINDS[kind] for kind, *_ in plan.steps].count("LEAVE") == 1


def test_a_plan_keeps_no_function_alive():
    kept = types.FunctionType, types.CodeType

    def make():
        def inner(obj):
            return type(obj) is First

        def hook(obj):
            return "key" if inner(obj) else None

        return hook, weakref.ref(inner)

    hook, inner = make()
    plan = compile_hook(hook)
    assert isinstance(plan, ReducerPlan)
    assert check(hook) == len(OBJECTS)
    del hook
    gc.collect()
    assert inner() is None
    assert not any(isinstance(value, kept) for value in plan.constants)


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_followed(name):
    assert check(getattr(Holder(), name)) == len(OBJECTS)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Pickler has no such method")
def test_the_method_of_our_own_pickler():
    core = pytest.importorskip("fastcopyreg._core")

    class Asking(core.Pickler):
        def persistent_id(self, obj):
            return super().persistent_id(obj)

    assert check(Asking(io.BytesIO()).persistent_id) == len(OBJECTS)


def matching(pattern):
    cases = f"  case {pattern}:\n   return 'key'\n  case _:\n   return None\n"
    return made(f"def hook(obj):\n match obj:\n{cases}")


@pytest.mark.parametrize("pattern", ["First()", "First() | int()", "module.First()", "None"])
def test_a_pattern_is_read(pattern):
    assert check(matching(pattern)) == len(OBJECTS)


@pytest.mark.parametrize("pattern", ["First(x=1)", "int(3)", "[]", "{}", "3"])
def test_other_patterns_are_refused(pattern):
    assert isinstance(compile_hook(matching(pattern)), Refusal)


def test_a_method_is_given_its_object():
    plan = compile_hook(Holder().asks)
    assert isinstance(plan, ReducerPlan)
    check_form(plan)
    assert isinstance(compile_hook(Holder.asks), Refusal)
