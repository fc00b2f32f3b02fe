"""Registered objects that hold another one, for nesting of any depth: by plan, and by call."""

import copyreg
from operator import abs


class Planned:
    """Its reducer is read, and not called."""

    __slots__ = ("inside",)

    def __init__(self, inside):
        self.inside = inside


class Called(Planned):
    """Its reducer is called."""

    __slots__ = ()


def reduce_called(obj):
    try:
        return Called, (obj.inside,)
    finally:
        abs(-1)


copyreg.pickle(Planned, lambda obj: (Planned, (obj.inside,)))
copyreg.pickle(Called, reduce_called)
