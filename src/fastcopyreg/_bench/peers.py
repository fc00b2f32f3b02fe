"""Other libraries that do the same jobs, as contenders: whoever is installed and takes the object.

A peer is not asked for the same outcome: msgspec and marshal lose types, which is their answer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

PEERS = ("cloudpickle", "copium", "msgspec", "marshal")

_FUNCTIONS = {
    "cloudpickle": {"dumps": "dumps"},
    "copium": {"deepcopy": "deepcopy", "copy": "copy"},
    "marshal": {"dumps": "dumps", "loads": "loads"},
    "msgspec": {"dumps": "msgpack.encode", "loads": "msgpack.decode"},
}

Call = tuple[Callable[[Any], Any], Any]
"""A function, and what it is to be called with."""


class LeftOut(Exception):
    """Why a peer takes no part: it is not installed, or refuses the object."""


def contender(peer: str, operation: str, made: Any) -> Call | None:
    """The peer's function for the operation and its argument; None if it has none.

    Raises `LeftOut` where it is missing, or fails.
    """
    functions = _FUNCTIONS[peer]
    if operation not in functions:
        return None
    try:
        module = import_module(peer)
    except ImportError as error:
        raise LeftOut(f"{peer}: {error}") from None
    argument = made
    try:
        if operation == "loads":
            argument = _function(module, functions["dumps"])(made)
        call = _function(module, functions[operation])
        call(argument)
    except Exception as error:
        raise LeftOut(f"{peer} {operation}: {type(error).__name__}: {error}") from None
    return call, argument


def _function(module: Any, name: str) -> Callable[[Any], Any]:
    found: Callable[[Any], Any] = operator.attrgetter(name)(module)
    return found


def contenders(
    peers: tuple[str, ...], operation: str, made: Any, left_out: list[str]
) -> Iterator[tuple[str, Call]]:
    """Every peer that takes part; who does not is noted in *left_out*."""
    for peer in peers:
        try:
            found = contender(peer, operation, made)
        except LeftOut as reason:
            if str(reason) not in left_out:
                left_out.append(str(reason))
            continue
        if found is not None:
            yield peer, found
