"""The one choice between the C core and the standard library, made at import."""

import os
from types import ModuleType

from . import _fallback


def choose(wanted: str) -> tuple[str, ModuleType, str | None]:
    """Return the backend's name, its module, and why the C core is not used (None if it is).

    *wanted* is the value of ``FASTCOPYREG_BACKEND``: empty for C if it imports, ``c`` for C or
    ImportError, ``python`` for the standard library.  Anything else raises ImportError, so that a
    misspelt choice is not taken for one.
    """
    if wanted not in ("", "c", "python"):
        raise ImportError(f"FASTCOPYREG_BACKEND is {wanted!r}; it can be 'c', 'python' or unset")
    if wanted == "python":
        return "python", _fallback, "FASTCOPYREG_BACKEND=python asks for the standard library"
    try:
        from . import _core
    except ImportError as error:
        if wanted == "c":
            raise
        return "python", _fallback, str(error)
    return "c", _core, None


backend, core, core_missing = choose(os.environ.get("FASTCOPYREG_BACKEND", ""))
