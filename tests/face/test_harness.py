"""The harnesses notice what they are for: each is given a fault, and must say so."""

import subprocess
import sys
import textwrap

import pytest

from support.folders import TESTS

HARNESS = TESTS / "harness"

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="CPython's allocator is what is measured"
)

#: A stand-in for fastcopyreg whose `pickle.dumps` goes wrong in the way that each fault says.
PACKAGE = """
import pickle as std_pickle
from pickle import *
from pickle import Pickler, PickleBuffer

kept = []
count = 0

def dumps(obj, protocol=None, **options):
    global count
    count += 1
    {fault}
    return std_pickle.dumps(obj, protocol, **options)
"""

FAULTS = {
    "none": "pass",
    "leak": "kept.append(object())",
    "large leak": "kept.append(bytes(100_000))",
    "leak of a reference": "kept.append(kept)",
    "leak on failure": """
    try:
        return std_pickle.dumps(obj, protocol, **options)
    except MemoryError:
        kept.append(object())
        raise
""",
    "swallowed": """
    try:
        return std_pickle.dumps(obj, protocol, **options)
    except MemoryError:
        return b"wrong"
""",
    "another exception": """
    try:
        return std_pickle.dumps(obj, protocol, **options)
    except MemoryError:
        raise PicklingError("no memory") from None
""",
    "crash": """
    try:
        return std_pickle.dumps(obj, protocol, **options)
    except MemoryError:
        import os
        os.abort()
""",
    "broken afterwards": """
    try:
        if kept:
            return b"wrong"
        return std_pickle.dumps(obj, protocol, **options)
    except MemoryError:
        kept.append(None)
        raise
""",
}


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """Makes a package of that fault and returns its name."""

    def make(fault):
        package = tmp_path / "faulty"
        package.mkdir()
        body = textwrap.indent(textwrap.dedent(FAULTS[fault]).strip(), "    ").lstrip()
        (package / "__init__.py").write_text("")
        (package / "copy.py").write_text("from copy import *\n")
        (package / "pickle.py").write_text(PACKAGE.format(fault=body))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return "faulty"

    return make


def run(script, *arguments):
    command = [sys.executable, str(HARNESS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def leaks(package):
    return run("leaks.py", "--subject", package, "-g", "dumps", "-k", "dumps shared, protocol 4")


def oom(package):
    pytest.importorskip("_testcapi")
    return run("oom.py", "--subject", package, "-g", "dumps", "-k", "dumps shared, protocol 4")


def test_leaks_passes_what_does_not_leak(faulty):
    done = leaks(faulty("none"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 operations    0 leak" in done.stdout


@pytest.mark.parametrize("fault", ["leak", "large leak"])
def test_leaks_sees(faulty, fault):
    done = leaks(faulty(fault))
    assert done.returncode == 1, done.stderr
    assert "LEAK dumps: dumps shared, protocol 4: " in done.stdout


@pytest.mark.skipif(not hasattr(sys, "gettotalrefcount"), reason="a debug build counts references")
def test_leaks_sees_a_reference_that_leaks_alone(faulty):
    done = leaks(faulty("leak of a reference"))
    assert done.returncode == 1, done.stderr
    assert "+25 references" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault, words",
    [
        ("swallowed", "absorbed with a wrong result"),
        ("another exception", "PicklingError: no memory"),
        ("leak on failure", "leaks"),
        ("crash", "crashed: SIGABRT"),
        ("broken afterwards", "wrong result when done again with memory"),
    ],
)
def test_oom_sees(faulty, fault, words):
    done = oom(faulty(fault))
    assert done.returncode == 1, done.stderr
    assert words in done.stdout
