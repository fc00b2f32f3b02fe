"""Tests that dump what a strategy describes by both implementations; what meddles with dumps."""

import hypothesis
from hypothesis import strategies

from support.choices import any_setup, looks_around
from support.classes import ByClass
from support.implementations import OURS, STANDARD
from support.recording import Setup, compare
from support.shallow import run_shallow


class Meddles(ByClass):
    """Changes something while it is dumped."""

    def __init__(self, change):
        self.change = change

    def __reduce__(self):
        self.change()
        return int, (7,)


class Hiding:
    """Called as a method that an object has."""

    def __init__(self, value):
        self.value = value

    def __call__(self, *protocol):
        return self.value

    def __reduce__(self):
        return Hiding, (0,)


def dumping_tests(described, make):
    """Three tests of what `make(descriptions, made)` makes of such descriptions: dumped in any
    way; by the default way, several at once; and where a frame ends."""

    def dump(setup, build):
        run_shallow(compare, STANDARD, OURS, setup, build)

    @looks_around
    @hypothesis.given(described, any_setup())
    def in_any_way(one, setup):
        dump(setup, lambda: make([one, one], []))

    @looks_around
    @hypothesis.given(strategies.lists(described, max_size=5), strategies.sampled_from([4, 5]))
    def by_the_default_way(several, protocol):
        dump(Setup(protocol=protocol), lambda: make(several * 3, []))

    @hypothesis.given(described, strategies.integers(65_000, 66_000), strategies.booleans())
    def at_the_end_of_a_frame(one, size, to_file):
        setup = Setup("dump" if to_file else "dumps")
        dump(setup, lambda: [bytes(size), *make([one] * 20, [])])

    return in_any_way, by_the_default_way, at_the_end_of_a_frame
