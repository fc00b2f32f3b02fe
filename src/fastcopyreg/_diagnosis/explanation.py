"""``explain``: which rule takes the objects of a class apart, and what puts them together again.

The questions are asked in the order in which the running pickle and copy ask them.  Only given an
object is anything called: its reducer, and what pickles and copies it, to be measured.
"""

import copyreg as std_copyreg
from functools import partial
from html import escape

from .. import _places, _stdlib
from .._register import rules
from ..registration import registration_of
from . import costs, verdicts


class Explanation:
    """How the objects of a class are reduced, rebuilt and copied; what `explain` returns.

    ``sections`` are pairs of a title and a list of (what, text or number or dict of such);
    ``warnings`` are sentences about what does not do what it seems to.
    """

    def __init__(self, name, sections, warnings):
        self.name = name
        self.sections = [(title, list(rows)) for title, rows in sections if rows]
        self.warnings = list(warnings)

    def to_dict(self) -> "dict[str, object]":
        """Return the explanation as nested dicts of strings and numbers, ready for JSON."""
        sections = {title: dict(rows) for title, rows in self.sections}
        return {"name": self.name, **sections, "warnings": list(self.warnings)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.name}>"

    def __str__(self) -> str:
        lines = [self.name]
        for title, rows in self.sections:
            lines.append(f"  {title}")
            width = max(len(what) for what, _ in rows)
            lines += [f"    {what:{width}}  {_in_words(text)}" for what, text in rows]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [_html_row("th", self.name)]
        for title, section in self.sections:
            rows.append(_html_row("th", title))
            rows += [_html_row("td", what, _in_words(text)) for what, text in section]
        rows += [_html_row("td", "warning", text) for text in self.warnings]
        return f"<table>{''.join(rows)}</table>"


def _html_row(tag, *cells):
    span = ' colspan="2"' if len(cells) == 1 else ""
    return f"<tr>{''.join(f'<{tag}{span}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _in_words(value):
    if type(value) is dict:
        return ", ".join(f"{_in_words(part)} ({name})" for name, part in value.items())
    return f"{value:.0f} ns" if type(value) is float else str(value)


def explanation_of(x):
    """Return the `Explanation` of a class or an object; see ``fastcopyreg.explain``."""
    if rules.is_class(x):
        sections = [
            ("reduce", _asked(_reduce_rows, x)),
            ("rebuild", _asked(_rebuild_rows, x)),
            ("copy", _asked(_copy_rows, x)),
        ]
        return Explanation(rules.full_name(x), sections, _asked_warnings(x))
    cls = type(x)
    reduce, value, refused = _reduced(cls, x)
    sections = [
        ("reduce", _asked(_reduce_rows, cls, x) + refused),
        (
            "rebuild",
            _asked(_rebuild_rows, cls) if value is None else _asked(_rows_of_value, cls, value),
        ),
        ("copy", _asked(_copy_rows, cls, x)),
        ("cost", _asked(costs.rows, x, reduce if value is not None else None)),
    ]
    return Explanation(f"an object of {rules.full_name(cls)}", sections, _asked_warnings(cls))


def _asked(question, *arguments):
    """Return the rows that answer a question; one that says so if a class or object raises."""
    try:
        return list(question(*arguments))
    except Exception as error:
        return [("unknown", f"asking for it raises {rules.told(error)}")]


def _asked_warnings(cls):
    try:
        return list(_warnings(cls))
    except Exception as error:
        return [f"looking at {rules.class_name(cls)} raises {rules.told(error)}"]


def registry():
    """Return an `Explanation` for each class in the registry, in the order of registration."""
    return [explanation_of(cls) for cls in list(_stdlib.dispatch_table) if rules.is_class(cls)]


# --- reduce


def _reduce_rows(cls, *objects):
    """Return what takes the objects apart: the first of pickle's rules that applies."""
    if cls in rules.never_dispatched():
        return [("rule", "pickle saves them by itself, and asks nobody")]
    if cls in _stdlib.dispatch_table:
        return _registered_rows(cls, _stdlib.dispatch_table[cls])
    if issubclass(cls, type):
        return [("rule", "they are classes, which pickle saves by name")]
    name, method = _own_method(cls, objects)
    if method is None:
        return _default_rows(cls, "the default reduction: copyreg.__newobj__ and the state")
    if name == "__reduce__" and any(method is vars(base)[name] for base in (set, frozenset)):
        return _default_rows(cls, "the __reduce__ of sets: a list of the elements and the state")
    return [
        ("rule", f"a {name} of their own"),
        *verdicts.function_rows("reducer", method),
        *(
            verdicts.value_rows(cls)
            or verdicts.reducer_rows(cls, method, 2 if name == "__reduce_ex__" else 1)
        ),
    ]


def _registered_rows(cls, reducer):
    rows = [("rule", "registered in copyreg.dispatch_table")]
    declared = registration_of(cls)
    if declared is not None:
        rows.append(("declared", f"by register(), from {declared.shape.origin}"))
        rows.append(("as", declared.source.partition("return ")[2].strip()))
    if (place := _places.place_of(cls, reducer)) is not None:
        rows.append(("registered at", "{}:{}".format(*place)))
    if declared is None:
        rows += verdicts.function_rows("reducer", reducer)
    own = verdicts.value_rows(cls) if reducer is std_copyreg.pickle_complex else []
    return rows + (own or verdicts.reducer_rows(cls, reducer, 1))


def _own_method(cls, objects):
    """Return (name, method) of the reducing method that is not `object`'s; (None, None) if none.

    ``__reduce_ex__`` is looked up on the object; `object`'s calls the object's ``__reduce__`` if
    the class has one of its own.
    """
    for name in ("__reduce_ex__", "__reduce__"):
        of_class = rules.static_attribute(cls, name)
        dicts = map(rules.instance_dict, objects)
        of_object = [own[name] for own in dicts if name in own]
        own = of_class is not vars(object)[name]
        if of_object and (own or name == "__reduce_ex__"):
            return name, of_object[0]
        if own:
            return name, of_class
    return None, None


def _default_rows(cls, rule):
    rows = [("rule", rule)]
    for name, what in (
        ("__getnewargs_ex__", "arguments"),
        ("__getnewargs__", "arguments"),
        ("__getstate__", "state"),
    ):
        method = rules.static_attribute(cls, name)
        if method is not None and method is not vars(object).get(name):
            rows += verdicts.function_rows(what, method)
    if "state" not in dict(rows):
        rows.append(("state", "the __dict__ and the slots that are set"))
    return rows + (verdicts.value_rows(cls) or [("runs", verdicts.default_runs(cls))])


def _reduced(cls, obj):
    """Return the call that takes *obj* apart, what it returned, and rows that say why not."""
    reduce = None
    try:
        if cls in rules.never_dispatched():
            return None, None, []
        if cls in _stdlib.dispatch_table:
            reduce = partial(_stdlib.dispatch_table[cls], obj)
        else:
            reduce = partial(obj.__reduce_ex__, 4)
        value = reduce()
    except Exception as error:
        return reduce, None, [("refused", rules.told(error))]
    if type(value) is str or (type(value) is tuple and 2 <= len(value) <= 6):
        return reduce, value, []
    return reduce, None, [("refused", f"a reduce value of type {rules.class_name(type(value))}")]


# --- rebuild


def _rebuild_rows(cls):
    """Return what puts the objects together, as far as the class tells without an object."""
    if cls in rules.never_dispatched():
        return [("constructor", "none, pickle has opcodes for them")]
    declared = registration_of(cls)
    if declared is not None:
        rows = verdicts.constructor_rows(declared.constructor)
        if declared.needs_fastcopyreg():
            rows.insert(
                0, ("through", "fastcopyreg.registration.restore, also where they are loaded")
            )
        return rows + _state_rows(cls, bool(declared.shape.state))
    if cls not in _stdlib.dispatch_table and _own_method(cls, ())[0] is None:
        return [*_new_rows(cls), *_state_rows(cls, True)]
    return [("constructor", "the first part of the reduce value; explain an object to see which")]


def _new_rows(cls):
    owner = next(base for base in cls.__mro__ if "__new__" in vars(base))
    return [("constructor", f"{owner.__qualname__}.__new__, and no __init__")]


def _rows_of_value(cls, value):
    if type(value) is str:
        return [("constructor", f"none, they are the global {value}")]
    callee, arguments, state, items, pairs, setter = (*value, *[None] * 6)[:6]
    if callee is std_copyreg.__newobj__:
        rows = _new_rows(cls)
    else:
        rows = verdicts.constructor_rows(callee)
        rows.append(("arguments", "none" if arguments is None else str(len(arguments))))
    if setter is not None:
        rows += verdicts.function_rows("state setter", setter)
    else:
        rows += _state_rows(cls, state is not None)
    rows += [("list items", "by extend() or append()")] if items is not None else []
    return rows + ([("dict items", "by item assignment")] if pairs is not None else [])


def _state_rows(cls, has_state):
    if not has_state:
        return [("state", "none")]
    method = rules.static_attribute(cls, "__setstate__")
    if method is not None:
        return verdicts.setstate_rows(cls, method)
    return [("state", "into the __dict__; into slots by setattr")]


# --- copy


def _copy_rows(cls, *objects):
    return [
        ("copy", _copied(cls, "__copy__", ("_copy_atomic_types", "_copy_dispatch"), ())),
        (
            "deepcopy",
            _copied(cls, "__deepcopy__", ("_atomic_types", "_deepcopy_dispatch"), objects),
        ),
    ]


def _copied(cls, method_name, tables, objects):
    """Return in words what copies the objects, by the tables that the running version has."""
    if issubclass(cls, type):
        return "not at all, the copy is the class itself"
    if any(cls in _stdlib.COPY.get(table, ()) for table in (*tables, "_copy_builtin_containers")):
        return "by copy itself; what cannot change is not copied"
    method = rules.static_attribute(cls, method_name)
    for obj in objects:
        method = rules.instance_dict(obj).get(method_name, method)
    if method is not None:
        return "by " + ", at ".join(text for _, text in verdicts.function_rows("", method))
    return "through the same reduction"


# --- warnings


def _warnings(cls):
    """Return sentences about registrations of *cls* that do less than they seem to."""
    table, name = _stdlib.dispatch_table, cls.__qualname__
    if cls in rules.never_dispatched():
        if cls in table:
            yield (
                f"{name} is registered, which has no effect: pickle saves such objects by itself; "
                f"{rules.instead_of_registering(cls)}"
            )
        return
    if cls in table:
        yield from _registered_warnings(cls)
        return
    for base in cls.__mro__[1:]:
        if base in table and _own_method(cls, ())[0] is None:
            yield (
                f"{base.__qualname__} is registered, but {name} is not, and the registry goes by "
                f"the exact class; register {name} too"
            )


def _registered_warnings(cls):
    name = cls.__qualname__
    if rules.is_abstract(cls):
        yield f"{name} is abstract, so no object has exactly this class; register derived classes"
    reason = rules.why_not_importable(cls)
    if reason is not None and "another object" in reason:
        yield (
            f"{reason}, which is not registered; a decorator such as dataclass(slots=True) makes "
            "a new class: put @register above it"
        )
    elif reason is not None:
        yield f"{name} cannot be imported by name, so its pickles cannot be loaded: {reason}"
    if issubclass(cls, type):
        yield f"copy never asks the registry about classes, and {name} is a class of classes"
    for method in ("__copy__", "__deepcopy__"):
        if rules.static_attribute(cls, method) is not None:
            yield f"{method} goes before the registry: {name} is pickled and copied differently"
