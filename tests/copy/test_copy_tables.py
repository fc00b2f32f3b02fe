"""The tables of the copy module, changed in every way and at any time: each change counts at once.

They are not looked up for each object, but watched (csrc/base/dictwatch.h); every test copies
before the change, so that what was known then would be used if the change went unnoticed.
"""

import copy as std_copy
import copyreg
import gc
import subprocess
import sys
import textwrap

import pytest

from support import copies
from support.implementations import requires_core

pytestmark = requires_core

deepcopy = copies.OURS.deepcopy
shallow = copies.OURS.copy
HAS_ATOMIC_TYPES = hasattr(std_copy, "_atomic_types")


class Plain:
    def __init__(self, value):
        self.value = value


class Slots:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Caller:
    """Its reducer calls whatever the test wants, in the middle of a copy."""

    def __init__(self, action=None):
        self.action = action

    def __reduce_ex__(self, protocol):
        self.action()
        return Caller, ()


def reduced_to_zero(obj):
    return type(obj), (0,)


def dispatched(obj, memo):
    return "dispatched"


def put(table, key, value):
    table[key] = value


# How an entry may come into a dict that has others.
WRITES = {
    "assign": put,
    "update": lambda table, key, value: table.update({key: value}),
    "or": lambda table, key, value: table.__ior__({key: value}),
    "setdefault": lambda table, key, value: (table.pop(key, None), table.setdefault(key, value)),
    "refill": lambda table, key, value: (
        kept := dict(table),
        table.clear(),
        table.update(kept | {key: value}),
    ),
    "popitem": lambda table, key, value: (
        table.setdefault(Caller, None),
        table.popitem(),
        put(table, key, value),
    ),
}


@pytest.fixture
def tables(monkeypatch):
    """The dispatch and the reducers as they are, restored in place at the end."""
    for table in (std_copy._deepcopy_dispatch, copyreg.dispatch_table):
        for key in (Plain, Slots, Caller, list):
            if key in table:
                monkeypatch.setitem(table, key, table[key])
            else:
                monkeypatch.delitem(table, key, raising=False)
    saved = dict(std_copy._deepcopy_dispatch), dict(copyreg.dispatch_table)
    yield
    for table, before in zip(
        (std_copy._deepcopy_dispatch, copyreg.dispatch_table), saved, strict=True
    ):
        table.clear()
        table.update(before)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("cls", [Plain, Slots])
def test_a_reducer_that_comes_later_counts(tables, write, cls):
    assert deepcopy([cls(1), cls(2)])[1].value == 2
    write(copyreg.dispatch_table, cls, reduced_to_zero)
    assert deepcopy([cls(1), cls(2)])[1].value == 0
    del copyreg.dispatch_table[cls]
    assert deepcopy([cls(1), cls(2)])[1].value == 2


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("cls", [Plain, Slots, list])
def test_a_function_in_the_dispatch_counts(tables, write, cls):
    obj = cls([1])
    assert type(deepcopy((obj,))[0]) is cls
    write(std_copy._deepcopy_dispatch, cls, dispatched)
    assert deepcopy((obj,)) == ("dispatched",)


def test_changes_in_the_middle_of_a_copy_count(tables):
    def act():
        put(copyreg.dispatch_table, Slots, reduced_to_zero)

    source = [Slots(1), Plain(1), Caller(act), Slots(1), Plain(Slots(1))]
    expected = [1, 1, None, 0, 0]
    copied = deepcopy(source)
    copied[4] = copied[4].value
    assert [getattr(obj, "value", None) for obj in copied] == expected


@pytest.mark.parametrize("name", ["_deepcopy_dispatch", "dispatch_table"])
def test_another_table_under_the_name_counts(monkeypatch, name):
    value = {"_deepcopy_dispatch": dispatched, "dispatch_table": reduced_to_zero}[name]
    assert deepcopy([Slots(1)])[0].value == 1
    other = getattr(std_copy, name) | {Slots: value}
    monkeypatch.setattr(std_copy, name, other)
    copied = deepcopy([Slots(1)])[0]
    assert copied == "dispatched" if value is dispatched else copied.value == 0
    del other[Slots]
    assert deepcopy([Slots(1)])[0].value == 1


@pytest.mark.skipif(not HAS_ATOMIC_TYPES, reason="_atomic_types came with 3.14")
class TestAtomicTypes:
    @pytest.fixture
    def atoms(self, monkeypatch):
        """A set in the place of the module's own: one that can change."""
        monkeypatch.setattr(std_copy, "_atomic_types", set(std_copy._atomic_types))
        return std_copy._atomic_types

    @pytest.mark.parametrize("cls", [Plain, Slots, list])
    def test_a_type_that_takes_the_place_of_another_is_atomic(self, atoms, cls):
        obj = cls([1])
        assert deepcopy((obj,))[0] is not obj
        atoms.remove(range)
        atoms.add(cls)
        assert deepcopy((obj,))[0] is obj
        atoms.remove(cls)
        atoms.add(range)
        assert deepcopy((obj,))[0] is not obj

    def test_dicts_may_be_atomic(self, atoms):
        state = {"a": [1]}
        plain = Plain([1])
        assert deepcopy([state, plain])[0] is not state
        atoms.remove(range)
        atoms.add(dict)
        copied = deepcopy([state, plain])
        assert copied[0] is state
        assert copied[1].value is plain.value, "the state is a dict"

    def test_a_set_that_is_refilled(self, atoms):
        text = [b"x", "text"]
        assert deepcopy(text) == text
        others = {*atoms, Slots} - {str}
        atoms.clear()
        atoms.update(others)
        slots = Slots([1])
        with pytest.raises(Exception) as ours:
            deepcopy([slots, "text"])
        with pytest.raises(type(ours.value)):
            std_copy.deepcopy([slots, "text"])
        assert deepcopy([slots])[0] is slots

    def test_a_set_that_is_emptied_in_the_middle(self, atoms):
        everything = set(atoms)

        def act():
            atoms.clear()
            atoms.update(everything | {list})

        inner = [1]
        copied = deepcopy((inner, Caller(act), inner, [2], 3))
        assert copied[0] is not inner
        assert copied[2] is (copied[0] if sys.version_info < (3, 14) else inner)
        atoms.discard(list)
        assert deepcopy((inner,))[0] is not inner


def test_a_class_that_is_changed_between_copies():
    class Changing:
        pass

    obj = Changing()
    obj.value = [1]
    assert deepcopy([obj])[0].value is not obj.value
    Changing.__deepcopy__ = lambda self, memo: "hooked"
    assert deepcopy([obj]) == ["hooked"]
    del Changing.__deepcopy__
    Changing.__reduce__ = lambda self: "named"
    assert deepcopy([obj])[0] is obj
    del Changing.__reduce__
    assert deepcopy([obj])[0].value is not obj.value


def test_a_class_that_gets_another_metaclass():
    class Meta(type):
        def __hash__(cls):
            hashed.append(cls)
            return super().__hash__()

    class Usual(type):
        pass

    class Changing(metaclass=Usual):
        pass

    hashed = []
    assert type(deepcopy([Changing()])[0]) is Changing
    Changing.__class__ = Meta
    assert type(deepcopy([Changing()])[0]) is Changing
    assert hashed


def answer(obj):
    return "answered"


class TestShallow:
    """The tables that only copy() has."""

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    @pytest.mark.parametrize("cls", [Plain, Slots])
    def test_a_reducer_that_comes_later_counts(self, tables, write, cls):
        for _ in range(3):
            assert shallow(cls(1)).value == 1
        write(copyreg.dispatch_table, cls, reduced_to_zero)
        assert shallow(cls(1)).value == 0
        write(copyreg.dispatch_table, cls, lambda obj: "a name")
        obj = cls(1)
        assert shallow(obj) is obj
        del copyreg.dispatch_table[cls]
        assert shallow(cls(1)).value == 1

    @pytest.mark.skipif(not hasattr(std_copy, "_copy_dispatch"), reason="it went with 3.14")
    @pytest.mark.parametrize("cls", [Plain, Slots, list, int])
    def test_the_dispatch(self, monkeypatch, cls):
        obj = cls([1]) if cls is not int else 500
        for _ in range(3):
            shallow(obj)
        monkeypatch.setitem(std_copy._copy_dispatch, cls, answer)
        assert shallow(obj) == "answered"
        other = dict(std_copy._copy_dispatch)
        del other[cls]
        monkeypatch.setattr(std_copy, "_copy_dispatch", other)
        assert shallow(obj) == obj or type(shallow(obj)) is cls

    @pytest.mark.skipif(not hasattr(std_copy, "_copy_atomic_types"), reason="they came with 3.14")
    @pytest.mark.parametrize("name", ["_copy_atomic_types", "_copy_builtin_containers"])
    @pytest.mark.parametrize("cls", [Plain, Slots, list])
    def test_the_sets(self, monkeypatch, name, cls):
        obj = cls([1])
        for _ in range(3):
            assert shallow(obj) is not obj
        types = set(getattr(std_copy, name))
        monkeypatch.setattr(std_copy, name, types)
        assert shallow(obj) is not obj
        types.pop()
        types.add(cls)
        if name == "_copy_atomic_types":
            assert shallow(obj) is obj
        elif cls is not list:
            monkeypatch.setattr(cls, "copy", answer, raising=False)
            assert shallow(obj) == "answered"

    @pytest.mark.parametrize("cls", [Plain, Slots])
    def test_a_hook_that_comes_later(self, monkeypatch, cls):
        obj = cls(1)
        for _ in range(3):
            assert shallow(obj).value == 1
        monkeypatch.setattr(cls, "__copy__", answer, raising=False)
        assert shallow(obj) == "answered"


MANY_CORES = textwrap.dedent(
    """
    import copyreg, importlib.util
    from fastcopyreg import _core

    class Slots:
        __slots__ = ("value",)

    def zero(obj):
        return Slots, ()

    slots = Slots()
    slots.value = [1]
    for keep in (True, False):
        cores = []
        for _ in range(12):
            spec = importlib.util.spec_from_file_location("fastcopyreg._core", _core.__file__)
            core = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(core)
            for _ in range(3):
                assert core.deepcopy([slots])[0].value == [1]
                copyreg.dispatch_table[Slots] = zero
                assert not hasattr(core.deepcopy([slots])[0], "value")
                del copyreg.dispatch_table[Slots]
            cores.append(core)
            if not keep:
                del core, spec
                cores.clear()
    """
)


WITHOUT_WATCHERS = textwrap.dedent(
    """
    import contextlib
    with contextlib.suppress(ImportError, AttributeError):
        from _testcapi import add_dict_watcher
        with contextlib.suppress(RuntimeError):
            while True:
                add_dict_watcher(0)
    """
)


@pytest.mark.parametrize("before", ["", WITHOUT_WATCHERS], ids=["watched", "no watcher left"])
def test_many_cores_in_one_interpreter(before):
    subprocess.run([sys.executable, "-c", before + MANY_CORES], check=True, timeout=60)


def test_another_class_at_the_same_address():
    """Nothing that was learned of a class that died is taken for the next one's."""
    addresses = set()
    for number in range(60):
        if number % 2:

            class Made:
                pass

        else:

            class Made:
                def __reduce__(self):
                    return type(self), ()

        made = Made()
        made.x = [number]
        for operation in (shallow, deepcopy) if number % 3 else (deepcopy, shallow):
            assert vars(operation(made)) == (vars(made) if number % 2 else {})
        addresses.add(id(Made))
        del Made, made
        gc.collect()
    assert len(addresses) < 60
