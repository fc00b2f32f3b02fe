"""What docs/compatibility.md says of deaths, memos, lengths and counts, as it says it."""

import io
import pickle as std_pickle
import sys
import warnings

import pytest

import fastcopyreg.copy as copy
import fastcopyreg.pickle as pickle
from support import loading
from support.implementations import requires_core

pytestmark = requires_core


class Old:
    def __deepcopy__(self, memo):
        warnings.warn("copy Old no more", stacklevel=2)
        return self


def test_warnings_are_attributed_to_who_called_deepcopy():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        copy.deepcopy(Old())
    assert [warning.filename for warning in caught] == [__file__]


class Noisy:
    log = None

    def __init__(self, name):
        self.name = name

    def __del__(self):
        Noisy.log.append(self.name)


class Raises:
    def __reduce__(self):
        raise ValueError


class Holds:
    def __reduce__(self):
        return tuple, ([Noisy("a"), Noisy("b"), Noisy("c")],)


def test_a_failing_deepcopy_drops_its_copies_before_it_is_caught():
    Noisy.log = []
    source = [Noisy("copy"), Raises()]
    try:
        copy.deepcopy(source)
    except ValueError:
        assert Noisy.log == ["copy"]
    else:
        pytest.fail("it did not raise")


def test_what_only_a_reduce_value_held_dies_in_order():
    Noisy.log = []
    kept = copy.deepcopy(Holds())
    assert Noisy.log == ["a", "b", "c"]
    del kept


def test_memo_indices_far_apart():
    pickled = b"K\x01p4294967296\n."
    unpickler = pickle.Unpickler(io.BytesIO(pickled))
    assert unpickler.load() == pickle.loads(pickled) == 1
    assert unpickler.memo.copy() == {1 << 32: 1}


def test_entries_of_the_memo_are_shown_in_the_order_of_their_indices():
    unpickler = pickle.Unpickler(io.BytesIO(b"K\x01q\x00K\x02q\xff\x86."))
    unpickler.load()
    assert list(unpickler.memo.copy()) == [0, 255]


@pytest.mark.parametrize("opcode", [b"\x8e", b"\x96"])
def test_lengths_that_no_memory_holds(opcode):
    with pytest.raises(pickle.UnpicklingError, match="^pickle data was truncated$"):
        pickle.loads(b"\x80\x05" + opcode + (sys.maxsize >> 13).to_bytes(8, "little") + b".")


@pytest.mark.parametrize("opcode", [b"\x8d", b"\x8e", b"\x96", b"\x95"])
@pytest.mark.parametrize("less", [0, 1, 20, 32, 33, 34, 63])
def test_lengths_that_no_pickle_has(opcode, less):
    length = (sys.maxsize - less).to_bytes(8, "little")
    for lead in (b"\x80\x05", b"\x80\x05" + b"N0" * 40):
        loading.compare_in_memory(lead + opcode + length + b".")


@pytest.mark.skipif(sys.maxsize < 1 << 32, reason="a length below 2**56 is none there")
@pytest.mark.parametrize("opcode", [b"\x8d", b"\x8e", b"\x96", b"\x95"])
@pytest.mark.parametrize("length", [1 << 56, 1 << 62])
def test_lengths_that_no_address_space_has(opcode, length):
    loading.compare_in_memory(b"\x80\x05" + opcode + length.to_bytes(8, "little") + b".")


class Counted:
    seen = None

    def __init__(self, state):
        self.state = state

    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        Counted.seen = sys.getrefcount(state)


def counts_of_state(state):
    """There and here."""
    pickled = std_pickle.dumps(Counted(state))
    std_pickle.loads(pickled)
    there = Counted.seen
    pickle.loads(pickled)
    return there, Counted.seen


@pytest.mark.parametrize("state", [("x", 1.5), ("x", ["y"]), "a state", b"a state"], ids=repr)
def test_a_state_has_one_reference_less(state):
    there, here = counts_of_state(state)
    assert here == there - 1


@pytest.mark.parametrize("state", [{"a": 1, "b": ["x"]}, ["x"], {1}, 1.5], ids=repr)
def test_other_states_have_the_same_references(state):
    there, here = counts_of_state(state)
    assert here == there
