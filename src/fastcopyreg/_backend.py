"""The one choice between the C core and the standard library, made at import."""

import os
import sys
from types import ModuleType

from . import _fallback


def unfit() -> str | None:
    """Return why the core is no choice for this interpreter; None if it is.

    What counts is how the interpreter was built: one that can do without its lock may be started
    with it, or have it switched on by a module, but its objects are laid out otherwise.
    """
    if sys.implementation.name != "cpython":
        return f"the C core is for CPython; this is {sys.implementation.name}"
    if "free-threading" in sys.version or "t" in getattr(sys, "abiflags", ""):
        return (
            "this build of Python is free-threaded, for which the C core is not ready; "
            "FASTCOPYREG_BACKEND=c asks for it all the same"
        )
    return None


def choose(wanted: str) -> tuple[str, ModuleType, str | None]:
    """Return the backend's name, its module, and why the C core is not used (None if it is).

    *wanted* is the value of ``FASTCOPYREG_BACKEND``: empty for C if it is fit and imports, ``c``
    for C or ImportError, ``python`` for the standard library.  Anything else raises ImportError,
    so that a misspelt choice is not taken for one.
    """
    if wanted not in ("", "c", "python"):
        raise ImportError(f"FASTCOPYREG_BACKEND is {wanted!r}; it can be 'c', 'python' or unset")
    if wanted == "python":
        return "python", _fallback, "FASTCOPYREG_BACKEND=python asks for the standard library"
    reason = unfit()
    if reason is not None and wanted == "":
        return "python", _fallback, reason
    try:
        from . import _core
    except ImportError as error:
        if wanted == "":
            return "python", _fallback, str(error)
        if reason is not None:
            raise ImportError(f"{reason} ({error})") from error
        raise
    return "c", _core, None


backend, core, core_missing = choose(os.environ.get("FASTCOPYREG_BACKEND", ""))
