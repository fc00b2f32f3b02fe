"""Compiles the core with every warning an error: `python tools/strict.py [COMPILER…]`.

The interpreter's own headers are system headers, whose warnings are not ours.  Nothing is linked
or installed, and users' builds never see these flags.  Exits 1 if a file does not pass.
"""

import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CSRC = Path(__file__).resolve().parent.parent / "csrc"
FLAGS = ["-std=c11", "-O2", "-fPIC", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


def compile_one(compiler, source, defines):
    """Return whether *compiler* takes *source* without a word; what it says goes to stderr."""
    include = [f"-I{CSRC}", "-isystem", sysconfig.get_path("include")]
    command = [compiler, *FLAGS, *include, *defines, "-c", str(source), "-o", "/dev/null"]
    return subprocess.run(command, check=False).returncode == 0


def main(compilers):
    """Compile each source without assertions, with, and by the public API; return the status."""
    jobs = [
        (compiler, source, defines)
        for compiler in compilers or ["cc"]
        for source in sorted(CSRC.rglob("*.c"))
        for defines in (["-DNDEBUG"], ["-UNDEBUG"], ["-UNDEBUG", "-DFASTCOPYREG_PUBLIC_API"])
    ]
    with ThreadPoolExecutor() as pool:
        passed = list(pool.map(lambda job: compile_one(*job), jobs))
    print(f"{sum(passed)} of {len(jobs)} compilations without a warning")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
