"""copy, deepcopy and replace: what they are, what they promise."""

import copy as std_copy
import copyreg
import dataclasses
import gc
import inspect
import pickle as std_pickle
import sys
import threading
import weakref

import pytest

from support import copies
from support.classes import Failure, Plain
from support.implementations import requires_core
from support.outcomes import outcome

tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has none.

pytestmark = requires_core

ours = copies.OURS
NAMES = [name for name in ("copy", "deepcopy", "replace") if hasattr(std_copy, name)]


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_described_as_the_originals(name):
    function, original = getattr(ours, name), getattr(std_copy, name)
    assert inspect.signature(function) == inspect.signature(original)
    for attribute in ("__name__", "__qualname__", "__doc__", "__defaults__", "__kwdefaults__"):
        assert getattr(function, attribute) == getattr(original, attribute)
    assert std_pickle.loads(std_pickle.dumps(function)) is function
    assert std_copy.deepcopy(function) is function and ours.copy(function) is function


def test_functions_bind_as_python_functions_do():
    class Holder:
        dup, deep = ours.copy, ours.deepcopy

    holder = Holder()
    holder.parts = [1]
    assert holder.dup().parts is holder.parts
    assert holder.deep().parts == [1] and holder.deep().parts is not holder.parts
    assert Holder.dup is ours.copy and holder.dup.__self__ is holder


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}), ((1, 2, 3, 4), {}), (([1],), {"memo": None}), (([1],), {"memo": {}}),
        ((), {"x": [1]}), ((), {"x": [1], "memo": {}}), (([1],), {"x": 2}), (([1],), {"y": 2}),
        (([1], {}), {"memo": {}}), (([1],), {"memo": 5}), (([1], []), {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_taken_and_refused_alike(name, args, kwargs):
    assert outcome(getattr(ours, name), *args, **kwargs) == outcome(
        getattr(std_copy, name), *args, **kwargs
    )


@pytest.mark.skipif("replace" not in NAMES, reason="replace() came with 3.13")
def test_replace_is_the_type_s_own():
    point = dataclasses.make_dataclass("Dot", ["x", "y"], frozen=True)
    assert ours.replace(point(1, 2), y=5) == point(1, 5)
    assert outcome(ours.replace, point(1, 2), z=5) == outcome(std_copy.replace, point(1, 2), z=5)
    assert outcome(ours.replace, 5) == outcome(std_copy.replace, 5)


@pytest.mark.parametrize("cls", [Exception, ValueError, KeyError, SystemExit, Failure])
def test_a_copied_exception_has_the_very_arguments(cls):
    """It keeps the tuple that it is called with, which copy takes from the reduce value."""
    error = cls("text", [1])
    assert std_copy.copy(error).args[1] is ours.copy(error).args[1] is error.args[1]
    assert (std_copy.copy(error).args is error.args) == (ours.copy(error).args is error.args)
    assert ours.deepcopy(error).args is not error.args


@pytest.mark.parametrize("items", [{}, {1: 2}, {"a": 1, "b": 2}, {1: [2]}, {1: 2, 3: (4, [])}])
def test_a_memo_that_is_copied_with_itself_for_a_memo(items):
    """It has an item more than before as soon as it is entered in itself."""

    def told(function):
        memo = dict(items)
        result = outcome(function, memo, memo)
        return result, len(memo), [copies.describe(value)[0] for value in memo.values()]

    assert told(ours.deepcopy) == told(std_copy.deepcopy)


def test_the_dispatch_is_read_at_each_use(monkeypatch):
    source = [Plain(), "text", {"k": (1, [2])}]
    monkeypatch.setitem(std_copy._deepcopy_dispatch, Plain, lambda obj, memo: "dispatched")
    assert ours.deepcopy(source)[0] == "dispatched"
    monkeypatch.delitem(std_copy._deepcopy_dispatch, Plain)
    assert type(ours.deepcopy(source)[0]) is Plain
    monkeypatch.setitem(std_copy._deepcopy_dispatch, dict, lambda obj, memo: "a dict")
    assert ours.deepcopy(source)[2] == "a dict"
    made = Plain()
    made.a = [1]
    assert outcome(ours.deepcopy, made) == outcome(std_copy.deepcopy, made)


def test_a_reducer_that_changes_the_table_is_noticed_at_once(monkeypatch):
    class First(Plain):
        pass

    def reduce(obj):
        monkeypatch.setitem(copyreg.dispatch_table, Plain, lambda obj: (list, ([7],)))
        return First, ()

    monkeypatch.setitem(copyreg.dispatch_table, First, reduce)
    copied = ours.deepcopy([Plain(), First(), Plain()])
    assert type(copied[0]) is Plain and copied[2] == [7]


def test_a_finished_copy_keeps_nothing_alive():
    source = [Plain() for _ in range(100)]
    source.append(source[0])
    watched = [weakref.ref(obj) for obj in source]
    copied = ours.deepcopy(source)
    watched += [weakref.ref(obj) for obj in copied]
    del source, copied
    gc.collect()
    assert not any(reference() for reference in watched)


def test_a_huge_copy_leaves_little_behind():
    """What is kept for the next copy is bounded; a small one does not pay for it."""
    source = [[number] for number in range(200_000)]
    ours.deepcopy([[]])
    tracemalloc.start()
    try:
        ours.deepcopy(source)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1 << 20 < peak


@pytest.mark.parametrize("depth", [150, 220, 400])
@pytest.mark.parametrize(
    "wrap",
    [lambda x: [x], lambda x: (x, []), lambda x: {"k": x, "l": 1}, lambda x: vars_of(x)],
    ids=["list", "tuple", "dict", "instance"],
)
def test_nothing_nests_less_deeply(wrap, depth):
    limit = sys.getrecursionlimit()
    source = []
    for _ in range(depth):
        source = wrap(source)
    sys.setrecursionlimit(limit * 3)
    try:
        expected, _ = copies.describe(std_copy.deepcopy(source))
        actual, _ = copies.describe(ours.deepcopy(source))
    finally:
        sys.setrecursionlimit(limit)
    assert actual == expected


def vars_of(value):
    """An instance that holds the value."""
    made = Plain()
    made.value = value
    return made


def test_a_graph_without_end_is_a_recursion_error():
    class Endless:
        def __reduce__(self):
            return Endless, (Endless(),)

    with pytest.raises(RecursionError):
        ours.deepcopy(Endless())


def test_threads_copy_at_the_same_time():
    source = [{"n": n, "parts": [vars_of(n), (n, [n])]} for n in range(300)]
    expected = copies.describe(std_copy.deepcopy(source))[0]
    results = []

    def work():
        results.extend(copies.describe(ours.deepcopy(source))[0] == expected for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20
