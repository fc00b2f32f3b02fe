"""One probe of the running library decides one behaviour, in which versions differ."""

import pickle as std_pickle
import sys
import types

import pytest

from fastcopyreg import pickle
from support.outcomes import outcome

pytestmark = pytest.mark.core

PROTOCOLS = range(std_pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def leading_back():
    """A module in which names lead through other objects and back to it."""
    module = types.ModuleType("leading_back")
    source = """
import sys
class Outer:
    class Inner: pass
    back = sys.modules[__name__]
class Target: pass
def function(): pass
"""
    sys.modules["leading_back"] = module
    exec(source, vars(module))
    yield module
    del sys.modules["leading_back"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "path",
    [
        "Target",
        "Outer.Inner",
        "Outer.back.Target",
        "Outer.back.Outer.back.Target",
        "Outer.back.Outer.Inner",
        "Outer.back.Outer",
        "Outer.back.function",
    ],
)
def test_names_that_lead_back_through_their_module(leading_back, path, protocol):
    target = leading_back
    for part in path.split("."):
        target = getattr(target, part)
    target.__qualname__ = path
    data = outcome(std_pickle.dumps, [target, target], protocol)
    assert outcome(pickle.dumps, [target, target], protocol) == data
    assert pickle.loads(data) == [target, target]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("count", [999, 1000, 1001, 2000, 2001])
@pytest.mark.parametrize("make", [list, set, frozenset, dict.fromkeys], ids=lambda m: m.__name__)
def test_where_batches_end(make, count, protocol):
    value = make(range(count))
    assert pickle.dumps(value, protocol) == std_pickle.dumps(value, protocol)


EMPTY_BATCHES = {
    f"{name} of {what}": container + b"(" + opcode + b"."
    for name, opcode in {"APPENDS": b"e", "SETITEMS": b"u", "ADDITEMS": b"\x90"}.items()
    for what, container in {
        "None": b"N",
        "a list": b"]",
        "a dict": b"}",
        "a set": b"\x8f",
        "a frozenset": b"(\x91",
        "a tuple": b")",
        "an int": b"K\x05",
        "a range": b"cbuiltins\nrange\nK\x05\x85R",
        "a deque": b"ccollections\ndeque\n)R",
    }.items()
}


@pytest.mark.parametrize("data", EMPTY_BATCHES.values(), ids=EMPTY_BATCHES)
def test_batches_of_nothing(data):
    assert str(outcome(pickle.loads, data)) == str(outcome(std_pickle.loads, data))


MISSING = {
    "GLOBAL": b"cbuiltins\nnot there\n.",
    "GLOBAL of two parts": b"cbuiltins\nint.not there\n.",
    "GLOBAL in protocol 2": b"\x80\x02c__builtin__\nnot there\n.",
    "GLOBAL in protocol 4": b"\x80\x04cbuiltins\nint.not there\n.",
    "GLOBAL of a local": b"\x80\x03cbuiltins\nint.<locals>.x\n.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x08builtins\x8c\x04none\x93.",
    "STACK_GLOBAL of two parts": b"\x80\x04\x8c\x08builtins\x8c\x08int.none\x93.",
    "STACK_GLOBAL of a local": b"\x80\x04\x8c\x08builtins\x8c\x0eint.<locals>.x\x93.",
    "STACK_GLOBAL without protocol": b"\x8c\x08builtins\x8c\x08int.none\x93.",
    "INST": b"(ibuiltins\nnone\n.",
}


@pytest.mark.parametrize("data", MISSING.values(), ids=MISSING)
def test_names_that_are_not_there(data):
    assert outcome(pickle.loads, data) == outcome(std_pickle.loads, data)
