"""Reads the bytecode of a reducer or a constructor into a plan, or says why it cannot.

A *plan* is what a function would do, known in advance: a flat list of steps that only load, make
displays and return. The C core runs it without a call and without a frame. This module decides
what a plan may hold; it is imported the first time that a type has been met often enough.

A plan belongs to a code object
-------------------------------
Nothing that the function looks up while it runs is remembered in its plan. Globals, closure
cells, default arguments and attributes are *steps*, which read the live function and the live
object each time, in the order in which the function would have read them. So a global that is
rebound, a default that is replaced or a cell that is filled again needs no guard: the next run
reads the new value. What remains to be guarded is

* the code: each function that went into the plan still has the code object that was read;
* the few values on whose meaning the reading relied (that ``type`` is the builtin): these are
  steps as well, EXPECT and EXPECT_CLASS, where the function would have looked the value up;
* what a type means for the names that are read or stored, which is the executor's part: it
  resolves ATTRIBUTE and STORE steps once for each type version.

An executor *leaves* a plan by calling the function as if there had been no plan. It may do so
at any step that only loads, since nothing has happened by then: when a value is not what a step
demands, an attribute is missing or would run code (a property, ``__getattr__``), a global is
unset or a lazy import, a test is on a value whose truth would run code. Errors are therefore
always raised by the function itself.

The step array
--------------
``steps`` is a sequence of records of four 16-bit numbers, (kind, a, b, c). The number of a step
is also the number of the value that it yields; operands always refer to earlier steps. Control
flow is a tree: a BRANCH goes on with the next step when its test holds, and to step ``c``
otherwise; paths never join, so whatever a step refers to has been run. ``operands`` holds the
lists of value numbers of displays and returns, ``names`` interned strings, ``constants`` the
very objects of the code.

=============== ========================================================== =====================
kind            yields                                                     leaves the plan if
=============== ========================================================== =====================
OBJECT          the object being reduced
PROTOCOL        the protocol asked for
BOUND           argument *a* bound by a method or a partial
BOUND_KEYWORD   keyword argument *names[a]* bound by a partial             not bound any more
DEFAULT         default of parameter *a* of function *b*                   it has none any more
CONSTANT        *constants[a]*
GLOBAL          *names[a]* in the globals, then builtins, of function *b*  unset; lazy import
CELL            contents of closure cell *a* of function *b*               empty
ATTRIBUTE       attribute *names[b]* of value *a*                          absent; runs code
ATTRIBUTE_OR    the same, and value *c* where it is absent                 runs code
TYPE            the type of value *a*
FRESH           value *a*, called without arguments                        not list, dict, set
ITEM            item *constants[b]* of value *a*                           no exact dict or
                                                                           tuple; not in it
ITEM_OR         the same, and value *c* where it is not in the dict        no exact dict
ITEM_OR_NEW     the same, and a new dict, with *c* a new list              no exact dict
TUPLE           the values *operands[a:a+b]* as a new tuple
LIST            the same as a new list
DICT            a new dict of *b* pairs of values, *operands[a:a+2\\*b]*    key is no exact str
DICT_COPY       a copy of value *a*                                        no dict of str keys
FILTER          the same with the pairs that pass test *b* against value   the same, or the
                *c*: FILTER_TESTS[b // 2], or with an odd *b* its negation  test would run code
POP             item *constants[b]* of value *a*, a dict that the plan     not in it
                has made, which it takes out
POP_OR          the same, and value *c* where it is not in it
TEXT            ``str()`` of value *a*, or ``format()`` if *b*             no exact str, int,
                                                                           float, bool, None
JOIN            the values *operands[a:a+b]*, one behind the other         not all are exact str
LENGTH          ``len()`` of value *a*                                     no exact container
SEQUENCE        value *a* as a new list, or as a tuple if *b*              no exact container
CALL            *constants[a]*, called with the values *operands[b:b+c]*   not all are atoms;
                                                                           it raises
CALL_METHOD     method *names[a]* of the first of *operands[b:b+c]*,       not all are atoms;
                called with the others                                     it raises
ISINSTANCE      whether value *a* is an instance of value *b*              others are asked
ISSUBCLASS      whether value *a* is a subclass of value *b*               others are asked
CONTAINS        whether value *a* is in value *b*                          others are asked
EQUAL           whether value *a* equals value *b*                         others are asked
FIND            item *b*, a value, of value *a*; value *c* where it is     no exact dict; others
                not in it                                                  are asked
METHOD          the function that value *a* has as a method, *names[b]*;   another kind of
                in a staticmethod if *c*                                   method; hidden
SUPER_METHOD    the function that super(value *a*, value *b*) has as a     no function, or
                method, *names[c]*                                         Pickler's own method
EXPECT          nothing                                                    a is not constants[b]
EXPECT_OWN      nothing                                                    a is not our own
                                                                           Pickler.persistent_id
FOLLOW          nothing; function *c* of what follows is value *a*         not of constants[b]()
BRANCH_TRUE     nothing; tests the truth of value *a*                      truth would run code
BRANCH_IS       nothing; tests whether value *a* is value *b*
RETURN          end: the reduce value has the parts *operands[a:a+b]*
RETURN_VALUE    end: value *a* is the reduce value, checked as any other
LEAVE           end: this path is not understood                           always
NEW             the object being made
CLASS           the class being called
ARGUMENT        positional argument *a* of the call; if there are fewer,   it has none any more
                the default of parameter *b* of function 0
EXPECT_CLASS    nothing                                                    a is not cls.__mro__[b]
EXPECT_SIZE     nothing                                                    a is not a tuple of b
PUT             nothing; ``a[constants[b]] = c``, a dict that the plan
                has made
STORE           nothing; ``new.names[a] = value b``                        not a plain store
STORE_GENERIC   the same by ``object.__setattr__``                         not a plain store
STORE_ITEM      nothing; ``new.__dict__[constants[a]] = value b``          no plain ``__dict__``
STORE_DICT      nothing; ``new.__dict__ = value a``, by ``setattr`` if     no plain ``__dict__``
                *b*, else by ``object.__setattr__``                        or dict
UPDATE          nothing; ``new.__dict__.update(value a)``                  the same
RETURN_NEW      end of an ``__init__`` or a ``__setstate__``
RETURN_TUPLE    end of a ``__new__``: ``tuple.__new__(cls, …)`` of
                *operands[a:a+b]*
RETURN_CALL     end of a factory: value *a* is called. *operands[b]* is    callee has no plan
                the number of positional values and *operands[b+1]* of
                keyword pairs (name, value), which follow
=============== ========================================================== =====================

Hooks of a pickler are read for one thing alone, what they return whatever the object is, if it has
a certain type. Their plans have ISINSTANCE, ISSUBCLASS and FOLLOW, and the operands of these and
of CONTAINS and EQUAL may be a TUPLE that is never made; the paths that are not understood are cut
down to LEAVE. In other plans CONTAINS is of a str and a container of such, EQUAL of two atoms.
FIND, METHOD and SUPER_METHOD are of hooks alone, too: which function a method is depends on the
pickler, so that the plan is left where it is another one than for the pickler of the reading.
Of what a plan loads, only dicts of its own making change, which nobody else sees before it ends.
In the plan of a ``__setstate__`` NEW is the object, which exists and has no attributes, and
argument 0 is the state. Loops over a tuple of names are unrolled in it, so that it belongs to one
function, and to others with the same code only where no cell is read.

An executor runs every loading step of a path before the first thing that could be noticed; STORE
steps are collected until the path has ended, so that leaving never abandons half an object.

How C reaches its figures: when a plan has no BRANCH, the executor binds it to a type version once:
each OBJECT attribute becomes the place of a slot or of an inline value, and a RETURN whose second
part is a TUPLE of such places, constants and live globals is written without a tuple being made.
GLOBAL, CELL and EXPECT hold until foreign code runs, so that they cost once an epoch and not once
an object. Other plans run step by step on an array of values.
"""

import functools
import sys
import types
import weakref
from collections import namedtuple

from ._compiler.bytecode import Reading, Unit, check_globals
from ._compiler.functions import (
    address_of,
    code_of,
    defaults_of,
    is_own_hook,
    keyword_defaults_of,
)
from ._compiler.pure import PURE_FUNCTIONS, PURE_METHODS
from ._compiler.steps import (
    ARGUMENT,
    ATTRIBUTE,
    ATTRIBUTE_OR,
    BOUND,
    BOUND_KEYWORD,
    BRANCH_IS,
    BRANCH_TRUE,
    CALL,
    CALL_METHOD,
    CELL,
    CLASS,
    CONSTANT,
    CONTAINS,
    DEFAULT,
    DICT,
    DICT_COPY,
    EQUAL,
    EXPECT,
    EXPECT_CLASS,
    EXPECT_OWN,
    EXPECT_SIZE,
    FILTER,
    FILTER_TESTS,
    FIND,
    FOLLOW,
    FRESH,
    ISINSTANCE,
    ISSUBCLASS,
    ITEM,
    ITEM_OR,
    ITEM_OR_NEW,
    JOIN,
    KINDS,
    LEAVE,
    LENGTH,
    LIST,
    METHOD,
    NEW,
    OBJECT,
    PAIR_KEY,
    PAIR_VALUE,
    POP,
    POP_OR,
    PROTOCOL,
    PUT,
    RETURN,
    RETURN_CALL,
    RETURN_NEW,
    RETURN_TUPLE,
    RETURN_VALUE,
    SEQUENCE,
    STORE,
    STORE_DICT,
    STORE_GENERIC,
    STORE_ITEM,
    SUPER_METHOD,
    TEXT,
    TUPLE,
    TYPE,
    UNKNOWN,
    UPDATE,
    Called,
    Method,
    NewDict,
    Not,
    Pairs,
    PairTest,
    Refused,
    SetAttribute,
    Super,
    SuperMethod,
    SuperOf,
)

__all__ = [
    "KINDS",
    "ConstructorPlan",
    "ReducerPlan",
    "Refusal",
    "compile_constructor",
    "compile_getstate",
    "compile_hook",
    "compile_reducer",
    "compile_setstate",
]

# As many as there is room for in plan_answer.c.
_MAX_FUNCTIONS = 12

_CAN_READ = sys.implementation.name == "cpython" and (3, 11) <= sys.version_info < (3, 16)
_VERDICTS_KEPT = 4096
_verdicts: dict[tuple, tuple[weakref.ref, object]] = {}


class Refusal(namedtuple("Refusal", "reason line", defaults=(None,))):
    """Why a function is called and has no plan: the reason, and the line of source it is in."""

    __slots__ = ()

    def __str__(self):
        return self.reason if self.line is None else f"{self.reason} (line {self.line})"


class ReducerPlan(namedtuple("ReducerPlan", "steps operands names constants leaves")):
    """What a reducer does, as the steps that the module's documentation describes.

    ``leaves`` holds a :class:`Refusal` for each path that is called and not run.
    """

    __slots__ = ()


class ConstructorPlan(
    namedtuple("ConstructorPlan", (*ReducerPlan._fields, "required", "accepted", "functions"))
):
    """What a constructor does with *required* to *accepted* positional arguments.

    ``functions`` says where the functions that the steps name are: for a class, pairs (index into
    its ``__mro__``, name of the attribute) of each that was read; for a function, nothing.
    """

    __slots__ = ()


def compile_reducer(reducer, arguments=1):
    """Return the plan of *reducer*, a :class:`ReducerPlan`, or the :class:`Refusal` to make one.

    *reducer* is what a dispatch table holds, or a class's ``__reduce__``, or with *arguments* 2
    its ``__reduce_ex__``: a function, a bound method, or a partial of such. Raises nothing of its
    own; never calls *reducer*, and keeps neither it nor its code alive.
    """
    return _compile(_ReducerReading, reducer, arguments)


def compile_hook(hook):
    """Return the plan of *hook*, a :class:`ReducerPlan`, or the :class:`Refusal` to make one.

    *hook* is what a pickler has as ``persistent_id`` or ``reducer_override``. The plan is good for
    what it returns by the type of the object alone. Raises nothing of its own; never calls *hook*.
    """
    bound = (hook.__self__,) if type(hook) is types.MethodType else ()
    return _compile(_HookReading, hook, 1, bound)


def _compile(reading, reducer, arguments, *more):
    if not _CAN_READ:
        return Refusal("this interpreter's bytecode is not read")
    try:
        function, bound, keywords = _unwrap(reducer)
    except Refused as refused:
        return Refusal(refused.reason)
    key = (address_of(code_of(function)), reading, bound, keywords, arguments)
    given = reading, function, bound, keywords, arguments, *more
    return _remembered(key, function, _read_reducer, *given)


def compile_constructor(constructor):
    """Return the plan of *constructor*, a :class:`ConstructorPlan`, or the :class:`Refusal`.

    *constructor* is what a reduction calls: a class whose ``__init__`` only stores its arguments,
    a named tuple's class, or a function that only calls such a class. The plan of a class holds
    as long as the class's type version does. Raises nothing of its own, calls nothing.
    """
    if not _CAN_READ:
        return Refusal("this interpreter's bytecode is not read")
    try:
        if isinstance(constructor, type):
            return _read_class(constructor)
        function, bound, keywords = _unwrap(constructor)
        if bound or keywords:
            raise Refused("a constructor with bound arguments is called")
    except Refused as refused:
        return Refusal(refused.reason, refused.line)
    key = (address_of(code_of(function)), "factory")
    return _remembered(key, function, _read_factory, function)


def compile_setstate(function):
    """Return what *function*, a class's ``__setstate__``, does; or the :class:`Refusal` to say it.

    True if that is ``self.__dict__.update(state)`` and nothing else, False if it is
    ``self.__dict__ = state``; else a :class:`ReducerPlan`, which ends in RETURN_NEW. The plan is
    this function's only: loops over what its cells hold are unrolled in it. Raises nothing of its
    own, calls nothing.
    """
    return _compile_of_state("setstate", function, _read_setstate)


def compile_getstate(function):
    """Return the plan of *function*, a class's ``__getstate__``; or the :class:`Refusal`.

    The plan, a :class:`ReducerPlan`, gives the state as a reduce value, and is this function's
    only. Raises nothing of its own, calls nothing.
    """
    return _compile_of_state("getstate", function, _read_getstate)


def _compile_of_state(what, function, read):
    if not _CAN_READ:
        return Refusal("this interpreter's bytecode is not read")
    if type(function) is not types.FunctionType:
        return Refusal(f"{_described(function)} is not a Python function")
    try:
        check_globals(function)
    except Refused as refused:
        return Refusal(refused.reason)
    if function.__closure__ is None:
        return _remembered((address_of(code_of(function)), what), function, read, function)
    try:
        return read(function)
    except Refused as refused:
        return Refusal(refused.reason, refused.line)


def _unwrap(function):
    """Take the function out of methods and partials: (function, bound count, keyword names)."""
    bound = 0
    keywords = ()
    while True:
        kind = type(function)
        if kind is types.FunctionType:
            check_globals(function)
            return function, bound, keywords
        if kind is types.MethodType:
            bound += 1
            function = function.__func__
        elif kind is functools.partial:
            bound += len(function.args)
            keywords += tuple(name for name in function.keywords if name not in keywords)
            if getattr(functools, "Placeholder", keywords) in function.args:
                raise Refused("a partial with a placeholder")
            function = function.func
        else:
            raise Refused(f"{_described(function)} is not a Python function")


def _described(function):
    name = getattr(function, "__qualname__", None)
    return name or f"an object of type {type(function).__name__}"


def _remembered(key, function, read, *arguments):
    """The verdict given earlier on this very code object, or the one that *read* gives now."""
    known = _verdicts.get(key)
    code = code_of(function)
    if known is not None and known[0]() is code:
        return known[1]
    try:
        verdict = read(*arguments)
    except Refused as refused:
        verdict = Refusal(refused.reason, refused.line)
    if len(_verdicts) >= _VERDICTS_KEPT:
        _verdicts.clear()
    _verdicts[key] = weakref.ref(code, lambda _, key=key: _verdicts.pop(key, None)), verdict
    return verdict


# Reducers

# What is not worth a try: the object itself, what it has by its class, and displays.
_NO_ATOMS = (OBJECT, TYPE, TUPLE, LIST, DICT, DICT_COPY, FRESH)


class _ReducerReading(Reading):
    """A reducer is called with *bound* arguments, then the object, then perhaps the protocol."""

    def __init__(self, bound, keywords, arguments):
        super().__init__()
        self.bound = bound
        self.keywords = keywords
        self.arguments = arguments

    def check_arguments(self, function):
        """Refuse a call that would fail for its number of arguments."""
        code = code_of(function)
        given = self.bound + self.arguments
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if given > code.co_argcount:
            raise Refused("takes fewer arguments than it is given", code.co_firstlineno)
        if not set(self.keywords) <= set(names[max(given, code.co_posonlyargcount) :]):
            raise Refused("is given a keyword that it does not take", code.co_firstlineno)
        for index in range(given, len(names)):
            if names[index] not in self.keywords and not _has_default(function, index):
                raise Refused(f"needs an argument {names[index]}", code.co_firstlineno)

    def parameter(self, index, frame):
        name = frame.unit.code.co_varnames[index]
        if index < self.bound:
            return self.read(BOUND, index)
        if index < self.bound + self.arguments:
            return self.read(OBJECT if index == self.bound else PROTOCOL)
        if name in self.keywords:
            return self.read(BOUND_KEYWORD, self.name_index(name))
        return self.read(DEFAULT, index, frame.number)

    def takes_default(self, index, frame):
        name = frame.unit.code.co_varnames[index]
        return index >= self.bound + self.arguments and name not in self.keywords

    def call(self, callee, arguments, keywords):
        value = self.pure_call(callee, arguments, keywords)
        if value is None and not keywords:
            value = self.call_of_atoms(callee, arguments)
        if value is None:
            raise Refused(f"calls {self.described(callee)}")
        return value

    # -- Calls that make a value of values; each is made anew, so that no step is another's --

    def call_of_atoms(self, callee, arguments):
        """The value number of a call that runs no code if it is of atoms; None for any other."""
        callee = self.module_attribute(callee)
        if type(callee) is Method:
            return self.method_of_atom(callee, arguments)
        target = self.resolved(callee)
        counts = next((most for pure, most in PURE_FUNCTIONS if pure is target), ())
        if len(arguments) not in counts:
            return None
        self.expect(callee, target)
        if target is str:
            return self.emit(TEXT, self.plain(arguments[0]), 0)
        if target is len:
            return self.emit(LENGTH, self.plain(arguments[0]))
        if target is tuple or target is list:
            return self.emit(SEQUENCE, self.plain(arguments[0]), int(target is tuple))
        return self.call_constant(target, arguments)

    def method_of_atom(self, method, arguments):
        """The value number of ``o.name.upper()``; None if the owner cannot be an atom."""
        owner, name = method
        known = self.resolved(owner)
        if type(owner) is not int or self.steps[owner][0] in _NO_ATOMS:
            return None
        if known is not UNKNOWN and type(known) not in (str, bytes):
            return None
        if len(arguments) not in PURE_METHODS.get(name, ()):
            return None
        first = self.add_operands([owner, *arguments])
        return self.emit(CALL_METHOD, self.name_index(name), first, len(arguments) + 1)

    def call_constant(self, function, arguments):
        first = self.add_operands(arguments)
        return self.emit(CALL, self.constant_index(function), first, len(arguments))

    def format(self, value, spec=None):
        if spec is None:
            return self.emit(TEXT, self.plain(value), 1)
        return self.call_constant(format, [value, spec])

    def convert(self, value, conversion):
        if conversion == 1:
            return self.emit(TEXT, self.plain(value), 0)
        return self.call_constant(repr if conversion == 2 else ascii, [value])

    def join(self, values):
        return self.display(JOIN, values)

    def end(self, value):
        value = self.plain(value)
        kind, first, count, _ = self.steps[value]
        if kind != TUPLE or value != len(self.steps) - 1:
            self.emit(RETURN_VALUE, value)
            return
        if not 2 <= count <= 6:
            raise Refused(f"returns a tuple of {count}")
        self.steps.pop()
        self.emit(RETURN, first, count)


class _HookReading(_ReducerReading):
    """A hook is read for what it returns by the type of the object, and functions that it calls.

    A followed function is known by its code, so that each call of the outer one may have another
    function: one that was made anew by a ``def`` in a function. *values* are what a method is
    bound to, in which the methods are looked up that it calls.
    """

    def __init__(self, bound, keywords, arguments, values):
        super().__init__(bound, keywords, arguments)
        self.values = values
        self.tail = 0  # where the steps begin that only the path at hand has

    # -- The object, of which only the type is known --

    def check_at_hand(self, *values):
        """Refuse the path if it looks at the object itself."""
        if any(type(value) is int and self.steps[value][0] == OBJECT for value in values):
            raise Refused("looks at the object")

    def load_attribute(self, owner, name):
        if name != "__class__":
            self.check_at_hand(owner)
        return super().load_attribute(owner, name)

    def contains(self, container, value):
        self.check_at_hand(container, value)
        return self.read(CONTAINS, value, container)

    def match(self, value, cls):
        """A class pattern takes a class and nothing else, which ISSUBCLASS demands."""
        self.check_at_hand(cls)
        self.read(ISSUBCLASS, cls, cls)
        return self.read(ISINSTANCE, value, cls)

    def set_to_search(self, values):
        return self.display(TUPLE, values)

    def equal(self, value, other):
        self.check_at_hand(value, other)
        return self.read(EQUAL, value, other)

    def emit(self, kind, a=0, b=0, c=0):
        if kind in (ATTRIBUTE_OR, FRESH, LIST, DICT) or TEXT <= kind <= CALL_METHOD:
            raise Refused("does more than to look at the type")
        return super().emit(kind, a, b, c)

    def end(self, value):
        if type(value) is int and self.steps[value][0] == TUPLE:
            raise Refused("returns what is made for the object")
        super().end(value)

    # -- Paths --

    def branch(self, test, when_true, when_false):
        self.check_at_hand(test)
        count = len(self.steps)
        super().branch(test, when_true, when_false)
        if len(self.steps) != count:
            self.tail = len(self.steps)

    def follow(self):
        self.tail = len(self.steps)
        super().follow()

    def abandon(self):
        del self.steps[self.tail :]

    def run(self, frame):
        super().run(frame)
        dead = [True] * len(self.steps)
        for number, (kind, _, _, other) in reversed(list(enumerate(self.steps))):
            if kind != LEAVE:
                goes_on = kind not in (RETURN, RETURN_VALUE)
                tests = kind in (BRANCH_TRUE, BRANCH_IS)
                dead[number] = goes_on and dead[number + 1] and (not tests or dead[other])
        steps, self.steps = self.steps, []
        self.prune(steps, dead, 0, {})

    def prune(self, steps, dead, number, renumbered):
        """Emit *steps* from *number* on again, without those that only lead to LEAVE."""
        while not dead[number]:
            kind, *fields = steps[number]
            for place in range(_VALUES_OF.get(kind, 0)):
                fields[place] = renumbered[fields[place]]
            if kind == TUPLE:
                operands = self.operands[fields[0] : fields[0] + fields[1]]
                fields[0] = self.add_operands([renumbered[each] for each in operands])
            renumbered[number] = emitted = self.emit(kind, *fields)
            if kind in (RETURN, RETURN_VALUE):
                return
            number += 1
            if kind in (BRANCH_TRUE, BRANCH_IS):
                self.prune(steps, dead, number, renumbered)
                other = fields[2]
                fields[2] = len(self.steps)
                self.steps[emitted] = (kind, *fields)
                number = other
        self.emit(LEAVE)

    # -- Calls --

    def parameter(self, index, frame):
        if frame.number:
            return self.read(DEFAULT, index, frame.number)
        return super().parameter(index, frame)

    def takes_default(self, index, frame):
        return frame.number != 0 or super().takes_default(index, frame)

    def number_function(self, function):
        """Each call has a number of its own: what is called next time need not be the same."""
        if len(self.functions) == _MAX_FUNCTIONS:
            raise Refused(f"more than {_MAX_FUNCTIONS} calls")
        self.functions.append(function)
        return len(self.functions) - 1

    def load_method(self, owner, name):
        if type(owner) is SuperOf:
            return Method(owner, name)
        return super().load_method(owner, name)

    def super_of(self, values, frame):
        """``super()`` means the class in the cell ``__class__`` and the first parameter."""
        given = _given_to_super(self, values, frame)
        self.check_at_hand(*given)
        return SuperOf(*map(self.plain, given))

    def call(self, callee, arguments, keywords):
        if type(callee) is Method:
            if callee.name == "get" and type(self.resolved(callee.owner)) is dict:
                return self.find(callee.owner, arguments, keywords)
            callee, first = self.bind(callee)
            arguments = [*first, *arguments]
        target = self.resolved(callee)
        if type(target) is types.MethodType:
            self.expect(self.read(TYPE, callee), types.MethodType)
            arguments = [self.attribute(callee, "__self__"), *arguments]
            callee, target = self.attribute(callee, "__func__"), target.__func__
        for kind, builtin in ((ISINSTANCE, isinstance), (ISSUBCLASS, issubclass)):
            if target is builtin and len(arguments) == 2 and not keywords:
                self.check_at_hand(*arguments[kind == ISINSTANCE :])
                self.expect(callee, builtin)
                return self.read(kind, *map(self.plain, arguments))
        if target is super:
            return self.super_of([callee, *arguments], self.frame)
        if is_own_hook(target):
            self.emit(EXPECT_OWN, callee)
            return self.constant(None)
        if type(target) is types.FunctionType:
            return self.follow_call(callee, target, arguments, keywords)
        return super().call(callee, arguments, keywords)

    def follow_call(self, callee, target, arguments, keywords):
        code = code_of(target)
        if any(frame.unit.code is code for frame in self.path.frames):
            raise Refused(f"calls itself in {self.described(callee)}")
        values = _bind_arguments(target, arguments, keywords)
        frame = self.enter(Unit(code), target, values)
        # The plan keeps no code alive but its own, which may be what the other one makes.
        self.emit(FOLLOW, callee, self.constant_index(weakref.ref(code)), frame.number)
        self.path.frames.append(frame)
        self.read_defaults(frame)
        return None

    def find(self, container, arguments, keywords):
        """``{…}.get(type(obj))``."""
        if keywords or len(arguments) not in (1, 2):
            raise Refused("calls get() with other arguments")
        self.check_at_hand(*arguments)
        key, *default = map(self.plain, arguments)
        return self.read(FIND, container, key, *(default or [self.constant(None)]))

    # -- Methods --

    def bind(self, method):
        """The value of the function that *method* means, and what it is given first."""
        owner, name = method
        if type(owner) is SuperOf:
            return self.read(SUPER_METHOD, *owner, self.name_index(name)), [owner.owner]
        known = self.resolved(owner)
        if known is UNKNOWN:
            return method, []
        if issubclass(type(known), (types.ModuleType, type)):
            return self.attribute(owner, name), []
        if _of_instance(known, name) is UNKNOWN:
            found = _raw_attribute(type(known), name)[1]
            if type(found) is types.FunctionType:
                return self.read(METHOD, owner, self.name_index(name)), [owner]
            if type(found) is staticmethod:
                return self.read(METHOD, owner, self.name_index(name), 1), []
        return self.attribute(owner, name), []

    def resolved(self, value):
        if type(value) is not int:
            return UNKNOWN
        kind, a, b, c = self.steps[value]
        if kind == BOUND:
            return self.values[a] if a < len(self.values) else UNKNOWN
        if kind == METHOD:
            found = _raw_attribute(type(self.resolved(a)), self.names[b])[1]
            return found.__func__ if c else found
        if kind == SUPER_METHOD:
            cls, owner = self.resolved(a), self.resolved(b)
            index = _position(type(owner), cls)
            if index is None:
                return UNKNOWN
            return _raw_attribute(type(owner), self.names[c], index + 1)[1]
        if kind == ATTRIBUTE:
            return self.resolved_attribute(self.resolved(a), self.names[b])
        return super().resolved(value)

    def resolved_attribute(self, owner, name):
        if owner is UNKNOWN:
            return UNKNOWN
        if type(owner) is types.ModuleType:
            return vars(owner).get(name, UNKNOWN)
        if issubclass(type(owner), type):
            return _raw_attribute(owner, name)[1]
        if type(owner) is types.MethodType:
            return {"__func__": owner.__func__, "__self__": owner.__self__}.get(name, UNKNOWN)
        found = _of_instance(owner, name)
        return _raw_attribute(type(owner), name)[1] if found is UNKNOWN else found

    def leave_frame(self, value):
        frames = self.path.frames
        if len(frames) == 1:
            super().leave_frame(value)
        else:
            frames.pop()
            frames[-1].stack.append(value)


def _given_to_super(reading, values, frame):
    """The class and the object of a call of ``super``, which is the first of *values*.

    Without arguments they are the class in the cell ``__class__`` and the first parameter.
    """
    called, *given = values
    if reading.resolved(called) is not super:
        raise Refused("super is not the builtin")
    reading.expect(called, super)
    if not given:
        freevars = frame.unit.code.co_freevars
        if "__class__" not in freevars or not frame.unit.code.co_argcount:
            raise Refused("uses super() outside of a class")
        first = frame.locals[0]
        if first == ~0:
            first = reading.parameter(0, frame)
        given = reading.read(CELL, freevars.index("__class__"), frame.number), first
    if len(given) != 2:
        raise Refused("super() of a class alone")
    return given


def _of_instance(owner, name):
    """What *owner* itself has under *name*, in its ``__dict__`` or a slot; nobody is asked."""
    _, found = _raw_attribute(type(owner), name)
    if type(found) is types.MemberDescriptorType:
        try:
            return found.__get__(owner)
        except AttributeError:  # It is not set.
            return UNKNOWN
    _, descriptor = _raw_attribute(type(owner), "__dict__")
    if type(descriptor) is not types.GetSetDescriptorType:
        return UNKNOWN
    names = descriptor.__get__(owner)
    return names.get(name, UNKNOWN) if type(names) is dict else UNKNOWN


# How many of the fields of a step are numbers of values, in the plan of a hook.
_VALUES_OF = {
    ATTRIBUTE: 1,
    TYPE: 1,
    ISINSTANCE: 2,
    ISSUBCLASS: 2,
    CONTAINS: 2,
    EQUAL: 2,
    FIND: 3,
    METHOD: 1,
    SUPER_METHOD: 2,
    EXPECT: 1,
    EXPECT_OWN: 1,
    FOLLOW: 1,
    BRANCH_TRUE: 1,
    BRANCH_IS: 2,
    RETURN_VALUE: 1,
}


def _bind_arguments(function, arguments, keywords):
    """The parameters of *function*, called with these; None for a default."""
    code = code_of(function)
    names = code.co_varnames[: _parameter_count(code)]
    values = list(arguments)
    if len(values) > code.co_argcount:
        raise Refused(f"passes too many arguments to {code.co_name}")
    values += [None] * (len(names) - len(values))
    for name, value in keywords:
        index = names.index(name) if name in names[code.co_posonlyargcount :] else None
        if index is None or values[index] is not None:
            raise Refused(f"passes {name} to {code.co_name}, which does not take it")
        values[index] = value
    for index, value in enumerate(values):
        if value is None and not _has_default(function, index):
            raise Refused(f"does not pass {names[index]} to {code.co_name}")
    return values


def _read_reducer(make_reading, function, bound, keywords, arguments, *more):
    reading = make_reading(bound, keywords, arguments, *more)
    unit = Unit(code_of(function))
    reading.check_arguments(function)
    reading.run(reading.enter(unit, function, [None] * _parameter_count(unit.code)))
    return ReducerPlan(*_common_parts(reading))


def _parameter_count(code):
    return code.co_argcount + code.co_kwonlyargcount


def _has_default(function, index):
    code = code_of(function)
    if index < code.co_argcount:
        return index >= code.co_argcount - len(defaults_of(function))
    return code.co_varnames[index] in keyword_defaults_of(function)


def _common_parts(reading):
    leaves = tuple(Refusal(leaf.reason, leaf.line) for leaf in reading.leaves)
    return (
        tuple(reading.steps),
        tuple(reading.operands),
        tuple(reading.names),
        tuple(reading.constants),
        leaves,
    )


# Constructors


class _ConstructorReading(Reading):
    """What factories and classes have in common: positional arguments, from *first* on."""

    def __init__(self, first):
        super().__init__()
        self.first = first

    def accepted_arguments(self, function):
        """(required, accepted) numbers of positional arguments of *function*, self left out."""
        code = code_of(function)
        for index in range(code.co_argcount, _parameter_count(code)):
            if not _has_default(function, index):
                raise Refused(f"needs a keyword {code.co_varnames[index]}", code.co_firstlineno)
        accepted = code.co_argcount - self.first
        if accepted < 0:
            raise Refused("takes no argument for the object", code.co_firstlineno)
        return max(accepted - len(defaults_of(function)), 0), accepted

    def parameter(self, index, frame):
        if frame.number or index >= frame.unit.code.co_argcount:
            return self.read(DEFAULT, index, frame.number)
        return self.read(ARGUMENT, index - self.first, index)

    def takes_default(self, index, frame):
        return _has_default(frame.function, index)

    def plan(self, function, functions=()):
        unit = Unit(code_of(function))
        required, accepted = self.accepted_arguments(function)
        self.run(self.enter(unit, function, [None] * _parameter_count(unit.code)))
        return ConstructorPlan(*_common_parts(self), required, accepted, tuple(functions))


class _FactoryReading(_ConstructorReading):
    """A function that only calls a class."""

    def call(self, callee, arguments, keywords):
        callee = self.module_attribute(callee)
        value = self.pure_call(callee, arguments, keywords)
        return Called(callee, arguments, keywords) if value is None else value

    def end(self, value):
        if type(value) is not Called or type(value.callee) is not int:
            raise Refused("does not end in the call of a class")
        operands = [len(value.arguments), len(value.keywords)]
        operands += [self.plain(argument) for argument in value.arguments]
        for name, argument in value.keywords:
            operands += [self.name_index(name), self.plain(argument)]
        self.emit(RETURN_CALL, value.callee, len(self.operands))
        self.operands += operands


def _read_factory(function):
    return _FactoryReading(0).plan(function)


class _NewReading(_ConstructorReading):
    """A ``__new__`` that only calls ``tuple.__new__``, as named tuples' do."""

    def parameter(self, index, frame):
        if index == 0:
            return self.read(CLASS)
        return super().parameter(index, frame)

    def call(self, callee, arguments, keywords):
        value = self.pure_call(callee, arguments, keywords)
        return Called(callee, arguments, keywords) if value is None else value

    def end(self, value):
        if type(value) is not Called:
            raise Refused("does not end in tuple.__new__")
        cls, items = value.arguments if len(value.arguments) == 2 else (None, None)
        if value.keywords or not self.is_class(cls) or type(items) is not int:
            raise Refused(f"calls {self.described(value.callee)}")
        kind, first, count, _ = self.steps[items]
        if kind != TUPLE or items != len(self.steps) - 1:
            raise Refused("its items are no tuple display")
        self.steps.pop()
        self.expect_tuple_new(value.callee)
        self.emit(RETURN_TUPLE, first, count)

    def expect_tuple_new(self, callee):
        """`tuple.__new__` by a name of its own, as named tuples have it, or as it stands."""
        if type(callee) is Method and callee.name == "__new__":
            if self.resolved(callee.owner) is tuple:
                return self.expect(callee.owner, tuple)
        elif self.resolved(callee) is tuple.__new__:
            return self.expect(callee, tuple.__new__)
        raise Refused(f"calls {self.described(callee)}")

    def is_class(self, value):
        return type(value) is int and self.steps[value][0] == CLASS


class _InitReading(_ConstructorReading):
    """An ``__init__`` of *cls* that stores, and the ``__init__`` of its bases that it calls."""

    def __init__(self, cls, index):
        super().__init__(1)
        self.cls = cls
        self.functions_at = [(index, "__init__")]

    def parameter(self, index, frame):
        if index == 0 and frame.number == 0:
            return self.read(NEW)
        return super().parameter(index, frame)

    def plain(self, value):
        if self.is_new(value):
            raise Refused("uses the object before it is made")
        if type(value) in (NewDict, SetAttribute):
            raise Refused("uses the object's __dict__ or __setattr__ as a value")
        return super().plain(value)

    def is_new(self, value):
        return type(value) is int and self.steps[value][0] == NEW

    def end(self, value):
        if self.constant_of(value) is not None:
            raise Refused("__init__ returns something")
        self.emit(RETURN_NEW)

    # -- Attributes of the object being made --

    def load_attribute(self, owner, name):
        if not self.is_new(owner):
            return super().load_attribute(owner, name)
        _check_load(self.cls, name)
        if name == "__class__":
            return self.read(CLASS)
        if name == "__dict__":
            return NewDict()
        value = self.path.stored.get(name)
        if value is None:
            raise Refused(f"reads self.{name} without having stored it")
        return value

    def load_method(self, owner, name):
        if self.is_new(owner):
            raise Refused(f"calls self.{name}")
        if type(owner) is Super:
            return SuperMethod(name, owner.index)
        if type(owner) is NewDict:
            raise Refused(f"calls self.__dict__.{name}")
        return super().load_method(owner, name)

    def store_attribute(self, owner, name, value):
        if not self.is_new(owner):
            raise Refused("stores an attribute of another object")
        if _raw_attribute(self.cls, "__setattr__")[1] is not object.__setattr__:
            raise Refused("its class has a __setattr__ of its own")
        self.store(STORE, name, value)

    def store(self, kind, name, value):
        _check_store(self.cls, name)
        self.emit(kind, self.name_index(name), self.plain(value))
        self.path.stored[name] = value

    def store_item(self, container, key, value):
        if type(container) is not NewDict or type(key) is not str:
            raise Refused("stores an item")
        if not _dictoffset_of(self.cls):
            raise Refused("its class has no __dict__")
        self.emit(STORE_ITEM, self.constant_index(key), self.plain(value))
        self.path.stored.pop(key, None)

    # -- Calls --

    def call(self, callee, arguments, keywords):
        if type(callee) is SetAttribute:
            return self.set_attribute(arguments, keywords)
        if type(callee) is SuperMethod and callee.name == "__init__":
            return self.call_init(callee.index + 1, arguments, keywords)
        if type(callee) is Method:
            return self.call_of_class(callee, arguments, keywords)
        target = self.resolved(callee)
        if target is super:
            self.expect(callee, super)
            return self.super_of([callee, *arguments], self.frame)
        if target is type and len(arguments) == 1 and self.is_new(arguments[0]):
            self.expect(callee, type)
            return self.read(CLASS)
        if _binds_setattr(target) and len(arguments) == 1 and self.is_new(arguments[0]):
            self.expect(callee, target)
            return SetAttribute()
        value = self.pure_call(callee, arguments, keywords)
        if value is None:
            raise Refused(f"calls {self.described(callee)}")
        return value

    def call_of_class(self, method, arguments, keywords):
        """``object.__setattr__(self, name, value)`` or ``Base.__init__(self, …)``."""
        owner = self.resolved(method.owner)
        if arguments and self.is_new(arguments[0]):
            if owner is object and method.name == "__setattr__":
                self.expect(method.owner, object)
                return self.set_attribute(arguments[1:], keywords)
            if method.name == "__init__" and _position(self.cls, owner) is not None:
                index = self.expect_class(method.owner, owner)
                return self.call_init(index, arguments[1:], keywords)
        raise Refused(f"calls {self.described(method)}")

    def set_attribute(self, arguments, keywords):
        name = self.constant_of(arguments[0]) if len(arguments) == 2 else UNKNOWN
        if keywords or type(name) is not str:
            raise Refused("calls object.__setattr__ with a name that is not constant")
        self.store(STORE_GENERIC, name, arguments[1])
        return self.constant(None)

    def super_of(self, values, frame):
        """``super()`` means the class in the cell ``__class__`` and the first parameter."""
        cls, owner = _given_to_super(self, values, frame)
        if not self.is_new(owner):
            raise Refused("super() of another object")
        return Super(self.expect_class(cls, self.resolved(cls)))

    def expect_class(self, value, cls):
        """The place of *cls* in the ``__mro__``, which the plan demands that *value* has."""
        index = _position(self.cls, cls)
        if index is None:
            raise Refused("super() of a class that is no base")
        self.read(EXPECT_CLASS, value, index)
        return index

    def call_init(self, start, arguments, keywords):
        """Go on in the ``__init__`` that the ``__mro__`` has from *start* on."""
        index, found = _raw_attribute(self.cls, "__init__", start)
        if found is object.__init__:
            if arguments or keywords:
                raise Refused("passes arguments to object.__init__")
            return self.constant(None)
        if type(found) is not types.FunctionType:
            raise Refused(f"calls __init__ of {_qualname_of(_mro_of(self.cls)[index])}")
        frame = self.enter(
            Unit(code_of(found)),
            found,
            _bind_arguments(found, [self.read(NEW), *arguments], keywords),
        )
        if len(self.functions) > len(self.functions_at):
            self.functions_at.append((index, "__init__"))
        self.path.frames.append(frame)
        self.read_defaults(frame)
        return None


# The state of objects

# Rounds of loops that are followed in one reading, after which it takes too long.
_MAX_ROUNDS = 256


class _Unrolling:
    """Loops over a tuple of constants, which the plan demands to be that very one."""

    rounds = 0
    unrolls = False

    def iterate(self, value):
        self.unrolls = True
        known = self.resolved(value)
        if type(known) is not tuple or not all(type(each) in (str, int) for each in known):
            raise Refused("a loop")
        self.expect(value, known)
        return [self.constant(each) for each in known]

    def repeat(self):
        self.rounds += 1
        if self.rounds > _MAX_ROUNDS:
            raise Refused(f"more than {_MAX_ROUNDS} rounds of a loop")


# What may be asked of a state by isinstance(), which an exact dict decides.
_BUILTIN_CONTAINERS = (dict, tuple, list, set, frozenset, str, bytes)


class _GetStateReading(_Unrolling, _ReducerReading):
    """A ``__getstate__``: what it gives may be a dict that it has made, and then changed."""

    def call(self, callee, arguments, keywords):
        if type(callee) is Method and not keywords:
            found = self.call_of_dict(callee, arguments)
            if found is not None:
                return found
        elif self.resolved(callee) is dict and len(arguments) == 1 and not keywords:
            self.expect(callee, dict)
            return self.emit(DICT_COPY, self.plain(arguments[0]))
        elif self.resolved(callee) is vars and len(arguments) == 1 and not keywords:
            self.expect(callee, vars)
            return self.attribute(self.plain(arguments[0]), "__dict__")
        return super().call(callee, arguments, keywords)

    def load_method(self, owner, name):
        return Method(owner, name) if owner is PAIR_KEY else super().load_method(owner, name)

    def contains(self, container, value):
        """Asked each time: a dict of its own changes."""
        self.refuse_in_loop()
        return self.emit(CONTAINS, self.plain(value), self.plain(container))

    def equal(self, value, other):
        return self.read(EQUAL, self.plain(value), self.plain(other))

    def call_of_dict(self, method, arguments):
        """``self.__dict__.copy()`` and ``state.pop(name)``; None for another call."""
        if method.owner is PAIR_KEY and method.name in ("startswith", "endswith"):
            return self.test_of_affix(method.name, *arguments)
        if type(method.owner) is not int or self.resolved(method.owner) is not UNKNOWN:
            return None
        if method.name == "copy" and not arguments:
            return self.emit(DICT_COPY, method.owner)
        if method.name == "items" and not arguments:
            self.refuse_in_loop()
            return Pairs(method.owner)
        if method.name == "pop" and len(arguments) in (1, 2) and self.is_own_dict(method.owner):
            return self.pop_item(method.owner, self.constant_of(arguments[0]), *arguments[1:])
        return None

    def is_own_dict(self, value):
        """Whether the function has made the dict, so that nobody else sees it change."""
        return type(value) is int and self.steps[value][0] in (DICT, DICT_COPY, FILTER)

    def is_empty_display(self, value):
        """Whether *value* is ``{}``, to which nothing was added."""
        if type(value) is not int or value in self.path.stored:
            return False
        return self.steps[value][0::2] == (DICT, 0)

    def pop_item(self, container, key, default=None):
        key = self.changing(container, key)
        self.path.stored[container] = None
        if default is None:
            return self.emit(POP, container, key)
        return self.emit(POP_OR, container, key, self.plain(default))

    def changing(self, container, key):
        """The place of the key of a dict that changes: what a test of it said is old."""
        if not self.is_own_dict(container) or type(key) is not str:
            raise Refused("changes a value")
        self.refuse_in_loop()
        self.path.known.pop((BRANCH_TRUE, container, 0), None)
        return self.constant_index(key)

    def put(self, container, key, value):
        self.emit(PUT, container, self.changing(container, key), self.plain(value))
        pairs = self.path.stored.get(container, ())
        self.path.stored[container] = None if pairs is None else (*pairs, (key, value))

    def store_item(self, container, key, value):
        self.put(container, key, value)

    def delete_item(self, container, key):
        self.pop_item(container, key)

    def update_display(self, container, value):
        """``{**self.__dict__}``, or with other pairs behind it: a display, and what was put in."""
        kind, first, count, _ = self.steps[value]
        put = self.path.stored.get(value, ())
        if kind == DICT and put is not None:
            pairs = self.operands[first : first + 2 * count]
            for key, item in zip(pairs[::2], pairs[1::2], strict=True):
                self.put(container, self.constant_of(key), item)
            for key, item in put:
                self.put(container, key, item)
            return container
        if not self.is_empty_display(container):
            raise Refused("a display with *")
        return self.emit(DICT_COPY, value)

    # -- {k: v for k, v in self.__dict__.items() if not k.startswith("_")} --

    # The loop's body is followed once: self.path.stored has where it begins under "head", what a
    # pair has to pass under "tests", and then under "kept" the dict that it goes into.

    def next_pair(self, pairs):
        stored = self.path.stored
        if "tests" not in stored:
            stored["head"], stored["tests"] = self.frame.index - 1, ()
            return True
        container = stored.pop("kept", None)
        if container is None or self.is_used(container):
            raise Refused("a loop")
        number = pairs.value
        for kind, operand in stored.pop("tests") or ((None, None),):
            number = self.filtered(number, kind, operand)
        for frame in self.path.frames:
            for held in frame.locals, frame.stack:
                held[:] = [number if value == container else value for value in held]
        return False

    def is_used(self, container):
        """Whether another value may have it, by another name than those of locals."""
        keeps = (PUT, POP_OR, ATTRIBUTE_OR)
        return container in self.operands or any(
            step[0] in keeps and step[3] == container for step in self.steps
        )

    def refuse_in_loop(self):
        if "tests" in self.path.stored:
            raise Refused("a loop")

    def end(self, value):
        self.refuse_in_loop()
        super().end(value)

    def filtered(self, number, kind, operand):
        if kind is None:
            return self.emit(DICT_COPY, number)
        return self.emit(FILTER, number, kind, operand)

    def keep_pair(self, container, value):
        stored = self.path.stored
        fits = "tests" in stored and "kept" not in stored and value is PAIR_VALUE
        if not fits or not self.is_empty_display(container):
            raise Refused("a loop")
        stored["kept"] = container

    def test_of_pair(self, operator, part, value):
        kind = f"{'v' if part is PAIR_VALUE else 'k'} {operator}"
        if kind not in FILTER_TESTS:
            raise Refused("a loop")
        return PairTest(kind, value)

    def test_of_affix(self, name, affix=None, *others):
        if others or type(self.constant_of(affix)) is not str:
            raise Refused("a loop")
        return PairTest(f"k.{name}", affix)

    def branch(self, test, when_true, when_false):
        inverted, tested = False, test
        while type(tested) is Not:
            tested, inverted = tested.value, not inverted
        if tested is PAIR_VALUE:
            tested = PairTest("v", self.constant(None))
        if type(tested) is not PairTest:
            self.refuse_in_loop()
            super().branch(test, when_true, when_false)
            return
        goes_back = self.goes_back(when_true[0])
        if goes_back == self.goes_back(when_false[0]) or "kept" in self.path.stored:
            raise Refused("a loop")
        kind = 2 * FILTER_TESTS.index(tested.kind) + int(goes_back is not inverted)
        self.path.stored["tests"] += ((kind, tested.operand),)
        self.frame.index = (when_false if goes_back else when_true)[0]

    def goes_back(self, index):
        """Whether nothing is done from instruction *index* on but to take the next pair."""
        unit, head = self.frame.unit, self.path.stored.get("head")
        while unit.name_at(index) in ("NOT_TAKEN", "NOP"):
            index += 1
        if unit.name_at(index).startswith("JUMP_BACKWARD"):
            index = unit.target(index + 1, -unit.instructions[index][1])
        return index == head and "tests" in self.path.stored


def _read_getstate(function):
    return _read_reducer(_GetStateReading, function, 0, (), 1)


class _SetStateReading(_Unrolling, Reading):
    """A ``__setstate__`` that only stores, in the object, what it takes from the state."""

    def takes_default(self, index, frame):
        return False

    def parameter(self, index, frame):
        if index == 0:
            return self.read(NEW)
        return self.read(DEFAULT, index, 0) if index > 1 else self.read(ARGUMENT, 0, 1)

    def plain(self, value):
        if self.is_parameter(value, NEW):
            raise Refused("uses the object otherwise than to store")
        if type(value) in (NewDict, SetAttribute):
            raise Refused("uses the object's __dict__ or __setattr__ as a value")
        return super().plain(value)

    def is_parameter(self, value, kind):
        return type(value) is int and self.steps[value][0] == kind

    def end(self, value):
        if self.constant_of(value) is UNKNOWN:
            raise Refused("returns something")
        self.emit(RETURN_NEW)

    # -- Attributes of the object --

    def load_attribute(self, owner, name):
        if not self.is_parameter(owner, NEW):
            if self.is_parameter(owner, ARGUMENT):
                raise Refused(f"reads an attribute {name} of the state")
            if name == "__setattr__" and self.resolved(owner) is object:
                self.expect(owner, object)
                return self.constant(object.__setattr__)
            return super().load_attribute(owner, name)
        if name == "__dict__":
            return NewDict()
        value = self.path.stored.get(name)
        if value is None:
            raise Refused(f"reads self.{name} without having stored it")
        return value

    def load_method(self, owner, name):
        return Method(owner, name)

    def store_attribute(self, owner, name, value):
        if not self.is_parameter(owner, NEW):
            raise Refused("stores an attribute of another object")
        self.store(STORE, name, value)

    def store(self, kind, name, value):
        if name == "__class__":
            raise Refused("stores a class")
        if name == "__dict__":
            self.emit(STORE_DICT, self.plain(value), int(kind == STORE))
            self.path.stored = {"__dict__": value}
            return
        self.emit(kind, self.name_index(name), self.plain(value))
        self.path.stored[name] = value

    def read(self, kind, a=0, b=0, c=0):
        if kind in (ITEM, ITEM_OR, EXPECT_SIZE):
            self.check_state()
        return super().read(kind, a, b, c)

    def check_state(self):
        """Stores after that of a ``__dict__`` change what is in it, which may be the state."""
        if "__dict__" in self.path.stored:
            raise Refused("reads the state after it has become the __dict__")

    def store_item(self, container, key, value):
        if type(container) is not NewDict or type(key) is not str:
            raise Refused("stores an item")
        self.emit(STORE_ITEM, self.constant_index(key), self.plain(value))
        self.path.stored.pop(key, None)

    # -- Items of the state --

    def load_item(self, owner, key):
        if type(key) is not str and (type(key) is not int or key < 0):
            raise Refused("reads an item whose key is not constant")
        return self.read(ITEM, self.plain(owner), self.constant_index(key))

    def contains(self, container, value):
        """A test; in a loop, where there would be too many, another state is called."""
        self.check_state()
        if not self.unrolls:
            return self.read(CONTAINS, self.plain(value), self.plain(container))
        key = self.constant_of(value)
        if type(key) is not str:
            raise Refused("a membership test")
        self.load_item(container, key)
        return self.constant(True)

    def equal(self, value, other):
        return self.read(EQUAL, self.plain(value), self.plain(other))

    def unpack(self, value, count):
        self.read(EXPECT_SIZE, value, count)
        return [self.load_item(value, index) for index in range(count)]

    # -- Tests and loops --

    def branch(self, test, when_true, when_false):
        """A test whose outcome the plan demands is none."""
        inverted, value = False, test
        while type(value) is Not:
            value, inverted = value.value, not inverted
        known = self.constant_of(value)
        if self.is_parameter(value, CELL):
            known = self.resolved(value)
            if any(known is each for each in (None, False, True)):
                self.expect(value, known)
        if not any(known is each for each in (None, False, True)):
            if "__dict__" in self.path.stored:
                raise Refused("a test after a store of __dict__")
            super().branch(test, when_true, when_false)
            return
        index, popped = when_true if bool(known) is not inverted else when_false
        self.frame.index = index
        if popped:
            self.frame.stack.pop()

    # -- Calls --

    def call(self, callee, arguments, keywords):
        if keywords:
            raise Refused(f"calls {self.described(callee)}")
        if type(callee) is SetAttribute:
            return self.set_attribute(STORE_GENERIC, arguments)
        if type(callee) is Method:
            found = self.call_method(callee, arguments)
            if found is not None:
                return found
        callee = self.module_attribute(callee)
        target = self.resolved(callee)
        of_object = bool(arguments) and self.is_parameter(arguments[0], NEW)
        if of_object and (target is setattr or target is object.__setattr__):
            self.expect(callee, target)
            return self.set_attribute(STORE if target is setattr else STORE_GENERIC, arguments[1:])
        if of_object and len(arguments) == 1 and (target is vars or _binds_setattr(target)):
            self.expect(callee, target)
            return NewDict() if target is vars else SetAttribute()
        if target is isinstance and len(arguments) == 2:
            self.expect(callee, target)
            return self.test_of_type(*arguments)
        value = self.pure_call(callee, arguments, keywords)
        if value is None:
            raise Refused(f"calls {self.described(callee)}")
        return value

    def call_method(self, method, arguments):
        """``self.__dict__.update(…)``, ``state.get(…)``, ``object.__setattr__(self, …)``."""
        owner, name = method
        if type(owner) is NewDict:
            if name != "update" or len(arguments) != 1:
                raise Refused(f"calls self.__dict__.{name}")
            self.emit(UPDATE, self.plain(arguments[0]))
            own = self.path.stored.get("__dict__")
            self.path.stored = {} if own is None else {"__dict__": own}
            return self.constant(None)
        if type(owner) is not int:
            raise Refused(f"calls {self.described(method)}")
        target = self.resolved(owner)
        of_object = bool(arguments) and self.is_parameter(arguments[0], NEW)
        if of_object and target is object and name == "__setattr__":
            self.expect(owner, object)
            return self.set_attribute(STORE_GENERIC, arguments[1:])
        gets = target is object.__setattr__ and name == "__get__" and len(arguments) == 1
        if of_object and gets:
            self.expect(owner, target)
            return SetAttribute()
        if name == "get" and target is UNKNOWN and len(arguments) in (1, 2):
            return self.get_item(owner, *arguments)
        return None

    def set_attribute(self, kind, arguments):
        name = self.resolved(arguments[0]) if len(arguments) == 2 else UNKNOWN
        if type(name) is not str:
            raise Refused("calls setattr with a name that is not constant")
        if self.constant_of(arguments[0]) is UNKNOWN:
            self.expect(arguments[0], name)
        self.store(kind, sys.intern(name), arguments[1])
        return self.constant(None)

    def get_item(self, owner, key, default=None):
        name = self.resolved(key)
        if type(name) is not str:
            raise Refused("reads an item whose key is not constant")
        if self.constant_of(key) is UNKNOWN:
            self.expect(key, name)
        owner, key = self.plain(owner), self.constant_index(name)
        if self.is_new_container(default):
            self.check_state()
            kind = self.steps.pop()[0]
            return self.emit(ITEM_OR_NEW, owner, key, int(kind == LIST))
        default = self.constant(None) if default is None else self.plain(default)
        return self.read(ITEM_OR, owner, key, default)

    def is_new_container(self, value):
        """Whether *value* is an empty display, the last step, that has no other use."""
        if value != len(self.steps) - 1 or self.steps[value][0::2] not in ((DICT, 0), (LIST, 0)):
            return False
        return not any(value in (*frame.locals, *frame.stack) for frame in self.path.frames)

    def test_of_type(self, value, cls):
        """``isinstance(state, tuple)``, of a state that is an exact dict; another is called."""
        known = self.resolved(cls)
        if not any(known is each for each in _BUILTIN_CONTAINERS):
            raise Refused("calls isinstance")
        self.expect(cls, known)
        self.expect(self.read(TYPE, self.plain(value)), dict)
        return self.constant(known is dict)

    # -- The verdict --

    def verdict(self):
        """See compile_setstate()."""
        does = [step for step in self.steps if step[0] not in (NEW, ARGUMENT, CONSTANT)]
        if len(does) == 2 and does[1][0] == RETURN_NEW and self.is_parameter(does[0][1], ARGUMENT):
            if does[0][0] == UPDATE:
                return True
            if does[0][0] == STORE_DICT and does[0][2]:
                return False
        if not any(step[0] in _STORES for step in self.steps):
            raise Refused("does not store the state")
        return ReducerPlan(*_common_parts(self))


_STORES = (STORE, STORE_GENERIC, STORE_ITEM, STORE_DICT, UPDATE)


def _read_setstate(function):
    unit = Unit(code_of(function))
    code = unit.code
    if code.co_argcount < 2 or code.co_argcount - len(defaults_of(function)) > 2:
        raise Refused("takes another number of arguments", code.co_firstlineno)
    if code.co_kwonlyargcount:
        raise Refused("takes keywords", code.co_firstlineno)
    reading = _SetStateReading()
    reading.run(reading.enter(unit, function, [None] * _parameter_count(code)))
    return reading.verdict()


def _read_class(cls):
    """The plan of a class: of its ``__init__``, or of a ``__new__`` that makes a tuple."""
    if _raw_attribute(type(cls), "__call__")[1] is not type.__dict__["__call__"]:
        raise Refused(f"has the metaclass {_qualname_of(type(cls))}, which is called")
    if _flags_of(cls) & _IS_ABSTRACT:
        raise Refused("is abstract")
    init_at, init = _raw_attribute(cls, "__init__")
    new_at, new = _raw_attribute(cls, "__new__")
    if new is object.__dict__["__new__"]:
        if init is object.__init__:
            return ConstructorPlan(((RETURN_NEW, 0, 0, 0),), (), (), (), (), 0, 0, ())
        if type(init) is not types.FunctionType:
            raise Refused("__init__ is not a Python function")
        reading = _InitReading(cls, init_at)
        return reading.plan(init, reading.functions_at)
    if not issubclass(cls, tuple) or init is not object.__init__:
        raise Refused("has a __new__ of its own")
    if type(new) is not staticmethod or type(new.__func__) is not types.FunctionType:
        raise Refused("__new__ is not a Python function")
    return _NewReading(1).plan(new.__func__, [(new_at, "__new__")])


def _raw_attribute(cls, name, start=0):
    """(index, value) of *name* in the first dict of the ``__mro__`` from *start* that has it."""
    for index, base in enumerate(_mro_of(cls)[start:], start):
        members = _dict_of(base)
        if name in members:
            return index, members[name]
    return None, UNKNOWN


# What a class is, whatever its metaclass says: nobody is asked.
_mro_of = type.__dict__["__mro__"].__get__
_dict_of = type.__dict__["__dict__"].__get__
_flags_of = type.__dict__["__flags__"].__get__
_dictoffset_of = type.__dict__["__dictoffset__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__

_IS_ABSTRACT = 1 << 20  # Py_TPFLAGS_IS_ABSTRACT


def _position(cls, base):
    return next((index for index, found in enumerate(_mro_of(cls)) if found is base), None)


def _check_load(cls, name):
    """Refuse a load from an instance that could run code or mean something else."""
    if _raw_attribute(cls, "__getattribute__")[1] is not object.__getattribute__:
        raise Refused("its class has a __getattribute__ of its own")
    _, found = _raw_attribute(cls, name)
    if name == "__class__" and found is not object.__dict__["__class__"]:
        raise Refused("its class has a __class__ of its own")
    if name == "__dict__" and type(found) is not types.GetSetDescriptorType:
        raise Refused("its class has a __dict__ of its own")


def _check_store(cls, name):
    """Refuse a name under which the class does more than to keep the value."""
    _, found = _raw_attribute(cls, name)
    if type(found) is types.MemberDescriptorType:
        return
    if any(
        "__set__" in _dict_of(base) or "__delete__" in _dict_of(base)
        for base in _mro_of(type(found))
    ):
        raise Refused(f"{name} is a data descriptor")
    if not _dictoffset_of(cls):
        raise Refused(f"its class has no place for {name}")


def _binds_setattr(target):
    """Whether *target* is ``object.__setattr__.__get__``, by which attrs' frozen classes store."""
    return (
        type(target) is _METHOD_WRAPPER
        and target.__name__ == "__get__"
        and target.__self__ is object.__setattr__
    )


_METHOD_WRAPPER = type(object.__setattr__.__get__)
