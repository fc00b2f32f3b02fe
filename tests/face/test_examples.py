"""Each example, README's too, runs, says what it should, and warns of nothing."""

import importlib.util
import re
import subprocess
import sys

import pytest

import fastcopyreg
from support.folders import ROOT

EXAMPLES = ROOT / "examples"
OUTPUTS = {
    "one_file.py": "same bytes: True\nread by the standard library: 900\ncopied: 900\n",
    "code_objects.py": "the answer is 42\n",
    "open_files.py": "the original goes on with two\nthe copy goes on with two\n",
}


def run(path):
    command = [sys.executable, "-P", "-W", "error", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_example(name):
    assert run(EXAMPLES / name) == OUTPUTS[name]


@pytest.mark.slow
def test_the_worker_pool_under_every_start_method():
    import multiprocessing

    methods = sorted(multiprocessing.get_all_start_methods())
    assert run(EXAMPLES / "worker_pool.py") == "".join(
        f"{method} [0, 2, 4, 6]\n" for method in methods
    )


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs distributed")
def test_the_dask_cluster():
    swapped = fastcopyreg.backend == "c"
    pattern = rf"with the swap in every process: {swapped}\n50000 objects there and back: [\d.]+ "
    assert re.match(pattern, run(EXAMPLES / "dask_cluster.py"))


def test_no_example_is_left_out():
    others = {"worker_pool.py", "dask_cluster.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*OUTPUTS, *others}


def test_the_readme_can_be_followed(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert blocks
    check = "import pickle as standard\nassert standard.loads(data)[7].y == 7\n"
    program = tmp_path / "readme.py"
    program.write_text("\n".join([*blocks, check]), encoding="utf-8")
    assert run(program)
