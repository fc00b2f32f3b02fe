"""Reduce values: every shape, right or wrong, from every place that gives one."""

import copyreg
import pickletools

import pytest

from support.classes import ByClass, Plain, make_plain, set_state
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, compare, record, version_at_least

pytestmark = requires_core


class Shaped(ByClass):
    """Reduced to whatever `value()` gives at the moment."""

    value = None

    def __reduce_ex__(self, protocol):
        return type(self).value()


class ShapedByReduce(Shaped):
    """The same by `__reduce__`."""

    __reduce_ex__ = object.__reduce_ex__

    def __reduce__(self):
        return type(self).value()


class ShapedByTable(Shaped):
    """The same by a registered reducer."""


class StrSubclass(str):
    """A string result may be of a subclass."""


class TupleSubclass(tuple):
    """So may a tuple result."""


class OddCallable:
    """Callable, and named like what pickle treats specially."""

    def __init__(self, name):
        self.__name__ = name

    def __call__(self, *args):
        return Plain()

    def __reduce__(self):
        return "ODD"


class UnnamedCallable:
    """Callable, and raising when its name is asked for."""

    @property
    def __name__(self):
        raise ValueError("no name")

    def __call__(self, *args):
        return Plain()


class HidesNew(type):
    """A metaclass that raises when `__new__` is asked for."""

    def __getattribute__(cls, name):
        if name == "__new__":
            raise AttributeError("hidden")
        return super().__getattribute__(name)


class RefusesNew(ByClass, metaclass=HidesNew):
    """A class whose `__new__` cannot be read; only protocols 2 and 3 need it."""


NEWOBJ = copyreg.__newobj__
NEWOBJ_EX = copyreg.__newobj_ex__

GOOD = {
    "two": lambda: (make_plain, (1, [2])),
    "no arguments": lambda: (make_plain, ()),
    "state": lambda: (make_plain, (), {"a": [1]}),
    "empty state": lambda: (make_plain, (), {}),
    "false state": lambda: (make_plain, (), 0),
    "state None": lambda: (make_plain, (), None),
    "all None": lambda: (make_plain, (), None, None, None, None),
    "four": lambda: (make_plain, (), None, iter([1, [2]])),
    "many items": lambda: (make_plain, (), None, iter(range(2001))),
    "exact batch": lambda: (make_plain, (), None, iter(range(1000))),
    "one item": lambda: (make_plain, (), None, iter([1])),
    "no items": lambda: (make_plain, (), None, iter([])),
    "generator": lambda: (make_plain, (), None, (n for n in range(3))),
    "five": lambda: (make_plain, (), None, None, iter({"a": [1]}.items())),
    "many pairs": lambda: (make_plain, (), None, None, iter([(n, n) for n in range(2001)])),
    "exact pairs": lambda: (make_plain, (), None, None, iter([(n, n) for n in range(1000)])),
    "one pair": lambda: (make_plain, (), None, None, iter([(1, 2)])),
    "six": lambda: (make_plain, (), {"a": 1}, iter([1]), iter([(1, 2)]), set_state),
    "setter without state": lambda: (make_plain, (), None, None, None, set_state),
    "tuple subclass": lambda: TupleSubclass((make_plain, (1,))),
    "arguments subclass": lambda: (make_plain, TupleSubclass((1,))),
    "class": lambda: (Plain, ()),
    "builtin": lambda: (list, ((1,),)),
    "method": lambda: (dict.fromkeys, ((1,),)),
    "newobj": lambda: (NEWOBJ, (Shaped,)),
    "newobj arguments": lambda: (NEWOBJ, (Shaped, 1, [2]), {"s": 1}),
    "newobj_ex": lambda: (NEWOBJ_EX, (Shaped, (1,), {"k": 2})),
    "newobj_ex empty": lambda: (NEWOBJ_EX, (Shaped, (), {})),
    "named like newobj": lambda: (OddCallable("__newobj__"), (Shaped,)),
    "named like newobj_ex": lambda: (OddCallable("__newobj_ex__"), (Shaped, (), {})),
    "name not a string": lambda: (OddCallable(3), ()),
    "string": lambda: "GLOBAL",
    "string subclass": lambda: StrSubclass("GLOBAL"),
    "dotted": lambda: "Holder.held",
}

BAD = {
    "none": lambda: None,
    "number": lambda: 3,
    "list": lambda: [make_plain, ()],
    "bytes": lambda: b"GLOBAL",
    "not implemented": lambda: NotImplemented,
    "empty": lambda: (),
    "one": lambda: (make_plain,),
    "seven": lambda: (make_plain, (), None, None, None, None, None),
    "callable None": lambda: (None, ()),
    "callable number": lambda: (3, ()),
    "arguments None": lambda: (make_plain, None),
    "arguments None for a class": lambda: (Plain, None),
    "arguments list": lambda: (make_plain, [1]),
    "arguments number": lambda: (make_plain, 3),
    "items list": lambda: (make_plain, (), None, [1]),
    "items number": lambda: (make_plain, (), None, 3),
    "pairs dict": lambda: (make_plain, (), None, None, {}),
    "pairs number": lambda: (make_plain, (), None, None, 3),
    "pair number": lambda: (make_plain, (), None, None, iter([3])),
    "pair number later": lambda: (make_plain, (), None, None, iter([(1, 2), 3])),
    "pair list": lambda: (make_plain, (), None, None, iter([[1, 2]])),
    "pair of three": lambda: (make_plain, (), None, None, iter([(1, 2, 3)])),
    "pair of one": lambda: (make_plain, (), None, None, iter([(1, 2), (1,)])),
    "setter number": lambda: (make_plain, (), {"a": 1}, None, None, 3),
    "items and pairs bad": lambda: (make_plain, (), None, 1, 2, 3),
    "newobj no class": lambda: (NEWOBJ, ()),
    "newobj number": lambda: (NEWOBJ, (3,)),
    "newobj instance": lambda: (NEWOBJ, (Plain(),)),
    "newobj other class": lambda: (NEWOBJ, (Plain,)),
    "newobj_ex two": lambda: (NEWOBJ_EX, (Shaped, ())),
    "newobj_ex number": lambda: (NEWOBJ_EX, (3, (), {})),
    "newobj_ex arguments": lambda: (NEWOBJ_EX, (Shaped, [], {})),
    "newobj_ex keywords": lambda: (NEWOBJ_EX, (Shaped, (), [])),
    "newobj_ex bad new": lambda: (NEWOBJ_EX, (RefusesNew, (), {})),
    "name raises": lambda: (UnnamedCallable(), ()),
    "string missing": lambda: "NO SUCH NAME",
    "string other": lambda: "OTHER",
    "string empty": lambda: "",
    "string dots": lambda: "..",
    "string locals": lambda: "make.<locals>.x",
    "string surrogate": lambda: "\udc80",
    "string not ascii": lambda: "ÜBER",
    "unpicklable callable": lambda: ((lambda: None), ()),
    "unpicklable argument": lambda: (make_plain, (lambda: None,)),
    "unpicklable state": lambda: (make_plain, (), {"k": lambda: None}),
    "unpicklable item": lambda: (make_plain, (), None, iter([1, lambda: None])),
    "unpicklable key": lambda: (make_plain, (), None, None, iter([(lambda: None, 1)])),
    "unpicklable value": lambda: (make_plain, (), None, None, iter([(1, lambda: None)])),
    "unpicklable setter": lambda: (make_plain, (), 1, None, None, lambda *args: None),
    "unpicklable newobj argument": lambda: (NEWOBJ, (Shaped, lambda: None)),
    "unpicklable newobj_ex argument": lambda: (NEWOBJ_EX, (Shaped, (lambda: None,), {})),
    "unpicklable newobj_ex keyword": lambda: (NEWOBJ_EX, (Shaped, (), {"k": lambda: None})),
}

SHAPES = GOOD | BAD
GLOBAL = Shaped()
OTHER = Shaped()
ÜBER = GLOBAL
ODD = None


class Holder:
    """For a dotted global."""

    held = GLOBAL


copyreg.pickle(ShapedByTable, lambda obj: type(obj).value())


@pytest.fixture(params=[Shaped, ShapedByReduce, ShapedByTable], ids=lambda cls: cls.__name__)
def give(request, monkeypatch):
    """A function that builds an object reduced to what a shape makes."""

    def build(make):
        monkeypatch.setattr(request.param, "value", staticmethod(make))
        obj = request.param()
        monkeypatch.setitem(globals(), "GLOBAL", obj)
        monkeypatch.setitem(globals(), "ÜBER", obj)
        monkeypatch.setattr(Holder, "held", obj)
        return obj

    return build


@pytest.mark.parametrize("name", SHAPES)
def test_shape_is_dumped_or_refused_alike(give, name):
    for protocol in PROTOCOLS:
        for entry in ("dumps", "dump", "pickler"):
            compare(STANDARD, OURS, Setup(entry, protocol), lambda: give(SHAPES[name]))
        compare(
            STANDARD, OURS, Setup("dumps", protocol), lambda: [1, {"k": (give(SHAPES[name]),)}]
        )


@pytest.mark.parametrize("name", SHAPES)
def test_shape_from_reducer_override(name):
    class OverridingMixin:
        def reducer_override(self, obj):
            return SHAPES[name]() if type(obj) is Plain else NotImplemented

    for protocol in PROTOCOLS:
        results = []
        for implementation in (STANDARD, OURS):
            results.append(overridden(implementation, OverridingMixin, protocol))
        assert results[0] == results[1]


def overridden(implementation, mixin, protocol):
    """The record of dumping a plain object with a pickler that has the mixin's override."""
    pickler = type("Overriding", (mixin, implementation.Pickler), {})

    class WithOverride:
        Pickler = pickler

    return record(WithOverride, Setup("pickler", protocol), lambda: [Plain(), 1])


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_shape_is_refused_at_some_protocol(give, name):
    """Without this a shape of BAD could be good, and its messages never be compared."""
    refused = []
    for protocol in PROTOCOLS:
        found = record(STANDARD, Setup("dumps", protocol), lambda: give(SHAPES[name]))
        refused.append(found.error is not None)
    assert any(refused)


def test_notes_name_the_path_where_the_version_has_them(give):
    found = record(OURS, Setup("dumps", 5), lambda: [{"k": give(SHAPES["unpicklable state"])}])
    notes = found.error[3]
    assert bool(notes) == version_at_least(3, 14)


class Basic:
    """The 2.0 form of a class: made by `__basicnew__`, without arguments."""

    @classmethod
    def __basicnew__(cls):
        return cls()


class BasicByReducer(ByClass):
    """Reduced to the 2.0 form."""

    def __reduce__(self):
        return Basic, None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arguments_none_are_written_where_the_class_has_basicnew(protocol):
    """Accepted by fastcopyreg alone, written as None."""
    if OURS.name != "ours":
        pytest.skip("the standard library refuses arguments None")
    opcodes = [op.name for op, _, _ in pickletools.genops(OURS.dumps(BasicByReducer(), protocol))]
    at = opcodes.index("REDUCE")
    assert opcodes[at - 1] == "NONE"
    assert record(STANDARD, Setup("dumps", protocol), BasicByReducer).error is not None
