"""Classes that are made at random: of any layout, with any of copy's hooks, which note that they
are called and let a run do harm then (support.harm).
"""

import collections
import copy as std_copy
import copyreg
import dataclasses
import random

from support.copies import fields_of

FIELDS = ("a", "b", "c")


class Fault(Exception):
    """What hooks raise, and an object like others."""


# ---- the run that hooks belong to ------------------------------------------------------------


class Run:
    """One copy by one implementation, and all that is noted of it."""

    def __init__(self, module, seed, rate, actions, memo_actions):
        self.module = module
        self.dice = random.Random(seed)
        self.rate = rate
        self.actions = actions
        self.actions_with_memo = actions + memo_actions * 2
        self.quiet = True
        self.notes = []
        self.died = collections.Counter()
        self.classes = []
        self.nodes = []
        self.names = {}
        self.kept = []
        self.depth = 0
        self.forgotten = False

    def name(self, obj):
        """Which node of the source it is, or its type."""
        return self.names.get(id(obj)) or type(obj).__name__

    def note(self, *parts):
        if not self.quiet and len(self.notes) < 4000:
            self.notes.append(parts)

    def some_node(self):
        return self.dice.choice(self.nodes)

    def some_class(self):
        return self.dice.choice(self.classes)

    def memo(self, memo):
        """The last entries of a memo."""
        kept = memo.get(id(memo))
        return [
            ("kept", [self.name(obj) for obj in kept[-25:]] if isinstance(kept, list) else None)
            if key == id(memo)
            else (self.names.get(key, "?"), self.name(value))
            for key, value in list(memo.items())[-25:]
        ]


class Current:
    """The run in which hooks are called; None between runs."""

    run = None


def hook(site, obj=None, memo=None):
    """Notes the call, and may do harm."""
    run = Current.run
    if run is None or run.quiet:
        return
    run.note(site, run.name(obj), memo is not None and run.memo(memo))
    if run.dice.random() >= run.rate or run.depth > 3:
        return
    action = run.dice.choice(run.actions if memo is None else run.actions_with_memo)
    run.note("does", action.__name__)
    run.depth += 1
    try:
        action(run, obj, memo)
    finally:
        run.depth -= 1


# ---- methods of the classes ------------------------------------------------------------------


def deepcopy_usual(self, memo):
    hook("deepcopy", self, memo)
    made = object.__new__(type(self))
    memo[id(self)] = made
    for name, value in fields_of(self).items():
        object.__setattr__(made, name, Current.run.module.deepcopy(value, memo))
    return made


def deepcopy_late(self, memo):
    hook("deepcopy late", self, memo)
    parts = [Current.run.module.deepcopy(value, memo) for value in fields_of(self).values()]
    hook("deepcopy end", self, memo)
    return parts


def deepcopy_self(self, memo):
    hook("deepcopy self", self, memo)
    return self


def deepcopy_alone(self, memo):
    hook("deepcopy alone", self, memo)
    return Current.run.module.deepcopy(list(fields_of(self).values()))


def copy_self(self):
    hook("copy", self)
    return self


def reduce_usual(self, *protocol):
    hook("reduce", self)
    return copyreg.__newobj__, (type(self),), fields_of(self)


def reduce_parts(self, *protocol):
    hook("reduce parts", self)
    return Made, tuple(fields_of(self).values())


def reduce_items(self, *protocol):
    def list_items():
        for value in list(fields_of(self).values()):
            hook("next", self)
            yield value

    hook("reduce items", self)
    return List, (), {"a": 1}, list_items()


def reduce_pairs(self, *protocol):
    def dict_items():
        for item in list(fields_of(self).items()):
            hook("next pair", self)
            yield item

    hook("reduce pairs", self)
    return Dict, (), None, None, dict_items()


def reduce_name(self, *protocol):
    hook("reduce name", self)
    return "name"


def reduce_plain(self, *protocol):
    return Made, (self.a, self.b)


def reduce_registered(obj):
    return Made, (obj.a, obj.b)


def reduce_registered_called(obj):
    hook("registered", obj)
    return Made, (getattr(obj, "a", 1), [getattr(obj, "b", 2)])


def reduce_registered_atoms(obj):
    hook("registered atoms", obj)
    return Slotted, (str(type(obj).__name__), 1)


def reduce_registered_state(obj):
    hook("registered state", obj)
    return Made, (), {"a": getattr(obj, "a", None)}


def reduce_registered_name(obj):
    hook("registered name", obj)
    return "name"


class Reducer:
    """Callable and sometimes false."""

    def __init__(self, truth):
        self.truth = truth

    def __bool__(self):
        hook("bool")
        return self.truth

    def __call__(self, obj):
        hook("reducer", obj)
        return Made, (5,)


def dispatched(obj, memo):
    hook("dispatched", obj, memo)
    return [type(obj).__name__]


def dispatched_self(obj, memo):
    hook("dispatched self", obj, memo)
    return obj


REDUCERS = [
    reduce_registered, reduce_registered_called, reduce_registered_atoms, reduce_registered_state,
    reduce_registered_name, Reducer(True), Reducer(False), None,
]  # fmt: skip
DISPATCHED = [dispatched, dispatched_self, std_copy._deepcopy_dispatch[list], None]


def getstate_dict(self):
    hook("getstate", self)
    return dict(fields_of(self))


def getstate_own(self):
    hook("getstate own", self)
    return self.__dict__


def getstate_pair(self):
    hook("getstate pair", self)
    return None, dict(fields_of(self))


def getstate_list(self):
    hook("getstate list", self)
    return [list(fields_of(self).values())]


def getstate_plain(self):
    return {"a": self.a, "b": self.b}


def getstate_none(self):
    hook("getstate none", self)


def setstate_update(self, state):
    self.__dict__.update(state)


def setstate_replace(self, state):
    self.__dict__ = state


def setstate_noting(self, state):
    hook("setstate", state)
    if isinstance(state, tuple):
        state = {**(state[0] or {}), **(state[1] or {})}
    if isinstance(state, dict):
        for name, value in state.items():
            object.__setattr__(self, name, value)
    else:
        Current.run.kept.append(state)


def setattr_noting(self, name, value):
    hook("setattr " + str(name), self)
    object.__setattr__(self, name, value)


def getattribute_noting(self, name):
    hook("getattribute " + name, None)
    return object.__getattribute__(self, name)


def getattr_noting(self, name):
    hook("getattr " + name, None)
    raise AttributeError(name)


def init_storing(self, a=1, b=2):
    self.a = a
    self.b = b


def init_noting(self, *args):
    hook("init", args)
    for name, value in zip(FIELDS, args, strict=False):
        object.__setattr__(self, name, value)


def new_noting(cls, *args, **kwargs):
    hook("new")
    return object.__new__(cls)


def getnewargs(self):
    hook("getnewargs", self)
    return (5, [6])


def getnewargs_ex(self):
    hook("getnewargs_ex", self)
    return ([5],), {"b": [6]}


def append_noting(self, item):
    hook("append", item)
    list.append(self, item)


def setitem_noting(self, key, item):
    hook("setitem", item)
    dict.__setitem__(self, key, item)


def hash_noting(self):
    hook("hash")
    return 7


def fixed_hash(self):
    return 7


def eq_noting(self, other):
    hook("eq")
    return self is other


def del_noting(self):
    run = Current.run
    if run is not None and type(self) in run.classes:
        run.died[type(self).__name__] += 1


METHODS = {
    "__deepcopy__": [deepcopy_usual, deepcopy_usual, deepcopy_late, deepcopy_self, deepcopy_alone],
    "__copy__": [copy_self],
    "__reduce_ex__": [reduce_usual, reduce_parts, reduce_items, reduce_pairs, reduce_name,
                      reduce_plain],
    "__reduce__": [reduce_usual, reduce_parts, reduce_items, reduce_pairs, reduce_plain],
    "__getstate__": [getstate_dict, getstate_own, getstate_pair, getstate_list, getstate_plain,
                     getstate_none],
    "__setstate__": [setstate_update, setstate_replace, setstate_noting],
    "__setattr__": [setattr_noting],
    "__getattribute__": [getattribute_noting],
    "__getattr__": [getattr_noting],
    "__init__": [init_storing, init_noting],
    "__new__": [new_noting],
    "__getnewargs__": [getnewargs],
    "__getnewargs_ex__": [getnewargs_ex],
    "__hash__": [hash_noting, fixed_hash, fixed_hash],
    "__class__": [property(type)],
    "__dict__": [property(lambda self: {"a": 1})],
    "__eq__": [eq_noting],
    "__del__": [del_noting],
}  # fmt: skip
ANY_METHOD = {name: functions[-1] for name, functions in METHODS.items()}
SPECIAL = [name for name in METHODS if name not in ("__hash__", "__eq__", "__del__")]
LIKELY = {
    "__class__": 0.02, "__dict__": 0.02, "__deepcopy__": 0.2, "__setstate__": 0.2,
    "__getstate__": 0.15, "__del__": 0.2, "__reduce_ex__": 0.15, "__reduce__": 0.15,
    "__init__": 0.3,
}  # fmt: skip


OWN_HOOKS = {"__deepcopy__": deepcopy_late, "__setstate__": setstate_noting,
             "__reduce_ex__": reduce_parts, "__getstate__": getstate_list}  # fmt: skip


class Made:
    """What reducers make."""

    __hash__ = fixed_hash

    def __init__(self, *args):
        hook("made")
        self.args = args


class Slotted:
    __slots__ = ("a", "b")
    __hash__ = fixed_hash

    def __init__(self, a, b):
        self.a = a
        self.b = b


class List(list):
    append = append_noting


class Dict(dict):
    __setitem__ = setitem_noting


class Meta(type):
    """A metaclass of somebody's."""


class HashingMeta(type):
    def __hash__(cls):
        return 5


BASES = [object] * 12 + [list, dict, set, tuple, collections.OrderedDict, collections.deque, int,
                         str, Exception, collections.defaultdict, frozenset]  # fmt: skip


def make_class(run):
    """A class of any kind."""
    dice = run.dice
    base = dice.choice(BASES)
    space = {**layout_of(dice, base), **methods_of(dice, base)}
    meta = dice.choice([type] * 10 + [Meta, HashingMeta])
    parents = (base,)
    plain = [cls for cls in run.classes if cls.__base__ is object]
    if plain and base is object and dice.random() < 0.2:
        parents = (dice.choice(plain),)
    try:
        cls = meta(f"C{len(run.classes)}", parents, space)
    except TypeError:
        cls = type(f"C{len(run.classes)}", (base,), {})
    if parents == (object,) and meta is type and dice.random() < 0.2:
        cls = make_dataclass(run, space)
    run.classes.append(cls)
    if dice.random() < 0.25:
        copyreg.dispatch_table[cls] = dice.choice(REDUCERS)
    if dice.random() < 0.03:
        std_copy._deepcopy_dispatch[cls] = dice.choice(DISPATCHED)
    return cls


def layout_of(dice, base):
    if base is object:
        return dice.choice(
            [
                *({}, {}, {}, {"__slots__": FIELDS}, {"__slots__": FIELDS}),
                *({"__slots__": ("a", "__dict__")}, {"__slots__": (*FIELDS, "__weakref__")}),
            ]
        )
    has_none = base in (tuple, int, str, frozenset) and dice.random() < 0.3
    return {"__slots__": ()} if has_none else {}


def methods_of(dice, base):
    """Some methods, by name; none that such instances could not be made with."""
    space = {}
    for name, functions in METHODS.items():
        if base in (int, str, tuple, frozenset) and name in ("__new__", "__getnewargs_ex__"):
            continue
        if name in ("__init__", "__new__", "__hash__", "__eq__") and base is not object:
            continue
        if name in ("__getattribute__", "__reduce_ex__", "__eq__") and dice.random() < 0.6:
            continue
        if dice.random() < LIKELY.get(name, 0.06):
            space[name] = dice.choice(functions)
    if "__eq__" in space:
        space["__hash__"] = hash_noting
    if base is list and dice.random() < 0.3:
        space["append"] = append_noting
    elif base is dict and dice.random() < 0.3:
        space["__setitem__"] = setitem_noting
    return space


def make_dataclass(run, space):
    space.pop("__slots__", None)
    space = {name: value for name, value in space.items() if name not in NOT_OF_DATACLASSES}
    space["__annotations__"] = dict.fromkeys(FIELDS, object)
    options = {"slots": run.dice.random() < 0.7, "frozen": run.dice.random() < 0.5, "eq": False}
    return dataclasses.dataclass(**options)(type(f"C{len(run.classes)}", (), space))


NOT_OF_DATACLASSES = {"__init__", "__new__", "__setattr__", "__eq__", "__class__", "__dict__",
                      "__getstate__", "__setstate__"}  # fmt: skip
