"""The words that plans are written in, and what stands for a value while one is read.

A *value* is known by the number of the step that yields it. A *marker* is what is on the stack and
is no value: the NULL below a callable, a method that is about to be called, ``super()``, the
negation of a value.
"""

from collections import namedtuple

KINDS = (
    "OBJECT", "PROTOCOL", "BOUND", "BOUND_KEYWORD", "DEFAULT", "CONSTANT", "GLOBAL", "CELL",
    "ATTRIBUTE", "ATTRIBUTE_OR", "TYPE", "FRESH", "ITEM", "ITEM_OR", "ITEM_OR_NEW", "TUPLE",
    "LIST", "DICT", "DICT_COPY", "FILTER", "POP", "POP_OR", "TEXT", "JOIN", "LENGTH",
    "SEQUENCE", "CALL", "CALL_METHOD", "ISINSTANCE", "ISSUBCLASS", "CONTAINS", "EQUAL", "FIND",
    "METHOD", "SUPER_METHOD", "EXPECT", "EXPECT_OWN", "FOLLOW", "BRANCH_TRUE", "BRANCH_IS",
    "RETURN", "RETURN_VALUE", "LEAVE", "NEW", "CLASS", "ARGUMENT", "EXPECT_CLASS",
    "EXPECT_SIZE", "PUT", "STORE", "STORE_GENERIC", "STORE_ITEM", "STORE_DICT", "UPDATE",
    "RETURN_NEW", "RETURN_TUPLE", "RETURN_CALL",
)  # fmt: skip
(
    OBJECT, PROTOCOL, BOUND, BOUND_KEYWORD, DEFAULT, CONSTANT, GLOBAL, CELL, ATTRIBUTE,
    ATTRIBUTE_OR, TYPE, FRESH, ITEM, ITEM_OR, ITEM_OR_NEW, TUPLE, LIST, DICT, DICT_COPY, FILTER,
    POP, POP_OR, TEXT, JOIN, LENGTH, SEQUENCE, CALL, CALL_METHOD, ISINSTANCE, ISSUBCLASS,
    CONTAINS, EQUAL, FIND, METHOD, SUPER_METHOD, EXPECT, EXPECT_OWN, FOLLOW, BRANCH_TRUE,
    BRANCH_IS, RETURN, RETURN_VALUE, LEAVE, NEW, CLASS, ARGUMENT, EXPECT_CLASS, EXPECT_SIZE,
    PUT, STORE, STORE_GENERIC, STORE_ITEM, STORE_DICT, UPDATE, RETURN_NEW, RETURN_TUPLE,
    RETURN_CALL,
) = range(len(KINDS))  # fmt: skip

UNKNOWN = object()  # what is not known before the plan runs

Null = namedtuple("Null", "")
Method = namedtuple("Method", "owner name")  # owner.name, about to be called
Super = namedtuple("Super", "index")  # super() of the class at index in the __mro__
SuperOf = namedtuple("SuperOf", "cls owner")  # super(cls, owner), of values
Matched = namedtuple("Matched", "value")  # what `case cls():` gives, None if the value is false
SuperMethod = namedtuple("SuperMethod", "name index")
Not = namedtuple("Not", "value")
Is = namedtuple("Is", "value other inverted")
Items = namedtuple("Items", "values")  # an iterator over these, which are known
Called = namedtuple("Called", "callee arguments keywords")  # the outcome of a call
NewDict = namedtuple("NewDict", "")  # the __dict__ of the object being made
SetAttribute = namedtuple("SetAttribute", "")  # object.__setattr__ bound to the object being made
Pairs = namedtuple("Pairs", "value")  # value.items(), or an iterator over it
PairPart = namedtuple("PairPart", "name")  # of each pair in turn
PairTest = namedtuple("PairTest", "kind operand")  # of a pair: a kind of FILTER_TESTS
NULL = Null()
PAIR, PAIR_KEY, PAIR_VALUE = map(PairPart, ("pair", "key", "value"))

# What FILTER tests: the key k or the value v of a pair, against an operand.
FILTER_TESTS = ("v is", "v", "k ==", "k in", "k.startswith", "k.endswith")


class Refused(Exception):
    """A path of the function is not understood, for *reason*, found on *line* if that is known."""

    def __init__(self, reason, line=None):
        super().__init__(reason)
        self.reason = reason
        self.line = line
