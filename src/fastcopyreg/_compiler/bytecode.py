"""Symbolic interpretation of bytecode: a function goes in, the steps of its plan come out.

The interpreter keeps a stack and locals as CPython's does, of *value numbers*: a value is known by
the number of the step that yields it. Where a test decides, both ways are followed, each with its
own copy of the state, so that steps form a tree. Nothing is executed, and whatever is not in the
table of instructions below refuses the path that it is on.

What is neither value nor step while it is on the stack is a *marker*: the NULL below a callable, a
method that is about to be called, `super()`, the negation of a value. A marker that ends up where
a value is needed refuses the path too.
"""

import types

from .functions import address_of, code_of
from .instructions import instruction_set
from .steps import (
    ATTRIBUTE,
    ATTRIBUTE_OR,
    BRANCH_IS,
    BRANCH_TRUE,
    CELL,
    CLASS,
    CONSTANT,
    EXPECT,
    FRESH,
    GLOBAL,
    LEAVE,
    NEW,
    OBJECT,
    TYPE,
    UNKNOWN,
    Called,
    Is,
    Method,
    Not,
    Refused,
    SuperMethod,
)

# Beyond these a plan would cost more to make and to walk than the call that it saves.
MAX_PATHS = 32
MAX_STEPS = 600

_CO_VARARGS, _CO_VARKEYWORDS = 0x04, 0x08
_CO_GENERATOR, _CO_COROUTINE, _CO_ASYNC_GENERATOR = 0x20, 0x80, 0x200


class Unit:
    """A code object as instructions without caches and prefixes; jumps go to indices.

    Its exception table is not looked at: where a step would raise, the plan is left, so that only
    the way without an exception is ever followed.
    """

    __slots__ = ("code", "index_at", "instructions")

    def __init__(self, code):
        flags = code.co_flags
        if flags & (_CO_GENERATOR | _CO_COROUTINE | _CO_ASYNC_GENERATOR):
            raise Refused("a generator or coroutine", code.co_firstlineno)
        if flags & (_CO_VARARGS | _CO_VARKEYWORDS):
            raise Refused("takes any number of arguments", code.co_firstlineno)
        if code.co_cellvars:
            raise Refused(
                f"{code.co_cellvars[0]} is used by an inner function", code.co_firstlineno
            )
        self.code = code
        self.instructions, self.index_at = _decode(code.co_code)

    def line(self, index):
        """The line of source that instruction *index* comes from, or None."""
        offset = self.instructions[index][2]
        for start, end, line in self.code.co_lines():
            if start <= offset < end:
                return line
        return None

    def target(self, index, argument):
        """The index that a jump in front of instruction *index* goes to."""
        at_end = index == len(self.instructions)
        offset = len(self.code.co_code) if at_end else self.instructions[index][2]
        return self.index_at[offset + 2 * argument]

    def name_at(self, index):
        """What instruction *index* is called."""
        return instruction_set().names[self.instructions[index][0]]


def _decode(raw):
    """Split *raw* into [(opcode, argument, offset)] and the mapping of offsets to indices.

    Caches are opcode 0 with argument 0 in `co_code`, whatever they hold while the code runs.
    """
    extended_arg = instruction_set().extended_arg
    instructions = []
    index_at = {}
    extension, start = 0, None
    for offset in range(0, len(raw), 2):
        opcode = raw[offset]
        if opcode == 0:
            continue
        if start is None:
            start = offset
        argument = raw[offset + 1] | extension
        if opcode == extended_arg:
            extension = argument << 8
            continue
        index_at[start] = len(instructions)
        instructions.append((opcode, argument, start))
        extension, start = 0, None
    return instructions, index_at


class Frame:
    """One function's share of a path: where it is, its stack and its locals.

    A local is a value number or marker, None where it is unbound, or ``~i`` for parameter *i*
    that was not read yet.
    """

    __slots__ = ("function", "index", "keywords", "locals", "number", "stack", "unit")

    def __init__(self, unit, function, number, values):
        self.unit = unit
        self.function = function
        self.number = number
        self.index = 0
        self.stack = []
        self.locals = values
        self.keywords = ()

    def copy(self):
        twin = Frame(self.unit, self.function, self.number, self.locals.copy())
        twin.index = self.index
        twin.stack = self.stack.copy()
        twin.keywords = self.keywords
        return twin

    def name(self, index):
        return self.unit.code.co_names[index]


def check_globals(function):
    """Refuse a function whose globals or builtins could run code when they are read."""
    if type(function.__globals__) is not dict or type(function.__builtins__) is not dict:
        raise Refused("its globals are not a plain dict")


class Path:
    """A way through the function: its frames, and what was read and stored on it.

    ``known`` maps a pure step to the number under which it was run, and a test to its outcome;
    ``stored`` maps the names of attributes of the object being made to their values.
    """

    __slots__ = ("branch", "frames", "known", "stored")

    def __init__(self, frames, known, stored, branch=None):
        self.frames = frames
        self.known = known
        self.stored = stored
        self.branch = branch

    def fork(self, branch):
        frames = [frame.copy() for frame in self.frames]
        return Path(frames, self.known.copy(), self.stored.copy(), branch)


class Reading:
    """The plan of one function in the making; subclasses say what parameters and ends mean."""

    def __init__(self):
        self.steps = []
        self.operands = []
        self.names = []
        self.name_at = {}
        self.constants = []
        self.constant_at = {}
        self.functions = []
        self.leaves = []
        self.pending = []
        self.path = None
        self.frame = None

    # -- What subclasses answer --

    def parameter(self, index, frame):
        """The value of parameter *index* that was not read before."""
        raise NotImplementedError

    def takes_default(self, index, frame):
        """Whether the call leaves parameter *index*, which was not given, to its default."""
        raise NotImplementedError

    def end(self, value):
        """The outermost function returns *value*, a value number or marker."""
        raise NotImplementedError

    def call(self, callee, arguments, keywords):
        """*callee* is called; return the value number or marker of its outcome.

        None means that a frame was entered, which will push the outcome when it returns.
        """
        raise NotImplementedError

    def load_attribute(self, owner, name):
        """The value number or marker of ``owner.name``."""
        return self.attribute(self.plain(owner), name)

    def load_method(self, owner, name):
        """The marker of ``owner.name`` where it is about to be called."""
        return Method(self.plain(owner), name)

    def super_of(self, values, frame):
        """The marker of ``super(*values)`` in *frame*, which may say its arguments or not."""
        raise Refused("uses super()")

    def store_attribute(self, owner, name, value):
        raise Refused(f"stores attribute {name}")

    def store_item(self, container, key, value):
        raise Refused("stores an item")

    def contains(self, container, value):
        """The value number of ``value in container``."""
        raise Refused("a membership test")

    def set_to_search(self, values):
        """The value number of a set display whose one use is that something is looked for."""
        raise Refused("makes a set")

    def equal(self, value, other):
        """The value number of ``value == other``."""
        raise Refused("a comparison")

    def match(self, value, cls):
        """The value number of whether ``case cls():`` takes *value*."""
        raise Refused("a match statement")

    def abandon(self):
        """The path at hand is not understood; its steps so far are run before it is left."""

    def number_function(self, function):
        """The number under which steps name *function*, which is entered."""
        number = next((i for i, known in enumerate(self.functions) if known is function), None)
        if number is None:
            number = len(self.functions)
            self.functions.append(function)
        return number

    def delete_item(self, container, key):
        raise Refused("deletes")

    def put(self, container, key, value):
        """Another pair of a dict display, long or a comprehension."""
        raise Refused("a display of more than 15 pairs")

    def update_display(self, container, value):
        """The value number of a dict display to which ``**value`` is added."""
        raise Refused("a display with *")

    def load_item(self, owner, key):
        """The value number of ``owner[key]``."""
        raise Refused("reads an item")

    def format(self, value, spec=None):
        """The value number of ``format(value, spec)``, of an f-string."""
        raise Refused("formats a string")

    def convert(self, value, conversion):
        """The value number of ``str(value)`` (1), ``repr`` (2) or ``ascii`` (3)."""
        raise Refused("formats a string")

    def join(self, values):
        """The value number of the f-string of these parts."""
        raise Refused("formats a string")

    def unpack(self, value, count):
        """The value numbers of *count* items of *value*, which is no display."""
        raise Refused("unpacks a value")

    def iterate(self, value):
        """The values that a loop over *value* goes through, one after another."""
        raise Refused("a loop")

    def repeat(self):
        """Go back, from the end of a loop's body."""
        raise Refused("a loop")

    def next_pair(self, pairs):
        """Whether the body of a loop over the pairs of a dict is to be followed, which is once."""
        raise Refused("a loop")

    def test_of_pair(self, operator, part, value):
        """The marker of a test of a pair's key or value against *value*."""
        raise Refused("a loop")

    def keep_pair(self, container, value):
        """The pair at hand goes into *container*, if its value is *value*."""
        raise Refused("a loop")

    # -- Steps --

    def emit(self, kind, a=0, b=0, c=0):
        if len(self.steps) == MAX_STEPS:
            raise Refused(f"more than {MAX_STEPS} steps")
        self.steps.append((kind, a, b, c))
        return len(self.steps) - 1

    def read(self, kind, a=0, b=0, c=0):
        """Emit a pure step, unless this path has run it: no foreign code can be in between."""
        step = (kind, a, b, c)
        number = self.path.known.get(step)
        if number is None:
            number = self.path.known[step] = self.emit(kind, a, b, c)
        return number

    def name_index(self, name):
        index = self.name_at.get(name)
        if index is None:
            index = self.name_at[name] = len(self.names)
            self.names.append(name)
        return index

    def constant_index(self, value):
        """The place of the very object *value* in the plan's constants."""
        address = address_of(value)
        index = self.constant_at.get(address)
        if index is None:
            index = self.constant_at[address] = len(self.constants)
            self.constants.append(value)
        return index

    def constant(self, value):
        return self.read(CONSTANT, self.constant_index(value))

    def attribute(self, owner, name):
        return self.read(ATTRIBUTE, owner, self.name_index(name))

    def display(self, kind, values, pairs=False):
        first = self.add_operands(values)
        return self.emit(kind, first, len(values) // 2 if pairs else len(values))

    def add_operands(self, values):
        first = len(self.operands)
        self.operands += [self.plain(value) for value in values]
        return first

    def expect(self, number, value):
        """Make the plan be left where value *number* is not the very object *value*."""
        self.read(EXPECT, number, self.constant_index(value))

    def pure_call(self, callee, arguments, keywords):
        """The outcome of a call that only loads or makes an empty container; None if it is not."""
        callee = self.module_attribute(callee)
        target = self.resolved(callee)
        if keywords or target is UNKNOWN:
            return None
        if target is type and len(arguments) == 1:
            self.expect(callee, type)
            return self.read(TYPE, self.plain(arguments[0]))
        if target is getattr and len(arguments) in (2, 3):
            return self.getattr_call(callee, *arguments)
        if not arguments and any(target is made for made in (list, dict, set)):
            return self.emit(FRESH, callee)
        return None

    def module_attribute(self, callee):
        """*callee*, or its value where it is ``module.name``, which is called like a name."""
        if type(callee) is Method and type(self.resolved(callee.owner)) is types.ModuleType:
            return self.attribute(callee.owner, callee.name)
        return callee

    def getattr_call(self, callee, owner, name, *default):
        name = self.constant_of(name)
        if type(name) is not str:
            raise Refused("calls getattr with a name that is not constant")
        self.expect(callee, getattr)
        if not default:
            return self.attribute(self.plain(owner), name)
        index = self.name_index(name)
        return self.read(ATTRIBUTE_OR, self.plain(owner), index, self.plain(default[0]))

    # -- Values --

    def plain(self, value):
        """*value* as it can be an operand; a marker refuses the path."""
        if type(value) is int:
            return value
        if type(value) is Called:
            raise Refused(f"calls {self.described(value.callee)}")
        if type(value) in (Not, Is):
            raise Refused("the outcome of a test is used as a value")
        raise Refused("uses a method or super() as a value")

    def pop(self):
        return self.plain(self.frame.stack.pop())

    def pop_values(self, count):
        stack = self.frame.stack
        values = [self.plain(value) for value in stack[len(stack) - count :]]
        del stack[len(stack) - count :]
        return values

    def constant_of(self, value):
        """The object that step *value* is known to yield, if it is a CONSTANT; else UNKNOWN."""
        if type(value) is int and self.steps[value][0] == CONSTANT:
            return self.constants[self.steps[value][1]]
        return UNKNOWN

    def resolved(self, value):
        """The object that *value* would have now, or UNKNOWN; only for an EXPECT to verify."""
        if type(value) is not int:
            return UNKNOWN
        kind, a, b, _ = self.steps[value]
        if kind == CONSTANT:
            return self.constants[a]
        if kind == GLOBAL:
            return self.resolved_global(self.names[a], self.functions[b])
        if kind == CELL:
            return _cell_contents(self.functions[b].__closure__[a])
        if kind == ATTRIBUTE:
            owner = self.resolved(a)
            if type(owner) is types.ModuleType:
                return vars(owner).get(self.names[b], UNKNOWN)
        return UNKNOWN

    @staticmethod
    def resolved_global(name, function):
        found = function.__globals__.get(name, UNKNOWN)
        return function.__builtins__.get(name, UNKNOWN) if found is UNKNOWN else found

    def described(self, value):
        """How the source names *value*, for a reason."""
        if type(value) is Method:
            owner = self.described(value.owner)
            return f"{owner}.{value.name}"
        if type(value) is SuperMethod:
            return f"super().{value.name}"
        if type(value) is not int:
            return "an object"
        kind, a, b, _ = self.steps[value]
        if kind == GLOBAL:
            return self.names[a]
        if kind == ATTRIBUTE:
            return f"{self.described(a)}.{self.names[b]}"
        if kind == CELL:
            return code_of(self.functions[b]).co_freevars[a]
        return {OBJECT: "the object", NEW: "self", CLASS: "cls"}.get(kind, "an object")

    # -- The walk --

    def enter(self, unit, function, values):
        """A frame for *function*, whose parameters are *values*, unread (None) or given."""
        check_globals(function)
        number = self.number_function(function)
        slots = [~index if value is None else value for index, value in enumerate(values)]
        slots += [None] * (unit.code.co_nlocals - len(slots))
        return Frame(unit, function, number, slots)

    def read_defaults(self, frame):
        """Read the defaults that the call takes; without one it fails, be it used or not."""
        for index, slot in enumerate(frame.locals):
            if slot == ~index and self.takes_default(index, frame):
                self.parameter(index, frame)

    def run(self, frame):
        """Follow every path from *frame*; raise Refused if none comes to an end."""
        paths = 0
        self.pending.append(Path([frame], {}, {}))
        while self.pending:
            self.path = self.pending.pop()
            paths += 1
            if paths > MAX_PATHS:
                raise Refused(f"more than {MAX_PATHS} paths")
            if self.path.branch is not None:
                kind, a, b, _ = self.steps[self.path.branch]
                self.steps[self.path.branch] = (kind, a, b, len(self.steps))
            else:
                self.read_defaults(frame)
            self.follow()
        if len(self.leaves) == paths:
            raise self.leaves[0]

    def follow(self):
        """Follow one path to its end; one that is not understood ends in LEAVE."""
        handlers = instruction_set().handlers
        path = self.path
        try:
            while path.frames:
                frame = self.frame = path.frames[-1]
                opcode, argument, _ = frame.unit.instructions[frame.index]
                frame.index += 1
                handlers[opcode](self, frame, argument)
        except Refused as refused:
            line = refused.line
            if line is None:
                line = self.frame.unit.line(self.frame.index - 1)
            self.leaves.append(Refused(refused.reason, line))
            self.abandon()
            self.emit(LEAVE)

    def leave_frame(self, value):
        """The innermost function returns *value*."""
        frames = self.path.frames
        if len(frames) == 1:
            self.end(value)
            frames.clear()
            return
        if self.constant_of(value) is not None:
            raise Refused("__init__ returns something")
        frames.pop()
        frames[-1].stack.append(value)

    def branch(self, test, when_true, when_false):
        """Go on at *when_true*, indices or (index, count popped), and at *when_false* later."""
        inverted = False
        while type(test) is Not:
            test, inverted = test.value, not inverted
        if type(test) is Is:
            inverted ^= test.inverted
            step = (BRANCH_IS, test.value, test.other)
        else:
            step = (BRANCH_TRUE, self.plain(test), 0)
        holds, fails = (when_false, when_true) if inverted else (when_true, when_false)
        outcome = self.path.known.get(step)
        if outcome is None:
            other = self.path.fork(self.emit(*step))
            other.known[step] = False
            _go(other.frames[-1], *fails)
            self.pending.append(other)
            outcome = self.path.known[step] = True
        _go(self.frame, *(holds if outcome else fails))


def _go(frame, index, popped):
    frame.index = index
    if popped:
        frame.stack.pop()


def _cell_contents(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return UNKNOWN
