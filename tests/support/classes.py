"""Classes of every shape that a pickler meets, importable by name.

Each one is small and does one thing. Instances that may be keys or set members hash by their
class, so that a set of them has the same order each time it is built.
"""

import collections
import copyreg
import dataclasses
import enum
import typing

from support.trace import note


class ByClass:
    """Hashes by class and compares by identity: same order in sets, whatever the address."""

    __slots__ = ()

    def __hash__(self):
        return hash(type(self).__name__)

    def __eq__(self, other):
        return self is other


# Default reductions.


class Plain(ByClass):
    """An instance `__dict__` and nothing else."""


class SubPlain(Plain):
    """A plain class with a class-level default."""

    shared = ("class", "level")


class Slots(ByClass):
    """Slots only; an unset one stays unset."""

    __slots__ = ("a", "b", "c")


class SubSlots(Slots):
    """Slots of its own beside inherited ones."""

    __slots__ = ("d",)


class SlotsAndDict(Slots):
    """Slots, and a `__dict__` because `__slots__` is not declared again."""


class PrivateSlots(ByClass):
    """A slot whose name is mangled, and one that looks so."""

    __slots__ = ("__hidden", "_PrivateSlots__shown", "__both__")

    def hide(self, value):
        """Set the private slot."""
        self.__hidden = value


class WeakSlots(ByClass):
    """`__weakref__` and `__dict__` among the slots."""

    __slots__ = ("a", "__weakref__", "__dict__")


class WithState(ByClass):
    """`__getstate__` and `__setstate__`."""

    def __getstate__(self):
        note("getstate", type(self).__name__)
        return {"kept": self.__dict__.get("a"), "rest": sorted(self.__dict__)}

    def __setstate__(self, state):
        self.a = state["kept"]


class FalseState(WithState):
    """A state that is false and not None."""

    def __getstate__(self):
        return ()


class NoneState(WithState):
    """A state of None: nothing is built."""

    def __getstate__(self):
        return None


class NewArguments(ByClass):
    """`__getnewargs__`."""

    def __new__(cls, *args):
        return super().__new__(cls)

    def __getnewargs__(self):
        note("getnewargs", type(self).__name__)
        return (self.__dict__.get("a"), "new")


class NewArgumentsEx(ByClass):
    """`__getnewargs_ex__` with keywords."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        note("getnewargs_ex", type(self).__name__)
        return (self.__dict__.get("a"),), {"key": self.__dict__.get("b")}


class NewKeywords(ByClass):
    """Keywords only, which protocols 2 and 3 write through `functools.partial`."""

    def __new__(cls, *, key=None):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"key": self.__dict__.get("a")}


class Reduces(ByClass):
    """A `__reduce__` that gives callable and arguments."""

    def __init__(self, a=None, b=None):
        self.a, self.b = a, b

    def __reduce__(self):
        note("reduce", type(self).__name__)
        return type(self), (self.__dict__.get("a"), self.__dict__.get("b"))


class ReducesEx(ByClass):
    """A `__reduce_ex__` that looks at the protocol."""

    def __reduce_ex__(self, protocol):
        note("reduce_ex", type(self).__name__, protocol)
        return make_plain, (protocol, self.__dict__.get("a"))


class FullReduction(ByClass):
    """A reduction of six parts."""

    def __init__(self):
        self.items, self.pairs = [], {}

    def append(self, item):
        """What the unpickler calls for list items."""
        self.items.append(item)

    def extend(self, items):
        """The same, many at once."""
        self.items.extend(items)

    def __setitem__(self, key, value):
        self.pairs[key] = value

    def __reduce__(self):
        note("reduce", "FullReduction")
        fields = {key: value for key, value in vars(self).items() if key not in ("items", "pairs")}
        items = list(fields.values())
        return (FullReduction, (), fields, iter(items), iter(fields.items()), set_state)


def set_state(obj, state):
    """A state setter."""
    vars(obj).update(state)


def make_plain(*args):
    """A constructor that is a function."""
    made = Plain()
    made.args = args
    return made


class Singleton(ByClass):
    """Reduced to the name of a global."""

    def __reduce__(self):
        note("reduce", "Singleton")
        return "SINGLETON"


SINGLETON = Singleton()


class SharedArguments(ByClass):
    """Gives the same arguments tuple, which it keeps, each time."""

    def __reduce__(self):
        return make_plain, self.__dict__.setdefault("kept_args", (self.__dict__.get("a"),))


class Recursive(ByClass):
    """An object whose arguments hold a list that holds the object."""

    def __reduce__(self):
        loop = self.__dict__.setdefault("loop", [self.__dict__.get("a")])
        if len(loop) == 1:
            loop.append(self)
        return make_plain, (loop,)


class RecursiveOnce(ByClass):
    """Presents itself again in its arguments, through a fresh tuple, once only."""

    def __reduce__(self):
        if self.__dict__.setdefault("presented", False):
            return make_plain, ()
        self.presented = True
        return make_plain, (Reentrant(self), self.__dict__.get("a"))


class Reentrant(ByClass):
    """Holds one object, and reduces to it in a list."""

    def __init__(self, held):
        self.held = held

    def __reduce__(self):
        return make_plain, ([self.held],)


class Peeks(ByClass):
    """Presents what another container holds: things that only that container was holding.

    Optimised memos leave out what nobody else can present; this object can.
    """

    def __reduce__(self):
        source = self.__dict__.get("a")
        note("peek", type(source).__name__)
        if isinstance(source, dict):
            found = [pair for pair in source.items() if pair[1] is not self]
        elif isinstance(source, (list, tuple, set, frozenset)):
            found = [item for item in source if item is not self]
        else:
            found = [source, getattr(source, "__dict__", None)]
        return make_plain, (found, self.__dict__.get("b"))


class Temporaries(ByClass):
    """Reduces to objects that live only as long as the reduce value does."""

    def __reduce__(self):
        return make_plain, ([1, [2]], {"k": (3, [4])}), {"state": [5, self.__dict__.get("a")]}


# Registered types: the reducers are functions in copyreg.dispatch_table.


class Registered(ByClass):
    """The usual: slots, and a reducer that reads them."""

    __slots__ = ("a", "b", "c")

    def __init__(self, a=None, b=None, c=None):
        self.a, self.b, self.c = a, b, c


def reduce_registered(obj):
    """Constructor and fields."""
    return Registered, (getattr(obj, "a", None), getattr(obj, "b", None), getattr(obj, "c", None))


class RegisteredDict(ByClass):
    """A registered class with a `__dict__`, and a state."""


def reduce_registered_dict(obj):
    """Arguments, state, and None for the rest."""
    note("registered", "RegisteredDict")
    return RegisteredDict, (), obj.__dict__, None, None


class RegisteredItems(list):
    """A registered list subclass that sends its items."""

    def __hash__(self):
        return 7


def reduce_registered_items(obj):
    """Items one by one, no state."""
    return RegisteredItems, (), None, iter(list(obj))


class RegisteredPairs(dict):
    """A registered dict subclass that sends its pairs."""


def reduce_registered_pairs(obj):
    """Pairs one by one."""
    return RegisteredPairs, (), None, None, iter(list(obj.items()))


class RegisteredName(ByClass):
    """Registered with a reducer that gives a name."""


REGISTERED_NAME = RegisteredName()


def reduce_registered_name(obj):
    """The name of a global, a new string each time."""
    return "_".join(("REGISTERED", "NAME"))


class RegisteredSetter(ByClass):
    """Registered with a state setter."""


def reduce_registered_setter(obj):
    """Six parts, of which three are None."""
    return RegisteredSetter, (), vars(obj), None, None, set_state


class RegisteredNew(ByClass):
    """A reducer that uses `copyreg.__newobj__`."""


def reduce_registered_new(obj):
    """As a default reduction looks at protocol 2 and later."""
    return copyreg.__newobj__, (type(obj),), vars(obj) or None


# Subclasses of builtin types.


class SubList(list):
    """A list with attributes."""


class SubDict(dict):
    """A dict with attributes."""


class SubSet(set):
    """A set with attributes."""


class SubFrozenset(frozenset):
    """A frozenset with attributes."""


class SubTuple(tuple):
    """A tuple with attributes."""


class SubStr(str):
    """A string with attributes."""


class SubInt(int):
    """An integer with attributes."""


class SubFloat(float):
    """A float with attributes."""


class SubBytes(bytes):
    """A bytes object with attributes."""


class SubByteArray(bytearray):
    """A bytearray with attributes."""


class SubComplex(complex):
    """A complex number with attributes."""


class SubOrderedDict(collections.OrderedDict):
    """An ordered dict with attributes."""


class Point(typing.NamedTuple):
    """A typed namedtuple."""

    x: object
    y: object


Pair = collections.namedtuple("Pair", "left right")


class Colour(enum.Enum):
    """Plain members, and one with a tuple."""

    RED = 1
    BLUE = (2, "b")


class Level(enum.IntEnum):
    """Members that are ints."""

    LOW = 1
    HIGH = 2


class Flags(enum.Flag):
    """Flags combine."""

    A = 1
    B = 2


@dataclasses.dataclass
class Data:
    """A dataclass with a `__dict__`."""

    a: object = None
    b: object = None

    __hash__ = ByClass.__hash__
    __eq__ = ByClass.__eq__


@dataclasses.dataclass(slots=True, eq=False)
class DataSlots(ByClass):
    """A dataclass with slots."""

    a: object = None
    b: object = None


@dataclasses.dataclass(frozen=True, eq=False)
class DataFrozen(ByClass):
    """A frozen dataclass."""

    a: object = None
    b: object = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DataFrozenSlots(ByClass):
    """Frozen, with slots: dataclasses adds `__getstate__` and `__setstate__`."""

    a: object = None
    b: object = None


class Failure(Exception):
    """An exception class of our own."""


class FailureWithInit(Exception):
    """One whose constructor takes other arguments than it stores."""

    def __init__(self, a, b=None):
        super().__init__(f"{a}")
        self.b = b


class Outer:
    """Nested classes, found by a dotted name."""

    class Inner(ByClass):
        """One level down."""

        class Innermost(ByClass):
            """Two levels down."""

        def method(self):
            """A method, pickled through getattr."""

    @staticmethod
    def function():
        """A nested function."""


def local_class():
    """A class that cannot be found by name."""

    class Local:
        """Unreachable."""

    return Local


class Meta(type):
    """A metaclass that changes nothing."""


class WithMeta(ByClass, metaclass=Meta):
    """A class of another metaclass."""


class RegisteredMeta(type):
    """A metaclass whose classes are reduced by a registered reducer."""


class Described(metaclass=RegisteredMeta):
    """A class that is pickled through the registry."""


def reduce_described(cls):
    """A class by its name, through a function."""
    note("registered class", cls.__name__)
    return find_class, (cls.__name__,)


def find_class(name):
    """The class of that name in this module."""
    return globals()[name]


# Identities: what a pickler's hooks treat specially.


class Persistent(ByClass):
    """Pickled by `persistent_id` where a pickler has one."""


class Overridden(ByClass):
    """Reduced by `reducer_override` where a pickler has one."""


class Tabled(ByClass):
    """Reduced by a private dispatch table where a pickler has one."""


copyreg.pickle(Registered, reduce_registered)
copyreg.pickle(RegisteredDict, reduce_registered_dict)
copyreg.pickle(RegisteredItems, reduce_registered_items)
copyreg.pickle(RegisteredPairs, reduce_registered_pairs)
copyreg.pickle(RegisteredName, reduce_registered_name)
copyreg.pickle(RegisteredSetter, reduce_registered_setter)
copyreg.pickle(RegisteredNew, reduce_registered_new)
copyreg.pickle(RegisteredMeta, reduce_described)
