"""What type checkers see of `reducers`."""

import builtins
from typing import NamedTuple

__all__ = ("Reducer", "disable", "enable", "list")

class Reducer(NamedTuple):
    name: str
    enabled: bool
    types: tuple[type, ...]
    about: str

def enable(*names: str) -> None: ...
def disable(*names: str) -> None: ...
def list() -> builtins.list[Reducer]: ...
