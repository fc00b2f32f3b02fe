"""Runs plans in Python, as `fastcopyreg.compiler` defines their steps: the executor of the tests.

The C core's executor is compared with calling the function; so is this one, which is written from
the table of steps alone and knows nothing of types and versions.
"""

import types
from contextlib import suppress

from fastcopyreg.compiler import KINDS

MISSING = object()

_ATOMS = (str, int, float, bool, type(None))
_CONTAINERS = (tuple, list, dict, set, frozenset)


class Left(Exception):
    """The plan is left, and the function is to be called."""


class Executor:
    """One run of *plan*, in whose terms *functions* are the live functions that it names."""

    def __init__(
        self,
        plan,
        functions,
        *,
        bound=(),
        keywords=None,
        object=MISSING,
        protocol=None,
        cls=None,
        arguments=(),
    ):
        self.plan = plan
        self.functions = functions
        self.bound = bound
        self.keywords = keywords or {}
        self.object = object
        self.protocol = protocol
        self.cls = cls
        self.arguments = arguments
        self.values = {}
        self.stores = []

    def run(self):
        number = 0
        while True:
            kind, a, b, c = self.plan.steps[number]
            outcome = getattr(self, "step_" + KINDS[kind])(a, b, c)
            if KINDS[kind].startswith("RETURN"):
                return outcome
            if KINDS[kind].startswith("BRANCH"):
                number = number + 1 if outcome else c
                continue
            self.values[number] = outcome
            number += 1

    def operands(self, first, count):
        return [self.values[value] for value in self.plan.operands[first : first + count]]

    def name(self, index):
        return self.plan.names[index]

    # -- Loads --

    def step_OBJECT(self, a, b, c):
        return self.object

    def step_PROTOCOL(self, a, b, c):
        return self.protocol

    def step_BOUND(self, a, b, c):
        return self.bound[a]

    def step_BOUND_KEYWORD(self, a, b, c):
        return self.keywords[self.name(a)]

    def step_DEFAULT(self, a, b, c):
        function = self.functions[b]
        code = function.__code__
        if a >= code.co_argcount:
            defaults, key = function.__kwdefaults__ or {}, code.co_varnames[a]
        else:
            given = function.__defaults__ or ()
            defaults = dict(enumerate(given, code.co_argcount - len(given)))
            key = a
        if key not in defaults:
            raise Left
        return defaults[key]

    def step_CONSTANT(self, a, b, c):
        return self.plan.constants[a]

    def step_GLOBAL(self, a, b, c):
        function = self.functions[b]
        for names in (function.__globals__, function.__builtins__):
            if self.name(a) in names:
                return names[self.name(a)]
        raise Left

    def step_CELL(self, a, b, c):
        try:
            return self.functions[b].__closure__[a].cell_contents
        except ValueError:
            raise Left from None

    def step_ATTRIBUTE(self, a, b, c):
        try:
            return getattr(self.values[a], self.name(b))
        except AttributeError:
            raise Left from None

    def step_ATTRIBUTE_OR(self, a, b, c):
        return getattr(self.values[a], self.name(b), self.values[c])

    def step_TYPE(self, a, b, c):
        return type(self.values[a])

    def step_FRESH(self, a, b, c):
        if not any(self.values[a] is made for made in (list, dict, set)):
            raise Left
        return self.values[a]()

    def step_TUPLE(self, a, b, c):
        return tuple(self.operands(a, b))

    def step_LIST(self, a, b, c):
        return self.operands(a, b)

    def step_DICT(self, a, b, c):
        items = self.operands(a, 2 * b)
        return dict(zip(items[::2], items[1::2], strict=True))

    # -- Calls of atoms --

    def step_TEXT(self, a, b, c):
        self.check_atoms([self.values[a]])
        return format(self.values[a]) if b else str(self.values[a])

    def step_JOIN(self, a, b, c):
        return "".join(self.operands(a, b))

    def step_LENGTH(self, a, b, c):
        self.check_atoms([self.values[a]], (str, bytes, bytearray, *_CONTAINERS))
        return len(self.values[a])

    def step_SEQUENCE(self, a, b, c):
        self.check_atoms([self.values[a]], _CONTAINERS)
        return tuple(self.values[a]) if b else list(self.values[a])

    def step_CALL(self, a, b, c):
        self.check_atoms(self.operands(b, c))
        return self.plan.constants[a](*self.operands(b, c))

    def step_CALL_METHOD(self, a, b, c):
        owner, *others = self.operands(b, c)
        self.check_atoms([owner, *others], (str, int, float, bytes))
        return getattr(owner, self.name(a))(*others)

    def check_atoms(self, values, types=_ATOMS):
        if any(type(value) not in types for value in values):
            raise Left

    # -- Tests --

    def step_EXPECT(self, a, b, c):
        if self.values[a] is not self.plan.constants[b]:
            raise Left

    def step_EXPECT_CLASS(self, a, b, c):
        if self.values[a] is not self.cls.__mro__[b]:
            raise Left

    def step_BRANCH_TRUE(self, a, b, c):
        return bool(self.values[a])

    def step_BRANCH_IS(self, a, b, c):
        return self.values[a] is self.values[b]

    def step_LEAVE(self, a, b, c):
        raise Left

    # -- The ends of a reducer --

    def step_RETURN(self, a, b, c):
        return tuple(self.operands(a, b))

    def step_RETURN_VALUE(self, a, b, c):
        return self.values[a]

    # -- Constructors --

    def step_NEW(self, a, b, c):
        return MISSING

    def step_CLASS(self, a, b, c):
        return self.cls

    def step_ARGUMENT(self, a, b, c):
        return self.arguments[a] if a < len(self.arguments) else self.step_DEFAULT(b, 0, 0)

    def step_STORE(self, a, b, c):
        self.stores.append((setattr, self.name(a), self.values[b]))

    def step_STORE_GENERIC(self, a, b, c):
        self.stores.append((object.__setattr__, self.name(a), self.values[b]))

    def step_STORE_ITEM(self, a, b, c):
        self.stores.append((_set_item, self.plan.constants[a], self.values[b]))

    def step_RETURN_NEW(self, a, b, c):
        new = object.__new__(self.cls)
        for store, name, value in self.stores:
            store(new, name, value)
        return new

    def step_RETURN_TUPLE(self, a, b, c):
        return tuple.__new__(self.cls, self.operands(a, b))

    def step_RETURN_CALL(self, a, b, c):
        positional, keywords = self.plan.operands[b : b + 2]
        rest = self.plan.operands[b + 2 + positional :]
        named = {self.name(rest[2 * i]): self.values[rest[2 * i + 1]] for i in range(keywords)}
        return self.values[a](*self.operands(b + 2, positional), **named)


def _set_item(new, key, value):
    new.__dict__[key] = value


def unwrapped(reducer):
    """(function, bound arguments, bound keywords) of a function, method or partial."""
    bound, keywords = (), {}
    while not isinstance(reducer, types.FunctionType):
        if isinstance(reducer, types.MethodType):
            bound = (reducer.__self__, *bound)
            reducer = reducer.__func__
        else:
            bound = (*reducer.args, *bound)
            keywords = reducer.keywords | keywords
            reducer = reducer.func
    return reducer, bound, keywords


def reduce_by_plan(plan, reducer, object, protocol=None):
    """What *reducer* answers for *object*, by its plan."""
    function, bound, keywords = unwrapped(reducer)
    return Executor(plan, [function], bound=bound, keywords=keywords, object=object,
                    protocol=protocol).run()  # fmt: skip


def construct_by_plan(plan, constructor, arguments):
    """What *constructor* makes of *arguments*, by its plan."""
    if not isinstance(constructor, type):
        return Executor(plan, [constructor], arguments=arguments).run()
    functions = []
    for index, name in plan.functions:
        function = constructor.__mro__[index].__dict__[name]
        functions.append(getattr(function, "__func__", function))
    return Executor(plan, functions, cls=constructor, arguments=arguments).run()


def same(one, other):
    """Whether two values are built alike of the same objects: parts of displays by `is`."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if type(one) in (tuple, list):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is set:
        return one == other
    if type(one) is dict:
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    with suppress(AttributeError):
        return one.__self__ is other.__self__ and one.__func__ is other.__func__
    return False
