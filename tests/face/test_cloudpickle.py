"""The recipe of `docs/plans.md`: cloudpickle over ours, the same bytes at nearly our speed."""

import collections
import copyreg
import dataclasses
import enum
import importlib.util
import io
import pickle as std_pickle
import re
import statistics
import time

import pytest

import fastcopyreg
from fastcopyreg import pickle
from support.folders import ROOT
from support.implementations import PLANS_ARE_ON

cloudpickle = pytest.importorskip("cloudpickle")
RECIPE = ROOT / "docs" / "plans.md"


@pytest.fixture(scope="module")
def recipe():
    """The class that the document's example makes."""
    (source,) = re.findall(r"```python\n(.*?)```", RECIPE.read_text("utf-8"), re.DOTALL)
    namespace = {}
    exec(source, namespace)
    return namespace["CloudPickler"]


def dumped(cls, value, protocol=None):
    file = io.BytesIO()
    cls(file, protocol=protocol).dump(value)
    return file.getvalue()


class Plain:
    def __init__(self, x):
        self.x = x


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


@dataclasses.dataclass
class Data:
    x: int
    y: str = "y"


copyreg.pickle(Point, lambda p: (Point, (p.x, p.y)))


def local_things():
    class Local:
        def method(self):
            return Local

    class Colour(enum.Enum):
        RED = 1

    shared = []
    return [Local, Local(), Colour.RED, lambda: shared, shared.append, Local().method, property()]


VALUES = {
    "plain": lambda: [Plain(i) for i in range(5)],
    "registered": lambda: [Point(i, [i]) for i in range(5)],
    "dataclass": lambda: [Data(i) for i in range(5)],
    "local": local_things,
    "classes": lambda: [Plain, Point, int, collections.OrderedDict, type, len, re.compile],
    "modules": lambda: [collections, re],
    "mixed": lambda: {"a": [Plain(local_things()[0])], "b": (Point(lambda: 5, {}),)},
}


@pytest.mark.parametrize("protocol", (2, 4, 5))
@pytest.mark.parametrize("name", VALUES)
def test_same_bytes(recipe, name, protocol):
    value = VALUES[name]()
    # What cloudpickle notes on a class when it first meets it is in the pickles after that.
    dumped(cloudpickle.Pickler, value, protocol)
    for _ in range(3):
        assert dumped(recipe, value, protocol) == dumped(cloudpickle.Pickler, value, protocol)
    std_pickle.loads(dumped(recipe, value, protocol))


def test_the_table_is_asked_as_it_is(recipe):
    """cloudpickle's table is a ChainMap over copyreg's: a later registration counts at once."""

    class Late:
        pass

    value = [Late(), Plain(1)]
    assert dumped(recipe, value) == dumped(cloudpickle.Pickler, value)
    copyreg.pickle(Plain, lambda o: (Point, (o.x, "late")))
    try:
        assert dumped(recipe, value) == dumped(cloudpickle.Pickler, value)
        assert std_pickle.loads(dumped(recipe, value))[1].y == "late"
    finally:
        del copyreg.dispatch_table[Plain]


@pytest.fixture
def unchanged(monkeypatch):
    """cloudpickle's module as it is if it is imported after `install()`."""
    spec = importlib.util.find_spec("cloudpickle.cloudpickle")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(std_pickle, "Pickler", pickle.Pickler)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ("plain", "registered", "dataclass", "classes"))
def test_unchanged_it_gives_the_same_bytes(unchanged, name):
    value = [item for _ in range(60) for item in VALUES[name]()]
    cloudpickle.dumps(value)
    for _ in range(3):
        assert unchanged.dumps(value) == cloudpickle.dumps(value)


@pytest.mark.core
@pytest.mark.skipif(not PLANS_ARE_ON, reason="nothing is read on this build")
def test_unchanged_it_is_not_asked_about_instances(unchanged):
    """Its override is read, so that registered objects are reduced by their plan."""
    from fastcopyreg import _core

    value = [Point(i, str(i)) for i in range(400)]
    for _ in range(3):
        unchanged.dumps(value)
    before = _core.plan_counts()[0]
    unchanged.dumps(value)
    assert _core.plan_counts()[0] - before >= 390


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("name", ("plain", "registered", "dataclass"))
def test_costs_little_more_than_ours(recipe, name):
    """At most 1.3 times our own Pickler; the median of pairs, with some room."""
    if fastcopyreg.backend != "c":
        pytest.skip("a figure of the C core")
    # It gets its __slotnames__ by that, and looks up as before: the recipe's table is one.
    pickle.dumps(collections.ChainMap())
    value = [item for _ in range(400) for item in VALUES[name]()]
    for _ in range(3):
        dumped(recipe, value)
    ratios = []
    for _ in range(31):
        theirs, ours = (timed(cls, value) for cls in (recipe, pickle.Pickler))
        ratios.append(theirs / ours)
    assert statistics.median(ratios) < 1.4, ratios


def timed(cls, value):
    start = time.thread_time_ns()
    dumped(cls, value, 5)
    return max(time.thread_time_ns() - start, 1)
