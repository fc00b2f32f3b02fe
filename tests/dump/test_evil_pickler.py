"""Callbacks that use, initialise or clear the pickler they were called by, and the like.

Both picklers run in child processes: the standard library crashes on some of this on some
versions, and then any ending of ours but a crash is right. Where a pickler is used from inside
its own callback, RuntimeError is right on every version, whatever the running standard library
does.
"""

import copyreg
import functools
import gc
import itertools
import os
import signal
import sys
import time
import weakref
from pickle import PickleBuffer

import pytest

from support import evil
from support.child import Crash, each_in_child, in_child, requires_fork
from support.classes import ByClass, Plain, Slots, SubList, make_plain
from support.corpus import FRAME
from support.implementations import OURS, STANDARD, requires_core
from support.recording import Sink, describe_error, describe_memo, mask

pytestmark = [requires_core, requires_fork]


class Calls(ByClass):
    """Calls a function when it is reduced."""

    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        result = self.function()
        return make_plain, ("called", result if isinstance(result, str) else None)


def attempt(function, *args):
    """The name of the error of a call, or "done"."""
    try:
        function(*args)
    except Exception as error:
        return mask(f"{type(error).__name__}: {error}")
    return "done"


def settle(pickler, sink, obj):
    """Dump, then dump again: the outcome of each, what was written, and the memo's size."""
    outcomes = []
    for each in (obj, [1, ["after"]]):
        try:
            pickler.dump(each)
            outcomes.append(None)
        except Exception as error:
            outcomes.append(describe_error(error)[:2])
    return outcomes, sink.writes, len(pickler.memo.copy())


# What a callback may do to the pickler that called it. Each takes the pickler.
MISUSES = {
    "dump": lambda p: p.dump(["inner"]),
    "dump itself again": lambda p: p.dump(p.outer),
    "init": lambda p: p.__init__(Sink(), 2),
    "init other protocol": lambda p: p.__init__(Sink(), 0),
    "init that fails": lambda p: p.__init__(3),
    "clear_memo": lambda p: p.clear_memo(),
    "memo.clear": lambda p: p.memo.clear(),
    "memo copy": lambda p: p.memo.copy() and None,
    "memo assign empty": lambda p: setattr(p, "memo", {}),
    "memo assign copy": lambda p: setattr(p, "memo", p.memo.copy()),
    "memo assign other": lambda p: setattr(p, "memo", type(p)(Sink()).memo),
    "memo assign sparse": lambda p: setattr(p, "memo", {1: (70000, p.outer)}),
    "memo assign bad": lambda p: setattr(p, "memo", {1: 2}),
    "memo assign own proxy": lambda p: setattr(p, "memo", p.memo),
    "fast on": lambda p: setattr(p, "fast", 1),
    "fast off": lambda p: setattr(p, "fast", 0),
    "bin on": lambda p: setattr(p, "bin", 1),
    "bin off": lambda p: setattr(p, "bin", 0),
    "dispatch_table": lambda p: setattr(p, "dispatch_table", {}),
    "persistent_id": lambda p: setattr(p, "persistent_id", lambda obj: None),
    "persistent_id deleted": lambda p: delattr(p, "persistent_id"),
    "reducer_override": lambda p: setattr(p, "reducer_override", lambda obj: NotImplemented),
    "clear and many": lambda p: [p.clear_memo(), len(p.memo.copy()), p.memo.clear()],
    "sizeof": lambda p: p.__sizeof__() and None,
    "collect": lambda p: gc.collect() and None,
}

# Where the callback is called from.
PLACES = {
    "reduce": {},
    "persistent_id": {"persistent_id": lambda self, obj: self.misuse_once(obj)},
    "reducer_override": {
        "reducer_override": lambda self, obj: self.misuse_once(obj, NotImplemented)
    },
}


def misusing_class(implementation, place, misuse, caught):
    """A subclass that misuses itself once, at that place."""

    class Misusing(implementation.Pickler):
        misused = False
        outer = None

        def misuse_once(self, obj, result=None):
            if type(obj) is Plain and not self.misused:
                self.misused = True
                self.attempted = attempt(misuse, self) if caught else misuse(self)
            return result

    for name, function in PLACES[place].items():
        setattr(Misusing, name, function)
    return Misusing


def misuse_scenario(implementation, place, name, caught, fast, protocol):
    """One pickler misused from inside a dump; what came of it."""
    misuse = MISUSES[name]
    sink = Sink()
    pickler = misusing_class(implementation, place, misuse, caught)(sink, protocol)
    pickler.fast = fast
    shared = ["shared", ("in", "tuple")]
    calls = Calls(lambda: pickler.misuse_once(Plain())) if place == "reduce" else Plain()
    pickler.outer = outer = [shared, {"k": shared}, (calls, shared), shared, Plain(), "text" * 100]
    return settle(pickler, sink, outer), getattr(pickler, "attempted", None)


def acceptable(expected, actual, misuse=True):
    """A crash there: anything but a crash. Else the same, or RuntimeError for what is misuse."""
    if isinstance(actual, Crash):
        return OURS.name == "stdlib" and isinstance(expected, Crash)
    if isinstance(expected, Crash) or expected == actual:
        return True
    return misuse and "RuntimeError" in repr(actual)


def assert_each_acceptable(scenario, cases):
    """Run a scenario of misuse with both picklers, once for each case."""
    cases = list(cases)
    expected = each_in_child(functools.partial(scenario, STANDARD), cases)
    actual = each_in_child(functools.partial(scenario, OURS), cases)
    for case, there, here in zip(cases, expected, actual, strict=True):
        assert acceptable(there, here), f"{case}\n stdlib: {there}\n tested: {here}"


@pytest.mark.parametrize("name", MISUSES)
@pytest.mark.parametrize("place", PLACES)
def test_pickler_misused_from_its_own_callback(place, name):
    cases = itertools.product([place], [name], (True, False), (False, True), (0, 2, 5))
    assert_each_acceptable(misuse_scenario, cases)


class ReentrantFile:
    """A file whose write() does something to the pickler, once."""

    def __init__(self):
        self.writes, self.action = [], None

    def write(self, data):
        self.writes.append((type(data).__name__, bytes(data)))
        action, self.action = self.action, None
        if action is not None:
            action()


def write_scenario(implementation, name, protocol):
    """A pickler misused by its file's write()."""
    file = ReentrantFile()

    class Sub(implementation.Pickler):
        outer = None

    pickler = Sub(file, protocol)
    pickler.outer = obj = [
        ["s"],
        b"b" * FRAME,
        ("t", ["s"]),
        "u" * FRAME,
        bytearray(FRAME),
        ["end"],
    ]
    outcomes = []
    file.action = lambda: outcomes.append(attempt(MISUSES[name], pickler))
    return settle(pickler, file, obj), outcomes


@pytest.mark.parametrize("name", MISUSES)
def test_pickler_misused_by_write(name):
    assert_each_acceptable(write_scenario, itertools.product([name], (0, 4, 5)))


def buffer_scenario(implementation, name):
    """A pickler misused by its buffer_callback."""
    sink, outcomes = Sink(), []
    holder = []

    class Sub(implementation.Pickler):
        outer = None

    def callback(buffer):
        if not outcomes:
            outcomes.append("asked")
            outcomes.append(attempt(MISUSES[name], holder[0]))
        return len(outcomes) % 2 == 0

    pickler = Sub(sink, 5, buffer_callback=callback)
    holder.append(pickler)
    pickler.outer = obj = [PickleBuffer(b"one"), ["s"], PickleBuffer(bytearray(b"two")), ["t"]]
    return settle(pickler, sink, obj), outcomes


@pytest.mark.parametrize("name", MISUSES)
def test_pickler_misused_by_buffer_callback(name):
    expected = in_child(buffer_scenario, STANDARD, name)
    actual = in_child(buffer_scenario, OURS, name)
    assert acceptable(expected, actual), f"\n stdlib: {expected}\n tested: {actual}"


def new_alone(implementation):
    """Picklers made by __new__ alone, used in every way."""
    found = []
    subclass = type("Sub", (implementation.Pickler,), {"__init__": lambda self: None})
    for make in (lambda: implementation.Pickler.__new__(implementation.Pickler), subclass):
        pickler = make()
        found.append([
            attempt(pickler.dump, 1),
            attempt(pickler.clear_memo),
            attempt(pickler.__sizeof__),
            attempt(getattr, pickler, "dispatch_table"),
            attempt(setattr, pickler, "fast", 1),
            attempt(setattr, pickler, "bin", 1),
            attempt(gc.collect),
        ])  # fmt: skip
    return found


def new_alone_memo(implementation):
    """The memo of a pickler that has none."""
    pickler = implementation.Pickler.__new__(implementation.Pickler)
    return (
        attempt(pickler.memo.copy),
        attempt(pickler.memo.clear),
        attempt(pickler.memo.__reduce__),
    )


def new_alone_memo_assigned(implementation):
    """A memo given to a pickler that was not initialised, which then is."""
    pickler = implementation.Pickler.__new__(implementation.Pickler)
    obj = ["known"]
    assigned = attempt(setattr, pickler, "memo", {id(obj): (0, obj)})
    sink = Sink()
    initialised = attempt(pickler.__init__, sink, 4)
    return assigned, initialised, attempt(pickler.dump, [obj, "new"]), sink.writes


def initialised_twice(implementation):
    """A second __init__ starts again."""
    first, second = Sink(), Sink()
    pickler = implementation.Pickler(first, 2)
    shared = ["shared"]
    pickler.dump(shared)
    pickler.fast = True
    pickler.dispatch_table = {}
    pickler.__init__(second, 4)
    pickler.dump(shared)
    fast = pickler.fast
    table = attempt(getattr, pickler, "dispatch_table")
    return first.writes, second.writes, fast, table, describe_memo(pickler.memo)


def initialised_then_failed(implementation):
    """A second __init__ that fails, at each argument."""
    found = []
    for args in ((3,), (Sink(), 9), (Sink(), "x"), (Sink(), 4, True, print), (Sink(), 5, True, 3)):
        sink = Sink()
        pickler = implementation.Pickler(sink, 4)
        shared = ["shared"]
        pickler.dump(shared)
        failed = attempt(pickler.__init__, *args)
        found.append(
            (failed, attempt(pickler.dump, [shared]), sink.writes, attempt(pickler.clear_memo))
        )
    return found


def init_failed(implementation):
    """A first __init__ that fails, and then one that does not."""
    found = []
    for args in ((3,), (Sink(), 9), (Sink(), "x"), (Sink(), 4, True, print)):
        pickler = implementation.Pickler.__new__(implementation.Pickler)
        sink = Sink()
        found.append((
            attempt(pickler.__init__, *args),
            attempt(pickler.dump, 1),
            attempt(pickler.clear_memo),
            attempt(pickler.__init__, sink, 4),
            attempt(pickler.dump, ["x"]),
            sink.writes,
        ))  # fmt: skip
    return found


def initialised_while_initialised(implementation):
    """The file's `write` property initialises the pickler that asks for it."""
    pickler = implementation.Pickler(Sink(), 4)

    class File:
        @property
        def write(self):
            attempt(pickler.__init__, Sink(), 2)
            gc.collect()
            return lambda data: None

    return attempt(pickler.__init__, File(), 4), attempt(pickler.dump, ["x"])


def table_drops_itself(implementation):
    """A table that is replaced while it is being asked."""
    sink = Sink()

    class Table:
        def __getitem__(self, key):
            pickler.dispatch_table = {}
            gc.collect()
            raise KeyError(key)

    pickler = implementation.Pickler(sink, 4)
    pickler.dispatch_table = Table()
    return attempt(pickler.dump, [Plain(), Plain()]), sink.writes


def hooks_deleted(implementation):
    """Hooks taken off the class while they run."""
    sink = Sink()

    class Sub(implementation.Pickler):
        def persistent_id(self, obj):
            if "persistent_id" in vars(Sub):
                del Sub.persistent_id
                gc.collect()

        def reducer_override(self, obj):
            if "reducer_override" in vars(Sub):
                del Sub.reducer_override
                gc.collect()
            return NotImplemented

    return attempt(Sub(sink, 4).dump, [Plain(), Plain()]), sink.writes


def last_reference_to_pickler(implementation):
    """The only reference to the pickler is dropped by what it calls."""
    sink = Sink()
    holder = [implementation.Pickler(sink, 4)]
    obj = [["a"], Calls(holder.clear), ["b"]]
    return attempt(holder[0].dump, obj), sink.writes


def last_reference_to_file(implementation):
    """The only reference to the file is the pickler's."""
    writes = []

    class File:
        def write(self, data):
            writes.append(bytes(data))

    pickler = implementation.Pickler(File(), 4)
    gc.collect()
    return attempt(pickler.dump, [b"b" * FRAME, Calls(gc.collect)]), writes


def objects_die_between(implementation):
    """Temporaries of a reducer die, and new objects come to lie where they were."""

    class Fresh(ByClass):
        def __reduce__(self):
            return make_plain, ([object.__new__(Plain)], str(id(self))[:0] + "text")

    return implementation.dumps([Fresh() for _ in range(2000)], 4)


def generator_of_fresh_items(implementation):
    """Items that exist only while they are saved."""

    class Fresh(ByClass):
        def __reduce__(self):
            return list, (), None, ([n] for n in range(5000)), (([n], [n]) for n in range(0))

    class FreshPairs(ByClass):
        def __reduce__(self):
            return dict, (), None, None, ((f"k{n}", [n]) for n in range(5000))

    return implementation.dumps([Fresh(), FreshPairs()], 4)


def reducer_keeps_changing_its_value(implementation):
    """The reduce value's own parts are changed while they are saved."""
    arguments_list = [1]
    state = {"a": 1}

    class Changing(ByClass):
        def __reduce__(self):
            return make_plain, (arguments_list, Calls(change)), state

    def change():
        arguments_list.clear()
        state.clear()
        state["b"] = ["new"]

    return implementation.dumps(Changing(), 4)


def tuple_emptied(implementation):
    """The last holder of a tuple lets it go while its items are being saved."""

    class Holder(ByClass):
        pass

    holder = Holder()
    calls = Calls(lambda: vars(holder).clear())
    holder.value = (["first"], calls, ["last"])
    holder.__class__ = Plain
    return attempt(implementation.dumps, holder, 4)


def items_let_go(container_of):
    """A scenario: the container is emptied or replaced by each of its own items' reducers."""

    def scenario(implementation):
        found = []
        for action in ("clear", "shrink", "grow", "replace"):
            holder = []
            items = [Calls(lambda a=action, h=holder: evil.alter(h[0], a)) for _ in range(3)]
            holder.append(container_of(items))
            try:
                found.append(implementation.dumps(holder[0], 4))
            except Exception as error:
                found.append(describe_error(error)[:2])
        return found

    return scenario


def attributes_let_go(implementation):
    """Instances whose `__dict__` is replaced, emptied or whose class changes while saved."""
    found = []
    actions = {
        "replace": lambda obj: setattr(obj, "__dict__", {"z": 1}),
        "clear": lambda obj: vars(obj).clear(),
        "delete": lambda obj: delattr(obj, "y"),
        "add": lambda obj: setattr(obj, "new", [1]),
        "class": lambda obj: setattr(obj, "__class__", OtherPlain),
        "many": lambda obj: [setattr(obj, f"n{n}", n) for n in range(100)] and None,
    }
    for action in actions.values():
        for touch in (False, True):
            obj = Plain()
            obj.x = ["x"]
            obj.calls = Calls(lambda o=obj, a=action: a(o))
            obj.y = ["y"]
            if touch:
                vars(obj)
            try:
                found.append(
                    implementation.dumps([obj, obj.y if hasattr(obj, "y") else 0, obj], 4)
                )
            except Exception as error:
                found.append(describe_error(error)[:2])
    return found


class OtherPlain(Plain):
    """What an instance becomes while it is saved."""


def slots_let_go(implementation):
    """Slots deleted and replaced while saved: the state is a snapshot."""
    found = []
    for action in ("delete", "replace"):
        obj = Slots()
        obj.a = Calls(
            lambda o=obj, a=action: delattr(o, "c") if a == "delete" else setattr(o, "c", [0])
        )
        obj.b, obj.c = ["b"], ["c"]
        found.append(implementation.dumps(obj, 4))
    return found


def keys_that_lie(implementation):
    """Keys whose hash and equality raise or change after the dict was made."""

    class Key(ByClass):
        bad = False

        def __hash__(self):
            if Key.bad:
                raise evil.EvilError("hash")
            return 1

        def __eq__(self, other):
            if Key.bad:
                raise evil.EvilError("eq")
            return self is other

    Key.__qualname__ = "Key"
    globals()["Key"] = Key
    obj = [{Key(): 1, Key(): 2}, {Key()}, frozenset([Key()])]
    Key.bad = True
    return implementation.dumps(obj, 4)


def finalizers_run(implementation):
    """Reduce values whose death runs Python that uses the pickler."""
    sink = Sink()
    seen = []

    class Dies:
        def __del__(self):
            seen.append(attempt(pickler.clear_memo))

    class Reduces(ByClass):
        def __reduce__(self):
            return DyingTuple((make_plain, ("x",)))

    class DyingTuple(tuple):
        def __del__(self):
            seen.append("died")
            attempt(pickler.clear_memo)

    pickler = implementation.Pickler(sink, 4)
    obj = [["s"], Reduces(), ["t"], Dies()]
    return attempt(pickler.dump, obj), sink.writes[:1], len(seen) > 0


def weakref_callbacks(implementation):
    """A weak reference's callback uses the pickler when a temporary dies."""
    sink, refs = Sink(), []
    pickler = implementation.Pickler(sink, 4)

    class Items(ByClass):
        def __reduce__(self):
            iterator = (n for n in [[1], [2]])
            refs.append(weakref.ref(iterator, lambda ref: attempt(pickler.clear_memo)))
            return list, (), None, iterator

    return attempt(pickler.dump, [["s"], Items(), ["t"]]), sink.writes


def memo_proxy_misused(implementation):
    """The proxy used after its pickler was initialised again, and across picklers."""
    first = implementation.Pickler(Sink(), 4)
    first.dump(["a"])
    proxy = first.memo
    first.__init__(Sink(), 2)
    counts = [len(proxy.copy())]
    first.dump(["b"])
    counts.append(len(proxy.copy()))
    second = implementation.Pickler(Sink())
    second.memo = proxy
    first.memo.clear()
    counts += [len(second.memo.copy()), len(proxy.copy())]
    return counts


def cycles_through_the_pickler(implementation):
    """A pickler in its own memo, its own table and its own hooks can be collected."""
    watched = []

    class Sub(implementation.Pickler):
        pass

    for _ in range(3):
        pickler = Sub(Sink(), 4)
        pickler.dispatch_table = {Sub: lambda obj: (make_plain, ())}
        pickler.persistent_id = lambda obj, p=pickler: None
        attempt(pickler.dump, [pickler, "x"])
        pickler.dispatch_table["self"] = pickler
        watched.append(weakref.ref(pickler))
    del pickler
    gc.collect()
    return [ref() is None for ref in watched]


def recursion_limit_changed_by_a_reducer(implementation):
    """The limit is lowered in the middle of a dump."""
    before = sys.getrecursionlimit()
    obj = [Calls(lambda: sys.setrecursionlimit(200))]
    for _ in range(30):
        obj = [obj]
    try:
        return implementation.dumps(obj, 4)
    finally:
        sys.setrecursionlimit(before)


def copyreg_table_replaced_types(implementation):
    """The shared table holds odd keys and values, and is cleared by a reducer."""
    table = copyreg.dispatch_table
    before = dict(table)
    table.update({1: 2, "k": None, (): []})
    try:
        table[Plain] = lambda obj: table.clear() or (make_plain, ())
        return attempt(implementation.dumps, [Plain(), Plain(), 1j], 4)
    finally:
        table.clear()
        table.update(before)


FUNCTIONS = [
    new_alone, new_alone_memo, new_alone_memo_assigned, initialised_twice,
    initialised_then_failed, init_failed, initialised_while_initialised, table_drops_itself,
    hooks_deleted, last_reference_to_pickler, last_reference_to_file, objects_die_between,
    generator_of_fresh_items, reducer_keeps_changing_its_value, tuple_emptied, attributes_let_go,
    slots_let_go, keys_that_lie, finalizers_run, weakref_callbacks, memo_proxy_misused,
    cycles_through_the_pickler, recursion_limit_changed_by_a_reducer,
    copyreg_table_replaced_types,
]  # fmt: skip

SCENARIOS = {function.__name__: function for function in FUNCTIONS} | {
    "list items let go": items_let_go(list),
    "dict values let go": items_let_go(lambda items: dict(zip("abc", items, strict=True))),
    "dict keys let go": items_let_go(lambda items: dict.fromkeys(items, 1)),
    "set members let go": items_let_go(set),
    "sublist items let go": items_let_go(lambda items: SubList(items)),
    "plain attributes let go": items_let_go(lambda items: plain_of(items)),
}


# Scenarios that use a pickler from inside itself.
MISUSING = {
    "initialised_while_initialised",
    "finalizers_run",
    "weakref_callbacks",
    "table_drops_itself",
}


def plain_of(items):
    """An instance with those as attributes."""
    made = Plain()
    vars(made).update(zip("abc", items, strict=True))
    return made


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_ends_as_there_or_soundly(name):
    expected = in_child(SCENARIOS[name], STANDARD)
    actual = in_child(SCENARIOS[name], OURS)
    sound = acceptable(expected, actual, misuse=name in MISUSING)
    assert sound, f"\n stdlib: {expected}\n tested: {actual}"


def test_crash_of_a_child_is_seen():
    """Without this, no test above could fail by a crash."""
    crash = in_child(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    assert isinstance(crash, Crash) and not acceptable("anything", crash)
    assert acceptable(crash, "anything") and not acceptable("one", "another")


def test_crash_is_said_of_the_case_that_crashed():
    def crash_on_one(number):
        return os.kill(os.getpid(), signal.SIGSEGV) if number == 1 else number

    first, second, third = each_in_child(crash_on_one, [(0,), (1,), (2,)])
    assert (first, third) == (0, 2) and isinstance(second, Crash)


def test_crash_of_cases_together_is_said_of_each():
    met = []

    def crash_on_second(number):
        met.append(number)
        return os.kill(os.getpid(), signal.SIGSEGV) if len(met) == 2 else number

    answers = each_in_child(crash_on_second, [(0,), (1,), (2,)])
    assert all(isinstance(answer, Crash) for answer in answers)


def test_child_that_hangs_is_ended():
    assert isinstance(in_child(time.sleep, 60, seconds=0.2), Crash)
