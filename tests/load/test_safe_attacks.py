"""Loads of `safe`: every attack of the corpus is refused, by both backends in the same words."""

import copyreg
import os
import pickle
import subprocess
import sys

import pytest

from fastcopyreg import _constructors, safe
from fastcopyreg._safe import machine, policy
from support import attacks, more_attacks  # noqa: F401 - adds to them
from support.folders import TESTS

NONSENSE = {"memo", "stack", "stream"}
"""Groups in which some pickles are no pickles at all, for which pickle's own errors are raised."""
TAKEN_TOGETHER = {"slots within slots", "arguments within arguments"}
"""What the core stops an opcode earlier or later, as it takes several at once."""
ERRORS_OF_PICKLE = (EOFError, IndexError, OverflowError, UnicodeDecodeError, ValueError)


@pytest.fixture(scope="module", autouse=True)
def unregistered():
    """What tests before these have registered, which lasts, is not there meanwhile: `restore` is
    a constructor once a class has a version.  (A policy asks for the length.)"""
    taken = dict(_constructors.allowed)
    _constructors.allowed.clear()
    _constructors.remember(complex)
    yield
    _constructors.allowed.update(taken)


@pytest.fixture(scope="module", autouse=True)
def harm(unregistered):
    yield attacks.install()
    sys.modules.pop(attacks.MODULE, None)


@pytest.fixture(autouse=True)
def extensions(clean_registry, harm):
    copyreg.add_extension(attacks.MODULE, "touch", 0xFB)
    copyreg._extension_cache[0xFB] = copyreg._extension_cache[0xFC] = attacks.touch


@pytest.fixture(scope="module")
def loaders(harm):
    table = policy.Table(attacks.ALLOWED)
    return {
        "nothing allowed": safe.loads,
        "classes allowed": safe.Policy(attacks.ALLOWED).loads,
        "by a file": lambda data: safe.load(Reading(data), allow=attacks.ALLOWED),
        "by an Unpickler": lambda data: safe.Unpickler(
            Reading(data), allow=attacks.ALLOWED
        ).load(),
        "by the Python machine": lambda data: machine.Machine(
            machine.Policy(table), data, {}
        ).load(),
    }


class Reading:
    """A file that gives as little as it is asked for."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def read(self, size):
        part = self.data[self.at : self.at + size]
        self.at += len(part)
        return part

    def readline(self):
        end = self.data.find(b"\n", self.at) + 1 or len(self.data)
        return self.read(end - self.at)


def verdict(load, data):
    """Return the error that a load raises; fail if there is none, or if something was called."""
    try:
        value = load(data)
    except Exception as error:
        assert not os.path.exists(attacks.MARKER)
        return error
    pytest.fail(f"it was loaded: {value!r}")


def test_there_are_many_attacks_of_every_kind_and_opcode():
    assert len(attacks.ATTACKS) >= 150
    assert len(set(attacks.ATTACKS.values())) >= 150
    used = {byte for data in attacks.ATTACKS.values() for byte in data[:200]}
    assert set(machine.OPERATIONS) <= used


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_an_attack_is_refused(name, loaders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = attacks.ATTACKS[name]
    errors = {way: verdict(load, data) for way, load in loaders.items()}
    for way, error in errors.items():
        expected = pickle.UnpicklingError
        if attacks.GROUPS[name] in NONSENSE:
            expected = (pickle.UnpicklingError, *ERRORS_OF_PICKLE)
        assert isinstance(error, expected), (way, error)
    core, python = errors["classes allowed"], errors["by the Python machine"]
    if name in TAKEN_TOGETHER:
        assert core.kind == python.kind == "limit"
    elif "not allowed" in str(core) or "exceeds the limit" in str(core):
        assert str(core) == str(python)
    assert not os.listdir(tmp_path)
    assert attacks.Victim.kind == "innocent" and "guilty" not in vars(attacks.Victim).values()
    assert vars(attacks.helper) == {"evil": attacks.touch}


RUN = """
import sys
from support import attacks, more_attacks  # noqa: F401 - adds to them
attacks.install()
import pickle
for name, data in attacks.ATTACKS.items():
    if attacks.GROUPS[name] == "calls" and b"harm" in data and b"tR." in data:
        pickle.loads(data)
"""


def test_the_payload_would_do_harm(tmp_path):
    """What is refused here is run by pickle: a corpus of duds would prove nothing."""
    subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        check=True,
        timeout=60,
    )
    assert (tmp_path / attacks.MARKER).exists()


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_explain_runs_nothing_and_allows_no_attack(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = safe.explain(attacks.ATTACKS[name])
    assert not os.listdir(tmp_path)
    assert str(found)
    if attacks.GROUPS[name] in ("calls", "functions", "extensions", "persistent", "names"):
        assert not found
