"""Ways through an object to its parts, as pickle goes them: ``Order.lines[3].lock``."""

from types import MemberDescriptorType

from .. import _stdlib
from .._register import rules
from ..registration import registration_of

_ATOMS = (type(None), bool, int, float, complex, str, bytes, bytearray)

# A reducer may make a new object for itself, again and again; the search has to end.
_MOST_ENTERED = 300
_DEEPEST = 50_000

# In sets that say that they differ, each element is looked for among the others.
_MOST_ELEMENTS = 300

_reconstruct = _stdlib.COPY.get("_reconstruct")


def reduce_value(obj, protocol):
    """Return what takes *obj* apart, asked as pickle asks; whatever that raises, it raises."""
    reducer = _stdlib.dispatch_table.get(type(obj))
    return obj.__reduce_ex__(protocol) if reducer is None else reducer(obj)


def is_reduced(obj):
    """Return whether *obj* comes apart by a reduce value, and not in a way of pickle's own."""
    cls = type(obj)
    return cls not in rules.never_dispatched() and (
        cls in _stdlib.dispatch_table or not issubclass(cls, type)
    )


class _Trail:
    """A way while it is looked for: where it comes from, and its last label."""

    __slots__ = ("before", "depth", "label")

    def __init__(self, label, before=None):
        self.label = label
        self.before = before
        self.depth = 0 if before is None else before.depth + 1

    def __str__(self):
        labels, trail = [], self
        while trail is not None:
            labels.append(trail.label)
            trail = trail.before
        return "".join(reversed(labels))


def parts(obj, protocol):
    """Return (label, part) for each part of *obj*, in the order in which pickle saves them.

    A label goes behind the way to *obj*: ``[3]``, ``.lock``, ``(argument 2)``.
    """
    cls = type(obj)
    if cls in (list, tuple):
        return [(f"[{i}]", part) for i, part in enumerate(obj)]
    if cls is dict:
        return _pair_parts(obj.items())
    if cls in (set, frozenset):
        return [(f"(element {_shown(part)})", part) for part in obj]
    if cls in _ATOMS or not is_reduced(obj):
        return []
    value = reduce_value(obj, protocol)
    return _value_parts(obj, value) if type(value) is tuple else []


def _value_parts(obj, value):
    callee, arguments, state, items, pairs, setter = (*value, *[None] * 6)[:6]
    found = [("(constructor)", callee)]
    if type(arguments) is tuple:
        found += _argument_parts(obj, arguments)
    if setter is not None:
        found.append(("(state setter)", setter))
    if state is not None:
        found += _state_parts(state)
    if items is not None:
        found += [(f"[{i}]", part) for i, part in enumerate(items)]
    return found + ([] if pairs is None else _pair_parts(pairs))


def _argument_parts(obj, arguments):
    """Return the parts that are arguments, by the name of the attribute that each one is."""
    declared = registration_of(type(obj))
    if declared is not None and len(declared.fields) == len(arguments):
        return [(f".{name}", part) for name, part in zip(declared.fields, arguments, strict=True)]
    names = {id(part): name for name, part in _attributes(obj).items()}
    labels = [
        f".{names[id(part)]}" if id(part) in names else f"(argument {number})"
        for number, part in enumerate(arguments, 1)
    ]
    return list(zip(labels, arguments, strict=True))


def _attributes(obj):
    """Return the attributes that lie in the object itself, without calling a property."""
    found = dict(rules.instance_dict(obj))
    for base in type.__dict__["__mro__"].__get__(type(obj)):
        for name, descriptor in type.__dict__["__dict__"].__get__(base).items():
            if type(descriptor) is MemberDescriptorType and hasattr(obj, name):
                found.setdefault(name, getattr(obj, name))
    return found


def _state_parts(state):
    if type(state) is tuple and len(state) == 2 and all(isinstance(s, dict | None) for s in state):
        return [part for half in state if half is not None for part in _state_parts(half)]
    if type(state) is dict:
        return [(f".{name}", part) for name, part in state.items()]
    return [("(state)", state)]


def _pair_parts(pairs):
    found = []
    for key, part in pairs:
        found += [(f"(key {_shown(key)})", key), (f"[{_shown(key)}]", part)]
    return found


def _shown(obj):
    """Return a short text for a key or an element, calling nothing of its class."""
    if type(obj) not in _ATOMS:
        return f"of type {rules.class_name(type(obj))}"
    text = repr(obj)
    return text if len(text) <= 40 else f"{text[:37]}..."


def way_to_refused(obj, protocol):
    """Return (way, error): the first part that pickle refuses for itself; None if it takes *obj*.

    That is a part that is refused although each of its own parts would be taken.
    """
    refusals = _Refusals(protocol)
    refusal, root = refusals.of(obj), _Trail(rules.class_name(type(obj)))
    if refusal is None:
        return None
    if isinstance(refusal, RecursionError):
        return str(root), refusal  # No part is to blame, and asking each would take long.
    waiting, entered = [(root, obj)], set()
    while waiting and len(entered) < _MOST_ENTERED:
        trail, part = waiting.pop()
        if id(part) in entered:
            continue
        entered.add(id(part))
        inner = [
            (_Trail(label, trail), p)
            for label, p in _parts_or_none(part, protocol)
            if refusals.of(p) is not None
        ]
        if not inner:
            return str(trail), refusals.of(part)
        waiting += reversed(inner)
    return str(root), refusal


class _Refusals:
    """With what the standard library's pickle refuses objects, each asked about once."""

    def __init__(self, protocol):
        self.protocol = protocol
        # With the object: parts may be made for the asking, and a dead one's address comes again.
        self.known = {}

    def of(self, obj):
        """Return the exception with which *obj* is refused; None if it is taken."""
        if id(obj) not in self.known:
            self.known[id(obj)] = obj, self._ask(obj)
        return self.known[id(obj)][1]

    def _ask(self, obj):
        try:
            _stdlib.dumps(obj, self.protocol)
        except Exception as error:
            return error.with_traceback(None)
        return None


def _parts_or_none(obj, protocol):
    try:
        return parts(obj, protocol)
    except Exception:
        return []  # The reducer is refused itself: this is the leaf.


def way_to_difference(first, second, protocol):
    """Return the way to the first part in which two objects differ; None if they are equal.

    Objects whose class has no equality of its own are equal if they come apart into equal parts.
    """
    found = _difference(_Trail(rules.class_name(type(first))), first, second, protocol, {})
    return None if found is None else str(found)


def _difference(trail, first, second, protocol, met):
    waiting = [(trail, first, second)]
    while waiting:
        trail, first, second = waiting.pop()
        if first is second or (id(first), id(second)) in met or trail.depth > _DEEPEST:
            continue
        # Both are kept, so that no part made for the asking gets the address of an earlier one.
        met[id(first), id(second)] = first, second
        equal = _equal(first, second) if type(first) is type(second) else False
        if equal:
            continue
        if type(first) is type(second) and issubclass(type(first), (set, frozenset)):
            if _sets_match(trail, first, second, protocol, met):
                continue
            return trail
        if equal is False and type(first) is type(second) and _goes_by_parts(first, protocol):
            equal = None
        pairs = _paired_parts(trail, first, second, protocol)
        if equal is None and pairs is not None:
            waiting += reversed(pairs)
            continue
        inner = (_difference(*pair, protocol, met) for pair in pairs or ())
        return next(filter(None, inner), trail)
    return None


def _equal(first, second):
    """Return whether two objects of one type are equal by its own word; None if it has none."""
    own = rules.static_attribute(type(first), "__eq__")
    if type(first) in (list, tuple, dict) or own is object.__dict__["__eq__"]:
        return None
    try:
        # What is not equal to itself (a NaN) is as good as it can be.
        return bool(first == second) or (bool(first != first) and bool(second != second))
    except Exception:
        return None  # An array, say, has no truth.


def _goes_by_parts(obj, protocol):
    """Return whether an object is equal to what is made of the very parts that it has.

    Then nothing of what its equality looks at is lost, and it is in its parts if it is not equal
    to another: containers ask the objects in them, which may have no equality of their own.
    """
    try:
        value = reduce_value(obj, protocol)
        return type(value) is tuple and bool(_reconstruct(obj, None, *value) == obj)
    except Exception:
        return False


def _sets_match(trail, first, second, protocol, met):
    """Return whether for each element the second set has another without a difference."""
    if len(first) != len(second) or len(first) > _MOST_ELEMENTS:
        return len(first) == len(second)
    left = list(second)
    for element in first:
        for at, other in enumerate(left):
            tried = met.copy()
            if _difference(trail, element, other, protocol, tried) is None:
                met.update(tried)
                del left[at]
                break
        else:
            return False
    return True


def _paired_parts(trail, first, second, protocol):
    """Return (trail, part, part) for each part of two objects; None if they have not the same."""
    if type(first) is not type(second):
        return None
    ours, theirs = parts(first, protocol), parts(second, protocol)
    if not ours or [label for label, _ in ours] != [label for label, _ in theirs]:
        return None if ours or theirs or type(first) in _ATOMS else []
    pairs = zip(ours, theirs, strict=True)
    return [(_Trail(label, trail), a, b) for (label, a), (_, b) in pairs]
