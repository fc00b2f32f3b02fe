"""No cost grows faster than the work: eight times the objects, eight times the time.

What is called between two objects must not make the core look at all that it has met before. The
sweep of kinds and doors is that of `make bench`, with fewer objects.
"""

import pytest

from support.folders import ROOT

BENCHMARKS = ROOT / "benchmarks"

pytestmark = [pytest.mark.core, pytest.mark.slow, pytest.mark.alone]

DOORS = [
    *("dumps", "dumps-text", "dumps-2"),
    *("Pickler", "Pickler-many", "Pickler-ids", "Pickler-override", "Pickler-table"),
    *("ForkingPickler", "loads", "loads-text", "load", "load-many"),
    *("Unpickler-many", "Unpickler-hooks"),
    *("deepcopy", "deepcopy-memo", "deepcopy-many", "copy-many"),
]

UNITS = 120
"""What was walked once for each call took three times as long as this allows, and more."""


@pytest.fixture(scope="module")
def growth():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(BENCHMARKS)
        import growth

        yield growth


def test_every_door_is_tried(growth):
    assert list(growth.DOORS) == DOORS


@pytest.mark.parametrize("door", DOORS)
def test_time_grows_as_there(growth, door):
    both, kinds = growth.sides(), (*growth.KINDS, *growth.HOLDERS)
    grown = [growth.measure(door, kind, both, UNITS, rounds=1) for kind in kinds]
    assert [str(each) for each in grown if not each.good] == []
