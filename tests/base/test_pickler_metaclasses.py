"""Classes with a metaclass, which may change what pickle asks; and reducers given a protocol."""

import abc
import contextlib
import copyreg
import enum
import io

import pytest

import fastcopyreg
from support import trace
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, compare

pytestmark = requires_core


class HasReduce:
    """Gives classes another reducer than they have."""

    def __get__(self, cls, metaclass=None):
        return lambda *args: (int, (4,))

    def __set__(self, cls, value):
        raise AttributeError


def made_metaclass(name, members):
    """A metaclass that has been made in this module."""
    return type(name, (type,), {"__module__": __name__, "__qualname__": name, **members})


def note_hash(cls):
    trace.note("hash")
    return 7


def note_equality(cls, other):
    trace.note("equality")
    return cls is other


def note_attribute(cls, name):
    trace.note("attribute", name)
    return type.__getattribute__(cls, name)


METACLASSES = {
    "Quiet": made_metaclass("Quiet", {"__call__": type.__call__, "__len__": lambda cls: 0}),
    "Hashes": made_metaclass("Hashes", {"__hash__": note_hash}),
    "Compares": made_metaclass("Compares", {"__eq__": note_equality, "__hash__": note_hash}),
    "Watches": made_metaclass("Watches", {"__getattribute__": note_attribute}),
    "Falls": made_metaclass("Falls", {"__getattr__": lambda cls, name: 1 // 0}),
    "Names": made_metaclass("Names", {"__name__": property(lambda cls: "__newobj__")}),
    "Moves": made_metaclass("Moves", {"__module__": property(lambda cls: "support.classes")}),
    "Reduces": made_metaclass("Reduces", {"__reduce__": HasReduce()}),
    "Orders": made_metaclass("Orders", {"mro": lambda cls: [cls, object]}),
    "Abstract": abc.ABCMeta,
}


def init(self, *parts):
    self.parts = parts


BODIES = {
    "plain": ((), {"__init__": init}),
    "reduces": ((), {"__init__": init, "__reduce__": lambda self: (type(self), (self.parts,))}),
    "reduces ex": (
        (),
        {"__init__": init, "__reduce_ex__": lambda self, _: (self.__class__, (self.parts,))},
    ),
    "list": ((list,), {"__init__": init}),
    "fails": ((Exception,), {}),
}


def add_class(metaclass_name, body_name):
    bases, members = BODIES[body_name]
    name = f"{metaclass_name}_{body_name.replace(' ', '_')}"
    members = {**members, "__module__": __name__, "__qualname__": name}
    globals()[name] = METACLASSES[metaclass_name](name, bases, members)
    return globals()[name]


CLASSES = {
    (metaclass, body): add_class(metaclass, body)
    for metaclass in METACLASSES
    for body in BODIES
    if (metaclass, body) != ("Orders", "list") and (metaclass, body) != ("Orders", "fails")
}


class Other(metaclass=METACLASSES["Quiet"]):
    """What a reducer may say that a class is."""


def assert_same(build, times=3):
    for protocol in PROTOCOLS:
        for entry in ("dumps", "dump", "pickler"):
            for _ in range(times):
                compare(STANDARD, OURS, Setup(entry, protocol), build)


@pytest.mark.parametrize("which", CLASSES, ids=" ".join)
def test_objects_and_classes_are_dumped_alike(which):
    cls = CLASSES[which]

    def build():
        objects = [cls(i, [i]) for i in range(3)]
        return [objects, objects[0], cls, [cls], cls(cls)]

    with contextlib.suppress(Exception):
        STANDARD.dumps(build())  # What copyreg looks up first, it remembers in the class.
    assert_same(build)


@pytest.mark.parametrize("body", BODIES)
def test_a_registered_metaclass_is_asked(body):
    cls, metaclass = CLASSES["Quiet", body], METACLASSES["Quiet"]

    def build():
        return [cls(1), cls, cls(2)]

    assert_same(build)
    copyreg.pickle(metaclass, lambda cls: "Other")
    try:
        assert_same(build)
    finally:
        del copyreg.dispatch_table[metaclass]
    assert_same(build)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("asked", [type, METACLASSES["Quiet"]])
def test_an_override_is_asked_about_classes(body, asked):
    cls = CLASSES["Quiet", body]

    def dumped(implementation):
        asked_about = []

        class Pickler(implementation.Pickler):
            reducer_override_types = (asked,)

            def reducer_override(self, obj):
                if issubclass(type(obj), asked):
                    asked_about.append(obj)
                return NotImplemented

        file = io.BytesIO()
        Pickler(file, 4).dump([cls(1), cls(2), cls])
        return file.getvalue(), asked_about

    for _ in range(3):
        expected = dumped(STANDARD)
        assert dumped(OURS) == expected


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("__hash__", note_hash),
        ("__getattribute__", note_attribute),
        ("__reduce__", HasReduce()),
        ("__module__", property(lambda cls: "support.classes")),
    ],
)
@pytest.mark.parametrize("body", BODIES)
def test_a_metaclass_may_change(body, name, member):
    cls, metaclass = CLASSES["Quiet", body], METACLASSES["Quiet"]
    before = vars(metaclass).get(name)

    def build():
        return [cls(1), cls(2), cls]

    assert_same(build)
    setattr(metaclass, name, member)
    try:
        assert_same(build)
    finally:
        if name == "__module__":
            metaclass.__module__ = before
        else:
            delattr(metaclass, name)
    assert_same(build)


@pytest.mark.parametrize("name", ["Watches", "Hashes", "Reduces", "Abstract"])
def test_a_class_may_get_a_metaclass(name):
    class Late(metaclass=METACLASSES["Quiet"]):
        """Its metaclass is exchanged."""

    Late.__qualname__ = "Late"
    globals()["Late"] = Late

    def build():
        return [Late(), Late(), Late]

    assert_same(build)
    Late.__class__ = METACLASSES[name]
    assert_same(build)
    Late.__class__ = METACLASSES["Quiet"]
    assert_same(build)


class Colour(enum.Enum):
    """Of values that are shared, or are not."""

    RED = 1
    GREEN = ("green", [2])
    BLUE = "b" * 300


class Level(enum.IntEnum):
    """Members are integers."""

    LOW = 1
    HIGH = 70_000


class Word(enum.StrEnum):
    """Members are strings."""

    YES = "yes"
    NO = "no"


class Rights(enum.Flag):
    """Members are made as they are needed."""

    READ = 1
    WRITE = 2
    RUN = 4


class Bits(enum.IntFlag):
    """The same, of integers."""

    ONE = 1
    TWO = 2


class Reduced(enum.Enum):
    """A reducer of its own."""

    A = 1

    def __reduce_ex__(self, protocol):
        return Reduced, (self.value,), {"protocol": protocol}

    def __setstate__(self, state):
        pass


class ByName(enum.Enum):
    """By name, as enum offers it."""

    A = 1
    __reduce_ex__ = getattr(enum, "pickle_by_enum_name", enum.Enum.__reduce_ex__)


class Valued(enum.Enum):
    """Values that come by otherwise."""

    FIRST = (1, 2)

    def __init__(self, *parts):
        self.parts = self._value_


MEMBERS = [*Colour, *Level, *Word, *Rights, Rights.READ | Rights.RUN, *Bits, Bits(3), *Reduced,
           *ByName, *Valued]  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_members_are_dumped_alike(member):
    assert_same(lambda: [member, member, [member.value, member], type(member)])
    assert_same(lambda: member, 12)


def test_members_are_what_they_were():
    for protocol in PROTOCOLS:
        again = fastcopyreg.pickle.loads(OURS.dumps(MEMBERS, protocol))
        assert all(mine is theirs for mine, theirs in zip(again, MEMBERS, strict=True))


def test_an_attribute_of_a_member_hides_the_reducer():
    assert_same(lambda: [Level.LOW, Level.HIGH])
    Level.LOW.__reduce_ex__ = lambda protocol: "Other"
    try:
        assert_same(lambda: [Level.LOW, Level.HIGH])
    finally:
        del Level.LOW.__reduce_ex__
    assert_same(lambda: [Level.LOW, Level.HIGH])


class Ex:
    """A reducer that loads and is given the protocol."""

    def __init__(self, a, b):
        self.a = a
        self.b = b

    def __reduce_ex__(self, protocol):
        return Ex, (self.a, self.b)


class ExWithProtocol(Ex):
    """The protocol is a part."""

    def __reduce_ex__(self, protocol):
        return ExWithProtocol, (self.a, protocol)


class ExWithMore(Ex):
    """More parameters, a state, and a reducer that is not asked."""

    def __reduce_ex__(self, protocol, more=None, *, most=3):
        return ExWithMore, (self.a, more), {"b": self.b, "most": most}

    def __reduce__(self):
        raise AssertionError("not asked")

    def __init__(self, a, b=None):
        super().__init__(a, b)


class ExInSlots(Ex):
    """In slots, and the class asked of the object."""

    __slots__ = ("c",)

    def __reduce_ex__(self, protocol):
        return self.__class__, (self.a, self.b)


class ExBranches(Ex):
    """By the protocol."""

    def __reduce_ex__(self, protocol):
        if protocol >= 3:
            return ExBranches, (self.a, self.b)
        return ExBranches, (self.b, self.a)


class ExTooFew(Ex):
    """Does not take the protocol."""


ExTooFew.__reduce_ex__ = lambda self: (ExTooFew, (self.a,))


def reduce_both(obj, protocol=None):
    """A reducer of a table and of a class, which says how it was called."""
    return Both, (obj.a, protocol)


class Both(Ex):
    """Taken apart by the same function in two ways."""

    __reduce_ex__ = reduce_both


class InTable(Ex):
    """The other of them."""


EX_CLASSES = [Ex, ExWithProtocol, ExWithMore, ExInSlots, ExBranches, ExTooFew]


@pytest.mark.parametrize("cls", EX_CLASSES)
def test_reducers_that_are_given_the_protocol(cls):
    def build():
        objects = [cls(i, [i]) for i in range(4)]
        objects[0].b.append(objects[0])
        return [*objects, objects[0]]

    assert_same(build, 12)
    before = cls.__reduce_ex__
    cls.__reduce_ex__ = lambda self, protocol: (int, (protocol,))
    try:
        assert_same(build)
    finally:
        cls.__reduce_ex__ = before
    assert_same(build)


def test_one_function_as_both_reducers():
    copyreg.pickle(InTable, reduce_both)
    try:
        assert_same(lambda: [Both(1, 2), InTable(1, 2), Both(3, 4), InTable(3, 4)], 12)
        assert_same(lambda: [InTable(1, 2), Both(1, 2)], 12)
    finally:
        del copyreg.dispatch_table[InTable]


def test_explain_says_that_such_a_reducer_is_read():
    for x in (Ex, Colour):
        rows = dict(dict(fastcopyreg.explain(x).sections)["reduce"])
        assert "plan" in rows["runs"], rows
