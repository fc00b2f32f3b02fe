"""Runs the quick tests on a core with AddressSanitizer and UBSan: `make sanitize`.

    python tools/sanitize.py [PYTEST-ARGUMENT…]

The reports go to files, because pytest keeps what a test writes to itself; any report is a
failure, and is printed at the end. Needs GCC with the sanitizers' runtimes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from shlex import split

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "build" / "sanitize"
FLAGS = "-O1 -g1 -UNDEBUG -funsigned-char -fsanitize=address,undefined"


def runtimes():
    """The libraries that have to be loaded before Python."""
    compiler = split(os.environ.get("CC") or "gcc")
    names = ("libasan.so", "libubsan.so")
    return [
        subprocess.check_output([*compiler, f"-print-file-name={name}"], text=True).strip()
        for name in names
    ]


def build():
    settings = {"CFLAGS": FLAGS, "LDFLAGS": "-fsanitize=address,undefined"}
    settings["FASTCOPYREG_PROFILE"] = "no"
    command = [sys.executable, str(ROOT / "tools/environment.py"), "test"]
    subprocess.run(command, env=os.environ | settings, check=True)


def run(arguments):
    """Run the tests; return pytest's exit status."""
    asan = "detect_leaks=0:handle_segv=0:allocator_may_return_null=1"
    settings = {
        "LD_PRELOAD": " ".join(runtimes()),
        "FASTCOPYREG_BACKEND": "c",
        "HYPOTHESIS_PROFILE": "quick",
        "PYTHONSAFEPATH": "1",
        # Every object has a place of its own, and what interpreters never free is not asked for.
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": f"{asan}:log_path={REPORTS}/asan",
        "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={REPORTS}/ubsan",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow and not alone"]
    command += ["--sample", "3", "--timeout", "900", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | settings).returncode


def main(arguments):
    build()
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    status = run(arguments)
    reports = sorted(REPORTS.iterdir())
    for report in reports:
        print(f"\n== {report.name}\n{report.read_text(errors='replace')}")
    print(f"{len(reports)} reports of the sanitizers")
    return 1 if reports else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
