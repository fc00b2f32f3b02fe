"""Copies and the collector: it sees all of a copy that anybody is handed, and all in the end."""

import collections
import copyreg
import gc
import itertools
import sys
import sysconfig
import weakref
from operator import abs

import pytest

from support import copies
from support.implementations import requires_core

pytestmark = requires_core

MANY = 5000
"""Objects of which some are hidden, and after which a collection is due."""

SMALL = 20
"""Objects of which none is."""

HIDES = not sysconfig.get_config_var("Py_GIL_DISABLED")


class Called:
    """A registered class whose reducer is called."""

    __slots__ = ("__weakref__", "name", "number")

    seen: "list[object]" = []

    def __init__(self, name, number):
        self.name = name
        self.number = number


class CalledInDict(Called):
    pass


class Hook:
    """What the reducer does besides."""

    function = staticmethod(lambda obj: None)


def reduce_called(obj):
    try:
        Hook.function(obj)
    finally:
        arguments = (obj.name, abs(obj.number))
    return type(obj), arguments


copyreg.pickle(Called, reduce_called)
copyreg.pickle(CalledInDict, reduce_called)


class Plain:
    def __init__(self, *fields):
        self.first, self.second = fields


class Slotted:
    __slots__ = ("first", "second")

    def __init__(self, *fields):
        self.first, self.second = fields


class Named(collections.namedtuple("Named", "first second")):
    __slots__ = ()


class Handed:
    """Notes whether the collector sees what its methods are handed."""

    noted: "list[tuple[str, bool]]" = []

    def __init__(self, parts):
        self.parts = parts

    def note(self, where, obj):
        self.noted.append((where, gc.is_tracked(obj)))


class Constructed(Handed):
    def __init__(self, parts):
        for part in parts:
            self.note("init", part)
        self.parts = parts

    def __reduce__(self):
        return Constructed, (self.parts,)


class Stateful(Handed):
    def __getstate__(self):
        return [self.parts]

    def __setstate__(self, state):
        for part in state[0]:
            self.note("setstate", part)
        self.parts = state[0]


class Appended(Handed, list):
    def __init__(self, parts=()):
        list.__init__(self, parts)

    def append(self, item):
        self.note("append", item)
        list.append(self, item)


class Filled(Handed, dict):
    def __init__(self, parts=()):
        for number, part in enumerate(parts):
            dict.__setitem__(self, number, part)

    def __setitem__(self, key, item):
        self.note("setitem", item)
        dict.__setitem__(self, key, item)


class Deep(Handed):
    def __deepcopy__(self, memo):
        for copy in memo.values():
            self.note("deepcopy", copy)
        return Deep(self.parts)


class Key:
    """Hashed by a function, which has its object then."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __hash__(self):
        Handed.noted.append(("hash", gc.is_tracked(self)))
        return hash(self.name)

    def __eq__(self, other):
        return self.name == other.name


copyreg.pickle(Key, lambda obj: (Key, (str(obj.name),)))

GRAPHS = {
    "called": lambda count: [Called(str(i), i) for i in range(count)],
    "called in dict": lambda count: {str(i): CalledInDict(str(i), i) for i in range(count)},
    "called twice": lambda count: [Called(str(i), i) for i in range(count)] * 2,
    "plain": lambda count: [Plain(i, [i]) for i in range(count)],
    "slots": lambda count: [Slotted(Slotted(i, i), {}) for i in range(count)],
    "dicts": lambda count: [{"a": i, "b": {"c": []}, "d": {}} for i in range(count)],
    "tuples": lambda count: [((i, [i]), (i,)) for i in range(count)],
    "tuple of all": lambda count: ([[i] for i in range(count)], Plain(1, (2, [3]))),
    "named": lambda count: [Named(i, [i]) for i in range(count)],
    "mixed": lambda count: [
        kind(i, i if kind is Called else [i])
        for kind in (Plain, Slotted, Named, Called)
        for i in range(count // 4)
    ],
    "turns": lambda count: [
        kind(i, i) for i in range(count // 4) for kind in (Called, Plain, Slotted, Named)
    ],
}


@pytest.fixture(autouse=True)
def nothing_kept():
    for kind, parts in ((Called, ("a", 1)), (CalledInDict, ("a", 1)), (Key, ("a",))):
        for _ in range(400):
            copies.OURS.deepcopy(kind(*parts))
    yield
    Hook.function = staticmethod(lambda obj: None)
    Handed.noted.clear()
    Called.seen.clear()


def tracked(root):
    """What is reachable, in order, and whether the collector sees it. Tuples and dicts that it
    finds full of atoms it forgets, now or later."""
    seen, waiting, found = {id(root)}, [root], []
    while waiting:
        obj = waiting.pop()
        if type(obj) not in (tuple, dict):
            found.append((type(obj), gc.is_tracked(obj)))
        elif not gc.is_tracked(obj):
            assert not any(map(gc.is_tracked, gc.get_referents(obj)))
        for part in gc.get_referents(obj):
            if id(part) not in seen and not isinstance(part, type):
                seen.add(id(part))
                waiting.append(part)
    return found


@pytest.mark.parametrize("count", [SMALL, MANY])
@pytest.mark.parametrize("kind", GRAPHS)
def test_all_of_a_copy_is_tracked_as_the_standard_librarys(kind, count):
    source = GRAPHS[kind](count)
    expected = tracked(copies.STANDARD.deepcopy(source))
    for _ in range(3):
        assert tracked(copies.OURS.deepcopy(source)) == expected
    assert tracked(copies.OURS.deepcopy(source, {})) == expected


def parts():
    return [Called(str(i), i) for i in range(MANY // 10)]


HANDLERS = {
    "init": lambda: [Constructed(parts()), parts()],
    "setstate": lambda: [parts(), Stateful(parts())],
    "append": lambda: [parts(), Appended(parts())],
    "setitem": lambda: [parts(), Filled(parts())],
    "deepcopy": lambda: [parts(), Deep(1), parts(), Deep(2)],
    "hash": lambda: [parts(), {Key(str(i)): i for i in range(500)}],
}


@pytest.mark.parametrize("kind", HANDLERS)
def test_foreign_code_is_handed_nothing_untracked(kind):
    source = HANDLERS[kind]()
    noted = []
    for module in (copies.STANDARD, copies.OURS):
        Handed.noted.clear()
        module.deepcopy(source)
        noted.append(list(Handed.noted))
    assert noted[0] == noted[1]
    assert noted[0]


@pytest.mark.parametrize("kind", ["called", "plain", "slots", "mixed"])
def test_cycles_through_copies_are_collected(kind):
    source = GRAPHS[kind](MANY)
    made = copies.OURS.deepcopy(source)
    watched = []
    for obj in made:
        if isinstance(obj, (Called, Plain)):
            watched.append(weakref.ref(obj))
            setattr(obj, "name" if isinstance(obj, Called) else "first", [obj])
    holder = [made]
    made.append(holder)
    del made, obj, holder
    gc.collect()
    assert not any(ref() for ref in watched)


def test_collections_in_reducers_find_no_copy_to_be_garbage():
    finalized = []
    turns = itertools.count()

    class Finalized(Called):
        __slots__ = ()

        def __del__(self):
            finalized.append(self.name)

    copyreg.pickle(Finalized, reduce_called)

    def collect(obj):
        if next(turns) % 500 == 0:
            gc.collect()

    source = [Finalized(str(i), i) for i in range(MANY)]
    Hook.function = staticmethod(collect)
    try:
        made = copies.OURS.deepcopy(source)
    finally:
        del copyreg.dispatch_table[Finalized]
    assert not finalized
    assert [obj.name for obj in made] == [obj.name for obj in source]
    del made
    assert len(finalized) == MANY


@pytest.mark.parametrize("fails_at", [0, 100, 300, 3000])
def test_what_was_copied_before_an_error_is_let_go(fails_at):
    turns = itertools.count()

    def fail(obj):
        if next(turns) == fails_at:
            raise LookupError(fails_at)

    source = [Called(str(i), i) for i in range(MANY)]
    before = sum(type(obj) is Called for obj in gc.get_objects())
    Hook.function = staticmethod(fail)
    with pytest.raises(LookupError):
        copies.OURS.deepcopy(source)
    assert sum(type(obj) is Called for obj in gc.get_objects()) == before


def found_copies(source):
    """Copies that somebody finds who asks the collector."""
    known = set(map(id, source))
    return [obj for obj in gc.get_objects() if type(obj) is Called and id(obj) not in known]


class Leaking(Constructed):
    """Keeps what its constructor is handed."""

    def __init__(self, parts):
        Called.seen.append(parts)
        self.parts = parts

    def __reduce__(self):
        return Leaking, (self.parts,)


def test_what_was_handed_out_before_an_error_stays_tracked():
    turns = itertools.count()

    def fail(obj):
        assert all(map(gc.is_tracked, itertools.chain(*Called.seen)))
        if next(turns) == 2 * MANY - 10:
            raise LookupError

    many = [Called(str(i), i) for i in range(MANY)]
    source = [many[:300], Leaking(many[300:400]), many[400:], Leaking(many[:1]), many]
    Hook.function = staticmethod(fail)
    for module in (copies.STANDARD, copies.OURS):
        turns = itertools.count(MANY)
        Called.seen.clear()  # Of the source, too.
        with pytest.raises(LookupError):
            module.deepcopy(source)
        assert [len(parts) for parts in Called.seen] == [100]
        assert all(map(gc.is_tracked, itertools.chain(Called.seen, *Called.seen)))


@pytest.mark.skipif(not HIDES, reason="nothing is hidden without the GIL")
def test_only_who_asks_the_collector_misses_them():
    source = [Called(str(i), i) for i in range(MANY)]
    turns, found = itertools.count(), []

    def look(obj):
        if next(turns) == MANY - 1:
            found.extend(found_copies(source))

    Hook.function = staticmethod(look)
    made = copies.OURS.deepcopy(source)
    assert len(found) < 300
    assert len(found_copies(source)) == len(made)


class Clearing:
    """Garbage that empties every unfinished copy it can find when it is collected."""

    def __init__(self, marks):
        self.marks = marks
        self.itself = self

    def __del__(self):
        for obj in gc.get_objects():
            for part in obj if type(obj) is tuple else (obj,):
                if type(part) in (list, dict) and id(part) not in self.marks:
                    self.clear(part)

    def clear(self, obj):
        inside = obj if type(obj) is list else list(obj.values())
        if inside and type(inside[0]) is Plain and inside[0].first == "mark":
            self.marks.append(id(obj))
            obj.clear()


def marked(kind):
    inside = [Plain("mark", [i]) for i in range(MANY)]
    return {"list": inside, "tuple": (inside, 1), "dict": dict(enumerate(inside))}[kind]


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_finalizers_may_empty_what_was_copied(kind):
    for _ in range(5):
        source = marked(kind)
        marks = []
        inside = source[0] if kind == "tuple" else source
        marks.append(id(inside))
        Clearing(marks)
        made = copies.OURS.deepcopy(source)
        left = made[0] if kind == "tuple" else made
        # Up to 3.12 a collection may run when a part of it was copied: the rest comes after.
        rest = left.values() if kind == "dict" else left
        assert [obj.second for obj in rest] == [[i] for i in range(MANY - len(left), MANY)]
        assert len(left) in (0, MANY) or sys.version_info < (3, 13)
        assert gc.is_tracked(left)
        gc.collect()
        del made, left, source, inside


@pytest.mark.skipif(sys.version_info < (3, 13), reason="a collection due is not seen there")
def test_a_collection_that_is_due_runs():
    source = [Plain(1, []) for _ in range(MANY)]
    ran = []

    def count(phase, info):
        ran.append(phase)

    gc.callbacks.append(count)
    try:
        for _ in range(5):
            copies.OURS.deepcopy(source)
    finally:
        gc.callbacks.remove(count)
    assert ran.count("start") == ran.count("stop") >= 4


# --- copies that fail


def fail(*_):
    raise ValueError("called")


def with_hooks(**hooks):
    return type("Hooked", (), hooks)()


def reducing(*value):
    return with_hooks(__reduce__=lambda self: value)


def broken_iterator():
    yield with_hooks()
    raise ValueError("called")


class OwnList(list):
    append = fail


class OwnDict(dict):
    __setitem__ = fail


class Broken:
    """A registered class of which a part cannot be copied."""

    __slots__ = ("part",)

    def __init__(self):
        self.part = RAISES


RAISES = with_hooks(__reduce__=fail)
copyreg.pickle(Broken, lambda obj: (list, (obj.part,)))
FAILURES = {
    "reduce": lambda: RAISES,
    "reduce_ex": lambda: with_hooks(__reduce_ex__=fail),
    "deepcopy": lambda: with_hooks(__deepcopy__=fail),
    "getstate": lambda: with_hooks(__getstate__=fail),
    "setstate": lambda: with_hooks(__getstate__=lambda self: ([],), __setstate__=fail),
    "part of the state": lambda: with_hooks(__getstate__=lambda self: [[], RAISES]),
    "constructor": lambda: reducing(fail, ([],)),
    "argument": lambda: reducing(list, ([], RAISES)),
    "argument of a plan": Broken,
    "no tuple": lambda: with_hooks(__reduce__=lambda self: 5),
    "only a constructor": lambda: reducing(list),
    "state": lambda: reducing(list, (), RAISES),
    "state setter": lambda: reducing(list, (), ([],), None, None, fail),
    "item": lambda: reducing(list, (), None, iter([[], RAISES])),
    "append": lambda: reducing(OwnList, (), None, iter([[]])),
    "iterator": lambda: reducing(list, (), None, broken_iterator()),
    "value": lambda: reducing(dict, (), None, None, iter([(1, RAISES)])),
    "setitem": lambda: reducing(OwnDict, (), None, None, iter([(1, [])])),
    "no pair": lambda: reducing(dict, (), None, None, iter([[]])),
    "attribute": lambda: Plain([], RAISES),
    "slot": lambda: Slotted([], RAISES),
    "named tuple": lambda: Named([], RAISES),
}


@pytest.mark.parametrize("enabled", [True, False], ids=["on", "off"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_copy_that_fails_leaves_the_collector_as_it_was(failure, enabled):
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        for many in (0, SMALL, MANY):
            for wrap in (lambda obj: obj, lambda obj: [[], obj], lambda obj: {1: (2, [obj])}):
                source = wrap(FAILURES[failure]())
                with pytest.raises((ValueError, TypeError)):
                    copies.OURS.deepcopy([*([] for _ in range(many)), source])
                assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_what_only_a_failing_reduce_value_held_finds_the_collector_on():
    class Dying:
        def __del__(self):
            seen.append(gc.isenabled())

        def __deepcopy__(self, memo):
            return 5

    reducers = {
        "constructor": lambda self: (fail, (Dying(),)),
        "argument": lambda self: (list, (Dying(), RAISES)),
        "state": lambda self: (Plain, (1, 2), [Dying(), RAISES]),
    }
    was, seen = gc.isenabled(), []
    gc.enable()
    try:
        for reduce in reducers.values():
            with pytest.raises(ValueError, match="called"):
                copies.OURS.deepcopy(with_hooks(__reduce__=reduce))
    finally:
        (gc.enable if was else gc.disable)()
    assert seen == [True] * len(reducers)
