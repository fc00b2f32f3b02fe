"""`make suite` notices what it is for: failures, crashes, and a run that tests the wrong thing."""

import importlib.util
import runpy
import subprocess
import sys

import pytest

from support.folders import TESTS

RUN = TESTS / "cpython" / "run.py"
OURS = runpy.run_path(str(RUN.with_name("stand_ins.py")))["OURS"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.once,
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="runs CPython's own tests"),
    pytest.mark.skipif(
        importlib.util.find_spec("test.support") is None, reason="no test package here"
    ),
]

#: A core of its own: the pure-Python pickler, functions that call the originals, one with a fault.
CORE = """
import copy as std_copy
import os
import pickle as std_pickle

class Pickler(std_pickle._Pickler):
    pass

def dump(*args, **options):
    return std_pickle.dump(*args, **options)

def dumps(obj, protocol=None, **options):
    {fault}
    return std_pickle.dumps(obj, protocol, **options)

class Unpickler(std_pickle._Unpickler):
    pass

def load(*args, **options):
    return std_pickle.load(*args, **options)

def loads(*args, **options):
    return std_pickle.loads(*args, **options)

def copy(x):
    return std_copy.copy(x)

def deepcopy(x, memo=None, _nil=[]):
    return std_copy.deepcopy(x, memo, _nil)

def replace(obj, /, **changes):
    return std_copy.replace(obj, **changes)
"""

DROP_IN = """
import {name} as standard
own = ("__name__", "__spec__", "__loader__", "__package__", "__file__", "__cached__", "__doc__")
globals().update((k, v) for k, v in vars(standard).items() if k not in own)
"""


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """Makes a package whose core has that fault; its drop-ins take all but one name from it."""

    def make(fault="pass", core=CORE, forgotten=None):
        package = tmp_path / "faulty"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "_core.py").write_text(core.format(fault=fault))
        for name in ("pickle", "copyreg", "copy"):
            names = [each for each in OURS.get(name, ()) if each != forgotten]
            taken = f"from ._core import {', '.join(names)}\n" if names else ""
            (package / f"{name}.py").write_text(DROP_IN.format(name=name) + taken)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return make


def suite(*arguments):
    """Runs one small module as a drop-in against the faulty package."""
    command = [sys.executable, str(RUN), "--package", "faulty", "-m", "drop-in", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_passes_where_nothing_is_wrong(faulty):
    faulty()
    done = suite("-s", "test_pickletools")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed, 0 stale exclusions" in done.stdout


def test_sees_a_wrong_result(faulty):
    faulty("obj = [obj] if type(obj) is bytearray else obj")
    done = suite("-s", "test_pickletools")
    assert done.returncode == 1, done.stderr
    assert "OptimizedPickleTests.test_bytearray" in done.stdout


def test_names_the_test_that_crashed_and_goes_on(faulty):
    faulty("type(obj) is bytearray and os.abort()")
    done = suite("-s", "test_pickletools")
    assert done.returncode == 1, done.stderr
    assert "crashed: SIGABRT" in done.stdout
    assert "OptimizedPickleTests.test_bytearray" in done.stdout
    assert "OptimizedPickleTests.test_unicode" not in done.stdout


def test_refuses_a_core_that_is_the_standard_library(faulty):
    faulty(core="from pickle import *\nfrom copy import *\n# {fault}")
    done = suite("-s", "test_pickle")
    assert done.returncode == 1, done.stderr
    assert "still the standard library's" in done.stdout


def test_refuses_a_drop_in_that_is_not_the_core(faulty):
    faulty(forgotten="dumps")
    done = suite("-s", "test_pickle")
    assert done.returncode == 1, done.stderr
    assert "dumps is <built-in function dumps>, not faulty._core's" in done.stdout


def test_says_that_there_is_nothing_to_test(tmp_path):
    done = suite("--require")
    assert done.returncode == 2
    assert "nothing to test: faulty._core is missing" in done.stdout
