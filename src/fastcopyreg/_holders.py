"""Who holds what `install` replaces: names of modules, and what was taken from there earlier.

Most is held by globals, which `find_names` finds.  What was taken before `install` and lies
elsewhere is default arguments and closures of functions, attributes of classes, and what a
``functools.partial`` calls or passes.  `are_held_elsewhere` says whether there can be any, by
counting references; `holders` finds them among all objects that the collector knows.  Each is a
holder of names, which shows them as a dict and sets one.
"""

import gc
import sys
import weakref
from functools import partial
from itertools import chain
from types import FunctionType, MethodType, ModuleType

from . import _stdlib
from ._backend import backend
from ._backend import core as _core

# The modules whose names are replaced.
TARGETS = frozenset(("pickle", "_pickle", "copyreg", "copy"))
_OWN_PACKAGE = __name__.partition(".")[0]


def namespace_of(module):
    """Return the dict of *module*, or None if it is no module with an exact dict.

    Runs no code of the module's or its type's: importlib's LazyLoader would load the module upon
    any attribute access, ``__dict__`` included, so the dict is taken past ``__getattribute__``.
    """
    if not issubclass(type(module), ModuleType):
        return None
    namespace = ModuleType.__dict__["__dict__"].__get__(module)
    return namespace if type(namespace) is dict else None


class ModuleHolder:
    """A module as a holder of names.  It is held weakly: a module may be unloaded meanwhile."""

    __slots__ = ("_module", "label")

    def __init__(self, label, module):
        self.label = label
        self._module = weakref.ref(module)

    def namespace(self):
        """Return the names and their values, for reading."""
        module = self._module()
        return {} if module is None else namespace_of(module)

    def place(self, name):
        """Return how a report calls one of the names."""
        return f"{self.label}.{name}"

    def maker(self):
        """Return the name of the module whose code uses these names."""
        return self.label

    def set(self, name, value):
        """Give *name* another value, as a global statement in the module would."""
        namespace_of(self._module())[name] = value


class ClassHolder:
    """A class as a holder of names; the counterpart of `ModuleHolder`.

    A static or class method is shown as the function that it wraps.
    """

    __slots__ = ("_cls", "label")

    def __init__(self, label, cls):
        self.label = label
        self._cls = weakref.ref(cls)

    def _own(self):
        cls = self._cls()
        return {} if cls is None else type.__dict__["__dict__"].__get__(cls)

    def namespace(self):
        """Return the class's own attributes, for reading."""
        return {
            name: value.__func__ if type(value) in (staticmethod, classmethod) else value
            for name, value in self._own().items()
        }

    def place(self, name):
        """Return how a report calls one of the names."""
        return f"{self.label}.{name}"

    def maker(self):
        """Return the name of the module whose code uses these names."""
        return module_of(self._cls())

    def set(self, name, value):
        """Set an attribute, past a ``__setattr__`` of the metaclass."""
        before = self._own().get(name)
        if type(before) in (staticmethod, classmethod):
            value = type(before)(value)
        type.__setattr__(self._cls(), name, value)


def is_ours(key, namespace):
    package = namespace.get("__package__")
    return (
        key.partition(".")[0] == _OWN_PACKAGE
        # What runs by `python -m fastcopyreg` is called __main__.
        or (type(package) is str and package.partition(".")[0] == _OWN_PACKAGE)
    )


def find_names(dicts, objects):
    """Do what the core's function of this name does, where there is no core."""
    wanted = set(map(id, objects))
    return [
        (index, name, value)
        for index, each in enumerate(dicts)
        for names in (each if type(each) is dict else namespace_of(each),)
        if type(names) is dict
        for name, value in list(names.items())
        if id(value) in wanted
    ]


if backend == "c":
    find_names = _core.find_names


def subclasses_of(classes):
    """Return the subclasses of *classes*, direct or not, each once."""
    found, waiting = {}, list(classes)
    while waiting:
        for cls in type.__subclasses__(waiting.pop()):
            if id(cls) not in found:
                found[id(cls)] = cls
                waiting.append(cls)
    return list(found.values())


def module_of(cls):
    """Return where *cls* says it was made, without asking its metaclass."""
    return str(type.__getattribute__(cls, "__module__"))


def full_name(cls):
    return f"{module_of(cls)}.{type.__getattribute__(cls, '__qualname__')}"


twins = {}
"""Each `ForkingPickler` that was met or made, by the other of the two and its own bases."""

# Where references are not counted as they come and go, they say nothing.
_COUNTED = hasattr(sys, "getrefcount") and "t" not in getattr(sys, "abiflags", "")


# --- whether anybody has it


def are_held_elsewhere(substitutes, places):
    """Return whether there may be more references to the originals than those that are known.

    *places* are those that were set.  Too many counted as unknown cost a search, no more; up to
    3.13 classes in C have some that no object shows.
    """
    if not _COUNTED or sys.version_info < (3, 14):
        return True
    known = _known_references(substitutes.originals(), places)
    nobodys = object()
    none = _count(nobodys)
    return any(_count(old) - none > known[id(old)] for old, _ in substitutes)


def _count(object):
    return sys.getrefcount(object)


def _known_references(originals, places):
    """Return, by id, how many references to each of the originals are accounted for.

    What holds some is counted once: a reference that is counted twice would hide another one.
    Modules count by their names, and those in C also by what they keep to themselves.
    """
    modules = {
        id(each): each for each in list(sys.modules.values()) if issubclass(type(each), ModuleType)
    }
    names = find_names([*modules.values(), *map(dict, _SNAPSHOTS)], originals)
    holders = _by_id(_known_holders(originals))
    referents = gc.get_referents(*{**modules, **holders}.values())
    parts = _by_id(gc.get_referents(*holders.values()))
    for each in modules.keys() & holders.keys():
        parts.pop(id(namespace_of(modules[each])), None)
    known = dict.fromkeys(map(id, originals), 1)  # The pairs of the substitutes.
    counted = chain(
        referents,
        *_contents_of_small(parts.values()),
        [value for _, _, value in names],
        [old for _, _, old, _ in places],
    )
    # Not a Counter: its update() asks the Mapping classes of the whole process what they think.
    for each in filter(known.__contains__, map(id, counted)):
        known[each] += 1
    return known


def _contents_of_small(objects):
    tuples = [each for each in objects if type(each) is tuple]
    return tuples + [
        list(each.values()) for each in objects if type(each) is dict and len(each) < _SMALL
    ]


def _by_id(objects):
    return {id(each): each for each in objects}


def known_ids(substitutes, places):
    """Return the addresses of what is known to have the originals, and what that consists of."""
    originals = substitutes.originals()
    known = [*_known_holders(originals), *_our_dicts(), *gc.get_referents(*_SNAPSHOTS)]
    known += gc.get_referents(*known)
    return set(map(id, [*known, *originals, *substitutes, places, *places]))


# What the core, and a copy function, have of their own; a module's names are counted elsewhere.
_SMALL = 16


_SNAPSHOTS = _stdlib.PICKLE, _stdlib.C_PICKLE, _stdlib.COPYREG, _stdlib.COPY


def _our_dicts():
    return [
        namespace_of(module)
        for key, module in list(sys.modules.items())
        if type(key) is str and key.startswith(_OWN_PACKAGE)
    ]


def _known_holders(originals):
    """Return what is known to hold some of the originals, directly or in a tuple or small dict."""
    known = [_stdlib.std_c_pickle, _core, *(vars(_core)[name] for name in _OURS), twins]
    known += [each for each in _stdlib.COPY.values() if type(each) is FunctionType]
    known += [each for each in originals if type(each) is MethodType]
    for cls in [each for each in originals if isinstance(each, type)]:
        attributes = list(vars(cls).values())
        cells = [getattr(each, "__closure__", None) or () for each in attributes]
        known += [cls, *attributes, *chain(*cells)]
    return known + subclasses_of([each for each in originals if isinstance(each, type)])


_OURS = tuple(name for name in ("copy", "deepcopy", "replace") if name in vars(_core))


# --- who has it


def _find_holders(candidates, objects):
    """Do what the core's function of this name does, and less exactly, where there is no core."""
    kinds = (FunctionType, type, partial)
    return [each for each in candidates if issubclass(type(each), kinds)]


if backend == "c":
    _find_holders = _core.find_holders

# So many objects the core looks for at once.
_AT_ONCE = 64

# The core need not be given all objects where the interpreter shows them to it one by one.
_VISITS = backend == "c" and sys.version_info >= (3, 12)


def holders(substitutes):
    """Yield a holder for each function, class and partial that may have one of the originals.

    Left out are those of pickle, copyreg and copy themselves, ours, and the classes that are to be
    replaced, which go on working as they are.
    """
    for found in _found_holders(substitutes.originals()):
        if issubclass(type(found), FunctionType):
            if not _is_own(found.__globals__.get("__name__"), found.__globals__):
                yield DefaultsHolder(found)
                yield ClosureHolder(found)
        elif issubclass(type(found), type):
            if not _is_own(module_of(found)) and not _is_replaced(found, substitutes):
                yield ClassHolder(full_name(found), found)
        else:
            yield PartialHolder(found)


def _found_holders(originals):
    """Return what has one of the originals; a class also if a static or class method of it has."""
    everything = None if _VISITS else gc.get_objects()
    found = _find_holders(everything, originals)
    methods = [each for each in found if type(each) in (staticmethod, classmethod)]
    for start in range(0, len(methods), _AT_ONCE):
        found += _find_holders(everything, tuple(methods[start : start + _AT_ONCE]))
    found = [each for each in found if type(each) not in (staticmethod, classmethod)]
    return {id(each): each for each in found}.values()


def _is_own(name, namespace=None):
    if type(name) is not str:
        return False
    return name in TARGETS or is_ours(name, namespace or {})


def _is_replaced(cls, substitutes):
    return any(cls is old or cls is new for old, new in substitutes)


class _FunctionHolder:
    """What the two ways have in common by which a function holds something under a name."""

    __slots__ = ("_function",)

    def __init__(self, function):
        self._function = weakref.ref(function)

    def namespace(self):
        """Return the names and their values, for reading."""
        function = self._function()
        return {} if function is None else self._names(function)

    def maker(self):
        """Return the name of the module whose code uses these names."""
        return self._function().__globals__.get("__name__")

    def _label(self):
        return f"{self.maker()}.{self._function().__qualname__}"


class DefaultsHolder(_FunctionHolder):
    """A function as a holder of its default arguments, under the names of its parameters."""

    __slots__ = ()

    def _names(self, function):
        defaults = function.__defaults__ or ()
        code = function.__code__
        names = code.co_varnames[: code.co_argcount][-len(defaults) :] if defaults else ()
        # A code that was exchanged may have fewer parameters than there are defaults.
        return {**dict(zip(names, defaults, strict=False)), **(function.__kwdefaults__ or {})}

    def place(self, name):
        """Return how a report calls one of the names."""
        return f"{self._label()}({name}=)"

    def set(self, name, value):
        """Give the parameter another default."""
        function = self._function()
        if name in (function.__kwdefaults__ or {}):
            function.__kwdefaults__[name] = value
        else:
            old = self._names(function)[name]
            replaced = [value if each is old else each for each in function.__defaults__]
            function.__defaults__ = tuple(replaced)


class ClosureHolder(_FunctionHolder):
    """A function as a holder of the variables of its closure.

    But for the class that `super()` means in a method: it is the method's own, also when the class
    is one that is replaced, whose subclasses go on calling the method.
    """

    __slots__ = ()

    def _cells(self, function):
        return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))

    def _names(self, function):
        cells = self._cells(function)
        return {name: _contents(cells[name]) for name in cells if name != "__class__"}

    def place(self, name):
        """Return how a report calls one of the names."""
        return f"{self._label()}.<closure>.{name}"

    def set(self, name, value):
        """Give the variable another value, for all functions that share it."""
        self._cells(self._function())[name].cell_contents = value


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:  # It is empty.
        return None


class PartialHolder:
    """A ``functools.partial`` as a holder of what it calls, and of the arguments it passes."""

    __slots__ = ("_label", "_partial")

    def __init__(self, found):
        self._partial = weakref.ref(found)
        function = found.func
        module = getattr(function, "__module__", None)
        name = getattr(function, "__qualname__", None)
        self._label = f"functools.partial({module}.{name})"

    def namespace(self):
        """Return the names and their values, for reading."""
        found = self._partial()
        if found is None:
            return {}
        arguments = {f"args[{i}]": value for i, value in enumerate(found.args)}
        keywords = {f"keywords[{name!r}]": value for name, value in found.keywords.items()}
        return {"func": found.func, **arguments, **keywords}

    def place(self, name):
        """Return how a report calls one of the names."""
        return f"{self._label}.{name}"

    def maker(self):
        """Return nothing: what it calls does not say who made it."""
        return None

    def set(self, name, value):
        """Put *value* in the place of what is there under *name*, and wherever that is."""
        found = self._partial()
        old = self.namespace()[name]
        arguments = tuple(value if each is old else each for each in found.args)
        keywords = {k: value if each is old else each for k, each in found.keywords.items()}
        function = value if found.func is old else found.func
        partial.__setstate__(found, (function, arguments, keywords, vars(found) or None))
