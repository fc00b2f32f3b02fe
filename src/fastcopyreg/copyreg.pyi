"""For type checkers the drop-in is the standard module, whose types it has, but for one: typeshed
knows only constructors that take a reduce value."""

from collections.abc import Callable
from copyreg import add_extension as add_extension
from copyreg import clear_extension_cache as clear_extension_cache
from copyreg import constructor as constructor
from copyreg import dispatch_table as dispatch_table
from copyreg import remove_extension as remove_extension
from typing import Any, TypeVar

_T = TypeVar("_T")

__all__ = ["pickle", "constructor", "add_extension", "remove_extension", "clear_extension_cache"]

def pickle(
    ob_type: type[_T],
    pickle_function: Callable[[_T], str | tuple[Any, ...]],
    constructor_ob: Callable[..., Any] | None = None,
) -> None: ...
