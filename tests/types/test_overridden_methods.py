"""Subclasses of every base that the core knows, with one method overridden, beside the stdlib.

What the core knows of a base holds for a subclass only as far as the subclass leaves alone what
the base's functions call: `namedtuple.__getnewargs__` is `tuple(self)`, and so `__iter__`. Here
each name that a base has, and each that the protocols may ask for, is overridden in turn: by a
method that notes that it was called, one that raises, one that answers otherwise, a property, and
None. That is done before the class is first used, and again after its plan exists; then the
override is taken away. Bytes, objects, exceptions and the order of calls are those of the
standard library.
"""

import builtins
import collections
import contextlib
import copy as std_copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import os
import pathlib
import pickle as std_pickle
import re
import sys
import types
import typing
import uuid
import weakref
import zoneinfo

import pytest

import fastcopyreg
from fastcopyreg import copy, pickle

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend is the standard library", allow_module_level=True)

# What is imported when it is first needed may use the very classes.
from fastcopyreg import _core, compiler  # noqa: F401
from fastcopyreg._compiler import values as _values  # noqa: F401
from support.child import in_child, requires_fork
from support.implementations import PROTOCOLS

HERE = "overridden_here"
LOG = []

# Sides of the comparison.
STANDARD = (std_pickle.dumps, std_pickle.loads, std_copy.copy, std_copy.deepcopy)
OURS = (pickle.dumps, pickle.loads, copy.copy, copy.deepcopy)


# ---- bases -----------------------------------------------------------------------------------


def derived(*bases, **members):
    """A maker of subclasses of such bases."""

    def make():
        return type("Sub", bases, {"__module__": HERE, **members})

    return make


def named_tuple():
    return collections.namedtuple("Sub", "x y", module=HERE)


def named_tuple_child(**members):
    def make():
        base = collections.namedtuple("Base", "x y", module=HERE)
        return type("Sub", (base,), {"__module__": HERE, **members})

    return make


class TypedPair(typing.NamedTuple):
    x: int
    y: list


def data_class(**options):
    def make():
        cls = dataclasses.make_dataclass("Sub", ["x", "y"], **options)
        cls.__module__ = HERE
        return cls

    return make


def data_class_child(**options):
    def make():
        base = dataclasses.make_dataclass("Base", ["x", "y"], **options)
        base.__module__ = HERE
        return type("Sub", (base,), {"__module__": HERE})

    return make


def enumeration(base, *mixins):
    def make():
        names = types.new_class("Sub", (*mixins, base), {}, fill_enumeration)
        names.__module__ = HERE
        return names

    return make


def fill_enumeration(namespace):
    namespace["__module__"] = HERE
    namespace["A"] = 1 if "str" not in repr(type(namespace)) else "a"
    namespace["B"] = 2
    namespace["C"] = 4


def text_enumeration():
    def fill(namespace):
        namespace["__module__"] = HERE
        namespace.update({})
        namespace["A"] = "a"
        namespace["B"] = "b"

    return types.new_class("Sub", (enum.StrEnum,), {}, fill)


def slotted():
    def init(self, x, y):
        self.x, self.y = x, y

    members = {"__module__": HERE, "__slots__": ("x", "y"), "__init__": init}
    return type("Sub", (), members)


def plain():
    def init(self, x, y):
        self.x, self.y = x, y

    return type("Sub", (), {"__module__": HERE, "__init__": init})


def with_state():
    def getstate(self):
        return {"x": self.x, "y": self.y}

    def setstate(self, state):
        self.__dict__.update(state)

    return type(
        "Sub", (plain(),), {"__module__": HERE, "__getstate__": getstate, "__setstate__": setstate}
    )


def with_new_args():
    def getnewargs(self):
        return (self.x, self.y)

    def new(cls, *args):
        return object.__new__(cls)

    return type(
        "Sub", (plain(),), {"__module__": HERE, "__getnewargs__": getnewargs, "__new__": new}
    )


def exception(base, *args):
    return derived(base), lambda cls: cls(*args)


def one(*args, **keywords):
    return lambda cls: cls(*args, **keywords)


def with_attribute(cls):
    made = cls("first", 2)
    made.note = ["a note"]
    return made


def filled(cls):
    made = cls()
    made.update({"a": 1, "b": [2]})
    return made


def unicode_error(cls):
    return cls("ascii", b"ab", 0, 1, "reason")


def member(name):
    return lambda cls: cls.__members__[name]


BASES = {
    "namedtuple": (named_tuple, one(1, [2])),
    "namedtuple's child": (named_tuple_child(), one(1, [2])),
    "namedtuple's child with slots": (named_tuple_child(__slots__=()), one(1, [2])),
    "NamedTuple": (derived(TypedPair), one(1, [2])),
    "dataclass": (data_class(), one(1, [2])),
    "dataclass's child": (data_class_child(), one(1, [2])),
    "dataclass with slots": (data_class(slots=True), one(1, [2])),
    "frozen dataclass": (data_class(frozen=True), one(1, [2])),
    "frozen dataclass with slots": (data_class(slots=True, frozen=True), one(1, [2])),
    "its child": (data_class_child(slots=True, frozen=True), one(1, [2])),
    "ordered dataclass": (data_class(order=True, unsafe_hash=True), one(1, [2])),
    "Enum": (enumeration(enum.Enum), member("B")),
    "IntEnum": (enumeration(enum.IntEnum), member("B")),
    "Flag": (enumeration(enum.Flag), lambda cls: cls.A | cls.C),
    "IntFlag": (enumeration(enum.IntFlag), lambda cls: cls.A | cls.C),
    "StrEnum": (text_enumeration, member("B")),
    "OrderedDict": (derived(collections.OrderedDict), one([("a", 1), ("b", [2])])),
    "Counter": (derived(collections.Counter), one({"a": 1, "b": 2})),
    "defaultdict": (derived(collections.defaultdict), one(list, {"a": [1]})),
    "deque": (derived(collections.deque), one([1, [2]])),
    "bounded deque": (derived(collections.deque), one([1, [2]], 5)),
    "UserDict": (derived(collections.UserDict), one({"a": [1]})),
    "UserList": (derived(collections.UserList), one([1, [2]])),
    "UserString": (derived(collections.UserString), one("text")),
    "ChainMap": (derived(collections.ChainMap), one({"a": 1}, {"b": [2]})),
    "SimpleNamespace": (derived(types.SimpleNamespace), one(a=1, b=[2])),
    "Decimal": (derived(decimal.Decimal), one("1.50")),
    "Fraction": (derived(fractions.Fraction), one(6, 4)),
    "date": (derived(datetime.date), one(2020, 2, 3)),
    "datetime": (
        derived(datetime.datetime),
        one(2020, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
    ),
    "time": (derived(datetime.time), one(4, 5, 6, fold=1)),
    "timedelta": (derived(datetime.timedelta), one(3, 4, 5)),
    "tzinfo": (derived(datetime.tzinfo), one()),
    "ZoneInfo": (derived(zoneinfo.ZoneInfo), lambda cls: cls.no_cache("UTC")),
    "PurePosixPath": (derived(pathlib.PurePosixPath), one("a", "b")),
    "PureWindowsPath": (derived(pathlib.PureWindowsPath), one("a", "b")),
    "PosixPath": (derived(pathlib.PosixPath), one("a", "b")),
    "IPv4Address": (derived(ipaddress.IPv4Address), one("10.0.0.1")),
    "IPv6Address": (derived(ipaddress.IPv6Address), one("::1:2")),
    "IPv4Network": (derived(ipaddress.IPv4Network), one("10.0.0.0/24")),
    "IPv6Network": (derived(ipaddress.IPv6Network), one("2001::/64")),
    "IPv4Interface": (derived(ipaddress.IPv4Interface), one("10.0.0.1/24")),
    "IPv6Interface": (derived(ipaddress.IPv6Interface), one("2001::1/64")),
    "UUID": (derived(uuid.UUID), one(int=5)),
    "partial": (derived(functools.partial), one(int, "12", base=3)),
    "complex": (derived(complex), one(1, 2)),
    "list": (derived(list), one([1, [2]])),
    "dict": (derived(dict), one({"a": 1, "b": [2]})),
    "set": (derived(set), one({"a"})),
    "frozenset": (derived(frozenset), one({"a"})),
    "tuple": (derived(tuple), one((1, [2]))),
    "str": (derived(str), one("text")),
    "bytes": (derived(bytes), one(b"bytes")),
    "bytearray": (derived(bytearray), one(b"bytes")),
    "int": (derived(int), one(12)),
    "float": (derived(float), one(1.5)),
    "list without a dict": (derived(list, __slots__=()), one([1, [2]])),
    "dict without a dict": (derived(dict, __slots__=()), one({"a": [2]})),
    "tuple without a dict": (derived(tuple, __slots__=()), one((1, [2]))),
    "int without a dict": (derived(int, __slots__=()), one(12)),
    "set without a dict": (derived(set, __slots__=()), one({"a"})),
    "GenericAlias": (derived(types.GenericAlias), one(list, (int,))),
    "ModuleType": (derived(types.ModuleType), one("a_module")),
    "plain": (plain, one(1, [2])),
    "slots": (slotted, one(1, [2])),
    "states": (with_state, one(1, [2])),
    "new arguments": (with_new_args, one(1, [2])),
    "Exception": (derived(Exception), with_attribute),
    "bare Exception": (derived(Exception), one(1, [2])),
    "KeyError": exception(KeyError, "key"),
    "OSError": exception(OSError, 2, "message", "file"),
    "ImportError": (derived(ImportError), one("message", name="name", path="path")),
    "AttributeError": (derived(AttributeError), one("message", name="name")),
    "NameError": (derived(NameError), one("message", name="name")),
    "SyntaxError": exception(SyntaxError, "message", ("file", 1, 2, "text")),
    "StopIteration": exception(StopIteration, 5),
    "SystemExit": exception(SystemExit, 5),
    "UnicodeDecodeError": (derived(UnicodeDecodeError), unicode_error),
    "ExceptionGroup": exception(ExceptionGroup, "group", [ValueError(1)]),
    "BaseException": exception(BaseException, 1, 2),
}

MAIN = tuple(BASES)

# Every other builtin exception that is made as its base is.
for _name, _found in vars(builtins).items():
    _is_exception = isinstance(_found, type) and issubclass(_found, Exception)
    if _is_exception and _found.__init__ in (Exception.__init__, BaseException.__init__):
        BASES.setdefault(_name, exception(_found, "message", 2))


# ---- what is overridden ----------------------------------------------------------------------

ASKED = """
    __iter__ __len__ __length_hint__ __getitem__ __setitem__ __delitem__ __contains__ __eq__
    __hash__ __bool__ __getattribute__ __getattr__ __setattr__ __delattr__ __class_getitem__
    __new__ __init__ __init_subclass__ __copy__ __deepcopy__ __reduce__ __reduce_ex__ __getstate__
    __setstate__ __getnewargs__ __getnewargs_ex__ __replace__ items keys values append extend
    update add copy __class__ __index__ __int__ __float__ __complex__ __str__ __bytes__ __repr__
    __missing__ __slotnames__ __reversed__ __next__ __call__ __instancecheck__
    __subclasscheck__ __get__ __set__ __delete__ __dict__ __module__ __fspath__
    __abstractmethods__ __dataclass_fields__ _fields args maxlen default_factory name value _value_
    _name_ data
"""
PROTOCOL_NAMES = ASKED.split()

NOT_HERE = {
    # The class could not be made, or the test could not be done.
    "__del__",
    "__mro_entries__",
    "__classcell__",
    "__annotate__",
    "__annotations__",
    "__annotate_func__",
    "__annotations_cache__",
    "__static_attributes__",
    "__firstlineno__",
    "__type_params__",
}


def names_of(cls):
    """What to override in a class, one at a time."""
    return [name for name in dict.fromkeys([*PROTOCOL_NAMES, *dir(cls)]) if name not in NOT_HERE]


def overridden(cls, name):
    """What the class has under a name without an override: what is called, or MISSING."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return MISSING


MISSING = object()


class Raised(Exception):
    """What an override raises."""


def called_through(cls, name, before):
    """A method that notes the call and does what would have been done."""
    is_static = name == "__new__" or isinstance(before, staticmethod)
    is_class = name in ("__init_subclass__", "__class_getitem__") or type(before) in (
        classmethod,
        types.ClassMethodDescriptorType,
    )

    def method(self, *args, **keywords):
        LOG.append((name, *(arg for arg in args if type(arg) is str)))
        if before is MISSING:
            if name == "__getattr__":
                raise AttributeError(args[0])
            return NotImplemented
        owner = self if isinstance(self, type) else type(self)
        found = before
        if name == "__new__" and type(before) is not staticmethod:
            return before(self, *args, **keywords)
        if hasattr(type(found), "__get__"):
            found = type(found).__get__(found, None if is_class else self, owner)
            if is_static:
                return found(self, *args, **keywords)
            return found(*args, **keywords)
        return found

    return staticmethod(method) if is_static else classmethod(method) if is_class else method


def raising(cls, name, before):
    def method(*args, **keywords):
        LOG.append(name)
        raise Raised(name)

    return method


def raising_attribute_error(cls, name, before):
    def method(*args, **keywords):
        LOG.append(name)
        raise AttributeError(name)

    return method


OTHERWISE = {
    "__iter__": lambda self: iter([("k", 7), ("l", 8), ("m", 9)]),
    "__reversed__": lambda self: iter([("k", 7)]),
    "__len__": lambda self: 7,
    "__length_hint__": lambda self: 7,
    "__getitem__": lambda self, key: "another item",
    "__contains__": lambda self, key: True,
    "__eq__": lambda self, other: True,
    "__hash__": lambda self: 5,
    "__bool__": lambda self: False,
    "__getattribute__": lambda self, name: LOG.append(name) or object.__getattribute__(self, name),
    "__getattr__": lambda self, name: "another attribute",
    "__setattr__": lambda self, name, value: LOG.append(name),
    "__delattr__": lambda self, name: LOG.append(name),
    "__new__": lambda cls, *args, **keywords: "made otherwise",
    "__init__": lambda self, *args, **keywords: LOG.append("otherwise"),
    "__copy__": lambda self: "a copy",
    "__deepcopy__": lambda self, memo: "a deep copy",
    "__reduce__": lambda self: (str, ("reduced",)),
    "__reduce_ex__": lambda self, protocol: (str, (f"reduced by {protocol}",)),
    "__getstate__": lambda self: {"another": "state"},
    "__setstate__": lambda self, state: LOG.append(repr(type(state))),
    "__getnewargs__": lambda self: ("another",),
    "__getnewargs_ex__": lambda self: (("another",), {}),
    "items": lambda self: [("another", "item")],
    "keys": lambda self: ["another"],
    "values": lambda self: ["another"],
    "append": lambda self, item: LOG.append(repr(item)),
    "extend": lambda self, items: LOG.append(repr(list(items))),
    "update": lambda self, *args, **keywords: LOG.append(repr(args)),
    "add": lambda self, item: LOG.append(repr(item)),
    "copy": lambda self: "a copy",
    "__setitem__": lambda self, key, value: LOG.append(repr(key)),
    "__index__": lambda self: 7,
    "__int__": lambda self: 7,
    "__float__": lambda self: 7.5,
    "__complex__": lambda self: 7.5j,
    "__str__": lambda self: "another text",
    "__repr__": lambda self: "another text",
    "__bytes__": lambda self: b"other bytes",
    "__missing__": lambda self, key: "missing",
    "__fspath__": lambda self: "another/path",
    "__class__": property(lambda self: str),
    "__dict__": property(lambda self: {"another": "dict"}),
    "__module__": "elsewhere",
    "__slotnames__": ["x"],
    "__abstractmethods__": frozenset({"x"}),
    "args": ("other", "arguments"),
}


def otherwise(cls, name, before):
    return OTHERWISE.get(name, MISSING)


def as_property(cls, name, before):
    def get(self):
        LOG.append(name)
        if before is MISSING:
            raise AttributeError(name)
        if hasattr(type(before), "__get__"):
            return type(before).__get__(before, self, type(self))
        return before

    return property(get)


def as_none(cls, name, before):
    return None


class Slot:
    """A descriptor with nothing but __get__."""

    def __init__(self, name):
        self.name = name

    def __get__(self, instance, owner=None):
        LOG.append(self.name)
        raise AttributeError(self.name)


def as_descriptor(cls, name, before):
    return Slot(name)


KINDS = {
    "called through": called_through,
    "raising": raising,
    "absent": raising_attribute_error,
    "otherwise": otherwise,
    "property": as_property,
    "None": as_none,
    "descriptor": as_descriptor,
}


# ---- what happens ----------------------------------------------------------------------------


def plain_parts(item):
    """What a built-in base holds, past whatever its class overrides."""
    for base, parts in (
        (dict, lambda: [(describe(k), describe(v)) for k, v in dict.items(item)]),
        (list, lambda: [describe(each) for each in list.__iter__(item)]),
        (tuple, lambda: [describe(each) for each in tuple.__iter__(item)]),
        (set, lambda: sorted(map(repr, set.__iter__(item)))),
        (frozenset, lambda: sorted(map(repr, frozenset.__iter__(item)))),
        (
            collections.deque,
            lambda: [
                [describe(each) for each in collections.deque.__iter__(item)],
                collections.deque.maxlen.__get__(item),
            ],
        ),
        (str, lambda: str.__str__(item)),
        (bytes, lambda: bytes.__repr__(item)),
        (bytearray, lambda: bytearray.__repr__(item)),
        (int, lambda: int.__repr__(item)),
        (float, lambda: float.__repr__(item)),
        (complex, lambda: complex.__repr__(item)),
        (decimal.Decimal, lambda: decimal.Decimal.__str__(item)),
        (datetime.datetime, lambda: datetime.datetime.isoformat(item)),
        (datetime.date, lambda: datetime.date.isoformat(item)),
        (datetime.time, lambda: datetime.time.isoformat(item)),
        (datetime.timedelta, lambda: datetime.timedelta.__str__(item)),
        (BaseException, lambda: describe(BaseException.args.__get__(item))),
        (
            functools.partial,
            lambda: describe(
                (functools.partial.args.__get__(item), functools.partial.keywords.__get__(item))
            ),
        ),
    ):
        if type.__instancecheck__(base, item) and issubclass(type(item), base):
            return parts()
    return None


def shown(item):
    try:
        return re.sub("0x[0-9a-f]+", "0x", repr(item))
    except Exception as error:
        return type(error).__name__


def describe(item):
    """An object as plain data, without asking its class for anything."""
    cls = type(item)
    if cls in (list, tuple):
        return [describe(each) for each in item]
    if cls not in MADE:
        return cls.__name__, shown(item)
    try:
        parts = plain_parts(item)
    except Exception as error:
        parts = type(error).__name__
    try:
        fields = list(object.__getattribute__(item, "__dict__").items())
    except Exception:
        fields = None
    slots = []
    for base in cls.__mro__:
        for name, found in vars(base).items():
            if type(found) is types.MemberDescriptorType and base.__module__ != "builtins":
                try:
                    slots.append((name, shown(found.__get__(item))))
                except AttributeError:
                    slots.append((name, None))
    return "Sub", parts, shown(fields), slots


def outcome(function, *args):
    LOG.clear()
    try:
        result = function(*args)
    except RecursionError:
        return "too deep"
    except Exception as error:
        chain = type(error).__name__, re.sub("0x[0-9a-f]+", "0x", str(error))
        return (*chain, getattr(error, "__notes__", None)), list(LOG)
    log = list(LOG)
    return result if type(result) is bytes else describe(result), log


def protocols_of(base, kind):
    """One of each two that write a class in the same opcodes; bases and kinds meet both."""
    if DEEP:
        return PROTOCOLS
    turn = (list(BASES).index(base) + list(KINDS).index(kind)) % 2
    return PROTOCOLS[turn::2]


def happens(side, objects, pickles, protocols=PROTOCOLS):
    """Everything that the four operations do with objects, and with pickles of their like."""
    dumps, loads, shallow, deep = side
    for protocol in protocols:
        yield f"dumps {protocol}", outcome(dumps, objects, protocol)
    for data in pickles:
        yield "loads", outcome(loads, data)
    yield "copy", outcome(shallow, objects[0])
    yield "deepcopy", outcome(deep, objects)
    yield "copy again", outcome(shallow, objects[1])


# The classes of the worlds, of which nothing is to be asked.
MADE = weakref.WeakSet()


class World:
    """A class of one side's own, in a module where pickles find it."""

    def __init__(self, base, override=None):
        make, self.make_object = BASES[base]
        self.module = types.ModuleType(HERE)
        self.use()
        self.cls = make()
        MADE.add(self.cls)
        self.module.Sub = self.cls
        self.objects = [self.make_object(self.cls) for _ in range(3)]
        self.pickles = []
        for protocol in (0, 2, 4):
            with contextlib.suppress(Exception):
                self.pickles.append(std_pickle.dumps(self.objects, protocol))

    def use(self):
        sys.modules[HERE] = self.module


def set_override(world, name, kind):
    """Overrides a name; whether that can be done."""
    value = KINDS[kind](world.cls, name, overridden(world.cls, name))
    if value is MISSING:
        return False
    try:
        type.__setattr__(world.cls, name, value)
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def restore(world, name, before):
    if before is MISSING:
        type.__delattr__(world.cls, name)
    else:
        type.__setattr__(world.cls, name, before)


def story(side, base, name, kind):
    """What happens with an override from the start, after the plan exists, and when it is gone."""
    protocols = protocols_of(base, kind)
    fresh = World(base)
    before = vars(fresh.cls).get(name, MISSING)
    if not set_override(fresh, name, kind):
        return
    for number in range(2):
        for what, result in happens(side, fresh.objects, fresh.pickles, protocols):
            yield f"from the start, {what}, time {number}", result
    world = World(base)
    before = vars(world.cls).get(name, MISSING)
    for _ in range(2):
        for _ in happens(side, world.objects, world.pickles, protocols):
            pass
    for what, result in happens(side, world.objects, world.pickles, protocols):
        yield f"without, {what}", result
    if not set_override(world, name, kind):
        return
    for number in range(2):
        for what, result in happens(side, world.objects, world.pickles, protocols):
            yield f"later, {what}, time {number}", result
    try:
        restore(world, name, before)
    except (AttributeError, TypeError):
        return
    for what, result in happens(side, world.objects, world.pickles, protocols):
        yield f"taken away, {what}", result


@pytest.fixture(autouse=True)
def read_at_once():
    before = _core.plan_threshold(2)
    yield
    _core.plan_threshold(before)
    sys.modules.pop(HERE, None)
    LOG.clear()


# One of so many names is tried with a base and a kind, each time others; all of them if the tests
# are to look deep.
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
SHARE, SHARE_OF_OTHERS = 3, 12


def tried(base, kind):
    names = names_of(World(base).cls)
    asked = [name for name in names if name in PROTOCOL_NAMES]
    others = [name for name in names if name not in PROTOCOL_NAMES]
    if DEEP:
        return names
    first = list(BASES).index(base) + list(KINDS).index(kind)
    return asked[first % SHARE :: SHARE] + others[first % SHARE_OF_OTHERS :: SHARE_OF_OTHERS]


def differences(base, kind, names):
    for name in names:
        ours, theirs = list(story(OURS, base, name, kind)), list(story(STANDARD, base, name, kind))
        for (what, our), (_, their) in zip(ours, theirs, strict=True):
            if our != their:
                yield f"{name}, {what}:\n  ours   {our!s:.600}\n  stdlib {their!s:.600}"
                break


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", MAIN)
def test_a_method_overridden(base, kind):
    found = list(differences(base, kind, tried(base, kind)))
    assert not found, f"{len(found)} differ\n" + "\n".join(found[:20])


ASKED_OF_EXCEPTIONS = """
    __reduce__ __reduce_ex__ __getstate__ __setstate__ __new__ __init__ args __dict__ __setattr__
    __getattribute__ __copy__ __deepcopy__ __getattr__
"""
EXCEPTION_NAMES = ASKED_OF_EXCEPTIONS.split()


@pytest.mark.parametrize("base", [base for base in BASES if base not in MAIN])
def test_exceptions_alike(base):
    number = list(BASES).index(base)
    for offset, kind in enumerate(KINDS):
        share = 1 if DEEP else 6
        names = EXCEPTION_NAMES[(number + offset) % share :: share]
        found = list(differences(base, kind, names))
        assert not found, f"{len(found)} differ\n" + "\n".join(found[:20])


# ---- the standard library's own classes ------------------------------------------------------

# What the functions that are left out ask, by name or by an operation of the interpreter.
OF_THE_CLASS = {
    "Counter": (
        collections,
        one({"a": 1, "b": 2}),
        "__iter__ keys items __len__ __bool__ __getitem__ __setitem__ __contains__ __reduce__ "
        "__init__ update __eq__ __missing__ __class__ __reduce_ex__ __setstate__ __getstate__",
    ),
    "UUID": (
        uuid,
        one(int=5),
        "__getstate__ __setstate__ __eq__ __hash__ __setattr__ __init__ __int__ __str__ "
        "__reduce__ __reduce_ex__ __new__ __getattribute__ __getattr__ __slotnames__",
    ),
    "SafeUUID": (uuid, lambda cls: uuid.UUID(int=5), "__eq__ __ne__ __hash__ __bool__ _value_"),
    "IPv4Address": (
        ipaddress,
        one(5),
        "__reduce__ __int__ __str__ _check_int_address _ALL_ONES __init__ __setattr__ __eq__ "
        "_version __new__",
    ),
    "IPv6Address": (
        ipaddress,
        one("1:2::3"),
        "__reduce__ __str__ _string_from_ip_int _compress_hextets _ALL_ONES _HEXTET_COUNT "
        "_ip_int_from_string _split_scope_id _parse_hextet _HEX_DIGITS __init__ __setattr__ "
        "ipv4_mapped _max_prefixlen _explode_shorthand_ip_string __int__",
    ),
    "Fraction": (
        fractions,
        one(6, 4),
        "__reduce__ __new__ __init__ __eq__ __bool__ numerator denominator __floordiv__ __neg__",
    ),
    "PurePosixPath": (
        pathlib,
        one("a", "b"),
        "__reduce__ __new__ __init__ __fspath__ parts __str__ __eq__ with_segments _raw_paths "
        "__setattr__ drive",
    ),
}


def story_of_standard(side, name, overridden_name, kind):
    """What happens with an override of the class itself, from the start and later."""
    module, make, _ = OF_THE_CLASS[name]
    cls = getattr(module, name)
    _core.plan_threshold(2)
    objects = [make(cls) for _ in range(3)]
    pickles = [std_pickle.dumps(objects, protocol) for protocol in (2, 4)]
    before = vars(cls).get(overridden_name, MISSING)
    value = KINDS[kind](cls, overridden_name, overridden(cls, overridden_name))
    found = []

    def note():
        for _ in range(2):
            for what, result in happens(side, objects, pickles):
                if result != "too deep":  # That is so deep in one of them.
                    found.append((what, *map(repr, result)))

    try:
        if value is not MISSING:
            type.__setattr__(cls, overridden_name, value)
    except (AttributeError, TypeError):
        return []
    note()
    try:
        if before is MISSING:
            type.__delattr__(cls, overridden_name)
        else:
            type.__setattr__(cls, overridden_name, before)
    except (AttributeError, TypeError):
        return found
    note()
    return found


@requires_fork
@pytest.mark.parametrize("kind", ("called through", "raising", "otherwise"))
@pytest.mark.parametrize("name", OF_THE_CLASS)
def test_an_override_of_the_class_itself(name, kind):
    for each in OF_THE_CLASS[name][2].split():
        theirs, ours = (
            in_child(story_of_standard, side, name, each, kind) for side in (STANDARD, OURS)
        )
        assert ours == theirs, each


@requires_fork
def test_a_default_of_a_known_constructor():
    """Up to 3.11 Fraction has a parameter by which it is not brought to lowest terms."""

    def story(loads, defaults):
        data = std_pickle.dumps([Unreduced() for _ in range(4)], 4)
        _core.plan_threshold(2)
        for _ in range(3):
            loads(data)
        fractions.Fraction.__new__.__kwdefaults__ = defaults
        return [repr(outcome(loads, data)) for _ in range(2)]

    for defaults in (None, {}, {"_normalize": False}, {"another": True}):
        assert in_child(story, pickle.loads, defaults) == in_child(
            story, std_pickle.loads, defaults
        )


class Unreduced:
    def __reduce__(self):
        return fractions.Fraction, (6, 4)
