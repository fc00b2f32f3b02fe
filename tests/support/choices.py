"""A hypothesis strategy for the ways to dump."""

import pickle as std_pickle

import hypothesis
from hypothesis import strategies

from support.recording import TABLES, Setup

# Graphs are many-sided and cheap: look at more of them than the profile says for other tests.
looks_around = hypothesis.settings(max_examples=4 * hypothesis.settings().max_examples)


def protocols():
    """Every protocol, the default, and the newest by its other name."""
    return strategies.sampled_from([None, -1, *range(std_pickle.HIGHEST_PROTOCOL + 1)])


def function_setups():
    """`dumps` and `dump`."""
    return strategies.builds(
        Setup,
        entry=strategies.sampled_from(["dumps", "dump"]),
        protocol=protocols(),
        fix_imports=strategies.booleans(),
        dumps=strategies.integers(1, 2),
    )


def pickler_setups():
    """Picklers and subclasses, with any hooks, tables and switches together."""
    hooks = strategies.sampled_from(["", "", "method", "instance"])
    return strategies.builds(
        Setup,
        entry=strategies.sampled_from(["pickler", "subclass"]),
        protocol=protocols(),
        fix_imports=strategies.booleans(),
        persistent_id=hooks,
        reducer_override=hooks,
        table=strategies.sampled_from(["", "", *TABLES]),
        table_on=strategies.sampled_from(["instance", "class"]),
        binary=strategies.sampled_from([None, None, None, 0, 1]),
        dumps=strategies.integers(1, 2),
        clear=strategies.booleans(),
    )


def any_setup():
    """Functions as often as picklers."""
    return strategies.one_of(function_setups(), pickler_setups())
