"""Objects whose class, or whose pickler, has one of the hooks of the protocols.

Each hook has a body that the compiler of plans cannot read (it calls something, or has a loop), so
that it is called for every object: whatever the core has tried before, calling must cost no more
than in the standard library. `HOOKS` are the classes by the name of the hook, `THROUGH` those of
picklers and unpicklers, with what makes functions of them.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import io
from collections.abc import Callable
from operator import abs
from typing import Any

EVERYTHING = ("dumps", "loads", "deepcopy", "copy")
PICKLING = ("dumps", "loads")


class Three:
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class GetState(Three):
    def __getstate__(self):
        return {"x": self.x, "y": self.y, "z": abs(self.z)}


class SetState(Three):
    def __setstate__(self, state):
        self.__dict__.update(state)
        self.z = abs(self.z)


class SetStateOfTuple(Three):
    def __getstate__(self):
        return self.x, self.y, abs(self.z)

    def __setstate__(self, state):
        self.x, self.y, self.z = state


class SetStateOfList(Three):
    def __getstate__(self):
        return [self.x, self.y, abs(self.z)]

    def __setstate__(self, state):
        self.x, self.y, self.z = state


class SetStateOfSlots:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z

    def __setstate__(self, state):
        for name, value in state[1].items():
            setattr(self, name, value)


class GetNewArgs:
    def __new__(cls, x, y, z):
        self = object.__new__(cls)
        self.x = x
        self.y = y
        self.z = abs(z)
        return self

    def __getnewargs__(self):
        return self.x, self.y, abs(self.z)

    def __getstate__(self):
        return None


class GetNewArgsEx:
    def __new__(cls, x, *, y, z):
        self = object.__new__(cls)
        self.x = x
        self.y = y
        self.z = abs(z)
        return self

    def __getnewargs_ex__(self):
        return (self.x,), {"y": self.y, "z": abs(self.z)}

    def __getstate__(self):
        return None


class Reduce(Three):
    def __reduce__(self):
        return make_reduced, (self.x, self.y, abs(self.z))


class ReduceEx(Three):
    def __reduce_ex__(self, protocol):
        return make_reduced_ex, (self.x, self.y, abs(self.z))


class ReduceState(Three):
    def __reduce__(self):
        return object.__new__, (ReduceState,), {"x": self.x, "y": self.y, "z": abs(self.z)}


class ReducePartial(Three):
    """Keyword arguments, as they are often given to a constructor."""

    def __reduce__(self):
        return functools.partial(ReducePartial, y=self.y, z=abs(self.z)), (self.x,)


class ReduceClass(Three):
    """Its class is called, whose `__init__` is not one that only stores."""

    def __init__(self, x, y, z):
        for name, value in (("x", x), ("y", y), ("z", z)):
            setattr(self, name, value)

    def __reduce__(self):
        return ReduceClass, (self.x, self.y, abs(self.z))


class Copies(Three):
    def __copy__(self):
        return make_copied(self.x, self.y, self.z)


class DeepCopies(Three):
    def __deepcopy__(self, memo):
        return make_deep_copied(self.x, self.y, abs(self.z))


class Replaces(Three):
    def __replace__(self, /, **changes):
        fields = {"x": self.x, "y": self.y, "z": abs(self.z)} | changes
        return Replaces(**fields)


class InTable(Three):
    pass


class SetBySetter(Three):
    def __reduce__(self):
        state = {"x": self.x, "y": self.y, "z": abs(self.z)}
        return object.__new__, (SetBySetter,), state, None, None, set_state_of


class Lists(list):
    def append(self, item):
        list.append(self, abs(item))

    def extend(self, items):
        for item in items:
            list.append(self, abs(item))

    def __reduce_ex__(self, protocol):
        return Lists, (), None, iter(self)


class Dicts(dict):
    def __setitem__(self, key, value):
        dict.__setitem__(self, key, abs(value))

    def __reduce_ex__(self, protocol):
        return Dicts, (), None, None, iter(self.items())


class Sets(set):
    def __reduce_ex__(self, protocol):
        return Sets, (sorted(self),)


def _maker(cls):
    def make(x, y, z):
        made = cls.__new__(cls)
        for name, value in (("x", x), ("y", y), ("z", z)):
            setattr(made, name, value)
        return made

    return make


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    return function


make_reduced = _named("make_reduced", _maker(Reduce))
make_reduced_ex = _named("make_reduced_ex", _maker(ReduceEx))
make_in_table = _named("make_in_table", _maker(InTable))
make_copied = _named("make_copied", _maker(Copies))
make_deep_copied = _named("make_deep_copied", _maker(DeepCopies))


def reduce_in_table(each):
    return make_in_table, (each.x, each.y, abs(each.z))


copyreg.pickle(InTable, reduce_in_table)


def set_state_of(each, state):
    for name, value in state.items():
        setattr(each, name, value)


MEMBERS = 1000
ENUMS = 5  # A class that gets a thousand attributes has no cached look-up any more.


def _level(number):
    name = f"Level{number}"
    values = range(number, MEMBERS, ENUMS)
    return enum.Enum(name, {f"LEVEL_{value}": value for value in values}, module=__name__)


Level0, Level1, Level2, Level3, Level4 = map(_level, range(ENUMS))
LEVELS = [*Level0, *Level1, *Level2, *Level3, *Level4]


def of(cls: Callable[..., Any]) -> Callable[[int], list[Any]]:
    return lambda n: [cls(i * 0.5, i * 0.25, i) for i in range(n)]


def with_new_args_ex(n):
    return [GetNewArgsEx(i * 0.5, y=i * 0.25, z=i) for i in range(n)]


def filled(cls: Callable[..., Any], fill: Callable[[Any, int], Any]) -> Callable[[int], list[Any]]:
    def make(n):
        made = [cls() for _ in range(n)]
        for i, each in enumerate(made):
            fill(each, i)
        return made

    return make


def make_levels(n):
    return [LEVELS[i % MEMBERS] for i in range(n)]


HOOKS: dict[str, tuple[Callable[[int], list[Any]], tuple[str, ...]]] = {
    "getstate": (of(GetState), EVERYTHING),
    "setstate": (of(SetState), EVERYTHING),
    "setstate-tuple": (of(SetStateOfTuple), EVERYTHING),
    "setstate-list": (of(SetStateOfList), EVERYTHING),
    "setstate-slots": (of(SetStateOfSlots), EVERYTHING),
    "getnewargs": (of(GetNewArgs), EVERYTHING),
    "getnewargs-ex": (with_new_args_ex, EVERYTHING),
    "reduce": (of(Reduce), EVERYTHING),
    "reduce-ex": (of(ReduceEx), EVERYTHING),
    "reduce-state": (of(ReduceState), EVERYTHING),
    "reduce-partial": (of(ReducePartial), EVERYTHING),
    "reduce-class": (of(ReduceClass), EVERYTHING),
    "copy": (of(Copies), ("deepcopy", "copy")),
    "deepcopy": (of(DeepCopies), ("deepcopy", "copy")),
    "replace": (of(Replaces), ("replace",)),
    "table": (of(InTable), EVERYTHING),
    "state-setter": (of(SetBySetter), PICKLING),
    "list-items": (filled(Lists, lambda each, i: each.extend((i, i + 1, i + 2))), EVERYTHING),
    "dict-items": (filled(Dicts, lambda each, i: each.update(a=i, b=i + 1)), EVERYTHING),
    "set-items": (filled(Sets, lambda each, i: each.update((i, i + 1))), EVERYTHING),
    "enum": (make_levels, EVERYTHING),
}


# Hooks of picklers and unpicklers: each takes a module and gives its dumps and its loads.


class Tag:
    def __init__(self, number):
        self.number = number


TAGS = [Tag(i) for i in range(MEMBERS)]


def make_tags(n):
    return [TAGS[i % MEMBERS] for i in range(n)]


def _functions(pickler: Callable[..., Any], unpickler: Callable[..., Any]):
    def dumps(value):
        file = io.BytesIO()
        pickler(file).dump(value)
        return file.getvalue()

    def loads(data):
        return unpickler(io.BytesIO(data)).load()

    return dumps, loads


def persistent(module: Any):
    """The objects are elsewhere, and named by a number."""

    class Pickler(module.Pickler):
        def persistent_id(self, value):
            return abs(value.number) if type(value) is Tag else None

    class Unpickler(module.Unpickler):
        def persistent_load(self, number):
            return TAGS[abs(number)]

    return _functions(Pickler, Unpickler)


def restricted(module: Any):
    """Every class is asked for."""

    class Unpickler(module.Unpickler):
        def find_class(self, module_name, name):
            return super().find_class(str(module_name), name)

    return _functions(module.Pickler, Unpickler)


def overriding(module: Any):
    class Pickler(module.Pickler):
        def reducer_override(self, value):
            if type(value) is Three:
                return Three, (value.x, value.y, abs(value.z))
            return NotImplemented

    return _functions(Pickler, module.Unpickler)


def own_table(module: Any):
    """A reducer in the pickler's own table."""

    class Pickler(module.Pickler):
        dispatch_table = copyreg.dispatch_table.copy()

    Pickler.dispatch_table[Three] = lambda each: (Three, (each.x, each.y, abs(each.z)))
    return _functions(Pickler, module.Unpickler)


THROUGH: dict[str, tuple[Callable[[int], list[Any]], Callable[[Any], Any]]] = {
    "persistent": (make_tags, persistent),
    "find-class": (make_levels, restricted),
    "reducer-override": (of(Three), overriding),
    "own-table": (of(Three), own_table),
}
