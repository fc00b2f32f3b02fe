"""Every value of the corpus, through every entry and hook, at every protocol."""

import pytest

from support import corpus
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, compare, setups

pytestmark = requires_core


@pytest.mark.parametrize("name", sorted(corpus.VALUES.keys() - corpus.HEAVY))
def test_value_is_dumped_alike_in_every_way(name):
    for setup in setups():
        compare(STANDARD, OURS, setup, corpus.VALUES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(corpus.HEAVY))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_large_value_is_dumped_alike(name, protocol):
    for entry in ("dumps", "dump", "pickler"):
        compare(STANDARD, OURS, Setup(entry, protocol), corpus.VALUES[name])
    compare(
        STANDARD, OURS, Setup("subclass", protocol, persistent_id="method"), corpus.VALUES[name]
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", sorted(corpus.EVIL))
def test_evil_value_ends_alike(name, protocol):
    for setup in (
        Setup("dumps", protocol),
        Setup("dump", protocol),
        Setup("pickler", protocol, persistent_id="method"),
        Setup("pickler", protocol, dumps=2),
        Setup("subclass", protocol, reducer_override="method", table="chain"),
    ):
        compare(STANDARD, OURS, setup, corpus.EVIL[name])
