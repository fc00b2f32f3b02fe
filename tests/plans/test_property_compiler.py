"""Generated reducers and constructors: a plan answers what the call answers, or is left."""

import sys

import pytest

pytest.importorskip("hypothesis")
if sys.implementation.name != "cpython":
    pytest.skip("plans are for CPython", allow_module_level=True)

from hypothesis import given
from hypothesis import strategies as st

from fastcopyreg.compiler import ConstructorPlan, ReducerPlan, compile_constructor, compile_reducer
from support.plans import Left, construct_by_plan, reduce_by_plan, same

NAMES = ("a", "b", "c", "child")
CONSTANTS = ("None", "True", "0", "1", "-1", "1000", "2.5", "'text'", "'not interned !'", "()",
             "(1, 'x y')", "b'bytes'")  # fmt: skip

attributes = st.sampled_from(NAMES).map("o.{}".format)
chains = st.sampled_from(NAMES).map("o.child.{}".format)
reads = st.one_of(
    attributes,
    chains,
    st.sampled_from(["o.__class__", "type(o)", "shared", "default", "closed", "o"]),
    st.sampled_from(NAMES).map("getattr(o, '{}')".format),
    st.sampled_from([*NAMES, "absent"]).map("getattr(o, '{}', default)".format),
)
leaves = st.one_of(reads, st.sampled_from(CONSTANTS))
tests = st.one_of(
    attributes,
    attributes.map("not {}".format),
    attributes.map("{} is None".format),
    attributes.map("{} is not None".format),
    st.tuples(attributes, attributes).map("{0[0]} is {0[1]}".format),
)


def dict_display(parts):
    pairs = ", ".join(f"'k{index}': {part}" for index, part in enumerate(parts))
    return "{" + pairs + "}"


def composed(inner):
    several = st.lists(inner, max_size=4)
    return st.one_of(
        several.map(lambda parts: f"({''.join(part + ', ' for part in parts)})"),
        several.map(lambda parts: f"[{', '.join(parts)}]"),
        several.map(dict_display),
        st.tuples(inner, st.sampled_from(["or", "and"]), inner).map(
            lambda parts: "({} {} {})".format(*parts)
        ),
        st.tuples(inner, tests, inner).map(lambda parts: "({} if {} else {})".format(*parts)),
    )


expressions = st.recursive(leaves, composed, max_leaves=8)


@st.composite
def bodies(draw, depth=2):
    """Statements that assign locals, branch, and end in a return, as lines."""
    lines = []
    known = []
    for index in range(draw(st.integers(0, 3))):
        lines.append(f"v{index} = {draw(expressions)}")
        known.append(f"v{index}")
    if depth and draw(st.booleans()):
        lines.append(f"if {draw(tests)}:")
        lines += ["    " + line for line in draw(bodies(depth=depth - 1))]
    choice = st.one_of(expressions, st.sampled_from(known)) if known else expressions
    arguments = draw(st.lists(choice, max_size=4))
    rest = draw(st.lists(choice, max_size=3))
    parts = ["shared", f"({''.join(part + ', ' for part in arguments)})", *rest]
    lines.append(f"return {', '.join(parts)}")
    return lines


values = st.sampled_from([None, 0, 1, "", "text", (), (1,), 2.5])


class Object:
    pass


@st.composite
def objects(draw):
    made, child = Object(), Object()
    for item in (made, child):
        for name in NAMES:
            if draw(st.integers(0, 9)):
                setattr(item, name, draw(values))
    if draw(st.integers(0, 9)):
        made.child = child
    return made


def make(lines):
    source = ["def outer(closed):", "    def reducer(o, default=marker):"]
    source += ["        " + line for line in lines]
    source += ["    return reducer"]
    namespace = {"shared": Object, "marker": object()}
    exec("\n".join(source), namespace)
    return namespace["outer"](object())


@given(bodies(), st.lists(objects(), min_size=1, max_size=4))
def test_reducers(lines, items):
    reducer = make(lines)
    plan = compile_reducer(reducer)
    if not isinstance(plan, ReducerPlan):
        assert "paths" in plan.reason or "steps" in plan.reason, plan
        return
    for item in items:
        check(
            lambda item=item: reduce_by_plan(plan, reducer, item), lambda item=item: reducer(item)
        )


def check(by_plan, by_call):
    """The plan is left exactly where the call raises."""
    try:
        expected = by_call()
    except (AttributeError, UnboundLocalError):
        with pytest.raises(Left):
            by_plan()
        return
    assert same(by_plan(), expected)


stored = st.one_of(
    st.sampled_from(["p0", "p1", "p2", "p3", "self.s0"]),
    st.sampled_from(CONSTANTS),
    st.sampled_from(
        ["p0 or p1", "p1 and []", "[] if p2 is None else p2", "{'k': p3}", "(p0, p1)"]
    ),
)


@st.composite
def classes(draw):
    """The source of a class and the number of parameters with defaults."""
    defaults = draw(st.integers(0, 4))
    parameters = [f"p{i}" + (f"=default{i}" if i >= 4 - defaults else "") for i in range(4)]
    slots = draw(st.sampled_from(["pass", "__slots__ = ('s0', 's1', 's2', 's3')"]))
    lines = [
        "class Base:",
        "    def __init__(self, b0=default0):",
        "        self.base = b0",
        "        self.s0 = 0",
        "class Local(Base):",
        f"    {slots}",
        f"    def __init__({', '.join(['self', *parameters])}):",
        "        " + draw(st.sampled_from(["super().__init__(p1)", "Base.__init__(self)"])),
    ]
    for index in range(draw(st.integers(0, 4))):
        lines.append(f"        self.s{index} = {draw(stored)}")
    if draw(st.booleans()):
        lines += ["        if p0 is not None:", f"            self.late = {draw(stored)}"]
    return "\n".join(lines), defaults


@given(classes(), st.lists(values, min_size=4, max_size=4))
def test_constructors(source, arguments):
    text, defaults = source
    namespace = {f"default{i}": f"default {i}" for i in range(4)}
    exec(text, namespace)
    cls = namespace["Local"]
    plan = compile_constructor(cls)
    assert isinstance(plan, ConstructorPlan), plan
    assert (plan.required, plan.accepted) == (4 - defaults, 4)
    for count in range(plan.required, 5):
        made = construct_by_plan(plan, cls, tuple(arguments[:count]))
        expected = cls(*arguments[:count])
        assert list(made.__dict__) == list(expected.__dict__)
        assert same(list(made.__dict__.values()), list(expected.__dict__.values()))
        for name in ("s0", "s1", "s2", "s3"):
            assert same(getattr(made, name, None), getattr(expected, name, None))
