"""Objects whose last holder lets them go while they are copied: the memo keeps them alive."""

import copyreg
import gc
import sys

import pytest

from support import copies
from support.implementations import requires_core

pytestmark = requires_core

ENOUGH = 400
"""Objects after which reducers and constructors have been read."""


class Pair:
    def __init__(self, first, second):
        self.first = first
        self.second = second


class Planned(Pair):
    __slots__ = ()


class Method(Pair):
    def __reduce__(self):
        return Method, (self.first, self.second)


class Stateful(Pair):
    def __getstate__(self):
        return dict(self.__dict__)

    def __setstate__(self, state):
        self.__dict__.update(state)


copyreg.pickle(Planned, lambda obj: (Planned, (obj.first, obj.second)))


class Letting:
    """Empties its holder when it is asked."""

    def __init__(self, holder):
        self.holder = holder

    def __reduce__(self):
        self.holder.clear()
        gc.collect()
        return str, ("let go",)


class Looking:
    """Has a look at the memo, and at what it keeps alive."""

    def __deepcopy__(self, memo):
        return [type(kept).__name__ for kept in memo.get(id(memo), ())]


KINDS = {
    "tuple": lambda first: (first, [1]),
    "long tuple": lambda first: (1, "two", first, [3], (4, [5])),
    "list": lambda first: [first, [1]],
    "dict": lambda first: {"first": first, "second": [1]},
    "instance": lambda first: Pair(first, [1]),
    "planned": lambda first: Planned(first, [1]),
    "method": lambda first: Method(first, [1]),
    "state": lambda first: Stateful(first, [1]),
}


def held(kind, looks):
    """Something that leaves its list while it is copied, between others."""

    def make():
        holder = []
        holder.append(KINDS[kind](Letting(holder)))
        before = [Looking()] if looks else []
        return [*before, holder, [[number] for number in range(100)], Letting([]), Looking()]

    return make


@pytest.fixture(autouse=True)
def plans():
    for kind in (Planned, Method):
        for _ in range(ENOUGH):
            copies.OURS.deepcopy(kind(1, 2))


@pytest.mark.parametrize("operation", [copies.deepcopy, copies.deepcopy_into(dict)])
@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_let_go_by_its_last_holder(kind, looks, operation):
    copies.compare(operation, held(kind, looks))


class Above:
    __slots__ = ("first", "second")

    def __init__(self, first, second):
        self.first = first
        self.second = second


class Repeating(Above):
    """A slot of the class above that it hides, which is still there."""

    __slots__ = ("first", "third")


class Alias:
    """One slot by two names."""

    __slots__ = ("first",)

    def __init__(self, first, second):
        self.first = first
        self.second = second  # noqa: PLE0237, it is a slot below


class PlannedAlias(Alias):
    __slots__ = ()


Alias.second = Alias.first
Alias.__slotnames__ = ["first", "second"]
copyreg.pickle(PlannedAlias, lambda obj: (PlannedAlias, (obj.first, obj.second)))


@pytest.mark.parametrize("wrap", [lambda obj: obj, lambda obj: [obj, [], obj]])
@pytest.mark.parametrize("operation", [copies.copy, copies.deepcopy])
@pytest.mark.parametrize("cls", [Repeating, Alias, PlannedAlias])
def test_slots_by_two_names_hold_one_reference(cls, operation, wrap):
    value = [5]
    source = wrap(cls(value, value))
    expected = copies.describe(operation(copies.STANDARD, source))[0]
    for _ in range(ENOUGH):
        assert copies.describe(operation(copies.OURS, source))[0] == expected
    references, tracked = sys.getrefcount(value), len(gc.get_objects())
    for _ in range(ENOUGH):
        operation(copies.OURS, source)
    assert sys.getrefcount(value) == references
    assert len(gc.get_objects()) - tracked < ENOUGH // 2
