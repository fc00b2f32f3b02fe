"""Classes whose callbacks raise, mutate what is being saved, drop references, or re-enter.

They are kept away from classes.py because a pickler may do the right thing and still raise.
"""

import copyreg

from support.classes import ByClass, Data, Plain, RegisteredDict, SubPlain, make_plain
from support.trace import note


class EvilError(Exception):
    """What misbehaving callbacks raise."""


def alter(container, action):
    """Change a container in one of several ways; what does not apply to its type does nothing."""
    note("alter", type(container).__name__, action)
    if isinstance(container, list):
        alter_list(container, action)
    elif isinstance(container, dict):
        alter_dict(container, action)
    elif isinstance(container, set):
        alter_set(container, action)
    elif type(container) in ALTERABLE:
        alter_dict(container.__dict__, action)


# Not any object with a `__dict__`: some are globals, which other cases need as they are.
ALTERABLE = {Plain, SubPlain, Data, RegisteredDict}


def alter_list(container, action):
    """Grow, shrink, empty or replace."""
    if action == "grow":
        container.append(["grown"])
    elif action == "shrink" and container:
        container.pop()
    elif action == "clear":
        container.clear()
    elif action == "replace":
        container[:] = [[n] for n in range(len(container))]


def alter_dict(container, action):
    """Grow, shrink, empty or replace."""
    if action == "grow":
        container[f"grown{len(container)}"] = ["grown"]
    elif action == "shrink" and container:
        container.popitem()
    elif action == "clear":
        container.clear()
    elif action == "replace":
        for key in list(container):
            container[key] = ["replaced"]


def alter_set(container, action):
    """Grow, shrink or empty; a set has nothing to replace."""
    if action == "grow":
        container.add(("grown", len(container)))
    elif action == "shrink" and container:
        container.pop()
    elif action == "clear":
        container.clear()


class Alters(ByClass):
    """Its reducer changes the object in `a`."""

    action = "grow"

    def __reduce__(self):
        alter(self.__dict__.get("a"), self.action)
        return make_plain, ("altered",)


class AltersShrink(Alters):
    """Takes one item away."""

    action = "shrink"


class AltersClear(Alters):
    """Takes all items away."""

    action = "clear"


class AltersReplace(Alters):
    """Puts other items in their place."""

    action = "replace"


class AltersInState(ByClass):
    """Changes the object in `a` only when its state is asked for."""

    def __getstate__(self):
        alter(self.__dict__.get("a"), "clear")
        return {"state": [1, 2]}


class AltersWhileIterated(ByClass):
    """Changes the object in `a` while its own items are being iterated."""

    def __reduce__(self):
        return make_plain, (), None, self.items()

    def items(self):
        """A generator that is still running while items are saved."""
        yield "first"
        alter(self.__dict__.get("a"), "shrink")
        yield ["second"]
        alter(self.__dict__.get("a"), "grow")
        yield ("third", self.__dict__.get("b"))


class DropsItself(ByClass):
    """Clears its own `__dict__` when it is reduced."""

    def __reduce__(self):
        kept = self.__dict__.get("a")
        self.__dict__.clear()
        return make_plain, ([kept],)


class DropsDictInState(ByClass):
    """A registered type whose reducer gives its `__dict__` and puts another in its place."""


def reduce_drops_dict(obj):
    """The old `__dict__` is then held by the reduce value alone."""
    state = obj.__dict__
    obj.__dict__ = {"other": []}
    return make_plain, (), state


copyreg.pickle(DropsDictInState, reduce_drops_dict)


class LateDict(ByClass):
    """Its reducer presents the `__dict__` of the object in `a`, maybe not made yet."""

    def __reduce__(self):
        return make_plain, (getattr(self.__dict__.get("a"), "__dict__", None),)


class RaisesInReduce(ByClass):
    """`__reduce_ex__` raises."""

    def __reduce_ex__(self, protocol):
        note("raise", protocol)
        raise EvilError("in __reduce_ex__", protocol)


class RaisesInState(ByClass):
    """`__getstate__` raises."""

    def __getstate__(self):
        raise EvilError("in __getstate__")


class RaisesInItems(ByClass):
    """The iterator over items raises after two."""

    def __reduce__(self):
        return make_plain, (), None, self.items()

    def items(self):
        """Two items, then an exception."""
        yield 1
        yield [2]
        raise EvilError("in iterator")


class RaisesInPairs(RaisesInItems):
    """The iterator over pairs raises after one."""

    def __reduce__(self):
        return make_plain, (), None, None, self.pairs()

    def pairs(self):
        """One pair, then an exception."""
        yield "k", [1]
        raise EvilError("in pairs")


class RaisesStop(ByClass):
    """`__reduce__` raises StopIteration, which must not look like the end of anything."""

    def __reduce__(self):
        raise StopIteration("in __reduce__")


class RaisesMissing(ByClass):
    """Looking up `__reduce_ex__` raises AttributeError; the pickler then asks for `__reduce__`."""

    def __getattribute__(self, name):
        note("getattribute", name)
        if name == "__reduce_ex__":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def __reduce__(self):
        return make_plain, ("by __reduce__",)


class RaisesLookup(ByClass):
    """Looking up `__reduce_ex__` raises something else."""

    def __getattribute__(self, name):
        note("getattribute", name)
        if name == "__reduce_ex__":
            raise EvilError("looking up " + name)
        return super().__getattribute__(name)


class Irreducible(ByClass):
    """Has neither `__reduce_ex__` nor `__reduce__` as far as one can see."""

    def __getattribute__(self, name):
        if name.startswith("__reduce"):
            raise AttributeError(name)
        return super().__getattribute__(name)


class Spoofed(ByClass):
    """`__class__` says something else."""

    @property
    def __class__(self):
        note("class")
        return dict


class SpoofedMissing(ByClass):
    """`__class__` cannot be read."""

    @property
    def __class__(self):
        raise AttributeError("no class")


class OnInstance(ByClass):
    """For instance attributes named as the hooks of the protocol."""


class CountsLookups(type):
    """A metaclass that notes what is looked up on its classes."""

    def __getattribute__(cls, name):
        note("class attribute", name)
        return super().__getattribute__(name)


class Watched(ByClass, metaclass=CountsLookups):
    """A class whose every look-up is seen."""


# `__slotnames__` is looked for before it is written, but only once in a process.
copyreg._slotnames(Watched)


class WatchedInstance(ByClass):
    """An instance whose every look-up is seen."""

    def __getattribute__(self, name):
        note("instance attribute", name)
        return super().__getattribute__(name)


class FallbackLookups(ByClass):
    """Notes the look-ups that fail."""

    def __getattr__(self, name):
        note("missing attribute", name)
        raise AttributeError(name)


class FakeDict(ByClass):
    """`__dict__` is a property."""

    @property
    def __dict__(self):
        note("dict")
        return {"fake": [1]}


class OddDict(dict):
    """A dict subclass that may serve as an instance `__dict__`."""


class OddSlots(ByClass):
    """`__slots__` holds a name whose descriptor was replaced by a property."""

    __slots__ = ("a", "b")


OddSlots.b = property(lambda self: note("property b") or ["from property"])


class SlotNames(ByClass):
    """`__slotnames__` is on the class already, and names something else."""

    __slotnames__ = ["other"]
    other = ("found", "on", "class")


class BadSlotNames(ByClass):
    """`__slotnames__` is not a list."""

    __slotnames__ = 3
