"""The choice between the C core and the standard library, made once, at import."""

import os
import subprocess
import sys

import pytest

import fastcopyreg
from fastcopyreg import _backend, _fallback

# Stands before the import of fastcopyreg: the core is not there, as after an install without it.
WITHOUT_CORE = "import sys; sys.modules['fastcopyreg._core'] = None; "
REPORT = (
    "import fastcopyreg, pickle; from fastcopyreg import _backend; "
    "print(fastcopyreg.backend, fastcopyreg.pickle.dumps is pickle.dumps, _backend.core_missing)"
)


def run(program, backend):
    """Run *program* in a new interpreter with FASTCOPYREG_BACKEND set to *backend*."""
    environment = {k: v for k, v in os.environ.items() if k != "FASTCOPYREG_BACKEND"}
    if backend is not None:
        environment["FASTCOPYREG_BACKEND"] = backend
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )


def test_backend_is_what_was_asked_for():
    asked = os.environ.get("FASTCOPYREG_BACKEND")
    assert fastcopyreg.backend == (asked or fastcopyreg.backend)
    assert fastcopyreg.backend in ("c", "python")
    assert (_backend.core_missing is None) == (fastcopyreg.backend == "c")


@pytest.mark.parametrize("wanted", [None, "", "c"])
def test_the_core_is_chosen_where_it_imports(c_core, wanted):
    result = run(REPORT, wanted)
    assert (result.stdout, result.stderr) == ("c False None\n", "")


def test_python_is_the_standard_library():
    result = run(REPORT, "python")
    assert result.stdout.startswith("python True FASTCOPYREG_BACKEND=python")


@pytest.mark.parametrize("wanted", [None, ""])
def test_without_the_core_the_standard_library_serves(wanted):
    result = run(WITHOUT_CORE + REPORT, wanted)
    assert result.stderr == ""
    assert result.stdout.startswith("python True ")
    assert "_core" in result.stdout


def test_c_without_the_core_is_an_import_error():
    result = run(WITHOUT_CORE + REPORT, "c")
    assert result.returncode == 1
    assert "_core" in result.stderr.splitlines()[-1]


def test_a_core_that_fails_otherwise_is_not_hidden():
    """Only ImportError means that there is no core; anything else is a defect to see."""
    broken = "import sys, importlib.abc, importlib.machinery\n" + (
        "class Broken(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'fastcopyreg._core': raise SystemError('broken')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    result = run(broken + REPORT, None)
    assert "SystemError: broken" in result.stderr


@pytest.mark.parametrize("wanted", ["C", "py", "1"])
def test_a_choice_that_does_not_exist_is_an_import_error(wanted):
    result = run(REPORT, wanted)
    assert result.returncode == 1
    assert f"FASTCOPYREG_BACKEND is {wanted!r}" in result.stderr


def test_choosing_again_gives_the_same():
    assert _backend.choose(fastcopyreg.backend)[:2] == (_backend.backend, _backend.core)
    assert _backend.choose("python")[:2] == ("python", _fallback)


# --- interpreters for which the core is not fit, which this one claims to be

CLAIMS = {
    "free-threading in words": (
        'sys.version = sys.version.replace("(", "(free-threading build of ", 1)'
    ),
    "free-threading in the ABI": 'sys.abiflags = "t"',
    "PyPy": 'sys.implementation.name = "pypy"',
}
REASONS = {
    "free-threading in words": "free-threaded, for which the C core is not ready",
    "free-threading in the ABI": "free-threaded, for which the C core is not ready",
    "PyPy": "the C core is for CPython; this is pypy",
}


def claim_to_be(what):
    return f"import sys; import sysconfig; {CLAIMS[what]}; "


@pytest.mark.parametrize("what", CLAIMS)
@pytest.mark.parametrize("wanted", [None, ""])
def test_where_the_core_is_not_fit_the_standard_library_serves(what, wanted):
    result = run(claim_to_be(what) + REPORT, wanted)
    assert result.stderr == ""
    assert result.stdout.startswith("python True ")
    assert REASONS[what] in result.stdout


@pytest.mark.parametrize("what", CLAIMS)
def test_the_core_can_be_asked_for_all_the_same(c_core, what):
    result = run(claim_to_be(what) + REPORT, "c")
    assert (result.stdout, result.stderr) == ("c False None\n", "")


@pytest.mark.parametrize("what", CLAIMS)
def test_info_says_why(what):
    if what == "free-threading in words" and sys.version_info < (3, 13):
        pytest.skip("`platform` cannot read a version that says so")
    program = "from fastcopyreg.__main__ import main; main(['info'])"
    result = run(claim_to_be(what) + program, None)
    line = next(line for line in result.stdout.splitlines() if line.startswith("core missing:"))
    assert REASONS[what] in line


@pytest.mark.parametrize("what", CLAIMS)
def test_asking_for_a_core_that_is_missing_says_why(what):
    result = run(claim_to_be(what) + WITHOUT_CORE + REPORT, "c")
    assert result.returncode == 1
    assert REASONS[what] in result.stderr.splitlines()[-1]
