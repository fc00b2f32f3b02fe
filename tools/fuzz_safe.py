"""Builds the core with AddressSanitizer and UBSan, and fuzzes `fastcopyreg.safe` with it.

    python tools/fuzz_safe.py --count 10000000          what a night is for
    python tools/fuzz_safe.py --seconds 60

Needs GCC or clang with the sanitizers' runtimes. What follows is passed to
tests/harness/fuzz_safe.py; the exit status is its.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shlex import split

ROOT = Path(__file__).resolve().parent.parent
FLAGS = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"


def runtime(compiler):
    """Return the path of the library that has to be loaded before Python."""
    ask = [*split(compiler), "-print-file-name=libasan.so"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


def build(folder):
    """Build the package, with a core that is looked into, in a folder."""
    settings = {"CFLAGS": FLAGS, "FASTCOPYREG_EXTENSION": "yes", "FASTCOPYREG_PROFILE": "no"}
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", f"{folder}/build"]
    command += ["--build-lib", f"{folder}/package"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=True)
    return f"{folder}/package"


def main():
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": build(folder),
            "FASTCOPYREG_BACKEND": "c",
            "PYTHONMALLOC": "malloc",
            "PYTHONSAFEPATH": "1",
            "LD_PRELOAD": runtime(os.environ.get("CC", "gcc")),
            # What is freed is kept a moment, with two frames of where: an eighth less time.
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:"
            "quarantine_size_mb=4:malloc_context_size=2",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        command = [sys.executable, str(ROOT / "tests/harness/fuzz_safe.py"), *sys.argv[1:]]
        return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
