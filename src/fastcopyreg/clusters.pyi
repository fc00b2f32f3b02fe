"""What type checkers see of `clusters`."""

from typing import Any

from .install import InstallReport

__all__ = ("LIBRARIES", "install_on", "remake", "restore", "uninstall_from")

LIBRARIES: dict[str, tuple[str, ...]]

def remake(*names: str) -> InstallReport: ...
def restore() -> None: ...

# The client is a distributed.Client.  What is returned is an awaitable if it is asynchronous.
def install_on(client: Any, *, registrations: bool = True) -> Any: ...
def uninstall_from(client: Any) -> Any: ...
