"""Hooks that decide by type are read: nobody can tell, whatever a type is or becomes meanwhile.

Each scenario makes its own world of classes and names, so that it can change any of them, and is
run for the standard library and for ours.
"""

import collections.abc
import copyreg
import dataclasses
import io
import operator
import types

import pytest

from fastcopyreg import bench
from support.implementations import OURS, PLANS_ARE_ON, STANDARD, requires_core
from support.recording import shallow_outcome as outcome

_core = pytest.importorskip("fastcopyreg._core")

pytestmark = requires_core

# What decides, as a condition on the object.  READ are those that need not be called.
READ = {
    "isinstance": "isinstance(obj, Target)",
    "isinstance of two": "isinstance(obj, (Target, Other))",
    "isinstance of a tuple": "isinstance(obj, TUPLE)",
    "isinstance with a metaclass": "isinstance(obj, Ordinary)",
    "isinstance of a class": "isinstance(obj, Meta)",
    "isinstance in a module": "isinstance(obj, module.Target)",
    "not isinstance": "not isinstance(obj, (object, Target))",
    "issubclass": "issubclass(type(obj), Target)",
    "issubclass of classes": "issubclass(type(obj), (Meta, Target))",
    "in a set": "type(obj) in SET",
    "in a frozenset": "type(obj) in FROZENSET",
    "in a dict": "type(obj) in DICT",
    "in a list": "type(obj) in LIST",
    "in a tuple": "type(obj) in TYPES",
    "in a set display": "type(obj) in {Target, Other, None}",
    "in a tuple display": "type(obj) in (Target, Other)",
    "not in": "not type(obj) not in [Target, Other]",
    "equal": "type(obj) == Target",
    "not equal": "not type(obj) != Target",
    "__class__": "obj.__class__ is Target",
    "called": "helper(obj)",
    "called in a module": "module.helper(obj)",
    "called by keyword": "outer(key=obj)",
    "called with a default": "outer(obj)",
    "or": "isinstance(obj, Target) or type(obj) in SET or helper(obj)",
    "and": "isinstance(obj, Target) and type(obj) is Target",
}
CALLED = {
    "isinstance checked": "isinstance(obj, Checked)",
    "isinstance of a union": "isinstance(obj, UNION)",
    "issubclass checked": "issubclass(type(obj), Checked)",
    "in what compares": "type(obj) in COMPARES",
    "in a set display of what compares": "type(obj) in {Target, WithHash}",
    "equal to what compares": "type(obj) == COMPARES[1]",
    "the object in a list": "obj in LIST",
    "the object equals": "obj == Target",
    "recursive": "recursive(obj)",
    "truth": "(obj and False)",
}
CONDITIONS = READ | CALLED
KINDS = ("persistent_id", "reducer_override")


class World:
    """The classes and names of a scenario, as globals of this module."""

    def __init__(self):
        self.names = {}
        self.log = []
        self.make_classes()
        self.make_odd_classes()
        self.make_names()
        # Others have another class, or get it, than the one that copyreg.__newobj__ is given.
        self.registered = [self.Registered, self.Other, self.Liar, self.Getter]
        for cls in self.registered:
            copyreg.pickle(cls, reduce_registered)

    def __getattr__(self, name):
        try:
            return self.__dict__["names"][name]
        except KeyError:
            raise AttributeError(name) from None

    def close(self):
        for cls in self.registered:
            copyreg.dispatch_table.pop(cls)
        for name in self.names:
            globals().pop(name, None)

    def add(self, **names):
        for name, value in names.items():
            if isinstance(value, type):
                value.__name__ = value.__qualname__ = name
                value.__module__ = __name__
        self.names |= names
        globals().update(names)

    def make_class(self, name, bases=(), metaclass=type, **members):
        self.add(**{name: metaclass(name, bases, {"__module__": __name__, **members})})

    def make_classes(self):
        self.make_class("Target")
        self.make_class("Sub", (self.Target,))
        self.make_class("Base")
        self.make_class("Other", (self.Base,))
        self.make_class("Registered")
        self.make_class("Plain")
        self.add(Slots=dataclasses.make_dataclass("Slots", [("x", int, 1)], slots=True))
        self.make_class("Meta", (type,))
        self.make_class("Ordinary", metaclass=self.Meta)

    def make_odd_classes(self):
        log, target = self.log, self.Target
        self.make_class("Liar", __class__=property(lambda self: target))
        self.make_class(
            "Getter",
            __getattribute__=lambda self, name: (
                target if name == "__class__" else object.__getattribute__(self, name)
            ),
        )

        def check(cls, other):
            log.append(("check", getattr(other, "__name__", type(other).__name__)))
            return type(other) is type(self.Slots())

        self.make_class("Checks", (type,), __instancecheck__=check, __subclasscheck__=check)
        self.make_class("Checked", metaclass=self.Checks)
        self.make_class(
            "Hashes",
            (type,),
            __hash__=lambda cls: log.append("hash") or 1,
            __eq__=lambda cls, other: log.append("eq") or cls is other,
        )
        self.make_class("WithHash", metaclass=self.Hashes)

    def make_names(self):
        target, other = self.Target, self.Other
        self.add(
            TUPLE=(target, (other, complex)),
            SET={target, other},
            FROZENSET=frozenset([target, other]),
            DICT={target: 1, other: 2},
            LIST=[None, "text", target, other],
            TYPES=(target, other),
            COMPARES=[target, Compares(self.log), 3],
            UNION=target | other,
            module=types.ModuleType("module"),
        )
        source = """
def helper(obj):
    return type(obj) is Target
def outer(obj=3, key=None, *, said=False):
    return helper(key) if key is not None else helper(obj) or said
def recursive(obj):
    return recursive(obj) if obj is LIST else type(obj) is Target
"""
        made = {}
        exec(source, globals(), made)
        self.add(**made)
        self.module.Target, self.module.helper = target, made["helper"]

    def graph(self):
        """Objects of many types; those that most hooks find come last, so that the hooks are not
        given up before."""
        names = ("Registered", "Slots", "Ordinary", "Other", "Liar", "Getter", "WithHash")
        kinds = [self.names[name] for name in (*names, "Checked", "Sub", "Target")]
        objects = [self.Plain() for _ in range(30)] + [kind() for kind in kinds for _ in range(3)]
        for number, obj in enumerate(objects):
            if hasattr(obj, "__dict__"):
                obj.__dict__["x"] = [number, str(number)]
        return [*objects, *kinds, self.Meta, len, {"k": (1, b"b", None), "s": {2.5}}, objects[0]]

    def pickler(self, implementation, kind, condition, file):
        says, key = ("None", "'key'") if kind == "persistent_id" else ("NotImplemented", "LEN")
        source = f"def {kind}(self, obj):\n return {key} if {condition} else {says}\n"
        made = {}
        exec(source, globals(), made)
        globals()["LEN"] = (len, ("a",))
        return type("Hooked", (implementation.Pickler,), made)(file)


def reduce_registered(obj):
    return type(obj), ()


class Compares:
    """Is equal to what it pleases."""

    def __init__(self, log):
        self.log = log

    def __eq__(self, other):
        self.log.append(("==", getattr(other, "__name__", type(other).__name__)))
        return False

    __hash__ = None


def to_other(*_):
    return True


# What may happen in the middle of a dump.
CHANGES = {
    "nothing": lambda world: None,
    "__class__ of a class": lambda world: setattr(
        world.Other, "__class__", property(lambda self: world.Target)
    ),
    "__getattribute__": lambda world: setattr(
        world.Plain,
        "__getattribute__",
        lambda self, name: (
            world.Target if name == "__class__" else object.__getattribute__(self, name)
        ),
    ),
    "__instancecheck__": lambda world: setattr(world.Meta, "__instancecheck__", to_other),
    "__subclasscheck__": lambda world: setattr(world.Meta, "__subclasscheck__", to_other),
    "__eq__ of a metaclass": lambda world: setattr(world.Meta, "__eq__", operator.is_),
    "a name": lambda world: world.add(Target=world.Slots),
    "a name in a module": lambda world: setattr(world.module, "Target", world.Slots),
    "isinstance": lambda world: world.add(isinstance=lambda obj, cls: type(obj) is world.Slots),
    "issubclass": lambda world: world.add(issubclass=lambda cls, base: cls is world.Slots),
    "a set": lambda world: world.SET.add(world.Slots),
    "a set, by which it shrinks": lambda world: world.SET.clear(),
    "a dict": lambda world: world.DICT.update({world.Slots: 1}),
    "a list": lambda world: world.LIST.append(world.Slots),
    "a list, by what compares": lambda world: world.LIST.insert(0, Compares(world.log)),
    "a tuple": lambda world: world.add(TUPLE=(int, world.Slots), TYPES=(world.Slots,)),
    "a function": lambda world: world.add(helper=lambda obj: type(obj) is world.Slots),
    "a function in a module": lambda world: setattr(
        world.module, "helper", lambda obj: type(obj) is world.Slots
    ),
    "code": lambda world: setattr(
        world.helper,
        "__code__",
        (lambda obj: type(obj) is Slots).__code__,  # noqa: F821
    ),
    "defaults": lambda world: setattr(world.outer, "__kwdefaults__", {"said": True}),
    "no defaults": lambda world: setattr(world.outer, "__kwdefaults__", None),
    "bases": lambda world: setattr(world.Other, "__bases__", (world.Target,)),
}


class Changes:
    """Its reducer changes something."""

    def __init__(self, change, world):
        self.change, self.world = change, world

    def __reduce__(self):
        self.change(self.world)
        return list, ()


@pytest.fixture(autouse=True)
def read_soon():
    before = _core.plan_threshold(3)
    yield
    _core.plan_threshold(before)


def dumped(implementation, kind, condition, change):
    """What can be seen of two dumps, in the first of which something changes."""
    world = World()
    try:
        file = io.BytesIO()
        pickler = world.pickler(implementation, kind, condition, file)
        objects = world.graph()
        first = outcome(pickler.dump, [objects, Changes(change, world), objects, world.graph()])
        return first, outcome(pickler.dump, world.graph()), file.getvalue(), world.log
    finally:
        world.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONDITIONS)
def test_nobody_can_tell(name, kind):
    for change_name, change in CHANGES.items():
        expected = dumped(STANDARD, kind, CONDITIONS[name], change)
        assert name in CALLED or change_name != "nothing" or expected[:2] == (None, None)
        assert dumped(OURS, kind, CONDITIONS[name], change) == expected, change_name


@pytest.mark.skipif(not PLANS_ARE_ON, reason="nothing is read on this build")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READ)
def test_it_is_read(name, kind):
    """Registered objects are reduced by their plan, as without a hook."""
    world = World()
    try:
        objects = [world.Registered() for _ in range(300)]
        pickler = world.pickler(OURS, kind, READ[name], io.BytesIO())
        for _ in range(3):
            pickler.clear_memo()
            pickler.dump(objects)
        before = _core.plan_counts()[0]
        pickler.clear_memo()
        pickler.dump(objects)
        assert _core.plan_counts()[0] - before >= 290
    finally:
        world.close()


# As torch.save() and cloudpickle have them.
CLOSURES = (
    """
def make(Pickler, file):
    def persistent_id(obj):
        if isinstance(obj, module.Target) or module.helper(obj):
            if isinstance(obj, module.Target):
                storage = obj._storage
                storage_type = getattr(module, obj._type())
            else:
                storage = obj
                storage_type = type(obj)
            if storage_type in SET and obj not in LIST:
                return ("storage", storage_type, len(storage), "cpu", 1)
            return "key"
        return None

    class Closed(Pickler):
        def persistent_id(self, obj):
            return persistent_id(obj)

    return Closed(file)
""",
    """
def make(Pickler, file):
    class Tries(Pickler):
        def reducer_override(self, obj):
            t = type(obj)
            try:
                is_anyclass = issubclass(t, type)
            except TypeError:
                is_anyclass = False
            if is_anyclass:
                return by_name(obj) if obj is not None else NotImplemented
            elif isinstance(obj, types.FunctionType):
                return self.of_function(obj)
            else:
                return NotImplemented

        def of_function(self, obj):
            return NotImplemented

    def by_name(obj):
        return LEN if obj is Plain else NotImplemented

    return Tries(file)
""",
)


@pytest.mark.parametrize("source", CLOSURES, ids=["closure", "tries"])
def test_classes_and_closures_are_made_anew_for_each_dump(source):
    def scenario(implementation):
        world = World()
        made = {}
        exec(source, globals(), made)
        globals()["LEN"] = (len, ("a",))
        world.Target._storage, world.Target._type = "data", lambda self: "Target"
        try:
            outcomes = []
            for _ in range(4):
                file = io.BytesIO()
                pickler = made["make"](implementation.Pickler, file)
                outcomes += outcome(pickler.dump, world.graph()), file.getvalue()
            return outcomes, world.log
        finally:
            world.close()

    assert scenario(OURS) == scenario(STANDARD)


@pytest.mark.skipif(not PLANS_ARE_ON, reason="nothing is read on this build")
@pytest.mark.parametrize("source", CLOSURES, ids=["closure", "tries"])
def test_their_code_is_what_is_known(source):
    world = World()
    made = {}
    exec(source, globals(), made)
    objects = [world.Registered() for _ in range(300)]
    try:
        for _ in range(3):
            made["make"](OURS.Pickler, io.BytesIO()).dump(objects)
        before = _core.plan_counts()[0]
        made["make"](OURS.Pickler, io.BytesIO()).dump(objects)
        assert _core.plan_counts()[0] - before >= 290
    finally:
        world.close()


@pytest.mark.parametrize("kind", KINDS)
def test_functions_with_the_same_code(kind):
    """Each is called with its own cells, and goes on with them when another has returned."""

    def make_inner(cls):
        return lambda obj: type(obj) is cls

    def make_outer(cls, inner):
        def asks(obj):
            found = inner(obj)
            return found or type(obj) is cls

        return asks

    def scenario(implementation):
        world = World()
        globals()["helper"] = make_outer(world.Other, make_inner(world.Target))
        globals()["recursive"] = make_inner(world.Plain)
        file = io.BytesIO()
        condition = "helper(obj) or recursive(obj) or helper(3)"
        try:
            pickler = world.pickler(implementation, kind, condition, file)
            outcomes = [outcome(pickler.dump, world.graph()) for _ in range(3)]
            globals()["helper"] = make_outer(world.Slots, make_inner(world.Ordinary))
            return [*outcomes, outcome(pickler.dump, world.graph())], file.getvalue()
        finally:
            world.close()

    assert scenario(OURS) == scenario(STANDARD)


class Mapped(collections.abc.Mapping):
    """A table that is no dict, and counts who asks."""

    def __init__(self, table, asked):
        self.table, self.asked = table, asked

    def __getitem__(self, key):
        self.asked.append(key.__name__)
        return self.table[key]

    def __len__(self):
        return len(self.table)

    def __iter__(self):
        return iter(self.table)


@pytest.mark.parametrize("protocol", [1, 2, 4, 5])
def test_a_mapping_is_asked_for_each_object(protocol):
    def scenario(implementation):
        world = World()
        try:
            asked, file = [], io.BytesIO()
            pickler = implementation.Pickler(file, protocol)
            pickler.dispatch_table = Mapped({world.Plain: reduce_registered}, asked)
            change = Changes(
                lambda world: setattr(world.Slots, "__reduce__", lambda s: "len"), world
            )
            outcomes = [outcome(pickler.dump, [world.graph(), change, world.graph()])]
            return outcomes, file.getvalue(), asked
        finally:
            world.close()

    assert scenario(OURS) == scenario(STANDARD)


class Numbered:
    def __init__(self, number):
        self.number = number


@pytest.mark.alone
@pytest.mark.skipif(not PLANS_ARE_ON, reason="nothing is read on this build")
def test_default_reductions_stay_cheap_behind_a_called_hook():
    """Also when their class has been met often: object.__getstate__ has no plan to wait for."""

    class Called(OURS.Pickler):
        def persistent_id(self, obj):
            return [None][0]

    objects = [Numbered(number) for number in range(300)]

    def dump_with(threshold):
        _core.plan_threshold(threshold)
        Called(io.BytesIO(), 5).dump(objects)

    contenders = [bench.Contender("dump", dump_with, (threshold,)) for threshold in (0, 3)]
    best = 0
    for _ in range(6):
        best = max(best, bench.race("dump", *contenders, seconds=0.05).ratio.best)
        if best >= 0.9:
            break
    assert best >= 0.9
