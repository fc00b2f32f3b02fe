"""A big-endian Linux to try the core in: s390x, under qemu-user.  tools/portable.py has it run.

The tree is Debian's, fetched once and unpacked only, for nothing is installed in it: Python and
its libraries lie where their archives put them. Zig compiles the core for it, with the headers
that lie there, and the random graphs of tests/harness are compared with the standard library of
the Python in it. That needs root (chroot), debootstrap and qemu-user-static.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "python3.14"
SUITE = "sid"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
PACKAGES = (PYTHON, f"{PYTHON}-dev", f"lib{PYTHON}-dev", f"lib{PYTHON}-stdlib")
TOOLS = ("debootstrap", "qemu-s390x-static", "dpkg-deb", "chroot")
HARNESS = ("pytest", "hypothesis<6.140")
"""What the fuzzers import; from 6.140 on Hypothesis is compiled."""
FUZZERS = ("fuzz", "fuzz_loads", "fuzz_copies", "fuzz_safe")
SECONDS = os.environ.get("FUZZ", "60")
"""How long each of them runs."""
SAYS_WHERE = """
import sys, fastcopyreg
assert sys.byteorder == "big"
print(sys.version, fastcopyreg.backend)
"""
COMPILER = (
    *("cc", "-target", "s390x-linux-gnu", "-std=c11", "-O2", "-fPIC", "-fvisibility=hidden"),
    *("-DNDEBUG", "-fno-sanitize=undefined", "-Wall", "-Wextra", "-Werror"),
)


def missing():
    """Say what is not there of what this needs, or None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "chroot needs root"
    absent = [name for name in TOOLS if shutil.which(name) is None]
    return f"there is no {', '.join(absent)}" if absent else None


def make_tree(folder):
    """Fetch and unpack the tree, unless it is there; return it."""
    tree = folder / "tree"
    done = tree / ".unpacked"
    if done.exists():
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    command = ["debootstrap", "--foreign", "--arch=s390x", "--variant=minbase"]
    command += [f"--include={','.join(PACKAGES)}", SUITE, str(tree), MIRROR]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for archive in sorted((tree / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(tree)], check=True)
    shutil.copy(shutil.which("qemu-s390x-static"), tree / "qemu")
    done.touch()
    return tree


def compile_core(tree, folder):
    """Compile and link the core for the tree; return the file."""
    objects = folder / "objects"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir()
    compiler = [sys.executable, "-m", "ziglang", *COMPILER, f"-I{ROOT / 'csrc'}"]
    compiler += ["-isystem", str(tree / "usr/include" / PYTHON)]
    # What Debian's pyconfig.h includes lies in a folder of the architecture's name.
    compiler += ["-idirafter", str(tree / "usr/include")]

    def compile_one(numbered):
        number, source = numbered
        target = objects / f"{number}-{source.stem}.o"
        subprocess.run([*compiler, "-c", str(source), "-o", str(target)], check=True)
        return str(target)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(compile_one, enumerate(sorted((ROOT / "csrc").rglob("*.c")))))
    core = folder / "_core.so"
    subprocess.run([*compiler, "-shared", *made, "-o", str(core)], check=True)
    return core


def furnish(tree, core):
    """Put the package, its tests, and what these import, into the tree's /work."""
    work = tree / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "src" / "fastcopyreg", work / "fastcopyreg")
    shutil.copy(core, work / "fastcopyreg")
    shutil.copytree(ROOT / "tests", work / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(work)]
    subprocess.run([*command, *HARNESS], check=True)


def run_python(tree, *arguments):
    """Run the tree's Python; return whether it succeeded."""
    command = ["chroot", str(tree), "/qemu", f"/usr/bin/{PYTHON}", *arguments]
    settings = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    settings |= {"PYTHONPATH": "/work", "PYTHONSAFEPATH": "1", "FASTCOPYREG_BACKEND": "c"}
    return subprocess.run(command, env=settings, check=False).returncode == 0


def compare(folder):
    """Build, furnish and run everything; return whether nothing was found."""
    folder.mkdir(parents=True, exist_ok=True)
    tree = make_tree(folder)
    furnish(tree, compile_core(tree, folder))
    if not run_python(tree, "-c", SAYS_WHERE):
        return False
    ran = [
        run_python(tree, f"/work/tests/harness/{name}.py", "--seconds", SECONDS)
        for name in FUZZERS
    ]
    return all(ran)
