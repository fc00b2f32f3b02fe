"""`python -m fastcopyreg bench MODULE:FUNCTION…`: what it races, tells, writes and answers."""

import json
import os
import re
import shutil
import subprocess
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import fastcopyreg
from fastcopyreg import __main__ as command
from fastcopyreg import _stdlib, bench
from fastcopyreg._bench import peers, suite

ROOT = Path(__file__).resolve().parent.parent.parent


class Thing:
    def __init__(self, number):
        self.number = number


@pytest.fixture
def shop(monkeypatch):
    """A module of a user's."""
    module = types.ModuleType("a_shop")
    module.things = lambda: [Thing(number) for number in range(10)]
    module.numbers = lambda: [1, 2]
    module.no_function = 5
    monkeypatch.setitem(sys.modules, "a_shop", module)
    return module


@pytest.fixture
def ratios(monkeypatch):
    """Races that take no time, with these ratios, one after another; the last one stays."""
    wanted, ran = [2.0], []

    def made_up(name, *contenders, seconds):
        ran.append((name, [contender.label for contender in contenders], seconds))
        for contender in contenders:
            contender.function(*contender.arguments)
        ratio = wanted.pop(0) if len(wanted) > 1 else wanted[0]
        times = [1000.0 * ratio, 1000.0, *[500.0] * len(contenders)]
        timings = [
            bench.Timing(contender.label, 1, (time, time))
            for contender, time in zip(contenders, times, strict=False)
        ]
        return bench.Result(name, tuple(timings))

    monkeypatch.setattr(suite, "race", made_up)
    return types.SimpleNamespace(wanted=wanted, ran=ran)


def record_of(path):
    return json.loads(path.read_text("utf-8"))


def test_each_function_is_raced_in_each_operation(shop, ratios, tmp_path, capsys):
    file = tmp_path / "record.json"
    names = ["a_shop:things", "a_shop:numbers"]
    assert command.main(["bench", *names, "--json", str(file)]) == 0
    record = record_of(file)
    raced = [(race["workload"], race["operation"], race["objects"]) for race in record["results"]]
    assert raced == [
        (name, operation, objects)
        for name, objects in zip(names, (10, 2), strict=True)
        for operation in ("dumps", "loads", "deepcopy")
    ]
    assert record["good"] is True
    assert record["environment"]["backend"] == fastcopyreg.backend
    for race in record["results"]:
        assert (race["ratio"], race["equal"], race["faults"]) == (2.0, True, [])
        assert [c["label"] for c in race["contenders"]] == ["stdlib", "fastcopyreg"]
        assert [c["label"] for c in race["dropped"]["contenders"]] == ["stdlib", "fastcopyreg"]
    captured = capsys.readouterr()
    assert captured.out.count("2.00x") == 12
    assert "a_shop:things: dumps\n" in captured.err


def test_times_and_memory_are_for_one_object(shop, ratios, capsys):
    assert command.main(["bench", "a_shop:things", "--operations", "deepcopy"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"a_shop:things +deepcopy +10 +200\.0 ns +100\.0 ns +2\.00x", printed)
    if bench.tracemalloc is not None:
        assert re.search(r" [\d,]+\.\d B +\d+\.\d\d +good", printed)


def test_what_misses_its_ratio_is_raced_again_for_longer(shop, ratios, capsys):
    arguments = ["bench", "a_shop:things", "--operations", "dumps", "--min-ratio", "3"]
    arguments += ["--seconds", "0.5"]
    ratios.wanted[:] = [2.0, 3.5, 9.0]
    assert command.main(arguments) == 0
    assert [seconds for _, _, seconds in ratios.ran] == [0.5, 1.0, 0.5]  # The last: dropped.
    assert "3.50x" in capsys.readouterr().out
    ratios.ran.clear()
    ratios.wanted[:] = [2.0, 2.9, 1.0, 2.0]
    assert command.main(arguments) == 1
    assert [seconds for _, _, seconds in ratios.ran] == [0.5, 1.0, 2.0, 0.5]
    captured = capsys.readouterr()
    assert "2.90x is below 3x" in captured.out
    assert "fastcopyreg bench: dumps a_shop:things: 2.90x is below 3x\n" in captured.err


def test_it_is_compared_with_an_earlier_run(shop, ratios, tmp_path, capsys):
    file = tmp_path / "old.json"
    arguments = ["bench", "a_shop:things", "--operations", "dumps"]
    ratios.wanted[:] = [4.0]
    assert command.main([*arguments, "--json", str(file)]) == 0
    capsys.readouterr()
    ratios.wanted[:] = [3.7]
    assert command.main([*arguments, "--compare", str(file), "--max-drop", "10"]) == 0
    assert "-7.5 %" in capsys.readouterr().out
    ratios.wanted[:] = [3.0]
    assert command.main([*arguments, "--compare", str(file)]) == 0
    assert command.main([*arguments, "--compare", str(file), "--max-drop", "10"]) == 1
    assert "25 % less than before (4.00x)" in capsys.readouterr().out


def test_different_outcomes_are_found(shop, ratios, monkeypatch, capsys):
    wrong = types.SimpleNamespace(dumps=lambda made: _stdlib.dumps(made, 2), loads=_stdlib.loads)
    monkeypatch.setattr(suite, "pickle", wrong)
    assert command.main(["bench", "a_shop:things", "--operations", "dumps"]) == 1
    assert ratios.ran == []
    assert "the outcomes differ" in capsys.readouterr().out


def test_a_summary_is_added_to_and_a_chart_written(shop, ratios, tmp_path):
    summary, chart = tmp_path / "summary.md", tmp_path / "chart.svg"
    summary.write_text("before\n", "utf-8")
    arguments = ["bench", "a_shop:things", "--min-ratio", "1.5"]
    assert command.main([*arguments, "--summary", str(summary), "--svg", str(chart)]) == 0
    written = summary.read_text("utf-8")
    assert written.startswith("before\n### fastcopyreg bench: all good\n")
    rows = [line for line in written.splitlines() if line.startswith("| a_shop:things |")]
    assert len(rows) == 3
    assert len({line.count("|") for line in written.splitlines() if line.startswith("|")}) == 1
    texts = [element.text for element in ElementTree.parse(chart).iter()]
    for operation in ("dumps", "loads", "deepcopy"):
        assert f"{operation} a_shop:things" in texts
    assert texts.count("2.00") == 3


def test_json_without_a_file_is_printed(shop, ratios, capsys):
    assert command.main(["bench", "a_shop:things", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a_shop:nothing"], "no attribute 'nothing'"),
        (["no_such_shop:things"], "cannot import no_such_shop"),
        (["a_shop:no_function"], "a_shop:no_function is no function"),
        (["a_shop:things", "--peers", "pickles"], "no such peer: 'pickles'"),
        (["a_shop:things", "--operations", "dump"], "no such operation: 'dump'"),
        (["a_shop:things", "--compare", "no/such/file"], "no/such/file is no record"),
        (["--min-ratio", "3"], "MODULE:FUNCTION is needed"),
        (["--json", "file"], "MODULE:FUNCTION is needed"),
    ],
)
def test_what_cannot_be_raced(shop, arguments, said, capsys):
    assert command.main(["bench", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def library(monkeypatch):
    """A peer that is installed, and one that is not."""
    installed = types.ModuleType("a_peer")
    installed.dumps = lambda made: b"" if isinstance(made, list) else 1 / 0
    monkeypatch.setitem(sys.modules, "a_peer", installed)
    functions = {"a_peer": {"dumps": "dumps"}, "no_such_peer": {"dumps": "dumps"}}
    monkeypatch.setattr(peers, "_FUNCTIONS", functions)
    monkeypatch.setattr("fastcopyreg._bench.command.PEERS", tuple(functions))


def test_peers_take_part_where_they_can(shop, ratios, library, capsys):
    shop.one = lambda: Thing(1)
    arguments = ["bench", "a_shop:things", "a_shop:one", "--peers", "a_peer,no_such_peer"]
    assert command.main(arguments) == 0
    with_peers = {name for name, labels, _ in ratios.ran if "a_peer" in labels}
    assert with_peers == {"dumps a_shop:things"}
    printed = capsys.readouterr().out
    assert "left out: a_peer dumps: ZeroDivisionError" in printed
    assert printed.count("left out: no_such_peer: No module named") == 1


def test_marshal_is_raced_by_what_it_wrote_itself():
    left_out = []
    found = dict(peers.contenders(("marshal",), "loads", [1, 2], left_out))
    function, argument = found["marshal"]
    assert function(argument) == [1, 2]
    assert left_out == []


# From end to end, in a small project.


SHOP = """
import copyreg

class Point:
    __slots__ = ("x", "y")
    def __init__(self, x, y):
        self.x, self.y = x, y

copyreg.pickle(Point, lambda point: (Point, (point.x, point.y)))

def points():
    return [Point(n, n) for n in range(100)]

def one():
    return Point(1, 2)
"""


def action():
    """The script of action.yml's one step, and the names of its variables by input."""
    if not (ROOT / "action.yml").is_file():
        pytest.skip("needs action.yml beside the tests")
    text = (ROOT / "action.yml").read_text("utf-8")
    script = re.search(r"\n      run: \|\n((?:        .*\n|\n)*)", text)[1]
    names = re.findall(r"\n        (\w+): \$\{\{ inputs\.([\w-]+) \}\}", text)
    return re.sub("^        ", "", script, flags=re.MULTILINE), dict(map(reversed, names))


@pytest.mark.slow
@pytest.mark.skipif(
    os.name == "nt" or not shutil.which("bash"), reason="a runner's bash is needed"
)
@pytest.mark.parametrize(
    ("ratio", "status"), [("0.000001", 0), ("1000000", 1)], ids=["passes", "fails"]
)
def test_the_action_in_a_project(tmp_path, ratio, status):
    script, names = action()
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    inputs = {"benchmarks": "shop:points\n  shop:one\n", "min-ratio": ratio, "seconds": "0.01"}
    inputs |= {"python": sys.executable, "json": "out.json", "svg": "out.svg"}
    inputs["operations"] = "dumps"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    environment |= {variable: inputs.get(name, "") for name, variable in names.items()}
    environment["GITHUB_STEP_SUMMARY"] = str(tmp_path / "summary.md")
    finished = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == status, finished.stdout + finished.stderr
    record = record_of(tmp_path / "out.json")
    raced = {race["workload"]: race["objects"] for race in record["results"]}
    assert raced == {"shop:points": 100, "shop:one": 1}
    assert record["good"] == (status == 0)
    assert ElementTree.parse(tmp_path / "out.svg").getroot().tag.endswith("svg")
    assert "| shop:points | dumps | 100 |" in (tmp_path / "summary.md").read_text("utf-8")
