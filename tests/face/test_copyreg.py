"""The registry: what its functions check, what they remember, and whose tables they write."""

import copy
import copyreg as std_copyreg
import pickle as std_pickle
import sys
import threading

import pytest

import fastcopyreg
from fastcopyreg import _constructors, copyreg, registered_constructors
from support.outcomes import outcome

pytestmark = pytest.mark.usefixtures("clean_registry", "clean_constructors")


@pytest.fixture
def clean_constructors():
    """Take back what a test has remembered."""
    before = _constructors._constructors.copy()
    yield
    _constructors._constructors.clear()
    _constructors._constructors.update(before)


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return type(other) is Point and (self.x, self.y) == (other.x, other.y)

    __hash__ = None

    @classmethod
    def make(cls, x, y):
        return cls(x, y)


def reduce_point(point):
    return Point, (point.x, point.y)


BAD_CALLS = [
    pytest.param(lambda module: module.pickle(), id="nothing"),
    pytest.param(lambda module: module.pickle(Point), id="no function"),
    pytest.param(lambda module: module.pickle(Point, None), id="None"),
    pytest.param(lambda module: module.pickle(Point, (Point, ())), id="not callable"),
    pytest.param(lambda module: module.pickle(Point, reduce_point, 1), id="bad constructor"),
    pytest.param(lambda module: module.pickle(Point, 1, 1), id="both bad"),
    pytest.param(lambda module: module.pickle([], reduce_point), id="unhashable"),
    pytest.param(lambda module: module.pickle(Point, reduce_point, None, 4), id="too many"),
    pytest.param(lambda module: module.pickle(Point, function=reduce_point), id="keyword"),
    pytest.param(lambda module: module.constructor(), id="constructor of nothing"),
    pytest.param(lambda module: module.constructor(1), id="constructor(1)"),
    pytest.param(lambda module: module.constructor(None), id="constructor(None)"),
    pytest.param(lambda module: module.constructor(ob=Point), id="constructor keyword"),
    pytest.param(lambda module: module.add_extension("m", "n", 0), id="code 0"),
    pytest.param(lambda module: module.remove_extension("m", "n", 7), id="no such code"),
]


@pytest.mark.parametrize("call", BAD_CALLS)
def test_mistakes_raise_as_in_the_standard_library(call):
    remembered = registered_constructors()
    expected = outcome(lambda: call(std_copyreg))
    assert isinstance(expected, tuple)
    assert issubclass(expected[0], Exception)
    assert outcome(lambda: call(copyreg)) == expected
    assert registered_constructors() == remembered


def test_a_bad_constructor_leaves_the_reducer_registered():
    """The standard library registers before it looks at the third argument."""
    with pytest.raises(TypeError, match="constructors must be callable"):
        copyreg.pickle(Point, reduce_point, "not callable")
    assert std_copyreg.dispatch_table[Point] is reduce_point


def test_good_calls_return_none():
    assert copyreg.pickle(Point, reduce_point) is None
    assert (
        copyreg.pickle(ob_type=Point, pickle_function=reduce_point, constructor_ob=Point) is None
    )
    assert copyreg.constructor(object=Point) is None


def test_a_type_is_not_checked():
    """Whatever can be hashed is a key; only a type is ever looked up."""
    copyreg.pickle("not a type", reduce_point)
    assert std_copyreg.dispatch_table["not a type"] is reduce_point


@pytest.mark.parametrize(
    "module", [fastcopyreg.pickle, std_pickle], ids=["fastcopyreg", "standard"]
)
def test_a_reducer_registered_here_is_seen_by_both(module):
    copyreg.pickle(Point, reduce_point)
    assert b"reduce_point" not in module.dumps(Point(1, 2))
    assert module.dumps(Point(1, 2)) == std_pickle.dumps(Point(1, 2))
    assert std_pickle.loads(module.dumps(Point(1, 2))) == Point(1, 2)


@pytest.mark.parametrize(
    "module", [fastcopyreg.pickle, std_pickle], ids=["fastcopyreg", "standard"]
)
def test_a_reducer_registered_there_is_seen_by_both(module):
    calls = []
    std_copyreg.pickle(Point, lambda point: calls.append(point) or "ORIGIN")
    global ORIGIN
    ORIGIN = Point(0, 0)
    assert std_pickle.loads(module.dumps(ORIGIN)) is ORIGIN
    assert calls == [ORIGIN]


def test_writing_to_the_dict_is_registering():
    point = Point(1, 2)
    plain = fastcopyreg.pickle.dumps(point)
    copyreg.dispatch_table[Point] = lambda point: (Point, (8, 9))
    assert std_pickle.loads(fastcopyreg.pickle.dumps(point)) == Point(8, 9)
    assert copy.copy(point) == fastcopyreg.copy.copy(point) == Point(8, 9)
    del copyreg.dispatch_table[Point]
    assert fastcopyreg.pickle.dumps(point) == plain


def test_extension_codes_are_shared():
    copyreg.add_extension(__name__, "Point", 240)
    assert std_copyreg._extension_registry[__name__, "Point"] == 240
    assert fastcopyreg.pickle.dumps(Point, 2) == std_pickle.dumps(Point, 2) == b"\x80\x02\x82\xf0."
    copyreg.remove_extension(__name__, "Point", 240)
    assert fastcopyreg.pickle.dumps(Point, 2) == std_pickle.dumps(Point, 2) != b"\x80\x02\x82\xf0."


def test_constructors_are_remembered_in_order():
    before = registered_constructors()
    assert complex in before
    copyreg.constructor(Point)
    copyreg.pickle(Point, reduce_point, len)
    copyreg.pickle(Point, reduce_point, None)
    copyreg.constructor(Point)
    assert registered_constructors() == (*before, Point, len)


def test_the_standard_library_still_forgets():
    before = registered_constructors()
    std_copyreg.constructor(Point)
    std_copyreg.pickle(Point, reduce_point, Point)
    assert registered_constructors() == before


class Unhashable:
    """A constructor that refuses every question about equality."""

    __hash__ = None

    def __call__(self):
        return 1

    def __eq__(self, other):
        raise AssertionError("asked for equality")


def test_a_constructor_need_not_be_hashable_or_comparable():
    first, second = Unhashable(), Unhashable()
    for constructor in (first, second, first):
        copyreg.constructor(constructor)
    last = registered_constructors()[-2:]
    assert last[0] is first
    assert last[1] is second


def test_bound_methods_are_what_they_bind():
    before = len(registered_constructors())
    for _ in range(3):
        copyreg.constructor(Point.make)
        copyreg.constructor(dict.fromkeys)
        copyreg.constructor(bytes.fromhex)
    assert registered_constructors()[before:] == (Point.make, dict.fromkeys, bytes.fromhex)


def test_constructors_are_held():
    """As the table holds reducers: an id is never reused while it stands for something."""
    before = len(registered_constructors())
    for _ in range(1000):
        copyreg.constructor(lambda: None)
    assert len(registered_constructors()) == before + 1000


def test_the_answer_is_a_snapshot():
    before = registered_constructors()
    copy_of_before = tuple(before)
    copyreg.constructor(Point)
    assert before == copy_of_before
    assert len(registered_constructors()) == len(before) + 1


def test_threads_register_and_read_at_once():
    failures, start = [], threading.Barrier(8)
    before = len(registered_constructors())

    def work(writes):
        start.wait(timeout=30)
        try:
            for _ in range(2000):
                if writes:
                    copyreg.constructor(lambda: None)
                else:
                    assert all(map(callable, registered_constructors()))
        except BaseException as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert len(registered_constructors()) == before + 8000
