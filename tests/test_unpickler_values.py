"""Standard values that are made without calling their types: the same for any arguments."""

import datetime
import pickle
import sys
from collections import namedtuple

import pytest

from support import loading
from support.implementations import requires_core

pytestmark = requires_core

HOUR = datetime.timedelta(hours=1)
ZONE = datetime.timezone(HOUR)


class Call:
    """Pickled as a call of a type with arguments."""

    def __init__(self, type_, *arguments):
        self.reduction = type_, arguments

    def __reduce__(self):
        return self.reduction


DATE = b"\x07\xea\x0b\x15"
TIME = b"\x17\x3b\x3b\x0f\x42\x3f"

CALLS = {
    "datetime": (datetime.datetime, DATE + TIME),
    "datetime folded": (datetime.datetime, b"\x07\xea\x8b\x15" + TIME, ZONE),
    "datetime of no zone": (datetime.datetime, DATE + TIME, None),
    "datetime of a bad zone": (datetime.datetime, DATE + TIME, 1),
    "datetime of a bad day": (datetime.datetime, b"\x07\xea\x0b\xc8" + TIME),
    "datetime of a bad month": (datetime.datetime, b"\x07\xea\x0d\x15" + TIME),
    "datetime of year 0": (datetime.datetime, b"\x00\x00\x0b\x15" + TIME),
    "datetime of bad minutes": (datetime.datetime, DATE + b"\x17\xff\x3b\x0f\x42\x3f"),
    "datetime of few bytes": (datetime.datetime, DATE),
    "datetime of numbers": (datetime.datetime, 2026, 11, 21),
    "date": (datetime.date, DATE),
    "date of a bad day": (datetime.date, b"\x07\xea\x02\x1f"),
    "date with a zone": (datetime.date, DATE, ZONE),
    "time": (datetime.time, TIME, ZONE),
    "time folded": (datetime.time, b"\x97\x3b\x3b\x0f\x42\x3f"),
    "time of hour 24": (datetime.time, b"\x18\x3b\x3b\x0f\x42\x3f"),
    "time of bad seconds": (datetime.time, b"\x17\x3b\xff\x0f\x42\x3f"),
    "timedelta": (datetime.timedelta, -999999999, 86399, 999999),
    "timedelta to be carried": (datetime.timedelta, 1, 86400, 1000000),
    "timedelta too great": (datetime.timedelta, 10**9, 0, 0),
    "timedelta of huge numbers": (datetime.timedelta, 0, 2**70, 0),
    "timedelta of floats": (datetime.timedelta, 1.5, 0, 0),
    "timedelta of bools": (datetime.timedelta, True, False, True),
    "timezone": (datetime.timezone, HOUR),
    "timezone with a name": (datetime.timezone, HOUR, "CET"),
    "timezone of nothing": (datetime.timezone, datetime.timedelta(0)),
    "timezone of a day": (datetime.timezone, datetime.timedelta(1)),
    "timezone of a number": (datetime.timezone, 1),
    "timezone with a bad name": (datetime.timezone, HOUR, b"CET"),
    "slice": (slice, 1, None, [2]),
    "slice of one": (slice, 1),
    "slice of none": (slice,),
}


def seen(outcome):
    """What can be told of an outcome whose object may be unequal to its like."""
    if outcome[0] == "raised":
        return outcome
    value = outcome[1]
    return type(value), repr(value), getattr(value, "fold", None)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_arguments_make_what_the_call_makes(name, protocol):
    data = pickle.dumps(Call(*CALLS[name]), protocol)
    ours = loading.outcome(lambda: loading.OURS.loads(data))
    standard = loading.outcome(lambda: loading.STANDARD.loads(data))
    assert seen(ours) == seen(standard)


def test_zone_of_nothing_is_utc():
    data = pickle.dumps(Call(datetime.timezone, datetime.timedelta(0)))
    assert loading.OURS.loads(data) is datetime.UTC


Pair = namedtuple("Pair", "first second")
Pair.__module__ = __name__


def test_named_tuples_made_by_a_plan_are_as_made_by_a_call():
    pairs = [Pair(i, str(i)) for i in range(1000)]
    loaded = loading.OURS.loads(pickle.dumps(pairs))
    assert loaded == pairs
    assert {type(pair) for pair in loaded} == {Pair}
    assert [hash(pair) for pair in loaded] == [hash(pair) for pair in pairs]
    assert {sys.getsizeof(pair) for pair in loaded} == {sys.getsizeof(pair) for pair in pairs}
