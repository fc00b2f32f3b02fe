"""Keys that take long to hash or to compare, or more C stack than there is, in pickles.

The standard library crashes with them, or hangs: up to 3.13 when it hashes them, and in all
versions when it compares two that are equal.
"""

import io
import sys
import types
from collections import OrderedDict

import pytest

from fastcopyreg.pickle import Unpickler, UnpicklingError, dumps, loads
from support import loading
from support.child import in_child, requires_fork
from support.implementations import requires_core

pytestmark = requires_core

BOTH = loading.OURS, loading.STANDARD
HASHED_ANYHOW = sys.version_info < (3, 14)  # Later, tuples keep their hashes.
HASH_IS_BOUNDED = sys.version_info >= (3, 15, 2) or (3, 14, 10) <= sys.version_info < (3, 15)


class Holder:
    """Something with a `__dict__`."""


class Pair(tuple):
    """Hashed and compared as the tuple that it is."""

    __slots__ = ()


class Deep(tuple):
    """A tuple whose hash goes down no further."""

    __slots__ = ()

    def __hash__(self):
        return 1


def name_of(cls):
    return f"c{cls.__module__}\n{cls.__qualname__}\n".encode()


def shared(levels, leaf=b"N"):
    """A tuple of two that are one tuple of two that are one ..."""
    return leaf + b"\x85" + b"2\x86" * levels


def shared_sets(levels):
    """The same of frozensets of a tuple and a pair, both of the next one."""
    steps = (b"q%c0(h%c\x85h%cK\x01\x86\x91" % (n, n, n) for n in range(10, 10 + levels))
    return b"N\x85" + b"".join(steps)


def shared_instances(levels):
    """The same of a subclass of tuple."""
    make = b"2\x86q\x020h\x01h\x02\x85\x81"
    return name_of(Pair) + b"q\x010" + b"N" + make * levels


def type_of(function):
    """The type of what it returns or raises."""
    try:
        return type(function())
    except Exception as error:
        return type(error)


def ends_alike(data):
    """The type of what `loads` and `load` both return or raise, in a process of their own."""
    ours = in_child(type_of, lambda: loads(data))
    assert in_child(type_of, lambda: loading.OURS.load(io.BytesIO(data))) is ours
    return ours


DEEP = b"N" + b"\x85" * 300_000
WITHIN_BOUNDS = b"(N" + b"\x85" * 9_000 + b"N2\x86\x852\x86t"
WIDE = b"(" + b"N" * 1000 + b"t\x85" + b"2\x86" * 60
KEYED = {
    "SETITEM": b"}%bNs.",
    "SETITEMS": b"}(%bNu.",
    "DICT": b"(%bNd.",
    "ADDITEMS": b"\x8f(%b\x90.",
    "FROZENSET": b"(%b\x91.",
    "a key of a subclass": b"ccollections\nOrderedDict\n)R%bNs.",
    "REDUCE of frozenset": b"cbuiltins\nfrozenset\n](%be\x85R.",
    "a key of many": b"%bq\x000](}h\x00Ns}h\x00Nse.",
}


NESTED = {
    "deep": (DEEP, RecursionError if HASHED_ANYHOW or HASH_IS_BOUNDED else None, KEYED),
    "deep pair": (DEEP + b"2\x86", RecursionError if HASHED_ANYHOW else None, KEYED),
    "shared": (shared(60), UnpicklingError if HASHED_ANYHOW else None, ["SETITEM", "FROZENSET"]),
    "wide": (WIDE, UnpicklingError if HASHED_ANYHOW else None, ["SETITEM"]),
    "within the bounds": (WITHIN_BOUNDS, None, KEYED),
}
LOADED = dict.fromkeys(KEYED, dict) | {
    "ADDITEMS": set,
    "FROZENSET": frozenset,
    "REDUCE of frozenset": frozenset,
    "a key of a subclass": OrderedDict,
    "a key of many": list,
}


@requires_fork
@pytest.mark.parametrize(
    ("name", "opcode"), [(name, opcode) for name in NESTED for opcode in NESTED[name][2]]
)
def test_nested_keys_are_bounded(name, opcode):
    key, ends, _ = NESTED[name]
    ours = ends_alike(b"\x80\x04" + KEYED[opcode] % key)
    if ends is None or (name == "deep" and opcode == "a key of many" and not HASHED_ANYHOW):
        ends = LOADED[opcode]  # An object that was taken again is hashed from its inside.
    assert ours is ends


@requires_fork
@pytest.mark.parametrize("levels", [20, 300_000])
def test_a_deep_key_that_cannot_be_hashed(levels):
    data = b"\x80\x04}]" + b"\x85" * levels + b"Ns."
    assert ends_alike(data) in (TypeError, RecursionError)
    if levels == 20:
        ours, standard = (loading.outcome(lambda m=m: m.loads(data)) for m in BOTH)
        assert ours == standard


def test_a_wide_key_that_cannot_be_hashed():
    data = b"\x80\x04}(" + b"N" * 1000 + b"](]\x85t\x85tNs."
    ours, standard = (loading.outcome(lambda m=m: m.loads(data)) for m in BOTH)
    assert ours == standard


def test_keys_with_a_hash_of_their_own_may_nest():
    """Their depth is no matter of the C stack."""
    depth = 20_000
    cls = name_of(Deep) + b"q\x000"
    data = cls + b"}" + b"h\x00" * depth + b"N" + b"\x85\x85\x81" * depth + b"Ns."
    assert len(loads(data)) == 1


@pytest.mark.slow
def test_the_bound_of_keys_is_each_load_s_own():
    """Many loads by one Unpickler do not add up to too many."""
    data = b"}(" + b"N" + b"2\x86" * 21 + b"q\x00N" + b"h\x00N" * 63 + b"u."
    unpickler = Unpickler(io.BytesIO(data * 3))
    for _ in range(3):
        assert len(unpickler.load()) == 1


# Two keys that are equal, and not the same object.

EQUAL = {
    "SETITEM": b"}%bNs%bNs.",
    "SETITEMS": b"}(%bN%bNu.",
    "DICT": b"(%bN%bNd.",
    "ADDITEMS": b"\x8f(%b%b\x90.",
    "ADDITEMS twice": b"\x8f(%b\x90(%b\x90.",
    "FROZENSET": b"(%b%b\x91.",
    "REDUCE of set": b"cbuiltins\nset\n](%b%be\x85R.",
    "REDUCE of frozenset": b"cbuiltins\nfrozenset\n](%b%be\x85\x94R.",
    "OrderedDict": b"ccollections\nOrderedDict\n)R(%bN%bNu.",
    "defaultdict": b"ccollections\ndefaultdict\n)R(%bN%bNu.",
    "Counter": b"ccollections\nCounter\n)R(%bN%bNu.",
    "BUILD": name_of(Holder) + b")\x81}%bNsb}%bNsb.",
    "within a key": b"}%b\x85Ns%b\x85Ns.",
}
BIG = {
    "tuples": shared(60),
    "frozensets": shared_sets(60),
    "a subclass": shared_instances(60),
    "within another": shared(60) + b"\x85\x85",
    "wide": WIDE,
}
SMALL = {
    "few": shared(4),
    "tuples": shared(14),
    "frozensets": shared_sets(10),
    "a subclass": shared_instances(12),
    "flat": b"(" + b"K\x01" * 1000 + b"t",
}


@requires_fork
@pytest.mark.parametrize(
    ("opcode", "name"),
    [(opcode, "frozensets") for opcode in EQUAL]
    + [("FROZENSET", name) for name in BIG if name != "frozensets"],
)
def test_equal_keys_are_bounded(opcode, name):
    data = b"\x80\x04" + EQUAL[opcode] % (BIG[name], BIG[name])
    assert in_child(type_of, lambda: loads(data)) is UnpicklingError


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("opcode", EQUAL)
def test_equal_keys_of_less_parts(opcode, name):
    data = b"\x80\x04" + EQUAL[opcode] % (SMALL[name], SMALL[name])
    ours, standard = (m.loads(data) for m in BOTH)
    if opcode == "BUILD":
        ours, standard = vars(ours), vars(standard)
    assert ours == standard
    assert len(ours) == 1


@requires_fork
@pytest.mark.skipif(HASHED_ANYHOW, reason="It is what hashing them adds up to.")
def test_equal_keys_of_many_dicts_add_up():
    pair = shared(18) + b"q\x000" + shared(18) + b"q\x010"
    data = b"\x80\x04" + pair + b"}h\x00Nsh\x01Ns0" * 100_000 + b"N."
    assert ends_alike(data) is UnpicklingError


@pytest.mark.skipif(HASHED_ANYHOW, reason="It may not be hashed.")
def test_big_keys_that_are_not_equal_are_taken():
    twins = shared(60) + b"q\x00K\x01\x86q\x01Nh\x00K\x02\x86N"
    ours = loads(b"\x80\x04}(" + twins + b"h\x01Nu.")
    assert [key[1] for key in ours] == [1, 2]
    assert len({id(key[0]) for key in ours}) == 1


@requires_fork
@pytest.mark.skipif(HASHED_ANYHOW, reason="They may not be hashed.")
def test_deep_keys_that_are_equal():
    assert ends_alike(b"\x80\x04}" + (DEEP + b"2\x86Ns") * 2 + b".") is RecursionError


@requires_fork
def test_a_dict_that_was_there_has_the_equal_key(monkeypatch):
    """What an earlier load has put there counts as well."""
    there = {}
    module = types.ModuleType("there")
    module.there = there
    monkeypatch.setitem(sys.modules, "there", module)
    data = b"\x80\x04cthere\nthere\n" + shared_sets(60) + b"Ns."

    def twice():
        loads(data)
        return loads(data)

    assert in_child(type_of, twice) is UnpicklingError


class Nosy:
    """It has the hash of another, and looks at what it is compared with."""

    def __init__(self, number):
        self.number = number
        self.met = []

    def __hash__(self):
        return self.number

    def __eq__(self, other):
        self.met.append(other)
        return NotImplemented


def test_what_is_looked_up_is_of_no_use_to_others(monkeypatch):
    data = dumps(tuple(range(1000)), 4)
    nosy = Nosy(hash(loads(data)))
    module = types.ModuleType("nosy")
    module.there = {nosy: 1}
    monkeypatch.setitem(sys.modules, "nosy", module)
    loads(b"\x80\x04cnosy\nthere\n" + data[2:-1] + b"Ns.")
    assert len(module.there) == 2
    for other in nosy.met:
        assert hash(other) == nosy.number
        assert {loads(data): 1}.get(other) is (None if type(other) is not tuple else 1)


def test_the_order_of_a_frozenset_is_the_standard_library_s():
    items = b"".join(b"M" + n.to_bytes(2, "little") for n in range(7, 9000, 97))
    data = b"\x80\x04(" + items + b"(" + items * 3 + b"t\x91."
    ours, standard = (m.loads(data) for m in BOTH)
    assert list(ours) == list(standard)
