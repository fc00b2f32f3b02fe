"""Policies: from what a program allows to the table that a load asks."""

import enum
import os
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import import_module
from types import MethodType

from .. import _backend, _constructors
from . import refusals, rows

MOST = 2**56

learners = []
"""Those of `learning` at work, of which the last does the loads."""


@dataclass(frozen=True)
class Limits:
    """How much a pickle may say; more raises UnpicklingError that names the limit.

    *size*: bytes of the pickle.  *depth*: how deep containers, objects and the tuples of their
    arguments lie in one another, counted as they are on the stack (what is fetched from the memo
    is not counted again).  *objects*: containers and objects that are made.  *memo*: entries of
    the memo.  *string*: bytes of one text or bytes object, at least 255.  *integer_digits*:
    decimal digits of an int.  *collisions*: pairs of keys in one dict or set with the same hash,
    all together.  *copies*: what the constructors of STANDARD may copy of their arguments, as
    items or bytes for each byte of the pickle, beyond a million.
    """

    size: int = 2**28
    depth: int = 1000
    objects: int = 10_000_000
    memo: int = 10_000_000
    string: int = 2**28
    integer_digits: int = 4300
    collisions: int = 100_000
    copies: int = 8

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or not 0 <= value < MOST:
                raise ValueError(
                    f"the limit {field.name} is an int from 0 to 2**56, not {value!r}"
                )
        if self.string < 255:
            raise ValueError("the limit string is at least 255")

    def numbers(self):
        """Return the limits in the order of the fields, as the core takes them."""
        return tuple(getattr(self, field.name) for field in fields(self))


class Allowed:
    """Something that a load may find and call, with what there is to say about it.

    *item* is a class or another callable, or with a *name* any object, which is then found and not
    called.  *name* is `module:qualified name` if pickles call it otherwise than it does itself.
    *note* is for those who read `explain`: what its `__init__`, `__setstate__`, `__hash__` or
    `__del__` would do with data that somebody made up.  With *subclasses*, objects of the present
    subclasses of a class, which a pickle cannot name, may be given state and items too.
    """

    __slots__ = ("item", "name", "note", "subclasses")

    def __init__(self, item, *, name=None, note=None, subclasses=False):
        if name is None and not callable(item):
            raise TypeError(f"only what can be called can be allowed, not {item!r}")
        self.item, self.name, self.note = item, name, note
        self.subclasses = bool(subclasses)

    def names(self):
        """Return module and qualified name; raise TypeError if it has none."""
        if self.name is not None:
            module, _, name = self.name.partition(":")
        elif type(self.item) is MethodType and isinstance(self.item.__self__, type):
            owner = self.item.__self__
            module, name = owner.__module__, f"{owner.__qualname__}.{self.item.__name__}"
        else:
            module = getattr(self.item, "__module__", None)
            name = getattr(self.item, "__qualname__", None)
        if not (isinstance(module, str) and isinstance(name, str) and module and name):
            raise TypeError(
                f"{self.item!r} has no name; Allowed(..., name='module:name') gives one"
            )
        return str(module), str(name)


def imported(text):
    """Return what `module:qualified name` is, which the program itself has asked for."""
    module, colon, name = text.partition(":")
    if not colon:
        raise ValueError(f"allow= takes 'module:qualified name', not {text!r}")
    value = import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return Allowed(value, name=text)


def lines_of(path):
    """Return the entries of an allow list that `learning` has saved: a name a line."""
    with open(path, encoding="utf-8") as file:
        return [line for line in (raw.partition("#")[0].strip() for raw in file) if line]


def allowed_items(allow):
    """Return what `allow=` says as `Allowed` objects: classes, callables, names, or a file."""
    if isinstance(allow, str | os.PathLike):
        allow = lines_of(allow)
    found = []
    for item in allow:
        if isinstance(item, str):
            item = imported(item)
        found.append(item if isinstance(item, Allowed) else Allowed(item))
    return found


_ATOMS = {
    int: rows.whole(),
    bool: rows.exact(bool),
    str: rows.text(rows.LONGEST_BYTES),
    bytes: rows.raw(0, rows.LONGEST_BYTES),
    type(None): rows.NONE,
}


def _enum_forms(cls):
    """Return the forms of an enum's pickles: one value, of a kind that its members have.

    With more than a value, calling an enum makes a new one; and what is no value of it is shown in
    a ValueError, however large it is.
    """
    kinds = {type(member._value_): None for member in cls.__members__.values()}
    if issubclass(cls, enum.Flag):
        kinds[int] = None
    containers = (tuple, list, dict, set, frozenset)
    specs = (
        _ATOMS.get(kind) or (rows.small if kind in containers else rows.exact)(kind)
        for kind in kinds
    )
    return tuple(map(rows.form, specs))


def _row_of(allowed):
    module, name = allowed.names()
    item, flags = allowed.item, rows.IS_FACTORY
    if isinstance(item, enum.EnumType):
        return rows.Row(module, name, item, flags=flags, call=_enum_forms(item))
    if isinstance(item, type):
        flags |= rows.TAKES_ITEMS | rows.TAKES_STATE
        return rows.Row(module, name, item, flags=flags, call=None, make=None)
    if not callable(item):
        return rows.Row(module, name, item)
    return rows.Row(module, name, item, flags=flags, call=None)


def _subclass_rows(allowed):
    """Return a row for each subclass, none of which can be found."""
    if not allowed.subclasses:
        return []
    found, waiting = [], [allowed.item]
    while waiting:
        for cls in type.__subclasses__(waiting.pop()):
            if cls not in found:
                found.append(cls)
                waiting.append(cls)
    flags = rows.TAKES_ITEMS | rows.TAKES_STATE | rows.IS_UNNAMED
    return [rows.Row("", "", cls, flags=flags) for cls in found]


def _attributes(found):
    """Return {id(cls): {name: object}}: what pickles of old protocols get by getattr."""
    attributes = {}
    for row in found:
        item = row.object
        if isinstance(item, enum.EnumType):
            attributes.setdefault(id(item), {}).update(item.__members__)
        elif type(item) is MethodType and isinstance(item.__self__, type):
            attributes.setdefault(id(item.__self__), {})[item.__name__] = item
    return attributes


def _registered(known):
    """Return rows of what this process has registered, but for what `STANDARD` has, in *known*."""
    registered = list(_constructors.allowed.values())
    for item, kind in sorted(registered, key=lambda entry: entry[1] != "constructor"):
        if id(item) in known:
            continue
        try:
            row = _row_of(Allowed(item))
        except TypeError:  # It has no name that a pickle could say.
            continue
        if kind != "constructor":  # A factory would be called.
            row = row._replace(call=(), make=(), flags=row.flags & ~rows.IS_FACTORY)
        yield row


class Table:
    """The rows of a policy, and what else it says; immutable."""

    def __init__(self, allow=(), classes="registered", limits=None):
        if classes not in ("registered", "any"):
            raise ValueError(f"classes is 'registered' or 'any', not {classes!r}")
        self.limits = Limits() if limits is None else limits
        if not isinstance(self.limits, Limits):
            raise TypeError(f"limits is a safe.Limits, not {limits!r}")
        self.any_class = classes == "any"
        self.allowed = allowed_items(allow)
        standard = rows.standard(self.limits.integer_digits)
        own = [_row_of(item) for item in self.allowed]
        own += [row for item in self.allowed for row in _subclass_rows(item)]
        known = {id(row.object) for row in (*own, *standard)}
        self.rows = (*own, *standard, *_registered(known))
        self.attributes = _attributes(self.rows)

    def compiled(self):
        """Return the policy as the backend takes it."""
        if _backend.backend != "c":
            from .machine import Policy

            return Policy(self)
        return _backend.core.Policy(
            tuple(map(tuple, self.rows)),
            self.limits.numbers(),
            self.any_class,
            refusals.refuse,
            self.attributes,
            rows.Helper,
            int.from_bytes(os.urandom(8), "little"),
        )


def constructors():
    """Return the dict of what was registered, which only grows."""
    return _constructors.allowed


@lru_cache(maxsize=64)
def _kept(registered, classes, limits):
    return Table((), classes, limits).compiled()


def choose(allow=(), classes="registered", limits=None):
    """Return the compiled policy of these arguments; those without `allow` are kept."""
    if isinstance(allow, tuple | list) and not allow:
        return _kept(len(_constructors.allowed), classes, limits)
    return Table(allow, classes, limits).compiled()
