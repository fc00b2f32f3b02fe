"""What else holds the objects that `install` replaced, and cannot be reached: for its report.

A container or an instance of somebody's may hold the standard library's object on purpose, so it
is left alone, and named: as the way to it from a module, a class or a function.  The collector is
asked who refers to it, and who refers to those, at most `DEPTH` times; nothing is called, and what
is read is read where it lies.  Each time that takes a look at every object of the process, so it
is done when somebody reads the report.  What `gc.freeze` has hidden is not found, nor are the
local variables of functions that run; a weak reference holds nothing.
"""

import gc
import sys
from functools import partial
from types import (
    CellType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    ModuleType,
)

from ._holders import find_names, full_name, is_ours, known_ids, namespace_of

DEPTH = 5
_OF_FUNCTIONS = ("__defaults__", "__kwdefaults__", "__closure__")
_NAMED = (str, int, bytes, bool, type(None))

# What these have is replaced, or named already.  Frames come with what runs.
_REACHED = partial | staticmethod | classmethod | CellType | FunctionType


class _Trail:
    """The way from a holder to one of the originals, as a program would write it.

    *steps* are an index, a key or an attribute each, the first of the holder itself; *kind* is the
    type of what holds the original.
    """

    __slots__ = ("holder", "kind", "steps")

    def __init__(self, holder, steps, kind):
        self.holder, self.steps, self.kind = holder, steps, kind


def find(substitutes, places):
    """Return (place, reason) for each way to an original that is found beyond *places*."""
    originals = substitutes.originals()
    modules = _modules()
    known = {*known_ids(substitutes, places), *modules, id(originals)}
    trails = _first(originals, known)
    known -= modules.keys()
    found = {}
    for _ in range(DEPTH):
        trails = [trail for trail in trails if not _ends(trail, modules, found)]
        if trails:
            trails = _longer(trails, known, modules)
    for trail in trails:
        if not _ends(trail, modules, found):
            found.setdefault(f"a {_kind(trail.holder)}{''.join(trail.steps)}", trail.kind)
    return [(place, f"a {found[place]} holds it") for place in sorted(found)]


def _first(originals, known):
    """Return a trail for each reference to one of the originals from what is not known."""
    # In a function of its own: what it has in cells is no holder any more when it has returned.
    trails = []
    for holder in gc.get_referrers(*originals):
        if id(holder) not in known and not issubclass(type(holder), _REACHED | FrameType):
            kind = _kind(holder)
            trails += [_Trail(holder, [step], kind) for step in _steps(holder, originals)]
    return trails


def _kind(holder):
    return full_name(type(holder)).removeprefix("builtins.")


def _loaded():
    """Return (name, dict) for each module; the dict is None where it is none to be read."""
    return [(str(key), namespace_of(module)) for key, module in list(sys.modules.items())]


def _modules():
    """Return the modules' names by the addresses of their dicts, None for those of ours."""
    loaded = [(key, names) for key, names in reversed(_loaded()) if names is not None]
    return {id(names): None if is_ours(key, names) else key for key, names in loaded}


def _steps(holder, wanted):
    """Return how *holder* refers to what is wanted, once for each time."""
    ids = set(map(id, wanted))
    kind = type(holder)
    if issubclass(kind, dict):
        items = [(f"[{_written(key)}]", value) for key, value in list(dict.items(holder))]
    elif issubclass(kind, list | tuple):
        base = list if issubclass(kind, list) else tuple
        items = [(f"[{index}]", value) for index, value in enumerate(base.__iter__(holder))]
    else:
        items = []
    items += [(f".{name}", value) for name, value in _attributes(holder)]
    return [step for step, value in items if id(value) in ids] or [""]


def _written(key):
    return repr(key) if type(key) in _NAMED else f"<{type(key).__name__}>"


def _of_class(cls, name):
    """Return an attribute of *cls* past what its metaclass says of attributes."""
    return type.__dict__[name].__get__(cls)


def _attributes(holder):
    """Return the attributes that lie in an instance, past what its class says of attributes."""
    found = []
    for cls in _of_class(type(holder), "__mro__"):
        for name, descriptor in list(_of_class(cls, "__dict__").items()):
            if type(descriptor) is MemberDescriptorType:
                try:
                    found.append((name, descriptor.__get__(holder)))
                except AttributeError:  # It is not set.
                    continue
    return [*found, *(_own_dict(holder) or {}).items()]


def _own_dict(holder):
    """Return the ``__dict__`` of an instance, None if it has none or a class has another one."""
    for cls in _of_class(type(holder), "__mro__"):
        descriptor = _of_class(cls, "__dict__").get("__dict__")
        if type(descriptor) is GetSetDescriptorType:
            names = descriptor.__get__(holder)
            return names if type(names) is dict else None
    return None


def _ends(trail, modules, found):
    """Return whether the trail begins where a program can; note what it is called there."""
    if id(trail.holder) in modules and modules[id(trail.holder)] is None:
        return True
    place = _name_of(trail.holder, trail.steps[0], modules)
    if place is None:
        return False
    if not any(name in place for name in ("__annotations", "__orig_bases__")):
        found.setdefault("".join((place, *trail.steps[1:])), trail.kind)
    return True


def _name_of(holder, first, modules):
    """Return what a module, class or function and the step from there are called; else None."""
    if id(holder) in modules:
        return modules[id(holder)] + _as_attribute(first)
    if issubclass(type(holder), type):
        return full_name(holder) + first
    if type(holder) is FunctionType:
        return _name_of_function(holder) + first
    if issubclass(type(holder), ModuleType):  # What a module in C keeps to itself.
        return str((namespace_of(holder) or {}).get("__name__"))
    return None


def _name_of_function(function):
    """Return the global that it is, else what its code is called: that of a wrapper says more."""
    loaded = _loaded()
    for index, name, _ in find_names([names for _, names in loaded], (function,)):
        return f"{loaded[index][0]}.{name}"
    return f"{function.__globals__.get('__name__')}.{function.__code__.co_qualname}"


def _as_attribute(step):
    return f".{step[2:-2]}" if step[2:-2].isidentifier() else step


def _longer(trails, known, modules):
    """Return the trails, each begun one step before, but for those that `install` has followed."""
    waiting = {}
    for trail in trails:
        waiting.setdefault(id(trail.holder), []).append(trail)
    parents = {}
    holders = tuple(trail.holder for trail in trails)
    for parent in gc.get_referrers(*holders):
        passing = parent is holders or issubclass(type(parent), _Trail | FrameType)
        if passing or id(parent) in known:
            continue
        for child in {id(child) for child in gc.get_referents(parent)} & waiting.keys():
            parents.setdefault(child, []).append(parent)
    made = []
    for child, ways in waiting.items():
        # What has a name is better than what has none.
        parent = min(parents.get(child, [None]), key=lambda each: _rank(each, modules))
        made += ways if parent is None else [_begun_at(parent, way) for way in ways]
    return [trail for trail in made if trail is not None]


def _rank(parent, modules):
    if parent is None or id(parent) in modules:
        return 0
    if issubclass(type(parent), type | FunctionType):
        return 1
    return 3 if type(parent) is CellType else 2


def _begun_at(parent, trail):
    """Return the trail begun at *parent*; None for what `install` has followed."""
    child, steps = trail.holder, trail.steps
    if _is_dict_of(parent, child):
        steps = [_as_attribute(steps[0]), *steps[1:]]
        if len(steps) == 1 and issubclass(type(parent), type):
            return None
    elif type(parent) is FunctionType:
        # Annotations do not count, which up to 3.13 it has as a tuple or dict.
        names = [name for name in _OF_FUNCTIONS if getattr(parent, name) is child]
        if len(steps) == 1 or not names:
            return None
        steps = [f".{names[0]}", *steps]
    else:
        steps = [_steps(parent, [child])[0], *steps]
    return _Trail(parent, steps, trail.kind)


def _is_dict_of(parent, child):
    if type(child) is not dict:
        return False
    if issubclass(type(parent), type):
        return any(each is child for each in gc.get_referents(_of_class(parent, "__dict__")))
    return _own_dict(parent) is child
