"""Who checks the types: mypy and pyright are shown the same modules."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "src"

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not SOURCES.is_dir(), reason="needs the checkout"),
]


@pytest.fixture(scope="module")
def tools():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]


def files_of(module):
    """The files of a module, as mypy's settings name it."""
    path = SOURCES.joinpath(*module.removesuffix(".*").split("."))
    return {path} if path.is_dir() else {path.with_suffix(".py")}


def test_pyright_leaves_out_what_mypy_does_and_what_has_a_stub(tools):
    """mypy reads the stub where there is one; pyright would read both."""
    [left] = [part for part in tools["mypy"]["overrides"] if part.get("ignore_errors")]
    wanted = {path for module in left["module"] for path in files_of(module)}
    wanted |= {
        stub.with_suffix(".py")
        for stub in SOURCES.rglob("*.pyi")
        if stub.with_suffix(".py").is_file()
    }
    named = [ROOT / name for name in tools["pyright"]["ignore"]]
    assert sorted(named) == sorted(wanted)
    assert [path for path in named if not path.exists()] == []


def test_pyright_is_shown_the_package_and_the_examples(tools):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={tools['pyright']['pythonVersion']}"
    assert set(tools["pyright"]["include"]) == {"src", "examples"}
