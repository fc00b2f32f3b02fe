"""Exceptions, which have inherited BaseException's reducer or not, against the oracle."""

import abc
import copyreg
import decimal
import json

import pytest
from hypothesis import strategies

import fastcopyreg
from support.dumping import Meddles, dumping_tests
from support.implementations import OURS, STANDARD, requires_core
from support.recording import Setup, compare, compare_every_way

pytestmark = [requires_core, pytest.mark.timeout(1800)]


class Plain(Exception):
    """Nothing of its own."""


class Keeps(ValueError):
    """Attributes of its own."""

    def __init__(self, *args):
        super().__init__(*args)
        self.first = args[0] if args else None
        self.all = args


class Slotted(Exception):
    """Slots are no part of the reduction."""

    __slots__ = ("note",)

    def __init__(self, *args):
        super().__init__(*args)
        self.note = args


class Multiple(KeyError, AttributeError):
    """BaseException's reducer, or AttributeError's, by the version."""


class Reduces(Exception):
    """A reducer in Python."""

    def __reduce__(self):
        return Reduces, (self.args, 1)


class ReducesEx(Exception):
    """The other one."""

    def __reduce_ex__(self, protocol):
        return ReducesEx, (protocol,)


class Abstract(Exception, metaclass=abc.ABCMeta):
    """With a metaclass."""


class Watched(Exception):
    """Attributes are asked for in Python."""

    def __getattribute__(self, name):
        return super().__getattribute__(name)


class Group(ExceptionGroup):
    """A group of its own kind."""


CLASSES = [
    Plain, Keeps, Slotted, Multiple, Reduces, ReducesEx, Abstract, Watched,
    BaseException, Exception, ValueError, KeyError, StopIteration, SystemExit, NameError,
    AttributeError, ImportError, OSError, SyntaxError, json.JSONDecodeError,
    decimal.InvalidOperation, KeyboardInterrupt,
]  # fmt: skip

values = strategies.deferred(
    lambda: (
        strategies.none()
        | strategies.integers(0, 70_000)
        | strategies.text(max_size=3)
        | strategies.sampled_from(["shared", ("shared", 1), "a" * 300])
        | strategies.lists(values, max_size=3)
        | strategies.tuples(values, values)
        | exceptions
    )
)
exceptions = strategies.tuples(
    strategies.just("exception"),
    strategies.sampled_from(CLASSES),
    strategies.lists(values, max_size=4),
    strategies.dictionaries(strategies.sampled_from(["a", "note", "args_"]), values, max_size=2),
    strategies.lists(
        strategies.sampled_from(
            ["note", "cause", "own args", "args of last", "dict", "no dict", "hide", "hide ex"]
        ),
        max_size=2,
        unique=True,
    ),
)


class Hiding:
    """Called as a reducer that an object has."""

    def __call__(self, *protocol):
        return int, (8,)

    def __reduce__(self):
        return Hiding, ()


def make(described, made):
    """The value that was described; what was made before may come again."""
    if isinstance(described, list):
        return [make(each, made) for each in described]
    if not isinstance(described, tuple):
        return described
    if described[:1] != ("exception",):
        return tuple(make(each, made) for each in described)
    _, cls, args, attributes, deeds = described
    try:
        exception = cls(*[make(each, made) for each in args])
    except (TypeError, AttributeError):
        exception = Plain()
    for name, value in attributes.items():
        setattr(exception, name, make(value, made))
    for deed in deeds:
        do(deed, exception, made)
    made.append(exception)
    return exception


def do(deed, exception, made):
    if deed == "note":
        exception.add_note("a note")
    elif deed == "cause":
        exception.__cause__ = KeyError(1)
    elif deed == "own args":
        exception.args = ([exception], exception.args)
        exception.args[0].append(exception.args)
    elif deed == "args of last" and made:
        exception.args = made[-1].args
    elif deed == "dict" and made:
        exception.__dict__ = vars(made[-1])
    elif deed == "no dict":
        vars(exception)
    elif deed.startswith("hide"):
        setattr(exception, "__reduce__" if deed == "hide" else "__reduce_ex__", Hiding())


(
    test_exceptions_are_dumped_alike,
    test_exceptions_are_dumped_alike_by_the_default_way,
    test_exceptions_at_the_end_of_a_frame,
) = dumping_tests(exceptions, make)


def assert_same(build):
    compare_every_way(STANDARD, OURS, build)


CHANGES = {
    "arguments": lambda each: setattr(each, "args", (1,)),
    "dict": lambda each: setattr(each, "__dict__", {"other": 1}),
    "an attribute": lambda each: setattr(each, "late", 1),
    "no attributes": lambda each: vars(each).clear(),
    "class": lambda each: setattr(each, "__class__", Plain),
    "reducer": lambda each: setattr(each, "__reduce__", Hiding()),
}


@pytest.mark.parametrize("place", ["argument", "attribute"])
@pytest.mark.parametrize("with_dict", [True, False])
@pytest.mark.parametrize("name", CHANGES)
def test_exceptions_that_change_under_the_dump(name, with_dict, place):
    def build():
        holder = []
        meddler = Meddles(lambda: CHANGES[name](holder[0]))
        exception = (Keeps if with_dict else Abstract)(meddler if place == "argument" else 1, [2])
        holder.append(exception)
        if place == "attribute" and with_dict:
            exception.meddler = meddler
        return [exception, exception, exception.args]

    assert_same(build)


def test_shared_arguments_and_attributes_are_numbered_once():
    def build():
        one, other = Keeps(1, [2]), Keeps(3)
        other.args = one.args
        other.__dict__ = vars(one)
        return [one.args, one, other, vars(other), one, [other.args]]

    assert_same(build)


def test_a_registered_reducer_is_asked():
    value = [Plain(1), Plain(2)]
    assert_same(lambda: value)
    copyreg.pickle(Plain, lambda each: (str, each.args))
    try:
        assert_same(lambda: value)
    finally:
        del copyreg.dispatch_table[Plain]
    assert_same(lambda: value)


class Changing(Exception):
    """Given reducers by a test."""


@pytest.mark.parametrize("name", ["__reduce__", "__reduce_ex__", "__getattribute__", "__name__"])
def test_changed_classes_are_honoured(name):
    replacements = {
        "__reduce__": lambda self: (int, (5,)),
        "__reduce_ex__": lambda self, protocol: (int, (6,)),
        "__getattribute__": lambda self, name: Hiding(),
        "__name__": "__newobj__",
    }
    value = [Changing(Changing, 1), Changing(Changing, 2)]
    assert_same(lambda: value)
    setattr(Changing, name, replacements[name])
    try:
        assert_same(lambda: value)
    finally:
        if name == "__name__":
            Changing.__name__ = "Changing"
        else:
            delattr(Changing, name)
    assert_same(lambda: value)


def test_what_cannot_be_dumped_is_noted():
    attribute = Keeps(1)
    attribute.bad = lambda: 0
    for value in (
        attribute,
        Plain(1, lambda: 0),
        Plain([lambda: 0]),
        Group("a", [Plain(lambda: 0)]),
    ):
        for _ in range(3):
            compare(STANDARD, OURS, Setup(protocol=4), lambda value=value: [value])


def test_groups_are_dumped_alike():
    assert_same(lambda: [Group("several", [Plain(1), Keeps(2)]), ExceptionGroup("a", [Plain()])])


def test_explain_says_how_exceptions_go():
    for cls, reads in ((Plain, True), (KeyError, True), (OSError, False), (Reduces, False)):
        rows = dict(dict(fastcopyreg.explain(cls).sections)["reduce"])
        assert ("reads such values" in rows["runs"] if "runs" in rows else False) is reads
