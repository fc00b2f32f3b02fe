"""Objects with a `__getstate__` in Python, of which nothing else is asked, against the oracle."""

import abc
import copyreg
import io
import sys

import pytest
from hypothesis import strategies

import fastcopyreg
from support.classes import ByClass
from support.dumping import Hiding, Meddles, dumping_tests
from support.implementations import OURS, STANDARD, requires_core
from support.recording import Setup, compare, compare_every_way

pytestmark = [requires_core, pytest.mark.timeout(1800)]


class Fields(ByClass):
    """A state of the attributes named."""

    def __getstate__(self):
        return {"first": self.first, "other": self.other}


class Own(ByClass):
    """The `__dict__` itself."""

    def __getstate__(self):
        return self.__dict__


class Copied(ByClass):
    """A copy of it, without something."""

    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("first", None)
        return state


class Pair(ByClass):
    """Not a dict."""

    def __getstate__(self):
        return self.first, getattr(self, "other", None)


class Value(ByClass):
    """Anything at all."""

    def __getstate__(self):
        return self.first


class Itself(ByClass):
    """The object."""

    def __getstate__(self):
        return self


class Nothing(ByClass):
    """None."""

    def __getstate__(self):
        return None


class Slots(ByClass):
    """No `__dict__`."""

    __slots__ = ("first", "other")

    def __getstate__(self):
        return self.first


class SlotsToo(Fields):
    """Slots and a `__dict__`."""

    __slots__ = ("first",)


class Inherits(Copied):
    """From a base."""


class Abstract(Fields, metaclass=abc.ABCMeta):
    """With a metaclass."""


class Meta(type):
    """With a say."""

    def __getattribute__(cls, name):
        return super().__getattribute__(name)


class OfMeta(Fields, metaclass=Meta):
    """With a metaclass that has a say."""


class Watched(Fields):
    """Attributes are asked for in Python."""

    def __getattribute__(self, name):
        return super().__getattribute__(name)


class Answers(Fields):
    """What is missing too."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class Spoofs(Fields):
    """Says it is of another class."""

    @property
    def __class__(self):
        return Own


class Arguments(Fields):
    """Is asked for arguments."""

    def __new__(cls, *args):
        return super().__new__(cls)

    def __getnewargs__(self):
        return (1, "shared")


class ArgumentsEx(Arguments):
    """And by name."""

    def __getnewargs_ex__(self):
        return (1,), {}


class OfList(ByClass, list):
    """Elements too."""

    def __getstate__(self):
        return {"size": len(self)}


class OfDict(ByClass, dict):
    """Items too."""

    def __getstate__(self):
        return {"size": len(self)}


class OfStr(str):
    """With arguments of its own."""

    def __getstate__(self):
        return {"size": len(self)}


class Reduces(Fields):
    """Is never asked."""

    def __reduce__(self):
        return Reduces, ()


class Static(ByClass):
    """Not a method."""

    @staticmethod
    def __getstate__():
        return "static"


class Raises(ByClass):
    """No state."""

    def __getstate__(self):
        raise ValueError("no state")


CLASSES = [
    Fields, Own, Copied, Pair, Value, Itself, Nothing, Slots, SlotsToo, Inherits, Abstract, OfMeta,
    Watched, Answers, Spoofs, Arguments, ArgumentsEx, OfList, OfDict, OfStr, Reduces, Static,
    Raises,
]  # fmt: skip

atoms = (
    strategies.none()
    | strategies.integers(0, 70_000)
    | strategies.text(max_size=3)
    | strategies.sampled_from(["shared", "a" * 300, ("a", "shared"), 2.5, b"bytes", (), {}])
)
values = strategies.deferred(lambda: atoms | strategies.lists(values, max_size=3) | objects)
objects = strategies.tuples(
    strategies.just("object"),
    strategies.sampled_from(CLASSES),
    strategies.dictionaries(strategies.sampled_from(["first", "other", "late"]), values),
    strategies.sampled_from(["", "", "", "itself", "dict", "ex", "reduce", "state", "new"]),
)


DEEDS = {
    "itself": lambda made: setattr(made, "first", [made]),
    "dict": vars,
    "ex": lambda made: setattr(made, "__reduce_ex__", Hiding((int, (9,)))),
    "reduce": lambda made: setattr(made, "__reduce__", Hiding((int, (8,)))),
    "state": lambda made: setattr(made, "__getstate__", Hiding({"hidden": 1})),
    "new": lambda made: setattr(made, "__getnewargs__", Hiding((1,))),
}


def make(described, made):
    """The value that was described."""
    if isinstance(described, list):
        return [make(each, made) for each in described]
    if not isinstance(described, tuple) or described[:1] != ("object",):
        return described
    _, cls, attributes, deed = described
    result = cls()
    try:
        for name, value in attributes.items():
            setattr(result, name, make(value, made))
        if deed:
            DEEDS[deed](result)
    except (AttributeError, TypeError):
        pass
    made.append(result)
    return result


(
    test_objects_are_dumped_alike,
    test_objects_are_dumped_alike_by_the_default_way,
    test_objects_at_the_end_of_a_frame,
) = dumping_tests(objects, make)


def assert_same(build):
    compare_every_way(STANDARD, OURS, build, fast=False)


def filled(cls, first=1, other="shared"):
    made = cls()
    made.first, made.other = first, other
    return made


class Changes(ByClass):
    """Changes something when it is asked for its state."""

    def __init__(self, change):
        self.change = change

    def __getstate__(self):
        self.change()
        return None


class Changing(Fields):
    """Is changed by a test."""


def other_state(self):
    return ["other"]


CHANGES = {
    "a method": ("__getstate__", other_state),
    "a reducer": ("__reduce_ex__", lambda self, protocol: (int, (6,))),
    "the old reducer": ("__reduce__", lambda self: (int, (5,))),
    "arguments": ("__getnewargs__", lambda self: ()),
    "attributes": ("__getattribute__", lambda self, name: Hiding((int, (7,)))),
    "a name": ("__qualname__", "__newobj__"),
    "a class": ("__class__", property(lambda self: int)),
}


@pytest.mark.parametrize("asked", ["state", "reduction"])
@pytest.mark.parametrize("name", CHANGES)
def test_classes_that_change_under_the_dump(name, asked):
    attribute, value = CHANGES[name]

    def build():
        Changing.__qualname__ = "Changing"
        for each, _ in CHANGES.values():
            if each in vars(Changing) and each != "__qualname__":
                delattr(Changing, each)
        before = [filled(Changing), filled(Changing), filled(Changing)]
        kind = Changes if asked == "state" else Meddles
        change = kind(lambda: setattr(Changing, attribute, value))
        if kind is Changes:
            return [*before, change, filled(Changing), *before]
        return [*before, filled(Changing, first=change), filled(Changing)]

    try:
        assert_same(build)
    finally:
        build()


def test_code_that_changes_under_the_dump():
    def build():
        code = Fields.__getstate__.__code__
        change = Changes(lambda: setattr(Fields.__getstate__, "__code__", other_state.__code__))
        restore = Changes(lambda: setattr(Fields.__getstate__, "__code__", code))
        rows = [filled(Fields) for _ in range(4)]
        return [*rows[:2], change, rows[2], restore, rows[3]]

    assert_same(build)


class Registered(Fields):
    """Whose class is never changed: some changes leave slots of the type that are slower."""


def register():
    copyreg.pickle(Registered, lambda each: (list, ()))


def replace_newobj():
    copyreg.__newobj__ = lambda cls, *args: cls.__new__(cls, *args)
    copyreg.__newobj__.__name__ = "other"


NEWOBJ = copyreg.__newobj__


@pytest.mark.parametrize("deed", [register, replace_newobj])
def test_what_lies_outside_of_the_class(deed):
    def build():
        copyreg.dispatch_table.pop(Registered, None)
        copyreg.__newobj__ = NEWOBJ
        before = [filled(Registered), filled(Registered)]
        return [*before, Changes(deed), filled(Registered)]

    try:
        assert_same(build)
    finally:
        build()


class Late(Fields):
    """Given a reducer when it is asked who else reduces its objects."""


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_class_that_changes_when_the_override_is_asked(at):
    rows = [filled(Late) for _ in range(4)]

    def dumped(implementation):
        class Overriding(implementation.Pickler):
            asked = 0

            def reducer_override(self, obj):
                self.asked += type(obj) is Late
                if self.asked == at:
                    Late.__reduce_ex__ = CHANGES["a reducer"][1]
                return NotImplemented

        implementation.dumps(rows)
        written = io.BytesIO()
        try:
            Overriding(written, 4).dump(rows)
        finally:
            del Late.__reduce_ex__
        return written.getvalue()

    for _ in range(2):
        assert dumped(OURS) == dumped(STANDARD)


def test_an_object_that_becomes_another():
    class_of = {}

    def build():
        holder = []
        change = Meddles(lambda: setattr(holder[0], "__class__", class_of["new"]))
        made = filled(Fields, first=change)
        holder.append(made)
        return [made, made, filled(Fields)]

    for class_of["new"] in (Own, Abstract, Nothing):
        assert_same(build)

    class Leaves(Fields):
        def __getstate__(self):
            self.__class__ = Own
            return {"left": 1}

    for cls in (Leaves,):
        sys.modules[__name__].Leaves = cls
        cls.__qualname__ = "Leaves"
        assert_same(lambda cls=cls: [filled(cls), filled(cls)])


def test_states_are_kept_until_the_end():
    """A state that died would have its address, and so its number, given to another."""
    rows = [filled(Pair, first=number) for number in range(3000)]
    assert_same(lambda: rows)


def test_explain_says_what_is_called():
    ours = [
        Fields, Own, Copied, Pair, Value, Itself, Nothing, Slots, SlotsToo, Inherits, Abstract,
        Raises, Answers,
    ]  # fmt: skip
    for cls in CLASSES:
        rows = dict(dict(fastcopyreg.explain(cls).sections)["reduce"])
        assert ("and the rest in the C core" in rows.get("runs", "")) is (cls in ours), cls


def test_what_cannot_be_dumped_is_noted():
    bad = filled(Fields, other=lambda: 0)
    for value in (bad, [bad], filled(Value, first=bad), Raises(), filled(Slots, first=bad)):
        for protocol in (2, 4, 5):
            for _ in range(3):
                compare(STANDARD, OURS, Setup(protocol=protocol), lambda value=value: [value])
