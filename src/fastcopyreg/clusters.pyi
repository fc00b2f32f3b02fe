"""What type checkers see of `clusters`."""

from .install import InstallReport

__all__ = ("remake", "restore")

LIBRARIES: dict[str, tuple[str, ...]]

def remake(*names: str) -> InstallReport: ...
def restore() -> None: ...
