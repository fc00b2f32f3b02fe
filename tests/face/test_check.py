"""`check`: each thing that can be wrong is found, and the way to where it is."""

import array
import collections
import copyreg
import datetime
import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

import fastcopyreg
from fastcopyreg import check, register
from fastcopyreg._diagnosis import paths
from fastcopyreg._diagnosis.report import CheckError
from support import orders
from support.folders import TESTS

LOCK = orders.Lock()
PROTOCOLS = "protocol 2, protocol 3, protocol 4, protocol 5"


@pytest.fixture(autouse=True)
def own_registrations():
    table = dict(copyreg.dispatch_table)
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(table)


def problems(x, *arguments):
    return dict(check(x, *arguments).problems)


@dataclass
class Item:
    name: str
    price: float = 0.0


@dataclass
class Basket:
    items: list
    rates: dict = field(default_factory=dict)
    owner: object = None


class Slotted:
    __slots__ = ("lock", "other")


class Bag(list):
    pass


class Ring:
    def __init__(self):
        self.me = self
        self.others = [self, {"me": self}]


GOOD = {
    "int": lambda: 3,
    "nan": lambda: float("nan"),
    "nan inside": lambda: [float("nan"), {"x": float("nan")}],
    "dataclass": lambda: Basket([Item("a", 1.5)], {"a": 2}),
    "no equality": lambda: orders.good,
    "cycle": Ring,
    "list of itself": lambda: orders.Listed([1, [2]]),
    "standard values": lambda: [datetime.date(2024, 2, 29), collections.OrderedDict(a=1), 1j],
    "array": lambda: array.array("d", [1.0]),
    "function": lambda: len,
    "class of an object": lambda: [orders.Order],
    "deep": lambda: nested(150),
    "global": lambda: ...,
}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [orders.Order(value)]
    return value


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD.keys())
def test_good(make):
    report = check(make())
    assert report, str(report)
    assert report.checked == (*PROTOCOLS.split(", "), "copy", "deepcopy", "a fresh interpreter")
    assert check(make(), raise_=True).problems == ()


# --- the way to what cannot be pickled


def slotted():
    obj = Slotted()
    obj.lock = LOCK
    return obj


def with_setter():
    return orders.Order([])


def locked_items():
    bag = Bag([1, 2])
    bag.append(LOCK)
    return bag


def locked_pairs():
    return collections.OrderedDict(a=1, b=LOCK)


REFUSED = {
    "state": (lambda: orders.locked, "Order.lines[3].lock"),
    "list": (lambda: [1, [2, LOCK]], "list[1][1]"),
    "tuple": (lambda: (1, LOCK), "tuple[1]"),
    "dict value": (lambda: {"a": {2: LOCK}}, "dict['a'][2]"),
    "dict key": (lambda: {LOCK: 1}, "dict(key of type Lock)"),
    "set": (lambda: {1, LOCK}, "set(element of type Lock)"),
    "slot": (slotted, "Slotted.lock"),
    "list items": (locked_items, "Bag[2]"),
    "dict items": (locked_pairs, "OrderedDict['b']"),
    "dataclass": (lambda: Basket([Item("a"), Item(LOCK)]), "Basket.items[1].name"),
    "long key": (lambda: {"k" * 99: LOCK}, f"dict['{'k' * 36}...]"),
    "after a cycle": (lambda: locked_ring(), "Ring.lock"),
    "a lambda": (lambda: orders.Order([lambda: 1]), "Order.lines[0]"),
}


def locked_ring():
    ring = Ring()
    ring.lock = LOCK
    return ring


@pytest.mark.parametrize(("make", "way"), REFUSED.values(), ids=REFUSED.keys())
def test_the_way_to_what_is_refused(make, way):
    found = problems(make())
    assert way in found, found
    assert found[way].startswith("cannot be pickled: ")
    assert found[way].endswith(f"({PROTOCOLS})")


def test_the_root_may_be_what_is_refused():
    (first, _) = check(LOCK).problems
    assert first[0] == "Lock"
    assert first[1].startswith("its reducer raises TypeError: cannot pickle 'Lock'")


def test_a_reducer_that_makes_ever_new_refused_objects():
    def endless(obj):
        return orders.Order, (orders.Order([LOCK]),)

    copyreg.pickle(orders.Order, endless)
    assert "Order" in problems(orders.Order([]))


def test_arguments_are_named_by_attribute_or_number():
    copyreg.pickle(Item, lambda item: (Item, (item.name, item.price)))
    assert "Item.price" in problems(Item("a", LOCK))
    copyreg.pickle(Item, lambda item: (Item, (item.name, [LOCK])))
    assert "Item(argument 2)[0]" in problems(Item("a", LOCK))
    register(Item)
    assert "Item.price" in problems(Item("a", LOCK))
    register(Item, version=1)
    assert "Item.price" in problems(Item("a", LOCK))


def test_arguments_from_slots():
    copyreg.pickle(Slotted, lambda obj: (Slotted, (obj.lock,)))
    assert "Slotted.lock" in problems(slotted())


def test_state_that_is_no_dict_and_setter():
    copyreg.pickle(orders.Order, lambda order: (orders.Order, (1,), [LOCK]))
    assert "Order(state)[0]" in problems(orders.Order(1))
    copyreg.pickle(orders.Order, lambda o: (orders.Order, (1,), 1, None, None, lambda o, s: 1))
    assert "Order(state setter)" in problems(orders.Order(1))
    copyreg.pickle(orders.Order, lambda order: (lambda lines: 1, (1,)))
    assert "Order(constructor)" in problems(orders.Order(1))


def test_protocols_are_told_apart():
    report = check(Slotted(), range(6))
    assert dict(report.problems)["Slotted"].endswith("(protocol 0, protocol 1)")
    assert check(Slotted(), [4])


# --- the reduce value

BAD_VALUES = {
    "list": (lambda o: [1], "its reduce value is a list; it is a str or a tuple"),
    "one": (lambda o: (1,), "its reduce value has 1 parts; it has two to six"),
    "seven": (lambda o: (1,) * 7, "its reduce value has 7 parts"),
    "callable": (lambda o: (1, ()), "the first part of its reduce value is 1, which is not"),
    "arguments": (lambda o: (orders.Order, [1]), "the arguments in its reduce value are a list"),
    "none": (lambda o: (orders.Order, None), "the arguments in its reduce value are a NoneType"),
    "items": (lambda o: (orders.Order, (1,), None, [1]), "the list items in its reduce value are"),
    "pairs": (
        lambda o: (orders.Order, (1,), None, None, {}),
        "the dict items in its reduce value are a dict, no iterator",
    ),
    "setter": (
        lambda o: (orders.Order, (1,), 1, None, None, 5),
        "the state setter in its reduce value is 5, which is not callable",
    ),
    "raises": (lambda o: o.nothing, "its reducer raises AttributeError"),
}


@pytest.mark.parametrize(("reducer", "message"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_bad_reduce_values(reducer, message):
    copyreg.pickle(orders.Order, reducer)
    report = check(orders.Order(1))
    way, text = report.problems[0]
    assert (way, text[: len(message)]) == ("Order", message)
    if sys.implementation.name == "cpython":  # PyPy's pickle is not so strict.
        with pytest.raises((pickle.PicklingError, TypeError, AttributeError)):
            pickle.dumps(orders.Order(1))


# --- round trips


def test_what_gets_lost():
    found = problems(orders.Forgetful(1))
    assert found == {
        "Forgetful.kept[0]['rest']": f"is different afterwards ({PROTOCOLS}, copy, deepcopy)"
    }


def test_what_gets_lost_of_a_class_with_equality():
    copyreg.pickle(Item, lambda item: (Item, (item.name, item.price + 1)))
    found = problems(Basket([Item("a"), Item("b")]))
    way = "Basket.items[0](argument 2)"
    assert found[way] == f"is different afterwards ({PROTOCOLS}, deepcopy)"


def test_another_type_afterwards():
    copyreg.pickle(Item, lambda item: (list, ()))
    assert problems([Item("a")]) == {"list[0]": f"is different afterwards ({PROTOCOLS}, deepcopy)"}


def test_fewer_parts_afterwards():
    copyreg.pickle(Bag, lambda bag: (Bag, (), None, iter(list(bag)[:1])))
    assert "Bag" in problems(Bag([1, 2]))


def test_a_constructor_that_does_not_take_the_arguments():
    copyreg.pickle(Item, lambda item: (Item, ()))
    found = problems(Item("a"))
    assert "cannot be made again: TypeError" in found["Item"]


def test_six_parts_cannot_be_copied():
    copyreg.pickle(orders.Order, lambda o: (orders.Order, (1,), 1, None, None, set_nothing))
    (problem,) = check(orders.Order(1)).problems
    assert problem[1].startswith("cannot be made again: TypeError")
    assert problem[1].endswith("(copy, deepcopy)")


def set_nothing(order, state):
    pass


class Vague:
    """Its comparison has no truth, like an array's."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise ValueError("ambiguous")

    __hash__ = None


def test_comparisons_without_truth_go_by_parts():
    assert check(Vague(1))
    copyreg.pickle(Vague, lambda vague: (Vague, (vague.x + 1,)))
    assert "Vague.x" in problems(Vague(1)) or "Vague(argument 1)" in problems(Vague(1))


def test_equal_objects_have_no_difference():
    for make in (Ring, lambda: nested(50), lambda: Basket([Item("a")])):
        assert paths.way_to_difference(make(), make(), 4) is None
    assert paths.way_to_difference([1, 2], [1, 3], 4) == "list[1]"
    assert paths.way_to_difference({"a": 1}, {"b": 1}, 4) == "dict"
    assert paths.way_to_difference([1, 2], [1], 4) == "list"
    assert paths.way_to_difference(1, 1.0, 4) == "int"
    assert paths.way_to_difference({1, 2}, {1, 3}, 4) == "set"


def test_deep_objects_are_compared_without_recursion():
    first, second = nested(20_000), nested(20_000)
    assert paths.way_to_difference(first, second, 4) is None


# --- a fresh interpreter


def test_main_is_not_there_in_a_fresh_interpreter(tmp_path):
    script = """
from fastcopyreg import check

class Mine:
    pass

(problem,) = check(Mine()).problems
assert problem[0] == "Mine", problem
assert problem[1].startswith("cannot be loaded in a fresh interpreter: AttributeError"), problem
(problem,) = check(Mine).problems
assert problem[1].startswith("cannot be loaded in a fresh interpreter"), problem
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_module_that_only_this_process_has(monkeypatch):
    monkeypatch.setattr(orders, "late", lambda: None, raising=False)
    orders.late.__module__, orders.late.__qualname__ = "support.orders", "late"
    (problem,) = check(orders.late).problems
    assert "no attribute 'late'" in problem[1] or "Can't get attribute" in problem[1]


def test_a_registration_that_only_this_process_has():
    register(orders.Data, version=1)
    (problem,) = check(orders.Data(1)).problems
    assert "import the module that registers it" in problem[1]


# --- classes


def test_classes():
    report = check(orders.Order)
    assert report
    assert report.checked == ("registration", "import by name")
    copyreg.pickle(dict, orders.reduce_named)
    assert check(dict).problems[0][0] == "dict"
    assert "has no effect" in check(dict).problems[0][1]

    class Local:
        pass

    assert "cannot be pickled" in problems(Local)["Local"]


# --- the report


def test_report():
    report = check(orders.locked)
    assert not report
    lines = str(report).splitlines()
    assert lines[0] == "an object of support.orders.Order: 2 problems"
    assert lines[1].startswith("    Order.lines[3].lock: cannot be pickled: TypeError")
    assert repr(report) == "<CheckReport of an object of support.orders.Order: 2 problems>"
    told = json.loads(json.dumps(report.to_dict()))
    assert told["ok"] is False
    assert told["problems"][0]["path"] == "Order.lines[3].lock"
    assert str(check(3)).startswith("an object of int: ok (protocol 2, ")
    assert check(3).to_dict()["ok"] is True


def test_raising():
    with pytest.raises(CheckError, match=r"Order\.lines\[3\]\.lock") as caught:
        check(orders.locked, raise_=True)
    assert isinstance(caught.value, AssertionError)
    assert not caught.value.report


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fastcopyreg", "check", *arguments],
        env=dict(os.environ, PYTHONPATH=str(TESTS), PYTHONSAFEPATH="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("support.orders:good", 0, "an object of support.orders.Order: ok"),
        ("support.orders:Order", 0, "support.orders.Order: ok"),
        ("support.orders:locked", 1, "Order.lines[3].lock: cannot be pickled"),
        ("support.orders:nothing", 2, "has no attribute 'nothing'"),
    ],
)
def test_command(name, status, text):
    done = command(name)
    assert done.returncode == status, done.stderr
    assert text in (done.stderr if status == 2 else done.stdout)


def test_command_as_json():
    (told,) = json.loads(command("support.orders:locked", "--json").stdout)
    assert told["problems"][0]["path"] == "Order.lines[3].lock"


def test_the_package_offers_all_three():
    assert fastcopyreg.register.__module__ == "fastcopyreg.registration"
    assert (
        fastcopyreg.check.__module__ == fastcopyreg.explain.__module__ == "fastcopyreg.diagnosis"
    )
