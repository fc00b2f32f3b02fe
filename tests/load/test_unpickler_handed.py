"""What foreign code was handed during a load lives until its end, where the memo there holds it.

Each callable is given a container and puts into it what nothing else holds; when that dies, as its
finalizer says, is compared with the standard library's, among the deaths of everything else.
"""

import copyreg
import pickle
import pickletools

import pytest

import fastcopyreg.pickle
from fastcopyreg import _stdlib
from support import loading
from support.implementations import requires_core

pytestmark = requires_core

events = []


class Mortal:
    """Says when it dies."""

    def __init__(self, name):
        self.name = name

    def __del__(self):
        events.append(f"{self.name} died")


def fill(container, name="added"):
    """Puts something into every list and dict in it."""
    if isinstance(container, list):
        for part in list(container):
            fill(part, name)
        container.append(Mortal(name))
    elif isinstance(container, dict):
        for part in list(container.values()):
            fill(part, name)
        container["added"] = Mortal(name)
    elif isinstance(container, tuple):
        for part in container:
            fill(part, name)


def note(what):
    events.append(what)
    return what


class Note:
    """A call that is written down, so that there is an order."""

    def __init__(self, what):
        self.what = what

    def __reduce__(self):
        return note, (self.what,)


def call(*containers):
    fill(containers)
    events.append("called")
    return len(containers)


def call_and_empty(container):
    """What lies in it is no longer held by it."""
    fill(container)
    container.clear()
    events.append("called")


class Reduced:
    function = staticmethod(call)

    def __init__(self, *containers):
        self.containers = containers

    def __reduce__(self):
        return self.function, self.containers


class Emptied(Reduced):
    function = staticmethod(call_and_empty)


class Constructed:
    def __init__(self, container):
        fill(container)
        events.append("made")

    def __reduce__(self):
        return Constructed, self.container


class Made:
    def __new__(cls, *containers):
        fill(containers)
        events.append("made")
        return object.__new__(cls)

    def __getnewargs__(self):
        return self.containers

    def __getstate__(self):
        return None


class MadeByKeyword:
    def __new__(cls, *, container):
        fill(container)
        events.append("made")
        return object.__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"container": self.container}

    def __getstate__(self):
        return None


class Stated:
    def __init__(self, state):
        self.state = state

    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        fill(state)
        events.append("stated")


class Lists(list):
    def extend(self, items):
        for item in items:
            self.append(item)

    def append(self, item):
        fill(item)
        events.append("appended")

    def __reduce_ex__(self, protocol):
        return Lists, (), None, iter(self)


class Dicts(dict):
    def __setitem__(self, key, value):
        fill(value)
        events.append("set")

    def __reduce_ex__(self, protocol):
        return Dicts, (), None, None, iter(self.items())


class Attributes:
    __slots__ = ("a",)

    def __setattr__(self, name, value):
        fill(value)
        events.append("attribute")


def with_(cls, **attributes):
    made = object.__new__(cls)
    for name, value in attributes.items():
        object.__setattr__(made, name, value)
    return made


def lists(containers):
    made = Lists()
    for each in containers:
        list.append(made, each)
    return made


def dicts(containers):
    made = Dicts()
    for i, each in enumerate(containers):
        dict.__setitem__(made, i, each)
    return made


CONTAINERS = {
    "list": list,
    "filled list": lambda: [1, "two", None],
    "dict": dict,
    "filled dict": lambda: {"a": 1, "b": 2, "c": 3, "d": 4},
    "tuple": lambda: ([], {}),
    "nested": lambda: [[], {"a": [], "b": ([],)}],
    "atoms": lambda: (1, "two"),
}

CALLABLES = {
    "reducer": lambda make: Reduced(make(), 1, make()),
    "emptying": lambda make: Emptied(make()) if hasattr(make(), "clear") else None,
    "constructor": lambda make: with_(Constructed, container=(make(),)),
    "new": lambda make: with_(Made, containers=(make(), make())),
    "new by keyword": lambda make: with_(MadeByKeyword, container=make()),
    "setstate": lambda make: Stated(make()),
    "setstate in a dict": lambda make: Stated({"inner": make()}),
    "append": lambda make: lists([make()]),
    "extend": lambda make: lists([make(), make()]),
    "setitem": lambda make: dicts([make(), make()]),
    "setattr": lambda make: with_(Attributes, a=make()),
}


def shared(make):
    """One container, which several are handed."""
    container = make()
    return [Reduced(container), Note("between"), Reduced(container), container]


def deaths(module, data):
    events.clear()
    loaded = module.loads(data)
    events.append("loaded")
    del loaded
    return list(events)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("callable_", CALLABLES)
def test_it_lives_as_long_as_there(callable_, container, protocol):
    make = CONTAINERS[container]
    each = CALLABLES[callable_](make)
    objects = [Note("before"), each, Note("between"), CALLABLES[callable_](make), Note("after")]
    try:
        data = _stdlib.dumps(objects, protocol)
    except (pickle.PicklingError, TypeError):
        pytest.skip("not in this protocol")
    for pickled in (data, fastcopyreg.pickle.dumps(each, protocol), pickletools.optimize(data)):
        expected = deaths(loading.STANDARD, pickled)
        assert deaths(loading.OURS, pickled) == expected


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("container", CONTAINERS)
def test_one_that_several_are_handed(container, protocol):
    data = _stdlib.dumps(shared(CONTAINERS[container]), protocol)
    assert deaths(loading.OURS, data) == deaths(loading.STANDARD, data)


def test_extension_types_in_a_table(clean_registry):
    """A reducer in the table gives what the function is handed."""
    copyreg.pickle(Note, lambda each: (call, ([each.what], {})))
    data = _stdlib.dumps([Note("one"), Note("two")])
    assert deaths(loading.OURS, data) == deaths(loading.STANDARD, data)
