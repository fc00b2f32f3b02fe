"""A module of somebody's, with classes and objects to be explained and checked."""

import abc
import copyreg
from dataclasses import dataclass


class Lock:
    """What pickle refuses; PyPy takes what is usually refused, locks and generators."""

    def __reduce__(self):
        raise TypeError("cannot pickle 'Lock' object")


class Line:
    def __init__(self, price):
        self.price = price
        self.lock = None


class Order:
    def __init__(self, lines):
        self.lines = lines


good = Order([Line(1), Line(2)])
locked = Order([Line(0), Line(1), Line(2), Line(3)])
locked.lines[3].lock = Lock()


class Printed:
    def __init__(self, x):
        self.x = x


def reduce_printed(printed):
    print("pickling", end="")
    return Printed, (printed.x,)


class Named:
    def __init__(self, x):
        self.x = x


def reduce_named(named):
    return Named, (named.x,)


class Counted:
    """Its constructor does more than to store its arguments."""

    made = 0

    def __init__(self, x):
        self.x = x
        Counted.made += 1


class OwnReduce:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return OwnReduce, (self.x,)


class OwnReduceEx(OwnReduce):
    def __reduce_ex__(self, protocol):
        return OwnReduceEx, (self.x,)


class OwnState:
    def __init__(self, x):
        self.x = x

    def __getstate__(self):
        return {"x": self.x}

    def __setstate__(self, state):
        self.x = state["x"]


class OwnCopies:
    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


class Derived(Named):
    pass


class Meta(type):
    pass


class Abstract(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Listed(list):
    pass


@dataclass
class Data:
    x: int


class Forgetful:
    """Pickled, it loses what makes it what it is."""

    def __init__(self, x):
        self.x = x
        self.kept = [{"rest": 5}]

    def __reduce__(self):
        return Forgetful, (self.x,), {"kept": [{"rest": self.kept[0]["rest"] + 1}]}


def register_all():
    """Register what is registered here; the tests undo it."""
    copyreg.pickle(Printed, reduce_printed)
    copyreg.pickle(Named, reduce_named)
