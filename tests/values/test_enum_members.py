"""Members of enumerations, which loads find by their values, against the oracle.

Calling an enumeration with a value is left out only while all that it would do is known. Each kind
of enumeration is loaded before and after it was read, with values that it has and others; then
everything that the call goes by is changed, one at a time.
"""

import enum
import pickle
import sys

import pytest

from fastcopyreg import _stdlib
from fastcopyreg import pickle as ours
from support.child import in_child, requires_fork
from support.implementations import PLANS_ARE_ON, requires_core

pytestmark = requires_core

CALLS = []


class Color(enum.Enum):
    RED = 1
    GREEN = "green"
    BLUE = 2.5
    NONE = None
    ALIAS = 1  # noqa: PIE796


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Text(enum.StrEnum):
    A = enum.auto()
    B = enum.auto()


class Bits(enum.Flag):
    A = 1
    B = 2
    C = 4


class IntBits(enum.IntFlag, boundary=enum.KEEP):
    A = 1
    B = 2


class Pairs(enum.Enum):
    """Values that are hashed by their parts."""

    FIRST = (1, "a")
    SECOND = (2, "b")


class Lists(enum.Enum):
    """Values that have no hash."""

    FIRST = [1]
    SECOND = [2]


class Loud:
    """A value that is heard when it is compared."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return self.number

    def __eq__(self, other):
        CALLS.append("eq")
        return False

    def __reduce__(self):
        return Loud, (self.number,)

    def __repr__(self):
        return f"Loud({self.number})"


class Mixed(enum.Enum):
    LOUD = Loud(5)
    FIVE = 5
    SIX = 6


class Made(enum.Enum):
    """With a __new__ of its own, which makes the members."""

    def __new__(cls, value):
        self = object.__new__(cls)
        self._value_ = value * 10
        return self

    ONE = 1
    TWO = 2


class Forgiving(enum.Enum):
    ONE = 1

    @classmethod
    def _missing_(cls, value):
        CALLS.append(("missing", repr(value)))
        return cls.ONE if value == "one" else None


class Quiet(enum.EnumMeta):
    """A metaclass as models have it, which changes nothing of a call."""

    def choices(cls):
        return list(cls)


class Caller(enum.EnumMeta):
    """A metaclass that has something to say about calls."""

    def __call__(cls, *arguments, **keywords):
        CALLS.append(("call", repr(arguments)))
        return super().__call__(*arguments, **keywords)


class Chosen(enum.Enum, metaclass=Quiet):
    ONE = 1
    TWO = "two"


class Called(enum.Enum, metaclass=Caller):
    ONE = 1
    TWO = 2


class Described(enum.Enum):
    """Members with attributes, some under names that the call asks for."""

    NAMES = 1
    VALUE = 2

    @property
    def label(self):
        return self.name


KINDS = [Color, Number, Text, Bits, IntBits, Pairs, Lists, Mixed, Made, Forgiving, Chosen, Called]
KINDS += [Described, enum.FlagBoundary]


def label(cls):
    return cls.__name__


VALUES = [1, 2, 3, 5, 6, 7, 10, True, False, 1.0, 2.5, "green", "a", "one", None, b"a", -1, 2**70]


class Call:
    """Pickled as a call of a class."""

    def __init__(self, cls, *arguments):
        self.reduced = cls, arguments

    def __reduce__(self):
        return self.reduced


def outcome(loads, data):
    """What comes of a load: the very members, or the error, and what was called."""
    CALLS.clear()
    try:
        loaded = loads(data)
    except Exception as error:
        loaded = type(error), str(error)
    return loaded, list(CALLS)


def assert_same(*pickles):
    for data in pickles:
        (there, calls_there), (here, calls_here) = (
            outcome(_stdlib.loads, data),
            outcome(ours.loads, data),
        )
        assert (here, calls_here) == (there, calls_there)
        assert type(here) is type(there)
        if isinstance(here, list):
            assert [type(each) for each in here] == [type(each) for each in there]
            if not calls_here:
                assert all(
                    a is b for a, b in zip(here, there, strict=True) if isinstance(b, enum.Enum)
                )


def pickles_of(cls):
    members = pickle.dumps(list(cls) * 3)
    return members, *(pickle.dumps([Call(cls, value)]) for value in VALUES)


@pytest.mark.parametrize("cls", KINDS, ids=label)
def test_members_are_found_alike_before_and_after_they_are_known(cls, read_at_once):
    for _ in range(3):
        assert_same(*pickles_of(cls))
    assert_same(pickle.dumps([Call(cls)]), pickle.dumps([Call(cls, 1, 2)]))
    assert_same(pickle.dumps([Call(cls, [])]), pickle.dumps([Call(cls, Loud(1))]))


@pytest.mark.skipif(not PLANS_ARE_ON, reason="enumerations are called")
@pytest.mark.parametrize("cls", [Color, Number, Text, Bits, Chosen], ids=label)
def test_members_are_found_without_a_call(cls, read_at_once):
    from fastcopyreg import _core

    data = pickle.dumps([Call(cls, next(iter(cls)).value) for _ in range(50)])
    ours.loads(data)
    before = _core.plan_counts()[1]
    ours.loads(data)
    assert _core.plan_counts()[1] - before == 50


def test_flags_that_are_made_by_loads_cost_what_they_are(read_at_once):
    """Each combination that is new goes into the dict, whose keys are looked at again."""
    data = pickle.dumps([Call(Bits, value % 8) for value in range(400)])
    assert_same(data, data)


class Other(enum.Enum):
    """What changes is done to this one."""

    ONE = 1
    TWO = "two"


def other_new(cls, value):
    CALLS.append(("new", value))
    return cls.TWO


def other_call(cls, value, *rest):
    CALLS.append(("call", value))
    return cls.ONE


META = type(Other)
NEW = vars(Other)["__new__"]
BASE_NEW = getattr(NEW, "__func__", NEW)


class Metaclass(META):
    _member_map_ = property(lambda cls: CALLS.append("map") or {})


def with_entry(name, key, value):
    """A change of one of the dicts that enumerations have, in place."""

    def change(monkeypatch):
        monkeypatch.setitem(vars(Other)[name], key, value)

    return change


def with_attribute(owner, name, value):
    def change(monkeypatch):
        monkeypatch.setattr(owner, name, value, raising=False)

    return change


def with_dict(name, value):
    """Another dict under the name. The metaclass forbids members' names only."""
    return with_attribute(Other, name, value)


def without_members(monkeypatch):
    for name in list(vars(Other)["_member_map_"]):
        monkeypatch.delitem(vars(Other)["_member_map_"], name)


def renamed(name):
    return lambda monkeypatch: monkeypatch.setitem(
        META.__call__.__globals__, name, {"type": lambda value: Other}.get(name, object())
    )


CHANGES = {
    "a value more": with_entry("_value2member_map_", 7, Other.ONE),
    "a value that is another's": with_entry("_value2member_map_", 1, Other.TWO),
    "a value that is heard": with_entry("_value2member_map_", Loud(1), Other.TWO),
    "a value of another kind": with_entry("_value2member_map_", (1,), Other.TWO),
    "another dict of values": with_dict("_value2member_map_", {1: Other.TWO, 7: 8}),
    "no dict of values": with_dict("_value2member_map_", 5),
    "another dict of names": with_dict("_member_map_", {}),
    "no members": without_members,
    "__new__ of the class": with_attribute(Other, "__new__", other_new),
    "__new__ of all": with_attribute(BASE_NEW, "__code__", other_new.__code__),
    "__call__ of all": with_attribute(META, "__call__", other_call),
    "code of __call__": with_attribute(META.__call__, "__code__", other_call.__code__),
    "defaults of __call__": with_attribute(META.__call__, "__defaults__", ((1, 2),)),
    "an attribute of the metaclass": with_attribute(
        META, "_value2member_map_", property(lambda cls: CALLS.append("map") or {1: 2})
    ),
    "the global type": renamed("type"),
    "the global _not_given": renamed("_not_given"),
    "_missing_": with_attribute(Other, "_missing_", classmethod(lambda cls, value: cls.ONE)),
}


def assert_changes_are_seen(name):
    known = [pickle.dumps([Call(Other, value)] * 2) for value in (1, "two", 7, True)]
    for _ in range(3):
        assert_same(*known)
    with pytest.MonkeyPatch.context() as monkeypatch:
        CHANGES[name](monkeypatch)
        for _ in range(2):
            assert_same(*known)
    for _ in range(2):
        assert_same(*known)


@requires_fork
@pytest.mark.parametrize("name", CHANGES)
def test_what_a_call_goes_by_may_change(name, read_at_once):
    """In a child: what has changed once is looked at by all that know the metaclass."""
    if name == "the global _not_given" and "_not_given" not in META.__call__.__globals__:
        pytest.skip("names are None")
    assert in_child(assert_changes_are_seen, name) is None


def change_in_the_middle(name):
    """A reducer's constructor: what it changes, the next object of the same load meets."""
    CHANGES[name](CHANGER)
    return name


CHANGER = pytest.MonkeyPatch()


def assert_changes_in_the_middle_are_seen(name):
    one = Call(Other, 1)
    data = pickle.dumps(
        [Call(Other, 1), Call(Other, "two"), Call(change_in_the_middle, name), one]
    )
    for _ in range(3):
        outcomes = []
        for loads in (_stdlib.loads, ours.loads):
            outcomes.append(outcome(loads, data))
            CHANGER.undo()
        assert outcomes[0] == outcomes[1]


@requires_fork
@pytest.mark.parametrize("name", [name for name in CHANGES if name != "the global _not_given"])
def test_what_a_call_goes_by_may_change_in_the_middle(name, read_at_once):
    assert in_child(assert_changes_in_the_middle_are_seen, name) is None


def test_a_class_may_get_another_metaclass(read_at_once):
    known = pickle.dumps([Call(Other, 1)] * 2)
    for _ in range(3):
        assert_same(known)
    try:
        Other.__class__ = Metaclass
        assert_same(known)
    finally:
        Other.__class__ = META
    assert_same(known)


def test_tracers_see_the_call(read_at_once):
    data = pickle.dumps([Call(Other, 1)] * 4)
    for _ in range(3):
        assert_same(data)

    def calls(loads):
        seen = []

        def profile(frame, event, argument):
            if event == "call":
                seen.append(frame.f_code.co_name)

        sys.setprofile(profile)
        try:
            loads(data)
        finally:
            sys.setprofile(None)
        return seen

    assert calls(ours.loads) == calls(_stdlib.loads)
