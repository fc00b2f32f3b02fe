"""The C core as type checkers see it; a test binds this to the module."""

from collections.abc import Callable, Iterable, Mapping
from pickle import PickleBuffer
from types import CodeType, FunctionType
from typing import Any, Protocol, TypeVar, final

from typing_extensions import Buffer

_T = TypeVar("_T")

class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...

class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def readline(self) -> bytes: ...

class Pickler:
    bin: int
    fast: int
    dispatch_table: Mapping[type, Callable[[Any], str | tuple[Any, ...]]]
    memo: Any
    def __init__(
        self,
        file: _Writable,
        protocol: int | None = None,
        fix_imports: bool = True,
        buffer_callback: Callable[[PickleBuffer], object] | None = None,
    ) -> None: ...
    def dump(self, obj: Any, /) -> None: ...
    def clear_memo(self) -> None: ...
    def persistent_id(self, obj: Any, /) -> Any: ...
    def __sizeof__(self) -> int: ...

class Unpickler:
    memo: Any
    def __init__(
        self,
        file: _Readable,
        *,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        buffers: Iterable[Buffer] | None = (),
    ) -> None: ...
    def load(self) -> Any: ...
    def find_class(self, module_name: str, global_name: str, /) -> Any: ...
    def persistent_load(self, pid: Any, /) -> Any: ...
    def __sizeof__(self) -> int: ...

def dump(
    obj: Any,
    file: _Writable,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[PickleBuffer], object] | None = None,
) -> None: ...
def dumps(
    obj: Any,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[PickleBuffer], object] | None = None,
) -> bytes: ...
def load(
    file: _Readable,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Buffer] | None = (),
) -> Any: ...
def loads(
    data: Buffer,
    /,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Buffer] | None = (),
) -> Any: ...

# What fastcopyreg.safe is made of.
@final
class Policy:
    def __init__(
        self,
        rows: tuple[tuple[Any, ...], ...],
        limits: tuple[int, ...],
        any_class: bool,
        refuse: Callable[..., object],
        attributes: dict[int, dict[str, Any]],
        helper_type: type,
        secret: int,
    ) -> None: ...

def set_safe(choose: Callable[..., Policy], constructors: dict[Any, Any], /) -> None: ...
def set_policy(unpickler: Unpickler, policy: Policy, /) -> None: ...
def set_learner(learner: Any, /) -> None: ...
def policy_loads(policy: Policy, data: Buffer, /, **options: Any) -> Any: ...
def policy_load(policy: Policy, file: _Readable, /, **options: Any) -> Any: ...
def safe_load(
    file: _Readable,
    *,
    allow: Any = (),
    classes: str = "registered",
    limits: Any = None,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Buffer] | None = (),
) -> Any: ...
def safe_loads(
    data: Buffer,
    /,
    *,
    allow: Any = (),
    classes: str = "registered",
    limits: Any = None,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Buffer] | None = (),
) -> Any: ...

@final
class CopyFunction:
    """The type of the copy functions, which bind as methods like the functions they stand for."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

def copy(x: _T) -> _T: ...
def deepcopy(x: _T, memo: dict[int, Any] | None = None) -> _T: ...
def replace(obj: _T, /, **changes: Any) -> _T: ...  # From 3.13.

# For install(), `explain` and the tests.
def calls_under_way(forget: bool = False, /) -> int: ...
def plan_counts() -> tuple[int, int]: ...
def reads_fields(type: object, /) -> bool: ...
def asks_for_state(type: object, /) -> bool: ...
def reads_values(type: object, /) -> bool: ...
def constructor_rests(constructor: object, /) -> bool: ...
def makes_values(type: object, /) -> bool: ...
def address_of(object: object, /) -> int: ...
def function_parts(
    function: FunctionType, /
) -> tuple[CodeType, tuple[Any, ...], dict[str, Any]]: ...
def plan_threshold(number: int | None = None, /) -> int: ...
def set_type_module(type: type, name: str, /) -> None: ...
def find_names(dicts: list[Any], objects: tuple[Any, ...], /) -> list[tuple[int, Any, Any]]: ...
def find_holders(candidates: list[Any] | None, objects: tuple[Any, ...], /) -> list[Any]: ...
