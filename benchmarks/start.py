"""What the swap costs a program: its CPU time when it starts, in processes of their own.

    python benchmarks/start.py [--rounds N]

    the hook     reading `fastcopyreg.pth` when an interpreter starts, FASTCOPYREG_INSTALL unset
    import       `import fastcopyreg`, pickle and copy being imported
    install      `install()` after that
    2,300        `install()` with 2,300 modules loaded, of which nobody has taken anything
    2,300, held  the same where one has a default argument, so that every object is looked at

Each is measured in as many processes as there are rounds; the least and the median are shown.
"""

import argparse
import os
import statistics
import subprocess
import sys

HOOK = """
import site, sys, time
folder, = [each for each in sys.path if each.endswith("site-packages")][:1]
begun = time.process_time_ns()
site.addpackage(folder, "fastcopyreg.pth", set())
print(time.process_time_ns() - begun)
"""

IMPORT = """
import copy, pickle, time
begun = time.process_time_ns()
import fastcopyreg
done = time.process_time_ns()
fastcopyreg.install()
print(done - begun, time.process_time_ns() - done)
"""

# A module has on average as many functions, classes and names as those of the libraries that
# docs/clusters.md names.
MANY = """
import copy, pickle, sys, time, types
import fastcopyreg

methods = "".join(f"    def m{i}(self): pass\\n" for i in range(7))
source = "".join(f"def f{i}(x=1): return x\\n" for i in range(15))
source += "".join(f"class C{i}:\\n{methods}" for i in range(3))
code = compile(source, "made", "exec")
for i in range(2300 - len(sys.modules)):
    made = sys.modules[f"made_{i}"] = types.ModuleType(f"made_{i}")
    exec(code, vars(made))
if HELD:
    made.f0.__defaults__ = pickle.loads,
begun = time.process_time_ns()
report = fastcopyreg.install()
print(time.process_time_ns() - begun)
assert any("made_" in place for place in report.replaced) == HELD
"""

PROGRAMS = {
    "the hook": (HOOK, ["the hook"]),
    "import": (IMPORT, ["import", "install"]),
    "2,300": (f"HELD = False\n{MANY}", ["2,300"]),
    "2,300, held": (f"HELD = True\n{MANY}", ["2,300, held"]),
}


def measured(program):
    """Return the nanoseconds that a program tells of."""
    unset = {name: value for name, value in os.environ.items() if name != "FASTCOPYREG_INSTALL"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=unset, capture_output=True, text=True, check=True)
    return list(map(int, done.stdout.split()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    for program, names in PROGRAMS.values():
        rounds = [measured(program) for _ in range(options.rounds)]
        for name, spent in zip(names, zip(*rounds, strict=True), strict=True):
            least, median = min(spent) / 1e6, statistics.median(spent) / 1e6
            print(f"{name:12} {least:6.2f} ms at least, {median:6.2f} in the middle", flush=True)


if __name__ == "__main__":
    main()
