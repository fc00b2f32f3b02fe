"""`explain`: every rule, the reason for a verdict, places, costs, warnings, the three forms."""

import _thread
import collections
import copyreg
import datetime
import decimal
import fractions
import html.parser
import json
import os
import subprocess
import sys
import time
import types
import uuid
from pathlib import Path

import pytest

import fastcopyreg
from fastcopyreg import _backend, _stdlib, explain, register
from fastcopyreg._diagnosis.explanation import registry
from support import orders
from support.folders import TESTS
from support.orders import Abstract

RECOGNISED = (
    "by plan, from the time on when its class has been met often enough"
    if fastcopyreg.backend == "c"
    else "by call, as this backend is the standard library; the C core would run a plan"
)
READS_BYTECODE = sys.implementation.name == "cpython"


@pytest.fixture(autouse=True)
def plans_on():
    """Also on versions where they are off unless they are asked for."""
    if fastcopyreg.backend != "c":
        yield
        return
    before = _backend.core.plan_threshold(150)
    yield
    _backend.core.plan_threshold(before)


@pytest.fixture(autouse=True)
def own_registrations():
    table = dict(copyreg.dispatch_table)
    orders.register_all()
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(table)


def rows(x, section):
    return explain(x).to_dict().get(section, {})


def line_of(text, path=orders.__file__):
    """Return the number of the line that begins so."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.strip().startswith(text))


# --- reduce


@pytest.mark.parametrize(
    ("cls", "rule"),
    [
        (dict, "pickle saves them by itself, and asks nobody"),
        (types.FunctionType, "pickle saves them by itself, and asks nobody"),
        (orders.Named, "registered in copyreg.dispatch_table"),
        (orders.Meta, "they are classes, which pickle saves by name"),
        (orders.OwnReduce, "a __reduce__ of their own"),
        (orders.OwnReduceEx, "a __reduce_ex__ of their own"),
        (orders.Order, "the default reduction: copyreg.__newobj__ and the state"),
        (orders.OwnState, "the default reduction: copyreg.__newobj__ and the state"),
    ],
)
def test_rules(cls, rule):
    assert rows(cls, "reduce")["rule"] == rule


def test_an_object_may_have_a_rule_of_its_own():
    order = orders.Order([])
    order.__reduce__ = lambda: "good"
    assert rows(order, "reduce")["rule"].startswith("the default reduction")
    order.__reduce_ex__ = lambda protocol: "good"
    assert rows(order, "reduce")["rule"] == "a __reduce_ex__ of their own"
    assert rows(order, "rebuild")["constructor"] == "none, they are the global good"
    own = orders.OwnReduce(1)
    own.__reduce__ = lambda: "good"
    assert rows(own, "rebuild")["constructor"] == "none, they are the global good"


@pytest.mark.parametrize(
    "cls", [complex, datetime.datetime, collections.deque, collections.OrderedDict, uuid.UUID]
)
def test_values_of_the_standard_library(cls, c_core):
    assert rows(cls, "reduce")["runs"].startswith("in the C core, which reads such values")


@pytest.mark.parametrize(
    ("value", "left_out"),
    [
        (collections.Counter("a"), True),
        (fractions.Fraction(1, 2), True),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), True),
        (datetime.date(2026, 1, 2), True),
        (datetime.time(1), True),
        (datetime.timedelta(1), True),
        (datetime.timezone(datetime.timedelta(hours=1)), True),
        (slice(1), True),
        (complex(1, 2), True),
        (collections.deque([1]), True),
        (collections.OrderedDict(a=1), True),
        (collections.defaultdict(int), True),
        (types.SimpleNamespace(a=1), True),
        (decimal.Decimal(1), False),
        (range(1), False),
        (uuid.UUID(int=5), False),
        (collections.ChainMap(), False),
    ],
)
def test_constructors_that_are_left_out(value, left_out, c_core):
    runs = rows(value, "rebuild").get("runs", "")
    assert runs.startswith("in the C core, which makes such values") is left_out


def test_a_setstate_that_is_left_out(c_core):
    """Up to 3.12 code of enum says what SafeUUID.unknown is."""
    runs = rows(uuid.UUID(int=5), "rebuild").get("runs", "")
    assert runs.startswith("in the C core, which stores") is (sys.version_info >= (3, 13))


class Updated:
    def __setstate__(self, state):
        self.__dict__.update(state)


class Replaced:
    def __setstate__(self, state):
        self.__dict__ = state


class Touched:
    def __setstate__(self, state):
        self.state = state


class Told:
    def __setstate__(self, state):
        self.state = print(state)


@pytest.mark.skipif(not READS_BYTECODE, reason="no bytecode is read here")
def test_how_a_setstate_runs():
    for cls, does in (Updated, "update"), (Replaced, "replace"):
        found = rows(cls, "rebuild")
        assert found["which"] == f"does nothing but {does} __dict__"
        assert found["state runs"] == RECOGNISED
    found = rows(Touched, "rebuild")
    assert "which" not in found
    assert found["state runs"] == RECOGNISED
    found = rows(Told, "rebuild")
    assert found["state runs"] == "by call: calls print"
    assert found["state because of"].endswith(": self.state = print(state)")


def test_a_reducer_of_ones_own_goes_before_the_values(monkeypatch):
    monkeypatch.setitem(copyreg.dispatch_table, collections.deque, orders.reduce_printed)
    assert "where they lie" not in rows(collections.deque, "reduce")["runs"]


def test_plans_that_are_off(c_core):
    c_core.plan_threshold(0)
    assert rows(orders.Named, "reduce")["runs"].startswith("by call, as plans are off")


@pytest.mark.skipif(not READS_BYTECODE, reason="no bytecode is read here")
def test_plan_or_call_and_why():
    assert rows(orders.Named, "reduce")["runs"] == RECOGNISED
    printed = rows(orders.Printed, "reduce")
    assert printed["runs"] == "by call: calls print"
    line = line_of('print("pickling"')
    expected = f'{orders.__file__}:{line}: print("pickling", end="")'
    assert printed["because of"] == expected


@pytest.mark.skipif(fastcopyreg.backend != "c", reason="it is the core that runs plans")
@pytest.mark.parametrize("cls", [orders.Named, orders.Printed])
def test_the_verdict_is_what_the_core_does(cls, capsys):
    core = fastcopyreg._backend.core
    many = [cls(n) for n in range(1000)]
    fastcopyreg.pickle.dumps(many)
    before = core.plan_counts()[0]
    fastcopyreg.pickle.dumps(many)
    runs_by_plan = rows(cls, "reduce")["runs"].startswith("by plan")
    assert core.plan_counts()[0] - before == (1000 if runs_by_plan else 0)
    assert runs_by_plan == (cls is orders.Named)


@pytest.mark.skipif(fastcopyreg.backend != "c", reason="it is the core that runs plans")
@pytest.mark.parametrize("cls", [orders.Named, orders.Counted])
def test_the_verdict_on_a_constructor_is_what_the_core_does(cls):
    core = fastcopyreg._backend.core
    register(cls, ("x",))
    data = fastcopyreg.pickle.dumps([cls(n) for n in range(1000)])
    fastcopyreg.pickle.loads(data)
    runs_by_plan = rows(cls, "rebuild")["runs"].startswith("by plan")
    before = core.plan_counts()[1]
    fastcopyreg.pickle.loads(data)
    assert core.plan_counts()[1] - before == (1000 if runs_by_plan else 0)
    assert runs_by_plan == (cls is orders.Named)


def test_where_a_reducer_is():
    found = rows(orders.Named, "reduce")
    assert found["reducer"] == "support.orders.reduce_named"
    assert found["reducer at"] == f"{orders.__file__}:{line_of('def reduce_named')}"
    assert "registered at" not in found


def test_where_a_reducer_was_registered():
    fastcopyreg.copyreg.pickle(orders.Named, orders.reduce_named)
    line = line_of("fastcopyreg.copyreg.pickle(orders.Named", __file__)
    assert rows(orders.Named, "reduce")["registered at"] == f"{__file__}:{line}"
    copyreg.pickle(orders.Named, orders.reduce_printed)
    assert "registered at" not in rows(orders.Named, "reduce")


@pytest.mark.parametrize(
    ("function", "argument"), [(fastcopyreg.copyreg.pickle, len), (register, ("x",))]
)
def test_registering_from_a_thread_that_runs_nothing_else(function, argument):
    _thread.start_new_thread(function, (orders.Named, argument))
    deadline = time.monotonic() + 10
    while copyreg.dispatch_table[orders.Named] is orders.reduce_named:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert "registered at" not in rows(orders.Named, "reduce")


def test_what_was_declared():
    register(orders.Data)
    found = rows(orders.Data, "reduce")
    assert found["declared"] == "by register(), from the fields of the dataclass"
    assert found["as"] == "constructor, (object.x,)"
    assert found["registered at"] == f"{__file__}:{line_of('register(orders.Data)', __file__)}"
    assert rows(orders.Data, "rebuild")["constructor"] == "support.orders.Data"
    register(orders.Data, version=1)
    assert "restore" in rows(orders.Data, "rebuild")["through"]


def test_builtin_reducers_have_no_place():
    found = rows(datetime.date, "reduce")
    assert found["rule"].startswith("a __reduce")
    assert found["runs"].startswith("in the C core" if fastcopyreg.backend == "c" else "by ")
    if READS_BYTECODE:
        assert "reducer at" not in found


def test_a_reducer_that_raises():
    def refuse(obj):
        raise ValueError("never")

    copyreg.pickle(orders.Order, refuse)
    found = explain(orders.good).to_dict()
    assert found["reduce"]["refused"] == "ValueError: never"
    assert found["cost"]["pickle"] == "refused: never"


# --- rebuild


def test_rebuild_of_objects():
    constructed = rows(orders.Named(1), "rebuild")
    assert constructed["constructor"] == "support.orders.Named"
    assert constructed["constructor at"] == f"{orders.__file__}:{line_of('class Named') + 1}"
    assert constructed["arguments"] == "1"
    assert constructed["state"] == "none"
    if READS_BYTECODE:
        assert constructed["runs"] == RECOGNISED
    listed = rows(orders.Listed([1]), "rebuild")
    assert listed["constructor"] == "list.__new__, and no __init__"
    assert listed["list items"] == "by extend() or append()"
    ordered = rows(collections.OrderedDict(a=1), "rebuild")
    assert ordered["dict items"] == "by item assignment"
    own = rows(orders.OwnState(1), "rebuild")
    assert own["state"] == "support.orders.OwnState.__setstate__"
    plain = rows(orders.good, "rebuild")
    assert plain["state"] == "into the __dict__; into slots by setattr"


def test_rebuild_with_a_state_setter():
    copyreg.pickle(orders.Order, lambda o: (orders.Order, ([],), 1, None, None, set_state))
    found = rows(orders.good, "rebuild")
    assert found["state setter"] == f"{__name__}.set_state"


def set_state(order, state):
    order.state = state


def test_rebuild_of_classes():
    assert "explain an object" in rows(orders.Named, "rebuild")["constructor"]
    assert rows(orders.Order, "rebuild")["constructor"] == "object.__new__, and no __init__"
    assert rows(dict, "rebuild")["constructor"] == "none, pickle has opcodes for them"


# --- copy


@pytest.mark.parametrize(
    ("x", "copied", "deeply"),
    [
        (int, "by copy itself", "by copy itself"),
        (dict, "by copy itself", "by copy itself"),
        (orders.Meta, "not at all", "not at all"),
        (orders.OwnCopies, "by support.orders.OwnCopies.__copy__", "by support.orders.OwnCopies"),
        (orders.Order, "through the same reduction", "through the same reduction"),
    ],
)
def test_copy(x, copied, deeply):
    found = rows(x, "copy")
    assert found["copy"].startswith(copied)
    assert found["deepcopy"].startswith(deeply)


def test_an_object_may_deepcopy_itself():
    order = orders.Order([])
    order.__deepcopy__ = set_state
    assert rows(order, "copy")["copy"] == "through the same reduction"
    assert rows(order, "copy")["deepcopy"].startswith(f"by {__name__}.set_state")


# --- cost


def test_costs_are_measured():
    found = rows(orders.good, "cost")
    assert set(found) == {"reduce", "dumps", "loads", "deepcopy"}
    for what, cost in found.items():
        ours = getattr(fastcopyreg.copy if what == "deepcopy" else fastcopyreg.pickle, what, None)
        replaced = ours is not getattr(_stdlib, what, None)
        columns = {"standard library", "fastcopyreg"} if replaced else {"standard library"}
        assert set(cost) == ({"called"} if what == "reduce" else columns)
        assert all(0 < nanoseconds < 1e7 for nanoseconds in cost.values())
    assert "ns (standard library)" in str(explain(orders.good))


def test_costs_of_what_is_refused():
    found = rows(orders.locked, "cost")
    assert found["pickle"].startswith("refused: cannot pickle")
    assert found["deepcopy"].startswith("refused: cannot pickle")


def test_classes_have_no_cost_and_nothing_is_called():
    assert rows(orders.Printed, "cost") == {}


# --- warnings


def test_registrations_without_effect():
    copyreg.pickle(dict, orders.reduce_named)
    copyreg.pickle(types.FunctionType, orders.reduce_named)
    (warning,) = explain(dict).warnings
    assert warning.startswith("dict is registered, which has no effect")
    assert "register a subclass of dict" in warning or "override reducer_override()" in warning
    (warning,) = explain(types.FunctionType).warnings
    assert "override reducer_override()" in warning


def test_a_class_whose_base_is_registered():
    (warning,) = explain(orders.Derived).warnings
    assert warning.startswith("Named is registered, but Derived is not")
    copyreg.pickle(orders.Derived, orders.reduce_named)
    assert explain(orders.Derived).warnings == []


def test_a_class_made_anew_after_it_was_registered(monkeypatch):
    register(orders.Data)
    registered = orders.Data
    monkeypatch.setattr(orders, "Data", type("Data", (), {}))
    (warning,) = explain(registered).warnings
    assert "put @register above it" in warning


def test_other_warnings():
    class Local:
        pass

    for cls in (Local, Abstract, orders.Meta, orders.OwnCopies):
        copyreg.pickle(cls, orders.reduce_named)
    assert "cannot be loaded: " in explain(Local).warnings[0]
    assert "is abstract" in explain(Abstract).warnings[0]
    assert "copy never asks the registry" in explain(orders.Meta).warnings[0]
    assert [w.partition(" ")[0] for w in explain(orders.OwnCopies).warnings] == [
        "__copy__",
        "__deepcopy__",
    ]


def test_without_warnings():
    for x in (orders.Order, orders.good, orders.Named, 3, dict, int):
        assert explain(x).warnings == []


# --- the three forms


def test_forms():
    copyreg.pickle(dict, orders.reduce_named)
    explanation = explain(dict)
    text = str(explanation)
    assert text.splitlines()[0] == "dict"
    assert "    rule  pickle saves them by itself, and asks nobody" in text
    assert text.splitlines()[-1].startswith("  warning: dict is registered")
    assert repr(explanation) == "<Explanation of dict>"
    assert json.loads(json.dumps(explanation.to_dict()))["name"] == "dict"


class Checker(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html():
    copyreg.pickle(orders.Order, lambda order: (orders.Order, (order.lines or "<&>",)))
    checker = Checker()
    checker.feed(explain(orders.good)._repr_html_())
    assert checker.open == []
    assert any("<lambda>" in text for text in checker.text)
    assert "cost" in checker.text


# --- the registry, and the command line


def test_the_whole_registry():
    names = [explanation.name for explanation in registry()]
    assert "support.orders.Printed" in names
    assert names[0] == "complex"
    assert len(names) == len(_stdlib.dispatch_table)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fastcopyreg", "explain", *arguments],
        env=dict(os.environ, PYTHONPATH=str(TESTS), PYTHONSAFEPATH="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_command_explains_a_class_and_an_object():
    done = command("support.orders:Order")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("support.orders.Order\n  reduce\n")
    done = command("support.orders:good", "--json")
    assert done.returncode == 0
    (told,) = json.loads(done.stdout)
    assert told["name"] == "an object of support.orders.Order"
    assert told["cost"]["dumps"]["standard library"] > 0


def test_command_lists_the_registry():
    done = command()
    assert done.returncode == 0
    assert done.stdout.startswith("complex\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("support.orders", "'support.orders' is not of the form MODULE:NAME"),
        ("no.such.module:X", "cannot import no.such.module: No module named 'no'"),
        ("support.orders:Order.no", "type object 'Order' has no attribute 'no'"),
    ],
)
def test_command_says_what_is_not_found(name, message):
    done = command(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"fastcopyreg explain: {message}")
