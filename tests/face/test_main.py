"""The command line, and the demo that it runs."""

import ast
import inspect
import io
import json
import os
import pickle as std_pickle
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

import fastcopyreg
from fastcopyreg import __main__ as command
from fastcopyreg import _backend, _stdlib, copy
from fastcopyreg._demo import sections, syntax

SMALL = ("bench", "--objects", "300", "--seconds", "0.01")


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "fastcopyreg", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONSAFEPATH": "1"} | environment,
        timeout=120,
    )


def test_info():
    finished = run("info")
    assert finished.returncode == 0, finished.stderr
    assert fastcopyreg.__version__ in finished.stdout
    assert sys.version.split()[0] in finished.stdout
    assert f"backend: {fastcopyreg.backend}\n" in re.sub(" +", " ", finished.stdout)


def test_info_says_why_the_core_is_missing():
    facts = json.loads(run("info", "--json", FASTCOPYREG_BACKEND="python").stdout)
    assert facts["backend"] == "python"
    assert "FASTCOPYREG_BACKEND=python" in facts["core missing"]
    assert "core" not in facts


def test_info_of_the_core(c_core):
    facts = json.loads(run("info", "--json", FASTCOPYREG_BACKEND="c").stdout)
    assert facts["core"] == c_core.__file__
    assert "core missing" not in facts


@pytest.mark.parametrize("there", [True, False])
def test_info_says_how_to_compile_a_core_that_was_not_installed(monkeypatch, there):
    """pip prefers the pure wheel to the sdist, also where there is a compiler."""
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if there else None)
    monkeypatch.setattr(_backend, "core_missing", "it was not installed")
    told = "--no-binary fastcopyreg" in command.describe().get("to compile it", "")
    assert told == (not there and sys.implementation.name == "cpython")


def test_info_prints_nested_facts(monkeypatch, capsys):
    facts = {"backend": "c", "fast paths": {"plans": True, "inline values": False}}
    monkeypatch.setattr(command, "describe", lambda: facts)
    assert command.main(["info"]) == 0
    printed = capsys.readouterr().out
    assert "fast paths:\n  plans:         on\n  inline values: off" in printed


@pytest.mark.slow
def test_bench_as_json_with_progress():
    finished = run(*SMALL, "--json")
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert report["backend"] == fastcopyreg.backend
    assert report["equal"] is True
    assert report["objects"] == sum(report["types"].values()) >= 300
    assert set(report["types"]) == {"Module", "Class", "Function", "Argument", "Docstring"}
    assert set(report["reducers"]) == set(report["types"])
    plans = report["backend"] == "c" and _backend.core.plan_threshold() != 0
    assert set(report["reducers"].values()) == {"plan" if plans else "call"}
    assert 0 <= report["reduced_by_plan"] <= report["objects"]
    raced = [section["name"] for section in report["sections"]]
    assert sorted([*raced, *report["left_out"]]) == sorted(
        ["dumps", "loads", "deepcopy", "process pool round trip"]
    )
    for section in report["sections"]:
        standard, ours = section["contenders"]
        assert standard["median_ns"] > 0
        assert ours["ratio"]["minimum"] <= ours["ratio"]["median"] <= ours["ratio"]["maximum"]
    assert "reading the standard library\n" in finished.stderr
    assert "dumps: racing\n" in finished.stderr


@pytest.fixture
def small_demo(monkeypatch):
    """The demo without its pool, which has a test of its own."""
    monkeypatch.setattr(sections, "_pool_section", lambda *arguments: None)


@pytest.mark.slow
def test_bench_as_text(small_demo, capsys):
    assert command.main(SMALL) == 0
    printed = capsys.readouterr().out
    assert "bytes equal" in printed
    assert "Argument" in printed
    assert "DIFFER" not in printed
    assert ("Both sides are the standard library" in printed) == (fastcopyreg.backend != "c")


@pytest.mark.slow
def test_bench_fails_if_a_byte_differs(small_demo, monkeypatch, capsys):
    def dumps(value):
        return _stdlib.dumps(value)[:-2] + b"0."

    monkeypatch.setattr(sections, "pickle", SimpleNamespace(dumps=dumps, loads=_stdlib.loads))
    assert command.main(SMALL) == 1
    printed = capsys.readouterr().out
    assert "bytes DIFFER" in printed
    assert "DIFFERENT OUTCOME: dumps" in printed


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["loads", "deepcopy"])
def test_bench_fails_if_objects_differ(small_demo, monkeypatch, capsys, operation):
    def drop_last(function):
        return lambda value: function(value)[:-1]

    loads, deepcopy = _stdlib.loads, copy.deepcopy
    if operation == "loads":
        loads = drop_last(loads)
    else:
        deepcopy = drop_last(deepcopy)
    monkeypatch.setattr(sections, "pickle", SimpleNamespace(dumps=_stdlib.dumps, loads=loads))
    monkeypatch.setattr(sections, "copy", SimpleNamespace(deepcopy=deepcopy))
    assert command.main(SMALL) == 1
    assert f"DIFFERENT OUTCOME: {operation}" in capsys.readouterr().out


def test_bench_says_that_there_are_no_sources(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(syntax.sysconfig, "get_path", lambda name: str(tmp_path))
    assert command.main(SMALL) == 2
    assert f"{tmp_path} holds no .py files" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--seconds", "0"), ("--objects", "-1"), ("--objects", "x")])
def test_bench_refuses_senseless_numbers(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["bench", *option])
    assert stopped.value.code == 2
    assert option[0] in capsys.readouterr().err


def test_a_command_is_required(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main([])
    assert stopped.value.code == 2
    assert "bench" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_rewrites_one_line():
    progress = command._ProgressLine(Terminal())
    progress("reading: 100 objects")
    progress("racing")
    progress.close()
    lines = progress.stream.getvalue().split("\r")
    assert lines == ["", "reading: 100 objects", "racing" + " " * 14, " " * 6, ""]
    assert "\n" not in progress.stream.getvalue()


def test_progress_elsewhere_prints_stages_but_no_counts():
    progress = command._ProgressLine(io.StringIO())
    progress("reading")
    progress("reading: 100 objects")
    progress("racing")
    progress.close()
    assert progress.stream.getvalue() == "reading\nracing\n"


SOURCE = '''
"""A module.

With more lines."""

@decorated(1)
async def function(a, /, b: int, c="x", *rest: str, d, e=None, **others):
    """Documented."""
    def inner(): pass

class Outer(Base, metaclass=Meta):
    class Inner: "Short."
    def method(self): pass
'''


@pytest.fixture
def library(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("def")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "left_out.py").write_text("def f(): pass")
    return syntax.read_standard_library(folder=tmp_path)


def test_sources_become_objects(library):
    assert [module.name for module in library.modules] == ["package"]
    assert library.unparsed == ["broken"]
    assert library.counts == {
        "Module": 1, "Class": 2, "Function": 2, "Argument": 8, "Docstring": 3
    }  # fmt: skip
    (module,) = library.modules
    assert (module.docstring.summary, module.docstring.lines) == ("A module.", 3)
    (function,) = module.functions
    assert (function.name, function.decorators) == ("function", ("decorated(1)",))
    (outer,) = module.classes
    assert (outer.name, outer.bases) == ("Outer", ("Base",))
    assert [member.name for member in outer.members] == ["Inner", "method"]


def test_arguments_are_those_of_the_signature(library):
    (function,) = library.modules[0].functions
    taken = [(a.name, a.kind, a.annotation, a.default) for a in function.arguments]
    assert taken == [
        ("a", "positional-only", None, None),
        ("b", "positional", "int", None),
        ("c", "positional", None, "'x'"),
        ("rest", "variable", "str", None),
        ("d", "keyword-only", None, None),
        ("e", "keyword-only", None, "None"),
        ("others", "keywords", None, None),
    ]


def test_arguments_of_a_real_module():
    tree = ast.parse(inspect.getsource(json.JSONEncoder.__init__).lstrip())
    names = [name for name, *_ in syntax._arguments(tree.body[0].args)]
    assert names == list(inspect.signature(json.JSONEncoder.__init__).parameters)


def test_reading_stops_when_there_are_enough():
    seen = []
    library = syntax.read_standard_library(200, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == library.objects >= 200
    assert len(seen) == 1 or seen[-2] < 200


@pytest.mark.parametrize("protocol", range(std_pickle.HIGHEST_PROTOCOL + 1))
def test_objects_travel_by_their_reducers(library, protocol):
    pickled = fastcopyreg.pickle.dumps(library.modules, protocol)
    assert pickled == _stdlib.dumps(library.modules, protocol)
    (module,) = _stdlib.loads(pickled)
    assert module.classes[0].members[0].docstring.summary == "Short."
    assert module.functions[0].arguments[6].name == "others"
