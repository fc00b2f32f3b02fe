"""A differential fuzzer: random graphs of objects with hooks, copied by the standard library and
by fastcopyreg, for hours.

    python tests/harness/fuzz_copies.py [--seed N] [--seconds N]

Each case makes classes of its own, of any layout and with any of copy's hooks, and a graph of
their instances and of what the standard library has. Hooks note that they were called, and now
and then do harm: to the graph, the classes, copy's tables, the memo or the interpreter's state.
Compared are results with what is shared in them, the notes with what the memo held, exceptions,
what became of the source, and what is alive in the end and by how many references.

The cases run in children (tests/support/sweep.py); `--seed N --seconds 0` runs one batch again.
Exit status 1 if anything was found.
"""

import array
import collections
import contextlib
import copy as std_copy
import datetime
import decimal
import enum
import fractions
import functools
import gc
import pathlib
import re
import sys
import time
import types
import uuid
import weakref
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import copies, harm, recording, sweep
from support.child import Crash
from support.hooked import (
    FIELDS,
    OWN_HOOKS,
    Current,
    Fault,
    Run,
    Slotted,
    fixed_hash,
    hash_noting,
    hook,
    make_class,
)  # fmt: skip

BATCH = 400
ROWS = (3, 40, 300, 700)
RATES = (0, 0.02, 0.1, 0.3)
"""How often hooks do harm."""


class Colour(enum.Enum):
    RED = [1]
    BLUE = [2]


class Pair(collections.namedtuple("Pair", "a b")):
    __slots__ = ()


# ---- graphs ----------------------------------------------------------------------------------


def atom(dice):
    return dice.choice([None, 5, -70000, 1.5, "text", "a", b"bytes", True, 2j, ..., range(3), int,
                        len, hook, Colour.RED])  # fmt: skip


def instance(run, cls, part):
    dice = run.dice
    if issubclass(cls, Exception):
        made = cls(part(), part())
    elif issubclass(cls, (list, tuple, collections.deque)):
        made = cls.__new__(cls, [part() for _ in range(3)])
        if not isinstance(made, tuple):
            with contextlib.suppress(TypeError):
                type(made).extend(made, [part(), part()])
    elif issubclass(cls, collections.defaultdict):
        made = cls(list, {"k": part()})
    elif issubclass(cls, dict):
        made = cls()
        dict.__setitem__(made, "k", part())
        if issubclass(cls, collections.OrderedDict):
            collections.OrderedDict.__setitem__(made, "m", part())
    elif issubclass(cls, (int, str)):
        made = cls(5)
    elif issubclass(cls, (set, frozenset)):
        made = cls([1, "two"])
    else:
        made = object.__new__(cls)
    for name in FIELDS:
        if dice.random() < 0.7:
            with contextlib.suppress(AttributeError, TypeError):
                object.__setattr__(made, name, part())
    if dice.random() < 0.1:
        with contextlib.suppress(AttributeError, TypeError):
            vars(made)
    if dice.random() < 0.04:
        name = dice.choice(["__deepcopy__", "__setstate__", "__reduce_ex__", "__getstate__", "d"])
        with contextlib.suppress(AttributeError, TypeError):
            object.__setattr__(made, name, partial(OWN_HOOKS.get(name, print), made))
    return made


def standard(run, part):
    """Objects of the standard library's own."""
    dice = run.dice
    makers = [
        lambda: datetime.datetime(2024, 2, 29), lambda: decimal.Decimal("1.5"),
        lambda: fractions.Fraction(1, 3), lambda: uuid.UUID(int=5), lambda: Pair(part(), part()),
        lambda: collections.OrderedDict(a=part(), b=part()), lambda: collections.Counter("aab"),
        lambda: collections.deque([part(), part()], 5), lambda: types.SimpleNamespace(a=part()),
        lambda: collections.defaultdict(list, {1: part()}), lambda: pathlib.PurePath("a/b"),
        lambda: collections.ChainMap({"a": part()}), lambda: collections.UserDict(a=part()),
        lambda: functools.partial(hook, part()), lambda: array.array("i", [1, 2]),
        lambda: bytearray(b"x"), lambda: re.compile("x"), lambda: iter([part(), 1]),
        lambda: weakref.ref(hook), lambda: slice(part(), 1), lambda: property(hook),
        lambda: [part()].append, lambda: types.MethodType(hook, [part()]), lambda: Fault(part()),
        lambda: (n for n in ()), lambda: list[int], lambda: time.gmtime(0),
        lambda: types.MappingProxyType({}), lambda: memoryview(b"x"), lambda: frozenset([1, (2,)]),
        lambda: {1, "x", (3, 4)}, lambda: map(hook, [part()]), lambda: staticmethod(hook),
        lambda: contextlib.ExitStack, lambda: frozen(part),
    ]  # fmt: skip
    return dice.choice(makers)()


def frozen(part):
    made = getattr(__builtins__, "frozendict", None)
    return made(a=part(), b=1) if made is not None else 5


def build(run):
    """Classes and nodes; the root is the last node."""
    dice = run.dice
    for _ in range(dice.randrange(1, 5)):
        make_class(run)
    count = dice.choice([2, 5, 9, 14])
    patches = []

    def part():
        if run.nodes and dice.random() < 0.6:
            return dice.choice(run.nodes)
        return atom(dice)

    for _ in range(count):
        node = make_node(run, part, patches)
        run.nodes.append(node)
    if dice.random() < 0.3:
        run.nodes.append(make_rows(run, part))
    for node in patches:
        if dice.random() < 0.4:
            list.append(node, run.some_node()) if type(node) is list else node.update(
                z=run.some_node()
            )
    run.nodes.append([*run.nodes[-3:], *run.nodes[:3]] if dice.random() < 0.6 else run.nodes[-1])
    run.names = {
        id(node): f"S{n}"
        for n, node in enumerate(run.nodes)
        if type(node) not in copies.ATOMS and not isinstance(node, type)
    }


def make_node(run, part, patches):
    dice = run.dice
    match dice.randrange(10):
        case 0 | 1:
            node = [part() for _ in range(dice.randrange(5))]
            patches.append(node)
        case 2:
            node = {dice.choice("abcdef"): part() for _ in range(dice.randrange(5))}
            patches.append(node)
        case 3:
            keys = [dice.choice(["a", 5, (1, 2), None, 1.5]) for _ in range(3)]
            keys += [key for key in run.nodes if type(key).__hash__ in (hash_noting, fixed_hash)]
            node = {key: part() for key in keys}
            if dice.random() < 0.3:
                node = dice.choice([set, frozenset])(key for key in keys if type(key) is not str)
            if dice.random() < 0.4:
                node = vars_of_some(run, node)
        case 4:
            node = tuple(part() for _ in range(dice.randrange(4)))
        case 5:
            node = standard(run, part)
        case _:
            node = instance(run, dice.choice(run.classes), part)
    return node


def vars_of_some(run, other):
    """The __dict__ of an instance, which two of them may have."""
    owners = [node for node in run.nodes if type(node) in run.classes and copies.type_dict(node)]
    if not owners:
        return other
    made = run.dice.choice(owners)
    if run.dice.random() < 0.4:
        with contextlib.suppress(AttributeError, TypeError):
            run.dice.choice(owners).__dict__ = made.__dict__
    return copies.type_dict(made)


def make_rows(run, part):
    """Many of a class, which are copied by what is known of the one before."""
    dice = run.dice
    cls = dice.choice(run.classes)
    makers = [
        lambda: instance(run, cls, lambda: atom(dice)),
        lambda: instance(run, cls, part),
        lambda: [5, []],
        lambda: {"a": 1, "b": []},
        lambda: Slotted(1, []),
        lambda: (1, [2]),
    ]
    first = dice.choice(makers[:3] if dice.random() < 0.7 else makers)
    rows = [
        first() if dice.random() < 0.98 else dice.choice(makers)()
        for _ in range(dice.choice(ROWS))
    ]
    return rows if dice.random() < 0.8 else {str(n): row for n, row in enumerate(rows)}


# ---- one case --------------------------------------------------------------------------------


def operate(run, way, root):
    module = run.module
    if way == 0:
        return module.deepcopy(root)
    if way == 1:
        return [module.copy(node) for node in list(run.nodes)]
    memo = {}
    if way == 3:
        memo[id(run.some_node())] = ["planted"]
    made = [module.deepcopy(root, memo)]
    return [*made, run.memo(memo), module.deepcopy(root, memo)]


def describe_exception(error, depth=0):
    if error is None or depth > 5:
        return None
    return (
        type(error).__name__,
        recording.mask(str(error)),
        describe_exception(error.__cause__, depth + 1),
        describe_exception(error.__context__, depth + 1),
    )


def warm_up(run):
    """Lets the classes be known."""
    for cls in run.classes:
        for _ in range(run.dice.choice([0, 2, 6])):
            with contextlib.suppress(Exception):
                made = instance(run, cls, lambda: 1)
                run.module.deepcopy([made, made])


@contextlib.contextmanager
def interpreter_as_it_was():
    """Hooks edit copy's tables, put others in their place, and set what the interpreter has."""
    named = {name: getattr(std_copy, name) for name in ("_deepcopy_dispatch", "dispatch_table")}
    tables = [*named.values(), getattr(std_copy, "_copy_dispatch", {})]
    before = [dict(table) for table in tables]
    thresholds = gc.get_threshold()
    try:
        yield
    finally:
        unwatch()
        gc.set_threshold(*thresholds)
        gc.enable()
        vars(std_copy).update(named)
        for table, items in zip(tables, before, strict=True):
            if list(table.items()) != list(items.items()):
                table.clear()
                table.update(items)


def unwatch():
    """No tracer, profiler or monitoring tool any more."""
    sys.settrace(None)
    sys.setprofile(None)
    if sys.version_info >= (3, 12) and sys.monitoring.get_tool(harm.TOOL):
        sys.monitoring.free_tool_id(harm.TOOL)


class Outcome(NamedTuple):
    """All that can be seen of a case."""

    gave_up: bool  # with a RecursionError, which is anybody's own
    notes: list
    error: tuple | None
    rows: list
    kept: list
    source: list | None
    died: dict
    references: list
    alive: list


def outcome(module, case):
    gc.collect()  # What is left of the case before, which nobody is to find dying.
    gc.freeze()  # What is there already need not be looked through again and again.
    copies.Using.module = module
    run = Run(module, *case, harm.ACTIONS, harm.MEMO_ACTIONS)
    with interpreter_as_it_was():
        try:
            told, classes = run_case(run)
        finally:
            Current.run = None
    del run  # After that: on 3.11 who looks at an attribute of a class that is being set crashes.
    gc.collect()
    return Outcome(*told, [reference() is not None for reference in classes])


def run_case(run):
    """What an Outcome has but for what is alive, and weak references to the classes."""
    Current.run = run
    build(run)
    warm_up(run)
    gc.collect()
    run.died.clear()
    way, root = run.dice.choice([0, 0, 0, 1, 2, 3]), run.nodes[-1]
    counted = [node for node in run.nodes if id(node) in run.names and type(node) is not tuple]
    made = error = None
    gave_up = False
    run.quiet = False
    try:
        made = operate(run, way, root)
    except BaseException as exception:
        error = describe_exception(exception)
        gave_up = isinstance(exception, RecursionError)
    finally:
        run.quiet = True
        unwatch()
    rows = described(run, made)
    kept = [described(run, obj) for obj in run.kept[:20]]
    source = None if run.forgotten else described(run, root)
    made = None
    run.kept.clear()
    gc.collect()
    references = [sys.getrefcount(node) for node in counted]
    told = gave_up, run.notes, error, rows, kept, source, dict(run.died), references
    return told, [weakref.ref(cls) for cls in run.classes]


def tell(row):
    """Addresses are nobody's business."""
    if row[0] == "int" and len(row[1]) > 6:
        return "int", "address"
    if isinstance(row[1], tuple) and not all(isinstance(name, str) for name in row[1][2]):
        return row[0], (*row[1][:2], [type(name).__name__ for name in row[1][2]])
    return row


def described(run, obj):
    rows, numbers = copies.describe(obj)
    rows = [tell(row) for row in rows]
    places = {numbers[key]: name for key, name in run.names.items() if key in numbers}
    return rows, (sorted(places.items()) if not run.forgotten else None)


# After these, sources may die and leave their addresses to others, which the memo then confuses.
FORGETTING = [("does", action.__name__) for action in harm.FORGETTING]


def agree(expected, actual):
    if isinstance(expected, Crash) or expected.gave_up:
        return True
    if isinstance(actual, Crash):
        return False
    return expected == actual or any(note in FORGETTING for note in expected.notes)


def differences(cases):
    """The first few cases that do not agree, with their outcomes as text."""
    return sweep.differences(
        cases, partial(outcome, copies.STANDARD), partial(outcome, copies.OURS), agree
    )


def first_difference(expected, actual):
    """Where two texts begin to differ."""
    at = next((i for i, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), 0)
    return [f"... {text[max(at - 200, 0) : at + 200]} ..." for text in (expected, actual)]


def differences_from(seed):
    batch = [(seed + i, RATES[i % 4]) for i in range(BATCH)]
    return differences(batch), len(batch)


def main(arguments=None):
    found, cases, seed = sweep.hunt(__doc__, arguments, BATCH, differences_from)
    for (of, rate), expected, actual in found:
        print(f"--seed {of}, rate {rate}:", *first_difference(expected, actual), sep="\n  ")
    print(f"{cases} copies by either, {len(found)} differences, seeds up to {seed}")
    return 1 if found else 0


if __name__ == "__main__":
    from harness import fuzz_copies

    sys.exit(fuzz_copies.main())
