"""What a load or copy gives, told by numbers, so that two implementations can be compared.

Beside `copies.describe`, which tells attributes: here a `__dict__` is an object too, which may be
the state that was given.
"""

import functools


def shape(obj, parts_of, known=None, *, numbers_strings=True):
    """An object by its parts: what is one object in it has one number.

    *parts_of* gives the parts of an instance of the classes that are tested, and None for anything
    else. The keys of a `__dict__` are those of the class if it has met them before: where that
    differs, strings are told by their value alone.
    """
    if not numbers_strings and isinstance(obj, str):
        return [type(obj), obj[:]]
    known = {} if known is None else known
    if id(obj) in known:
        return known[id(obj)][0]
    known[id(obj)] = len(known), obj
    told = functools.partial(
        shape, parts_of=parts_of, known=known, numbers_strings=numbers_strings
    )
    if isinstance(obj, dict):
        return [type(obj), [(told(key), told(value)) for key, value in obj.items()]]
    if isinstance(obj, list | tuple):
        return [type(obj), [told(each) for each in obj]]
    parts = parts_of(obj)
    if parts is not None:
        return [type(obj).__name__, told(parts)]
    is_atom = isinstance(obj, int | float | str | bytes | type(None))
    return [type(obj), obj if is_atom else repr(type(obj))]


def parts_in(module):
    """The parts of instances of a module's Base: the `__dict__`, and the slots of the class."""

    def parts_of(obj):
        if not isinstance(obj, module.Base):
            return None
        slots = [(name, getattr(obj, name, None)) for name in getattr(obj, "__slots__", ())]
        return [getattr(obj, "__dict__", None), slots]

    return parts_of


def outcome_of(method, parts_of, function, *arguments, numbers_strings=True):
    """What a call gives, as a shape; or what it raises, from how many calls of the method."""
    try:
        return shape(function(*arguments), parts_of, numbers_strings=numbers_strings)
    except Exception as error:
        frames, trace = [], error.__traceback__
        while trace is not None:
            frames.append(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        return type(error), str(error), frames.count(method)
