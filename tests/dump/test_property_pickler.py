"""Random graphs, dumped in random ways, against the oracle."""

import dataclasses

import hypothesis
import pytest

from support import recording, trace
from support.choices import any_setup, looks_around, pickler_setups
from support.graphs import build, graphs
from support.implementations import OURS, STANDARD, requires_core
from support.recording import Setup, compare
from support.shallow import run_shallow

pytestmark = [requires_core, pytest.mark.timeout(1800)]


@looks_around
@hypothesis.given(graphs(), any_setup())
def test_graph_is_dumped_alike(nodes, setup):
    run_shallow(compare, STANDARD, OURS, setup, lambda: build(nodes))


@looks_around
@hypothesis.given(graphs(max_nodes=40))
def test_large_graph_is_dumped_alike_by_the_default_way(nodes):
    run_shallow(compare, STANDARD, OURS, Setup(), lambda: build(nodes))


@looks_around
@hypothesis.given(graphs(evil=True), any_setup())
def test_misbehaving_graph_ends_alike(nodes, setup):
    run_shallow(compare, STANDARD, OURS, setup, lambda: build(nodes))


@looks_around
@hypothesis.given(graphs(evil=True), graphs(), pickler_setups())
def test_pickler_used_after_a_failure_goes_on_alike(first, second, setup):
    setup = dataclasses.replace(setup, entry="subclass")
    assert run_shallow(pair_record, STANDARD, first, second, setup) == run_shallow(
        pair_record, OURS, first, second, setup
    )


def pair_record(implementation, first, second, setup):
    """What two dumps with one pickler gave; None where the stack ran out, which may come later."""
    sink, outcomes = recording.Sink(), []
    pickler = recording.make_pickler(implementation, setup, sink, None)
    trace.take()
    for nodes in (first, second):
        obj = build(nodes)
        try:
            pickler.dump(obj)
        except RecursionError:
            trace.take()
            return None
        except Exception as exception:
            outcomes.append(recording.describe_error(exception))
    return outcomes, sink.writes, trace.take(), recording.describe_memo(pickler.memo)
