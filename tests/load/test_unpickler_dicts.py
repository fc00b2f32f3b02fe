"""Dicts whose keys have the texts of those that were loaded before, in this load or in another.

Ours are filled from templates; what comes out must be the dict that the standard library makes,
down to who holds its keys, and no load may see anything of another.
"""

import gc
import pickle
import random
import sys

import pytest

from support import loading
from support.implementations import requires_core

pytestmark = requires_core

COUNTS = [1, 2, 3, 4, 5, 6, 7, 10, 11, 21, 42, 85, 128, 129, 170, 1000, 1001, 1100]

TEXTS = {
    "one letter": lambda i: chr(ord("A") + i) if i < 50 else f"{i:x}",
    "short": lambda i: f"{i:x}".zfill(1 + i % 7 + len(f"{i:x}")),
    "eight": lambda i: f"k{i:07}",
    "sixteen": lambda i: f"key{i:013}",
    "more": lambda i: f"{i:020}",
    "64 and 65": lambda i: f"{i:0{64 + i % 2}}",
    "all lengths": lambda i: f"{i}" + "x" * (i % 70),
    "the same ends": lambda i: f"begin {i:06} end",
    "no ASCII": lambda i: f"ä{i}",
    "some no ASCII": lambda i: f"ä{i}" if i % 5 == 2 else f"a{i}",
    "integers": lambda i: i,
    "texts and integers": lambda i: f"text {i}" if i % 3 else i,
    "tuples": lambda i: (i, "x"),
}


def made_of(texts, count):
    return {TEXTS[texts](i): None if i % 3 else [i] for i in range(count)}


def shape_of(loaded):
    """What can be seen of a dict: items in order, size, who else holds its keys and values."""
    holders = [sys.getrefcount(key) for key in loaded if type(key) is str and len(key) > 1]
    values = [sys.getrefcount(value) for value in loaded.values() if type(value) is list]
    return list(loaded.items()), sys.getsizeof(loaded), gc.is_tracked(loaded), holders, values


@pytest.mark.parametrize("protocol", [1, 2, 4, 5])
@pytest.mark.parametrize("texts", TEXTS)
def test_dicts_are_those_of_the_standard_library(texts, protocol):
    for count in COUNTS:
        data = pickle.dumps(made_of(texts, count), protocol)
        expected = shape_of(pickle.loads(data))
        for _ in range(6):
            assert shape_of(loading.OURS.loads(data)) == expected, count


@pytest.mark.parametrize("texts", TEXTS)
def test_no_two_loads_share_a_key(texts):
    for count in (4, 7, 60):
        data = pickle.dumps(made_of(texts, count))
        loads = [loading.OURS.loads(data) for _ in range(6)]
        for key in zip(*loads, strict=True):
            if type(key[0]) is tuple or (type(key[0]) is str and len(key[0]) > 1):
                assert len({id(one) for one in key}) == len(loads)


def test_one_load_shares_only_what_was_shared():
    keys = [f"key {i}" for i in range(8)]
    shared = [dict.fromkeys(keys) for _ in range(5)]
    apart = [{f"key {i}": None for i in range(8)} for _ in range(5)]
    for data in (pickle.dumps([shared, apart]), pickle.dumps([apart, shared, keys])):
        for _ in range(5):
            loading.compare_in_memory(data)
        loading.compare_by_files(data, ["bytesio"], ["load", "unpickler"])


def test_dicts_go_on_as_dicts():
    data = pickle.dumps({f"key {i}": i for i in range(12)})
    for turn in range(6):
        loaded = loading.OURS.loads(data)
        assert all(loaded[f"key {i}"] == i for i in range(12))
        assert "key 12" not in loaded
        for i in range(turn):
            del loaded[f"key {i}"]
            loaded[f"new {i}"] = i
        loaded.update({f"key {i}": -i for i in range(40)})
        assert loaded == {
            **{f"key {i}": -i for i in range(40)},
            **{f"new {i}": i for i in range(turn)},
        }
        loaded.clear()
    assert list(loading.OURS.loads(data)) == [f"key {i}" for i in range(12)]


def pickled(keys):
    """A dict's pickle with these keys, which may be alike."""
    items = b"".join(b"\x8c" + bytes([len(key)]) + key + b"\x94N" for key in keys)
    return b"\x80\x04}\x94(" + items + b"u."


def test_keys_that_differ_a_little_or_are_alike():
    """The first and the last key tell which template is tried: those between may be any."""
    chosen = random.Random(1)
    for count in (4, 5, 6, 9, 40):
        plain = [b"key %d" % i for i in range(count)]
        cases = [plain] * 5
        for _ in range(60):
            other = list(plain)
            other[chosen.randrange(count)] = chosen.choice(
                [
                    b"",
                    b"k",
                    b"key 1",
                    b"key 01",
                    b"kex 1",
                    b"key " + b"1" * 60,
                    b"\xc3\xa4",
                    plain[-1],
                ]
            )
            cases.extend(chosen.choice([[other], [plain], [other, other, plain]]))
        for keys in cases:
            loading.compare_in_memory(pickled(keys))


def test_dicts_that_have_items_already():
    """SETITEMS twice, as for dicts of more than a batch."""
    data = pickled([b"key %d" % i for i in range(8)])
    twice = data[:-1] + data[4:]
    for _ in range(6):
        loading.compare_in_memory(twice)
        loading.compare_in_memory(data)


def test_the_collector_does_not_show_what_is_kept():
    data = pickle.dumps({f"hidden key {i}": i for i in range(9)})
    for _ in range(6):
        loaded = loading.OURS.loads(data)
    del loaded
    shown = [one for one in gc.get_objects() if type(one) is dict and "hidden key 3" in one]
    assert shown == []


def test_loads_in_the_middle_of_loads():
    """A constructor that loads while an outer load is half way."""
    data = pickle.dumps([{f"key {i}": Nested() for i in range(7)} for _ in range(3)])
    for _ in range(6):
        outer = loading.OURS.loads(data)
        assert [list(one) for one in outer] == [[f"key {i}" for i in range(7)]] * 3


class Nested:
    def __reduce__(self):
        return load_once_more, ()


def load_once_more():
    data = pickle.dumps({f"key {i}": i for i in range(7)})
    return loading.OURS.loads(data)
