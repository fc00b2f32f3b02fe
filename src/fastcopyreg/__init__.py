"""`copyreg`, and the `pickle` and `copy` that live off it, at C speed.

    from fastcopyreg import copyreg, pickle, copy

swaps them in one file, `fastcopyreg.install()` in the whole process.  Bytes, objects, exceptions
and extension points are the standard library's; `docs/compatibility.md` names what differs.

PYTEST_DONT_REWRITE: for pytest, which rewrites what is installed with a plug-in.
"""

from . import copy, copyreg, pickle
from ._backend import backend
from ._constructors import registered_constructors
from .diagnosis import check, explain
from .install import install, installed, uninstall
from .registration import register

__version__ = "0.1.0"

__all__ = (
    "__version__",
    "backend",
    "check",
    "copy",
    "copyreg",
    "explain",
    "install",
    "installed",
    "pickle",
    "register",
    "registered_constructors",
    "uninstall",
)
