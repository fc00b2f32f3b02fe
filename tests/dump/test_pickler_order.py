"""Order: which of a program's functions and attributes are asked, in what order, how often."""

import copyreg
import sys

import pytest

from support import evil, trace
from support.classes import ByClass, Plain, Reduces, ReducesEx, Registered, make_plain
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, record

pytestmark = requires_core


def same(build, entry="dumps", **fields):
    """Compare at each protocol; returns the events of the last."""
    for protocol in PROTOCOLS:
        # What is known of a type is used from the second time on.
        again = Setup("pickler", protocol, dumps=3, clear=True)
        for setup in (Setup(entry, protocol, **fields), Setup("dumps", protocol, dumps=4), again):
            expected, actual = record(STANDARD, setup, build), record(OURS, setup, build)
            assert expected.events == actual.events
            assert expected == actual
    return record(STANDARD, Setup(entry, PROTOCOLS[-1], **fields), build).events


def fresh_class(metaclass=evil.CountsLookups, **members):
    """A class that no pickler has seen, so that first looks are seen too."""
    cls = metaclass("Fresh", (ByClass,), {"__module__": __name__, **members})
    sys.modules[__name__].Fresh = cls
    return cls


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"__slots__": ("a",)},
        {"__getstate__": lambda self: {"s": 1}},
        {"__reduce__": lambda self: (make_plain, ())},
        {"__reduce_ex__": lambda self, protocol: (make_plain, (protocol,))},
        {"__getnewargs__": lambda self: (1,)},
        {"__getnewargs_ex__": lambda self: ((1,), {"k": 2})},
        {"__getattr__": lambda self, name: trace.note("getattr", name)},
    ],
    ids=lambda members: "".join(members) or "plain",
)
def test_lookups_on_a_class_that_is_new(members):
    def build():
        cls = fresh_class(**members)
        made = [cls(), cls()]
        for obj in made:
            obj.a = [1]
        return made

    assert same(build) or any("__reduce" in name for name in members)


def test_lookups_on_instances():
    def build():
        made = evil.WatchedInstance()
        made.a, made.b = [1], made
        return [made, made]

    events = same(build)
    assert ("instance attribute", "__reduce_ex__") in events


def test_failed_lookups():
    def build():
        made = evil.FallbackLookups()
        made.a = 1
        return made

    same(build)


def test_hooks_are_asked_in_the_order_of_the_graph():
    def build():
        made = Plain()
        made.items = [1, "a", (Plain, made), {"k": {2.5}}]
        return [made, made, None, b"b", bytearray(b"c"), len, Plain]

    for place in ("method", "instance"):
        events = same(build, entry="subclass", persistent_id=place, reducer_override=place)
        assert events[0] == ("persistent", "list")


def test_properties_and_descriptors_of_a_slot():
    def build():
        made = evil.OddSlots()
        made.a = ["in slot"]
        return made

    same(build)


@pytest.mark.parametrize(
    "name", ["__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs__", "__class__"]
)
@pytest.mark.parametrize("base", [Plain, evil.OnInstance, "reduces"])
def test_hook_as_instance_attribute(name, base):
    class ReducesByClass(ByClass):
        def __reduce__(self):
            trace.note("class reduce")
            return make_plain, ("by class",)

    hooks = {
        "__reduce_ex__": lambda protocol: trace.note("hook") or (make_plain, (protocol,)),
        "__reduce__": lambda: trace.note("hook") or (make_plain, ("instance",)),
        "__getstate__": lambda: trace.note("hook") or {"state": [1]},
        "__getnewargs__": lambda: trace.note("hook") or (1,),
        "__class__": Plain,
    }

    def build():
        made = ReducesByClass() if base == "reduces" else base()
        if name != "__class__":
            vars(made)[name] = hooks[name]
        else:
            vars(made)["__class__"] = dict
        vars(made)["other"] = 1
        return [made, made]

    same(build)


@pytest.mark.parametrize(
    "name", ["__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"]
)
def test_hook_as_static_class_and_other_attribute(name):
    kinds = {
        "static": lambda f: staticmethod(lambda *a: f()),
        "class": lambda f: classmethod(lambda *a: f()),
        "property": lambda f: property(lambda self: trace.note("property") or (lambda *a: f())),
        "none": lambda f: None,
        "number": lambda f: 3,
    }

    def give():
        trace.note("hook", name)
        return ((1,), {}) if name == "__getnewargs_ex__" else (make_plain, ())

    for kind in kinds:

        def build(kind=kind):
            cls = fresh_class(type, **{name: kinds[kind](give)})
            return [cls(), cls()]

        same(build)


def test_hook_on_the_metaclass_is_not_asked():
    class Meta(type):
        def __reduce_ex__(cls, protocol):
            trace.note("meta")
            return super().__reduce_ex__(protocol)

        def __getstate__(cls):
            trace.note("meta state")
            return {}

    same(lambda: fresh_class(Meta)())


def test_hook_set_on_the_class_between_and_in_the_middle_of_dumps():
    class Sets:
        def __init__(self, cls):
            self.cls = cls

        def __reduce__(self):
            self.cls.__getstate__ = lambda obj: trace.note("set late") or {"late": 1}
            return make_plain, ()

    def build():
        cls = fresh_class(type)
        made = [cls(), cls(), cls()]
        for obj in made:
            obj.a = [1]
        return [made[0], Sets(cls), made[1], made[2]]

    assert same(build).count(("set late",)) == 2


def test_slotnames_are_cached_on_the_class_as_there():
    for implementation in (STANDARD, OURS):
        cls = fresh_class(type, __slots__=("a", "_Fresh__b", "__c"))
        implementation.dumps(cls(), 4)
        assert vars(cls)["__slotnames__"] == ["a", "_Fresh__b", "_Fresh__c"], implementation.name


@pytest.mark.parametrize(
    "names", [["a"], [], ["missing"], ["a", "a"], None, 3, ("a",), [3]], ids=repr
)
def test_slotnames_that_are_there_are_honoured(names):
    def build():
        cls = fresh_class(type, __slots__=("a", "b"))
        cls.__slotnames__ = names
        made = cls()
        made.a, made.b = [1], [2]
        return made

    same(build)


def test_slotnames_function_replaced(monkeypatch):
    def names(cls):
        trace.note("slotnames", cls.__name__)
        return ["a"]

    monkeypatch.setattr(copyreg, "_slotnames", names)

    def build():
        cls = fresh_class(type, __slots__=("a", "b"))
        made = cls()
        made.a, made.b = 1, 2
        return [made, made]

    assert ("slotnames", "Fresh") in same(build)


@pytest.mark.parametrize(
    "name", ["__newobj__", "__newobj_ex__", "_reduce_ex", "_reconstructor", "__reduce_ex__"]
)
def test_functions_of_copyreg_replaced(monkeypatch, name):
    original = getattr(copyreg, name, None)
    if original is None:
        pytest.skip("not in this version")

    def replaced(*args, **kwargs):
        trace.note("replaced", name)
        return original(*args, **kwargs)

    monkeypatch.setattr(copyreg, name, replaced)

    def build():
        made = Plain()
        made.a = 1
        return [made, evil.OnInstance(), WithKeywords()]

    same(build)


class WithKeywords(ByClass):
    """Reduced by `__newobj_ex__`."""

    def __new__(cls, *, key=None):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"key": 1}


@pytest.mark.parametrize("value", [None, 3, "missing"])
def test_copyreg_in_sys_modules_replaced(monkeypatch, value):
    if value == "missing":
        monkeypatch.delitem(sys.modules, "copyreg")
    else:
        monkeypatch.setitem(sys.modules, "copyreg", value)
    build = fresh_class(type)
    records = [record(i, Setup("dumps", p), build) for p in (2, 4) for i in (STANDARD, OURS)]
    monkeypatch.undo()
    assert records[0] == records[1] and records[2] == records[3]


@pytest.mark.parametrize(
    "reduce_ex",
    [object.__reduce_ex__, Exception.__reduce_ex__, lambda self, p: object.__reduce_ex__(self, 2)],
)
def test_reduce_ex_of_object_under_another_name(reduce_ex):
    def build():
        cls = fresh_class(type, __reduce_ex__=reduce_ex)
        made = cls()
        made.a = [made]
        return made

    same(build)


def test_audit_events():
    """A hook cannot be removed, so it is only there for as long as it is told."""
    seen = []
    recording = [True]

    def hook(event, args):
        if recording[0] and event.startswith(("pickle", "import", "object", "copyreg")):
            seen.append((event, str(args[:1])))

    sys.addaudithook(hook)
    events = []
    try:
        for implementation in (STANDARD, OURS):
            seen.clear()
            implementation.dumps([Plain(), len, Plain, 1j, ByClass], 4)
            implementation.dumps([Plain(), len], 2)
            events.append(list(seen))
    finally:
        recording[0] = False
    assert events[0] == events[1]


def test_tracer_sees_reducers_called():
    def traced(implementation):
        calls = []

        def tracer(frame, event, arg):
            if frame.f_code.co_name in ("__reduce__", "__reduce_ex__", "reduce_registered"):
                calls.append((frame.f_code.co_name, event))
            return None

        objects = [Registered(1, 2, 3), Reduces(), ReducesEx(), Registered(4, 5, 6)]
        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            implementation.dumps(objects)
        finally:
            sys.settrace(before)
        return calls

    expected = traced(STANDARD)
    assert len(expected) >= 4 and traced(OURS) == expected


def test_profiler_sees_reducers_called():
    def profiled(implementation):
        calls = []

        def profiler(frame, event, arg):
            if frame.f_code.co_name == "reduce_registered":
                calls.append(event)

        objects = [Registered(n, 2, 3) for n in range(5000)]
        implementation.dumps(objects)
        before = sys.getprofile()
        sys.setprofile(profiler)
        try:
            implementation.dumps(objects)
        finally:
            sys.setprofile(before)
        return calls

    expected = profiled(STANDARD)
    assert len(expected) >= 10000 and profiled(OURS) == expected
