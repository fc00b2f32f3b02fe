"""What `register` can find out about a class: its fields, and how a constructor takes them.

Fields come from whoever knows them best: the dataclass, attrs, msgspec or pydantic that made the
class, the named tuple, ``__match_args__``, and last the parameters of the constructor.  Where they
lie (in the ``__dict__``, in a slot, behind a property) and whether a name is one of the class's at
all is read from the class; nothing is ever called, and no object is needed.
"""

import inspect
import keyword
from types import CodeType, FunctionType, MethodType

from . import rules

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_EMPTY = inspect.Parameter.empty

# Defaults of these types may be written into a pickle in the place of a field left out: they mean
# the same wherever they are read, and nobody can change them.
_CONSTANT_TYPES = (type(None), bool, int, str, bytes)

# What a method of the class names if it sets attributes whose names cannot be read off it.
_SETS_ANY_ATTRIBUTE = {"__dict__", "__setattr__", "setattr", "vars"}


class Field:
    """An attribute that travels as an argument, and the parameter that takes it."""

    __slots__ = ("attribute", "parameter")

    def __init__(self, attribute, parameter=None):
        self.attribute = attribute
        self.parameter = attribute if parameter is None else parameter

    def expression(self):
        """Return what the reducer reads, as source."""
        return f"object.{self.attribute}"

    def taken_from(self, fields):
        """Return the argument, given a dict of the fields."""
        return fields[self.attribute]


class Constant:
    """An argument that is the same for all objects: the default of a field left out."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def expression(self):
        """Return the constant as source."""
        return repr(self.value)

    def taken_from(self, fields):
        """Return the argument, whatever the fields."""
        return self.value


class Shape:
    """How the objects of a class come apart.

    ``arguments`` are `Field` and `Constant`, in the constructor's order; ``keywords`` are the
    fields that it takes by name only; ``state`` the attributes set afterwards; ``origin`` says in
    words where the fields were found.
    """

    __slots__ = ("arguments", "keywords", "origin", "state")

    def __init__(self, origin, arguments=(), keywords=(), state=()):
        self.origin = origin
        self.arguments = tuple(arguments)
        self.keywords = tuple(keywords)
        self.state = tuple(state)

    def fields(self):
        """Return the names of the attributes that travel as arguments, in order."""
        positional = (a.attribute for a in self.arguments if isinstance(a, Field))
        return (*positional, *(field.attribute for field in self.keywords))


def checked_names(value, what):
    """Return *value* as a tuple of attribute names; raise TypeError if it is none."""
    if isinstance(value, str):
        raise TypeError(f"{what} is a string; write {what}=({value!r},)")
    names = tuple(value)
    for name in names:
        if type(name) is not str:
            raise TypeError(f"{what} holds {name!r}; it names attributes, as strings")
        if not name.isidentifier() or keyword.iskeyword(name):
            raise TypeError(f"{what} holds {name!r}, which cannot be the name of an attribute")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TypeError(f"{what} names {repeated[0]!r} twice; name it once")
    return names


# --- what is known of a class's attributes


def known_names(cls, constructor):
    """Return the attribute names that the class or its constructor mentions; None if any may be.

    A class written in Python names in its methods what they set.  Where a method sets attributes
    by other means, or nothing is written in Python, names that are not mentioned may exist.
    """
    if rules.static_attribute(cls, "__getattr__") is not None:
        return None
    names, codes, sets_any = set(dir(cls)), list(_codes(constructor)), False
    for base in cls.__mro__:
        namespace = type.__dict__["__dict__"].__get__(base)
        names.update(_annotated(namespace, base))
        methods = [code for value in namespace.values() for code in _codes(value)]
        sets_any |= any(_sets_any(code) for code in methods if not _generated(code, namespace))
        codes += methods
    names.update(*map(_names_in, codes))
    return None if rules.has_instance_dict(cls) and (sets_any or not codes) else names


def _annotated(namespace, cls):
    if namespace.keys() & {"__annotations__", "__annotate_func__", "__annotate__"}:
        return inspect.get_annotations(cls)
    return ()


def _codes(value):
    """Yield the code of an attribute that is a function, a method or a property."""
    if type(value) in (classmethod, staticmethod, MethodType):
        value = value.__func__
    for function in (value.fget, value.fset) if type(value) is property else (value,):
        # PyPy's built-in functions are functions too, with code of another type.
        if type(function) is FunctionType and type(function.__code__) is CodeType:
            yield function.__code__


def _names_in(code):
    """Return the names that a code object and those nested in it use."""
    nested = (constant for constant in code.co_consts if type(constant) is CodeType)
    return set(code.co_names).union(*map(_names_in, nested))


def _sets_any(code):
    return not _SETS_ANY_ATTRIBUTE.isdisjoint(_names_in(code))


def _generated(code, namespace):
    """Return whether a dataclass or attrs wrote this method: it sets the fields and no more."""
    by = namespace.keys() & {"__dataclass_fields__", "__attrs_attrs__"}
    return bool(by) and code.co_filename.startswith("<")


# --- inference


def infer(cls, constructor, exclude):
    """Return the `Shape` of *cls* as *constructor* takes it apart from the fields in *exclude*.

    Raises TypeError, saying what to give, if the fields cannot be found out.
    """
    if constructor is cls:
        for source in (
            _from_dataclass,
            _from_attrs,
            _from_struct,
            _from_pydantic,
            _from_named_tuple,
        ):
            if (found := source(cls)) is not None:
                return _arranged(cls, constructor, exclude, *found)
        if (found := _from_match_args(cls, exclude)) is not None:
            return found
    return _arranged(cls, constructor, exclude, *_from_parameters(cls, constructor, exclude))


def _from_dataclass(cls):
    fields = rules.static_attribute(cls, "__dataclass_fields__")
    if type(fields) is not dict:
        return None
    kinds = {name: field._field_type.name for name, field in fields.items()}
    initial = [n for n, kind in kinds.items() if kind == "_FIELD_INITVAR"]
    if required := [name for name in initial if not _has_default(cls, name)]:
        raise TypeError(
            f"{cls.__qualname__}.{required[0]} is an InitVar, which no object keeps; give "
            "register() the fields, and a constructor that takes them"
        )
    own = [(n, field) for n, field in fields.items() if kinds[n] == "_FIELD"]
    pairs = [Field(name) for name, field in own if field.init]
    return "the fields of the dataclass", pairs, [name for name, field in own if not field.init]


def _has_default(cls, name):
    signature = signature_of(cls)
    return signature is not None and (
        name not in signature.parameters or signature.parameters[name].default is not _EMPTY
    )


def _from_attrs(cls):
    attributes = rules.static_attribute(cls, "__attrs_attrs__")
    if attributes is None:
        return None
    # Before attrs 22.2 attributes had no alias; the parameter lacked the leading underscores.
    pairs = [
        Field(a.name, getattr(a, "alias", None) or a.name.lstrip("_"))
        for a in attributes
        if a.init
    ]
    return "the attributes of the attrs class", pairs, [a.name for a in attributes if not a.init]


def _from_struct(cls):
    names = getattr(cls, "__struct_fields__", None)  # It is the metaclass's.
    if type(names) is not tuple:
        return None
    return "the fields of the msgspec Struct", [Field(name) for name in names], []


def _from_pydantic(cls):
    fields = rules.static_attribute(cls, "__pydantic_fields__")
    if type(fields) is not dict:
        return None
    pairs = [Field(name, field.alias) for name, field in fields.items()]
    return "the fields of the pydantic model", pairs, []


def _from_named_tuple(cls):
    names = rules.static_attribute(cls, "_fields")
    if not issubclass(cls, tuple) or type(names) is not tuple:
        return None
    return "the fields of the named tuple", [Field(name) for name in names], []


def _from_match_args(cls, exclude):
    """Return the shape that ``__match_args__`` gives, if the class can be called with those."""
    names = rules.static_attribute(cls, "__match_args__")
    if type(names) is not tuple or not names or not exclude.isdisjoint(names):
        return None
    arguments = [Field(name) for name in names]
    if not takes(cls, len(arguments)):
        return None
    return Shape("__match_args__", arguments)


def _from_parameters(cls, constructor, exclude):
    signature = signature_of(constructor)
    name = getattr(constructor, "__qualname__", repr(constructor))
    if signature is None:
        raise TypeError(f"the parameters of {name} are not known; give register() the fields")
    known = known_names(cls, constructor) or ()
    own = [p for p in signature.parameters.values() if p.name not in exclude]
    for parameter in own:
        if parameter.kind in _VARIABLE or parameter.name not in known:
            raise TypeError(
                f"no field of {cls.__qualname__} is known for the parameter {parameter} of "
                f"{name}; give register() the fields, and a constructor that takes them"
            )
    return f"the parameters of {name}", [Field(parameter.name) for parameter in own], []


def _arranged(cls, constructor, exclude, origin, pairs, later):
    """Return the `Shape` in which *constructor* takes the fields that are not excluded."""
    wanted = {field.parameter: field for field in pairs if field.attribute not in exclude}
    state = [name for name in later if name not in exclude]
    signature = signature_of(constructor)
    if signature is None:
        return Shape(origin, wanted.values(), state=state)
    arguments, waiting = [], []
    for parameter in signature.parameters.values():
        if parameter.kind not in _POSITIONAL or not wanted:
            break
        if parameter.name in wanted:
            arguments += [*waiting, wanted.pop(parameter.name)]
            waiting = []
        elif type(parameter.default) in _CONSTANT_TYPES:
            waiting.append(Constant(parameter.default))
        else:
            break
    return Shape(origin, arguments, wanted.values(), state)


# --- what a constructor takes


def signature_of(constructor):
    """Return the signature of *constructor*, or None if it does not tell."""
    try:
        return inspect.signature(constructor)
    except (ValueError, TypeError):
        return None


def takes(constructor, positional, keywords=()):
    """Return whether *constructor* can be called with so many arguments; True if nobody knows."""
    return why_not_taken(constructor, positional, keywords) is None


def why_not_taken(constructor, positional, keywords=()):
    """Return the message with which such a call would be refused; None if it would not be."""
    signature = signature_of(constructor)
    if signature is None:
        return None
    try:
        signature.bind(*[None] * positional, **dict.fromkeys(keywords))
    except TypeError as error:
        return str(error)
    return None


def given(constructor, names):
    """Return the `Shape` of fields that were given: by position, or by name if only that fits."""
    if not takes(constructor, len(names)) and takes(constructor, 0, names):
        return Shape("the fields given", (), map(Field, names))
    return Shape("the fields given", map(Field, names))
