"""``check``: whether an object, or the objects of a class, can be pickled, rebuilt and copied."""

import subprocess
import sys

from .. import _stdlib
from .. import copy as our_copy
from .. import pickle as our_pickle
from .._register import rules
from .._register.rules import class_name, shown, static_attribute, told
from . import paths
from .explanation import explanation_of

PROTOCOLS = range(2, our_pickle.HIGHEST_PROTOCOL + 1)
"""What is checked unless told otherwise; 0 and 1 cannot take slots apart."""

_FRESH_SECONDS = 60


class CheckError(AssertionError):
    """What ``check(x, raise_=True)`` raises; ``report`` is the `CheckReport`."""

    def __init__(self, report):
        super().__init__(str(report))
        self.report = report


class CheckReport:
    """What `check` found.  True if there are no problems.

    ``problems`` are pairs of the way to the part that is concerned and a sentence.
    """

    def __init__(self, name, checked, problems):
        self.name = name
        self.checked = tuple(checked)
        self.problems = tuple(problems)

    def __bool__(self) -> bool:
        return not self.problems

    def to_dict(self) -> "dict[str, object]":
        """Return the report as a dict of strings and lists, ready for JSON."""
        return {
            "name": self.name,
            "ok": bool(self),
            "checked": list(self.checked),
            "problems": [{"path": path, "problem": text} for path, text in self.problems],
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.name}: {len(self.problems)} problems>"

    def __str__(self) -> str:
        if self:
            return f"{self.name}: ok ({', '.join(self.checked)})"
        lines = [f"{self.name}: {len(self.problems)} problems"]
        lines += [f"    {path}: {text}" for path, text in self.problems]
        return "\n".join(lines)


def report_of(x, protocols=None):
    """Return the `CheckReport` of a class or an object; see ``fastcopyreg.check``."""
    if rules.is_class(x):
        name = class_name(x)
        problems = [(name, text) for text in explanation_of(x).warnings]
        problems += _fresh_problems(name, _stdlib.dumps, x)
        return CheckReport(rules.full_name(x), ["registration", "import by name"], problems)
    protocols = tuple(PROTOCOLS if protocols is None else protocols)
    problems = _grouped([*_protocol_problems(x, protocols), *_copy_problems(x)])
    checked = [*(f"protocol {protocol}" for protocol in protocols), "copy", "deepcopy"]
    if not problems:
        checked.append("a fresh interpreter")
        problems = list(_fresh_problems(class_name(type(x)), our_pickle.dumps, x))
    return CheckReport(f"an object of {rules.full_name(type(x))}", checked, problems)


def _grouped(problems):
    """Return pairs (way, text) of triples (way, text, where), one for what is the same."""
    found = {}
    for way, text, where in problems:
        found.setdefault((way, text), []).append(where)
    return [(way, f"{text} ({', '.join(places)})") for (way, text), places in found.items()]


def _protocol_problems(x, protocols):
    for protocol in protocols:
        problems = [(class_name(type(x)), text) for text in _reduction_problems(x, protocol)]
        for way, text in problems or _pickle_problems(x, protocol):
            yield way, text, f"protocol {protocol}"


# --- the reduce value


def _reduction_problems(x, protocol):
    """Yield what is wrong with the reduce value itself, its parts apart."""
    try:
        if not paths.is_reduced(x):
            return
        value = paths.reduce_value(x, protocol)
    except Exception as error:
        yield f"its reducer raises {told(error)}"
        return
    if type(value) is tuple and 2 <= len(value) <= 6:
        yield from _part_problems(*value)
    elif type(value) is tuple:
        yield f"its reduce value has {len(value)} parts; it has two to six"
    elif type(value) is not str:
        yield f"its reduce value is a {class_name(type(value))}; it is a str or a tuple"


def _part_problems(callee, arguments, state=None, items=None, pairs=None, setter=None):
    if not callable(callee):
        yield f"the first part of its reduce value is {shown(callee)}, which is not callable"
    basic = arguments is None and _has(callee, "__basicnew__")
    if type(arguments) is not tuple and not basic:
        kind = class_name(type(arguments))
        yield f"the arguments in its reduce value are a {kind}, not a tuple"
    for what, part in (("list", items), ("dict", pairs)):
        if part is not None and not _has(type(part), "__next__"):
            kind = class_name(type(part))
            yield f"the {what} items in its reduce value are a {kind}, no iterator"
    if setter is not None and not callable(setter):
        yield f"the state setter in its reduce value is {shown(setter)}, which is not callable"


def _has(obj, name):
    return rules.is_class(obj) and static_attribute(obj, name) is not None


# --- there and back


def _pickle_problems(x, protocol):
    """Yield what is wrong with pickling *x* and loading it again."""
    found = paths.way_to_refused(x, protocol)
    if found is None:
        yield from _round_trip(x, lambda: our_pickle.loads(our_pickle.dumps(x, protocol)))
    else:
        way, error = found
        yield way, f"cannot be pickled: {told(error)}"


def _copy_problems(x):
    for name, function in (("copy", our_copy.copy), ("deepcopy", our_copy.deepcopy)):
        for way, text in _round_trip(x, lambda function=function: function(x)):
            yield way, text, name


def _round_trip(x, make_again):
    try:
        again = make_again()
        difference = paths.way_to_difference(x, again, our_pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        yield class_name(type(x)), f"cannot be made again: {told(error)}"
    else:
        if difference is not None:
            yield difference, "is different afterwards"


# --- a fresh interpreter

_LOAD = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
try:
    pickle.load(sys.stdin.buffer)
except BaseException as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(1)
"""


def _fresh_problems(way, dumps, x):
    """Yield why a new process with the same path for imports could not load *x*."""
    try:
        data = _stdlib.dumps(sys.path) + dumps(x)
    except Exception as error:
        yield way, f"cannot be pickled: {told(error)}"
        return
    done = subprocess.run(
        [sys.executable, "-c", _LOAD],
        input=data,
        capture_output=True,
        timeout=_FRESH_SECONDS,
        check=False,
    )
    if done.returncode:
        said = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit status {done.returncode}"
        yield way, f"cannot be loaded in a fresh interpreter: {reason}"
