"""Hooks as libraries write them: the shapes of theirs, in words of our own.

Behind each name stands where such a hook is found. A shape is the source of a class Base(Pickler)
and, for some, of a class Sub(Base), so that everything it is made of can be changed in the middle
of a dump: what the pickler has as attributes, its methods and those of its bases, their code, the
names of modules and classes. Whatever changes, bytes, errors and what the hooks have done with the
objects that they look for are the standard library's.
"""

import collections
import copyreg
import inspect
import io
import sys
import threading
import types

import pytest

from support.implementations import OURS, PLANS_ARE_ON, STANDARD, requires_core
from support.recording import shallow_outcome as outcome

_core = pytest.importorskip("fastcopyreg._core")

pytestmark = requires_core

inspect, threading, collections = inspect, threading, collections  # used by the sources


class Sought:
    """What the hooks look for."""

    hidden = False

    def __init__(self, key=1):
        self.key = key


class Also(Sought):
    pass


class Ordinary:
    def __init__(self, x=1):
        self.x = x


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x=1):
        self.x = x


class Entered:
    def __init__(self, x=1):
        self.x = x


def reduce_entered(obj):
    return Entered, (obj.x,)


copyreg.pickle(Entered, reduce_entered)


def function():
    """A function that is pickled by name."""


def is_sought(obj):
    return isinstance(obj, Sought)


def is_listed(obj):
    return type(obj) in LISTED


def note(obj):
    HITS.append(type(obj).__name__)
    return "hit"


def hit(obj):
    return str, (note(obj),)


class Elsewhere:
    """An object whose method is a pickler's hook, or part of one."""

    wanted = Sought

    def ask(self, obj):
        return note(obj) if isinstance(obj, self.wanted) else None

    def reduce(self, obj):
        return hit(obj) if isinstance(obj, self.wanted) else NotImplemented


class Says:
    """In the place of a super object."""

    def __init__(self, *args):
        pass

    def reducer_override(self, obj):
        return hit(obj) if type(obj) is Slotted else NotImplemented

    def persistent_id(self, obj):
        return note(obj) if type(obj) is Slotted else None


module = types.ModuleType("module")
module.inner = types.ModuleType("inner")
HITS = []
WORLD = {}  # the globals of the hooks
ELSEWHERE = Elsewhere()
LISTED = {Sought, Also}
TABLE = {Sought: hit, Also: hit}
NAMES = frozenset(["decimal", "_thread"])
DISPATCH = copyreg.dispatch_table


def fill():
    """What changes put out of order."""
    HITS.clear()
    LISTED.clear()
    LISTED.update((Sought, Also))
    TABLE.clear()
    TABLE.update({Sought: hit, Also: hit})
    vars(ELSEWHERE).clear()
    Elsewhere.wanted = Sought
    module.inner.Sought, module.Sought, module.is_sought = Sought, Sought, is_sought
    # A class that is changed a thousand times has no version any more.
    if Ordinary.__module__ != __name__:
        Ordinary.__module__ = __name__
    if Slotted.__name__ != "Slotted":
        Slotted.__name__ = "Slotted"


CLOUD = """
class Base(Pickler):
    dispatch_table = collections.ChainMap({}, DISPATCH)
    def reducer_override(self, obj):
        t = type(obj)
        try:
            is_class = issubclass(t, type)
        except TypeError:
            is_class = False
        if is_class:
            return of_class(obj)
        elif isinstance(obj, types.FunctionType):
            return self.of_function(obj)
        else:
            return NotImplemented
    def of_function(self, obj):
        return hit(obj) if obj.__module__ == "elsewhere" else NotImplemented
def of_class(obj):
    return hit(obj) if obj.__module__ == "elsewhere" else NotImplemented
"""

# By name, and where it is found; the source of Base, and perhaps of Sub.
READ = {
    "cloudpickle": CLOUD,
    "numba: what is not to be pickled, and super()": CLOUD
    + """
class Sub(Base):
    refused = LISTED
    def reducer_override(self, obj):
        if type(obj) in self.refused:
            raise ValueError(note(obj))
        return super().reducer_override(obj)
""",
    "ray: a scanner for a type that the pickler has": CLOUD
    + """
class Sub(Base):
    source_type = Sought
    def reducer_override(self, obj):
        if isinstance(obj, self.source_type):
            index = len(HITS)
            return list, (note(obj) * index,)
        return super().reducer_override(obj)
""",
    "ray's client: several types, one behind another": """
class Base(Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Also):
            return "also", note(obj)
        elif isinstance(obj, Sought):
            if obj.key is None:
                obj.key = 3
            return "sought", note(obj)
        else:
            return None
""",
    "beam: with a configuration": """
class Base(Pickler):
    config = None
    def reducer_override(self, obj):
        if isinstance(obj, type):
            return of_class(obj, self.config)
        elif isinstance(obj, (Sought, types.FunctionType)):
            return hit(obj) if type(obj) in LISTED else NotImplemented
        else:
            return NotImplemented
def of_class(obj, config):
    return NotImplemented if config is None else hit(obj)
""",
    "process pools: locks, and the base called by its name": CLOUD
    + """
LOCK = type(threading.Lock())
class Sub(Base):
    def reducer_override(self, obj):
        if type(obj) is LOCK:
            return hit(obj)
        if isinstance(obj, threading.Event):
            return hit(obj)
        if isinstance(obj, Sought):
            return hit(obj)
        return Base.reducer_override(self, obj)
""",
    "torch.package: a method of another object": """
class Base(Pickler):
    pass
def prepare(pickler):
    pickler.persistent_id = ELSEWHERE.ask
""",
    "torch.fx: attributes of modules, and an assertion": """
class Base(Pickler):
    def reducer_override(self, obj):
        if isinstance(obj, module.inner.Sought):
            return hit(obj)
        elif isinstance(obj, (module.Sought, types.ModuleType)):
            return hit(obj)
        else:
            assert not isinstance(obj, threading.Thread)
            return NotImplemented
""",
    "torch.fx: the object that the pickler has": """
class Base(Pickler):
    state = Sought()
    def persistent_id(self, obj):
        if obj is self.state:
            return note(obj)
        else:
            return None
""",
    "torch: local classes are refused": """
class Base(Pickler):
    def reducer_override(self, obj):
        if isinstance(obj, Sought):
            return hit(obj)
        elif isinstance(obj, threading.Thread):
            if obj.__class__.__reduce__ == threading.Thread.__reduce__:
                return hit(obj)
        if type(obj).__qualname__ != type(obj).__name__:
            raise RuntimeError(f"{type(obj)} is local")
        return NotImplemented
""",
    "ZODB: neither persistent nor a class": """
class Base(Pickler):
    def persistent_id(self, obj):
        if not isinstance(obj, (Sought, type, threading.Event)):
            return None
        if isinstance(obj, type):
            return None
        try:
            key = obj.key
        except AttributeError:
            return None
        return note(obj), key
""",
    "SQLAlchemy: types whose objects are asked": """
class Base(Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Also) and not obj.hidden:
            id_ = "also:" + note(obj)
        elif isinstance(obj, Sought) and not obj.key.real:
            id_ = "sought:" + note(obj)
        elif isinstance(obj, threading.Event):
            id_ = "event:"
        else:
            return None
        return id_
""",
    "JAX: returns one behind another, and a function": """
class Base(Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Also):
            return ("also", note(obj))
        if isinstance(obj, Sought):
            if obj.key not in self.known:
                raise ValueError(f"unknown: {obj.key}")
            return ("sought", self.known[obj.key])
        if is_listed(obj):
            return ("listed",)
        return None
    known = {1: 1, 2: 2}
""",
    "tokens: None at the end of the function": """
class Base(Pickler):
    def persistent_id(self, token):
        if isinstance(token, Sought):
            if not token.hidden:
                return note(token)
            if token.key:
                raise ValueError(token)
""",
    "the module of a class": """
class Base(Pickler):
    def reducer_override(self, obj):
        t = type(obj)
        if t is Sought:
            return hit(obj)
        if isinstance(obj, (threading.Event, Also)):
            return hit(obj)
        if t.__module__ == "sqlite3" or t.__module__ in NAMES or t.__module__ in ("a", "b"):
            return hit(obj)
        return NotImplemented
""",
    "the name of a class": """
class Base(Pickler):
    def reducer_override(self, obj):
        if obj.__class__.__name__ == "Sought" or type(obj).__qualname__ in {"Also", "Other"}:
            return hit(obj)
        return NotImplemented
""",
    "snapshots: a registry of the pickler's": """
class Base(Pickler):
    registry = TABLE
    def persistent_id(self, obj):
        obj_type = type(obj)
        if obj_type not in self.registry:
            return None
        return self.registry[obj_type](obj)
""",
    "a table, asked by get()": """
class Base(Pickler):
    def reducer_override(self, obj):
        reducer = TABLE.get(type(obj))
        if reducer is not None:
            return reducer(obj)
        return NotImplemented
""",
    "the pickler's table, with a default": """
class Base(Pickler):
    registry = TABLE
    def reducer_override(self, obj):
        reducer = self.registry.get(type(obj), False)
        return reducer(obj) if reducer else NotImplemented
""",
    "dataClay: both hooks": """
class Base(Pickler):
    def reducer_override(self, obj):
        if isinstance(obj, Also):
            return hit(obj)
        else:
            return NotImplemented
class Sub(Base):
    def persistent_id(self, obj):
        if isinstance(obj, Sought) and not isinstance(obj, Also):
            return note(obj)
""",
    "methods of its own": """
class Base(Pickler):
    enabled = True
    def is_mine(self, obj):
        return isinstance(obj, self.source_type)
    @staticmethod
    def is_class(obj):
        return isinstance(obj, type)
    def reducer_override(self, obj):
        if not self.enabled:
            return NotImplemented
        if self.is_class(obj):
            return NotImplemented
        return self.of_mine(obj) if self.is_mine(obj) else NotImplemented
    def of_mine(self, obj):
        return hit(obj)
    def __init__(self, file):
        super().__init__(file)
        self.source_type = Sought
""",
    "a method of what it has": """
class Base(Pickler):
    def __init__(self, file):
        super().__init__(file)
        self.other = ELSEWHERE
        self.asked = ELSEWHERE.reduce
    def reducer_override(self, obj):
        found = self.other.ask(obj)
        return self.asked(obj) if found is None else hit(obj)
""",
    "a match statement": """
class Base(Pickler):
    def persistent_id(self, obj):
        match obj:
            case Also():
                return "also", note(obj)
            case threading.Event() | Sought():
                return "sought", note(obj)
            case _:
                return None
""",
    "the functions of inspect": """
class Base(Pickler):
    def reducer_override(self, obj):
        if inspect.isgenerator(obj) or inspect.isframe(obj) or inspect.ismodule(obj):
            raise ValueError("cannot be stored")
        if inspect.isclass(obj) or module.is_sought(obj):
            return hit(obj) if type(obj) in LISTED else NotImplemented
        return NotImplemented
""",
    "a class with slots": """
class Base(Pickler):
    __slots__ = ("source_type", "refused")
    def __init__(self, file):
        super().__init__(file)
        self.source_type = Sought
    def persistent_id(self, obj):
        return note(obj) if isinstance(obj, self.source_type) else None
""",
}
if sys.version_info >= (3, 13):  # Before, super().persistent_id is the hook itself.
    READ["torch: a hook that is chosen later"] = """
class Base(Pickler):
    asked = None
    def persistent_id(self, obj):
        if self.asked is None:
            return super().persistent_id(obj)
        return self.asked(obj)
"""

CALLED = {
    "a hash of arguments: counted by id": """
class Base(Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Sought) and HITS.count(id(obj)) <= 1:
            return obj.__class__.__module__, note(obj)
        elif isinstance(obj, type):
            return obj.__module__, obj.__qualname__
        else:
            return None
""",
    "an attribute that objects may have": """
class Base(Pickler):
    def persistent_id(self, obj):
        if hasattr(obj, "key"):
            return note(obj), obj.key
        else:
            return None
""",
    "the example of the documentation": """
class Base(Pickler):
    def reducer_override(self, obj):
        if getattr(obj, "__name__", None) == "Sought":
            return hit(obj)
        else:
            return NotImplemented
""",
    "by id": """
class Base(Pickler):
    def __init__(self, file):
        super().__init__(file)
        self.known = {id(Sought): "Sought", id(function): "function"}
    def persistent_id(self, obj):
        return self.known.get(id(obj))
""",
    "dask: a dispatcher that looks along the classes": """
class Base(Pickler):
    def reducer_override(self, obj):
        try:
            serialize = dispatch(type(obj))
        except TypeError:
            return NotImplemented
        return serialize(obj)
def dispatch(cls):
    for each in inspect.getmro(cls)[:-1]:
        if each in TABLE:
            return TABLE[each]
    raise TypeError(cls)
""",
    "a list of what is allowed": """
class Base(Pickler):
    def reducer_override(self, obj):
        if isinstance(obj, type):
            return NotImplemented
        t = type(obj)
        if t.__module__ == "builtins" or (t.__module__, t.__qualname__) in NAMES:
            return NotImplemented
        return hit(obj) if isinstance(obj, Sought) else NotImplemented
""",
    "reducers for kinds of types, in a generator": """
class Base(Pickler):
    def reducer_override(self, obj):
        reducer = next(self.find(obj), None)
        return NotImplemented if reducer is None else reducer(obj)
    def find(self, obj):
        for cls, reducer in TABLE.items():
            if isinstance(obj, cls):
                yield reducer
""",
    "every object is counted": """
class Base(Pickler):
    def persistent_id(self, obj):
        note(obj)
        return None
""",
}
SHAPES = READ | CALLED


def base_of(pickler):
    return next(cls for cls in type(pickler).__mro__ if cls.__name__ == "Base")


def other_id(self, obj):
    return note(obj) if type(obj) is Slotted else None


def other_reduction(self, obj):
    return hit(obj) if type(obj) is Slotted else NotImplemented


OTHERS = {"persistent_id": other_id, "reducer_override": other_reduction}


def replace_in(cls):
    for name, other in OTHERS.items():
        if name in vars(cls):
            setattr(cls, name, other)


def replace_code(cls):
    for name, other in OTHERS.items():
        found = vars(cls).get(name)
        if found is not None and found.__closure__ is None:
            found.__code__ = other.__code__


def change_bases(pickler):
    """Other classes behind Sub, or behind Base."""
    base = base_of(pickler)
    names = {name: other for name, other in OTHERS.items() if hasattr(base, name)}
    between = type("Between", base.__bases__, names)
    if type(pickler) is base:
        base.__bases__ = (between,)
    else:
        type(pickler).__bases__ = (type("Other", (between,), names),)


def change_cell(pickler):
    """Another class where super() goes on from; that behind Base is the pickler's."""
    for name in OTHERS:
        found = vars(type(pickler)).get(name)
        cells = found.__closure__ if found is not None else None
        for cell in cells or ():
            cell.cell_contents = base_of(pickler)


def change_class(pickler):
    cls = type(pickler)
    slots = {"__slots__": ()} if "__slots__" in vars(cls) else {}
    pickler.__class__ = type("Changed", (cls,), slots | {"is_mine": lambda self, obj: True})


def give(name, value):
    def change(pickler):
        setattr(pickler, name, value() if callable(value) else value)

    return change


def give_class(name, value):
    return lambda pickler: setattr(type(pickler), name, value())


def by_property(self):
    return Ordinary


CHANGES = {
    "nothing": lambda pickler: None,
    "the type it looks for": give("source_type", lambda: Ordinary),
    "the type, by its class": give_class("source_type", lambda: Ordinary),
    "the type, a property": give_class("source_type", lambda: property(by_property)),
    "what is refused": give("refused", lambda: {Ordinary}),
    "its registry": give("registry", lambda: {Ordinary: note}),
    "its state": give("state", lambda: function),
    "its flag": give("enabled", list),
    "the chosen hook": give("asked", lambda: ELSEWHERE.ask),
    "its other object": give("other", Elsewhere),
    "a method of the instance": give("is_mine", lambda: lambda obj: type(obj) is Entered),
    "a method of the class": give_class("is_mine", lambda: lambda self, obj: True),
    "a static method": give_class("is_class", lambda: staticmethod(lambda obj: True)),
    "a static method that is one no more": give_class(
        "is_class", lambda: lambda *args: len(args) == 2
    ),
    "a hook of the class": lambda pickler: replace_in(type(pickler)),
    "a hook of the base": lambda pickler: replace_in(base_of(pickler)),
    "the code of the base's": lambda pickler: replace_code(base_of(pickler)),
    "the classes behind it": change_bases,
    "where super() goes on": change_cell,
    "its class": change_class,
    "__getattribute__": give_class(
        "__getattribute__",
        lambda: (
            lambda self, name: (
                {Ordinary} if name == "refused" else object.__getattribute__(self, name)
            )
        ),
    ),
    "a set": lambda pickler: LISTED.add(Ordinary),
    "a dict": lambda pickler: TABLE.update({Ordinary: note}),
    "the other object": lambda pickler: setattr(ELSEWHERE, "wanted", Ordinary),
    "the other object's class": lambda pickler: setattr(Elsewhere, "wanted", (Ordinary, Entered)),
    "a module's name": lambda pickler: setattr(module.inner, "Sought", Ordinary),
    "the module of a class": lambda pickler: setattr(Ordinary, "__module__", "sqlite3"),
    "the name of a class": lambda pickler: setattr(Slotted, "__name__", "Sought"),
    "super": lambda pickler: WORLD.update(super=Says),
    "isinstance": lambda pickler: WORLD.update(isinstance=lambda obj, cls: type(obj) is Slotted),
    "a name": lambda pickler: WORLD.update(Sought=Ordinary, LISTED={Ordinary}, TABLE={}),
    "a name, of a tuple": lambda pickler: WORLD.update(Sought=(Ordinary, Sought)),
    "a function": lambda pickler: WORLD.update(is_listed=lambda obj: type(obj) is Slotted),
}


class Changes:
    """Its reducer changes something."""

    def __init__(self, change, pickler):
        self.change, self.pickler = change, pickler

    def __reduce__(self):
        self.change(self.pickler)
        return list, ()


def graph(often=12, sought=True):
    """What hooks look for comes last, so that they are not given up before."""
    many = [kind(n) for n in range(often) for kind in (Ordinary, Entered, Slotted)]
    others = [function, len, Ordinary, {"k": (1, b"b", None)}, {2.5}, ["text", True]]
    return [*many, *others, [Sought(1), Also(2)] if sought else [], many[0]]


def make(implementation, source, file):
    """A pickler of the last class of the source."""
    global WORLD
    WORLD = globals() | {"Pickler": implementation.Pickler}
    exec(source, WORLD)
    pickler = WORLD.get("Sub", WORLD["Base"])(file)
    WORLD.get("prepare", id)(pickler)
    return pickler


@pytest.fixture(autouse=True)
def read_soon():
    before = _core.plan_threshold(3)
    fill()
    yield
    fill()
    _core.plan_threshold(before)


def dumped(implementation, source, change):
    """What can be seen of two dumps, in the first of which something changes."""
    fill()
    file = io.BytesIO()
    pickler = make(implementation, source, file)
    objects = graph(sought=False)
    first = outcome(pickler.dump, [objects, Changes(change, pickler), objects, graph(3)])
    return first, outcome(pickler.dump, graph(3)), file.getvalue(), list(HITS)


@pytest.mark.parametrize("name", SHAPES)
def test_nobody_can_tell(name):
    for change_name, change in CHANGES.items():
        expected = dumped(STANDARD, SHAPES[name], change)
        assert dumped(OURS, SHAPES[name], change) == expected, change_name


def test_changes_change_something():
    """Each of them is noticed by a shape."""
    for name, change in CHANGES.items():
        if name != "nothing":
            assert any(
                dumped(STANDARD, source, change) != dumped(STANDARD, source, CHANGES["nothing"])
                for source in READ.values()
            ), name


@pytest.mark.parametrize("name", SHAPES)
def test_it_is_shown_the_same(name):
    """Where somebody counts the calls, there are as many, and of the same objects."""

    def scenario(implementation):
        fill()
        shown = []
        pickler = make(implementation, SHAPES[name], io.BytesIO())

        def profile(frame, event, argument):
            if event == "call" and frame.f_code.co_name in ("persistent_id", "reducer_override"):
                shown.append((frame.f_code.co_name, type(list(frame.f_locals.values())[1])))

        previous = sys.getprofile()
        for _ in range(2):
            outcome(pickler.dump, graph())
            pickler.clear_memo()
        sys.setprofile(profile)
        try:
            outcome(pickler.dump, graph())
        finally:
            sys.setprofile(previous)
        return shown

    expected = scenario(STANDARD)
    assert scenario(OURS) == expected
    assert expected or "another object" in name


@pytest.mark.skipif(not PLANS_ARE_ON, reason="nothing is read on this build")
@pytest.mark.parametrize("name", READ)
def test_it_is_read(name):
    """Objects with a reducer are reduced by their plan, as without a hook."""
    objects = [Entered(number) for number in range(300)]
    for _ in range(4):
        before = _core.plan_counts()[0]
        make_again = make(OURS, READ[name], io.BytesIO())
        for _ in range(3):
            make_again.dump(objects)
            make_again.clear_memo()
    assert _core.plan_counts()[0] - before >= 700
