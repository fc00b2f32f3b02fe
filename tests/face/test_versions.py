"""Across versions of a program: what was pickled with an old module and class is loaded after the
class was renamed, moved, and given fields.  `docs/versions.md` shows how; what it shows is run.
"""

import os
import re
import subprocess
import sys

import pytest

from support.folders import ROOT

PAGE = ROOT / "docs" / "versions.md"


@pytest.fixture
def page():
    """The modules that the page shows, in order: [(name, source), ...]."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"`(\w+\.py)`[^\n]*:\n\n```python\n(.*?)```", text, re.DOTALL)


def run(folder, *command, **options):
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(folder)},
        **options,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def write(folder, *modules):
    folder.mkdir()
    for name, source in modules:
        (folder / name).write_text(source, encoding="utf-8")
    return folder


MAKE = """
import pickle, sys
from shop import Item
sys.stdout.buffer.write(pickle.dumps([Item("tea", 250), Item("cup", 900)], int(sys.argv[1])))
"""

LOAD = """
import importlib, sys
pickle = importlib.import_module(sys.argv[1])
items = pickle.load(sys.stdin.buffer)
print([(type(each).__module__, type(each).__qualname__, each.name, each.cents, each.currency)
    for each in items])
again = pickle.dumps(items)
assert b"shop" not in again and b"goods" in again
print(pickle.loads(again) == items)
"""


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("reader", ["pickle", "fastcopyreg.pickle"])
@pytest.mark.parametrize("old", ["registered", "plain"])
def test_an_old_pickle_is_loaded(page, tmp_path, old, reader, protocol):
    (_, first), (_, second), (_, left) = page
    if old == "plain":
        first = first.replace("@register(version=1)\n", "")
    before = write(tmp_path / "before", ("shop.py", first))
    data = run(before, "-P", "-c", MAKE, str(protocol))
    after = write(tmp_path / "after", ("goods.py", second), ("shop.py", left))
    out = run(after, "-P", "-c", LOAD, reader, input=data).decode().split("\n")
    assert out[0] == (
        "[('goods', 'Article', 'tea', 250, 'EUR'), ('goods', 'Article', 'cup', 900, 'EUR')]"
    )
    assert out[1] == "True"
