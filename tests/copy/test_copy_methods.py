"""Objects whose class reduces them, in Python: by plan, as the standard library copies them.

What changes in the middle of a row is in test_copy_rows.py.
"""

import copy as std_copy
from operator import abs

import pytest

import fastcopyreg
from support import copies

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend calls every method", allow_module_level=True)

from fastcopyreg import _core

ENOUGH = 400
"""Objects after which methods and constructors have been read."""


class Base:
    def __init__(self, first=1, second=2):
        self.first = first
        self.second = second


class Slots:
    __slots__ = ("first", "second")

    def __init__(self, first=1, second=2):
        self.first = first
        self.second = second

    def __reduce__(self):
        return Slots, (self.first, self.second)


class Reduce(Base):
    def __reduce__(self):
        return type(self), (self.first, self.second)


class ReduceEx(Base):
    def __reduce_ex__(self, protocol):
        return self.__class__, (self.first, self.second)


class Both(Base):
    def __reduce__(self):
        return Both, ("not asked", 1)

    def __reduce_ex__(self, protocol):
        return Both, (self.first, self.second)


class OfProtocol(Base):
    def __reduce_ex__(self, protocol):
        return OfProtocol, (self.first, protocol)


class WithState(Base):
    def __reduce__(self):
        return WithState, (self.first,), {"second": self.second, "more": (self.first,)}


class LiveState(Base):
    def __reduce__(self):
        return LiveState, (), self.__dict__


class Name(Base):
    def __reduce__(self):
        return "Name"


class Failing(Base):
    def __reduce__(self):
        return Failing, (self.first, self.absent)


class Lazy(Base):
    @property
    def absent(self):
        return [self.first]

    def __reduce__(self):
        return Lazy, (self.absent, self.second)


class Wrong(Base):
    def __reduce__(self):
        return [self.first]


class Inherited(Reduce):
    pass


class Calling(Base):
    def __reduce__(self):
        return Calling, (abs(self.first), self.second)


class OwnHook(Reduce):
    def __deepcopy__(self, memo):
        return "deep"

    def __copy__(self):
        return "shallow"


class Found(Base):
    def __getattr__(self, name):
        if name == "__deepcopy__":
            raise AttributeError(name)
        return name

    def __reduce__(self):
        return Found, (self.first, self.other)


CLASSES = (
    Slots, Reduce, ReduceEx, Both, OfProtocol, WithState, LiveState, Name, Failing, Lazy, Wrong,
    Inherited, Calling, OwnHook, Found,
)  # fmt: skip

PLANNED = (Slots, Reduce, ReduceEx, Both, Inherited)


def warm_up(cls):
    for function in (copies.OURS.deepcopy, copies.OURS.copy):
        for _ in range(ENOUGH):
            try:
                function(cls())
            except Exception:
                break


def hidden(cls, name):
    """One object among others has the method, and says something else."""

    def make():
        own = type("Own", (cls,), {})  # What its objects have, those of the class shall not.
        objects = [own(number, [number]) for number in range(4)]
        objects[2].__dict__[name] = lambda *args: (Base, ("hidden", 1))
        return objects

    return make


def shared(cls):
    """Objects that are there twice, and hold what others hold."""

    def make():
        common = [1, (2, [3])]
        objects = [cls(common, common[1]) for _ in range(3)]
        return [objects, common, objects[1], objects[::-1]]

    return make


def circular(cls):
    def make():
        first = cls([], 1)
        first.first.append(first)
        return [first, first.first]

    return make


def circular_again(cls):
    """Objects that are copied twice, once within themselves; who asks later gets the last."""

    def make():
        first, second = cls([], 1), cls(({},), 2)
        first.first.append(first)
        second.first[0]["second"] = second
        common = [first, second]
        return [first, second, common, copies.DeepHook(), first, common, second, copies.DeepHook()]

    return make


def atoms(cls):
    return lambda: [cls(number, str(number)) for number in range(5)]


def nested(cls):
    return lambda: cls(cls(1, cls(2, [3])), (cls(4, 5),))


MAKERS = {
    "atoms": atoms,
    "shared": shared,
    "circular": circular,
    "circular again": circular_again,
    "nested": nested,
    "hidden __reduce__": lambda cls: hidden(cls, "__reduce__"),
    "hidden __reduce_ex__": lambda cls: hidden(cls, "__reduce_ex__"),
    "hidden __deepcopy__": lambda cls: hidden(cls, "__deepcopy__"),
}

OPERATIONS = {
    "deepcopy": copies.deepcopy,
    "memo": copies.deepcopy_into(dict),
    "copy": copies.copy,
    "copy of each": lambda module, source: (
        [module.copy(item) for item in source] if isinstance(source, list) else None
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("cls", CLASSES)
def test_as_the_standard_library(cls, make, operation):
    warm_up(cls)
    copies.compare(OPERATIONS[operation], MAKERS[make](cls))


@pytest.mark.skipif(not _core.plan_threshold(), reason="there are no plans")
@pytest.mark.parametrize("cls", PLANNED)
@pytest.mark.parametrize("name", ["copy", "deepcopy"])
def test_nothing_is_called(cls, name):
    """Neither the method nor the constructor, once they have been read."""
    warm_up(cls)
    function, obj = getattr(copies.OURS, name), cls(1, "two")
    before = _core.plan_counts()
    for _ in range(10):
        assert function(obj).first == 1
    after = _core.plan_counts()
    assert (after[0] - before[0], after[1] - before[1]) == (10, 10)


class Evicting:
    """As __abstractmethods__: object.__new__ reads it, which takes the place of all that was in
    the interpreter's cache of look-ups."""

    names = [f"name_{number}" for number in range(2_000)]

    def __iter__(self):
        for _ in range(40):
            cls = type("Other", (), {})
            for name in self.names:
                getattr(cls, name, None)
        raise LookupError("no names")


@pytest.mark.parametrize("name", ["copy", "deepcopy"])
def test_an_exception_outlasts_the_look_ups_after_it(name):
    """A look-up that the cache has no answer for clears the exception that is set."""
    base = type("Base", (), {"__init__": lambda self, value=None: None})
    cls = type("Made", (base,), {"__reduce__": lambda self: (cls, (1,))})
    instance = cls()
    cls.__abstractmethods__ = Evicting()
    for module in (copies.OURS, std_copy):
        for _ in range(5):
            with pytest.raises(LookupError, match="no names"):
                getattr(module, name)(instance)
