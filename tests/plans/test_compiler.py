"""Reducers read into plans: what is understood, what is refused on which line, at what cost."""

import copyreg
import functools
import gc
import re
import subprocess
import sys
import time
import types
import weakref

import pytest

if sys.implementation.name != "cpython":
    pytest.skip("plans are for CPython", allow_module_level=True)

from fastcopyreg.compiler import KINDS, ReducerPlan, Refusal, compile_reducer
from support.plans import Left, reduce_by_plan, same

SHARED = ["a constant of this module"]


class Thing:
    """An object with whatever attributes a reducer may read."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def reduce_other(self, other):
        return Point, (self.x, other.y)


def kinds(plan):
    return [KINDS[kind] for kind, *_ in plan.steps]


def thing():
    return Thing(
        a=[1], b="b", c=None, d={}, e=0, child=Thing(a=object()), args=(1, 2), name="SHARED"
    )


def check(reducer, *objects):
    """*reducer* has a plan, and the plan answers what the call answers for each object."""
    plan = compile_reducer(reducer)
    assert isinstance(plan, ReducerPlan), plan
    for item in objects or (thing(),):
        assert same(reduce_by_plan(plan, reducer, item), reducer(item))
    return plan


def make_closure(constructor, extra=None):
    def reducer(o):
        return constructor, (o.a, extra)

    return reducer


def positional_default(o, constructor=Thing, shared=SHARED):
    return constructor, (o.a, shared)


def keyword_default(o, *, constructor=Thing, shared=SHARED):
    return constructor, (o.a, shared)


def with_locals(o):
    first, second = o.a, o.b
    cls = o.__class__
    state = {"child": o.child.a, "shared": SHARED}
    args = (first, second)
    return cls, args, state


def with_four(o):
    a, b, c, d = o.a, o.b, o.c, o.d
    return Thing, (d, c, b, a)


def with_branches(o):
    if o.c is None:
        if not o.e:
            return Thing, (o.a,), {"e": o.e}
        return Thing, (o.b,)
    if o.d:
        return Thing, (o.c, o.d)
    return "SHARED"


def with_try(o):
    try:
        return Thing, (o.a,)
    except AttributeError:
        return Thing, ()


def with_module(o):
    return copyreg.__newobj__, (type(o), o.a)


UNDERSTOOD = {
    "attributes": lambda o: (Thing, (o.a, o.b, o.child.a)),
    "no arguments": lambda o: (Thing, ()),
    "constants": lambda o: (
        Thing,
        (None, 5, -1, 257, 10**20, 2.5, "text", b"x", (1, (2, 3)), ...),
    ),
    "constant arguments": lambda o: (Thing, (1000, "a b", 3.5)),
    "class of the object": lambda o: (o.__class__, (o.a,)),
    "type": lambda o: (type(o), (o.a,)),
    "the object itself": lambda o: (Thing, (o, o.a)),
    "getattr as a constructor": lambda o: (getattr, (o.child, "a")),
    "getattr called": lambda o: (Thing, (getattr(o, "a"),)),  # noqa: B009
    "getattr with a default": lambda o: (Thing, (getattr(o, "a", 1), getattr(o, "none", SHARED))),
    "displays": lambda o: (
        Thing,
        ([o.a, [1, 2, 3, 4], []], {"a": o.a, "b": [o.b]}, {}, (o.a, ())),
    ),
    "state": lambda o: (Thing, (), o.__dict__),
    "state and items": lambda o: (Thing, (o.a,), {"b": o.b}, None, None),
    "six parts": lambda o: (Thing, (), o.d, None, None, setattr),
    "string": lambda o: "SHARED",
    "string from an attribute": lambda o: o.name,
    "or": lambda o: (Thing, (o.d or {}, o.e or o.c or "neither", o.a or 0)),
    "and": lambda o: (Thing, (o.e and o.a, o.a and o.b)),
    "conditional": lambda o: (Thing, (o.a if o.c is None else o.b, o.b if o.e else o.a)),
    "arguments of the object": lambda o: (Thing, o.args),
    "empty containers": lambda o: (Thing, (list(), dict(), set())),  # noqa: C408
    "positional default": positional_default,
    "keyword default": keyword_default,
    "closure": make_closure(Thing, SHARED),
    "locals": with_locals,
    "four locals": with_four,
    "branches": with_branches,
    "try": with_try,
    "module": with_module,
    "bound method": Point(1, [2]).reduce_other,
    "partial": functools.partial(lambda cls, o, extra=None: (cls, (o.a, extra)), Thing),
    "partial with keyword": functools.partial(
        lambda o, extra: (Thing, (o.a, extra)), extra=SHARED
    ),
    "partial of method": functools.partial(Point(1, 2).reduce_other),
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_understood(name):
    other = thing()
    other.y = other.c = other.e = SHARED
    some = thing()
    some.y = some.e = 1
    first = thing()
    first.y = None
    plan = check(UNDERSTOOD[name], first, other, some)
    assert not plan.leaves


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_operands_refer_back(name):
    """Every operand is an earlier step of the same path, every target a later one."""
    plan = compile_reducer(UNDERSTOOD[name])
    for number, (kind, a, b, c) in enumerate(plan.steps):
        assert all(0 <= field < 1 << 16 for field in (kind, a, b, c))
        kind = KINDS[kind]
        if kind in ("ATTRIBUTE", "ATTRIBUTE_OR", "TYPE", "FRESH", "EXPECT", "RETURN_VALUE"):
            assert a < number
        if kind in ("TUPLE", "LIST", "RETURN"):
            assert all(value < number for value in plan.operands[a : a + b])
        if kind == "DICT":
            assert all(value < number for value in plan.operands[a : a + 2 * b])
        if kind.startswith("BRANCH"):
            assert number + 1 < c < len(plan.steps)


def test_the_shape_of_the_simplest():
    plan = compile_reducer(lambda p: (Point, (p.x, p.y)))
    assert kinds(plan) == ["GLOBAL", "OBJECT", "ATTRIBUTE", "ATTRIBUTE", "TUPLE", "RETURN"]
    assert plan.names == ("Point", "x", "y")
    assert (plan.constants, plan.leaves) == ((), ())


def test_methods_and_protocols():
    class Own:
        def __reduce__(self):
            return Own, (self.a,), self.__dict__

        def __reduce_ex__(self, protocol):
            return Own, (self.a, protocol)

    own = Own()
    own.a = SHARED
    plan = compile_reducer(Own.__reduce__)
    assert same(reduce_by_plan(plan, Own.__reduce__, own), own.__reduce__())
    plan = compile_reducer(Own.__reduce_ex__, 2)
    assert reduce_by_plan(plan, Own.__reduce_ex__, own, 3) == (Own, (SHARED, 3))


def test_constants_keep_their_identity():
    def reducer(o):
        return Thing, ("a string that is not interned !", (1, "in a tuple !"), o.a)

    plan = compile_reducer(reducer)
    parts = reduce_by_plan(plan, reducer, thing())[1]
    assert all(
        mine is theirs for mine, theirs in zip(parts[:2], reducer(thing())[1], strict=False)
    )


def test_what_is_read_is_read_when_the_plan_runs():
    """Rebound globals, cells and defaults need no guard."""
    namespace = {"make": list}
    exec("def reducer(o, extra=1): return make, (extra,)", namespace)
    reducer = namespace["reducer"]
    plan = check(reducer)
    namespace["make"] = tuple
    assert reduce_by_plan(plan, reducer, thing()) == (tuple, (1,))
    reducer.__defaults__ = (2,)
    assert reduce_by_plan(plan, reducer, thing()) == (tuple, (2,))
    reducer.__defaults__ = None
    with pytest.raises(Left):
        reduce_by_plan(plan, reducer, thing())
    closed = make_closure(list)
    plan = check(closed)
    closed.__closure__[0].cell_contents = tuple
    assert reduce_by_plan(plan, closed, thing())[0] is tuple
    del closed.__closure__[0].cell_contents
    with pytest.raises(Left):
        reduce_by_plan(plan, closed, thing())


def test_builtins_that_were_relied_on_are_expected():
    namespace = {}
    exec("def reducer(o): return type(o), (getattr(o, 'a'),)", namespace)
    reducer = namespace["reducer"]
    plan = check(reducer)
    for name, lie in (("type", lambda o: list), ("getattr", lambda o, name: 5)):
        namespace[name] = lie
        with pytest.raises(Left):
            reduce_by_plan(plan, reducer, thing())
        del namespace[name]
    assert same(reduce_by_plan(plan, reducer, item := thing()), reducer(item))


def test_missing_attributes_and_globals_leave_the_plan():
    def reducer(o):
        return undefined, (o.a,)  # noqa: F821

    with pytest.raises(Left):
        reduce_by_plan(compile_reducer(reducer), reducer, thing())

    def absent(o):
        return Thing, (o.absent,)

    with pytest.raises(Left):
        reduce_by_plan(compile_reducer(absent), absent, thing())


def test_a_test_is_made_once_on_a_path():
    def reducer(o):
        return Thing, (o.a or o.b, o.a or o.c, o.b if not o.a else o.d)

    plan = check(reducer, thing(), Thing(a=0, b=1, c=2, d=3))
    assert kinds(plan).count("BRANCH_TRUE") == 1


def test_a_path_that_is_not_understood_is_left():
    def reducer(o):
        if o.c is None:
            return Thing, (o.a,)
        raise ValueError(o.c)

    plan = compile_reducer(reducer)
    assert [leaf.reason for leaf in plan.leaves] == ["calls ValueError"]
    assert plan.leaves[0].line == reducer.__code__.co_firstlineno + 3
    assert same(reduce_by_plan(plan, reducer, item := thing()), reducer(item))
    with pytest.raises(Left):
        reduce_by_plan(plan, reducer, Thing(c=1))


# Refusals


def refused_loop(o):
    for _ in o.a:
        pass
    return Thing, ()


def refused_import(o):
    import json

    return json.loads, (o.b,)


def refused_global(o):
    global SHARED
    SHARED = o.a
    return Thing, ()


def refused_inner(o):
    return (lambda: o), ()


def refused_generator(o):
    yield Thing
    yield ()


def refused_store(o):
    o.seen = True
    return Thing, ()


def refused_delete(o):
    del o.a
    return Thing, ()


def refused_later_line(o):
    first = o.a
    return (
        Thing,
        (
            first,
            sorted(o.a),
        ),
    )


def refused_class(o):
    class Local:
        pass

    return Local, ()


REFUSED = {
    "call": (lambda o: (Thing, (sorted(o.a),)), "calls sorted"),
    "method call": (lambda o: (Thing, (o.b.sort(),)), "calls the object.b.sort"),
    "own method": (lambda o: o.reduce(), "calls the object.reduce"),
    "class call": (lambda o: (Thing, (Thing(),)), "calls Thing"),
    "super": (lambda o: super().__reduce__(), "uses super|calls super"),
    "operator": (lambda o: (Thing, (o.e + 1,)), "an operator"),
    "negation": (lambda o: (Thing, (-o.e,)), "an operator"),
    "not as a value": (lambda o: (Thing, (not o.e,)), "outcome of a test"),
    "is as a value": (lambda o: (Thing, (o.e is None,)), "outcome of a test"),
    "comparison": (lambda o: (Thing, (o.e == 1,)), "a comparison"),
    "membership": (lambda o: (Thing, (o.e in (o.a, o.b),)), "a membership test"),
    "item": (lambda o: (Thing, (o.a[o.e],)), "reads an item|an operator"),
    "slice": (lambda o: (Thing, (o.a[o.e :],)), "takes a slice|reads an item|an operator"),
    "star": (lambda o: (Thing, (o.a, *o.args)), r"a display with \*"),
    "double star": (lambda o: (Thing, ({**o.d},)), r"a display with \*"),
    "call with star": (lambda o: Thing(*o.args), r"calls with \*"),
    "set": (lambda o: (Thing, ({o.a, o.b},)), "makes a set"),
    "computed keys": (lambda o: (Thing, ({o.b: 1},)), "keys are not constant strings"),
    "numbers as keys": (lambda o: (Thing, ({1: o.b},)), "keys are not constant strings"),
    "getattr of a variable": (lambda o: (Thing, (getattr(o, o.b),)), "not constant"),
    "comprehension": (lambda o: (Thing, ([(i,) for i in o.a],)), "a loop|makes a function"),
    "loop": (refused_loop, "a loop"),
    "import": (refused_import, "an import"),
    "global": (refused_global, "stores a global"),
    "inner function": (refused_inner, "inner function|makes a function"),
    "generator": (refused_generator, "a generator"),
    "attribute stored": (refused_store, "stores attribute seen"),
    "attribute deleted": (refused_delete, "deletes"),
    "class statement": (refused_class, "makes a class"),
    "one part": (lambda o: (Thing,), "returns a tuple of 1"),
    "seven parts": (lambda o: (Thing, (), None, None, None, None, o.a), "returns a tuple of 7"),
    "any arguments": (lambda *args: (Thing, args), "any number of arguments"),
    "any keywords": (lambda o, **kwargs: (Thing, kwargs), "any number of arguments"),
    "two arguments": (lambda o, p: (Thing, (o.a, p)), "needs an argument p"),
    "a keyword": (lambda o, *, p: (Thing, (o.a, p)), "needs an argument p"),
    "no arguments": (lambda: (Thing, ()), "takes fewer arguments"),
    "partial with too much": (
        functools.partial(lambda o: (Thing, ()), Thing),
        "takes fewer arguments",
    ),
    "partial with a wrong keyword": (
        functools.partial(lambda o: (Thing, ()), p=1),
        "keyword that it does not take",
    ),
    "partial that gives the object": (
        functools.partial(lambda o: (Thing, ()), o=1),
        "keyword that it does not take",
    ),
    "builtin": (len, "len is not a Python function"),
    "class": (Thing, "Thing is not a Python function"),
    "object": (Thing(), "object of type Thing is not a Python function"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    reducer, reason = REFUSED[name]
    verdict = compile_reducer(reducer)
    assert isinstance(verdict, Refusal), kinds(verdict)
    assert re.search(reason, verdict.reason), verdict
    if isinstance(reducer, types.FunctionType):
        code = reducer.__code__
        assert (
            code.co_firstlineno
            <= verdict.line
            <= max(line for *_, line in code.co_lines() if line)
        )
        assert str(verdict) == f"{verdict.reason} (line {verdict.line})"


def test_the_line_is_that_of_the_source():
    verdict = compile_reducer(refused_later_line)
    assert verdict.line == refused_later_line.__code__.co_firstlineno + 6


def test_too_many_paths_and_steps():
    ors = ", ".join(f"o.a{i} or o.b{i}" for i in range(8))
    namespace = {}
    exec(f"def wide(o): return wide, ({ors})", namespace)
    assert "paths" in compile_reducer(namespace["wide"]).reason
    reads = ", ".join(f"o.a{i}" for i in range(28))
    rows = [", ".join(f"o.a{i}x{row}" for i in range(28)) for row in range(25)]
    exec(f"def long(o): return long, ({', '.join(f'({row})' for row in rows)})", namespace)
    exec(f"def many(o): return many, ({reads}, {reads})", namespace)
    assert "more than 30 values" in compile_reducer(namespace["many"]).reason
    assert "steps" in compile_reducer(namespace["long"]).reason


def test_long_reducers_within_the_bounds():
    """More than 256 names and constants, so that instructions carry prefixes."""
    rows = [", ".join(f"o.a{i + 28 * row}" for i in range(28)) for row in range(10)]
    namespace = {}
    exec(f"def long(o): return long, (o.a279 or 5, {', '.join(f'({row})' for row in rows)})",
         namespace)  # fmt: skip
    item = Thing(**{f"a{i}": i % 7 for i in range(280)})
    check(namespace["long"], item, Thing(**{f"a{i}": i * 1000 for i in range(280)}))


def test_globals_that_are_no_plain_dict_are_refused():
    class Globals(dict):
        def __missing__(self, key):
            return "made up"

    reducer = types.FunctionType(positional_default.__code__, Globals(), None, (Thing, SHARED))
    assert "plain dict" in compile_reducer(reducer).reason


# What compiling costs, and what it leaves behind


def test_verdicts_belong_to_code_objects():
    first, second = make_closure(list), make_closure(tuple)
    assert compile_reducer(first) is compile_reducer(second)
    first.__code__ = first.__code__.replace()
    assert compile_reducer(first) is not compile_reducer(second)


def test_equal_code_is_not_the_same_code():
    source = "def f(o): return f, ('not interned !', 1.5)"
    one, two = {}, {}
    exec(source, one)
    exec(source, two)
    assert one["f"].__code__ == two["f"].__code__
    assert compile_reducer(one["f"]).constants[0] is not compile_reducer(two["f"]).constants[0]


def test_nothing_is_kept_alive():
    namespace = {"Local": type("Local", (), {})}
    exec("def reducer(o, made=None): return Local, (o.a, type(o))", namespace)
    reducer = namespace["reducer"]
    plan = compile_reducer(reducer)
    gone = [weakref.ref(reducer), weakref.ref(reducer.__code__), weakref.ref(namespace["Local"])]
    del reducer
    namespace.clear()
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
    assert plan.names


def test_compiling_runs_none_of_the_users_code():
    class Evil:
        def __getattribute__(self, name):
            raise AssertionError(name)

        def __eq__(self, other):
            raise AssertionError

        __hash__ = None

    evil = Evil()
    namespace = {"list": evil, "type": evil, "name": evil}
    exec("def reducer(o, k=name): return name, (list(), type(o), name.x, k)", namespace)
    assert compile_reducer(namespace["reducer"]).reason == "calls list"


@pytest.mark.alone
@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer takes its time")
def test_compiling_is_quick():
    """Under 200 µs for what people write; the best of many, for the machine has other work."""
    compile_reducer(UNDERSTOOD["attributes"])
    for reducer in (UNDERSTOOD["attributes"], with_locals, with_branches):
        best = min(timed(reducer) for _ in range(200))
        assert best < 200e-6


def timed(reducer):
    reducer.__code__ = reducer.__code__.replace()
    start = time.perf_counter()
    verdict = compile_reducer(reducer)
    elapsed = time.perf_counter() - start
    assert isinstance(verdict, ReducerPlan)
    return elapsed


def test_import_is_late():
    """Neither the package nor the compiler's module brings `dis` or `inspect` in."""
    program = (
        "import sys; before = set(sys.modules); import fastcopyreg;"
        "print('fastcopyreg.compiler' in sys.modules);"
        "import fastcopyreg.compiler;"
        "print(sorted({'dis', 'inspect', 'ast', 'hashlib'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["False", "[]"], done.stdout
