"""Whatever a plan has read or assumed, changed between two calls and inside one.

A *world* is a module with a class, `Sub`, and what takes its objects apart and makes them: each
world is another way of doing that which the core knows. A *change* is one thing that any program
may do to it. Each world meets each change, after the plans exist: between two calls, or from a
function that is called in the middle of one. From then on bytes, objects, exceptions and calls
are those of the standard library, on a twin of that world.
"""

import contextlib
import copy as std_copy
import copyreg
import dataclasses
import functools
import os
import pickle as std_pickle
import re
import sys
import types

import pytest

import fastcopyreg
from fastcopyreg import copy, pickle

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend calls every function", allow_module_level=True)


HERE = "swept_guards"

# Sides of the comparison.
STANDARD = (std_pickle.dumps, std_pickle.loads, std_copy.copy, std_copy.deepcopy)
OURS = (pickle.dumps, pickle.loads, copy.copy, copy.deepcopy)

COMMON = """
import collections, copyreg, dataclasses, enum, functools

LOG, AT_TRIGGER = [], []
DEFAULT = ["default"]

class Latent:
    "An attribute of a class that is no descriptor yet."

class LaterData:
    def __get__(self, instance, owner=None):
        LOG.append("get")
        return "described"
    def __set__(self, instance, value):
        LOG.append("set")

class Other:
    def __init__(self, *args):
        self.args = args
    def foreign(self):
        LOG.append("foreign")

class Meta(type):
    pass

class Meta2(type):
    pass

class Base:
    pass

def trigger(*args):
    LOG.append("trigger")
    while AT_TRIGGER:
        AT_TRIGGER.pop()()
    return "triggered"

class Trigger:
    def __reduce__(self):
        trigger()
        return trigger, ()
    def __deepcopy__(self, memo):
        trigger()
        return self

class Stateful:
    def __reduce__(self):
        return Stateful, (), 5
    def __getstate__(self):
        return 5
    def __setstate__(self, state):
        trigger()
"""

INIT = """
    def __init__(self, x, y=DEFAULT, unused=None):
        self.x = x
        self.y = y
"""

REDUCE = """
def reduce(o):
    return Sub, (o.x, o.y)
"""

# By name: the source, and whether reduce() is put into the table.
WORLDS = {
    "plain": "class Sub(Base):" + INIT,
    "slots": "class Sub:\n    __slots__ = ('x', 'y')" + INIT,
    "slots and dict": "class Sub(Base):\n    __slots__ = ('x',)" + INIT,
    "metaclass": "class Sub(Base, metaclass=Meta):" + INIT,
    "reducer": "class Sub(Base):" + INIT + REDUCE,
    "reducer and slots": "class Sub:\n    __slots__ = ('x', 'y')" + INIT + REDUCE,
    "reducer and metaclass": "class Sub(Base, metaclass=Meta):" + INIT + REDUCE,
    "latent": """
class Sub(Base):
    y = Latent()
"""
    + INIT,
    "latent and reducer": """
class Sub(Base):
    y = Latent()
"""
    + INIT
    + REDUCE,
    "latent and keywords": """
class Sub(Base):
    y = Latent()
    def __init__(self, x, y=DEFAULT, *, z=3):
        self.x = x
        self.y = y
        self.z = z
"""
    + REDUCE,
    "keywords": """
class Sub(Base):
    def __init__(self, x, y=DEFAULT, *, z=3, unread=4):
        self.x = x
        self.y = y
        self.z = z
def reduce(o):
    return Sub, (o.x, o.y)
""",
    "unused defaults": """
class Sub(Base):
    def __init__(self, x, y, unused=DEFAULT):
        self.x = x
        self.y = y
def reduce(o, unused=5, *, also=6):
    return Sub, (o.x, o.y)
""",
    "unused keyword default": """
class Sub(Base):
    def __init__(self, x, y, *, unused=DEFAULT):
        self.x = x
        self.y = y
def reduce(o, *, also=6):
    return Sub, (o.x, o.y)
""",
    "super": """
class Base:
    def __init__(self, x, unused=None):
        self.x = x
class Sub(Base):
    def __init__(self, x, y=DEFAULT):
        super().__init__(x)
        self.y = y
"""
    + REDUCE,
    "branches": """
class Sub(Base):
    def __init__(self, x=None, y=None, unused=2):
        self.x = [] if x is None else x
        self.y = y or {}
"""
    + REDUCE,
    "state": """
class Sub(Base):
    def __init__(self, x=1, y=5):
        self.x = x
        self.y = y
def reduce(o):
    return Sub, (), {"x": o.x, "y": o.y}
""",
    "default argument": """
class Sub(Base):"""
    + INIT
    + """
def reduce(o, made=Sub):
    return made, (o.x, o.y)
""",
    "closure": """
class Sub(Base):"""
    + INIT
    + """
def enclose(made):
    def reduce(o):
        return made, (o.x, o.y)
    return reduce
reduce = enclose(Sub)
""",
    "factory": """
class Sub(Base):"""
    + INIT
    + """
def factory(x, y=3, unused=4):
    return Sub(x, y)
def reduce(o):
    return factory, (o.x, o.y)
""",
    "type": """
class Sub(Base):"""
    + INIT
    + """
def reduce(o):
    return type(o), (o.x, getattr(o, "y"))
""",
    "method": """
class Sub(Base):"""
    + INIT
    + """
    def __reduce__(self, unused=None):
        return Sub, (self.x, self.y)
""",
    "method with protocol": """
class Sub(Base):"""
    + INIT
    + """
    def __reduce_ex__(self, protocol, unused=None):
        return self.__class__, (self.x, self.y)
""",
    "states": """
class Sub(Base):"""
    + INIT
    + """
    def __getstate__(self):
        return {"x": self.x, "y": self.y}
    def __setstate__(self, state):
        self.__dict__.update(state)
""",
    "replaced states": """
class Sub(Base):"""
    + INIT
    + """
    def __setstate__(self, state):
        self.__dict__ = state
""",
    "states with a default": """
class Sub(Base):"""
    + INIT
    + """
    def __getstate__(self, unused=None):
        return self.__dict__
    def __setstate__(self, state, unused=None):
        self.__dict__.update(state)
""",
    "new arguments": """
class Sub(Base):
    def __new__(cls, *args):
        return object.__new__(cls)
"""
    + INIT
    + """
    def __getnewargs__(self):
        return (self.x, self.y)
""",
    "named tuple": """
class Sub(collections.namedtuple("Base", "x y")):
    pass
Base = Sub.__mro__[1]
""",
    "dataclass": """
@dataclasses.dataclass
class Sub(Base):
    x: object
    y: object = 5
"""
    + REDUCE,
    "frozen dataclass": """
@dataclasses.dataclass(frozen=True)
class Sub(Base):
    x: object
    y: object = 5
"""
    + REDUCE,
    "frozen dataclass with slots": """
@dataclasses.dataclass(frozen=True, slots=True)
class Sub:
    x: object
    y: object = 5
""",
    "list": "class Sub(list, Base):" + INIT,
    "dict": "class Sub(dict, Base):" + INIT,
    "set": "class Sub(set, Base):" + INIT,
    "tuple": """
class Sub(tuple, Base):
    def __new__(cls, x=1, y=2):
        return tuple.__new__(cls, (x, y))
""",
    "int": """
class Sub(int, Base):
    def __new__(cls, x=1, y=2):
        self = int.__new__(cls, 5)
        self.x, self.y = x, y
        return self
""",
    "exception": "class Sub(Exception, Base):" + INIT,
    "enumeration": """
class Sub(enum.Enum):
    a = 1
    b = "b"
    c = 3
""",
}


# ---- a world ---------------------------------------------------------------------------------


@functools.cache
def compiled(source):
    return compile(source, HERE, "exec")


class World:
    def __init__(self, name):
        self.name = name
        self.module = types.ModuleType(HERE)
        self.restores = []
        sys.modules[HERE] = self.module
        exec(compiled(COMMON), vars(self.module))
        exec(compiled(WORLDS[name]), vars(self.module))
        self.cls = self.module.Sub
        self.log = self.module.LOG
        self.at_trigger = self.module.AT_TRIGGER
        self.reducer = getattr(self.module, "reduce", None)
        if self.reducer is not None:
            copyreg.pickle(self.cls, self.reducer)
        self.restores.append(lambda cls=self.cls: copyreg.dispatch_table.pop(cls, None))
        self.late = []

    def make(self, x, y):
        if self.name == "enumeration":
            return list(self.cls)[x % 3] if isinstance(x, int) else self.cls.a
        return self.cls(x, y)

    def objects(self, count=3):
        return [self.make(i, [i]) for i in range(count)]

    def set(self, holder, name, value):
        """Sets an attribute of something that others use too."""
        before = vars(holder).get(name, self)

        def restore():
            if before is self:
                delattr(holder, name)
            else:
                setattr(holder, name, before)

        self.restores.append(restore)
        setattr(holder, name, value)

    def close(self):
        while self.restores:
            self.restores.pop()()
        sys.modules.pop(HERE, None)


@contextlib.contextmanager
def world_of(name):
    world = World(name)
    try:
        yield world
    finally:
        world.close()


pytestmark = pytest.mark.usefixtures("read_at_once")


# ---- changes ---------------------------------------------------------------------------------


class Inapplicable(Exception):
    """A change that this world has no place for."""


CHANGES = {}


def change(name):
    def remember(function):
        CHANGES[name] = function
        return function

    return remember


def function_named(world, path):
    """A function of the world: of the class, of its base, or of the module."""
    holder, name = path
    if holder == "reducer":
        found = world.reducer
    elif holder == "module":
        found = vars(world.module).get(name)
    else:
        found = vars(getattr(world.module, holder)).get(name)
    found = getattr(found, "__func__", found)
    if type(found) is not types.FunctionType:
        raise Inapplicable
    # It may be the standard library's, and others' too.
    for attribute in ("__code__", "__defaults__", "__kwdefaults__"):
        value = getattr(found, attribute)
        value = dict(value) if type(value) is dict else value
        world.restores.append(functools.partial(setattr, found, attribute, value))
    for cell in found.__closure__ or ():
        world.restores.append(
            functools.partial(setattr, cell, "cell_contents", cell.cell_contents)
        )
    return found


FUNCTIONS = [
    ("reducer", "reduce"),
    ("module", "factory"),
    *((holder, name) for holder in ("Sub", "Base") for name in (
        "__init__", "__new__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__",
        "__getnewargs__",
    )),
]  # fmt: skip


def other_code(function):
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    free = "".join(f"    {name}\n" for name in code.co_freevars)
    if code.co_freevars:
        source = (
            f"def outer({', '.join(code.co_freevars)}):\n  def f({', '.join(names)}):\n"
            f"    LOG.append('other code')\n{free}    return 'other', ()\n  return f\n"
            f"f = outer({', '.join('0' for _ in code.co_freevars)})\n"
        )
    else:
        source = f"def f({', '.join(names)}):\n    LOG.append('other code')\n    return str, ()\n"
    namespace = {}
    exec(source, namespace)
    function.__code__ = namespace["f"].__code__


def other_defaults(function):
    if not function.__defaults__:
        raise Inapplicable
    function.__defaults__ = tuple("another" for _ in function.__defaults__)


def no_defaults(function):
    if not function.__defaults__:
        raise Inapplicable
    function.__defaults__ = None


def fewer_defaults(function):
    if not function.__defaults__ or len(function.__defaults__) < 2:
        raise Inapplicable
    function.__defaults__ = function.__defaults__[1:]


def more_defaults(function):
    function.__defaults__ = (*(function.__defaults__ or ()), "more")


def no_keyword_defaults(function):
    if not function.__kwdefaults__:
        raise Inapplicable
    function.__kwdefaults__ = None


def other_keyword_defaults(function):
    if not function.__kwdefaults__:
        raise Inapplicable
    function.__kwdefaults__ = dict.fromkeys(function.__kwdefaults__, "another")


def one_keyword_default_gone(function):
    if not function.__kwdefaults__:
        raise Inapplicable
    function.__kwdefaults__.popitem()


def other_cells(function):
    if not function.__closure__:
        raise Inapplicable
    for cell in function.__closure__:
        cell.cell_contents = int


def empty_cells(function):
    if not function.__closure__:
        raise Inapplicable
    for cell in function.__closure__:
        del cell.cell_contents


for _path in FUNCTIONS:
    for _alter in (
        other_code,
        other_defaults,
        no_defaults,
        fewer_defaults,
        more_defaults,
        no_keyword_defaults,
        other_keyword_defaults,
        one_keyword_default_gone,
        other_cells,
        empty_cells,
    ):

        @change(f"{_alter.__name__} of {'.'.join(_path)}")
        def _(world, alter=_alter, path=_path):
            alter(function_named(world, path))


for _name in ("Sub", "DEFAULT", "factory", "trigger"):

    @change(f"global {_name} rebound")
    def _(world, name=_name):
        if name not in vars(world.module):
            raise Inapplicable
        setattr(world.module, name, world.module.Other)

    @change(f"global {_name} deleted")
    def _(world, name=_name):
        if name not in vars(world.module):
            raise Inapplicable
        delattr(world.module, name)


for _name in ("type", "getattr", "super", "object", "tuple", "dict", "list"):

    @change(f"builtin {_name} overshadowed")
    def _(world, name=_name):
        def shadow(*args):
            world.module.LOG.append(name)
            return world.module.Other

        setattr(world.module, name, shadow)


@change("globals with a key that is no string")
def _(world):
    vars(world.module)[5] = 5


# What the class, its base and its metaclass have


def noting(name):
    def method(self, *args, **keywords):
        sys.modules[HERE].LOG.append((name, *(arg for arg in args if type(arg) in (str, int))))
        return NotImplemented

    return method


def reducing(self, *args):
    sys.modules[HERE].LOG.append("reducing")
    return str, ("reduced",)


def own_getattribute(self, name):
    sys.modules[HERE].LOG.append(name)
    return object.__getattribute__(self, name)


def own_getattr(self, name):
    sys.modules[HERE].LOG.append(name)
    raise AttributeError(name)


def own_setattr(self, name, value):
    sys.modules[HERE].LOG.append(name)
    object.__setattr__(self, name, value)


def own_new(cls, *args, **keywords):
    sys.modules[HERE].LOG.append("new")
    return "made by __new__"


METHODS = {
    "__init__": noting("__init__"),
    "__new__": own_new,
    "__setattr__": own_setattr,
    "__delattr__": noting("__delattr__"),
    "__getattribute__": own_getattribute,
    "__getattr__": own_getattr,
    "__reduce__": reducing,
    "__reduce_ex__": reducing,
    "__getstate__": lambda self: sys.modules[HERE].LOG.append("getstate") or {"x": "a state"},
    "__setstate__": noting("__setstate__"),
    "__getnewargs__": lambda self: (1, 2),
    "__getnewargs_ex__": lambda self: ((1, 2), {}),
    "__copy__": lambda self: "a copy",
    "__deepcopy__": lambda self, memo: "a deep copy",
    "__hash__": lambda self: 5,
    "__eq__": lambda self, other: True,
    "__bool__": lambda self: False,
    "__len__": lambda self: 0,
    "__iter__": lambda self: iter([("k", "v")]),
    "__length_hint__": lambda self: 5,
    "items": lambda self: [("k", "v")],
    "append": noting("append"),
    "extend": noting("extend"),
    "update": noting("update"),
    "add": noting("add"),
    "__setitem__": noting("__setitem__"),
    "__class__": property(lambda self: str),
    "__dict__": property(lambda self: {"a": "dict"}),
    "__slotnames__": ["x"],
    "__module__": "elsewhere",
    "__doc__": "documentation",
    "__abstractmethods__": frozenset({"method"}),
}

for _holder in ("Sub", "Base"):
    for _name, _value in METHODS.items():

        @change(f"{_holder}.{_name}")
        def _(world, holder=_holder, name=_name, value=_value):
            cls = getattr(world.module, holder)
            if not issubclass(world.cls, cls):
                raise Inapplicable
            try:
                setattr(cls, name, value)
            except (AttributeError, TypeError):
                raise Inapplicable from None

    for _name in METHODS:

        @change(f"{_holder}.{_name} deleted")
        def _(world, holder=_holder, name=_name):
            cls = getattr(world.module, holder)
            if name not in vars(cls):
                raise Inapplicable
            try:
                delattr(cls, name)
            except (AttributeError, TypeError):
                raise Inapplicable from None

        @change(f"{_holder}.{_name} None")
        def _(world, holder=_holder, name=_name):
            cls = getattr(world.module, holder)
            if not issubclass(world.cls, cls):
                raise Inapplicable
            try:
                setattr(cls, name, None)
            except (AttributeError, TypeError):
                raise Inapplicable from None


class Data:
    def __get__(self, instance, owner=None):
        sys.modules[HERE].LOG.append("get")
        return "described"

    def __set__(self, instance, value):
        sys.modules[HERE].LOG.append("set")


class NonData:
    __get__ = Data.__get__


class Deleting:
    def __delete__(self, instance):
        sys.modules[HERE].LOG.append("delete")


ATTRIBUTES = {
    "property": lambda: property(lambda self: "from a property"),
    "settable property": lambda: property(lambda self: "got", lambda self, value: None),
    "data descriptor": Data,
    "descriptor": NonData,
    "descriptor with __delete__": Deleting,
    "value": lambda: "a value",
    "function": lambda: lambda self: None,
    "cached property": lambda: functools.cached_property(lambda self: "cached"),
}

for _name in ("x", "y"):
    for _kind, _make in ATTRIBUTES.items():

        @change(f"{_kind} under {_name}")
        def _(world, name=_name, make=_make):
            descriptor = make()
            if isinstance(descriptor, functools.cached_property):
                descriptor.__set_name__(world.cls, name)
            setattr(world.cls, name, descriptor)

        @change(f"{_kind} under {_name} of the base")
        def _(world, name=_name, make=_make):
            if world.module.Base not in world.cls.__mro__:
                raise Inapplicable
            setattr(world.module.Base, name, make())

    @change(f"{_name} deleted from the class")
    def _(world, name=_name):
        if name not in vars(world.cls):
            raise Inapplicable
        delattr(world.cls, name)


def latent(world):
    found = vars(world.cls).get("y")
    if type(found) is not world.module.Latent:
        raise Inapplicable
    return found


for _name in ("__set__", "__get__", "__delete__"):

    @change(f"an attribute's class gains {_name}")
    def _(world, name=_name):
        latent(world)
        setattr(world.module.Latent, name, vars(world.module.LaterData).get(name, noting(name)))


@change("an attribute's class gains __get__ and __set__ by its bases")
def _(world):
    latent(world)
    world.module.Latent.__get__ = vars(world.module.LaterData)["__get__"]
    world.module.Latent.__set__ = vars(world.module.LaterData)["__set__"]


@change("an attribute's __class__")
def _(world):
    latent(world).__class__ = world.module.LaterData


@change("qualified name")
def _(world):
    world.cls.__qualname__ = "Elsewhere"


@change("name")
def _(world):
    world.cls.__name__ = "Elsewhere"


@change("another of that qualified name")
def _(world):
    world.cls.__qualname__ = "Other"


@change("bases")
def _(world):
    base = world.module.Base
    if world.cls.__bases__[-1] is not base or base.__bases__ != (object,):
        raise Inapplicable
    another = type("Another", (), {"__reduce_ex__": reducing, "__module__": HERE})
    world.cls.__bases__ = (*world.cls.__bases__[:-1], another)


@change("bases of the base")
def _(world):
    base = world.module.Base
    if base not in world.cls.__mro__ or world.module.Other in world.cls.__mro__:
        raise Inapplicable
    other = type("Another", (world.module.Other,), {"__getstate__": lambda self: {"x": "other"}})
    try:
        base.__bases__ = (other,)
    except TypeError:
        raise Inapplicable from None


@change("metaclass")
def _(world):
    try:
        world.cls.__class__ = world.module.Meta2
    except TypeError:
        raise Inapplicable from None


META_METHODS = {
    "__call__": lambda cls, *args: sys.modules[HERE].LOG.append("call") or "made by __call__",
    "__hash__": lambda cls: sys.modules[HERE].LOG.append("hash") or type.__hash__(cls),
    "__eq__": lambda cls, other: sys.modules[HERE].LOG.append("eq") or cls is other,
    "__getattribute__": lambda cls, name: (
        sys.modules[HERE].LOG.append(name) or type.__getattribute__(cls, name)
    ),
    "__getattr__": lambda cls, name: own_getattr(cls, name),
    "__setattr__": lambda cls, name, value: (
        sys.modules[HERE].LOG.append(name) or type.__setattr__(cls, name, value)
    ),
    "__reduce_ex__": reducing,
    "__reduce__": reducing,
    "__copy__": lambda cls: "a copy",
    "__deepcopy__": lambda cls, memo: "a deep copy",
    "__qualname__": property(lambda cls: "Other"),
    "__name__": property(lambda cls: "Other"),
    "__module__": property(lambda cls: "elsewhere"),
    "__new__": lambda cls, *args: type.__new__(cls, *args),
    "__instancecheck__": lambda cls, instance: True,
    "__subclasscheck__": lambda cls, other: True,
    "__dict__": property(lambda cls: {}),
    "__mro__": property(lambda cls: (object,)),
    "__class__": property(lambda cls: int),
    "__setstate__": noting("__setstate__"),
    "__getstate__": reducing,
    "__slotnames__": ["x"],
}

for _name, _value in META_METHODS.items():

    @change(f"metaclass's {_name}")
    def _(world, name=_name, value=_value):
        if type(world.cls) is not world.module.Meta:
            raise Inapplicable
        try:
            setattr(world.module.Meta, name, value)
        except (AttributeError, TypeError):
            raise Inapplicable from None


# __slotnames__


def slot_names(world):
    found = vars(world.cls).get("__slotnames__")
    if type(found) is not list:
        raise Inapplicable
    return found


@change("slot names appended to")
def _(world):
    slot_names(world).append("x")


@change("slot names extended by an attribute that is not there")
def _(world):
    slot_names(world).append("absent")


@change("slot names cleared")
def _(world):
    slot_names(world).clear()


@change("slot names reversed")
def _(world):
    slot_names(world).reverse()


@change("slot names with something else")
def _(world):
    slot_names(world).append(5)


@change("slot names replaced")
def _(world):
    world.cls.__slotnames__ = ["y", "x"]


@change("slot names no list")
def _(world):
    world.cls.__slotnames__ = ("x",)


# copyreg, sys.modules and the copy module


@change("__newobj__ replaced")
def _(world):
    def __newobj__(cls, *args):
        return "made anew"

    __newobj__.__module__ = "copyreg"
    __newobj__.__qualname__ = "__newobj__"
    world.set(copyreg, "__newobj__", __newobj__)


@change("__newobj__ renamed")
def _(world):
    world.restores.append(
        functools.partial(setattr, copyreg.__newobj__, "__name__", copyreg.__newobj__.__name__)
    )
    copyreg.__newobj__.__name__ = "another"


@change("copyreg hidden")
def _(world):
    world.restores.append(functools.partial(sys.modules.__setitem__, "copyreg", copyreg))
    another = types.ModuleType("copyreg")
    vars(another).update(vars(copyreg))
    vars(another)["__newobj__"] = world.module.trigger
    sys.modules["copyreg"] = another


@change("a reducer in the table")
def _(world):
    copyreg.dispatch_table[world.cls] = reducing


@change("a reducer in the table by a function of copyreg")
def _(world):
    copyreg.pickle(world.cls, reducing)


@change("no reducer in the table")
def _(world):
    if copyreg.dispatch_table.pop(world.cls, None) is None:
        raise Inapplicable


@change("None in the table")
def _(world):
    copyreg.dispatch_table[world.cls] = None


@change("a reducer of the metaclass in the table")
def _(world):
    cls = type(world.cls)
    copyreg.dispatch_table[cls] = lambda o: (str, ("a class",))
    world.restores.append(functools.partial(copyreg.dispatch_table.pop, cls, None))


@change("a reducer of another type in the table")
def _(world):
    copyreg.dispatch_table[list] = lambda o: (str, ("a list",))
    world.restores.append(functools.partial(copyreg.dispatch_table.pop, list, None))


@change("an extension code")
def _(world):
    copyreg.add_extension(HERE, "Sub", 77)
    world.restores.append(functools.partial(copyreg.remove_extension, HERE, "Sub", 77))


@change("an extension code in the dict")
def _(world):
    copyreg._extension_registry[HERE, "Sub"] = 78
    copyreg._inverted_registry[78] = (HERE, "Sub")
    world.restores.append(functools.partial(copyreg._extension_registry.pop, (HERE, "Sub"), None))
    world.restores.append(functools.partial(copyreg._inverted_registry.pop, 78, None))


@change("module deleted")
def _(world):
    del sys.modules[HERE]


@change("module None")
def _(world):
    sys.modules[HERE] = None


@change("module replaced")
def _(world):
    another = types.ModuleType(HERE)
    vars(another).update(vars(world.module))
    another.Sub = type("Sub", (world.module.Other,), {"__module__": HERE})
    sys.modules[HERE] = another


@change("module replaced by an object")
def _(world):
    sys.modules[HERE] = types.SimpleNamespace(**vars(world.module))


@change("module's __class__")
def _(world):
    def getattribute(self, name):
        world.log.append(name)
        return types.ModuleType.__getattribute__(self, name)

    members = {"__getattribute__": getattribute}
    world.module.__class__ = type("Module", (types.ModuleType,), members)


@change("copy's dispatch")
def _(world):
    std_copy._deepcopy_dispatch[world.cls] = lambda x, memo: "dispatched"
    world.restores.append(functools.partial(std_copy._deepcopy_dispatch.pop, world.cls, None))


@change("copy's dispatch of dicts")
def _(world):
    before = std_copy._deepcopy_dispatch[dict]

    def dispatched(x, memo, deepcopy=None):
        sys.modules[HERE].LOG.append("dict")
        return before(x, memo)

    std_copy._deepcopy_dispatch[dict] = dispatched
    world.restores.append(functools.partial(std_copy._deepcopy_dispatch.__setitem__, dict, before))


@change("copy's table")
def _(world):
    world.set(std_copy, "dispatch_table", {world.cls: reducing})


# The instances


@change("an instance's class")
def _(world):
    another = type("Another", (world.cls,), {"__module__": HERE, "__slots__": ()})
    world.module.Another = another
    change_late(world, lambda o: setattr(o, "__class__", another))


def change_late(world, alter):
    """Changes what comes last in the list."""
    if not world.late:
        raise Inapplicable
    for item in world.late:
        try:
            alter(item)
        except (AttributeError, TypeError):
            raise Inapplicable from None


class OddDict(dict):
    pass


class OddText(str):
    pass


for _name, _value in {
    "__reduce_ex__": lambda *args: (str, ("reduced by the instance",)),
    "__reduce__": lambda *args: (str, ("reduced by the instance",)),
    "__getstate__": lambda: {"x": "of the instance"},
    "__setstate__": lambda state: None,
    "__deepcopy__": lambda memo: "a deep copy by the instance",
    "__copy__": lambda: "a copy by the instance",
    "__getnewargs__": lambda: (7, 8),
    "__getnewargs_ex__": lambda: ((7, 8), {}),
    "__class__": str,
    "__dict__": {"x": "another dict"},
    "__slotnames__": ["x"],
    "__dataclass_fields__": {},
    "items": lambda: [("k", "v")],
    "__len__": lambda: 5,
    "unknown": "an attribute more",
}.items():

    @change(f"an instance's {_name}")
    def _(world, name=_name, value=_value):
        change_late(world, lambda o: o.__dict__.__setitem__(name, value))


@change("another __dict__")
def _(world):
    change_late(world, lambda o: setattr(o, "__dict__", {"x": "another", "y": "dict"}))


@change("an odd __dict__")
def _(world):
    change_late(world, lambda o: setattr(o, "__dict__", OddDict(x="odd", y="dict")))


@change("odd keys")
def _(world):
    change_late(world, lambda o: o.__dict__.update({5: 5, OddText("odd"): 6}))


@change("an attribute unset")
def _(world):
    change_late(world, lambda o: object.__delattr__(o, "y"))


@change("another attribute")
def _(world):
    change_late(world, lambda o: object.__setattr__(o, "x", ["another"]))


@change("a __dict__ that is made")
def _(world):
    change_late(world, lambda o: o.__dict__)


# Dataclasses and enumerations


def data_fields(world):
    found = vars(world.cls).get("__dataclass_fields__")
    if found is None:
        raise Inapplicable
    return found


@change("fields replaced")
def _(world):
    world.cls.__dataclass_fields__ = dict(reversed(data_fields(world).items()))


@change("fields edited")
def _(world):
    fields = data_fields(world)
    fields["x"] = fields.pop("x")


@change("fields fewer")
def _(world):
    del data_fields(world)["y"]


@change("a field renamed")
def _(world):
    data_fields(world)["x"].name = "y"


@change("a field of another kind")
def _(world):
    data_fields(world)["x"]._field_type = dataclasses._FIELD_CLASSVAR


@change("fields no dict")
def _(world):
    data_fields(world)
    world.cls.__dataclass_fields__ = types.MappingProxyType(dict(data_fields(world)))


@change("a function of dataclasses")
def _(world):
    data_fields(world)
    world.set(dataclasses, "fields", lambda cls: ())


@change("members exchanged")
def _(world):
    if world.name != "enumeration":
        raise Inapplicable
    members = world.cls._member_map_
    members["a"], members["b"] = members["b"], members["a"]


@change("members by value exchanged")
def _(world):
    if world.name != "enumeration":
        raise Inapplicable
    members = world.cls._value2member_map_
    members[1], members["b"] = members["b"], members[1]


@change("a member's value")
def _(world):
    if world.name != "enumeration":
        raise Inapplicable
    world.cls.a._value_ = 3


@change("a member's name")
def _(world):
    if world.name != "enumeration":
        raise Inapplicable
    world.cls.a._name_ = "b"


# ---- what happens ----------------------------------------------------------------------------


def named(cls):
    return type.__dict__["__name__"].__get__(cls)


def shown(item):
    try:
        return re.sub("0x[0-9a-f]+", "0x", repr(item))
    except Exception as error:
        return type(error).__name__


def describe(item, depth=9):
    """An object as plain data, past whatever its class is by now."""
    cls = type(item)
    if depth == 0:
        return "deep"
    if cls in (list, tuple):
        return [describe(each, depth - 1) for each in item]
    if type in cls.__mro__:
        return named(cls), named(item)
    if type.__dict__["__dict__"].__get__(cls).get("__module__") in ("builtins", None):
        return named(cls), shown(item)
    parts = []
    for base, read in ((dict, dict.items), (list, list.__iter__), (tuple, tuple.__iter__),
                       (set, set.__iter__)):  # fmt: skip
        if base in cls.__mro__:
            parts = [describe(each, depth - 1) for each in read(item)]
    for base, read in ((int, int.__repr__), (BaseException, BaseException.args.__get__)):
        if base in cls.__mro__:
            parts = shown(read(item))
    for base in cls.__mro__:
        found = vars(base).get("__dict__")
        if type(found) is types.GetSetDescriptorType:
            parts.append(describe(list(found.__get__(item).items()), depth - 1)) if isinstance(
                parts, list
            ) else None
        for name, member in vars(base).items():
            if type(member) is types.MemberDescriptorType and isinstance(parts, list):
                with contextlib.suppress(AttributeError):
                    parts.append((name, describe(member.__get__(item), depth - 1)))
    return named(cls), parts


def outcome(world, function, *args):
    log = world.log
    log.clear()
    try:
        result = function(*args)
    except RecursionError:
        return "too deep"
    except Exception as error:
        text = re.sub("0x[0-9a-f]+", "0x", str(error))
        return type(error).__name__, text, getattr(error, "__notes__", None), list(log)
    seen = list(log)
    return result if type(result) is bytes else describe(result), seen


PROTOCOLS = (0, 2, 4, 5)


def warm_up(world, side):
    """Until there are plans; the standard library only has to write __slotnames__."""
    dumps, loads, shallow, deep = side
    value = world.objects()
    for _ in range(3 if side is OURS else 1):
        with contextlib.suppress(Exception):
            for protocol in (2, 4, 5):
                loads(dumps(value, protocol))
            deep(value)
            for item in value:
                shallow(item)


def pickles(world, value):
    """What the standard library makes of it, where it can be made."""
    made = []
    for protocol in (2, 4):
        with contextlib.suppress(Exception):
            made.append(std_pickle.dumps(value, protocol))
    return made


def between(world, side, alter):
    """Each operation after the change, twice."""
    dumps, loads, shallow, deep = side
    value = world.objects(4)
    world.late = value[2:3]
    data = pickles(world, value)
    alter(world)
    for number in range(2):
        for protocol in PROTOCOLS:
            yield f"dumps {protocol}, {number}", outcome(world, dumps, value, protocol)
        for each in data:
            yield f"loads, {number}", outcome(world, loads, each)
        yield f"deepcopy, {number}", outcome(world, deep, value)
        for item in value:
            yield f"copy, {number}", outcome(world, shallow, item)


def by_trigger(world):
    return [*world.objects(), world.module.Trigger(), *world.objects()]


def by_state(world):
    return [*world.objects(), world.module.Stateful(), *world.objects()]


def by_a_part(world):
    parts = [world.make(1, [1]), world.make(world.module.Trigger(), [2]), world.make(3, [3])]
    return [*parts, *world.objects()]


PLACES = {"trigger": by_trigger, "state": by_state, "part": by_a_part}


def inside(make, operation):
    def happens(world, side, alter):
        dumps, loads, shallow, deep = side
        value = make(world)
        world.late = value[-2:]
        data = pickles(world, value) if operation == "loads" else ()
        world.at_trigger[:] = [lambda: alter(world)]
        if operation == "dumps":
            yield "dumps", outcome(world, dumps, value, 5)
        elif operation == "dumps, old":
            yield "dumps", outcome(world, dumps, value, 2)
        elif operation == "deepcopy":
            yield "deepcopy", outcome(world, deep, value)
        elif data:
            yield "loads", outcome(world, loads, data[-1])
        else:
            raise Inapplicable

    return happens


WAYS = {"between": between, "inside dumps, old": inside(by_trigger, "dumps, old")}
for _place, _make in PLACES.items():
    for _operation in ("dumps", "loads", "deepcopy"):
        WAYS[f"inside {_operation}, {_place}"] = inside(_make, _operation)


def story(name, way, alter, side):
    with world_of(name) as world:
        warm_up(world, side)
        return list(WAYS[way](world, side, alter))


# One of so many changes is tried with a world and a way, each time others; all of them if the
# tests are to look deep.
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
SHARE = {"between": 3}
USUAL_SHARE = 10


def tried(name, way):
    share = 1 if DEEP else SHARE.get(way, USUAL_SHARE)
    first = list(WORLDS).index(name) + list(WAYS).index(way)
    return list(CHANGES.items())[first % share :: share]


def differences(name, way):
    for what, alter in tried(name, way):
        try:
            theirs = story(name, way, alter, STANDARD)
        except Inapplicable:
            continue
        ours = story(name, way, alter, OURS)
        for (where, our), (_, their) in zip(ours, theirs, strict=True):
            if our != their:
                yield f"{what}, {where}:\n  ours   {our!s:.700}\n  stdlib {their!s:.700}"
                yield f"  seen   {our[-1]!s:.700}\n  there  {their[-1]!s:.700}"
                break


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WORLDS)
def test_a_change(name, way):
    found = list(differences(name, way))
    assert not found, f"{len(found) // 2} differ\n" + "\n".join(found[:20])


# ---- what a caller's memo says ---------------------------------------------------------------

ENTRIES = {
    "the class": lambda world, value: {id(world.cls): world.module.Other},
    "the class, by no class": lambda world, value: {id(world.cls): "no class"},
    "the metaclass": lambda world, value: {id(type(world.cls)): world.module.Other},
    "None": lambda world, value: {id(None): "none"},
    "an attribute": lambda world, value: {id(1): "one", id(value[1]): "another"},
    "a name": lambda world, value: {id(sys.intern("x")): "y"},
    "the empty tuple": lambda world, value: {id(()): (5,)},
    "a constructor": lambda world, value: {id(copyreg.__newobj__): world.module.Other},
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("name", WORLDS)
def test_a_memo_that_says_so(name, entry):
    """Up to 3.13 deepcopy() asks the memo about atoms too, and about classes."""
    answers = []
    for side in (STANDARD, OURS):
        with world_of(name) as world:
            warm_up(world, side)
            value = world.objects()
            memo = ENTRIES[entry](world, value)
            answers.append((outcome(world, side[3], value, memo), len(memo)))
    assert answers[0] == answers[1]


class Enters:
    """Its __deepcopy__ puts a class into the memo."""

    def __init__(self, cls, other):
        self.enter = lambda memo: memo.update({id(cls): other})

    def __deepcopy__(self, memo):
        self.enter(memo)
        return self


@pytest.mark.parametrize("name", WORLDS)
def test_a_memo_that_says_so_meanwhile(name):
    answers = []
    for side in (STANDARD, OURS):
        with world_of(name) as world:
            warm_up(world, side)
            enters = Enters(world.cls, world.module.Other)
            value = [*world.objects(), enters, *world.objects()]
            answers.append(outcome(world, side[3], value))
            answers.append(outcome(world, side[3], [world.make(1, enters), *world.objects()]))
    assert answers[:2] == answers[2:]
