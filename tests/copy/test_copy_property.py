"""Random graphs, copied in random ways, against the oracle."""

import collections

import hypothesis
import pytest

from harness import fuzz_copies
from support import copies
from support.child import requires_fork
from support.choices import looks_around
from support.copies import compare
from support.graphs import build, graphs
from support.implementations import requires_core

pytestmark = [requires_core, pytest.mark.timeout(1800)]


@looks_around
@hypothesis.given(graphs(max_nodes=24))
def test_graph_is_deep_copied_alike(nodes):
    compare(copies.deepcopy, lambda: build(nodes))


@looks_around
@hypothesis.given(graphs(evil=True, pools=("hooked",)))
def test_misbehaving_graph_is_deep_copied_alike(nodes):
    compare(copies.deepcopy, lambda: prepared(nodes))


@looks_around
@hypothesis.given(graphs(evil=True, pools=("hooked",), max_nodes=8))
def test_graph_is_copied_alike(nodes):
    compare(copies.copy, lambda: prepared(nodes))


class DictMemo(dict):
    """A memo that is not exactly a dict."""


@looks_around
@pytest.mark.parametrize("memo_type", [dict, DictMemo, collections.UserDict])
@hypothesis.given(nodes=graphs(evil=True, pools=("hooked",), max_nodes=10))
def test_graph_is_deep_copied_alike_with_a_memo(memo_type, nodes):
    compare(copies.deepcopy_into(memo_type), lambda: prepared(nodes))


def prepared(nodes):
    """The graph, with each misfit told which of its reduce values to give."""
    root = build(nodes)
    number = sum(len(node[2]) for node in nodes)
    for obj in reachable(root):
        if type(obj) is copies.Misfit:
            obj.__dict__["choice"] = number % len(copies.Misfit.choices)
            number += 1
    return root


def reachable(root):
    """Every object below the root, in the order in which it is met."""
    seen, waiting = {}, [root]
    while waiting:
        obj = waiting.pop()
        if id(obj) not in seen:
            seen[id(obj)] = obj
            waiting.extend(reversed(copies.parts_of(obj)[1]))
    return list(seen.values())


@requires_fork
def test_hooks_that_do_harm_are_survived_alike():
    """A few of what harness/fuzz_copies.py tries for hours."""
    cases = [(seed, fuzz_copies.RATES[seed % 4]) for seed in range(200)]
    assert not fuzz_copies.differences(cases)
