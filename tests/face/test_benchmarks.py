"""What is in benchmarks/: benchmarks run, floors are compared as they say, reports are whole."""

import json
import os
import runpy
import subprocess
import sys
from modulefinder import ModuleFinder
from pathlib import Path

import pytest

import fastcopyreg
from fastcopyreg import _stdlib
from fastcopyreg.bench import Contender, Result, Timing
from support.child import in_child, requires_fork
from support.folders import ROOT
from support.implementations import requires_core

BENCHMARKS = ROOT / "benchmarks"

pytestmark = pytest.mark.slow  # Every benchmark runs for a moment.


@pytest.fixture(autouse=True, scope="module")
def importable():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(BENCHMARKS)
        yield


@pytest.fixture
def one_workload():
    import workloads

    return workloads.BY_NAME["one-registered"]


def result(standard, ours, *peers):
    """A race with these samples."""
    timings = [Timing("stdlib", 1, standard), Timing("fastcopyreg", 1, ours), *peers]
    return Result("made up", tuple(timings))


def test_every_benchmark_runs():
    arguments = ["--benchmark-disable", "--scale", "0.002", "-q", "-p", "no:cacheprovider"]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", str(BENCHMARKS), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONSAFEPATH": "1"},
        timeout=250,
    )
    assert finished.returncode == 0, finished.stdout
    assert " passed" in finished.stdout
    assert "skipped" not in finished.stdout


def test_training_ends_well():
    """Otherwise wheels would be compiled without a profile, and nobody would see it."""
    finished = subprocess.run(
        [sys.executable, str(BENCHMARKS / "train.py")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONSAFEPATH": "1", "FASTCOPYREG_PLANS_AFTER": "150"},
        timeout=280,
    )
    assert finished.returncode == 0, finished.stderr


def test_training_is_all_there_in_an_environment():
    """tools/environment.py builds from a copy of the package, in which training ends as well."""
    environment = runpy.run_path(str(BENCHMARKS.parent / "tools/environment.py"))
    copied = {Path(name).name for name in environment["PACKAGE"] if name.startswith("benchmarks/")}
    finder = ModuleFinder([str(BENCHMARKS)])
    finder.run_script(str(BENCHMARKS / "train.py"))
    found = [module.__file__ for module in finder.modules.values()]
    assert {Path(file).name for file in found if file is not None} == copied


@pytest.mark.parametrize("operation", ["dumps", "loads", "deepcopy", "copy"])
def test_outcomes_are_equal(operation):
    import operations
    import workloads

    taking_part = [w for w in workloads.WORKLOADS if operation in w.operations]
    assert taking_part
    for workload in taking_part:
        operations.check(workload, operations.OPERATION[operation], scale=0.002)


def test_workloads_have_the_objects_that_they_say():
    import workloads

    assert len(workloads.BY_NAME) == len(workloads.WORKLOADS)
    for workload in workloads.WORKLOADS:
        built = workload.build(0.01)
        if workload.count > 1 and not isinstance(built, str):
            assert len(built) == workload.objects(0.01), workload.name


def test_a_different_outcome_is_found(monkeypatch, one_workload):
    import operations
    import race

    wrong = operations.Operation("dumps", _stdlib.dumps, lambda value: _stdlib.dumps(value, 2))
    monkeypatch.setitem(operations.OPERATION, "dumps", wrong)
    with pytest.raises(operations.Different, match="dumps of one-registered"):
        operations.prepare(one_workload, "dumps")
    assert race.main(["--only", "one-registered", "--operation", "dumps", "--short"]) == 1


def test_a_race_alone_has_a_process_of_its_own(monkeypatch, one_workload):
    import floors
    import operations
    import race

    wrong = operations.Operation("dumps", _stdlib.dumps, lambda value: _stdlib.dumps(value, 2))
    monkeypatch.setitem(operations.OPERATION, "dumps", wrong)
    settings = race.Settings(0.01, 2, 1.0, floors.Floors({"default": 0, "memory": None}), False)
    assert race.run_one(one_workload, "dumps", settings).difference is not None
    outcome = race.run_alone(one_workload, "dumps", settings)
    assert outcome.good
    assert outcome.workload is one_workload
    assert outcome.result.name == "dumps one-registered"


def test_floors_name_what_exists():
    import floors
    import workloads

    read = floors.Floors.read()
    assert read.unknown(set(workloads.NAMES)) == set()
    for operation in ("dumps", "loads", "deepcopy", "copy"):
        for name in read.table[operation]:
            if name in workloads.BY_NAME:  # Libraries of models may not be installed.
                assert operation in workloads.BY_NAME[name].operations
    for peer in read.table["peers"].values():
        for operation, names in peer.items():
            for name in names:
                assert operation in workloads.BY_NAME[name].operations
    assert read.unknown(set()) >= {"registered-slots", "plain"}


FLOORS = {
    "default": 0.95,
    "memory": 1.0,
    "dumps": {"plain": {"3.14": 12}, "tuples": 3},
    "peers": {"copium": {"deepcopy": {"plain": 1.8}}},
}


@pytest.mark.parametrize(
    ("version", "workload", "samples", "held", "figure"),
    [
        ("3.14", "plain", ((120, 130), (10, 10)), True, "median 12.50 >= 12"),
        ("3.14", "plain", ((110, 120), (10, 10)), False, "median 11.50 BELOW 12"),
        ("3.13", "plain", ((110, 120), (10, 10)), True, "best 11.00 >= 0.95"),
        ("3.13", "tuples", ((20, 20), (10, 10)), False, "median 2.00 BELOW 3"),
        ("3.14", "other", ((90, 900), (100, 100)), False, "best 0.90 BELOW 0.95"),
        ("3.14", "other", ((96, 96), (100, 900)), True, "best 0.96 >= 0.95"),
    ],
)
def test_floor_of_a_version(version, workload, samples, held, figure):
    import floors

    (verdict,) = floors.Floors(FLOORS, version).judge("dumps", workload, result(*samples))
    assert verdict.held is held
    assert str(verdict) == figure


def test_floor_against_a_peer():
    import floors

    def judged(operation, workload, *peers):
        raced = result((100, 100), (10, 10), *peers)
        return [str(v) for v in floors.Floors(FLOORS, "3.13").judge(operation, workload, raced)]

    copium = Timing("copium", 1, (17, 17))
    assert judged("deepcopy", "plain", copium)[1:] == ["copium 1.70 BELOW 1.8"]
    assert judged("deepcopy", "plain", Timing("other", 1, (17, 17)))[1:] == []
    assert judged("deepcopy", "tuples", copium)[1:] == []
    assert judged("deepcopy", "plain")[1:] == []


def test_a_race_below_its_floor_is_run_again_for_longer(monkeypatch, one_workload):
    import floors
    import operations
    import race

    seconds, ratios = [], iter((80, 120, 90))
    monkeypatch.setattr(
        operations, "prepare", lambda *given: [Contender("a", len), Contender("b", len)]
    )

    def fake_race(name, *contenders, seconds: float, rounds, log=seconds):
        log.append(seconds)
        return result((next(ratios),) * 2, (100, 100))

    monkeypatch.setattr(race, "race", fake_race)
    settings = race.Settings(1, 10, 1.0, floors.Floors({"default": 1.5}), peers=False)
    outcome = race.run_one(one_workload, "loads", settings)
    assert seconds == [1, 2, 4]
    assert not outcome.good
    assert outcome.result.ratio.best == 1.2

    seconds.clear()
    ratios = iter((80, 160))
    outcome = race.run_one(one_workload, "loads", settings)
    assert seconds == [1, 2]
    assert outcome.good


def test_memory_is_compared(monkeypatch):
    import floors
    import operations
    import race
    import workloads

    def wasteful(value):
        held = bytearray(10_000_000)
        return _stdlib.dumps(value) if held else None

    wrong = operations.Operation("dumps", _stdlib.dumps, wasteful)
    settings = race.Settings(1, 10, 0.5, floors.Floors({"default": 0.95, "memory": 1.0}), False)
    workload = workloads.BY_NAME["strings"]
    pytest.importorskip("tracemalloc")
    for name in ("dumps", "deepcopy"):
        monkeypatch.setitem(operations.OPERATION, name, wrong)
        standard, ours = race.peaks(workload, name, settings)
        assert ours > 10_000_000 > standard
        (verdict,) = race.memory_verdicts((standard, ours), settings)
        assert verdict.figure == "memory"
        assert not verdict.held
    assert race.memory_verdicts((floors.JUDGED_FROM - 1, 1 << 40), settings) == []
    assert race.peaks(workloads.BY_NAME["one-int"], "loads", settings) is None


@requires_fork
@requires_core
@pytest.mark.parametrize(
    ("door", "kind"),
    [
        ("dump(BytesIO)", "set"),
        ("dump(BytesIO)", "floats"),
        ("Pickler", "shared"),
        ("dumps", "shared"),
        ("dumps", "many bytes"),
        ("dumps", "pieces"),
        ("load(BytesIO)", "bytearray"),
        ("load(file)", "bytearray"),
        ("load(BytesIO)", "many bytes"),
        ("Unpickler", "many bytes"),
        ("Unpickler", "bytearray"),
        ("load(file)", "dict"),
        ("load(file)", "integers"),
        ("loads(bytearray)", "texts"),
        ("loads(bytearray)", "records"),
        ("loads(bytearray)", "set"),
        ("loads(bytearray)", "shared"),
    ],
)
def test_no_door_needs_more_memory_than_there(door, kind, tmp_path):
    """Each has needed more; all are in `make bench`."""
    import floors
    import peaks

    pytest.importorskip("tracemalloc")
    standard, ours = (in_child(peaks.count, door, kind, side, tmp_path) for side in (False, True))
    assert standard > floors.JUDGED_FROM
    assert not peaks.exceeds(standard, ours, 1.0), (standard, ours)


@requires_core
@pytest.mark.parametrize("scale", (0.4, 0.7, 1.0))
@pytest.mark.parametrize("workload", ("registered-nested", "registered-state", "value-timezone"))
def test_no_copy_needs_more_memory_than_there(workload, scale):
    """Copies that are entered in a memo whose room grows; each has needed more at some size."""
    import floors
    import race
    import workloads

    pytest.importorskip("tracemalloc")
    settings = race.Settings(1, 10, scale, floors.Floors({"memory": 1.0}), False)
    counted = race.peaks(workloads.BY_NAME[workload], "deepcopy", settings)
    (verdict,) = race.memory_verdicts(counted, settings)
    assert verdict.held, counted


@pytest.mark.parametrize("kind", ("bytes", "wide text", "bytearray"))
def test_no_length_of_a_pickle_needs_more_memory_than_there(kind):
    """About each length at which a buffer grows, in pieces of all sizes."""
    import peaks

    pytest.importorskip("tracemalloc")
    worst = peaks.swept(kind, (300, 700, 5_099, 10_098, 30_094, 55_089, 60_000), 1_200_000)
    assert worst.standard > 1, "none is large enough to be judged"
    assert not peaks.exceeds(worst.standard, worst.ours, 1.0), worst


def test_peaks_are_compared_and_kept(monkeypatch, tmp_path, capsys):
    import peaks

    monkeypatch.setattr(peaks, "both", lambda door, kind, folder: (200_000, 300_000))
    path = tmp_path / "results.json"
    assert peaks.main(["--only", "load*", "--kind", "set", "--json", str(path)]) == 1
    assert "loads of set: 300,000 bytes ABOVE 200,000" in capsys.readouterr().out
    counted = json.loads(path.read_text(encoding="utf-8"))["peaks"]
    assert counted == dict.fromkeys(peaks.chosen(["load*"]), {"set": 1.5})
    monkeypatch.setattr(peaks, "both", lambda door, kind, folder: (200_000, 200_000))
    assert peaks.main(["--only", "copy"]) == 0
    printed = capsys.readouterr().out
    assert all(kind in printed for kind in peaks.KINDS)


def test_document_has_the_memory_of_the_doors(raced):
    import report

    record = report.Record(json.loads(raced) | {"peaks": {"loads": {"set": 0.5, "text": 1}}})
    text = report.document([record])
    assert "## Memory of the doors" in text
    assert "| set | 0.50 |" in text


def test_short_form_races_everything_chosen(tmp_path, capsys):
    import race

    file = tmp_path / "results.json"
    race.main(["--only", "one-int", "--short", "--json", str(file)])
    if fastcopyreg.backend != "c":
        assert "nothing to race" in capsys.readouterr().out
        return
    record = json.loads(file.read_text(encoding="utf-8"))
    assert record["environment"]["backend"] == "c"
    assert {race["operation"] for race in record["results"]} >= {"dumps"}


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """What race.py writes, of a race between two functions of the standard library's."""
    import operations
    import race

    same = operations.Operation("dumps", _stdlib.dumps, lambda value: _stdlib.dumps(value))
    file = tmp_path_factory.mktemp("raced") / "results.json"
    arguments = ["--operation", "dumps", "--only", "one-registered", "--short"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(operations.OPERATION, "dumps", same)
        race.main([*arguments, "--json", str(file)])
    return file.read_text(encoding="utf-8")


@pytest.fixture
def records(raced):
    """That, by two interpreters."""
    import report

    plain, newer = json.loads(raced), json.loads(raced)
    newer["environment"]["python"] = "9.9.1"
    return [report.Record(plain), report.Record(newer)]


def test_document_says_what_where_and_when(records):
    import report

    text = report.document(records)
    assert "| one-registered |" in text
    assert "9.9 stdlib" in text
    assert "one registered object a call" in text
    assert f"Python {sys.version.split()[0]}" in text
    for record in records:
        assert record.environment["date"] in text
        assert record.environment["command"].strip() in text
    assert "## loads" not in text
    for line in text.splitlines():
        if line.startswith("| one-registered |"):
            assert line.count("|") == 2 + 5 * 2


def test_readme_quotes_between_its_marks(records):
    import report

    readme = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    text = report.quoted(readme, records)
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert report.quote(records) in text
    assert "old" not in text
    assert report.quoted(text, records) == text
    with pytest.raises(ValueError, match="no <!-- results"):
        report.quoted("before\nafter\n", records)


def test_chart_is_self_contained(records):
    pytest.importorskip("pygal")
    import report

    svg = report.chart(records).decode()
    assert "Python 9.9" in svg
    assert "one registered object a call" in svg
    assert "<script" not in svg
    assert 'href="http' not in svg


@pytest.fixture
def quick_races(monkeypatch):
    """Races of doors whose outcomes are compared, and times made up."""
    import doors

    monkeypatch.setattr(doors, "race", lambda *sides, **options: result((2.0, 2.0), (1.0, 1.0)))


def test_every_door_is_raced_for_each_kind(quick_races, tmp_path, capsys):
    import doors
    from floors import Floors

    path = tmp_path / "results.json"
    path.write_text(json.dumps({"environment": {}, "results": [1]}), encoding="utf-8")
    below = max(doors.floor_of(Floors.read(), d, k) for d in doors.DOORS for k in doors.KINDS) > 2
    assert doors.main(["--objects", "20", "--json", str(path)]) == below
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["results"] == [1]
    assert list(record["doors"]) == list(doors.DOORS)
    assert all(ratios == dict.fromkeys(doors.KINDS, 2) for ratios in record["doors"].values())
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*doors.DOORS, *doors.KINDS))


def test_floors_name_doors_and_kinds_that_exist():
    import doors
    from floors import Floors

    floors = Floors.read()
    assert set(floors.table["doors"]) <= set(doors.DOORS)
    known = {*doors.KINDS, "share"}
    assert all(set(kinds) <= known for kinds in floors.table["doors"].values())
    assert doors.floor_of(floors, "dumps", "no such kind") == floors.table["default"]
    made = Floors({"default": 0.9, "doors": {"dumps": {"plain": {"3.14": 3}}}}, "3.14")
    assert doors.floor_of(made, "dumps", "plain") == 3
    made = Floors({"default": 0.9, "doors": {"dump(file)": {"share": 0.5}}}, "3.14")
    assert doors.floor_of(made, "dump(file)", "plain") == 0.9
    assert doors.floor_of(made, "dump(file)", "plain", {"plain": 8.0}) == 4


@pytest.mark.parametrize(("floor", "below"), [(1.9, 0), (2.1, 1)])
def test_a_door_below_its_floor_is_told(quick_races, monkeypatch, capsys, floor, below):
    import doors

    monkeypatch.setattr(doors, "floor_of", lambda *sides: floor)
    assert doors.main(["--objects", "9", "--only", "dumps"]) == below
    assert capsys.readouterr().out.count("BELOW") == below * len(doors.KINDS)


def test_doors_stand_behind_the_first_chart(records):
    import report

    assert "## Doors" not in report.document(records)
    records[0].doors = {"loads(bytes)": {"plain": 3.21, "slots": 1.0}}
    text = report.document(records)
    before, _, after = text.partition("(benchmarks.svg)\n\n## Doors\n")
    assert before.startswith("# Benchmarks")
    assert "| `loads(bytes)` | 3.2x | 1.0x |" in after.partition("## Where")[0]
