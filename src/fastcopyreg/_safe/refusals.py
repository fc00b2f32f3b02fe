"""The words of a refusal: what, where, and which call would allow it.  Both backends ask here.

Nothing that a pickle has made is asked for its name or its repr: types say theirs through `type`,
and of values only exact built-in ones are shown.
"""

from types import BuiltinFunctionType, FunctionType

from .._stdlib import PICKLE
from .rows import Helper

UnpicklingError = PICKLE["UnpicklingError"]

_ALLOW = (
    "if it may be called with whatever a pickle says, safe.loads(data, allow=[{0}]) or "
    "copyreg.constructor({0}) allows it"
)


def _own(cls, name):
    """Return an attribute of *cls* as `type` keeps it, whatever its metaclass says."""
    try:
        found = type.__dict__[name].__get__(cls)
    except AttributeError:
        return "?"
    return found if type(found) is str else "?"


def name_of(value):
    """Return 'module.name' of a class or function, or 'a NAME' for an instance of a class."""
    if isinstance(value, type):
        return f"{_own(value, '__module__')}.{_own(value, '__qualname__')}"
    if type(value) in (FunctionType, BuiltinFunctionType):
        module, name = value.__module__, value.__qualname__
        return f"{module}.{name}" if type(module) is str else str(name)
    return f"an instance of {name_of(type(value))}"


def _shown(value):
    """Return the repr of a small atom, else what kind of thing it is."""
    if (
        type(value) in (str, bytes)
        and len(value) <= 40
        or type(value) in (bool, float, type(None))
    ):
        return repr(value)
    if type(value) is int and -(10**18) < value < 10**18:
        return repr(value)
    if type(value) in (str, bytes, list, tuple, dict, set):
        return f"{type(value).__name__} of {len(value)}"
    return name_of(value)


def _step(container, items):
    """Return how the last of *items* is reached from the container that is to take them."""
    if type(container) is list:
        return f"[{len(container) + len(items) - 1}]"
    if type(container) is dict:
        if len(items) % 2:
            return ".key"
        return f"[{_shown(items[-2])}]"
    return f"[{len(items) - 1}]"


def _steps(container, items):
    """Yield the steps to the last of *items*.

    An empty container among them is taken for one that is being filled, as it mostly is.
    """
    begun = 0
    for number, item in enumerate(items[:-1]):
        if type(item) in (list, dict) and not item:
            yield _step(container, items[begun : number + 1])
            container, begun = item, number + 1
    if items[begun:]:
        yield _step(container, items[begun:])


def _is_called(value):
    return isinstance(value, type) or type(value) in (FunctionType, BuiltinFunctionType, Helper)


def path_of(objects, marks):
    """Return the path in the object to what lies on top of the stack, as its MARKs show it."""
    steps = []
    for number, start in enumerate((0, *marks)):
        end = marks[number] if number < len(marks) else len(objects)
        container = objects[start - 1] if start else None
        if start and _is_called(container):
            break  # These are its arguments.
        steps += _steps(container, objects[start:end])
    return "".join(steps[1:]) if objects else ""


# What is refused is not on the stack yet, or has its arguments above it.
_NOT_PUSHED = {"global", "extension"}
_UNDER_ANOTHER = {"call", "arguments", "no tuple", "build", "state", "name"}


def _looked_at(kind, objects):
    if kind in _NOT_PUSHED:
        return (*objects, None)
    return objects[:-1] if kind in _UNDER_ANOTHER else objects


def _global(names):
    module, name = names
    if "." in name:
        return f"the global {module} {name}", (
            f"allow=[{module}.{name}] would allow the object of that qualified name; no path of "
            "attributes is walked"
        )
    return f"the global {module}.{name}", _ALLOW.format(f"{module}.{name}")


def _call(callable_):
    name = name_of(callable_)
    if name.startswith("an instance"):
        return f"a call of {name}", "only classes and functions that are allowed are called"
    return f"a call of {name}", _ALLOW.format(name)


def _arguments(subject):
    callable_, *arguments = subject
    shown = ", ".join(map(_shown, arguments[:8])) + ", ..." * (len(arguments) > 8)
    name = name_of(callable_)
    return f"{name}({shown})", (
        f"STANDARD allows {name} with the arguments of its own pickles alone; "
        f"allow=[{name}] would allow any"
    )


def _build(value):
    if isinstance(value, type):
        return f"a state for {name_of(value)} itself", "only instances have a state"
    name = name_of(type(value))
    return f"a state for an instance of {name}", _ALLOW.format(name)


def _items(value):
    name = name_of(type(value))
    return f"items for an instance of {name}", f"allow=[{name}] would allow it"


def _name(name):
    return (
        f"the attribute {_shown(name)} in a state",
        "a state has exact strings for names, but none that the interpreter has a meaning for; "
        "__setstate__ of an allowed class may take any",
    )


_WORDS = {
    "global": _global,
    "call": _call,
    "arguments": _arguments,
    "no tuple": lambda subject: (
        f"arguments of {name_of(subject)} that are no tuple",
        "no call allows it",
    ),
    "build": _build,
    "items": _items,
    "name": _name,
    "method": lambda value: (
        f"items for an instance of {name_of(type(value))}",
        "its class has no method that takes them, and nothing else is asked",
    ),
    "state": lambda subject: (
        f"{_shown(subject)} as a state",
        "a state is a dict, or two of them; __setstate__ of an allowed class may take any",
    ),
    "buffer": lambda subject: (
        f"a read-only view of {name_of(type(subject))}",
        "it may be of bytes, and of the caller's buffers",
    ),
    "persistent": lambda _: (
        "a persistent id",
        "a subclass of safe.Unpickler with persistent_load() would allow it",
    ),
    "extension": lambda code: (
        f"the extension code {code}",
        "copyreg.add_extension() for a global that is allowed would allow it",
    ),
    "helper": lambda _: (
        "a helper of the standard library that is not called, but kept",
        "no call allows it",
    ),
    "reconstructor": lambda _: (
        "copyreg._reconstructor with other arguments than (cls, object, None)",
        "an allowed class with __reduce_ex__ of protocol 2 or later needs no other",
    ),
    "newobj": lambda _: ("copyreg.__newobj__ without a class", "no call allows it"),
    "encode": lambda _: (
        "_codecs.encode with other arguments than (text, 'latin1')",
        "no call allows it",
    ),
    "getattr": lambda _: (
        "getattr of something that is no member of an allowed enum, and no allowed method",
        "allow= with the enum, or the bound method of a class, would allow it",
    ),
    "type": lambda _: ("type() of something else than None", "no call allows it"),
}


def refuse(kind, subject, offset, stack):
    """Raise UnpicklingError; *stack* is what lay on the stack, and the heights of its MARKs."""
    objects, marks = stack
    path = path_of(_looked_at(kind, objects), marks)
    where = f"byte {offset}" + (f", at {path} in the object" if path else "")
    if kind == "limit":
        error = UnpicklingError(
            f"the pickle exceeds the limit {subject!r} ({where}); "
            f"limits=safe.Limits({subject}=...) sets another"
        )
    else:
        what, remedy = _WORDS[kind](subject)
        error = UnpicklingError(f"{what} is not allowed ({where}); {remedy}")
    error.kind, error.offset, error.path = kind, offset, path
    del subject, stack, objects  # The traceback shall not keep what a pickle has made.
    raise error
