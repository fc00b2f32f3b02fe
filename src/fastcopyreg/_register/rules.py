"""Facts about classes and the running standard library that `register` and `explain` share."""

import io
import sys
from functools import cache
from pickle import PickleBuffer
from types import FunctionType, MethodType

from .. import _stdlib

_ABSTRACT = 1 << 20  # inspect.TPFLAGS_IS_ABSTRACT

_SAMPLES = (
    None,
    True,
    1,
    1.5,
    "",
    b"",
    (),
    [],
    {},
    set(),
    frozenset(),
    bytearray(),
    PickleBuffer(b""),
    ...,
    NotImplemented,
    int,
    lambda: None,
)


@cache
def never_dispatched():
    """Return the types whose objects pickle saves without asking the registry.

    It maps each to whether a pickler's ``reducer_override`` is asked instead.
    """
    return {type(s): _asked(s, override=True) for s in _SAMPLES if not _asked(s, override=False)}


def _asked(sample, override):
    """Return whether the standard library's pickler calls a reducer for *sample*."""
    asked = []

    class Probe(_stdlib.Pickler):
        dispatch_table = {type(sample): asked.append}

        def reducer_override(self, obj):
            if override:
                asked.append(obj)
            return NotImplemented

    try:
        Probe(io.BytesIO(), 5).dump(sample)
    except (_stdlib.PICKLE["PicklingError"], TypeError, AttributeError):
        # The reducer returned None, or the sample has no name; either way it is known by now.
        pass
    return bool(asked)


def is_class(x):
    """Return whether *x* is a class, and not a proxy or mock that says so."""
    return issubclass(type(x), type)


def class_name(cls):
    """Return the name of a class, without asking its metaclass."""
    return type.__dict__["__name__"].__get__(cls)


def words(error):
    """Return what an exception says; its type if that raises."""
    try:
        return str(error)
    except Exception:
        return class_name(type(error))


def told(error):
    """Return the type of an exception, and what it says."""
    return f"{class_name(type(error))}: {words(error)}"


def shown(obj):
    """Return what repr() says of an object, or of what type it is if that raises."""
    try:
        return repr(obj)
    except Exception:
        return f"an object of type {class_name(type(obj))}"


def instance_dict(obj):
    """Return the ``__dict__`` of an object; an empty one if it has none, or does not show it."""
    try:
        found = getattr(obj, "__dict__", {})
        return found if isinstance(found, dict) else {}
    except Exception:
        return {}


def is_abstract(cls):
    """Return whether *cls* has abstract methods, so that no object has exactly this type."""
    return bool(type.__dict__["__flags__"].__get__(cls) & _ABSTRACT)


def instead_of_registering(cls):
    """Return what to do for a class of `never_dispatched`."""
    if never_dispatched()[cls]:
        return "override reducer_override() in a subclass of Pickler"
    return f"register a subclass of {cls.__name__}, or override persistent_id() of a Pickler"


def why_not_importable(obj):
    """Return why pickle cannot save *obj*, a class or a callable, by name; None if it can.

    Of anything that is neither a class nor a plain function, the standard library's pickle is
    asked: a bound method of a class, for example, is saved as that class and a name.
    """
    if not isinstance(obj, (type, FunctionType)):
        return _why_not_pickled(obj)
    name = obj.__qualname__
    if "<lambda>" in name.split("."):
        return "a lambda has no name by which it could be imported; write it as a function"
    if "<locals>" in name.split("."):
        return f"{name} is local to a function; move it to the top of its module"
    found = find(obj.__module__, name)
    if found is None:
        return f"there is no {name} in the module {obj.__module__}"
    if found is not obj:
        return f"{obj.__module__}.{name} is another object by now"
    return None


def _why_not_pickled(obj):
    if isinstance(obj, MethodType) and isinstance(obj.__self__, type):
        return why_not_importable(obj.__self__)
    try:
        _stdlib.dumps(obj)
    except Exception as error:
        return f"pickle refuses it: {words(error)}"
    return None


def find(module_name, qualified_name):
    """Return what is loaded under these names; None if nothing is."""
    found = sys.modules.get(module_name)
    for part in qualified_name.split("."):
        found = getattr(found, part, None)
    return found


def full_name(obj):
    """Return the module and qualified name of a class or function, as far as it has them."""
    if is_class(obj):
        name = type.__dict__["__qualname__"].__get__(obj)
        module = static_attribute(obj, "__module__")
    else:
        name = _attribute(obj, "__qualname__")
        module = _attribute(obj, "__module__")
    if not isinstance(name, str):
        name = f"an object of {type.__dict__['__qualname__'].__get__(type(obj))}"
    return f"{module}.{name}" if isinstance(module, str) and module != "builtins" else name


def _attribute(obj, name):
    try:
        return getattr(obj, name, None)
    except Exception:
        return None


def static_attribute(cls, name):
    """Return what the class has under *name* itself, without asking its metaclass; else None."""
    for base in type.__dict__["__mro__"].__get__(cls):
        namespace = type.__dict__["__dict__"].__get__(base)
        if name in namespace:
            return namespace[name]
    return None


def has_instance_dict(cls):
    """Return whether objects of *cls* have a ``__dict__``."""
    return static_attribute(cls, "__dict__") is not None


def is_slot(cls, name):
    """Return whether *name* is set through the class (a slot, a property), not in ``__dict__``."""
    return hasattr(type(static_attribute(cls, name)), "__set__")
