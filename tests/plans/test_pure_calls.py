"""Calls that only make a value of values: plans read them, and bytes and objects stay the same.

Each function and method that plans know is called by a reducer, with values of every kind: those
of which it runs nothing, those that answer for themselves, and those for which it fails.
"""

import contextlib
import copy as std_copy
import copyreg
import gc
import io
import pickle as std_pickle

import pytest

import fastcopyreg
from fastcopyreg import copy as our_copy
from fastcopyreg import pickle as our_pickle
from fastcopyreg.compiler import ReducerPlan, compile_reducer
from support.outcomes import outcome

pytestmark = pytest.mark.core

_core = pytest.importorskip("fastcopyreg._core")

LOG = []


class Loud:
    """It answers for itself, whatever it is asked."""

    def __repr__(self):
        LOG.append("repr")
        return "Loud()"

    def __str__(self):
        LOG.append("str")
        return "loud"

    def __format__(self, spec):
        LOG.append(f"format {spec}")
        return "formatted"

    def __len__(self):
        LOG.append("len")
        return 3

    def __iter__(self):
        LOG.append("iter")
        return iter((1, 2))

    def __index__(self):
        LOG.append("index")
        return 65

    def __float__(self):
        LOG.append("float")
        return 0.5

    def __bool__(self):
        LOG.append("bool")
        return False

    def __abs__(self):
        LOG.append("abs")
        return 7

    def __round__(self, *digits):
        LOG.append("round")
        return 8

    def __getattr__(self, name):
        LOG.append(f"getattr {name}")
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments: (name, arguments)

    def __reduce__(self):
        return Loud, ()


class LoudText(str):
    def __str__(self):
        LOG.append("text")
        return "louder"

    __format__ = __len__ = None

    def upper(self):
        LOG.append("upper")
        return "LOUDER"


class LoudNumber(int):
    def __str__(self):
        LOG.append("number")
        return "many"

    __repr__ = __str__


class LoudList(list):
    def __iter__(self):
        LOG.append("items")
        return iter("ab")

    def __len__(self):
        LOG.append("length")
        return 9


class Made:
    def __init__(self, *parts):
        self.parts = parts


EXPRESSIONS = (
    *(
        "f'{o.a}'",
        "f'{o.a} {o.b}'",
        "f'{o.a!r}|{o.b!s:>9}|{o.a!a}'",
        "f'{o.a:>5}'",
        "f'{o.a:.2f}'",
    ),
    *("f'{o.a}{o.a}'", "f'{o.a:03d}-{o.b}'", "str(o.a), str(o.a)", "str(o.a), o.a", "str(o.b)"),
    *(f"{name}(o.a)" for name in ("str", "len", "tuple", "list", "int", "float", "bool", "abs")),
    *(f"{name}(o.a)" for name in ("ascii", "bin", "chr", "format", "hex", "oct", "ord", "repr")),
    *("round(o.a)", "round(o.a, 1)", "round(o.a, o.b)", "int(o.a, 16)", "format(o.a, '>6')"),
    *(f"o.a.{name}()" for name in ("encode", "decode", "upper", "lower", "title", "hex", "strip")),
    *(f"o.a.{name}()" for name in ("capitalize", "casefold", "swapcase", "isdigit", "isalpha")),
    *(f"o.a.{name}()" for name in ("isidentifier", "bit_length", "bit_count", "conjugate")),
    *(f"o.a.{name}()" for name in ("is_integer", "as_integer_ratio", "split", "rsplit")),
    *(f"o.a.{name}('t')" for name in ("strip", "lstrip", "rstrip", "split", "partition", "join")),
    *(f"o.a.{name}('t')" for name in ("rpartition", "removeprefix", "removesuffix", "find")),
    *(f"o.a.{name}('t')" for name in ("startswith", "endswith", "rfind", "count", "index")),
    *(f"o.a.{name}(b'y')" for name in ("strip", "find", "startswith", "endswith", "join")),
    *("o.a.zfill(4)", "o.a.ljust(5, '-')", "o.a.rjust(5)", "o.a.center(7)", "o.a.rindex('t')"),
    *("o.a.splitlines(True)", "o.a.replace('t', o.b)", "o.a.to_bytes(9, 'little')"),
    *(
        "'{} {}'.format(o.a, o.b)",
        "'-'.join(o.a)",
        "o.a.rsplit('t', 1)",
        "o.a.replace('t', '', 1)",
    ),
    *("(o.a, (o.b, str(o.a)))", "[o.a, len(o.a)]", "{'k': (o.a, o.b), 'l': repr(o.a)}"),
    *(
        "(o.a, o.b), (o.a, o.b)",
        "tuple([o.a]), list((o.b,))",
        "len((o.a, o.b))",
        "str(5), len('ab')",
    ),
)

VALUES = (
    *("text", "", "t", "\u20ac\xe9t", "\xe9", "12", "x" * 300, "t" * 2000, "\ud800", "a\nb"),
    *(0, 5, -1, 65, 257, 10**18, 2**63, -(10**40), 10**5000, True, False, None),
    *(0.0, -1.5, 2.0, 1e300, float("inf"), float("nan"), 1j, b"", b"bytes", b"\xff", b"12"),
    *((), (1, "t"), [], ["t", 2], {}, {"t": 1}, frozenset({1}), {2}, bytearray(b"ab"), range(3)),
    *(Loud(), LoudText("lt"), LoudNumber(4), LoudList("xy"), "y" * 70_000, len, Made),
)


@pytest.fixture(scope="module", autouse=True)
def read_soon():
    before = _core.plan_threshold(4)
    yield
    _core.plan_threshold(before)


@contextlib.contextmanager
def registered(source, slots=True, state=False, **names):
    """A class, and the reducer of its objects; *source* is of the arguments, or the state."""
    body = {"__slots__": ("a", "b")} if slots else {}
    cls = type("Reduced", (), body | {"__module__": __name__})
    namespace = {"Made": Made, **names}
    parts = f"Made, (), {{'s': ({source},)}}" if state else f"Made, ({source},)"
    exec(f"def reducer(o): return {parts}", namespace)
    copyreg.pickle(cls, namespace["reducer"])
    try:
        yield cls, namespace["reducer"]
    finally:
        copyreg.dispatch_table.pop(cls)


def rows(cls, value, other, count=3):
    made = []
    for _ in range(count):
        made.append(cls())
        made[-1].a, made[-1].b = value, other
    return made


def told(value):
    """A copy in terms that can be compared: NaN is not itself, and parts are objects."""
    if isinstance(value, list):
        return [told(each) for each in value]
    return (type(value), repr(vars(value))) if isinstance(value, Made) else repr(value)


def outcomes(pickle, copy, objects):
    """What each door says, and what was asked of the values meanwhile."""
    said = []
    for function in (
        *(lambda p=p: pickle.dumps(objects, p) for p in (2, 4, 5)),
        lambda: pickle.dumps(objects[1]),
        lambda: told(copy.deepcopy(objects[1:])),
        lambda: told(copy.copy(objects[1])),
    ):
        LOG.clear()
        result = outcome(function)
        said.append((result, LOG.copy()))
    return said


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_the_same_of_every_value(source):
    others = ("t", 3) if "o.b" in source else ("t",)
    for state, other in ((False, others[0]), (True, others[-1])):
        for value in VALUES:
            with registered(source, not state, state) as (cls, _):
                for each in rows(cls, "warm", "t", 6):
                    outcome(our_pickle.dumps, each)
                    outcome(our_copy.deepcopy, each)
                objects = [value, *rows(cls, value, other), value]
                theirs = outcomes(std_pickle, std_copy, objects)
                assert outcomes(our_pickle, our_copy, objects) == theirs, (value, other)


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_plans_read_them(source):
    with registered(source) as (_, reducer):
        plan = compile_reducer(reducer)
        assert isinstance(plan, ReducerPlan), plan


RUN = {
    "f'{o.a} {o.b}'": ("text", 5),
    "f'{o.a!r:>9}'": ("text", 5),
    "str(o.a), o.b": (5, 5),
    "len(o.a)": ([1], 5),
    "o.a.upper()": ("text", 5),
    "tuple(o.a)": ([1, 2], 5),
    "(o.a, o.b), [o.a]": ("text", 5),
    "abs(o.a)": (-5, 5),
}


@pytest.mark.parametrize("source", RUN)
@pytest.mark.parametrize("copies", (False, True), ids=("dumps", "deepcopy"))
def test_nothing_is_called(source, copies):
    """But where a copier is to copy what is made: the plan makes the reduce value, or rests."""
    with registered(source) as (cls, _):
        objects = rows(cls, *RUN[source], 50)
        function = our_copy.deepcopy if copies else our_pickle.dumps
        function(objects)
        before = _core.plan_counts()[0]
        function(objects)
        atoms = source not in ("tuple(o.a)", "(o.a, o.b), [o.a]")
        assert _core.plan_counts()[0] - before == 50 or (copies and not atoms)


@pytest.mark.parametrize("source", RUN)
def test_explain_says_so(source):
    with registered(source) as (cls, _):
        told = str(fastcopyreg.explain(cls))
        assert "by plan" in told
        assert "by call" not in told.partition("constructor")[0]


@pytest.mark.parametrize("name", ("str", "len", "abs", "repr", "round", "tuple", "int"))
@pytest.mark.parametrize("where", ("globals", "builtins"))
def test_a_function_that_is_replaced(name, where):
    """Between two calls and inside of one; and back."""
    builtins = dict(vars(__builtins__)) if not isinstance(__builtins__, dict) else {**__builtins__}
    value = [1, 2] if name in ("len", "tuple") else 5

    class Changing:
        def __reduce__(self):
            names[name] = replaced
            return Made, ()

    def replaced(value):
        return "replaced"

    with registered(f"{name}(o.a)", __builtins__=builtins) as (cls, reducer):
        names = reducer.__globals__ if where == "globals" else builtins
        original = builtins[name]
        for back in (False, True, False):
            objects = [*rows(cls, value, 1, 8), Changing(), *rows(cls, value, 1, 8)]
            for dumps, deepcopy in (
                (std_pickle.dumps, std_copy.deepcopy),
                (our_pickle.dumps, our_copy.deepcopy),
            ):
                names[name] = replaced if back else original
                one = dumps(objects)
                names[name] = replaced if back else original
                two = told(deepcopy(objects))
                if dumps is std_pickle.dumps:
                    expected = one, two
            assert (one, two) == expected


def test_the_memo_of_a_pickler_has_as_many():
    with registered("f'{o.a} {o.b}', str(o.b)") as (cls, _):
        objects = rows(cls, "text", 77, 20)
        our_pickle.dumps(objects)
        said = []
        for module in (std_pickle, our_pickle):
            file = io.BytesIO()
            pickler = module.Pickler(file)
            pickler.dump(objects)
            pickler.dump(objects[:3])
            pickler.dump(rows(cls, "other", 78, 3))
            memo = pickler.memo.copy()
            numbers = sorted(number for number, _ in memo.values())
            said.append((file.getvalue(), numbers))
        assert said[0] == said[1]


def test_where_frames_end_and_the_collector_runs():
    """What is made is held as long as it is written, wherever a frame ends."""
    with registered("f'{o.a} {o.b}', tuple(o.c), [o.a, o.b]", slots=False) as (cls, _):
        objects = rows(cls, "text" * 20, 5, 1200)
        for number, each in enumerate(objects):
            each.c = [number, f"c{number}"]
        threshold = gc.get_threshold()
        gc.set_threshold(1)
        try:
            for protocol in (2, 4, 5):
                expected = std_pickle.dumps(objects, protocol)
                assert our_pickle.dumps(objects, protocol) == expected
            assert told(our_copy.deepcopy(objects)) == told(std_copy.deepcopy(objects))
        finally:
            gc.set_threshold(*threshold)
        assert fastcopyreg.backend == "c"
