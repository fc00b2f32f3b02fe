"""Pickles of one call or one instance are read as by the machine, whatever is wrong in them."""

import pickle as std_pickle
import sys

import pytest

import fastcopyreg
from fastcopyreg import pickle

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend has no way of its own", allow_module_level=True)

from support import named
from support.named import NAME
from support.outcomes import outcome


@pytest.fixture
def module(monkeypatch):
    with named.made(monkeypatch) as made:
        yield made


def test_loads_of_one_call(module):
    """Pickles of one call, whole and with each byte changed, are read as by the machine."""
    module.Other.__eq__ = lambda self, other: self.args == other.args
    rows = [
        (),
        (1,),
        (1.5, -3),
        (None, True, False),
        ("a", "longer text", 255, 256, 65536, -1),
        tuple(range(16)),
        tuple(range(17)),
        ("text",) * 2,
        ("\u20ac",),
        (2**40,),
        (b"x",),
        ((),),
    ]
    for row in rows:
        for called in (module.Other, module.make, len, repr)[: 2 if len(row) > 1 else 4]:
            data = reduced(called, row, 4 + len(row) % 2)
            compare_loads(data)
            compare_loads(data + b"more")
            begin = data.index(called.__name__.encode()) + len(called.__name__)
            for place in (*range(12), *range(begin, len(data))):
                compare_loads(data[:place])
                for byte in (0, 40, 41, 46, 78, 82, 116, 133, 140, 148):
                    compare_loads(data[:place] + bytes([byte]) + data[place + 1 :])


class Reduced:
    def __init__(self, reduction):
        self.reduction = reduction

    def __reduce_ex__(self, protocol):
        return self.reduction


def reduced(called, row, protocol):
    return std_pickle.dumps(Reduced((called, row)), protocol)


def compare_loads(data):
    wanted, ours = outcome(std_pickle.loads, data), outcome(pickle.loads, data)
    if isinstance(wanted, tuple) and wanted and isinstance(wanted[0], type):
        assert ours[0] is wanted[0], data
    elif type(wanted).__name__ == "Other":
        assert (type(ours), ours.args) == (type(wanted), wanted.args), data
    else:
        assert type(ours) is type(wanted), data


INSTANCES = """
import dataclasses

class Dict:
    pass

class Slots:
    __slots__ = ("a", "b", "name")

class Both(Slots):
    pass

class Setter:
    __slots__ = ("_a",)
    a = property(lambda self: self._a, lambda self, value: setattr(self, "_a", [value]))

class Takes:
    def __setstate__(self, state):
        self.taken = state

class New:
    def __new__(cls, *args):
        self = object.__new__(cls)
        self.args = args
        return self

class Sets:
    def __setattr__(self, name, value):
        object.__setattr__(self, name, (name, value))

class Other(Dict):
    def __new__(cls):
        return Dict()

class List(list):
    pass

@dataclasses.dataclass
class Data:
    a: int = 0
    b: int = 0

@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int = 0
    b: int = 0

def function():
    pass
"""

STATES = [
    {"a": 1},
    {"a": 1.5, "b": -70000},
    {"b": None, "a": True, "name": "text"},
    {"a": "a text", "name": 300},
    {"unheard of": 1, "a": 2},
    {f"a{i}": i for i in range(16)},
    {f"a{i}": i for i in range(17)},
    {"\u20ac": 1},
    {"a": "\u20ac"},
    {"a": (1, 2)},
    {1: 2},
    {"": 1},
]


def fields(obj):
    """An instance's class and all of its attributes, in order."""
    slots = ("a", "b", "name", "_a", "args", "taken")
    return (
        type(obj).__name__,
        [(name, getattr(obj, name, "unset")) for name in slots],
        (
            [(key, value, type(key)) for key, value in vars(obj).items()]
            if hasattr(obj, "__dict__")
            else None
        ),
    )


def compare_instances(data):
    results = []
    for loads in (std_pickle.loads, pickle.loads, pickle.loads):
        try:
            made = loads(data)
            results.append(fields(made) if not isinstance(made, type) else made)
        except Exception as error:
            results.append(type(error))
    assert results[1:] == results[:1] * 2, data


def instance(cls, state, protocol=5):
    """A pickle of NEWOBJ and BUILD, whatever the class itself would have made of it."""
    module = cls.__module__.encode()
    name = cls.__name__.encode()
    body = std_pickle.dumps([state], protocol)
    at = body.index(b"]\x94") + 2
    head = b"\x8c" + bytes([len(module)]) + module + b"\x94"
    head += b"\x8c" + bytes([len(name)]) + name + b"\x94\x93\x94)\x81\x94"
    data = head + body[at:-2] + b"b."
    return b"\x80" + bytes([protocol]) + b"\x95" + len(data).to_bytes(8, "little") + data


@pytest.fixture
def instances(module):
    exec(INSTANCES, vars(module))
    for name in ("a", "b", "name", "args", "taken"):
        setattr(module.Dict(), name, None)  # In the keys that instances share.
    return module


def test_loads_of_one_instance(instances):
    """Pickles of one instance, whole and with each byte changed, are read as by the machine."""
    classes = [value for value in vars(instances).values() if isinstance(value, type)]
    for cls in [*classes, instances.function]:
        for number, state in enumerate(STATES):
            for wrapped in (state, (None, state), ({}, state)):
                compare_instances(instance(cls, wrapped, 4 + number % 2))


@pytest.mark.parametrize("name", ["Dict", "Slots", "Both", "Takes", "New"])
def test_loads_of_one_instance_that_is_broken(instances, name):
    for state in ({"a": 1, "b": "text"}, {"name": 2.5}):
        for wrapped in (state, (None, state)):
            data = instance(getattr(instances, name), wrapped)
            assert data == data[:3] + (len(data) - 11).to_bytes(8, "little") + data[11:]
            begin = data.index(name.encode())
            for place in range(begin, len(data)):
                compare_instances(data[:place])
                for byte in (0, 1, 40, 41, 46, 78, 81, 97, 98, 115, 117, 125, 129, 134, 140, 148):
                    compare_instances(data[:place] + bytes([byte]) + data[place + 1 :])


def test_a_class_that_changes_between_loads_of_its_instances(instances):
    def set_state(self, state):
        self.name = state

    rows = [("Dict", {"a": 1, "b": 2}), ("Slots", (None, {"a": 1, "b": 2}))]
    changes = {
        "__setstate__": set_state,
        "__setattr__": lambda self, name, value: None,
        "__new__": lambda cls: object.__new__(instances.Data),
        "__getattribute__": lambda self, name: object.__getattribute__(self, name),
        "a": property(lambda self: 5),
    }
    for name, state in rows:
        cls = getattr(instances, name)
        data = instance(cls, state)
        for attribute, value in changes.items():
            compare_instances(data)
            before = cls.__dict__.get(attribute)
            setattr(cls, attribute, value)
            compare_instances(data)
            if before is None:
                delattr(cls, attribute)
            else:
                setattr(cls, attribute, before)
            compare_instances(data)


def test_audits_of_one_call(module):
    seen = []
    state = {"on": True}

    def hook(event, arguments):
        if state["on"] and event == "pickle.find_class":
            seen.append(arguments)

    sys.addaudithook(hook)
    data = reduced(module.Other, (1, "x"), 5)
    for function in (std_pickle.loads, pickle.loads, pickle.loads):
        function(data)
    state["on"] = False
    assert seen == [(NAME, "Other")] * 3
