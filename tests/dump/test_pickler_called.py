"""Objects whose reducer is called for one after another: what the next one gives is written at
once if it is like what the last one gave, and whatever it does meanwhile."""

import copyreg
import itertools
from operator import abs

import pytest

from support.implementations import OURS, STANDARD, requires_core
from support.recording import Setup, compare

pytestmark = requires_core

FRAME = 64 * 1024


class Called:
    """Registered, with a reducer that no plan stands for."""

    __slots__ = ("fields",)

    def __init__(self, *fields):
        self.fields = fields


class Other(Called):
    """Another class, which some reducers name."""

    __slots__ = ()


class Answer:
    """What the reducer returns for an object, and when."""

    function = staticmethod(lambda obj: (type(obj), obj.fields))


def reduce_called(obj):
    try:
        return Answer.function(obj)
    finally:
        abs(-1)


@pytest.fixture(autouse=True)
def registered():
    copyreg.pickle(Called, reduce_called)
    copyreg.pickle(Other, reduce_called)
    yield
    Answer.function = staticmethod(lambda obj: (type(obj), obj.fields))
    for cls in (Called, Other):
        copyreg.dispatch_table.pop(cls, None)


def fresh(obj):
    """Arguments that only the reduce value has."""
    return type(obj), (*obj.fields,)


def fresh_text(obj):
    """Text that only the arguments have."""
    return type(obj), tuple([f"{field!r} of it" for field in obj.fields])


SHARED = ("shared", 2**70)

ANSWERS = {
    "fresh": fresh,
    "fresh text": fresh_text,
    "held by the object": lambda obj: (type(obj), obj.fields),
    "held by all": lambda obj: (Called, SHARED),
    "large": lambda obj: (type(obj), (2**200, -(2**31), "é" * 300, obj.fields[0])),
    "bytes": lambda obj: (type(obj), (b"bytes", obj.fields[0])),
    "nested": lambda obj: (type(obj), (1, [obj.fields[0]])),
    "itself": lambda obj: (type(obj), (1, [obj])),
    "none": lambda obj: (type(obj), ()),
    "many": lambda obj: (type(obj), tuple([obj.fields[0]] * 9)),
    "state": lambda obj: (type(obj), (1,), {"state": obj.fields[0]}),
    "other class": lambda obj: (Other if obj.fields[0] % 2 else Called, (obj.fields[0],)),
    "function": lambda obj: (complex, (1.0, float(obj.fields[0]))),
    "name": lambda obj: "SHARED",
    "list": lambda obj: [type(obj), (1,)],
    "arguments in a list": lambda obj: (type(obj), [1]),
    "too short": lambda obj: (type(obj),),
    "raises": lambda obj: 1 // (obj.fields[0] - 7),
    "now and then": lambda obj: fresh(obj) if obj.fields[0] % 3 else (type(obj), (None, [True])),
}


def objects():
    made = [Called(i, float(i), f"text {i % 5}") for i in range(20)]
    return [made, *made[:3], {"key": Other(1, 2)}, Other(3), (Called(4), Called(5)), made]


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("how", ["dumps", "dump", "pickler"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_each_answer(answer, how, protocol):
    Answer.function = staticmethod(ANSWERS[answer])
    compare(STANDARD, OURS, Setup(how, protocol), objects)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("answer", [fresh, fresh_text])
def test_frames_end_at_every_position(answer, count):
    """At each offset in what is written of an object: before, in and behind its arguments."""
    Answer.function = staticmethod(answer)
    for shift in range(70):
        compare(
            STANDARD,
            OURS,
            Setup("dump", 4),
            lambda s=shift: [
                b"p" * (FRAME - 300 + s),
                *[Called(*range(count)) for _ in range(30)],
            ],
        )


def changing(change):
    """A reducer that changes something at its tenth call."""
    turns = itertools.count(1)

    def answer(obj):
        if next(turns) % 20 == 10:
            change(obj)
        return fresh(obj)

    return answer


def replace(obj):
    copyreg.pickle(type(obj), lambda obj: (Other, ("replaced",)))


def raise_error(obj):
    raise LookupError(obj.fields[0])


CHANGES = {
    "reducer is taken out": lambda obj: copyreg.dispatch_table.pop(type(obj)),
    "reducer is replaced": replace,
    "raises": raise_error,
    "object becomes another": lambda obj: setattr(obj, "fields", ([1], {})),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_meanwhile(change):
    def make():
        copyreg.pickle(Called, reduce_called)
        Answer.function = staticmethod(changing(CHANGES[change]))
        return [Called(i, str(i)) for i in range(20)]

    compare(STANDARD, OURS, Setup("dumps", 5), make)


def test_list_that_is_emptied_meanwhile():
    def make():
        made = [Called(i, str(i)) for i in range(20)]
        Answer.function = staticmethod(changing(lambda obj: made.clear()))
        return made

    compare(STANDARD, OURS, Setup("dumps", 5), make)


def test_text_that_dies_is_not_taken_for_another():
    """The memo holds the text: its address would be that of the next."""
    Answer.function = staticmethod(lambda obj: (Called, (f"text of {obj.fields[0]:05}",)))
    compare(STANDARD, OURS, Setup("dumps", 4), lambda: [Called(i) for i in range(3000)])
