"""multiprocessing and concurrent.futures under every start method, with the swap in all processes:
the outcome, failures too, is that of the standard library.
"""

import multiprocessing
import os
import subprocess
import sys
import textwrap

import pytest

import fastcopyreg
from fastcopyreg.install import VARIABLE
from support.folders import TESTS

PROGRAM = TESTS / "support" / "pools.py"
METHODS = sorted(multiprocessing.get_all_start_methods())

pytestmark = pytest.mark.skipif(fastcopyreg.backend != "c", reason="there is nothing to install")


def run(method, variable):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM), method],
        env={**os.environ, VARIABLE: variable},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_what_travels_and_what_cannot(method):
    """Also a worker that dies, and objects that cannot be pickled or loaded: nothing hangs."""
    with_swap, errors = run(method, "1")
    without, expected_errors = run(method, "0")
    assert with_swap == without
    assert "example [1, 2, 3, 4]\nmany True\n" in with_swap
    for name in ("executor", "died", "queue", "pipe"):
        assert f"\n{name} True\n" in with_swap
    assert with_swap.endswith("\nmanager died OSError\n")
    # The feeder thread of the queue says what it could not pickle.
    assert "ValueError: refuses to be pickled" in errors
    assert "ValueError: refuses to be pickled" in expected_errors


MANY = """
    import copyreg, multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor

    class Reading:
        def __init__(self, number, value, unit):
            self.number, self.value, self.unit = number, value, unit

    copyreg.pickle(Reading, lambda r: (Reading, (r.number, r.value, r.unit)))

    def back(readings):
        assert type(readings[-1]) is Reading
        return readings

    def main(context, count=100_000):
        sent = [Reading(i, i / 2, "m") for i in range(count)]
        with context.Pool(1) as pool:
            check(sent, pool.apply(back, (sent,)))
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            check(sent, pool.submit(back, sent).result(100))

    def check(sent, received):
        fields = [[(r.number, r.value, r.unit) for r in readings] for readings in (sent, received)]
        assert fields[0] == fields[1] and type(received[0]) is Reading

    if __name__ == "__main__":
        import fastcopyreg, pickle
        assert pickle.Pickler is fastcopyreg.pickle.Pickler
        main(multiprocessing.get_context(sys.argv[1]))
        print("all of them, both ways")
"""


@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=[pytest.mark.slow] if m != "forkserver" else []) for m in METHODS],
    ids=METHODS,
)
def test_a_hundred_thousand_objects_both_ways(tmp_path, method):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(MANY))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(path), method],
        env={**os.environ, VARIABLE: "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (done.returncode, done.stdout) == (0, "all of them, both ways\n"), done.stderr
