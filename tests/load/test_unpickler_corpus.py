"""Every value of the corpus: pickles of either implementation, loaded by the other."""

import io

import pytest

from support import corpus, loading
from support.implementations import OURS as OUR_PICKLER
from support.implementations import PROTOCOLS, requires_core
from support.implementations import STANDARD as STANDARD_PICKLER

pytestmark = requires_core

NOT_PICKLED = (Exception, RecursionError)


def pickles(name, pickler, protocol):
    """The pickle of a value of the corpus, or None where it has none."""
    try:
        return pickler.dumps(corpus.VALUES[name](), protocol)
    except NOT_PICKLED:
        return None


@pytest.mark.parametrize("name", sorted(corpus.VALUES.keys() - corpus.HEAVY))
def test_value_is_loaded_alike_in_every_way(name):
    for protocol in PROTOCOLS:
        data = pickles(name, STANDARD_PICKLER, protocol)
        if data is not None:
            loading.compare_in_memory(data)
            loading.compare_by_files(data, readers=("bytesio", "short peek"), ways=("subclass",))


@pytest.mark.parametrize("name", sorted(corpus.HEAVY))
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_large_value_is_loaded_alike(name, protocol):
    """What protocols 1 and 3 have besides is in the small values."""
    data = pickles(name, STANDARD_PICKLER, protocol)
    if data is None:
        pytest.skip("has no pickle")
    loading.compare_in_memory(data)
    loading.compare_by_files(data, readers=("bytesio", "reader"), ways=("load",))


@pytest.mark.parametrize("name", sorted(corpus.VALUES.keys() - corpus.HEAVY))
def test_what_we_dump_loads_as_what_the_standard_library_dumps(name):
    for protocol in PROTOCOLS:
        data = pickles(name, OUR_PICKLER, protocol)
        if data is not None:
            loading.compare_in_memory(data)
            assert twice(loading.OURS, data) == twice(loading.STANDARD, data)


def twice(module, data):
    """Two pickles in one file, by one unpickler, whose memo goes on; and where each ends."""
    file = io.BytesIO(data + data + b"rest")
    unpickler = module.Unpickler(file)
    return [(loading.outcome(unpickler.load), file.tell()) for _ in range(2)]
