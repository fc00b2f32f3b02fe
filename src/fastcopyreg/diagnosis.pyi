"""What type checkers see of `diagnosis`."""

from collections.abc import Iterable

from ._diagnosis.explanation import Explanation
from ._diagnosis.report import CheckReport

__all__ = ("check", "explain")

def explain(x: object) -> Explanation: ...
def check(
    x: object, protocols: Iterable[int] | None = None, *, raise_: bool = False
) -> CheckReport: ...
