"""What is known of a type in advance holds only while nothing it was read from has changed.

Each test makes a class, dumps objects of it until a pickler knows it well, changes one thing, and
dumps again, or changes it from a reducer in the middle of a dump. The standard library, which
knows nothing in advance, says what is right.
"""

import collections
import copyreg
import dataclasses
import gc
import sys
import types

import pytest

from support import trace
from support.classes import ByClass, Plain, make_plain
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, record

pytestmark = requires_core

ROUNDS = 4  # More than it takes to know a type.


class Runs(ByClass):
    """Runs a function when it is reduced."""

    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        self.function()
        return make_plain, ("ran",)


def plain_class():
    """A class with a `__dict__`."""
    return type("Guarded", (), {})


def slots_class():
    """A class with slots."""
    return type("Guarded", (), {"__slots__": ("a", "b", "c")})


def slots_and_dict_class():
    """Both."""
    return type("Guarded", (), {"__slots__": ("a", "__dict__")})


def derived_class():
    """A class whose base can be changed."""
    base = type("GuardedBase", (), {})
    return type("Guarded", (base,), {})


def data_class():
    """A dataclass with slots."""
    cls = dataclasses.make_dataclass("Guarded", [("a", object), ("b", object)], slots=True)
    return cls


def frozen_class():
    """A frozen dataclass with slots, which has hooks of its own."""
    fields = [("a", object, None), ("b", object, None)]
    return dataclasses.make_dataclass("Guarded", fields, slots=True, frozen=True)


def list_class():
    """A list subclass."""
    return type("Guarded", (list,), {})


def dict_class():
    """A dict subclass."""
    return type("Guarded", (dict,), {})


def tuple_class():
    """A tuple subclass."""
    return type("Guarded", (tuple,), {})


def namedtuple_class():
    """A namedtuple."""
    return collections.namedtuple("Guarded", "a b", defaults=(1, "b"))


def exception_class():
    """An exception."""
    return type("Guarded", (Exception,), {})


def int_class():
    """An int subclass."""
    return type("Guarded", (int,), {})


MAKERS = {
    maker.__name__.removesuffix("_class"): maker
    for maker in (
        plain_class,
        slots_class,
        slots_and_dict_class,
        derived_class,
        data_class,
        frozen_class,
        list_class,
        dict_class,
        tuple_class,
        namedtuple_class,
        exception_class,
        int_class,
    )
}


def make_class(name):
    """A new class of that kind, findable by its name."""
    cls = MAKERS[name]()
    for each in cls.__mro__[:-1]:
        if each.__name__.startswith("Guarded"):
            each.__module__ = __name__
            setattr(sys.modules[__name__], each.__name__, each)
    return cls


def make_objects(cls, count=3):
    """Objects of the class with attributes where it takes them; one has its `__dict__` made."""
    made = [cls.__new__(cls) for _ in range(count)]
    for number, obj in enumerate(made):
        for name, value in (("a", number), ("b", [f"b{number}"])):
            try:
                object.__setattr__(obj, name, value)
            except (AttributeError, TypeError):
                continue
    getattr(made[-1], "__dict__", None)
    return made


def hook(result):
    """A method that leaves a trace and gives a result."""

    def method(self, *args):
        trace.note("hook", *args)
        return result

    return method


def instance_hook(result):
    """The same to be set on an instance."""

    def function(*args):
        trace.note("instance hook", *args)
        return result

    return function


def try_set(target, name, value):
    """Set an attribute where that is possible."""
    try:
        setattr(target, name, value)
    except (AttributeError, TypeError):
        trace.note("cannot set", name)


def set_on_instance(name, value):
    """A change: the attribute is set on each instance."""
    return lambda cls, objects: [try_set(obj, name, value) for obj in objects]


def on_base(name, result):
    """A change: the hook is set on the base class."""
    return lambda cls, objects: try_set(cls.__mro__[1], name, hook(result))


def replace_dicts(make):
    """A change: each instance's `__dict__` is replaced."""
    return lambda cls, objects: [try_set(obj, "__dict__", make(obj)) for obj in objects]


def other_class(cls, objects):
    """A change: the objects become of another class."""
    other = type("GuardedOther", cls.__mro__[1:2], {})
    other.__module__ = __name__
    sys.modules[__name__].GuardedOther = other
    for obj in objects:
        try_set(obj, "__class__", other)


def delete_fields(cls, objects):
    """A change: fields are deleted."""
    for obj in objects:
        try:
            del obj.a
        except (AttributeError, TypeError):
            trace.note("cannot delete")


def other_global(cls, objects):
    """A change: the name of the class is another object's."""
    sys.modules[__name__].Guarded = 3


def no_global(cls, objects):
    """A change: the name of the class is nobody's."""
    del sys.modules[__name__].Guarded


def register(cls, objects):
    """A change: a reducer is registered."""
    copyreg.dispatch_table[cls] = hook_reducer


def hook_reducer(obj):
    """The reducer registered."""
    trace.note("registered")
    return make_plain, ("registered",)


def add_extension(cls, objects):
    """A change: the class gets an extension code."""
    copyreg.add_extension(__name__, "Guarded", 201)


def property_over_slot(cls, objects):
    """A change: a property in the place of a field."""
    cls.a = property(hook("from property"))


def many_fields(cls, objects):
    """A change: so many fields that a `__dict__` no longer shares its keys."""
    for number in range(60):
        try_set(objects[0], f"field{number}", number)


def other_order(cls, objects):
    """A change: fields set in another order."""
    for obj in objects:
        fields = getattr(obj, "__dict__", {})
        values = list(fields.items())
        fields.clear()
        fields.update(reversed(values))


REDUCED = (make_plain, ("hook",))

CHANGES = {
    "reduce_ex on class": lambda cls, objects: try_set(cls, "__reduce_ex__", hook(REDUCED)),
    "reduce on class": lambda cls, objects: try_set(cls, "__reduce__", hook(REDUCED)),
    "getstate on class": lambda cls, objects: try_set(cls, "__getstate__", hook({"s": 1})),
    "getstate None": lambda cls, objects: try_set(cls, "__getstate__", None),
    "getnewargs": lambda cls, objects: try_set(cls, "__getnewargs__", hook((1,))),
    "getnewargs_ex": lambda cls, objects: try_set(cls, "__getnewargs_ex__", hook(((1,), {}))),
    "getattribute": lambda cls, objects: try_set(
        cls, "__getattribute__", lambda self, name: object.__getattribute__(self, name)
    ),
    "getattr": lambda cls, objects: try_set(
        cls, "__getattr__", lambda self, name: trace.note("getattr", name) or missing(name)
    ),
    "class property": lambda cls, objects: try_set(cls, "__class__", property(hook(Plain))),
    "dict property": lambda cls, objects: try_set(cls, "__dict__", property(hook({"fake": 1}))),
    "slotnames": lambda cls, objects: try_set(cls, "__slotnames__", ["a", "zz"]),
    "slotnames twice": lambda cls, objects: try_set(cls, "__slotnames__", ["a", "a"]),
    "slotnames None": lambda cls, objects: try_set(cls, "__slotnames__", None),
    "slotnames empty": lambda cls, objects: try_set(cls, "__slotnames__", []),
    "slotnames grown": lambda cls, objects: grow_slotnames(cls),
    "slots": lambda cls, objects: try_set(cls, "__slots__", ("a", "b")),
    "property": property_over_slot,
    "reduce_ex on base": on_base("__reduce_ex__", REDUCED),
    "getstate on base": on_base("__getstate__", {"s": 1}),
    "bases": lambda cls, objects: try_set(cls, "__bases__", (other_base(),)),
    "qualname": lambda cls, objects: try_set(cls, "__qualname__", "Plain"),
    "name": lambda cls, objects: try_set(cls, "__name__", "Renamed"),
    "module": lambda cls, objects: try_set(cls, "__module__", "support.classes"),
    "module None": lambda cls, objects: try_set(cls, "__module__", None),
    "global replaced": other_global,
    "global deleted": no_global,
    "module deleted": lambda cls, objects: sys.modules.pop(__name__),
    "registered": register,
    "extension": add_extension,
    "reduce_ex on instance": set_on_instance("__reduce_ex__", instance_hook(REDUCED)),
    "reduce on instance": set_on_instance("__reduce__", instance_hook(REDUCED)),
    "getstate on instance": set_on_instance("__getstate__", instance_hook({"s": 1})),
    "getnewargs on instance": set_on_instance("__getnewargs__", instance_hook((1,))),
    "getnewargs_ex on instance": set_on_instance("__getnewargs_ex__", instance_hook(((1,), {}))),
    "class on instance": lambda cls, objects: [
        getattr(obj, "__dict__", {}).__setitem__("__class__", Plain) for obj in objects
    ],
    "dict on instance": lambda cls, objects: [
        getattr(obj, "__dict__", {}).__setitem__("__dict__", {1: 2}) for obj in objects
    ],
    "dict replaced": replace_dicts(lambda obj: {"z": 1}),
    "dict subclass": replace_dicts(lambda obj: collections.OrderedDict(z=1)),
    "dict shared": replace_dicts(lambda obj, shared={"z": 1}: shared),
    "dict odd keys": replace_dicts(lambda obj: {1: 2, "a": 3, (): 4}),
    "dict empty": replace_dicts(lambda obj: {}),
    "other class": other_class,
    "fields deleted": delete_fields,
    "many fields": many_fields,
    "other order": other_order,
    "newobj replaced": lambda cls, objects: setattr(copyreg, "__newobj__", replaced_newobj),
    "newobj named otherwise": lambda cls, objects: setattr(copyreg, "__newobj__", odd_newobj),
    "newobj deleted": lambda cls, objects: delattr(copyreg, "__newobj__"),
    "reduce_ex replaced": lambda cls, objects: setattr(copyreg, "_reduce_ex", hook(REDUCED)),
    "slotnames replaced": lambda cls, objects: setattr(copyreg, "_slotnames", lambda cls: ["a"]),
    "copyreg replaced": lambda cls, objects: sys.modules.__setitem__("copyreg", fake_copyreg()),
    "type modified": lambda cls, objects: [try_set(cls, f"x{n}", n) for n in range(300)],
    "abstract": lambda cls, objects: try_set(cls, "__abstractmethods__", frozenset(["m"])),
    "new": lambda cls, objects: try_set(cls, "__new__", lambda cls, *args: object()),
    "nothing": lambda cls, objects: None,
}  # fmt: skip


def missing(name):
    """Raise as an attribute look-up does."""
    raise AttributeError(name)


def grow_slotnames(cls):
    """The list that copyreg left on the class is changed in its place."""
    names = vars(cls).get("__slotnames__")
    if isinstance(names, list):
        names.append("added")


def other_base():
    """A base class with a hook."""
    return type("GuardedNewBase", (), {"__getstate__": hook({"by": "new base"})})


def replaced_newobj(cls, *args):
    """Another function of another name."""
    return cls.__new__(cls, *args)


def odd_newobj(cls, *args):
    """Another function of the same name."""
    return cls.__new__(cls, *args)


odd_newobj.__name__ = "__newobj__"


def fake_copyreg():
    """A module in the place of copyreg."""
    fake = types.ModuleType("copyreg")
    vars(fake).update(vars(copyreg))
    fake.__newobj__ = replaced_newobj
    return fake


@pytest.fixture
def restored():
    """copyreg, its tables and sys.modules are put back; returns a function that does so."""
    tables = (
        copyreg.dispatch_table,
        copyreg._extension_registry,
        copyreg._inverted_registry,
        copyreg._extension_cache,
    )
    before = [dict(table) for table in tables]
    functions = {
        name: getattr(copyreg, name) for name in ("__newobj__", "_reduce_ex", "_slotnames")
    }
    this = sys.modules[__name__]
    module = copyreg

    def restore():
        sys.modules["copyreg"], sys.modules[__name__] = module, this
        vars(module).update(functions)
        for table, contents in zip(tables, before, strict=True):
            table.clear()
            table.update(contents)

    yield restore
    restore()


def changed_between(implementation, kind, change, protocol):
    """The record of a dump after the change, and of the dumps before it."""
    cls = make_class(kind)
    objects = make_objects(cls)
    before = [implementation.dumps([objects, objects[0]], protocol) for _ in range(ROUNDS)]
    CHANGES[change](cls, objects)
    trace.take()
    records = [
        record(implementation, Setup(entry, protocol), lambda: [objects, objects[0]])
        for entry in ("dumps", "pickler", "dumps")
    ]
    return before, records


def changed_within(implementation, kind, change, protocol):
    """The record of a dump in the middle of which the change is made."""
    cls = make_class(kind)
    objects, more = make_objects(cls), make_objects(cls)
    for _ in range(ROUNDS):
        implementation.dumps(objects, protocol)
    changes = Runs(lambda: CHANGES[change](cls, more))
    return record(
        implementation,
        Setup("dumps", protocol),
        lambda: [*objects, changes, *more, objects[0], [*make_objects(cls)]],
    )


def supported(kind, protocol):
    """Whether objects of the kind can be dumped at the protocol at all."""
    return protocol >= 2 or kind not in ("slots", "slots_and_dict", "data", "frozen")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("scenario", [changed_between, changed_within])
def test_change_is_seen(restored, scenario, kind, change):
    for protocol in PROTOCOLS:
        if not supported(kind, protocol):
            continue
        results = []
        for implementation in (STANDARD, OURS):
            try:
                results.append(scenario(implementation, kind, change, protocol))
            finally:
                restored()
        assert results[0] == results[1], protocol


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("protocol", [2, 5])
def test_classes_that_come_and_go_at_one_address(kind, protocol):
    """A new class may lie where a dead one was that the pickler knew."""
    for number in range(24):
        cls = make_class(kind)
        if number % 3 == 1:
            try_set(cls, "__reduce__", lambda self, n=number: (make_plain, (n,)))
        if number % 3 == 2:
            try_set(cls, "__getstate__", lambda self, n=number: {"n": n})
        objects = make_objects(cls)
        expected = STANDARD.dumps(objects, protocol)
        for _ in range(ROUNDS):
            assert OURS.dumps(objects, protocol) == expected
        del cls, objects
        for name in ("Guarded", "GuardedBase"):
            vars(sys.modules[__name__]).pop(name, None)
        gc.collect(1)


def test_many_classes_at_once():
    """More classes than a table of known ones can hold, in turns."""
    made = []
    for number in range(1500):
        cls = type(f"Many{number}", (), {"__module__": __name__})
        setattr(sys.modules[__name__], cls.__name__, cls)
        obj = cls()
        obj.number, obj.text = number, f"n{number}"
        made.append(obj)
    try:
        for protocol in (2, 4, 5):
            expected = STANDARD.dumps([made, made[::-1], made[::7]], protocol)
            for _ in range(3):
                assert OURS.dumps([made, made[::-1], made[::7]], protocol) == expected
        for obj in made:
            assert OURS.dumps([obj, obj], 5) == STANDARD.dumps([obj, obj], 5)
    finally:
        for number in range(1500):
            delattr(sys.modules[__name__], f"Many{number}")


def test_class_versions_that_run_out():
    """A type changed so often that the interpreter stops numbering its versions."""
    cls = make_class("plain")
    objects = make_objects(cls)
    for number in range(3000):
        cls.changing = number
        if number % 100 == 0:
            assert OURS.dumps(objects, 5) == STANDARD.dumps(objects, 5)
    cls.__getstate__ = lambda self: {"late": 1}
    assert OURS.dumps(objects, 5) == STANDARD.dumps(objects, 5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dict_made_late_is_the_one_that_was_numbered(protocol):
    """A reducer presents the `__dict__` of an instance already written without one."""

    class Shows(ByClass):
        def __init__(self, shown):
            self.shown = shown

        def __reduce__(self):
            return make_plain, (self.shown.__dict__, self.shown)

    for kind in ("plain", "derived", "slots_and_dict", "list", "exception"):
        if not supported(kind, protocol):
            continue
        cls = make_class(kind)
        for number in range(ROUNDS + 2):
            records = []
            for implementation in (STANDARD, OURS):

                def build(cls=cls):
                    first, second = make_objects(cls, 2)
                    return [first, second, Shows(first), Shows(second), first]

                records.append(record(implementation, Setup("dumps", protocol), build))
            assert records[0] == records[1], (kind, number)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_state_that_changes_while_it_is_written(protocol):
    """The state of a default reduction is the live `__dict__`; that of slots is a snapshot."""

    def grow(obj):
        obj.late = 1

    def shrink(obj):
        del obj.b

    def replace(obj):
        obj.b = ["other"]

    def clear(obj):
        vars(obj).clear()

    def swap(obj):
        obj.__dict__ = {"swapped": [1]}

    for kind in ("plain", "derived", "list", "exception", "slots_and_dict", "slots"):
        if not supported(kind, protocol):
            continue
        for action in (grow, shrink, replace, clear, swap):
            cls = make_class(kind)
            for _ in range(ROUNDS):
                OURS.dumps(make_objects(cls), protocol)
            records = []
            for implementation in (STANDARD, OURS):

                def build(cls=cls, action=action):
                    first, second = make_objects(cls, 2)
                    for obj in (first, second):
                        obj.a = Runs(lambda obj=obj: attempt(action, obj))
                    return [first, second, first]

                records.append(record(implementation, Setup("dumps", protocol), build))
            assert records[0] == records[1], (kind, action.__name__)


def attempt(action, obj):
    """Do it, where the object allows it."""
    try:
        action(obj)
    except (AttributeError, TypeError):
        trace.note("not possible")
