"""Pickles written by Python 2.7 and 3.6 to 3.13 load, at every protocol, as what they were."""

import io
import json
import sys
import types

import pytest

from support import loading
from support.folders import TESTS
from support.implementations import requires_core

pytestmark = requires_core

FOLDER = TESTS / "golden"
PICKLES = [
    pytest.param(path.stem, bytes.fromhex(data), id=f"{path.stem} {name}")
    for path in sorted(FOLDER.glob("*.json"))
    for name, data in json.loads(path.read_text(encoding="ascii")).items()
]


@pytest.fixture(autouse=True)
def golden_classes(monkeypatch):
    module = types.ModuleType("golden_classes")
    for name in ("NewStyle", "OldStyle"):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_all_versions_are_here():
    assert {path.stem for path in FOLDER.glob("*.json")} >= {"2.7", "3.6", "3.9", "3.13"}
    assert len(PICKLES) > 800


@pytest.mark.parametrize(("version", "data"), PICKLES)
def test_golden_pickle_loads_as_in_the_standard_library(version, data):
    options = [{}]
    if version == "2.7":
        options += [{"encoding": "latin1"}, {"encoding": "bytes"}, {"fix_imports": False}]
    for chosen in options:
        loading.compare_in_memory(data, **chosen)
        for reader in ("bytesio", "peek"):
            loading.compare_by_files(data, readers=(reader,), ways=("load", "subclass"), **chosen)


def golden(version, name):
    pickles = json.loads((FOLDER / f"{version}.json").read_text(encoding="ascii"))
    return [bytes.fromhex(data) for key, data in pickles.items() if key.rpartition(" ")[0] == name]


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.13"])
def test_golden_values_are_what_they_were(version):
    for load in (loading.OURS.loads, lambda data: loading.OURS.load(io.BytesIO(data))):
        for data in golden(version, "numbers"):
            assert load(data)[-3:] == [2**31, 2**63, -(2**70)]
        for data in golden(version, "shared"):
            first, second, (third,) = load(data)
            assert first is second is third
        for name in ("new style", "old style"):
            for data in golden(version, name):
                made = load(data)
                assert made.a == 1 and made.b == [made]
