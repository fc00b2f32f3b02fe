"""`fastcopyreg.testing`, and the fixtures that pytest finds by an entry point."""

import importlib.metadata
import os
import subprocess
import sys
import textwrap

import pytest

import fastcopyreg
from fastcopyreg import bench, testing

needs_core = pytest.mark.skipif(fastcopyreg.backend != "c", reason="there is nothing to race")


class Whole:
    def __init__(self, number):
        self.number = number


class Lossy:
    """What comes back is not what went in."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return Lossy, (self.number + 1,)


@pytest.fixture
def ratios(monkeypatch):
    wanted, ran = [], []

    def made_up(name, *contenders, seconds):
        ran.append(seconds)
        times = (100.0 * wanted.pop(0), 100.0)
        timings = [
            bench.Timing(contender.label, 1, (time, time))
            for contender, time in zip(contenders, times, strict=True)
        ]
        return bench.Result(name, tuple(timings))

    monkeypatch.setattr(bench, "race", made_up)
    return wanted, ran


@needs_core
def test_a_race_is_repeated_for_longer_until_it_is_won(ratios):
    wanted, ran = ratios
    wanted[:] = [2, 4]
    assert testing.race([Whole(1)], at_least=3, seconds=0.5).ratio.median == 4
    assert ran == [0.5, 1.0]
    wanted[:] = [2, 2.5, 1]
    with pytest.raises(AssertionError, match=r"dumps: 2\.50x .* and not 3x as fast"):
        testing.race([Whole(1)], at_least=3)


@needs_core
def test_a_race_without_a_ratio_is_measured_once(ratios):
    wanted, ran = ratios
    wanted[:] = [0.1]
    assert testing.race([Whole(1)], "loads").ratio.median == 0.1
    assert len(ran) == 1


@needs_core
@pytest.mark.parametrize("operation", ["dumps", "loads", "deepcopy", "copy"])
def test_a_race_of_each_operation(operation):
    result = testing.race([Whole(1), Whole(2)], operation, at_least=1e-9, seconds=0.01)
    assert [timing.label for timing in result.timings] == ["stdlib", "fastcopyreg"]
    assert result.name == operation


@needs_core
def test_another_outcome_is_not_raced(monkeypatch):
    monkeypatch.setattr(testing.pickle, "dumps", lambda made: b"N.")
    with pytest.raises(AssertionError, match="the outcome is not"):
        testing.race([Whole(1)])


def test_there_is_nothing_to_race_without_the_core(monkeypatch):
    monkeypatch.setattr(testing, "backend", "python")
    with pytest.raises(testing.CoreMissing, match="both sides would be"):
        testing.race([Whole(1)])


def test_an_operation_that_does_not_exist():
    with pytest.raises(ValueError, match="no such operation: 'dump'"):
        testing.race([Whole(1)], "dump")


def test_a_round_trip_holds():
    testing.assert_roundtrip(complex(1, 2))
    testing.assert_roundtrip({"a": [1, 2]}, protocols=[0, 5])


def test_a_round_trip_that_does_not_hold():
    with pytest.raises(AssertionError, match="problems"):
        testing.assert_roundtrip(Lossy(1))


# The plug-in, in a run of a user's.


def run_pytest(folder, tests, *arguments, **environment):
    """Run a project's tests in a process of its own; return what pytest said, and its status."""
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (folder / "test_it.py").write_text(textwrap.dedent(tests), "utf-8")
    unwanted = ("PYTEST", "COV_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    finished = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return finished.stdout + finished.stderr, finished.returncode


def test_the_entry_point_is_there():
    found = importlib.metadata.entry_points(group="pytest11")
    assert [point.value for point in found if point.name == "fastcopyreg"] == [
        "fastcopyreg_pytest"
    ]


@pytest.mark.slow
def test_a_project_uses_the_fixtures(tmp_path):
    tests = """
        import copyreg

        class Point:
            def __init__(self, x):
                self.x = x

        class Lossy(Point):
            pass

        copyreg.pickle(Point, lambda point: (Point, (point.x,)))
        copyreg.pickle(Lossy, lambda point: (Lossy, (point.x + 1,)))
        objects = [Point(n) for n in range(100)]

        def test_won(race):
            result = race(objects, op="dumps", at_least=1e-6, seconds=0.01)
            assert result.ratio.median > 0

        def test_lost(race):
            race(objects, op="dumps", at_least=1e6, seconds=0.01)

        def test_travels(assert_roundtrip):
            assert_roundtrip(objects[0])

        def test_does_not(assert_roundtrip):
            assert_roundtrip(Lossy(1))
    """
    said, status = run_pytest(tmp_path, tests, "-rA", "-W", "error")
    assert status == 1
    outcomes = {"won": "PASSED", "lost": "FAILED", "travels": "PASSED", "does_not": "FAILED"}
    if fastcopyreg.backend != "c":
        outcomes["won"] = outcomes["lost"] = "SKIPPED"
    for name, outcome in outcomes.items():
        if outcome != "SKIPPED":
            assert f"{outcome} test_it.py::test_{name}" in said, said
    assert ("2 skipped" in said) == (fastcopyreg.backend != "c")
    assert "problems" in said


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["0", "1"], ids=["alone", "installed before"])
def test_a_run_without_the_fixtures_is_left_alone(tmp_path, installed):
    """Nothing is imported, warned of, or rewritten; a project's own fixtures are its own."""
    tests = f"""
        import pickle
        import sys
        import pytest

        @pytest.fixture
        def race():
            return "mine"

        def test_nothing_of_ours(race):
            assert race == "mine"
            assert ("fastcopyreg" in sys.modules) == {installed == "1" and "True" or "False"}

        def test_drop_ins_have_their_own_names():
            import fastcopyreg
            for module in fastcopyreg, fastcopyreg.pickle, fastcopyreg.copy, fastcopyreg.copyreg:
                assert not [name for name in dir(module) if name.startswith("@")]
    """
    environment = {"FASTCOPYREG_INSTALL": installed}
    said, status = run_pytest(tmp_path, tests, "-W", "error", **environment)
    assert status == 0, said
    assert "2 passed" in said
    assert "warning" not in said
