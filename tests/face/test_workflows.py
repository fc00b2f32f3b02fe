"""What the workflows run, a developer can run; the rest is for `make lint`, which checks them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not WORKFLOWS, reason="needs the checkout"),
]

each = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def jobs(path):
    """The text of each job of a workflow, by its name."""
    text = path.read_text("utf-8").partition("\njobs:\n")[2]
    parts = re.split(r"^  ([\w-]+):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def targets():
    """The targets of the Makefile."""
    text = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def test_the_workflows_are_there():
    names = {path.stem for path in WORKFLOWS}
    assert names == {"tests", "wheels", "nightly", "benchmarks", "release"}
    assert len(jobs(ROOT / ".github/workflows/tests.yml")) >= 5


@each
def test_every_target_that_a_job_makes_exists(path):
    text = path.read_text("utf-8")
    made = set(re.findall(r"\bmake ((?:[a-z][a-z-]*[ \n])+)", text + "\n"))
    made = {word for words in made for word in words.split()}
    made |= set(re.findall(r"\btarget: ([a-z-]+)", text))
    assert made - targets() == set()


@each
def test_every_job_ends_and_has_rights_of_its_own(path):
    text = path.read_text("utf-8")
    assert "\npermissions: {}\n" in text
    assert "\nconcurrency:\n" in text
    for name, job in jobs(path).items():
        calls_another = re.search(r"^    uses: ", job, re.MULTILINE)
        assert calls_another or re.search(r"^    timeout-minutes: \d+$", job, re.MULTILINE), name
        uses_actions = "- uses: " in job
        assert not uses_actions or "\n    permissions:\n" in "\n" + job, name


@each
def test_every_action_is_pinned_by_its_hash(path):
    used = re.findall(r"uses: (\S+)(.*)", path.read_text("utf-8"))
    for action, comment in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_one_hash_for_each_action():
    found = {}
    for path in [*WORKFLOWS, *(ROOT / "docs").glob("*.md")]:
        for name, pinned in re.findall(r"uses: ([\w./-]+)@(\S+ # v\S+)", path.read_text("utf-8")):
            found.setdefault(name, set()).add(pinned)
    assert {name: hashes for name, hashes in found.items() if len(hashes) > 1} == {}


@pytest.mark.parametrize("name", ["tests", "wheels", "nightly"])
def test_the_gate_waits_for_every_job(name):
    found = jobs(ROOT / f".github/workflows/{name}.yml")
    needs = re.search(r"^    needs: \[(.*)\]$", found["gate"], re.MULTILINE)[1]
    assert sorted(needs.split(", ")) == sorted(set(found) - {"gate"})
    assert "if: always()" in found["gate"]


def test_only_the_job_that_publishes_may_ask_for_a_token():
    for path in WORKFLOWS:
        for name, job in jobs(path).items():
            assert ("id-token: write" in job) == ((path.stem, name) == ("release", "publish"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs make")
@pytest.mark.parametrize(("tag", "fits"), [("v{}", True), ("v9{}", False), ("{}rc1", False)])
def test_a_release_has_the_version_of_its_tag(tag, fits):
    import fastcopyreg

    command = ["make", "release-check", f"TAG={tag.format(fastcopyreg.__version__)}"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
    assert (finished.returncode == 0) == fits


# How a pull request's races are judged.


@pytest.fixture
def compare(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import compare

    return compare


def race(ratio, floor=0.5):
    contender = {"label": "stdlib", "median_ns": 100.0, "ratio": {"median": 1.0}}
    ours = {"label": "fastcopyreg", "median_ns": 100.0 / ratio, "ratio": {"median": ratio}}
    verdict = {"floor": floor, "measured": ratio, "figure": "median"}
    return {
        "operation": "dumps",
        "workload": "one-int",
        "objects": 1,
        "good": ratio >= floor,
        "verdicts": [verdict],
        "contenders": [contender, ours],
    }


@pytest.mark.parametrize(
    ("base", "ours", "good", "turns"),
    [
        ([5.0], [4.6], True, 1),
        ([5.0, 5.0], [4.0, 5.0], True, 2),
        ([5.0, 5.0, 5.0], [4.0, 4.4, 4.6], True, 3),
        ([5.0, 5.0, 5.0], [4.0, 4.4, 4.0], False, 3),
    ],
    ids=["noise", "once", "twice", "three times"],
)
def test_only_a_drop_that_repeats_fails(compare, monkeypatch, capsys, base, ours, good, turns):
    sides = {"base": iter(base), sys.executable: iter(ours)}
    asked = []

    def raced(python, arguments):
        asked.append((python, arguments))
        return {("dumps", "one-int"): race(next(sides[python]))}

    monkeypatch.setattr(compare, "run_races", raced)
    assert compare.main(["base", "--seconds", "1"]) == (0 if good else 1)
    assert len(asked) == 2 * turns
    assert asked[0] == ("base", ["--seconds", "1"])
    if turns > 1:
        assert asked[-1][1] == ["--seconds", "1", "--operation", "dumps", "--only", "one-int"]
    printed = capsys.readouterr().out
    assert printed.count(" %") == turns
    assert ("dropped 3 times" in printed) == (not good)


def test_a_floor_or_another_outcome_fails_too(compare, monkeypatch, tmp_path):
    different = {"operation": "loads", "workload": "one-int", "good": False, "verdicts": []}
    ours = {("dumps", "one-int"): race(4.0, floor=5), ("loads", "one-int"): different}
    monkeypatch.setattr(compare, "run_races", lambda python, arguments: ours)
    summary = tmp_path / "summary.md"
    assert compare.main(["base", "--summary", str(summary)]) == 1
    written = summary.read_text("utf-8")
    assert "2 of 2 races below" in written
    assert "median 4.00 BELOW 5" in written
    assert "outcomes DIFFER" in written


def test_a_new_workload_has_nothing_to_be_compared_with(compare, monkeypatch):
    races = {"base": {}, sys.executable: {("dumps", "one-int"): race(4.0)}}
    monkeypatch.setattr(compare, "run_races", lambda python, arguments: races[python])
    assert compare.main(["base"]) == 0
    (found,) = compare.compare("base", [])
    assert "| new |" in "|".join(["", *compare.row(found), ""]).replace("|", " | ")


def test_the_chart_has_both_sides(compare):
    pytest.importorskip("pygal")
    chart = compare.svg([compare.Compared(race(4.0), [(5.0, 4.0)])]).decode()
    assert "this change" in chart
    assert "dumps one-int" in chart
    assert "<script" not in chart
