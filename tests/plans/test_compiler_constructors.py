"""Constructors read into plans: classes that store their arguments, named tuples, factories."""

import abc
import collections
import dataclasses
import sys
import typing

import pytest

if sys.implementation.name != "cpython":
    pytest.skip("plans are for CPython", allow_module_level=True)

from fastcopyreg.compiler import KINDS, ConstructorPlan, Refusal, compile_constructor
from support.classes import Colour
from support.plans import Left, construct_by_plan

DEFAULT = ["a default"]


class Slots:
    __slots__ = ("x", "y")

    def __init__(self, x, y=DEFAULT):
        self.x = x
        self.y = y


class Plain:
    def __init__(self, x, y=DEFAULT, *, z=None):
        self.x, self.y = x, y
        self.z = z


class Empty:
    pass


class SameTwice:
    def __init__(self, x):
        self.x = x
        self.again = self.x
        self.kind = type(self)
        self.cls = self.__class__


class Displays:
    tags = ()

    def __init__(self, items=None, extra=None):
        self.items = [] if items is None else items
        self.extra = extra or {}
        self.pair = (items, extra)
        self.tags = ["a", "b", "c", "d"]
        self.none = None


class Child(Plain):
    def __init__(self, x, w):
        super().__init__(x, z=w)
        self.w = w


class Grandchild(Child):
    def __init__(self, x, w, v=1):
        Child.__init__(self, x, w)
        super(Child, self).__init__(w)
        self.v = v


class Mixin:
    def __init__(self, *, m=5, **rest):
        self.m = m


class Mixed(Slots):
    def __init__(self):
        super().__init__(1)
        self.new = True


class WithBaseInit(Empty):
    def __init__(self, x):
        super().__init__()
        self.x = x


class Inherited(Child):
    pass


class Private:
    def __init__(self, x):
        self.__x = x


class Overlaid:
    """A non-data descriptor and a class attribute under the names stored."""

    x = 1

    def y(self):
        raise AssertionError

    def __init__(self, x, y):
        self.x = x
        self.y = y


@dataclasses.dataclass
class Data:
    x: int
    y: list = dataclasses.field(default_factory=list)
    z: str = "z"


@dataclasses.dataclass(slots=True)
class DataSlots:
    x: int
    y: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int
    y: set = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: int
    y: int = 2


@dataclasses.dataclass
class DataChild(Data):
    w: int = dataclasses.field(default=4, kw_only=True)


Pair = collections.namedtuple("Pair", "a b", defaults=[7])


class Typed(typing.NamedTuple):
    x: int
    y: str = "y"


class TupleChild(tuple):
    __slots__ = ()

    def __new__(cls, x, y=DEFAULT):
        return tuple.__new__(cls, (y, x, 1))


class PairChild(Pair):
    __slots__ = ()


def factory(x, y=5):
    return Plain(x, z=y)


def class_factory(cls, x):
    made = cls(x, x)
    return made


def make_local_factory(cls=Slots):
    return lambda x: cls(x)


CASES = [
    (Slots, (1,), (1, 2)),
    (Plain, (1,), (1, 2)),
    (Empty, ()),
    (SameTwice, (DEFAULT,)),
    (Displays, (), (None, 0), ([1], {2: 3})),
    (Child, (1, 2)),
    (Grandchild, (1, 2), (1, 2, 3)),
    (Mixed, ()),
    (WithBaseInit, (1,)),
    (Inherited, (1, 2)),
    (Private, (1,)),
    (Overlaid, (1, 2)),
    (Data, (1,), (1, [2]), (1, [2], "3")),
    (DataSlots, (1,), (1, {})),
    (Frozen, (1,), (1, {2})),
    (FrozenSlots, (1,), (1, 3)),
    (DataChild, (1,), (1, [2], "3")),
    (Pair, (1,), (1, 2)),
    (Typed, (1,), (1, "2")),
    (PairChild, (1, 2)),
    (TupleChild, (1,), (1, 2)),
    (factory, (1,), (1, 2)),
    (class_factory, (Slots, 1), (Child, 2)),
    (make_local_factory(), (1,)),
]


def contents(made):
    """Everything in an object, in order, to compare two of a class."""
    if isinstance(made, tuple):
        return list(made)
    slots = [name for base in type(made).__mro__ for name in getattr(base, "__slots__", ())]
    found = [(name, getattr(made, name)) for name in slots if hasattr(made, name)]
    return found + list(getattr(made, "__dict__", {}).items())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__qualname__)
def test_constructs(case):
    constructor, *calls = case
    plan = compile_constructor(constructor)
    assert isinstance(plan, ConstructorPlan), plan
    assert not plan.leaves
    counts = [len(arguments) for arguments in calls]
    assert plan.required <= min(counts) <= max(counts) <= plan.accepted
    for arguments in calls:
        made, expected = construct_by_plan(plan, constructor, arguments), constructor(*arguments)
        assert type(made) is type(expected)
        assert contents(made) == contents(expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__qualname__)
def test_numbers_of_arguments(case):
    """One argument fewer or more than the plan takes is an error of the constructor's."""
    constructor = case[0]
    plan = compile_constructor(constructor)
    for count in {plan.required - 1, plan.accepted + 1} - {-1}:
        with pytest.raises(TypeError):
            constructor(*[Slots] * count)


def test_arguments_and_defaults_keep_their_identity():
    argument = object()
    made = construct_by_plan(compile_constructor(Plain), Plain, (argument,))
    assert made.x is argument
    assert made.y is DEFAULT


def test_attrs():
    attrs = pytest.importorskip("attrs")

    @attrs.define
    class Defined:
        x: int
        y: list = attrs.field(factory=list)

    @attrs.frozen
    class Frozen:
        x: int
        y: int = 3

    @attrs.frozen(slots=False)
    class FrozenDict:
        x: int
        y: list = attrs.field(factory=list)

    @attrs.define
    class Converting:
        x: int = attrs.field(converter=int)

    for cls in (Defined, Frozen, FrozenDict):
        plan = compile_constructor(cls)
        assert isinstance(plan, ConstructorPlan), plan
        for arguments in ((1,), (1, 2)):
            assert construct_by_plan(plan, cls, arguments) == cls(*arguments)
    assert compile_constructor(Converting).reason.startswith("calls ")


# Guards


def test_a_base_that_changes_leaves_the_plan():
    class Base:
        def __init__(self, x):
            self.x = x

    class Local(Base):
        def __init__(self, x):
            super().__init__(x)

    plan = compile_constructor(Local)
    assert plan.functions == ((0, "__init__"), (1, "__init__"))
    Local.__init__.__closure__[0].cell_contents = Base
    with pytest.raises(Left):
        construct_by_plan(plan, Local, (1,))


def test_rebound_names_leave_the_plan():
    namespace = {}
    exec(
        "class Base:\n"
        "    def __init__(self, x): object.__setattr__(self, 'x', x)\n"
        "class Local(Base):\n"
        "    def __init__(self, x): Base.__init__(self, x)",
        namespace,
    )
    Local = namespace["Local"]
    plan = compile_constructor(Local)
    assert construct_by_plan(plan, Local, (1,)).x == 1
    for name in ("Base", "object"):
        kept = namespace.get(name)
        namespace[name] = Empty
        with pytest.raises(Left):
            construct_by_plan(plan, Local, (1,))
        namespace[name] = kept or object


def test_defaults_are_read_when_the_plan_runs():
    class Local:
        def __init__(self, x=1):
            self.x = x

    plan = compile_constructor(Local)
    Local.__init__.__defaults__ = (2,)
    assert construct_by_plan(plan, Local, ()).x == 2
    Local.__init__.__defaults__ = None
    with pytest.raises(Left):
        construct_by_plan(plan, Local, ())


# Refusals


class Meta(type):
    def __call__(cls, *args):
        return super().__call__(*args)


class WithMeta(metaclass=Meta):
    def __init__(self, x):
        self.x = x


class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self):
        raise NotImplementedError


class OwnNew:
    def __new__(cls, x):
        return super().__new__(cls)

    def __init__(self, x):
        self.x = x


class OwnSetattr:
    def __init__(self, x):
        self.x = x

    def __setattr__(self, name, value):
        super().__setattr__(name, value)


class OwnGetattribute:
    def __init__(self, x):
        self.x = x
        self.y = self.x

    def __getattribute__(self, name):
        return super().__getattribute__(name)


class OwnDict:
    def __init__(self, x):
        self.__dict__["x"] = x

    @property
    def __dict__(self):
        return {}


class OwnClass:
    def __init__(self, x):
        self.x = self.__class__

    @property
    def __class__(self):
        return int


class WithProperty:
    def __init__(self, x):
        self.x = x

    @property
    def x(self):
        return self._x

    @x.setter
    def x(self, value):
        self._x = value


class NoPlace:
    __slots__ = ("y",)

    def __init__(self, x):
        self.x = x  # noqa: PLE0237


class Validating:
    def __init__(self, x):
        self.x = int(x)


class Computing:
    def __init__(self, x):
        self.x = x + 1


class Cyclic:
    def __init__(self, x):
        self.me = self
        self.x = x


class Reading:
    tag = 1

    def __init__(self, x):
        self.x = x
        self.y = self.tag


class Calling:
    def __init__(self, x):
        self.x = x
        self.setup()

    def setup(self):
        pass


class Updating:
    def __init__(self, x):
        self.__dict__.update(x=x)


class Registering:
    seen = Empty()

    def __init__(self, x):
        self.x = x
        Registering.seen.last = x


class Returning:
    def __init__(self, x):
        self.x = x
        return x  # noqa: PLE0101


class Variadic:
    def __init__(self, *args):
        self.args = args


class KeywordNeeded:
    def __init__(self, x, *, y):
        self.x = x


class TooMuchForBase(Plain):
    def __init__(self, x):
        super().__init__(x, x, x, x)


class WrongKeyword(Plain):
    def __init__(self, x):
        super().__init__(x, q=x)


class NothingForBase(Plain):
    def __init__(self, x):
        super().__init__()
        self.x = x


class ListChild(list):
    def __init__(self, x):
        self.x = x


@dataclasses.dataclass
class PostInit:
    x: int

    def __post_init__(self):
        self.y = self.x


class TupleNew(tuple):
    def __new__(cls, x):
        return tuple.__new__(cls, [x])


class OtherNew(tuple):
    def __new__(cls, x):
        return tuple.__new__(OtherNew, (x,))


class SuperNew(tuple):
    def __new__(cls, x):
        return super().__new__(cls, (x,))


def computing_factory(x):
    return Slots(x + 1)


def chained_factory(x):
    return Slots(x).x


def nested_factory(x):
    return Slots(Slots(x))


REFUSED = {
    WithMeta: "metaclass Meta",
    Abstract: "is abstract",
    Colour: "metaclass EnumType",
    OwnNew: "has a __new__ of its own",
    OwnSetattr: "__setattr__ of its own",
    OwnGetattribute: "__getattribute__ of its own",
    OwnDict: "__dict__ of its own",
    OwnClass: "__class__ of its own",
    WithProperty: "x is a data descriptor",
    NoPlace: "no place for x",
    Validating: "calls int",
    Computing: "an operator",
    Cyclic: "uses the object before it is made",
    Reading: "reads self.tag without having stored it",
    Calling: "calls self.setup",
    Updating: "calls self.__dict__.update",
    Registering: "stores an attribute of another object",
    Returning: "__init__ returns something",
    Variadic: "any number of arguments",
    KeywordNeeded: "needs a keyword y",
    TooMuchForBase: "too many arguments",
    WrongKeyword: "passes q",
    NothingForBase: "does not pass x",
    ListChild: "has a __new__ of its own",
    PostInit: "calls self.__post_init__",
    TupleNew: "no tuple display",
    OtherNew: "calls tuple.__new__",
    SuperNew: "super",
    Mixin: "any number of arguments",
    int: "has a __new__ of its own",
    dict: "has a __new__ of its own",
    object.__new__: "is not a Python function",
    computing_factory: "an operator",
    chained_factory: "calls Slots",
    nested_factory: "calls Slots",
    Slots(1, 2).__init__: "bound arguments",
}


@pytest.mark.parametrize("constructor", REFUSED, ids=lambda item: item.__qualname__)
def test_refused(constructor):
    verdict = compile_constructor(constructor)
    assert isinstance(verdict, Refusal), [KINDS[kind] for kind, *_ in verdict.steps]
    assert REFUSED[constructor] in verdict.reason


def test_a_validating_path_is_left():
    class Validated:
        def __init__(self, x=None):
            if x is None:
                raise TypeError("x is needed")
            self.x = x

    plan = compile_constructor(Validated)
    assert construct_by_plan(plan, Validated, (1,)).x == 1
    with pytest.raises(Left):
        construct_by_plan(plan, Validated, ())
