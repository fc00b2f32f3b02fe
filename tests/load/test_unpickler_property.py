"""Random graphs, dumped by either implementation and loaded by the other."""

import pickletools

import hypothesis
import pytest
from hypothesis import strategies

from support import loading
from support.choices import looks_around
from support.graphs import build, graphs
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core

pytestmark = [requires_core, pytest.mark.timeout(1800)]

PICKLERS = strategies.sampled_from([OURS, STANDARD])


def pickle_of(nodes, pickler, protocol):
    """The pickle of a graph; the example is passed over where there is none."""
    try:
        return pickler.dumps(build(nodes), protocol)
    except Exception:
        hypothesis.reject()


@looks_around
@hypothesis.given(graphs(), PICKLERS, strategies.sampled_from(PROTOCOLS))
def test_graph_is_loaded_alike(nodes, pickler, protocol):
    data = pickle_of(nodes, pickler, protocol)
    loading.compare_in_memory(data)
    loading.compare_by_files(data, readers=("reader", "buffered"))


@looks_around
@hypothesis.given(graphs(max_nodes=40), strategies.sampled_from(PROTOCOLS))
def test_large_graph_is_loaded_alike(nodes, protocol):
    loading.compare_in_memory(pickle_of(nodes, STANDARD, protocol))


@looks_around
@hypothesis.given(graphs(), strategies.sampled_from(PROTOCOLS))
def test_optimized_pickle_is_loaded_alike(nodes, protocol):
    """Without the memo entries that nobody fetches, nothing holds what they held."""
    loading.compare_in_memory(pickletools.optimize(pickle_of(nodes, STANDARD, protocol)))


@looks_around
@hypothesis.given(graphs(evil=True), strategies.sampled_from(PROTOCOLS))
def test_misbehaving_graph_ends_alike(nodes, protocol):
    loading.compare_in_memory(pickle_of(nodes, STANDARD, protocol))
