"""What type checkers see of `registration`: above all, that `register` changes no class."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

__all__ = ("Registration", "register", "restore")

_Class = TypeVar("_Class", bound=type)
_Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

class Registration:
    cls: type
    constructor: Callable[..., Any]
    exclude: tuple[str, ...]
    fields: tuple[str, ...]
    reducer: Callable[[Any], tuple[Any, ...]]
    source: str
    upgrade: dict[int, _Upgrade]
    version: int | None
    def needs_fastcopyreg(self) -> bool: ...

def registration_of(cls: type) -> Registration | None: ...
@overload
def register(
    cls: _Class,
    fields: Iterable[str] | None = None,
    *,
    constructor: Callable[..., Any] | None = None,
    state: Iterable[str] = (),
    exclude: Iterable[str] = (),
    version: int | None = None,
    upgrade: Mapping[int, _Upgrade] | None = None,
) -> _Class: ...
@overload
def register(
    cls: None = None,
    fields: Iterable[str] | None = None,
    *,
    constructor: Callable[..., Any] | None = None,
    state: Iterable[str] = (),
    exclude: Iterable[str] = (),
    version: int | None = None,
    upgrade: Mapping[int, _Upgrade] | None = None,
) -> Callable[[_Class], _Class]: ...
def restore(cls: type, version: int, names: tuple[str, ...], *values: Any) -> Any: ...
