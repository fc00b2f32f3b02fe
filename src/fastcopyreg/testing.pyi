"""What type checkers see of `testing`."""

from collections.abc import Iterable
from typing import Any, Literal

from .bench import Result

__all__ = ("CoreMissing", "assert_roundtrip", "race")

_Operation = Literal["dumps", "loads", "deepcopy", "copy"]

class CoreMissing(RuntimeError): ...

def race(
    objects: Any, op: _Operation = "dumps", at_least: float | None = None, *, seconds: float = 0.5
) -> Result: ...
def assert_roundtrip(obj: Any, *, protocols: Iterable[int] | None = None) -> None: ...
