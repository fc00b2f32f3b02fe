"""What is done with a workload: each operation by the standard library, by ours and by peers.

`prepare(workload, operation, scale)` gives the contenders of a race, the standard library's first,
and checks that ours comes to the same outcome.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from fastcopyreg import _stdlib, copy, pickle
from fastcopyreg.bench import Contender
from workloads import Workload

STDLIB = "stdlib"
OURS = "fastcopyreg"


@dataclasses.dataclass(frozen=True)
class Operation:
    """The standard library's function and ours, and what they take: the object or its pickle."""

    name: str
    standard: Callable[[Any], Any]
    ours: Callable[[Any], Any]
    takes_pickle: bool = False

    def functions(self, workload: Workload) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        """The standard library's and ours, for a workload that may have picklers of its own."""
        if workload.through is None:
            return self.standard, self.ours
        return tuple(workload.through(module)[self.takes_pickle] for module in (_stdlib, pickle))

    def argument(self, workload: Workload, scale: float) -> Any:
        built = workload.build(scale)
        if not self.takes_pickle:
            return built
        return OPERATION["dumps"].functions(workload)[0](built)

    @property
    def is_ours(self) -> bool:
        """Whether this version has the operation, or passes on the standard library's."""
        return self.ours is not self.standard


OPERATION: dict[str, Operation] = {
    "dumps": Operation("dumps", _stdlib.dumps, pickle.dumps),
    "loads": Operation("loads", _stdlib.loads, pickle.loads, takes_pickle=True),
    "deepcopy": Operation("deepcopy", _stdlib.deepcopy, copy.deepcopy),
    "copy": Operation("copy", _stdlib.copy, copy.copy),
}

if _stdlib.replace is not None:  # 3.13 and later
    _sides = _stdlib.replace, copy.replace
    if _sides[0] is not _sides[1]:
        _sides = tuple(functools.partial(side, x=1.5) for side in _sides)
    OPERATION["replace"] = Operation("replace", *_sides)

OPERATIONS = tuple(OPERATION)


class Different(AssertionError):
    """Ours and the standard library's came to different outcomes."""


def check(workload: Workload, operation: Operation, scale: float) -> None:
    """Raises Different unless both outcomes are the same: bytes, or graphs with the same dump."""
    # Two inputs are built: what one side does to its input (making dicts) the other must not see.
    by_standard, by_ours = operation.functions(workload)
    ours = by_ours(operation.argument(workload, scale))
    standard = by_standard(operation.argument(workload, scale))
    if operation.name != "dumps":
        ours, standard = _stdlib.dumps(ours), _stdlib.dumps(standard)
    if ours != standard:
        raise Different(f"{operation.name} of {workload.name}: the outcomes differ")


def _contender(
    label: str, function: Callable[[Any], Any], workload: Workload, argument: Any, scale: float
) -> Contender:
    if workload.fresh and not isinstance(argument, bytes):
        return Contender(label, function, fresh=lambda: (workload.build(scale),))
    return Contender(label, function, (argument,))


def prepare(
    workload: Workload, operation_name: str, scale: float = 1.0, peers: bool = True
) -> list[Contender]:
    """The contenders: the standard library, ours, then the peers that are installed."""
    operation = OPERATION[operation_name]
    check(workload, operation, scale)
    argument = operation.argument(workload, scale)
    standard, ours = operation.functions(workload)
    contenders = [
        _contender(STDLIB, standard, workload, argument, scale),
        _contender(OURS, ours, workload, argument, scale),
    ]
    if peers and workload.through is None:
        for label, function in _peers(operation_name):
            contenders.append(_contender(label, function, workload, argument, scale))
        contenders.extend(_struct_contenders(workload, operation_name, scale))
    return contenders


_PEERS = {"dumps": ("cloudpickle",), "deepcopy": ("copium",), "copy": ("copium",)}


def _peers(operation_name: str) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    for module_name in _PEERS.get(operation_name, ()):
        with contextlib.suppress(ImportError):
            yield module_name, getattr(import_module(module_name), operation_name)


_LIKE_STRUCT = frozenset({"registered-slots", "one-registered"})


def _struct_contenders(
    workload: Workload, operation_name: str, scale: float
) -> Iterator[Contender]:
    """msgspec on a Struct of the same three fields, where a workload has its like."""
    if operation_name != "dumps" or workload.name not in _LIKE_STRUCT:
        return
    with contextlib.suppress(ImportError):
        msgspec = import_module("msgspec")
        struct = msgspec.defstruct("PointStruct", [("x", float), ("y", float), ("z", int)])
        built = workload.build(scale)
        points = built if isinstance(built, list) else [built]
        structs = [struct(p.x, p.y, p.z) for p in points]
        argument = structs if isinstance(built, list) else structs[0]
        yield Contender("msgspec", msgspec.msgpack.encode, (argument,))
