"""Makes the virtual environment that runs it ready.

    python tools/environment.py [--no-package] GROUP…

Installs the dependency groups named and the checkout's package, each only when what it is made of
has changed since it was installed here.  The package is never installed in place or editable: its
sources are copied into the environment and built there, so that interpreters that share a checkout
share no object file, and tests see what a user would.  Objects are kept for each set of compiler
flags, and compiled again when their source or a header changed.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(sys.prefix, "fastcopyreg-build")
PACKAGE = (
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "csrc",
    "src",
    "benchmarks/allowed.py",
    "benchmarks/hooks.py",
    "benchmarks/models.py",
    "benchmarks/train.py",
    "benchmarks/workloads.py",
)
PER_LINUX32 = 8
SETTINGS = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "FASTCOPYREG_EXTENSION", "FASTCOPYREG_PROFILE")


def files(names):
    """Return the files under *names* in the checkout, as paths relative to it."""
    paths = (path for name in names for path in (ROOT / name, *(ROOT / name).rglob("*")))
    kept = (path for path in paths if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path.relative_to(ROOT) for path in kept if ".egg-info" not in str(path))


def fingerprint(names, settings):
    """Return a digest of *settings* and of the contents of *names*, for this interpreter."""
    digest = hashlib.sha256(repr((sys.version, settings)).encode())
    for path in files(names):
        digest.update(f"\n{path}\n".encode() + (ROOT / path).read_bytes())
    return digest.hexdigest()[:16]


def once(name, key, action):
    """Call *action* unless it was done for *name* with *key*, and note that it is done."""
    stamp = STATE / f"{name}.stamp"
    if stamp.is_file() and stamp.read_text() == key:
        return
    stamp.unlink(missing_ok=True)
    action()
    stamp.write_text(key)


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


def install_groups(groups):
    pip("--upgrade", "pip>=25.1", "setuptools>=77")
    pip(*(word for group in groups for word in ("--group", f"{ROOT / 'pyproject.toml'}:{group}")))


def refresh(tree):
    """Make *tree* a copy of the package's sources; a file that is the same keeps its time."""
    wanted = files(PACKAGE)
    for path in wanted:
        source, target = ROOT / path, tree / path
        if not target.is_file() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for path in [path for name in ("csrc", "src") for path in (tree / name).rglob("*")]:
        if path.is_file() and path.relative_to(tree) not in wanted:
            path.unlink()
    # What was built before may hold a module that is gone; objects stay, in build/temp.*.
    for built in tree.glob("build/[lb]*"):
        shutil.rmtree(built)


def install_package(settings):
    tree = STATE / fingerprint(["setup.py"], settings)
    refresh(tree)
    pip("--no-build-isolation", "--no-deps", "--force-reinstall", str(tree))


def state_machine():
    """Have this process and its children see the machine that they are compiled for.

    A 32-bit interpreter on a 64-bit kernel is told that of the kernel, and pip would look for, and
    in vain compile, what is there for 64 bits alone.  Linux tells otherwise on request, as it does
    for `setarch i386`.
    """
    if sys.maxsize < 1 << 32 and sys.platform == "linux" and platform.machine() == "x86_64":
        ctypes.CDLL(None).personality(PER_LINUX32)


def main(groups):
    package = "--no-package" not in groups
    groups = [group for group in groups if group != "--no-package"]
    if sys.prefix == sys.base_prefix:
        sys.exit("tools/environment.py is to be run by the python of a virtual environment")
    # A build that fails must be seen to fail here: only a user's install goes on without the core.
    if sys.implementation.name == "cpython":
        os.environ.setdefault("FASTCOPYREG_EXTENSION", "yes")
    state_machine()
    STATE.mkdir(exist_ok=True)
    once("-".join(groups), fingerprint(["pyproject.toml"], groups), lambda: install_groups(groups))
    if package:
        settings = [os.environ.get(name, "") for name in SETTINGS]
        once("package", fingerprint(PACKAGE, settings), lambda: install_package(settings))


if __name__ == "__main__":
    main(sys.argv[1:])
