"""The mistakes that can be made in a call of `register`, each with its remedy.

`checked` is all that `register` asks of this module, which is imported then: reading signatures
takes ``inspect``, which ``import fastcopyreg`` does without.
"""

from difflib import get_close_matches

from . import rules
from .fields import checked_names, given, infer, known_names, why_not_taken


def checked(cls, caller, fields, constructor, state, exclude, version, upgrade):
    """Return what makes the `Registration` that was declared; raise TypeError for a mistake."""
    _check_class(cls, caller)
    constructor = cls if constructor is None else constructor
    _check_constructor(cls, constructor)
    exclude = frozenset(checked_names(exclude, "exclude"))
    state = checked_names(state, "state")
    if fields is None:
        shape = infer(cls, constructor, exclude)
    else:
        shape = given(constructor, checked_names(fields, "fields"))
    shape.state += tuple(name for name in state if name not in shape.state)
    _check_names(cls, constructor, shape, exclude)
    _check_call(cls, constructor, shape)
    _check_state(cls, shape.state)
    _check_versions(cls, version, upgrade)
    return cls, constructor, shape, exclude, version, dict(upgrade or {})


def _check_class(cls, caller):
    if not isinstance(cls, type):
        raise TypeError(f"register() takes a class, not {cls!r}")
    if cls in rules.never_dispatched():
        raise TypeError(
            f"pickle saves objects of type {cls.__name__} by itself and never asks the registry; "
            f"{rules.instead_of_registering(cls)}"
        )
    if rules.is_abstract(cls):
        raise TypeError(
            f"{cls.__qualname__} is abstract, so there are no objects of exactly this class, and "
            "the registry goes by the exact class; register the classes derived from it"
        )
    # A class is bound to its name only after its decorators have run.
    reason = rules.why_not_importable(cls)
    if reason is not None and ("<locals>" in cls.__qualname__ or caller != cls.__module__):
        raise TypeError(f"{cls.__qualname__} cannot be imported by name: {reason}")


def _check_constructor(cls, constructor):
    if not callable(constructor):
        raise TypeError(f"constructor {constructor!r} is not callable; give a class or a function")
    if constructor is not cls:
        reason = rules.why_not_importable(constructor)
        if reason is not None:
            raise TypeError(
                f"the constructor {rules.full_name(constructor)} cannot be imported by name: "
                f"{reason}"
            )


def _check_names(cls, constructor, shape, exclude):
    travelling = (*shape.fields(), *shape.state)
    if both := sorted(exclude.intersection(travelling)):
        raise TypeError(f"{both[0]!r} is excluded and also travels; name it once")
    if twice := sorted(set(shape.fields()).intersection(shape.state)):
        raise TypeError(f"{twice[0]!r} is a field and also in state; name it once")
    known = known_names(cls, constructor)
    unknown = [n for n in (*travelling, *sorted(exclude)) if known is not None and n not in known]
    if unknown:
        raise TypeError(
            f"{cls.__qualname__} has no attribute {unknown[0]!r}{_suggestion(unknown[0], known)}; "
            "name attributes that its methods set, or annotate it in the class"
        )


def _suggestion(name, known):
    similar = get_close_matches(name.lstrip("_"), known, 1) or get_close_matches(name, known, 1)
    return f" (did you mean {similar[0]!r}?)" if similar else ""


def _check_call(cls, constructor, shape):
    keywords = [field.parameter for field in shape.keywords]
    reason = why_not_taken(constructor, len(shape.arguments), keywords)
    if reason is not None:
        raise TypeError(
            f"{rules.full_name(constructor)} does not take the fields "
            f"({', '.join(shape.fields())}): {reason}; give register() the fields that it takes, "
            "or a constructor that takes these"
        )


def _check_state(cls, state):
    if state and rules.static_attribute(cls, "__setstate__") is not None:
        raise TypeError(
            f"{cls.__qualname__} has a __setstate__, which would be given the state "
            f"({', '.join(state)}); exclude it, or make it fields and give a constructor that "
            "takes them"
        )
    for name in state:
        found = rules.static_attribute(cls, name)
        if isinstance(found, property) and found.fset is None:
            raise TypeError(
                f"{cls.__qualname__}.{name} is a property that cannot be set; name the attribute "
                "behind it, or give the property a setter"
            )


def _check_versions(cls, version, upgrade):
    if version is None:
        if upgrade is not None:
            raise TypeError("upgrade needs a version to upgrade to; give register() a version")
        return
    if type(version) is not int or version < 1:
        raise TypeError(f"version is {version!r}; it is an int, from 1")
    for step, function in (upgrade or {}).items():
        if type(step) is not int or not 0 <= step < version:
            raise TypeError(
                f"upgrade has {step!r}, which is no version before {version}, the present one"
            )
        if not callable(function):
            raise TypeError(
                f"upgrade[{step}] is {function!r}; it is a function of a dict of fields"
            )
    missing = sorted(set(range(min(upgrade), version)) - set(upgrade)) if upgrade else ()
    if missing:
        raise TypeError(
            f"upgrade leads {cls.__qualname__} from version {min(upgrade)} up to {missing[0]} and "
            f"no further; give it a function for {missing[0]}"
        )
