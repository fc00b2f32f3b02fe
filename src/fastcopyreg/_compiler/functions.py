"""What a Python function is made of, and where an object is, read as the core reads it.

The interpreter tells audit hooks of whoever reads a function's code or defaults, or asks for an
`id`. What the core does for itself is nothing that the program has asked for, so its hooks are not
told of it.
"""

import types

from .._backend import core


def _parts_of(function):
    return function.__code__, function.__defaults__ or (), function.__kwdefaults__ or {}


_parts_of = getattr(core, "function_parts", _parts_of)

address_of = getattr(core, "address_of", id)


def code_of(function):
    """Return the code object of a function."""
    return _parts_of(function)[0]


def defaults_of(function):
    """Return the defaults of a function's last positional parameters, a tuple."""
    return _parts_of(function)[1]


def keyword_defaults_of(function):
    """Return the defaults of a function's keywords, by name."""
    return _parts_of(function)[2]


def is_own_hook(function):
    """Whether *function* is what our own Pickler has as ``persistent_id``, from 3.13 on: a method.

    It returns None.
    """
    return (
        type(function) is types.MethodDescriptorType
        and hasattr(core, "Pickler")
        and function is vars(core.Pickler).get("persistent_id")
    )
