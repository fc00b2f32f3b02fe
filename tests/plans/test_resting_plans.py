"""A plan that gives up for object after object rests; when its guards change, it is tried at once.

A plan that gives up is known by the function that is called, one that is run by the count of those
that were: of an object, either the reducer was called or a plan took it apart.
"""

import contextlib
import copyreg
import functools
import io

import pytest

import fastcopyreg
from fastcopyreg import _stdlib, copy, pickle

pytestmark = pytest.mark.core

_core = pytest.importorskip("fastcopyreg._core")

LONGEST = 4096
"""Objects that a plan rests for at most; see csrc/plans/trial.h."""


def text(value):
    """It is called, as no plan reads it."""
    return str(value)


class Base:
    __slots__ = ("first", "second")

    def __init__(self, first, second):
        self.first = first
        self.second = second


class Plain(Base):
    __slots__ = ()


class Own(Base):
    __slots__ = ()

    def __reduce__(self):
        if self.second:
            return Own, (self.first, text(self.second))
        return Own, (self.first, None)


class OwnEx(Base):
    __slots__ = ()

    def __reduce_ex__(self, protocol):
        if self.second:
            return OwnEx, (self.first, text(self.second))
        return OwnEx, (self.first, None)


class Checked:
    """A constructor with a path that calls something."""

    def __init__(self, first, second):
        self.first = first
        if second:
            self.second = str(second)
        else:
            self.second = second


class Branching(Base):
    __slots__ = ()


class Bound(Base):
    __slots__ = ()


def reduce_branching(obj):
    if obj.second:
        return Branching, (obj.first, text(obj.second))
    return Branching, (obj.first, None)


def reduce_bound(cls, obj):
    return cls, (obj.first, obj.second)


REDUCERS = {
    Plain: lambda obj: (Plain, (obj.first, obj.second)),
    Branching: reduce_branching,
    Bound: functools.partial(reduce_bound, Bound),
    Checked: lambda obj: (Checked, (obj.first, obj.second)),
}


@pytest.fixture(autouse=True)
def registered():
    """Functions are read the second time that they are met."""
    if not _core.plan_threshold():
        pytest.skip("there are no plans")
    before = _core.plan_threshold(2)
    copyreg.dispatch_table.update(REDUCERS)
    yield
    for cls in REDUCERS:
        del copyreg.dispatch_table[cls]
    _core.plan_threshold(before)


def pickled(value):
    stream = io.BytesIO()
    pickle.Pickler(stream).dump(value)
    return stream.getvalue()


def standard_pickled(value):
    stream = io.BytesIO()
    _stdlib.Pickler(stream).dump(value)
    return stream.getvalue()


DOORS = {
    "dumps": (pickle.dumps, _stdlib.dumps),
    "Pickler": (pickled, standard_pickled),
    "dumps-2": (lambda x: pickle.dumps(x, 2), lambda x: _stdlib.dumps(x, 2)),
    "dumps-one": (
        lambda x: [pickle.dumps(each) for each in x],
        lambda x: [_stdlib.dumps(each) for each in x],
    ),
    "deepcopy": (
        lambda x: _stdlib.dumps(copy.deepcopy(x)),
        lambda x: _stdlib.dumps(_stdlib.deepcopy(x)),
    ),
    "deepcopy-one": (
        lambda x: [_stdlib.dumps(copy.deepcopy(each)) for each in x],
        lambda x: [_stdlib.dumps(_stdlib.deepcopy(each)) for each in x],
    ),
    "copy": (
        lambda x: [_stdlib.dumps(copy.copy(each)) for each in x],
        lambda x: [_stdlib.dumps(_stdlib.copy(each)) for each in x],
    ),
    "loads": (
        lambda x: _stdlib.dumps(pickle.loads(_stdlib.dumps(x))),
        lambda x: _stdlib.dumps(_stdlib.loads(_stdlib.dumps(x))),
    ),
}

PATTERNS = {
    "failing": lambda i: i + 1,
    "succeeding": lambda i: 0,
    "half": lambda i: i % 2,
    "few": lambda i: i % 10 == 0,
    "most": lambda i: i % 10,
    "first": lambda i: i < 500,
    "last": lambda i: i >= 500,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("cls", [*REDUCERS, Own, OwnEx], ids=lambda cls: cls.__name__)
def test_the_outcome_is_the_same(cls, pattern, door):
    """Whether a plan is tried or rests, for whichever objects."""
    ours, standard = DOORS[door]
    value = [cls(i, PATTERNS[pattern](i)) for i in range(1000)]
    assert ours(value) == standard(value)
    assert ours(value) == standard(value)


def by_plan(function, *arguments):
    """How many objects a plan took apart, and how many it made."""
    before = _core.plan_counts()
    function(*arguments)
    return tuple(now - then for now, then in zip(_core.plan_counts(), before, strict=True))


def branching(count, second):
    return [Branching(i, second) for i in range(count)]


@pytest.mark.parametrize("door", ["dumps", "Pickler", "dumps-one", "deepcopy", "deepcopy-one"])
def test_a_plan_that_does_not_pay_rests(door):
    """It is tried for fewer and fewer of the objects, and never given up for good."""
    ours, _ = DOORS[door]
    ours(branching(100, 0))
    tried = [by_plan(ours, branching(LONGEST, 0))[0] for _ in range(4)]
    assert tried[0] < 50
    assert 1 <= tried[-1] < 5


@contextlib.contextmanager
def attribute(cls, name, value):
    before = vars(cls).get(name)
    setattr(cls, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(cls, name)
        else:
            setattr(cls, name, before)


def test_a_new_reducer_is_tried_at_once():
    pickle.dumps(branching(1000, 1))
    copyreg.pickle(Branching, lambda obj: (Branching, (obj.first, None)))
    pickle.dumps(branching(4, 1))
    assert by_plan(pickle.dumps, branching(100, 1))[0] == 100
    copy.deepcopy(branching(4, 1))
    assert by_plan(copy.deepcopy, branching(100, 1))[0] == 100


def test_a_class_that_has_changed_is_tried_at_once():
    def values():
        return [Plain(i, i) for i in range(100)]

    for function in (pickle.dumps, copy.deepcopy):
        with attribute(Plain, "first", property(lambda self: 3, lambda self, value: None)):
            broken = [Base.__new__(Plain) for _ in range(100)]
            for each in broken:
                each.second = 1
            for _ in range(10):
                function(broken)
                assert by_plan(function, broken)[0] <= 2
        function(values())
        assert by_plan(function, values())[0] == 100


def test_a_constructor_rests_and_is_tried_again():
    failing = _stdlib.dumps([Checked(i, 1) for i in range(1000)])
    succeeding = _stdlib.dumps([Checked(i, 0) for i in range(1000)])
    pickle.loads(succeeding)
    assert by_plan(pickle.loads, succeeding)[1] == 1000
    pickle.loads(failing)
    rested = by_plan(pickle.loads, succeeding)[1]
    assert 0 < rested < 1000  # What is left of the rest is called.
    pickle.loads(succeeding)
    assert by_plan(pickle.loads, succeeding)[1] == 1000


def test_what_explain_says_is_what_is_done():
    """Of many objects: whether most of them are taken apart by plan."""
    for cls in (*REDUCERS, Own, OwnEx):
        value = [cls(i, 0) for i in range(3000)]
        pickle.dumps(value)
        runs = fastcopyreg.explain(cls).to_dict()["reduce"]["runs"]
        count = by_plan(pickle.dumps, value)[0]
        assert (count > 1500) == runs.startswith("by plan"), (cls, runs, count)


RESTS = "by call for the present, as the plan has given up for the last objects; by plan"


def test_what_explain_says_of_a_reducer_outlasts_objects_that_make_it_give_up():
    """Attributes in a row are read where they lie, whatever the last objects had."""
    whole = [Plain(i, 0) for i in range(3000)]
    pickle.dumps(whole)
    for _ in range(2000):
        with pytest.raises(AttributeError):
            pickle.dumps(Base.__new__(Plain))
    assert fastcopyreg.explain(Plain).to_dict()["reduce"]["runs"].startswith("by plan")
    assert by_plan(pickle.dumps, whole)[0] == 3000


def test_explain_says_so_while_a_constructor_rests():
    def runs():
        return fastcopyreg.explain(Checked(1, 0)).to_dict()["rebuild"]["runs"]

    succeeding = _stdlib.dumps([Checked(i, 0) for i in range(LONGEST)])
    pickle.loads(succeeding)
    pickle.loads(succeeding)
    assert runs().startswith("by plan")
    pickle.loads(_stdlib.dumps([Checked(i, 1) for i in range(1000)]))
    assert runs().startswith(RESTS)
    pickle.loads(succeeding)
    assert runs().startswith("by plan")
