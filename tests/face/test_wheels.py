"""The wheels of a release, as pyproject.toml has cibuildwheel build them."""

import itertools
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="needs the checkout or an sdist"),
]

PYTHONS = ("cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t")
# Of each platform: the architectures of every run, those of a release alone, and the tags of one.
PLATFORMS = {
    "linux": (
        ("x86_64", "aarch64"),
        ("armv7l", "i686", "ppc64le", "s390x", "riscv64"),
        ("manylinux_{}", "musllinux_{}"),
    ),
    "macos": (("x86_64", "arm64"), (), ("macosx_{}",)),
    "windows": (("AMD64", "x86", "ARM64"), (), ("{}",)),
}
WINDOWS = {"AMD64": "win_amd64", "x86": "win32", "ARM64": "win_arm64"}


def identifiers(platform, *arguments):
    """What cibuildwheel would build."""
    command = [sys.executable, "-m", "cibuildwheel", "--platform", platform, *arguments]
    command += ["--print-build-identifiers", str(ROOT)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return sorted(finished.stdout.split())


def kept(tags, architectures):
    named = itertools.product(PYTHONS, tags, [WINDOWS.get(name, name) for name in architectures])
    return sorted(f"{python}-{tag.format(name)}" for python, tag, name in named)


needs_cibuildwheel = pytest.mark.skipif(
    find_spec("cibuildwheel") is None, reason="needs cibuildwheel"
)


@needs_cibuildwheel
@pytest.mark.parametrize("platform", sorted(PLATFORMS))
def test_what_is_built_for_each_platform(platform):
    architectures, _, tags = PLATFORMS[platform]
    assert identifiers(platform) == kept(tags, architectures)


@needs_cibuildwheel
def test_what_a_release_builds_besides():
    _, architectures, tags = PLATFORMS["linux"]
    archs = ",".join(architectures)
    assert identifiers("linux", "--archs", archs) == kept(tags, architectures)


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_the_classifiers_name_the_versions_of_the_wheels(project):
    beginning = "Programming Language :: Python :: 3."
    found = [c for c in project["project"]["classifiers"] if c.startswith(beginning)]
    versions = {f"cp3{c.removeprefix(beginning)}" for c in found}
    assert versions == {python.rstrip("t") for python in PYTHONS}


def test_wheels_for_linux_are_stripped(project):
    environment = project["tool"]["cibuildwheel"]["linux"]["environment"]
    assert environment["CFLAGS"] == "-g0"
    assert environment["LDFLAGS"] == "-Wl,--strip-all,--build-id=none"


def test_a_wheel_has_the_core_or_is_not_built(project):
    """On each platform, and where more is said for some of its wheels."""
    settings = project["tool"]["cibuildwheel"]
    parts = [settings, *(settings[name] for name in PLATFORMS)]
    for part in parts:
        assert part.get("environment", settings["environment"])["FASTCOPYREG_EXTENSION"] == "yes"
    for part in settings["overrides"]:
        assert "environment" not in part or part["inherit"]["environment"] == "append"


@needs_cibuildwheel
@pytest.mark.parametrize(
    ("identifier", "profile", "backend"),
    [
        ("cp314-manylinux_x86_64", None, "c"),
        ("cp314-musllinux_aarch64", None, "c"),
        ("cp314-manylinux_i686", None, "c"),
        ("cp311-manylinux_riscv64", "no", "c"),
        ("cp315t-musllinux_s390x", "no", "python"),
        ("cp314t-manylinux_x86_64", None, "python"),
        ("cp315t-win_arm64", None, "python"),
        ("cp315-macosx_arm64", None, "c"),
    ],
)
def test_what_an_override_says_of_a_wheel(project, identifier, profile, backend):
    """An emulator trains nothing; without the GIL the Python backend is what a user gets."""
    from cibuildwheel.selector import selector_matches

    settings = project["tool"]["cibuildwheel"]
    environment, tested = dict(settings["environment"]), dict(settings["test-environment"])
    for override in settings["overrides"]:
        if selector_matches(override["select"], identifier):
            environment |= override.get("environment", {})
            tested |= override.get("test-environment", {})
    assert environment["FASTCOPYREG_EXTENSION"] == "yes"
    assert environment.get("FASTCOPYREG_PROFILE") == profile
    assert tested["FASTCOPYREG_BACKEND"] == backend
