"""Copies, made by either implementation and written down: results, exceptions, events, sources.

A graph is described by numbering what is reachable in the order in which it is met, so that two
descriptions are equal only if the graphs have the same shape: types, values, and which parts are
the same object. In the description of a copy, an object of the source says so.
"""

import collections
import contextlib
import copy as std_copy
import copyreg
import dataclasses
import enum
import functools
import itertools
import types

import fastcopyreg.copy
from support import graphs, recording, trace
from support.classes import ByClass
from support.implementations import TESTED
from support.trace import note

STANDARD = types.SimpleNamespace(**{name: getattr(std_copy, name) for name in std_copy.__all__})
OURS = STANDARD if TESTED == "stdlib" else fastcopyreg.copy

ATOMS = (type(None), bool, int, float, complex, str, bytes, range, type, types.FunctionType)
NUMBERS = (type(None), bool, int, float, complex)
CONTAINERS = (list, tuple, dict, set, frozenset)


class Using:
    """The implementation that the hooks of the classes below call while a copy is made."""

    module = STANDARD


def describe_memo(memo):
    """A memo's entries in order: the types of copies, and of what is kept alive."""
    kept = memo.get(id(memo), [])
    return [
        ("kept", [type(obj).__name__ for obj in kept]) if value is kept else type(value).__name__
        for value in memo.values()
    ]


# Classes with hooks of copy's own.


class DeepHook(ByClass):
    """`__deepcopy__` as it is usually written; it notes the memo that it is given."""

    def __deepcopy__(self, memo):
        note("deepcopy", describe_memo(memo))
        made = type(self)()
        memo[id(self)] = made
        for name, value in list(vars(self).items()):
            setattr(made, name, Using.module.deepcopy(value, memo))
        return made


class LateHook(DeepHook):
    """Enters its copy in the memo only at the end, as deepcopy itself does."""

    def __deepcopy__(self, memo):
        note("late", len(memo))
        made = type(self)()
        made.a = Using.module.deepcopy(self.__dict__.get("b"), memo)
        return made


class SelfHook(ByClass):
    """Its own copy."""

    def __deepcopy__(self, memo):
        note("self")
        return self


class ForgetfulHook(ByClass):
    """Copies with a memo of its own."""

    def __deepcopy__(self, memo):
        made = type(self)()
        made.a = Using.module.deepcopy(self.__dict__.get("a"))
        return made


class ClearingHook(ByClass):
    """Empties the memo that it is given."""

    def __deepcopy__(self, memo):
        memo.clear()
        return ["cleared"]


class PlantingHook(ByClass):
    """Says in the memo what another object's copy is."""

    def __deepcopy__(self, memo):
        memo[id(self.__dict__.get("a"))] = "planted"
        return ["planted"]


class PeekingHook(ByClass):
    """Copies, ahead of its turn, what another container holds."""

    def __deepcopy__(self, memo):
        source = self.__dict__.get("a")
        note("peek", describe_memo(memo))
        found = getattr(source, "__dict__", source)
        if isinstance(source, (list, tuple, set, frozenset)):
            found = [item for item in source if not isinstance(item, PeekingHook)]
        return Using.module.deepcopy([found], memo)


class RaisingHook(ByClass):
    """`__deepcopy__` raises."""

    def __deepcopy__(self, memo):
        raise LookupError("in __deepcopy__", describe_memo(memo))


class StopHook(ByClass):
    """`__deepcopy__` raises StopIteration, which a generator turns into something else."""

    def __deepcopy__(self, memo):
        raise StopIteration("in __deepcopy__")


class NoneHook(ByClass):
    """`__deepcopy__` and `__copy__` are None: as if there were none."""

    __deepcopy__ = None
    __copy__ = None


class ShallowHook(ByClass):
    """`__copy__`."""

    def __copy__(self):
        note("copy")
        made = type(self)()
        made.__dict__.update(self.__dict__)
        return made


class OnInstance(ByClass):
    """`__deepcopy__` on the instance, where it counts, and `__copy__`, where it does not."""

    def __new__(cls):
        made = super().__new__(cls)
        made.__deepcopy__ = lambda memo: ["by the instance", len(memo)]
        made.__copy__ = lambda: ["by the instance"]
        return made


class InDispatch(ByClass):
    """In `copy._deepcopy_dispatch` while a comparison runs."""


def copy_dispatched(obj, memo):
    """What is in the dispatch for InDispatch."""
    note("dispatched", describe_memo(memo))
    made = InDispatch()
    made.a = Using.module.deepcopy(obj.__dict__.get("a"), memo)
    return made


class SetState(ByClass):
    """`__setstate__` alone: the default reduction, rebuilt otherwise."""

    def __setstate__(self, state):
        note("setstate", sorted(map(str, state)))
        self.__dict__.update(state, set=True)


class SetStateSlots(ByClass):
    """The same with slots."""

    __slots__ = ("a", "b")

    def __setstate__(self, state):
        note("setstate", type(state).__name__)
        for name, value in state[1].items():
            setattr(self, name, value)


class Watching(ByClass):
    """Notes each attribute that is set on it."""

    __slots__ = ("a", "b", "c")

    def __setattr__(self, name, value):
        note("set", name)
        object.__setattr__(self, name, value)


class Misfit(ByClass):
    """`__reduce_ex__` gives what `choices` says, which is often no reduce value."""

    choices = (
        lambda obj: None,
        lambda obj: "text",
        lambda obj: 5,
        lambda obj: (),
        lambda obj: (Misfit,),
        lambda obj: [Misfit, ()],
        lambda obj: (Misfit, [], {"a": [1]}),
        lambda obj: (Misfit, iter([])),
        lambda obj: (Misfit, None),
        lambda obj: (Misfit, 5),
        lambda obj: (5, ()),
        lambda obj: (Misfit, (), 5),
        lambda obj: (Misfit, (), ()),
        lambda obj: (Misfit, (), (None, None)),
        lambda obj: (Misfit, (), ({"a": 1}, {"b": [2]})),
        lambda obj: (Misfit, (), (None, {5: 6})),
        lambda obj: (Misfit, (), (None, [1])),
        lambda obj: (Misfit, (), None, 5),
        lambda obj: (Misfit, (), None, [1]),
        lambda obj: (list, (), None, [1, [2], obj]),
        lambda obj: (list, (), None, ()),
        lambda obj: (dict, (), None, None, 5),
        lambda obj: (dict, (), None, None, [(1, [2]), ([3], 4)]),
        lambda obj: (dict, (), None, None, [(1, 2), (3, 4, 5)]),
        lambda obj: (dict, (), None, None, [[1, [2]], "kv"]),
        lambda obj: (dict, (), None, None, [7]),
        lambda obj: (Misfit, (), None, None, None, None),
        lambda obj: (Misfit, (), None, None, None, None, None),
        lambda obj: (copyreg.__newobj__, ()),
        lambda obj: (copyreg.__newobj__, (5,)),
        lambda obj: (copyreg.__newobj__, (Misfit, 5)),
        lambda obj: (copyreg.__newobj__, (Misfit,), vars(obj)),
        lambda obj: (tuple, ([1, [2]],)),
        lambda obj: (lambda *args: obj, (1, [2])),
        lambda obj: Text("text"),
        lambda obj: Tuple((Misfit, ())),
        lambda obj: (Misfit, Tuple()),
        lambda obj: (Misfit, (), Tuple((None, {"a": 1}))),
        lambda obj: (Misfit, (), Dict(a=[1])),
    )

    def __reduce_ex__(self, protocol):
        note("misfit", protocol)
        return self.choices[self.__dict__.get("choice", 0)](self)


class Text(str):
    """A string that is not exactly one."""


class Tuple(tuple):
    """A tuple that is not exactly one."""

    __slots__ = ()


class Dict(dict):
    """A dict that is not exactly one."""


@dataclasses.dataclass
class Tree:
    """What programs copy."""

    name: str = "n"
    children: list = dataclasses.field(default_factory=list)
    options: dict = dataclasses.field(default_factory=dict)

    __hash__ = ByClass.__hash__
    __eq__ = ByClass.__eq__


HOOKED = [
    DeepHook, DeepHook, LateHook, SelfHook, ForgetfulHook, ClearingHook, PlantingHook,
    PeekingHook, PeekingHook, RaisingHook, StopHook, NoneHook, ShallowHook, OnInstance, InDispatch,
    SetState, SetStateSlots, Watching, Misfit, Misfit, Misfit, Tree, Tree,
]  # fmt: skip
graphs.POOLS["hooked"] = HOOKED


# Descriptions.


def fields_of(obj):
    """Attributes of an instance by name: its `__dict__` and its slots, those that are set."""
    found = dict(type_dict(obj))
    for cls in type(obj).__mro__:
        for name, member in (fixed_slots if flags(cls) & IMMUTABLE else slots)(cls):
            with contextlib.suppress(AttributeError):
                found[name] = member.__get__(obj)
    return found


flags = vars(type)["__flags__"].__get__
IMMUTABLE = 1 << 8
"""The flag of a type that nobody can change: its slots are looked for once."""


def slots(cls):
    """The slots of a class itself: pairs of a name and the descriptor."""
    return [
        (name, member)
        for name, member in vars(cls).items()
        if isinstance(member, types.MemberDescriptorType) and member.__objclass__ is cls
    ]


fixed_slots = functools.cache(slots)


def type_dict(obj):
    """The true `__dict__`, also where the class has something else under that name."""
    for cls in type(obj).__mro__:
        member = vars(cls).get("__dict__")
        if isinstance(member, types.GetSetDescriptorType):
            return member.__get__(obj)
    return {}


def parts_of(obj):
    """A value to compare by, and the parts that are objects of their own."""
    cls = type(obj)
    if cls in NUMBERS:
        return repr(obj), ()
    if cls in CONTAINERS:
        parts = tuple(itertools.chain.from_iterable(obj.items()) if cls is dict else obj)
        return (None, len(parts), ()), parts
    if cls in ATOMS or isinstance(obj, (type, enum.Enum, types.BuiltinFunctionType)):
        return recording.mask(repr(obj)), ()
    if issubclass(cls, (list, tuple, collections.deque, set, frozenset)):
        parts = tuple(cls.__iter__(obj))
    elif issubclass(cls, dict):
        parts = tuple(part for pair in dict.items(obj) for part in pair)
    elif issubclass(cls, types.MethodType):
        parts = (obj.__func__, obj.__self__)
    elif issubclass(cls, BaseException):
        parts = (obj.args,)
    else:
        parts = ()
    value = None
    if issubclass(cls, (int, float, str, bytes, bytearray, complex)):
        value = recording.mask(repr(obj))
    fields = fields_of(obj)
    return (value, len(parts), tuple(fields)), (*parts, *fields.values())


def describe(root, source_numbers=None, tells_texts=False):
    """The graph below an object as a list, and the number of each object in it by id.

    Which texts are one object matters only if it is said so: a copy has those of the source.
    """
    numbers, rows, waiting, alive = {}, [], [root], []
    while waiting:
        obj = waiting.pop()
        if source_numbers is not None and id(obj) in source_numbers:
            rows.append(("source", source_numbers[id(obj)]))
            continue
        value, parts = parts_of(obj)
        is_told = tells_texts and type(obj) in (str, bytes) and len(obj) > 1
        if type(obj) in ATOMS and not is_told:
            rows.append((type(obj).__name__, value))
            continue
        if id(obj) in numbers:
            rows.append(("again", numbers[id(obj)]))
            continue
        numbers[id(obj)] = len(numbers)
        alive.append(obj)
        rows.append((type(obj).__name__, value))
        waiting.extend(reversed(parts))
    return rows, numbers


def record(module, operation, make):
    """Make a graph, copy it, and write everything down that can be seen."""
    source = make()
    _, numbers = describe(source)
    Using.module = module
    std_copy._deepcopy_dispatch[InDispatch] = copy_dispatched
    trace.take()
    error = rows = None
    try:
        made = operation(module, source)
        # What died meanwhile may have left its address to a copy.
        alive = describe(source)[1]
        rows, _ = describe(made, {key: numbers[key] for key in numbers.keys() & alive.keys()})
    except RecursionError:
        trace.take()
        return None
    except Exception as exception:
        error = describe_error(exception)
    finally:
        del std_copy._deepcopy_dispatch[InDispatch]
    return rows, error, trace.take(), describe(source)[0]


def describe_error(exception):
    """Type, message, cause and context."""
    if exception is None:
        return None
    return (
        type(exception).__name__,
        recording.mask(str(exception)),
        describe_error(exception.__cause__),
        describe_error(exception.__context__),
    )


def compare(operation, make):
    """Assert that both implementations do the same; out of stack there, anything is right here."""
    expected = record(STANDARD, operation, make)
    actual = record(OURS, operation, make)
    if expected is not None:
        assert actual == expected
    return expected


def deepcopy(module, source):
    """The operation most tests are about."""
    return module.deepcopy(source)


def copy(module, source):
    """The shallow one."""
    return module.copy(source)


def deepcopy_into(memo_type):
    """deepcopy with a memo of the caller's, which is part of what is compared."""

    def operation(module, source):
        memo = memo_type()
        return [module.deepcopy(source, memo), describe_memo(memo), module.deepcopy(source, memo)]

    return operation
