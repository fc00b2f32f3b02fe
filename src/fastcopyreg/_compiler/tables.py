"""Which ``__init__`` of a Pickler gives each instance a copy of tables, and does nothing else.

`multiprocessing.reduction.ForkingPickler` has such a one, and billiard's.  The core copies such
tables once, and again when one of them has changed (``csrc/dump/copied_table.h``).
"""

from .functions import code_of


class _Sample:
    def __init__(self, *args):
        super().__init__(*args)
        self.dispatch_table = self.TABLE.copy()
        self.dispatch_table.update(self.ADDED)


_CODE = code_of(_Sample.__init__)
_NAMES = _CODE.co_names
_TABLE, _ADDED = _NAMES.index("TABLE"), _NAMES.index("ADDED")


# A function in a function, and what the source imports from the future, are no matter.
_CO_NESTED, _CO_FUTURE = 0x10, ~0xFFFF


def _essence(code):
    """Return what a code object does, but for the names that it uses."""
    return (
        code.co_code,
        code.co_consts,
        getattr(code, "co_exceptiontable", b""),  # PyPy's has none.
        code.co_flags & ~(_CO_NESTED | _CO_FUTURE),
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_nlocals),
        (code.co_freevars, code.co_cellvars, len(code.co_names)),
    )


_ESSENCE = _essence(_CODE)


def copied_tables(function):
    """Return the names of the table that is copied and of the one that is added, or None."""
    code = code_of(function)
    if _essence(code) != _ESSENCE:
        return None
    names = list(code.co_names)
    table, added = names[_TABLE], names[_ADDED]
    names[_TABLE], names[_ADDED] = "TABLE", "ADDED"
    return (table, added) if tuple(names) == _NAMES else None
