from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, Protocol

from typing_extensions import Buffer

from ._safe.explain import Explanation
from ._safe.learning import Learning

__all__ = (
    "STANDARD",
    "Allowed",
    "Limits",
    "Policy",
    "Unpickler",
    "explain",
    "learning",
    "load",
    "loads",
)

class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def readline(self) -> bytes: ...

class Allowed:
    item: Any
    name: str | None
    note: str | None
    subclasses: bool
    def __init__(
        self,
        item: Any,
        *,
        name: str | None = None,
        note: str | None = None,
        subclasses: bool = False,
    ) -> None: ...

_Allow = Iterable[Callable[..., Any] | str | Allowed] | str | PathLike[str]
_Classes = Literal["registered", "any"]

@dataclass(frozen=True)
class Limits:
    size: int = ...
    depth: int = ...
    objects: int = ...
    memo: int = ...
    string: int = ...
    integer_digits: int = ...
    collisions: int = ...
    copies: int = ...

STANDARD: Mapping[str, Any]

def loads(
    data: Buffer,
    /,
    *,
    allow: _Allow = (),
    classes: _Classes = "registered",
    limits: Limits | None = None,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Buffer] | None = (),
) -> Any: ...
def load(
    file: _Readable,
    *,
    allow: _Allow = (),
    classes: _Classes = "registered",
    limits: Limits | None = None,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Buffer] | None = (),
) -> Any: ...

class Unpickler:
    def __init__(
        self,
        file: _Readable,
        *,
        allow: _Allow = (),
        classes: _Classes = "registered",
        limits: Limits | None = None,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        buffers: Iterable[Buffer] | None = (),
    ) -> None: ...
    def load(self) -> Any: ...
    def persistent_load(self, pid: Any, /) -> Any: ...

class Policy:
    def __init__(
        self, allow: _Allow = (), *, classes: _Classes = "registered", limits: Limits | None = None
    ) -> None: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def allowed(self) -> frozenset[tuple[str, str]]: ...
    def loads(
        self,
        data: Buffer,
        /,
        *,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        buffers: Iterable[Buffer] | None = (),
    ) -> Any: ...
    def load(
        self,
        file: _Readable,
        *,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        buffers: Iterable[Buffer] | None = (),
    ) -> Any: ...
    def Unpickler(
        self,
        file: _Readable,
        *,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        buffers: Iterable[Buffer] | None = (),
    ) -> Unpickler: ...

def explain(
    data: Buffer | _Readable,
    *,
    allow: _Allow = (),
    classes: _Classes = "registered",
    limits: Limits | None = None,
) -> Explanation: ...
def learning() -> Learning: ...
