"""``register``: declares how the objects of a class come apart, instead of writing a reducer.

From the declaration an ordinary Python reducer is made, ``lambda o: (cls, (o.x, o.y))``, and
registered as if by hand: any pickle and copy can use it, it writes the same under all of them,
and the C core recognises it as it recognises those that people write.

Fields taken by name, and versions, cannot be said so.  Objects of such classes are rebuilt by
`restore`, whose name is in their pickles and therefore stays what it is.
"""

from . import _constructors, _places, _stdlib

__all__ = ("Registration", "register", "restore")

_UnpicklingError = _stdlib.PICKLE["UnpicklingError"]


class Registration:
    """What `register` was told of a class, or found out, and the reducer made from it."""

    __slots__ = (
        "cls",
        "constructor",
        "exclude",
        "fields",
        "reducer",
        "shape",
        "source",
        "upgrade",
        "version",
    )

    def __init__(self, cls, constructor, shape, exclude, version, upgrade):
        self.cls = cls
        self.constructor = constructor
        self.shape = shape
        self.fields = shape.fields()
        self.exclude = tuple(exclude)
        self.version = version
        self.upgrade = upgrade
        self.source = _source(self)
        self.reducer = _compiled(self)

    def __reduce__(self):
        """Take it to another process, where the reducer is made anew."""
        told = self.cls, self.constructor, self.shape, self.exclude, self.version, self.upgrade
        return Registration, told

    def needs_fastcopyreg(self):
        """Return whether its pickles load only where fastcopyreg has this registration."""
        return bool(self.version or self.shape.keywords)

    def construct(self, fields):
        """Return the object made from a dict of fields; raise UnpicklingError if they differ."""
        if fields.keys() != set(self.fields):
            wrong = sorted(fields.keys() ^ set(self.fields))
            raise _UnpicklingError(
                f"a pickle of {self.cls.__qualname__} and its registration differ in the fields "
                f"{', '.join(map(str, wrong))}; register a new version, and how to upgrade to it"
            )
        positional = [a.taken_from(fields) for a in self.shape.arguments]
        by_name = {field.parameter: fields[field.attribute] for field in self.shape.keywords}
        return self.constructor(*positional, **by_name)

    def upgraded(self, version, fields):
        """Return the fields that a pickle of an older version has, as the present version's."""
        present = self.version or 0
        if not 0 <= version <= present:
            raise _UnpicklingError(
                f"the pickle holds version {version} of {self.cls.__qualname__}; this process "
                f"knows those up to {present}"
            )
        for step in range(version, present):
            if step not in self.upgrade:
                raise _UnpicklingError(
                    f"the pickle holds version {version} of {self.cls.__qualname__}, and "
                    f"register() was not told how to upgrade version {step}"
                )
            fields = self.upgrade[step](fields)
        return fields


_registrations = {}
"""Each class registered here, with its `Registration`; alive as long as `dispatch_table` is."""


def registration_of(cls):
    """Return the `Registration` of *cls* that is in force; None if there is none."""
    registration = _registrations.get(cls)
    if registration is not None and _stdlib.dispatch_table.get(cls) is registration.reducer:
        return registration
    return None


def register(
    cls=None,
    fields=None,
    *,
    constructor=None,
    state=(),
    exclude=(),
    version=None,
    upgrade=None,
):
    """Declare how objects whose type is exactly *cls* are pickled and copied; return *cls*.

    Without *cls*, return a decorator: ``@register(fields=("x", "y"))``; ``@register`` works too.

    *fields* names the attributes that are passed to *constructor*, which is *cls* if not given.
    Where *fields* is not given they are found out: those of a dataclass, an attrs class, a named
    tuple, a msgspec Struct or a pydantic model, ``__match_args__``, or the parameters of the
    constructor if each is the name of an attribute.  *state* names attributes that are set after
    construction; only these may refer back to the object.  *exclude* names what must not travel,
    such as locks, handles and caches; it is left to the class's own default.

    *version*, an int from 1, goes into the pickles.  *upgrade* maps an older version to a function
    that takes a dict of that version's fields and returns one of the next version's; 0 stands for
    pickles written without a version.  Attributes in *state* are not shown to it.

    Pickles of a class registered by fields, constructor and state load without fastcopyreg.  Two
    forms need it on the reading side, with the class registered there too: a *version*, and fields
    that the constructor takes only by keyword, or after one that is left out.

    Raises TypeError for a mistake, with the remedy: a class that cannot be imported by name, or
    about whose objects pickle never asks the registry, a name that is no attribute, a constructor
    that does not take the fields.  The constructor becomes a registered constructor.
    """
    place, caller = _places.caller()
    declared = fields, constructor, state, exclude, version, upgrade

    def register_here(decorated):
        from ._register.declaration import checked

        registration = Registration(*checked(decorated, caller, *declared))
        _put_into_table(registration, place)
        return decorated

    return register_here if cls is None else register_here(cls)


def restore(cls, version, names, *values):
    """Rebuild an object of a registered class: what pickles of two forms call, see `register`.

    *version* is 0 for a class registered without one; *names* are the fields that *values* belong
    to.  Raises UnpicklingError if *cls* is not registered in this process, or the fields are not
    those of that registration and cannot be upgraded to them.  Calls nothing but the functions and
    the constructor of that registration.
    """
    registration = _registrations.get(cls)
    if registration is None:
        raise _UnpicklingError(
            f"{cls!r} was registered by fastcopyreg.register() where it was pickled, and is not "
            "here; import the module that registers it before loading"
        )
    fields = dict(zip(names, values, strict=True))
    return registration.construct(registration.upgraded(version, fields))


def _put_into_table(registration, place):
    """Make the registration that of its class, for every pickler and copier.

    The reducer comes last: what is in the table is complete, also in a child forked meanwhile.
    """
    cls = registration.cls
    _registrations[cls] = registration
    _constructors.remember(registration.constructor)
    _constructors.remember_class(cls)
    if registration.needs_fastcopyreg():
        _constructors.remember(restore)
    _stdlib.register_reducer(cls, registration.reducer, registration.constructor)
    _places.note(cls, registration.reducer, place)


def register_again(registration):
    """Put into the table what another process has registered."""
    _put_into_table(registration, None)


# --- the reducer


def _source(registration):
    """Return the reducer as source, as somebody would write it."""
    shape = registration.shape
    values = [argument.expression() for argument in (*shape.arguments, *shape.keywords)]
    callee = "constructor"
    if registration.needs_fastcopyreg():
        callee = "restore"
        values = [f"object.{name}" for name in registration.fields]
        values = ["cls", str(registration.version or 0), "names", *values]
    arguments = f"({', '.join(values)}{',' * (len(values) == 1)})"
    state = _state_source(registration.cls, shape.state)
    return (
        f"def reduce_{registration.cls.__name__}(object):\n"
        f"    return {callee}, {arguments}{state}\n"
    )


def _state_source(cls, names):
    """Return the state part: a dict for ``__dict__``, and a second one for what is set by setattr.

    That pair is how protocol 2 gives the state of slots; pickle and copy read it so.
    """
    from ._register import rules

    plain = [name for name in names if not rules.is_slot(cls, name)]
    slots = [name for name in names if name not in plain]
    if not slots:
        return f", {_dict_source(plain)}" if plain else ""
    return f", ({_dict_source(plain) if plain else None}, {_dict_source(slots)})"


def _dict_source(names):
    return "{" + ", ".join(f"{name!r}: object.{name}" for name in names) + "}"


def _compiled(registration):
    """Return the reducer as a function, whose globals are what its source names."""
    cls = registration.cls
    namespace = {
        "__name__": __name__,
        "cls": cls,
        "constructor": registration.constructor,
        "names": registration.fields,
        "restore": restore,
    }
    exec(compile(registration.source, f"<register {cls.__qualname__}>", "exec"), namespace)
    return namespace.pop(f"reduce_{cls.__name__}")
