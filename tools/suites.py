"""Runs other projects' test suites with and without the swap, and compares test by test.

    python tools/suites.py [--folder FOLDER] [NAME…]

Each suite is run twice by this interpreter, with FASTCOPYREG_INSTALL=0 and =1.  What a suite needs
is installed with pip into FOLDER (build/suites), beside the environment; the tests come from the
project's wheel, or where that has none from its source distribution.  cloudpickle's and
distributed's have none either: their repositories are cloned, unless FOLDER/NAME/sources is there.
Where an outcome differs, all is run again, both ways, before it is reported: some tests are not
stable.  Exit status: 1 if one differs.  Not part of CI; the counts are in docs/compatibility.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from xml.etree import ElementTree

WHEEL, SDIST, BOTH = "wheel", "source distribution", "its tests within the wheel"

# Each: what pip installs, where the tests are (else a repository), and pytest's arguments.
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
        BOTH,
        ["libraries/numpy", "-k", "pickle or copy"],
    ),
    "pandas": (
        ["pandas", "hypothesis"],
        WHEEL,
        ["--pyargs", "pandas.tests.io.test_pickle", "pandas.tests.tseries", "-k", "pickle"],
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
    if not sources.is_dir() and origin in (SDIST, BOTH):
        unpack(requirements[0], sources)
    elif not sources.is_dir():
        subprocess.run(["git", "clone", "-q", "--depth", "1", origin, sources], check=True)
    if origin == BOTH:
        add_tests(sources / requirements[0], libraries / requirements[0])
        return folder / name, libraries
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


def add_tests(sources, package):
    """Copy the tests of a package's sources to where it is installed."""
    for tests in [*sources.rglob("tests"), *sources.rglob("conftest.py")]:
        place = package / tests.relative_to(sources)
        if tests.is_dir():
            shutil.copytree(tests, place, dirs_exist_ok=True)
        else:
            shutil.copy(tests, place)


def run(place, libraries, arguments, installed):
    """Run pytest; return the outcome of each test by its name."""
    report = libraries.parent / f"report{installed}.xml"
    report.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "FASTCOPYREG_INSTALL": installed,
        "PYTHONPATH": str(libraries),
        "PYTHONHASHSEED": "0",
    }
    environment.pop("PYTHONSAFEPATH", None)
    quiet = [
        "-q",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "--timeout=300",
        "--continue-on-collection-errors",
    ]
    command = [sys.executable, "-m", "pytest", *quiet, f"--junitxml={report}", *arguments]
    subprocess.run(command, cwd=place, env=environment, stdout=subprocess.DEVNULL, check=False)
    return {
        f"{case.get('classname')}::{case.get('name')}": outcome(case)
        for case in ElementTree.parse(report).iter("testcase")
    }


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
