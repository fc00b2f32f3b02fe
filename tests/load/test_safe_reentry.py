"""Safe loads while code of allowed classes runs: it loads, registers, forgets and changes things.

A policy is whole and never changes; so what a load allows is what it allowed when it began.
"""

import gc
import io
import pickle
import sys
import threading
from contextlib import suppress

import pytest

from fastcopyreg import _constructors, safe
from fastcopyreg._safe import machine, policy

WHEN = None
"""What `Calling` does: a function of the object and where it was called."""


class Calling:
    """An allowed class that runs code wherever a load can have it run."""

    def __setstate__(self, state):
        self.state = state
        happen(self, "state")

    def __hash__(self):
        happen(self, "hash")
        return 1

    def __eq__(self, other):
        happen(self, "eq")
        return self is other

    def append(self, item):
        happen(self, "append")

    def __setitem__(self, key, value):
        happen(self, "setitem")

    def add(self, item):
        happen(self, "add")

    def __reduce__(self):
        return Calling, ()


class Plain:
    pass


def later():
    return "called"


def happen(calling, where):
    if WHEN is not None:
        WHEN(calling, where)


def named(value):
    return f"c{value.__module__}\n{value.__qualname__}\n".encode()


OBJECT = named(Calling) + b")\x81"
AFTER = named(later) + b")R."
PLACES = {
    "state": OBJECT + b"}b0",
    "hash": b"}" + OBJECT + b"Ns0",
    "eq": b"\x8f(" + OBJECT + OBJECT + b"\x900",
    "append": OBJECT + b"Na0",
    "setitem": OBJECT + b"NNs0",
    "add": OBJECT + b"(N\x900",
}


def by_python(data, allow):
    return machine.Machine(machine.Policy(policy.Table(allow)), data, {}).load()


LOADS = {
    "policy": lambda data, allow: safe.Policy(allow).loads(data),
    "loads": lambda data, allow: safe.loads(data, allow=allow),
    "file": lambda data, allow: safe.load(io.BytesIO(data), allow=allow),
    "python": by_python,
}


@pytest.fixture
def when(monkeypatch):
    """Sets what happens, and tells where it did."""
    places = set()

    def chosen(function):
        def run(calling, where):
            places.add(where)
            monkeypatch.setitem(globals(), "WHEN", None)
            function()
            monkeypatch.setitem(globals(), "WHEN", run)

        monkeypatch.setitem(globals(), "WHEN", run)
        return places

    return chosen


@pytest.fixture
def unregister():
    yield
    key = id(later)
    _constructors.allowed.pop(key, None)
    _constructors._constructors.pop(key, None)
    policy._kept.cache_clear()
    safe.loads(b"N.", limits=safe.Limits(size=98))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_a_load_within_a_load_changes_nothing_of_it(load, place, when):
    seen = []

    def nested():
        assert safe.loads(named(later) + b")R.", allow=[later]) == "called"
        with pytest.raises(pickle.UnpicklingError, match="limit 'depth'"):
            safe.loads(b"]" * 5 + b"a" * 4 + b".", limits=safe.Limits(depth=2))
        with pytest.raises(pickle.UnpicklingError):
            safe.loads(AFTER)
        seen.append(True)

    places = when(nested)
    with pytest.raises(pickle.UnpicklingError, match="later is not allowed"):
        load(PLACES[place] + AFTER, [Calling])
    assert place in places and seen
    assert load(PLACES[place] + AFTER, [Calling, later]) == "called"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_what_is_registered_meanwhile_is_allowed_in_the_next_load(load, place, when, unregister):
    when(lambda: _constructors.remember(later))
    with pytest.raises(pickle.UnpicklingError, match="later is not allowed"):
        load(PLACES[place] + AFTER, [Calling])
    assert load(AFTER, [Calling]) == "called"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_the_allow_list_may_change_and_go_away_meanwhile(load, place, when):
    allow = [Calling]

    def forget():
        allow[:] = [later]
        gc.collect()

    when(forget)
    with pytest.raises(pickle.UnpicklingError, match="later is not allowed"):
        load(PLACES[place] + AFTER, allow)
    assert allow == [later]


@pytest.mark.parametrize("place", PLACES)
def test_what_keeps_the_policy_may_go_away_meanwhile(place, when):
    held = [safe.Policy([Calling, Plain])]
    loads, value = held[0].loads, PLACES[place] + named(Plain) + b")\x81."

    def forget():
        held.clear()
        policy._kept.cache_clear()
        gc.collect()

    when(forget)
    assert type(loads(value)) is Plain
    load = safe.Unpickler(io.BytesIO(value), allow=[Calling, Plain]).load
    assert type(load()) is Plain


def test_a_list_that_becomes_a_set_may_change_meanwhile(when):
    """By the hash of what is in it."""
    for load in LOADS.values():
        lists = []

        def change(lists=lists):
            for made in gc.get_objects():
                if type(made) is list and len(made) == 3 and type(made[0]) is Calling:
                    lists.append(made)
                    made.clear()

        when(change)
        data = b"cbuiltins\nset\n](" + OBJECT + b"K\x01K\x02e\x85R."
        with suppress(RuntimeError, IndexError):
            assert len(load(data, [Calling])) <= 3
        assert lists or sys.implementation.name != "cpython"


class Again(safe.Unpickler):
    """Asks itself for another load, and for another policy, where a persistent id is met."""

    def persistent_load(self, pid):
        self.errors = []
        for act in (self.load, lambda: self.__init__(io.BytesIO(b"N."), allow=[later])):
            try:
                act()
            except RuntimeError as error:
                self.errors.append(error)
        return pid


def test_an_unpickler_that_uses_itself_meanwhile_gains_nothing():
    for first in (b"", named(Plain) + b"q\x000"):
        unpickler = Again(io.BytesIO(first + b"Pid\n0" + AFTER), allow=[Plain])
        with pytest.raises(pickle.UnpicklingError, match="later is not allowed"):
            unpickler.load()
        assert [str(error) for error in unpickler.errors] == [
            "Unpickler object is already used"
        ] * 2


def test_threads_have_their_own_verdicts():
    data = PLACES["state"] + AFTER
    good, bad = safe.Policy([Calling, later]), safe.Policy([Calling])
    wrong = []

    def run(chosen, expected):
        for _ in range(200):
            try:
                found = chosen.loads(data)
            except pickle.UnpicklingError:
                found = "refused"
            if found != expected:
                wrong.append((found, expected))

    threads = [
        threading.Thread(target=run, args=arguments)
        for arguments in ((good, "called"), (bad, "refused")) * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
