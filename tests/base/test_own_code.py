"""What the core does for itself can neither fail nor be seen.

It reads functions with Python code of its own, which it imports when it has met enough objects. In
each of the ways in which that can go wrong, the caller gets what the standard library gives.
"""

import builtins
import collections
import contextlib
import copy as std_copy
import dataclasses
import fractions
import functools
import ipaddress
import os
import pathlib
import pickle as std_pickle
import signal
import subprocess
import sys
import uuid
import warnings

import pytest

from support import outcomes
from support.child import requires_fork
from support.folders import TESTS
from support.implementations import PLANS_ARE_ON

pytestmark = [
    pytest.mark.core,
    pytest.mark.skipif(not PLANS_ARE_ON, reason="nothing is read without plans"),
]

COUNT = 400


class Reduced:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return Reduced, (self.x,)


class Stateful:
    def __init__(self, x):
        self.x = x

    def __setstate__(self, state):
        self.__dict__.update(state)


class Oddly:
    """Its copy is made by the standard library's function, by way of Python code of ours."""

    def __reduce_ex__(self, protocol):
        return Oddly, (), None, None, iter([[1, 2]])

    def __setitem__(self, key, value):
        pass


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: int


KINDS = {
    "reducer": lambda: [Reduced(i) for i in range(COUNT)],
    "setstate": lambda: [Stateful(i) for i in range(COUNT)],
    "odd items": lambda: [Oddly() for _ in range(COUNT)],
    "frozen": lambda: [FrozenSlots(i) for i in range(COUNT)],
    "UUID": lambda: [uuid.UUID(int=i) for i in range(COUNT)],
    "Path": lambda: [pathlib.PurePosixPath(f"a/{i}") for i in range(COUNT)],
    "IPv6Address": lambda: [ipaddress.IPv6Address(i) for i in range(COUNT)],
    "IPv4Address": lambda: [ipaddress.IPv4Address(i) for i in range(COUNT)],
    "Counter": lambda: [collections.Counter("ab") for _ in range(COUNT)],
    "Fraction": lambda: [fractions.Fraction(i, 7) for i in range(COUNT)],
}


def outcome(function, *arguments):
    """What comes out, in terms that can be compared."""
    result = outcomes.outcome(function, *arguments)
    return [facts(each) for each in result] if type(result) is list else result


def facts(each):
    return type(each), getattr(each, "__dict__", None), getattr(each, "x", None)


def all_outcomes(pickle, copy, values, data):
    return [
        outcome(pickle.dumps, values, 4),
        outcome(pickle.loads, data),
        outcome(copy.deepcopy, values),
        outcome(lambda: [copy.copy(each) for each in values]),
    ]


# --- ways in which it goes wrong, each for the rest of the process


class Refusing(Exception):
    pass


def refuse(*arguments, **keywords):
    raise Refusing("nothing of the kind")


def refuse_event(*names, error=Refusing):
    def hook(event, arguments):
        # Descriptors are opened by what reports from here.
        if event in names and not (event == "open" and type(arguments[0]) is int):
            raise error(event)

    sys.addaudithook(hook)


class RefusingFinder:
    find_spec = staticmethod(refuse)


def empty_modules():
    for name in [name for name in sys.modules if name.startswith("fastcopyreg")]:
        del sys.modules[name]


PARTS = ("values", "bytecode", "functions", "instructions", "steps")
COMPILER = ("compiler", "_compiler", *(f"_compiler.{part}" for part in PARTS))


def hide_modules():
    for name in COMPILER:
        sys.modules[f"fastcopyreg.{name}"] = None


def break_import():
    builtins.__import__ = refuse_imports_of_ours


def refuse_imports_of_ours(name, globals=None, locals=None, fromlist=(), level=0):
    if level or name.startswith(("fastcopyreg", "opcode", "_sha")):
        raise Refusing(name)
    return original_import(name, globals, locals, fromlist, level)


original_import = builtins.__import__


def change_root(folder="/proc/self/fdinfo"):
    if not hasattr(os, "chroot") or os.geteuid() != 0:
        pytest.skip("only root can change the root")
    os.chroot(folder)


def replace_helpers(error):
    import fastcopyreg.compiler
    from fastcopyreg._compiler import values

    def fail(*arguments):
        raise error

    for name in ("compile_reducer", "compile_constructor", "compile_setstate"):
        setattr(fastcopyreg.compiler, name, fail)
    values.known = values.constructor = fail


def lose_kinds():
    import fastcopyreg.compiler

    fastcopyreg.compiler.KINDS = ()


HARMS = {
    "nothing": lambda: None,
    "import is audited": lambda: refuse_event("import"),
    "open is audited": lambda: refuse_event("open"),
    "exec is audited": lambda: refuse_event("exec"),
    "compile is audited": lambda: refuse_event("compile", "marshal.loads"),
    "reading is audited": lambda: refuse_event("object.__getattr__"),
    "an audit of another kind": lambda: refuse_event("import", error=TimeoutError),
    "a finder raises": lambda: sys.meta_path.insert(0, RefusingFinder),
    "no finders": sys.meta_path.clear,
    "no path": sys.path.clear,
    "no package": empty_modules,
    "no modules": lambda: sys.modules.clear(),
    "no module for it": hide_modules,
    "import is replaced": break_import,
    "another root": change_root,
    "MemoryError": lambda: replace_helpers(MemoryError),
    "RecursionError": lambda: replace_helpers(RecursionError),
    "ValueError": lambda: replace_helpers(ValueError("words")),
    "an error of its own": lambda: replace_helpers(Refusing()),
    "another compiler": lose_kinds,
    "warnings are errors": lambda: warnings.simplefilter("error"),
}


def compared(harm, kind):
    """In a process of its own: what differs where the harm is done."""
    from fastcopyreg import copy, pickle

    values = KINDS[kind]()
    data = outcome(std_pickle.dumps, values, 4)
    data = data if type(data) is bytes else std_pickle.dumps([])
    HARMS[harm]()
    expected = all_outcomes(std_pickle, std_copy, values, data)
    for _ in range(2):
        actual = all_outcomes(pickle, copy, values, data)
        if actual != expected:
            return [
                (str(a)[:300], str(b)[:300])
                for a, b in zip(expected, actual, strict=True)
                if a != b
            ]
    return []


PROGRAM = """
import os, sys
sys.path[:0] = {paths!r}
import test_own_code
said = {call}
os.write(1, repr(said).encode())
os._exit(0)
"""


def in_new_process(call):
    """What a call of this module's gives in a process that has met no object yet."""
    paths = [os.path.dirname(os.path.abspath(__file__)), str(TESTS)]
    child = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM.format(paths=paths, call=f"test_own_code.{call}")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert child.stderr == ""
    return child.stdout


def compared_for_all(harm):
    """The same for each kind in a fork, so that the modules are imported once."""
    from support.child import in_child

    found = {kind: in_child(compared, harm, kind) for kind in KINDS}
    return {kind: difference for kind, difference in found.items() if difference}


@pytest.mark.parametrize("harm", HARMS)
def test_its_failures_are_not_the_callers(harm):
    if harm == "another root" and (not hasattr(os, "chroot") or os.geteuid() != 0):
        pytest.skip("only root can change the root")
    assert in_new_process(f"compared_for_all({harm!r})") == "{}"


# --- who is not told


def is_ours(code):
    return "fastcopyreg" in code.co_filename


def traced(note):
    def trace(frame, event, argument):
        note(frame.f_code)
        return trace

    sys.settrace(trace)


def profiled(note):
    sys.setprofile(lambda frame, event, argument: note(frame.f_code))


def monitored(note):
    monitoring = sys.monitoring
    monitoring.use_tool_id(3, "note")
    monitoring.register_callback(3, monitoring.events.PY_START, lambda code, offset: note(code))
    monitoring.set_events(3, monitoring.events.PY_START)


WATCHERS = {"trace": traced, "profile": profiled}
if sys.version_info >= (3, 12):
    WATCHERS["monitoring"] = monitored


def codes_seen(watcher, kind):
    """Which code of ours a watcher has seen while objects were met often, one for each call."""
    from fastcopyreg import copy, pickle

    values = KINDS[kind]()
    data = std_pickle.dumps(values, 4) if kind != "odd items" else std_pickle.dumps([])
    seen = []
    WATCHERS[watcher](lambda code: seen.append(code.co_name) if is_ours(code) else None)
    with contextlib.suppress(TypeError):
        pickle.dumps(values, 4)
    pickle.loads(data)
    copy.deepcopy(values)
    for value in values:
        copy.copy(value)
    sys.settrace(None)
    sys.setprofile(None)
    return seen


def codes_seen_of_all(watcher):
    from support.child import in_child

    found = {kind: in_child(codes_seen, watcher, kind) for kind in KINDS}
    return {kind: seen for kind, seen in found.items() if seen}


@pytest.mark.parametrize("watcher", WATCHERS)
def test_who_watches_the_program_does_not_see_it(watcher):
    assert in_new_process(f"codes_seen_of_all({watcher!r})") == "{}"


def events_told(kind):
    """The audit events while functions are read, where all modules are there already."""
    import fastcopyreg._compiler.values
    import fastcopyreg.compiler  # noqa: F401
    from fastcopyreg import copy, pickle

    values, events = KINDS[kind](), []
    warm = KINDS["reducer" if kind != "reducer" else "Fraction"]()
    pickle.loads(pickle.dumps(warm, 4))
    sys.addaudithook(lambda event, arguments: events.append(event))
    events.clear()
    with contextlib.suppress(TypeError):
        pickle.loads(pickle.dumps(values, 4))
    copy.deepcopy(values)
    return sorted(set(events) - {"pickle.find_class"})


@pytest.mark.parametrize("kind", KINDS)
def test_no_audit_hook_is_told_of_what_is_read(kind):
    from support.child import in_child

    assert in_child(events_told, kind) == []


# --- what passes


class Handler:
    """A signal handler in each of the forms that one may have."""

    def __call__(self, *arguments):
        raise TimeoutError("by a handler")

    def method(self, *arguments):
        raise TimeoutError("by a handler")


def function_as_handler(*arguments):
    raise TimeoutError("by a handler")


def interrupts(*arguments):
    raise KeyboardInterrupt


HANDLERS = {
    "function": function_as_handler,
    "method": Handler().method,
    "object": Handler(),
    "partial": functools.partial(function_as_handler, 1),
    "KeyboardInterrupt": interrupts,
    "default": signal.default_int_handler,
}


class Interrupting:
    """A finder that lets a signal arrive while the n-th module of ours is imported."""

    def __init__(self, nth):
        self.left = nth

    def find_spec(self, name, path=None, target=None):
        if name.startswith(("fastcopyreg", "opcode", "_sha")):
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)


def interrupted(handler, nth, kind):
    """What passes, and whether all is as if there had been no signal when it is done again."""
    from fastcopyreg import _core, pickle

    signal.signal(signal.SIGINT, HANDLERS[handler])
    finder = Interrupting(nth)
    sys.meta_path.insert(0, finder)
    values = KINDS[kind]()
    raised = None
    try:
        pickle.loads(pickle.dumps(values, 4))
    except BaseException as error:
        raised = type(error).__name__, str(error)
    arrived = finder.left <= 0
    pickle.loads(pickle.dumps(values, 4))
    before = _core.plan_counts()
    pickle.loads(pickle.dumps(values, 4))
    after = _core.plan_counts()
    return arrived, raised, after[0] - before[0] >= COUNT or after[1] - before[1] >= COUNT


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("kind", ["reducer", "Fraction"])
@requires_fork
def test_a_signal_handlers_exception_passes_and_costs_nothing(handler, kind):
    is_interrupt = handler in ("KeyboardInterrupt", "default")
    expected = ("KeyboardInterrupt", "") if is_interrupt else ("TimeoutError", "by a handler")
    said = eval(in_new_process(f"interrupted_each({handler!r}, {kind!r})"))
    assert len([arrived for arrived, _, _ in said if arrived]) > 2
    for arrived, raised, made in said:
        assert raised == (expected if arrived else None)
        assert made


def interrupted_each(handler, kind):
    from support.child import in_child

    return [in_child(interrupted, handler, nth, kind) for nth in range(1, 9)]


def value_interrupted(kind):
    from fastcopyreg import _core, copy, pickle

    signal.signal(signal.SIGINT, function_as_handler)
    sys.meta_path.insert(0, Interrupting(1))
    values = KINDS[kind]()
    raised = None
    try:
        copy.deepcopy(pickle.loads(pickle.dumps(values, 4)))
    except TimeoutError as error:
        raised = str(error)
    again = pickle.dumps(values, 4)
    return raised, again == std_pickle.dumps(values, 4), _core.reads_values(type(values[0]))


@requires_fork
@pytest.mark.parametrize("kind", ["UUID", "IPv6Address", "Counter"])
def test_a_row_of_values_is_not_turned_off_by_a_signal(kind):
    said = in_new_process(f"value_interrupted({kind!r})")
    assert eval(said) == ("by a handler", True, True)
