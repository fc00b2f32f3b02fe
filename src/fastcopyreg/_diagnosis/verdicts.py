"""Whether a reducer or constructor runs by plan or by call, and why, in words; for `explain`."""

import linecache
from functools import partial
from types import CodeType, FunctionType, MemberDescriptorType, MethodType

from .._backend import backend, core
from .._compiler import values
from .._compiler.steps import (
    ATTRIBUTE,
    CALL,
    CALL_METHOD,
    CELL,
    CONSTANT,
    DEFAULT,
    DICT,
    EXPECT,
    GLOBAL,
    JOIN,
    LENGTH,
    LIST,
    OBJECT,
    RETURN,
    SEQUENCE,
    TEXT,
    TUPLE,
    TYPE,
)
from .._register import rules
from ..compiler import (
    Refusal,
    compile_constructor,
    compile_getstate,
    compile_reducer,
    compile_setstate,
)

_NO_CORE = "by call, as this backend is the standard library; the C core would run a plan"

_NO_FASTER = "by call, as a plan of more than attributes in a row takes as long"

_RESTS = "by call for the present, as the plan has given up for the last objects"

_MADE_OF_ONE = (TEXT, LENGTH, SEQUENCE)
_MADE_OF_ALL = (TUPLE, LIST, JOIN)
_MADE_BY_CALL = (CALL, CALL_METHOD)

_KINDS_IN_PLACE = {
    *(OBJECT, TYPE, ATTRIBUTE, DICT, EXPECT),
    *(*_MADE_OF_ONE, *_MADE_OF_ALL, *_MADE_BY_CALL),
}


class _Plain:
    """A class that has no say in anything."""


def reducer_rows(cls, reducer, arguments):
    """Return rows that say how *reducer* of *cls* runs, which is called with so many arguments."""
    verdict = compile_reducer(reducer, arguments)
    rows = _rows(reducer, verdict)
    if rows[0][1].startswith("by plan") and not _is_read_in_place(cls, verdict):
        return [("runs", _NO_FASTER), *rows[1:]]
    return rows


def _is_read_in_place(cls, plan):
    """Return whether the core writes what *plan* gives without making it: see csrc/types/bound.h.

    That is a constructor and a tuple of attributes, of values that are no object's and of what is
    made of such, and perhaps a dict of the like as the state; there are no branches.
    """
    of_none = {CONSTANT, GLOBAL, CELL, DEFAULT}
    *line, (end, first, count, _) = plan.steps
    if end != RETURN or not {kind for kind, *_ in line} <= of_none | _KINDS_IN_PLACE:
        return False
    wholes = [line[number] for number in plan.operands[first : first + count]]
    operands = [number for step in wholes[1:] for number in _operands(plan, step)]
    parts = [leaf for number in operands for leaf in _leaves(plan, number)]
    read = [number for number, (kind, *_) in enumerate(line) if kind == ATTRIBUTE]
    return (
        (wholes[0][0] in of_none or wholes[0][0] in (TYPE, ATTRIBUTE))
        and set(read) <= {*parts, plan.operands[first]}
        and all(line[number][0] in of_none | {ATTRIBUTE, LIST, DICT} for number in parts)
        and all(line[line[n][1]][0] == OBJECT for n in read)
        and not any(_runs_code(cls, plan.names[line[n][2]]) for n in read if n in parts)
    )


def _operands(plan, step):
    kind, first, count, more = step
    if kind == DICT:
        return plan.operands[first + 1 : first + 2 * count : 2]
    if kind in _MADE_BY_CALL:
        return plan.operands[count : count + more]
    if kind in _MADE_OF_ONE:
        return (first,)
    return plan.operands[first : first + count] if kind in _MADE_OF_ALL else ()


def _leaves(plan, number):
    """Return the numbers of the values that a part is made of; its own, if it is made of none."""
    made_of = _operands(plan, plan.steps[number])
    return [leaf for other in made_of for leaf in _leaves(plan, other)] or [number]


def _runs_code(cls, name):
    """Return whether it may run code to read *name* of an object that has it."""
    found = type(rules.static_attribute(cls, name))
    getattribute = rules.static_attribute(cls, "__getattribute__")
    return getattribute is not object.__getattribute__ or (
        found is not MemberDescriptorType and hasattr(found, "__set__")
    )


def value_rows(cls):
    """Return a row that says how values of the standard library run; none for other classes."""
    if backend != "c" or not core.reads_values(cls):
        return []
    return [("runs", "in the C core, which reads such values where they lie, without a call")]


def constructor_rows(constructor):
    """Return rows that name *constructor*, say where it is, and how it runs."""
    rows = function_rows("constructor", constructor)
    if _is_left_out(constructor):
        return [*rows, ("runs", "in the C core, which makes such values without a call")]
    (what, text), *others = _rows(constructor, compile_constructor(constructor))
    if backend == "c" and text.startswith("by plan") and core.constructor_rests(constructor):
        text = f"{_RESTS}; {text}"
    return [*rows, (what, text), *others]


def _is_left_out(constructor):
    """Return whether the core knows what a class of the standard library makes of arguments."""
    if backend == "c" and core.makes_values(constructor):
        return True
    return _is_known(constructor) and not values.sets_state(constructor)


def _is_known(cls):
    return (
        backend == "c"
        and core.reads_fields(_Plain)
        and isinstance(cls, type)
        and values.constructor(cls) is not None
    )


def setstate_rows(cls, method):
    """Return rows that name the `__setstate__` of a class, and say so if it is left out."""
    rows = function_rows("state", method)
    if _is_known(cls) and values.sets_state(cls):
        return [*rows, ("runs", "in the C core, which stores such states without a call")]
    verdict = compile_setstate(method)
    if verdict is True or verdict is False:
        rows.append(("which", f"does nothing but {'update' if verdict else 'replace'} __dict__"))
        verdict = None
    return rows + [(f"state {what}", text) for what, text in _rows(method, verdict)]


def function_rows(what, function):
    """Return rows that name a callable and say where it is written."""
    rows = [(what, rules.full_name(function))]
    code = _code_of(function)
    if code is not None:
        rows.append((f"{what} at", f"{code.co_filename}:{code.co_firstlineno}"))
    return rows


def default_runs(cls):
    """Return in words how the default reduction of *cls* runs."""
    if backend != "c":
        return "by call, as this backend is the standard library"
    if not core.reads_fields(_Plain):
        return "by call, as the core cannot read the fields of objects of this build of Python"
    if core.asks_for_state(cls):
        found = compile_getstate(rules.static_attribute(cls, "__getstate__"))
        how = "call" if isinstance(found, Refusal) or core.plan_threshold() == 0 else "plan"
        return f"by {how} of __getstate__, and the rest in the C core"
    if not core.reads_fields(cls):
        return "by call, as the class or its metaclass has a say in what its objects consist of"
    return "in the C core, without a call"


def _rows(function, verdict):
    if isinstance(verdict, Refusal):
        return [("runs", f"by call: {verdict.reason}"), *_source_rows(function, verdict)]
    if backend != "c":
        return [("runs", _NO_CORE)]
    if core.plan_threshold() == 0:
        return [("runs", "by call, as plans are off (see FASTCOPYREG_PLANS_AFTER)")]
    leaves = getattr(verdict, "leaves", ())
    if not leaves:
        return [("runs", "by plan, from the time on when its class has been met often enough")]
    rows = [("runs", f"by plan; called on some paths: {leaves[0].reason}")]
    return rows + _source_rows(function, leaves[0])


def _source_rows(function, refusal):
    """Return the line of source that a verdict goes by, if it names one."""
    code = _code_of(function)
    if code is None or refusal.line is None:
        return []
    text = linecache.getline(code.co_filename, refusal.line).strip()
    return [("because of", f"{code.co_filename}:{refusal.line}: {text}".rstrip(": "))]


def _code_of(function):
    """Return the code that a callable runs first; None if it is not written in Python."""
    if isinstance(function, type):
        function = rules.static_attribute(function, "__init__")
    while isinstance(function, (MethodType, partial, classmethod, staticmethod)):
        function = function.func if isinstance(function, partial) else function.__func__
    code = function.__code__ if type(function) is FunctionType else None
    return code if type(code) is CodeType else None
