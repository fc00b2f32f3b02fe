"""What each instruction of CPython 3.11 to 3.15 does to the stack of a reading.

A handler gets the reading, its innermost frame and the instruction's argument. Versions call the
same thing by different names, so one handler has several; an instruction that has none refuses
the path, with a reason in words.
"""

import functools
import opcode  # What `dis` knows of instructions, without the rest of it.
import sys
from collections import namedtuple

from .steps import (
    CELL,
    DICT,
    GLOBAL,
    LIST,
    NULL,
    PAIR,
    PAIR_KEY,
    PAIR_VALUE,
    TUPLE,
    Called,
    Is,
    Items,
    Matched,
    Not,
    PairPart,
    Pairs,
    Refused,
)

_handlers_by_name = {}


def _instruction(*names):
    def register(handler):
        for name in names:
            _handlers_by_name[name] = handler
        return handler

    return register


@_instruction("RESUME", "NOP", "PRECALL", "COPY_FREE_VARS", "NOT_TAKEN", "TO_BOOL")
def _nothing(reading, frame, argument):
    """TO_BOOL only stands before a conditional jump; the test itself demands a pure truth."""


@_instruction("PUSH_NULL")
def _push_null(reading, frame, argument):
    frame.stack.append(NULL)


@_instruction("POP_TOP")
def _pop_top(reading, frame, argument):
    if type(frame.stack.pop()) is Called:
        raise Refused("a call whose outcome is dropped")


@_instruction("COPY")
def _copy(reading, frame, argument):
    frame.stack.append(frame.stack[-argument])


@_instruction("SWAP")
def _swap(reading, frame, argument):
    stack = frame.stack
    stack[-1], stack[-argument] = stack[-argument], stack[-1]


def _load_local(reading, frame, index):
    value = frame.locals[index]
    if value is None:
        raise Refused(f"{frame.unit.code.co_varnames[index]} may be unbound")
    if type(value) is int and value < 0:
        value = frame.locals[index] = reading.parameter(~value, frame)
    frame.stack.append(value)


def _store_local(frame, index):
    frame.locals[index] = frame.stack.pop()


@_instruction("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW")
def _load_fast(reading, frame, argument):
    _load_local(reading, frame, argument)


@_instruction("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW")
def _load_two(reading, frame, argument):
    _load_local(reading, frame, argument >> 4)
    _load_local(reading, frame, argument & 15)


@_instruction("STORE_FAST")
def _store_fast(reading, frame, argument):
    _store_local(frame, argument)


@_instruction("STORE_FAST_LOAD_FAST")
def _store_load(reading, frame, argument):
    _store_local(frame, argument >> 4)
    _load_local(reading, frame, argument & 15)


@_instruction("STORE_FAST_STORE_FAST")
def _store_two(reading, frame, argument):
    _store_local(frame, argument >> 4)
    _store_local(frame, argument & 15)


@_instruction("LOAD_CONST")
def _load_const(reading, frame, argument):
    frame.stack.append(reading.constant(frame.unit.code.co_consts[argument]))


@_instruction("LOAD_SMALL_INT")
def _load_small_int(reading, frame, argument):
    frame.stack.append(reading.constant(argument))


@_instruction("LOAD_COMMON_CONSTANT")
def _load_common_constant(reading, frame, argument):
    common = instruction_set().common_constants
    if argument >= len(common):
        raise Refused("a constant of the interpreter's own")
    frame.stack.append(reading.constant(common[argument]))


@_instruction("RETURN_CONST")
def _return_const(reading, frame, argument):
    reading.leave_frame(reading.constant(frame.unit.code.co_consts[argument]))


@_instruction("RETURN_VALUE")
def _return_value(reading, frame, argument):
    reading.leave_frame(frame.stack.pop())


@_instruction("LOAD_DEREF")
def _load_deref(reading, frame, argument):
    index = argument - frame.unit.code.co_nlocals
    frame.stack.append(reading.read(CELL, index, frame.number))


@_instruction("BUILD_TUPLE")
def _build_tuple(reading, frame, argument):
    values = reading.pop_values(argument)
    # An empty tuple is one object, so it is a constant and not a display.
    frame.stack.append(reading.display(TUPLE, values) if values else reading.constant(()))


@_instruction("BUILD_LIST")
def _build_list(reading, frame, argument):
    """`[1, 2, 3]` is written as an empty list that a constant tuple extends at once."""
    values = reading.pop_values(argument)
    following = frame.unit.instructions[frame.index : frame.index + 2]
    names = [instruction_set().names[opcode] for opcode, _, _ in following]
    if not argument and names == ["LOAD_CONST", "LIST_EXTEND"]:
        frame.index += 2
        items = frame.unit.code.co_consts[following[0][1]]
        values = [reading.constant(item) for item in items]
    frame.stack.append(reading.display(LIST, values))


@_instruction("BUILD_MAP")
def _build_map(reading, frame, argument):
    frame.stack.append(_dict(reading, reading.pop_values(2 * argument)))


@_instruction("BUILD_CONST_KEY_MAP")
def _build_const_key_map(reading, frame, argument):
    keys = reading.constant_of(frame.stack.pop())
    values = reading.pop_values(argument)
    pairs = []
    for key, value in zip(keys, values, strict=True):
        pairs += [reading.constant(key), value]
    frame.stack.append(_dict(reading, pairs))


def _dict(reading, pairs):
    for key in pairs[::2]:
        if type(reading.constant_of(key)) is not str:
            raise Refused("a dict whose keys are not constant strings")
    return reading.display(DICT, pairs, pairs=True)


@_instruction("UNPACK_SEQUENCE")
def _unpack_sequence(reading, frame, argument):
    """`a, b = o.a, o.b`, where the tuple is of our own making; or the loop's key and value."""
    if type(frame.stack[-1]) is Matched and not argument:
        frame.stack.pop()
        return
    if frame.stack[-1] is PAIR and argument == 2:
        frame.stack[-1:] = PAIR_VALUE, PAIR_KEY
        return
    value = reading.pop()
    kind, first, count, _ = reading.steps[value]
    if kind != TUPLE:
        frame.stack += reading.unpack(value, argument)[::-1]
    elif count == argument:
        frame.stack += reading.operands[first : first + count][::-1]
    else:
        raise Refused("unpacks a value")


@_instruction("UNARY_NOT")
def _unary_not(reading, frame, argument):
    frame.stack.append(Not(frame.stack.pop()))


@_instruction("IS_OP")
def _is_op(reading, frame, argument):
    if type(frame.stack[-2]) is PairPart:
        found = _test_of_pair(reading, frame, "is")
        frame.stack.append(Not(found) if argument else found)
        return
    value, other = reading.pop_values(2)
    frame.stack.append(Is(value, other, bool(argument)))


def _test_of_pair(reading, frame, operator):
    other = reading.pop()
    return reading.test_of_pair(operator, frame.stack.pop(), other)


@_instruction("CONTAINS_OP")
def _contains_op(reading, frame, argument):
    if type(frame.stack[-2]) is PairPart:
        found = _test_of_pair(reading, frame, "in")
    else:
        value, container = reading.pop_values(2)
        found = reading.contains(container, value)
    frame.stack.append(Not(found) if argument else found)


@_instruction("BUILD_SET")
def _build_set(reading, frame, argument):
    """`type(obj) in {A, B}`; a set that is seen by others would have to be made."""
    values = reading.pop_values(argument)
    following = frame.unit.instructions[frame.index][0]
    if instruction_set().names[following] != "CONTAINS_OP":
        raise Refused("makes a set")
    frame.stack.append(reading.set_to_search(values))


@_instruction("COMPARE_OP")
def _compare_op(reading, frame, argument):
    operator = opcode.cmp_op[argument >> instruction_set().compare_shift]
    if operator not in ("==", "!="):
        raise Refused("a comparison")
    if type(frame.stack[-2]) is PairPart:
        equal = _test_of_pair(reading, frame, "==")
    else:
        value, other = reading.pop_values(2)
        equal = reading.equal(value, other)
    frame.stack.append(equal if operator == "==" else Not(equal))


@_instruction("JUMP_FORWARD")
def _jump_forward(reading, frame, argument):
    frame.index = frame.unit.target(frame.index, argument)


@_instruction("POP_JUMP_IF_TRUE", "POP_JUMP_FORWARD_IF_TRUE")
def _jump_if_true(reading, frame, argument):
    target = frame.unit.target(frame.index, argument)
    reading.branch(frame.stack.pop(), (target, 0), (frame.index, 0))


@_instruction("POP_JUMP_IF_FALSE", "POP_JUMP_FORWARD_IF_FALSE")
def _jump_if_false(reading, frame, argument):
    target = frame.unit.target(frame.index, argument)
    reading.branch(frame.stack.pop(), (frame.index, 0), (target, 0))


@_instruction("POP_JUMP_IF_NONE", "POP_JUMP_FORWARD_IF_NONE")
def _jump_if_none(reading, frame, argument):
    target = frame.unit.target(frame.index, argument)
    test = _is_none(reading, frame.stack.pop())
    reading.branch(test, (target, 0), (frame.index, 0))


def _is_none(reading, value):
    if type(value) is Matched:
        return Not(value.value)
    none = reading.constant(None)
    if type(value) is PairPart:
        return reading.test_of_pair("is", value, none)
    return Is(reading.plain(value), none, False)


@_instruction("POP_JUMP_IF_NOT_NONE", "POP_JUMP_FORWARD_IF_NOT_NONE")
def _jump_if_not_none(reading, frame, argument):
    target = frame.unit.target(frame.index, argument)
    test = _is_none(reading, frame.stack.pop())
    reading.branch(test, (frame.index, 0), (target, 0))


@_instruction("MATCH_CLASS")
def _match_class(reading, frame, argument):
    """`case cls():`, which looks at no attribute."""
    names = reading.constant_of(frame.stack.pop())
    value, cls = reading.pop_values(2)
    if argument or names != ():
        raise Refused("a match statement")
    frame.stack.append(Matched(reading.match(value, cls)))


@_instruction("JUMP_IF_TRUE_OR_POP")
def _jump_if_true_or_pop(reading, frame, argument):
    target = frame.unit.target(frame.index, argument)
    reading.branch(frame.stack[-1], (target, 0), (frame.index, 1))


@_instruction("JUMP_IF_FALSE_OR_POP")
def _jump_if_false_or_pop(reading, frame, argument):
    target = frame.unit.target(frame.index, argument)
    reading.branch(frame.stack[-1], (frame.index, 1), (target, 0))


@_instruction("STORE_ATTR")
def _store_attr(reading, frame, argument):
    owner = frame.stack.pop()
    reading.store_attribute(owner, frame.name(argument), reading.pop())


@_instruction("STORE_SUBSCR")
def _store_subscr(reading, frame, argument):
    key = frame.stack.pop()
    container = frame.stack.pop()
    if key is PAIR_KEY:
        reading.keep_pair(container, frame.stack.pop())
    else:
        reading.store_item(container, reading.constant_of(key), reading.pop())


@_instruction("DELETE_SUBSCR")
def _delete_subscr(reading, frame, argument):
    key = reading.constant_of(frame.stack.pop())
    reading.delete_item(reading.pop(), key)


@_instruction("DICT_UPDATE")
def _dict_update(reading, frame, argument):
    value = reading.pop()
    frame.stack[-argument] = reading.update_display(frame.stack[-argument], value)


@_instruction("MAP_ADD")
def _map_add(reading, frame, argument):
    value = frame.stack.pop()
    key = frame.stack.pop()
    if key is PAIR_KEY:
        reading.keep_pair(frame.stack[-argument], value)
    else:
        reading.put(frame.stack[-argument], reading.constant_of(key), reading.plain(value))


@_instruction("BINARY_SUBSCR")
def _binary_subscr(reading, frame, argument):
    key = reading.constant_of(frame.stack.pop())
    frame.stack.append(reading.load_item(reading.pop(), key))


@_instruction("BINARY_OP")
def _binary_op(reading, frame, argument):
    if argument != instruction_set().subscript:
        raise Refused("an operator")
    _binary_subscr(reading, frame, argument)


# f-strings: 3.13 has an instruction for each part of what 3.11's one does.


@_instruction("FORMAT_SIMPLE")
def _format_simple(reading, frame, argument):
    frame.stack.append(reading.format(reading.pop()))


@_instruction("FORMAT_WITH_SPEC")
def _format_with_spec(reading, frame, argument):
    value, spec = reading.pop_values(2)
    frame.stack.append(reading.format(value, spec))


@_instruction("CONVERT_VALUE")
def _convert_value(reading, frame, argument):
    frame.stack.append(reading.convert(reading.pop(), argument))


@_instruction("FORMAT_VALUE")
def _format_value(reading, frame, argument):
    specs = reading.pop_values(1 if argument & 4 else 0)
    value = reading.pop()
    if argument & 3:
        value = reading.convert(value, argument & 3)
    frame.stack.append(reading.format(value, *specs))


@_instruction("BUILD_STRING")
def _build_string(reading, frame, argument):
    frame.stack.append(reading.join(reading.pop_values(argument)))


# A loop whose values are known is followed round by round.


@_instruction("LOAD_FAST_AND_CLEAR")
def _load_fast_and_clear(reading, frame, argument):
    """What the variable of a comprehension was, which gets it back."""
    frame.stack.append(frame.locals[argument])
    frame.locals[argument] = None


@_instruction("FOR_ITER")
def _for_iter(reading, frame, argument):
    at = -2 if instruction_set().indexes_iterators else -1
    iterator = frame.stack[at]
    if type(iterator) is Pairs:
        if reading.next_pair(iterator):
            frame.stack.append(PAIR)
            return
    elif iterator.values:
        frame.stack[at] = Items(iterator.values[1:])
        frame.stack.append(iterator.values[0])
        return
    unit = frame.unit
    frame.index = unit.target(frame.index, argument)
    if unit.name_at(frame.index) == "END_FOR":
        frame.index += 1
    if unit.name_at(frame.index) not in ("POP_ITER", "POP_TOP"):
        frame.stack.pop()


@_instruction("POP_ITER")
def _pop_iter(reading, frame, argument):
    frame.stack.pop()
    if instruction_set().indexes_iterators:
        frame.stack.pop()


@_instruction("JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT")
def _jump_backward(reading, frame, argument):
    reading.repeat()
    frame.index = frame.unit.target(frame.index, -argument)


@_instruction("POP_JUMP_BACKWARD_IF_TRUE")
def _jump_back_if_true(reading, frame, argument):
    reading.repeat()
    _jump_if_true(reading, frame, -argument)


@_instruction("POP_JUMP_BACKWARD_IF_FALSE")
def _jump_back_if_false(reading, frame, argument):
    reading.repeat()
    _jump_if_false(reading, frame, -argument)


@_instruction("KW_NAMES")
def _kw_names(reading, frame, argument):
    frame.keywords = frame.unit.code.co_consts[argument]


@_instruction("CALL")
def _call(reading, frame, argument):
    keywords, frame.keywords = frame.keywords, ()
    _call_with(reading, frame, argument, keywords)


@_instruction("CALL_KW")
def _call_kw(reading, frame, argument):
    keywords = reading.constant_of(frame.stack.pop())
    _call_with(reading, frame, argument, keywords)


def _call_with(reading, frame, count, keywords):
    """A call of one of the two entries below the arguments; the other is NULL."""
    values = frame.stack[len(frame.stack) - count :]
    del frame.stack[len(frame.stack) - count :]
    second, first = frame.stack.pop(), frame.stack.pop()
    callee = second if first is NULL else first
    if first is not NULL and second is not NULL:
        raise Refused("calls a method")
    positional = values[: count - len(keywords)]
    named = tuple(zip(keywords, values[count - len(keywords) :], strict=True))
    outcome = reading.call(callee, positional, named)
    if outcome is not None:
        frame.stack.append(outcome)


def _push_method(frame, method):
    frame.stack += (method, NULL)


def _refuse(name):
    """The handler of an instruction that no plan has."""
    reason = _REASONS.get(name)
    if reason is None:
        reason = next(
            (words for prefix, words in _REASONS.items() if name.startswith(prefix)),
            f"executes {name}",
        )

    def refuse(reading, frame, argument):
        raise Refused(reason)

    return refuse


_REASONS = {
    "BINARY_SLICE": "takes a slice",
    "UNARY": "an operator",
    "BUILD_INTERPOLATION": "formats a string",
    "BUILD_TEMPLATE": "formats a string",
    "IMPORT": "an import",
    "RAISE": "raises",
    "LOAD_ASSERTION_ERROR": "raises",
    "MAKE_FUNCTION": "makes a function",
    "MAKE_CELL": "makes a function",
    "LOAD_BUILD_CLASS": "makes a class",
    "CALL_FUNCTION_EX": "calls with *",
    "CALL_INTRINSIC": "a display with *",
    "LIST_EXTEND": "a display with *",
    "LIST_APPEND": "a display of more than 30 values",
    "DICT_MERGE": "calls with *",
    "SET_UPDATE": "makes a set",
    "BUILD_SLICE": "takes a slice",
    "STORE_GLOBAL": "stores a global",
    "STORE_DEREF": "stores a closure variable",
    "DELETE": "deletes",
    "UNPACK_EX": "unpacks a value",
    "LOAD_NAME": "not a function's code",
    "MATCH": "a match statement",
    "WITH": "a with statement",
    "BEFORE_WITH": "a with statement",
    "LOAD_SPECIAL": "a with statement",
}

# `subscript` is the operator of BINARY_OP that reads an item; `indexes_iterators`, whether an
# iterator lies on the stack with an index above it.
InstructionSet = namedtuple(
    "InstructionSet",
    "handlers names extended_arg common_constants compare_shift subscript indexes_iterators",
)


@functools.cache
def instruction_set():
    """The running version's instructions, found at the first use."""
    named = _handlers_by_name | _versioned_handlers(sys.version_info)
    handlers = [named.get(name) or _refuse(name) for name in opcode.opname]
    common = tuple(getattr(opcode, "_common_constants", ()))
    # Below the operator there are flags, more in each version.
    shift = {(3, 11): 0, (3, 12): 4}.get(sys.version_info[:2], 5)
    operators = [name for name, _ in getattr(opcode, "_nb_ops", ())]
    subscript = operators.index("NB_SUBSCR") if "NB_SUBSCR" in operators else -1
    indexed = sys.version_info >= (3, 15)
    return InstructionSet(
        handlers, opcode.opname, opcode.EXTENDED_ARG, common, shift, subscript, indexed
    )


def _versioned_handlers(version):
    """Loads whose arguments or effects on the stack depend on the version."""
    separate_methods = version < (3, 12)
    null_first = version < (3, 13)
    indexed = version >= (3, 15)

    def load_global(reading, frame, argument):
        value = reading.read(GLOBAL, reading.name_index(frame.name(argument >> 1)), frame.number)
        if argument & 1:
            frame.stack += (NULL, value) if null_first else (value, NULL)
        else:
            frame.stack.append(value)

    def load_attr(reading, frame, argument):
        if separate_methods:
            frame.stack.append(reading.load_attribute(frame.stack.pop(), frame.name(argument)))
        elif argument & 1:
            load_method(reading, frame, argument >> 1)
        else:
            name = frame.name(argument >> 1)
            frame.stack.append(reading.load_attribute(frame.stack.pop(), name))

    def load_method(reading, frame, argument):
        frame.stack += (reading.load_method(frame.stack.pop(), frame.name(argument)), NULL)

    def load_super_attr(reading, frame, argument):
        values = frame.stack[-3:]
        del frame.stack[-3:]
        marker = reading.super_of(values, frame)
        name = frame.name(argument >> 2)
        if argument & 1:
            frame.stack += (reading.load_method(marker, name), NULL)
        else:
            frame.stack.append(reading.load_attribute(marker, name))

    def get_iter(reading, frame, argument):
        value = frame.stack.pop()
        if type(value) is not Pairs:
            value = Items(tuple(reading.iterate(reading.plain(value))))
        frame.stack.append(value)
        if indexed:
            frame.stack.append(NULL)

    return {
        "GET_ITER": get_iter,
        "LOAD_GLOBAL": load_global,
        "LOAD_ATTR": load_attr,
        "LOAD_METHOD": load_method,
        "LOAD_SUPER_ATTR": load_super_attr,
    }
