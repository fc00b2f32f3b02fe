"""``copy``: every name of the running version's module, those in `_FROM_CORE` in C.

PYTEST_DONT_REWRITE: it has these names and no others, also under pytest.
"""

from . import _stdlib
from ._backend import core as _core

# The names that the core has; on the Python backend they are the standard library's own.
_FROM_CORE = ("copy", "deepcopy") + (("replace",) if "replace" in _stdlib.COPY else ())

globals().update(_stdlib.COPY)
globals().update({name: getattr(_core, name) for name in _FROM_CORE})
