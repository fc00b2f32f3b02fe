"""The C core's names on top of the standard library, for where the core is missing.

Nothing is written again here: each name is the standard library's own object, so that on this
backend ``fastcopyreg.pickle.dumps is pickle.dumps``.  ``replace`` is None before Python 3.13,
which has no such function.
"""

from ._stdlib import (
    Pickler,
    Unpickler,
    copy,
    deepcopy,
    dump,
    dumps,
    load,
    loads,
    replace,
)

__all__ = (
    "Pickler",
    "Unpickler",
    "copy",
    "deepcopy",
    "dump",
    "dumps",
    "load",
    "loads",
    "replace",
)
