"""Runs other projects' test suites with and without the swap, and compares test by test.

    python tools/suites.py [--folder FOLDER] [NAME…]

Each suite is run twice by this interpreter, with FASTCOPYREG_INSTALL=0 and =1.  What a suite needs
is installed with pip into FOLDER (build/suites), beside the environment; the tests come from the
project's wheel, or where that has none from its source distribution.  cloudpickle's and
distributed's have none either: their repositories are cloned, unless FOLDER/NAME/sources is there.
All run under pytest but Django's, which have a runner of their own.
Where an outcome differs, all is run again, both ways, before it is reported: some tests are not
stable.  Exit status: 1 if one differs.  Not part of CI; the counts are in docs/compatibility.md.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from xml.etree import ElementTree

WHEEL, SDIST = "wheel", "source distribution"

TESTS = "tests"

# Each: what pip installs, where the tests are (else a repository), and pytest's arguments; or
# those of a script that tells of its tests as unittest does.
SUITES = {
    "cloudpickle": (
        ["cloudpickle", "psutil"],
        "https://github.com/cloudpipe/cloudpickle",
        ["tests"],
    ),
    "dill": (["dill"], WHEEL, ["--pyargs", "dill.tests"]),
    "joblib": (
        ["joblib"],
        WHEEL,
        ["--pyargs", "joblib.test.test_numpy_pickle", "joblib.test.test_parallel"],
    ),
    "attrs": (
        ["attrs", "hypothesis", "cloudpickle"],
        SDIST,
        ["tests"],
    ),
    "distributed": (
        ["distributed"],
        "https://github.com/dask/distributed",
        ["distributed/protocol/tests"],
    ),
    "sqlalchemy": (
        ["sqlalchemy", "pytest-xdist"],
        SDIST,
        ["test/base", "test/orm/test_pickled.py", "test/ext/test_mutable.py"],
    ),
    "numpy": (
        ["numpy", "hypothesis"],
        WHEEL,
        ["--pyargs", "numpy", "-k", "pickle or copy"],
    ),
    "pandas": (
        ["pandas", "hypothesis"],
        WHEEL,
        ["--pyargs", "pandas.tests.io.test_pickle", "pandas.tests.tseries", "-k", "pickle"],
    ),
    "celery": (
        ["celery", "pytest-celery", "pytest-subtests", "pytest-click", "pytest-order"],
        SDIST,
        [
            *("t/unit/app", "t/unit/tasks", "t/unit/utils", "t/unit/events", "t/unit/security"),
            *("t/unit/concurrency/test_prefork.py", "t/unit/worker/test_request.py"),
            *("t/unit/worker/test_state.py", "t/unit/backends/test_base.py"),
            *("t/unit/backends/test_cache.py", "t/unit/backends/test_filesystem.py"),
        ],
    ),
    "kombu": (
        ["kombu", "hypothesis", "pytest-freezer", "pyyaml", "msgpack"],
        SDIST,
        ["t/unit", "--ignore=t/unit/asynchronous"],
    ),
    "pydantic": (
        ["pydantic[email]", "cloudpickle", "dirty-equals", "jsonschema", "pytz"]
        + ["pytest-mock", "pytest-run-parallel"],
        SDIST,
        [
            f"{TESTS}/test_{of}.py"
            for of in ("pickle", "dataclasses", "main", "private_attributes", "construction")
            + ("root_model", "generics", "edge_cases")
        ],
    ),
    "django": (
        ["django", "jinja2"],
        SDIST,
        [
            *(f"{TESTS}/runtests.py", "--parallel=1", "-v2", "queryset_pickle", "model_regress"),
            *("cache", "sessions_tests", "template_tests.test_response", "validation"),
            *("httpwrappers", "expressions", "utils_tests", "model_fields", "file_storage"),
            *("mail", "foreign_object", "forms_tests.field_tests", "aggregation_regress"),
        ],
    ),
}


PIP = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]


def prepare(name, folder):
    """Install what a suite needs; return the folder to run it in, and the one to import from."""
    requirements, origin, _ = SUITES[name]
    libraries, sources = folder / name / "libraries", folder / name / "sources"
    if not libraries.is_dir():
        subprocess.run([*PIP, "install", "--target", libraries, *requirements], check=True)
    if origin == WHEEL:
        return folder / name, libraries
    if not sources.is_dir() and origin == SDIST:
        unpack(requirements[0].partition("[")[0], sources)
    elif not sources.is_dir():
        subprocess.run(["git", "clone", "-q", "--depth", "1", origin, sources], check=True)
    return sources, libraries


def unpack(project, sources):
    """Let *sources* be the folder that a project's source distribution has."""
    with tempfile.TemporaryDirectory(dir=sources.parent) as folder:
        only = ["--no-deps", "--no-binary", project]
        subprocess.run([*PIP, "download", *only, "--dest", folder, project], check=True)
        [archive] = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        (Path(folder) / archive.name.removesuffix(".tar.gz")).rename(sources)


def run(place, libraries, arguments, installed):
    """Run the tests; return the outcome of each by its name."""
    environment = {
        **os.environ,
        "FASTCOPYREG_INSTALL": installed,
        "PYTHONPATH": str(libraries),
        "PYTHONHASHSEED": "0",
    }
    environment.pop("PYTHONSAFEPATH", None)
    way = run_script if arguments[0].endswith("runtests.py") else run_pytest
    return way(arguments, libraries.parent / f"report{installed}.xml", cwd=place, env=environment)


def run_pytest(arguments, report, **where):
    report.unlink(missing_ok=True)
    quiet = [
        "-q",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "--timeout=300",
        "--continue-on-collection-errors",
    ]
    command = [sys.executable, "-m", "pytest", *quiet, f"--junitxml={report}", *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False, **where)
    return {
        f"{case.get('classname')}::{case.get('name')}": outcome(case)
        for case in ElementTree.parse(report).iter("testcase")
    }


# A line for the test, and perhaps one that its docstring begins with.
TOLD = re.compile(
    r"^(\w+ \([\w.]+\))(?:\n[^\n]*?)? \.\.\. (ok|FAIL|ERROR|skipped|expected failure)",
    re.MULTILINE,
)
OUTCOMES = {"ok": "passed", "FAIL": "failure", "ERROR": "error", "expected failure": "skipped"}


def run_script(arguments, report, **where):
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **where
    )
    told = done.stderr.decode(errors="replace")
    report.with_suffix(".txt").write_text(told, errors="replace")
    return {test: OUTCOMES.get(what, what) for test, what in TOLD.findall(told)}


def outcome(case):
    """Return what became of a test: passed, failed, error or skipped."""
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            return child.tag
    return "passed"


def differing(one, other):
    """Return the tests whose outcomes differ, with both."""
    names = sorted(one.keys() | other.keys())
    return {n: (one.get(n), other.get(n)) for n in names if one.get(n) != other.get(n)}


def compare(name, folder):
    """Run one suite both ways; print the counts, and what differs twice; return the latter."""
    place, libraries = prepare(name, folder)
    arguments = SUITES[name][2]
    first = [run(place, libraries, arguments, installed) for installed in "01"]
    if not first[0]:
        sys.exit(f"{name}: no test was run")
    differences = differing(*first)
    if differences:
        again = differing(*(run(place, libraries, arguments, installed) for installed in "01"))
        differences = {test: both for test, both in again.items() if test in differences}
    counts = [
        ", ".join(f"{list(ran.values()).count(what)} {what}" for what in sorted({*ran.values()}))
        for ran in first
    ]
    print(f"{name}: {counts[0]} without; {counts[1]} with; {len(differences)} differ", flush=True)
    for test, both in differences.items():
        print(f"    {test}: {both[0]} without, {both[1]} with")
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("build/suites"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUITES))
    options = parser.parse_args()
    if unknown := set(options.names) - set(SUITES):
        parser.error(f"there are no suites {', '.join(sorted(unknown))}")
    folder = options.folder.resolve()
    found = [compare(name, folder) for name in options.names or SUITES]
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
