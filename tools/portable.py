"""Other platforms, as far as they can be tried here: `make portable`.

    python tools/portable.py [PART…]         musl, macos, windows, msvc, 32, s390x

Compiles the core for musl, macOS and Windows with zig's clang (`ziglang` from PyPI, for three
architectures), and as clang takes it in Microsoft's view, every warning an error; runs the quick
tests on 32 bits (`matrix run 3.14-32`; where there is no matrix, not), and compares random graphs
with the standard library on a big-endian machine (bigendian.py). What cannot be tried is named,
with the reason, and is no failure unless it was asked for by name.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bigendian

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
WINDOWS = ROOT / "tools" / "windows"
MATRIX = ROOT.parent / "shared" / "tools" / "matrix"

TARGETS = {
    "musl": ("x86_64-linux-musl", "aarch64-linux-musl", "x86-linux-musl"),
    "macos": ("x86_64-macos", "aarch64-macos"),
    "windows": ("x86_64-windows-gnu", "x86-windows-gnu", "aarch64-windows-gnu"),
}
FLAGS = ("-std=c11", "-O1", "-DNDEBUG", "-Wall", "-Wextra", "-Wconversion", "-Werror")
# Zig takes -fsyntax-only for a failure, and would have UBSan look on.
ZIG = ("-fno-sanitize=undefined", *FLAGS)
MSVC = (
    "-fsyntax-only",
    "-fms-compatibility",
    "-fms-extensions",
    "-fms-compatibility-version=19.38",
    # Otherwise what is looked at is the branch for GNU.
    "-U__GNUC__",
    "-U__clang__",
    *FLAGS,
    # CPython's own Py_UNUSED says nothing to Microsoft's compiler, and zig's headers to no other.
    "-Wno-unused-parameter",
    "-Wno-ignored-attributes",
)


class CannotTry(Exception):
    """Something is not there; the message says what."""


def headers(folder):
    """The interpreter's headers, with Windows' configuration in place of its own."""
    copy = Path(folder, "include")
    shutil.copytree(sysconfig.get_path("include"), copy)
    # Some are in a folder for each architecture, behind a pyconfig.h that chooses.
    shutil.copy(WINDOWS / "pyconfig.h", copy)
    return copy


def zig():
    try:
        import ziglang
    except ImportError:
        raise CannotTry("ziglang is not installed: pip install ziglang") from None
    return Path(ziglang.__file__).parent


def compile_one(command, source):
    """Return whether the compiler takes *source* without a word; what it says goes to stderr."""
    with tempfile.TemporaryDirectory() as folder:
        output = [] if "-fsyntax-only" in command else ["-o", f"{folder}/out.o"]
        command = [*command, f"-I{CSRC}", "-c", str(source), *output]
        return subprocess.run(command, check=False).returncode == 0


def compile_all(name, command):
    """Compile each source; print how many passed, and return whether all did."""
    sources = sorted(CSRC.rglob("*.c"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(partial(compile_one, command), sources))
    print(f"{name}: {sum(passed)} of {len(sources)} files without a warning", flush=True)
    return bool(sources) and all(passed)


def try_zig(part, folder):
    zig()
    include = headers(folder) if part == "windows" else Path(sysconfig.get_path("include"))
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target"]
    passed = [
        compile_all(target, [*compiler, target, *ZIG, "-isystem", str(include)])
        for target in TARGETS[part]
    ]
    return all(passed)


def try_msvc(folder):
    clang = shutil.which(os.environ.get("CLANG", "clang"))
    if clang is None:
        raise CannotTry("there is no clang")
    own = subprocess.check_output([clang, "-print-resource-dir"], text=True).strip()
    places = [f"{own}/include", zig() / "lib/libc/include/any-windows-any", headers(folder)]
    command = [clang, "-nostdinc", "-include", str(WINDOWS / "msvc.h"), *MSVC]
    for place in places:
        command += ["-isystem", str(place)]
    results = []
    for machine in ("x86_64", "i686"):
        target = f"{machine}-pc-windows-msvc"
        results.append(compile_all(target, [command[0], f"--target={target}", *command[1:]]))
    return all(results)


def try_32():
    """The quick tests, on an interpreter for i386."""
    if not os.access(MATRIX, os.X_OK):
        raise CannotTry(f"there is no {MATRIX}")
    return run([MATRIX, "run", "3.14-32", "make", "quick"])


def try_s390x():
    """Random graphs against the standard library of a big-endian Python, under qemu."""
    zig()
    reason = bigendian.missing()
    if reason:
        raise CannotTry(reason)
    return bigendian.compare(ROOT / "build" / "s390x")


def run(command):
    """Run a command; return whether it succeeded."""
    return subprocess.run([str(word) for word in command], cwd=ROOT, check=False).returncode == 0


PARTS = {
    **{part: partial(try_zig, part) for part in TARGETS},
    "msvc": try_msvc,
    "32": lambda folder: try_32(),
    "s390x": lambda folder: try_s390x(),
}


def main(wanted):
    failed, left_out = [], []
    for part in wanted or PARTS:
        print(f"== {part}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                if not PARTS[part](folder):
                    failed.append(part)
            except CannotTry as reason:
                left_out.append(part)
                print(f"{part}: not tried, {reason}", flush=True)
    print(f"\nfailed: {', '.join(failed) or 'none'}; not tried: {', '.join(left_out) or 'none'}")
    return 1 if failed or (wanted and left_out) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
