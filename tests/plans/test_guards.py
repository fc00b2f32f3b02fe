"""Every guard of a plan, broken between dumps and within one, beside the standard library.

Each case makes its classes and functions anew, in a module of their own, has the reducer read into
a plan, and then breaks something that the plan was read from. Whatever the standard library's
pickler does from then on is what ours must do: the same bytes, or the same exception.
"""

import _thread
import collections
import contextlib
import copyreg
import functools
import io
import pickle as std_pickle
import sys
import threading
import types
import weakref

import pytest

import fastcopyreg
from fastcopyreg import pickle

if fastcopyreg.backend != "c":
    pytest.skip("the Python backend calls every function", allow_module_level=True)

from fastcopyreg import _core
from support.implementations import PLANS_ARE_ON
from support.outcomes import outcome

SOURCE = """
import copyreg
import other

class Point:
    __slots__ = ("x", "y", "z")
    shared = "on the class"
    def __init__(self, x, y):
        self.x = x
        self.y = y

class Plain:
    shared = "on the class"
    def __init__(self, x, y):
        self.x = x
        self.y = y

class Twin:
    def __init__(self, *args):
        self.args = args

class Trigger:
    pass

class Meta(type):
    pass

def make(*args):
    return args

def reduce_global(o):
    return make, (o.x, o.y)

def reduce_default(o, constructor=make, extra=5):
    return constructor, (o.x, extra)

def reduce_keyword_default(o, *, constructor=make, extra=5):
    return constructor, (o.x, extra)

def close(constructor, extra):
    def reduce_closure(o):
        return constructor, (o.x, extra)
    return reduce_closure

reduce_closure = close(make, 7)

def reduce_module(o):
    return other.make, (o.x, o.y)

def reduce_type(o):
    return make, (type(o).shared, o.x)

def reduce_getattr(o):
    return make, (getattr(o, "x"), getattr(o, "absent", None))

def reduce_class(o):
    return o.__class__, (o.x, o.y)

def reduce_state(o):
    return make, (o.x,), {"x": o.x, "y": o.y}, None, None, None

def reduce_plain_state(o):
    return Point, (o.x, o.y), {"z": o.y}

def reduce_branch(o):
    if o.y:
        return make, (o.x, o.y)
    return make, (o.x,)

def reduce_shared(o):
    return make, (o.x, o.shared)

def reduce_dict(o):
    return make, (o.x,), None, None, None, None

def reduce_builtin(o):
    return list, ((o.x, o.y),)

def reduce_whole(o):
    return make, (o.__dict__,)

class Bound:
    def __init__(self, extra):
        self.extra = extra
    def reduce(self, o):
        return make, (o.x, self.extra)
"""

OTHER = """
def make(*args):
    return args
"""


class Case:
    """Two modules of classes and reducers, of which one reducer is registered for two classes."""

    def __init__(self, reducer):
        self.other = types.ModuleType("other")
        self.module = types.ModuleType("guarded")
        sys.modules["other"] = self.other
        sys.modules["guarded"] = self.module
        exec(OTHER, vars(self.other))
        exec(SOURCE, vars(self.module))
        self.reducer = reducer(self.module) if callable(reducer) else getattr(self.module, reducer)
        for cls in (self.module.Point, self.module.Plain):
            copyreg.pickle(cls, self.reducer)

    def objects(self, count=4):
        classes = (self.module.Point, self.module.Plain)
        return [classes[i % 2](i, [f"y{i}"]) for i in range(count)]

    def close(self):
        for cls in (self.module.Point, self.module.Plain, self.module.Trigger):
            copyreg.dispatch_table.pop(cls, None)
        del sys.modules["guarded"], sys.modules["other"]


@contextlib.contextmanager
def case_of(reducer):
    case = Case(reducer)
    try:
        yield case
    finally:
        case.close()


def planned(value, protocol):
    """Our outcome, and how many objects a plan took apart on the way."""
    before = _core.plan_counts()[0]
    answer = outcome(pickle.dumps, value, protocol)
    return answer, _core.plan_counts()[0] - before


def warm_up(case, protocol):
    for _ in range(3):
        answer, count = planned(case.objects(), protocol)
    assert answer == outcome(std_pickle.dumps, case.objects(), protocol)
    if PLANS_ARE_ON:
        assert count == len(case.objects())


# What a guard is about: the reducer, and what breaks it.


def set_attribute(path, name, value):
    def breaks(case):
        holder = case.module
        for part in path.split(".") if path else ():
            holder = getattr(holder, part)
        made = value(case) if callable(value) else value
        setattr(holder, name, made)

    return breaks


def delete_attribute(path, name):
    def breaks(case):
        holder = case.module
        for part in path.split(".") if path else ():
            holder = getattr(holder, part)
        delattr(holder, name)

    return breaks


def other_code(case):
    def replacement(o):
        return tuple, ((o.x,),)

    case.reducer.__code__ = replacement.__code__


def other_cell(case):
    case.reducer.__closure__[0].cell_contents = case.module.Twin


def empty_cell(case):
    del case.reducer.__closure__[1].cell_contents


def other_reducer(case):
    for cls in (case.module.Point, case.module.Plain):
        copyreg.dispatch_table[cls] = lambda o: (case.module.make, (o.y,))


def no_reducer(case):
    for cls in (case.module.Point, case.module.Plain):
        del copyreg.dispatch_table[cls]


def add_property(case):
    case.module.Point.x = property(lambda self: "from a property")
    case.module.Plain.x = property(lambda self: "from a property")


def raising_property(case):
    def raises(self):
        raise ValueError("no x")

    case.module.Point.x = case.module.Plain.x = property(raises)


def add_getattribute(case):
    def getattribute(self, name):
        return f"got {name}" if name == "x" else object.__getattribute__(self, name)

    case.module.Point.__getattribute__ = case.module.Plain.__getattribute__ = getattribute


def add_getattr(case):
    case.module.Plain.__getattr__ = lambda self, name: f"made up {name}"


def rename_class(case):
    case.module.Point.__qualname__ = "Elsewhere"


def rename_make(case):
    case.module.make.__name__ = "__newobj__"


def rename_make_qualified(case):
    case.module.make.__qualname__ = "elsewhere"


def move_make(case):
    case.module.make.__module__ = "other"


def hide_module(case):
    sys.modules["guarded"] = types.ModuleType("guarded")


def shadow(name):
    return lambda case: vars(case.module).__setitem__(name, lambda *args: "not " + name)


def data_descriptor(case):
    class Descriptor:
        def __get__(self, instance, owner):
            return "described"

        def __set__(self, instance, value):
            raise AttributeError

    case.module.Plain.x = Descriptor()


BETWEEN = {
    "code": ("reduce_global", other_code),
    "table entry": ("reduce_global", other_reducer),
    "table entry removed": ("reduce_global", no_reducer),
    "global rebound": ("reduce_global", set_attribute("", "make", lambda c: c.module.Twin)),
    "global deleted": ("reduce_global", delete_attribute("", "make")),
    "global not callable": ("reduce_global", set_attribute("", "make", 5)),
    "global not importable": (
        "reduce_global",
        set_attribute("", "make", lambda c: lambda *args: args),
    ),
    "builtin overshadowed": ("reduce_builtin", shadow("list")),
    "type overshadowed": ("reduce_type", shadow("type")),
    "getattr overshadowed": ("reduce_getattr", shadow("getattr")),
    "default": (
        "reduce_default",
        set_attribute("reduce_default", "__defaults__", lambda c: (c.module.Twin, 6)),
    ),
    "default removed": ("reduce_default", set_attribute("reduce_default", "__defaults__", None)),
    "one default removed": (
        "reduce_default",
        set_attribute("reduce_default", "__defaults__", (5,)),
    ),
    "keyword default": (
        "reduce_keyword_default",
        set_attribute(
            "reduce_keyword_default",
            "__kwdefaults__",
            lambda c: {"constructor": c.module.Twin, "extra": 1},
        ),
    ),
    "keyword default removed": (
        "reduce_keyword_default",
        set_attribute("reduce_keyword_default", "__kwdefaults__", None),
    ),
    "keyword default edited": (
        "reduce_keyword_default",
        lambda case: case.reducer.__kwdefaults__.update(extra="edited"),
    ),
    "cell": ("reduce_closure", other_cell),
    "cell emptied": ("reduce_closure", empty_cell),
    "module attribute": ("reduce_module", lambda case: setattr(case.other, "make", tuple)),
    "module attribute deleted": ("reduce_module", lambda case: delattr(case.other, "make")),
    "module getattr": (
        "reduce_module",
        lambda case: (
            delattr(case.other, "make"),
            setattr(case.other, "__getattr__", lambda name: tuple),
        ),
    ),
    "module replaced": (
        "reduce_module",
        set_attribute("", "other", types.SimpleNamespace(make=set)),
    ),
    "property": ("reduce_global", add_property),
    "property that raises": ("reduce_global", raising_property),
    "getattribute": ("reduce_global", add_getattribute),
    "getattr": ("reduce_global", add_getattr),
    "data descriptor": ("reduce_global", data_descriptor),
    "class renamed": ("reduce_class", rename_class),
    "constructor named newobj": ("reduce_global", rename_make),
    "constructor renamed": ("reduce_global", rename_make_qualified),
    "constructor moved": ("reduce_global", move_make),
    "module hidden": ("reduce_global", hide_module),
    "class attribute": ("reduce_shared", set_attribute("Plain", "shared", "another")),
    "class attribute by type": ("reduce_type", set_attribute("Plain", "shared", "another")),
    "slot descriptor deleted": ("reduce_global", delete_attribute("Point", "x")),
    "state's class changed": ("reduce_plain_state", add_property),
    "class of the object": ("reduce_class", add_property),
    "bound method's function": (
        lambda module: module.Bound(3).reduce,
        lambda case: setattr(
            case.reducer.__func__, "__code__", (lambda self, o: (tuple, ((o.y,),))).__code__
        ),
    ),
    "bound method's object": (
        lambda module: module.Bound(3).reduce,
        lambda case: setattr(case.reducer.__self__, "extra", "changed"),
    ),
}


def broken_objects(case):
    return case.objects(6)


@pytest.mark.parametrize("protocol", (2, 4, 5))
@pytest.mark.parametrize("name", BETWEEN)
def test_between_dumps(name, protocol, read_at_once):
    reducer, breaks = BETWEEN[name]
    with case_of(reducer) as case:
        warm_up(case, protocol)
        objects = broken_objects(case)
        breaks(case)
        expected = outcome(std_pickle.dumps, objects, protocol)
        for _ in range(3):
            assert outcome(pickle.dumps, objects, protocol) == expected


@pytest.mark.parametrize("protocol", (2, 5))
@pytest.mark.parametrize("name", BETWEEN)
def test_in_the_middle_of_a_dump(name, protocol, read_at_once):
    """The reducer of an object in the middle of the list breaks the guard."""
    reducer, breaks = BETWEEN[name]
    answers = []
    for dumps in (std_pickle.dumps, pickle.dumps):
        with case_of(reducer) as case:
            warm_up(case, protocol)

            def trigger(o, case=case):
                breaks(case)
                return str, (f"broken {len('now')}",)

            copyreg.pickle(case.module.Trigger, trigger)
            value = [*case.objects(), case.module.Trigger(), *case.objects()]
            answers.append(outcome(dumps, value, protocol))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", BETWEEN)
def test_by_a_part_of_the_object_itself(name, read_at_once):
    """The guard is broken while the parts that the plan has read are being written."""
    reducer, breaks = BETWEEN[name]
    answers = []
    for dumps in (std_pickle.dumps, pickle.dumps):
        with case_of(reducer) as case:
            warm_up(case, 5)
            done = []

            def trigger(o, case=case, done=done):
                if not done:
                    done.append(breaks(case))
                return str, ("broken",)

            copyreg.pickle(case.module.Trigger, trigger)
            objects = case.objects()
            for item in objects:
                item.x, item.y = case.module.Trigger(), [item.y]
            answers.append(outcome(dumps, [*case.objects(), *objects, *case.objects()], 5))
    assert answers[0] == answers[1]


# Objects that are not as the plan would have them


def instance_shadows(item):
    item.__dict__["shared"] = "on the instance"


def unset(item):
    with contextlib.suppress(AttributeError):
        del item.y


def odd_dict(item):
    item.__dict__ = type("Odd", (dict,), {})(x=1, y=2)


def odd_keys(item):
    item.__dict__[5] = "a key that is no string"


def made_dict(item):
    item.__dict__  # noqa: B018


INSTANCES = {
    "shadowing": ("reduce_shared", instance_shadows),
    "unset": ("reduce_global", unset),
    "unset, in the state": ("reduce_plain_state", unset),
    "a dict of another type": ("reduce_global", odd_dict),
    "a dict with other keys": ("reduce_global", odd_keys),
    "a dict that was made": ("reduce_global", made_dict),
}


@pytest.mark.parametrize("protocol", (2, 5))
@pytest.mark.parametrize("name", INSTANCES)
def test_odd_instances(name, protocol, read_at_once):
    reducer, alters = INSTANCES[name]
    with case_of(reducer) as case:
        warm_up(case, protocol)
        objects = [case.module.Plain(i, f"y{i}") for i in range(4)]
        objects[2:2] = [case.module.Point(7, 8)]
        alters(objects[1])
        expected = outcome(std_pickle.dumps, objects, protocol)
        assert outcome(pickle.dumps, objects, protocol) == expected


class Failure(Exception):
    """Its __dict__ is where exceptions have it, and not where classes do."""


class Listed(list):
    pass


class Numbered(int):
    pass


class Paired(tuple):
    __slots__ = ()
    x = y = "on the class"


class Open:
    __slots__ = ("__dict__", "x")


class Weak:
    __slots__ = ("__weakref__", "x", "y")


class Called:
    def __call__(self):
        raise AssertionError


@pytest.mark.parametrize("cls", (Failure, Listed, Numbered, Paired, Open, Weak, Called))
@pytest.mark.parametrize("reducer", ("reduce_global", "reduce_plain_state", "reduce_type"))
def test_instances_of_other_layouts(cls, reducer, read_at_once):
    with case_of(reducer) as case:
        copyreg.pickle(cls, case.reducer)
        try:
            for protocol in (2, 4, 5, 5, 5):
                value = [cls() for _ in range(4)]
                for i, item in enumerate(value):
                    with contextlib.suppress(AttributeError):
                        item.x, item.y = i, [i]
                expected = outcome(std_pickle.dumps, value, protocol)
                assert outcome(pickle.dumps, value, protocol) == expected
                assert outcome(pickle.dumps, value, protocol) == expected
        finally:
            del copyreg.dispatch_table[cls]


def test_attributes_presented_again(read_at_once):
    """An object's values come by a second time through its __dict__, a list, itself."""
    with case_of("reduce_global") as case:
        warm_up(case, 5)
        for protocol in (2, 5):
            items = [case.module.Plain(f"x{i}", [f"y{i}"]) for i in range(4)]
            value = [items[0], items[0].__dict__, items[1], items[1].y, items[2], items[2], items]
            assert pickle.dumps(value, protocol) == std_pickle.dumps(value, protocol)
            value = [items[3], vars(items[3])["y"], vars(items[3])]
            assert pickle.dumps(value, protocol) == std_pickle.dumps(value, protocol)


def test_cycles_through_the_arguments(read_at_once):
    """An object in its own arguments: by way of a list, and at once, without an end."""
    with case_of("reduce_global") as case:
        warm_up(case, 5)
        item = case.module.Point(1, [])
        item.y.append(item)
        for protocol in (2, 5):
            assert pickle.dumps(item, protocol) == std_pickle.dumps(item, protocol)
        item.x = item
        expected = outcome(std_pickle.dumps, item, 5)
        assert expected[0] is RecursionError
        assert outcome(pickle.dumps, item, 5)[0] is RecursionError


def test_cycles_through_the_state(read_at_once):
    with case_of("reduce_plain_state") as case:
        warm_up(case, 5)
        inner = []
        items = [case.module.Point(1, 2), case.module.Plain(3, 4)]
        for item in items:
            item.x = inner
        inner.append("inner")
        for protocol in (2, 4, 5):
            assert pickle.dumps(items, protocol) == std_pickle.dumps(items, protocol)


def test_a_spoofed_class(read_at_once):
    with case_of("reduce_class") as case:
        exec(
            "class Spoofed(Plain):\n"
            "    __module__ = 'guarded'\n"
            "    __class__ = property(lambda self: Twin)",
            vars(case.module),
        )
        copyreg.pickle(case.module.Spoofed, case.reducer)
        try:
            for _ in range(3):
                value = [*case.objects(), case.module.Spoofed(1, 2)]
                assert pickle.dumps(value, 5) == std_pickle.dumps(value, 5)
        finally:
            del copyreg.dispatch_table[case.module.Spoofed]


def test_a_dict_is_read_where_it_is(read_at_once):
    with case_of("reduce_whole") as case:
        for cls in (case.module.Plain, type("Derived", (case.module.Plain,), {})):
            copyreg.pickle(cls, case.reducer)
            try:
                for protocol in (2, 5):
                    value = [cls(i, [i]) for i in range(4)]
                    for _ in range(3):
                        answer = outcome(pickle.dumps, value, protocol)
                        assert answer == outcome(std_pickle.dumps, value, protocol)
            finally:
                del copyreg.dispatch_table[cls]


@pytest.mark.parametrize("name", ["__dict__", "__weakref__", "__class__", "stranger"])
def test_a_dict_that_is_another_attribute(name, read_at_once):
    """What a class has under the name is no more than what it is."""
    owner = type("Owner", (), {"stranger": property(lambda self: {"x": 1})})
    descriptor = vars(object if name == "__class__" else owner)[name]
    cls = type("Item", (), {"__dict__": descriptor, "__slots__": ("x", "__weakref__")})
    bare = type("Bare", (), {"__dict__": descriptor})
    with case_of("reduce_whole") as case:
        for of in (cls, bare):
            copyreg.pickle(of, case.reducer)
            try:
                for _ in range(3):
                    value = [*case.objects()[1::2], *(of() for _ in range(4))]
                    answer = outcome(pickle.dumps, value, 5)
                    assert answer == outcome(std_pickle.dumps, value, 5)
            finally:
                del copyreg.dispatch_table[of]


def test_chains(read_at_once):
    """An attribute of an attribute: a slot, a property, a module, a class, nothing."""

    def reduce(o):
        return tuple, ((o.x.y, o.y),)

    with case_of(lambda module: reduce) as case:
        inner = [
            case.module.Point(1, ["slot"]),
            case.module.Plain(1, ["dict"]),
            types.SimpleNamespace(y="namespace"),
            types.ModuleType("with y"),
            type("Class", (), {"y": "class"}),
            type("Described", (), {"y": property(lambda self: "property")})(),
        ]
        inner[3].y = "module"
        for _ in range(3):
            value = [case.module.Point(item, i) for i, item in enumerate(inner)]
            value += [case.module.Plain(item, i) for i, item in enumerate(inner)]
            assert pickle.dumps(value, 5) == std_pickle.dumps(value, 5)
        value.append(case.module.Plain(5, 6))
        assert outcome(pickle.dumps, value, 5) == outcome(std_pickle.dumps, value, 5)


def test_defaults_presented_again(read_at_once):
    """A default that nobody else holds, read by the plan and then saved by itself."""
    with case_of("reduce_default") as case:
        case.reducer.__defaults__ = (case.module.make, ["default"])
        warm_up(case, 5)
        value = [*case.objects(), case.reducer.__defaults__, *case.objects()]
        assert pickle.dumps(value, 5) == std_pickle.dumps(value, 5)


# Who watches calls


def watching_trace(calls):
    def trace(frame, event, argument):
        calls.append((frame.f_code.co_name, event))

    sys.settrace(trace)
    return lambda: sys.settrace(None)


def watching_profile(calls):
    def profile(frame, event, argument):
        if event == "call":
            calls.append((frame.f_code.co_name, event))

    sys.setprofile(profile)
    return lambda: sys.setprofile(None)


def watching_monitor(calls):
    monitoring = sys.monitoring
    monitoring.use_tool_id(4, "test")
    events = monitoring.events
    monitoring.register_callback(
        4, events.PY_START, lambda code, offset: calls.append((code.co_name, "start"))
    )
    monitoring.set_events(4, events.PY_START)

    def stop():
        monitoring.set_events(4, 0)
        monitoring.free_tool_id(4)

    return stop


def watching_one_function(calls):
    """Events of one code object only, which leave no trace anywhere else."""
    monitoring = sys.monitoring
    monitoring.use_tool_id(4, "test")
    events = monitoring.events
    code = sys.modules["guarded"].reduce_global.__code__
    monitoring.register_callback(
        4, events.PY_START, lambda code, offset: calls.append((code.co_name, "start"))
    )
    monitoring.set_local_events(4, code, events.PY_START)

    def stop():
        monitoring.set_local_events(4, code, 0)
        monitoring.free_tool_id(4)

    return stop


WATCHERS = [watching_trace, watching_profile]
if hasattr(sys, "monitoring"):
    WATCHERS += [watching_monitor, watching_one_function]


def assert_all_were_seen(calls, objects):
    """Each object's reducer while somebody watched; and none is called any more."""
    assert [name for name, event in calls].count("reduce_global") == len(objects)
    answer, count = planned(objects, 5)
    assert answer == std_pickle.dumps(objects, 5)
    assert count == (len(objects) if PLANS_ARE_ON else 0)


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer is at work")
@pytest.mark.parametrize("watch", WATCHERS)
def test_whoever_watches_sees_every_call(watch, read_at_once):
    with case_of("reduce_global") as case:
        warm_up(case, 5)
        objects = case.objects(10)
        calls = []
        stop = watch(calls)
        try:
            pickle.dumps(objects, 5)
        finally:
            stop()
        assert_all_were_seen(calls, objects)


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer is at work")
@pytest.mark.parametrize("watch", WATCHERS)
def test_watching_from_the_middle_of_a_dump(watch, read_at_once):
    with case_of("reduce_global") as case:
        warm_up(case, 5)
        calls, stops = [], []

        def trigger(o):
            stops.append(watch(calls))
            return str, ("watched",)

        copyreg.pickle(case.module.Trigger, trigger)
        try:
            pickle.dumps([*case.objects(3), case.module.Trigger(), *case.objects(5)], 5)
        finally:
            stops[0]()
        assert [name for name, event in calls].count("reduce_global") == 5


def dump_without_a_frame(objects):
    """In a thread in which no Python function runs but the reducers."""
    done = threading.Event()
    copyreg.pickle(threading.Event, lambda event: (event.set(), (str, ()))[1])
    try:
        _thread.start_new_thread(pickle.dumps, ([objects, done],))
        assert done.wait(20)
    finally:
        del copyreg.dispatch_table[threading.Event]


def dump_where_it_was_left(objects):
    """In a generator that was left before anybody watched, and that goes on by an exception."""
    try:
        yield
    except KeyError:
        yield pickle.dumps(objects, 5)


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="sys.monitoring came with 3.12")
@pytest.mark.parametrize("place", ["no frame", "a generator"])
def test_tools_are_seen_from_anywhere(place, read_at_once):
    with case_of("reduce_global") as case:
        warm_up(case, 5)
        calls, objects = [], case.objects(10)
        generator = dump_where_it_was_left(objects)
        next(generator)
        dump_without_a_frame(objects)
        stop = watching_monitor(calls)
        try:
            if place == "no frame":
                dump_without_a_frame(objects)
            else:
                generator.throw(KeyError)
        finally:
            stop()
        assert_all_were_seen(calls, objects)


# Private tables, hooks, partials


def test_private_tables_use_the_same_plans(read_at_once):
    class Private(pickle.Pickler):
        pass

    class StdPrivate(std_pickle.Pickler):
        pass

    with case_of("reduce_global") as case:
        warm_up(case, 5)
        for table in (
            {case.module.Point: case.module.reduce_default},
            copyreg.dispatch_table.copy(),
            types.MappingProxyType({case.module.Plain: case.module.reduce_default}),
        ):
            Private.dispatch_table = StdPrivate.dispatch_table = table
            answers = [through(cls, case.objects(8)) for cls in (Private, StdPrivate)] * 2
            assert answers[0] == answers[1]


def through(cls, value):
    file = io.BytesIO()
    return outcome(cls(file, 5).dump, value), file.getvalue()


def test_hooks_are_asked_as_often(read_at_once):
    seen = []

    class Asking(pickle.Pickler):
        def persistent_id(self, obj):
            seen.append(type(obj).__name__)
            return None

    class StdAsking(std_pickle.Pickler):
        persistent_id = Asking.persistent_id

    with case_of("reduce_plain_state") as case:
        warm_up(case, 5)
        objects = case.objects(6)
        assert through(Asking, objects) == through(StdAsking, objects)
        half = len(seen) // 2
        assert seen[:half] == seen[half:]


class Reducers:
    def __init__(self, extra):
        self.extra = extra

    def reduce(self, first, o, second=2, *, third=3):
        return collections.namedtuple, (self.extra, first, o.x, second, third)


def test_partials(read_at_once):
    """Partials of one function, which bind other arguments, and other values to them."""
    method = Reducers("extra").reduce
    reducers = [
        functools.partial(method, "first"),
        functools.partial(method, "another"),
        functools.partial(method, "first", third="third"),
        functools.partial(method, "first", second="second"),
        functools.partial(method, "first", second="second", third="third"),
        functools.partial(Reducers.reduce, Reducers("other"), ["first"]),
        functools.partial(functools.partial(Reducers.reduce, Reducers("other")), "first"),
        functools.partial(method, "first", fourth="no such argument"),
        functools.partial(method),
        functools.partial(method, *range(9)),
    ]
    counts = []
    for reducer in reducers * 2:
        with case_of(lambda module, reducer=reducer: reducer) as case:
            for _ in range(3):
                value = case.objects()
                answer, count = planned(value, 5)
                assert answer == outcome(std_pickle.dumps, value, 5)
            counts.append(count)
    if PLANS_ARE_ON:
        assert counts[0] == counts[1] == counts[10] == 4


class Types:
    """Two picklers that ask an override about all objects, and about those that it looks at."""

    asked = ()

    def reducer_override(self, obj):
        self.asked.append(obj)
        if isinstance(obj, type) and obj.__module__ == "guarded":
            return str, (obj.__name__,)
        return NotImplemented


class AskingAll(Types, std_pickle.Pickler):
    pass


class AskingSome(Types, pickle.Pickler):
    reducer_override_types = (type, types.FunctionType)


@pytest.mark.parametrize("reducer", ("reduce_global", "reduce_class", "reduce_plain_state"))
def test_overrides_that_name_their_types(reducer, read_at_once):
    with case_of(reducer) as case:
        warm_up(case, 5)
        value = [*case.objects(), case.module.Twin, case.module.Twin(), len, int]
        Types.asked = []
        expected = through(AskingAll, value)
        asked = [item for item in Types.asked if isinstance(item, (type, types.FunctionType))]
        Types.asked = []
        assert through(AskingSome, value) == expected
        assert Types.asked == asked


def test_overrides_of_wrong_types():
    class Wrong(AskingSome):
        reducer_override_types = [type]

    with pytest.raises(TypeError, match="must be a tuple of types"):
        Wrong(io.BytesIO()).dump(1)
    Wrong.reducer_override_types = (type, 5)
    with pytest.raises(TypeError, match="must be a tuple of types"):
        Wrong(io.BytesIO()).dump(1)
    Wrong.reducer_override_types = ()
    Types.asked = []
    Wrong(io.BytesIO()).dump([int, AskingAll])
    assert Types.asked == []


# Threads and reading itself


def test_threads_share_plans(read_at_once):
    with case_of("reduce_global") as case:
        expected = std_pickle.dumps(case.objects(50), 5)
        wrong = []

        def work():
            for _ in range(50):
                if pickle.dumps(case.objects(50), 5) != expected:
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_reading_waits_until_it_pays():
    before = _core.plan_threshold(100)
    try:
        with case_of("reduce_global") as case:
            for _ in range(24):
                assert planned(case.objects(), 5)[1] == 0
            counts = [planned(case.objects(), 5)[1] for _ in range(3)]
            if PLANS_ARE_ON:
                assert counts[-1] == 4
            _core.plan_threshold(0)
            assert planned(case.objects(), 5)[1] == 0
    finally:
        _core.plan_threshold(before)


def test_reading_is_invisible_near_the_recursion_limit():
    """A function that is due at the end of the stack is called, and read some other time."""
    before = _core.plan_threshold(1)
    try:
        with case_of("reduce_global") as case:

            def deep(dumps, depth):
                return deep(dumps, depth - 1) if depth else outcome(dumps, case.objects(), 5)

            depth = 0
            with contextlib.suppress(RecursionError):
                while True:
                    expected = deep(std_pickle.dumps, depth)
                    assert deep(pickle.dumps, depth) == expected
                    depth += 25
            assert depth > 100
    finally:
        _core.plan_threshold(before)


def test_plans_of_functions_that_are_gone_are_forgotten(read_at_once):
    """However many there were, the next is read, and few of them are kept."""
    references = []
    for number in range(5000):
        code = reducer_of_two.__code__.replace(co_firstlineno=number + 1)
        function = types.FunctionType(code, globals())
        references.append(weakref.ref(code))
        copyreg.pickle(Two, function)
        del code, function
        before, _ = _core.plan_counts()
        for _ in range(3):
            assert pickle.dumps(Two(1, number), 4) == std_pickle.dumps(Two(1, number), 4)
        assert _core.plan_counts()[0] > before
    del copyreg.dispatch_table[Two]
    # As many as there are in use, and not as many as there were.
    assert sum(reference() is not None for reference in references) < len(references) // 2


class Two:
    def __init__(self, left, right):
        self.left, self.right = left, right


def reducer_of_two(two):
    return Two, (two.left, two.right)
