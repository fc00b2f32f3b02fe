"""Random object graphs: a hypothesis strategy for their description, and a builder.

A description is a tuple of nodes, each `(kind, value, children)` with children as numbers of
nodes, modulo their count. It is plain data, so that it shrinks well, prints well, and can be
built again for each pickler. Things that can be changed are made first and filled later, so that
every cycle is possible; a tuple or frozenset that would hold itself directly holds None instead.

Leaves are made anew at each build and the builder keeps nothing, so that references are counted as
they are in a program: many objects are held once, by their container.
"""

import collections
import decimal
import fractions
import functools
import types
import uuid

from hypothesis import strategies

from support import classes, evil
from support.classes import ByClass

FIELDS = ("a", "b", "c", "d")


def fresh_text(value):
    """The same text in a new object, where the interpreter makes one."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")


LEAVES = {
    "none": lambda value: None,
    "bool": lambda value: bool(value),
    "int": lambda value: int(str(value)),
    "float": lambda value: float.fromhex(value.hex()),
    "str": fresh_text,
    "bytes": lambda value: bytes(bytearray(value)),
    "bytearray": bytearray,
    "long str": lambda value: fresh_text(value[0]) * value[1],
    "long bytes": lambda value: value[0] * value[1],
    "global": lambda value: GLOBALS[value % len(GLOBALS)],
    "standard": lambda value: STANDARD_VALUES[value % len(STANDARD_VALUES)](),
    "subclass": lambda value: SCALAR_SUBCLASSES[value % len(SCALAR_SUBCLASSES)](),
    "interned": lambda value: ("a", "b", "key", "__dict__", "x", "")[value % 6],
}

GLOBALS = [
    len, int, dict, classes.Plain, classes.Outer.Inner, classes.make_plain, classes.SINGLETON,
    classes.REGISTERED_NAME, classes.Colour.RED, classes.Level.HIGH, classes.Outer.Inner.Innermost,
    KeyError, type(None), ..., NotImplemented, collections.OrderedDict, classes.Described,
    classes.Outer.function,
]  # fmt: skip

STANDARD_VALUES = [
    lambda: decimal.Decimal("1.5"),
    lambda: fractions.Fraction(1, 3),
    lambda: uuid.UUID(int=5),
    lambda: complex(1, 2),
    lambda: range(3),
    lambda: ValueError("v", 1),
    lambda: functools.partial(int, base=2),
    lambda: bytearray(b"b"),
]

SCALAR_SUBCLASSES = [
    lambda: classes.SubStr("sub"),
    lambda: classes.SubInt(5),
    lambda: classes.SubFloat(0.5),
    lambda: classes.SubBytes(b"sub"),
    lambda: classes.SubComplex(2j),
]

SHELLS = {
    "list": list,
    "dict": dict,
    "set": set,
    "sublist": classes.SubList,
    "subdict": classes.SubDict,
    "subset": classes.SubSet,
    "ordered": collections.OrderedDict,
    "default": lambda: collections.defaultdict(list),
    "deque": collections.deque,
    "namespace": types.SimpleNamespace,
    "exception": classes.Failure,
    "registered items": classes.RegisteredItems,
    "registered pairs": classes.RegisteredPairs,
}

INSTANCES = [
    classes.Plain, classes.Plain, classes.SubPlain, classes.Slots, classes.SubSlots,
    classes.SlotsAndDict, classes.WeakSlots, classes.WithState, classes.FalseState,
    classes.NoneState, classes.NewArguments, classes.NewArgumentsEx, classes.NewKeywords,
    classes.Reduces, classes.ReducesEx, classes.FullReduction, classes.SharedArguments,
    classes.Recursive, classes.RecursiveOnce, classes.Peeks, classes.Temporaries,
    classes.Registered, classes.Registered, classes.RegisteredDict, classes.RegisteredSetter,
    classes.RegisteredNew, classes.Data, classes.DataSlots, classes.DataFrozen,
    classes.DataFrozenSlots, classes.WithMeta, classes.Outer.Inner, classes.Persistent,
    classes.Overridden, classes.Tabled,
]  # fmt: skip

EVIL_INSTANCES = [
    evil.Alters, evil.AltersShrink, evil.AltersClear, evil.AltersReplace, evil.AltersInState,
    evil.AltersWhileIterated, evil.DropsItself, evil.DropsDictInState, evil.LateDict,
    classes.Peeks, evil.RaisesInReduce, evil.RaisesInState, evil.RaisesInItems,
    evil.RaisesInPairs, evil.RaisesStop, evil.RaisesMissing, evil.Irreducible, evil.Spoofed,
    evil.WatchedInstance, evil.FallbackLookups, evil.FakeDict, evil.OddSlots, evil.SlotNames,
    evil.BadSlotNames, classes.Plain, classes.Registered,
]  # fmt: skip

# Tests of what only some modules ask for add pools of their own.
POOLS = {"instance": INSTANCES, "evil": EVIL_INSTANCES}

FIXED = ("tuple", "frozenset", "subtuple", "point", "subfrozenset")


class Builder:
    """Builds one graph; dropped when its root is done."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.made = {}
        self.busy = set()

    def root(self):
        """Shells first, then everything into them; returns the object of node 0."""
        for number, node in enumerate(self.nodes):
            if node[0] not in FIXED and node[0] not in LEAVES:
                self.made[number] = make_shell(node)
        for number, (kind, _, _) in enumerate(self.nodes):
            if kind not in FIXED and kind not in LEAVES:
                self.fill(number)
        return self.child(0)

    def child(self, number):
        """The object of that node, made now if it is a leaf or fixed."""
        number %= len(self.nodes)
        if number not in self.made:
            if number in self.busy:
                return None
            self.busy.add(number)
            self.made[number] = self.make_fixed(number)
        return self.made[number]

    def make_fixed(self, number):
        """A leaf, or an immutable container of its children."""
        kind, value, children = self.nodes[number]
        if kind in LEAVES:
            return LEAVES[kind](value)
        items = [self.child(child) for child in children]
        if kind == "point":
            return classes.Point(*(items + [None, None])[:2])
        if kind == "tuple":
            return tuple(items)
        if kind == "subtuple":
            return classes.SubTuple(items)
        members = filter(orderly, items)
        return frozenset(members) if kind == "frozenset" else classes.SubFrozenset(members)

    def fill(self, number):
        """Put the children into what was made empty."""
        kind, value, children = self.nodes[number]
        target = self.made[number]
        items = [self.child(child) for child in children]
        # Not isinstance(): some of these classes lie about `__class__`.
        if issubclass(type(target), (list, collections.deque)):
            target.extend(items)
        elif issubclass(type(target), dict):
            fill_dict(target, items)
        elif issubclass(type(target), set):
            target.update(filter(orderly, items))
        else:
            for name, item in zip(FIELDS, items, strict=False):
                if settable(target, name):
                    object.__setattr__(target, name, item)
        fill_extra(target, value, items)


def make_shell(node):
    """An empty object of the node's kind."""
    kind, value, _ = node
    if kind in SHELLS:
        return SHELLS[kind]()
    pool = POOLS[kind]
    cls = pool[value % len(pool)]
    return cls.__new__(cls) if cls not in (classes.FullReduction,) else cls()


def settable(target, name):
    """Whether that attribute can be set on the object without running any of its own code."""
    descriptor = getattr(type(target), name, None)
    if isinstance(descriptor, types.MemberDescriptorType):
        return True
    return not isinstance(descriptor, property) and type(target).__dictoffset__ != 0


def fill_dict(target, items):
    """Pairs of items; what cannot be a key goes under a name."""
    keys, values = items[::2], items[1::2]
    for position, value in enumerate(values):
        key = keys[position]
        target[key if orderly(key) else f"k{position}"] = value


def fill_extra(target, value, items):
    """Attributes for subclasses that can have them; a `__dict__` made early for some instances."""
    if items and isinstance(target, (classes.SubList, classes.SubDict, classes.SubSet)):
        target.extra = items[0]
    elif type(target) in INSTANCES and isinstance(value, int) and value % 3 == 0:
        getattr(target, "__dict__", None)


def orderly(obj):
    """Whether the object can be hashed with the same result each time the graph is built."""
    if isinstance(obj, (tuple, frozenset)):
        return all(map(orderly, obj))
    return isinstance(obj, (type(None), int, float, str, bytes, ByClass)) and obj == obj


def build(nodes):
    """The root of the graph described; everything else is held by the graph alone."""
    return Builder(nodes).root()


def leaf_nodes():
    """Nodes without children."""
    small = strategies.integers(0, 99)
    numbers = strategies.one_of(
        strategies.integers(-300, 70000),
        strategies.integers(),
        strategies.builds(lambda bits, d: (1 << bits) + d, strategies.integers(0, 2100), small),
        strategies.builds(lambda bits, d: -(1 << bits) - d, strategies.integers(0, 80), small),
    )
    any_text = strategies.text(strategies.characters(exclude_categories=()), max_size=12)
    sizes = strategies.sampled_from([127, 128, 255, 256, 257, 21845, 65535, 65536, 70000])
    values = {
        "none": strategies.none(),
        "bool": strategies.booleans(),
        "int": numbers,
        "float": strategies.floats(),
        "str": any_text,
        "bytes": strategies.binary(max_size=12),
        "bytearray": strategies.binary(max_size=12),
        "long str": strategies.tuples(strategies.sampled_from("xé\u1234"), sizes),
        "long bytes": strategies.tuples(strategies.just(b"z"), sizes),
        "global": small,
        "standard": small,
        "subclass": small,
        "interned": small,
    }
    pairs = [strategies.tuples(strategies.just(kind), value) for kind, value in values.items()]
    return strategies.one_of(pairs).map(lambda pair: (*pair, ()))


def parent_nodes(kinds, children):
    """Nodes of those kinds with children."""
    kind = strategies.sampled_from(kinds)
    return strategies.tuples(kind, strategies.integers(0, 99), children)


def graphs(evil=False, max_nodes=14, pools=()):
    """Descriptions of graphs; with `evil`, callbacks in them raise, mutate and drop.

    `pools` names further pools of `POOLS` to take instances from.
    """
    numbers = strategies.integers(0, max_nodes * 2)
    children = strategies.lists(numbers, max_size=6).map(tuple)
    kinds = [*SHELLS, *FIXED, "list", "dict", "tuple", "tuple", *["instance"] * 8]
    if evil:
        kinds += ["evil"] * 8
    kinds += [pool for pool in pools for _ in range(8)]
    parents = parent_nodes(kinds, children)
    rest = strategies.lists(strategies.one_of(parents, leaf_nodes()), max_size=max_nodes)
    return strategies.builds(lambda first, others: (first, *others), parents, rest)
