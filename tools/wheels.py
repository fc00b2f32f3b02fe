"""Builds the wheels that can be built here, and tries each as a user has it: `make wheels`.

    python tools/wheels.py [--sample N] [VERSION…]

From the checkout comes an sdist, from that everything else. For each VERSION of `matrix`, or for
the interpreter at hand ("this"), a wheel is built as pyproject.toml has cibuildwheel do it,
repaired, looked at, and installed into a new environment, in which the tests run beside copies of
themselves alone. It is built a second time, elsewhere, by the profile of the first, and must come
out the same. What is worth keeping is in build/wheels/dist: the sdist, the wheels, each with the
profile that it was compiled by, and the table that is printed at the end.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "wheels"
DIST = WORK / "dist"
MATRIX = ROOT.parent / "shared" / "tools" / "matrix"
EVERY = ("3.11", "3.12", "3.13", "3.14", "3.15", "3.14-32")
CORE_BYTES = 750_000
"""What it may take, stripped. By the profile, at -O3, GCC 16 makes 940 KB: that fails today."""
GLIBC = 17
"""The oldest minor version of glibc that is to do, which is that of manylinux2014."""

RENAMED = {
    "__isoc23_strtol",
    "__isoc23_strtoul",
    "pthread_attr_getguardsize",
    "pthread_attr_getstack",
    "pthread_getattr_np",
}
"""Functions that the oldest glibc has, and to which a newer one binds by a newer name."""

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["cibuildwheel"]


class Failed(Exception):
    """A step did not do what it should; the text says which, and what it wrote."""


def run(*command, cwd=ROOT, **environment):
    """Run *command*; return what it wrote, or raise Failed with it."""
    command = [str(word) for word in command]
    result = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PYTHONSAFEPATH": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise Failed(f"{' '.join(command)}\n{result.stdout}")
    return result.stdout


def tool(name, *arguments):
    """Run a tool that is installed beside this interpreter."""
    return run(sys.executable, "-m", name, *arguments)


def step(version, what):
    print(f"{version}: {what}", file=sys.stderr, flush=True)


@dataclass
class Interpreter:
    """One Python, by its name in `matrix`, or the one that runs this."""

    version: str
    environments: list[Path] = field(default_factory=list)

    @property
    def folder(self):
        return WORK / self.version

    def run(self, *command, cwd=ROOT, **environment):
        if self.version == "this":
            return run(*command, cwd=cwd, **environment)
        # It looks only at the current folder, and lets few variables through.
        inside = ["env", "-C", cwd, "PYTHONSAFEPATH=1"]
        inside += [f"{name}={value}" for name, value in environment.items()]
        return run(MATRIX, "run", self.version, *inside, *command)

    def new_environment(self, name, *groups):
        """A virtual environment with dependency groups of pyproject.toml; return its python."""
        folder = self.folder / name
        python = folder / "bin" / "python"
        self.run("python3" if self.version == "this" else "python", "-m", "venv", folder)
        self.run(python, ROOT / "tools/environment.py", "--no-package", *groups)
        return python


@dataclass
class Wheel:
    """A wheel that was built, and what was found out about it."""

    version: str
    path: Path
    core: bytes | None
    facts: dict[str, str] = field(default_factory=dict)


def make_sdist():
    """Build the sdist; return the folder in which it is unpacked."""
    shutil.rmtree(DIST, ignore_errors=True)
    tool("build", "--sdist", "--no-isolation", "--outdir", DIST, ROOT)
    (archive,) = DIST.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(WORK, filter="data")
    return WORK / archive.name.removesuffix(".tar.gz")


def build(interpreter, python, source, place, profile):
    """Build a wheel from a copy of *source* in *place*, and repair it; return its path."""
    tree = shutil.copytree(source, interpreter.folder / place / source.name)
    built, repaired = tree.parent / "built", tree.parent / "repaired"
    settings = dict(SETTINGS["linux"]["environment"])
    settings |= {"FASTCOPYREG_PROFILE": str(profile), "SOURCE_DATE_EPOCH": commit_time()}
    settings["FASTCOPYREG_EXTENSION"] = "yes"
    command = [python, "-m", "build", "--wheel", "--no-isolation", "--outdir", built, tree]
    output = interpreter.run(*command, **settings)
    expect("built without a profile" not in output, f"there is no profile: {output}")
    (wheel,) = built.glob("*.whl")
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    command = [sys.executable, "-m", "auditwheel", "repair", "-w", repaired, wheel]
    run(*command, PATH=path, SOURCE_DATE_EPOCH=settings["SOURCE_DATE_EPOCH"])
    (wheel,) = repaired.glob("*.whl")
    return wheel


@cache
def commit_time():
    """The time of what is built, so that its archives do not say when that was."""
    try:
        return run("git", "log", "-1", "--format=%ct").strip()
    except (Failed, OSError):
        return "1700000000"


def read(wheel):
    """Return the names in a wheel, and its core if it has one."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        cores = [name for name in names if re.match(r"fastcopyreg/_core\..*\.so$", name)]
        return names, archive.read(cores[0]) if cores else None


def expect(condition, what):
    if not condition:
        raise Failed(what)


def look_at(wheel, source):
    """Check a wheel's names, licence, types, and what the tools for that say of it."""
    names, _ = read(wheel.path)
    for name in ("fastcopyreg/py.typed", "fastcopyreg/_core.pyi", "fastcopyreg.pth"):
        expect(name in names, f"{wheel.path.name} has no {name}")
    for stub in (source / "src/fastcopyreg").rglob("*.pyi"):
        name = stub.relative_to(source / "src").as_posix()
        expect(name in names, f"{wheel.path.name} has no {name}")
    expect(any(name.endswith("licenses/LICENSE") for name in names), "there is no licence")
    expect(not [name for name in names if name.endswith((".c", ".h", ".o"))], "it has sources")
    tool("twine", "check", "--strict", wheel.path)
    tool("check_wheel_contents", wheel.path)


def look_at_core(wheel, folder):
    """Check what the core exports, that it is stripped and small, and what it needs."""
    file = folder / "core.so"
    file.write_bytes(wheel.core)
    exported = [line.split()[-1] for line in run("nm", "-D", "--defined-only", file).splitlines()]
    expect(exported == ["PyInit__core"], f"it exports {exported}")
    expect(".symtab" not in run("readelf", "-SW", file), "it is not stripped")
    expect(len(wheel.core) < CORE_BYTES, f"the core has {len(wheel.core):,} bytes")
    needed = re.findall(r"\(GLIBC_2\.(\d+)[.\d]*\) +(\w+)", run("objdump", "-T", file))
    newer = {name for minor, name in needed if int(minor) > GLIBC}
    expect(newer <= RENAMED, f"glibc 2.{GLIBC} has none of {sorted(newer - RENAMED)}")
    wheel.facts["core"] = f"{len(wheel.core) / 1000:.0f} KB"
    wheel.facts["glibc"] = f"2.{max(int(minor) for minor, _ in needed)}"


def try_out(interpreter, wheel, source, backend, sample):
    """Install a wheel, and run the tests against it, beside copies of the tests alone."""
    step(interpreter.version, f"installing {wheel.path.name}, and running tests")
    python = interpreter.new_environment(f"env-{backend}", "test-small")
    place = interpreter.folder / f"tests-{backend}"
    for name in SETTINGS["test-sources"]:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy
        place.mkdir(exist_ok=True)
        copy(source / name, place / name)
    quiet = ("--quiet", "--disable-pip-version-check")
    interpreter.run(python, "-m", "pip", "install", *quiet, "--no-deps", wheel.path)
    # Two commands, no compiler: what a user does.
    swap = "import fastcopyreg as f; f.install(); import pickle; print(f.backend, pickle.dumps)"
    told = interpreter.run(python, "-P", "-c", swap, cwd=place)
    expect(told.startswith(backend), f"the backend is {told}")
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--sample", sample]
    command += ["-m", "not slow and not alone"]
    output = interpreter.run(*command, cwd=place, FASTCOPYREG_BACKEND=backend, CI="true")
    wheel.facts["tests"] = output.strip().splitlines()[-1].partition(" in ")[0]


def keep(wheel, profile):
    """Copy a wheel, and the profile that it was compiled by, to where they are looked for."""
    shutil.copy(wheel.path, DIST)
    wheel.facts["size"] = f"{wheel.path.stat().st_size / 1000:.0f} KB"
    if profile and profile.is_dir():
        name = DIST / wheel.path.name.removesuffix(".whl")
        shutil.make_archive(f"{name}.profile", "zip", profile)
        wheel.facts["profile"] = f"{len([*profile.rglob('*.gcda')])} files"


def make_wheel(interpreter, source, sample):
    """All that is done for one interpreter; return its wheel."""
    shutil.rmtree(interpreter.folder, ignore_errors=True)
    profile = interpreter.folder / "profile"
    python = interpreter.new_environment("env-build", "build")
    step(interpreter.version, "building")
    path = build(interpreter, python, source, "first", profile)
    wheel = Wheel(interpreter.version, path, read(path)[1])
    expect(wheel.core is not None, "the wheel has no core")
    look_at(wheel, source)
    look_at_core(wheel, interpreter.folder)
    step(interpreter.version, "building again, elsewhere, by the same profile")
    again = build(interpreter, python, source, "second/deeper", profile)
    expect(read(again)[1] == wheel.core, "another core came of the same sources and profile")
    expect(again.read_bytes() == path.read_bytes(), "another wheel came of the same sources")
    wheel.facts["again"] = "the same"
    try_out(interpreter, wheel, source, "c", sample)
    keep(wheel, profile)
    return wheel


def make_pure(interpreter, source, sample):
    """The wheel for everybody else."""
    folder = WORK / "pure"
    shutil.rmtree(folder, ignore_errors=True)
    tree = shutil.copytree(source, folder / source.name)
    settings = {"FASTCOPYREG_EXTENSION": "no", "SOURCE_DATE_EPOCH": commit_time()}
    command = ["--wheel", "--no-isolation", "--outdir", folder, tree]
    run(sys.executable, "-m", "build", *command, **settings)
    (path,) = folder.glob("*-py3-none-any.whl")
    wheel = Wheel("pure", path, read(path)[1])
    expect(wheel.core is None, "the pure wheel has a core")
    look_at(wheel, source)
    try_out(interpreter, wheel, source, "python", sample)
    keep(wheel, None)
    return wheel


def table(wheels, failed):
    """What is told at the end: a line for each wheel, or for why there is none."""
    columns = ("size", "core", "glibc", "profile", "again", "tests")
    rows = [("python", "wheel", *columns)]
    rows += [(w.version, w.path.name, *(w.facts.get(c, "") for c in columns)) for w in wheels]
    rows += [(version, "FAILED", *[""] * len(columns)) for version in failed]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(lines)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="of matrix, or 'this'")
    parser.add_argument("--sample", default="6", help="cases of each test (default: 6)")
    return parser.parse_args()


def main():
    options = parse()
    versions = options.versions or (EVERY if os.access(MATRIX, os.X_OK) else ["this"])
    if sysconfig.get_platform().split("-")[0] != "linux":
        sys.exit("make wheels is for Linux; elsewhere `python -m cibuildwheel` builds them")
    shutil.rmtree(WORK, ignore_errors=True)
    source, wheels, failed = make_sdist(), [], {}
    interpreters = [Interpreter(version) for version in versions]
    tool("twine", "check", "--strict", *DIST.glob("*.tar.gz"))
    jobs = [(i.version, make_wheel, i) for i in interpreters]
    for version, make, interpreter in [*jobs, ("pure", make_pure, interpreters[0])]:
        try:
            wheels.append(make(interpreter, source, options.sample))
        except Failed as failure:
            failed[version] = failure
            print(f"{version}: FAILED\n{failure}", file=sys.stderr, flush=True)
    told = table(wheels, failed)
    (DIST / "table.txt").write_text(told + "\n", "utf-8")
    print(f"\n{told}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
