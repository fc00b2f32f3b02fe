"""The examples in docs/ run as they stand."""

import copyreg
import doctest
import re
import sys

import pytest

import fastcopyreg
from support.folders import ROOT

DOCS = ROOT / "docs"

ROOMS = ("csrc", "tests", "tools", "benchmarks", "src", "docs", "examples")
ENDS = ("c", "h", "py", "md", "toml")

# How a path of the repository is written, in code and in prose.
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(ROOMS)})/[\w/.-]+\.(?:{'|'.join(ENDS)})\b")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The module shop.py that docs/register.md shows, importable."""
    text = (DOCS / "register.md").read_text(encoding="utf-8")
    source = re.search(r"`shop\.py`:\n\n```python\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "shop.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    table = dict(copyreg.dispatch_table)
    yield
    sys.modules.pop("shop", None)
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(table)


@pytest.mark.parametrize("name", ["install.md", "reducers.md", "register.md"])
def test_examples(name, shop):
    if sys.implementation.name != "cpython" and name == "register.md":
        pytest.skip("it shows messages in the words of CPython's pickle")
    try:
        failed, tried = doctest.testfile(str(DOCS / name), module_relative=False)
    finally:
        fastcopyreg.uninstall()
    assert tried
    assert not failed


@pytest.mark.once
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the whole checkout")
def test_paths_that_are_named_exist():
    files = [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile", ROOT / "setup.py"]
    files += [f for room in ROOMS for end in ENDS for f in (ROOT / room).rglob(f"*.{end}")]
    assert len(files) > 300
    named = {(f, path) for f in files for path in PATH.findall(f.read_text(encoding="utf-8"))}
    assert [(f, path) for f, path in sorted(named) if not (ROOT / path).exists()] == []
